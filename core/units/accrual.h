// Accrual: how many units have been gained after e nanoseconds, exactly.
//
// A rate of p / q units per nanosecond is kept as whole + fraction / 2^128 with the fraction rounded up, a position as
// units + fraction / 2^128 rounded down. Then
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
    uint64_t whole;
    tbu_wide fraction;
    tbu_wide reciprocal;  // nanoseconds per unit as 64.64 fixed point, saturated: an estimate, see tbu_time_to
} tbu_rate;

typedef struct tbu_position {
    uint64_t units;
    tbu_wide fraction;
} tbu_position;

#define TBU_NEVER INT64_MAX

// p / q units per nanosecond; p > 0, 0 < q < 2^127.
TBU_FN tbu_rate tbu_rate_make(tbu_wide p, tbu_wide q) {
    const tbu_quotient whole = tbu_divide(p, q);
    tbu_rate r = {whole.quotient.lo, {0, 0}, {0, 0}};
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
    r.reciprocal.hi = slow.quotient.hi != 0 ? UINT64_MAX : slow.quotient.lo;
    for (int bit = 63; bit >= 0; --bit) {
        const int carry = (int)(left.hi >> 63);
        left = tbu_shl(left, 1);
        if (carry || !tbu_less(left, p)) {
            left = tbu_sub(left, p);
            r.reciprocal.lo |= (uint64_t)1 << bit;
        }
    }
    return r;
}

// The position e nanoseconds after base. (e * fraction + base.fraction) is summed in three 64-bit limbs.
TBU_FN tbu_position tbu_advance(const tbu_rate *rate, tbu_position base, uint64_t e) {
    const tbu_wide low = tbu_add64(tbu_mul(e, rate->fraction.lo), base.fraction.lo);
    const tbu_wide high = tbu_add64(tbu_add64(tbu_mul(e, rate->fraction.hi), base.fraction.hi), low.hi);
    const tbu_position r = {base.units + e * rate->whole + high.hi, {high.lo, low.lo}};
    return r;
}

// Units gained e nanoseconds after base: gains(e) >= d is what tbu_time_to inverts. Saturates instead of wrapping.
TBU_FN uint64_t tbu_gain(const tbu_rate *rate, tbu_position base, uint64_t e) {
    const tbu_wide whole = tbu_mul(e, rate->whole);
    const uint64_t part = tbu_advance(rate, base, e).units - base.units - whole.lo;
    const uint64_t sum = whole.lo + part;
    return whole.hi != 0 || sum < part ? UINT64_MAX : sum;
}

// The smallest e with gain(e) >= d, or TBU_NEVER if it is no int64_t. d < 2^62. The estimate, d less the fraction that
// is there already, times the reciprocal, is off by at most a few nanoseconds; what decides is the comparison with gain
// itself, on both sides of the answer.
TBU_FN int64_t tbu_time_to(const tbu_rate *rate, tbu_position base, uint64_t d) {
    if (d == 0) return 0;
    const tbu_wide low = tbu_mul(d, rate->reciprocal.lo);
    const tbu_wide from_zero = tbu_add64(tbu_mul(d, rate->reciprocal.hi), low.hi);
    const uint64_t ahead = tbu_mul(base.fraction.hi, rate->reciprocal.hi).hi;
    const tbu_wide estimate = tbu_sub(from_zero, tbu_make(0, ahead));
    if (estimate.hi != 0 || estimate.lo >= (uint64_t)TBU_NEVER) return TBU_NEVER;
    uint64_t e = estimate.lo;
    while (tbu_gain(rate, base, e) < d) ++e;
    while (e > 0 && tbu_gain(rate, base, e - 1) >= d) --e;
    return e < (uint64_t)TBU_NEVER ? (int64_t)e : TBU_NEVER;
}

#endif
