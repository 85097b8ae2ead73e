#include "core/wait/room.h"

#include "core/platform/counter.h"

namespace tb {

Status WaitRoom::wait(double n, int64_t max_wait_ns, Visit *visit) {
    const Status at_once =
        at_present(*bucket_, time_, [&](int64_t now, uint64_t) { return bucket_->try_take(n, now); });
    if (at_once != Status::denied) return at_once;
    if (max_wait_ns == 0) return Status::timed_out;
    Waiter w{};
    const Status entered =
        at_present(*bucket_, time_, [&](int64_t now, uint64_t) { return enter(n, max_wait_ns, now, &w, visit); });
    if (entered != Status::waiting) return entered;
    return sleep_until_over(&w);
}

// success: the tokens were there by now. waiting: the waiter is in the room.
Status WaitRoom::enter(double n, int64_t max_wait_ns, int64_t now, Waiter *w, Visit *visit) {
    const Guard guard(this);
    bucket_->catch_up(now, &pending_);
    announce();
    const std::size_t most = static_cast<std::size_t>(options_.max_waiters);
    if (most != 0 && pending_.claims() >= most) return Status::queue_full;
    promised_.store(pending_.size() + 1, std::memory_order_release);
    const Status s = bucket_->claim(n, max_wait_ns, now, &pending_, w);
    if (s != Status::success || w->now.outcome == Status::success) return s;
    inside_.fetch_add(1, std::memory_order_acq_rel);
    visit->room_ = this;
    visit->process_ = w->process = process_;
    visit->since_ns_ = now;
    arm(w);
    return Status::waiting;
}

Status WaitRoom::reserve(double n, int64_t max_wait_ns, int64_t now, Reservation *reservation) {
    const Status at_once = bucket_->reserve_at_once(n, now, reservation);
    const bool may_wait = at_once == Status::waiting || (at_once == Status::timed_out && max_wait_ns != 0);
    if (!may_wait) return at_once;
    const Guard guard(this);
    promised_.store(pending_.size() + 1, std::memory_order_release);
    return bucket_->reserve(n, max_wait_ns, now, &pending_, reservation);
}

// The last thing that touches this object: with nobody inside it may be freed at once. Whoever takes the count to 0
// finds the owner asleep, who stays until it is woken. In a child that was forked by a signal handler during the wait
// the thread was never counted.
void WaitRoom::depart(uint32_t process) {
    if (process != platform::process_generation()) return;
    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) emptied_->add_and_wake(1);
}

// The word is read before all else, so a sleep that began too late to hear it ring ends at once.
Status WaitRoom::sleep_until_over(Waiter *w) {
    for (;;) {
        const uint32_t rung = w->alarm.sleeper.word();
        if ((rung & Alarm::kOver) != 0) return w->now.outcome;
        const int64_t due = w->alarm.due_ns.load(std::memory_order_acquire);
        const int64_t now = time_->now();
        const bool signalled = now < due && !sleep_towards(w, due, now, rung);
        if (now < due && !signalled) continue;
        const Status outcome = leave(w, signalled);
        if (outcome != Status::waiting) return outcome;
    }
}

// False if a signal handler ended the sleep.
bool WaitRoom::sleep_towards(Waiter *w, int64_t due_ns, int64_t now, uint32_t rung) {
    int64_t deadline = INT64_MAX;
    if (time_->manual_clock() == nullptr) {
        const int64_t spin = options_.precise ? platform::kLatestWakeNs : 0;
        if (due_ns - now <= spin) {
            w->exact.end();  // while there is time
            platform::pause();
            return true;
        }
        w->exact.begin();
        const int64_t monotonic = time_->clock() == nullptr ? now : platform::monotonic_ns();
        const int64_t left = due_ns - now - spin;
        if (left < INT64_MAX - monotonic) deadline = monotonic + left;
    }
    return w->alarm.sleeper.sleep_while(rung, deadline) != platform::Woken::by_signal;
}

// waiting: the due time was moved meanwhile.
Status WaitRoom::leave(Waiter *w, bool signalled) {
    return at_present(*bucket_, time_, [=, this](int64_t now, uint64_t seen) {
        return try_to_leave(w, signalled, {now, seen});
    });
}

Status WaitRoom::try_to_leave(Waiter *w, bool signalled, Moment moment) {
    const Guard guard(this);
    if (w->process != process_) return Status::interrupted;
    bucket_->catch_up(moment.now, &pending_);
    if (w->now.outcome != Status::waiting) return w->now.outcome;
    const bool time_ends = moment.now == TBU_NEVER;
    if (w->is_due(moment.now)) {
        pending_.grant(w);
    } else if (signalled || time_ends) {
        double given_back = 0;
        const Status why = signalled ? Status::interrupted : Status::timed_out;
        if (bucket_->withdraw(w, why, moment, &pending_, &given_back) == Status::stale) return Status::stale;
        count_given_back(given_back);
    }
    return w->now.outcome;
}

template <class Operation>
Status WaitRoom::change(Operation operation) {
    double given_back = 0;
    const Guard guard(this);
    const Status s = operation(&given_back);
    count_given_back(given_back);
    return s;
}

Status WaitRoom::charge(double n, int64_t now, int64_t *repaid_after_ns) {
    if (promised_.load(std::memory_order_acquire) == 0) return bucket_->charge(n, now, repaid_after_ns);
    const Guard guard(this);
    return bucket_->charge(n, now, repaid_after_ns);
}

Status WaitRoom::refund(double n, Moment moment) {
    if (promised_.load(std::memory_order_acquire) == 0) return bucket_->refund(n, moment.now, moment.seen);
    return change([=, this](double *back) { return bucket_->refund(n, moment, &pending_, back); });
}

Status WaitRoom::cancel(const Reservation &r, Moment moment) {
    if (Ticket(r.ticket).has_entry())
        return change([&](double *back) { return bucket_->cancel(r, moment, &pending_, back); });
    double given_back = 0;
    const Status s = bucket_->cancel_at_once(r, moment.now, &given_back);
    count_given_back(given_back);
    return s;
}

Status WaitRoom::settle(const Reservation &r, double actual, Moment moment) {
    return change([&](double *back) { return bucket_->settle(r, actual, moment, &pending_, back); });
}

Status WaitRoom::reset(double tokens, Moment moment) {
    return change([=, this](double *back) { return bucket_->reset(tokens, moment, &pending_, back); });
}

Status WaitRoom::set_rate(double tokens_per_second, Moment moment) {
    return change([=, this](double *back) { return bucket_->set_rate(tokens_per_second, moment, &pending_, back); });
}

Status WaitRoom::set_capacity(double capacity, Moment moment) {
    return change([=, this](double *back) { return bucket_->set_capacity(capacity, moment, &pending_, back); });
}

Status WaitRoom::close(Moment moment) {
    return change([=, this](double *back) { return bucket_->close(moment, &pending_, back); });
}

int64_t WaitRoom::waiting() {
    const int64_t now = time_->now();
    const Guard guard(this);
    bucket_->catch_up(now, &pending_);
    announce();
    return static_cast<int64_t>(pending_.claims());
}

void WaitRoom::count_given_back(double tokens) const {
    if (options_.statistics != nullptr) options_.statistics->count_given_back(tokens);
}

void WaitRoom::wait_until_empty() {
    { const Guard guard(this); }
    if (inside_.load(std::memory_order_acquire) == 1) return;
    platform::Sleeper emptied;
    emptied_ = &emptied;
    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) return;
    while (emptied.word() == 0) emptied.sleep_while(0, INT64_MAX);
}

void WaitRoom::forget_other_processes() {
    const uint32_t here = platform::process_generation();
    if (process_ == here) return;
    process_ = here;
    pending_.forget_all();
    promised_.store(0, std::memory_order_release);
    inside_.store(1, std::memory_order_release);
}

void WaitRoom::arm(Waiter *w) {
    w->alarm.due_ns.store(w->now.due_ns, std::memory_order_release);
    if (Clock *const clock = time_->manual_clock()) clock->arm(&w->alarm);
}

// The last touch of a waiter: its thread may be gone at once.
void WaitRoom::release(Waiter *w) {
    if (Clock *const clock = time_->manual_clock()) clock->disarm(&w->alarm);
    w->alarm.finish();
}

// Wakes those whose wait is over or whose time has moved, and nobody else.
void WaitRoom::announce() {
    while (Claim *const c = pending_.take_out()) release(static_cast<Waiter *>(c));
    promised_.store(pending_.size(), std::memory_order_release);
    if (!pending_.take_moved()) return;
    for (Entry *e = pending_.first(); e != nullptr; e = e->after) {
        Waiter *const w = e->is_claim ? static_cast<Waiter *>(static_cast<Claim *>(e)) : nullptr;
        if (w == nullptr || w->now.due_ns == w->alarm.due_ns.load(std::memory_order_relaxed)) continue;
        arm(w);
        w->alarm.ring();
    }
}

}  // namespace tb
