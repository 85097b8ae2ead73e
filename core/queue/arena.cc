#include "core/queue/arena.h"

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
    std::free(entries_);
    abandon();
}

void Arena::abandon() {
    entries_ = nullptr;
    room_ = reached_ = size_ = free_ = 0;
}

bool Arena::grow() {
    static_assert(kMostEntries <= SIZE_MAX / sizeof(Entry));
    constexpr uint32_t kFirst = 8;
    if (room_ == kMostEntries) return false;
    const uint32_t doubled = room_ == 0 ? kFirst : 2 * room_;
    const uint32_t room = doubled < kMostEntries ? doubled : kMostEntries;
    void *const larger = std::realloc(entries_, room * sizeof(Entry));
    if (larger == nullptr) return false;
    entries_ = static_cast<Entry *>(larger);
    room_ = room;
    return true;
}

}  // namespace tb
