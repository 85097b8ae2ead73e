// The token bucket that one would write by hand: a mutex around a double. In a shared library of its own, so that it
// pays for a call as the product does.
#ifndef TOKENBUCKET_TESTS_BENCH_MUTEX_BUCKET_H
#define TOKENBUCKET_TESTS_BENCH_MUTEX_BUCKET_H

#include <chrono>
#include <mutex>

namespace bench {

class MutexBucket {
  public:
    MutexBucket(double capacity, double tokens_per_second, double initial_tokens);
    bool allow(double n);

  private:
    using Clock = std::chrono::steady_clock;

    const double capacity_;
    const double tokens_per_second_;
    std::mutex mutex_;
    double tokens_;
    Clock::time_point filled_at_;
};

}  // namespace bench

#endif
