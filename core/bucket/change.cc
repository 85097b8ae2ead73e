// Changes of a bucket's plan, and the cancelling of reservations.
#include "core/bucket/bucket.h"

namespace tb {
namespace {

int64_t issued_ns(const Reservation &r) {
    return r.wait_ns <= r.ready_at_ns ? r.ready_at_ns - r.wait_ns : 0;
}

int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// Has more accrued than the position? Judged from the base, since what accrued after it may be many turns.
bool is_passed(const View &view, uint64_t position) {
    const int64_t from_base = position_difference(position, view.plan.base.units);
    return from_base < 0 || static_cast<uint64_t>(from_base) < view.gain;
}

// What a reservation of n tokens cost: rounded up, but never more than the bucket holds.
uint64_t paid_for(const Limit &limit, double n) {
    const uint64_t up = to_units(limit, n, TBU_UP);
    return up <= limit.capacity_units ? up : to_units(limit, n, TBU_DOWN);
}

bool same_units(const Limit &a, const Limit &b) {
    return a.scale == b.scale;
}

}  // namespace

// Under the lock. The word may move on meanwhile (false: look again), the generation cannot.
bool Bucket::publish(const View &view, Plan next, int64_t available) {
    const uint64_t generation = (view.word + 1) & kGenerationMask;
    next.base8 |= generation;
    slots_[generation & 1].store(next);
    uint64_t word = view.word;
    const uint64_t spent = next.base.units - static_cast<uint64_t>(available);
    if (!word_.compare_exchange_strong(word, (spent << kGenerationBits) | generation, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))
        return false;
    // A fence that has been passed moves along with the base, or it would seem ahead again after half a turn.
    if (is_passed(view, fence_)) fence_ = next.base.units - 1;
    return true;
}

void Bucket::move_base(int64_t now) {
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        if (!v.wants_rebase() || publish(v, rebased(v), v.available)) return;
    }
}

Status Bucket::change_spec(const LimitSpec &spec, const View &v, bool *done) {
    Limit limit;
    if (const Status s = change_limit(v.plan.limit, spec, &limit); s != Status::success) return s;
    if (v.plan.closed) return Status::closed;
    const Plan moved = rebased(v);
    const bool same = same_units(v.plan.limit, limit);
    Plan next = make_plan(limit, moved.base_ns, same ? moved.base : tbu_position{moved.base.units, {0, 0}});
    next.epoch = moved.epoch;
    next.epoch_began_ns = moved.epoch_began_ns;
    int64_t kept = same ? v.available : rescale(v.available, v.plan.limit.scale, limit.scale);
    if (kept < -static_cast<int64_t>(kMaxDebtUnits)) return Status::out_of_range;
    kept = least(kept, static_cast<int64_t>(limit.capacity_units));
    if (same) {
        *done = publish(v, next, kept);
        return Status::success;
    }
    const uint64_t old_fence = fence_;
    const Epochs old_epochs = epochs_;
    const bool fenced = !is_passed(v, fence_);
    const int64_t ahead = rescale(position_difference(fence_, moved.base.units), v.plan.limit.scale, limit.scale);
    epochs_.begin(v.plan, {moved.base.units, next.base.units, v.plan.limit.scale, limit.scale}, &next);
    fence_ = next.base.units - 1;
    if (fenced) fence_ += static_cast<uint64_t>(least(ahead, static_cast<int64_t>(kMaxDebtUnits))) + 2;
    *done = publish(v, next, kept);
    if (!*done) {
        fence_ = old_fence;
        epochs_ = old_epochs;
    }
    return Status::success;
}

Status Bucket::set_rate(double tokens_per_second, int64_t now) {
    constexpr int64_t kSecond = 1000000000;
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        bool done = false;
        LimitSpec spec = v.plan.limit.spec;
        spec.rate_tokens = tokens_per_second;
        spec.rate_period_ns = kSecond;
        const Status s = change_spec(spec, v, &done);
        if (s != Status::success || done) return s;
    }
}

Status Bucket::set_capacity(double capacity, int64_t now) {
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        bool done = false;
        LimitSpec spec = v.plan.limit.spec;
        spec.capacity = capacity;
        const Status s = change_spec(spec, v, &done);
        if (s != Status::success || done) return s;
    }
}

Status Bucket::reset(double tokens, int64_t now) {
    const bool full = tokens == kFull;
    const bool empty = tokens == 0;
    if (!full && !empty && !is_amount(tokens)) return Status::invalid_argument;
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        if (v.plan.closed) return Status::closed;
        const Limit &limit = v.plan.limit;
        if (!full && tokens > limit.spec.capacity) return Status::exceeds_capacity;
        const uint64_t units = empty ? 0 : full ? limit.capacity_units : to_units(limit, tokens, TBU_DOWN);
        const Epochs old_epochs = epochs_;
        Plan next = make_plan(limit, v.at_ns, {v.accrued(), {0, 0}});
        epochs_.begin(v.plan, {}, &next);
        if (publish(v, next, least(static_cast<int64_t>(units), v.capacity()))) {
            fence_ = next.base.units - 1;
            return Status::success;
        }
        epochs_ = old_epochs;
    }
}

void Bucket::close(int64_t now) {
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        if (v.plan.closed) return;
        Plan next = rebased(v);
        next.closed = 1;
        next.whole_bits = 0;
        if (publish(v, next, v.available)) return;
    }
}

// The youngest reservation (nothing was taken since) is undone as if it had not been. Otherwise what lies after it on
// the word keeps its place, so at most capacity - later may come back, and no second time before all that was spent
// then has accrued and is past: otherwise chains of cancels could let a window hold more than capacity + rate * window.
// For the same reason nothing comes back once more than the position has accrued: a give-back lets the word pass old
// positions anew, so a position that is behind may by now be another's. Only what was granted and is cancelled at the
// very same instant is certain to be there still.
Status Bucket::cancel(const Reservation &r, int64_t now) {
    if (r.tokens == 0) return Status::success;
    if (!is_amount(r.tokens) || r.wait_ns < 0 || r.ready_at_ns < 0) return Status::invalid_argument;
    if (now > r.ready_at_ns) return Status::success;
    const View v = view(now);
    const bool current = v.plan.epoch % kEpochs == r.ticket % kEpochs && issued_ns(r) >= v.plan.epoch_began_ns;
    if (!current || ((v.word ^ r.ticket) & ~kGenerationMask) != 0 || v.wants_rebase()) return cancel_older(r, now);
    if (r.wait_ns != 0 && is_passed(v, r.ticket >> kGenerationBits)) return Status::success;
    const uint64_t units = paid_for(v.plan.limit, r.tokens);
    const uint64_t room = static_cast<uint64_t>(v.capacity() - v.available);
    const int64_t rest = v.available + static_cast<int64_t>(units < room ? units : room);
    return store_rest(v, rest) ? Status::success : Status::stale;
}

Status Bucket::cancel_older(const Reservation &r, int64_t now) {
    const platform::RareLockGuard guard(&lock_);
    for (;;) {
        const View v = view(now);
        uint64_t position = 0;
        if (!epochs_.translate(v.plan, r.ticket, issued_ns(r), &position)) return Status::success;
        const uint64_t spent = v.word >> kGenerationBits;
        const int64_t later = position_difference(spent, position);
        const bool passed = is_passed(v, position) && (later != 0 || r.wait_ns != 0);
        const bool fenced = later != 0 && !is_passed(v, fence_);
        if (later < 0 || later >= v.capacity() || passed || fenced) return Status::success;
        const bool current = v.plan.epoch % kEpochs == r.ticket % kEpochs;
        const Limit &limit = v.plan.limit;
        const uint64_t units = current ? paid_for(limit, r.tokens) : to_units(limit, r.tokens, TBU_DOWN);
        const int64_t room = v.capacity() - v.available;
        const uint64_t most = static_cast<uint64_t>(later == 0 ? room : least(v.capacity() - later, room));
        const int64_t rest = v.available + static_cast<int64_t>(units < most ? units : most);
        const bool done = v.wants_rebase() ? publish(v, rebased(v), rest) : store_rest(v, rest);
        if (!done) continue;
        if (later != 0) fence_ = spent;
        return Status::success;
    }
}

}  // namespace tb
