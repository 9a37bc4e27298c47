/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The keys that a workload accesses most, chosen once, when it is opened, and the same at every node and in every process: a
 * function of what the workload expects and of the rule. Costs 8 bytes per candidate while it is made (16 where a number of
 * keys is to be found), a bit per candidate afterwards, for all nodes of a process together. */
#include "core/frequent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_statistics_double.h>

struct candidates {
    pm_key first;
    uint64_t n;
    double *expected;
};

static double mean_of(const struct candidates *c)
{
    double sum = 0;
    for (uint64_t i = 0; i < c->n; i++)
        sum += c->expected[i];
    return sum / (double)c->n;
}

/* How many keys the rule means. */
static uint64_t count_of(const struct candidates *c, const struct pm_frequent_rule *rule)
{
    if (rule->count != PM_FREQUENT_BY_FACTOR)
        return rule->count < c->n ? rule->count : c->n;
    double above = rule->factor * mean_of(c);
    uint64_t n = 0;
    for (uint64_t i = 0; i < c->n; i++)
        n += c->expected[i] > above;
    double scaled = round(rule->scale * (double)n);
    return scaled < (double)c->n ? (uint64_t)scaled : c->n;
}

/* The n-th greatest of the expected accesses. PM_OK or PM_E_MEMORY. */
static int nth_greatest(const struct candidates *c, uint64_t n, double *out)
{
    double *sorted = malloc(c->n * sizeof *sorted);
    if (!sorted)
        return PM_E_MEMORY;
    memcpy(sorted, c->expected, c->n * sizeof *sorted);
    *out = gsl_stats_select(sorted, 1, c->n, c->n - n);
    free(sorted);
    return PM_OK;
}

static void mark(struct pm_frequent *f, uint64_t i)
{
    f->bits[i / 64] |= UINT64_C(1) << i % 64;
    f->n++;
}

/* Marks the n most frequent; of those that are equal, the first. */
static int mark_greatest(const struct candidates *c, uint64_t n, struct pm_frequent *f)
{
    double least;
    if (nth_greatest(c, n, &least) != PM_OK)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < c->n; i++)
        if (c->expected[i] > least)
            mark(f, i);
    for (uint64_t i = 0; i < c->n && f->n < n; i++)
        if (c->expected[i] == least)
            mark(f, i);
    return PM_OK;
}

static int choose(const struct candidates *c, const struct pm_frequent_rule *rule, struct pm_frequent **out)
{
    uint64_t n = count_of(c, rule);
    if (n == 0)
        return PM_OK;
    *out = calloc(1, sizeof **out + (c->n + 63) / 64 * sizeof *(*out)->bits);
    if (!*out)
        return PM_E_MEMORY;
    (*out)->first = c->first;
    (*out)->n_candidates = c->n;
    return mark_greatest(c, n, *out);
}

int pm_frequent_find(const struct pm_workload *workload, const void *state, const struct pm_model *model,
                     const struct pm_frequent_rule *rule, struct pm_frequent **out, struct pm_error *err)
{
    *out = NULL;
    if (!rule->on || rule->count == 0)
        return PM_OK;
    if (!workload->frequency && rule->asked)
        return pm_error_set(err, PM_E_REFUSED,
                            "workload %s does not say how often its keys are accessed, so that the most frequent ones cannot be "
                            "replicated (allowed: the policy without options that choose them)",
                            workload->name);
    if (!workload->frequency)
        return PM_OK;
    bool all = model->n_candidates == 0;
    struct candidates c = {.first = all ? 0 : model->first_candidate, .n = all ? model->layout.n_keys : model->n_candidates};
    c.expected = malloc(c.n * sizeof *c.expected);
    int rc = c.expected ? PM_OK : PM_E_MEMORY;
    if (rc == PM_OK) {
        workload->frequency(state, c.first, c.n, c.expected);
        rc = choose(&c, rule, out);
    }
    free(c.expected);
    if (rc != PM_OK) {
        free(*out);
        *out = NULL;
        pm_error_set(err, rc, "out of memory for the expected accesses of %llu keys", (unsigned long long)c.n);
    }
    return rc;
}
