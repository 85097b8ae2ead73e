// A limit as asked for (tokens, doubles) and as counted (whole units).
//
// A token is scale = 10^places * refinement units, fixed when the bucket is created; a later limit is counted in the
// same units. A scale has headroom if kHeadroom tokens and kHeadroom capacities are each at most kMaxDebtUnits. places
// is the largest of 0 .. 9 that has headroom, or 0. The refinement makes the rate a whole number of units per
// nanosecond; it is 1 if that number has no headroom or more than kMaxGrowthUnits would accrue in a millisecond. Then
// the accrual keeps a fraction of a unit, so that a full bucket may keep up to one unit too many.
#ifndef TOKENBUCKET_CORE_BUCKET_LIMIT_H
#define TOKENBUCKET_CORE_BUCKET_LIMIT_H

#include <cstdint>

#include "core/status.h"
#include "core/units/accrual.h"
#include "core/units/decimal.h"

namespace tb {

// Bounds in units: what a bucket holds, what it may owe, and what may accrue before the base of the plan is moved up.
// They keep every difference of two positions at most 2^60, so that it fits a word (plan.h), even if twice
// kMaxGrowthUnits accrue before the base is moved.
inline constexpr uint64_t kMaxCapacityUnits = uint64_t{1} << 58;
inline constexpr uint64_t kMaxDebtUnits = uint64_t{1} << 59;
inline constexpr uint64_t kMaxGrowthUnits = uint64_t{1} << 58;
// A bucket can owe so many of its first capacity, and so many tokens, and its capacity can grow to half of either,
// unless a unit is a whole token.
inline constexpr uint64_t kHeadroom = uint64_t{1} << 20;

struct LimitSpec {
    double capacity;
    double rate_tokens;
    int64_t rate_period_ns;
};

struct Units {
    uint64_t refinement;  // below 2^16, because of kHeadroom
    unsigned places;
    uint64_t scale;  // units per token
};

struct Limit {
    Units units;
    double capacity_tokens;
    uint64_t capacity;       // units
    tbu_rate rate;           // units per nanosecond
    uint64_t elapsed_limit;  // nanoseconds in which at most kMaxGrowthUnits accrue; at most 2^62
};

// make_limit chooses the units, so that at most `fastest` accrue in a nanosecond if a token is one unit or finer;
// change_limit keeps them. invalid_argument: a number that is not finite, or a period below 1 ns. out_of_range: outside
// the ranges of tb_create, or a capacity of less than one unit or more than kMaxCapacityUnits. *limit is written on
// success only.
Status make_limit(const LimitSpec &spec, Limit *limit, uint64_t fastest = UINT64_MAX);
Status change_limit(const Units &units, const LimitSpec &spec, Limit *limit);

// The rate in tokens per nanosecond, reduced. Errors as of make_limit for the ranges.
Status read_limit(const LimitSpec &spec, tbu_fraction *tokens_per_ns);

// Is n an amount: finite and greater than 0?
bool is_amount(double n);

// n in units; UINT64_MAX if that is beyond 63 bits. n is an amount.
uint64_t to_units(uint64_t scale, double n, tbu_rounding rounding);

// Units as tokens: the nearest double if both numbers are at most 2^53 in magnitude, else one next to it. It never
// shows a whole token more than there is. Scales are below 2^53.
double to_tokens_beyond_doubles(uint64_t units_per_token, int64_t units);
inline double to_tokens(uint64_t scale, int64_t units) {
    constexpr uint64_t kExact = uint64_t{1} << 53;
    if (static_cast<uint64_t>(units) + kExact > 2 * kExact) return to_tokens_beyond_doubles(scale, units);
    return static_cast<double>(units) / static_cast<double>(static_cast<int64_t>(scale));
}

}  // namespace tb

#endif
