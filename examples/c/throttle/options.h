/* SPDX-License-Identifier: MIT */
#ifndef THROTTLE_OPTIONS_H
#define THROTTLE_OPTIONS_H

#include <stdbool.h>

enum { EXIT_USAGE = 2 };

struct options {
    double rate;  /* per second */
    double burst; /* at least 2 */
    bool lines;   /* rate and burst count lines, not bytes */
    bool progress;
    bool quiet;
    bool stats;
    const char *log_path; /* NULL: no log */
};

/* Reads the command line. Returns -1 to go on, or the exit status after it has printed what was asked for or what is
 * wrong. */
int parse_options(int argc, char **argv, struct options *out_options);

#endif
