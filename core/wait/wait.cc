#include "core/wait/wait.h"

#include "core/platform/platform.h"

namespace tb {

Status take_rarely(TimedBucket *b, double n) {
    return at_present(b->bucket, &b->time, [=](int64_t now, uint64_t) { return b->bucket.try_take(n, now); });
}

Status take_after_loss(TimedBucket *b, double n, int64_t now) {
    const Status s = b->bucket.take_again(n, now);
    return s == Status::stale ? take_rarely(b, n) : s;
}

Status take_beyond_plain(TimedBucket *b, double n, int64_t now, uint64_t seen) {
    const Status s = b->bucket.take_general(n, now);
    const bool settled = s != Status::stale && !(s == Status::denied && b->bucket.state() != seen);
    return settled ? s : take_rarely(b, n);
}

// Who waits on a manual clock sleeps on the clock's word, which every move of the clock rings; others on the room's
// own.
std::atomic<uint32_t> *WaitRoom::bell() {
    Clock *const clock = time_->clock();
    return clock != nullptr && clock->is_manual() ? clock->moves() : &own_bell_;
}

void WaitRoom::wake_all() {
    bell()->fetch_add(1, std::memory_order_acq_rel);
    platform::wake_all(bell());
}

void WaitRoom::wait_until_empty() {
    for (uint32_t n = inside_.load(std::memory_order_acquire); n != 0; n = inside_.load(std::memory_order_acquire))
        platform::sleep_while(&inside_, n, INT64_MAX);
}

// False if a signal handler ended the sleep.
bool WaitRoom::sleep_towards(int64_t ready_at_ns, int64_t now, uint32_t rung) {
    Clock *const clock = time_->clock();
    int64_t deadline = ready_at_ns;
    if (clock != nullptr) {
        const int64_t monotonic = platform::monotonic_ns();
        const int64_t left = ready_at_ns - now;
        deadline = clock->is_manual() || left > INT64_MAX - monotonic ? INT64_MAX : monotonic + left;
    }
    return platform::sleep_while(bell(), rung, deadline) != platform::Woken::by_signal;
}

// The bell is read before what it announces (a moved clock, a closed bucket), so a sleep that began too late to hear it
// ends at once.
Status WaitRoom::sleep_until_ready(Bucket *bucket, const Reservation &reservation) {
    for (;;) {
        const uint32_t rung = bell()->load(std::memory_order_acquire);
        const bool closed = bucket->is_closed();
        const int64_t now = time_->now();
        if (now >= reservation.ready_at_ns) return Status::success;
        if (closed) return Status::closed;
        if (!sleep_towards(reservation.ready_at_ns, now, rung) && time_->now() < reservation.ready_at_ns)
            return Status::interrupted;
    }
}

Status WaitRoom::wait(Bucket *bucket, double n, int64_t max_wait_ns) {
    Reservation r;
    const Status reserved =
        at_present(*bucket, time_, [&](int64_t now, uint64_t) { return bucket->reserve(n, max_wait_ns, now, &r); });
    if (reserved != Status::success || r.wait_ns == 0) return reserved;
    inside_.fetch_add(1, std::memory_order_acq_rel);
    const Status s = sleep_until_ready(bucket, r);
    if (s != Status::success) at_present(*bucket, time_, [&](int64_t now, uint64_t) { return bucket->cancel(r, now); });
    // The last thing that touches this object: with nobody inside it may be freed at once.
    if (inside_.fetch_sub(1, std::memory_order_acq_rel) == 1) platform::wake_all(&inside_);
    return s;
}

}  // namespace tb
