// What cgo_told.go calls. See shim.h.
#ifndef TOKENBUCKET_GO_SHIM_TOLD_H
#define TOKENBUCKET_GO_SHIM_TOLD_H

#include "shim.h"

static inline int64_t tbgo_told_now(void *user) {
    return __atomic_load_n((int64_t *)user, __ATOMIC_SEQ_CST);
}

// *now is written by others, and outlives the clock and its buckets.
static inline tbgo_handle_result tbgo_told_clock_create(int64_t *now) {
    tb_clock *clock = NULL;
    tbgo_handle_result r = {TB_SUCCESS, 0};
    r.status = tb_callback_clock_create(tbgo_told_now, now, &clock);
    r.value = (uintptr_t)clock;
    return r;
}

#endif
