/* SPDX-License-Identifier: MIT */
#ifndef THROTTLE_SIGNALS_H
#define THROTTLE_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* 0, or the signal that is to end the program. */
extern volatile sig_atomic_t stop_signal;

void catch_signals(void);
/* From now on a signal ends reads, writes and waits at least so often, for others to be done between them. */
void tick(int interval_ms);

/* +1: a doubling of the rate is asked for and not done; -1: a halving; 0: neither. */
int next_doubling(void);
void doubling_done(int doubling);

/* Ends the program as the signal does. */
int end_by(int signal_number);

#endif
