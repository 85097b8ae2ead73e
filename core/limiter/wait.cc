// Waits and reservations: joining the queue, sleeping, leaving.
#include <cassert>

#include "core/limiter/limiter.h"
#include "core/limiter/locked.h"
#include "core/platform/counter.h"

namespace tb {

// Finds the point for n tokens by place(chain, cost). success: they are there, and taken. waiting: they are due within
// max_wait_ns, and put(at, cost, due_ns) has put them into the queue. timed_out: they are due later.
template <class Place, class Put>
Status Limiter::join(Locked *locked, double n, int64_t max_wait_ns, Place place, Put put) {
    for (;;) {
        const Observation &now = locked->look();
        Chain &chain = locked->chain();
        int64_t cost = 0;
        if (now.plan.is_closed()) return Status::closed;
        if (const Status s = cost_of(now.plan, n, &cost); s != Status::success) return s;
        const Cursor at = place(&chain, cost);
        const int64_t due_ns = locked->queue().due_ns(now, at, cost);
        if (due_ns == TBU_NEVER || due_ns - now.now > max_wait_ns) return Status::timed_out;
        const uint64_t end = chain.end_with(at, cost);
        if (distance(now.balance.accrued, end) > static_cast<int64_t>(kMaxDebtUnits)) return Status::out_of_range;
        if (!chain.reserve_room()) return Status::out_of_memory;
        if (!locked->publish(end)) continue;
        const uint64_t position = at.spent + static_cast<uint64_t>(cost);
        if (distance(position, now.balance.accrued) < 0) {
            put(at, cost, due_ns);
            return Status::waiting;
        }
        assert(at.next == chain.first_reservation());
        chain.set_base(position);
        return Status::success;
    }
}

Status Limiter::reserve_ahead(double n, int64_t max_wait_ns, Reservation *reservation) {
    if (max_wait_ns == 0 && !may_have_gaps()) return Status::timed_out;
    Locked locked(this);
    if (!locked.make_queue()) return Status::out_of_memory;
    Ticket ticket{0, 0, 0};
    int64_t ready_at_ns = 0;
    const auto place = [](const Chain *chain, int64_t cost) { return chain->place_reservation(cost); };
    const Status s = join(&locked, n, max_wait_ns, place, [&](Cursor at, int64_t cost, int64_t due_ns) {
        ready_at_ns = due_ns;
        ticket.index = locked.chain().put_reservation(at, cost, due_ns);
        ticket.serial = locked.chain()[ticket.index].serial;
    });
    if (s != Status::success && s != Status::waiting) return s;
    const Observation &now = locked.observed();
    ticket.era = now.plan.era();
    if (s == Status::success) ready_at_ns = now.now;
    *reservation = {n, ready_at_ns - now.now, ready_at_ns, ticket.encoded()};
    return Status::success;
}

Status Limiter::wait(double n, int64_t timeout_ns) {
    const Status at_once = take_now(n);
    if (at_once != Status::denied) return recorded(at_once, n);
    if (timeout_ns == 0 && !may_have_gaps()) return recorded(Status::timed_out, n);
    Waiter waiter;
    int64_t since_ns = 0;
    const Status entered = enter(n, timeout_ns, &waiter, &since_ns);
    if (entered != Status::waiting) return recorded(entered, n);
    const Status s = sleep_until_over(&waiter);
    if (observer_ != nullptr) observer_->record_wait(s, n, time_.now() - since_ns);
    queue_.load(std::memory_order_relaxed)->depart(waiter.process);
    return s;
}

Status Limiter::enter(double n, int64_t timeout_ns, Waiter *waiter, int64_t *since_ns) {
    Locked locked(this);
    if (!locked.make_queue()) return Status::out_of_memory;
    const Observation &now = locked.look();
    if (timeout_ns != 0 && max_waiters_ != 0 && locked.chain().waiters() >= max_waiters_) return Status::queue_full;
    waiter->process = process_;
    const auto place = [](const Chain *chain, int64_t cost) { return chain->place_waiter(chain->tail(), cost); };
    return join(&locked, n, timeout_ns, place, [&](Cursor at, int64_t cost, int64_t due_ns) {
        *since_ns = now.now;
        const int64_t deadline_ns = timeout_ns > INT64_MAX - now.now ? INT64_MAX : now.now + timeout_ns;
        locked.queue().enter(waiter, at, cost, due_ns, deadline_ns);
    });
}

// The alarm's word is read first: a ring after that changes it, and then the sleep ends at once.
Status Limiter::sleep_until_over(Waiter *w) {
    for (;;) {
        const uint32_t rung = w->alarm.sleeper.word();
        if ((rung & Alarm::kOver) != 0) return w->outcome;
        const int64_t due = w->alarm.due_ns.load(std::memory_order_acquire);
        const int64_t now = time_.now();
        const bool signalled = now < due && !sleep_towards(w, due, now, rung);
        if (now < due && !signalled) continue;
        const Status outcome = leave(w, signalled);
        if (outcome != Status::waiting) return outcome;
    }
}

// Sleeps until due_ns or a ring, maybe less. False if a signal handler ended the sleep.
bool Limiter::sleep_towards(Waiter *w, int64_t due_ns, int64_t now, uint32_t rung) {
    int64_t deadline = INT64_MAX;
    if (time_.manual_clock() == nullptr) {
        const int64_t spin = precise_ ? platform::kLatestWakeNs : 0;
        if (due_ns - now <= spin) {
            w->exact.end();  // a system call, so before the last stretch
            platform::pause();
            return true;
        }
        w->exact.begin();
        const int64_t monotonic = time_.clock() == nullptr ? now : platform::monotonic_ns();
        const int64_t left = due_ns - now - spin;
        if (left < INT64_MAX - monotonic) deadline = monotonic + left;
    }
    return w->alarm.sleeper.sleep_while(rung, deadline) != platform::Woken::by_signal;
}

// Ends the wait if it is due, was signalled, or no later time exists; waiting if none of that holds. interrupted in a
// child that a signal handler forked during the wait, which is the parent's.
Status Limiter::leave(Waiter *w, bool signalled) {
    Locked locked(this);
    if (w->process != process_) return Status::interrupted;
    if (w->outcome != Status::waiting) return w->outcome;
    const Observation &now = locked.look();
    const bool ends = signalled || now.now == TBU_NEVER;
    if (w->outcome != Status::waiting || !ends) return w->outcome;
    locked.queue().end_wait(w->index, signalled ? Status::interrupted : Status::timed_out);
    locked.publish_changed();
    return w->outcome;
}

}  // namespace tb
