// What a bucket tells of its decisions, and what it counts.
#include <gtest/gtest.h>
#include <signal.h>

#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

struct Told {
    tb_status status;
    double n;
    int64_t waited_ns;
    bool operator==(const Told &) const = default;
};

class Watched : public Waits {
  protected:
    void SetUp() override {
        clock = manual_clock();
        config = config_of(10, 1, clock.get());
        config.flags = TB_STATISTICS;
        config.on_event = [](void *user, const tb_event *e) {
            auto *const self = static_cast<Watched *>(user);
            EXPECT_EQ(e->struct_size, sizeof(tb_event));
            EXPECT_EQ(e->reserved, 0);
            const std::lock_guard<std::mutex> guard(self->mutex);
            self->told.push_back({e->status, e->n, e->waited_ns});
            self->teller = std::this_thread::get_id();
        };
        config.event_user = this;
        empty_bucket();
    }
    void empty_bucket() {
        bucket = bucket_of(config);
        ASSERT_EQ(allow(10), TB_SUCCESS);
    }
    tb_stats stats() {
        tb_stats s{};
        s.struct_size = sizeof s;
        EXPECT_EQ(tb_get_stats(bucket.get(), &s), TB_SUCCESS);
        return s;
    }
    std::vector<Told> all_told() {
        const std::lock_guard<std::mutex> guard(mutex);
        return told;
    }

    tb_config config;
    std::mutex mutex;
    std::vector<Told> told;
    std::thread::id teller;
};

using Events = Watched;

TEST_F(Events, TellOfDenialsAndNotOfGrants) {
    EXPECT_EQ(allow(1), TB_DENIED);
    tb_decision d;
    EXPECT_EQ(tb_take(bucket.get(), 2.5, &d), TB_DENIED);
    EXPECT_EQ(tb_try_consume(bucket.get(), 3), TB_DENIED);
    EXPECT_EQ(allow(11), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(all_told(), (std::vector<Told>{{TB_DENIED, 1, 0}, {TB_DENIED, 2.5, 0}, {TB_DENIED, 3, 0}}));
    EXPECT_EQ(teller, std::this_thread::get_id());
    advance(kSecond);
    EXPECT_EQ(allow(1), TB_SUCCESS);
    EXPECT_EQ(tb_wait(bucket.get(), 11), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(all_told().size(), 3u);
}

TEST_F(Events, TellOfTheEndOfAWait) {
    const QuietHandler handler(SIGUSR1);
    EXPECT_EQ(tb_wait_for(bucket.get(), 2, kSecond), TB_TIMED_OUT);
    tb_reservation r{};
    EXPECT_EQ(tb_reserve(bucket.get(), 3, kSecond, &r), TB_TIMED_OUT);
    const auto granted = wait(1);
    advance(kSecond);
    EXPECT_EQ(granted->join(), TB_SUCCESS);
    const auto dropped = wait(4);
    drop_largest(dropped.get(), 4);
    const auto timed_out = wait(5, 5 * kSecond);
    EXPECT_EQ(tb_set_rate(bucket.get(), 0.5), TB_SUCCESS);
    EXPECT_EQ(timed_out->join(), TB_TIMED_OUT);
    const auto closed = wait(6);
    advance(2 * kSecond);
    EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    EXPECT_EQ(closed->join(), TB_CLOSED);
    EXPECT_EQ(all_told(), (std::vector<Told>{{TB_TIMED_OUT, 2, 0},
                                             {TB_TIMED_OUT, 3, 0},
                                             {TB_SUCCESS, 1, kSecond},
                                             {signals_end_waits() ? TB_INTERRUPTED : TB_EXCEEDS_CAPACITY, 4, 0},
                                             {TB_TIMED_OUT, 5, 0},
                                             {TB_CLOSED, 6, 2 * kSecond}}));
}

TEST_F(Events, MayCallTheSameBucket) {
    static tb_bucket *called;
    config.on_event = [](void *, const tb_event *e) {
        if (e->status != TB_CLOSED) {
            EXPECT_EQ(e->status == TB_DENIED ? tb_refund(called, 1) : tb_close(called), TB_SUCCESS);
        }
    };
    empty_bucket();
    called = bucket.get();
    EXPECT_EQ(allow(2), TB_DENIED);
    EXPECT_EQ(left(), 1);
    const auto first = wait(2);
    const auto second = wait(2);
    advance(kSecond);
    EXPECT_EQ(first->join(), TB_SUCCESS);
    EXPECT_EQ(second->join(), TB_CLOSED);
}

// The last word of a waiter that tb_destroy ends is spoken while the bucket is still there.
TEST_F(Events, OfWaitsThatDestroyEndsFindTheBucketAlive) {
    static tb_bucket *called;
    config.on_event = [](void *, const tb_event *e) {
        EXPECT_EQ(e->status, TB_CLOSED);
        EXPECT_EQ(tb_allow(called, 1), TB_CLOSED);
    };
    for (int i = 0; i < 50; ++i) {
        empty_bucket();
        called = bucket.get();
        const auto first = wait(1);
        const auto second = wait(2);
        bucket.reset();
        EXPECT_EQ(first->join(), TB_CLOSED);
        EXPECT_EQ(second->join(), TB_CLOSED);
    }
}

using Stats = Watched;

TEST_F(Stats, CountTakes) {
    EXPECT_EQ(allow(1), TB_DENIED);
    advance(5 * kSecond);
    double taken = 0;
    EXPECT_EQ(tb_take_up_to(bucket.get(), 2.5, &taken), TB_SUCCESS);
    tb_decision d;
    EXPECT_EQ(tb_take(bucket.get(), 0.5, &d), TB_SUCCESS);
    EXPECT_EQ(tb_take(bucket.get(), 9, &d), TB_DENIED);
    EXPECT_EQ(allow(11), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_wait(bucket.get(), 1), TB_SUCCESS);
    const tb_stats s = stats();
    EXPECT_EQ(s.granted, 4);
    EXPECT_EQ(s.denied, 2);
    EXPECT_EQ(s.tokens_taken, 13.5);
    EXPECT_EQ(s.tokens_given_back, 0);
    EXPECT_EQ(s.waits, 0);
}

TEST_F(Stats, CountWaits) {
    const QuietHandler handler(SIGUSR1);
    const auto first = wait(2);
    const auto second = wait(3);
    const auto third = wait(1);
    EXPECT_EQ(stats().waiting, 3);
    EXPECT_EQ(stats().waits, 0);
    drop_largest(second.get(), 3);
    EXPECT_EQ(stats().waiting, 2);
    advance(2 * kSecond);
    EXPECT_EQ(first->join(), TB_SUCCESS);
    EXPECT_EQ(stats().waiting, 1);
    advance(kSecond);
    EXPECT_EQ(third->join(), TB_SUCCESS);
    const auto fourth = wait(3, 3 * kSecond);
    ASSERT_EQ(tb_set_rate(bucket.get(), 0.5), TB_SUCCESS);
    EXPECT_EQ(fourth->join(), TB_TIMED_OUT);
    EXPECT_EQ(tb_wait_for(bucket.get(), 1, kSecond), TB_TIMED_OUT);
    const tb_stats s = stats();
    EXPECT_EQ(s.granted, 3);
    EXPECT_EQ(s.waits, 4);
    EXPECT_EQ(s.total_wait_ns, 5 * kSecond);
    EXPECT_EQ(s.longest_wait_ns, 3 * kSecond);
    EXPECT_EQ(s.timed_out, 2);
    EXPECT_EQ(s.cancelled, 1);
    EXPECT_EQ(s.tokens_taken, 19);
    EXPECT_EQ(s.tokens_given_back, 6);
    EXPECT_EQ(s.waiting, 0);
}

TEST_F(Stats, CountReservationsAndWhatComesBack) {
    tb_reservation first = reserve(6);
    tb_reservation second = reserve(2);
    EXPECT_EQ(tb_cancel(bucket.get(), &second), TB_SUCCESS);
    EXPECT_EQ(tb_cancel(bucket.get(), &second), TB_SUCCESS);
    EXPECT_EQ(tb_settle(bucket.get(), &first, 2.5), TB_SUCCESS);
    EXPECT_EQ(tb_reserve(bucket.get(), 5, kSecond, &second), TB_TIMED_OUT);
    const tb_stats s = stats();
    EXPECT_EQ(s.granted, 3);
    EXPECT_EQ(s.cancelled, 1);
    EXPECT_EQ(s.timed_out, 1);
    EXPECT_EQ(s.tokens_taken, 18);
    EXPECT_EQ(s.tokens_given_back, 5.5);
    EXPECT_EQ(left(), -2.5);
}

TEST_F(Stats, CountOnlyWhatReallyCameBack) {
    advance(10 * kSecond);
    tb_reservation r = reserve(8);
    advance(5 * kSecond);
    EXPECT_EQ(tb_settle(bucket.get(), &r, 0), TB_SUCCESS);
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(stats().tokens_given_back, 3) << "the other five found the bucket full";
}

TEST_F(Stats, AreForBucketsThatCount) {
    tb_stats s{};
    EXPECT_EQ(tb_get_stats(bucket.get(), &s), TB_E_INVALID_ARGUMENT) << "no size";
    s.struct_size = sizeof s;
    EXPECT_EQ(tb_get_stats(nullptr, &s), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_get_stats(bucket.get(), nullptr), TB_E_INVALID_ARGUMENT);
    const BucketHandle plain = bucket_of(config_of(10, 1, clock.get()));
    EXPECT_EQ(tb_get_stats(plain.get(), &s), TB_E_UNSUPPORTED);
    EXPECT_EQ(s.granted, 0);
}

}  // namespace
