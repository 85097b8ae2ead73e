#include "core/bucket/limit.h"

#include <algorithm>
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

tbu_fraction reduced(tbu_fraction x) {
    const tbu_wide divisor = tbu_gcd(x.numerator, x.denominator);
    return {tbu_divide(x.numerator, divisor).quotient, tbu_divide(x.denominator, divisor).quotient};
}

// The rate in tokens per nanosecond, reduced; out_of_range outside 1e-9 .. 1e10 tokens per second.
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

bool has_headroom(double capacity, uint64_t scale) {
    const uint64_t full = to_units(scale, capacity, TBU_DOWN);
    return (full > scale ? full : scale) <= kMaxDebtUnits / kHeadroom;
}

tbu_fraction units_per_ns(tbu_fraction tokens_per_ns, uint64_t scale) {
    const uint64_t common = tbu_gcd(tokens_per_ns.denominator, {0, scale}).lo;
    return {tbu_mul_wide(tokens_per_ns.numerator, scale / common),
            tbu_divide(tokens_per_ns.denominator, {0, common}).quotient};
}

bool is_at_most(tbu_fraction units_per_ns, uint64_t limit) {
    const tbu_quotient q = tbu_divide(units_per_ns.numerator, units_per_ns.denominator);
    return tbu_less(q.quotient, {0, limit}) ||
           (q.quotient.hi == 0 && q.quotient.lo == limit && (q.remainder.hi | q.remainder.lo) == 0);
}

int places_for(double capacity, tbu_fraction tokens_per_ns, uint64_t fastest) {
    const auto fits = [=](uint64_t scale) {
        return has_headroom(capacity, scale) && is_at_most(units_per_ns(tokens_per_ns, scale), fastest);
    };
    int places = kMaxPlaces;
    while (places > 0 && !fits(tbu_power_of_ten(places))) --places;
    return places;
}

uint64_t refinement_for(double capacity, tbu_fraction tokens_per_ns, uint64_t ten_to_places, uint64_t fastest) {
    // So that the base of the plan need not be moved more often than every millisecond.
    constexpr uint64_t kMillisecond = 1000000;
    const uint64_t most_per_ns = std::min(fastest, kMaxGrowthUnits / kMillisecond);
    const tbu_wide whole = units_per_ns(tokens_per_ns, ten_to_places).denominator;
    if (whole.hi != 0 || whole.lo > kMaxDebtUnits / kHeadroom / ten_to_places) return 1;
    const uint64_t scale = ten_to_places * whole.lo;
    const bool fits = has_headroom(capacity, scale) && is_at_most(units_per_ns(tokens_per_ns, scale), most_per_ns);
    return fits ? whole.lo : 1;
}

// The most nanoseconds in which less than kMaxGrowthUnits accrue, starting without a fraction of a unit.
uint64_t elapsed_limit(const tbu_rate &rate) {
    constexpr uint64_t kMaxElapsed = uint64_t{1} << 62;
    const uint64_t growth = static_cast<uint64_t>(tbu_time_to(&rate, {0, 0}, kMaxGrowthUnits));
    return growth < kMaxElapsed ? growth - 1 : kMaxElapsed;
}

Status limit_in(const Units &units, double capacity, tbu_fraction tokens_per_ns, Limit *limit) {
    const uint64_t full = to_units(units.scale, capacity, TBU_DOWN);
    if (full == 0 || full > kMaxCapacityUnits) return Status::out_of_range;
    const tbu_fraction per_ns = units_per_ns(tokens_per_ns, units.scale);
    const tbu_rate rate = tbu_rate_make(per_ns.numerator, per_ns.denominator);
    *limit = {units, capacity, full, rate, elapsed_limit(rate)};
    return Status::success;
}

}  // namespace

Status read_limit(const LimitSpec &spec, tbu_fraction *tokens_per_ns) {
    if (!is_finite(spec.capacity)) return Status::invalid_argument;
    if (spec.capacity < kMinCapacity || spec.capacity > kMaxCapacity) return Status::out_of_range;
    return read_rate(spec, tokens_per_ns);
}

bool is_amount(double n) {
    constexpr uint64_t kInfinity = uint64_t{0x7ff} << 52;
    return std::bit_cast<uint64_t>(n) - 1 < kInfinity - 1;
}

Status make_limit(const LimitSpec &spec, Limit *limit, uint64_t fastest) {
    tbu_fraction rate;
    if (const Status s = read_limit(spec, &rate); s != Status::success) return s;
    const int places = places_for(spec.capacity, rate, fastest);
    const uint64_t ten_to_places = tbu_power_of_ten(places);
    const uint64_t refinement = refinement_for(spec.capacity, rate, ten_to_places, fastest);
    const Units units{refinement, static_cast<unsigned>(places), ten_to_places * refinement};
    return limit_in(units, spec.capacity, rate, limit);
}

Status change_limit(const Units &units, const LimitSpec &spec, Limit *limit) {
    tbu_fraction rate;
    const Status s = read_limit(spec, &rate);
    return s == Status::success ? limit_in(units, spec.capacity, rate, limit) : s;
}

uint64_t to_units(uint64_t scale, double n, tbu_rounding rounding) {
    constexpr double kExact = 9e15;  // whole numbers below it are exact
    const uint64_t whole = n < kExact ? static_cast<uint64_t>(n) : 0;
    const tbu_wide units = tbu_mul(whole, scale);
    if (static_cast<double>(whole) == n && units.hi == 0 && units.lo >> 63 == 0) return units.lo;
    return tbu_to_units(split(n), scale, rounding);
}

double to_tokens_beyond_doubles(uint64_t units_per_token, int64_t units) {
    const int64_t scale = static_cast<int64_t>(units_per_token);
    if (scale <= 0) return 0;  // of a plan that is damaged
    const int64_t whole = units / scale;
    const int64_t rest = units % scale;
    const double sum = static_cast<double>(whole) + static_cast<double>(rest) / static_cast<double>(scale);
    const int64_t below = whole - (rest < 0 ? 1 : 0);
    const int64_t truncated = static_cast<int64_t>(sum);
    if (truncated - (sum < static_cast<double>(truncated) ? 1 : 0) <= below) return sum;
    const uint64_t bits = std::bit_cast<uint64_t>(sum);
    return std::bit_cast<double>(sum > 0 ? bits - 1 : bits + 1);
}

}  // namespace tb
