/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L

#include "signals.h"

#include <stddef.h>
#include <sys/time.h>
#include <unistd.h>

volatile sig_atomic_t stop_signal;
/* Doublings less halvings of the rate: asked for, which only the handler writes, and done, which only the rest does. */
static volatile sig_atomic_t doublings_asked, doublings_done;
static volatile sig_atomic_t ticks;

/* A signal between a look at these flags and the blocking call after it would not end that call; the next tick or the
 * alarm does. */
static void note_signal(int signal_number) {
    if (signal_number == SIGUSR1) {
        ++doublings_asked;
    } else if (signal_number == SIGUSR2) {
        --doublings_asked;
    } else if (signal_number != SIGALRM) {
        stop_signal = signal_number;
    }
    if (!ticks && (stop_signal != 0 || doublings_asked != doublings_done)) alarm(1);
}

/* Without SA_RESTART, so that reads, writes and tb_wait end. A signal that was ignored (nohup) stays ignored. No signal
 * meets the handler of another. */
void catch_signals(void) {
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM};
    struct sigaction noted = {.sa_handler = note_signal};
    sigfillset(&noted.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; ++i) {
        struct sigaction before;
        sigaction(caught[i], NULL, &before);
        if (before.sa_handler != SIG_IGN || caught[i] == SIGALRM) sigaction(caught[i], &noted, NULL);
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* reported by write as EPIPE */
}

void tick(int interval_ms) {
    const struct timeval interval = {.tv_sec = interval_ms / 1000, .tv_usec = interval_ms % 1000 * 1000};
    const struct itimerval timer = {.it_interval = interval, .it_value = interval};
    ticks = setitimer(ITIMER_REAL, &timer, NULL) == 0;
}

int next_doubling(void) {
    const int due = doublings_asked - doublings_done;
    return (due > 0) - (due < 0);
}

void doubling_done(int doubling) {
    doublings_done += doubling;
}

int end_by(int signal_number) {
    struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigaction(signal_number, &by_default, NULL);
    raise(signal_number);
    return 128 + signal_number;
}
