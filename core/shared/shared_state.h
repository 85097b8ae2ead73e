// The state of a limiter in memory that processes share: its cell, and beside each of the cell's two plan slots the
// queue that is in force with it.
//
// A change of the queue or of the plan is written beside the state word's spare slot, then the word and its generation
// are swapped by one compare-and-swap. So a process that is killed has changed all or nothing, and leaves nothing to
// repair. Takes change the word alone, as in a limiter of one process.
//
// Two locks of the memory stand for the account's and the plan's (StateLock). The queue of a process (WaitQueue) is
// brought up to date when it has locked the account. Times are of CLOCK_MONOTONIC, which all of them read alike.
#ifndef TOKENBUCKET_CORE_SHARED_SHARED_STATE_H
#define TOKENBUCKET_CORE_SHARED_SHARED_STATE_H

#include <atomic>
#include <cstdint>

#include "core/bucket/cell.h"
#include "core/bucket/undos.h"
#include "core/platform/platform.h"
#include "core/queue/image.h"
#include "core/queue/wait_queue.h"
#include "core/shared/opening.h"

namespace tb {

// The queue, with what else is in force with it.
struct SharedQueue {
    uint64_t change;  // a number that no other queue of the memory has
    LimitSpec spec;
    QueueImage image;
};

struct SharedPage {
    using Words = std::atomic<uint64_t>[sizeof(SharedQueue) / sizeof(uint64_t)];

    SharedPage(const SharedHeader &its_header, const Plan &plan, int64_t units)
        : header(its_header), cell(plan, units) {}

    SharedHeader header;
    alignas(64) Cell cell;
    alignas(64) Words queues[2];
    std::atomic<uint32_t> bells[QueueImage::kMostEntries];
    Undos undos;
};

class SharedState {
  public:
    static constexpr unsigned kAccountLock = 0;
    static constexpr unsigned kPlanLock = 1;

    SharedState() = default;
    ~SharedState() { std::free(buffer_); }
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
    std::atomic<uint32_t> *bells() { return page_->bells; }
    platform::SharedMemory *memory() { return &memory_; }

    // Under the account's lock: brings the queue and the limit to those in force.
    void load(WaitQueue *queue, LimitSpec *spec);
    // Forgets what was loaded: in the child of a fork.
    void forget() { loaded_ = 0; }
    // Under both locks: writes the queue beside the spare slot of `word`, to be in force with the word `next`.
    void save(uint64_t word, uint64_t next, const WaitQueue &queue, const LimitSpec &spec);
    // The queue written last is in force.
    void saved() { loaded_ = written_; }
    // Under the plan's lock: the queue in force stays so in the next generation of `word`.
    void carry(uint64_t word);

  private:
    Status create(const char *path, const Terms &terms, int *error);
    Status attach(const Terms &terms, Difference *difference);
    uint64_t read(uint64_t word, SharedQueue *queue) const;

    platform::SharedMemory memory_;
    SharedPage *page_ = nullptr;
    SharedQueue *buffer_ = nullptr;
    uint64_t loaded_ = 0;   // the change that the queue shows; 0: none
    uint64_t written_ = 0;  // the last change written
};

}  // namespace tb

#endif
