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

/* Three kinds of systems: 64-bit ones, 32-bit ones that align 8 bytes to 8 (Arm), and those that align them to 4
 * (i386). What depends on the kind is written AT(first, second, third). */
struct aligned {
    char first;
    int64_t wide;
};
#define WIDE offsetof(struct aligned, wide)
#define WORD sizeof(void *)
#define AT(on_64, on_arm, on_i386) (WORD == 8 ? (on_64) : WIDE == 8 ? (on_arm) : (on_i386))
static_assert((WORD == 8 || WORD == 4) && (WIDE == 8 || WIDE == 4), "a known kind of system");
static_assert(sizeof(size_t) == WORD && sizeof(double) == 8, "a known kind of system");

STRUCT(tb_config, AT(112, 96, 88), WIDE);
FIELD(tb_config, struct_size, 0, WORD);
FIELD(tb_config, capacity, AT(8, 8, 4), 8);
FIELD(tb_config, rate_tokens, AT(16, 16, 12), 8);
FIELD(tb_config, rate_period_ns, AT(24, 24, 20), 8);
FIELD(tb_config, initial_tokens, AT(32, 32, 28), 8);
FIELD(tb_config, clock, AT(40, 40, 36), WORD);
FIELD(tb_config, unit, AT(48, 48, 40), 8);
FIELD(tb_config, max_waiters, AT(56, 56, 48), 8);
FIELD(tb_config, flags, AT(64, 64, 56), 4);
FIELD(tb_config, reserved, AT(68, 68, 60), 4);
FIELD(tb_config, on_event, AT(72, 72, 64), WORD);
FIELD(tb_config, event_user, AT(80, 76, 68), WORD);
FIELD(tb_config, on_wake, AT(88, 80, 72), WORD);
FIELD(tb_config, wake_user, AT(96, 84, 76), WORD);
FIELD(tb_config, max_lateness_ns, AT(104, 88, 80), 8);

STRUCT(tb_decision, 32, WIDE);
FIELD(tb_decision, status, 0, 4);
FIELD(tb_decision, reserved, 4, 4);
FIELD(tb_decision, remaining, 8, 8);
FIELD(tb_decision, retry_after_ns, 16, 8);
FIELD(tb_decision, reset_after_ns, 24, 8);

STRUCT(tb_reservation, 32, WIDE);
FIELD(tb_reservation, tokens, 0, 8);
FIELD(tb_reservation, wait_ns, 8, 8);
FIELD(tb_reservation, ready_at_ns, 16, 8);
FIELD(tb_reservation, ticket, 24, 8);

STRUCT(tb_config_fault, 2 * WORD, WORD);
FIELD(tb_config_fault, field, 0, WORD);
FIELD(tb_config_fault, allowed, WORD, WORD);

STRUCT(tb_event, AT(32, 32, 28), WIDE);
FIELD(tb_event, struct_size, 0, WORD);
FIELD(tb_event, status, AT(8, 4, 4), 4);
FIELD(tb_event, reserved, AT(12, 8, 8), 4);
FIELD(tb_event, n, AT(16, 16, 12), 8);
FIELD(tb_event, waited_ns, AT(24, 24, 20), 8);

STRUCT(tb_stats, AT(88, 88, 84), WIDE);
FIELD(tb_stats, struct_size, 0, WORD);
FIELD(tb_stats, granted, AT(8, 8, 4), 8);
FIELD(tb_stats, denied, AT(16, 16, 12), 8);
FIELD(tb_stats, timed_out, AT(24, 24, 20), 8);
FIELD(tb_stats, cancelled, AT(32, 32, 28), 8);
FIELD(tb_stats, waits, AT(40, 40, 36), 8);
FIELD(tb_stats, total_wait_ns, AT(48, 48, 44), 8);
FIELD(tb_stats, longest_wait_ns, AT(56, 56, 52), 8);
FIELD(tb_stats, waiting, AT(64, 64, 60), 8);
FIELD(tb_stats, tokens_taken, AT(72, 72, 68), 8);
FIELD(tb_stats, tokens_given_back, AT(80, 80, 76), 8);

STRUCT(tb_table_config, AT(32, 32, 28), WIDE);
FIELD(tb_table_config, struct_size, 0, WORD);
FIELD(tb_table_config, max_keys, AT(8, 8, 4), 8);
FIELD(tb_table_config, max_bytes, AT(16, 16, 12), 8);
FIELD(tb_table_config, when_full, AT(24, 24, 20), 4);
FIELD(tb_table_config, reserved, AT(28, 28, 24), 4);

STRUCT(tb_table_stats, AT(40, 40, 36), WIDE);
FIELD(tb_table_stats, struct_size, 0, WORD);
FIELD(tb_table_stats, places, AT(8, 8, 4), 8);
FIELD(tb_table_stats, occupied, AT(16, 16, 12), 8);
FIELD(tb_table_stats, evicted, AT(24, 24, 20), 8);
FIELD(tb_table_stats, tokens_forgiven, AT(32, 32, 28), 8);

STRUCT(tb_member, AT(40, 24, 24), WIDE);
FIELD(tb_member, bucket, 0, WORD);
FIELD(tb_member, table, AT(8, 4, 4), WORD);
FIELD(tb_member, key, AT(16, 8, 8), WORD);
FIELD(tb_member, key_size, AT(24, 12, 12), WORD);
FIELD(tb_member, n, AT(32, 16, 16), 8);

STRUCT(tb_refusal, 16, WIDE);
FIELD(tb_refusal, member, 0, 4);
FIELD(tb_refusal, reserved, 4, 4);
FIELD(tb_refusal, retry_after_ns, 8, 8);

STRUCT(tb_remote_member, AT(32, 24, 20), WIDE);
FIELD(tb_remote_member, remote, 0, WORD);
FIELD(tb_remote_member, key, AT(8, 4, 4), WORD);
FIELD(tb_remote_member, key_size, AT(16, 8, 8), WORD);
FIELD(tb_remote_member, n, AT(24, 16, 12), 8);

STRUCT(tb_remote_answer, 32, WIDE);
FIELD(tb_remote_answer, tokens, 0, 8);
FIELD(tb_remote_answer, remaining, 8, 8);
FIELD(tb_remote_answer, retry_after_ns, 16, 8);
FIELD(tb_remote_answer, reset_after_ns, 24, 8);

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
NUMBER(TB_PENDING, 8);
NUMBER(TB_E_INVALID_ARGUMENT, -1);
NUMBER(TB_E_OUT_OF_RANGE, -2);
NUMBER(TB_E_OUT_OF_MEMORY, -3);
NUMBER(TB_E_UNSUPPORTED, -4);
NUMBER(TB_E_SYSTEM, -5);
NUMBER(TB_E_UNAVAILABLE, -6);
NUMBER(TB_E_MISMATCH, -7);
#define TB_ONE(name, number, message) +1
static_assert(0 TB_STATUS_LIST(TB_ONE) == 16, "a status that this file does not list");

static_assert(sizeof(tb_status) == 4 && (tb_status)-1 < 0, "tb_status is int32_t");
NUMBER(TB_FOREVER, 9223372036854775807);
NUMBER(TB_MAX_KEY_SIZE, 65536);
NUMBER(TB_TABLE_EVICT_FULLEST, 0);
NUMBER(TB_TABLE_DENY, 1);
NUMBER(TB_TABLE_ADMIT, 2);
NUMBER(TB_ADDRESS_KEY_SIZE, 16);
NUMBER(TB_MAX_MEMBERS, 16);
NUMBER(TB_REMOTE_QUEUE_KEY_ADDS, 4);
NUMBER(TB_REMOTE_MAX_KEYS, 1024);
NUMBER(TB_SHARED_ADOPT, 1);
NUMBER(TB_SHARED_KIND, 1);
NUMBER(TB_SHARED_OWNER, 2);
NUMBER(TB_SHARED_MODE, 3);
NUMBER(TB_SHARED_SIZE, 4);
NUMBER(TB_SHARED_LAYOUT, 5);
NUMBER(TB_SHARED_BOOT, 6);
NUMBER(TB_SHARED_CLOCK, 7);
NUMBER(TB_SHARED_DAMAGED, 8);
NUMBER(TB_SHARED_CAPACITY, 9);
NUMBER(TB_SHARED_RATE, 10);
NUMBER(TB_SHARED_OBJECT, 11);
NUMBER(TB_SHARED_PLACES, 12);
NUMBER(TB_SHARED_FULL, 13);
NUMBER(TB_REMOTE_MAX_ARGUMENTS, 9);
NUMBER(TB_REMOTE_MAX_REPLY, 6);
#ifdef __cplusplus /* to C, no arithmetic of doubles is constant */
static_assert(TB_INITIALLY_FULL == -1.0, "TB_INITIALLY_FULL");
#endif
static_assert(sizeof(TB_INITIALLY_FULL) == sizeof(double), "TB_INITIALLY_FULL is a double");
