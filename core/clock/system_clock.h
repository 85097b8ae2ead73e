// CLOCK_MONOTONIC, read from the CPU's cycle counter where the kernel itself does so.
//
// now = anchor time + (counter - anchor counter) * slope, valid for about a second after the anchor. Past that the
// clock is anchored anew, with a slope that leads it back to CLOCK_MONOTONIC: it is within a microsecond of it and does
// not run back, because a new anchor is only set where the old one has ended, at no earlier time than it ended with.
// Until a first slope has been measured (10 ms of use), and wherever the counter is not trusted or behaves oddly
// (suspend, migration), CLOCK_MONOTONIC itself is read. Each bucket has its own: there is no global state.
#ifndef TOKENBUCKET_CORE_CLOCK_SYSTEM_CLOCK_H
#define TOKENBUCKET_CORE_CLOCK_SYSTEM_CLOCK_H

#include <atomic>
#include <cstdint>

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
        *now_ns = static_cast<int64_t>(time + (ticks * slope >> kSlopeBits));
        return true;
    }

  private:
    struct Sample {
        uint64_t counter;
        int64_t time_ns;
    };

    static constexpr unsigned kSlopeBits = 32;

    static Sample sample();
    struct Anchor {
        uint64_t counter;
        uint64_t time_ns;
        uint64_t slope;
        uint64_t span;

        bool holds(uint64_t at_counter) const { return at_counter - counter < span; }
        int64_t at(uint64_t at_counter) const {
            return static_cast<int64_t>(time_ns + ((at_counter - counter) * slope >> kSlopeBits));
        }
        int64_t end() const { return at(counter + span); }
    };

    Anchor anchor() const;
    int64_t now_beyond_anchor();
    int64_t now_locked();
    void anchor_anew(const Sample &now, const Anchor &last);
    void publish(const Sample &sample, uint64_t slope, uint64_t valid_ns);

    // The anchor, between two counts that readers compare: a writer raises started_ first and finished_ last, a reader
    // reads them the other way round, so equal counts mean that nothing changed in between.
    std::atomic<uint64_t> started_{0};
    std::atomic<uint64_t> counter_{0};
    std::atomic<uint64_t> time_ns_{0};
    std::atomic<uint64_t> slope_{0};  // nanoseconds per tick * 2^32
    std::atomic<uint64_t> span_{0};   // ticks for which the anchor holds; 0: time_ns_ is only a lower bound
    std::atomic<uint64_t> finished_{0};

    // Under the lock.
    const bool use_counter_;
    platform::RareLock lock_;
    Sample origin_{0, 0};  // where the slope in force was measured from; time 0: none
};

}  // namespace tb

#endif
