// How a limit is counted for the server, against numbers without end; the digest of the script; the text of replies.
#include <gtest/gtest.h>

#include <string>

#include "core/remote/call.h"
#include "core/remote/remote_limit.h"
#include "core/remote/reply.h"
#include "core/remote/script.h"
#include "core/remote/sha1.h"
#include "tests/model/meaning.h"
#include "tests/model/units.h"
#include "tests/support/trace.h"

namespace {

using model::Integer;
using tb::LimitSpec;
using tb::RemoteLimit;
using tb::Status;

constexpr int64_t kSecond = 1000000000;

RemoteLimit counted(const LimitSpec &spec, int64_t max_wait_ns = 0) {
    RemoteLimit limit{};
    EXPECT_EQ(tb::make_remote_limit(spec, max_wait_ns, &limit), Status::success);
    return limit;
}

// Nothing here is taken from the code: the rate is read by printing, and every bound is that of remote_limit.h.
void expect_sound(const LimitSpec &spec, int64_t max_wait_ns, const RemoteLimit &limit) {
    const Integer two52 = Integer::power(2, 52), p(limit.units), q(limit.period_us), c(limit.capacity),
                  d(limit.most_debt);
    const model::Rational scale{Integer(static_cast<int64_t>(limit.scale)), 1};
    const model::Rational rate =
        model::per_ns(spec.rate_tokens, spec.rate_period_ns) * scale * model::Rational{1000, 1};
    EXPECT_TRUE(rate.numerator == p && rate.denominator == q);
    EXPECT_EQ(c, model::floor_of(model::amount_meaning(spec.capacity) * scale));
    EXPECT_EQ(d, model::ceiling_of(Integer(max_wait_ns / 1000) * p, q));
    EXPECT_LE(p * q, two52);
    const Integer turn = model::floor_of(two52, p) * p;
    EXPECT_LE((c + d) * Integer(3) + model::ceiling_of(Integer(10000000) * p, q), turn);
    EXPECT_LE(model::ceiling_of((c + d) * q, p), Integer::power(2, 53));
    EXPECT_GE(c, Integer(1));
}

double decimal(int64_t digits, int exponent) {
    return std::stod(std::to_string(digits) + "e" + std::to_string(exponent));
}

TEST(RemoteLimit, UsualLimitsHaveWholeRates) {
    struct Row {
        LimitSpec spec;
        uint64_t scale;
        int64_t units, period_us;
    };
    const Row rows[] = {
        {{100, 10, kSecond}, 1000000000, 10000, 1},     {{100, 50, 60 * kSecond}, 3000000000, 2500, 1},
        {{100, 1.0 / 3, kSecond}, 3000000000, 1000, 1}, {{1000000, 1000000, kSecond}, 100000000, 100000000, 1},
        {{10, 1, 86400 * kSecond}, 432000000000, 5, 1}, {{10000, 1, 86400 * kSecond}, 1000000000, 5, 432},
        {{1e15, 1e10, kSecond}, 1, 10000, 1},           {{1e9, 123.456, kSecond}, 1000000, 15432, 125},
    };
    for (const Row &row : rows) {
        const RemoteLimit limit = counted(row.spec);
        expect_sound(row.spec, 0, limit);
        EXPECT_EQ(limit.scale, row.scale) << row.spec.capacity << " " << row.spec.rate_tokens;
        EXPECT_EQ(limit.units, row.units) << row.spec.capacity << " " << row.spec.rate_tokens;
        EXPECT_EQ(limit.period_us, row.period_us) << row.spec.capacity << " " << row.spec.rate_tokens;
    }
}

TEST(RemoteLimit, RandomLimitsAreSoundOrRefused) {
    tb_test::Trace dice(20251130);
    int refused = 0, slow = 0;
    constexpr int kLimits = 3000;
    for (int i = 0; i < kLimits; ++i) {
        const double capacity = decimal(dice.between(1, 999999), static_cast<int>(dice.between(-3, 4)));
        double rate = decimal(dice.between(1, 999999), static_cast<int>(dice.between(-3, 3)));
        if (dice.one_in(4)) rate = 1 / static_cast<double>(dice.between(1, 999));
        const LimitSpec spec{capacity, rate, dice.one_in(3) ? kSecond * dice.between(1, 86400) : kSecond};
        const int64_t max_wait_ns = dice.one_in(2) ? 0 : dice.below(60 * kSecond);
        RemoteLimit limit{};
        if (tb::make_remote_limit(spec, max_wait_ns, &limit) == Status::success) {
            expect_sound(spec, max_wait_ns, limit);
        } else {
            const double fill_s = capacity / rate * static_cast<double>(spec.rate_period_ns) / 1e9;
            const bool is_slow = fill_s > 9007199254.0 - 60;
            ++(is_slow ? slow : refused);
        }
    }
    std::cout << refused << " of " << kLimits << " limits refused, besides " << slow << " that fill in 285 years\n";
    EXPECT_LT(refused, kLimits / 100);
}

TEST(RemoteLimit, RefusesWhatNoUnitsFit) {
    RemoteLimit limit{};
    const auto refusal = [&](double capacity, double rate, int64_t period_ns, int64_t max_wait_ns) {
        return tb::make_remote_limit({capacity, rate, period_ns}, max_wait_ns, &limit);
    };
    EXPECT_EQ(refusal(1e6, 123456.789012345, kSecond, 0), Status::out_of_range);
    EXPECT_EQ(refusal(1e15, 1e-9, kSecond, 0), Status::out_of_range);  // 3e16 years
    EXPECT_EQ(refusal(1, 1e9, kSecond, INT64_MAX), Status::out_of_range);
    EXPECT_EQ(refusal(1, 1, kSecond, -1), Status::invalid_argument);
    EXPECT_EQ(refusal(0, 1, kSecond, 0), Status::out_of_range);
    EXPECT_EQ(refusal(1, 1, 0, 0), Status::invalid_argument);
    EXPECT_EQ(limit.scale, 0u);
}

TEST(RemoteLimit, TellsTheTimeToTheMicrosecond) {
    tb_test::Trace dice(7);
    const RemoteLimit limits[] = {counted({1e5, 123.4567, kSecond}), counted({100, 10, kSecond}),
                                  counted({1e4, 1, 86400 * kSecond}), counted({1e15, 1e10, kSecond})};
    for (int i = 0; i < 4000; ++i) {
        const RemoteLimit &limit = dice.pick(limits);
        const int64_t need = dice.one_in(2) ? dice.between(1, 50) : dice.between(1, limit.capacity);
        const int64_t fraction = dice.below(limit.period_us);
        const int64_t us = tb::microseconds_until(limit, need, fraction);
        const auto gained = [&](int64_t time) {
            return model::floor_of(Integer(fraction) + Integer(time) * Integer(limit.units), Integer(limit.period_us));
        };
        EXPECT_GE(gained(us), Integer(need));
        EXPECT_LT(gained(us - 1), Integer(need));
    }
    EXPECT_EQ(tb::microseconds_until(limits[0], 0, 0), 0);
    EXPECT_EQ(tb::microseconds_until(limits[0], -5, 0), 0);
}

// As sha1sum has them.
TEST(Sha1, KnownDigests) {
    const auto digest = [](std::size_t length, char c) {
        return std::string(tb::Sha1::of(std::string(length, c)).data());
    };
    EXPECT_STREQ(tb::Sha1::of("").data(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    EXPECT_STREQ(tb::Sha1::of("abc").data(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    EXPECT_EQ(digest(55, 'a'), "c1c8bbdc22796e28c0e15163d20899b65621d65a");
    EXPECT_EQ(digest(56, 'a'), "c2db330f6083854c99d4b5bfb6e8f29f201be699");
    EXPECT_EQ(digest(63, 'a'), "03f09f5b158a7a8cdad920bddc29b81c18a551f5");
    EXPECT_EQ(digest(64, 'a'), "0098ba824b5c16427bd7a1122a5a442a25ec644d");
    EXPECT_EQ(digest(1000, '\xff'), "c2fbe7c95d9be373d9bb6ee58fb3a24411e1a2a8");
    EXPECT_STREQ(tb::remote_script_sha1(), tb::Sha1::of(tb::remote_script()).data());
}

TEST(Reply, NumbersAndArrays) {
    int64_t numbers[3] = {7, 7, 7};
    std::size_t count = 0;
    const auto parse = [&](const std::string &text) {
        return tb::parse_reply(text.data(), text.size(), numbers, 3, &count);
    };
    EXPECT_EQ(parse(":-42\r\n"), Status::success);
    EXPECT_EQ(count, 1u);
    EXPECT_EQ(numbers[0], -42);
    EXPECT_EQ(parse("*3\r\n:1\r\n:-4503599627370496\r\n:0\r\n"), Status::success);
    EXPECT_EQ(count, 3u);
    EXPECT_EQ(numbers[0], 1);
    EXPECT_EQ(numbers[1], -4503599627370496);
    EXPECT_EQ(numbers[2], 0);
    EXPECT_EQ(parse("*0\r\n"), Status::success);
    EXPECT_EQ(count, 0u);
}

TEST(Reply, NothingElse) {
    int64_t numbers[3] = {7, 7, 7};
    std::size_t count = 9;
    const std::string whole = "*2\r\n:1\r\n:-2\r\n";
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_EQ(tb::parse_reply(whole.data(), size, numbers, 3, &count), Status::invalid_argument) << size;
    for (const std::string text :
         {"-NOSCRIPT No matching script\r\n", "+OK\r\n", "$1\r\n1\r\n", "*4\r\n:1\r\n:1\r\n:1\r\n:1\r\n", "*-1\r\n",
          "*2\r\n:1\r\n:-2\r\n:3\r\n", ":1\r\n ", ":\r\n", ":-\r\n", ":1\n", ":+1\r\n", ":1234567890123456789\r\n",
          "*1\r\n*1\r\n:1\r\n", "*99999999999999999999\r\n:1\r\n"})
        EXPECT_EQ(tb::parse_reply(text.data(), text.size(), numbers, 3, &count), Status::invalid_argument) << text;
    EXPECT_EQ(count, 9u);
    EXPECT_EQ(numbers[0], 7);
}

}  // namespace
