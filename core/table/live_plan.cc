#include "core/table/live_plan.h"

#include <algorithm>
#include <cstddef>

#include "core/limiter/retry.h"
#include "core/platform/counter.h"
#include "core/shared/possible.h"

namespace tb {

void LivePlan::look_at(TimeSource *time, int64_t now, bool ordered, View *view) {
    view->now_ = now;
    view->ordered_ = ordered;
    const PlanSlot &shared = image_->plans[index(view->stamp_)];
    const uint64_t version = shared.version();
    const uint64_t elapsed = static_cast<uint64_t>(view->now_) - shared.at<offsetof(Plan, base_ns)>();
    view->era_ = shared.at<offsetof(Plan, traits)>() >> 32;
    view->shared_ = &shared;
    view->own_.reset();
    const bool in_era = elapsed <= shared.at<offsetof(Plan, elapsed_limit)>() && shared.is_still(version);
    if ((view->stamp_ & kChanging) != 0 || !in_era) [[unlikely]]
        look_closely(time, view);
}

// The rounds end also if damage makes a plan seem to be written for ever.
bool LivePlan::read(Plan *plan, LimitSpec *spec) const {
    constexpr int kMostRounds = 1 << 10;
    for (int round = 0; round < kMostRounds; ++round) {
        const uint64_t stamp = image_->stamp.load(std::memory_order_acquire);
        const std::size_t i = index(stamp);
        const uint64_t plan_version = image_->plans[i].version();
        const uint64_t spec_version = image_->specs[i].version();
        *plan = image_->plans[i].load();
        *spec = image_->specs[i].load();
        const bool whole = image_->plans[i].is_still(plan_version) && image_->specs[i].is_still(spec_version);
        if (whole && image_->stamp.load(std::memory_order_acquire) >> 1 == stamp >> 1)
            return is_possible_in_table(*plan);
    }
    return false;
}

Plan LivePlan::read() const {
    Plan plan;
    LimitSpec spec;
    return read(&plan, &spec) ? plan : closed_plan();
}

// If the plan is another one by now the view no longer counts.
void LivePlan::look_closely(TimeSource *time, View *view) {
    Plan plan;
    if ((view->stamp_ & kChanging) == 0) {
        move_on(time, view);
        plan = read();
        if (plan.base_ns == LivePlanImage::kNotResumed) plan.base_ns = resume_at(view->stamp_, time);
        view->now_ = time->latest();  // not before what was read by who looked first
    } else {
        const int64_t held_ns = hold_at(view->stamp_, time);
        end_abandoned_change(time);
        plan = read();
        if (held_ns >= 0) view->now_ = std::min(view->now_, held_ns);
    }
    plan = in_era(plan, view->now_);
    view->own_.emplace();
    view->own_->store(plan);
    view->era_ = plan.era();
}

// Where time stands still by that odd stamp: now, unless somebody has looked before. Negative if it is odd no more. The
// counter is read after the stamp, so that no earlier time is chosen than others have decided at before.
int64_t LivePlan::hold_at(uint64_t stamp, TimeSource *time) {
    const int64_t now = time->latest();
    int64_t held_ns = LivePlanImage::not_seen(stamp);
    const bool is_first = image_->held_ns.compare_exchange_strong(held_ns, now, std::memory_order_acq_rel);
    return is_first ? now : held_ns;
}

// Where time goes on by that even stamp: now, unless somebody has looked before. The counter may be read up to
// kDisorderNs early where that is not ordered; a clock of the user's may not. Not negative, whatever the memory holds.
int64_t LivePlan::resume_at(uint64_t stamp, TimeSource *time) {
    const int64_t now = time->latest() + (time->clock() == nullptr ? kDisorderNs : 0);
    int64_t resumed_ns = LivePlanImage::not_seen(stamp);
    const bool is_first = image_->resumed_ns.compare_exchange_strong(resumed_ns, now, std::memory_order_acq_rel);
    return is_first ? now : std::max<int64_t>(resumed_ns, 0);
}

// Who changes the plan has the lock. So a change under way while the lock is free is that of a process that was killed,
// or of a thread that the child of a fork does not have.
void LivePlan::end_abandoned_change(TimeSource *time) {
    if (!lock_.try_lock()) return;
    const uint64_t stamp = image_->stamp.load(std::memory_order_relaxed);
    if ((stamp & kChanging) != 0) {
        Plan plan;
        LimitSpec spec{};
        if (!read(&plan, &spec)) plan = closed_plan();
        go_on(in_era(plan, hold_at(stamp, time)), spec, time);
    }
    lock_.unlock();
}

// Says in the plan where it goes on, or begins its next era. Positions stay the same, so all decisions do: time need
// not stand still, and the view still counts.
void LivePlan::move_on(TimeSource *time, View *view) {
    if (!lock_.try_lock()) return;
    if (image_->stamp.load(std::memory_order_relaxed) == view->stamp_) {
        resume(time);
        Plan plan;
        LimitSpec spec;
        const int64_t now = view->now_;
        const bool outgrown =
            read(&plan, &spec) && now > plan.base_ns && static_cast<uint64_t>(now - plan.base_ns) > plan.elapsed_limit;
        if (outgrown) put_in_force(in_era(plan, now), spec);
        view->stamp_ = image_->stamp.load(std::memory_order_relaxed);
    }
    lock_.unlock();
}

// The plan in force at held_ns. A reader that saw an even stamp may have read the counter up to kDisorderNs later. If
// the stamp is odd a change has been abandoned, and time goes on standing still where it did.
Plan LivePlan::hold(TimeSource *time, LimitSpec *spec) {
    resume(time);
    const uint64_t before = image_->stamp.load(std::memory_order_relaxed);
    const uint64_t stamp = before | kChanging;
    if (before != stamp) {
        image_->held_ns.store(LivePlanImage::not_seen(stamp), std::memory_order_relaxed);
        image_->stamp.store(stamp, std::memory_order_seq_cst);
    }
    const int64_t held_ns = hold_at(stamp, time);
    if (time->clock() == nullptr) {
        const int64_t flagged_ns = time->latest();
        while (time->latest() - flagged_ns < kDisorderNs) platform::pause();
    }
    Plan plan;
    if (!read(&plan, spec)) plan = closed_plan();
    return in_era(plan, held_ns);
}

// Ends the change: the plan goes on where it stands.
void LivePlan::go_on(const Plan &plan, const LimitSpec &spec, TimeSource *time) {
    Plan next = plan;
    next.base_ns = LivePlanImage::kNotResumed;
    image_->resumed_ns.store(LivePlanImage::not_seen(next_stamp()), std::memory_order_relaxed);
    put_in_force(next, spec);
    resume(time);
}

// Says in the plan in force where it goes on, if that is not said yet.
void LivePlan::resume(TimeSource *time) {
    Plan plan;
    LimitSpec spec;
    const bool is_resumed = !read(&plan, &spec) || plan.base_ns != LivePlanImage::kNotResumed;
    if (is_resumed) return;
    plan.base_ns = resume_at(image_->stamp.load(std::memory_order_relaxed), time);
    put_in_force(plan, spec);
}

void LivePlan::put_in_force(const Plan &plan, const LimitSpec &spec) {
    const uint64_t next = next_stamp();
    image_->plans[index(next)].store(in_era(plan, plan.base_ns));
    image_->specs[index(next)].store(spec);
    image_->stamp.store(next, std::memory_order_release);
}

}  // namespace tb
