// Four processes take from one bucket, or one key, and wait on it, as fast as they can: over no time do they get more
// than was there, by what each measured around its calls, and nobody is forgotten.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <new>
#include <vector>

#include "core/platform/platform.h"
#include "tests/support/api.h"
#include "tests/support/effort.h"
#include "tests/support/table.h"

namespace {

using namespace tb_test;

constexpr double kCapacity = 20;
constexpr double kRate = 2000;
constexpr int64_t kDurationNs = 400 * kMillisecond;
constexpr int64_t kLatenessNs = 10 * kMillisecond;  // the default of max_lateness_ns
constexpr std::size_t kMost = 4096;                 // more than there are tokens in that time

// Tokens that came to a process between two times.
struct Grant {
    int64_t before;
    int64_t after;
    double tokens;
};
struct Log {
    std::atomic<bool> begins{false};
    std::atomic<std::size_t> count{0};
    Grant grants[kMost];
};

class Windows : public testing::Test {
  protected:
    void SetUp() override {
        if (tb_has_feature("shared_memory") == 0) GTEST_SKIP() << "no shared memory here";
        void *const memory = ::mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(memory, MAP_FAILED);
        log_ = new (memory) Log;
        const tb_config config = config_of(kCapacity, kRate, nullptr);
        tb_bucket *bucket = nullptr;
        ASSERT_EQ(tb_shared_open(&config, nullptr, 0, &bucket, nullptr), TB_SUCCESS);
        bucket_.reset(bucket);
    }
    void open_table() {
        const tb_config limit = config_of(kCapacity, kRate, nullptr);
        tb_table_config config = table_config();
        config.max_keys = 100;
        tb_table *table = nullptr;
        ASSERT_EQ(tb_shared_table_open(&limit, &config, nullptr, 0, &table, nullptr), TB_SUCCESS);
        table_.reset(table);
    }
    void TearDown() override {
        if (log_ != nullptr) ::munmap(log_, sizeof(Log));
    }

    // Each process calls one of the functions until the time is over; call(n) is true if it got n tokens.
    template <class... Calls>
    void run(Calls... calls) {
        std::vector<pid_t> children;
        (children.push_back(start(calls)), ...);
        log_->begins = true;
        for (const pid_t child : children) {
            int status = -1;
            EXPECT_EQ(::waitpid(child, &status, 0), child);
            EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
        }
        EXPECT_LT(log_->count, kMost);
    }
    template <class Call>
    pid_t start(Call call) {
        const pid_t child = ::fork();
        if (child != 0) return child;
        ::alarm(30);  // for one that is forgotten; nothing catches it
        while (!log_->begins) ::usleep(100);
        const int64_t end = tb::platform::monotonic_ns() + kDurationNs;
        for (int64_t before = 0; (before = tb::platform::monotonic_ns()) < end;) {
            if (!call(1)) continue;
            const std::size_t at = log_->count.fetch_add(1);
            if (at < kMost) log_->grants[at] = {before, tb::platform::monotonic_ns(), 1};
        }
        ::_exit(0);
    }

    // What surely came between two times is at most what a bucket gives over that time, and a while before it.
    void expect_windows(int64_t late_ns) {
        std::vector<Grant> grants(log_->grants, log_->grants + std::min(log_->count.load(), kMost));
        std::sort(grants.begin(), grants.end(), [](const Grant &a, const Grant &b) { return a.after < b.after; });
        double worst = -kCapacity;
        for (const Grant &first : grants) {
            double sum = 0;
            for (const Grant &g : grants) {
                if (g.before < first.before) continue;
                sum += g.tokens;
                const double ns = static_cast<double>(g.after - first.before + 1 + late_ns);
                worst = std::max(worst, sum - kCapacity - kRate * ns / kSecond);
            }
        }
        std::printf("%zu tokens; the fullest window had %.2f less than its bound\n", grants.size(), -worst);
        EXPECT_LE(worst, 1e-6);
        // Nothing is kept for one that is gone, or lost to all.
        const double most = kCapacity + kRate * static_cast<double>(kDurationNs) / kSecond;
        EXPECT_GT(static_cast<double>(grants.size()), most / 2);
        ::usleep(static_cast<useconds_t>(1e6 * kCapacity / kRate) + 1000);
        EXPECT_EQ(table_ != nullptr ? available(table_, "key") : available(bucket_.get()), kCapacity);
    }

    Log *log_ = nullptr;
    BucketHandle bucket_;
    TableHandle table_;  // of tests with a key
};

TEST_F(Windows, OfTakes) {
    const auto take = [this](double n) { return tb_allow(bucket_.get(), n) == TB_SUCCESS; };
    run(take, take, take, take);
    expect_windows(0);
}

TEST_F(Windows, OfWaits) {
    const auto wait = [this](double n) { return tb_wait(bucket_.get(), n) == TB_SUCCESS; };
    run(wait, wait, wait, wait);
    expect_windows(kLatenessNs);
}

TEST_F(Windows, OfTakesAndWaits) {
    const auto take = [this](double n) { return tb_allow(bucket_.get(), n) == TB_SUCCESS; };
    const auto wait = [this](double n) { return tb_wait_for(bucket_.get(), n, kSecond) == TB_SUCCESS; };
    run(take, wait, take, wait);
    expect_windows(kLatenessNs);
}

class KeyWindows : public Windows {
  protected:
    void SetUp() override {
        Windows::SetUp();
        if (IsSkipped()) return;
        if (tb_has_feature("lock_free_table") == 0) GTEST_SKIP() << "no shared tables here";
        open_table();
    }
};

TEST_F(KeyWindows, OfWaits) {
    const auto wait = [this](double n) { return ask(tb_table_wait_for, table_, "key", n, TB_FOREVER) == TB_SUCCESS; };
    run(wait, wait, wait, wait);
    expect_windows(kLatenessNs);
}

TEST_F(KeyWindows, OfTakesAndWaits) {
    const auto take = [this](double n) { return ask(tb_table_allow, table_, "key", n) == TB_SUCCESS; };
    const auto wait = [this](double n) { return ask(tb_table_wait_for, table_, "key", n, kSecond) == TB_SUCCESS; };
    run(take, wait, take, wait);
    expect_windows(kLatenessNs);
}

}  // namespace
