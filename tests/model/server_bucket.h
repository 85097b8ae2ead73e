// A bucket on a server as it is defined: by the time t, in microseconds, floor(t * rate) units have accrued, and
// min(capacity, accrued - spent) are there. Nothing wraps, no key expires, and there are no arguments: the limit is
// read from a config, the unit is what tb_remote_get_limit shows.
#ifndef TOKENBUCKET_TESTS_MODEL_SERVER_BUCKET_H
#define TOKENBUCKET_TESTS_MODEL_SERVER_BUCKET_H

#include <algorithm>
#include <cmath>

#include "tests/model/units.h"

namespace model {

class ServerBucket {
  public:
    // Full at the time 0.
    ServerBucket(double capacity, const Rational &tokens_per_ns, double unit, int64_t max_wait_us)
        : scale_(std::llround(1 / unit)),
          rate_(tokens_per_ns * Rational{scale_ * Integer(1000), 1}),
          capacity_(down(capacity)),
          most_debt_(ceiling_of(Integer(max_wait_us) * rate_.numerator, rate_.denominator)),
          spent_(-capacity_) {}

    void advance(int64_t us) { now_ = us; }
    int64_t now() const { return now_; }
    const Integer &scale() const { return scale_; }
    const Integer &capacity() const { return capacity_; }
    const Integer &most_debt() const { return most_debt_; }
    const Rational &rate() const { return rate_; }  // units per microsecond

    Integer down(double n) const { return floor_of(amount_meaning(n) * Rational{scale_, 1}); }
    Integer up(double n) const { return ceiling_of(amount_meaning(n) * Rational{scale_, 1}); }
    Integer cost(double n) const { return std::min(up(n), capacity_); }

    Integer available() const { return std::min(capacity_, accrued(now_) - spent_); }
    void leave(const Integer &units) { spent_ = accrued(now_) - units; }
    void reset(const Integer &units) { leave(std::min(units, capacity_)); }

    // Is `us` the time in which `need` more units accrue, and no microsecond too long?
    bool is_time_until(const Integer &need, int64_t us) const {
        if (need <= Integer(0)) return us == 0;
        return us > 0 && accrued(now_ + us) - accrued(now_) >= need && accrued(now_ + us - 1) - accrued(now_) < need;
    }
    // That time, by trying; at most 2^62.
    int64_t time_until(const Integer &need) const {
        int64_t least = 0, most = int64_t{1} << 62;
        while (least < most) {
            const int64_t middle = least + (most - least) / 2;
            if (accrued(now_ + middle) - accrued(now_) >= need) {
                most = middle;
            } else {
                least = middle + 1;
            }
        }
        return least;
    }

  private:
    Integer accrued(int64_t us) const { return floor_of(Integer(us) * rate_.numerator, rate_.denominator); }

    const Integer scale_;
    const Rational rate_;
    const Integer capacity_;
    const Integer most_debt_;
    Integer spent_;
    int64_t now_ = 0;
};

}  // namespace model

#endif
