// Waiters that are no threads, among many threads: nothing is lost, nothing is minted, every wake that is owed comes,
// and none comes too late.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/effort.h"
#include "tests/support/waiter.h"

namespace {

using namespace tb_test;

constexpr uint64_t kSeed = 20261129;

struct Place {
    tb_status status = TB_SUCCESS;
    uint64_t waiter = 0;
    int64_t wait_ns = 0;
};

Place enter(tb_bucket *bucket, double n, uint64_t tag, int64_t timeout_ns = TB_FOREVER, int32_t priority = 0) {
    Place p;
    p.status = tb_enqueue(bucket, n, timeout_ns, priority, tag, &p.waiter, &p.wait_ns);
    return p;
}

tb_status check(tb_bucket *bucket, uint64_t waiter) {
    int64_t wait_ns = 0;
    return tb_waiter_check(bucket, waiter, &wait_ns);
}

// ---- A storm
// ---------------------------------------------------------------------------------------------------------

// Exact: all that comes in and goes out is known. Wild: resets, what a server says, and small capacities, too.
enum class Phase { exact, wild, over };

// What one thread knows of its own operations. All amounts are multiples of a quarter token: sums are exact.
struct Account {
    double granted = 0;
    double charged = 0;
    double refunded = 0;
    double put_in = 0;  // by resets and the like, at most
};

class Storm {
  public:
    static constexpr int kThreads = 64;
    static constexpr double kMost = 4;  // tokens at a time
    static constexpr double kCapacity = 1e8;

    Storm() {
        tb_config c = config_of(kCapacity, 1e6, clock_.get());
        c.initial_tokens = 0;
        c.flags = TB_STATISTICS;
        c.on_wake = [](void *self, uint64_t tag) { static_cast<Storm *>(self)->wake(tag); };
        c.wake_user = this;
        bucket_ = bucket_of(c);
        for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this, i] { run(i); });
    }
    ~Storm() {
        for (std::thread &t : threads_) t.join();
    }
    Storm(const Storm &) = delete;
    Storm &operator=(const Storm &) = delete;

    void play(Phase phase, int64_t operations) {
        accrued_ = 0;
        accounts_.fill({});
        operations_ = 0;
        idle_ = 0;
        phase_ = phase;
        running_ = true;
        ++round_;
        const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(2);
        while (operations_ < operations || idle_ < kThreads) {
            if (operations_ >= operations) running_ = false;
            if (std::chrono::steady_clock::now() < limit) {
                step();
            } else {
                ADD_FAILURE() << kThreads - idle_ << " threads wait, the clock counts " << waiting(clock());
                tb_close(bucket());
                operations_ = operations;
                running_ = false;
                while (idle_ < kThreads) std::this_thread::yield();
            }
        }
    }
    void end() {
        phase_ = Phase::over;
        ++round_;
    }

    double granted() const { return sum(&Account::granted); }
    double came_in() const { return accrued_ + sum(&Account::refunded); }
    double charged() const { return sum(&Account::charged); }
    double put_in() const { return sum(&Account::put_in); }
    tb_bucket *bucket() { return bucket_.get(); }
    tb_clock *clock() { return clock_.get(); }
    int64_t wakes() const { return wakes_; }

    // Nobody waits, so it is a bucket as new.
    void start_anew() {
        ASSERT_EQ(tb_set_capacity(bucket(), kCapacity), TB_SUCCESS);
        ASSERT_EQ(tb_set_rate(bucket(), 1e6), TB_SUCCESS);
        per_us_ = 1;
        ASSERT_EQ(tb_reset(bucket(), 0), TB_SUCCESS);
    }

  private:
    // Told by the thread's number.
    void wake(uint64_t tag) {
        ++wakes_;
        woken_.at(static_cast<std::size_t>(tag)).fetch_add(1);
        woken_.at(static_cast<std::size_t>(tag)).notify_all();
    }

    void run(int i) {
        std::mt19937_64 random(kSeed + static_cast<uint64_t>(i));
        // Each thread takes part in each round, also if that is over before the thread has run.
        for (int seen = 0;; ++seen) {
            while (round_ == seen) std::this_thread::yield();
            const Phase phase = phase_;
            if (phase == Phase::over) return;
            Account *const a = &accounts_.at(static_cast<std::size_t>(i));
            std::vector<std::pair<uint64_t, double>> places;
            while (running_) {
                operation(i, phase, &random, &places, a);
                ++operations_;
            }
            for (const auto &[waiter, n] : places) give_up(waiter);
            ++idle_;
        }
    }

    void operation(int i, Phase phase, std::mt19937_64 *random, std::vector<std::pair<uint64_t, double>> *places,
                   Account *a) {
        const double n = static_cast<double>(1 + (*random)() % 16) / 4;
        const int64_t timeout = (*random)() % 2 == 0 ? TB_FOREVER : static_cast<int64_t>((*random)() % 64) * 1000;
        const auto priority = static_cast<int32_t>((*random)() % 3) - 1;
        switch ((*random)() % 24) {
            case 0:
                if (tb_charge(bucket(), n, nullptr) == TB_SUCCESS) a->charged += n;
                return;
            case 1:
                if (tb_refund(bucket(), n) == TB_SUCCESS) a->refunded += n;
                return;
            case 2:
                if (phase == Phase::wild) return change(i, random, a);
                [[fallthrough]];
            case 3:
            case 4:
                if (tb_allow(bucket(), n) == TB_SUCCESS) a->granted += n;
                return;
            default:
                break;
        }
        if (i % 3 == 0) {
            if (tb_wait_with(bucket(), n, timeout, priority) == TB_SUCCESS) a->granted += n;
        } else if (i % 3 == 1) {
            poll(i, n, timeout, priority, random, places, a);
        } else {
            sleep(i, n, timeout, priority, a);
        }
    }

    void change(int i, std::mt19937_64 *random, Account *a) {
        const auto k = static_cast<double>((*random)() % 3);
        if (i % 8 != 0) return;
        switch ((*random)() % 3) {
            case 0:
                if (tb_reset(bucket(), k) == TB_SUCCESS) a->put_in += k + kThreads * kPlaces * kMost;
                return;
            case 1:
                if (tb_set_tokens(bucket(), k) == TB_SUCCESS) a->put_in += k + kThreads * kPlaces * kMost;
                return;
            default:
                EXPECT_EQ(tb_set_capacity(bucket(), 2 + k), TB_SUCCESS);
        }
    }

    // Holds some places, looks at one now and then, and leaves some.
    void poll(int i, double n, int64_t timeout, int32_t priority, std::mt19937_64 *random,
              std::vector<std::pair<uint64_t, double>> *places, Account *a) {
        if (places->size() < kPlaces && (*random)() % 2 == 0) {
            const Place p = enter(bucket(), n, static_cast<uint64_t>(i), timeout, priority);
            if (p.status == TB_SUCCESS) a->granted += n;
            if (p.status == TB_PENDING) places->emplace_back(p.waiter, n);
            return;
        }
        if (places->empty()) return;
        const std::size_t which = static_cast<std::size_t>((*random)() % places->size());
        const auto [waiter, cost] = (*places)[which];
        if ((*random)() % 4 == 0) {
            give_up(waiter);
        } else {
            const tb_status s = check(bucket(), waiter);
            EXPECT_NE(s, TB_E_INVALID_ARGUMENT);
            if (s == TB_PENDING) return;
            if (s == TB_SUCCESS) a->granted += cost;
        }
        places->erase(places->begin() + static_cast<std::ptrdiff_t>(which));
    }

    // Looks only when it is called.
    void sleep(int i, double n, int64_t timeout, int32_t priority, Account *a) {
        std::atomic<uint32_t> &woken = woken_.at(static_cast<std::size_t>(i));
        uint32_t seen = woken;
        Place p = enter(bucket(), n, static_cast<uint64_t>(i), timeout, priority);
        while (p.status == TB_PENDING) {
            woken.wait(seen);
            seen = woken;
            p.status = check(bucket(), p.waiter);
        }
        EXPECT_NE(p.status, TB_E_INVALID_ARGUMENT);
        if (p.status == TB_SUCCESS) a->granted += n;
    }

    void give_up(uint64_t waiter) { EXPECT_EQ(tb_waiter_leave(bucket(), waiter), TB_SUCCESS); }

    // The clock's hand and the rate's, in one thread, so that what has accrued is known exactly: each microsecond
    // brings per_us_ whole tokens. The clock only moves on where somebody would be served.
    void step() {
        const int64_t due = next_due(clock());
        if (due != TB_FOREVER) {
            advance((std::max(due, now_us_ * 1000) + 999) / 1000 - now_us_);
        } else if (available(bucket()) < 20) {
            advance(1 + static_cast<int64_t>(random_() % 4));
        }
        const uint64_t draw = random_() % 64;
        if (draw < 2) {
            per_us_ = 1 + static_cast<int64_t>(random_() % 3);
            ASSERT_EQ(tb_set_rate(bucket(), static_cast<double>(per_us_) * 1e6), TB_SUCCESS);
        }
        if (draw == 2) {
            ASSERT_EQ(tb_set_capacity(bucket(), random_() % 2 == 0 ? kCapacity : 1e12), TB_SUCCESS);
        }
        std::this_thread::yield();
    }
    void advance(int64_t us) {
        if (us <= 0) return;
        ASSERT_EQ(tb_manual_clock_advance(clock(), us * 1000), TB_SUCCESS);
        now_us_ += us;
        accrued_ += static_cast<double>(us * per_us_);
    }
    double sum(double Account::*what) const {
        double all = 0;
        for (const Account &a : accounts_) all += a.*what;
        return all;
    }

    static constexpr std::size_t kPlaces = 4;

    const ClockHandle clock_ = manual_clock();
    BucketHandle bucket_;
    std::array<std::atomic<uint32_t>, kThreads> woken_{};
    std::atomic<int64_t> wakes_{0};
    std::atomic<int64_t> operations_{0};
    std::atomic<int> idle_{0};
    std::atomic<bool> running_{false};
    std::atomic<int> round_{0};
    std::atomic<Phase> phase_{Phase::exact};
    std::array<Account, kThreads> accounts_;
    std::mt19937_64 random_{kSeed};
    int64_t now_us_ = 0;
    int64_t per_us_ = 1;
    double accrued_ = 0;
    std::vector<std::thread> threads_;
};

TEST(EnqueueStorm, WhateverWentOnNothingIsLostOrMinted) {
    const auto operations = static_cast<int64_t>(support::effort("TB_STORM_OPERATIONS", 60000, 15000));
    Storm storm;
    for (int round = 0; round < 4 && !testing::Test::HasFailure(); ++round) {
        storm.start_anew();
        EXPECT_EQ(available(storm.bucket()), 0);
        storm.play(Phase::exact, operations);
        EXPECT_EQ(waiting(storm.clock()), 0);
        EXPECT_EQ(available(storm.bucket()), storm.came_in() - storm.charged() - storm.granted());

        storm.start_anew();
        storm.play(Phase::wild, operations);
        EXPECT_EQ(waiting(storm.clock()), 0);
        EXPECT_LE(storm.granted(), storm.came_in() + storm.charged() + storm.put_in());
        tb_stats s{};
        s.struct_size = sizeof s;
        ASSERT_EQ(tb_get_stats(storm.bucket(), &s), TB_SUCCESS);
        EXPECT_EQ(s.waiting, 0);
    }
    storm.end();
    std::cout << "wakes " << storm.wakes() << ", seed " << kSeed << "\n";
}

// ---- Wakes and leaving
// -----------------------------------------------------------------------------------------------

// An empty bucket of 10 tokens, 1 per second, whose wakes go to a function of the test.
class Wakes : public ManualBucket {
  protected:
    void SetUp() override { make(); }
    void TearDown() override { bucket.reset(); }
    void make() {
        if (clock == nullptr) clock = manual_clock();
        tb_config c = config_of(10, 1, clock.get());
        c.initial_tokens = 0;
        c.flags = TB_STATISTICS;
        c.on_wake = [](void *self, uint64_t tag) { static_cast<Wakes *>(self)->on_wake(tag); };
        c.wake_user = this;
        bucket = bucket_of(c);
    }

    std::function<void(uint64_t)> on_wake = [](uint64_t) {};
};

// As a program keeps its waiters: by tag, under a lock that is held while one is told, and never during a call.
class Registry {
  public:
    void add(uint64_t tag) {
        const std::lock_guard<std::mutex> guard(mutex_);
        tags_.insert(tag);
    }
    void remove(uint64_t tag) {
        const std::lock_guard<std::mutex> guard(mutex_);
        tags_.erase(tag);
    }
    void wake(uint64_t tag) {
        const std::lock_guard<std::mutex> guard(mutex_);
        ++(tags_.count(tag) == 0 ? strays_ : told_);
    }
    int64_t told() const { return told_; }
    int64_t strays() const { return strays_; }

  private:
    std::mutex mutex_;
    std::set<uint64_t> tags_;
    int64_t told_ = 0;
    int64_t strays_ = 0;
};

// One leaves at the moment at which the one before it leaves, a refund covers it, or the clock reaches its time. Every
// second time the wake, where there is one, is held until the waiter is gone.
TEST_F(Wakes, MayBeUnderWayWhileTheirWaiterLeaves) {
    const auto rounds = static_cast<int>(support::effort("TB_WAKE_ROUNDS", 30000, 6000));
    Registry registry;
    std::atomic<uint64_t> left{0};
    on_wake = [&](uint64_t tag) {
        if (tag == 0) return;
        while (tag % 2 == 1 && left != tag) std::this_thread::yield();
        registry.wake(tag);
    };
    std::atomic<int> begun{0};
    std::atomic<int> acting{0};
    std::atomic<int> ended{0};
    std::atomic<uint64_t> before{0};
    std::thread other([&] {
        for (int i = 1; i <= rounds; ++i) {
            while (begun != i) std::this_thread::yield();
            acting = i;
            if (i % 3 == 0) {
                EXPECT_EQ(tb_waiter_leave(bucket.get(), before), TB_SUCCESS);
            } else if (i % 3 == 1) {
                EXPECT_EQ(tb_refund(bucket.get(), 5), TB_SUCCESS);
            } else {
                EXPECT_EQ(tb_manual_clock_advance(clock.get(), 5 * kSecond), TB_SUCCESS);
            }
            ended = i;
        }
    });
    for (int i = 1; i <= rounds; ++i) {
        const auto tag = static_cast<uint64_t>(i);
        ASSERT_EQ(tb_reset(bucket.get(), 0), TB_SUCCESS);
        const Place first = enter(bucket.get(), 4, 0);
        before = first.waiter;
        registry.add(tag);
        const Place p = enter(bucket.get(), 1, tag);
        ASSERT_EQ(p.status, TB_PENDING);
        begun = i;
        while (acting != i) std::this_thread::yield();
        EXPECT_EQ(tb_waiter_leave(bucket.get(), p.waiter), TB_SUCCESS);
        registry.remove(tag);
        left = tag;
        while (ended != i) std::this_thread::yield();
        EXPECT_EQ(check(bucket.get(), p.waiter), TB_E_INVALID_ARGUMENT);
        EXPECT_EQ(tb_waiter_leave(bucket.get(), first.waiter), i % 3 == 0 ? TB_E_INVALID_ARGUMENT : TB_SUCCESS);
        EXPECT_EQ(available(bucket.get()), i % 3 == 0 ? 0 : 5) << i;
    }
    other.join();
    EXPECT_GT(registry.strays(), 0);
    std::cout << "told " << registry.told() << ", gone by then " << registry.strays() << "\n";
}

// A clock's call that is in progress keeps its bucket.
TEST_F(Wakes, OfAClockAreOverBeforeTheirBucketIsFreed) {
    const auto rounds = static_cast<int>(support::effort("TB_DESTROY_ROUNDS", 300, 100));
    for (int i = 0; i < rounds; ++i) {
        std::atomic<bool> inside{false};
        std::atomic<bool> let_go{false};
        std::atomic<bool> is_free{false};
        on_wake = [&](uint64_t tag) {
            if (tag != 1) return;
            inside = true;
            while (!let_go) std::this_thread::yield();
            EXPECT_FALSE(is_free);
        };
        ASSERT_EQ(enter(bucket.get(), 1, 1).status, TB_PENDING);
        std::thread mover([&] { tb_manual_clock_advance(clock.get(), kSecond); });
        while (!inside) std::this_thread::yield();
        std::thread destroyer([&] {
            bucket.reset();
            is_free = true;
        });
        for (int pause = 0; pause < i % 20; ++pause) std::this_thread::yield();
        EXPECT_FALSE(is_free);
        let_go = true;
        mover.join();
        destroyer.join();
        make();
    }
}

// ---- A wake function that calls the library
// --------------------------------------------------------------------------

// Its waiters belong to one thread at a time: who takes one out of the table looks at it, and puts it back.
class Reentrant : public Wakes {
  protected:
    static constexpr std::size_t kSlots = 48;

    void SetUp() override {
        Wakes::SetUp();
        ASSERT_EQ(tb_set_capacity(bucket.get(), 1e6), TB_SUCCESS);
        on_wake = [this](uint64_t tag) {
            if (depth >= 4) return;
            ++depth;
            act(static_cast<std::size_t>(tag % kSlots), tag * 7919 + static_cast<uint64_t>(turns++));
            --depth;
        };
    }

    void act(std::size_t slot, uint64_t draw) {
        const double n = static_cast<double>(1 + draw % 12) / 4;
        switch (draw % 7) {
            case 0:
                if (tb_refund(bucket.get(), n) == TB_SUCCESS) add(&refunded, n);
                return;
            case 1:
                if (tb_allow(bucket.get(), n) == TB_SUCCESS) add(&granted, n);
                return;
            case 2:
                if (tb_charge(bucket.get(), n, nullptr) == TB_SUCCESS) add(&granted, n);
                return;
            case 3:
                return look(slot, true);
            default:
                return look(slot, false);
        }
    }
    // Enters where the slot is empty; else collects or leaves.
    void look(std::size_t slot, bool leave) {
        const uint64_t waiter = slots[slot].exchange(kTaken);
        if (waiter == kTaken) return;
        uint64_t next = 0;
        if (waiter == 0) {
            next = enter_slot(slot);
        } else if (leave) {
            EXPECT_EQ(tb_waiter_leave(bucket.get(), waiter), TB_SUCCESS);
        } else {
            const tb_status s = check(bucket.get(), waiter);
            EXPECT_NE(s, TB_E_INVALID_ARGUMENT);
            if (s == TB_SUCCESS) add(&granted, cost(slot));
            if (s == TB_PENDING) next = waiter;
        }
        slots[slot] = next;
    }
    uint64_t enter_slot(std::size_t slot) {
        const auto priority = static_cast<int32_t>(slot % 3);
        const Place p = enter(bucket.get(), cost(slot), slot, TB_FOREVER, priority);
        if (p.status == TB_SUCCESS) add(&granted, cost(slot));
        return p.status == TB_PENDING ? p.waiter : 0;
    }
    static double cost(std::size_t slot) { return static_cast<double>(1 + slot % 8) / 4; }
    static void add(std::atomic<int64_t> *sum, double n) { *sum += static_cast<int64_t>(n * 4); }

    // All leave; then the bucket is one that knew none of them.
    void expect_nothing_lost(double accrued) {
        on_wake = [](uint64_t) {};
        for (auto &slot : slots)
            EXPECT_EQ(tb_waiter_leave(bucket.get(), slot), slot == 0 ? TB_E_INVALID_ARGUMENT : TB_SUCCESS);
        EXPECT_EQ(available(bucket.get()), accrued + static_cast<double>(refunded - granted) / 4);
        EXPECT_EQ(waiting(clock.get()), 0);
    }

    static constexpr uint64_t kTaken = UINT64_MAX;
    static inline thread_local int depth = 0;
    std::array<std::atomic<uint64_t>, kSlots> slots{};
    std::atomic<int64_t> turns{0};
    std::atomic<int64_t> granted{0};  // in quarter tokens
    std::atomic<int64_t> refunded{0};
};

TEST_F(Reentrant, OneThread) {
    std::mt19937_64 random(kSeed);
    const auto steps = static_cast<int>(support::effort("TB_REENTRANT_STEPS", 100000, 30000));
    double accrued = 0;
    for (int i = 0; i < steps; ++i) {
        act(static_cast<std::size_t>(random() % kSlots), random());
        if (i % 4 != 0) continue;
        advance(kSecond);
        accrued += 1;
    }
    expect_nothing_lost(accrued);
}

TEST_F(Reentrant, ManyThreads) {
    constexpr int kThreads = 8;
    const auto steps = static_cast<int>(support::effort("TB_REENTRANT_STEPS", 20000, 4000));
    std::atomic<int64_t> seconds{0};
    std::vector<std::thread> threads;
    for (int k = 0; k < kThreads; ++k)
        threads.emplace_back([&, k] {
            std::mt19937_64 random(kSeed + static_cast<uint64_t>(k));
            for (int i = 0; i < steps; ++i) {
                act(static_cast<std::size_t>(random() % kSlots), random());
                if (i % 4 != 0) continue;
                EXPECT_EQ(tb_manual_clock_advance(clock.get(), kSecond), TB_SUCCESS);
                ++seconds;
            }
        });
    for (std::thread &t : threads) t.join();
    expect_nothing_lost(static_cast<double>(seconds));
}

// ---- Closing and destroying
// ------------------------------------------------------------------------------------------

TEST_F(Wakes, CloseAndDestroyTellAllWhileTheClockIsMoved) {
    constexpr uint64_t kMany = 10000;
    const auto rounds = static_cast<int>(support::effort("TB_CLOSE_ROUNDS", 12, 4));
    bucket.reset();
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::atomic<int>> told(kMany);
        std::atomic<bool> is_free{false};
        on_wake = [&](uint64_t tag) {
            EXPECT_FALSE(is_free);
            ++told.at(static_cast<std::size_t>(tag));
        };
        make();
        std::vector<uint64_t> waiters;
        for (uint64_t tag = 0; tag < kMany; ++tag) waiters.push_back(enter(bucket.get(), 1, tag).waiter);
        ASSERT_EQ(waiting(clock.get()), static_cast<int64_t>(kMany));
        std::atomic<bool> stop{false};
        std::atomic<int64_t> moves{0};
        std::thread mover([&] {
            while (!stop) {
                EXPECT_EQ(tb_manual_clock_advance(clock.get(), kSecond), TB_SUCCESS);
                ++moves;
            }
        });
        while (moves < 10) std::this_thread::yield();
        if (round % 2 == 0) {
            ASSERT_EQ(tb_close(bucket.get()), TB_SUCCESS);
            int granted = 0;
            for (const uint64_t waiter : waiters) {
                const tb_status s = check(bucket.get(), waiter);
                EXPECT_TRUE(s == TB_SUCCESS || s == TB_CLOSED);
                granted += s == TB_SUCCESS;
            }
            EXPECT_GE(granted, 10);
        }
        bucket.reset();
        is_free = true;
        const int64_t last = moves;
        while (moves < last + 10) std::this_thread::yield();
        stop = true;
        mover.join();
        EXPECT_EQ(std::count(told.begin(), told.end(), 0), 0);
        EXPECT_EQ(waiting(clock.get()), 0);
    }
}

// ---- Fork
// ------------------------------------------------------------------------------------------------------------

int exit_code_of_child(const std::function<int()> &body) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        _exit(body());
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST_F(Wakes, InAChildNobodyWaits) {
    std::atomic<int> calls{0};
    on_wake = [&](uint64_t) { ++calls; };
    const uint64_t due = enter(bucket.get(), 1, 1).waiter;
    const uint64_t later = enter(bucket.get(), 2, 2).waiter;
    advance(kSecond);
    EXPECT_EQ(calls, 1);
    const auto body = [&] {
        tb_bucket *const b = bucket.get();
        tb_stats s{};
        s.struct_size = sizeof s;
        if (check(b, due) != TB_E_INVALID_ARGUMENT || check(b, later) != TB_E_INVALID_ARGUMENT) return 1;
        if (tb_waiter_leave(b, due) != TB_E_INVALID_ARGUMENT) return 2;
        if (waiting(clock.get()) != 0 || tb_get_stats(b, &s) != TB_SUCCESS || s.waiting != 0) return 3;
        if (available(b) != -2) return 4;
        if (tb_manual_clock_advance(clock.get(), 5 * kSecond) != TB_SUCCESS || calls != 1) return 5;
        if (tb_allow(b, 3) != TB_SUCCESS || tb_set_rate(b, 2) != TB_SUCCESS) return 6;
        const Place own = enter(b, 2, 3);
        if (own.status != TB_PENDING || own.wait_ns != kSecond) return 7;
        if (tb_refund(b, 2) != TB_SUCCESS || calls != 2 || check(b, own.waiter) != TB_SUCCESS) return 8;
        if (enter(b, 2, 4).status != TB_PENDING || tb_close(b) != TB_SUCCESS || calls != 3) return 9;
        tb_destroy(b);
        return testing::Test::HasFailure() ? 10 : 0;
    };
    EXPECT_EQ(exit_code_of_child(body), 0);
    EXPECT_EQ(check(bucket.get(), due), TB_SUCCESS);
    advance(2 * kSecond);
    EXPECT_EQ(check(bucket.get(), later), TB_SUCCESS);
}

// Fork at any moment of other threads' entering, checking and leaving, and of a moving clock.
TEST_F(Wakes, AChildGoesOnWhateverItsParentsThreadsDo) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (uint64_t tag = 0; tag < 3; ++tag)
        threads.emplace_back([&, tag] {
            while (!stop) {
                const Place a = enter(bucket.get(), 1, tag);
                const Place b = enter(bucket.get(), 2, tag);
                for (const Place &p : {a, b})
                    if (p.status == TB_PENDING && check(bucket.get(), p.waiter) == TB_PENDING)
                        tb_waiter_leave(bucket.get(), p.waiter);
            }
        });
    threads.emplace_back([&] {
        while (!stop) tb_manual_clock_advance(clock.get(), kMillisecond);
    });
    const auto rounds = static_cast<int>(support::effort("TB_FORK_ROUNDS", 200, 50));
    const auto body = [&] {
        tb_bucket *const b = bucket.get();
        if (tb_reset(b, 0) != TB_SUCCESS) return 1;
        if (waiting(clock.get()) != 0) return 2;
        // A sanitizer's heap, unlike the C library's, may stay locked in the child.
        if (support::effort("TB_CHILD_ENTERS", 1, 0) != 0) {
            const Place p = enter(b, 2, 9);
            if (p.status != TB_PENDING || waiting(clock.get()) != 1) return 3;
            if (tb_manual_clock_advance(clock.get(), 2 * kSecond) != TB_SUCCESS) return 4;
            if (check(b, p.waiter) != TB_SUCCESS || enter(b, 2, 9).status != TB_PENDING) return 5;
            tb_destroy(b);
        }
        return 0;
    };
    for (int i = 0; i < rounds && !HasFailure(); ++i) EXPECT_EQ(exit_code_of_child(body), 0) << i;
    stop = true;
    for (std::thread &t : threads) t.join();
}

}  // namespace
