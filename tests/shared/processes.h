// What a process has of a bucket or a table in shared memory. Several in one process stand for as many processes.
#ifndef TOKENBUCKET_TESTS_SHARED_PROCESSES_H
#define TOKENBUCKET_TESTS_SHARED_PROCESSES_H

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/limiter/limiter.h"
#include "core/shared/shared_state.h"
#include "core/table/shared_table.h"
#include "core/table/table.h"

namespace tb_test {

inline void remove_shared(const std::string &name) {
    tb::Difference difference{};
    int error = 0;
    EXPECT_EQ(tb::remove_shared(name.c_str(), &difference, &error), tb::Status::success);
}

class BucketProcess {
  public:
    BucketProcess(const std::string &name, const tb::LimitSpec &spec, int64_t units, tb::Clock *clock) {
        tb::Difference difference{};
        int error = 0;
        tb::Limit limit;
        EXPECT_EQ(tb::make_limit(spec, &limit), tb::Status::success);
        const tb::SharedState::Terms terms{spec, limit, units, clock->now(), false};
        EXPECT_EQ(state_.open(name.c_str(), terms, &difference, &error), tb::Status::success) << error;
        waiting_.max_waiters = 6;
        tb::LimiterOptions options;
        options.clock = clock;
        options.waiting = &waiting_;
        options.shared = &state_;
        limiter_ = std::make_unique<tb::Limiter>(spec, limit, units, options);
        EXPECT_TRUE(limiter_->make_shared_queue());
    }

    // Finds all forgotten that was known of the queue.
    tb::Limiter *operator->() {
        state_.images()->forget();
        return limiter_.get();
    }

  private:
    tb::SharedState state_;
    tb::WaitOptions waiting_;
    std::unique_ptr<tb::Limiter> limiter_;
};

class TableProcess {
  public:
    static constexpr int64_t kMaxWaiters = 6;  // of a key

    TableProcess(const std::string &name, const tb::LimitSpec &spec, uint64_t lines, tb::WhenFull when_full,
                 tb::Clock *clock) {
        tb::Difference difference{};
        int error = 0;
        tb::Limit limit;
        EXPECT_EQ(tb::make_limit(spec, &limit, tb::kTableGrowth), tb::Status::success);
        const tb::SharedTable::Terms terms{spec, limit, lines, when_full, clock->now(), false};
        EXPECT_EQ(memory_.open(name.c_str(), terms, &difference, &error), tb::Status::success) << error;
        tb::TableOptions options;
        options.clock = clock;
        waiting_.max_waiters = kMaxWaiters;
        options.waiting = &waiting_;
        options.share(&memory_);
        table_ = std::make_unique<tb::Table>(spec, limit, options);
    }

    tb::Table *operator->() { return table_.get(); }
    const tb::HashSecret &secret() const { return memory_.secret(); }

  private:
    tb::SharedTable memory_;
    tb::WaitOptions waiting_;
    std::unique_ptr<tb::Table> table_;
};

}  // namespace tb_test

#endif
