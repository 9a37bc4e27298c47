/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order in which workers go through the blocks: all the same one, every block once in a pass. A batch pushes to the
 * keys of its block that occur in the worker's rows, and pulls those of the block of `lag` batches before, whose new weights
 * are there by then. */
#include "core/rng.h"
#include "workloads/lr.h"

uint64_t lr_epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    const struct lr_state *s = state;
    struct lr_worker *w = ws;
    w->stream.visit = 0;
    w->stream.first_pass = (uint64_t)epoch * s->passes;
    return (uint64_t)s->blocks * s->passes;
}

static uint32_t next_block(const struct lr_state *s, struct lr_worker *w, uint64_t visit)
{
    uint64_t pass = w->stream.first_pass + visit / s->blocks, place = visit % s->blocks;
    if (place == 0)
        pm_permutation_init(&w->stream.order, s->blocks, pm_hash64_pair(s->order_seed, pass));
    return (uint32_t)(s->random ? pm_permutation_apply(&w->stream.order, place) : place);
}

/* The block of `lag` batches ago, in the place of which the present one is remembered. */
static uint32_t exchange_recent(const struct lr_state *s, struct lr_worker *w, uint32_t block)
{
    uint32_t *place = &w->stream.recent[w->stream.n_recent++ % s->lag];
    uint32_t before = w->stream.n_recent > s->lag ? *place : LR_NOTHING;
    *place = block;
    return before;
}

static uint64_t bucket_size(const struct lr_state *s, const struct lr_worker *w, uint32_t block, uint64_t *entries)
{
    *entries = 0;
    if (block == LR_NOTHING)
        return 0;
    uint64_t first = lr_bucket(&s->train, w->rank, block), end = lr_bucket(&s->train, w->rank, block + 1);
    *entries = s->train.columns[end].first - s->train.columns[first].first;
    return end - first;
}

static void copy_keys(const struct lr_state *s, const struct lr_worker *w, uint32_t block, pm_key *keys, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        keys[i] = s->train.columns[lr_bucket(&s->train, w->rank, block) + i].feature;
}

/* At most: weights that have not changed and examples whose margin has not are passed over. Per entry 2 for the margin when
 * a weight is learnt; 2 for the gradient and 3 for the curvature when it is worked on; for the bound 1 more at both. 25 for
 * each loss, and for each slope with its curvature. */
static double count_flops(const struct lr_state *s, const struct lr_worker *w, uint64_t learnt, uint64_t worked)
{
    double rows = (double)(worked < w->n_rows ? worked : w->n_rows);
    return (s->bound ? 3.0 : 2.0) * (double)learnt + (s->bound ? 6.0 : 5.0) * (double)worked +
           25 * (rows + (double)w->n_rows / s->blocks / s->passes);
}

int lr_next(const void *state, void *ws, struct pm_batch *batch)
{
    const struct lr_state *s = state;
    struct lr_worker *w = ws;
    struct lr_item *item = batch->item;
    item->visit = w->stream.visit++;
    item->worked = next_block(s, w, item->visit);
    item->learnt = exchange_recent(s, w, item->worked);
    uint64_t entries_learnt, entries_worked;
    uint64_t n_learnt = bucket_size(s, w, item->learnt, &entries_learnt);
    uint64_t n_worked = bucket_size(s, w, item->worked, &entries_worked);
    item->flops = count_flops(s, w, entries_learnt, entries_worked);
    pm_key *keys = pm_batch_keys(batch, (uint32_t)n_learnt);
    pm_key *pushes = pm_batch_pushes(batch, (uint32_t)n_worked);
    if ((keys == NULL && n_learnt > 0) || (pushes == NULL && n_worked > 0))
        return PM_E_MEMORY;
    copy_keys(s, w, item->learnt, keys, n_learnt);
    copy_keys(s, w, item->worked, pushes, n_worked);
    return PM_OK;
}
