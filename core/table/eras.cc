#include "core/table/eras.h"

#include "core/shared/possible.h"

namespace tb {
namespace {

constexpr uint64_t kEraUnits = uint64_t{1} << kEraUnitBits;
constexpr uint64_t kMaxElapsed = uint64_t{1} << 62;

// The nanoseconds until the era of the plan's base ends, less one.
uint64_t rest_of_era(const Plan &plan) {
    const int64_t ns = tbu_time_to(&plan.rate, plan.base.fraction, kEraUnits - plan.base.units % kEraUnits);
    return ns == TBU_NEVER ? kMaxElapsed : static_cast<uint64_t>(ns) - 1;
}

}  // namespace

Plan in_era(const Plan &plan, int64_t now) {
    Plan next = rebased(plan, now);
    if (now > plan.base_ns) {
        const tbu_wide gain = tbu_gain_wide(&plan.rate, plan.base, static_cast<uint64_t>(now - plan.base_ns));
        const tbu_wide since_era = tbu_add64(gain, plan.base.units % kEraUnits);
        const uint64_t eras = tbu_shr(since_era, kEraUnitBits).lo;
        next.set_era((plan.era() + eras) & Head::kEraMask);
    }
    next.elapsed_limit = rest_of_era(next);
    return next;
}

Plan plan_of_table(const Limit &limit, int64_t now) {
    return in_era(make_plan(limit, now, {0, {0, 0}}), now);
}

bool is_possible_in_table(const Plan &plan) {
    return has_possible_limit(plan) && plan.capacity <= kMaxTableCapacityUnits && plan.rate.whole < kMaxTableGrowth;
}

}  // namespace tb
