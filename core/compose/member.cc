#include "core/compose/member.h"

#include "core/queue/ticket.h"

namespace tb {

Status Member::account(std::optional<KeyAccounts::Use> *use, Account **account) const {
    using Absent = KeyAccounts::Use::Absent;
    *account = limiter_;
    if (limiter_ != nullptr) return Status::success;
    use->emplace(&table_->accounts(), key_, Absent::make);
    if ((*use)->status() == Status::success) *account = (*use)->account();
    return (*use)->status();
}

Status Member::preview(uint64_t counter, Attempt *a) const {
    if (limiter_ != nullptr) return limiter_->preview(counter, n_, &a->of_limiter);
    return table_->preview(key_, n_, &a->of_key);
}

Status Member::store(Attempt *a) const {
    if (limiter_ == nullptr) return table_->store(&a->of_key);
    return limiter_->store(a->of_limiter) ? Status::success : Status::stale;
}

void Member::undo(const Attempt &taken) const {
    if (limiter_ != nullptr) return limiter_->undo(taken.of_limiter);
    table_->undo(taken.of_key);
}

void Member::record(Status s) const {
    if (limiter_ != nullptr && limiter_->observer() != nullptr) limiter_->observer()->record(s, n_);
}

int64_t Member::retry_after_ns(const Attempt &a) const {
    return limiter_ != nullptr ? a.of_limiter.retry_after_ns : table_->retry_after_ns(a.of_key);
}

Reservation Member::reservation(const Attempt &taken) const {
    if (limiter_ == nullptr) return Keys::reservation(taken.of_key, n_);
    return {n_, 0, taken.of_limiter.now, Ticket{0, 0, taken.of_limiter.era}.encoded()};
}

Status Member::probe(int64_t timeout_ns, int32_t priority, int64_t *wait_ns) const {
    if (limiter_ != nullptr) return limiter_->probe(n_, timeout_ns, priority, wait_ns);
    return table_->probe(key_, n_, timeout_ns, priority, wait_ns);
}

Status Member::probe_reservation(int64_t max_wait_ns, int64_t *wait_ns) const {
    if (limiter_ != nullptr) return limiter_->probe_reservation(n_, max_wait_ns, wait_ns);
    return table_->probe_reservation(key_, n_, max_wait_ns, wait_ns);
}

Status Member::reserve_ahead(int64_t max_wait_ns, Reservation *reservation) const {
    if (limiter_ != nullptr) return limiter_->reserve_ahead(n_, max_wait_ns, reservation);
    return table_->reserve(key_, n_, max_wait_ns, reservation);
}

bool Member::is_due(const Reservation &r) const {
    return r.wait_ns == 0 || r.ready_at_ns <= (limiter_ != nullptr ? limiter_->now() : table_->time().now());
}

// What is closed can no longer be settled.
void Member::cancel(const Reservation &r) const {
    if (limiter_ == nullptr) {
        if (table_->settle(key_, r, 0) == Status::closed) table_->cancel(key_, r);
    } else if (limiter_->settle(r, 0) == Status::closed) {
        limiter_->cancel(r);
    } else if (limiter_->observer() != nullptr) {
        limiter_->observer()->record_cancelled();
    }
}

}  // namespace tb
