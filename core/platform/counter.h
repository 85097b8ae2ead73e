// The CPU's cycle counter, inline because it is the largest part of an operation.
//
// The processor may read the counter before a load that stands before it in the program, by as much as that load takes,
// if it misses the caches. order_counter() keeps a reading behind all loads before it.
#ifndef TOKENBUCKET_CORE_PLATFORM_COUNTER_H
#define TOKENBUCKET_CORE_PLATFORM_COUNTER_H

#include <atomic>
#include <cstdint>

namespace tb::platform {

#if defined(__x86_64__)

inline constexpr bool kHasCounter = true;

// The fence keeps the compiler, too, from moving loads across.
inline uint64_t read_counter() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return __builtin_ia32_rdtsc();
}

inline void order_counter() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    __builtin_ia32_lfence();
}

inline void pause() {
    __builtin_ia32_pause();
}

#elif defined(__aarch64__)

inline constexpr bool kHasCounter = true;

inline uint64_t read_counter() {
    uint64_t count;
    asm volatile("mrs %0, cntvct_el0" : "=r"(count)::"memory");
    return count;
}

inline void order_counter() {
    asm volatile("isb" ::: "memory");
}

inline void pause() {
    asm volatile("yield");
}

#else

inline constexpr bool kHasCounter = false;

inline uint64_t read_counter() {
    return 0;
}

inline void order_counter() {}

inline void pause() {}

#endif

}  // namespace tb::platform

#endif
