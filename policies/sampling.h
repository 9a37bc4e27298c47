/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The options of policies that let the user choose how samples are drawn. */
#ifndef PM_POLICIES_SAMPLING_H
#define PM_POLICIES_SAMPLING_H

#include "core/policy.h"

/* Four rows of an option table. */
#define SAMPLING_OPTIONS(default_)                                                                                       \
    {.name = "sampling",                                                                                                 \
     .type = PM_OPT_ENUM,                                                                                                \
     .def = default_,                                                                                                    \
     .choices = "independent|prelocalize|reuse|postpone|local",                                                          \
     .help = "independent or prelocalize (conform), reuse (bounded), postpone (long-term), local (non-conform)"},        \
        {.name = "reuse", .type = PM_OPT_COUNT, .def = "16", .help = "reuse, postpone: uses of each sample", .min = 1,   \
         .max = 1e6},                                                                                                    \
        {.name = "group", .type = PM_OPT_COUNT, .def = "250", .help = "reuse, postpone: samples drawn together",         \
         .min = 1, .max = 1e6},                                                                                          \
        {.name = "tries", .type = PM_OPT_COUNT, .def = "64", .min = 1, .max = 1e6,                                       \
         .help = "local: draws until a key is here; then the next key that is"}

static inline struct pm_sampling sampling_of(const struct pm_values *options)
{
    return (struct pm_sampling){.scheme = (enum pm_sampling_scheme)pm_values_enum(options, "sampling"),
                                .group = (uint32_t)pm_values_count(options, "group"),
                                .reuse = (uint32_t)pm_values_count(options, "reuse"),
                                .tries = pm_values_count(options, "tries")};
}

#endif
