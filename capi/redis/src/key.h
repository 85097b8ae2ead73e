// Keys on the server.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_KEY_H
#define TOKENBUCKET_CAPI_REDIS_SRC_KEY_H

#include <tokenbucket.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace tb::redis {

// Some bytes, on the heap if there are many.
class KeyBytes {
  public:
    KeyBytes() = default;
    ~KeyBytes() {
        if (data_ != few_) std::free(data_);
    }
    KeyBytes(const KeyBytes &) = delete;
    KeyBytes &operator=(const KeyBytes &) = delete;

    // Room for as many bytes, all of which count until fit(). False: no memory. Called once.
    bool make_room(std::size_t most) {
        if (most > sizeof few_) data_ = static_cast<char *>(std::malloc(most));
        size_ = most;
        return data_ != nullptr;
    }
    void fit(std::size_t size) { size_ = size; }

    char *data() { return data_; }
    std::size_t size() const { return size_; }
    std::string_view view() const { return {data_, size_}; }

  private:
    char few_[192];
    char *data_ = few_;
    std::size_t size_ = 0;
};

// The prefix and the caller's key. TB_E_INVALID_ARGUMENT: too long, or NULL. TB_E_OUT_OF_MEMORY.
inline tb_status make_key(std::string_view prefix, const void *key, std::size_t key_size, KeyBytes *out) {
    if (key == nullptr && key_size > 0) return TB_E_INVALID_ARGUMENT;
    if (key_size > TB_MAX_KEY_SIZE || prefix.size() > TB_MAX_KEY_SIZE - key_size) return TB_E_INVALID_ARGUMENT;
    if (!out->make_room(prefix.size() + key_size)) return TB_E_OUT_OF_MEMORY;
    prefix.copy(out->data(), prefix.size());
    if (key_size > 0) std::memcpy(out->data() + prefix.size(), key, key_size);
    return TB_SUCCESS;
}

// The second key of a bucket.
inline tb_status make_queue_key(const KeyBytes &key, KeyBytes *out) {
    if (!out->make_room(key.size() + TB_REMOTE_QUEUE_KEY_ADDS)) return TB_E_OUT_OF_MEMORY;
    size_t size = 0;
    const tb_status s = tb_remote_queue_key(key.view().data(), key.size(), out->data(), &size);
    out->fit(size);
    return s;
}

}  // namespace tb::redis

#endif
