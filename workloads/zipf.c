/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zipf: counters that are read and raised by one; an access pattern without a model.
 *
 * The r-th most frequent key of a step is a pseudorandom permutation's image of r - 1 + drift x step (mod
 * keys), so that with drift > 0 the set of hot keys moves on. Sampling accesses are uniform over all keys.
 * Values stay whole numbers below 2^24, which floats hold exactly: the sum over the model is the number of
 * updates pushed, or an update was lost or doubled. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/permutation.h"
#include "core/pm.h"
#include "core/rng.h"
#include "core/workload.h"

enum {
    EXACT_MAX = 1 << 24,       /* greatest whole number below which a float holds all */
    READ_FLOATS_MAX = 1 << 18, /* floats that evaluation reads at once; at least one key's */
    READ_KEYS_MAX = 4096,
};

struct zipf_state {
    struct pm_task task;
    uint64_t ranks;
    uint64_t keys, steps;
    uint32_t length, n_direct, n_samples;
    double write, drift, flops;
    struct pm_distribution popularity; /* of ranks: key r - 1 stands for rank r */
    struct pm_permutation scatter;
    struct pm_distribution uniform; /* of the sampling accesses */
};

struct zipf_worker {
    uint32_t rank;
    /* The loader's: */
    struct pm_rng access; /* of one epoch */
    uint64_t step;        /* over all epochs */
    /* The trainer's: */
    struct pm_rng write;
    uint64_t pushed; /* updated keys since the start */
    float *values;   /* scratch of evaluation */
};

static const struct pm_option options[] = {
    {.name = "keys", .type = PM_OPT_COUNT, .def = "100k", .help = "counters", .min = 1, .max = 0x1p40},
    {.name = "length",
     .type = PM_OPT_COUNT,
     .def = "16",
     .help = "floats per counter",
     .min = 1,
     .max = 0x1p24},
    {.name = "skew",
     .type = PM_OPT_REAL,
     .def = "1.1",
     .help = "Zipf exponent of direct accesses (0: uniform)",
     .min = 0,
     .max = PM_DISTRIBUTION_SKEW_MAX},
    {.name = "sampling",
     .type = PM_OPT_REAL,
     .def = "0",
     .help = "share of a step's keys that are sampling accesses",
     .min = 0,
     .max = 1},
    {.name = "batch", .type = PM_OPT_COUNT, .def = "10", .help = "keys per step", .min = 1, .max = 1e6},
    {.name = "steps",
     .type = PM_OPT_COUNT,
     .def = "1000",
     .help = "steps per worker and epoch",
     .min = 1,
     .max = 1e12},
    {.name = "write",
     .type = PM_OPT_REAL,
     .def = "1",
     .help = "share of accessed keys that are raised by 1",
     .min = 0,
     .max = 1},
    {.name = "drift",
     .type = PM_OPT_REAL,
     .def = "0",
     .help = "ranks by which the order of popularity shifts per step",
     .min = 0,
     .max = 1e9},
    {.name = "flops",
     .type = PM_OPT_REAL,
     .help = "floating-point operations per step (20 x batch x length)",
     .min = 0,
     .max = 1e18},
    {.name = NULL},
};

/* Refuses settings whose hottest counter would pass the exact range: ten deviations above
 * the expected number of its updates. (The hot set's drift and the samples only spread them.) */
static int check_exact(const struct zipf_state *s, struct pm_error *err)
{
    double pushes = (double)s->task.epochs * (double)s->ranks * (double)s->steps * s->write;
    double hottest = pushes * (s->n_direct * pm_distribution_probability(&s->popularity, 0) +
                               s->n_samples / (double)s->keys);
    hottest += 10 * sqrt(hottest);
    if (hottest < EXACT_MAX || !s->task.with_values)
        return PM_OK;
    return pm_error_set(
        err, PM_E_OPTION,
        "about %.3g updates of the most frequent key: sums are exact below %d (allowed: fewer epochs, "
        "steps=, batch= or write=, less skew=, more keys=, or --values none)",
        hottest, EXACT_MAX);
}

static int make_distributions(struct zipf_state *s, double skew, struct pm_error *err)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "zipf.scatter", s->task.seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    pm_permutation_init(&s->scatter, s->keys, pm_rng_u64(&rng));
    int rc = pm_distribution_zipf(&s->popularity, 0, s->keys, skew, err);
    return rc == PM_OK ? pm_distribution_uniform(&s->uniform, 0, s->keys, err) : rc;
}

static int zipf_open(void *state, const struct pm_values *o, const struct pm_task *task,
                     struct pm_model *model, struct pm_error *err)
{
    struct zipf_state *s = state;
    uint32_t batch = (uint32_t)pm_values_count(o, "batch");
    s->task = *task;
    s->ranks = (uint64_t)task->nodes * task->workers;
    s->keys = pm_values_count(o, "keys");
    s->length = (uint32_t)pm_values_count(o, "length");
    s->steps = pm_values_count(o, "steps");
    s->n_samples = (uint32_t)lround(pm_values_real(o, "sampling") * batch);
    s->n_direct = batch - s->n_samples;
    s->write = pm_values_real(o, "write");
    s->drift = pm_values_real(o, "drift");
    s->flops = pm_values_is_set(o, "flops") ? pm_values_real(o, "flops") : 20.0 * batch * s->length;
    int rc = make_distributions(s, pm_values_real(o, "skew"), err);
    if (rc == PM_OK)
        rc = check_exact(s, err);
    if (rc != PM_OK)
        return rc;
    rc = pm_layout_add(&model->layout, s->keys, s->length, err);
    if (rc < 0)
        return rc;
    model->distributions[0] = &s->uniform;
    model->n_distributions = 1;
    return PM_OK;
}

static void zipf_close(void *state)
{
    struct zipf_state *s = state;
    pm_distribution_free(&s->popularity);
    pm_distribution_free(&s->uniform);
}

/* Keys that evaluation reads at once. */
static uint64_t read_keys(const struct zipf_state *s)
{
    uint64_t n = READ_FLOATS_MAX / s->length;
    return n < 1 ? 1 : n < READ_KEYS_MAX ? n : READ_KEYS_MAX;
}

static int zipf_begin(const void *state, void *ws, uint32_t rank)
{
    const struct zipf_state *s = state;
    struct zipf_worker *w = ws;
    w->rank = rank;
    pm_rng_init(&w->write, "zipf.write", s->task.seed, rank / s->task.workers, rank % s->task.workers);
    if (!s->task.with_values)
        return PM_OK;
    w->values = malloc(read_keys(s) * s->length * sizeof *w->values);
    return w->values != NULL ? PM_OK : PM_E_MEMORY;
}

static void zipf_end(const void *state, void *ws)
{
    (void)state;
    struct zipf_worker *w = ws;
    free(w->values);
}

static uint64_t zipf_epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    const struct zipf_state *s = state;
    struct zipf_worker *w = ws;
    w->step = epoch * s->steps;
    pm_rng_init(&w->access, "zipf.access", pm_hash64_pair(s->task.seed, epoch), w->rank / s->task.workers,
                w->rank % s->task.workers);
    return s->steps;
}

static int zipf_next(const void *state, void *ws, struct pm_batch *batch)
{
    const struct zipf_state *s = state;
    struct zipf_worker *w = ws;
    pm_key *keys = pm_batch_keys(batch, s->n_direct);
    if (keys == NULL && s->n_direct > 0)
        return PM_E_MEMORY;
    uint64_t shift = (uint64_t)fmod(floor(s->drift * (double)w->step++), (double)s->keys);
    for (uint32_t i = 0; i < s->n_direct; i++) {
        uint64_t place = pm_distribution_draw(&s->popularity, &w->access) + shift;
        keys[i] = pm_permutation_apply(&s->scatter, place < s->keys ? place : place - s->keys);
    }
    batch->n_samples = s->n_samples;
    batch->distribution = 0;
    batch->n_localize = 0;
    batch->barrier_before = false;
    return PM_OK;
}

/* Decides for each key whether it is raised; those that are go to the step's updates. */
static void raise_some(const struct zipf_state *s, struct zipf_worker *w, struct pm_step *step,
                       const pm_key *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (s->write < 1 && pm_rng_real(&w->write) >= s->write)
            continue;
        if (step->updates != NULL) {
            float *update = step->updates + (size_t)step->n_push * s->length;
            for (uint32_t k = 0; k < s->length; k++)
                update[k] = 1;
        }
        step->push_keys[step->n_push++] = keys[i];
    }
}

static void zipf_compute(const void *state, void *ws, struct pm_step *step)
{
    const struct zipf_state *s = state;
    struct zipf_worker *w = ws;
    step->n_push = 0;
    step->loss = 0;
    raise_some(s, w, step, step->batch->keys, step->batch->n_keys);
    raise_some(s, w, step, step->samples, step->batch->n_samples);
    w->pushed += step->n_push;
}

static double zipf_flops(const void *state, const struct pm_batch *batch)
{
    (void)batch;
    return ((const struct zipf_state *)state)->flops;
}

/* Adds up this worker's part of the model, and counts the elements that have left the exact range. */
static int sum_part(const struct zipf_state *s, struct zipf_worker *w, struct pm_worker *worker, double *sum,
                    double *inexact)
{
    pm_key at = (pm_key)((unsigned __int128)s->keys * w->rank / s->ranks);
    pm_key end = (pm_key)((unsigned __int128)s->keys * (w->rank + 1) / s->ranks);
    *sum = *inexact = 0;
    while (at < end) {
        pm_key keys[READ_KEYS_MAX];
        uint64_t n = end - at < read_keys(s) ? end - at : read_keys(s);
        for (uint64_t i = 0; i < n; i++)
            keys[i] = at + i;
        int rc = pm_read_model(worker, keys, n, w->values);
        if (rc != PM_OK)
            return rc;
        for (uint64_t i = 0; i < n * s->length; i++) {
            *sum += (double)w->values[i];
            *inexact += w->values[i] >= EXACT_MAX;
        }
        at += n;
    }
    return PM_OK;
}

/* PM_E_LIMIT when a counter has left the exact range: its error would say nothing about lost updates. */
static int zipf_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    const struct zipf_state *s = state;
    struct zipf_worker *w = ws;
    double totals[3]; /* of the values, of the updates, of inexact elements: whole numbers below 2^53 */
    int rc = sum_part(s, w, worker, &totals[0], &totals[2]);
    totals[1] = (double)w->pushed * s->length;
    if (rc == PM_OK)
        rc = pm_reduce(worker, totals, 3);
    if (rc != PM_OK)
        return rc;
    if (totals[2] > 0)
        return pm_worker_fail(worker, PM_E_LIMIT,
                              "%.0f counters have left the exact range below %d; fewer epochs, steps, keys per batch or "
                              "writes, or more keys, keep them in",
                              totals[2], EXACT_MAX);
    out->n_metrics = 1;
    out->metrics[0].name = "sum_error";
    out->metrics[0].value = fabs(totals[0] - totals[1]);
    return PM_OK;
}

const struct pm_workload pm_workload_zipf = {
    .abi = PM_WORKLOAD_ABI,
    .name = "zipf",
    .summary = "counters under Zipf-distributed accesses; checks that no update is lost",
    .options = options,
    .state_bytes = sizeof(struct zipf_state),
    .worker_bytes = sizeof(struct zipf_worker),
    .batch_bytes = 0,
    .default_ahead = 1000,
    .open = zipf_open,
    .close = zipf_close,
    .begin = zipf_begin,
    .end = zipf_end,
    .epoch_begin = zipf_epoch_begin,
    .next = zipf_next,
    .compute = zipf_compute,
    .flops = zipf_flops,
    .evaluate = zipf_evaluate,
};
