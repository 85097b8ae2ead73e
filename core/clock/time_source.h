// The clock of a bucket: its own system clock, or a manual or callback clock. Times are in nanoseconds.
#ifndef TOKENBUCKET_CORE_CLOCK_TIME_SOURCE_H
#define TOKENBUCKET_CORE_CLOCK_TIME_SOURCE_H

#include <cstdint>

#include "core/clock/clock.h"
#include "core/clock/system_clock.h"

namespace tb {

class TimeSource {
  public:
    TimeSource(Clock *clock, bool use_counter) : clock_(clock), system_(clock == nullptr && use_counter) {}

    int64_t now() { return clock_ == nullptr ? system_.now() : clock_->now(); }
    // now(), with the counter read after all loads that precede the call.
    int64_t now_ordered() {
        if (clock_ == nullptr) platform::order_counter();
        return now();
    }
    // now() in the common case of the system clock; else false.
    bool now_by_counter(int64_t *now_ns) const { return system_.now_by_anchor(now_ns); }
    // The same of a reading of the counter that was made before.
    bool time_by_counter(uint64_t counter, int64_t *time_ns) const { return system_.time_by_anchor(counter, time_ns); }
    // For use under a lock: the latest time that a callback clock has returned, without calling its function. It is not
    // before any time at which the bucket was changed.
    int64_t latest() { return clock_ == nullptr ? now_ordered() : clock_->latest(); }
    // Calls the function of a callback clock, for latest().
    void ask() {
        if (clock_ != nullptr) clock_->now();
    }

    Clock *clock() const { return clock_; }
    Clock *manual_clock() const { return clock_ != nullptr && clock_->is_manual() ? clock_ : nullptr; }

  private:
    Clock *const clock_;
    SystemClock system_;
};

}  // namespace tb

#endif
