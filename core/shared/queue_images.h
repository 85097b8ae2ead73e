// The queue of an account whose state processes share: two images of it in their memory, of which a bit of the state
// says which one is in force.
//
// A change of the queue is written to the other image, then that bit is changed together with the rest of the state by
// one compare-and-swap. So a process that is killed has changed all or nothing, and leaves nothing to repair. The queue
// of a process (WaitQueue) is brought up to date when it has locked the account.
#ifndef TOKENBUCKET_CORE_SHARED_QUEUE_IMAGES_H
#define TOKENBUCKET_CORE_SHARED_QUEUE_IMAGES_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/bucket/limit.h"
#include "core/platform/platform.h"
#include "core/queue/image.h"
#include "core/queue/wait_queue.h"

namespace tb {

// The limit for which a queue is planned; of a table's key with its number (Plan::changes).
struct PlannedFor {
    LimitSpec spec;
    uint64_t changes;
};

// A queue, with what else is in force with it.
struct SharedQueue {
    uint64_t change;  // a number that no other queue of the memory has
    PlannedFor limit;
    QueueImage image;

    static constexpr std::size_t size(uint32_t entries) { return sizeof(SharedQueue) + entries * sizeof(EntryImage); }
};

// The memory of both images, and what the threads that wait sleep on.
template <uint32_t kMost>
struct QueueRoom {
    static_assert(kMost <= QueueImage::kMostEntries);
    alignas(64) std::atomic<uint64_t> images[2][SharedQueue::size(kMost) / sizeof(uint64_t)];
    std::atomic<uint32_t> bells[kMost];
};

class QueueImages {
  public:
    // The account's lock is the memory's of that number.
    QueueImages(platform::SharedMemory *memory, unsigned lock) : memory_(memory), lock_(lock) {}
    ~QueueImages();
    QueueImages(const QueueImages &) = delete;
    QueueImages &operator=(const QueueImages &) = delete;

    // Before all else; false if there is no memory for a copy of an image. The room may be unknown yet.
    bool make(uint32_t most);
    template <uint32_t kMost>
    void use(QueueRoom<kMost> *room) {
        words_[0] = room->images[0];
        words_[1] = room->images[1];
        bells_ = room->bells;
    }

    platform::SharedMemory *memory() const { return memory_; }
    unsigned lock() const { return lock_; }
    std::atomic<uint32_t> *bells() const { return bells_; }
    uint32_t most_entries() const { return most_; }

    // Both images, while nobody uses them: an empty queue of that limit, whose state word is `word`.
    void begin(uint64_t word, const WaitQueue &empty, const PlannedFor &limit);

    // Under the account's lock, with the number of the image in force, 0 or 1.
    // Does the process's queue show it, as last loaded or written?
    bool is_loaded(unsigned in_force) const;
    // Copies it. Then restore() makes the queue that of the copy.
    const PlannedFor &read(unsigned in_force);
    void restore(WaitQueue *queue);
    // Writes the other image, to be in force with the state word `next`.
    void write(unsigned in_force, uint64_t next, const WaitQueue &queue, const PlannedFor &limit);
    // The image written last is in force.
    void written() { loaded_ = written_; }
    // The other image becomes the same, without the copy, which is the account's: async-signal-safe.
    void carry(unsigned in_force);
    // Forgets what was loaded: in the child of a fork.
    void forget() { loaded_ = 0; }

  private:
    std::size_t words_of(uint32_t reached) const;
    void put(unsigned image, uint64_t word, const WaitQueue &queue, const PlannedFor &limit);

    platform::SharedMemory *const memory_;
    const unsigned lock_;
    std::atomic<uint64_t> *words_[2] = {};
    std::atomic<uint32_t> *bells_ = nullptr;
    SharedQueue *copy_ = nullptr;
    uint32_t most_ = 0;
    uint64_t loaded_ = 0;   // the change that the queue shows; 0: none
    uint64_t written_ = 0;  // the last change written
};

}  // namespace tb

#endif
