// A limit as a script on a server counts it, with doubles alone: every number is whole and below 2^53.
//
// P units accrue in Q microseconds: by the time t, in microseconds, floor(t * P / Q). Positions count modulo W, the
// largest multiple k * P that is at most 2^52, times modulo k * Q, so that both turn over at once; if k * Q is above
// 2^53 neither does before the year 2255. r = t modulo Q keeps r * P below P * Q, which is at most 2^52.
//
// Three capacities, thrice the most debt, and what accrues in 10 s, in which an expired key is surely gone, are at most
// W in all. So a difference of two positions is known from its value modulo W.
#ifndef TOKENBUCKET_CORE_REMOTE_REMOTE_LIMIT_H
#define TOKENBUCKET_CORE_REMOTE_REMOTE_LIMIT_H

#include <cstdint>

#include "core/bucket/limit.h"

namespace tb {

struct RemoteLimit {
    uint64_t scale;     // units per token
    int64_t units;      // P
    int64_t period_us;  // Q
    int64_t capacity;   // units
    int64_t most_debt;  // units: what accrues in max_wait_us, rounded up
    int64_t max_wait_us;
};

// Chooses the units: 10^-9 token, or the next power of ten that fits, refined so that the rate is a whole number of
// units per microsecond where that fits. out_of_range: outside the ranges of tb_create, no units fit, or a bucket that
// owes what accrues in max_wait_ns needs more than 2^53 microseconds to be full. *limit is written on success only.
Status make_remote_limit(const LimitSpec &spec, int64_t max_wait_ns, RemoteLimit *limit);

// The microseconds until `need` units have accrued, where fraction / Q of one has already. 0 <= need <= 2^51.
int64_t microseconds_until(const RemoteLimit &limit, int64_t need, int64_t fraction);

}  // namespace tb

#endif
