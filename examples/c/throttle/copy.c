/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "copy.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "signals.h"

void complain(const char *what, tb_status status) {
    fprintf(stderr, "throttle: %s: %s\n", what, tb_status_message(status));
}

enum outcome failed(const char *what) {
    fprintf(stderr, "throttle: %s: %s\n", what, strerror(errno));
    return FAILED;
}

static enum outcome stopped_or_failed(const char *what) {
    if (errno == EPIPE) stop_signal = SIGPIPE;
    return stop_signal != 0 ? STOPPED : failed(what);
}

/* ---- The limit --------------------------------------------------------------------------------------------------- */

/* A doubling or halving beyond the limits of a bucket is refused, and the rate stays. */
static void follow_signals(struct throttle *t) {
    for (int doubling; (doubling = next_doubling()) != 0;) {
        const tb_status status = change_rate(&t->limit, doubling > 0 ? t->limit.rate * 2 : t->limit.rate / 2);
        doubling_done(doubling);
        if (status == TB_SUCCESS) {
            show_limit(&t->progress, t->limit.rate);
        } else if (status == TB_E_OUT_OF_RANGE) {
            fprintf(stderr, "throttle: the rate stays: it must be from 0.000000001 to 10G per second\n");
        } else {
            complain("changing the rate", status);
        }
    }
}

static enum outcome pay(struct throttle *t, size_t cost) {
    if (cost == 0) return GO_ON;
    if (stop_signal != 0) return STOPPED;
    const tb_status status = tb_wait(t->limit.bucket, (double)cost);
    if (status == TB_SUCCESS) return GO_ON;
    if (status == TB_INTERRUPTED) return UNPAID;
    complain("waiting", status);
    return FAILED;
}

/* ---- Reading and writing ----------------------------------------------------------------------------------------- */

static void look_at_progress(struct throttle *t) {
    show_progress(&t->progress, t->total, (struct limit_shown){t->limit.rate, t->limit.burst});
}

/* Waits for a descriptor that may be slow or non-blocking. An error is left for the read or write to report. */
static enum outcome await(struct throttle *t, int fd, short events) {
    struct pollfd polled = {.fd = fd, .events = events};
    for (;;) {
        if (stop_signal != 0) return STOPPED;
        const int ready = poll(&polled, 1, t->progress.shown ? progress_interval_ms(&t->progress) : -1);
        look_at_progress(t);
        if (ready > 0 || (ready < 0 && errno != EINTR)) return GO_ON;
    }
}

static bool try_again(void) {
    return (errno == EINTR && stop_signal == 0) || errno == EAGAIN || errno == EWOULDBLOCK;
}

static enum outcome fill(struct throttle *t) {
    memmove(t->buffer, t->buffer + t->begin, t->end - t->begin);
    t->end -= t->begin;
    t->begin = 0;
    for (;;) {
        if (await(t, STDIN_FILENO, POLLIN) != GO_ON) return STOPPED;
        const ssize_t n = read(STDIN_FILENO, t->buffer + t->end, BUFFER_SIZE - t->end);
        if (n >= 0) {
            t->end += (size_t)n;
            t->at_eof = n == 0;
            return GO_ON;
        }
        if (!try_again()) return stopped_or_failed("standard input");
    }
}

static enum outcome put(struct throttle *t, size_t length) {
    const size_t end = t->begin + length;
    while (t->begin < end) {
        if (await(t, STDOUT_FILENO, POLLOUT) != GO_ON) return STOPPED;
        const ssize_t n = write(STDOUT_FILENO, t->buffer + t->begin, end - t->begin);
        if (n >= 0) {
            t->begin += (size_t)n;
            t->bytes += (double)n;
        } else if (!try_again()) {
            return stopped_or_failed("standard output");
        }
    }
    return GO_ON;
}

/* ---- Chunks ------------------------------------------------------------------------------------------------------ */

/* What to write next, and what it costs. */
struct chunk {
    size_t length;
    size_t cost;
};

/* Whole lines while there are any; part of a line only if nothing more of it can be had. */
static struct chunk next_lines(const struct throttle *t) {
    const char *const begin = t->buffer + t->begin;
    const size_t buffered = t->end - t->begin;
    struct chunk next = {0, 0};
    size_t ended = 0;
    while (ended < t->limit.chunk) {
        const char *const newline = memchr(begin + next.length, '\n', buffered - next.length);
        if (newline == NULL) break;
        next.length = (size_t)(newline + 1 - begin);
        ++ended;
    }
    if (ended == 0 && (t->at_eof || buffered == BUFFER_SIZE)) next.length = buffered;
    if (next.length > 0) next.cost = (ended > 0 ? ended : 1) - (t->inside_line ? 1 : 0);
    return next;
}

static struct chunk next_bytes(const struct throttle *t) {
    const size_t buffered = t->end - t->begin;
    const size_t length = buffered < t->limit.chunk ? buffered : t->limit.chunk;
    return (struct chunk){length, length};
}

static void account(struct throttle *t, size_t cost) {
    t->total += (double)cost;
    if (t->log != NULL) fprintf(t->log, "%lld %zu\n", (long long)(now_ns() - t->progress.began_ns), cost);
}

static enum outcome step(struct throttle *t) {
    follow_signals(t);
    look_at_progress(t);
    const struct chunk next = t->lines ? next_lines(t) : next_bytes(t);
    if (next.length == 0) return t->at_eof ? COPIED : fill(t);
    const bool ends_line = t->buffer[t->begin + next.length - 1] == '\n';
    const enum outcome paid = pay(t, next.cost);
    if (paid == UNPAID) return GO_ON; /* again, by what signals have changed */
    if (paid != GO_ON) return paid;
    const enum outcome written = put(t, next.length);
    if (written != GO_ON) return written;
    t->inside_line = !ends_line;
    account(t, next.cost);
    return GO_ON;
}

enum outcome copy(struct throttle *t) {
    enum outcome outcome = GO_ON;
    while (outcome == GO_ON) outcome = step(t);
    if (outcome == COPIED && close(STDOUT_FILENO) != 0) outcome = failed("standard output");
    if (t->log != NULL && fclose(t->log) != 0 && outcome == COPIED) outcome = failed("log");
    return outcome;
}
