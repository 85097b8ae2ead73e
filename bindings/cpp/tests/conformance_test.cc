// Replays tests/conformance/rows.txt and waits.txt through the C++ API; README.md beside them explains the steps.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/rows.h"
#include "bindings/cpp/tests/timer_loop.h"
#include "tests/support/waiter.h"
#include "tokenbucket.hpp"

namespace {

using std::chrono::nanoseconds;
using tb_test::config_of;
using tb_test::duration;
using tb_test::for_each_row;
using tb_test::Step;
using tb_test::Steps;
using tb_test::Words;
using tokenbucket::Bucket;
using tokenbucket::kForever;
using tokenbucket::ManualClock;
using tokenbucket::PendingCall;
using tokenbucket::Status;
using tokenbucket::Waited;

class Replay {
  public:
    explicit Replay(const Words &limits) : bucket_(config_of(limits, clock_)) {}

    void run(const Step &step) {
        if (step.time) clock_.set(*step.time).value();
        if (!step.verb.empty()) steps_.run(bucket_, step);
    }

  protected:
    ManualClock clock_;
    Bucket bucket_;
    Steps<Bucket &> steps_;
};

// Who waits: threads, calls of a loop, or both in turn.
enum class Who { threads, calls, both };

// A row of waits. After each step, and at each time at which somebody is due, everybody who need not wait any longer is
// awaited: then all who wait are counted by the clock.
class WaitReplay : public Replay {
  public:
    WaitReplay(const Words &limits, Who who) : Replay(limits), who_(who) {}
    ~WaitReplay() {
        bucket_.close();
        for (auto &[name, wait] : waits_)
            if (wait->thread.joinable()) wait->thread.join();
    }

    void run(const Step &step) {
        if (step.time) move_to(*step.time);
        if (step.verb.empty()) return;
        const auto wait = waits_.find(step.verb);
        if (wait != waits_.end()) return expect(*wait->second, step.arguments.at(0));
        if (step.verb == "wait") return enter(step);
        if (step.verb == "leave") {
            leave(*waits_.at(step.arguments.at(0)));
        } else if (step.verb == "jump") {
            clock_.set(duration(step.arguments.at(0))).value();
            now_ = duration(step.arguments.at(0));
        } else if (step.verb == "waiting") {
            EXPECT_EQ(clock_.waiters()->count, step.amount());
        } else if (step.verb == "next") {
            const std::string &time = step.arguments.at(0);
            EXPECT_EQ(clock_.waiters()->next_due, time == "never" ? kForever : duration(time));
        } else if (step.verb == "reset") {
            EXPECT_TRUE(bucket_.reset(step.amount()));
        } else if (step.verb == "set") {
            EXPECT_TRUE(bucket_.set_tokens(step.amount()));
        } else if (step.verb == "close") {
            bucket_.close();
        } else {
            steps_.run(bucket_, step);
        }
        settle();
    }

  private:
    struct Wait {
        bool is_over() const { return result.wait_for(nanoseconds(0)) == std::future_status::ready; }

        std::promise<Waited> promise;
        std::shared_future<Waited> result = promise.get_future().share();
        std::thread thread;
        PendingCall<tb_test::PostLoop> call;
        bool open = true;
        nanoseconds ended{-1};
    };

    void enter(const Step &step) {
        const bool thread = who_ == Who::threads || (who_ == Who::both && waits_.size() % 2 == 0);
        const std::string within = step.option("within", "");
        const nanoseconds timeout = within.empty() ? kForever : duration(within);
        const int priority = std::stoi(step.option("priority", "0"));
        const double n = step.amount();
        auto owned = std::make_unique<Wait>();
        Wait &wait = *owned;
        ASSERT_TRUE(waits_.emplace(step.name, std::move(owned)).second) << step.name;
        if (thread) {
            wait.thread = std::thread([this, &wait, n, timeout, priority] {
                wait.promise.set_value({bucket_.wait_for(n, timeout, priority).status(), nanoseconds(0)});
            });
        } else {
            const auto done = [&wait](const Waited &answer) { wait.promise.set_value(answer); };
            wait.call = bucket_.call_when_granted(loop_, done, n, timeout, priority);
        }
        settle();
        const std::string late = step.option("late", "");
        if (late.empty()) return expect(wait, step.arguments.size() == 1 ? "waits" : step.answer());
        expect(wait, "late");
        if (thread || wait.open) return;
        EXPECT_EQ(wait.result.get().would_take(), duration(late));
    }

    // "waits"; else how it ended, such as "late", and when, such as "ok@2s"; at once, where no time is said.
    void expect(const Wait &wait, const std::string &text) const {
        static const std::map<std::string, Status> kAnswers{{"ok", Status::success},
                                                            {"late", Status::timed_out},
                                                            {"never", Status::exceeds_capacity},
                                                            {"full", Status::queue_full},
                                                            {"closed", Status::closed}};
        EXPECT_EQ(wait.open, text == "waits");
        if (wait.open || text == "waits") return;
        const auto at = text.find('@');
        EXPECT_EQ(wait.result.get().status(), kAnswers.at(text.substr(0, at)));
        EXPECT_EQ(wait.ended, at == std::string::npos ? now_ : duration(text.substr(at + 1)));
    }

    // A thread by a signal, until one hits its sleep.
    void leave(Wait &wait) {
        ASSERT_TRUE(wait.open);
        wait.call.reset();
        while (wait.thread.joinable() && !wait.is_over()) {
            pthread_kill(wait.thread.native_handle(), SIGUSR1);
            std::this_thread::yield();
        }
        wait.open = false;
    }

    void move_to(nanoseconds time) {
        for (;;) {
            const nanoseconds next = clock_.waiters()->next_due;
            now_ = std::max(now_, std::min(next, time));
            clock_.set(now_).value();
            settle();
            if (next >= time || testing::Test::HasFatalFailure()) return;
        }
    }

    void settle() {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        for (;;) {
            loop_.run();
            int open = 0;
            for (auto &[name, wait] : waits_) {
                if (wait->open && wait->is_over()) {
                    wait->open = false;
                    wait->ended = now_;
                }
                open += wait->open;
            }
            const auto counted = clock_.waiters()->count;
            if (counted == open) return;
            ASSERT_LT(std::chrono::steady_clock::now(), limit) << open << " wait, the clock counts " << counted;
            std::this_thread::yield();
        }
    }

    const Who who_;
    tb_test::PostLoop loop_;
    nanoseconds now_{0};
    std::map<std::string, std::unique_ptr<Wait>> waits_;  // the calls go before the bucket
};

TEST(CppConformance, EveryRowOfTheFile) {
    std::set<std::string> tried;
    const int rows = for_each_row("rows.txt", [&](const Words &limits, const Words &steps) {
        Replay replay(limits);
        for (const std::string &text : steps) {
            SCOPED_TRACE(text);
            const Step step(text);
            replay.run(step);
            tried.insert(step.verb);
        }
    });
    EXPECT_GE(rows, 18);
    for (const auto &[verb, run] : Steps<Bucket &>::verbs())
        EXPECT_EQ(tried.count(verb), 1u) << "no row has a step " << verb;
}

void every_wait_row(Who who) {
    const tb_test::QuietHandler handler(SIGUSR1);
    const int rows = for_each_row("waits.txt", [who](const Words &limits, const Words &steps) {
        const auto is_leave = [](const std::string &step) { return Step(step).verb == "leave"; };
        const bool leaves = std::any_of(steps.begin(), steps.end(), is_leave);
        if (leaves && who != Who::calls && !tb_test::signals_end_waits()) return;
        WaitReplay replay(limits, who);
        for (const std::string &text : steps) {
            SCOPED_TRACE(text);
            replay.run(Step(text));
            if (testing::Test::HasFatalFailure()) return;
        }
    });
    EXPECT_GE(rows, 130);
}

TEST(CppConformance, EveryWaitOfThreads) {
    every_wait_row(Who::threads);
}
TEST(CppConformance, EveryWaitOfCalls) {
    every_wait_row(Who::calls);
}
TEST(CppConformance, EveryWaitOfBothInTurn) {
    every_wait_row(Who::both);
}

}  // namespace
