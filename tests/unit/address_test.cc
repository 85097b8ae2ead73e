// Keys of addresses. tests/table/address_test.sh holds more of them against another implementation.
#include "core/table/address.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "tests/support/trace.h"

namespace {

// In hexadecimal; "none" if the text is no address. The text is copied, so that reading beyond it is noticed.
std::string key_of(std::string_view text, int prefix = 128) {
    const auto copy = std::make_unique<char[]>(text.size());
    text.copy(copy.get(), text.size());
    tb::AddressKey key{};
    if (!tb::read_address(copy.get(), text.size(), prefix, &key)) return "none";
    std::string hex;
    for (std::size_t i = 0; i < key.size; ++i)
        for (const int digit : {key.bytes[i] >> 4, key.bytes[i] & 15}) hex += "0123456789abcdef"[digit];
    return hex;
}

TEST(Address, OneKeyForAllWaysToWriteAnAddress) {
    for (const char *text : {"192.0.2.1", "192.0.2.1:80", "192.0.2.1:0", "192.0.2.1:65535", "::ffff:192.0.2.1",
                             "::FFFF:c000:201", "[::ffff:192.0.2.1]:443", "0:0:0:0:0:ffff:192.0.2.1"})
        EXPECT_EQ(key_of(text), "c0000201") << text;
    for (const char *text : {"2001:db8::1", "2001:0DB8:0000:0:0::0001", "[2001:db8::1]", "[2001:db8::1]:80",
                             "2001:db8::1%eth0", "[2001:db8::1%1]:80", "2001:db8:0:0:0:0:0.0.0.1"})
        EXPECT_EQ(key_of(text), "20010db8000000000000000000000001") << text;
}

TEST(Address, AGapIsAnyNumberOfGroups) {
    EXPECT_EQ(key_of("::"), std::string(32, '0'));
    EXPECT_EQ(key_of("1::"), "00010000000000000000000000000000");
    EXPECT_EQ(key_of("::1"), "00000000000000000000000000000001");
    EXPECT_EQ(key_of("1:2:3:4:5:6:7::"), "00010002000300040005000600070000");
    EXPECT_EQ(key_of("::2:3:4:5:6:7:8"), "00000002000300040005000600070008");
    EXPECT_EQ(key_of("1:2:3::5:6:7:8"), "00010002000300000005000600070008");
    EXPECT_EQ(key_of("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
    EXPECT_EQ(key_of("1:2:3:4:5:6:1.2.3.4"), "00010002000300040005000601020304");
    EXPECT_EQ(key_of("64:ff9b::1.2.3.4"), "0064ff9b000000000000000001020304");
}

TEST(Address, APrefixIsOneKeyForItsNetwork) {
    constexpr const char *kText = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    EXPECT_EQ(key_of(kText, 0), std::string(32, '0'));
    EXPECT_EQ(key_of(kText, 1), "80000000000000000000000000000000");
    EXPECT_EQ(key_of(kText, 56), "ffffffffffffff000000000000000000");
    EXPECT_EQ(key_of(kText, 63), "fffffffffffffffe0000000000000000");
    EXPECT_EQ(key_of(kText, 64), "ffffffffffffffff0000000000000000");
    EXPECT_EQ(key_of(kText, 127), "fffffffffffffffffffffffffffffffe");
    EXPECT_EQ(key_of("192.0.2.1", 0), "c0000201");
    EXPECT_EQ(key_of("::ffff:192.0.2.1", 64), "c0000201");
}

TEST(Address, WhatIsNone) {
    for (const char *text : {"",
                             ".",
                             ":",
                             ":::",
                             "1",
                             "1.2.3",
                             "1.2.3.4.5",
                             "1.2.3.",
                             ".1.2.3",
                             "1..2.3",
                             "256.1.1.1",
                             "1.2.3.04",
                             "00.1.2.3",
                             "1.2.3.4 ",
                             " 1.2.3.4",
                             "+1.2.3.4",
                             "0x1.2.3.4",
                             "1.2.3.4:",
                             "1.2.3.4:65536",
                             "1.2.3.4:x",
                             "1.2.3.4:000080",
                             "1.2.3.4%eth0",
                             "[1.2.3.4]",
                             "[1.2.3.4]:80",
                             "example.org",
                             "localhost:80"})
        EXPECT_EQ(key_of(text), "none") << text;
    for (const char *text : {"1:2:3:4:5:6:7",
                             "1:2:3:4:5:6:7:8:9",
                             "1:2:3:4:5:6:7:",
                             ":1:2:3:4:5:6:7",
                             "1::2::3",
                             "1:::2",
                             "::1::",
                             "12345::",
                             "g::",
                             "1:2:3:4:5:6:7:1.2.3.4",
                             "1.2.3.4::",
                             "::1.2.3",
                             "::1.2.3.4:5",
                             "::1.2.3.256",
                             "::1:2:3:4:5:6:7:8",
                             "1::2:3:4:5:6:7:8",
                             "[::1",
                             "::1]",
                             "[::1]]",
                             "[::1]80",
                             "[::1]:",
                             "[::1]:65536",
                             "[[::1]]",
                             "[]",
                             "[]:80",
                             "[::1%]",
                             "::1%",
                             "%eth0",
                             "::1 ",
                             "::1/64"})
        EXPECT_EQ(key_of(text), "none") << text;
    EXPECT_EQ(key_of(std::string_view("1.2.3.4\0", 8)), "none");
    EXPECT_EQ(key_of(std::string(100000, ':')), "none");
    EXPECT_EQ(key_of(std::string(100000, '1')), "none");
}

TEST(Address, AKeyThatIsNoneIsNotWritten) {
    tb::AddressKey key{};
    key.size = 99;
    key.bytes[0] = 7;
    EXPECT_FALSE(tb::read_address("1:2:3", 5, 64, &key));
    EXPECT_EQ(key.size, 99u);
    EXPECT_EQ(key.bytes[0], 7);
}

// Reads nothing that is not there, and what it reads is an address of either size.
TEST(Address, AnyTextIsReadOrRefused) {
    constexpr std::string_view kTexts[] = {"192.0.2.1:80", "[2001:db8::1%eth0]:443", "::ffff:1.2.3.4",
                                           "1:2:3:4:5:6:7:8"};
    constexpr std::string_view kCharacters = "0123456789abcdefF:.[]%/- \0\xff";
    tb_test::Trace trace(3);
    int read = 0;
    for (int i = 0; i < 50000; ++i) {
        std::string text(trace.pick(kTexts));
        for (int64_t changes = trace.below(6); changes > 0; --changes) {
            const auto at = static_cast<std::size_t>(trace.below(static_cast<int64_t>(text.size()) + 1));
            text.replace(at, static_cast<std::size_t>(trace.below(4)), static_cast<std::size_t>(trace.below(3)),
                         trace.pick(kCharacters));
        }
        const std::string key = key_of(text, static_cast<int>(trace.between(0, 128)));
        const bool is_address = key.size() == 8 || key.size() == 32;
        EXPECT_TRUE(is_address || key == "none") << text;
        read += is_address;
    }
    EXPECT_GT(read, 5000);
}

}  // namespace
