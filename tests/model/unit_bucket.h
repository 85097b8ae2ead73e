// One bucket without a queue, as it is defined: A(t) = floor(t * P / Q) units have accrued, Z are spent, and
// min(capacity, A - Z) are there. Positions are whole numbers without end; nothing wraps, nothing is rounded but by
// that one floor. The units stay what they were at creation.
#ifndef TOKENBUCKET_TESTS_MODEL_UNIT_BUCKET_H
#define TOKENBUCKET_TESTS_MODEL_UNIT_BUCKET_H

#include <algorithm>

#include "tests/model/units.h"

namespace model {

class UnitBucket {
  public:
    UnitBucket(double capacity, const Rational &tokens_per_ns, int64_t now)
        : units_(chosen_units(capacity, tokens_per_ns)), now_(now) {
        change(capacity, tokens_per_ns);
    }

    void advance(int64_t now) {
        const Integer::Division d = divide(rest_ + Integer(now - now_) * gain_, denominator_);
        accrued_ = accrued_ + d.floor;
        rest_ = d.rest;
        now_ = now;
    }

    const Units &units() const { return units_; }
    const Integer &capacity() const { return capacity_; }
    const Rational &rate() const { return rate_; }  // units per nanosecond
    Integer available() const { return std::min(capacity_, accrued_ - spent_); }
    // The fraction of a unit that has accrued.
    Rational fraction() const { return ratio(rest_, denominator_); }

    // The cost of an amount that is not above the capacity.
    Integer cost(const Integer &units) const { return std::min(units, capacity_); }

    // Will `rest` units have grown to `target` after `wait` nanoseconds?
    bool grows(const Integer &rest, const Integer &target, int64_t wait) const {
        return rest + floor_of(rest_ + Integer(wait) * gain_, denominator_) >= target;
    }

    void take(const Integer &units) { leave(available() - units); }
    void put(const Integer &units) { leave(std::min(capacity_, available() + units)); }
    void reset(const Integer &held) {
        rest_ = 0;
        denominator_ = 1;
        adopt(rate_);
        leave(std::min(held, capacity_));
    }

    bool can_have(double capacity) const {
        const Integer full = units_.round_down(capacity);
        return capacity >= 1e-6 && capacity <= 1e15 && full >= Integer(1) && full <= Integer::power(2, 58);
    }
    // What exceeds a smaller capacity is dropped.
    void change(double capacity, const Rational &tokens_per_ns) {
        const Integer held = available();
        capacity_ = units_.round_down(capacity);
        adopt(units_.of(tokens_per_ns));
        leave(std::min(held, capacity_));
    }

  private:
    void leave(const Integer &rest) { spent_ = accrued_ - rest; }

    void adopt(const Rational &rate) {
        const Rational kept = fraction();
        denominator_ = common_denominator(kept, rate);
        gain_ = rate.numerator * floor_of(denominator_, rate.denominator);
        rest_ = kept.numerator * floor_of(denominator_, kept.denominator);
        rate_ = rate;
    }

    const Units units_;
    int64_t now_;
    Integer capacity_;
    Rational rate_{0, 1};
    Integer gain_;  // per nanosecond, over the denominator
    Integer denominator_ = 1;
    Integer accrued_;
    Integer rest_;  // the fraction of a unit beyond accrued_, over the denominator
    Integer spent_;
};

}  // namespace model

#endif
