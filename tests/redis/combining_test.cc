// Calls of several threads at once.
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "tests/redis/support.h"

namespace {

using namespace tb_test;

class Combining : public testing::Test {
  protected:
    static void SetUpTestSuite() { redis = new RedisServer; }
    static void TearDownTestSuite() {
        delete redis;
        redis = nullptr;
    }

    // Runs body(i) on as many threads.
    static void on_threads(int count, const std::function<void(int)> &body) {
        std::vector<std::thread> threads;
        for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
        for (std::thread &t : threads) t.join();
    }
    // The same while the server is stopped: the first asks, the others queue up, in their order.
    static void while_stopped(int count, const std::function<void(int)> &body) {
        std::vector<std::thread> threads;
        redis->signal(SIGSTOP);
        for (int i = 0; i < count; ++i) {
            std::atomic<pid_t> number{0};
            threads.emplace_back([&body, &number, i] {
                number = static_cast<pid_t>(::syscall(SYS_gettid));
                body(i);
            });
            while (number == 0 || !sleeps(number)) ::usleep(1000);
        }
        redis->signal(SIGCONT);
        for (std::thread &t : threads) t.join();
    }
    // A thread that sleeps in a call stands in the queue, or waits for its reply.
    static bool sleeps(pid_t thread) {
        std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/stat");
        std::string text;
        std::getline(status, text);
        return text.find(") S ") != std::string::npos;
    }

    static RedisServer *redis;
    const ServerHandle server = connect(redis->path());
};
RedisServer *Combining::redis = nullptr;

TEST_F(Combining, GrantsExactlyTheCapacity) {
    const LimiterHandle l = limiter_of(server, 1000, 1e-6);
    std::atomic<int> granted{0}, denied{0};
    on_threads(8, [&](int) {
        for (int i = 0; i < 400; ++i) {
            const tb_decision d = take(l, "sum", 1);
            if (d.status == TB_SUCCESS) ++granted;
            if (d.status == TB_DENIED && d.retry_after_ns > 0) ++denied;
        }
    });
    EXPECT_EQ(granted, 1000);
    EXPECT_EQ(denied, 8 * 400 - 1000);
}

TEST_F(Combining, WhatQueuesUpIsOneRoundTripInOrder) {
    constexpr int kThreads = 8, kCapacity = 5;
    const LimiterHandle l = limiter_of(server, kCapacity, 1e-6);
    EXPECT_EQ(allow(l, "another", 1), TB_SUCCESS);
    const int64_t before = stats_of(server).round_trips;
    std::array<tb_decision, kThreads> decisions;
    while_stopped(kThreads, [&](int i) { decisions[static_cast<std::size_t>(i)] = take(l, "order", 1); });
    EXPECT_LE(stats_of(server).round_trips, before + 3);
    for (int i = 0; i < kThreads; ++i) {
        const tb_decision &d = decisions[static_cast<std::size_t>(i)];
        EXPECT_EQ(d.status, i < kCapacity ? TB_SUCCESS : TB_DENIED) << i;
        if (i < kCapacity) {
            EXPECT_NEAR(d.remaining, kCapacity - 1 - i, 0.001);
        }
    }
}

// At five microseconds for a token some come between the two calls that ask for takes which are alike: who asked first
// has them, and nobody is granted behind one who was denied.
TEST_F(Combining, TokensThatComeBetweenTwoCalls) {
    constexpr std::size_t kCount = 64;
    const LimiterHandle l = limiter_of(server, 4, 2e5);
    const std::vector<tb_redis_member> members(kCount, {l.get(), "between", 7, 1});
    int64_t granted = 0, denied = 0;
    const int64_t begin = now_ns();
    for (int i = 0; i < 300; ++i) {
        std::array<tb_decision, kCount> decisions;
        ASSERT_EQ(tb_redis_take_many(members.data(), kCount, decisions.data()), TB_SUCCESS);
        const auto first = std::find_if(decisions.begin(), decisions.end(),
                                        [](const tb_decision &d) { return d.status != TB_SUCCESS; });
        granted += first - decisions.begin();
        denied += std::count_if(first, decisions.end(), [](const tb_decision &d) {
            return d.status == TB_DENIED && d.retry_after_ns > 0 && d.retry_after_ns <= 5000 && d.remaining < 1;
        });
    }
    EXPECT_EQ(granted + denied, 300 * static_cast<int64_t>(kCount));
    EXPECT_GT(granted, 300 * 4);
    EXPECT_LE(static_cast<double>(granted), 4 + 2e5 * static_cast<double>(now_ns() - begin) / 1e9 + 1);
}

// The takes of the others stand in one script with that of a key which is no bucket.
TEST_F(Combining, OneBadKeyFailsNoOther) {
    const LimiterHandle l = limiter_of(server, 100, 1e-6);
    RedisClient client(redis->path());
    client.ask({"LPUSH", "tb:bad", "x"});
    EXPECT_EQ(allow(l, "another", 1), TB_SUCCESS);
    std::array<tb_status, 8> statuses;
    while_stopped(8, [&](int i) {
        statuses[static_cast<std::size_t>(i)] = allow(l, i == 4 ? std::string("bad") : "good" + std::to_string(i), 1);
    });
    for (int i = 0; i < 8; ++i)
        EXPECT_EQ(statuses[static_cast<std::size_t>(i)], i == 4 ? TB_E_MISMATCH : TB_SUCCESS) << i;
}

// Every call has its own answer: what one thread's keys hold is what that thread left there.
TEST_F(Combining, CallsOfAllKindsAtOnce) {
    const LimiterHandle a = limiter_of(server, 1000, 1e-6);
    tb_redis_limiter_config config = limiter_config();
    config.prefix = "b:";
    config.max_wait_ns = 1000000000 * kSecond;
    const LimiterHandle b = limiter_of(server, 500, 1e-6, config);
    std::atomic<int> wrong{0};
    const auto expect = [&wrong](bool right) { wrong += !right; };
    on_threads(8, [&](int t) {
        const std::string key = "mixed" + std::to_string(t);
        const char *const k = key.data();
        const std::size_t size = key.size();
        double in_a = 1000, in_b = 500;
        for (int i = 0; i < 60; ++i) {
            double taken = 0;
            expect(tb_redis_take_up_to(a.get(), k, size, t + 1, &taken) == TB_SUCCESS && taken == t + 1);
            in_a -= taken;
            expect(std::abs(take(a, key, 2).remaining - (in_a -= 2)) < 0.01);
            tb_reservation r{};
            expect(tb_redis_reserve(b.get(), k, size, 400, TB_FOREVER, &r) == TB_SUCCESS && r.tokens == 400);
            expect((r.wait_ns > 0) == (in_b < 400));
            in_b -= 400;
            if (r.wait_ns > 0) {
                expect(tb_redis_cancel(b.get(), k, size, &r) == TB_SUCCESS);
                in_b += 400;
            }
            expect(tb_redis_refund(a.get(), k, size, t + 2) == TB_SUCCESS);
            in_a += t + 2;
            expect(std::abs(left(b, key) - in_b) < 0.01);
        }
        expect(std::abs(left(a, key) - in_a) < 0.01);
    });
    EXPECT_EQ(wrong, 0);
}

TEST_F(Combining, AScriptThatIsFlushedAllTheTime) {
    const LimiterHandle l = limiter_of(server, 1000, 1e-6);
    std::atomic<int> granted{0}, other{0};
    std::atomic<bool> ends{false};
    std::thread flusher([&] {
        RedisClient client(redis->path());
        while (!ends) client.ask({"SCRIPT", "FLUSH"});
    });
    on_threads(4, [&](int t) {
        for (int i = 0; i < 500; ++i) {
            const tb_status s = allow(l, "flushed", 1);
            granted += s == TB_SUCCESS;
            other += s != TB_SUCCESS && s != TB_DENIED;
            if (i % 16 == t) other += tb_redis_charge(l.get(), "charged", 7, 1e-3, nullptr) != TB_SUCCESS;
        }
    });
    ends = true;
    flusher.join();
    EXPECT_EQ(granted, 1000);
    EXPECT_EQ(other, 0);
}

// Those behind a call that is not answered leave the queue at their own deadlines.
TEST_F(Combining, EachCallHasADeadlineOfItsOwn) {
    constexpr int64_t kDeadline = 60 * kMillisecond;
    tb_redis_config config = server_config();
    config.deadline_ns = kDeadline;
    config.breaker_failures = 1000;
    const ServerHandle hasty = connect(redis->path(), config);
    const LimiterHandle l = limiter_of(hasty, 1e5, 1);
    for (int i = 0; i < 100 && allow(l, "deadline", 1) != TB_SUCCESS; ++i) ::usleep(1000);
    std::atomic<int64_t> longest_ns{0};
    std::atomic<int> answered{0};
    redis->signal(SIGSTOP);
    on_threads(8, [&](int i) {
        ::usleep(static_cast<useconds_t>(i * 7000));
        const int64_t begin = now_ns();
        answered += allow(l, "deadline", 1) != TB_E_UNAVAILABLE;
        const int64_t took_ns = now_ns() - begin;
        int64_t longest = longest_ns;
        while (took_ns > longest && !longest_ns.compare_exchange_weak(longest, took_ns)) {
        }
    });
    redis->signal(SIGCONT);
    EXPECT_EQ(answered, 0);
    EXPECT_LE(longest_ns, kDeadline + 400 * kMillisecond);
}

}  // namespace
