#include "core/shared/possible.h"

#include <bit>

namespace tb {

bool has_possible_limit(const Plan &plan) {
    constexpr uint64_t kMostPlaces = 9;
    const bool has_units = plan.scale != 0 && plan.scale < uint64_t{1} << 53 && plan.refinement() != 0 &&
                           plan.places() <= kMostPlaces &&
                           plan.scale == tbu_power_of_ten(static_cast<int>(plan.places())) * plan.refinement();
    const bool has_capacity = plan.capacity != 0 && plan.capacity <= kMaxCapacityUnits;
    const bool has_amount =
        plan.is_closed() ? plan.largest_amount == 0 : is_amount(std::bit_cast<double>(plan.largest_amount));
    return has_units && has_capacity && has_amount && plan.base_ns >= 0;
}

bool is_possible(const Plan &plan, int64_t now) {
    constexpr uint64_t kMostElapsed = uint64_t{1} << 62;
    constexpr uint64_t kLeastElapsed = uint64_t{1} << 19;  // nanoseconds; no scale and rate make it shorter
    const bool has_time =
        plan.base_ns <= now && plan.elapsed_limit >= kLeastElapsed && plan.elapsed_limit <= kMostElapsed;
    const bool has_rate = tbu_gain(&plan.rate, {0, {0, 0}}, plan.elapsed_limit) <= kMaxGrowthUnits;
    return has_possible_limit(plan) && has_time && has_rate;
}

Plan closed_plan() {
    Limit limit;
    make_limit({1, 1, 1000000000}, &limit);
    Plan plan = make_plan(limit, 0, {0, {0, 0}});
    plan.close();
    return plan;
}

}  // namespace tb
