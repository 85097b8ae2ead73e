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

uint32_t process_id();

// The processor that the thread runs on, or ran on a moment ago; 0 if that is not known.
unsigned processor();

// Lets this thread's timers fire as exactly as the kernel can, from begin() until end() or the end of its life. Both
// may be called again and again.
class ExactTimers {
  public:
    ExactTimers() = default;
    ~ExactTimers() { end(); }
    ExactTimers(const ExactTimers &) = delete;
    ExactTimers &operator=(const ExactTimers &) = delete;

    void begin();
    void end();

  private:
    int64_t slack_before_ns_ = 0;  // 0: as it was
};

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
    // While it is held: the process of its holder.
    uint32_t holder() const { return owner_.load(std::memory_order_relaxed); }

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
