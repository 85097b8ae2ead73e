// Many threads on a table that has far fewer places than there are keys: together they never get more of a key than
// capacity + rate * time and what the table says it has forgiven.
#include "tests/support/table.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/effort.h"

namespace {

using namespace tb_test;
using support::effort;

constexpr int kThreads = 8;

template <class Body>
void on_threads(int count, Body body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back([=] { body(i); });
    for (std::thread &t : threads) t.join();
}

// One of the numbers, by a generator that each thread has for itself.
struct Dice {
    uint64_t state;
    uint64_t below(uint64_t n) {
        state = state * 6364136223846793005 + 1442695040888963407;
        return (state >> 33) % n;
    }
};

std::string name_of(uint64_t i) {
    return "key" + std::to_string(i);
}

struct Shape {
    int64_t max_bytes;
    int32_t when_full;
};

class SmallTable : public testing::TestWithParam<Shape> {
  protected:
    void start(double capacity, double rate) {
        tb_table_config config = table_config(GetParam().when_full);
        config.max_bytes = GetParam().max_bytes;
        clock = manual_clock();
        table = table_of(config_of(capacity, rate, clock.get()), config);
    }

    // Takes through one of the calls; the tokens granted.
    int64_t take(const std::string &key, Dice *dice) {
        const int n = 1 + static_cast<int>(dice->below(3));
        tb_decision d;
        double taken = 0;
        tb_status s = TB_SUCCESS;
        switch (dice->below(4)) {
            case 0:
                s = ask(tb_table_allow, table, key, n);
                break;
            case 1:
                s = ask(tb_table_take, table, key, n, &d);
                break;
            case 2:
                s = ask(tb_table_take_up_to, table, key, n, &taken);
                return s == TB_SUCCESS ? static_cast<int64_t>(taken) : 0;
            default: {
                const std::string keys = key + key;
                const std::array<std::size_t, 2> sizes{key.size(), key.size()};
                std::array<tb_status, 2> answers{};
                EXPECT_EQ(tb_table_allow_many(table.get(), keys.data(), sizes.data(), nullptr, 2, answers.data()),
                          TB_SUCCESS);
                return (answers[0] == TB_SUCCESS) + (answers[1] == TB_SUCCESS);
            }
        }
        if (s == TB_TABLE_FULL) ++full;
        EXPECT_TRUE(s == TB_SUCCESS || s == TB_DENIED || s == TB_TABLE_FULL) << s;
        return s == TB_SUCCESS ? n : 0;
    }

    ClockHandle clock;
    TableHandle table;
    std::atomic<int64_t> full{0};
};

// The clock stands in each step, and moves by what brings a token between two. In every window of steps the calls that
// began and ended in it got at most what the bound says.
TEST_P(SmallTable, NoWindowOfAnyKeyHoldsMoreThanItsBoundAndWhatWasForgiven) {
    constexpr int kKeys = 24;
    constexpr int64_t kCapacity = 6;
    constexpr int64_t kGain = 2;  // tokens a step
    const int steps = static_cast<int>(effort("TB_TABLE_STEPS", 3000, 200));
    start(static_cast<double>(kCapacity), 2);
    std::vector<std::array<std::atomic<int64_t>, kKeys>> granted(static_cast<std::size_t>(steps));
    std::vector<double> forgiven(static_cast<std::size_t>(steps) + 1);
    int step = 0;
    std::barrier next_step(kThreads, [&]() noexcept {
        forgiven[static_cast<std::size_t>(++step)] = stats_of(table).tokens_forgiven;
        tb_manual_clock_advance(clock.get(), kSecond);
    });
    on_threads(kThreads, [&](int number) {
        Dice dice{static_cast<uint64_t>(number) + 1};
        for (int s = 0; s < steps; ++s) {
            for (int i = 0; i < 12; ++i) {
                const uint64_t key = dice.below(kKeys);
                granted[static_cast<std::size_t>(s)][static_cast<std::size_t>(key)] += take(name_of(key), &dice);
            }
            next_step.arrive_and_wait();
        }
    });
    // What was forgiven is known of all keys together.
    constexpr int kWindow = 40;
    for (int from = 0; from < steps; ++from) {
        int64_t most_by_key[kKeys] = {};
        for (int to = from; to < std::min(steps, from + kWindow); ++to) {
            const double gain = static_cast<double>(kCapacity + kGain * (to - from));
            double above = 0;
            for (int key = 0; key < kKeys; ++key) {
                most_by_key[key] += granted[static_cast<std::size_t>(to)][static_cast<std::size_t>(key)];
                above += std::max(0.0, static_cast<double>(most_by_key[key]) - gain);
            }
            const double given = forgiven[static_cast<std::size_t>(to) + 1] - forgiven[static_cast<std::size_t>(from)];
            ASSERT_LE(above, given + 1e-6) << "steps " << from << " to " << to;
        }
    }
    const tb_table_stats stats = stats_of(table);
    EXPECT_EQ(stats.places, GetParam().max_bytes / 16);
    EXPECT_LE(stats.occupied, stats.places);
    if (GetParam().when_full == TB_TABLE_DENY) {
        EXPECT_EQ(stats.tokens_forgiven, 0);
        EXPECT_GT(full, 0);
    } else {
        EXPECT_GT(stats.tokens_forgiven, 0);
        EXPECT_EQ(full, 0) << "no key is in debt";
    }
    EXPECT_EQ(stats.evicted > 0, GetParam().when_full == TB_TABLE_EVICT_FULLEST);
}

// No step: threads move the clock while they take, so any call may be held while much time goes by. In all a key gets
// no more than what the whole time brings, which is much less than is asked for.
TEST_P(SmallTable, TheWholeTimeBringsNoMoreWhileTheClockRuns) {
    constexpr int kKeys = 8;
    const int rounds = static_cast<int>(effort("TB_TABLE_ROUNDS", 60000, 4000));
    start(3, 1);
    std::array<std::atomic<int64_t>, kKeys> granted{};
    on_threads(kThreads, [&](int number) {
        Dice dice{static_cast<uint64_t>(number) + 77};
        for (int i = 0; i < rounds; ++i) {
            const uint64_t key = dice.below(kKeys);
            granted[static_cast<std::size_t>(key)] += take(name_of(key), &dice);
            if (i % 64 == 0) tb_manual_clock_advance(clock.get(), kSecond);
        }
    });
    const int64_t seconds = kThreads * ((rounds + 63) / 64);
    double above = 0;
    for (const auto &g : granted) above += std::max(0.0, static_cast<double>(g - 3 - seconds));
    EXPECT_LE(above, stats_of(table).tokens_forgiven + 1e-6);
}

std::string name_of_shape(const testing::TestParamInfo<Shape> &info) {
    const char *const names[] = {"evict", "deny", "admit"};
    return names[info.param.when_full] + std::to_string(info.param.max_bytes);
}
INSTANTIATE_TEST_SUITE_P(All, SmallTable,
                         testing::Values(Shape{64, TB_TABLE_EVICT_FULLEST}, Shape{128, TB_TABLE_EVICT_FULLEST},
                                         Shape{256, TB_TABLE_EVICT_FULLEST}, Shape{64, TB_TABLE_DENY},
                                         Shape{256, TB_TABLE_DENY}, Shape{64, TB_TABLE_ADMIT},
                                         Shape{256, TB_TABLE_ADMIT}),
                         name_of_shape);

// Each round four threads take from a key that is new: together what a full bucket has.
TEST(TableRaces, ANewKeyIsOneBucketForAllThreads) {
    constexpr int kTakers = 4;
    const uint64_t rounds = effort("TB_TABLE_KEYS", 1000000, 20000);
    const ClockHandle clock = manual_clock();
    tb_table_config config = table_config(TB_TABLE_DENY);
    config.max_keys = static_cast<int64_t>(rounds);
    const TableHandle table = table_of(config_of(2, 1, clock.get()), config);
    std::vector<std::atomic<uint8_t>> granted(static_cast<std::size_t>(rounds));
    std::atomic<int64_t> full{0};
    std::array<std::atomic<uint64_t>, kTakers> at{};
    on_threads(kTakers, [&](int number) {
        for (uint64_t round = 0; round < rounds; ++round) {
            // Nobody is more than a few keys behind.
            at[static_cast<std::size_t>(number)].store(round, std::memory_order_relaxed);
            if (round % 32 == 0)
                for (const auto &other : at)
                    while (other.load(std::memory_order_relaxed) + 32 < round) std::this_thread::yield();
            const std::string_view key(reinterpret_cast<const char *>(&round), sizeof round);
            const tb_status s = ask(tb_table_allow, table, key, 1.0);
            if (s == TB_TABLE_FULL) ++full;
            if (s == TB_SUCCESS) granted[static_cast<std::size_t>(round)].fetch_add(1, std::memory_order_relaxed);
        }
        at[static_cast<std::size_t>(number)].store(UINT64_MAX / 2, std::memory_order_relaxed);
    });
    uint64_t wrong = 0;
    for (const auto &g : granted) wrong += g > 2;
    EXPECT_EQ(wrong, 0u);
    EXPECT_LT(full, static_cast<int64_t>(rounds / 1000));
    EXPECT_EQ(stats_of(table).evicted, 0);
}

// While the limit changes nobody gets more than the larger one brings.
TEST(TableRaces, ChangesOfTheLimitBringNoMoreThanTheLargerOne) {
    const int rounds = static_cast<int>(effort("TB_TABLE_ROUNDS", 40000, 2000));
    constexpr int kKeys = 3;
    const ClockHandle clock = manual_clock();
    tb_table_config config = table_config(TB_TABLE_DENY);
    config.max_bytes = 64;
    const TableHandle table = table_of(config_of(10, 5, clock.get()), config);
    std::array<std::atomic<int64_t>, kKeys> granted{};
    on_threads(kThreads, [&](int number) {
        Dice dice{static_cast<uint64_t>(number) + 5};
        for (int i = 0; i < rounds; ++i) {
            tb_status s = TB_SUCCESS;
            if (number == 0 && i % 8 == 0) s = tb_table_set_rate(table.get(), i % 16 == 0 ? 1 : 5);
            if (number == 1 && i % 8 == 0) s = tb_table_set_capacity(table.get(), i % 16 == 0 ? 4 : 10);
            if (number == 2 && i % 32 == 0) tb_manual_clock_advance(clock.get(), kSecond / 10);
            const uint64_t key = dice.below(kKeys);
            EXPECT_EQ(s, TB_SUCCESS);
            granted[static_cast<std::size_t>(key)] += ask(tb_table_allow, table, name_of(key), 1.0) == TB_SUCCESS;
        }
    });
    const int64_t bound = 10 + (rounds + 31) / 32 / 2;
    for (const auto &g : granted) {
        EXPECT_LE(g, bound);
        EXPECT_GE(g, 4);
    }
    // At the lower rate and capacity, too, each key has four tokens after that.
    tb_manual_clock_advance(clock.get(), 4 * kSecond);
    for (uint64_t key = 0; key < kKeys; ++key)
        EXPECT_EQ(ask(tb_table_allow, table, name_of(key), 4.0), TB_SUCCESS) << key;
}

int64_t now_ns() {
    return std::chrono::steady_clock::now().time_since_epoch().count();
}

// A key that is full when a change begins is emptied while the change is being made, and what has overflowed since the
// change began does not come in again: no window from a burst's beginning holds more than its bound.
TEST(TableRaces, NothingComesInTwiceDuringAChange) {
    constexpr double kCapacity = 50;
    constexpr double kRate = 1e6;
    const int64_t fills_ns = static_cast<int64_t>(kCapacity / kRate * kSecond);
    const uint64_t bursts = effort("TB_TABLE_BURSTS", 3000, 300);
    tb_table_config config = table_config();
    config.max_keys = 10;
    const TableHandle table = table_of(config_of(kCapacity, kRate, nullptr), config);
    std::atomic<bool> goes_on{true};
    std::thread changer([&] {
        while (goes_on) tb_table_set_rate(table.get(), kRate);
    });
    double most = 0;  // above the bound
    for (uint64_t i = 0; i < bursts; ++i) {
        const int64_t full_ns = now_ns() + 2 * fills_ns;
        while (now_ns() < full_ns) {
        }
        const int64_t begin_ns = now_ns();
        double granted = 0;
        for (int64_t end_ns = begin_ns; end_ns < begin_ns + 4 * fills_ns; end_ns = now_ns()) {
            if (ask(tb_table_allow, table, "key", 1.0) != TB_SUCCESS) continue;
            ++granted;
            const double bound = kCapacity + kRate * static_cast<double>(now_ns() - begin_ns + 1) / kSecond + 1e-3;
            most = std::max(most, granted - bound);
        }
    }
    goes_on = false;
    changer.join();
    EXPECT_LE(most, 0);
}

// Waiters and reservations come and go while others take; in the end all that is left of the keys is what was taken.
TEST(TableRaces, WaitersAndReservationsComeAndGo) {
    const int rounds = static_cast<int>(effort("TB_TABLE_ROUNDS", 20000, 1000));
    constexpr int kKeys = 4;
    const ClockHandle clock = manual_clock();
    tb_config limit = config_of(3, 1, clock.get());
    static std::atomic<int64_t> woken;
    limit.on_wake = [](void *, uint64_t) { ++woken; };
    tb_table_config config = table_config();
    config.max_bytes = 128;
    const TableHandle table = table_of(limit, config);
    std::array<std::atomic<int64_t>, kKeys> granted{};
    on_threads(kThreads, [&](int number) {
        Dice dice{static_cast<uint64_t>(number) + 31};
        for (int i = 0; i < rounds; ++i) {
            const uint64_t k = dice.below(kKeys);
            const std::string key = name_of(k);
            uint64_t waiter = 0;
            int64_t ns = 0;
            tb_reservation r{};
            switch (dice.below(5)) {
                case 0:
                    if (ask(tb_table_enqueue, table, key, 1.0, TB_FOREVER, 0, uint64_t{1}, &waiter, &ns) !=
                        TB_PENDING) {
                        ++granted[static_cast<std::size_t>(k)];
                        break;
                    }
                    if (dice.below(2) == 0) tb_manual_clock_advance(clock.get(), kSecond / 2);
                    if (ask(tb_table_waiter_check, table, key, waiter, &ns) == TB_SUCCESS) {
                        ++granted[static_cast<std::size_t>(k)];
                    } else {
                        EXPECT_EQ(ask(tb_table_waiter_leave, table, key, waiter), TB_SUCCESS);
                    }
                    break;
                case 1:
                    ASSERT_EQ(ask(tb_table_reserve, table, key, 1.0, TB_FOREVER, &r), TB_SUCCESS);
                    if (dice.below(2) == 0 && r.wait_ns > 0) {
                        // If it is due meanwhile it counts as used.
                        ASSERT_EQ(ask(tb_table_cancel, table, key, &r), TB_SUCCESS);
                    }
                    break;
                case 2:
                    granted[static_cast<std::size_t>(k)] +=
                        ask(tb_table_wait_for, table, key, 1.0, int64_t{0}) == TB_SUCCESS;
                    break;
                default:
                    granted[static_cast<std::size_t>(k)] += ask(tb_table_allow, table, key, 1.0) == TB_SUCCESS;
            }
        }
    });
    int64_t count = -1;
    tb_manual_clock_waiters(clock.get(), &count, nullptr);
    EXPECT_EQ(count, 0);
    tb_manual_clock_advance(clock.get(), int64_t{1000000} * kSecond);
    for (uint64_t k = 0; k < kKeys; ++k) EXPECT_EQ(available(table, name_of(k)), 3) << k;
    EXPECT_EQ(stats_of(table).occupied, 0);
}

// Whoever else changes the limit at the same time, in vain or not: when both have returned every waiter knows of it.
TEST(TableRaces, NoQueueMissesAChangeOfTheLimit) {
    const int rounds = static_cast<int>(effort("TB_TABLE_CHANGES", 40, 5));
    for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
        const ClockHandle clock = manual_clock();
        const TableHandle table = table_of(config_of(1, 1, clock.get()), 20000);
        std::vector<uint64_t> waiters(3000);
        int64_t wait_ns = 0;
        for (uint64_t key = 0; key < waiters.size(); ++key) {
            ASSERT_EQ(ask(tb_table_allow, table, name_of(key), 1.0), TB_SUCCESS);
            ASSERT_EQ(ask(tb_table_enqueue, table, name_of(key), 1.0, TB_FOREVER, 0, key,
                          &waiters[static_cast<std::size_t>(key)], &wait_ns),
                      TB_PENDING);
        }
        std::barrier together(2);
        on_threads(2, [&](int thread) {
            together.arrive_and_wait();
            if (thread == 0) tb_table_close(table.get());
            for (int i = 0; thread == 1 && i < 4; ++i) tb_table_set_rate(table.get(), 2);
        });
        int missed = 0;
        for (uint64_t key = 0; key < waiters.size(); ++key)
            missed += ask(tb_table_waiter_check, table, name_of(key), waiters[static_cast<std::size_t>(key)],
                          &wait_ns) != TB_CLOSED;
        EXPECT_EQ(missed, 0);
    }
}

// The look at another key at the end of a call rings no bell of that key, which would then ring within another's. Each
// key has two waiters, which were late twice.
TEST(TableRaces, OnWakeIsNotCalledWithinACallForAnotherKey) {
    struct Keys {
        int64_t now = 1000;
        tb_table *table = nullptr;
        std::vector<uint64_t> waiters;  // two of each key
        int depth = 0;
        int deepest = 0;

        void check(uint64_t waiter) {
            const std::string name = name_of(waiter / 2);
            int64_t wait_ns = 0;
            tb_table_waiter_check(table, name.data(), name.size(), waiters[static_cast<std::size_t>(waiter)], &wait_ns);
        }
    } keys;
    keys.waiters.resize(4000);
    tb_clock *made = nullptr;
    const auto now = [](void *user) { return static_cast<Keys *>(user)->now; };
    ASSERT_EQ(tb_callback_clock_create(now, &keys, &made), TB_SUCCESS);
    const ClockHandle clock(made);
    tb_config limit = config_of(10, 1, clock.get());
    limit.wake_user = &keys;
    limit.on_wake = [](void *user, uint64_t waiter) {
        Keys *const k = static_cast<Keys *>(user);
        k->deepest = std::max(k->deepest, ++k->depth);
        k->check(waiter);
        --k->depth;
    };
    const TableHandle table = table_of(limit, 10000);
    keys.table = table.get();
    int64_t wait_ns = 0;
    for (uint64_t waiter = 0; waiter < keys.waiters.size(); ++waiter) {
        const std::string name = name_of(waiter / 2);
        if (waiter % 2 == 0) ask(tb_table_allow, table, name, 10.0);
        ASSERT_EQ(ask(tb_table_enqueue, table, name, 5.0, TB_FOREVER, 0, waiter,
                      &keys.waiters[static_cast<std::size_t>(waiter)], &wait_ns),
                  TB_PENDING);
    }
    keys.now += 9 * kSecond + 20 * kMillisecond;
    for (uint64_t key = 0; key < keys.waiters.size() / 2; ++key)
        ask(tb_table_waiter_check, table, name_of(key), uint64_t{1}, &wait_ns);
    keys.now += 20 * kMillisecond;
    keys.check(0);
    EXPECT_EQ(keys.deepest, 1);
}

// on_wake may check the waiter, which may be the last of its key, in a call of the clock.
TEST(TableRaces, OnWakeMayCheckTheLastWaiterOfAKey) {
    struct Seen {
        TableHandle table;
        uint64_t waiter = 0;
        tb_status status = TB_PENDING;
    } seen;
    const ClockHandle clock = manual_clock();
    tb_config limit = config_of(1, 1, clock.get());
    limit.on_wake = [](void *user, uint64_t) {
        Seen *const s = static_cast<Seen *>(user);
        int64_t ns = 0;
        s->status = ask(tb_table_waiter_check, s->table, "key", s->waiter, &ns);
    };
    limit.wake_user = &seen;
    tb_table_config config = table_config();
    config.max_bytes = 64;
    seen.table = table_of(limit, config);
    int64_t ns = 0;
    ASSERT_EQ(ask(tb_table_allow, seen.table, "key", 1.0), TB_SUCCESS);
    ASSERT_EQ(ask(tb_table_enqueue, seen.table, "key", 1.0, TB_FOREVER, 0, uint64_t{1}, &seen.waiter, &ns), TB_PENDING);
    tb_manual_clock_advance(clock.get(), kSecond);
    EXPECT_EQ(seen.status, TB_SUCCESS);
}

// A table is destroyed while threads wait in it and others' waiters are left over; each of the threads learns it.
TEST(TableRaces, DestroyedWithWaiters) {
    const int rounds = static_cast<int>(effort("TB_TABLE_DESTROYS", 300, 30));
    for (int round = 0; round < rounds; ++round) {
        const ClockHandle clock = manual_clock();
        tb_table_config config = table_config();
        config.max_bytes = 256;
        TableHandle table = table_of(config_of(1, 1, clock.get()), config);
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            const std::string key = name_of(static_cast<uint64_t>(i % 2));
            ask(tb_table_allow, table, key, 1.0);
            uint64_t waiter = 0;
            int64_t ns = 0;
            ASSERT_EQ(ask(tb_table_enqueue, table, key, 1.0, TB_FOREVER, 0, uint64_t{1}, &waiter, &ns), TB_PENDING);
        }
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&, i] {
                EXPECT_EQ(ask(tb_table_wait_for, table, name_of(static_cast<uint64_t>(i % 2)), 1.0, TB_FOREVER),
                          TB_CLOSED);
            });
        for (int64_t count = 0; count < 8;) {
            tb_manual_clock_waiters(clock.get(), &count, nullptr);
            std::this_thread::yield();
        }
        if (round % 2 == 0) tb_table_close(table.get());
        table.reset();
        for (std::thread &t : threads) t.join();
    }
}

// In a child of a fork nothing waits, and its table is at work, whatever the other threads were doing.
TEST(TableRaces, AForkAmongInsertionsLeavesTheChildATable) {
    const int rounds = static_cast<int>(effort("TB_TABLE_FORKS", 200, 10));
    const ClockHandle clock = manual_clock();
    tb_table_config config = table_config();
    config.max_bytes = 128;
    const TableHandle table = table_of(config_of(2, 1, clock.get()), config);
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int number = 0; number < 3; ++number)
        threads.emplace_back([&, number] {
            Dice dice{static_cast<uint64_t>(number) + 3};
            while (!stop) {
                const std::string key = name_of(dice.below(20));
                tb_reservation r{};
                ask(tb_table_allow, table, key, 1.0);
                if (number == 1 && ask(tb_table_reserve, table, key, 1.0, kSecond, &r) == TB_SUCCESS)
                    ask(tb_table_cancel, table, key, &r);
                if (number == 2) tb_table_set_rate(table.get(), 1 + static_cast<double>(dice.below(3)));
            }
        });
    for (int round = 0; round < rounds; ++round) {
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            alarm(20);
            int wrong = 0;
            // A sanitizer's heap, unlike the C library's, may stay locked in the child.
            const bool has_heap = effort("TB_CHILD_ENTERS", 1, 0) != 0;
            for (uint64_t k = 0; k < 20; ++k) {
                const std::string key = name_of(k);
                double tokens = 9;
                tb_reservation r{};
                wrong += ask(tb_table_remove, table, key) != TB_SUCCESS;
                wrong += ask(tb_table_available, table, key, &tokens) != TB_SUCCESS || tokens != 2;
                wrong += ask(tb_table_allow, table, key, 2.0) != TB_SUCCESS;
                if (!has_heap) continue;
                wrong += ask(tb_table_reserve, table, key, 1.0, TB_FOREVER, &r) != TB_SUCCESS;
                wrong += ask(tb_table_cancel, table, key, &r) != TB_SUCCESS;
            }
            wrong += tb_table_set_rate(table.get(), 1) != TB_SUCCESS;
            wrong += stats_of(table).occupied > stats_of(table).places;
            if (has_heap) tb_table_destroy(table.get());
            _exit(wrong == 0 ? 0 : 1);
        }
        int status = -1;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    }
    stop = true;
    for (std::thread &t : threads) t.join();
}

}  // namespace
