/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What policies with exchange rounds share: their options, and what these make of the traits. */
#ifndef PM_POLICIES_EXCHANGE_H
#define PM_POLICIES_EXCHANGE_H

#include "core/policy.h"

/* How soon an idle node that exchanges as fast as possible looks for updates again. */
enum { PM_EXCHANGE_POLL_NS = 20 * 1000 };

/* Rows of the table of options. */
#define PM_EXCHANGE_OPTIONS                                                                                                    \
    {.name = "syncs_per_second",                                                                                               \
     .type = PM_OPT_REAL,                                                                                                      \
     .def = "25",                                                                                                              \
     .help = "exchange rounds per second; 0 = as fast as possible",                                                            \
     .min = 0,                                                                                                                 \
     .max = 1e6},                                                                                                              \
    {.name = "exchange",                                                                                                       \
     .type = PM_OPT_ENUM,                                                                                                      \
     .def = "hub",                                                                                                             \
     .choices = "hub|allreduce",                                                                                               \
     .help = "hub: deltas to the owners, new values back to all; allreduce: sums of deltas, merged in a butterfly"},           \
    {.name = "clip",                                                                                                           \
     .type = PM_OPT_REAL,                                                                                                      \
     .def = "0",                                                                                                               \
     .help = "a node's update of a key in a round is scaled down to this multiple of their mean norm; 0 = never",              \
     .min = 0,                                                                                                                 \
     .max = 1e6}

/* Nanoseconds between the starts of two rounds. */
static inline int64_t pm_exchange_interval_ns(const struct pm_values *options)
{
    double rate = pm_values_real(options, "syncs_per_second");
    return rate > 0 ? (int64_t)(1e9 / rate) : PM_EXCHANGE_POLL_NS;
}

static inline void pm_exchange_traits(const struct pm_values *options, struct pm_traits *traits)
{
    bool hub = pm_values_enum(options, "exchange") == 0;
    traits->replicates = true;
    traits->exchange = hub ? PM_EXCHANGE_HUB : PM_EXCHANGE_ALLREDUCE;
    traits->track_changes = hub;
    traits->clip = pm_values_real(options, "clip");
    if (traits->clip > 0)
        traits->needs_values = "clip looks at values";
}

#endif
