// Signal handlers and fork.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/support/api.h"
#include "tests/support/effort.h"

namespace {

using namespace tb_test;

tb_bucket *shared_bucket;
std::atomic<int> runs;
std::atomic<int> refused;
std::atomic<int64_t> time_ns;

// Interrupts the program with takes and looks, once each time it is armed. The bucket is full by then: the time moves
// so far that a take has to move the base of the accrual.
class TakingHandler {
  public:
    TakingHandler() {
        struct sigaction action {};
        action.sa_handler = [](int) {
            const int errno_before = errno;
            errno = EDOM;
            time_ns += 290 * kSecond;
            tb_decision d;
            double tokens = 0;
            int64_t ns = 0;
            bool good = tb_allow(shared_bucket, 1) == TB_SUCCESS;
            good = tb_take(shared_bucket, 0.5, &d) == TB_SUCCESS && good;
            good = tb_take_up_to(shared_bucket, 3, &tokens) == TB_SUCCESS && tokens == 3 && good;
            good = tb_time_until(shared_bucket, 1, &ns) == TB_SUCCESS && ns == 0 && good;
            good = tb_available(shared_bucket, &tokens) == TB_SUCCESS && tokens > 1 && good;
            if (!good) refused = refused + 1;
            runs = runs + 1;
            if (errno != EDOM) _exit(99);
            errno = errno_before;
        };
        sigaction(SIGALRM, &action, &before_);
    }
    ~TakingHandler() {
        arm(0);
        sigaction(SIGALRM, &before_, nullptr);
    }
    TakingHandler(const TakingHandler &) = delete;
    TakingHandler &operator=(const TakingHandler &) = delete;

    void arm(suseconds_t us) const {
        const itimerval timer{{0, 0}, {0, us}};
        setitimer(ITIMER_REAL, &timer, nullptr);
    }

  private:
    struct sigaction before_ {};
};

// Everything else holds a lock of the bucket: a handler must never meet the lock of the thread that it interrupts. A
// unit is 1e-5 token, and the base is to be moved after 288 s at the higher rate.
TEST(Process, TakesInASignalHandlerNeverDeadlock) {
    tb_clock *raw = nullptr;
    const tb_clock_fn read = [](void *) { return time_ns.load(); };
    ASSERT_EQ(tb_callback_clock_create(read, nullptr, &raw), TB_SUCCESS);
    const ClockHandle clock(raw);
    const BucketHandle b = bucket_of(config_of(1e6, 1e10, clock.get()));
    shared_bucket = b.get();
    runs = refused = 0;
    const TakingHandler handler;
    int armed = -1;
    for (int i = 0; runs < 2000; ++i) {
        if (armed != runs) {
            EXPECT_GE(tb_allow(b.get(), 1), TB_SUCCESS) << "which moves the base, if the handler could not";
            armed = runs;
            handler.arm(1 + armed % 50);
        }
        ASSERT_EQ(tb_set_rate(b.get(), i % 2 == 0 ? 1e9 : 1e10), TB_SUCCESS);
        ASSERT_EQ(tb_set_capacity(b.get(), i % 3 == 0 ? 1e6 : 1e9), TB_SUCCESS);
        ASSERT_EQ(tb_reset(b.get(), 0), TB_SUCCESS);
        ASSERT_EQ(tb_charge(b.get(), 1, nullptr), TB_SUCCESS);
        tb_reservation r{}, other{};
        ASSERT_EQ(tb_reserve(b.get(), 1000, TB_FOREVER, &r), TB_SUCCESS);
        ASSERT_EQ(tb_reserve(b.get(), 1000, TB_FOREVER, &other), TB_SUCCESS);
        ASSERT_EQ(tb_cancel(b.get(), &r), TB_SUCCESS);
        ASSERT_EQ(tb_settle(b.get(), &other, 10), TB_SUCCESS);
        ASSERT_EQ(tb_refund(b.get(), 10), TB_SUCCESS);
    }
    EXPECT_EQ(refused, 0);
}

// Interrupted anywhere in a call, which then finds the bucket full and a token taken.
TEST(Process, WhatIsUnderWayWhileTheBucketFillsLeavesNoDebt) {
    tb_clock *raw = nullptr;
    const tb_clock_fn read = [](void *) { return time_ns.load(); };
    ASSERT_EQ(tb_callback_clock_create(read, nullptr, &raw), TB_SUCCESS);
    const ClockHandle clock(raw);
    const BucketHandle b = bucket_of(config_of(10, 1, clock.get()));
    shared_bucket = b.get();
    runs = refused = 0;
    const TakingHandler handler;
    for (int round = 0; round < 2000; ++round) {
        const int before = runs;
        handler.arm(1 + round % 50);
        while (runs == before) {
            tb_reservation r{}, other{};
            ASSERT_EQ(tb_reset(b.get(), 0), TB_SUCCESS);
            ASSERT_EQ(tb_reserve(b.get(), 2, TB_FOREVER, &r), TB_SUCCESS);
            ASSERT_EQ(tb_cancel(b.get(), &r), TB_SUCCESS);
            ASSERT_EQ(tb_reserve(b.get(), 2, TB_FOREVER, &other), TB_SUCCESS);
            ASSERT_EQ(tb_settle(b.get(), &other, 0), TB_SUCCESS);
        }
        ASSERT_GE(available(b.get()), 0) << round;
    }
    EXPECT_EQ(refused, 0);
}

// Keeps the thread that it interrupts where it is.
std::atomic<bool> held;
std::atomic<bool> let_go;

// A word counts eight generations of the limit. A thread that is held while eight or nine go by, anywhere in a call,
// finds what others did since, and adds what it came for.
TEST(Process, AThreadHeldDuringManyChangesSpoilsNothing) {
    constexpr int kHolds = 200;
    constexpr int kPatience = 100;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {
        held = true;
        while (!let_go) sched_yield();
        held = false;
    };
    ASSERT_EQ(sigaction(SIGUSR2, &action, &before), 0);
    const ClockHandle clock = manual_clock();
    tb_config config = config_of(100000, 1, clock.get());
    config.initial_tokens = 50000;
    const BucketHandle b = bucket_of(config);
    std::atomic<bool> stop{false};
    std::thread worker([&] {
        while (!stop) {
            EXPECT_EQ(tb_charge(b.get(), 1, nullptr), TB_SUCCESS);
            EXPECT_EQ(tb_allow(b.get(), 1), TB_SUCCESS);
            tb_decision d;
            EXPECT_EQ(tb_take(b.get(), 0.5, &d), TB_SUCCESS);
            EXPECT_EQ(tb_refund(b.get(), 2.5), TB_SUCCESS);
            EXPECT_EQ(tb_set_rate(b.get(), 3), TB_SUCCESS);
        }
    });
    int changed_meanwhile = 0;
    for (int i = 0; i < kHolds; ++i) {
        let_go = false;
        pthread_kill(worker.native_handle(), SIGUSR2);
        while (!held) std::this_thread::yield();
        EXPECT_EQ(tb_allow(b.get(), 3), TB_SUCCESS) << "a take is kept waiting by nobody";
        std::atomic<bool> changed{false};
        std::thread changer([&] {
            for (int k = 0; k < 8; ++k) EXPECT_EQ(tb_set_rate(b.get(), 1 + k % 2), TB_SUCCESS);
            if (i % 2 == 0) {
                EXPECT_EQ(tb_charge(b.get(), 7, nullptr), TB_SUCCESS);
                EXPECT_EQ(tb_set_capacity(b.get(), 100000 + i), TB_SUCCESS);
            }
            changed = true;
        });
        // A thread held with the lock keeps the changes waiting.
        for (int k = 0; k < kPatience && !changed; ++k) std::this_thread::sleep_for(std::chrono::microseconds(10));
        changed_meanwhile += changed;
        let_go = true;
        changer.join();
        while (held) std::this_thread::yield();
    }
    stop = true;
    worker.join();
    sigaction(SIGUSR2, &before, nullptr);
    EXPECT_GT(changed_meanwhile, 0);
    EXPECT_EQ(available(b.get()), 50000 - 3 * kHolds - 7 * kHolds / 2);
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
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
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
            tb_set_capacity(b.get(), i % 2 == 0 ? 10 : 1e8);
            tb_reserve(b.get(), 9, TB_FOREVER, &r);
            if (i % 3 != 0) tb_cancel(b.get(), &r);
        }
    });
    const auto body = [](tb_bucket *bucket) {
        if (tb_set_rate(bucket, 7) != TB_SUCCESS || tb_set_capacity(bucket, 5) != TB_SUCCESS) _exit(2);
        if (tb_allow(bucket, 1) < TB_SUCCESS) _exit(3);
        // A sanitizer's heap, unlike the C library's, may stay locked in the child.
        const int rounds = static_cast<int>(support::effort("TB_CHILD_ROUNDS", 200, 0));
        for (int i = 0; i < rounds; ++i) {
            tb_reservation r{};
            if (tb_reserve(bucket, 1, TB_FOREVER, &r) != TB_SUCCESS) _exit(4);
            if (i % 2 == 0 && tb_cancel(bucket, &r) != TB_SUCCESS) _exit(5);
        }
    };
    for (int i = 0; i < 200 && !HasFailure(); ++i) EXPECT_EQ(exit_code_of_child(body, b.get()), 0);
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
    for (int i = 0; i < 100 && !HasFailure(); ++i) EXPECT_EQ(exit_code_of_child(body, b.get()), 0);
    stop = true;
    for (std::thread &t : waiters) t.join();
}

}  // namespace
