/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Iterations of lr with a bounded delay, on one array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/spec.h"
#include "tests/lockstep.h"

extern const struct pm_workload pm_workload_lr;

void lockstep_open(struct lockstep *l, const char *specification, uint32_t nodes, uint32_t workers, uint32_t delay)
{
    struct pm_error err = {0};
    struct pm_spec spec;
    struct pm_values options;
    memset(l, 0, sizeof *l);
    l->task = (struct pm_task){.nodes = nodes,
                               .workers = workers,
                               .epochs = 1,
                               .seed = 1,
                               .with_values = true,
                               .aggregates = true,
                               .delay = delay};
    l->ranks = nodes * workers;
    l->state = calloc(1, sizeof *l->state);
    if (pm_spec_parse(specification, &spec, &err) != PM_OK ||
        pm_spec_apply(&spec, pm_workload_lr.options, NULL, &options, &err) != PM_OK ||
        pm_workload_lr.open(l->state, &options, &l->task, &l->model, &err) != PM_OK)
        fail_msg("%s: %s", specification, err.text);
    pm_spec_free(&spec);
    pm_values_free(&options);
    l->workers = calloc(l->ranks, sizeof *l->workers);
    l->batches = calloc(l->ranks, sizeof *l->batches);
    for (uint32_t r = 0; r < l->ranks; r++) {
        l->workers[r] = calloc(1, pm_workload_lr.worker_bytes);
        l->batches[r].item = calloc(1, pm_workload_lr.batch_bytes);
        assert_int_equal(pm_workload_lr.begin(l->state, l->workers[r], r), PM_OK);
    }
    l->values = calloc(l->model.layout.n_floats, sizeof *l->values);
    l->sums = calloc(l->model.layout.n_floats * (delay + 1), sizeof *l->sums);
    l->touched = calloc(l->model.layout.n_keys * (delay + 1), 1);
}

/* Applies the sums of one iteration and clears them. */
static void apply(struct lockstep *l, uint64_t iteration)
{
    uint64_t n = l->model.layout.n_keys, slot = iteration % (l->task.delay + 1);
    for (pm_key key = 0; key < n; key++) {
        if (!l->touched[slot * n + key])
            continue;
        float *sum = l->sums + (slot * n + key) * LR_VALUE_LENGTH;
        pm_workload_lr.apply(l->state, key, LR_VALUE_LENGTH, l->values + key * LR_VALUE_LENGTH, sum);
        memset(sum, 0, LR_VALUE_LENGTH * sizeof *sum);
        l->touched[slot * n + key] = 0;
    }
}

static void add(struct lockstep *l, const struct pm_step *step)
{
    uint64_t n = l->model.layout.n_keys, slot = l->iteration % (l->task.delay + 1);
    for (uint32_t i = 0; i < step->n_push; i++) {
        pm_key key = step->push_keys[i];
        l->pushed++;
        if (step->negligible && step->negligible[i]) {
            l->left_out++;
            continue;
        }
        for (uint32_t k = 0; k < LR_VALUE_LENGTH; k++)
            l->sums[(slot * n + key) * LR_VALUE_LENGTH + k] += step->updates[i * LR_VALUE_LENGTH + k];
        l->touched[slot * n + key] = 1;
    }
}

static void compute(struct lockstep *l, uint32_t rank)
{
    struct pm_batch *b = &l->batches[rank];
    b->n_keys = b->n_pushes = 0;
    assert_int_equal(pm_workload_lr.next(l->state, l->workers[rank], b), PM_OK);
    float *pulled = calloc(b->n_keys + 1, LR_VALUE_LENGTH * sizeof *pulled);
    for (uint32_t i = 0; i < b->n_keys; i++)
        memcpy(pulled + i * LR_VALUE_LENGTH, l->values + b->keys[i] * LR_VALUE_LENGTH, LR_VALUE_LENGTH * sizeof *pulled);
    struct pm_step step = {.batch = b,
                           .values = pulled,
                           .push_keys = calloc(b->n_pushes + 1, sizeof(pm_key)),
                           .updates = calloc(b->n_pushes + 1, LR_VALUE_LENGTH * sizeof(float)),
                           .negligible = l->filter ? calloc(b->n_pushes + 1, 1) : NULL};
    pm_workload_lr.compute(l->state, l->workers[rank], &step);
    l->loss += step.loss;
    add(l, &step);
    free(pulled);
    free(step.push_keys);
    free(step.updates);
    free(step.negligible);
}

void lockstep_epochs(struct lockstep *l, uint32_t first, uint32_t n)
{
    for (uint32_t epoch = first; epoch < first + n; epoch++) {
        uint64_t batches = 0;
        for (uint32_t r = 0; r < l->ranks; r++)
            batches = pm_workload_lr.epoch_begin(l->state, l->workers[r], epoch);
        l->loss = 0;
        for (; batches > 0; batches--, l->iteration++) {
            if (l->iteration > l->task.delay)
                apply(l, l->iteration - l->task.delay - 1);
            for (uint32_t r = 0; r < l->ranks; r++)
                compute(l, r);
        }
    }
}

void lockstep_drain(struct lockstep *l)
{
    uint64_t open = l->iteration < l->task.delay + 1 ? l->iteration : l->task.delay + 1;
    for (uint64_t i = l->iteration - open; i < l->iteration; i++)
        apply(l, i);
}

void lockstep_close(struct lockstep *l)
{
    for (uint32_t r = 0; r < l->ranks; r++) {
        pm_workload_lr.end(l->state, l->workers[r]);
        free(l->workers[r]);
        free(l->batches[r].keys);
        free(l->batches[r].pushes);
        free(l->batches[r].item);
    }
    pm_workload_lr.close(l->state);
    free(l->state);
    free(l->workers);
    free(l->batches);
    free(l->values);
    free(l->sums);
    free(l->touched);
}

/* Calls back for every entry of the training examples. */
static void for_entries(const struct lr_matrix *m, void (*visit)(double *sum, float weight, float x, double *slot),
                        const float *values, double *rows, double *keys)
{
    for (uint32_t rank = 0; rank < m->ranks; rank++)
        for (uint64_t c = lr_bucket(m, rank, 0); c < m->buckets[(uint64_t)(rank + 1) * m->blocks]; c++)
            for (uint64_t i = m->columns[c].first; i < m->columns[c + 1].first; i++)
                visit(&rows[(uint64_t)m->rows[i] * m->ranks + rank], values[m->columns[c].feature * LR_VALUE_LENGTH],
                      lr_entry(m, i), keys ? &keys[m->columns[c].feature] : NULL);
}

static void add_margin(double *margin, float weight, float x, double *unused)
{
    (void)unused;
    *margin += (double)weight * (double)x;
}

static void add_slope(double *slope, float weight, float x, double *gradient)
{
    (void)weight;
    *gradient += *slope * (double)x;
}

double lockstep_objective(const struct lockstep *l, double *gradient, uint64_t *nonzeros)
{
    const struct lr_matrix *m = &l->state->train;
    double *rows = calloc(m->n_rows, sizeof *rows), sum = 0;
    uint64_t n = l->state->n_keys - l->state->bias, count = 0;
    for_entries(m, add_margin, l->values, rows, NULL);
    for (uint64_t row = 0; row < m->n_rows; row++) {
        int label = m->labels[row];
        sum += (fmax(0, -label * rows[row]) + log(1 + exp(-fabs(rows[row])))) / (double)m->n_rows;
        rows[row] = -label / (1 + exp(label * rows[row])) / (double)m->n_rows;
    }
    if (gradient) {
        memset(gradient, 0, l->state->n_keys * sizeof *gradient);
        for_entries(m, add_slope, l->values, rows, gradient);
    }
    for (pm_key key = 0; key < n; key++) {
        double weight = (double)l->values[key * LR_VALUE_LENGTH];
        sum += l->state->l1 * fabs(weight) + l->state->l2 / 2 * weight * weight;
        count += weight != 0;
    }
    if (nonzeros)
        *nonzeros = count;
    free(rows);
    return sum;
}
