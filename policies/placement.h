/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The option of policies that let the user choose the homes of keys. */
#ifndef PM_POLICIES_PLACEMENT_H
#define PM_POLICIES_PLACEMENT_H

#include <string.h>

#include "core/option.h"

#define PLACEMENT_OPTION(default_)                                                                                       \
    {                                                                                                                    \
        .name = "placement", .type = PM_OPT_ENUM, .def = default_, .choices = "hash|range",                              \
        .help = "home of key k: hash(k) mod nodes, or one range of keys per node"                                        \
    }

static inline bool placement_by_ranges(const struct pm_values *options)
{
    return strcmp(pm_values_text(options, "placement"), "range") == 0;
}

#endif
