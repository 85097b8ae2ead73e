// An account: the state word of one token bucket, and the queue of who waits for it and what is reserved. Where the
// word and its plan lie, and what the time is, a derived class knows.
//
// wait() and enqueue() try a take without the account's lock first; all else that is done needs the lock (locked.h).
// Under it a compare-and-swap may still lose against a take; then the word and the time are read anew. The time is read
// after the word, so it is not before any time by which the word was made.
//
// Lock order: account, then plan or manual clock. No function of the user is called under a lock.
#ifndef TOKENBUCKET_CORE_LIMITER_ACCOUNT_H
#define TOKENBUCKET_CORE_LIMITER_ACCOUNT_H

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "core/bucket/undos.h"
#include "core/clock/time_source.h"
#include "core/limiter/events.h"
#include "core/limiter/state_lock.h"
#include "core/limiter/waiting_thread.h"
#include "core/queue/wait_queue.h"
#include "core/shared/queue_images.h"

namespace tb {

struct WaitOptions {
    bool precise = false;         // spin for the last kLatestWakeNs of a wait
    int64_t max_waiters = 0;      // 0: no limit
    int64_t max_lateness_ns = 0;  // 0: kMaxLatenessNs; on a manual clock, no limit
    Bell bell;
};
inline constexpr WaitOptions kNoWaitOptions;
inline constexpr int64_t kMaxLatenessNs = 10000000;

struct Reservation {
    double tokens;
    int64_t wait_ns;
    int64_t ready_at_ns;
    uint64_t ticket;
};

inline bool is_valid(const Reservation &r) {
    return is_amount(r.tokens) && r.wait_ns >= 0;
}

// Of a waiter that is no thread.
struct QueuePlace {
    uint64_t waiter = 0;  // its number; 0: it does not wait
    int64_t wait_ns = 0;  // until its tokens are due
};

class Account {
  public:
    // Where the state is shared, before all else, and once: false if there is no memory.
    bool make_shared_queue();

    // Blocks, unless timeout_ns is 0.
    Status wait(double n, int64_t timeout_ns, int32_t priority);
    // success: taken. waiting: *place is where the waiter stands, and the bell rings with its tag. timed_out:
    // place->wait_ns is what it would have had to wait.
    Status enqueue(double n, int64_t timeout_ns, int32_t priority, uint64_t tag, QueuePlace *place);
    // waiting: *wait_ns is set. invalid_argument: not in the queue. Else the outcome, and the waiter is gone.
    Status check(uint64_t number, int64_t *wait_ns);
    Status leave(uint64_t number);

    // The parts of a wait in several queues, whose waiter stays when it has its tokens; its alarm has been set.
    // How long it would have to wait, as probe_reservation().
    Status probe(double n, int64_t timeout_ns, int32_t priority, int64_t *wait_ns);
    // success: it has its tokens. waiting. Else it is not in the queue.
    Status enter(Waiter *waiter, double n, int64_t timeout_ns, int32_t priority, QueuePlace *place);
    // As enter(), for one that waits.
    Status come(Waiter *waiter, bool signalled);
    // Once for each that has entered, whether it still is in the queue or not. Without success the tokens that it has
    // come back, as far as there is room. `outcome` is counted unless it is waiting.
    void end(Waiter *waiter, Status outcome);
    // When the waiter's thread should come.
    Nap nap(const Waiter &waiter);
    // Nanoseconds until the waiter is due.
    int64_t wait_ns(const Waiter &waiter);

    // For an amount that is not there now; not recorded.
    Status reserve_ahead(double n, int64_t max_wait_ns, Reservation *reservation);
    Status cancel(const Reservation &reservation);
    Status settle(const Reservation &reservation, double actual);

    Status charge(double n, int64_t *repaid_after_ns);
    Status refund(double n);
    // Gives back what was taken in that era, but for what may have overflowed since; nothing in another era.
    void undo(Undo *take, uint64_t era);

    // How long a reservation would have to wait: success, or timed_out, and *wait_ns is set in both cases.
    Status probe_reservation(double n, int64_t max_wait_ns, int64_t *wait_ns);

    int64_t waiting();

    const Observer *observer() const { return observer_; }
    const WaitOptions &waiting_options() const { return waiting_; }

    // Has nobody anything in the queue, as of the last look, and does no manual clock call its bell? Where the state is
    // shared: has nobody of this process?
    bool is_idle();
    // Does anybody wait, or is anybody due, as of the last look?
    bool has_waiters();

  protected:
    class Locked;

    // All must live as long as the account; the observer may be null, and so are the images if the state is this
    // process's alone.
    Account(const WaitOptions *waiting, const Observer *observer, QueueImages *images = nullptr);
    ~Account() = default;
    // Returns when the last thread has left its wait. For the destructor of the derived class, after all waits have
    // been ended.
    void destroy_queue();
    WaitQueue *queue() const { return queue_.load(std::memory_order_acquire); }
    QueueImages *images() const { return images_; }  // null: the state is this process's alone

    Status recorded(Status s, double n) const;

  private:
    // All of these are overridden. They are not pure: that would need C++'s run-time library.
    virtual TimeSource &time() { std::abort(); }
    // A take without the lock, not recorded.
    virtual Status take_now(double) { std::abort(); }
    // The word and its plan at a time read after them (TimeSource::latest). The plan's base is near: at most
    // elapsed_limit has elapsed since.
    virtual Observation observe() { std::abort(); }
    // Compare-and-swap of the word from that of an observation to *next, whose generation it may change.
    virtual bool exchange(const Observation &, uint64_t *) { std::abort(); }
    // Called when the account has been locked: brings the queue, and what else is in force, to those of the last
    // change.
    virtual void catch_up(Locked *) {}

    // Waits and reservations.
    template <class Place, class Put>
    static Status join(Locked *locked, double n, int64_t max_wait_ns, bool at_once, int64_t *wait_ns, Place place,
                       Put put);
    template <class Place>
    static Status measure(Locked *locked, double n, int64_t max_wait_ns, int64_t *wait_ns, Place place);
    // Can there be room before a reservation? A take does not see that; it needs the queue.
    bool may_have_gaps() const { return queue_.load(std::memory_order_acquire) != nullptr; }
    WaitQueue::Options queue_options();
    bool go_on_ringing(Ringer *ringer);
    static void look(void *account);
    bool is_full(const Chain &chain) const {
        return waiting_.max_waiters != 0 && chain.waiters() >= waiting_.max_waiters;
    }
    static Status collect(Locked *locked, Waiter *waiter, bool signalled);
    void record_wait(const Waiter &waiter, Status outcome);

    // Changes of what is spent.
    template <class Edit>
    static Status change(Locked *locked, Edit edit);
    Status settle_pending(Locked *locked, uint32_t index, uint64_t kept);
    static Status charge_base(Locked *locked, const Observation &now, uint64_t units);
    static uint64_t refund_base(Locked *locked, const Observation &now, uint64_t units);
    // As far as the bucket has room.
    static void return_units(Locked *locked, uint64_t units);
    void record_returned(double tokens) const;

    const Observer *const observer_;
    const WaitOptions &waiting_;
    QueueImages *const images_;
    std::atomic<WaitQueue *> queue_{nullptr};  // null before the first wait or reservation that is not due at once
    StateLock lock_;
    uint32_t process_;
};

}  // namespace tb

#endif
