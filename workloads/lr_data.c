/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arranging examples: by rank, block, feature and row, with the places where each begins. */
#include <stdlib.h>

#include "workloads/lr.h"

/* Entries by feature and row, with the bias, if there is one, not among them. */
struct by_feature {
    uint64_t *starts; /* per feature; and one more */
    uint32_t *rows;   /* of the whole list */
    float *values;    /* NULL: all are 1 */
};

static int sort_by_feature(struct by_feature *b, const struct examples *list, uint64_t n_features)
{
    b->starts = calloc(n_features + 2, sizeof *b->starts);
    b->rows = malloc((list->n_entries + 1) * sizeof *b->rows);
    if (list->values != NULL)
        b->values = malloc((list->n_entries + 1) * sizeof *b->values);
    if (b->starts == NULL || b->rows == NULL || (list->values != NULL && b->values == NULL))
        return PM_E_MEMORY;
    /* counted two places ahead: once the entries are placed, each start has moved to its own place */
    uint64_t *place = b->starts + 1;
    for (uint64_t i = 0; i < list->n_entries; i++)
        b->starts[list->features[i] + 2]++;
    for (uint64_t f = 0; f < n_features; f++)
        place[f + 1] += place[f];
    for (uint64_t row = 0; row < list->n_rows; row++) {
        for (uint64_t i = list->starts[row]; i < list->starts[row + 1]; i++) {
            uint64_t to = place[list->features[i]]++;
            b->rows[to] = (uint32_t)row;
            if (b->values != NULL)
                b->values[to] = list->values[i];
        }
    }
    return PM_OK;
}

/* Goes over all entries by key, twice: first to count, then to fill. */
struct filling {
    struct lr_matrix *m;
    const struct lr_state *s;
    const struct by_feature *from;
    bool bias;
    uint64_t n_features, n_entries; /* without and with the bias */
    uint32_t *last;                 /* per bucket: feature of its last column + 1 */
    uint64_t *columns, *entries;    /* per bucket: how many, then where the next goes */
    uint32_t *holders;              /* may be NULL */
};

static uint64_t bucket_of(const struct filling *f, uint64_t row, uint64_t key)
{
    uint32_t block = f->m->blocks == 1 ? 0 : lr_block_of(f->s, key);
    return row % f->m->ranks * f->m->blocks + block;
}

static void count_entry(struct filling *f, uint64_t row, uint64_t key)
{
    uint64_t bucket = bucket_of(f, row, key);
    f->entries[bucket]++;
    if (f->last[bucket] == key + 1)
        return;
    f->last[bucket] = (uint32_t)key + 1;
    f->columns[bucket]++;
    if (f->holders != NULL)
        f->holders[key]++;
}

static void place_entry(struct filling *f, uint64_t row, uint64_t key, float value)
{
    struct lr_matrix *m = f->m;
    uint64_t bucket = bucket_of(f, row, key), to = f->entries[bucket]++;
    if (f->last[bucket] != key + 1) {
        f->last[bucket] = (uint32_t)key + 1;
        m->columns[f->columns[bucket]++] = (struct lr_column){.first = to, .feature = (uint32_t)key};
    }
    m->rows[to] = (uint32_t)(row / m->ranks);
    if (m->values != NULL)
        m->values[to] = value;
}

static void count_all(struct filling *f)
{
    for (uint64_t key = 0; key < f->n_features; key++)
        for (uint64_t i = f->from->starts[key]; i < f->from->starts[key + 1]; i++)
            count_entry(f, f->from->rows[i], key);
    for (uint64_t row = 0; f->bias && row < f->m->n_rows; row++)
        count_entry(f, row, f->n_features);
}

static void place_all(struct filling *f)
{
    for (uint64_t key = 0; key < f->n_features; key++)
        for (uint64_t i = f->from->starts[key]; i < f->from->starts[key + 1]; i++)
            place_entry(f, f->from->rows[i], key, f->from->values != NULL ? f->from->values[i] : 1);
    for (uint64_t row = 0; f->bias && row < f->m->n_rows; row++)
        place_entry(f, row, f->n_features, 1);
}

/* Turns the buckets' counts into where each begins; returns the sum. */
static uint64_t run_up(uint64_t *counts, uint64_t n)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t count = counts[i];
        counts[i] = sum;
        sum += count;
    }
    return sum;
}

static int fill(struct filling *f)
{
    struct lr_matrix *m = f->m;
    uint64_t n = (uint64_t)m->ranks * m->blocks;
    f->last = calloc(n, sizeof *f->last);
    f->columns = calloc(n, sizeof *f->columns);
    f->entries = calloc(n, sizeof *f->entries);
    m->buckets = calloc(n + 1, sizeof *m->buckets);
    m->rows = malloc((f->n_entries + 1) * sizeof *m->rows);
    if (f->from->values != NULL)
        m->values = malloc((f->n_entries + 1) * sizeof *m->values);
    if (!f->last || !f->columns || !f->entries || !m->buckets || !m->rows || (f->from->values && !m->values))
        return PM_E_MEMORY;
    count_all(f);
    m->n_columns = run_up(f->columns, n);
    run_up(f->entries, n);
    m->columns = malloc((m->n_columns + 1) * sizeof *m->columns);
    if (m->columns == NULL)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < n; i++) {
        m->buckets[i] = f->columns[i];
        f->last[i] = 0;
    }
    m->buckets[n] = m->n_columns;
    m->columns[m->n_columns] = (struct lr_column){.first = f->n_entries};
    place_all(f);
    return PM_OK;
}

int lr_matrix_fill(struct lr_matrix *m, struct examples *list, const struct lr_state *s, uint32_t *holders)
{
    uint64_t n_features = s->n_keys - s->bias;
    struct by_feature sorted = {0};
    struct filling f = {.m = m,
                        .s = s,
                        .from = &sorted,
                        .bias = s->bias,
                        .n_features = n_features,
                        .n_entries = list->n_entries + (s->bias ? list->n_rows : 0),
                        .holders = holders};
    int rc = sort_by_feature(&sorted, list, n_features);
    m->n_rows = list->n_rows;
    m->labels = list->labels;
    list->labels = NULL;
    examples_free(list);
    if (rc == PM_OK)
        rc = fill(&f);
    free(sorted.starts);
    free(sorted.rows);
    free(sorted.values);
    free(f.last);
    free(f.columns);
    free(f.entries);
    return rc;
}

void lr_matrix_free(struct lr_matrix *m)
{
    free(m->columns);
    free(m->buckets);
    free(m->rows);
    free(m->values);
    free(m->labels);
    *m = (struct lr_matrix){0};
}
