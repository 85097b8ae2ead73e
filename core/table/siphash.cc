#include "core/table/siphash.h"

#include <bit>
#include <cstring>

namespace tb {
namespace {

struct Mixer {
    uint64_t v0, v1, v2, v3;

    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
    void add(uint64_t word) {
        v3 ^= word;
        round();
        v0 ^= word;
    }
};

// 8 bytes, lowest first on every machine.
uint64_t word_at(const unsigned char *bytes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return std::endian::native == std::endian::big ? __builtin_bswap64(word) : word;
}

// As word_at(), of the first `size` bytes, at most 7, and zeros.
uint64_t part_at(const unsigned char *bytes, std::size_t size) {
    uint64_t word = 0;
    while (size != 0) word = word << 8 | bytes[--size];
    return word;
}

}  // namespace

uint64_t siphash13(const HashSecret &secret, const void *bytes, std::size_t size) {
    const unsigned char *at = static_cast<const unsigned char *>(bytes);
    Mixer m{0x736f6d6570736575 ^ secret.first, 0x646f72616e646f6d ^ secret.second, 0x6c7967656e657261 ^ secret.first,
            0x7465646279746573 ^ secret.second};
    for (const unsigned char *const end = at + size / 8 * 8; at != end; at += 8) m.add(word_at(at));
    m.add(part_at(at, size % 8) | uint64_t{size} << 56);
    m.v2 ^= 0xff;
    m.round();
    m.round();
    m.round();
    return m.v0 ^ m.v1 ^ m.v2 ^ m.v3;
}

}  // namespace tb
