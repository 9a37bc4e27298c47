/* SPDX-License-Identifier: GPL-3.0-or-later */
/* zipf: counters that are read and raised by one; an access pattern without a model.
 *
 * The r-th most frequent key of a step is a pseudorandom permutation's image of r - 1 + drift x step (mod
 * keys), so that with drift > 0 the set of hot keys moves on. Sampling accesses are uniform over all keys. */
#include <inttypes.h>
#include <math.h>

#include "core/permutation.h"
#include "core/rng.h"
#include "core/workload.h"
#include "workloads/counters.h"

struct zipf_state {
    struct pm_task task;
    struct pm_layout layout;
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
    struct counters counters;
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
    if (hottest < COUNTERS_EXACT || !s->task.with_values)
        return PM_OK;
    return pm_error_set(
        err, PM_E_OPTION,
        "about %.3g updates of the most frequent key: sums are exact below %d (allowed: fewer epochs, "
        "steps=, batch= or write=, less skew=, more keys=, or --values none)",
        hottest, COUNTERS_EXACT);
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
    s->layout = model->layout;
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

static int zipf_begin(const void *state, void *ws, uint32_t rank)
{
    const struct zipf_state *s = state;
    struct zipf_worker *w = ws;
    w->rank = rank;
    pm_rng_init(&w->write, "zipf.write", s->task.seed, rank / s->task.workers, rank % s->task.workers);
    return counters_begin(&w->counters, &s->layout, rank, s->ranks, s->task.with_values);
}

static void zipf_end(const void *state, void *ws)
{
    (void)state;
    struct zipf_worker *w = ws;
    counters_end(&w->counters);
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
    w->counters.pushed += (double)step->n_push * s->length;
}

static double zipf_flops(const void *state, const struct pm_batch *batch)
{
    (void)batch;
    return ((const struct zipf_state *)state)->flops;
}

/* Accesses per step, as they are before the hot set drifts. */
static void zipf_frequency(const void *state, pm_key first, uint64_t n, double *out)
{
    const struct zipf_state *s = state;
    for (uint64_t i = 0; i < n; i++) {
        pm_key rank = pm_permutation_invert(&s->scatter, first + i);
        out[i] = s->n_direct * pm_distribution_probability(&s->popularity, rank) + s->n_samples / (double)s->keys;
    }
}

static int zipf_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    (void)state;
    struct zipf_worker *w = ws;
    return counters_evaluate(&w->counters, worker, "fewer epochs, steps, keys per batch or writes, or more keys,", out);
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
    .frequency = zipf_frequency,
};
