#include "core/clock/clock.h"

namespace tb {

int64_t Clock::now() {
    return is_manual() ? latest() : hold(function_(user_));
}

int64_t Clock::hold(int64_t now_ns) {
    int64_t latest = latest_ns_.load(std::memory_order_acquire);
    while (now_ns > latest && !latest_ns_.compare_exchange_weak(latest, now_ns, std::memory_order_acq_rel)) {
    }
    return now_ns > latest ? now_ns : latest;
}

void Clock::set(int64_t now_ns) {
    hold(now_ns);
    ring_due_alarms();
}

Status Clock::advance(int64_t duration_ns) {
    int64_t latest = latest_ns_.load(std::memory_order_acquire);
    do {
        if (duration_ns > INT64_MAX - latest) return Status::out_of_range;
    } while (!latest_ns_.compare_exchange_weak(latest, latest + duration_ns, std::memory_order_acq_rel));
    ring_due_alarms();
    return Status::success;
}

bool Clock::arm(Alarm *alarm) {
    const platform::LockGuard guard(&lock_);
    forget_other_processes();
    unlist(alarm);
    const bool ahead = alarm->due_ns.load(std::memory_order_relaxed) > latest_ns_.load(std::memory_order_acquire);
    if (ahead) list(alarm);
    return ahead;
}

void Clock::disarm(Alarm *alarm) {
    const platform::LockGuard guard(&lock_);
    unlist(alarm);
}

int64_t Clock::waiters(int64_t *next_due_ns) {
    const platform::LockGuard guard(&lock_);
    forget_other_processes();
    int64_t count = 0;
    *next_due_ns = INT64_MAX;
    for (const Alarm *a = first_; a != nullptr; a = a->after) {
        const int64_t due = a->due_ns.load(std::memory_order_relaxed);
        if (due < *next_due_ns) *next_due_ns = due;
        ++count;
    }
    return count;
}

// A thread that moves the clock further meanwhile rings the alarms of that time itself. Bells are rung and buckets
// looked at in rounds, without the lock; a bucket that is destroyed waits until that is over.
void Clock::ring_due_alarms() {
    constexpr int kMost = 64;
    struct Call {
        Bell bell;
        uint64_t tag;
        Look look;
        InFlight *inside;
    } calls[kMost];
    int count = 0;
    do {
        count = 0;
        {
            const platform::LockGuard guard(&lock_);
            forget_other_processes();
            const int64_t now = latest_ns_.load(std::memory_order_acquire);
            for (Alarm *a = first_, *after = nullptr; a != nullptr && count < kMost; a = after) {
                after = a->after;
                if (a->due_ns.load(std::memory_order_relaxed) > now) continue;
                unlist(a);
                a->inside->begin();
                calls[count++] = {a->is_thread() ? Bell{} : *a->bell, a->tag, *a->look, a->inside};
                if (a->is_thread()) a->ring();
            }
        }
        const uint32_t process = platform::process_generation();
        for (int i = 0; i < count; ++i) {
            calls[i].bell.ring(calls[i].tag);
            const bool last_of_bucket = i + 1 == count || calls[i + 1].inside != calls[i].inside;
            if (last_of_bucket) calls[i].look.function(calls[i].look.account);
            calls[i].inside->end(process);
        }
    } while (count == kMost);
}

// After a fork the listed alarms belong to waiters that only the parent has.
void Clock::forget_other_processes() {
    if (process_ != platform::process_generation()) first_ = nullptr;
    process_ = platform::process_generation();
}

void Clock::list(Alarm *alarm) {
    alarm->listed = true;
    alarm->before = nullptr;
    alarm->after = first_;
    if (first_ != nullptr) first_->before = alarm;
    first_ = alarm;
}

void Clock::unlist(Alarm *alarm) {
    if (!alarm->listed) return;
    alarm->listed = false;
    (alarm->before == nullptr ? first_ : alarm->before->after) = alarm->after;
    if (alarm->after != nullptr) alarm->after->before = alarm->before;
}

}  // namespace tb
