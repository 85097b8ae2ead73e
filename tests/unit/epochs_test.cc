// Reservations across resets and across changes of the rate and capacity: what a ticket still means, and to whom.
#include "core/bucket/epochs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/model/integer.h"
#include "tests/support/lone_bucket.h"

namespace {

using model::Integer;
using Bucket = tb_test::LoneBucket;
using tb::Limit;
using tb::Reservation;
using tb::Status;

constexpr int64_t kSecond = 1000000000;

Limit made(double capacity, double rate) {
    Limit limit{};
    EXPECT_EQ(tb::make_limit({capacity, rate, kSecond}, &limit), Status::success);
    return limit;
}

Bucket empty_bucket(double capacity, double rate) {
    return Bucket(made(capacity, rate), 0, 0);
}

Reservation reserved(Bucket *bucket, double n, int64_t now) {
    Reservation r{};
    EXPECT_EQ(bucket->reserve(n, INT64_MAX, now, &r), Status::success);
    return r;
}

// What comes back; a second time nothing may.
double given_back(Bucket *bucket, const Reservation &r, int64_t now) {
    const double before = bucket->available(now);
    EXPECT_EQ(bucket->cancel(r, now), Status::success);
    return bucket->available(now) - before;
}

TEST(Epochs, RescaleIsTheFloorOfTheExactQuotient) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20000; ++i) {
        const int64_t units = static_cast<int64_t>(random()) >> (random() % 63);
        const uint64_t from = 1 + (random() >> (6 + random() % 58));
        const uint64_t to = 1 + (random() >> (6 + random() % 58));
        const Integer exact = floor_of(Integer(units) * Integer::of_unsigned(to), Integer::of_unsigned(from));
        const int64_t expected = exact.fits_int64() ? exact.to_int64() : units < 0 ? INT64_MIN : INT64_MAX;
        ASSERT_EQ(tb::rescale(units, from, to), expected) << units << " * " << to << " / " << from;
    }
}

// Every chain of changes to these capacities, whose units are 10^-9, 10^-7, 10^-5 and 10^-2 token: a debt keeps its
// worth, and the youngest reservation gives back all of it as long as its epoch is among the last 8.
TEST(Epochs, EveryChainOfUnitsKeepsDebtsAndTheYoungest) {
    constexpr double kCapacities[] = {10, 1e10, 1e12, 1e15};
    for (unsigned chain = 0; chain < 4 * 4 * 4 * 4 * 4; ++chain) {
        Bucket bucket = empty_bucket(10, 1);
        const Reservation first = reserved(&bucket, 5, 0);
        const Reservation youngest = reserved(&bucket, 3, 0);
        uint64_t scale = bucket.limit().scale;
        int epochs = 0;
        for (unsigned rest = chain, step = 0; step < 5; ++step, rest /= 4) {
            ASSERT_EQ(bucket.set_capacity(kCapacities[rest % 4], 0), Status::success);
            epochs += bucket.limit().scale != scale ? 1 : 0;
            scale = bucket.limit().scale;
            ASSERT_EQ(bucket.available(0), -8) << chain;
        }
        ASSERT_EQ(given_back(&bucket, youngest, 0), 3) << chain << ", " << epochs << " changes of units";
        ASSERT_EQ(given_back(&bucket, youngest, 0), 0) << chain;
        ASSERT_EQ(given_back(&bucket, first, 0), 5) << chain;
        ASSERT_EQ(bucket.available(0), 0) << chain;
    }
}

TEST(Epochs, ChangesOfTheRateKeepThePlaceInTheOrder) {
    Bucket bucket = empty_bucket(10, 1);
    const Reservation first = reserved(&bucket, 4, 0);
    const Reservation second = reserved(&bucket, 4, 0);
    ASSERT_EQ(bucket.set_rate(2, kSecond), Status::success);  // 1 of 8 is there, 2 per second from now on
    EXPECT_EQ(bucket.available(kSecond), -7);
    EXPECT_EQ(given_back(&bucket, first, 2 * kSecond), 4);
    EXPECT_EQ(given_back(&bucket, second, 2 * kSecond), 4);
    EXPECT_EQ(bucket.available(2 * kSecond), 3);
}

// What is pending is known however often the units change; what is due is known through 7 epochs.
TEST(Epochs, OldTickets) {
    for (const int64_t between : {int64_t{0}, int64_t{1}}) {
        for (int changes = 0; changes <= 40; ++changes) {
            Bucket bucket = empty_bucket(10, 1);
            ASSERT_EQ(bucket.refund(2, 0), Status::success);
            const Reservation due = reserved(&bucket, 1, 0);
            const Reservation pending = reserved(&bucket, 5, 0);
            int64_t now = 0;
            for (int i = 0; i < changes; ++i) {
                now += between;
                ASSERT_EQ(bucket.set_capacity(i % 2 == 0 ? 1e12 : 10, now), Status::success);
            }
            ASSERT_NEAR(given_back(&bucket, pending, now), 5, changes * 1e-5) << changes << " changes";
            const double before = bucket.available(now);
            ASSERT_EQ(bucket.settle(due, 0, now), Status::success);
            ASSERT_NEAR(bucket.available(now) - before, changes <= 7 ? 1 : 0, changes * 1e-5) << changes << " changes";
        }
    }
}

// After resets another reservation stands where a void one stood: it must not be the one that is given back.
TEST(Epochs, AfterAResetNothingComesBack) {
    for (const int64_t between : {int64_t{0}, int64_t{1}}) {
        for (int resets = 1; resets <= 40; ++resets) {
            Bucket bucket = empty_bucket(10, 1);
            const Reservation r = reserved(&bucket, 5, 0);
            int64_t now = 0;
            for (int i = 0; i < resets; ++i) {
                now += between;
                ASSERT_EQ(bucket.reset(0, now), Status::success);
            }
            const Reservation other = reserved(&bucket, 5, now);
            ASSERT_EQ(given_back(&bucket, r, now), 0) << resets << " resets, " << between << " ns between";
            if (between == 0 && resets > 7) continue;  // its own epoch is one of 8 within one nanosecond
            ASSERT_EQ(given_back(&bucket, other, now), 5) << resets;
        }
    }
}

TEST(Epochs, ManyWithinTheLastInstantOfTime) {
    Bucket bucket = empty_bucket(10, 1);
    const Reservation r = reserved(&bucket, 5, kSecond);
    for (int resets = 0; resets < 20; ++resets) ASSERT_EQ(bucket.reset(10, INT64_MAX), Status::success);
    EXPECT_EQ(given_back(&bucket, r, INT64_MAX), 0);
    EXPECT_EQ(given_back(&bucket, reserved(&bucket, 5, INT64_MAX), INT64_MAX), 5);
}

// Far behind, in units too small to say how far: void, not taken for a place at the present.
TEST(Epochs, AFullBucketsPastCannotBeCountedInSmallerUnits) {
    Bucket bucket(made(1e15, 1e10), static_cast<int64_t>(made(1e15, 1e10).capacity_units), 0);
    const Reservation r = reserved(&bucket, 1, 0);
    ASSERT_EQ(bucket.set_capacity(0.001, 0), Status::success);
    const Reservation other = reserved(&bucket, 0.001, 0);
    EXPECT_EQ(other.wait_ns, 0);
    EXPECT_EQ(given_back(&bucket, r, 0), 0);
}

// Whatever has accrued since the last store, an older reservation is judged as if it had been stored just now.
TEST(Epochs, TenYearsWithoutAStoreChangeNothing) {
    constexpr int64_t kYears = int64_t{10} * 365 * 86400 * kSecond;
    Bucket bucket = empty_bucket(10, 7);
    for (int64_t now = kYears; now < 5 * kYears; now += kYears) {
        ASSERT_EQ(bucket.try_take(10, now), Status::success);
        const Reservation older = reserved(&bucket, 2, now);
        reserved(&bucket, 1, now);
        ASSERT_EQ(given_back(&bucket, older, now), 2) << now;
    }
}

TEST(Epochs, TheYoungestGivesBackWhatItCostOfAFractionalCapacity) {
    constexpr double kCapacity = 1.23456789012;
    Bucket bucket = empty_bucket(kCapacity, 1);
    reserved(&bucket, 1, 0);
    const Reservation r = reserved(&bucket, kCapacity, 0);
    ASSERT_EQ(bucket.cancel(r, 0), Status::success);
    EXPECT_EQ(bucket.available(0), -1);
}

}  // namespace
