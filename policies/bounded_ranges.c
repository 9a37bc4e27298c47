/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Times of ranges of keys. */
#include <stdlib.h>
#include <string.h>

#include "policies/bounded.h"

/* Number of the range with this key; the first range begins at key 0. */
static uint32_t range_of(const struct bounded_ranges *r, pm_key key)
{
    uint32_t low = 0, high = r->n;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (r->ranges[middle].first <= key)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void reserve(struct bounded_ranges *r, uint32_t n)
{
    if (n <= r->capacity)
        return;
    uint32_t capacity = r->capacity ? 2 * r->capacity : 8;
    r->ranges = realloc(r->ranges, capacity * sizeof *r->ranges);
    PM_ASSERT(r->ranges, "out of memory for the clocks of %u ranges", capacity);
    r->capacity = capacity;
    if (r->n == 0)
        r->ranges[r->n++] = (struct bounded_range){0, 0};
}

/* Makes a range begin at this key; returns its number. */
static uint32_t split(struct bounded_ranges *r, pm_key key)
{
    uint32_t at = range_of(r, key);
    if (r->ranges[at].first == key)
        return at;
    reserve(r, r->n + 1);
    memmove(&r->ranges[at + 2], &r->ranges[at + 1], (r->n - at - 1) * sizeof *r->ranges);
    r->ranges[at + 1] = (struct bounded_range){key, r->ranges[at].time};
    r->n++;
    return at + 1;
}

void bounded_ranges_set(struct bounded_ranges *r, pm_key first, pm_key last, uint64_t time)
{
    PM_ASSERT(first <= last && last < PM_KEY_NONE);
    reserve(r, r->n + 2);
    uint32_t begin = split(r, first), end = split(r, last + 1);
    memmove(&r->ranges[begin + 1], &r->ranges[end], (r->n - end) * sizeof *r->ranges);
    r->n -= end - begin - 1;
    r->ranges[begin].time = time;
    if (begin > 0 && r->ranges[begin - 1].time == time) { /* neighbours of one time are one range */
        memmove(&r->ranges[begin], &r->ranges[begin + 1], (r->n - begin - 1) * sizeof *r->ranges);
        r->n--;
    }
}

uint64_t bounded_ranges_least(const struct bounded_ranges *r, pm_key first, pm_key last)
{
    if (r->n == 0)
        return 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = range_of(r, first); i < r->n && r->ranges[i].first <= last; i++)
        least = r->ranges[i].time < least ? r->ranges[i].time : least;
    return least;
}

void bounded_ranges_fini(struct bounded_ranges *r)
{
    free(r->ranges);
    r->ranges = NULL;
}
