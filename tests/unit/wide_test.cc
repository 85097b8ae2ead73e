// The 128-bit integers of core/units against the compiler's own, where it has them.
#include "core/units/wide.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#ifndef __SIZEOF_INT128__

TEST(Wide, EqualsTheCompilersOwn) {
    GTEST_SKIP() << "the compiler has no 128-bit integers for this system";
}

#else

namespace {

tbu_native native(tbu_wide a) {
    return static_cast<tbu_native>(a.hi) << 64 | a.lo;
}

tbu_wide wide(tbu_native a) {
    return tbu_make(static_cast<uint64_t>(a >> 64), static_cast<uint64_t>(a));
}

std::vector<uint64_t> corners() {
    std::vector<uint64_t> r{0, 1, 2, 3, 10, 1000000007};
    for (const int bit : {31, 32, 33, 52, 62, 63})
        for (const int near : {-1, 0, 1}) r.push_back((uint64_t{1} << bit) + static_cast<uint64_t>(near));
    r.push_back(UINT64_MAX);
    r.push_back(UINT64_MAX - 1);
    return r;
}

TEST(Wide, ThePortableMultiplicationEqualsTheNativeOne) {
    std::mt19937_64 random(1);
    const auto check = [](uint64_t a, uint64_t b) {
        ASSERT_EQ(native(tbu_mul_portable(a, b)), static_cast<tbu_native>(a) * b) << a << " * " << b;
        ASSERT_EQ(native(tbu_mul(a, b)), static_cast<tbu_native>(a) * b) << a << " * " << b;
    };
    for (const uint64_t a : corners())
        for (const uint64_t b : corners()) check(a, b);
    for (int i = 0; i < 1000000; ++i) check(random() >> (i % 64), random() >> (i / 64 % 64));
}

void check_pair(tbu_native a, tbu_native b) {
    const tbu_wide x = wide(a);
    const tbu_wide y = wide(b);
    ASSERT_EQ(native(tbu_add(x, y)), a + b);
    ASSERT_EQ(native(tbu_sub(x, y)), a - b);
    ASSERT_EQ(native(tbu_add64(x, y.lo)), a + y.lo);
    ASSERT_EQ(native(tbu_mul_wide(x, y.lo)), a * y.lo);
    ASSERT_EQ(tbu_less(x, y) != 0, a < b);
    if (b == 0) return;
    const tbu_quotient q = tbu_divide(x, y);
    ASSERT_EQ(native(q.quotient), a / b);
    ASSERT_EQ(native(q.remainder), a % b);
    const int bits = static_cast<int>(y.lo % 65);
    const tbu_quotient shifted = tbu_divide_shifted({0, x.lo}, bits, y);
    ASSERT_EQ(native(shifted.quotient), (static_cast<tbu_native>(x.lo) << bits) / b);
    ASSERT_EQ(native(shifted.remainder), (static_cast<tbu_native>(x.lo) << bits) % b);
}

TEST(Wide, EveryOperationEqualsTheNativeOne) {
    for (const uint64_t a : corners())
        for (const uint64_t b : corners())
            for (const uint64_t c : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 63, UINT64_MAX})
                for (const uint64_t d : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 63, UINT64_MAX}) {
                    check_pair(native(tbu_make(c, a)), native(tbu_make(d, b)));
                    if (HasFatalFailure()) return;
                }
    std::mt19937_64 random(2);
    for (int i = 0; i < 100000 && !HasFatalFailure(); ++i) {
        const tbu_native a = native(tbu_make(random(), random())) >> (random() % 128);
        const tbu_native b = native(tbu_make(random(), random())) >> (random() % 128);
        check_pair(a, b);
    }
}

TEST(Wide, ShiftsByEveryDistance) {
    std::mt19937_64 random(3);
    for (unsigned n = 0; n < 128; ++n)
        for (int i = 0; i < 100; ++i) {
            const tbu_wide a = tbu_make(random(), random());
            ASSERT_EQ(native(tbu_shl(a, n)), native(a) << n) << n;
            ASSERT_EQ(native(tbu_shr(a, n)), native(a) >> n) << n;
        }
}

TEST(Wide, TheGreatestCommonDivisorDividesAndLeavesNoneBehind) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 3000; ++i) {
        const tbu_native common = 1 + (random() >> (random() % 64));
        const tbu_native a = common * (1 + (random() >> 40));
        const tbu_native b = common * (random() >> 40);
        const tbu_native divisor = native(tbu_gcd(wide(a), wide(b)));
        ASSERT_EQ(a % divisor + b % divisor, 0u);
        ASSERT_EQ(divisor % common, 0u);
        tbu_native x = a / divisor;
        tbu_native y = b / divisor;
        while (y != 0) {
            const tbu_native rest = x % y;
            x = y;
            y = rest;
        }
        ASSERT_EQ(x, 1u);
    }
}

}  // namespace

#endif
