#include "core/clock/system_clock.h"

namespace tb {
namespace {

// Rounds in which a reader waits for a writer to finish; a writer that does not was lost in a fork.
constexpr int kPatience = 1000;

int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

ClockSample read_sample() {
    const int64_t before_ns = platform::monotonic_ns();
    const uint64_t counter = platform::read_counter();
    return {counter, before_ns, platform::monotonic_ns()};
}

}  // namespace

// The narrowest of a few, as soon as it is about as narrow as any so far. The very first time all are tried: what is
// narrow must be known before anything is measured, and first readings are slow.
ClockSample SystemClock::sample() {
    constexpr int kTries = 8;
    const bool first = narrowest_ns_ == kUnknown;
    ClockSample best = read_sample();
    for (int i = 1; i < kTries && (first || !is_narrow(best, narrowest_ns_)); ++i) {
        const ClockSample next = read_sample();
        if (next.width_ns() < best.width_ns()) best = next;
    }
    if (best.width_ns() < narrowest_ns_) narrowest_ns_ = best.width_ns();
    return best;
}

SystemClock::Versioned SystemClock::read_anchor() const {
    for (int round = 0;; ++round) {
        const uint64_t finished = finished_.load(std::memory_order_acquire);
        const ClockAnchor anchor{counter_.load(std::memory_order_acquire),
                                 static_cast<int64_t>(time_ns_.load(std::memory_order_acquire)),
                                 slope_.load(std::memory_order_acquire), span_.load(std::memory_order_acquire)};
        if (is_in_force(finished)) return {anchor, finished};
        if (round == kPatience) return {{0, 0, 0, 0}, started_.load(std::memory_order_acquire)};
        platform::pause();
    }
}

void SystemClock::publish(const ClockAnchor &anchor) {
    const uint64_t version = started_.load(std::memory_order_relaxed) + 1;
    started_.store(version, std::memory_order_relaxed);
    counter_.store(anchor.counter, std::memory_order_release);
    time_ns_.store(static_cast<uint64_t>(anchor.time_ns), std::memory_order_release);
    slope_.store(anchor.slope, std::memory_order_release);
    span_.store(anchor.span, std::memory_order_release);
    finished_.store(version, std::memory_order_release);
}

ClockAnchor SystemClock::anchor_after(const ClockSample &now, const ClockAnchor &last) {
    const bool has_origin = is_narrow(origin_, narrowest_ns_);
    if (!is_narrow(now, narrowest_ns_) || (has_origin && !can_measure(origin_, now))) return no_anchor(now, last);
    const ClockAnchor next = has_origin ? next_anchor(origin_, now, last) : no_anchor(now, last);
    origin_ = now;
    publish(next);
    return next;
}

int64_t SystemClock::now_locked() {
    const ClockSample now = sample();
    const ClockAnchor last = read_anchor().anchor;
    return last.holds(now.counter) ? last.at(now.counter) : anchor_after(now, last).time_ns;
}

// Never waits: while another thread sets the anchor, or a signal handler interrupted one that does, CLOCK_MONOTONIC
// itself serves, held at the end of the anchor that has just run out. It is used only if no new anchor was set by the
// time it was read: that one may be ahead of it.
int64_t SystemClock::now_beyond_anchor() {
    if (!use_counter_) return platform::monotonic_ns();
    if (lock_.try_lock()) {
        const int64_t now = now_locked();
        lock_.unlock();
        return now;
    }
    for (;;) {
        const Versioned last = read_anchor();
        const uint64_t counter = platform::read_counter();
        if (last.anchor.holds(counter)) return last.anchor.at(counter);
        const int64_t plain = platform::monotonic_ns();
        if (is_in_force(last.version)) return later(plain, last.anchor.end());
    }
}

}  // namespace tb
