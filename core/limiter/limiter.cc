#include "core/limiter/limiter.h"

#include "core/limiter/locked.h"
#include "core/limiter/retry.h"
#include "core/platform/counter.h"
#include "core/queue/ticket.h"
#include "core/shared/possible.h"

namespace tb {

Limiter::Limiter(const LimitSpec &spec, const Limit &limit, int64_t initial_units, const LimiterOptions &options)
    : Account(options.waiting, options.observer, options.shared == nullptr ? nullptr : options.shared->images()),
      shared_(options.shared),
      time_(options.clock, options.use_counter),
      own_cell_(make_plan(limit, time_.now(), {0, {0, 0}}), initial_units),
      cell_(options.shared == nullptr ? &own_cell_ : options.shared->cell()),
      undos_(options.shared == nullptr ? &own_undos_ : options.shared->undos()),
      plan_lock_(options.shared == nullptr ? nullptr : options.shared->memory(), SharedState::kPlanLock),
      spec_(spec) {}

Limiter::~Limiter() {
    if (shared() == nullptr) {
        close();
    } else if (queue() != nullptr) {
        Locked locked(this);
        locked.look();
        locked.queue().end_own_waits();
    }
    destroy_queue();
}

// ---- A shared state ----

void Limiter::catch_up(Locked *) {
    if (shared() != nullptr) shared()->load(queue(), &spec_);
}

// A change of a shared queue is one of the generation, too. Another thread may have moved the base meanwhile.
bool Limiter::exchange(const Observation &before, uint64_t *next) {
    if (shared() == nullptr) return cell_->compare_exchange(before.word, *next);
    const platform::LockGuard guard(&plan_lock_);
    if (((cell_->word() ^ before.word) & kGenerationMask) != 0) return false;
    cell_->prepare(before.word, before.plan);
    return put_in_force(before.word, next);
}

// Under the plan's lock, with the plan in the spare slot of `word`. *next: in, what is spent; out, the word in force.
bool Limiter::put_in_force(uint64_t word, uint64_t *next) {
    *next = next_generation(word_at(*next >> kGenerationBits, word));
    if (shared() != nullptr) images()->write(image_of(word), *next, *queue(), {spec_, 0});
    if (!cell_->compare_exchange(word, *next)) return false;
    if (shared() != nullptr) images()->written();
    return true;
}

// ---- Takes ----

namespace {

// How often a decision is made anew because its plan has been replaced or cannot be read. Damage to a shared state can
// let no plan last.
class Patience {
  public:
    bool allows_move() { return ++moves_ <= kMostMoves; }
    bool allows_stale() { return moves_ <= kMostMoves && ++stale_ <= kMostStale; }

  private:
    static constexpr int kMostMoves = 16;
    static constexpr int kMostStale = 4096;

    int moves_ = 0;
    int stale_ = 0;
};

}  // namespace

// decide(glance) decides. If the base must be moved this moves it. While another thread does, or was interrupted in it
// by a signal handler that takes, the old base serves until twice kMaxGrowthUnits have accrued. After that the take is
// repeated as long as there is Patience, then denied.
template <class Decide>
Status Limiter::take_by(Decide decide) {
    Patience patience;
    return retry_until_current(*cell_, &time_, [&](const Glance &g) {
        const Decision d = decide(g);
        if (d.outgrown && patience.allows_move() && move_base(g.now)) return Status::stale;
        if (d.status == Status::stale && !patience.allows_stale()) return Status::denied;
        const bool doubtful = d.status == Status::denied && !g.ordered && !is_surely_denied(d, cell_->plan(g.word));
        if (doubtful) return Status::stale;
        if (d.status != Status::success) return d.status;
        return d.next == g.word || cell_->compare_exchange(g.word, d.next) ? Status::success : Status::stale;
    });
}

Status Limiter::take_now(double n) {
    return take_by([=, this](const Glance &g) { return decide(g.word, cell_->plan(g.word), n, g.now); });
}

Status Limiter::allow_fraction(double n) {
    return allow_at_once<PriceOfFraction>(n);
}

namespace {

uint64_t era_of(const PlanSlot &slot) {
    Plan plan{};
    plan.traits = slot.at<offsetof(Plan, traits)>();
    return plan.era();
}

}  // namespace

Status Limiter::preview(uint64_t counter, double n, Attempt *attempt) {
    const uint64_t undone = undos_->done();
    const uint64_t word = cell_->word();
    const PlanSlot &plan = cell_->plan(word);
    int64_t now = 0;
    Decision d;
    if (!is_in_sixteenths(n) || !time_.time_by_counter(counter, &now)) return preview_slowly(n, attempt);
    if (!decide_in_place<PriceInSixteenths>(word, plan, n, now, &d) || d.status != Status::success)
        return preview_slowly(n, attempt);
    *attempt = {word, d.next, d.cost, now, era_of(plan), 0, undone};
    return Status::success;
}

// The whole plan is read of a denial alone: it takes longer than the decision.
Status Limiter::preview_slowly(double n, Attempt *attempt) {
    const uint64_t undone = undos_->done();
    Patience patience;
    const auto stale = [&] {
        attempt->retry_after_ns = TBU_NEVER;
        return patience.allows_stale() ? Status::stale : Status::denied;
    };
    return retry_until_current(*cell_, &time_, [&](const Glance &g) {
        const PlanSlot &slot = cell_->plan(g.word);
        const uint64_t version = slot.version();
        const Decision d = decide(g.word, slot, n, g.now);
        *attempt = {g.word, d.next, d.cost, g.now, era_of(slot), 0, undone};
        if (!slot.is_still(version)) return stale();
        if (d.outgrown && patience.allows_move() && move_base(g.now)) return Status::stale;
        if (d.status == Status::stale) return stale();
        if (d.status != Status::denied) return d.status;
        if (!g.ordered && !is_surely_denied(d, slot)) return Status::stale;
        const Plan plan = slot.load();
        if (!slot.is_still(version)) return stale();
        attempt->retry_after_ns = time_to_grow(plan, d.at, d.rest, d.cost);
        return Status::denied;
    });
}

void Limiter::undo(const Attempt &taken) {
    Undo take(undos_, static_cast<uint64_t>(taken.cost), taken.next, taken.undone);
    Account::undo(&take, taken.era);
}

Status Limiter::take_slowly(double n) {
    const Status s = take_now(n);
    return observer() == nullptr ? s : recorded(s, n);
}

Status Limiter::take_after_loss(double n) {
    wait_after_loss();
    return take_slowly(n);
}

// The answer is computed while the compare-and-swap is under way.
Status Limiter::take(double n, Answer *answer) {
    if (!is_in_sixteenths(n)) return take_slowly(n, answer);
    Terms terms;
    const Status s = take_at_once<PriceInSixteenths>(
        n, [&](const Decision &d, const PlanSlot &plan, int64_t) { return terms.read(d, plan); },
        [](bool) { return Status::stale; });
    if (s == Status::stale) return take_slowly(n, answer);
    *answer = terms.answer();
    return s;
}

Status Limiter::take_slowly(double n, Answer *answer) {
    Terms terms;
    const Status s = take_by([&](const Glance &g) {
        const PlanSlot &plan = cell_->plan(g.word);
        const uint64_t version = plan.version();
        const Decision d = decide(g.word, plan, n, g.now);
        return terms.read(d, plan) && plan.is_still(version) ? d : refusal(Status::stale);
    });
    *answer = terms.answer();
    return recorded(s, n);
}

Status Limiter::take_up_to(double most, double *taken) {
    if (!is_whole(most)) return take_up_to_slowly(most, taken);
    const auto all = [](const Decision &d, const PlanSlot &, int64_t) { return d.status == Status::success; };
    const Status s = take_at_once<PriceInSixteenths>(most, all, [](bool) { return Status::stale; });
    if (s == Status::stale) return take_up_to_slowly(most, taken);
    *taken = most;
    return s;
}

// Less than asked for is granted only where that was all at that time.
Status Limiter::take_up_to_slowly(double most, double *taken) {
    const Status s = take_by([=, this](const Glance &g) {
        const PlanSlot &slot = cell_->plan(g.word);
        const Decision d = decide_up_to(g.word, slot, most, g.now);
        if (d.status != Status::success) return d;
        *taken = to_tokens(slot.at<offsetof(Plan, scale)>(), d.cost);
        const bool is_all = g.ordered && g.word == g.before && (d.cost != 0 || cell_->word() == g.before);
        return is_all || *taken + 1 > most ? d : refusal(Status::stale);
    });
    if (s == Status::success && *taken != 0) recorded(s, *taken);
    return s;
}

namespace {

// A reservation that is due at once.
Reservation reservation_at(double n, const PlanSlot &slot, int64_t now) {
    return {n, 0, now, Ticket{0, 0, era_of(slot)}.encoded()};
}

}  // namespace

Status Limiter::reserve(double n, int64_t max_wait_ns, Reservation *reservation) {
    if (!is_in_sixteenths(n)) return reserve_slowly(n, max_wait_ns, reservation);
    Reservation at_once;
    const Status s = take_at_once<PriceInSixteenths>(
        n,
        [&](const Decision &d, const PlanSlot &plan, int64_t now) {
            at_once = reservation_at(n, plan, now);
            return d.status == Status::success;
        },
        [&](bool) { return Status::stale; });
    if (s == Status::stale) return reserve_slowly(n, max_wait_ns, reservation);
    *reservation = at_once;
    return s;
}

Status Limiter::reserve_slowly(double n, int64_t max_wait_ns, Reservation *reservation) {
    Reservation at_once{};
    Status s = take_by([&](const Glance &g) {
        const PlanSlot &plan = cell_->plan(g.word);
        at_once = reservation_at(n, plan, g.now);
        return decide(g.word, plan, n, g.now);
    });
    if (s == Status::success) *reservation = at_once;
    if (s == Status::denied) s = reserve_ahead(n, max_wait_ns, reservation);
    return recorded(s, n);
}

// Moves the base of the plan to `now`; positions stay the same, so all decisions do. False if another thread holds the
// plan's lock. The word of a full bucket is raised to the position at which it is just full, so that it stays near.
bool Limiter::move_base(int64_t now) {
    if (!plan_lock_.try_lock()) return false;
    uint64_t word = 0;
    const Plan plan = cell_->read(&word);
    const Observation observed(word, plan, now);
    if (observed.balance.at.elapsed > plan.elapsed_limit) {
        cell_->prepare(word, rebased(plan, now));
        if (shared() != nullptr) images()->carry(image_of(word));
        while (!cell_->compare_exchange(word, next_generation(word_at(Observation(word, plan, now).spent(), word))))
            word = cell_->word();
    }
    plan_lock_.unlock();
    return true;
}

// ---- Looking ----

Observation Limiter::observe_plan() {
    uint64_t word = 0;
    Plan plan = cell_->read(&word);
    const int64_t now = time_.latest();
    if (shared() != nullptr && !is_possible(plan, now)) plan = closed_plan();
    return {word, plan, now};
}

// Moves the plan's base if it is not near.
Observation Limiter::observe() {
    for (;;) {
        const Observation observed = observe_plan();
        if (observed.balance.at.elapsed <= observed.plan.elapsed_limit) return observed;
        if (!move_base(observed.now)) platform::pause();
    }
}

double Limiter::available() {
    uint64_t word = 0;
    const Plan plan = cell_->read(&word);
    return to_tokens(plan.scale, balance(word, plan, time_.now()).available);
}

Status Limiter::time_until(double n, int64_t *ns) {
    uint64_t word = 0;
    const Plan plan = cell_->read(&word);
    int64_t cost = 0;
    if (const Status s = cost_of(plan, n, &cost); s != Status::success) return s;
    const Balance now = balance(word, plan, time_.now());
    *ns = time_to_grow(plan, now.at, now.available, cost);
    return Status::success;
}

}  // namespace tb
