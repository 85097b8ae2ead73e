// The time that operations are decided by.
#ifndef TOKENBUCKET_CORE_WAIT_PRESENT_H
#define TOKENBUCKET_CORE_WAIT_PRESENT_H

#include <cstdint>

#include "core/bucket/bucket.h"
#include "core/clock/clock.h"
#include "core/clock/system_clock.h"

namespace tb {

// Where a bucket takes its time from: its own system clock, unless it was given another.
class TimeSource {
  public:
    TimeSource(Clock *clock, bool use_counter)
        : has_counter_(clock == nullptr && use_counter), clock_(clock), system_(has_counter_) {}

    int64_t now() { return clock_ == nullptr ? system_.now() : clock_->now(); }
    // The short way, where there is one at this moment.
    bool now_by_counter(int64_t *now_ns) const { return has_counter_ && system_.now_by_anchor(now_ns); }
    Clock *clock() const { return clock_; }
    Clock *manual_clock() const { return clock_ != nullptr && clock_->is_manual() ? clock_ : nullptr; }

  private:
    const bool has_counter_;
    Clock *const clock_;
    SystemClock system_;
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

// A bucket and the clock it goes by.
struct TimedBucket {
    TimedBucket(const Limit &limit, int64_t initial_units, Clock *clock, bool use_counter, bool watched)
        : time(clock, use_counter), bucket(limit, initial_units, time.now(), watched) {}

    TimeSource time;
    Bucket bucket;
};

// try_take at present, in parts: what is rare is elsewhere, in tail calls with the same first arguments, so that the
// ordinary way needs no stack frame and moves nothing. Rare::without_counter and Rare::beyond_plain are called as
// take_rarely and take_beyond_plain, which they may call.
Status take_rarely(TimedBucket *b, double n);
Status take_after_loss(TimedBucket *b, double n, int64_t now);
Status take_beyond_plain(TimedBucket *b, double n, int64_t now, uint64_t seen);

template <class Rare>
[[gnu::always_inline]] inline Status take_at_present(TimedBucket *b, double n) {
    const uint64_t seen = b->bucket.state();
    int64_t now = 0;
    if (!b->time.now_by_counter(&now)) [[unlikely]]
        return Rare::without_counter(b, n);
    const Bucket::Attempt attempt = b->bucket.attempt_plain(seen, n, now);
    if (attempt == Bucket::Attempt::granted) [[likely]]
        return Status::success;
    if (attempt == Bucket::Attempt::denied) return Status::denied;
    return attempt == Bucket::Attempt::lost ? take_after_loss(b, n, now) : Rare::beyond_plain(b, n, now, seen);
}

}  // namespace tb

#endif
