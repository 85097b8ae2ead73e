// The plan of all keys of a table. A change of the limit is in force for all of them at once and touches no slot.
//
// Readers read the plan in place and check afterwards that the stamp is still the same. While the limit is being
// changed the stamp is odd, and time stands still for readers: they decide at held_ns, and nothing accrues until the
// next plan goes on, at a time after the stamp is even again. For a bucket that was full at held_ns may have been
// emptied since, and what has overflowed meanwhile must not come in again.
//
// Both times are those of a first look, at the odd stamp and then at the even one, whoever takes it. So nobody has
// decided at a later time than the first, and nobody decides by the odd stamp after the second, however long the thread
// that makes the change is kept from running. It looks itself, and then puts the plan in force once more, with the time
// at which it goes on.
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
    // What held_ns and resumed_ns are before the first look at that stamp. Each stamp has another value, so that who is
    // late to look at one says nothing about the next.
    static int64_t not_seen(uint64_t stamp) { return -1 - static_cast<int64_t>(stamp >> 1); }
    // The base of a plan that goes on from resumed_ns: far ahead, so nothing accrues.
    static constexpr int64_t kNotResumed = INT64_MAX;

    std::atomic<uint64_t> stamp{0};   // + 1 while a change is made, + 2 for each plan put in force
    std::atomic<int64_t> held_ns{0};  // where time stands still, of an odd stamp
    PlanSlot plans[2];
    Versioned<LimitSpec> specs[2];       // as asked for
    std::atomic<int64_t> resumed_ns{0};  // where time goes on, of an even stamp
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
        look_at(time, ordered ? time->now_ordered() : time->now(), ordered, view);
    }
    // As look(), ordered, by TimeSource::latest(): for use under a lock.
    void look_at_latest(TimeSource *time, View *view) {
        view->stamp_ = image_->stamp.load(std::memory_order_acquire);
        look_at(time, time->latest(), true, view);
    }
    // May what was decided by the view be stored?
    bool is_still(const View &view) const { return image_->stamp.load(std::memory_order_acquire) == view.stamp_; }

    // The plan in force and the limit as asked for. The plan's base is the time of the last change, the beginning of
    // its era, or kNotResumed. False if memory that is shared is damaged.
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
        go_on(changes ? next : same, changes ? asked : spec, time);
        return s;
    }

  private:
    static constexpr uint64_t kChanging = 1;
    static constexpr unsigned kLock = 0;  // of the memory

    static std::size_t index(uint64_t stamp) { return stamp >> 1 & 1; }
    uint64_t next_stamp() const { return (image_->stamp.load(std::memory_order_relaxed) & ~kChanging) + 2; }
    void look_at(TimeSource *time, int64_t now, bool ordered, View *view);
    void look_closely(TimeSource *time, View *view);
    int64_t hold_at(uint64_t stamp, TimeSource *time);
    int64_t resume_at(uint64_t stamp, TimeSource *time);
    Plan hold(TimeSource *time, LimitSpec *spec);
    void go_on(const Plan &plan, const LimitSpec &spec, TimeSource *time);
    void resume(TimeSource *time);
    void put_in_force(const Plan &plan, const LimitSpec &spec);
    void end_abandoned_change(TimeSource *time);
    void move_on(TimeSource *time, View *view);

    LivePlanImage *const image_;
    StateLock lock_;
};

}  // namespace tb

#endif
