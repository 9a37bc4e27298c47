/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real backend's transport without core: clusters of two or three nodes inside this process, joined over
 * loopback TCP. Each node has worker threads, which send and then wait, and a communicator thread.
 * time-limit: 120 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/rng.h"
#include "core/types.h"
#include "real/join.h"
#include "real/transport.h"

enum { NODES_MAX = 3, WORKERS_MAX = 3, LANES = 16, SLOW = 2 };

struct member;

/* What a test gives to a cluster. */
struct plan {
    uint32_t nodes, workers;
    uint64_t credit_bytes, socket_buffer_bytes;
    int64_t spin_ns;
    void (*work)(struct member *m, uint32_t worker); /* on each worker's thread; may be NULL */
    uint32_t expected;                               /* messages that each node must get */
    bool answers;                                    /* a message with sub 1 is answered */
};

struct member {
    const struct plan *plan;
    struct real_rendezvous rendezvous;
    struct real_transport transport;
    pthread_t communicator, workers[WORKERS_MAX];
    uint64_t next[NODES_MAX]
                 [LANES]; /* per sender and lane: the number that must come; under the sender's turn */
    uint32_t got, disorder, stop; /* atomic */
    uint64_t most_queued;         /* atomic */
    int join_code;
    struct pm_error join_error;
};

struct cluster {
    struct plan plan;
    struct member members[NODES_MAX];
    struct sockaddr_in addresses[NODES_MAX];
    int listeners[NODES_MAX];
};

static uint64_t seed = 1;
static uint32_t slow_began, slow_ended; /* handling of the message with sub SLOW; atomic */

static struct pm_message *make_message(uint32_t from, uint32_t to, uint16_t lane, uint64_t number,
                                       uint32_t bytes)
{
    const struct pm_shape shape = {.blob_bytes = bytes, .with_values = true};
    struct pm_message *m = pm_message_new(PM_MSG_PRIVATE, &shape);
    assert_non_null(m);
    m->destination = to;
    m->wire.source = m->wire.origin = from;
    m->wire.worker = lane;
    m->wire.number = number;
    memset(pm_message_blob(m), (int)(number & 255), bytes);
    return m;
}

static void send_one(struct member *m, uint32_t to, uint16_t lane, uint64_t number, uint32_t bytes,
                     uint16_t sub)
{
    struct pm_message *message = make_message(m->rendezvous.rank, to, lane, number, bytes);
    message->wire.sub = sub;
    real_transport_send(&m->transport, message);
    for (uint32_t i = 0; i < m->plan->nodes; i++) {
        uint64_t queued = __atomic_load_n(&m->transport.peers[i].queued_bytes, __ATOMIC_RELAXED);
        if (queued > __atomic_load_n(&m->most_queued, __ATOMIC_RELAXED))
            __atomic_store_n(&m->most_queued, queued, __ATOMIC_RELAXED);
    }
}

static int handle(void *arg, struct pm_ctx *ctx, struct pm_message *message, struct pm_error *err)
{
    struct member *m = arg;
    (void)ctx, (void)err;
    const struct pm_wire *w = &message->wire;
    const unsigned char *blob = pm_message_blob(message);
    uint32_t bytes = w->length_bytes - PM_WIRE_BYTES;
    bool right = w->number == m->next[w->source][w->worker]++;
    if (bytes > 0 && (blob[0] != (w->number & 255) || blob[bytes - 1] != (w->number & 255)))
        right = false;
    if (!right)
        __atomic_fetch_add(&m->disorder, 1u, __ATOMIC_RELAXED);
    if (w->sub == SLOW) {
        __atomic_store_n(&slow_began, 1u, __ATOMIC_RELEASE);
        usleep(100000);
        __atomic_store_n(&slow_ended, 1u, __ATOMIC_RELAXED);
    }
    if (m->plan->answers && w->sub == 1)
        send_one(m, w->source, (uint16_t)(w->worker + LANES / 2), w->number, bytes, 0);
    pm_message_free(message);
    if (__atomic_add_fetch(&m->got, 1u, __ATOMIC_ACQ_REL) == m->plan->expected)
        for (uint32_t i = 0; i <= m->plan->workers; i++)
            real_wake(&m->transport.agents[i].sleeper);
    return PM_OK;
}

static void deliver(void *arg, struct pm_ctx *ctx)
{
    (void)arg, (void)ctx; /* handle has sent already */
}

static void *join_member(void *arg)
{
    struct member *m = arg;
    struct real_link links[NODES_MAX];
    m->join_code = real_join(&m->rendezvous, links, &m->join_error);
    if (m->join_code != PM_OK)
        return NULL;
    const struct real_transport_config config = {
        .rank = m->rendezvous.rank,
        .nodes = m->plan->nodes,
        .workers = m->plan->workers,
        .with_values = true,
        .credit_bytes = m->plan->credit_bytes,
        .spin_ns = m->plan->spin_ns,
        .handle = handle,
        .deliver = deliver,
        .arg = m,
    };
    m->join_code = real_transport_open(&m->transport, &config, links, &m->join_error);
    return NULL;
}

static void cluster_prepare(struct cluster *c, const struct plan *plan, int64_t timeout_ns)
{
    const struct real_port_range any = {0, 0};
    struct pm_error err = {.code = PM_OK};
    memset(c, 0, sizeof *c);
    c->plan = *plan;
    assert_int_equal(real_listen(&any, plan->nodes, c->addresses, c->listeners, &err), PM_OK);
    for (uint32_t i = 0; i < plan->nodes; i++) {
        c->members[i].plan = &c->plan;
        c->members[i].rendezvous = (struct real_rendezvous){.rank = i,
                                                            .nodes = plan->nodes,
                                                            .job = 4711,
                                                            .listener = c->listeners[i],
                                                            .addresses = c->addresses,
                                                            .timeout_ns = timeout_ns,
                                                            .socket_buffer_bytes = plan->socket_buffer_bytes};
    }
}

static void cluster_join(struct cluster *c)
{
    for (uint32_t i = 0; i < c->plan.nodes; i++)
        assert_int_equal(pthread_create(&c->members[i].communicator, NULL, join_member, &c->members[i]), 0);
    for (uint32_t i = 0; i < c->plan.nodes; i++) {
        pthread_join(c->members[i].communicator, NULL);
        if (c->members[i].join_code != PM_OK)
            fail_msg("%s", c->members[i].join_error.text);
    }
}

static bool member_done(struct member *m)
{
    return __atomic_load_n(&m->got, __ATOMIC_ACQUIRE) >= m->plan->expected ||
           real_transport_failed(&m->transport);
}

static void *run_communicator(void *arg)
{
    struct member *m = arg;
    while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE))
        real_transport_receive(&m->transport, m->transport.communicator, PM_TIME_NEVER);
    return NULL;
}

struct thread_start {
    struct member *m;
    uint32_t worker;
};

/* Works, then receives as a blocked worker does. */
static void *run_worker(void *arg)
{
    struct thread_start start = *(struct thread_start *)arg;
    struct member *m = start.m;
    free(arg);
    if (m->plan->work)
        m->plan->work(m, start.worker);
    while (!member_done(m))
        real_transport_receive(&m->transport, &m->transport.agents[start.worker], PM_TIME_NEVER);
    return NULL;
}

static void cluster_run(struct cluster *c)
{
    for (uint32_t i = 0; i < c->plan.nodes; i++) {
        struct member *m = &c->members[i];
        assert_int_equal(pthread_create(&m->communicator, NULL, run_communicator, m), 0);
        for (uint32_t w = 0; w < c->plan.workers; w++) {
            struct thread_start *start = malloc(sizeof *start);
            assert_non_null(start);
            *start = (struct thread_start){m, w};
            assert_int_equal(pthread_create(&m->workers[w], NULL, run_worker, start), 0);
        }
    }
    for (uint32_t i = 0; i < c->plan.nodes; i++)
        for (uint32_t w = 0; w < c->plan.workers; w++)
            pthread_join(c->members[i].workers[w], NULL);
}

static void cluster_stop(struct cluster *c, bool started)
{
    for (uint32_t i = 0; i < c->plan.nodes && started; i++) {
        __atomic_store_n(&c->members[i].stop, 1u, __ATOMIC_RELEASE);
        real_wake(&c->members[i].transport.communicator->sleeper);
        pthread_join(c->members[i].communicator, NULL);
    }
    for (uint32_t i = 0; i < c->plan.nodes; i++) {
        real_transport_close(&c->members[i].transport);
        close(c->listeners[i]);
    }
}

static void check_arrived(struct cluster *c)
{
    for (uint32_t i = 0; i < c->plan.nodes; i++) {
        struct member *m = &c->members[i];
        if (real_transport_failed(&m->transport))
            fail_msg("node %u: %s", i, m->transport.failure.text);
        assert_int_equal(m->disorder, 0);
        assert_int_equal(m->got, c->plan.expected);
    }
}

/* ---- Order ---- */

enum { ORDER_MESSAGES = 500 };

static void work_order(struct member *m, uint32_t worker)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "transport", seed, m->rendezvous.rank, worker);
    for (uint64_t i = 0; i < ORDER_MESSAGES; i++) {
        uint32_t bytes = (uint32_t)pm_rng_below(&rng, pm_rng_below(&rng, 20) == 0 ? 100000 : 200);
        for (uint32_t to = 0; to < m->plan->nodes; to++)
            if (to != m->rendezvous.rank)
                send_one(m, to, (uint16_t)worker, i, bytes & ~7u, 0);
        real_transport_wait_credit(&m->transport);
    }
}

static void run_order(uint64_t socket_buffer_bytes, int64_t spin_ns)
{
    struct cluster c;
    const struct plan plan = {.nodes = 3,
                              .workers = 2,
                              .credit_bytes = 256 << 10,
                              .socket_buffer_bytes = socket_buffer_bytes,
                              .spin_ns = spin_ns,
                              .work = work_order,
                              .expected = 2 * 2 * ORDER_MESSAGES};
    cluster_prepare(&c, &plan, 10000000000);
    cluster_join(&c);
    cluster_run(&c);
    check_arrived(&c);
    cluster_stop(&c, true);
}

static void test_order(void **state)
{
    (void)state;
    run_order(0, 0);
}

static void test_order_tiny_buffers(void **state)
{
    (void)state;
    run_order(16 << 10, 0);
}

static void test_order_spinning(void **state)
{
    (void)state;
    run_order(0, 50000);
}

/* ---- The end of a node that has failed ---- */

static void work_until_failure(struct member *m, uint32_t worker)
{
    if (m->rendezvous.rank == 1) {
        send_one(m, 0, 0, 0, 16, SLOW);
        return;
    }
    while (!__atomic_load_n(&slow_began, __ATOMIC_ACQUIRE))
        usleep(1000);
    real_transport_fail(&m->transport, false, PM_E_LIMIT, "a test");
    real_transport_wait_quiet(&m->transport, &m->transport.agents[worker]);
    m->disorder = !__atomic_load_n(&slow_ended, __ATOMIC_RELAXED);
}

/* Who frees what answers are copied to waits for those that are being handled. */
static void test_quiet(void **state)
{
    (void)state;
    struct cluster c;
    const struct plan plan = {.nodes = 2, .workers = 1, .credit_bytes = 1 << 20, .work = work_until_failure};
    slow_began = slow_ended = 0;
    cluster_prepare(&c, &plan, 10000000000);
    cluster_join(&c);
    cluster_run(&c);
    assert_int_equal(c.members[0].disorder, 0);
    cluster_stop(&c, true);
}

/* ---- Flow control ---- */

enum { FLOOD_MESSAGES = 1500, FLOOD_BYTES = 8000 };

static void work_flood(struct member *m, uint32_t worker)
{
    for (uint64_t i = 0; i < FLOOD_MESSAGES; i++) {
        send_one(m, 1 - m->rendezvous.rank, (uint16_t)worker, i, FLOOD_BYTES, 1);
        real_transport_wait_credit(&m->transport);
    }
}

/* Two full nodes: both keep sending requests, each of which must be answered. Nobody waits for ever, and what
 * is queued is bounded by the credit, the answers that are due, and a message per worker. */
static void test_flood(void **state)
{
    (void)state;
    struct cluster c;
    const struct plan plan = {.nodes = 2,
                              .workers = 2,
                              .credit_bytes = 64 << 10,
                              .socket_buffer_bytes = 64 << 10,
                              .work = work_flood,
                              .expected = 2 * 2 * FLOOD_MESSAGES,
                              .answers = true};
    cluster_prepare(&c, &plan, 10000000000);
    cluster_join(&c);
    cluster_run(&c);
    check_arrived(&c);
    for (uint32_t i = 0; i < 2; i++)
        assert_in_range(c.members[i].most_queued, plan.credit_bytes,
                        plan.credit_bytes + plan.workers * (FLOOD_MESSAGES + 1) * (FLOOD_BYTES + 64));
    cluster_stop(&c, true);
}

/* ---- Messages to the node itself, and tokens ---- */

enum { SELF_MESSAGES = 20000 };

static void work_self(struct member *m, uint32_t worker)
{
    for (uint64_t i = 0; i < SELF_MESSAGES; i++)
        send_one(m, m->rendezvous.rank, (uint16_t)worker, i, 16, 0);
}

static void test_self_messages(void **state)
{
    (void)state;
    struct cluster c;
    const struct plan plan = {
        .nodes = 2, .workers = 2, .credit_bytes = 1 << 20, .work = work_self, .expected = 2 * SELF_MESSAGES};
    cluster_prepare(&c, &plan, 10000000000);
    cluster_join(&c);
    cluster_run(&c);
    check_arrived(&c);
    cluster_stop(&c, true);
}

enum { HANDOVERS = 20000 };

struct handover {
    struct real_sleeper sleepers[2];
    uint32_t turn; /* atomic: whose */
};

/* Waits for its turn and passes it on: every wake-up must come through, whether or not the other sleeps yet.
 */
static void *hand_over(void *arg)
{
    struct handover *h = arg;
    struct epoll_event events[4];
    bool token;
    for (int i = 0; i < HANDOVERS; i++) {
        while (__atomic_load_n(&h->turn, __ATOMIC_ACQUIRE) != 1)
            real_sleep(&h->sleepers[1], events, 4, 0, PM_TIME_NEVER, &token);
        __atomic_store_n(&h->turn, 0u, __ATOMIC_RELEASE);
        real_wake(&h->sleepers[0]);
    }
    return NULL;
}

static void test_tokens(void **state)
{
    (void)state;
    struct handover h = {.turn = 0};
    struct pm_error err = {.code = PM_OK};
    struct epoll_event events[4];
    bool token;
    pthread_t other;
    assert_int_equal(real_sleeper_open(&h.sleepers[0], &err), PM_OK);
    assert_int_equal(real_sleeper_open(&h.sleepers[1], &err), PM_OK);
    real_wake(&h.sleepers[0]); /* counts although nobody sleeps yet */
    assert_int_equal(real_sleep(&h.sleepers[0], events, 4, 0, PM_TIME_NEVER, &token), 0);
    assert_true(token);
    assert_false(real_take_token(&h.sleepers[0]));
    assert_int_equal(pthread_create(&other, NULL, hand_over, &h), 0);
    for (int i = 0; i < HANDOVERS; i++) {
        __atomic_store_n(&h.turn, 1u, __ATOMIC_RELEASE);
        real_wake(&h.sleepers[1]);
        while (__atomic_load_n(&h.turn, __ATOMIC_ACQUIRE) != 0)
            real_sleep(&h.sleepers[0], events, 4, 0, PM_TIME_NEVER, &token);
    }
    pthread_join(other, NULL);
    real_sleeper_close(&h.sleepers[0]);
    real_sleeper_close(&h.sleepers[1]);
}

/* ---- Failures ---- */

static void open_pair(struct cluster *c)
{
    const struct plan plan = {.nodes = 2, .workers = 1, .credit_bytes = 1 << 20, .expected = 1000};
    cluster_prepare(c, &plan, 10000000000);
    cluster_join(c);
}

/* Node 0 receives these bytes from node 1; its failure is returned. */
static const struct pm_error *after_bytes(struct cluster *c, const void *bytes, size_t n)
{
    struct member *m = &c->members[0];
    assert_int_equal(write(c->members[1].transport.peers[0].fd, bytes, n), n);
    for (int i = 0; i < 100 && !real_transport_failed(&m->transport); i++)
        real_transport_receive(&m->transport, m->transport.communicator, 10000000);
    return &m->transport.failure;
}

static void check_malformed(const struct pm_wire *w, const char *field)
{
    struct cluster c;
    open_pair(&c);
    const struct pm_error *failure = after_bytes(&c, w, sizeof *w);
    assert_int_equal(failure->code, PM_E_PEER);
    if (!strstr(failure->text, "malformed message from node 1") || !strstr(failure->text, field))
        fail_msg("'%s' names no '%s'", failure->text, field);
    assert_false(c.members[0].transport.failure_is_loss);
    cluster_stop(&c, false);
}

static void test_malformed(void **state)
{
    (void)state;
    const struct pm_wire good = {
        .length_bytes = PM_WIRE_BYTES, .kind = PM_MSG_PRIVATE, .source = 1, .origin = 1};
    struct pm_wire w = good;
    w.length_bytes = PM_WIRE_BYTES - 1;
    check_malformed(&w, "length_bytes");
    w.length_bytes = PM_MESSAGE_BYTES_MAX + 1;
    check_malformed(&w, "length_bytes");
    w = good;
    w.kind = PM_MSG_KINDS;
    check_malformed(&w, "kind");
    w = good;
    w.source = 0;
    check_malformed(&w, "source");
    w = good;
    w.kind = PM_MSG_ACCESS;
    w.n_keys = 3;
    check_malformed(&w, "n_keys");
    w = good;
    w.flags = 0x80;
    check_malformed(&w, "flags");
}

/* A message that comes in pieces, so that the header and the body are cut at many places. */
static void test_split_message(void **state)
{
    (void)state;
    struct cluster c;
    open_pair(&c);
    struct member *m = &c.members[0];
    struct pm_message *message = make_message(1, 0, 0, 0, 4000);
    size_t length = message->wire.length_bytes;
    for (size_t i = 0; i < 3; i++) {
        message->wire.number = i;
        memset(pm_message_blob(message), (int)i, 4000);
        for (size_t at = 0; at < length; at += 17) {
            size_t n = length - at < 17 ? length - at : 17;
            const char *piece = (const char *)&message->wire + at;
            assert_int_equal(write(c.members[1].transport.peers[0].fd, piece, n), n);
            assert_int_equal(m->got, i);
            real_transport_receive(&m->transport, m->transport.communicator, 1000000);
        }
    }
    pm_message_free(message);
    assert_int_equal(m->got, 3);
    assert_int_equal(m->disorder, 0);
    assert_int_equal(real_transport_failed(&m->transport), PM_OK);
    cluster_stop(&c, false);
}

static void test_lost_connection(void **state)
{
    (void)state;
    struct cluster c;
    open_pair(&c);
    struct member *m = &c.members[0];
    /* Data and end at once: the end must be seen by the sweep at the latest. */
    struct pm_message *message = make_message(1, 0, 0, 0, 8);
    assert_int_equal(write(c.members[1].transport.peers[0].fd, &message->wire, message->wire.length_bytes),
                     message->wire.length_bytes);
    pm_message_free(message);
    shutdown(c.members[1].transport.peers[0].fd, SHUT_RDWR);
    real_transport_receive(&m->transport, m->transport.communicator, 10000000);
    real_transport_sweep(&m->transport);
    assert_int_equal(m->got, 1);
    assert_int_equal(real_transport_failed(&m->transport), PM_E_PEER);
    assert_non_null(strstr(m->transport.failure.text, "node 0 lost its connection to node 1 (process"));
    assert_true(m->transport.failure_is_loss);
    /* What is sent now is taken and freed. */
    send_one(m, 1, 0, 0, 100, 0);
    real_transport_wait_credit(&m->transport);
    cluster_stop(&c, false);
}

static void test_goodbye(void **state)
{
    (void)state;
    struct cluster c;
    open_pair(&c);
    struct real_transport *t0 = &c.members[0].transport, *t1 = &c.members[1].transport;
    real_transport_say(t1, PM_MSG_HELLO, REAL_SUB_READY);
    real_transport_say(t1, PM_MSG_GOODBYE, 0);
    assert_true(real_transport_flushed(t1));
    real_transport_shutdown(t1);
    for (int i = 0; i < 100 && t0->closed == 0; i++) {
        real_transport_receive(t0, t0->communicator, 10000000);
        real_transport_sweep(t0);
    }
    assert_int_equal(t0->ready, 1);
    assert_int_equal(t0->goodbyes, 1);
    assert_int_equal(t0->closed, 1);
    assert_int_equal(real_transport_failed(t0), PM_OK);
    cluster_stop(&c, false);
}

/* Strangers at the roll call: one says nothing, one half a HELLO, one a HELLO of another job, one goes away at once. */
static void test_strangers(void **state)
{
    (void)state;
    struct cluster c;
    const struct plan plan = {.nodes = 2, .workers = 1, .credit_bytes = 1 << 20};
    cluster_prepare(&c, &plan, 10000000000);
    int strangers[4];
    struct pm_wire hello = {.length_bytes = PM_WIRE_BYTES,
                            .kind = PM_MSG_HELLO,
                            .source = 1,
                            .origin = REAL_WIRE_VERSION,
                            .request = 2,
                            .number = 4712};
    for (int i = 0; i < 4; i++) {
        strangers[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(strangers[i], (struct sockaddr *)&c.addresses[0], sizeof c.addresses[0]), 0);
    }
    assert_int_equal(write(strangers[1], &hello, 20), 20);
    assert_int_equal(write(strangers[2], &hello, sizeof hello), sizeof hello);
    close(strangers[3]);
    cluster_join(&c);
    assert_int_equal(c.members[0].transport.peers[1].process, getpid());
    cluster_stop(&c, false);
    for (int i = 0; i < 3; i++)
        close(strangers[i]);
}

int main(void)
{
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),         cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_strangers),      cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_split_message),  cmocka_unit_test(test_lost_connection),
        cmocka_unit_test(test_goodbye),        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_spinning), cmocka_unit_test(test_order_tiny_buffers),
        cmocka_unit_test(test_flood),          cmocka_unit_test(test_self_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
