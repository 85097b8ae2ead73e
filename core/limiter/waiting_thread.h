// A thread that waits, in one queue or in several.
#ifndef TOKENBUCKET_CORE_LIMITER_WAITING_THREAD_H
#define TOKENBUCKET_CORE_LIMITER_WAITING_THREAD_H

#include <algorithm>
#include <cstdint>

#include "core/platform/platform.h"

namespace tb {

// How long a thread may do nothing for one of its waiters.
struct Nap {
    bool is_over = false;          // its tokens are due
    bool spins = false;            // until a moment from now
    int64_t until_ns = INT64_MAX;  // else, on the monotonic clock; INT64_MAX: until it is rung
};

// Of two the one that ends first.
inline Nap earlier(const Nap &a, const Nap &b) {
    return {a.is_over || b.is_over, a.spins || b.spins, std::min(a.until_ns, b.until_ns)};
}

class WaitingThread {
  public:
    // For the alarms of its waiters.
    platform::Sleeper sleeper;

    // Does nothing until nap(), which is asked again after each sleep, is over or an alarm has rung. True if a signal
    // handler ended the sleep before. A ring after nap() has been asked ends the sleep at once.
    template <class F>
    bool sleep(F nap) {
        for (;;) {
            const Nap next = nap();
            const bool signalled = !next.is_over && !sleep_once(next);
            const uint32_t rung = sleeper.word();
            if (!next.is_over && !signalled && rung == seen_) continue;
            seen_ = rung;
            return signalled;
        }
    }

  private:
    // False if a signal handler ended the sleep.
    bool sleep_once(const Nap &nap) {
        if (nap.spins) {
            exact_.end();  // a system call, so before the last stretch
            platform::pause();
            return true;
        }
        if (nap.until_ns != INT64_MAX) exact_.begin();
        return sleeper.sleep_while(seen_, nap.until_ns) != platform::Woken::by_signal;
    }

    platform::ExactTimers exact_;
    uint32_t seen_ = 0;  // rings
};

}  // namespace tb

#endif
