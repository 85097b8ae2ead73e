#include "core/queue/chain.h"

#include <cassert>

namespace tb {
namespace {

// Later than any position of the chain.
uint64_t no_limit(uint64_t base) {
    return base + (uint64_t{1} << 61);
}

}  // namespace

// The serial numbers of two chains begin far apart, whatever their addresses (Fibonacci hashing), so that a ticket of
// the one names nothing in the other, except by an improbable accident.
Chain::Chain()
    : reservations_(&arena_),
      waiters_(&arena_),
      serial_(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(this) * uint64_t{0x9e3779b97f4a7c15} >>
                                    (64 - kSerialBits))) {}

int64_t Chain::last_due_ns() const {
    const uint32_t last = reservations_.last();
    return last == 0 ? 0 : arena_[last].time_ns;
}

Cursor Chain::place(Cursor from, int64_t cost, uint32_t most_gaps) const {
    const uint64_t no_end = no_limit(base_);
    for (uint32_t gaps = 0; gaps < most_gaps; ++gaps) {
        const Cursor gap = reservations_.first_gap(from, capacity_);
        if (gap.next == 0 || room_before(gap) >= cost)
            return reservations_.first_fit(from, gap, cost, no_end, capacity_);
        from = reservations_.step(gap, capacity_);
    }
    return {0, reservations_.spent_at_end(from, capacity_)};
}

int64_t Chain::room_before(Cursor gap) const {
    return distance(gap.spent, reservations_.limit_before(gap.next, no_limit(base_), capacity_));
}

Cursor Chain::tail() const {
    if (waiter_count_ == 0) return begin();
    if (!tail_known_) tail_ = find_tail();
    tail_known_ = true;
    return tail_;
}

// Before a gap the waiters stand without space between them, so all that fit there are placed in one step, as one entry
// of their total cost.
Cursor Chain::find_tail() const {
    const int64_t total = waiters_.cost();
    int64_t placed = 0;
    for (Cursor from = begin(); placed < total;) {
        const Cursor gap = reservations_.first_gap(from, capacity_);
        const int64_t left = total - placed;
        const int64_t room = gap.next == 0 ? left : room_before(gap);
        if (room >= left) {
            const Cursor last = reservations_.first_fit(from, gap, left, no_limit(base_), capacity_);
            return {last.next, last.spent + static_cast<uint64_t>(left)};
        }
        const int64_t fitting = room > 0 ? waiters_.largest_prefix(placed + room) - placed : 0;
        placed += fitting;
        from = reservations_.step({gap.next, gap.spent + static_cast<uint64_t>(fitting)}, capacity_);
        if (placed == total) return from;
    }
    return begin();
}

uint64_t Chain::end_with(Cursor at, int64_t cost) const {
    return reservations_.spent_at_end({at.next, at.spent + static_cast<uint64_t>(cost)}, capacity_);
}

void Chain::set_capacity(int64_t capacity) {
    if (capacity == capacity_) return;
    capacity_ = capacity;
    tail_known_ = false;
    reservations_.summarize(capacity_);
    waiters_.summarize(capacity_);
}

void Chain::set_rate(const Plan &plan) {
    tail_known_ = false;
    reservations_.for_each([&](Entry *e) {
        e->position = position_at(plan, e->time_ns).units;
        e->arrival = ++arrivals_;
    });
    reservations_.summarize(capacity_);
    assert(check());
}

uint32_t Chain::put_reservation(Cursor at, int64_t cost, int64_t due_ns) {
    const uint64_t position = at.spent + static_cast<uint64_t>(cost);
    const uint32_t index = put({position, ++arrivals_, cost, due_ns, nullptr, {}, 0, 0, 0}, &reservations_);
    if (tail_.next == at.next) tail_.next = index;
    return index;
}

uint32_t Chain::put_waiter(Cursor at, int64_t cost, int64_t deadline_ns, Waiter *waiter) {
    ++waiter_count_;
    const uint32_t index = put({0, ++arrivals_, cost, deadline_ns, waiter, {}, 0, 0, 0}, &waiters_);
    tail_ = {at.next, at.spent + static_cast<uint64_t>(cost)};
    tail_known_ = true;
    return index;
}

uint32_t Chain::put(const Entry &entry, Sequence *sequence) {
    const uint32_t index = arena_.acquire();
    arena_[index] = entry;
    serial_ = (serial_ + 1) % (uint32_t{1} << kSerialBits);
    if (serial_ == 0) serial_ = 1;
    arena_[index].serial = serial_;
    sequence->insert(index, capacity_);
    assert(check());
    return index;
}

void Chain::take_out(uint32_t index) {
    const bool is_waiter = arena_[index].waiter != nullptr;
    (is_waiter ? waiters_ : reservations_).remove(index, capacity_);
    if (is_waiter) --waiter_count_;
    arena_.release(index);
    assert(check());
}

void Chain::remove(uint32_t index) {
    tail_known_ = false;
    take_out(index);
}

// The points of the entries behind it stay the same, so the tail stays known.
void Chain::pass_reservation(uint32_t index) {
    base_ = reservations_.step({index, base_}, capacity_).spent;
    take_out(index);
}

void Chain::pass_waiter(uint32_t index) {
    base_ += static_cast<uint64_t>(arena_[index].cost);
    take_out(index);
}

void Chain::keep(uint32_t index, int64_t cost) {
    tail_known_ = false;
    reservations_.remove(index, capacity_);
    arena_[index].cost = cost;
    arena_[index].serial = 0;
    reservations_.insert(index, capacity_);
    assert(check());
}

void Chain::remove_reservations() {
    while (const uint32_t first = reservations_.first()) remove(first);
}

void Chain::abandon() {
    reservations_.clear();
    waiters_.clear();
    waiter_count_ = 0;
    tail_known_ = false;
    arena_.abandon();
}

}  // namespace tb
