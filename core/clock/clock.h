// Clocks that replace the system clock: manual and callback. Counted by reference: the creator holds one, every bucket
// another. The time never runs back: where an earlier one is set or returned, the latest stays.
//
// A manual clock lists the alarms of all its buckets that are not due yet, and rings each, in no particular order, when
// the clock reaches its due time. The list's lock may be taken under any account's lock; the core takes no lock under
// it.
#ifndef TOKENBUCKET_CORE_CLOCK_CLOCK_H
#define TOKENBUCKET_CORE_CLOCK_CLOCK_H

#include <atomic>
#include <cstdint>

#include "core/clock/alarm.h"
#include "core/platform/platform.h"
#include "core/status.h"

namespace tb {

class Clock {
  public:
    using Function = int64_t (*)(void *user);

    explicit Clock(int64_t start_ns) : latest_ns_(start_ns) {}
    Clock(Function function, void *user) : function_(function), user_(user) {}

    bool is_manual() const { return function_ == nullptr; }
    // Calls the function of a callback clock.
    int64_t now();
    // The latest time so far, without a call of the function.
    int64_t latest() const { return latest_ns_.load(std::memory_order_acquire); }

    // For manual clocks; arguments are not negative. An earlier time changes nothing. out_of_range: beyond INT64_MAX.
    void set(int64_t now_ns);
    Status advance(int64_t duration_ns);

    // For manual clocks. arm() has to follow a change of due_ns: it lists the alarm if that is still ahead, else takes
    // it off the list and returns false: then the clock does not ring it. disarm() takes it off. waiters() costs the
    // number of alarms.
    bool arm(Alarm *alarm);
    void disarm(Alarm *alarm);
    // How many alarms are not due yet, and when the next one is: INT64_MAX if none.
    int64_t waiters(int64_t *next_due_ns);

    void retain() { holders_.fetch_add(1, std::memory_order_relaxed); }
    // Was this the last holder?
    bool release() { return holders_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  private:
    int64_t hold(int64_t now_ns);
    void ring_due_alarms();
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
