/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sending and receiving of frames. */
#include "real/frame.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

static size_t frame_bytes(const struct real_frame *frame)
{
    size_t head = offsetof(struct real_frame, u);
    switch (frame->kind) {
    case REAL_FRAME_RECORD:
        return head + sizeof frame->u.record;
    case REAL_FRAME_PULSE:
        return head + sizeof frame->u.pulse;
    case REAL_FRAME_END:
        return head + sizeof frame->u.end;
    default:
        return head;
    }
}

bool real_frame_send(int fd, const struct real_frame *frame, bool wait)
{
    ssize_t sent;
    do
        sent = send(fd, frame, frame_bytes(frame), MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

int real_frame_receive(int fd, struct real_frame *frame)
{
    ssize_t got;
    do
        got = recv(fd, frame, sizeof *frame, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    return got >= (ssize_t)offsetof(struct real_frame, u) && (size_t)got == frame_bytes(frame) ? 1 : -1;
}
