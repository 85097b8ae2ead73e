// What cgo_shared.go calls. See shim.h; opening may allocate.
#ifndef TOKENBUCKET_GO_SHIM_SHARED_H
#define TOKENBUCKET_GO_SHIM_SHARED_H

#include "shim_table.h"

typedef struct {
    tb_status status;
    int32_t fault;
    uintptr_t value;
} tbgo_shared_result;

static inline tbgo_shared_result tbgo_shared_open(tb_config config, const char *name, uint32_t flags) {
    tb_bucket *bucket = NULL;
    tbgo_shared_result r = {TB_SUCCESS, 0, 0};
    r.status = tb_shared_open(&config, name, flags, &bucket, &r.fault);
    r.value = (uintptr_t)bucket;
    return r;
}

static inline tbgo_shared_result tbgo_shared_table_open(tb_config limit, tb_table_config config, const char *name,
                                                        uint32_t flags) {
    tb_table *table = NULL;
    tbgo_shared_result r = {TB_SUCCESS, 0, 0};
    r.status = tb_shared_table_open(&limit, &config, name, flags, &table, &r.fault);
    r.value = (uintptr_t)table;
    return r;
}

static inline tbgo_shared_result tbgo_shared_remove(const char *name) {
    tbgo_shared_result r = {TB_SUCCESS, 0, 0};
    r.status = tb_shared_remove(name, &r.fault);
    return r;
}

#endif
