// What a reservation's ticket says, and what it is worth: once, to nobody else, and not after a reset.
#include "core/queue/ticket.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/core.h"

namespace {

using tb::Limiter;
using tb::Reservation;
using tb::Status;
using tb::Ticket;
using tb_test::kSecond;
using tb_test::ManualLimiter;

TEST(Ticket, SaysWhatItWasGiven) {
    constexpr uint32_t kMost = (1u << 24) - 1;
    for (const uint32_t index : {0u, 1u, kMost - 1})
        for (const uint32_t serial : {0u, 1u, kMost})
            for (const uint64_t era : {uint64_t{0}, uint64_t{1}, tb::kEras - 1}) {
                const Ticket t = Ticket::decoded(Ticket{index, serial, era}.encoded());
                EXPECT_EQ(t.index, index);
                EXPECT_EQ(t.serial, serial);
                EXPECT_EQ(t.era, era);
            }
}

// Capacity 10, 1 per second, empty.
class Reservations : public testing::Test {
  protected:
    Reservation reserve(double n) { return b.reserve(n); }
    double left() { return b.limiter.available(); }
    // What comes back.
    double cancel(const Reservation &r) {
        const double before = left();
        EXPECT_EQ(b.limiter.cancel(r), Status::success);
        return left() - before;
    }
    double settle(const Reservation &r, double actual) {
        const double before = left();
        EXPECT_EQ(b.limiter.settle(r, actual), Status::success);
        return left() - before;
    }
    void advance(int64_t seconds) { ASSERT_EQ(b.clock.advance(seconds * kSecond), Status::success); }

    ManualLimiter b{10, 1, 0};
};

TEST_F(Reservations, StandOneBehindTheOther) {
    const Reservation first = reserve(4);
    EXPECT_EQ(first.wait_ns, 4 * kSecond);
    advance(1);
    const Reservation second = reserve(3);
    EXPECT_EQ(second.wait_ns, 6 * kSecond);
    EXPECT_EQ(second.ready_at_ns, 7 * kSecond);
    EXPECT_NE(first.ticket, second.ticket);
    EXPECT_EQ(left(), -6);
}

TEST_F(Reservations, ComeBackOnce) {
    const Reservation r = reserve(4);
    EXPECT_EQ(cancel(r), 4);
    EXPECT_EQ(cancel(r), 0) << "a copy";
    EXPECT_EQ(settle(r, 0), 0);
}

TEST_F(Reservations, DueAtOnceCountsAsUsed) {
    advance(5);
    const Reservation r = reserve(3);
    EXPECT_EQ(r.wait_ns, 0);
    EXPECT_EQ(cancel(r), 0);
    EXPECT_EQ(settle(r, 0), 3);
}

TEST_F(Reservations, ACopyOfOneDueAtOnceTakesNothingFromATake) {
    advance(3);
    const Reservation r = reserve(3);
    EXPECT_EQ(cancel(r), 0);
    advance(3);
    EXPECT_EQ(b.limiter.allow(3), Status::success);
    EXPECT_EQ(cancel(r), 0);
}

TEST_F(Reservations, CountAsUsedWhenTheyAreDue) {
    const Reservation r = reserve(4);
    advance(4);
    EXPECT_EQ(cancel(r), 0);
    EXPECT_EQ(settle(r, 1), 3);
}

TEST_F(Reservations, AnotherThatTookTheSameEntryIsNotMeant) {
    const Reservation first = reserve(4);
    EXPECT_EQ(cancel(first), 4);
    const Reservation second = reserve(2);
    EXPECT_EQ(Ticket::decoded(first.ticket).index, Ticket::decoded(second.ticket).index);
    EXPECT_EQ(cancel(first), 0);
    EXPECT_EQ(cancel(second), 2);
}

TEST_F(Reservations, AreVoidAfterAReset) {
    const Reservation pending = reserve(4);
    advance(20);
    const Reservation used = reserve(3);
    ASSERT_EQ(b.limiter.reset(5), Status::success);
    const Reservation next = reserve(8);
    EXPECT_EQ(cancel(pending), 0);
    EXPECT_EQ(settle(pending, 0), 0);
    EXPECT_EQ(settle(used, 0), 0);
    EXPECT_EQ(cancel(next), 8);
}

TEST_F(Reservations, KeepTheirPlaceAtALowerCost) {
    const Reservation first = reserve(8);
    const Reservation second = reserve(8);
    EXPECT_EQ(settle(first, 3), 2) << "the bucket is full at 13 s";
    EXPECT_EQ(left(), -14);
    EXPECT_EQ(reserve(5).ready_at_ns, 5 * kSecond) << "the room that it gave back";
    EXPECT_EQ(cancel(first), 0) << "its ticket is void";
    EXPECT_EQ(second.ready_at_ns, 16 * kSecond);
}

TEST_F(Reservations, MayCostMoreInTheEnd) {
    const Reservation r = reserve(3);
    EXPECT_EQ(settle(r, 5), -2);
    EXPECT_EQ(left(), -5);
}

TEST_F(Reservations, ABucketThatNeverKnewTheOneThatLeft) {
    const Reservation first = reserve(8);
    reserve(8);
    cancel(first);
    EXPECT_EQ(reserve(1).ready_at_ns, kSecond);
    advance(16);
    EXPECT_EQ(left(), 2);
}

TEST_F(Reservations, InWhateverOrderTheyLeaveNothingIsLost) {
    for (const bool youngest_first : {false, true}) {
        const Reservation a = reserve(3);
        const Reservation c = reserve(4);
        const Reservation d = reserve(2);
        EXPECT_EQ(cancel(youngest_first ? d : a), youngest_first ? 2 : 3);
        EXPECT_EQ(cancel(c), 4);
        EXPECT_EQ(cancel(youngest_first ? a : d), youngest_first ? 3 : 2);
        EXPECT_EQ(left(), 0);
    }
}

// Of no entry's: neither what was given back nor one that is kept has a serial number.
TEST_F(Reservations, ATicketWithoutASerialNumberNamesNothing) {
    const Reservation kept = reserve(4);
    const Reservation gone = reserve(5);
    EXPECT_EQ(cancel(gone), 5);
    EXPECT_EQ(settle(kept, 3), 1);
    for (const uint32_t index : {1u, 2u, 3u, 100u}) {
        Reservation forged = kept;
        forged.ticket = Ticket{index, 0, 0}.encoded();
        EXPECT_EQ(cancel(forged), 0);
    }
    EXPECT_EQ(left(), -3);
}

TEST_F(Reservations, ThousandsLeaveInAnyOrder) {
    std::vector<Reservation> all;
    for (int i = 0; i < 5000; ++i) all.push_back(reserve(1));
    EXPECT_EQ(left(), -5000);
    for (std::size_t i = 0; i < all.size(); ++i)
        ASSERT_EQ(b.limiter.cancel(all[i * 2477 % all.size()]), Status::success);
    EXPECT_EQ(left(), 0);
}

TEST_F(Reservations, WhatIsNoReservation) {
    Reservation r = reserve(1);
    for (const double n : {0.0, -1.0, HUGE_VAL}) {
        Reservation bad = r;
        bad.tokens = n;
        EXPECT_EQ(b.limiter.cancel(bad), Status::invalid_argument);
        EXPECT_EQ(b.limiter.settle(bad, 0), Status::invalid_argument);
    }
    for (const double n : {-1.0, HUGE_VAL}) EXPECT_EQ(b.limiter.settle(r, n), Status::invalid_argument);
    r.wait_ns = -1;
    EXPECT_EQ(b.limiter.cancel(r), Status::invalid_argument);
    EXPECT_EQ(left(), -1);
}

}  // namespace
