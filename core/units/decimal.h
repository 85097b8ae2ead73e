// From doubles to exact numbers, by integer arithmetic alone: no rounding mode, flush-to-zero flag or libm takes part.
//
// A double written as 0.1 is not one tenth, but one tenth is meant. Two readings recover what was meant:
//   - the shortest decimal that rounds to the double, if it needs at most 15 significant digits (two decimals of up
//     to 15 digits never round to the same double);
//   - else, for rates, the simplest fraction that rounds to it: 1.0 / 3 is 1/3. A whole double stands for itself.
// Both stay within half a unit in the last place of the double.
#ifndef TOKENBUCKET_CORE_UNITS_DECIMAL_H
#define TOKENBUCKET_CORE_UNITS_DECIMAL_H

#include "core/units/wide.h"

// mantissa * 2^exponent, mantissa < 2^53, for a positive finite double.
typedef struct tbu_binary {
    uint64_t mantissa;
    int exponent;
} tbu_binary;

TBU_FN tbu_binary tbu_split(uint64_t bits) {
    const uint64_t fraction = bits & (((uint64_t)1 << 52) - 1);
    const int biased = (int)(bits >> 52);
    tbu_binary r = {biased != 0 ? fraction | ((uint64_t)1 << 52) : fraction, (biased != 0 ? biased : 1) - 1075};
    return r;
}

TBU_FN uint64_t tbu_power_of_ten(int n) {
    uint64_t r = 1;
    while (n-- > 0) r *= 10;
    return r;
}

// x as a scaled integer: floor(x * scale), and whether something was cut off. UINT64_MAX if it does not fit 63 bits.
typedef struct tbu_scaled {
    uint64_t floor;
    int inexact;
} tbu_scaled;

TBU_FN tbu_scaled tbu_scale(tbu_binary x, uint64_t scale) {
    const tbu_wide product = tbu_mul(x.mantissa, scale);
    tbu_scaled r = {UINT64_MAX, 1};
    if (x.exponent >= 0) {
        if (x.exponent > 62 || product.hi != 0 || product.lo >> (63 - x.exponent) != 0) return r;
        r.floor = product.lo << x.exponent;
        r.inexact = 0;
        return r;
    }
    const unsigned shift = (unsigned)-x.exponent;
    if (shift > 127) {
        r.floor = 0;
        return r;
    }
    const tbu_wide whole = tbu_shr(product, shift);
    const tbu_wide back = tbu_shl(whole, shift);
    if (whole.hi != 0 || whole.lo >> 63 != 0) return r;
    r.floor = whole.lo;
    r.inexact = back.hi != product.hi || back.lo != product.lo;
    return r;
}

// digits / 10^places; digits are 0 if there is no such decimal.
typedef struct tbu_decimal {
    uint64_t digits;
    int places;
} tbu_decimal;

#define TBU_MAX_DIGITS UINT64_C(1000000000000000)

// The decimal with the fewest places, at most max_places <= 18, that rounds to x and has at most 15 digits. N / 10^j
// rounds to M * 2^-s if it is less than half a unit in the last place away: |N * 2^(s+1) - 2 * M * 10^j| < 10^j.
TBU_FN tbu_decimal tbu_shortest(tbu_binary x, int max_places) {
    tbu_decimal none = {0, 0};
    if (x.exponent >= 0) {
        const tbu_scaled whole = tbu_scale(x, 1);
        if (whole.floor < TBU_MAX_DIGITS) none.digits = whole.floor;
        return none;
    }
    const unsigned shift = (unsigned)(1 - x.exponent);
    if (shift > 126) return none;
    uint64_t ten_to_places = 1;
    for (int places = 0; places <= max_places; ++places, ten_to_places *= 10) {
        const tbu_wide exact = tbu_mul(2 * x.mantissa, ten_to_places);
        const tbu_wide half = tbu_shl(tbu_make(0, 1), shift - 1);
        const tbu_wide nearest = tbu_shr(tbu_add(exact, half), shift);
        const tbu_wide back = tbu_shl(nearest, shift);
        const tbu_wide distance = tbu_less(back, exact) ? tbu_sub(exact, back) : tbu_sub(back, exact);
        if (nearest.hi != 0 || nearest.lo >= TBU_MAX_DIGITS) return none;
        if (nearest.lo != 0 && tbu_less(distance, tbu_make(0, ten_to_places))) {
            const tbu_decimal r = {nearest.lo, places};
            return r;
        }
    }
    return none;
}

typedef struct tbu_fraction {
    tbu_wide numerator;
    tbu_wide denominator;
} tbu_fraction;

// The fraction with the smallest denominator strictly between low and high: the terms of the continued fraction on
// which both agree, then the smallest whole number above `low` at the first term where they differ.
TBU_FN tbu_fraction tbu_simplest_between(tbu_fraction low, tbu_fraction high) {
    tbu_fraction previous = {{0, 0}, {0, 1}};
    tbu_fraction current = {{0, 1}, {0, 0}};
    for (;;) {
        const tbu_quotient l = tbu_divide(low.numerator, low.denominator);
        const tbu_wide above = tbu_add64(l.quotient, 1);
        const int parted = tbu_less(tbu_mul_wide(high.denominator, above.lo), high.numerator);
        const uint64_t term = parted ? above.lo : l.quotient.lo;
        const tbu_fraction next = {tbu_add(tbu_mul_wide(current.numerator, term), previous.numerator),
                                   tbu_add(tbu_mul_wide(current.denominator, term), previous.denominator)};
        if (parted) return next;
        const tbu_wide high_rest = tbu_sub(high.numerator, tbu_mul_wide(high.denominator, term));
        const tbu_fraction low_inverse = {low.denominator, l.remainder};
        const tbu_fraction high_inverse = {high.denominator, high_rest};
        // 1 / x reverses the order. If low had no remainder its inverse, the new upper bound, has the denominator 0,
        // and the next term differs.
        low = high_inverse;
        high = low_inverse;
        previous = current;
        current = next;
    }
}

// What a positive double stands for; the numerator is 0 if x < 2^-61 or x >= 2^63.
TBU_FN tbu_fraction tbu_meaning(tbu_binary x) {
    tbu_fraction r = {{0, 0}, {0, 1}};
    const tbu_decimal decimal = tbu_shortest(x, 18);
    if (decimal.digits != 0) {
        r.numerator.lo = decimal.digits;
        r.denominator.lo = tbu_power_of_ten(decimal.places);
        return r;
    }
    const tbu_scaled whole = tbu_scale(x, 1);
    if (whole.floor == UINT64_MAX) return r;
    if (!whole.inexact) {
        r.numerator.lo = whole.floor;
        return r;
    }
    if (x.exponent < -113) return r;
    const tbu_wide denominator = tbu_shl(tbu_make(0, 1), (unsigned)(1 - x.exponent));
    const tbu_fraction low = {{0, 2 * x.mantissa - 1}, denominator};
    const tbu_fraction high = {{0, 2 * x.mantissa + 1}, denominator};
    return tbu_simplest_between(low, high);
}

typedef enum tbu_rounding { TBU_DOWN, TBU_UP } tbu_rounding;

// x tokens in units of 1 / scale token: exact where the decimal meant is a whole number of units, else rounded.
// A decimal of more than 18 places counts as the binary number. UINT64_MAX if the result does not fit 63 bits.
TBU_FN uint64_t tbu_to_units(tbu_binary x, uint64_t scale, tbu_rounding rounding) {
    const tbu_decimal decimal = tbu_shortest(x, 18);
    if (decimal.digits != 0) {
        const tbu_quotient q =
            tbu_divide(tbu_mul(decimal.digits, scale), tbu_make(0, tbu_power_of_ten(decimal.places)));
        const uint64_t up = rounding == TBU_UP && (q.remainder.hi | q.remainder.lo) != 0;
        return q.quotient.hi != 0 || q.quotient.lo >> 63 != 0 ? UINT64_MAX : q.quotient.lo + up;
    }
    const tbu_scaled scaled = tbu_scale(x, scale);
    if (scaled.floor == UINT64_MAX) return UINT64_MAX;
    return scaled.floor + (rounding == TBU_UP && scaled.inexact ? 1 : 0);
}

// tbu_to_units for the scale ten_to_places * refinement, rounded up, without its search and divisions; 0 if only
// tbu_to_units can tell. x is not whole; the result must fit 64 bits. As long as the nearest multiple of
// 1 / ten_to_places has at most 15 digits, the doubles lie closer than the multiples, so no other can be the decimal
// meant. It is that decimal if it lies within half a unit in the last place of x. Else no multiple lies between x and
// the decimal meant, so both round up to the same one.
TBU_FN uint64_t tbu_fraction_to_units(tbu_binary x, uint64_t ten_to_places, uint64_t refinement) {
    const unsigned shift = (unsigned)-x.exponent;
    if (shift - 1 > 62) return 0;
    const tbu_wide exact = tbu_mul(x.mantissa, ten_to_places);
    const tbu_wide rounded = tbu_mul_add(x.mantissa, ten_to_places, (uint64_t)1 << (shift - 1), 0);
    const uint64_t nearest = rounded.hi << (64 - shift) | rounded.lo >> shift;
    const uint64_t off = exact.lo - (nearest << shift);
    const int above = off >> 63 != 0;
    const uint64_t distance = above ? 0 - off : off;
    if (rounded.hi >> shift != 0 || nearest >= TBU_MAX_DIGITS) return 0;
    if (nearest != 0 && 2 * distance < ten_to_places) return nearest * refinement;
    return refinement == 1 ? nearest + (above ? 0 : 1) : 0;
}

#endif
