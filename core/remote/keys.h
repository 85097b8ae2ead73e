// Keys on a server. A cluster puts a key into the slot of its tag: what stands between the first { and the first }
// behind it, or all of the key if there is no such pair or nothing in it.
#ifndef TOKENBUCKET_CORE_REMOTE_KEYS_H
#define TOKENBUCKET_CORE_REMOTE_KEYS_H

#include <cstddef>
#include <string_view>

#include "core/status.h"

namespace tb {

std::string_view tag_of(std::string_view key);

// The second key of a bucket, which lies in the same slot: q:key, or q:{key} if the key has no tag. What it adds to a
// key with a tag is in front, for the end of a key is often of a stranger's choice. `out` has room for kQueueKeyAdds
// more bytes than the key. invalid_argument: a key without a tag that is empty or holds a }.
inline constexpr std::size_t kQueueKeyAdds = 4;
Status queue_key(std::string_view key, char *out, std::size_t *out_size);

}  // namespace tb

#endif
