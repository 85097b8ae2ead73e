// Plans: what is there at a time, when there will be more, and what moving the base keeps.
#include "core/bucket/plan.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "tests/model/integer.h"
#include "tests/support/core.h"

namespace {

using model::Integer;
using tb::Balance;
using tb::Plan;
using tb_test::kSecond;
using tb_test::limit_of;

Plan plan_of(double capacity, double rate, int64_t base_ns = 0, uint64_t position = 0) {
    return tb::make_plan(limit_of(capacity, rate), base_ns, {position, {0, 0}});
}

uint64_t holding(const Plan &plan, int64_t units) {
    return tb::word_at(plan.base.units - static_cast<uint64_t>(units), 0);
}

TEST(Plan, HoldsWhatTheLimitSays) {
    const tb::Limit limit = limit_of(2.5, 1.0 / 3);
    Plan plan = tb::make_plan(limit, 17, {5, {6, 7}});
    EXPECT_EQ(plan.base_ns, 17);
    EXPECT_EQ(plan.base.units, 5u);
    EXPECT_EQ(plan.scale, 3000000000u);
    EXPECT_EQ(plan.capacity, 7500000000u);
    EXPECT_EQ(plan.places(), 9u);
    EXPECT_EQ(plan.refinement(), 3u);
    EXPECT_EQ(plan.units().scale, limit.units.scale);
    EXPECT_EQ(std::bit_cast<double>(plan.largest_amount), 2.5);
    EXPECT_EQ(plan.era(), 0u);
    EXPECT_FALSE(plan.is_closed());
    plan.close();
    plan.begin_era();
    EXPECT_TRUE(plan.is_closed());
    EXPECT_EQ(plan.largest_amount, 0u);
    EXPECT_EQ(plan.era(), 1u);
    EXPECT_EQ(plan.places(), 9u);
    EXPECT_EQ(plan.refinement(), 3u);
}

TEST(Plan, ErasComeRoundAfter65536) {
    Plan plan = plan_of(1, 1);
    for (uint64_t i = 1; i < tb::kEras; ++i) {
        plan.begin_era();
        ASSERT_EQ(plan.era(), i);
    }
    plan.begin_era();
    EXPECT_EQ(plan.era(), 0u);
    EXPECT_EQ(plan.places(), 9u);
}

TEST(Plan, AnotherLimitKeepsBaseEraAndUnits) {
    Plan plan = tb::make_plan(limit_of(1, 1.0 / 3), 17, {5, {6, 7}});
    plan.begin_era();
    tb::Limit limit{};
    ASSERT_EQ(tb::change_limit(plan.units(), {2, 7, kSecond}, &limit), tb::Status::success);
    const Plan next = tb::relimited(plan, limit);
    EXPECT_EQ(next.base_ns, 17);
    EXPECT_EQ(next.base.units, 5u);
    EXPECT_EQ(next.base.fraction.lo, 7u);
    EXPECT_EQ(next.traits, plan.traits);
    EXPECT_EQ(next.scale, plan.scale);
    EXPECT_EQ(next.capacity, 6000000000u);
    EXPECT_EQ(next.rate.whole, 21u);
}

TEST(Plan, BalanceAtTheEdges) {
    const Plan plan = plan_of(10, 1e9, 1000, UINT64_MAX - 3);
    const int64_t full = 10000000000;
    EXPECT_EQ(tb::balance(holding(plan, full), plan, 1000).available, full);
    EXPECT_EQ(tb::balance(holding(plan, full), plan, INT64_MAX).available, full) << "saturates";
    EXPECT_EQ(tb::balance(holding(plan, full + 1), plan, 1000).available, full) << "a capacity that was lowered";
    EXPECT_EQ(tb::balance(holding(plan, full - 1), plan, 1001).available, full);
    EXPECT_EQ(tb::balance(holding(plan, -full), plan, 1019).available, 9000000000);
    const int64_t debt = -(int64_t{1} << 59);
    EXPECT_EQ(tb::balance(holding(plan, debt), plan, 0).available, debt);
    EXPECT_EQ(tb::balance(holding(plan, debt), plan, INT64_MAX).available, full);
    const Balance before = tb::balance(holding(plan, 5), plan, 0);
    EXPECT_EQ(before.at.elapsed, 0u);
    EXPECT_EQ(before.available, 5);
    EXPECT_EQ(before.accrued, plan.base.units);
}

// One unit a nanosecond.
TEST(Plan, BalanceAtTheMomentItIsFull) {
    const Plan plan = plan_of(10, 1);
    const int64_t full = 10000000000;
    const int64_t missing[] = {3, 2, 1, 0, 0, 0};
    for (int64_t now = 0; now < 6; ++now)
        EXPECT_EQ(tb::balance(holding(plan, full - 3), plan, now).available, full - missing[now]) << now;
}

TEST(Plan, BalanceIsTheDefinition) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20000; ++i) {
        const Plan plan = plan_of(10, i % 2 == 0 ? 1e9 : 33.3333333, static_cast<int64_t>(random() % 1000), random());
        const int64_t held = static_cast<int64_t>(random() >> 5 >> (random() % 59)) * (i % 3 == 0 ? -1 : 1);
        const int64_t now = static_cast<int64_t>(random() >> (2 + random() % 62));
        const Balance b = tb::balance(holding(plan, held), plan, now);
        const uint64_t e = now > plan.base_ns ? static_cast<uint64_t>(now - plan.base_ns) : 0;
        // 33.3333333 per second are 333333333 / 10^7 units in a second of 10^9 ns.
        const Integer numerator = i % 2 == 0 ? Integer(1000000000) : Integer(333333333);
        const Integer denominator = i % 2 == 0 ? Integer(1) : Integer(10000000);
        const Integer gain = floor_of(Integer::of_unsigned(e) * numerator, denominator);
        const Integer expected = std::min(Integer(10000000000), Integer(held) + gain);
        ASSERT_TRUE(Integer(b.available) == expected) << held << " at " << now;
        ASSERT_EQ(b.at.elapsed, e);
    }
}

TEST(Plan, TimeToGrowIsTheFirstInstant) {
    std::mt19937_64 random(2);
    constexpr double kRates[] = {1e-9, 1.0 / 3, 33.3333333, 1e6, 1e10};
    for (int i = 0; i < 5000; ++i) {
        const Plan plan = plan_of(10, kRates[random() % std::size(kRates)], 50, random());
        const int64_t held = static_cast<int64_t>(random() % 10000000000) - 5000000000;
        const uint64_t word = holding(plan, held);
        const int64_t now = static_cast<int64_t>(random() >> (6 + random() % 56));
        const Balance then = tb::balance(word, plan, now);
        const int64_t target = static_cast<int64_t>(random() % 10000000001);
        const int64_t wait = tb::time_to_grow(plan, then.at, then.available, target);
        if (then.available >= target) {
            ASSERT_EQ(wait, 0);
            continue;
        }
        if (wait == TBU_NEVER) continue;
        const int64_t from = std::max<int64_t>(now, plan.base_ns);
        if (wait > INT64_MAX - from) continue;
        ASSERT_GE(tb::balance(word, plan, from + wait).available, target);
        ASSERT_LT(tb::balance(word, plan, from + wait - 1).available, target);
    }
}

TEST(Plan, MovingTheBaseChangesNothing) {
    std::mt19937_64 random(3);
    constexpr double kRates[] = {1e-9, 1.0 / 3, 33.3333333, 1e6, 1e10};
    for (int i = 0; i < 5000; ++i) {
        const Plan plan = plan_of(10, kRates[random() % std::size(kRates)], 50, random());
        Plan moved = plan;
        int64_t now = 50;
        for (int step = 0; step < 5; ++step) {
            now += static_cast<int64_t>(random() >> (8 + random() % 56));
            moved = tb::rebased(moved, now);
            ASSERT_EQ(moved.base_ns, now);
            ASSERT_EQ(moved.base.units, tb::position_at(plan, now).units);
        }
        const int64_t later = now + static_cast<int64_t>(random() >> (8 + random() % 56));
        ASSERT_EQ(tb::position_at(moved, later).units, tb::position_at(plan, later).units);
        ASSERT_EQ(tb::rebased(moved, now - 1).base_ns, now) << "never back";
        ASSERT_EQ(moved.capacity, plan.capacity);
        ASSERT_EQ(moved.elapsed_limit, plan.elapsed_limit);
    }
}

TEST(Plan, Words) {
    EXPECT_EQ(tb::word_at(5, 3), 5u * 8 + 3);
    EXPECT_EQ(tb::word_at(5, 8 * 77 + 6), 5u * 8 + 6);
    EXPECT_EQ(tb::next_generation(40), 41u);
    EXPECT_EQ(tb::next_generation(47), 40u) << "the position stays";
    EXPECT_EQ(tb::next_generation(UINT64_MAX), UINT64_MAX - 7);
    EXPECT_EQ(tb::word_difference(tb::word_at(9, 7), tb::word_at(5, 1)), 4);
    EXPECT_EQ(tb::word_difference(tb::word_at(5, 7), tb::word_at(9, 1)), -4);
    EXPECT_EQ(tb::word_difference(tb::word_at(3, 0), tb::word_at(UINT64_MAX, 0)), 4);
    EXPECT_EQ(tb::word_difference(tb::word_at((uint64_t{1} << 61) + 3, 0), tb::word_at(1, 0)), 2);
    const int64_t far = (int64_t{1} << 60) - 1;
    EXPECT_EQ(tb::word_difference(tb::word_at(static_cast<uint64_t>(far), 0), 0), far);
    EXPECT_EQ(tb::word_difference(0, tb::word_at(static_cast<uint64_t>(far), 0)), -far);
}

}  // namespace
