/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Helpers of scenarios. */
#include "tests/scenario.h"

#include <inttypes.h>
#include <stdio.h>

bool scenario_quiet;

int scenario_failed(const struct pm_worker *w, const char *file, int line, const char *what, int code)
{
    if (code == PM_E_PEER || code == PM_E_INTERRUPTED)
        return code;
    if (!scenario_quiet)
        fprintf(stderr, "%s:%d: worker %u: %s%s%s\n", file, line, pm_worker_rank(w), what,
                code ? ": " : " does not hold", code ? pm_strerror(code) : "");
    return code ? code : PM_E_INTERNAL;
}

int scenario_wrong_value(const struct pm_worker *w, const char *file, int line, pm_key key, uint32_t element,
                         float found, float expected)
{
    if (!scenario_quiet)
        fprintf(stderr, "%s:%d: worker %u: element %u of key %" PRIu64 " is %.9g, not %.9g\n", file, line,
                pm_worker_rank(w), element, key, (double)found, (double)expected);
    return PM_E_INTERNAL;
}

uint64_t scenario_floats(const struct pm_worker *w, const pm_key *keys, size_t n)
{
    uint64_t floats = 0;
    for (size_t i = 0; i < n; i++)
        floats += pm_length(w->ctx.node, keys[i]);
    return floats;
}

struct pm_counters scenario_counters(const struct pm_worker *w)
{
    struct pm_counters sum;
    pm_node_counters(w->ctx.node, &sum);
    return sum;
}

float scenario_nothing(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)w;
    (void)key;
    (void)arg;
    return 0;
}

int scenario_check_values(const struct pm_worker *w, const pm_key *keys, size_t n, const float *values,
                          float (*add)(const struct pm_worker *w, pm_key key, void *arg), void *arg)
{
    for (size_t i = 0; i < n; i++) {
        float added = add(w, keys[i], arg);
        for (uint32_t j = 0; j < pm_length(w->ctx.node, keys[i]); j++)
            SCENARIO_VALUE(keys[i], j, *values++, testload_initial(keys[i], j) + added);
    }
    return PM_OK;
}

int scenario_check_model(struct pm_worker *w, float (*add)(const struct pm_worker *w, pm_key key, void *arg),
                         void *arg)
{
    uint64_t n = scenario_keys(w);
    pm_key *keys = malloc(n * sizeof *keys);
    float *values = malloc(w->ctx.node->layout->n_floats * sizeof *values);
    int code = keys && values ? pm_drain(w) : PM_E_MEMORY;
    for (uint64_t k = 0; keys && k < n; k++)
        keys[k] = k;
    if (code == PM_OK)
        code = pm_read_model(w, keys, n, values);
    if (code != PM_OK)
        code = scenario_failed(w, __FILE__, __LINE__, "drain and read_model", code);
    else
        code = scenario_check_values(w, keys, n, values, add, arg);
    free(keys);
    free(values);
    if (code == PM_OK)
        SCENARIO_OK(pm_barrier(w));
    return code;
}
