// Several limits in one decision: all members grant, or nothing is taken.
//
// All members are looked at first; if one refuses, but for a new key for which there is no room, nothing is touched.
// Else each is taken by a compare-and-swap from what was seen. Where another thread was faster that member is looked at
// again; if it then refuses, what was taken from the others is given back, but for what has overflowed since. No member
// ever grants more than alone. Until that is given back, another thread may see fewer tokens than there are.
#ifndef TOKENBUCKET_CORE_COMPOSE_COMPOSE_H
#define TOKENBUCKET_CORE_COMPOSE_COMPOSE_H

#include <cstdint>

#include "core/compose/member.h"
#include "core/compose/refusal.h"

namespace tb {

inline constexpr int kMostMembers = 16;

struct Members {
    int count = 0;
    Member of[kMostMembers];
};

// These write *refusal if the answer is_refusal().

Status allow_all(const Members &members, Refusal *refusal);
// The same, of which nothing is counted until it is recorded.
Status take_all(const Members &members, Refusal *refusal);
void record(const Members &members, Status s, const Refusal &refusal);

// Reserves from each, in order; what is reserved may be used when all are due, in *wait_ns.
Status reserve_all(const Members &members, int64_t max_wait_ns, Reservation *reservations, int64_t *wait_ns,
                   Refusal *refusal);

// Gives all back while one of them is not due.
void cancel_all(const Members &members, const Reservation *reservations);

}  // namespace tb

#endif
