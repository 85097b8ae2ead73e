/* SPDX-License-Identifier: MIT
 *
 * tokenbucket: an exact, lock-free token-bucket rate limiter.
 *
 * A bucket holds at most `capacity` tokens and gains `rate` tokens per second, evenly. Work takes tokens. When there
 * are not enough, it is denied, or it waits.
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
 *  1. Handles are opaque. A create function sets its handle only on success. A destroy function accepts NULL; elsewhere
 *     a NULL handle or a NULL required pointer is TB_E_INVALID_ARGUMENT.
 *  2. Every function that can fail returns a tb_status: 0 is success, a positive number an ordinary answer (denied,
 *     timed out), a negative number a failure. There is no other error channel: no errno, no log.
 *  3. A failure changes nothing. Outputs come last, are named out_*, and are written only on TB_SUCCESS.
 *  4. Tokens are doubles. An amount must be finite and greater than 0, else TB_E_INVALID_ARGUMENT; it may be a
 *     fraction. A bucket counts in whole units, a fraction of a token that is fixed at creation (tb_config.unit). An
 *     amount that is a whole number of units is exact, such as 0.1 where the unit is 1e-9. Any other cost is rounded up
 *     to a unit, any other refund down.
 *  5. In any window of w nanoseconds at most capacity + rate * (w + 1 ns) + 1 unit tokens are granted. A wait counts at
 *     its due time, a reservation at its ready_at_ns. If the limit changed, the capacity is the largest since the
 *     oldest promise in the window was made, and the rate at each instant is the one in force, or the one by which a
 *     pending reservation was promised if that is higher. Counted when they collect their tokens, waiters get at most
 *     capacity + rate * (w + max_lateness_ns). What tb_refund, tb_settle of a due reservation, tb_waiter_all_leave,
 *     tb_reset and tb_set_tokens (forgiven debt included) put in comes on top. tb_charge grants nothing.
 *  6. Times are int64_t nanoseconds, `_ns` in the name. TB_FOREVER as an argument means no limit, as a result: longer
 *     than can be expressed. A reported wait is exact: if nothing else changes the bucket, the tokens are there after
 *     that time, and one nanosecond earlier they are not. While reservations are pending, a take is told the time of
 *     a take; a wait or another reservation may be served earlier.
 *  7. All functions may be called from any number of threads at once, on the same handle; only a destroy function must
 *     be the last call on its handle.
 *  8. The functions under "Taking", tb_available and tb_time_until take no lock, never wait for another thread,
 *     allocate nothing, leave errno alone and make no system call except to read the clock. They are async-signal-safe
 *     if on_event and the function of a callback clock are. The others take a lock for a short time: do not call them
 *     in signal handlers. Only tb_wait, tb_wait_for, tb_wait_with, tb_wait_all and tb_destroy sleep, and those of a
 *     table that are named like them.
 *  9. After fork the child has an independent copy of every bucket. Waiters and reservations belong to the parent:
 *     nothing is pending in the copy, and the tokens that they hold stay taken in it.
 * 10. No initialisation call, no thread, no environment variable, and no global state but a number that tells a forked
 *     child from its parent, and a list of shared buckets, of which a forked child opens the locks anew.
 * 11. Structs that begin with struct_size grow at their end. A shorter one of an older program is accepted; a longer
 *     one of a newer program is accepted if all that this library does not know is zero, else TB_E_UNSUPPORTED. The
 *     others are fixed.
 */
#ifndef TOKENBUCKET_H
#define TOKENBUCKET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TB_API
#if defined(__GNUC__)
#define TB_API __attribute__((visibility("default")))
#else
#define TB_API
#endif
#endif

/* ---- Status ------------------------------------------------------------------------------------------------------ */

/* What a call answers: one of the numbers below, or one that a later library adds. */
typedef int32_t tb_status;

/* Name, number, message. The numbers are fixed for ever and equal on all systems; a later library may add more. */
#define TB_STATUS_LIST(X)                                                                    \
    X(TB_SUCCESS, 0, "success: done, or the tokens are granted")                             \
    X(TB_DENIED, 1, "denied: not enough tokens now")                                         \
    X(TB_TIMED_OUT, 2, "timed out: cannot be granted within the time allowed")               \
    X(TB_EXCEEDS_CAPACITY, 3, "exceeds capacity: more tokens than the bucket can ever hold") \
    X(TB_CLOSED, 4, "closed: the bucket was closed")                                         \
    X(TB_INTERRUPTED, 5, "interrupted: a signal handler ran, or the waiter left")            \
    X(TB_QUEUE_FULL, 6, "queue full: too many waiters")                                      \
    X(TB_TABLE_FULL, 7, "table full: no room for another key")                               \
    X(TB_PENDING, 8, "pending: waits in the queue")                                          \
    X(TB_E_INVALID_ARGUMENT, -1, "invalid argument")                                         \
    X(TB_E_OUT_OF_RANGE, -2, "out of range: an argument is outside the range allowed")       \
    X(TB_E_OUT_OF_MEMORY, -3, "out of memory")                                               \
    X(TB_E_UNSUPPORTED, -4, "unsupported: this library, system or object cannot do that")    \
    X(TB_E_SYSTEM, -5, "system error: the operating system refused a needed service")        \
    X(TB_E_UNAVAILABLE, -6, "unavailable: the store of the limit did not answer")            \
    X(TB_E_MISMATCH, -7, "mismatch: what is shared is another limit or of another kind")

#define TB_STATUS_CONSTANT(name, number, message) name = number,
enum { TB_STATUS_LIST(TB_STATUS_CONSTANT) };
#undef TB_STATUS_CONSTANT

/* ---- Creating ---------------------------------------------------------------------------------------------------- */

/* A limit with its tokens, its waiters and its reservations. */
typedef struct tb_bucket tb_bucket;

/* Creates a full bucket that holds up to `capacity` tokens, 1e-6 .. 1e15, and gains `tokens_per_second`, 1e-9 .. 1e10.
 * For 60 a minute pass 60.0 / 60, or use tb_create_with.
 * TB_E_INVALID_ARGUMENT: NaN or infinite. TB_E_OUT_OF_RANGE: outside the ranges, zero and negative numbers too.
 * TB_E_OUT_OF_MEMORY. */
TB_API tb_status tb_create(double capacity, double tokens_per_second, tb_bucket **out_bucket);

/* ---- Taking: never blocks ---------------------------------------------------------------------------------------- */

/* Takes n tokens if they are there now, all or nothing. It never overtakes a waiter. While reservations are pending, it
 * may be denied although granting it would delay none of them; not once the last of them is due.
 * tb_try_consume is the same function under another common name.
 * TB_SUCCESS: taken. TB_DENIED: not enough now. TB_EXCEEDS_CAPACITY: n can never be granted. TB_CLOSED. */
TB_API tb_status tb_allow(tb_bucket *bucket, double n);
TB_API tb_status tb_try_consume(tb_bucket *bucket, double n);

/* What a limiter tells its client, as in HTTP's RateLimit and Retry-After headers. Headers carry whole numbers: round
 * tokens down and seconds up, and check for TB_FOREVER first. */
typedef struct tb_decision {
    tb_status status;       /* as the call answered */
    int32_t reserved;       /* 0 */
    double remaining;       /* tokens left now; 0 while in debt */
    int64_t retry_after_ns; /* until this request would be granted; 0 if it was, TB_FOREVER if it never can be */
    int64_t reset_after_ns; /* until the bucket is full again */
} tb_decision;

/* As tb_allow, with the reason. *out_decision is written for TB_SUCCESS, TB_DENIED and TB_EXCEEDS_CAPACITY. */
TB_API tb_status tb_take(tb_bucket *bucket, double n, tb_decision *out_decision);

/* Takes as many whole tokens as are there now, at most `most`. *out_taken may be 0 with TB_SUCCESS. TB_CLOSED. */
TB_API tb_status tb_take_up_to(tb_bucket *bucket, double most, double *out_taken);

/* ---- Waiting: blocks the calling thread -------------------------------------------------------------------------- */

/* A time in nanoseconds: no limit, or longer than can be expressed. */
#define TB_FOREVER INT64_MAX

/* A waiter is a thread in a function that sleeps, or a place in the queue that tb_enqueue gave. All waiters of a bucket
 * stand in one queue: a higher priority first, then in order of arrival. Each is served at the exact time at which its
 * tokens are there, without polling. A take, a reservation, or a waiter of the same or a lower priority that comes
 * later never delays it. One that leaves without TB_SUCCESS gives its tokens back, and those behind it move up at once.
 *
 * tb_charge, tb_refund, tb_reset, tb_set_tokens, tb_settle, tb_set_rate and tb_set_capacity plan all waiters anew: they
 * keep their order and get new due times; pending reservations keep their times. A waiter that would then pass its
 * timeout leaves with TB_TIMED_OUT, and so does one that a higher priority puts behind its timeout. One that no longer
 * fits the capacity leaves with TB_EXCEEDS_CAPACITY.
 *
 * A waiter collects its tokens when its thread wakes or tb_waiter_check is called. Once due, they are kept for it for
 * max_lateness_ns; only tb_reset, tb_set_tokens and a late waiter before it take them back. If it comes later, because
 * the process was stopped or its event loop was busy, it is planned anew with all behind it, so late waiters do not act
 * all at once; they may then pass their timeouts. One that is late twice in a row is passed over until it comes, and
 * then takes its old place among those that still wait. */

/* Takes n tokens, sleeping until they are there. Not a POSIX cancellation point. On Linux the thread's timer slack is
 * narrowed while it sleeps.
 * TB_SUCCESS: taken. TB_EXCEEDS_CAPACITY: n can never be granted. TB_CLOSED: closed before n was due.
 * TB_INTERRUPTED: a signal handler ran during the sleep. Without the feature "interruptible_wait" the sleep goes on.
 * TB_QUEUE_FULL: max_waiters are waiting. TB_TIMED_OUT: not within any time that can be expressed.
 * TB_E_OUT_OF_RANGE: the debt would pass 2^59 units.
 * TB_E_OUT_OF_MEMORY: 2^24 - 1 waiters and reservations are pending, or there is no memory for one more. */
TB_API tb_status tb_wait(tb_bucket *bucket, double n);

/* As tb_wait, but TB_TIMED_OUT at once, with nothing taken, if n tokens cannot be had within timeout_ns. 0 is a poll,
 * which while reservations are pending may be granted where tb_allow is denied. TB_FOREVER waits as tb_wait.
 * TB_E_INVALID_ARGUMENT: also a negative timeout. */
TB_API tb_status tb_wait_for(tb_bucket *bucket, double n, int64_t timeout_ns);

/* As tb_wait_for, with a priority: any number, that of tb_wait is 0. Waiters of a higher one are served first, so those
 * of a lower one may wait for ever. max_waiters holds for all. */
TB_API tb_status tb_wait_with(tb_bucket *bucket, double n, int64_t timeout_ns, int32_t priority);

/* ---- Waiting without a thread: for event loops, tasks and futures ------------------------------------------------ */

/* Takes n tokens if tb_wait_with would not have to sleep. Otherwise it puts a waiter into the queue, without a thread.
 * TB_SUCCESS: taken; *out_waiter and *out_wait_ns are 0. TB_PENDING: *out_waiter is the waiter's number, never 0 and
 * this bucket's alone; its tokens are due in *out_wait_ns. Call tb_waiter_check after that time, by a timer of yours,
 * and whenever on_wake is called with the tag, until it answers something else; or call tb_waiter_leave. Any thread
 * may. TB_TIMED_OUT: *out_wait_ns is the time that it would have taken. Other answers as tb_wait_with.
 * The tag may be any number. on_wake may be called before tb_enqueue has returned. */
TB_API tb_status tb_enqueue(tb_bucket *bucket, double n, int64_t timeout_ns, int32_t priority, uint64_t tag,
                            uint64_t *out_waiter, int64_t *out_wait_ns);

/* Collects a waiter's tokens, or says how much longer they will take.
 * TB_PENDING: call again in *out_wait_ns, when they are due. If those before it are late again and again, that is a
 * later time, and on_wake is called when its turn comes. After any other answer the waiter is gone.
 * TB_SUCCESS: taken; *out_wait_ns is 0. TB_TIMED_OUT, TB_EXCEEDS_CAPACITY: by a change of the bucket, for a waiter of a
 * higher priority, or because it or one before it came late. TB_CLOSED. TB_E_OUT_OF_RANGE: it was passed over, and the
 * debt would pass 2^59 units. TB_E_INVALID_ARGUMENT: the waiter is gone, or never was; so is the parent's in a child of
 * a fork. Works after tb_close. */
TB_API tb_status tb_waiter_check(tb_bucket *bucket, uint64_t waiter, int64_t *out_wait_ns);

/* The waiter gives up and is gone. Its tokens come back, also those that are due and were not collected, and those
 * behind it move up. It counts as TB_INTERRUPTED. If its wait has ended already it counts as what tb_waiter_check would
 * have said; what was due when the bucket was closed does not come back.
 * TB_E_INVALID_ARGUMENT as tb_waiter_check. */
TB_API tb_status tb_waiter_leave(tb_bucket *bucket, uint64_t waiter);

/* ---- Closing ----------------------------------------------------------------------------------------------------- */

/* Closes the bucket for good. Waiters leave with TB_CLOSED, except those that are due. Later calls that take tokens or
 * change the bucket return TB_CLOSED; tb_cancel and the functions under "Looking" still work. Closing twice is
 * TB_SUCCESS. */
TB_API tb_status tb_close(tb_bucket *bucket);

/* Closes the bucket, sleeps until the last thread has left the queue and no on_wake of a manual clock is in progress,
 * and frees it and all its waiters. No other call may be in progress except those of threads that wait in the queue
 * (tb_stats.waiting), and none may start any more; an on_wake that tb_destroy or a manual clock calls may still check
 * or leave. Waiters that have not collected by then are neither counted nor reported to on_event. Must not be called by
 * on_wake or on_event. */
TB_API void tb_destroy(tb_bucket *bucket);

/* ---- Configuring ------------------------------------------------------------------------------------------------- */

/* For tb_config.initial_tokens, tb_reset and tb_remote_reset: as many as the capacity. */
#define TB_INITIALLY_FULL (-1.0)

/* tb_config.flags. Precise: a wait spins for its last 60 microseconds (200 without the feature "timer_slack") instead
 * of sleeping, at the price of processor time. Statistics: tb_get_stats counts. */
#define TB_PRECISE_WAIT UINT32_C(1)
#define TB_STATISTICS UINT32_C(2)

/* What tells a bucket the time; see "Clocks". */
typedef struct tb_clock tb_clock;

/* The argument of on_event. */
typedef struct tb_event {
    size_t struct_size; /* of what the library tells */
    tb_status status;   /* what the call or the wait was answered */
    int32_t reserved;   /* 0 */
    double n;           /* the tokens asked for */
    int64_t waited_ns;  /* how long the waiter waited, by the bucket's clock; 0 if it did not */
} tb_event;

/* Called for each TB_DENIED by tb_allow, tb_try_consume and tb_take, for the end of each wait in the queue, whatever
 * its status, for each wait refused at once with TB_TIMED_OUT or TB_QUEUE_FULL, and for each TB_TIMED_OUT by
 * tb_reserve. It runs on the calling thread, after the decision and with no lock held. It may call anything on the same
 * bucket but tb_destroy, and must neither throw nor longjmp. */
typedef void (*tb_event_fn)(void *user, const tb_event *event);

/* Tells a waiter of tb_enqueue, by its tag, to call tb_waiter_check: it is next or due earlier than it was told, its
 * wait has ended, or a manual clock has reached its due time. Called with no lock held, on a thread that is in a call
 * on this bucket, other than those under "Taking", or that moves the clock. Never called from within itself: what it
 * brings about is told after it has returned. It may call anything but tb_destroy, and must neither throw nor longjmp.
 * A call that began before a waiter was gone may still pass its tag, so look the tag up instead of following a pointer.
 */
typedef void (*tb_wake_fn)(void *user, uint64_t tag);

/* The ranges are those of tb_create. The rate is the exact fraction rate_tokens / rate_period_ns, such as 700000 per
 * hour. A double means the shortest decimal of up to 15 digits that reads back as that double, else the simplest
 * fraction that does: 0.1 is 1/10, 1.0 / 3 is 1/3.
 *
 * The unit is at most 1e-9 token if the capacity allows it, and finer if that makes the rate a whole number of units
 * per nanosecond: 50 per minute has a unit of 1/6e9. A bucket holds at most 2^58 units and owes at most 2^59. The unit
 * leaves room to raise the capacity 2^19-fold and to owe 2^20 capacities. It is never more than one token, so
 * capacities above some 5e11 leave less room. */
typedef struct tb_config {
    size_t struct_size;      /* set by tb_config_init */
    double capacity;         /* largest number of tokens held: the largest burst */
    double rate_tokens;      /* tokens gained ... */
    int64_t rate_period_ns;  /* ... in this time; default one second */
    double initial_tokens;   /* 0 .. capacity, or TB_INITIALLY_FULL (default) */
    tb_clock *clock;         /* NULL (default): the system clock; otherwise kept alive by the bucket */
    double unit;             /* read-only, written by tb_get_limit: the tokens in a unit */
    int64_t max_waiters;     /* that are not due yet; the next is told TB_QUEUE_FULL; 0 (default): no limit */
    uint32_t flags;          /* TB_PRECISE_WAIT, TB_STATISTICS; default 0 */
    uint32_t reserved;       /* 0 */
    tb_event_fn on_event;    /* see tb_event_fn; NULL (default): none */
    void *event_user;        /* passed to on_event */
    tb_wake_fn on_wake;      /* see tb_wake_fn; NULL (default): none, then waiters of tb_enqueue must look themselves */
    void *wake_user;         /* passed to on_wake */
    int64_t max_lateness_ns; /* see "Waiting"; 0 (default): 10 ms, on a manual clock TB_FOREVER: never late */
} tb_config;

/* Writes the defaults to *config; capacity and rate_tokens are left 0 and must be set. Pass sizeof(tb_config).
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_config. */
TB_API tb_status tb_config_init(tb_config *config, size_t struct_size);

/* Creates a bucket as *config says; *config is copied. Errors as tb_create, besides:
 * TB_E_INVALID_ARGUMENT: struct_size is too small to hold a rate, the period is not above 0, or initial_tokens,
 * max_waiters or max_lateness_ns is below 0.
 * TB_E_OUT_OF_RANGE: initial_tokens is above the capacity.
 * TB_E_UNSUPPORTED: unknown flags, or a tail that is unknown and not zero. */
TB_API tb_status tb_create_with(const tb_config *config, tb_bucket **out_bucket);

/* Why a configuration is refused: static texts, for a sentence such as "capacity must be from 1e-6 to 1e15 tokens". */
typedef struct tb_config_fault {
    const char *field;   /* the name of a field, or of an argument; NULL if nothing is refused */
    const char *allowed; /* what it must be */
} tb_config_fault;

/* Checks a configuration as tb_create_with does, and says which field is refused: the first one found. Creates nothing.
 * TB_SUCCESS: both texts of *out_fault are NULL. Other answers are those of tb_create_with, with both texts set;
 * *out_fault is not written if it is NULL itself: TB_E_INVALID_ARGUMENT. Never blocks. */
TB_API tb_status tb_config_check(const tb_config *config, tb_config_fault *out_fault);

/* ---- Reserving: waiting in your own way -------------------------------------------------------------------------- */

/* Tokens promised for a later time: a plain value that the caller owns. A copy is the same reservation. It is pending
 * before ready_at_ns and due from then on. */
typedef struct tb_reservation {
    double tokens;       /* 0 once cancelled or settled */
    int64_t wait_ns;     /* from the call until the tokens may be used; 0: at once */
    int64_t ready_at_ns; /* the same as a time of the bucket's clock (the system clock: CLOCK_MONOTONIC) */
    uint64_t ticket;     /* identifies it; opaque */
} tb_reservation;

/* Takes n tokens now, into debt if need be, and says when they may be used; no other call is needed then. Does not
 * sleep. It stands behind all waiters, and before pending reservations if one of the first eight gaps between them has
 * room for it. Refused at once if it would have to wait longer than max_wait_ns; TB_FOREVER: no limit.
 * TB_SUCCESS. TB_TIMED_OUT: not within max_wait_ns, or not within any time that can be expressed; nothing taken.
 * TB_EXCEEDS_CAPACITY. TB_CLOSED. TB_E_INVALID_ARGUMENT: also a negative max_wait_ns.
 * TB_E_OUT_OF_RANGE and TB_E_OUT_OF_MEMORY as tb_wait. */
TB_API tb_status tb_reserve(tb_bucket *bucket, double n, int64_t max_wait_ns, tb_reservation *out_reservation);

/* Gives a reservation back and clears it. While it is pending, all its tokens come back: the bucket is as if the
 * reservation had never been made, waiters behind it move up, and later reservations keep their times. Once due it
 * counts as used and nothing comes back; one with wait_ns 0 is due at once. To give back what is due and unused, use
 * tb_settle with 0.
 * Nothing comes back for a copy of one cancelled or settled before, for a second call, or after tb_reset.
 * TB_SUCCESS in all these cases. TB_E_INVALID_ARGUMENT: not a reservation. */
TB_API tb_status tb_cancel(tb_bucket *bucket, tb_reservation *reservation);

/* Ends a reservation whose work turned out to cost `actual` tokens, 0 or more, and clears it. While it is pending, its
 * cost becomes `actual`, as of its own time: waiters move up if that is less, and are put back if it is more. Once it
 * is due, the difference is refunded as by tb_refund or charged as by tb_charge. Settle one copy, once. A reservation
 * that tb_reset has made void is only cleared.
 * TB_E_INVALID_ARGUMENT: `actual` is negative or not finite, or the reservation is cleared.
 * TB_E_OUT_OF_RANGE as tb_charge. TB_CLOSED. */
TB_API tb_status tb_settle(tb_bucket *bucket, tb_reservation *reservation, double actual);

/* ---- Adjusting --------------------------------------------------------------------------------------------------- */

/* Takes n tokens unconditionally, going into debt if need be: for work whose cost is known afterwards. n may exceed the
 * capacity. Waiters are planned anew, later if need be; reservations keep their times.
 * *out_repaid_after_ns (may be NULL): until the debt is repaid, 0 without debt.
 * TB_E_OUT_OF_RANGE: the debt would pass 2^59 units. TB_CLOSED. */
TB_API tb_status tb_charge(tb_bucket *bucket, double n, int64_t *out_repaid_after_ns);

/* Puts n tokens in, at most up to the capacity. The rest is dropped, and so is what would overflow before a pending
 * reservation is due. Waiters move up. TB_CLOSED. */
TB_API tb_status tb_refund(tb_bucket *bucket, double n);

/* Sets the tokens in the bucket, 0 .. capacity or TB_INITIALLY_FULL, and forgives all debt. Pending reservations are
 * void: the bucket no longer counts them. The tokens go to waiters first, in order.
 * TB_EXCEEDS_CAPACITY. TB_CLOSED. TB_E_INVALID_ARGUMENT: negative or not finite. */
TB_API tb_status tb_reset(tb_bucket *bucket, double tokens);

/* Sets the tokens in the bucket, 0 .. capacity, to what a server said is left: what was taken or owed so far is
 * forgotten. Waiters keep their places and are planned anew, also those that are due and have not come; reservations
 * keep their times and tokens. Both are taken off what tb_available then shows. TB_EXCEEDS_CAPACITY. TB_CLOSED.
 * TB_E_INVALID_ARGUMENT: negative or not finite. */
TB_API tb_status tb_set_tokens(tb_bucket *bucket, double tokens);

/* Change the limit at once, whatever is owed. Tokens and debts are kept; what exceeds a lowered capacity is dropped.
 * The unit stays, so from then on the bucket may differ from one of real numbers by at most one unit and one
 * nanosecond. Reservations keep their times and tokens. What would overflow before they are due counts as gone at once,
 * so takes may be denied until then, even at a higher rate. Waiters are planned anew, in the same order.
 * TB_E_INVALID_ARGUMENT: NaN or infinite. TB_E_OUT_OF_RANGE: outside the ranges of tb_create, a capacity of less than
 * one unit or more than 2^58 units, or a rate that brings more than 2^58 units until the last pending reservation is
 * due. TB_CLOSED. */
TB_API tb_status tb_set_rate(tb_bucket *bucket, double tokens_per_second);
TB_API tb_status tb_set_capacity(tb_bucket *bucket, double capacity);

/* ---- Looking: takes nothing -------------------------------------------------------------------------------------- */

/* The tokens that takes find in the bucket now, fractions included; negative while in debt. What is promised to waiters
 * and pending reservations is already taken off. */
TB_API tb_status tb_available(tb_bucket *bucket, double *out_tokens);

/* The time until tb_take would grant n tokens if nobody else took any; 0 if it would now. With n equal to the capacity:
 * until the bucket is full. TB_EXCEEDS_CAPACITY: never. */
TB_API tb_status tb_time_until(tb_bucket *bucket, double n, int64_t *out_ns);

/* The limit in force and the unit, as a config for tb_create_with. The caller sets out_config->struct_size (by
 * tb_config_init); fields beyond it are not written. TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_config. */
TB_API tb_status tb_get_limit(tb_bucket *bucket, tb_config *out_config);

/* What a bucket created with TB_STATISTICS has decided so far. tokens_taken less tokens_given_back is what was used, if
 * nothing was charged, refunded, or settled at more than was reserved. */
typedef struct tb_stats {
    size_t struct_size; /* set by the caller: sizeof(tb_stats) */
    int64_t granted;    /* takes, waits and reservations that got their tokens */
    int64_t denied;     /* takes: TB_DENIED */
    int64_t timed_out;  /* waits and reservations: TB_TIMED_OUT, at once or later */
    int64_t cancelled;  /* reservations cancelled, and waits that ended by leaving, a signal, a close or a capacity */
    int64_t waits;      /* waits in the queue that are over */
    int64_t total_wait_ns;    /* of all those, by the bucket's clock */
    int64_t longest_wait_ns;  /* of one of them */
    int64_t waiting;          /* waiters now in the queue that are not due */
    double tokens_taken;      /* by all that was granted, and by waits that ended otherwise */
    double tokens_given_back; /* of these, by tb_cancel, tb_settle, and by waits that ended otherwise */
} tb_stats;

/* Writes *out_stats as far as its struct_size says. Calls of other threads in progress may not be counted yet.
 * TB_E_UNSUPPORTED: the bucket does not count. TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_stats. */
TB_API tb_status tb_get_stats(tb_bucket *bucket, tb_stats *out_stats);

/* ---- Limits by key ----------------------------------------------------------------------------------------------- */

/* A table holds a bucket for each key, such as a user or an address, all under one limit, in memory that is fixed at
 * creation. A key is 0 .. TB_MAX_KEY_SIZE bytes of any kind. A key that has not been used has a full bucket, so keys
 * need not be created, and a key whose bucket is full again makes room for others: a table holds the keys that have
 * taken something of late, however many there are in all.
 *
 * A table knows a key by a hash of at least 43 bits, made with a secret of its own, so nobody can find keys that
 * collide. A new key is mistaken for another one with a probability of less than 2e-12.
 *
 * What the functions below say of a bucket holds for each key. tb_table_allow, tb_table_take, tb_table_take_up_to,
 * tb_table_allow_many, tb_table_available and tb_table_time_until are as safe in signal handlers as those under
 * "Taking", if the feature "lock_free_table" is there; else they take a lock for a few instructions. */
typedef struct tb_table tb_table;

/* The most bytes of a key. */
#define TB_MAX_KEY_SIZE 65536

/* What happens to a new key when its 16 places are taken. Evict: the key among them that holds most tokens, and is not
 * in debt, is forgotten, as if its bucket were full; TB_TABLE_FULL if all are in debt. Deny: TB_TABLE_FULL. Admit:
 * TB_SUCCESS, and what is granted is not remembered. */
#define TB_TABLE_EVICT_FULLEST 0
#define TB_TABLE_DENY 1
#define TB_TABLE_ADMIT 2

/* How large a table is: by keys or by bytes, of which one is 0. */
typedef struct tb_table_config {
    size_t struct_size; /* set by tb_table_config_init */
    int64_t max_keys;   /* that are not full at one time; 24.6 bytes each */
    int64_t max_bytes;  /* 64 or more */
    int32_t when_full;  /* TB_TABLE_EVICT_FULLEST (default), TB_TABLE_DENY, TB_TABLE_ADMIT */
    uint32_t reserved;  /* 0 */
} tb_table_config;

/* Writes the defaults to *config; max_keys or max_bytes must be set. Pass sizeof(tb_table_config).
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_table_config. */
TB_API tb_status tb_table_config_init(tb_table_config *config, size_t struct_size);

/* Creates a table in which each key may take `capacity` tokens at once and gains `tokens_per_second`. With max_keys in
 * use 1 of some 10,000 new keys does not find room; beyond that it is ever more.
 * TB_E_INVALID_ARGUMENT: also max_keys below 1. TB_E_OUT_OF_RANGE: as tb_create, a capacity below a unit of a table
 * (see tb_table_create_with), or more memory than can be addressed. TB_E_OUT_OF_MEMORY. TB_E_SYSTEM: the system gives
 * no random numbers. */
TB_API tb_status tb_table_create(double capacity, double tokens_per_second, int64_t max_keys, tb_table **out_table);

/* Creates a table for a limit as for tb_create_with. The unit is as that of a bucket, but at most 64 units accrue in a
 * nanosecond: 1e-9 token at rates up to 64 per second, 1e-6 at 64,000; never more than a token.
 * max_waiters holds for each key.
 * Errors as tb_create_with and tb_table_create. TB_E_UNSUPPORTED: also initial_tokens, on_event or TB_STATISTICS. */
TB_API tb_status tb_table_create_with(const tb_config *limit, const tb_table_config *config, tb_table **out_table);

/* As tb_config_check, for tb_table_create_with. */
TB_API tb_status tb_table_config_check(const tb_config *limit, const tb_table_config *config,
                                       tb_config_fault *out_fault);

/* As tb_allow, tb_take and tb_take_up_to. TB_TABLE_FULL as TB_TABLE_DENY says. TB_E_INVALID_ARGUMENT: also key_size
 * above TB_MAX_KEY_SIZE. The key may be NULL if its size is 0. */
TB_API tb_status tb_table_allow(tb_table *table, const void *key, size_t key_size, double n);
TB_API tb_status tb_table_take(tb_table *table, const void *key, size_t key_size, double n, tb_decision *out_decision);
TB_API tb_status tb_table_take_up_to(tb_table *table, const void *key, size_t key_size, double most, double *out_taken);

/* tb_table_allow for `count` keys, which stand one behind the other in `keys`; faster than as many calls where the
 * table is larger than the processor's caches. key_sizes and out_answers have count elements, and so has amounts, or it
 * is NULL: one token for each. out_answers[i] is what tb_table_allow would say. The same key may occur again.
 * TB_SUCCESS, whatever the answers are. TB_E_INVALID_ARGUMENT, and nothing is taken: a key_size is above
 * TB_MAX_KEY_SIZE. */
TB_API tb_status tb_table_allow_many(tb_table *table, const void *keys, const size_t *key_sizes, const double *amounts,
                                     size_t count, tb_status *out_answers);

/* As tb_wait_for, tb_wait_with, tb_enqueue, tb_waiter_check and tb_waiter_leave: each key has a queue of its own, while
 * somebody waits or something is reserved. This allocates, and a key with a queue keeps its place; once all in it is
 * due, until a later call of those that are no takes sees that. A waiter's number is its key's alone. Threads that wait
 * leave before tb_table_destroy returns. */
TB_API tb_status tb_table_wait_for(tb_table *table, const void *key, size_t key_size, double n, int64_t timeout_ns);
TB_API tb_status tb_table_wait_with(tb_table *table, const void *key, size_t key_size, double n, int64_t timeout_ns,
                                    int32_t priority);
TB_API tb_status tb_table_enqueue(tb_table *table, const void *key, size_t key_size, double n, int64_t timeout_ns,
                                  int32_t priority, uint64_t tag, uint64_t *out_waiter, int64_t *out_wait_ns);
TB_API tb_status tb_table_waiter_check(tb_table *table, const void *key, size_t key_size, uint64_t waiter,
                                       int64_t *out_wait_ns);
TB_API tb_status tb_table_waiter_leave(tb_table *table, const void *key, size_t key_size, uint64_t waiter);

/* As tb_reserve, tb_cancel and tb_settle, with the key of the reservation. It is void after tb_table_remove, and once
 * it is due also when the key has lost its place, for then its bucket was full or is taken for full. */
TB_API tb_status tb_table_reserve(tb_table *table, const void *key, size_t key_size, double n, int64_t max_wait_ns,
                                  tb_reservation *out_reservation);
TB_API tb_status tb_table_cancel(tb_table *table, const void *key, size_t key_size, tb_reservation *reservation);
TB_API tb_status tb_table_settle(tb_table *table, const void *key, size_t key_size, tb_reservation *reservation,
                                 double actual);

/* As tb_charge, tb_refund, tb_available and tb_time_until. */
TB_API tb_status tb_table_charge(tb_table *table, const void *key, size_t key_size, double n,
                                 int64_t *out_repaid_after_ns);
TB_API tb_status tb_table_refund(tb_table *table, const void *key, size_t key_size, double n);
TB_API tb_status tb_table_available(tb_table *table, const void *key, size_t key_size, double *out_tokens);
TB_API tb_status tb_table_time_until(tb_table *table, const void *key, size_t key_size, double n, int64_t *out_ns);

/* Forgets a key: its bucket is full again. Waiters get their tokens from that, in order. TB_CLOSED,
 * TB_E_OUT_OF_MEMORY. */
TB_API tb_status tb_table_remove(tb_table *table, const void *key, size_t key_size);

/* Change the limit of all keys at once; no key is touched. With another capacity a key has what it would have if that
 * had been in force since its last take, or is full if it has lost its place since. While the change is being made,
 * some 0.2 ms, no tokens accrue.
 * Errors as tb_set_rate, for what is reserved of any key. TB_E_OUT_OF_RANGE: also 8191 units a nanosecond or more, or
 * a capacity above 2^57 units. */
TB_API tb_status tb_table_set_rate(tb_table *table, double tokens_per_second);
TB_API tb_status tb_table_set_capacity(tb_table *table, double capacity);

/* The limit in force and the unit, as tb_get_limit. */
TB_API tb_status tb_table_get_limit(tb_table *table, tb_config *out_config);

/* How full a table is. */
typedef struct tb_table_stats {
    size_t struct_size;     /* set by the caller: sizeof(tb_table_stats) */
    int64_t places;         /* for keys, free ones included */
    int64_t occupied;       /* by keys that are not full now */
    int64_t evicted;        /* keys so far */
    double tokens_forgiven; /* what evicted keys had spent, and what TB_TABLE_ADMIT granted */
} tb_table_stats;

/* Writes *out_stats as far as its struct_size says. Reads the whole table.
 * TB_E_INVALID_ARGUMENT: struct_size is no size of a tb_table_stats. */
TB_API tb_status tb_table_get_stats(tb_table *table, tb_table_stats *out_stats);

/* As tb_close and tb_destroy. */
TB_API tb_status tb_table_close(tb_table *table);
TB_API void tb_table_destroy(tb_table *table);

/* The most bytes that tb_address_key writes. */
#define TB_ADDRESS_KEY_SIZE 16

/* Writes the key of a network address: the same 4 bytes for all ways to write an IPv4 address, 16 for all addresses of
 * an IPv6 network of `ipv6_prefix` bits, 0 .. 128; 64 is what one customer usually has. Reads 192.0.2.1, 192.0.2.1:80,
 * 2001:db8::1, [2001:db8::1]:80, fe80::1%eth0, whose zone is dropped, and ::ffff:192.0.2.1, which is 192.0.2.1. The key
 * buffer holds TB_ADDRESS_KEY_SIZE bytes.
 * TB_E_INVALID_ARGUMENT: no address, or no prefix. */
TB_API tb_status tb_address_key(const char *text, size_t text_size, int32_t ipv6_prefix, void *out_key,
                                size_t *out_key_size);

/* ---- Several limits in one decision ------------------------------------------------------------------------------ */

/* The most limits in one decision. */
#define TB_MAX_MEMBERS 16

/* One of the limits that a decision must satisfy: a bucket, or a key of a table, and what it costs there. "10 a second
 * and 1000 an hour" are two buckets or two tables; requests and tokens are two members with costs of their own. */
typedef struct tb_member {
    tb_bucket *bucket; /* NULL: a key of `table` */
    tb_table *table;   /* NULL: `bucket` */
    const void *key;   /* in the table */
    size_t key_size;   /* 0 .. TB_MAX_KEY_SIZE */
    double n;          /* the tokens that it costs there */
} tb_member;

/* The member that refused, by its index; of several the one that takes longest to grant. */
typedef struct tb_refusal {
    int32_t member;         /* from 0 */
    int32_t reserved;       /* 0 */
    int64_t retry_after_ns; /* until that member would grant; TB_FOREVER: it never will, or cannot be told (full) */
} tb_refusal;

/* Takes from all of 1 .. TB_MAX_MEMBERS members, or from none. No member grants more than it would alone, and none is
 * touched while one of them refuses, except for TB_TABLE_FULL. If another thread takes what was seen a moment ago, what
 * was taken already is given back, but for what may have overflowed since; until then others may see fewer tokens than
 * there are. Takes a lock for a short time in these cases alone. TB_SUCCESS. TB_DENIED, TB_EXCEEDS_CAPACITY, TB_CLOSED,
 * TB_TABLE_FULL: what the member in *out_refusal says; that may be NULL, and is written in these cases.
 * TB_E_INVALID_ARGUMENT: also a member that is neither or both, and a limit that occurs twice. */
TB_API tb_status tb_allow_all(const tb_member *members, size_t count, tb_refusal *out_refusal);

/* Reserves from all members, or from none: out_reservations has `count` elements. Tokens are held from each at its own
 * time; all may be used in *out_wait_ns, the longest of the times. Nothing more need be called then.
 * TB_TIMED_OUT: not all within max_wait_ns. TB_E_OUT_OF_RANGE, TB_E_OUT_OF_MEMORY. Other answers as tb_allow_all, with
 * *out_refusal for TB_TIMED_OUT, too. */
TB_API tb_status tb_reserve_all(const tb_member *members, size_t count, int64_t max_wait_ns,
                                tb_reservation *out_reservations, int64_t *out_wait_ns, tb_refusal *out_refusal);

/* Gives back what tb_reserve_all reserved from the same members, and clears it. While any of it is pending all comes
 * back, of what is due already as by tb_settle with 0. Once all is due it counts as used and nothing comes back.
 * Not for a copy of what has been cancelled. TB_E_INVALID_ARGUMENT: also if one of them is cleared. */
TB_API tb_status tb_cancel_all(const tb_member *members, size_t count, tb_reservation *reservations);

/* A wait for all members: a waiter in the queue of each, with a priority as in tb_wait_with. What is due in one queue
 * is collected, and held until all have granted. If the wait ends otherwise what it holds comes back, as by tb_settle
 * with 0: so nothing is lost, and after tb_reset or tb_table_remove of a member nothing comes back there. tb_set_tokens
 * does not know of what is held. If one member is closed before all is collected the answer is TB_CLOSED. A wait that
 * succeeds counts for each member, another one for those that refused; if it is given up, for those that had not
 * granted.
 *
 * Sleeps until all have granted. TB_SUCCESS. TB_TIMED_OUT, at once, with nothing taken: not all within timeout_ns.
 * Other answers as tb_wait_with. *out_refusal, which may be NULL, is written for those that a member gives,
 * TB_TIMED_OUT among them. */
TB_API tb_status tb_wait_all(const tb_member *members, size_t count, int64_t timeout_ns, int32_t priority,
                             tb_refusal *out_refusal);

/* The same wait without a thread. A waiter lives until tb_waiter_all_leave, which must be called before a member's
 * bucket or table is destroyed. */
typedef struct tb_waiter_all tb_waiter_all;

/* As tb_enqueue. TB_PENDING: *out_waiter is the waiter; call tb_waiter_all_check in *out_wait_ns, when the next
 * member's tokens are due, and whenever a member's on_wake is called with the tag. TB_SUCCESS: all is taken;
 * *out_waiter is NULL and *out_wait_ns 0. Other answers as tb_wait_all, with nothing written but *out_refusal. */
TB_API tb_status tb_enqueue_all(const tb_member *members, size_t count, int64_t timeout_ns, int32_t priority,
                                uint64_t tag, tb_waiter_all **out_waiter, int64_t *out_wait_ns,
                                tb_refusal *out_refusal);

/* Collects what is due. TB_PENDING: call again in *out_wait_ns, which is 0 while another call for the same waiter is in
 * progress. Any other answer ends the wait and stays the same.
 * TB_SUCCESS: all is taken; *out_wait_ns is 0. Others as tb_waiter_check, with *out_refusal, which may be NULL.
 * TB_INTERRUPTED: also in a child of a fork. */
TB_API tb_status tb_waiter_all_check(tb_waiter_all *waiter, int64_t *out_wait_ns, tb_refusal *out_refusal);

/* Gives up the wait, unless it has ended, and frees the waiter. All comes back, and those behind it move up. NULL is
 * allowed. No tb_waiter_all_check of this waiter may be in progress. */
TB_API void tb_waiter_all_leave(tb_waiter_all *waiter);

/* ---- One limit for the processes of a host ----------------------------------------------------------------------- */

/* A bucket in memory that several processes share: all that have it open take from the same tokens and wait in the same
 * queue. Its functions work as for any tb_bucket, and a change that one process makes, such as tb_set_rate or tb_close,
 * applies to all of them at once. The differences are:
 *  - Convention 9: after fork, parent and child share the bucket. Reservations and waiters belong to the parent.
 *  - Convention 8: functions that take a lock also take a file lock. If a process is stopped while it holds that lock,
 *    these functions block in all other processes until it continues. A take may try that lock, without waiting for it,
 *    when more tokens have accrued than the bucket's state can count. A program that closes all its file descriptors
 *    must keep those of the bucket.
 *  - A process may be killed at any instant: nothing is granted twice and nothing hangs. What it took or reserved stays
 *    taken. Its waiters delay those behind them until their turn comes, and for max_lateness_ns after that.
 *  - on_wake is called only for changes that this process makes. A waiter of tb_enqueue learns of changes by other
 *    processes when its time comes, or when it is checked.
 *  - At most 1000 waiters and reservations can be pending; another one gets TB_E_OUT_OF_MEMORY. When the queue is
 *    full, a waiter that is a second overdue and no longer delays others (it was passed over, or its wait has ended)
 *    may lose its place: TB_QUEUE_FULL.
 *  - It cannot be a member of tb_wait_all or tb_enqueue_all: TB_E_UNSUPPORTED. tb_destroy ends only the waits of this
 *    process. on_event and TB_STATISTICS cover only what this process does.
 * Its clock is CLOCK_MONOTONIC, read through the vDSO or a system call, so a take costs some 20 to 40 ns more. A
 * process that can write the memory can grant itself any number of tokens, but no content of the memory makes a
 * function crash or hang. */

/* Why the memory of that name is not the bucket or table asked for. */
#define TB_SHARED_KIND 1     /* what has that name is not a regular file */
#define TB_SHARED_OWNER 2    /* it belongs to another user */
#define TB_SHARED_MODE 3     /* other users may read or write it */
#define TB_SHARED_SIZE 4     /* it is too short */
#define TB_SHARED_LAYOUT 5   /* it was made by another version of the library, or is something else */
#define TB_SHARED_BOOT 6     /* it is from an earlier boot of the machine */
#define TB_SHARED_CLOCK 7    /* its processes run in another time namespace */
#define TB_SHARED_DAMAGED 8  /* its content is not that of a valid bucket or table */
#define TB_SHARED_CAPACITY 9 /* its capacity is different */
#define TB_SHARED_RATE 10    /* its rate is different */
#define TB_SHARED_OBJECT 11  /* it is a bucket instead of a table, or the reverse */
#define TB_SHARED_PLACES 12  /* its table has room for more or fewer keys */
#define TB_SHARED_FULL 13    /* its table has a different when_full */

#define TB_SHARED_ADOPT UINT32_C(1) /* use what is in force there, whatever the configs say */

/* Opens the bucket of that name, or creates it as tb_create_with does. A name is that of a file in the system's shared
 * memory folder (Linux: /dev/shm), or an absolute path in a file system that supports O_TMPFILE. Only processes of the
 * same user can open it. NULL: a bucket without a name, shared with the children that this process forks from now on.
 * Without TB_SHARED_ADOPT, the limit of an existing bucket must equal that of the config, else TB_E_MISMATCH.
 * initial_tokens applies to a new bucket only.
 * TB_CLOSED: it was closed; this lasts until the name is removed. TB_E_MISMATCH: *out_fault, which may be NULL, is one
 * of the codes above. TB_E_SYSTEM: *out_fault is an errno, such as EACCES for a bucket of another user.
 * TB_E_INVALID_ARGUMENT: also an invalid name. TB_E_UNSUPPORTED: also a clock, an unknown flag, or a system without the
 * feature "shared_memory". */
TB_API tb_status tb_shared_open(const tb_config *config, const char *name, uint32_t flags, tb_bucket **out_bucket,
                                int32_t *out_fault);

/* Opens or creates a table as tb_shared_open does a bucket: all that have it open share the tokens and the queue of
 * each key, and a change of the limit, a tb_table_remove or a tb_table_close applies to all. What is said above of a
 * shared bucket holds for each key, but for this. One key in eight places, at least 16 and at most 512, can have
 * waiters or reservations at one time, each at most 128, in 24 KB for each such key besides max_bytes; more get
 * TB_E_OUT_OF_MEMORY. While the limit is being changed, some 0.2 ms, no tokens accrue; if a process is stopped then,
 * until it continues or is killed. If it is killed, waiters may learn of the change only at their former time, or from
 * later waits and reservations, of any key, that are not granted at once. A new table takes all its memory at once;
 * more than a container may use gets the process killed. Without TB_SHARED_ADOPT, the size and when_full must be equal,
 * too. Statuses as tb_shared_open and tb_table_create_with. TB_E_UNSUPPORTED: also without the feature
 * "lock_free_table". */
TB_API tb_status tb_shared_table_open(const tb_config *limit, const tb_table_config *config, const char *name,
                                      uint32_t flags, tb_table **out_table, int32_t *out_fault);

/* Removes the name of a bucket or table. Processes that have it open keep it. Opening the name again creates a new one,
 * and both together then allow twice the limit. TB_SUCCESS also if there is nothing of that name. TB_E_MISMATCH: what
 * has that name is neither, and stays; *out_fault, which may be NULL, is one of the codes above. TB_E_SYSTEM:
 * *out_fault is an errno. TB_E_UNSUPPORTED as above. */
TB_API tb_status tb_shared_remove(const char *name, int32_t *out_fault);

/* The message for one of these codes; "unknown fault" for any other number. Static text. */
TB_API const char *tb_shared_fault_message(int32_t fault);

/* ---- Limits in Redis or Valkey ----------------------------------------------------------------------------------- */

/* A limit whose buckets are stored on a server, each under its own key, for all processes of a fleet. The library does
 * no I/O: it turns a request into the arguments of one script call, and the reply into an answer. Your client sends
 *
 *     EVALSHA sha1 1 key argument ...              for tb_remote_take, tb_remote_take_up_to and tb_remote_peek
 *     EVALSHA sha1 2 key queue_key argument ...    for the others; tb_remote_queue_key makes the second key
 *
 * with the arguments as decimal numbers. If the server answers NOSCRIPT, it has lost the script (after a restart, a
 * failover or SCRIPT FLUSH) and has decided nothing: send EVAL with the text of the script and the same keys and
 * arguments. Any other error is neither a grant nor a denial.
 *
 * The server decides, by its own clock, in microseconds. The first key holds one number of at most 16 digits and
 * expires when its bucket is full; a bucket whose key does not exist is full. A bucket grants what a tb_bucket with the
 * same unit would grant at the same times, rounded up to a microsecond: at most capacity + rate * (w + 1 us) + 1 unit
 * in any window of w. tb_remote_get_limit shows the unit; it may be coarser than that of a tb_bucket, but is never more
 * than a token.
 *
 * If the server's clock goes back, a bucket whose debt or balance is then impossible (more debt than max_wait_ns
 * allows, or more tokens than it can hold) counts as empty from then on: its debt is forgiven, its reservations are
 * void, and a caller is denied for at most max_wait_ns plus the time to fill the bucket. If the clock goes forward or
 * the first key is lost, a bucket gains at most its capacity and what it owed; the same may happen, with a small
 * probability, if the clock goes back very far.
 *
 * The second key exists while something is reserved. A reservation stands behind the pending ones, or in a gap that a
 * cancelled one left, and keeps its time; tokens given back go to the next caller. The last 64 pending reservations of
 * a bucket can be cancelled; older ones count as used. A reservation voided by a reset stays void for max_wait_ns plus
 * the time to fill the bucket.
 *
 * A key belongs to one limit with one max_wait_ns: put a name for the limit into the key. */
typedef struct tb_remote tb_remote;

/* Prepares a limit as for tb_create_with. A bucket may owe at most what accrues in max_wait_ns, of which whole
 * microseconds count. A tb_remote never changes: any number of threads may use it.
 * TB_E_INVALID_ARGUMENT: also a negative max_wait_ns. TB_E_OUT_OF_RANGE: also a limit that the server, which has 53-bit
 * integers, cannot count exactly: typically a rate of more than 9 digits, or a bucket that takes more than 285 years to
 * fill. TB_E_UNSUPPORTED: also initial_tokens, max_waiters, a clock, flags, on_event or on_wake. */
TB_API tb_status tb_remote_create(const tb_config *limit, int64_t max_wait_ns, tb_remote **out_remote);

/* As tb_config_check, for tb_remote_create. */
TB_API tb_status tb_remote_config_check(const tb_config *limit, int64_t max_wait_ns, tb_config_fault *out_fault);

/* Frees it. NULL is allowed. */
TB_API void tb_remote_destroy(tb_remote *remote);

/* The limit and the unit, as tb_get_limit. */
TB_API tb_status tb_remote_get_limit(const tb_remote *remote, tb_config *out_config);

/* The text of the script, which is the same for all limits, and its SHA-1 as 40 lower-case hexadecimal digits. Static
 * text. */
TB_API const char *tb_remote_script(void);
TB_API const char *tb_remote_script_sha1(void);

/* The most bytes by which the second key is longer than the first. */
#define TB_REMOTE_QUEUE_KEY_ADDS 4

/* Writes the second key of a bucket, which is in the same slot of a cluster: q:key, or q:{key} if the key has no tag in
 * braces. If no first key begins with q:, no first key equals a second key. out_queue_key has room for key_size +
 * TB_REMOTE_QUEUE_KEY_ADDS bytes; no terminating zero is written. TB_E_INVALID_ARGUMENT: a key without a tag that is
 * empty or contains a closing brace, or key_size above TB_MAX_KEY_SIZE. */
TB_API tb_status tb_remote_queue_key(const void *key, size_t key_size, void *out_queue_key, size_t *out_size);

/* The most arguments of a call for one key, and the most numbers in its reply. */
#define TB_REMOTE_MAX_ARGUMENTS 9
#define TB_REMOTE_MAX_REPLY 6

/* Write the arguments of a call: *out_count of them, at most TB_REMOTE_MAX_ARGUMENTS, for which out_arguments must have
 * room. Keep them until the reply has been read. The calls do what these functions do: tb_take; tb_take_up_to;
 * tb_charge, up to the debt that max_wait_ns allows; tb_refund; tb_reset; and tb_available with tb_time_until for n
 * tokens. TB_EXCEEDS_CAPACITY as for those functions, without asking the server; nothing is written then.
 * TB_E_OUT_OF_RANGE, tb_remote_charge only: n is more than a full bucket plus the debt allowed. */
TB_API tb_status tb_remote_take(const tb_remote *remote, double n, int64_t *out_arguments, size_t *out_count);
TB_API tb_status tb_remote_take_up_to(const tb_remote *remote, double most, int64_t *out_arguments, size_t *out_count);
TB_API tb_status tb_remote_charge(const tb_remote *remote, double n, int64_t *out_arguments, size_t *out_count);
TB_API tb_status tb_remote_refund(const tb_remote *remote, double n, int64_t *out_arguments, size_t *out_count);
TB_API tb_status tb_remote_reset(const tb_remote *remote, double tokens, int64_t *out_arguments, size_t *out_count);
TB_API tb_status tb_remote_peek(const tb_remote *remote, double n, int64_t *out_arguments, size_t *out_count);

/* As tb_reserve, with a wait of at most max_wait_ns and at most that of tb_remote_create; as tb_cancel; as tb_settle.
 * The reservation is one that tb_remote_read_reservation wrote, for the same key; pass it to one tb_remote_cancel or
 * tb_remote_settle only. TB_E_INVALID_ARGUMENT: also if it is not such a reservation. */
TB_API tb_status tb_remote_reserve(const tb_remote *remote, double n, int64_t max_wait_ns, int64_t *out_arguments,
                                   size_t *out_count);
TB_API tb_status tb_remote_cancel(const tb_remote *remote, const tb_reservation *reservation, int64_t *out_arguments,
                                  size_t *out_count);
TB_API tb_status tb_remote_settle(const tb_remote *remote, const tb_reservation *reservation, double actual,
                                  int64_t *out_arguments, size_t *out_count);

/* For a take, a peek or a reservation, retry_after_ns is the time until its n tokens are there; for other calls, the
 * time until the debt is repaid. 0 if that is so now. */
typedef struct tb_remote_answer {
    double tokens;          /* taken, charged, reserved or put in; 0 if the call was refused */
    double remaining;       /* tokens left now, negative while in debt */
    int64_t retry_after_ns; /* see above */
    int64_t reset_after_ns; /* until the bucket is full again */
} tb_remote_answer;

/* Reads the reply to a call, a number or an array of numbers, with the arguments of that call. TB_SUCCESS. TB_DENIED,
 * of a take, and TB_TIMED_OUT, of a reservation: *out_answer is written, too. TB_E_OUT_OF_RANGE: a charge or settlement
 * would need more debt than max_wait_ns allows. TB_E_INVALID_ARGUMENT: not a reply to that call, or not a call of this
 * limit. */
TB_API tb_status tb_remote_read(const tb_remote *remote, const int64_t *arguments, size_t argument_count,
                                const int64_t *reply, size_t reply_count, tb_remote_answer *out_answer);

/* Reads the reply to tb_remote_reserve as a reservation: wait_ns counts from the server's decision, ready_at_ns is a
 * time of the server's clock. Sleep for wait_ns. TB_SUCCESS. TB_TIMED_OUT, TB_E_INVALID_ARGUMENT as tb_remote_read. */
TB_API tb_status tb_remote_read_reservation(const tb_remote *remote, const int64_t *arguments, size_t argument_count,
                                            const int64_t *reply, size_t reply_count, tb_reservation *out_reservation);

/* The most keys in one call of tb_remote_take_each. */
#define TB_REMOTE_MAX_KEYS 1024

/* One of the takes in a call for many keys: n tokens from the bucket of a key. */
typedef struct tb_remote_member {
    const tb_remote *remote; /* the limit */
    const void *key;         /* of the bucket on the server */
    size_t key_size;         /* 0 .. TB_MAX_KEY_SIZE */
    double n;                /* the tokens */
} tb_remote_member;

/* Write the arguments of one call for many keys, EVALSHA sha1 count key ... argument ..., with the keys in the order of
 * the members. out_arguments has room for 5 * count + 1. tb_remote_take_all takes from all of 1 .. TB_MAX_MEMBERS
 * members, or from none; their keys must share one tag in braces, as a cluster requires. tb_remote_take_each takes from
 * each of 1 .. TB_REMOTE_MAX_KEYS members that has enough, in order; in a cluster the keys of a call must be in one
 * slot, so send one call for each slot. If one of the keys holds something else, the whole call is an error, but tokens
 * may have been taken from the keys before it.
 * TB_EXCEEDS_CAPACITY: a member asks for more than its bucket can ever hold. TB_E_INVALID_ARGUMENT: also
 * tb_remote_take_all for keys without a common tag, or with the same key twice. */
TB_API tb_status tb_remote_take_all(const tb_remote_member *members, size_t count, int64_t *out_arguments,
                                    size_t *out_count);
TB_API tb_status tb_remote_take_each(const tb_remote_member *members, size_t count, int64_t *out_arguments,
                                     size_t *out_count);

/* Reads the reply to such a call, 3 * count numbers: for each member what tb_remote_read says of a take. out_statuses
 * and out_answers have `count` elements. Where tb_remote_take_all took from none, the members that would have granted
 * are TB_DENIED with retry_after_ns 0; for the others, retry_after_ns says how long to wait. TB_SUCCESS: all have
 * granted. TB_DENIED: not all; both outputs are written, too. TB_E_INVALID_ARGUMENT as tb_remote_read. */
TB_API tb_status tb_remote_read_many(const tb_remote_member *members, size_t count, const int64_t *arguments,
                                     size_t argument_count, const int64_t *reply, size_t reply_count,
                                     tb_status *out_statuses, tb_remote_answer *out_answers);

/* Parses a reply as the server sends it, such as "*3\r\n:1\r\n:0\r\n:0\r\n", for clients that do not: writes its
 * numbers, at most `room`, for which out_reply has room. TB_E_INVALID_ARGUMENT: an error, anything else that is not a
 * number or an array of numbers, an incomplete reply, or one with more numbers than `room`. */
TB_API tb_status tb_remote_parse(const char *text, size_t text_size, size_t room, int64_t *out_reply,
                                 size_t *out_count);

/* ---- Clocks ------------------------------------------------------------------------------------------------------ */

/* The system clock, used when no other is given, is CLOCK_MONOTONIC. It is read from the CPU's cycle counter where the
 * kernel itself does so. On Linux, time during which the machine is suspended does not count. The clocks below replace
 * it. A clock may serve many buckets and lives as long as any of them. It never runs back: if it is set to an earlier
 * time, or a callback returns one, the latest time stays. */

/* Creates a clock that stands at start_ns (not negative) until it is moved: for tests and simulations.
 * TB_E_INVALID_ARGUMENT. TB_E_OUT_OF_MEMORY. */
TB_API tb_status tb_manual_clock_create(int64_t start_ns, tb_clock **out_clock);

/* Set a manual clock to a time, or advance it by a duration (not negative), and wake the waiters that are due. Unless
 * max_lateness_ns is set, no waiter is late: each is served as if it had come at its due time. Setting an earlier time
 * than the present one is TB_SUCCESS and changes nothing.
 * TB_E_INVALID_ARGUMENT: negative, or not a manual clock. TB_E_OUT_OF_RANGE: past INT64_MAX. */
TB_API tb_status tb_manual_clock_set(tb_clock *clock, int64_t now_ns);
TB_API tb_status tb_manual_clock_advance(tb_clock *clock, int64_t duration_ns);

/* How many waiters on a manual clock, of all its buckets, are not due yet, and when the first of them is due
 * (TB_FOREVER: there are none). Either output may be NULL. A waiter is counted once its place in the order is fixed, so
 * a test can tell without sleeping that it waits. TB_E_INVALID_ARGUMENT: not a manual clock. */
TB_API tb_status tb_manual_clock_waiters(tb_clock *clock, int64_t *out_count, int64_t *out_next_due_ns);

/* Returns the current time in nanoseconds since any fixed origin. It is called on the calling thread, by several
 * threads at once, with no lock held, and must neither throw nor longjmp. A negative time counts as 0. A function that
 * changes the bucket for which it is called may be called again without end. */
typedef int64_t (*tb_clock_fn)(void *user);

/* Creates a clock that calls `now` for each reading. Its waiters sleep for what remains in real time, then call it
 * again.
 * TB_E_OUT_OF_MEMORY. */
TB_API tb_status tb_callback_clock_create(tb_clock_fn now, void *user, tb_clock **out_clock);

/* Drops the creator's reference. The clock is freed with the last bucket that uses it. */
TB_API void tb_clock_destroy(tb_clock *clock);

/* ---- Version, features, texts ------------------------------------------------------------------------------------ */

/* The version of this header. */
#define TB_VERSION_MAJOR 1
#define TB_VERSION_MINOR 0
#define TB_VERSION_PATCH 0

/* The version of the library at run time, as 10000 * major + 100 * minor + patch, and as text, such as "1.0.0". */
TB_API int32_t tb_library_version(void);
TB_API const char *tb_library_version_string(void);

/* The number in the library's SONAME. A program built for that number runs with this library. */
TB_API int32_t tb_abi_version(void);

/* 1 if this build has the named feature, else 0 (also for NULL and unknown names). Features:
 *   "counter_clock"       the system clock can use the CPU's cycle counter here
 *   "interruptible_wait"  a signal handler ends a wait (Linux)
 *   "timer_slack"         a wait narrows its thread's timer slack (Linux)
 *   "lock_free_table"     the processor has a compare-and-swap of 16 bytes
 *   "shared_memory"       tb_shared_open (Linux); with "lock_free_table", tb_shared_table_open */
TB_API int32_t tb_has_feature(const char *name);

/* The constant's name ("TB_DENIED") and a one-line message, static text; for an unknown number "TB_UNKNOWN" and
 * "unknown status". */
TB_API const char *tb_status_name(tb_status status);
TB_API const char *tb_status_message(tb_status status);

#ifdef __cplusplus
}
#endif

#endif /* TOKENBUCKET_H */
