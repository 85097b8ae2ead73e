// CLOCK_MONOTONIC, read from the CPU's cycle counter where the kernel itself does so.
//
// An anchor (anchor.h) serves for up to a second, then it is set anew: so the clock stays within a microsecond of
// CLOCK_MONOTONIC (where reading that takes 50 ns; else within some 20 readings) and does not run back. Until a first
// slope has been measured (10 ms of use), and wherever the counter is not trusted or behaves oddly (suspend,
// migration), CLOCK_MONOTONIC itself is read. Each bucket has its own clock: there is no global state.
#ifndef TOKENBUCKET_CORE_CLOCK_SYSTEM_CLOCK_H
#define TOKENBUCKET_CORE_CLOCK_SYSTEM_CLOCK_H

#include <cstddef>
#include <cstdint>

#include "core/clock/anchor.h"
#include "core/platform/counter.h"
#include "core/platform/platform.h"
#include "core/versioned.h"

namespace tb {

class SystemClock {
  public:
    explicit SystemClock(bool use_counter) : use_counter_(use_counter) {}

    int64_t now() {
        int64_t now_ns = 0;
        return now_by_anchor(&now_ns) ? now_ns : now_beyond_anchor();
    }

    // The common case: false if there is no anchor or it has run out.
    bool now_by_anchor(int64_t *now_ns) const {
        return use_counter_ && time_by_anchor(platform::read_counter(), now_ns);
    }

    // The time of a counter reading: false also if the anchor was set after it.
    bool time_by_anchor(uint64_t counter, int64_t *time_ns) const {
        if (!use_counter_) return false;
        const uint64_t version = anchor_.version();
        const uint64_t ticks = counter - anchor_.at<offsetof(ClockAnchor, counter)>();
        const uint64_t slope = anchor_.at<offsetof(ClockAnchor, slope)>();
        const uint64_t time = anchor_.at<offsetof(ClockAnchor, time_ns)>();
        if (ticks >= anchor_.at<offsetof(ClockAnchor, span)>() || !anchor_.is_still(version)) [[unlikely]]
            return false;
        *time_ns = static_cast<int64_t>(time + (ticks * slope >> ClockAnchor::kSlopeBits));
        return true;
    }

  private:
    static constexpr uint32_t kUnknown = UINT32_MAX / 8;

    ClockSample sample();
    int64_t now_beyond_anchor();
    int64_t now_locked();
    ClockAnchor anchor_after(const ClockSample &now, const ClockAnchor &last);

    Versioned<ClockAnchor> anchor_;

    // Under the lock. The next slope is measured from the origin, a narrow sample; at first it is too wide for that.
    uint64_t origin_counter_ = 0;
    int64_t origin_ns_ = 0;
    uint32_t origin_width_ns_ = UINT32_MAX;
    uint32_t narrowest_ns_ = kUnknown;  // width of the narrowest sample so far
    platform::ForkSafeLock lock_;
    const bool use_counter_;
};

}  // namespace tb

#endif
