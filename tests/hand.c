/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A cluster driven by hand. */
#include "tests/hand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/pm.h"

enum { SENT_BYTES = 8192, BUFFERS = 64, LENGTH_MAX = 16 };

struct queue {
    struct pm_message *first, *last;
};

struct hand {
    struct testjob t;
    struct pm_opened opened;
    struct pm_node **nodes;
    struct queue *channels; /* sender x receiver */
    int64_t now_ns;
    char sent[SENT_BYTES], told[SENT_BYTES];
    float buffers[BUFFERS][LENGTH_MAX];
    uint32_t used;
};

static int64_t now_ns(void *self)
{
    return ((struct hand *)self)->now_ns;
}

static void note(struct hand *h, const struct pm_message *m)
{
    size_t used = strlen(h->sent);
    char hop[16] = "";
    if (m->wire.hop && m->wire.kind != PM_MSG_REPLY)
        snprintf(hop, sizeof hop, "/%u", m->wire.hop);
    int n = snprintf(h->sent + used, sizeof h->sent - used, "%s%u>%u %s%s %u", used ? ", " : "", m->wire.source,
                     m->destination, pm_message_kind_name(m->wire.kind), hop, m->wire.n_keys);
    assert_true(n > 0 && (size_t)n < sizeof h->sent - used);
}

static void deliver(void *self, struct pm_ctx *ctx)
{
    struct hand *h = self;
    for (struct pm_message *m = ctx->outbox.first, *next; m; m = next) {
        next = m->next;
        m->next = NULL;
        note(h, m);
        struct queue *q = &h->channels[m->wire.source * h->t.job.nodes + m->destination];
        if (q->last)
            q->last->next = m;
        else
            q->first = m;
        q->last = m;
    }
    ctx->outbox = (struct pm_outbox){.tick_at_ns = PM_TIME_NEVER};
}

static int block(void *self, struct pm_worker *worker)
{
    (void)self, (void)worker;
    return PM_E_PROGRESS;
}

static void *allocate(void *self, size_t bytes)
{
    (void)self;
    return calloc(1, bytes);
}

static void release(void *self, void *memory, size_t bytes)
{
    (void)self, (void)bytes;
    free(memory);
}

static void relax(void *self)
{
    (void)self;
    fail_msg("a latch is taken that nobody holds");
}

static const struct pm_backend_ops ops = {
    .now_ns = now_ns, .deliver = deliver, .block = block, .alloc = allocate, .release = release, .relax = relax};

struct hand *hand_new(const struct hand_config *c)
{
    struct hand *h = calloc(1, sizeof *h);
    const struct testload_shape shape = {.keys = c->keys, .length = c->length};
    struct pm_error err = {0};
    assert_non_null(h);
    assert_true(c->length <= LENGTH_MAX);
    assert_int_equal(testjob_init(&h->t, c->policy, c->options, &shape, &err), PM_OK);
    testjob_cluster(&h->t, c->nodes, c->workers);
    h->t.job.with_values = !c->no_values;
    h->t.job.traced = c->traced;
    assert_int_equal(pm_job_open(&h->t.job, &h->opened, &err), PM_OK);
    h->nodes = calloc(c->nodes, sizeof *h->nodes);
    h->channels = calloc((size_t)c->nodes * c->nodes, sizeof *h->channels);
    assert_true(h->nodes && h->channels);
    for (pm_node_id i = 0; i < c->nodes; i++) {
        const struct pm_node_config config = {
            .id = i,
            .nodes = c->nodes,
            .workers = c->workers,
            .policy = c->policy,
            .policy_options = &h->t.policy_options,
            .model = &h->opened.model,
            .workload = h->t.job.workload,
            .workload_state = h->opened.state,
            .census = h->opened.census,
            .traced = h->opened.traced,
            .seed = 1,
            .with_values = !c->no_values,
            .dense = c->dense,
            .max_message = c->max_message,
            .intents_max = c->intents_max,
            .ops = &ops,
            .ops_self = h,
            .job = &h->t.job,
        };
        assert_int_equal(pm_node_create(&config, &h->nodes[i], &err), PM_OK);
    }
    return h;
}

static void check_accounts(struct hand *h)
{
    struct pm_counters sum = {0};
    for (pm_node_id i = 0; i < h->t.job.nodes; i++) {
        struct pm_error err = {0};
        struct pm_counters of_node;
        pm_node_counters(h->nodes[i], &of_node);
        pm_counters_add(&sum, &of_node);
        if (pm_node_check_accounts(h->nodes[i], &err) != PM_OK)
            fail_msg("node %u: %s", i, err.text);
    }
    assert_int_equal(sum.messages_sent, sum.messages_received);
    assert_int_equal(sum.bytes_sent, sum.bytes_received);
    assert_int_equal(sum.updates_pushed, sum.updates_applied);
    assert_int_equal(sum.relocations_in, sum.relocations_out);
}

void hand_free(struct hand *h)
{
    for (uint32_t c = 0; c < h->t.job.nodes * h->t.job.nodes; c++)
        assert_null(h->channels[c].first);
    check_accounts(h);
    hand_drop(h);
}

void hand_drop(struct hand *h)
{
    for (uint32_t c = 0; c < h->t.job.nodes * h->t.job.nodes; c++)
        for (struct pm_message *m = h->channels[c].first, *next; m; m = next) {
            next = m->next;
            pm_message_free(m);
        }
    for (pm_node_id i = 0; i < h->t.job.nodes; i++)
        pm_node_destroy(h->nodes[i]);
    free(h->nodes);
    free(h->channels);
    pm_job_close(&h->t.job, &h->opened);
    testjob_free(&h->t);
    free(h);
}

struct pm_node *hand_node(struct hand *h, pm_node_id id)
{
    return h->nodes[id];
}

struct pm_worker *hand_worker(struct hand *h, pm_node_id node, uint32_t index)
{
    return pm_node_worker(h->nodes[node], index);
}

void hand_set_time(struct hand *h, int64_t time_ns)
{
    h->now_ns = time_ns;
}

pm_key hand_key(struct hand *h, pm_node_id home, uint32_t number)
{
    for (pm_key key = 0; key < h->opened.model.layout.n_keys; key++)
        if (pm_owner_at_start(h->nodes[0], key) == home && number-- == 0)
            return key;
    fail_msg("node %u is home of too few keys", home);
    return PM_KEY_NONE;
}

int hand_give(struct hand *h, pm_node_id to, struct pm_message *m)
{
    struct pm_error err = {0};
    struct pm_ctx *ctx = pm_node_communicator(h->nodes[to]);
    assert_int_equal(pm_message_check(m, m->stored_bytes, h->t.job.with_values), PM_OK);
    int code = pm_node_receive(ctx, m, &err);
    pm_ctx_deliver(ctx);
    return code;
}

void hand_pass(struct hand *h, pm_node_id from, pm_node_id to)
{
    struct queue *q = &h->channels[from * h->t.job.nodes + to];
    struct pm_message *m = q->first;
    if (!m)
        fail_msg("nothing waits from node %u to node %u", from, to);
    q->first = m->next;
    if (!q->first)
        q->last = NULL;
    m->next = NULL;
    assert_int_equal(hand_give(h, to, m), PM_OK);
}

void hand_pass_all_but(struct hand *h, pm_node_id from, pm_node_id to)
{
    uint32_t nodes = h->t.job.nodes, channels = nodes * nodes;
    for (uint32_t idle = 0, c = 0; idle < channels; c = (c + 1) % channels) {
        bool held = c / nodes == from && c % nodes == to;
        idle = h->channels[c].first && !held ? 0 : idle + 1;
        if (idle == 0)
            hand_pass(h, c / nodes, c % nodes);
    }
}

void hand_pass_all(struct hand *h)
{
    hand_pass_all_but(h, PM_NODE_NONE, PM_NODE_NONE);
}

const char *hand_sent(struct hand *h)
{
    memcpy(h->told, h->sent, sizeof h->told);
    h->sent[0] = '\0';
    return h->told;
}

bool hand_done(struct hand *h, pm_node_id node, uint32_t index, pm_ticket ticket)
{
    return pm_op_done(hand_worker(h, node, index), ticket);
}

pm_node_id hand_owner(struct hand *h, pm_key key)
{
    pm_node_id owner = PM_NODE_NONE;
    for (pm_node_id i = 0; i < h->t.job.nodes; i++) {
        const struct pm_slot *slot = pm_slots_find(&h->nodes[i]->slots, key);
        if (slot ? slot->state != PM_SLOT_OWNED : pm_owner_at_start(h->nodes[i], key) != i)
            continue;
        assert_int_equal(owner, PM_NODE_NONE);
        owner = i;
    }
    return owner;
}

void hand_tick(struct hand *h, pm_node_id node)
{
    struct pm_ctx *ctx = pm_node_communicator(h->nodes[node]);
    pm_node_tick(ctx, h->now_ns);
    pm_ctx_deliver(ctx);
}

struct pm_slot *hand_slot(struct hand *h, pm_node_id node, pm_key key)
{
    return pm_slots_find(&h->nodes[node]->slots, key);
}

void hand_localize(struct hand *h, pm_node_id node, pm_key key)
{
    assert_int_equal(pm_localize(hand_worker(h, node, 0), &key, 1), PM_OK);
}

void hand_bring(struct hand *h, pm_node_id node, pm_key key)
{
    hand_localize(h, node, key);
    hand_pass_all(h);
    assert_int_equal(hand_owner(h, key), node);
    h->sent[0] = '\0';
}

static const float *filled(struct hand *h, float value)
{
    float *buffer = h->buffers[h->used++ % BUFFERS];
    for (int i = 0; i < LENGTH_MAX; i++)
        buffer[i] = value;
    return buffer;
}

pm_ticket hand_push(struct hand *h, pm_node_id node, uint32_t worker, pm_key key, float value)
{
    pm_ticket ticket = pm_push(hand_worker(h, node, worker), &key, 1, filled(h, value));
    assert_true(ticket >= 0);
    return ticket;
}

pm_ticket hand_set(struct hand *h, pm_node_id node, uint32_t worker, pm_key key, float value)
{
    pm_ticket ticket = pm_set(hand_worker(h, node, worker), &key, 1, filled(h, value));
    assert_true(ticket >= 0);
    return ticket;
}

pm_ticket hand_pull(struct hand *h, pm_node_id node, uint32_t worker, pm_key key, float *out)
{
    pm_ticket ticket = pm_pull(hand_worker(h, node, worker), &key, 1, out);
    assert_true(ticket >= 0);
    return ticket;
}

void hand_assert_added(struct hand *h, const float *value, pm_key key, float added)
{
    for (uint32_t j = 0; j < pm_length(h->nodes[0], key); j++)
        assert_float_equal(value[j], testload_initial(key, j) + added, 0);
}
