/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which candidates make a triple that is known to be true, for each pair that is asked about in the evaluation. */
#include <stdlib.h>

#include "workloads/kge.h"

static uint64_t pair_of(struct triple t, bool tails)
{
    return (uint64_t)(tails ? t.s : t.o) << 32 | t.r;
}

static int compare_pairs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int compare_known(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Place of a pair; f->n when it is none of those asked about. */
static uint64_t find(const struct kge_filter *f, uint64_t pair)
{
    uint64_t low = 0, high = f->n;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (f->pairs[middle] < pair)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->n && f->pairs[low] == pair ? low : f->n;
}

/* Lists of known candidates at their places, then sorted and without repetitions. */
static int fill_lists(struct kge_filter *f, const struct graph *g, bool tails)
{
    for (uint64_t i = 0; i < g->n; i++) {
        uint64_t at = find(f, pair_of(g->triples[i], tails));
        if (at < f->n)
            f->starts[at + 1]++;
    }
    for (uint64_t k = 0; k < f->n; k++)
        f->starts[k + 1] += f->starts[k];
    f->known = malloc((f->starts[f->n] + 1) * sizeof *f->known);
    uint64_t *next = malloc((f->n + 1) * sizeof *next);
    if (f->known == NULL || next == NULL) {
        free(next);
        return PM_E_MEMORY;
    }
    for (uint64_t k = 0; k < f->n; k++)
        next[k] = f->starts[k];
    for (uint64_t i = 0; i < g->n; i++) {
        uint64_t at = find(f, pair_of(g->triples[i], tails));
        if (at < f->n)
            f->known[next[at]++] = tails ? g->triples[i].o : g->triples[i].s;
    }
    free(next);
    uint64_t kept = 0;
    for (uint64_t k = 0; k < f->n; k++) {
        uint64_t first = f->starts[k], end = f->starts[k + 1];
        qsort(f->known + first, end - first, sizeof *f->known, compare_known);
        f->starts[k] = kept;
        for (uint64_t i = first; i < end; i++)
            if (i == first || f->known[i] != f->known[kept - 1])
                f->known[kept++] = f->known[i];
    }
    f->starts[f->n] = kept;
    return PM_OK;
}

int kge_filter_fill(struct kge_filter *f, const struct graph *g, enum graph_part part, bool tails)
{
    uint64_t first = graph_begin(g, part), n = graph_size(g, part);
    *f = (struct kge_filter){0};
    f->pairs = malloc((n + 1) * sizeof *f->pairs);
    f->starts = calloc(n + 1, sizeof *f->starts);
    if (f->pairs == NULL || f->starts == NULL)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < n; i++)
        f->pairs[i] = pair_of(g->triples[first + i], tails);
    qsort(f->pairs, n, sizeof *f->pairs, compare_pairs);
    for (uint64_t i = 0; i < n; i++)
        if (i == 0 || f->pairs[i] != f->pairs[f->n - 1])
            f->pairs[f->n++] = f->pairs[i];
    return fill_lists(f, g, tails);
}

void kge_filter_free(struct kge_filter *f)
{
    free(f->pairs);
    free(f->starts);
    free(f->known);
    *f = (struct kge_filter){0};
}

const uint32_t *kge_filter_find(const struct kge_filter *f, struct triple t, bool tails, uint32_t *n)
{
    uint64_t at = find(f, pair_of(t, tails));
    *n = at < f->n ? (uint32_t)(f->starts[at + 1] - f->starts[at]) : 0;
    return at < f->n ? f->known + f->starts[at] : NULL;
}
