/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workloads/counters.h"

#include <math.h>
#include <stdlib.h>

enum {
    READ_FLOATS_MAX = 1 << 18, /* floats that are read at once; at least one key's */
    READ_KEYS_MAX = 4096,
};

static uint64_t read_keys(const struct counters *c)
{
    uint64_t n = READ_FLOATS_MAX / c->layout->length_max;
    return n < 1 ? 1 : n < READ_KEYS_MAX ? n : READ_KEYS_MAX;
}

int counters_begin(struct counters *c, const struct pm_layout *layout, uint64_t rank, uint64_t ranks, bool with_values)
{
    *c = (struct counters){.layout = layout, .rank = rank, .ranks = ranks};
    if (!with_values)
        return PM_OK;
    c->values = malloc(read_keys(c) * layout->length_max * sizeof *c->values);
    return c->values != NULL ? PM_OK : PM_E_MEMORY;
}

void counters_end(struct counters *c)
{
    free(c->values);
}

/* Adds up this worker's part of the model, and counts the elements that have left the exact range. */
static int sum_part(struct counters *c, struct pm_worker *worker, double *sum, double *inexact)
{
    pm_key at = (pm_key)((unsigned __int128)c->layout->n_keys * c->rank / c->ranks);
    pm_key end = (pm_key)((unsigned __int128)c->layout->n_keys * (c->rank + 1) / c->ranks);
    *sum = *inexact = 0;
    while (at < end) {
        pm_key keys[READ_KEYS_MAX];
        uint64_t n = end - at < read_keys(c) ? end - at : read_keys(c);
        for (uint64_t i = 0; i < n; i++)
            keys[i] = at + i;
        int rc = pm_read_model(worker, keys, n, c->values);
        if (rc != PM_OK)
            return rc;
        uint64_t floats = pm_layout_offset(c->layout, at + n) - pm_layout_offset(c->layout, at);
        for (uint64_t i = 0; i < floats; i++) {
            *sum += (double)c->values[i];
            *inexact += c->values[i] >= COUNTERS_EXACT;
        }
        at += n;
    }
    return PM_OK;
}

int counters_evaluate(struct counters *c, struct pm_worker *worker, const char *fewer, struct pm_evaluation *out)
{
    double totals[3]; /* of the values, of the updates, of inexact elements: whole numbers below 2^53 */
    int rc = sum_part(c, worker, &totals[0], &totals[2]);
    totals[1] = c->pushed;
    if (rc == PM_OK)
        rc = pm_reduce(worker, totals, 3);
    if (rc != PM_OK)
        return rc;
    if (totals[2] > 0)
        return pm_worker_fail(worker, PM_E_LIMIT, "%.0f counters have left the exact range below %d; %s keep them in",
                              totals[2], COUNTERS_EXACT, fewer);
    out->n_metrics = 1;
    out->metrics[0].name = "sum_error";
    out->metrics[0].value = fabs(totals[0] - totals[1]);
    return PM_OK;
}
