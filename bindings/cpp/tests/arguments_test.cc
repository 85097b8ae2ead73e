// Replays bindings/bad_arguments.txt: the text of a result names the argument, what it must be, and what it was.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bindings/cpp/tests/rows.h"
#include "tokenbucket.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using tb_test::Words;
using tokenbucket::Bucket;
using tokenbucket::Config;
using tokenbucket::Limits;
using tokenbucket::ManualClock;
using tokenbucket::Member;
using tokenbucket::RemoteLimit;
using tokenbucket::Status;
using tokenbucket::Table;
using tokenbucket::TableConfig;

struct Refused {
    Status status;
    std::string text;
};

template <class Answer>
Refused refused(const Answer &answer) {
    return {answer.status(), answer.message().c_str()};
}

// The arguments of a row, by their neutral names.
class Arguments {
  public:
    explicit Arguments(const std::string &text) {
        for (std::size_t start = 0; start < text.size();) {
            const std::size_t end = std::min(text.find(", ", start), text.size());
            const std::string one = text.substr(start, end - start);
            values_[one.substr(0, one.find('='))] = one.substr(one.find('=') + 1);
            start = end + 2;
        }
    }

    bool has(const std::string &name) const { return values_.contains(name); }
    const std::string &text(const std::string &name) const { return values_.at(name); }
    double number(const std::string &name, double otherwise) const {
        return has(name) ? std::stod(text(name)) : otherwise;
    }
    std::int64_t whole(const std::string &name, std::int64_t otherwise) const {
        return has(name) ? std::stoll(text(name)) : otherwise;
    }
    std::chrono::seconds time(const std::string &name, std::chrono::seconds otherwise) const {
        return has(name) ? std::chrono::seconds(std::stoll(text(name))) : otherwise;
    }

    Config limit() const {
        Config config;
        config.capacity = number("capacity", 10);
        config.rate_tokens = number("rate", 5);
        config.rate_period = time("period", 1s);
        config.initial_tokens = number("initial", tokenbucket::kInitiallyFull);
        config.max_waiters = whole("max_waiters", 0);
        config.max_lateness = time("max_lateness", 0s);
        return config;
    }

  private:
    std::map<std::string, std::string> values_;
};

Config whole_limit() {
    return Arguments("capacity=10").limit();
}

std::string own_name() {
    return "tokenbucket-cpp-arguments-" + std::to_string(getpid());
}

Refused shared_again(const Arguments &a) {
    const std::string name = own_name();
    const auto first = Bucket::open_shared(name.c_str(), whole_limit());
    EXPECT_TRUE(first) << first.message().c_str();
    const Refused again = refused(Bucket::open_shared(name.c_str(), a.limit()));
    EXPECT_TRUE(tokenbucket::remove_shared(name.c_str()));
    EXPECT_EQ(again.status, Status::mismatch);
    EXPECT_NE(again.text.find(name), std::string::npos) << again.text;
    return {Status::invalid_argument, again.text};
}

Refused of_table_config(const Arguments &a) {
    TableConfig config;
    config.max_bytes = a.whole("max_bytes", 0);
    config.max_keys = a.whole("max_keys", config.max_bytes == 0 ? 100 : 0);
    return refused(Table::create(a.limit(), config));
}

Refused of_bucket(const std::string &call, const Arguments &a) {
    const ManualClock clock(1s);
    Config config = whole_limit();
    config.clock = clock.get();
    Bucket bucket(config);
    const double n = a.number("tokens", 1);
    const std::map<std::string, std::function<Refused()>> calls{
        {"take",
         [&] {
             EXPECT_EQ(bucket.take(n).message().c_str(), std::string(bucket.allow(n).message().c_str()));
             return refused(bucket.allow(n));
         }},
        {"take_up_to", [&] { return refused(bucket.take_up_to(a.number("most", 1))); }},
        {"wait", [&] { return refused(bucket.wait_for(n, a.time("timeout", 1s))); }},
        {"reserve", [&] { return refused(bucket.reserve(n, a.time("max_wait", 1s))); }},
        {"time_until", [&] { return refused(bucket.time_until(n)); }},
        {"charge", [&] { return refused(bucket.charge(n)); }},
        {"refund", [&] { return refused(bucket.refund(n)); }},
        {"reset", [&] { return refused(bucket.reset(n)); }},
        {"set_tokens", [&] { return refused(bucket.set_tokens(n)); }},
        {"set_rate", [&] { return refused(bucket.set_rate(a.number("rate", 1))); }},
        {"set_capacity", [&] { return refused(bucket.set_capacity(a.number("capacity", 1))); }},
        {"settle",
         [&] {
             auto reservation = bucket.reserve(1).value();
             Refused answer = refused(reservation.settle(a.number("actual", 1)));
             reservation.settle(0).value();
             return answer;
         }},
    };
    Refused answer = calls.at(call)();
    EXPECT_EQ(*bucket.available(), 10);
    EXPECT_EQ(bucket.limit()->capacity, 10);
    EXPECT_EQ(bucket.limit()->rate_tokens, 5);
    return answer;
}

Refused of_table(const std::string &call, const Arguments &a) {
    Table table(10, 5, 100);
    const std::string key(static_cast<std::size_t>(a.whole("key_size", 1)), 'a');
    const double n = a.number("tokens", 1);
    const std::map<std::string, std::function<Refused()>> calls{
        {"table_take",
         [&] {
             EXPECT_EQ(table.take(key, n).message().c_str(), std::string(table.allow(key, n).message().c_str()));
             return refused(table.allow(key, n));
         }},
        {"table_charge", [&] { return refused(table.charge(key, n)); }},
        {"table_wait", [&] { return refused(table.wait_for(key, n, a.time("timeout", 1s))); }},
        {"table_set_rate", [&] { return refused(table.set_rate(a.number("rate", 1))); }},
        {"table_set_capacity", [&] { return refused(table.set_capacity(a.number("capacity", 1))); }},
    };
    Refused answer = calls.at(call)();
    EXPECT_EQ(*table.available("a"), 10);
    EXPECT_EQ(table.limit()->capacity, 10);
    EXPECT_EQ(table.limit()->rate_tokens, 5);
    return answer;
}

Refused of_members(std::size_t count) {
    std::vector<Bucket> buckets;
    std::vector<Member> members;
    for (std::size_t i = 0; i < count; ++i) members.push_back(buckets.emplace_back(10, 5).member());
    return refused(Limits(members.data(), members.size()).allow());
}

Refused of_clock(const std::string &call, const Arguments &a) {
    if (call == "clock") return refused(ManualClock::create(a.time("start", 0s)));
    ManualClock clock(1s);
    return refused(call == "clock_set" ? clock.set(a.time("now", 0s)) : clock.advance(a.time("duration", 0s)));
}

Refused answer_of(const std::string &call, const Arguments &a) {
    const auto remote = RemoteLimit::create(whole_limit());
    const double n = a.number("tokens", 1);
    if (call == "bucket") return refused(Bucket::create(a.limit()));
    if (call == "shared") {
        const std::string name = a.has("name") ? a.text("name") : own_name();
        return refused(Bucket::open_shared(name.c_str(), a.limit()));
    }
    if (call == "shared_again") return shared_again(a);
    if (call == "table") return of_table_config(a);
    if (call == "server") return refused(RemoteLimit::create(a.limit(), a.time("max_wait", 1s)));
    if (call == "server_take") return refused(remote->take("a", n));
    if (call == "server_charge") return refused(remote->charge("a", n));
    if (call == "limits") return of_members(static_cast<std::size_t>(a.whole("members", 0)));
    if (call == "address") {
        return refused(tokenbucket::address_key(a.text("text"), static_cast<std::int32_t>(a.whole("ipv6_prefix", 64))));
    }
    if (call.rfind("clock", 0) == 0) return of_clock(call, a);
    return call.rfind("table_", 0) == 0 ? of_table(call, a) : of_bucket(call, a);
}

std::string spelled(const std::string &call, const std::string &name) {
    const bool sets_level = call == "reset" || call == "set_tokens";
    if (name == "tokens" && !sets_level) return "n";
    if (name == "rate") return call.find("set_rate") == std::string::npos ? "rate_tokens" : "tokens_per_second";
    const std::map<std::string, std::string> others{{"initial", "initial_tokens"}, {"period", "rate_period"}};
    const auto other = others.find(name);
    return other == others.end() ? name : other->second;
}

bool is_value(const std::string &told, const std::string &name, const Arguments &a) {
    if (name == "text" || name == "name") return told == a.text(name);
    const double value = std::stod(a.text(name == "key" ? "key_size" : name));
    const double found = std::stod(told);
    return found == value || (std::isnan(found) && std::isnan(value));
}

void check(const Words &row) {
    const std::string &call = row[0];
    const Arguments arguments(row[1]);
    const Refused answer = answer_of(call, arguments);
    const std::string sentence = spelled(call, row[2]) + " must be " + row[3];
    const auto begin = answer.text.find(sentence);
    ASSERT_NE(begin, std::string::npos) << answer.text;
    const auto got = answer.text.find(", got ", begin + sentence.size());
    ASSERT_NE(got, std::string::npos) << answer.text;
    EXPECT_TRUE(is_value(answer.text.substr(got + 6), row[2], arguments)) << answer.text;
    const std::set<Status> kinds{Status::invalid_argument, Status::out_of_range, Status::exceeds_capacity};
    EXPECT_EQ(kinds.count(answer.status), 1u) << name(answer.status);
}

// The four columns.
Words columns_of(const std::string &line) {
    Words columns;
    for (const std::string &column : tb_test::split(line, '|')) {
        const auto first = column.find_first_not_of(' ');
        columns.push_back(column.substr(first, column.find_last_not_of(' ') - first + 1));
    }
    return columns;
}

// What C++ has no call for: a share of a limit while the server is silent, and a wait on the server.
bool is_missing(const Words &row) {
    return row[0] == "server_wait" || (row[0] == "server" && row[2] == "share");
}

TEST(CppArguments, EveryRowIsRefusedWithItsWords) {
    std::ifstream file(TB_SOURCE "/bindings/bad_arguments.txt");
    int rows = 0;
    int missing = 0;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') continue;
        SCOPED_TRACE(line);
        const Words row = columns_of(line);
        ASSERT_EQ(row.size(), 4u);
        if (is_missing(row)) {
            ++missing;
            continue;
        }
        if (row[0].rfind("shared", 0) == 0 && !tokenbucket::has_feature("shared_memory")) continue;
        check(row);
        ++rows;
    }
    EXPECT_EQ(missing, 4);
    EXPECT_GT(rows, 70);
}

std::string text(const tokenbucket::Message &message) {
    return message.c_str();
}

TEST(CppArguments, OfTwoNumbersTheRateIsCalledAsItWasGiven) {
    const std::string range = "tokens_per_second must be from 1e-9 to 1e10 tokens per second, got 0";
    EXPECT_EQ(text(Bucket::create(10, 0).message()), range);
    EXPECT_EQ(text(Table::create(10, 0, 100).message()), range);
}

TEST(CppArguments, WhatIsTooMuchIsNamed) {
    Bucket bucket(10, 5);
    EXPECT_EQ(text(bucket.allow(11).message()), "n must be at most the capacity, got 11");
    EXPECT_EQ(text(bucket.charge(1e300).message()),
              "n must be so small that the debt stays below 2^59 units, got 1e+300");
    const auto server = RemoteLimit::create(whole_limit(), 1s);
    EXPECT_EQ(text(server->charge("a", 15.5).message()),
              "n must be so small that the debt is repaid within max_wait, got 15.5");
    EXPECT_EQ(text(server->refund("a}", 1).message()),
              "key must be with a tag in braces, or without a closing brace and not empty");
    ManualClock clock(1s);
    EXPECT_NE(text(clock.advance(nanoseconds::max()).message()).find("duration must be so short"), std::string::npos);
}

TEST(CppArguments, WaitsWithoutAThreadTellIt) {
    Bucket bucket(10, 5);
    EXPECT_EQ(text(bucket.enqueue(1, -1).message()), "n must be finite and more than 0, got -1");
    EXPECT_EQ(text(bucket.enqueue(1, 1, -1500ms).message()), "timeout must be 0 or more, got -1.5s");
    EXPECT_EQ(text(Limits(bucket.member()).wait_for(-1s).message()), "timeout must be 0 or more, got -1s");
}

TEST(CppArguments, NoArgumentIsBlamedForSomethingElse) {
    Bucket bucket(10, 5);
    EXPECT_EQ(text(bucket.allow().message()), "success: done, or the tokens are granted");
    EXPECT_EQ(text(bucket.allow(9.9).message()), "denied: not enough tokens now");
    const Bucket other = std::move(bucket);
    // NOLINTBEGIN(bugprone-use-after-move,clang-analyzer-cplusplus.Move)
    EXPECT_EQ(text(bucket.allow().message()), "invalid argument");
    EXPECT_EQ(text(bucket.set_rate(1).message()), "invalid argument");
    EXPECT_EQ(text(bucket.set_tokens(1).message()), "invalid argument");
    EXPECT_EQ(text(bucket.wait_for(1, 1s).message()), "invalid argument");
    // NOLINTEND(bugprone-use-after-move,clang-analyzer-cplusplus.Move)
}

TEST(CppArguments, OptionsThatATableOrAServerLacksAreNamed) {
    Config config = whole_limit();
    config.statistics = true;
    TableConfig keys;
    keys.max_keys = 10;
    EXPECT_EQ(text(Table::create(config, keys).message()), "statistics must be false for this kind of limit, got true");
    config.statistics = false;
    config.precise_wait = true;
    EXPECT_EQ(text(RemoteLimit::create(config).message()),
              "precise_wait must be false for this kind of limit, got true");
}

TEST(CppArguments, ATextThatIsTooLongIsCut) {
    const std::string address(1000, 'x');
    const std::string told = text(tokenbucket::address_key(address).message());
    EXPECT_EQ(told, "text must be an IPv4 or IPv6 address, got " + std::string(64, 'x'));
    if (!tokenbucket::has_feature("shared_memory")) return;
    const std::string name = "a/" + std::string(1000, 'x');
    EXPECT_EQ(text(Bucket::open_shared(name.c_str(), whole_limit()).message()).size(), 247u);
}

TEST(CppArguments, ExceptionsTellTheSame) {
    const auto what = [](const std::function<void()> &call) -> std::string {
        try {
            call();
        } catch (const tokenbucket::Error &error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(what([] { Bucket(0, 5); }), "capacity must be from 1e-6 to 1e15 tokens, got 0");
    EXPECT_EQ(what([] { Bucket(10, 5).wait(-1).value(); }), "n must be finite and more than 0, got -1");
    EXPECT_EQ(what([] { Bucket(10, 5).reserve(-1).value(); }), "n must be finite and more than 0, got -1");
    EXPECT_EQ(what([] { tokenbucket::address_key("nobody").value(); }),
              "text must be an IPv4 or IPv6 address, got nobody");
    EXPECT_STREQ(tokenbucket::Error(Status::closed).what(), "closed: the bucket was closed");
}

}  // namespace
