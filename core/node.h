/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The node: one member's whole state, and the entry points for backends. Policies use core/policy.h, applications
 * core/pm.h; this header is for backends, for core itself and for tests.
 *
 * Who may touch what (real backend; elsewhere everything runs on one thread):
 *   node->config, traits, layout, policy state pointer    constant after pm_node_create
 *   slots and blocks                                      the slot's latch
 *   dirty and changed lists                               their own latch, taken under a slot latch
 *   logs of workers (core/log)                            an entry: the latch of its key's slot; the arrays: the log's latch,
 *                                                         taken under a slot latch
 *   waiting operations and deferred requests (core/queue)  queue.latch, taken under a slot latch
 *   what waits for arriving keys (core/arrival)           arrivals.latch, taken under a slot latch
 *   directory of owners, cached locations (slot.location)  the slot's latch
 *   list of cached locations (core/location)              its own latch, taken under a slot latch
 *   order of a worker's operations (core/order)           its latch; the worker adds, whoever handles an answer takes away
 *   tickets and requests of a worker (core/request)       its latch, taken under a slot latch; made and reclaimed
 *                                                         by the worker; counted down by whoever handles the
 *                                                         reply; handed over by atomics with acquire/release
 *   intents of a worker (core/intent.c)                    declared ones its latch; active ones by whoever acts on them,
 *                                                         one context at a time
 *   list of replicas                                       its own latch, taken under a slot latch; the visit of all of
 *                                                         them ship_latch
 *   clocks                                                atomics; the minimum under clocks.latch
 *   generations of questions (core/staleness)              atomics; begun under generations.latch
 *   collective (barrier, reduction, drain) state          collective.latch
 *   exchange state                                        exchange.latch (the receive step runs on one context at a time
 *                                                         per peer, but two peers' messages may be handled at once)
 *   keys that can be read here (core/local)               atomics; written under the slot's latch
 *   events of traced keys (core/events.c)                   their own latch, taken under a slot latch
 *   counters, charges, outbox, scratch of a context       that context's thread alone                                  */
#ifndef PM_CORE_NODE_H
#define PM_CORE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/backend.h"
#include "core/job.h"
#include "core/layout.h"
#include "core/message.h"
#include "core/policy.h"
#include "core/rng.h"
#include "core/slots.h"
#include "core/stats.h"
#include "core/types.h"

enum { PM_WAKES_MAX = 256, PM_NODES_MAX = 4096 };
/* Leaves room for the entry numbers that a request gets when it is forwarded in parts. */
enum { PM_MAX_MESSAGE_MOST = PM_MESSAGE_BYTES_MAX / 2 };

/* What a transition wants done. Filled by core, emptied by the backend's deliver. */
struct pm_outbox {
    struct pm_message *first, *last; /* in order of sending */
    uint32_t n_messages;
    uint32_t n_wakes;
    uint16_t wakes[PM_WAKES_MAX]; /* worker indices of this node, each at most once */
    uint8_t wake_listed[PM_WAKES_MAX];
    int64_t tick_at_ns; /* PM_TIME_NEVER: nothing asked */
};

struct pm_scratch; /* core/scratch.h: reusable arrays of a context */

/* Replicas that were read in this transition and are not recorded yet: by one worker, of one generation. */
struct pm_fresh {
    struct pm_worker *worker;
    uint32_t generation;
    uint64_t n;
};

struct pm_ctx {
    struct pm_node *node;
    struct pm_worker *worker; /* NULL: a communicator */
    struct pm_outbox outbox;
    struct pm_charge charges[PM_CHARGES]; /* since the last deliver; a backend that has no use for them leaves them */
    struct pm_counters counters;
    struct pm_histogram *histograms[PM_QUANTITIES]; /* made when first used */
    struct pm_scratch *scratch;
    uint64_t asked; /* number of the operation about which the policy is asked */
    bool uncharged; /* evaluation, or the handling of an uncharged message */
    int64_t transition_ns; /* when the transition first asked for the time; 0: it has not */
    struct pm_fresh fresh;
    void *backend;  /* for the backend's own use */
};

struct pm_intents;
struct pm_log;
struct pm_op;
struct pm_order;
struct pm_requests;
struct pm_samples;
struct pm_traced;

struct pm_worker {
    struct pm_ctx ctx;
    uint32_t index, rank;
    pm_clock clock, policy_clock; /* atomic */
    uint32_t clock_held;          /* atomic: waits in pm_advance_clock for a kick */
    uint32_t blocked;             /* atomic: is in, or about to enter, ops->block */
    uint32_t in_collective;       /* atomic: has entered a barrier, reduction or drain and was not released */
    struct pm_requests *requests; /* tickets and unanswered requests */
    struct pm_order *order;       /* keys that it has asked other nodes for */
    struct pm_log *log;           /* its updates of replicas; NULL without traits.worker_logs */
    struct pm_samples *samples;   /* prepared samples */
    struct pm_intents *intents;   /* declared and active ones */
    uint64_t collectives;         /* barriers, reductions and drains entered */
    int64_t compute_ns, wait_ns;
    struct pm_rng sample_rng, order_rng; /* draws of samples; order of samples that are used again */
    struct pm_error error; /* why main fails, where it says more than its code (pm_worker_fail) */
    void *backend; /* for the backend's own use */
};

struct pm_node_config {
    pm_node_id id;
    uint32_t nodes, workers;
    const struct pm_policy *policy;
    const struct pm_values *policy_options;
    const struct pm_model *model; /* outlives the node */
    const struct pm_workload *workload;
    const void *workload_state; /* opened by the backend, once per process */
    const uint64_t *census;     /* modelled bytes that each node has at the start (pm_opened.census), or NULL */
    const struct pm_traced *traced; /* pm_opened.traced, or NULL */
    uint64_t seed;
    bool with_values, dense;
    uint32_t max_message; /* bytes, at most PM_MAX_MESSAGE_MOST; 0 = default */
    uint64_t intents_max; /* keys for which a worker's intents may wait; 0 = PM_INTENTS_MAX */
    const struct pm_backend_ops *ops;
    void *ops_self;
    const struct pm_job *job;
};

struct pm_node;

/* Makes a node with its workers and one communicator context. Dense: owned keys and replicas get their values here.
 * PM_OK, PM_E_MEMORY, or the policy's refusal with its reason. */
int pm_node_create(const struct pm_node_config *config, struct pm_node **node, struct pm_error *err);
void pm_node_destroy(struct pm_node *node);

struct pm_ctx *pm_node_communicator(struct pm_node *node);
const struct pm_job *pm_node_job(const struct pm_node *node);

/* Handles one message (after pm_message_check), taking ownership of it. `ctx` is the communicator's or, inside
 * ops->block, the blocked worker's; messages of one sender must be handled one at a time and in order. PM_OK, or
 * PM_E_MESSAGE when a field is out of bounds: nothing was changed, and err names the field. The caller then delivers ctx. */
int pm_node_receive(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err);
/* Periodic work that is due at now_ns; returns when to call next (PM_TIME_NEVER: when asked). The caller then delivers. */
int64_t pm_node_tick(struct pm_ctx *ctx, int64_t now_ns);
/* Empties the outbox and charges through the backend. */
void pm_ctx_deliver(struct pm_ctx *ctx);

/* Modelled memory of the node now: slots, values, deltas, queues (bytes). */
uint64_t pm_node_memory_bytes(const struct pm_node *node);
/* Sum of the counters of all contexts. */
void pm_node_counters(const struct pm_node *node, struct pm_counters *sum);
/* Checks the node's accounts at the end of a run (accesses by kind add up to the keys asked for; nothing waits; no request is
 * open): PM_OK, or PM_E_INTERNAL with the line that does not add up. */
int pm_node_check_accounts(const struct pm_node *node, struct pm_error *err);
/* What waits here and for what: text for a watchdog's report. Returns the length written. */
size_t pm_node_describe_waits(const struct pm_node *node, char *text, size_t size);

/* Main copy held here of a key, or NULL; for tests and for checks of a whole cluster in one process. The pointer is valid
 * until the node runs again. */
const float *pm_node_owned_value(struct pm_node *node, pm_key key);

/* Why main returned this code: what pm_worker_fail was told, or the code's own text. */
const char *pm_worker_reason(const struct pm_worker *worker, int code);

/* The training loop of one worker (job->main for experiments): epochs of batches, drain, evaluation, reports. arg unused. */
int pm_train_worker(struct pm_worker *worker, void *arg);

/* Opens the workload for a job in this process: allocates its state, calls open, checks the model against the policy's traits
 * and the values mode. PM_OK, or an error with the reason. */
struct pm_opened {
    void *state;
    struct pm_model model;
    uint64_t *census; /* per node: modelled bytes of what it has at the start; NULL when the policy places keys */
    struct pm_frequent *frequent; /* what model.frequent points to */
    struct pm_traced *traced; /* NULL: none */
};
/* The policy's traits under these options, without a node. */
int pm_policy_traits(const struct pm_policy *policy, const struct pm_values *options, struct pm_traits *traits,
                     struct pm_error *err);
int pm_job_open(const struct pm_job *job, struct pm_opened *opened, struct pm_error *err);
void pm_job_close(const struct pm_job *job, struct pm_opened *opened);

#endif
