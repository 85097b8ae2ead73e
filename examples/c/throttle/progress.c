/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "progress.h"

#include <stdio.h>
#include <time.h>

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double per_second(double amount, int64_t ns) {
    return ns > 0 ? amount * 1e9 / (double)ns : 0;
}

static void print_amount(const struct progress *p, double amount) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    for (; amount >= 999.95 && i < 4; ++i) amount /= 1000;
    fprintf(stderr, p->lines ? "%.*f%s lines" : "%.*f %sB", i == 0 ? 0 : 1, amount, prefixes[i]);
}

static void print_rate(const struct progress *p, double rate) {
    print_amount(p, rate);
    fputs("/s", stderr);
}

static void begin_line(const struct progress *p) {
    fputs(p->on_terminal ? "\r" : "throttle: ", stderr);
}

/* The last line stays on a terminal. */
static void end_line(const struct progress *p, bool stays) {
    if (p->on_terminal) fputs("\033[K", stderr);
    if (stays || !p->on_terminal) fputs("\n", stderr);
}

static void print_time_left(double seconds) {
    const double century = 100 * 365.25 * 86400;
    if (!(seconds < century)) {
        fputs(", never ends", stderr);
    } else if (seconds >= 100 * 3600) {
        fprintf(stderr, ", %.0f days left", seconds / 86400);
    } else if (seconds >= 3600) {
        const int whole = (int)seconds;
        fprintf(stderr, ", %d:%02d:%02d left", whole / 3600, whole / 60 % 60, whole % 60);
    } else {
        const int whole = (int)seconds;
        fprintf(stderr, ", %d:%02d left", whole / 60, whole % 60);
    }
}

/* At the average rate, but no faster than the limit allows. */
static double seconds_left(double left, double average, struct limit_shown limit) {
    const double by_average = average > 0 ? left / average : 0;
    const double by_limit = (left - limit.burst) / limit.rate;
    return by_average > by_limit ? by_average : by_limit;
}

void begin_progress(struct progress *p) {
    p->began_ns = p->shown_ns = now_ns();
}

int progress_interval_ms(const struct progress *p) {
    return p->on_terminal ? 250 : 1000;
}

void show_progress(struct progress *p, double total, struct limit_shown limit) {
    if (!p->shown) return;
    const int64_t now = now_ns();
    if (now - p->shown_ns < (int64_t)progress_interval_ms(p) * 1000000) return;
    const double average = per_second(total, now - p->began_ns);
    begin_line(p);
    print_amount(p, total);
    if (p->expected > 0) {
        fputs(" of ", stderr);
        print_amount(p, p->expected);
    }
    fputs(", now ", stderr);
    print_rate(p, per_second(total - p->shown_total, now - p->shown_ns));
    fputs(", average ", stderr);
    print_rate(p, average);
    if (p->expected > total) print_time_left(seconds_left(p->expected - total, average, limit));
    end_line(p, false);
    p->shown_ns = now;
    p->shown_total = total;
}

void show_limit(const struct progress *p, double rate) {
    if (!p->shown) return;
    begin_line(p);
    fputs("limit now ", stderr);
    print_rate(p, rate);
    end_line(p, true);
}

void end_progress(const struct progress *p, double total) {
    if (!p->shown) return;
    const int64_t lasted_ns = now_ns() - p->began_ns;
    begin_line(p);
    print_amount(p, total);
    fprintf(stderr, " in %.1f s, average ", (double)lasted_ns / 1e9);
    print_rate(p, per_second(total, lasted_ns));
    end_line(p, true);
}
