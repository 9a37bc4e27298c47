/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A job: all that a backend needs to run one experiment, and the records that come out of it.
 *
 * The job is made by the caller, is constant while a backend runs it and outlives the run. Records are reported by worker 0
 * of node 0, on its own thread, in order; a backend that runs the job in other processes carries them to the calling
 * process (they are plain data without pointers) and calls job->report there.                                        */
#ifndef PM_CORE_JOB_H
#define PM_CORE_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "core/option.h"
#include "core/policy.h"
#include "core/stats.h"
#include "core/workload.h"

enum pm_evaluate { PM_EVALUATE_EVERY, PM_EVALUATE_N, PM_EVALUATE_END };

enum pm_record_kind {
    PM_RECORD_EPOCH = 1,
    PM_RECORD_NODE,    /* one node in one epoch */
    PM_RECORD_WORKER,  /* one worker in one epoch */
    PM_RECORD_QUALITY, /* one metric of one evaluation */
    PM_RECORD_LATENCY, /* one quantity over the whole run, all nodes */
    PM_RECORD_DIGEST,  /* final values */
    PM_RECORD_EVENTS,  /* of traced keys at one node, in their order */
    PM_RECORD_PROGRESS,
    PM_RECORD_BACKEND, /* what only the backend knows at the end */
};

/* What may become of a key at a node. The main copy or a value of its own came here or is here no more; or it is the first of
 * the node's workers, or the last, that intends to access the key. */
enum pm_event { PM_EVENT_OWNED, PM_EVENT_LEFT, PM_EVENT_REPLICA, PM_EVENT_DROPPED, PM_EVENT_INTENT, PM_EVENT_EXPIRED };
const char *pm_event_name(enum pm_event what);

struct pm_key_event {
    int64_t at_ns; /* the backend's time */
    pm_key key;
    uint64_t rank; /* among all keys by expected accesses, 1 = most; 0: not known */
    uint32_t what; /* enum pm_event */
};
enum {
    PM_EVENTS_MAX = 1 << 16,    /* of a node in an epoch; more are left out, and counted */
    PM_EVENTS_PER_RECORD = 120, /* about as long as a histogram */
};

struct pm_record {
    enum pm_record_kind kind;
    uint32_t epoch; /* 0, 1, ... */
    union {
        struct {
            int64_t epoch_ns, drain_ns, eval_ns, elapsed_ns; /* elapsed: sum of epoch_ns so far */
            double share; /* of all workers' batches that were run; less than 1: epoch_ns is extrapolated to the whole epoch */
            int64_t ci_low_ns, ci_high_ns; /* 95 % interval of an extrapolated epoch_ns; both 0: none */
            uint64_t steps;                                  /* over all workers */
            double flops;                                    /* of computing, over all workers: the work that was done */
            double loss;
            bool has_quality;
            char metric[32]; /* primary metric and its value, when evaluated */
            double quality;
        } epoch;
        struct {
            uint32_t node;
            struct pm_counters counters; /* of this epoch */
            uint64_t memory_bytes;       /* modelled, at the end of the epoch */
        } node;
        struct {
            uint32_t node, worker; /* worker: index within the node */
            int64_t compute_ns, wait_ns, overhead_ns; /* their sum: its time from its entry into the epoch to the drain's end */
        } worker;
        struct {
            int64_t at_ns; /* training time so far, really run */
            char metric[32];
            double value;
        } quality;
        struct {
            uint32_t quantity; /* enum pm_quantity */
            struct pm_histogram histogram;
        } latency;
        struct {
            uint32_t node, n;
            uint64_t first; /* how many of the node's events were reported before */
            struct pm_key_event events[PM_EVENTS_PER_RECORD];
        } events;
        struct {
            uint64_t values; /* hash of all values in key order */
        } digest;
        struct {
            uint64_t done, total; /* batches of worker 0, over all epochs */
            int64_t now_ns;       /* backend's time */
        } progress;
        struct {
            uint64_t peak_rss_bytes; /* of the processes that ran it; 0 if not known */
            double events;           /* simulator: events processed; real: 0 */
        } backend;
    } u;
};

/* Hash of values fed in key order; the caller of a run supplies it, so that core needs no hash library. */
struct pm_digest {
    void *(*start)(void);
    void (*feed)(void *digest, const float *values, uint64_t n);
    uint64_t (*finish)(void *digest); /* frees it */
};

/* Which keys' events are recorded. */
enum pm_traced_choice {
    PM_TRACED_NONE,
    PM_TRACED_LIST,
    PM_TRACED_TOP,    /* those that the workload expects to be accessed most */
    PM_TRACED_RANDOM, /* by the seed */
};
enum { PM_TRACED_MAX = 100000 };
struct pm_traced_rule {
    enum pm_traced_choice choice;
    uint64_t n;         /* how many, at most PM_TRACED_MAX; all where the model has fewer */
    const pm_key *keys; /* PM_TRACED_LIST, in any order */
};

struct pm_job {
    const struct pm_policy *policy;
    const struct pm_values *policy_options;
    const struct pm_workload *workload;
    const struct pm_values *workload_options;
    uint32_t nodes, workers; /* workers per node */
    uint32_t epochs;
    double epoch_fraction; /* (0, 1]: share of each epoch's batches that is run */
    int64_t time_budget_ns; /* of the backend's time; 0 = none: training stops at a batch's end when it is used up */
    uint64_t seed;
    bool with_values;
    enum pm_evaluate evaluate;
    uint32_t evaluate_n;  /* PM_EVALUATE_N: after every n-th epoch and the last */
    int64_t ahead;        /* batches by which intents and pulls may be early; -1 = the workload's default */
    struct pm_traced_rule traced;
    uint32_t max_message; /* bytes of one message before core splits it; 0 = default 1 MiB */
    const struct pm_digest *digest; /* NULL: no digest of values */

    /* What each worker runs: pm_train_worker, or a test's scenario. Returns PM_OK or an error, which fails the run. */
    int (*main)(struct pm_worker *worker, void *arg);
    void *main_arg;

    void (*report)(void *arg, const struct pm_record *record);
    void *report_arg;
    /* Polled by the calling process now and then; non-zero = the signal number that ends the run (PM_E_INTERRUPTED). May be
     * NULL. */
    int (*interrupted)(void);
};

#endif
