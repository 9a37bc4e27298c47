/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages that no honest peer sends, to one node whose peers are the test: each must be refused with
 * PM_E_MESSAGE, and what the node does afterwards must come out right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/internal.h"
#include "tests/repeat.h"
#include "tests/testload.h"

extern const struct pm_policy pm_policy_classic, pm_policy_full;

/* ---- a node, and what it sends ---------------------------------------------------------------------- */

struct alone {
    struct testjob job;
    struct pm_opened opened;
    struct pm_node *node;
    struct pm_message *sent; /* the last one */
};

static int64_t now_ns(void *self)
{
    (void)self;
    return 1;
}

static void deliver(void *self, struct pm_ctx *ctx)
{
    struct alone *a = self;
    for (struct pm_message *m = ctx->outbox.first, *next; m; m = next) {
        next = m->next;
        pm_message_free(a->sent);
        a->sent = m;
    }
    ctx->outbox = (struct pm_outbox){.tick_at_ns = PM_TIME_NEVER};
}

static int block(void *self, struct pm_worker *worker)
{
    (void)self;
    (void)worker;
    return PM_E_PROGRESS;
}

static void *allocate(void *self, size_t bytes)
{
    (void)self;
    return calloc(1, bytes);
}

static void release(void *self, void *memory, size_t bytes)
{
    (void)self;
    (void)bytes;
    free(memory);
}

static const struct pm_backend_ops ops = {
    .now_ns = now_ns, .deliver = deliver, .block = block, .alloc = allocate, .release = release};

static struct alone *set_up(const struct pm_policy *policy, uint32_t length)
{
    struct alone *a = calloc(1, sizeof *a);
    const struct testload_shape shape = {.keys = 64, .length = length};
    struct pm_error err = {0};
    assert_non_null(a);
    assert_int_equal(testjob_init(&a->job, policy, "", &shape, &err), PM_OK);
    a->job.job.nodes = 3;
    assert_int_equal(pm_job_open(&a->job.job, &a->opened, &err), PM_OK);
    const struct pm_node_config config = {
        .nodes = 3,
        .workers = 1,
        .policy = policy,
        .policy_options = &a->job.policy_options,
        .model = &a->opened.model,
        .workload = a->job.job.workload,
        .workload_state = a->opened.state,
        .with_values = true,
        .ops = &ops,
        .ops_self = a,
        .job = &a->job.job,
    };
    assert_int_equal(pm_node_create(&config, &a->node, &err), PM_OK);
    return a;
}

static void tear_down(struct alone *a)
{
    pm_message_free(a->sent);
    pm_node_destroy(a->node);
    pm_job_close(&a->job.job, &a->opened);
    testjob_free(&a->job);
    free(a);
}

/* The first key from `from` on that this node owns, or that it does not. */
static pm_key find_key(const struct alone *a, pm_key from, bool owned)
{
    while ((pm_owner_at_start(a->node, from) == 0) != owned)
        from++;
    return from;
}

static int give(struct alone *a, struct pm_message *m)
{
    struct pm_error err = {0};
    struct pm_ctx *ctx = pm_node_communicator(a->node);
    assert_int_equal(pm_message_check(m, m->stored_bytes, true), PM_OK);
    int code = pm_node_receive(ctx, m, &err);
    pm_ctx_deliver(ctx);
    return code;
}

/* ---- requests --------------------------------------------------------------------------------------- */

/* A pull of n times the same key. */
static struct pm_message *long_pull(const struct alone *a, uint32_t n)
{
    struct pm_message *m = pm_message_new(PM_MSG_ACCESS, &(struct pm_shape){.n_keys = n, .with_values = true});
    pm_key key = find_key(a, 0, true);
    assert_non_null(m);
    m->wire.source = m->wire.origin = 1;
    for (uint32_t i = 0; i < n; i++)
        pm_message_keys(m)[i] = key;
    return m;
}

/* Its answer would be longer than a message may be, or than 32 bits can count. */
static void answers_too_long(void **state)
{
    (void)state;
    struct alone *a = set_up(&pm_policy_classic, 1024);
    uint32_t fits = (PM_MESSAGE_BYTES_MAX - PM_WIRE_BYTES) / 4100;
    assert_int_equal(give(a, long_pull(a, fits)), PM_OK);
    assert_int_equal(a->sent->wire.n_floats, fits * 1024);
    assert_int_equal(give(a, long_pull(a, fits + 1)), PM_E_MESSAGE);
    assert_int_equal(give(a, long_pull(a, 1 << 22)), PM_E_MESSAGE);
    assert_int_equal(give(a, long_pull(a, (1 << 22) + 1)), PM_E_MESSAGE);
    tear_down(a);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

static bool open_gate;

static int gated_init(struct pm_node *node, void *state, const struct pm_values *options,
                      struct pm_traits *traits, struct pm_error *err)
{
    (void)node, (void)state, (void)options, (void)err;
    traits->group = traits->shared_memory = traits->gate_absent = true;
    return PM_OK;
}

static enum pm_verdict gated_usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key,
                                    struct pm_slot *slot, enum pm_op_kind op)
{
    (void)ctx, (void)state, (void)worker, (void)key, (void)slot, (void)op;
    return open_gate ? PM_ASK : PM_WAIT;
}

/* What is not here waits for a kick, then is asked for. */
static const struct pm_policy gated = {
    .abi = PM_POLICY_ABI, .name = "gated", .init = gated_init, .usable = gated_usable};

static struct pm_message *answer_to(uint32_t entry)
{
    const struct pm_shape shape = {.n_keys = 1, .n_floats = 4, .with_values = true};
    struct pm_message *m = pm_message_new(PM_MSG_REPLY, &shape);
    assert_non_null(m);
    m->wire.source = 1;
    m->wire.op = PM_OP_PULL;
    m->wire.request = 1 << 16; /* the first operation */
    m->wire.first = entry;
    for (int i = 0; i < 4; i++)
        pm_message_values(m)[i] = 7;
    return m;
}

/* An operation that waits here has asked nobody: who answers it all the same is refused. */
static void answers_without_a_question(void **state)
{
    (void)state;
    struct alone *a = set_up(&gated, 4);
    struct pm_worker *w = pm_node_worker(a->node, 0);
    pm_key keys[2] = {find_key(a, 0, false)};
    float values[8] = {0};
    keys[1] = find_key(a, keys[0] + 1, false);
    open_gate = false;
    pm_ticket ticket = pm_pull(w, keys, 2, values);
    assert_true(ticket > PM_DONE);
    assert_int_equal(give(a, answer_to(0)), PM_E_MESSAGE);
    assert_int_equal(give(a, answer_to(1)), PM_E_MESSAGE);
    assert_true(values[0] == 0 && values[4] == 0);
    open_gate = true;
    pm_kick(&w->ctx);
    pm_ctx_deliver(&w->ctx);
    assert_int_equal(give(a, answer_to(0)), PM_OK);
    assert_int_equal(give(a, answer_to(0)), PM_E_MESSAGE);
    assert_int_equal(give(a, answer_to(1)), PM_OK);
    assert_int_equal(pm_wait(w, ticket), PM_OK);
    assert_true(values[0] == 7 && values[4] == 7);
    tear_down(a);
}

static enum pm_verdict refreshing_usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key,
                                         struct pm_slot *slot, enum pm_op_kind op)
{
    (void)state, (void)worker, (void)op;
    if (slot->flags & PM_SLOT_READY)
        return PM_USE;
    pm_refresh(ctx, key, slot, 0);
    return PM_WAIT;
}

static int refreshing_init(struct pm_node *node, void *state, const struct pm_values *options,
                           struct pm_traits *traits, struct pm_error *err)
{
    traits->replicates = traits->gate_replicas = true;
    return gated_init(node, state, options, traits, err);
}

/* Reads make replicas. */
static const struct pm_policy refreshing = {
    .abi = PM_POLICY_ABI, .name = "refreshing", .init = refreshing_init, .usable = refreshing_usable};

static struct pm_message *fresh_value(pm_node_id from, pm_key key)
{
    const struct pm_shape shape = {.n_keys = 1, .n_floats = 4, .with_values = true};
    struct pm_message *m = pm_message_new(PM_MSG_ANSWER, &shape);
    assert_non_null(m);
    m->wire.source = m->wire.origin = from;
    *pm_message_keys(m) = key;
    memset(pm_message_meta(m), 0, 8);
    for (int i = 0; i < 4; i++)
        pm_message_values(m)[i] = (float)from;
    return m;
}

/* Only a key's owner says what its value is, and only when it is asked. */
static void values_from_strangers(void **state)
{
    (void)state;
    struct alone *a = set_up(&refreshing, 4);
    struct pm_worker *w = pm_node_worker(a->node, 0);
    pm_key key = find_key(a, 0, false);
    pm_node_id owner = pm_owner_at_start(a->node, key);
    float values[4] = {0};
    assert_int_equal(give(a, fresh_value(owner, key)), PM_E_MESSAGE);
    pm_ticket ticket = pm_pull(w, &key, 1, values);
    assert_true(ticket > PM_DONE);
    assert_int_equal(a->sent->wire.kind, PM_MSG_ROUND);
    assert_int_equal(give(a, fresh_value(3 - owner, key)), PM_E_MESSAGE);
    assert_true(values[0] == 0);
    assert_int_equal(give(a, fresh_value(owner, key)), PM_OK);
    assert_int_equal(pm_wait(w, ticket), PM_OK);
    assert_true(values[3] == (float)owner);
    assert_int_equal(give(a, fresh_value(owner, key)), PM_E_MESSAGE);
    tear_down(a);
}

/* ---- exchange --------------------------------------------------------------------------------------- */

static struct pm_message *half(enum pm_message_kind kind, pm_node_id from, uint64_t round, uint16_t last)
{
    struct pm_message *m = pm_message_new(kind, &(struct pm_shape){.with_values = true});
    assert_non_null(m);
    m->wire.source = m->wire.origin = from;
    m->wire.number = round;
    m->wire.sub = last;
    return m;
}

/* Each peer's half of a round ends once; otherwise a round would end without the others, or never. */
static void halves_that_end_twice(void **state)
{
    (void)state;
    struct alone *a = set_up(&pm_policy_full, 4);
    struct pm_counters sum;
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 1, 1, 2)), PM_E_MESSAGE);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 1, 1, 0)), PM_OK);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 1, 1, 1)), PM_OK);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 1, 1, 1)), PM_E_MESSAGE);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 1, 1, 0)), PM_E_MESSAGE);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 2, 2, 1)), PM_E_MESSAGE);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 2, 1, 1)), PM_OK);
    assert_int_equal(give(a, half(PM_MSG_SPREAD, 1, 1, 1)), PM_OK);
    assert_int_equal(give(a, half(PM_MSG_SPREAD, 1, 1, 1)), PM_E_MESSAGE);
    pm_node_counters(a->node, &sum);
    assert_int_equal(sum.rounds, 0);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 1, 2, 1)), PM_OK); /* ahead of this node */
    assert_int_equal(give(a, half(PM_MSG_SPREAD, 2, 1, 1)), PM_OK);
    pm_node_counters(a->node, &sum);
    assert_int_equal(sum.rounds, 1);
    assert_int_equal(a->sent->wire.kind, PM_MSG_COLLECT);
    assert_int_equal(a->sent->wire.number, 2);
    tear_down(a);
}

/* Without replicas there is nothing to exchange. */
static void exchange_without_replicas(void **state)
{
    (void)state;
    struct alone *a = set_up(&pm_policy_classic, 4);
    assert_int_equal(give(a, half(PM_MSG_COLLECT, 1, 1, 1)), PM_E_MESSAGE);
    assert_null(a->sent);
    tear_down(a);
}

/* ---- statistics ------------------------------------------------------------------------------------- */

static struct pm_message *statistics(pm_node_id from, uint32_t bytes)
{
    struct pm_message *m =
        pm_message_new(PM_MSG_STATS, &(struct pm_shape){.blob_bytes = bytes, .with_values = true});
    assert_non_null(m);
    memset(pm_message_blob(m), 1, bytes);
    m->wire.source = m->wire.origin = from;
    return m;
}

static void statistics_that_are_too_short(void **state)
{
    (void)state;
    const uint64_t own[2] = {7, 7};
    struct alone *a = set_up(&pm_policy_classic, 4);
    struct pm_worker *w = pm_node_worker(a->node, 0);
    assert_int_equal(give(a, statistics(1, 16)), PM_OK);
    assert_int_equal(give(a, statistics(1, 16)), PM_E_MESSAGE);
    assert_int_equal(give(a, statistics(2, 8)), PM_OK);
    assert_int_equal(pm_gather(w, own, sizeof own, sizeof own), PM_E_MESSAGE);
    pm_gather_clear(a->node);
    assert_int_equal(give(a, statistics(2, 24)), PM_OK);
    assert_int_equal(give(a, statistics(1, 16)), PM_OK);
    assert_int_equal(pm_gather(w, own, sizeof own, sizeof own), PM_OK);
    assert_int_equal(pm_gather_bytes(a->node, 2), 24);
    assert_memory_equal(pm_gather_blob(a->node, 0), own, sizeof own);
    tear_down(a);
}

/* ---- collectives ------------------------------------------------------------------------------------ */

/* Another node's arrival at the first collective: n doubles, or (wave) a report of 5 numbers. */
static struct pm_message *arrival(pm_node_id from, bool wave, uint32_t n)
{
    uint32_t bytes = (wave ? 5 : n) * 8;
    const struct pm_shape shape = {.blob_bytes = bytes, .with_values = true};
    struct pm_message *m = pm_message_new(wave ? PM_MSG_WAVE : PM_MSG_BARRIER, &shape);
    assert_non_null(m);
    memset(pm_message_blob(m), 0, bytes);
    m->wire.source = m->wire.origin = from;
    m->wire.first = 1;
    return m;
}

/* All nodes must be in the same collective; else a drain would be released undrained, or sums be those of other numbers. */
static void collectives_that_differ(void **state)
{
    (void)state;
    for (int wave = 0; wave < 2; wave++) {
        struct alone *a = set_up(&pm_policy_classic, 4);
        double sum[2] = {1, 1};
        assert_int_equal(give(a, arrival(1, wave, 2)), PM_OK);
        assert_int_equal(give(a, arrival(2, !wave, 2)), PM_E_MESSAGE);
        assert_int_equal(give(a, arrival(2, false, 3)), PM_E_MESSAGE);
        assert_int_equal(give(a, arrival(1, wave, 2)), PM_E_MESSAGE);
        assert_int_equal(pm_reduce(pm_node_worker(a->node, 0), sum, 2), wave ? PM_E_MESSAGE : PM_E_PROGRESS);
        tear_down(a);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_too_long),
        cmocka_unit_test(answers_without_a_question),
        cmocka_unit_test(values_from_strangers),
        cmocka_unit_test(halves_that_end_twice),
        cmocka_unit_test(exchange_without_replicas),
        cmocka_unit_test(statistics_that_are_too_short),
        cmocka_unit_test(collectives_that_differ),
    };
    return repeat_main(argc, argv, "hostile", tests, sizeof tests / sizeof *tests);
}
