/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mf: matrix factorisation by stochastic gradient descent, with AdaGrad and L2.
 *
 * A rating is predicted as mean + <u, v> (+ row bias + column bias) with u, v the values of its row and
 * column. A batch is a group of cells of one column; the worker goes through them in order on the values it
 * has pulled and pushes the differences. Ratings come from files or from the generator; what the defaults of
 * rate and lambda were chosen by is in docs/mf-settings.md.                  */
#include "workloads/mf.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/pm.h"
#include "core/rng.h"
#include "workloads/value_bytes.h"

/* Most cells whose values evaluation reads at once, and about how many floats they may have. */
enum { EVALUATE_CELLS = 256, EVALUATE_FLOATS = 1 << 18 };

#define HELD_OUT_SHARE       0.05
#define GENERATED_TEST_SHARE 0.01

static const struct pm_option options[] = {
    {.name = "train",
     .type = PM_OPT_PATH,
     .help = "ratings to train on: u.data, ratings.dat or MatrixMarket"},
    {.name = "test",
     .type = PM_OPT_PATH,
     .help = "ratings to evaluate on; without: 5 % of those to train on"},
    {.name = "rank",
     .type = PM_OPT_COUNT,
     .def = "16",
     .help = "factors per row and column",
     .min = 1,
     .max = 65536},
    {.name = "order",
     .type = PM_OPT_ENUM,
     .def = "columnwise",
     .choices = "columnwise|blocks",
     .help = "columns in random order, or blocks of columns that rotate among the workers"},
    {.name = "bias", .type = PM_OPT_BOOL, .def = "0", .help = "learn an offset per row and column"},
    {.name = "rate", .type = PM_OPT_REAL, .def = "0.1", .help = "learning rate", .min = 1e-12, .max = 1000},
    {.name = "lambda",
     .type = PM_OPT_REAL,
     .def = "0.1",
     .help = "weight of L2, per cell",
     .min = 0,
     .max = 1000},
    {.name = "adagrad", .type = PM_OPT_BOOL, .def = "1", .help = "a learning rate per element (AdaGrad)"},
    {.name = "bold",
     .type = PM_OPT_BOOL,
     .def = "0",
     .help = "bold driver: rate x 1.05 after an epoch that lowered the loss, else x 0.5"},
    {.name = "batch",
     .type = PM_OPT_COUNT,
     .def = "64",
     .help = "most cells of one batch",
     .min = 1,
     .max = 1e6},
    {.name = "init",
     .type = PM_OPT_REAL,
     .def = "0.1",
     .help = "deviation of the initial factors, times the fourth root of the rank",
     .min = 0,
     .max = 1000},
    {.name = "accumulator",
     .type = PM_OPT_REAL,
     .def = "1",
     .help = "initial sums of squares of AdaGrad",
     .min = 1e-12,
     .max = 1e12},
    VALUE_BYTES_OPTION,
    {.name = "rows",
     .type = PM_OPT_COUNT,
     .def = "10000",
     .help = "rows of the generated matrix; with train=: greatest row allowed",
     .min = 1,
     .max = (double)RATINGS_SIDE_MAX},
    {.name = "cols",
     .type = PM_OPT_COUNT,
     .def = "1000",
     .help = "columns of the generated matrix; with train=: greatest column allowed",
     .min = 1,
     .max = (double)RATINGS_SIDE_MAX},
    {.name = "cells",
     .type = PM_OPT_COUNT,
     .def = "100k",
     .help = "generated ratings to train on",
     .min = 2,
     .max = 1e12},
    {.name = "test_cells",
     .type = PM_OPT_COUNT,
     .help = "generated ratings to evaluate on (1 % of cells)",
     .min = 1,
     .max = 1e12},
    {.name = "skew",
     .type = PM_OPT_REAL,
     .def = "1.1",
     .help = "Zipf exponent of generated rows and columns",
     .min = 0,
     .max = PM_DISTRIBUTION_SKEW_MAX},
    {.name = "truth_rank",
     .type = PM_OPT_COUNT,
     .help = "rank of the generated truth (that of the model)",
     .min = 1,
     .max = 65536},
    {.name = "isa",
     .type = PM_OPT_ENUM,
     .def = "native",
     .choices = "native|baseline",
     .help = "kernels for this processor, or those that give the same bits on every one"},
    {.name = NULL},
};

static uint64_t named_seed(const char *name, uint64_t seed)
{
    struct pm_rng rng;
    pm_rng_init(&rng, name, seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    return pm_rng_u64(&rng);
}

/* Options of one way of getting ratings that are given together with the other way. */
static int check_options(const struct pm_values *o, struct pm_error *err)
{
    static const char *const generator_only[] = {"cells", "test_cells", "skew", "truth_rank"};
    if (pm_values_is_set(o, "train")) {
        for (size_t i = 0; i < sizeof generator_only / sizeof generator_only[0]; i++)
            if (pm_values_is_given(o, generator_only[i]))
                return pm_error_set(err, PM_E_OPTION,
                                    "%s= is for generated ratings (allowed: without train=)",
                                    generator_only[i]);
    } else if (pm_values_is_set(o, "test")) {
        return pm_error_set(err, PM_E_OPTION,
                            "test= without train= (allowed: both, train= alone, or neither)");
    }
    return PM_OK;
}

static int read_files(const struct pm_values *o, uint64_t seed, struct ratings *train, struct ratings *test,
                      struct pm_error *err)
{
    train->rows = test->rows = pm_values_is_given(o, "rows") ? pm_values_count(o, "rows") : 0;
    train->columns = test->columns = pm_values_is_given(o, "cols") ? pm_values_count(o, "cols") : 0;
    int rc = ratings_read(pm_values_text(o, "train"), train, err);
    if (rc != PM_OK)
        return rc;
    if (!pm_values_is_set(o, "test")) {
        rc = mf_data_hold_out(train, test, HELD_OUT_SHARE, named_seed("mf.hold_out", seed), err);
        return rc == PM_OK ? PM_OK : pm_error_wrap(err, rc, "%s", pm_values_text(o, "train"));
    }
    rc = ratings_read(pm_values_text(o, "test"), test, err);
    if (train->rows < test->rows)
        train->rows = test->rows;
    if (train->columns < test->columns)
        train->columns = test->columns;
    return rc;
}

static int generate(const struct pm_values *o, const struct pm_task *task, struct ratings *train,
                    struct ratings *test, struct pm_error *err)
{
    const char *rank = pm_values_is_set(o, "truth_rank") ? "truth_rank" : "rank";
    uint64_t cells = pm_values_count(o, "cells");
    uint64_t test_cells = (uint64_t)ceil((double)cells * GENERATED_TEST_SHARE);
    struct ratings_recipe recipe = {
        .rows = pm_values_count(o, "rows"),
        .columns = pm_values_count(o, "cols"),
        .train_cells = cells,
        .test_cells = pm_values_is_set(o, "test_cells") ? pm_values_count(o, "test_cells") : test_cells,
        .skew = pm_values_real(o, "skew"),
        .rank = task->with_values ? (uint32_t)pm_values_count(o, rank) : 0,
        .seed = task->seed,
    };
    return ratings_generate(&recipe, train, test, err);
}

static int take_options(struct mf_state *s, const struct pm_values *o, struct pm_error *err)
{
    s->rank = (uint32_t)pm_values_count(o, "rank");
    s->blocked = pm_values_enum(o, "order") == 1;
    s->bias = pm_values_bool(o, "bias");
    s->adagrad = pm_values_bool(o, "adagrad");
    s->bold = pm_values_bool(o, "bold");
    s->batch_cells = (uint32_t)pm_values_count(o, "batch");
    s->rate = (float)pm_values_real(o, "rate");
    s->lambda = (float)pm_values_real(o, "lambda");
    s->init = (float)(pm_values_real(o, "init") / sqrt(sqrt(s->rank)));
    s->accumulator = (float)pm_values_real(o, "accumulator");
    s->kernel = mf_kernel_choose(pm_values_enum(o, "isa") == 1);
    if (s->bold && !s->task.with_values)
        return pm_error_set(err, PM_E_OPTION, "bold=1 needs values (allowed: bold=0 with --values none)");
    int rc = value_bytes_take(o, s->task.with_values, &s->number_floats, err);
    return rc == PM_OK ? check_options(o, err) : rc;
}

static int set_model(const struct mf_state *s, struct pm_model *model, struct pm_error *err)
{
    uint32_t length = s->number_floats * mf_value_length(s->rank, s->bias, s->adagrad);
    int rc = pm_layout_add(&model->layout, s->rows, length, err);
    if (rc >= 0)
        rc = pm_layout_add(&model->layout, s->columns, length, err);
    model->sub_epochs = s->blocked;
    model->first_candidate = s->rows;
    model->n_candidates = s->columns;
    return rc >= 0 ? PM_OK : rc;
}

static int mf_open(void *state, const struct pm_values *o, const struct pm_task *task, struct pm_model *model,
                   struct pm_error *err)
{
    struct mf_state *s = state;
    struct ratings train = {0};
    s->task = *task;
    s->ranks = task->nodes * task->workers;
    s->init_seed = named_seed("mf.init", task->seed);
    s->stream_seed = named_seed("mf.order", task->seed);
    int rc = take_options(s, o, err);
    if (rc == PM_OK)
        rc = pm_values_is_set(o, "train") ? read_files(o, task->seed, &train, &s->test, err)
                                          : generate(o, task, &train, &s->test, err);
    s->rows = train.rows;
    s->columns = train.columns;
    if (rc == PM_OK && mf_data_arrange(s, &train) != PM_OK)
        rc = pm_error_set(err, PM_E_MEMORY, "ratings: out of memory");
    if (rc == PM_OK)
        rc = set_model(s, model, err);
    if (rc != PM_OK) {
        ratings_free(&train);
        mf_data_free(s);
    }
    return rc;
}

static void mf_close(void *state)
{
    mf_data_free(state);
}

static void mf_initial(const void *state, pm_key first, uint64_t n, float *values)
{
    const struct mf_state *s = state;
    uint32_t dims = s->rank + (s->bias ? 1 : 0);
    /* Uniform in [-width, width] has the deviation width / sqrt(3). */
    float scale = s->init * sqrtf(3) * 0x1p-23f;
    for (pm_key key = first; key < first + n; key++) {
        uint64_t seed = pm_hash64_pair(s->init_seed, key);
        for (uint32_t i = 0; i < s->rank; i++)
            *values++ = scale * (float)((int64_t)(pm_hash64(seed + i) >> 40) - (1 << 23));
        if (s->bias)
            *values++ = 0;
        for (uint32_t i = 0; s->adagrad && i < dims; i++)
            *values++ = s->accumulator;
    }
}

static uint64_t evaluate_cells(const struct mf_state *s)
{
    uint64_t n = EVALUATE_FLOATS / (2 * mf_value_length(s->rank, s->bias, s->adagrad));
    return n < 1 ? 1 : n < EVALUATE_CELLS ? n : EVALUATE_CELLS;
}

static int mf_begin(const void *state, void *ws, uint32_t rank)
{
    const struct mf_state *s = state;
    struct mf_worker *w = ws;
    size_t length = mf_value_length(s->rank, s->bias, s->adagrad);
    w->rank = rank;
    w->rate_factor = 1;
    w->last_loss = -1;
    if (!s->task.with_values)
        return PM_OK;
    w->column = malloc(length * sizeof *w->column);
    w->values = malloc(2 * evaluate_cells(s) * length * sizeof *w->values);
    if (w->column != NULL && w->values != NULL)
        return PM_OK;
    free(w->column);
    free(w->values);
    return PM_E_MEMORY;
}

static void mf_end(const void *state, void *ws)
{
    (void)state;
    struct mf_worker *w = ws;
    free(w->column);
    free(w->values);
}

static void mf_compute(const void *state, void *ws, struct pm_step *step)
{
    const struct mf_state *s = state;
    struct mf_worker *w = ws;
    const struct mf_item *item = step->batch->item;
    step->n_push = step->batch->n_keys;
    step->loss = 0;
    for (uint32_t i = 0; i < step->batch->n_keys; i++)
        step->push_keys[i] = step->batch->keys[i];
    if (!s->task.with_values || item->n_cells == 0)
        return;
    struct mf_group group = {
        .cells = s->cells + item->first_cell,
        .n_cells = item->n_cells,
        .rank = s->rank,
        .bias = s->bias,
        .adagrad = s->adagrad,
        .rate = (float)(w->rate_factor * (double)s->rate),
        .lambda = s->lambda,
        .values = step->values,
        .updates = step->updates,
        .column = w->column,
    };
    step->loss = s->kernel->group(&group) / (double)s->n_cells;
}

/* Per cell and factor: 2 for the product; for each side 3 for the gradient and 1 for the step, with AdaGrad 4
 * more for the square, its sums and the product with the rate, and 1 each for root and division. */
static double mf_flops(const void *state, const struct pm_batch *batch)
{
    const struct mf_state *s = state;
    const struct mf_item *item = batch->item;
    double per_factor = s->adagrad ? 20 : 10;
    return per_factor * (s->rank + (s->bias ? 1 : 0)) * item->n_cells;
}

/* Training cells of a row or column. */
static void mf_frequency(const void *state, pm_key first, uint64_t n, double *out)
{
    const struct mf_state *s = state;
    for (uint64_t i = 0; i < n; i++)
        out[i] = 0;
    for (uint64_t i = 0; i < s->n_segments; i++) {
        pm_key column = s->rows + s->segments[i].column;
        if (column >= first && column - first < n)
            out[column - first] += (double)(s->segments[i + 1].first - s->segments[i].first);
    }
    for (uint64_t i = 0; i < s->n_cells && first < s->rows; i++)
        if (s->cells[i].row >= first && s->cells[i].row - first < n)
            out[s->cells[i].row - first]++;
}

static void mf_epoch_end(const void *state, void *ws, uint32_t epoch, double loss)
{
    (void)epoch;
    const struct mf_state *s = state;
    struct mf_worker *w = ws;
    if (s->bold && w->last_loss >= 0)
        w->rate_factor *= loss < w->last_loss ? 1.05 : 0.5;
    w->last_loss = loss;
}

double mf_squared_errors(const struct mf_state *s, const struct rating *cells, uint64_t n,
                         const float *values)
{
    size_t length = mf_value_length(s->rank, s->bias, s->adagrad);
    double sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        const float *row = values + 2 * i * length, *column = row + length;
        double error = (double)cells[i].value - (double)s->mean -
                       (double)s->kernel->predict(row, column, s->rank, s->bias);
        sum += error * error;
    }
    return sum;
}

/* Squared errors of this worker's part of the test cells. */
static int evaluate_part(const struct mf_state *s, struct mf_worker *w, struct pm_worker *worker, double *sum)
{
    uint64_t first = (uint64_t)((unsigned __int128)s->test.n * w->rank / s->ranks);
    uint64_t end = (uint64_t)((unsigned __int128)s->test.n * (w->rank + 1) / s->ranks);
    uint64_t most = evaluate_cells(s);
    *sum = 0;
    for (uint64_t at = first; at < end; at += most) {
        uint64_t n = end - at < most ? end - at : most;
        const struct rating *cells = s->test.cells + at;
        pm_key keys[2 * EVALUATE_CELLS];
        for (uint64_t i = 0; i < n; i++) {
            keys[2 * i] = cells[i].row;
            keys[2 * i + 1] = s->rows + cells[i].column;
        }
        int rc = pm_read_model(worker, keys, 2 * n, w->values);
        if (rc != PM_OK)
            return rc;
        *sum += mf_squared_errors(s, cells, n, w->values);
    }
    return PM_OK;
}

static int mf_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    const struct mf_state *s = state;
    double sum;
    int rc = evaluate_part(s, ws, worker, &sum);
    if (rc == PM_OK)
        rc = pm_reduce(worker, &sum, 1);
    if (rc != PM_OK)
        return rc;
    out->n_metrics = 1;
    out->metrics[0].name = "rmse";
    out->metrics[0].value = sqrt(sum / (double)s->test.n);
    return PM_OK;
}

const struct pm_workload pm_workload_mf = {
    .abi = PM_WORKLOAD_ABI,
    .name = "mf",
    .summary = "matrix factorisation of ratings: SGD with AdaGrad and L2",
    .options = options,
    .state_bytes = sizeof(struct mf_state),
    .worker_bytes = sizeof(struct mf_worker),
    .batch_bytes = sizeof(struct mf_item),
    .default_ahead = 10000,
    .open = mf_open,
    .close = mf_close,
    .initial = mf_initial,
    .begin = mf_begin,
    .end = mf_end,
    .epoch_begin = mf_epoch_begin,
    .next = mf_next,
    .compute = mf_compute,
    .flops = mf_flops,
    .epoch_end = mf_epoch_end,
    .evaluate = mf_evaluate,
    .frequency = mf_frequency,
};
