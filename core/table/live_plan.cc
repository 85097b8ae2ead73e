#include "core/table/live_plan.h"

#include <algorithm>
#include <cstddef>

#include "core/limiter/retry.h"
#include "core/platform/counter.h"

namespace tb {

LivePlan::LivePlan(const Plan &plan) {
    slots_[0].store(plan);
}

void LivePlan::look_at(int64_t now, bool ordered, View *view) {
    view->now_ = now;
    view->ordered_ = ordered;
    const PlanSlot &shared = slot(view->stamp_);
    const uint64_t version = shared.version();
    const uint64_t elapsed = static_cast<uint64_t>(view->now_) - shared.at<offsetof(Plan, base_ns)>();
    view->era_ = shared.at<offsetof(Plan, traits)>() >> 32;
    view->shared_ = &shared;
    view->own_.reset();
    const bool in_era = elapsed <= shared.at<offsetof(Plan, elapsed_limit)>() && shared.is_still(version);
    if ((view->stamp_ & kChanging) != 0 || !in_era) [[unlikely]]
        look_closely(view);
}

Plan LivePlan::read() const {
    for (;;) {
        const uint64_t stamp = stamp_.load(std::memory_order_acquire);
        const uint64_t version = slot(stamp).version();
        const Plan plan = slot(stamp).load();
        if (slot(stamp).is_still(version) && stamp_.load(std::memory_order_acquire) >> 1 == stamp >> 1) return plan;
    }
}

// In the child of a fork there is no thread that would end a change which was under way in the parent.
void LivePlan::look_closely(View *view) {
    const bool changing = (view->stamp_ & kChanging) != 0;
    if (changing && changer_.load(std::memory_order_relaxed) != platform::process_generation()) {
        uint64_t stamp = view->stamp_;
        stamp_.compare_exchange_strong(stamp, stamp & ~kChanging);
    } else if (changing) {
        view->now_ = std::min(view->now_, held_ns_.load(std::memory_order_relaxed));
    } else {
        move_era(view->now_);
    }
    // If the plan is another one by now the view no longer counts.
    const Plan plan = in_era(read(), view->now_);
    view->own_.emplace();
    view->own_->store(plan);
    view->era_ = plan.era();
}

// Positions stay the same, so all decisions do, and time need not stand still.
void LivePlan::move_era(int64_t now) {
    if (!lock_.try_lock()) return;
    const uint64_t stamp = stamp_.load(std::memory_order_relaxed);
    const Plan plan = slot(stamp).load();
    const bool outgrown = now > plan.base_ns && static_cast<uint64_t>(now - plan.base_ns) > plan.elapsed_limit;
    if ((stamp & kChanging) == 0 && outgrown) {
        slot(stamp + 2).store(in_era(plan, now));
        stamp_.store(stamp + 2, std::memory_order_release);
    }
    lock_.unlock();
}

// A reader that saw an even stamp may have read the counter up to kDisorderNs later.
Plan LivePlan::hold(TimeSource *time) {
    const int64_t held_ns = time->latest();
    held_ns_.store(held_ns, std::memory_order_relaxed);
    changer_.store(platform::process_generation(), std::memory_order_relaxed);
    const uint64_t stamp = stamp_.load(std::memory_order_relaxed) & ~kChanging;
    stamp_.store(stamp | kChanging, std::memory_order_seq_cst);
    if (time->clock() == nullptr) {
        const int64_t flagged_ns = time->latest();
        while (time->latest() - flagged_ns < kDisorderNs) platform::pause();
    }
    return in_era(slot(stamp).load(), time->latest());
}

void LivePlan::release(const Plan *next) {
    const uint64_t stamp = stamp_.load(std::memory_order_relaxed) & ~kChanging;
    if (next != nullptr) slot(stamp + 2).store(in_era(*next, next->base_ns));
    stamp_.store(next != nullptr ? stamp + 2 : stamp, std::memory_order_release);
}

}  // namespace tb
