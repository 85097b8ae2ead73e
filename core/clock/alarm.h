// The alarm on which one waiting thread sleeps until its due time. Each has its own, so that no other thread is woken.
#ifndef TOKENBUCKET_CORE_CLOCK_ALARM_H
#define TOKENBUCKET_CORE_CLOCK_ALARM_H

#include <atomic>
#include <cstdint>

#include "core/platform/platform.h"

namespace tb {

struct Alarm {
    static constexpr uint32_t kOver = 1;
    static constexpr uint32_t kRing = 2;

    // Its word is kRing times the rings so far, and kOver if the wait is over.
    platform::Sleeper sleeper;
    std::atomic<int64_t> due_ns{0};  // on the bucket's clock

    // In the list of a manual clock; under that clock's lock.
    bool listed = false;
    Alarm *before = nullptr;
    Alarm *after = nullptr;

    // Wakes the thread, which reads the time and due_ns again.
    void ring() { sleeper.add_and_wake(kRing); }

    // Ends the wait. The caller must not touch the alarm again: the thread may destroy it at once. Without a wake the
    // thread sees it when its sleep ends.
    void finish() { sleeper.add_and_wake(kOver); }
    void finish_without_wake() { sleeper.add(kOver); }
};

}  // namespace tb

#endif
