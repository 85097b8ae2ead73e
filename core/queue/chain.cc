#include "core/queue/chain.h"

#include <algorithm>
#include <cassert>

#include "core/platform/platform.h"

namespace tb {
namespace {

// Later than any position of the chain.
uint64_t no_limit(uint64_t base) {
    return base + kFar;
}

// What has been spent since an entry became due, and then by another run.
void append(const Summary &run, Summary *since) {
    since->cost = static_cast<int64_t>(static_cast<uint64_t>(since->cost) + static_cast<uint64_t>(run.cost));
    since->spent = spent_after(run, since->spent);
}

// Orders waiters: those of a higher priority come first.
uint64_t order(int32_t priority) {
    return static_cast<uint64_t>(-int64_t{priority});
}

}  // namespace

// The serial and arrival numbers of two chains begin far apart, whatever their addresses (Fibonacci hashing), and if
// one lies where another lay before, so that what names an entry of the one names nothing in the other, except by an
// improbable accident.
Chain::Chain()
    : reservations_(&arena_),
      waiters_(&arena_),
      arrivals_((reinterpret_cast<uintptr_t>(this) + static_cast<uint64_t>(platform::monotonic_ns())) *
                    uint64_t{0x9e3779b97f4a7c15} >>
                kIndexBits),
      serial_(static_cast<uint32_t>(arrivals_ >> (64 - kIndexBits - kSerialBits))) {}

int64_t Chain::last_due_ns() const {
    const uint32_t last = reservations_.last();
    return last == 0 ? 0 : arena_[last].time_ns;
}

Cursor Chain::place(Cursor from, int64_t cost, uint32_t most_gaps) const {
    const uint64_t no_end = no_limit(base_);
    for (uint32_t gaps = 0; gaps < most_gaps; ++gaps) {
        const Cursor gap = reservations_.first_gap(from);
        if (gap.next == 0 || room_before(gap) >= cost) return reservations_.first_fit(from, gap, cost, no_end);
        from = reservations_.step(gap);
    }
    return {0, reservations_.spent_at_end(from)};
}

bool Chain::fits_at_begin(int64_t cost) const {
    return reservations_.is_empty() || room_before(begin()) >= cost;
}

int64_t Chain::room_before(Cursor gap) const {
    return distance(gap.spent, reservations_.limit_before(gap.next, no_limit(base_)));
}

Cursor Chain::tail() const {
    if (waiters_.is_empty()) return begin();
    if (!tail_known_) tail_ = behind_cost(waiters_.cost());
    tail_known_ = true;
    return tail_;
}

Cursor Chain::behind(uint32_t waiter) const {
    if (waiter == waiters_.last()) return tail();
    const Entry &e = arena_[waiter];
    return behind_cost(waiters_.cost_before(e.position, e.arrival) + e.cost);
}

Cursor Chain::behind_priority(int32_t priority) const {
    const uint32_t last = waiters_.last();
    if (last == 0 || distance(arena_[last].position, order(priority)) >= 0) return tail();
    return behind_cost(waiters_.cost_before(order(priority), UINT64_MAX));
}

// The point behind the first waiters, which cost `total`. Before a gap the waiters stand without space between them, so
// all that fit there are placed in one step, as one entry of their total cost.
Cursor Chain::behind_cost(int64_t total) const {
    Cursor from = begin();
    for (int64_t placed = 0; placed < total;) {
        const Cursor gap = reservations_.first_gap(from);
        const int64_t left = total - placed;
        const int64_t room = gap.next == 0 ? left : room_before(gap);
        if (room >= left) {
            const Cursor last = reservations_.first_fit(from, gap, left, no_limit(base_));
            return {last.next, last.spent + static_cast<uint64_t>(left)};
        }
        const int64_t fitting = room > 0 ? waiters_.largest_prefix(placed + room) - placed : 0;
        placed += fitting;
        from = reservations_.step({gap.next, gap.spent + static_cast<uint64_t>(fitting)});
    }
    return from;
}

void Chain::set_capacity(int64_t capacity) {
    if (capacity == capacity_) return;
    capacity_ = capacity;
    tail_known_ = false;
    reservations_.set_capacity(capacity);
}

// The order stays, also where times and positions disagree: in an image that was damaged.
void Chain::set_rate(const Plan &plan) {
    tail_known_ = false;
    uint64_t least = plan.base.units;
    const uint64_t most = least + kFar;
    reservations_.for_each([&](Entry *e) {
        e->position = least = earlier(later(position_at(plan, e->time_ns).units, least), most);
        e->arrival = ++arrivals_;
    });
    reservations_.summarize();
    assert(check());
}

uint32_t Chain::put_reservation(Cursor at, int64_t cost, int64_t due_ns) {
    const uint64_t position = at.spent + static_cast<uint64_t>(cost);
    const uint32_t index =
        put({position, ++arrivals_, cost, due_ns, nullptr, {}, 0, 0, 0, Place::reserved}, &reservations_);
    if (tail_.next == at.next) tail_.next = index;
    return index;
}

uint32_t Chain::put_waiter(Cursor at, int64_t cost, int64_t deadline_ns, int32_t priority, Waiter *waiter) {
    ++waiter_count_;
    const uint32_t index =
        put({order(priority), ++arrivals_, cost, deadline_ns, waiter, {}, 0, 0, 0, Place::waiting}, &waiters_);
    tail_ = {at.next, at.spent + static_cast<uint64_t>(cost)};
    tail_known_ = waiters_.last() == index;
    return index;
}

uint32_t Chain::put(const Entry &entry, Sequence *sequence) {
    const uint32_t index = arena_.acquire();
    arena_[index] = entry;
    serial_ = (serial_ + 1) % (uint32_t{1} << kSerialBits);
    if (serial_ == 0) serial_ = 1;
    arena_[index].serial = serial_;
    sequence->insert(index);
    assert(check());
    return index;
}

Waiter *Chain::waiter(uint64_t number) const {
    const uint32_t index = static_cast<uint32_t>(number % (1u << kIndexBits));
    if (!arena_.holds(index) || this->number(index) != number) return nullptr;
    return arena_[index].waiter;
}

void Chain::spend(const Summary &run) {
    const uint64_t base = spent_after(run, base_);
    if (base != base_) tail_known_ = false;
    base_ = base;
    headroom_ = std::min(headroom_, distance(run.spent, base));
    if (last_due_ == 0) {
        base_before_due_ = base;
    } else {
        append(run, &arena_[last_due_].below);
    }
}

void Chain::fill_and_take(uint64_t full, int64_t taken, uint64_t most) {
    const uint64_t filled = later(base_, full);
    const uint64_t base = earlier(filled + static_cast<uint64_t>(taken), most);
    spend({distance(filled, base), full + (base - filled), 0});
}

void Chain::restart(uint64_t base) {
    tail_known_ = false;
    base_ = base_before_due_ = base;
    for (uint32_t due = last_due_; due != 0; due = arena_[due].left) {
        base_before_due_ -= static_cast<uint64_t>(arena_[due].cost);
        arena_[due].below = {0, base - kFar, base - kFar};
    }
    headroom_ = INT64_MAX;
}

void Chain::fold() {
    base_ = base_before_due_;
    headroom_ = INT64_MAX;
    for (uint32_t due = first_due_; due != 0; due = arena_[due].right) {
        for (const Summary &run : {own(due), arena_[due].below}) {
            base_ = spent_after(run, base_);
            headroom_ = std::min(headroom_, distance(run.spent, base_));
        }
    }
}

uint64_t Chain::folded_base(bool with_due) const {
    uint64_t base = base_before_due_;
    for (uint32_t due = first_due_; due != 0; due = arena_[due].right) {
        if (with_due) base = spent_after(own(due), base);
        base = spent_after(arena_[due].below, base);
    }
    return base;
}

// Takes an entry out of the order in which it stands. What one that was due gives back costs the number of those that
// are due, if the bucket might have overflowed without it.
void Chain::take_out(uint32_t index) {
    Entry &e = arena_[index];
    if (e.place == Place::reserved) reservations_.remove(index);
    if (e.place == Place::waiting) waiters_.remove(index);
    if (e.place == Place::waiting || e.place == Place::aside) --waiter_count_;
    if (e.place == Place::due) {
        unlink_due(index, e.below);
        headroom_ -= e.cost;
        base_ -= static_cast<uint64_t>(e.cost);
        if (headroom_ < 0) fold();
    }
    e.place = Place::apart;
    assert(check());
}

// `run` is what remains of the entry.
void Chain::unlink_due(uint32_t index, const Summary &run) {
    const Entry &e = arena_[index];
    if (e.left == 0) {
        base_before_due_ = spent_after(run, base_before_due_);
    } else {
        append(run, &arena_[e.left].below);
    }
    (e.left == 0 ? first_due_ : arena_[e.left].right) = e.right;
    (e.right == 0 ? last_due_ : arena_[e.right].left) = e.left;
}

void Chain::set_apart(uint32_t index) {
    tail_known_ = false;
    take_out(index);
}

void Chain::remove(uint32_t index) {
    set_apart(index);
    arena_.release(index);
}

void Chain::rejoin(uint32_t index) {
    tail_known_ = false;
    arena_[index].place = Place::waiting;
    waiters_.insert(index);
    assert(check());
}

// This and the next two leave the points of the entries behind it as they are.
void Chain::pass_reservation(uint32_t index) {
    const bool known = tail_known_;
    const Entry &e = arena_[index];
    const uint64_t cost = static_cast<uint64_t>(e.cost);
    spend({e.cost, e.position - static_cast<uint64_t>(capacity_) + cost, 0});
    tail_known_ = known;
    take_out(index);
    arena_.release(index);
}

void Chain::make_due(uint32_t index) {
    take_out(index);
    Entry &e = arena_[index];
    const uint64_t cost = static_cast<uint64_t>(e.cost);
    base_ += cost;
    e.place = Place::due;
    e.left = last_due_;
    e.right = 0;
    const int64_t room = std::max(capacity_, e.cost) - e.cost;
    e.below = {0, base_ - kFar, base_ - static_cast<uint64_t>(room)};
    headroom_ = last_due_ == 0 ? room : std::min(headroom_, room);
    (last_due_ == 0 ? first_due_ : arena_[last_due_].right) = index;
    last_due_ = index;
    assert(check());
}

void Chain::collect(uint32_t index) {
    const Summary self = own(index), since = arena_[index].below;
    unlink_due(index, {self.cost + since.cost, spent_after(since, self.spent), 0});
    arena_[index].place = Place::apart;
    assert(check());
}

// The list of those that were due, which is empty then.
uint32_t Chain::begin_undo() {
    tail_known_ = false;
    base_ = base_before_due_ = folded_base(false);
    const uint32_t first = first_due_;
    first_due_ = last_due_ = 0;
    return first;
}

void Chain::keep(uint32_t index, int64_t cost) {
    tail_known_ = false;
    reservations_.remove(index);
    arena_[index].cost = cost;
    arena_[index].serial = 0;
    reservations_.insert(index);
    assert(check());
}

void Chain::remove_reservations() {
    while (const uint32_t first = reservations_.first()) remove(first);
}

void Chain::abandon() {
    reservations_.clear();
    waiters_.clear();
    waiter_count_ = first_due_ = last_due_ = 0;
    tail_known_ = false;
    arena_.abandon();
}

}  // namespace tb
