#include "core/limiter/account.h"

#include "core/memory.h"

namespace tb {

Account::Account(const WaitOptions *waiting, const Observer *observer, QueueImages *images)
    : observer_(observer),
      waiting_(*waiting),
      images_(images),
      lock_(images == nullptr ? nullptr : images->memory(), images == nullptr ? 0 : images->lock()),
      process_(platform::process_generation()) {}

bool Account::make_shared_queue() {
    WaitQueue *const queue = create<WaitQueue>(queue_options());
    if (queue == nullptr) return false;
    if (!queue->share(images_->bells(), images_->most_entries())) {
        destroy(queue);
        return false;
    }
    queue_.store(queue, std::memory_order_release);
    return true;
}

void Account::destroy_queue() {
    WaitQueue *const queue = queue_.load(std::memory_order_acquire);
    if (queue == nullptr) return;
    queue->inside().wait_for_all();
    destroy(queue);
}

bool Account::is_idle() {
    const platform::LockGuard guard(&lock_);
    WaitQueue *const queue = queue_.load(std::memory_order_relaxed);
    if (queue == nullptr) return true;
    const bool is_used = images_ != nullptr ? queue->has_own_waiters() : queue->chain().holds_any();
    return !is_used && queue->inside().is_empty();
}

bool Account::has_waiters() {
    const platform::LockGuard guard(&lock_);
    WaitQueue *const queue = queue_.load(std::memory_order_relaxed);
    return queue != nullptr && (queue->chain().waiters() != 0 || queue->chain().first_due() != 0);
}

Status Account::recorded(Status s, double n) const {
    if (observer_ != nullptr) observer_->record(s, n);
    return s;
}

void Account::record_returned(double tokens) const {
    if (observer_ != nullptr) observer_->record_returned(tokens);
}

WaitQueue::Options Account::queue_options() {
    int64_t lateness = waiting_.max_lateness_ns;
    if (lateness == 0) lateness = time().manual_clock() == nullptr ? kMaxLatenessNs : INT64_MAX;
    return {time().manual_clock(), lateness, {look, this}};
}

bool Account::go_on_ringing(Ringer *ringer) {
    const platform::LockGuard guard(&lock_);
    return queue_.load(std::memory_order_relaxed)->go_on_ringing(ringer);
}

}  // namespace tb
