// Replays tests/conformance/rows.txt through the C++ API; README.md beside that file explains the steps.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tokenbucket.hpp"

namespace {

using std::chrono::nanoseconds;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::Decision;
using tokenbucket::kForever;
using tokenbucket::ManualClock;
using tokenbucket::Reservation;
using tokenbucket::Result;
using tokenbucket::Status;

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
        if (step.verb.empty()) return;
        const auto found = verbs().find(step.verb);
        ASSERT_NE(found, verbs().end()) << "unknown step " << step.verb;
        for (int i = 0; i < step.times; ++i) found->second(*this, step);
    }

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

    ManualClock clock_;
    Bucket bucket_;
    std::map<std::string, Reservation> reservations_;
};

TEST(CppConformance, EveryRowOfTheFile) {
    std::ifstream file(TB_SOURCE "/tests/conformance/rows.txt");
    std::set<std::string> tried;
    int rows = 0;
    for (std::string line; std::getline(file, line);) {
        const Words fields = split(line, '|');
        ASSERT_EQ(fields.size(), 3u) << line;
        SCOPED_TRACE(fields[0]);
        Replay replay(words_of(fields[1]));
        for (const std::string &text : split(fields[2], ';')) {
            SCOPED_TRACE(text);
            const Step step(text);
            replay.run(step);
            tried.insert(step.verb);
        }
        ++rows;
    }
    EXPECT_GE(rows, 18);
    for (const auto &[verb, run] : Replay::verbs()) EXPECT_EQ(tried.count(verb), 1u) << "no row has a step " << verb;
}

}  // namespace
