/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Building of layouts. */
#include "core/layout.h"

#include <inttypes.h>

static int check(const struct pm_layout *layout, uint64_t n_keys, uint32_t length, struct pm_error *err)
{
    if (n_keys == 0)
        return pm_error_set(err, PM_E_ARGUMENT, "a range of 0 keys (allowed: at least 1)");
    if (length == 0)
        return pm_error_set(err, PM_E_LENGTH, "values of 0 floats (allowed: at least 1)");
    if (length > PM_LAYOUT_LENGTH_MAX)
        return pm_error_set(err, PM_E_LIMIT, "values of %" PRIu32 " floats (allowed: at most %u)", length,
                            PM_LAYOUT_LENGTH_MAX);
    if (layout->n_ranges == PM_LAYOUT_RANGES_MAX)
        return pm_error_set(err, PM_E_LIMIT, "%d ranges of keys (allowed: at most %d)",
                            PM_LAYOUT_RANGES_MAX + 1, PM_LAYOUT_RANGES_MAX);
    if (n_keys > (PM_LAYOUT_FLOATS_MAX - layout->n_floats) / length)
        return pm_error_set(err, PM_E_LIMIT,
                            "%" PRIu64 " more values of %" PRIu32 " floats (allowed: at most %" PRIu64
                            " floats in all, %" PRIu64 " are taken)",
                            n_keys, length, PM_LAYOUT_FLOATS_MAX, layout->n_floats);
    return PM_OK;
}

int pm_layout_add(struct pm_layout *layout, uint64_t n_keys, uint32_t length, struct pm_error *err)
{
    int rc = check(layout, n_keys, length, err);
    if (rc != PM_OK)
        return rc;
    uint32_t number = layout->n_ranges++;
    layout->ranges[number] = (struct pm_layout_range){
        .first = layout->n_keys,
        .end = layout->n_keys + n_keys,
        .length = length,
        .float_first = layout->n_floats,
    };
    layout->n_keys += n_keys;
    layout->n_floats += n_keys * length;
    if (length > layout->length_max)
        layout->length_max = length;
    if (number == 0)
        layout->length_uniform = length;
    else if (layout->length_uniform != length)
        layout->length_uniform = 0;
    return (int)number;
}
