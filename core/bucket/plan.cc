#include "core/bucket/plan.h"

namespace tb {
namespace {

bool is_whole(const tbu_rate &rate, const tbu_position &base) {
    return (rate.fraction.hi | rate.fraction.lo | base.fraction.hi | base.fraction.lo) == 0;
}

}  // namespace

Plan make_plan(const Limit &limit, int64_t base_ns, tbu_position base) {
    Plan plan{};
    plan.base_ns = base_ns;
    plan.direct_limit = is_whole(limit.rate, base) ? limit.elapsed_limit + 1 : 0;
    plan.whole8 = limit.rate.whole << kGenerationBits;
    plan.base8 = base.units << kGenerationBits;
    plan.capacity8 = static_cast<int64_t>(limit.capacity_units << kGenerationBits);
    plan.watched_bits = std::bit_cast<uint64_t>(static_cast<double>(static_cast<int64_t>(limit.spec.capacity)));
    plan.whole_bits = plan.watched_bits;
    plan.scale8 = limit.scale << kGenerationBits;
    plan.base = base;
    plan.limit = limit;
    return plan;
}

View observe(uint64_t word, const Plan &plan, int64_t now) {
    View view{word, plan, now > plan.base_ns ? now : plan.base_ns, 0, 0, 0};
    view.elapsed = static_cast<uint64_t>(view.at_ns) - static_cast<uint64_t>(plan.base_ns);
    view.gain = tbu_gain(&plan.limit.rate, plan.base, view.elapsed);
    const int64_t held = position_difference(plan.base.units, word >> kGenerationBits);
    const uint64_t room = static_cast<uint64_t>(view.capacity() - held);
    view.available = view.gain >= room ? view.capacity() : held + static_cast<int64_t>(view.gain);
    return view;
}

bool is_passed(const View &view, uint64_t position) {
    const int64_t from_base = position_difference(position, view.plan.base.units);
    return from_base < 0 || static_cast<uint64_t>(from_base) < view.gain;
}

uint64_t word_with_rest(const View &view, int64_t rest) {
    const uint64_t spent = view.accrued() - static_cast<uint64_t>(rest);
    return (spent << kGenerationBits) | (view.word & kGenerationMask);
}

int64_t time_to_grow(const View &view, int64_t rest, int64_t target) {
    if (rest >= target) return 0;
    const uint64_t growth = view.gain + static_cast<uint64_t>(target - rest);
    const int64_t elapsed = tbu_time_to(&view.plan.limit.rate, view.plan.base, growth);
    return elapsed == TBU_NEVER ? TBU_NEVER : elapsed - static_cast<int64_t>(view.elapsed);
}

Plan rebased(const View &view) {
    const Plan &plan = view.plan;
    Plan next = make_plan(plan.limit, view.at_ns, tbu_advance(&plan.limit.rate, plan.base, view.elapsed));
    next.epoch = plan.epoch;
    next.epoch_began_ns = plan.epoch_began_ns;
    next.closed = plan.closed;
    return next;
}

int64_t rescale(int64_t units, uint64_t from_scale, uint64_t to_scale) {
    const bool negative = units < 0;
    const uint64_t magnitude = negative ? 0 - static_cast<uint64_t>(units) : static_cast<uint64_t>(units);
    const tbu_quotient q = tbu_divide(tbu_mul(magnitude, to_scale), {0, from_scale});
    const bool round_away = negative && (q.remainder.hi | q.remainder.lo) != 0;
    const tbu_wide whole = tbu_add64(q.quotient, round_away ? 1 : 0);
    if (whole.hi != 0 || whole.lo > static_cast<uint64_t>(INT64_MAX)) return negative ? INT64_MIN : INT64_MAX;
    return negative ? -static_cast<int64_t>(whole.lo) : static_cast<int64_t>(whole.lo);
}

}  // namespace tb
