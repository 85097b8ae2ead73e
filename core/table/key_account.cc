#include "core/table/key_account.h"

#include "core/limiter/locked.h"

namespace tb {
namespace {

bool is_same_limit(const Plan &a, const Plan &b) {
    return a.capacity == b.capacity && a.is_closed() == b.is_closed() && is_same(a.rate, b.rate);
}

// A table's eras are not those of a bucket, by which tickets are told apart.
Plan without_era(const Plan &plan) {
    Plan p = plan;
    p.set_era(0);
    return p;
}

}  // namespace

KeyAccount::KeyAccount(Keys *keys, uint64_t hash, Slot *pinned, const WaitOptions *waiting)
    : Account(waiting, nullptr), key(hash), slot(pinned), keys_(*keys), followed_(keys->plan().read()) {}

void KeyAccount::pass_due() {
    Locked locked(this);
    locked.look();
}

void KeyAccount::refill() {
    Locked locked(this);
    const Observation now = locked.look();
    locked.chain().remove_reservations();
    locked.chain().undo_due();
    locked.chain().set_base(now.balance.accrued - now.plan.capacity);
    locked.queue().replan(now);
    locked.publish_changed();
}

void KeyAccount::follow_limit() {
    Locked locked(this);
    const Observation before = locked.look();
    const Plan next = keys_.plan().read();
    if (is_same_limit(followed_, next)) return;
    if (next.is_closed()) {
        locked.queue().grant_due();
        locked.publish_changed();
        locked.queue().end_all_waits(Status::closed);
    } else {
        locked.relimit(before, without_era(rebased(next, before.now)));
    }
    followed_ = next;
    locked.queue().changed();
    locked.look();
}

TimeSource &KeyAccount::time() {
    return keys_.time();
}

Status KeyAccount::take_now(double n) {
    return keys_.allow(key, n);
}

Observation KeyAccount::observe() {
    LivePlan::View view;
    for (;;) {
        value_ = slot->read();
        keys_.plan().look_at_latest(&keys_.time(), &view);
        Plan plan = view.plan().load();
        if (!keys_.plan().is_still(view)) continue;
        int64_t now = view.now();
        const bool followed = is_same_limit(followed_, plan);
        if (!followed) {
            now = plan.base_ns;
            plan.rate = followed_.rate;
            plan.capacity = followed_.capacity;
            plan.largest_amount = followed_.largest_amount;
        }
        era_ = plan.era();
        uint64_t spent = value_.state >> kGenerationBits;
        if (is_long_idle(value_.head.era(), era_)) spent = position_at(plan, now).units - plan.capacity;
        return {word_at(spent, value_.state), without_era(plan), now};
    }
}

bool KeyAccount::exchange(const Observation &, uint64_t next) {
    const SlotValue changed{value_.head.with_era(later_era(value_.head.era(), era_)), next};
    if (!keys_.exchange(slot, value_, changed)) return false;
    value_ = changed;
    return true;
}

}  // namespace tb
