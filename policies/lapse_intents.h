/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Moving keys to where they are about to be accessed, for policies that relocate: at once for a localize hint, `ahead` clocks
 * before an intent begins. Each worker's intents are touched by it alone. */
#ifndef PM_POLICIES_LAPSE_INTENTS_H
#define PM_POLICIES_LAPSE_INTENTS_H

#include "core/policy.h"

#define LAPSE_AHEAD_OPTION                                                                                               \
    {                                                                                                                    \
        .name = "ahead", .type = PM_OPT_COUNT, .def = "1",                                                               \
        .help = "batches before its first clock at which an intent is acted on", .max = 1e9                              \
    }
#define LAPSE_LOCATION_CACHE_OPTION                                                                                      \
    {                                                                                                                    \
        .name = "location_cache", .type = PM_OPT_BOOL, .def = "0",                                                       \
        .help = "ask the last owner that was heard of first, not the home (asynchronous operations are then only eventual)" \
    }
#define LAPSE_LOCATION_CACHE_KEYS_OPTION                                                                                 \
    {                                                                                                                    \
        .name = "location_cache_keys", .type = PM_OPT_COUNT, .def = "64k",                                               \
        .help = "locations that a node remembers at most; the oldest are forgotten", .min = 1, .max = 1e9                \
    }

struct lapse_worker;
struct lapse_intents {
    pm_clock ahead;
    uint32_t n_workers;
    struct lapse_worker *workers;
};

/* PM_OK, or PM_E_MEMORY with the reason. */
int lapse_intents_init(struct lapse_intents *l, const struct pm_node *node, pm_clock ahead, struct pm_error *err);
void lapse_intents_fini(struct lapse_intents *l);
/* For the policy's hooks of these names. */
void lapse_intents_hint(struct pm_ctx *ctx, const struct lapse_intents *l, struct pm_worker *worker, const pm_key *keys, size_t n,
                        pm_clock start, pm_clock end);
void lapse_intents_advance(struct pm_ctx *ctx, const struct lapse_intents *l, struct pm_worker *worker, pm_clock c);

#endif
