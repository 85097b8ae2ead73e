// decide(): named cases, and the short way against the long one.
#include "core/bucket/decide.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "tests/model/meaning.h"
#include "tests/support/core.h"
#include "tests/support/effort.h"

namespace {

using tb::Decision;
using tb::Plan;
using tb::PlanSlot;
using tb::Status;
using tb_test::limit_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

void expect_same(const Decision &a, const Decision &b) {
    EXPECT_EQ(a.status, b.status);
    EXPECT_EQ(a.outgrown, b.outgrown);
    EXPECT_EQ(a.next, b.next);
    EXPECT_EQ(a.rest, b.rest);
    EXPECT_EQ(a.cost, b.cost);
}

// A bucket at a word and a plan. Both ways are taken at each decision, and must agree.
class Decide : public testing::Test {
  protected:
    void start(const Plan &plan, int64_t held) {
        slot.store(plan);
        word = tb::word_at(plan.base.units - static_cast<uint64_t>(held), 0);
    }
    // Full, with its base at 1000 ns and position 0.
    void start_full(double capacity, double rate) {
        const tb::Limit limit = limit_of(capacity, rate);
        start(tb::make_plan(limit, 1000, {0, {0, 0}}), static_cast<int64_t>(limit.capacity));
    }
    Decision decide(double n, int64_t now) {
        const Decision d = tb::decide(word, slot, n, now);
        expect_same(d, tb::decide_slowly(word, slot, n, now));
        return d;
    }
    Status take(double n, int64_t now) {
        const Decision d = decide(n, now);
        if (d.status == Status::success) word = d.next;
        return d.status;
    }
    void expect_refusal(double n, Status why) {
        const Decision d = decide(n, 1000);
        EXPECT_EQ(d.status, why) << n;
        EXPECT_FALSE(d.outgrown);
    }

    PlanSlot slot;
    uint64_t word = 0;
};

TEST_F(Decide, GrantsWhatIsThereAndNoMore) {
    start_full(10, 1e9);
    EXPECT_EQ(take(10, 1000), Status::success);
    EXPECT_EQ(take(1, 1000), Status::denied);
    EXPECT_EQ(take(1, 1001), Status::success);
    EXPECT_EQ(take(1, 1001), Status::denied);
}

TEST_F(Decide, AFullBucketForgetsWhatOverflows) {
    start_full(10, 1e9);
    EXPECT_EQ(take(10, 1000000), Status::success);
    EXPECT_EQ(take(1, 1000000), Status::denied);
}

TEST_F(Decide, SaysWhatItCostsAndLeaves) {
    start_full(10, 1e9);
    const Decision granted = decide(2.5, 1000);
    EXPECT_EQ(granted.cost, 2500000000);
    EXPECT_EQ(granted.rest, 7500000000);
    EXPECT_EQ(tb::word_difference(granted.next, word), granted.cost);
    word = granted.next;
    const Decision denied = decide(8, 1000);
    EXPECT_EQ(denied.status, Status::denied);
    EXPECT_EQ(denied.cost, 8000000000);
    EXPECT_EQ(denied.rest, 7500000000) << "what is there";
    EXPECT_EQ(denied.next, word);
}

TEST(Price, IsInSixteenths) {
    for (const double n : {0x1p-4, 0.125, 0.9375, 1.0, 2.5, 1e15, 0x1.fffffffffffffp57})
        EXPECT_TRUE(tb::is_in_sixteenths(n)) << n;
    for (const double n : {0.0, -0.0, -0.5, -1.0, 5e-324, 0x1p-5, 0.1, 0x1.8p-5, 1.03125, 0x1p58, 1e300, kNan, -kNan,
                           kInfinity, -kInfinity, std::nextafter(0.5, 0), std::nextafter(0.5, 1)})
        EXPECT_FALSE(tb::is_in_sixteenths(n)) << n;
}

// Against the search and the model, in units of all sizes, and in whole tokens with a capacity that is none.
TEST(Price, InSixteenthsIsTheCost) {
    const tb::Limit largest = limit_of(1e15, 1);
    ASSERT_EQ(largest.units.scale, 1u);
    std::vector<tb::Limit> limits;
    for (const double rate : {1e-9, 1.0 / 3, 7.0, 1e10})
        for (const double capacity : {0.0625, 2.5, 1e3, 98765.4321, 1e6, 1e9, 123456789012.5, 1e12, 1e15})
            limits.push_back(limit_of(capacity, rate));
    for (const double capacity : {1.5, 2.9375, 1e6 + 0.5, 999999999999.9375}) {
        limits.push_back({});
        ASSERT_EQ(tb::change_limit(largest.units, {capacity, 1, tb_test::kSecond}, &limits.back()), Status::success);
    }
    std::mt19937_64 random(support::effort("TB_SEED", 3, 3));
    PlanSlot slot;
    for (const tb::Limit &limit : limits) {
        const Plan plan = tb::make_plan(limit, 0, {0, {0, 0}});
        slot.store(plan);
        const uint64_t rounds = support::effort("TB_ROUNDS", 3000, 1000);
        for (uint64_t i = 0; i < rounds; ++i) {
            double n = std::floor(limit.capacity_tokens * 16 / static_cast<double>(1 + random() % (i + 1))) / 16;
            n = std::max(0x1p-4, n - static_cast<double>(random() % 40) / 16);
            if (i == 0) n = std::floor(limit.capacity_tokens * 16) / 16;
            ASSERT_TRUE(tb::is_in_sixteenths(n));
            ASSERT_LE(n, limit.capacity_tokens);
            const uint64_t price = tb::PriceInSixteenths()(slot, n);
            int64_t cost = 0;
            ASSERT_EQ(tb::cost_of(plan, n, &cost), Status::success);
            ASSERT_EQ(std::min(price, plan.capacity), static_cast<uint64_t>(cost)) << n << " " << plan.scale;
            const model::Rational meant = model::amount_meaning(n);
            const model::Integer units = model::Integer::of_unsigned(plan.scale) * meant.numerator;
            ASSERT_TRUE(model::Integer::of_unsigned(price) == model::ceiling_of(units, meant.denominator)) << n;
        }
    }
}

TEST_F(Decide, AnOlderTimeCanOnlyUnderGrant) {
    start_full(10, 1e9);
    ASSERT_EQ(take(10, 1100), Status::success);
    for (const int64_t older : {0, 1, 999, 1000, 1050, 1100}) EXPECT_EQ(take(1, older), Status::denied) << older;
    EXPECT_EQ(take(1, 1101), Status::success);
}

TEST_F(Decide, ATimeBeforeTheBaseIsTheBase) {
    start_full(10, 1e9);
    EXPECT_EQ(decide(3, 0).rest, decide(3, 1000).rest);
    EXPECT_EQ(decide(3, 0).next, decide(3, 1000).next);
}

TEST_F(Decide, WhatIsNoAmount) {
    start_full(10, 1);
    for (const double n : {0.0, -0.0, -1.0, -5e-324, -1e300, kNan, -kNan, kInfinity, -kInfinity})
        expect_refusal(n, Status::invalid_argument);
}

TEST_F(Decide, MoreThanTheCapacityExceedsIt) {
    for (const double capacity : {1e-6, 0.3, 1.0, 1.23456789012, 10.0, 1e15}) {
        start_full(capacity, 1);
        for (const double n : {std::nextafter(capacity, kInfinity), 2 * capacity, 9.3e18, 1e300})
            expect_refusal(n, Status::exceeds_capacity);
        EXPECT_EQ(decide(2 * capacity, 1000).rest, static_cast<int64_t>(slot.load().capacity)) << "what is there";
    }
}

TEST_F(Decide, TheNextDoubleAfterTheCapacityMayBeAShortDecimal) {
    start_full(std::nextafter(0.3, 0), 1);
    expect_refusal(0.3, Status::exceeds_capacity);
}

TEST_F(Decide, ExactlyTheCapacityTakesAllThatIsThere) {
    for (const double capacity : {1e-6, 0.3, 1.0 / 3, 1.0, 1.23456789012, 10.0, 123456789012.5, 1e15}) {
        start_full(capacity, 1);
        const Decision d = decide(capacity, 1000);
        EXPECT_EQ(d.status, Status::success) << capacity;
        EXPECT_EQ(d.cost, static_cast<int64_t>(slot.load().capacity));
        EXPECT_EQ(d.rest, 0);
    }
}

TEST_F(Decide, TheSmallestAmountsCostOneUnit) {
    start_full(10, 1);
    for (const double n : {5e-324, 2.2250738585072014e-308, 1e-18, 1e-10, 1e-9})
        EXPECT_EQ(decide(n, 1000).cost, 1) << n;
    EXPECT_EQ(decide(std::nextafter(1e-9, 1), 1000).cost, 2);
}

TEST_F(Decide, DecimalsCostWhatTheyMean) {
    start_full(10, 1);
    EXPECT_EQ(decide(0.1, 1000).cost, 100000000);
    EXPECT_EQ(decide(0.1 + 0.2, 1000).cost, 300000001) << "a little more than 0.3";
    EXPECT_EQ(decide(0.3, 1000).cost, 300000000);
    EXPECT_EQ(decide(1.0 / 3, 1000).cost, 333333334);
}

TEST_F(Decide, AClosedBucketGrantsNothing) {
    start_full(10, 1);
    Plan plan = slot.load();
    plan.close();
    slot.store(plan);
    for (const double n : {1.0, 0.5, 10.0, 11.0}) expect_refusal(n, Status::closed);
    expect_refusal(kNan, Status::invalid_argument);
    EXPECT_TRUE(plan.is_closed());
    EXPECT_TRUE(tb::relimited(plan, limit_of(20, 2)).is_closed());
    EXPECT_EQ(tb::decide_up_to(word, slot, 1, 1000).status, Status::closed);
}

TEST_F(Decide, KeepsTheGeneration) {
    start_full(10, 1e9);
    for (uint64_t generation = 0; generation < 8; ++generation) {
        word = (word & ~tb::kGenerationMask) | generation;
        for (const double n : {1.0, 0.5, 1.0 / 3}) {
            const Decision d = decide(n, 1010);
            ASSERT_EQ(d.status, Status::success);
            EXPECT_EQ(d.next & tb::kGenerationMask, generation);
            EXPECT_EQ(d.rest, static_cast<int64_t>(slot.load().capacity) - d.cost);
        }
    }
}

TEST_F(Decide, PositionsWrap) {
    const tb::Limit limit = limit_of(10, 1e9);
    for (const uint64_t base : {UINT64_MAX, uint64_t{1} << 63, (uint64_t{1} << 61) - 1, UINT64_MAX - 10000000000}) {
        start(tb::make_plan(limit, 1000, {base, {0, 0}}), static_cast<int64_t>(limit.capacity));
        EXPECT_EQ(take(10, 1000), Status::success) << base;
        EXPECT_EQ(take(1, 1000), Status::denied) << base;
        EXPECT_EQ(take(7.5, 1008), Status::success) << base;
        EXPECT_EQ(take(1, 1008), Status::denied) << base;
    }
}

// From 2^58 units after the base on, the base is to be moved; from 2^59 on, nothing can be stored before that.
TEST_F(Decide, FarFromTheBase) {
    start_full(10, 1e10);
    const int64_t limit_ns = static_cast<int64_t>(slot.load().elapsed_limit);
    EXPECT_FALSE(decide(1, 1000 + limit_ns).outgrown);
    const Decision outgrown = decide(1, 1000 + limit_ns + 1);
    EXPECT_TRUE(outgrown.outgrown);
    EXPECT_EQ(outgrown.status, Status::success);
    EXPECT_EQ(outgrown.rest, 9000000000);
    for (const int64_t far : {3 * limit_ns, 100 * limit_ns, int64_t{1} << 62}) {
        const Decision unseen = decide(1, 1000 + far);
        EXPECT_TRUE(unseen.outgrown);
        EXPECT_EQ(unseen.status, Status::stale) << far;
    }
    EXPECT_EQ(decide(1, 1000 + 2 * limit_ns - 10).status, Status::success);
}

TEST_F(Decide, DebtIsRepaidFirst) {
    const tb::Limit limit = limit_of(10, 1e9);
    start(tb::make_plan(limit, 0, {0, {0, 0}}), -(int64_t{1} << 57));
    const int64_t owed_ns = (int64_t{1} << 57) / 1000000000;
    EXPECT_EQ(take(1, owed_ns), Status::denied);
    EXPECT_EQ(take(1, owed_ns + 1), Status::denied);
    EXPECT_EQ(take(1, owed_ns + 2), Status::success);
}

TEST_F(Decide, UpTo) {
    start_full(10.5, 1e9);
    EXPECT_EQ(tb::decide_up_to(word, slot, 3, 1000).cost, 3000000000);
    EXPECT_EQ(tb::decide_up_to(word, slot, 3.99, 1000).cost, 3000000000);
    EXPECT_EQ(tb::decide_up_to(word, slot, 0.99, 1000).cost, 0);
    const Decision all = tb::decide_up_to(word, slot, 1e300, 1000);
    EXPECT_EQ(all.cost, 10000000000);
    EXPECT_EQ(all.rest, 500000000);
    word = all.next;
    const Decision none = tb::decide_up_to(word, slot, 1, 1000);
    EXPECT_EQ(none.status, Status::success);
    EXPECT_EQ(none.cost, 0);
    EXPECT_EQ(none.next, word) << "nothing is stored";
    for (const double n : {0.0, -1.0, kNan, kInfinity})
        EXPECT_EQ(tb::decide_up_to(word, slot, n, 1000).status, Status::invalid_argument);
}

TEST_F(Decide, UpToInDebtTakesNothing) {
    start(tb::make_plan(limit_of(10, 1), 0, {0, {0, 0}}), -5000000001);
    const Decision d = tb::decide_up_to(word, slot, 7, 0);
    EXPECT_EQ(d.cost, 0);
    EXPECT_EQ(d.next, word);
}

TEST_F(Decide, CostOf) {
    const Plan plan = tb::make_plan(limit_of(1.0 / 3, 1), 0, {0, {0, 0}});
    int64_t cost = -1;
    EXPECT_EQ(tb::cost_of(plan, 0.1, &cost), Status::success);
    EXPECT_EQ(cost, 100000000);
    EXPECT_EQ(tb::cost_of(plan, 1.0 / 3, &cost), Status::success);
    EXPECT_EQ(cost, 333333333) << "what the bucket holds";
    EXPECT_EQ(tb::cost_of(plan, std::nextafter(1.0 / 3, 1), &cost), Status::exceeds_capacity);
    EXPECT_EQ(tb::cost_of(plan, kNan, &cost), Status::invalid_argument);
    EXPECT_EQ(cost, 333333333);
}

// Random plans, words, amounts and times: both ways decide alike.
TEST_F(Decide, TheShortWayEqualsTheLongOne) {
    constexpr double kCapacities[] = {1e-6, 0.3, 1, 1.23456789012, 10, 1000.5, 1e6, 123456789012.5, 1e15};
    constexpr double kRates[] = {1e-9, 1.0 / 3, 3, 33.3333333, 1e6, 7e8, 1e10};
    std::mt19937_64 random(1);
    int granted = 0;
    int denied = 0;
    for (int round = 0; round < 2000; ++round) {
        const double capacity = kCapacities[random() % std::size(kCapacities)];
        const tb::Limit limit = limit_of(capacity, kRates[random() % std::size(kRates)]);
        const tbu_position base{random() >> (random() % 64), {random(), random()}};
        const int64_t base_ns = static_cast<int64_t>(random() % 1000000);
        const int64_t held = static_cast<int64_t>(random() % limit.capacity) >> (random() % 60);
        start(tb::make_plan(limit, base_ns, base), random() % 4 == 0 ? -held : held);
        word |= random() % 8;
        for (int i = 0; i < 100; ++i) {
            const double parts[] = {capacity, 1,    std::floor(capacity),           1.0 / 3,
                                    0.1,      1e-9, std::bit_cast<double>(random())};
            const double n = parts[random() % std::size(parts)] / static_cast<double>(1 + random() % 8);
            const int64_t now = base_ns + static_cast<int64_t>(random() >> (2 + random() % 62)) - 100;
            const Status s = take(n, now < 0 ? 0 : now);
            granted += s == Status::success ? 1 : 0;
            denied += s == Status::denied ? 1 : 0;
            ASSERT_FALSE(HasNonfatalFailure()) << capacity << ", " << n << " at " << now;
        }
    }
    EXPECT_GT(granted, 10000);
    EXPECT_GT(denied, 10000);
}

// One thread writes two plans in turn into one slot: whoever decides meanwhile decides by one of them, or by none.
TEST_F(Decide, ATornPlanDecidesNothing) {
    const Plan small = tb::make_plan(limit_of(10, 1e9), 0, {0, {0, 0}});
    Plan large = tb::make_plan(limit_of(1000000, 7e9), 500, {77000000000, {1, 1}});
    start(small, 0);
    const std::vector<Decision> whole = {tb::decide(word, slot, 3.5, 1000), [&] {
                                             slot.store(large);
                                             return tb::decide(word, slot, 3.5, 1000);
                                         }()};
    ASSERT_NE(whole[0].rest, whole[1].rest);
    std::atomic<uint64_t> written{0};
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        while (!stop) slot.store(written++ % 2 == 0 ? small : large);
    });
    for (int torn = 0; torn < 20000 && written < 5000000;) {
        const Decision d = tb::decide(word, slot, 3.5, 1000);
        if (d.status == Status::stale) {
            ++torn;
            continue;
        }
        const Decision &expected = whole[d.rest == whole[0].rest ? 0 : 1];
        expect_same(d, expected);
        if (HasNonfatalFailure()) break;
    }
    stop = true;
    writer.join();
}

}  // namespace
