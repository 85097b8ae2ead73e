// Clocks that replace the system clock: manual and callback. Counted by reference: the creator holds one, every bucket
// another. A time never runs back: an earlier one is held at the latest.
#ifndef TOKENBUCKET_CORE_CLOCK_CLOCK_H
#define TOKENBUCKET_CORE_CLOCK_CLOCK_H

#include <atomic>
#include <cstdint>

#include "core/bucket/status.h"

namespace tb {

class Clock {
  public:
    using Function = int64_t (*)(void *user);

    explicit Clock(int64_t start_ns) : latest_ns_(start_ns) {}
    Clock(Function function, void *user) : function_(function), user_(user) {}

    bool is_manual() const { return function_ == nullptr; }
    int64_t now();

    // For manual clocks; not negative.
    void set(int64_t now_ns);
    Status advance(int64_t duration_ns);

    // Bumped at every move of a manual clock, and by wake(): who waits for a time sleeps on this word.
    std::atomic<uint32_t> *moves() { return &moves_; }
    void wake();

    void retain() { holders_.fetch_add(1, std::memory_order_relaxed); }
    // Was this the last holder?
    bool release() { return holders_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  private:
    int64_t hold(int64_t now_ns);

    Function function_ = nullptr;
    void *user_ = nullptr;
    std::atomic<int64_t> latest_ns_{0};
    std::atomic<uint32_t> moves_{0};
    std::atomic<uint32_t> holders_{1};
};

}  // namespace tb

#endif
