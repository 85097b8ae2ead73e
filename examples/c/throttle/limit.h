/* SPDX-License-Identifier: MIT */
#ifndef THROTTLE_LIMIT_H
#define THROTTLE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tokenbucket.h>

enum { BUFFER_SIZE = 65536 };

/* At most burst + rate * t leaves in any window of t seconds. The data goes out in chunks; each is paid for by one
 * tb_wait before it is written. A reader that stalls can hold one paid chunk back while the bucket fills again, so the
 * bucket holds the burst less one chunk. */
struct limit {
    tb_bucket *bucket;
    double rate, burst; /* per second; at once */
    size_t chunk;       /* the most that is paid for at once, about 10 ms of the rate */
};

tb_status create_limit(struct limit *limit, double rate, double burst, bool statistics);

/* To be called only between chunks: for one that is paid for and not written, burst is capacity plus chunk as they
 * were. */
tb_status change_rate(struct limit *limit, double rate);

#endif
