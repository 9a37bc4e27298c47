/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sending to and receiving from all peers. */
#include "real/transport.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/types.h"
#include "real/join.h"

/* The communicator naps shorter: the thread that it leaves the receiving to may be a worker, which goes. */
enum { EVENTS_MAX = 16, CREDIT_WAIT_NS = 100000000, NAP_COMMUNICATOR_NS = 50000, NAP_WORKER_NS = 200000 };

static int open_agents(struct real_transport *t, struct pm_error *err)
{
    uint32_t n = t->config.workers + 1;
    if (posix_memalign((void **)&t->agents, _Alignof(struct real_agent), n * sizeof *t->agents) != 0)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for %u agents", n);
    memset(t->agents, 0, n * sizeof *t->agents);
    for (uint32_t i = 0; i < n; i++)
        t->agents[i].sleeper.epoll_fd = t->agents[i].sleeper.event_fd = -1;
    t->communicator = &t->agents[n - 1];
    t->communicator->communicator = true;
    for (uint32_t i = 0; i < n; i++) {
        int rc = real_sleeper_open(&t->agents[i].sleeper, err);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

/* The order of registration decides who is woken: workers first. */
static int watch_peer(struct real_transport *t, struct real_peer *p, struct pm_error *err)
{
    for (uint32_t i = 0; i < t->config.workers && i < REAL_RECEIVERS_MAX; i++) {
        int rc = real_sleeper_watch(&t->agents[i].sleeper, p->fd, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE, p, err);
        if (rc != PM_OK)
            return rc;
    }
    return real_sleeper_watch(&t->communicator->sleeper, p->fd, EPOLLIN | EPOLLOUT | EPOLLET | EPOLLEXCLUSIVE,
                              p, err);
}

int real_transport_open(struct real_transport *t, const struct real_transport_config *config,
                        const struct real_link *links, struct pm_error *err)
{
    memset(t, 0, sizeof *t);
    t->config = *config;
    pthread_mutex_init(&t->failure_mutex, NULL);
    size_t bytes = config->nodes * sizeof *t->peers;
    if (posix_memalign((void **)&t->peers, _Alignof(struct real_peer), bytes) != 0) {
        t->peers = NULL;
        return pm_error_set(err, PM_E_MEMORY, "out of memory for %u peers", config->nodes);
    }
    memset(t->peers, 0, bytes);
    for (uint32_t i = 0; i < config->nodes; i++)
        t->peers[i].fd = -1;
    int rc = open_agents(t, err);
    for (uint32_t i = 0; i < config->nodes && rc == PM_OK; i++) {
        if (i == config->rank)
            continue;
        if (real_peer_open(&t->peers[i], i, links[i].fd, links[i].process, config->credit_bytes,
                           config->with_values) != PM_OK)
            rc = pm_error_set(err, PM_E_MEMORY, "out of memory for the receive buffer of node %u", i);
        else
            rc = watch_peer(t, &t->peers[i], err);
    }
    return rc;
}

void real_transport_close(struct real_transport *t)
{
    for (uint32_t i = 0; t->peers && i < t->config.nodes; i++)
        real_peer_close(&t->peers[i]);
    for (uint32_t i = 0; t->agents && i <= t->config.workers; i++)
        real_sleeper_close(&t->agents[i].sleeper);
    real_list_free(&t->inbox);
    free(t->peers);
    free(t->agents);
    t->peers = NULL;
    t->agents = NULL;
    pthread_mutex_destroy(&t->failure_mutex);
}

int real_transport_fail(struct real_transport *t, bool loss, int code, const char *fmt, ...)
{
    char text[PM_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    pthread_mutex_lock(&t->failure_mutex);
    if (t->failure.code == PM_OK) {
        pm_error_set(&t->failure, code, "%s", text);
        t->failure_is_loss = loss;
        __atomic_store_n(&t->failed, code, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&t->failure_mutex);
    for (uint32_t i = 0; i <= t->config.workers; i++)
        real_wake(&t->agents[i].sleeper);
    return code;
}

/* ---- Sending ---- */

static void send_self(struct real_transport *t, struct pm_message *m)
{
    m->next = NULL;
    real_latch_lock(&t->inbox_latch);
    real_list_append(&t->inbox, m, m);
    real_latch_unlock(&t->inbox_latch);
    real_wake(&t->communicator->sleeper);
}

bool real_transport_send(struct real_transport *t, struct pm_message *first)
{
    struct pm_message *m = first, *next;
    bool over = false;
    for (; m; m = next) {
        next = m->next;
        uint32_t to = m->destination;
        if (real_transport_failed(t)) {
            pm_message_free(m);
        } else if (to == t->config.rank) {
            send_self(t, m);
        } else {
            real_peer_append(&t->peers[to], m);
            if (next && next->destination == to)
                continue;
            real_peer_flush(&t->peers[to]);
            over |= real_peer_over_credit(&t->peers[to]);
        }
    }
    return over;
}

int real_transport_say(struct real_transport *t, enum pm_message_kind kind, uint16_t sub)
{
    for (uint32_t i = 0; i < t->config.nodes; i++) {
        if (i == t->config.rank)
            continue;
        const struct pm_shape shape = {.with_values = true};
        struct pm_message *m = pm_message_new(kind, &shape);
        if (!m)
            return real_transport_fail(t, false, PM_E_MEMORY, "out of memory for a message");
        m->destination = i;
        m->wire.source = m->wire.origin = t->config.rank;
        m->wire.sub = sub;
        real_transport_send(t, m);
    }
    return PM_OK;
}

void real_transport_wait_credit(struct real_transport *t)
{
    for (uint32_t i = 0; i < t->config.nodes; i++)
        if (i != t->config.rank && real_peer_over_credit(&t->peers[i]))
            while (!real_transport_failed(t) && !real_peer_wait_credit(&t->peers[i], CREDIT_WAIT_NS))
                ;
}

bool real_transport_flushed(const struct real_transport *t)
{
    for (uint32_t i = 0; i < t->config.nodes; i++)
        if (i != t->config.rank && __atomic_load_n(&t->peers[i].queued_bytes, __ATOMIC_ACQUIRE) > 0)
            return false;
    return true;
}

void real_transport_shutdown(struct real_transport *t)
{
    for (uint32_t i = 0; i < t->config.nodes; i++)
        if (i != t->config.rank)
            shutdown(t->peers[i].fd, SHUT_WR);
}

/* ---- Receiving ---- */

/* One receive step of an agent at a peer. */
struct step {
    struct real_transport *t;
    struct real_agent *agent;
    struct real_peer *peer; /* NULL: this node itself */
    uint32_t handled;       /* messages of the core */
    uint32_t taken;         /* turns that were had */
};

/* Seen by whoever looks after a failure that this agent does not see in its step. */
static void begin_step(struct real_agent *agent)
{
    __atomic_exchange_n(&agent->receiving, 1u, __ATOMIC_SEQ_CST);
}

static void end_step(struct real_agent *agent)
{
    __atomic_store_n(&agent->receiving, 0u, __ATOMIC_RELEASE);
}

void real_transport_wait_quiet(const struct real_transport *t, const struct real_agent *self)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i <= t->config.workers; i++)
        while (&t->agents[i] != self && __atomic_load_n(&t->agents[i].receiving, __ATOMIC_ACQUIRE))
            sched_yield();
}

static int take_control(struct step *s, struct pm_message *m)
{
    uint32_t *said = m->wire.kind == PM_MSG_HELLO ? &s->peer->ready : &s->peer->goodbye;
    uint32_t *count = m->wire.kind == PM_MSG_HELLO ? &s->t->ready : &s->t->goodbyes;
    pm_message_free(m);
    if (__atomic_exchange_n(said, 1u, __ATOMIC_ACQ_REL) == 0)
        __atomic_fetch_add(count, 1u, __ATOMIC_ACQ_REL);
    real_wake(&s->t->communicator->sleeper);
    return PM_OK;
}

static int take_message(void *arg, struct pm_message *m, struct pm_error *err)
{
    struct step *s = arg;
    uint64_t handled = __atomic_load_n(&s->agent->handled, __ATOMIC_RELAXED);
    __atomic_store_n(&s->agent->handled, handled + 1, __ATOMIC_RELAXED);
    if (m->wire.kind == PM_MSG_HELLO || m->wire.kind == PM_MSG_GOODBYE)
        return take_control(s, m);
    s->handled++;
    return s->t->config.handle(s->t->config.arg, s->agent->ctx, m, err);
}

static void end_of_stream(struct real_transport *t, struct real_peer *p, const char *how)
{
    if (__atomic_exchange_n(&p->closed, 1u, __ATOMIC_ACQ_REL))
        return;
    __atomic_fetch_add(&t->closed, 1u, __ATOMIC_ACQ_REL);
    if (__atomic_load_n(&p->goodbye, __ATOMIC_ACQUIRE))
        real_wake(&t->communicator->sleeper);
    else
        real_transport_fail(t, true, PM_E_PEER, "node %u lost its connection to node %u (process %d): %s",
                            t->config.rank, p->rank, p->process, how);
}

static void read_failed(struct real_transport *t, const struct real_peer *p, const struct pm_error *err)
{
    if (err->code == PM_E_MESSAGE)
        real_transport_fail(t, false, PM_E_PEER,
                            "node %u received a malformed message from node %u (process %d): %s",
                            t->config.rank, p->rank, p->process, err->text);
    else
        real_transport_fail(t, false, err->code, "node %u, with a message from node %u: %s", t->config.rank,
                            p->rank, err->text);
}

/* With the receive turn: reads until the socket is empty, or the agent is a worker that has been served. */
static void read_peer(struct step *s)
{
    struct real_transport *t = s->t;
    struct real_peer *p = s->peer;
    enum real_read got = REAL_READ_MORE;
    while (got == REAL_READ_MORE && !__atomic_load_n(&p->closed, __ATOMIC_RELAXED) &&
           !real_transport_failed(t)) {
        struct pm_error err = {.code = PM_OK};
        uint32_t before = s->handled;
        got = real_peer_read(p, take_message, s, &err);
        if (s->handled != before)
            t->config.deliver(t->config.arg, s->agent->ctx);
        if (got == REAL_READ_END)
            end_of_stream(t, p, "it was closed");
        else if (got == REAL_READ_FAILED)
            end_of_stream(t, p, strerror(errno));
        else if (got == REAL_READ_BAD)
            read_failed(t, p, &err);
        else if (got == REAL_READ_MORE && s->handled && !s->agent->communicator) {
            __atomic_store_n(&t->leftovers, 1u, __ATOMIC_RELEASE);
            real_wake(&t->communicator->sleeper);
            return;
        }
    }
}

static void step_peer(struct step *s, struct real_peer *p)
{
    if (__atomic_load_n(&p->closed, __ATOMIC_RELAXED) || !real_turn_take(&p->receive_turn))
        return;
    s->peer = p;
    s->taken++;
    do
        read_peer(s);
    while (!real_turn_give(&p->receive_turn));
}

static void step_inbox(struct step *s)
{
    struct real_transport *t = s->t;
    real_latch_lock(&t->inbox_latch);
    struct pm_message *m = t->inbox.first, *next;
    t->inbox.first = t->inbox.last = NULL;
    real_latch_unlock(&t->inbox_latch);
    if (!m)
        return;
    s->peer = NULL;
    for (; m; m = next) {
        next = m->next;
        struct pm_error err = {.code = PM_OK};
        if (real_transport_failed(t))
            pm_message_free(m);
        else if (take_message(s, m, &err) != PM_OK)
            real_transport_fail(t, false, err.code, "node %u, with a message to itself: %s", t->config.rank,
                                err.text);
    }
    t->config.deliver(t->config.arg, s->agent->ctx);
}

static void step_all(struct step *s)
{
    for (uint32_t i = 0; i < s->t->config.nodes; i++)
        if (i != s->t->config.rank)
            step_peer(s, &s->t->peers[i]);
}

static void step_events(struct step *s, const struct epoll_event *events, int n)
{
    for (int i = 0; i < n; i++) {
        struct real_peer *p = events[i].data.ptr;
        /* Not whether it is stuck: who found no room may be about to note that. */
        if ((events[i].events & EPOLLOUT) && __atomic_load_n(&p->queued_bytes, __ATOMIC_SEQ_CST) > 0) {
            real_peer_unstick(p);
            s->taken++;
        }
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            step_peer(s, p);
    }
}

bool real_transport_receive(struct real_transport *t, struct real_agent *agent, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_MAX];
    bool token = false;
    int n = 0;
    int64_t nap_ns = agent->communicator ? NAP_COMMUNICATOR_NS : NAP_WORKER_NS;
    struct step s = {.t = t, .agent = agent};
    if (agent->redundant && t->config.spin_ns == 0 && timeout_ns > 0)
        real_nap(&agent->sleeper, timeout_ns < nap_ns ? timeout_ns : nap_ns, &token);
    else
        n = real_sleep(&agent->sleeper, events, EVENTS_MAX, t->config.spin_ns, timeout_ns, &token);
    begin_step(agent);
    if (agent->communicator)
        agent->woke_ns = real_clock_ns();
    step_events(&s, events, n);
    agent->redundant = n > 0 && !token && s.taken == 0;
    if (agent->communicator) {
        step_inbox(&s);
        if (__atomic_load_n(&t->leftovers, __ATOMIC_RELAXED) &&
            __atomic_exchange_n(&t->leftovers, 0u, __ATOMIC_ACQ_REL))
            step_all(&s);
    }
    end_step(agent);
    return token || real_take_token(&agent->sleeper);
}

void real_transport_sweep(struct real_transport *t)
{
    struct step s = {.t = t, .agent = t->communicator};
    begin_step(t->communicator);
    step_all(&s);
    end_step(t->communicator);
}
