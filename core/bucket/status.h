// The core's results. capi/src asserts that the numbers are those of tb_status; the last two never leave the
// library. stale: another thread changed the bucket meanwhile, the caller reads the clock again and repeats the call.
// waiting: not decided yet.
#ifndef TOKENBUCKET_CORE_BUCKET_STATUS_H
#define TOKENBUCKET_CORE_BUCKET_STATUS_H

#include <cstdint>

namespace tb {

enum class Status : int32_t {
    success = 0,
    denied = 1,
    timed_out = 2,
    exceeds_capacity = 3,
    closed = 4,
    interrupted = 5,
    queue_full = 6,
    invalid_argument = -1,
    out_of_range = -2,
    out_of_memory = -3,
    unsupported = -4,
    stale = -1000,
    waiting = -1001,
};

}  // namespace tb

#endif
