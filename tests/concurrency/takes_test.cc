// Many threads on one bucket: together they never get more than capacity + rate * time, and no less when they take all
// there is.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

#include "tests/support/api.h"

namespace {

using namespace tb_test;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kSteps = 40;
#else
constexpr int kSteps = 200;
#endif

class Takes : public testing::TestWithParam<int> {
  protected:
    // Runs body(thread number) on all threads at once.
    template <class Body>
    void on_all_threads(Body body) {
        std::vector<std::thread> threads;
        for (int i = 0; i < GetParam(); ++i) threads.emplace_back([=] { body(i); });
        for (std::thread &t : threads) t.join();
    }
};

// Between two steps of the clock all threads take until they are denied: exactly what the step brought is granted.
TEST_P(Takes, GrantExactlyWhatHasAccrued) {
    const ClockHandle clock = manual_clock();
    const BucketHandle b = bucket_of(config_of(100, 50000, clock.get()));
    std::atomic<int64_t> granted{0};
    int64_t steps = 0;
    std::barrier next_step(GetParam(), [&]() noexcept {
        EXPECT_EQ(granted, 100 + steps * 50);
        ++steps;
        tb_manual_clock_advance(clock.get(), kMillisecond);
    });
    on_all_threads([&](int) {
        for (int step = 0; step < kSteps; ++step) {
            while (tb_allow(b.get(), 1) == TB_SUCCESS) ++granted;
            next_step.arrive_and_wait();
        }
    });
    EXPECT_EQ(steps, kSteps);
}

// All threads move the clock on while they take amounts of all sizes through every taking call.
TEST_P(Takes, NeverExceedTheLimitOnARunningClock) {
    constexpr int64_t kCapacity = 1000;
    constexpr int64_t kRate = 1000000;
    const ClockHandle clock = manual_clock();
    const BucketHandle b = bucket_of(config_of(kCapacity, kRate, clock.get()));
    std::atomic<int64_t> granted{0};
    on_all_threads([&](int number) {
        int64_t mine = 0;
        for (int i = 0; i < kSteps * 50; ++i) {
            const int n = 1 + (i * 7 + number) % 13;
            ASSERT_EQ(tb_manual_clock_advance(clock.get(), 777), TB_SUCCESS);
            tb_decision d;
            double taken = 0;
            tb_reservation r{};
            switch (i % 4) {
                case 0:
                    mine += tb_allow(b.get(), n) == TB_SUCCESS ? n : 0;
                    break;
                case 1:
                    mine += tb_take(b.get(), n, &d) == TB_SUCCESS ? n : 0;
                    break;
                case 2:
                    mine += tb_take_up_to(b.get(), n, &taken) == TB_SUCCESS ? static_cast<int64_t>(taken) : 0;
                    break;
                default:
                    mine += tb_reserve(b.get(), n, 0, &r) == TB_SUCCESS ? n : 0;
            }
        }
        granted += mine;
    });
    tb_reservation now{};
    ASSERT_EQ(tb_reserve(b.get(), 1e-9, TB_FOREVER, &now), TB_SUCCESS);
    const int64_t elapsed = now.ready_at_ns - now.wait_ns;
    EXPECT_LE(granted, kCapacity + elapsed / (kSecond / kRate));
    EXPECT_GT(granted, kCapacity) << "the clock did not matter";
}

// Changes of the limit among the takes neither mint nor lose a token: what was there at the start is either granted or
// still there.
TEST_P(Takes, ChangesOfTheLimitLoseNothing) {
    constexpr int64_t kTokens = 30000;
    const ClockHandle clock = manual_clock();
    const BucketHandle b = bucket_of(config_of(kTokens, 1, clock.get()));
    std::atomic<int64_t> granted{0};
    on_all_threads([&](int number) {
        int64_t mine = 0;
        for (int i = 0; i < kSteps; ++i) {
            if (number < 2) {
                ASSERT_EQ(tb_set_rate(b.get(), (i + number) % 2 == 0 ? 1.0 / 3 : 1e6), TB_SUCCESS);
                ASSERT_EQ(tb_set_capacity(b.get(), (i + number) % 3 == 0 ? kTokens : 1e10), TB_SUCCESS);
            }
            mine += tb_allow(b.get(), 1) == TB_SUCCESS ? 1 : 0;
            tb_reservation r{};
            ASSERT_EQ(tb_reserve(b.get(), 1, 0, &r), TB_SUCCESS);
            mine += 1;
        }
        granted += mine;
    });
    EXPECT_EQ(static_cast<double>(granted) + available(b.get()), kTokens);
}

// Changes of the capacity and of the rate at once lose none of them, and the limit shown is the limit in force.
TEST_P(Takes, ConcurrentChangesDoNotMix) {
    constexpr int kChanges = 20 * kSteps;
    const ClockHandle clock = manual_clock();
    const BucketHandle b = bucket_of(config_of(1000, 1, clock.get()));
    const auto limit = [&] {
        tb_config config = config_of(1, 1, nullptr);
        EXPECT_EQ(tb_get_limit(b.get(), &config), TB_SUCCESS);
        return config;
    };
    on_all_threads([&](int number) {
        for (int i = 0; i < kChanges; ++i) {
            if (number == 0) {
                ASSERT_EQ(tb_set_capacity(b.get(), 1000 + i), TB_SUCCESS);
                ASSERT_EQ(limit().capacity, 1000 + i);
            } else if (number == 1) {
                ASSERT_EQ(tb_set_rate(b.get(), 1 + i), TB_SUCCESS);
                ASSERT_EQ(limit().rate_tokens, 1 + i);
            }
            ASSERT_EQ(limit().unit, 1e-8);
        }
    });
    EXPECT_EQ(limit().capacity, 1000 + kChanges - 1);
    EXPECT_EQ(limit().rate_tokens, kChanges);
    EXPECT_EQ(available(b.get()), 1000) << "what a larger capacity adds is empty";
    ASSERT_EQ(tb_manual_clock_advance(clock.get(), kSecond), TB_SUCCESS);
    EXPECT_EQ(available(b.get()), 1000 + kChanges - 1);
    ASSERT_EQ(tb_charge(b.get(), 3 * kChanges, nullptr), TB_SUCCESS);
    ASSERT_EQ(tb_manual_clock_advance(clock.get(), kSecond), TB_SUCCESS);
    EXPECT_EQ(available(b.get()), 1000 + kChanges - 1 - 2 * kChanges);
}

// Keeps the thread that it interrupts where it is.
std::atomic<bool> held;
std::atomic<bool> let_go;

// A unit is 1e-8 token, and after 288 ms at 1e10 tokens per second a take should move the base of the accrual. For that
// it needs what a thread has that changes the capacity of 100,000 reservations, and stands still there: it does
// without.
TEST(TakesDuringAChange, AreAnsweredMeanwhile) {
    constexpr int kReservations = 100000;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {
        held = true;
        while (!let_go) sched_yield();
    };
    ASSERT_EQ(sigaction(SIGUSR2, &action, &before), 0);
    int held_inside = 0;
    // On a busy machine the change may be over before the signal comes.
    for (int round = 0; round < 100 && held_inside < 3; ++round) {
        const ClockHandle clock = manual_clock();
        const BucketHandle b = bucket_of(config_of(5000, 1e10, clock.get()));
        ASSERT_EQ(tb_manual_clock_set(clock.get(), 280 * kMillisecond), TB_SUCCESS);
        tb_reservation r{};
        for (int i = 0; i < kReservations; ++i) ASSERT_EQ(tb_reserve(b.get(), 5000, TB_FOREVER, &r), TB_SUCCESS);
        std::atomic<bool> changing{false};
        std::atomic<bool> changed{false};
        held = let_go = false;
        std::thread changer([&] {
            changing = true;
            EXPECT_EQ(tb_set_capacity(b.get(), 4999), TB_SUCCESS);
            changed = true;
            while (!let_go) std::this_thread::yield();
        });
        while (!changing) std::this_thread::yield();
        pthread_kill(changer.native_handle(), SIGUSR2);
        while (!held) std::this_thread::yield();
        held_inside += !changed;
        EXPECT_EQ(tb_manual_clock_set(clock.get(), 290 * kMillisecond), TB_SUCCESS);
        for (int i = 0; i < 100; ++i) EXPECT_EQ(tb_allow(b.get(), 1), TB_DENIED);
        let_go = true;
        changer.join();
    }
    EXPECT_GT(held_inside, 0);
    sigaction(SIGUSR2, &before, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Threads, Takes, testing::Values(2, 4, 16, 64),
                         [](const auto &param) { return std::to_string(param.param); });

// The system clock, shared by all threads and anchored anew about every second, never shows a thread an earlier time
// than it showed before, and takes never outrun it.
TEST(SystemClockShared, NeverOutrun) {
    constexpr double kCapacity = 1000;
    constexpr double kRate = 1e6;
    constexpr int kThreads = 4;
    const BucketHandle b = bucket_of(config_of(kCapacity, kRate, nullptr));
    std::atomic<int64_t> granted{0};
    tb_reservation first{};
    ASSERT_EQ(tb_reserve(b.get(), 1, 0, &first), TB_SUCCESS);
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            int64_t mine = 0;
            int64_t last = 0;
            tb_reservation r{};
            while (last < first.ready_at_ns + 1300 * kMillisecond) {
                mine += tb_allow(b.get(), 1) == TB_SUCCESS ? 1 : 0;
                if (tb_reserve(b.get(), 1, 0, &r) != TB_SUCCESS) continue;
                ++mine;
                EXPECT_GE(r.ready_at_ns, last);
                last = r.ready_at_ns;
            }
            granted += mine;
        });
    }
    for (std::thread &t : threads) t.join();
    tb_reservation now{};
    ASSERT_EQ(tb_reserve(b.get(), 1, TB_FOREVER, &now), TB_SUCCESS);
    const double elapsed = static_cast<double>(now.ready_at_ns - now.wait_ns - first.ready_at_ns) / 1e9;
    EXPECT_LE(static_cast<double>(granted), kCapacity + kRate * elapsed);
}

}  // namespace
