// The chain: the reservations and waiters of a bucket in order. Positions, costs and the capacity are in units.
//
//  1. base is the position up to which all takes, charges and past entries have spent.
//  2. A reservation keeps its position p: it turns what is spent before it, x, into max(x, p - capacity) + cost. What
//     is spent at the end of the chain is what the word shows, so takes are decided behind everybody.
//  3. A reservation's position is a promise: what is spent after it may not pass it. So what is put before it must
//     leave it room, Sequence::limit_before.
//  4. A waiter has no position of its own. In the order of arrival, each stands at the first point behind the waiter
//     before it at which its cost fits. It is due at the position x + cost, where x is spent at that point. So if an
//     entry leaves, the waiters behind it move up and keep their order, as if the entry had never been there.
//  5. A charge raises the base, a refund lowers it.
//
// A charge, or a lower limit, may break promises. Then nothing is put before those reservations any more.
#ifndef TOKENBUCKET_CORE_QUEUE_CHAIN_H
#define TOKENBUCKET_CORE_QUEUE_CHAIN_H

#include <cstdint>

#include "core/bucket/plan.h"
#include "core/queue/sequence.h"

namespace tb {

class Chain {
  public:
    static constexpr unsigned kSerialBits = 24;
    static constexpr uint32_t kMostGaps = 8;

    Chain();

    bool is_empty() const { return arena_.size() == 0; }
    uint32_t waiters() const { return waiter_count_; }
    uint64_t base() const { return base_; }
    int64_t capacity() const { return capacity_; }
    const Entry &operator[](uint32_t index) const { return arena_[index]; }
    // Is the entry of that index and serial number still there?
    bool holds(uint32_t index, uint32_t serial) const { return arena_.holds(index) && arena_[index].serial == serial; }

    uint32_t first_reservation() const { return reservations_.first(); }
    // When the last reservation is due; 0 if there is none.
    int64_t last_due_ns() const;
    uint32_t first_waiter() const { return waiters_.first(); }
    uint32_t next_waiter(uint32_t index) const { return waiters_.next(index); }

    // The point before all entries.
    Cursor begin() const { return {reservations_.first(), base_}; }
    // The first point, from there on or behind all waiters, at which `cost` breaks no promise. Costs the number of gaps
    // that are too small. After kMostGaps of them a reservation goes behind all others.
    Cursor place_waiter(Cursor from, int64_t cost) const { return place(from, cost, UINT32_MAX); }
    Cursor place_reservation(int64_t cost) const { return place(tail(), cost, kMostGaps); }
    // The point behind the last waiter. Costs the number of gaps before it if the chain has changed there.
    Cursor tail() const;
    // What is spent at the end of the chain: now, or if `cost` were put at a point behind all waiters.
    uint64_t end() const { return reservations_.spent_at_end(tail(), capacity_); }
    uint64_t end_with(Cursor at, int64_t cost) const;

    void set_base(uint64_t base) {
        if (base != base_) tail_known_ = false;
        base_ = base;
    }
    // Costs the number of entries if the capacity is another one.
    void set_capacity(int64_t capacity);
    // Moves the reservations to the positions of their times under that plan, whose base is not after any of them.
    // Costs the number of reservations.
    void set_rate(const Plan &plan);

    // Makes sure that the next put succeeds; false if there is no memory for it.
    bool reserve_room() { return arena_.reserve(); }
    // At the point that place_reservation or place_waiter(tail(), cost) gave for the same cost. Returns the index.
    uint32_t put_reservation(Cursor at, int64_t cost, int64_t due_ns);
    uint32_t put_waiter(Cursor at, int64_t cost, int64_t deadline_ns, Waiter *waiter);
    void remove(uint32_t index);
    // Removes the entry that comes first, adding it to the base.
    void pass_reservation(uint32_t index);
    void pass_waiter(uint32_t index);
    // Gives a reservation another cost at the same position, and makes its ticket void.
    void keep(uint32_t index, int64_t cost);
    void remove_reservations();
    // Forgets everybody, see Arena.
    void abandon();

    // Are the order and the summaries right? Costs the number of entries.
    bool check() const { return reservations_.check(capacity_) && waiters_.check(capacity_); }

  private:
    Cursor place(Cursor from, int64_t cost, uint32_t most_gaps) const;
    int64_t room_before(Cursor gap) const;
    Cursor find_tail() const;
    uint32_t put(const Entry &entry, Sequence *sequence);
    void take_out(uint32_t index);

    Arena arena_;
    Sequence reservations_;
    Sequence waiters_;
    uint64_t base_ = 0;
    int64_t capacity_ = 0;
    mutable Cursor tail_{0, 0};
    mutable bool tail_known_ = false;
    uint64_t arrivals_ = 0;
    uint32_t serial_;
    uint32_t waiter_count_ = 0;
};

}  // namespace tb

#endif
