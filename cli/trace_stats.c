/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/trace_stats.h"

#include <math.h>
#include <stdlib.h>

#include "cli/execute.h"
#include "workloads/keymap.h"

const double stats_hottest[STATS_SHARES] = {0.001, 0.01, 0.1, 0.5};

struct counting {
    const struct trace_file *file;
    struct trace_stats *stats;
    struct keymap map; /* keys by their first access */
    uint64_t *counts;  /* by number */
    uint32_t *nodes;   /* that access it */
    uint64_t *seen;    /* of the current pass: 1 + the last batch in which it was accessed */
};

/* ---- going through a trace ---- */

typedef void (*see_access)(void *arg, pm_key key, uint64_t batch);

/* The next batch of each of n workers that still has one. */
static int walk_turn(struct trace_cursor *cursors, uint32_t n, uint64_t turn, see_access see, void *arg, struct pm_error *err)
{
    if (cli_interrupted() != 0)
        return pm_error_set(err, PM_E_INTERRUPTED, "interrupted");
    for (uint32_t i = 0; i < n; i++) {
        int rc = trace_next(&cursors[i], err);
        const struct trace_batch *b = &cursors[i].batch;
        for (uint32_t k = 0; k < b->keys.n && rc == 1; k++)
            see(arg, b->keys.keys[k], turn);
        for (uint32_t k = 0; k < b->samples.n && rc == 1; k++)
            see(arg, b->samples.keys[k], turn);
        if (rc < 0)
            return rc;
    }
    return PM_OK;
}

/* All accesses of the workers [first, end), which take turns batch by batch; `batch` counts on through the epochs. */
static int walk(const struct trace_file *f, uint32_t first, uint32_t end, see_access see, void *arg, struct pm_error *err)
{
    uint32_t n = end - first;
    uint64_t before = 0;
    struct trace_cursor *cursors = calloc(n, sizeof *cursors);
    int rc = cursors != NULL ? PM_OK : pm_error_set(err, PM_E_MEMORY, "%s: out of memory", f->path);
    for (uint32_t epoch = 0; epoch < f->epochs && rc == PM_OK; epoch++) {
        for (uint32_t i = 0; i < n; i++)
            trace_seek(&cursors[i], f, first + i, epoch);
        for (uint64_t turn = 0; turn < f->by_epoch[epoch].most && rc == PM_OK; turn++)
            rc = walk_turn(cursors, n, before + turn, see, arg, err);
        before += f->by_epoch[epoch].most;
    }
    for (uint32_t i = 0; i < n && cursors != NULL; i++)
        trace_cursor_free(&cursors[i]);
    free(cursors);
    return rc;
}

/* ---- counts ---- */

static void count_access(void *arg, pm_key key, uint64_t batch)
{
    (void)batch;
    struct counting *c = arg;
    uint64_t number = keymap_add(&c->map, key);
    if (number != KEYMAP_NONE)
        c->counts[number]++;
}

static int descending(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return a > b ? -1 : a < b;
}

/* Derivative of the likelihood of the exponent, but for a positive factor: the mean of log(rank) under the law, minus
 * that of the counts. Falls with the exponent. */
static double zipf_excess(const double *logs, uint64_t n, double exponent, double mean)
{
    double sum = 0, weighted = 0;
    for (uint64_t i = 0; i < n; i++) {
        double p = exp(-exponent * logs[i]);
        sum += p;
        weighted += p * logs[i];
    }
    return weighted / sum - mean;
}

/* Fits by bisection; NaN with fewer than two keys or when out of memory. */
static double fit_zipf(const uint64_t *sorted, uint64_t n, uint64_t accesses)
{
    double *logs = malloc(n * sizeof *logs), mean = 0, low = 0, high = 20;
    if (logs == NULL || n < 2) {
        free(logs);
        return NAN;
    }
    for (uint64_t i = 0; i < n; i++) {
        logs[i] = log((double)(i + 1));
        mean += (double)sorted[i] * logs[i] / (double)accesses;
    }
    for (int step = 0; step < 40; step++) {
        double middle = (low + high) / 2;
        if (zipf_excess(logs, n, middle, mean) > 0)
            low = middle;
        else
            high = middle;
    }
    free(logs);
    return low;
}

/* Share of the accesses that go to the first keys of a sorted list: at least one. */
static double share_of(const uint64_t *sorted, uint64_t n, double keys, uint64_t accesses)
{
    uint64_t first = (uint64_t)(keys * (double)n), sum = 0;
    for (uint64_t i = 0; i < (first > 0 ? first : 1); i++)
        sum += sorted[i];
    return (double)sum / (double)accesses;
}

static int measure_skew(struct counting *c, struct pm_error *err)
{
    uint64_t n = c->map.n, *sorted = malloc(n * sizeof *sorted);
    if (sorted == NULL)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", c->file->path);
    for (uint64_t i = 0; i < n; i++)
        sorted[i] = c->counts[i];
    qsort(sorted, n, sizeof *sorted, descending);
    for (int i = 0; i < STATS_SHARES; i++)
        c->stats->hottest[i] = share_of(sorted, n, stats_hottest[i], c->file->accesses);
    c->stats->hottest_accesses = sorted[0];
    c->stats->zipf = fit_zipf(sorted, n, c->file->accesses);
    free(sorted);
    return PM_OK;
}

/* ---- windows, reuse, nodes ---- */

struct pass {
    struct counting *c;
    uint64_t batches;               /* of the trace */
    uint64_t keys[STATS_WINDOWS];   /* different ones, added up over windows */
    bool of_node;
    struct reuse reuse;
};

static uint64_t window_batches(int i)
{
    uint64_t n = 1;
    for (; i > 0; i--)
        n *= 10;
    return n;
}

/* Only whole windows count. */
static void count_in_windows(struct pass *p, uint64_t before, uint64_t batch)
{
    for (int i = 0; i < STATS_WINDOWS; i++) {
        uint64_t length = window_batches(i);
        if (batch / length < p->batches / length && (before == 0 || (before - 1) / length < batch / length))
            p->keys[i]++;
    }
}

static int bucket_of(uint64_t distance)
{
    return distance == 0 ? 0 : 64 - __builtin_clzll(distance);
}

static void pass_access(void *arg, pm_key key, uint64_t batch)
{
    struct pass *p = arg;
    struct counting *c = p->c;
    uint64_t number = keymap_add(&c->map, key), before = c->seen[number];
    count_in_windows(p, before, batch);
    c->seen[number] = batch + 1;
    if (!p->of_node)
        return;
    c->nodes[number] += before == 0;
    uint64_t distance = reuse_access(&p->reuse, number);
    if (distance == UINT64_MAX)
        c->stats->first++;
    else
        c->stats->distances[bucket_of(distance)]++;
}

static int run_pass(struct counting *c, struct pass *p, uint32_t first, uint32_t end, struct pm_error *err)
{
    for (uint64_t i = 0; i < c->map.n; i++)
        c->seen[i] = 0;
    for (int i = 0; i < STATS_WINDOWS; i++)
        p->keys[i] = 0;
    if (p->of_node && reuse_begin(&p->reuse, c->map.n) != PM_OK)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", c->file->path);
    int rc = walk(c->file, first, end, pass_access, p, err);
    reuse_free(&p->reuse);
    return rc;
}

static int measure_times(struct counting *c, struct pm_error *err)
{
    const struct trace_file *f = c->file;
    struct pass p = {.c = c, .of_node = true};
    struct trace_window *windows = c->stats->windows;
    int rc = PM_OK;
    for (uint32_t e = 0; e < f->epochs; e++)
        p.batches += f->by_epoch[e].most;
    for (uint32_t node = 0; node < f->nodes && rc == PM_OK; node++) {
        rc = run_pass(c, &p, node * f->workers, (node + 1) * f->workers, err);
        for (int i = 0; i < STATS_WINDOWS; i++)
            windows[i].node_keys += (double)p.keys[i] / f->nodes;
    }
    p.of_node = false;
    if (rc == PM_OK)
        rc = run_pass(c, &p, 0, f->nodes * f->workers, err);
    for (int i = 0; i < STATS_WINDOWS && rc == PM_OK; i++) {
        uint64_t n = p.batches / window_batches(i);
        if (n == 0)
            break;
        windows[i].batches = window_batches(i);
        windows[i].node_keys /= (double)n;
        windows[i].all_keys = (double)p.keys[i] / (double)n;
    }
    return rc;
}

static void measure_sharing(struct counting *c)
{
    for (uint64_t i = 0; i < c->map.n; i++) {
        c->stats->shared_keys[c->nodes[i] - 1]++;
        c->stats->shared_accesses[c->nodes[i] - 1] += c->counts[i];
    }
}

/* ---- the whole ---- */

/* Counts what is no access. */
static int count_others(const struct trace_file *f, struct trace_stats *s, struct pm_error *err)
{
    struct trace_cursor c = {0};
    int rc = PM_OK;
    for (uint64_t i = 0; i < f->n_blocks && rc == PM_OK; i = c.end) {
        trace_seek(&c, f, f->blocks[i].head.rank, f->blocks[i].head.epoch);
        while ((rc = trace_next(&c, err)) == 1) {
            s->direct += c.batch.keys.n;
            s->samples += c.batch.samples.n;
            s->pushes += c.batch.pushed.n;
            s->localizes += c.batch.localize.n;
        }
    }
    for (uint32_t e = 0; e < f->epochs; e++)
        s->barriers += f->by_epoch[e].n_barriers;
    trace_cursor_free(&c);
    return rc;
}

static int allocate(struct counting *c, struct pm_error *err)
{
    const struct trace_file *f = c->file;
    uint64_t most = f->accesses < f->layout.n_keys ? f->accesses : f->layout.n_keys;
    c->counts = calloc(most + 1, sizeof *c->counts);
    c->nodes = calloc(most + 1, sizeof *c->nodes);
    c->seen = calloc(most + 1, sizeof *c->seen);
    c->stats->shared_keys = calloc(f->nodes, sizeof *c->stats->shared_keys);
    c->stats->shared_accesses = calloc(f->nodes, sizeof *c->stats->shared_accesses);
    if (c->counts == NULL || c->nodes == NULL || c->seen == NULL || c->stats->shared_keys == NULL ||
        c->stats->shared_accesses == NULL)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", f->path);
    return PM_OK;
}

static int measure(struct counting *c, struct pm_error *err)
{
    const struct trace_file *f = c->file;
    int rc = allocate(c, err);
    if (rc == PM_OK)
        rc = count_others(f, c->stats, err);
    if (rc == PM_OK)
        rc = walk(f, 0, f->nodes * f->workers, count_access, c, err);
    uint64_t counted = 0;
    for (uint64_t i = 0; i < c->map.n && rc == PM_OK; i++)
        counted += c->counts[i];
    if (rc == PM_OK && counted != f->accesses)
        rc = pm_error_set(err, PM_E_MEMORY, "%s: out of memory", f->path);
    c->stats->keys = c->map.n;
    if (rc != PM_OK || c->map.n == 0)
        return rc;
    rc = measure_skew(c, err);
    if (rc == PM_OK)
        rc = measure_times(c, err);
    if (rc == PM_OK)
        measure_sharing(c);
    return rc;
}

int trace_stats(const struct trace_file *file, struct trace_stats *stats, struct pm_error *err)
{
    *stats = (struct trace_stats){.zipf = NAN};
    struct counting c = {.file = file, .stats = stats};
    int rc = measure(&c, err);
    keymap_free(&c.map);
    free(c.counts);
    free(c.nodes);
    free(c.seen);
    if (rc != PM_OK)
        trace_stats_free(stats);
    return rc;
}

void trace_stats_free(struct trace_stats *stats)
{
    free(stats->shared_keys);
    free(stats->shared_accesses);
    *stats = (struct trace_stats){0};
}
