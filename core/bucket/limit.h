// A limit as asked for (tokens, doubles) and as counted (whole units).
//
// A token is scale = 10^places * refinement units. Amounts are resolved to 10^-places token, places being the largest
// of 0 .. 9 that the capacity leaves room for. The refinement makes the rate a whole number of units per nanosecond, if
// a token, a full bucket and what accrues in a millisecond still fit: then a bucket that has just become full holds no
// fraction of a unit that the clamp would forget, and decisions equal those of a bucket of real numbers. Otherwise it
// is 1, and a clamp may keep up to one unit.
#ifndef TOKENBUCKET_CORE_BUCKET_LIMIT_H
#define TOKENBUCKET_CORE_BUCKET_LIMIT_H

#include <cstdint>

#include "core/bucket/status.h"
#include "core/units/accrual.h"
#include "core/units/decimal.h"

namespace tb {

// Bounds in units that keep every difference of two positions below 2^60, and so its eightfold inside an int64_t: what
// a bucket holds, what it may owe, and what may accrue before the base of the accrual is moved up.
inline constexpr uint64_t kMaxCapacityUnits = uint64_t{1} << 58;
inline constexpr uint64_t kMaxDebtUnits = uint64_t{1} << 59;
inline constexpr uint64_t kMaxGrowthUnits = uint64_t{1} << 58;

struct LimitSpec {
    double capacity;
    double rate_tokens;
    int64_t rate_period_ns;
};

struct Limit {
    LimitSpec spec;
    uint64_t places;
    uint64_t refinement;
    uint64_t scale;
    uint64_t capacity_units;
    tbu_rate rate;
    uint64_t elapsed_limit;  // nanoseconds in which less than kMaxGrowthUnits accrue, at most 2^62
};

// Both check every range; *limit is written on success only.
Status make_limit(const LimitSpec &spec, Limit *limit);
// As make_limit, but in the units of `previous` wherever the new limit can be counted in them.
Status change_limit(const Limit &previous, const LimitSpec &spec, Limit *limit);

// Is n an amount: finite and greater than 0?
bool is_amount(double n);

// n in units; UINT64_MAX if that is beyond 63 bits. n is an amount.
uint64_t to_units(const Limit &limit, double n, tbu_rounding rounding);

// Units as tokens: the nearest double, except that it never shows a whole token more than there is.
double to_tokens(const Limit &limit, int64_t units);

}  // namespace tb

#endif
