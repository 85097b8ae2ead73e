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

TEST(Decimal, ShortDecimalsMeanThemselves) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20000; ++i) {
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
    for (int i = 0; i < 500; ++i) {
        const double x = static_cast<double>(1 + random() % 3000) / static_cast<double>(1 + random() % 3000);
        ASSERT_NO_FATAL_FAILURE(expect_meaning(x, model::rate_meaning(x)));
    }
    for (const double x : {1.0 / 3, 2.0 / 3, 1.0 / 7, 1e10 / 3, 1.0 / 86400, 5000.0 / 3600, 1.0 / 604800})
        ASSERT_NO_FATAL_FAILURE(expect_meaning(x, model::rate_meaning(x)));
}

// Any double: what it is taken for reads back as it, that is, lies between the midpoints to its neighbours.
TEST(Decimal, EveryMeaningReadsBack) {
    std::mt19937_64 random(3);
    for (int i = 0; i < 10000; ++i) {
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

uint64_t power_of_ten(uint64_t n) {
    return Integer::power(10, static_cast<int>(n)).to_uint64();
}

// A scale of 2^39 = 549.8 * 10^9 at the most leaves kHeadroom.
uint64_t random_refinement(std::mt19937_64 *random) {
    return (*random)() % 2 == 0 ? 1 : 1 + (*random)() % 549;
}

double random_amount(std::mt19937_64 *random) {
    switch ((*random)() % 4) {
        case 0:
            return std::stod(std::to_string((*random)() % 1000000) + "." + std::to_string((*random)() % 100000));
        case 1:
            return static_cast<double>(1 + (*random)() % 100000) / static_cast<double>(1 + (*random)() % 1000);
        default:
            return std::bit_cast<double>(((*random)() >> 12) | (uint64_t{1023 - 60 + (*random)() % 120} << 52));
    }
}

TEST(Decimal, UnitsAreExactOrRoundedAsTold) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 20000; ++i) {
        const uint64_t scale = power_of_ten(random() % 10) * random_refinement(&random);
        const double x = random_amount(&random);
        if (x == 0 || x > 9007199254740992.0) continue;
        const Rational scaled = model::amount_meaning(x) * Rational{Integer::of_unsigned(scale), 1};
        for (const tbu_rounding rounding : {TBU_DOWN, TBU_UP}) {
            const Integer exact = rounding == TBU_UP ? ceiling_of(scaled) : floor_of(scaled);
            const uint64_t units = tbu_to_units(split(x), scale, rounding);
            if (floor_of(scaled) >= Integer::power(2, 63))
                ASSERT_EQ(units, UINT64_MAX) << x << " times " << scale;
            else
                ASSERT_TRUE(Integer::of_unsigned(units) == exact) << x << " times " << scale << ": " << units;
        }
    }
}

// Where the quick way answers, its answer is that of the search, for every amount.
TEST(Decimal, TheQuickWayEqualsTheSearch) {
    std::mt19937_64 random(5);
    int quick = 0;
    int slow = 0;
    for (int i = 0; i < 200000; ++i) {
        const double x = random_amount(&random);
        if (x == std::floor(x)) continue;
        const uint64_t ten_to_places = power_of_ten(random() % 10);
        const uint64_t refinement = random_refinement(&random);
        const uint64_t units = tbu_fraction_to_units(split(x), ten_to_places, refinement);
        ++(units == 0 ? slow : quick);
        if (units == 0) continue;
        ASSERT_EQ(units, tbu_to_units(split(x), ten_to_places * refinement, TBU_UP)) << x << ", " << ten_to_places;
        ASSERT_EQ(units % refinement, 0u);
    }
    EXPECT_GT(quick, 25000);
    EXPECT_GT(slow, 25000);
}

// The decimals that a multiple of 10^-places can be, and their neighbours, which are not meant.
TEST(Decimal, TheQuickWayKnowsEveryDecimalThatIsAWholeNumberOfPlaces) {
    constexpr double kLeast = 1.0 / 2048;  // smaller ones take the search
    std::mt19937_64 random(6);
    for (int i = 0; i < 100000; ++i) {
        const uint64_t places = 1 + random() % 9;
        const uint64_t digits = 1 + (random() >> 14) % 999999999999999 / power_of_ten(random() % 15);
        const double x = static_cast<double>(digits) / static_cast<double>(power_of_ten(places));
        if (digits % power_of_ten(places) == 0 || x < kLeast) continue;
        ASSERT_EQ(tbu_fraction_to_units(split(x), power_of_ten(places), 3), digits * 3) << digits << "e-" << places;
        const double next = std::nextafter(x, HUGE_VAL);
        if (next == std::floor(next)) continue;
        const uint64_t units = tbu_fraction_to_units(split(next), power_of_ten(places), 3);
        ASSERT_TRUE(units == 0 || units == tbu_to_units(split(next), power_of_ten(places) * 3, TBU_UP)) << next;
    }
}

TEST(Decimal, TheQuickWayLeavesTheRest) {
    for (const double x : {5e-324, 1e-300, 1e-10, 1.0 / 3, 0.1 + 0.2, std::nextafter(0.5, 1), 4503599627370495.5})
        EXPECT_EQ(tbu_fraction_to_units(split(x), 1000000000, 3), 0u) << x;
    EXPECT_EQ(tbu_fraction_to_units(split(0.5), 1, 3), 0u);
    EXPECT_EQ(tbu_fraction_to_units(split(0.5), 10, 7), 35u);
    EXPECT_EQ(tbu_fraction_to_units(split(999999.999999999), 1000000000, 1), 999999999999999u);
    EXPECT_EQ(tbu_fraction_to_units(split(1000000.5), 1000000000, 1), 0u) << "16 digits in units";
}

// Where a unit is a power of ten no multiple of it lies between a double and the decimal it stands for.
TEST(Decimal, TheQuickWayRoundsUpInPowersOfTen) {
    for (const double x : {1.0 / 3, 0.1 + 0.2, std::nextafter(0.5, 1), 12.3456789012345})
        EXPECT_EQ(tbu_fraction_to_units(split(x), 1000000000, 1), tbu_to_units(split(x), 1000000000, TBU_UP)) << x;
    EXPECT_EQ(tbu_fraction_to_units(split(0.5), 1, 1), 1u);
    std::mt19937_64 random(7);
    for (int i = 0; i < 100000; ++i) {
        const uint64_t ten_to_places = power_of_ten(random() % 10);
        const double x = std::ldexp(static_cast<double>(random() >> 11), -static_cast<int>(30 + random() % 34));
        const uint64_t units = x == std::floor(x) ? 0 : tbu_fraction_to_units(split(x), ten_to_places, 1);
        ASSERT_TRUE(units == 0 || units == tbu_to_units(split(x), ten_to_places, TBU_UP)) << x;
    }
}

TEST(Decimal, TheEdgesOfUnits) {
    constexpr uint64_t kBillion = 1000000000;
    EXPECT_EQ(tbu_to_units(split(5e-324), kBillion, TBU_UP), 1u);
    EXPECT_EQ(tbu_to_units(split(5e-324), kBillion, TBU_DOWN), 0u);
    EXPECT_EQ(tbu_to_units(split(1e-9), kBillion, TBU_DOWN), 1u);
    EXPECT_EQ(tbu_to_units(split(std::nextafter(1e-9, 1)), kBillion, TBU_UP), 2u);
    EXPECT_EQ(tbu_to_units(split(0.3), 10, TBU_UP), 3u);
    EXPECT_EQ(tbu_to_units(split(0.1 + 0.2), 10, TBU_UP), 4u);
    EXPECT_EQ(tbu_to_units(split(1.0 / 3), 3, TBU_DOWN), 0u);
    EXPECT_EQ(tbu_to_units(split(0.125), 8, TBU_DOWN), 1u);
    EXPECT_EQ(tbu_to_units(split(9007199254740992.0), 1, TBU_UP), uint64_t{1} << 53);
    EXPECT_EQ(tbu_to_units(split(9007199254740994.0), 100, TBU_UP), 900719925474099400u);
    EXPECT_EQ(tbu_to_units(split(9223372036854774784.0), 1, TBU_UP), 9223372036854774784u);
    EXPECT_EQ(tbu_to_units(split(9223372036854775808.0), 1, TBU_UP), UINT64_MAX);
    EXPECT_EQ(tbu_to_units(split(1.7976931348623157e308), kBillion, TBU_DOWN), UINT64_MAX);
}

}  // namespace
