// A table and a bucket for each of its keys go through the same random traces, on clocks that move alike: every answer
// is the same.
//
// They differ by contract when the capacity changes: a table touches no key. So before that what a key could have by
// another reading is made plain: what exceeds the capacity is dropped, and a full key is forgotten.
#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "tests/support/effort.h"
#include "tests/support/table.h"
#include "tests/support/trace.h"

namespace {

using tb_test::available;
using tb_test::kSecond;

struct Op {
    enum Kind {
        allow,
        take,
        take_up_to,
        many,
        poll,
        enqueue,
        check,
        check_woken,
        leave,
        reserve,
        cancel,
        settle,
        charge,
        refund,
        time_until,
        remove,
        set_rate,
        set_capacity,
        advance,
        to_next,
        close
    } kind;
    int key;
    double amount;
    int64_t time_ns;
    int32_t priority;
    unsigned which;
};

struct Case {
    double capacity, rate;
    int64_t period_ns;
    int64_t max_lateness_ns;
    int64_t max_waiters;
    int64_t max_bytes;
    int32_t when_full;
    int keys;
    std::vector<Op> ops;
};

const char *const kNames[] = {"allow",       "take",   "take_up_to", "many",         "poll",    "enqueue", "check",
                              "check_woken", "leave",  "reserve",    "cancel",       "settle",  "charge",  "refund",
                              "time_until",  "remove", "set_rate",   "set_capacity", "advance", "to_next", "close"};

std::string text(const Case &c) {
    std::string s = "burst " + std::to_string(c.capacity) + " rate " + std::to_string(c.rate) + "/" +
                    std::to_string(c.period_ns) + "ns lateness " + std::to_string(c.max_lateness_ns) + " max_waiters " +
                    std::to_string(c.max_waiters) + " bytes " + std::to_string(c.max_bytes) + "\n";
    for (const Op &op : c.ops)
        s += std::string("  key ") + std::to_string(op.key) + " " + kNames[op.kind] + " n " +
             std::to_string(op.amount) + " time " + std::to_string(op.time_ns) + " priority " +
             std::to_string(op.priority) + " which " + std::to_string(op.which) + "\n";
    return s;
}

// Replays a case on both sides and keeps the first difference.
class Duel {
  public:
    explicit Duel(const Case &c) : case_(c) {
        for (Side *side : {&left_, &right_}) side->clock = tb_test::manual_clock();
        tb_table_config config = tb_test::table_config(c.when_full);
        config.max_bytes = c.max_bytes;
        table_ = tb_test::table_of(limit(&left_), config);
        keys_.resize(static_cast<std::size_t>(c.keys));
        for (std::size_t k = 0; k < keys_.size(); ++k) {
            keys_[k].name = std::string(k, 'k');
            keys_[k].bucket = tb_test::bucket_of(limit(&right_));
        }
        compare_limits();
        for (step_ = 0; step_ < c.ops.size() && fault_.empty(); ++step_) {
            run(c.ops[step_]);
            compare();
        }
    }

    const std::string &fault() const { return fault_; }
    int64_t waited() const { return waited_; }

  private:
    struct Side {
        tb_test::ClockHandle clock;
        std::vector<uint64_t> woken;
    };
    struct Waiting {
        uint64_t number, other;
        int key;
    };
    struct Reserved {
        tb_reservation own, other;
        bool may_be_void;  // its key was full since, and may have lost its place
    };
    struct Key {
        std::string name;
        tb_test::BucketHandle bucket;
        std::vector<Reserved> reservations;
    };

    tb_config limit(Side *side) const {
        tb_config config = tb_test::config_of(case_.capacity, case_.rate, side->clock.get());
        config.rate_period_ns = case_.period_ns;
        config.max_lateness_ns = case_.max_lateness_ns;
        config.max_waiters = case_.max_waiters;
        config.on_wake = [](void *woken, uint64_t tag) { static_cast<std::vector<uint64_t> *>(woken)->push_back(tag); };
        config.wake_user = &side->woken;
        return config;
    }

    void fail(const std::string &what) {
        if (fault_.empty()) fault_ = what + " at step " + std::to_string(step_);
    }
    template <class T>
    void expect(T own, T other, const char *what) {
        if (own != other) fail(std::string(what) + ": " + std::to_string(own) + " and not " + std::to_string(other));
    }
    // f of the table with the key, and of the key's bucket: the status that both answer.
    template <class F, class G, class... Own>
    tb_status both(const char *what, const Key &key, F f, G g, Own... arguments) {
        const tb_status own = tb_test::ask(f, table_, key.name, arguments...);
        const tb_status other = g(key.bucket.get(), arguments...);
        expect(own, other, what);
        return other;
    }
    void run(const Op &op) {
        Key &key = keys_[static_cast<std::size_t>(op.key)];
        switch (op.kind) {
            case Op::allow:
                both("tb_table_allow", key, tb_table_allow, tb_allow, op.amount);
                return;
            case Op::take:
                return take(key, op.amount);
            case Op::take_up_to: {
                double own = -1, other = -1;
                expect(tb_test::ask(tb_table_take_up_to, table_, key.name, op.amount, &own),
                       tb_take_up_to(key.bucket.get(), op.amount, &other), "tb_table_take_up_to");
                return expect(own, other, "tb_table_take_up_to's tokens");
            }
            case Op::many:
                return many(op);
            case Op::poll:
                both("tb_table_wait_for", key, tb_table_wait_for, tb_wait_for, op.amount, int64_t{0});
                return;
            case Op::enqueue:
                return enqueue(op);
            case Op::check:
                if (!waiting_.empty()) check(meant(op));
                return;
            case Op::check_woken:
                return check_woken();
            case Op::leave:
                if (!waiting_.empty()) leave(meant(op));
                return;
            case Op::reserve:
                return reserve(&key, op);
            case Op::cancel:
            case Op::settle:
                if (!key.reservations.empty()) end_reservation(&key, op);
                return;
            case Op::charge: {
                int64_t own = -1, other = -1;
                expect(tb_test::ask(tb_table_charge, table_, key.name, op.amount, &own),
                       tb_charge(key.bucket.get(), op.amount, &other), "tb_table_charge");
                return expect(own, other, "tb_table_charge's time");
            }
            case Op::refund:
                both("tb_table_refund", key, tb_table_refund, tb_refund, op.amount);
                return;
            case Op::time_until: {
                int64_t own = -1, other = -1;
                expect(tb_test::ask(tb_table_time_until, table_, key.name, op.amount, &own),
                       tb_time_until(key.bucket.get(), op.amount, &other), "tb_table_time_until");
                return expect(own, other, "tb_table_time_until's time");
            }
            case Op::remove:
                expect(tb_test::ask(tb_table_remove, table_, key.name), tb_reset(key.bucket.get(), TB_INITIALLY_FULL),
                       "tb_table_remove");
                return;
            case Op::set_rate: {
                const tb_status own = tb_table_set_rate(table_.get(), op.amount);
                for (const Key &k : keys_) expect(own, tb_set_rate(k.bucket.get(), op.amount), "tb_table_set_rate");
                return compare_limits();
            }
            case Op::set_capacity:
                return set_capacity(op.amount);
            case Op::advance:
                return advance(op.time_ns < INT64_MAX - now_ ? now_ + op.time_ns : INT64_MAX);
            case Op::to_next: {
                int64_t next_ns = 0;
                tb_manual_clock_waiters(right_.clock.get(), nullptr, &next_ns);
                return advance(std::max(now_, next_ns == TB_FOREVER ? now_ : next_ns));
            }
            case Op::close:
                is_closed_ = true;
                expect(tb_table_close(table_.get()), TB_SUCCESS + 0, "tb_table_close");
                for (const Key &k : keys_) tb_close(k.bucket.get());
                return;
        }
    }

    void take(const Key &key, double n) {
        tb_decision own{}, other{};
        expect(tb_test::ask(tb_table_take, table_, key.name, n, &own), tb_take(key.bucket.get(), n, &other),
               "tb_table_take");
        expect(own.status, other.status, "its status");
        expect(own.remaining, other.remaining, "remaining");
        expect(own.retry_after_ns, other.retry_after_ns, "retry_after_ns");
        expect(own.reset_after_ns, other.reset_after_ns, "reset_after_ns");
    }

    // So many keys one after the other, each with an amount of its own, or a token each.
    void many(const Op &op) {
        constexpr std::size_t kMost = 80;
        const std::size_t count = op.which % kMost;
        std::string names;
        std::array<std::size_t, kMost> sizes{};
        std::array<double, kMost> amounts{};
        std::array<tb_status, kMost> own{};
        const auto key_of = [&](std::size_t i) -> Key & {
            return keys_[(static_cast<std::size_t>(op.key) + i * (op.which / kMost)) % keys_.size()];
        };
        for (std::size_t i = 0; i < count; ++i) {
            names += key_of(i).name;
            sizes[i] = key_of(i).name.size();
            amounts[i] = op.amount / static_cast<double>(1 + i % 3);
        }
        const bool each = op.which % 2 == 0;
        expect(tb_table_allow_many(table_.get(), names.data(), sizes.data(), each ? amounts.data() : nullptr, count,
                                   own.data()),
               TB_SUCCESS + 0, "tb_table_allow_many");
        for (std::size_t i = 0; i < count; ++i)
            expect(own[i], tb_allow(key_of(i).bucket.get(), each ? amounts[i] : 1), "one of tb_table_allow_many");
    }

    uint64_t meant(const Op &op) const {
        return std::next(waiting_.begin(), static_cast<std::ptrdiff_t>(op.which % waiting_.size()))->first;
    }
    void enqueue(const Op &op) {
        const Key &key = keys_[static_cast<std::size_t>(op.key)];
        const uint64_t tag = ++tags_;
        Waiting w{0, 0, op.key};
        int64_t own = -1, other = -1;
        const tb_status s = tb_enqueue(key.bucket.get(), op.amount, op.time_ns, op.priority, tag, &w.other, &other);
        expect(
            tb_test::ask(tb_table_enqueue, table_, key.name, op.amount, op.time_ns, op.priority, tag, &w.number, &own),
            s, "tb_table_enqueue");
        expect(own, other, "tb_table_enqueue's time");
        if (s == TB_PENDING) waiting_[tag] = w;
        waited_ += s == TB_PENDING;
    }
    void check(uint64_t tag) {
        const Waiting w = waiting_.at(tag);
        const Key &key = keys_[static_cast<std::size_t>(w.key)];
        int64_t own = -1, other = -1;
        const tb_status s = tb_waiter_check(key.bucket.get(), w.other, &other);
        expect(tb_test::ask(tb_table_waiter_check, table_, key.name, w.number, &own), s, "tb_table_waiter_check");
        expect(own, other, "tb_table_waiter_check's time");
        if (s != TB_PENDING) gone(tag);
    }
    void check_woken() {
        std::vector<uint64_t> tags = right_.woken;
        for (const uint64_t tag : tags)
            if (waiting_.contains(tag)) check(tag);
    }
    void leave(uint64_t tag) {
        const Waiting w = waiting_.at(tag);
        const Key &key = keys_[static_cast<std::size_t>(w.key)];
        expect(tb_test::ask(tb_table_waiter_leave, table_, key.name, w.number),
               tb_waiter_leave(key.bucket.get(), w.other), "tb_table_waiter_leave");
        gone(tag);
    }
    void gone(uint64_t tag) {
        const Waiting w = waiting_.at(tag);
        int64_t ns = 0;
        const std::string &name = keys_[static_cast<std::size_t>(w.key)].name;
        expect(tb_test::ask(tb_table_waiter_check, table_, name, w.number, &ns), TB_E_INVALID_ARGUMENT + 0,
               "tb_table_waiter_check of one that is gone");
        expect(tb_test::ask(tb_table_waiter_leave, table_, name, w.number), TB_E_INVALID_ARGUMENT + 0,
               "tb_table_waiter_leave of one that is gone");
        waiting_.erase(tag);
    }

    void reserve(Key *key, const Op &op) {
        Reserved r{};
        const tb_status s = tb_reserve(key->bucket.get(), op.amount, op.time_ns, &r.other);
        expect(tb_test::ask(tb_table_reserve, table_, key->name, op.amount, op.time_ns, &r.own), s, "tb_table_reserve");
        if (s != TB_SUCCESS) return;
        expect(r.own.tokens, r.other.tokens, "tb_table_reserve's tokens");
        expect(r.own.wait_ns, r.other.wait_ns, "tb_table_reserve's time");
        expect(r.own.ready_at_ns, r.other.ready_at_ns, "tb_table_reserve's ready_at_ns");
        if (key->reservations.size() < 8) key->reservations.push_back(r);
    }
    // One of three is ended by a copy, and stays.
    void end_reservation(Key *key, const Op &op) {
        const auto found = key->reservations.begin() + static_cast<std::ptrdiff_t>(op.which % key->reservations.size());
        Reserved r = *found;
        if (op.kind == Op::cancel || r.may_be_void) {
            expect(tb_test::ask(tb_table_cancel, table_, key->name, &r.own), tb_cancel(key->bucket.get(), &r.other),
                   "tb_table_cancel");
        } else {
            expect(tb_test::ask(tb_table_settle, table_, key->name, &r.own, op.amount),
                   tb_settle(key->bucket.get(), &r.other, op.amount), "tb_table_settle");
        }
        expect(r.own.tokens, r.other.tokens, "the reservation's tokens");
        if (op.kind == Op::settle || op.which % 3 != 0) key->reservations.erase(found);
    }

    bool is_waited_for(const Key &key) const {
        return std::any_of(waiting_.begin(), waiting_.end(),
                           [&](const auto &w) { return &keys_[static_cast<std::size_t>(w.second.key)] == &key; });
    }
    void set_capacity(double capacity) {
        if (is_closed_)
            return expect(tb_table_set_capacity(table_.get(), capacity), TB_CLOSED + 0, "after tb_table_close");
        constexpr double kLeast = 1e-6;
        std::vector<const Key *> full;
        for (const Key &key : keys_) {
            if (available(key.bucket) >= capacity_ && !is_waited_for(key)) full.push_back(&key);
            both("tb_table_charge", key, tb_table_charge, tb_charge, kLeast, static_cast<int64_t *>(nullptr));
            both("tb_table_refund", key, tb_table_refund, tb_refund, kLeast);
        }
        for (const Key *key : full) tb_test::ask(tb_table_remove, table_, key->name);
        const tb_status s = tb_table_set_capacity(table_.get(), capacity);
        for (const Key &key : keys_) expect(s, tb_set_capacity(key.bucket.get(), capacity), "tb_table_set_capacity");
        if (s != TB_SUCCESS) return;
        capacity_ = capacity;
        for (const Key *key : full) tb_refund(key->bucket.get(), capacity);
        compare_limits();
        for (const Key &key : keys_) {
            both("tb_table_charge", key, tb_table_charge, tb_charge, kLeast, static_cast<int64_t *>(nullptr));
            both("tb_table_refund", key, tb_table_refund, tb_refund, kLeast);
        }
    }

    static double available(const tb_test::BucketHandle &bucket) { return tb_test::available(bucket.get()); }

    void advance(int64_t to_ns) {
        now_ = to_ns;
        left_.woken.clear();
        right_.woken.clear();
        for (const Side *side : {&left_, &right_}) tb_manual_clock_set(side->clock.get(), to_ns);
    }

    // A call for one key may look at the queue of another, and who is late depends on the looks: so all are looked at.
    void look(const Key &key) {
        tb_reservation own{1, 0, 0, 0}, other = own;
        both(
            "tb_table_cancel", key, [&](auto... a) { return tb_table_cancel(a..., &own); },
            [&](tb_bucket *b) { return tb_cancel(b, &other); });
    }

    void compare_limits() {
        tb_config own = tb_test::config_of(1, 1, nullptr), other = own;
        expect(tb_table_get_limit(table_.get(), &own), tb_get_limit(keys_[0].bucket.get(), &other),
               "tb_table_get_limit");
        expect(own.capacity, other.capacity, "capacity");
        expect(own.rate_tokens, other.rate_tokens, "rate_tokens");
        expect(own.rate_period_ns, other.rate_period_ns, "rate_period_ns");
        expect(own.unit, other.unit, "unit");
        expect(own.max_waiters, other.max_waiters, "max_waiters");
    }

    void compare() {
        if (!fault_.empty()) return;
        int64_t occupied = 0;
        for (Key &key : keys_) {
            look(key);
            const double held = available(key.bucket);
            expect(tb_test::available(table_, key.name), held, "tb_table_available");
            occupied += held < capacity_;
            for (Reserved &r : key.reservations) r.may_be_void = r.may_be_void || held >= capacity_;
        }
        const tb_table_stats stats = tb_test::stats_of(table_);
        expect(stats.evicted, int64_t{0}, "evicted");
        expect(stats.tokens_forgiven, 0.0, "tokens_forgiven");
        expect(stats.occupied, occupied, "occupied");
        int64_t own = -1, other = -1, own_ns = -1, other_ns = -1;
        tb_manual_clock_waiters(left_.clock.get(), &own, &own_ns);
        tb_manual_clock_waiters(right_.clock.get(), &other, &other_ns);
        expect(own, other, "the waiters on the clock");
        expect(own_ns, other_ns, "the next waiter's time");
        std::sort(left_.woken.begin(), left_.woken.end());
        std::sort(right_.woken.begin(), right_.woken.end());
        if (left_.woken != right_.woken) fail("on_wake was called for other waiters");
    }

    const Case &case_;
    Side left_, right_;  // of the table; of the buckets
    tb_test::TableHandle table_;
    std::vector<Key> keys_;
    std::map<uint64_t, Waiting> waiting_;
    double capacity_ = case_.capacity;
    int64_t now_ = 0;
    bool is_closed_ = false;
    uint64_t tags_ = 0;
    int64_t waited_ = 0;
    std::size_t step_ = 0;
    std::string fault_;
};

// ---- Cases

const std::vector<Op::Kind> kKinds{
    Op::allow,       Op::allow,      Op::take,    Op::take,     Op::take_up_to,   Op::many,    Op::many,
    Op::poll,        Op::enqueue,    Op::enqueue, Op::enqueue,  Op::enqueue,      Op::check,   Op::check_woken,
    Op::check_woken, Op::leave,      Op::reserve, Op::reserve,  Op::cancel,       Op::settle,  Op::charge,
    Op::refund,      Op::time_until, Op::remove,  Op::set_rate, Op::set_capacity, Op::advance, Op::advance,
    Op::advance,     Op::to_next,    Op::to_next};
const std::vector<double> kRates{1, 1, 2, 3, 10, 64, 0.5, 1.0 / 3};
// Whole numbers of all units that these bring, so that the bucket remains exact.
const std::vector<double> kLaterRates{1, 1, 2, 3, 10, 64, 640};
const std::vector<double> kCapacities{1, 2, 3, 10, 0.5, 100};
const std::vector<double> kAmounts{0.1, 0.5, 1, 1, 1, 2, 3, 7, 0.123456789, 1e-9, 20};
const std::vector<int64_t> kTimes{0,       1,           100000000,    333333333,       500000000,
                                  kSecond, 3 * kSecond, 50 * kSecond, 86400 * kSecond, int64_t{1} << 55};
const std::vector<int64_t> kLimits{0, 1, TB_FOREVER, TB_FOREVER, TB_FOREVER, 500000000, 2 * kSecond, 5 * kSecond};
const std::vector<int32_t> kPriorities{0, 0, 0, 1, -1, INT32_MAX};
const std::vector<int64_t> kLateness{0, 0, 1, 10000000, kSecond};

Case random_case(tb_test::Trace *dice, std::size_t length) {
    const bool tight = dice->one_in(2);
    const bool far = dice->one_in(4);  // debts of up to 2^58 units; no change of the limit, for a bucket refuses some
    Case c{dice->pick(kCapacities),
           dice->pick(kRates),
           kSecond,
           dice->pick(kLateness),
           dice->one_in(4) ? dice->between(1, 3) : 0,
           tight ? 64 : 64 * 64,
           static_cast<int32_t>(dice->below(3)),
           static_cast<int>(tight ? dice->between(1, 4) : dice->between(1, 9)),
           {}};
    for (std::size_t i = 0; i < length; ++i) {
        Op op{dice->pick(kKinds),      static_cast<int>(dice->below(c.keys)),
              dice->pick(kAmounts),    dice->pick(kLimits),
              dice->pick(kPriorities), static_cast<unsigned>(dice->below(1000000))};
        if (far && (op.kind == Op::set_rate || op.kind == Op::set_capacity)) op.kind = Op::charge;
        if (op.kind == Op::set_rate) op.amount = dice->pick(kLaterRates);
        if (op.kind == Op::set_capacity) op.amount = dice->pick(kCapacities);
        if (op.kind == Op::advance) op.time_ns = dice->pick(kTimes);
        if (op.kind == Op::charge && dice->one_in(20)) op.amount = far ? 2.5e8 : 2e4;
        if (op.kind == Op::settle && dice->one_in(3)) op.amount = 0;
        if (dice->one_in(400)) op.kind = Op::close;
        c.ops.push_back(op);
    }
    return c;
}

std::string fault_of(const Case &c) {
    return Duel(c).fault();
}

// Without every step that the fault does not need.
Case shrunk(Case c) {
    const auto fault = [&](const auto &ops) {
        Case other = c;
        other.ops = ops;
        return fault_of(other);
    };
    c.ops = tb_test::shrunk(c.ops, fault, 16);
    return c;
}

TEST(TableModel, AnswersAsABucketForEachKeyInRandomTraces) {
    const uint64_t steps = support::effort("TB_TABLE_MODEL_STEPS", 1000000, 20000);
    const uint64_t seed = support::effort("TB_SEED", 20251129, 20251129);
    tb_test::Trace dice(seed);
    uint64_t done = 0, waited = 0;
    for (int i = 0; done < steps; ++i) {
        const Case c = random_case(&dice, static_cast<std::size_t>(dice.between(10, 100)));
        const Duel duel(c);
        if (!duel.fault().empty()) {
            const Case least = fault_of(c).empty() ? c : shrunk(c);  // the secret may have to do with it
            FAIL() << duel.fault() << "; " << fault_of(least) << "\n"
                   << text(least) << "trace " << i << ", seed " << seed;
        }
        done += c.ops.size();
        waited += static_cast<uint64_t>(duel.waited());
    }
    std::cout << done << " steps, " << waited << " waits, seed " << seed << "\n";
    EXPECT_GT(waited, steps / 100);
}

}  // namespace
