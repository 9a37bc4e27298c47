/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parameter manager's interface for applications and workloads.
 *
 * All functions are called by a worker, on that worker's own thread (or actor). Operations are asynchronous: they return a
 * ticket (>= 0; PM_DONE = everything was local and is complete) or a negative code (core/error.h). Keys are copied; `out`,
 * `updates` and `values` must stay valid until the ticket is complete. Values of several keys lie one after another in the
 * order of the keys, each of its own length. A key may occur more than once in an operation; its occurrences are served in order
 * under policies that promise more than PM_EVENTUAL for asynchronous operations. An operation with a key out of range is refused
 * (PM_E_KEY) before anything is changed. */
#ifndef PM_CORE_PM_H
#define PM_CORE_PM_H

#include <stddef.h>

#include "core/error.h"
#include "core/types.h"

struct pm_worker;

enum { PM_DONE = 0, PM_REDUCE_MAX = 64, PM_OP_KEYS_MAX = 1 << 22 };

pm_ticket pm_pull(struct pm_worker *w, const pm_key *keys, size_t n, float *out);
/* Begins the pull of a later clock, `ahead` clocks from now: what it returns is what a pull at that clock may return, and it
 * may be complete only then. To be waited for, at the latest, by whoever has reached that clock. PM_E_REFUSED where the
 * policy does not allow so many (traits.pull_ahead). */
pm_ticket pm_pull_ahead(struct pm_worker *w, uint32_t ahead, const pm_key *keys, size_t n, float *out);
/* Adds. */
pm_ticket pm_push(struct pm_worker *w, const pm_key *keys, size_t n, const float *updates);
/* Assigns; PM_E_REFUSED under a policy that replicates. */
pm_ticket pm_set(struct pm_worker *w, const pm_key *keys, size_t n, const float *values);
/* The same for keys [first, first + n). */
pm_ticket pm_pull_range(struct pm_worker *w, pm_key first, size_t n, float *out);
pm_ticket pm_push_range(struct pm_worker *w, pm_key first, size_t n, const float *updates);

/* Blocks until the operation is complete. PM_OK; PM_E_PEER, PM_E_INTERRUPTED, PM_E_PROGRESS when it never will be. A
 * ticket may be waited on more than once, by its own worker only. */
int pm_wait(struct pm_worker *w, pm_ticket ticket);
int pm_wait_all(struct pm_worker *w);

/* Declares that this worker will access the keys while its clock is in [start, end). A hint: never an error but PM_E_KEY. */
int pm_intent(struct pm_worker *w, const pm_key *keys, size_t n, pm_clock start, pm_clock end);
/* Asks that the keys move here, if the policy can. */
int pm_localize(struct pm_worker *w, const pm_key *keys, size_t n);
/* Raises this worker's clock by one; may block when the policy bounds staleness. */
int pm_advance_clock(struct pm_worker *w);
/* This worker has ended a sub-epoch, or an epoch that has none: what a policy may bound staleness in. May block. */
int pm_end_sub_epoch(struct pm_worker *w);

/* Announces a sampling access of n draws from a distribution of the model, for clocks [start, end). Returns a handle
 * (>= 0) or PM_E_ARGUMENT / PM_E_LIMIT / PM_E_MEMORY. */
int64_t pm_prepare_sample(struct pm_worker *w, uint32_t distribution, size_t n, pm_clock start, pm_clock end);
/* Puts n keys of a prepared sample into keys_out (in whole or in parts, n in all) and pulls them. Whether they are independent
 * draws depends on the policy (enum pm_sampling_scheme in core/policy.h). */
pm_ticket pm_pull_sample(struct pm_worker *w, int64_t handle, size_t n, pm_key *keys_out, float *out);

/* Collective: every worker of the cluster calls it. */
int pm_barrier(struct pm_worker *w);
/* Collective: replaces values[0..n) by their sums over all workers, added in rank order (n <= PM_REDUCE_MAX). */
int pm_reduce(struct pm_worker *w, double *values, size_t n);
/* Collective: waits for this worker's operations; when it returns, every update ever pushed by any worker has been applied
 * by the key's owner. */
int pm_drain(struct pm_worker *w);

/* Reads main copies wherever they are, whatever the policy; takes no simulated time and is in no count. For evaluation:
 * between pm_drain and the next push. Blocks. */
int pm_read_model(struct pm_worker *w, const pm_key *keys, size_t n, float *out);

/* Says why this worker is about to fail with this code, for whoever reads of it; returns the code. */
int pm_worker_fail(struct pm_worker *w, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

uint32_t pm_worker_rank(const struct pm_worker *w);
pm_clock pm_worker_clock(const struct pm_worker *w);

#endif
