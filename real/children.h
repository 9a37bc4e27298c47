/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The children of a run, as the calling process sees them, and the judgement of why a run failed. One thread.
 */
#ifndef PM_REAL_CHILDREN_H
#define PM_REAL_CHILDREN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/job.h"
#include "real/frame.h"
#include "real/node.h"

/* From the most telling to the least. */
enum real_reason {
    REAL_REASON_INTERRUPTED, /* the user ends the run */
    REAL_REASON_NODE,        /* a process died, or ended with a reason of its own */
    REAL_REASON_PROGRESS,    /* nothing moves */
    REAL_REASON_LOSS,        /* a process ended because it lost a connection */
    REAL_REASON_NONE,
};

struct real_child {
    pid_t process; /* 0: not started, or reaped */
    int fd;        /* frames; -1: closed */
    bool ended;    /* has sent its last frame: */
    int end_code;
    bool killed; /* by us */
    int number;  /* the process number, kept after the end */
    uint64_t peak_rss_bytes;
    uint64_t activity;
    uint32_t blocked;
    char waits[PM_ERROR_TEXT_SIZE / 2]; /* answer to EXPLAIN */
};

struct real_children {
    const struct pm_job *job;
    const struct real_settings *settings;
    struct real_child *child; /* by rank */
    uint32_t n;
    enum real_reason reason;
    struct pm_error failure;
    int64_t kill_at_ns; /* PM_TIME_NEVER while nothing has failed */
    int64_t moved_ns;   /* when a child last showed activity */
    bool explained;
    struct sockaddr_in *addresses;
    int *listeners;
};

/* Looks after all children until they have ended. PM_OK, or the failure with its reason. */
int real_children_watch(struct real_children *c, struct pm_error *err);
/* Kills and reaps whatever is left. */
void real_children_kill(struct real_children *c);

#endif
