// One bucket of the library beside the two models, on one clock: every operation runs on all of them, and everything
// that the library says is compared. Differences are counted, the first few described.
//
// The library must decide as the bucket in units does, in everything. Against the bucket of real numbers: as long as no
// fraction of a unit has arisen in either they decide alike. Else the one floor of the definition may keep a fraction
// of a unit where the bucket is full: then less than a unit is granted that is not there in real numbers, whatever came
// before, and nothing is refused that is there.
#ifndef TOKENBUCKET_TESTS_MODEL_DUEL_H
#define TOKENBUCKET_TESTS_MODEL_DUEL_H

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/limiter/limiter.h"
#include "tests/model/real_bucket.h"
#include "tests/model/unit_bucket.h"

namespace model {

struct Tally {
    uint64_t decisions = 0;
    uint64_t exact = 0;  // of these, what was granted in whole units: in real numbers just the same
    uint64_t operations = 0;
    uint64_t waits = 0;  // reported waits, each judged at W and at W - 1
    uint64_t mismatches = 0;
};

class Duel {
  public:
    Duel(const tb::LimitSpec &spec, double held, const std::vector<double> &amounts, int64_t now, Tally *tally)
        : now_(now),
          spec_(spec),
          units_(spec.capacity, per_ns(spec.rate_tokens, spec.rate_period_ns), now),
          real_(units_.capacity(), units_.rate(), start(held), now),
          clock_(now),
          limiter_(spec, library_limit(spec), units_.available().to_int64(), on(&clock_)),
          tally_(tally) {
        for (const double n : amounts)
            amounts_.push_back({n, units_.units().round_up(n), units_.units().round_down(n)});
        check_state("creation");
        check_limit();
    }

    int64_t now() const { return now_; }
    double rate() const { return spec_.rate_tokens / static_cast<double>(spec_.rate_period_ns) * 1e9; }
    double capacity() const { return spec_.capacity; }
    std::size_t amounts() const { return amounts_.size(); }
    double amount(std::size_t i) const { return amounts_[i].tokens; }
    // What the last denial or charge said, 0 for none.
    int64_t last_wait() const { return last_wait_; }

    void advance(int64_t now) {
        now_ = now;
        units_.advance(now);
        real_.advance(now);
        clock_.set(now);
    }

    void allow(std::size_t i) {
        ++tally_->decisions;
        decided(limiter_.allow(amounts_[i].tokens), amounts_[i], "allow");
        check_state("allow");
    }

    void wait_for_nothing(std::size_t i) {
        ++tally_->decisions;
        const tb::Status s = limiter_.wait(amounts_[i].tokens, 0, 0);
        decided(s == tb::Status::timed_out ? tb::Status::denied : s, amounts_[i], "wait");
        check_state("wait");
    }

    void reserve_at_once(std::size_t i) {
        ++tally_->decisions;
        tb::Reservation r{};
        const tb::Status s = limiter_.reserve(amounts_[i].tokens, 0, &r);
        decided(s == tb::Status::timed_out ? tb::Status::denied : s, amounts_[i], "reserve");
        const bool due = r.tokens == amounts_[i].tokens && r.wait_ns == 0 && r.ready_at_ns == now_;
        expect(s != tb::Status::success || due, "reservation");
        check_state("reserve");
    }

    void take(std::size_t i) {
        ++tally_->decisions;
        const Amount &amount = amounts_[i];
        const Integer before = units_.available();
        tb::Answer answer{};
        const tb::Status status = limiter_.take(amount.tokens, &answer);
        decided(status, amount, "take");
        check_state("take");
        last_wait_ = 0;
        if (status == tb::Status::denied) {
            check_wait(before, units_.cost(amount.up), answer.retry_after_ns);
            check_time_until(amount.tokens, answer.retry_after_ns);
            last_wait_ = is_time(answer.retry_after_ns) ? answer.retry_after_ns : 0;
        } else {
            expect(answer.retry_after_ns == (status == tb::Status::success ? 0 : INT64_MAX), "retry_after");
        }
        check_wait(units_.available(), units_.capacity(), answer.reset_after_ns);
        expect(shows(answer.remaining, std::max(Integer(0), units_.available())), "remaining");
    }

    // A denied take, repeated after just the time that it reported, and a nanosecond earlier.
    void take_when_told(std::size_t i) {
        take(i);
        if (last_wait_ == 0 || last_wait_ > (int64_t{1} << 62) - now_) return;
        advance(now_ + last_wait_ - 1);
        check_time_until(amounts_[i].tokens, 1);
        expect(expected(amounts_[i]) == tb::Status::denied, "model at W - 1");
        allow(i);
        advance(now_ + 1);
        check_time_until(amounts_[i].tokens, 0);
        expect(expected(amounts_[i]) == tb::Status::success, "model at W");
        allow(i);
    }

    void take_up_to(double most) {
        ++tally_->decisions;
        double taken = -1;
        expect(limiter_.take_up_to(most, &taken) == tb::Status::success, "take_up_to");
        const Integer &scale = units_.units().scale;
        const Integer there = floor_of(std::max(Integer(0), units_.available()), scale);
        const Integer tokens = std::min(there, floor_of(binary_value(most)));
        expect(Integer(static_cast<int64_t>(taken)) == tokens, "taken up to");
        if (!tokens.is_zero()) granted(tokens * scale);
        check_state("take_up_to");
    }

    void charge(std::size_t i) {
        int64_t repaid = -1;
        const tb::Status status = limiter_.charge(amounts_[i].tokens, &repaid);
        const Integer rest = units_.available() - amounts_[i].up;
        if (rest < -Integer(int64_t{1} << 59)) return expect(status == tb::Status::out_of_range, "charge out of range");
        expect(status == tb::Status::success, "charge");
        check_wait(rest, 0, repaid);
        last_wait_ = is_time(repaid) ? repaid : 0;
        pay(amounts_[i].up);
        check_state("charge");
    }

    void refund(std::size_t i) {
        expect(limiter_.refund(amounts_[i].tokens) == tb::Status::success, "refund");
        const Integer before = units_.available();
        units_.put(amounts_[i].down);
        real_.put(units_.available() - before);
        check_state("refund");
    }

    void reset(double tokens) {
        const tb::Status status = limiter_.reset(tokens);
        if (tokens > capacity()) return expect(status == tb::Status::exceeds_capacity, "reset to too much");
        expect(status == tb::Status::success, "reset");
        const bool full = tokens == tb::Limiter::kFull;
        units_.reset(full ? units_.capacity() : tokens == 0 ? Integer(0) : units_.units().round_down(tokens));
        real_.reset(units_.available());
        check_state("reset");
    }

    // Is that limit counted exactly, and still after the changes so far? See core/units/accrual.h: in 2^62 ns, as long
    // as all that accrues has a common denominator of at most 2^66. Else a unit may come up to a nanosecond early.
    static bool is_exact(const tb::LimitSpec &spec) {
        const Rational rate = per_ns(spec.rate_tokens, spec.rate_period_ns);
        return is_short(chosen_units(spec.capacity, rate).of(rate).denominator);
    }
    bool stays_exact(double rate) const {
        const Rational next = units_.units().of(per_ns(rate, kSecond));
        return is_short(common_denominator(next, units_.fraction())) &&
               is_short(common_denominator(next, real_.level()));
    }

    void set_rate(double rate) {
        expect(limiter_.set_rate(rate) == tb::Status::success, "set_rate");
        change({capacity(), rate, kSecond});
        check_state("set_rate");
    }

    void set_capacity(double capacity) {
        const bool possible = units_.can_have(capacity);
        const tb::Status expected = possible ? tb::Status::success : tb::Status::out_of_range;
        expect(limiter_.set_capacity(capacity) == expected, "set_capacity");
        if (possible) change({capacity, spec_.rate_tokens, spec_.rate_period_ns});
        check_state("set_capacity");
    }

  private:
    static constexpr int64_t kSecond = 1000000000;

    struct Amount {
        double tokens;
        Integer up;
        Integer down;
    };

    static bool is_short(const Integer &denominator) { return denominator <= Integer::power(2, 66); }

    static tb::Limit library_limit(const tb::LimitSpec &spec) {
        tb::Limit limit{};
        if (tb::make_limit(spec, &limit) != tb::Status::success) stop("no limit");
        return limit;
    }
    static tb::LimiterOptions on(tb::Clock *clock) {
        tb::LimiterOptions options;
        options.clock = clock;
        return options;
    }

    Integer start(double held) {
        if (held != 0) units_.put(units_.units().round_down(held));
        return units_.available();
    }

    static bool is_time(int64_t wait) { return wait != INT64_MAX; }

    void expect(bool holds, const char *what) {
        ++tally_->operations;
        if (holds || ++tally_->mismatches > 10) return;
        ADD_FAILURE() << what << ": capacity " << capacity() << ", " << spec_.rate_tokens << " in "
                      << spec_.rate_period_ns << " ns, now " << now_ << ", available " << units_.available().to_double()
                      << " of " << units_.units().scale.to_double() << " units, the library says "
                      << limiter_.available() << " tokens";
    }

    tb::Status expected(const Amount &amount) const {
        if (amount.tokens > capacity()) return tb::Status::exceeds_capacity;
        return units_.available() >= units_.cost(amount.up) ? tb::Status::success : tb::Status::denied;
    }

    void decided(tb::Status status, const Amount &amount, const char *what) {
        expect(status == expected(amount), what);
        const Integer cost = units_.cost(amount.up);
        if (status == tb::Status::success) granted(cost);
        if (status == tb::Status::denied) expect(!real_.holds(cost), "refused, but there in real numbers");
    }

    void granted(const Integer &cost) {
        const bool exact = real_.is_whole() && units_.fraction().denominator == Integer(1);
        tally_->exact += exact ? 1 : 0;
        expect(exact ? real_.holds(cost) : real_.holds_more_than(cost - Integer(1)), "granted in real numbers");
        pay(cost);
    }

    void pay(const Integer &cost) {
        units_.take(cost);
        real_.take(cost);
    }

    void change(const tb::LimitSpec &spec) {
        spec_ = spec;
        units_.change(spec.capacity, per_ns(spec.rate_tokens, spec.rate_period_ns));
        real_.change(units_.capacity(), units_.rate());
        check_limit();
    }

    void check_state(const char *after) { expect(shows(limiter_.available(), units_.available()), after); }

    void check_limit() {
        uint64_t scale = 0;
        const tb::LimitSpec shown = limiter_.limit(&scale);
        expect(Integer::of_unsigned(scale) == units_.units().scale, "units");
        expect(shown.capacity == capacity() && shown.rate_tokens == spec_.rate_tokens, "limit");
    }

    // `wait` is the first instant at which `rest` has grown to `target`; INT64_MAX if no time can express it.
    void check_wait(const Integer &rest, const Integer &target, int64_t wait) {
        ++tally_->waits;
        if (!is_time(wait)) return expect(!units_.grows(rest, target, INT64_MAX - now_ - 1), "never");
        expect(wait >= 0 && units_.grows(rest, target, wait), "there at W");
        expect(wait == 0 ? rest >= target : !units_.grows(rest, target, wait - 1), "not there at W - 1");
    }

    void check_time_until(double tokens, int64_t expected) {
        int64_t ns = -1;
        expect(limiter_.time_until(tokens, &ns) == tb::Status::success && ns == expected, "time_until");
    }

    // The nearest double to units / scale where both are exact doubles; else next to it, and no whole token above.
    bool shows(double tokens, const Integer &units) const {
        const Integer &scale = units_.units().scale;
        const Integer exact(int64_t{1} << 53);
        if (scale <= exact && units <= exact && units >= -exact) return tokens == units.to_double() / scale.to_double();
        const Rational shown = tokens < 0 ? binary_value(-tokens) : binary_value(tokens);
        const Integer magnitude = units < Integer(0) ? -units : units;
        const Integer difference = shown.numerator * scale - magnitude * shown.denominator;
        const Integer distance = difference < Integer(0) ? -difference : difference;
        if (distance * Integer(int64_t{1} << 51) > magnitude * shown.denominator) return false;
        const double floor = std::floor(tokens);
        const Integer whole = floor < 0 ? -floor_of(binary_value(-floor)) : floor_of(binary_value(floor));
        return whole <= floor_of(units, scale);
    }

    int64_t now_;
    tb::LimitSpec spec_;
    UnitBucket units_;
    RealBucket real_;
    tb::Clock clock_;
    tb::Limiter limiter_;
    std::vector<Amount> amounts_;
    int64_t last_wait_ = 0;
    Tally *tally_;
};

}  // namespace model

#endif
