/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lr: sparse logistic regression by delayed block proximal gradient; docs/lr.md says how it goes and what its options
 * do. Examples come from libsvm files or from the generator. */
#include "workloads/lr.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/distribution.h"
#include "core/rng.h"

#define HELD_OUT_SHARE 0.1

static const struct pm_option options[] = {
    {.name = "train", .type = PM_OPT_PATH, .help = "examples to train on, in libsvm form"},
    {.name = "test", .type = PM_OPT_PATH, .help = "examples to evaluate on; without: 10 % of those to train on"},
    {.name = "l1",
     .type = PM_OPT_REAL,
     .def = "0.001",
     .help = "weight of the sum of absolute weights, beside the mean loss",
     .min = 0,
     .max = 1e6},
    {.name = "l2",
     .type = PM_OPT_REAL,
     .def = "0",
     .help = "weight of half the sum of squared weights, beside the mean loss",
     .min = 0,
     .max = 1e6},
    {.name = "rate",
     .type = PM_OPT_REAL,
     .def = "1",
     .help = "part of each step that is taken",
     .min = 1e-12,
     .max = 1000},
    {.name = "blocks",
     .type = PM_OPT_COUNT,
     .def = "16",
     .help = "parts of the features, one to a batch",
     .min = 1,
     .max = 1e6},
    {.name = "passes",
     .type = PM_OPT_COUNT,
     .def = "1",
     .help = "visits to each block in an epoch",
     .min = 1,
     .max = 1e6},
    {.name = "order",
     .type = PM_OPT_ENUM,
     .def = "random",
     .choices = "random|sequence",
     .help = "order of the blocks in an epoch"},
    {.name = "curvature",
     .type = PM_OPT_ENUM,
     .def = "bound",
     .choices = "bound|diagonal",
     .help = "what steps are measured by: a bound for the whole block, or each weight's own second derivative"},
    {.name = "trust",
     .type = PM_OPT_REAL,
     .help = "most that a weight may change in one step (any)",
     .min = 1e-12,
     .max = 1e12},
    {.name = "lag",
     .type = PM_OPT_COUNT,
     .help = "batches after which a block's new weights are pulled (1; under a bounded delay one more, without a bound 4)",
     .min = 1,
     .max = LR_LAG_MAX},
    {.name = "recheck",
     .type = PM_OPT_COUNT,
     .def = "16",
     .help = "most visits for which a KKT filter leaves out a zero weight",
     .min = 0,
     .max = 254},
    {.name = "bias", .type = PM_OPT_BOOL, .def = "1", .help = "a weight that all examples have, in neither norm"},
    {.name = "rows", .type = PM_OPT_COUNT, .def = "20k", .help = "generated examples to train on", .min = 1, .max = 1e9},
    {.name = "test_rows",
     .type = PM_OPT_COUNT,
     .help = "generated examples to evaluate on (10 % of rows)",
     .min = 1,
     .max = 1e9},
    {.name = "features",
     .type = PM_OPT_COUNT,
     .def = "10k",
     .help = "features of the generated examples; with train=: greatest number allowed",
     .min = 1,
     .max = (double)EXAMPLES_FEATURES_MAX},
    {.name = "nonzeros",
     .type = PM_OPT_COUNT,
     .def = "20",
     .help = "features of one generated example",
     .min = 1,
     .max = 1e6},
    {.name = "truth",
     .type = PM_OPT_COUNT,
     .def = "100",
     .help = "features that matter to the generated labels",
     .min = 0,
     .max = 1e9},
    {.name = "skew",
     .type = PM_OPT_REAL,
     .def = "1.1",
     .help = "Zipf exponent of generated features",
     .min = 0,
     .max = PM_DISTRIBUTION_SKEW_MAX},
    {.name = "noise",
     .type = PM_OPT_REAL,
     .def = "0.02",
     .help = "share of the generated labels that are turned over",
     .min = 0,
     .max = 1},
    {.name = NULL},
};

static uint64_t named_seed(const char *name, uint64_t seed)
{
    struct pm_rng rng;
    pm_rng_init(&rng, name, seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    return pm_rng_u64(&rng);
}

/* Options of one way of getting examples that are given together with the other way. */
static int check_options(const struct pm_values *o, struct pm_error *err)
{
    static const char *const generator_only[] = {"rows", "test_rows", "nonzeros", "truth", "skew", "noise"};
    if (pm_values_is_set(o, "train")) {
        for (size_t i = 0; i < sizeof generator_only / sizeof generator_only[0]; i++)
            if (pm_values_is_given(o, generator_only[i]))
                return pm_error_set(err, PM_E_OPTION, "%s= is for generated examples (allowed: without train=)",
                                    generator_only[i]);
    } else if (pm_values_is_set(o, "test")) {
        return pm_error_set(err, PM_E_OPTION, "test= without train= (allowed: both, train= alone, or neither)");
    }
    return PM_OK;
}

static int read_files(const struct pm_values *o, uint64_t seed, struct examples *train, struct examples *test,
                      struct pm_error *err)
{
    uint64_t most = pm_values_is_given(o, "features") ? pm_values_count(o, "features") : 0;
    train->n_features = test->n_features = most;
    int rc = libsvm_read(pm_values_text(o, "train"), train, err);
    if (rc != PM_OK)
        return rc;
    if (!pm_values_is_set(o, "test")) {
        rc = examples_hold_out(train, test, HELD_OUT_SHARE, named_seed("lr.hold_out", seed), err);
        return rc == PM_OK ? PM_OK : pm_error_wrap(err, rc, "%s", pm_values_text(o, "train"));
    }
    return libsvm_read(pm_values_text(o, "test"), test, err);
}

static int generate(const struct pm_values *o, uint64_t seed, struct examples *train, struct examples *test,
                    struct pm_error *err)
{
    uint64_t rows = pm_values_count(o, "rows");
    struct lr_recipe recipe = {
        .train_rows = rows,
        .test_rows = pm_values_is_set(o, "test_rows") ? pm_values_count(o, "test_rows") : (rows + 9) / 10,
        .features = pm_values_count(o, "features"),
        .nonzeros = (uint32_t)pm_values_count(o, "nonzeros"),
        .truth = (uint32_t)pm_values_count(o, "truth"),
        .skew = pm_values_real(o, "skew"),
        .noise = pm_values_real(o, "noise"),
        .seed = seed,
    };
    return lr_generate(&recipe, train, test, err);
}

static int take_options(struct lr_state *s, const struct pm_values *o, struct pm_error *err)
{
    s->l1 = pm_values_real(o, "l1");
    s->l2 = pm_values_real(o, "l2");
    s->rate = pm_values_real(o, "rate");
    s->trust = pm_values_real(o, "trust");
    s->blocks = (uint32_t)pm_values_count(o, "blocks");
    s->passes = (uint32_t)pm_values_count(o, "passes");
    s->random = pm_values_enum(o, "order") == 0;
    s->bound = pm_values_enum(o, "curvature") == 0;
    s->recheck = (uint32_t)pm_values_count(o, "recheck");
    s->bias = pm_values_bool(o, "bias");
    s->lag = (uint32_t)pm_values_count(o, "lag");
    if (!pm_values_is_set(o, "lag"))
        s->lag = s->task.delay == UINT32_MAX ? LR_LAG_UNBOUNDED : s->task.delay < LR_LAG_MAX ? s->task.delay + 1 : LR_LAG_MAX;
    s->order_seed = named_seed("lr.order", s->task.seed);
    return check_options(o, err);
}

static int arrange(struct lr_state *s, struct examples *train, struct examples *test, struct pm_error *err)
{
    uint64_t n = train->n_features > test->n_features ? train->n_features : test->n_features;
    if (s->blocks > n)
        return pm_error_set(err, PM_E_OPTION, "blocks=%" PRIu32 " (allowed: at most the %" PRIu64 " features)", s->blocks, n);
    s->n_keys = n + s->bias;
    s->width = n / ((uint64_t)s->blocks * LR_STRIPES_MAX);
    s->width = s->width > 0 ? s->width : 1;
    s->train.ranks = s->ranks;
    s->train.blocks = s->blocks;
    s->test.ranks = s->test.blocks = 1;
    s->holders = calloc(s->n_keys, sizeof *s->holders);
    int rc = s->holders != NULL ? lr_matrix_fill(&s->train, train, s, s->holders) : PM_E_MEMORY;
    if (rc == PM_OK)
        rc = lr_matrix_fill(&s->test, test, s, NULL);
    return rc == PM_OK ? rc : pm_error_set(err, rc, "examples: out of memory");
}

static void lr_close(void *state)
{
    struct lr_state *s = state;
    lr_matrix_free(&s->train);
    lr_matrix_free(&s->test);
    free(s->holders);
}

static int lr_open(void *state, const struct pm_values *o, const struct pm_task *task, struct pm_model *model,
                   struct pm_error *err)
{
    struct lr_state *s = state;
    struct examples train = {0}, test = {0};
    s->task = *task;
    s->ranks = task->nodes * task->workers;
    int rc = take_options(s, o, err);
    if (rc == PM_OK)
        rc = pm_values_is_set(o, "train") ? read_files(o, task->seed, &train, &test, err)
                                          : generate(o, task->seed, &train, &test, err);
    if (rc == PM_OK)
        rc = arrange(s, &train, &test, err);
    if (rc == PM_OK)
        rc = pm_layout_add(&model->layout, s->n_keys, LR_VALUE_LENGTH, err);
    if (rc >= 0)
        return PM_OK;
    examples_free(&train);
    examples_free(&test);
    lr_close(s);
    return rc;
}

static void lr_end(const void *state, void *ws)
{
    (void)state;
    struct lr_worker *w = ws;
    free(w->stream.recent);
    free(w->margins);
    free(w->slopes);
    free(w->curvatures);
    free(w->fresh);
    free(w->reach);
    free(w->known);
    free(w->left_out);
}

static int lr_begin(const void *state, void *ws, uint32_t rank)
{
    const struct lr_state *s = state;
    struct lr_worker *w = ws;
    w->rank = rank;
    w->n_rows = lr_rows_of(&s->train, rank);
    w->stream.recent = calloc(s->lag, sizeof *w->stream.recent);
    uint64_t rows = w->n_rows + 1; /* none is empty: calloc(0) may be NULL */
    uint64_t columns = lr_bucket(&s->train, rank, s->blocks) - lr_bucket(&s->train, rank, 0) + 1;
    if (!s->task.with_values)
        return w->stream.recent != NULL ? PM_OK : PM_E_MEMORY;
    w->margins = calloc(rows, sizeof *w->margins);
    w->slopes = calloc(rows, sizeof *w->slopes);
    w->curvatures = calloc(rows, sizeof *w->curvatures);
    w->fresh = calloc(rows, 1);
    w->reach = calloc(rows, sizeof *w->reach);
    w->known = calloc(columns, sizeof *w->known);
    w->left_out = calloc(columns, 1);
    if (w->stream.recent && w->margins && w->slopes && w->curvatures && w->fresh && w->reach && w->known && w->left_out)
        return PM_OK;
    lr_end(state, ws);
    return PM_E_MEMORY;
}

static double lr_flops(const void *state, const struct pm_batch *batch)
{
    (void)state;
    return ((const struct lr_item *)batch->item)->flops;
}

const struct pm_workload pm_workload_lr = {
    .abi = PM_WORKLOAD_ABI,
    .name = "lr",
    .summary = "sparse logistic regression with L1: block proximal gradient, steps at the owners",
    .options = options,
    .state_bytes = sizeof(struct lr_state),
    .worker_bytes = sizeof(struct lr_worker),
    .batch_bytes = sizeof(struct lr_item),
    .default_ahead = 1,
    .pulls_ahead = true,
    .open = lr_open,
    .close = lr_close,
    .apply = lr_apply,
    .begin = lr_begin,
    .end = lr_end,
    .epoch_begin = lr_epoch_begin,
    .next = lr_next,
    .compute = lr_compute,
    .flops = lr_flops,
    .evaluate = lr_evaluate,
};
