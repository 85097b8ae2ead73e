// A compare-and-swap of 16 bytes, where the processor has one.
#ifndef TOKENBUCKET_CORE_PLATFORM_EXCHANGE_H
#define TOKENBUCKET_CORE_PLATFORM_EXCHANGE_H

#include <atomic>
#include <cstdint>

namespace tb::platform {

// Two words that may be changed alone, each by its own compare-and-swap, or both at once.
struct alignas(16) WordPair {
    std::atomic<uint64_t> first{0};
    std::atomic<uint64_t> second{0};
};

#if defined(__x86_64__)

inline constexpr bool kHasPairExchange = true;

// Acquires and releases, as all that follow. All processors with this instruction set but the first of 2003 have it.
inline bool exchange_pair(WordPair *pair, uint64_t first, uint64_t second, uint64_t next_first, uint64_t next_second) {
    bool done;
    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz"(done), "+m"(*pair), "+a"(first), "+d"(second)
                 : "b"(next_first), "c"(next_second)
                 : "memory");
    return done;
}

#elif defined(__aarch64__)

inline constexpr bool kHasPairExchange = true;

// The pair read counts as one reading only if the store that follows succeeds, so a mismatch stores what it read.
inline bool exchange_pair(WordPair *pair, uint64_t first, uint64_t second, uint64_t next_first, uint64_t next_second) {
    uint64_t was_first;
    uint64_t was_second;
    uint32_t failed;
    bool same;
    do {
        asm volatile("ldaxp %0, %1, %2" : "=&r"(was_first), "=&r"(was_second) : "Q"(*pair) : "memory");
        same = was_first == first && was_second == second;
        asm volatile("stlxp %w0, %2, %3, %1"
                     : "=&r"(failed), "=Q"(*pair)
                     : "r"(same ? next_first : was_first), "r"(same ? next_second : was_second)
                     : "memory");
    } while (failed != 0);
    return same;
}

#else

inline constexpr bool kHasPairExchange = false;

inline bool exchange_pair(WordPair *, uint64_t, uint64_t, uint64_t, uint64_t) {
    return false;
}

#endif

}  // namespace tb::platform

#endif
