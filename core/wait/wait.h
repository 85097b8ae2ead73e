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
    TimeSource(Clock *clock, bool use_counter)
        : has_counter_(clock == nullptr && use_counter), clock_(clock), system_(has_counter_) {}

    int64_t now() { return clock_ == nullptr ? system_.now() : clock_->now(); }
    // The short way, where there is one at this moment.
    bool now_by_counter(int64_t *now_ns) const { return has_counter_ && system_.now_by_anchor(now_ns); }
    Clock *clock() const { return clock_; }

  private:
    const bool has_counter_;
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

// A bucket and the clock it goes by.
struct TimedBucket {
    TimedBucket(const Limit &limit, int64_t initial_units, Clock *clock, bool use_counter)
        : time(clock, use_counter), bucket(limit, initial_units, time.now()) {}

    TimeSource time;
    Bucket bucket;
};

// try_take at present. What is rare is elsewhere, in tail calls with the same first arguments, so that the ordinary way
// needs no stack frame and moves nothing.
Status take_rarely(TimedBucket *b, double n);
Status take_after_loss(TimedBucket *b, double n, int64_t now);
Status take_beyond_plain(TimedBucket *b, double n, int64_t now, uint64_t seen);

[[gnu::always_inline]] inline Status take_at_present(TimedBucket *b, double n) {
    const uint64_t seen = b->bucket.state();
    int64_t now = 0;
    if (!b->time.now_by_counter(&now)) [[unlikely]]
        return take_rarely(b, n);
    const Bucket::Attempt attempt = b->bucket.attempt_plain(seen, n, now);
    if (attempt == Bucket::Attempt::granted) [[likely]]
        return Status::success;
    if (attempt == Bucket::Attempt::denied) return Status::denied;
    return attempt == Bucket::Attempt::lost ? take_after_loss(b, n, now) : take_beyond_plain(b, n, now, seen);
}

}  // namespace tb

#endif
