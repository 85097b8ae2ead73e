// Changes of a bucket: what they keep, by themselves and while others take.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/core.h"

namespace {

using tb::Limiter;
using tb::Reservation;
using tb::Status;
using tb_test::kSecond;
using tb_test::ManualLimiter;

constexpr int64_t kHour = 3600 * kSecond;

void advance(ManualLimiter *b, int64_t ns) {
    ASSERT_EQ(b->clock.advance(ns), Status::success);
}

TEST(Change, ALowerCapacityDropsWhatExceedsIt) {
    ManualLimiter b(10, 1, 8);
    ASSERT_EQ(b.limiter.set_capacity(5), Status::success);
    EXPECT_EQ(b.limiter.available(), 5);
    ASSERT_EQ(b.limiter.set_capacity(20), Status::success);
    EXPECT_EQ(b.limiter.available(), 5);
    advance(&b, 100 * kSecond);
    EXPECT_EQ(b.limiter.available(), 20);
}

TEST(Change, ADebtStays) {
    ManualLimiter b(10, 1, 0);
    int64_t repaid = 0;
    ASSERT_EQ(b.limiter.charge(7.5, &repaid), Status::success);
    EXPECT_EQ(repaid, 7500000000);
    ASSERT_EQ(b.limiter.set_capacity(1), Status::success);
    EXPECT_EQ(b.limiter.available(), -7.5);
    ASSERT_EQ(b.limiter.set_rate(2), Status::success);
    EXPECT_EQ(b.limiter.available(), -7.5);
    advance(&b, 4 * kSecond);
    EXPECT_EQ(b.limiter.available(), 0.5);
}

TEST(Change, ARateCountsFromNowOn) {
    ManualLimiter b(10, 1, 0);
    advance(&b, 3 * kSecond);
    ASSERT_EQ(b.limiter.set_rate(0.25), Status::success);
    EXPECT_EQ(b.limiter.available(), 3);
    advance(&b, 4 * kSecond);
    EXPECT_EQ(b.limiter.available(), 4);
}

// At 2 per second there is room for as much before it.
TEST(Change, AReservationKeepsItsTimeUnderAnotherRate) {
    ManualLimiter b(10, 1, 0);
    const Reservation first = b.reserve(4);
    ASSERT_EQ(b.limiter.set_rate(2), Status::success);
    EXPECT_EQ(b.limiter.available(), -4);
    EXPECT_EQ(b.reserve(4).ready_at_ns, 2 * kSecond);
    EXPECT_EQ(b.reserve(1).ready_at_ns, 4500000000);
    advance(&b, 4 * kSecond - 1);
    EXPECT_EQ(b.limiter.cancel(first), Status::success);
    EXPECT_EQ(b.limiter.available(), 3 - 2e-9);
}

// 100 changes within one unit: none of them may keep or lose the fraction that has accrued.
TEST(Change, ChangesOfTheRateLoseNoFraction) {
    ManualLimiter b(1e6, 1.0 / 7, 0);
    uint64_t scale = 0;
    b.limiter.limit(&scale);
    const int64_t unit_ns = 7000000000 / static_cast<int64_t>(scale);
    ASSERT_GT(unit_ns, 100);
    for (int64_t i = 0; i < 100; ++i) {
        advance(&b, unit_ns / 2 + 1);
        ASSERT_EQ(b.limiter.set_rate(i % 2 == 0 ? 2.0 / 7 : 1.0 / 7), Status::success);
    }
    const int64_t half = 50 * (unit_ns / 2 + 1);
    const double expected = static_cast<double>(half * 3 * static_cast<int64_t>(scale) / 7000000000);
    EXPECT_EQ(b.limiter.available() * static_cast<double>(scale), expected);
}

TEST(Change, TheSameLimitAgainChangesNothing) {
    ManualLimiter b(1, 1, 1);
    int64_t ns = 0;
    b.reserve(.2);
    EXPECT_EQ(b.limiter.charge(1, &ns), Status::success);
    EXPECT_EQ(b.limiter.refund(.3), Status::success);
    b.reserve(.2);
    EXPECT_EQ(b.limiter.set_capacity(5), Status::success);
    const Reservation fourth = b.reserve(.3);
    EXPECT_EQ(b.limiter.refund(5.1), Status::success);
    EXPECT_EQ(b.limiter.set_capacity(3.7), Status::success);
    const Reservation eighth = b.reserve(3.7);
    EXPECT_EQ(b.limiter.set_capacity(1.1), Status::success);
    EXPECT_EQ(b.limiter.cancel(fourth), Status::success);
    EXPECT_EQ(b.limiter.charge(.1, &ns), Status::success);
    EXPECT_EQ(b.limiter.cancel(eighth), Status::success);
    const double before = b.limiter.available();
    EXPECT_EQ(b.limiter.set_rate(1), Status::success);
    EXPECT_EQ(b.limiter.available(), before);
    EXPECT_EQ(b.limiter.set_capacity(1.1), Status::success);
    EXPECT_EQ(b.limiter.available(), before);
    EXPECT_EQ(b.limiter.close(), Status::success);
    EXPECT_EQ(b.limiter.available(), before);
}

// The generation in the word comes round after 8 changes.
TEST(Change, AnyNumberOfChanges) {
    ManualLimiter b(10, 1, 4);
    for (int i = 1; i <= 40; ++i) {
        ASSERT_EQ(b.limiter.set_rate(i), Status::success);
        uint64_t scale = 0;
        ASSERT_EQ(b.limiter.limit(&scale).rate_tokens, i);
        ASSERT_EQ(b.limiter.available(), 4);
        ASSERT_EQ(b.limiter.allow(1), Status::success);
        ASSERT_EQ(b.limiter.refund(1), Status::success);
    }
    advance(&b, kSecond / 10);
    EXPECT_EQ(b.limiter.available(), 8);
}

TEST(Change, RefundsFillAtTheMost) {
    ManualLimiter b(10, 1, 4);
    EXPECT_EQ(b.limiter.refund(2.5), Status::success);
    EXPECT_EQ(b.limiter.available(), 6.5);
    EXPECT_EQ(b.limiter.refund(1e300), Status::success);
    EXPECT_EQ(b.limiter.available(), 10);
}

TEST(Change, Resets) {
    ManualLimiter b(10, 1, 4);
    EXPECT_EQ(b.limiter.reset(7), Status::success);
    EXPECT_EQ(b.limiter.available(), 7);
    EXPECT_EQ(b.limiter.reset(0), Status::success);
    EXPECT_EQ(b.limiter.available(), 0);
    EXPECT_EQ(b.limiter.reset(Limiter::kFull), Status::success);
    EXPECT_EQ(b.limiter.available(), 10);
    EXPECT_EQ(b.limiter.reset(10.5), Status::exceeds_capacity);
    EXPECT_EQ(b.limiter.reset(-2), Status::invalid_argument);
    EXPECT_EQ(b.limiter.available(), 10);
}

TEST(Change, WhatIsRefusedChangesNothing) {
    ManualLimiter b(10, 1, 4);
    int64_t repaid = -7;
    EXPECT_EQ(b.limiter.charge(6e8, &repaid), Status::out_of_range) << "more than 2^59 units";
    EXPECT_EQ(b.limiter.set_capacity(1e15), Status::out_of_range) << "more than 2^58 units";
    EXPECT_EQ(b.limiter.set_capacity(0), Status::out_of_range);
    EXPECT_EQ(b.limiter.set_rate(1e11), Status::out_of_range);
    EXPECT_EQ(b.limiter.set_rate(-1), Status::out_of_range);
    EXPECT_EQ(b.limiter.charge(0, &repaid), Status::invalid_argument);
    EXPECT_EQ(b.limiter.refund(-1), Status::invalid_argument);
    uint64_t scale = 0;
    EXPECT_EQ(b.limiter.limit(&scale).capacity, 10);
    EXPECT_EQ(b.limiter.limit(&scale).rate_tokens, 1);
    EXPECT_EQ(b.limiter.available(), 4);
    EXPECT_EQ(repaid, -7);
}

TEST(Change, AClosedBucketStaysAsItIs) {
    ManualLimiter b(10, 1, 4);
    int64_t repaid = 0;
    double taken = 0;
    Reservation r{};
    EXPECT_EQ(b.limiter.close(), Status::success);
    EXPECT_EQ(b.limiter.close(), Status::success);
    for (const Status s :
         {b.limiter.allow(1), b.limiter.take_up_to(1, &taken), b.limiter.wait(1, 0, 0), b.limiter.reserve(1, 0, &r),
          b.limiter.charge(1, &repaid), b.limiter.refund(1), b.limiter.reset(0), b.limiter.set_tokens(0),
          b.limiter.set_rate(2), b.limiter.set_capacity(2)})
        EXPECT_EQ(s, Status::closed);
    EXPECT_EQ(b.limiter.available(), 4);
}

// ---- After so long a silence that positions wrap: the base of the accrual is moved up first

// 2^58 units accrue in 29 ms.
class AfterSilence : public testing::TestWithParam<int64_t> {
  protected:
    ManualLimiter b{10, 1e10, 10};
};

TEST_P(AfterSilence, ATakeTakes) {
    advance(&b, GetParam());
    EXPECT_EQ(b.limiter.allow(4), Status::success);
    EXPECT_EQ(b.limiter.available(), 6);
}

TEST_P(AfterSilence, ACharge) {
    advance(&b, GetParam());
    int64_t repaid = 0;
    EXPECT_EQ(b.limiter.charge(1000, &repaid), Status::success);
    EXPECT_EQ(repaid, 99);
    EXPECT_EQ(b.limiter.available(), -990);
    advance(&b, 99);
    EXPECT_EQ(b.limiter.available(), 0);
}

TEST_P(AfterSilence, ADebtIsRepaid) {
    int64_t repaid = 0;
    EXPECT_EQ(b.limiter.charge(1000, &repaid), Status::success);
    advance(&b, GetParam());
    EXPECT_EQ(b.limiter.available(), 10);
    EXPECT_EQ(b.limiter.refund(1), Status::success);
    EXPECT_EQ(b.limiter.available(), 10);
    EXPECT_EQ(b.limiter.allow(10), Status::success);
    EXPECT_EQ(b.limiter.available(), 0);
}

TEST_P(AfterSilence, ASettlementForMore) {
    Reservation r{};
    ASSERT_EQ(b.limiter.reserve(5, 0, &r), Status::success);
    advance(&b, GetParam());
    EXPECT_EQ(b.limiter.settle(r, 1005), Status::success);
    EXPECT_EQ(b.limiter.available(), -990);
}

TEST_P(AfterSilence, AReservationAhead) {
    advance(&b, GetParam());
    EXPECT_EQ(b.limiter.allow(10), Status::success);
    const Reservation r = b.reserve(10);
    EXPECT_EQ(r.wait_ns, 1);
    advance(&b, GetParam());
    EXPECT_EQ(b.limiter.cancel(r), Status::success);
    EXPECT_EQ(b.limiter.available(), 10);
    EXPECT_EQ(b.limiter.allow(10), Status::success);
    EXPECT_EQ(b.limiter.allow(1), Status::denied);
}

TEST_P(AfterSilence, AChangeOfTheLimit) {
    advance(&b, GetParam());
    EXPECT_EQ(b.limiter.set_capacity(20), Status::success);
    EXPECT_EQ(b.limiter.available(), 10);
    advance(&b, GetParam());
    EXPECT_EQ(b.limiter.set_rate(1e9), Status::success);
    EXPECT_EQ(b.limiter.available(), 20);
}

INSTANTIATE_TEST_SUITE_P(Change, AfterSilence,
                         testing::Values(1000, 28823037, 28823038, 57646075, 57646076, 60000000, 115000000, 116000000,
                                         200000000, 230000000, 231000000, kSecond, kHour, 10000 * kHour));

// ---- While others take. Nothing ever overflows, so every token is somewhere

class Takers {
  public:
    Takers(Limiter *limiter, double n) {
        for (int i = 0; i < 2; ++i)
            threads_.emplace_back([this, limiter, n] {
                while (!stop_)
                    if (limiter->allow(n) == Status::success) ++granted_;
            });
    }
    ~Takers() { granted(); }
    // All that was granted until the end.
    int64_t granted() {
        stop_ = true;
        for (std::thread &t : threads_)
            if (t.joinable()) t.join();
        return granted_;
    }
    int64_t granted_so_far() const { return granted_; }

  private:
    std::atomic<int64_t> granted_{0};
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

// 10 tokens come in each nanosecond, and the base is moved every 29 ms.
TEST(ChangeAmidTakes, MovesOfTheBase) {
    constexpr double kEach = 100000;
    constexpr int64_t kStep = 5000000;
    ManualLimiter b(1, 1e10, 0);
    ASSERT_EQ(b.limiter.set_capacity(2.8e8), Status::success);
    Takers takers(&b.limiter, kEach);
    int64_t now = 0;
    while (now < 40 * kStep) {
        if (b.limiter.available() > 1e8) continue;
        now += kStep;
        advance(&b, kStep);
    }
    const double granted = static_cast<double>(takers.granted()) * kEach;
    EXPECT_EQ(granted + b.limiter.available(), static_cast<double>(now) * 10);
}

TEST(ChangeAmidTakes, OfTheLimitChargesAndRefunds) {
    constexpr int64_t kHeld = 2000000;
    ManualLimiter b(2 * kHeld, 1e-9, kHeld);
    Takers takers(&b.limiter, 1);
    int64_t charged = 0;
    for (int i = 0; i < 4000; ++i) {
        int64_t repaid = 0;
        ASSERT_EQ(b.limiter.set_capacity(static_cast<double>((2 + i % 3) * kHeld)), Status::success);
        ASSERT_EQ(b.limiter.charge(3, &repaid), Status::success);
        ASSERT_EQ(b.limiter.refund(2), Status::success);
        ++charged;
    }
    EXPECT_EQ(static_cast<double>(takers.granted() + charged) + b.limiter.available(), kHeld);
}

// Each by a full bucket's worth: a take decided by one plan and stored under another would show.
TEST(ChangeAmidTakes, ResetsGrantNoMoreThanTheyFill) {
    constexpr int kResets = 1000;
    ManualLimiter b(100, 1e-9, 100);
    Takers takers(&b.limiter, 1);
    int64_t resets = 0;
    for (; resets < kResets || takers.granted_so_far() < kResets; ++resets)
        ASSERT_EQ(b.limiter.reset(Limiter::kFull), Status::success);
    EXPECT_LE(takers.granted(), 100 * (resets + 1));
}

TEST(ChangeAmidTakes, ACloseEndsThem) {
    ManualLimiter b(1e9, 1, 1e9);
    Takers takers(&b.limiter, 1);
    while (takers.granted_so_far() < 1000) std::this_thread::yield();
    ASSERT_EQ(b.limiter.close(), Status::success);
    const double left = b.limiter.available();
    EXPECT_EQ(static_cast<double>(takers.granted()) + left, 1e9);
    EXPECT_EQ(b.limiter.available(), left);
}

}  // namespace
