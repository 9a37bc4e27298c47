/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Quality of the model: loss and ranking of the test examples, non-zero weights, the objective of the training.
 *
 * Every process holds the test examples: the first worker scores them all, so that the area under the curve is exact and no
 * scores travel. The rest is shared out over the workers. */
#include <math.h>
#include <stdlib.h>

#include "core/pm.h"
#include "workloads/lr.h"

static int compare_scores(const void *a, const void *b)
{
    const struct lr_score *x = a, *y = b;
    return x->margin < y->margin ? -1 : x->margin > y->margin;
}

double lr_auc(struct lr_score *scores, uint64_t n)
{
    double positives = 0, below = 0, pairs = 0; /* below: negatives with a smaller margin */
    qsort(scores, n, sizeof *scores, compare_scores);
    for (uint64_t i = 0; i < n;) {
        double equal[2] = {0, 0};
        uint64_t first = i;
        for (; i < n && !(scores[first].margin < scores[i].margin); i++)
            equal[scores[i].label > 0]++;
        pairs += equal[1] * (below + equal[0] / 2);
        positives += equal[1];
        below += equal[0];
    }
    return positives > 0 && below > 0 ? pairs / (positives * below) : (double)NAN;
}

/* Adds the weights times the entries of columns [first, end) to the rows' margins. */
static int add_margins(struct pm_worker *worker, const struct lr_matrix *m, uint64_t first, uint64_t end, double *margins)
{
    pm_key keys[LR_READ_KEYS_MAX];
    float values[LR_READ_KEYS_MAX * LR_VALUE_LENGTH];
    while (first < end) {
        uint64_t n = end - first < LR_READ_KEYS_MAX ? end - first : LR_READ_KEYS_MAX;
        for (uint64_t c = 0; c < n; c++)
            keys[c] = m->columns[first + c].feature;
        int rc = pm_read_model(worker, keys, n, values);
        if (rc != PM_OK)
            return rc;
        for (uint64_t c = 0; c < n; c++) {
            double weight = (double)values[c * LR_VALUE_LENGTH];
            for (uint64_t i = m->columns[first + c].first; weight != 0 && i < m->columns[first + c + 1].first; i++)
                margins[m->rows[i]] += weight * (double)lr_entry(m, i);
        }
        first += n;
    }
    return PM_OK;
}

/* Sum of the losses of this worker's rows. */
static int train_loss(const struct lr_state *s, const struct lr_worker *w, struct pm_worker *worker, double *sum)
{
    double *margins = calloc(w->n_rows + 1, sizeof *margins);
    if (margins == NULL)
        return PM_E_MEMORY;
    int rc = add_margins(worker, &s->train, lr_bucket(&s->train, w->rank, 0),
                         s->train.buckets[(uint64_t)(w->rank + 1) * s->train.blocks], margins);
    for (uint64_t row = 0; row < w->n_rows; row++)
        *sum += lr_loss(lr_label(&s->train, w->rank, row) * margins[row]);
    free(margins);
    return rc;
}

/* Non-zero weights and norms of this worker's part of the model; the bias is not counted. */
static int norms(const struct lr_state *s, const struct lr_worker *w, struct pm_worker *worker, double *sums)
{
    pm_key keys[LR_READ_KEYS_MAX];
    float values[LR_READ_KEYS_MAX * LR_VALUE_LENGTH];
    uint64_t n_features = s->n_keys - s->bias;
    pm_key at = n_features * w->rank / s->ranks, end = n_features * (w->rank + 1) / s->ranks;
    while (at < end) {
        uint64_t n = end - at < LR_READ_KEYS_MAX ? end - at : LR_READ_KEYS_MAX;
        for (uint64_t i = 0; i < n; i++)
            keys[i] = at + i;
        int rc = pm_read_model(worker, keys, n, values);
        if (rc != PM_OK)
            return rc;
        for (uint64_t i = 0; i < n; i++) {
            double weight = (double)values[i * LR_VALUE_LENGTH];
            sums[0] += weight != 0;
            sums[1] += fabs(weight);
            sums[2] += weight * weight;
        }
        at += n;
    }
    return PM_OK;
}

/* Sum of the losses and area under the curve of the test examples. */
static int test_quality(const struct lr_state *s, struct pm_worker *worker, double *sums)
{
    const struct lr_matrix *m = &s->test;
    double *margins = calloc(m->n_rows, sizeof *margins);
    struct lr_score *scores = malloc(m->n_rows * sizeof *scores);
    int rc = PM_E_MEMORY;
    if (margins != NULL && scores != NULL)
        rc = add_margins(worker, m, 0, m->n_columns, margins);
    for (uint64_t row = 0; row < m->n_rows && rc == PM_OK; row++) {
        scores[row] = (struct lr_score){margins[row], m->labels[row]};
        sums[0] += lr_loss(m->labels[row] * margins[row]);
    }
    if (rc == PM_OK)
        sums[1] = lr_auc(scores, m->n_rows);
    free(margins);
    free(scores);
    return rc;
}

static void report(struct pm_evaluation *out, const char *name, double value)
{
    out->metrics[out->n_metrics].name = name;
    out->metrics[out->n_metrics++].value = value;
}

int lr_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    const struct lr_state *s = state;
    const struct lr_worker *w = ws;
    double sums[6] = {0}; /* loss and area of the test; loss of the training; non-zero weights; the two norms */
    int rc = train_loss(s, w, worker, &sums[2]);
    if (rc == PM_OK)
        rc = norms(s, w, worker, &sums[3]);
    if (rc == PM_OK && w->rank == 0)
        rc = test_quality(s, worker, sums);
    if (rc == PM_OK)
        rc = pm_reduce(worker, sums, 6);
    if (rc != PM_OK)
        return rc;
    report(out, "log_loss", sums[0] / (double)s->test.n_rows);
    if (!isnan(sums[1]))
        report(out, "auc", sums[1]);
    report(out, "nonzeros", sums[3]);
    report(out, "objective", sums[2] / (double)s->train.n_rows + s->l1 * sums[4] + s->l2 / 2 * sums[5]);
    return PM_OK;
}
