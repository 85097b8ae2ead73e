// The CPU's cycle counter, inline because it is the largest part of an operation.
#ifndef TOKENBUCKET_CORE_PLATFORM_COUNTER_H
#define TOKENBUCKET_CORE_PLATFORM_COUNTER_H

#include <cstdint>

namespace tb::platform {

#if defined(__x86_64__)

inline constexpr bool kHasCounter = true;

inline uint64_t read_counter() {
    return __builtin_ia32_rdtsc();
}

inline void pause() {
    __builtin_ia32_pause();
}

#elif defined(__aarch64__)

inline constexpr bool kHasCounter = true;

inline uint64_t read_counter() {
    uint64_t count;
    asm volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
}

inline void pause() {
    asm volatile("yield");
}

#else

inline constexpr bool kHasCounter = false;

inline uint64_t read_counter() {
    return 0;
}

inline void pause() {}

#endif

}  // namespace tb::platform

#endif
