// Looks that are earlier than the last one, as by a thread that read the clock before: they make nobody due, and nobody
// loses a place. Two processes whose clocks differ stand for such threads.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "core/clock/clock.h"
#include "tests/shared/processes.h"

namespace {

using namespace tb;

constexpr int64_t kSecond = 1000000000;
constexpr int64_t kStart = 1000 * kSecond;
constexpr LimitSpec kSpec{10, 1, kSecond};
constexpr int kWaiters = 3;

// ahead_by: how far the clock of who looks first is ahead.
struct Clocks {
    explicit Clocks(int64_t ahead_by) : ahead(kStart + ahead_by) {}
    Clock ahead;
    Clock behind{kStart};
};

std::string name() {
    return "tokenbucket-test-looks-" + std::to_string(::getpid());
}

struct SharedBucket : Clocks {
    static constexpr bool kIsHere = platform::kSharesMemory;
    explicit SharedBucket(int64_t ahead_by) : Clocks(ahead_by) { tb_test::remove_shared(name()); }

    Status enqueue(double n, QueuePlace *place) { return first->enqueue(n, INT64_MAX, 0, 0, place); }
    Status enqueue_behind(double n, QueuePlace *place) { return second->enqueue(n, INT64_MAX, 0, 0, place); }
    Status check(uint64_t number, int64_t *wait_ns) { return first->check(number, wait_ns); }

    tb_test::BucketProcess second{name(), kSpec, 0, &behind};  // it makes the bucket
    tb_test::BucketProcess first{name(), kSpec, 0, &ahead};
};

struct SharedKey : Clocks {
    static constexpr bool kIsHere = platform::kSharesMemory && platform::kHasPairExchange;
    explicit SharedKey(int64_t ahead_by) : Clocks(ahead_by) {
        tb_test::remove_shared(name());
        EXPECT_EQ(first->allow(key, kSpec.capacity), Status::success);
    }

    Status enqueue(double n, QueuePlace *place) { return first->enqueue(key, n, INT64_MAX, 0, 0, place); }
    Status enqueue_behind(double n, QueuePlace *place) { return second->enqueue(key, n, INT64_MAX, 0, 0, place); }
    Status check(uint64_t number, int64_t *wait_ns) { return first->check(key, number, wait_ns); }

    tb_test::TableProcess second{name(), kSpec, 4, WhenFull::evict_fullest, &behind};
    tb_test::TableProcess first{name(), kSpec, 4, WhenFull::evict_fullest, &ahead};
    const uint64_t key = first->hash("k", 1);
};

template <class Bucket>
class EarlierLook : public testing::Test {};
using Buckets = testing::Types<SharedBucket, SharedKey>;
TYPED_TEST_SUITE(EarlierLook, Buckets);

TYPED_TEST(EarlierLook, MakesNobodyDue) {
    if (!TypeParam::kIsHere) GTEST_SKIP() << "no shared memory here";
    for (const int64_t ahead_by : {int64_t{1}, int64_t{100}, int64_t{100000}}) {
        TypeParam bucket(ahead_by);
        QueuePlace places[kWaiters];
        for (QueuePlace &p : places) EXPECT_EQ(bucket.enqueue(10, &p), Status::waiting);
        QueuePlace last;
        EXPECT_EQ(bucket.enqueue_behind(1, &last), Status::waiting);
        EXPECT_NEAR(static_cast<double>(last.wait_ns), 31e9, 2 * static_cast<double>(ahead_by));
        for (int i = 0; i < kWaiters; ++i) {
            int64_t wait_ns = 0;
            EXPECT_EQ(bucket.check(places[i].waiter, &wait_ns), Status::waiting) << i;
            EXPECT_NEAR(static_cast<double>(wait_ns), 10e9 * (i + 1), 2 * static_cast<double>(ahead_by));
        }
    }
}

// The plan goes on at a time that some have not reached: nothing accrues until then.
TEST(EarlierLookOfATable, AtAPlanThatBeginsLaterIsNoDamage) {
    if (!SharedKey::kIsHere) GTEST_SKIP() << "no shared memory here";
    SharedKey bucket(100000);
    EXPECT_EQ(bucket.first->set_rate(2), Status::success);
    QueuePlace place;
    EXPECT_EQ(bucket.enqueue_behind(10, &place), Status::waiting);
    EXPECT_GE(place.wait_ns, 5 * kSecond);
    EXPECT_LE(place.wait_ns, 5 * kSecond + 1000000);
}

}  // namespace
