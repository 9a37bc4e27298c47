/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives a workload without a cluster: the model is one array, and the workers take turns. In each turn every
 * worker pulls the values of its next batch and computes; then all push. A batch that asks for a barrier
 * waits for all others. One thread. */
#ifndef PM_TESTS_WORKLOAD_STORE_H
#define PM_TESTS_WORKLOAD_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/workload.h"

struct store_worker;

struct store {
    const struct pm_workload *workload;
    struct pm_values options;
    struct pm_task task;
    uint32_t ranks;
    void *state;
    struct pm_model model;
    float *values; /* of all keys, in order; NULL with task.with_values = false */
    struct store_worker *workers;
    uint64_t barriers; /* of the last epoch, passed by every worker */
    double loss;       /* of the last epoch */

    /* Called for each batch just before it is computed; may be NULL. */
    void (*visit)(void *arg, uint32_t rank, const struct pm_batch *batch);
    void *visit_arg;
};

/* Opens the workload "NAME:option=value,..." (NAME is not looked at). PM_OK, or the workload's refusal. */
int store_open(struct store *s, const struct pm_workload *workload, const char *specification,
               const struct pm_task *task, struct pm_error *err);
/* One epoch, with batches taken from the workload up to `ahead` before they are computed. Fails the test when
 * workers disagree about the number of barriers. */
void store_epoch(struct store *s, uint32_t epoch, uint32_t ahead);
void store_close(struct store *s);
/* Worker's state of the workload. */
void *store_worker_state(struct store *s, uint32_t rank);

/* A file for this test program in TMPDIR with these contents; returns its path (static, one at a time per
 * slot 0..3). */
const char *store_file(int slot, const char *name, const char *text, size_t length);

#endif
