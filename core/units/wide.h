// 128-bit unsigned integers, exact and portable.
//
// Everything in core/units is written in the common subset of C11 and C++20, without clock, lock or allocation, so that
// tools that read only C can prove it. The multiplication has two forms, chosen here: the compiler's
// 128-bit type, or four 32-bit products for targets without one; the unit tests hold them against each other.
#ifndef TOKENBUCKET_CORE_UNITS_WIDE_H
#define TOKENBUCKET_CORE_UNITS_WIDE_H

#include <stdint.h>

#ifdef __cplusplus
#define TBU_FN constexpr inline
#else
#define TBU_FN static inline
#endif

typedef struct tbu_wide {
    uint64_t hi;
    uint64_t lo;
} tbu_wide;

TBU_FN tbu_wide tbu_make(uint64_t hi, uint64_t lo) {
    tbu_wide r = {hi, lo};
    return r;
}

TBU_FN int tbu_less(tbu_wide a, tbu_wide b) {
    return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo;
}

// a + b and a - b modulo 2^128.
TBU_FN tbu_wide tbu_add(tbu_wide a, tbu_wide b) {
    const uint64_t lo = a.lo + b.lo;
    return tbu_make(a.hi + b.hi + (lo < a.lo), lo);
}

TBU_FN tbu_wide tbu_sub(tbu_wide a, tbu_wide b) {
    return tbu_make(a.hi - b.hi - (a.lo < b.lo), a.lo - b.lo);
}

TBU_FN tbu_wide tbu_add64(tbu_wide a, uint64_t b) {
    return tbu_add(a, tbu_make(0, b));
}

// Shifts by 0 .. 127.
TBU_FN tbu_wide tbu_shl(tbu_wide a, unsigned n) {
    if (n == 0) return a;
    if (n >= 64) return tbu_make(a.lo << (n - 64), 0);
    return tbu_make((a.hi << n) | (a.lo >> (64 - n)), a.lo << n);
}

TBU_FN tbu_wide tbu_shr(tbu_wide a, unsigned n) {
    if (n == 0) return a;
    if (n >= 64) return tbu_make(0, a.hi >> (n - 64));
    return tbu_make(a.hi >> n, (a.lo >> n) | (a.hi << (64 - n)));
}

TBU_FN tbu_wide tbu_mul_portable(uint64_t a, uint64_t b) {
    const uint64_t low = 0xffffffffu;
    const uint64_t p00 = (a & low) * (b & low);
    const uint64_t p01 = (a & low) * (b >> 32);
    const uint64_t p10 = (a >> 32) * (b & low);
    const uint64_t p11 = (a >> 32) * (b >> 32);
    const uint64_t mid = (p00 >> 32) + (p01 & low) + (p10 & low);
    return tbu_make(p11 + (p01 >> 32) + (p10 >> 32) + (mid >> 32), (mid << 32) | (p00 & low));
}

#ifdef __SIZEOF_INT128__
__extension__ typedef unsigned __int128 tbu_native;

// a * b + c + d, which always fits. The carries are added by hand: compilers widen c and d first otherwise.
TBU_FN tbu_wide tbu_mul_add(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    const tbu_native p = (tbu_native)a * b;
    const uint64_t lo = (uint64_t)p + c;
    const uint64_t sum = lo + d;
    return tbu_make((uint64_t)(p >> 64) + (lo < c) + (sum < d), sum);
}
#else
TBU_FN tbu_wide tbu_mul_add(uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
    return tbu_add64(tbu_add64(tbu_mul_portable(a, b), c), d);
}
#endif

TBU_FN tbu_wide tbu_mul(uint64_t a, uint64_t b) {
    return tbu_mul_add(a, b, 0, 0);
}

// a * b; the product must fit 128 bits.
TBU_FN tbu_wide tbu_mul_wide(tbu_wide a, uint64_t b) {
    tbu_wide r = tbu_mul(a.lo, b);
    r.hi += a.hi * b;
    return r;
}

typedef struct tbu_quotient {
    tbu_wide quotient;
    tbu_wide remainder;
} tbu_quotient;

// n * 2^bits / d by long division, 128 + bits steps: too slow for the common take. d is not 0; the quotient must fit
// 128 bits.
TBU_FN tbu_quotient tbu_divide_shifted(tbu_wide n, int bits, tbu_wide d) {
    tbu_quotient r = {{0, 0}, {0, 0}};
    for (int bit = 127; bit >= -bits; --bit) {
        const int carry = (int)(r.remainder.hi >> 63);
        r.remainder = tbu_shl(r.remainder, 1);
        if (bit >= 0) r.remainder.lo |= tbu_shr(n, (unsigned)bit).lo & 1;
        r.quotient = tbu_shl(r.quotient, 1);
        if (carry || !tbu_less(r.remainder, d)) {
            r.remainder = tbu_sub(r.remainder, d);
            r.quotient.lo |= 1;
        }
    }
    return r;
}

TBU_FN tbu_quotient tbu_divide(tbu_wide n, tbu_wide d) {
    return tbu_divide_shifted(n, 0, d);
}

TBU_FN tbu_wide tbu_gcd(tbu_wide a, tbu_wide b) {
    while (b.hi != 0 || b.lo != 0) {
        const tbu_wide r = tbu_divide(a, b).remainder;
        a = b;
        b = r;
    }
    return a;
}

#endif
