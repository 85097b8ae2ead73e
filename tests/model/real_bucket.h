// A bucket of real numbers, in the textbook's formulation: level = min(capacity, level + rate * dt), n are granted if
// the level is at least n. The level is an exact fraction of a unit.
#ifndef TOKENBUCKET_TESTS_MODEL_REAL_BUCKET_H
#define TOKENBUCKET_TESTS_MODEL_REAL_BUCKET_H

#include <algorithm>

#include "tests/model/meaning.h"

namespace model {

class RealBucket {
  public:
    // The rate is in units per nanosecond.
    RealBucket(const Integer &capacity, const Rational &rate, const Integer &level, int64_t now)
        : level_(level), now_(now) {
        change(capacity, rate);
    }

    void advance(int64_t now) {
        level_ = std::min(capacity_, level_ + Integer(now - now_) * gain_);
        now_ = now;
    }

    // Is the level, and will it stay, a whole number?
    bool is_whole() const { return denominator_ == Integer(1); }
    bool holds(const Integer &units) const { return level_ >= units * denominator_; }
    bool holds_more_than(const Integer &units) const { return level_ > units * denominator_; }

    void take(const Integer &units) { level_ = level_ - units * denominator_; }
    void put(const Integer &units) { level_ = std::min(capacity_, level_ + units * denominator_); }
    void reset(const Integer &units) {
        level_ = units;
        const Rational rate = ratio(gain_, denominator_);
        const Integer capacity = floor_of(capacity_, denominator_);
        denominator_ = 1;
        change(capacity, rate);
    }

    void change(const Integer &capacity, const Rational &rate) {
        const Rational level = ratio(level_, denominator_);
        denominator_ = common_denominator(level, rate);
        capacity_ = capacity * denominator_;
        gain_ = rate.numerator * floor_of(denominator_, rate.denominator);
        level_ = std::min(capacity_, level.numerator * floor_of(denominator_, level.denominator));
    }
    Rational level() const { return ratio(level_, denominator_); }

  private:
    // All over the one denominator.
    Integer denominator_ = 1;
    Integer capacity_;
    Integer gain_;  // per nanosecond
    Integer level_;
    int64_t now_;
};

}  // namespace model

#endif
