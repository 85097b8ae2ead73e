/* Makes a call so often that a profiler can tell what one costs: counter|manual CALL CALLS, where CALL is one of those
 * in kCalls. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tokenbucket.h"

static void require(int held, const char *what) {
    if (held) return;
    fprintf(stderr, "instruction_count: %s\n", what);
    exit(1);
}

static tb_bucket *create(tb_clock *clock, int full) {
    tb_config config;
    tb_bucket *b = NULL;
    tb_config_init(&config, sizeof config);
    config.capacity = 50000; /* more than all calls together take */
    config.rate_tokens = 1;
    config.rate_period_ns = INT64_C(3600000000000); /* so slow that an empty bucket stays empty */
    config.initial_tokens = full ? TB_INITIALLY_FULL : 0;
    config.clock = clock;
    require(tb_create_with(&config, &b) == TB_SUCCESS, "cannot create a bucket");
    return b;
}

static double seconds(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* By then a system clock that uses the counter has measured it, twice, and goes by it for a second at a time. Not by
 * a call that is counted. */
static void run_clock_in(tb_bucket *b) {
    const double until = seconds() + 0.15;
    double tokens = 0;
    while (seconds() < until) require(tb_available(b, &tokens) == TB_SUCCESS, "cannot look");
}

static tb_status allow(tb_bucket *b) {
    return tb_allow(b, 1);
}
static tb_status allow_half(tb_bucket *b) {
    return tb_allow(b, 0.5);
}
static tb_status take(tb_bucket *b) {
    tb_decision d;
    return tb_take(b, 1, &d);
}
static tb_status reserve(tb_bucket *b) {
    tb_reservation r;
    return tb_reserve(b, 1, 0, &r);
}
static tb_status take_up_to(tb_bucket *b) {
    double taken;
    return tb_take_up_to(b, 1, &taken);
}

typedef struct Call {
    const char *name;
    tb_status (*make)(tb_bucket *);
    tb_status expected;
} Call;

static const Call kCalls[] = {
    {"allow", allow, TB_SUCCESS},           {"deny", allow, TB_DENIED},
    {"allow_half", allow_half, TB_SUCCESS}, {"take", take, TB_SUCCESS},
    {"take_denied", take, TB_DENIED},       {"reserve", reserve, TB_SUCCESS},
    {"take_up_to", take_up_to, TB_SUCCESS},
};

int main(int argc, char **argv) {
    require(argc == 4, "usage: instruction_count counter|manual CALL CALLS");
    const int manual = strcmp(argv[1], "manual") == 0;
    const Call *call = kCalls;
    while (call < kCalls + sizeof kCalls / sizeof *kCalls && strcmp(argv[2], call->name) != 0) ++call;
    require(call < kCalls + sizeof kCalls / sizeof *kCalls, "no such call");
    const long calls = atol(argv[3]);
    tb_clock *clock = NULL;
    if (manual) require(tb_manual_clock_create(0, &clock) == TB_SUCCESS, "cannot create a clock");
    tb_bucket *const b = create(clock, call->expected == TB_SUCCESS);
    if (!manual) run_clock_in(b);
    for (long i = 0; i < calls; ++i) require(call->make(b) == call->expected, "not the expected answer");
    tb_destroy(b);
    tb_clock_destroy(clock);
    return 0;
}
