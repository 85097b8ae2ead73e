// A cell: word and plan change together, and are read together.
#include "core/bucket/cell.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/core.h"

namespace {

using tb::Cell;
using tb::Plan;
using tb_test::limit_of;

// The base tells the plans apart.
Plan numbered(int64_t number) {
    return tb::make_plan(limit_of(10, 1), number, {static_cast<uint64_t>(number), {0, 0}});
}

bool put_in_force(Cell *cell, const Plan &plan) {
    const uint64_t word = cell->word();
    cell->prepare(word, plan);
    return cell->compare_exchange(word, tb::next_generation(word));
}

TEST(Cell, BeginsWithWhatItHolds) {
    const Cell cell(tb::make_plan(limit_of(10, 1), 5, {1000, {0, 0}}), 400);
    uint64_t word = 0;
    const Plan plan = cell.read(&word);
    EXPECT_EQ(word, tb::word_at(600, 0));
    EXPECT_EQ(plan.base_ns, 5);
    EXPECT_EQ(cell.word(), word);
}

TEST(Cell, StoresOnlyInPlaceOfTheWordThatWasSeen) {
    Cell cell(numbered(0), 0);
    const uint64_t word = cell.word();
    EXPECT_FALSE(cell.compare_exchange(word + 8, word + 16));
    EXPECT_EQ(cell.word(), word);
    EXPECT_TRUE(cell.compare_exchange(word, word + 8));
    EXPECT_FALSE(cell.compare_exchange(word, word + 16));
    EXPECT_EQ(cell.word(), word + 8);
}

TEST(Cell, APreparedPlanIsNotInForce) {
    Cell cell(numbered(1), 0);
    cell.prepare(cell.word(), numbered(2));
    uint64_t word = 0;
    EXPECT_EQ(cell.read(&word).base_ns, 1);
    EXPECT_EQ(cell.plan(word).load().base_ns, 1);
    EXPECT_TRUE(cell.compare_exchange(word, tb::next_generation(word)));
    EXPECT_EQ(cell.read(&word).base_ns, 2);
}

TEST(Cell, GenerationsComeRound) {
    Cell cell(numbered(0), 0);
    const uint64_t first = cell.word();
    for (int64_t i = 1; i <= 100; ++i) {
        ASSERT_TRUE(put_in_force(&cell, numbered(i)));
        uint64_t word = 0;
        ASSERT_EQ(cell.read(&word).base_ns, i);
        ASSERT_EQ(word & tb::kGenerationMask, static_cast<uint64_t>(i) % 8);
        ASSERT_EQ(tb::word_difference(word, first), 0);
        ASSERT_EQ(word == first, i % 8 == 0) << "the same word: what was decided by an old plan is stored";
    }
}

TEST(Cell, WhoDecidedByTheOldPlanDoesNotStore) {
    Cell cell(numbered(0), 0);
    const uint64_t word = cell.word();
    ASSERT_TRUE(put_in_force(&cell, numbered(1)));
    EXPECT_FALSE(cell.compare_exchange(word, word + 8));
}

// The plans in force are numbered as the positions in the word: what is read together belongs together.
TEST(Cell, WordAndPlanAreReadTogether) {
    Cell cell(numbered(0), 0);
    std::atomic<bool> stop{false};
    std::thread writer([&] {
        for (uint64_t i = 1; !stop; ++i) {
            const uint64_t word = cell.word();
            cell.prepare(word, numbered(static_cast<int64_t>(i)));
            cell.compare_exchange(word, tb::next_generation(tb::word_at(i, word)));
        }
    });
    uint64_t last = 0;
    while (last < 50000) {
        uint64_t word = 0;
        const Plan plan = cell.read(&word);
        const uint64_t number = word >> tb::kGenerationBits;
        EXPECT_EQ(static_cast<uint64_t>(plan.base_ns), number);
        EXPECT_EQ(plan.base.units, number);
        EXPECT_GE(number, last);
        last = number;
        if (testing::Test::HasFailure()) break;
    }
    stop = true;
    writer.join();
}

}  // namespace
