// What is decided without a call: leases and cached denials.
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "tests/redis/support.h"

namespace {

using namespace tb_test;

class Local : public testing::Test {
  protected:
    static void SetUpTestSuite() { redis = new RedisServer; }
    static void TearDownTestSuite() {
        delete redis;
        redis = nullptr;
    }
    static RedisServer *redis;
};
RedisServer *Local::redis = nullptr;

tb_redis_limiter_config leases(int64_t lease, int32_t lessees) {
    tb_redis_limiter_config config = limiter_config();
    config.lease = lease;
    config.lessees = lessees;
    return config;
}

// ---- Leases ----

class Leases : public Local {
  protected:
    const ServerHandle server = connect(redis->path());
};

TEST_F(Leases, AreTakenFromABucketThatHoldsTheRest) {
    const LimiterHandle l = limiter_of(server, 100, 1e-4, leases(10, 2));
    EXPECT_EQ(left(l, "rest"), 80);
    EXPECT_EQ(take(l, "rest", 1).remaining, 9);
    EXPECT_NEAR(left(l, "rest"), 70, 0.1);
    const int64_t before = stats_of(server).round_trips;
    for (int i = 0; i < 9; ++i) EXPECT_EQ(allow(l, "rest", 1), TB_SUCCESS);
    EXPECT_EQ(stats_of(server).round_trips, before);
    EXPECT_EQ(take(l, "rest", 4).remaining, 6);
    EXPECT_NEAR(left(l, "rest"), 60, 0.1);

    // What a lease does not hold: more, or a fraction.
    EXPECT_EQ(allow(l, "rest", 20), TB_SUCCESS);
    EXPECT_EQ(allow(l, "rest", 0.5), TB_SUCCESS);
    EXPECT_NEAR(left(l, "rest"), 39.5, 0.1);
    EXPECT_EQ(allow(l, "rest", 81), TB_EXCEEDS_CAPACITY);
}

TEST_F(Leases, GoBackAtTheEnd) {
    const LimiterHandle seen = limiter_of(server, 80, 1e-4);
    {
        const LimiterHandle l = limiter_of(server, 100, 1e-4, leases(10, 2));
        for (const char *const key : {"back1", "back2", "back3"}) EXPECT_EQ(allow(l, key, 2), TB_SUCCESS);
        EXPECT_NEAR(left(seen, "back1"), 70, 0.1);
    }
    for (const char *const key : {"back1", "back2", "back3"}) EXPECT_NEAR(left(seen, key), 78, 0.1);
}

TEST_F(Leases, EndWithADenialThatTheServerGives) {
    const LimiterHandle l = limiter_of(server, 40, 1e-2, leases(10, 1));
    int granted = 0;
    while (granted < 50 && allow(l, "end", 1) == TB_SUCCESS) ++granted;
    EXPECT_EQ(granted, 30);
    const tb_decision d = take(l, "end", 1);
    EXPECT_EQ(d.status, TB_DENIED);
    EXPECT_GT(d.retry_after_ns, 90 * kSecond);
    EXPECT_LE(d.retry_after_ns, 100 * kSecond);
}

TEST_F(Leases, OfManyThreadsGrantExactlyWhatTheServerHas) {
    const LimiterHandle l = limiter_of(server, 1100, 1e-6, leases(50, 2));
    std::atomic<int> granted{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 300; ++i) granted += allow(l, "threads", 1) == TB_SUCCESS;
        });
    for (std::thread &t : threads) t.join();
    EXPECT_EQ(granted, 1000);
}

// What the server does not have and nobody was granted is held.
TEST_F(Leases, HoldNoMoreThanOneLeaseOfAKey) {
    constexpr double kServerHas = 900;
    const LimiterHandle l = limiter_of(server, 1000, 1e-6, leases(50, 2));
    for (int k = 0; k < 20; ++k) {
        const std::string key = "one" + std::to_string(k);
        std::atomic<int> granted{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&] {
                for (int i = 0; i < 3; ++i) granted += allow(l, key, 1) == TB_SUCCESS;
            });
        for (std::thread &t : threads) t.join();
        EXPECT_EQ(granted, 24);
        EXPECT_LE(kServerHas - left(l, key) - granted, 50) << key;
    }
}

TEST_F(Leases, OfMoreKeysThanThereIsRoomForGrantNoMore) {
    const LimiterHandle l = limiter_of(server, 3, 1e-6, leases(1, 1));
    std::vector<int> granted(3000);
    for (int round = 0; round < 3; ++round)
        for (std::size_t k = 0; k < granted.size(); ++k)
            granted[k] += allow(l, "room" + std::to_string(k), 1) == TB_SUCCESS;
    for (std::size_t k = 0; k < granted.size(); ++k) EXPECT_EQ(granted[k], 2) << k;
    const std::string long_key(300, 'k');
    EXPECT_EQ(allow(l, long_key, 1), TB_SUCCESS);
    EXPECT_EQ(allow(l, long_key, 1), TB_SUCCESS);
    EXPECT_EQ(allow(l, long_key, 1), TB_DENIED);
}

TEST_F(Leases, BelongToTheParentAfterAFork) {
    const LimiterHandle l = limiter_of(server, 100, 1e-4, leases(10, 2));
    EXPECT_EQ(take(l, "fork", 1).remaining, 9);
    const pid_t child = ::fork();
    if (child == 0) {
        const bool has_its_own = take(l, "fork", 2).remaining == 8;
        std::_Exit(has_its_own && left(l, "fork") < 61 ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(take(l, "fork", 1).remaining, 8);
}

// ---- No window ----

constexpr double kCapacity = 200, kRate = 2000;
constexpr int64_t kLease = 20;
constexpr int32_t kProcesses = 3;
constexpr std::size_t kMostGrants = 4000;

// When a grant was asked for, and when it was there.
struct Grant {
    int64_t begin_ns, end_ns;
};
struct Log {
    std::atomic<int> ready;
    std::atomic<std::size_t> counts[kProcesses];
    Grant grants[kProcesses][kMostGrants];
};

void take_in_bursts(const std::string &path, int process, Log *log) {
    const ServerHandle server = connect(path);
    const LimiterHandle l = limiter_of(server, kCapacity, kRate, leases(kLease, kProcesses));
    std::size_t count = 0;
    const auto burst = [&](int64_t length_ns) {
        const int64_t end = now_ns() + length_ns;
        while (now_ns() < end && count < kMostGrants) {
            const int64_t begin = now_ns();
            if (allow(l, "window", 1) == TB_SUCCESS) log->grants[process][count++] = {begin, now_ns()};
        }
    };
    // Each holds all but one token of a lease, and the bucket is full, when all begin.
    if (allow(l, "window", 1) != TB_SUCCESS) std::_Exit(1);
    for (int round = 1; round <= 3; ++round) {
        ::usleep(150000);
        ++log->ready;
        while (log->ready < round * kProcesses) ::usleep(100);
        burst(100 * kMillisecond);
    }
    log->counts[process] = count;
    std::_Exit(0);
}

// Of all that began and ended in any window there are at most capacity + rate * window.
TEST_F(Leases, NoWindowOfSeveralProcessesIsExceeded) {
    void *const memory = ::mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    Log *const log = new (memory) Log{};
    for (int p = 0; p < kProcesses; ++p)
        if (::fork() == 0) take_in_bursts(redis->path(), p, log);
    for (int p = 0; p < kProcesses; ++p) {
        int status = -1;
        ::wait(&status);
        ASSERT_EQ(status, 0);
    }

    std::vector<Grant> by_end;
    for (int p = 0; p < kProcesses; ++p) by_end.insert(by_end.end(), log->grants[p], log->grants[p] + log->counts[p]);
    std::sort(by_end.begin(), by_end.end(), [](const Grant &a, const Grant &b) { return a.end_ns < b.end_ns; });
    double worst = 0, most = 0;
    for (const Grant &first : by_end) {
        double count = 0;
        for (const Grant &g : by_end) {
            if (g.begin_ns < first.begin_ns) continue;
            ++count;
            const double allowed = kCapacity + kRate * static_cast<double>(g.end_ns - first.begin_ns) / 1e9;
            worst = std::max(worst, count - allowed);
            most = std::max(most, count / allowed);
        }
    }
    std::cout << by_end.size() << " grants, the fullest window at " << most << " of its bound\n";
    EXPECT_GT(by_end.size(), 600);
    EXPECT_LE(worst, 0);
    log->~Log();
    ::munmap(memory, sizeof(Log));
}

// ---- Cached denials ----

class Denials : public Local {
  protected:
    Denials() {
        tb_redis_limiter_config config = limiter_config();
        config.flags = TB_REDIS_CACHE_DENIALS;
        caching = limiter_of(server, 5, 400, config);
        asking = limiter_of(second, 5, 400);
    }
    const ServerHandle server = connect(redis->path()), second = connect(redis->path());
    LimiterHandle caching, asking;
};

TEST_F(Denials, AreAnsweredWithoutACallUntilTheirTime) {
    tb_redis_limiter_config config = limiter_config();
    config.flags = TB_REDIS_CACHE_DENIALS;
    const LimiterHandle l = limiter_of(server, 5, 1e-2, config);
    EXPECT_EQ(allow(l, "slow", 5), TB_SUCCESS);
    const tb_decision first = take(l, "slow", 2);
    const int64_t before = stats_of(server).round_trips;
    const tb_decision again = take(l, "slow", 2), more = take(l, "slow", 3);
    EXPECT_EQ(again.status, TB_DENIED);
    EXPECT_LE(again.retry_after_ns, first.retry_after_ns);
    EXPECT_GT(again.retry_after_ns, first.retry_after_ns - kSecond);
    EXPECT_NEAR(again.remaining, first.remaining, 0.01);
    EXPECT_LE(again.reset_after_ns, first.reset_after_ns);
    EXPECT_EQ(more.status, TB_DENIED);
    EXPECT_NEAR(static_cast<double>(more.retry_after_ns - again.retry_after_ns), 100e9, 1e9);
    EXPECT_EQ(stats_of(server).round_trips, before);
    EXPECT_EQ(allow(l, "slow", 1), TB_DENIED);
    EXPECT_EQ(stats_of(server).round_trips, before + 1);
    EXPECT_EQ(allow(l, "slow", std::nan("")), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(allow(l, "slow", 6), TB_EXCEEDS_CAPACITY);
}

TEST_F(Denials, AreKnownToLeasesToo) {
    tb_redis_limiter_config config = leases(2, 1);
    config.flags = TB_REDIS_CACHE_DENIALS;
    const LimiterHandle l = limiter_of(server, 5, 1e-2, config);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(allow(l, "both", 1), TB_SUCCESS);
    EXPECT_EQ(allow(l, "both", 1), TB_DENIED);
    const int64_t before = stats_of(server).round_trips;
    EXPECT_EQ(allow(l, "both", 1), TB_DENIED);
    EXPECT_EQ(stats_of(server).round_trips, before);
}

// By how much the server's clock has been set since the beginning, at most.
class ClockSteps {
  public:
    int64_t so_far() {
        const int64_t wall_ns =
            std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
                .count();
        const int64_t offset = wall_ns - now_ns();
        least_ = std::min(least_, offset);
        most_ = std::max(most_, offset);
        return most_ - least_;
    }

  private:
    int64_t least_ = INT64_MAX;
    int64_t most_ = INT64_MIN;
};

// What the server has is asked first; tokens only become more until the take.
TEST_F(Denials, NeverDenyWhatTheServerWouldGrant) {
    std::mt19937 dice(20261130);
    int cached = 0, granted = 0;
    ClockSteps steps;
    for (int i = 0; i < 4000; ++i) {
        steps.so_far();
        const double n = static_cast<double>(1 + dice() % 6) / 2;
        const std::string key = "never" + std::to_string(dice() % 3);
        tb_remote_answer before{};
        ASSERT_EQ(tb_redis_peek(asking.get(), key.data(), key.size(), n, &before), TB_SUCCESS);
        const int64_t trips = stats_of(server).round_trips;
        const int64_t begin = now_ns();
        const tb_decision d = take(caching, key, n);
        granted += d.status == TB_SUCCESS;
        if (before.retry_after_ns == 0) {
            EXPECT_EQ(d.status, TB_SUCCESS);
        }
        if (d.status != TB_DENIED || stats_of(server).round_trips != trips) continue;
        ++cached;
        // The time that it names is no later than that of the server.
        tb_remote_answer after{};
        ASSERT_EQ(tb_redis_peek(asking.get(), key.data(), key.size(), n, &after), TB_SUCCESS);
        EXPECT_LE(begin + d.retry_after_ns, now_ns() + after.retry_after_ns + 2000 + steps.so_far());
    }
    std::cout << granted << " grants, " << cached << " denials from the cache\n";
    EXPECT_GT(cached, 100);
    EXPECT_GT(granted, 100);
}

}  // namespace
