// What a double stands for, read from the manual: the shortest decimal of up to 15 digits that reads back as it, else
// (for rates) the simplest fraction that does. By printing, reading back and trying: nothing here comes from
// core/units.
#ifndef TOKENBUCKET_TESTS_MODEL_MEANING_H
#define TOKENBUCKET_TESTS_MODEL_MEANING_H

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/model/integer.h"

namespace model {

// Lowest terms, denominator > 0.
struct Rational {
    Integer numerator;
    Integer denominator;
};

inline Rational ratio(const Integer &numerator, const Integer &denominator) {
    const Integer divisor = gcd(numerator < Integer(0) ? -numerator : numerator, denominator);
    return {floor_of(numerator, divisor), floor_of(denominator, divisor)};
}

inline Rational operator*(const Rational &a, const Rational &b) {
    return ratio(a.numerator * b.numerator, a.denominator * b.denominator);
}

inline Integer common_denominator(const Rational &a, const Rational &b) {
    return a.denominator * floor_of(b.denominator, gcd(a.denominator, b.denominator));
}

inline Rational binary_value(double x) {
    int exponent = 0;
    const int64_t mantissa = static_cast<int64_t>(std::ldexp(std::frexp(x, &exponent), 53));
    exponent -= 53;
    if (exponent >= 0) return {Integer(mantissa) * Integer::power(2, exponent), 1};
    return ratio(mantissa, Integer::power(2, -exponent));
}

// The decimal of up to 15 digits that reads back as x, if there is one (two such decimals never read as one double).
inline bool short_decimal(double x, Rational *decimal) {
    char text[40];
    std::snprintf(text, sizeof text, "%.14e", x);
    if (std::strtod(text, nullptr) != x) return false;
    const int exponent = std::atoi(std::strchr(text, 'e') + 1) - 14;
    int64_t digits = 0;
    for (const char *c = text; *c != 'e'; ++c)
        if (*c != '.') digits = digits * 10 + (*c - '0');
    *decimal = exponent >= 0 ? Rational{Integer(digits) * Integer::power(10, exponent), 1}
                             : ratio(digits, Integer::power(10, -exponent));
    return true;
}

// The fraction of least denominator that reads back as x, tried one denominator after another. Denominators below 10^7
// only.
inline Rational simplest_fraction(double x) {
    const Rational exact = binary_value(x);
    for (int64_t q = 1; q < 10000000; ++q) {
        // p / q for the p next to x * q. The quotient of two doubles that are whole numbers is rounded as it is read.
        const Integer p =
            floor_of(exact.numerator * Integer(2 * q) + exact.denominator, exact.denominator * Integer(2));
        if (p > Integer(int64_t{1} << 53)) break;
        if (p.to_double() / static_cast<double>(q) == x) return ratio(p, q);
    }
    stop("no simple fraction");
}

inline Rational rate_meaning(double x) {
    Rational r;
    return short_decimal(x, &r) ? r : simplest_fraction(x);
}

inline Rational amount_meaning(double x) {
    Rational r;
    return short_decimal(x, &r) ? r : binary_value(x);
}

inline Integer floor_of(const Rational &x) {
    return floor_of(x.numerator, x.denominator);
}

inline Integer ceiling_of(const Rational &x) {
    return ceiling_of(x.numerator, x.denominator);
}

}  // namespace model

#endif
