/* SPDX-License-Identifier: MIT
 *
 * tokenbucket: an exact, lock-free token-bucket rate limiter.
 *
 * A bucket holds at most `capacity` tokens and gains `rate` tokens per second, evenly, to the nanosecond. Work takes
 * tokens; when there are not enough it is denied, or waits. In any window of w seconds at most capacity + rate * w
 * tokens are granted.
 *
 *     tb_bucket *b;
 *     if (tb_create(100, 50, &b) == TB_SUCCESS) {      // bursts of 100, then 50 per second
 *         if (tb_allow(b, 1) == TB_SUCCESS) serve();   // never blocks
 *         tb_wait_for(b, 5, 2000000000);               // five tokens within two seconds, or TB_TIMED_OUT at once
 *         tb_destroy(b);
 *     }
 *
 * Conventions, which hold for every function below unless its comment says otherwise:
 *
 *  1. Handles are opaque, one type per object. A create function sets its handle only on success; a destroy function
 *     accepts NULL.
 *  2. Every function that can fail returns a tb_status: 0 is success or granted, a positive value is an ordinary
 *     outcome (denied, timed out), a negative value a failure. There is no other error channel: no errno, no log.
 *  3. A failure changes nothing. Outputs come last, are named out_*, and are written only on success (by tb_take also
 *     for two ordinary answers).
 *  4. A NULL handle or a NULL required pointer is TB_E_INVALID_ARGUMENT, never a crash.
 *  5. Tokens are doubles. An amount must be greater than 0 and finite, else TB_E_INVALID_ARGUMENT; it may be
 *     fractional. The bucket counts in whole units of 10^-k token (tb_config.unit), so decimal amounts such as 0.1
 *     are exact; an amount that is no whole number of units is rounded against the caller: a cost up, a refund down.
 *  6. Time is int64_t nanoseconds, `_ns` in the name. TB_FOREVER means no limit, and as a result: longer than can be
 *     expressed. Reported waits are exact: after that time the tokens are there, one nanosecond earlier they are not.
 *  7. All functions may be called from any number of threads at once, on the same handle; only a destroy function
 *     must be the last call on its handle.
 *  8. The functions under "Taking" and tb_time_until are async-signal-safe: they take no lock that a signal handler
 *     could meet, allocate nothing and leave errno alone; what on_event does is its own affair. Only tb_wait,
 *     tb_wait_for and tb_destroy block.
 *  9. After fork the child owns an independent copy of every bucket. Nothing is pending in it: those who wait and
 *     reservations belong to the parent, and what they hold stays taken in the copy.
 * 10. No initialisation call, no global state, no thread, no environment variable.
 * 11. Structs that begin with struct_size grow at their end: a shorter one of an older program is accepted, a longer
 *     one of a newer program if all that this library does not know is zero, else TB_E_UNSUPPORTED. The others are
 *     fixed.
 */
#ifndef TOKENBUCKET_H
#define TOKENBUCKET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TB_API __attribute__((visibility("default")))
#else
#define TB_API
#endif

/* ---- Version ----------------------------------------------------------------------------------------------------- */

#define TB_VERSION_MAJOR 1
#define TB_VERSION_MINOR 0
#define TB_VERSION_PATCH 0

/* The version of the library in use, as 10000 * major + 100 * minor + patch; and as text, "1.0.0". */
TB_API int32_t tb_library_version(void);
TB_API const char *tb_library_version_string(void);

/* The number in the library's SONAME: programs built for the same number run with this library. */
TB_API int32_t tb_abi_version(void);

/* 1 if this build has the named feature, else 0 (also for NULL and unknown names). Features:
 *   "counter_clock"       the system clock can use the CPU's cycle counter here
 *   "interruptible_wait"  a signal handler ends a wait (Linux)
 *   "timer_slack"         a wait narrows its thread's timer slack (Linux) */
TB_API int32_t tb_has_feature(const char *name);

/* ---- Status ------------------------------------------------------------------------------------------------------ */

typedef int32_t tb_status;

/* Name, number, message. The numbers are fixed for ever and equal on all systems; a later library may add more.
 * TB_TABLE_FULL is not returned yet. */
#define TB_STATUS_LIST(X)                                                                    \
    X(TB_SUCCESS, 0, "success: done, or the tokens are granted")                             \
    X(TB_DENIED, 1, "denied: not enough tokens now")                                         \
    X(TB_TIMED_OUT, 2, "timed out: cannot be granted within the time allowed")               \
    X(TB_EXCEEDS_CAPACITY, 3, "exceeds capacity: more tokens than the bucket can ever hold") \
    X(TB_CLOSED, 4, "closed: the bucket was closed")                                         \
    X(TB_INTERRUPTED, 5, "interrupted: a signal handler ran during the wait")                \
    X(TB_QUEUE_FULL, 6, "queue full: too many waiters")                                      \
    X(TB_TABLE_FULL, 7, "table full: no room for another key")                               \
    X(TB_E_INVALID_ARGUMENT, -1, "invalid argument")                                         \
    X(TB_E_OUT_OF_RANGE, -2, "out of range: not representable by a bucket")                  \
    X(TB_E_OUT_OF_MEMORY, -3, "out of memory")                                               \
    X(TB_E_UNSUPPORTED, -4, "unsupported: asks for something this library does not know")    \
    X(TB_E_SYSTEM, -5, "system error: the operating system refused a needed service")

#define TB_STATUS_CONSTANT(name, number, message) name = number,
enum { TB_STATUS_LIST(TB_STATUS_CONSTANT) };
#undef TB_STATUS_CONSTANT

/* The constant's name ("TB_DENIED") and a one-line message, static text; for an unknown number "TB_UNKNOWN" and
 * "unknown status". */
TB_API const char *tb_status_name(tb_status status);
TB_API const char *tb_status_message(tb_status status);

/* ---- A bucket's life --------------------------------------------------------------------------------------------- */

#define TB_FOREVER INT64_MAX
#define TB_INITIALLY_FULL (-1.0)

typedef struct tb_bucket tb_bucket;
typedef struct tb_clock tb_clock;

/* What a bucket can tell while it works; see tb_config.on_event. */
typedef struct tb_event {
    size_t struct_size;
    tb_status status;
    int32_t reserved;  /* 0 */
    double n;          /* the tokens asked for */
    int64_t waited_ns; /* how long the thread waited, by the bucket's clock; 0 if it did not */
} tb_event;

/* Called on the calling thread, after the decision and with no lock held; must neither throw nor longjmp. It may call
 * anything on the same bucket but tb_destroy. */
typedef void (*tb_event_fn)(void *user, const tb_event *event);

/* tb_config.flags. Precise: waits spin their last 60 microseconds (200 where there is no "timer_slack"), exact to about
 * one, at the price of processor time. Statistics: tb_get_stats counts. */
#define TB_PRECISE_WAIT UINT32_C(1)
#define TB_STATISTICS UINT32_C(2)

/* What a bucket is made of. Ranges: capacity 1e-6 .. 1e15 tokens, rate 1e-9 .. 1e10 tokens per second; else
 * TB_E_OUT_OF_RANGE, never a silent clamp. The rate is the exact fraction rate_tokens / rate_period_ns, such as
 * 700000 per hour; a double stands for the shortest decimal of up to 15 digits that reads back as it, else for the
 * simplest fraction that does, so 0.1 is 1/10 and 1.0 / 3 is 1/3. */
typedef struct tb_config {
    size_t struct_size;     /* set by tb_config_init */
    double capacity;        /* largest number of tokens held: the largest burst */
    double rate_tokens;     /* tokens gained ... */
    int64_t rate_period_ns; /* ... in this time; default one second */
    double initial_tokens;  /* 0 .. capacity, or TB_INITIALLY_FULL (default) */
    tb_clock *clock;        /* NULL (default): the system clock; otherwise kept alive by the bucket */
    double unit;            /* read-only, filled by tb_get_limit: tokens per unit, 10^-k */
    int64_t max_waiters;    /* threads that wait at a time, the next is told TB_QUEUE_FULL; 0 (default): no limit */
    uint32_t flags;         /* TB_PRECISE_WAIT, TB_STATISTICS; default 0 */
    uint32_t reserved;      /* 0 */
    tb_event_fn on_event;   /* told of each TB_DENIED by tb_allow, tb_try_consume and tb_take, of the end of each wait
                             * that slept, whatever its status, and of each wait refused at once with TB_TIMED_OUT or
                             * TB_QUEUE_FULL and tb_reserve with TB_TIMED_OUT. NULL (default): none, and nothing to pay */
    void *event_user;       /* passed to on_event */
} tb_config;

/* Fills *config with the defaults; capacity and rate_tokens are left 0 and must be set. Pass sizeof(tb_config). */
TB_API tb_status tb_config_init(tb_config *config, size_t struct_size);

/* Creates a full bucket that holds up to `capacity` tokens and gains `tokens_per_second`; 60 a minute is 60.0 / 60, or
 * a tb_config with 60 per 60000000000 ns.
 * TB_E_INVALID_ARGUMENT: NaN or infinite. TB_E_OUT_OF_RANGE: outside the ranges of tb_config.
 * TB_E_OUT_OF_MEMORY. */
TB_API tb_status tb_create(double capacity, double tokens_per_second, tb_bucket **out_bucket);

/* Creates a bucket as *config says; *config is copied. Errors as tb_create, and TB_E_INVALID_ARGUMENT for a
 * struct_size too small to hold a rate, a period not above 0, initial_tokens or max_waiters below 0; TB_E_OUT_OF_RANGE
 * for initial_tokens above capacity; TB_E_UNSUPPORTED for unknown flags or an unknown non-zero tail. */
TB_API tb_status tb_create_with(const tb_config *config, tb_bucket **out_bucket);

/* Closes the bucket for good: every waiter returns TB_CLOSED with its tokens given back, and every later call that
 * takes tokens or changes the bucket says TB_CLOSED. tb_cancel and the functions under "Looking" go on working.
 * Closing twice is TB_SUCCESS. */
TB_API tb_status tb_close(tb_bucket *bucket);

/* Closes the bucket, lets the threads that sleep in tb_wait or tb_wait_for leave, and frees it after the last. All
 * other calls must have returned, and none may start once this one has. */
TB_API void tb_destroy(tb_bucket *bucket);

/* ---- Taking: never blocks ---------------------------------------------------------------------------------------- */

/* Takes n tokens if they are there now, all or nothing.
 * TB_SUCCESS: taken. TB_DENIED: not enough now. TB_EXCEEDS_CAPACITY: n can never be granted. TB_CLOSED.
 * tb_try_consume is the same function under its other usual name. */
TB_API tb_status tb_allow(tb_bucket *bucket, double n);
TB_API tb_status tb_try_consume(tb_bucket *bucket, double n);

/* What a limiter's answer tells its client, as for HTTP's RateLimit and Retry-After headers (which want whole numbers:
 * round tokens down and seconds up, and look for TB_FOREVER first). */
typedef struct tb_decision {
    tb_status status;
    int32_t reserved;       /* 0 */
    double remaining;       /* tokens left now; 0 while in debt */
    int64_t retry_after_ns; /* until this request would be granted; 0 if it was, TB_FOREVER if it never can be */
    int64_t reset_after_ns; /* until the bucket is full again */
} tb_decision;

/* As tb_allow, and says why. *out_decision is filled for TB_SUCCESS, TB_DENIED and TB_EXCEEDS_CAPACITY. */
TB_API tb_status tb_take(tb_bucket *bucket, double n, tb_decision *out_decision);

/* Takes as many whole tokens as are there now, at most `most`; *out_taken may be 0 with TB_SUCCESS. TB_CLOSED. */
TB_API tb_status tb_take_up_to(tb_bucket *bucket, double most, double *out_taken);

/* ---- Waiting: blocks the calling thread -------------------------------------------------------------------------- */

/* Those who wait are served in the order in which they came, at the exact time at which their tokens are there, with
 * one sleep and no polling. A wait that ends otherwise gives its tokens back. What may happen meanwhile:
 *
 *   a call of tb_allow, or a later wait  never overtakes, however small
 *   a signal handler runs as it sleeps   TB_INTERRUPTED; the tokens come back, those behind move up at once. Without
 *                                        "interruptible_wait" the wait goes on: there reserve, sleep, and cancel
 *   tb_cancel or tb_settle of an         its tokens come back, those behind move up
 *   earlier reservation
 *   tb_refund                            everyone moves up by that much
 *   tb_reset                             debt is forgiven; those who wait are served first, in order, then the others
 *   tb_set_rate, tb_set_capacity         new due times in the same order. Who would now pass its timeout gets
 *                                        TB_TIMED_OUT, who no longer fits TB_EXCEEDS_CAPACITY; those behind move up
 *   tb_charge, tb_reserve                later waits wait longer, earlier ones do not
 *   tb_close, tb_destroy                 TB_CLOSED, the tokens come back; who is due by then is granted */

/* Takes n tokens, sleeping until they are there. Not a POSIX cancellation point. On Linux the thread's timer slack is
 * narrowed while it sleeps.
 * TB_SUCCESS: taken. TB_EXCEEDS_CAPACITY. TB_CLOSED. TB_INTERRUPTED. TB_QUEUE_FULL: max_waiters wait already; nothing
 * taken. TB_TIMED_OUT: not within any time that can be expressed. TB_E_OUT_OF_RANGE: the queue's debt would pass what
 * the bucket can count. */
TB_API tb_status tb_wait(tb_bucket *bucket, double n);

/* As tb_wait, but TB_TIMED_OUT at once, with nothing taken, if n tokens cannot be had within timeout_ns. 0 is a poll,
 * TB_FOREVER waits as tb_wait; a negative timeout is TB_E_INVALID_ARGUMENT. */
TB_API tb_status tb_wait_for(tb_bucket *bucket, double n, int64_t timeout_ns);

/* ---- Reserving: waiting in your own way -------------------------------------------------------------------------- */

/* Tokens promised for a later time; a plain value that the caller owns. A copy is the same reservation: cancel or
 * settle one of its copies, once. */
typedef struct tb_reservation {
    double tokens;       /* 0 once cancelled or settled */
    int64_t wait_ns;     /* from the call until the tokens may be used; 0: at once */
    int64_t ready_at_ns; /* the same as a time of the bucket's clock (the system clock: CLOCK_MONOTONIC) */
    uint64_t ticket;     /* the place in the order; opaque */
} tb_reservation;

/* Takes n tokens now, into debt if need be, and says when they may be used; nothing more need be called then. Does not
 * block. With max_wait_ns the reservation is refused at once, nothing taken, if it would have to wait longer
 * (TB_FOREVER: no limit). TB_SUCCESS. TB_TIMED_OUT: not within max_wait_ns, or not within any time that can be
 * expressed. TB_EXCEEDS_CAPACITY. TB_CLOSED. TB_E_INVALID_ARGUMENT: a negative max_wait_ns. TB_E_OUT_OF_RANGE as
 * tb_wait. TB_E_OUT_OF_MEMORY: some 2^24 reservations are pending, or there is no memory for one more. */
TB_API tb_status tb_reserve(tb_bucket *bucket, double n, int64_t max_wait_ns, tb_reservation *out_reservation);

/* Gives a reservation back and clears it: the bucket is as if it had never been, and those who wait move up. Later
 * reservations keep their times; what must stay for them, so that no window holds more than capacity + rate * window,
 * comes back when they are cancelled too, in any order, or are past. Nothing once ready_at_ns has passed or, after a
 * rise of the rate or a refund, its tokens have come in earlier; nothing after tb_reset, nothing the second time; of
 * one that need not wait, with tokens to spare, only if it came last and at this very instant. TB_SUCCESS in all these
 * cases. TB_E_INVALID_ARGUMENT: not a reservation. Takes longer the more reservations stand behind it. */
TB_API tb_status tb_cancel(tb_bucket *bucket, tb_reservation *reservation);

/* Ends a reservation whose work turned out to cost `actual` tokens, 0 or more, and clears it: what is kept counts as
 * used by now. Less than reserved: the rest comes back, as by tb_refund if the reservation was due, as by tb_cancel
 * before. More: the rest is charged as by tb_charge. TB_E_INVALID_ARGUMENT: a negative or infinite amount, or the
 * reservation was settled or cancelled already. TB_E_OUT_OF_RANGE as tb_charge. TB_CLOSED. */
TB_API tb_status tb_settle(tb_bucket *bucket, tb_reservation *reservation, double actual);

/* ---- Adjusting --------------------------------------------------------------------------------------------------- */

/* Takes n tokens unconditionally, n may exceed the capacity, going into debt if need be: for work whose cost is known
 * afterwards. *out_repaid_after_ns (may be NULL): until the debt is repaid, 0 without debt.
 * TB_E_OUT_OF_RANGE: the debt would pass 2^59 units. TB_CLOSED. */
TB_API tb_status tb_charge(tb_bucket *bucket, double n, int64_t *out_repaid_after_ns);

/* Puts n tokens in, at most up to the capacity; the rest is dropped. TB_CLOSED. */
TB_API tb_status tb_refund(tb_bucket *bucket, double n);

/* Sets the tokens in the bucket, 0 .. capacity or TB_INITIALLY_FULL, and forgives all debt.
 * TB_EXCEEDS_CAPACITY. TB_CLOSED. */
TB_API tb_status tb_reset(tb_bucket *bucket, double tokens);

/* Change the limit at once; tokens and debts are kept, and what exceeds a smaller capacity is dropped. Reservations
 * keep their times, waits get new ones; debts are repaid at the new rate. Ranges and errors as tb_create. TB_CLOSED. */
TB_API tb_status tb_set_rate(tb_bucket *bucket, double tokens_per_second);
TB_API tb_status tb_set_capacity(tb_bucket *bucket, double capacity);

/* ---- Looking: takes nothing -------------------------------------------------------------------------------------- */

/* The tokens in the bucket now, fractions included; negative while in debt. */
TB_API tb_status tb_available(tb_bucket *bucket, double *out_tokens);

/* The time until n tokens would be there if nobody took any; 0 if they are. n equal to the capacity: until full.
 * TB_EXCEEDS_CAPACITY: never. */
TB_API tb_status tb_time_until(tb_bucket *bucket, double n, int64_t *out_ns);

/* The limit in force, as a config that would create it anew. The caller sets out_config->struct_size (by
 * tb_config_init); fields beyond it are not written. */
TB_API tb_status tb_get_limit(tb_bucket *bucket, tb_config *out_config);

/* What a bucket created with TB_STATISTICS has decided so far; tokens_taken less tokens_given_back is what was used.
 * The price: where tb_allow takes 10 ns it takes 24 with TB_STATISTICS, 20 with on_event, and 10 with neither. */
typedef struct tb_stats {
    size_t struct_size;    /* set by the caller: sizeof(tb_stats) */
    int64_t granted;       /* takes, waits and reservations that got their tokens */
    int64_t denied;        /* takes: TB_DENIED */
    int64_t timed_out;     /* waits and reservations: TB_TIMED_OUT, at once or later */
    int64_t cancelled;     /* reservations cancelled, and waits that a signal, a close or a capacity ended */
    int64_t waits;         /* waits that slept and are over */
    int64_t total_wait_ns; /* of all those, by the bucket's clock */
    int64_t longest_wait_ns;
    int64_t waiting;          /* waits that sleep now and are not due */
    double tokens_taken;      /* by all that was granted, and by waits that ended otherwise */
    double tokens_given_back; /* of these, by tb_cancel, tb_settle, and by waits that ended otherwise */
} tb_stats;

/* Fills *out_stats as far as its struct_size says; counters of other threads' calls in progress may be missing.
 * TB_E_UNSUPPORTED: the bucket does not count. TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_stats. */
TB_API tb_status tb_get_stats(tb_bucket *bucket, tb_stats *out_stats);

/* ---- Clocks ------------------------------------------------------------------------------------------------------ */

/* The system clock, used when no other is named, is CLOCK_MONOTONIC, read from the CPU's cycle counter where the
 * kernel itself does so; on Linux time during which the machine is suspended does not count. The clocks below replace
 * it. A clock may serve many buckets, is kept alive by them, and never runs back: an earlier time is held at the
 * latest. */

/* Creates a clock that stands at start_ns (not negative) until it is moved: for tests and simulations. */
TB_API tb_status tb_manual_clock_create(int64_t start_ns, tb_clock **out_clock);

/* Move a manual clock to a time, or on by a duration (not negative), and wake whoever is due. A time before the
 * present one is TB_SUCCESS and leaves the clock where it is. TB_E_INVALID_ARGUMENT: negative, or no manual clock.
 * TB_E_OUT_OF_RANGE: past INT64_MAX. */
TB_API tb_status tb_manual_clock_set(tb_clock *clock, int64_t now_ns);
TB_API tb_status tb_manual_clock_advance(tb_clock *clock, int64_t duration_ns);

/* How many waits on a manual clock, of all its buckets, are not due yet, and when the first of them is (TB_FOREVER:
 * none). Either output may be NULL. A thread is counted once its place in the order is fixed, so a test knows without
 * sleeping that it waits. TB_E_INVALID_ARGUMENT: no manual clock. */
TB_API tb_status tb_manual_clock_waiters(tb_clock *clock, int64_t *out_count, int64_t *out_next_due_ns);

/* Returns the present time in nanoseconds from any fixed origin. Called on the calling thread, from several at once,
 * with no lock held; must neither throw nor longjmp. A negative time counts as 0. */
typedef int64_t (*tb_clock_fn)(void *user);

/* Creates a clock that asks `now` each time. Waits on it sleep for real what remains, then ask again. */
TB_API tb_status tb_callback_clock_create(tb_clock_fn now, void *user, tb_clock **out_clock);

/* Gives up the creator's hold on the clock; it is freed when the last bucket using it is. */
TB_API void tb_clock_destroy(tb_clock *clock);

#ifdef __cplusplus
}
#endif

#endif /* TOKENBUCKET_H */
