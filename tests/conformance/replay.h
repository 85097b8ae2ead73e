// A bucket on a manual clock, and the steps of the conformance rows; README.md beside it explains them.
#ifndef TOKENBUCKET_TESTS_CONFORMANCE_REPLAY_H
#define TOKENBUCKET_TESTS_CONFORMANCE_REPLAY_H

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "capi/include/tokenbucket.h"

namespace conformance {

inline std::string trimmed(const std::string &s) {
    const auto first = s.find_first_not_of(' ');
    return first == std::string::npos ? "" : s.substr(first, s.find_last_not_of(' ') - first + 1);
}

inline std::vector<std::string> split(const std::string &s, char separator) {
    std::vector<std::string> parts;
    std::stringstream stream(s);
    for (std::string part; std::getline(stream, part, separator);) parts.push_back(trimmed(part));
    return parts;
}

// "100ms", "2s", "s".
inline int64_t duration(const std::string &s) {
    static const std::map<std::string, int64_t> kUnits{{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    const auto digits = s.find_first_not_of("-0123456789");
    const int64_t count = digits == 0 ? 1 : std::stoll(s.substr(0, digits));
    return count * kUnits.at(s.substr(digits));
}

struct Rate {
    double tokens;
    int64_t period_ns;
};

inline Rate rate(const std::string &s) {
    const auto slash = s.find('/');
    return {std::stod(s.substr(0, slash)), duration(s.substr(slash + 1))};
}

using Words = std::vector<std::string>;

// What is behind "word=" in one of the words, if it is in one.
inline std::optional<std::string> option(const Words &words, const std::string &word) {
    for (const std::string &w : words)
        if (w.starts_with(word + "=")) return w.substr(word.size() + 1);
    return std::nullopt;
}

// "rate=10/s" and the other words of a limit. False: it is none.
inline bool read_limit(const std::string &given, tb_config *limit) {
    const std::string value = given.substr(given.find('=') + 1);
    if (given.starts_with("rate=")) {
        limit->rate_tokens = rate(value).tokens;
        limit->rate_period_ns = rate(value).period_ns;
    } else if (given.starts_with("burst=")) {
        limit->capacity = std::stod(value);
    } else if (given.starts_with("init=")) {
        limit->initial_tokens = std::stod(value);
    } else if (given.starts_with("max_waiters=")) {
        limit->max_waiters = std::stoll(value);
    } else if (given.starts_with("lateness=")) {
        limit->max_lateness_ns = duration(value);
    } else {
        return false;
    }
    return true;
}

// "@T name: words"
struct Step {
    explicit Step(const std::string &text) {
        for (const std::string &word : split(text, ' '))
            if (word != "=" && !word.empty()) words.push_back(word);
        if (words.at(0).front() == '@') {
            at = duration(words[0].substr(1));
            words.erase(words.begin());
        }
        if (!words.empty() && words[0].back() == ':') {
            name = words[0].substr(0, words[0].size() - 1);
            words.erase(words.begin());
        }
    }

    std::optional<int64_t> at;
    std::string name;
    Words words;  // may be empty
};

inline void expect_success(tb_status status) {
    EXPECT_EQ(status, TB_SUCCESS);
}

class Replay {
  public:
    explicit Replay(const std::string &limits, tb_wake_fn on_wake = nullptr, void *wake_user = nullptr) {
        EXPECT_EQ(tb_manual_clock_create(0, &clock_), TB_SUCCESS);
        tb_config config;
        EXPECT_EQ(tb_config_init(&config, sizeof config), TB_SUCCESS);
        config.on_wake = on_wake;
        config.wake_user = wake_user;
        config.clock = clock_;
        for (const std::string &limit : split(limits, ' '))
            EXPECT_TRUE(read_limit(limit, &config)) << "unknown limit " << limit;
        EXPECT_EQ(tb_create_with(&config, &bucket_), TB_SUCCESS);
    }
    virtual ~Replay() {
        tb_destroy(bucket_);
        tb_clock_destroy(clock_);
    }
    Replay(const Replay &) = delete;
    Replay &operator=(const Replay &) = delete;

    void step(const std::string &text) {
        SCOPED_TRACE(text);
        const Step step(text);
        if (step.at) move_clock(*step.at);
        if (step.words.empty()) return;
        name_ = step.name;
        if (step.words[0].starts_with("peek=") || step.words[0].starts_with("peekx=")) return peek(step.words[0]);
        run(step.words);
    }

  protected:
    virtual void move_clock(int64_t to) { expect_success(tb_manual_clock_set(clock_, to)); }
    virtual void run(const Words &words) {
        const std::string &verb = words[0];
        if (verb == "take") return take(words);
        if (verb == "upto") return take_up_to(words);
        if (verb == "resv") return reserve(words);
        if (verb == "cancel") return cancel(words);
        if (verb == "est") return expect_time(tb_time_until, words);
        if (verb == "force") return expect_time(tb_charge, words);
        if (verb == "add") return expect_success(tb_refund(bucket_, std::stod(words.at(1))));
        if (verb == "burst") return expect_success(tb_set_capacity(bucket_, std::stod(words.at(1))));
        if (verb == "reset") return expect_success(tb_reset(bucket_, std::stod(words.at(1))));
        if (verb == "set") return expect_success(tb_set_tokens(bucket_, std::stod(words.at(1))));
        if (verb == "close") return expect_success(tb_close(bucket_));
        if (verb == "rate") {
            const Rate r = rate(words.at(1));
            return expect_success(tb_set_rate(bucket_, r.tokens * 1e9 / static_cast<double>(r.period_ns)));
        }
        ADD_FAILURE() << "unknown step";
    }

    tb_clock *clock_ = nullptr;
    tb_bucket *bucket_ = nullptr;
    std::string name_;  // before the colon

  private:
    void peek(const std::string &word) {
        const auto equals = word.find('=');
        double tokens = NAN;
        ASSERT_EQ(tb_available(bucket_, &tokens), TB_SUCCESS);
        EXPECT_EQ(word[4] == 'x' ? tokens : std::floor(tokens), std::stod(word.substr(equals + 1)));
    }

    void take(const Words &words) {
        static const std::map<std::string, tb_status> kAnswers{
            {"ok", TB_SUCCESS}, {"no", TB_DENIED}, {"never", TB_EXCEEDS_CAPACITY}};
        int times = 1;
        for (const std::string &word : words)
            if (word.front() == '*') times = std::stoi(word.substr(1));
        for (int i = 0; i < times; ++i) {
            tb_decision d;
            ASSERT_EQ(tb_take(bucket_, std::stod(words.at(1)), &d), kAnswers.at(words.at(2)));
            EXPECT_EQ(d.status, kAnswers.at(words.at(2)));
            for (const std::string &word : words) {
                if (word.starts_with("retry=")) {
                    EXPECT_EQ(d.retry_after_ns, duration(word.substr(6)));
                } else if (word.starts_with("rem=")) {
                    EXPECT_EQ(std::floor(d.remaining), std::stod(word.substr(4)));
                }
            }
        }
    }

    void take_up_to(const Words &words) {
        double taken = NAN;
        ASSERT_EQ(tb_take_up_to(bucket_, std::stod(words.at(1)), &taken), TB_SUCCESS);
        EXPECT_EQ(taken, std::stod(words.at(2)));
    }

    void reserve(const Words &words) {
        const int64_t most = option(words, "max") ? duration(*option(words, "max")) : TB_FOREVER;
        tb_reservation r{};
        const tb_status status = tb_reserve(bucket_, std::stod(words.at(1)), most, &r);
        if (words.back() == "no" || words.back() == "never") {
            EXPECT_EQ(status, words.back() == "no" ? TB_TIMED_OUT : TB_EXCEEDS_CAPACITY);
            return;
        }
        ASSERT_EQ(status, TB_SUCCESS);
        EXPECT_EQ(r.wait_ns, duration(words.back()));
        reservations_[name_] = r;
    }

    void cancel(const Words &words) {
        ASSERT_TRUE(reservations_.contains(words.at(1)));
        expect_success(tb_cancel(bucket_, &reservations_[words.at(1)]));
    }

    void expect_time(tb_status (*ask)(tb_bucket *, double, int64_t *), const Words &words) {
        int64_t ns = -1;
        ASSERT_EQ(ask(bucket_, std::stod(words.at(1)), &ns), TB_SUCCESS);
        EXPECT_EQ(ns, duration(words.at(2)));
    }

    std::map<std::string, tb_reservation> reservations_;
};

// f(the row's limits, its steps) for each of the file; returns their number.
template <class F>
int for_each_row(const std::string &path, F f) {
    std::ifstream file(path);
    int rows = 0;
    for (std::string line; std::getline(file, line); ++rows) {
        const std::vector<std::string> fields = split(line, '|');
        SCOPED_TRACE(line);
        EXPECT_EQ(fields.size(), 3u);
        if (fields.size() == 3) f(fields[1], split(fields[2], ';'));
    }
    return rows;
}

}  // namespace conformance

#endif
