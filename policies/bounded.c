/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bounded: static allocation by ranges of keys, bounded delay. A worker may start an iteration when the one `delay` + 1
 * before it is done: every worker's pushes of it have reached their owners, and each owner has applied their sum once. An
 * iteration is what a worker does at one clock between two collectives. (Li et al., Scaling Distributed Machine Learning
 * with the Parameter Server, OSDI 2014.) */
#include <stdlib.h>
#include <string.h>

#include "core/pm.h"
#include "policies/bounded.h"
#include "policies/placement.h"

#define CLOCK_MASK ((UINT64_C(1) << PM_ITERATION_CLOCK_BITS) - 1)

static const struct pm_option options_table[] = {
    {.name = "delay",
     .type = PM_OPT_TEXT,
     .def = "0",
     .help = "iterations that a worker may be ahead of the slowest one: 0 = bulk synchronous, inf = no bound"},
    PLACEMENT_OPTION("range"),
    {.name = "keys", .type = PM_OPT_BOOL, .def = "1", .help = "lists of keys that the receiver knows are sent as a hash"},
    {.name = "lists",
     .type = PM_OPT_COUNT,
     .def = "256",
     .help = "lists of keys that each worker and owner keep of each other",
     .min = 1,
     .max = 65536},
    {.name = "compress", .type = PM_OPT_BOOL, .def = "0", .help = "messages are compressed (LZ4)"},
    {.name = "threshold",
     .type = PM_OPT_REAL,
     .def = "0",
     .help = "updates no larger than this are held back and added up, at most until the next collective; 0 = none",
     .min = 0,
     .max = 1e30},
    {.name = "kkt", .type = PM_OPT_BOOL, .def = "0", .help = "updates that the workload calls negligible are not sent"},
    {.name = "range_clocks",
     .type = PM_OPT_BOOL,
     .def = "1",
     .help = "vector clocks of ranges of keys reject requests that arrive twice"},
    {0},
};

/* "inf" or a whole number, in canonical form: equal values have equal texts. */
static int read_delay(const char *text, pm_clock *delay, struct pm_error *err)
{
    *delay = -1;
    if (strcmp(text, "inf") == 0)
        return PM_OK;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] || (text[0] == '0' && digits > 1))
        return pm_error_set(err, PM_E_OPTION, "policy bounded: delay=%s: a whole number below 1000000000 or inf is allowed",
                            text);
    *delay = (pm_clock)strtoll(text, NULL, 10);
    return PM_OK;
}

static int make_ways(struct bounded *b, uint32_t n_lists, float threshold)
{
    size_t n = (size_t)b->nodes * b->workers;
    b->out = calloc(n, sizeof *b->out);
    b->in = calloc(n, sizeof *b->in);
    b->held = threshold > 0 ? calloc(b->workers, sizeof *b->held) : NULL;
    if (!b->out || !b->in || (threshold > 0 && !b->held))
        return PM_E_MEMORY;
    for (size_t i = 0; i < n; i++)
        b->out[i].lists.capacity = b->in[i].lists.capacity = n_lists;
    for (uint32_t i = 0; b->held && i < b->workers; i++)
        b->held[i].threshold = threshold;
    return PM_OK;
}

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct bounded *b = state;
    double threshold = pm_values_real(options, "threshold");
    b->stamps = pm_values_bool(options, "range_clocks");
    b->keys = pm_values_bool(options, "keys");
    b->compress = pm_values_bool(options, "compress");
    traits->group = traits->shared_memory = true;
    traits->gate_owned = traits->min_clock = true;
    traits->ranges = placement_by_ranges(options);
    traits->aggregates = true;
    traits->skips_negligible = pm_values_bool(options, "kkt");
    traits->key_bytes = sizeof(void *);
    traits->filter_bytes = (b->stamps ? 24u : 0u) + (threshold > 0 ? 16u : 0u);
    traits->promise_sync = traits->promise_async = PM_EVENTUAL;
    traits->needs_values = b->compress ? "compress looks at values" : threshold > 0 ? "threshold looks at values" : NULL;
    int rc = read_delay(pm_values_text(options, "delay"), &b->delay, err);
    if (rc != PM_OK)
        return rc;
    traits->promise_clocked = b->delay == 0 ? PM_PRAM : PM_NONE;
    traits->delay = b->delay < 0 ? UINT32_MAX : (uint32_t)b->delay;
    traits->pull_ahead = traits->delay; /* what it needs is done when all have finished the worker's present iteration */
    if (!node)
        return PM_OK;
    b->nodes = pm_node_count(node);
    b->workers = pm_node_workers(node);
    rc = make_ways(b, (uint32_t)pm_values_count(options, "lists"), (float)threshold);
    return rc == PM_OK ? rc : pm_error_set(err, rc, "out of memory for policy bounded");
}

static void fini(struct pm_node *node, void *state)
{
    struct bounded *b = state;
    (void)node;
    for (size_t i = 0; b->out && b->in && i < (size_t)b->nodes * b->workers; i++) {
        bounded_lists_fini(&b->out[i].lists);
        bounded_lists_fini(&b->in[i].lists);
        bounded_ranges_fini(&b->in[i].ranges);
    }
    for (uint32_t i = 0; b->held && i < b->workers; i++)
        bounded_held_fini(&b->held[i]);
    bounded_sums_fini(&b->sums);
    free(b->out);
    free(b->in);
    free(b->held);
}

/* Before which iteration all must be done for one of this name to run. What came before the last collective always is. */
static uint64_t required(const struct bounded *b, uint64_t iteration)
{
    uint64_t clock = iteration & CLOCK_MASK, delay = b->delay < 0 ? CLOCK_MASK : (uint64_t)b->delay;
    return (iteration & ~CLOCK_MASK) | (clock > delay ? clock - delay : 0);
}

/* Under the slot's latch: may an iteration of this name read the key? What is done is applied first. */
static bool may_read(const struct bounded *b, struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t iteration)
{
    uint64_t done = pm_iterations_done(pm_ctx_node(ctx));
    bounded_sums_apply(ctx, key, slot, done);
    return done >= required(b, iteration);
}

static enum pm_verdict usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key,
                              struct pm_slot *slot, enum pm_op_kind op)
{
    (void)worker;
    if (op != PM_OP_PULL || may_read(state, ctx, key, slot, pm_asked_number(ctx)))
        return PM_USE;
    return PM_WAIT;
}

/* The iteration that the operation is of, perhaps before it has begun. */
static uint64_t need(struct pm_ctx *ctx, void *state, struct pm_worker *worker, uint32_t ahead)
{
    (void)ctx, (void)state;
    return pm_worker_iteration(worker) + ahead;
}

static enum pm_serve serve(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, pm_node_id from,
                           uint64_t number, uint64_t *stamp)
{
    (void)from, (void)stamp;
    /* under its latch the slot is this hook's to change */
    return may_read(state, ctx, key, (struct pm_slot *)(uintptr_t)slot, number) ? PM_SERVE_VALUE : PM_SERVE_LATER;
}

static bool merge(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, uint64_t number, enum pm_op_kind op,
                  const float *update)
{
    struct bounded *b = state;
    if (op == PM_OP_SET)
        bounded_sums_apply(ctx, key, slot, UINT64_MAX); /* what came before it */
    else
        bounded_sums_add(&b->sums, ctx, key, slot, number, update);
    return op != PM_OP_SET;
}

static enum pm_verdict clock_hook(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    (void)c;
    return pm_iterations_done(pm_ctx_node(ctx)) >= required(state, pm_worker_iteration(worker)) ? PM_USE : PM_WAIT;
}

static void min_clock(struct pm_ctx *ctx, void *state, pm_clock c)
{
    struct bounded *b = state;
    (void)c;
    bounded_sums_flush(&b->sums, ctx, pm_iterations_done(pm_ctx_node(ctx)));
    pm_kick(ctx);
}

static void push_held(void *worker, const pm_key *keys, size_t n, const float *updates)
{
    (void)pm_push(worker, keys, n, updates); /* it fails only when the run has failed */
}

static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    struct bounded *b = state;
    if (c == PM_CLOCK_INFINITE && b->held)
        bounded_held_flush(&b->held[pm_worker_index(worker)], pm_ctx_node(ctx), push_held, worker);
}

const struct pm_policy pm_policy_bounded = {
    .abi = PM_POLICY_ABI,
    .name = "bounded",
    .summary = "static allocation by ranges, sums per iteration, bounded delay, filters (Parameter Server, OSDI'14)",
    .options = options_table,
    .node_bytes = sizeof(struct bounded),
    .init = init,
    .fini = fini,
    .usable = usable,
    .need = need,
    .serve = serve,
    .advance = advance,
    .clock = clock_hook,
    .min_clock = min_clock,
    .merge = merge,
    .filter_out = bounded_filter_out,
    .filter_in = bounded_filter_in,
};
