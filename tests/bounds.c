/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random programs under a bound of staleness. */
#include "tests/bounds.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/internal.h"
#include "core/log.h"
#include "memnet/preempt.h"
#include "tests/contract.h"
#include "tests/program.h"
#include "tests/repeat.h"

enum { SEEDS = 24, STEPS = 160, PHASE_STEPS = 30, RANKS_MAX = 15, KEYS_MAX = 12, OP_KEYS = 3, OPEN_MAX = 8 };

/* One worker's updates of one key, in order. */
struct journal {
    struct update {
        pm_clock clock; /* the policy's, of the worker then */
        float sum;      /* with this update */
    } * updates;
    uint32_t n, capacity;
};

struct world {
    const struct bounds *bounds;
    uint64_t seed, steps;
    uint32_t nodes, workers, ranks, n_keys;
    struct memnet_config config;
    uint32_t pushing[RANKS_MAX]; /* pushes that are noted, and perhaps not made yet */
    bool asked[RANKS_MAX][KEYS_MAX]; /* by node: for a refresh */
    char twice[80];                  /* what was asked for more than once */
    struct journal journals[RANKS_MAX][KEYS_MAX];
};

/* A pull, or a push whose updates are the values. */
struct open {
    pm_ticket ticket;
    bool push;
    pm_clock clock; /* the policy's, of the worker at issue */
    uint32_t n;
    pm_key keys[OP_KEYS];
    float values[OP_KEYS * RANKS_MAX];
    float least[OP_KEYS][RANKS_MAX], most[OP_KEYS][RANKS_MAX];
};

struct runner {
    struct world *world;
    struct pm_worker *w;
    struct pm_rng rng;
    uint32_t rank, n_open;
    uint32_t haste; /* percent of its steps that advance the clock */
    struct open open[OPEN_MAX];
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

static int wrong(const struct runner *r, const struct open *p, uint32_t i, uint32_t of, const char *what,
                 float found, float least)
{
    fprintf(stderr,
            "worker %u at clock %" PRId64 " (pulled at %" PRId64 "), key %" PRIu64
            ", updates of worker %u: %s (%g, %g)\n",
            r->rank, pm_policy_clock(r->w), p->clock, p->keys[i], of, what, (double)found, (double)least);
    return PM_E_INTERNAL;
}

static int check_element(struct runner *r, const struct open *p, uint32_t i, uint32_t of, float found)
{
    float *seen = &r->seen[p->keys[i]][of];
    if (!is_prefix(&r->world->journals[of][p->keys[i]], found))
        return wrong(r, p, i, of, "not the sum of its first updates", found, 0);
    if (found < p->least[i][of])
        return wrong(r, p, i, of, "staler than the bound allows, or forgets what was pushed or seen", found,
                     p->least[i][of]);
    if (found > p->most[i][of])
        return wrong(r, p, i, of, "contains what came later", found, p->most[i][of]);
    *seen = found > *seen ? found : *seen;
    return PM_OK;
}

/* Pulls that were issued before this one and are still open must not see more of the key. */
static void limit_earlier(struct runner *r, pm_key key, uint32_t of, float found)
{
    for (uint32_t e = 0; e + 1 < r->n_open; e++)
        for (uint32_t i = 0; i < r->open[e].n; i++)
            if (r->open[e].keys[i] == key && r->open[e].most[i][of] > found)
                r->open[e].most[i][of] = found;
}

/* The operation that was begun last. Open ones lie in a stack: their buffers stay in place. */
static int finish(struct runner *r)
{
    struct open *p = &r->open[r->n_open - 1];
    const struct world *world = r->world;
    int code = pm_wait(r->w, p->ticket);
    if (p->push)
        r->world->pushing[r->rank]--;
    for (uint32_t i = 0; i < p->n && code == PM_OK && !p->push; i++)
        for (uint32_t of = 0; of < world->ranks && code == PM_OK; of++) {
            float found = p->values[i * world->ranks + of] - testload_initial(p->keys[i], of);
            code = check_element(r, p, i, of, found);
            limit_earlier(r, p->keys[i], of, found);
        }
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
static void demand(struct runner *r, struct open *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        for (uint32_t of = 0; of < r->world->ranks; of++) {
            const struct journal *j = &r->world->journals[of][p->keys[i]];
            float least = of == r->rank ? total(j) : sum_before(j, p->clock - r->world->bounds->staleness);
            least = r->seen[p->keys[i]][of] > least ? r->seen[p->keys[i]][of] : least;
            p->least[i][of] = least > p->least[i][of] ? least : p->least[i][of];
            p->most[i][of] = of == r->rank ? total(j) : INFINITY;
        }
}

static struct open *begin(struct runner *r, bool push)
{
    struct open *p = &r->open[r->n_open++];
    *p = (struct open){.push = push, .clock = pm_policy_clock(r->w), .n = 1 + (uint32_t)pm_rng_below(&r->rng, OP_KEYS)};
    draw_keys(r, p->keys, p->n);
    return p;
}

static int step_pull(struct runner *r, bool wait)
{
    struct open *p = begin(r, false);
    demand(r, p);
    p->ticket = pm_pull(r->w, p->keys, p->n, p->values);
    if (p->ticket < 0)
        return (int)p->ticket;
    if (!wait)
        return PM_OK;
    int code = pm_wait(r->w, p->ticket);
    demand(r, p); /* nobody has left a collective meanwhile: what the bound allowed then, it allows now */
    return code == PM_OK ? finish(r) : code;
}

static int step_push(struct runner *r, bool wait)
{
    struct open *p = begin(r, true);
    for (uint32_t i = 0; i < p->n; i++) {
        float amount = (float)(1 + pm_rng_below(&r->rng, 9));
        p->values[i * r->world->ranks + r->rank] = amount;
        note(&r->world->journals[r->rank][p->keys[i]], p->clock, amount);
    }
    r->world->pushing[r->rank]++;
    p->ticket = pm_push(r->w, p->keys, p->n, p->values);
    if (p->ticket < 0)
        return (int)p->ticket;
    return wait ? finish(r) : PM_OK;
}

static int one_step(struct runner *r)
{
    if (r->n_open == OPEN_MAX)
        return finish_all(r);
    uint64_t dice = pm_rng_below(&r->rng, 100);
    if (dice < r->haste)
        return dice % 3 ? pm_advance_clock(r->w) : pm_end_sub_epoch(r->w);
    dice = pm_rng_below(&r->rng, 100);
    if (dice < 25)
        return step_pull(r, true);
    if (dice < 45)
        return step_pull(r, false);
    if (dice < 85)
        return step_push(r, dice % 3);
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
    int code = step_push(r, true);
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
        code = world->bounds->in_step ? run_phase_in_step(r) : run_phase(r, phase);
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

static int check_histograms(const struct world *world, const struct pm_ctx *ctx, struct pm_error *err)
{
    const struct pm_histogram *clocks = ctx->histograms[PM_Q_STALENESS_CLOCKS], *times = ctx->histograms[PM_Q_STALENESS_TIME];
    if (!clocks && !times)
        return PM_OK;
    if (!clocks || !times || clocks->count != times->count)
        return pm_error_set(err, PM_E_INTERNAL, "staleness was not recorded both in clocks and in time");
    if (clocks->max > world->bounds->staleness)
        return pm_error_set(err, PM_E_INTERNAL, "a staleness of %" PRId64 " clocks was recorded", clocks->max);
    return PM_OK;
}

/* Nothing of what was kept for a value under way is left. */
static int at_end(void *arg, struct memnet *net, struct pm_error *err)
{
    const struct world *world = arg;
    if (world->twice[0])
        return pm_error_set(err, PM_E_INTERNAL, "%s", world->twice);
    for (pm_node_id i = 0; i < world->nodes; i++) {
        const struct pm_node *node = memnet_node(net, i);
        for (uint32_t b = 0; b < PM_SHIPPED_BUCKETS; b++)
            if (node->rounds.shipped[b])
                return pm_error_set(err, PM_E_INTERNAL, "node %u still keeps a shipped delta", i);
        for (uint32_t w = 0; w < world->workers && node->traits.worker_logs; w++)
            if (pm_log_bytes(node->workers[w].log))
                return pm_error_set(err, PM_E_INTERNAL, "the log of worker %u of node %u still holds updates", w, i);
        int code = check_histograms(world, &node->communicator, err);
        for (uint32_t w = 0; w < world->workers && code == PM_OK; w++)
            code = check_histograms(world, &node->workers[w].ctx, err);
        if (code != PM_OK)
            return code;
    }
    return PM_OK;
}

/* Which keys are asked for. */
static void sent(void *arg, const struct pm_message *message, pm_node_id from)
{
    struct world *world = arg;
    struct pm_message *m = (struct pm_message *)(uintptr_t)message; /* only read */
    const pm_key *keys = pm_message_keys(m);
    const uint32_t *flags = pm_message_meta(m);
    for (uint32_t i = 0; m->wire.kind == PM_MSG_ROUND && i < m->wire.n_keys; i++) {
        if (!(flags[i] & PM_ROUND_REFRESH))
            continue;
        if (world->asked[from][keys[i]] && world->bounds->asks_once)
            snprintf(world->twice, sizeof world->twice, "node %u asked for key %" PRIu64 " twice", from, keys[i]);
        world->asked[from][keys[i]] = true;
    }
}

/* ---- the world ---------------------------------------- */

static void draw_world(struct world *world, const struct bounds *b, uint64_t seed)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "ssp world", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    *world = (struct world){.bounds = b, .seed = seed, .steps = repeat_number("PM_STEPS", STEPS)};
    world->nodes = 1 + (uint32_t)pm_rng_below(&rng, 5);
    world->workers = 1 + (uint32_t)pm_rng_below(&rng, 3);
    world->ranks = world->nodes * world->workers;
    world->n_keys = 2 + (uint32_t)pm_rng_below(&rng, KEYS_MAX - 1);
    world->config = (struct memnet_config){
        .seed = seed,
        .mode = (enum memnet_mode)pm_rng_below(&rng, MEMNET_MODES),
        .latches = b->preempt || pm_rng_below(&rng, 2),
        .dense = b->preempt || pm_rng_below(&rng, 2),
        .preempt = b->preempt,
        .postpone_percent = (unsigned)pm_rng_below(&rng, 3) * 20,
        .sent = sent,
        .after_event = after_event,
        .at_end = at_end,
        .arg = world,
    };
}

static int run_world(struct world *world, uint64_t *events, struct pm_error *err)
{
    const struct bounds *b = world->bounds;
    char options[128];
    struct testjob t;
    struct testload_shape shape = {.keys = world->n_keys, .length = world->ranks};
    struct pm_policy preempted;
    preempt_policy(b->policy, &preempted);
    snprintf(options, sizeof options, "staleness=%" PRId64 "%s%s", b->staleness, b->options ? "," : "",
             b->options ? b->options : "");
    int code = testjob_init(&t, b->preempt ? &preempted : b->policy, options, &shape, err);
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
        pm_error_wrap(err, code, "%u x %u, %u keys, %s, %s%s%s, postpone %u", world->nodes, world->workers, world->n_keys,
                      options, memnet_mode_names[world->config.mode], world->config.latches ? ", latches" : "",
                      world->config.dense ? ", dense" : "", world->config.postpone_percent);
    for (uint32_t of = 0; of < RANKS_MAX; of++)
        for (uint32_t key = 0; key < KEYS_MAX; key++)
            free(world->journals[of][key].updates);
    testjob_free(&t);
    return code;
}

int bounds_run(const struct bounds *b, uint64_t seed, uint64_t *events, struct pm_error *err)
{
    struct world *world = malloc(sizeof *world);
    if (!world)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for a program");
    draw_world(world, b, seed);
    int code = run_world(world, events, err);
    free(world);
    return code;
}

/* ---- tests ---------------------------------------- */

uint64_t bounds_first_seed(void)
{
    return repeat_number("PM_SEED", 1);
}

uint64_t bounds_last_seed(uint64_t standard)
{
    return getenv("PM_SEED") ? bounds_first_seed() : repeat_number("SEEDS", standard);
}

void bounds_programs(void **state)
{
    const struct bounds *b = *state;
    uint64_t events = 0;
    for (uint64_t seed = bounds_first_seed(); seed <= bounds_last_seed(SEEDS / REPEAT_SHARE); seed++) {
        struct pm_error err = {0};
        repeat_note(seed, "", b->name);
        if (bounds_run(b, seed, &events, &err) == PM_OK)
            continue;
        repeat_line(err.text, seed, "", b->name);
        fail_msg("seed %" PRIu64 " fails after %" PRIu64 " events in all", seed, events);
    }
    printf("%" PRIu64 " events\n", events);
}

static size_t count_settings(const struct bounds_settings *s)
{
    size_t n = 0;
    while (s->options[n])
        n++;
    return n;
}

void bounds_random(void **state)
{
    const struct bounds_settings *s = *state;
    size_t n = count_settings(s);
    for (uint64_t seed = bounds_first_seed(); seed <= bounds_last_seed(SEEDS / REPEAT_SHARE); seed++) {
        struct contract_policy policy = {s->policy, s->options[seed % n]};
        struct program p = {.seed = seed, .policy = &policy, .steps = STEPS};
        struct pm_error err = {0};
        if (program_run(&p, NULL, &err) == PM_OK)
            continue;
        repeat_line(err.text, seed, "", "programs");
        fail_msg("seed %" PRIu64 " fails", seed);
    }
}

void bounds_contract(void **state)
{
    const struct bounds_settings *s = *state;
    size_t n = count_settings(s);
    const struct contract_case *c;
    for (size_t i = 0; (c = contract_case_at(i)) != NULL; i++)
        for (uint64_t seed = bounds_first_seed(); seed <= bounds_last_seed(8); seed++) {
            char options[64];
            struct contract_policy policy = {s->policy, s->options[seed % n]};
            struct contract_cluster cluster = {1 + (uint32_t)(seed + i) % 4, 1 + (uint32_t)(seed / 2) % 3};
            struct pm_error err = {0};
            snprintf(options, sizeof options, "seed=%" PRIu64 ",mode=%s", seed, memnet_mode_names[seed % MEMNET_MODES]);
            if (contract_run(&memnet_backend, options, c, &policy, cluster, seed, &err) == PM_OK)
                continue;
            repeat_line(err.text, seed, "", "contract");
            fail_msg("%s fails", c->name);
        }
}
