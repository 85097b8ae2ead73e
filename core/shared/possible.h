// Plans read from memory that others may have damaged.
#ifndef TOKENBUCKET_CORE_SHARED_POSSIBLE_H
#define TOKENBUCKET_CORE_SHARED_POSSIBLE_H

#include <cstdint>

#include "core/bucket/plan.h"

namespace tb {

// Has the plan units, a capacity and amounts that a limit can have, and a time for its base?
bool has_possible_limit(const Plan &plan);
// Can a bucket have that plan at that time? Then all that is computed by it is defined and ends.
bool is_possible(const Plan &plan, int64_t now);
// A plan by which everything is refused.
Plan closed_plan();

}  // namespace tb

#endif
