// How much a long test does: as the environment says, else the usual, less under sanitizers.
#ifndef TOKENBUCKET_TESTS_SUPPORT_EFFORT_H
#define TOKENBUCKET_TESTS_SUPPORT_EFFORT_H

#include <cstdint>
#include <cstdlib>

namespace support {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TOKENBUCKET_TESTS_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TOKENBUCKET_TESTS_SANITIZED 1
#endif

inline uint64_t effort(const char *variable, uint64_t usual, uint64_t sanitized) {
    if (const char *const asked = std::getenv(variable)) return std::strtoull(asked, nullptr, 10);
#ifdef TOKENBUCKET_TESTS_SANITIZED
    static_cast<void>(usual);
    return sanitized;
#else
    static_cast<void>(sanitized);
    return usual;
#endif
}

}  // namespace support

#endif
