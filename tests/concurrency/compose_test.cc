// All or nothing among threads: whatever they race for, each member is charged the same number of times.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/support/api.h"
#include "tests/support/effort.h"
#include "tests/support/waiter.h"

namespace {

constexpr int kThreads = 4;

int calls_of_a_thread() {
    return static_cast<int>(support::effort("TB_CALLS", 250000, 40000));
}

template <class Work>
void in_threads(Work work) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back([=] { work(i); });
    for (std::thread &t : threads) t.join();
}

double left_of(tb_table *table, const char *key) {
    double left = 0;
    EXPECT_EQ(tb_table_available(table, key, 1, &left), TB_SUCCESS);
    return left;
}

// Nothing that is a whole token comes while this runs, so what is missing in the end has been granted.
void expect_all_charged_alike(tb_clock *clock) {
    const int calls = calls_of_a_thread();
    constexpr double kPerSecond = 1e-9;
    const auto first = tb_test::bucket_of(tb_test::config_of(50000, kPerSecond, clock));
    const auto second = tb_test::bucket_of(tb_test::config_of(90000, kPerSecond, clock));
    const auto keys = tb_test::table_of(tb_test::config_of(70000, kPerSecond, clock), 100);
    std::atomic<int> all{0};
    std::atomic<int> pairs{0};
    std::atomic<int> singles{0};
    in_threads([&](int thread) {
        const tb_member a{first.get(), nullptr, nullptr, 0, 1};
        const tb_member b{second.get(), nullptr, nullptr, 0, 1};
        const tb_member c{nullptr, keys.get(), "k", 1, 1};
        const tb_member three[] = {a, b, c};
        const tb_member two[] = {c, b};
        for (int i = 0; i < calls; ++i) {
            const int kind = (i + thread) % 3;
            if (kind == 0) all += tb_allow_all(three, 3, nullptr) == TB_SUCCESS;
            if (kind == 1) pairs += tb_allow_all(two, 2, nullptr) == TB_SUCCESS;
            if (kind == 2) singles += tb_table_allow(keys.get(), "k", 1, 1) == TB_SUCCESS;
        }
    });
    EXPECT_EQ(std::round(tb_test::available(first.get())), 50000 - all);
    EXPECT_EQ(std::round(tb_test::available(second.get())), 90000 - all - pairs);
    EXPECT_EQ(std::round(left_of(keys.get(), "k")), 70000 - all - pairs - singles);
    EXPECT_EQ(all + pairs + singles, 70000);
}

TEST(ComposeLoad, ChargesAllMembersAlike) {
    expect_all_charged_alike(tb_test::manual_clock().get());
}

// The buckets are decided by one reading of the counter, once the clocks are anchored.
TEST(ComposeLoad, ChargesAllMembersAlikeOnTheSystemClock) {
    expect_all_charged_alike(nullptr);
}

// One member is empty for ever: those who ask for both never take anything from the other, so two tokens are always
// there for who asks for that alone.
TEST(ComposeLoad, TouchesNothingWhileAMemberIsDry) {
    const int calls = calls_of_a_thread();
    const auto clock = tb_test::manual_clock();
    const auto shared = tb_test::bucket_of(tb_test::config_of(2, 1, clock.get()));
    const auto dry = tb_test::table_of(tb_test::config_of(5, 1, clock.get()), 100);
    EXPECT_EQ(tb_table_allow(dry.get(), "k", 1, 5), TB_SUCCESS);
    std::atomic<int> refused{0};
    in_threads([&](int thread) {
        const tb_member both[] = {{shared.get(), nullptr, nullptr, 0, 1}, {nullptr, dry.get(), "k", 1, 1}};
        for (int i = 0; i < calls; ++i) {
            if (thread != 0) {
                refused += tb_allow_all(both, 2, nullptr) == TB_SUCCESS;
            } else {
                refused += tb_allow(shared.get(), 2) != TB_SUCCESS;
                tb_refund(shared.get(), 2);
            }
        }
    });
    EXPECT_EQ(refused, 0);
}

// What is given back while others wait goes to them.
TEST(ComposeLoad, GivesBackWhileOthersReserve) {
    constexpr int kCalls = 20000;
    const auto clock = tb_test::manual_clock();
    const auto first = tb_test::bucket_of(tb_test::config_of(10, 1, clock.get()));
    const auto keys = tb_test::table_of(tb_test::config_of(10, 1, clock.get()), 100);
    in_threads([&](int thread) {
        const tb_member both[] = {{first.get(), nullptr, nullptr, 0, 3}, {nullptr, keys.get(), "k", 1, 4}};
        const tb_member turned[] = {both[1], both[0]};
        for (int i = 0; i < kCalls; ++i) {
            tb_reservation reserved[2];
            int64_t wait_ns = 0;
            const tb_member *const members = thread % 2 == 0 ? both : turned;
            if (tb_reserve_all(members, 2, TB_FOREVER, reserved, &wait_ns, nullptr) != TB_SUCCESS) continue;
            if (wait_ns != 0) {
                tb_cancel_all(members, 2, reserved);
            } else {
                for (int m = 0; m < 2; ++m) {
                    if (members[m].bucket != nullptr) tb_settle(first.get(), &reserved[m], 0);
                    if (members[m].table != nullptr) tb_table_settle(keys.get(), "k", 1, &reserved[m], 0);
                }
            }
        }
    });
    EXPECT_EQ(tb_test::available(first.get()), 10);
    EXPECT_EQ(left_of(keys.get(), "k"), 10);
}

// Three members, which each thread names in an order of its own. The first and the key have plenty; the last is opened
// for one at a time. The clock stands, so what is missing in the end has been granted.
TEST(ComposeLoad, WaitsTakeFromAllOrFromNone) {
    constexpr int kCalls = 20000;
    const auto clock = tb_test::manual_clock();
    const auto first = tb_test::bucket_of(tb_test::config_of(1e6, 1, clock.get()));
    const auto keys = tb_test::table_of(tb_test::config_of(1e6, 1, clock.get()), 100);
    const auto last = tb_test::bucket_of(tb_test::config_of(1, 1, clock.get()));
    std::atomic<int> granted{0};
    std::atomic<int> opened{1};
    in_threads([&](int thread) {
        tb_member members[] = {{first.get(), nullptr, nullptr, 0, 2},
                               {nullptr, keys.get(), "k", 1, 3},
                               {last.get(), nullptr, nullptr, 0, 1}};
        std::rotate(members, members + thread % 3, members + 3);
        for (int i = 0; i < kCalls; ++i) {
            if (i % 5 == thread) opened += tb_refund(last.get(), 1) == TB_SUCCESS;
            tb_waiter_all *waiter = nullptr;
            int64_t wait_ns = 0;
            tb_status s = tb_enqueue_all(members, 3, TB_FOREVER, i % 3, 0, &waiter, &wait_ns, nullptr);
            for (int check = 0; s == TB_PENDING && check < i % 4; ++check)
                s = tb_waiter_all_check(waiter, &wait_ns, nullptr);
            tb_waiter_all_leave(waiter);
            granted += s == TB_SUCCESS;
        }
    });
    EXPECT_GT(granted, 0);
    EXPECT_LE(granted, opened);
    EXPECT_EQ(tb_test::available(first.get()), 1e6 - 2 * granted);
    EXPECT_EQ(left_of(keys.get(), "k"), 1e6 - 3 * granted);
}

// Threads that wait for the same limits in any order: each is served or refused, none waits for ever for another one.
TEST(ComposeLoad, ThreadsThatWaitForAllDoNotBlockEachOther) {
    constexpr int kCalls = 3000;
    const auto clock = tb_test::manual_clock();
    const auto first = tb_test::bucket_of(tb_test::config_of(5, 1000, clock.get()));
    const auto keys = tb_test::table_of(tb_test::config_of(5, 2000, clock.get()), 100);
    std::atomic<int> running{kThreads};
    std::atomic<int> granted{0};
    std::thread mover([&] {
        while (running != 0) {
            const int64_t next_ns = tb_test::next_due(clock.get());
            if (next_ns != TB_FOREVER) tb_manual_clock_set(clock.get(), next_ns);
            std::this_thread::yield();
        }
    });
    in_threads([&](int thread) {
        const tb_member both[] = {{first.get(), nullptr, nullptr, 0, 3}, {nullptr, keys.get(), "k", 1, 4}};
        const tb_member turned[] = {both[1], both[0]};
        for (int i = 0; i < kCalls; ++i) {
            const int64_t timeout_ns = i % 2 == 0 ? TB_FOREVER : i % 16 * tb_test::kMillisecond;
            const tb_status s = tb_wait_all(thread % 2 == 0 ? both : turned, 2, timeout_ns, 0, nullptr);
            EXPECT_TRUE(s == TB_SUCCESS || (s == TB_TIMED_OUT && i % 2 == 1)) << s;
            granted += s == TB_SUCCESS;
        }
        --running;
    });
    mover.join();
    int64_t waiters = -1;
    EXPECT_GE(granted, kThreads * kCalls / 2);
    EXPECT_EQ(tb_manual_clock_waiters(clock.get(), &waiters, nullptr), TB_SUCCESS);
    EXPECT_EQ(waiters, 0);
    tb_manual_clock_advance(clock.get(), tb_test::kSecond);
    EXPECT_EQ(tb_test::available(first.get()), 5);
    EXPECT_EQ(left_of(keys.get(), "k"), 5);
}

}  // namespace
