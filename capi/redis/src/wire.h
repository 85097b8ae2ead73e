// Writes commands as the protocol wants them: "*COUNT" and then "$SIZE" and the bytes of each word, all ended by CR LF.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_WIRE_H
#define TOKENBUCKET_CAPI_REDIS_SRC_WIRE_H

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "capi/redis/src/memory.h"

namespace tb::redis {

class Wire {
  public:
    void clear() { bytes_.clear(); }
    const Bytes &bytes() const { return bytes_; }
    // In a forked child, where another thread may have been writing.
    void forget() { bytes_.forget(); }

    // A command of `words` words begins; each is then written once.
    void begin(std::size_t words) { head('*', words); }
    void word(const void *bytes, std::size_t size) {
        head('$', size);
        bytes_.append(bytes, size);
        bytes_.append("\r\n", 2);
    }
    void word(std::string_view text) { word(text.data(), text.size()); }
    void word(int64_t number) {
        char digits[kMostDigits];
        word(digits, digits_of(number, digits));
    }

  private:
    static constexpr std::size_t kMostDigits = 24;

    template <class Number>
    static std::size_t digits_of(Number number, char *digits) {
        return static_cast<std::size_t>(std::to_chars(digits, digits + kMostDigits, number).ptr - digits);
    }
    void head(char mark, std::size_t number) {
        char line[kMostDigits + 3];
        line[0] = mark;
        std::size_t size = 1 + digits_of(number, line + 1);
        line[size++] = '\r';
        line[size++] = '\n';
        bytes_.append(line, size);
    }

    Bytes bytes_;
};

}  // namespace tb::redis

#endif
