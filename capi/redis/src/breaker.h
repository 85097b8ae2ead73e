// Gives a server up for a time after some failures in a row.
#ifndef TOKENBUCKET_CAPI_REDIS_SRC_BREAKER_H
#define TOKENBUCKET_CAPI_REDIS_SRC_BREAKER_H

#include <atomic>
#include <cstdint>

namespace tb::redis {

// Closed: calls are made. Open until a time: none is. From that time on the first that asks is the probe, and all
// others are refused until the probe has succeeded, failed or ended without an attempt.
class Breaker {
  public:
    enum class Admission { admitted, probe, refused };

    Breaker(int32_t failures, int64_t open_ns) : most_failures_(failures), open_ns_(open_ns) {}

    bool is_open() const { return open_until_ns_.load(std::memory_order_relaxed) != kClosed; }

    // Takes no lock.
    Admission admit(int64_t now_ns) {
        int64_t until = open_until_ns_.load(std::memory_order_relaxed);
        if (until == kClosed) return Admission::admitted;
        if (now_ns < until || !open_until_ns_.compare_exchange_strong(until, kProbing)) return Admission::refused;
        return Admission::probe;
    }

    // By one thread at a time. failed() is true if that has opened the breaker.
    void succeeded() {
        failures_ = 0;
        if (is_open()) open_until_ns_.store(kClosed, std::memory_order_relaxed);
    }
    bool failed(int64_t now_ns) {
        if (++failures_ < most_failures_) return false;
        failures_ = most_failures_;
        open_until_ns_.store(now_ns + open_ns_, std::memory_order_relaxed);
        return true;
    }

    // The probe has ended; if it made no attempt another one is due after open_ns.
    void probe_ended(int64_t now_ns) {
        int64_t probing = kProbing;
        open_until_ns_.compare_exchange_strong(probing, now_ns + open_ns_);
    }

    // In a forked child, where there is no probe.
    void renew() {
        failures_ = 0;
        open_until_ns_.store(kClosed, std::memory_order_relaxed);
    }

  private:
    static constexpr int64_t kClosed = 0;
    static constexpr int64_t kProbing = INT64_MAX;

    const int32_t most_failures_;
    const int64_t open_ns_;
    int32_t failures_ = 0;  // at most most_failures_
    std::atomic<int64_t> open_until_ns_{kClosed};
};

}  // namespace tb::redis

#endif
