// How a limit is counted, from the text of core/bucket/limit.h: amounts in 10^-places token, places the largest of 0 ..
// 9 for which the capacity is at most 2^58; each of these cut into `refinement` units so that the rate is a whole
// number of units per nanosecond, if a token, the capacity and what accrues in a millisecond then still are at most
// 2^58 units.
#ifndef TOKENBUCKET_TESTS_MODEL_UNITS_H
#define TOKENBUCKET_TESTS_MODEL_UNITS_H

#include "tests/model/meaning.h"

namespace model {

struct Units {
    int places;
    Integer refinement;

    Integer scale() const { return Integer::power(10, places) * refinement; }
    Integer round_up(double n) const {
        return ceiling_of(amount_meaning(n) * Rational{Integer::power(10, places), 1}) * refinement;
    }
    Integer round_down(double n) const {
        return floor_of(amount_meaning(n) * Rational{Integer::power(10, places), 1}) * refinement;
    }
    bool same_as(const Units &other) const { return scale() == other.scale(); }
};

struct Limit {
    double capacity;
    Rational per_ns;  // tokens
    Units units;
};

inline Rational per_ns(double tokens, int64_t period_ns) {
    return rate_meaning(tokens) * Rational{1, period_ns};
}

inline bool fits(double capacity, const Rational &per_ns, const Units &units) {
    const Integer most = Integer::power(2, 58);
    const Integer in_a_millisecond = floor_of(per_ns * Rational{units.scale(), 1}) * Integer::power(10, 6);
    return units.scale() <= most && units.round_down(capacity) <= most && in_a_millisecond <= most;
}

inline Units fresh_units(double capacity, const Rational &per_ns) {
    Units units{9, 1};
    while (units.round_down(capacity) > Integer::power(2, 58)) --units.places;
    const Rational rate = per_ns * Rational{units.scale(), 1};
    const Units finer{units.places, rate.denominator};
    return fits(capacity, per_ns, finer) ? finer : units;
}

// A change keeps the units wherever the new limit can be counted in them.
inline Units changed_units(const Units &before, double capacity, const Rational &per_ns) {
    const Units fresh = fresh_units(capacity, per_ns);
    return fresh.places == before.places && fits(capacity, per_ns, before) ? before : fresh;
}

}  // namespace model

#endif
