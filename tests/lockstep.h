/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Drives workload lr as a bounded delay does, without a cluster: all workers do one iteration after the other; the sum of
 * their updates of iteration t is applied before iteration t + delay + 1 begins, and not earlier. One thread. */
#ifndef PM_TESTS_LOCKSTEP_H
#define PM_TESTS_LOCKSTEP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/workload.h"
#include "workloads/lr.h"

struct lockstep {
    struct pm_task task;
    struct lr_state *state;
    struct pm_model model;
    uint32_t ranks;
    void **workers;
    struct pm_batch *batches; /* of the present iteration, per rank */
    float *values;            /* main copies */
    uint64_t iteration;       /* over all epochs */
    float *sums;              /* [iteration % (delay + 1)][key][2] */
    uint8_t *touched;         /* the same, per key: a worker has pushed */
    bool filter;              /* leave out what is negligible */
    uint64_t pushed, left_out;
    double loss; /* of the last epoch */
};

/* Opens lr with "option=value,..."; delay and shape are the task's. Fails the test when it is refused. */
void lockstep_open(struct lockstep *l, const char *specification, uint32_t nodes, uint32_t workers, uint32_t delay);
void lockstep_epochs(struct lockstep *l, uint32_t first, uint32_t n);
/* Applies what is not yet applied. */
void lockstep_drain(struct lockstep *l);
void lockstep_close(struct lockstep *l);
/* Objective, gradient of the mean loss per key (may be NULL) and non-zero weights of the main copies, computed example by
 * example. */
double lockstep_objective(const struct lockstep *l, double *gradient, uint64_t *nonzeros);

#endif
