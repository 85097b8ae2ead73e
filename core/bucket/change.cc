// Changes of a bucket's plan and of the claims on it, and the cancelling of reservations.
#include "core/bucket/bucket.h"

namespace tb {
namespace {

int64_t issued_ns(const Reservation &r) {
    return r.wait_ns <= r.ready_at_ns ? r.ready_at_ns - r.wait_ns : 0;
}

int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

bool is_reservation(const Reservation &r) {
    return is_amount(r.tokens) && r.wait_ns >= 0 && r.ready_at_ns >= 0;
}

// More units than any bucket has room for, debt repaid included, are as good as just so many.
int64_t bounded(uint64_t units) {
    constexpr uint64_t kMoreThanRoom = uint64_t{1} << 60;
    static_assert(kMoreThanRoom > kMaxCapacityUnits + kMaxDebtUnits);
    return static_cast<int64_t>(units < kMoreThanRoom ? units : kMoreThanRoom);
}

// What a reservation of n tokens cost: rounded up, but never more than the bucket holds.
uint64_t paid_for(const Limit &limit, double n) {
    const uint64_t up = to_units(limit, n, TBU_UP);
    return up <= limit.capacity_units ? up : to_units(limit, n, TBU_DOWN);
}

// The units of the reservation that `kept` tokens of it do not need. What was counted in other units may have been
// rounded, so less is sure to be its own.
int64_t units_beyond(const Plan &plan, const Reservation &r, double kept) {
    const bool current = plan.epoch % kEpochs == r.ticket % kEpochs;
    const uint64_t all = current ? paid_for(plan.limit, r.tokens) : to_units(plan.limit, r.tokens, TBU_DOWN);
    const uint64_t kept_units = kept == 0 ? 0 : to_units(plan.limit, kept, TBU_UP);
    return all > kept_units ? bounded(all - kept_units) : 0;
}

void put_in(Draft *draft, int64_t units) {
    draft->rest += units;
    draft->refund = units;
}

// Counts the bucket in the units of `limit` from now on.
void begin_units(const Plan &moved, Draft *draft) {
    const uint64_t from_scale = moved.limit.scale;
    const uint64_t to_scale = draft->plan.limit.scale;
    const bool fenced = !is_passed(draft->view, draft->fence);
    const int64_t ahead = rescale(position_difference(draft->fence, moved.base.units), from_scale, to_scale);
    draft->passage = {moved.base.units, draft->plan.base.units, from_scale, to_scale};
    draft->epochs.begin(draft->view.plan, draft->passage, &draft->plan);
    draft->fence = draft->plan.base.units - 1;
    if (fenced) draft->fence += static_cast<uint64_t>(least(ahead, static_cast<int64_t>(kMaxDebtUnits))) + 2;
}

Status edit_spec(const LimitSpec &spec, Draft *draft) {
    Limit limit;
    const Plan moved = rebased(draft->view);
    if (const Status s = change_limit(moved.limit, spec, &limit); s != Status::success) return s;
    if (moved.closed) return Status::closed;
    const bool same = moved.limit.scale == limit.scale;
    const int64_t kept = same ? draft->rest : rescale(draft->rest, moved.limit.scale, limit.scale);
    if (kept < -static_cast<int64_t>(kMaxDebtUnits)) return Status::out_of_range;
    draft->plan = make_plan(limit, moved.base_ns, same ? moved.base : tbu_position{moved.base.units, {0, 0}});
    draft->plan.epoch = moved.epoch;
    draft->plan.epoch_began_ns = moved.epoch_began_ns;
    draft->renewed = true;
    draft->rest = least(kept, static_cast<int64_t>(limit.capacity_units));
    if (!same) begin_units(moved, draft);
    return Status::success;
}

// Gives back what `kept` tokens of the reservation at this position do not need, as far as that may be.
void give_back(const Reservation &r, uint64_t position, double kept, const Claims &claims, Draft *draft) {
    const uint64_t accrued = draft->view.accrued();
    const uint64_t spent = accrued - static_cast<uint64_t>(draft->rest);
    const bool youngest = position_difference(spent, position) == 0;
    if (is_passed(draft->view, position) && (!youngest || r.wait_ns != 0)) return;
    const int64_t most = draft->returnable(position, units_beyond(draft->plan, r, kept));
    const int64_t back = least(most, claims.slack(*draft));
    if (back == 0) return;
    if (!youngest) draft->fence = spent;
    draft->rest += back;
    draft->given_back += back;
}

}  // namespace

// Under the lock. The word may move on meanwhile (false: look again), the generation cannot. A fence that has been
// passed moves along with the base, or it would seem ahead again after half a turn.
bool Bucket::publish(const View &view, const Plan &next, int64_t available, uint64_t fence) {
    const uint64_t generation = (view.word + 1) & kGenerationMask;
    Plan plan = to_publish(next);
    plan.base8 |= generation;
    slots_[generation & 1].store(plan);
    uint64_t word = view.word;
    const uint64_t spent = next.base.units - static_cast<uint64_t>(available);
    if (!word_.compare_exchange_strong(word, (spent << kGenerationBits) | generation, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))
        return false;
    fence_ = is_passed(view, fence) ? next.base.units - 1 : fence;
    return true;
}

void Bucket::move_base(int64_t now) {
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        if (!v.wants_rebase() || publish(v, rebased(v), v.available, fence_)) return;
    }
}

Draft Bucket::draft(int64_t now, Claims *claims) const {
    View v = view(now);
    const uint64_t bare = (claims->loosen(v) << kGenerationBits) | (v.word & kGenerationMask);
    v.available = observe(bare, v.plan, now).available;
    const bool rebase = v.wants_rebase();
    return {v, rebase ? rebased(v) : v.plan, rebase, false, {}, v.available, 0, fence_, epochs_, 0};
}

bool Bucket::commit(const Draft &d) {
    const bool done = d.renewed ? publish(d.view, d.plan, d.rest, d.fence) : store_rest(d.view, d.rest);
    if (!done) return false;
    if (!d.renewed) fence_ = d.fence;
    epochs_ = d.epochs;
    return true;
}

template <class Edit>
Status Bucket::change(int64_t now, Claims *claims, double *given_back, Edit edit) {
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        Draft d = draft(now, claims);
        if (const Status s = edit(&d); s != Status::success) return s;
        if (!claims->lay(&d)) return Status::out_of_range;
        if (!commit(d)) continue;
        claims->settle();
        *given_back = to_tokens(d.plan.limit, d.given_back);
        return Status::success;
    }
}

Status Bucket::set_rate(double tokens_per_second, int64_t now, Claims *claims, double *given_back) {
    constexpr int64_t kSecond = 1000000000;
    return change(now, claims, given_back, [=](Draft *d) {
        const LimitSpec spec{d->plan.limit.spec.capacity, tokens_per_second, kSecond};
        return edit_spec(spec, d);
    });
}

Status Bucket::set_capacity(double capacity, int64_t now, Claims *claims, double *given_back) {
    return change(now, claims, given_back, [=](Draft *d) {
        LimitSpec spec = d->plan.limit.spec;
        spec.capacity = capacity;
        return edit_spec(spec, d);
    });
}

Status Bucket::reset(double tokens, int64_t now, Claims *claims, double *given_back) {
    const bool full = tokens == kFull;
    const bool empty = tokens == 0;
    if (!full && !empty && !is_amount(tokens)) return Status::invalid_argument;
    return change(now, claims, given_back, [=](Draft *d) {
        const Limit &limit = d->plan.limit;
        if (d->plan.closed) return Status::closed;
        if (!full && tokens > limit.spec.capacity) return Status::exceeds_capacity;
        const uint64_t units = empty ? 0 : full ? limit.capacity_units : to_units(limit, tokens, TBU_DOWN);
        d->rest = least(static_cast<int64_t>(units), d->view.capacity());
        d->plan = make_plan(limit, d->view.at_ns, {d->view.accrued(), {0, 0}});
        d->epochs.begin(d->view.plan, {}, &d->plan);
        d->fence = d->plan.base.units - 1;
        d->renewed = d->void_all = true;
        claims->loosen_all();
        return Status::success;
    });
}

Status Bucket::refund(double n, int64_t now, Claims *claims, double *given_back) {
    if (!is_amount(n)) return Status::invalid_argument;
    return change(now, claims, given_back, [=](Draft *d) {
        if (d->plan.closed) return Status::closed;
        put_in(d, bounded(to_units(d->plan.limit, n, TBU_DOWN)));
        return Status::success;
    });
}

Status Bucket::withdraw(Claim *claim, Status why, int64_t now, Claims *claims, double *given_back) {
    return change(now, claims, given_back, [=](Draft *) {
        if (claim->next.outcome == Status::waiting) claim->next.outcome = why;
        return Status::success;
    });
}

Status Bucket::close(int64_t now, Claims *claims, double *given_back) {
    return change(now, claims, given_back, [=](Draft *d) {
        d->plan = rebased(d->view);
        d->plan.closed = 1;
        d->renewed = true;
        for (Claim *c = claims->first(); c != nullptr; c = c->after)
            if (c->next.outcome == Status::waiting) c->next.outcome = Status::closed;
        return Status::success;
    });
}

// The youngest reservation (nothing was taken since) is undone as if it had not been. Otherwise what lies after it on
// the word keeps its place, so at most capacity - later may come back, and no second time before all that was spent
// then has accrued and is past: otherwise chains of cancels could let a window hold more than capacity + rate * window.
// For the same reason nothing comes back once more than the position has accrued: a give-back lets the word pass old
// positions anew, so a position that is behind may by now be another's. Only what was granted and is cancelled at the
// very same instant is certain to be there still.
Status Bucket::cancel_youngest(const Reservation &r, int64_t now, double *given_back) {
    *given_back = 0;
    if (!is_reservation(r)) return Status::invalid_argument;
    if (now > r.ready_at_ns) return Status::success;
    const View v = view(now);
    const bool current = v.plan.epoch % kEpochs == r.ticket % kEpochs && issued_ns(r) >= v.plan.epoch_began_ns;
    if (!current || ((v.word ^ r.ticket) & ~kGenerationMask) != 0 || v.wants_rebase()) return Status::denied;
    if (r.wait_ns != 0 && is_passed(v, r.ticket >> kGenerationBits)) return Status::success;
    const int64_t back = least(units_beyond(v.plan, r, 0), v.capacity() - v.available);
    if (!store_rest(v, v.available + back)) return Status::stale;
    *given_back = to_tokens(v.plan.limit, back);
    return Status::success;
}

Status Bucket::cancel(const Reservation &r, int64_t now, Claims *claims, double *given_back) {
    *given_back = 0;
    if (!is_reservation(r)) return Status::invalid_argument;
    if (now > r.ready_at_ns) return Status::success;
    return change(now, claims, given_back, [&](Draft *d) {
        uint64_t position = 0;
        if (d->epochs.translate(d->view.plan, r.ticket, issued_ns(r), &position)) give_back(r, position, 0, *claims, d);
        return Status::success;
    });
}

// Before it is due a reservation gives back by the rule above. Afterwards its tokens were there and are put back.
Status Bucket::settle(const Reservation &r, double actual, int64_t now, Claims *claims, double *given_back) {
    *given_back = 0;
    if (!is_reservation(r) || (actual != 0 && !is_amount(actual))) return Status::invalid_argument;
    const View v = view_to_store(now);
    if (v.plan.closed) return Status::closed;
    if (actual > r.tokens) {
        const uint64_t reserved = to_units(v.plan.limit, r.tokens, TBU_UP);
        return charge_units(v, to_units(v.plan.limit, actual, TBU_UP) - reserved);
    }
    return change(now, claims, given_back, [&](Draft *d) {
        uint64_t position = 0;
        if (d->plan.closed) return Status::closed;
        if (!d->epochs.translate(d->view.plan, r.ticket, issued_ns(r), &position)) return Status::success;
        if (r.wait_ns == 0 || now >= r.ready_at_ns) {
            put_in(d, units_beyond(d->plan, r, actual));
            d->given_back = d->refund;
        } else {
            give_back(r, position, actual, *claims, d);
        }
        return Status::success;
    });
}

}  // namespace tb
