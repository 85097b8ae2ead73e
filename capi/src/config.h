// tb_config in all its sizes: programs older or newer than this library pass shorter or longer ones.
#ifndef TOKENBUCKET_CAPI_SRC_CONFIG_H
#define TOKENBUCKET_CAPI_SRC_CONFIG_H

#include <cstddef>

#include "capi/include/tokenbucket.h"
#include "core/bucket/limit.h"

namespace tb::capi {

inline constexpr std::size_t kLargestStruct = 4096;

// What a bucket does beside its limit.
struct Manner {
    int64_t max_waiters;
    uint32_t flags;
    tb_event_fn on_event;
    void *event_user;
};

struct Request {
    Limit limit;
    int64_t initial_units;
    tb_clock *clock;
    Manner manner;
};

// *request is written on success only.
Status read_config(const tb_config *config, Request *request);
Status write_config(const Limit &limit, tb_clock *clock, const Manner &manner, tb_config *config);

// Gives up one hold on a clock; NULL is none.
void release_clock(tb_clock *clock);

}  // namespace tb::capi

#endif
