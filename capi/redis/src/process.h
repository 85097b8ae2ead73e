// The clock, and which process this is.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_PROCESS_H
#define TOKENBUCKET_CAPI_REDIS_SRC_PROCESS_H

#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace tb::redis {

inline int64_t to_ns(const timespec &t) {
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

inline int64_t now_ns() {
    timespec t{};
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return to_ns(t);
}

inline timespec to_timespec(int64_t ns) {
    timespec t{};
    t.tv_sec = static_cast<time_t>(ns / 1000000000);
    t.tv_nsec = static_cast<long>(ns % 1000000000);
    return t;
}

class LockGuard {
  public:
    explicit LockGuard(pthread_mutex_t *mutex) : mutex_(mutex) { ::pthread_mutex_lock(mutex_); }
    ~LockGuard() { ::pthread_mutex_unlock(mutex_); }
    LockGuard(const LockGuard &) = delete;
    LockGuard &operator=(const LockGuard &) = delete;

  private:
    pthread_mutex_t *const mutex_;
};

// A thread that is cancelled in a call would leave others waiting, and what it has reserved taken.
class NoCancellation {
  public:
    NoCancellation() { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~NoCancellation() { ::pthread_setcancelstate(before_, nullptr); }
    NoCancellation(const NoCancellation &) = delete;
    NoCancellation &operator=(const NoCancellation &) = delete;

  private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

// Notices that this is a forked child of the process that used an object before. Then the threads that were using the
// object are gone, and what they left must be made anew before anything else. Where the kernel can empty a page in a
// child, that costs a load; else a system call.
class ProcessCheck {
  public:
    ProcessCheck() : mark_(map_mark()) { mark_or_number().store(current(), std::memory_order_relaxed); }
    ~ProcessCheck();
    ProcessCheck(const ProcessCheck &) = delete;
    ProcessCheck &operator=(const ProcessCheck &) = delete;

    // Calls renew() on one thread of a child, while the others wait.
    template <class Renew>
    void follow(Renew renew) {
        std::atomic<int64_t> &mark = mark_or_number();
        const int64_t self = current();
        int64_t seen = mark.load(std::memory_order_acquire);
        if (seen == self) return;
        if (seen != kRenewing && mark.compare_exchange_strong(seen, kRenewing)) {
            renew();
            mark.store(self, std::memory_order_release);
            return;
        }
        while (mark.load(std::memory_order_acquire) != self) ::sched_yield();
    }

  private:
    static constexpr int64_t kMarked = 1;
    static constexpr int64_t kRenewing = -1;

    // Null: the kernel cannot.
    static std::atomic<int64_t> *map_mark();

    std::atomic<int64_t> &mark_or_number() { return mark_ != nullptr ? *mark_ : number_; }
    int64_t current() const { return mark_ != nullptr ? kMarked : ::getpid(); }

    std::atomic<int64_t> *const mark_;  // 0 in a child
    std::atomic<int64_t> number_{0};
};

}  // namespace tb::redis

#endif
