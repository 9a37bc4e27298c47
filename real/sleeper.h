/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A sleeper: what one thread of a node (a worker or the communicator) sleeps on, and how others wake it.
 *
 * A sleeper has an epoll set of its own, which holds the connections and an eventfd, and a word: awake,
 * asleep, or a token. Waking puts the token and writes the eventfd only if the thread was asleep, so that a
 * wake-up of a thread that runs costs no system call. The eventfd is edge-triggered and never read.
 *
 * real_wake: any thread. All else: the sleeper's own thread. */
#ifndef PM_REAL_SLEEPER_H
#define PM_REAL_SLEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "core/error.h"

struct real_sleeper {
    uint32_t word;
    int epoll_fd, event_fd;
};

/* PM_OK or PM_E_LIMIT (descriptors), with nothing left open. */
int real_sleeper_open(struct real_sleeper *s, struct pm_error *err);
void real_sleeper_close(struct real_sleeper *s);

/* Adds a descriptor; its events carry `data`, which must not be NULL. */
int real_sleeper_watch(struct real_sleeper *s, int fd, uint32_t events, void *data, struct pm_error *err);

/* Leaves a token and wakes the thread if it sleeps. */
void real_wake(struct real_sleeper *s);

/* Takes the token, if there is one. */
bool real_take_token(struct real_sleeper *s);

/* Sleeps until an event, a token or timeout_ns (PM_TIME_NEVER: for ever; 0: only looks), after polling for
 * spin_ns first. Returns the number of events, those of the eventfd left out; *token says whether a token was
 * there, which is taken. With a token that is already there it only looks. */
int real_sleep(struct real_sleeper *s, struct epoll_event *events, int max, int64_t spin_ns,
               int64_t timeout_ns, bool *token);

/* Sleeps until a token or timeout_ns without listening to anything; *token as above. */
void real_nap(struct real_sleeper *s, int64_t timeout_ns, bool *token);

/* CLOCK_MONOTONIC. */
int64_t real_clock_ns(void);

#endif
