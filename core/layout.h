/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How many keys there are and how long their values are: a few contiguous ranges, each with one value length.
 * Constant once the ranges are added: any thread may read it. All zero bytes are an empty layout. */
#ifndef PM_CORE_LAYOUT_H
#define PM_CORE_LAYOUT_H

#include <stdint.h>

#include "core/error.h"
#include "core/types.h"

#define PM_LAYOUT_RANGES_MAX 16
#define PM_LAYOUT_LENGTH_MAX ((1u << 24) - 16)   /* floats per value: one fits into a message of any kind */
#define PM_LAYOUT_FLOATS_MAX (UINT64_C(1) << 50) /* floats of all values */

struct pm_layout_range {
    pm_key first, end;    /* keys [first, end) */
    uint32_t length;      /* floats per value */
    uint64_t float_first; /* floats of all keys before this range */
};

struct pm_layout {
    uint64_t n_keys;
    uint64_t n_floats;
    uint32_t length_max;
    uint32_t length_uniform; /* floats of every key, 0 when keys differ or there are none */
    uint32_t n_ranges;
    struct pm_layout_range ranges[PM_LAYOUT_RANGES_MAX];
};

/* Appends n_keys keys of `length` floats each. Neighbours of equal length stay separate ranges. Returns the
 * number of the new range (>= 0); PM_E_ARGUMENT when n_keys is 0, PM_E_LENGTH when length is 0, PM_E_LIMIT;
 * nothing is changed then. */
int pm_layout_add(struct pm_layout *layout, uint64_t n_keys, uint32_t length, struct pm_error *err);

/* Number of the range of a key < n_keys. */
static inline uint32_t pm_layout_range_of(const struct pm_layout *layout, pm_key key)
{
    uint32_t r = 0;
    while (r + 1 < layout->n_ranges && key >= layout->ranges[r].end)
        r++;
    return r;
}

/* Floats of the value of a key < n_keys. */
static inline uint32_t pm_layout_length(const struct pm_layout *layout, pm_key key)
{
    if (__builtin_expect(layout->length_uniform != 0, 1))
        return layout->length_uniform;
    return layout->ranges[pm_layout_range_of(layout, key)].length;
}

/* Floats of all keys below `key`, key <= n_keys: where the key's value starts when all values lie in key
 * order. */
static inline uint64_t pm_layout_offset(const struct pm_layout *layout, pm_key key)
{
    if (__builtin_expect(layout->length_uniform != 0, 1))
        return key * layout->length_uniform;
    const struct pm_layout_range *range = &layout->ranges[pm_layout_range_of(layout, key)];
    return range->float_first + (key - range->first) * range->length;
}

#endif
