// Signal handlers and fork.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "tests/support/api.h"

namespace {

using namespace tb_test;

tb_bucket *shared_bucket;
std::atomic<int64_t> granted;
std::atomic<int64_t> asked;
std::atomic<int64_t> time_ns;

// Interrupts whatever the program does with takes, for as long as it lives.
class TakingHandler {
  public:
    TakingHandler() {
        struct sigaction action {};
        action.sa_handler = [](int) {
            const int errno_before = errno;
            errno = EDOM;
            time_ns += 1000 * kSecond;
            asked = asked + 1;
            if (tb_allow(shared_bucket, 1) == TB_SUCCESS) granted = granted + 1;
            tb_decision d;
            if (tb_take(shared_bucket, 0.5, &d) == TB_SUCCESS) granted = granted + 1;
            if (errno != EDOM) _exit(99);
            errno = errno_before;
        };
        sigaction(SIGALRM, &action, &before_);
        set_timer(100);
    }
    ~TakingHandler() {
        set_timer(0);
        sigaction(SIGALRM, &before_, nullptr);
    }
    TakingHandler(const TakingHandler &) = delete;
    TakingHandler &operator=(const TakingHandler &) = delete;

  private:
    static void set_timer(suseconds_t us) {
        const itimerval timer{{0, us}, {0, us}};
        setitimer(ITIMER_REAL, &timer, nullptr);
    }
    struct sigaction before_ {};
};

// Changes of the limit hold the bucket's lock, and a take that comes 1000 s later needs it too, to move the base: a
// handler must never meet the lock of the thread it interrupted.
TEST(Process, TakesInASignalHandlerNeverDeadlock) {
    tb_clock *raw = nullptr;
    const tb_clock_fn read = [](void *) { return time_ns.load(); };
    ASSERT_EQ(tb_callback_clock_create(read, nullptr, &raw), TB_SUCCESS);
    const ClockHandle clock(raw);
    const BucketHandle b = bucket_of(config_of(1e6, 1e10, clock.get()));
    shared_bucket = b.get();
    granted = asked = 0;
    const TakingHandler handler;
    for (int i = 0; asked < 2000; ++i) {
        ASSERT_EQ(tb_set_rate(b.get(), i % 2 == 0 ? 1e9 : 1e10), TB_SUCCESS);
        ASSERT_EQ(tb_set_capacity(b.get(), i % 3 == 0 ? 1e6 : 1e12), TB_SUCCESS);
        tb_reservation r{};
        ASSERT_EQ(tb_reserve(b.get(), 1000, TB_FOREVER, &r), TB_SUCCESS);
        ASSERT_EQ(tb_cancel(b.get(), &r), TB_SUCCESS);
    }
    EXPECT_GT(granted, 0);
}

int exit_code_of_child(void (*body)(tb_bucket *), tb_bucket *bucket) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        body(bucket);
        _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Process, AForkedChildHasItsOwnBucket) {
    const ClockHandle clock = manual_clock();
    const BucketHandle b = bucket_of(config_of(10, 5, clock.get()));
    ASSERT_EQ(tb_allow(b.get(), 4), TB_SUCCESS);
    const auto body = [](tb_bucket *bucket) {
        EXPECT_EQ(tb_allow(bucket, 6), TB_SUCCESS);
        EXPECT_EQ(tb_allow(bucket, 1), TB_DENIED);
        EXPECT_EQ(tb_set_rate(bucket, 7), TB_SUCCESS);
        tb_destroy(bucket);
    };
    EXPECT_EQ(exit_code_of_child(body, b.get()), 0);
    EXPECT_EQ(available(b.get()), 6);
}

TEST(Process, InAChildNothingIsPending) {
    const ClockHandle clock = manual_clock();
    const BucketHandle b = bucket_of(config_of(10, 5, clock.get()));
    static tb_reservation reserved;
    ASSERT_EQ(tb_allow(b.get(), 10), TB_SUCCESS);
    ASSERT_EQ(tb_reserve(b.get(), 6, TB_FOREVER, &reserved), TB_SUCCESS);
    const auto body = [](tb_bucket *bucket) {
        EXPECT_EQ(tb_cancel(bucket, &reserved), TB_SUCCESS);
        EXPECT_EQ(available(bucket), -6);
        tb_reservation own{};
        EXPECT_EQ(tb_reserve(bucket, 1, TB_FOREVER, &own), TB_SUCCESS);
        EXPECT_EQ(tb_cancel(bucket, &own), TB_SUCCESS);
        EXPECT_EQ(available(bucket), -6);
    };
    EXPECT_EQ(exit_code_of_child(body, b.get()), 0);
    ASSERT_EQ(tb_cancel(b.get(), &reserved), TB_SUCCESS);
    EXPECT_EQ(available(b.get()), 0);
}

// Fork at any moment of another thread's change of limit, or of what is pending: the lock it holds is free in the
// child.
TEST(Process, AChildIsNotStoppedByALockOfItsParent) {
    const BucketHandle b = bucket_of(config_of(10, 5, nullptr));
    std::atomic<bool> stop{false};
    std::thread changer([&] {
        for (int i = 0; !stop; ++i) {
            tb_reservation r{};
            tb_set_capacity(b.get(), i % 2 == 0 ? 10 : 1e12);
            tb_reserve(b.get(), 9, TB_FOREVER, &r);
            if (i % 3 != 0) tb_cancel(b.get(), &r);
        }
    });
    const auto body = [](tb_bucket *bucket) {
        if (tb_set_rate(bucket, 7) != TB_SUCCESS || tb_set_capacity(bucket, 5) != TB_SUCCESS) _exit(2);
        if (tb_allow(bucket, 1) < TB_SUCCESS) _exit(3);
        for (int i = 0; i < 200; ++i) {
            tb_reservation r{};
            if (tb_reserve(bucket, 1, TB_FOREVER, &r) != TB_SUCCESS) _exit(4);
            if (i % 2 == 0 && tb_cancel(bucket, &r) != TB_SUCCESS) _exit(5);
        }
    };
    for (int i = 0; i < 200; ++i) ASSERT_EQ(exit_code_of_child(body, b.get()), 0);
    stop = true;
    changer.join();
}

// Fork at any moment of other threads' coming, sleeping and going: the child waits and ends on its own. A real sleep of
// a millisecond.
TEST(Process, AChildWaitsWhateverItsParentsThreadsDo) {
    const BucketHandle b = bucket_of(config_of(1, 1000, nullptr));
    std::atomic<bool> stop{false};
    std::vector<std::thread> waiters;
    for (int i = 0; i < 3; ++i)
        waiters.emplace_back([&] {
            while (!stop) tb_wait(b.get(), 1);
        });
    const auto body = [](tb_bucket *bucket) {
        if (tb_reset(bucket, 0) != TB_SUCCESS || tb_wait(bucket, 1) != TB_SUCCESS) _exit(2);
        tb_destroy(bucket);
    };
    for (int i = 0; i < 100; ++i) ASSERT_EQ(exit_code_of_child(body, b.get()), 0);
    stop = true;
    for (std::thread &t : waiters) t.join();
}

}  // namespace
