#include "core/queue/arena.h"

#include <algorithm>

namespace tb {

uint32_t Arena::acquire() {
    uint32_t index = free_;
    if (index != 0) {
        free_ = (*this)[index].left;
    } else {
        index = ++reached_;
    }
    ++size_;
    (*this)[index] = Entry{};
    return index;
}

void Arena::release(uint32_t index) {
    constexpr uint32_t kKept = 64;
    (*this)[index] = Entry{};
    (*this)[index].left = free_;
    free_ = index;
    if (--size_ == 0 && room_ > kKept) clear();
}

void Arena::clear() {
    if (!is_fixed_) std::free(entries_);
    abandon();
}

void Arena::abandon() {
    if (!is_fixed_) {
        entries_ = nullptr;
        room_ = 0;
    }
    reached_ = size_ = free_ = 0;
}

bool Arena::fix(uint32_t most) {
    clear();
    is_fixed_ = grow(most);
    return is_fixed_;
}

void Arena::restart(uint32_t reached) {
    reached_ = size_ = reached;
    free_ = 0;
    std::fill_n(entries_, reached, Entry{});
}

bool Arena::grow(uint32_t room) {
    static_assert(kMostEntries <= SIZE_MAX / sizeof(Entry));
    constexpr uint32_t kFirst = 8;
    if (room_ == kMostEntries) return false;
    room = std::clamp(room, kFirst, kMostEntries);
    void *const larger = std::realloc(entries_, room * sizeof(Entry));
    if (larger == nullptr) return false;
    entries_ = static_cast<Entry *>(larger);
    room_ = room;
    return true;
}

}  // namespace tb
