// The threads that wait on one bucket, and the reservations that are pending on it.
//
// A waiter is a claim on the bucket and an alarm to sleep on, both in the frame of its own thread. It sleeps once, to
// its due time, looks at the clock and leaves; it is woken earlier only when a change has moved its due time or ended
// its wait. All that makes or moves what is pending happens under the room's lock, in which order goes: room, then
// bucket; room, then manual clock. Who releases a waiter touches it last with Alarm::finish; a waiter that leaves by
// itself takes the lock. Takes, and reservations that are due at once, go on beside all this without it.
#ifndef TOKENBUCKET_CORE_WAIT_ROOM_H
#define TOKENBUCKET_CORE_WAIT_ROOM_H

#include <atomic>
#include <cstdint>

#include "core/bucket/bucket.h"
#include "core/bucket/pending.h"
#include "core/clock/alarm.h"
#include "core/platform/platform.h"
#include "core/wait/present.h"
#include "core/wait/statistics.h"

namespace tb {

struct RoomOptions {
    int64_t max_waiters;     // 0: no limit
    bool precise;            // spin the last stretch
    Statistics *statistics;  // may be null
};

class WaitRoom {
  public:
    // A thread's stay, from when it must sleep until it no longer touches the room or what belongs to it.
    class Visit {
      public:
        Visit() = default;
        ~Visit() {
            if (room_ != nullptr) room_->depart(process_);
        }
        Visit(const Visit &) = delete;
        Visit &operator=(const Visit &) = delete;

        bool took_place() const { return room_ != nullptr; }
        int64_t since_ns() const { return since_ns_; }

      private:
        friend class WaitRoom;
        WaitRoom *room_ = nullptr;
        uint32_t process_ = 0;
        int64_t since_ns_ = 0;
    };

    WaitRoom(Bucket *bucket, TimeSource *time, const RoomOptions &options)
        : bucket_(bucket), time_(time), options_(options) {}

    // Takes n tokens from the bucket, sleeping until they are there, at most max_wait_ns.
    Status wait(double n, int64_t max_wait_ns, Visit *visit);

    int64_t waiting();

    Status reserve(double n, int64_t max_wait_ns, int64_t now, Reservation *reservation);
    // Beside what is pending charges take turns with the changes of it: a steady stream of them could else keep a
    // change from ever finding the word as it was.
    Status charge(double n, int64_t now, int64_t *repaid_after_ns);
    // As the bucket's, with everyone who waits planned anew.
    Status refund(double n, Moment moment);
    Status cancel(const Reservation &reservation, Moment moment);
    Status settle(const Reservation &reservation, double actual, Moment moment);
    Status reset(double tokens, Moment moment);
    Status set_rate(double tokens_per_second, Moment moment);
    Status set_capacity(double capacity, Moment moment);
    Status close(Moment moment);

    // Returns when nobody is inside: for the owner, once, at the end.
    void wait_until_empty();

  private:
    struct Waiter : Claim {
        Alarm alarm;
        uint32_t process;
        platform::ExactTimers exact;
    };

    // Holds the lock. In the child of a fork nothing is pending: waiters and reservations belong to the parent.
    class Guard {
      public:
        explicit Guard(WaitRoom *room) : lock_(&room->lock_), room_(room) { room_->forget_other_processes(); }
        // What a change let go leaves.
        ~Guard() { room_->announce(); }
        Guard(const Guard &) = delete;
        Guard &operator=(const Guard &) = delete;

      private:
        platform::LockGuard lock_;
        WaitRoom *const room_;
    };

    template <class Operation>
    Status change(Operation operation);
    Status enter(double n, int64_t max_wait_ns, int64_t now, Waiter *waiter, Visit *visit);
    void depart(uint32_t process);
    Status sleep_until_over(Waiter *waiter);
    bool sleep_towards(Waiter *waiter, int64_t due_ns, int64_t now, uint32_t rung);
    Status leave(Waiter *waiter, bool signalled);
    Status try_to_leave(Waiter *waiter, bool signalled, Moment moment);
    void count_given_back(double tokens) const;

    // Under the lock.
    void forget_other_processes();
    void announce();
    void arm(Waiter *waiter);
    void release(Waiter *waiter);

    Bucket *const bucket_;
    TimeSource *const time_;
    const RoomOptions options_;

    platform::ForkSafeLock lock_;
    uint32_t process_ = 0;
    Pending pending_;
    // What the word may already show of what is pending: raised before, lowered after. Whoever reads 0 after the word
    // knows that nothing was pending at that word.
    std::atomic<std::size_t> promised_{0};
    // Threads that may still touch this object, and its owner, until it waits for the others to leave.
    std::atomic<uint32_t> inside_{1};
    platform::Sleeper *emptied_ = nullptr;  // what the owner then sleeps on
};

}  // namespace tb

#endif
