#include "tests/bench/mutex_bucket.h"

#include <algorithm>

namespace bench {

MutexBucket::MutexBucket(double capacity, double tokens_per_second, double initial_tokens)
    : capacity_(capacity), tokens_per_second_(tokens_per_second), tokens_(initial_tokens), filled_at_(Clock::now()) {}

// The clock is read outside the lock to keep it short; a time that another thread has overtaken adds nothing.
bool MutexBucket::allow(double n) {
    const Clock::time_point now = Clock::now();
    const std::lock_guard<std::mutex> guard(mutex_);
    if (now > filled_at_) {
        const std::chrono::duration<double> passed = now - filled_at_;
        tokens_ = std::min(capacity_, tokens_ + passed.count() * tokens_per_second_);
        filled_at_ = now;
    }
    if (tokens_ < n) return false;
    tokens_ -= n;
    return true;
}

}  // namespace bench
