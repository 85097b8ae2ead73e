// The alarm of one waiter: when it is to act, and how it learns of an earlier time. Each has its own, so that no other
// is woken. A thread that waits in several queues has one in each, and is the same sleeper in all of them.
#ifndef TOKENBUCKET_CORE_CLOCK_ALARM_H
#define TOKENBUCKET_CORE_CLOCK_ALARM_H

#include <atomic>
#include <cstdint>

#include "core/clock/in_flight.h"
#include "core/platform/platform.h"

namespace tb {

// What is called, under no lock, for waiters that are no threads: a function of the user, with the waiter's tag.
struct Bell {
    using Function = void (*)(void *user, uint64_t tag);

    Function function = nullptr;  // null: they are not told
    void *user = nullptr;

    void ring(uint64_t tag) const {
        if (function != nullptr) function(user, tag);
    }
};

// What a manual clock does with a bucket after it has rung one of its alarms.
struct Look {
    void (*function)(void *account) = nullptr;
    void *account = nullptr;
};

struct Alarm {
    std::atomic<int64_t> due_ns{0};  // on the bucket's clock

    // A thread, whose word is the number of rings so far; or the tag and the bucket's bell of a waiter that is none.
    platform::Sleeper *sleeper = nullptr;
    const Bell *bell = nullptr;
    uint64_t tag = 0;

    // Of a bucket on a manual clock.
    const Look *look = nullptr;
    InFlight *inside = nullptr;

    // In the list of a manual clock; under that clock's lock.
    bool listed = false;
    Alarm *before = nullptr;
    Alarm *after = nullptr;

    bool is_thread() const { return sleeper != nullptr; }
    // For a thread's: wakes it, and it reads the time and due_ns again.
    void ring() const { sleeper->add_and_wake(1); }
};

}  // namespace tb

#endif
