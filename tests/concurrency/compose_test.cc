// All or nothing among threads: whatever they race for, each member is charged the same number of times.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "capi/include/tokenbucket.h"
#include "tests/support/api.h"

namespace {

constexpr int kThreads = 4;

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

// The clock stands, so that nothing overflows: what is missing in the end has been granted.
TEST(ComposeLoad, ChargesAllMembersAlike) {
    constexpr int kCalls = 200000;
    const auto clock = tb_test::manual_clock();
    const auto first = tb_test::bucket_of(tb_test::config_of(50000, 1, clock.get()));
    const auto second = tb_test::bucket_of(tb_test::config_of(90000, 1, clock.get()));
    const auto keys = tb_test::table_of(tb_test::config_of(70000, 1, clock.get()), 100);
    std::atomic<int> all{0};
    std::atomic<int> pairs{0};
    std::atomic<int> singles{0};
    in_threads([&](int thread) {
        const tb_member a{first.get(), nullptr, nullptr, 0, 1};
        const tb_member b{second.get(), nullptr, nullptr, 0, 1};
        const tb_member c{nullptr, keys.get(), "k", 1, 1};
        const tb_member three[] = {a, b, c};
        const tb_member two[] = {c, b};
        for (int i = 0; i < kCalls; ++i) {
            const int kind = (i + thread) % 3;
            if (kind == 0) all += tb_allow_all(three, 3, nullptr) == TB_SUCCESS;
            if (kind == 1) pairs += tb_allow_all(two, 2, nullptr) == TB_SUCCESS;
            if (kind == 2) singles += tb_table_allow(keys.get(), "k", 1, 1) == TB_SUCCESS;
        }
    });
    EXPECT_EQ(tb_test::available(first.get()), 50000 - all);
    EXPECT_EQ(tb_test::available(second.get()), 90000 - all - pairs);
    EXPECT_EQ(left_of(keys.get(), "k"), 70000 - all - pairs - singles);
    EXPECT_EQ(all + pairs + singles, 70000);
}

// One member is empty for ever: those who ask for both never take anything from the other, so two tokens are always
// there for who asks for that alone.
TEST(ComposeLoad, TouchesNothingWhileAMemberIsDry) {
    constexpr int kCalls = 300000;
    const auto clock = tb_test::manual_clock();
    const auto shared = tb_test::bucket_of(tb_test::config_of(2, 1, clock.get()));
    const auto dry = tb_test::table_of(tb_test::config_of(5, 1, clock.get()), 100);
    EXPECT_EQ(tb_table_allow(dry.get(), "k", 1, 5), TB_SUCCESS);
    std::atomic<int> refused{0};
    in_threads([&](int thread) {
        const tb_member both[] = {{shared.get(), nullptr, nullptr, 0, 1}, {nullptr, dry.get(), "k", 1, 1}};
        for (int i = 0; i < kCalls; ++i) {
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

}  // namespace
