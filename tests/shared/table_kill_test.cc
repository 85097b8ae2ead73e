// As kill_test.cc, of processes that share a table.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "core/platform/counter.h"
#include "core/platform/platform.h"
#include "tests/support/effort.h"
#include "tests/support/table.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

constexpr int64_t kKeys = 4;
constexpr double kCapacity = 20;  // the largest, so that no change of it puts anything in
constexpr double kRate = 1e-6;    // next to nothing accrues during a test

// In sixteenths of a token, by all processes and for all keys.
struct Counts {
    std::atomic<int64_t> put_in{static_cast<int64_t>(16 * kCapacity) * kKeys};
    std::atomic<int64_t> got{0};
    std::atomic<int64_t> calls{0};
};

class Operations {
  public:
    Operations(const TableHandle *table, Counts *counts, uint64_t seed)
        : table_(*table), counts_(*counts), trace_(seed) {}

    // The last makes tokens vanish, which leaves room below the bound.
    static constexpr int64_t kKinds = 11;
    static constexpr int64_t kThatKeep = 10;
    void call(int64_t kind) {
        counts_.calls.fetch_add(1, std::memory_order_relaxed);
        const std::string key = std::to_string(trace_.below(kKeys));
        const double n = static_cast<double>(trace_.between(1, 12)) / 4;
        tb_decision decision;
        double x = 0;
        int64_t ns = 0;
        switch (kind) {
            case 0:
                if (ask(tb_table_allow, table_, key, n) == TB_SUCCESS) grant(n);
                break;
            case 1:
                if (ask(tb_table_take, table_, key, n, &decision) == TB_SUCCESS) grant(n);
                break;
            case 2:
                if (ask(tb_table_take_up_to, table_, key, 3.0, &x) == TB_SUCCESS) grant(x);
                break;
            case 3:
                many();
                break;
            case 4:
                if (ask(tb_table_charge, table_, key, n, &ns) == TB_SUCCESS) grant(n);
                break;
            case 5:
            case 6:
                put(n);
                ask(tb_table_refund, table_, key, n);
                break;
            case 7:
                tb_table_set_rate(table_.get(), trace_.one_in(2) ? kRate : kRate / 2);
                break;
            case 8:
                tb_table_set_capacity(table_.get(), kCapacity / static_cast<double>(trace_.between(1, 2)));
                break;
            case 9:
                look(key);
                break;
            default:
                forget(key);
                break;
        }
    }

  private:
    static int64_t sixteenths(double n) { return static_cast<int64_t>(16 * n); }
    void put(double n) { counts_.put_in.fetch_add(sixteenths(n)); }
    void grant(double n) { counts_.got.fetch_add(sixteenths(n)); }

    void many() {
        const size_t sizes[] = {1, 1, 1, 1};
        tb_status answers[4];
        if (tb_table_allow_many(table_.get(), "0123", sizes, nullptr, 4, answers) != TB_SUCCESS) return;
        grant(static_cast<double>(std::count(answers, answers + 4, TB_SUCCESS)));
    }
    void look(const std::string &key) {
        double tokens = 0;
        int64_t ns = 0;
        tb_config config;
        tb_config_init(&config, sizeof config);
        tb_table_stats stats{};
        stats.struct_size = sizeof stats;
        ask(tb_table_available, table_, key, &tokens);
        ask(tb_table_time_until, table_, key, 1.0, &ns);
        tb_table_get_limit(table_.get(), &config);
        tb_table_get_stats(table_.get(), &stats);
    }
    // It is full then, whatever it owed before.
    void forget(const std::string &key) {
        double tokens = 0;
        ask(tb_table_available, table_, key, &tokens);
        put(2 * kCapacity + (tokens < 0 ? -tokens : 0));
        ask(tb_table_remove, table_, key);
    }

    const TableHandle &table_;
    Counts &counts_;
    Trace trace_;
};

void spin(int64_t ns) {
    const int64_t until = tb::platform::monotonic_ns() + ns;
    while (tb::platform::monotonic_ns() < until) tb::platform::pause();
}

class TableKills : public testing::Test {
  protected:
    static constexpr unsigned kHangSeconds = 5;

    void SetUp() override {
        if (tb_has_feature("shared_memory") == 0 || tb_has_feature("lock_free_table") == 0)
            GTEST_SKIP() << "no shared tables here";
        void *const memory = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ASSERT_NE(memory, MAP_FAILED);
        counts_ = new (memory) Counts;
    }
    void TearDown() override {
        if (counts_ != nullptr) ::munmap(counts_, sizeof(Counts));
    }

    void open(double capacity, double rate, int64_t max_bytes, int32_t when_full) {
        const tb_config limit = config_of(capacity, rate, nullptr);
        tb_table_config config = table_config(when_full);
        config.max_bytes = max_bytes;
        tb_table *table = nullptr;
        ASSERT_EQ(tb_shared_table_open(&limit, &config, nullptr, 0, &table, nullptr), TB_SUCCESS);
        table_.reset(table);
        new (counts_) Counts;
    }
    // Runs f() again and again until it is killed.
    template <class F>
    static pid_t start(F f) {
        const pid_t child = ::fork();
        if (child != 0) return child;
        for (;;) f();
    }
    static void kill(pid_t child) {
        int status = 0;
        ::kill(child, SIGKILL);
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    }
    pid_t start_any(uint64_t seed, int64_t kinds) {
        return start([operations = Operations(&table_, counts_, seed), trace = Trace(seed + 1), kinds]() mutable {
            operations.call(trace.below(kinds));
        });
    }

    void expect_bounded() {
        double left = 0;
        for (int64_t key = 0; key < kKeys; ++key) {
            double tokens = 0;
            EXPECT_EQ(ask(tb_table_available, table_, std::to_string(key), &tokens), TB_SUCCESS);
            left += tokens;
        }
        EXPECT_LE(static_cast<double>(counts_->got) / 16 + left, static_cast<double>(counts_->put_in) / 16 + 0.001);
    }

    Counts *counts_ = nullptr;
    TableHandle table_;
};

TEST_F(TableKills, NothingIsGrantedTwiceAndNothingHangs) {
    constexpr std::size_t kChildren = 3;
    constexpr std::size_t kVictims = 2;  // at once; the others go on
    constexpr uint64_t kRoundsOfATable = 50;
    const uint64_t tables = support::effort("TB_KILLS", 2500, 400) / (kRoundsOfATable * kVictims);
    Trace trace(support::effort("TB_KILLS_SEED", 1, 1));
    int64_t slowest_ns = 0;
    int64_t calls = 0;
    int64_t got = 0;
    for (uint64_t table = 0; table < tables && !HasFailure(); ++table) {
        open(kCapacity, kRate, 256, TB_TABLE_DENY);
        const int64_t kinds = table % 2 == 0 ? Operations::kKinds : Operations::kThatKeep;
        Operations own(&table_, counts_, trace.draw());
        std::vector<pid_t> children;
        for (std::size_t i = 0; i < kChildren; ++i) children.push_back(start_any(trace.draw(), kinds));
        for (uint64_t round = 0; round < kRoundsOfATable && !HasFailure(); ++round) {
            spin(trace.below(100000));
            for (std::size_t i = 0; i < kVictims; ++i) kill(children[i]);
            ::alarm(kHangSeconds);  // nothing catches it
            for (int64_t kind = 0; kind < kinds; ++kind) {
                const int64_t before = tb::platform::monotonic_ns();
                own.call(kind);
                slowest_ns = std::max(slowest_ns, tb::platform::monotonic_ns() - before);
            }
            ::alarm(0);
            expect_bounded();
            for (std::size_t i = 0; i < kVictims; ++i) children[i] = start_any(trace.draw(), kinds);
            std::rotate(children.begin(), children.begin() + 1, children.end());
        }
        for (const pid_t child : children) kill(child);
        expect_bounded();
        calls += counts_->calls;
        got += counts_->got;
    }
    std::printf("slowest call %.3f ms of %lld, %.0f tokens\n", static_cast<double>(slowest_ns) / 1e6,
                static_cast<long long>(calls), static_cast<double>(got) / 16);
}

// Else time would stand still for all keys until somebody changes the limit again.
TEST_F(TableKills, TimeGoesOnAfterAKilledChange) {
    open(1, 1000, 256, TB_TABLE_DENY);
    for (int i = 0; i < 100 && !HasFailure(); ++i) {
        const pid_t child = start([this] { tb_table_set_rate(table_.get(), 1000); });
        spin(kMillisecond + int64_t{i} * 5000);
        kill(child);
        const int64_t end = tb::platform::monotonic_ns() + kSecond;
        int taken = 0;
        while (taken < 3 && tb::platform::monotonic_ns() < end)
            taken += ask(tb_table_allow, table_, "key", 1.0) == TB_SUCCESS;
        EXPECT_EQ(taken, 3);
    }
}

// A process that is stopped within a change holds up the time of all, but no take.
TEST_F(TableKills, TakesGoOnWhileAChangeIsStopped) {
    constexpr int kAttempts = 50;
    open(1, 1000, 256, TB_TABLE_DENY);
    const auto takes = [this] { return ask(tb_table_allow, table_, "key", 1.0) == TB_SUCCESS; };
    bool time_stood_still = false;
    for (int i = 0; i < kAttempts && !time_stood_still; ++i) {
        const pid_t child = start([this] { tb_table_set_rate(table_.get(), 1000); });
        spin(kMillisecond);
        int status = 0;
        ::kill(child, SIGSTOP);
        EXPECT_EQ(::waitpid(child, &status, WUNTRACED), child);
        EXPECT_TRUE(WIFSTOPPED(status));
        ::alarm(kHangSeconds);
        takes();
        spin(10 * kMillisecond);
        time_stood_still = !takes();
        ::alarm(0);
        kill(child);
        spin(2 * kMillisecond);
        takes();  // ends the change, or is granted
        spin(2 * kMillisecond);
        EXPECT_TRUE(takes());
    }
    EXPECT_TRUE(time_stood_still);
}

// A key that was never confirmed is asked for by nobody any more. A new one finds room all the same: at the latest the
// second time.
TEST_F(TableKills, PlacesOfTheKilledAreGivenAway) {
    open(1, 1e9, 64, TB_TABLE_DENY);  // full again after a nanosecond
    Trace trace(1);
    int denied = 0;
    for (int i = 0; i < 200 && !HasFailure(); ++i) {
        const pid_t child = start([this, keys = Trace(trace.draw())]() mutable {
            ask(tb_table_allow, table_, std::to_string(keys.draw()), 1.0);
        });
        spin(kMillisecond + trace.below(10000));
        kill(child);
        tb_status s = ask(tb_table_allow, table_, std::to_string(trace.draw()), 1.0);
        denied += s == TB_TABLE_FULL;
        if (s == TB_TABLE_FULL) s = ask(tb_table_allow, table_, std::to_string(trace.draw()), 1.0);
        EXPECT_EQ(s, TB_SUCCESS);
    }
    std::printf("%d times all places were those of the killed\n", denied);
}

}  // namespace
