// What cgo.go calls. Two rules keep a call free of allocations: results come back by value, since a Go variable that C
// writes to lives on the heap; and a handle is passed as a number, since cgo boxes a pointer to an opaque type to check
// it. With no pointer in any argument there is nothing for `#cgo noescape` to keep off the heap, and `#cgo nocallback`
// would add two calls to each. Nor may it be used: every call that can move waiters can call tbgoWake.
#ifndef TOKENBUCKET_GO_SHIM_H
#define TOKENBUCKET_GO_SHIM_H

#ifdef __has_include
#if !__has_include(<tokenbucket.h>)
#error "no tokenbucket.h where pkg-config says: install it again, or mend PKG_CONFIG_PATH; then: go clean -cache"
#endif
#endif
#include <tokenbucket.h>

typedef uintptr_t tbgo_bucket;
typedef uintptr_t tbgo_clock;

typedef struct {
    tb_status status;
    uintptr_t value;
} tbgo_handle_result;

typedef struct {
    tb_status status;
    double value;
} tbgo_double_result;

typedef struct {
    tb_status status;
    int64_t value;
} tbgo_int64_result;

typedef struct {
    tb_status status;
    uint64_t number;
    int64_t wait_ns;
} tbgo_waiter_result;

typedef struct {
    tb_status status;
    tb_reservation value;
} tbgo_reservation_result;

typedef struct {
    tb_status status;
    tb_stats value;
} tbgo_stats_result;

typedef struct {
    tb_status status;
    int64_t count;
    int64_t next_due_ns;
} tbgo_waiters_result;

// In Go.
extern void tbgoWake(void *user, uint64_t tag);

static inline tb_config tbgo_config(double capacity, double tokens, int64_t period_ns, double initial, uint32_t flags,
                                    int64_t max_waiters, int64_t max_lateness_ns, tbgo_clock clock) {
    tb_config config;
    tb_config_init(&config, sizeof config);
    config.capacity = capacity;
    config.rate_tokens = tokens;
    config.rate_period_ns = period_ns;
    config.initial_tokens = initial;
    config.flags = flags;
    config.max_waiters = max_waiters;
    config.max_lateness_ns = max_lateness_ns;
    config.on_wake = tbgoWake;
    config.clock = (tb_clock *)clock;
    return config;
}

static inline tb_config_fault tbgo_config_check(tb_config config) {
    tb_config_fault fault = {NULL, NULL};
    tb_config_check(&config, &fault);
    return fault;
}

static inline tbgo_handle_result tbgo_create(tb_config config) {
    tb_bucket *bucket = NULL;
    tbgo_handle_result r = {TB_SUCCESS, 0};
    r.status = tb_create_with(&config, &bucket);
    r.value = (uintptr_t)bucket;
    return r;
}

static inline tb_status tbgo_close(tbgo_bucket b) {
    return tb_close((tb_bucket *)b);
}

static inline void tbgo_destroy(tbgo_bucket b) {
    tb_destroy((tb_bucket *)b);
}

static inline tb_status tbgo_allow(tbgo_bucket b, double n) {
    return tb_allow((tb_bucket *)b, n);
}

static inline tb_decision tbgo_take(tbgo_bucket b, double n) {
    tb_decision d = {0};
    d.status = tb_take((tb_bucket *)b, n, &d);
    return d;
}

static inline tbgo_double_result tbgo_take_up_to(tbgo_bucket b, double most) {
    tbgo_double_result r = {0};
    r.status = tb_take_up_to((tb_bucket *)b, most, &r.value);
    return r;
}

static inline tbgo_waiter_result tbgo_enqueue(tbgo_bucket b, double n, int64_t timeout_ns, int32_t priority,
                                              uint64_t tag) {
    tbgo_waiter_result r = {0};
    r.status = tb_enqueue((tb_bucket *)b, n, timeout_ns, priority, tag, &r.number, &r.wait_ns);
    return r;
}

static inline tbgo_int64_result tbgo_waiter_check(tbgo_bucket b, uint64_t waiter) {
    tbgo_int64_result r = {0};
    r.status = tb_waiter_check((tb_bucket *)b, waiter, &r.value);
    return r;
}

static inline tb_status tbgo_waiter_leave(tbgo_bucket b, uint64_t waiter) {
    return tb_waiter_leave((tb_bucket *)b, waiter);
}

static inline tbgo_reservation_result tbgo_reserve(tbgo_bucket b, double n, int64_t max_wait_ns) {
    tbgo_reservation_result r = {0};
    r.status = tb_reserve((tb_bucket *)b, n, max_wait_ns, &r.value);
    return r;
}

static inline tb_status tbgo_cancel(tbgo_bucket b, tb_reservation reservation) {
    return tb_cancel((tb_bucket *)b, &reservation);
}

static inline tb_status tbgo_settle(tbgo_bucket b, tb_reservation reservation, double actual) {
    return tb_settle((tb_bucket *)b, &reservation, actual);
}

static inline tbgo_int64_result tbgo_charge(tbgo_bucket b, double n) {
    tbgo_int64_result r = {0};
    r.status = tb_charge((tb_bucket *)b, n, &r.value);
    return r;
}

static inline tb_status tbgo_refund(tbgo_bucket b, double n) {
    return tb_refund((tb_bucket *)b, n);
}

static inline tb_status tbgo_reset(tbgo_bucket b, double tokens) {
    return tb_reset((tb_bucket *)b, tokens);
}

static inline tb_status tbgo_set_tokens(tbgo_bucket b, double tokens) {
    return tb_set_tokens((tb_bucket *)b, tokens);
}

static inline tb_status tbgo_set_rate(tbgo_bucket b, double tokens_per_second) {
    return tb_set_rate((tb_bucket *)b, tokens_per_second);
}

static inline tb_status tbgo_set_capacity(tbgo_bucket b, double capacity) {
    return tb_set_capacity((tb_bucket *)b, capacity);
}

static inline tbgo_double_result tbgo_available(tbgo_bucket b) {
    tbgo_double_result r = {0};
    r.status = tb_available((tb_bucket *)b, &r.value);
    return r;
}

static inline tbgo_int64_result tbgo_time_until(tbgo_bucket b, double n) {
    tbgo_int64_result r = {0};
    r.status = tb_time_until((tb_bucket *)b, n, &r.value);
    return r;
}

// Without a bucket: a limit of 0 tokens per second.
static inline tb_config tbgo_get_limit(tbgo_bucket b) {
    tb_config config;
    tb_config_init(&config, sizeof config);
    tb_get_limit((tb_bucket *)b, &config);
    return config;
}

static inline tbgo_stats_result tbgo_get_stats(tbgo_bucket b) {
    tbgo_stats_result r = {0};
    r.value.struct_size = sizeof r.value;
    r.status = tb_get_stats((tb_bucket *)b, &r.value);
    return r;
}

static inline tbgo_handle_result tbgo_clock_create(int64_t start_ns) {
    tb_clock *clock = NULL;
    tbgo_handle_result r = {TB_SUCCESS, 0};
    r.status = tb_manual_clock_create(start_ns, &clock);
    r.value = (uintptr_t)clock;
    return r;
}

static inline void tbgo_clock_destroy(tbgo_clock c) {
    tb_clock_destroy((tb_clock *)c);
}

static inline tb_status tbgo_clock_advance(tbgo_clock c, int64_t duration_ns) {
    return tb_manual_clock_advance((tb_clock *)c, duration_ns);
}

static inline tb_status tbgo_clock_set(tbgo_clock c, int64_t now_ns) {
    return tb_manual_clock_set((tb_clock *)c, now_ns);
}

static inline tbgo_waiters_result tbgo_clock_waiters(tbgo_clock c) {
    tbgo_waiters_result r = {0};
    r.status = tb_manual_clock_waiters((tb_clock *)c, &r.count, &r.next_due_ns);
    return r;
}

#endif
