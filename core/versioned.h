// A record that readers read in place, field by field, while one writer at a time replaces it (a sequence lock).
//
// The version is odd while the record is being written. A reader reads the version, then the
// fields, and then checks that the version is still the same: if so, the fields belong to one record. Fields are read
// with acquire and written with release, so a reader that saw any part of a newer record also sees a newer version. A
// version is never used twice.
#ifndef TOKENBUCKET_CORE_VERSIONED_H
#define TOKENBUCKET_CORE_VERSIONED_H

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tb {

template <class T>
class Versioned {
  public:
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % sizeof(uint64_t) == 0);

    // The even version at or below the present one. While the record is being written is_still() is false for it.
    uint64_t version() const { return version_.load(std::memory_order_acquire) & ~uint64_t{1}; }
    bool is_still(uint64_t version) const { return version_.load(std::memory_order_relaxed) == version; }

    // For the one writer: false in the child of a fork that came while another thread was writing.
    bool is_whole() const { return (version_.load(std::memory_order_relaxed) & 1) == 0; }

    // One field of 64 bits: at<offsetof(T, field)>().
    template <std::size_t Offset>
    uint64_t at() const {
        static_assert(Offset % sizeof(uint64_t) == 0 && Offset < sizeof(T));
        return words_[Offset / sizeof(uint64_t)].load(std::memory_order_acquire);
    }

    // All fields, for a caller that checks the version afterwards.
    T load() const {
        Words words;
        for (std::size_t i = 0; i < words.size(); ++i) words[i] = words_[i].load(std::memory_order_acquire);
        return std::bit_cast<T>(words);
    }

    // For one writer at a time.
    void store(const T &record) {
        const Words words = std::bit_cast<Words>(record);
        const uint64_t writing = version_.load(std::memory_order_relaxed) | 1;
        version_.store(writing, std::memory_order_relaxed);
        for (std::size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_release);
        version_.store(writing + 1, std::memory_order_release);
    }

  private:
    using Words = std::array<uint64_t, sizeof(T) / sizeof(uint64_t)>;

    std::atomic<uint64_t> version_{0};
    std::array<std::atomic<uint64_t>, sizeof(T) / sizeof(uint64_t)> words_{};
};

}  // namespace tb

#endif
