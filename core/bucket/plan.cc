#include "core/bucket/plan.h"

#include <bit>

namespace tb {

Plan make_plan(const Limit &limit, int64_t base_ns, tbu_position base) {
    Plan plan{};
    plan.base_ns = base_ns;
    plan.base = base;
    plan.traits = limit.units.refinement | uint64_t{limit.units.places} << 16;
    return relimited(plan, limit);
}

Plan relimited(const Plan &plan, const Limit &limit) {
    Plan next = plan;
    next.rate = limit.rate;
    next.elapsed_limit = limit.elapsed_limit;
    next.scale = limit.units.scale;
    next.capacity = limit.capacity;
    next.largest_amount = plan.is_closed() ? 0 : std::bit_cast<uint64_t>(limit.capacity_tokens);
    return next;
}

void Plan::close() {
    traits |= uint64_t{1} << 20;
    largest_amount = 0;
}

Balance balance(uint64_t word, const Plan &plan, int64_t now) {
    Balance b{};
    if (now > plan.base_ns) b.at.elapsed = static_cast<uint64_t>(now) - static_cast<uint64_t>(plan.base_ns);
    b.at.gain = tbu_gain(&plan.rate, plan.base, b.at.elapsed);
    const tbu_position accrued = tbu_advance(&plan.rate, plan.base, b.at.elapsed);
    b.at.fraction = accrued.fraction;
    b.accrued = accrued.units;
    const int64_t at_base = word_difference(word_at(plan.base.units, 0), word);
    const int64_t capacity = static_cast<int64_t>(plan.capacity);
    const uint64_t room = plan.capacity - static_cast<uint64_t>(at_base);
    const uint64_t held = static_cast<uint64_t>(at_base) + b.at.gain;
    b.available = at_base >= capacity || b.at.gain >= room ? capacity : static_cast<int64_t>(held);
    return b;
}

tbu_position position_at(const Plan &plan, int64_t now) {
    const uint64_t elapsed = static_cast<uint64_t>(now) - static_cast<uint64_t>(plan.base_ns);
    return tbu_advance(&plan.rate, plan.base, elapsed);
}

Plan rebased(const Plan &plan, int64_t now) {
    Plan next = plan;
    if (now <= plan.base_ns) return next;
    next.base = position_at(plan, now);
    next.base_ns = now;
    return next;
}

}  // namespace tb
