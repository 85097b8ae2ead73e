// A wait for several limits: it stands in the queue of each, and takes all or nothing.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

struct Leave {
    void operator()(tb_waiter_all *waiter) const { tb_waiter_all_leave(waiter); }
};
using WaiterAll = std::unique_ptr<tb_waiter_all, Leave>;

// Requests, 10 with 1 per second, and tokens, 100 with 10 per second, both empty at 0; and users, full, 5 with 1 per
// second.
class WaitAll : public testing::Test {
  protected:
    WaitAll() { members = {member(requests.get(), 2), member(tokens.get(), 50), user(1)}; }

    tb_config config(double capacity, double rate) {
        tb_config c = config_of(capacity, rate, clock.get());
        c.initial_tokens = 0;
        c.on_wake = [](void *self, uint64_t tag) { static_cast<WaitAll *>(self)->woken.push_back(tag); };
        c.wake_user = this;
        return c;
    }
    static tb_member member(tb_bucket *bucket, double n) { return {bucket, nullptr, nullptr, 0, n}; }
    tb_member user(double n) { return {nullptr, users.get(), "u", 1, n}; }

    WaiterAll enter(int64_t timeout_ns = TB_FOREVER, int32_t priority = 0) {
        tb_waiter_all *waiter = nullptr;
        status = tb_enqueue_all(members.data(), members.size(), timeout_ns, priority, 7, &waiter, &wait_ns, &refusal);
        return WaiterAll(waiter);
    }
    tb_status check(const WaiterAll &waiter) { return status = tb_waiter_all_check(waiter.get(), &wait_ns, &refusal); }
    void expect_pending(const WaiterAll &waiter, int64_t ns) {
        EXPECT_EQ(check(waiter), TB_PENDING);
        EXPECT_EQ(wait_ns, ns);
    }
    void expect_refusal(int member, int64_t retry_after_ns) {
        EXPECT_EQ(refusal.member, member);
        EXPECT_EQ(refusal.retry_after_ns, retry_after_ns);
    }
    void expect_left(double requests_left, double tokens_left, double user_left) {
        EXPECT_EQ(available(requests.get()), requests_left);
        EXPECT_EQ(available(tokens.get()), tokens_left);
        double left = 0;
        EXPECT_EQ(tb_table_available(users.get(), "u", 1, &left), TB_SUCCESS);
        EXPECT_EQ(left, user_left);
    }
    void advance(int64_t ns) { ASSERT_EQ(tb_manual_clock_advance(clock.get(), ns), TB_SUCCESS); }
    // A single waiter of the bucket.
    uint64_t enqueue(tb_bucket *bucket, double n, int64_t timeout_ns = TB_FOREVER) {
        uint64_t waiter = 0;
        EXPECT_EQ(tb_enqueue(bucket, n, timeout_ns, 0, 1, &waiter, &wait_ns), TB_PENDING);
        return waiter;
    }

    std::vector<uint64_t> woken;
    const ClockHandle clock = manual_clock();
    const BucketHandle requests = bucket_of(config(10, 1));
    const BucketHandle tokens = bucket_of(config(100, 10));
    const TableHandle users = table_of(config_of(5, 1, clock.get()), 100);
    std::vector<tb_member> members;
    tb_status status = TB_SUCCESS;
    int64_t wait_ns = -1;
    tb_refusal refusal{-1, 0, -1};
};

TEST_F(WaitAll, TakesAtOnceWhatIsThere) {
    advance(6 * kSecond);
    EXPECT_EQ(enter(), nullptr);
    EXPECT_EQ(status, TB_SUCCESS);
    EXPECT_EQ(wait_ns, 0);
    expect_left(4, 10, 4);
    EXPECT_EQ(tb_wait_all(members.data(), 1, 0, 0, nullptr), TB_SUCCESS);
    expect_left(2, 10, 4);
}

TEST_F(WaitAll, HoldsWhatIsDueUntilAllHaveGranted) {
    const WaiterAll waiter = enter();
    EXPECT_EQ(status, TB_PENDING);
    EXPECT_EQ(wait_ns, 2 * kSecond) << "the requests";
    expect_left(-2, -50, 4);
    advance(2 * kSecond);
    EXPECT_EQ(woken, std::vector<uint64_t>{7});
    expect_pending(waiter, 3 * kSecond);
    EXPECT_EQ(tb_allow(requests.get(), 1), TB_DENIED);
    advance(3 * kSecond - 1);
    expect_pending(waiter, 1);
    advance(1);
    EXPECT_EQ(check(waiter), TB_SUCCESS);
    EXPECT_EQ(wait_ns, 0);
    EXPECT_EQ(check(waiter), TB_SUCCESS) << "the answer stays";
    expect_left(3, 0, 5);
}

TEST_F(WaitAll, AllComesBackFromAWaitThatIsGivenUp) {
    for (int held = 0; held < 2; ++held) {
        WaiterAll waiter = enter();
        if (held == 1) advance(2 * kSecond);
        expect_pending(waiter, held == 1 ? 3 * kSecond : 2 * kSecond);
        waiter.reset();
        expect_left(held * 2, held * 20, 5);
    }
}

// The bucket is in use meanwhile.
TEST_F(WaitAll, WhatWasHeldForLongComesBack) {
    ASSERT_EQ(tb_charge(tokens.get(), 1000, nullptr), TB_SUCCESS);
    WaiterAll waiter = enter();
    advance(2 * kSecond);
    expect_pending(waiter, 103 * kSecond);
    for (int i = 0; i < 25; ++i) {
        advance(4 * kSecond);
        EXPECT_EQ(tb_allow(requests.get(), 4), TB_SUCCESS);
    }
    waiter.reset();
    expect_left(2, 20, 5);
}

TEST_F(WaitAll, NoMoreComesBackThanThereIsRoomFor) {
    ASSERT_EQ(tb_charge(tokens.get(), 1000, nullptr), TB_SUCCESS);
    WaiterAll waiter = enter();
    advance(2 * kSecond);
    expect_pending(waiter, 103 * kSecond);
    advance(9 * kSecond);
    waiter.reset();
    expect_left(10, -890, 5);
}

TEST_F(WaitAll, RefusesAtOnceAndNamesTheMemberThatTakesLongest) {
    EXPECT_EQ(enter(4 * kSecond), nullptr);
    EXPECT_EQ(status, TB_TIMED_OUT);
    expect_refusal(1, 5 * kSecond);
    members[0].n = 9;
    EXPECT_EQ(tb_wait_all(members.data(), members.size(), 0, 0, &refusal), TB_TIMED_OUT);
    expect_refusal(0, 9 * kSecond);
    members[0].n = 11;
    EXPECT_EQ(enter(), nullptr);
    EXPECT_EQ(status, TB_EXCEEDS_CAPACITY);
    expect_refusal(0, TB_FOREVER);
    expect_left(0, 0, 5);
    EXPECT_EQ(woken.size(), 0u);
}

// It would go before the other, which would then be too late.
TEST_F(WaitAll, OneThatIsRefusedDisturbsNobody) {
    const uint64_t other = enqueue(requests.get(), 1, kSecond);
    EXPECT_EQ(enter(4 * kSecond, 1), nullptr);
    EXPECT_EQ(status, TB_TIMED_OUT);
    advance(kSecond);
    EXPECT_EQ(tb_waiter_check(requests.get(), other, &wait_ns), TB_SUCCESS);
}

TEST_F(WaitAll, StandsInOrderAndThoseBehindMoveUp) {
    const uint64_t before = enqueue(tokens.get(), 10);
    WaiterAll waiter = enter();
    const uint64_t behind = enqueue(tokens.get(), 20);
    EXPECT_EQ(wait_ns, 8 * kSecond);
    expect_pending(waiter, 2 * kSecond);
    advance(2 * kSecond);
    EXPECT_EQ(tb_waiter_check(tokens.get(), before, &wait_ns), TB_SUCCESS);
    expect_pending(waiter, 4 * kSecond);
    waiter.reset();
    EXPECT_EQ(tb_waiter_check(tokens.get(), behind, &wait_ns), TB_PENDING);
    EXPECT_EQ(wait_ns, kSecond);
}

TEST_F(WaitAll, GoesBeforeThoseOfALowerPriority) {
    const uint64_t other = enqueue(tokens.get(), 10);
    const WaiterAll waiter = enter(TB_FOREVER, 1);
    EXPECT_EQ(tb_waiter_check(tokens.get(), other, &wait_ns), TB_PENDING);
    EXPECT_EQ(wait_ns, 6 * kSecond);
}

TEST_F(WaitAll, EndsWithTheMemberThatRefusesLater) {
    const WaiterAll waiter = enter();
    advance(2 * kSecond);
    expect_pending(waiter, 3 * kSecond);
    EXPECT_EQ(tb_set_capacity(tokens.get(), 40), TB_SUCCESS);
    EXPECT_EQ(check(waiter), TB_EXCEEDS_CAPACITY);
    expect_refusal(1, TB_FOREVER);
    refusal.member = -1;
    EXPECT_EQ(check(waiter), TB_EXCEEDS_CAPACITY) << "the answer stays";
    expect_refusal(1, TB_FOREVER);
    expect_left(2, 20, 5);
}

TEST_F(WaitAll, EndsWhenALaterLimitIsTooSlow) {
    const WaiterAll waiter = enter(6 * kSecond);
    advance(2 * kSecond);
    expect_pending(waiter, 3 * kSecond);
    EXPECT_EQ(tb_set_rate(tokens.get(), 5), TB_SUCCESS);
    EXPECT_EQ(check(waiter), TB_TIMED_OUT);
    expect_refusal(1, 6 * kSecond);
    expect_left(2, 20, 5);
}

TEST_F(WaitAll, NamesTheOneThatTakesLongestOfThoseThatOneChangeMakesTooSlow) {
    EXPECT_EQ(tb_table_charge(users.get(), "u", 1, 5, nullptr), TB_SUCCESS);
    EXPECT_EQ(tb_table_charge(users.get(), "v", 1, 5, nullptr), TB_SUCCESS);
    members = {user(2), {nullptr, users.get(), "v", 1, 3}};
    const WaiterAll waiter = enter(4 * kSecond);
    EXPECT_EQ(tb_table_set_rate(users.get(), 0.1), TB_SUCCESS);
    EXPECT_EQ(check(waiter), TB_TIMED_OUT);
    expect_refusal(1, 30 * kSecond);
}

// Also the bucket whose tokens it holds already.
TEST_F(WaitAll, IsClosedWithAnyOfItsMembers) {
    for (const bool holder : {false, true}) {
        const BucketHandle closed = bucket_of(config(10, holder ? 10 : 0.1));
        const std::vector<tb_member> all = std::exchange(members, {member(closed.get(), 1), members[1], members[2]});
        const WaiterAll waiter = enter();
        advance(kSecond / 10);
        EXPECT_EQ(check(waiter), TB_PENDING);
        woken.clear();
        EXPECT_EQ(tb_close(closed.get()), TB_SUCCESS);
        EXPECT_EQ(woken, std::vector<uint64_t>{7});
        EXPECT_EQ(check(waiter), TB_CLOSED);
        expect_refusal(0, TB_FOREVER);
        members = all;
    }
    expect_left(0.2, 2, 5);
}

TEST_F(WaitAll, AResetDoesNotTakeBackWhatIsHeld) {
    WaiterAll waiter = enter();
    advance(2 * kSecond);
    expect_pending(waiter, 3 * kSecond);
    EXPECT_EQ(tb_reset(requests.get(), 4), TB_SUCCESS);
    EXPECT_EQ(tb_table_remove(users.get(), "u", 1), TB_SUCCESS);
    expect_left(4, -30, 5);
    expect_pending(waiter, 3 * kSecond);
    WaiterAll second = enter();
    waiter.reset();
    expect_left(2, -30, 4);  // what the first one held does not come back
    advance(3 * kSecond);
    EXPECT_EQ(check(second), TB_SUCCESS);
}

TEST_F(WaitAll, IsCountedAmongTheWaitersOfEach) {
    tb_config c = config(10, 1);
    c.max_waiters = 1;
    const BucketHandle narrow = bucket_of(c);
    members = {members[1], member(narrow.get(), 1)};
    const WaiterAll first = enter();
    EXPECT_EQ(status, TB_PENDING);
    EXPECT_EQ(enter(), nullptr);
    EXPECT_EQ(status, TB_QUEUE_FULL);
    expect_refusal(1, TB_FOREVER);
    EXPECT_EQ(available(tokens.get()), -50);
}

// Waiters that are late are planned anew, but not who waits for another limit.
TEST_F(WaitAll, IsNotLateWhileItHoldsTokens) {
    tb_config c = config(10, 1);
    c.max_lateness_ns = kSecond;
    const BucketHandle strict = bucket_of(c);
    members = {member(strict.get(), 2), members[1]};
    const WaiterAll waiter = enter();
    advance(2 * kSecond);
    expect_pending(waiter, 3 * kSecond);
    const uint64_t behind = enqueue(strict.get(), 3);
    advance(3 * kSecond);
    EXPECT_EQ(tb_waiter_check(strict.get(), behind, &wait_ns), TB_SUCCESS);
    EXPECT_EQ(check(waiter), TB_SUCCESS);
    EXPECT_EQ(available(strict.get()), 0);
}

// ---- Tables that are full: four places, of keys in debt or not ----

class WaitAllFullTable : public WaitAll {
  protected:
    void fill(int32_t when_full, double spent) {
        tb_table_config c;
        EXPECT_EQ(tb_table_config_init(&c, sizeof c), TB_SUCCESS);
        c.max_bytes = 64;
        c.when_full = when_full;
        const tb_config limit = config_of(10, 1, clock.get());
        tb_table *made = nullptr;
        EXPECT_EQ(tb_table_create_with(&limit, &c, &made), TB_SUCCESS);
        table.reset(made);
        for (const char *key : {"a", "b", "c", "d"})
            EXPECT_EQ(tb_table_charge(table.get(), key, 1, spent, nullptr), TB_SUCCESS);
        members = {members[0], {nullptr, table.get(), "new", 3, 1}};
    }
    int64_t evicted() {
        tb_table_stats stats{};
        stats.struct_size = sizeof stats;
        EXPECT_EQ(tb_table_get_stats(table.get(), &stats), TB_SUCCESS);
        return stats.evicted;
    }
    TableHandle table;
};

TEST_F(WaitAllFullTable, OneThatIsRefusedForgetsNoKey) {
    fill(TB_TABLE_EVICT_FULLEST, 5);
    EXPECT_EQ(tb_wait_all(members.data(), members.size(), kSecond, 0, &refusal), TB_TIMED_OUT);
    expect_refusal(0, 2 * kSecond);
    tb_reservation gone{1, 0, 0, 0};
    EXPECT_EQ(tb_table_settle(table.get(), "gone", 4, &gone, 0), TB_SUCCESS);
    EXPECT_EQ(evicted(), 0);
    WaiterAll waiter = enter();
    EXPECT_EQ(evicted(), 1);
    waiter.reset();
}

TEST_F(WaitAllFullTable, AKeyIsAdmittedOrDeniedAsTheTableSays) {
    fill(TB_TABLE_ADMIT, 5);
    WaiterAll waiter = enter();
    EXPECT_EQ(status, TB_PENDING);
    advance(2 * kSecond);
    EXPECT_EQ(check(waiter), TB_SUCCESS);
    waiter.reset();
    fill(TB_TABLE_DENY, 5);
    EXPECT_EQ(enter(), nullptr);
    EXPECT_EQ(status, TB_TABLE_FULL);
    expect_refusal(1, TB_FOREVER);
    EXPECT_EQ(available(requests.get()), 0);
}

// Their queues keep places only until somebody asks for one.
TEST_F(WaitAllFullTable, KeysWhoseReservationsAreDueMakeRoom) {
    fill(TB_TABLE_DENY, 10);
    for (const char *key : {"a", "b", "c", "d"}) {
        tb_reservation r{};
        EXPECT_EQ(tb_table_reserve(table.get(), key, 1, 1, TB_FOREVER, &r), TB_SUCCESS);
        EXPECT_EQ(r.wait_ns, kSecond);
    }
    EXPECT_EQ(tb_table_wait_for(table.get(), "new", 3, 1, kSecond), TB_TABLE_FULL);
    advance(100 * kSecond);
    EXPECT_EQ(tb_table_wait_for(table.get(), "new", 3, 1, kSecond), TB_SUCCESS);
    EXPECT_EQ(tb_table_allow(table.get(), "other", 5, 1), TB_SUCCESS);
}

TEST_F(WaitAll, BadArgumentsAreRefused) {
    tb_waiter_all *waiter = nullptr;
    const tb_member bad[] = {members[0], members[0]};
    EXPECT_EQ(tb_wait_all(bad, 2, 0, 0, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_wait_all(members.data(), 0, 0, 0, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_wait_all(members.data(), 1, -1, 0, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_enqueue_all(bad, 2, 0, 0, 0, &waiter, &wait_ns, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_enqueue_all(bad, 1, -1, 0, 0, &waiter, &wait_ns, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_enqueue_all(bad, 1, 1, 0, 0, nullptr, &wait_ns, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_enqueue_all(bad, 1, 1, 0, 0, &waiter, nullptr, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_waiter_all_check(nullptr, &wait_ns, &refusal), TB_E_INVALID_ARGUMENT);
    members[1].n = -1;
    EXPECT_EQ(tb_wait_all(members.data(), 2, 0, 0, &refusal), TB_E_INVALID_ARGUMENT);
    const BucketHandle closed = bucket_of(config(1, 1));
    EXPECT_EQ(tb_close(closed.get()), TB_SUCCESS);
    const tb_member no_amount = member(closed.get(), NAN);
    tb_reservation none{};
    EXPECT_EQ(tb_reserve_all(&no_amount, 1, 0, &none, &wait_ns, &refusal), TB_E_INVALID_ARGUMENT);
    tb_waiter_all_leave(nullptr);
    const WaiterAll valid = [&] {
        members[1].n = 1;
        return enter();
    }();
    EXPECT_EQ(tb_waiter_all_check(valid.get(), nullptr, &refusal), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(refusal.member, -1);
}

TEST_F(WaitAll, CountsForEachMember) {
    tb_config c = config(10, 1);
    c.flags = TB_STATISTICS;
    const BucketHandle counted = bucket_of(c);
    const BucketHandle other = bucket_of(c);
    members = {member(counted.get(), 1), member(other.get(), 2)};
    const auto stats_of = [](const BucketHandle &bucket) {
        tb_stats stats{};
        stats.struct_size = sizeof stats;
        EXPECT_EQ(tb_get_stats(bucket.get(), &stats), TB_SUCCESS);
        return stats;
    };
    const WaiterAll granted = enter();
    advance(2 * kSecond);
    EXPECT_EQ(check(granted), TB_SUCCESS);
    WaiterAll left = enter();
    advance(kSecond);
    EXPECT_EQ(check(left), TB_PENDING);
    left.reset();
    EXPECT_EQ(enter(0), nullptr);
    EXPECT_EQ(stats_of(counted).granted, 1);
    EXPECT_EQ(stats_of(counted).cancelled, 0) << "it held its token";
    EXPECT_EQ(stats_of(counted).timed_out, 0);
    EXPECT_EQ(stats_of(other).granted, 1);
    EXPECT_EQ(stats_of(other).cancelled, 1);
    EXPECT_EQ(stats_of(other).timed_out, 1);
}

// It calls on_event, which may check it, too.
TEST_F(WaitAll, MayBeCheckedInAnEventOfItsOwnCheck) {
    struct Checker {
        tb_waiter_all *waiter = nullptr;
        tb_status status = TB_SUCCESS;
        int64_t wait_ns = -1;
    } checker;
    tb_config c = config(10, 1);
    c.on_event = [](void *user, const tb_event *) {
        Checker *const self = static_cast<Checker *>(user);
        self->status = tb_waiter_all_check(self->waiter, &self->wait_ns, nullptr);
    };
    c.event_user = &checker;
    const BucketHandle told = bucket_of(c);
    members = {member(told.get(), 1)};
    const WaiterAll waiter = enter();
    checker.waiter = waiter.get();
    advance(kSecond);
    EXPECT_EQ(check(waiter), TB_SUCCESS);
    EXPECT_EQ(checker.status, TB_PENDING);
    EXPECT_EQ(checker.wait_ns, 0);
}

// In the child nothing of it is left to be collected, and leaving it gives nothing back.
TEST_F(WaitAll, BelongsToTheParentAfterAFork) {
    const WaiterAll waiter = enter();
    advance(2 * kSecond);
    expect_pending(waiter, 3 * kSecond);
    const pid_t child = fork();
    if (child == 0) {
        const bool gone = tb_waiter_all_check(waiter.get(), &wait_ns, nullptr) == TB_INTERRUPTED;
        tb_waiter_all_leave(waiter.get());
        double left = 1;
        tb_available(requests.get(), &left);
        _exit(gone && left == 0 ? 0 : 1);
    }
    int result = -1;
    ASSERT_EQ(waitpid(child, &result, 0), child);
    EXPECT_EQ(result, 0);
    advance(3 * kSecond);
    EXPECT_EQ(check(waiter), TB_SUCCESS);
}

// ---- Threads ----

class WaitAllThread : public WaitAll {
  protected:
    // The one that does not wait first: then a thread is in all queues when those that wait are counted.
    WaitAllThread() { members = {user(1), member(requests.get(), 2), member(tokens.get(), 50)}; }

    void start(int64_t timeout_ns = TB_FOREVER) {
        std::promise<tb_status> promise;
        result = promise.get_future();
        thread = std::thread([this, timeout_ns, promise = std::move(promise)]() mutable {
            promise.set_value(tb_wait_all(members.data(), members.size(), timeout_ns, 0, &refusal));
        });
    }
    void wait_until_waiting(int64_t count) {
        while (waiting(clock.get()) != count) std::this_thread::yield();
    }
    tb_status join() {
        thread.join();
        return result.get();
    }

    std::thread thread;
    std::future<tb_status> result;
};

TEST_F(WaitAllThread, SleepsUntilAllHaveGranted) {
    start();
    wait_until_waiting(2);
    EXPECT_EQ(next_due(clock.get()), 2 * kSecond);
    advance(2 * kSecond);
    wait_until_waiting(1);
    EXPECT_EQ(next_due(clock.get()), 5 * kSecond);
    expect_left(0, -30, 5);
    advance(3 * kSecond);
    EXPECT_EQ(join(), TB_SUCCESS);
    expect_left(3, 0, 5);
}

TEST_F(WaitAllThread, ALowerLimitEndsIt) {
    start(5 * kSecond);
    wait_until_waiting(2);
    EXPECT_EQ(tb_charge(tokens.get(), 1, nullptr), TB_SUCCESS);
    EXPECT_EQ(join(), TB_TIMED_OUT);
    expect_refusal(2, 5 * kSecond + kSecond / 10);
    expect_left(0, -1, 5);
}

TEST_F(WaitAllThread, ASignalEndsItAndAllComesBack) {
    TB_TEST_NEEDS_FEATURE("interruptible_wait");
    const QuietHandler handler(SIGUSR1);
    start();
    wait_until_waiting(2);
    advance(2 * kSecond);
    wait_until_waiting(1);
    while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        pthread_kill(thread.native_handle(), SIGUSR1);
        std::this_thread::yield();
    }
    EXPECT_EQ(join(), TB_INTERRUPTED);
    expect_left(2, 20, 5);
}

// Its tokens of the one are held, and it waits for the other.
TEST_F(WaitAllThread, LeavesABucketThatIsDestroyed) {
    for (const bool of_table : {false, true}) {
        BucketHandle bucket = bucket_of(config(1, 1000));
        tb_config c = config_of(1, 1000, clock.get());
        TableHandle table = table_of(c, 1);
        EXPECT_EQ(tb_table_charge(table.get(), nullptr, 0, 1, nullptr), TB_SUCCESS);
        tb_member held = member(bucket.get(), 1);
        if (of_table) held = {nullptr, table.get(), nullptr, 0, 1};
        members = {held, member(requests.get(), 5)};
        start();
        wait_until_waiting(2);
        advance(kMillisecond);
        wait_until_waiting(1);
        if (of_table) table.reset();
        bucket.reset();
        if (!of_table) table.reset();
        EXPECT_EQ(join(), TB_CLOSED);
        EXPECT_EQ(refusal.member, 0);
    }
}

TEST_F(WaitAllThread, MembersMayHaveClocksOfTheirOwn) {
    const ClockHandle other = manual_clock();
    const BucketHandle slow = bucket_of([&] {
        tb_config c = config_of(1, 1, other.get());
        c.initial_tokens = 0;
        return c;
    }());
    const BucketHandle real = bucket_of([] {
        tb_config c = config_of(1, 1000, nullptr);
        c.initial_tokens = 0;
        return c;
    }());
    members = {members[1], member(slow.get(), 1), member(real.get(), 1)};
    start();
    wait_until_waiting(1);
    while (waiting(other.get()) != 1) std::this_thread::yield();
    ASSERT_EQ(tb_manual_clock_advance(other.get(), kSecond), TB_SUCCESS);
    advance(2 * kSecond);
    EXPECT_EQ(join(), TB_SUCCESS);
}

}  // namespace
