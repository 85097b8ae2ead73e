#include "core/queue/wait_queue.h"

#include <algorithm>

#include "core/memory.h"

namespace tb {
namespace {

// More than any entry lies ahead (kMaxDebtUnits): once so much has accrued, every entry is due.
constexpr uint64_t kAllDue = uint64_t{1} << 60;

}  // namespace

WaitQueue::~WaitQueue() {
    chain_.for_each_waiter([](Waiter *w) {
        if (w->owner == Waiter::Owner::queue) destroy(w);
    });
    while (Waiter *const w = lost_) {
        lost_ = w->next_lost;
        destroy(w);
    }
    std::free(seats_);
}

// A look may be earlier than the last one: its thread has read the clock before, or a change of a table's limit has
// made time stand still.
void WaitQueue::look(const Observation &observed) {
    chain_.set_capacity(static_cast<int64_t>(observed.plan.capacity));
    const uint64_t hidden = in_step_ ? 0 : hidden_units(observed);
    const uint64_t since = observed.now > looked_ns_ ? static_cast<uint64_t>(observed.now - looked_ns_) : 0;
    const bool far = !chain_.is_empty() && tbu_gain(&observed.plan.rate, {0, {0, 0}}, since) >= kAllDue;
    if (seats_ != nullptr && !is_possible(observed, far)) drop_all();
    pass_due(observed, far);
    // Where nobody is ahead the bucket may have been full since the last look; then what the word shows, and what it
    // hides, is an upper bound of what is spent.
    const uint64_t most = observed.spent() + hidden;
    if (far || (chain_.is_empty() && in_step_)) {
        chain_.restart(most);
    } else {
        chain_.fill_and_take(observed.balance.accrued - observed.plan.capacity,
                             word_difference(observed.word, last_word_),
                             chain_.is_settled() ? most : chain_.base() + kFar);
    }
    last_word_ = observed.word;
    looked_ns_ = observed.now;
    looked_at_ = {observed.balance.accrued, observed.balance.at.fraction};
    const uint32_t first = chain_.first_due();
    if (first != 0 && is_late(waiter(first), observed.now)) expire(observed);
}

// By how much more was spent at the end of the chain than the word of the last look showed.
uint64_t WaitQueue::hidden_units(const Observation &observed) const {
    const uint64_t accrued = observed.balance.accrued;
    const int64_t shown_before = word_difference(word_at(accrued, observed.word), last_word_);
    const int64_t hidden = distance(accrued - static_cast<uint64_t>(shown_before), chain_.end());
    return hidden > 0 ? static_cast<uint64_t>(hidden) : 0;
}

// Passes what is due, in order of position. `all`: every entry is, and positions are too far apart to be compared.
void WaitQueue::pass_due(const Observation &observed, bool all) {
    while (!chain_.is_settled()) {
        const uint32_t reservation = chain_.first_reservation();
        const uint32_t first = chain_.first_waiter();
        const int64_t cost = first == 0 ? 0 : chain_[first].cost;
        const bool waiter_first = first != 0 && (all || chain_.fits_at_begin(cost));
        const uint64_t position = chain_.base() + static_cast<uint64_t>(cost);
        const bool due = waiter_first ? distance(position, observed.balance.accrued) >= 0
                                      : chain_[reservation].time_ns <= observed.now;
        if (!due && !all) return;
        if (waiter_first) {
            chain_.make_due(first);
            waiter(first)->due_since_ns = reached_ns(observed.plan.rate, position);
            const int64_t told = waiter(first)->alarm.due_ns.load(std::memory_order_relaxed);
            if (told > observed.now) arm(waiter(first), observed.now);
        } else {
            chain_.pass_reservation(reservation);
        }
    }
}

// When a position was reached that the last look had not reached, or, if something else has changed since, the time of
// that look.
int64_t WaitQueue::reached_ns(const tbu_rate &rate, uint64_t position) const {
    const int64_t growth = distance(looked_at_.units, position);
    if (growth <= 0) return looked_ns_;
    const int64_t ns = tbu_time_to(&rate, looked_at_.fraction, static_cast<uint64_t>(growth));
    return ns < TBU_NEVER - looked_ns_ ? looked_ns_ + ns : TBU_NEVER;
}

bool WaitQueue::is_late(const Waiter *w, int64_t now) const {
    return now - w->due_since_ns > options_.max_lateness_ns;
}

// All that are due wait anew, except those that are late once more. The first of them are due again, as of now.
void WaitQueue::expire(const Observation &observed) {
    changed();
    chain_.undo_due([&](Waiter *w) {
        const bool late = is_late(w, observed.now);
        const bool again = late && w->was_late;
        w->was_late = w->was_late || late;
        return again;
    });
    pass_due(observed, false);
}

int64_t WaitQueue::due_ns(const Observation &observed, Cursor at, int64_t cost) const {
    const int64_t ahead = distance(observed.balance.accrued, at.spent + static_cast<uint64_t>(cost));
    if (ahead <= 0) return observed.now;
    const int64_t wait = time_to_grow(observed.plan, observed.balance.at, 0, ahead);
    return wait < TBU_NEVER - observed.now ? observed.now + wait : TBU_NEVER;
}

int64_t WaitQueue::due_ns(const Observation &observed, uint32_t index) const {
    return due_ns(observed, chain_.behind(index), 0);
}

void WaitQueue::enter(Waiter *w, Cursor at, int64_t cost, int64_t due_ns, int64_t deadline_ns, int32_t priority) {
    w->index = chain_.put_waiter(at, cost, deadline_ns, priority, w);
    if (seats_ != nullptr) take_seat(w);
    w->alarm.look = &options_.look;
    w->alarm.inside = &inside_;
    if (deadline_ns != INT64_MAX) ++deadlines_;
    w->alarm.due_ns.store(due_ns, std::memory_order_release);
}

// The clock may have passed that time since the look.
void WaitQueue::show(Waiter *w) {
    if (is_on_manual_clock(w) && !options_.manual_clock->arm(&w->alarm)) call(w);
}

void WaitQueue::overtaken(const Observation &observed, uint32_t first_behind) {
    if (first_behind != 0 && (deadlines_ != 0 || options_.manual_clock != nullptr)) replan(observed);
}

Status WaitQueue::collect(const Observation &observed, Waiter *w) {
    if (w->outcome != Status::waiting) return w->outcome;
    w->was_late = false;
    if (chain_[w->index].place == Place::aside) {
        if (chain_[w->index].cost > chain_.capacity()) return w->outcome = Status::exceeds_capacity;
        changed();
        chain_.rejoin(w->index);
        const int64_t owed = distance(observed.balance.accrued, chain_.end());
        if (owed > static_cast<int64_t>(kMaxDebtUnits)) return w->outcome = Status::out_of_range;
    }
    serve(observed);
    if (chain_[w->index].place != Place::due) {
        const int64_t due = due_ns(observed, w->index);
        if (due > chain_[w->index].time_ns) return w->outcome = Status::timed_out;
        arm(w, next_look(observed, w, due));
        return Status::waiting;
    }
    chain_.collect(w->index);
    return w->outcome = Status::success;
}

// When the waiter should come again. One that came at its time more than once and was not served, because those before
// it were late, gets eight times its wait, at most its deadline, if it can be called when its turn comes. Without that,
// where waiters come more slowly than tokens, useless visits would use up the time.
int64_t WaitQueue::next_look(const Observation &observed, Waiter *w, int64_t due_ns) const {
    constexpr int64_t kPatience = 8;
    const bool in_vain = w->alarm.due_ns.load(std::memory_order_relaxed) <= observed.now;
    const bool is_called = w->alarm.is_thread() || w->alarm.bell->function != nullptr;
    if (in_vain && w->in_vain < 2) ++w->in_vain;
    if (w->in_vain < 2 || !is_called) return due_ns;
    const int64_t wait = due_ns - observed.now;
    const int64_t later = wait < (INT64_MAX - observed.now) / kPatience ? observed.now + kPatience * wait : INT64_MAX;
    return std::min(later, chain_[w->index].time_ns);
}

Waiter *WaitQueue::find(uint64_t number) const {
    for (Waiter *lost = lost_; lost != nullptr; lost = lost->next_lost)
        if (lost->lost_number == number) return lost;
    Waiter *const w = chain_.waiter(number);
    return w == nullptr || w->owner != Waiter::Owner::queue ? nullptr : w;
}

void WaitQueue::withdraw(uint32_t index) {
    if (waiter(index) == nullptr) {
        chain_.remove(index);
    } else {
        leave(waiter(index));
    }
}

void WaitQueue::leave(Waiter *w) {
    if (w->index == 0) {
        forget_lost(w);
        return;
    }
    changed();
    if (seats_ != nullptr) seats_[w->index - 1].own = nullptr;
    if (chain_[w->index].time_ns != INT64_MAX) --deadlines_;
    disarm(w);
    uncall(w);
    chain_.remove(w->index);
    w->index = 0;
}

void WaitQueue::forget_lost(Waiter *w) {
    uncall(w);
    Waiter **link = &lost_;
    while (*link != nullptr && *link != w) link = &(*link)->next_lost;
    if (*link != nullptr) *link = w->next_lost;
}

void WaitQueue::end_wait(Waiter *w, Status outcome) {
    changed();
    disarm(w);
    chain_.set_apart(w->index);
    w->outcome = outcome;
    call(w);
}

void WaitQueue::grant_due() {
    while (const uint32_t due = chain_.first_due()) {
        chain_.collect(due);
        end_wait(waiter(due), Status::success);
    }
}

void WaitQueue::end_all_waits(Status outcome) {
    chain_.for_each_waiter([&](Waiter *w) {
        if (w->outcome == Status::waiting || w->when_due == Waiter::Due::stays) end_wait(w, outcome);
    });
}

void WaitQueue::serve(const Observation &observed) {
    pass_due(observed, false);
    tell_first(observed);
}

void WaitQueue::tell_first(const Observation &observed) {
    const uint32_t first = chain_.first_waiter();
    if (first != 0) arm(waiter(first), std::min(due_ns(observed, first), chain_[first].time_ns));
}

void WaitQueue::replan(const Observation &observed) {
    Cursor from = chain_.begin();
    for (uint32_t index = chain_.first_waiter(), next = 0; index != 0; index = next) {
        next = chain_.next_waiter(index);
        const int64_t cost = chain_[index].cost;
        const Cursor at = cost > chain_.capacity() ? from : chain_.place_waiter(from, cost);
        const int64_t due = due_ns(observed, at, cost);
        if (cost > chain_.capacity()) {
            end_wait(waiter(index), Status::exceeds_capacity);
        } else if (due > chain_[index].time_ns) {
            end_wait(waiter(index), Status::timed_out);
        } else {
            const int64_t told = waiter(index)->alarm.due_ns.load(std::memory_order_relaxed);
            if (due > told) arm(waiter(index), due);
            from = {at.next, at.spent + static_cast<uint64_t>(cost)};
        }
    }
}

// An earlier time is told at once.
void WaitQueue::arm(Waiter *w, int64_t due_ns) {
    const int64_t told = w->alarm.due_ns.load(std::memory_order_relaxed);
    if (told == due_ns) return;
    w->alarm.due_ns.store(due_ns, std::memory_order_release);
    const bool passed = is_on_manual_clock(w) && !options_.manual_clock->arm(&w->alarm);
    if (due_ns < told || passed) call(w);
}

void WaitQueue::disarm(Waiter *w) const {
    if (is_on_manual_clock(w)) options_.manual_clock->disarm(&w->alarm);
}

void WaitQueue::call(Waiter *w) {
    if (w->alarm.is_thread()) {
        w->alarm.ring();
    } else if (!w->is_called && w->owner != Waiter::Owner::elsewhere) {
        w->is_called = true;
        w->before_called = last_called_;
        w->after_called = nullptr;
        (last_called_ == nullptr ? first_called_ : last_called_->after_called) = w;
        last_called_ = w;
    }
}

void WaitQueue::uncall(Waiter *w) {
    if (!w->is_called) return;
    w->is_called = false;
    (w->before_called == nullptr ? first_called_ : w->before_called->after_called) = w->after_called;
    (w->after_called == nullptr ? last_called_ : w->after_called->before_called) = w->before_called;
}

bool WaitQueue::begin_ringing(Ringer *ringer) {
    if (first_called_ == nullptr) return false;
    ringer->thread = platform::this_thread();
    for (const Ringer *r = ringers_; r != nullptr; r = r->next)
        if (r->thread == ringer->thread) return false;
    ringer->next = ringers_;
    ringers_ = ringer;
    take_tags(ringer);
    return true;
}

bool WaitQueue::go_on_ringing(Ringer *ringer) {
    take_tags(ringer);
    if (ringer->count != 0) return true;
    Ringer **link = &ringers_;
    while (*link != nullptr && *link != ringer) link = &(*link)->next;
    if (*link != nullptr) *link = ringer->next;
    return false;
}

void WaitQueue::take_tags(Ringer *ringer) {
    for (ringer->count = 0; ringer->count < Ringer::kMost && first_called_ != nullptr; ++ringer->count) {
        ringer->tags[ringer->count] = first_called_->alarm.tag;
        uncall(first_called_);
    }
}

// The heap may be in disorder in the child of a fork, so the waiters on it are leaked. A page that is not written need
// not be copied.
void WaitQueue::abandon() {
    chain_.abandon();
    first_called_ = last_called_ = nullptr;
    ringers_ = nullptr;
    lost_ = nullptr;
    deadlines_ = 0;
    in_step_ = true;
    inside_.abandon();
    for (uint32_t i = 0; i < seat_count_; ++i)
        if (seats_[i].own != nullptr) seats_[i].own = nullptr;
}

}  // namespace tb
