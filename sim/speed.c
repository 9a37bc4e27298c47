/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How fast each node computes, and stragglers: steps that take longer at random. Only computation is slower on a slow node;
 * what parameter management costs is a matter of the cost model. */
#include "sim/sim.h"

#include <math.h>
#include <string.h>

static int read_one(const char *text, size_t length, double *speed, struct pm_error *err)
{
    static const struct pm_option one = {"speeds", PM_OPT_FLOPS, NULL, "", NULL, 1, 1e24};
    char word[64];
    struct pm_value value;
    if (length >= sizeof word)
        return pm_error_set(err, PM_E_OPTION, "option \"speeds\": \"%.60s...\" is not a speed", text);
    memcpy(word, text, length);
    word[length] = '\0';
    int rc = pm_option_parse(&one, word, &value, err);
    if (rc == PM_OK)
        *speed = value.real;
    return rc;
}

int sim_speeds_read(const char *text, uint32_t nodes, struct sim_settings *settings, struct pm_error *err)
{
    uint32_t n = 0;
    for (const char *at = text; text[0] != '\0';) {
        size_t length = strcspn(at, ",");
        if (n == PM_NODES_MAX)
            return pm_error_set(err, PM_E_LIMIT, "option \"speeds\": more than %d speeds", PM_NODES_MAX);
        int rc = read_one(at, length, &settings->speeds[n], err);
        if (rc != PM_OK)
            return rc;
        n++;
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    /* a baseline of one node shares the options of the cluster that it is compared with */
    if (n > nodes && nodes > 1)
        return pm_error_set(err, PM_E_OPTION, "option \"speeds\": %u speeds for %u nodes (allowed: at most one per node)",
                            n, nodes);
    settings->n_speeds = n < nodes ? n : nodes;
    return PM_OK;
}

void sim_slowdown_begin(struct sim_worker *w)
{
    const struct sim_node *node = w->agent.node;
    pm_rng_init(&w->slowdown, "sim.slowdown", node->sim->job.seed, node->id, w->worker->index);
}

/* Slowed by 1 + an exponential deviate: most a little, few very much, as on shared machines. */
double sim_slowdown(struct sim_worker *w)
{
    const struct sim_settings *s = w->agent.node->sim->settings;
    if (s->slow_share == 0 || pm_rng_real(&w->slowdown) >= s->slow_share)
        return 1;
    return 1 - (s->slow_factor - 1) * log1p(-pm_rng_real(&w->slowdown));
}
