// Which member refuses a decision for all.
#ifndef TOKENBUCKET_CORE_COMPOSE_REFUSAL_H
#define TOKENBUCKET_CORE_COMPOSE_REFUSAL_H

#include <cstdint>

#include "core/bucket/limit.h"
#include "core/status.h"

namespace tb {

// The member that refuses; of several the one that takes longest to grant.
struct Refusal {
    int member = 0;
    int64_t retry_after_ns = 0;  // TBU_NEVER: it never will
};

// Does the answer come from one of the members?
inline bool is_refusal(Status s) {
    return s == Status::denied || s == Status::timed_out || s == Status::exceeds_capacity || s == Status::closed ||
           s == Status::queue_full || s == Status::table_full;
}

// The answer for all, of those seen so far: the first that is an error, else the one that takes longest.
struct Answers {
    Status status = Status::success;
    Refusal refusal;

    void add(Status s, int member, int64_t retry_after_ns) {
        const bool is_first = status == Status::success;
        if (s == Status::success || (!is_first && !is_refusal(status))) return;
        if (!is_first && is_refusal(s) && retry_after_ns <= refusal.retry_after_ns) return;
        status = s;
        refusal = {member, retry_after_ns};
    }
};

}  // namespace tb

#endif
