// One bucket of the library beside the two models, on one clock: every operation runs on all of them, and everything
// that the library says is compared. Differences are counted, the first few described.
//
// With a whole number of units per nanosecond the bucket of real numbers must decide alike. Otherwise the one floor of
// the definition may keep a fraction of a unit when the bucket is full: then the two differ by less than a unit.
#ifndef TOKENBUCKET_TESTS_MODEL_DUEL_H
#define TOKENBUCKET_TESTS_MODEL_DUEL_H

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/model/real_bucket.h"
#include "tests/model/unit_bucket.h"
#include "tests/support/lone_bucket.h"

namespace model {

struct Tally {
    uint64_t decisions = 0;
    uint64_t operations = 0;
    uint64_t waits = 0;  // reported waits, each judged at W and at W - 1
    uint64_t mismatches = 0;
};

class Duel {
  public:
    Duel(double capacity, double rate, double held, const std::vector<double> &amounts, int64_t now, Tally *tally)
        : now_(now),
          rate_(rate),
          units_(limit_of(capacity, rate), 0, now),
          real_(0, 1, 1, 0, now),
          bucket_(library_limit(capacity, rate), start(held), now),
          tally_(tally) {
        for (const double n : amounts) amounts_.push_back({n, 0, 0, 0});
        read_amounts();
        check_state("creation");
    }

    int64_t now() const { return now_; }
    double rate() const { return rate_; }
    double capacity() const { return units_.limit().capacity; }
    std::size_t amounts() const { return amounts_.size(); }
    double amount(std::size_t i) const { return amounts_[i].tokens; }
    std::size_t reservations() const { return held_.size(); }
    // What the last denial or reservation said, 0 for none.
    int64_t last_wait() const { return last_wait_; }

    void advance(int64_t now) {
        now_ = now;
        units_.advance(now);
        real_.advance(now);
    }

    void allow(std::size_t i) {
        ++tally_->decisions;
        const tb::Status status = bucket_.try_take(amounts_[i].tokens, now_);
        expect(status == expected_take(amounts_[i]), "allow");
        settle(status == tb::Status::success, amounts_[i]);
        check_state("allow");
    }

    void take(std::size_t i) {
        ++tally_->decisions;
        const Amount &amount = amounts_[i];
        tb::Decision d{};
        const tb::Status status = bucket_.take(amount.tokens, now_, &d);
        expect(status == expected_take(amount) && status == d.status, "take");
        const Integer before = units_.available();
        settle(status == tb::Status::success, amount);
        check_state("take");
        last_wait_ = 0;
        if (status == tb::Status::denied) {
            check_wait(before, amount.cost, d.retry_after_ns);
            check_later(amount.tokens, d.retry_after_ns);
            last_wait_ = is_time(d.retry_after_ns) ? d.retry_after_ns : 0;
        } else {
            expect(d.retry_after_ns == (status == tb::Status::success ? 0 : INT64_MAX), "retry_after");
        }
        check_wait(units_.available(), units_.capacity(), d.reset_after_ns);
        expect(shows(d.remaining, std::max(Integer(0), units_.available())), "remaining");
    }

    // A denied take, repeated after just the time that it reported.
    void take_when_told(std::size_t i) {
        take(i);
        if (last_wait_ == 0 || last_wait_ > (int64_t{1} << 62) - now_) return;
        advance(now_ + last_wait_ - 1);
        expect(expected_take(amounts_[i]) == tb::Status::denied, "model at W - 1");
        allow(i);
        advance(now_ + 1);
        expect(expected_take(amounts_[i]) == tb::Status::success, "model at W");
        allow(i);
    }

    void take_up_to(double most) {
        ++tally_->decisions;
        double taken = -1;
        tb::Status status = tb::Status::stale;
        while (status == tb::Status::stale) status = bucket_.take_up_to(most, now_, bucket_.state(), &taken);
        expect(status == tb::Status::success, "take_up_to");
        const Integer scale = units_.limit().units.scale();
        const Integer there = floor_of(std::max(Integer(0), units_.available()), scale);
        const Integer expected = std::min(there, floor_of(binary_value(most)));
        expect(Integer(static_cast<int64_t>(taken)) == expected, "taken up to");
        const Integer cost = expected * scale;
        expect(cost.is_zero() || real_agrees(true, cost), "a bucket of real numbers, up to");
        pay(cost);
        check_state("take_up_to");
    }

    void reserve(std::size_t i, int64_t max_wait_ns) {
        ++tally_->decisions;
        const Amount &amount = amounts_[i];
        tb::Reservation r{};
        const tb::Status status = bucket_.reserve(amount.tokens, max_wait_ns, now_, &r);
        if (amount.tokens > capacity()) return expect(status == tb::Status::exceeds_capacity, "reserve too much");
        const Integer rest = units_.available() - amount.cost;
        if (rest < -Integer::power(2, 59)) return expect(status == tb::Status::out_of_range, "reserve out of range");
        const int64_t longest = std::min(max_wait_ns, INT64_MAX - now_ - 1);
        const bool in_time = units_.grown(rest, 0, longest);
        expect(status == (in_time ? tb::Status::success : tb::Status::timed_out), "reserve");
        if (status == tb::Status::success) {
            check_wait(rest, 0, r.wait_ns);
            expect(r.ready_at_ns == now_ + r.wait_ns && r.tokens == amount.tokens, "reservation");
            held_.push_back({r, units_.reserve(amount.tokens, amount.cost, r.wait_ns)});
            real_.take(amount.cost);
            last_wait_ = r.wait_ns;
        }
        check_state("reserve");
    }

    void cancel(std::size_t i) {
        const Held held = held_[i];
        held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
        expect(bucket_.cancel(held.reservation, now_) == tb::Status::success, "cancel");
        const Integer before = units_.available();
        units_.cancel(held.ticket);
        real_.put(units_.available() - before);
        check_state("cancel");
    }

    void charge(std::size_t i) {
        int64_t repaid = -1;
        const tb::Status status = bucket_.charge(amounts_[i].tokens, now_, &repaid);
        const Integer rest = units_.available() - amounts_[i].up;
        if (rest < -Integer::power(2, 59)) return expect(status == tb::Status::out_of_range, "charge out of range");
        expect(status == tb::Status::success, "charge");
        check_wait(rest, 0, repaid);
        pay(amounts_[i].up);
        check_state("charge");
    }

    void refund(std::size_t i) {
        expect(bucket_.refund(amounts_[i].tokens, now_) == tb::Status::success, "refund");
        const Integer before = units_.available();
        units_.refund(amounts_[i].down);
        real_.put(units_.available() - before);
        check_state("refund");
    }

    void reset(double tokens) {
        expect(bucket_.reset(tokens, now_) == tb::Status::success, "reset");
        units_.reset(tokens == tb::Bucket::kFull ? units_.capacity() : units_.limit().units.round_down(tokens));
        follow();
        check_state("reset");
    }

    void set_rate(double rate) {
        const bool possible = units_.change(capacity(), per_ns(rate, 1000000000));
        changed(possible, bucket_.set_rate(rate, now_));
        if (possible) rate_ = rate;
        check_state("set_rate");
    }

    void set_capacity(double capacity) {
        const bool possible = units_.change(capacity, units_.limit().per_ns);
        changed(possible, bucket_.set_capacity(capacity, now_));
        check_state("set_capacity");
    }

  private:
    struct Amount {
        double tokens;
        Integer cost;
        Integer up;
        Integer down;
    };
    struct Held {
        tb::Reservation reservation;
        Ticket ticket;
    };

    static Limit limit_of(double capacity, double rate) {
        const Rational exact = per_ns(rate, 1000000000);
        return {capacity, exact, fresh_units(capacity, exact)};
    }

    static tb::Limit library_limit(double capacity, double rate) {
        tb::Limit limit{};
        if (tb::make_limit({capacity, rate, 1000000000}, &limit) != tb::Status::success) stop("no limit");
        return limit;
    }

    int64_t start(double held) {
        const Integer units = held == 0 ? 0 : units_.limit().units.round_down(held);
        units_.leave(units);
        follow();
        return units.to_int64();
    }

    static bool is_time(int64_t wait) { return wait != INT64_MAX; }

    void expect(bool equal, const char *what) {
        ++tally_->operations;
        if (equal || ++tally_->mismatches > 10) return;
        ADD_FAILURE() << what << ": capacity " << capacity() << ", rate " << rate_ << ", now " << now_ << ", available "
                      << units_.available().to_double() << " units, the library says " << bucket_.available(now_)
                      << " tokens";
    }

    tb::Status expected_take(const Amount &amount) const {
        if (amount.tokens > capacity()) return tb::Status::exceeds_capacity;
        return units_.available() >= amount.cost ? tb::Status::success : tb::Status::denied;
    }

    void settle(bool granted, const Amount &amount) {
        if (amount.tokens > capacity()) return;
        expect(real_agrees(granted, amount.cost), "a bucket of real numbers");
        if (granted) pay(amount.cost);
    }

    bool real_agrees(bool granted, const Integer &cost) const {
        if (!granted) return !real_.holds(cost);
        return real_.holds(units_.is_whole() ? cost : cost - Integer(1));
    }

    void pay(const Integer &cost) {
        units_.leave(units_.available() - cost);
        real_.take(cost);
    }

    void check_state(const char *after) { expect(shows(bucket_.available(now_), units_.available()), after); }

    // `wait` is the first instant at which `rest` has grown to `target`; INT64_MAX if no time can express it.
    void check_wait(const Integer &rest, const Integer &target, int64_t wait) {
        ++tally_->waits;
        if (!is_time(wait)) return expect(!units_.grown(rest, target, INT64_MAX - now_ - 1), "never");
        expect(wait >= 0 && units_.grown(rest, target, wait), "granted at W");
        expect(wait == 0 ? rest >= target : !units_.grown(rest, target, wait - 1), "refused at W - 1");
    }

    // The library's own view from 1 ns before that instant, and at it.
    void check_later(double tokens, int64_t wait) {
        constexpr int64_t kPromised = int64_t{1} << 62;
        if (wait > kPromised - now_) return;
        int64_t before = -1;
        int64_t then = -1;
        bucket_.time_until(tokens, now_ + wait - 1, &before);
        bucket_.time_until(tokens, now_ + wait, &then);
        expect(before == 1 && then == 0, "time_until, seen from W - 1 and W");
    }

    // The nearest double to units / scale where both are exact doubles; else next to it, and no whole token above.
    bool shows(double tokens, const Integer &units) const {
        const Integer scale = units_.limit().units.scale();
        const Integer exact = Integer::power(2, 53);
        if (scale <= exact && units <= exact && units >= -exact) return tokens == units.to_double() / scale.to_double();
        const Rational shown = tokens < 0 ? binary_value(-tokens) : binary_value(tokens);
        const Integer magnitude = units < Integer(0) ? -units : units;
        const Integer difference = shown.numerator * scale - magnitude * shown.denominator;
        const Integer distance = difference < Integer(0) ? -difference : difference;
        if (distance * Integer::power(2, 51) > magnitude * shown.denominator) return false;
        const double floor = std::floor(tokens);
        const Integer whole = floor < 0 ? -floor_of(binary_value(-floor)) : floor_of(binary_value(floor));
        return whole <= floor_of(units, scale);
    }

    void changed(bool possible, tb::Status status) {
        expect(status == (possible ? tb::Status::success : tb::Status::out_of_range), "change of the limit");
        read_amounts();
        follow();
    }

    void read_amounts() {
        for (Amount &a : amounts_) {
            a.cost = units_.cost(a.tokens);
            a.up = units_.limit().units.round_up(a.tokens);
            a.down = units_.limit().units.round_down(a.tokens);
        }
    }

    // The bucket of real numbers starts anew from what is there; what a change rounds off is the definition's affair.
    void follow() { real_ = RealBucket(units_.capacity(), units_.p(), units_.q(), units_.available(), now_); }

    int64_t now_;
    double rate_;
    UnitBucket units_;
    RealBucket real_;
    tb_test::LoneBucket bucket_;
    std::vector<Amount> amounts_;
    std::vector<Held> held_;
    int64_t last_wait_ = 0;
    Tally *tally_;
};

}  // namespace model

#endif
