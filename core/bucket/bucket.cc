#include "core/bucket/bucket.h"

namespace tb {
namespace {

Decision describe(const View &view, Status status, int64_t rest, int64_t cost) {
    Decision d{status, to_tokens(view.plan.limit, rest > 0 ? rest : 0), 0, 0};
    if (status == Status::denied) d.retry_after_ns = time_to_grow(view, rest, cost);
    if (status == Status::exceeds_capacity) d.retry_after_ns = TBU_NEVER;
    d.reset_after_ns = time_to_grow(view, rest, view.capacity());
    return d;
}

}  // namespace

Bucket::Bucket(const Limit &limit, int64_t initial_units, int64_t now, bool watched) : watched_(watched) {
    const Plan plan = to_publish(make_plan(limit, now, {0, {0, 0}}));
    slots_[0].store(plan);
    slots_[1].store(plan);
    word_.store((0 - static_cast<uint64_t>(initial_units)) << kGenerationBits, std::memory_order_release);
}

Plan Bucket::to_publish(Plan plan) const {
    if (plan.closed) plan.watched_bits = 0;
    plan.whole_bits = watched_ ? 0 : plan.watched_bits;
    return plan;
}

// A slot is written only after its publication was counted, so a count that has not moved is a plan that was read
// whole, however long the reading took.
View Bucket::view(int64_t now) const {
    for (;;) {
        const uint64_t published = published_.load(std::memory_order_acquire);
        const uint64_t word = word_.load(std::memory_order_acquire);
        const Plan plan = slots_[word & 1].load();
        const bool same_generation = ((word_.load(std::memory_order_relaxed) ^ word) & kGenerationMask) == 0;
        if (same_generation && published_.load(std::memory_order_relaxed) == published) return observe(word, plan, now);
    }
}

View Bucket::view_to_store(int64_t now) {
    for (;;) {
        const View v = view(now);
        if (!v.wants_rebase()) return v;
        move_base(now);
    }
}

bool Bucket::store_rest(const View &view, int64_t rest) {
    uint64_t word = view.word;
    return word_.compare_exchange_strong(word, word_with_rest(view, rest), std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
}

// After a lost race. The time is kept, so that the loop is as short as can be; a denial would now be judged by an
// outdated time, so the caller must look at the clock again. The back-off is bounded: a longer one looks faster, but
// lets one core keep the line and starves the others for milliseconds.
Status Bucket::take_again(double n, int64_t now) {
    constexpr int kTries = 6;
    for (int round = 0; round < kTries; ++round) {
        platform::back_off(round < 3 ? round : 3);
        const Attempt attempt = attempt_plain(state(), n, now);
        if (attempt == Attempt::granted) return Status::success;
        if (attempt != Attempt::lost) break;
    }
    return Status::stale;
}

Status Bucket::take_watched(double n, int64_t now) {
    const Attempt a = attempt<offsetof(Plan, watched_bits)>(state(), n, now);
    if (a == Attempt::not_plain) return take_general(n, now);
    return a == Attempt::granted ? Status::success : a == Attempt::denied ? Status::denied : Status::stale;
}

Status Bucket::take_general(double n, int64_t now) {
    const View v = view_to_store(now);
    int64_t cost = 0;
    if (const Status s = cost_of(v.plan, n, &cost); s != Status::success) return s;
    if (v.available < cost) return Status::denied;
    return store_rest(v, v.available - cost) ? Status::success : Status::stale;
}

Status Bucket::take(double n, int64_t now, Decision *decision) {
    const View v = view_to_store(now);
    int64_t cost = 0;
    Status s = cost_of(v.plan, n, &cost);
    int64_t rest = v.available;
    if (s == Status::success && v.available < cost) s = Status::denied;
    if (s == Status::success) {
        rest -= cost;
        if (!store_rest(v, rest)) return Status::stale;
    }
    if (s == Status::success || s == Status::denied || s == Status::exceeds_capacity)
        *decision = describe(v, s, rest, cost);
    return s;
}

Status Bucket::take_up_to(double most, int64_t now, uint64_t seen, double *taken) {
    if (!is_amount(most)) return Status::invalid_argument;
    const View v = view_to_store(now);
    if (v.plan.closed) return Status::closed;
    const int64_t scale = static_cast<int64_t>(v.plan.limit.scale);
    const int64_t there = v.available > 0 ? v.available / scale : 0;
    const int64_t tokens = static_cast<double>(there) < most ? there : static_cast<int64_t>(most);
    if (static_cast<double>(tokens + 1) <= most && v.word != seen) return Status::stale;
    if (tokens != 0 && !store_rest(v, v.available - tokens * scale)) return Status::stale;
    *taken = static_cast<double>(tokens);
    return Status::success;
}

// Spends what n tokens cost, into debt if need be.
Status Bucket::lay(const View &v, double n, int64_t max_wait_ns, int64_t now, Standing *laid) {
    int64_t cost = 0;
    if (const Status s = cost_of(v.plan, n, &cost); s != Status::success) return s;
    const int64_t rest = v.available - cost;
    if (rest < -static_cast<int64_t>(kMaxDebtUnits)) return Status::out_of_range;
    const int64_t growing = time_to_grow(v, rest, 0);
    const bool representable = rest >= 0 || growing < TBU_NEVER - v.at_ns;
    const int64_t wait = rest >= 0 ? 0 : growing + (representable ? v.at_ns - now : 0);
    if (wait > max_wait_ns || !representable) return Status::timed_out;
    if (!store_rest(v, rest)) return Status::stale;
    const Status outcome = rest >= 0 ? Status::success : Status::waiting;
    *laid = {outcome, word_with_rest(v, rest) >> kGenerationBits, cost, now + wait, 0, 0};
    return Status::success;
}

Status Bucket::reserve_at_once(double n, int64_t now, Reservation *reservation) {
    const View v = view_to_store(now);
    int64_t cost = 0;
    if (const Status s = cost_of(v.plan, n, &cost); s != Status::success) return s;
    const int64_t rest = v.available - cost;
    if (rest < -static_cast<int64_t>(kMaxDebtUnits)) return Status::out_of_range;
    if (rest <= 0) return rest < 0 ? Status::timed_out : Status::waiting;
    if (!store_rest(v, rest)) return Status::stale;
    const uint64_t position = word_with_rest(v, rest) >> kGenerationBits;
    *reservation = {n, 0, now, Ticket::of_position(position, v.plan.epoch).value()};
    return Status::success;
}

// Also what leaves nothing behind has an entry: more than its position has not accrued yet.
Status Bucket::reserve(double n, int64_t max_wait_ns, int64_t now, Pending *pending, Reservation *reservation) {
    const View v = view_to_store(now);
    pending->catch_up(v);
    if (pending->reserved().is_full()) pending->let_go_who_is_over(v);
    Reserved *const reserved = pending->reserved().acquire();
    if (reserved == nullptr) return Status::out_of_memory;
    Standing laid{};
    const Status s = lay(v, n, max_wait_ns, now, &laid);
    if (s != Status::success) {
        pending->reserved().release(reserved);
        return s;
    }
    laid.outcome = Status::waiting;
    pending->add(reserved, laid);
    *reservation = {n, laid.due_ns - now, laid.due_ns, Ticket::of_entry(reserved->id, v.plan.epoch).value()};
    return Status::success;
}

Status Bucket::claim(double n, int64_t max_wait_ns, int64_t now, Pending *pending, Claim *claim) {
    const View v = view_to_store(now);
    pending->catch_up(v);
    if (const Status s = lay(v, n, max_wait_ns, now, &claim->now); s != Status::success) return s;
    claim->n = n;
    claim->deadline_ns = max_wait_ns > INT64_MAX - now ? INT64_MAX : now + max_wait_ns;
    if (claim->now.outcome == Status::waiting) pending->add(claim);
    return Status::success;
}

Status Bucket::charge(double n, int64_t now, int64_t *repaid_after_ns) {
    if (!is_amount(n)) return Status::invalid_argument;
    const View v = view_to_store(now);
    if (v.plan.closed) return Status::closed;
    const uint64_t units = to_units(v.plan.limit, n, TBU_UP);
    if (const Status s = charge_units(v, units); s != Status::success) return s;
    *repaid_after_ns = time_to_grow(v, v.available - static_cast<int64_t>(units), 0);
    return Status::success;
}

Status Bucket::charge_units(const View &v, uint64_t units) {
    const uint64_t most = static_cast<uint64_t>(v.available + static_cast<int64_t>(kMaxDebtUnits));
    if (units > most) return Status::out_of_range;
    return store_rest(v, v.available - static_cast<int64_t>(units)) ? Status::success : Status::stale;
}

Status Bucket::refund(double n, int64_t now, uint64_t seen) {
    if (!is_amount(n)) return Status::invalid_argument;
    const View v = view_to_store(now);
    if (v.word != seen) return Status::stale;
    if (v.plan.closed) return Status::closed;
    const uint64_t units = to_units(v.plan.limit, n, TBU_DOWN);
    const uint64_t room = static_cast<uint64_t>(v.capacity() - v.available);
    const int64_t rest = units < room ? v.available + static_cast<int64_t>(units) : v.capacity();
    return store_rest(v, rest) ? Status::success : Status::stale;
}

double Bucket::available(int64_t now) const {
    const View v = view(now);
    return to_tokens(v.plan.limit, v.available);
}

Status Bucket::time_until(double n, int64_t now, int64_t *ns) const {
    const View v = view(now);
    Plan open = v.plan;
    open.closed = 0;
    int64_t cost = 0;
    if (const Status s = cost_of(open, n, &cost); s != Status::success) return s;
    *ns = time_to_grow(v, v.available, cost);
    return Status::success;
}

Limit Bucket::limit() const {
    return view(0).plan.limit;
}

bool Bucket::is_closed() const {
    return view(0).plan.closed != 0;
}

}  // namespace tb
