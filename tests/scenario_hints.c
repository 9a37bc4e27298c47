/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scenarios: intent, localize, clocks and samples. Under every policy they work or do no harm. */
#include "tests/scenario.h"

enum { BATCHES = 12, BATCH_KEYS = 5 };

static float batches_of_all(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)arg;
    float sum = 0;
    for (uint32_t rank = 0; rank < scenario_ranks(w); rank++)
        for (uint32_t b = 0; b < BATCHES; b++)
            for (uint32_t i = 0; i < BATCH_KEYS; i++)
                sum += (rank * 3 + b * 7 + i * 11) % scenario_keys(w) == key;
    return sum;
}

static void batch_keys(const struct pm_worker *w, uint32_t batch, pm_key *keys)
{
    for (uint32_t i = 0; i < BATCH_KEYS; i++)
        keys[i] = (pm_worker_rank(w) * 3 + batch * 7 + i * 11) % scenario_keys(w);
}

/* A loop as the training loop has it: intent early, localize, pull, push, advance. */
static int hinted_batches(struct pm_worker *w, void *arg)
{
    (void)arg;
    enum { AHEAD = 3 };
    pm_key keys[BATCH_KEYS];
    float values[BATCH_KEYS * 16], ones[BATCH_KEYS * 16];
    for (int j = 0; j < BATCH_KEYS * 16; j++)
        ones[j] = 1;
    for (uint32_t b = 0; b < BATCHES + AHEAD; b++) {
        if (b < BATCHES) {
            batch_keys(w, b, keys);
            SCENARIO_OK(pm_intent(w, keys, BATCH_KEYS, b, b + 1));
            SCENARIO_OK(pm_localize(w, keys, 2));
        }
        if (b < AHEAD)
            continue;
        batch_keys(w, b - AHEAD, keys);
        SCENARIO_CHECK(pm_worker_clock(w) == b - AHEAD);
        SCENARIO_OK(pm_pull(w, keys, BATCH_KEYS, values));
        SCENARIO_OK(pm_wait_all(w));
        for (uint32_t i = 0; i < BATCH_KEYS; i++) {
            float seen = values[i * pm_length(w->ctx.node, 0)] - testload_initial(keys[i], 0);
            SCENARIO_CHECK(seen >= 0 && seen <= batches_of_all(w, keys[i], NULL));
        }
        SCENARIO_OK(pm_push(w, keys, BATCH_KEYS, ones));
        SCENARIO_OK(pm_wait_all(w));
        SCENARIO_OK(pm_advance_clock(w));
    }
    return scenario_check_model(w, batches_of_all, NULL);
}

/* Two samples at a time, each pulled in parts. */
static int samples(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key keys[40];
    float values[40 * 16];
    for (uint32_t round = 0; round < 5; round++) {
        int64_t one = pm_prepare_sample(w, TESTLOAD_UNIFORM, 30, round, round + 1);
        int64_t other = pm_prepare_sample(w, TESTLOAD_ZIPF, 10, round, round + 1);
        SCENARIO_OK(one);
        SCENARIO_OK(other);
        SCENARIO_CHECK(one != other);
        uint32_t floats = pm_length(w->ctx.node, 0);
        SCENARIO_OK(pm_pull_sample(w, one, 12, keys, values));
        SCENARIO_OK(pm_pull_sample(w, other, 10, keys + 12, values + 12 * floats));
        SCENARIO_OK(pm_pull_sample(w, one, 18, keys + 22, values + 22 * floats));
        SCENARIO_OK(pm_wait_all(w));
        for (int i = 0; i < 40; i++)
            SCENARIO_CHECK(keys[i] < scenario_keys(w));
        int code = scenario_check_values(w, keys, 40, values, scenario_nothing, NULL);
        if (code != PM_OK)
            return code;
        SCENARIO_OK(pm_advance_clock(w));
    }
    SCENARIO_CHECK(w->ctx.counters.sample_reads == 200 && w->ctx.counters.keys_asked[0] == 200);
    return scenario_check_model(w, scenario_nothing, NULL);
}

static int samples_refused(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key keys[8];
    float values[8 * 16];
    SCENARIO_CHECK(pm_prepare_sample(w, PM_DISTRIBUTIONS_MAX, 3, 0, 1) == PM_E_ARGUMENT);
    SCENARIO_CHECK(pm_prepare_sample(w, 2, 3, 0, 1) == PM_E_ARGUMENT);
    int64_t handle = pm_prepare_sample(w, TESTLOAD_UNIFORM, 5, 0, 1);
    SCENARIO_OK(handle);
    SCENARIO_CHECK(pm_pull_sample(w, handle + 1, 1, keys, values) < 0);
    SCENARIO_CHECK(pm_pull_sample(w, -1, 1, keys, values) < 0);
    SCENARIO_CHECK(pm_pull_sample(w, handle, 6, keys, values) < 0);
    SCENARIO_CHECK(pm_pull_sample(w, handle, 0, keys, values) == PM_DONE);
    SCENARIO_OK(pm_pull_sample(w, handle, 5, keys, values));
    SCENARIO_CHECK(pm_pull_sample(w, handle, 1, keys, values) < 0);
    /* used up, it is not given back again by a pull of nothing */
    SCENARIO_CHECK(pm_pull_sample(w, handle, 0, keys, values) == PM_DONE);
    handle = pm_prepare_sample(w, TESTLOAD_UNIFORM, 5, 0, 1);
    int64_t other = pm_prepare_sample(w, TESTLOAD_UNIFORM, 5, 0, 1);
    SCENARIO_CHECK(handle >= 0 && other >= 0 && handle != other);
    SCENARIO_OK(pm_wait_all(w));
    return scenario_check_model(w, scenario_nothing, NULL);
}

/* Chi-square of draws over all workers against the distribution; 63 degrees of freedom, of which 150 is
 * passed with a probability below 1e-8. */
static int chi_square(struct pm_worker *w, uint32_t distribution, const struct pm_distribution *d,
                      double *counts)
{
    enum { PER_WORKER = 3000, PART = 10 };
    const struct pm_sampling *s = &scenario_traits(w)->sampling;
    bool reuses = s->scheme == PM_SAMPLING_REUSE || s->scheme == PM_SAMPLING_POSTPONE;
    uint64_t span = reuses ? (uint64_t)s->group * s->reuse : 1; /* only first uses are independent */
    pm_key keys[PART];
    float values[PART * 16];
    double total = 0;
    memset(counts, 0, 64 * sizeof *counts);
    for (uint32_t i = 0; i < PER_WORKER; i += PART) {
        int64_t handle = pm_prepare_sample(w, distribution, PART, i, i + 1);
        SCENARIO_OK(handle);
        SCENARIO_OK(pm_pull_sample(w, handle, PART, keys, values));
        SCENARIO_OK(pm_wait_all(w));
        for (uint32_t k = 0; k < PART; k++) {
            counts[keys[k]] += !reuses || (i + k) % span < s->group;
            total += !reuses || (i + k) % span < s->group;
        }
    }
    SCENARIO_OK(pm_reduce(w, counts, 64));
    SCENARIO_OK(pm_reduce(w, &total, 1));
    if (s->scheme == PM_SAMPLING_LOCAL)
        return PM_OK; /* not conform: proto_sampling says what it does instead */
    double chi = 0;
    for (pm_key key = 0; key < 64; key++) {
        double expected = total * pm_distribution_probability(d, key);
        chi += (counts[key] - expected) * (counts[key] - expected) / expected;
    }
    SCENARIO_CHECK(chi < 150);
    /* Draws of different workers and of different times are not the same ones. */
    SCENARIO_CHECK(chi > 15);
    return PM_OK;
}

static int samples_follow_distribution(struct pm_worker *w, void *arg)
{
    (void)arg;
    double counts[64];
    const struct pm_model *model = w->ctx.node->config.model;
    SCENARIO_CHECK(scenario_keys(w) == 64);
    int code = chi_square(w, TESTLOAD_UNIFORM, model->distributions[TESTLOAD_UNIFORM], counts);
    return code == PM_OK ? chi_square(w, TESTLOAD_ZIPF, model->distributions[TESTLOAD_ZIPF], counts) : code;
}

static int clocks_rise(struct pm_worker *w, void *arg)
{
    (void)arg;
    for (pm_clock c = 0; c < 20; c++) {
        SCENARIO_CHECK(pm_worker_clock(w) == c);
        SCENARIO_OK(pm_advance_clock(w));
    }
    SCENARIO_CHECK(pm_worker_clock(w) == 20);
    SCENARIO_OK(pm_barrier(w));
    SCENARIO_CHECK(pm_worker_clock(w) == 20);
    return PM_OK;
}

/* ---- keys that move ---- */

enum { ROUNDS_MORE = 3, BLOCK_MAX = 64 };

static float rounds_of_blocks(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)key;
    (void)arg;
    return (float)(scenario_ranks(w) + ROUNDS_MORE);
}

static float rounds_so_far(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)w;
    (void)key;
    return (float)*(const uint32_t *)arg;
}

/* Parameter blocking: in every round each worker has a block of its own, which another one had before. Where keys move,
 * all accesses are local, and each finds what the others have left. */
static int blocks_in_turn(struct pm_worker *w, void *arg)
{
    (void)arg;
    const struct pm_traits *t = scenario_traits(w);
    const bool moves = t->relocates && !t->grants; /* at a word, not when the owner thinks fit */
    uint32_t ranks = scenario_ranks(w);
    pm_key keys[BLOCK_MAX];
    float values[BLOCK_MAX * 16], ones[BLOCK_MAX * 16];
    for (int j = 0; j < BLOCK_MAX * 16; j++)
        ones[j] = 1;
    SCENARIO_CHECK(scenario_keys(w) <= BLOCK_MAX);
    for (uint32_t round = 0; round < ranks + ROUNDS_MORE; round++) {
        uint32_t n = 0;
        for (pm_key key = (pm_worker_rank(w) + round) % ranks; key < scenario_keys(w); key += ranks)
            keys[n++] = key;
        SCENARIO_OK(pm_localize(w, keys, n));
        SCENARIO_OK(pm_pull(w, keys, n, values));
        SCENARIO_OK(pm_push(w, keys, n, ones));
        SCENARIO_OK(pm_wait_all(w));
        bool exact = moves && pm_frequent_count(w->ctx.node) == 0; /* replicas lag behind */
        int code = exact ? scenario_check_values(w, keys, n, values, rounds_so_far, &round) : PM_OK;
        if (code != PM_OK)
            return code;
        SCENARIO_OK(pm_advance_clock(w));
        SCENARIO_OK(pm_barrier(w));
    }
    const struct pm_counters *c = &w->ctx.counters;
    SCENARIO_CHECK(!moves || !t->shared_memory || c->reads[PM_HOW_REMOTE] + c->writes[PM_HOW_REMOTE] == 0);
    return scenario_check_model(w, rounds_of_blocks, NULL);
}

enum { CONTENDED = 4, PULLS = 60 };

static float pulls_of_all(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)arg;
    return key < CONTENDED ? (float)(scenario_ranks(w) * (PULLS / CONTENDED)) : 0;
}

/* All workers want the same few keys at the same time, asynchronously; each sees its own pushes in their order. */
static int contended_keys(struct pm_worker *w, void *arg)
{
    (void)arg;
    bool ordered = scenario_traits(w)->promise_async >= PM_PRAM;
    float values[PULLS][16], one[16];
    for (int j = 0; j < 16; j++)
        one[j] = 1;
    for (uint32_t i = 0; i < PULLS; i++) {
        pm_key key = i % CONTENDED, other = (i * i + pm_worker_rank(w)) % CONTENDED;
        SCENARIO_OK(pm_localize(w, &other, 1));
        SCENARIO_OK(pm_push(w, &key, 1, one));
        SCENARIO_OK(pm_pull(w, &key, 1, values[i]));
        if (i % 16 == 15)
            SCENARIO_OK(pm_wait_all(w));
        if (i % 16 == 15)
            SCENARIO_OK(pm_advance_clock(w));
    }
    SCENARIO_OK(pm_wait_all(w));
    for (uint32_t i = 0; i < PULLS && ordered; i++) {
        float seen = values[i][0] - testload_initial(i % CONTENDED, 0);
        SCENARIO_CHECK(seen >= (float)(i / CONTENDED + 1));
        SCENARIO_CHECK(seen <= pulls_of_all(w, i % CONTENDED, NULL));
        SCENARIO_CHECK(i < CONTENDED || values[i][0] >= values[i - CONTENDED][0]);
    }
    return scenario_check_model(w, pulls_of_all, NULL);
}

const struct contract_case contract_hints[] = {
    {.name = "hinted_batches", .main = hinted_batches},
    {.name = "samples", .main = samples},
    {.name = "samples_refused", .main = samples_refused},
    {.name = "samples_follow_distribution", .main = samples_follow_distribution},
    {.name = "clocks_rise", .main = clocks_rise},
    {.name = "blocks_in_turn", .main = blocks_in_turn},
    {.name = "contended_keys", .main = contended_keys},
    {.main = NULL},
};
