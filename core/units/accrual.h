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
    uint64_t reciprocal;  // nanoseconds per unit * 2^reciprocal_shift, rounded down to 64 significant bits
    uint64_t reciprocal_shift;
} tbu_rate;

typedef struct tbu_position {
    uint64_t units;
    tbu_wide fraction;
} tbu_position;

#define TBU_NEVER INT64_MAX

// p / q units per nanosecond; p > 0, 0 < q < 2^127, p / q < 2^64, q / p < 2^64.
TBU_FN tbu_rate tbu_rate_make(tbu_wide p, tbu_wide q) {
    const tbu_quotient whole = tbu_divide(p, q);
    tbu_rate r = {whole.quotient.lo, {0, 0}, 0, 0};
    tbu_wide rest = whole.remainder;
    for (int bit = 0; bit < 128; ++bit) {
        rest = tbu_shl(rest, 1);
        r.fraction = tbu_shl(r.fraction, 1);
        if (!tbu_less(rest, q)) {
            rest = tbu_sub(rest, q);
            r.fraction.lo |= 1;
        }
    }
    if (rest.hi != 0 || rest.lo != 0) r.fraction = tbu_add64(r.fraction, 1);

    const tbu_quotient slow = tbu_divide(q, p);
    tbu_wide left = slow.remainder;
    r.reciprocal = slow.quotient.lo;
    while (r.reciprocal >> 63 == 0 && r.reciprocal_shift < 127) {
        const int carry = (int)(left.hi >> 63);
        left = tbu_shl(left, 1);
        r.reciprocal <<= 1;
        if (carry || !tbu_less(left, p)) {
            left = tbu_sub(left, p);
            r.reciprocal |= 1;
        }
        ++r.reciprocal_shift;
    }
    return r;
}

// The position e nanoseconds after base. (e * fraction + base.fraction) is summed in three 64-bit limbs.
TBU_FN tbu_position tbu_advance(const tbu_rate *rate, tbu_position base, uint64_t e) {
    const tbu_wide low = tbu_mul_add(e, rate->fraction.lo, base.fraction.lo, 0);
    const tbu_wide high = tbu_mul_add(e, rate->fraction.hi, base.fraction.hi, low.hi);
    const tbu_position r = {base.units + e * rate->whole + high.hi, {high.lo, low.lo}};
    return r;
}

// Units gained in the e nanoseconds after base; UINT64_MAX if they are more than that.
TBU_FN uint64_t tbu_gain(const tbu_rate *rate, tbu_position base, uint64_t e) {
    const tbu_wide whole = tbu_mul(e, rate->whole);
    const uint64_t sum = tbu_advance(rate, base, e).units - base.units;
    return whole.hi != 0 || sum < whole.lo ? UINT64_MAX : sum;
}

// The smallest e with tbu_gain(e) >= d, or TBU_NEVER if it does not fit an int64_t. d < 2^62. e is the ceiling of
// (d - base.fraction) / rate. low and high bound that quotient: the reciprocal and each of the two roundings are less
// than 1 / 2^shift too small. If both have the same whole part e is the next number, else tbu_gain decides.
TBU_FN int64_t tbu_time_to(const tbu_rate *rate, tbu_position base, uint64_t d) {
    if (d == 0) return 0;
    const unsigned shift = (unsigned)rate->reciprocal_shift;
    const uint64_t fractions = rate->fraction.hi | rate->fraction.lo | base.fraction.hi | base.fraction.lo;
    if (fractions == 0) {
        uint64_t whole = tbu_shr(tbu_mul(d, rate->reciprocal), shift).lo;
        while (whole * rate->whole < d) ++whole;
        return (int64_t)whole;
    }
    const tbu_wide product = tbu_mul(d, rate->reciprocal);
    const tbu_wide ahead = tbu_make(0, tbu_mul(base.fraction.hi, rate->reciprocal).hi + 3);
    const tbu_wide low = tbu_less(product, ahead) ? tbu_make(0, 0) : tbu_shr(tbu_sub(product, ahead), shift);
    const tbu_wide high = tbu_shr(tbu_sub(tbu_add64(product, d + 2), ahead), shift);
    if (low.hi != 0 || low.lo >= (uint64_t)TBU_NEVER - 1) return TBU_NEVER;
    uint64_t e = low.lo + 1;
    while (low.lo != high.lo && tbu_gain(rate, base, e) < d) ++e;
    return (int64_t)e;
}

#endif
