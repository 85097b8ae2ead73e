/* SPDX-License-Identifier: MIT
 *
 * overload: threads ask one bucket for far more than it may give, and exactly what it may give is granted.
 *
 * Four workers share a bucket on a manual clock, which stands still while they ask. The granted tokens must be the
 * capacity plus the rate times the duration, to the token, whatever the threads' order.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <tokenbucket.h>

enum {
    CAPACITY = 500,
    RATE = 2000, /* tokens per second */
    WORKERS = 4,
    ASKS = 25, /* of each worker, at each step */
    STEP_MS = 10,
    DURATION_MS = 5000,
    STEPS = DURATION_MS / STEP_MS + 1,
    EXPECTED = CAPACITY + RATE * (DURATION_MS / 1000)
};

struct worker {
    pthread_t thread;
    int asked;
    int granted;
};

static tb_clock *manual_clock;
static tb_bucket *bucket;
static pthread_barrier_t step_begins, step_ends;

static void need(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "overload: %s failed\n", what);
    exit(EXIT_FAILURE);
}

static void *work(void *argument) {
    struct worker *const w = argument;
    for (int step = 0; step < STEPS; ++step) {
        pthread_barrier_wait(&step_begins);
        for (int i = 0; i < ASKS; ++i) {
            const tb_status status = tb_allow(bucket, 1);
            need(status == TB_SUCCESS || status == TB_DENIED, "tb_allow");
            w->granted += status == TB_SUCCESS;
            ++w->asked;
        }
        if (pthread_barrier_wait(&step_ends) == PTHREAD_BARRIER_SERIAL_THREAD && step + 1 < STEPS)
            need(tb_manual_clock_advance(manual_clock, STEP_MS * INT64_C(1000000)) == TB_SUCCESS, "the clock");
    }
    return NULL;
}

static void create_bucket(void) {
    tb_config config;
    need(tb_manual_clock_create(0, &manual_clock) == TB_SUCCESS, "tb_manual_clock_create");
    need(tb_config_init(&config, sizeof config) == TB_SUCCESS, "tb_config_init");
    config.capacity = CAPACITY;
    config.rate_tokens = RATE;
    config.clock = manual_clock;
    need(tb_create_with(&config, &bucket) == TB_SUCCESS, "tb_create_with");
}

int main(void) {
    create_bucket();
    need(pthread_barrier_init(&step_begins, NULL, WORKERS) == 0, "pthread_barrier_init");
    need(pthread_barrier_init(&step_ends, NULL, WORKERS) == 0, "pthread_barrier_init");

    struct worker workers[WORKERS] = {0};
    int asked = 0, granted = 0;
    for (int i = 0; i < WORKERS; ++i)
        need(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "pthread_create");
    for (int i = 0; i < WORKERS; ++i) {
        need(pthread_join(workers[i].thread, NULL) == 0, "pthread_join");
        asked += workers[i].asked;
        granted += workers[i].granted;
    }
    printf("overload c asked=%d granted=%d expected=%d\n", asked, granted, EXPECTED);

    pthread_barrier_destroy(&step_begins);
    pthread_barrier_destroy(&step_ends);
    tb_destroy(bucket);
    tb_clock_destroy(manual_clock);
    return granted == EXPECTED ? EXIT_SUCCESS : EXIT_FAILURE;
}
