#include "core/table/cells.h"

#include "core/units/wide.h"

namespace tb {

// Odd numbers without structure: the products with a hash differ in all their bits.
Line *Cells::line(uint64_t key, int choice) const {
    constexpr uint64_t kFactors[kLines] = {1, 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93, 0xc2b2ae3d27d4eb4f};
    return &lines_[tbu_mul(key * kFactors[choice], count_).hi];
}

void Cells::prefetch(uint64_t key) const {
    __builtin_prefetch(line(key, 0), 1);
    __builtin_prefetch(line(key, 1), 0);
}

Candidates<Slot> Cells::candidates(uint64_t key) const {
    Candidates<Slot> c;
    c.key = key;
    for (int choice = 0; choice < kLines; ++choice) {
        Line *const l = line(key, choice);
        bool is_new = true;
        for (int other = 0; other < choice; ++other) is_new = is_new && line(key, other) != l;
        if (!is_new) continue;
        for (Slot &slot : l->slots) c.slots[c.count++] = &slot;
    }
    return c;
}

void Cells::doubt(uint64_t key) {
    const Candidates<Slot> all = candidates(key);
    for (int i = 0; i < all.count; ++i) {
        const SlotValue value = all.slots[i]->read();
        if (value.head.is_tentative()) exchange(all.slots[i], value, {value.head.with(Head::kPinned), value.state});
    }
}

bool Cells::put(uint64_t key, const KeyPlace &into, uint64_t cost) {
    return exchange(into.slot, into.value, tentative(into.value, key, cost));
}

}  // namespace tb
