// Ten million keys in the memory of a small table: it does not grow, and those that ask for too much stay limited.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "tests/support/api.h"
#include "tests/support/effort.h"

namespace {

using namespace tb_test;

constexpr double kCapacity = 100;
constexpr double kRate = 10;
constexpr uint64_t kHeavyKeys = 1000;
constexpr int64_t kKeysPerSecond = 100000;

// 0 where the system does not say.
int64_t resident_bytes() {
    long long pages = 0;
    std::FILE *const file = std::fopen("/proc/self/statm", "re");
    if (file == nullptr) return 0;
    if (std::fscanf(file, "%*d %lld", &pages) != 1) pages = 0;
    std::fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

class Crowd {
  public:
    explicit Crowd(int64_t places_for) : clock_(manual_clock()), granted_(kHeavyKeys) {
        table_ = tb_test::table_of(config_of(kCapacity, kRate, clock_.get()), places_for);
    }

    // Each of the keys, all new, takes n tokens, kKeysPerSecond of them a second. After every 16 a heavy key takes what
    // it can.
    void come(uint64_t keys, double n) {
        constexpr std::size_t kAtOnce = 16;
        constexpr std::size_t kSizes[kAtOnce] = {8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8};
        uint64_t light[kAtOnce];
        double amounts[kAtOnce];
        tb_status answers[kAtOnce];
        for (double &amount : amounts) amount = n;
        for (uint64_t i = 0; i < keys; i += kAtOnce) {
            ASSERT_EQ(tb_manual_clock_advance(clock_.get(), kSecond * kAtOnce / kKeysPerSecond), TB_SUCCESS);
            now_ns_ += kSecond * kAtOnce / kKeysPerSecond;
            for (uint64_t &key : light) key = next_key_++;
            ASSERT_EQ(tb_table_allow_many(table_.get(), light, kSizes, amounts, kAtOnce, answers), TB_SUCCESS);
            for (const tb_status answer : answers) ASSERT_EQ(answer, TB_SUCCESS);
            const uint64_t heavy = next_key_ / kAtOnce % kHeavyKeys;
            while (tb_table_allow(table_.get(), &heavy, sizeof heavy, 1) == TB_SUCCESS)
                ++granted_[static_cast<std::size_t>(heavy)];
        }
    }

    tb_table_stats stats() {
        tb_table_stats stats{};
        stats.struct_size = sizeof stats;
        EXPECT_EQ(tb_table_get_stats(table_.get(), &stats), TB_SUCCESS);
        return stats;
    }

    // What the heavy keys were granted beyond their limit.
    double excess() const {
        const double limit = kCapacity + kRate * static_cast<double>(now_ns_) / 1e9;
        double sum = 0;
        for (const double granted : granted_) sum += granted > limit ? granted - limit : 0;
        return sum;
    }
    double granted() const {
        double sum = 0;
        for (const double granted : granted_) sum += granted;
        return sum;
    }
    double limit_of_all() const {
        return static_cast<double>(kHeavyKeys) * (kCapacity + kRate * static_cast<double>(now_ns_) / 1e9);
    }

  private:
    const ClockHandle clock_;
    tb_test::TableHandle table_;
    std::vector<double> granted_;
    uint64_t next_key_ = kHeavyKeys;
    int64_t now_ns_ = 0;
};

// A light key is full again after a tenth of a second, in which 10,000 others come.
TEST(TableMemory, TenMillionKeysLeaveNothingBehind) {
    const uint64_t keys = support::effort("TB_TABLE_KEYS", 10000000, 300000);
    const int64_t before = resident_bytes();
    Crowd crowd(20000);
    crowd.come(keys / 10, 1);
    const int64_t early = resident_bytes();
    crowd.come(keys - keys / 10, 1);
    const int64_t late = resident_bytes();
    const tb_table_stats stats = crowd.stats();
#ifndef TOKENBUCKET_TESTS_SANITIZED  // a sanitizer's notes about memory are resident, too
    EXPECT_LE(late - early, 64 * 1024);
    EXPECT_LE(late - before, stats.places * 16 + 1024 * 1024);
#else
    static_cast<void>(before), static_cast<void>(early), static_cast<void>(late);
#endif
    EXPECT_LE(stats.occupied, 11000);
    EXPECT_EQ(stats.evicted, 0);
    EXPECT_EQ(stats.tokens_forgiven, 0);
    EXPECT_EQ(crowd.excess(), 0);
    EXPECT_GT(crowd.granted(), crowd.limit_of_all() * 0.98);
}

// The table is so small that keys are evicted before they have gained a token, heavy ones among them.
TEST(TableMemory, WhatEvictionGrantsIsCounted) {
    const uint64_t keys = support::effort("TB_TABLE_KEYS", 10000000, 300000) / 10;
    Crowd crowd(5000);
    crowd.come(keys, kCapacity);
    const tb_table_stats stats = crowd.stats();
    EXPECT_GT(stats.evicted, static_cast<int64_t>(keys / 10));
    EXPECT_GT(crowd.excess(), 0);
    EXPECT_LE(crowd.excess(), stats.tokens_forgiven);
    EXPECT_LE(stats.tokens_forgiven, static_cast<double>(stats.evicted) * kCapacity);
}

// What TROUBLESHOOTING says of a table that is too small: how many keys, which each take all they can, are granted that
// once more while the clock stands.
TEST(TableMemory, ATableThatIsTooSmallForgetsLimits) {
    constexpr int64_t kRoom = 100000;
    const auto granted_again = [](int64_t keys) {
        const ClockHandle clock = manual_clock();
        const TableHandle table = tb_test::table_of(config_of(kCapacity, kRate, clock.get()), kRoom);
        int64_t again = 0;
        for (const bool second : {false, true})
            for (int64_t key = 0; key < keys; ++key)
                again += tb_table_allow(table.get(), &key, sizeof key, kCapacity) == TB_SUCCESS && second;
        return static_cast<double>(again) / static_cast<double>(keys);
    };
    EXPECT_LT(granted_again(kRoom), 0.0005);
    EXPECT_LT(granted_again(kRoom * 13 / 10), 0.005);
    EXPECT_GT(granted_again(kRoom * 2), 0.3);
}

}  // namespace
