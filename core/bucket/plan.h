// A plan: everything a decision needs beside the state word, fixed while one generation is in force.
//
// The state word is spent units * 8 + generation (0 .. 7). The generation's lowest bit picks the slot that holds its
// plan. A change writes the other slot, then swaps word and generation in one compare-and-swap; so a thread that works
// with the old plan either fails its own compare-and-swap or finds the generation changed, and starts again.
//
// Positions (accrued, spent) are counted modulo 2^64, in the word modulo 2^61; only differences have meaning, and those
// stay below 2^60. Units, and so positions, are the same in all plans of a bucket.
#ifndef TOKENBUCKET_CORE_BUCKET_PLAN_H
#define TOKENBUCKET_CORE_BUCKET_PLAN_H

#include <cstdint>

#include "core/bucket/limit.h"
#include "core/versioned.h"

namespace tb {

inline constexpr uint64_t kGenerationMask = 7;
inline constexpr unsigned kGenerationBits = 3;
inline constexpr uint64_t kEras = uint64_t{1} << 16;

struct Plan {
    int64_t base_ns;
    tbu_position base;  // accrued at base_ns
    tbu_rate rate;
    uint64_t elapsed_limit;   // nanoseconds after base_ns in which at most kMaxGrowthUnits accrue
    uint64_t scale;           // units per token
    uint64_t capacity;        // units
    uint64_t largest_amount;  // bit pattern of the capacity in tokens, a double; 0: closed
    uint64_t traits;          // bits 0 .. 15 refinement, 16 .. 19 places, 20 closed, 21 .. 31 changes, 32 .. 63 era

    uint64_t refinement() const { return traits & 0xffff; }
    unsigned places() const { return traits >> 16 & 0xf; }
    bool is_closed() const { return (traits >> 20 & 1) != 0; }
    uint64_t era() const { return traits >> 32; }  // resets so far, modulo kEras; of a table see eras.h
    // Of a table: changes of the limit so far, modulo 2^11, also of those by which it remained the same.
    uint64_t changes() const { return traits >> 21 & 0x7ff; }
    void set_changes(uint64_t changes) { traits = (traits & ~(uint64_t{0x7ff} << 21)) | (changes & 0x7ff) << 21; }
    Units units() const { return {refinement(), places(), scale}; }

    void close();
    void begin_era() { set_era((era() + 1) % kEras); }
    void set_era(uint64_t era) { traits = (traits & 0xffffffff) | era << 32; }
};

using PlanSlot = Versioned<Plan>;

// An open plan in era 0.
Plan make_plan(const Limit &limit, int64_t base_ns, tbu_position base);

// A time, counted from the base of a plan; 0 if it is before the base.
struct Instant {
    uint64_t elapsed;   // nanoseconds
    uint64_t gain;      // units; UINT64_MAX if more
    tbu_wide fraction;  // of the position
};

struct Balance {
    Instant at;
    uint64_t accrued;   // position
    int64_t available;  // at most the capacity; negative in debt
};

Balance balance(uint64_t word, const Plan &plan, int64_t now);

// Do both bring the same?
inline bool is_same(const tbu_rate &a, const tbu_rate &b) {
    return a.whole == b.whole && a.fraction.hi == b.fraction.hi && a.fraction.lo == b.fraction.lo;
}

// Nanoseconds until the `rest` units that are there at `then` have grown to `target`, whatever the capacity; TBU_NEVER
// if that does not fit an int64_t. target - rest < 2^62.
inline int64_t time_to_grow(const tbu_rate &rate, const Instant &then, int64_t rest, int64_t target) {
    if (rest >= target) return 0;
    return tbu_time_to(&rate, then.fraction, static_cast<uint64_t>(target) - static_cast<uint64_t>(rest));
}
inline int64_t time_to_grow(const Plan &plan, const Instant &then, int64_t rest, int64_t target) {
    return time_to_grow(plan.rate, then, rest, target);
}

// The accrued position at `now`, which is not before the base.
tbu_position position_at(const Plan &plan, int64_t now);

// The same plan with its base moved to `now`, or unchanged if that is not later.
Plan rebased(const Plan &plan, int64_t now);

// The same plan with another limit, in force from its base on; `limit` is in the same units.
Plan relimited(const Plan &plan, const Limit &limit);

// The word that says `position` is spent, in the generation of `word`.
inline uint64_t word_at(uint64_t position, uint64_t word) {
    return position << kGenerationBits | (word & kGenerationMask);
}
// The same word in the next generation.
inline uint64_t next_generation(uint64_t word) {
    return (word & ~kGenerationMask) | ((word + 1) & kGenerationMask);
}

// The units spent in `word` less those in `other`.
inline int64_t word_difference(uint64_t word, uint64_t other) {
    return static_cast<int64_t>((word & ~kGenerationMask) - (other & ~kGenerationMask)) >> kGenerationBits;
}

}  // namespace tb

#endif
