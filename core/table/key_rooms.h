// Where the queues of a shared table's keys lie: in rooms of its memory, each for one key at a time.
//
// A room is a key's from the time when a process takes it until one finds that nothing is in the queue and nobody uses
// it; meanwhile the key's slot is pinned, or is about to be. All who use a room hold its lock of use in common, so the
// kernel knows whether any of them is left. Rooms change hands under a lock of all rooms.
#ifndef TOKENBUCKET_CORE_TABLE_KEY_ROOMS_H
#define TOKENBUCKET_CORE_TABLE_KEY_ROOMS_H

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/platform/platform.h"
#include "core/shared/queue_images.h"

namespace tb {

struct KeyRoom {
    static constexpr uint32_t kMostEntries = 128;

    std::atomic<uint64_t> key;  // its hash
    std::atomic<uint64_t> is_taken;
    // The change of the limit (Plan::changes) for which the queue is planned, or one before.
    std::atomic<uint64_t> changes;
    // Before that time the room does not become free, as far as this is known.
    std::atomic<int64_t> free_ns;
    QueueRoom<kMostEntries> queue;
};

class KeyRooms {
  public:
    KeyRooms(platform::SharedMemory *memory, KeyRoom *rooms, uint64_t count)
        : memory_(*memory), rooms_(rooms), count_(static_cast<unsigned>(count)) {}
    KeyRooms(const KeyRooms &) = delete;
    KeyRooms &operator=(const KeyRooms &) = delete;

    // A table of so many lines has so many: one for each eight places, within limits.
    static constexpr uint64_t rooms_for(uint64_t lines) { return std::clamp<uint64_t>(lines / 2, 16, 512); }

    unsigned count() const { return count_; }
    platform::SharedMemory *memory() const { return &memory_; }
    KeyRoom *operator[](unsigned number) { return &rooms_[number]; }
    // The lock of the room's account.
    static unsigned account_lock(unsigned number) { return kFirst + 2 * number; }
    bool is_taken(unsigned number) const { return rooms_[number].is_taken.load(std::memory_order_acquire) != 0; }
    uint64_t key(unsigned number) const { return rooms_[number].key.load(std::memory_order_relaxed); }

    // Holds the lock of all rooms. All below is under it.
    class Lock {
      public:
        explicit Lock(KeyRooms *rooms) : memory_(rooms->memory_) { memory_.lock(kLock); }
        ~Lock() { memory_.unlock(kLock); }
        Lock(const Lock &) = delete;
        Lock &operator=(const Lock &) = delete;

      private:
        platform::SharedMemory &memory_;
    };

    // The key's room, or a free one; count() if there is none.
    unsigned find(uint64_t wanted) const;
    unsigned find_free() const;
    void give(unsigned number, uint64_t key);
    void set_free(unsigned number) { rooms_[number].is_taken.store(0, std::memory_order_release); }

    // Uses the room from now on. True if nobody else does.
    bool begin_use(unsigned number);
    // True: nobody else uses it, nor can begin to before end_use().
    bool is_unused_by_others(unsigned number) { return memory_.try_lock(use_lock(number)); }
    void end_use(unsigned number) { memory_.unlock(use_lock(number)); }

  private:
    // LivePlan has lock 0.
    static constexpr unsigned kLock = 1;
    static constexpr unsigned kFirst = 2;
    static unsigned use_lock(unsigned number) { return kFirst + 2 * number + 1; }

    platform::SharedMemory &memory_;
    KeyRoom *const rooms_;
    const unsigned count_;
};

}  // namespace tb

#endif
