// Limits: their ranges, how they are counted, and what is shown of them.
#include "core/bucket/limit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/model/units.h"

namespace {

using tb::Limit;
using tb::Status;

constexpr int64_t kSecond = 1000000000;

Status status_of(double capacity, double rate, int64_t period = kSecond) {
    Limit limit{};
    return tb::make_limit({capacity, rate, period}, &limit);
}

Limit made(double capacity, double rate, int64_t period = kSecond) {
    Limit limit{};
    EXPECT_EQ(tb::make_limit({capacity, rate, period}, &limit), Status::success) << capacity << ", " << rate;
    return limit;
}

double log_uniform(std::mt19937_64 *random, double least, double most) {
    const double x = static_cast<double>((*random)() >> 11) / 9007199254740992.0;
    return least * std::pow(most / least, x);
}

TEST(Limit, Ranges) {
    for (const double capacity : {1e-6, 1.0, 1e15})
        for (const double rate : {1e-9, 1.0, 1e10}) EXPECT_EQ(status_of(capacity, rate), Status::success);
    for (const double capacity : {0.0, -1.0, 5e-324, std::nextafter(1e-6, 0), std::nextafter(1e15, 1e16), 1e300})
        EXPECT_EQ(status_of(capacity, 1), Status::out_of_range) << capacity;
    for (const double rate : {0.0, -1.0, 5e-324, 9.99999999e-10, 10000000000.1, 1e19, 1e300})
        EXPECT_EQ(status_of(1, rate), Status::out_of_range) << rate;
    const double infinity = std::numeric_limits<double>::infinity();
    for (const double bad : {infinity, -infinity, std::nan("")}) {
        EXPECT_EQ(status_of(bad, 1), Status::invalid_argument);
        EXPECT_EQ(status_of(1, bad), Status::invalid_argument);
    }
    for (const int64_t period : {int64_t{0}, int64_t{-1}, INT64_MIN})
        EXPECT_EQ(status_of(1, 1, period), Status::invalid_argument);
    EXPECT_EQ(status_of(1, 10, 1), Status::success);
    EXPECT_EQ(status_of(1, 11, 1), Status::out_of_range);
    EXPECT_EQ(status_of(1, 700000, 3600 * kSecond), Status::success);
    EXPECT_EQ(status_of(1, 1, 1000000000 * kSecond), Status::success);
    EXPECT_EQ(status_of(1, 1, 1000000000 * kSecond + 1), Status::out_of_range);
}

model::Units model_units(double capacity, double rate, int64_t period = kSecond) {
    return model::chosen_units(capacity, model::per_ns(rate, period));
}

void expect_counted(const Limit &limit, const model::Units &units, const model::Rational &per_ns) {
    ASSERT_EQ(limit.units.places, static_cast<unsigned>(units.places));
    ASSERT_EQ(limit.units.refinement, units.refinement.to_uint64());
    ASSERT_EQ(limit.units.scale, units.scale.to_uint64());
    ASSERT_EQ(limit.capacity, units.round_down(limit.capacity_tokens).to_uint64());
    const model::Rational rate = units.of(per_ns);
    ASSERT_EQ(limit.rate.whole, floor_of(rate).to_uint64());
    const bool is_whole = (limit.rate.fraction.hi | limit.rate.fraction.lo) == 0;
    ASSERT_EQ(is_whole, rate.denominator == model::Integer(1));
}

TEST(Limit, UnitsOfRandomLimits) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 6000; ++i) {
        const bool small = i % 2 == 0;
        const double capacity = log_uniform(&random, 1e-6, small ? 300 : 1e15);
        const double rate = std::round(log_uniform(&random, 1, small ? 1000 : 1e10) * 1000) / 1000;
        const Limit limit = made(capacity, rate);
        ASSERT_NO_FATAL_FAILURE(expect_counted(limit, model_units(capacity, rate), model::per_ns(rate, kSecond)));
        ASSERT_TRUE(!small || limit.units.scale >= 1000000000) << capacity << ", " << rate;
        ASSERT_TRUE(capacity > 5e11 || limit.capacity <= tb::kMaxDebtUnits / tb::kHeadroom) << capacity;
        ASSERT_LE(limit.units.refinement, 549u);
    }
}

TEST(Limit, UnitsAtTheEdges) {
    struct Case {
        double capacity;
        double rate;
        int64_t period;
        unsigned places;
        uint64_t refinement;
    };
    constexpr Case kCases[] = {
        {1, 1, kSecond, 9, 1},
        {1, 1.0 / 3, kSecond, 9, 3},
        {10, 700000, 3600 * kSecond, 9, 9},
        {1, 0.5, kSecond, 9, 2},
        {1, 33.3333333, kSecond, 9, 1},  // in whole units a token would leave no headroom
        {1, 0.01, kSecond, 9, 100},      // the finest that leaves it, of powers of ten
        {1, 0.001, kSecond, 9, 1},
        {549.755813888, 1, kSecond, 9, 1},  // 2^39 units
        {549.755813889, 1, kSecond, 8, 1},
        {1e9, 3, kSecond, 2, 1},
        {549755813888, 3, kSecond, 0, 1},
        {1e15, 3, kSecond, 0, 1},
        {1e-6, 1e10, kSecond, 9, 1},
        {1, 2.8e9, 280000001, 9, 1},  // so fine that more than 2^58 units would come in a millisecond
    };
    for (const Case &c : kCases) {
        const Limit limit = made(c.capacity, c.rate, c.period);
        EXPECT_EQ(limit.units.places, c.places) << c.capacity << ", " << c.rate;
        EXPECT_EQ(limit.units.refinement, c.refinement) << c.capacity << ", " << c.rate;
        expect_counted(limit, model_units(c.capacity, c.rate, c.period), model::per_ns(c.rate, c.period));
    }
}

// The base moves before more than kMaxGrowthUnits have accrued, and the accrual counts at least 100 years without it.
TEST(Limit, Uptime) {
    constexpr uint64_t kCentury = uint64_t{100} * 31556952 * kSecond;
    std::mt19937_64 random(2);
    for (int i = 0; i < 2000; ++i) {
        const Limit limit = made(log_uniform(&random, 1e-6, 1e15), log_uniform(&random, 1e-9, 1e10));
        ASSERT_LE(limit.elapsed_limit, uint64_t{1} << 62);
        ASSERT_LT(tbu_gain(&limit.rate, {0, {0, 0}}, limit.elapsed_limit), tb::kMaxGrowthUnits);
        ASSERT_GE(limit.elapsed_limit, 1000000u) << "the base would be moved too often";
        const bool slow = tbu_gain(&limit.rate, {0, {0, 0}}, kCentury) < tb::kMaxGrowthUnits;
        ASSERT_TRUE(!slow || limit.elapsed_limit >= kCentury);
    }
}

TEST(Limit, AChangeKeepsTheUnits) {
    std::mt19937_64 random(3);
    uint64_t counted = 0;
    for (int i = 0; i < 3000; ++i) {
        const double before = log_uniform(&random, 1e-6, 1e15);
        const double capacity = log_uniform(&random, 1e-6, 1e15);
        const tb::Units units = made(before, 3).units;
        Limit next{};
        const Status s = tb::change_limit(units, {capacity, 7, kSecond}, &next);
        const model::Integer full = model_units(before, 3).round_down(capacity);
        const bool fits = full >= model::Integer(1) && full <= model::Integer::power(2, 58);
        ASSERT_EQ(s, fits ? Status::success : Status::out_of_range) << before << " to " << capacity;
        if (!fits) continue;
        ASSERT_NO_FATAL_FAILURE(expect_counted(next, model_units(before, 3), model::per_ns(7, kSecond)));
        ++counted;
    }
    EXPECT_GT(counted, 1500u);
    EXPECT_LT(counted, 2900u);
}

TEST(Limit, AChangeThatIsRefusedWritesNothing) {
    const tb::Units units = made(1, 1).units;
    Limit next = made(2, 2);
    EXPECT_EQ(tb::change_limit(units, {1e15, 1, kSecond}, &next), Status::out_of_range);
    EXPECT_EQ(tb::change_limit(units, {1, 0, kSecond}, &next), Status::out_of_range);
    EXPECT_EQ(tb::change_limit(units, {std::nan(""), 1, kSecond}, &next), Status::invalid_argument);
    EXPECT_EQ(tb::make_limit({0, 1, kSecond}, &next), Status::out_of_range);
    EXPECT_EQ(next.capacity_tokens, 2);
}

// 2^20 capacities, and tokens, can be owed; and the capacity can become 2^19 times as much.
TEST(Limit, Headroom) {
    for (const double capacity : {1e-6, 0.3, 1.0, 500.0, 1e6, 5e11})
        for (const double rate : {1e-9, 1.0 / 7, 33.3333333, 1.00000001, 1e10}) {
            const Limit limit = made(capacity, rate);
            EXPECT_LE(limit.capacity * tb::kHeadroom, tb::kMaxDebtUnits);
            EXPECT_LE(limit.units.scale * tb::kHeadroom, tb::kMaxDebtUnits);
            const double grown = std::fmin(1e15, capacity * 524288);
            Limit next{};
            EXPECT_EQ(tb::change_limit(limit.units, {grown, rate, kSecond}, &next), Status::success) << capacity;
        }
}

TEST(Limit, WhatIsAnAmount) {
    for (const double x : {0.0, -0.0, -1.0, -5e-324, HUGE_VAL, -HUGE_VAL, std::nan(""), -std::nan("")})
        EXPECT_FALSE(tb::is_amount(x)) << x;
    for (const double x : {5e-324, 2.2250738585072014e-308, 1.0, 1.7976931348623157e308})
        EXPECT_TRUE(tb::is_amount(x)) << x;
}

TEST(Limit, TokensShownAreNeverAWholeOneTooMany) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 100000; ++i) {
        static const Limit kLimits[] = {made(1e15, 3),          made(1e15, 1e10),  made(123456789012.5, 7),
                                        made(1e9, 1.0 / 3),     made(10, 1.0 / 7), made(1e-6, 1e-5),
                                        made(549755813887.9, 3)};
        const Limit &limit = kLimits[random() % std::size(kLimits)];
        const int64_t scale = static_cast<int64_t>(limit.units.scale);
        const int64_t held = static_cast<int64_t>(random() % (limit.capacity + 1));
        const int64_t near_whole = held / scale * scale - static_cast<int64_t>(random() % 3);
        const int64_t units = i % 4 == 0 ? -held : i % 4 == 1 ? near_whole : i % 4 == 2 ? -near_whole : held;
        const double shown = tb::to_tokens(limit.units.scale, units);
        const int64_t whole = units >= 0 ? units / scale : -((-units + scale - 1) / scale);
        ASSERT_LE(std::floor(shown), static_cast<double>(whole)) << units << " of " << scale;
        ASSERT_NEAR(shown, static_cast<double>(units) / static_cast<double>(scale), std::fabs(shown) * 1e-15);
        ASSERT_TRUE(units % scale != 0 || shown == static_cast<double>(units / scale)) << units;
    }
}

}  // namespace
