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

// The unit promised: at most 1e-6 token up to 1000 tokens/s and 1e9 tokens; a whole number of them per nanosecond
// wherever that fits; and nothing that a bucket counts comes near the bounds of its word.
TEST(Limit, Units) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20000; ++i) {
        const bool small = i % 2 == 0;
        const double capacity = log_uniform(&random, 1e-6, small ? 1e9 : 1e15);
        const double rate = std::round(log_uniform(&random, 1, small ? 1000 : 1e10) * 1000) / 1000;
        const Limit limit = made(capacity, rate);
        const model::Rational per_ns = model::per_ns(rate, kSecond);
        const model::Units expected = model::fresh_units(capacity, per_ns);
        ASSERT_EQ(limit.places, static_cast<uint64_t>(expected.places)) << capacity;
        ASSERT_EQ(limit.scale, expected.scale().to_uint64()) << capacity << ", " << rate;
        ASSERT_EQ(limit.capacity_units, expected.round_down(capacity).to_uint64()) << capacity;
        ASSERT_TRUE(!small || limit.scale >= 1000000) << capacity << ", " << rate;
        ASSERT_LE(limit.capacity_units, tb::kMaxCapacityUnits);
        ASSERT_LE(limit.scale, tb::kMaxCapacityUnits);
        const model::Integer whole = floor_of(per_ns * model::Rational{expected.scale(), 1});
        ASSERT_EQ(limit.rate.whole, whole.to_uint64());
        const bool is_whole = (limit.rate.fraction.hi | limit.rate.fraction.lo) == 0;
        ASSERT_EQ(is_whole, (per_ns * model::Rational{expected.scale(), 1}).denominator == model::Integer(1));
    }
}

// The base moves before more than kMaxGrowthUnits have accrued, and the accrual counts at least 100 years without it.
TEST(Limit, Uptime) {
    constexpr uint64_t kCentury = uint64_t{100} * 31556952 * kSecond;
    std::mt19937_64 random(2);
    for (int i = 0; i < 5000; ++i) {
        const Limit limit = made(log_uniform(&random, 1e-6, 1e15), log_uniform(&random, 1e-9, 1e10));
        ASSERT_LE(limit.elapsed_limit, uint64_t{1} << 62);
        ASSERT_LE(tbu_gain(&limit.rate, {0, {0, 0}}, limit.elapsed_limit), tb::kMaxGrowthUnits + limit.rate.whole + 1);
        const bool slow = tbu_gain(&limit.rate, {0, {0, 0}}, kCentury) < tb::kMaxGrowthUnits;
        ASSERT_TRUE(!slow || limit.elapsed_limit >= kCentury);
    }
}

TEST(Limit, AChangeKeepsTheUnitsWhereItCan) {
    std::mt19937_64 random(3);
    uint64_t kept = 0;
    for (int i = 0; i < 3000; ++i) {
        const double before = log_uniform(&random, 1e-6, 1e15);
        const Limit previous = made(before, 3);
        const double capacity = i % 2 == 0 ? before : log_uniform(&random, 1e-6, 1e15);
        Limit next{};
        ASSERT_EQ(tb::change_limit(previous, {capacity, 7, kSecond}, &next), Status::success);
        const model::Units units = model::fresh_units(before, model::per_ns(3, kSecond));
        const model::Units expected = model::changed_units(units, capacity, model::per_ns(7, kSecond));
        ASSERT_EQ(next.scale, expected.scale().to_uint64()) << before << " to " << capacity;
        kept += next.scale == previous.scale ? 1 : 0;
    }
    EXPECT_GT(kept, 1500u);
}

TEST(Limit, TokensShownAreNeverAWholeOneTooMany) {
    std::mt19937_64 random(4);
    for (int i = 0; i < 200000; ++i) {
        static const Limit kLimits[] = {made(1e15, 3),       made(1e15, 1e10),  made(123456789012.5, 7),
                                        made(1e9, 1.0 / 3),  made(10, 1.0 / 7), made(1e-6, 1e-5),
                                        made(288230376.1, 3)};
        const Limit &limit = kLimits[random() % std::size(kLimits)];
        const int64_t scale = static_cast<int64_t>(limit.scale);
        const int64_t held = static_cast<int64_t>(random() % (limit.capacity_units + 1));
        const int64_t near_whole = held / scale * scale - static_cast<int64_t>(random() % 3);
        const int64_t units = i % 4 == 0 ? -held : i % 4 == 1 ? near_whole : i % 4 == 2 ? -near_whole : held;
        const double shown = tb::to_tokens(limit, units);
        const int64_t whole = units >= 0 ? units / scale : -((-units + scale - 1) / scale);
        ASSERT_LE(std::floor(shown), static_cast<double>(whole)) << units << " of " << scale;
        ASSERT_NEAR(shown, static_cast<double>(units) / static_cast<double>(scale), std::fabs(shown) * 1e-15);
        ASSERT_TRUE(units % scale != 0 || shown == static_cast<double>(units / scale)) << units;
    }
}

}  // namespace
