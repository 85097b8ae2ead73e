#include "core/clock/anchor.h"

#include <algorithm>

#include "core/units/wide.h"

namespace tb {
namespace {

constexpr int64_t kShortestBaseline = 10000000;  // nanoseconds
constexpr uint64_t kMostValid = 1000000000;      // nanoseconds
// CLOCK_MONOTONIC itself is steered by at most 500 parts per million either way, so two speeds differ by at most 1000
// if the counter ticks evenly.
constexpr uint64_t kOddPartsPerMillion = 1000;
constexpr uint64_t kSteerPartsPerMillion = 500;
constexpr uint64_t kMillion = 1000000;

uint64_t scaled_quotient(uint64_t ns, uint64_t ticks) {
    return tbu_divide_shifted({0, ns}, ClockAnchor::kSlopeBits, {0, ticks}).quotient.lo;
}

bool has_run_back(const ClockSample &origin, const ClockSample &now) {
    return static_cast<int64_t>(now.counter - origin.counter) <= 0;
}

}  // namespace

bool is_narrow(const ClockSample &sample, int64_t narrowest_ns) {
    constexpr int64_t kJitterNs = 50;
    return sample.width_ns() <= 4 * narrowest_ns + kJitterNs;
}

bool can_measure(const ClockSample &origin, const ClockSample &now) {
    return has_run_back(origin, now) || now.after_ns - origin.after_ns >= kShortestBaseline;
}

ClockAnchor no_anchor(const ClockSample &now, const ClockAnchor &last) {
    return {now.counter, std::max(now.after_ns, last.end()), 0, 0};
}

ClockAnchor next_anchor(const ClockSample &origin, const ClockSample &now, const ClockAnchor &last) {
    ClockAnchor next = no_anchor(now, last);
    if (has_run_back(origin, now)) return next;
    const bool first = last.span == 0;
    const uint64_t passed = static_cast<uint64_t>(now.after_ns - origin.after_ns);
    const uint64_t measured = scaled_quotient(passed, now.counter - origin.counter);
    const uint64_t tolerance = last.slope / kMillion * kOddPartsPerMillion;
    const bool odd = measured == 0 || (!first && measured - last.slope + tolerance > 2 * tolerance);
    if (odd) return next;
    const uint64_t valid = passed < kMostValid / 2 ? 2 * passed : kMostValid;
    const uint64_t ahead = static_cast<uint64_t>(next.time_ns - now.after_ns);
    const uint64_t most = valid / kMillion * kSteerPartsPerMillion;
    next.slope = tbu_divide(tbu_mul(measured, valid - (ahead < most ? ahead : most)), {0, valid}).quotient.lo;
    next.span = scaled_quotient(valid, next.slope);
    return next;
}

}  // namespace tb
