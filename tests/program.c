/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random programs. Keys are of two sorts: counters, to which everybody adds whole numbers > 0; and (under
 * policies that do not replicate) the last few, which only one worker each assigns rising numbers to. */
#include "tests/program.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/internal.h"
#include "memnet/preempt.h"
#include "tests/invariants.h"

/* In modes that are fair to all, the most events that an operation may take which waits for nobody's clock. */
enum { PATIENCE_EVENTS = 20000, PATIENCE_EVERY = 256 };

enum { OPEN_MAX = 24, KEYS_MAX = 6, LENGTH_MAX = 12, PHASE_STEPS = 25, SET_KEYS = 8, PUSH_MAX = 4, CHECK_ALL_EVERY = 64 };

struct world {
    const struct program *program;
    struct testload_shape shape;
    uint64_t n_keys;
    uint32_t nodes, workers, max_message, hint_percent;
    struct memnet_config config;
    struct pm_policy preempted;
    uint64_t events;
    struct runner **runners; /* by rank; NULL before they begin and after their end */
    struct invariants invariants;
    double *issued, *completed; /* of counters */
    double *own;                /* ranks x keys: what each worker knows to have been added by itself */
    double *seen;               /* ranks x keys: the most it has seen */
    double *assigned;           /* ranks x keys: the last number that it began to assign */
};

struct open_op {
    pm_ticket ticket;
    enum pm_op_kind kind;
    uint32_t n;
    uint64_t number, begun; /* in the worker's order; at this event */
    pm_key keys[KEYS_MAX];
    float values[KEYS_MAX * LENGTH_MAX];
    /* Pushes: what they add. Pulls: what they must have seen; and, where asynchronous operations keep their order, what
     * they may at most, and what was pushed later by their own worker. */
    double amounts[KEYS_MAX], least[KEYS_MAX], most[KEYS_MAX], later[KEYS_MAX];
};

struct runner {
    struct world *world;
    struct pm_worker *w;
    struct pm_rng rng;
    uint32_t rank, n_open;
    uint64_t n_begun;
    pm_key last_key;
    bool ordered; /* asynchronous operations keep their order per key */
    double *own, *seen, *assigned;
    struct open_op *open[OPEN_MAX],
        ops[OPEN_MAX]; /* the first n_open are open; ops stay in place: they hold buffers */
};

static int fail(const struct runner *r, pm_key key, const char *what, double found, double bound)
{
    fprintf(stderr, "worker %u, key %" PRIu64 ": %s (%.9g, %.9g)\n", r->rank, key, what, found, bound);
    return PM_E_INTERNAL;
}

static bool is_set_key(const struct world *world, pm_key key)
{
    return key + SET_KEYS >= world->n_keys;
}

/* ---- what a finished operation tells ---- */

/* Pulls of the same key that were begun later must have seen no less, those begun earlier no more. */
static void bound_others(struct runner *r, const struct open_op *op, pm_key key, double found)
{
    for (uint32_t o = 0; o < r->n_open && r->ordered; o++) {
        struct open_op *other = r->open[o];
        for (uint32_t k = 0; k < other->n && other->kind == PM_OP_PULL && other != op; k++) {
            if (other->keys[k] != key)
                continue;
            if (other->number > op->number && other->least[k] < found)
                other->least[k] = found;
            if (other->number < op->number && other->most[k] > found)
                other->most[k] = found;
        }
    }
}

static int check_pull(struct runner *r, const struct open_op *op)
{
    const float *values = op->values;
    for (uint32_t i = 0; i < op->n; i++) {
        pm_key key = op->keys[i];
        uint32_t length = pm_length(r->w->ctx.node, key);
        double found = (double)values[0] - testload_initial(key, 0);
        for (uint32_t j = 1; j < length; j++)
            if ((double)values[j] - testload_initial(key, j) != found)
                return fail(r, key, "elements of a pulled value differ", (double)values[j], found);
        values += length;
        if (is_set_key(r->world, key))
            continue;
        if (found < op->least[i])
            return fail(r, key, "a pull missed what this worker has pushed or seen", found, op->least[i]);
        if (found > r->world->issued[key] - op->later[i])
            return fail(r, key, "a pull saw more than was pushed before", found, r->world->issued[key] - op->later[i]);
        if (found > op->most[i])
            return fail(r, key, "a pull saw more than a later one", found, op->most[i]);
        bound_others(r, op, key, found);
        if (found > r->seen[key])
            r->seen[key] = found;
    }
    return PM_OK;
}

static int finish(struct runner *r, uint32_t index)
{
    struct open_op *op = r->open[index];
    int code = pm_wait(r->w, op->ticket);
    if (code != PM_OK)
        return code;
    if (op->kind == PM_OP_PULL && !r->world->program->no_values)
        code = check_pull(r, op);
    for (uint32_t i = 0; i < op->n && op->kind == PM_OP_PUSH; i++) {
        r->world->completed[op->keys[i]] += op->amounts[i];
        r->own[op->keys[i]] += op->amounts[i];
    }
    r->open[index] = r->open[--r->n_open];
    r->open[r->n_open] = op;
    return code;
}

static int finish_all(struct runner *r)
{
    int code = PM_OK;
    while (r->n_open && code == PM_OK)
        code = finish(r, (uint32_t)pm_rng_below(&r->rng, r->n_open));
    return code;
}

/* ---- single steps ---- */

/* Often the same again, so that operations on one key are open together. */
static pm_key random_key(struct runner *r)
{
    uint64_t counters = r->world->n_keys - SET_KEYS;
    if (pm_rng_below(&r->rng, 3))
        r->last_key = pm_rng_below(&r->rng, pm_rng_below(&r->rng, 2) ? counters : counters / 4 + 1);
    return r->last_key;
}

static struct open_op *new_op(struct runner *r, enum pm_op_kind kind)
{
    struct open_op *op = r->open[r->n_open];
    op->kind = kind;
    op->number = r->n_begun++;
    op->begun = r->world->events;
    op->n = 1 + (uint32_t)pm_rng_below(&r->rng, KEYS_MAX);
    for (uint32_t i = 0; i < op->n; i++)
        op->keys[i] = random_key(r);
    return op;
}

static int begin_op(struct runner *r, struct open_op *op, float *buffer)
{
    struct world *world = r->world;
    float *values = world->program->no_values ? NULL : buffer;
    invariants_touch(&world->invariants, op->keys, op->n);
    if (op->kind == PM_OP_PULL)
        op->ticket = pm_pull(r->w, op->keys, op->n, values);
    else if (op->kind == PM_OP_PUSH)
        op->ticket = pm_push(r->w, op->keys, op->n, values);
    else
        op->ticket = pm_set(r->w, op->keys, op->n, values);
    if (op->ticket < 0)
        return (int)op->ticket;
    r->n_open++;
    return PM_OK;
}

static int step_pull(struct runner *r)
{
    struct open_op *op = new_op(r, PM_OP_PULL);
    if (pm_rng_below(&r->rng, 8) == 0) /* read keys that others assign, too */
        op->keys[0] = r->world->n_keys - 1 - pm_rng_below(&r->rng, SET_KEYS);
    for (uint32_t i = 0; i < op->n; i++) {
        double least = r->own[op->keys[i]];
        op->most[i] = INFINITY;
        op->later[i] = 0;
        for (uint32_t o = 0; o < r->n_open && r->ordered; o++)
            for (uint32_t k = 0; k < r->open[o]->n && r->open[o]->kind == PM_OP_PUSH; k++)
                least += r->open[o]->keys[k] == op->keys[i] ? r->open[o]->amounts[k] : 0;
        op->least[i] = r->seen[op->keys[i]] > least ? r->seen[op->keys[i]] : least;
        if (r->w->ctx.node->traits.promise_sync < PM_PRAM)
            op->least[i] = 0;
    }
    return begin_op(r, op, op->values);
}

/* Pulls that are open may not see what is pushed now. */
static void note_later(struct runner *r, const struct open_op *push)
{
    for (uint32_t o = 0; o < r->n_open && r->ordered; o++)
        for (uint32_t k = 0; k < r->open[o]->n && r->open[o]->kind == PM_OP_PULL; k++)
            for (uint32_t i = 0; i < push->n; i++)
                if (r->open[o]->keys[k] == push->keys[i])
                    r->open[o]->later[k] += push->amounts[i];
}

static int step_push(struct runner *r)
{
    struct open_op *op = new_op(r, PM_OP_PUSH);
    float *value = op->values;
    for (uint32_t i = 0; i < op->n; i++) {
        op->amounts[i] = (double)(1 + pm_rng_below(&r->rng, PUSH_MAX));
        for (uint32_t j = 0; j < pm_length(r->w->ctx.node, op->keys[i]); j++)
            *value++ = (float)op->amounts[i];
    }
    for (uint32_t i = 0; i < op->n; i++)
        r->world->issued[op->keys[i]] += op->amounts[i];
    note_later(r, op);
    return begin_op(r, op, op->values);
}

/* Assigns a higher number to an own key and reads it back; where asynchronous operations keep their order several of them in one
 * operation, the last of which holds. */
static int step_set(struct runner *r)
{
    if (r->w->ctx.node->traits.replicates || r->rank >= SET_KEYS)
        return PM_OK;
    enum { TIMES_MAX = 4 };
    pm_key key = r->world->n_keys - 1 - r->rank, keys[TIMES_MAX];
    float values[TIMES_MAX * LENGTH_MAX];
    uint32_t length = pm_length(r->w->ctx.node, key), n = r->ordered ? 1 + (uint32_t)r->n_begun % TIMES_MAX : 1;
    for (uint32_t i = 0; i < n; i++) {
        keys[i] = key;
        r->assigned[key] += 1;
        for (uint32_t j = 0; j < length; j++)
            values[i * length + j] = testload_initial(key, j) + (float)r->assigned[key];
    }
    bool stored = !r->world->program->no_values;
    invariants_touch(&r->world->invariants, &key, 1);
    pm_ticket ticket = pm_set(r->w, keys, n, stored ? values : NULL);
    int code = ticket < 0 ? (int)ticket : pm_wait(r->w, ticket);
    if (code != PM_OK)
        return code;
    ticket = pm_pull(r->w, &key, 1, stored ? values : NULL);
    code = ticket < 0 ? (int)ticket : pm_wait(r->w, ticket);
    for (uint32_t j = 0; j < length && code == PM_OK && stored; j++)
        if ((double)values[j] - testload_initial(key, j) != r->assigned[key])
            code = fail(r, key, "an assigned value is not there", (double)values[j], r->assigned[key]);
    return code;
}

static int step_sample(struct runner *r)
{
    pm_key keys[KEYS_MAX];
    float values[KEYS_MAX * LENGTH_MAX];
    pm_clock now = pm_worker_clock(r->w);
    uint32_t n = 1 + (uint32_t)pm_rng_below(&r->rng, KEYS_MAX);
    int64_t handle = pm_prepare_sample(r->w, (uint32_t)pm_rng_below(&r->rng, 2), n, now, now + 1);
    if (handle < 0)
        return (int)handle;
    pm_ticket ticket = pm_pull_sample(r->w, handle, n, keys, r->world->program->no_values ? NULL : values);
    int code = ticket < 0 ? (int)ticket : pm_wait(r->w, ticket);
    for (uint32_t i = 0; i < n && code == PM_OK; i++)
        if (keys[i] >= r->world->n_keys)
            code = fail(r, keys[i], "no such key was to be drawn", 0, 0);
    return code;
}

static int step_hint(struct runner *r)
{
    pm_key keys[KEYS_MAX];
    for (int i = 0; i < KEYS_MAX; i++)
        keys[i] = pm_rng_below(&r->rng, 8) ? random_key(r) : pm_rng_below(&r->rng, r->world->n_keys);
    pm_clock now = pm_worker_clock(r->w);
    invariants_touch(&r->world->invariants, keys, KEYS_MAX);
    if (pm_rng_below(&r->rng, 2))
        return pm_localize(r->w, keys, KEYS_MAX);
    return pm_intent(r->w, keys, KEYS_MAX, now + (pm_clock)pm_rng_below(&r->rng, 3), now + 4);
}

static int one_step(struct runner *r)
{
    if (r->n_open == OPEN_MAX - 1)
        return finish(r, 0);
    if (pm_rng_below(&r->rng, 100) < r->world->hint_percent)
        return step_hint(r);
    uint64_t dice = pm_rng_below(&r->rng, 100);
    if (dice < 32)
        return step_pull(r);
    if (dice < 66)
        return step_push(r);
    if (dice < 80)
        return r->n_open ? finish(r, (uint32_t)pm_rng_below(&r->rng, r->n_open)) : PM_OK;
    if (dice < 84)
        return finish_all(r);
    if (dice < 88)
        return step_set(r);
    if (dice < 94)
        return step_sample(r);
    const struct pm_backend_ops *ops = r->w->ctx.node->config.ops;
    if (dice < 97)
        ops->compute(r->w->ctx.node->config.ops_self, r->w, (double)pm_rng_below(&r->rng, 5000));
    return dice < 97 ? PM_OK : pm_advance_clock(r->w);
}

/* ---- phases ---- */

/* All workers are past the drain and none has gone on: the model is the sum of all pushes. */
static int check_drained(struct runner *r)
{
    pm_key keys[KEYS_MAX];
    float values[KEYS_MAX * LENGTH_MAX];
    for (int i = 0; i < KEYS_MAX; i++)
        keys[i] = random_key(r);
    int code = pm_read_model(r->w, keys, KEYS_MAX, r->world->program->no_values ? NULL : values);
    const float *value = values;
    for (int i = 0; i < KEYS_MAX && code == PM_OK && !r->world->program->no_values; i++) {
        double found = (double)*value - testload_initial(keys[i], 0);
        value += pm_length(r->w->ctx.node, keys[i]);
        if (found != r->world->issued[keys[i]])
            code = fail(r, keys[i], "the drained model is not the sum of all pushes", found,
                        r->world->issued[keys[i]]);
    }
    return code == PM_OK ? pm_barrier(r->w) : code;
}

static int collective(struct runner *r, uint64_t phase)
{
    double values[2] = {r->rank + 1, (double)phase}, ranks = r->world->nodes * r->world->workers;
    int code;
    switch (pm_hash64_pair(r->world->program->seed, phase) % 4) {
    case 0:
        return pm_barrier(r->w);
    case 1:
        code = pm_reduce(r->w, values, 2);
        if (code == PM_OK && (values[0] != ranks * (ranks + 1) / 2 || values[1] != ranks * (double)phase))
            code = fail(r, phase, "a reduction is wrong", values[0], values[1]);
        return code;
    case 2: /* open operations are the drain's business, too */
        code = pm_drain(r->w);
        return code == PM_OK ? check_drained(r) : code;
    default:
        return finish_all(r);
    }
}

static int run_worker(struct pm_worker *w, void *arg)
{
    struct world *world = arg;
    struct runner *r = calloc(1, sizeof *r);
    if (!r)
        return PM_E_MEMORY;
    r->world = world;
    r->w = w;
    r->rank = pm_worker_rank(w);
    r->ordered = w->ctx.node->traits.promise_async >= PM_PRAM;
    world->runners[r->rank] = r;
    for (uint32_t i = 0; i < OPEN_MAX; i++)
        r->open[i] = &r->ops[i];
    r->own = world->own + r->rank * world->n_keys;
    r->seen = world->seen + r->rank * world->n_keys;
    r->assigned = world->assigned + r->rank * world->n_keys;
    pm_rng_init(&r->rng, "program", world->program->seed, PM_RNG_NOBODY, r->rank);
    int code = PM_OK;
    for (uint64_t phase = 0; phase * PHASE_STEPS < world->program->steps && code == PM_OK; phase++) {
        uint64_t steps = pm_rng_below(&r->rng, 2 * PHASE_STEPS);
        for (uint64_t i = 0; i < steps && code == PM_OK; i++)
            code = one_step(r);
        if (code == PM_OK)
            code = collective(r, phase);
    }
    if (code == PM_OK)
        code = finish_all(r);
    if (code == PM_OK)
        code = pm_drain(w);
    world->runners[r->rank] = NULL;
    free(r);
    return code;
}

/* ---- the world ---- */

static void note_sent(void *arg, const struct pm_message *m, pm_node_id from)
{
    struct world *world = arg;
    uint32_t limit = world->max_message ? world->max_message : PM_MAX_MESSAGE_DEFAULT;
    bool splits = m->wire.kind <= PM_MSG_OWNER && m->wire.n_keys > 1;
    if (m->wire.flags & PM_FLAG_INDEXED) /* entry numbers came on top when a request was split on its way ... */
        limit += 4 * m->wire.n_keys;
    if (m->wire.kind <= PM_MSG_REPLY && m->wire.flags & PM_FLAG_LOCATED) /* ... and the owners of its keys */
        limit += 8 * m->wire.n_keys;
    PM_ASSERT(!splits || m->wire.length_bytes <= limit, "a %s of %u keys has %u bytes, more than %u",
              pm_message_kind_name(m->wire.kind), m->wire.n_keys, m->wire.length_bytes, limit);
    invariants_touch_message(&world->invariants, (struct pm_message *)m);
    if (world->program->sent)
        world->program->sent(world->program->sent_arg, m, from);
}

static void note_received(void *arg, struct pm_message *m, pm_node_id at)
{
    (void)at;
    invariants_touch_message(&((struct world *)arg)->invariants, m);
}

/* Nobody is left to wait for ever while others go on. */
static int check_patience(const struct world *world, struct pm_error *err)
{
    const struct pm_policy *policy = world->program->policy->policy;
    bool fair = world->config.mode == MEMNET_RANDOM || world->config.mode == MEMNET_ROUND_ROBIN;
    if (!fair || policy->usable || policy->serve || policy->clock)
        return PM_OK;
    for (uint32_t rank = 0; rank < world->nodes * world->workers; rank++) {
        const struct runner *r = world->runners[rank];
        for (uint32_t o = 0; r && o < r->n_open; o++)
            if (world->events - r->open[o]->begun > PATIENCE_EVENTS && !pm_op_done(r->w, r->open[o]->ticket))
                return pm_error_set(err, PM_E_PROGRESS, "worker %u: an operation takes more than %d events", rank,
                                    PATIENCE_EVENTS);
    }
    return PM_OK;
}

static int after_event(void *arg, struct memnet *net, struct pm_error *err)
{
    struct world *world = arg;
    world->events = memnet_events(net);
    int code = invariants_check(&world->invariants, net, err);
    return code == PM_OK && world->events % PATIENCE_EVERY == 0 ? check_patience(world, err) : code;
}

static int at_end(void *arg, struct memnet *net, struct pm_error *err)
{
    return invariants_check_quiet(&((struct world *)arg)->invariants, net, err);
}

/* What the seed makes of the cluster. */
static void draw_world(struct world *world, const struct program *p)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "world", p->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    world->program = p;
    world->nodes = 1 + (uint32_t)pm_rng_below(&rng, 5);
    world->workers = 1 + (uint32_t)pm_rng_below(&rng, 3);
    world->shape.keys = SET_KEYS + 6 + pm_rng_below(&rng, 20);
    world->shape.length = 1 + (uint32_t)pm_rng_below(&rng, LENGTH_MAX);
    world->shape.more_keys = pm_rng_below(&rng, 2) * (SET_KEYS + pm_rng_below(&rng, 10));
    world->shape.more_length = 1 + (uint32_t)pm_rng_below(&rng, LENGTH_MAX);
    world->n_keys = world->shape.keys + world->shape.more_keys;
    world->max_message = pm_rng_below(&rng, 3) == 0 ? 100 + (uint32_t)pm_rng_below(&rng, 200) : 0;
    world->hint_percent = 2u << 2 * pm_rng_below(&rng, 3);
    bool preempt = pm_rng_below(&rng, 4) == 0;
    world->config = (struct memnet_config){
        .seed = p->seed,
        .mode = (enum memnet_mode)pm_rng_below(&rng, MEMNET_MODES),
        .latches = preempt || pm_rng_below(&rng, 2),
        .dense = preempt || pm_rng_below(&rng, 2),
        .preempt = preempt,
        .postpone_percent = (unsigned)pm_rng_below(&rng, 3) * 20,
        .max_events = 100 * (p->steps + 100) * 60, /* rounds go on while a starved channel is waited for */
        .sent = note_sent,
        .received = note_received,
        .after_event = after_event,
        .at_end = at_end,
        .arg = world,
    };
}

static int make_world(struct world *world)
{
    uint64_t n = world->n_keys, ranks = world->nodes * world->workers;
    world->issued = calloc(n * (2 + 3 * ranks), sizeof *world->issued);
    world->runners = calloc(ranks, sizeof(struct runner *));
    if (!world->issued || !world->runners)
        return PM_E_MEMORY;
    world->completed = world->issued + n;
    world->own = world->completed + n;
    world->seen = world->own + n * ranks;
    world->assigned = world->seen + n * ranks;
    world->invariants = (struct invariants){
        .n_keys = n,
        .n_counters = n - SET_KEYS,
        .issued = world->program->no_values ? NULL : world->issued,
        .completed = world->completed,
        .every = CHECK_ALL_EVERY,
    };
    return invariants_init(&world->invariants, world->nodes);
}

int program_run(const struct program *p, struct memnet_result *result, struct pm_error *err)
{
    struct world world = {.program = p};
    draw_world(&world, p);
    struct testjob t;
    int code = testjob_init(&t, p->policy->policy, p->policy->options, &world.shape, err);
    if (code != PM_OK)
        return code;
    testjob_cluster(&t, world.nodes, world.workers);
    world.nodes = t.job.nodes;
    code = make_world(&world);
    if (world.config.preempt) {
        preempt_policy(p->policy->policy, &world.preempted);
        if (world.nodes % 2)
            preempt_accesses(&world.preempted);
        t.job.policy = &world.preempted;
    }
    if (code == PM_OK) {
        t.job.seed = p->seed;
        t.job.max_message = world.max_message;
        t.job.with_values = !p->no_values;
        t.job.main = run_worker;
        t.job.main_arg = &world;
        code = memnet_run(&t.job, &world.config, result, err);
    }
    if (code != PM_OK)
        pm_error_wrap(err, code, "%s%s%s, %u x %u, %" PRIu64 " keys, %s%s%s, max_message %u, postpone %u",
                      p->policy->policy->name, *p->policy->options ? ":" : "", p->policy->options,
                      world.nodes, world.workers, world.n_keys, memnet_mode_names[world.config.mode],
                      world.config.preempt ? ", preempted" : world.config.latches ? ", latches" : "",
                      world.config.dense ? ", dense" : "",
                      world.max_message, world.config.postpone_percent);
    invariants_fini(&world.invariants);
    free(world.issued);
    free(world.runners);
    testjob_free(&t);
    return code;
}
