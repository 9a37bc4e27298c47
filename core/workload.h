/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The workload seam: a training task or an access pattern.
 *
 * A workload is one C file that defines one constant `struct pm_workload` (pm_workload_NAME in workloads/; outside the tree
 * `pm_workload_export` in a shared object). It produces for each worker a stream of batches that is a function of the options, the
 * seed, the cluster's shape and the worker's rank alone; says each batch's keys before it is computed; computes updates
 * from pulled values; knows what that costs; and evaluates the model.
 *
 * State: `state` is per process and read-only once open has returned (in simulation all workers of the cluster share it);
 * `ws` is one worker's, written by that worker alone. Both come zeroed from core. No function blocks, but evaluate.   */
#ifndef PM_CORE_WORKLOAD_H
#define PM_CORE_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/distribution.h"
#include "core/error.h"
#include "core/layout.h"
#include "core/option.h"
#include "core/types.h"

enum { PM_WORKLOAD_ABI = 3, PM_DISTRIBUTIONS_MAX = 8, PM_METRICS_MAX = 8 };

struct pm_frequent;
struct pm_worker;

/* The cluster that a workload divides its work over. Ranks: rank = node * workers + index. */
struct pm_task {
    uint32_t nodes, workers, epochs;
    uint64_t seed;
    bool with_values; /* false: --values none; updates are not computed */
    /* What the policy does with updates (traits of the same names). */
    bool aggregates; /* apply gets the sum of all workers' updates of one clock; else each worker's as it comes */
    /* aggregates: the newest clock whose sum every reader sees is its own - delay - 1; UINT32_MAX: there is none */
    uint32_t delay;
};

/* What core must know of the model. Filled by open; arrays belong to the workload's state. */
struct pm_model {
    struct pm_layout layout;                                       /* keys and lengths */
    struct pm_distribution *distributions[PM_DISTRIBUTIONS_MAX]; /* of sampling accesses */
    uint32_t n_distributions;
    bool sub_epochs; /* batches may carry barrier_before */
    /* Keys among which those accessed most are looked for: n_candidates from first_candidate on; 0: all keys. */
    pm_key first_candidate;
    uint64_t n_candidates;
    const struct pm_frequent *frequent; /* core's: those that it found, or NULL */
};

/* One batch, reused: the workload fills the arrays through pm_batch_* and sets the rest. */
struct pm_batch {
    pm_key *keys; /* direct accesses, pulled before compute */
    uint32_t n_keys, keys_capacity;
    uint32_t n_samples;    /* sampling access: so many draws ... */
    uint32_t distribution; /* ... from this one */
    pm_key *localize;      /* keys that this worker will use a lot soon (parameter blocking), from when this batch is due,
                              after its barrier; a hint */
    uint32_t n_localize, localize_capacity;
    bool barrier_before; /* all workers finish everything before this batch (sub-epochs) */
    void *item;          /* batch_bytes of the workload's own */
    pm_key *pushes;      /* keys beyond `keys` that compute pushes to without having pulled them; announced with them */
    uint32_t n_pushes, pushes_capacity;
};
/* Room for n keys in batch->keys (n_keys is set to n); NULL when out of memory. */
pm_key *pm_batch_keys(struct pm_batch *b, uint32_t n);
pm_key *pm_batch_localize(struct pm_batch *b, uint32_t n);
pm_key *pm_batch_pushes(struct pm_batch *b, uint32_t n);

/* One computation. Values lie one after another in the order of the keys. */
struct pm_step {
    const struct pm_batch *batch;
    const float *values;        /* of batch->keys; NULL with --values none */
    const pm_key *samples;      /* n_samples drawn keys */
    const float *sample_values; /* their values; NULL with --values none */
    pm_key *push_keys;          /* to fill: keys to push to; room for n_keys + n_samples + n_pushes */
    float *updates;             /* to fill: their updates; NULL with --values none */
    uint32_t n_push;
    uint8_t *negligible; /* NULL unless the policy leaves out updates that change nothing, and then zeroed: to set to 1 at
                            the places of such updates in push_keys */
    double loss; /* to set: this step's share of the epoch's loss */
};

/* What evaluate found; the first metric is the primary one. Metric names: rmse, mrr, auc, accuracy, spearman, log_loss,
 * sum_error, or others in further places. */
struct pm_evaluation {
    uint32_t n_metrics;
    struct {
        const char *name;
        double value;
    } metrics[PM_METRICS_MAX];
};

struct pm_workload {
    uint32_t abi;
    const char *name, *summary;
    const struct pm_option *options;
    const struct pm_preset *presets; /* what the choices of the option "preset" set; NULL: none */
    size_t state_bytes, worker_bytes, batch_bytes;
    uint32_t default_ahead; /* batches by which intents and pulls may be early, when the user says nothing */
    bool needs_values;      /* refuses --values none */
    bool pulls_ahead;       /* pulls are begun as early as intent is signalled, where the policy has them mean the clock at
                               which the batch is due (pm_pull_ahead); compute takes what such a pull may return */

    /* Mandatory. Reads data or prepares the generator, checks options, fills *model. May read files. PM_OK, or PM_E_OPTION /
     * PM_E_FILE / PM_E_MEMORY with the reason. Owns the state until close, which is called after success only. */
    int (*open)(void *state, const struct pm_values *options, const struct pm_task *task, struct pm_model *model,
                struct pm_error *err);
    void (*close)(void *state);
    /* Initial values of keys [first, first + n), one after another: a function of key and seed. NULL: zeros. */
    void (*initial)(const void *state, pm_key first, uint64_t n, float *values);
    /* Update at the owner for a range of keys, instead of adding: value and update have `length` floats. NULL: add. */
    void (*apply)(const void *state, pm_key key, uint32_t length, float *value, const float *update);

    /* Mandatory. Prepares the worker. PM_OK or PM_E_MEMORY. */
    int (*begin)(const void *state, void *ws, uint32_t rank);
    void (*end)(const void *state, void *ws);
    /* Mandatory. Starts the stream of an epoch (0, 1, ...); returns the number of batches of this worker. */
    uint64_t (*epoch_begin)(const void *state, void *ws, uint32_t epoch);
    /* Mandatory. The next batch of the epoch; called early by up to `ahead` batches, and the same for every policy. PM_OK
     * or PM_E_MEMORY. */
    int (*next)(const void *state, void *ws, struct pm_batch *batch);
    /* Mandatory. Computes one batch, in order. */
    void (*compute)(const void *state, void *ws, struct pm_step *step);
    /* Mandatory. Floating-point operations of compute for this batch. */
    double (*flops)(const void *state, const struct pm_batch *batch);
    /* The epoch is over at all workers; `loss` is summed over them in rank order. Learning-rate schedules live here. */
    void (*epoch_end)(const void *state, void *ws, uint32_t epoch, double loss);
    /* Evaluates the model: called by all workers together, after drain; reads main copies with pm_read_model and adds up
     * with pm_reduce. All workers return the same. NULL: no metric. PM_OK or an error of those calls. */
    int (*evaluate)(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out);
    /* How often each of keys [first, first + n) is expected to be accessed, in any unit that is the same for all keys; not
     * negative. Called once, for all candidates, where a policy wants to know. NULL: not known. */
    void (*frequency)(const void *state, pm_key first, uint64_t n, double *out);
};

#endif
