/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames in the pipe from the child to its parent: kind, length, payload; both ends are the same program. */
#include "sim/sim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { FRAME_RECORD = 1, FRAME_END };

struct frame {
    uint32_t kind, bytes;
};
struct end {
    int code;
    char text[PM_ERROR_TEXT_SIZE];
};

_Static_assert(sizeof(struct end) <= sizeof(struct pm_record), "write_frame's buffer holds either");

static void write_all(int fd, const void *data, size_t n)
{
    const char *at = data;
    while (n > 0) {
        ssize_t written = write(fd, at, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(1);
        at += written;
        n -= (size_t)written;
    }
}

static void write_frame(int fd, uint32_t kind, const void *payload, size_t bytes)
{
    char out[sizeof(struct frame) + sizeof(struct pm_record)];
    struct frame head = {kind, (uint32_t)bytes};
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, payload, bytes);
    write_all(fd, out, sizeof head + bytes);
}

void sim_frame_record(int fd, const struct pm_record *record)
{
    /* A histogram makes the record long; the others need not carry its room. */
    size_t used = sizeof *record;
    if (record->kind == PM_RECORD_PROGRESS)
        used = offsetof(struct pm_record, u) + sizeof record->u.progress;
    write_frame(fd, FRAME_RECORD, record, used);
}

void sim_frame_end(int fd, int code, const char *text)
{
    struct end end = {.code = code};
    strncpy(end.text, text, sizeof end.text - 1);
    write_frame(fd, FRAME_END, &end, sizeof end);
}

static void take(struct sim_frames *f, const struct frame *head, const char *payload,
                 const struct pm_job *job)
{
    if (head->kind == FRAME_RECORD) {
        struct pm_record record = {0};
        memcpy(&record, payload, head->bytes);
        job->report(job->report_arg, &record);
    } else {
        struct end end;
        memcpy(&end, payload, sizeof end);
        f->ended = true;
        f->code = end.code;
        memcpy(f->text, end.text, sizeof f->text);
        f->text[sizeof f->text - 1] = '\0';
    }
}

static bool plausible(const struct frame *head)
{
    return head->kind == FRAME_RECORD ? head->bytes <= sizeof(struct pm_record)
                                      : head->kind == FRAME_END && head->bytes == sizeof(struct end);
}

bool sim_frames_read(struct sim_frames *f, int fd, const struct pm_job *job)
{
    ssize_t got = read(fd, f->buffer + f->n, sizeof f->buffer - f->n);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    if (got == 0)
        return false;
    f->n += (size_t)got;
    size_t at = 0;
    struct frame head;
    while (f->n - at >= sizeof head) {
        memcpy(&head, f->buffer + at, sizeof head);
        if (!plausible(&head)) {
            f->malformed = true;
            return false;
        }
        if (f->n - at < sizeof head + head.bytes)
            break;
        take(f, &head, f->buffer + at + sizeof head, job);
        at += sizeof head + head.bytes;
    }
    memmove(f->buffer, f->buffer + at, f->n - at);
    f->n -= at;
    return true;
}
