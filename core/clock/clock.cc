#include "core/clock/clock.h"

#include "core/platform/platform.h"

namespace tb {

int64_t Clock::now() {
    return is_manual() ? latest_ns_.load(std::memory_order_acquire) : hold(function_(user_));
}

int64_t Clock::hold(int64_t now_ns) {
    int64_t latest = latest_ns_.load(std::memory_order_acquire);
    while (now_ns > latest && !latest_ns_.compare_exchange_weak(latest, now_ns, std::memory_order_acq_rel)) {
    }
    return now_ns > latest ? now_ns : latest;
}

void Clock::set(int64_t now_ns) {
    hold(now_ns);
    wake();
}

Status Clock::advance(int64_t duration_ns) {
    int64_t latest = latest_ns_.load(std::memory_order_acquire);
    do {
        if (duration_ns > INT64_MAX - latest) return Status::out_of_range;
    } while (!latest_ns_.compare_exchange_weak(latest, latest + duration_ns, std::memory_order_acq_rel));
    wake();
    return Status::success;
}

void Clock::wake() {
    moves_.fetch_add(1, std::memory_order_acq_rel);
    platform::wake_all(&moves_);
}

}  // namespace tb
