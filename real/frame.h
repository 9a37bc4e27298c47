/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames between the calling process and the nodes' processes: a SOCK_SEQPACKET pair per node, so that each
 * frame is sent and received whole, by any thread, and the end of a process is the end of its stream. */
#ifndef PM_REAL_FRAME_H
#define PM_REAL_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/job.h"

enum real_frame_kind {
    REAL_FRAME_RECORD = 1, /* for job->report */
    REAL_FRAME_PULSE,      /* once a second: has anything happened, does anybody wait */
    REAL_FRAME_END,        /* the last one of a process */
    REAL_FRAME_EXPLAIN,    /* to a node: nothing moves; end, and say who waits for what */
};

struct real_frame {
    uint32_t kind;
    union {
        struct pm_record record;
        struct {
            uint64_t activity; /* messages handled, steps finished */
            uint32_t blocked;  /* workers that wait */
        } pulse;
        struct {
            int code;
            bool loss; /* the text only says that a connection was lost */
            uint64_t peak_rss_bytes;
            char text[PM_ERROR_TEXT_SIZE];
        } end;
    } u;
};

/* Sends a frame whole; `wait` = false: or not at all when there is no room. False when not sent. Any thread.
 */
bool real_frame_send(int fd, const struct real_frame *frame, bool wait);
/* Receives a frame: 1, 0 when there is none now, -1 at the end of the stream. Does not wait. */
int real_frame_receive(int fd, struct real_frame *frame);

#endif
