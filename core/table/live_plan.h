// The plan of all keys of a table. A change of the limit is in force for all of them at once and touches no slot.
//
// Readers read the plan in place and check afterwards that the stamp is still the same. While the limit is being
// changed the stamp is odd, and time stands still for readers: they decide at held_ns. That is the time of the first
// look at the odd stamp, whoever takes it: so nobody has decided at a later one. Nothing accrues until the plan in
// force next goes on from held_ns, a moment later than now. For a bucket that was full at held_ns may have been emptied
// since, and what has overflowed meanwhile must not come in again.
#ifndef TOKENBUCKET_CORE_TABLE_LIVE_PLAN_H
#define TOKENBUCKET_CORE_TABLE_LIVE_PLAN_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/bucket/plan.h"
#include "core/clock/time_source.h"
#include "core/limiter/state_lock.h"
#include "core/platform/platform.h"
#include "core/table/eras.h"
#include "core/versioned.h"

namespace tb {

// What of it lies in memory that processes may share. The stamp picks the plan and the limit in force; a change writes
// the others first.
struct LivePlanImage {
    LivePlanImage(const Plan &plan, const LimitSpec &spec) {
        plans[0].store(plan);
        specs[0].store(spec);
    }
    // held_ns before the first look at that odd stamp. Another value in each change, so that who is late in one does
    // not say where time stands still in the next.
    static int64_t not_held(uint64_t stamp) { return -1 - static_cast<int64_t>(stamp >> 1); }

    std::atomic<uint64_t> stamp{0};   // the number of changes so far * 2, + 1 while one is being made
    std::atomic<int64_t> held_ns{0};  // where time stands still, or not_held()
    PlanSlot plans[2];
    Versioned<LimitSpec> specs[2];  // as asked for
};

class LivePlan {
  public:
    // memory: what the image lies in, if processes share it; else null. No image: nothing may be called.
    LivePlan(LivePlanImage *image, platform::SharedMemory *memory) : image_(image), lock_(memory, kLock) {}

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
        view->stamp_ = image_->stamp.load(std::memory_order_acquire);
        look_at(ordered ? time->now_ordered() : time->now(), ordered, view);
    }
    // As look(), ordered, by TimeSource::latest(): for use under a lock.
    void look_at_latest(TimeSource *time, View *view) {
        view->stamp_ = image_->stamp.load(std::memory_order_acquire);
        look_at(time->latest(), true, view);
    }
    // May what was decided by the view be stored?
    bool is_still(const View &view) const { return image_->stamp.load(std::memory_order_acquire) == view.stamp_; }

    // The plan in force and the limit as asked for. The plan's base is the time of the last change, or the beginning of
    // its era. False if memory that is shared is damaged.
    bool read(Plan *plan, LimitSpec *spec) const;
    // The plan alone; a closed one for false.
    Plan read() const;

    // edit(&plan, &spec) changes the plan, whose base has been moved to the time of the change, and the limit as asked
    // for; what it has done does not count if it returns an error.
    template <class Edit>
    Status change(TimeSource *time, Edit edit) {
        time->ask();
        const platform::LockGuard guard(&lock_);
        LimitSpec spec;
        const Plan same = hold(time, &spec);
        Plan next = same;
        LimitSpec asked = spec;
        const Status s = edit(&next, &asked);
        const bool changes = s == Status::success;
        next.set_changes(next.changes() + 1);
        go_on(changes ? next : same, changes ? asked : spec, after(time));
        return s;
    }

  private:
    static constexpr uint64_t kChanging = 1;
    static constexpr unsigned kLock = 0;  // of the memory

    static std::size_t index(uint64_t stamp) { return stamp >> 1 & 1; }
    int64_t hold_at(uint64_t stamp, int64_t now);
    void look_at(int64_t now, bool ordered, View *view);
    void look_closely(View *view);
    Plan hold(TimeSource *time, LimitSpec *spec);
    void prepare(const Plan &next, const LimitSpec &spec);
    static int64_t after(TimeSource *time);
    void go_on(const Plan &plan, const LimitSpec &spec, int64_t now);
    void put_in_force();
    void end_abandoned_change(int64_t now);
    void move_era(View *view);

    LivePlanImage *const image_;
    StateLock lock_;
};

}  // namespace tb

#endif
