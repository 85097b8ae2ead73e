// What each function of one bucket does, on a manual clock.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/api.h"

namespace {

using namespace tb_test;

class Bucket : public ManualBucket {
  protected:
    tb_config limit() {
        tb_config config = config_of(1, 1, nullptr);
        EXPECT_EQ(tb_get_limit(bucket.get(), &config), TB_SUCCESS);
        return config;
    }
};

TEST_F(Bucket, StartsFullAndDeniesWhatIsNotThere) {
    start(10, 5);
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(allow(10), TB_SUCCESS);
    EXPECT_EQ(allow(1), TB_DENIED);
    EXPECT_EQ(tb_try_consume(bucket.get(), 1), TB_DENIED);
    EXPECT_EQ(left(), 0);
}

TEST_F(Bucket, GainsTokensToTheNanosecond) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    advance(200 * kMillisecond - 1);
    EXPECT_EQ(allow(1), TB_DENIED);
    advance(1);
    EXPECT_EQ(tb_try_consume(bucket.get(), 1), TB_SUCCESS);
}

TEST_F(Bucket, NeverHoldsMoreThanItsCapacity) {
    start(10, 5);
    advance(3600 * kSecond);
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(allow(10), TB_SUCCESS);
    EXPECT_EQ(allow(0.001), TB_DENIED);
}

TEST_F(Bucket, MoreThanTheCapacityCanNeverBeGranted) {
    start(10, 5);
    tb_reservation r{};
    tb_decision d{};
    int64_t ns = 0;
    EXPECT_EQ(allow(15), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_wait(bucket.get(), 15), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_wait_for(bucket.get(), 15, 0), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_reserve(bucket.get(), 15, TB_FOREVER, &r), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_time_until(bucket.get(), 15, &ns), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_take(bucket.get(), 15, &d), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(d.status, TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(d.retry_after_ns, TB_FOREVER);
    EXPECT_EQ(left(), 10);
}

TEST_F(Bucket, DecimalAmountsAreExact) {
    start(1, 1);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(allow(0.1), TB_SUCCESS);
    EXPECT_EQ(allow(1e-9), TB_DENIED);
    EXPECT_EQ(left(), 0);
}

TEST_F(Bucket, AnAmountBelowTheUnitCostsOneUnit) {
    start(1, 1e-3);
    ASSERT_EQ(allow(1e-12), TB_SUCCESS);
    EXPECT_EQ(left(), 1 - 1e-9);
    ASSERT_EQ(tb_refund(bucket.get(), 1e-12), TB_SUCCESS);
    EXPECT_EQ(left(), 1 - 1e-9) << "a refund is rounded down";
}

TEST_F(Bucket, ACapacityOfNoWholeUnitsCanBeTakenWhole) {
    const double capacity = 0.1234567891234;
    start(capacity, 1e-3);
    EXPECT_EQ(left(), 0.123456789) << "the part of a unit is dropped";
    EXPECT_EQ(allow(capacity), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Bucket, TakeSaysWhatIsLeftAndWhenToComeBack) {
    start(10, 5);
    tb_decision d{};
    ASSERT_EQ(tb_take(bucket.get(), 4, &d), TB_SUCCESS);
    EXPECT_EQ(d.status, TB_SUCCESS);
    EXPECT_EQ(d.remaining, 6);
    EXPECT_EQ(d.retry_after_ns, 0);
    EXPECT_EQ(d.reset_after_ns, 800 * kMillisecond);
    ASSERT_EQ(tb_take(bucket.get(), 7, &d), TB_DENIED);
    EXPECT_EQ(d.status, TB_DENIED);
    EXPECT_EQ(d.remaining, 6);
    EXPECT_EQ(d.retry_after_ns, 200 * kMillisecond);
    EXPECT_EQ(d.reset_after_ns, 800 * kMillisecond);
    EXPECT_EQ(d.reserved, 0);
}

TEST_F(Bucket, TakeUpToGrantsWholeTokens) {
    start(10, 5);
    double taken = -1;
    ASSERT_EQ(allow(0.5), TB_SUCCESS);
    EXPECT_EQ(tb_take_up_to(bucket.get(), 4.9, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 4);
    EXPECT_EQ(tb_take_up_to(bucket.get(), 1e300, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 5);
    EXPECT_EQ(tb_take_up_to(bucket.get(), 10, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 0);
    EXPECT_EQ(left(), 0.5);
}

TEST_F(Bucket, ReservationsStandInLine) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation first{}, second{};
    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &first), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &second), TB_SUCCESS);
    EXPECT_EQ(first.tokens, 5);
    EXPECT_EQ(first.wait_ns, kSecond);
    EXPECT_EQ(first.ready_at_ns, kSecond);
    EXPECT_EQ(second.wait_ns, 1200 * kMillisecond);
    EXPECT_EQ(left(), -6);
    advance(1200 * kMillisecond);
    EXPECT_EQ(allow(1), TB_DENIED) << "both reservations are served, nothing is left over";
}

TEST_F(Bucket, AReservationBeyondItsLimitTakesNothing) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation r{};
    EXPECT_EQ(tb_reserve(bucket.get(), 1, 200 * kMillisecond - 1, &r), TB_TIMED_OUT);
    EXPECT_EQ(r.tokens, 0);
    EXPECT_EQ(tb_wait_for(bucket.get(), 1, 200 * kMillisecond - 1), TB_TIMED_OUT);
    EXPECT_EQ(tb_wait_for(bucket.get(), 1, 0), TB_TIMED_OUT);
    EXPECT_EQ(left(), 0);
    EXPECT_EQ(tb_reserve(bucket.get(), 1, 200 * kMillisecond, &r), TB_SUCCESS);
}

TEST_F(Bucket, AReservationOfWhatIsThereIsReadyAtOnce) {
    start(10, 5);
    advance(7);
    tb_reservation r{};
    ASSERT_EQ(tb_reserve(bucket.get(), 10, 0, &r), TB_SUCCESS);
    EXPECT_EQ(r.wait_ns, 0);
    EXPECT_EQ(r.ready_at_ns, 7);
    EXPECT_EQ(left(), 0);
}

TEST_F(Bucket, CancelGivesBackOnceAndOnlyBeforeTheTime) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation r{};
    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &r), TB_SUCCESS);
    tb_reservation copy = r;
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
    EXPECT_EQ(r.tokens, 0);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &copy), TB_SUCCESS);
    EXPECT_EQ(left(), 0);

    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &r), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &copy), TB_SUCCESS);
    advance(kSecond);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(left(), -5) << "it is due: ready_at_ns has come";
    advance(kSecond - 1);
    EXPECT_EQ(tb_cancel(bucket.get(), &copy), TB_SUCCESS);
    EXPECT_GT(left(), 4.99) << "a nanosecond before its time";
}

TEST_F(Bucket, OneDueAtOnceIsUsedAndACopyGivesNothingBackEither) {
    start(10, 5);
    tb_reservation r{};
    ASSERT_EQ(tb_reserve(bucket.get(), 3, 0, &r), TB_SUCCESS);
    tb_reservation copy = r;
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(left(), 7);
    EXPECT_EQ(allow(3), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &copy), TB_SUCCESS);
    EXPECT_EQ(left(), 4);
}

// What names a reservation is looked up: what is outdated, foreign or invented finds nothing.
TEST_F(Bucket, OnlyItsOwnLiveReservationIsCancelled) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation r{}, successor{}, foreign{};
    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &r), TB_SUCCESS);
    tb_reservation copy = r;
    ASSERT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &successor), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &copy), TB_SUCCESS);
    EXPECT_EQ(left(), -5) << "the successor has the same place and amount";

    const BucketHandle other = bucket_of(config_of(10, 5, clock.get()));
    ASSERT_EQ(tb_allow(other.get(), 10), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(other.get(), 5, TB_FOREVER, &foreign), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &foreign), TB_SUCCESS);
    EXPECT_EQ(left(), -5);

    for (uint64_t ticket : {uint64_t{0}, ~uint64_t{0}, successor.ticket ^ 8, successor.ticket ^ (uint64_t{1} << 40)}) {
        tb_reservation invented = successor;
        invented.ticket = ticket;
        EXPECT_EQ(tb_cancel(bucket.get(), &invented), TB_SUCCESS);
        EXPECT_EQ(left(), -5) << ticket;
    }
    EXPECT_EQ(tb_cancel(bucket.get(), &successor), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

// The small reservation keeps its place at 11 s. With the large one gone the bucket is full before that: of 10 tokens
// one overflows until then, of 5 tokens six.
TEST_F(Bucket, CapacitiesThatChangeAmongReservationsMintNothing) {
    start(10, 1);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation large{}, small{};
    ASSERT_EQ(tb_reserve(bucket.get(), 10, TB_FOREVER, &large), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &small), TB_SUCCESS);
    ASSERT_EQ(tb_cancel(bucket.get(), &large), TB_SUCCESS);
    for (const double capacity : {5, 10, 5, 10, 5}) {
        ASSERT_EQ(tb_set_capacity(bucket.get(), capacity), TB_SUCCESS);
        EXPECT_EQ(left(), capacity == 5 ? -7 : -2);
    }
    ASSERT_EQ(tb_cancel(bucket.get(), &small), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

// More than are ever pending in one block of memory, cancelled from the middle outwards.
TEST_F(Bucket, AThousandReservationsCancelledInAnyOrder) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    std::vector<tb_reservation> held(1000);
    for (tb_reservation &r : held) ASSERT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_EQ(left(), -1000);
    for (std::size_t i = 0; i < held.size(); ++i) {
        const std::size_t middle = held.size() / 2;
        ASSERT_EQ(tb_cancel(bucket.get(), &held[i % 2 == 0 ? middle + i / 2 : middle - 1 - i / 2]), TB_SUCCESS);
    }
    EXPECT_EQ(left(), 0);
}

TEST_F(Bucket, ACancelBeforeOthersGivesBackWhatTheyLeave) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation first{}, second{};
    ASSERT_EQ(tb_reserve(bucket.get(), 10, TB_FOREVER, &first), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 4, TB_FOREVER, &second), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &first), TB_SUCCESS);
    EXPECT_EQ(left(), -8) << "min(10, capacity - 4) of 10 come back";
}

TEST_F(Bucket, AForgedReservationIsRefused) {
    start(10, 5);
    tb_reservation r{};
    ASSERT_EQ(allow(10), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &r), TB_SUCCESS);
    for (const double tokens : {-1.0, HUGE_VAL, -HUGE_VAL, std::nan("")}) {
        tb_reservation forged = r;
        forged.tokens = tokens;
        EXPECT_EQ(tb_cancel(bucket.get(), &forged), TB_E_INVALID_ARGUMENT);
    }
    tb_reservation forged = r;
    forged.wait_ns = -1;
    EXPECT_EQ(tb_cancel(bucket.get(), &forged), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(left(), -1);
}

TEST_F(Bucket, ChargeGoesIntoDebt) {
    start(10, 5);
    int64_t repaid = -1;
    EXPECT_EQ(tb_charge(bucket.get(), 4, &repaid), TB_SUCCESS);
    EXPECT_EQ(repaid, 0);
    EXPECT_EQ(tb_charge(bucket.get(), 26, &repaid), TB_SUCCESS);
    EXPECT_EQ(repaid, 4 * kSecond);
    EXPECT_EQ(left(), -20);
    EXPECT_EQ(allow(1), TB_DENIED);
    EXPECT_EQ(tb_charge(bucket.get(), 1e300, &repaid), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_charge(bucket.get(), 1, nullptr), TB_SUCCESS);
    EXPECT_EQ(left(), -21);
}

TEST_F(Bucket, RefundStopsAtTheCapacity) {
    start(10, 5);
    ASSERT_EQ(allow(4), TB_SUCCESS);
    EXPECT_EQ(tb_refund(bucket.get(), 3), TB_SUCCESS);
    EXPECT_EQ(left(), 9);
    EXPECT_EQ(tb_refund(bucket.get(), 1e300), TB_SUCCESS);
    EXPECT_EQ(left(), 10);
}

TEST_F(Bucket, ResetSetsTheTokensAndForgivesDebt) {
    start(10, 5);
    tb_reservation r{};
    ASSERT_EQ(tb_charge(bucket.get(), 50, nullptr), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_EQ(tb_reset(bucket.get(), 2.5), TB_SUCCESS);
    EXPECT_EQ(left(), 2.5);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(left(), 2.5) << "the reservation was forgotten";
    EXPECT_EQ(tb_reset(bucket.get(), TB_INITIALLY_FULL), TB_SUCCESS);
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(tb_reset(bucket.get(), 0), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
    EXPECT_EQ(tb_reset(bucket.get(), 10.5), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(left(), 0);
}

TEST_F(Bucket, ANewRateCountsFromNowOn) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    advance(kSecond);
    ASSERT_EQ(tb_set_rate(bucket.get(), 1.0 / 3), TB_SUCCESS);
    EXPECT_EQ(left(), 5);
    advance(3 * kSecond - 1);
    EXPECT_EQ(allow(6), TB_DENIED);
    advance(1);
    EXPECT_EQ(allow(6), TB_SUCCESS);
}

// A reservation keeps its time, so what a new rate brings until then must be counted too.
TEST_F(Bucket, ARateThatBringsTooMuchUntilAReservationIsRefused) {
    start(10, 1);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation r{};
    ASSERT_EQ(tb_reserve(bucket.get(), 10, TB_FOREVER, &r), TB_SUCCESS);
    for (const double rate : {3e7, 1.2e8, 3e8, 1e9, 2e9, 1e10}) {
        EXPECT_EQ(tb_set_rate(bucket.get(), rate), TB_E_OUT_OF_RANGE) << rate;
        EXPECT_EQ(left(), -10);
    }
    ASSERT_EQ(tb_set_rate(bucket.get(), 2e7), TB_SUCCESS);
    EXPECT_EQ(allow(10), TB_DENIED);
    advance(kSecond);
    EXPECT_EQ(tb_wait_for(bucket.get(), 10, 0), TB_SUCCESS) << "there is time for it before the reservation";
    advance(9 * kSecond - 1);
    EXPECT_EQ(allow(1), TB_DENIED);
}

// Two buckets do not know each other's reservations, though both have issued as many.
TEST_F(Bucket, AReservationOfAnotherBucketGivesNothingBack) {
    start(10, 1);
    const BucketHandle other = bucket_of(config_of(10, 1, clock.get()));
    ASSERT_EQ(tb_allow(other.get(), 10), TB_SUCCESS);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation here{}, there{};
    ASSERT_EQ(tb_reserve(bucket.get(), 5, TB_FOREVER, &here), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(other.get(), 7, TB_FOREVER, &there), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(other.get(), &here), TB_SUCCESS);
    EXPECT_EQ(available(other.get()), -7);
}

TEST_F(Bucket, ASmallerCapacityDropsTheRestALargerOneKeepsIt) {
    start(10, 5);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 4), TB_SUCCESS);
    EXPECT_EQ(left(), 4);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 1e8), TB_SUCCESS);
    EXPECT_EQ(left(), 4);
    ASSERT_EQ(allow(3.5), TB_SUCCESS);
    EXPECT_EQ(left(), 0.5);
    EXPECT_EQ(allow(1e8), TB_DENIED);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 1e-6), TB_SUCCESS);
    EXPECT_EQ(left(), 1e-6);
}

TEST_F(Bucket, DebtSurvivesAChangeOfCapacity) {
    start(10, 5);
    ASSERT_EQ(tb_charge(bucket.get(), 13, nullptr), TB_SUCCESS);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 1e8), TB_SUCCESS);
    EXPECT_EQ(left(), -3);
    advance(kSecond);
    EXPECT_EQ(left(), 2);
}

TEST_F(Bucket, GetLimitSaysWhatIsInForce) {
    start(10, 5);
    tb_config config = limit();
    EXPECT_EQ(config.capacity, 10);
    EXPECT_EQ(config.rate_tokens, 5);
    EXPECT_EQ(config.rate_period_ns, kSecond);
    EXPECT_EQ(config.initial_tokens, TB_INITIALLY_FULL);
    EXPECT_EQ(config.clock, clock.get());
    EXPECT_EQ(config.unit, 1e-9);
    const BucketHandle twin = bucket_of(config);
    EXPECT_EQ(available(twin.get()), 10);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 1e8), TB_SUCCESS);
    ASSERT_EQ(tb_set_rate(bucket.get(), 7e8), TB_SUCCESS);
    config = limit();
    EXPECT_EQ(config.capacity, 1e8);
    EXPECT_EQ(config.rate_tokens, 7e8);
    EXPECT_EQ(config.unit, 1e-9) << "fixed at creation";
}

// 2^58 units of 1e-9 are 288230376.151711744 tokens.
TEST_F(Bucket, ACapacityThatItsUnitCannotCountChangesNothing) {
    start(10, 5);
    ASSERT_EQ(allow(3), TB_SUCCESS);
    for (const double capacity : {288230376.151712, 1e12, 1e15})
        EXPECT_EQ(tb_set_capacity(bucket.get(), capacity), TB_E_OUT_OF_RANGE) << capacity;
    EXPECT_EQ(limit().capacity, 10);
    EXPECT_EQ(left(), 7);
    EXPECT_EQ(tb_set_capacity(bucket.get(), 288230376.151711), TB_SUCCESS);

    start(1e15, 5);
    ASSERT_EQ(limit().unit, 1);
    EXPECT_EQ(tb_set_capacity(bucket.get(), 0.5), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(limit().capacity, 1e15);
    EXPECT_EQ(tb_set_capacity(bucket.get(), 1.5), TB_SUCCESS);
    EXPECT_EQ(left(), 1) << "the part of a unit is dropped";
}

// The refined unit that would make the rate whole is left where it would cost this room.
TEST_F(Bucket, CanOweAMillionCapacities) {
    struct Case {
        double capacity, rate, unit;
    };
    constexpr double kMillion = 1 << 20;
    for (const Case &c : {Case{1, 33.3333333, 1e-9}, Case{1, 1.00000001, 1e-9}, Case{1, 1.0 / 3, 1 / 3e9},
                          Case{1000, 1, 1e-8}, Case{1e-6, 1e10, 1e-9}, Case{5e9, 1e-9, 0.01}}) {
        SCOPED_TRACE(testing::Message() << c.capacity << " and " << c.rate << " per second");
        start(c.capacity, c.rate);
        EXPECT_EQ(limit().unit, c.unit);
        EXPECT_EQ(allow(c.capacity), TB_SUCCESS);
        EXPECT_EQ(tb_charge(bucket.get(), kMillion * c.capacity, nullptr), TB_SUCCESS);
        EXPECT_EQ(left(), -kMillion * c.capacity);
    }
}

// The last one is due after 100,000 tokens of 1e16 / 333,333,333 ns each.
TEST_F(Bucket, AHundredThousandReservationsAtAnOddRateAreGranted) {
    start(1, 33.3333333);
    ASSERT_EQ(allow(1), TB_SUCCESS);
    tb_reservation r{};
    for (int i = 0; i < 100000; ++i) ASSERT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &r), TB_SUCCESS) << i;
    EXPECT_EQ(r.ready_at_ns, 3000000003001);
    EXPECT_EQ(left(), -100000);
}

TEST_F(Bucket, TheLimitChangesWhateverIsOwed) {
    start(1e6, 5);
    ASSERT_EQ(tb_charge(bucket.get(), 1e10 + 1e6, nullptr), TB_SUCCESS);
    EXPECT_EQ(tb_set_capacity(bucket.get(), 100), TB_SUCCESS);
    EXPECT_EQ(tb_set_rate(bucket.get(), 1e9), TB_SUCCESS);
    EXPECT_EQ(left(), -1e10);
    advance(10 * kSecond);
    EXPECT_EQ(left(), 0);
    advance(kSecond);
    EXPECT_EQ(left(), 100);

    start(1e15, 5);
    ASSERT_EQ(tb_charge(bucket.get(), 2e15, nullptr), TB_SUCCESS);
    EXPECT_EQ(tb_set_capacity(bucket.get(), 1), TB_SUCCESS);
    EXPECT_EQ(left(), -1e15);
}

// Before its place at 8 s the smaller bucket can hold three tokens, and the five before them are lost to takes.
TEST_F(Bucket, AReservationAboveALoweredCapacityCountsInFull) {
    start(10, 1);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    tb_reservation r{};
    ASSERT_EQ(tb_reserve(bucket.get(), 8, TB_FOREVER, &r), TB_SUCCESS);
    tb_reservation copy = r;
    ASSERT_EQ(tb_set_capacity(bucket.get(), 3), TB_SUCCESS);
    EXPECT_EQ(left(), -13);
    advance(14 * kSecond - 1);
    EXPECT_EQ(allow(1), TB_DENIED);
    advance(1);
    EXPECT_EQ(allow(1), TB_SUCCESS);
    EXPECT_EQ(tb_settle(bucket.get(), &r, 6), TB_SUCCESS);
    EXPECT_EQ(left(), 2) << "two of eight";

    start(10, 1);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 8, TB_FOREVER, &copy), TB_SUCCESS);
    ASSERT_EQ(tb_set_capacity(bucket.get(), 3), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &copy), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

// One takes all there is at every step: in any window of w ns it gets at most the capacity, what w + 1 ns bring, and a
// unit; and up to a unit nothing is lost.
TEST_F(Bucket, GrantsInNoWindowMoreThanItsBound) {
    struct Case {
        double capacity, rate;
        int64_t step_ns, scale, units_per_period, period_ns;
    };
    for (const Case &c :
         {Case{10, 1e10, 1, 1000000000, 10000000000, 1}, Case{1e15, 1.0 / 3, 700 * kMillisecond, 1, 1, 3 * kSecond},
          Case{1, 33.3333333, 7777777, 1000000000, 333333333, 10000000},
          Case{1e-6, 1e-9, 123456789123, 1000000000, 1, kSecond}}) {
        SCOPED_TRACE(testing::Message() << c.capacity << " and " << c.rate << " per second");
        start(c.capacity, c.rate);
        ASSERT_EQ(limit().unit, 1.0 / static_cast<double>(c.scale));
        const int64_t full = std::llround(c.capacity * static_cast<double>(c.scale));
        std::vector<int64_t> before{0};
        for (int step = 1; step <= 200; ++step) {
            advance(c.step_ns);
            double whole = 0;
            ASSERT_EQ(tb_take_up_to(bucket.get(), 1e300, &whole), TB_SUCCESS);
            const double rest = left();
            ASSERT_TRUE(rest == 0 || allow(rest) == TB_SUCCESS);
            before.push_back(before.back() + static_cast<int64_t>(whole) * c.scale +
                             std::llround(rest * static_cast<double>(c.scale)));
        }
        for (size_t from = 1; from < before.size(); ++from) {
            for (size_t to = from; to < before.size(); ++to) {
                const int64_t above = before[to] - before[from - 1] - full - 1;
                const int64_t window = static_cast<int64_t>(to - from) * c.step_ns;
                ASSERT_TRUE(above <= 0 || above * c.period_ns <= (window + 1) * c.units_per_period)
                    << from << " " << to;
            }
        }
        const int64_t since_first = static_cast<int64_t>(before.size() - 2) * c.step_ns;
        EXPECT_GE((before.back() - full + 1) * c.period_ns, since_first * c.units_per_period);
    }
}

// A token takes 7000 s, and a unit of it 7000 ns.
TEST_F(Bucket, AfterANewRateATokenIsEarlyByAUnitAndANanosecondAtMost) {
    for (const int64_t phase : {int64_t{0}, int64_t{1}, kSecond / 3, 3499 * kSecond + 6999, 7001 * kSecond + 1}) {
        start(1, 1);
        ASSERT_EQ(tb_set_rate(bucket.get(), 0.001 / 7), TB_SUCCESS);
        advance(phase);
        ASSERT_EQ(allow(1), TB_SUCCESS);
        int64_t ns = 0;
        ASSERT_EQ(tb_time_until(bucket.get(), 1, &ns), TB_SUCCESS);
        EXPECT_LE(ns, 7000 * kSecond) << phase;
        EXPECT_GE(ns, 7000 * kSecond - 7000 - 1) << phase;
    }
}

TEST_F(Bucket, RatesAreExactFractions) {
    clock = manual_clock();
    tb_config config = config_of(1000000, 700000, clock.get());
    config.rate_period_ns = 3600 * kSecond;
    config.initial_tokens = 0;
    bucket = bucket_of(config);
    advance(3600 * kSecond - 1);
    EXPECT_EQ(allow(700000), TB_DENIED);
    advance(1);
    EXPECT_EQ(allow(700000), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Bucket, ClosedIsForGood) {
    start(10, 5);
    ASSERT_EQ(allow(1), TB_SUCCESS);
    tb_reservation r{};
    ASSERT_EQ(tb_charge(bucket.get(), 9, nullptr), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(bucket.get(), 4, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    tb_decision d{};
    d.remaining = 77;
    tb_reservation refused{};
    double taken = 77;
    int64_t ns = 77;
    EXPECT_EQ(allow(1), TB_CLOSED);
    EXPECT_EQ(allow(0.5), TB_CLOSED);
    EXPECT_EQ(allow(100), TB_CLOSED);
    EXPECT_EQ(tb_take(bucket.get(), 1, &d), TB_CLOSED);
    EXPECT_EQ(tb_take_up_to(bucket.get(), 1, &taken), TB_CLOSED);
    EXPECT_EQ(tb_wait(bucket.get(), 1), TB_CLOSED);
    EXPECT_EQ(tb_wait_for(bucket.get(), 1, 0), TB_CLOSED);
    EXPECT_EQ(tb_reserve(bucket.get(), 1, TB_FOREVER, &refused), TB_CLOSED);
    EXPECT_EQ(tb_charge(bucket.get(), 1, &ns), TB_CLOSED);
    EXPECT_EQ(tb_refund(bucket.get(), 1), TB_CLOSED);
    EXPECT_EQ(tb_reset(bucket.get(), 1), TB_CLOSED);
    EXPECT_EQ(tb_set_rate(bucket.get(), 1), TB_CLOSED);
    EXPECT_EQ(tb_set_capacity(bucket.get(), 20), TB_CLOSED);
    EXPECT_EQ(d.remaining, 77);
    EXPECT_EQ(taken, 77);
    EXPECT_EQ(ns, 77);
    EXPECT_EQ(refused.ticket, 0u);
    EXPECT_EQ(left(), -4);
    EXPECT_EQ(tb_time_until(bucket.get(), 1, &ns), TB_SUCCESS);
    EXPECT_EQ(ns, kSecond);
    EXPECT_EQ(tb_cancel(bucket.get(), &r), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

// At this rate the base of the accrual moves about every 30 ms.
TEST_F(Bucket, StaysClosedWhenItsBaseMoves) {
    start(10, 1e10);
    ASSERT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    for (int i = 0; i < 5; ++i) {
        advance(kSecond);
        EXPECT_EQ(allow(1), TB_CLOSED);
        EXPECT_EQ(tb_reset(bucket.get(), 1), TB_CLOSED);
    }
}

TEST_F(Bucket, LivesForACentury) {
    start(10, 5);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    const int64_t century = int64_t{36525} * 24 * 3600 * kSecond;
    advance(century);
    EXPECT_EQ(left(), 10);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    advance(200 * kMillisecond - 1);
    EXPECT_EQ(allow(1), TB_DENIED);
    advance(1);
    EXPECT_EQ(allow(1), TB_SUCCESS);
}

TEST(Meta, VersionsAgree) {
    const std::string text = std::to_string(TB_VERSION_MAJOR) + "." + std::to_string(TB_VERSION_MINOR) + "." +
                             std::to_string(TB_VERSION_PATCH);
    EXPECT_EQ(tb_library_version_string(), text);
    EXPECT_EQ(tb_library_version(), TB_VERSION_MAJOR * 10000 + TB_VERSION_MINOR * 100 + TB_VERSION_PATCH);
    EXPECT_EQ(tb_abi_version(), 1);
}

TEST(Meta, EveryStatusHasItsNameAndText) {
#define CHECK_STATUS(name, number, message)      \
    EXPECT_EQ(name, number);                     \
    EXPECT_STREQ(tb_status_name(number), #name); \
    EXPECT_STREQ(tb_status_message(number), message);
    TB_STATUS_LIST(CHECK_STATUS)
#undef CHECK_STATUS
    for (const tb_status unknown : {9, 1000, -8, -1000, INT32_MAX, INT32_MIN}) {
        EXPECT_STREQ(tb_status_name(unknown), "TB_UNKNOWN");
        EXPECT_STREQ(tb_status_message(unknown), "unknown status");
    }
}

TEST(Meta, FeaturesAreAskedByName) {
    EXPECT_EQ(tb_has_feature(nullptr), 0);
    EXPECT_EQ(tb_has_feature(""), 0);
    EXPECT_EQ(tb_has_feature("counter_clock_"), 0);
    EXPECT_EQ(tb_has_feature("interruptible"), 0);
    constexpr int32_t kOnLinux = std::string_view(TB_PLATFORM) == "linux";
#if defined(__x86_64__) || defined(__aarch64__)
    EXPECT_EQ(tb_has_feature("counter_clock"), kOnLinux);
#else
    EXPECT_EQ(tb_has_feature("counter_clock"), 0);
#endif
    EXPECT_EQ(tb_has_feature("interruptible_wait"), kOnLinux);
    EXPECT_EQ(tb_has_feature("shared_memory"), kOnLinux);
    EXPECT_EQ(tb_has_feature("timer_slack"), kOnLinux);
}

}  // namespace
