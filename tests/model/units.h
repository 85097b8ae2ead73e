// How a limit is counted, from the text of core/bucket/limit.h: a token is 10^places * refinement units. places is
// the largest of 0 .. 9 with which 2^20 tokens and 2^20 full buckets are at most 2^59 units each, or 0. The refinement
// makes the rate a whole number of units per nanosecond if that still holds and at most 2^58 units accrue in a
// millisecond; else it is 1.
#ifndef TOKENBUCKET_TESTS_MODEL_UNITS_H
#define TOKENBUCKET_TESTS_MODEL_UNITS_H

#include "tests/model/meaning.h"

namespace model {

inline Rational per_ns(double tokens, int64_t period_ns) {
    return rate_meaning(tokens) * Rational{1, period_ns};
}

struct Units {
    int places;
    Integer refinement;
    Integer scale = Integer::power(10, places) * refinement;  // in a token

    Rational of(const Rational &tokens) const { return tokens * Rational{scale, 1}; }
    Integer round_up(double n) const { return ceiling_of(of(amount_meaning(n))); }
    Integer round_down(double n) const { return floor_of(of(amount_meaning(n))); }

    bool have_headroom(double capacity) const {
        const Integer full = round_down(capacity);
        const Integer most = Integer::power(2, 59);
        return full * Integer::power(2, 20) <= most && scale * Integer::power(2, 20) <= most;
    }
};

inline Units chosen_units(double capacity, const Rational &tokens_per_ns) {
    Units units{9, 1};
    while (units.places > 0 && !units.have_headroom(capacity)) units = {units.places - 1, 1};
    const Units finer{units.places, units.of(tokens_per_ns).denominator};
    const Integer in_a_millisecond = finer.of(tokens_per_ns).numerator * Integer::power(10, 6);
    return finer.have_headroom(capacity) && in_a_millisecond <= Integer::power(2, 58) ? finer : units;
}

}  // namespace model

#endif
