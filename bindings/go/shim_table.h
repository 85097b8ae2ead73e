// What cgo_table.go calls, by the rules of shim.h. A key is a pointer to char, which cgo passes without a check; what
// it points to escapes, and a string that has been on the heap before costs nothing more.
#ifndef TOKENBUCKET_GO_SHIM_TABLE_H
#define TOKENBUCKET_GO_SHIM_TABLE_H

#include "shim.h"

typedef uintptr_t tbgo_table;

typedef struct {
    tb_status status;
    tb_table_stats value;
} tbgo_table_stats_result;

typedef struct {
    tb_status status;
    size_t size;
    char key[TB_ADDRESS_KEY_SIZE];
} tbgo_address_result;

static inline tb_table_config tbgo_table_config(int64_t max_keys, int64_t max_bytes, int32_t when_full) {
    tb_table_config config;
    tb_table_config_init(&config, sizeof config);
    config.max_keys = max_keys;
    config.max_bytes = max_bytes;
    config.when_full = when_full;
    return config;
}

static inline tb_config_fault tbgo_table_config_check(tb_config limit, tb_table_config config) {
    tb_config_fault fault = {NULL, NULL};
    tb_table_config_check(&limit, &config, &fault);
    return fault;
}

static inline tbgo_handle_result tbgo_table_create(tb_config limit, tb_table_config config) {
    tb_table *table = NULL;
    tbgo_handle_result r = {TB_SUCCESS, 0};
    r.status = tb_table_create_with(&limit, &config, &table);
    r.value = (uintptr_t)table;
    return r;
}

static inline tb_status tbgo_table_close(tbgo_table t) {
    return tb_table_close((tb_table *)t);
}

static inline void tbgo_table_destroy(tbgo_table t) {
    tb_table_destroy((tb_table *)t);
}

static inline tb_status tbgo_table_allow(tbgo_table t, const char *key, size_t size, double n) {
    return tb_table_allow((tb_table *)t, key, size, n);
}

static inline tb_decision tbgo_table_take(tbgo_table t, const char *key, size_t size, double n) {
    tb_decision d = {0};
    d.status = tb_table_take((tb_table *)t, key, size, n, &d);
    return d;
}

static inline tbgo_double_result tbgo_table_take_up_to(tbgo_table t, const char *key, size_t size, double most) {
    tbgo_double_result r = {0};
    r.status = tb_table_take_up_to((tb_table *)t, key, size, most, &r.value);
    return r;
}

static inline tb_status tbgo_table_allow_many(tbgo_table t, const char *keys, const size_t *sizes,
                                              const double *amounts, size_t count, tb_status *answers) {
    return tb_table_allow_many((tb_table *)t, keys, sizes, amounts, count, answers);
}

static inline tbgo_waiter_result tbgo_table_enqueue(tbgo_table t, const char *key, size_t size, double n,
                                                    int64_t timeout_ns, int32_t priority, uint64_t tag) {
    tbgo_waiter_result r = {0};
    r.status = tb_table_enqueue((tb_table *)t, key, size, n, timeout_ns, priority, tag, &r.number, &r.wait_ns);
    return r;
}

static inline tbgo_int64_result tbgo_table_waiter_check(tbgo_table t, const char *key, size_t size, uint64_t waiter) {
    tbgo_int64_result r = {0};
    r.status = tb_table_waiter_check((tb_table *)t, key, size, waiter, &r.value);
    return r;
}

static inline tb_status tbgo_table_waiter_leave(tbgo_table t, const char *key, size_t size, uint64_t waiter) {
    return tb_table_waiter_leave((tb_table *)t, key, size, waiter);
}

static inline tbgo_reservation_result tbgo_table_reserve(tbgo_table t, const char *key, size_t size, double n,
                                                         int64_t max_wait_ns) {
    tbgo_reservation_result r = {0};
    r.status = tb_table_reserve((tb_table *)t, key, size, n, max_wait_ns, &r.value);
    return r;
}

static inline tb_status tbgo_table_cancel(tbgo_table t, const char *key, size_t size, tb_reservation reservation) {
    return tb_table_cancel((tb_table *)t, key, size, &reservation);
}

static inline tb_status tbgo_table_settle(tbgo_table t, const char *key, size_t size, tb_reservation reservation,
                                          double actual) {
    return tb_table_settle((tb_table *)t, key, size, &reservation, actual);
}

static inline tbgo_int64_result tbgo_table_charge(tbgo_table t, const char *key, size_t size, double n) {
    tbgo_int64_result r = {0};
    r.status = tb_table_charge((tb_table *)t, key, size, n, &r.value);
    return r;
}

static inline tb_status tbgo_table_refund(tbgo_table t, const char *key, size_t size, double n) {
    return tb_table_refund((tb_table *)t, key, size, n);
}

static inline tbgo_double_result tbgo_table_available(tbgo_table t, const char *key, size_t size) {
    tbgo_double_result r = {0};
    r.status = tb_table_available((tb_table *)t, key, size, &r.value);
    return r;
}

static inline tbgo_int64_result tbgo_table_time_until(tbgo_table t, const char *key, size_t size, double n) {
    tbgo_int64_result r = {0};
    r.status = tb_table_time_until((tb_table *)t, key, size, n, &r.value);
    return r;
}

static inline tb_status tbgo_table_remove(tbgo_table t, const char *key, size_t size) {
    return tb_table_remove((tb_table *)t, key, size);
}

static inline tb_status tbgo_table_set_rate(tbgo_table t, double tokens_per_second) {
    return tb_table_set_rate((tb_table *)t, tokens_per_second);
}

static inline tb_status tbgo_table_set_capacity(tbgo_table t, double capacity) {
    return tb_table_set_capacity((tb_table *)t, capacity);
}

// Without a table: a limit of 0 tokens per second.
static inline tb_config tbgo_table_get_limit(tbgo_table t) {
    tb_config config;
    tb_config_init(&config, sizeof config);
    tb_table_get_limit((tb_table *)t, &config);
    return config;
}

static inline tbgo_table_stats_result tbgo_table_get_stats(tbgo_table t) {
    tbgo_table_stats_result r = {0};
    r.value.struct_size = sizeof r.value;
    r.status = tb_table_get_stats((tb_table *)t, &r.value);
    return r;
}

static inline tbgo_address_result tbgo_address_key(const char *text, size_t size, int32_t ipv6_prefix) {
    tbgo_address_result r = {0};
    r.status = tb_address_key(text, size, ipv6_prefix, r.key, &r.size);
    return r;
}

#endif
