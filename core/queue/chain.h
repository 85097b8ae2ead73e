// The chain: the reservations and waiters of a bucket in order. Positions, costs and the capacity are in units.
//
//  1. base is the position up to which all takes, charges and past entries have spent.
//  2. A reservation keeps its position p: it turns what is spent before it, x, into max(x, p - capacity) + cost. What
//     is spent at the end of the chain is what the word shows, so takes are decided behind everybody.
//  3. A reservation's position is a promise: what is spent after it may not pass it. So what is put before it must
//     leave it room, Sequence::limit_before.
//  4. A waiter has no position of its own. In the order of priority, then of arrival, each stands at the first point
//     behind the waiter before it at which its cost fits. It is due at the position x + cost, where x is spent at that
//     point. So if an entry leaves, the waiters behind it move up and keep their order, as if the entry had never been
//     there.
//  5. A waiter that is due stands, like a reservation, at the position at which it became so, and its cost is in the
//     base, though it may not have collected its tokens yet. What has been spent since then and before the next became
//     due is kept with it (Entry::below; its limit is what is at least spent after the entry itself). So when one of
//     them gives its tokens back, the base is folded anew, as if that one had never been.
//  6. A charge raises the base, a refund lowers it.
//
// A charge, or a lower limit, may break promises. Then nothing is put before those reservations any more.
#ifndef TOKENBUCKET_CORE_QUEUE_CHAIN_H
#define TOKENBUCKET_CORE_QUEUE_CHAIN_H

#include <cstdint>

#include "core/bucket/plan.h"
#include "core/queue/image.h"
#include "core/queue/sequence.h"

namespace tb {

class Chain {
  public:
    static constexpr unsigned kIndexBits = 24;
    static constexpr unsigned kSerialBits = 24;
    static constexpr uint32_t kMostGaps = 8;

    Chain();

    // Is there an entry, also of a waiter whose wait has ended and who has not come yet?
    bool holds_any() const { return arena_.size() != 0; }
    // Does nobody stand in the order?
    bool is_empty() const { return is_settled() && first_due_ == 0; }
    // Is nobody ahead? Then all that stand in the order are due.
    bool is_settled() const { return reservations_.is_empty() && waiters_.is_empty(); }
    // Those that wait and those set aside.
    uint32_t waiters() const { return waiter_count_; }
    uint64_t base() const { return base_; }
    int64_t capacity() const { return capacity_; }
    const Entry &operator[](uint32_t index) const { return arena_[index]; }
    // Is the entry of that index and serial number still there?
    bool holds(uint32_t index, uint32_t serial) const { return arena_.holds(index) && arena_[index].serial == serial; }
    // What tells a waiter from all others of the chain, never 0; and the waiter of a number, null if it is gone.
    static uint64_t number(uint64_t arrival, uint32_t index) { return arrival << kIndexBits | index; }
    uint64_t number(uint32_t index) const { return number(arena_[index].arrival, index); }
    Waiter *waiter(uint64_t number) const;
    // f(Waiter *) for each, wherever it stands.
    template <class F>
    void for_each_waiter(F f) {
        arena_.for_each([&](Entry *e) {
            if (e->waiter != nullptr) f(e->waiter);
        });
    }

    uint32_t first_reservation() const { return reservations_.first(); }
    // When the last reservation is due; 0 if there is none.
    int64_t last_due_ns() const;
    // Its position, if there is one.
    uint64_t last_position() const { return arena_[reservations_.last()].position; }
    uint32_t first_waiter() const { return waiters_.first(); }
    uint32_t next_waiter(uint32_t index) const { return waiters_.next(index); }
    uint32_t first_due() const { return first_due_; }
    uint32_t next_due(uint32_t index) const { return arena_[index].right; }

    // The point before all entries but those that are due.
    Cursor begin() const { return {reservations_.first(), base_}; }
    // Does `cost` break no promise at that point?
    bool fits_at_begin(int64_t cost) const;
    // The first point, from there on or behind all waiters, at which `cost` breaks no promise. Costs the number of gaps
    // that are too small. After kMostGaps of them a reservation goes behind all others.
    Cursor place_waiter(Cursor from, int64_t cost) const { return place(from, cost, UINT32_MAX); }
    Cursor place_reservation(int64_t cost) const { return place(tail(), cost, kMostGaps); }
    // The point behind the last waiter, behind one of them, or behind all whose priority is not lower. Each costs the
    // number of gaps before that point; tail() only after a change.
    Cursor tail() const;
    Cursor behind(uint32_t waiter) const;
    Cursor behind_priority(int32_t priority) const;
    // What is spent at the end of the chain.
    uint64_t end() const { return reservations_.spent_at_end(tail()); }

    void set_base(uint64_t base) { spend({distance(base_, base), base - kFar, 0}); }
    // At least `full` is spent, then `taken` more, but in all at most `most`.
    void fill_and_take(uint64_t full, int64_t taken, uint64_t most);
    // As set_base, if the positions of what is due are too far away to be compared.
    void restart(uint64_t base);
    // Costs the number of entries if the capacity is another one.
    void set_capacity(int64_t capacity);
    // Moves the reservations to the positions of their times under that plan, whose base is not after any of them.
    // Costs the number of reservations.
    void set_rate(const Plan &plan);

    // Makes sure that the next put succeeds; false if there is no memory for it.
    bool reserve_room() { return arena_.reserve(); }
    // At the point that place_reservation gave, or place_waiter from behind_priority, for the same cost. They return
    // the index.
    uint32_t put_reservation(Cursor at, int64_t cost, int64_t due_ns);
    uint32_t put_waiter(Cursor at, int64_t cost, int64_t deadline_ns, int32_t priority, Waiter *waiter);
    void remove(uint32_t index);
    // Removes the first reservation, adding it to the base.
    void pass_reservation(uint32_t index);
    // The first waiter becomes due.
    void make_due(uint32_t index);
    // A waiter that is due keeps its tokens and stands apart.
    void collect(uint32_t index);
    // All that are due are waiters again, but those for which is_aside(Waiter *) are set aside. Costs their number.
    template <class F>
    void undo_due(F is_aside) {
        uint32_t index = begin_undo();
        while (index != 0) {
            const uint32_t next = arena_[index].right;
            arena_[index].place = Place::aside;
            ++waiter_count_;
            if (!is_aside(arena_[index].waiter)) rejoin(index);
            index = next;
        }
    }
    void undo_due() {
        undo_due([](const Waiter *) { return false; });
    }
    // One that was set aside is back at its place among the waiters.
    void rejoin(uint32_t index);
    // A waiter leaves the order for good.
    void set_apart(uint32_t index);
    // Gives a reservation another cost at the same position, and makes its ticket void.
    void keep(uint32_t index, int64_t cost);
    void remove_reservations();
    // Forgets everybody, see Arena.
    void abandon();

    // For a chain that processes hand to each other: at most so many entries, in memory that stays; false if there is
    // none.
    bool fix(uint32_t most) { return arena_.fix(most); }
    uint32_t reached() const { return arena_.reached(); }
    // All of the image but what a waiter knows.
    void save(QueueImage *image) const;
    // The waiters are those of an array, by index. False: no chain has such an image; nobody is in this one then.
    bool restore(const QueueImage &image, Waiter *const waiters[]);
    // Nobody is in it any more.
    void clear();

    // Are the order and the summaries right? Costs the number of entries.
    bool check() const { return reservations_.check() && waiters_.check() && folded_base(true) == base_; }

  private:
    Cursor place(Cursor from, int64_t cost, uint32_t most_gaps) const;
    int64_t room_before(Cursor gap) const;
    Cursor behind_cost(int64_t total) const;
    uint32_t put(const Entry &entry, Sequence *sequence);
    void spend(const Summary &run);
    void take_out(uint32_t index);
    Summary own(uint32_t due) const { return {arena_[due].cost, arena_[due].below.limit, 0}; }
    void unlink_due(uint32_t index, const Summary &run);
    bool restore_due(uint32_t first);
    uint32_t begin_undo();
    void fold();
    uint64_t folded_base(bool with_due) const;

    Arena arena_;
    Sequence reservations_;
    Sequence waiters_;
    uint32_t first_due_ = 0;  // the list of those that are due, in the order in which they became so
    uint32_t last_due_ = 0;
    uint64_t base_before_due_ = 0;
    int64_t headroom_ = 0;  // by so much less could have been spent since then without any overflow
    uint64_t base_ = 0;
    int64_t capacity_ = 0;
    mutable Cursor tail_{0, 0};
    mutable bool tail_known_ = false;
    uint64_t arrivals_;
    uint32_t serial_;
    uint32_t waiter_count_ = 0;
};

}  // namespace tb

#endif
