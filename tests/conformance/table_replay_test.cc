// Replays tables.txt through the C API; README.md beside it explains the steps.
#include "tests/conformance/replay.h"
#include "tests/support/table.h"

namespace {

using namespace conformance;
using tb_test::ClockHandle;
using tb_test::TableHandle;

const std::map<std::string, tb_status> kAnswers{{"ok", TB_SUCCESS}, {"no", TB_DENIED}, {"never", TB_EXCEEDS_CAPACITY}};

class TableReplay {
  public:
    explicit TableReplay(const std::string &limits) : clock_(tb_test::manual_clock()) {
        tb_config limit = tb_test::config_of(0, 0, clock_.get());
        tb_table_config config = tb_test::table_config();
        const std::map<std::string, int32_t> policies{
            {"evict", TB_TABLE_EVICT_FULLEST}, {"deny", TB_TABLE_DENY}, {"admit", TB_TABLE_ADMIT}};
        for (const std::string &given : split(limits, ' ')) {
            const std::string value = given.substr(given.find('=') + 1);
            if (given.starts_with("keys=")) {
                config.max_keys = std::stoll(value);
            } else if (given.starts_with("full=")) {
                config.when_full = policies.at(value);
            } else if (!read_limit(given, &limit)) {
                ADD_FAILURE() << "unknown limit " << given;
            }
        }
        table_ = tb_test::table_of(limit, config);
    }

    void step(const std::string &text) {
        SCOPED_TRACE(text);
        const Step step(text);
        if (step.at) expect_success(tb_manual_clock_set(clock_.get(), *step.at));
        if (step.words.empty()) return;
        Words words = step.words;
        const auto slash = words[0].find('/');
        if (slash == std::string::npos) return change(words);
        key_ = key_of(words[0].substr(0, slash));
        words[0] = words[0].substr(slash + 1);
        run(step.name, words);
    }

  private:
    static std::string key_of(const std::string &written) { return written == "\"\"" ? "" : written; }

    template <class F, class... Arguments>
    tb_status ask(F f, Arguments... arguments) {
        return tb_test::ask(f, table_, key_, arguments...);
    }

    void change(const Words &words) {
        if (words[0] == "many") return many(words);
        if (words[0] == "close") return expect_success(tb_table_close(table_.get()));
        if (words[0] == "burst") return expect_success(tb_table_set_capacity(table_.get(), std::stod(words.at(1))));
        if (words[0] != "rate") FAIL() << "unknown step";
        const Rate r = rate(words.at(1));
        expect_success(tb_table_set_rate(table_.get(), r.tokens * 1e9 / static_cast<double>(r.period_ns)));
    }

    void many(const Words &words) {
        const std::size_t count = words.size() / 2;
        std::string keys;
        std::vector<std::size_t> sizes;
        std::vector<tb_status> right;
        for (std::size_t i = 1; i <= count; ++i) {
            keys += key_of(words[i]);
            sizes.push_back(key_of(words[i]).size());
            right.push_back(kAnswers.at(words.at(i + count)));
        }
        std::vector<tb_status> answers(count, TB_E_SYSTEM);
        expect_success(tb_table_allow_many(table_.get(), keys.data(), sizes.data(), nullptr, count, answers.data()));
        EXPECT_EQ(answers, right);
    }

    void run(const std::string &name, const Words &words) {
        const std::string &verb = words[0];
        if (verb == "take") return take(words);
        if (verb == "upto") {
            double taken = NAN;
            expect_success(ask(tb_table_take_up_to, std::stod(words.at(1)), &taken));
            EXPECT_EQ(taken, std::stod(words.at(2)));
        } else if (verb == "peek" || verb == "peekx") {
            double tokens = NAN;
            expect_success(ask(tb_table_available, &tokens));
            EXPECT_EQ(verb == "peekx" ? tokens : std::floor(tokens), std::stod(words.at(1)));
        } else if (verb == "est" || verb == "force") {
            int64_t ns = -1;
            expect_success(ask(verb == "est" ? tb_table_time_until : tb_table_charge, std::stod(words.at(1)), &ns));
            EXPECT_EQ(ns, duration(words.at(2)));
        } else if (verb == "add") {
            expect_success(ask(tb_table_refund, std::stod(words.at(1))));
        } else if (verb == "resv") {
            reserve(name, words);
        } else if (verb == "cancel") {
            expect_success(ask(tb_table_cancel, &reservations_.at(words.at(1))));
        } else if (verb == "remove") {
            expect_success(ask(tb_table_remove));
        } else {
            ADD_FAILURE() << "unknown step";
        }
    }

    void take(const Words &words) {
        std::map<std::string, std::string> options;
        int times = 1;
        for (const std::string &word : words) {
            if (word.front() == '*') times = std::stoi(word.substr(1));
            if (const auto equals = word.find('='); equals != std::string::npos)
                options[word.substr(0, equals)] = word.substr(equals + 1);
        }
        for (int i = 0; i < times; ++i) {
            tb_decision d{};
            ASSERT_EQ(ask(tb_table_take, std::stod(words.at(1)), &d), kAnswers.at(words.at(2)));
            EXPECT_EQ(d.status, kAnswers.at(words.at(2)));
            for (const auto &[option, value] : options) {
                if (option == "retry") {
                    EXPECT_EQ(d.retry_after_ns, duration(value));
                } else {
                    EXPECT_EQ(std::floor(d.remaining), std::stod(value));
                }
            }
        }
    }

    void reserve(const std::string &name, const Words &words) {
        const int64_t most = option(words, "max") ? duration(*option(words, "max")) : TB_FOREVER;
        tb_reservation r{};
        const tb_status status = ask(tb_table_reserve, std::stod(words.at(1)), most, &r);
        if (words.back() == "no" || words.back() == "never") {
            EXPECT_EQ(status, words.back() == "no" ? TB_TIMED_OUT : TB_EXCEEDS_CAPACITY);
            return;
        }
        ASSERT_EQ(status, TB_SUCCESS);
        EXPECT_EQ(r.wait_ns, duration(words.back()));
        reservations_[name] = r;
    }

    ClockHandle clock_;
    TableHandle table_;
    std::string key_;
    std::map<std::string, tb_reservation> reservations_;
};

TEST(TableConformance, EveryRowOfTheFile) {
    const int rows = for_each_row(TB_SOURCE "/tests/conformance/tables.txt",
                                  [](const std::string &limits, const std::vector<std::string> &steps) {
                                      TableReplay replay(limits);
                                      for (const std::string &step : steps) replay.step(step);
                                  });
    EXPECT_GE(rows, 70);
}

}  // namespace
