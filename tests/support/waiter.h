// A thread that waits on a bucket with a manual clock, and the knowledge that it does.
#ifndef TOKENBUCKET_TESTS_SUPPORT_WAITER_H
#define TOKENBUCKET_TESTS_SUPPORT_WAITER_H

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/api.h"

namespace tb_test {

inline int64_t waiting(tb_clock *clock) {
    int64_t count = -1;
    EXPECT_EQ(tb_manual_clock_waiters(clock, &count, nullptr), TB_SUCCESS);
    return count;
}

inline int64_t next_due(tb_clock *clock) {
    int64_t ns = -1;
    EXPECT_EQ(tb_manual_clock_waiters(clock, nullptr, &ns), TB_SUCCESS);
    return ns;
}

// What a build for other systems than Linux cannot do. Begins a test that needs it.
inline bool signals_end_waits() {
    return tb_has_feature("interruptible_wait") == 1;
}
#define TB_TEST_NEEDS_FEATURE(name) \
    if (tb_has_feature(name) == 0) GTEST_SKIP() << "skipped: the library has no " name

class Waiter {
  public:
    // Returns when the thread has its place in the order. It must have to wait.
    Waiter(tb_clock *clock, tb_bucket *bucket, double n, int64_t timeout_ns = TB_FOREVER) : bucket_(bucket) {
        const int64_t before = waiting(clock);
        thread_ = std::thread([this, n, timeout_ns] { status_.set_value(tb_wait_for(bucket_, n, timeout_ns)); });
        while (waiting(clock) == before && !returned()) std::this_thread::yield();
        EXPECT_FALSE(returned()) << "it did not wait";
    }
    ~Waiter() {
        if (!thread_.joinable()) return;
        if (!returned()) tb_close(bucket_);
        thread_.join();
    }
    tb_status join() {
        if (result_.wait_for(std::chrono::seconds(30)) != std::future_status::ready) {
            ADD_FAILURE() << "it waits for ever";
            tb_close(bucket_);
        }
        thread_.join();
        return result_.get();
    }
    // Sends a signal until one hits the sleep: one that comes before it has begun ends nothing. Where signals end
    // waits.
    tb_status interrupt(int signal) {
        while (!returned()) {
            pthread_kill(id(), signal);
            std::this_thread::yield();
        }
        return join();
    }
    bool returned() const { return result_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }
    pthread_t id() { return thread_.native_handle(); }

  private:
    tb_bucket *const bucket_;
    std::promise<tb_status> status_;
    std::shared_future<tb_status> result_ = status_.get_future().share();
    std::thread thread_;
};

// A handler that does nothing but run, which it counts, installed with SA_RESTART.
class QuietHandler {
  public:
    explicit QuietHandler(int signal) : signal_(signal) {
        struct sigaction action {};
        runs_ = 0;
        action.sa_handler = [](int) { ++runs_; };
        action.sa_flags = SA_RESTART;
        EXPECT_EQ(sigaction(signal_, &action, &before_), 0);
    }
    ~QuietHandler() { sigaction(signal_, &before_, nullptr); }
    QuietHandler(const QuietHandler &) = delete;
    QuietHandler &operator=(const QuietHandler &) = delete;

    // Has the thread run it, and returns after that. Sends more than one signal, since ThreadSanitizer keeps one that
    // comes just before a sleep until after that.
    void run_in(pthread_t thread) const {
        const int before = runs_;
        while (runs_ == before) {
            EXPECT_EQ(pthread_kill(thread, signal_), 0);
            std::this_thread::yield();
        }
    }

  private:
    static inline std::atomic<int> runs_{0};
    const int signal_;
    struct sigaction before_ {};
};

// An empty bucket of 10 tokens that gains one a second, on a manual clock at 0.
class Waits : public ManualBucket {
  protected:
    void SetUp() override {
        start(10, 1);
        ASSERT_EQ(allow(10), TB_SUCCESS);
    }
    std::unique_ptr<Waiter> wait(double n, int64_t timeout_ns = TB_FOREVER) {
        return std::make_unique<Waiter>(clock.get(), bucket.get(), n, timeout_ns);
    }
    tb_reservation reserve(double n) {
        tb_reservation r{};
        EXPECT_EQ(tb_reserve(bucket.get(), n, TB_FOREVER, &r), TB_SUCCESS);
        return r;
    }
    // Ends the one wait for `n` tokens, where all others want less: by a signal (a QuietHandler is there), or where
    // those end none, by a capacity too small for it.
    void drop_largest(Waiter *waiter, double n) {
        if (signals_end_waits()) {
            EXPECT_EQ(waiter->interrupt(SIGUSR1), TB_INTERRUPTED);
            return;
        }
        EXPECT_EQ(tb_set_capacity(bucket.get(), n - 0.5), TB_SUCCESS);
        EXPECT_EQ(waiter->join(), TB_EXCEEDS_CAPACITY);
        EXPECT_EQ(tb_set_capacity(bucket.get(), 10), TB_SUCCESS);
    }
    int64_t parked() { return waiting(clock.get()); }
    int64_t due() { return next_due(clock.get()); }
};

}  // namespace tb_test

#endif
