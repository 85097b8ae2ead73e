// Clocks that replace the system clock: manual and callback. Counted by reference: the creator holds one, every bucket
// another. A time never runs back: an earlier one is held at the latest.
//
// A manual clock keeps a list of the alarms that are not due yet, of all its buckets, and rings each when it is moved
// to its due time. The list's lock is a leaf: taken under the lock of any wait room, and nothing is locked under it.
#ifndef TOKENBUCKET_CORE_CLOCK_CLOCK_H
#define TOKENBUCKET_CORE_CLOCK_CLOCK_H

#include <atomic>
#include <cstdint>

#include "core/bucket/status.h"
#include "core/clock/alarm.h"
#include "core/platform/platform.h"

namespace tb {

class Clock {
  public:
    using Function = int64_t (*)(void *user);

    explicit Clock(int64_t start_ns) : latest_ns_(start_ns) {}
    Clock(Function function, void *user) : function_(function), user_(user) {}

    bool is_manual() const { return function_ == nullptr; }
    int64_t now();

    // For manual clocks; not negative.
    void set(int64_t now_ns);
    Status advance(int64_t duration_ns);

    // For manual clocks: the alarm is to ring at alarm->due_ns, anew after that has changed; or no more.
    void arm(Alarm *alarm);
    void disarm(Alarm *alarm);
    // How many alarms are not due yet, and when the next one is: INT64_MAX if none.
    int64_t waiters(int64_t *next_due_ns);

    void retain() { holders_.fetch_add(1, std::memory_order_relaxed); }
    // Was this the last holder?
    bool release() { return holders_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  private:
    int64_t hold(int64_t now_ns);
    void ring_who_is_due();
    void forget_other_processes();
    void list(Alarm *alarm);
    void unlist(Alarm *alarm);

    Function function_ = nullptr;
    void *user_ = nullptr;
    std::atomic<int64_t> latest_ns_{0};
    std::atomic<uint32_t> holders_{1};

    platform::ForkSafeLock lock_;
    uint32_t process_ = 0;
    Alarm *first_ = nullptr;
};

}  // namespace tb

#endif
