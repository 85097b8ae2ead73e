// Counts the threads that are at work inside an object, so that its owner can wait for them before it destroys it.
#ifndef TOKENBUCKET_CORE_CLOCK_IN_FLIGHT_H
#define TOKENBUCKET_CORE_CLOCK_IN_FLIGHT_H

#include <atomic>
#include <cstdint>

#include "core/platform/platform.h"

namespace tb {

class InFlight {
  public:
    void begin() { count_.fetch_add(1, std::memory_order_acq_rel); }
    // The last that a thread does with the object. `process` is the process_generation in which it began: the child of
    // a fork does not count its parent's threads.
    void end(uint32_t process) {
        if (process != platform::process_generation()) return;
        if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) ended_->add_and_wake(1);
    }
    // Is none inside? Then none touches the object any more, unless it begins.
    bool is_empty() const { return count_.load(std::memory_order_acquire) == 1; }
    // Sleeps until none is inside. Called once, by the owner. The thread that takes the count to 0 wakes it; the frame
    // of this call holds the sleeper until then.
    void wait_for_all() {
        if (count_.load(std::memory_order_acquire) == 1) return;
        platform::Sleeper ended;
        ended_ = &ended;
        if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) return;
        while (ended.word() == 0) ended.sleep_while(0, INT64_MAX);
    }
    // Forgets all: in the child of a fork.
    void abandon() { count_.store(1, std::memory_order_release); }

  private:
    std::atomic<uint32_t> count_{1};  // and the owner, until it waits
    platform::Sleeper *ended_ = nullptr;
};

}  // namespace tb

#endif
