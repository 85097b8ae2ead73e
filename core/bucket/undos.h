// What is given back by takes that are undone: the words that other takes have made say too much by that.
#ifndef TOKENBUCKET_CORE_BUCKET_UNDOS_H
#define TOKENBUCKET_CORE_BUCKET_UNDOS_H

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/bucket/plan.h"

namespace tb {

// Counts units, from before until after the compare-and-swap that gives them back. So what has begun by now, less what
// was done before a take read the word, is at least what was given back since that take.
class Undos {
  public:
    // To be read before the word, by a take that may be undone.
    uint64_t done() const { return done_.load(std::memory_order_acquire); }

  private:
    friend class Undo;
    std::atomic<uint64_t> begun_{0};
    std::atomic<uint64_t> done_{0};
};

// A take that is being undone: it took `units` by a compare-and-swap to `taken`, and had read undos->done() before.
class Undo {
  public:
    Undo(Undos *undos, uint64_t units, uint64_t taken, uint64_t done)
        : undos_(undos), units_(units), taken_(taken), done_(done) {
        undos_->begun_.fetch_add(units_, std::memory_order_acq_rel);
    }
    ~Undo() {
        undos_->done_.fetch_add(counted_, std::memory_order_release);
        undos_->begun_.fetch_sub(units_ - counted_, std::memory_order_release);
    }
    Undo(const Undo &) = delete;
    Undo &operator=(const Undo &) = delete;

    // What surely has not overflowed yet, by the present word and `full`, that of a bucket that is just full now. If so
    // much is given back, the bucket has no more than if the take had never been, and as much if nobody else has taken
    // or given back since. Where this is the latest take, no other word says too much afterwards.
    uint64_t still_there(uint64_t word, uint64_t full) {
        const uint64_t returned = undos_->begun_.load(std::memory_order_acquire) - units_ - done_;
        const int64_t above = word_difference(taken_, full);
        uint64_t back = 0;
        if (above > 0 && returned < static_cast<uint64_t>(above))
            back = std::min(units_, static_cast<uint64_t>(above) - returned);
        counted_ = returned == 0 && word_difference(word, taken_) == 0 ? 0 : back;
        return back;
    }

  private:
    Undos *const undos_;
    const uint64_t units_;
    const uint64_t taken_;
    const uint64_t done_;
    uint64_t counted_ = 0;
};

}  // namespace tb

#endif
