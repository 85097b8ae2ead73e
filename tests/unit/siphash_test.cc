#include "core/table/siphash.h"

#include <gtest/gtest.h>

namespace {

constexpr std::size_t kLengths = 64;

constexpr struct {
    tb::HashSecret secret;
    uint64_t hashes[kLengths];
} kVectors[] = {
#include "tests/unit/siphash_vectors.inc"
};

TEST(SipHash, IsThatOfAnotherImplementation) {
    for (const auto &vector : kVectors) {
        unsigned char message[kLengths] = {};
        for (std::size_t size = 0; size < kLengths; ++size) {
            EXPECT_EQ(tb::siphash13(vector.secret, message, size), vector.hashes[size]) << size << " bytes";
            message[size] = static_cast<unsigned char>(size);
        }
    }
}

TEST(SipHash, ReadsBytesFromAnyAddress) {
    alignas(8) unsigned char buffer[kLengths + 8];
    for (std::size_t offset = 0; offset < 8; ++offset) {
        for (std::size_t i = 0; i < kLengths; ++i) buffer[offset + i] = static_cast<unsigned char>(i);
        EXPECT_EQ(tb::siphash13(kVectors[0].secret, buffer + offset, kLengths - 1), kVectors[0].hashes[kLengths - 1]);
    }
}

}  // namespace
