// Signed integers of up to 256 bits that stop the program rather than wrap. Slow and plain on purpose; held against
// Python's integers by integer_test.sh. Nothing here comes from core/units.
#ifndef TOKENBUCKET_TESTS_MODEL_INTEGER_H
#define TOKENBUCKET_TESTS_MODEL_INTEGER_H

#include <algorithm>
#include <array>
#include <cmath>
#include <compare>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace model {

#ifdef __SIZEOF_INT128__
using Limb = uint64_t;
__extension__ typedef unsigned __int128 Pair;  // of limbs
#else
using Limb = uint32_t;
using Pair = uint64_t;
#endif
inline constexpr int kLimbBits = 8 * sizeof(Limb);

[[noreturn]] inline void stop(const char *what) {
    std::fprintf(stderr, "model: %s\n", what);
    std::abort();
}

class Integer {
  public:
    Integer(int64_t value = 0) : negative_(value < 0) {
        set_low(value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value));
    }

    static Integer of_unsigned(uint64_t value) {
        Integer r;
        r.set_low(value);
        return r;
    }

    static Integer power(int64_t base, int exponent) {
        Integer r = 1;
        while (exponent-- > 0) r = r * base;
        return r;
    }

    friend Integer operator-(const Integer &a) {
        Integer r = a;
        r.negative_ = !a.negative_ && !a.is_zero();
        return r;
    }

    friend Integer operator+(const Integer &a, const Integer &b) {
        if (a.negative_ == b.negative_) return signed_as(a.negative_, sum(a, b));
        return compare_magnitudes(a, b) >= 0 ? signed_as(a.negative_, difference(a, b))
                                             : signed_as(b.negative_, difference(b, a));
    }
    friend Integer operator-(const Integer &a, const Integer &b) { return a + -b; }

    friend Integer operator*(const Integer &a, const Integer &b) {
        Integer r;
        for (std::size_t i = 0; i < kLimbs; ++i) {
            if (a.limbs_[i] == 0) continue;
            Limb carry = 0;
            for (std::size_t j = 0; j < kLimbs; ++j) {
                if (i + j >= kLimbs) {
                    if (b.limbs_[j] != 0 || carry != 0) stop("product does not fit");
                    continue;
                }
                const Pair p = static_cast<Pair>(a.limbs_[i]) * b.limbs_[j] + r.limbs_[i + j] + carry;
                r.limbs_[i + j] = static_cast<Limb>(p);
                carry = static_cast<Limb>(p >> kLimbBits);
            }
            if (carry != 0) stop("product does not fit");
        }
        return signed_as(a.negative_ != b.negative_, r);
    }

    // The largest integer not above a / b, and what is left: a == b * floor + rest, 0 <= rest < b. b > 0.
    struct Division;
    friend Division divide(const Integer &a, const Integer &b);

    friend bool operator==(const Integer &a, const Integer &b) = default;
    friend std::strong_ordering operator<=>(const Integer &a, const Integer &b) {
        if (a.negative_ != b.negative_) return b.negative_ <=> a.negative_;
        const int order = a.negative_ ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
        return order <=> 0;
    }

    bool is_zero() const { return *this == Integer(); }
    bool fits_int64() const { return *this >= Integer(INT64_MIN) && *this <= Integer(INT64_MAX); }
    int64_t to_int64() const {
        if (!fits_int64()) stop("not an int64_t");
        return static_cast<int64_t>(negative_ ? 0 - low() : low());
    }
    uint64_t to_uint64() const {
        if (negative_ || *this > of_unsigned(UINT64_MAX)) stop("not a uint64_t");
        return low();
    }
    double to_double() const {  // exact up to 2^53
        double r = 0;
        for (std::size_t i = kLimbs; i-- > 0;) r = std::ldexp(r, kLimbBits) + static_cast<double>(limbs_[i]);
        return negative_ ? -r : r;
    }

  private:
    static constexpr std::size_t kLimbs = 256 / kLimbBits;

    uint64_t low() const {
        uint64_t r = 0;
        for (int i = 0; i < 64 / kLimbBits; ++i)
            r |= static_cast<uint64_t>(limbs_[static_cast<std::size_t>(i)]) << i * kLimbBits;
        return r;
    }
    void set_low(uint64_t value) {
        for (int i = 0; i < 64 / kLimbBits; ++i)
            limbs_[static_cast<std::size_t>(i)] = static_cast<Limb>(value >> i * kLimbBits);
    }

    static Integer signed_as(bool negative, const Integer &magnitude) {
        Integer r = magnitude;
        r.negative_ = negative && !r.is_zero_magnitude();
        return r;
    }
    bool is_zero_from(std::size_t limb) const {
        return std::all_of(limbs_.begin() + limb, limbs_.end(), [](Limb l) { return l == 0; });
    }
    bool is_zero_magnitude() const { return is_zero_from(0); }

    static int compare_magnitudes(const Integer &a, const Integer &b) {
        for (std::size_t i = kLimbs; i-- > 0;)
            if (a.limbs_[i] != b.limbs_[i]) return a.limbs_[i] < b.limbs_[i] ? -1 : 1;
        return 0;
    }

    static Integer sum(const Integer &a, const Integer &b) {
        Integer r;
        Limb carry = 0;
        for (std::size_t i = 0; i < kLimbs; ++i) {
            const Pair s = static_cast<Pair>(a.limbs_[i]) + b.limbs_[i] + carry;
            r.limbs_[i] = static_cast<Limb>(s);
            carry = static_cast<Limb>(s >> kLimbBits);
        }
        if (carry != 0) stop("sum does not fit");
        return r;
    }

    // Of magnitudes, a >= b.
    static Integer difference(const Integer &a, const Integer &b) {
        Integer r;
        Limb borrow = 0;
        for (std::size_t i = 0; i < kLimbs; ++i) {
            const Pair d = static_cast<Pair>(a.limbs_[i]) - b.limbs_[i] - borrow;
            r.limbs_[i] = static_cast<Limb>(d);
            borrow = d >> kLimbBits != 0 ? 1 : 0;
        }
        return r;
    }

    bool bit(int i) const { return (limbs_[static_cast<std::size_t>(i / kLimbBits)] >> (i % kLimbBits) & 1) != 0; }
    int bits() const {
        int n = 256;
        while (n > 0 && !bit(n - 1)) --n;
        return n;
    }
    bool is_pair() const { return is_zero_from(2); }
    Pair pair() const { return static_cast<Pair>(limbs_[1]) << kLimbBits | limbs_[0]; }
    static Integer of_pair(Pair p) {
        Integer r;
        r.limbs_[0] = static_cast<Limb>(p);
        r.limbs_[1] = static_cast<Limb>(p >> kLimbBits);
        return r;
    }

    bool negative_ = false;
    std::array<Limb, kLimbs> limbs_ = {};
};

struct Integer::Division {
    Integer floor;
    Integer rest;
};

inline Integer::Division divide(const Integer &a, const Integer &b) {
    if (b <= Integer(0)) stop("divisor not above 0");
    const Integer magnitude = a < Integer(0) ? -a : a;
    Integer::Division d;
    if (magnitude.is_pair() && b.is_pair()) {
        d = {Integer::of_pair(magnitude.pair() / b.pair()), Integer::of_pair(magnitude.pair() % b.pair())};
    } else {
        for (int i = magnitude.bits() - 1; i >= 0; --i) {
            d.rest = d.rest + d.rest + Integer(magnitude.bit(i) ? 1 : 0);
            d.floor = d.floor + d.floor;
            if (d.rest >= b) {
                d.rest = d.rest - b;
                d.floor = d.floor + Integer(1);
            }
        }
    }
    if (a >= Integer(0)) return d;
    if (d.rest.is_zero()) return {-d.floor, Integer(0)};
    return {-d.floor - Integer(1), b - d.rest};
}

inline Integer floor_of(const Integer &a, const Integer &b) {
    return divide(a, b).floor;
}

inline Integer ceiling_of(const Integer &a, const Integer &b) {
    return -floor_of(-a, b);
}

inline Integer gcd(Integer a, Integer b) {
    while (!b.is_zero()) {
        const Integer rest = divide(a, b).rest;
        a = b;
        b = rest;
    }
    return a;
}

}  // namespace model

#endif
