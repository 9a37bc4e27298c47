/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be said of the accesses of a trace: how skewed they are, how many keys are in use at a time, how soon keys come
 * back, which nodes share keys. Accesses are reads: direct ones and samples. */
#ifndef CLI_TRACE_STATS_H
#define CLI_TRACE_STATS_H

#include "workloads/trace_file.h"

enum {
    STATS_SHARES = 4,   /* of the hottest keys */
    STATS_WINDOWS = 8,  /* 1, 10, 100, ... batches of each worker */
    STATS_DISTANCES = 64 /* bucket 0: distance 0; bucket b: [2^(b-1), 2^b) */
};
extern const double stats_hottest[STATS_SHARES]; /* shares of the accessed keys, ascending */

struct trace_window {
    uint64_t batches; /* its length; 0: longer than the trace */
    double node_keys; /* different keys at a node in a window: mean over nodes and windows */
    double all_keys;  /* ... on the whole cluster */
};

struct trace_stats {
    uint64_t keys; /* accessed ones */
    uint64_t direct, samples, pushes, localizes, barriers;
    double hottest[STATS_SHARES]; /* their shares of the accesses */
    uint64_t hottest_accesses;    /* of the most accessed key */
    double zipf;                  /* exponent of the Zipf law of ranks 1 to `keys` that makes the counts most likely */
    struct trace_window windows[STATS_WINDOWS];
    uint64_t distances[STATS_DISTANCES]; /* accesses of a node by how many other keys it has accessed since it last had this one */
    uint64_t first;                      /* accesses without a time before */
    uint64_t *shared_keys, *shared_accesses; /* by how many nodes access a key, 1 to nodes: [0] is 1 */
};

/* PM_E_MEMORY, PM_E_INTERRUPTED, or PM_E_FILE when the file has changed since it was opened. Free after success. */
int trace_stats(const struct trace_file *file, struct trace_stats *stats, struct pm_error *err);
void trace_stats_free(struct trace_stats *stats);

/* Distances for a stream of numbers below a bound, exact, in room that grows with the different ones. */
struct reuse {
    uint64_t *last;      /* by key: position of its last access + 1, 0 = none */
    uint64_t *owner;     /* by position: key + 1 if this is its last access */
    uint64_t *tree;      /* sums of those marks, as a Fenwick tree */
    uint64_t keys, size, next, present;
};
int reuse_begin(struct reuse *r, uint64_t keys);
/* How many other keys were accessed since this one was; UINT64_MAX: it never was. */
uint64_t reuse_access(struct reuse *r, uint64_t key);
void reuse_free(struct reuse *r);

#endif
