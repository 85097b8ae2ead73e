// Processes that share a table are killed (kills.h).
#include "tests/shared/kills.h"
#include "tests/support/table.h"

namespace {

using namespace tb_test;

constexpr int64_t kKeys = 4;
constexpr double kCapacity = 20;  // the largest, so that no change of it puts anything in

class Operations {
  public:
    // A patient one waits until another puts tokens in.
    Operations(const TableHandle *table, Ledger *ledger, uint64_t seed, bool patient)
        : table_(*table), ledger_(*ledger), trace_(seed), patient_(patient) {}

    // The last makes tokens vanish, which leaves room below the bound.
    static constexpr int64_t kKinds = 15;
    static constexpr int64_t kThatKeep = 14;
    void call(int64_t kind) {
        ledger_.count_call();
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
                tb_table_set_rate(table_.get(), trace_.one_in(2) ? kHardlyAnyRate : kHardlyAnyRate / 2);
                break;
            case 8:
                tb_table_set_capacity(table_.get(), kCapacity / static_cast<double>(trace_.between(1, 2)));
                break;
            case 9:
                look(key);
                break;
            case 10:
                if (ask(tb_table_wait_for, table_, key, n, patient_ ? TB_FOREVER : 30000) == TB_SUCCESS) grant(n);
                break;
            case 11:
                enqueue_and_leave(key, n);
                break;
            case 12:
                reserve_and_cancel(key, n);
                break;
            case 13: {
                tb_reservation r{};
                if (ask(tb_table_reserve, table_, key, n, int64_t{0}, &r) != TB_SUCCESS) break;
                grant(n);
                put(n / 2);
                ask(tb_table_settle, table_, key, &r, n / 2);
                break;
            }
            default:
                forget(key);
                break;
        }
    }

  private:
    void put(double n) { ledger_.put(n); }
    void grant(double n) { ledger_.grant(n); }

    // One that lies ahead has nothing yet, and comes due by no refund.
    void reserve_and_cancel(const std::string &key, double n) {
        tb_reservation r{};
        if (ask(tb_table_reserve, table_, key, n, TB_FOREVER, &r) != TB_SUCCESS) return;
        if (r.wait_ns == 0) grant(n);
        ask(tb_table_cancel, table_, key, &r);
    }
    void enqueue_and_leave(const std::string &key, double n) {
        uint64_t waiter = 0;
        int64_t wait_ns = 0;
        const int64_t timeout_ns = trace_.one_in(2) ? TB_FOREVER : kSecond;
        const int32_t priority = static_cast<int32_t>(trace_.between(-1, 1));
        tb_status s = ask(tb_table_enqueue, table_, key, n, timeout_ns, priority, uint64_t{0}, &waiter, &wait_ns);
        if (s == TB_PENDING) s = ask(tb_table_waiter_check, table_, key, waiter, &wait_ns);
        if (s == TB_SUCCESS) grant(n);
        if (s == TB_PENDING) ask(tb_table_waiter_leave, table_, key, waiter);
    }

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
    Ledger &ledger_;
    Trace trace_;
    const bool patient_;
};

class TableKills : public KillTest {
  protected:
    void SetUp() override {
        KillTest::SetUp();
        if (!IsSkipped() && tb_has_feature("lock_free_table") == 0) GTEST_SKIP() << "no shared tables here";
    }
    int64_t open(uint64_t n) override {
        open(kCapacity, kHardlyAnyRate, 256, TB_TABLE_DENY);
        return n % 2 == 0 ? Operations::kKinds : Operations::kThatKeep;
    }
    Call caller(uint64_t seed, bool is_patient) override {
        return [operations = Operations(&table_, ledger_, seed, is_patient)](int64_t kind) mutable {
            operations.call(kind);
        };
    }
    double left() override {
        double left = 0;
        for (int64_t key = 0; key < kKeys; ++key) {
            double tokens = 0;
            EXPECT_EQ(ask(tb_table_available, table_, std::to_string(key), &tokens), TB_SUCCESS);
            left += tokens;
        }
        return left;
    }

    void open(double capacity, double rate, int64_t max_bytes, int32_t when_full) {
        tb_config limit = config_of(capacity, rate, nullptr);
        limit.max_lateness_ns = 100000;  // so that the killed do not keep what they waited for
        tb_table_config config = table_config(when_full);
        config.max_bytes = max_bytes;
        tb_table *table = nullptr;
        ASSERT_EQ(tb_shared_table_open(&limit, &config, nullptr, 0, &table, nullptr), TB_SUCCESS);
        table_.reset(table);
        open_ledger(kCapacity * kKeys);
    }

    TableHandle table_;
};

TEST_F(TableKills, NothingIsGrantedTwiceAndNothingHangs) {
    kill_at_random();
}

// Else time would stand still for all keys until somebody changes the limit again.
TEST_F(TableKills, TimeGoesOnAfterAKilledChange) {
    open(1, 1000, 256, TB_TABLE_DENY);
    for (int i = 0; i < 100 && !HasFailure(); ++i) {
        const pid_t child = start([this] { tb_table_set_rate(table_.get(), 1000); });
        spin(int64_t{i} * 5000);
        kill(child);
        const int64_t end = tb::platform::monotonic_ns() + kSecond;
        int taken = 0;
        while (taken < 3 && tb::platform::monotonic_ns() < end)
            taken += ask(tb_table_allow, table_, "key", 1.0) == TB_SUCCESS;
        EXPECT_EQ(taken, 3);
    }
}

// A process that is stopped within a change holds up the time of all, but no take; once it is killed, nothing.
TEST_F(TableKills, TakesGoOnWhileAChangeIsStopped) {
    constexpr int kAttempts = 1000;
    open(1, 1e6, 256, TB_TABLE_DENY);
    const auto takes = [this] { return ask(tb_table_allow, table_, "key", 1.0) == TB_SUCCESS; };
    const auto let_time_pass = [] { spin(kMillisecond); };  // after a change it stands still for a moment
    const pid_t child = start([this] { tb_table_set_rate(table_.get(), 1e6); });
    bool time_stood_still = false;
    for (int i = 0; i < kAttempts && !time_stood_still; ++i) {
        ::kill(child, SIGCONT);
        spin(int64_t{i} * 1000);
        int status = 0;
        ::kill(child, SIGSTOP);
        ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
        ASSERT_TRUE(WIFSTOPPED(status));
        ::alarm(kHangSeconds);
        takes();
        let_time_pass();
        time_stood_still = !takes();
        ::alarm(0);
    }
    EXPECT_TRUE(time_stood_still);
    kill(child);
    takes();  // ends the change, or is granted
    let_time_pass();
    EXPECT_TRUE(takes());
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
        spin(trace.below(10000));
        kill(child);
        tb_status s = ask(tb_table_allow, table_, std::to_string(trace.draw()), 1.0);
        denied += s == TB_TABLE_FULL;
        if (s == TB_TABLE_FULL) s = ask(tb_table_allow, table_, std::to_string(trace.draw()), 1.0);
        EXPECT_EQ(s, TB_SUCCESS);
    }
    std::printf("%d times all places were those of the killed\n", denied);
}

}  // namespace
