// What each function decides, against a server.
#include <signal.h>
#include <sys/time.h>

#include <array>
#include <cmath>
#include <vector>

#include "tests/redis/support.h"

namespace {

using namespace tb_test;

// A server for all tests, each of which has keys of its own.
class Decisions : public testing::Test {
  protected:
    static void SetUpTestSuite() { redis = new RedisServer; }
    static void TearDownTestSuite() {
        delete redis;
        redis = nullptr;
    }

    LimiterHandle limiter(double capacity, double per_second, int64_t max_wait_ns = 0, const char *prefix = "tb:") {
        tb_redis_limiter_config config = limiter_config();
        config.prefix = prefix;
        config.max_wait_ns = max_wait_ns;
        return limiter_of(server, capacity, per_second, config);
    }
    RedisReply ask(const std::vector<std::string> &words) {
        RedisClient client(redis->path());
        return client.ask(words);
    }

    static RedisServer *redis;
    const ServerHandle server = connect(redis->path());
};
RedisServer *Decisions::redis = nullptr;

TEST_F(Decisions, GrantsTheCapacityAndSaysWhenToComeBack) {
    const LimiterHandle l = limiter(3, 1e-3);
    EXPECT_EQ(take(l, "grants", 1).remaining, 2);
    EXPECT_EQ(take(l, "grants", 2).status, TB_SUCCESS);
    const tb_decision denied = take(l, "grants", 2);
    EXPECT_EQ(denied.status, TB_DENIED);
    EXPECT_LE(denied.retry_after_ns, 2000 * kSecond);
    EXPECT_GT(denied.retry_after_ns, 1990 * kSecond);
    EXPECT_GT(denied.reset_after_ns, 2990 * kSecond);
    EXPECT_LT(denied.remaining, 0.01);
    EXPECT_EQ(allow(l, "grants", 1), TB_DENIED);
    EXPECT_EQ(allow(l, "another", 1), TB_SUCCESS);
    EXPECT_EQ(allow(l, "grants", 4), TB_EXCEEDS_CAPACITY);
}

TEST_F(Decisions, TheKeyOnTheServerIsThePrefixAndTheKey) {
    const LimiterHandle l = limiter(10, 1e-3, 0, "api:");
    EXPECT_EQ(allow(l, "user", 1), TB_SUCCESS);
    EXPECT_EQ(ask({"EXISTS", "api:user"}).number, 1);
}

TEST_F(Decisions, TakesUpToWhatIsThere) {
    const LimiterHandle l = limiter(5, 1e-3);
    double taken = 0;
    EXPECT_EQ(tb_redis_take_up_to(l.get(), "upto", 4, 3, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 3);
    EXPECT_EQ(tb_redis_take_up_to(l.get(), "upto", 4, 9, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 2);
    EXPECT_EQ(tb_redis_take_up_to(l.get(), "upto", 4, 1, &taken), TB_SUCCESS);
    EXPECT_EQ(taken, 0);
}

TEST_F(Decisions, ManyKeysInOneRoundTrip) {
    const LimiterHandle a = limiter(2, 1e-3, 0, "a:"), b = limiter(1, 1e-3, 0, "b:");
    const std::array<tb_redis_member, 6> members{{{a.get(), "m", 1, 2},
                                                  {a.get(), "m", 1, 1},
                                                  {b.get(), "m", 1, 1},
                                                  {b.get(), "m", 1, 2},
                                                  {b.get(), "", 0, 1},
                                                  {a.get(), "n", 1, 1}}};
    std::array<tb_decision, 6> decisions;
    EXPECT_EQ(left(a, "warm"), 2);
    const int64_t before = stats_of(server).round_trips;
    ASSERT_EQ(tb_redis_take_many(members.data(), members.size(), decisions.data()), TB_SUCCESS);
    EXPECT_LE(stats_of(server).round_trips, before + 1);
    const tb_status expected[] = {TB_SUCCESS, TB_DENIED, TB_SUCCESS, TB_EXCEEDS_CAPACITY, TB_SUCCESS, TB_SUCCESS};
    for (std::size_t i = 0; i < members.size(); ++i) EXPECT_EQ(decisions[i].status, expected[i]) << i;
    EXPECT_GT(decisions[1].retry_after_ns, 990 * kSecond);
    EXPECT_EQ(decisions[3].retry_after_ns, TB_FOREVER);
    EXPECT_EQ(decisions[5].remaining, 1);
}

TEST_F(Decisions, ManyTakesAsManyAsOneCallHolds) {
    const LimiterHandle l = limiter(600, 1e-6);
    std::vector<tb_redis_member> members(TB_REMOTE_MAX_KEYS, {l.get(), "max", 3, 1});
    std::vector<tb_decision> decisions(members.size());
    ASSERT_EQ(tb_redis_take_many(members.data(), members.size(), decisions.data()), TB_SUCCESS);
    for (std::size_t i = 0; i < members.size(); ++i) EXPECT_EQ(decisions[i].status, i < 600 ? TB_SUCCESS : TB_DENIED);
    EXPECT_EQ(tb_redis_take_many(members.data(), members.size() + 1, decisions.data()), TB_E_INVALID_ARGUMENT);
}

TEST_F(Decisions, AllOrNothingUnderOneTag) {
    const LimiterHandle requests = limiter(5, 1e-3, 0, "requests:"), bytes = limiter(100, 1e-3, 0, "bytes:");
    const tb_redis_member both[] = {{requests.get(), "{u}", 3, 1}, {bytes.get(), "{u}", 3, 60}};
    tb_refusal refusal{};
    EXPECT_EQ(tb_redis_take_all(both, 2, &refusal), TB_SUCCESS);
    EXPECT_EQ(tb_redis_take_all(both, 2, &refusal), TB_DENIED);
    EXPECT_EQ(refusal.member, 1);
    EXPECT_GT(refusal.retry_after_ns, 19990 * kSecond);
    EXPECT_NEAR(left(requests, "{u}"), 4, 0.1);
    EXPECT_NEAR(left(bytes, "{u}"), 40, 0.1);

    const tb_redis_member too_much[] = {{requests.get(), "{u}", 3, 1}, {bytes.get(), "{u}", 3, 101}};
    EXPECT_EQ(tb_redis_take_all(too_much, 2, &refusal), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(refusal.member, 1);
    EXPECT_EQ(refusal.retry_after_ns, TB_FOREVER);
    const tb_redis_member two_tags[] = {{requests.get(), "{u}", 3, 1}, {bytes.get(), "{v}", 3, 1}};
    EXPECT_EQ(tb_redis_take_all(two_tags, 2, nullptr), TB_E_INVALID_ARGUMENT);
    const tb_redis_member twice[] = {{requests.get(), "{u}", 3, 1}, {requests.get(), "{u}", 3, 1}};
    EXPECT_EQ(tb_redis_take_all(twice, 2, nullptr), TB_E_INVALID_ARGUMENT);
}

TEST_F(Decisions, AReservationIsKeptUntilItIsCancelled) {
    const LimiterHandle l = limiter(2, 1e-2, 1000 * kSecond);
    EXPECT_EQ(allow(l, "reserve", 2), TB_SUCCESS);
    tb_reservation r{};
    EXPECT_EQ(tb_redis_reserve(l.get(), "reserve", 7, 1, 50 * kSecond, &r), TB_TIMED_OUT);
    ASSERT_EQ(tb_redis_reserve(l.get(), "reserve", 7, 1, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_EQ(r.tokens, 1);
    EXPECT_GT(r.wait_ns, 90 * kSecond);
    EXPECT_LE(r.wait_ns, 100 * kSecond);
    EXPECT_NEAR(left(l, "reserve"), -1, 0.1);
    EXPECT_EQ(tb_redis_cancel(l.get(), "reserve", 7, &r), TB_SUCCESS);
    EXPECT_EQ(r.tokens, 0);
    EXPECT_NEAR(left(l, "reserve"), 0, 0.1);
    EXPECT_EQ(tb_redis_cancel(l.get(), "reserve", 7, &r), TB_E_INVALID_ARGUMENT);

    ASSERT_EQ(tb_redis_reserve(l.get(), "reserve", 7, 2, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_EQ(tb_redis_settle(l.get(), "reserve", 7, &r, 0.5), TB_SUCCESS);
    EXPECT_NEAR(left(l, "reserve"), -0.5, 0.1);
}

TEST_F(Decisions, NobodyWaitsLongerThanAMinuteUnlessToldSo) {
    const LimiterHandle l = limiter_of(server, 10, 1, limiter_config());
    tb_reservation r{};
    EXPECT_EQ(allow(l, "minute", 10), TB_SUCCESS);
    for (int i = 0; i < 6; ++i) EXPECT_EQ(tb_redis_reserve(l.get(), "minute", 6, 10, TB_FOREVER, &r), TB_SUCCESS);
    EXPECT_GT(r.wait_ns, 59 * kSecond);
    EXPECT_LE(r.wait_ns, 60 * kSecond);
    EXPECT_EQ(tb_redis_reserve(l.get(), "minute", 6, 2, TB_FOREVER, &r), TB_TIMED_OUT);
}

TEST_F(Decisions, AWaitSleepsForItsTokens) {
    const LimiterHandle l = limiter(1, 50, kSecond);
    EXPECT_EQ(tb_redis_wait_for(l.get(), "wait", 4, 1, 0), TB_SUCCESS);
    EXPECT_EQ(tb_redis_wait_for(l.get(), "wait", 4, 1, kMillisecond), TB_TIMED_OUT);
    const int64_t begin = now_ns();
    EXPECT_EQ(tb_redis_wait_for(l.get(), "wait", 4, 1, kSecond), TB_SUCCESS);
    EXPECT_GE(now_ns() - begin, 10 * kMillisecond);
    EXPECT_EQ(tb_redis_wait_for(l.get(), "wait", 4, 2, kSecond), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(tb_redis_wait_for(l.get(), "wait", 4, 1, -1), TB_E_INVALID_ARGUMENT);
}

void do_nothing(int) {}

TEST_F(Decisions, AWaitThatASignalEndsGivesItsTokensBack) {
    struct sigaction action {};
    action.sa_handler = do_nothing;
    struct sigaction before {};
    ASSERT_EQ(sigaction(SIGALRM, &action, &before), 0);
    const LimiterHandle l = limiter(1, 1e-3, 10000 * kSecond);
    EXPECT_EQ(allow(l, "signal", 1), TB_SUCCESS);
    const itimerval soon{{0, 0}, {0, 20000}};
    ASSERT_EQ(setitimer(ITIMER_REAL, &soon, nullptr), 0);
    EXPECT_EQ(tb_redis_wait_for(l.get(), "signal", 6, 1, TB_FOREVER), TB_INTERRUPTED);
    EXPECT_NEAR(left(l, "signal"), 0, 0.01);
    sigaction(SIGALRM, &before, nullptr);
}

TEST_F(Decisions, ChargeRefundAndReset) {
    const LimiterHandle l = limiter(10, 1e-2, 1000 * kSecond);
    int64_t repaid_ns = 0;
    EXPECT_EQ(tb_redis_charge(l.get(), "adjust", 6, 15, &repaid_ns), TB_SUCCESS);
    EXPECT_GT(repaid_ns, 490 * kSecond);
    EXPECT_LE(repaid_ns, 500 * kSecond);
    EXPECT_NEAR(left(l, "adjust"), -5, 0.1);
    EXPECT_EQ(tb_redis_charge(l.get(), "adjust", 6, 15, nullptr), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_redis_refund(l.get(), "adjust", 6, 7), TB_SUCCESS);
    EXPECT_NEAR(left(l, "adjust"), 2, 0.1);
    EXPECT_EQ(tb_redis_reset(l.get(), "adjust", 6, 4), TB_SUCCESS);
    EXPECT_NEAR(left(l, "adjust"), 4, 0.1);
    EXPECT_EQ(tb_redis_reset(l.get(), "adjust", 6, TB_INITIALLY_FULL), TB_SUCCESS);
    EXPECT_EQ(left(l, "adjust"), 10);
    EXPECT_EQ(tb_redis_reset(l.get(), "adjust", 6, 11), TB_EXCEEDS_CAPACITY);
}

TEST_F(Decisions, AFlushedScriptIsSentAgain) {
    const LimiterHandle l = limiter(10, 1e-3, 10000 * kSecond);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(ask({"SCRIPT", "FLUSH"}).text, "OK");
        EXPECT_EQ(allow(l, "flush", 1), TB_SUCCESS);
        EXPECT_EQ(ask({"SCRIPT", "FLUSH"}).text, "OK");
        EXPECT_EQ(tb_redis_charge(l.get(), "flush", 5, 1, nullptr), TB_SUCCESS);
        EXPECT_EQ(ask({"SCRIPT", "FLUSH"}).text, "OK");
        const tb_redis_member two[] = {{l.get(), "flush", 5, 1}, {l.get(), "other", 5, 1}};
        tb_decision decisions[2];
        EXPECT_EQ(tb_redis_take_many(two, 2, decisions), TB_SUCCESS);
        EXPECT_NEAR(left(l, "flush"), 10 - 3 * (i + 1), 0.1);
    }
}

TEST_F(Decisions, AKeyIsAnyBytes) {
    const LimiterHandle l = limiter(1, 1e-3);
    std::string all(256, '\0');
    for (int i = 0; i < 256; ++i) all[static_cast<std::size_t>(i)] = static_cast<char>(i);
    EXPECT_EQ(allow(l, all, 1), TB_SUCCESS);
    EXPECT_EQ(allow(l, all, 1), TB_DENIED);
    for (int i = 0; i < 256; ++i) {
        const char byte = static_cast<char>(i);
        EXPECT_EQ(allow(l, {&byte, 1}, 1), TB_SUCCESS) << i;
        EXPECT_EQ(allow(l, {&byte, 1}, 1), TB_DENIED) << i;
        const tb_status expected = byte == '}' ? TB_E_INVALID_ARGUMENT : TB_SUCCESS;
        EXPECT_EQ(tb_redis_refund(l.get(), &byte, 1, 1), expected) << i;
    }
    const std::string longest(TB_MAX_KEY_SIZE - 3, 'k');
    EXPECT_EQ(allow(l, longest, 1), TB_SUCCESS);
    EXPECT_EQ(tb_redis_refund(l.get(), longest.data(), longest.size(), 1), TB_SUCCESS);
    EXPECT_EQ(allow(l, longest + "k", 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_allow(l.get(), nullptr, 0, 1), TB_SUCCESS);
    EXPECT_EQ(tb_redis_allow(l.get(), nullptr, 1, 1), TB_E_INVALID_ARGUMENT);
}

TEST_F(Decisions, AKeyThatHoldsSomethingElseIsNoDenial) {
    tb_redis_limiter_config closed = limiter_config();
    closed.on_unavailable = TB_REDIS_CLOSED;
    const LimiterHandle l = limiter_of(server, 10, 1, closed);
    EXPECT_EQ(ask({"LPUSH", "tb:list", "x"}).number, 1);
    EXPECT_EQ(ask({"SET", "tb:text", "x"}).text, "OK");
    for (const char *const key : {"list", "text"}) {
        EXPECT_EQ(allow(l, key, 1), TB_E_MISMATCH) << key;
        EXPECT_EQ(tb_redis_refund(l.get(), key, 4, 1), TB_E_MISMATCH) << key;
        const tb_redis_member members[] = {{l.get(), "good", 4, 1}, {l.get(), key, 4, 1}};
        tb_decision decisions[2];
        EXPECT_EQ(tb_redis_take_many(members, 2, decisions), TB_SUCCESS) << key;
        EXPECT_EQ(decisions[0].status, TB_SUCCESS) << key;
        EXPECT_EQ(decisions[1].status, TB_E_MISMATCH) << key;
    }
    EXPECT_NE(failure_of(server), "");
    EXPECT_EQ(allow(l, "good", 1), TB_SUCCESS);
}

TEST_F(Decisions, ThePasswordUserAndDatabaseAreSent) {
    const RedisServer other;
    RedisClient client(other.path());
    EXPECT_EQ(client.ask({"CONFIG", "SET", "requirepass", "secret"}).text, "OK");
    tb_redis_config config = server_config();
    const ServerHandle without = connect(other.path(), config);
    EXPECT_EQ(allow(limiter_of(without, 1, 1), "k", 1), TB_E_UNAVAILABLE);
    EXPECT_NE(failure_of(without).find("NOAUTH"), std::string::npos);
    config.password = "wrong";
    const ServerHandle wrong = connect(other.path(), config);
    EXPECT_EQ(allow(limiter_of(wrong, 1, 1), "k", 1), TB_E_UNAVAILABLE);
    EXPECT_NE(failure_of(wrong).find("WRONGPASS"), std::string::npos);
    config.password = "secret";
    config.user = "default";
    config.database = 5;
    const ServerHandle right = connect(other.path(), config);
    EXPECT_EQ(allow(limiter_of(right, 1, 1), "k", 1), TB_SUCCESS);
    client.ask({"AUTH", "secret"});
    client.ask({"SELECT", "5"});
    EXPECT_EQ(client.ask({"EXISTS", "tb:k"}).number, 1);
}

TEST_F(Decisions, BadArgumentsAreRefused) {
    const LimiterHandle l = limiter(1, 1);
    for (const double n : {0.0, -1.0, std::nan(""), HUGE_VAL}) EXPECT_EQ(allow(l, "k", n), TB_E_INVALID_ARGUMENT) << n;
    EXPECT_EQ(tb_redis_allow(nullptr, "k", 1, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_take(l.get(), "k", 1, 1, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_take_up_to(l.get(), "k", 1, 1, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_reserve(l.get(), "k", 1, 1, 0, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_cancel(l.get(), "k", 1, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_settle(l.get(), "k", 1, nullptr, 1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_peek(l.get(), "k", 1, 1, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_redis_take_all(nullptr, 1, nullptr), TB_E_INVALID_ARGUMENT);
    const tb_redis_member none{nullptr, "k", 1, 1};
    tb_decision decision;
    EXPECT_EQ(tb_redis_take_many(&none, 1, &decision), TB_E_INVALID_ARGUMENT);
    const ServerHandle second = connect(redis->path());
    const LimiterHandle foreign = limiter_of(second, 1, 1);
    const tb_redis_member strangers[] = {{l.get(), "{t}", 3, 1}, {foreign.get(), "{t}b", 4, 1}};
    EXPECT_EQ(tb_redis_take_all(strangers, 2, nullptr), TB_E_INVALID_ARGUMENT);
    tb_redis_destroy(nullptr);
    tb_redis_limiter_destroy(nullptr);
}

tb_status create(const char *address, tb_redis_config config = server_config()) {
    tb_redis *server = nullptr;
    const tb_status s = tb_redis_create(address, &config, &server);
    EXPECT_EQ(server != nullptr, s == TB_SUCCESS);
    tb_redis_destroy(server);
    return s;
}

TEST(Configs, AnAddressIsAPathOrAHostWithAPort) {
    for (const char *const good : {"unix:/s", "localhost:6379", "127.0.0.1:1", "[::1]:65535"})
        EXPECT_EQ(create(good), TB_SUCCESS) << good;
    for (const char *const bad : {"", "unix:", "localhost", ":6379", "host:", "host:0", "host:65536", "host:x",
                                  "::1:6379", "[::1:6379", "[]:1", "[::1]"})
        EXPECT_EQ(create(bad), TB_E_INVALID_ARGUMENT) << bad;
    EXPECT_EQ(create(("unix:/" + std::string(200, 'x')).c_str()), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(create(nullptr), TB_E_INVALID_ARGUMENT);
}

TEST(Configs, OfAServer) {
    const auto with = [](auto change) {
        tb_redis_config config = server_config();
        change(&config);
        return create("unix:/s", config);
    };
    EXPECT_EQ(with([](tb_redis_config *c) { c->deadline_ns = 0; }), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(with([](tb_redis_config *c) { c->breaker_failures = 0; }), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(with([](tb_redis_config *c) { c->breaker_open_ns = -1; }), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(with([](tb_redis_config *c) { c->database = -1; }), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(with([](tb_redis_config *c) { c->user = "u"; }), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(with([](tb_redis_config *c) { c->struct_size = 8; }), TB_E_INVALID_ARGUMENT);
    struct Newer {
        tb_redis_config config;
        int64_t more;
    } newer{server_config(), 0};
    newer.config.struct_size = sizeof newer;
    tb_redis *server = nullptr;
    ASSERT_EQ(tb_redis_create("unix:/s", &newer.config, &server), TB_SUCCESS);
    tb_redis_destroy(server);
    newer.more = 1;
    EXPECT_EQ(tb_redis_create("unix:/s", &newer.config, &server), TB_E_UNSUPPORTED);
}

TEST(Configs, OfALimiter) {
    const ServerHandle server = connect("/nowhere");
    const auto with = [&](auto change) {
        tb_redis_limiter_config config = limiter_config();
        change(&config);
        const tb_config limit = limit_of(100, 10);
        tb_redis_limiter *limiter = nullptr;
        const tb_status s = tb_redis_limiter_create(server.get(), &limit, &config, &limiter);
        EXPECT_EQ(limiter != nullptr, s == TB_SUCCESS);
        tb_redis_limiter_destroy(limiter);
        return s;
    };
    using Config = tb_redis_limiter_config;
    EXPECT_EQ(with([](Config *) {}), TB_SUCCESS);
    EXPECT_EQ(with([](Config *c) { c->prefix = nullptr; }), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(with([](Config *c) { c->flags = 2; }), TB_E_UNSUPPORTED);
    EXPECT_EQ(with([](Config *c) { c->max_wait_ns = -1; }), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(with([](Config *c) { c->on_unavailable = 4; }), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(with([](Config *c) { c->on_unavailable = TB_REDIS_LOCAL; }), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(with([](Config *c) { c->on_unavailable = TB_REDIS_LOCAL, c->share = 1.5; }), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(with([](Config *c) { c->on_unavailable = TB_REDIS_LOCAL, c->share = 0.5; }), TB_SUCCESS);
    EXPECT_EQ(with([](Config *c) { c->share = 0.5; }), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(with([](Config *c) { c->lease = 10; }), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(with([](Config *c) { c->lessees = 3; }), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(with([](Config *c) { c->lease = 10, c->lessees = 9; }), TB_SUCCESS);
    EXPECT_EQ(with([](Config *c) { c->lease = 10, c->lessees = 10; }), TB_E_OUT_OF_RANGE);
}

}  // namespace
