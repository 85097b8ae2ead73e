#include "core/table/table.h"

namespace tb {

using Use = KeyAccounts::Use;

Table::Table(const LimitSpec &spec, const Limit &limit, const TableOptions &options)
    : Keys(spec, limit, options), accounts_(this) {}

Table::~Table() {
    if (shared() != nullptr) {
        accounts_.end_own_waits();
    } else if (is_made()) {
        close();
    }
}

// ---- Waits and reservations: a take without a lock where there are tokens, else by the key's account ----

// Where there is no room for a new key, queues in which all is due keep no places any more. A process that has closed
// the table may have been killed before it told the waiters.
Status Table::take_at_once(uint64_t key, double n, KeyAttempt *attempt) {
    const Status s = allow(key, n, attempt);
    if (s == Status::closed && shared() != nullptr) accounts_.follow_limit();
    if (s != Status::table_full) return s;
    accounts_.sweep();
    return allow(key, n, attempt);
}

Status Table::wait(uint64_t key, double n, int64_t timeout_ns, int32_t priority) {
    KeyAttempt a;
    const Status at_once = take_at_once(key, n, &a);
    if (at_once != Status::denied) return at_once;
    const Use use(&accounts_, key, timeout_ns == 0 ? Use::Absent::find : Use::Absent::make);
    if (use.status() == Status::waiting) return Status::timed_out;
    return use.status() == Status::success ? use->wait(n, timeout_ns, priority) : use.status();
}

Status Table::enqueue(uint64_t key, double n, int64_t timeout_ns, int32_t priority, uint64_t tag, QueuePlace *place) {
    *place = {0, 0};
    KeyAttempt a;
    const Status at_once = take_at_once(key, n, &a);
    if (at_once != Status::denied) return at_once;
    const Use use(&accounts_, key, Use::Absent::make);
    return use.status() == Status::success ? use->enqueue(n, timeout_ns, priority, tag, place) : use.status();
}

Status Table::check(uint64_t key, uint64_t number, int64_t *wait_ns) {
    const Use use(&accounts_, key, Use::Absent::find);
    return use.status() == Status::success ? use->check(number, wait_ns) : Status::invalid_argument;
}

Status Table::leave(uint64_t key, uint64_t number) {
    const Use use(&accounts_, key, Use::Absent::find);
    return use.status() == Status::success ? use->leave(number) : Status::invalid_argument;
}

Status Table::reserve(uint64_t key, double n, int64_t max_wait_ns, Reservation *reservation) {
    KeyAttempt a;
    const Status at_once = take_at_once(key, n, &a);
    if (at_once == Status::success) *reservation = Keys::reservation(a, n);
    if (at_once != Status::denied) return at_once;
    const Use use(&accounts_, key, max_wait_ns == 0 ? Use::Absent::find : Use::Absent::make);
    if (use.status() == Status::waiting) return Status::timed_out;
    return use.status() == Status::success ? use->reserve_ahead(n, max_wait_ns, reservation) : use.status();
}

// Where the key has no account nobody waits and nothing is pending.
Status Table::probe(uint64_t key, double n, int64_t timeout_ns, int32_t priority, int64_t *wait_ns) {
    const Use use(&accounts_, key, Use::Absent::find);
    if (use.status() == Status::success) return use->probe(n, timeout_ns, priority, wait_ns);
    return probe_take(key, n, timeout_ns, wait_ns);
}

Status Table::probe_reservation(uint64_t key, double n, int64_t max_wait_ns, int64_t *wait_ns) {
    const Use use(&accounts_, key, Use::Absent::find);
    if (use.status() == Status::success) return use->probe_reservation(n, max_wait_ns, wait_ns);
    return probe_take(key, n, max_wait_ns, wait_ns);
}

Status Table::probe_take(uint64_t key, double n, int64_t max_wait_ns, int64_t *wait_ns) {
    KeyAttempt a;
    const Status s = preview(key, n, &a);
    if (s != Status::success && s != Status::denied) return s;
    *wait_ns = s == Status::success ? 0 : retry_after_ns(a);
    return *wait_ns <= max_wait_ns && *wait_ns != TBU_NEVER ? Status::success : Status::timed_out;
}

Status Table::cancel(uint64_t key, const Reservation &reservation) {
    const Use use(&accounts_, key, Use::Absent::find);
    if (use.status() == Status::success) return use->cancel(reservation);
    if (use.status() != Status::waiting) return use.status();
    return is_valid(reservation) ? Status::success : Status::invalid_argument;
}

// ---- Adjusting: the slot alone, or with the key's account if it is pinned ----

// by_slot() returns waiting if the slot is pinned, which may be over by the time of the use.
template <class BySlot, class ByAccount>
Status Table::adjust(uint64_t key, BySlot by_slot, ByAccount by_account) {
    for (;;) {
        const Status s = by_slot();
        if (s != Status::waiting) return s;
        const Use use(&accounts_, key, Use::Absent::make);
        if (use.status() == Status::success) return by_account(use.account());
        if (is_pinned(key)) return use.status();
    }
}

Status Table::settle(uint64_t key, const Reservation &reservation, double actual) {
    return adjust(
        key, [&] { return Keys::settle(key, reservation, actual); },
        [&](KeyAccount *account) { return account->settle(reservation, actual); });
}

Status Table::charge(uint64_t key, double n, int64_t *repaid_after_ns) {
    return adjust(
        key, [&] { return Keys::charge(key, n, repaid_after_ns); },
        [&](KeyAccount *account) { return account->charge(n, repaid_after_ns); });
}

Status Table::refund(uint64_t key, double n) {
    return adjust(
        key, [&] { return Keys::refund(key, n); }, [&](KeyAccount *account) { return account->refund(n); });
}

void Table::undo(const KeyAttempt &taken) {
    Undo take = begin_undo(taken);
    adjust(
        taken.key, [&] { return Keys::undo(taken, &take); },
        [&](KeyAccount *account) {
            account->undo(&take, taken.place.value.state & kGenerationMask);
            return Status::success;
        });
}

Status Table::remove(uint64_t key) {
    return adjust(
        key, [&] { return Keys::remove(key); },
        [&](KeyAccount *account) {
            account->refill();
            return Status::success;
        });
}

// ---- The limit ----

// edit(&spec) says what is to change. Waiters are called, and so no lock is held, when the accounts follow.
template <class Edit>
Status Table::set_limit(Edit edit) {
    Limit asked;
    Plan now{};
    LimitSpec spec_now{};
    if (!plan().read(&now, &spec_now)) return Status::closed;
    edit(&spec_now);
    const Status known = change_limit(now.units(), spec_now, &asked);
    if (known == Status::success && !accounts_.fit(asked.rate)) return Status::out_of_range;
    const Status s = plan().change(&time(), [&](Plan *plan, LimitSpec *spec) {
        Limit limit;
        if (plan->is_closed()) return Status::closed;
        edit(spec);
        if (const Status changed = change_limit(plan->units(), *spec, &limit); changed != Status::success)
            return changed;
        if (limit.capacity > kMaxTableCapacityUnits || limit.rate.whole >= kMaxTableGrowth) return Status::out_of_range;
        *plan = relimited(*plan, limit);
        return Status::success;
    });
    if (s == Status::success) accounts_.follow_limit();
    return s;
}

Status Table::set_rate(double tokens_per_second) {
    constexpr int64_t kSecond = 1000000000;
    return set_limit([=](LimitSpec *spec) { *spec = {spec->capacity, tokens_per_second, kSecond}; });
}

Status Table::set_capacity(double capacity) {
    return set_limit([=](LimitSpec *spec) { spec->capacity = capacity; });
}

Status Table::close() {
    const Status s = plan().change(&time(), [](Plan *plan, LimitSpec *) {
        if (plan->is_closed()) return Status::closed;
        plan->close();
        return Status::success;
    });
    accounts_.follow_limit();
    return s == Status::closed ? Status::success : s;
}

LimitSpec Table::limit(uint64_t *scale) {
    Plan now{};
    LimitSpec spec{};
    *scale = plan().read(&now, &spec) ? now.scale : 1;
    return spec;
}

}  // namespace tb
