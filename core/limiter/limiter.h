// A limiter: a cell, a clock and a queue. It is what a tb_bucket is.
//
// Takes, available() and time_until() use the cell and the clock alone and wait for no lock. All else needs the
// limiter's lock (locked.h). Under it a compare-and-swap may still lose against a take; then the word and the time are
// read anew. The time is read after the word, so it is not before any time by which the word was made.
//
// The plan's lock is held while the spare plan slot is written and put in force. A take that finds that the base must
// be moved tries that lock, and decides by the old base if another thread holds it.
//
// Lock order: limiter, then plan or manual clock. No function of the user is called under a lock.
#ifndef TOKENBUCKET_CORE_LIMITER_LIMITER_H
#define TOKENBUCKET_CORE_LIMITER_LIMITER_H

#include <atomic>
#include <cstdint>

#include "core/bucket/cell.h"
#include "core/bucket/decide.h"
#include "core/clock/time_source.h"
#include "core/limiter/events.h"
#include "core/limiter/retry.h"
#include "core/queue/wait_queue.h"

namespace tb {

struct WaitOptions {
    bool precise = false;         // spin for the last kLatestWakeNs of a wait
    int64_t max_waiters = 0;      // 0: no limit
    int64_t max_lateness_ns = 0;  // 0: kMaxLatenessNs; on a manual clock, no limit
    Bell bell;
};
inline constexpr WaitOptions kNoWaitOptions;
inline constexpr int64_t kMaxLatenessNs = 10000000;

// All pointers must live as long as the limiter.
struct LimiterOptions {
    Clock *clock = nullptr;  // null: the system clock, which may use the counter
    bool use_counter = false;
    const WaitOptions *waiting = &kNoWaitOptions;
    const Observer *observer = nullptr;
};

// The full answer to a take; TBU_NEVER for a time that is longer than any int64_t.
struct Answer {
    double remaining;
    int64_t retry_after_ns;
    int64_t reset_after_ns;
};

struct Reservation {
    double tokens;
    int64_t wait_ns;
    int64_t ready_at_ns;
    uint64_t ticket;
};

// Of a waiter that is no thread.
struct QueuePlace {
    uint64_t waiter = 0;  // its number; 0: it does not wait
    int64_t wait_ns = 0;  // until its tokens are due
};

class Limiter {
  public:
    static constexpr double kFull = -1.0;  // for reset()

    // With initial_units units in the bucket.
    Limiter(const LimitSpec &spec, const Limit &limit, int64_t initial_units, const LimiterOptions &options);
    // Closes, and returns when the last thread has left its wait.
    ~Limiter();

    [[gnu::always_inline]] Status allow(double n) {
        return is_in_sixteenths(n) ? allow_at_once<PriceInSixteenths>(n) : allow_fraction(n);
    }

    // *answer has a meaning for success, denied and exceeds_capacity.
    Status take(double n, Answer *answer);
    Status take_up_to(double most, double *taken);
    // Blocks, unless timeout_ns is 0.
    Status wait(double n, int64_t timeout_ns, int32_t priority);
    // success: taken. waiting: *place is where the waiter stands, and the bell rings with its tag. timed_out:
    // place->wait_ns is what it would have had to wait.
    Status enqueue(double n, int64_t timeout_ns, int32_t priority, uint64_t tag, QueuePlace *place);
    // waiting: *wait_ns is set. invalid_argument: not in the queue. Else the outcome, and the waiter is gone.
    Status check(uint64_t number, int64_t *wait_ns);
    Status leave(uint64_t number);

    Status reserve(double n, int64_t max_wait_ns, Reservation *reservation);
    Status cancel(const Reservation &reservation);
    Status settle(const Reservation &reservation, double actual);

    Status charge(double n, int64_t *repaid_after_ns);
    Status refund(double n);
    Status reset(double tokens);  // or kFull
    Status set_tokens(double tokens);
    Status set_rate(double tokens_per_second);
    Status set_capacity(double capacity);
    Status close();

    double available();
    Status time_until(double n, int64_t *ns);
    // The limit as asked for, and the units per token.
    LimitSpec limit(uint64_t *scale);
    int64_t waiting();

    const Observer *observer() const { return observer_; }
    Clock *clock() const { return time_.clock(); }
    const WaitOptions &waiting_options() const { return waiting_; }

  private:
    class Locked;

    // The first attempt of a take, in the common case; slowly(lost) does all else, after a lost compare-and-swap if
    // lost. explain(decision, plan, now) derives results from the decision before it is stored; if it returns false
    // slowly decides instead.
    template <class Price, class Explain, class Slowly>
    [[gnu::always_inline]] Status take_at_once(double n, Explain explain, Slowly slowly) {
        const uint64_t word = cell_.word();
        const PlanSlot &plan = cell_.plan(word);
        int64_t now = 0;
        Decision d;
        if (!time_.now_by_counter(&now)) [[unlikely]]
            return slowly(false);
        if (!decide_in_place<Price>(word, plan, n, now, &d) || !explain(d, plan, now)) [[unlikely]]
            return slowly(false);
        if (d.status == Status::success) {
            if (!cell_.compare_exchange(word, d.next)) [[unlikely]]
                return slowly(true);
        } else if (!is_surely_denied(d, plan) || cell_.word() != word) {
            return slowly(false);
        }
        return observer_ == nullptr ? d.status : recorded(d.status, n);
    }
    template <class Price>
    [[gnu::always_inline]] Status allow_at_once(double n) {
        const auto nothing = [](const Decision &, const PlanSlot &, int64_t) { return true; };
        const auto slowly = [=, this](bool lost) { return lost ? take_after_loss(n) : take_slowly(n); };
        return take_at_once<Price>(n, nothing, slowly);
    }
    Status allow_fraction(double n);
    template <class Decide>
    Status take_by(Decide decide);
    Status take_now(double n);
    Status take_slowly(double n, Answer *answer);
    Status take_up_to_slowly(double most, double *taken);
    Status reserve_slowly(double n, int64_t max_wait_ns, Reservation *reservation);
    Status take_slowly(double n);
    Status take_after_loss(double n);
    Status recorded(Status s, double n) const;
    bool move_base(int64_t now);

    // Waits and reservations.
    template <class Place, class Put>
    static Status join(Locked *locked, double n, int64_t max_wait_ns, int64_t *wait_ns, Place place, Put put);
    // Can there be room before a reservation? A take does not see that; it needs the queue.
    bool may_have_gaps() const { return queue_.load(std::memory_order_acquire) != nullptr; }
    Status reserve_ahead(double n, int64_t max_wait_ns, Reservation *reservation);
    WaitQueue::Options queue_options() const;
    bool go_on_ringing(Ringer *ringer);
    static void look(void *limiter);
    Status enter(Waiter *waiter, double n, int64_t timeout_ns, int32_t priority, QueuePlace *place);
    Status sleep_until_over(Waiter *waiter);
    bool sleep_towards(Waiter *waiter, int64_t due_ns, int64_t now, uint32_t seen);
    Status come(Waiter *waiter, bool signalled);
    static Status collect(Locked *locked, Waiter *waiter, bool signalled);
    void record_wait(const Waiter &waiter, Status outcome);

    // Changes.
    template <class Edit>
    Status change(Locked *locked, Edit edit);
    template <class Edit>
    Status change_plan(Locked *locked, Edit edit);
    Status settle_pending(Locked *locked, uint32_t index, uint64_t kept);
    static Status charge_base(Locked *locked, const Observation &now, uint64_t units);
    static uint64_t refund_base(Locked *locked, const Observation &now, uint64_t units);
    Status set_limit(Locked *locked, const LimitSpec &spec);
    void record_returned(double tokens) const;

    TimeSource time_;
    Cell cell_;
    const Observer *const observer_;
    platform::ForkSafeLock plan_lock_;

    platform::ForkSafeLock lock_;
    std::atomic<WaitQueue *> queue_{nullptr};  // null before the first wait or reservation that is not due at once
    LimitSpec spec_;
    const WaitOptions &waiting_;
    uint32_t process_;
};

}  // namespace tb

#endif
