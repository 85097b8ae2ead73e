// The queues of the keys of a table that processes share: each key's is that of a bucket, whoever waits in it.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/shared_table.h"

namespace {

using namespace tb_test;

class SharedQueues : public SharedTable {
  protected:
    // Nothing is left of it.
    static void empty(const TableHandle &table, std::string_view key) { EXPECT_EQ(allow(table, key, 10), TB_SUCCESS); }
    static void wait_until_below(const TableHandle &table, std::string_view key, double tokens) {
        while (available(table, key) > tokens) ::usleep(1000);
    }
    static uint64_t enqueue(const TableHandle &table, std::string_view key, double n) {
        uint64_t waiter = 0;
        int64_t wait_ns = 0;
        EXPECT_EQ(ask(tb_table_enqueue, table, key, n, TB_FOREVER, int32_t{0}, uint64_t{0}, &waiter, &wait_ns),
                  TB_PENDING);
        return waiter;
    }
    static tb_status check(const TableHandle &table, std::string_view key, uint64_t waiter) {
        int64_t wait_ns = 0;
        return ask(tb_table_waiter_check, table, key, waiter, &wait_ns);
    }
    static tb_status reserve(const TableHandle &table, std::string_view key, double n, tb_reservation *r) {
        return ask(tb_table_reserve, table, key, n, TB_FOREVER, r);
    }
    static tb_status wait(const TableHandle &table, std::string_view key, double n) {
        return ask(tb_table_wait_for, table, key, n, TB_FOREVER);
    }
};

TEST_F(SharedQueues, AReservationCanBeCancelledOrSettledInAnotherProcess) {
    const TableHandle table = open_nameless();
    empty(table, "alice");
    tb_reservation first;
    tb_reservation second;
    ASSERT_EQ(reserve(table, "alice", 3, &first), TB_SUCCESS);
    ASSERT_EQ(reserve(table, "alice", 4, &second), TB_SUCCESS);
    EXPECT_NEAR(available(table, "alice"), -7, 1e-3);
    EXPECT_EQ(result_of(in_child([&] { return ask(tb_table_cancel, table, "alice", &first); })), TB_SUCCESS);
    EXPECT_NEAR(available(table, "alice"), -4, 1e-3);
    EXPECT_EQ(result_of(in_child([&] { return ask(tb_table_settle, table, "alice", &second, 1.0); })), TB_SUCCESS);
    EXPECT_NEAR(available(table, "alice"), -1, 1e-3);
    EXPECT_NEAR(available(table, "bob"), 10, 1e-3);
}

TEST_F(SharedQueues, WaitersOfAllProcessesStandInOneQueue) {
    const TableHandle table = open_nameless();
    empty(table, "alice");
    expect_served_in_order([&] { return wait(table, "alice", 2); }, [&] { return available(table, "alice"); },
                           [&] { return ask(tb_table_refund, table, "alice", 2.0); });
}

TEST_F(SharedQueues, CloseEndsTheWaitsOfAllProcesses) {
    const TableHandle table = open_nameless();
    std::vector<pid_t> children;
    for (const char *const key : {"alice", "bob"}) {
        empty(table, key);
        children.push_back(in_child([&] { return wait(table, key, 5); }));
        wait_until_below(table, key, -4);
    }
    EXPECT_EQ(tb_table_close(table.get()), TB_SUCCESS);
    for (const pid_t child : children) EXPECT_EQ(result_of(child), TB_CLOSED);
}

TEST_F(SharedQueues, AHigherRateOrARemovedKeyServesTheWaitersOfAllProcesses) {
    const TableHandle table = open_nameless();
    const auto serves = [&](auto change) {
        empty(table, "alice");
        const pid_t child = in_child([&] { return wait(table, "alice", 5); });
        wait_until_below(table, "alice", -4);
        EXPECT_EQ(change(), TB_SUCCESS);
        EXPECT_EQ(result_of(child), TB_SUCCESS);
    };
    serves([&] { return ask(tb_table_remove, table, "alice"); });
    EXPECT_NEAR(available(table, "alice"), 5, 1e-3);
    EXPECT_EQ(ask(tb_table_remove, table, "alice"), TB_SUCCESS);
    serves([&] { return tb_table_set_rate(table.get(), 1000); });
}

TEST_F(SharedQueues, DestroyEndsTheWaitsOfItsProcessAlone) {
    const TableHandle other = open();
    TableHandle own = open();
    empty(own, "alice");
    enqueue(own, "alice", 3);
    const pid_t child = in_child([&] { return wait(other, "alice", 2); });
    wait_until_below(other, "alice", -4);
    tb_status ended = TB_SUCCESS;
    tb_table *const handle = own.get();
    std::thread thread([&] { ended = tb_table_wait_for(handle, "alice", 5, 4, TB_FOREVER); });
    wait_until_below(other, "alice", -8);
    own.reset();
    thread.join();
    EXPECT_EQ(ended, TB_CLOSED);
    EXPECT_NEAR(available(other, "alice"), -2, 1e-3);  // the other two gave their tokens back
    EXPECT_EQ(ask(tb_table_refund, other, "alice", 2.0), TB_SUCCESS);
    EXPECT_EQ(result_of(child), TB_SUCCESS);
}

// A waiter that is no thread loses nothing to those of other handles, whose calls move it.
TEST_F(SharedQueues, WaitersWithoutThreads) {
    const TableHandle a = open();
    const TableHandle b = open();
    empty(a, "alice");
    const uint64_t first = enqueue(a, "alice", 3);
    const uint64_t second = enqueue(b, "alice", 3);
    EXPECT_EQ(ask(tb_table_waiter_leave, a, "alice", second), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(ask(tb_table_refund, b, "alice", 3.0), TB_SUCCESS);
    EXPECT_EQ(check(a, "alice", first), TB_SUCCESS);
    EXPECT_EQ(check(b, "alice", second), TB_PENDING);
    EXPECT_EQ(ask(tb_table_waiter_leave, b, "alice", second), TB_SUCCESS);
    EXPECT_NEAR(available(a, "alice"), 0, 1e-3);
}

TEST_F(SharedQueues, PlacesInAQueueAreBounded) {
    const TableHandle table = open_nameless();
    tb_reservation r;
    empty(table, "alice");
    for (int i = 0; i < 128; ++i) ASSERT_EQ(reserve(table, "alice", 1, &r), TB_SUCCESS) << i;
    tb_reservation none;
    EXPECT_EQ(reserve(table, "alice", 1, &none), TB_E_OUT_OF_MEMORY);
    EXPECT_EQ(wait(table, "alice", 1), TB_E_OUT_OF_MEMORY);
    EXPECT_EQ(ask(tb_table_cancel, table, "alice", &r), TB_SUCCESS);
    EXPECT_EQ(reserve(table, "alice", 1, &r), TB_SUCCESS);
    EXPECT_NEAR(available(table, "alice"), -128, 1e-3);
}

// A table of a few keys has room for the queues of 16.
TEST_F(SharedQueues, KeysWithAQueueAreBounded) {
    const TableHandle table = open(slow, of_keys(20, TB_TABLE_DENY));
    tb_reservation r;
    for (int i = 0; i < 17; ++i) empty(table, std::to_string(i));
    for (int i = 0; i < 16; ++i) ASSERT_EQ(reserve(table, std::to_string(i), 1, &r), TB_SUCCESS) << i;
    tb_reservation none;
    EXPECT_EQ(reserve(table, "16", 1, &none), TB_E_OUT_OF_MEMORY);
    EXPECT_EQ(wait(table, "16", 1), TB_E_OUT_OF_MEMORY);
    EXPECT_NEAR(available(table, "16"), 0, 1e-3);
    EXPECT_EQ(ask(tb_table_cancel, table, "15", &r), TB_SUCCESS);
    EXPECT_EQ(reserve(table, "16", 1, &r), TB_SUCCESS);
}

// Nothing is due, so nobody but the system knows that they are gone.
TEST_F(SharedQueues, TheQueuesOfTheKilledAreFree) {
    const TableHandle table = open(slow, of_keys(100, TB_TABLE_DENY));
    for (int i = 0; i < 40; ++i) {
        const std::string key = std::to_string(i);
        empty(table, key);
        const pid_t child = in_child([&] {
            enqueue(table, key, 1);
            return ::raise(SIGKILL);
        });
        EXPECT_EQ(result_of(child), -SIGKILL);
    }
    empty(table, "alice");
    const uint64_t waiter = enqueue(table, "alice", 1);
    EXPECT_EQ(check(table, "alice", waiter), TB_PENDING);
    for (int i = 0; i < 40; ++i) {
        tb_reservation r;
        EXPECT_EQ(reserve(table, std::to_string(i), 1, &r), TB_SUCCESS);  // at once behind what was taken
        EXPECT_NEAR(available(table, std::to_string(i)), -1, 1e-3);
        EXPECT_EQ(ask(tb_table_cancel, table, std::to_string(i), &r), TB_SUCCESS);
    }
}

// The child of a fork has its parent's table, but not its waiters, and destroys nothing of them.
TEST_F(SharedQueues, WaitersAreTheParents) {
    const TableHandle table = open_nameless();
    empty(table, "alice");
    const uint64_t waiter = enqueue(table, "alice", 3);
    EXPECT_EQ(result_of(in_child([&] {
                  if (check(table, "alice", waiter) != TB_E_INVALID_ARGUMENT) return 1;
                  const uint64_t own = enqueue(table, "alice", 1);
                  if (ask(tb_table_waiter_leave, table, "alice", own) != TB_SUCCESS) return 2;
                  tb_table_destroy(table.get());
                  return 0;
              })),
              0);
    EXPECT_NEAR(available(table, "alice"), -3, 1e-3);
    EXPECT_EQ(ask(tb_table_refund, table, "alice", 3.0), TB_SUCCESS);
    EXPECT_EQ(check(table, "alice", waiter), TB_SUCCESS);
}

// A process that changes the limit of a table, or closes it, is killed before it has told all. Those who then have to
// wait, for any key, tell the waiters, also where on_wake is called for these.
class KilledChanges : public SharedQueues {
  protected:
    static constexpr double kFast = 1000;

    // change() in a process that is killed when seen() says that it is in force; then call() some times.
    template <class Change, class Seen, class Call>
    void expect_told(tb_wake_fn on_wake, tb_status expected, Change change, Seen seen, Call call) const {
        constexpr int kOthers = 60;  // that are told before
        tb_config limit = slow;
        limit.on_wake = on_wake;
        for (int i = 0; i < 10 && !HasFailure(); ++i) {
            const TableHandle table = open(limit, keys);
            EXPECT_EQ(tb_shared_remove(name().c_str(), nullptr), TB_SUCCESS);
            for (int other = 0; other < kOthers; ++other) {
                empty(table, std::to_string(other));
                enqueue(table, std::to_string(other), 1);
            }
            empty(table, "alice");
            empty(table, "bob");
            std::atomic<tb_status> ended{TB_PENDING};
            std::thread thread([&] { ended = wait(table, "alice", 2); });
            wait_until_below(table, "alice", -1);
            const pid_t child = in_child([&] {
                change(table);
                ::pause();
                return 0;
            });
            while (!seen(table)) {
            }
            ::kill(child, SIGKILL);
            EXPECT_EQ(result_of(child), -SIGKILL);
            for (int n = 0; n < 100; ++n) call(table);
            for (int ms = 0; ended == TB_PENDING && ms < 5000; ++ms) ::usleep(1000);
            EXPECT_EQ(ended, expected);
            tb_table_close(table.get());
            thread.join();
        }
    }
    void expect_rate_told(tb_wake_fn on_wake) const {
        const auto is_fast = [](const TableHandle &table) {
            tb_config limit = config_of(1, 1, nullptr);
            return tb_table_get_limit(table.get(), &limit) == TB_SUCCESS && limit.rate_tokens == kFast;
        };
        expect_told(
            on_wake, TB_SUCCESS, [](const TableHandle &table) { return tb_table_set_rate(table.get(), kFast); },
            is_fast,
            [](const TableHandle &table) {
                tb_reservation r;
                EXPECT_EQ(reserve(table, "bob", 10, &r), TB_SUCCESS);
                ask(tb_table_cancel, table, "bob", &r);
            });
    }
};

TEST_F(KilledChanges, OfTheRate) {
    expect_rate_told(nullptr);
}

TEST_F(KilledChanges, OfTheRateWithOnWake) {
    expect_rate_told([](void *, uint64_t) {});
}

TEST_F(KilledChanges, Close) {
    expect_told(
        nullptr, TB_CLOSED, [](const TableHandle &table) { return tb_table_close(table.get()); },
        [](const TableHandle &table) { return allow(table, "eve", 1) == TB_CLOSED; },
        [](const TableHandle &table) { EXPECT_EQ(wait(table, "bob", 1), TB_CLOSED); });
}

// The process is killed about the time when its refund begins to count. If it counts the waiter has been told.
TEST_F(SharedQueues, AKilledRefundReachesTheWaiter) {
    constexpr int kRounds = 400;
    int counted = 0;
    int spins = 0;
    for (int i = 0; i < kRounds && !HasFailure(); ++i) {
        const TableHandle table = open_nameless();
        empty(table, "alice");
        std::atomic<tb_status> ended{TB_PENDING};
        std::thread thread([&] { ended = wait(table, "alice", 2); });
        wait_until_below(table, "alice", -1);
        int pipe[2];
        ASSERT_EQ(::pipe(pipe), 0);
        const pid_t child = in_child([&] {
            if (::write(pipe[1], "x", 1) != 1) return 1;
            ask(tb_table_refund, table, "alice", 2.0);
            ::pause();
            return 0;
        });
        char x = 0;
        EXPECT_EQ(::read(pipe[0], &x, 1), 1);
        for (int spin = 0; spin < spins; ++spin) available(table, "x");
        ::kill(child, SIGKILL);
        EXPECT_EQ(result_of(child), -SIGKILL);
        const bool counts = available(table, "alice") > -1;
        spins = std::max(0, spins + (counts ? -1 - i % 16 : 1 + i % 16));
        if (counts) {
            ++counted;
            for (int ms = 0; ended == TB_PENDING && ms < 2000; ++ms) ::usleep(1000);
            EXPECT_EQ(ended, TB_SUCCESS);
        }
        tb_table_close(table.get());
        thread.join();
        ::close(pipe[0]);
        ::close(pipe[1]);
    }
    std::printf("%d of %d refunds counted\n", counted, kRounds);
}

// The child that on_wake forks goes on when the slot and the room are those of other keys.
TEST_F(SharedQueues, AChildThatOnWakeForksTouchesNothing) {
    static int go[2];
    static pid_t child = 0;
    tb_config limit = slow;
    limit.on_wake = [](void *, uint64_t) {
        child = ::fork();
        char x = 0;
        if (child == 0 && ::read(go[0], &x, 1) != 1) ::_exit(1);
    };
    ASSERT_EQ(::pipe(go), 0);
    tb_table_config few = table_config(TB_TABLE_DENY);
    few.max_bytes = 64;
    const TableHandle table = open(limit, few);
    empty(table, "alice");
    const uint64_t waiter = enqueue(table, "alice", 3);
    ask(tb_table_refund, table, "alice", 3.0);
    if (child == 0) ::_exit(0);
    EXPECT_EQ(check(table, "alice", waiter), TB_SUCCESS);
    EXPECT_EQ(ask(tb_table_remove, table, "alice"), TB_SUCCESS);
    tb_reservation reserved[4];
    for (int key = 0; key < 4; ++key) empty(table, std::to_string(key));
    for (int key = 3; key >= 0; --key)
        EXPECT_EQ(reserve(table, std::to_string(key), 2 + 2 * key, &reserved[key]), TB_SUCCESS);
    EXPECT_EQ(::write(go[1], "x", 1), 1);
    EXPECT_EQ(result_of(child), 0);
    for (int key = 0; key < 4; ++key) {
        EXPECT_NEAR(available(table, std::to_string(key)), -2 - 2 * key, 1e-3);
        EXPECT_EQ(ask(tb_table_cancel, table, std::to_string(key), &reserved[key]), TB_SUCCESS);
        EXPECT_NEAR(available(table, std::to_string(key)), 0, 1e-3);
    }
    ::close(go[0]);
    ::close(go[1]);
}

TEST_F(SharedQueues, MaxWaitersCountsThoseOfAllProcesses) {
    tb_config limit = slow;
    limit.max_waiters = 2;
    const TableHandle a = open(limit, keys);
    const TableHandle b = open(limit, keys);
    empty(a, "alice");
    const uint64_t first = enqueue(a, "alice", 1);
    enqueue(b, "alice", 1);
    EXPECT_EQ(wait(a, "alice", 1), TB_QUEUE_FULL);
    EXPECT_EQ(wait(b, "alice", 1), TB_QUEUE_FULL);
    EXPECT_EQ(ask(tb_table_waiter_leave, a, "alice", first), TB_SUCCESS);
    enqueue(b, "alice", 1);
}

}  // namespace
