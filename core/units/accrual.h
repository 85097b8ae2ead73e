// Accrual: how many units have been gained after e nanoseconds, exactly.
//
// A rate of p / q units per nanosecond is kept as whole + fraction / 2^128 with the fraction rounded up, a position as
// units + fraction / 2^128, which tbu_advance keeps without rounding. Then
//
//     units(e) = base + e * whole + floor((e * fraction + base.fraction) / 2^128)
//
// equals floor(base + e * p / q) as long as e * q < 2^128: the error of the fraction, below e / 2^128, cannot carry
// past the next multiple of 1 / q. Rounded down instead, instants at which the sum is whole would come out one unit
// short. tbu_advance keeps the fraction, so the same holds across any number of re-basings, with e the total elapsed
// time: 2^62 ns is 146 years, which leaves q up to 2^66. Units are counted modulo 2^64.
#ifndef TOKENBUCKET_CORE_UNITS_ACCRUAL_H
#define TOKENBUCKET_CORE_UNITS_ACCRUAL_H

#include "core/units/wide.h"

typedef struct tbu_rate {
    uint64_t whole;       // units per nanosecond
    tbu_wide fraction;    // of a unit per nanosecond, / 2^128
    tbu_wide reciprocal;  // nanoseconds per unit * 2^64, rounded up
} tbu_rate;

typedef struct tbu_position {
    uint64_t units;
    tbu_wide fraction;
} tbu_position;

#define TBU_NEVER INT64_MAX

// p / q units per nanosecond; p > 0, q > 0, p / q <= 2^63, q / p <= 2^62.
TBU_FN tbu_rate tbu_rate_make(tbu_wide p, tbu_wide q) {
    const tbu_quotient whole = tbu_divide(p, q);
    const tbu_quotient part = tbu_divide_shifted(whole.remainder, 128, q);
    const tbu_quotient slow = tbu_divide_shifted(q, 64, p);
    const tbu_rate r = {whole.quotient.lo, tbu_add64(part.quotient, (part.remainder.hi | part.remainder.lo) != 0),
                        tbu_add64(slow.quotient, (slow.remainder.hi | slow.remainder.lo) != 0)};
    return r;
}

// The position e nanoseconds after base. (e * fraction + base.fraction) is summed in three 64-bit limbs.
TBU_FN tbu_position tbu_advance(const tbu_rate *rate, tbu_position base, uint64_t e) {
    const tbu_wide low = tbu_mul_add(e, rate->fraction.lo, base.fraction.lo, 0);
    const tbu_wide high = tbu_mul_add(e, rate->fraction.hi, base.fraction.hi, low.hi);
    const tbu_position r = {base.units + e * rate->whole + high.hi, {high.lo, low.lo}};
    return r;
}

// Units gained in the e nanoseconds after base, in full.
TBU_FN tbu_wide tbu_gain_wide(const tbu_rate *rate, tbu_position base, uint64_t e) {
    const tbu_wide low = tbu_mul_add(e, rate->fraction.lo, base.fraction.lo, 0);
    const tbu_wide high = tbu_mul_add(e, rate->fraction.hi, base.fraction.hi, low.hi);
    return tbu_mul_add(e, rate->whole, high.hi, 0);
}

// As tbu_gain_wide; UINT64_MAX if they are more than that.
TBU_FN uint64_t tbu_gain(const tbu_rate *rate, tbu_position base, uint64_t e) {
    const tbu_wide gain = tbu_gain_wide(rate, base, e);
    return gain.hi != 0 ? UINT64_MAX : gain.lo;
}

// The smallest e with tbu_gain(e) >= d from a position with that fraction, or TBU_NEVER if it does not fit an int64_t.
// 0 < d < 2^62. e is the ceiling of t = (d - fraction) / rate. d * reciprocal - fraction.hi * reciprocal is at least t
// and less than t + 1: rounding up the reciprocal adds less than d / 2^64 <= 1/4, rounding up the rate took less than
// t * q / p / 2^128 <= 1/8, and fraction.lo is worth less than q / p / 2^64 <= 1/4. So its whole part is e or e - 1.
TBU_FN int64_t tbu_time_to(const tbu_rate *rate, tbu_wide fraction, uint64_t d) {
    const tbu_position start = {0, fraction};
    const tbu_wide r = rate->reciprocal;
    const tbu_wide ahead = tbu_mul_add(fraction.hi, r.hi, tbu_mul(fraction.hi, r.lo).hi, 0);
    const tbu_wide part = tbu_mul(d, r.lo);
    const tbu_wide most = tbu_sub(tbu_mul_add(d, r.hi, part.hi, 0), tbu_make(0, ahead.hi + (part.lo < ahead.lo)));
    if (most.hi != 0 || most.lo >= (uint64_t)TBU_NEVER) return TBU_NEVER;
    return (int64_t)(most.lo + (tbu_advance(rate, start, most.lo).units < d));
}

#endif
