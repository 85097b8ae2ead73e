#include "core/platform/unix/common.h"

#include <sched.h>
#include <time.h>

#include "core/platform/counter.h"

namespace tb::platform {

int64_t monotonic_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<int64_t>(t.tv_sec) * kNanosecondsPerSecond + t.tv_nsec;
}

bool ForkSafeLock::try_lock() {
    const uint32_t here = process_generation();
    uint32_t holder = holder_.load(std::memory_order_relaxed);
    return holder != here && holder_.compare_exchange_strong(holder, here, std::memory_order_acquire);
}

void ForkSafeLock::lock() {
    for (int round = 0; !try_lock(); ++round) back_off(round);
}

void ForkSafeLock::unlock() {
    holder_.store(0, std::memory_order_release);
}

void back_off(int round) {
    constexpr int kPauseRounds = 6;
    constexpr int kYieldRounds = 16;
    constexpr int64_t kNapNs = 50000;
    if (round < kPauseRounds) {
        for (int i = 0; i < 1 << round; ++i) pause();
        return;
    }
    const ErrnoKept kept;
    if (round < kYieldRounds) {
        sched_yield();
        return;
    }
    nap(kNapNs);
}

}  // namespace tb::platform
