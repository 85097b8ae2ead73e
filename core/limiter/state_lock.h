// The lock of a state: between this process's threads, and where processes share the state, between these, too.
#ifndef TOKENBUCKET_CORE_LIMITER_STATE_LOCK_H
#define TOKENBUCKET_CORE_LIMITER_STATE_LOCK_H

#include "core/platform/platform.h"

namespace tb {

class StateLock {
  public:
    StateLock() = default;
    // The memory's lock of that number.
    StateLock(platform::SharedMemory *memory, unsigned number) : memory_(memory), number_(number) {}

    bool try_lock() {
        if (!threads_.try_lock()) return false;
        if (memory_ == nullptr || memory_->try_lock(number_)) return true;
        threads_.unlock();
        return false;
    }
    void lock() {
        threads_.lock();
        if (memory_ != nullptr) memory_->lock(number_);
    }
    void unlock() {
        if (memory_ != nullptr) memory_->unlock(number_);
        threads_.unlock();
    }

  private:
    platform::ForkSafeLock threads_;
    platform::SharedMemory *const memory_ = nullptr;
    const unsigned number_ = 0;
};

}  // namespace tb

#endif
