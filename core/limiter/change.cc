// Changes that put another plan in force, and the limit.
#include <algorithm>
#include <bit>

#include "core/limiter/limiter.h"
#include "core/limiter/locked.h"

namespace tb {

// edit(now, plan) changes the plan, whose base has been moved to the present, and the chain. If a take changes the word
// before a word that shows what is spent at the end of the chain is in force with that plan, the base of the chain is
// restored and edit runs again.
template <class Edit>
Status Limiter::change_plan(Locked *locked, Edit edit) {
    const platform::LockGuard guard(&plan_lock_);
    for (;;) {
        const Observation &now = locked->look(observe_plan());
        if (now.plan.is_closed()) return Status::closed;
        const uint64_t base = locked->chain().base();
        Plan next = rebased(now.plan, now.now);
        const Status s = edit(now, &next);
        if (s != Status::success) return s;
        const uint64_t word = locked->observed().word;
        uint64_t next_word = word_at(locked->chain().end(), word);
        cell_->prepare(word, next);
        locked->tell_first(Observation(word, next, now.now));
        if (put_in_force(word, &next_word)) {
            locked->published(next_word, next);
            return s;
        }
        locked->chain().set_base(base);
    }
}

// Begins an era, so older tickets are void, and drops the fraction of a unit that has accrued.
Status Limiter::reset(double tokens) {
    if (tokens != kFull && tokens != 0 && !is_amount(tokens)) return Status::invalid_argument;
    Locked locked(this);
    return change_plan(&locked, [&](const Observation &now, Plan *next) {
        if (tokens > std::bit_cast<double>(next->largest_amount)) return Status::exceeds_capacity;
        uint64_t held = next->capacity;
        if (tokens != kFull) held = tokens == 0 ? 0 : std::min(held, to_units(next->scale, tokens, TBU_DOWN));
        next->begin_era();
        next->base.fraction = {0, 0};
        locked.chain().remove_reservations();
        locked.chain().undo_due();
        locked.chain().set_base(now.balance.accrued - held);
        locked.queue().replan(Observation(now.word, *next, now.now));
        return Status::success;
    });
}

// The fraction of a unit that has accrued is dropped. What takes and charges had spent is forgotten; entries stay.
Status Limiter::set_tokens(double tokens) {
    if (tokens != 0 && !is_amount(tokens)) return Status::invalid_argument;
    Locked locked(this);
    return change_plan(&locked, [&](const Observation &now, Plan *next) {
        if (tokens > std::bit_cast<double>(next->largest_amount)) return Status::exceeds_capacity;
        const uint64_t units = tokens == 0 ? 0 : to_units(next->scale, tokens, TBU_DOWN);
        next->base.fraction = {0, 0};
        locked.chain().undo_due();
        locked.chain().set_base(now.balance.accrued - std::min(next->capacity, units));
        locked.queue().replan(Observation(now.word, *next, now.now));
        return Status::success;
    });
}

Status Limiter::set_rate(double tokens_per_second) {
    constexpr int64_t kSecond = 1000000000;
    Locked locked(this);
    return set_limit(&locked, {spec_.capacity, tokens_per_second, kSecond});
}

Status Limiter::set_capacity(double capacity) {
    Locked locked(this);
    return set_limit(&locked, {capacity, spec_.rate_tokens, spec_.rate_period_ns});
}

Status Limiter::set_limit(Locked *locked, const LimitSpec &spec) {
    Limit limit;
    if (const Status s = change_limit(locked->look().plan.units(), spec, &limit); s != Status::success) return s;
    if (!locked->fits(limit.rate)) return Status::out_of_range;
    return change_plan(locked, [&](const Observation &now, Plan *next) {
        *next = relimited(*next, limit);
        locked->relimit(now, *next);
        spec_ = spec;
        return Status::success;
    });
}

Status Limiter::close() {
    Locked locked(this);
    locked.look();
    locked.queue().grant_due();
    locked.publish_changed();
    const Status s = change_plan(&locked, [&](const Observation &, Plan *next) {
        next->close();
        locked.queue().end_all_waits(Status::closed);
        return Status::success;
    });
    return s == Status::closed ? Status::success : s;
}

LimitSpec Limiter::limit(uint64_t *scale) {
    Locked locked(this);
    uint64_t word = 0;
    *scale = cell_->read(&word).scale;
    return spec_;
}

}  // namespace tb
