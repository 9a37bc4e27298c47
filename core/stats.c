/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Adding up counters. */
#include "core/stats.h"

static const char *const quantity_names[PM_QUANTITIES] = {
    [PM_Q_PULL] = "pull",
    [PM_Q_PUSH] = "push",
    [PM_Q_RELOCATION] = "relocation",
    [PM_Q_STALENESS_TIME] = "staleness_time",
    [PM_Q_STALENESS_CLOCKS] = "staleness_clocks",
    [PM_Q_ROUND] = "round",
};

const char *pm_quantity_name(enum pm_quantity q)
{
    return (unsigned)q < PM_QUANTITIES ? quantity_names[q] : "unknown";
}

static const char *const filter_names[PM_FILTERS] = {
    [PM_FILTER_KKT] = "kkt",
    [PM_FILTER_THRESHOLD] = "threshold",
    [PM_FILTER_KEYS] = "keys",
    [PM_FILTER_COMPRESS] = "compress",
};

const char *pm_filter_name(enum pm_filter filter)
{
    return (unsigned)filter < PM_FILTERS ? filter_names[filter] : "unknown";
}

void pm_counters_add(struct pm_counters *sum, const struct pm_counters *one)
{
    uint64_t *s = (uint64_t *)(void *)sum;
    const uint64_t *o = (const uint64_t *)(const void *)one;
    for (int i = 0; i < PM_COUNTERS; i++)
        s[i] += pm_counter_read(&o[i]);
}

void pm_counters_subtract(struct pm_counters *difference, const struct pm_counters *later,
                          const struct pm_counters *earlier)
{
    uint64_t *d = (uint64_t *)(void *)difference;
    const uint64_t *l = (const uint64_t *)(const void *)later;
    const uint64_t *e = (const uint64_t *)(const void *)earlier;
    for (int i = 0; i < PM_COUNTERS; i++)
        d[i] = l[i] - e[i];
}
