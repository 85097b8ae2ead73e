// Limits in Redis, through the C++ face: each call against a server. But for what says otherwise, next to nothing
// accrues during a test.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/redis.h"
#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using tb_test::RedisClient;
using tb_test::RedisReply;
using tb_test::RedisServer;
using tokenbucket::Config;
using tokenbucket::Key;
using tokenbucket::kMaxRemoteKeys;
using tokenbucket::RemoteAnswer;
using tokenbucket::RemoteCall;
using tokenbucket::RemoteLimit;
using tokenbucket::RemoteMember;
using tokenbucket::RemoteReply;
using tokenbucket::RemoteReservation;
using tokenbucket::Result;
using tokenbucket::Status;

using Words = std::vector<std::string>;

Config config_of(double capacity, double tokens, std::chrono::nanoseconds period) {
    Config config;
    config.capacity = capacity;
    config.rate_tokens = tokens;
    config.rate_period = period;
    return config;
}

// 10 tokens, of which one takes a thousand seconds, and no more debt than 7.2.
RemoteLimit slow(std::string prefix = "tb:") {
    return RemoteLimit(config_of(10, 1, 1000s), 2h, std::move(prefix));
}

// Each test on a server of its own.
class RemoteLimitTest : public testing::Test {
  protected:
    RemoteReply send(const Words &words) {
        ++sent;
        try {
            const RedisReply reply = client.ask(words);
            if (reply.type == '-') return {{}, reply.text};
            if (reply.type == ':') return {{reply.number}, ""};
            RemoteReply numbers;
            for (const RedisReply &element : reply.elements) numbers.numbers.push_back(element.number);
            return numbers;
        } catch (const std::runtime_error &) {
            return {};
        }
    }
    template <class Answer>
    Answer ask(const Result<RemoteCall<Answer>> &call) {
        return call.value().ask([this](const Words &words) { return send(words); });
    }
    double left(const RemoteLimit &limit, Key key) { return std::floor(ask(limit.peek(key)).remaining); }

    std::optional<RedisServer> server{std::in_place};
    RedisClient client{server->path()};
    int sent = 0;
};

void expect_about(std::chrono::nanoseconds time, std::chrono::seconds expected) {
    EXPECT_LE(time, expected);
    EXPECT_GT(time, expected - 100s);
}

TEST_F(RemoteLimitTest, TakesAreGrantedOrDeniedWithATime) {
    const RemoteLimit limit = slow();
    const RemoteAnswer granted = ask(limit.take("a", 8));
    EXPECT_EQ(granted.status, Status::success);
    EXPECT_EQ(granted.tokens, 8);
    EXPECT_EQ(std::floor(granted.remaining), 2);
    EXPECT_EQ(granted.retry_after, 0s);
    expect_about(granted.reset_after, 8000s);
    const RemoteAnswer denied = ask(limit.take("a", 3));
    EXPECT_FALSE(denied);
    EXPECT_EQ(denied.status, Status::denied);
    EXPECT_EQ(denied.tokens, 0);
    expect_about(denied.retry_after, 1000s);
    EXPECT_EQ(ask(limit.take_up_to("a", 5.5)).tokens, 2);
    EXPECT_EQ(ask(limit.take_up_to("a", 5)).tokens, 0);
    const RemoteAnswer seen = ask(limit.peek("a", 10));
    EXPECT_EQ(seen.status, Status::success);
    expect_about(seen.retry_after, 10000s);
    EXPECT_TRUE(ask(limit.take("b", 10)));
}

TEST_F(RemoteLimitTest, KeysStandBehindThePrefix) {
    EXPECT_TRUE(ask(slow().take("a", 10)));
    const RemoteLimit other = slow("tb:other:");
    EXPECT_EQ(other.prefix(), "tb:other:");
    EXPECT_TRUE(ask(other.take("a", 10)));
    EXPECT_FALSE(ask(other.take("a")));
    EXPECT_EQ(client.ask({"EXISTS", "tb:a", "tb:other:a"}).number, 2);
    EXPECT_EQ(client.ask({"DBSIZE"}).number, 2);
}

TEST_F(RemoteLimitTest, AKeyIsAnyBytes) {
    const RemoteLimit limit = slow();
    for (int byte = 0; byte < 256; ++byte) {
        const std::string key{static_cast<char>(byte), 'x'};
        EXPECT_TRUE(ask(limit.take(key, 10))) << byte;
        EXPECT_FALSE(ask(limit.take(key))) << byte;
        const auto refund = limit.refund(key, 4);
        // There is no second key for it in the same slot of a cluster.
        EXPECT_EQ(refund.status(), byte == '}' ? Status::invalid_argument : Status::success);
        if (!refund) continue;
        EXPECT_TRUE(ask(refund)) << byte;
        EXPECT_TRUE(ask(limit.take(key, 4))) << byte;
    }
    EXPECT_TRUE(ask(limit.take("", 10)));
    EXPECT_FALSE(ask(limit.take("")));
}

TEST_F(RemoteLimitTest, ManyKeysAreAskedInOneCall) {
    const RemoteLimit limit = slow();
    const auto call = RemoteLimit::take_each({limit.member("a", 10), limit.member("b"), limit.member("a")});
    const std::vector<RemoteAnswer> answers = ask(call).value();
    ASSERT_EQ(answers.size(), 3u);
    EXPECT_TRUE(answers[0]);
    EXPECT_TRUE(answers[1]);
    EXPECT_EQ(answers[1].remaining, 9);
    EXPECT_EQ(answers[2].status, Status::denied);
    expect_about(answers[2].retry_after, 1000s);
    EXPECT_EQ(RemoteLimit::take_each({}).status(), Status::invalid_argument);
    const std::vector<RemoteMember> many(kMaxRemoteKeys + 1, limit.member("a"));
    EXPECT_EQ(RemoteLimit::take_each(many).status(), Status::invalid_argument);
}

TEST_F(RemoteLimitTest, AllOrNoneOfSeveralLimits) {
    const RemoteLimit large = slow("tb:large:"), small(config_of(1, 1, 1h), 0s, "tb:small:");
    const auto both = [&](double n) {
        return RemoteLimit::take_all({large.member("{alice}", n), small.member("{alice}")});
    };
    const std::vector<RemoteAnswer> granted = ask(both(4)).value();
    EXPECT_TRUE(granted[0] && granted[1]);
    const std::vector<RemoteAnswer> refused = ask(both(4)).value();
    EXPECT_FALSE(refused[0] || refused[1]);
    EXPECT_EQ(refused[0].retry_after, 0s);
    expect_about(refused[1].retry_after, 3600s);
    EXPECT_EQ(left(large, "{alice}"), 6);
    EXPECT_EQ(RemoteLimit::take_all({large.member("a"), small.member("b")}).status(), Status::invalid_argument);
    EXPECT_EQ(both(11).status(), Status::exceeds_capacity);
}

TEST_F(RemoteLimitTest, AReservationThatIsCancelledGivesItsTokensBack) {
    const RemoteLimit limit = slow();
    const RemoteReservation due = ask(limit.reserve("a", 10)).value();
    EXPECT_EQ(due.tokens(), 10);
    EXPECT_EQ(due.delay(), 0s);
    const RemoteReservation pending = ask(limit.reserve("a", 4, 2h)).value();
    expect_about(std::chrono::duration_cast<std::chrono::nanoseconds>(pending.delay()), 4000s);
    EXPECT_GE(pending.ready_at(), due.ready_at() + 3900s);
    EXPECT_EQ(left(limit, "a"), -4);
    EXPECT_EQ(ask(pending.cancel()).tokens, 4);
    EXPECT_EQ(left(limit, "a"), 0);
    EXPECT_EQ(ask(due.cancel()).tokens, 0);
    EXPECT_EQ(ask(limit.reserve("a", 4, 1h)).status(), Status::timed_out);
    EXPECT_EQ(left(limit, "a"), 0);
}

TEST_F(RemoteLimitTest, AReservedTimeIsLongEnough) {
    const RemoteLimit limit(config_of(1, 50, 1s), 30ms);
    ASSERT_TRUE(ask(limit.take("a")));
    const auto reserved = ask(limit.reserve("a"));
    ASSERT_TRUE(reserved);
    EXPECT_LE(reserved->delay(), 20ms);
    std::this_thread::sleep_for(reserved->delay());
    EXPECT_GE(ask(limit.peek("a")).remaining, 0);
}

TEST_F(RemoteLimitTest, AReservationIsSettledAtWhatItCost) {
    const RemoteLimit limit = slow();
    const RemoteReservation due = ask(limit.reserve("a", 10)).value();
    const RemoteReservation pending = ask(limit.reserve("a", 4)).value();
    EXPECT_TRUE(ask(pending.settle(1)));
    EXPECT_EQ(left(limit, "a"), -1);
    EXPECT_TRUE(ask(due.settle(8)));
    EXPECT_EQ(left(limit, "a"), 1);
    const RemoteReservation costly = ask(limit.reserve("a")).value();
    EXPECT_EQ(ask(costly.settle(9)).status, Status::out_of_range);
    EXPECT_EQ(costly.settle(-1).status(), Status::invalid_argument);
}

TEST_F(RemoteLimitTest, ChargesRefundsAndResets) {
    const RemoteLimit limit = slow();
    expect_about(ask(limit.charge("a", 12)).retry_after, 2000s);
    EXPECT_EQ(ask(limit.charge("a", 6)).status, Status::out_of_range);
    EXPECT_EQ(left(limit, "a"), -2);
    EXPECT_TRUE(ask(limit.refund("a", 5)));
    EXPECT_EQ(left(limit, "a"), 3);
    EXPECT_TRUE(ask(limit.reset("a", 0)));
    EXPECT_EQ(left(limit, "a"), 0);
    EXPECT_TRUE(ask(limit.reset("a")));
    EXPECT_EQ(left(limit, "a"), 10);
}

TEST_F(RemoteLimitTest, AScriptThatIsLostIsSentAgain) {
    const RemoteLimit limit = slow();
    EXPECT_TRUE(ask(limit.take("a")));
    EXPECT_EQ(sent, 2);
    EXPECT_TRUE(ask(limit.take("a")));
    EXPECT_EQ(sent, 3);
    client.ask({"SCRIPT", "FLUSH"});
    EXPECT_TRUE(ask(limit.take("a")));
    EXPECT_EQ(sent, 5);
    EXPECT_EQ(left(limit, "a"), 7);
    EXPECT_EQ(client.ask({"SCRIPT", "LOAD", tokenbucket::remote_script()}).text, tokenbucket::remote_script_sha1());
}

TEST_F(RemoteLimitTest, AKeyThatHoldsSomethingElseIsNoDenial) {
    const RemoteLimit limit = slow();
    client.ask({"LPUSH", "tb:list", "1"});
    client.ask({"SET", "tb:word", "hello"});
    client.ask({"SET", limit.reserve("queue").value().command()[4], "hello"});
    EXPECT_EQ(ask(limit.take("list")).status, Status::mismatch);
    EXPECT_EQ(ask(limit.take("word")).status, Status::mismatch);
    EXPECT_EQ(ask(limit.reserve("queue")).status(), Status::mismatch);
}

TEST_F(RemoteLimitTest, AServerThatIsGoneIsNoDenial) {
    const RemoteLimit limit = slow();
    EXPECT_TRUE(ask(limit.take("a", 10)));
    server.reset();
    EXPECT_EQ(ask(limit.take("a")).status, Status::unavailable);
    EXPECT_EQ(ask(limit.reserve("a")).status(), Status::unavailable);
    EXPECT_EQ(ask(RemoteLimit::take_each({limit.member("a")})).status(), Status::unavailable);
}

TEST(RemoteLimitWithoutAServer, WhatCanNeverBeIsNotAsked) {
    const RemoteLimit limit = slow();
    for (const double n : {0.0, -2.0, std::nan("")}) {
        EXPECT_EQ(limit.take("a", n).status(), Status::invalid_argument);
        EXPECT_EQ(limit.charge("a", n).status(), Status::invalid_argument);
        EXPECT_EQ(limit.reserve("a", n).status(), Status::invalid_argument);
        EXPECT_EQ(RemoteLimit::take_each({limit.member("a", n)}).status(), Status::invalid_argument);
    }
    EXPECT_EQ(limit.take("a", 11).status(), Status::exceeds_capacity);
    EXPECT_EQ(limit.reserve("a", 1, -1ns).status(), Status::invalid_argument);
    EXPECT_EQ(limit.charge("a", 18).status(), Status::out_of_range);
    const std::string longest(TB_MAX_KEY_SIZE - 3, 'x');
    EXPECT_TRUE(limit.reset(longest));
    EXPECT_EQ(limit.take(longest + "x").status(), Status::invalid_argument);
    EXPECT_EQ(RemoteLimit::take_each({limit.member(longest + "x")}).status(), Status::invalid_argument);

    EXPECT_EQ(RemoteLimit::create(config_of(0, 1, 1s), 1s).status(), Status::out_of_range);
    EXPECT_EQ(RemoteLimit::create(config_of(1, 1, 1s), -1s).status(), Status::invalid_argument);
    Config counted = config_of(1, 1, 1s);
    counted.statistics = true;
    EXPECT_EQ(RemoteLimit::create(counted, 1s).status(), Status::unsupported);
    EXPECT_EQ(limit.limit().value().rate_period, 1000s);
    EXPECT_EQ(limit.limit().value().unit, 1e-9);

    RemoteLimit moved = slow();
    const RemoteLimit to = std::move(moved);
    EXPECT_EQ(moved.take("a").status(), Status::invalid_argument);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(tb_remote_get_limit(to.get(), nullptr), TB_E_INVALID_ARGUMENT);
}

TEST(RemoteLimitWithoutAServer, RepliesAreReadAsTheServerSendsThem) {
    EXPECT_EQ(RemoteReply::parse(":-7\r\n").value().numbers, std::vector<std::int64_t>{-7});
    EXPECT_EQ(RemoteReply::parse("*3\r\n:1\r\n:0\r\n:20\r\n").value().numbers, (std::vector<std::int64_t>{1, 0, 20}));
    EXPECT_TRUE(RemoteReply::parse("-NOSCRIPT No matching script.\r\n").value().is_noscript());
    EXPECT_EQ(RemoteReply::parse("-ERR\r\n").value().error, "ERR");
    for (const char *text : {"", "-ERR", ":1", "*2\r\n:1\r\n", "+OK\r\n", ":1\r\n:2\r\n"})
        EXPECT_EQ(RemoteReply::parse(text).status(), Status::invalid_argument) << text;

    const RemoteLimit limit = slow();
    const auto take = limit.take("a").value();
    EXPECT_EQ(take.read({{}, "LOADING Redis is loading"}).status, Status::unavailable);
    EXPECT_EQ(take.read({{}, "ERR user_script: WRONGTYPE Operation"}).status, Status::mismatch);
    EXPECT_EQ(take.read({{99000000000000000}, ""}).status, Status::mismatch);
    EXPECT_EQ(take.read({{1, 1, 1}, ""}).status, Status::mismatch);
    EXPECT_EQ(limit.reserve("a").value().read({{1}, ""}).status(), Status::mismatch);
    EXPECT_EQ(RemoteLimit::take_each({limit.member("a")}).value().read({{1}, ""}).status(), Status::mismatch);
}

}  // namespace
