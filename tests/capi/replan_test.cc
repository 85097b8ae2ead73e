// Whatever changes while threads wait: each of them is planned anew, at once and in order.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

class Replan : public Waits {};

TEST_F(Replan, AHigherRateBringsEveryoneForward) {
    const auto first = wait(4);
    const auto second = wait(2);
    ASSERT_EQ(tb_set_rate(bucket.get(), 2), TB_SUCCESS);
    EXPECT_EQ(due(), 2 * kSecond);
    advance(2 * kSecond);
    EXPECT_EQ(first->join(), TB_SUCCESS);
    EXPECT_FALSE(second->returned());
    advance(kSecond);
    EXPECT_EQ(second->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Replan, ALowerRateTimesOutWhoCannotWaitSoLongAndTheRestMovesUp) {
    const auto patient = wait(1);
    const auto hasty = wait(5, 6 * kSecond);
    const auto small = wait(1, 7 * kSecond);
    ASSERT_EQ(tb_set_rate(bucket.get(), 0.5), TB_SUCCESS);
    EXPECT_EQ(hasty->join(), TB_TIMED_OUT);
    EXPECT_EQ(left(), -2) << "its tokens are back";
    EXPECT_EQ(due(), 2 * kSecond);
    advance(2 * kSecond);
    EXPECT_EQ(patient->join(), TB_SUCCESS);
    EXPECT_FALSE(small->returned());
    advance(2 * kSecond);
    EXPECT_EQ(small->join(), TB_SUCCESS) << "due at 4 s, in time because the hasty one has left";
    EXPECT_EQ(left(), 0);
}

TEST_F(Replan, ARateOfNearlyNothingParksForLongAndCanBeRaisedAgain) {
    ASSERT_EQ(tb_charge(bucket.get(), 100, nullptr), TB_SUCCESS);
    const auto waiter = wait(10);
    ASSERT_EQ(tb_set_rate(bucket.get(), 1e-9), TB_SUCCESS);
    EXPECT_EQ(parked(), 1);
    EXPECT_EQ(due(), TB_FOREVER);
    ASSERT_EQ(tb_set_rate(bucket.get(), 10), TB_SUCCESS);
    EXPECT_EQ(due(), 11 * kSecond);
    advance(11 * kSecond);
    EXPECT_EQ(waiter->join(), TB_SUCCESS);
}

TEST_F(Replan, WhoIsDueAtNoTimeIsNotServedWhenTimeEnds) {
    ASSERT_EQ(tb_charge(bucket.get(), 100, nullptr), TB_SUCCESS);
    const auto first = wait(5);
    const auto second = wait(2);
    ASSERT_EQ(tb_set_rate(bucket.get(), 1e-9), TB_SUCCESS);
    ASSERT_EQ(due(), TB_FOREVER);
    ASSERT_EQ(tb_manual_clock_set(clock.get(), INT64_MAX), TB_SUCCESS);
    EXPECT_EQ(first->join(), TB_TIMED_OUT);
    EXPECT_EQ(second->join(), TB_TIMED_OUT);
    EXPECT_GT(left(), -100) << "their tokens are back";
}

TEST_F(Replan, ASmallerCapacityEndsWhatNoLongerFitsAndTheRestMovesUp) {
    const auto small = wait(2);
    const auto large = wait(6);
    const auto behind = wait(1);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 5), TB_SUCCESS);
    EXPECT_EQ(large->join(), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(left(), -3);
    advance(2 * kSecond);
    EXPECT_EQ(small->join(), TB_SUCCESS);
    EXPECT_EQ(due(), 3 * kSecond);
    advance(kSecond);
    EXPECT_EQ(behind->join(), TB_SUCCESS);
}

TEST_F(Replan, ALargerCapacityKeepsOrderAndTimes) {
    const auto first = wait(0.3);
    const auto second = wait(2);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 1e8), TB_SUCCESS);
    EXPECT_EQ(due(), 3 * kSecond / 10);
    advance(3 * kSecond / 10);
    EXPECT_EQ(first->join(), TB_SUCCESS);
    EXPECT_EQ(due(), 23 * kSecond / 10);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 10), TB_SUCCESS);
    EXPECT_EQ(due(), 23 * kSecond / 10);
    advance(2 * kSecond);
    EXPECT_EQ(second->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Replan, ARefundGrantsWhomItCoversAndBringsTheRestForward) {
    const auto first = wait(2);
    const auto second = wait(3);
    ASSERT_EQ(tb_refund(bucket.get(), 2.5), TB_SUCCESS);
    EXPECT_EQ(first->join(), TB_SUCCESS);
    EXPECT_EQ(left(), -2.5);
    EXPECT_EQ(due(), 5 * kSecond / 2);
    ASSERT_EQ(tb_refund(bucket.get(), 100), TB_SUCCESS);
    EXPECT_EQ(second->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 7) << "the bucket was filled, no more, and then the waiter was served";
}

TEST_F(Replan, AResetForgivesDebtAndServesThoseWhoWaitFirst) {
    ASSERT_EQ(tb_charge(bucket.get(), 50, nullptr), TB_SUCCESS);
    const auto first = wait(2);
    const auto second = wait(4);
    const tb_reservation outside = reserve(3);
    EXPECT_EQ(outside.ready_at_ns, 59 * kSecond);
    ASSERT_EQ(tb_reset(bucket.get(), 3), TB_SUCCESS);
    EXPECT_EQ(first->join(), TB_SUCCESS);
    EXPECT_EQ(left(), -3);
    EXPECT_EQ(due(), 3 * kSecond);
    ASSERT_EQ(tb_reset(bucket.get(), TB_INITIALLY_FULL), TB_SUCCESS);
    EXPECT_EQ(second->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 6);
}

TEST_F(Replan, AResetToLessTimesOutWhoCannotWaitSoLong) {
    const auto waiter = wait(2, 2 * kSecond);
    const auto patient = wait(2);
    advance(kSecond);
    ASSERT_EQ(tb_reset(bucket.get(), 0), TB_SUCCESS);
    EXPECT_EQ(waiter->join(), TB_TIMED_OUT);
    EXPECT_EQ(due(), 3 * kSecond);
    advance(2 * kSecond);
    EXPECT_EQ(patient->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Replan, AChargePutsBackWhoWaitsAndTimesOutWhoCannotWaitSoLong) {
    const auto before = wait(2, 7 * kSecond);
    const auto hasty = wait(1, 8 * kSecond - 1);
    const auto behind = wait(1, 8 * kSecond);
    int64_t repaid = 0;
    ASSERT_EQ(tb_charge(bucket.get(), 5, &repaid), TB_SUCCESS);
    EXPECT_EQ(hasty->join(), TB_TIMED_OUT) << "due after 5 + 2 + 1 s, and 8 s is too long";
    EXPECT_EQ(repaid, 8 * kSecond);
    EXPECT_EQ(left(), -8) << "its token is back";
    EXPECT_EQ(due(), 7 * kSecond);
    advance(7 * kSecond);
    EXPECT_EQ(before->join(), TB_SUCCESS);
    EXPECT_EQ(due(), 8 * kSecond);
    advance(kSecond);
    EXPECT_EQ(behind->join(), TB_SUCCESS) << "in time because the hasty one has left";
    EXPECT_EQ(left(), 0);
}

TEST_F(Replan, AChargeLeavesReservationsTheirTimes) {
    const tb_reservation promised = reserve(2);
    const auto behind = wait(1);
    ASSERT_EQ(tb_charge(bucket.get(), 5, nullptr), TB_SUCCESS);
    EXPECT_EQ(promised.ready_at_ns, 2 * kSecond);
    EXPECT_EQ(due(), 8 * kSecond);
    advance(2 * kSecond);
    tb_reservation used = promised;
    EXPECT_EQ(tb_cancel(bucket.get(), &used), TB_SUCCESS);
    EXPECT_EQ(due(), 8 * kSecond) << "it was due, and so is used";
    advance(6 * kSecond);
    EXPECT_EQ(behind->join(), TB_SUCCESS);
}

TEST_F(Replan, ACancelledReservationLetsThoseBehindMoveUp) {
    tb_reservation r = reserve(6);
    const auto first = wait(2);
    const auto second = wait(1);
    EXPECT_EQ(due(), 8 * kSecond);
    ASSERT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(r.tokens, 0);
    EXPECT_EQ(due(), 2 * kSecond);
    EXPECT_EQ(left(), -3);
    advance(3 * kSecond);
    EXPECT_EQ(first->join(), TB_SUCCESS);
    EXPECT_EQ(second->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

// A reservation in somebody's hands behind a waiter keeps its time; those who wait move up before it and behind it.
TEST_F(Replan, AReservationBehindHoldsNobodyBack) {
    TB_TEST_NEEDS_FEATURE("interruptible_wait");
    const QuietHandler handler(SIGUSR1);
    const auto leaver = wait(4);
    const auto before = wait(1);
    const tb_reservation behind = reserve(2);
    const auto after = wait(1);
    EXPECT_EQ(leaver->interrupt(SIGUSR1), TB_INTERRUPTED);
    EXPECT_EQ(due(), kSecond);
    EXPECT_EQ(left(), -4);
    advance(kSecond);
    EXPECT_EQ(before->join(), TB_SUCCESS);
    EXPECT_EQ(behind.ready_at_ns, 7 * kSecond);
    EXPECT_EQ(due(), 2 * kSecond) << "it leaves the reservation its two tokens";
    advance(kSecond);
    EXPECT_EQ(after->join(), TB_SUCCESS);
    EXPECT_EQ(left(), -2);
    advance(5 * kSecond);
    EXPECT_EQ(left(), 3) << "7 tokens less 1, 1 and 2";
}

TEST_F(Replan, ARefundMovesWhoStandsBeforeAReservation) {
    const auto fixed = wait(4);
    const tb_reservation behind = reserve(2);
    ASSERT_EQ(tb_refund(bucket.get(), 3), TB_SUCCESS);
    EXPECT_EQ(due(), kSecond);
    EXPECT_EQ(behind.ready_at_ns, 6 * kSecond);
    EXPECT_EQ(left(), -3);
    advance(kSecond);
    EXPECT_EQ(fixed->join(), TB_SUCCESS);
}

TEST_F(Replan, ALowerRateTimesOutWhoStandsBeforeAReservation) {
    const auto hasty = wait(2, 3 * kSecond);
    const tb_reservation behind = reserve(1);
    ASSERT_EQ(tb_set_rate(bucket.get(), 0.5), TB_SUCCESS);
    EXPECT_EQ(hasty->join(), TB_TIMED_OUT);
    EXPECT_EQ(left(), -1);
    EXPECT_EQ(behind.ready_at_ns, 3 * kSecond);
}

TEST_F(Replan, ASmallerCapacityAndALowerRateReachWhoStandsBeforeAReservation) {
    const auto large = wait(6);
    const auto hasty = wait(1, 8 * kSecond);
    const auto patient = wait(1);
    const tb_reservation behind = reserve(1);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 5), TB_SUCCESS);
    EXPECT_EQ(large->join(), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(due(), kSecond);
    EXPECT_EQ(left(), -5) << "what is 5 before the reservation's place overflows";
    ASSERT_EQ(tb_set_rate(bucket.get(), 0.1), TB_SUCCESS);
    EXPECT_EQ(hasty->join(), TB_TIMED_OUT);
    EXPECT_EQ(parked(), 1);
    EXPECT_EQ(due(), 20 * kSecond) << "behind the reservation, for which 9 s bring too little as it is";
    EXPECT_EQ(behind.ready_at_ns, 9 * kSecond);
    advance(20 * kSecond);
    EXPECT_EQ(patient->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

}  // namespace
