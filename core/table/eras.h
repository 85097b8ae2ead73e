// How long ago a key was last asked for, so that one that was idle for a century is known to be full.
//
// A table never moves the positions of its keys (plan.h), so what has accrued would pass the 61 bits of a state word.
// An era is the time in which 2^57 units accrue: the number of the present one is the accrued position / 2^57, of which
// a plan (Plan::era) and a slot keep 18 bits. With A and Z, the accrued and spent positions, C, the capacity, at most
// 2^57, and D, the debt, at most 2^59: a slot is changed only so that A - C <= Z <= A + D. Then
//
// - after 6 or more eras A has grown by more than 5 * 2^57, which repays any debt and fills the bucket: 4 + 1 = 5;
// - before that A - Z is below 6 * 2^57 + C <= 7 * 2^57 < 2^60, so that it is known from the difference of two words.
//
// A slot's era may be one ahead of that of a thread with an older time. Less than 2^13 - 1 units accrue in a
// nanosecond, so that no more than 2^18 - 2 eras pass in the 2^62 ns for which a clock can run.
#ifndef TOKENBUCKET_CORE_TABLE_ERAS_H
#define TOKENBUCKET_CORE_TABLE_ERAS_H

#include <cstdint>

#include "core/bucket/plan.h"
#include "core/table/slot.h"

namespace tb {

inline constexpr unsigned kEraUnitBits = 57;
inline constexpr uint64_t kMaxTableCapacityUnits = uint64_t{1} << kEraUnitBits;
// Units per nanosecond: by which the units of a table are chosen, and the most that a change of the rate may bring.
inline constexpr uint64_t kTableGrowth = 64;
inline constexpr uint64_t kMaxTableGrowth = (uint64_t{1} << 13) - 1;

// `plan` with its base moved to `now`, in the era of `now`, and an elapsed_limit that ends with the era.
Plan in_era(const Plan &plan, int64_t now);

// The first plan of a table.
Plan plan_of_table(const Limit &limit, int64_t now);
// Can a table have that plan? Then all that is computed by it is defined and ends.
bool is_possible_in_table(const Plan &plan);

// Was a slot that was last changed in that era changed so long ago that it is full?
inline bool is_long_idle(uint64_t era_of_slot, uint64_t era) {
    constexpr uint64_t kNear = 6;
    return ((era - era_of_slot + 1) & Head::kEraMask) > kNear;
}

// The era of a slot after a change: a thread with an older time leaves that of the slot.
inline uint64_t later_era(uint64_t of_slot, uint64_t present) {
    return ((of_slot - present) & Head::kEraMask) == 1 ? of_slot : present;
}

}  // namespace tb

#endif
