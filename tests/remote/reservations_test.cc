// Reservations on a real server, by the test's clock: the script's list of them against the queue of a tb_bucket, which
// has the same limit, calls and times. Whatever one says the other must say, and both must have the same tokens left.
#include <cmath>
#include <memory>

#include "tests/remote/script_clock.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace {

using namespace tb_test;

constexpr int64_t kStartUs = 1764460800000000;

struct Tally {
    uint64_t steps = 0, reserved = 0, ahead = 0, refused = 0, cancels = 0, gave_back = 0, settled = 0, longest = 0;
};

// All amounts are in tenths of a token, and ten times the rate is whole: everything is a whole number of units in both.
struct Limit {
    double capacity, rate;
};

class Duel {
  public:
    Duel(const Limit &limit, std::string key, uint64_t seed, Tally *tally)
        : limit_(limit),
          max_wait_us_(static_cast<int64_t>(std::ceil(8 * limit.capacity / limit.rate * 1e6))),
          most_debt_(static_cast<double>(max_wait_us_) / 1e6 * limit.rate),
          remote_(remote_of(config_of(limit.capacity, limit.rate, nullptr), max_wait_us_ * 1000)),
          unit_(unit_of(remote_.get())),
          clock_(manual_clock(kStartUs * 1000)),
          bucket_(bucket_of(config_of(limit.capacity, limit.rate, clock_.get()))),
          key_(std::move(key)),
          dice_(seed),
          is_slow_(dice_.one_in(2)),
          tally_(tally) {}

    // Asks the bucket, and sends the same question; what the server must answer is kept for end().
    void begin() {
        ++tally_->steps;
        pass_time();
        switch (dice_.below(20)) {
            case 0:
            case 1:
            case 2:
                return take();
            case 3:
                return take_up_to();
            case 4:
                return dice_.one_in(2) ? charge() : refund();
            case 5:
                return dice_.one_in(6) ? reset() : peek();
            case 6:
            case 7:
                return settle();
            case 8:
            case 9:
            case 10:
            case 11:
            case 12:
                return cancel();
            default:
                return reserve();
        }
    }

    // False once anything differs.
    bool end() {
        const Numbers reply = ScriptServer::numbers(server().client.receive());
        tb_remote_answer a{};
        const tb_status s =
            tb_remote_read(remote_.get(), arguments_.data(), arguments_.size(), reply.data(), reply.size(), &a);
        if (s != status_) return differs("status", s, status_);
        if (a.retry_after_ns != retry_us_ * 1000 && retry_us_ >= 0)
            return differs("wait in us", a.retry_after_ns / 1000, retry_us_);
        if (std::fabs(a.remaining - left_) > unit_ / 2)
            return differs("units left", std::llround(a.remaining / unit_), std::llround(left_ / unit_));
        if (is_cancel_ && a.tokens != 0) ++tally_->gave_back;
        if (kept_ == nullptr || s != TB_SUCCESS) return true;
        EXPECT_EQ(tb_remote_read_reservation(remote_.get(), arguments_.data(), arguments_.size(), reply.data(),
                                             reply.size(), &kept_->remote),
                  TB_SUCCESS);
        if (kept_->remote.ready_at_ns != (now_us_ + retry_us_) * 1000)
            return differs("ready at", kept_->remote.ready_at_ns, (now_us_ + retry_us_) * 1000);
        return true;
    }

    const std::string &text() const { return dice_.text(); }

  private:
    struct Pair {
        tb_reservation local, remote;
        double tokens;
        int64_t ready_us;
    };

    bool differs(const char *what, int64_t script, int64_t bucket) const {
        ADD_FAILURE() << what << ": " << script << " by the script, " << bucket << " by the bucket; capacity "
                      << limit_.capacity << ", rate " << limit_.rate << ": " << text();
        return false;
    }

    double amount() {
        const int64_t most = std::llround(limit_.capacity * 10);
        const int64_t tenths = dice_.one_in(3) ? dice_.between(1, std::min<int64_t>(most, 3)) : dice_.between(1, most);
        return static_cast<double>(tenths) / 10;
    }
    double available() const { return tb_test::available(bucket_.get()); }
    // May so much more be owed, with room for what reserve() adds?
    bool may_owe(double n) const { return available() - n >= -most_debt_ / 2; }

    void pass_time() {
        int64_t us = 0;
        const int64_t fill_us = static_cast<int64_t>(limit_.capacity / limit_.rate * 1e6);
        switch (dice_.below(is_slow_ ? 40 : 8)) {
            case 0:
                us = dice_.below(3);
                break;
            case 1:
                us = dice_.below(fill_us / 4 + 1);
                break;
            case 2:
                us = dice_.below(fill_us + 1);
                break;
            case 3:
                us = dice_.one_in(10) ? dice_.below(12 * fill_us + 1) : 0;
                break;
            case 4:
                if (!pairs_.empty()) us = dice_.pick(pairs_).ready_us - now_us_ - dice_.below(2);
                break;
            default:
                break;
        }
        if (us <= 0) return;
        now_us_ += us;
        dice_.note("us", us);
        EXPECT_EQ(tb_manual_clock_set(clock_.get(), now_us_ * 1000), TB_SUCCESS);
    }

    void ask(const Numbers &arguments, tb_status status, int64_t retry_us) {
        arguments_ = arguments;
        status_ = status;
        retry_us_ = retry_us;
        left_ = available();
        is_cancel_ = false;
        kept_ = nullptr;
        server().client.send(server().words_at(now_us_, keys_of(key_, arguments), arguments));
    }
    void note(const char *what, double tokens) { dice_.note(what, std::llround(tokens * 10)); }

    void take() {
        const double n = amount();
        note("take", n);
        tb_decision d{};
        const tb_status s = tb_take(bucket_.get(), n, &d);
        // While reservations are pending both are told when the word says so.
        ask(asked(remote_.get(), tb_remote_take, n), s, up_to_us(d.retry_after_ns));
    }
    void take_up_to() {
        const double n = std::ceil(amount());
        note("take up to", n);
        double taken = 0;
        EXPECT_EQ(tb_take_up_to(bucket_.get(), n, &taken), TB_SUCCESS);
        ask(asked(remote_.get(), tb_remote_take_up_to, n), TB_SUCCESS, -1);
    }
    void peek() {
        const double n = amount();
        int64_t ns = 0;
        EXPECT_EQ(tb_time_until(bucket_.get(), n, &ns), TB_SUCCESS);
        ask(asked(remote_.get(), tb_remote_peek, n), TB_SUCCESS, up_to_us(ns));
    }
    void charge() {
        const double n = amount();
        if (!may_owe(n)) return peek();
        note("charge", n);
        int64_t ns = 0;
        EXPECT_EQ(tb_charge(bucket_.get(), n, &ns), TB_SUCCESS);
        ask(asked(remote_.get(), tb_remote_charge, n), TB_SUCCESS, up_to_us(ns));
    }
    void refund() {
        const double n = amount();
        note("refund", n);
        EXPECT_EQ(tb_refund(bucket_.get(), n), TB_SUCCESS);
        ask(asked(remote_.get(), tb_remote_refund, n), TB_SUCCESS, -1);
    }
    void reset() {
        const double n = dice_.one_in(3) ? limit_.capacity : amount();
        note("reset", n);
        EXPECT_EQ(tb_reset(bucket_.get(), n), TB_SUCCESS);
        reset_us_ = now_us_;
        made_before_reset_ = all_.size();
        ask(asked(remote_.get(), tb_remote_reset, n), TB_SUCCESS, -1);
    }

    void reserve() {
        const auto is_ahead = [&](const std::unique_ptr<Pair> &p) { return p->ready_us > now_us_; };
        if (std::count_if(all_.begin(), all_.end(), is_ahead) >= 60) return peek();
        const double n = amount();
        const int64_t wait_us = dice_.one_in(4) ? dice_.below(max_wait_us_ / 8) : max_wait_us_ / 2;
        note("reserve", n);
        dice_.note("within", wait_us);
        auto pair = std::make_unique<Pair>();
        const tb_status s = tb_reserve(bucket_.get(), n, wait_us * 1000, &pair->local);
        const Numbers arguments = arguments_of(
            [&](int64_t *to, size_t *count) { return tb_remote_reserve(remote_.get(), n, wait_us * 1000, to, count); });
        ask(arguments, s, s == TB_SUCCESS ? up_to_us(pair->local.wait_ns) : -1);
        ++(s == TB_SUCCESS ? tally_->reserved : tally_->refused);
        if (s != TB_SUCCESS) return;
        if (pair->local.wait_ns != 0) ++tally_->ahead;
        pair->tokens = n;
        pair->ready_us = now_us_ + up_to_us(pair->local.wait_ns);
        all_.push_back(std::move(pair));
        kept_ = all_.back().get();
        pairs_.push_back(*kept_);
    }
    // One that is ahead, or one of the last, due or not, and at times one that was cancelled or settled already.
    Pair *some() {
        // The server forgets that a reset made them void.
        if (static_cast<double>(now_us_ - reset_us_) / 1e6 * limit_.rate > limit_.capacity + most_debt_) {
            all_.erase(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(made_before_reset_));
            made_before_reset_ = 0;
        }
        if (all_.empty()) return nullptr;
        std::vector<Pair *> ahead;
        for (const auto &pair : all_)
            if (pair->ready_us > now_us_) ahead.push_back(pair.get());
        tally_->longest = std::max<uint64_t>(tally_->longest, ahead.size());
        if (!ahead.empty() && !dice_.one_in(4)) return dice_.pick(ahead);
        const int64_t last = static_cast<int64_t>(all_.size());
        const int64_t from = dice_.one_in(10) ? 0 : std::max<int64_t>(0, last - 12);
        return all_[static_cast<std::size_t>(dice_.between(from, last - 1))].get();
    }
    void cancel() {
        Pair *const pair = some();
        if (pair == nullptr) return reserve();
        note("cancel", pair->tokens);
        tb_reservation copy = pair->local;
        EXPECT_EQ(tb_cancel(bucket_.get(), &copy), TB_SUCCESS);
        ask(arguments_of(
                [&](int64_t *to, size_t *count) { return tb_remote_cancel(remote_.get(), &pair->remote, to, count); }),
            TB_SUCCESS, -1);
        is_cancel_ = true;
        ++tally_->cancels;
    }
    void settle() {
        Pair *const pair = some();
        const double actual = dice_.one_in(4) ? 0 : amount();
        if (pair == nullptr || (actual > pair->tokens && !may_owe(actual - pair->tokens))) return peek();
        note("settle", pair->tokens);
        note("at", actual);
        tb_reservation copy = pair->local;
        EXPECT_EQ(tb_settle(bucket_.get(), &copy, actual), TB_SUCCESS);
        ask(arguments_of([&](int64_t *to, size_t *count) {
                return tb_remote_settle(remote_.get(), &pair->remote, actual, to, count);
            }),
            TB_SUCCESS, -1);
        ++tally_->settled;
    }

    const Limit limit_;
    const int64_t max_wait_us_;
    const double most_debt_;
    const RemoteHandle remote_;
    const double unit_;
    const ClockHandle clock_;
    const BucketHandle bucket_;
    const std::string key_;
    Trace dice_;
    const bool is_slow_;  // does the time pass slowly, so that the list grows?
    Tally *const tally_;
    int64_t now_us_ = kStartUs;
    std::vector<std::unique_ptr<Pair>> all_;
    std::vector<Pair> pairs_;
    int64_t reset_us_ = kStartUs;
    std::size_t made_before_reset_ = 0;
    // The question on its way, and what must be answered; retry_us_ below 0: anything.
    Numbers arguments_;
    tb_status status_ = 0;
    int64_t retry_us_ = 0;
    double left_ = 0;
    bool is_cancel_ = false;
    Pair *kept_ = nullptr;
};

const Limit kLimits[] = {{10, 1}, {1, 1}, {3, 0.7}, {10, 100}, {100, 3}, {0.5, 20}, {5, 0.1}};

TEST(RemoteReservations, AreThoseOfABucket) {
    const uint64_t wanted = support::effort("TB_REMOTE_CANCELS", 25000, 5000);
    const uint64_t seed = support::effort("TB_SEED", 20251130, 20251130);
    constexpr int kAtATime = 64;
    Trace dice(seed);
    Tally tally;
    int keys = 0;
    while (tally.gave_back < wanted) {
        std::vector<std::unique_ptr<Duel>> duels;
        for (int i = 0; i < kAtATime; ++i)
            duels.push_back(
                std::make_unique<Duel>(dice.pick(kLimits), "duel:" + std::to_string(++keys), dice.draw(), &tally));
        for (int64_t step = dice.between(20, 150); step > 0; --step) {
            for (const auto &duel : duels) duel->begin();
            bool same = true;
            for (const auto &duel : duels) same = duel->end() && same;
            ASSERT_TRUE(same) << "seed " << seed;
        }
    }
    std::cout << tally.steps << " steps: " << tally.reserved << " reserved, of these " << tally.ahead << " ahead, "
              << tally.refused << " refused, " << tally.cancels << " cancels, of which " << tally.gave_back
              << " gave back, " << tally.settled << " settled; up to " << tally.longest
              << " ahead at a time; 0 differ; seed " << seed << "\n";
}

// ---- One reservation at a time

class Queue : public testing::Test {
  protected:
    Queue() : key(testing::UnitTest::GetInstance()->current_test_info()->name()), queue_key("q:{" + key + "}") {}

    void start(double capacity, double rate, int64_t max_wait_ns) {
        remote = remote_of(config_of(capacity, rate, nullptr), max_wait_ns);
    }
    tb_status ask(const Numbers &arguments) {
        const Words words = is_real ? server().words(keys_of(key, arguments), arguments)
                                    : server().words_at(now_us, keys_of(key, arguments), arguments);
        asked_last = arguments;
        reply = ScriptServer::numbers(server().client.ask(words));
        return tb_remote_read(remote.get(), arguments.data(), arguments.size(), reply.data(), reply.size(), &answer);
    }
    tb_status reserve(double n, int64_t max_wait_ns, tb_reservation *r) {
        const tb_status s = ask(arguments_of(
            [&](int64_t *to, size_t *count) { return tb_remote_reserve(remote.get(), n, max_wait_ns, to, count); }));
        if (s != TB_SUCCESS) return s;
        return tb_remote_read_reservation(remote.get(), asked_last.data(), asked_last.size(), reply.data(),
                                          reply.size(), r);
    }
    // What came back.
    double cancel(const tb_reservation &r) {
        EXPECT_EQ(ask(arguments_of(
                      [&](int64_t *to, size_t *count) { return tb_remote_cancel(remote.get(), &r, to, count); })),
                  TB_SUCCESS);
        return answer.tokens;
    }
    tb_status settle(const tb_reservation &r, double actual) {
        return ask(arguments_of(
            [&](int64_t *to, size_t *count) { return tb_remote_settle(remote.get(), &r, actual, to, count); }));
    }
    tb_status call(WithAmount with, double n) { return ask(asked(remote.get(), with, n)); }
    double left() {
        EXPECT_EQ(call(tb_remote_peek, 1e-9), TB_SUCCESS);
        return answer.remaining;
    }
    // A key by the test's clock has its expiry beside it; this is for keys by the server's.
    int64_t pttl(const std::string &name) { return server().client.ask({"PTTL", name}).number; }
    void forget(const std::string &name) { server().client.ask({"DEL", name, name + "/expiry"}); }

    const std::string key, queue_key;
    RemoteHandle remote;
    int64_t now_us = kStartUs;
    bool is_real = false;
    Numbers asked_last, reply;
    tb_remote_answer answer{};
};

TEST_F(Queue, OfTheLast64CanBeCancelled) {
    start(1, 1, 100 * kSecond);
    EXPECT_EQ(call(tb_remote_take, 1), TB_SUCCESS);
    tb_reservation r[70];
    for (int i = 0; i < 70; ++i) {
        ASSERT_EQ(reserve(1, TB_FOREVER, &r[i]), TB_SUCCESS);
        EXPECT_EQ(r[i].wait_ns, (i + 1) * kSecond);
    }
    for (int i = 0; i < 6; ++i) EXPECT_EQ(cancel(r[i]), 0) << i;
    EXPECT_EQ(left(), -70);
    for (int i = 6; i < 70; ++i) EXPECT_EQ(cancel(r[i]), 1) << i;
    for (int i = 6; i < 70; ++i) EXPECT_EQ(cancel(r[i]), 0) << i;  // once
    EXPECT_EQ(left(), -6);
}

TEST_F(Queue, OwesAtMostWhatMaxWaitAllows) {
    start(10, 1, 20 * kSecond);
    tb_reservation r[4];
    ASSERT_EQ(reserve(10, 0, &r[0]), TB_SUCCESS);
    EXPECT_EQ(r[0].wait_ns, 0);
    ASSERT_EQ(reserve(10, TB_FOREVER, &r[1]), TB_SUCCESS);
    ASSERT_EQ(reserve(9, TB_FOREVER, &r[2]), TB_SUCCESS);
    EXPECT_EQ(r[2].wait_ns, 19 * kSecond);
    EXPECT_EQ(reserve(1.1, TB_FOREVER, &r[3]), TB_TIMED_OUT);
    EXPECT_EQ(answer.retry_after_ns, 201 * kSecond / 10);
    EXPECT_EQ(settle(r[2], 10.1), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(call(tb_remote_charge, 1.1), TB_E_OUT_OF_RANGE);
    EXPECT_EQ(settle(r[2], 10), TB_SUCCESS);
    EXPECT_EQ(left(), -20);
    EXPECT_EQ(cancel(r[2]), 0);  // settled
    EXPECT_EQ(settle(r[1], 0), TB_SUCCESS);
    EXPECT_EQ(answer.tokens, 10);
    EXPECT_EQ(left(), -19);  // the other keeps its time, and the bucket overflows before it
    now_us += 19000000;
    EXPECT_EQ(left(), 0);
}

TEST_F(Queue, ALostKeyGivesAtMostTheCapacity) {
    start(10, 1, 20 * kSecond);
    tb_reservation r[3];
    for (tb_reservation &each : r) ASSERT_EQ(reserve(10, TB_FOREVER, &each), TB_SUCCESS);
    forget(key);
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(cancel(r[2]), 0);
    EXPECT_EQ(left(), 10);
    EXPECT_EQ(call(tb_remote_take, 10), TB_SUCCESS);
    EXPECT_EQ(cancel(r[1]), 0);
    ASSERT_EQ(reserve(5, TB_FOREVER, &r[0]), TB_SUCCESS);
    EXPECT_EQ(r[0].wait_ns, 5 * kSecond);
    forget(queue_key);
    EXPECT_EQ(cancel(r[0]), 0);
    EXPECT_EQ(left(), -5);
}

TEST_F(Queue, AClockSetBackMakesReservationsVoid) {
    start(10, 1, 20 * kSecond);
    tb_reservation r[3];
    for (tb_reservation &each : r) ASSERT_EQ(reserve(10, TB_FOREVER, &each), TB_SUCCESS);
    now_us -= 3600000000;
    EXPECT_EQ(cancel(r[2]), 0);
    EXPECT_EQ(left(), 0);
    now_us += 2000000;
    EXPECT_EQ(left(), 2);  // empty as of the cancel
    EXPECT_EQ(call(tb_remote_take, 2), TB_SUCCESS);
    ASSERT_EQ(reserve(4, TB_FOREVER, &r[0]), TB_SUCCESS);
    EXPECT_EQ(r[0].wait_ns, 4 * kSecond);
    EXPECT_EQ(cancel(r[1]), 0);
    EXPECT_EQ(cancel(r[0]), 4);
}

// Also where a take saw it first, which leaves the second key as it is.
TEST_F(Queue, AClockSetBackMakesThemVoidThoughATakeNoticed) {
    for (const int64_t back_s : {12, 25, 40, 3600}) {
        start(10, 1, 30 * kSecond);
        tb_reservation r[4];
        for (tb_reservation &each : r) ASSERT_EQ(reserve(10, TB_FOREVER, &each), TB_SUCCESS);
        now_us -= back_s * 1000000;
        EXPECT_EQ(call(tb_remote_take, 1), TB_DENIED);
        EXPECT_EQ(left(), 0) << back_s;
        EXPECT_EQ(cancel(r[3]), 0) << back_s;
        EXPECT_EQ(left(), 0) << back_s;
        EXPECT_EQ(call(tb_remote_reset, TB_INITIALLY_FULL), TB_SUCCESS);
    }
}

// Both look at the first eight gaps that are too small; a place where the bucket is just full is none.
TEST_F(Queue, LooksAtAsManyGapsAsABucket) {
    for (const bool gaps_are_small : {true, false}) {
        for (int before = 5; before < 12; ++before) {
            now_us += 100000000;
            start(1, 1, 100 * kSecond);
            const ClockHandle clock = manual_clock(now_us * 1000);
            const BucketHandle bucket = bucket_of(config_of(1, 1, clock.get()));
            std::vector<tb_reservation> local, theirs;
            const auto both = [&](double n) {
                tb_reservation here{}, there{};
                EXPECT_EQ(tb_reserve(bucket.get(), n, 90 * kSecond, &here), TB_SUCCESS);
                EXPECT_EQ(reserve(n, 90 * kSecond, &there), TB_SUCCESS);
                EXPECT_EQ(here.wait_ns, there.wait_ns) << before;
                local.push_back(here);
                theirs.push_back(there);
            };
            const auto neither = [&](std::size_t i) {
                cancel(theirs[i]);
                EXPECT_EQ(tb_cancel(bucket.get(), &local[i]), TB_SUCCESS);
            };
            both(1);
            // Pairs, of which the first goes and leaves a gap of half a token; or none go. Then a gap for a whole one.
            for (int i = 0; i < 2 * before; ++i) both(i % 2 == 0 && gaps_are_small ? 0.5 : 1);
            for (int i = 0; i < 3; ++i) both(1);
            for (int i = 0; gaps_are_small && i < 2 * before; i += 2) neither(static_cast<std::size_t>(i) + 1);
            neither(2 * static_cast<std::size_t>(before) + 2);
            both(1);
            both(0.5);
            both(0.5);
            call(tb_remote_reset, TB_INITIALLY_FULL);
        }
    }
}

// With a fraction of a unit per microsecond: the wait that is reported is just long enough to be granted.
TEST_F(Queue, TheWaitThatItReportsIsTheLeastThatDoes) {
    Trace dice(20251130);
    const tb_config limits[] = {config_of(10000, 1, nullptr), config_of(1000, 123.4567, nullptr),
                                config_of(5000, 7, nullptr)};
    int fractions = 0;
    for (int i = 0; i < 600; ++i) {
        tb_config config = dice.pick(limits);
        if (config.rate_tokens == 1) config.rate_period_ns = 86400 * kSecond;
        if (config.rate_tokens == 7) config.rate_period_ns = 3601 * kSecond;
        remote = remote_of(config, int64_t{86400} * 1000 * kSecond);
        now_us += dice.between(1, 1000000);
        EXPECT_EQ(call(tb_remote_reset, 0), TB_SUCCESS);
        now_us += dice.below(1000);
        const double n = static_cast<double>(dice.between(1, 2000)) / 1e9;
        tb_reservation r{};
        ASSERT_EQ(reserve(n, TB_FOREVER, &r), TB_SUCCESS);
        const int64_t wait_ns = r.wait_ns;
        if (wait_ns == 0) continue;
        ++fractions;
        EXPECT_EQ(cancel(r), n);
        EXPECT_EQ(reserve(n, wait_ns - 1, &r), TB_TIMED_OUT);
        EXPECT_EQ(answer.retry_after_ns, wait_ns);
        ASSERT_EQ(reserve(n, wait_ns, &r), TB_SUCCESS);
        EXPECT_EQ(r.wait_ns, wait_ns);
    }
    EXPECT_GT(fractions, 100);
}

// The second key is there while something is reserved, and no longer than a full bucket and max_wait take.
TEST_F(Queue, HasAKeyOnlyWhereSomethingIsReserved) {
    is_real = true;
    start(10, 100, kSecond);
    tb_reservation r[2];
    ASSERT_EQ(reserve(10, TB_FOREVER, &r[0]), TB_SUCCESS);
    EXPECT_EQ(call(tb_remote_charge, 1), TB_SUCCESS);
    EXPECT_EQ(call(tb_remote_refund, 1), TB_SUCCESS);
    EXPECT_EQ(pttl(queue_key), -2);
    ASSERT_EQ(reserve(10, TB_FOREVER, &r[1]), TB_SUCCESS);
    EXPECT_GT(r[1].wait_ns, 50 * kMillisecond);
    EXPECT_GT(pttl(queue_key), 1000);
    EXPECT_LE(pttl(queue_key), 1103);
    EXPECT_EQ(cancel(r[1]), 10);
    EXPECT_EQ(pttl(queue_key), -2);
}

// By the server's clock: given back before its time, used after it.
TEST_F(Queue, AReservationIsUsedOnceItsWaitIsOver) {
    is_real = true;
    start(10, 1000, kSecond);
    for (const bool in_time : {true, false}) {
        tb_reservation r[3];
        EXPECT_EQ(call(tb_remote_reset, 0), TB_SUCCESS);
        ASSERT_EQ(reserve(10, TB_FOREVER, &r[0]), TB_SUCCESS);
        ASSERT_EQ(reserve(10, TB_FOREVER, &r[1]), TB_SUCCESS);
        ASSERT_EQ(reserve(10, TB_FOREVER, &r[2]), TB_SUCCESS);
        EXPECT_LE(r[2].wait_ns, 30 * kMillisecond);
        if (!in_time) ::usleep(static_cast<useconds_t>(r[1].wait_ns / 1000));
        EXPECT_EQ(cancel(r[1]), in_time ? 10 : 0);
    }
}

TEST_F(Queue, AReservationTakesFewBytes) {
    is_real = true;
    start(100, 1e-3, 86400 * kSecond);
    EXPECT_EQ(call(tb_remote_take, 100), TB_SUCCESS);
    tb_reservation r{};
    for (int i = 0; i < 64; ++i) ASSERT_EQ(reserve(1, TB_FOREVER, &r), TB_SUCCESS);
    const int64_t bytes = server().client.ask({"MEMORY", "USAGE", queue_key}).number;
    std::cout << "MEMORY USAGE of 64 reservations: " << bytes << "\n";
    EXPECT_LE(bytes, 2048);
    EXPECT_GT(bytes, 0);
}

// The slots as the server itself sees them.
TEST(RemoteKeys, TheSecondKeyIsInTheSlotOfTheFirst) {
    const RedisServer cluster({"--cluster-enabled", "yes"});
    RedisClient client(cluster.path());
    const auto slot = [&](const std::string &key) { return client.ask({"CLUSTER", "KEYSLOT", key}).number; };
    Trace dice(1);
    int written = 0;
    for (int i = 0; i < 3000; ++i) {
        std::string key;
        for (int64_t n = dice.between(0, 8); n > 0; --n) key += "ab{}"[dice.below(4)];
        std::string queue(key.size() + TB_REMOTE_QUEUE_KEY_ADDS, '?');
        size_t size = 0;
        if (tb_remote_queue_key(key.data(), key.size(), queue.data(), &size) != TB_SUCCESS) continue;
        ++written;
        EXPECT_EQ(slot(key), slot(queue.substr(0, size))) << key;
        EXPECT_EQ(queue.substr(0, 2), "q:");  // which no first key has
    }
    EXPECT_GT(written, 1000);
}

}  // namespace
