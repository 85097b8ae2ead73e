#include "core/clock/system_clock.h"

#include <algorithm>

namespace tb {
namespace {

ClockSample read_sample() {
    const int64_t before_ns = platform::monotonic_ns();
    const uint64_t counter = platform::read_counter();
    return {counter, before_ns, platform::monotonic_ns()};
}

}  // namespace

// The narrowest of up to kTries, the last of which is narrow. The first call takes all of them, because the first
// readings are slow and narrowest_ns_ must be right before anything is measured.
ClockSample SystemClock::sample() {
    constexpr int kTries = 8;
    const bool first = narrowest_ns_ == kUnknown;
    ClockSample best = read_sample();
    for (int i = 1; i < kTries && (first || !is_narrow(best, narrowest_ns_)); ++i) {
        const ClockSample next = read_sample();
        if (next.width_ns() < best.width_ns()) best = next;
    }
    if (best.width_ns() < narrowest_ns_) narrowest_ns_ = static_cast<uint32_t>(best.width_ns());
    return best;
}

ClockAnchor SystemClock::anchor_after(const ClockSample &now, const ClockAnchor &last) {
    const ClockSample origin{origin_counter_, origin_ns_ - origin_width_ns_, origin_ns_};
    const bool has_origin = is_narrow(origin, narrowest_ns_);
    if (!is_narrow(now, narrowest_ns_) || (has_origin && !can_measure(origin, now))) return no_anchor(now, last);
    const ClockAnchor next = has_origin ? next_anchor(origin, now, last) : no_anchor(now, last);
    origin_counter_ = now.counter;
    origin_ns_ = now.after_ns;
    origin_width_ns_ = static_cast<uint32_t>(now.width_ns());
    anchor_.store(next);
    return next;
}

// Under the lock an anchor is half written only in the child of a fork; then it is ignored.
int64_t SystemClock::now_locked() {
    const ClockSample now = sample();
    const ClockAnchor last = anchor_.is_whole() ? anchor_.load() : ClockAnchor{};
    return last.holds(now.counter) ? last.at(now.counter) : anchor_after(now, last).time_ns;
}

// Bounded: while another thread holds the lock, or this one was interrupted holding it, the time is CLOCK_MONOTONIC,
// but not before the end of the last anchor. A new anchor may be ahead of that, so the time counts only if none was set
// before it was read.
int64_t SystemClock::now_beyond_anchor() {
    constexpr int kRounds = 1000;
    for (int round = 0; use_counter_ && round < kRounds; ++round) {
        if (lock_.try_lock()) {
            const int64_t now = now_locked();
            lock_.unlock();
            return now;
        }
        const uint64_t version = anchor_.version();
        const ClockAnchor last = anchor_.load();
        const uint64_t counter = platform::read_counter();
        const int64_t plain = platform::monotonic_ns();
        if (anchor_.is_still(version)) return last.holds(counter) ? last.at(counter) : std::max(plain, last.end());
        platform::pause();
    }
    return platform::monotonic_ns();
}

}  // namespace tb
