// Replays tests/conformance/limits.txt through the C++ API; README.md beside it explains the steps.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/rows.h"
#include "bindings/cpp/tests/wait_rows.h"
#include "tests/support/waiter.h"
#include "tokenbucket.hpp"

namespace {

using std::chrono::nanoseconds;
using tb_test::config_of;
using tb_test::duration;
using tb_test::KeyOfTable;
using tb_test::Outcome;
using tb_test::outcome_of;
using tb_test::PostLoop;
using tb_test::split;
using tb_test::Step;
using tb_test::Steps;
using tb_test::table_of;
using tb_test::WaitSteps;
using tb_test::Who;
using tb_test::Words;
using tb_test::words_of;
using tokenbucket::Bucket;
using tokenbucket::kForever;
using tokenbucket::Limits;
using tokenbucket::ManualClock;
using tokenbucket::Member;
using tokenbucket::Refusal;
using tokenbucket::ReservationAll;
using tokenbucket::ResultAll;
using tokenbucket::Status;
using tokenbucket::Table;
using tokenbucket::Waited;

// "r:2", "u.a:2" without the cost: the bucket r, or the table u and its key a.
struct Name {
    explicit Name(const std::string &text) : limit(text.substr(0, 1)), key(text.size() > 2 ? text.substr(2) : "") {}

    std::string limit;
    std::string key;
};

class LimitsReplay {
  public:
    LimitsReplay(const std::string &limits, const Words &steps, Who who) : waits_(clock_, who, steps) {
        for (const std::string &limit : split(limits, ';')) {
            Words words = words_of(limit);
            const std::string name = words.at(0);
            words.erase(words.begin());
            if (limit.find("keys=") == std::string::npos) {
                buckets_.emplace(name, Bucket(config_of(words, clock_)));
            } else {
                tables_.emplace(name, table_of(words, clock_));
            }
        }
    }
    ~LimitsReplay() {
        for (auto &[name, bucket] : buckets_) bucket.close();
        for (auto &[name, table] : tables_) table.close();
    }

    // The verb, without a member.
    std::string run(Step step) {
        if (step.time) waits_.move_clock(*step.time);
        if (step.verb.empty() || waits_.run(step)) return "";
        if (const auto slash = step.verb.find('/'); slash != std::string::npos) {
            const std::string member = step.verb.substr(0, slash);
            step.verb.erase(0, slash + 1);
            of_one(member, step);
        } else if (step.verb == "wait") {
            wait(step);
        } else {
            of_all(step);
        }
        waits_.settle();
        return step.verb;
    }

  private:
    // f(bucket or key).
    template <class F>
    void with(const std::string &member, F f) {
        const Name name(member);
        const auto bucket = buckets_.find(name.limit);
        if (bucket != buckets_.end()) return f(bucket->second);
        KeyOfTable key{tables_.at(name.limit), name.key};
        f(key);
    }

    void of_one(const std::string &member, Step step) {
        if (step.verb == "wait") return with(member, [&](auto &limit) { wait_for_one(limit, step); });
        if (step.verb == "close") return with(member, [](auto &limit) { limit.close(); });
        if (step.verb == "force") return with(member, [&](auto &limit) { EXPECT_TRUE(limit.charge(step.amount())); });
        if (step.verb == "reset") {
            EXPECT_TRUE(buckets_.at(member).reset(step.amount()));
        } else if (step.verb == "set") {
            EXPECT_TRUE(buckets_.at(member).set_tokens(step.amount()));
        } else {
            if (step.verb == "peek") step.verb = "peekx";
            with(member, [&](auto &limit) { Steps<decltype(limit)>().run(limit, step); });
        }
    }

    // What a wait keeps of a limit.
    static Bucket *kept(Bucket &bucket) { return &bucket; }
    static std::shared_ptr<KeyOfTable> kept(const KeyOfTable &key) { return std::make_shared<KeyOfTable>(key); }

    template <class Limiter>
    void wait_for_one(Limiter &limiter, const Step &step) {
        const auto limit = kept(limiter);
        const double n = step.amount();
        const nanoseconds timeout = step.timeout();
        const std::int32_t priority = step.priority();
        WaitSteps::Ways ways;
        ways.sleep = [=] { return Outcome{limit->wait_for(n, timeout, priority).status(), ""}; };
        ways.call = [=](PostLoop &loop, auto end) -> std::shared_ptr<void> {
            const auto done = [end](const Waited &answer) { end({answer.status(), "", answer.would_take()}); };
            return limit->call_when_granted(loop, done, n, timeout, priority);
        };
        waits_.enter(step, 1, ways);
    }

    // What a step names: members of limits, with what they cost.
    struct Named {
        Limits limits() const { return Limits(members.data(), members.size()); }

        Words names;
        std::vector<Member> members;
    };
    Named named(const Step &step) {
        Named all;
        for (const std::string &word : step.arguments) {
            const auto colon = word.find(':');
            if (colon == std::string::npos) continue;
            const Name name(word.substr(0, colon));
            const double n = std::stod(word.substr(colon + 1));
            const auto bucket = buckets_.find(name.limit);
            all.names.push_back(word.substr(0, colon));
            if (bucket != buckets_.end()) {
                all.members.push_back(bucket->second.member(n));
            } else {
                all.members.push_back(tables_.at(name.limit).member(keys_.emplace_back(name.key), n));
            }
        }
        return all;
    }
    template <class Answer>
    static Outcome outcome(const Named &all, const Answer &answer) {
        const Refusal &refusal = answer.refusal();
        if (refusal.member < 0) return {answer.status(), ""};
        return {answer.status(), all.names.at(static_cast<std::size_t>(refusal.member)), refusal.retry_after};
    }
    static void expect(const Outcome &outcome, Status status, const Step &step) {
        EXPECT_EQ(outcome.status, status);
        EXPECT_EQ(outcome.by, step.option("by", ""));
        if (const std::string retry = step.option("retry", ""); !retry.empty()) {
            EXPECT_EQ(outcome.retry, duration(retry));
        } else if (!outcome.by.empty()) {
            EXPECT_EQ(outcome.retry, kForever);
        }
    }

    void wait(const Step &step) {
        const Named all = named(step);
        const Limits limits = all.limits();
        const nanoseconds timeout = step.timeout();
        const std::int32_t priority = step.priority();
        WaitSteps::Ways ways;
        ways.sleep = [=] { return outcome(all, limits.wait_for(timeout, priority)); };
        ways.call = [=](PostLoop &loop, auto end) -> std::shared_ptr<void> {
            const auto done = [all, end](const ResultAll<> &answer) { end(outcome(all, answer)); };
            return limits.call_when_granted(loop, done, timeout, priority);
        };
        ways.is_of_one = all.members.size() == 1;
        waits_.enter(step, all.members.size(), ways);
    }

    void of_all(const Step &step) {
        const Named all = named(step);
        if (step.verb == "cancel") {
            reservations_.at(step.arguments.at(0)).cancel();
        } else if (step.verb == "all") {
            const std::string &answer = step.arguments.at(all.members.size());
            const Status status = answer == "no" ? Status::denied : outcome_of(answer);
            expect(outcome(all, all.limits().allow()), status, step);
        } else if (step.verb == "resv") {
            reserve(step, all);
        } else {
            ADD_FAILURE() << "unknown step " << step.verb;
        }
    }

    // Kept until the row ends, since one that is destroyed gives its tokens back.
    void reserve(const Step &step, const Named &all) {
        const std::string max = step.option("max", "");
        auto promise = all.limits().reserve(max.empty() ? kForever : duration(max));
        const std::string &answer = step.arguments.at(all.members.size());
        if (answer.find_first_of("0123456789") != 0) return expect(outcome(all, promise), outcome_of(answer), step);
        ASSERT_TRUE(promise) << name(promise.status());
        EXPECT_EQ(promise->delay(), duration(answer));
        reservations_.emplace(step.name, std::move(*promise));
    }

    ManualClock clock_;
    std::map<std::string, Bucket> buckets_;
    std::map<std::string, Table> tables_;
    std::deque<std::string> keys_;
    std::map<std::string, ReservationAll> reservations_;
    WaitSteps waits_;
};

void every_row(Who who) {
    const tb_test::QuietHandler handler(SIGUSR1);
    std::set<std::string> tried;
    const int rows = tb_test::for_each_row("limits.txt", [&](const std::string &limits, const Words &steps) {
        const auto is_leave = [](const std::string &step) { return Step(step).verb == "leave"; };
        const bool leaves = std::any_of(steps.begin(), steps.end(), is_leave);
        if (leaves && who != Who::calls && !tb_test::signals_end_waits()) return;
        LimitsReplay replay(limits, steps, who);
        for (const std::string &text : steps) {
            SCOPED_TRACE(text);
            tried.insert(replay.run(Step(text)));
            if (testing::Test::HasFatalFailure()) return;
        }
    });
    EXPECT_GE(rows, 60);
    for (const char *const verb : {"all", "resv", "cancel", "wait", "take", "peek", "force", "add", "rate", "burst"})
        EXPECT_EQ(tried.count(verb), 1u) << "no row has a step " << verb;
}

TEST(CppLimitsConformance, EveryRowWithThreads) {
    every_row(Who::threads);
}
TEST(CppLimitsConformance, EveryRowWithCalls) {
    every_row(Who::calls);
}
TEST(CppLimitsConformance, EveryRowWithBothInTurn) {
    every_row(Who::both);
}

}  // namespace
