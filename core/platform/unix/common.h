// What the folders of Unix systems share.
#ifndef TOKENBUCKET_CORE_PLATFORM_UNIX_COMMON_H
#define TOKENBUCKET_CORE_PLATFORM_UNIX_COMMON_H

#include <errno.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/platform/platform.h"

namespace tb::platform {

inline constexpr int64_t kNanosecondsPerSecond = 1000000000;

// errno belongs to the caller: a take may run in a signal handler.
class ErrnoKept {
  public:
    ErrnoKept() : errno_(errno) {}
    ~ErrnoKept() { errno = errno_; }
    ErrnoKept(const ErrnoKept &) = delete;
    ErrnoKept &operator=(const ErrnoKept &) = delete;

  private:
    int errno_;
};

// Each system implements these.
//
// From now on a child of this process, however it is forked, finds these bytes 0, alone on their page. Does nothing
// where the system cannot. Returns only after any fork that was under way at the call.
void zero_in_children(void *bytes, std::size_t size);
// Asks for large pages, if the system has them.
void prefer_large_pages(void *memory, std::size_t size);
// As random_bytes(), without a file; false where the system has no such call.
bool ask_for_random_bytes(void *bytes, std::size_t size);
void nap(int64_t duration_ns);  // not a cancellation point
// Sleeps while the word is as expected, until wake_one; may return early. posix: for a moment. wake_one needs the
// word's address alone.
void sleep_on(std::atomic<uint32_t> *word, uint32_t expected);
void wake_one(std::atomic<uint32_t> *word);

}  // namespace tb::platform

#endif
