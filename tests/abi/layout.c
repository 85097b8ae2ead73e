/* What is fixed for ever: the size, alignment and every offset of each public struct, each status number, each
 * constant. A struct may grow at its end (its size here then changes); nothing else may change. Compiles as C11 and
 * C++11. */
#include <stddef.h>
#include <stdint.h>

#include "tokenbucket.h"

#ifndef __cplusplus
#define static_assert _Static_assert
#define alignof _Alignof
#endif

#define STRUCT(type, size, alignment) \
    static_assert(sizeof(type) == (size) && alignof(type) == (alignment), "the size or alignment of " #type)
#define FIELD(type, field, offset, size) \
    static_assert(offsetof(type, field) == (offset) && sizeof(((type *)0)->field) == (size), #type "." #field)
#define NUMBER(name, number) static_assert((name) == (number), #name)

/* The offsets below are those of 64-bit systems. */
static_assert(sizeof(void *) == 8 && sizeof(size_t) == 8 && sizeof(double) == 8, "a 64-bit system");

STRUCT(tb_config, 88, 8);
FIELD(tb_config, struct_size, 0, 8);
FIELD(tb_config, capacity, 8, 8);
FIELD(tb_config, rate_tokens, 16, 8);
FIELD(tb_config, rate_period_ns, 24, 8);
FIELD(tb_config, initial_tokens, 32, 8);
FIELD(tb_config, clock, 40, 8);
FIELD(tb_config, unit, 48, 8);
FIELD(tb_config, max_waiters, 56, 8);
FIELD(tb_config, flags, 64, 4);
FIELD(tb_config, reserved, 68, 4);
FIELD(tb_config, on_event, 72, 8);
FIELD(tb_config, event_user, 80, 8);

STRUCT(tb_decision, 32, 8);
FIELD(tb_decision, status, 0, 4);
FIELD(tb_decision, reserved, 4, 4);
FIELD(tb_decision, remaining, 8, 8);
FIELD(tb_decision, retry_after_ns, 16, 8);
FIELD(tb_decision, reset_after_ns, 24, 8);

STRUCT(tb_reservation, 32, 8);
FIELD(tb_reservation, tokens, 0, 8);
FIELD(tb_reservation, wait_ns, 8, 8);
FIELD(tb_reservation, ready_at_ns, 16, 8);
FIELD(tb_reservation, ticket, 24, 8);

STRUCT(tb_event, 32, 8);
FIELD(tb_event, struct_size, 0, 8);
FIELD(tb_event, status, 8, 4);
FIELD(tb_event, reserved, 12, 4);
FIELD(tb_event, n, 16, 8);
FIELD(tb_event, waited_ns, 24, 8);

STRUCT(tb_stats, 88, 8);
FIELD(tb_stats, struct_size, 0, 8);
FIELD(tb_stats, granted, 8, 8);
FIELD(tb_stats, denied, 16, 8);
FIELD(tb_stats, timed_out, 24, 8);
FIELD(tb_stats, cancelled, 32, 8);
FIELD(tb_stats, waits, 40, 8);
FIELD(tb_stats, total_wait_ns, 48, 8);
FIELD(tb_stats, longest_wait_ns, 56, 8);
FIELD(tb_stats, waiting, 64, 8);
FIELD(tb_stats, tokens_taken, 72, 8);
FIELD(tb_stats, tokens_given_back, 80, 8);

NUMBER(TB_PRECISE_WAIT, 1);
NUMBER(TB_STATISTICS, 2);

NUMBER(TB_SUCCESS, 0);
NUMBER(TB_DENIED, 1);
NUMBER(TB_TIMED_OUT, 2);
NUMBER(TB_EXCEEDS_CAPACITY, 3);
NUMBER(TB_CLOSED, 4);
NUMBER(TB_INTERRUPTED, 5);
NUMBER(TB_QUEUE_FULL, 6);
NUMBER(TB_TABLE_FULL, 7);
NUMBER(TB_E_INVALID_ARGUMENT, -1);
NUMBER(TB_E_OUT_OF_RANGE, -2);
NUMBER(TB_E_OUT_OF_MEMORY, -3);
NUMBER(TB_E_UNSUPPORTED, -4);
NUMBER(TB_E_SYSTEM, -5);
#define TB_ONE(name, number, message) +1
static_assert(0 TB_STATUS_LIST(TB_ONE) == 13, "a status that this file does not list");

static_assert(sizeof(tb_status) == 4 && (tb_status)-1 < 0, "tb_status is int32_t");
NUMBER(TB_FOREVER, 9223372036854775807);
#ifdef __cplusplus /* to C, no arithmetic of doubles is constant */
static_assert(TB_INITIALLY_FULL == -1.0, "TB_INITIALLY_FULL");
#endif
static_assert(sizeof(TB_INITIALLY_FULL) == sizeof(double), "TB_INITIALLY_FULL is a double");
