// The decision: pure arithmetic on the state word, its plan, an amount and a time in nanoseconds, not negative.
// Every take is decided here, also a reservation that is due at once.
//
// Units spent are Z, accrued A, both positions. n units are there if Z' = max(Z, A - capacity) + n <= A. Then Z' is the
// next word; a refusal stores nothing. An older time than another thread's can only under-grant.
#ifndef TOKENBUCKET_CORE_BUCKET_DECIDE_H
#define TOKENBUCKET_CORE_BUCKET_DECIDE_H

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/bucket/plan.h"

namespace tb {

struct Decision {
    // success, denied, exceeds_capacity, closed or invalid_argument; stale if the plan was replaced during the reading,
    // or so much has accrued since its base that no word can be told from the old one.
    Status status;
    // More than plan.elapsed_limit has elapsed since the plan's base, which should be moved up before this is stored.
    bool outgrown;
    uint64_t next;  // the word to store if success
    int64_t rest;   // units left after the take (success) or there (denied, exceeds_capacity)
    int64_t cost;   // of n, in units; 0 unless success or denied
    Instant at;
};

constexpr Decision refusal(Status why) {
    return {why, false, 0, 0, 0, {0, 0, {0, 0}}};
}

// One for each number that 4 bits can be; no possible plan has more than 9 places.
inline constexpr uint64_t kPowersOfTen[16] = {1,      10,      100,      1000,      10000,
                                              100000, 1000000, 10000000, 100000000, 1000000000};

// The decision in all cases. decide() needs it for an n that can never be granted, an n that needs a decimal search,
// and times before the base or more than plan.elapsed_limit after it.
Decision decide_slowly(uint64_t word, const PlanSlot &slot, double n, int64_t now);

// The cost of n in units, rounded up but at most the capacity. invalid_argument: n is no amount. exceeds_capacity.
Status cost_of(const Plan &plan, double n, int64_t *cost);
// What n has cost, also if the capacity has become less since. n is an amount.
uint64_t units_used(const Plan &plan, double n);

// As decide(), for as many whole tokens as there are, at most `most`. Success with cost 0 if there are none.
Decision decide_up_to(uint64_t word, const PlanSlot &slot, double most, int64_t now);

// A number of 128 bits of the plan, read in place.
template <std::size_t Offset>
[[gnu::always_inline]] inline tbu_wide wide_at(const PlanSlot &plan) {
    return {plan.at<Offset + offsetof(tbu_wide, hi)>(), plan.at<Offset + offsetof(tbu_wide, lo)>()};
}

// The rate without its reciprocal, which tbu_advance does not need.
[[gnu::always_inline]] inline tbu_rate speed_of(const PlanSlot &plan) {
    constexpr std::size_t kRate = offsetof(Plan, rate);
    return {plan.at<kRate + offsetof(tbu_rate, whole)>(), wide_at<kRate + offsetof(tbu_rate, fraction)>(plan), {0, 0}};
}

// Is n a whole number in [0, 2^62)? The bit patterns of NaN, -0.0 and all negative numbers are above that of 2^62.
inline bool is_whole(double n) {
    constexpr uint64_t kTooLarge = std::bit_cast<uint64_t>(0x1p62);
    return std::bit_cast<uint64_t>(n) < kTooLarge && static_cast<double>(static_cast<int64_t>(n)) == n;
}

// Is n a multiple of 1/16 in (0, 2^58)? Then it stands for itself (decimal.h), for no decimal N / 10^p beside it, with
// N below 10^15, rounds to it: half a unit in its last place is at most 10^(15 - p) / 2^53, but a decimal of 1 to 3
// places is at least 5^-p / 16 away, one of more at least 10^-p, and a whole number is a double of its own. No flag
// that flushes to zero takes part, as the least n is 1/16.
inline bool is_in_sixteenths(double n) {
    constexpr uint64_t kLeast = std::bit_cast<uint64_t>(0x1p-4);
    constexpr uint64_t kTooLarge = std::bit_cast<uint64_t>(0x1p58);
    if (std::bit_cast<uint64_t>(n) - kLeast >= kTooLarge - kLeast) return false;
    return static_cast<double>(static_cast<int64_t>(n * 16)) == n * 16;
}

// n in units, rounded up, for an n not above the capacity, reading the plan in place: 0 if only cost_of can tell, which
// kSure excludes.
struct PriceInSixteenths {
    static constexpr bool kSure = true;
    uint64_t operator()(const PlanSlot &plan, double n) const {
        // At most 16 * (kMaxCapacityUnits + 1) + 15.
        const uint64_t sixteenths =
            static_cast<uint64_t>(static_cast<int64_t>(n * 16)) * plan.at<offsetof(Plan, scale)>();
        return (sixteenths + 15) >> 4;
    }
};
struct PriceOfFraction {
    static constexpr bool kSure = false;
    uint64_t operator()(const PlanSlot &plan, double n) const {
        Plan p{};
        p.traits = plan.at<offsetof(Plan, traits)>();
        const tbu_binary x = tbu_split(std::bit_cast<uint64_t>(n));
        return tbu_fraction_to_units(x, kPowersOfTen[p.places()], p.refinement());
    }
};

// The decision in the common case; false if only decide_slowly can tell.
template <class Price>
[[gnu::always_inline]] inline bool decide_in_place(uint64_t word, const PlanSlot &plan, double n, int64_t now,
                                                   Decision *decision) {
    const uint64_t version = plan.version();
    const uint64_t elapsed = static_cast<uint64_t>(now) - plan.at<offsetof(Plan, base_ns)>();
    // Bit patterns of positive doubles are ordered as the numbers, and those of all others are larger once 1 is taken
    // off. So the first comparison refuses every n that cannot be granted; the second also refuses times before the
    // base.
    if (std::bit_cast<uint64_t>(n) - 1 >= plan.at<offsetof(Plan, largest_amount)>()) [[unlikely]]
        return false;
    if (elapsed > plan.at<offsetof(Plan, elapsed_limit)>()) [[unlikely]]
        return false;
    const tbu_rate rate = speed_of(plan);
    const tbu_wide fraction = wide_at<offsetof(Plan, base) + offsetof(tbu_position, fraction)>(plan);
    const tbu_position gain = tbu_advance(&rate, {0, fraction}, elapsed);
    const uint64_t accrued = plan.at<offsetof(Plan, base) + offsetof(tbu_position, units)>() + gain.units;
    const int64_t held = static_cast<int64_t>((accrued << kGenerationBits | kGenerationMask) - word) >> kGenerationBits;
    const int64_t capacity = static_cast<int64_t>(plan.at<offsetof(Plan, capacity)>());
    const int64_t cost = std::min(static_cast<int64_t>(Price()(plan, n)), capacity);
    const int64_t rest = (held < capacity ? held : capacity) - cost;
    if ((!Price::kSure && cost == 0) || !plan.is_still(version)) [[unlikely]]
        return false;
    const bool granted = rest >= 0;
    const uint64_t next = word + (static_cast<uint64_t>(held - rest) << kGenerationBits);
    *decision = {
        granted ? Status::success : Status::denied, false, granted ? next : word, granted ? rest : rest + cost, cost,
        {elapsed, gain.units, gain.fraction}};
    return true;
}

[[gnu::always_inline]] inline Decision decide(uint64_t word, const PlanSlot &plan, double n, int64_t now) {
    Decision d;
    const bool decided = is_in_sixteenths(n) ? decide_in_place<PriceInSixteenths>(word, plan, n, now, &d)
                                             : decide_in_place<PriceOfFraction>(word, plan, n, now, &d);
    if (!decided) [[unlikely]]
        d = decide_slowly(word, plan, n, now);
    return d;
}

}  // namespace tb

#endif
