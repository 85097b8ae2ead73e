// Accrual against exact fractions of tests/model.
#include "core/units/accrual.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/model/integer.h"

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

// From any fraction of a unit: with a slow rate that fraction is worth up to 10^14 ns.
TEST(Accrual, TimeToIsTheFirstInstant) {
    std::mt19937_64 random(5);
    uint64_t never = 0;
    for (int i = 0; i < 30000; ++i) {
        const Fraction f = random_rate(&random);
        const tbu_rate rate = tbu_rate_make({0, f.p}, {0, f.q});
        const tbu_position base{random(), {i % 3 == 0 ? 0 : random(), i % 3 == 0 ? 0 : random()}};
        const uint64_t d = random() >> (2 + random() % 62);
        const int64_t e = tbu_time_to(&rate, base, d);
        if (e == TBU_NEVER) {
            ++never;
            ASSERT_LT(tbu_gain(&rate, base, static_cast<uint64_t>(INT64_MAX) - 1), d) << f.p << "/" << f.q << " " << d;
            continue;
        }
        ASSERT_GE(tbu_gain(&rate, base, static_cast<uint64_t>(e)), d);
        if (e == 0) continue;
        ASSERT_LT(tbu_gain(&rate, base, static_cast<uint64_t>(e) - 1), d);
    }
    EXPECT_GT(never, 100u);
    EXPECT_LT(never, 15000u);
}

}  // namespace
