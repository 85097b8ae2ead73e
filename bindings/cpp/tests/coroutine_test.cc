// when_ready: coroutines that wait for reservations on an event loop.
#include <gtest/gtest.h>

#include "tokenbucket.hpp"

#if defined(__cpp_lib_coroutine)

#include <chrono>
#include <coroutine>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/timer_loop.h"

namespace {

using namespace std::chrono_literals;
using tb_test::TimerLoop;
using tokenbucket::Bucket;
using tokenbucket::Result;
using tokenbucket::Status;
using tokenbucket::when_ready;

// A coroutine that runs at once up to its first wait, and is ended with its owner.
class Task {
  public:
    struct promise_type {
        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { failure = std::current_exception(); }

        std::exception_ptr failure;
    };

    explicit Task(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}
    Task(Task &&other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    Task &operator=(Task &&) = delete;
    ~Task() {
        if (coroutine_) coroutine_.destroy();
    }
    bool done() const { return coroutine_.done(); }
    std::exception_ptr failure() const { return coroutine_.promise().failure; }

  private:
    std::coroutine_handle<promise_type> coroutine_;
};

// The adapter of a loop: arms a timer, and disarms it with the coroutine that waits for it.
class LoopTimer {
  public:
    explicit LoopTimer(TimerLoop &loop) : loop_(&loop) {}
    LoopTimer(LoopTimer &&other) noexcept : loop_(other.loop_), armed_(std::exchange(other.armed_, 0)) {}
    LoopTimer &operator=(LoopTimer &&) = delete;
    ~LoopTimer() {
        if (armed_ != 0) loop_->disarm(armed_);
    }
    void operator()(TimerLoop::Time time, std::coroutine_handle<> waiting) { armed_ = loop_->at(time, waiting); }

  private:
    TimerLoop *loop_;
    std::uint64_t armed_ = 0;
};

class CppCoroutine : public testing::Test {
  protected:
    CppCoroutine() { bucket.allow(10).value(); }

    template <class... Limit>
    Task work(std::string name, double cost, Limit... limit) {
        const Result<void> answer = co_await when_ready(bucket.reserve(cost, limit...), LoopTimer(loop));
        log.emplace_back(name + " " + tokenbucket::name(answer.status()), loop.now());
    }
    using Log = std::vector<std::pair<std::string, std::chrono::nanoseconds>>;

    TimerLoop loop;
    Bucket bucket = loop.bucket(10, 2);
    Log log;
};

TEST_F(CppCoroutine, ResumeInOrderAtTheirExactTimes) {
    const Task large = work("large", 8);
    const Task small = work("small", 1);
    EXPECT_EQ(loop.armed(), 2u);
    loop.run();
    EXPECT_EQ(log, (Log{{"large TB_SUCCESS", 4000ms}, {"small TB_SUCCESS", 4500ms}}));
    EXPECT_TRUE(large.done() && small.done());
    EXPECT_EQ(*bucket.available(), 0);
}

TEST_F(CppCoroutine, DoNotSuspendWhereThereIsNothingToWaitFor) {
    bucket.reset(5).value();
    const Task at_once = work("at once", 5);
    const Task too_late = work("too late", 4, 1999ms);
    const Task never = work("never", 11);
    EXPECT_EQ(loop.armed(), 0u);
    EXPECT_EQ(log, (Log{{"at once TB_SUCCESS", 0s}, {"too late TB_TIMED_OUT", 0s}, {"never TB_EXCEEDS_CAPACITY", 0s}}));
    EXPECT_EQ(*bucket.available(), 0);
}

TEST_F(CppCoroutine, OneThatIsDestroyedGivesItsTokensBack) {
    const Task first = work("first", 4);
    {
        const Task dropped = work("dropped", 6);
        EXPECT_EQ(*bucket.available(), -10);
        EXPECT_EQ(loop.armed(), 2u);
    }
    EXPECT_EQ(*bucket.available(), -4);
    loop.run();
    EXPECT_EQ(log, (Log{{"first TB_SUCCESS", 2000ms}}));
}

TEST_F(CppCoroutine, OneThatIsDestroyedWhenDueButNotResumedGivesItsTokensBackToo) {
    {
        const Task dropped = work("dropped", 6);
        loop.clock.advance(4000ms).value();
        EXPECT_EQ(*bucket.available(), 2);
    }
    EXPECT_EQ(*bucket.available(), 8);
    EXPECT_TRUE(log.empty());
}

TEST_F(CppCoroutine, ATimerMayBeALambda) {
    auto timer = [this](TimerLoop::Time time, std::coroutine_handle<> waiting) { loop.at(time, waiting); };
    auto twice = [&]() -> Task {
        for (int i = 0; i < 2; ++i) (co_await when_ready(bucket.reserve(3), timer)).value();
        log.emplace_back("both", loop.now());
    };
    const Task task = twice();
    loop.run();
    EXPECT_EQ(log, (Log{{"both", 3000ms}}));
}

// A loop that cannot arm its timer: the coroutine goes on with the exception, and the tokens are back.
TEST_F(CppCoroutine, ATimerThatThrowsTakesNothing) {
    auto broken = [](TimerLoop::Time, std::coroutine_handle<>) { throw std::runtime_error("no timer"); };
    auto wait = [&]() -> Task { (void)co_await when_ready(bucket.reserve(3), broken); };
    const Task task = wait();
    ASSERT_TRUE(task.done());
    EXPECT_THROW(std::rethrow_exception(task.failure()), std::runtime_error);
    EXPECT_EQ(*bucket.available(), 0);
}

// The coroutine ends, and its frame with the timer in it is gone, before the timer's call has returned.
TEST_F(CppCoroutine, MayBeResumedBeforeTheTimerReturns) {
    int alive = 0;
    struct Counted {
        explicit Counted(int &count) : count_(count) { ++count_; }
        Counted(Counted &&other) noexcept : count_(other.count_) { ++count_; }
        Counted &operator=(Counted &&) = delete;
        ~Counted() { --count_; }
        void operator()(TimerLoop::Time, std::coroutine_handle<> waiting) { waiting.resume(); }
        int &count_;
    };
    auto wait = [&]() -> Task { (co_await when_ready(bucket.reserve(3), Counted(alive))).value(); };
    {
        const Task task = wait();
        EXPECT_TRUE(task.done());
    }
    EXPECT_EQ(alive, 0);
    EXPECT_EQ(*bucket.available(), -3);
}

}  // namespace

#else

TEST(CppCoroutine, NotTried) {
    GTEST_SKIP() << "this compiler and library have no coroutines of C++20";
}

#endif
