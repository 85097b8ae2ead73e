// The result of every operation of the core. capi/src asserts that the numbers are those of tb_status. The last one
// never leaves the library: stale, the operation must be repeated with a new reading of the word and the clock. waiting
// is TB_PENDING: the request stands in the queue.
#ifndef TOKENBUCKET_CORE_STATUS_H
#define TOKENBUCKET_CORE_STATUS_H

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
    table_full = 7,
    waiting = 8,
    invalid_argument = -1,
    out_of_range = -2,
    out_of_memory = -3,
    unsupported = -4,
    system = -5,
    mismatch = -7,
    stale = -1000,
};

}  // namespace tb

#endif
