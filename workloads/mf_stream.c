/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order in which workers go through the training cells.
 *
 * columnwise: a worker visits the columns that have cells in its own rows, in an order drawn anew for each
 * epoch, so that workers seldom are at the same column at the same time.
 *
 * blocks (R. Gemulla et al., "Large-scale matrix factorization with distributed stochastic gradient descent",
 * KDD 2011): columns are cut into 2 N W blocks for N nodes of W workers, W to a group. In steps [S W, (S + 1)
 * W) node n has group 2 n + S (mod 2 N), and its workers pass the W blocks of it around; no two workers have
 * the same block at a time. The group that a node needs next was given up by its neighbour W steps earlier,
 * so it can move while the current one is computed on.             */
#include "workloads/mf.h"

#include "core/rng.h"

enum { LOCALIZE_MAX = 1 << 20 }; /* keys of one batch's hint; what is more goes with the next batches */

static void add_hint(const struct mf_state *s, struct mf_worker *w, pm_key first, pm_key end)
{
    if (s->task.nodes == 1 || first >= end || w->stream.n_hints == MF_HINTS_MAX)
        return;
    w->stream.hints[w->stream.n_hints++] = (struct mf_hint){first, end};
}

uint32_t mf_block_at(const struct mf_state *s, uint32_t rank, uint32_t step)
{
    if (!s->blocked)
        return 0;
    uint32_t workers = s->task.workers, node = rank / workers, index = rank % workers;
    uint32_t group = (2 * node + step / workers) % (2 * s->task.nodes);
    return group * workers + (index + step) % workers;
}

static void hint_block(const struct mf_state *s, struct mf_worker *w, uint32_t block)
{
    uint64_t first = block == 0 ? 0 : s->block_ends[block - 1];
    add_hint(s, w, s->rows + first, s->rows + s->block_ends[block]);
}

static void add_hints(const struct mf_state *s, struct mf_worker *w)
{
    uint32_t step = w->stream.step, workers = s->task.workers;
    if (w->stream.epoch == 0 && step == 0) {
        add_hint(s, w, w->rank == 0 ? 0 : s->row_ends[w->rank - 1], s->row_ends[w->rank]);
        if (s->blocked)
            hint_block(s, w, mf_block_at(s, w->rank, 0));
    }
    if (s->blocked && step % workers == 0)
        hint_block(s, w, mf_block_at(s, w->rank, (step + workers) % s->n_blocks));
}

static void enter_block(const struct mf_state *s, struct mf_worker *w)
{
    uint32_t block = mf_block_at(s, w->rank, w->stream.step);
    const uint64_t *share = &s->share_starts[(uint64_t)w->rank * s->n_blocks + block];
    w->stream.share = share[0];
    w->stream.n = share[1] - share[0];
    w->stream.visited = 0;
    w->stream.next_cell = w->stream.end_cell = 0;
    w->stream.left = s->blocked ? s->step_batches[w->stream.step] : s->batches[w->rank];
    uint64_t seed = pm_hash64_pair(pm_hash64_pair(s->stream_seed, w->rank), w->stream.epoch);
    if (w->stream.n > 0)
        pm_permutation_init(&w->stream.order, w->stream.n, pm_hash64_pair(seed, block));
    add_hints(s, w);
}

uint64_t mf_epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    const struct mf_state *s = state;
    struct mf_worker *w = ws;
    w->stream.epoch = epoch;
    w->stream.step = 0;
    enter_block(s, w);
    return s->batches[w->rank];
}

static int fill_localize(struct mf_worker *w, struct pm_batch *batch)
{
    batch->n_localize = 0;
    if (w->stream.n_hints == 0)
        return PM_OK;
    struct mf_hint *hint = &w->stream.hints[0];
    uint64_t n = hint->end - hint->first;
    if (n > LOCALIZE_MAX)
        n = LOCALIZE_MAX;
    pm_key *keys = pm_batch_localize(batch, (uint32_t)n);
    if (keys == NULL)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < n; i++)
        keys[i] = hint->first + i;
    hint->first += n;
    if (hint->first == hint->end) {
        w->stream.n_hints--;
        for (uint32_t i = 0; i < w->stream.n_hints; i++)
            hint[i] = hint[i + 1];
    }
    return PM_OK;
}

/* Keys of the next cells of the current segment: the column, then the rows. */
static int fill_group(const struct mf_state *s, struct mf_worker *w, struct pm_batch *batch)
{
    struct mf_item *item = batch->item;
    uint64_t n = w->stream.end_cell - w->stream.next_cell;
    if (n > s->batch_cells)
        n = s->batch_cells;
    *item = (struct mf_item){.first_cell = w->stream.next_cell, .n_cells = (uint32_t)n};
    batch->n_keys = 0;
    if (n == 0)
        return PM_OK;
    pm_key *keys = pm_batch_keys(batch, (uint32_t)n + 1);
    if (keys == NULL)
        return PM_E_MEMORY;
    keys[0] = s->rows + w->stream.column;
    for (uint64_t i = 0; i < n; i++)
        keys[i + 1] = s->cells[w->stream.next_cell + i].row;
    w->stream.next_cell += n;
    return PM_OK;
}

int mf_next(const void *state, void *ws, struct pm_batch *batch)
{
    const struct mf_state *s = state;
    struct mf_worker *w = ws;
    if (w->stream.left == 0) {
        w->stream.step++;
        PM_ASSERT(w->stream.step < s->n_blocks, "the epoch is over");
        enter_block(s, w);
    }
    batch->barrier_before =
        s->blocked && w->stream.step > 0 && w->stream.left == s->step_batches[w->stream.step];
    w->stream.left--;
    if (w->stream.next_cell == w->stream.end_cell && w->stream.visited < w->stream.n) {
        uint64_t i = w->stream.share + pm_permutation_apply(&w->stream.order, w->stream.visited++);
        w->stream.column = s->segments[i].column;
        w->stream.next_cell = s->segments[i].first;
        w->stream.end_cell = s->segments[i + 1].first;
    }
    batch->n_samples = 0;
    int rc = fill_localize(w, batch);
    return rc == PM_OK ? fill_group(s, w, batch) : rc;
}
