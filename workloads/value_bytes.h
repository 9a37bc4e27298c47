/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The option of workloads whose published runs kept values as 64-bit floats. Values are 32-bit floats here; where only their sizes
 * count, one that stands for a double is two floats long. */
#ifndef PM_WORKLOADS_VALUE_BYTES_H
#define PM_WORKLOADS_VALUE_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/option.h"

#define VALUE_BYTES_OPTION                                                                                               \
    {                                                                                                                    \
        .name = "value_bytes", .type = PM_OPT_ENUM, .def = "4", .choices = "4|8",                                        \
        .help = "bytes of each number of a value; 8, as doubles have, only with --values none"                           \
    }

/* *floats: by how many floats a number of a value counts in the layout. PM_E_OPTION. */
static inline int value_bytes_take(const struct pm_values *o, bool with_values, uint32_t *floats, struct pm_error *err)
{
    bool doubles = pm_values_enum(o, "value_bytes") == 1;
    *floats = doubles ? 2 : 1;
    if (!doubles || !with_values)
        return PM_OK;
    return pm_error_set(err, PM_E_OPTION,
                        "value_bytes=8 counts sizes alone, as do presets that have it (allowed: --values none, or value_bytes=4)");
}

#endif
