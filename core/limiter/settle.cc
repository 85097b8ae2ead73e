// Changes of what is spent: charges, refunds, reservations that are cancelled or settled.
#include "core/bucket/decide.h"
#include "core/limiter/account.h"
#include "core/limiter/locked.h"
#include "core/queue/ticket.h"

namespace tb {
namespace {

constexpr int64_t kMaxDebt = static_cast<int64_t>(kMaxDebtUnits);

}  // namespace

// Raises the base and delays the waiters, ending those that would be due after their deadline. out_of_range if the debt
// would be above kMaxDebtUnits.
Status Account::charge_base(Locked *locked, const Observation &now, uint64_t units) {
    Chain &chain = locked->chain();
    const int64_t owed = distance(now.balance.accrued, chain.end());
    if (owed > kMaxDebt || units > static_cast<uint64_t>(kMaxDebt - owed)) return Status::out_of_range;
    chain.set_base(chain.base() + units);
    locked->queue().replan(now);
    return Status::success;
}

// Lowers the base by at most `units`, as far as the bucket has room; returns by how much.
uint64_t Account::refund_base(Locked *locked, const Observation &now, uint64_t units) {
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
Status Account::change(Locked *locked, Edit edit) {
    for (;;) {
        const Observation &now = locked->look();
        if (now.plan.is_closed()) return Status::closed;
        const uint64_t base = locked->chain().base();
        const Status s = edit(now);
        if (s != Status::success) return s;
        locked->tell_first(now);
        if (locked->publish(locked->chain().end())) return s;
        locked->chain().set_base(base);
    }
}

Status Account::charge(double n, int64_t *repaid_after_ns) {
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

void Account::return_units(Locked *locked, uint64_t units) {
    change(locked, [&](const Observation &now) {
        refund_base(locked, now, units);
        return Status::success;
    });
}

Status Account::refund(double n) {
    if (!is_amount(n)) return Status::invalid_argument;
    Locked locked(this);
    return change(&locked, [&](const Observation &now) {
        refund_base(&locked, now, to_units(now.plan.scale, n, TBU_DOWN));
        return Status::success;
    });
}

void Account::undo(Undo *take, uint64_t era) {
    Locked locked(this);
    change(&locked, [&](const Observation &now) {
        if (now.plan.era() != era) return Status::success;
        const uint64_t full = word_at(now.balance.accrued - now.plan.capacity, 0);
        refund_base(&locked, now, take->still_there(now.word, full));
        return Status::success;
    });
}

Status Account::cancel(const Reservation &reservation) {
    if (!is_valid(reservation)) return Status::invalid_argument;
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

Status Account::settle(const Reservation &reservation, double actual) {
    const bool valid = is_valid(reservation) && (actual == 0 || is_amount(actual));
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
    const uint64_t used_units = units_used(plan, reservation.tokens);
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
Status Account::settle_pending(Locked *locked, uint32_t index, uint64_t kept) {
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

}  // namespace tb
