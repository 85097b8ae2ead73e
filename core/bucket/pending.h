// Claims and reservations that are not due yet, in the order of their arrival.
//
// They form a chain. What is spent after an entry is what a bucket would have spent after a grant at its position:
//
//     spent = max(spent before, position - capacity) + held
//
// and the word is at the end of the chain. When an entry leaves, the chain without it is a bucket that never knew it:
// so no window can hold more than capacity + rate * window whatever leaves, in whatever order, and once all have left
// nothing of them is spent. A reservation's position is a promise and fixed. A claim is laid anew in every change,
// where the chain before it ends; so whoever waits moves up as soon as that is possible.
//
// The order of arrival is not always that of positions. That is safe: a grant that is entered late, behind one of a
// later position, can only overstate the end. For the same reason what takes and charges spend without a lock, which
// is seen as a difference of the word, is put behind the last entry as if spent when it is noticed.
//
// The chain may end behind the word, but never begins to do so by itself: a smaller capacity or coarser units leave
// promises that a bucket of these would not have given. Then as much comes back as is given up, until the two meet
// again. And whoever leaves, nobody behind is worse off. What is refunded is, behind the last reservation before those
// who wait, spent by nobody: it counts once.
//
// Nobody overtakes a claim: the end of the chain is at or behind every claim's position. Guarded by the caller's lock.
#ifndef TOKENBUCKET_CORE_BUCKET_PENDING_H
#define TOKENBUCKET_CORE_BUCKET_PENDING_H

#include <cstddef>
#include <cstdint>

#include "core/bucket/entry.h"
#include "core/bucket/epochs.h"
#include "core/bucket/plan.h"
#include "core/bucket/reserved.h"

namespace tb {

// Position `from`, one token being from_scale units, becomes `to`. from_scale 0: positions stay as they are.
struct Passage {
    uint64_t from;
    uint64_t to;
    uint64_t from_scale;
    uint64_t to_scale;
};

// A change under way: what the bucket is, and what it is to be.
struct Draft {
    View view;        // the word as it is
    Plan plan;        // to be in force
    bool renewed;     // the plan differs from the view's
    bool new_limit;   // so does its limit, or its end: everyone is judged anew
    bool void_all;    // positions lose their meaning, reservations are void
    Passage passage;  // of positions, if the plan counts in other units than the view's
    uint64_t start;   // the chain's, in the plan's positions
    int64_t put_in;   // units put in anew, behind this entry or, if it is null, at the start
    Entry *put_behind;
    int64_t had;     // was available, in the plan's units
    int64_t rest;    // to be available: at first the least, then what it is
    int64_t excess;  // by so much the chain's end is before the word
    Epochs epochs;
    Entry *leaver;  // may be null
    Status why;     // it leaves
    int64_t keeps;  // units that stay spent for it
    Entry *from;    // the first entry that is laid anew, if any is
    Entry *until;   // the first that stays as it is

    // The plan to be, at the view's instant.
    View after() const { return renewed ? View{view.word, plan, plan.base_ns, 0, 0, rest} : view; }
    // The same in the plan's units, rounded up. False: too many to be counted.
    bool move(int64_t *units) const;
    bool move(uint64_t *position) const;
};

class Pending {
  public:
    bool empty() const { return first_ == nullptr; }
    // Entries and claims that have left, but were not taken out yet.
    std::size_t size() const { return size_; }
    std::size_t claims() const { return claims_; }
    Entry *first() const { return first_; }

    // Takes note of what others have spent, and lets go who is due. False: others have spent something, so the view's
    // time may be older than their doing.
    bool catch_up(const View &view);
    // What is spent before them all.
    uint64_t start() const { return base_; }

    // Also of those who stand behind one that is not due yet.
    void let_go_who_is_over(const View &view);

    // Behind all others, at what the word is now. A reservation that needs no entry is not added.
    void add(Claim *claim);
    void add(Reserved *reserved, const Standing &standing);
    ReservedPool &reserved() { return reserved_; }

    // Puts in as many of the units as there is room for: before all who wait, so that they move up; behind
    // reservations.
    void put_in(Draft *draft, int64_t units) const;
    // Works out the chain to be. False: the debt would pass what can be counted.
    bool lay(Draft *draft);
    // The draft has come into force.
    void settle(const Draft &draft);
    // This claim is due, though who came before may not be.
    void grant(Claim *claim);

    // The next claim that has left, by its outcome; null if there is none.
    Claim *take_out();
    // Has a claim's due time changed since the last call?
    bool take_moved();
    // Forgets everyone, without a look at them.
    void forget_all();

  private:
    bool lay_entry(Entry *entry, const Draft &draft, const View &after, uint64_t *spent) const;
    int64_t behind_claims(const View &after) const;
    bool lay_claim(Claim *claim, const Draft &draft, const View &after, uint64_t *spent) const;
    void append(Entry *entry);
    void remove(Entry *entry, int64_t stays_spent);

    Entry *first_ = nullptr;
    Entry *last_ = nullptr;
    uint64_t base_ = 0;  // spent before the first
    uint64_t end_ = 0;   // of the chain: the word's spent units when last seen
    Claim *out_first_ = nullptr;
    Claim *out_last_ = nullptr;
    std::size_t size_ = 0;
    std::size_t claims_ = 0;
    bool moved_ = false;
    ReservedPool reserved_;
};

// The units that n tokens cost, rounded up; a request for the whole capacity costs what the capacity holds.
Status cost_of(const Plan &plan, double n, int64_t *cost);

}  // namespace tb

#endif
