/* SPDX-License-Identifier: MIT
 *
 * tokenbucket-redis: one limit for a fleet, in Redis or Valkey.
 *
 * A limiter has one limit and many keys. Each key names a bucket on the server that all processes share. The server
 * decides, by its own clock; see "Limits in Redis or Valkey" in tokenbucket.h for what these buckets promise.
 *
 *     tb_redis *server;
 *     tb_redis_limiter *limiter;
 *     tb_config limit;
 *     tb_config_init(&limit, sizeof limit);
 *     limit.capacity = 100, limit.rate_tokens = 50;
 *     tb_redis_create("127.0.0.1:6379", NULL, &server);
 *     tb_redis_limiter_create(server, &limit, NULL, &limiter);
 *     if (tb_redis_allow(limiter, "alice", 5, 1) == TB_SUCCESS) serve();
 *
 * Conventions 1, 2, 4, 5, 6 and 11 of tokenbucket.h hold. In addition:
 *
 *  1. Every function of a limiter, unless its comment says otherwise, makes one round trip and blocks for at most
 *     deadline_ns, whatever the server does; thread scheduling may add to that. The deadline covers connecting and
 *     waiting for other threads. It does not cover the system's look-up of a host name, which blocks the thread that
 *     connects: give an address where that matters. Calls that several threads make at the same time are sent together,
 *     in order of arrival. A call that has waited for half of its deadline by then is not sent.
 *  2. TB_E_UNAVAILABLE is neither a grant nor a denial: the server did not answer in time, returned an error, or is not
 *     asked because of earlier failures. The call may have taken effect all the same: tokens may be lost, but no more
 *     than the limit are granted. Other failures change nothing. TB_E_MISMATCH: the key holds something that is not a
 *     bucket. Takes of other keys in the same round trip are then sent again, and may cost twice.
 *  3. Any number of threads may call all functions, but not in signal handlers; a destroy function must be the last
 *     call on its handle. No function is a cancellation point, starts a thread or raises SIGPIPE.
 *  4. After fork the child opens its own connection, and holds no leases.
 *  5. A key is any bytes. The key on the server is the prefix followed by the key, at most TB_MAX_KEY_SIZE bytes in
 *     all. The functions that need a second key (tb_remote_queue_key) refuse a server key that has a closing brace but
 *     no tag: TB_E_INVALID_ARGUMENT. These are tb_redis_wait_for and the functions from tb_redis_reserve to
 *     tb_redis_reset.
 *
 * TLS, Sentinel and Cluster are not supported: connect to a single server, or to a proxy of yours.
 */
#ifndef TOKENBUCKET_REDIS_H
#define TOKENBUCKET_REDIS_H

#include <tokenbucket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- A server ---------------------------------------------------------------------------------------------------- */

/* A server: its address, its connection and its circuit breaker. */
typedef struct tb_redis tb_redis;

/* How to connect to a server. */
typedef struct tb_redis_config {
    size_t struct_size;       /* set by tb_redis_config_init */
    const char *user;         /* NULL (default): the server's default user */
    const char *password;     /* NULL (default): none */
    int64_t deadline_ns;      /* for a call; 1 millisecond .. 1 hour, default 100 milliseconds */
    int64_t breaker_open_ns;  /* see tb_redis_create; default 1 second */
    int32_t breaker_failures; /* see tb_redis_create; default 3 */
    int32_t database;         /* default 0 */
} tb_redis_config;

/* Writes the defaults. Pass sizeof(tb_redis_config).
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_redis_config. */
TB_API tb_status tb_redis_config_init(tb_redis_config *config, size_t struct_size);

/* Prepares a connection, which the first call opens, to "unix:PATH", "HOST:PORT" or "[IPv6]:PORT". A NULL config means
 * the defaults. What *config points to is copied.
 *
 * If the connection is lost, the next call opens it again. After breaker_failures failed round trips in a row, the
 * server is not asked for breaker_open_ns: calls are answered at once, without I/O. Then one call tries again; until it
 * has its answer, the others are still answered at once. An error reply from the server does not count as such a
 * failure.
 * TB_E_INVALID_ARGUMENT: also an invalid address, or a user without a password. TB_E_OUT_OF_RANGE: a number in *config.
 * TB_E_UNSUPPORTED. TB_E_OUT_OF_MEMORY. */
TB_API tb_status tb_redis_create(const char *address, const tb_redis_config *config, tb_redis **out_server);

/* Closes the connection. Its limiters must have been destroyed before. */
TB_API void tb_redis_destroy(tb_redis *server);

/* Counts of a server so far. */
typedef struct tb_redis_stats {
    size_t struct_size;     /* set by the caller: sizeof(tb_redis_stats) */
    int64_t connects;       /* connections made */
    int64_t round_trips;    /* answered completely */
    int64_t failures;       /* round trips and connections that failed */
    int64_t breaker_opened; /* times the breaker opened */
} tb_redis_stats;

/* Writes *out_stats as far as its struct_size says. Never blocks for I/O.
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_redis_stats. */
TB_API tb_status tb_redis_get_stats(tb_redis *server, tb_redis_stats *out_stats);

/* Writes the cause of the latest TB_E_UNAVAILABLE or TB_E_MISMATCH, in the words of the system, the client library or
 * the server, or "" if there was none: at most text_size - 1 bytes and a terminating zero. Never blocks for I/O. */
TB_API tb_status tb_redis_last_failure(tb_redis *server, char *out_text, size_t text_size);

/* ---- A limiter --------------------------------------------------------------------------------------------------- */

/* A limit whose buckets are stored on a server, each under its own key. */
typedef struct tb_redis_limiter tb_redis_limiter;

/* What a take returns in place of TB_E_UNAVAILABLE. Error: TB_E_UNAVAILABLE. Closed: denied. Open: granted. Local: a
 * table in this process decides. Its limit is `share` of the limit, such as 0.1 for ten processes, and it has room for
 * 65536 keys. This applies to tb_redis_allow, tb_redis_take, tb_redis_take_up_to, tb_redis_take_many, tb_redis_take_all
 * and tb_redis_wait_for; all others return TB_E_UNAVAILABLE. */
#define TB_REDIS_ERROR 0
#define TB_REDIS_CLOSED 1
#define TB_REDIS_OPEN 2
#define TB_REDIS_LOCAL 3

/* Cache denials: after a key was denied n tokens, requests for n or more of its tokens are denied without a call, until
 * the time that the server named, less the duration of that call, by this machine's monotonic clock. The server would
 * say the same as long as nothing is put back into the bucket: do not use it where tokens are refunded, reservations
 * are cancelled or settled, buckets are reset, or leases are given back. Up to 1024 keys of at most 128 bytes are
 * remembered. */
#define TB_REDIS_CACHE_DENIALS UINT32_C(1)

/* A lease is tokens that a process takes from a bucket at once and spends without a call. A process holds at most
 * `lease` tokens of a key, and at most `lessees` limiters in the fleet hold leases. The bucket on the server has the
 * capacity less lease * lessees. In any window, the tokens spent are at most the lease * lessees that were held before
 * plus what this bucket grants, so the bound of convention 5 holds for the whole limit. A limiter holds leases of up to
 * 1024 keys of at most 128 bytes. Held tokens are lost when a key has to make room for another, and when a process ends
 * without tb_redis_limiter_destroy. */
typedef struct tb_redis_limiter_config {
    size_t struct_size;     /* set by tb_redis_limiter_config_init */
    const char *prefix;     /* of all keys on the server; default "tb:". Each limit needs its own */
    int64_t max_wait_ns;    /* as of tb_remote_create; default 1 minute, as in all languages of the library */
    double share;           /* for TB_REDIS_LOCAL, above 0 .. 1; no default */
    int64_t lease;          /* tokens; default 0: no leases */
    int32_t lessees;        /* limiters in the fleet that hold leases; no default */
    int32_t on_unavailable; /* TB_REDIS_ERROR (default), TB_REDIS_CLOSED, TB_REDIS_OPEN, TB_REDIS_LOCAL */
    uint32_t flags;         /* TB_REDIS_CACHE_DENIALS; default 0 */
    uint32_t reserved;      /* 0 */
} tb_redis_limiter_config;

/* Writes the defaults. Pass sizeof(tb_redis_limiter_config).
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_redis_limiter_config. */
TB_API tb_status tb_redis_limiter_config_init(tb_redis_limiter_config *config, size_t struct_size);

/* Creates a limiter. No call is made. The server must outlive the limiter. A NULL config means the defaults. All
 * limiters with the same keys need the same limit, max_wait_ns, lease and lessees.
 * Errors as tb_remote_create. TB_E_INVALID_ARGUMENT: also an unknown on_unavailable, or a share outside its range.
 * TB_E_OUT_OF_RANGE: also a share of the limit that no bucket can have, a lease without lessees or lessees without a
 * lease, or leases that leave the bucket on the server less than one lease. */
TB_API tb_status tb_redis_limiter_create(tb_redis *server, const tb_config *limit,
                                         const tb_redis_limiter_config *config, tb_redis_limiter **out_limiter);

/* Gives back all leases, as far as the server answers within one deadline, and frees the limiter. */
TB_API void tb_redis_limiter_destroy(tb_redis_limiter *limiter);

/* ---- Taking ------------------------------------------------------------------------------------------------------ */

/* As tb_allow and tb_take; *out_decision is written for TB_SUCCESS and TB_DENIED.
 * With leases, n may be at most the capacity of the bucket on the server. A whole n of at most `lease` is spent from
 * the lease: `remaining` is then what is left of the lease, and reset_after_ns is 0. If the lease holds too little, one
 * thread fills it up; if that is not enough, it asks for the tokens themselves: two round trips, each with its own
 * deadline.
 * Where on_unavailable decides, `remaining` and reset_after_ns are 0, except from the local table, and the
 * retry_after_ns of a denial is breaker_open_ns. */
TB_API tb_status tb_redis_allow(tb_redis_limiter *limiter, const void *key, size_t key_size, double n);
TB_API tb_status tb_redis_take(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                               tb_decision *out_decision);

/* As tb_take_up_to. */
TB_API tb_status tb_redis_take_up_to(tb_redis_limiter *limiter, const void *key, size_t key_size, double most,
                                     double *out_taken);

/* One of the takes in one call. All limiters must be of the same server. */
typedef struct tb_redis_member {
    tb_redis_limiter *limiter; /* the limit */
    const void *key;           /* without the prefix */
    size_t key_size;           /* with the prefix at most TB_MAX_KEY_SIZE */
    double n;                  /* the tokens */
} tb_redis_member;

/* tb_redis_take for each of 1 .. TB_REMOTE_MAX_KEYS members, in order, in one round trip. Leases and cached denials are
 * not used. The same key may occur more than once. out_decisions has `count` elements; the status of each is what
 * tb_redis_take would return. TB_SUCCESS, whatever they are.
 * TB_E_UNAVAILABLE, with nothing written: the server is unavailable, and a limiter has TB_REDIS_ERROR. */
TB_API tb_status tb_redis_take_many(const tb_redis_member *members, size_t count, tb_decision *out_decisions);

/* Takes from all of 1 .. TB_MAX_MEMBERS members or from none, in one round trip. Their keys on the server must differ
 * and share one tag in braces, such as "tb:{alice}requests" and "tb:{alice}bytes".
 * TB_SUCCESS. TB_DENIED, TB_EXCEEDS_CAPACITY: the answer of the member in *out_refusal, which may be NULL; if several
 * refuse, the one that takes longest. If the server is unavailable, on_unavailable of every member must grant; with
 * TB_REDIS_ERROR in one of them, the answer is TB_E_UNAVAILABLE. */
TB_API tb_status tb_redis_take_all(const tb_redis_member *members, size_t count, tb_refusal *out_refusal);

/* ---- Waiting and reserving --------------------------------------------------------------------------------------- */

/* Reserves n tokens and sleeps until they are there, for at most max_wait_ns. The duration of the reservation call
 * comes on top.
 * TB_SUCCESS. TB_TIMED_OUT: not within timeout_ns; known at once, with nothing taken. TB_EXCEEDS_CAPACITY.
 * TB_INTERRUPTED: a signal handler ran during the sleep; another round trip has given the tokens back, if the server
 * answered. Where on_unavailable decides: TB_TIMED_OUT for TB_REDIS_CLOSED, tb_table_wait_for for TB_REDIS_LOCAL. */
TB_API tb_status tb_redis_wait_for(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                                   int64_t timeout_ns);

/* As tb_reserve, with a wait of at most max_wait_ns and at most that of the limiter. Sleep for wait_ns; ready_at_ns is
 * a time of the server's clock. */
TB_API tb_status tb_redis_reserve(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                                  int64_t max_wait_ns, tb_reservation *out_reservation);

/* As tb_cancel and tb_settle, for the key of the reservation, which is cleared on TB_SUCCESS. After TB_E_UNAVAILABLE,
 * tb_redis_cancel may be repeated. tb_redis_settle clears the reservation in that case, too, so that nothing is given
 * back twice. */
TB_API tb_status tb_redis_cancel(tb_redis_limiter *limiter, const void *key, size_t key_size,
                                 tb_reservation *reservation);
TB_API tb_status tb_redis_settle(tb_redis_limiter *limiter, const void *key, size_t key_size,
                                 tb_reservation *reservation, double actual);

/* ---- Adjusting and looking --------------------------------------------------------------------------------------- */

/* As tb_charge, up to the debt that max_wait_ns allows, else TB_E_OUT_OF_RANGE; as tb_refund; as tb_reset. */
TB_API tb_status tb_redis_charge(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                                 int64_t *out_repaid_after_ns);
TB_API tb_status tb_redis_refund(tb_redis_limiter *limiter, const void *key, size_t key_size, double n);
TB_API tb_status tb_redis_reset(tb_redis_limiter *limiter, const void *key, size_t key_size, double tokens);

/* The tokens in the bucket on the server, negative while in debt, and the time until n tokens are there. Takes nothing;
 * `tokens` of the answer is 0. */
TB_API tb_status tb_redis_peek(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                               tb_remote_answer *out_answer);

#ifdef __cplusplus
}
#endif

#endif /* TOKENBUCKET_REDIS_H */
