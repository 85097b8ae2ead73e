// Replays tests/conformance/rows.txt and waits.txt through the C++ API; README.md beside them explains the steps.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "bindings/cpp/tests/rows.h"
#include "bindings/cpp/tests/wait_rows.h"
#include "tests/support/waiter.h"
#include "tokenbucket.hpp"

namespace {

using std::chrono::nanoseconds;
using tb_test::config_of;
using tb_test::for_each_row;
using tb_test::Outcome;
using tb_test::PostLoop;
using tb_test::Step;
using tb_test::Steps;
using tb_test::WaitSteps;
using tb_test::Who;
using tb_test::Words;
using tb_test::words_of;
using tokenbucket::Bucket;
using tokenbucket::ManualClock;
using tokenbucket::Waited;

class Replay {
  public:
    explicit Replay(const std::string &limit) : bucket_(config_of(words_of(limit), clock_)) {}

    void run(const Step &step) {
        if (step.time) clock_.set(*step.time).value();
        if (!step.verb.empty()) steps_.run(bucket_, step);
    }

  protected:
    ManualClock clock_;
    Bucket bucket_;
    Steps<Bucket &> steps_;
};

class WaitReplay : public Replay {
  public:
    WaitReplay(const std::string &limit, const Words &steps, Who who) : Replay(limit), waits_(clock_, who, steps) {}
    ~WaitReplay() { bucket_.close(); }

    void run(const Step &step) {
        if (step.time) waits_.move_clock(*step.time);
        if (step.verb.empty() || waits_.run(step)) return;
        if (step.verb == "wait") return enter(step);
        if (step.verb == "reset") {
            EXPECT_TRUE(bucket_.reset(step.amount()));
        } else if (step.verb == "set") {
            EXPECT_TRUE(bucket_.set_tokens(step.amount()));
        } else if (step.verb == "close") {
            bucket_.close();
        } else {
            steps_.run(bucket_, step);
        }
        waits_.settle();
    }

  private:
    void enter(const Step &step) {
        const double n = step.amount();
        const nanoseconds timeout = step.timeout();
        const std::int32_t priority = step.priority();
        WaitSteps::Ways ways;
        ways.sleep = [=, this] { return Outcome{bucket_.wait_for(n, timeout, priority).status(), ""}; };
        ways.call = [=, this](PostLoop &loop, auto end) -> std::shared_ptr<void> {
            const auto done = [end](const Waited &answer) { end({answer.status(), "", answer.would_take()}); };
            return bucket_.call_when_granted(loop, done, n, timeout, priority);
        };
        waits_.enter(step, 1, ways);
    }

    WaitSteps waits_;
};

TEST(CppConformance, EveryRowOfTheFile) {
    std::set<std::string> tried;
    const int rows = for_each_row("rows.txt", [&](const std::string &limit, const Words &steps) {
        Replay replay(limit);
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
    const int rows = for_each_row("waits.txt", [who](const std::string &limit, const Words &steps) {
        const auto is_leave = [](const std::string &step) { return Step(step).verb == "leave"; };
        const bool leaves = std::any_of(steps.begin(), steps.end(), is_leave);
        if (leaves && who != Who::calls && !tb_test::signals_end_waits()) return;
        WaitReplay replay(limit, steps, who);
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
