/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policy bounded on the in-memory network. Random programs; each worker adds to an element of its own, so that a value tells
 * exactly which of its updates it contains. PM_SEED=n runs that seed alone, PM_STEPS sets the steps of each worker, SEEDS how
 * many seeds.
 *
 * What must hold:
 *   - a worker starts an iteration only when the slowest one is at most `delay` behind, or waits in a collective;
 *   - what a pull returns of a key is all of every iteration before some one, and nothing of it or a later one: sums of
 *     iterations are applied as a whole, in order, over all workers;
 *   - that one is at most `delay` before the one that the pull is for, which may be as many ahead; what came before the last
 *     collective is there;
 *   - each key's value changed once per iteration in which somebody pushed to it;
 *   - drained main copies are the sums of all updates, whatever the filters; what arrives twice counts once. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/internal.h"
#include "memnet/preempt.h"
#include "memnet/state.h"
#include "policies/bounded.h"
#include "tests/contract.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_bounded;

enum { SEEDS = 40, STEPS = 120, PHASE_STEPS = 30, RANKS_MAX = 12, KEYS_MAX = 24, OP_KEYS = 6, OPEN_MAX = 4, AHEAD_MAX = 4,
       DOUBLED_ONE_IN = 3 };
#define UNBOUNDED INT64_C(1000000000)

struct variant {
    const char *name, *options;
    pm_clock delay;
    bool preempt, twice; /* messages arrive twice */
    bool holds_back;     /* only collectives complete iterations */
};

/* One worker's updates of one key, in order. */
struct journal {
    struct update {
        uint64_t iteration;
        float sum; /* with this update */
    } * updates;
    uint32_t n, capacity;
};

struct world {
    const struct variant *variant;
    uint64_t seed, steps, doubled;
    uint32_t nodes, workers, ranks, n_keys;
    struct memnet_config config;
    struct pm_rng rng;
    pm_clock clocks[RANKS_MAX];
    bool waits[RANKS_MAX]; /* in a collective */
    struct journal journals[RANKS_MAX][KEYS_MAX];
};

struct open {
    pm_ticket ticket;
    uint64_t least; /* iteration before which all must be there */
    uint32_t n;
    pm_key keys[OP_KEYS];
    float values[OP_KEYS * RANKS_MAX];
};

struct runner {
    struct world *world;
    struct pm_worker *w;
    struct pm_rng rng;
    uint32_t rank, n_open, haste; /* haste: percent of its steps that advance the clock */
    struct open open[OPEN_MAX];
};

static float total(const struct journal *j)
{
    return j->n ? j->updates[j->n - 1].sum : 0;
}

static void note(struct journal *j, uint64_t iteration, float amount)
{
    if (j->n == j->capacity) {
        j->capacity = j->capacity ? 2 * j->capacity : 16;
        j->updates = realloc(j->updates, j->capacity * sizeof *j->updates);
        PM_ASSERT(j->updates);
    }
    float sum = total(j) + amount;
    j->updates[j->n++] = (struct update){iteration, sum};
}

/* How many first updates have this sum; more than there are if none. */
static uint32_t prefix_of(const struct journal *j, float sum)
{
    if (memcmp(&(float){0}, &sum, sizeof sum) == 0)
        return 0;
    uint32_t n = 1;
    while (n <= j->n && memcmp(&j->updates[n - 1].sum, &sum, sizeof sum) != 0)
        n++;
    return n;
}

/* ---- what a finished pull tells ---------------------------------------------------------------------- */

static int wrong(const struct runner *r, pm_key key, const char *what, uint64_t a, uint64_t b)
{
    fprintf(stderr, "worker %u at clock %" PRId64 ", key %" PRIu64 ": %s (%" PRIx64 ", %" PRIx64 ")\n", r->rank,
            pm_worker_clock(r->w), key, what, a, b);
    return PM_E_INTERNAL;
}

static int check_value(const struct runner *r, const struct open *o, uint32_t i)
{
    const struct world *world = r->world;
    pm_key key = o->keys[i];
    uint64_t newest = 0, first_missing = UINT64_MAX;
    for (uint32_t of = 0; of < world->ranks; of++) {
        const struct journal *j = &world->journals[of][key];
        float found = o->values[i * world->ranks + of] - testload_initial(key, of);
        uint32_t n = prefix_of(j, found);
        if (world->variant->holds_back)
            continue;
        if (n > j->n)
            return wrong(r, key, "not the sum of a worker's first updates", of, (uint64_t)found);
        if (n > 0 && j->updates[n - 1].iteration + 1 > newest)
            newest = j->updates[n - 1].iteration + 1;
        if (n < j->n && j->updates[n].iteration < first_missing)
            first_missing = j->updates[n].iteration;
    }
    if (newest > first_missing)
        return wrong(r, key, "a part of an iteration", newest - 1, first_missing);
    return first_missing < o->least ? wrong(r, key, "staler than the bound allows", first_missing, o->least) : PM_OK;
}

static int finish_all(struct runner *r)
{
    int code = PM_OK;
    for (; r->n_open && code == PM_OK; r->n_open--) {
        const struct open *o = &r->open[r->n_open - 1];
        code = pm_wait(r->w, o->ticket);
        for (uint32_t i = 0; i < o->n && code == PM_OK; i++)
            code = check_value(r, o, i);
    }
    return code;
}

/* ---- steps ------------------------------------------------------------------------------------------- */

/* Some that repeat, so that lists of keys do. */
static uint32_t draw_keys(struct runner *r, pm_key *keys)
{
    uint32_t n = 1 + (uint32_t)pm_rng_below(&r->rng, OP_KEYS), first = (uint32_t)pm_rng_below(&r->rng, r->world->n_keys);
    uint32_t step = (uint32_t)pm_rng_below(&r->rng, 3);
    for (uint32_t i = 0; i < n; i++)
        keys[i] = step < 2 ? (first + i * (step + 1)) % r->world->n_keys : pm_rng_below(&r->rng, r->world->n_keys);
    return n;
}

static uint64_t needed(const struct runner *r, uint32_t ahead)
{
    uint64_t now = pm_worker_iteration(r->w) + ahead, mask = (UINT64_C(1) << PM_ITERATION_CLOCK_BITS) - 1;
    uint64_t clock = now & mask, delay = (uint64_t)r->world->variant->delay;
    return (now & ~mask) + (clock > delay ? clock - delay : 0);
}

static int step_pull(struct runner *r)
{
    if (r->n_open == OPEN_MAX)
        return finish_all(r);
    struct open *o = &r->open[r->n_open];
    uint64_t delay = (uint64_t)r->world->variant->delay;
    uint32_t ahead = (uint32_t)pm_rng_below(&r->rng, (delay < AHEAD_MAX ? delay : AHEAD_MAX) + 1);
    o->n = draw_keys(r, o->keys);
    o->least = needed(r, ahead);
    o->ticket = pm_pull_ahead(r->w, ahead, o->keys, o->n, o->values);
    if (o->ticket < 0)
        return (int)o->ticket;
    r->n_open++;
    if (delay < AHEAD_MAX && pm_pull_ahead(r->w, (uint32_t)delay + 1, o->keys, o->n, NULL) != PM_E_REFUSED)
        return wrong(r, o->keys[0], "a pull further ahead than the bound allows", delay + 1, 0);
    return pm_rng_below(&r->rng, 2) ? finish_all(r) : PM_OK;
}

static int step_push(struct runner *r)
{
    pm_key keys[OP_KEYS];
    float updates[OP_KEYS * RANKS_MAX] = {0};
    uint32_t n = draw_keys(r, keys);
    for (uint32_t i = 0; i < n; i++) {
        float amount = (float)(1 + pm_rng_below(&r->rng, 9));
        updates[i * r->world->ranks + r->rank] = amount;
        note(&r->world->journals[r->rank][keys[i]], pm_worker_iteration(r->w), amount);
    }
    pm_ticket ticket = pm_push(r->w, keys, n, updates);
    return ticket < 0 || pm_rng_below(&r->rng, 2) ? (int)ticket * (ticket < 0) : pm_wait(r->w, ticket);
}

static int step_clock(struct runner *r)
{
    struct world *world = r->world;
    world->clocks[r->rank]++;
    int code = pm_advance_clock(r->w);
    for (uint32_t of = 0; of < world->ranks && code == PM_OK; of++)
        if (!world->waits[of] && world->clocks[of] < world->clocks[r->rank] - world->variant->delay)
            code = wrong(r, PM_KEY_NONE, "an iteration began too early", (uint64_t)world->clocks[of],
                         (uint64_t)world->clocks[r->rank]);
    return code;
}

static int one_step(struct runner *r)
{
    if (pm_rng_below(&r->rng, 100) < r->haste)
        return step_clock(r);
    uint64_t dice = pm_rng_below(&r->rng, 100);
    if (dice < 45)
        return step_pull(r);
    if (dice < 90)
        return step_push(r);
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
            if (memcmp(&found, &sum, sizeof sum) != 0)
                code = wrong(r, key, "drained, but not the sum of all updates", (uint64_t)found, (uint64_t)sum);
        }
        if (code != PM_OK)
            return code;
    }
    return pm_barrier(r->w);
}

/* The same at all workers: what follows from seed and phase. */
static int collective(struct runner *r, uint64_t phase)
{
    double one = 1;
    r->world->waits[r->rank] = true;
    uint64_t kind = pm_hash64(r->world->seed * 1000 + phase) % 3;
    int code = kind == 0 ? pm_barrier(r->w) : kind == 1 ? pm_reduce(r->w, &one, 1) : pm_drain(r->w);
    if (code == PM_OK && kind == 2)
        code = check_model(r);
    r->world->waits[r->rank] = false;
    return code;
}

static int run_phase(struct runner *r, uint64_t phase)
{
    static const uint32_t hastes[] = {3, 10, 30, 60};
    r->haste = hastes[pm_rng_below(&r->rng, 4)];
    uint64_t steps = pm_rng_below(&r->rng, 2 * PHASE_STEPS);
    int code = PM_OK;
    for (uint64_t i = 0; i < steps && code == PM_OK; i++)
        code = one_step(r);
    if (code == PM_OK)
        code = finish_all(r);
    return code == PM_OK ? collective(r, phase) : code;
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
    pm_rng_init(&r->rng, "bounded", world->seed, PM_RNG_NOBODY, r->rank);
    int code = PM_OK;
    for (uint64_t phase = 0; phase * PHASE_STEPS < world->steps && code == PM_OK; phase++)
        code = run_phase(r, phase);
    world->waits[r->rank] = true;
    if (code == PM_OK)
        code = pm_drain(w);
    if (code == PM_OK)
        code = check_model(r);
    free(r);
    return code;
}

/* ---- what the network and the nodes show ------------------------------------------------------------- */

/* A request on its way comes once more, behind what is on this way now. */
static int double_requests(void *arg, struct memnet *net, struct pm_error *err)
{
    struct world *world = arg;
    (void)err;
    struct channel *c = &net->channels[pm_rng_below(&world->rng, net->n_channels)];
    struct pm_message *m = c->first;
    if (!m || m->wire.kind != PM_MSG_ACCESS || !(m->wire.flags & PM_FLAG_FILTERED) ||
        pm_rng_below(&world->rng, DOUBLED_ONE_IN))
        return PM_OK;
    struct pm_message *copy = pm_message_raw(m->stored_bytes);
    PM_ASSERT(copy);
    memcpy(&copy->wire, &m->wire, m->stored_bytes);
    copy->destination = m->destination;
    c->last->next = copy;
    c->last = copy;
    world->doubled++;
    return PM_OK;
}

/* In how many iterations somebody pushed to this key. */
static uint64_t iterations_of(const struct world *world, pm_key key)
{
    uint64_t n = 0;
    for (uint64_t last = 0, next; (next = UINT64_MAX); last = next, n++) {
        for (uint32_t of = 0; of < world->ranks; of++)
            for (uint32_t i = 0; i < world->journals[of][key].n; i++) {
                uint64_t name = world->journals[of][key].updates[i].iteration + 1;
                next = name > last && name < next ? name : next;
            }
        if (next == UINT64_MAX)
            return n;
    }
    return n;
}

static int at_end(void *arg, struct memnet *net, struct pm_error *err)
{
    const struct world *world = arg;
    uint64_t twice = 0;
    for (pm_node_id i = 0; i < world->nodes; i++) {
        struct pm_node *node = memnet_node(net, i);
        const struct bounded *b = node->policy_state;
        twice += b->twice;
        if (b->sums.groups)
            return pm_error_set(err, PM_E_INTERNAL, "node %u still keeps sums", i);
        for (pm_key key = 0; key < world->n_keys && !world->variant->holds_back; key++) {
            const struct pm_slot *slot = pm_slots_find(&node->slots, key);
            if (slot && slot->state == PM_SLOT_OWNED && slot->version != iterations_of(world, key))
                return pm_error_set(err, PM_E_INTERNAL, "key %" PRIu64 " changed %" PRIu64 " times in %" PRIu64 " iterations",
                                    key, slot->version, iterations_of(world, key));
        }
    }
    return twice == world->doubled ? PM_OK
                                   : pm_error_set(err, PM_E_INTERNAL, "%" PRIu64 " of %" PRIu64 " doubled requests noticed",
                                                  twice, world->doubled);
}

/* ---- the world --------------------------------------------------------------------------------------- */

static void draw_world(struct world *world, const struct variant *v, uint64_t seed)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "bounded world", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    *world = (struct world){.variant = v, .seed = seed, .steps = repeat_number("PM_STEPS", STEPS)};
    pm_rng_init(&world->rng, "doubled", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    world->nodes = 1 + (uint32_t)pm_rng_below(&rng, 4);
    world->workers = 1 + (uint32_t)pm_rng_below(&rng, 3);
    world->ranks = world->nodes * world->workers;
    world->n_keys = 2 + (uint32_t)pm_rng_below(&rng, KEYS_MAX - 1);
    world->config = (struct memnet_config){
        .seed = seed,
        .mode = (enum memnet_mode)pm_rng_below(&rng, MEMNET_MODES),
        .latches = v->preempt || pm_rng_below(&rng, 2),
        .dense = v->preempt || pm_rng_below(&rng, 2),
        .preempt = v->preempt,
        .postpone_percent = (unsigned)pm_rng_below(&rng, 3) * 20,
        .max_events = 300000,
        .after_event = v->twice ? double_requests : NULL,
        .at_end = at_end,
        .arg = world,
    };
}

static int run_world(struct world *world, struct memnet_result *result, struct pm_error *err)
{
    struct pm_policy preempted;
    struct testjob t;
    struct testload_shape shape = {.keys = world->n_keys, .length = world->ranks};
    preempt_policy(&pm_policy_bounded, &preempted);
    const struct pm_policy *policy = world->config.preempt ? &preempted : &pm_policy_bounded;
    int code = testjob_init(&t, policy, world->variant->options, &shape, err);
    if (code != PM_OK)
        return code;
    testjob_cluster(&t, world->nodes, world->workers);
    t.job.seed = world->seed;
    t.job.max_message = world->seed % 3 == 0 ? 160 : 0;
    t.job.main = run_worker;
    t.job.main_arg = world;
    code = memnet_run(&t.job, &world->config, result, err);
    if (code != PM_OK)
        pm_error_wrap(err, code, "%u x %u, %u keys, %s, %s%s%s, postpone %u", world->nodes, world->workers, world->n_keys,
                      world->variant->options, memnet_mode_names[world->config.mode],
                      world->config.latches ? ", latches" : "", world->config.dense ? ", dense" : "",
                      world->config.postpone_percent);
    for (uint32_t of = 0; of < RANKS_MAX; of++)
        for (uint32_t key = 0; key < KEYS_MAX; key++)
            free(world->journals[of][key].updates);
    testjob_free(&t);
    return code;
}

/* What filters say that they have saved is what is missing from the bytes that were sent. */
static void check_savings(const struct world *world, const struct pm_counters *c)
{
    const struct pm_filter_counts *keys = &c->filters[PM_FILTER_KEYS][0], *held = &c->filters[PM_FILTER_THRESHOLD][0];
    const struct pm_filter_counts *pack = &c->filters[PM_FILTER_COMPRESS][0], *replies = &c->filters[PM_FILTER_COMPRESS][1];
    uint64_t reads = c->reads[PM_HOW_REMOTE], writes = c->writes[PM_HOW_REMOTE], requests = c->kind_count[PM_MSG_ACCESS];
    uint64_t stamps = strstr(world->variant->options, "range_clocks=0") ? 0 : 24 * requests;
    uint64_t saved = keys->bytes_before - keys->bytes_after + pack->bytes_before - pack->bytes_after;
    uint64_t plain = PM_WIRE_BYTES * requests + 8 * (reads + writes) + 4 * world->ranks * writes + stamps;
    if (!held->messages)
        assert_int_equal(c->kind_bytes[PM_MSG_ACCESS] + saved, plain);
    uint64_t answers = PM_WIRE_BYTES * c->kind_count[PM_MSG_REPLY] + 4 * world->ranks * reads;
    uint64_t sent = c->kind_bytes[PM_MSG_REPLY] + replies->bytes_before - replies->bytes_after;
    assert_in_range(sent, answers, answers + 4 * (reads + writes)); /* answers in parts name their entries */
    if (keys->messages)
        assert_true(keys->messages == requests);
}

static void programs(void **state)
{
    const struct variant *v = *state;
    uint64_t first = repeat_number("PM_SEED", 1), seeds = repeat_number("SEEDS", SEEDS / REPEAT_SHARE + 1);
    uint64_t events = 0, doubled = 0, saved = 0;
    struct world *world = malloc(sizeof *world);
    assert_non_null(world);
    for (uint64_t seed = first; seed < first + (getenv("PM_SEED") ? 1 : seeds); seed++) {
        struct pm_error err = {0};
        struct memnet_result result = {0};
        draw_world(world, v, seed);
        repeat_note(seed, "", v->name);
        if (run_world(world, &result, &err) != PM_OK) {
            repeat_line(err.text, seed, "", v->name);
            fail_msg("seed %" PRIu64 " fails", seed);
        }
        check_savings(world, &result.counters);
        events += result.events;
        doubled += world->doubled;
        for (int f = 0; f < PM_FILTERS; f++)
            for (int kind = 0; kind < 2; kind++)
                saved += result.counters.filters[f][kind].bytes_before - result.counters.filters[f][kind].bytes_after;
    }
    free(world);
    printf("%" PRIu64 " events, %" PRIu64 " requests doubled, %" PRIu64 " bytes saved\n", events, doubled, saved);
    assert_true(getenv("PM_SEED") || !v->twice || doubled > 0);
}

static struct variant variants[] = {
    {.name = "delay_0", .options = "delay=0"},
    {.name = "delay_1", .options = "delay=1", .delay = 1},
    {.name = "delay_3", .options = "delay=3", .delay = 3},
    {.name = "unbounded", .options = "delay=inf", .delay = UNBOUNDED},
    {.name = "by_hash", .options = "delay=1,placement=hash", .delay = 1},
    {.name = "unfiltered", .options = "delay=0,keys=0,range_clocks=0"},
    {.name = "few_lists", .options = "delay=2,lists=2", .delay = 2},
    {.name = "compressed", .options = "delay=1,compress=1,keys=0,range_clocks=0", .delay = 1},
    {.name = "all_filters", .options = "delay=1,compress=1,threshold=6,lists=3", .delay = 1, .holds_back = true},
    {.name = "held_back", .options = "delay=0,threshold=12,keys=0", .holds_back = true},
    {.name = "twice", .options = "delay=1", .delay = 1, .twice = true},
    {.name = "twice_few_lists", .options = "delay=3,lists=2,compress=1", .delay = 3, .twice = true},
    {.name = "preempted_0", .options = "delay=0", .preempt = true},
    {.name = "preempted_1", .options = "delay=1,compress=1", .delay = 1, .preempt = true},
    {.name = "preempted_3", .options = "delay=3,lists=2", .delay = 3, .preempt = true},
    {.name = "preempted_unbounded", .options = "delay=inf,threshold=6", .delay = UNBOUNDED, .preempt = true, .holds_back = true},
    {.name = "preempted_twice", .options = "delay=1,compress=1", .delay = 1, .preempt = true, .twice = true},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* The scenarios that all policies have to pass, with every filter. */
static void scenarios(void **state)
{
    (void)state;
    static const struct contract_policy filtered = {&pm_policy_bounded, "delay=1,compress=1,lists=4"};
    const struct contract_case *c;
    uint64_t seed = repeat_number("PM_SEED", 1);
    for (size_t i = 0; (c = contract_case_at(i)) != NULL; i++) {
        char options[64];
        struct pm_error err = {0};
        snprintf(options, sizeof options, "seed=%" PRIu64 ",mode=%s", seed, memnet_mode_names[i % MEMNET_MODES]);
        if (!c->without_values &&
            contract_run(&memnet_backend, options, c, &filtered, (struct contract_cluster){3, 2}, seed, &err) != PM_OK) {
            repeat_line(err.text, seed, "", "scenarios");
            fail_msg("%s fails", c->name);
        }
    }
}

/* Filters that look at values are refused without them, delays that are none as well. */
static void refusals(void **state)
{
    (void)state;
    static const char *const options[] = {"compress=1", "threshold=0.5"};
    struct contract_case without = *contract_case_at(0);
    without.without_values = true;
    for (size_t i = 0; i < 2; i++) {
        struct contract_policy policy = {&pm_policy_bounded, options[i]};
        struct pm_error err = {0};
        int code = contract_run(&memnet_backend, "", &without, &policy, (struct contract_cluster){2, 1}, 1, &err);
        assert_int_equal(code, PM_E_REFUSED);
        assert_non_null(strstr(err.text, i ? "threshold" : "compress"));
    }
    static const char *const delays[] = {"-1", "01", "1.5", "infinite", "1000000000"};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        struct pm_error err = {0};
        struct pm_values values;
        struct pm_traits traits;
        assert_int_equal(pm_values_init(&values, pm_policy_bounded.options, &err), PM_OK);
        assert_int_equal(pm_values_set(&values, "delay", delays[i], &err), PM_OK);
        assert_int_equal(pm_policy_traits(&pm_policy_bounded, &values, &traits, &err), PM_E_OPTION);
        pm_values_free(&values);
        assert_non_null(strstr(err.text, "a whole number below 1000000000 or inf is allowed"));
    }
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[VARIANTS + 2];
    size_t n = 0;
    for (; n < VARIANTS; n++)
        tests[n] = (struct CMUnitTest){variants[n].name, programs, NULL, NULL, &variants[n]};
    tests[n++] = (struct CMUnitTest){"scenarios", scenarios, NULL, NULL, NULL};
    tests[n++] = (struct CMUnitTest){"refusals", refusals, NULL, NULL, NULL};
    return repeat_main(argc, argv, "bounded delay", tests, n);
}
