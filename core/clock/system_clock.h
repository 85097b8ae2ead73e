// CLOCK_MONOTONIC, read from the CPU's cycle counter where the kernel itself does so.
//
// An anchor (anchor.h) serves for up to a second, then it is set anew: so the clock stays within a microsecond of
// CLOCK_MONOTONIC (where reading that takes 50 ns; else within some 20 readings) and does not run back. Until a first
// slope has been measured (10 ms of use), and wherever the counter is not trusted or behaves oddly (suspend,
// migration), CLOCK_MONOTONIC itself is read. Each bucket has its own clock: there is no global state.
#ifndef TOKENBUCKET_CORE_CLOCK_SYSTEM_CLOCK_H
#define TOKENBUCKET_CORE_CLOCK_SYSTEM_CLOCK_H

#include <atomic>
#include <cstdint>

#include "core/clock/anchor.h"
#include "core/platform/counter.h"
#include "core/platform/platform.h"

namespace tb {

class SystemClock {
  public:
    explicit SystemClock(bool use_counter) : use_counter_(use_counter) {}

    int64_t now() {
        int64_t now_ns = 0;
        return use_counter_ && now_by_anchor(&now_ns) ? now_ns : now_beyond_anchor();
    }

    // The short way, good for nearly every call: false if there is no anchor or it has run out.
    bool now_by_anchor(int64_t *now_ns) const {
        const uint64_t finished = finished_.load(std::memory_order_acquire);
        const uint64_t counter = counter_.load(std::memory_order_acquire);
        const uint64_t span = span_.load(std::memory_order_acquire);
        const uint64_t ticks = platform::read_counter() - counter;
        const uint64_t slope = slope_.load(std::memory_order_acquire);
        const uint64_t time = time_ns_.load(std::memory_order_acquire);
        if (ticks >= span || started_.load(std::memory_order_relaxed) != finished) [[unlikely]]
            return false;
        *now_ns = static_cast<int64_t>(time + (ticks * slope >> ClockAnchor::kSlopeBits));
        return true;
    }

  private:
    static constexpr int64_t kUnknown = INT64_MAX / 8;

    struct Versioned {
        ClockAnchor anchor;
        uint64_t version;
    };

    ClockSample sample();
    Versioned read_anchor() const;
    bool is_in_force(uint64_t version) const { return started_.load(std::memory_order_acquire) == version; }
    int64_t now_beyond_anchor();
    int64_t now_locked();
    ClockAnchor anchor_after(const ClockSample &now, const ClockAnchor &last);
    void publish(const ClockAnchor &anchor);

    // The anchor, between two counts that readers compare: a writer raises started_ first and finished_ last, a reader
    // reads them the other way round, so equal counts mean that nothing changed in between.
    std::atomic<uint64_t> started_{0};
    std::atomic<uint64_t> counter_{0};
    std::atomic<uint64_t> time_ns_{0};
    std::atomic<uint64_t> slope_{0};
    std::atomic<uint64_t> span_{0};
    std::atomic<uint64_t> finished_{0};

    // Under the lock.
    const bool use_counter_;
    platform::ForkSafeLock lock_;
    int64_t narrowest_ns_ = kUnknown;      // of the samples so far
    ClockSample origin_{0, 0, INT64_MAX};  // where the next slope is measured from; too wide until there is one
};

}  // namespace tb

#endif
