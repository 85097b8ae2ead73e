// What one waiting thread sleeps on, until it is due: a word of its own, so that nobody else is woken.
#ifndef TOKENBUCKET_CORE_CLOCK_ALARM_H
#define TOKENBUCKET_CORE_CLOCK_ALARM_H

#include <atomic>
#include <cstdint>

#include "core/platform/platform.h"

namespace tb {

struct Alarm {
    static constexpr uint32_t kOver = 1;
    static constexpr uint32_t kRing = 2;

    // Rings so far, and whether the wait is over.
    std::atomic<uint32_t> word{0};
    std::atomic<int64_t> due_ns{0};

    // In the list of a manual clock, guarded by its lock.
    bool listed = false;
    Alarm *before = nullptr;
    Alarm *after = nullptr;

    // Has the sleeper look at the time and at due_ns again.
    void ring() {
        word.fetch_add(kRing, std::memory_order_acq_rel);
        platform::wake_all(&word);
    }

    // The last touch: the sleeper may be gone at once, and the alarm with it.
    void finish() {
        std::atomic<uint32_t> *const slept_on = &word;
        slept_on->fetch_or(kOver, std::memory_order_acq_rel);
        platform::wake_all(slept_on);
    }
};

}  // namespace tb

#endif
