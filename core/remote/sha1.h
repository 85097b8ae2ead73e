// SHA-1, at compile time: the name under which a server of Redis keeps a script.
#ifndef TOKENBUCKET_CORE_REMOTE_SHA1_H
#define TOKENBUCKET_CORE_REMOTE_SHA1_H

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tb {

// The digest as 40 lower-case hexadecimal digits and a zero.
using Sha1Text = std::array<char, 41>;

class Sha1 {
  public:
    static constexpr Sha1Text of(std::string_view message) {
        Sha1 sha;
        const std::size_t blocks = (message.size() + 8) / kBlock + 1;
        for (std::size_t block = 0; block < blocks; ++block) sha.add(message, block * kBlock, block + 1 == blocks);
        return sha.text();
    }

  private:
    static constexpr std::size_t kBlock = 64;

    // The byte at a place of the padded message, without the length at its end.
    static constexpr uint32_t byte(std::string_view message, std::size_t at) {
        if (at < message.size()) return static_cast<unsigned char>(message[at]);
        return at == message.size() ? 0x80 : 0;
    }

    constexpr void add(std::string_view message, std::size_t from, bool is_last) {
        uint32_t words[80] = {};
        for (std::size_t i = 0; i < 16; ++i)
            for (std::size_t j = 0; j < 4; ++j) words[i] = words[i] << 8 | byte(message, from + 4 * i + j);
        if (is_last) {
            const uint64_t bits = uint64_t{message.size()} * 8;
            words[14] = static_cast<uint32_t>(bits >> 32);
            words[15] = static_cast<uint32_t>(bits);
        }
        for (std::size_t i = 16; i < 80; ++i)
            words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
        auto [a, b, c, d, e] = state_;
        for (std::size_t i = 0; i < 80; ++i) {
            const uint32_t next = std::rotl(a, 5) + mixed(i, b, c, d) + e + kConstants[i / 20] + words[i];
            e = d;
            d = c;
            c = std::rotl(b, 30);
            b = a;
            a = next;
        }
        const uint32_t sums[] = {a, b, c, d, e};
        for (std::size_t i = 0; i < state_.size(); ++i) state_[i] += sums[i];
    }

    static constexpr uint32_t mixed(std::size_t round, uint32_t b, uint32_t c, uint32_t d) {
        if (round < 20) return (b & c) | (~b & d);
        if (round >= 40 && round < 60) return (b & c) | (b & d) | (c & d);
        return b ^ c ^ d;
    }

    constexpr Sha1Text text() const {
        Sha1Text digits{};
        for (std::size_t i = 0; i < 40; ++i) digits[i] = "0123456789abcdef"[state_[i / 8] >> (28 - 4 * (i % 8)) & 0xf];
        return digits;
    }

    static constexpr uint32_t kConstants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    std::array<uint32_t, 5> state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
};

}  // namespace tb

#endif
