// Many threads that wait, take, reserve and change their mind: nothing is lost, nothing is minted, nobody overtakes.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kScale = 5;
#else
constexpr int kScale = 1;
#endif

constexpr uint64_t kSeed = 20250311;

// What one thread knows of its own operations. All amounts are multiples of a quarter token: sums are exact.
struct Account {
    int64_t operations = 0;
    int64_t granted = 0;
    int64_t denied = 0;
    int64_t timed_out = 0;
    int64_t cancelled = 0;
    double granted_tokens = 0;
    double charged = 0;
    double refunded = 0;

    void add(const Account &a) {
        operations += a.operations;
        granted += a.granted;
        denied += a.denied;
        timed_out += a.timed_out;
        cancelled += a.cancelled;
        granted_tokens += a.granted_tokens;
        charged += a.charged;
        refunded += a.refunded;
    }
};

class Worker {
  public:
    Worker(tb_bucket *bucket, uint64_t seed) : bucket_(bucket), random_(seed), thread_([this] { run(); }) {}
    const Account &join() {
        thread_.join();
        return account_;
    }
    void signal() { pthread_kill(thread_.native_handle(), SIGUSR1); }
    int64_t operations() const { return operations_; }

  private:
    void run() {
        tb_status s = TB_SUCCESS;
        while (s != TB_CLOSED) {
            s = one_operation(random_() % 16, static_cast<double>(1 + random_() % 16) / 4);
            operations_ = ++account_.operations;
        }
    }

    tb_status noted(tb_status s, double n) {
        account_.granted += s == TB_SUCCESS;
        account_.granted_tokens += s == TB_SUCCESS ? n : 0;
        account_.denied += s == TB_DENIED;
        account_.timed_out += s == TB_TIMED_OUT;
        return s;
    }

    tb_status waited(tb_status s, double n) {
        account_.cancelled += s == TB_INTERRUPTED || s == TB_EXCEEDS_CAPACITY;
        return noted(s, n);
    }

    tb_status one_operation(uint64_t kind, double n) {
        const int64_t patience = static_cast<int64_t>(random_() % 64) * 1000;
        switch (kind) {
            case 0:
                return waited(tb_wait(bucket_, n), n);
            case 1:
                return waited(tb_wait_for(bucket_, n, patience), n);
            case 2:
                account_.charged += n;
                return unless_closed(tb_charge(bucket_, n, nullptr), &account_.charged, n);
            case 3:
                account_.refunded += n;
                return unless_closed(tb_refund(bucket_, n), &account_.refunded, n);
            case 4:
            case 5:
            case 6:
            case 7:
                return with_reservation(kind, n, patience);
            default:
                return noted(tb_allow(bucket_, n), n);
        }
    }

    static tb_status unless_closed(tb_status s, double *sum, double n) {
        if (s == TB_CLOSED) *sum -= n;
        return s;
    }

    tb_status with_reservation(uint64_t kind, double n, int64_t patience) {
        tb_reservation r{};
        const tb_status s = noted(tb_reserve(bucket_, n, patience, &r), n);
        if (s != TB_SUCCESS) return s;
        if (random_() % 4 == 0) std::this_thread::yield();
        if (kind == 4) return s;
        if (kind == 5) {
            const double actual = static_cast<double>(random_() % 20) / 4;
            const tb_status settled = tb_settle(bucket_, &r, actual);
            if (settled == TB_SUCCESS) account_.charged += std::max(0.0, actual - n);
            return settled;
        }
        account_.cancelled += 1;
        return tb_cancel(bucket_, &r);
    }

    tb_bucket *bucket_;
    std::mt19937_64 random_;
    Account account_;
    std::atomic<int64_t> operations_{0};
    std::thread thread_;
};

// The clock's hand and the limit's, in one thread, so that what has accrued is known exactly.
class Driver {
  public:
    Driver(tb_clock *clock, tb_bucket *bucket) : clock_(clock), bucket_(bucket), random_(kSeed) {}

    // Each microsecond brings per_us_ whole tokens. The clock only moves on where somebody would be served, so the
    // bucket stays far from full.
    void step(std::vector<std::unique_ptr<Worker>> *workers) {
        const int64_t due = next_due(clock_);
        if (due != TB_FOREVER) {
            advance((std::max(due, now_us_ * 1000) + 999) / 1000 - now_us_);
        } else if (available(bucket_) < 20) {
            advance(1 + static_cast<int64_t>(random_() % 4));
        }
        const uint64_t draw = random_() % 64;
        if (draw < 2) set_rate(1 + static_cast<int64_t>(random_() % 3));
        if (draw == 2) set_capacity(random_() % 2 == 0 ? 1e8 : 1e12);
        if (draw >= 3 && draw < 12) (*workers)[static_cast<std::size_t>(random_() % workers->size())]->signal();
        std::this_thread::yield();
    }

    double accrued() const { return accrued_; }

  private:
    void advance(int64_t us) {
        if (us <= 0) return;
        ASSERT_EQ(tb_manual_clock_advance(clock_, us * 1000), TB_SUCCESS);
        now_us_ += us;
        accrued_ += static_cast<double>(us * per_us_);
    }
    void set_rate(int64_t per_us) {
        ASSERT_EQ(tb_set_rate(bucket_, static_cast<double>(per_us) * 1e6), TB_SUCCESS);
        per_us_ = per_us;
    }

    void set_capacity(double capacity) { ASSERT_EQ(tb_set_capacity(bucket_, capacity), TB_SUCCESS); }

    tb_clock *clock_;
    tb_bucket *bucket_;
    std::mt19937_64 random_;
    int64_t now_us_ = 0;
    int64_t per_us_ = 1;
    double accrued_ = 0;
};

TEST(Conservation, AtRestTheBucketHoldsExactlyWhatTheAccountSays) {
    constexpr int kThreads = 16;
    constexpr int64_t kOperations = 1200000 / kScale;
    const QuietHandler handler(SIGUSR1);
    const ClockHandle clock = manual_clock();
    tb_config config = config_of(1e8, 1e6, clock.get());
    config.initial_tokens = 0;
    config.flags = TB_STATISTICS;
    const BucketHandle b = bucket_of(config);
    std::vector<std::unique_ptr<Worker>> workers;
    for (uint64_t i = 0; i < kThreads; ++i) workers.push_back(std::make_unique<Worker>(b.get(), kSeed + i));
    Driver driver(clock.get(), b.get());
    int64_t operations = 0;
    while (operations < kOperations) {
        driver.step(&workers);
        operations = 0;
        for (const auto &w : workers) operations += w->operations();
    }
    ASSERT_EQ(tb_close(b.get()), TB_SUCCESS);
    Account all;
    for (const auto &w : workers) all.add(w->join());

    tb_stats s{};
    s.struct_size = sizeof s;
    ASSERT_EQ(tb_get_stats(b.get(), &s), TB_SUCCESS);
    EXPECT_EQ(available(b.get()),
              driver.accrued() + all.refunded - all.charged - (s.tokens_taken - s.tokens_given_back));
    EXPECT_LT(driver.accrued() + all.refunded, 1e8) << "the bucket may have been full, which forgets what accrues";
    EXPECT_EQ(s.granted, all.granted);
    EXPECT_EQ(s.denied, all.denied);
    EXPECT_EQ(s.timed_out, all.timed_out);
    EXPECT_GE(s.cancelled, all.cancelled) << "and those that the close ended";
    EXPECT_LE(s.cancelled, all.cancelled + kThreads);
    EXPECT_GE(s.tokens_taken, all.granted_tokens);
    EXPECT_EQ(s.waiting, 0);
    std::cout << "operations " << all.operations << ", waits " << s.waits << ", timed out " << s.timed_out
              << ", cancelled " << s.cancelled << ", given back " << s.tokens_given_back << ", seed " << kSeed << "\n";
}

class ManyWaits : public Waits {
  protected:
    void wait_in_order(int count) {
        std::mt19937_64 random(kSeed);
        for (int i = 0; i < count; ++i) waiters.push_back(wait(static_cast<double>(1 + random() % 40) / 4));
        ASSERT_EQ(parked(), count);
    }
    std::vector<std::unique_ptr<Waiter>> waiters;
};

TEST_F(ManyWaits, AreServedOneByOneInTheOrderOfTheirArrival) {
    constexpr int kWaiters = 500;
    wait_in_order(kWaiters);
    for (int i = 0; i < kWaiters; ++i) {
        const int64_t next = due();
        ASSERT_EQ(tb_manual_clock_set(clock.get(), next - 1), TB_SUCCESS);
        ASSERT_EQ(parked(), kWaiters - i);
        ASSERT_EQ(tb_manual_clock_set(clock.get(), next), TB_SUCCESS);
        ASSERT_EQ(parked(), kWaiters - i - 1);
        ASSERT_EQ(waiters[static_cast<size_t>(i)]->join(), TB_SUCCESS) << i;
        ASSERT_TRUE(i + 1 == kWaiters || !waiters[static_cast<size_t>(i) + 1]->returned());
    }
    EXPECT_EQ(left(), 0);
}

TEST_F(ManyWaits, AreAllEndedByAClose) {
    wait_in_order(1000);
    ASSERT_EQ(tb_close(bucket.get()), TB_SUCCESS);
    EXPECT_EQ(parked(), 0);
    EXPECT_EQ(left(), 0);
    for (const auto &w : waiters) ASSERT_EQ(w->join(), TB_CLOSED);
}

// Everyone is ended by the destroying thread, which frees the bucket as soon as the last has left.
TEST_F(ManyWaits, AreAllOutBeforeTheBucketIsFreed) {
    for (int round = 0; round < 20; ++round) {
        start(10, 1);
        ASSERT_EQ(allow(10), TB_SUCCESS);
        wait_in_order(30);
        bucket.reset();
        for (const auto &w : waiters) ASSERT_EQ(w->join(), TB_CLOSED);
        waiters.clear();
    }
}

TEST_F(ManyWaits, ForTheWholeCapacityAreServedOnTimeInAStormOfTakers) {
    std::atomic<bool> stop{false};
    std::atomic<int64_t> refused{0};
    std::atomic<int64_t> overtook{0};
    const auto whole = wait(10);
    std::vector<std::thread> takers;
    for (int i = 0; i < 4; ++i)
        takers.emplace_back([&] {
            while (!stop) {
                if (tb_allow(bucket.get(), 1) == TB_SUCCESS) ++overtook;
                if (tb_wait_for(bucket.get(), 0.25, 0) == TB_SUCCESS) ++overtook;
                ++refused;
            }
        });
    for (int step = 1; step <= 100; ++step) {
        const int64_t seen = refused;
        while (refused < seen + 8) std::this_thread::yield();
        EXPECT_FALSE(whole->returned());
        advance(kSecond / 10);
    }
    EXPECT_EQ(whole->join(), TB_SUCCESS);
    stop = true;
    for (std::thread &t : takers) t.join();
    EXPECT_EQ(overtook, 0);
    EXPECT_EQ(left(), 0);
}

}  // namespace
