// A plan: everything a decision needs beside the state word, fixed while one generation is in force.
//
// The state word is spent units * 8 + generation (0 .. 7). The generation's lowest bit picks the slot that holds its
// plan. A change writes the other slot, then swaps word and generation in one compare-and-swap; so a thread that works
// with the old plan either fails its own compare-and-swap or finds the generation changed, and starts again. Slots are
// read word by word with acquire, written with release: a reader that saw any part of a newer plan also sees the newer
// generation. What remains is a thread that stands still inside one call during eight changes that also bring back the
// very same number of spent units.
//
// Positions (accrued, spent) are counted modulo 2^61 units; only differences have meaning, and those stay below 2^60.
#ifndef TOKENBUCKET_CORE_BUCKET_PLAN_H
#define TOKENBUCKET_CORE_BUCKET_PLAN_H

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "core/bucket/limit.h"

namespace tb {

inline constexpr uint64_t kGenerationMask = 7;
inline constexpr unsigned kGenerationBits = 3;
inline constexpr std::size_t kCacheLine = 64;

struct Plan {
    // What a plain take reads: one cache line. Units times eight line up with the state word.
    int64_t base_ns;
    uint64_t direct_limit;  // below this many elapsed ns, accrued * 8 = base8 + elapsed * whole8; 0: never
    uint64_t whole8;
    uint64_t base8;  // with the generation in its low bits
    int64_t capacity8;
    uint64_t whole_bits;  // bit pattern of the double floor(capacity): of amounts above 0 none has more; 0: closed or
                          // watched
    uint64_t scale8;
    uint64_t closed;

    uint64_t watched_bits;  // as whole_bits; 0 only if closed
    tbu_position base;
    Limit limit;
    uint64_t epoch;  // of positions, see Epochs
    int64_t epoch_began_ns;
};

Plan make_plan(const Limit &limit, int64_t base_ns, tbu_position base);

class alignas(kCacheLine) Slot {
  public:
    void store(const Plan &plan) {
        const Words words = std::bit_cast<Words>(plan);
        for (std::size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_release);
    }

    Plan load() const {
        Words words;
        for (std::size_t i = 0; i < words.size(); ++i) words[i] = words_[i].load(std::memory_order_acquire);
        return std::bit_cast<Plan>(words);
    }

    // One field of the plan: at<offsetof(Plan, field)>().
    template <std::size_t Offset>
    uint64_t at() const {
        static_assert(Offset % sizeof(uint64_t) == 0 && Offset < sizeof(Plan));
        return words_[Offset / sizeof(uint64_t)].load(std::memory_order_acquire);
    }

  private:
    using Words = std::array<uint64_t, sizeof(Plan) / sizeof(uint64_t)>;
    static_assert(offsetof(Plan, watched_bits) == kCacheLine);

    std::array<std::atomic<uint64_t>, sizeof(Plan) / sizeof(uint64_t)> words_;
};

// The bucket at one instant: pure arithmetic on (word, plan, now).
struct View {
    uint64_t word;
    Plan plan;
    int64_t at_ns;     // now, or the plan's base if that is later
    uint64_t elapsed;  // since the base
    uint64_t gain;     // units since the base, saturated
    int64_t available;

    uint64_t accrued() const { return plan.base.units + gain; }
    int64_t capacity() const { return static_cast<int64_t>(plan.limit.capacity_units); }
    // So much has accrued since the base that positions must not be stored before it is moved.
    bool wants_rebase() const { return elapsed > plan.limit.elapsed_limit; }
};

View observe(uint64_t word, const Plan &plan, int64_t now);

// Has more accrued than the position? Judged from the base, since what accrued after it may be many turns.
bool is_passed(const View &view, uint64_t position);

// The word that leaves `rest` units available in the view's generation, or in the next.
uint64_t word_with_rest(const View &view, int64_t rest);

// Nanoseconds from the view's instant until `rest` units have grown to `target`; TBU_NEVER if longer than an int64_t.
int64_t time_to_grow(const View &view, int64_t rest, int64_t target);

// The same limit with its base moved to the view's instant.
Plan rebased(const View &view);

// floor(units * to_scale / from_scale) towards minus infinity; INT64_MIN or INT64_MAX if it does not fit.
int64_t rescale(int64_t units, uint64_t from_scale, uint64_t to_scale);

// a - b as positions.
inline int64_t position_difference(uint64_t a, uint64_t b) {
    return static_cast<int64_t>((a - b) << kGenerationBits) >> kGenerationBits;
}

}  // namespace tb

#endif
