// What cgo_remote.go calls, by the rules of shim.h: the arguments of a call and a reply go by value.
#ifndef TOKENBUCKET_GO_SHIM_REMOTE_H
#define TOKENBUCKET_GO_SHIM_REMOTE_H

#include "shim.h"

typedef uintptr_t tbgo_remote;

typedef struct {
    tb_status status;
    size_t count;
    int64_t arguments[TB_REMOTE_MAX_ARGUMENTS];
} tbgo_remote_call;

typedef struct {
    size_t count;
    int64_t numbers[TB_REMOTE_MAX_REPLY];
} tbgo_remote_reply;

typedef struct {
    tb_status status;
    tb_remote_answer value;
} tbgo_remote_answer;

typedef struct {
    tb_status status;
    tb_reservation value;
    int64_t retry_after_ns;  // of TB_TIMED_OUT
} tbgo_remote_reservation;

// The limit of a member, and how much it costs there; keys stand one behind the other.
typedef struct {
    tbgo_remote remote;
    size_t key_size;
    double n;
} tbgo_remote_member;

// The limit has no on_wake.
static inline tb_config_fault tbgo_remote_config_check(tb_config limit, int64_t max_wait_ns) {
    tb_config_fault fault = {NULL, NULL};
    tb_remote_config_check(&limit, max_wait_ns, &fault);
    return fault;
}

static inline tbgo_handle_result tbgo_remote_create(tb_config limit, int64_t max_wait_ns) {
    tb_remote *remote = NULL;
    tbgo_handle_result r = {TB_SUCCESS, 0};
    r.status = tb_remote_create(&limit, max_wait_ns, &remote);
    r.value = (uintptr_t)remote;
    return r;
}

static inline void tbgo_remote_destroy(tbgo_remote r) {
    tb_remote_destroy((tb_remote *)r);
}

// Without a limit: one of 0 tokens per second.
static inline tb_config tbgo_remote_get_limit(tbgo_remote r) {
    tb_config config;
    tb_config_init(&config, sizeof config);
    tb_remote_get_limit((tb_remote *)r, &config);
    return config;
}

// The calls with an amount alone, numbered as in remote_call.go.
static inline tbgo_remote_call tbgo_remote_ask(tbgo_remote r, int32_t what, double n) {
    const tb_remote *const remote = (tb_remote *)r;
    tbgo_remote_call c = {TB_E_UNSUPPORTED, 0, {0}};
    switch (what) {
        case 0:
            c.status = tb_remote_take(remote, n, c.arguments, &c.count);
            break;
        case 1:
            c.status = tb_remote_take_up_to(remote, n, c.arguments, &c.count);
            break;
        case 2:
            c.status = tb_remote_charge(remote, n, c.arguments, &c.count);
            break;
        case 3:
            c.status = tb_remote_refund(remote, n, c.arguments, &c.count);
            break;
        case 4:
            c.status = tb_remote_reset(remote, n, c.arguments, &c.count);
            break;
        case 5:
            c.status = tb_remote_peek(remote, n, c.arguments, &c.count);
            break;
    }
    return c;
}

static inline tbgo_remote_call tbgo_remote_reserve(tbgo_remote r, double n, int64_t max_wait_ns) {
    tbgo_remote_call c = {0};
    c.status = tb_remote_reserve((tb_remote *)r, n, max_wait_ns, c.arguments, &c.count);
    return c;
}

static inline tbgo_remote_call tbgo_remote_cancel(tbgo_remote r, tb_reservation reservation) {
    tbgo_remote_call c = {0};
    c.status = tb_remote_cancel((tb_remote *)r, &reservation, c.arguments, &c.count);
    return c;
}

static inline tbgo_remote_call tbgo_remote_settle(tbgo_remote r, tb_reservation reservation, double actual) {
    tbgo_remote_call c = {0};
    c.status = tb_remote_settle((tb_remote *)r, &reservation, actual, c.arguments, &c.count);
    return c;
}

static inline tbgo_remote_answer tbgo_remote_read(tbgo_remote r, tbgo_remote_call c, tbgo_remote_reply reply) {
    tbgo_remote_answer a = {0};
    a.status = tb_remote_read((tb_remote *)r, c.arguments, c.count, reply.numbers, reply.count, &a.value);
    return a;
}

static inline tbgo_remote_reservation tbgo_remote_read_reservation(tbgo_remote r, tbgo_remote_call c,
                                                                   tbgo_remote_reply reply) {
    tbgo_remote_reservation v = {0};
    tb_remote_answer a = {0};
    v.status = tb_remote_read((tb_remote *)r, c.arguments, c.count, reply.numbers, reply.count, &a);
    v.retry_after_ns = a.retry_after_ns;
    if (v.status == TB_SUCCESS)
        v.status =
            tb_remote_read_reservation((tb_remote *)r, c.arguments, c.count, reply.numbers, reply.count, &v.value);
    return v;
}

// out_queue_key has room for size + TB_REMOTE_QUEUE_KEY_ADDS bytes. 0: the key has no second one.
static inline size_t tbgo_remote_queue_key(const char *key, size_t size, char *out_queue_key) {
    size_t queue_size = 0;
    tb_remote_queue_key(key, size, out_queue_key, &queue_size);
    return queue_size;
}

// `to` has room for `count`.
static inline void tbgo_read_remote_members(tb_remote_member *to, const tbgo_remote_member *from, size_t count,
                                            const char *keys) {
    for (size_t i = 0; i < count; ++i) {
        const tb_remote_member m = {(tb_remote *)from[i].remote, keys, from[i].key_size, from[i].n};
        to[i] = m;
        keys += from[i].key_size;
    }
}

// In all three `count` is at most TB_REMOTE_MAX_KEYS. The first two write 5 * count + 1 arguments.
static inline tb_status tbgo_remote_take_all(const tbgo_remote_member *members, size_t count, const char *keys,
                                             int64_t *out_arguments) {
    tb_remote_member all[TB_REMOTE_MAX_KEYS];
    size_t arguments = 0;
    tbgo_read_remote_members(all, members, count, keys);
    return tb_remote_take_all(all, count, out_arguments, &arguments);
}

static inline tb_status tbgo_remote_take_each(const tbgo_remote_member *members, size_t count, const char *keys,
                                              int64_t *out_arguments) {
    tb_remote_member all[TB_REMOTE_MAX_KEYS];
    size_t arguments = 0;
    tbgo_read_remote_members(all, members, count, keys);
    return tb_remote_take_each(all, count, out_arguments, &arguments);
}

// Writes `count` statuses and answers.
static inline tb_status tbgo_remote_read_many(const tbgo_remote_member *members, size_t count, const char *keys,
                                              const int64_t *arguments, const int64_t *reply, size_t reply_count,
                                              tb_status *out_statuses, tb_remote_answer *out_answers) {
    tb_remote_member all[TB_REMOTE_MAX_KEYS];
    tbgo_read_remote_members(all, members, count, keys);
    return tb_remote_read_many(all, count, arguments, 5 * count + 1, reply, reply_count, out_statuses, out_answers);
}

#endif
