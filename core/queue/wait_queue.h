// The waiters and pending reservations of one bucket: the chain, as of the last look, and the waiters' alarms.
//
// All but depart and wait_until_departed needs the limiter's lock. Only the first waiter is sure to have its present
// due time in its alarm. The others get an earlier time when they become the first, so that one change wakes at most
// one of them. They get a later time at once, because it may be behind their deadline.
#ifndef TOKENBUCKET_CORE_QUEUE_WAIT_QUEUE_H
#define TOKENBUCKET_CORE_QUEUE_WAIT_QUEUE_H

#include <atomic>
#include <cstdint>

#include "core/bucket/plan.h"
#include "core/clock/alarm.h"
#include "core/clock/clock.h"
#include "core/platform/platform.h"
#include "core/queue/chain.h"

namespace tb {

// A bucket at one time, which is not before the base of its plan.
struct Observation {
    uint64_t word = 0;
    Plan plan{};
    int64_t now = 0;
    Balance balance{};

    Observation() = default;
    Observation(uint64_t w, const Plan &p, int64_t at_ns)
        : word(w), plan(p), now(at_ns > p.base_ns ? at_ns : p.base_ns), balance(tb::balance(w, p, at_ns)) {}

    // What is spent, as a position: that of the word, or of a bucket that is just full if that is later.
    uint64_t spent() const { return balance.accrued - static_cast<uint64_t>(balance.available); }
};

// Lies in the frame of the waiting thread, which sleeps on the alarm.
struct Waiter {
    Alarm alarm;
    Status outcome = Status::waiting;
    uint32_t index = 0;
    uint32_t process = 0;
    Waiter *next_ended = nullptr;
    platform::ExactTimers exact;
};

class WaitQueue {
  public:
    explicit WaitQueue(Clock *manual_clock) : manual_clock_(manual_clock) {}

    Chain &chain() { return chain_; }

    // Brings the chain up to the observation: passes the entries that are due by then, adds to the base what takes have
    // spent since the last look, and clamps it to a full bucket. Costs the number of entries passed.
    void look(const Observation &observed);
    // Entries have left. Until that is published the word shows more than is spent, even if no entry is left.
    void changed() { in_step_ = false; }
    // So much more is spent at the end of the chain, which the word does not show until it is published either.
    void raised(uint64_t units) { raised_ = units; }
    // `word`, which shows what is spent at the end of the chain, is in force.
    void published(uint64_t word) {
        last_word_ = word;
        in_step_ = true;
        raised_ = 0;
    }

    // When `cost`, put at that point, is due; not before now. TBU_NEVER if that does not fit an int64_t.
    int64_t due_ns(const Observation &observed, Cursor at, int64_t cost) const;

    // Puts a waiter at a point behind all others, due at due_ns. Its thread counts as in the queue until it departs.
    void enter(Waiter *waiter, Cursor at, int64_t cost, int64_t due_ns, int64_t deadline_ns);
    // Removes a waiter. Its thread learns of it by tell_ended, the last to touch the waiter.
    void end_wait(uint32_t index, Status outcome);
    void end_all_waits(Status outcome);
    void tell_ended(int64_t now);

    // After a change: grants what is due by now, and gives the first waiter its due time.
    void serve(const Observation &observed);
    // For a change that may delay waiters: gives all of them their due times. Ends with timed_out those due after their
    // deadline, with exceeds_capacity those that cost more than the capacity. Costs the number of waiters.
    void replan(const Observation &observed);

    // The last that a thread does with the queue and its limiter after enter(). `process` is the process_generation in
    // which it entered. The owner waits once, before it destroys the queue, until all threads have departed.
    void depart(uint32_t process);
    void wait_until_departed();

    // Drops all entries: in the child of a fork, where they belong to the parent.
    void abandon();

  private:
    void grant_due(const Observation &observed, bool all);
    void end_with(uint32_t index, Status outcome);
    void arm(uint32_t index, int64_t due_ns);

    Clock *const manual_clock_;
    Chain chain_;
    Waiter *ended_ = nullptr;
    uint64_t last_word_ = 0;  // as last looked at or published
    int64_t looked_ns_ = 0;
    bool in_step_ = true;
    uint64_t raised_ = 0;
    std::atomic<uint32_t> inside_{1};        // threads in the queue, and the owner until it waits for them
    platform::Sleeper *departed_ = nullptr;  // what the owner then sleeps on
};

}  // namespace tb

#endif
