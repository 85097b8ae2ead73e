// A bucket with waiters, reservations, priorities, timeouts and lateness, walked from promise to promise, in whole
// numbers. It shares no rule with the library's queue: there are no positions and no tree. What was spent is a list of
// changes in order of time, which is gone through anew without those who gave their tokens back.
//
// A unit is 10^-9 token, so a rate of k tokens per second is k units per nanosecond. Times are twelfths of a nanosecond
// and levels twelfths of a unit: with rates of 1, 2, 3, 4 and 6 all instants at which tokens come in are whole.
#ifndef TOKENBUCKET_TESTS_MODEL_WAITS_MODEL_H
#define TOKENBUCKET_TESTS_MODEL_WAITS_MODEL_H

#include <algorithm>
#include <cstdint>
#include <vector>

#include "capi/include/tokenbucket.h"

namespace waits_model {

inline constexpr int64_t kParts = 12;
inline constexpr int64_t kForever = INT64_MAX;

inline int64_t whole_ns(int64_t time) {
    return (time + kParts - 1) / kParts;
}

// A level that grows.
struct Tank {
    int64_t at = 0;
    int64_t level = 0;
    int64_t capacity = 0;
    int64_t rate = 0;

    void grow(int64_t to) {
        level = std::min(capacity, level + rate * (to - at));
        at = to;
    }
};

struct Change {
    enum Kind { spend, put, set, set_capacity, set_rate } kind;
    int64_t at;
    int64_t amount;
    int waiter;  // whose tokens these are, as long as it may give them back; else 0

    void apply(Tank *tank) const {
        tank->grow(at);
        if (kind == spend) tank->level -= amount;
        if (kind == put) tank->level = std::min(tank->capacity, tank->level + amount);
        if (kind == set) tank->level = amount;
        if (kind == set_capacity) tank->level = std::min(tank->level, tank->capacity = amount);
        if (kind == set_rate) tank->rate = amount;
    }
};

struct Waiter {
    enum State { waiting, due, passed_over, ended } state;
    int id;
    int64_t cost;
    int32_t priority;
    int64_t deadline_ns;
    int64_t at;         // when it is due
    int64_t told_ns;    // as far as it has been told
    int64_t due_at;     // when it became due
    bool was_late;      // once, since it last came
    tb_status outcome;  // when it has ended
};

struct Reservation {
    int id;
    int64_t at;
    int64_t cost;
};

class Bucket {
  public:
    Bucket(const Tank &tank, int64_t max_lateness_ns, int64_t max_waiters)
        : start_(tank), tank_(tank), max_lateness_ns_(max_lateness_ns), max_waiters_(max_waiters) {}

    int64_t now_ns() const { return now_ns_; }
    int64_t capacity() const { return tank_.capacity; }
    const std::vector<Waiter> &waiters() const { return waiters_; }
    const std::vector<Reservation> &reservations() const { return reservations_; }
    const Waiter *find(int id) const {
        for (const Waiter &w : waiters_)
            if (w.id == id) return &w;
        return nullptr;
    }
    int64_t count(Waiter::State state) const {
        return std::count_if(waiters_.begin(), waiters_.end(), [=](const Waiter &w) { return w.state == state; });
    }
    const Waiter *first() const {
        for (const Waiter &w : waiters_)
            if (w.state == Waiter::waiting) return &w;
        return nullptr;
    }
    // What takes find: what is left after the last promise, less what comes in until then.
    int64_t available() const {
        Tank t = tank_;
        for (const Promise &p : promises(INT32_MIN)) {
            t.grow(p.at);
            t.level -= p.cost;
        }
        return t.level - t.rate * (t.at - now_ns_ * kParts);
    }

    // The clock moves on, and somebody looks: all that is promised by then is due, and who is too late is planned anew.
    void look(int64_t now_ns) {
        now_ns_ = now_ns;
        serve();
        const Waiter *const oldest = oldest_due();
        if (oldest == nullptr || !is_late(*oldest)) return;
        for (Waiter &w : waiters_) {
            if (w.state != Waiter::due || !is_late(w)) continue;
            if (w.was_late) set_aside(&w);
            w.was_late = true;
        }
        undo_due();
        move_up();
    }

    tb_status take(int64_t n) {
        if (n > tank_.capacity) return TB_EXCEEDS_CAPACITY;
        if (n > available()) return TB_DENIED;
        change(Change::spend, n);
        return TB_SUCCESS;
    }
    tb_status enter(int id, int64_t n, int64_t timeout_ns, int32_t priority, int64_t *wait_ns) {
        *wait_ns = 0;
        if (closed_) return TB_CLOSED;
        if (n > tank_.capacity) return TB_EXCEEDS_CAPACITY;
        if (count(Waiter::waiting) == 0 && n <= available()) return take(n);
        if (timeout_ns != 0 && max_waiters_ != 0 && count(Waiter::waiting) + count(Waiter::passed_over) >= max_waiters_)
            return TB_QUEUE_FULL;
        const int64_t at = earliest(n, promises(priority), last_due(priority));
        *wait_ns = whole_ns(at) - now_ns_;
        if (*wait_ns > timeout_ns) return TB_TIMED_OUT;
        if (*wait_ns == 0) {
            change(Change::spend, n);
            plan_all();
            return TB_SUCCESS;
        }
        const int64_t deadline = timeout_ns > kForever - now_ns_ ? kForever : now_ns_ + timeout_ns;
        const auto behind =
            std::find_if(waiters_.begin(), waiters_.end(), [=](const Waiter &w) { return w.priority < priority; });
        const bool last =
            std::none_of(behind, waiters_.end(), [](const Waiter &w) { return w.state == Waiter::waiting; });
        waiters_.insert(behind, {Waiter::waiting, id, n, priority, deadline, at, whole_ns(at), 0, false, TB_PENDING});
        if (!last) plan_all();
        return TB_PENDING;
    }
    // After TB_PENDING it is still there, else gone.
    tb_status check(int id, int64_t *wait_ns) {
        Waiter *w = of(id);
        if (w->state != Waiter::ended) {
            w->was_late = false;
            if (w->state == Waiter::passed_over) {
                of(id)->state = Waiter::waiting;
                move_up();
            }
        }
        w = of(id);
        if (w->state == Waiter::waiting && whole_ns(w->at) > w->deadline_ns) end(w, TB_TIMED_OUT);
        if (w->state == Waiter::waiting) {
            w->told_ns = whole_ns(w->at);
            *wait_ns = w->told_ns - now_ns_;
            return TB_PENDING;
        }
        const tb_status s = w->state == Waiter::due ? TB_SUCCESS : w->outcome;
        if (s == TB_SUCCESS) settle(id);
        erase(id);
        move_up();
        return s;
    }
    void leave(int id) {
        const Waiter::State state = of(id)->state;
        if (state == Waiter::due) std::erase_if(changes_, [=](const Change &c) { return c.waiter == id; });
        erase(id);
        recount();
        move_up();
    }
    tb_status reserve(int id, int64_t n, int64_t max_wait_ns, int64_t *wait_ns) {
        if (n > tank_.capacity) return TB_EXCEEDS_CAPACITY;
        const int64_t at = earliest(n, promises(INT32_MIN), last_due(INT32_MIN));
        *wait_ns = whole_ns(at) - now_ns_;
        if (*wait_ns > max_wait_ns) return TB_TIMED_OUT;
        if (*wait_ns == 0) {
            change(Change::spend, n);
        } else {
            reservations_.push_back({id, at, n});
        }
        return TB_SUCCESS;
    }
    void cancel(int id) {
        std::erase_if(reservations_, [=](const Reservation &r) { return r.id == id; });
        move_up();
    }
    void charge(int64_t n) {
        change(Change::spend, n);
        plan_all();
    }
    void refund(int64_t n) {
        change(Change::put, n);
        move_up();
    }
    void reset(int64_t n) {
        reservations_.clear();
        set_tokens(n);
    }
    void set_tokens(int64_t n) {
        undo_due();
        change(Change::set, n);
        plan_all();
    }
    void set_rate(int64_t rate) {
        if (rate != tank_.rate)
            for (Reservation &r : reservations_) r.at = whole_ns(r.at) * kParts;
        change(Change::set_rate, rate);
        plan_all();
    }
    void set_capacity(int64_t capacity) {
        change(Change::set_capacity, capacity);
        plan_all();
    }
    void close() {
        closed_ = true;
        for (Waiter &w : waiters_) {
            if (w.state == Waiter::due) {
                settle(w.id);
                end(&w, TB_SUCCESS);
            } else if (w.state != Waiter::ended) {
                end(&w, TB_CLOSED);
            }
        }
    }

  private:
    struct Promise {
        int64_t at;
        int64_t cost;
        int waiter;  // or 0
    };

    // Of the reservations and of the waiters of at least that priority, in order of time.
    std::vector<Promise> promises(int32_t priority) const {
        std::vector<Promise> all;
        for (const Reservation &r : reservations_) all.push_back({r.at, r.cost, 0});
        for (const Waiter &w : waiters_)
            if (w.state == Waiter::waiting && w.priority >= priority) all.push_back({w.at, w.cost, w.id});
        std::stable_sort(all.begin(), all.end(), [](const Promise &a, const Promise &b) { return a.at < b.at; });
        return all;
    }
    int64_t last_due(int32_t priority) const {
        int64_t last = now_ns_ * kParts;
        for (const Waiter &w : waiters_)
            if (w.state == Waiter::waiting && w.priority >= priority) last = w.at;
        return last;
    }

    // The earliest time from `from` on at which n tokens are there and every later promise still finds its own.
    int64_t earliest(int64_t n, const std::vector<Promise> &promises, int64_t from) const {
        Tank t = tank_;
        std::size_t next = 0;
        for (;; ++next) {
            for (; next < promises.size() && promises[next].at <= from; ++next) {
                t.grow(promises[next].at);
                t.level -= promises[next].cost;
            }
            t.grow(std::max(from, t.at));
            const int64_t at = t.at + (n > t.level ? (n - t.level) / t.rate : 0);
            if (next == promises.size()) return at;
            if (at < promises[next].at && is_kept(t, n, at, promises, next)) return at;
            from = promises[next].at;
            t.grow(from);
            t.level -= promises[next].cost;
        }
    }
    static bool is_kept(Tank t, int64_t n, int64_t at, const std::vector<Promise> &promises, std::size_t next) {
        t.grow(at);
        t.level -= n;
        bool kept = true;
        for (; kept && next < promises.size(); ++next) {
            t.grow(promises[next].at);
            t.level -= promises[next].cost;
            kept = t.level >= 0;
        }
        return kept;
    }

    // Gives every waiter its time, in order. Who would pass its timeout or no longer fits has ended.
    void plan(bool tell_all) {
        std::vector<Promise> made;
        for (const Reservation &r : reservations_) made.push_back({r.at, r.cost, 0});
        int64_t from = now_ns_ * kParts;
        for (Waiter &w : waiters_) {
            if (w.state != Waiter::waiting) continue;
            if (tell_all && w.cost > tank_.capacity) {
                end(&w, TB_EXCEEDS_CAPACITY);
                continue;
            }
            std::stable_sort(made.begin(), made.end(), [](const Promise &a, const Promise &b) { return a.at < b.at; });
            w.at = earliest(w.cost, made, from);
            if (tell_all && whole_ns(w.at) > w.deadline_ns) {
                end(&w, TB_TIMED_OUT);
                continue;
            }
            if (tell_all) w.told_ns = whole_ns(w.at);
            made.push_back({w.at, w.cost, w.id});
            from = w.at;
        }
        serve();
    }
    void plan_all() { plan(true); }
    void move_up() { plan(false); }

    // What is promised by now happens. The first of those who wait is always told its time.
    void serve() {
        const int64_t now = now_ns_ * kParts;
        for (const Promise &p : promises(INT32_MIN)) {
            if (p.at > now) break;
            const Change c{Change::spend, p.at, p.cost, p.waiter};
            c.apply(&tank_);
            changes_.push_back(c);
            if (p.waiter == 0) continue;
            Waiter *const w = of(p.waiter);
            w->state = Waiter::due;
            w->due_at = p.at;
            became_due_.push_back(w->id);
        }
        std::erase_if(reservations_, [=](const Reservation &r) { return r.at <= now; });
        tank_.grow(now);
        for (Waiter &w : waiters_) {
            if (w.state != Waiter::waiting) continue;
            w.told_ns = whole_ns(w.at);
            break;
        }
    }

    bool is_late(const Waiter &w) const { return now_ns_ - whole_ns(w.due_at) > max_lateness_ns_; }
    void set_aside(Waiter *w) {
        w->state = Waiter::passed_over;
        std::erase_if(changes_, [=](const Change &c) { return c.waiter == w->id; });
    }
    // All that are due wait again, as if they had not become due.
    void undo_due() {
        for (Waiter &w : waiters_) {
            if (w.state != Waiter::due) continue;
            set_aside(&w);
            w.state = Waiter::waiting;
        }
        became_due_.clear();
        recount();
    }
    // The first that became due of those that are.
    const Waiter *oldest_due() {
        std::erase_if(became_due_, [this](int id) {
            const Waiter *const w = find(id);
            return w == nullptr || w->state != Waiter::due;
        });
        return became_due_.empty() ? nullptr : find(became_due_.front());
    }

    void change(Change::Kind kind, int64_t amount) {
        const Change c{kind, now_ns_ * kParts, amount, 0};
        c.apply(&tank_);
        changes_.push_back(c);
    }
    void recount() {
        tank_ = start_;
        for (const Change &c : changes_) c.apply(&tank_);
        tank_.grow(now_ns_ * kParts);
    }
    // The waiter keeps its tokens for good.
    void settle(int id) {
        for (Change &c : changes_)
            if (c.waiter == id) c.waiter = 0;
    }
    static void end(Waiter *w, tb_status outcome) {
        w->state = Waiter::ended;
        w->outcome = outcome;
    }
    Waiter *of(int id) {
        return &*std::find_if(waiters_.begin(), waiters_.end(), [=](const Waiter &w) { return w.id == id; });
    }
    void erase(int id) {
        std::erase_if(waiters_, [=](const Waiter &w) { return w.id == id; });
    }

    const Tank start_;
    Tank tank_;
    const int64_t max_lateness_ns_;
    const int64_t max_waiters_;
    int64_t now_ns_ = 0;
    bool closed_ = false;
    std::vector<Waiter> waiters_;  // in order, whatever their state
    std::vector<Reservation> reservations_;
    std::vector<Change> changes_;
    std::vector<int> became_due_;
};

}  // namespace waits_model

#endif
