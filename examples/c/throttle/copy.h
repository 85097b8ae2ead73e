/* SPDX-License-Identifier: MIT */
#ifndef THROTTLE_COPY_H
#define THROTTLE_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "limit.h"
#include "progress.h"

struct throttle {
    struct limit limit;
    struct progress progress;
    bool lines;   /* counts lines, not bytes */
    FILE *log;    /* NULL: none */
    double total; /* bytes or lines written */
    double bytes; /* written */

    char buffer[BUFFER_SIZE];
    size_t begin, end; /* what was read and not yet written */
    bool at_eof;
    bool inside_line; /* the line at `begin` is paid for: its first part has left */
};

/* GO_ON and UNPAID are between the steps of copying. */
enum outcome { GO_ON, UNPAID, COPIED, STOPPED, FAILED };

/* Copies standard input to standard output, and closes that and the log. STOPPED: by stop_signal. FAILED: the reason is
 * printed. */
enum outcome copy(struct throttle *t);

/* Prints an error of the system. */
enum outcome failed(const char *what);
/* Prints an error of the library. */
void complain(const char *what, tb_status status);

#endif
