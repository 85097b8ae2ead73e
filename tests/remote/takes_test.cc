// The script on a real server. With the test's clock its decisions and times are compared with those of a bucket in
// numbers without end, and, where both count in whole units, of a tb_bucket on the same times; to the microsecond.
#include <time.h>

#include <cinttypes>
#include <cmath>
#include <cstdio>

#include "tests/model/server_bucket.h"
#include "tests/remote/script_clock.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;
using model::Integer;

constexpr int64_t kStartUs = 1764460800000000;

struct Tally {
    uint64_t decisions = 0, by_library = 0, boundaries = 0, mismatches = 0;
};

// One limit, its key, and the buckets beside it. Questions go into the pipeline; verify() compares the replies.
class Comparison {
  public:
    Comparison(const tb_config &config, int64_t max_wait_us, std::string key, int64_t start_us, Tally *tally)
        : config_(config),
          remote_(remote_of(config, max_wait_us * 1000)),
          key_(std::move(key)),
          model_(config.capacity, model::per_ns(config.rate_tokens, config.rate_period_ns), unit_of(remote_.get()),
                 max_wait_us),
          tally_(tally) {
        clock_ = manual_clock(start_us * 1000);
        tb_config local = config;
        local.clock = clock_.get();
        bucket_ = bucket_of(local);
        tb_config shown = config;
        EXPECT_EQ(tb_get_limit(bucket_.get(), &shown), TB_SUCCESS);
        const Integer scale = std::llround(1 / shown.unit);
        is_alike_ = model_.rate().denominator == Integer(1) && divide(scale, model_.scale()).rest.is_zero();
        while (places_ < 9 && divide(model_.scale(), Integer::power(10, places_ + 1)).rest.is_zero()) ++places_;
        advance(start_us);
    }

    // So many decimal places are exact.
    int places() const { return places_; }
    bool is_alike() const { return is_alike_; }
    double capacity() const { return config_.capacity; }
    int64_t now() const { return model_.now(); }
    void advance(int64_t us) {
        model_.advance(us);
        EXPECT_EQ(tb_manual_clock_set(clock_.get(), us * 1000), TB_SUCCESS);
    }
    int64_t fill_us() const { return model_.time_until(model_.capacity()); }
    // Until n would be granted now.
    int64_t wait_us(double n) const {
        const Integer need = model_.cost(n) - model_.available();
        return need <= Integer(0) ? 0 : model_.time_until(need);
    }

    void take(double n) {
        const Integer cost = model_.cost(n), have = model_.available();
        const bool granted = cost <= have;
        if (granted) model_.leave(have - cost);
        ask(tb_remote_take, n, granted ? TB_SUCCESS : TB_DENIED, granted ? cost : Integer(0),
            granted ? Integer(0) : cost - have);
        if (!is_alike_) return;
        tb_decision d;
        expect(tb_take(bucket_.get(), n, &d) == (granted ? TB_SUCCESS : TB_DENIED), "the bucket's take");
        as_library(d.retry_after_ns, d.reset_after_ns);
    }
    void take_up_to(double most) {
        const Integer have = std::max(Integer(0), model_.available());
        const Integer asked = model::floor_of(model::amount_meaning(most)) * model_.scale();
        const Integer taken = std::min(asked, have - divide(have, model_.scale()).rest);
        if (taken > Integer(0)) model_.leave(have - taken);
        ask(tb_remote_take_up_to, most, TB_SUCCESS, taken, -model_.available());
        double library = 0;
        if (!is_alike_) return;
        expect(tb_take_up_to(bucket_.get(), most, &library) == TB_SUCCESS, "the bucket's take_up_to");
        expect(model_.down(library == 0 ? 1 : library) == (library == 0 ? model_.scale() : taken), "taken up to");
    }
    void charge(double n) {
        const Integer cost = model_.up(n), rest = model_.available() - cost;
        if (cost > model_.capacity() + model_.most_debt()) return;
        const bool fits = rest >= -model_.most_debt();
        if (fits) model_.leave(rest);
        ask(tb_remote_charge, n, fits ? TB_SUCCESS : TB_E_OUT_OF_RANGE, cost, -model_.available());
        int64_t repaid = 0;
        if (is_alike_ && fits) expect(tb_charge(bucket_.get(), n, &repaid) == TB_SUCCESS, "the bucket's charge");
    }
    void refund(double n) {
        const Integer have = model_.available(), put = std::min(model_.down(n), model_.capacity() - have);
        model_.leave(have + put);
        ask(tb_remote_refund, n, TB_SUCCESS, put, -model_.available());
        if (is_alike_) expect(tb_refund(bucket_.get(), n) == TB_SUCCESS, "the bucket's refund");
    }
    void reset(double tokens) {
        const Integer have = model_.available();
        model_.reset(tokens == 0 ? Integer(0) : model_.down(tokens));
        const Integer change = have - model_.available();
        ask(tb_remote_reset, tokens, TB_SUCCESS, change < Integer(0) ? -change : change, -model_.available());
        if (is_alike_) expect(tb_reset(bucket_.get(), tokens) == TB_SUCCESS, "the bucket's reset");
    }
    void peek(double n) {
        const Integer need = model_.cost(n) - model_.available();
        ask(tb_remote_peek, n, TB_SUCCESS, 0, need);
        if (!is_alike_) return;
        int64_t ns = 0, full = 0;
        expect(tb_time_until(bucket_.get(), n, &ns) == TB_SUCCESS, "time_until");
        expect(tb_time_until(bucket_.get(), capacity(), &full) == TB_SUCCESS, "time_until");
        as_library(ns, full);
    }

    void verify() {
        for (const Question &q : questions_) check(q, ScriptServer::numbers(server().client.receive()));
        questions_.clear();
    }

  private:
    struct Question {
        Numbers arguments;
        tb_status status;
        Integer tokens, left;  // units
        Integer need;          // for retry_after_ns
        int64_t at_us;
        bool by_library;
        int64_t retry_after_ns, reset_after_ns;
    };

    void ask(WithAmount call, double n, tb_status status, const Integer &tokens, const Integer &need) {
        ++tally_->decisions;
        const Numbers arguments = asked(remote_.get(), call, n);
        server().client.send(server().words_at(now(), keys_of(key_, arguments), arguments));
        questions_.push_back({arguments, status, tokens, model_.available(), need, now(), false, 0, 0});
    }
    void as_library(int64_t retry_after_ns, int64_t reset_after_ns) {
        ++tally_->by_library;
        questions_.back().by_library = true;
        questions_.back().retry_after_ns = retry_after_ns;
        questions_.back().reset_after_ns = reset_after_ns;
    }
    // Of a number of units that a double shows exactly.
    bool shows(double tokens, const Integer &units) const {
        if (units > Integer::power(2, 49) || units < -Integer::power(2, 49)) return true;
        return std::fabs(tokens * model_.scale().to_double() - units.to_double()) < 0.5;
    }

    void check(const Question &q, const Numbers &reply) {
        tb_remote_answer a{};
        const tb_status s =
            tb_remote_read(remote_.get(), q.arguments.data(), q.arguments.size(), reply.data(), reply.size(), &a);
        expect(s == q.status, "status");
        if (s < 0 || s != q.status) return;
        const int64_t now = model_.now();
        model_.advance(q.at_us);
        expect(shows(a.tokens, q.tokens), "tokens");
        expect(shows(a.remaining, q.left), "remaining");
        expect(a.retry_after_ns % 1000 == 0 && model_.is_time_until(q.need, a.retry_after_ns / 1000), "retry_after");
        expect(model_.is_time_until(model_.capacity() - q.left, a.reset_after_ns / 1000), "reset_after");
        if (q.by_library) {
            expect(a.retry_after_ns / 1000 == up_to_us(q.retry_after_ns), "the bucket's retry_after");
            expect(a.reset_after_ns / 1000 == up_to_us(q.reset_after_ns), "the bucket's reset_after");
        }
        model_.advance(now);
    }
    void expect(bool holds, const char *what) {
        if (holds || ++tally_->mismatches > 10) return;
        ADD_FAILURE() << what << ": capacity " << config_.capacity << ", " << config_.rate_tokens << " in "
                      << config_.rate_period_ns << " ns, key " << key_ << ", at " << now();
    }

    const tb_config config_;
    const RemoteHandle remote_;
    const std::string key_;
    model::ServerBucket model_;
    ClockHandle clock_;
    BucketHandle bucket_;
    bool is_alike_ = false;
    int places_ = 0;
    std::vector<Question> questions_;
    Tally *const tally_;
};

tb_config random_limit(Trace *dice) {
    for (;;) {
        tb_config config = config_of(decimal(dice->between(1, 9999), static_cast<int>(dice->between(-2, 3))),
                                     decimal(dice->between(1, 99999), static_cast<int>(dice->between(-3, 4))), nullptr);
        if (dice->one_in(4)) config.rate_tokens = 1 / static_cast<double>(dice->between(1, 999));
        if (dice->one_in(4)) config.rate_period_ns = kSecond * dice->between(1, 86400);
        if (dice->one_in(20))
            config = config_of(decimal(dice->between(1, 9), 14), decimal(dice->between(1, 9), 9), nullptr);
        tb_remote *remote = nullptr;
        const tb_status s = tb_remote_create(&config, 600 * kSecond, &remote);
        tb_remote_destroy(remote);
        if (s == TB_SUCCESS) return config;
    }
}

// An amount of up to the capacity, exact in units; at times any.
double random_amount(Trace *dice, const Comparison &c) {
    const int places = static_cast<int>(dice->below(c.places() + 1));
    const double most = std::min(c.capacity() * std::pow(10, places), 1e15);
    const int64_t digits = dice->one_in(3) ? 1 : dice->between(1, std::max<int64_t>(1, static_cast<int64_t>(most)));
    double n = decimal(digits, -places);
    if (n > c.capacity()) n = c.capacity();
    if (!c.is_alike() && dice->one_in(4)) n = c.capacity() / 3;
    return n;
}

void step(Trace *dice, Comparison *c, Tally *tally) {
    const double n = random_amount(dice, *c);
    switch (dice->below(16)) {
        case 0:
            return c->take_up_to(std::ceil(n));
        case 1:
            return c->charge(n);
        case 2:
            return c->refund(n);
        case 3:
            return c->reset(dice->one_in(2) ? 0 : n);
        case 4:
            return c->peek(n);
        default:
            break;
    }
    c->take(n);
    const int64_t wait_us = c->wait_us(n);
    if (wait_us == 0 || dice->one_in(2)) return;
    if (c->now() + wait_us > int64_t{8000000000000000}) return;
    c->advance(c->now() + wait_us - 1);
    c->take(n);
    c->advance(c->now() + 1);
    c->take(n);
    ++tally->boundaries;
}

void pass_time(Trace *dice, Comparison *c) {
    int64_t us = 0;
    switch (dice->below(6)) {
        case 0:
            us = dice->below(10);
            break;
        case 1:
            us = dice->below(100000);
            break;
        case 2:
            us = dice->below(std::min<int64_t>(c->fill_us(), 1000000000000) + 1);
            break;
        case 3:
            us = dice->one_in(20) ? dice->below(1000000000000) : 0;
            break;
        default:
            break;
    }
    if (c->now() + us < int64_t{8000000000000000}) c->advance(c->now() + us);
}

TEST(RemoteTakes, DecideAsABucketInNumbersWithoutEnd) {
    const uint64_t wanted = support::effort("TB_REMOTE_DECISIONS", 100000, 10000);
    const uint64_t seed = support::effort("TB_SEED", 20251130, 20251130);
    Trace dice(seed);
    Tally tally;
    int limits = 0;
    for (; tally.by_library < wanted && tally.mismatches == 0; ++limits) {
        const tb_config config = random_limit(&dice);
        const int64_t max_wait_us = dice.one_in(2) ? 0 : dice.below(600000000);
        const int64_t start_us = kStartUs + dice.below(int64_t{1} << 50);
        Comparison c(config, max_wait_us, "bucket:" + std::to_string(limits), start_us, &tally);
        for (int i = 0; i < 300; ++i) {
            step(&dice, &c, &tally);
            pass_time(&dice, &c);
        }
        c.verify();
    }
    std::cout << tally.decisions << " decisions of " << limits << " limits, " << tally.by_library
              << " also by a tb_bucket, " << tally.boundaries << " times at its time and a microsecond before; "
              << tally.mismatches << " differ; seed " << seed << "\n";
}

// ---- The server's own clock

int64_t host_us() {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return int64_t{t.tv_sec} * 1000000 + t.tv_nsec / 1000;
}

TEST(RemoteServer, KnowsTheScriptByItsDigest) {
    EXPECT_EQ(server().loaded, tb_remote_script_sha1());
}

// For speed: to a server an array is more work.
TEST(RemoteServer, ATakeAtAWholeRateIsAnsweredWithOneNumber) {
    const RemoteHandle remote = remote_of(config_of(2, 1, nullptr), 0);
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(server().client.ask(server().words({"one"}, asked(remote.get(), tb_remote_take, 1))).type, ':');
}

// What a host must do: the same question as EVAL, which the server then remembers.
TEST(RemoteServer, AFlushedScriptIsSentAsText) {
    const RemoteHandle remote = remote_of(config_of(2, 1e-3, nullptr), 0);
    RedisClient &client = server().client;
    EXPECT_EQ(told(remote.get(), "flushed", tb_remote_take, 1).status, TB_SUCCESS);
    EXPECT_EQ(client.ask({"SCRIPT", "FLUSH"}).text, "OK");
    Words words = server().words({"flushed"}, asked(remote.get(), tb_remote_take, 1));
    const RedisReply refused = client.ask(words);
    EXPECT_EQ(refused.type, '-');
    EXPECT_EQ(refused.text.substr(0, 8), "NOSCRIPT");
    words[0] = "EVAL";
    words[1] = tb_remote_script();
    EXPECT_LT(static_cast<uint64_t>(ScriptServer::numbers(client.ask(words))[0]), 100000u);  // next to nothing is left
    EXPECT_EQ(told(remote.get(), "flushed", tb_remote_take, 1).status, TB_DENIED);
    server().timed = client.ask({"SCRIPT", "LOAD", std::string(kTestClock) + tb_remote_script()}).text;
}

// What is left after each take lies between what a clock of this host, read before and after the call, allows.
TEST(RemoteServer, DecidesByItsOwnClock) {
    constexpr double kRate = 1000, kSlackUs = 1;
    const RemoteHandle remote = remote_of(config_of(50, kRate, nullptr), 0);
    int64_t before = host_us(), after = before;
    double left = 50, granted = 0;
    const int64_t start = before;
    while (after - start < 300000) {
        const int64_t asked_at = host_us();
        const Told t = told(remote.get(), "clock", tb_remote_take, 1);
        const int64_t told_at = host_us();
        const double taken = t.status == TB_SUCCESS ? 1 : 0;
        const auto grown = [&](int64_t us) {
            return std::min(50.0, left + kRate * (static_cast<double>(us)) / 1e6) - taken;
        };
        EXPECT_GE(t.answer.remaining, grown(asked_at - after - 1) - kSlackUs * kRate / 1e6);
        EXPECT_LE(t.answer.remaining, grown(told_at - before + 1) + kSlackUs * kRate / 1e6);
        left = t.answer.remaining;
        granted += taken;
        before = asked_at;
        after = told_at;
    }
    EXPECT_LE(granted, 50 + kRate * static_cast<double>(after - start + 2) / 1e6);
    EXPECT_GT(granted, 50);
}

TEST(RemoteServer, AWaitThatItReportsIsLongEnough) {
    const RemoteHandle remote = remote_of(config_of(5, 500, nullptr), 0);
    for (int i = 0; i < 20; ++i) {
        Told t = told(remote.get(), "waits", tb_remote_take, 5);
        if (t.status == TB_SUCCESS) t = told(remote.get(), "waits", tb_remote_take, 5);
        if (t.status == TB_SUCCESS) continue;
        ASSERT_EQ(t.status, TB_DENIED);
        timespec nap{0, static_cast<long>(t.answer.retry_after_ns)};
        while (nanosleep(&nap, &nap) != 0) {
        }
        EXPECT_EQ(told(remote.get(), "waits", tb_remote_take, 5).status, TB_SUCCESS);
    }
}

TEST(RemoteServer, AKeyLivesUntilItsBucketIsFull) {
    const RemoteHandle remote = remote_of(config_of(10, 100, nullptr), kSecond);
    RedisClient &client = server().client;
    EXPECT_EQ(told(remote.get(), "ttl", tb_remote_peek, 1).answer.remaining, 10);
    EXPECT_EQ(client.ask({"EXISTS", "ttl"}).number, 0);  // to look creates none
    EXPECT_EQ(told(remote.get(), "ttl", tb_remote_take, 3).status, TB_SUCCESS);
    EXPECT_GT(client.ask({"PTTL", "ttl"}).number, 20);
    EXPECT_LE(client.ask({"PTTL", "ttl"}).number, 30 + 3);
    while (client.ask({"EXISTS", "ttl"}).number != 0) {
        const tb_remote_answer a = told(remote.get(), "ttl", tb_remote_peek, 10).answer;
        EXPECT_EQ(a.retry_after_ns == 0, a.remaining == 10);
    }
    EXPECT_EQ(told(remote.get(), "ttl", tb_remote_take, 10).status, TB_SUCCESS);
    EXPECT_EQ(told(remote.get(), "ttl", tb_remote_charge, 10).status, TB_SUCCESS);
    EXPECT_GT(client.ask({"PTTL", "ttl"}).number, 180);
    EXPECT_LE(client.ask({"PTTL", "ttl"}).number, 203);
    EXPECT_EQ(told(remote.get(), "ttl", tb_remote_refund, 1).status, TB_SUCCESS);
    EXPECT_LE(client.ask({"PTTL", "ttl"}).number, 193);
    EXPECT_EQ(told(remote.get(), "ttl", tb_remote_reset, 10).answer.remaining, 10);
    EXPECT_EQ(client.ask({"EXISTS", "ttl"}).number, 0);  // full
}

TEST(RemoteServer, ARefusalWritesNothing) {
    const RemoteHandle remote = remote_of(config_of(10, 1e-3, nullptr), 0);
    RedisClient &client = server().client;
    EXPECT_EQ(told(remote.get(), "refusal", tb_remote_take, 8).status, TB_SUCCESS);
    const std::string value = client.ask({"GET", "refusal"}).text;
    client.ask({"PERSIST", "refusal"});
    EXPECT_EQ(told(remote.get(), "refusal", tb_remote_take, 8).status, TB_DENIED);
    EXPECT_EQ(told(remote.get(), "refusal", tb_remote_charge, 8).status, TB_E_OUT_OF_RANGE);
    EXPECT_EQ(told(remote.get(), "refusal", tb_remote_peek, 8).status, TB_SUCCESS);
    EXPECT_EQ(client.ask({"GET", "refusal"}).text, value);
    EXPECT_EQ(client.ask({"PTTL", "refusal"}).number, -1);
}

TEST(RemoteServer, AKeyTakesAtMost128Bytes) {
    const RemoteHandle remote = remote_of(config_of(100, 1e-3, nullptr), 0);
    const std::string key = "limit:user:123456789";
    ASSERT_EQ(key.size(), 20u);
    EXPECT_EQ(told(remote.get(), key, tb_remote_take, 1).status, TB_SUCCESS);
    const int64_t bytes = server().client.ask({"MEMORY", "USAGE", key}).number;
    std::cout << "MEMORY USAGE of a key of 20 characters: " << bytes << "\n";
    EXPECT_LE(bytes, 128);
    EXPECT_GT(bytes, 0);
    EXPECT_EQ(server().client.ask({"OBJECT", "ENCODING", key}).text, "int");
}

TEST(RemoteServer, AnErrorIsNoAnswer) {
    const RemoteHandle remote = remote_of(config_of(10, 1, nullptr), 0);
    RedisClient &client = server().client;
    client.ask({"LPUSH", "list", "1"});
    client.ask({"SET", "word", "hello"});
    for (const std::string key : {"list", "word"}) {
        const RedisReply reply = client.ask(server().words({key}, asked(remote.get(), tb_remote_take, 1)));
        EXPECT_EQ(reply.type, '-');
        int64_t numbers[TB_REMOTE_MAX_REPLY];
        size_t count = 0;
        const std::string text = "-" + reply.text + "\r\n";
        EXPECT_EQ(tb_remote_parse(text.data(), text.size(), TB_REMOTE_MAX_REPLY, numbers, &count),
                  TB_E_INVALID_ARGUMENT);
    }
}

// ---- A clock that goes back

// From the first question after the jump, a full bucket is back after max_wait and a fill.
TEST(RemoteServer, AClockSetBackLocksOutForAtMostMaxWaitAndAFill) {
    constexpr int64_t kHour = 3600000000;
    Trace dice(20251130);
    int turned_over = 0;
    for (int i = 0; i < 300; ++i) {
        const double capacity = decimal(dice.between(1, 999), 0), rate = decimal(dice.between(1, 999), 0);
        const int64_t max_wait_us = dice.one_in(2) ? 0 : dice.below(20000000);
        const int64_t back_us = dice.one_in(2) ? kHour : dice.below(kHour);
        const RemoteHandle remote = remote_of(config_of(capacity, rate, nullptr), max_wait_us * 1000);
        const std::string key = "back:" + std::to_string(i);
        int64_t now = kStartUs + dice.below(kHour);
        EXPECT_EQ(told_at(now, remote.get(), key, tb_remote_take, capacity).status, TB_SUCCESS);
        const double debt = std::floor(rate * static_cast<double>(max_wait_us) / 1e6);
        if (dice.one_in(2) && debt >= 1) {
            EXPECT_EQ(told_at(now, remote.get(), key, tb_remote_charge, debt).status, TB_SUCCESS);
        }
        now -= back_us;
        const Told first = told_at(now, remote.get(), key, tb_remote_take, capacity);
        if (first.status == TB_SUCCESS && ++turned_over) continue;
        EXPECT_EQ(first.status, TB_DENIED);
        const int64_t fill_us = static_cast<int64_t>(std::ceil(capacity / rate * 1e6));
        EXPECT_LE(first.answer.retry_after_ns / 1000, max_wait_us + fill_us + 1) << key;
        now += first.answer.retry_after_ns / 1000;
        EXPECT_EQ(told_at(now - 1, remote.get(), key, tb_remote_take, capacity).status, TB_DENIED) << key;
        EXPECT_EQ(told_at(now, remote.get(), key, tb_remote_take, capacity).status, TB_SUCCESS) << key;
    }
    EXPECT_LE(turned_over, 3);  // positions, so that the bucket seems full
}

// Whatever is asked first, but a look.
TEST(RemoteServer, AClockSetBackIsNoticedByEveryCallThatMayTake) {
    const RemoteHandle remote = remote_of(config_of(10, 1, nullptr), 0);
    for (const WithAmount first : {tb_remote_take, tb_remote_take_up_to, tb_remote_charge, tb_remote_refund}) {
        int64_t now = kStartUs;
        EXPECT_EQ(told_at(now, remote.get(), "noticed", tb_remote_take, 10).status, TB_SUCCESS);
        now -= 3600000000;
        told_at(now, remote.get(), "noticed", first, 1e-9);
        now += 5000000;
        EXPECT_NEAR(told_at(now, remote.get(), "noticed", tb_remote_peek, 1).answer.remaining, 5, 1.1e-9);
        EXPECT_EQ(told_at(now, remote.get(), "noticed", tb_remote_reset, TB_INITIALLY_FULL).status, TB_SUCCESS);
    }
}

// Forward it gives at most a bucketful.
TEST(RemoteServer, AClockSetForwardGivesAtMostTheCapacity) {
    const RemoteHandle remote = remote_of(config_of(10, 1, nullptr), 0);
    int64_t now = kStartUs;
    EXPECT_EQ(told_at(now, remote.get(), "forward", tb_remote_take, 10).status, TB_SUCCESS);
    now += int64_t{86400} * 365 * 1000000;
    EXPECT_EQ(told_at(now, remote.get(), "forward", tb_remote_take, 10).status, TB_SUCCESS);
    EXPECT_EQ(told_at(now, remote.get(), "forward", tb_remote_take, 0.1).status, TB_DENIED);
}

}  // namespace
