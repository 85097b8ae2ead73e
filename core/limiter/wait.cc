// Waits and reservations: joining the queue, sleeping, leaving.
#include <algorithm>

#include "core/bucket/decide.h"
#include "core/limiter/account.h"
#include "core/limiter/locked.h"
#include "core/platform/counter.h"

namespace tb {

// Finds the point for n tokens by place(chain, cost). success: they are there, and taken, if at_once. waiting: they are
// due within max_wait_ns, and put(at, cost, due_ns) has put them into the queue; it returns the index. timed_out: they
// are due later. *wait_ns, when they are due, is set in these three cases.
template <class Place, class Put>
Status Account::join(Locked *locked, double n, int64_t max_wait_ns, bool at_once, int64_t *wait_ns, Place place,
                     Put put) {
    for (;;) {
        const Observation &now = locked->look();
        Chain &chain = locked->chain();
        int64_t cost = 0;
        if (now.plan.is_closed()) return Status::closed;
        if (const Status s = cost_of(now.plan, n, &cost); s != Status::success) return s;
        const Cursor at = place(&chain, cost);
        const int64_t due_ns = locked->queue().due_ns(now, at, cost);
        *wait_ns = due_ns == TBU_NEVER ? TBU_NEVER : due_ns - now.now;
        if (due_ns == TBU_NEVER || *wait_ns > max_wait_ns) return Status::timed_out;
        if (at_once && distance(at.spent + static_cast<uint64_t>(cost), now.balance.accrued) >= 0) {
            chain.set_base(chain.base() + static_cast<uint64_t>(cost));
            if (locked->publish(chain.end())) return Status::success;
            chain.set_base(chain.base() - static_cast<uint64_t>(cost));
            continue;
        }
        if (!locked->queue().reserve_room(now.now)) return Status::out_of_memory;
        const uint32_t index = put(at, cost, due_ns);
        const uint64_t end = chain.end();
        const bool fits = distance(now.balance.accrued, end) <= static_cast<int64_t>(kMaxDebtUnits);
        if (fits && locked->publish(end)) return Status::waiting;
        locked->queue().withdraw(index);
        if (!fits) return Status::out_of_range;
    }
}

Status Account::reserve_ahead(double n, int64_t max_wait_ns, Reservation *reservation) {
    if (max_wait_ns == 0 && !may_have_gaps()) return Status::timed_out;
    Locked locked(this);
    if (!locked.make_queue()) return Status::out_of_memory;
    Ticket ticket{0, 0, 0};
    int64_t wait_ns = 0;
    const auto place = [](const Chain *chain, int64_t cost) { return chain->place_reservation(cost); };
    const Status s = join(&locked, n, max_wait_ns, true, &wait_ns, place, [&](Cursor at, int64_t cost, int64_t due_ns) {
        ticket.index = locked.chain().put_reservation(at, cost, due_ns);
        ticket.serial = locked.chain()[ticket.index].serial;
        return ticket.index;
    });
    if (s != Status::success && s != Status::waiting) return s;
    const Observation &now = locked.observed();
    ticket.era = now.plan.era();
    *reservation = {n, wait_ns, now.now + wait_ns, ticket.encoded()};
    return Status::success;
}

// A manual clock has reached the due time of a waiter: the next one learns its time.
void Account::look(void *account) {
    Locked locked(static_cast<Account *>(account));
    locked.look();
}

Status Account::wait(double n, int64_t timeout_ns, int32_t priority) {
    const Status at_once = take_now(n);
    if (at_once != Status::denied) return recorded(at_once, n);
    if (timeout_ns == 0 && !may_have_gaps()) return recorded(Status::timed_out, n);
    WaitingThread thread;
    Waiter waiter;
    waiter.alarm.sleeper = &thread.sleeper;
    QueuePlace place;
    Status s = enter(&waiter, n, timeout_ns, priority, &place);
    if (s != Status::waiting) return recorded(s, n);
    while (s == Status::waiting) s = come(&waiter, thread.sleep([&] { return nap(waiter); }));
    record_wait(waiter, s);
    queue_.load(std::memory_order_relaxed)->inside().end(waiter.process);
    return s;
}

Status Account::enqueue(double n, int64_t timeout_ns, int32_t priority, uint64_t tag, QueuePlace *place) {
    *place = {0, 0};
    const Status at_once = take_now(n);
    if (at_once != Status::denied) return recorded(at_once, n);
    Waiter *const waiter = create<Waiter>();
    if (waiter == nullptr) return Status::out_of_memory;
    waiter->owner = Waiter::Owner::queue;
    waiter->alarm.bell = &waiting_.bell;
    waiter->alarm.tag = tag;
    const Status entered = enter(waiter, n, timeout_ns, priority, place);
    if (entered == Status::waiting) return entered;
    destroy(waiter);
    return recorded(entered, n);
}

// *place is set under the lock, after which any thread may end the wait of a waiter that is no thread.
Status Account::enter(Waiter *w, double n, int64_t timeout_ns, int32_t priority, QueuePlace *place) {
    const bool stays = w->when_due == Waiter::Due::stays;
    Locked locked(this);
    if (!locked.make_queue()) return Status::out_of_memory;
    const Observation &now = locked.look();
    WaitQueue &queue = locked.queue();
    while (timeout_ns != 0 && is_full(queue.chain()))
        if (!queue.evict(now.now)) return Status::queue_full;
    w->process = process_;
    w->tokens = n;
    const auto find = [=](const Chain *chain, int64_t cost) {
        return chain->place_waiter(chain->behind_priority(priority), cost);
    };
    const auto put = [&](Cursor at, int64_t cost, int64_t due_ns) {
        const int64_t deadline_ns = timeout_ns > INT64_MAX - now.now ? INT64_MAX : now.now + timeout_ns;
        w->since_ns = now.now;
        queue.enter(w, at, cost, due_ns, deadline_ns, priority);
        return w->index;
    };
    Status s = join(&locked, n, timeout_ns, !stays, &place->wait_ns, find, put);
    if (s != Status::waiting && s != Status::success) return s;
    const Chain &chain = queue.chain();
    queue.overtaken(now, s == Status::success ? chain.first_waiter() : chain.next_waiter(w->index));
    locked.publish_changed();
    if (s == Status::success) return s;
    if (w->index == 0) {  // the shared queue was found damaged, and nobody is in it any more
        queue.leave(w);
        return w->outcome;
    }
    if (stays) s = collect(&locked, w, false);
    if (w->index != 0 && w->alarm.is_thread()) queue.inside().begin();
    if (s != Status::waiting) return s;
    queue.show(w);
    place->waiter = queue.chain().number(w->index);
    return s;
}

Nap Account::nap(const Waiter &w) {
    const int64_t due_ns = w.alarm.due_ns.load(std::memory_order_acquire);
    const int64_t now = time().now();
    Nap nap;
    nap.is_over = now >= due_ns;
    if (nap.is_over || time().manual_clock() != nullptr) return nap;
    const int64_t left = due_ns - now - (waiting_.precise ? platform::kLatestWakeNs : 0);
    const int64_t monotonic = time().clock() == nullptr ? now : platform::monotonic_ns();
    nap.spins = left <= 0;
    if (left < INT64_MAX - monotonic) nap.until_ns = monotonic + left;
    return nap;
}

// In a child that a signal handler forked during the wait the answer is interrupted: the waiter is the parent's.
Status Account::come(Waiter *w, bool signalled) {
    if (w->process != platform::process_generation()) return Status::interrupted;
    Locked locked(this);
    return collect(&locked, w, signalled);
}

// The waiter comes for its tokens. It is gone unless it waits or stays. A signal ends the wait; so does a clock that
// stands at the last time there is.
Status Account::collect(Locked *locked, Waiter *w, bool signalled) {
    const Observation &now = locked->look();
    const bool waits = w->outcome == Status::waiting;
    Status s = locked->queue().collect(now, w);
    if (s == Status::waiting && now.now == TBU_NEVER) s = Status::timed_out;
    if (s == Status::waiting && signalled) s = Status::interrupted;
    if (s == Status::waiting) return s;
    if (s == Status::success && w->when_due == Waiter::Due::stays) {
        if (!waits) return s;
        w->units = static_cast<uint64_t>(locked->chain()[w->index].cost);
        w->era = now.plan.era();
        return s;
    }
    locked->queue().leave(w);
    locked->publish_changed();
    return s;
}

Status Account::check(uint64_t number, int64_t *wait_ns) {
    Waiter *w = nullptr;
    Status s = Status::waiting;
    {
        Locked locked(this);
        w = locked.queue().find(number);
        if (w == nullptr) return Status::invalid_argument;
        s = collect(&locked, w, false);
        if (s == Status::waiting) {
            *wait_ns = w->alarm.due_ns.load(std::memory_order_relaxed) - locked.observed().now;
            return s;
        }
    }
    record_wait(*w, s);
    destroy(w);
    return s;
}

Status Account::leave(uint64_t number) {
    Waiter *w = nullptr;
    {
        Locked locked(this);
        w = locked.queue().find(number);
        if (w == nullptr) return Status::invalid_argument;
        locked.look();
        locked.queue().leave(w);
        locked.publish_changed();
    }
    record_wait(*w, w->outcome == Status::waiting ? Status::interrupted : w->outcome);
    destroy(w);
    return Status::success;
}

// How long n tokens would take at that point: success or timed_out; nothing is changed.
template <class Place>
Status Account::measure(Locked *locked, double n, int64_t max_wait_ns, int64_t *wait_ns, Place place) {
    constexpr int64_t kNever = -1;  // no wait is that short, so join() puts nothing
    const auto put = [](Cursor, int64_t, int64_t) { return uint32_t{0}; };
    const Status s = join(locked, n, kNever, false, wait_ns, place, put);
    const bool fits = s == Status::timed_out && *wait_ns <= max_wait_ns && *wait_ns != TBU_NEVER;
    return fits ? Status::success : s;
}

Status Account::probe(double n, int64_t timeout_ns, int32_t priority, int64_t *wait_ns) {
    Locked locked(this);
    locked.look();
    if (timeout_ns != 0 && is_full(locked.chain())) return Status::queue_full;
    return measure(&locked, n, timeout_ns, wait_ns, [=](const Chain *chain, int64_t cost) {
        return chain->place_waiter(chain->behind_priority(priority), cost);
    });
}

Status Account::probe_reservation(double n, int64_t max_wait_ns, int64_t *wait_ns) {
    Locked locked(this);
    const auto place = [](const Chain *chain, int64_t cost) { return chain->place_reservation(cost); };
    return measure(&locked, n, max_wait_ns, wait_ns, place);
}

// Nothing is left to do in the child of a fork, whose queue is empty.
void Account::end(Waiter *w, Status outcome) {
    if (w->process == platform::process_generation()) {
        Locked locked(this);
        if (w->index != 0) {
            const bool returns = w->outcome == Status::success && outcome != Status::success;
            if (locked.look().plan.era() == w->era && returns) return_units(&locked, w->units);
            locked.queue().leave(w);
            locked.publish_changed();
        }
    }
    if (outcome != Status::waiting) record_wait(*w, outcome);
    if (w->alarm.is_thread()) queue_.load(std::memory_order_relaxed)->inside().end(w->process);
}

int64_t Account::wait_ns(const Waiter &w) {
    return std::max<int64_t>(w.alarm.due_ns.load(std::memory_order_relaxed) - time().now(), 0);
}

void Account::record_wait(const Waiter &w, Status outcome) {
    if (observer_ != nullptr) observer_->record_wait(outcome, w.tokens, time().now() - w.since_ns);
}

int64_t Account::waiting() {
    Locked locked(this);
    locked.look();
    return locked.chain().waiters();
}

}  // namespace tb
