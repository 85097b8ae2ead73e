#include "core/bucket/limit.h"

#include <bit>

namespace tb {
namespace {

constexpr int kMaxPlaces = 9;
constexpr double kMinCapacity = 1e-6;
constexpr double kMaxCapacity = 1e15;

tbu_binary split(double x) {
    return tbu_split(std::bit_cast<uint64_t>(x));
}

// The bit pattern, because -ffast-math in a program that embeds the sources may compile x != x away.
bool is_finite(double x) {
    return (std::bit_cast<uint64_t>(x) >> 52 & 0x7ff) != 0x7ff;
}

Status check_capacity(double capacity) {
    if (!is_finite(capacity)) return Status::invalid_argument;
    return capacity >= kMinCapacity && capacity <= kMaxCapacity ? Status::success : Status::out_of_range;
}

tbu_fraction reduced(tbu_fraction x) {
    const tbu_wide divisor = tbu_gcd(x.numerator, x.denominator);
    return {tbu_divide(x.numerator, divisor).quotient, tbu_divide(x.denominator, divisor).quotient};
}

// The rate in tokens per nanosecond, reduced; 1e-9 .. 1e10 tokens per second.
Status read_rate(const LimitSpec &spec, tbu_fraction *rate) {
    if (!is_finite(spec.rate_tokens) || spec.rate_period_ns <= 0) return Status::invalid_argument;
    if (!is_amount(spec.rate_tokens)) return Status::out_of_range;
    const tbu_fraction tokens = tbu_meaning(split(spec.rate_tokens));
    if (tokens.numerator.lo == 0) return Status::out_of_range;
    const uint64_t period = static_cast<uint64_t>(spec.rate_period_ns);
    const tbu_fraction r = reduced({tokens.numerator, tbu_mul(tokens.denominator.lo, period)});
    const tbu_wide ten_per_ns = tbu_mul_wide(r.denominator, 10);
    const tbu_wide lowest = tbu_mul(r.numerator.lo, tbu_power_of_ten(18));
    if (tbu_less(ten_per_ns, r.numerator) || tbu_less(lowest, r.denominator)) return Status::out_of_range;
    *rate = r;
    return Status::success;
}

Status check(const LimitSpec &spec, tbu_fraction *rate) {
    const Status s = check_capacity(spec.capacity);
    return s == Status::success ? read_rate(spec, rate) : s;
}

int places_for(double capacity) {
    int places = kMaxPlaces;
    while (tbu_to_units(split(capacity), places, TBU_DOWN) > kMaxCapacityUnits) --places;
    return places;
}

tbu_fraction units_per_ns(tbu_fraction tokens_per_ns, uint64_t scale) {
    const uint64_t common = tbu_gcd(tokens_per_ns.denominator, {0, scale}).lo;
    return {tbu_mul_wide(tokens_per_ns.numerator, scale / common),
            tbu_divide(tokens_per_ns.denominator, {0, common}).quotient};
}

// Without the growth of a millisecond, the base would have to be moved at every other take.
bool fits(double capacity, tbu_fraction tokens_per_ns, int places, tbu_wide refinement) {
    constexpr uint64_t kMillisecond = 1000000;
    if (refinement.hi != 0) return false;
    const uint64_t token = tbu_power_of_ten(places);
    const uint64_t full = tbu_to_units(split(capacity), places, TBU_DOWN);
    const tbu_wide largest = tbu_mul(full > token ? full : token, refinement.lo);
    if (largest.hi != 0 || largest.lo > kMaxCapacityUnits) return false;
    const tbu_fraction rate = units_per_ns(tokens_per_ns, token * refinement.lo);
    const tbu_wide per_ns = tbu_divide(rate.numerator, rate.denominator).quotient;
    const tbu_wide growth = tbu_mul(per_ns.lo, kMillisecond);
    return per_ns.hi == 0 && growth.hi == 0 && growth.lo <= kMaxGrowthUnits;
}

// The most nanoseconds in which less than kMaxGrowthUnits accrue.
uint64_t elapsed_limit(const tbu_rate &rate) {
    constexpr uint64_t kMaxElapsed = uint64_t{1} << 62;
    const uint64_t growth = static_cast<uint64_t>(tbu_time_to(&rate, {0, {0, 0}}, kMaxGrowthUnits));
    return growth < kMaxElapsed ? growth - 1 : kMaxElapsed;
}

Limit counted(const LimitSpec &spec, tbu_fraction tokens_per_ns, int places, uint64_t refinement) {
    const uint64_t scale = tbu_power_of_ten(places) * refinement;
    const tbu_fraction rate = units_per_ns(tokens_per_ns, scale);
    Limit r{spec, static_cast<uint64_t>(places), refinement, scale, 0, tbu_rate_make(rate.numerator, rate.denominator),
            0};
    r.capacity_units = tbu_to_units(split(spec.capacity), places, TBU_DOWN) * refinement;
    r.elapsed_limit = elapsed_limit(r.rate);
    return r;
}

}  // namespace

bool is_amount(double n) {
    return tbu_is_positive(std::bit_cast<uint64_t>(n)) != 0;
}

Status make_limit(const LimitSpec &spec, Limit *limit) {
    tbu_fraction rate;
    if (const Status s = check(spec, &rate); s != Status::success) return s;
    const int places = places_for(spec.capacity);
    const tbu_wide refinement = units_per_ns(rate, tbu_power_of_ten(places)).denominator;
    *limit = counted(spec, rate, places, fits(spec.capacity, rate, places, refinement) ? refinement.lo : 1);
    return Status::success;
}

Status change_limit(const Limit &previous, const LimitSpec &spec, Limit *limit) {
    tbu_fraction rate;
    if (const Status s = check(spec, &rate); s != Status::success) return s;
    const int places = places_for(spec.capacity);
    const bool same_units =
        static_cast<uint64_t>(places) == previous.places && fits(spec.capacity, rate, places, {0, previous.refinement});
    if (!same_units) return make_limit(spec, limit);
    *limit = counted(spec, rate, places, previous.refinement);
    return Status::success;
}

uint64_t to_units(const Limit &limit, double n, tbu_rounding rounding) {
    const uint64_t coarse = tbu_to_units(split(n), static_cast<int>(limit.places), rounding);
    const tbu_wide units = tbu_mul(coarse, limit.refinement);
    return coarse == UINT64_MAX || units.hi != 0 || units.lo >> 63 != 0 ? UINT64_MAX : units.lo;
}

double to_tokens(const Limit &limit, int64_t units) {
    constexpr int64_t kExact = int64_t{1} << 53;
    const int64_t scale = static_cast<int64_t>(limit.scale);
    if (scale <= kExact && units <= kExact && units >= -kExact)
        return static_cast<double>(units) / static_cast<double>(scale);
    const int64_t whole = units / scale;
    const int64_t rest = units % scale;
    const double sum = static_cast<double>(whole) + static_cast<double>(rest) / static_cast<double>(scale);
    const double next = static_cast<double>(whole + (rest >= 0 ? 1 : 0));
    if (sum < next) return sum;
    const uint64_t bits = std::bit_cast<uint64_t>(next);
    return std::bit_cast<double>(next > 0 ? bits - 1 : bits + 1);
}

}  // namespace tb
