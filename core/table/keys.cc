#include "core/table/keys.h"

#include <algorithm>
#include <new>

#include "core/limiter/retry.h"
#include "core/queue/ticket.h"

namespace tb {
namespace {

// What has accrued by the time of a view, and the capacity.
struct Level {
    uint64_t accrued;
    int64_t capacity;

    explicit Level(const LivePlan::View &view) {
        const PlanSlot &plan = view.plan();
        const uint64_t base_ns = plan.at<offsetof(Plan, base_ns)>();
        const uint64_t now = static_cast<uint64_t>(view.now());
        const tbu_rate rate = speed_of(plan);
        const tbu_position base{plan.at<offsetof(Plan, base) + offsetof(tbu_position, units)>(),
                                wide_at<offsetof(Plan, base) + offsetof(tbu_position, fraction)>(plan)};
        accrued = tbu_advance(&rate, base, now > base_ns ? now - base_ns : 0).units;
        capacity = static_cast<int64_t>(plan.at<offsetof(Plan, capacity)>());
    }

    int64_t held(uint64_t state) const { return word_difference(word_at(accrued, 0), state); }
    uint64_t full_state() const { return word_at(accrued - static_cast<uint64_t>(capacity), 0); }
};

// The word by which a key is decided: that of its slot, or of a full bucket.
uint64_t word_of(const KeyPlace &place, const LivePlan::View &view) {
    const bool is_full = place.slot == nullptr || is_long_idle(place.value.head.era(), view.era());
    return is_full ? Level(view).full_state() : place.value.state;
}

// In memory of this process; null if there is none.
TableImage *make_image(const LimitSpec &spec, const Limit &limit, uint64_t lines, int64_t now) {
    void *const memory = platform::map_zeroed(TableImage::size(lines));
    return memory == nullptr ? nullptr : new (memory) TableImage(plan_of_table(limit, now), spec);
}

Decision changed_to(uint64_t word, uint64_t spent, const Balance &b) {
    return {Status::success, false, word_at(spent, word), 0, 0, b.at};
}

// How often a take begins anew. Of threads that fight for a key none loses as often; damage to shared memory could make
// it go on for ever.
constexpr int kMostRounds = 1 << 14;

}  // namespace

Keys::Keys(const LimitSpec &spec, const Limit &limit, const TableOptions &options)
    : time_(options.clock, options.use_counter),
      shared_(options.shared),
      image_(shared_ != nullptr ? shared_->image() : make_image(spec, limit, options.lines, time_.now())),
      plan_(image_ != nullptr ? &image_->plan : nullptr, shared_ != nullptr ? shared_->memory() : nullptr),
      secret_(options.secret),
      when_full_(options.when_full),
      cells_(image_ != nullptr ? image_->lines() : nullptr, options.lines),
      waiting_(*options.waiting) {}

Keys::~Keys() {
    if (shared_ == nullptr && image_ != nullptr) platform::unmap(image_, TableImage::size(cells_.lines()));
}

// ---- Takes ----

// decide(word, plan, now) decides by what has been read. False if it must be repeated with a new reading. What is
// stored fails if the slot is no longer as it was read; an answer that stores nothing is given only if it still is,
// since its head and state are two loads, which may belong to two keys.
template <class Decide>
bool Keys::judge(KeyAttempt *a, Decide decide) {
    const uint64_t word = word_of(a->place, a->view);
    // Made in its place: a copy waits until the stores of the fields have reached the cache.
    const Decision &d = *new (&a->decision) Decision(decide(word, a->view.plan(), a->view.now()));
    if (d.status == Status::stale || !plan_.is_still(a->view)) return false;
    const bool is_denied = d.status == Status::denied;
    if (is_denied && !a->view.is_ordered() && !is_surely_denied(d, a->view.plan())) return false;
    a->stores = d.status == Status::success && d.next != word;
    const bool is_answer_of_slot = is_denied || (d.status == Status::success && !a->stores);
    return !is_answer_of_slot || a->place.slot == nullptr || a->place.slot->read() == a->place.value;
}

template <Keys::Pinned kPinned, class Decide>
Status Keys::take_by(uint64_t key, Decide decide) {
    KeyAttempt a;
    cells_.prefetch(key);
    for (int round = 0; round < kMostRounds; ++round) {
        read(key, round != 0, &a);
        if (kPinned == Pinned::not_here && a.place.value.head.is_pinned()) return Status::waiting;
        if (judge(&a, decide))
            if (const Status s = store(&a); s != Status::stale) return s;
        if (round != 0) wait_after_loss();
    }
    return Status::denied;
}

void Keys::read(uint64_t key, bool ordered, KeyAttempt *a) {
    a->key = key;
    a->place = find(key);
    plan_.look(&time_, ordered, &a->view);
}

// The slot that a key of that cost gets from a full bucket, at a time after all that has been read.
SlotValue Keys::settled(const SlotValue &tentative) {
    View view;
    for (;;) {
        plan_.look_at_latest(&time_, &view);
        const Level level(view);
        if (!plan_.is_still(view)) continue;
        const uint64_t position = (level.full_state() >> kGenerationBits) + (tentative.state >> kGenerationBits);
        return {confirmed(tentative.head, view.era()), word_at(position, tentative.state)};
    }
}

KeyPlace Keys::find(uint64_t key) {
    return cells_.find(key, [this](const SlotValue &tentative) { return settled(tentative); });
}

Status Keys::store(KeyAttempt *a) {
    const Decision &d = a->decision;
    if (!a->stores) return d.status;
    if (a->place.slot == nullptr) return put(a, when_full_);
    const SlotValue &value = a->place.value;
    const Head head = value.head.with_era(later_era(value.head.era(), a->view.era()));
    const SlotValue next{head, word_at(d.next >> kGenerationBits, value.state)};
    return cells_.exchange(a->place.slot, value, next) ? Status::success : Status::stale;
}

// Gives a slot to a key that has none. stale: it may have one by now.
Status Keys::put(KeyAttempt *a, WhenFull when_full) {
    const View &view = a->view;
    const Level level(view);
    const auto held = [&](const SlotValue &value) {
        const int64_t units = level.held(value.state);
        return units >= level.capacity || is_long_idle(value.head.era(), view.era()) ? Cells::kFree : units;
    };
    int64_t holds = 0;
    const KeyPlace into = cells_.choose(a->key, held, &holds);
    const uint64_t scale = view.plan().at<offsetof(Plan, scale)>();
    const int64_t cost = word_difference(a->decision.next, level.full_state());
    if (!plan_.is_still(view)) return Status::stale;
    const bool is_free = into.slot != nullptr && holds == Cells::kFree;
    if (!is_free) cells_.doubt(a->key);
    if (!is_free && find(a->key).slot != nullptr) return Status::stale;
    if (!is_free && when_full == WhenFull::admit) {
        forgive(to_tokens(scale, cost));
        a->stores = false;
        return Status::success;
    }
    if (!is_free && (into.slot == nullptr || when_full == WhenFull::deny)) return Status::table_full;
    if (!cells_.put(a->key, into, static_cast<uint64_t>(cost))) return Status::stale;
    if (!is_free) {
        image_->evicted.fetch_add(1, std::memory_order_relaxed);
        forgive(to_tokens(scale, level.capacity - holds));
    }
    a->place = cells_.confirm_put(a->key, into, [this](const SlotValue &tentative) { return settled(tentative); });
    if (a->place.slot == nullptr) return Status::stale;
    a->decision.next = a->place.value.state;
    return Status::success;
}

void Keys::forgive(double tokens) {
    double so_far = image_->forgiven.load(std::memory_order_relaxed);
    while (!image_->forgiven.compare_exchange_weak(so_far, so_far + tokens, std::memory_order_relaxed)) {
    }
}

Status Keys::allow(uint64_t key, double n) {
    return take_by(key, [n](uint64_t word, const PlanSlot &plan, int64_t now) { return decide(word, plan, n, now); });
}

Status Keys::take(uint64_t key, double n, Answer *answer) {
    Terms terms{};
    const Status s = take_by(key, [&](uint64_t word, const PlanSlot &plan, int64_t now) {
        const uint64_t version = plan.version();
        const Decision d = decide(word, plan, n, now);
        return terms.read(d, plan) && plan.is_still(version) ? d : refusal(Status::stale);
    });
    *answer = terms.answer();
    return s;
}

// Less than asked for is granted only by an ordered reading, of a slot that has not changed since.
Status Keys::take_up_to(uint64_t key, double most, double *taken) {
    int round = 0;
    return take_by(key, [&](uint64_t word, const PlanSlot &plan, int64_t now) {
        const Decision d = decide_up_to(word, plan, most, now);
        if (d.status != Status::success) return d;
        *taken = to_tokens(plan.at<offsetof(Plan, scale)>(), d.cost);
        const bool is_all = *taken + 1 > most || round++ != 0;
        return is_all ? d : refusal(Status::stale);
    });
}

// The lines of a batch are fetched before the first of its keys is looked up.
void Keys::allow_many(const uint64_t *keys, const double *amounts, std::size_t count, Status *answers) {
    constexpr std::size_t kBatch = 16;
    for (std::size_t start = 0; start < count; start += kBatch) {
        const std::size_t size = std::min(kBatch, count - start);
        KeyAttempt a;
        KeyPlace places[kBatch];
        for (std::size_t i = 0; i < size; ++i) cells_.prefetch(keys[start + i]);
        for (std::size_t i = 0; i < size; ++i) places[i] = find(keys[start + i]);
        plan_.look(&time_, false, &a.view);
        for (std::size_t i = 0; i < size; ++i) {
            const double n = amounts == nullptr ? 1 : amounts[start + i];
            a.key = keys[start + i];
            a.place = places[i];
            const bool judged =
                judge(&a, [n](uint64_t word, const PlanSlot &plan, int64_t now) { return decide(word, plan, n, now); });
            const Status s = judged ? store(&a) : Status::stale;
            answers[start + i] = s == Status::stale ? allow(a.key, n) : s;
        }
    }
}

// ---- Takes that may be undone ----

Status Keys::preview(uint64_t key, double n, KeyAttempt *a) {
    a->undone = image_->undos.done();
    for (int round = 0; round < kMostRounds; ++round) {
        read(key, round != 0, a);
        const bool judged =
            judge(a, [n](uint64_t word, const PlanSlot &plan, int64_t now) { return decide(word, plan, n, now); });
        if (judged) return a->decision.status;
        if (round != 0) wait_after_loss();
    }
    return Status::denied;
}

Status Keys::allow(uint64_t key, double n, KeyAttempt *a) {
    for (;;) {
        Status s = preview(key, n, a);
        if (s == Status::success) s = store(a);
        if (s != Status::stale) return s;
    }
}

// One that is not remembered has no tenancy.
Reservation Keys::reservation(const KeyAttempt &taken, double n) {
    const uint64_t tenancy = taken.stores ? taken.place.value.state & kGenerationMask : kGenerationMask + 1;
    return {n, 0, taken.view.now(), Ticket{0, 0, tenancy}.encoded()};
}

// A plan that is in force no more may be written over while it is read.
int64_t Keys::retry_after_ns(const KeyAttempt &a) const {
    Plan plan = a.view.plan().load();
    if (!plan_.is_still(a.view)) plan = plan_.read();
    return time_to_grow(plan, a.decision.at, a.decision.rest, a.decision.cost);
}

Status Keys::undo(const KeyAttempt &taken, Undo *take) {
    if (!taken.stores) return Status::success;
    KeyAttempt a;
    for (;;) {
        read(taken.key, true, &a);
        const bool is_same_tenancy = ((a.place.value.state ^ taken.place.value.state) & kGenerationMask) == 0;
        if (a.place.slot != taken.place.slot || !is_same_tenancy) return Status::success;
        if (a.place.value.head.is_pinned()) return Status::waiting;
        const bool judged = judge(&a, [&](uint64_t word, const PlanSlot &slot, int64_t now) {
            const Plan plan = slot.load();
            const Balance b = balance(word, plan, now);
            const uint64_t back = take->still_there(word, word_at(b.accrued - plan.capacity, 0));
            return changed_to(word, (word >> kGenerationBits) - back, b);
        });
        if (judged && store(&a) == Status::success) return Status::success;
    }
}

// ---- Adjusting and looking ----

namespace {

// change(word, plan, balance) decides by the whole plan, which is open.
template <class Change>
auto adjust_by(Change change) {
    return [=](uint64_t word, const PlanSlot &slot, int64_t now) {
        const uint64_t version = slot.version();
        const Plan plan = slot.load();
        if (!slot.is_still(version)) return refusal(Status::stale);
        if (!is_possible_in_table(plan) || plan.is_closed()) return refusal(Status::closed);
        return change(word, plan, balance(word, plan, now));
    };
}

Decision charged(uint64_t word, const Balance &b, uint64_t units) {
    const int64_t room = b.available + static_cast<int64_t>(kMaxDebtUnits);
    if (room < 0 || units > static_cast<uint64_t>(room)) return refusal(Status::out_of_range);
    return changed_to(word, b.accrued - (static_cast<uint64_t>(b.available) - units), b);
}

// As far as there is room.
Decision refunded(uint64_t word, const Plan &plan, const Balance &b, uint64_t most) {
    const uint64_t units = std::min(most, plan.capacity - static_cast<uint64_t>(b.available));
    if (units == 0) return changed_to(word, word >> kGenerationBits, b);
    return changed_to(word, b.accrued - static_cast<uint64_t>(b.available) - units, b);
}

}  // namespace

Status Keys::charge(uint64_t key, double n, int64_t *repaid_after_ns) {
    if (!is_amount(n)) return Status::invalid_argument;
    return take_by<Pinned::not_here>(key, adjust_by([=](uint64_t word, const Plan &plan, const Balance &b) {
                                         const uint64_t units = to_units(plan.scale, n, TBU_UP);
                                         const Decision d = charged(word, b, units);
                                         if (d.status == Status::success)
                                             *repaid_after_ns =
                                                 time_to_grow(plan, b.at, b.available - static_cast<int64_t>(units), 0);
                                         return d;
                                     }));
}

Status Keys::refund(uint64_t key, double n) {
    if (!is_amount(n)) return Status::invalid_argument;
    return take_by<Pinned::not_here>(key, adjust_by([=](uint64_t word, const Plan &plan, const Balance &b) {
                                         return refunded(word, plan, b, to_units(plan.scale, n, TBU_DOWN));
                                     }));
}

// Nothing of a key that is not pinned is pending. One that has lost its place has a full bucket, so what is due of it
// is void.
Status Keys::settle(uint64_t key, const Reservation &reservation, double actual) {
    if (!is_valid(reservation) || (actual != 0 && !is_amount(actual))) return Status::invalid_argument;
    const Ticket ticket = Ticket::decoded(reservation.ticket);
    KeyAttempt a;
    for (int round = 0; round < kMostRounds; ++round) {
        read(key, true, &a);
        const SlotValue &value = a.place.value;
        if (value.head.is_pinned()) return Status::waiting;
        const bool is_here = a.place.slot != nullptr && (value.state & kGenerationMask) == ticket.era;
        const bool is_used = is_here && reservation.ready_at_ns <= a.view.now();
        const auto settled = adjust_by([=](uint64_t word, const Plan &plan, const Balance &b) {
            if (!is_used) return changed_to(word, word >> kGenerationBits, b);
            const uint64_t kept = actual == 0 ? 0 : to_units(plan.scale, actual, TBU_UP);
            const uint64_t used = units_used(plan, reservation.tokens);
            return kept > used ? charged(word, b, kept - used) : refunded(word, plan, b, used - kept);
        });
        if (judge(&a, settled))
            if (const Status s = store(&a); s != Status::stale) return s;
        if (round != 0) wait_after_loss();
    }
    return Status::denied;
}

Status Keys::remove(uint64_t key) {
    for (;;) {
        const KeyPlace place = find(key);
        if (plan_.read().is_closed()) return Status::closed;
        if (place.slot == nullptr) return Status::success;
        if (place.value.head.is_pinned()) return Status::waiting;
        const SlotValue empty{{0}, next_generation(place.value.state)};
        if (cells_.exchange(place.slot, place.value, empty)) return Status::success;
    }
}

// A new key's slot is full, so another key may be given it before it is pinned.
Status Keys::pin(uint64_t key, Slot **slot) {
    const WhenFull when_full = when_full_ == WhenFull::admit ? WhenFull::deny : when_full_;
    KeyAttempt a;
    a.key = key;
    for (;;) {
        a.place = find(key);
        plan_.look_at_latest(&time_, &a.view);
        if (a.place.slot != nullptr) {
            const SlotValue &value = a.place.value;
            if (!cells_.exchange(a.place.slot, value, {value.head.with(Head::kPinned), value.state})) continue;
            *slot = a.place.slot;
            return Status::success;
        }
        a.decision.next = Level(a.view).full_state();
        const Status s = plan_.is_still(a.view) ? put(&a, when_full) : Status::stale;
        if (s != Status::success && s != Status::stale) return s;
    }
}

void Keys::unpin(Slot *slot) {
    for (;;) {
        const SlotValue value = slot->read();
        const SlotValue free{value.head.without(Head::kPinned), value.state};
        if (cells_.exchange(slot, value, free)) return;
    }
}

void Keys::unpin_all() {
    cells_.for_each([this](Slot *slot, const SlotValue &value) {
        if (value.head.is_pinned()) unpin(slot);
    });
}

// The key's bucket now, and the plan.
Balance Keys::balance_of(uint64_t key, Plan *plan) {
    View view;
    for (;;) {
        const KeyPlace place = find(key);
        plan_.look(&time_, false, &view);
        const uint64_t word = word_of(place, view);
        *plan = view.plan().load();
        const Balance b = balance(word, *plan, view.now());
        if (plan_.is_still(view)) return b;
    }
}

double Keys::available(uint64_t key) {
    Plan plan{};
    const Balance b = balance_of(key, &plan);
    return to_tokens(plan.scale, b.available);
}

Status Keys::time_until(uint64_t key, double n, int64_t *ns) {
    Plan plan{};
    const Balance b = balance_of(key, &plan);
    int64_t cost = 0;
    if (const Status s = cost_of(plan, n, &cost); s != Status::success) return s;
    *ns = time_to_grow(plan, b.at, b.available, cost);
    return Status::success;
}

TableCounts Keys::counts() {
    View view;
    plan_.look(&time_, false, &view);
    const Level level(view);
    TableCounts counts{cells_.slots(), 0, image_->evicted.load(std::memory_order_relaxed),
                       image_->forgiven.load(std::memory_order_relaxed)};
    cells_.for_each([&](Slot *, const SlotValue &value) {
        if (value.head.is_tentative()) return;
        const bool is_full = level.held(value.state) >= level.capacity || is_long_idle(value.head.era(), view.era());
        counts.occupied += !is_full;
    });
    return counts;
}

}  // namespace tb
