#include "core/bucket/decide.h"

namespace tb {
namespace {

// Positions further apart than that cannot be told from each other in a word, so nothing may be stored.
bool is_beyond_word(const Balance &b) {
    return b.at.gain >= 2 * kMaxGrowthUnits;
}

// Wraps round where a plan that is damaged would let it overflow.
int64_t difference(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

Decision decide_units(uint64_t word, const Plan &plan, int64_t cost, int64_t now) {
    const Balance b = balance(word, plan, now);
    const bool outgrown = b.at.elapsed > plan.elapsed_limit;
    const int64_t rest = difference(b.available, cost);
    if (rest < 0) return {Status::denied, outgrown, word, b.available, cost, b.at};
    if (is_beyond_word(b)) return {Status::stale, outgrown, 0, 0, 0, b.at};
    return {Status::success, outgrown, word_at(b.accrued - static_cast<uint64_t>(rest), word), rest, cost, b.at};
}

}  // namespace

Status cost_of(const Plan &plan, double n, int64_t *cost) {
    if (!is_amount(n)) return Status::invalid_argument;
    const uint64_t units = to_units(plan.scale, n, TBU_UP);
    const double capacity = std::bit_cast<double>(plan.largest_amount);
    if (units > plan.capacity && (plan.is_closed() || n > capacity)) return Status::exceeds_capacity;
    *cost = static_cast<int64_t>(units < plan.capacity ? units : plan.capacity);
    return Status::success;
}

uint64_t units_used(const Plan &plan, double n) {
    int64_t cost = 0;
    return cost_of(plan, n, &cost) == Status::success ? static_cast<uint64_t>(cost) : to_units(plan.scale, n, TBU_UP);
}

Decision decide_slowly(uint64_t word, const PlanSlot &slot, double n, int64_t now) {
    const uint64_t version = slot.version();
    const Plan plan = slot.load();
    if (!slot.is_still(version)) return refusal(Status::stale);
    if (!is_amount(n)) return refusal(Status::invalid_argument);
    if (plan.is_closed()) return refusal(Status::closed);
    int64_t cost = 0;
    const Status s = cost_of(plan, n, &cost);
    if (s == Status::success) return decide_units(word, plan, cost, now);
    const Balance b = balance(word, plan, now);
    return {s, false, 0, b.available, 0, b.at};
}

Decision decide_up_to(uint64_t word, const PlanSlot &slot, double most, int64_t now) {
    if (!is_amount(most)) return refusal(Status::invalid_argument);
    const uint64_t version = slot.version();
    const double whole = most < 9e15 ? static_cast<double>(static_cast<int64_t>(most)) : most;
    const Decision all = decide(word, slot, whole, now);
    const bool settled = all.status != Status::denied && all.status != Status::exceeds_capacity;
    if (settled && whole != 0) return all;
    const Plan plan = slot.load();
    if (!slot.is_still(version)) return refusal(Status::stale);
    if (plan.is_closed()) return refusal(Status::closed);
    const int64_t scale = static_cast<int64_t>(plan.scale);
    const bool has_none = whole == 0 || all.rest < 0 || scale <= 0;  // the last: of a plan that is damaged
    const int64_t tokens = has_none ? 0 : all.rest / scale;
    if (tokens == 0) return {Status::success, false, word, all.rest, 0, all.at};
    return decide_units(word, plan, tokens * scale, now);
}

}  // namespace tb
