// Replays tests/conformance/tables.txt through the C++ API; README.md beside it explains the steps.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "bindings/cpp/tests/rows.h"
#include "tokenbucket.hpp"

namespace {

using tb_test::for_each_row;
using tb_test::KeyOfTable;
using tb_test::Step;
using tb_test::Steps;
using tb_test::table_of;
using tb_test::Words;
using tb_test::words_of;
using tokenbucket::Batch;
using tokenbucket::ManualClock;
using tokenbucket::Table;

// "" stands for the empty key.
std::string key_of(const std::string &word) {
    return word == "\"\"" ? "" : word;
}

class TableReplay {
  public:
    explicit TableReplay(const std::string &limit) : table_(table_of(words_of(limit), clock_)) {}

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
    const int rows = for_each_row("tables.txt", [&](const std::string &limit, const Words &steps) {
        TableReplay replay(limit);
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
