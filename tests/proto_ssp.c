/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The example policy of docs/examples/policies on the in-memory network: clocks, refreshes, deferred
 * requests, deltas shipped while an answer is under way. Random programs; each worker adds to an element of
 * its own, so that a value tells exactly which of its updates it contains. PM_SEED=n runs that seed alone,
 * PM_STEPS sets the steps of each worker, SEEDS how many seeds.
 *
 * What must hold:
 *   - an element is always the sum of the first so many updates of its worker: none lost, doubled or out of
 *     order;
 *   - a pull at clock c contains every update made before clock c - staleness, by any worker;
 *   - it contains all that its own worker has pushed, and no less than that worker has seen before;
 *   - a replica contains all that the workers of its node have pushed;
 *   - drained main copies are the sums of all updates; every program ends. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/internal.h"
#include "docs/examples/policies/ssp.c"
#include "tests/contract.h"
#include "memnet/memnet.h"
#include "memnet/preempt.h"
#include "tests/program.h"
#include "tests/repeat.h"

#define UNBOUNDED INT64_C(1000000000000)

enum { SEEDS = 60, STEPS = 160, PHASE_STEPS = 30, RANKS_MAX = 15, KEYS_MAX = 12, OP_KEYS = 3, OPEN_MAX = 8 };

/* One worker's updates of one key, in order. */
struct journal {
    struct update {
        pm_clock clock; /* of the worker then */
        float sum;      /* with this update */
    } * updates;
    uint32_t n, capacity;
};

struct world {
    uint64_t seed, steps;
    pm_clock staleness;
    bool in_step;
    uint32_t nodes, workers, ranks, n_keys;
    struct memnet_config config;
    bool pushing[RANKS_MAX]; /* its last updates are noted, and perhaps not made yet */
    struct journal journals[RANKS_MAX][KEYS_MAX];
};

struct pull {
    pm_ticket ticket;
    pm_clock clock; /* of the worker at issue */
    uint32_t n;
    pm_key keys[OP_KEYS];
    float values[OP_KEYS * RANKS_MAX];
    float least[OP_KEYS][RANKS_MAX];
};

struct runner {
    struct world *world;
    struct pm_worker *w;
    struct pm_rng rng;
    uint32_t rank, n_open;
    uint32_t haste; /* percent of its steps that advance the clock */
    struct pull pulls[OPEN_MAX];
    float seen[KEYS_MAX][RANKS_MAX];
};

static float total(const struct journal *j)
{
    return j->n ? j->updates[j->n - 1].sum : 0;
}

/* Sum of the updates made before this clock. */
static float sum_before(const struct journal *j, pm_clock clock)
{
    float sum = 0;
    for (uint32_t i = 0; i < j->n && j->updates[i].clock < clock; i++)
        sum = j->updates[i].sum;
    return sum;
}

/* Is this the sum of the first so many updates? */
static bool is_prefix(const struct journal *j, float sum)
{
    for (uint32_t i = 0; i < j->n; i++)
        if (memcmp(&j->updates[i].sum, &sum, sizeof sum) == 0)
            return true;
    return memcmp(&(float){0}, &sum, sizeof sum) == 0;
}

static void note(struct journal *j, pm_clock clock, float amount)
{
    if (j->n == j->capacity) {
        j->capacity = j->capacity ? 2 * j->capacity : 16;
        j->updates = realloc(j->updates, j->capacity * sizeof *j->updates);
        PM_ASSERT(j->updates);
    }
    float sum = total(j) + amount;
    j->updates[j->n++] = (struct update){clock, sum};
}

/* ---- what a finished pull tells ---------------------------------------- */

static int wrong(const struct runner *r, const struct pull *p, uint32_t i, uint32_t of, const char *what,
                 float found, float least)
{
    fprintf(stderr,
            "worker %u at clock %" PRId64 " (pulled at %" PRId64 "), key %" PRIu64
            ", updates of worker %u: %s (%g, %g)\n",
            r->rank, pm_worker_clock(r->w), p->clock, p->keys[i], of, what, (double)found, (double)least);
    return PM_E_INTERNAL;
}

static int check_element(struct runner *r, const struct pull *p, uint32_t i, uint32_t of, float found)
{
    float *seen = &r->seen[p->keys[i]][of];
    if (!is_prefix(&r->world->journals[of][p->keys[i]], found))
        return wrong(r, p, i, of, "not the sum of its first updates", found, 0);
    if (found < p->least[i][of])
        return wrong(r, p, i, of, "staler than the bound allows, or forgets what was pushed or seen", found,
                     p->least[i][of]);
    *seen = found > *seen ? found : *seen;
    return PM_OK;
}

/* The pull that was begun last. Open ones lie in a stack: their buffers stay in place. */
static int finish(struct runner *r)
{
    struct pull *p = &r->pulls[r->n_open - 1];
    int code = pm_wait(r->w, p->ticket);
    for (uint32_t i = 0; i < p->n && code == PM_OK; i++)
        for (uint32_t of = 0; of < r->world->ranks && code == PM_OK; of++)
            code = check_element(r, p, i, of,
                                 p->values[i * r->world->ranks + of] - testload_initial(p->keys[i], of));
    r->n_open--;
    return code;
}

static int finish_all(struct runner *r)
{
    int code = PM_OK;
    while (r->n_open && code == PM_OK)
        code = finish(r);
    return code;
}

/* ---- steps ---------------------------------------- */

static void draw_keys(struct runner *r, pm_key *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        keys[i] = pm_rng_below(&r->rng, pm_rng_below(&r->rng, 2) ? r->world->n_keys : 2);
}

/* What a pull must contain, from what is known now. */
static void demand(struct runner *r, struct pull *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t of = 0; of < r->world->ranks; of++) {
            const struct journal *j = &r->world->journals[of][p->keys[i]];
            float least = of == r->rank ? total(j) : sum_before(j, p->clock - r->world->staleness);
            least = r->seen[p->keys[i]][of] > least ? r->seen[p->keys[i]][of] : least;
            p->least[i][of] = least > p->least[i][of] ? least : p->least[i][of];
        }
}

static int step_pull(struct runner *r, bool wait)
{
    struct pull *p = &r->pulls[r->n_open];
    *p = (struct pull){.clock = pm_worker_clock(r->w), .n = 1 + (uint32_t)pm_rng_below(&r->rng, OP_KEYS)};
    draw_keys(r, p->keys, p->n);
    demand(r, p);
    p->ticket = pm_pull(r->w, p->keys, p->n, p->values);
    if (p->ticket < 0)
        return (int)p->ticket;
    r->n_open++;
    if (!wait)
        return PM_OK;
    int code = pm_wait(r->w, p->ticket);
    demand(r, p); /* nobody has left a collective meanwhile: what the bound allowed then, it allows now */
    return code == PM_OK ? finish(r) : code;
}

static int step_push(struct runner *r)
{
    pm_key keys[OP_KEYS];
    float updates[OP_KEYS * RANKS_MAX] = {0};
    uint32_t n = 1 + (uint32_t)pm_rng_below(&r->rng, OP_KEYS);
    draw_keys(r, keys, n);
    for (uint32_t i = 0; i < n; i++) {
        float amount = (float)(1 + pm_rng_below(&r->rng, 9));
        updates[i * r->world->ranks + r->rank] = amount;
        note(&r->world->journals[r->rank][keys[i]], pm_worker_clock(r->w), amount);
    }
    r->world->pushing[r->rank] = true;
    pm_ticket ticket = pm_push(r->w, keys, n, updates);
    r->world->pushing[r->rank] = false;
    return ticket < 0 ? (int)ticket : pm_wait(r->w, ticket);
}

static int one_step(struct runner *r)
{
    if (r->n_open == OPEN_MAX)
        return finish_all(r);
    uint64_t dice = pm_rng_below(&r->rng, 100);
    if (dice < r->haste)
        return pm_advance_clock(r->w);
    dice = pm_rng_below(&r->rng, 100);
    if (dice < 25)
        return step_pull(r, true);
    if (dice < 45)
        return step_pull(r, false);
    if (dice < 85)
        return step_push(r);
    if (dice < 92)
        return finish_all(r);
    const struct pm_backend_ops *ops = r->w->ctx.node->config.ops;
    ops->compute(r->w->ctx.node->config.ops_self, r->w, (double)pm_rng_below(&r->rng, 5000));
    return PM_OK;
}

/* All workers are past a drain and none has gone on. */
static int check_model(struct runner *r)
{
    const struct world *world = r->world;
    float values[RANKS_MAX];
    for (pm_key key = 0; key < world->n_keys; key++) {
        int code = pm_read_model(r->w, &key, 1, values);
        for (uint32_t of = 0; of < world->ranks && code == PM_OK; of++) {
            float found = values[of] - testload_initial(key, of), sum = total(&world->journals[of][key]);
            if (memcmp(&found, &sum, sizeof sum) == 0)
                continue;
            fprintf(stderr, "drained: key %" PRIu64 ", updates of worker %u: %g, not %g\n", key, of,
                    (double)found, (double)sum);
            code = PM_E_INTERNAL;
        }
        if (code != PM_OK)
            return code;
    }
    return pm_barrier(r->w);
}

/* The same at all workers: what follows from seed and phase. Pulls may stay open over it. */
static int collective(struct runner *r, uint64_t phase)
{
    double one = 1;
    switch (pm_hash64(r->world->seed * 1000 + phase) % 4) {
    case 0:
    case 1:
        return pm_barrier(r->w);
    case 2:
        return pm_reduce(r->w, &one, 1);
    default:
        break;
    }
    int code = pm_drain(r->w);
    return code == PM_OK ? check_model(r) : code;
}

static int run_phase(struct runner *r, uint64_t phase)
{
    static const uint32_t hastes[] = {3, 10, 30, 60};
    r->haste = hastes[pm_rng_below(&r->rng, 4)];
    uint64_t steps = pm_rng_below(&r->rng, 2 * PHASE_STEPS);
    int code = PM_OK;
    for (uint64_t i = 0; i < steps && code == PM_OK; i++)
        code = one_step(r);
    if (code == PM_OK && pm_rng_below(&r->rng, 3))
        code = finish_all(r);
    return code == PM_OK ? collective(r, phase) : code;
}

/* Everybody at the same clock: what was pushed before a barrier is asked for right behind it. */
static int run_phase_in_step(struct runner *r)
{
    int code = step_push(r);
    if (code == PM_OK)
        code = pm_advance_clock(r->w);
    if (code == PM_OK)
        code = pm_barrier(r->w);
    for (int i = 0; i < 2 && code == PM_OK; i++)
        code = step_pull(r, true);
    return code;
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
    pm_rng_init(&r->rng, "ssp", world->seed, PM_RNG_NOBODY, r->rank);
    int code = PM_OK;
    for (uint64_t phase = 0; phase * PHASE_STEPS < world->steps && code == PM_OK; phase++)
        code = world->in_step ? run_phase_in_step(r) : run_phase(r, phase);
    if (code == PM_OK)
        code = finish_all(r);
    if (code == PM_OK)
        code = pm_drain(w);
    if (code == PM_OK)
        code = check_model(r);
    free(r);
    return code;
}

/* ---- the nodes between two events ---------------------------------------- */

static int check_slot(const struct world *world, struct pm_node *node, pm_key key, struct pm_error *err)
{
    const struct pm_slot *slot = pm_slots_find(&node->slots, key);
    if (!slot || slot->latch || slot->state == PM_SLOT_ABSENT)
        return PM_OK;
    bool replica = slot->state == PM_SLOT_REPLICA;
    if (replica && !(slot->flags & PM_SLOT_READY))
        return PM_OK;
    for (uint32_t of = 0; of < world->ranks; of++) {
        const struct journal *j = &world->journals[of][key];
        float found = slot->value[of] - testload_initial(key, of);
        if (!is_prefix(j, found))
            return pm_error_set(err, PM_E_INTERNAL,
                                "key %" PRIu64 " at node %u, updates of worker %u: %g is no sum of its first",
                                key, node->config.id, of, (double)found);
        bool own = of / world->workers == node->config.id;
        if (own && !world->pushing[of] && found < total(j))
            return pm_error_set(err, PM_E_INTERNAL,
                                "key %" PRIu64 " at node %u lacks updates of worker %u: %g, not %g", key,
                                node->config.id, of, (double)found, (double)total(j));
    }
    return PM_OK;
}

static int after_event(void *arg, struct memnet *net, struct pm_error *err)
{
    const struct world *world = arg;
    int code = PM_OK;
    for (pm_node_id i = 0; i < world->nodes && code == PM_OK; i++)
        for (pm_key key = 0; key < world->n_keys && code == PM_OK; key++)
            code = check_slot(world, memnet_node(net, i), key, err);
    return code;
}

/* Nothing of what was kept for an answer under way is left. */
static int at_end(void *arg, struct memnet *net, struct pm_error *err)
{
    const struct world *world = arg;
    for (pm_node_id i = 0; i < world->nodes; i++)
        for (uint32_t b = 0; b < PM_QUEUE_BUCKETS; b++)
            if (memnet_node(net, i)->rounds.shipped[b])
                return pm_error_set(err, PM_E_INTERNAL, "node %u still keeps a shipped delta", i);
    return PM_OK;
}

/* ---- the world ---------------------------------------- */

static void draw_world(struct world *world, uint64_t seed, pm_clock staleness, bool preempt)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "ssp world", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    *world = (struct world){.seed = seed, .steps = repeat_number("PM_STEPS", STEPS), .staleness = staleness};
    world->nodes = 1 + (uint32_t)pm_rng_below(&rng, 5);
    world->workers = 1 + (uint32_t)pm_rng_below(&rng, 3);
    world->ranks = world->nodes * world->workers;
    world->n_keys = 2 + (uint32_t)pm_rng_below(&rng, KEYS_MAX - 1);
    world->config = (struct memnet_config){
        .seed = seed,
        .mode = (enum memnet_mode)pm_rng_below(&rng, MEMNET_MODES),
        .latches = preempt || pm_rng_below(&rng, 2),
        .dense = preempt || pm_rng_below(&rng, 2),
        .preempt = preempt,
        .postpone_percent = (unsigned)pm_rng_below(&rng, 3) * 20,
        .after_event = after_event,
        .at_end = at_end,
        .arg = world,
    };
}

static int run_world(struct world *world, const struct pm_policy *policy, uint64_t *events,
                     struct pm_error *err)
{
    char options[64];
    struct testjob t;
    struct testload_shape shape = {.keys = world->n_keys, .length = world->ranks};
    snprintf(options, sizeof options, "staleness=%" PRId64, world->staleness);
    int code = testjob_init(&t, policy, options, &shape, err);
    if (code != PM_OK)
        return code;
    testjob_cluster(&t, world->nodes, world->workers);
    t.job.seed = world->seed;
    t.job.max_message = world->seed % 3 == 0 ? 120 : 0;
    t.job.main = run_worker;
    t.job.main_arg = world;
    struct memnet_result result;
    code = memnet_run(&t.job, &world->config, &result, err);
    *events += result.events;
    if (code != PM_OK)
        pm_error_wrap(err, code, "%u x %u, %u keys, staleness %" PRId64 ", %s%s%s, postpone %u", world->nodes,
                      world->workers, world->n_keys, world->staleness, memnet_mode_names[world->config.mode],
                      world->config.latches ? ", latches" : "", world->config.dense ? ", dense" : "",
                      world->config.postpone_percent);
    for (uint32_t of = 0; of < RANKS_MAX; of++)
        for (uint32_t key = 0; key < KEYS_MAX; key++)
            free(world->journals[of][key].updates);
    testjob_free(&t);
    return code;
}

/* ---- tests ---------------------------------------- */

/* The same policy, forgetting some replicas now and then. */
static void min_clock_dropping(struct pm_ctx *ctx, void *state, pm_clock c)
{
    for (pm_key key = 0; key < ctx->node->layout->n_keys; key++) {
        if (pm_hash64_pair((uint64_t)c, key) % 3)
            continue;
        struct pm_slot *slot = pm_slot_open(ctx, key);
        if (slot->state == PM_SLOT_REPLICA && !(slot->flags & PM_SLOT_REFRESHING))
            pm_drop(ctx, key, slot);
        pm_slot_close(ctx, slot);
    }
    min_clock(ctx, state, c);
}

struct bound {
    const char *name;
    pm_clock staleness;
    bool preempt, drop, in_step;
};
static struct bound bounds[] = {
    {.name = "staleness_0", .staleness = 0},
    {.name = "staleness_1", .staleness = 1},
    {.name = "staleness_3", .staleness = 3},
    {.name = "unbounded", .staleness = UNBOUNDED},
    {.name = "in_step_0", .staleness = 0, .in_step = true},
    {.name = "in_step_1", .staleness = 1, .in_step = true},
    {.name = "dropping_0", .staleness = 0, .drop = true},
    {.name = "dropping_3", .staleness = 3, .drop = true},
    {.name = "preempted_0", .staleness = 0, .preempt = true},
    {.name = "preempted_1", .staleness = 1, .preempt = true},
    {.name = "preempted_3", .staleness = 3, .preempt = true},
    {.name = "preempted_unbounded", .staleness = UNBOUNDED, .preempt = true},
    {.name = "preempted_in_step_0", .staleness = 0, .preempt = true, .in_step = true},
    {.name = "preempted_dropping_1", .staleness = 1, .preempt = true, .drop = true},
};
enum { BOUNDS = sizeof bounds / sizeof *bounds };

static uint64_t first_seed(void)
{
    return repeat_number("PM_SEED", 1);
}
static uint64_t last_seed(uint64_t standard)
{
    return getenv("PM_SEED") ? first_seed() : repeat_number("SEEDS", standard);
}

static void clocks(void **state)
{
    const struct bound *b = *state;
    struct pm_policy policy = pm_policy_export, preempted;
    if (b->drop)
        policy.min_clock = min_clock_dropping;
    preempt_policy(&policy, &preempted);
    uint64_t events = 0;
    struct world *world = malloc(sizeof *world);
    assert_non_null(world);
    for (uint64_t seed = first_seed(); seed <= last_seed(SEEDS); seed++) {
        struct pm_error err = {0};
        draw_world(world, seed, b->staleness, b->preempt);
        world->in_step = b->in_step;
        if (run_world(world, b->preempt ? &preempted : &policy, &events, &err) == PM_OK)
            continue;
        repeat_line(err.text, seed, "", b->name);
        fail_msg("seed %" PRIu64 " fails", seed);
    }
    free(world);
    printf("%" PRIu64 " events\n", events);
}

static const char *const settings[] = {"staleness=0", "staleness=1", "staleness=3", "staleness=1T"};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* The random programs and scenarios that the policies of the tree have to pass. */
static void programs(void **state)
{
    (void)state;
    for (uint64_t seed = first_seed(); seed <= last_seed(SEEDS); seed++) {
        struct contract_policy policy = {&pm_policy_export, settings[seed % SETTINGS]};
        struct program p = {.seed = seed, .policy = &policy, .steps = STEPS};
        struct pm_error err = {0};
        if (program_run(&p, NULL, &err) == PM_OK)
            continue;
        repeat_line(err.text, seed, "", "programs");
        fail_msg("seed %" PRIu64 " fails", seed);
    }
}

static void contract(void **state)
{
    (void)state;
    const struct contract_case *c;
    for (size_t i = 0; (c = contract_case_at(i)) != NULL; i++)
        for (uint64_t seed = first_seed(); seed <= last_seed(8); seed++) {
            char options[64];
            struct contract_policy policy = {&pm_policy_export, settings[seed % SETTINGS]};
            struct contract_cluster cluster = {1 + (uint32_t)(seed + i) % 4, 1 + (uint32_t)(seed / 2) % 3};
            struct pm_error err = {0};
            snprintf(options, sizeof options, "seed=%" PRIu64 ",mode=%s", seed,
                     memnet_mode_names[seed % MEMNET_MODES]);
            if (contract_run(&memnet_backend, options, c, &policy, cluster, seed, &err) == PM_OK)
                continue;
            repeat_line(err.text, seed, "", "contract");
            fail_msg("%s fails", c->name);
        }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[BOUNDS + 2];
    size_t n = 0;
    for (; n < BOUNDS; n++)
        tests[n] = (struct CMUnitTest){bounds[n].name, clocks, NULL, NULL, &bounds[n]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(programs);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(contract);
    return repeat_main(argc, argv, "bounded staleness", tests, n);
}
