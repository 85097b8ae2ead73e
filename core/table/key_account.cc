#include "core/table/key_account.h"

#include "core/limiter/locked.h"

namespace tb {
namespace {

bool is_same_limit(const Plan &a, const Plan &b) {
    return a.capacity == b.capacity && a.is_closed() == b.is_closed() && is_same(a.rate, b.rate);
}

// Tickets tell by the tenancy of a slot, in place of a bucket's era, whether the key has been forgotten since.
Plan of_tenancy(const Plan &plan, uint64_t state) {
    Plan p = plan;
    p.set_era(state & kGenerationMask);
    return p;
}

}  // namespace

KeyAccount::KeyAccount(Keys *keys, uint64_t hash, Slot *pinned, const WaitOptions *waiting)
    : Account(waiting, nullptr), key(hash), slot(pinned), keys_(*keys), followed_(keys->plan().read()) {}

void KeyAccount::pass_due() {
    Locked locked(this);
    locked.look();
}

void KeyAccount::pass_due_reservations() {
    if (!has_waiters()) pass_due();
}

// A new tenancy makes all tickets void.
void KeyAccount::refill() {
    Locked locked(this);
    for (bool done = false; !done;) {
        const SlotValue value = slot->read();
        done = keys_.exchange(slot, value, {value.head, next_generation(value.state)});
    }
    const Observation now = locked.look();
    locked.chain().remove_reservations();
    locked.chain().undo_due();
    locked.chain().set_base(now.balance.accrued - now.plan.capacity);
    locked.queue().replan(now);
    locked.publish_changed();
}

bool KeyAccount::fits(const tbu_rate &rate) {
    Locked locked(this);
    locked.look();
    return locked.fits(rate);
}

void KeyAccount::follow_limit() {
    Locked locked(this);
    const Observation before = locked.look();
    const Plan next = keys_.plan().read();
    if (next.is_closed()) {
        locked.queue().grant_due();
        locked.publish_changed();
        locked.queue().end_all_waits(Status::closed);
    } else {
        locked.relimit(before, of_tenancy(rebased(next, before.now), value_.state));
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
        return {word_at(spent, value_.state), of_tenancy(plan, value_.state), now};
    }
}

bool KeyAccount::exchange(const Observation &, uint64_t *next) {
    const SlotValue changed{value_.head.with_era(later_era(value_.head.era(), era_)), *next};
    if (!keys_.exchange(slot, value_, changed)) return false;
    value_ = changed;
    return true;
}

}  // namespace tb
