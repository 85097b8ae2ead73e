// Tables in memory that processes share: what opens, what does not and why, and what processes do to each other.
#include "tests/support/shared_table.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace tb_test;

TEST_F(SharedTable, TokensOfAKeyAreThoseOfAllWhoHaveIt) {
    const TableHandle a = open();
    const TableHandle b = open();
    EXPECT_EQ(allow(a, "alice", 4), TB_SUCCESS);
    EXPECT_EQ(result_of(in_child([&] { return allow(a, "alice", 2) + allow(b, "alice", 3); })), TB_SUCCESS);
    EXPECT_EQ(allow(b, "alice", 2), TB_DENIED);
    EXPECT_EQ(allow(b, "alice", 1), TB_SUCCESS);
    EXPECT_EQ(allow(b, "bob", 10), TB_SUCCESS);
    EXPECT_EQ(stats_of(a).occupied, 2);
}

TEST_F(SharedTable, NamelessOneIsThatOfTheChildren) {
    const TableHandle table = open_nameless();
    std::vector<pid_t> children(4);
    for (pid_t &child : children)
        child = in_child([&] {
            int taken = 0;
            while (allow(table, "alice", 1) == TB_SUCCESS) ++taken;
            return taken;
        });
    int taken = 0;
    for (const pid_t child : children) taken += result_of(child);
    EXPECT_EQ(taken, 10);
}

// All that is decided of a key, each by another handle.
TEST_F(SharedTable, AllFunctionsOfAKeyShareIt) {
    const TableHandle a = open();
    const TableHandle b = open();
    tb_decision decision;
    double taken = 0;
    int64_t ns = 0;
    EXPECT_EQ(ask(tb_table_take, a, "alice", 4.0, &decision), TB_SUCCESS);
    EXPECT_NEAR(decision.remaining, 6, 1e-3);
    EXPECT_EQ(ask(tb_table_take_up_to, b, "alice", 5.0, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 5);
    EXPECT_EQ(ask(tb_table_charge, a, "alice", 3.0, &ns), TB_SUCCESS);
    EXPECT_NEAR(available(b, "alice"), -2, 1e-3);
    EXPECT_EQ(ask(tb_table_take, b, "alice", 1.0, &decision), TB_DENIED);
    EXPECT_EQ(ask(tb_table_time_until, a, "alice", 1.0, &ns), TB_SUCCESS);
    EXPECT_NEAR(static_cast<double>(decision.retry_after_ns), static_cast<double>(ns), 1e9);
    EXPECT_EQ(ask(tb_table_refund, b, "alice", 4.0), TB_SUCCESS);
    EXPECT_NEAR(available(a, "alice"), 2, 1e-3);
    const size_t sizes[] = {5, 3};
    tb_status answers[2];
    EXPECT_EQ(tb_table_allow_many(b.get(), "alicebob", sizes, nullptr, 2, answers), TB_SUCCESS);
    EXPECT_EQ(answers[0], TB_SUCCESS);
    EXPECT_NEAR(available(a, "alice"), 1, 1e-3);
    EXPECT_NEAR(available(a, "bob"), 9, 1e-3);
    EXPECT_EQ(ask(tb_table_remove, a, "alice"), TB_SUCCESS);
    EXPECT_EQ(available(b, "alice"), 10);
}

TEST_F(SharedTable, ChangesHoldForAll) {
    const TableHandle a = open();
    const TableHandle b = open();
    EXPECT_EQ(allow(a, "alice", 10), TB_SUCCESS);
    EXPECT_EQ(tb_table_set_rate(a.get(), 2e-6), TB_SUCCESS);
    EXPECT_EQ(result_of(in_child([&] { return tb_table_set_capacity(b.get(), 20); })), TB_SUCCESS);
    for (const TableHandle *const table : {&a, &b}) {
        tb_config limit = config_of(1, 1, nullptr);
        EXPECT_EQ(tb_table_get_limit(table->get(), &limit), TB_SUCCESS);
        EXPECT_EQ(limit.rate_tokens, 2e-6);
        EXPECT_EQ(limit.capacity, 20);
        EXPECT_EQ(available(*table, "bob"), 20);
        EXPECT_NEAR(available(*table, "alice"), 0, 1e-3);
    }
    EXPECT_EQ(tb_table_close(b.get()), TB_SUCCESS);
    EXPECT_EQ(allow(a, "alice", 1), TB_CLOSED);
    EXPECT_EQ(tb_table_set_rate(a.get(), 1), TB_CLOSED);
}

// A key is emptied while a process that changes the limit is stopped, for longer than the key takes to fill; when that
// goes on, or is killed, what overflowed meanwhile does not come in again.
TEST_F(SharedTable, AStoppedChangeBringsNothingInAgain) {
    constexpr double kCapacity = 100;
    constexpr double kRate = 10000;
    const auto now_ns = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
    const TableHandle table = open(config_of(kCapacity, kRate, nullptr), keys);
    for (const int end : {SIGCONT, SIGKILL, SIGCONT, SIGKILL, SIGCONT, SIGKILL}) {
        const pid_t changer = in_child([&] {
            for (;;) tb_table_set_rate(table.get(), kRate);
            return 0;
        });
        ::usleep(2000);
        ::kill(changer, SIGSTOP);
        int status = 0;
        ::waitpid(changer, &status, WUNTRACED);
        ::usleep(20000);
        const int64_t begin_ns = now_ns();
        double granted = 0;
        while (allow(table, "alice", 1) == TB_SUCCESS) ++granted;
        ::kill(changer, end);
        ::usleep(1000);
        while (allow(table, "alice", 1) == TB_SUCCESS) ++granted;
        EXPECT_LE(granted, kCapacity + kRate * static_cast<double>(now_ns() - begin_ns + 1) / kSecond);
        ::kill(changer, SIGKILL);
        ::waitpid(changer, &status, 0);
        EXPECT_EQ(tb_table_remove(table.get(), "alice", 5), TB_SUCCESS);
    }
}

TEST_F(SharedTable, DestroyLeavesItToTheOthers) {
    TableHandle a = open();
    const TableHandle b = open();
    EXPECT_EQ(allow(a, "alice", 4), TB_SUCCESS);
    a.reset();
    EXPECT_EQ(allow(b, "alice", 6), TB_SUCCESS);
    EXPECT_EQ(allow(b, "alice", 1), TB_DENIED);
    EXPECT_EQ(allow(open(), "alice", 1), TB_DENIED);
}

TEST_F(SharedTable, CountsWhatAnyProcessForgets) {
    const tb_table_config small = of_keys(1);
    const TableHandle table = open(slow, small);
    const TableHandle other = open(slow, small);
    const int64_t places = stats_of(table).places;
    EXPECT_EQ(result_of(in_child([&] {
                  for (int64_t i = 0; i < 2 * places; ++i)
                      if (allow(other, std::to_string(i), 3) != TB_SUCCESS) return 1;
                  return 0;
              })),
              0);
    const tb_table_stats stats = stats_of(table);
    EXPECT_EQ(stats.occupied + stats.evicted, 2 * places);
    EXPECT_NEAR(stats.tokens_forgiven, 3 * static_cast<double>(stats.evicted), 1e-3);
}

TEST_F(SharedTable, AFullOneDeniesOrAdmitsInAllProcesses) {
    const TableHandle denies = open(slow, of_keys(1, TB_TABLE_DENY));
    const TableHandle adopted = open(slow, of_keys(5, TB_TABLE_ADMIT), TB_SHARED_ADOPT);
    EXPECT_EQ(stats_of(adopted).places, stats_of(denies).places);
    int full = 0;
    for (int i = 0; i < 100; ++i) full += allow(adopted, std::to_string(i), 1) == TB_TABLE_FULL;
    EXPECT_EQ(full, 100 - stats_of(denies).places);
}

TEST_F(SharedTable, JoinsDecisionsAndReservationsButNotWaits) {
    const TableHandle table = open();
    const TableHandle again = open();
    const BucketHandle bucket = bucket_of(slow);
    const tb_member members[] = {{bucket.get(), nullptr, nullptr, 0, 1}, {nullptr, table.get(), "alice", 5, 10}};
    tb_refusal refusal;
    EXPECT_EQ(tb_allow_all(members, 2, &refusal), TB_SUCCESS);
    EXPECT_EQ(tb_allow_all(members, 2, &refusal), TB_DENIED);
    EXPECT_EQ(refusal.member, 1);
    EXPECT_NEAR(available(bucket.get()), 9, 1e-3);
    const tb_member twice[] = {{nullptr, table.get(), "bob", 3, 1}, {nullptr, again.get(), "bob", 3, 1}};
    EXPECT_EQ(tb_allow_all(twice, 2, &refusal), TB_E_INVALID_ARGUMENT);
    const tb_member two[] = {{nullptr, table.get(), "bob", 3, 1}, {nullptr, again.get(), "eve", 3, 1}};
    EXPECT_EQ(tb_allow_all(two, 2, &refusal), TB_SUCCESS);

    tb_reservation both[2];
    tb_waiter_all *all = nullptr;
    int64_t ns = 0;
    EXPECT_EQ(tb_reserve_all(members, 2, TB_FOREVER, both, &ns, &refusal), TB_SUCCESS);
    EXPECT_NEAR(available(again, "alice"), -10, 1e-3);
    EXPECT_EQ(tb_cancel_all(members, 2, both), TB_SUCCESS);
    EXPECT_NEAR(available(again, "alice"), 0, 1e-3);
    for (const tb_member *const member : {&members[1], &two[0]}) {
        EXPECT_EQ(tb_wait_all(member, 1, kSecond, 0, nullptr), TB_E_UNSUPPORTED);
        EXPECT_EQ(tb_enqueue_all(member, 1, kSecond, 0, 0, &all, &ns, nullptr), TB_E_UNSUPPORTED);
    }
    EXPECT_NEAR(available(table, "bob"), 9, 1e-3);
    EXPECT_NEAR(available(bucket.get()), 9, 1e-3);
}

// ---- Opening ----

TEST_F(SharedTable, WhatIsNoFileOfItsOwnDoesNotOpen) {
    const auto faults = [&](int32_t expected) {
        EXPECT_EQ(fault_of(slow, keys), expected) << tb_shared_fault_message(expected);
        std::filesystem::remove_all(path());
    };
    std::filesystem::create_directory(path());
    faults(TB_SHARED_KIND);
    std::filesystem::create_symlink("/dev/shm/" + name() + "-target", path());
    faults(TB_SHARED_KIND);
    write("short", 0);
    faults(TB_SHARED_SIZE);
    write("x", 1 << 20);
    faults(TB_SHARED_LAYOUT);
    open();
    ASSERT_EQ(::truncate(path().c_str(), 4096), 0);
    faults(TB_SHARED_SIZE);
    open();
    ASSERT_EQ(::chmod(path().c_str(), 0640), 0);
    faults(TB_SHARED_MODE);
    if (::geteuid() != 0) return;
    open();
    ASSERT_EQ(::chown(path().c_str(), 65534, 65534), 0);
    faults(TB_SHARED_OWNER);
}

TEST_F(SharedTable, IsItsOwnersAlone) {
    open();
    struct stat status {};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777u, 0600u);
}

TEST_F(SharedTable, TheHeaderTellsTheLayoutAndTheClock) {
    constexpr off_t kMagic = 0, kLayout = 8, kEntries = 12, kSize = 16, kBoot = 24, kTimeNamespace = 40;
    constexpr off_t kWhenFull = 64, kPlan = 152, kCapacity = 88, kSpec = 392;
    const struct {
        off_t at;
        int32_t fault;
    } rows[] = {{kMagic, TB_SHARED_LAYOUT},     {kLayout, TB_SHARED_LAYOUT},
                {kEntries, TB_SHARED_LAYOUT},   {kSize, TB_SHARED_LAYOUT},
                {kBoot, TB_SHARED_BOOT},        {kTimeNamespace, TB_SHARED_CLOCK},
                {kWhenFull, TB_SHARED_DAMAGED}, {kPlan + kCapacity, TB_SHARED_DAMAGED},
                {kSpec, TB_SHARED_DAMAGED}};
    for (const auto &row : rows) {
        open();
        write(std::string(8, '\xff'), row.at);
        EXPECT_EQ(fault_of(slow, keys), row.fault) << row.at;
        std::filesystem::remove_all(path());
    }
}

TEST_F(SharedTable, IsNoBucketAndABucketIsNoTable) {
    tb_bucket *bucket = nullptr;
    int32_t fault = 0;
    {
        const TableHandle table = open(slow, of_keys(1));  // it is shorter than a bucket
        EXPECT_EQ(tb_shared_open(&slow, name().c_str(), TB_SHARED_ADOPT, &bucket, &fault), TB_E_MISMATCH);
        EXPECT_EQ(fault, TB_SHARED_OBJECT);
    }
    EXPECT_EQ(tb_shared_remove(name().c_str(), nullptr), TB_SUCCESS);
    ASSERT_EQ(tb_shared_open(&slow, name().c_str(), 0, &bucket, nullptr), TB_SUCCESS);
    EXPECT_EQ(fault_of(slow, keys), TB_SHARED_OBJECT);
    tb_destroy(bucket);
}

TEST_F(SharedTable, AnotherLimitOrSizeIsRefusedOrAdopted) {
    const TableHandle table = open(config_of(10, 1, nullptr), of_keys(1000, TB_TABLE_DENY));
    const tb_config limit = config_of(10, 1, nullptr);
    EXPECT_EQ(fault_of(limit, of_keys(1000, TB_TABLE_DENY)), 0);
    EXPECT_EQ(fault_of(config_of(11, 1, nullptr), of_keys(1000, TB_TABLE_DENY)), TB_SHARED_CAPACITY);
    EXPECT_EQ(fault_of(config_of(10, 2, nullptr), of_keys(1000, TB_TABLE_DENY)), TB_SHARED_RATE);
    EXPECT_EQ(fault_of(limit, of_keys(2000, TB_TABLE_DENY)), TB_SHARED_PLACES);
    EXPECT_EQ(fault_of(limit, of_keys(1000)), TB_SHARED_FULL);
    tb_config same = config_of(10, 60, nullptr);
    same.rate_period_ns = 60 * kSecond;
    EXPECT_EQ(fault_of(same, of_keys(1000, TB_TABLE_DENY)), 0);
    const TableHandle adopted = open(config_of(99, 99, nullptr), of_keys(7), TB_SHARED_ADOPT);
    tb_config there = config_of(1, 2, nullptr);
    EXPECT_EQ(tb_table_get_limit(adopted.get(), &there), TB_SUCCESS);
    EXPECT_EQ(there.capacity, 10);
    EXPECT_EQ(there.rate_tokens, 1);
    EXPECT_EQ(stats_of(adopted).places, stats_of(table).places);
    EXPECT_EQ(tb_table_set_capacity(table.get(), 11), TB_SUCCESS);
    EXPECT_EQ(fault_of(config_of(11, 1, nullptr), of_keys(1000, TB_TABLE_DENY)), 0);
}

TEST_F(SharedTable, AClosedOneDoesNotOpenUntilItsNameIsRemoved) {
    const TableHandle table = open();
    EXPECT_EQ(tb_table_close(table.get()), TB_SUCCESS);
    tb_table *another = nullptr;
    for (const uint32_t flags : {uint32_t{0}, TB_SHARED_ADOPT})
        EXPECT_EQ(tb_shared_table_open(&slow, &keys, name().c_str(), flags, &another, nullptr), TB_CLOSED);
    EXPECT_EQ(another, nullptr);
    EXPECT_EQ(tb_shared_remove(name().c_str(), nullptr), TB_SUCCESS);
    EXPECT_EQ(allow(open(), "alice", 1), TB_SUCCESS);
}

TEST_F(SharedTable, BadArguments) {
    tb_table *table = nullptr;
    int32_t fault = 0;
    EXPECT_EQ(tb_shared_table_open(nullptr, &keys, "x", 0, &table, &fault), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_shared_table_open(&slow, nullptr, "x", 0, &table, &fault), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_shared_table_open(&slow, &keys, "x", 0, nullptr, &fault), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_shared_table_open(&slow, &keys, "a/b", 0, &table, &fault), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_shared_table_open(&slow, &keys, "x", 2, &table, &fault), TB_E_UNSUPPORTED);
    const ClockHandle clock = manual_clock();
    const tb_config timed = config_of(10, 1, clock.get());
    EXPECT_EQ(tb_shared_table_open(&timed, &keys, "x", 0, &table, &fault), TB_E_UNSUPPORTED);
    tb_config counted = slow;
    counted.flags = TB_STATISTICS;
    EXPECT_EQ(tb_shared_table_open(&counted, &keys, "x", 0, &table, &fault), TB_E_UNSUPPORTED);
    const tb_table_config none = table_config();
    EXPECT_EQ(tb_shared_table_open(&slow, &none, "x", 0, &table, &fault), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(fault, 0);
    EXPECT_EQ(tb_shared_table_open(&slow, &keys, "/no/such/folder", 0, &table, &fault), TB_E_SYSTEM);
    EXPECT_EQ(fault, ENOENT);
    const tb_table_config too_large = of_keys(int64_t{1} << 50);
    EXPECT_EQ(tb_shared_table_open(&slow, &too_large, name().c_str(), 0, &table, &fault), TB_E_SYSTEM);
    EXPECT_FALSE(std::filesystem::exists(path()));
    EXPECT_EQ(table, nullptr);
}

TEST_F(SharedTable, ManyOpenedAtOnceAreOne) {
    std::vector<pid_t> children(16);
    for (pid_t &child : children)
        child = in_child([&] {
            tb_table *table = nullptr;
            if (tb_shared_table_open(&slow, &keys, name().c_str(), 0, &table, nullptr) != TB_SUCCESS) return 100;
            return tb_table_allow(table, "alice", 5, 1) == TB_SUCCESS ? 1 : 0;
        });
    int taken = 0;
    for (const pid_t child : children) taken += result_of(child);
    EXPECT_EQ(taken, 10);
}

TEST_F(SharedTable, NoDescriptorAndNoMappingStays) {
    const auto count = [](const char *folder) {
        return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
    };
    open();
    const auto files = count("/proc/self/fd");
    const auto mappings = count("/proc/self/map_files");
    for (int i = 0; i < 50; ++i) {
        open();
        open_nameless();
        fault_of(config_of(7, 1, nullptr), keys);
    }
    EXPECT_EQ(count("/proc/self/fd"), files);
    EXPECT_LE(count("/proc/self/map_files"), mappings + 2);
}

}  // namespace
