// The promises of the header, checked on traces of calls. The judge shares no rule with the library's queue: it is a
// plain bucket that takes every grant at the time for which it was promised, and none that was cancelled.
//
// A trace is a list of Ops. A Trial executes it on a bucket of the library and on the plain bucket, and stops at the
// first broken promise. The first word of a fault names the promise:
//
//   window  1  no window holds more than the capacity, the gain and the gifts in it
//   more    1  nothing is granted, promised or shown that the plain bucket does not have then
//   lost    2  the library shows and grants no less than the plain bucket has left after the last promise
//   order   3  waits end in the order in which they began, no later than told, and no take overtakes them
//   same    4  setting the limit in force again, or closing, changes no tokens and no time
//   time    5  a reported wait is exact: the tokens are there then, and not a nanosecond earlier
//
// Tokens are counted in grains of 10^-10 token: k / 10 tokens per second are k grains per nanosecond, and every number
// is whole.
#ifndef TOKENBUCKET_TESTS_MODEL_PROMISES_H
#define TOKENBUCKET_TESTS_MODEL_PROMISES_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/waiter.h"

namespace promises {

inline constexpr int64_t kToken = 10000000000;  // grains
inline constexpr int64_t kRate = 10;            // grains per nanosecond that are a token per second

inline double tokens(int64_t grains) {
    return static_cast<double>(grains) / static_cast<double>(kToken);
}
inline double per_second(int64_t rate) {
    return static_cast<double>(rate) / static_cast<double>(kRate);
}
inline std::string number(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.12g", x);
    return text;
}

// ---- Traces

struct Op {
    enum Kind {
        allow,
        take_up_to,
        take_when_told,  // a take; if denied, repeated one nanosecond before retry_after_ns has passed, and when it has
        reserve,
        reserve_within,  // within a second
        cancel,
        cancel_copy,
        settle,
        settle_copy,
        advance,
        advance_to,      // to the reservation's time
        advance_before,  // to one nanosecond before it
        charge,
        refund,
        reset,
        set_rate,
        set_capacity,
        wait,
        interrupt
    } kind;
    int64_t amount;  // grains, grains per nanosecond, or nanoseconds
    int label;       // of the reservation or wait that is made or used
};

inline std::string text(const Op &op) {
    const std::string r = "r" + std::to_string(op.label);
    const std::string n = number(tokens(op.amount));
    switch (op.kind) {
        case Op::allow:
            return "tb_allow(b, " + n + ")";
        case Op::take_up_to:
            return "tb_take_up_to(b, " + n + ", &taken)";
        case Op::take_when_told:
            return "tb_take(b, " + n + ", &d), again after d.retry_after_ns";
        case Op::reserve:
            return "tb_reserve(b, " + n + ", TB_FOREVER, &" + r + ")";
        case Op::reserve_within:
            return "tb_reserve(b, " + n + ", 1000000000, &" + r + ")";
        case Op::cancel:
            return "tb_cancel(b, &" + r + ")";
        case Op::cancel_copy:
            return "tb_cancel(b, &copy_of_" + r + ")";
        case Op::settle:
            return "tb_settle(b, &" + r + ", " + n + ")";
        case Op::settle_copy:
            return "tb_settle(b, &copy_of_" + r + ", 0)";
        case Op::advance:
            return "tb_manual_clock_advance(c, " + std::to_string(op.amount) + ")";
        case Op::advance_to:
            return "tb_manual_clock_set(c, " + r + ".ready_at_ns)";
        case Op::advance_before:
            return "tb_manual_clock_set(c, " + r + ".ready_at_ns - 1)";
        case Op::charge:
            return "tb_charge(b, " + n + ", NULL)";
        case Op::refund:
            return "tb_refund(b, " + n + ")";
        case Op::reset:
            return "tb_reset(b, " + n + ")";
        case Op::set_rate:
            return "tb_set_rate(b, " + number(per_second(op.amount)) + ")";
        case Op::set_capacity:
            return "tb_set_capacity(b, " + n + ")";
        case Op::wait:
            return "w" + std::to_string(op.label) + ": tb_wait(b, " + n + ")";
        case Op::interrupt:
            return "w" + std::to_string(op.label) + ": a signal";
    }
    return "?";
}

struct Start {
    int64_t capacity;
    int64_t rate;
    int64_t level;
};

struct Trace {
    Start start;
    std::vector<Op> ops;
};

inline std::string text(const Trace &trace) {
    std::string s = "capacity " + number(tokens(trace.start.capacity)) + ", " + number(per_second(trace.start.rate)) +
                    " per second, initially " + number(tokens(trace.start.level)) + "\n";
    for (const Op &op : trace.ops) s += "    " + text(op) + ";\n";
    return s;
}

// ---- The judge

// A bucket and the promises that are ahead, each of which takes its cost at its time.
class PlainBucket {
  public:
    struct Promise {
        int label;
        int64_t at;
        int64_t cost;
        int64_t granted;   // the part of the cost that was promised; the rest was charged
        std::size_t made;  // number of the event at which it was promised
    };

    PlainBucket(const Start &start, int64_t now)
        : now_(now), capacity_(start.capacity), rate_(start.rate), level_(start.level) {}

    int64_t now() const { return now_; }
    int64_t capacity() const { return capacity_; }
    int64_t rate() const { return rate_; }
    int64_t level() const { return level_; }
    const std::vector<Promise> &ahead() const { return ahead_; }

    void advance(int64_t now) {
        level_ = grown(level_, now - now_);
        now_ = now;
    }
    // Advances to the first promise that is due by `now` and takes it out. False: there is none.
    bool next_due(int64_t now, Promise *due) {
        if (ahead_.empty() || ahead_.front().at > now) return false;
        *due = ahead_.front();
        ahead_.erase(ahead_.begin());
        advance(due->at);
        level_ -= due->cost;
        return true;
    }
    void promise(const Promise &p) {
        ahead_.insert(std::find_if(ahead_.begin(), ahead_.end(), [&](const Promise &q) { return q.at > p.at; }), p);
    }
    Promise *find(int label) {
        for (Promise &p : ahead_)
            if (p.label == label) return &p;
        return nullptr;
    }
    void remove(int label) {
        std::erase_if(ahead_, [=](const Promise &p) { return p.label == label; });
    }
    void spend(int64_t n) { level_ -= n; }
    // Returns as much of n as there was room for.
    int64_t put(int64_t n) {
        const int64_t before = level_;
        level_ = std::min(capacity_, level_ + n);
        return level_ - before;
    }
    void reset(int64_t level) {
        ahead_.clear();
        level_ = level;
    }
    void set_rate(int64_t rate) { rate_ = rate; }
    void set_capacity(int64_t capacity) {
        capacity_ = capacity;
        level_ = std::min(level_, capacity);
    }

    // The level after the last promise, less the gain until then.
    int64_t available() const {
        int64_t level = level_, at = now_;
        for (const Promise &p : ahead_) {
            level = grown(level, p.at - at) - p.cost;
            at = p.at;
        }
        return level - rate_ * (at - now_);
    }
    // Is the bucket full at some time before the last promise?
    bool runs_over() const {
        int64_t level = level_, at = now_;
        for (const Promise &p : ahead_) {
            if (level + rate_ * (p.at - at) > capacity_) return true;
            level = grown(level, p.at - at) - p.cost;
            at = p.at;
        }
        return false;
    }
    // Could n be taken at `then`, so that it and every later promise leave at least `spare`?
    bool has(int64_t n, int64_t then, int64_t spare) const {
        int64_t level = level_, at = now_;
        bool taken = false;
        const auto take = [&](int64_t time, int64_t cost) {
            level = grown(level, time - at) - cost;
            at = time;
            return !taken || level >= spare;
        };
        for (const Promise &p : ahead_) {
            if (!taken && p.at > then) {
                taken = true;
                if (!take(then, n)) return false;
            }
            if (!take(p.at, p.cost)) return false;
        }
        if (taken) return true;
        taken = true;
        return take(then, n);
    }

  private:
    int64_t grown(int64_t level, int64_t ns) const { return std::min(capacity_, level + rate_ * ns); }

    int64_t now_;
    int64_t capacity_;
    int64_t rate_;
    int64_t level_;
    std::vector<Promise> ahead_;  // by time
};

// ---- Promise 1: what any window holds

struct Event {
    int64_t at;
    int64_t granted;   // tokens that may be used
    int64_t given;     // put in by a refund, a reset, or tb_settle of a due reservation
    std::size_t made;  // the event at which the grant was promised
    int64_t capacity;  // in force from here on
    int64_t rate;
};

// Every window from one grant to another, in order of events, holds at most the capacity, the gain, and what was given
// meanwhile. Since promises are kept when the limit is lowered, the limit of a window is the largest since the oldest
// promise in it was made. Charges are no grants.
inline std::string check_windows(const std::vector<Event> &events, int64_t slack) {
    for (std::size_t first = 1; first < events.size(); ++first) {
        if (events[first].granted == 0) continue;
        int64_t granted = 0;
        std::size_t oldest = first;
        for (std::size_t last = first; last < events.size(); ++last) {
            granted += events[last].granted;
            if (events[last].granted == 0) continue;
            oldest = std::min(oldest, events[last].made);
            int64_t capacity = events[oldest - 1].capacity, rate = events[oldest - 1].rate, gained = 0, given = 0;
            for (std::size_t i = oldest; i <= last; ++i) {
                if (i > first) gained += rate * (events[i].at - events[i - 1].at);
                if (i > first) given += events[i].given;
                capacity = std::max(capacity, events[i].capacity);
                rate = std::max(rate, events[i].rate);
            }
            if (granted > capacity + gained + given + slack)
                return "window: " + number(tokens(granted)) + " granted from " + std::to_string(events[first].at) +
                       " to " + std::to_string(events[last].at) + " ns, right are at most " +
                       number(tokens(capacity + gained + given));
        }
    }
    return "";
}

// ---- Trials

struct Options {
    bool notices;  // the library looks at its queue after each take
    bool touches;  // after each step the limit in force is set again
};

class Trial {
  public:
    static constexpr int64_t kBegin = 1000000000;

    Trial(const Start &start, Options options)
        : options_(options), clock_(tb_test::manual_clock(kBegin)), plain_(start, kBegin) {
        tb_config config = tb_test::config_of(tokens(start.capacity), per_second(start.rate), clock_.get());
        config.initial_tokens = tokens(start.level);
        config.flags = TB_STATISTICS;
        bucket_ = tb_test::bucket_of(config);
        tb_config_init(&config, sizeof config);
        tb_get_limit(bucket_.get(), &config);
        unit_ = static_cast<int64_t>(std::ceil(config.unit * static_cast<double>(kToken)));
        record(0, 0);
    }

    // True: no promise is broken so far.
    bool apply(const Op &op) {
        act(op);
        compare();
        return fault_.empty();
    }
    // Lets everything that is promised come due.
    bool finish() {
        while (fault_.empty() && !queue_.empty()) advance(tb_test::next_due(clock_.get()));
        if (fault_.empty() && !plain_.ahead().empty()) advance(plain_.ahead().back().at);
        compare();
        if (fault_.empty()) fault_ = check_windows(events_, slack_);
        if (!fault_.empty()) return false;
        const int64_t before = available();
        expect(tb_close(bucket_.get()) == TB_SUCCESS && available() == before,
               "same limit: a close changed the tokens");
        return fault_.empty();
    }
    const std::string &fault() const { return fault_; }
    // The queue may have seen a take too late, after the bucket was full before a promise. Then the take counts as
    // later than it was, and tokens may be lost: promises 2 and 5 are not checked any more.
    bool noticed_late() const { return late_; }
    // A promise was given back, and promise 2 was checked to the end.
    bool compared_after_leaving() const { return left_ && !late_; }

  private:
    struct Made {
        tb_reservation reservation;
        tb_reservation copy;
        bool is_void;
    };
    struct Queued {
        int label;
        int64_t n;
        int64_t latest;  // upper bound of its due time
        std::unique_ptr<tb_test::Waiter> thread;
    };

    void fail(const std::string &what) {
        if (fault_.empty()) fault_ = what;
    }
    void expect(bool kept, const char *what) {
        if (!kept) fail(what);
    }
    int64_t available() const { return std::llround(tb_test::available(bucket_.get()) * static_cast<double>(kToken)); }
    void record(int64_t granted, int64_t given) {
        events_.push_back({plain_.now(), granted, given, events_.size(), plain_.capacity(), plain_.rate()});
    }

    void act(const Op &op) {
        tb_bucket *const b = bucket_.get();
        const double n = tokens(op.amount);
        switch (op.kind) {
            case Op::allow:
                return taken(tb_allow(b, n), op.amount);
            case Op::take_up_to:
                return take_up_to(op.amount);
            case Op::take_when_told:
                return take_when_told(op.amount);
            case Op::reserve:
                return reserve(op, TB_FOREVER);
            case Op::reserve_within:
                return reserve(op, tb_test::kSecond);
            case Op::cancel:
            case Op::cancel_copy:
            case Op::settle:
            case Op::settle_copy:
            case Op::advance_to:
            case Op::advance_before:
                return with(op);
            case Op::advance:
                return advance(plain_.now() + op.amount);
            case Op::charge:
                expect(tb_charge(b, n, nullptr) == TB_SUCCESS, "status: tb_charge");
                return charged(op.amount);
            case Op::refund:
                expect(tb_refund(b, n) == TB_SUCCESS, "status: tb_refund");
                record(0, plain_.put(op.amount));
                return end_due_waits();
            case Op::reset:
                return reset(op.amount);
            case Op::set_rate:
                expect(tb_set_rate(b, per_second(op.amount)) == TB_SUCCESS, "status: tb_set_rate");
                if (op.amount < plain_.rate()) excuse_delays();
                plain_.set_rate(op.amount);
                return changed();
            case Op::set_capacity:
                expect(tb_set_capacity(b, n) == TB_SUCCESS, "status: tb_set_capacity");
                if (op.amount < plain_.capacity()) excuse_delays();
                plain_.set_capacity(op.amount);
                leave(TB_EXCEEDS_CAPACITY, [&](const Queued &q) { return q.n > op.amount; });
                return changed();
            case Op::wait:
                return wait(op);
            case Op::interrupt:
                return interrupt(op.label);
        }
    }

    void changed() {
        slack_ += unit_;
        record(0, 0);
        end_due_waits();
    }

    void charged(int64_t n) {
        excuse_delays();
        plain_.spend(n);
    }

    void taken(tb_status status, int64_t n) {
        const bool fits = n <= plain_.capacity();
        const int64_t there = plain_.available();
        if (status == TB_SUCCESS) {
            expect(queue_.empty(), "order: a take overtook those who wait");
            expect(fits && plain_.has(n, plain_.now(), -slack_), "more: a take was granted what is not there");
            spend_now(n);
        } else if (fits) {
            expect(status == TB_DENIED, "status: a take");
            expect(late_ || !queue_.empty() || there - slack_ < n, "lost: a take was denied what is there");
        } else {
            expect(status == TB_EXCEEDS_CAPACITY, "status: a take above the capacity");
        }
    }

    void spend_now(int64_t n) {
        late_ = late_ || (!options_.notices && plain_.runs_over());
        plain_.spend(n);
        record(n, 0);
        if (!options_.notices) return;
        tb_stats stats{};
        stats.struct_size = sizeof stats;
        expect(tb_get_stats(bucket_.get(), &stats) == TB_SUCCESS, "status: tb_get_stats");
    }

    void take_up_to(int64_t most) {
        double n = -1;
        const int64_t there = std::max<int64_t>(0, plain_.available());
        expect(tb_take_up_to(bucket_.get(), tokens(most), &n) == TB_SUCCESS, "status: tb_take_up_to");
        const int64_t got = std::llround(n) * kToken;
        expect(got == 0 || (got <= most && plain_.has(got, plain_.now(), -slack_)),
               "more: tb_take_up_to took what is not there");
        if (!queue_.empty()) return expect(got == 0, "order: tb_take_up_to overtook those who wait");
        expect(late_ || got + kToken > std::min(most, there - slack_), "lost: tb_take_up_to left what is there");
        if (got > 0) spend_now(got);
    }

    void take_when_told(int64_t n) {
        tb_decision d{};
        const int64_t before = available();
        const tb_status status = tb_take(bucket_.get(), tokens(n), &d);
        const int64_t after = available();
        taken(status, n);
        check_time("tb_decision.reset_after_ns", after, plain_.capacity(), d.reset_after_ns);
        if (status == TB_SUCCESS) expect(d.retry_after_ns == 0, "time: granted, and told to come again");
        if (status != TB_DENIED || !fault_.empty()) return;
        int64_t until = -1;
        expect(tb_time_until(bucket_.get(), tokens(n), &until) == TB_SUCCESS, "status: tb_time_until");
        expect(until == d.retry_after_ns, "time: tb_time_until differs from retry_after_ns");
        check_time("tb_decision.retry_after_ns", before, n, d.retry_after_ns);
        const int64_t told = plain_.now() + d.retry_after_ns;
        advance(told - 1);
        const tb_status early = tb_allow(bucket_.get(), tokens(n));
        expect(early == TB_DENIED || late_, "time: granted before the time told");
        if (early == TB_SUCCESS) return taken(early, n);
        advance(told);
        const tb_status then = tb_allow(bucket_.get(), tokens(n));
        expect(then == TB_SUCCESS, "time: denied at the time told");
        taken(then, n);
    }

    // `there` grows to n in exactly `ns` nanoseconds.
    void check_time(const char *what, int64_t there, int64_t n, int64_t ns) {
        const int64_t lacks = n - there;
        const bool exact =
            plain_.rate() * ns >= lacks - slack_ && (ns == 0 || plain_.rate() * (ns - 1) < lacks + slack_);
        if (!exact) fail(std::string("time: ") + what);
    }

    void reserve(const Op &op, int64_t max_wait_ns) {
        Made made{};
        const tb_status status = tb_reserve(bucket_.get(), tokens(op.amount), max_wait_ns, &made.reservation);
        if (op.amount > plain_.capacity()) return expect(status == TB_EXCEEDS_CAPACITY, "status: tb_reserve too much");
        const int64_t now = plain_.now();
        if (status == TB_TIMED_OUT) {
            expect(max_wait_ns != TB_FOREVER, "status: tb_reserve");
            return expect(!earlier_than(op.amount, now + max_wait_ns + 1), "time: refused what is in time");
        }
        if (status != TB_SUCCESS) return fail("status: tb_reserve");
        const int64_t at = made.reservation.ready_at_ns;
        expect(at >= now && at - now == made.reservation.wait_ns && at - now <= max_wait_ns, "time: a reservation");
        if (at != now) round(op.amount, at);
        expect(plain_.has(op.amount, at, -slack_), "more: a reservation was promised what is not there then");
        expect(!earlier_than(op.amount, at), "time: a reservation could be had earlier");
        expect(queue_.empty() || at >= tb_test::next_due(clock_.get()), "order: a reservation overtook those who wait");
        for (Queued &q : queue_) q.latest = std::min(q.latest, at);
        if (!fault_.empty()) return;
        made.copy = made.reservation;
        made_[op.label] = made;
        if (at == now) return spend_now(op.amount);
        plain_.promise({op.label, at, op.amount, op.amount, events_.size()});
    }

    // The library counts a promise between two nanoseconds at its exact time, the plain bucket at the next whole one.
    void round(int64_t n, int64_t at) {
        if (plain_.has(n, at - 1, 1 - plain_.rate())) slack_ += plain_.rate();
    }

    // Could n be taken before `then`? Tries the present, the last nanosecond, the times of promises, and some between.
    // False while there are waits, of which only the first shows its time.
    bool earlier_than(int64_t n, int64_t then) const { return queue_.empty() && could_be_earlier(n, then); }
    bool could_be_earlier(int64_t n, int64_t then) const {
        if (late_) return false;
        std::vector<int64_t> instants{plain_.now(), then - 1};
        for (const PlainBucket::Promise &p : plain_.ahead()) instants.insert(instants.end(), {p.at - 1, p.at});
        for (int64_t i = 1; i < 8; ++i) instants.push_back(plain_.now() + (then - plain_.now()) / 8 * i);
        return std::any_of(instants.begin(), instants.end(), [&](int64_t instant) {
            return instant >= plain_.now() && instant < then && plain_.has(n, instant, slack_);
        });
    }

    // Operations on a reservation; does nothing if the trace has not made it.
    void with(const Op &op) {
        const auto found = made_.find(op.label);
        if (found == made_.end()) return;
        Made &made = found->second;
        tb_reservation *const r = &made.reservation;
        switch (op.kind) {
            case Op::cancel:
                if (r->tokens != 0 && plain_.find(op.label) != nullptr) {
                    plain_.remove(op.label);
                    left_ = true;
                }
                expect(tb_cancel(bucket_.get(), r) == TB_SUCCESS && r->tokens == 0, "status: tb_cancel");
                return end_due_waits();
            case Op::cancel_copy: {
                if (r->tokens != 0) return;
                tb_reservation copy = made.copy;
                expect(tb_cancel(bucket_.get(), &copy) == TB_SUCCESS, "status: tb_cancel of a copy");
                return;
            }
            case Op::settle:
                return settle(op, &made);
            case Op::settle_copy: {
                // Once its time is past, nothing tells a copy from the reservation.
                if (r->tokens != 0 || plain_.now() >= made.copy.ready_at_ns) return;
                tb_reservation copy = made.copy;
                tb_settle(bucket_.get(), &copy, 0);
                return;
            }
            case Op::advance_to:
                return advance(std::max(plain_.now(), made.copy.ready_at_ns));
            default:
                return advance(std::max(plain_.now(), made.copy.ready_at_ns - 1));
        }
    }

    void settle(const Op &op, Made *made) {
        const bool over = made->reservation.tokens == 0;
        const int64_t cost = std::llround(made->copy.tokens * static_cast<double>(kToken));
        PlainBucket::Promise *const pending = over ? nullptr : plain_.find(op.label);
        const tb_status status = tb_settle(bucket_.get(), &made->reservation, tokens(op.amount));
        if (over) return expect(status == TB_E_INVALID_ARGUMENT, "status: tb_settle of what is over");
        expect(status == TB_SUCCESS && made->reservation.tokens == 0, "status: tb_settle");
        if (pending != nullptr) {
            left_ = left_ || op.amount < cost;
            if (op.amount > cost) excuse_delays();
            pending->cost = op.amount;
            pending->granted = std::min(pending->granted, op.amount);
            if (op.amount == 0) plain_.remove(op.label);
        } else if (made->is_void) {
            return;
        } else if (op.amount > cost) {
            charged(op.amount - cost);
        } else {
            record(0, plain_.put(cost - op.amount));
        }
        end_due_waits();
    }

    // Stops at each time at which a wait is due.
    void advance(int64_t to) {
        for (check_queue(); fault_.empty() && !queue_.empty() && queue_.front().latest < to; check_queue())
            stop_at(queue_.front().latest);
        stop_at(to);
    }

    void stop_at(int64_t to) {
        expect(tb_manual_clock_set(clock_.get(), to) == TB_SUCCESS, "status: the clock");
        PlainBucket::Promise due{};
        while (plain_.next_due(to, &due))
            events_.push_back({plain_.now(), due.granted, 0, due.made, plain_.capacity(), plain_.rate()});
        plain_.advance(to);
        end_due_waits();
    }

    void reset(int64_t level) {
        const tb_status status = tb_reset(bucket_.get(), tokens(level));
        if (level > plain_.capacity()) return expect(status == TB_EXCEEDS_CAPACITY, "status: tb_reset too much");
        expect(status == TB_SUCCESS, "status: tb_reset");
        const int64_t given = std::max<int64_t>(0, level - plain_.level());
        plain_.reset(level);
        for (auto &[label, made] : made_) made.is_void = true;
        record(0, given);
        excuse_delays();
        end_due_waits();
    }

    void wait(const Op &op) {
        if (op.amount > plain_.capacity()) return;
        const tb_status at_once = tb_wait_for(bucket_.get(), tokens(op.amount), 0);
        if (at_once == TB_SUCCESS) {
            expect(queue_.empty(), "order: a wait overtook those who wait");
            expect(plain_.has(op.amount, plain_.now(), -slack_), "more: a wait was granted what is not there");
            return spend_now(op.amount);
        }
        expect(at_once == TB_TIMED_OUT, "status: tb_wait_for");
        expect(!earlier_than(op.amount, plain_.now() + 1), "time: a wait was refused what is there");
        queue_.push_back({op.label, op.amount, INT64_MAX, nullptr});
        queue_.back().thread = std::make_unique<tb_test::Waiter>(clock_.get(), bucket_.get(), tokens(op.amount));
        end_due_waits();
    }

    void interrupt(int label) {
        for (auto q = queue_.begin(); q != queue_.end(); ++q) {
            if (q->label != label) continue;
            expect(q->thread->interrupt(SIGUSR1) == TB_INTERRUPTED, "status: an interrupted wait");
            queue_.erase(q);
            left_ = true;
            return end_due_waits();
        }
    }

    // Every wait that meets the condition has ended with that status.
    template <class Condition>
    void leave(tb_status status, Condition condition) {
        for (auto q = queue_.begin(); q != queue_.end();) {
            if (!condition(*q)) {
                ++q;
                continue;
            }
            expect(q->thread->join() == status, "status: the end of a wait");
            q = queue_.erase(q);
        }
    }

    // Ends the waits that the clock no longer counts; they must be the first ones, each granted.
    void end_due_waits() {
        if (queue_.empty()) return;
        for (int64_t waits = tb_test::waiting(clock_.get()); fault_.empty() && std::ssize(queue_) > waits;) {
            Queued &first = queue_.front();
            expect(first.thread->join() == TB_SUCCESS, "status: the end of a wait");
            expect(plain_.now() <= first.latest, "order: a wait ended later than promised");
            expect(plain_.has(first.n, plain_.now(), -slack_), "more: a wait was granted what is not there");
            plain_.spend(first.n);
            record(first.n, 0);
            queue_.pop_front();
        }
    }

    void excuse_delays() {
        for (Queued &q : queue_) q.latest = INT64_MAX;
    }

    // The first wait is due as soon as the plain bucket has its tokens, and not later than it was before.
    void check_queue() {
        if (queue_.empty()) return;
        Queued &first = queue_.front();
        const int64_t due = tb_test::next_due(clock_.get());
        expect(due > plain_.now(), "order: one who is due waits on");
        expect(due <= first.latest, "order: a wait was put back");
        expect(plain_.has(first.n, due, -slack_), "more: a wait is promised what is not there then");
        expect(!could_be_earlier(first.n, due), "time: a wait could be over earlier");
        if (due != first.latest) round(first.n, due);
        first.latest = due;
        expect(std::none_of(queue_.begin(), queue_.end(), [](const Queued &q) { return q.thread->returned(); }),
               "order: a wait ended before it was due");
    }

    void compare() {
        if (!fault_.empty()) return;
        const int64_t there = available(), right = plain_.available();
        if (there > 0 && !plain_.has(there, plain_.now(), -slack_))
            return fail("more: " + number(tokens(there)) + " available, some are not there or promised");
        if (there < right - slack_ && !late_ && queue_.empty())
            return fail("lost: " + number(tokens(there)) + " available, right are " + number(tokens(right)));
        expect(queue_.empty() || there <= 0, "order: tokens are available though some wait");
        check_queue();
        if (!options_.touches || late_) return;
        tb_set_rate(bucket_.get(), per_second(plain_.rate()));
        expect(available() == there, "same limit: tb_set_rate changed the tokens");
        tb_set_capacity(bucket_.get(), tokens(plain_.capacity()));
        expect(available() == there, "same limit: tb_set_capacity changed the tokens");
        expect(queue_.empty() || tb_test::next_due(clock_.get()) == queue_.front().latest,
               "same limit: a wait has another time");
    }

    const Options options_;
    tb_test::ClockHandle clock_;
    tb_test::BucketHandle bucket_;
    PlainBucket plain_;
    std::map<int, Made> made_;
    std::list<Queued> queue_;
    std::vector<Event> events_;
    int64_t unit_ = 0;
    int64_t slack_ = 0;
    bool late_ = false;
    bool left_ = false;
    std::string fault_;
};

}  // namespace promises

#endif
