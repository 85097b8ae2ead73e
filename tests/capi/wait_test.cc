// What may happen to a thread inside a wait; who is served when is in tests/conformance/waits.txt.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>

#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

TEST_F(Waits, OfSeveralBucketsShareAClock) {
    const BucketHandle other = bucket_of(config_of(10, 2, clock.get()));
    ASSERT_EQ(tb_allow(other.get(), 10), TB_SUCCESS);
    const auto slow = wait(1);
    Waiter fast(clock.get(), other.get(), 1);
    EXPECT_EQ(parked(), 2);
    EXPECT_EQ(due(), kSecond / 2);
    advance(kSecond / 2);
    EXPECT_EQ(fast.join(), TB_SUCCESS);
    EXPECT_EQ(parked(), 1);
    EXPECT_FALSE(slow->returned());
    ASSERT_EQ(tb_manual_clock_set(clock.get(), kSecond), TB_SUCCESS);
    EXPECT_EQ(slow->join(), TB_SUCCESS);
}

TEST_F(Waits, ThatAreDueAtNoTimeAreNotServedWhenTimeEnds) {
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

TEST_F(Waits, DestroyLetsEveryoneOutFirst) {
    constexpr int kWaiters = 20;
    std::vector<std::unique_ptr<Waiter>> waiters;
    for (int i = 0; i < kWaiters; ++i) waiters.push_back(wait(1));
    bucket.reset();
    for (const auto &waiter : waiters) EXPECT_EQ(waiter->join(), TB_CLOSED);
}

TEST_F(Waits, ASignalHandlerEndsOneAndThoseBehindMoveUp) {
    TB_TEST_NEEDS_FEATURE("interruptible_wait");
    const QuietHandler handler(SIGUSR1);
    const auto first = wait(5);
    const auto second = wait(2);
    EXPECT_EQ(first->interrupt(SIGUSR1), TB_INTERRUPTED);
    EXPECT_EQ(left(), -2);
    EXPECT_EQ(due(), 2 * kSecond);
    advance(2 * kSecond);
    EXPECT_EQ(second->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

// Before the sleep and during it, whatever the feature says of the wait's end.
TEST_F(Waits, LetSignalHandlersRun) {
    const QuietHandler handler(SIGUSR1);
    const auto waiter = wait(5);
    if (signals_end_waits()) {
        EXPECT_EQ(waiter->interrupt(SIGUSR1), TB_INTERRUPTED);
        EXPECT_EQ(left(), 0);
        return;
    }
    for (int i = 0; i < 50; ++i) handler.run_in(waiter->id());
    EXPECT_EQ(parked(), 1);
    EXPECT_EQ(due(), 5 * kSecond);
    advance(5 * kSecond);
    EXPECT_EQ(waiter->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

TEST_F(Waits, AreNoCancellationPoints) {
    const auto waiter = wait(5);
    ASSERT_EQ(pthread_cancel(waiter->id()), 0);
    advance(5 * kSecond);
    EXPECT_EQ(waiter->join(), TB_SUCCESS);
    EXPECT_TRUE(waiter->returned());
    EXPECT_EQ(left(), 0);
}

TEST_F(Waits, BelongToTheParentAfterAFork) {
    const auto waiter = wait(2);
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        EXPECT_EQ(parked(), 0);
        EXPECT_EQ(left(), -2);
        EXPECT_EQ(tb_refund(bucket.get(), 1), TB_SUCCESS);
        EXPECT_EQ(tb_set_rate(bucket.get(), 2), TB_SUCCESS);
        EXPECT_EQ(tb_wait_for(bucket.get(), 1, kSecond - 1), TB_TIMED_OUT);
        advance(kSecond);
        EXPECT_EQ(tb_wait(bucket.get(), 1), TB_SUCCESS);
#if !defined(__SANITIZE_THREAD__)  // it knows no threads in a forked child
        const auto own = wait(1);
        EXPECT_EQ(parked(), 1);
        bucket.reset();
        EXPECT_EQ(own->join(), TB_CLOSED);
#endif
        _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    EXPECT_EQ(parked(), 1);
    advance(2 * kSecond);
    EXPECT_EQ(waiter->join(), TB_SUCCESS);
    EXPECT_EQ(left(), 0);
}

// A handler that forks leaves the child with a copy of a waiting thread, which belongs to no queue.
TEST_F(Waits, AHandlerThatForksEndsTheWaitOnBothSides) {
    TB_TEST_NEEDS_FEATURE("interruptible_wait");
    static std::atomic<bool> forked;
    static std::atomic<pid_t> child;
    forked = false;
    child = -1;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {
        if (!forked.exchange(true)) child = fork();
    };
    ASSERT_EQ(sigaction(SIGUSR2, &action, &before), 0);
    const pid_t parent = getpid();
    tb_status status = TB_E_SYSTEM;
    std::atomic<bool> returned{false};
    std::thread thread([&] {
        status = tb_wait(bucket.get(), 3);
        if (getpid() != parent) _exit(status == TB_INTERRUPTED && allow(1) == TB_DENIED && left() == -3 ? 0 : 1);
        returned = true;
    });
    while (parked() == 0) std::this_thread::yield();
    while (!returned) {
        pthread_kill(thread.native_handle(), SIGUSR2);
        std::this_thread::yield();
    }
    thread.join();
    EXPECT_EQ(status, TB_INTERRUPTED);
    EXPECT_EQ(left(), 0);
    int code = 0;
    ASSERT_EQ(waitpid(child, &code, 0), child);
    EXPECT_TRUE(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    sigaction(SIGUSR2, &before, nullptr);
}

// Keeps a thread inside a signal handler, and so from leaving its wait.
std::atomic<bool> held;
std::atomic<bool> let_go;

class Hold {
  public:
    explicit Hold(Waiter *waiter) {
        held = let_go = false;
        struct sigaction action {};
        action.sa_handler = [](int) {
            held = true;
            while (!let_go) sched_yield();
        };
        EXPECT_EQ(sigaction(SIGUSR2, &action, &before_), 0);
        pthread_kill(waiter->id(), SIGUSR2);
        while (!held) std::this_thread::yield();
    }
    ~Hold() {
        let_go = true;
        sigaction(SIGUSR2, &before_, nullptr);
    }
    Hold(const Hold &) = delete;
    Hold &operator=(const Hold &) = delete;

  private:
    struct sigaction before_ {};
};

TEST_F(Waits, ThatAreDueAreAsGoodAsGoneHoweverLateTheirThreadLeaves) {
    TB_TEST_NEEDS_FEATURE("interruptible_wait");  // without it, who wakes a thread may have to wait for its handler
    tb_config config = config_of(10, 1, clock.get());
    config.max_waiters = 1;
    bucket = bucket_of(config);
    ASSERT_EQ(allow(10), TB_SUCCESS);
    const auto late = wait(1);
    std::unique_ptr<Waiter> next;
    {
        const Hold hold(late.get());
        advance(kSecond);
        next = wait(1);
        EXPECT_EQ(left(), -1);
    }
    EXPECT_EQ(late->join(), TB_SUCCESS);
    {
        const Hold hold(next.get());
        advance(12 * kSecond);
        EXPECT_EQ(left(), 10);
        EXPECT_EQ(tb_set_rate(bucket.get(), 2), TB_SUCCESS);
        EXPECT_EQ(left(), 10) << "it was served long ago";
        EXPECT_EQ(tb_close(bucket.get()), TB_SUCCESS);
        EXPECT_EQ(left(), 10);
    }
    EXPECT_EQ(next->join(), TB_SUCCESS);
}

int64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * kSecond + t.tv_nsec;
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

// A sleep of eleven days is cut short when the rate brings its end near, and by the end of the bucket.
TEST_F(RealWait, IsWokenWhenItsPlanChanges) {
    tb_config config = config_of(10, 1e-6, nullptr);
    config.initial_tokens = 0;
    config.flags = TB_STATISTICS;
    BucketHandle b = bucket_of(config);
    tb_stats stats{};
    stats.struct_size = sizeof stats;
    const auto until_waiting = [&](int64_t count) {
        while (stats.waiting != count) ASSERT_EQ(tb_get_stats(b.get(), &stats), TB_SUCCESS);
    };
    std::atomic<tb_status> first{TB_E_SYSTEM};
    std::atomic<tb_status> second{TB_E_SYSTEM};
    std::thread sooner([&] { first = tb_wait(b.get(), 1); });
    until_waiting(1);
    std::thread never([&] { second = tb_wait(b.get(), 10); });
    until_waiting(2);
    ASSERT_EQ(tb_set_rate(b.get(), 100), TB_SUCCESS);
    sooner.join();
    EXPECT_EQ(first, TB_SUCCESS);
    ASSERT_EQ(tb_set_rate(b.get(), 1e-6), TB_SUCCESS);
    b.reset();
    never.join();
    EXPECT_EQ(second, TB_CLOSED);
}

// A clock that stands just before the token of a bucket of 1 and 1000 a second is there, until it has been asked for
// the time kStands times. Then a wait has its last stretch however late this machine's timers are.
class StandingClock {
  public:
    static constexpr int kStands = 200;

    StandingClock() : start_ns_(monotonic_ns()) {
        tb_clock *raw = nullptr;
        EXPECT_EQ(tb_callback_clock_create(read, this, &raw), TB_SUCCESS);
        clock_.reset(raw);
    }

    // How often the thread slept in a wait for the token.
    int64_t count_sleeps(uint32_t flags) {
        tb_config config = config_of(1, 1000, clock_.get());
        config.flags = flags;
        config.initial_tokens = 0;
        const BucketHandle b = bucket_of(config);
        runs_ = true;
        const int64_t before = sleeps();
        EXPECT_EQ(tb_wait(b.get(), 1), TB_SUCCESS);
        return sleeps() - before;
    }

    int stood() const { return stood_; }
    int stood_narrow() const { return stood_narrow_; }  // with the narrowest timer slack

  private:
    static int64_t read(void *self) { return static_cast<StandingClock *>(self)->now(); }

    static int64_t sleeps() {
        rusage usage{};
        getrusage(RUSAGE_THREAD, &usage);
        return usage.ru_nvcsw;
    }

    int64_t now() {
        constexpr int64_t kDueNs = 1000000, kBeforeNs = 20000;
        if (!runs_) return start_ns_;
        const int64_t real_ns = monotonic_ns();
        const int64_t stands_ns = start_ns_ + kDueNs - kBeforeNs;
        if (real_ns < stands_ns) return real_ns;
        if (stood_ == kStands) return std::max(real_ns, start_ns_ + kDueNs);
        ++stood_;
        if (prctl(PR_GET_TIMERSLACK) == 1) ++stood_narrow_;
        return stands_ns;
    }

    const int64_t start_ns_;
    ClockHandle clock_;
    bool runs_ = false;
    int stood_ = 0;
    int stood_narrow_ = 0;
};

TEST_F(RealWait, SpinsItsLastStretchIfThatIsAskedFor) {
    StandingClock sleeps_clock, spins_clock;
    EXPECT_GT(sleeps_clock.count_sleeps(0), StandingClock::kStands / 2);
    EXPECT_LT(spins_clock.count_sleeps(TB_PRECISE_WAIT), StandingClock::kStands / 2);
    EXPECT_EQ(sleeps_clock.stood(), StandingClock::kStands);
    EXPECT_EQ(spins_clock.stood(), StandingClock::kStands);
}

TEST_F(RealWait, LeavesTheTimerSlackAsItWas) {
    const int before = prctl(PR_GET_TIMERSLACK);
    ASSERT_EQ(prctl(PR_SET_TIMERSLACK, 123456), 0);
    for (const uint32_t flags : {uint32_t{0}, TB_PRECISE_WAIT}) {
        tb_config config = config_of(10, 50, nullptr);
        config.flags = flags;
        const BucketHandle b = bucket_of(config);
        expect_one_wait(b.get());
        EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 123456) << flags;
    }
    prctl(PR_SET_TIMERSLACK, before);
}

// Where a clock asks in the middle of a wait, the slack of the thread that waits can be seen.
TEST_F(RealWait, NarrowsTheTimerSlackMeanwhile) {
    TB_TEST_NEEDS_FEATURE("timer_slack");
    static std::atomic<int> narrowest;
    narrowest = 1 << 30;
    tb_clock *raw = nullptr;
    const tb_clock_fn read = [](void *) {
        const int slack = prctl(PR_GET_TIMERSLACK);
        if (slack < narrowest) narrowest = slack;
        return monotonic_ns();
    };
    ASSERT_EQ(tb_callback_clock_create(read, nullptr, &raw), TB_SUCCESS);
    const ClockHandle clock(raw);
    const BucketHandle b = bucket_of(config_of(10, 50, clock.get()));
    const int before = prctl(PR_GET_TIMERSLACK);
    ASSERT_EQ(prctl(PR_SET_TIMERSLACK, 123456), 0);
    expect_one_wait(b.get());
    prctl(PR_SET_TIMERSLACK, before);
    EXPECT_EQ(narrowest, 1);
}

// One that spins has it back before its tokens are there.
TEST_F(RealWait, SpinsWithTheTimerSlackAsItWas) {
    TB_TEST_NEEDS_FEATURE("timer_slack");
    constexpr int kFew = 20;
    const int before = prctl(PR_GET_TIMERSLACK);
    ASSERT_EQ(prctl(PR_SET_TIMERSLACK, 123456), 0);
    StandingClock sleeps_clock, spins_clock;
    sleeps_clock.count_sleeps(0);
    spins_clock.count_sleeps(TB_PRECISE_WAIT);
    prctl(PR_SET_TIMERSLACK, before);
    EXPECT_GT(sleeps_clock.stood_narrow(), StandingClock::kStands - kFew);
    EXPECT_LT(spins_clock.stood_narrow(), kFew);
}

}  // namespace
