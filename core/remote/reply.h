// The text of a reply, as the server sends it: a number ":1", or an array of numbers "*2", ":1", ":2", each line with
// its line end.
#ifndef TOKENBUCKET_CORE_REMOTE_REPLY_H
#define TOKENBUCKET_CORE_REMOTE_REPLY_H

#include <cstddef>
#include <cstdint>

#include "core/status.h"

namespace tb {

// Reads at most `room` numbers. invalid_argument: the text is something else, such as an error, is not complete, goes
// on, or holds more numbers.
Status parse_reply(const char *text, std::size_t size, int64_t *numbers, std::size_t room, std::size_t *count);

}  // namespace tb

#endif
