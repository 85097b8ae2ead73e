// The arithmetic of the counter clock: pure, so that its promises can be tested without a counter.
//
// An anchor turns a counter reading into a time: time + (counter - anchor counter) * slope, while it holds. The clock
// never runs back, whichever thread reads it: an anchor is set only where the last one has ended, at no
// earlier time than the last one ended with, and at no earlier time than CLOCK_MONOTONIC can have shown by then.
#ifndef TOKENBUCKET_CORE_CLOCK_ANCHOR_H
#define TOKENBUCKET_CORE_CLOCK_ANCHOR_H

#include <cstdint>

namespace tb {

// A counter reading between two readings of CLOCK_MONOTONIC. It is wide, and useless, if the thread was interrupted.
struct ClockSample {
    uint64_t counter;
    int64_t before_ns;
    int64_t after_ns;

    int64_t width_ns() const { return after_ns - before_ns; }
};

// Is the sample at most 4 times as wide, and 50 ns more, than the narrowest so far?
bool is_narrow(const ClockSample &sample, int64_t narrowest_ns);

struct ClockAnchor {
    static constexpr unsigned kSlopeBits = 32;

    uint64_t counter;
    int64_t time_ns;
    uint64_t slope;  // nanoseconds per tick * 2^32
    uint64_t span;   // ticks for which it holds; 0: time_ns is only a lower bound

    bool holds(uint64_t at_counter) const { return at_counter - counter < span; }
    int64_t at(uint64_t at_counter) const {
        return time_ns + static_cast<int64_t>((at_counter - counter) * slope >> kSlopeBits);
    }
    int64_t end() const { return at(counter + span); }
};

// Has enough time passed since `origin` to measure the counter's speed, or has the counter run back?
bool can_measure(const ClockSample &origin, const ClockSample &now);

// The anchor after `last`, from the counter's speed between the two samples, both narrow. It holds for twice as long as
// the speed was measured, at most a second, so that the errors of the samples are at most doubled at its end. Where
// `last` ended ahead of CLOCK_MONOTONIC the clock keeps that time and ticks slower, by at most 500 parts per million,
// until it is level again. It holds for no tick if the speed differs from that of `last` by more than 1000 parts
// per million.
ClockAnchor next_anchor(const ClockSample &origin, const ClockSample &now, const ClockAnchor &last);

// An anchor that holds for no tick, after `last`.
ClockAnchor no_anchor(const ClockSample &now, const ClockAnchor &last);

}  // namespace tb

#endif
