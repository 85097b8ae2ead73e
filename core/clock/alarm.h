// What one waiting thread sleeps on, until it is due: a sleeper of its own, so that nobody else is woken.
#ifndef TOKENBUCKET_CORE_CLOCK_ALARM_H
#define TOKENBUCKET_CORE_CLOCK_ALARM_H

#include <atomic>
#include <cstdint>

#include "core/platform/platform.h"

namespace tb {

struct Alarm {
    static constexpr uint32_t kOver = 1;
    static constexpr uint32_t kRing = 2;

    // Its word: rings so far, and whether the wait is over.
    platform::Sleeper sleeper;
    std::atomic<int64_t> due_ns{0};

    // In the list of a manual clock, guarded by its lock.
    bool listed = false;
    Alarm *before = nullptr;
    Alarm *after = nullptr;

    // Has the sleeper look at the time and at due_ns again.
    void ring() { sleeper.add_and_wake(kRing); }

    // Once, as the last touch: the thread may be gone at once, and the alarm with it.
    void finish() { sleeper.add_and_wake(kOver); }
};

}  // namespace tb

#endif
