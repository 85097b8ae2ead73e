#include "core/bucket/claims.h"

namespace tb {
namespace {

int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t rescale_up(int64_t units, uint64_t from_scale, uint64_t to_scale) {
    return -rescale(-units, from_scale, to_scale);
}

// When `rest` units, if negative, will have grown to none; TBU_NEVER: later than can be expressed.
int64_t due_at(const View &view, int64_t rest) {
    const int64_t wait = time_to_grow(view, rest, 0);
    return wait < TBU_NEVER - view.at_ns ? view.at_ns + wait : TBU_NEVER;
}

bool leaves(const Claim &claim) {
    return claim.next.outcome != Status::waiting && claim.next.outcome != Status::success;
}

}  // namespace

Status cost_of(const Plan &plan, double n, int64_t *cost) {
    if (!is_amount(n)) return Status::invalid_argument;
    if (plan.closed) return Status::closed;
    if (n > plan.limit.spec.capacity) return Status::exceeds_capacity;
    const uint64_t units = to_units(plan.limit, n, TBU_UP);
    *cost = static_cast<int64_t>(units < plan.limit.capacity_units ? units : plan.limit.capacity_units);
    return Status::success;
}

View Draft::after() const {
    return renewed ? View{view.word, plan, plan.base_ns, 0, 0, rest} : view;
}

int64_t Draft::returnable(uint64_t position, int64_t held) const {
    const View to_be = after();
    const int64_t capacity = to_be.capacity();
    const int64_t later = position_difference(to_be.accrued() - static_cast<uint64_t>(rest), position);
    const bool fenced = later != 0 && !is_passed(to_be, fence);
    if (later < 0 || later >= capacity || rest >= capacity || fenced) return 0;
    const int64_t room = capacity - rest;
    return least(held, later == 0 ? room : least(capacity - later, room));
}

void Claims::add(Claim *claim) {
    claim->before = last_;
    claim->after = nullptr;
    (last_ == nullptr ? first_ : last_->after) = claim;
    last_ = claim;
    ++size_;
}

void Claims::remove(Claim *claim) {
    (claim->before == nullptr ? first_ : claim->before->after) = claim->after;
    (claim->after == nullptr ? last_ : claim->after->before) = claim->before;
    --size_;
}

// One whose time has come is as good as gone: its units are used, nothing changes that any more.
uint64_t Claims::loosen(const View &view) {
    uint64_t top = view.word >> kGenerationBits;
    bool on_top = true;
    for (Claim *c = last_; c != nullptr; c = c->before) {
        c->next = c->now;
        if (c->is_due(view.at_ns)) c->next.outcome = Status::success;
        on_top = on_top && c->next.outcome == Status::waiting && position_difference(c->now.position, top) == 0;
        c->loose = on_top;
        if (on_top) top -= static_cast<uint64_t>(c->now.held);
    }
    return top;
}

void Claims::loosen_all() {
    for (Claim *c = first_; c != nullptr; c = c->after) c->loose = c->next.outcome == Status::waiting;
}

int64_t Claims::slack(const Draft &draft) const {
    const uint64_t spent = draft.after().accrued() - static_cast<uint64_t>(draft.rest);
    int64_t slack = INT64_MAX;
    for (const Claim *c = first_; c != nullptr; c = c->after)
        if (!c->loose && c->next.outcome == Status::waiting)
            slack = least(slack, position_difference(spent, c->next.position));
    return slack;
}

bool Claims::lay(Draft *draft) {
    const View after = draft->after();
    lay_fixed(draft, after);
    if (!lay_loose(draft, after)) return false;
    if (draft->rest > after.capacity()) {
        draft->given_back -= draft->rest - after.capacity();
        draft->rest = after.capacity();
    }
    return true;
}

void Claims::lay_fixed(Draft *draft, const View &after) {
    const Passage &p = draft->passage;
    for (Claim *c = first_; c != nullptr; c = c->after) {
        if (c->loose || c->next.outcome == Status::success) continue;
        if (draft->changes_units()) {
            const int64_t ahead = position_difference(c->now.position, p.from);
            c->next.position = p.to + static_cast<uint64_t>(rescale_up(ahead, p.from_scale, p.to_scale));
            c->next.held = rescale(c->now.held, p.from_scale, p.to_scale);
        }
        const int64_t ahead = position_difference(c->next.position, after.accrued()) - draft->refund;
        c->next.position = after.accrued() + static_cast<uint64_t>(ahead);
        c->next.due_ns = due_at(after, -ahead);
        if (leaves(*c)) continue;
        if (c->n > draft->plan.limit.spec.capacity) {
            c->next.outcome = Status::exceeds_capacity;
        } else if (c->next.due_ns > c->deadline_ns) {
            c->next.outcome = Status::timed_out;
        } else if (ahead <= 0) {
            c->next.outcome = Status::success;
        }
    }
    for (Claim *c = first_; c != nullptr; c = c->after) {
        if (c->loose || !leaves(*c)) continue;
        const int64_t back = least(draft->returnable(c->next.position, c->next.held), slack(*draft));
        if (back == 0) continue;
        draft->fence = after.accrued() - static_cast<uint64_t>(draft->rest);
        draft->rest += back;
        draft->given_back += back;
    }
}

bool Claims::lay_loose(Draft *draft, const View &after) {
    for (Claim *c = first_; c != nullptr; c = c->after) {
        if (!c->loose) continue;
        int64_t cost = 0;
        if (!leaves(*c)) c->next.outcome = cost_of(draft->plan, c->n, &cost);
        if (!leaves(*c)) {
            const int64_t rest = draft->rest - cost;
            if (rest < -static_cast<int64_t>(kMaxDebtUnits)) return false;
            const int64_t due = due_at(after, rest);
            const Status granted = rest >= 0 ? Status::success : Status::waiting;
            const Status outcome = due > c->deadline_ns ? Status::timed_out : granted;
            c->next = {outcome, after.accrued() - static_cast<uint64_t>(rest), cost, due};
        }
        if (!leaves(*c)) {
            draft->rest -= cost;
        } else if (!draft->void_all) {
            const Passage &p = draft->passage;
            draft->given_back += draft->changes_units() ? rescale(c->now.held, p.from_scale, p.to_scale) : c->now.held;
        }
    }
    return true;
}

void Claims::settle() {
    for (Claim *c = first_; c != nullptr; c = c->after) c->now = c->next;
}

}  // namespace tb
