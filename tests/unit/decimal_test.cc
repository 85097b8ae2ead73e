// What doubles stand for, against the reading of tests/model (print and read back; try one denominator after another).
#include "core/units/decimal.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>
#include <string>

#include "tests/model/meaning.h"

namespace {

using model::Integer;
using model::Rational;

tbu_binary split(double x) {
    return tbu_split(std::bit_cast<uint64_t>(x));
}

Integer integer(tbu_wide a) {
    return Integer::of_unsigned(a.hi) * Integer::power(2, 64) + Integer::of_unsigned(a.lo);
}

void expect_meaning(double x, const Rational &expected) {
    const tbu_fraction f = tbu_meaning(split(x));
    ASSERT_TRUE(f.numerator.lo != 0 || f.numerator.hi != 0) << x;
    const Rational got = model::ratio(integer(f.numerator), integer(f.denominator));
    ASSERT_TRUE(got.numerator == expected.numerator && got.denominator == expected.denominator)
        << x << ": " << got.numerator.to_double() << " / " << got.denominator.to_double();
}

TEST(Decimal, WhatIsAnAmount) {
    const auto positive = [](double x) { return tbu_is_positive(std::bit_cast<uint64_t>(x)) != 0; };
    for (const double x : {0.0, -0.0, -1.0, -5e-324, HUGE_VAL, -HUGE_VAL, std::nan(""), -std::nan("")})
        EXPECT_FALSE(positive(x)) << x;
    for (const double x : {5e-324, 2.2250738585072014e-308, 1.0, 1.7976931348623157e308}) EXPECT_TRUE(positive(x)) << x;
}

TEST(Decimal, ShortDecimalsMeanThemselves) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 40000; ++i) {
        uint64_t digits = 1 + random() % 999999999999999;
        for (uint64_t fewer = random() % 15; fewer > 0; --fewer) digits = digits / 10 + 1;
        const int places = static_cast<int>(random() % 19);
        const double x = std::stod(std::to_string(digits) + "e-" + std::to_string(places));
        ASSERT_NO_FATAL_FAILURE(
            expect_meaning(x, model::ratio(static_cast<int64_t>(digits), Integer::power(10, places))));
    }
}

TEST(Decimal, OtherwiseTheSimplestFraction) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 3000; ++i) {
        const double x = static_cast<double>(1 + random() % 3000) / static_cast<double>(1 + random() % 3000);
        ASSERT_NO_FATAL_FAILURE(expect_meaning(x, model::rate_meaning(x)));
    }
    for (const double x : {1.0 / 3, 2.0 / 3, 1.0 / 7, 1e10 / 3, 1.0 / 86400, 5000.0 / 3600, 1.0 / 604800})
        ASSERT_NO_FATAL_FAILURE(expect_meaning(x, model::rate_meaning(x)));
}

// Any double: what it is taken for reads back as it, that is, lies between the midpoints to its neighbours.
TEST(Decimal, EveryMeaningReadsBack) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 20000; ++i) {
        double x = std::ldexp(1 + static_cast<double>(random() >> 12) / 4503599627370496.0,
                              static_cast<int>(random() % 121) - 59);
        if (i < 120) x = std::ldexp(1.0, i - 59);
        const tbu_fraction f = tbu_meaning(split(x));
        const Integer n = integer(f.numerator);
        const Integer d = integer(f.denominator);
        ASSERT_TRUE(n > Integer(0)) << x;
        const Rational exact = model::binary_value(x);
        const Rational below = model::binary_value(std::nextafter(x, 0));
        const Rational above = model::binary_value(std::nextafter(x, HUGE_VAL));
        const auto twice_sum = [&](const Rational &a) {  // numerator of a + exact
            return a.numerator * exact.denominator + exact.numerator * a.denominator;
        };
        ASSERT_TRUE(n * Integer(2) * below.denominator * exact.denominator >= twice_sum(below) * d) << x;
        ASSERT_TRUE(n * Integer(2) * above.denominator * exact.denominator <= twice_sum(above) * d) << x;
    }
}

TEST(Decimal, OutsideTheRangeThereIsNoMeaning) {
    for (const double x : {5e-324, 1e-300, 9.3e18, 1e300}) EXPECT_EQ(tbu_meaning(split(x)).numerator.lo, 0u) << x;
}

TEST(Decimal, UnitsAreExactOrRoundedAsTold) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 40000; ++i) {
        const int places = static_cast<int>(random() % 10);
        double x = std::bit_cast<double>((random() >> 12) | (uint64_t{1023 - 60 + random() % 120} << 52));
        if (i % 2 == 0) x = std::stod(std::to_string(random() % 1000000) + "." + std::to_string(random() % 100000));
        if (x == 0 || x > 9007199254740992.0) continue;
        const Rational scaled = model::amount_meaning(x) * Rational{Integer::power(10, places), 1};
        for (const tbu_rounding rounding : {TBU_DOWN, TBU_UP}) {
            const Integer exact = rounding == TBU_UP ? ceiling_of(scaled) : floor_of(scaled);
            const uint64_t units = tbu_to_units(split(x), places, rounding);
            if (floor_of(scaled) >= Integer::power(2, 63))
                ASSERT_EQ(units, UINT64_MAX) << x << " in 10^-" << places;
            else
                ASSERT_TRUE(Integer::of_unsigned(units) == exact) << x << " in 10^-" << places << ": " << units;
        }
    }
}

TEST(Decimal, TheEdgesOfUnits) {
    EXPECT_EQ(tbu_to_units(split(5e-324), 9, TBU_UP), 1u);
    EXPECT_EQ(tbu_to_units(split(5e-324), 9, TBU_DOWN), 0u);
    EXPECT_EQ(tbu_to_units(split(1e-9), 9, TBU_DOWN), 1u);
    EXPECT_EQ(tbu_to_units(split(std::nextafter(1e-9, 1)), 9, TBU_UP), 2u);
    EXPECT_EQ(tbu_to_units(split(0.3), 1, TBU_UP), 3u);
    EXPECT_EQ(tbu_to_units(split(0.1 + 0.2), 1, TBU_UP), 4u);
    EXPECT_EQ(tbu_to_units(split(9007199254740992.0), 0, TBU_UP), uint64_t{1} << 53);
    EXPECT_EQ(tbu_to_units(split(9007199254740994.0), 2, TBU_UP), 900719925474099400u);
    EXPECT_EQ(tbu_to_units(split(9223372036854774784.0), 0, TBU_UP), 9223372036854774784u);
    EXPECT_EQ(tbu_to_units(split(9223372036854775808.0), 0, TBU_UP), UINT64_MAX);
    EXPECT_EQ(tbu_to_units(split(1.7976931348623157e308), 9, TBU_DOWN), UINT64_MAX);
}

}  // namespace
