// Several limits in one decision: takes, reservations and waits for all of them, and what they give back.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
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

int allocations_left = -1;  // below zero: no limit

void *allocated(void *(*allocate)(std::size_t), std::size_t size) noexcept {
    if (allocations_left == 0) return nullptr;
    if (allocations_left > 0) --allocations_left;
    try {
        return allocate(size);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

}  // namespace

// What copies members and keys. They fail where a test says so.
void *operator new(std::size_t size, const std::nothrow_t &) noexcept {
    return allocated(::operator new, size);
}
void *operator new[](std::size_t size, const std::nothrow_t &) noexcept {
    return allocated(::operator new[], size);
}

namespace {

using namespace std::chrono_literals;
using tb_test::PostLoop;
using tb_test::TimerLoop;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::kForever;
using tokenbucket::kInitiallyFull;
using tokenbucket::kMaxMembers;
using tokenbucket::Limits;
using tokenbucket::ManualClock;
using tokenbucket::Member;
using tokenbucket::ReservationAll;
using tokenbucket::ResultAll;
using tokenbucket::Status;
using tokenbucket::Table;
using tokenbucket::TableConfig;
using tokenbucket::WaiterAll;

// Requests, 10 with 1 per second, and words, 100 with 10 per second, both empty at 0; and users, full, 5 with 1 per
// second.
class CppLimits : public testing::Test {
  protected:
    Config config(double capacity, double rate) const {
        Config c;
        c.capacity = capacity;
        c.rate_tokens = rate;
        c.initial_tokens = 0;
        c.clock = clock_in_use();
        return c;
    }
    virtual tb_clock *clock_in_use() const { return clock.get(); }
    static Table table(Config limit) {
        limit.initial_tokens = kInitiallyFull;
        TableConfig config;
        config.max_keys = 100;
        return Table(limit, config);
    }
    Limits limits() const { return Limits(requests.member(2), words.member(50), users.member("user", 1)); }

    template <class T>
    static void expect_refusal(const T &answer, Status status, int member, std::chrono::nanoseconds retry_after) {
        EXPECT_EQ(answer.status(), status);
        EXPECT_EQ(answer.refusal().member, member);
        EXPECT_EQ(answer.refusal().retry_after, retry_after);
    }
    void expect_left(double requests_left, double words_left, double user_left) const {
        EXPECT_EQ(*requests.available(), requests_left);
        EXPECT_EQ(*words.available(), words_left);
        EXPECT_EQ(*users.available("user"), user_left);
    }

    ManualClock clock;
    Bucket requests{config(10, 1)};
    Bucket words{config(100, 10)};
    Table users = table(config(5, 1));
};

TEST_F(CppLimits, AllGrantOrNothingIsTaken) {
    const Limits all = limits();
    expect_refusal(all.allow(), Status::denied, 1, 5s);
    expect_left(0, 0, 5);
    clock.advance(6s).value();
    const auto granted = all.allow();
    EXPECT_TRUE(granted);
    expect_refusal(granted, Status::success, -1, 0s);
    expect_left(4, 10, 4);
    expect_refusal(Limits(words.member(), requests.member(11)).allow(), Status::exceeds_capacity, 1, kForever);
    words.close();
    expect_refusal(all.allow(), Status::closed, 1, kForever);
    EXPECT_THROW(all.allow().value(), tokenbucket::Error);
    EXPECT_EQ(*requests.available(), 4);
}

TEST_F(CppLimits, WhatIsNoListOfLimitsIsRefused) {
    clock.advance(10s).value();
    const auto refused = [](const Limits &bad) {
        expect_refusal(bad.allow(), Status::invalid_argument, -1, 0s);
        expect_refusal(bad.wait_for(0s), Status::invalid_argument, -1, 0s);
        expect_refusal(bad.reserve(), Status::invalid_argument, -1, 0s);
        expect_refusal(bad.enqueue(1), Status::invalid_argument, -1, 0s);
        Status told = Status::pending;
        PostLoop loop;
        const auto call = bad.call_when_granted(loop, [&](const ResultAll<> &answer) { told = answer.status(); });
        loop.run();
        EXPECT_EQ(told, Status::invalid_argument);
    };
    refused(Limits(nullptr, 0));
    refused(Limits(requests.member(), words.member(), requests.member()));
    refused(Limits(requests.member(), words.member(-1)));
    refused(Limits(requests.member(), users.member(std::string(TB_MAX_KEY_SIZE + 1, 'x'))));
    const Bucket moved = std::move(requests);
    refused(Limits(words.member(), requests.member()));
    requests = Bucket(config(10, 1));
    const std::vector<Member> many(kMaxMembers + 1, words.member());
    const Limits too_many(many.data(), many.size());
    EXPECT_EQ(too_many.size(), kMaxMembers + 1);
    refused(too_many);
    expect_left(0, 100, 5);
    EXPECT_EQ(limits().wait_for(-1ns).status(), Status::invalid_argument);
    EXPECT_EQ(limits().reserve(-1ns).status(), Status::invalid_argument);
}

TEST_F(CppLimits, SixteenMembersAndCopies) {
    std::vector<std::string> keys;
    for (char key = 'a'; key < 'a' + static_cast<char>(kMaxMembers); ++key) keys.emplace_back(1, key);
    std::vector<Member> members;
    for (const std::string &key : keys) members.push_back(users.member(key, 2));
    const Limits all(members.data(), members.size());
    Limits copy = limits();
    copy = all;
    const Limits &same = copy;
    copy = same;
    EXPECT_TRUE(Limits(copy).allow());
    EXPECT_TRUE(copy.allow());
    for (const std::string &key : keys) EXPECT_EQ(*users.available(key), 1) << key;
    expect_refusal(all.allow(), Status::denied, 0, 1s);
}

TEST_F(CppLimits, StayWhenTheirBucketsAndTablesMove) {
    clock.advance(6s).value();
    const Limits all = limits();
    const Bucket moved_requests = std::move(requests);
    const Table moved_users = std::move(users);
    EXPECT_TRUE(all.allow());
    EXPECT_EQ(*moved_requests.available(), 4);
    EXPECT_EQ(*moved_users.available("user"), 4);
}

TEST_F(CppLimits, AThreadWaitsForAll) {
    expect_refusal(limits().wait_for(4s), Status::timed_out, 1, 5s);
    expect_refusal(Limits(requests.member(11), words.member()).wait(), Status::exceeds_capacity, 0, kForever);
    ResultAll<> answer = limits().wait_for(0s);
    std::thread thread([&] { answer = limits().wait_for(1h, 3); });
    while (clock.waiters()->count != 2) std::this_thread::yield();
    EXPECT_EQ(Limits(words.member(50)).enqueue(1, 5s, 2).status(), Status::timed_out) << "it stands behind";
    EXPECT_EQ(Limits(words.member(50)).enqueue(1, 5s, 4).status(), Status::pending) << "it stands before";
    clock.advance(2s).value();
    while (clock.waiters()->count != 1) std::this_thread::yield();
    expect_left(0, -30, 5);
    clock.advance(3s).value();
    thread.join();
    EXPECT_TRUE(answer);
    expect_left(3, 0, 5);
}

// ---- Reservations ----

// What was cancelled while another limit was waited for is not lost.
TEST_F(CppLimits, AReservationThatIsDestroyedWhilePendingGivesAllBack) {
    requests.reset().value();
    for (int i = 0; i < 10; ++i) {
        const auto promise = limits().reserve();
        EXPECT_EQ(promise->delay(), 5s);
        expect_left(8, -50, 4);
    }
    expect_left(10, 0, 5);
    expect_refusal(limits().reserve(4s), Status::timed_out, 1, 5s);
    expect_left(10, 0, 5);
}

TEST_F(CppLimits, AReservationCopiesTheKey) {
    for (const bool cancelled : {true, false}) {
        std::string key = "user";
        auto promise = Limits(users.member(key, 2), words.member(10)).reserve();
        key = "else";
        EXPECT_EQ(*users.available("user"), 3);
        if (cancelled) promise->cancel();
        if (!cancelled) promise->settle(0, 1).value();
        EXPECT_EQ(*users.available("user"), cancelled ? 5 : 4);
    }
}

TEST_F(CppLimits, AReservationIsUsedOnceAllIsDue) {
    auto promise = limits().reserve();
    clock.advance(5s).value();
    promise->cancel();
    expect_left(3, 0, 5);
}

TEST_F(CppLimits, AReservationThatIsCommittedIsKept) {
    limits().reserve()->commit();
    expect_left(-2, -50, 4);
}

TEST_F(CppLimits, MembersAreSettledOneByOne) {
    {
        auto promise = limits().reserve();
        EXPECT_EQ(promise->settle(3, 1).status(), Status::invalid_argument);
        EXPECT_EQ(promise->settle(1, -1).status(), Status::invalid_argument);
    }
    expect_left(0, 0, 5);
    {
        auto promise = limits().reserve();
        EXPECT_TRUE(promise->settle(1, 20));
        EXPECT_EQ(promise->settle(1, 20).status(), Status::invalid_argument);
        EXPECT_TRUE(promise->settle(2, 0));
        promise->cancel();
    }
    expect_left(-2, -20, 5);
    auto promise = limits().reserve();
    promise->cancel();
    EXPECT_EQ(promise->settle(0, 1).status(), Status::invalid_argument);
    expect_left(-2, -20, 5);
}

TEST_F(CppLimits, ReservationsMove) {
    auto first = limits().reserve();
    auto second = Limits(words.member(1)).reserve();
    ReservationAll moved = std::move(*first);
    first->cancel();
    EXPECT_EQ(first->settle(0, 1).status(), Status::invalid_argument);
    expect_left(-2, -51, 4);
    moved = std::move(*second);  // the first one is cancelled
    expect_left(0, -1, 5);
    EXPECT_EQ(moved.delay(), 5100ms);
}

TEST_F(CppLimits, WithoutMemoryNothingIsTaken) {
    clock.advance(10s).value();
    PostLoop loop;
    for (int before = 0; before < 3; ++before) {
        allocations_left = before;
        const auto promise = limits().reserve();
        allocations_left = -1;
        EXPECT_EQ(promise.status(), Status::out_of_memory) << before;
        expect_left(10, 100, 5);
        if (before == 2) continue;
        Status told = Status::pending;
        allocations_left = before;
        const auto call = limits().call_when_granted(loop, [&](const ResultAll<> &a) { told = a.status(); });
        allocations_left = -1;
        loop.run();
        EXPECT_EQ(told, Status::out_of_memory) << before;
        expect_left(10, 100, 5);
    }
}

// ---- Loops ----

class CppLimitsLoop : public CppLimits {
  protected:
    template <class... Bounds>
    auto job(const std::string &name, const Limits &all, Bounds... bounds) {
        const auto done = [this, name](const ResultAll<> &answer) {
            ran.push_back(name + " " + tokenbucket::name(answer.status()) + " by " +
                          std::to_string(answer.refusal().member));
        };
        return all.call_when_granted(loop, done, bounds...);
    }
    void advance(std::chrono::nanoseconds time) {
        clock.advance(time).value();
        loop.run();
    }
    using Runs = std::vector<std::string>;

    PostLoop loop;
    Runs ran;
};

TEST_F(CppLimitsLoop, AJobRunsWhenAllHaveGranted) {
    const auto call = job("job", limits());
    EXPECT_EQ(clock.waiters()->count, 2);
    advance(2s);
    EXPECT_EQ(clock.waiters()->count, 1);
    EXPECT_EQ(clock.waiters()->next_due, 5s);
    advance(3s - 1ns);
    EXPECT_EQ(ran, Runs{});
    advance(1ns);
    EXPECT_EQ(ran, Runs{"job TB_SUCCESS by -1"});
    expect_left(3, 0, 5);
}

// The wake comes from the table, and from another bucket than the one of which it holds tokens.
TEST_F(CppLimitsLoop, EveryMemberWakesIt) {
    requests.reset().value();
    users.allow("user", 5).value();
    users.allow("other", 5).value();
    const auto two_keys = job("two keys", Limits(users.member("user", 2), users.member("other", 1)));
    const auto mixed = job("mixed", Limits(requests.member(), words.member(20), users.member("user", 2)));
    users.refund("user", 2).value();
    loop.run();
    EXPECT_EQ(ran, Runs{});
    users.refund("other", 1).value();
    loop.run();
    EXPECT_EQ(ran, Runs{"two keys TB_SUCCESS by -1"});
    words.refund(20).value();
    loop.run();
    EXPECT_EQ(ran.size(), 1u);
    users.remove("user").value();
    loop.run();
    EXPECT_EQ(ran.back(), "mixed TB_SUCCESS by -1");
    EXPECT_EQ(*users.available("user"), 3);
}

TEST_F(CppLimitsLoop, AJobThatIsDroppedGivesAllBackAndThoseBehindMoveUp) {
    for (const bool holds : {false, true}) {
        auto dropped = job("dropped", limits());
        const auto behind = job("behind", Limits(words.member(10)));
        if (holds) advance(2s);
        dropped.reset();
        if (!holds) advance(1s);
        loop.run();
        EXPECT_EQ(std::exchange(ran, {}), Runs{"behind TB_SUCCESS by -1"}) << holds;
        expect_left(holds ? 3 : 1, holds ? 10 : 0, 5);
    }
}

TEST_F(CppLimitsLoop, AJobThatIsDroppedBeforeItIsToldGivesAllBack) {
    clock.advance(10s).value();
    {
        std::string key = "user";
        const auto call = job("dropped", Limits(requests.member(), words.member(5), users.member(key)));
        key = "else";
        expect_left(9, 95, 4);
    }
    expect_left(10, 100, 5);
    const auto due = job("due", Limits(requests.member(10), words.member(100)));
    loop.run();
    auto dropped = job("dropped", limits());
    clock.advance(5s).value();
    dropped.reset();
    loop.run();
    EXPECT_EQ(ran, Runs{"due TB_SUCCESS by -1"});
    expect_left(5, 50, 5);
}

TEST_F(CppLimitsLoop, AnswersAtOnceAndLaterNameTheMember) {
    const auto late = job("late", limits(), 4s);
    const auto never = job("never", Limits(words.member(), requests.member(11)));
    loop.run();
    EXPECT_EQ(ran, (Runs{"late TB_TIMED_OUT by 1", "never TB_EXCEEDS_CAPACITY by 1"}));
    const auto pushed = job("pushed", limits(), 5s);
    const auto before = job("before", Limits(words.member(1)), kForever, 1);
    loop.run();
    EXPECT_EQ(ran.back(), "pushed TB_TIMED_OUT by 1");
    const auto closed = job("closed", limits());
    users.close();
    loop.run();
    EXPECT_EQ(ran.back(), "closed TB_CLOSED by 2");
    advance(10s);
    EXPECT_EQ(ran.size(), 5u);
    EXPECT_EQ(ran.back(), "before TB_SUCCESS by -1");
}

TEST_F(CppLimitsLoop, AMemberWithAnotherWakeFunctionIsUnsupported) {
    const auto ignore = [](std::uint64_t) {};
    Config other = config(10, 1);
    other.wake_by(ignore);
    const Bucket bucket(other);
    const auto call = job("other", Limits(requests.member(), bucket.member()));
    loop.run();
    EXPECT_EQ(ran, Runs{"other TB_E_UNSUPPORTED by -1"});
}

// Loops that are threads of their own end waits while others wake them.
TEST_F(CppLimitsLoop, WakesFromOtherThreadsMayComeWhenAWaitIsGone) {
    std::atomic<int> open{2};
    std::vector<std::thread> threads;
    for (int k = 0; k < 2; ++k)
        threads.emplace_back([&, k] {
            PostLoop own;
            for (int i = 0; i < 100; ++i) {
                bool told = false;
                auto call = limits().call_when_granted(own, [&](const ResultAll<> &answer) {
                    told = true;
                    EXPECT_TRUE(answer);
                });
                own.run();
                if (i % 2 == k) call.reset();
                for (; call != nullptr && !told; std::this_thread::yield()) own.run();
            }
            --open;
        });
    for (; open != 0; std::this_thread::yield()) {
        requests.refund(10).value();
        words.refund(100).value();
        users.refund("user", 5).value();
    }
    for (std::thread &thread : threads) thread.join();
    requests.refund(10).value();
    words.refund(100).value();
    users.refund("user", 5).value();
    expect_left(10, 100, 5);
}

// On the loop's own time: timers alone bring it on.
class CppLimitsTimer : public CppLimits {
  protected:
    CppLimitsTimer() {
        requests = Bucket(loop.config(10, 1));
        words = Bucket(loop.config(100, 10));
    }
    TimerLoop loop;
};

TEST_F(CppLimitsTimer, TimersGoFromOneMemberToTheNext) {
    std::vector<std::chrono::nanoseconds> told;
    const Limits both(requests.member(2), words.member(50));
    const auto done = [&](const ResultAll<> &answer) {
        EXPECT_TRUE(answer);
        told.push_back(loop.now());
    };
    const auto first = both.call_when_granted(loop, done);
    const auto second = both.call_when_granted(loop, done);
    EXPECT_EQ(loop.armed(), 2u);
    loop.run();
    EXPECT_EQ(told, (std::vector<std::chrono::nanoseconds>{5s, 10s}));
    EXPECT_EQ(loop.armed(), 0u);
}

// ---- By hand ----

class CppLimitsWaiter : public CppLimits {
  protected:
    CppLimitsWaiter() {
        Config c = config(10, 1);
        c.wake_by(wake);
        requests = Bucket(c);
    }

    std::vector<std::uint64_t> woken;
    std::function<void(std::uint64_t)> wake = [this](std::uint64_t tag) { woken.push_back(tag); };
};

TEST_F(CppLimitsWaiter, WaitsCollectsAndMoves) {
    WaiterAll waiter = limits().enqueue(7);
    EXPECT_EQ(waiter.status(), Status::pending);
    EXPECT_EQ(waiter.delay(), 2s);
    WaiterAll moved = std::move(waiter);
    EXPECT_EQ(waiter.check(), Status::invalid_argument);
    clock.advance(2s).value();
    EXPECT_EQ(woken, std::vector<std::uint64_t>{7});
    EXPECT_EQ(moved.check(), Status::pending);
    EXPECT_EQ(moved.delay(), 3s);
    clock.advance(3s).value();
    EXPECT_EQ(moved.check(), Status::success);
    EXPECT_EQ(moved.delay(), 0s);
    moved.leave();
    EXPECT_EQ(moved.check(), Status::success) << "it is over";
    expect_left(3, 0, 5);
}

TEST_F(CppLimitsWaiter, LeavesWithItsObject) {
    {
        const WaiterAll dropped = limits().enqueue(1);
        expect_left(-2, -50, 4);
    }
    expect_left(0, 0, 5);
    WaiterAll waiter = limits().enqueue(1);
    clock.advance(2s).value();
    EXPECT_EQ(waiter.check(), Status::pending);
    waiter.leave();
    EXPECT_EQ(waiter.status(), Status::interrupted);
    EXPECT_EQ(waiter.check(), Status::interrupted);
    expect_left(2, 20, 5);
}

TEST_F(CppLimitsWaiter, TellsWhoEndedIt) {
    expect_refusal(limits().enqueue(1, 4s), Status::timed_out, 1, 5s);
    WaiterAll waiter = limits().enqueue(1);
    words.set_capacity(40).value();
    EXPECT_EQ(waiter.check(), Status::exceeds_capacity);
    expect_refusal(waiter, Status::exceeds_capacity, 1, kForever);
    requests = Bucket(config(10, 1));
    EXPECT_EQ(waiter.check(), Status::exceeds_capacity) << "it is over, and needs its members no more";
    expect_left(0, 0, 5);
}

}  // namespace
