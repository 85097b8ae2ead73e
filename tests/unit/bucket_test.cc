// The bucket at times of the test's choice, older ones than it has seen among them.
#include "core/bucket/bucket.h"

#include <gtest/gtest.h>

namespace {

using tb::Bucket;
using tb::Limit;
using tb::Status;

Limit limit_of(double capacity, double rate_tokens, int64_t period_ns) {
    Limit limit;
    EXPECT_EQ(tb::make_limit({capacity, rate_tokens, period_ns}, &limit), Status::success);
    return limit;
}

Bucket full(const Limit &limit, int64_t now) {
    return Bucket(limit, static_cast<int64_t>(limit.capacity_units), now);
}

TEST(Bucket, AnOlderTimeCanOnlyUnderGrant) {
    Bucket b = full(limit_of(10, 1e9, 1000000000), 0);
    ASSERT_EQ(b.try_take(10, 100), Status::success);
    EXPECT_EQ(b.try_take(1, 0), Status::denied);
    EXPECT_EQ(b.try_take(1, 100), Status::denied);
    EXPECT_EQ(b.try_take(1, 101), Status::success);
}

// Close to 10 tokens per nanosecond, over a period that shares no factor with a power of ten: the finest unit in which
// the rate is whole would let more than the word can count accrue in one nanosecond.
TEST(Bucket, TheHighestRateOverAnAwkwardPeriodDoesNotWrap) {
    Bucket b = full(limit_of(1, 2.8e9, 280000001), 0);
    ASSERT_EQ(b.try_take(1, 1), Status::success);
    EXPECT_EQ(b.try_take(1, 0), Status::denied);
    EXPECT_EQ(b.try_take(1, 1), Status::denied);
    EXPECT_EQ(b.try_take(1, 2), Status::success);
    int64_t repaid = 0;
    ASSERT_EQ(b.charge(200, 3, &repaid), Status::success);
    EXPECT_GT(repaid, 18);
    EXPECT_EQ(b.try_take(1, 2), Status::denied);
    EXPECT_EQ(b.try_take(1, 3 + repaid), Status::denied);
    EXPECT_EQ(b.try_take(1, 4 + repaid), Status::success);
}

// In the longest time in which positions may be stored less than the word's reach accrues, whatever the rate.
TEST(Bucket, NoLimitAccruesMoreThanItsElapsedLimitAllows) {
    for (const double capacity : {1e-6, 0.3, 1.0, 1e6, 1e9, 1e15})
        for (const double tokens : {1e-9, 1.0 / 3, 1e3, 123456.789, 1e10})
            for (const int64_t period : {int64_t{1000000000}, int64_t{999999937}, int64_t{3600000000000}}) {
                Limit limit;
                if (tb::make_limit({capacity, tokens, period}, &limit) != Status::success) continue;
                EXPECT_LT(tbu_gain(&limit.rate, {0, {0, 0}}, limit.elapsed_limit), tb::kMaxGrowthUnits);
                EXPECT_GE(limit.elapsed_limit, 1000000u) << "the base would be moved too often";
            }
}

}  // namespace
