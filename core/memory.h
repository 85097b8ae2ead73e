// Objects on the heap without operator new: create() returns null if there is no memory.
#ifndef TOKENBUCKET_CORE_MEMORY_H
#define TOKENBUCKET_CORE_MEMORY_H

#include <cstddef>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace tb {

template <class T, class... Args>
T *create(Args &&...args) {
    constexpr std::size_t kAlignment = alignof(std::max_align_t);
    static_assert(sizeof(T) % alignof(T) == 0);
    void *const memory = alignof(T) > kAlignment ? std::aligned_alloc(alignof(T), sizeof(T)) : std::malloc(sizeof(T));
    return memory == nullptr ? nullptr : new (memory) T(std::forward<Args>(args)...);
}

template <class T>
void destroy(T *object) {
    object->~T();
    std::free(const_cast<std::remove_const_t<T> *>(object));
}

}  // namespace tb

#endif
