// Waits, and what may happen to a thread inside one.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <ctime>
#include <thread>
#include <vector>

#include "tests/support/api.h"

namespace {

using namespace tb_test;

int64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * kSecond + t.tv_nsec;
}

// A thread that waits for n tokens. Its reservation shows in the bucket before it sleeps.
class Waiter {
  public:
    Waiter(tb_bucket *bucket, double n) : bucket_(bucket) {
        const double before = available(bucket);
        thread_ = std::thread([this, n] {
            status_ = tb_wait(bucket_, n);
            returned_ = true;
        });
        while (available(bucket) == before) std::this_thread::yield();
    }
    ~Waiter() {
        if (thread_.joinable()) thread_.join();
    }
    tb_status join() {
        thread_.join();
        return status_;
    }
    bool returned() const { return returned_; }
    pthread_t id() { return thread_.native_handle(); }

  private:
    tb_bucket *bucket_;
    std::thread thread_;
    std::atomic<tb_status> status_{TB_E_SYSTEM};
    std::atomic<bool> returned_{false};
};

class Wait : public ManualBucket {
  protected:
    // An empty bucket that gains one token a second.
    void SetUp() override {
        start(10, 1);
        ASSERT_EQ(allow(10), TB_SUCCESS);
    }
};

TEST_F(Wait, TakesAtOnceWhatIsThere) {
    advance(3 * kSecond);
    EXPECT_EQ(tb_wait(bucket.get(), 2), TB_SUCCESS);
    EXPECT_EQ(tb_wait_for(bucket.get(), 1, 0), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Wait, EndsWhenTheTokensAreThereAndInOrder) {
    Waiter first(bucket.get(), 2);
    Waiter second(bucket.get(), 1);
    EXPECT_EQ(left(), -3);
    EXPECT_EQ(allow(1), TB_DENIED);
    advance(2 * kSecond);
    EXPECT_EQ(first.join(), TB_SUCCESS);
    EXPECT_FALSE(second.returned());
    advance(kSecond);
    EXPECT_EQ(second.join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Wait, CloseEndsItAndGivesItsTokensBack) {
    Waiter waiter(bucket.get(), 5);
    EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    EXPECT_EQ(waiter.join(), TB_CLOSED);
    EXPECT_EQ(left(), 0);
}

TEST_F(Wait, DestroyLetsEveryoneOutFirst) {
    constexpr int kWaiters = 20;
    std::vector<std::unique_ptr<Waiter>> waiters;
    for (int i = 0; i < kWaiters; ++i) waiters.push_back(std::make_unique<Waiter>(bucket.get(), 1));
    bucket.reset();
    for (const auto &waiter : waiters) EXPECT_EQ(waiter->join(), TB_CLOSED);
}

TEST_F(Wait, ASignalHandlerEndsItAndItsTokensComeBack) {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
    Waiter waiter(bucket.get(), 5);
    // A signal before the sleep has begun ends nothing, so it is sent until one hits.
    while (!waiter.returned()) {
        pthread_kill(waiter.id(), SIGUSR1);
        std::this_thread::yield();
    }
    EXPECT_EQ(waiter.join(), TB_INTERRUPTED);
    EXPECT_EQ(left(), 0);
    sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(Wait, IsNoCancellationPoint) {
    Waiter waiter(bucket.get(), 5);
    ASSERT_EQ(pthread_cancel(waiter.id()), 0);
    advance(5 * kSecond);
    EXPECT_EQ(waiter.join(), TB_SUCCESS);
    EXPECT_TRUE(waiter.returned());
    EXPECT_EQ(left(), 0);
}

// The few tests that sleep for real: 20 ms each.
class RealWait : public testing::Test {
  protected:
    static constexpr int64_t kWait = 20 * kMillisecond;

    void expect_one_wait(tb_bucket *b) {
        ASSERT_EQ(tb_allow(b, 10), TB_SUCCESS);
        const int64_t from = monotonic_ns();
        ASSERT_EQ(tb_wait(b, 1), TB_SUCCESS);
        // The clock's microsecond, and the time between the two calls above.
        EXPECT_GE(monotonic_ns() - from, kWait - kMillisecond);
        EXPECT_EQ(tb_allow(b, 1), TB_DENIED);
    }
};

TEST_F(RealWait, OnTheSystemClock) {
    const BucketHandle b = bucket_of(config_of(10, 50, nullptr));
    expect_one_wait(b.get());
}

TEST_F(RealWait, OnACallbackClock) {
    tb_clock *raw = nullptr;
    const tb_clock_fn read = [](void *) { return monotonic_ns() - kSecond; };
    ASSERT_EQ(tb_callback_clock_create(read, nullptr, &raw), TB_SUCCESS);
    const ClockHandle clock(raw);
    const BucketHandle b = bucket_of(config_of(10, 50, clock.get()));
    expect_one_wait(b.get());
}

}  // namespace
