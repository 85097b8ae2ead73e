#include "core/wait/room.h"

#include "core/platform/counter.h"

namespace tb {

Status WaitRoom::wait(double n, int64_t max_wait_ns, Visit *visit) {
    Claim poll{};
    const Status at_once =
        at_present(*bucket_, time_, [&](int64_t now, uint64_t) { return bucket_->claim(n, 0, now, &poll); });
    if (at_once != Status::timed_out || max_wait_ns == 0) return at_once;
    Waiter w{};
    const Status entered =
        at_present(*bucket_, time_, [&](int64_t now, uint64_t) { return enter(n, max_wait_ns, now, &w, visit); });
    if (entered != Status::waiting) return entered;
    return sleep_until_over(&w);
}

// success: the tokens were there by now. waiting: the waiter is in the room.
Status WaitRoom::enter(double n, int64_t max_wait_ns, int64_t now, Waiter *w, Visit *visit) {
    const Guard guard(this);
    if (is_full(now)) return Status::queue_full;
    parked_.fetch_add(1, std::memory_order_acq_rel);
    const Status s = bucket_->claim(n, max_wait_ns, now, w);
    if (s != Status::success || w->now.outcome == Status::success) {
        parked_.fetch_sub(1, std::memory_order_acq_rel);
        return s;
    }
    claims_.add(w);
    inside_.fetch_add(1, std::memory_order_acq_rel);
    visit->room_ = this;
    visit->process_ = w->process = process_;
    visit->since_ns_ = now;
    arm(w);
    return Status::waiting;
}

// The last thing that touches this object: with nobody inside it may be freed at once. Whoever takes the count to 0
// finds the owner asleep, who stays until it is woken. In a child that was forked by a signal handler during the wait
// the thread was never counted.
void WaitRoom::depart(uint32_t process) {
    if (process != platform::process_id()) return;
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
    const int64_t now = time_->now();
    const Guard guard(this);
    if (w->process != process_) return Status::interrupted;
    const bool time_ends = now == TBU_NEVER;
    if (w->now.outcome == Status::waiting && w->is_due(now)) {
        remove(w, Status::success);
    } else if (w->now.outcome == Status::waiting && (signalled || time_ends)) {
        const Status why = signalled ? Status::interrupted : Status::timed_out;
        double given_back = 0;
        bucket_->withdraw(w, why, now, &claims_, &given_back);
        count_given_back(given_back);
        announce_change();
    }
    return w->now.outcome;
}

template <class Operation>
Status WaitRoom::change(Operation operation) {
    double given_back = 0;
    const Guard guard(this);
    const Status s = operation(&given_back);
    count_given_back(given_back);
    announce_change();
    return s;
}

Status WaitRoom::refund(double n, int64_t now, uint64_t seen) {
    if (parked_.load(std::memory_order_acquire) == 0) return bucket_->refund(n, now, seen);
    return change([=, this](double *back) { return bucket_->refund(n, now, &claims_, back); });
}

Status WaitRoom::cancel(const Reservation &r, int64_t now) {
    if (parked_.load(std::memory_order_acquire) == 0) {
        double given_back = 0;
        const Status s = bucket_->cancel_youngest(r, now, &given_back);
        count_given_back(given_back);
        if (s != Status::denied) return s;
    }
    return change([&](double *back) { return bucket_->cancel(r, now, &claims_, back); });
}

Status WaitRoom::settle(const Reservation &r, double actual, int64_t now) {
    return change([&](double *back) { return bucket_->settle(r, actual, now, &claims_, back); });
}

Status WaitRoom::reset(double tokens, int64_t now) {
    return change([=, this](double *back) { return bucket_->reset(tokens, now, &claims_, back); });
}

Status WaitRoom::set_rate(double tokens_per_second, int64_t now) {
    return change([=, this](double *back) { return bucket_->set_rate(tokens_per_second, now, &claims_, back); });
}

Status WaitRoom::set_capacity(double capacity, int64_t now) {
    return change([=, this](double *back) { return bucket_->set_capacity(capacity, now, &claims_, back); });
}

void WaitRoom::close(int64_t now) {
    change([=, this](double *back) { return bucket_->close(now, &claims_, back); });
}

int64_t WaitRoom::waiting() {
    const int64_t now = time_->now();
    const Guard guard(this);
    release_who_is_due(now);
    return static_cast<int64_t>(claims_.size());
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
    const uint32_t here = lock_.holder();
    if (process_ == here) return;
    process_ = here;
    claims_.clear();
    parked_.store(0, std::memory_order_release);
    inside_.store(1, std::memory_order_release);
}

void WaitRoom::arm(Waiter *w) {
    w->alarm.due_ns.store(w->now.due_ns, std::memory_order_release);
    if (Clock *const clock = time_->manual_clock()) clock->arm(&w->alarm);
}

void WaitRoom::remove(Waiter *w, Status outcome) {
    claims_.remove(w);
    parked_.fetch_sub(1, std::memory_order_acq_rel);
    w->now.outcome = outcome;
    if (Clock *const clock = time_->manual_clock()) clock->disarm(&w->alarm);
}

// Wakes the waiter too, which its own thread does not need.
void WaitRoom::release(Waiter *w, Status outcome) {
    remove(w, outcome);
    w->alarm.finish();
}

// Their tokens are there; they only have not left yet.
void WaitRoom::release_who_is_due(int64_t now) {
    for (Claim *c = claims_.first(); c != nullptr && c->is_due(now); c = claims_.first())
        release(static_cast<Waiter *>(c), Status::success);
}

bool WaitRoom::is_full(int64_t now) {
    if (options_.max_waiters == 0) return false;
    release_who_is_due(now);
    return claims_.size() >= static_cast<uint64_t>(options_.max_waiters);
}

// Wakes those whose wait is over or whose time has moved, and nobody else.
void WaitRoom::announce_change() {
    for (Claim *c = claims_.first(), *after = nullptr; c != nullptr; c = after) {
        after = c->after;
        Waiter *const w = static_cast<Waiter *>(c);
        if (w->now.outcome != Status::waiting) {
            release(w, w->now.outcome);
        } else if (w->now.due_ns != w->alarm.due_ns.load(std::memory_order_relaxed)) {
            arm(w);
            w->alarm.ring();
        }
    }
}

}  // namespace tb
