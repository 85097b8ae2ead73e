/* SPDX-License-Identifier: MIT
 *
 * tokenbucket-redis: one limit for a fleet, in Redis or Valkey.
 *
 * A limiter has one limit and many keys, each of which names a bucket on the server that all processes share. The
 * server decides, by its own clock; see "Limits in Redis or Valkey" in tokenbucket.h for what its buckets promise.
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
 * Conventions 1, 2, 4, 5, 6 and 11 of tokenbucket.h hold, and besides:
 *
 *  1. Every function of a limiter, unless its comment says otherwise, makes one round trip and blocks for at most
 *     deadline_ns from its begin, whatever the server does; a scheduler may add to that. The deadline covers connecting
 *     and waiting for other threads, but not the system's look-up of a host that is a name, which holds up the thread
 *     that connects: give an address where that matters. Calls of several threads at the same time are sent together,
 *     in the order in which they came; one that has waited for half its deadline by then is not sent any more.
 *  2. TB_E_UNAVAILABLE is neither a grant nor a denial: the server did not answer in time, refused, or is not asked
 *     because it failed before. What was asked may have been done all the same: tokens may be gone, but no more are
 *     granted. The other failures change nothing. TB_E_MISMATCH: the key holds something that is no bucket; takes of
 *     other keys that were sent together with it are asked for again, and may then cost twice.
 *  3. Any number of threads may call all functions, but not in signal handlers; a destroy function must be the last
 *     call on its handle. They are no cancellation points. No thread is made, and no SIGPIPE raised.
 *  4. After fork a child connects anew; it has none of the leases.
 *  5. A key is any bytes; the key on the server, the prefix and the key, has at most TB_MAX_KEY_SIZE. The functions
 *     that need a second key (tb_remote_queue_key) refuse a key on the server that has a closing brace but no tag:
 *     TB_E_INVALID_ARGUMENT. These are tb_redis_wait_for and those from tb_redis_reserve to tb_redis_reset.
 *
 * TLS, Sentinel and Cluster are not offered: connect to a single server, or to a proxy of yours.
 */
#ifndef TOKENBUCKET_REDIS_H
#define TOKENBUCKET_REDIS_H

#include <tokenbucket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- A server ---------------------------------------------------------------------------------------------------- */

/* A server and what is known of it: its address, its connection, its circuit breaker. */
typedef struct tb_redis tb_redis;

/* How a server is spoken to. */
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

/* Prepares a connection, which the first call opens: "unix:PATH", "HOST:PORT" or "[IPv6]:PORT". A NULL config means the
 * defaults. What it points to is copied.
 *
 * A lost connection is opened again by the next call. After breaker_failures failures in a row, counted by round trips,
 * the server is not asked for breaker_open_ns: calls are answered at once, without I/O. Then one call tries again, and
 * the others go on being answered at once until it has its answer. An error that the server replies is no such failure.
 * TB_E_INVALID_ARGUMENT: also no such address, or a user without a password. TB_E_OUT_OF_RANGE: a number of *config.
 * TB_E_UNSUPPORTED. TB_E_OUT_OF_MEMORY. */
TB_API tb_status tb_redis_create(const char *address, const tb_redis_config *config, tb_redis **out_server);

/* Closes the connection. The limiters must have been destroyed. */
TB_API void tb_redis_destroy(tb_redis *server);

/* What the calls to a server came to so far. */
typedef struct tb_redis_stats {
    size_t struct_size;     /* set by the caller: sizeof(tb_redis_stats) */
    int64_t connects;       /* connections made */
    int64_t round_trips;    /* answered in whole */
    int64_t failures;       /* round trips and connections that failed */
    int64_t breaker_opened; /* times that the server was given up for breaker_open_ns */
} tb_redis_stats;

/* Writes *out_stats as far as its struct_size says. Never blocks for I/O.
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_redis_stats. */
TB_API tb_status tb_redis_get_stats(tb_redis *server, tb_redis_stats *out_stats);

/* Writes what the latest TB_E_UNAVAILABLE or TB_E_MISMATCH was about, as the system, the client library or the server
 * put it, or "" if there was none: text of at most text_size - 1 bytes and a zero. Never blocks for I/O. */
TB_API tb_status tb_redis_last_failure(tb_redis *server, char *out_text, size_t text_size);

/* ---- A limiter --------------------------------------------------------------------------------------------------- */

/* A limit whose buckets lie on a server, each under a key of its own. */
typedef struct tb_redis_limiter tb_redis_limiter;

/* What a take is told where it would be TB_E_UNAVAILABLE. Error: that. Closed: denied. Open: granted. Local: what a
 * table in this process says whose limit is `share` of the limit, such as one by the number of processes; it has room
 * for 65536 keys. This holds for tb_redis_allow, tb_redis_take, tb_redis_take_up_to, tb_redis_take_many,
 * tb_redis_take_all and tb_redis_wait_for; all others return TB_E_UNAVAILABLE. */
#define TB_REDIS_ERROR 0
#define TB_REDIS_CLOSED 1
#define TB_REDIS_OPEN 2
#define TB_REDIS_LOCAL 3

/* Cache denials: who was denied n tokens of a key is denied n or more tokens of it without a call until the time that
 * the server named, less that of the call; by this machine's monotonic clock. This is what the server would say as long
 * as nothing is put back into the bucket: do not use it where tokens are refunded, reservations cancelled or settled,
 * buckets reset or leases given back. Up to 1024 keys of at most 128 bytes are remembered. */
#define TB_REDIS_CACHE_DENIALS UINT32_C(1)

/* A lease is tokens that a process takes from a bucket at once and spends without a call. A process holds at most
 * `lease` tokens of a key, and there are at most `lessees` limiters in the fleet that hold any. The bucket on the
 * server has the capacity less lease * lessees: in any window at most what was held before, lease * lessees, and what
 * that bucket grants come together, so that the bound of convention 5 holds for the limit. A limiter holds leases of up
 * to 1024 keys of at most 128 bytes; what a key that makes room for another held is lost, and so is what a process
 * holds when it ends without tb_redis_limiter_destroy. */
typedef struct tb_redis_limiter_config {
    size_t struct_size;     /* set by tb_redis_limiter_config_init */
    const char *prefix;     /* of all keys on the server; default "tb:". Limits of their own need one of their own */
    int64_t max_wait_ns;    /* as of tb_remote_create; default 1 minute, as in all languages of the library */
    double share;           /* for TB_REDIS_LOCAL, above 0 .. 1; no default */
    int64_t lease;          /* tokens; default 0: no leases */
    int32_t lessees;        /* limiters with this lease in the fleet; no default */
    int32_t on_unavailable; /* TB_REDIS_ERROR (default), TB_REDIS_CLOSED, TB_REDIS_OPEN, TB_REDIS_LOCAL */
    uint32_t flags;         /* TB_REDIS_CACHE_DENIALS; default 0 */
    uint32_t reserved;      /* 0 */
} tb_redis_limiter_config;

/* Writes the defaults. Pass sizeof(tb_redis_limiter_config).
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_redis_limiter_config. */
TB_API tb_status tb_redis_limiter_config_init(tb_redis_limiter_config *config, size_t struct_size);

/* Creates a limiter; the server is not asked, and must outlive it. A NULL config means the defaults. All that use the
 * same keys need the same limit, max_wait_ns, lease and lessees.
 * Errors as tb_remote_create. TB_E_INVALID_ARGUMENT: also no policy of that number, or a share outside its range.
 * TB_E_OUT_OF_RANGE: also a share of the limit that no bucket can have, a lease without lessees or lessees without a
 * lease, or leases that leave the bucket less than one lease. */
TB_API tb_status tb_redis_limiter_create(tb_redis *server, const tb_config *limit,
                                         const tb_redis_limiter_config *config, tb_redis_limiter **out_limiter);

/* Gives back all leases, for as long as one deadline and the server allow, and frees the limiter. */
TB_API void tb_redis_limiter_destroy(tb_redis_limiter *limiter);

/* ---- Taking ------------------------------------------------------------------------------------------------------ */

/* As tb_allow and tb_take; *out_decision is written for TB_SUCCESS and TB_DENIED. With leases n may be at most what the
 * bucket on the server holds, and a whole n of at most a lease is spent from that, and then `remaining` is what is left
 * of the lease and reset_after_ns 0. If there is not enough in it one thread fills it up, and asks again if that does
 * not do: two round trips, each with a deadline.
 * Where the policy answers, `remaining` and reset_after_ns are 0 unless the local table knows better, and a denial's
 * retry_after_ns is breaker_open_ns. */
TB_API tb_status tb_redis_allow(tb_redis_limiter *limiter, const void *key, size_t key_size, double n);
TB_API tb_status tb_redis_take(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                               tb_decision *out_decision);

/* As tb_take_up_to. */
TB_API tb_status tb_redis_take_up_to(tb_redis_limiter *limiter, const void *key, size_t key_size, double most,
                                     double *out_taken);

/* One of the takes that stand in one call. The limiters are of one server. */
typedef struct tb_redis_member {
    tb_redis_limiter *limiter; /* the limit */
    const void *key;           /* of the bucket, without the prefix */
    size_t key_size;           /* with the prefix at most TB_MAX_KEY_SIZE */
    double n;                  /* the tokens */
} tb_redis_member;

/* tb_redis_take for each of 1 .. TB_REMOTE_MAX_KEYS members, in their order, in one round trip; leases and cached
 * denials are not looked at. The same key may occur again. out_decisions has `count` elements; the status of each is
 * what tb_redis_take would return. TB_SUCCESS, whatever they are.
 * TB_E_UNAVAILABLE, with nothing written: the policy of any of the limiters is TB_REDIS_ERROR. */
TB_API tb_status tb_redis_take_many(const tb_redis_member *members, size_t count, tb_decision *out_decisions);

/* Takes from all of 1 .. TB_MAX_MEMBERS members or from none, in one round trip. Their keys on the server differ and
 * have one tag in braces, such as "tb:{alice}requests" and "tb:{alice}bytes".
 * TB_SUCCESS. TB_DENIED, TB_EXCEEDS_CAPACITY: what the member in *out_refusal says, which may be NULL; of several the
 * one that takes longest. Where policies answer, all must grant, and one that is TB_REDIS_ERROR means that. */
TB_API tb_status tb_redis_take_all(const tb_redis_member *members, size_t count, tb_refusal *out_refusal);

/* ---- Waiting and reserving --------------------------------------------------------------------------------------- */

/* Reserves n tokens and sleeps until they are there; the time that the reservation itself takes comes on top. At most
 * max_wait_ns.
 * TB_SUCCESS. TB_TIMED_OUT: not within timeout_ns, known at once, with nothing taken. TB_EXCEEDS_CAPACITY.
 * TB_INTERRUPTED: a signal handler ran during the sleep; one more round trip has given the tokens back, if the server
 * answered. Where the policy answers: TB_TIMED_OUT for TB_REDIS_CLOSED, tb_table_wait_for for TB_REDIS_LOCAL. */
TB_API tb_status tb_redis_wait_for(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                                   int64_t timeout_ns);

/* As tb_reserve, with a wait of at most max_wait_ns and that of the limiter. Sleep for wait_ns; ready_at_ns is a time
 * of the server's clock. */
TB_API tb_status tb_redis_reserve(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                                  int64_t max_wait_ns, tb_reservation *out_reservation);

/* As tb_cancel and tb_settle, for the key of the reservation. It is cleared on TB_SUCCESS. After TB_E_UNAVAILABLE a
 * cancel may be repeated; tb_redis_settle clears the reservation then, too, lest something be given back twice. */
TB_API tb_status tb_redis_cancel(tb_redis_limiter *limiter, const void *key, size_t key_size,
                                 tb_reservation *reservation);
TB_API tb_status tb_redis_settle(tb_redis_limiter *limiter, const void *key, size_t key_size,
                                 tb_reservation *reservation, double actual);

/* ---- Adjusting and looking --------------------------------------------------------------------------------------- */

/* As tb_charge, with the debt that max_wait_ns allows, else TB_E_OUT_OF_RANGE; as tb_refund; as tb_reset. */
TB_API tb_status tb_redis_charge(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                                 int64_t *out_repaid_after_ns);
TB_API tb_status tb_redis_refund(tb_redis_limiter *limiter, const void *key, size_t key_size, double n);
TB_API tb_status tb_redis_reset(tb_redis_limiter *limiter, const void *key, size_t key_size, double tokens);

/* What is in the bucket on the server, negative while in debt, and when n tokens will be there; takes nothing.
 * `tokens` of the answer is 0. */
TB_API tb_status tb_redis_peek(tb_redis_limiter *limiter, const void *key, size_t key_size, double n,
                               tb_remote_answer *out_answer);

#ifdef __cplusplus
}
#endif

#endif /* TOKENBUCKET_REDIS_H */
