// Changes of the bucket, its limit and its reservations, and what else needs the lock beside waits.
#include <algorithm>
#include <bit>

#include "core/limiter/limiter.h"
#include "core/limiter/locked.h"

namespace tb {
namespace {

bool is_same(const tbu_rate &a, const tbu_rate &b) {
    return a.whole == b.whole && a.fraction.hi == b.fraction.hi && a.fraction.lo == b.fraction.lo;
}

bool is_reservation(const Reservation &r) {
    return is_amount(r.tokens) && r.wait_ns >= 0;
}

constexpr int64_t kMaxDebt = static_cast<int64_t>(kMaxDebtUnits);

}  // namespace

// Raises the base and delays the waiters, ending those that would be due after their deadline. out_of_range if the debt
// would be above kMaxDebtUnits.
Status Limiter::charge_base(Locked *locked, const Observation &now, uint64_t units) {
    Chain &chain = locked->chain();
    const int64_t owed = distance(now.balance.accrued, chain.end());
    if (owed > kMaxDebt || units > static_cast<uint64_t>(kMaxDebt - owed)) return Status::out_of_range;
    chain.set_base(chain.base() + units);
    locked->queue().replan(now);
    return Status::success;
}

// Lowers the base by at most `units`, as far as the bucket has room; returns by how much.
uint64_t Limiter::refund_base(Locked *locked, const Observation &now, uint64_t units) {
    Chain &chain = locked->chain();
    const uint64_t full = now.balance.accrued - now.plan.capacity;
    const uint64_t room = static_cast<uint64_t>(distance(full, chain.base()));
    const uint64_t returned = units < room ? units : room;
    chain.set_base(chain.base() - returned);
    return returned;
}

// edit(now) changes the base of the chain. If a take changes the word before that is published, the base is restored
// and edit runs again.
template <class Edit>
Status Limiter::change(Locked *locked, Edit edit) {
    for (;;) {
        const Observation &now = locked->look();
        if (now.plan.is_closed()) return Status::closed;
        const uint64_t base = locked->chain().base();
        const Status s = edit(now);
        if (s != Status::success || locked->publish(locked->chain().end())) return s;
        locked->chain().set_base(base);
    }
}

// As change(), with edit(now, plan), which also changes the plan; its base has been moved to the present.
template <class Edit>
Status Limiter::change_plan(Locked *locked, Edit edit) {
    locked->hold_plan();
    for (;;) {
        const Observation &now = locked->look();
        if (now.plan.is_closed()) return Status::closed;
        const uint64_t base = locked->chain().base();
        Plan next = rebased(now.plan, now.now);
        const Status s = edit(now, &next);
        if (s != Status::success || locked->publish(locked->chain().end(), next)) return s;
        locked->chain().set_base(base);
    }
}

Status Limiter::charge(double n, int64_t *repaid_after_ns) {
    if (!is_amount(n)) return Status::invalid_argument;
    Locked locked(this);
    return change(&locked, [&](const Observation &now) {
        const Status s = charge_base(&locked, now, to_units(now.plan.scale, n, TBU_UP));
        if (s != Status::success) return s;
        const int64_t owed = distance(now.balance.accrued, locked.chain().end());
        *repaid_after_ns = time_to_grow(now.plan, now.balance.at, -owed, 0);
        return s;
    });
}

Status Limiter::refund(double n) {
    if (!is_amount(n)) return Status::invalid_argument;
    Locked locked(this);
    return change(&locked, [&](const Observation &now) {
        refund_base(&locked, now, to_units(now.plan.scale, n, TBU_DOWN));
        return Status::success;
    });
}

Status Limiter::cancel(const Reservation &reservation) {
    if (!is_reservation(reservation)) return Status::invalid_argument;
    const Ticket ticket = Ticket::decoded(reservation.ticket);
    if (observer_ != nullptr) observer_->record_cancelled();
    Locked locked(this);
    const Observation &now = locked.look();
    if (!locked.is_pending(ticket)) return Status::success;
    record_returned(to_tokens(now.plan.scale, locked.chain()[ticket.index].cost));
    locked.chain().remove(ticket.index);
    locked.publish_changed();
    return Status::success;
}

Status Limiter::settle(const Reservation &reservation, double actual) {
    const bool valid = is_reservation(reservation) && (actual == 0 || is_amount(actual));
    if (!valid) return Status::invalid_argument;
    const Ticket ticket = Ticket::decoded(reservation.ticket);
    Locked locked(this);
    const Plan plan = locked.look().plan;
    if (plan.is_closed()) return Status::closed;
    const bool pending = locked.is_pending(ticket);
    const bool used = ticket.era == plan.era() && reservation.ready_at_ns <= locked.observed().now;
    if (!pending && !used) return Status::success;

    const uint64_t kept = actual == 0 ? 0 : to_units(plan.scale, actual, TBU_UP);
    if (pending) return settle_pending(&locked, ticket.index, kept);
    int64_t cost = 0;
    if (cost_of(plan, reservation.tokens, &cost) != Status::success)
        cost = static_cast<int64_t>(to_units(plan.scale, reservation.tokens, TBU_UP));
    const uint64_t used_units = static_cast<uint64_t>(cost);
    uint64_t returned = 0;
    const Status s = change(&locked, [&](const Observation &now) {
        if (kept > used_units) return charge_base(&locked, now, kept - used_units);
        returned = refund_base(&locked, now, used_units - kept);
        return Status::success;
    });
    if (s == Status::success) record_returned(to_tokens(plan.scale, static_cast<int64_t>(returned)));
    return s;
}

// A pending reservation keeps its position; its cost becomes `kept`, 0 removes it.
Status Limiter::settle_pending(Locked *locked, uint32_t index, uint64_t kept) {
    Chain &chain = locked->chain();
    const Observation &now = locked->observed();
    const uint64_t cost = static_cast<uint64_t>(chain[index].cost);
    const int64_t owed = distance(now.balance.accrued, chain.end());
    const bool fits = owed <= kMaxDebt && kept - cost <= static_cast<uint64_t>(kMaxDebt - owed);
    if (kept > cost && !fits) return Status::out_of_range;
    if (kept < cost) record_returned(to_tokens(now.plan.scale, static_cast<int64_t>(cost - kept)));
    if (kept == 0) {
        chain.remove(index);
    } else {
        chain.keep(index, static_cast<int64_t>(kept));
    }
    if (kept > cost) locked->queue().replan(now);
    locked->publish_changed();
    return Status::success;
}

// Begins an era, so older tickets are void, and drops the fraction of a unit that has accrued.
Status Limiter::reset(double tokens) {
    if (tokens != kFull && tokens != 0 && !is_amount(tokens)) return Status::invalid_argument;
    Locked locked(this);
    return change_plan(&locked, [&](const Observation &now, Plan *next) {
        if (tokens > std::bit_cast<double>(next->largest_amount)) return Status::exceeds_capacity;
        uint64_t held = next->capacity;
        if (tokens != kFull) held = tokens == 0 ? 0 : std::min(held, to_units(next->scale, tokens, TBU_DOWN));
        next->begin_era();
        next->base.fraction = {0, 0};
        locked.chain().remove_reservations();
        locked.chain().undo_due();
        locked.chain().set_base(now.balance.accrued - held);
        locked.queue().replan(Observation(now.word, *next, now.now));
        return Status::success;
    });
}

// The fraction of a unit that has accrued is dropped. What takes and charges had spent is forgotten; entries stay.
Status Limiter::set_tokens(double tokens) {
    if (tokens != 0 && !is_amount(tokens)) return Status::invalid_argument;
    Locked locked(this);
    return change_plan(&locked, [&](const Observation &now, Plan *next) {
        if (tokens > std::bit_cast<double>(next->largest_amount)) return Status::exceeds_capacity;
        const uint64_t units = tokens == 0 ? 0 : to_units(next->scale, tokens, TBU_DOWN);
        next->base.fraction = {0, 0};
        locked.chain().undo_due();
        locked.chain().set_base(now.balance.accrued - std::min(next->capacity, units));
        locked.queue().replan(Observation(now.word, *next, now.now));
        return Status::success;
    });
}

Status Limiter::set_rate(double tokens_per_second) {
    constexpr int64_t kSecond = 1000000000;
    Locked locked(this);
    return set_limit(&locked, {spec_.capacity, tokens_per_second, kSecond});
}

Status Limiter::set_capacity(double capacity) {
    Locked locked(this);
    return set_limit(&locked, {capacity, spec_.rate_tokens, spec_.rate_period_ns});
}

// Tokens above a smaller capacity are dropped.
Status Limiter::set_limit(Locked *locked, const LimitSpec &spec) {
    Limit limit;
    const Observation &now_locked = locked->look();
    if (const Status s = change_limit(now_locked.plan.units(), spec, &limit); s != Status::success) return s;
    const int64_t last_ns = locked->chain().last_due_ns();
    const uint64_t ahead_ns = last_ns > now_locked.now ? static_cast<uint64_t>(last_ns - now_locked.now) : 0;
    if (tbu_gain(&limit.rate, {0, {0, 0}}, ahead_ns) > kMaxDebtUnits / 2) return Status::out_of_range;
    const Status s = change_plan(locked, [&](const Observation &now, Plan *next) {
        Chain &chain = locked->chain();
        *next = relimited(*next, limit);
        chain.set_capacity(static_cast<int64_t>(limit.capacity));
        if (!is_same(now.plan.rate, limit.rate)) chain.set_rate(*next);
        chain.set_base(later(chain.base(), now.balance.accrued - limit.capacity));
        locked->queue().replan(Observation(now.word, *next, now.now));
        return Status::success;
    });
    if (s == Status::success) spec_ = spec;
    return s;
}

Status Limiter::close() {
    Locked locked(this);
    locked.look();
    locked.queue().grant_due();
    locked.publish_changed();
    const Status s = change_plan(&locked, [&](const Observation &, Plan *next) {
        next->close();
        locked.queue().end_all_waits(Status::closed);
        return Status::success;
    });
    return s == Status::closed ? Status::success : s;
}

LimitSpec Limiter::limit(uint64_t *scale) {
    Locked locked(this);
    uint64_t word = 0;
    *scale = cell_.read(&word).scale;
    return spec_;
}

int64_t Limiter::waiting() {
    Locked locked(this);
    locked.look();
    return locked.chain().waiters();
}

}  // namespace tb
