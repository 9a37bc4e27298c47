/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The training loop of one worker, in two files: train.c (epochs, batches) and report.c (what comes out). Not installed. */
#ifndef PM_CORE_TRAIN_H
#define PM_CORE_TRAIN_H

#include "core/internal.h"

/* A batch that was read ahead. */
struct pm_planned {
    struct pm_batch batch;
    int64_t sample; /* handle of its sampling access, -1 = none */
};

/* The buffers of a batch that is under way: from the beginning of its pull to the end of its push. */
struct pm_flight {
    float *values, *updates;
    size_t values_capacity, updates_capacity;
    pm_ticket pulled, pushed;
};

/* Where a worker's time went. */
struct pm_worker_times {
    uint64_t compute_ns, wait_ns, trained_ns;
};

struct pm_trainer {
    struct pm_worker *worker;
    struct pm_node *node;
    const struct pm_job *job;
    const struct pm_workload *workload;
    const void *state;
    void *ws;
    /* loader: a ring of batches [computed, planned) */
    struct pm_planned *ring;
    uint64_t ring_size, n_batches, planned, computed;
    /* batches whose pull has begun, [computed, pulled), and that of the one before, whose push may be under way */
    struct pm_flight *flights;
    uint64_t n_flights, pulled;
    /* buffers of one step */
    float *sample_values;
    pm_key *samples, *push_keys;
    uint8_t *negligible; /* marks of the step's updates, for policies that leave some out */
    size_t sample_values_capacity, samples_capacity, push_capacity, negligible_capacity;
    uint64_t steps_before, steps_all; /* batches done in earlier epochs; of all epochs, for progress */
    int64_t progress_at_ns;
    /* of the epoch */
    double loss;
    uint64_t steps;
    double flops;
    struct pm_pace pace;
    int64_t entered_ns, began_ns, drain_ns, ended_ns;
    int64_t trained_ns; /* training time of earlier epochs, as it was run */
    int64_t elapsed_ns; /* sum of earlier epochs as they were reported */
    struct pm_counters before;           /* of the node; worker 0's */
    struct pm_worker_times *times_before; /* of its workers; worker 0's */
    uint64_t *events_reported; /* per node, so far; the reporter's */
    struct pm_evaluation evaluation;
    int64_t eval_ns;
    bool out_of_time;
};

/* Room for what is kept from snapshot to report. PM_E_MEMORY. */
int pm_report_begin(struct pm_trainer *t);
/* Reports the epoch: called by all workers after the drain; ends with a barrier. */
int pm_report_epoch(struct pm_trainer *t, uint32_t epoch, bool evaluated);
/* Latencies and the digest of the final values: called by all workers at the end. */
int pm_report_end(struct pm_trainer *t);
void pm_report_progress(struct pm_trainer *t);
/* The node's counters as they are when all its workers are between barriers. */
void pm_report_snapshot(struct pm_trainer *t);

#endif
