// A bucket of real numbers, in the textbook's formulation: level = min(capacity, level + rate * dt), n are granted if
// the level is at least n. The level is an exact fraction of the given unit.
#ifndef TOKENBUCKET_TESTS_MODEL_REAL_BUCKET_H
#define TOKENBUCKET_TESTS_MODEL_REAL_BUCKET_H

#include <algorithm>

#include "tests/model/integer.h"

namespace model {

class RealBucket {
  public:
    // Gains p / q units per nanosecond.
    RealBucket(const Integer &capacity, const Integer &p, const Integer &q, const Integer &level, int64_t now)
        : capacity_(capacity * q), p_(p), q_(q), level_(level * q), now_(now) {}

    void advance(int64_t now) {
        level_ = std::min(capacity_, level_ + Integer(now - now_) * p_);
        now_ = now;
    }

    bool holds(const Integer &units) const { return level_ >= units * q_; }
    bool will_hold(const Integer &units, int64_t wait) const { return level_ + Integer(wait) * p_ >= units * q_; }
    void take(const Integer &units) { level_ = level_ - units * q_; }
    void put(const Integer &units) { level_ = std::min(capacity_, level_ + units * q_); }

  private:
    Integer capacity_;  // times q_, as the level
    Integer p_;
    Integer q_;
    Integer level_;
    int64_t now_;
};

}  // namespace model

#endif
