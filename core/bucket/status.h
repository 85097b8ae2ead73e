// The core's results. capi/src asserts that the numbers are those of tb_status; `stale` never leaves the library:
// another thread changed the bucket meanwhile, the caller reads the clock again and repeats the call.
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
    invalid_argument = -1,
    out_of_range = -2,
    unsupported = -4,
    stale = -1000,
};

}  // namespace tb

#endif
