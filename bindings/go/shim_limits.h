// What cgo_limits.go calls, by the rules of shim.h. Members are read from memory of Go without a pointer in it, and
// keys stand one behind the other, since C may not be given memory of Go that holds pointers to more of it.
#ifndef TOKENBUCKET_GO_SHIM_LIMITS_H
#define TOKENBUCKET_GO_SHIM_LIMITS_H

#include "shim_table.h"

typedef uintptr_t tbgo_waiter_all;

// A bucket or a table; the other one is 0.
typedef struct {
    tbgo_bucket bucket;
    tbgo_table table;
    size_t key_size;
    double n;
} tbgo_member;

typedef struct {
    tb_status status;
    tb_refusal refusal;  // of member -1 if none refused
    tbgo_waiter_all waiter;
    int64_t wait_ns;
} tbgo_all_result;

// `to` has room for TB_MAX_MEMBERS, and count is no more.
static inline void tbgo_read_members(tb_member *to, const tbgo_member *from, size_t count, const char *keys) {
    for (size_t i = 0; i < count; ++i) {
        const tb_member m = {(tb_bucket *)from[i].bucket, (tb_table *)from[i].table, keys, from[i].key_size, from[i].n};
        to[i] = m;
        keys += from[i].key_size;
    }
}

static inline tbgo_all_result tbgo_none_refused(void) {
    const tbgo_all_result r = {TB_SUCCESS, {-1, 0, 0}, 0, 0};
    return r;
}

static inline tbgo_all_result tbgo_allow_all(const tbgo_member *members, size_t count, const char *keys) {
    tb_member all[TB_MAX_MEMBERS];
    tbgo_all_result r = tbgo_none_refused();
    tbgo_read_members(all, members, count, keys);
    r.status = tb_allow_all(all, count, &r.refusal);
    return r;
}

static inline tbgo_all_result tbgo_reserve_all(const tbgo_member *members, size_t count, const char *keys,
                                               int64_t max_wait_ns, tb_reservation *reservations) {
    tb_member all[TB_MAX_MEMBERS];
    tbgo_all_result r = tbgo_none_refused();
    tbgo_read_members(all, members, count, keys);
    r.status = tb_reserve_all(all, count, max_wait_ns, reservations, &r.wait_ns, &r.refusal);
    return r;
}

static inline tb_status tbgo_cancel_all(const tbgo_member *members, size_t count, const char *keys,
                                        tb_reservation *reservations) {
    tb_member all[TB_MAX_MEMBERS];
    tbgo_read_members(all, members, count, keys);
    return tb_cancel_all(all, count, reservations);
}

static inline tbgo_all_result tbgo_enqueue_all(const tbgo_member *members, size_t count, const char *keys,
                                               int64_t timeout_ns, int32_t priority, uint64_t tag) {
    tb_member all[TB_MAX_MEMBERS];
    tb_waiter_all *waiter = NULL;
    tbgo_all_result r = tbgo_none_refused();
    tbgo_read_members(all, members, count, keys);
    r.status = tb_enqueue_all(all, count, timeout_ns, priority, tag, &waiter, &r.wait_ns, &r.refusal);
    r.waiter = (uintptr_t)waiter;
    return r;
}

static inline tbgo_all_result tbgo_waiter_all_check(tbgo_waiter_all w) {
    tbgo_all_result r = tbgo_none_refused();
    r.status = tb_waiter_all_check((tb_waiter_all *)w, &r.wait_ns, &r.refusal);
    return r;
}

static inline void tbgo_waiter_all_leave(tbgo_waiter_all w) {
    tb_waiter_all_leave((tb_waiter_all *)w);
}

#endif
