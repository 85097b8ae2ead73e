// Limits on a server, without one: the arguments of calls, and replies read.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/support/api.h"

namespace {

using namespace tb_test;
using Numbers = std::vector<int64_t>;

constexpr int64_t kToken = 1000000000;  // units: 10 a second are 10^4 units a microsecond
constexpr int64_t kDebt = 2 * 10 * kToken;
const Numbers kLimit{10000, 1, 100 * kToken, kDebt};

class Remote : public testing::Test {
  protected:
    using WithAmount = tb_status (*)(const tb_remote *, double, int64_t *, size_t *);

    Numbers asked(WithAmount ask, double n) {
        int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
        size_t count = 0;
        EXPECT_EQ(ask(remote.get(), n, arguments, &count), TB_SUCCESS);
        return Numbers(arguments, arguments + count);
    }
    tb_status refused(WithAmount ask, double n) {
        int64_t arguments[TB_REMOTE_MAX_ARGUMENTS] = {7};
        size_t count = 99;
        const tb_status s = ask(remote.get(), n, arguments, &count);
        EXPECT_TRUE(arguments[0] == 7 && count == 99);
        return s;
    }
    tb_status read(const Numbers &arguments, const Numbers &reply) {
        answer = {-1, -1, -1, -1};
        return tb_remote_read(remote.get(), arguments.data(), arguments.size(), reply.data(), reply.size(), &answer);
    }
    void expect_answer(double tokens, double remaining, int64_t retry_after_ns, int64_t reset_after_ns) const {
        EXPECT_EQ(answer.tokens, tokens);
        EXPECT_EQ(answer.remaining, remaining);
        EXPECT_EQ(answer.retry_after_ns, retry_after_ns);
        EXPECT_EQ(answer.reset_after_ns, reset_after_ns);
    }

    RemoteHandle remote = remote_of(config_of(100, 10, nullptr), 2 * kSecond);
    tb_remote_answer answer{};
};

Numbers with(Numbers numbers, std::initializer_list<int64_t> more) {
    numbers.insert(numbers.end(), more);
    return numbers;
}

TEST_F(Remote, ArgumentsSayTheLimitTheAmountAndWhatIsAsked) {
    EXPECT_EQ(asked(tb_remote_take, 0.1), with(kLimit, {kToken / 10}));
    EXPECT_EQ(asked(tb_remote_take, 100), with(kLimit, {100 * kToken}));
    EXPECT_EQ(asked(tb_remote_take, 1e-12), with(kLimit, {1}));
    EXPECT_EQ(asked(tb_remote_take_up_to, 7.9), with(kLimit, {7 * kToken, 1, kToken}));
    EXPECT_EQ(asked(tb_remote_take_up_to, 1e300), with(kLimit, {100 * kToken, 1, kToken}));
    EXPECT_EQ(asked(tb_remote_charge, 120), with(kLimit, {120 * kToken, 3}));
    EXPECT_EQ(asked(tb_remote_refund, 1e-10), with(kLimit, {0, 4}));
    EXPECT_EQ(asked(tb_remote_refund, 1e300), with(kLimit, {120 * kToken, 4}));
    EXPECT_EQ(asked(tb_remote_reset, 0), with(kLimit, {0, 5}));
    EXPECT_EQ(asked(tb_remote_reset, TB_INITIALLY_FULL), with(kLimit, {100 * kToken, 5}));
    EXPECT_EQ(asked(tb_remote_peek, 3), with(kLimit, {3 * kToken, 2}));
}

TEST_F(Remote, RefusesWithoutAskingWhatCanNeverBe) {
    EXPECT_EQ(refused(tb_remote_take, 100.1), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(refused(tb_remote_peek, 101), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(refused(tb_remote_reset, 101), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(refused(tb_remote_charge, 120.1), TB_E_OUT_OF_RANGE);
    const double no_amounts[] = {std::nan(""), std::numeric_limits<double>::infinity(), -1e-3, -2};
    for (const WithAmount ask :
         {tb_remote_take, tb_remote_take_up_to, tb_remote_charge, tb_remote_refund, tb_remote_reset, tb_remote_peek}) {
        for (const double n : no_amounts) EXPECT_EQ(refused(ask, n), TB_E_INVALID_ARGUMENT) << n;
        if (ask == tb_remote_reset) continue;
        EXPECT_EQ(refused(ask, 0), TB_E_INVALID_ARGUMENT);
    }
}

TEST_F(Remote, ReadsWhatATakeIsTold) {
    const Numbers take = asked(tb_remote_take, 5);
    EXPECT_EQ(read(take, {20 * kToken}), TB_SUCCESS);
    expect_answer(5, 20, 0, 8 * kSecond);
    EXPECT_EQ(read(take, {-3 * kToken}), TB_DENIED);
    expect_answer(0, 2, 3 * kSecond / 10, 98 * kSecond / 10);
    EXPECT_EQ(read(take, {-6 * kToken - 1, 0}), TB_DENIED);
    expect_answer(0, -1.000000001, 600001000, 101 * kSecond / 10 + 1000);
}

TEST_F(Remote, ReadsTheOthers) {
    EXPECT_EQ(read(asked(tb_remote_take_up_to, 5), {0, kToken / 2, 0}), TB_SUCCESS);
    expect_answer(0, 0.5, 0, 9950000000);
    EXPECT_EQ(read(asked(tb_remote_charge, 5), {5 * kToken, -4 * kToken, 0, 0}), TB_SUCCESS);
    expect_answer(5, -4, 4 * kSecond / 10, 104 * kSecond / 10);
    EXPECT_EQ(read(asked(tb_remote_charge, 5), {0, -19 * kToken, 0, 1}), TB_E_OUT_OF_RANGE);
    expect_answer(-1, -1, -1, -1);
    EXPECT_EQ(read(asked(tb_remote_refund, 5), {-3 * kToken, 100 * kToken, 0, 0}), TB_SUCCESS);
    expect_answer(3, 100, 0, 0);
    EXPECT_EQ(read(asked(tb_remote_reset, 5), {10 * kToken, 5 * kToken, 0, 0}), TB_SUCCESS);
    for (const Numbers &reply : {Numbers{0, 101 * kToken, 0}, Numbers{0, -kDebt - 1, 0}, Numbers{0, 0, 1},
                                 Numbers{0, 0, -1}, Numbers{INT64_MIN, 0, 0}, Numbers{121 * kToken, 0, 0}})
        EXPECT_EQ(read(asked(tb_remote_peek, 5), reply), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(read(asked(tb_remote_peek, 5), {0, 4 * kToken, 0}), TB_SUCCESS);
    expect_answer(0, 4, kSecond / 10, 96 * kSecond / 10);
}

class RemoteReservation : public Remote {
  protected:
    Numbers reserve(double n, int64_t max_wait_ns) {
        int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
        size_t count = 0;
        EXPECT_EQ(tb_remote_reserve(remote.get(), n, max_wait_ns, arguments, &count), TB_SUCCESS);
        return Numbers(arguments, arguments + count);
    }
    tb_status reserved(const Numbers &arguments, const Numbers &reply) {
        return tb_remote_read_reservation(remote.get(), arguments.data(), arguments.size(), reply.data(), reply.size(),
                                          &reservation);
    }
    tb_status refused_reserve(double n, int64_t max_wait_ns) {
        size_t count = 99;
        int64_t arguments[TB_REMOTE_MAX_ARGUMENTS] = {7};
        const tb_status s = tb_remote_reserve(remote.get(), n, max_wait_ns, arguments, &count);
        EXPECT_TRUE(arguments[0] == 7 && count == 99);
        return s;
    }

    tb_reservation reservation{};
    int64_t arguments_[TB_REMOTE_MAX_ARGUMENTS]{};
    size_t count_ = 0;
};

constexpr int64_t kServerUs = 1764460800000000;

TEST_F(RemoteReservation, AsksForAWaitOfAtMostTheLimits) {
    EXPECT_EQ(reserve(5, 0), with(kLimit, {5 * kToken, 6, 0, 0}));
    EXPECT_EQ(reserve(5, 1999), with(kLimit, {5 * kToken, 6, 10000, 0}));
    EXPECT_EQ(reserve(5, TB_FOREVER), with(kLimit, {5 * kToken, 6, kDebt, 0}));
    EXPECT_EQ(refused_reserve(5, -1), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(refused_reserve(0, 0), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(refused_reserve(101, 0), TB_EXCEEDS_CAPACITY);
}

TEST_F(RemoteReservation, IsReadFromTheReplyAndGivenBack) {
    const Numbers ask = reserve(5, kSecond);
    ASSERT_EQ(reserved(ask, {5 * kToken, -3 * kToken, 0, 3 * kToken, kServerUs + 1, kServerUs}), TB_SUCCESS);
    EXPECT_EQ(reservation.tokens, 5);
    EXPECT_EQ(reservation.wait_ns, 3 * kSecond / 10);
    EXPECT_EQ(reservation.ready_at_ns, kServerUs * 1000 + 3 * kSecond / 10);
    ASSERT_EQ(tb_remote_cancel(remote.get(), &reservation, arguments_, &count_), TB_SUCCESS);
    EXPECT_EQ(Numbers(arguments_, arguments_ + count_), with(kLimit, {kServerUs + 1, 7}));
    EXPECT_EQ(read(Numbers(arguments_, arguments_ + count_), {-5 * kToken, 2 * kToken, 0, 0}), TB_SUCCESS);
    expect_answer(5, 2, 0, 98 * kSecond / 10);
    ASSERT_EQ(tb_remote_settle(remote.get(), &reservation, 0.5, arguments_, &count_), TB_SUCCESS);
    const Numbers settle(arguments_, arguments_ + count_);
    EXPECT_EQ(settle, with(kLimit, {kToken / 2, 8, kServerUs + 1, 5 * kToken, kServerUs + 300000}));
    EXPECT_EQ(read(settle, {-45 * kToken / 10, 2 * kToken, 0, 0}), TB_SUCCESS);
    EXPECT_EQ(answer.tokens, 4.5);
    EXPECT_EQ(read(settle, {0, 2 * kToken, 0, 1}), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_remote_settle(remote.get(), &reservation, 120.1, arguments_, &count_), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_remote_settle(remote.get(), &reservation, -1, arguments_, &count_), TB_E_INVALID_ARGUMENT);
}

// Its number is no other's, so that a cancel gives nothing back.
TEST_F(RemoteReservation, OneThatIsDueAtOnceHasANumberOfItsOwn) {
    ASSERT_EQ(reserved(reserve(5, kSecond), {5 * kToken, 3 * kToken, 0, 0, kServerUs, kServerUs}), TB_SUCCESS);
    EXPECT_EQ(reservation.wait_ns, 0);
    ASSERT_EQ(tb_remote_cancel(remote.get(), &reservation, arguments_, &count_), TB_SUCCESS);
    EXPECT_EQ(Numbers(arguments_, arguments_ + count_), with(kLimit, {-kServerUs, 7}));
}

TEST_F(RemoteReservation, SaysHowLongItWouldHaveTaken) {
    const Numbers ask = reserve(5, 1);
    EXPECT_EQ(read(ask, {0, -3 * kToken, 0, 8 * kToken, 0, kServerUs}), TB_TIMED_OUT);
    expect_answer(0, -3, 8 * kSecond / 10, 103 * kSecond / 10);
    EXPECT_EQ(reserved(ask, {0, -3 * kToken, 0, 8 * kToken, 0, kServerUs}), TB_TIMED_OUT);
    EXPECT_EQ(reserved(ask, {0, -3 * kToken, 0}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(reserved(ask, {0, 0, 0, -1, 0, kServerUs}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(reserved(ask, {0, 0, 0, 0, -1, kServerUs}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(reserved(ask, {0, 0, 0, 0, 0, INT64_MAX}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(reserved(asked(tb_remote_take, 5), {0}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(reservation.tokens, 0);
}

TEST_F(RemoteReservation, IsNoOtherThing) {
    const tb_reservation good{5, 0, 1, 7};
    for (const tb_reservation &r :
         {tb_reservation{0, 0, 1, 7}, tb_reservation{-1, 0, 1, 7}, tb_reservation{5, -1, 1, 7},
          tb_reservation{5, 0, -1, 7}, tb_reservation{5, 0, 1, 0}, tb_reservation{5, 0, 1, uint64_t{1} << 63}}) {
        EXPECT_EQ(tb_remote_cancel(remote.get(), &r, arguments_, &count_), TB_E_INVALID_ARGUMENT);
        EXPECT_EQ(tb_remote_settle(remote.get(), &r, 1, arguments_, &count_), TB_E_INVALID_ARGUMENT);
    }
    EXPECT_EQ(tb_remote_cancel(remote.get(), nullptr, arguments_, &count_), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_settle(remote.get(), nullptr, 1, arguments_, &count_), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_cancel(nullptr, &good, arguments_, &count_), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_settle(nullptr, &good, 1, arguments_, &count_), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(count_, 0u);
}

TEST(RemoteKeys, TheSecondKeyLiesInTheSameSlot) {
    const auto second = [](const std::string &key) {
        std::string out(key.size() + TB_REMOTE_QUEUE_KEY_ADDS, '?');
        size_t size = 0;
        if (tb_remote_queue_key(key.data(), key.size(), out.data(), &size) != TB_SUCCESS) return std::string("none");
        return out.substr(0, size);
    };
    EXPECT_EQ(second("user:7"), "q:{user:7}");
    EXPECT_EQ(second("limit:{user:7}"), "q:limit:{user:7}");
    EXPECT_EQ(second("{a}b{c}"), "q:{a}b{c}");
    EXPECT_EQ(second("a{b"), "q:{a{b}");
    EXPECT_EQ(second("{{a}"), "q:{{a}");
    for (const std::string key : {"", "}", "a}b", "{}a", "a{}b{c}"}) EXPECT_EQ(second(key), "none") << key;
    char byte = 0;
    size_t size = 0;
    EXPECT_EQ(tb_remote_queue_key(nullptr, 1, &byte, &size), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_queue_key("a", 1, nullptr, &size), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_queue_key("a", 1, &byte, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_queue_key("a", TB_MAX_KEY_SIZE + 1, &byte, &size), TB_E_INVALID_ARGUMENT);
}

class RemoteMany : public Remote {
  protected:
    tb_remote_member member(const char *key, double n) const { return {remote.get(), key, std::strlen(key), n}; }
    tb_status take_all(const std::vector<tb_remote_member> &members) {
        count = 99;
        return tb_remote_take_all(members.data(), members.size(), arguments.data(), &count);
    }

    Numbers arguments = Numbers(5 * TB_REMOTE_MAX_KEYS + 1, 7);
    size_t count = 0;
};

TEST_F(RemoteMany, ArgumentsAreThoseOfAsManyTakes) {
    const RemoteHandle other = remote_of(config_of(1000, 1, nullptr), 0);
    const tb_remote_member members[] = {member("{a}1", 5), {other.get(), "{a}2", 4, 7}};
    Numbers expected = asked(tb_remote_take, 5);
    expected.push_back(9);
    for (const int64_t n : {int64_t{1000}, int64_t{1}, 1000 * kToken, int64_t{0}, 7 * kToken}) expected.push_back(n);
    ASSERT_EQ(tb_remote_take_all(members, 2, arguments.data(), &count), TB_SUCCESS);
    EXPECT_EQ(Numbers(arguments.data(), arguments.data() + count), expected);
    expected[5] = 10;
    ASSERT_EQ(tb_remote_take_each(members, 2, arguments.data(), &count), TB_SUCCESS);
    EXPECT_EQ(Numbers(arguments.data(), arguments.data() + count), expected);

    tb_status statuses[2] = {7, 7};
    tb_remote_answer answers[2]{};
    const auto read_many = [&](const Numbers &reply) {
        return tb_remote_read_many(members, 2, arguments.data(), count, reply.data(), reply.size(), statuses, answers);
    };
    EXPECT_EQ(read_many({5 * kToken, kToken, 0, 7 * kToken, 2 * kToken, 0}), TB_SUCCESS);
    EXPECT_EQ(answers[1].remaining, 2);
    EXPECT_EQ(read_many({0, 6 * kToken, 0, 0, 2 * kToken, 0}), TB_DENIED);
    EXPECT_TRUE(statuses[0] == TB_DENIED && statuses[1] == TB_DENIED);
    EXPECT_EQ(answers[0].retry_after_ns, 0);
    EXPECT_EQ(answers[1].retry_after_ns, 5 * kSecond);
    EXPECT_EQ(read_many({5 * kToken, kToken, 0, 0, 2 * kToken, 0}), TB_DENIED);
    EXPECT_TRUE(statuses[0] == TB_SUCCESS && statuses[1] == TB_DENIED);
    statuses[0] = 7;
    EXPECT_EQ(read_many({5 * kToken, kToken, 0, 7 * kToken, 2 * kToken}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(read_many({5 * kToken, kToken, 0, 0, 1001 * kToken, 0}), TB_E_INVALID_ARGUMENT);
    --count;
    EXPECT_EQ(read_many({5 * kToken, kToken, 0, 7 * kToken, 2 * kToken, 0}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(statuses[0], 7);
}

TEST_F(RemoteMany, AllOrNoneNeedsOneTagAndDistinctKeys) {
    EXPECT_EQ(take_all({member("{a}1", 1), member("x{a}", 1), member("a", 1)}), TB_SUCCESS);
    for (const auto &members :
         {std::vector{member("a", 1), member("b", 1)}, std::vector{member("{a}1", 1), member("{b}1", 1)},
          std::vector{member("{}a", 1), member("{}b", 1)},
          std::vector{member("{a}", 1), member("{b}", 1), member("{a}", 1)},
          std::vector{member("{a}1", 1), member("{a}2", 1), member("{a}1", 2)},
          std::vector{member("{a}1", 1), member("{a}2", 0)},
          std::vector{member("{a}1", 1), tb_remote_member{nullptr, "{a}2", 4, 1}},
          std::vector{member("{a}1", 1), tb_remote_member{remote.get(), nullptr, 0, 1}}}) {
        EXPECT_EQ(take_all(members), TB_E_INVALID_ARGUMENT) << members.size() << " " << members[0].key_size;
        EXPECT_EQ(count, 99u);
    }
    EXPECT_EQ(take_all({member("{a}1", 1), member("{a}2", 101)}), TB_EXCEEDS_CAPACITY);
    EXPECT_EQ(count, 99u);
}

TEST_F(RemoteMany, HasItsBounds) {
    const std::vector<tb_remote_member> many(TB_REMOTE_MAX_KEYS + 1, member("a", 1));
    EXPECT_EQ(take_all({}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take_all(many.data(), TB_MAX_MEMBERS + 1, arguments.data(), &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take_each(many.data(), 0, arguments.data(), &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take_each(many.data(), many.size(), arguments.data(), &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take_each(nullptr, 1, arguments.data(), &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take_each(many.data(), 1, nullptr, &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take_each(many.data(), 1, arguments.data(), nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(count, 99u);
    EXPECT_EQ(tb_remote_take_each(many.data(), TB_REMOTE_MAX_KEYS, arguments.data(), &count), TB_SUCCESS);
    EXPECT_EQ(count, 5u * TB_REMOTE_MAX_KEYS + 1);
}

// 5 units in 432 microseconds, of which some are over.
TEST_F(Remote, CountsTheFractionThatHasAccrued) {
    tb_config config = config_of(10000, 1, nullptr);
    config.rate_period_ns = 86400 * kSecond;
    remote = remote_of(config, 0);
    const Numbers take = asked(tb_remote_take, 1e-9);
    EXPECT_EQ(take, (Numbers{5, 432, 10000 * kToken, 0, 1}));
    EXPECT_EQ(read(take, {-1}), TB_DENIED);
    EXPECT_EQ(answer.retry_after_ns, 87000);  // 86 * 5 < 432
    EXPECT_EQ(read(take, {-1, 427}), TB_DENIED);
    EXPECT_EQ(answer.retry_after_ns, 1000);
    EXPECT_EQ(read(take, {-1, 426}), TB_DENIED);
    EXPECT_EQ(answer.retry_after_ns, 2000);
}

TEST_F(Remote, TakesNothingElseForAReply) {
    const Numbers take = asked(tb_remote_take, 5);
    const Numbers no_replies[] = {{},     {0, 0, 0}, {101 * kToken}, {-kDebt - 5 * kToken - 1},
                                  {0, 1}, {0, -1},   {INT64_MIN},    {INT64_MAX}};
    for (const Numbers &reply : no_replies) EXPECT_EQ(read(take, reply), TB_E_INVALID_ARGUMENT);
    for (std::size_t i = 0; i < 4; ++i) {
        Numbers other = take;
        ++other[i];
        EXPECT_EQ(read(other, {0}), TB_E_INVALID_ARGUMENT) << i;
    }
    EXPECT_EQ(read(kLimit, {0}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(read(with(take, {1, 0, 0, 0, 0}), {0, 0, 0}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(read(with(take, {0}), {0}), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(read(with(take, {99}), {0, 0, 0}), TB_E_INVALID_ARGUMENT);
    expect_answer(-1, -1, -1, -1);
}

TEST_F(Remote, ALimitForAServerHasNoOptionsOfOthers) {
    const tb_config plain = config_of(10, 1, nullptr);
    const ClockHandle clock = manual_clock();
    tb_remote *made = nullptr;
    const auto create = [&](auto edit) {
        tb_config config = plain;
        edit(&config);
        return tb_remote_create(&config, 0, &made);
    };
    EXPECT_EQ(create([](tb_config *c) { c->initial_tokens = 1; }), TB_E_UNSUPPORTED);
    EXPECT_EQ(create([&](tb_config *c) { c->clock = clock.get(); }), TB_E_UNSUPPORTED);
    EXPECT_EQ(create([](tb_config *c) { c->max_waiters = 1; }), TB_E_UNSUPPORTED);
    EXPECT_EQ(create([](tb_config *c) { c->flags = TB_STATISTICS; }), TB_E_UNSUPPORTED);
    EXPECT_EQ(create([](tb_config *c) { c->on_event = [](void *, const tb_event *) {}; }), TB_E_UNSUPPORTED);
    EXPECT_EQ(create([](tb_config *c) { c->on_wake = [](void *, uint64_t) {}; }), TB_E_UNSUPPORTED);
    EXPECT_EQ(create([](tb_config *c) { c->max_lateness_ns = 1; }), TB_E_UNSUPPORTED);
    EXPECT_EQ(create([](tb_config *c) { c->capacity = 0; }), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_remote_create(&plain, -1, &made), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_create(&plain, TB_FOREVER, &made), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(tb_remote_create(nullptr, 0, &made), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_create(&plain, 0, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(made, nullptr);
    tb_remote_destroy(nullptr);
}

TEST_F(Remote, ShowsItsLimit) {
    tb_config config = config_of(1, 1, nullptr);
    ASSERT_EQ(tb_remote_get_limit(remote.get(), &config), TB_SUCCESS);
    EXPECT_EQ(config.capacity, 100);
    EXPECT_EQ(config.rate_tokens, 10);
    EXPECT_EQ(config.rate_period_ns, kSecond);
    EXPECT_EQ(config.unit, 1e-9);
    EXPECT_EQ(tb_remote_get_limit(nullptr, &config), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_get_limit(remote.get(), nullptr), TB_E_INVALID_ARGUMENT);
}

TEST_F(Remote, NeedsAHandleAndRoom) {
    int64_t numbers[TB_REMOTE_MAX_ARGUMENTS] = {10000, 1, 100 * kToken, kDebt, 5};
    size_t count = 0;
    EXPECT_EQ(tb_remote_take(nullptr, 1, numbers, &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take(remote.get(), 1, nullptr, &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_take(remote.get(), 1, numbers, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_read(nullptr, numbers, 5, numbers, 3, &answer), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_read(remote.get(), nullptr, 5, numbers, 3, &answer), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_read(remote.get(), numbers, 5, nullptr, 3, &answer), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_read(remote.get(), numbers, 5, numbers, 3, nullptr), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_parse(nullptr, 0, 9, numbers, &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_parse(":1\r\n", 4, 9, nullptr, &count), TB_E_INVALID_ARGUMENT);
    EXPECT_EQ(tb_remote_parse(":1\r\n", 4, 9, numbers, nullptr), TB_E_INVALID_ARGUMENT);
}

TEST_F(Remote, ReadsAReplyAsTheServerSendsIt) {
    const std::string text = ":20000000000\r\n";
    int64_t reply[TB_REMOTE_MAX_REPLY];
    size_t count = 0;
    ASSERT_EQ(tb_remote_parse(text.data(), text.size(), TB_REMOTE_MAX_REPLY, reply, &count), TB_SUCCESS);
    EXPECT_EQ(read(asked(tb_remote_take, 5), Numbers(reply, reply + count)), TB_SUCCESS);
    expect_answer(5, 20, 0, 8 * kSecond);
    EXPECT_EQ(tb_remote_parse("-NOSCRIPT", 9, TB_REMOTE_MAX_REPLY, reply, &count), TB_E_INVALID_ARGUMENT);
}

TEST_F(Remote, TheScriptIsOneText) {
    EXPECT_EQ(std::strlen(tb_remote_script_sha1()), 40u);
    EXPECT_EQ(tb_remote_script(), tb_remote_script());
    EXPECT_GT(std::strlen(tb_remote_script()), 500u);
}

}  // namespace
