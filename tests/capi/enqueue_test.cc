// Waiters that are no threads: one queue with those that are, on the manual clock.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

// A bucket of 10 tokens, 1 per second, empty at 0.
class Enqueue : public ManualBucket {
  protected:
    void SetUp() override {
        clock = manual_clock();
        bucket = bucket_of(config());
    }
    void TearDown() override { bucket.reset(); }

    tb_config config() {
        tb_config c = config_of(10, 1, clock.get());
        c.initial_tokens = 0;
        c.on_wake = [](void *self, uint64_t tag) { static_cast<Enqueue *>(self)->woken.push_back(tag); };
        c.wake_user = this;
        return c;
    }

    // Enters; the tag is the number of tokens.
    uint64_t enter(double n, int64_t timeout_ns = TB_FOREVER, int32_t priority = 0) {
        uint64_t waiter = 0;
        status = tb_enqueue(bucket.get(), n, timeout_ns, priority, static_cast<uint64_t>(n), &waiter, &wait_ns);
        return waiter;
    }
    tb_status check(uint64_t waiter) { return status = tb_waiter_check(bucket.get(), waiter, &wait_ns); }
    void expect_pending(uint64_t waiter, int64_t ns) {
        EXPECT_EQ(check(waiter), TB_PENDING);
        EXPECT_EQ(wait_ns, ns);
    }
    void leave(uint64_t waiter) { EXPECT_EQ(tb_waiter_leave(bucket.get(), waiter), TB_SUCCESS); }
    std::vector<uint64_t> wakes() { return std::exchange(woken, {}); }

    std::vector<uint64_t> woken;
    tb_status status = TB_SUCCESS;
    int64_t wait_ns = 0;
};

using Tags = std::vector<uint64_t>;

TEST_F(Enqueue, WhatIsThereIsTakenAtOnce) {
    advance(5 * kSecond);
    EXPECT_EQ(enter(3), 0u);
    EXPECT_EQ(status, TB_SUCCESS);
    EXPECT_EQ(wait_ns, 0);
    EXPECT_EQ(left(), 2);
}

TEST_F(Enqueue, AWaiterCollectsWhenItIsDue) {
    const uint64_t a = enter(3);
    EXPECT_EQ(status, TB_PENDING);
    EXPECT_EQ(wait_ns, 3 * kSecond);
    advance(3 * kSecond - 1);
    expect_pending(a, 1);
    EXPECT_EQ(wakes(), Tags{});
    advance(1);
    EXPECT_EQ(wakes(), Tags{3});
    EXPECT_EQ(check(a), TB_SUCCESS);
    EXPECT_EQ(check(a), TB_E_INVALID_ARGUMENT) << "it is gone";
    EXPECT_EQ(tb_waiter_leave(bucket.get(), a), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(left(), 0);
}

TEST_F(Enqueue, OneThatLeavesLetsTheNextMoveUpAndNoTakeOvertakesIt) {
    advance(10 * kSecond);
    ASSERT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    const uint64_t a = enter(10);
    const uint64_t b = enter(1);
    EXPECT_EQ(wait_ns, 11 * kSecond);
    leave(a);
    EXPECT_EQ(wakes(), Tags{1});
    expect_pending(b, kSecond);
    advance(kSecond);
    EXPECT_EQ(tb_allow(bucket.get(), 1), TB_DENIED);
    EXPECT_EQ(check(b), TB_SUCCESS);
}

TEST_F(Enqueue, WaitersOfBothKindsStandInOneOrder) {
    const uint64_t a = enter(2);
    Waiter thread(clock.get(), bucket.get(), 3);
    const uint64_t c = enter(4);
    EXPECT_EQ(wait_ns, 9 * kSecond);
    leave(a);
    EXPECT_EQ(wakes(), Tags{});
    expect_pending(c, 7 * kSecond);
    advance(3 * kSecond);
    EXPECT_EQ(thread.join(), TB_SUCCESS);
    advance(4 * kSecond);
    EXPECT_EQ(check(c), TB_SUCCESS);
}

TEST_F(Enqueue, OneWhoseTokensAreDueGivesThemBackWhenItLeaves) {
    const uint64_t a = enter(3);
    advance(4 * kSecond);
    EXPECT_EQ(left(), 1);
    leave(a);
    EXPECT_EQ(left(), 4);
}

TEST_F(Enqueue, WhatWouldHaveOverflowedDoesNotComeBack) {
    const uint64_t a = enter(3);
    advance(20 * kSecond);
    EXPECT_EQ(left(), 10);
    ASSERT_EQ(tb_allow(bucket.get(), 10), TB_SUCCESS);
    leave(a);
    EXPECT_EQ(left(), 0) << "a bucket that never knew it holds 10 at 20 s, too";
}

TEST_F(Enqueue, OneThatGoesLeavesTheOthersWhereTheyAre) {
    const uint64_t a = enter(10);
    const uint64_t b = enter(2);
    advance(12 * kSecond);
    leave(a);
    EXPECT_EQ(left(), 8) << "without it the bucket was full until the other became due";
    EXPECT_EQ(tb_allow(bucket.get(), 10), TB_DENIED);
    EXPECT_EQ(check(b), TB_SUCCESS);
    EXPECT_EQ(left(), 8);
}

TEST_F(Enqueue, OneOfAHigherPriorityThatIsGrantedAtOncePushesOthersBack) {
    advance(3 * kSecond);
    const uint64_t a = enter(5, 2 * kSecond);
    const uint64_t b = enter(4, 8 * kSecond);
    EXPECT_EQ(enter(3, TB_FOREVER, 1), 0u);
    EXPECT_EQ(status, TB_SUCCESS);
    EXPECT_EQ(check(a), TB_TIMED_OUT);
    expect_pending(b, 4 * kSecond);
}

TEST_F(Enqueue, AHigherPriorityGoesFirstAndPushesOthersBehindTheirTimeouts) {
    const uint64_t a = enter(1, 3 * kSecond);
    const uint64_t b = enter(2, 3 * kSecond);
    const uint64_t c = enter(3, TB_FOREVER, 5);
    EXPECT_EQ(wait_ns, 3 * kSecond);
    EXPECT_EQ(wakes(), (Tags{1, 2}));
    EXPECT_EQ(check(a), TB_TIMED_OUT);
    EXPECT_EQ(check(b), TB_TIMED_OUT);
    const uint64_t d = enter(1, TB_FOREVER, 5);
    EXPECT_EQ(wait_ns, 4 * kSecond) << "equal ones in order of arrival";
    const uint64_t e = enter(1, TB_FOREVER, INT32_MIN);
    const uint64_t f = enter(1, TB_FOREVER, INT32_MAX);
    EXPECT_EQ(wait_ns, kSecond);
    expect_pending(c, 4 * kSecond);
    expect_pending(d, 5 * kSecond);
    expect_pending(e, 6 * kSecond);
    leave(f);
    expect_pending(e, 5 * kSecond);
}

TEST_F(Enqueue, TooLateIsSaidAtOnceWithTheTimeItWouldTake) {
    enter(3);
    EXPECT_EQ(enter(2, 4 * kSecond), 0u);
    EXPECT_EQ(status, TB_TIMED_OUT);
    EXPECT_EQ(wait_ns, 5 * kSecond);
    EXPECT_EQ(left(), -3);
    EXPECT_EQ(enter(2, 0), 0u);
    EXPECT_EQ(status, TB_TIMED_OUT);
    EXPECT_EQ(wait_ns, 5 * kSecond);
}

TEST_F(Enqueue, BadArgumentsChangeNothing) {
    uint64_t waiter = 77;
    int64_t ns = 78;
    const auto enqueue = [&](double n, int64_t timeout) {
        return tb_enqueue(bucket.get(), n, timeout, 0, 0, &waiter, &ns);
    };
    EXPECT_EQ(enqueue(0, TB_FOREVER), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(enqueue(1, -1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(enqueue(11, TB_FOREVER), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_enqueue(nullptr, 1, 1, 0, 0, &waiter, &ns), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_enqueue(bucket.get(), 1, 1, 0, 0, nullptr, &ns), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_enqueue(bucket.get(), 1, 1, 0, 0, &waiter, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(waiter, 77u);
    EXPECT_EQ(ns, 78);
    for (const uint64_t number : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 24, UINT64_MAX}) {
        EXPECT_EQ(tb_waiter_check(bucket.get(), number, &ns), TB_E_INVALID_ARGUMENT);
        EXPECT_EQ(tb_waiter_leave(bucket.get(), number), TB_E_INVALID_ARGUMENT);
    }
    EXPECT_EQ(left(), 0);
}

TEST_F(Enqueue, AClosedBucketTellsItsWaitersAndGrantsThoseThatAreDue) {
    const uint64_t a = enter(2);
    const uint64_t b = enter(3);
    advance(2 * kSecond);
    EXPECT_EQ(wakes(), Tags{2});
    ASSERT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    EXPECT_EQ(wakes(), (Tags{2, 3}));
    EXPECT_EQ(check(a), TB_SUCCESS);
    EXPECT_EQ(check(b), TB_CLOSED);
    EXPECT_EQ(enter(1), 0u);
    EXPECT_EQ(status, TB_CLOSED);
}

TEST_F(Enqueue, ManyAreToldAndFreedWithTheBucket) {
    constexpr uint64_t kMany = 10000;
    for (uint64_t i = 0; i < kMany; ++i) enter(1);
    int64_t count = 0;
    EXPECT_EQ(tb_manual_clock_waiters(clock.get(), &count, nullptr), TB_SUCCESS);
    EXPECT_EQ(count, static_cast<int64_t>(kMany));
    bucket.reset();
    EXPECT_EQ(wakes().size(), kMany);
    EXPECT_EQ(tb_manual_clock_waiters(clock.get(), &count, nullptr), TB_SUCCESS);
    EXPECT_EQ(count, 0);
}

TEST_F(Enqueue, ANumberOfAnotherBucketIsNobody) {
    const uint64_t a = enter(1);
    BucketHandle mine = std::move(bucket);
    bucket = bucket_of(config());
    EXPECT_EQ(check(a), TB_E_INVALID_ARGUMENT);
    enter(1);
    EXPECT_EQ(check(a), TB_E_INVALID_ARGUMENT);
    bucket = std::move(mine);
    expect_pending(a, kSecond);
}

// Whoever is woken checks or leaves at once.
class Nested : public Enqueue {
  protected:
    void SetUp() override {
        clock = manual_clock();
        tb_config c = config();
        c.capacity = kMany;
        c.on_wake = [](void *self, uint64_t tag) { static_cast<Nested *>(self)->wake(tag); };
        bucket = bucket_of(c);
        for (int i = 0; i < kMany; ++i) {
            int64_t ns = 0;
            ASSERT_EQ(tb_enqueue(bucket.get(), 1, TB_FOREVER, 0, static_cast<uint64_t>(i), &numbers[i], &ns),
                      TB_PENDING);
        }
    }
    void wake(uint64_t tag) {
        deepest = std::max(deepest, ++depth);
        int64_t ns = 0;
        if (leaves) tb_waiter_leave(bucket.get(), numbers[tag]);
        if (!leaves) tb_waiter_check(bucket.get(), numbers[tag], &ns);
        ++calls;
        --depth;
    }

    static constexpr int kMany = 5000;
    uint64_t numbers[kMany];
    bool leaves = false;
    int depth = 0, deepest = 0, calls = 0;
};

TEST_F(Nested, AWakeThatChecksIsNotNested) {
    ASSERT_EQ(tb_refund(bucket.get(), kMany), TB_SUCCESS);
    EXPECT_EQ(calls, kMany);
    EXPECT_EQ(deepest, 1);
    EXPECT_EQ(left(), 0);
}

TEST_F(Nested, AWakeThatLeavesIsNotNested) {
    leaves = true;
    leave(numbers[0]);
    EXPECT_EQ(calls, kMany - 1);
    EXPECT_EQ(deepest, 1);
    EXPECT_EQ(left(), 0);
}

TEST_F(Enqueue, TheClockTellsEachThatMovedUpThoughTheOneBeforeHasNotCome) {
    const uint64_t a = enter(10);
    const uint64_t b = enter(9);
    const uint64_t c = enter(8);
    leave(a);
    EXPECT_EQ(wakes(), Tags{9});
    advance(9 * kSecond);
    EXPECT_EQ(next_due(clock.get()), 17 * kSecond);
    wakes();
    advance(8 * kSecond);
    EXPECT_EQ(wakes(), Tags{8});
    EXPECT_EQ(check(c), TB_SUCCESS);
    EXPECT_EQ(check(b), TB_SUCCESS);
}

TEST_F(Enqueue, NoChargeIsGrantedAboveTheLargestDebt) {
    constexpr double kLargest = 2.8e8;  // tokens, nearly 2^58 units
    ASSERT_EQ(tb_set_capacity(bucket.get(), kLargest), TB_SUCCESS);
    ASSERT_EQ(tb_set_tokens(bucket.get(), 0), TB_SUCCESS);
    tb_reservation r;
    ASSERT_EQ(tb_reserve(bucket.get(), kLargest, TB_FOREVER, &r), TB_SUCCESS);
    ASSERT_EQ(tb_set_capacity(bucket.get(), kLargest / 2), TB_SUCCESS);
    for (int i = 0; i < 4; ++i) enter(kLargest / 8);
    while (tb_charge(bucket.get(), kLargest / 4, nullptr) == TB_SUCCESS) {
    }
    ASSERT_EQ(tb_set_capacity(bucket.get(), kLargest / 8), TB_SUCCESS);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(tb_charge(bucket.get(), kLargest, nullptr), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_allow(bucket.get(), 1), TB_DENIED);
}

TEST_F(Enqueue, ARefundWakesAllWhomItCovers) {
    const uint64_t a = enter(2);
    const uint64_t b = enter(3);
    const uint64_t c = enter(4);
    ASSERT_EQ(tb_refund(bucket.get(), 6), TB_SUCCESS);
    EXPECT_EQ(wakes(), (Tags{2, 3, 4}));
    EXPECT_EQ(check(b), TB_SUCCESS);
    EXPECT_EQ(check(a), TB_SUCCESS);
    expect_pending(c, 3 * kSecond);
}

TEST_F(Enqueue, WhatAServerSaysIsLeftKeepsPlacesAndReservations) {
    tb_reservation r;
    ASSERT_EQ(tb_reserve(bucket.get(), 2, TB_FOREVER, &r), TB_SUCCESS);
    const uint64_t a = enter(3);
    EXPECT_EQ(wait_ns, 5 * kSecond);
    ASSERT_EQ(tb_set_tokens(bucket.get(), 2), TB_SUCCESS);
    EXPECT_EQ(left(), -3);
    expect_pending(a, 3 * kSecond);
    ASSERT_EQ(tb_set_tokens(bucket.get(), 0), TB_SUCCESS);
    expect_pending(a, 5 * kSecond);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    expect_pending(a, 3 * kSecond);
    EXPECT_EQ(tb_set_tokens(bucket.get(), 11), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_set_tokens(bucket.get(), -1), TB_E_INVALID_ARGUMENT);
    ASSERT_EQ(tb_set_tokens(bucket.get(), 10), TB_SUCCESS);
    EXPECT_EQ(check(a), TB_SUCCESS);
    EXPECT_EQ(left(), 7);
}

class Lateness : public Enqueue {
  protected:
    // Capacity 1, 10 per second, 10 ms.
    void SetUp() override {
        clock = manual_clock();
        tb_config c = config();
        c.capacity = 1;
        c.rate_tokens = 10;
        c.max_lateness_ns = 10 * kMillisecond;
        bucket = bucket_of(c);
    }
    static constexpr int64_t kStep = 100 * kMillisecond;
};

TEST_F(Lateness, OneThatComesInTimeIsGrantedAsOfItsDueTime) {
    const uint64_t a = enter(1);
    const uint64_t b = enter(1);
    advance(kStep + 10 * kMillisecond);
    EXPECT_EQ(check(a), TB_SUCCESS);
    expect_pending(b, 90 * kMillisecond);
}

TEST_F(Lateness, AfterAFreezeAllArePlannedAnewInOrder) {
    std::vector<uint64_t> all;
    for (int i = 0; i < 40; ++i) all.push_back(enter(1));
    advance(23 * kStep + 50 * kMillisecond);
    expect_pending(all[7], 7 * kStep);
    EXPECT_EQ(check(all[0]), TB_SUCCESS);
    for (std::size_t i = 1; i < all.size(); ++i) expect_pending(all[i], static_cast<int64_t>(i) * kStep);
    EXPECT_EQ(tb_allow(bucket.get(), 1), TB_DENIED);
}

TEST_F(Lateness, OneThatNeverComesIsPassedOverAndComesBackToItsPlace) {
    const uint64_t lost = enter(1);
    const uint64_t b = enter(1);
    const uint64_t c = enter(1);
    advance(2 * kStep);
    expect_pending(b, kStep);
    advance(kStep);
    EXPECT_EQ(check(b), TB_SUCCESS) << "late twice, the first is passed over";
    expect_pending(c, kStep);
    expect_pending(lost, kStep);
    expect_pending(c, 2 * kStep);
    advance(kStep);
    EXPECT_EQ(check(lost), TB_SUCCESS);
    advance(kStep);
    EXPECT_EQ(check(c), TB_SUCCESS);
}

TEST_F(Lateness, ALateWaiterIsPlannedAnewBeforeOneThatEnters) {
    tb_config c = config();
    c.capacity = 28;
    c.rate_tokens = 1e9;
    c.max_lateness_ns = 8;
    bucket = bucket_of(c);
    const uint64_t a = enter(28);
    advance(52);
    const uint64_t b = enter(26);
    EXPECT_EQ(wait_ns, 26);
    advance(5);
    EXPECT_EQ(check(a), TB_SUCCESS);
    expect_pending(b, 21);
}

TEST_F(Lateness, OneThatComesBackDoesNotTakeWhatIsKeptForAnother) {
    const uint64_t lost = enter(1);
    const uint64_t b = enter(1);
    advance(2 * kStep);
    expect_pending(b, kStep);
    advance(kStep);
    EXPECT_EQ(wakes(), (Tags{1, 1, 1}));
    expect_pending(lost, kStep);
    EXPECT_EQ(check(b), TB_SUCCESS);
}

TEST_F(Lateness, OneThatIsPassedOverCountsAsWaiting) {
    tb_config c = config();
    c.max_lateness_ns = 1;
    c.max_waiters = 1;
    bucket = bucket_of(c);
    enter(1);
    for (int i = 0; i < 4; ++i) {
        advance(5 * kSecond);
        EXPECT_EQ(tb_refund(bucket.get(), 1), TB_SUCCESS);  // looks
    }
    ASSERT_EQ(tb_set_tokens(bucket.get(), 0), TB_SUCCESS);
    enter(1);
    EXPECT_EQ(status, TB_QUEUE_FULL);
}

TEST_F(Lateness, InAnyWindowNoMoreIsCollectedThanTheBound) {
    std::vector<uint64_t> waiting;
    std::vector<int64_t> grants;  // times
    int64_t now = 0;
    uint32_t random = 1;
    for (int step = 0; step < 20000; ++step) {
        random = random * 1664525 + 1013904223;
        const int64_t pause = random >> 28 == 0 ? 300 * kMillisecond : (random >> 8) % 9 * kMillisecond;
        advance(pause);
        now += pause;
        while (waiting.size() < 8) {
            const uint64_t w = enter(1, TB_FOREVER, static_cast<int32_t>(random >> 16 & 1));
            if (w != 0) waiting.push_back(w);
            if (w == 0) grants.push_back(now);
        }
        std::erase_if(waiting, [&](uint64_t w) {
            random = random * 1664525 + 1013904223;
            if (random >> 30 == 0 || check(w) != TB_SUCCESS) return false;
            grants.push_back(now);
            return true;
        });
    }
    ASSERT_GT(grants.size(), 500u);
    for (std::size_t i = 0; i < grants.size(); ++i)
        for (std::size_t j = i; j < grants.size() && j < i + 20; ++j) {
            const int64_t most = 1 + (grants[j] - grants[i] + 10 * kMillisecond) / kStep;
            ASSERT_LE(static_cast<int64_t>(j - i) + 1, most) << grants[i] << " " << grants[j];
        }
}

}  // namespace
