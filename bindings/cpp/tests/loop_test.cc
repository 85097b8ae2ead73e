// Waits on event loops: callbacks, waiters that are no threads, and one order for all.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/timer_loop.h"
#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using tb_test::PostLoop;
using tb_test::TimerLoop;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::kForever;
using tokenbucket::ManualClock;
using tokenbucket::PendingCall;
using tokenbucket::Status;
using tokenbucket::Waited;
using tokenbucket::Waiter;

// Ten tokens, two a second, empty at 0.
class CppLoop : public testing::Test {
  protected:
    template <class... Limits>
    PendingCall<TimerLoop> job(const std::string &name, double cost, Limits... limits) {
        const auto done = [this, name](const Waited &answer) {
            ran.push_back(name + " " + tokenbucket::name(answer.status()) + " " + std::to_string(loop.now() / 1ms) +
                          " ms");
            would_take = answer.would_take();
        };
        return bucket.call_when_granted(loop, done, cost, limits...);
    }
    double left() const { return *bucket.available(); }
    using Runs = std::vector<std::string>;

    TimerLoop loop;
    Runs ran;
    std::chrono::nanoseconds would_take{};
    Bucket bucket{loop.config(10, 2)};
};

TEST_F(CppLoop, JobsRunInOrderAtTheirExactTimes) {
    const auto large = job("large", 8);
    const auto small = job("small", 1);
    const auto medium = job("medium", 3);
    EXPECT_FALSE(bucket.allow(1));
    loop.run();
    EXPECT_EQ(ran, (Runs{"large TB_SUCCESS 4000 ms", "small TB_SUCCESS 4500 ms", "medium TB_SUCCESS 6000 ms"}));
    EXPECT_EQ(left(), 0);
}

TEST_F(CppLoop, AJobThatIsDroppedLetsThoseBehindMoveUp) {
    const auto first = job("first", 4);
    auto dropped = job("dropped", 6);
    const auto next = job("next", 1);
    EXPECT_EQ(left(), -11);
    dropped.reset();
    EXPECT_EQ(left(), -5);
    EXPECT_EQ(loop.armed(), 2u);
    loop.run();
    EXPECT_EQ(ran, (Runs{"first TB_SUCCESS 2000 ms", "next TB_SUCCESS 2500 ms"}));
}

TEST_F(CppLoop, AJobMayBeDroppedFromATimerOrAnotherJob) {
    auto late = job("late", 4);
    auto later = job("later", 1);
    const auto timer = loop.after(1s, [&] { late.reset(); });
    PendingCall<TimerLoop> last;
    const auto dropping = bucket.call_when_granted(
        loop, [&](const Waited &) { last.reset(); }, 1);
    last = job("last", 1);
    loop.run();
    EXPECT_EQ(ran, Runs{"later TB_SUCCESS 1000 ms"});
    EXPECT_EQ(left(), 0) << "two of the two of 1 s, and one second more";
}

// A callback may end its own wait's handle, as a connection does that closes itself.
TEST_F(CppLoop, AJobMayEndItself) {
    PendingCall<TimerLoop> self;
    int runs = 0;
    self = bucket.call_when_granted(
        loop,
        [&](const Waited &) {
            self.reset();
            ++runs;
        },
        1);
    loop.run();
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(left(), 0);
}

TEST_F(CppLoop, AnswersAtOnceAreCallsTooNotBeforeTheCallReturns) {
    bucket.reset(5).value();
    const auto at_once = job("at once", 5);
    const auto never = job("never", 11);
    const auto negative = job("negative", 1, -1ns);
    EXPECT_EQ(ran, Runs{});
    loop.run();
    EXPECT_EQ(ran, (Runs{"at once TB_SUCCESS 0 ms", "never TB_EXCEEDS_CAPACITY 0 ms",
                         "negative TB_E_INVALID_ARGUMENT 0 ms"}));
    const auto late = job("late", 4, 1999ms);
    loop.run();
    EXPECT_EQ(ran.back(), "late TB_TIMED_OUT 0 ms");
    EXPECT_EQ(would_take, 2s);
    EXPECT_EQ(left(), 0);
    bucket.reset(5).value();
    job("dropped before its call", 5).reset();
    EXPECT_EQ(left(), 5);
    loop.run();
    EXPECT_EQ(ran.size(), 4u);
}

TEST_F(CppLoop, AHigherPriorityGoesFirst) {
    const auto low = job("low", 2);
    const auto impatient = job("impatient", 2, 2s);
    const auto high = job("high", 2, kForever, 1);
    loop.run();
    EXPECT_EQ(ran, (Runs{"impatient TB_TIMED_OUT 0 ms", "high TB_SUCCESS 1000 ms", "low TB_SUCCESS 2000 ms"}));
}

TEST_F(CppLoop, ChangesPlanSleepersAnew) {
    const auto a = job("a", 4);
    const auto b = job("b", 4);
    bucket.refund(2).value();
    loop.run(1s);
    bucket.set_rate(1).value();
    loop.run(4s);
    bucket.charge(1).value();
    loop.run(6s);
    EXPECT_EQ(ran, (Runs{"a TB_SUCCESS 1000 ms", "b TB_SUCCESS 6000 ms"}));
    const auto c = job("c", 4);
    const auto d = job("d", 2);
    bucket.reset(1).value();
    loop.run(8s);
    bucket.set_tokens(4).value();
    loop.run(9s);
    EXPECT_EQ(ran.size(), 3u);
    bucket.close();
    loop.run();
    EXPECT_EQ(ran,
              (Runs{"a TB_SUCCESS 1000 ms", "b TB_SUCCESS 6000 ms", "c TB_SUCCESS 8000 ms", "d TB_CLOSED 9000 ms"}));
    EXPECT_EQ(loop.armed(), 0u);
}

// What is due after a loop was blocked does not run all at once.
TEST_F(CppLoop, ABlockedLoopDoesNotBurst) {
    Config config = loop.config(1, 10);
    config.max_lateness = 10ms;
    bucket = Bucket(config);
    std::vector<PendingCall<TimerLoop>> all;
    for (int i = 0; i < 40; ++i) all.push_back(job(std::to_string(i), 1));
    loop.run(300ms);
    ASSERT_EQ(ran.size(), 3u);
    loop.block(2s);
    loop.run(2300ms);
    EXPECT_EQ(ran.size(), 4u);
    loop.run(2500ms);
    EXPECT_EQ(ran.size(), 6u);
    EXPECT_EQ(ran.back(), "5 TB_SUCCESS 2500 ms");
}

TEST_F(CppLoop, ALoopThatGoesAwayGivesEverythingBack) {
    Config config = loop.config(10, 2);
    config.max_waiters = 2;
    bucket = Bucket(config);
    {
        TimerLoop gone;
        const auto done = [](const Waited &) { FAIL(); };
        const auto one = bucket.call_when_granted(gone, done, 4);
        const auto other = bucket.call_when_granted(gone, done, 4);
        const auto third = job("third", 1);
        loop.run();
        EXPECT_EQ(ran, Runs{"third TB_QUEUE_FULL 0 ms"});
    }
    EXPECT_EQ(left(), 0);
    const auto next = job("next", 1);
    loop.run();
    EXPECT_EQ(ran.back(), "next TB_SUCCESS 500 ms");
}

TEST_F(CppLoop, ABucketThatIsClosedTellsOfItAndAMovedOneGoesOn) {
    const auto a = job("a", 1);
    Bucket moved = std::move(bucket);
    const auto b = moved.call_when_granted(loop, [this](const Waited &) { ran.emplace_back("b"); });
    loop.run();
    EXPECT_EQ(ran, (Runs{"a TB_SUCCESS 500 ms", "b"}));
    const auto refused = job("refused", 1);
    loop.run();
    EXPECT_EQ(ran.back(), "refused TB_E_INVALID_ARGUMENT 1000 ms");
    bucket = std::move(moved);
}

TEST_F(CppLoop, AnotherWakeFunctionMakesCallsUnsupported) {
    const auto ignore = [](std::uint64_t) {};
    Config config = loop.config(10, 2);
    config.wake_by(ignore);
    bucket = Bucket(config);
    const auto call = job("call", 1);
    loop.run();
    EXPECT_EQ(ran, Runs{"call TB_E_UNSUPPORTED 0 ms"});
}

TEST_F(CppLoop, EventsAndStatisticsCountThem) {
    std::vector<std::string> events;
    const auto handler = [&](const tokenbucket::Event &e) {
        events.push_back(std::string(tokenbucket::name(e.status)) + " " + std::to_string(e.waited / 1ms));
    };
    Config config = loop.config(10, 2);
    config.statistics = true;
    config.notify(handler);
    bucket = Bucket(config);
    auto a = job("a", 1);
    auto b = job("b", 1);
    EXPECT_EQ(bucket.stats()->waiting, 2);
    loop.run(500ms);
    b.reset();
    EXPECT_EQ(events, (std::vector<std::string>{"TB_SUCCESS 500", "TB_INTERRUPTED 500"}));
    const auto stats = bucket.stats().value();
    EXPECT_EQ(stats.granted, 1);
    EXPECT_EQ(stats.cancelled, 1);
    EXPECT_EQ(stats.waits, 2);
    EXPECT_EQ(stats.total_wait, 1s);
    EXPECT_EQ(stats.waiting, 0);
}

// Two loops, each a thread of its own, and threads that block stand in one order. The clock is moved by this thread,
// whose calls post to the loops.
TEST(CppLoops, SeveralLoopsAndThreadsStandInOneOrder) {
    constexpr int kEach = 100;
    ManualClock clock;
    Config config;
    config.capacity = 1;
    config.rate_tokens = 1;
    config.initial_tokens = 0;
    config.clock = clock.get();
    Bucket bucket(config);
    std::atomic<int> entered{0};
    std::atomic<int> done{0};
    std::atomic<bool> in_order{true};
    const auto enters = [&](int turn) {
        while (entered != turn) std::this_thread::yield();
    };
    const auto ends = [&](int turn) {
        if (done++ != turn) in_order = false;
    };
    std::vector<std::thread> threads;
    for (int k = 0; k < 2; ++k)
        threads.emplace_back([&, k] {
            PostLoop loop;
            std::vector<PendingCall<PostLoop>> calls;
            int open = kEach;
            for (int i = 0; i < kEach; ++i) {
                const int turn = 3 * i + k;
                enters(turn);
                calls.push_back(bucket.call_when_granted(loop, [&, turn](const Waited &answer) {
                    if (!answer) in_order = false;
                    ends(turn);
                    --open;
                }));
                ++entered;
            }
            while (open > 0)
                if (loop.run() == 0) std::this_thread::yield();
        });
    for (int i = 0; i < kEach; ++i) {
        enters(3 * i + 2);
        threads.emplace_back([&, i] {
            if (!bucket.wait()) in_order = false;
            ends(3 * i + 2);
        });
        while (clock.waiters()->count != 3 * i + 3) std::this_thread::yield();
        ++entered;
    }
    for (int i = 0; i < 3 * kEach; ++i) {
        EXPECT_EQ(done, i);
        clock.advance(1s).value();
        while (done == i) std::this_thread::yield();
    }
    for (std::thread &thread : threads) thread.join();
    EXPECT_TRUE(in_order);
    EXPECT_EQ(*bucket.available(), 0);
}

// Waiters by hand: the wake function is the program's.
class CppWaiter : public testing::Test {
  protected:
    Config config() {
        Config c;
        c.capacity = 10;
        c.rate_tokens = 1;
        c.initial_tokens = 0;
        c.clock = clock.get();
        c.wake_by(wake);
        return c;
    }
    std::vector<std::uint64_t> wakes() { return std::exchange(woken, {}); }
    using Tags = std::vector<std::uint64_t>;

    Tags woken;
    std::function<void(std::uint64_t)> wake = [this](std::uint64_t tag) { woken.push_back(tag); };
    ManualClock clock;
    Bucket bucket{config()};
};

TEST_F(CppWaiter, WaitsAndCollects) {
    Waiter waiter = bucket.enqueue(7, 3);
    EXPECT_EQ(waiter.status(), Status::pending);
    EXPECT_EQ(waiter.delay(), 3s);
    clock.advance(1s).value();
    EXPECT_EQ(waiter.check(), Status::pending);
    EXPECT_EQ(waiter.delay(), 2s);
    EXPECT_EQ(wakes(), Tags{});
    clock.advance(2s).value();
    EXPECT_EQ(wakes(), Tags{7});
    EXPECT_EQ(waiter.check(), Status::success);
    EXPECT_EQ(waiter.delay(), 0s);
    EXPECT_EQ(waiter.check(), Status::success) << "it is over";
    waiter.leave();
    EXPECT_EQ(waiter.status(), Status::success);
    EXPECT_EQ(*bucket.available(), 0);
}

TEST_F(CppWaiter, LeavesWithItsObject) {
    Waiter behind = [&] {
        const Waiter first = bucket.enqueue(1, 10);
        return bucket.enqueue(2, 1);
    }();
    EXPECT_EQ(wakes(), Tags{2});
    EXPECT_EQ(behind.check(), Status::pending);
    EXPECT_EQ(behind.delay(), 1s);
    clock.advance(1s).value();
    behind.leave();
    EXPECT_EQ(behind.status(), Status::interrupted);
    EXPECT_EQ(behind.check(), Status::interrupted);
    EXPECT_EQ(*bucket.available(), 1) << "what was due comes back, too";
}

TEST_F(CppWaiter, Moves) {
    std::vector<Waiter> all;
    for (const double n : {1.0, 2.0}) all.push_back(bucket.enqueue(0, n));
    Waiter youngest = std::move(all.back());
    EXPECT_EQ(all.back().status(), Status::invalid_argument);
    EXPECT_EQ(all.back().check(), Status::invalid_argument);
    all.pop_back();
    EXPECT_EQ(*bucket.available(), -3);
    all[0] = std::move(youngest);  // the first one leaves
    EXPECT_EQ(*bucket.available(), -2);
    Waiter &same = all[0];
    all[0] = std::move(same);
    EXPECT_EQ(all[0].check(), Status::pending);
    EXPECT_EQ(all[0].delay(), 2s);
}

TEST_F(CppWaiter, IsAnsweredAtOnceWherePossible) {
    bucket.reset(5).value();
    EXPECT_EQ(bucket.enqueue(1, 2).status(), Status::success);
    EXPECT_EQ(*bucket.available(), 3) << "an object whose wait is over gives nothing back";
    const Waiter late = bucket.enqueue(1, 5, 1s);
    EXPECT_EQ(late.status(), Status::timed_out);
    EXPECT_EQ(late.delay(), 2s);
    EXPECT_EQ(bucket.enqueue(1, 11).status(), Status::exceeds_capacity);
    EXPECT_EQ(bucket.enqueue(1, 1, -1ns).status(), Status::invalid_argument);
    EXPECT_EQ(bucket.enqueue(1, 1, std::chrono::duration<double>(-0.5)).status(), Status::invalid_argument);
    EXPECT_EQ(*bucket.available(), 3);
}

TEST_F(CppWaiter, AWakeFunctionMayCallTheBucket) {
    std::vector<Waiter> all;
    for (std::uint64_t tag = 0; tag < 3; ++tag) all.push_back(bucket.enqueue(tag, 2));
    std::vector<Status> answers;
    wake = [&](std::uint64_t tag) { answers.push_back(all[static_cast<std::size_t>(tag)].check()); };
    bucket.refund(4).value();
    EXPECT_EQ(answers, (std::vector<Status>{Status::success, Status::success, Status::pending}));
    EXPECT_EQ(all[2].delay(), 2s);
}

}  // namespace
