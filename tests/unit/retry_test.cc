// The retry loop, on a cell that changes while it runs.
#include "core/limiter/retry.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/core.h"

namespace {

using tb::Glance;
using tb::Status;

class Retry : public testing::Test {
  protected:
    // As another thread's take.
    void change_word() { ASSERT_TRUE(cell.compare_exchange(cell.word(), cell.word() + 8)); }

    // Answers these in turn, changing the word during those calls.
    Status run(const std::vector<Status> &answers, const std::vector<std::size_t> &changes = {}) {
        glances.clear();
        return tb::retry_until_current(cell, &time, [&](const Glance &g) {
            const std::size_t call = glances.size();
            glances.push_back(g);
            for (const std::size_t change : changes)
                if (change == call) change_word();
            return answers.at(call);
        });
    }

    tb::Cell cell{tb::make_plan(tb_test::limit_of(10, 1), 0, {0, {0, 0}}), 0};
    tb::Clock clock{77};
    tb::TimeSource time{&clock, false};
    std::vector<Glance> glances;
};

TEST_F(Retry, AnAnswerIsGivenAtOnce) {
    for (const Status s : {Status::success, Status::denied, Status::exceeds_capacity, Status::closed,
                           Status::invalid_argument, Status::timed_out}) {
        EXPECT_EQ(run({s}), s);
        EXPECT_EQ(glances.size(), 1u);
    }
}

TEST_F(Retry, AGlanceIsTheWordAndTheTime) {
    run({Status::success});
    EXPECT_EQ(glances[0].before, cell.word());
    EXPECT_EQ(glances[0].word, cell.word());
    EXPECT_EQ(glances[0].now, 77);
}

TEST_F(Retry, StaleIsRepeated) {
    EXPECT_EQ(run({Status::stale, Status::stale, Status::stale, Status::stale, Status::success}), Status::success);
    EXPECT_EQ(glances.size(), 5u);
}

TEST_F(Retry, EachRoundGlancesAnew) {
    const uint64_t first = cell.word();
    EXPECT_EQ(run({Status::stale, Status::success}, {0}), Status::success);
    EXPECT_EQ(glances[0].word, first);
    EXPECT_EQ(glances[1].before, first + 8);
    EXPECT_EQ(glances[1].word, first + 8);
}

TEST_F(Retry, ADenialIsRepeatedWhereTheWordChanged) {
    EXPECT_EQ(run({Status::denied, Status::denied, Status::success}, {0, 1}), Status::success);
    EXPECT_EQ(glances.size(), 3u);
    EXPECT_EQ(run({Status::denied, Status::denied}, {0}), Status::denied);
    EXPECT_EQ(glances.size(), 2u);
}

TEST_F(Retry, AGrantStandsWhereTheWordChanged) {
    EXPECT_EQ(run({Status::success}, {0}), Status::success);
    EXPECT_EQ(glances.size(), 1u);
}

// A denial by a time that was read before the word had its state says nothing.
TEST_F(Retry, TheWordMayChangeWhileTheClockIsRead) {
    struct Reader {
        tb::Cell *cell;
        int changes;
    } reader{&cell, 1};
    tb::Clock slow(
        [](void *user) -> int64_t {
            Reader *const r = static_cast<Reader *>(user);
            if (r->changes-- > 0) r->cell->compare_exchange(r->cell->word(), r->cell->word() + 8);
            return 5;
        },
        &reader);
    tb::TimeSource callback(&slow, false);
    const Status s = tb::retry_until_current(cell, &callback, [&](const Glance &g) {
        glances.push_back(g);
        return Status::denied;
    });
    EXPECT_EQ(s, Status::denied);
    ASSERT_EQ(glances.size(), 2u);
    EXPECT_EQ(glances[0].word, glances[0].before + 8);
    EXPECT_EQ(glances[1].before, glances[0].word);
}

}  // namespace
