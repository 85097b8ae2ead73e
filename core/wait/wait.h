// Waiting: reserve, then sleep once to the due time.
#ifndef TOKENBUCKET_CORE_WAIT_WAIT_H
#define TOKENBUCKET_CORE_WAIT_WAIT_H

#include <atomic>
#include <cstdint>

#include "core/bucket/bucket.h"
#include "core/clock/clock.h"
#include "core/clock/system_clock.h"

namespace tb {

// Where a bucket takes its time from: its own system clock, unless it was given another.
class TimeSource {
  public:
    TimeSource(Clock *clock, bool use_counter) : clock_(clock), system_(clock == nullptr && use_counter) {}

    int64_t now() { return clock_ == nullptr ? system_.now() : clock_->now(); }
    Clock *clock() const { return clock_; }

  private:
    Clock *const clock_;
    SystemClock system_;
};

// The threads that wait on one bucket.
class WaitRoom {
  public:
    explicit WaitRoom(TimeSource *time) : time_(time) {}

    // Takes n tokens from the bucket, sleeping until they are there, at most max_wait_ns.
    Status wait(Bucket *bucket, double n, int64_t max_wait_ns);

    // Wakes everyone, to find the bucket closed.
    void wake_all();

    // Returns when nobody is inside.
    void wait_until_empty();

  private:
    std::atomic<uint32_t> *bell();
    Status sleep_until_ready(Bucket *bucket, const Reservation &reservation);
    bool sleep_towards(int64_t ready_at_ns, int64_t now, uint32_t rung);

    TimeSource *const time_;
    std::atomic<uint32_t> own_bell_{0};
    std::atomic<uint32_t> inside_{0};
};

// Repeats an operation with a fresh time as long as it answers stale, or refuses by a time at which the bucket was in
// another state. operation(now, seen): `seen` is the state before the clock was read.
template <class Operation>
Status at_present(const Bucket &bucket, TimeSource *time, Operation operation) {
    for (;;) {
        const uint64_t seen = bucket.state();
        const Status s = operation(time->now(), seen);
        const bool refused = s == Status::denied || s == Status::timed_out;
        if (s != Status::stale && !(refused && bucket.state() != seen)) [[likely]]
            return s;
    }
}

}  // namespace tb

#endif
