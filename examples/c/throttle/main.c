/* SPDX-License-Identifier: MIT
 *
 * throttle: copies standard input to standard output no faster than a limit, with a bounded burst.
 *
 * In any window of t seconds, at most burst + rate * t leaves, however long the source was idle or the reader stalled.
 * Where signals change the rate, rate * t is what the rates in force add up to. limit.c is what it asks of the library.
 */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "copy.h"
#include "options.h"
#include "signals.h"

/* The bytes from here to the end of standard input, if it is a file; else 0. */
static double bytes_to_copy(void) {
    struct stat input;
    if (fstat(STDIN_FILENO, &input) != 0 || !S_ISREG(input.st_mode)) return 0;
    const off_t left = input.st_size - lseek(STDIN_FILENO, 0, SEEK_CUR);
    return left > 0 ? (double)left : 0;
}

/* The exit status, or -1 to go on. */
static int set_up(struct throttle *t, const struct options *o) {
    t->lines = o->lines;
    const tb_status status = create_limit(&t->limit, o->rate, o->burst, o->stats);
    if (status != TB_SUCCESS) {
        complain("the limit", status);
        return EXIT_FAILURE;
    }
    /* If it is closed the log would be opened in its place, and get the data. */
    if (fcntl(STDOUT_FILENO, F_GETFD) == -1) {
        failed("standard output");
        return EXIT_FAILURE;
    }
    if (o->log_path != NULL && (t->log = fopen(o->log_path, "w")) == NULL) {
        failed(o->log_path);
        return EXIT_FAILURE;
    }
    t->progress.lines = o->lines;
    t->progress.expected = o->lines ? 0 : bytes_to_copy();
    t->progress.on_terminal = isatty(STDERR_FILENO) == 1;
    t->progress.shown = !o->quiet && (o->progress || (t->progress.on_terminal && isatty(STDOUT_FILENO) == 0));
    begin_progress(&t->progress);
    return -1;
}

static void print_stats(const struct throttle *t) {
    tb_stats stats = {.struct_size = sizeof stats};
    const int64_t lasted_ns = now_ns() - t->progress.began_ns;
    const tb_status status = tb_get_stats(t->limit.bucket, &stats);
    if (status != TB_SUCCESS) complain("statistics", status);
    fprintf(stderr, "throttle: bytes=%.0f", t->bytes);
    if (t->lines) fprintf(stderr, " lines=%.0f", t->total);
    fprintf(stderr, " seconds=%.3f mean_rate=%.1f waited_seconds=%.3f waits=%lld\n", (double)lasted_ns / 1e9,
            per_second(t->total, lasted_ns), (double)stats.total_wait_ns / 1e9, (long long)stats.waits);
}

int main(int argc, char **argv) {
    struct options options = {0};
    static struct throttle throttle;
    int status = parse_options(argc, argv, &options);
    if (status == -1) status = set_up(&throttle, &options);
    if (status != -1) return status;
    catch_signals();
    if (throttle.progress.shown) tick(progress_interval_ms(&throttle.progress));
    const enum outcome outcome = copy(&throttle);
    end_progress(&throttle.progress, throttle.total);
    if (options.stats) print_stats(&throttle);
    tb_destroy(throttle.limit.bucket);
    if (outcome == STOPPED) return end_by(stop_signal);
    return outcome == COPIED ? EXIT_SUCCESS : EXIT_FAILURE;
}
