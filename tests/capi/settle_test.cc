// Settling a reservation for what its work really cost.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

class Settle : public Waits {
  protected:
    tb_status settle(tb_reservation *r, double actual) { return tb_settle(bucket.get(), r, actual); }
};

TEST_F(Settle, LessThanReservedComesBackAfterwards) {
    advance(10 * kSecond);
    tb_reservation r = reserve(8);
    advance(kSecond);
    EXPECT_EQ(settle(&r, 3), TB_SUCCESS);
    EXPECT_EQ(r.tokens, 0);
    EXPECT_EQ(left(), 8);
}

TEST_F(Settle, LessThanReservedComesBackWhateverWasTakenSince) {
    advance(10 * kSecond);
    tb_reservation r = reserve(8);
    EXPECT_EQ(allow(1), TB_SUCCESS);
    advance(kSecond);
    EXPECT_EQ(settle(&r, 3), TB_SUCCESS);
    EXPECT_EQ(left(), 7);
}

TEST_F(Settle, DecimalDifferencesAreExact) {
    advance(kSecond);
    tb_reservation r = reserve(0.3);
    EXPECT_EQ(settle(&r, 0.1), TB_SUCCESS);
    EXPECT_EQ(left(), 0.9);
}

TEST_F(Settle, NoMoreThanTheCapacityComesBack) {
    advance(10 * kSecond);
    tb_reservation r = reserve(8);
    advance(5 * kSecond);
    EXPECT_EQ(settle(&r, 0), TB_SUCCESS);
    EXPECT_EQ(left(), 10);
}

TEST_F(Settle, WithNothingGivesBackWhatWasDueAtOnce) {
    advance(5 * kSecond);
    tb_reservation r = reserve(3);
    ASSERT_EQ(r.wait_ns, 0);
    EXPECT_EQ(left(), 2);
    EXPECT_EQ(settle(&r, 0), TB_SUCCESS);
    EXPECT_EQ(left(), 5);
}

// Its cost becomes 2 at its place at 10 s, when 20 tokens have come: of these ten overflow before, and eight are left.
// Settled only then it gives back eight, too.
TEST_F(Settle, AfterTheRateRoseItGivesBackTheSameBeforeAndAtItsTime) {
    for (const int64_t at : {int64_t{0}, 3 * kSecond, 10 * kSecond - 1, 10 * kSecond}) {
        SetUp();
        tb_reservation r = reserve(10);
        ASSERT_EQ(tb_set_rate(bucket.get(), 2), TB_SUCCESS);
        EXPECT_EQ(left(), -20);
        EXPECT_EQ(r.ready_at_ns, 10 * kSecond);
        advance(at);
        EXPECT_EQ(settle(&r, 2), TB_SUCCESS);
        advance(10 * kSecond - at);
        EXPECT_EQ(left(), 8) << at;
    }
}

TEST_F(Settle, MoreThanReservedIsCharged) {
    tb_reservation r = reserve(2);
    EXPECT_EQ(settle(&r, 20), TB_SUCCESS);
    EXPECT_EQ(r.tokens, 0);
    EXPECT_EQ(left(), -20);
}

TEST_F(Settle, ExactlyWhatWasReservedChangesNothing) {
    tb_reservation r = reserve(2);
    EXPECT_EQ(settle(&r, 2), TB_SUCCESS);
    EXPECT_EQ(left(), -2);
    EXPECT_EQ(settle(&r, 1), TB_E_INVALID_ARGUMENT);
}

TEST_F(Settle, BeforeItIsDueItGivesBackAsACancelDoes) {
    tb_reservation youngest = reserve(6);
    EXPECT_EQ(settle(&youngest, 2), TB_SUCCESS);
    EXPECT_EQ(left(), -2);
    tb_reservation older = reserve(6);
    const tb_reservation newer = reserve(7);
    EXPECT_EQ(settle(&older, 0), TB_SUCCESS);
    EXPECT_EQ(left(), -12) << "three of six: more would let a window hold too much";
    EXPECT_EQ(newer.ready_at_ns, 15 * kSecond);
}

TEST_F(Settle, WhatIsKeptCannotBeCancelledThroughACopy) {
    tb_reservation r = reserve(6);
    tb_reservation copy = r;
    EXPECT_EQ(settle(&r, 2), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &copy), TB_SUCCESS);
    EXPECT_EQ(left(), -2);

    copy = r = reserve(3);
    EXPECT_EQ(settle(&r, 4), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &copy), TB_SUCCESS);
    EXPECT_EQ(left(), -6);
}

TEST_F(Settle, HappensOnce) {
    tb_reservation r = reserve(4);
    EXPECT_EQ(settle(&r, 1), TB_SUCCESS);
    EXPECT_EQ(settle(&r, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(left(), -1);
    tb_reservation cancelled = reserve(4);
    EXPECT_EQ(tb_cancel(bucket.get(), &cancelled), TB_SUCCESS);
    EXPECT_EQ(settle(&cancelled, 9), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(left(), -1);
}

TEST_F(Settle, AFailureLeavesTheReservationAlive) {
    tb_reservation r = reserve(4);
    for (const double bad : {-1.0, -1e-300, std::nan(""), std::numeric_limits<double>::infinity()})
        EXPECT_EQ(settle(&r, bad), TB_E_INVALID_ARGUMENT) << bad;
    EXPECT_EQ(settle(&r, 1e18), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_settle(nullptr, &r, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(settle(nullptr, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(r.tokens, 4);
    EXPECT_EQ(left(), -4);
    EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    EXPECT_EQ(settle(&r, 1), TB_CLOSED);
    EXPECT_EQ(settle(&r, 5), TB_CLOSED);
    EXPECT_EQ(r.tokens, 4);
}

TEST_F(Settle, AfterAResetNothingComesBack) {
    tb_reservation r = reserve(4);
    ASSERT_EQ(tb_reset(bucket.get(), 1), TB_SUCCESS);
    EXPECT_EQ(settle(&r, 0), TB_SUCCESS);
    EXPECT_EQ(left(), 1);
}

TEST_F(Settle, LetsThoseWhoWaitMoveUp) {
    advance(3 * kSecond);
    tb_reservation due = reserve(3);
    tb_reservation later = reserve(4);
    const auto waiter = wait(2);
    EXPECT_EQ(next_due(clock.get()), 9 * kSecond);
    EXPECT_EQ(settle(&later, 1), TB_SUCCESS);
    EXPECT_EQ(next_due(clock.get()), 5 * kSecond) << "before the reservation, whose one token it leaves";
    EXPECT_EQ(settle(&due, 0), TB_SUCCESS);
    EXPECT_EQ(waiter->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

}  // namespace
