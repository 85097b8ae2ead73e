// What the objects of core/platform/platform.h hold on any POSIX system, and what POSIX leaves out.
//
// Needed: POSIX.1-2001 with threads, CLOCK_MONOTONIC and pthread_condattr_setclock, and a getpid that may be called in
// a signal handler. Written for FreeBSD, NetBSD, OpenBSD and illumos, but tested on Linux alone. Not for macOS, whose
// condition variables cannot use the monotonic clock.
#ifndef TOKENBUCKET_CORE_PLATFORM_POSIX_STATE_H
#define TOKENBUCKET_CORE_PLATFORM_POSIX_STATE_H

#include <pthread.h>

#include <cstdint>

namespace tb::platform {

inline constexpr bool kMayTrustCounter = false;
inline constexpr bool kSignalsEndSleep = false;
inline constexpr bool kNarrowsTimerSlack = false;
inline constexpr bool kSharesMemory = false;
// How late after its deadline a thread mostly wakes at the latest: with the slack that timers have, by default 50
// microseconds on Linux.
inline constexpr int64_t kLatestWakeNs = 200000;

struct TimerState {};

// The word changes under the mutex.
struct SleeperState {
    SleeperState();
    ~SleeperState();
    SleeperState(const SleeperState &) = delete;
    SleeperState &operator=(const SleeperState &) = delete;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool made;  // false: the system had no memory for these two
};

}  // namespace tb::platform

#endif
