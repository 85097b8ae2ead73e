// Accrual against exact fractions of tests/model.
#include "core/units/accrual.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/model/integer.h"
#include "tests/support/effort.h"

namespace {

using model::Integer;

Integer integer(tbu_wide a) {
    return Integer::of_unsigned(a.hi) * Integer::power(2, 64) + Integer::of_unsigned(a.lo);
}

struct Fraction {
    uint64_t p;
    uint64_t q;
};

// The rates of the limits in wide use, and the hardest: denominators up to what 2^62 ns leave room for.
Fraction random_rate(std::mt19937_64 *random) {
    constexpr Fraction kRates[] = {{1, 1}, {10, 1}, {1, 3}, {7, 10}, {3, 1000000000}, {1, 100000000000000}, {7, 9}};
    if ((*random)() % 4 == 0) return kRates[(*random)() % std::size(kRates)];
    return {1 + ((*random)() >> (4 + (*random)() % 59)), 1 + ((*random)() >> (2 + (*random)() % 61))};
}

uint64_t random_elapsed(std::mt19937_64 *random) {
    return ((*random)() >> 2 >> ((*random)() % 62)) + ((*random)() % 8 == 0 ? 0 : (*random)() % 2);
}

Integer accrued(const Fraction &rate, const Integer &elapsed) {
    return floor_of(elapsed * Integer::of_unsigned(rate.p), Integer::of_unsigned(rate.q));
}

// Units are counted modulo 2^64.
uint64_t turned(const Integer &units) {
    return divide(units, Integer::power(2, 64)).rest.to_uint64();
}

TEST(Accrual, UnitsAreTheFloorOfTheExactProduct) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 30000; ++i) {
        const Fraction f = random_rate(&random);
        const tbu_rate rate = tbu_rate_make({0, f.p}, {0, f.q});
        const uint64_t e = random_elapsed(&random);
        const Integer exact = accrued(f, Integer::of_unsigned(e));
        ASSERT_EQ(tbu_advance(&rate, {0, {0, 0}}, e).units, turned(exact)) << f.p << "/" << f.q << " after " << e;
        const bool fits = exact < Integer::power(2, 64);
        ASSERT_EQ(tbu_gain(&rate, {0, {0, 0}}, e), fits ? exact.to_uint64() : UINT64_MAX);
    }
}

// The instants at which the product is whole: rounded down, the multiplier would come out one unit short.
TEST(Accrual, WholeInstantsAreNotLate) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 30000; ++i) {
        const Fraction f = random_rate(&random);
        const tbu_rate rate = tbu_rate_make({0, f.p}, {0, f.q});
        const uint64_t most = (uint64_t{1} << 62) / f.q;
        if (most == 0) continue;
        const uint64_t e = (1 + random() % most) * f.q;
        const tbu_position base{0, {0, 0}};
        ASSERT_EQ(tbu_advance(&rate, base, e).units, turned(accrued(f, Integer::of_unsigned(e))));
        ASSERT_EQ(tbu_advance(&rate, base, e - 1).units, turned(accrued(f, Integer::of_unsigned(e - 1))));
    }
}

TEST(Accrual, ChainsOfRebasingLoseNothing) {
    std::mt19937_64 random(3);
    for (int chain = 0; chain < 1000; ++chain) {
        const Fraction f = random_rate(&random);
        const tbu_rate rate = tbu_rate_make({0, f.p}, {0, f.q});
        tbu_position position{0, {0, 0}};
        uint64_t total = 0;
        for (uint64_t e = random_elapsed(&random) >> 6; total + e <= uint64_t{1} << 62;
             e = random_elapsed(&random) >> 6) {
            position = tbu_advance(&rate, position, e);
            total += e;
            ASSERT_EQ(position.units, turned(accrued(f, Integer::of_unsigned(total)))) << f.p << "/" << f.q;
            if (random() % 64 == 0) break;
        }
    }
}

TEST(Accrual, RatesAreRoundedUpByLessThanOneStep) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 20000; ++i) {
        const Fraction f = random_rate(&random);
        const tbu_rate rate = tbu_rate_make({0, f.p}, {0, f.q});
        const Integer kept = Integer::of_unsigned(rate.whole) * Integer::power(2, 128) + integer(rate.fraction);
        const Integer q = Integer::of_unsigned(f.q);
        const Integer excess = kept * q - Integer::of_unsigned(f.p) * Integer::power(2, 128);
        ASSERT_TRUE(excess >= Integer(0) && excess < q) << f.p << "/" << f.q;
    }
}

// ceil((d - fraction) / rate) of the rate as it is kept; never if an int64_t cannot hold it.
int64_t exact_time_to(const tbu_rate &rate, tbu_wide fraction, uint64_t d) {
    const Integer unit = Integer::power(2, 128);
    const Integer per_ns = Integer::of_unsigned(rate.whole) * unit + integer(rate.fraction);
    const Integer e = floor_of(Integer::of_unsigned(d) * unit - integer(fraction) + per_ns - Integer(1), per_ns);
    return e < Integer(INT64_MAX) ? static_cast<int64_t>(e.to_uint64()) : TBU_NEVER;
}

// The rates and capacities that a bucket may have, in units of 1 to 10^-9 token: 1e-9 .. 1e10 tokens a second.
Fraction random_limit_rate(std::mt19937_64 *random) {
    constexpr uint64_t kBillion = 1000000000;
    const Fraction kEdges[] = {
        {1, kBillion * kBillion}, {1, kBillion}, {10, 1}, {10 * kBillion, 1}, {999999999, kBillion}};
    if ((*random)() % 4 == 0) return kEdges[(*random)() % std::size(kEdges)];
    return random_rate(random);
}

// From any fraction of a unit: with a slow rate that fraction is worth up to 10^18 ns.
TEST(Accrual, TimeToIsTheFirstInstant) {
    std::mt19937_64 random(support::effort("TB_SEED", 5, 5));
    uint64_t never = 0;
    uint64_t sharp = 0;
    const uint64_t rounds = support::effort("TB_ROUNDS", 60000, 60000);
    for (uint64_t i = 0; i < rounds; ++i) {
        const Fraction f = random_limit_rate(&random);
        const tbu_rate rate = tbu_rate_make({0, f.p}, {0, f.q});
        const tbu_wide kFractions[] = {
            {0, 0}, {0, 1}, {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, 0}, {random(), random()}, {random(), 0}};
        const tbu_wide fraction = kFractions[random() % std::size(kFractions)];
        uint64_t d = 1 + (random() >> (2 + random() % 62));
        // What there is at some instant and the first unit that is not: the bound is as sharp as it can be.
        const uint64_t there = tbu_gain(&rate, {0, fraction}, random_elapsed(&random));
        if (random() % 2 == 0 && there < (uint64_t{1} << 62) - 1) {
            d = std::max<uint64_t>(there + random() % 2, 1);
            ++sharp;
        }
        if (d >> 62 != 0) continue;
        const int64_t e = tbu_time_to(&rate, fraction, d);
        ASSERT_EQ(e, exact_time_to(rate, fraction, d)) << f.p << "/" << f.q << " " << d << " " << fraction.hi;
        never += e == TBU_NEVER ? 1 : 0;
    }
    EXPECT_GT(never, rounds / 300);
    EXPECT_LT(never, rounds / 2);
    EXPECT_GT(sharp, rounds / 10);
}

// 2^64 + 1 is a multiple of 274177, so rounding the reciprocal up adds as much as it can, and the largest d and
// fraction make the most of it and of every part that is left out.
TEST(Accrual, TimeToWhereTheBoundIsWorst) {
    const tbu_rate rate = tbu_rate_make({0, 274177}, {0, 2 * 274177 - 1});
    for (uint64_t i = 1; i <= 1000; ++i) {
        const uint64_t d = (uint64_t{1} << 62) - i;
        for (const tbu_wide fraction : {tbu_wide{UINT64_MAX, UINT64_MAX}, tbu_wide{UINT64_MAX, 0}, tbu_wide{0, 0}})
            ASSERT_EQ(tbu_time_to(&rate, fraction, d), exact_time_to(rate, fraction, d)) << d;
    }
}

// Instants at the end of an int64_t.
TEST(Accrual, TimeToAtTheLastInstant) {
    const tbu_rate slow = tbu_rate_make({0, 1}, {0, uint64_t{1} << 62});
    const tbu_rate one = tbu_rate_make({0, 1}, {0, 2});
    EXPECT_EQ(tbu_time_to(&slow, {0, 0}, 1), int64_t{1} << 62);
    EXPECT_EQ(tbu_time_to(&slow, {0, 0}, 2), TBU_NEVER);
    EXPECT_EQ(tbu_time_to(&slow, {1, 0}, 2), exact_time_to(slow, {1, 0}, 2));
    EXPECT_EQ(tbu_time_to(&slow, {4, 0}, 2), TBU_NEVER);
    EXPECT_EQ(tbu_time_to(&slow, {8, 0}, 2), INT64_MAX - 1);
    EXPECT_EQ(tbu_time_to(&slow, {UINT64_MAX, UINT64_MAX}, 2), exact_time_to(slow, {UINT64_MAX, UINT64_MAX}, 2));
    EXPECT_EQ(tbu_time_to(&one, {0, 0}, (uint64_t{1} << 62) - 1), INT64_MAX - 1);
    EXPECT_EQ(tbu_time_to(&one, {uint64_t{1} << 63, 1}, (uint64_t{1} << 62) - 1), INT64_MAX - 2);
}

}  // namespace
