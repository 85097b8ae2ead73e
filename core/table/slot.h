// A slot: the bucket of one key in 16 bytes.
//
// head:  fingerprint (43 bits) | era (18) | image (1) | pinned (1) | tentative (1); 0: empty
// state: spent (61 bits) | tenancy (3), a state word as that of plan.h with the tenancy in place of the generation
//
// The fingerprint is a part of the key's hash, and tells keys apart together with the lines in which a key may stand.
// The era (eras.h) is that of the last change. A pinned slot has a queue (key_accounts.h) and is never given away. A
// tentative one is being inserted (insertion.h); it says what the key is to cost instead of what is spent. One that is
// both was still tentative when another key found no room: the thread may be gone that has put it in. Where processes
// share the table, the image says which of two is that of the key's queue (queue_images.h). The tenancy changes with
// each insertion, so that a thread can tell whether the key in the slot is the one that it has inserted itself.
#ifndef TOKENBUCKET_CORE_TABLE_SLOT_H
#define TOKENBUCKET_CORE_TABLE_SLOT_H

#include <cstdint>

#include "core/bucket/plan.h"
#include "core/platform/exchange.h"
#include "core/platform/platform.h"

namespace tb {

inline constexpr unsigned kEraBits = 18;

struct Head {
    static constexpr uint64_t kTentative = 1;
    static constexpr uint64_t kPinned = 2;
    static constexpr uint64_t kImage = 4;
    static constexpr unsigned kEraShift = 3;
    static constexpr unsigned kFingerprintShift = kEraShift + kEraBits;
    static constexpr uint64_t kEraMask = (uint64_t{1} << kEraBits) - 1;

    uint64_t bits;

    static Head make(uint64_t hash, uint64_t era) {
        return {fingerprint_of(hash) << kFingerprintShift | (era & kEraMask) << kEraShift};
    }
    // Never 0, so that no key's head is that of an empty slot.
    static uint64_t fingerprint_of(uint64_t hash) {
        const uint64_t low = hash & (~uint64_t{0} >> kFingerprintShift);
        return low == 0 ? 1 : low;
    }

    bool is_empty() const { return bits == 0; }
    bool is_tentative() const { return (bits & kTentative) != 0; }
    bool is_pinned() const { return (bits & kPinned) != 0; }
    bool is_doubted() const { return is_pinned() && is_tentative(); }
    bool is_of(uint64_t hash) const { return bits >> kFingerprintShift == fingerprint_of(hash); }
    unsigned image() const { return (bits & kImage) != 0 ? 1 : 0; }
    uint64_t era() const { return bits >> kEraShift & kEraMask; }

    Head with_era(uint64_t era) const { return {(bits & ~(kEraMask << kEraShift)) | (era & kEraMask) << kEraShift}; }
    Head with(uint64_t flag) const { return {bits | flag}; }
    Head without(uint64_t flag) const { return {bits & ~flag}; }
    Head with_other_image() const { return {bits ^ kImage}; }

    friend bool operator==(Head, Head) = default;
};

// What a slot holds. As read, the state may be older than the head; then no exchange from it succeeds.
struct SlotValue {
    Head head;
    uint64_t state;

    friend bool operator==(const SlotValue &, const SlotValue &) = default;
};

class Slot {
  public:
    // The state is read first. If the head is then that of a key, the state was the key's, too, unless the key was
    // removed and put in again between the two loads.
    SlotValue read() const {
        const uint64_t state = words_.second.load(std::memory_order_seq_cst);
        return {{words_.first.load(std::memory_order_seq_cst)}, state};
    }
    Head head() const { return {words_.first.load(std::memory_order_acquire)}; }

    // The lock is taken where the processor has no compare-and-swap of 16 bytes.
    bool exchange(const SlotValue &from, const SlotValue &to, platform::ForkSafeLock *lock) {
        if constexpr (platform::kHasPairExchange)
            return platform::exchange_pair(&words_, from.head.bits, from.state, to.head.bits, to.state);
        const platform::LockGuard guard(lock);
        if (read() != from) return false;
        words_.second.store(to.state, std::memory_order_seq_cst);
        words_.first.store(to.head.bits, std::memory_order_seq_cst);
        return true;
    }

  private:
    platform::WordPair words_;
};

// What a processor fetches at once.
struct alignas(64) Line {
    static constexpr int kSlots = 4;
    Slot slots[kSlots];
};
static_assert(sizeof(Line) == 64);

}  // namespace tb

#endif
