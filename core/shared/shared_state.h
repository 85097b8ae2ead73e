// The state of a limiter in memory that processes share: its cell, and beside each of the cell's two plan slots the
// queue that is in force with it. So the state word's generation says which queue that is, and a change of the queue or
// of the plan is one swap of the word and its generation (queue_images.h). Takes change the word alone, as in a limiter
// of one process.
//
// Two locks of the memory stand for the account's and the plan's (StateLock). Times are of CLOCK_MONOTONIC, which all
// processes read alike.
#ifndef TOKENBUCKET_CORE_SHARED_SHARED_STATE_H
#define TOKENBUCKET_CORE_SHARED_SHARED_STATE_H

#include <cstdint>

#include "core/bucket/cell.h"
#include "core/bucket/undos.h"
#include "core/platform/platform.h"
#include "core/queue/wait_queue.h"
#include "core/shared/opening.h"
#include "core/shared/queue_images.h"

namespace tb {

struct SharedPage {
    static constexpr uint32_t kMostEntries = QueueImage::kMostEntries;

    SharedPage(const SharedHeader &its_header, const Plan &plan, int64_t units)
        : header(its_header), cell(plan, units) {}

    SharedHeader header;
    alignas(64) Cell cell;
    QueueRoom<kMostEntries> queue;
    Undos undos;
};

class SharedState {
  public:
    static constexpr unsigned kAccountLock = 0;
    static constexpr unsigned kPlanLock = 1;

    SharedState() : images_(&memory_, kAccountLock) {}
    SharedState(const SharedState &) = delete;
    SharedState &operator=(const SharedState &) = delete;

    struct Terms {
        LimitSpec spec;
        Limit limit;
        int64_t initial_units;
        int64_t now_ns;
        bool adopts;  // the limit that is in force, if there is one
    };
    // Opens the memory of that name, or creates it; null: new memory without a name. mismatch: *difference says why.
    // system: *error is an errno.
    Status open(const char *name, const Terms &terms, Difference *difference, int *error);

    Cell *cell() { return &page_->cell; }
    Undos *undos() { return &page_->undos; }
    platform::SharedMemory *memory() { return &memory_; }
    QueueImages *images() { return &images_; }

    // Under the account's lock: brings the queue and the limit to those in force.
    void load(WaitQueue *queue, LimitSpec *spec);

  private:
    Status create(const char *path, const Terms &terms, int *error);
    Status attach(const Terms &terms, Difference *difference);

    platform::SharedMemory memory_;
    SharedPage *page_ = nullptr;
    QueueImages images_;
};

// The number of the image in force with that word.
inline unsigned image_of(uint64_t word) {
    return word & 1;
}

}  // namespace tb

#endif
