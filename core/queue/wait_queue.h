// The waiters and pending reservations of one bucket: the chain, as of the last look, and the waiters' alarms.
//
// A waiter is told of its due time by its alarm, and comes for its tokens itself. Once it is due they are kept for it,
// for max_lateness_ns. Then they flow back into the bucket; the waiter keeps its place, and is planned anew with all
// behind it. If it is late once more it is set aside: the others are served as if it were gone, until it comes back to
// its place.
//
// All functions need the account's lock. Only the first waiter is sure to have its present due time in its alarm. The
// others get an earlier time when they become the first or due, so that a change wakes none without need. A later time
// a waiter learns when it comes, and then also that it is behind its deadline; unless replan() was called, which costs
// the number of waiters.
#ifndef TOKENBUCKET_CORE_QUEUE_WAIT_QUEUE_H
#define TOKENBUCKET_CORE_QUEUE_WAIT_QUEUE_H

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

struct Waiter {
    enum class Owner : uint8_t {
        caller,     // it lies with who waits
        queue,      // on the heap; whoever knows its number may end its wait and free it
        elsewhere,  // in another process; this one stands for it, and is made anew with each image
    };
    // When it has its tokens it leaves; or it stays until those of other queues are there, too.
    enum class Due : uint8_t { leaves, stays };

    Alarm alarm;
    Owner owner = Owner::caller;
    Due when_due = Due::leaves;
    Status outcome = Status::waiting;
    bool was_late = false;     // once, since it last came
    uint8_t in_vain = 0;       // how often it came at its time and had to wait on, up to 2
    int64_t due_since_ns = 0;  // if it is due
    uint32_t index = 0;        // 0: it is in no queue
    uint32_t process = 0;      // process_generation
    double tokens = 0;
    int64_t since_ns = 0;
    // Of one that stays, what it has taken, and the era of that.
    uint64_t units = 0;
    uint64_t era = 0;
    // In the queue's list of those whose bell is to be rung.
    bool is_called = false;
    Waiter *before_called = nullptr;
    Waiter *after_called = nullptr;
    // Of one that is no thread and whose place was given away, see WaitQueue::restore().
    uint64_t lost_number = 0;
    Waiter *next_lost = nullptr;
};

// A thread that rings the bell for waiters, in rounds, between which it takes the lock.
struct Ringer {
    static constexpr int kMost = 32;
    uintptr_t thread = 0;
    Ringer *next = nullptr;  // in the queue's list of those at work
    int count = 0;
    uint64_t tags[kMost];
};

class WaitQueue {
  public:
    struct Options {
        Clock *manual_clock = nullptr;
        int64_t max_lateness_ns = INT64_MAX;
        Look look;
    };
    // Of an index, in a queue that processes hand to each other: the waiter of this process, if that has it, and one
    // that stands for a waiter of another.
    struct Seat {
        Waiter *own = nullptr;
        uint64_t arrival = 0;     // of its entry, as is
        int64_t deadline_ns = 0;  // this
        Waiter other;
        platform::Sleeper sleeper;
    };

    explicit WaitQueue(const Options &options) : options_(options) {}
    ~WaitQueue();
    WaitQueue(const WaitQueue &) = delete;
    WaitQueue &operator=(const WaitQueue &) = delete;

    Chain &chain() { return chain_; }
    // The threads that wait, and the clock's calls of the bell.
    InFlight &inside() { return inside_; }

    // Brings the chain up to the observation: passes the reservations that are due by then, makes waiters due, adds to
    // the base what takes have spent since the last look, and clamps it to a full bucket. Costs the number of these
    // entries; of all that are due, if one is late.
    void look(const Observation &observed);
    // Entries have left or changed. Until published() the word may show more or less than is spent, even if no entry is
    // left.
    void changed() { in_step_ = false; }
    bool is_published() const { return in_step_; }
    // `word`, which shows what is spent at the end of the chain, is in force.
    void published(uint64_t word) {
        last_word_ = word;
        in_step_ = true;
    }

    // When `cost`, put at that point, is due; not before now. TBU_NEVER if that does not fit an int64_t.
    int64_t due_ns(const Observation &observed, Cursor at, int64_t cost) const;
    // When that waiter is due by the present chain.
    int64_t due_ns(const Observation &observed, uint32_t index) const;

    // Puts a waiter at the point that place_waiter(behind_priority) gave, due at due_ns.
    void enter(Waiter *waiter, Cursor at, int64_t cost, int64_t due_ns, int64_t deadline_ns, int32_t priority);
    // Lists the alarm of one that has entered with the manual clock: after overtaken(), so that a test that sees the
    // count sees the new times of those behind it.
    void show(Waiter *waiter);
    // After an entry or a grant before waiters of a lower priority, the first of which is first_behind, 0: none. Plans
    // them anew if any waiter has a deadline or a manual clock counts them; else they learn when they come.
    void overtaken(const Observation &observed, uint32_t first_behind);
    // The waiter comes for its tokens, after a look. success: it has them. waiting: its alarm says when to come again.
    // Unless waiting is returned it must leave(), or stays as it has its tokens.
    Status collect(const Observation &observed, Waiter *waiter);
    // The waiter of a number, which the queue owns; null if it is gone.
    Waiter *find(uint64_t number) const;
    // The waiter gives up, or has learnt the outcome, and is gone from the queue.
    void leave(Waiter *waiter);
    // Undoes a put that was not published.
    void withdraw(uint32_t index);
    // Those that are due have their tokens, though they have not come for them yet.
    void grant_due();
    // Also of those that stay.
    void end_all_waits(Status outcome);

    // After a change: makes due who is due by now, and gives the first waiter its due time.
    void serve(const Observation &observed);
    // The second half of that, for a change that may be undone.
    void tell_first(const Observation &observed);
    // For a change that may delay waiters: gives them their later due times; the earlier ones serve() gives. Ends with
    // timed_out those due after their deadline, with exceeds_capacity those that cost more than the capacity. Costs the
    // number of waiters.
    void replan(const Observation &observed);

    // If there are waiters to be called takes the tags of some, and true is returned: after the lock has been released
    // the bell has to be rung for these, then go_on_ringing() is asked. False if this thread rings already: it is in a
    // call made by the bell, and will go on when that returns.
    bool begin_ringing(Ringer *ringer);
    bool go_on_ringing(Ringer *ringer);

    // Drops all entries: in the child of a fork, where they belong to the parent.
    void abandon();

    // Makes this a queue that processes hand to each other by images: bells[index - 1] is what a thread that waits
    // sleeps on, in memory that they share, for at most so many entries. False if there is no memory.
    bool share(std::atomic<uint32_t> *bells, uint32_t most);
    // The image says that `word` is in force.
    void save(QueueImage *image, uint64_t word) const;
    // Becomes the queue of the image; with a damaged one nobody is in it. A waiter of this process whose place has been
    // given away gets queue_full.
    void restore(const QueueImage &image);
    // Makes sure that the next entry finds room; false if there is none. Where places are few, that of a waiter of
    // another process is given away that should have come a second ago or earlier, and is waited for by nobody: that
    // process may have been killed.
    bool reserve_room(int64_t now);
    // Gives such a place away; false if there is none, as in a queue of one process.
    bool evict(int64_t now);
    // Is a waiter in it, also one whose wait has ended?
    bool holds_waiters();
    // Is a waiter of this process in it, or has lost its place?
    bool has_own_waiters() const;
    // Ends the waits of this process with `closed`.
    void end_own_waits();
    // Those of other processes leave: none of these uses the queue any more. False if there is none.
    bool remove_other_waiters();

  private:
    uint64_t hidden_units(const Observation &observed) const;
    void pass_due(const Observation &observed, bool all);
    int64_t reached_ns(const tbu_rate &rate, uint64_t position) const;
    bool is_late(const Waiter *waiter, int64_t now) const;
    void expire(const Observation &observed);
    int64_t next_look(const Observation &observed, Waiter *waiter, int64_t due_ns) const;
    void end_wait(Waiter *waiter, Status outcome);
    void arm(Waiter *waiter, int64_t due_ns);
    void disarm(Waiter *waiter) const;
    void call(Waiter *waiter);
    void uncall(Waiter *waiter);
    void take_tags(Ringer *ringer);
    void take_seat(Waiter *w);
    bool is_possible(const Observation &observed, bool far) const;
    void drop_all();
    void forget_lost(Waiter *waiter);
    void lose_place(Seat *seat);
    Waiter *stand_in(uint32_t index, const EntryImage &from);
    void restore_waiter(const EntryImage &from, Waiter *w);
    Waiter *waiter(uint32_t index) const { return chain_[index].waiter; }
    bool is_on_manual_clock(const Waiter *w) const {
        return options_.manual_clock != nullptr && w->owner != Waiter::Owner::elsewhere;
    }

    const Options options_;
    Chain chain_;
    Waiter *first_called_ = nullptr;
    Waiter *last_called_ = nullptr;
    Ringer *ringers_ = nullptr;
    uint64_t last_word_ = 0;  // as last looked at or published
    // The last look, and what had accrued by then.
    int64_t looked_ns_ = 0;
    tbu_position looked_at_{0, {0, 0}};
    bool in_step_ = true;
    uint32_t deadlines_ = 0;  // waiters that have one
    InFlight inside_;
    Seat *seats_ = nullptr;  // null: this process alone has the queue
    uint32_t seat_count_ = 0;
    Waiter *lost_ = nullptr;  // those whose place was given away
    std::atomic<uint32_t> *bells_ = nullptr;
};

}  // namespace tb

#endif
