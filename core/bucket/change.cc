// Changes of a bucket's plan and of what is pending on it, and the cancelling of reservations.
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

// Counts the bucket in the units of `limit` from now on.
void begin_units(const Plan &moved, Draft *draft) {
    const Limit &limit = draft->plan.limit;
    draft->passage = {moved.base.units, draft->plan.base.units, moved.limit.scale, limit.scale};
    draft->epochs.begin(draft->view.plan, false, &draft->plan);
    const int64_t there = rescale(position_difference(moved.base.units, draft->start), moved.limit.scale, limit.scale);
    draft->start = draft->plan.base.units - static_cast<uint64_t>(least(there, static_cast<int64_t>(kMaxDebtUnits)));
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
    draft->renewed = draft->new_limit = true;
    draft->had = draft->rest = least(kept, static_cast<int64_t>(limit.capacity_units));
    if (!same) begin_units(moved, draft);
    return Status::success;
}

}  // namespace

// Under the lock. The word may move on meanwhile (false: look again), the generation cannot.
bool Bucket::publish(const View &view, const Plan &next, int64_t available) {
    const uint64_t generation = (view.word + 1) & kGenerationMask;
    Plan plan = to_publish(next);
    plan.base8 |= generation;
    published_.fetch_add(1, std::memory_order_relaxed);
    slots_[generation & 1].store(plan);
    uint64_t word = view.word;
    const uint64_t spent = next.base.units - static_cast<uint64_t>(available);
    return word_.compare_exchange_strong(word, (spent << kGenerationBits) | generation, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
}

void Bucket::move_base(int64_t now) {
    const platform::LockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        if (!v.wants_rebase() || publish(v, rebased(v), v.available)) return;
    }
}

Draft Bucket::draft(const View &v, const Pending &pending) const {
    Draft d{};
    d.view = v;
    d.plan = v.plan;
    d.start = pending.start();
    d.had = d.rest = v.available;
    d.epochs = epochs_;
    return d;
}

bool Bucket::commit(const Draft &d) {
    if (!(d.renewed ? publish(d.view, d.plan, d.rest) : store_rest(d.view, d.rest))) return false;
    epochs_ = d.epochs;
    return true;
}

template <class Edit>
Status Bucket::change(Moment moment, Pending *pending, double *given_back, Edit edit) {
    const platform::LockGuard guard(&lock_);
    for (;;) {
        const View v = view(moment.now);
        if (v.wants_rebase()) {
            publish(v, rebased(v), v.available);
            continue;
        }
        if (!pending->catch_up(v) && v.word != moment.seen) return Status::stale;
        Draft d = draft(v, *pending);
        if (const Status s = edit(&d); s != Status::success) return s;
        if (!pending->lay(&d)) return Status::out_of_range;
        if (!commit(d)) continue;
        pending->settle(d);
        *given_back = d.rest > d.had ? to_tokens(d.plan.limit, d.rest - d.had) : 0;
        return Status::success;
    }
}

Status Bucket::set_rate(double tokens_per_second, Moment moment, Pending *pending, double *given_back) {
    constexpr int64_t kSecond = 1000000000;
    return change(moment, pending, given_back, [=](Draft *d) {
        const LimitSpec spec{d->plan.limit.spec.capacity, tokens_per_second, kSecond};
        return edit_spec(spec, d);
    });
}

Status Bucket::set_capacity(double capacity, Moment moment, Pending *pending, double *given_back) {
    return change(moment, pending, given_back, [=](Draft *d) {
        LimitSpec spec = d->plan.limit.spec;
        spec.capacity = capacity;
        return edit_spec(spec, d);
    });
}

Status Bucket::reset(double tokens, Moment moment, Pending *pending, double *given_back) {
    const bool full = tokens == kFull;
    const bool empty = tokens == 0;
    if (!full && !empty && !is_amount(tokens)) return Status::invalid_argument;
    const Status s = change(moment, pending, given_back, [=](Draft *d) {
        const Limit &limit = d->plan.limit;
        if (d->plan.closed) return Status::closed;
        if (!full && tokens > limit.spec.capacity) return Status::exceeds_capacity;
        const uint64_t units = empty ? 0 : full ? limit.capacity_units : to_units(limit, tokens, TBU_DOWN);
        d->plan = make_plan(limit, d->view.at_ns, {d->view.accrued(), {0, 0}});
        d->epochs.begin(d->view.plan, true, &d->plan);
        d->renewed = d->new_limit = d->void_all = true;
        d->start = d->plan.base.units - static_cast<uint64_t>(least(bounded(units), d->view.capacity()));
        d->rest = -static_cast<int64_t>(kMaxDebtUnits);
        return Status::success;
    });
    *given_back = 0;
    return s;
}

Status Bucket::refund(double n, Moment moment, Pending *pending, double *given_back) {
    if (!is_amount(n)) return Status::invalid_argument;
    const Status s = change(moment, pending, given_back, [=](Draft *d) {
        if (d->plan.closed) return Status::closed;
        pending->put_in(d, bounded(to_units(d->plan.limit, n, TBU_DOWN)));
        return Status::success;
    });
    *given_back = 0;
    return s;
}

Status Bucket::withdraw(Claim *claim, Status why, Moment moment, Pending *pending, double *given_back) {
    return change(moment, pending, given_back, [=](Draft *d) {
        if (claim->now.outcome != Status::waiting) return Status::success;
        d->leaver = claim;
        d->why = why;
        return Status::success;
    });
}

Status Bucket::close(Moment moment, Pending *pending, double *given_back) {
    return change(moment, pending, given_back, [=](Draft *d) {
        d->plan = rebased(d->view);
        d->plan.closed = 1;
        d->renewed = d->new_limit = true;
        return Status::success;
    });
}

Status Bucket::cancel_at_once(const Reservation &r, int64_t now, double *given_back) {
    *given_back = 0;
    if (!is_reservation(r)) return Status::invalid_argument;
    const View v = view_to_store(now);
    const Ticket ticket(r.ticket);
    const bool current = v.plan.epoch % kEpochs == r.ticket % kEpochs && issued_ns(r) >= v.plan.epoch_began_ns;
    if (now > r.ready_at_ns || r.wait_ns != 0 || !current || !ticket.is_at(v.word >> kGenerationBits))
        return Status::success;
    const int64_t back = least(units_beyond(v.plan, r, 0), v.capacity() - v.available);
    if (!store_rest(v, v.available + back)) return Status::stale;
    *given_back = to_tokens(v.plan.limit, back);
    return Status::success;
}

Status Bucket::cancel(const Reservation &r, Moment moment, Pending *pending, double *given_back) {
    *given_back = 0;
    if (!is_reservation(r)) return Status::invalid_argument;
    if (moment.now > r.ready_at_ns) return Status::success;
    return change(moment, pending, given_back, [=](Draft *d) {
        d->leaver = pending->reserved().find(Ticket(r.ticket).id());
        return Status::success;
    });
}

Status Bucket::settle_more(const Reservation &r, double actual, int64_t now) {
    const View v = view_to_store(now);
    if (v.plan.closed) return Status::closed;
    const uint64_t reserved = to_units(v.plan.limit, r.tokens, TBU_UP);
    return charge_units(v, to_units(v.plan.limit, actual, TBU_UP) - reserved);
}

// Before it is due a reservation gives back as by cancel. Afterwards its tokens were there and are put in anew.
Status Bucket::settle(const Reservation &r, double actual, Moment moment, Pending *pending, double *given_back) {
    *given_back = 0;
    if (!is_reservation(r) || (actual != 0 && !is_amount(actual))) return Status::invalid_argument;
    const uint64_t id = Ticket(r.ticket).id();
    const Status s = actual > r.tokens ? settle_more(r, actual, moment.now)
                                       : change(moment, pending, given_back, [=, this](Draft *d) {
                                             if (d->plan.closed) return Status::closed;
                                             if (!epochs_.is_valid(d->view.plan, r.ticket, issued_ns(r)))
                                                 return Status::success;
                                             if (r.wait_ns == 0 || moment.now >= r.ready_at_ns) {
                                                 pending->put_in(d, units_beyond(d->plan, r, actual));
                                             } else if (Reserved *const reserved = pending->reserved().find(id)) {
                                                 const int64_t kept =
                                                     actual == 0 ? 0 : bounded(to_units(d->plan.limit, actual, TBU_UP));
                                                 d->leaver = reserved;
                                                 d->keeps = least(kept, reserved->now.held);
                                             }
                                             return Status::success;
                                         });
    Reserved *const settled = s == Status::success ? pending->reserved().find(id) : nullptr;
    if (settled != nullptr) pending->reserved().disown(settled);
    return s;
}

}  // namespace tb
