// Processes that share a bucket are killed (kills.h).
#include <sys/resource.h>

#include "tests/shared/kills.h"
#include "tests/support/api.h"

namespace {

using namespace tb_test;

constexpr double kCapacity = 1000;  // more than is ever there, so that nothing overflows
constexpr double kInitial = 20;

class Operations {
  public:
    // A patient one waits until another puts tokens in. Where debt may be forgiven, what a charge takes counts as lost
    // rather than as got: else the forgiven debt would be tokens that nobody put in.
    Operations(tb_bucket *bucket, Ledger *ledger, uint64_t seed, bool patient, int64_t kinds)
        : bucket_(bucket), ledger_(*ledger), trace_(seed), patient_(patient), forgives_debt_(kinds == kKinds) {}

    // The last two set the tokens: they make some vanish, which leaves room below the bound, and forgive debt.
    static constexpr int64_t kKinds = 16;
    static constexpr int64_t kThatKeep = 14;
    void call(int64_t kind) {
        ledger_.count_call();
        const double n = static_cast<double>(trace_.between(1, 12)) / 4;
        tb_reservation r{};
        double taken = 0;
        switch (kind) {
            case 0:
                if (tb_allow(bucket_, n) == TB_SUCCESS) grant(n);
                break;
            case 1: {
                tb_decision decision;
                if (tb_take(bucket_, n, &decision) == TB_SUCCESS) grant(n);
                break;
            }
            case 2:
                if (tb_take_up_to(bucket_, 3, &taken) == TB_SUCCESS) grant(taken);
                break;
            case 3:
                reserve_and_cancel(n);
                break;
            case 4:
                if (tb_reserve(bucket_, n, 0, &r) != TB_SUCCESS) break;
                grant(n);
                put(n / 2);
                tb_settle(bucket_, &r, n / 2);
                break;
            case 5:
                if (tb_charge(bucket_, n, nullptr) == TB_SUCCESS && !forgives_debt_) grant(n);
                break;
            case 6:
            case 7:
                put(n);
                tb_refund(bucket_, n);
                break;
            case 8:
                tb_set_rate(bucket_, trace_.one_in(2) ? kHardlyAnyRate : kHardlyAnyRate / 2);
                break;
            case 9:
                tb_set_capacity(bucket_, kCapacity / static_cast<double>(trace_.between(1, 2)));
                break;
            case 10:
                if (tb_wait_for(bucket_, n, patient_ ? TB_FOREVER : 30000) == TB_SUCCESS) grant(n);
                break;
            case 11:
            case 12:
                enqueue_and_leave(n);
                break;
            case 13:
                look();
                break;
            case 14:
                put(n);
                tb_set_tokens(bucket_, n);
                break;
            default:
                put(n);
                tb_reset(bucket_, n);
                break;
        }
    }

  private:
    void put(double n) { ledger_.put(n); }
    void grant(double n) { ledger_.grant(n); }

    // One that lies ahead has nothing yet, and comes due by no refund.
    void reserve_and_cancel(double n) {
        tb_reservation r{};
        if (tb_reserve(bucket_, n, TB_FOREVER, &r) != TB_SUCCESS) return;
        if (r.wait_ns == 0) grant(n);
        tb_cancel(bucket_, &r);
    }
    void enqueue_and_leave(double n) {
        uint64_t waiter = 0;
        int64_t wait_ns = 0;
        const int64_t timeout_ns = trace_.one_in(2) ? TB_FOREVER : kSecond;
        const int32_t priority = static_cast<int32_t>(trace_.between(-1, 1));
        tb_status s = tb_enqueue(bucket_, n, timeout_ns, priority, 0, &waiter, &wait_ns);
        if (s == TB_PENDING) s = tb_waiter_check(bucket_, waiter, &wait_ns);
        if (s == TB_SUCCESS) grant(n);
        if (s == TB_PENDING) tb_waiter_leave(bucket_, waiter);
    }
    void look() {
        double tokens = 0;
        int64_t ns = 0;
        tb_config config;
        tb_config_init(&config, sizeof config);
        tb_available(bucket_, &tokens);
        tb_time_until(bucket_, 1, &ns);
        tb_get_limit(bucket_, &config);
    }

    tb_bucket *const bucket_;
    Ledger &ledger_;
    Trace trace_;
    const bool patient_;
    const bool forgives_debt_;
};

class Kills : public KillTest {
  protected:
    // The places of waiters that were killed stay taken until their turn has come, so there is a new bucket at times.
    int64_t open(uint64_t n) override {
        open();
        kinds_ = n % 4 == 0 ? Operations::kKinds : Operations::kThatKeep;
        return kinds_;
    }
    Call caller(uint64_t seed, bool is_patient) override {
        return [operations = Operations(bucket_.get(), ledger_, seed, is_patient, kinds_)](int64_t kind) mutable {
            operations.call(kind);
        };
    }
    double left() override { return available(bucket_.get()); }

    void open() {
        tb_config config = config_of(kCapacity, kHardlyAnyRate, nullptr);
        config.max_lateness_ns = 100000;  // so that the killed do not keep what they waited for
        config.initial_tokens = kInitial;
        tb_bucket *bucket = nullptr;
        ASSERT_EQ(tb_shared_open(&config, nullptr, 0, &bucket, nullptr), TB_SUCCESS);
        bucket_.reset(bucket);
        open_ledger(kInitial);
    }

    BucketHandle bucket_;
    int64_t kinds_ = 0;
};

TEST_F(Kills, NothingIsGrantedTwiceAndNothingHangs) {
    kill_at_random();
}

// Else a few that are killed would fill a queue of max_waiters for ever.
TEST_F(Kills, AKilledWaiterDoesNotCountForEver) {
    tb_config config = config_of(10, 1000, nullptr);
    config.max_waiters = 1;
    config.max_lateness_ns = 1000;
    tb_bucket *bucket = nullptr;
    ASSERT_EQ(tb_shared_open(&config, nullptr, 0, &bucket, nullptr), TB_SUCCESS);
    bucket_.reset(bucket);
    EXPECT_EQ(tb_charge(bucket, 210, nullptr), TB_SUCCESS);
    const pid_t child = ::fork();
    if (child == 0) {
        uint64_t waiter = 0;
        int64_t wait_ns = 0;
        ::_exit(tb_enqueue(bucket, 10, TB_FOREVER, 0, 0, &waiter, &wait_ns) == TB_PENDING ? ::raise(SIGKILL) : 1);
    }
    EXPECT_EQ(end_of(child), -SIGKILL);
    tb_status s = TB_QUEUE_FULL;
    for (int i = 0; i < 200 && s == TB_QUEUE_FULL; ++i) {
        ::usleep(10000);
        if (available(bucket) > 0) tb_charge(bucket, 20, nullptr);
        s = tb_wait_for(bucket, 1, kSecond);
    }
    EXPECT_EQ(s, TB_SUCCESS);
}

// A process that dies with a lock leaves it to nobody, also where it has children that know the bucket but never call a
// function of it, and where these had no descriptor left to open locks of their own.
TEST_F(Kills, AKilledParentLeavesNoLockToItsChildren) {
    constexpr int kParents = 20;
    open();
    for (int i = 0; i < kParents; ++i) {
        int alive[2];
        ASSERT_EQ(::pipe(alive), 0);
        const pid_t parent = ::fork();
        if (parent == 0) {
            ::setpgid(0, 0);
            tb_refund(bucket_.get(), 1);  // now it has locks of its own
            const rlimit none_free{3, 3};
            if (i % 2 != 0) ::setrlimit(RLIMIT_NOFILE, &none_free);
            if (::fork() == 0) ::pause();
            if (::write(alive[1], "x", 1) != 1) ::_exit(1);
            for (;;) tb_refund(bucket_.get(), 1);
        }
        char x = 0;
        EXPECT_EQ(::read(alive[0], &x, 1), 1);
        spin(kMillisecond);
        ::kill(parent, SIGKILL);
        EXPECT_EQ(end_of(parent), -SIGKILL);
        ::alarm(5);
        EXPECT_EQ(tb_refund(bucket_.get(), 1), TB_SUCCESS);
        ::alarm(0);
        ::kill(-parent, SIGKILL);
        ::close(alive[0]);
        ::close(alive[1]);
    }
}

// A server opens its bucket as root, and its children then become another user.
TEST_F(Kills, AChildMayLoseItsRights) {
    if (::geteuid() != 0) GTEST_SKIP() << "not root";
    open();
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(5);
        ::_exit(::setuid(65534) == 0 ? tb_refund(bucket_.get(), 1) : 1);
    }
    EXPECT_EQ(end_of(child), TB_SUCCESS);
}

}  // namespace
