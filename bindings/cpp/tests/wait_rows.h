// Those who wait in a replay of tests/conformance, whose README.md explains the steps.
#ifndef TOKENBUCKET_CPP_TESTS_WAIT_ROWS_H
#define TOKENBUCKET_CPP_TESTS_WAIT_ROWS_H

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "bindings/cpp/tests/rows.h"
#include "bindings/cpp/tests/timer_loop.h"
#include "tests/support/waiter.h"
#include "tokenbucket.hpp"

namespace tb_test {

// Threads, calls of a loop, or both in turn.
enum class Who { threads, calls, both };

// How a wait ended.
struct Outcome {
    tokenbucket::Status status;
    std::string by;         // the member that refused
    nanoseconds retry{-1};  // how long it would have taken; below zero: not told
};

inline tokenbucket::Status outcome_of(const std::string &word) {
    static const std::map<std::string, tokenbucket::Status> kOutcomes{{"ok", tokenbucket::Status::success},
                                                                      {"late", tokenbucket::Status::timed_out},
                                                                      {"never", tokenbucket::Status::exceeds_capacity},
                                                                      {"full", tokenbucket::Status::queue_full},
                                                                      {"closed", tokenbucket::Status::closed}};
    return kOutcomes.at(word);
}

class WaitSteps {
  public:
    // The two ways in which one waits. What call returns ends the wait when it is destroyed.
    struct Ways {
        std::function<Outcome()> sleep;
        std::function<std::shared_ptr<void>(PostLoop &, std::function<void(const Outcome &)>)> call;
        bool is_of_one = true;  // limit: as long as it waits the clock counts it once
    };

    WaitSteps(tokenbucket::ManualClock &clock, Who who, const Words &steps) : clock_(clock), who_(who) {
        for (const std::string &text : steps) {
            const Step step(text);
            if (step.arguments.size() != 1) continue;
            const std::string &end = step.arguments[0];
            if (const auto at = end.find('@'); at != std::string::npos) ends_[step.verb] = duration(end.substr(at + 1));
        }
    }
    // All threads must end by themselves, as after a close.
    ~WaitSteps() {
        for (auto &[name, wait] : waits_)
            if (wait->thread.joinable()) wait->thread.join();
    }
    WaitSteps(const WaitSteps &) = delete;
    WaitSteps &operator=(const WaitSteps &) = delete;

    // The step's word after `arguments` of them says what is answered at once, if anything is.
    void enter(const Step &step, std::size_t arguments, const Ways &ways) {
        const bool thread = who_ == Who::threads || (who_ == Who::both && waits_.size() % 2 == 0);
        auto owned = std::make_unique<Wait>();
        Wait &wait = *owned;
        wait.is_of_one = ways.is_of_one;
        ASSERT_TRUE(waits_.emplace(step.name, std::move(owned)).second) << step.name;
        const auto count = clock_.waiters()->count;
        const auto over = ended();
        const auto end = [this, &wait](const Outcome &outcome) { wait.promise.set_value({outcome, now_}); };
        if (thread) {
            wait.thread = std::thread([end, sleep = ways.sleep] { end(sleep()); });
            await("its place", [&] { return clock_.waiters()->count != count || ended() != over; });
        } else {
            wait.call = ways.call(loop_, end);
        }
        settle();
        if (step.arguments.size() > arguments) expect(wait, step, step.arguments[arguments]);
    }

    // False: it is no step of those who wait.
    bool run(const Step &step) {
        const auto wait = waits_.find(step.verb);
        if (wait != waits_.end()) {
            expect(*wait->second, step, step.arguments.at(0));
        } else if (step.verb == "leave") {
            leave(*waits_.at(step.arguments.at(0)));
        } else if (step.verb == "jump") {
            set_clock(duration(step.arguments.at(0)));
        } else if (step.verb == "waiting") {
            const std::int64_t count = std::stoll(step.arguments.at(0));
            await("so many waiters", [&] { return clock_.waiters()->count == count; });
        } else if (step.verb == "next") {
            const std::string &time = step.arguments.at(0);
            const nanoseconds next = time == "never" ? tokenbucket::kForever : duration(time);
            await("the next time", [&] { return clock_.waiters()->next_due == next; });
        } else {
            return false;
        }
        settle();
        return true;
    }

    // Stops at each time at which somebody is due, until those who end then have ended.
    void move_clock(nanoseconds to) {
        for (;;) {
            await_ends();
            const nanoseconds next = clock_.waiters()->next_due;
            set_clock(std::max(now_.load(), std::min(next, to)));
            settle();
            if (next >= to || testing::Test::HasFatalFailure()) return;
        }
    }

    // Where all wait for one limit each, everybody who need not wait any longer is awaited: then the clock counts all
    // who wait.
    void settle() {
        const auto open = [](const auto &wait) { return wait.second->open; };
        run_loop();
        for (const auto &[name, wait] : waits_)
            if (wait->open && !wait->is_of_one) return;
        await("all who wait",
              [&] { return clock_.waiters()->count == std::count_if(waits_.begin(), waits_.end(), open); });
    }

  private:
    struct Ended {
        Outcome outcome;
        nanoseconds at;
    };
    struct Wait {
        bool is_over() const { return result.wait_for(nanoseconds(0)) == std::future_status::ready; }

        std::promise<Ended> promise;
        std::shared_future<Ended> result = promise.get_future().share();
        std::thread thread;
        std::shared_ptr<void> call;
        bool is_of_one = true;
        bool open = true;
    };

    // "waits"; else how it ended, such as "late", and when, such as "ok@2s"; at once, where no time is said.
    void expect(const Wait &wait, const Step &step, const std::string &text) {
        if (text == "waits") {
            EXPECT_TRUE(wait.open);
            return;
        }
        await("the end", [&] { return !wait.open; });
        if (wait.open) return;
        const Ended ended = wait.result.get();
        const auto at = text.find('@');
        EXPECT_EQ(ended.outcome.status, outcome_of(text.substr(0, at)));
        EXPECT_EQ(ended.at, at == std::string::npos ? now_.load() : duration(text.substr(at + 1)));
        EXPECT_EQ(ended.outcome.by, step.option("by", ""));
        const std::string retry = step.option("retry", step.option("late", ""));
        if (retry.empty() || ended.outcome.retry < nanoseconds(0)) return;
        EXPECT_EQ(ended.outcome.retry, duration(retry));
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

    // The row says who ends by now.
    void await_ends() {
        for (const auto &[name, wait] : waits_) {
            const auto end = ends_.find(name);
            if (end == ends_.end() || end->second > now_.load()) continue;
            await(name.c_str(), [&wait = *wait] { return !wait.open; });
        }
    }

    void set_clock(nanoseconds time) {
        now_ = time;
        clock_.set(time).value();
    }

    void run_loop() {
        loop_.run();
        for (auto &[name, wait] : waits_)
            if (wait->is_over()) wait->open = false;
    }

    // Also one that was driven out by another.
    std::ptrdiff_t ended() const {
        return std::count_if(waits_.begin(), waits_.end(), [](const auto &wait) { return wait.second->is_over(); });
    }

    template <class Condition>
    void await(const char *what, Condition condition) {
        const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        for (run_loop(); !condition(); run_loop()) {
            ASSERT_LT(std::chrono::steady_clock::now(), limit)
                << what << " does not come; the clock counts " << clock_.waiters()->count;
            std::this_thread::yield();
        }
    }

    tokenbucket::ManualClock &clock_;
    const Who who_;
    PostLoop loop_;
    std::atomic<nanoseconds> now_{nanoseconds(0)};
    std::map<std::string, nanoseconds> ends_;
    std::map<std::string, std::unique_ptr<Wait>> waits_;
};

}  // namespace tb_test

#endif
