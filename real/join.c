/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The roll call: connects every two nodes and names those that do not come. */
#define _GNU_SOURCE /* accept4 */
#include "real/join.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/message.h"
#include "real/sleeper.h"

enum { RETRY_NS = 50000000, STRANGERS_MAX = 16 };

enum stage { UNUSED, RESTING, CONNECTING, GREETED, LISTENING };

/* One connection that is being made. */
struct attempt {
    enum stage stage;
    uint32_t rank; /* of the other side, when this side connects */
    int fd;
    int64_t retry_at_ns; /* RESTING */
};

struct roll {
    const struct real_rendezvous *r;
    struct real_link *links;
    struct attempt *attempts; /* [0, nodes): by rank, of this side; the rest: connections that came in */
    struct pollfd *polls;
    uint32_t n_attempts, joined;
    int64_t deadline_ns;
};

static void give_up(struct attempt *a, bool retry)
{
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    a->stage = retry ? RESTING : UNUSED;
    a->retry_at_ns = real_clock_ns() + RETRY_NS;
}

static void prepare_socket(const struct roll *roll, int fd)
{
    int on = 1, whole = PM_WIRE_BYTES, bytes = (int)roll->r->socket_buffer_bytes;
    /* Readable once a HELLO is there as a whole, or the end. */
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &whole, sizeof whole);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bytes > 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
}

static bool send_hello(const struct roll *roll, int fd)
{
    const struct pm_wire hello = {.length_bytes = PM_WIRE_BYTES,
                                  .kind = PM_MSG_HELLO,
                                  .source = roll->r->rank,
                                  .origin = REAL_WIRE_VERSION,
                                  .request = roll->r->nodes,
                                  .number = roll->r->job,
                                  .updates = (uint32_t)getpid()};
    return send(fd, &hello, sizeof hello, MSG_NOSIGNAL) == (ssize_t)sizeof hello;
}

static void connect_attempt(struct roll *roll, struct attempt *a)
{
    a->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (a->fd < 0) {
        give_up(a, true);
        return;
    }
    prepare_socket(roll, a->fd);
    const struct sockaddr_in *to = &roll->r->addresses[a->rank];
    a->stage = CONNECTING;
    if (connect(a->fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS)
        give_up(a, true);
}

/* The other side has answered: whole and right, or nothing is believed. */
static bool hello_is_right(const struct roll *roll, int fd, struct pm_wire *hello)
{
    if (recv(fd, hello, sizeof *hello, 0) != (ssize_t)sizeof *hello)
        return false;
    return hello->length_bytes == PM_WIRE_BYTES && hello->kind == PM_MSG_HELLO &&
           hello->origin == REAL_WIRE_VERSION && hello->number == roll->r->job &&
           hello->request == roll->r->nodes && hello->source < roll->r->nodes &&
           hello->source != roll->r->rank && roll->links[hello->source].fd < 0;
}

static void join_link(struct roll *roll, struct attempt *a, const struct pm_wire *hello)
{
    int one = 1;
    setsockopt(a->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    roll->links[hello->source].fd = a->fd;
    roll->links[hello->source].process = (int)hello->updates;
    roll->joined++;
    a->fd = -1;
    a->stage = UNUSED;
}

static void accept_all(struct roll *roll)
{
    for (uint32_t i = roll->r->nodes; i < roll->n_attempts; i++) {
        struct attempt *a = &roll->attempts[i];
        if (a->stage != UNUSED)
            continue;
        a->fd = accept4(roll->r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (a->fd < 0)
            return;
        a->stage = LISTENING;
        prepare_socket(roll, a->fd);
    }
}

/* Something has happened at a connection: takes it one stage on. */
static void advance(struct roll *roll, struct attempt *a)
{
    struct pm_wire hello;
    int error = 0;
    socklen_t length = sizeof error;
    bool own = a->stage != LISTENING;
    if (a->stage == CONNECTING) {
        getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &length);
        if (error == 0 && send_hello(roll, a->fd))
            a->stage = GREETED;
        else
            give_up(a, true);
        return;
    }
    if (!hello_is_right(roll, a->fd, &hello) ||
        (own ? hello.source != a->rank : hello.source < roll->r->rank) || (!own && !send_hello(roll, a->fd)))
        give_up(a, own);
    else
        join_link(roll, a, &hello);
}

/* Waits for something to happen and deals with it. */
static void step(struct roll *roll)
{
    uint32_t n = 0;
    int64_t now_ns = real_clock_ns();
    for (uint32_t i = 0; i < roll->n_attempts; i++) {
        struct attempt *a = &roll->attempts[i];
        if (a->stage == RESTING && a->retry_at_ns <= now_ns)
            connect_attempt(roll, a);
        roll->polls[i].fd = a->fd;
        roll->polls[i].events = a->stage == CONNECTING ? POLLOUT : POLLIN;
        roll->polls[i].revents = 0;
    }
    n = roll->n_attempts;
    roll->polls[n].fd = roll->r->listener;
    roll->polls[n].events = POLLIN;
    roll->polls[n].revents = 0;
    int64_t rest_ns = roll->deadline_ns - now_ns;
    int64_t wait_ns = rest_ns < RETRY_NS ? rest_ns : RETRY_NS;
    if (poll(roll->polls, n + 1, (int)(wait_ns / 1000000) + 1) <= 0)
        return;
    for (uint32_t i = 0; i < n; i++)
        if (roll->polls[i].revents && roll->attempts[i].fd == roll->polls[i].fd)
            advance(roll, &roll->attempts[i]);
    if (roll->polls[n].revents)
        accept_all(roll);
}

static int missing(const struct roll *roll, struct pm_error *err)
{
    char ranks[200] = "";
    size_t at = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < roll->r->nodes; i++) {
        if (i == roll->r->rank || roll->links[i].fd >= 0)
            continue;
        n++;
        if (at < sizeof ranks - 16)
            at += (size_t)snprintf(ranks + at, sizeof ranks - at, "%s%u", at ? ", " : "", i);
        else if (ranks[at - 1] != '.')
            at += (size_t)snprintf(ranks + at, sizeof ranks - at, ", ...");
    }
    return pm_error_set(
        err, PM_E_PEER, "roll call of node %u: %u of %u nodes did not join within %g s: rank%s %s",
        roll->r->rank, n, roll->r->nodes, (double)roll->r->timeout_ns / 1e9, n == 1 ? "" : "s", ranks);
}

static int start(struct roll *roll, struct pm_error *err)
{
    const struct real_rendezvous *r = roll->r;
    roll->n_attempts = 2 * r->nodes + STRANGERS_MAX;
    roll->attempts = calloc(roll->n_attempts, sizeof *roll->attempts);
    roll->polls = calloc(roll->n_attempts + 1, sizeof *roll->polls);
    if (!roll->attempts || !roll->polls)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for the roll call");
    for (uint32_t i = 0; i < roll->n_attempts; i++) {
        roll->attempts[i] = (struct attempt){.stage = i < r->rank ? RESTING : UNUSED, .rank = i, .fd = -1};
    }
    for (uint32_t i = 0; i < r->nodes; i++)
        roll->links[i] = (struct real_link){.fd = -1, .process = i == r->rank ? getpid() : 0};
    return PM_OK;
}

int real_join(const struct real_rendezvous *r, struct real_link *links, struct pm_error *err)
{
    struct roll roll = {.r = r, .links = links, .deadline_ns = real_clock_ns() + r->timeout_ns};
    int rc = start(&roll, err);
    while (rc == PM_OK && roll.joined + 1 < r->nodes) {
        step(&roll);
        if (roll.joined + 1 < r->nodes && real_clock_ns() >= roll.deadline_ns)
            rc = missing(&roll, err);
    }
    for (uint32_t i = 0; roll.attempts && i < roll.n_attempts; i++)
        if (roll.attempts[i].fd >= 0)
            close(roll.attempts[i].fd);
    for (uint32_t i = 0; rc != PM_OK && i < r->nodes; i++)
        if (roll.attempts && links[i].fd >= 0)
            close(links[i].fd);
    free(roll.attempts);
    free(roll.polls);
    return rc;
}
