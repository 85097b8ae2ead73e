// Replays tests/conformance/rows.txt and waits.txt through the C++ API; README.md beside them explains the steps.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/timer_loop.h"
#include "tests/support/waiter.h"
#include "tokenbucket.hpp"

namespace {

using std::chrono::nanoseconds;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::Decision;
using tokenbucket::kForever;
using tokenbucket::ManualClock;
using tokenbucket::PendingCall;
using tokenbucket::Reservation;
using tokenbucket::Result;
using tokenbucket::Status;
using tokenbucket::Waited;

using Words = std::vector<std::string>;

Words split(const std::string &text, char separator) {
    Words words;
    std::istringstream stream(text);
    for (std::string word; std::getline(stream, word, separator);) words.push_back(word);
    return words;
}

Words words_of(const std::string &text) {
    Words words;
    std::istringstream stream(text);
    for (std::string word; stream >> word;)
        if (word != "=") words.push_back(word);
    return words;
}

// "100ms", "2s"; "s" alone is one second.
nanoseconds duration(const std::string &text) {
    static const std::map<std::string, nanoseconds> kUnits{{"ns", std::chrono::nanoseconds(1)},
                                                           {"us", std::chrono::microseconds(1)},
                                                           {"ms", std::chrono::milliseconds(1)},
                                                           {"s", std::chrono::seconds(1)}};
    const auto digits = text.find_first_not_of("0123456789");
    return kUnits.at(text.substr(digits)) * (digits == 0 ? 1 : std::stoll(text.substr(0, digits)));
}

struct Rate {
    explicit Rate(const std::string &text)
        : tokens(std::stod(text)), period(duration(text.substr(text.find('/') + 1))) {}
    double per_second() const { return tokens / std::chrono::duration<double>(period).count(); }

    double tokens;
    nanoseconds period;
};

Config config_of(const Words &limits, const ManualClock &clock) {
    Config config;
    config.clock = clock.get();
    for (const std::string &limit : limits) {
        const auto equals = limit.find('=');
        const std::string name = limit.substr(0, equals);
        const std::string value = limit.substr(equals + 1);
        if (name == "rate") {
            config.rate_tokens = Rate(value).tokens;
            config.rate_period = Rate(value).period;
        } else if (name == "burst") {
            config.capacity = std::stod(value);
        } else if (name == "init") {
            config.initial_tokens = std::stod(value);
        } else if (name == "max_waiters") {
            config.max_waiters = std::stoi(value);
        } else if (name == "lateness") {
            config.max_lateness = duration(value);
        } else {
            ADD_FAILURE() << "unknown limit " << limit;
        }
    }
    return config;
}

// The words of a step by what they are: amounts and answers by place, options by name, as in "retry=1s" and "*2".
struct Step {
    explicit Step(const std::string &text) {
        for (const std::string &word : words_of(text)) {
            const auto equals = word.find('=');
            if (word.front() == '@') {
                time = duration(word.substr(1));
            } else if (word.back() == ':') {
                name = word.substr(0, word.size() - 1);
            } else if (word.front() == '*') {
                times = std::stoi(word.substr(1));
            } else if (equals != std::string::npos && verb.empty()) {  // "peek=1"
                verb = word.substr(0, equals);
                arguments.push_back(word.substr(equals + 1));
            } else if (equals != std::string::npos) {
                options[word.substr(0, equals)] = word.substr(equals + 1);
            } else if (verb.empty()) {
                verb = word;
            } else {
                arguments.push_back(word);
            }
        }
    }
    double amount() const { return std::stod(arguments.at(0)); }
    const std::string &answer() const { return arguments.at(1); }

    std::optional<nanoseconds> time;
    std::string name;
    std::string verb;  // empty: only the clock is set
    Words arguments;
    int times = 1;
    std::map<std::string, std::string> options;
};

class Replay {
  public:
    explicit Replay(const Words &limits) : bucket_(config_of(limits, clock_)) {}

    void run(const Step &step) {
        if (step.time) clock_.set(*step.time).value();
        if (!step.verb.empty()) act(step);
    }

  protected:
    void act(const Step &step) {
        const auto found = verbs().find(step.verb);
        ASSERT_NE(found, verbs().end()) << "unknown step " << step.verb;
        for (int i = 0; i < step.times; ++i) found->second(*this, step);
    }

  public:
    using Verb = std::function<void(Replay &, const Step &)>;
    static const std::map<std::string, Verb> &verbs() {
        static const std::map<std::string, Verb> kVerbs{
            {"take", &Replay::take},
            {"resv", &Replay::reserve},
            {"upto",
             [](Replay &r, const Step &s) { EXPECT_EQ(*r.bucket_.take_up_to(s.amount()), std::stod(s.answer())); }},
            {"peek", [](Replay &r, const Step &s) { EXPECT_EQ(std::floor(*r.bucket_.available()), s.amount()); }},
            {"peekx", [](Replay &r, const Step &s) { EXPECT_EQ(*r.bucket_.available(), s.amount()); }},
            {"est",
             [](Replay &r, const Step &s) { EXPECT_EQ(*r.bucket_.time_until(s.amount()), duration(s.answer())); }},
            {"force", [](Replay &r, const Step &s) { EXPECT_EQ(*r.bucket_.charge(s.amount()), duration(s.answer())); }},
            {"add", [](Replay &r, const Step &s) { EXPECT_TRUE(r.bucket_.refund(s.amount())); }},
            {"burst", [](Replay &r, const Step &s) { EXPECT_TRUE(r.bucket_.set_capacity(s.amount())); }},
            {"rate",
             [](Replay &r, const Step &s) { EXPECT_TRUE(r.bucket_.set_rate(Rate(s.arguments.at(0)).per_second())); }},
            {"cancel", [](Replay &r, const Step &s) { r.reservations_.at(s.arguments.at(0)).cancel(); }},
            {"reset", [](Replay &r, const Step &s) { EXPECT_TRUE(r.bucket_.reset(s.amount())); }},
            {"set", [](Replay &r, const Step &s) { EXPECT_TRUE(r.bucket_.set_tokens(s.amount())); }},
            {"close", [](Replay &r, const Step &) { r.bucket_.close(); }},
        };
        return kVerbs;
    }

  private:
    void take(const Step &step) {
        static const std::map<std::string, Status> kAnswers{
            {"ok", Status::success}, {"no", Status::denied}, {"never", Status::exceeds_capacity}};
        const Decision decision = bucket_.take(step.amount());
        EXPECT_EQ(decision.status, kAnswers.at(step.answer()));
        for (const auto &[option, value] : step.options) {
            if (option == "retry") {
                EXPECT_EQ(decision.retry_after, duration(value));
            } else if (option == "rem") {
                EXPECT_EQ(std::floor(decision.remaining), std::stod(value));
            } else {
                ADD_FAILURE() << "unknown option " << option;
            }
        }
    }

    // Kept until the row ends, since one that is destroyed gives its tokens back.
    void reserve(const Step &step) {
        const auto limit = step.options.find("max");
        Result<Reservation> promise =
            bucket_.reserve(step.amount(), limit == step.options.end() ? kForever : duration(limit->second));
        if (step.answer() == "no" || step.answer() == "never") {
            EXPECT_EQ(promise.status(), step.answer() == "no" ? Status::timed_out : Status::exceeds_capacity);
            return;
        }
        ASSERT_TRUE(promise);
        EXPECT_EQ(promise->delay(), duration(step.answer()));
        if (step.name.empty()) {
            promise->commit();
        } else {
            reservations_.emplace(step.name, std::move(*promise));
        }
    }

  protected:
    ManualClock clock_;
    Bucket bucket_;

  private:
    std::map<std::string, Reservation> reservations_;
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
        } else {
            act(step);
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
        const auto option = [&](const char *name, const std::string &otherwise) {
            const auto found = step.options.find(name);
            return found == step.options.end() ? otherwise : found->second;
        };
        const std::string within = option("within", "");
        const nanoseconds timeout = within.empty() ? kForever : duration(within);
        const int priority = std::stoi(option("priority", "0"));
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
        const std::string late = option("late", "");
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

// run(limits, steps) for each row; how many there are.
template <class Run>
int for_each_row(const std::string &name, Run run) {
    std::ifstream file(TB_SOURCE "/tests/conformance/" + name);
    int rows = 0;
    for (std::string line; std::getline(file, line); ++rows) {
        const Words fields = split(line, '|');
        EXPECT_EQ(fields.size(), 3u) << line;
        if (fields.size() != 3) continue;
        SCOPED_TRACE(fields[0]);
        run(words_of(fields[1]), split(fields[2], ';'));
    }
    return rows;
}

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
    const std::set<std::string> of_waits{"reset", "set", "close"};
    for (const auto &[verb, run] : Replay::verbs())
        EXPECT_EQ(tried.count(verb) + of_waits.count(verb), 1u) << "no row has a step " << verb;
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
