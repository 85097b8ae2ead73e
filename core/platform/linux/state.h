// What the objects of core/platform/platform.h hold on Linux, and what that system can do.
#ifndef TOKENBUCKET_CORE_PLATFORM_LINUX_STATE_H
#define TOKENBUCKET_CORE_PLATFORM_LINUX_STATE_H

#include <cstdint>

namespace tb::platform {

inline constexpr bool kMayTrustCounter = true;
inline constexpr bool kSignalsEndSleep = true;
inline constexpr bool kNarrowsTimerSlack = true;
inline constexpr bool kSharesMemory = true;
// How late after its deadline a thread mostly wakes at the latest.
inline constexpr int64_t kLatestWakeNs = 60000;

struct TimerState {
    int64_t slack_before_ns = 0;  // 0: as it was
};

// The word is all that a futex needs.
struct SleeperState {};

}  // namespace tb::platform

#endif
