#include "core/table/key_account.h"

#include "core/limiter/locked.h"
#include "core/memory.h"
#include "core/shared/possible.h"

namespace tb {
namespace {

// A plan whose base is farther ahead is damaged, and who waited for it would wait too long. Others are ahead by no more
// than kDisorderNs (retry.h) and what the clocks of two threads differ by.
constexpr int64_t kMostAheadNs = 1000000000;

bool is_same_limit(const Plan &a, const Plan &b) {
    const bool is_alike = a.capacity == b.capacity && a.is_closed() == b.is_closed() && is_same(a.rate, b.rate);
    return is_alike && a.changes() == b.changes();
}

// Tickets tell by the tenancy of a slot, in place of a bucket's era, whether the key has been forgotten since.
Plan of_tenancy(const Plan &plan, uint64_t state) {
    Plan p = plan;
    p.set_era(state & kGenerationMask);
    return p;
}

}  // namespace

KeyAccount::KeyAccount(Keys *keys, uint64_t hash, const WaitOptions *waiting, QueueImages *images, KeyRoom *room,
                       unsigned number)
    : Account(waiting, nullptr, images), key(hash), room_number(number), keys_(*keys), room_(room) {
    if (!keys_.plan().read(&followed_, &spec_)) followed_ = closed_plan();
}

KeyAccount::~KeyAccount() {
    destroy_queue();
    if (images() != nullptr) destroy(images());
}

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

void KeyAccount::begin_queue() {
    queue()->chain().set_capacity(static_cast<int64_t>(followed_.capacity));
    images()->begin(0, *queue(), {spec_, followed_.changes()});
}

bool KeyAccount::is_empty() {
    Locked locked(this);
    return !locked.chain().holds_any();
}

void KeyAccount::remove_other_waiters() {
    Locked locked(this);
    locked.look();
    if (locked.queue().remove_other_waiters()) locked.publish_changed();
}

void KeyAccount::end_own_waits() {
    Locked locked(this);
    locked.look();
    locked.queue().end_own_waits();
}

// ---- The queue and the limit in force ----

void KeyAccount::catch_up(Locked *locked) {
    if (images() != nullptr) load();
    follow_limit(locked);
}

void KeyAccount::load() {
    const unsigned in_force = slot->head().image();
    if (images()->is_loaded(in_force)) return;
    const PlannedFor &planned = images()->read(in_force);
    images()->restore(queue());
    spec_ = planned.spec;
    followed_ = keys_.plan().read();
    Limit limit;
    const bool is_in_force = planned.changes == followed_.changes();
    if (is_in_force || change_limit(followed_.units(), spec_, &limit) != Status::success) return;
    followed_ = make_plan(limit, 0, {0, {0, 0}});
    followed_.set_changes(planned.changes);
}

// Brings the queue to the limit that is in force. If the table was closed all waits end, but for those that are due.
// The rounds end also if damage to shared memory lets no limit last.
void KeyAccount::follow_limit(Locked *locked) {
    constexpr int kMostRounds = 16;
    for (int round = 0; round < kMostRounds; ++round) {
        Plan next;
        LimitSpec spec{};
        if (!keys_.plan().read(&next, &spec)) next = closed_plan();
        if (is_same_limit(followed_, next)) return;
        const Observation before = locked->look();
        if (!is_same_limit(in_force_, next)) continue;
        if (next.is_closed()) {
            locked->queue().grant_due();
            locked->publish_changed();
            locked->queue().end_all_waits(Status::closed);
        } else {
            locked->relimit(before, of_tenancy(rebased(in_force_, before.now), value_.state));
        }
        followed_ = next;
        spec_ = spec;
        locked->queue().changed();
        locked->look();
    }
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
        const bool is_possible = is_possible_in_table(plan) && view.now() >= 0;
        if (!is_possible || plan.base_ns - view.now() > kMostAheadNs) plan = closed_plan();
        in_force_ = plan;
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
    Head head = value_.head.with_era(later_era(value_.head.era(), era_));
    if (images() != nullptr) {
        images()->write(head.image(), *next, *queue(), {spec_, followed_.changes()});
        head = head.with_other_image();
    }
    const SlotValue changed{head, *next};
    if (!keys_.exchange(slot, value_, changed)) return false;
    value_ = changed;
    if (images() == nullptr) return true;
    images()->written();
    room_->changes.store(followed_.changes(), std::memory_order_relaxed);
    room_->free_ns.store(queue()->holds_waiters() ? 0 : queue()->chain().last_due_ns(), std::memory_order_relaxed);
    return true;
}

}  // namespace tb
