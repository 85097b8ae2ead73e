// Waits for keys of a table: threads, callbacks, waiters by hand, and what they give back.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/timer_loop.h"
#include "tokenbucket.hpp"

namespace {

bool out_of_memory = false;

}  // namespace

// What copies a key. It fails where a test says so.
void *operator new[](std::size_t size, const std::nothrow_t &) noexcept {
    if (out_of_memory) return nullptr;
    try {
        return ::operator new[](size);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

namespace {

using namespace std::chrono_literals;
using tb_test::PostLoop;
using tb_test::TimerLoop;
using tokenbucket::Config;
using tokenbucket::kForever;
using tokenbucket::kInitiallyFull;
using tokenbucket::ManualClock;
using tokenbucket::PendingCall;
using tokenbucket::Status;
using tokenbucket::Table;
using tokenbucket::TableConfig;
using tokenbucket::Waited;
using tokenbucket::Waiter;

TableConfig a_hundred_keys() {
    TableConfig config;
    config.max_keys = 100;
    return config;
}

Config limit_on(tb_clock *clock) {
    Config limit;
    limit.capacity = 10;
    limit.rate_tokens = 2;
    limit.clock = clock;
    return limit;
}

// Ten tokens for each key, two a second; those of a and b are taken.
class CppTableLoop : public testing::Test {
  protected:
    CppTableLoop() { take_all(); }
    void take_all() {
        table.allow("a", 10).value();
        table.allow("b", 10).value();
    }
    Config limit() const { return limit_on(loop.config(10, 2).clock); }
    template <class... Limits>
    PendingCall<TimerLoop> job(const std::string &key, double cost, Limits... limits) {
        const auto done = [this, key](const Waited &answer) {
            ran.push_back(key + " " + tokenbucket::name(answer.status()) + " " + std::to_string(loop.now() / 1ms) +
                          " ms");
            would_take = answer.would_take();
        };
        return table.call_when_granted(key, loop, done, cost, limits...);
    }
    double left(const std::string &key) const { return *table.available(key); }
    using Runs = std::vector<std::string>;

    TimerLoop loop;
    Runs ran;
    std::chrono::nanoseconds would_take{};
    Table table{limit(), a_hundred_keys()};
};

TEST_F(CppTableLoop, EachKeyHasAQueueOfItsOwn) {
    const auto first = job("a", 8);
    const auto second = job("a", 1);
    const auto other = job("b", 2);
    EXPECT_FALSE(table.allow("a"));
    loop.run();
    EXPECT_EQ(ran, (Runs{"b TB_SUCCESS 1000 ms", "a TB_SUCCESS 4000 ms", "a TB_SUCCESS 4500 ms"}));
    EXPECT_EQ(left("a"), 0);
}

TEST_F(CppTableLoop, AJobThatIsDroppedGivesAllBackAndThoseBehindMoveUp) {
    auto dropped = job("a", 6);
    const auto next = job("a", 1);
    EXPECT_EQ(left("a"), -7);
    dropped.reset();
    EXPECT_EQ(left("a"), -1);
    loop.run();
    EXPECT_EQ(ran, Runs{"a TB_SUCCESS 500 ms"});
    EXPECT_EQ(left("a"), 0);
    table.refund("a", 5).value();
    job("a", 5).reset();
    EXPECT_EQ(left("a"), 5) << "granted at once, and dropped before it was told";
}

TEST_F(CppTableLoop, AnswersAtOnceAreCallsToo) {
    const auto late = job("a", 4, 1999ms);
    loop.run();
    EXPECT_EQ(ran.back(), "a TB_TIMED_OUT 0 ms");
    EXPECT_EQ(would_take, 2s);
    const auto at_once = job("c", 10);
    const auto never = job("c", 11);
    const auto negative = job("c", 1, -1ns);
    const auto too_long = job(std::string(TB_MAX_KEY_SIZE + 1, 'x'), 1);
    loop.run();
    ASSERT_EQ(ran.size(), 5u);
    EXPECT_EQ(ran[1], "c TB_SUCCESS 0 ms");
    EXPECT_EQ(ran[2], "c TB_EXCEEDS_CAPACITY 0 ms");
    EXPECT_EQ(ran[3], "c TB_E_INVALID_ARGUMENT 0 ms");
    EXPECT_EQ(ran[4].substr(TB_MAX_KEY_SIZE + 1), " TB_E_INVALID_ARGUMENT 0 ms");
}

TEST_F(CppTableLoop, AHigherPriorityGoesFirst) {
    const auto low = job("a", 2);
    const auto high = job("a", 2, kForever, 1);
    loop.run(1s);
    EXPECT_EQ(ran.size(), 1u);
    EXPECT_EQ(low->answer().status(), Status::pending);
    loop.run();
    EXPECT_EQ(high->answer().status(), Status::success);
}

TEST_F(CppTableLoop, ChangesPlanSleepersAnew) {
    const auto a = job("a", 4);
    const auto b = job("b", 4);
    table.refund("a", 2).value();
    loop.run(1s);
    table.set_rate(1).value();
    loop.run(2s);
    table.charge("b", 1).value();
    loop.run(3s);
    EXPECT_EQ(ran, Runs{"a TB_SUCCESS 1000 ms"});
    table.remove("b").value();
    loop.run();
    EXPECT_EQ(ran, (Runs{"a TB_SUCCESS 1000 ms", "b TB_SUCCESS 3000 ms"}));
    EXPECT_EQ(left("b"), 6);
    EXPECT_EQ(loop.armed(), 0u);
}

TEST_F(CppTableLoop, WhatEndsAWaitIsTold) {
    const auto late = job("a", 4, 2s);
    table.charge("a", 1).value();
    loop.run(0ns);
    EXPECT_EQ(ran, Runs{"a TB_TIMED_OUT 0 ms"});
    const auto large = job("b", 10);
    table.set_capacity(9).value();
    loop.run(0ns);
    EXPECT_EQ(ran.back(), "b TB_EXCEEDS_CAPACITY 0 ms");
    const auto open = job("a", 4);
    table.close();
    loop.run();
    EXPECT_EQ(ran.back(), "a TB_CLOSED 0 ms");
    EXPECT_EQ(loop.armed(), 0u);
}

TEST_F(CppTableLoop, MaxWaitersHoldsForEachKey) {
    Config two = limit();
    two.max_waiters = 2;
    table = Table(two, a_hundred_keys());
    take_all();
    const auto first = job("a", 1);
    const auto second = job("a", 1);
    const auto third = job("a", 1);
    const auto other = job("b", 1);
    loop.run(0ns);
    EXPECT_EQ(ran, Runs{"a TB_QUEUE_FULL 0 ms"});
}

TEST_F(CppTableLoop, AMovedTableGoesOnAndAnotherWakeFunctionIsUnsupported) {
    const auto a = job("a", 1);
    Table moved = std::move(table);
    const auto refused = job("a", 1);
    loop.run();
    EXPECT_EQ(ran, (Runs{"a TB_E_INVALID_ARGUMENT 0 ms", "a TB_SUCCESS 500 ms"}));

    const auto ignore = [](std::uint64_t) {};
    Config config = limit();
    config.wake_by(ignore);
    Table other(config, a_hundred_keys());
    std::swap(table, other);
    const auto call = job("a", 1);
    loop.run();
    EXPECT_EQ(ran.back(), "a TB_E_UNSUPPORTED 500 ms");
}

// Threads and loops stand in one queue, on a manual clock.
class CppTableWait : public testing::Test {
  protected:
    void set_up(const std::function<void(std::uint64_t)> *handler) {
        Config limit = limit_on(clock.get());
        if (handler != nullptr) limit.wake_by(*handler);
        table.emplace(limit, a_hundred_keys());
        table->allow("a", 10).value();
    }
    std::thread waiting_thread(std::vector<Status> &ended, double n, std::chrono::nanoseconds timeout) {
        const auto before = clock.waiters()->count;
        std::thread thread([this, &ended, n, timeout] { ended.push_back(table->wait_for("a", n, timeout).status()); });
        while (clock.waiters()->count == before) std::this_thread::yield();
        return thread;
    }

    ManualClock clock;
    std::optional<Table> table;
};

TEST_F(CppTableWait, ThreadsAreGrantedInOrderOrRefusedAtOnce) {
    set_up(nullptr);
    EXPECT_EQ(table->wait_for("a", 3, 1499ms).status(), Status::timed_out);
    EXPECT_EQ(table->wait_for("a", 3, -1ns).status(), Status::invalid_argument);
    EXPECT_EQ(table->wait("a", 11).status(), Status::exceeds_capacity);
    EXPECT_TRUE(table->wait("b", 10));
    std::vector<Status> ended;
    PostLoop loop;
    bool called = false;
    std::thread thread = waiting_thread(ended, 3, 2s);
    const auto call = table->call_when_granted(
        "a", loop, [&](const Waited &answer) { called = bool(answer); }, 1);
    EXPECT_EQ(*table->available("a"), -4);
    clock.advance(1500ms).value();
    thread.join();
    loop.run();
    EXPECT_FALSE(called);
    clock.advance(500ms).value();
    loop.run();
    EXPECT_TRUE(called);
    EXPECT_EQ(ended, std::vector<Status>{Status::success});
    EXPECT_EQ(*table->available("a"), 0);
}

TEST_F(CppTableWait, ATableThatGoesAwayWakesItsThreads) {
    set_up(nullptr);
    std::vector<Status> ended;
    std::thread first = waiting_thread(ended, 3, 2s);
    table.reset();
    first.join();
    EXPECT_EQ(ended, std::vector<Status>{Status::closed});
}

TEST_F(CppTableWait, WaitersByHand) {
    std::vector<std::uint64_t> woken;
    const std::function<void(std::uint64_t)> wake = [&](std::uint64_t tag) { woken.push_back(tag); };
    set_up(&wake);
    std::string key = "a";
    Waiter first = table->enqueue(key, 7, 10);
    Waiter behind = table->enqueue(key, 8, 2, 10s);
    key = "b";
    EXPECT_EQ(first.delay(), 5s);
    EXPECT_EQ(behind.delay(), 6s);
    EXPECT_EQ(table->enqueue("a", 9, 1, 6s).delay(), 6500ms) << "timed out: how long it would have taken";
    Waiter moved = std::move(first);
    EXPECT_EQ(first.check(), Status::invalid_argument);
    moved.leave();
    EXPECT_EQ(moved.status(), Status::interrupted);
    EXPECT_EQ(std::exchange(woken, {}), std::vector<std::uint64_t>{8});
    EXPECT_EQ(behind.check(), Status::pending);
    EXPECT_EQ(behind.delay(), 1s);
    clock.advance(1s).value();
    EXPECT_EQ(woken, std::vector<std::uint64_t>{8});
    EXPECT_EQ(behind.check(), Status::success);
    EXPECT_EQ(*table->available("a"), 0);
    { const Waiter dropped = table->enqueue("a", 1, 4); }
    EXPECT_EQ(*table->available("a"), 0);
    EXPECT_EQ(*table->available("b"), 10);
}

TEST_F(CppTableWait, WithoutMemoryForTheKeyNothingIsTaken) {
    set_up(nullptr);
    PostLoop loop;
    Status answer = Status::pending;
    out_of_memory = true;
    const Waiter waiter = table->enqueue("b", 1);
    const auto reservation = table->reserve("b");
    const auto call = table->call_when_granted("b", loop, [&](const Waited &waited) { answer = waited.status(); });
    const auto empty = table->reserve("");
    out_of_memory = false;
    loop.run();
    EXPECT_EQ(waiter.status(), Status::out_of_memory);
    EXPECT_EQ(reservation.status(), Status::out_of_memory);
    EXPECT_EQ(answer, Status::out_of_memory);
    EXPECT_TRUE(empty);
    EXPECT_EQ(*table->available("b"), 10);
}

}  // namespace
