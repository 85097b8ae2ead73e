// The rows of tests/conformance, which README.md beside them explains, and how a limiter is held against their steps.
#ifndef TOKENBUCKET_CPP_TESTS_ROWS_H
#define TOKENBUCKET_CPP_TESTS_ROWS_H

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tokenbucket.hpp"

namespace tb_test {

using std::chrono::nanoseconds;

using Words = std::vector<std::string>;

inline Words split(const std::string &text, char separator) {
    Words words;
    std::istringstream stream(text);
    for (std::string word; std::getline(stream, word, separator);) words.push_back(word);
    return words;
}

inline Words words_of(const std::string &text) {
    Words words;
    std::istringstream stream(text);
    for (std::string word; stream >> word;)
        if (word != "=") words.push_back(word);
    return words;
}

// "100ms", "2s"; "s" alone is one second.
inline nanoseconds duration(const std::string &text) {
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

// Of a limit such as "burst=10 rate=1/s".
inline tokenbucket::Config config_of(const Words &words, const tokenbucket::ManualClock &clock) {
    tokenbucket::Config config;
    config.clock = clock.get();
    for (const std::string &limit : words) {
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
    std::string option(const std::string &option_name, const std::string &otherwise) const {
        const auto found = options.find(option_name);
        return found == options.end() ? otherwise : found->second;
    }
    // Of a wait.
    nanoseconds timeout() const {
        return options.count("within") == 0 ? tokenbucket::kForever : duration(options.at("within"));
    }
    std::int32_t priority() const { return std::stoi(option("priority", "0")); }

    std::optional<nanoseconds> time;
    std::string name;
    std::string verb;  // empty: only the clock is set
    Words arguments;
    int times = 1;
    std::map<std::string, std::string> options;
};

// What a take is answered, as rows say it.
inline tokenbucket::Status status_of(const std::string &answer) {
    static const std::map<std::string, tokenbucket::Status> kAnswers{{"ok", tokenbucket::Status::success},
                                                                     {"no", tokenbucket::Status::denied},
                                                                     {"never", tokenbucket::Status::exceeds_capacity}};
    return kAnswers.at(answer);
}

// The steps of a row, for a limiter with the member functions of a Bucket.
template <class Limiter>
class Steps {
  public:
    void run(Limiter limiter, const Step &step) {
        const auto found = verbs().find(step.verb);
        ASSERT_NE(found, verbs().end()) << "unknown step " << step.verb;
        for (int i = 0; i < step.times; ++i) found->second(*this, limiter, step);
    }

    using Verb = std::function<void(Steps &, Limiter, const Step &)>;
    static const std::map<std::string, Verb> &verbs() {
        static const std::map<std::string, Verb> kVerbs{
            {"take", &Steps::take},
            {"resv", &Steps::reserve},
            {"upto",
             [](Steps &, Limiter l, const Step &s) { EXPECT_EQ(*l.take_up_to(s.amount()), std::stod(s.answer())); }},
            {"peek", [](Steps &, Limiter l, const Step &s) { EXPECT_EQ(std::floor(*l.available()), s.amount()); }},
            {"peekx", [](Steps &, Limiter l, const Step &s) { EXPECT_EQ(*l.available(), s.amount()); }},
            {"est",
             [](Steps &, Limiter l, const Step &s) { EXPECT_EQ(*l.time_until(s.amount()), duration(s.answer())); }},
            {"force",
             [](Steps &, Limiter l, const Step &s) { EXPECT_EQ(*l.charge(s.amount()), duration(s.answer())); }},
            {"add", [](Steps &, Limiter l, const Step &s) { EXPECT_TRUE(l.refund(s.amount())); }},
            {"burst", [](Steps &, Limiter l, const Step &s) { EXPECT_TRUE(l.set_capacity(s.amount())); }},
            {"rate",
             [](Steps &, Limiter l, const Step &s) { EXPECT_TRUE(l.set_rate(Rate(s.arguments.at(0)).per_second())); }},
            {"cancel", [](Steps &all, Limiter, const Step &s) { all.reservations_.at(s.arguments.at(0)).cancel(); }},
        };
        return kVerbs;
    }

  private:
    void take(Limiter limiter, const Step &step) {
        const tokenbucket::Decision decision = limiter.take(step.amount());
        EXPECT_EQ(decision.status, status_of(step.answer()));
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
    void reserve(Limiter limiter, const Step &step) {
        const std::string max = step.option("max", "");
        auto promise = limiter.reserve(step.amount(), max.empty() ? tokenbucket::kForever : duration(max));
        if (step.answer() == "no" || step.answer() == "never") {
            EXPECT_EQ(promise.status(),
                      step.answer() == "no" ? tokenbucket::Status::timed_out : tokenbucket::Status::exceeds_capacity);
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

    std::map<std::string, tokenbucket::Reservation> reservations_;
};

// Of words such as "burst=10 rate=1/s keys=100 full=deny".
inline tokenbucket::Table table_of(const Words &words, const tokenbucket::ManualClock &clock) {
    static const std::map<std::string, tokenbucket::WhenFull> kWhenFull{{"evict", tokenbucket::WhenFull::evict_fullest},
                                                                        {"deny", tokenbucket::WhenFull::deny},
                                                                        {"admit", tokenbucket::WhenFull::admit}};
    tokenbucket::TableConfig config;
    Words limit;
    for (const std::string &word : words) {
        const auto equals = word.find('=');
        const std::string name = word.substr(0, equals);
        if (name == "keys") {
            config.max_keys = std::stoll(word.substr(equals + 1));
        } else if (name == "full") {
            config.when_full = kWhenFull.at(word.substr(equals + 1));
        } else {
            limit.push_back(word);
        }
    }
    return tokenbucket::Table(config_of(limit, clock), config);
}

// A key of a table, as steps use a bucket.
struct KeyOfTable {
    auto take(double n) { return table.take(key, n); }
    auto take_up_to(double most) { return table.take_up_to(key, most); }
    auto available() { return table.available(key); }
    auto time_until(double n) { return table.time_until(key, n); }
    auto charge(double n) { return table.charge(key, n); }
    auto refund(double n) { return table.refund(key, n); }
    auto reserve(double n, nanoseconds max) { return table.reserve(key, n, max); }
    auto set_capacity(double capacity) { return table.set_capacity(capacity); }
    auto set_rate(double rate) { return table.set_rate(rate); }
    void close() { table.close(); }
    auto wait_for(double n, nanoseconds timeout, std::int32_t priority) {
        return table.wait_for(key, n, timeout, priority);
    }
    template <class Loop, class Done>
    auto call_when_granted(Loop &loop, Done done, double n, nanoseconds timeout, std::int32_t priority) {
        return table.call_when_granted(key, loop, done, n, timeout, priority);
    }

    tokenbucket::Table &table;
    std::string key;
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
        run(fields[1], split(fields[2], ';'));
    }
    return rows;
}

}  // namespace tb_test

#endif
