#include "core/bucket/pending.h"

namespace tb {
namespace {

int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

uint64_t later_of(uint64_t a, uint64_t b) {
    return position_difference(a, b) >= 0 ? a : b;
}

uint64_t earlier_of(uint64_t a, uint64_t b) {
    return position_difference(a, b) <= 0 ? a : b;
}

uint64_t plus(uint64_t position, int64_t units) {
    return position + static_cast<uint64_t>(units);
}

int64_t rescale_up(int64_t units, uint64_t from_scale, uint64_t to_scale) {
    return -rescale(-units, from_scale, to_scale);
}

// When the position will have accrued; TBU_NEVER: later than can be expressed.
int64_t due_at(const View &view, uint64_t position) {
    const int64_t wait = time_to_grow(view, position_difference(view.accrued(), position), 0);
    return wait < TBU_NEVER - view.at_ns ? view.at_ns + wait : TBU_NEVER;
}

// Its units are used. A reservation may be given back until more than its position has accrued.
bool is_over(const Entry &entry, const View &view) {
    if (entry.is_claim) return static_cast<const Claim &>(entry).is_due(view.at_ns);
    return view.at_ns > entry.now.due_ns || is_passed(view, entry.now.position);
}

// A smaller capacity or a refund can leave chains that no bucket would have made, beyond what can be counted.
uint64_t countable_sum(uint64_t spent, int64_t units, const View &view) {
    constexpr int64_t kMost = static_cast<int64_t>(kMaxDebtUnits);
    const int64_t ahead = position_difference(spent, view.accrued()) + units;
    return plus(view.accrued(), ahead > kMost ? kMost : ahead < -kMost ? -kMost : ahead);
}

// A promise of more than the capacity dates from when that was larger.
uint64_t granted_at(const Standing &standing, uint64_t spent, const View &view) {
    const int64_t capacity = view.capacity() > standing.held ? view.capacity() : standing.held;
    return countable_sum(later_of(spent, plus(standing.position, -capacity)), standing.held, view);
}

// Of what the one that leaves has held.
int64_t given_up(const Entry &entry, const Draft &draft) {
    if (&entry != draft.leaver) return 0;
    const bool stays = entry.next.outcome == Status::waiting || entry.next.outcome == Status::success;
    return entry.now.held - (stays ? entry.next.held : 0);
}

uint64_t no_lower_than_full(uint64_t spent, const View &view) {
    return later_of(spent, plus(view.accrued(), -view.capacity()));
}

bool is_countable(uint64_t position, const View &view) {
    return position_difference(position, view.accrued()) <= static_cast<int64_t>(kMaxDebtUnits);
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

bool Draft::move(int64_t *units) const {
    if (passage.from_scale == 0) return true;
    *units = rescale_up(*units, passage.from_scale, passage.to_scale);
    return *units < static_cast<int64_t>(kMaxDebtUnits);
}

bool Draft::move(uint64_t *position) const {
    if (passage.from_scale == 0) return true;
    int64_t ahead = position_difference(*position, passage.from);
    const bool countable = move(&ahead);
    *position = plus(passage.to, ahead);
    return countable;
}

bool Pending::catch_up(const View &view) {
    const uint64_t spent = plus(view.accrued(), -view.available);
    const int64_t more = first_ == nullptr ? 0 : position_difference(spent, end_);
    if (more != 0) {
        last_->now.others += more;
        last_->now.spent = plus(last_->now.spent, more);
    }
    end_ = spent;
    while (first_ != nullptr && is_over(*first_, view)) {
        first_->now.outcome = Status::success;
        remove(first_, first_->now.held + first_->now.others);
    }
    if (first_ == nullptr) base_ = spent;
    return more == 0;
}

void Pending::let_go_who_is_over(const View &view) {
    for (Entry *e = first_, *following = nullptr; e != nullptr; e = following) {
        following = e->after;
        if (!e->is_claim && is_over(*e, view)) remove(e, e->now.held + e->now.others);
    }
}

void Pending::append(Entry *entry) {
    entry->now.others = 0;
    entry->now.spent = end_ = entry->now.position;
    entry->before = last_;
    entry->after = nullptr;
    (last_ == nullptr ? first_ : last_->after) = entry;
    last_ = entry;
    ++size_;
}

void Pending::add(Claim *claim) {
    claim->is_claim = true;
    ++claims_;
    append(claim);
}

void Pending::add(Reserved *reserved, const Standing &standing) {
    reserved->is_claim = false;
    reserved->now = standing;
    append(reserved);
}

// The chain goes on as it was: what stays spent is from now on put down to the entry before.
void Pending::remove(Entry *entry, int64_t stays_spent) {
    if (entry->before != nullptr) {
        entry->before->now.others += stays_spent;
        entry->before->now.spent = entry->now.spent;
    } else {
        base_ = entry->now.spent;
    }
    (entry->before == nullptr ? first_ : entry->before->after) = entry->after;
    (entry->after == nullptr ? last_ : entry->after->before) = entry->before;
    if (!entry->is_claim) {
        --size_;
        reserved_.release(static_cast<Reserved *>(entry));
        return;
    }
    entry->after = nullptr;
    Claim *const claim = static_cast<Claim *>(entry);
    if (out_last_ == nullptr) {
        out_first_ = claim;
    } else {
        out_last_->after = claim;
    }
    out_last_ = claim;
}

Claim *Pending::take_out() {
    Claim *const claim = out_first_;
    if (claim == nullptr) return nullptr;
    out_first_ = static_cast<Claim *>(claim->after);
    if (out_first_ == nullptr) out_last_ = nullptr;
    --size_;
    --claims_;
    return claim;
}

bool Pending::take_moved() {
    const bool moved = moved_;
    moved_ = false;
    return moved;
}

void Pending::grant(Claim *claim) {
    claim->now.outcome = Status::success;
    remove(claim, claim->now.held + claim->now.others);
}

void Pending::forget_all() {
    first_ = last_ = nullptr;
    out_first_ = out_last_ = nullptr;
    size_ = claims_ = 0;
    reserved_.forget_all();
}

void Pending::put_in(Draft *draft, int64_t units) const {
    draft->put_in = least(units, draft->view.capacity() - draft->view.available);
    draft->put_behind = last_;
    bool anybody_waits = false;
    for (Entry *e = claims_ == 0 ? nullptr : last_; e != nullptr; e = e->before) {
        if (!e->is_claim) continue;
        anybody_waits = true;
        draft->put_behind = e->before;
    }
    if (!anybody_waits) draft->rest += draft->put_in;
    if (draft->put_behind == nullptr)
        draft->start = plus(no_lower_than_full(draft->start, draft->view), -draft->put_in);
}

// From the first entry that the change touches to the first whose chain goes on as it was.
bool Pending::lay(Draft *draft) {
    const View after = draft->after();
    draft->from = draft->new_limit ? first_ : draft->leaver;
    if (draft->put_in != 0) draft->from = draft->put_behind == nullptr ? first_ : draft->put_behind;
    draft->until = draft->from;
    if (claims_ != 0)
        for (Entry *e = first_; e != nullptr; e = e->after) e->next = e->now;
    const bool at_start = draft->from == first_;
    uint64_t spent = at_start ? draft->start : draft->from == nullptr ? end_ : draft->from->before->now.spent;
    bool goes_on = draft->from != nullptr;
    for (Entry *e = draft->from; e != nullptr && goes_on; e = e->after) {
        if (!lay_entry(e, *draft, after, &spent)) return false;
        goes_on = draft->new_limit || e->next.spent != e->now.spent;
        draft->until = e->after;
    }
    if (draft->until != nullptr) spent = last_->now.spent;
    const int64_t end = position_difference(after.accrued(), spent);
    const int64_t rest = end > draft->rest ? end : draft->rest;
    draft->rest = least(least(rest, after.capacity()), behind_claims(after));
    draft->excess = end - draft->rest;
    return true;
}

// What may be available so that nobody overtakes one who is to wait.
int64_t Pending::behind_claims(const View &after) const {
    if (claims_ == 0) return after.capacity();
    for (const Entry *e = last_; e != nullptr; e = e->before)
        if (e->is_claim && e->next.outcome == Status::waiting)
            return position_difference(after.accrued(), e->next.position);
    return after.capacity();
}

bool Pending::lay_entry(Entry *entry, const Draft &draft, const View &after, uint64_t *spent) const {
    Standing &next = entry->next;
    next = entry->now;
    if (!draft.move(&next.position) || !draft.move(&next.held) || !draft.move(&next.others)) return false;
    if (entry == draft.leaver) next.held = draft.keeps;
    if (draft.void_all) next.others = 0;
    if (next.others < -static_cast<int64_t>(kMaxDebtUnits)) next.others = -static_cast<int64_t>(kMaxDebtUnits);
    if (entry == draft.put_behind) next.others -= draft.put_in;
    const bool due = entry->is_claim && static_cast<Claim *>(entry)->is_due(after.at_ns);
    if (due) next.outcome = Status::success;
    if (entry->is_claim && !due) {
        if (entry == draft.leaver) next.outcome = draft.why;
        if (next.outcome == Status::waiting && !lay_claim(static_cast<Claim *>(entry), draft, after, spent))
            return false;
    } else if (draft.void_all) {
        next.held = 0;
    } else {
        if (!is_countable(next.position, after)) return false;
        if (draft.new_limit) next.due_ns = due_at(after, next.position);
        if (next.held != 0) *spent = granted_at(next, *spent, after);
    }
    if (next.others > 0) *spent = no_lower_than_full(*spent, after);
    *spent = countable_sum(*spent, next.others, after);
    if (!draft.new_limit) *spent = earlier_of(*spent, plus(entry->now.spent, -given_up(*entry, draft)));
    next.spent = *spent;
    return true;
}

// Leaves the chain as it is if the claim no longer fits.
bool Pending::lay_claim(Claim *claim, const Draft &draft, const View &after, uint64_t *spent) const {
    Standing &next = claim->next;
    int64_t cost = 0;
    const Status fits = cost_of(draft.plan, claim->n, &cost);
    if (fits != Status::success) {
        next.outcome = fits;
        return true;
    }
    const uint64_t lowest = plus(no_lower_than_full(*spent, after), -draft.put_in);
    uint64_t position = plus(later_of(*spent, lowest), cost);
    if (!draft.new_limit) position = earlier_of(position, claim->now.position);
    if (!is_countable(position, after)) return false;
    next.position = position;
    next.held = cost;
    next.due_ns = due_at(after, position);
    if (next.due_ns > claim->deadline_ns) {
        next.outcome = Status::timed_out;
        return true;
    }
    if (position_difference(position, after.accrued()) <= 0) next.outcome = Status::success;
    *spent = position;
    return true;
}

void Pending::settle(const Draft &draft) {
    base_ = draft.start;
    end_ = plus(draft.after().accrued(), -draft.rest);
    for (Entry *e = draft.from, *following = nullptr; e != draft.until; e = following) {
        following = e->after;
        moved_ = moved_ || (e->is_claim && e->next.due_ns != e->now.due_ns);
        e->now = e->next;
        const bool gone = draft.void_all || (e == draft.leaver && draft.keeps == 0);
        if (e->now.outcome != Status::waiting || (gone && !e->is_claim))
            remove(e, (e->now.outcome == Status::success ? e->now.held : 0) + e->now.others);
    }
    if (last_ == nullptr || draft.excess <= 0) return;
    last_->now.others += draft.excess;
    last_->now.spent = plus(last_->now.spent, draft.excess);
}

}  // namespace tb
