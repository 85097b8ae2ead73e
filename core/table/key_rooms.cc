#include "core/table/key_rooms.h"

namespace tb {

unsigned KeyRooms::find(uint64_t wanted) const {
    unsigned number = 0;
    while (number < count_ && !(is_taken(number) && key(number) == wanted)) ++number;
    return number;
}

unsigned KeyRooms::find_free() const {
    unsigned number = 0;
    while (number < count_ && is_taken(number)) ++number;
    return number;
}

void KeyRooms::give(unsigned number, uint64_t key) {
    rooms_[number].key.store(key, std::memory_order_relaxed);
    rooms_[number].free_ns.store(0, std::memory_order_relaxed);
    rooms_[number].is_taken.store(1, std::memory_order_release);
}

bool KeyRooms::begin_use(unsigned number) {
    const bool alone = is_unused_by_others(number);
    memory_.lock_in_common(use_lock(number));
    return alone;
}

}  // namespace tb
