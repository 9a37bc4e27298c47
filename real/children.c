/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calling process's loop while its children run. */
#include "real/children.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/types.h"
#include "real/sleeper.h"

/* What survivors get to notice a failure, report and exit; and how often interruption is looked for. */
enum { GRACE_MS = 3000, LOOK_MS = 20 };

/* The most telling reason counts; of equal ones the first. */
static void note_failure(struct real_children *c, enum real_reason reason, int code, const char *text)
{
    if (c->kill_at_ns == PM_TIME_NEVER)
        c->kill_at_ns = real_clock_ns() + GRACE_MS * 1000000ll;
    if (reason >= c->reason)
        return;
    c->reason = reason;
    pm_error_set(&c->failure, code, "%s", text);
}

/* A child has ended: by itself, or not. */
static void judge(struct real_children *c, uint32_t rank, int status)
{
    struct real_child *child = &c->child[rank];
    char text[PM_ERROR_TEXT_SIZE];
    if (child->killed || (child->ended && WIFEXITED(status) && WEXITSTATUS(status) == 0))
        return;
    if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "node %u (process %d) ended by signal %d (%s)", rank, child->number,
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof text, "node %u (process %d) ended with exit status %d", rank, child->number,
                 WEXITSTATUS(status));
    note_failure(c, REAL_REASON_NODE, PM_E_PEER, text);
}

static void reap(struct real_children *c, uint32_t rank, bool wait)
{
    struct real_child *child = &c->child[rank];
    int status;
    pid_t got;
    if (child->process == 0)
        return;
    do
        got = waitpid(child->process, &status, wait ? 0 : WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return;
    child->process = 0;
    if (got > 0)
        judge(c, rank, status);
}

void real_children_kill(struct real_children *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        reap(c, i, false);
        if (c->child[i].process == 0)
            continue;
        c->child[i].killed = true;
        kill(c->child[i].process, SIGKILL);
        reap(c, i, true);
    }
    for (uint32_t i = 0; i < c->n; i++)
        if (c->child[i].fd >= 0) {
            close(c->child[i].fd);
            c->child[i].fd = -1;
        }
}

static void take_end(struct real_children *c, struct real_child *child, struct real_frame *frame)
{
    child->ended = true;
    child->end_code = frame->u.end.code;
    child->peak_rss_bytes = frame->u.end.peak_rss_bytes;
    frame->u.end.text[sizeof frame->u.end.text - 1] = '\0';
    if (frame->u.end.code == PM_E_PROGRESS && c->explained)
        snprintf(child->waits, sizeof child->waits, "%.*s", (int)sizeof child->waits - 1, frame->u.end.text);
    else if (frame->u.end.code != PM_OK)
        note_failure(c, frame->u.end.loss ? REAL_REASON_LOSS : REAL_REASON_NODE, frame->u.end.code,
                     frame->u.end.text);
}

/* Takes all frames that a child has sent. */
static void take_frames(struct real_children *c, struct real_child *child)
{
    struct real_frame frame;
    int got;
    while ((got = real_frame_receive(child->fd, &frame)) > 0) {
        if (frame.kind == REAL_FRAME_RECORD) {
            c->moved_ns = real_clock_ns();
            if (c->job->report)
                c->job->report(c->job->report_arg, &frame.u.record);
        } else if (frame.kind == REAL_FRAME_PULSE) {
            if (frame.u.pulse.activity != child->activity)
                c->moved_ns = real_clock_ns();
            child->activity = frame.u.pulse.activity;
            child->blocked = frame.u.pulse.blocked;
        } else if (frame.kind == REAL_FRAME_END) {
            take_end(c, child, &frame);
        }
    }
    if (got < 0) {
        close(child->fd);
        child->fd = -1;
    }
}

/* Nothing has moved for long while somebody waits: asks all who waits for what. */
static void check_progress(struct real_children *c)
{
    const struct real_frame explain = {.kind = REAL_FRAME_EXPLAIN};
    int64_t limit_ns = c->settings->watchdog_ns;
    uint32_t blocked = 0;
    for (uint32_t i = 0; i < c->n; i++)
        blocked += c->child[i].blocked;
    if (limit_ns == 0 || blocked == 0 || c->reason != REAL_REASON_NONE ||
        real_clock_ns() - c->moved_ns < limit_ns)
        return;
    c->explained = true;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->child[i].fd >= 0 && !c->child[i].ended)
            real_frame_send(c->child[i].fd, &explain, false);
    note_failure(c, REAL_REASON_PROGRESS, PM_E_PROGRESS, "no progress");
}

static void describe_no_progress(struct real_children *c)
{
    char text[PM_ERROR_TEXT_SIZE];
    size_t at =
        (size_t)snprintf(text, sizeof text, "no progress for %g s:", (double)c->settings->watchdog_ns / 1e9);
    for (uint32_t i = 0; i < c->n && at < sizeof text; i++) {
        const struct real_child *child = &c->child[i];
        const char *waits = child->waits[0] ? child->waits
                            : child->ended  ? "waits for nothing"
                                            : "does not answer";
        at += (size_t)snprintf(text + at, sizeof text - at, "%s node %u %s", i ? ";" : "", i, waits);
    }
    pm_error_set(&c->failure, PM_E_PROGRESS, "%s", text);
}

static void check_interrupted(struct real_children *c)
{
    int number = c->job->interrupted ? c->job->interrupted() : 0;
    char text[80];
    if (number == 0 || c->reason == REAL_REASON_INTERRUPTED)
        return;
    snprintf(text, sizeof text, "interrupted by signal %d (%s)", number, strsignal(number));
    note_failure(c, REAL_REASON_INTERRUPTED, PM_E_INTERRUPTED, text);
    real_children_kill(c);
}

/* Waits a little for frames and ends; returns how many children are left. */
static uint32_t look(struct real_children *c, struct pollfd *polls)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < c->n; i++)
        polls[i] = (struct pollfd){.fd = c->child[i].fd, .events = POLLIN};
    poll(polls, c->n, LOOK_MS);
    check_interrupted(c);
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->child[i].fd >= 0 && polls[i].revents)
            take_frames(c, &c->child[i]);
        if (c->child[i].fd < 0)
            reap(c, i, false);
        left += c->child[i].process != 0;
    }
    return left;
}

int real_children_watch(struct real_children *c, struct pm_error *err)
{
    struct pollfd *polls = calloc(c->n, sizeof *polls);
    if (!polls)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for %u nodes", c->n);
    c->moved_ns = real_clock_ns();
    while (look(c, polls) > 0) {
        check_progress(c);
        if (real_clock_ns() >= c->kill_at_ns)
            real_children_kill(c);
    }
    free(polls);
    if (c->reason == REAL_REASON_NONE)
        return PM_OK;
    check_interrupted(c); /* a signal to the whole group may have ended the children first */
    if (c->reason == REAL_REASON_PROGRESS)
        describe_no_progress(c);
    return pm_error_set(err, c->failure.code, "%s", c->failure.text);
}
