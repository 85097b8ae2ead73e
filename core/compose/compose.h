// Several limits in one decision: all members grant, or nothing is taken.
//
// All members are looked at first; if one refuses nothing is touched. Else each is taken by a compare-and-swap from
// what was seen. Where another thread was faster that member is looked at again; if it then refuses, what was taken
// from the others is given back, but for what has overflowed since. No member ever grants more than alone. Until that
// is given back, another thread may see fewer tokens than there are.
#ifndef TOKENBUCKET_CORE_COMPOSE_COMPOSE_H
#define TOKENBUCKET_CORE_COMPOSE_COMPOSE_H

#include <cstdint>

#include "core/compose/member.h"

namespace tb {

inline constexpr int kMostMembers = 16;

// The member that refuses; of several the one that takes longest to grant.
struct Refusal {
    int member = 0;
    int64_t retry_after_ns = 0;  // TBU_NEVER: it never will
};

struct Members {
    int count = 0;
    Member of[kMostMembers];
};

// *refusal is written if the answer is denied, exceeds_capacity, closed or table_full.
Status allow_all(const Members &members, Refusal *refusal);

// Reserves from each, in order; what is reserved may be used when all are due, in *wait_ns. *refusal is written if the
// answer is timed_out, exceeds_capacity, closed or table_full.
Status reserve_all(const Members &members, int64_t max_wait_ns, Reservation *reservations, int64_t *wait_ns,
                   Refusal *refusal);

// Gives all back while one of them is not due.
void cancel_all(const Members &members, const Reservation *reservations);

}  // namespace tb

#endif
