// Memory from malloc: the library needs no operator new. Nothing here throws; what runs out of memory says so.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_MEMORY_H
#define TOKENBUCKET_CAPI_REDIS_SRC_MEMORY_H

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace tb::redis {

// Null if there is no memory.
template <class T, class... Args>
T *create(Args &&...args) {
    void *const memory = std::malloc(sizeof(T));
    return memory == nullptr ? nullptr : new (memory) T(std::forward<Args>(args)...);
}

template <class T>
void destroy(T *object) {
    if (object == nullptr) return;
    object->~T();
    std::free(object);
}

// Bytes that grow. After an append for which there was no memory they are not complete.
class Bytes {
  public:
    Bytes() = default;
    ~Bytes() { std::free(data_); }
    Bytes(const Bytes &) = delete;
    Bytes &operator=(const Bytes &) = delete;

    const char *data() const { return data_; }
    std::size_t size() const { return size_; }
    bool is_complete() const { return is_complete_; }

    void clear() {
        size_ = 0;
        is_complete_ = true;
    }
    void append(const void *bytes, std::size_t size) {
        if (size == 0 || !make_room(size)) return;
        std::memcpy(data_ + size_, bytes, size);
        size_ += size;
    }
    // In a forked child: what another thread of the parent was changing is left alone.
    void forget() {
        data_ = nullptr;
        size_ = room_ = 0;
    }

  private:
    bool make_room(std::size_t more) {
        if (room_ - size_ >= more) return is_complete_;
        const std::size_t room = 2 * room_ + more;
        void *const grown = std::realloc(data_, room);
        if (grown == nullptr) return is_complete_ = false;
        data_ = static_cast<char *>(grown);
        room_ = room;
        return is_complete_;
    }

    char *data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t room_ = 0;
    bool is_complete_ = true;
};

// A text of its own, null at first.
class Text {
  public:
    Text() = default;
    ~Text() { std::free(data_); }
    Text(const Text &) = delete;
    Text &operator=(const Text &) = delete;

    // Called once. The text may be null. False: no memory.
    bool copy(const char *text) {
        if (text == nullptr) return true;
        const std::size_t size = std::strlen(text) + 1;
        data_ = static_cast<char *>(std::malloc(size));
        if (data_ != nullptr) std::memcpy(data_, text, size);
        return data_ != nullptr;
    }
    char *get() const { return data_; }

  private:
    char *data_ = nullptr;
};

}  // namespace tb::redis

#endif
