// What becomes of calls when the server, the network or the process does not behave.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/redis/proxy.h"
#include "tests/redis/support.h"

namespace {

using namespace tb_test;
using Manner = Proxy::Manner;

// How late a call may come back on a busy machine.
constexpr int64_t kMargin = 400 * kMillisecond;

tb_redis_config impatient(int64_t deadline_ns) {
    tb_redis_config config = server_config();
    config.deadline_ns = deadline_ns;
    config.breaker_failures = 1000000;
    return config;
}

class Failures : public testing::Test {
  protected:
    static void SetUpTestSuite() { redis = new RedisServer; }
    static void TearDownTestSuite() {
        delete redis;
        redis = nullptr;
    }
    static RedisServer *redis;
};
RedisServer *Failures::redis = nullptr;

// ---- Policies ----

tb_redis_limiter_config with_policy(int32_t policy, double share = 0) {
    tb_redis_limiter_config config = limiter_config();
    config.on_unavailable = policy;
    config.share = share;
    config.max_wait_ns = kSecond;
    return config;
}

tb_status take_many(const LimiterHandle &l, double n, tb_decision *decision) {
    const tb_redis_member member{l.get(), "k", 1, n};
    return tb_redis_take_many(&member, 1, decision);
}
tb_status take_all(const LimiterHandle &l, const LimiterHandle &other, tb_refusal *refusal) {
    const tb_redis_member members[] = {{l.get(), "{k}", 3, 1}, {other.get(), "{k}x", 4, 1}};
    return tb_redis_take_all(members, 2, refusal);
}

TEST(Policies, DecideWhereThereIsNoServer) {
    const ServerHandle server = connect("/nowhere/s");
    const LimiterHandle error = limiter_of(server, 10, 1e-3, with_policy(TB_REDIS_ERROR));
    const LimiterHandle closed = limiter_of(server, 10, 1e-3, with_policy(TB_REDIS_CLOSED));
    const LimiterHandle open = limiter_of(server, 10, 1e-3, with_policy(TB_REDIS_OPEN));
    const LimiterHandle local = limiter_of(server, 10, 1e-3, with_policy(TB_REDIS_LOCAL, 0.3));
    double taken = -1;
    tb_decision decision{};
    tb_refusal refusal{};

    EXPECT_EQ(allow(error, "k", 1), TB_E_UNAVAILABLE);
    EXPECT_EQ(failure_of(server), "connect: No such file or directory");
    EXPECT_EQ(tb_redis_take_up_to(error.get(), "k", 1, 5, &taken), TB_E_UNAVAILABLE);
    EXPECT_EQ(tb_redis_wait_for(error.get(), "k", 1, 1, 0), TB_E_UNAVAILABLE);
    EXPECT_EQ(take_many(error, 1, &decision), TB_E_UNAVAILABLE);
    EXPECT_EQ(take_all(open, error, &refusal), TB_E_UNAVAILABLE);

    EXPECT_EQ(take(closed, "k", 1).status, TB_DENIED);
    EXPECT_EQ(take(closed, "k", 1).retry_after_ns, kSecond);
    EXPECT_EQ(tb_redis_take_up_to(closed.get(), "k", 1, 5, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 0);
    EXPECT_EQ(tb_redis_wait_for(closed.get(), "k", 1, 1, 0), TB_TIMED_OUT);
    EXPECT_EQ(take_many(closed, 1, &decision), TB_SUCCESS);
    EXPECT_EQ(decision.status, TB_DENIED);
    EXPECT_EQ(take_all(open, closed, &refusal), TB_DENIED);
    EXPECT_EQ(refusal.member, 1);

    EXPECT_EQ(take(open, "k", 10).status, TB_SUCCESS);
    EXPECT_EQ(allow(open, "k", 11), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_redis_take_up_to(open.get(), "k", 1, 5.5, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 5);
    EXPECT_EQ(tb_redis_take_up_to(open.get(), "k", 1, 1e300, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 10);
    EXPECT_EQ(tb_redis_wait_for(open.get(), "k", 1, 1, 0), TB_SUCCESS);
    EXPECT_EQ(take_many(open, 11, &decision), TB_SUCCESS);
    EXPECT_EQ(decision.status, TB_EXCEEDS_CAPACITY);

    EXPECT_EQ(take(local, "k", 2).remaining, 1);
    EXPECT_EQ(allow(local, "k", 2), TB_DENIED);
    EXPECT_EQ(allow(local, "k", 4), TB_DENIED);
    EXPECT_EQ(allow(local, "k", 11), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_redis_take_up_to(local.get(), "k", 1, 5, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 1);
    EXPECT_EQ(tb_redis_wait_for(local.get(), "k", 1, 1, 0), TB_TIMED_OUT);
    EXPECT_EQ(tb_redis_wait_for(local.get(), "fresh", 5, 3, 0), TB_SUCCESS);
    EXPECT_EQ(take_many(local, 1, &decision), TB_SUCCESS);
    EXPECT_EQ(decision.status, TB_DENIED);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(take_all(open, local, &refusal), TB_SUCCESS);
    EXPECT_EQ(take_all(open, local, &refusal), TB_DENIED);
    EXPECT_EQ(refusal.member, 1);

    // What no policy can stand in for.
    tb_reservation reservation{1, 1, 1, 1};
    tb_remote_answer answer{};
    EXPECT_EQ(tb_redis_reserve(open.get(), "k", 1, 1, 0, &reservation), TB_E_UNAVAILABLE);
    EXPECT_EQ(tb_redis_refund(open.get(), "k", 1, 1), TB_E_UNAVAILABLE);
    EXPECT_EQ(tb_redis_charge(open.get(), "k", 1, 1, nullptr), TB_E_UNAVAILABLE);
    EXPECT_EQ(tb_redis_reset(open.get(), "k", 1, 1), TB_E_UNAVAILABLE);
    EXPECT_EQ(tb_redis_peek(open.get(), "k", 1, 1, &answer), TB_E_UNAVAILABLE);
    EXPECT_EQ(tb_redis_cancel(open.get(), "k", 1, &reservation), TB_E_UNAVAILABLE);
    EXPECT_EQ(reservation.tokens, 1);
    EXPECT_EQ(tb_redis_settle(open.get(), "k", 1, &reservation, 0), TB_E_UNAVAILABLE);
    EXPECT_EQ(reservation.tokens, 0);
}

TEST_F(Failures, AnErrorOfTheServerIsUnavailableAndNoReasonToGiveItUp) {
    const RedisServer full;
    const ServerHandle server = connect(full.path());
    const LimiterHandle l = limiter_of(server, 10, 1e-3);
    RedisClient client(full.path());
    client.ask({"CONFIG", "SET", "maxmemory", "1"});
    for (int i = 0; i < 10; ++i) EXPECT_EQ(allow(l, "k", 1), TB_E_UNAVAILABLE);
    EXPECT_NE(failure_of(server).find("OOM"), std::string::npos) << failure_of(server);
    EXPECT_EQ(stats_of(server).failures, 0);
    client.ask({"CONFIG", "SET", "maxmemory", "0"});
    EXPECT_EQ(allow(l, "k", 1), TB_SUCCESS);
}

// ---- The breaker ----

TEST_F(Failures, AStoppedServerIsAskedFewTimes) {
    constexpr int64_t kDeadline = 25 * kMillisecond, kOpen = 150 * kMillisecond, kStopped = 600 * kMillisecond;
    tb_redis_config config = server_config();
    config.deadline_ns = kDeadline;
    config.breaker_open_ns = kOpen;
    const ServerHandle server = connect(redis->path(), config);
    const LimiterHandle l = limiter_of(server, 1e6, 1);
    for (int i = 0; i < 100 && allow(l, "stopped", 1) != TB_SUCCESS; ++i) ::usleep(10000);

    const int64_t failures = stats_of(server).failures, begin = now_ns();
    int64_t calls = 0, longest_ns = 0;
    redis->signal(SIGSTOP);
    for (int64_t before = begin; before - begin < kStopped;) {
        EXPECT_EQ(allow(l, "stopped", 1), TB_E_UNAVAILABLE);
        const int64_t after = now_ns();
        ++calls;
        longest_ns = std::max(longest_ns, after - before);
        before = after;
    }
    const int64_t stopped_ns = now_ns() - begin;
    redis->signal(SIGCONT);
    const int64_t reached = stats_of(server).failures - failures;
    std::cout << calls << " calls, of which " << reached << " reached the server; the longest took "
              << longest_ns / 1000 << " us\n";
    EXPECT_LE(longest_ns, kDeadline + kMargin);
    EXPECT_LE(reached, 3 + stopped_ns / kOpen + 1);
    EXPECT_GT(calls, reached);

    tb_status s = TB_E_UNAVAILABLE;
    for (int i = 0; i < 500 && s != TB_SUCCESS; ++i) {
        s = allow(l, "stopped", 1);
        ::usleep(10000);
    }
    EXPECT_EQ(s, TB_SUCCESS);
}

TEST_F(Failures, TheOthersDoNotWaitForTheProbe) {
    tb_redis_config config = server_config();
    config.deadline_ns = kSecond;
    config.breaker_open_ns = kMillisecond;
    config.breaker_failures = 1;
    Proxy proxy(redis->path() + "p", redis->path());
    const ServerHandle server = connect(proxy.path(), config);
    const LimiterHandle l = limiter_of(server, 100, 1);
    proxy.manner = Manner::cut_replies;
    EXPECT_EQ(allow(l, "others", 1), TB_E_UNAVAILABLE);
    proxy.manner = Manner::swallow_questions;
    ::usleep(2000);
    std::atomic<bool> is_over{false};
    std::thread probe([&] {
        EXPECT_EQ(allow(l, "others", 1), TB_E_UNAVAILABLE);
        is_over = true;
    });
    while (proxy.swallowed == 0 && !is_over) ::usleep(1000);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(allow(l, "others", 1), TB_E_UNAVAILABLE);
    EXPECT_FALSE(is_over);
    probe.join();
}

// ---- Lost connections ----

TEST_F(Failures, AServerThatIsKilledAndStartedAnewIsFoundAgain) {
    RedisServer server_process;
    tb_redis_config config = server_config();
    config.breaker_failures = 1000;
    const ServerHandle server = connect(server_process.path(), config);
    const LimiterHandle l = limiter_of(server, 5, 1e-3);
    int granted = 0;
    const auto count = [&] {
        for (int i = 0; i < 10; ++i) granted += allow(l, "killed", 1) == TB_SUCCESS;
    };
    count();
    server_process.end(SIGKILL);
    EXPECT_EQ(allow(l, "killed", 1), TB_E_UNAVAILABLE);
    EXPECT_EQ(allow(l, "killed", 1), TB_E_UNAVAILABLE);
    server_process.start();
    count();
    EXPECT_EQ(granted, 10);
}

TEST_F(Failures, WhatWasClosedBeforeACallIsNoFailure) {
    const ServerHandle server = connect(redis->path());
    const LimiterHandle l = limiter_of(server, 1000, 1e-3);
    RedisClient client(redis->path());
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(allow(l, "idle", 1), TB_SUCCESS);
        client.ask({"CLIENT", "KILL", "TYPE", "normal"});
    }
    EXPECT_EQ(stats_of(server).connects, 20);
    EXPECT_EQ(stats_of(server).failures, 0);
}

auto open_descriptors() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
}

TEST_F(Failures, DescriptorsAndMemoryStayTheSameOverManyConnections) {
    if (!std::filesystem::exists("/proc/self/fd")) GTEST_SKIP();
    const ServerHandle server = connect(redis->path());
    const LimiterHandle l = limiter_of(server, 1e6, 1);
    RedisClient client(redis->path());
    const auto reconnect = [&](int times) {
        for (int i = 0; i < times; ++i) {
            EXPECT_EQ(allow(l, "again", 1), TB_SUCCESS);
            client.ask({"CLIENT", "KILL", "TYPE", "normal"});
        }
    };
    reconnect(10);
    const auto descriptors = open_descriptors();
    const auto memory = mallinfo2().uordblks;
    reconnect(3000);
    EXPECT_EQ(open_descriptors(), descriptors);
    EXPECT_LE(mallinfo2().uordblks, memory + 16384);
    EXPECT_EQ(stats_of(server).connects, 3010);
}

// ---- Bad networks ----

class Networks : public Failures {
  protected:
    // Expects a failure within the deadline.
    void expect_unavailable(const LimiterHandle &l, int64_t deadline_ns) {
        const int64_t begin = now_ns();
        EXPECT_EQ(allow(l, "net", 1), TB_E_UNAVAILABLE);
        EXPECT_LE(now_ns() - begin, deadline_ns + kMargin);
    }

    Proxy proxy{redis->path() + "p", redis->path()};
};

TEST_F(Networks, QuestionsAndRepliesThatAreLost) {
    constexpr int64_t kDeadline = 20 * kMillisecond;
    const ServerHandle direct = connect(redis->path());
    const ServerHandle server = connect(proxy.path(), impatient(kDeadline));
    const LimiterHandle l = limiter_of(server, 100, 1e-4), seen = limiter_of(direct, 100, 1e-4);
    EXPECT_EQ(tb_redis_reset(seen.get(), "net", 3, TB_INITIALLY_FULL), TB_SUCCESS);

    proxy.manner = Manner::swallow_questions;
    expect_unavailable(l, kDeadline);
    EXPECT_EQ(left(seen, "net"), 100);
    proxy.manner = Manner::swallow_replies;
    expect_unavailable(l, kDeadline);
    EXPECT_NEAR(left(seen, "net"), 99, 0.1);
    EXPECT_EQ(failure_of(server), "receive: Connection timed out");
    proxy.manner = Manner::cut_replies;
    expect_unavailable(l, kDeadline);
    proxy.manner = Manner::cut_questions;
    expect_unavailable(l, kDeadline);
    proxy.manner = Manner::pass;
    tb_decision d = take(l, "net", 1);
    for (int i = 0; i < 50 && d.status == TB_E_UNAVAILABLE; ++i) d = take(l, "net", 1);
    EXPECT_EQ(d.status, TB_SUCCESS);
    EXPECT_NEAR(left(seen, "net"), d.remaining, 0.1);
}

// A reply that comes after the deadline is not taken for that to the next call.
TEST_F(Networks, RepliesThatAreLate) {
    constexpr int64_t kDeadline = 30 * kMillisecond;
    const ServerHandle server = connect(proxy.path(), impatient(kDeadline));
    const LimiterHandle l = limiter_of(server, 100, 1e-4);
    proxy.pause_us = 60000;
    expect_unavailable(l, kDeadline);
    proxy.pause_us = 0;
    tb_decision d = take(l, "late", 10);
    for (int i = 0; i < 50 && d.status == TB_E_UNAVAILABLE; ++i) d = take(l, "late", 10);
    EXPECT_EQ(d.status, TB_SUCCESS);
    EXPECT_NEAR(d.remaining, left(l, "late"), 0.1);
}

TEST_F(Networks, AServerThatSendsByteByByteDoesNotStretchTheDeadline) {
    constexpr int64_t kDeadline = 40 * kMillisecond;
    ServerHandle patient = connect(proxy.path());
    proxy.piece = 1;
    proxy.pause_us = 1000;
    EXPECT_EQ(allow(limiter_of(patient, 100, 1e-4), "bytes", 1), TB_SUCCESS);
    patient.reset();

    const ServerHandle server = connect(proxy.path(), impatient(kDeadline));
    proxy.pause_us = 100000;
    const int64_t begin = now_ns();
    EXPECT_EQ(allow(limiter_of(server, 100, 1e-4), "bytes", 1), TB_E_UNAVAILABLE);
    EXPECT_LE(now_ns() - begin, 1000 * kMillisecond);  // of some 1300 that the whole reply takes
    proxy.pause_us = 0;
}

std::atomic<int> pipes{0};

// The server goes away while a long question is being sent.
TEST_F(Networks, SigpipeIsNotRaised) {
    struct sigaction action {};
    action.sa_handler = [](int) { ++pipes; };
    struct sigaction before {};
    ASSERT_EQ(sigaction(SIGPIPE, &action, &before), 0);
    const ServerHandle server = connect(proxy.path(), impatient(10 * kSecond));
    const LimiterHandle l = limiter_of(server, 100, 1e-4);
    const std::string key(60000, 'k');
    const std::vector<tb_redis_member> members(200, {l.get(), key.data(), key.size(), 2});
    std::vector<tb_decision> decisions(members.size());
    proxy.manner = Manner::cut_questions;
    // Whether the system says so while sending or thereafter is its affair; most times it does while sending.
    for (int i = 0; i < 10 && failure_of(server) != "send: Broken pipe"; ++i)
        EXPECT_EQ(tb_redis_take_many(members.data(), members.size(), decisions.data()), TB_E_UNAVAILABLE);
    EXPECT_EQ(failure_of(server), "send: Broken pipe");
    EXPECT_EQ(pipes, 0);
    sigaction(SIGPIPE, &before, nullptr);
}

// ---- Forks ----

TEST_F(Failures, AChildConnectsAnew) {
    const ServerHandle server = connect(redis->path());
    const LimiterHandle l = limiter_of(server, 1e5, 1e-2);
    EXPECT_EQ(allow(l, "fork", 1), TB_SUCCESS);
    const pid_t child = ::fork();
    const std::string key = child == 0 ? "child" : "parent";
    double expected = 1e5;
    for (int i = 0; i < 300; ++i) {
        expected -= 1 + i % 3;
        const tb_decision d = take(l, key, 1 + i % 3);
        if (d.status == TB_SUCCESS && d.remaining >= expected && d.remaining < expected + 1) continue;
        if (child == 0) std::_Exit(1);
        ADD_FAILURE() << i << " " << d.status << " " << d.remaining;
        break;
    }
    if (child == 0) std::_Exit(stats_of(server).connects == 2 ? 0 : 2);
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_EQ(stats_of(server).connects, 1);
}

// Threads of the parent are within calls, and hold what a child needs.
TEST_F(Failures, AChildOfABusyParentCanAsk) {
    const ServerHandle server = connect(redis->path());
    tb_redis_limiter_config config = limiter_config();
    config.flags = TB_REDIS_CACHE_DENIALS;
    const LimiterHandle l = limiter_of(server, 1e5, 1e-2, config);
    std::atomic<bool> ends{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            while (!ends) EXPECT_EQ(allow(l, "busy", 1), TB_SUCCESS);
        });
    for (int i = 0; i < 20; ++i) {
        const pid_t child = ::fork();
        if (child == 0) std::_Exit(allow(l, "busy", 1) == TB_SUCCESS ? 0 : 1);
        int status = -1;
        ::waitpid(child, &status, 0);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    }
    ends = true;
    for (std::thread &t : threads) t.join();
}

}  // namespace
