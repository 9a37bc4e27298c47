/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lsq: sparse least squares, a workload outside the tree. docs/writing-a-workload.md walks through it.
 *
 * One weight per feature. An example has `active` random features of value 1; its target is the sum of their
 * true weights, which hashes give. Workers learn the weights by stochastic gradient descent; rmse is that of
 * new examples.
 *
 *   cc -shared -fPIC $(pkg-config --cflags pmlab) -o lsq.so lsq.c -lm
 *   pmlab run --workload ./lsq.so:features=10k,active=5 */
#include <math.h>

#include "core/pm.h"
#include "core/rng.h"
#include "core/workload.h"

enum { ACTIVE_MAX = 64, TEST_EXAMPLES = 64 };

/* Of the process; read-only once open has returned. */
struct lsq {
    struct pm_task task;
    uint64_t features, steps;
    uint32_t active, batch;
    double rate;
};

/* Of one worker. */
struct lsq_worker {
    struct pm_rng examples;
    uint32_t rank;
};

static const struct pm_option options_table[] = {
    {.name = "features", .type = PM_OPT_COUNT, .def = "1k", .help = "weights", .min = 1, .max = 1e9},
    {.name = "active",
     .type = PM_OPT_COUNT,
     .def = "5",
     .help = "features of an example",
     .min = 1,
     .max = ACTIVE_MAX},
    {.name = "batch", .type = PM_OPT_COUNT, .def = "4", .help = "examples per step", .min = 1, .max = 10000},
    {.name = "steps", .type = PM_OPT_COUNT, .def = "2k", .help = "steps per worker and epoch", .min = 1},
    {.name = "rate", .type = PM_OPT_REAL, .def = "0.05", .help = "learning rate", .min = 0, .max = 1},
    {0},
};

static int lsq_open(void *state, const struct pm_values *options, const struct pm_task *task,
                    struct pm_model *model, struct pm_error *err)
{
    struct lsq *s = state;
    s->task = *task;
    s->features = pm_values_count(options, "features");
    s->active = (uint32_t)pm_values_count(options, "active");
    s->batch = (uint32_t)pm_values_count(options, "batch");
    s->steps = pm_values_count(options, "steps");
    s->rate = pm_values_real(options, "rate");
    if (s->active > s->features)
        return pm_error_set(err, PM_E_OPTION, "active=%u is more than features=%llu", s->active,
                            (unsigned long long)s->features);
    int range = pm_layout_add(&model->layout, s->features, 1, err);
    return range < 0 ? range : PM_OK;
}

static double true_weight(const struct lsq *s, pm_key key)
{
    return (double)(pm_hash64_pair(s->task.seed, key) >> 11) * 0x1p-53 - 0.5;
}

/* The features of one example. */
static void draw_example(const struct lsq *s, struct pm_rng *rng, pm_key *keys)
{
    for (uint32_t i = 0; i < s->active; i++)
        keys[i] = pm_rng_below(rng, s->features);
}

/* By how much the weights miss the example's target. */
static double residual(const struct lsq *s, const pm_key *keys, const float *weights)
{
    double r = 0;
    for (uint32_t i = 0; i < s->active; i++)
        r += true_weight(s, keys[i]) - (double)weights[i];
    return r;
}

static int lsq_begin(const void *state, void *ws, uint32_t rank)
{
    (void)state;
    ((struct lsq_worker *)ws)->rank = rank;
    return PM_OK;
}

static uint64_t lsq_epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    const struct lsq *s = state;
    struct lsq_worker *w = ws;
    pm_rng_init(&w->examples, "lsq.examples", pm_hash64_pair(s->task.seed, epoch), w->rank / s->task.workers,
                w->rank % s->task.workers);
    return s->steps;
}

static int lsq_next(const void *state, void *ws, struct pm_batch *batch)
{
    const struct lsq *s = state;
    struct lsq_worker *w = ws;
    pm_key *keys = pm_batch_keys(batch, s->batch * s->active);
    if (!keys)
        return PM_E_MEMORY;
    for (uint32_t e = 0; e < s->batch; e++)
        draw_example(s, &w->examples, keys + e * s->active);
    return PM_OK;
}

static void lsq_compute(const void *state, void *ws, struct pm_step *step)
{
    const struct lsq *s = state;
    (void)ws;
    step->n_push = step->batch->n_keys;
    for (uint32_t i = 0; i < step->n_push; i++)
        step->push_keys[i] = step->batch->keys[i];
    for (uint32_t e = 0; e < s->batch && step->updates; e++) {
        uint32_t first = e * s->active;
        double r = residual(s, step->batch->keys + first, step->values + first);
        step->loss += r * r;
        for (uint32_t i = 0; i < s->active; i++)
            step->updates[first + i] = (float)(s->rate * r);
    }
}

static double lsq_flops(const void *state, const struct pm_batch *batch)
{
    (void)state;
    return 4.0 * batch->n_keys;
}

/* Each worker reads some new examples of its own; the sums are the same at all. */
static int lsq_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    const struct lsq *s = state;
    const struct lsq_worker *w = ws;
    struct pm_rng rng;
    double sums[2] = {0, TEST_EXAMPLES};
    int rc = PM_OK;
    pm_rng_init(&rng, "lsq.test", s->task.seed, w->rank, 0);
    for (int e = 0; e < TEST_EXAMPLES && rc == PM_OK; e++) {
        pm_key keys[ACTIVE_MAX];
        float weights[ACTIVE_MAX];
        draw_example(s, &rng, keys);
        rc = pm_read_model(worker, keys, s->active, weights);
        double r = rc == PM_OK ? residual(s, keys, weights) : 0;
        sums[0] += r * r;
    }
    if (rc == PM_OK)
        rc = pm_reduce(worker, sums, 2);
    out->n_metrics = 1;
    out->metrics[0].name = "rmse";
    out->metrics[0].value = sqrt(sums[0] / sums[1]);
    return rc;
}

const struct pm_workload pm_workload_export = {
    .abi = PM_WORKLOAD_ABI,
    .name = "lsq",
    .summary = "sparse least squares by stochastic gradient descent",
    .options = options_table,
    .state_bytes = sizeof(struct lsq),
    .worker_bytes = sizeof(struct lsq_worker),
    .default_ahead = 10,
    .open = lsq_open,
    .begin = lsq_begin,
    .epoch_begin = lsq_epoch_begin,
    .next = lsq_next,
    .compute = lsq_compute,
    .flops = lsq_flops,
    .evaluate = lsq_evaluate,
};
