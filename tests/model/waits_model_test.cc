// Random traces of waiters that are no threads, on a bucket of the library and on tests/model/waits_model.h: after each
// step every answer, the tokens, those who wait and those who were woken are the same. What refunds or
// changes the capacity is left out while somebody is due and has not come: how its tokens count then no rule tells.
#include "tests/model/waits_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <map>
#include <set>
#include <string>

#include "tests/support/api.h"
#include "tests/support/effort.h"
#include "tests/support/trace.h"

namespace {

using namespace waits_model;

constexpr int64_t kToken = 1000000000;  // units

struct Op {
    enum Kind {
        enter,
        check,
        check_woken,  // all of them, from the last to the first if the amount is odd
        leave,
        take,
        take_up_to,
        reserve,
        cancel,
        charge,
        refund,
        set_tokens,
        reset,
        set_rate,
        set_capacity,
        advance,
        to_next  // sets the clock to the next time at which a waiter is due, or beyond it by the amount
    } kind;
    int64_t amount;  // units, units per nanosecond, or nanoseconds
    int64_t limit;   // of the time, in nanoseconds
    int32_t priority;
    unsigned which;  // of those that can be meant
};

const char *const kNames[] = {"enter",    "check",        "check_woken", "leave",  "take",       "take_up_to",
                              "reserve",  "cancel",       "charge",      "refund", "set_tokens", "reset",
                              "set_rate", "set_capacity", "advance",     "to_next"};

struct Case {
    int64_t capacity;
    int64_t rate;
    int64_t level;
    int64_t max_lateness_ns;  // 0: none
    int64_t max_waiters;
    bool closes;
    std::vector<Op> ops;
};

std::string text(const Case &c) {
    std::string s = "capacity " + std::to_string(c.capacity) + ", rate " + std::to_string(c.rate) + ", level " +
                    std::to_string(c.level) + ", lateness " + std::to_string(c.max_lateness_ns) + ", max_waiters " +
                    std::to_string(c.max_waiters) + "\n";
    for (const Op &op : c.ops) {
        s += std::string("    ") + kNames[op.kind] + " " + std::to_string(op.amount);
        if (op.kind == Op::enter || op.kind == Op::reserve)
            s += " within " + (op.limit == kForever ? "any time" : std::to_string(op.limit)) + " priority " +
                 std::to_string(op.priority);
        s += " #" + std::to_string(op.which) + "\n";
    }
    return s;
}

// What was collected, and when.
struct Grant {
    int64_t at_ns;
    int64_t n;
};

class Trial {
  public:
    explicit Trial(const Case &c)
        : case_(c),
          clock_(tb_test::manual_clock()),
          model_({0, c.level * kParts, c.capacity * kParts, c.rate},
                 c.max_lateness_ns == 0 ? kForever : c.max_lateness_ns, c.max_waiters) {
        tb_config config = tb_test::config_of(tokens(c.capacity), static_cast<double>(c.rate), clock_.get());
        config.initial_tokens = tokens(c.level);
        config.max_lateness_ns = c.max_lateness_ns;
        config.max_waiters = c.max_waiters;
        config.flags = TB_STATISTICS;
        config.on_wake = [](void *self, uint64_t tag) { static_cast<Trial *>(self)->wake(static_cast<int>(tag)); };
        config.wake_user = this;
        bucket_ = tb_test::bucket_of(config);
        for (const Op &op : c.ops) {
            if (!fault_.empty()) return;
            step(op);
            compare();
        }
        if (fault_.empty()) finish();
    }

    const std::string &fault() const { return fault_; }
    int64_t late() const { return late_; }

  private:
    struct Host {
        uint64_t number;
        int64_t n;
        int64_t knows_ns;  // when it will come by itself
        bool woken;
        bool was_due;
        int in_vain;  // how often it came when it had been told to, and had to wait on
    };

    static double tokens(int64_t units) { return static_cast<double>(units) / static_cast<double>(kToken); }
    tb_bucket *b() const { return bucket_.get(); }
    int64_t now() const { return model_.now_ns(); }

    void fail(const std::string &what) {
        if (fault_.empty()) fault_ = what + " at " + std::to_string(now()) + " ns";
    }
    void expect(int64_t seen, int64_t right, const char *what) {
        if (seen != right) fail(std::string(what) + " " + std::to_string(seen) + ", right is " + std::to_string(right));
    }
    void wake(int id) {
        const auto found = hosts_.find(id);
        if (found == hosts_.end()) return early_.insert(id), void();
        found->second.woken = true;
    }

    void step(const Op &op) {
        const double n = tokens(op.amount);
        const int64_t units = op.amount * kParts;
        switch (op.kind) {
            case Op::enter:
                return enter(op);
            case Op::check:
                if (const int id = meant(op)) check(id);
                return;
            case Op::check_woken:
                return check_woken(op.amount % 2 != 0);
            case Op::leave:
                if (const int id = meant(op)) leave(id);
                return;
            case Op::take: {
                const tb_status right = model_.take(units);
                expect(tb_allow(b(), n), right, "tb_allow");
                if (right == TB_SUCCESS) granted(op.amount);
                return;
            }
            case Op::take_up_to: {
                double taken = -1;
                const int64_t whole = std::max<int64_t>(0, model_.available() / kParts / kToken);
                const int64_t right = std::min(op.amount / kToken, whole);
                if (op.amount < kToken) return;
                expect(tb_take_up_to(b(), n, &taken), TB_SUCCESS, "tb_take_up_to");
                expect(std::llround(taken), right, "tb_take_up_to takes");
                if (right == 0) return;
                model_.take(right * kToken * kParts);
                return granted(right * kToken);
            }
            case Op::reserve:
                return reserve(op);
            case Op::cancel:
                return cancel(op);
            case Op::charge:
                expect(tb_charge(b(), n, nullptr), TB_SUCCESS, "tb_charge");
                return model_.charge(units);
            case Op::refund:
                if (model_.count(Waiter::due) != 0) return;
                expect(tb_refund(b(), n), TB_SUCCESS, "tb_refund");
                is_steady_ = false;
                return model_.refund(units);
            case Op::set_tokens:
            case Op::reset:
                return set(op);
            case Op::set_rate:
                expect(tb_set_rate(b(), static_cast<double>(op.amount)), TB_SUCCESS, "tb_set_rate");
                is_steady_ = false;
                return model_.set_rate(op.amount);
            case Op::set_capacity:
                if (model_.count(Waiter::due) + model_.count(Waiter::passed_over) != 0) return;
                expect(tb_set_capacity(b(), n), TB_SUCCESS, "tb_set_capacity");
                is_steady_ = false;
                return model_.set_capacity(units);
            case Op::advance:
                return advance(now() + op.amount);
            case Op::to_next:
                if (const Waiter *const first = model_.first())
                    advance(std::max(now(), whole_ns(first->at)) + op.amount);
                return;
        }
    }

    int meant(const Op &op) const {
        if (hosts_.empty()) return 0;
        return std::next(hosts_.begin(), static_cast<std::ptrdiff_t>(op.which % hosts_.size()))->first;
    }

    void enter(const Op &op) {
        const int id = ++ids_;
        int64_t right_ns = 0, wait_ns = -1;
        uint64_t number = 0;
        const tb_status right = model_.enter(id, op.amount * kParts, op.limit, op.priority, &right_ns);
        const tb_status s =
            tb_enqueue(b(), tokens(op.amount), op.limit, op.priority, static_cast<uint64_t>(id), &number, &wait_ns);
        expect(s, right, "tb_enqueue");
        if (right == TB_SUCCESS) granted(op.amount);
        if (right == TB_PENDING || right == TB_TIMED_OUT) expect(wait_ns, right_ns, "tb_enqueue's time");
        if (s == TB_PENDING) hosts_[id] = {number, op.amount, now() + wait_ns, early_.contains(id), false, 0};
    }

    void check(int id) {
        Host &host = hosts_[id];
        int64_t right_ns = 0, wait_ns = -1;
        const tb_status right = model_.check(id, &right_ns);
        if (host.woken || host.knows_ns <= now()) ++host.in_vain;
        host.woken = false;
        const tb_status s = tb_waiter_check(b(), host.number, &wait_ns);
        expect(s, right, "tb_waiter_check");
        if (right == TB_PENDING) {
            // One that came in vain more than once may be told a later time, and is woken when its turn comes.
            const int64_t later_ns = std::min(8 * right_ns, model_.find(id)->deadline_ns - now());
            if (host.in_vain < 2 || wait_ns != later_ns) expect(wait_ns, right_ns, "tb_waiter_check's time");
            host.knows_ns = now() + wait_ns;
            host.was_due = false;
            return;
        }
        if (right == TB_SUCCESS) granted(host.n);
        gone(id);
    }
    void check_woken(bool from_the_last) {
        std::vector<int> woken;
        for (const auto &[id, host] : hosts_)
            if (host.woken || host.knows_ns <= now()) woken.push_back(id);
        if (from_the_last) woken = {woken.rbegin(), woken.rend()};
        for (const int id : woken) {
            check(id);
            compare();
        }
    }
    void leave(int id) {
        model_.leave(id);
        expect(tb_waiter_leave(b(), hosts_[id].number), TB_SUCCESS, "tb_waiter_leave");
        gone(id);
    }
    void gone(int id) {
        int64_t wait_ns = 0;
        const uint64_t number = hosts_[id].number;
        hosts_.erase(id);
        expect(tb_waiter_check(b(), number, &wait_ns), TB_E_INVALID_ARGUMENT, "tb_waiter_check of one that is gone");
    }

    void reserve(const Op &op) {
        if (model_.reservations().size() >= 6) return;
        const int id = ++ids_;
        int64_t right_ns = 0;
        tb_reservation r{};
        const tb_status right = model_.reserve(id, op.amount * kParts, op.limit, &right_ns);
        expect(tb_reserve(b(), tokens(op.amount), op.limit, &r), right, "tb_reserve");
        if (right != TB_SUCCESS) return;
        expect(r.wait_ns, right_ns, "tb_reserve's time");
        is_steady_ = false;
        reservations_[id] = r;
    }
    void cancel(const Op &op) {
        if (reservations_.empty()) return;
        const auto r = std::next(reservations_.begin(), static_cast<std::ptrdiff_t>(op.which % reservations_.size()));
        model_.cancel(r->first);
        expect(tb_cancel(b(), &r->second), TB_SUCCESS, "tb_cancel");
        reservations_.erase(r);
    }

    void set(const Op &op) {
        const bool fits = op.amount * kParts <= model_.capacity();
        const tb_status right = fits ? TB_SUCCESS : TB_EXCEEDS_CAPACITY;
        const double n = tokens(op.amount);
        expect(op.kind == Op::reset ? tb_reset(b(), n) : tb_set_tokens(b(), n), right, "tb_reset or tb_set_tokens");
        is_steady_ = false;
        if (!fits) return;
        if (op.kind == Op::reset) {
            model_.reset(op.amount * kParts);
        } else {
            model_.set_tokens(op.amount * kParts);
        }
    }

    void advance(int64_t to_ns) {
        model_.look(to_ns);
        expect(tb_manual_clock_set(clock_.get(), to_ns), TB_SUCCESS, "the clock");
    }

    void granted(int64_t n) { grants_.push_back({now(), n}); }

    void compare() {
        if (!fault_.empty()) return;
        tb_stats stats{};
        stats.struct_size = sizeof stats;
        // The first looks, and may plan those who are late anew.
        expect(tb_get_stats(b(), &stats), TB_SUCCESS, "tb_get_stats");
        expect(tb_get_stats(b(), &stats), TB_SUCCESS, "tb_get_stats");
        expect(stats.waiting, model_.count(Waiter::waiting) + model_.count(Waiter::passed_over),
               "the number of those who wait");
        const auto units = std::llround(tb_test::available(b()) * static_cast<double>(kToken));
        expect(units, model_.available() / kParts, "the tokens");
        compare_wakes();
    }

    // Whoever has something to learn has been woken: the first that it is earlier than it knows, others when they are
    // due or over.
    void compare_wakes() {
        for (auto &[id, host] : hosts_) {
            const Waiter *const w = model_.find(id);
            const bool over = w->state == Waiter::due || w->state == Waiter::ended;
            if (w->state == Waiter::passed_over) ++late_;
            if (over && !host.woken) fail("not woken, though its wait is over: " + std::to_string(id));
            if (w == model_.first() && whole_ns(w->at) < host.knows_ns && !host.woken)
                fail("not woken, though it is due earlier: " + std::to_string(id));
        }
    }

    // No window holds more than was collected late and the bound, where nothing was given and no limit changed. When
    // all have left nothing is lost.
    void finish() {
        if (is_steady_) check_windows();
        if (case_.closes) return close();
        while (!hosts_.empty() && fault_.empty()) {
            leave(hosts_.begin()->first);
            compare();
        }
        while (!reservations_.empty() && fault_.empty()) {
            cancel({Op::cancel, 0, 0, 0, 0});
            compare();
        }
    }
    void close() {
        model_.close();
        expect(tb_close(b()), TB_SUCCESS, "tb_close");
        while (!hosts_.empty() && fault_.empty()) check(hosts_.begin()->first);
        compare();
    }
    void check_windows() {
        if (case_.max_lateness_ns == 0) return;
        for (std::size_t i = 0; i < grants_.size(); ++i) {
            int64_t sum = 0;
            for (std::size_t j = i; j < grants_.size(); ++j) {
                sum += grants_[j].n;
                const int64_t ns = grants_[j].at_ns - grants_[i].at_ns + case_.max_lateness_ns + 1;
                if (sum > case_.capacity + case_.rate * ns + 1)
                    return fail("window: " + std::to_string(sum) + " collected from " +
                                std::to_string(grants_[i].at_ns) + " to " + std::to_string(grants_[j].at_ns));
            }
        }
    }

    const Case &case_;
    tb_test::ClockHandle clock_;
    Bucket model_;
    tb_test::BucketHandle bucket_;
    std::map<int, Host> hosts_;
    std::set<int> early_;  // woken before tb_enqueue returned
    std::map<int, tb_reservation> reservations_;
    std::vector<Grant> grants_;
    bool is_steady_ = true;
    int ids_ = 0;
    int64_t late_ = 0;
    std::string fault_;
};

// ---- Cases

const std::vector<Op::Kind> kKinds{Op::enter,   Op::enter,       Op::enter,       Op::enter,    Op::enter,
                                   Op::check,   Op::check_woken, Op::check_woken, Op::leave,    Op::leave,
                                   Op::take,    Op::take_up_to,  Op::reserve,     Op::cancel,   Op::charge,
                                   Op::refund,  Op::set_tokens,  Op::reset,       Op::set_rate, Op::set_capacity,
                                   Op::advance, Op::advance,     Op::to_next,     Op::to_next};
// Without what gives tokens or changes the limit.
const std::vector<Op::Kind> kSteady{Op::enter, Op::enter, Op::enter,       Op::check,   Op::check_woken,
                                    Op::leave, Op::take,  Op::check_woken, Op::advance, Op::to_next};

const std::vector<int64_t> kRates{1, 1, 2, 3, 4, 6};
const std::vector<int64_t> kCapacities{kToken, 2 * kToken, 3 * kToken, 10 * kToken};
const std::vector<int64_t> kAmounts{kToken / 10, kToken / 2, kToken, kToken,    2 * kToken,
                                    3 * kToken,  123456789,  1,      7 * kToken};
const std::vector<int64_t> kTimes{0, 1, 100000000, 500000000, 1000000000, 3000000000, 333333333, 50000000000};
const std::vector<int64_t> kLimits{0, kForever, kForever, kForever, 500000000, 2000000000, 5000000000, 1};
const std::vector<int32_t> kPriorities{0, 0, 0, 1, -1, INT32_MAX, INT32_MIN};
const std::vector<int64_t> kLateness{0, 0, 1, 10000000, 1000000000};

Case random_case(tb_test::Trace *dice, std::size_t length) {
    Case c{dice->pick(kCapacities),
           dice->pick(kRates),
           0,
           dice->pick(kLateness),
           dice->one_in(4) ? dice->between(1, 3) : 0,
           dice->one_in(3),
           {}};
    if (dice->one_in(2)) c.level = dice->below(c.capacity + 1);
    const std::vector<Op::Kind> &kinds = dice->one_in(4) ? kSteady : kKinds;
    for (std::size_t i = 0; i < length; ++i) {
        Op op{dice->pick(kinds), dice->pick(kAmounts), dice->pick(kLimits), dice->pick(kPriorities),
              static_cast<unsigned>(dice->below(1000))};
        if (op.kind == Op::set_rate) op.amount = dice->pick(kRates);
        if (op.kind == Op::set_capacity) op.amount = dice->pick(kCapacities);
        if (op.kind == Op::advance) op.amount = dice->pick(kTimes);
        if (op.kind == Op::to_next) op.amount = dice->one_in(2) ? 0 : dice->pick(kTimes);
        c.ops.push_back(op);
    }
    return c;
}

std::string fault_of(const Case &c) {
    return Trial(c).fault();
}

// Without every step that the fault does not need.
Case shrunk(Case c) {
    const auto fault = [&](const auto &ops) {
        Case other = c;
        other.ops = ops;
        return fault_of(other);
    };
    c.ops = tb_test::shrunk(c.ops, fault, 8);
    return c;
}

TEST(WaitsModel, AgreesInRandomTraces) {
    const uint64_t steps = support::effort("TB_WAIT_STEPS", 2000000, 50000);
    const uint64_t seed = support::effort("TB_SEED", 20251129, 20251129);
    tb_test::Trace dice(seed);
    uint64_t done = 0, late = 0;
    for (int i = 0; done < steps; ++i) {
        const Case c = random_case(&dice, static_cast<std::size_t>(dice.between(10, 60)));
        const Trial trial(c);
        if (!trial.fault().empty()) {
            const Case least = shrunk(c);
            FAIL() << fault_of(least) << "\n" << text(least) << "trace " << i << ", seed " << seed;
        }
        done += c.ops.size();
        late += trial.late() != 0 ? 1 : 0;
    }
    std::cout << done << " steps, " << late << " traces in which one was passed over, seed " << seed << "\n";
    EXPECT_GT(late, steps / 2000);
}

}  // namespace
