/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reuse distances by a Fenwick tree over positions in the stream, of which each key marks its last. When the positions are
 * used up, the marks move together: there are twice as many as keys, so that this costs a constant per access. */
#include "cli/trace_stats.h"

#include <stdlib.h>
#include <string.h>

int reuse_begin(struct reuse *r, uint64_t keys)
{
    *r = (struct reuse){.keys = keys, .size = 2 * keys + 64};
    r->last = calloc(keys, sizeof *r->last);
    r->owner = calloc(r->size, sizeof *r->owner);
    r->tree = calloc(r->size + 1, sizeof *r->tree);
    if (r->last != NULL && r->owner != NULL && r->tree != NULL)
        return PM_OK;
    reuse_free(r);
    return PM_E_MEMORY;
}

void reuse_free(struct reuse *r)
{
    free(r->last);
    free(r->owner);
    free(r->tree);
    *r = (struct reuse){0};
}

static void tree_add(struct reuse *r, uint64_t position, uint64_t value)
{
    for (uint64_t i = position + 1; i <= r->size; i += i & -i)
        r->tree[i] += value;
}

/* Marks at positions [0, end). */
static uint64_t tree_sum(const struct reuse *r, uint64_t end)
{
    uint64_t sum = 0;
    for (uint64_t i = end; i > 0; i -= i & -i)
        sum += r->tree[i];
    return sum;
}

static void mark(struct reuse *r, uint64_t position, uint64_t key)
{
    r->owner[position] = key + 1;
    r->last[key] = position + 1;
    tree_add(r, position, 1);
}

static void move_together(struct reuse *r)
{
    uint64_t kept = 0;
    memset(r->tree, 0, (r->size + 1) * sizeof *r->tree);
    for (uint64_t position = 0; position < r->next; position++) {
        uint64_t owner = r->owner[position];
        r->owner[position] = 0;
        if (owner != 0)
            mark(r, kept++, owner - 1);
    }
    r->next = kept;
}

uint64_t reuse_access(struct reuse *r, uint64_t key)
{
    uint64_t distance = UINT64_MAX;
    if (r->next == r->size)
        move_together(r);
    if (r->last[key] != 0) {
        uint64_t before = r->last[key] - 1;
        distance = r->present - tree_sum(r, before + 1);
        r->owner[before] = 0;
        tree_add(r, before, (uint64_t)-1);
    } else {
        r->present++;
    }
    mark(r, r->next++, key);
    return distance;
}
