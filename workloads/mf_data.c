/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arranging the training cells: by rank, column and row, with the places where each begins. */
#include "workloads/mf.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* ends[p] of `parts` contiguous ranges of [0, n) with about equal sums of counts. */
static void balance(const uint64_t *counts, uint64_t n, uint64_t total, uint64_t *ends, uint64_t parts)
{
    uint64_t at = 0, before = 0;
    for (uint64_t p = 0; p < parts; p++) {
        uint64_t goal = (uint64_t)((unsigned __int128)total * (p + 1) / parts);
        /* An element goes to the side of the boundary on which more than half of it lies. */
        while (at < n && before + counts[at] / 2 < goal)
            before += counts[at++];
        ends[p] = at;
    }
    ends[parts - 1] = n;
}

/* Sorts cells stably by key[cell.row or .column], which lies below n. PM_E_MEMORY. */
static int sort_cells(const struct rating *from, struct rating *to, uint64_t n_cells, bool by_column,
                      uint64_t n)
{
    uint64_t *starts = calloc(n + 1, sizeof *starts);
    if (starts == NULL)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < n_cells; i++)
        starts[1 + (by_column ? from[i].column : from[i].row)]++;
    for (uint64_t k = 0; k < n; k++)
        starts[k + 1] += starts[k];
    for (uint64_t i = 0; i < n_cells; i++)
        to[starts[by_column ? from[i].column : from[i].row]++] = from[i];
    free(starts);
    return PM_OK;
}

static int balance_side(const struct rating *cells, uint64_t n_cells, bool by_column, uint64_t n,
                        uint64_t *ends, uint64_t parts)
{
    uint64_t *counts = calloc(n, sizeof *counts);
    if (counts == NULL)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < n_cells; i++)
        counts[by_column ? cells[i].column : cells[i].row]++;
    balance(counts, n, n_cells, ends, parts);
    free(counts);
    return PM_OK;
}

/* Stable split of cells that are sorted by column and row into the ranks' shares; share_cells[rank] is each
 * one's first. */
static int split_by_rank(struct mf_state *s, const struct rating *sorted, struct rating *split,
                         uint64_t *share_cells)
{
    uint32_t *rank_of_row = malloc(s->rows * sizeof *rank_of_row);
    if (rank_of_row == NULL)
        return PM_E_MEMORY;
    for (uint64_t row = 0, rank = 0; row < s->rows; row++) {
        while (row >= s->row_ends[rank])
            rank++;
        rank_of_row[row] = (uint32_t)rank;
    }
    memset(share_cells, 0, (s->ranks + 1) * sizeof *share_cells);
    for (uint64_t i = 0; i < s->n_cells; i++)
        share_cells[1 + rank_of_row[sorted[i].row]]++;
    for (uint32_t r = 0; r < s->ranks; r++)
        share_cells[r + 1] += share_cells[r];
    for (uint64_t i = 0; i < s->n_cells; i++)
        split[share_cells[rank_of_row[sorted[i].row]]++] = sorted[i];
    memmove(share_cells + 1, share_cells, s->ranks * sizeof *share_cells);
    share_cells[0] = 0;
    free(rank_of_row);
    return PM_OK;
}

/* A cell begins a segment when its column is new, or its row is that of the cell before: then a cell was
 * given twice. */
static bool begins_segment(const struct rating *cells, uint64_t share_first, uint64_t i)
{
    return i == share_first || cells[i].column != cells[i - 1].column || cells[i].row == cells[i - 1].row;
}

static uint64_t count_segments(const struct mf_state *s, const struct rating *cells,
                               const uint64_t *share_cells)
{
    uint64_t n = 0;
    for (uint32_t r = 0; r < s->ranks; r++)
        for (uint64_t i = share_cells[r]; i < share_cells[r + 1]; i++)
            n += begins_segment(cells, share_cells[r], i);
    return n;
}

static void fill_segments(struct mf_state *s, const struct rating *cells, const uint64_t *share_cells)
{
    uint64_t n = 0, *start = s->share_starts;
    for (uint32_t r = 0; r < s->ranks; r++) {
        uint32_t block = 0;
        *start++ = n;
        for (uint64_t i = share_cells[r]; i < share_cells[r + 1]; i++) {
            if (!begins_segment(cells, share_cells[r], i))
                continue;
            for (; cells[i].column >= s->block_ends[block]; block++)
                *start++ = n;
            s->segments[n++] = (struct mf_segment){.first = i, .column = cells[i].column};
        }
        for (; block + 1 < s->n_blocks; block++)
            *start++ = n;
    }
    *start = n;
    s->segments[n] = (struct mf_segment){.first = s->n_cells};
}

static uint64_t share_batches(const struct mf_state *s, uint32_t rank, uint32_t block)
{
    const uint64_t *share = &s->share_starts[(uint64_t)rank * s->n_blocks + block];
    uint64_t n = 0;
    for (uint64_t i = share[0]; i < share[1]; i++)
        n += (s->segments[i + 1].first - s->segments[i].first + s->batch_cells - 1) / s->batch_cells;
    return n;
}

/* In blocked order every rank makes the same number of batches in each step, empty ones where it has fewer
 * cells than others: so all come to the same barriers, whatever share of an epoch is run. */
static void count_batches(struct mf_state *s)
{
    if (!s->blocked) {
        for (uint32_t r = 0; r < s->ranks; r++)
            s->batches[r] = share_batches(s, r, 0);
        return;
    }
    uint64_t sum = 0;
    for (uint32_t step = 0; step < s->n_blocks; step++) {
        uint64_t most = 1;
        for (uint32_t r = 0; r < s->ranks; r++) {
            uint64_t n = share_batches(s, r, mf_block_at(s, r, step));
            most = n > most ? n : most;
        }
        s->step_batches[step] = most;
        sum += most;
    }
    for (uint32_t r = 0; r < s->ranks; r++)
        s->batches[r] = sum;
}

static int make_segments(struct mf_state *s, const struct rating *cells, const uint64_t *share_cells)
{
    s->n_segments = count_segments(s, cells, share_cells);
    s->segments = malloc((s->n_segments + 1) * sizeof *s->segments);
    s->cells = malloc(s->n_cells * sizeof *s->cells);
    if (s->segments == NULL || s->cells == NULL)
        return PM_E_MEMORY;
    fill_segments(s, cells, share_cells);
    for (uint64_t i = 0; i < s->n_cells; i++)
        s->cells[i] = (struct mf_cell){.row = cells[i].row, .value = cells[i].value - s->mean};
    count_batches(s);
    return PM_OK;
}

static float mean_of(const struct ratings *list)
{
    double sum = 0;
    for (uint64_t i = 0; i < list->n; i++)
        sum += (double)list->cells[i].value;
    return (float)(sum / (double)list->n);
}

/* Orders the cells with `other` as room for as many, and makes the state's arrays of them. */
static int arrange(struct mf_state *s, struct ratings *train, struct rating *other, uint64_t *share_cells)
{
    int rc = balance_side(train->cells, train->n, false, s->rows, s->row_ends, s->ranks);
    if (rc == PM_OK)
        rc = balance_side(train->cells, train->n, true, s->columns, s->block_ends, s->n_blocks);
    if (rc == PM_OK)
        rc = sort_cells(train->cells, other, train->n, false, s->rows);
    if (rc == PM_OK)
        rc = sort_cells(other, train->cells, train->n, true, s->columns);
    if (rc == PM_OK)
        rc = split_by_rank(s, train->cells, other, share_cells);
    if (rc == PM_OK)
        rc = make_segments(s, other, share_cells);
    return rc;
}

int mf_data_arrange(struct mf_state *s, struct ratings *train)
{
    s->n_cells = train->n;
    s->mean = mean_of(train);
    /* Two times as many blocks as workers: while half of them are in use the others move. */
    s->n_blocks = s->blocked ? 2 * s->ranks : 1;
    s->row_ends = calloc(s->ranks, sizeof *s->row_ends);
    s->block_ends = calloc(s->n_blocks, sizeof *s->block_ends);
    s->share_starts = calloc((uint64_t)s->ranks * s->n_blocks + 1, sizeof *s->share_starts);
    s->batches = calloc(s->ranks, sizeof *s->batches);
    s->step_batches = calloc(s->n_blocks, sizeof *s->step_batches);
    uint64_t *share_cells = calloc((uint64_t)s->ranks + 1, sizeof *share_cells);
    struct rating *other = malloc(train->n * sizeof *other);
    int rc = PM_E_MEMORY;
    if (s->row_ends != NULL && s->block_ends != NULL && s->share_starts != NULL && s->batches != NULL &&
        s->step_batches != NULL && share_cells != NULL && other != NULL)
        rc = arrange(s, train, other, share_cells);
    free(share_cells);
    free(other);
    ratings_free(train);
    return rc;
}

void mf_data_free(struct mf_state *s)
{
    ratings_free(&s->test);
    free(s->cells);
    free(s->segments);
    free(s->row_ends);
    free(s->block_ends);
    free(s->share_starts);
    free(s->batches);
    free(s->step_batches);
}

int mf_data_hold_out(struct ratings *train, struct ratings *test, double share, uint64_t seed,
                     struct pm_error *err)
{
    uint64_t kept = 0;
    test->rows = train->rows;
    test->columns = train->columns;
    if (train->n < 2)
        return pm_error_set(err, PM_E_OPTION, "one rating is too few: some are held out for the evaluation");
    for (uint64_t i = 0; i < train->n; i++) {
        struct rating cell = train->cells[i];
        uint64_t hash = pm_hash64_pair(seed, (uint64_t)cell.row << 32 | cell.column);
        bool last = i + 1 == train->n;
        bool out = last && test->n == 0 ? true : last && kept == 0 ? false : (double)hash < share * 0x1p64;
        if (!out)
            train->cells[kept++] = cell;
        else if (ratings_append(test, cell) != PM_OK)
            return pm_error_set(err, PM_E_MEMORY, "held-out ratings: out of memory");
    }
    train->n = kept;
    return PM_OK;
}
