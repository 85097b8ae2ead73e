// How a key gets one slot, and never two, without a lock.
//
// A key may stand in any of its candidate slots, so two threads may put it into two of them at once. A new slot is
// therefore tentative, and is only used once it is confirmed:
//
//   1. Put the key into a free slot, tentatively, with what it is to cost.
//   2. Scan all candidates. Remove all tentative slots of the key but one: all, if one is confirmed.
//   3. If one tentative slot is left, scan all others once more, after it was seen. If there is none of the key,
//      confirm it, unless it was removed meanwhile; else begin again at 2. The position of a confirmed slot is that of
//      a full bucket less the cost, at a time read after the scan: the key may have had another slot until then.
//
// Each thread that meets a tentative slot of its key does 2 and 3 itself, so no thread waits for another. A tentative
// slot may be given to another key at any time: whoever has put it in begins anew.
// Of two slots put in at once, the one put in later was there when the second scan for the other ended, or its own
// scans begin after the other was put in and find it. tests/unit/insertion_test.cc tries all interleavings.
#ifndef TOKENBUCKET_CORE_TABLE_INSERTION_H
#define TOKENBUCKET_CORE_TABLE_INSERTION_H

#include <cstdint>

#include "core/table/slot.h"

namespace tb {

inline constexpr int kMostCandidates = 16;

// The slots in which a key may stand, each once. AnySlot has read() and exchange(from, to) as Slot.
template <class AnySlot>
struct Candidates {
    uint64_t key;  // its hash
    int count = 0;
    AnySlot *slots[kMostCandidates];
};

template <class AnySlot>
struct Found {
    AnySlot *slot = nullptr;  // null: none
    SlotValue value{{0}, 0};
};

// Step 1: what is put into a slot that held `was`.
inline SlotValue tentative(const SlotValue &was, uint64_t key, uint64_t cost) {
    return {Head::make(key, 0).with(Head::kTentative), word_at(cost, next_generation(was.state))};
}

// The head of a tentative slot once it is confirmed, in that era.
inline Head confirmed(Head tentative, uint64_t era) {
    return tentative.without(Head::kTentative | Head::kPinned).with_era(era);
}

// Steps 2 and 3, once: the key's confirmed slot, or none. False if they must begin again. settled(value) is the
// confirmed value of a tentative one. The state of a confirmed slot is read once more: it may have been removed, and
// the key put into it again, since the state was read.
template <class AnySlot, class Exchange, class Settle>
bool try_confirm(const Candidates<AnySlot> &in, Exchange exchange, Settle settled, Found<AnySlot> *place) {
    Found<AnySlot> found[kMostCandidates];
    int count = 0;
    int kept = 0;
    for (int i = 0; i < in.count; ++i) {
        const SlotValue value = in.slots[i]->read();
        if (!value.head.is_of(in.key)) continue;
        if (!value.head.is_tentative()) kept = count;
        found[count++] = {in.slots[i], value};
    }
    const Found<AnySlot> &keep = found[kept];
    bool alone = true;
    for (int i = 0; i < count; ++i) {
        const SlotValue &value = found[i].value;
        if (i == kept || !value.head.is_tentative()) continue;
        exchange(found[i].slot, value, SlotValue{{0}, next_generation(value.state)});
        alone = false;
    }
    *place = keep;
    if (!alone) return false;
    if (count == 0) return true;
    if (!keep.value.head.is_tentative()) {
        place->value.state = keep.slot->read().state;
        return true;
    }
    for (int i = 0; i < in.count; ++i)
        alone = alone && (in.slots[i] == keep.slot || !in.slots[i]->read().head.is_of(in.key));
    if (!alone) return false;
    place->value = settled(keep.value);
    return exchange(keep.slot, keep.value, place->value);
}

template <class AnySlot, class Exchange, class Settle>
Found<AnySlot> confirm(const Candidates<AnySlot> &in, Exchange exchange, Settle settled) {
    Found<AnySlot> place;
    while (!try_confirm(in, exchange, settled, &place)) {
    }
    return place;
}

// Is what was put into that slot the key's confirmed one?
template <class AnySlot>
bool is_insertion(const Found<AnySlot> &confirmed, const AnySlot *slot, const SlotValue &put) {
    return confirmed.slot == slot && ((confirmed.value.state ^ put.state) & kGenerationMask) == 0;
}

}  // namespace tb

#endif
