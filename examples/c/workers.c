/* SPDX-License-Identifier: MIT
 *
 * workers: four forked processes take from one bucket as fast as they can, and together get what one limit allows.
 *
 * The bucket lies in memory without a name, which the children inherit. Nothing else is shared, and nobody coordinates:
 * each child counts what it was granted and says so through a pipe. The bound is that of any window of time: a full
 * bucket, and what comes in from the first question to the last grant.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <tokenbucket.h>
#include <unistd.h>

enum { CAPACITY = 5000, RATE = 20000, WORKERS = 4, SKIPPED = 77, ENOUGH = 95 /* percent */ };

#define SECOND INT64_C(1000000000)

struct report {
    int worker;
    int64_t asked;
    int64_t granted;
    int64_t first_ns; /* when it began to ask */
    int64_t last_ns;  /* when the last one was granted */
};

static void need(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "workers: %s failed\n", what);
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static tb_bucket *open_bucket(void) {
    tb_bucket *bucket;
    tb_config config;
    int32_t fault = 0;
    need(tb_config_init(&config, sizeof config) == TB_SUCCESS, "tb_config_init");
    config.capacity = CAPACITY;
    config.rate_tokens = RATE;
    need(tb_shared_open(&config, NULL, 0, &bucket, &fault) == TB_SUCCESS, "tb_shared_open");
    return bucket;
}

/* A grant that is seen after the end is not counted: a worker that the system held up would stretch the window. */
static void work(tb_bucket *bucket, int worker, int64_t end, int out) {
    const int64_t begin = now_ns();
    struct report r = {worker, 0, 0, begin, begin};
    for (int64_t now = begin; now < end;) {
        const tb_status status = tb_allow(bucket, 1);
        need(status == TB_SUCCESS || status == TB_DENIED, "tb_allow");
        now = now_ns();
        if (status == TB_SUCCESS && now < end) r.last_ns = now, ++r.granted;
        ++r.asked;
    }
    need(write(out, &r, sizeof r) == sizeof r, "write");
}

int main(void) {
    if (!tb_has_feature("shared_memory")) {
        puts("skipped: this system has no memory that processes share");
        return SKIPPED;
    }
    int pipes[2];
    need(pipe(pipes) == 0, "pipe");
    tb_bucket *const bucket = open_bucket();
    const int64_t end = now_ns() + SECOND;
    for (int i = 0; i < WORKERS; ++i) {
        const pid_t child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            work(bucket, i, end, pipes[1]);
            _exit(EXIT_SUCCESS);
        }
    }

    struct report all = {0, 0, 0, end, 0}, of[WORKERS];
    for (int i = 0; i < WORKERS; ++i) {
        struct report r;
        int status = 0;
        need(wait(&status) > 0 && status == 0, "a worker");
        need(read(pipes[0], &r, sizeof r) == sizeof r, "read");
        of[r.worker] = r;
        all.asked += r.asked;
        all.granted += r.granted;
        if (r.first_ns < all.first_ns) all.first_ns = r.first_ns;
        if (r.last_ns > all.last_ns) all.last_ns = r.last_ns;
    }
    const double seconds = (double)(all.last_ns - all.first_ns) / SECOND;
    const double most = CAPACITY + RATE * seconds;
    const double granted = (double)all.granted;
    tb_destroy(bucket);

    printf("A limit of %d and %d a second, %d forked processes, %.3f s:\n", CAPACITY, RATE, WORKERS, seconds);
    printf("%-10s%12s%10s\n", "worker", "asked", "granted");
    for (int i = 0; i < WORKERS; ++i) printf("%-10d%12" PRId64 "%10" PRId64 "\n", i, of[i].asked, of[i].granted);
    printf("%-10s%12" PRId64 "%10" PRId64 ", %.1f %% of what the limit allows, %.0f\n", "together", all.asked,
           all.granted, 100 * granted / most, most);
    return granted <= most && granted * 100 >= most * ENOUGH ? EXIT_SUCCESS : EXIT_FAILURE;
}
