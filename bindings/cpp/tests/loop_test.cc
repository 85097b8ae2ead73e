// Reservations on an event loop: the loop's timers, no thread that waits, and nothing of a future.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/timer_loop.h"
#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using tb_test::TimerLoop;
using tokenbucket::Bucket;
using tokenbucket::Reservation;
using tokenbucket::Result;
using tokenbucket::Status;

// Work that begins when its tokens are there. Destroyed earlier, it gives them back and leaves no timer behind.
class Job {
  public:
    Job(TimerLoop &loop, Bucket &bucket, double cost, std::function<void()> work) : loop_(loop) {
        Result<Reservation> promise = bucket.reserve(cost);
        status_ = promise.status();
        if (!promise) return;
        const auto ready_at = promise->ready_at();
        promise_ = std::move(*promise);
        timer_ = loop_.at(ready_at, [this, work = std::move(work)] {
            promise_->commit();
            work();
        });
    }
    ~Job() {
        if (timer_ != 0) loop_.disarm(timer_);
    }
    Job(const Job &) = delete;
    Job &operator=(const Job &) = delete;

    Status status() const { return status_; }

  private:
    TimerLoop &loop_;
    Status status_;
    std::optional<Reservation> promise_;
    std::uint64_t timer_ = 0;
};

class CppLoop : public testing::Test {
  protected:
    CppLoop() { bucket.allow(10).value(); }

    std::unique_ptr<Job> job(const std::string &name, double cost) {
        return std::make_unique<Job>(loop, bucket, cost, [this, name] { ran.emplace_back(name, loop.now()); });
    }
    using Runs = std::vector<std::pair<std::string, std::chrono::nanoseconds>>;

    TimerLoop loop;
    Bucket bucket = loop.bucket(10, 2);
    Runs ran;
};

TEST_F(CppLoop, JobsRunInOrderAtTheirExactTimes) {
    const auto large = job("large", 8);
    const auto small = job("small", 1);
    const auto medium = job("medium", 3);
    EXPECT_FALSE(bucket.allow(1));
    loop.run();
    EXPECT_EQ(ran, (Runs{{"large", 4000ms}, {"small", 4500ms}, {"medium", 6000ms}}));
    EXPECT_EQ(*bucket.available(), 0);
}

TEST_F(CppLoop, AJobThatIsDroppedGivesItsTokensBack) {
    const auto first = job("first", 4);
    auto dropped = job("dropped", 6);
    EXPECT_EQ(*bucket.available(), -10);
    dropped.reset();
    EXPECT_EQ(*bucket.available(), -4);
    const auto next = job("next", 1);
    loop.run();
    EXPECT_EQ(ran, (Runs{{"first", 2000ms}, {"next", 2500ms}}));
}

TEST_F(CppLoop, AJobMayBeDroppedFromATimer) {
    auto late = job("late", 4);
    loop.at(TimerLoop::Time(1s), [&] { late.reset(); });
    loop.run();
    EXPECT_EQ(ran, Runs{});
    EXPECT_EQ(*bucket.available(), 2);
}

TEST_F(CppLoop, AJobThatCannotBeIsRefusedAtOnce) {
    EXPECT_EQ(job("too large", 11)->status(), Status::exceeds_capacity);
    EXPECT_EQ(loop.armed(), 0u);
    EXPECT_EQ(*bucket.available(), 0);
}

}  // namespace
