// Replays tests/conformance/tables.txt through the C++ API; README.md beside it explains the steps.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/rows.h"
#include "tokenbucket.hpp"

namespace {

using std::chrono::nanoseconds;
using tb_test::config_of;
using tb_test::for_each_row;
using tb_test::Step;
using tb_test::Steps;
using tb_test::Words;
using tokenbucket::Batch;
using tokenbucket::ManualClock;
using tokenbucket::Table;
using tokenbucket::TableConfig;
using tokenbucket::WhenFull;

// "" stands for the empty key.
std::string key_of(const std::string &word) {
    return word == "\"\"" ? "" : word;
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

    Table &table;
    std::string key;
};

class TableReplay {
  public:
    explicit TableReplay(const Words &words) : table_(create(words, clock_)) {}

    // The verb of the step, without the key.
    std::string run(Step step) {
        if (step.time) clock_.set(*step.time).value();
        std::string key;
        if (const auto slash = step.verb.find('/'); slash != std::string::npos) {
            key = key_of(step.verb.substr(0, slash));
            step.verb.erase(0, slash + 1);
        }
        if (step.verb == "many") {
            allow_many(step.arguments);
        } else if (step.verb == "remove") {
            EXPECT_TRUE(table_.remove(key));
        } else if (step.verb == "close") {
            table_.close();
        } else if (!step.verb.empty()) {
            steps_.run(KeyOfTable{table_, key}, step);
        }
        return step.verb;
    }

  private:
    static Table create(const Words &words, const ManualClock &clock) {
        static const std::map<std::string, WhenFull> kWhenFull{
            {"evict", WhenFull::evict_fullest}, {"deny", WhenFull::deny}, {"admit", WhenFull::admit}};
        TableConfig config;
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
        return Table(config_of(limit, clock), config);
    }

    // So many keys, then as many answers.
    void allow_many(const Words &words) {
        ASSERT_EQ(words.size() % 2, 0u);
        const std::size_t count = words.size() / 2;
        Batch batch;
        for (std::size_t i = 0; i < count; ++i) batch.add(key_of(words[i]));
        EXPECT_TRUE(table_.allow_many(batch));
        for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(batch[i], tb_test::status_of(words[count + i])) << i;
    }

    ManualClock clock_;
    Table table_;
    Steps<KeyOfTable> steps_;
};

TEST(CppTableConformance, EveryRowOfTheFile) {
    std::set<std::string> tried;
    const int rows = for_each_row("tables.txt", [&](const Words &words, const Words &steps) {
        TableReplay replay(words);
        for (const std::string &text : steps) {
            SCOPED_TRACE(text);
            tried.insert(replay.run(Step(text)));
        }
    });
    EXPECT_GE(rows, 70);
    std::set<std::string> verbs{"many", "remove", "close"};
    for (const auto &[verb, run] : Steps<KeyOfTable>::verbs()) verbs.insert(verb);
    for (const std::string &verb : verbs) EXPECT_EQ(tried.count(verb), 1u) << "no row has a step " << verb;
}

}  // namespace
