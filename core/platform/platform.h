// What the core needs from the operating system. Each system has its folder beside this file, and implements this.
#ifndef TOKENBUCKET_CORE_PLATFORM_PLATFORM_H
#define TOKENBUCKET_CORE_PLATFORM_PLATFORM_H

#include <atomic>
#include <cstdint>

namespace tb::platform {

// CLOCK_MONOTONIC in nanoseconds.
int64_t monotonic_ns();

// Does the kernel itself keep time by the counter that read_counter (counter.h) reads? Then it ticks evenly, equally on
// all cores and in all power states.
bool counter_is_trusted();

enum class Woken { by_wake_or_timeout, by_signal };

// Sleeps while word == expected, at the latest until deadline_ns on the monotonic clock; may return early. Returns
// by_signal after any signal handler, with or without SA_RESTART.
Woken sleep_while(std::atomic<uint32_t> *word, uint32_t expected, int64_t deadline_ns);

// Wakes all who sleep on the word. The word may be gone by now: its memory is not touched.
void wake_all(std::atomic<uint32_t> *word);

// A lock for rare, short work. Signals are blocked while it is held, so that no handler on the holder's own thread can
// wait for it; a lock that another process held when it forked is free in the child.
class RareLock {
  public:
    bool try_lock();
    void unlock();

  private:
    std::atomic<uint32_t> owner_{0};
};

class RareLockGuard {
  public:
    explicit RareLockGuard(RareLock *lock);
    ~RareLockGuard();
    RareLockGuard(const RareLockGuard &) = delete;
    RareLockGuard &operator=(const RareLockGuard &) = delete;

  private:
    RareLock *lock_;
    uint64_t blocked_before_;
};

// One round of waiting for another thread that is about to finish: a few pauses, later rounds give up the processor.
void back_off(int round);

}  // namespace tb::platform

#endif
