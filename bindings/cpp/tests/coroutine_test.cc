// wait_on: coroutines that wait on an event loop.
#include <gtest/gtest.h>

#include "tokenbucket.hpp"

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)

#include <chrono>
#include <coroutine>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/timer_loop.h"

namespace {

using namespace std::chrono_literals;
using tb_test::TimerLoop;
using tokenbucket::Bucket;
using tokenbucket::kForever;
using tokenbucket::Waited;

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

// Empty, two tokens a second.
class CppCoroutine : public testing::Test {
  protected:
    template <class... Limits>
    Task work(std::string name, double cost, Limits... limits) {
        const Waited answer = co_await bucket.wait_on(loop, cost, limits...);
        log.emplace_back(name + " " + tokenbucket::name(answer.status()), loop.now());
        would_take = answer.would_take();
    }
    double left() const { return *bucket.available(); }
    using Log = std::vector<std::pair<std::string, std::chrono::nanoseconds>>;

    TimerLoop loop;
    Bucket bucket{loop.config(10, 2)};
    Log log;
    std::chrono::nanoseconds would_take{};
};

TEST_F(CppCoroutine, ResumeInOrderAtTheirExactTimes) {
    const Task large = work("large", 8);
    const Task small = work("small", 1);
    EXPECT_EQ(loop.armed(), 2u);
    loop.run();
    EXPECT_EQ(log, (Log{{"large TB_SUCCESS", 4000ms}, {"small TB_SUCCESS", 4500ms}}));
    EXPECT_TRUE(large.done() && small.done());
    EXPECT_EQ(left(), 0);
}

TEST_F(CppCoroutine, DoNotSuspendWhereThereIsNothingToWaitFor) {
    bucket.reset(5).value();
    const Task at_once = work("at once", 5);
    const Task never = work("never", 11);
    const Task negative = work("negative", 1, -1ns);
    const Task too_late = work("too late", 4, 1999ms);
    EXPECT_EQ(would_take, 2s);
    EXPECT_EQ(loop.armed(), 0u);
    EXPECT_EQ(log, (Log{{"at once TB_SUCCESS", 0s},
                        {"never TB_EXCEEDS_CAPACITY", 0s},
                        {"negative TB_E_INVALID_ARGUMENT", 0s},
                        {"too late TB_TIMED_OUT", 0s}}));
    EXPECT_EQ(left(), 0);
}

// The one behind it is granted at the time at which it would have been had the first one never come, and no take comes
// before it.
TEST_F(CppCoroutine, OneThatIsDestroyedLetsThoseBehindMoveUp) {
    std::optional<Task> dropped(work("dropped", 10));
    const Task behind = work("behind", 1);
    EXPECT_EQ(left(), -11);
    dropped.reset();
    EXPECT_EQ(left(), -1);
    EXPECT_EQ(loop.armed(), 1u);
    loop.run(300ms);
    EXPECT_FALSE(bucket.allow(0.5));
    loop.run();
    EXPECT_EQ(log, (Log{{"behind TB_SUCCESS", 500ms}}));
}

TEST_F(CppCoroutine, OneThatIsDestroyedWhenDueButNotResumedGivesItsTokensBackToo) {
    {
        const Task dropped = work("dropped", 6);
        loop.block(4000ms);
        EXPECT_EQ(left(), 2);
    }
    EXPECT_EQ(left(), 8);
    loop.run();
    EXPECT_TRUE(log.empty());
}

TEST_F(CppCoroutine, AHigherPriorityGoesFirst) {
    const Task low = work("low", 2);
    const Task high = work("high", 2, kForever, 7);
    loop.run();
    EXPECT_EQ(log, (Log{{"high TB_SUCCESS", 1000ms}, {"low TB_SUCCESS", 2000ms}}));
}

TEST_F(CppCoroutine, MayLoopWithoutGrowingTheStack) {
    bucket.reset(10).value();
    auto many = [&]() -> Task {
        for (int i = 0; i < 20; ++i) (co_await bucket.wait_on(loop)).value();
        log.emplace_back("all", loop.now());
    };
    const Task task = many();
    loop.run();
    EXPECT_EQ(log, (Log{{"all", 5000ms}}));
}

TEST_F(CppCoroutine, WaitForAKeyOfATable) {
    tokenbucket::Config limit = loop.config(10, 2);
    limit.initial_tokens = tokenbucket::kInitiallyFull;
    tokenbucket::TableConfig config;
    config.max_keys = 100;
    tokenbucket::Table table(limit, config);
    table.allow("user", 10).value();
    auto wait = [&](std::string key, double cost) -> Task {
        const Waited answer = co_await table.wait_on(key, loop, cost, 4s);
        log.emplace_back(key + " " + tokenbucket::name(answer.status()), loop.now());
    };
    std::optional<Task> dropped(wait("user", 6));
    const Task late = wait("user", 3);
    const Task behind = wait("user", 2);
    const Task other = wait("other", 10);
    EXPECT_EQ(*table.available("user"), -8);
    dropped.reset();
    EXPECT_EQ(*table.available("user"), -2);
    loop.run();
    EXPECT_EQ(log, (Log{{"user TB_TIMED_OUT", 0s}, {"other TB_SUCCESS", 0s}, {"user TB_SUCCESS", 1000ms}}));
}

TEST_F(CppCoroutine, WaitForSeveralLimits) {
    Bucket other(loop.config(100, 10));
    auto wait = [&](std::string who, double n, auto... bounds) -> Task {
        const auto answer = co_await tokenbucket::Limits(bucket.member(n), other.member(30)).wait_on(loop, bounds...);
        log.emplace_back(who + " " + tokenbucket::name(answer.status()), loop.now());
        would_take = answer.refusal().retry_after;
    };
    std::optional<Task> dropped(wait("dropped", 8));
    const Task behind = wait("behind", 4);
    const Task late = wait("late", 4, 6s);
    EXPECT_EQ(would_take, 9s);
    const Task first = wait("first", 2, kForever, 1);
    EXPECT_EQ(loop.armed(), 3u);
    loop.run(4s);
    dropped.reset();
    loop.run();
    EXPECT_EQ(log, (Log{{"late TB_TIMED_OUT", 0s}, {"first TB_SUCCESS", 3000ms}, {"behind TB_SUCCESS", 6000ms}}));
    EXPECT_EQ(left(), 6);
    EXPECT_EQ(*other.available(), 0);
}

// Requests and tokens a minute: what is ended while it waits for its tokens loses no request.
TEST_F(CppCoroutine, SeveralLimitsLoseNothing) {
    bucket.reset(10).value();
    bucket.set_rate(1e-9).value();
    Bucket tokens(loop.config(100, 10));
    const tokenbucket::Limits both(bucket.member(), tokens.member(50));
    auto wait = [&]() -> Task { (void)co_await both.wait_on(loop); };
    for (int i = 0; i < 5; ++i) {
        const Task task = wait();
        EXPECT_FALSE(task.done());
    }
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(*tokens.available(), 0);
    EXPECT_EQ(loop.armed(), 0u);
}

// A loop that cannot arm its timer: the coroutine goes on with the exception, and the tokens are back.
TEST_F(CppCoroutine, ATimerThatThrowsTakesNothing) {
    struct Broken {
        void post(const TimerLoop::Work &) {}
        void after(std::chrono::nanoseconds, const TimerLoop::Work &) { throw std::runtime_error("no timer"); }
    } broken;
    auto wait = [&]() -> Task { (void)co_await bucket.wait_on(broken, 3); };
    auto wait_for_all = [&]() -> Task { (void)co_await tokenbucket::Limits(bucket.member(3)).wait_on(broken); };
    for (const bool all : {false, true}) {
        const Task task = all ? wait_for_all() : wait();
        ASSERT_TRUE(task.done());
        EXPECT_THROW(std::rethrow_exception(task.failure()), std::runtime_error);
        EXPECT_EQ(left(), 0);
    }
}

}  // namespace

#else

TEST(CppCoroutine, NotTried) {
    GTEST_SKIP() << "this compiler and library have no coroutines of C++20";
}

#endif
