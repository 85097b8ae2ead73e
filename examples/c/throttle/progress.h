/* SPDX-License-Identifier: MIT */
#ifndef THROTTLE_PROGRESS_H
#define THROTTLE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* What is shown on standard error. */
struct progress {
    bool shown;
    bool on_terminal; /* one line that is written over, else lines */
    bool lines;       /* amounts are lines, not bytes */
    double expected;  /* the amount there is to copy; 0: not known */
    int64_t began_ns;
    int64_t shown_ns;
    double shown_total;
};

/* What time it takes to copy the rest is at least what the limit makes it. */
struct limit_shown {
    double rate, burst;
};

int64_t now_ns(void);
double per_second(double amount, int64_t ns);

void begin_progress(struct progress *p);
int progress_interval_ms(const struct progress *p);
/* Shows how far it is, if something is shown and the last time was an interval ago. */
void show_progress(struct progress *p, double total, struct limit_shown limit);
void show_limit(const struct progress *p, double rate);
void end_progress(const struct progress *p, double total);

#endif
