// The plan of all keys of a table. A change of the limit is in force for all of them at once and touches no slot.
//
// Readers read the plan in place and check afterwards that the stamp is still the same. While the limit is being
// changed the stamp is odd, and time stands still for readers at some time before the change. The time of the change is
// read after that: it is not before any time that a reader has used with the old plan, so no reader has used the old
// plan beyond it.
#ifndef TOKENBUCKET_CORE_TABLE_LIVE_PLAN_H
#define TOKENBUCKET_CORE_TABLE_LIVE_PLAN_H

#include <atomic>
#include <cstdint>
#include <optional>

#include "core/bucket/plan.h"
#include "core/clock/time_source.h"
#include "core/platform/platform.h"
#include "core/table/eras.h"

namespace tb {

class LivePlan {
  public:
    explicit LivePlan(const Plan &plan);

    // A time and the plan by which to decide at it, in the era of that time.
    class View {
      public:
        const PlanSlot &plan() const { return own_ ? *own_ : *shared_; }
        int64_t now() const { return now_; }
        uint64_t era() const { return era_; }
        bool is_ordered() const { return ordered_; }

      private:
        friend class LivePlan;
        const PlanSlot *shared_ = nullptr;
        std::optional<PlanSlot> own_;  // if the shared one is of an earlier era or is being changed
        uint64_t stamp_ = 0;
        int64_t now_ = 0;
        uint64_t era_ = 0;
        bool ordered_ = false;
    };

    // Reads the clock; after all loads before the call, if ordered.
    void look(TimeSource *time, bool ordered, View *view) {
        view->stamp_ = stamp_.load(std::memory_order_acquire);
        look_at(ordered ? time->now_ordered() : time->now(), ordered, view);
    }
    // As look(), ordered, by TimeSource::latest(): for use under a lock.
    void look_at_latest(TimeSource *time, View *view) {
        view->stamp_ = stamp_.load(std::memory_order_acquire);
        look_at(time->latest(), true, view);
    }
    // May what was decided by the view be stored?
    bool is_still(const View &view) const { return stamp_.load(std::memory_order_acquire) == view.stamp_; }

    // The plan in force; its base is the time of the last change, or the beginning of its era.
    Plan read() const;

    // edit(&plan) changes the plan, whose base has been moved to the time of the change, unless it returns an error.
    template <class Edit>
    Status change(TimeSource *time, Edit edit) {
        time->ask();
        const platform::LockGuard guard(&lock_);
        Plan next = hold(time);
        const Status s = edit(&next);
        release(s == Status::success ? &next : nullptr);
        return s;
    }

    // f(plan), while the plan is not changed.
    template <class F>
    void keep(F f) {
        const platform::LockGuard guard(&lock_);
        f(read());
    }

  private:
    static constexpr uint64_t kChanging = 1;

    PlanSlot &slot(uint64_t stamp) { return slots_[stamp >> 1 & 1]; }
    const PlanSlot &slot(uint64_t stamp) const { return slots_[stamp >> 1 & 1]; }
    void look_at(int64_t now, bool ordered, View *view);
    void look_closely(View *view);
    Plan hold(TimeSource *time);
    void release(const Plan *next);
    void move_era(int64_t now);

    std::atomic<uint64_t> stamp_{0};  // the number of changes so far * 2, + 1 while one is being made
    PlanSlot slots_[2];
    std::atomic<int64_t> held_ns_{0};   // where time stands still
    std::atomic<uint32_t> changer_{0};  // the process_generation in which the plan is being changed
    platform::ForkSafeLock lock_;
};

}  // namespace tb

#endif
