// The slots of a table: which key stands where, and which slot a new key gets. Knows nothing of time; who calls says
// what a slot holds at present.
#ifndef TOKENBUCKET_CORE_TABLE_CELLS_H
#define TOKENBUCKET_CORE_TABLE_CELLS_H

#include <cstddef>
#include <cstdint>

#include "core/platform/platform.h"
#include "core/table/insertion.h"
#include "core/table/slot.h"

namespace tb {

// A key's confirmed slot and what it held; slot null: the key is not in the table.
using KeyPlace = Found<Slot>;

class Cells {
  public:
    // A free slot; it may be given to any key.
    static constexpr int64_t kFree = INT64_MAX;

    // The slots of so many lines.
    Cells(Line *lines, uint64_t count) : count_(count), lines_(lines) {}
    Cells(const Cells &) = delete;
    Cells &operator=(const Cells &) = delete;

    uint64_t lines() const { return count_; }
    uint64_t slots() const { return count_ * Line::kSlots; }

    void prefetch(uint64_t key) const;
    // settled(value) is the confirmed value of a tentative slot (insertion.h).
    template <class Settle>
    KeyPlace find(uint64_t key, Settle settled);
    bool exchange(Slot *slot, const SlotValue &from, const SlotValue &to) {
        return slot->exchange(from, to, lock_for(slot));
    }

    // A slot for a new key: a free one in the first line that has kEnough of them, else in the line that has most, else
    // the one that holds most, at least 0. held(value): the units in a slot, below 0: in debt; kFree. A doubted slot is
    // free, others that are pinned or tentative are not given away. *holds is what it held. Null: there is none.
    template <class Held>
    KeyPlace choose(uint64_t key, Held held, int64_t *holds) const;
    // No room was found: the tentative ones of these slots are doubted from now on.
    void doubt(uint64_t key);
    // Puts the key into that slot, tentatively, at that cost in units. False if another thread was faster.
    bool put(uint64_t key, const KeyPlace &into, uint64_t cost);
    // After put(): the key's slot if it is that one; null if another thread's was kept, or this one is gone again.
    template <class Settle>
    KeyPlace confirm_put(uint64_t key, const KeyPlace &into, Settle settled);

    // f(slot, value) for each that is not empty.
    template <class F>
    void for_each(F f) const {
        for (uint64_t i = 0; i < count_; ++i)
            for (Slot &slot : lines_[i].slots)
                if (const SlotValue value = slot.read(); !value.head.is_empty()) f(&slot, value);
    }

  private:
    static constexpr int kLines = kMostCandidates / Line::kSlots;
    static constexpr int kLocks = 64;
    // With more, keys are spread better; with fewer, they stand in earlier lines. With 1, 1 of 200 new keys would find
    // no room at a load of 0.65.
    static constexpr int kEnough = 2;

    Line *line(uint64_t key, int choice) const;
    Candidates<Slot> candidates(uint64_t key) const;
    template <class Settle>
    KeyPlace confirmed(uint64_t key, Settle settled);
    platform::ForkSafeLock *lock_for(const Slot *slot) {
        return &locks_[reinterpret_cast<uintptr_t>(slot) / sizeof(Line) % kLocks];
    }

    const uint64_t count_;
    Line *const lines_;
    platform::ForkSafeLock locks_[platform::kHasPairExchange ? 1 : kLocks];
};

template <class Held>
KeyPlace Cells::choose(uint64_t key, Held held, int64_t *holds) const {
    KeyPlace best;
    int most_free = 0;
    *holds = -1;
    for (int choice = 0; choice < kLines; ++choice) {
        KeyPlace free;
        int free_count = 0;
        for (Slot &slot : line(key, choice)->slots) {
            const SlotValue value = slot.read();
            if (value.head.is_pinned() != value.head.is_tentative()) continue;
            const int64_t units = value.head.is_empty() || value.head.is_doubted() ? kFree : held(value);
            if (units == kFree) {
                ++free_count;
                if (free.slot == nullptr || value.head.is_empty()) free = {&slot, value};
            } else if (most_free == 0 && units > *holds) {
                *holds = units;
                best = {&slot, value};
            }
        }
        if (free_count > most_free) {
            most_free = free_count;
            best = free;
            *holds = kFree;
            if (free_count >= kEnough) break;
        }
    }
    return best;
}

template <class Settle>
KeyPlace Cells::find(uint64_t key, Settle settled) {
    for (int choice = 0; choice < kLines; ++choice)
        for (Slot &slot : line(key, choice)->slots) {
            if (!slot.head().is_of(key)) continue;
            const SlotValue value = slot.read();
            const bool usable = value.head.is_of(key) && !value.head.is_tentative();
            return usable ? KeyPlace{&slot, value} : confirmed(key, settled);
        }
    return {};
}

template <class Settle>
KeyPlace Cells::confirmed(uint64_t key, Settle settled) {
    const auto exchanged = [this](Slot *slot, const SlotValue &from, const SlotValue &to) {
        return exchange(slot, from, to);
    };
    return confirm(candidates(key), exchanged, settled);
}

template <class Settle>
KeyPlace Cells::confirm_put(uint64_t key, const KeyPlace &into, Settle settled) {
    const KeyPlace place = confirmed(key, settled);
    return is_insertion(place, into.slot, tentative(into.value, key, 0)) ? place : KeyPlace{};
}

}  // namespace tb

#endif
