/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The policy seam: the module that decides where keys live, which technique each access gets, and when.
 *
 * A policy is one C file that defines one constant `struct pm_policy`. Those in policies/ are named pm_policy_NAME and are
 * found by the Makefile; one outside the tree is a shared object that defines `pm_policy_export`, named by its path.
 *
 * Core owns the state machine: slots, requests, queues, replicas and their deltas, rounds, clocks. Hooks only decide; what
 * they want done they ask of core through the verbs at the end of this file. Every hook may be NULL unless it says
 * otherwise; the default then is that of a static allocation: keys stay with their owner, all else is remote access.
 *
 * Threads: a hook runs on the context that it is given (a worker's or the communicator's); in the real backend hooks of
 * one node run at the same time. A hook that gets a slot runs under that slot's latch: it may read and write the slot and
 * the slot's private bytes, and must not touch another slot. Node-wide private state that several contexts write must be
 * atomic or guarded by a pm_latch (core/slots.h). No hook blocks, and none may do input or output.                    */
#ifndef PM_CORE_POLICY_H
#define PM_CORE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/message.h"
#include "core/option.h"
#include "core/slots.h"
#include "core/stats.h"
#include "core/types.h"

enum { PM_POLICY_ABI = 3, PM_ITERATION_CLOCK_BITS = 40, PM_INTENTS_MAX = 1 << 26 };
#define PM_CLOCK_SUB_EPOCHS UINT32_MAX /* as traits.clock_every */

struct pm_ctx;
struct pm_node;
struct pm_worker;

/* What to do with one key of an operation. */
enum pm_verdict {
    PM_USE,  /* serve it from the slot, now */
    PM_ASK,  /* remote access: send it to where route says */
    PM_WAIT, /* queue it in order at this slot; looked at again when the slot is installed or the policy kicks */
};

/* How replicas that are there from the start are kept alike (pm_exchange). */
enum pm_exchange_kind {
    PM_EXCHANGE_NONE,
    PM_EXCHANGE_HUB,       /* deltas to the owners, their new values to all replicas */
    PM_EXCHANGE_ALLREDUCE, /* sums of all deltas, merged in a butterfly: every copy adds the same sum to the same state */
};

/* Consistency levels, weakest first; each includes those before it. Per key. */
enum pm_consistency { PM_NONE, PM_EVENTUAL, PM_PRAM, PM_CAUSAL, PM_SEQUENTIAL };

/* How the keys of a sample are chosen, and how well that conforms to the distribution that the workload asks for. */
enum pm_sampling_scheme {
    PM_SAMPLING_INDEPENDENT, /* drawn when pulled, wherever the keys are. Conform: independent draws of the distribution */
    PM_SAMPLING_PRELOCALIZE, /* drawn when announced; hint is told of the keys with the sample's clocks. Conform */
    PM_SAMPLING_REUSE,       /* drawn in groups, each used `reuse` times; hint is told of a group before its use. Bounded: every
                                sample has the distribution, and depends on others of its group alone */
    PM_SAMPLING_POSTPONE,    /* the same, but a sample that is not here when its turn comes goes to the end of the pass, once, and
                                the next one is taken, here or not; n at once are n after each other. Long-term: frequencies
                                are right over whole passes, not at each place of one */
    PM_SAMPLING_LOCAL,       /* drawn when pulled, again and again until the key is here; after `tries` draws the next one of the
                                support in key order, and round, that is. Not conform, unless all keys are here */
};
struct pm_sampling {
    enum pm_sampling_scheme scheme;
    uint32_t group, reuse; /* REUSE, POSTPONE: samples per group; how often each is used */
    uint64_t tries;        /* LOCAL: draws, at most; 0 counts as 1 */
};

/* Keys that every node has a replica of from the start, besides those of the hook `replicated`: of the workload's candidates
 * (struct pm_model) those that it expects to be accessed most. */
#define PM_FREQUENT_BY_FACTOR UINT64_MAX
struct pm_frequent_rule {
    bool on;
    bool asked;     /* refused where the workload does not say how often keys are accessed; else there are none then */
    uint64_t count; /* so many, or PM_FREQUENT_BY_FACTOR: ... */
    double factor;  /* ... those accessed more than `factor` times the mean over the candidates; */
    double scale;   /* or, not 1: `scale` times as many keys as those are */
};

/* Fixed once init has returned. */
struct pm_traits {
    bool group;          /* keys of one operation for one destination share a message (else one message per key) */
    bool shared_memory;  /* workers access keys that their node owns directly (else through the communicator) */
    bool replicates;     /* a key can be at several nodes: set is refused, owner-side update functions are refused */
    bool gate_owned;     /* ask usable() for owned keys too */
    bool gate_replicas;  /* ask usable() before a replica serves (else a ready one serves, an unready one is asked for) */
    bool gate_absent;    /* ask usable() about keys of which the node has nothing (else they are asked for) */
    bool track_changes;  /* core lists changed main copies, for exchange over hubs or pm_visit_changed */
    enum pm_exchange_kind exchange; /* with pm_exchange. A key of `replicated` is at all nodes then, and never moves; core measures
                                       the staleness of replicas */
    double clip;         /* with exchange: a delta whose norm is more than this multiple of the mean norm is scaled down to it
                            (core/clip.c); 0: never. Needs values. */
    bool pushes_values;  /* owners send values that nobody asked for (pm_push_value); stamps rise with a key's main copy, and
                            no replica is dropped */
    bool worker_logs;    /* pushes at replicas go to a log per worker, which pm_send_log ships (else to a delta per replica);
                            refreshes take none along, and no replica is dropped; not with replicas from the start */
    bool ranges;         /* key k of K has its home at node k * N / K (else at hash(k) mod N) */
    bool relocates;      /* keys can change their owner: core keeps the directory of owners at the homes */
    bool location_cache; /* with relocates: accesses go to the last owner that was heard of, not to the home */
    uint32_t location_cache_keys; /* with location_cache, without grants: how many locations a node keeps; at least 1 */
    bool versions;       /* with replicates: replicas carry the version of the main copy that they hold, owners answer a refresh
                            of one that is up to date by a count alone, and core lists the replicas (pm_visit_replicas) */
    bool grants;         /* with versions and relocates: the owner may answer a refresh with the ownership of the key (hook
                            `grant`); homes hear of it later. Keys are not localized then (pm_localize_keys) */
    bool min_clock;      /* nodes tell each other their minimum clock */
    /* How often workers advance their clocks per clock of the policy (0: 1), or PM_CLOCK_SUB_EPOCHS: a clock of the policy is
     * a sub-epoch, or an epoch that has none. Hooks `advance`, `clock` and `min_clock`, notices and minimum clocks are in
     * clocks of the policy. */
    uint32_t clock_every;
    bool aggregates;     /* owners apply, key by key, the sum of all workers' pushes of one clock */
    uint32_t delay;      /* with aggregates: a worker at clock c reads what all pushes of clocks < c - delay have made;
                            UINT32_MAX: nothing can be counted on */
    /* By how many clocks a worker may begin a pull early (pm_pull_ahead): need() names the clock that the pull is for, and
     * what may serve it goes by that name. Not more than what is certain to come when the worker stops at its present
     * clock. Needs clock_every 0 or 1. */
    uint32_t pull_ahead;
    const char *needs_values; /* why the policy cannot do with --values none, or NULL */
    bool skips_negligible; /* updates that the workload calls negligible are not pushed */
    uint32_t filter_bytes; /* by which filter_out may make a message longer, and a byte for each key */
    struct pm_sampling sampling;
    struct pm_frequent_rule frequent; /* with replicates */
    uint32_t max_nodes;  /* 0 = any; 1 = this policy always runs on one node */
    size_t key_bytes;    /* zeroed private bytes with every slot that has a value (pm_key_private) */
    /* With promise_async from PM_PRAM on, where keys move or operations wait at replicas, core holds an operation on a key back
     * while one of the same worker on that key is unanswered or waits. (Static allocation keeps their order by the
     * channels'.) With min_clock a worker's clock does not rise while a push of it is held back. */
    enum pm_consistency promise_sync, promise_async;
    enum pm_consistency promise_clocked; /* of synchronous operations, where only the order between different clocks counts:
                                            PM_PRAM, or nothing that promise_sync does not say */
};

/* What an owner answers to a read or a refresh. */
enum pm_serve {
    PM_SERVE_LATER, /* keep the request; asked again at the next kick */
    PM_SERVE_VALUE, /* answer with the value that it has now */
};

/* What an owner answers to a refresh, with traits.versions. */
enum pm_grant {
    PM_GRANT_NOTHING,   /* the asker's replica gets no value */
    PM_GRANT_REPLICA,   /* its value, if that is newer */
    PM_GRANT_OWNERSHIP, /* the key is the asker's from now on; needs traits.grants */
};

struct pm_policy {
    uint32_t abi;
    const char *name, *summary;
    const struct pm_option *options;
    const struct pm_preset *presets; /* what the choices of the option "preset" set; NULL: none */
    size_t node_bytes; /* zeroed private state per node, handed to every hook as `state` */

    /* Mandatory. Fills traits (zeroed before), reads options. PM_OK or an error with text. Called once per node, before
     * anything else; also with node = NULL and zeroed state, then fini, to learn the traits. May allocate. */
    int (*init)(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err);
    void (*fini)(struct pm_node *node, void *state);

    /* Placement at the start; pure functions of the key. Default owner: pm_home(node, key). */
    pm_node_id (*owner)(const struct pm_node *node, const void *state, pm_key key);
    /* Does `at` hold a replica of a key that it does not own, from the start? Default: no. */
    bool (*replicated)(const struct pm_node *node, const void *state, pm_key key, pm_node_id at);

    /* May this worker's operation use the slot? Asked as traits say, for pulls and pushes, under the slot's latch, on whichever
     * context looks at the operation; the worker's clock is the present one, pm_asked_number() what need() said when the
     * operation began. The slot of an absent key is created for the question (state PM_SLOT_ABSENT); core looks at the slot
     * again after the hook. A hook that answers PM_WAIT must have made sure that something comes: pm_refresh, or a kick
     * when a clock rises. Operations that wait are each asked about on their own: none waits behind another. */
    enum pm_verdict (*usable)(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key,
                              struct pm_slot *slot, enum pm_op_kind op);
    /* Number of an operation that a worker begins, which its requests carry to the owner (SSP: the least clock it accepts).
     * `ahead`: the operation is for so many clocks after the present one (at most traits.pull_ahead). Default 0. */
    uint64_t (*need)(struct pm_ctx *ctx, void *state, struct pm_worker *worker, uint32_t ahead);
    /* Next hop of an access to a key that is not here. `slot` may be NULL. Default: the owner at the start; with
     * traits.relocates the home, and the owner from there (at hop 0 a cached location, with traits.location_cache). This
     * node itself: at hop 0 the communicator asks again, later the request waits here for a kick. */
    pm_node_id (*route)(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, uint32_t hop);
    /* At the owner, under the latch: answer this read or refresh now (*stamp goes into the answer) or later. Default: now,
     * stamp 0. Asked after a delta that came along was merged; not asked for pushes or for reads of the model. */
    enum pm_serve (*serve)(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, pm_node_id from,
                  uint64_t need, uint64_t *stamp);
    /* The same for a refresh, with traits.versions, where `serve` is asked for reads only. Default: a replica. */
    enum pm_grant (*grant)(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, pm_node_id from);
    /* At the owner, under the latch: `from` asked for a refresh (on; before serve or grant; each time) or dropped its replica
     * (off; after its last delta was merged). With traits.grants an `off` may come late, after a further `on`. */
    void (*interest)(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, pm_node_id from, bool on);
    /* A value with this stamp was installed in a replica here (value, version and PM_SLOT_READY are set); queued operations
     * are looked at right after. */
    void (*installed)(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, uint64_t stamp);

    /* A number that node `from` announced; every value that it answered or pushed before is installed. Holds no latch.
     * Any number may come: it is not checked. */
    void (*announced)(struct pm_ctx *ctx, void *state, pm_node_id from, uint64_t number);

    /* The worker is about to raise its clock to c: the place to ship logs. What it sends is on its way before the
     * clock counts anywhere. With traits.min_clock also before the worker enters a collective (barrier, reduction,
     * drain), in which it counts as PM_CLOCK_INFINITE: that is c then. */
    void (*advance)(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c);
    /* The worker's clock is c now: PM_USE lets it go on, PM_WAIT holds it until a kick makes core ask again. */
    enum pm_verdict (*clock)(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c);
    /* The minimum clock over all workers, as known here, has risen to c, or an era has begun with it. Holds no
     * latch. Several contexts may be told at once, and of a rise later than of a further one. Needs
     * traits.min_clock. */
    void (*min_clock)(struct pm_ctx *ctx, void *state, pm_clock c);
    /* Intent (clocks [start, end)) or localize (start = end = PM_CLOCK_NOW) for keys, already checked. */
    void (*hint)(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n,
                 pm_clock start, pm_clock end);
    /* Draws the keys of a sample at pull time. Default: as traits.sampling says. Fills keys[0..n). */
    void (*sample)(struct pm_ctx *ctx, void *state, struct pm_worker *worker, uint32_t distribution, pm_key *keys,
                   size_t n);
    /* Sampling access of n draws announced for clocks [start, end). */
    void (*prepare_sample)(struct pm_ctx *ctx, void *state, struct pm_worker *worker, uint32_t distribution, size_t n,
                           pm_clock start, pm_clock end);

    /* Periodic work on the communicator; returns the time of the next call (PM_TIME_NEVER: none until pm_tick_at, or, with
     * traits.versions, until all refreshes are answered). First called when the cluster has started. Not called while the
     * model is evaluated. In a drain (pm_draining) it must end by itself to send what is not needed. */
    int64_t (*round)(struct pm_ctx *ctx, void *state, int64_t now_ns);
    /* A private message (wire.sub, wire.number, blob); core frees it. PM_OK or PM_E_MESSAGE. */
    int (*message)(struct pm_ctx *ctx, void *state, struct pm_message *m);
    /* All workers of this node are waiting in a drain: send every update that is still collected here. Called again for
     * each wave until, cluster-wide, updates pushed = updates applied and messages sent = received, twice. */
    void (*drain)(struct pm_ctx *ctx, void *state);

    /* At the owner, under the latch: a push or set with this number (see need) has come, from a worker here or elsewhere.
     * True: the policy keeps this push, and calls pm_apply for it later; false: core carries it out. Default: false. */
    bool (*merge)(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, uint64_t number, enum pm_op_kind op,
                  const float *update);
    /* An ACCESS or REPLY for another node is about to enter the outbox, not under a slot's latch; not those of the
     * evaluation. Takes the message over and returns it or one instead of it, with the same header but for n_keys,
     * n_floats and lengths; one that is no longer in the layout of its kind has PM_FLAG_FILTERED and means by wire.sub
     * what the policy wants. NULL: nothing is sent, and pm_unsent was told of every entry. Messages of one context to one
     * node arrive in the order in which this hook saw them. */
    struct pm_message *(*filter_out)(struct pm_ctx *ctx, void *state, pm_node_id to, struct pm_message *m);
    /* A message with PM_FLAG_FILTERED has come. Replaces *m (freeing it) by one in the layout of its kind, or by NULL: then
     * it is as if it had never been sent. PM_OK, or PM_E_MESSAGE with *m as it was. Messages of one node come one at a
     * time, in order. */
    int (*filter_in)(struct pm_ctx *ctx, void *state, struct pm_message **m, struct pm_error *err);
};

/* ---- Verbs that core offers to hooks, on the hook's own context. Those "under the latch" are for hooks that get a slot, or
 * between pm_slot_open and pm_slot_close; those "outside any latch" are for the others. What they send is grouped per
 * destination and leaves when the transition ends. ---- */

/* Called with one key and its latched slot. */
typedef void (*pm_visit_fn)(struct pm_ctx *ctx, void *arg, pm_key key, struct pm_slot *slot);

/* Home of a key: hash(key) mod N, or by ranges of keys (traits.ranges). */
pm_node_id pm_home(const struct pm_node *node, pm_key key);
/* Is the key replicated everywhere because of traits.frequent? How many are? Constant. */
bool pm_is_frequent(const struct pm_node *node, pm_key key);
uint64_t pm_frequent_count(const struct pm_node *node);
pm_node_id pm_node_self(const struct pm_node *node);
uint32_t pm_node_count(const struct pm_node *node);
uint32_t pm_node_workers(const struct pm_node *node);
struct pm_worker *pm_node_worker(struct pm_node *node, uint32_t index);
struct pm_node *pm_ctx_node(struct pm_ctx *ctx);
uint32_t pm_worker_index(const struct pm_worker *worker); /* within its node */
pm_clock pm_worker_clock(const struct pm_worker *worker);
/* How many clocks of the policy (traits.clock_every) the worker has ended. */
pm_clock pm_policy_clock(const struct pm_worker *worker);
/* Are all workers of this node in a drain? It cannot end while messages come and go. */
bool pm_draining(const struct pm_node *node);
/* Minimum clock over all workers of the cluster, as known here; workers in a collective count as infinite
 * (PM_CLOCK_INFINITE when all are). May be called under a latch. Needs traits.min_clock. */
pm_clock pm_min_clock(const struct pm_node *node);
/* The era in which that holds: how many collectives all workers have left, as known here. The minimum rises within
 * an era and falls when the next begins, because those who waited count again: what was true of it says nothing
 * about a later era. To know both, read the era first. */
uint32_t pm_clock_era(const struct pm_node *node);
/* What "every update made before this clock", said when the minimum was `clock` in `era`, is worth for good: nobody goes on
 * in a later era with less than the least clock of those who entered the collective between. 0 when that is forgotten. */
pm_clock pm_clock_worth(const struct pm_node *node, uint32_t era, pm_clock clock);
/* An iteration is what a worker does at one clock between two collectives. Its name is a number that rises: eras before
 * clocks (PM_ITERATION_CLOCK_BITS). A collective ends the iteration that it cuts. */
uint64_t pm_worker_iteration(const struct pm_worker *worker);
/* In usable: the number (see need) of the operation that is asked about. */
uint64_t pm_asked_number(const struct pm_ctx *ctx);
/* Every push and set of every iteration before this one, by any worker of the cluster, that goes to keys owned here has been
 * handled here, as far as sent directly (static allocation). Never falls. May be called under a latch. When it rises,
 * min_clock is called. Needs traits.min_clock. */
uint64_t pm_iterations_done(const struct pm_node *node);
int64_t pm_now_ns(struct pm_ctx *ctx);
/* The same, asked for once per operation, message or tick: for what is done per key. */
int64_t pm_transition_ns(struct pm_ctx *ctx);
/* Floats of a key's value that are in memory and in messages: none with --values none. */
uint32_t pm_key_floats(const struct pm_node *node, pm_key key);
/* Floats that a key's value is counted as. */
uint32_t pm_key_length(const struct pm_node *node, pm_key key);
uint64_t pm_key_count(const struct pm_node *node);
bool pm_has_values(const struct pm_node *node);
/* For private state: a latch that is free for a short time. Under a slot's latch allowed; then no other slot's in it. */
void pm_latch_take(const struct pm_node *node, struct pm_latch *latch);
void pm_latch_give(const struct pm_node *node, struct pm_latch *latch);

/* Under the slot's latch: asks the owner for a fresh value of this key (a replica is made if there is none), once however
 * often it is called until the answer is installed. The update collected here goes along, but nothing of workers' logs. `need`
 * reaches serve(). */
void pm_refresh(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, uint64_t need);
/* Under the slot's latch: makes an unready replica of an absent key, which collects updates and serves no reads. */
void pm_replicate(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot);
/* Under the slot's latch: sends the collected update to the owner and forgets the replica; not while a refresh is
 * unanswered (PM_SLOT_REFRESHING). Operations that wait for a kick wait on, for an absent key then. */
void pm_drop(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot);
/* Outside any latch: sends every update collected in this node's replicas (with traits.worker_logs: in all its workers' logs) to
 * the owners, one message per destination; with traits.versions but for those at replicas whose refresh is unanswered. */
void pm_send_deltas(struct pm_ctx *ctx);
/* Outside any latch: sends what is in this worker's log to the owners. Updates of other workers on the same keys stay in their
 * logs, so that who has read them may be heard of first. Needs traits.worker_logs. */
void pm_send_log(struct pm_ctx *ctx, struct pm_worker *worker);
/* Needs traits.versions. Outside any latch: visits the replicas of this node in the order in which they were made, each under its
 * latch; the visitor may refresh it, send its delta, or drop it. None of them is PM_SLOT_REFRESHING when all refreshes are
 * answered. One context at a time; a second one waits. */
void pm_visit_replicas(struct pm_ctx *ctx, pm_visit_fn visit, void *arg);
/* Needs traits.versions. How many refreshes this node has asked for that are not answered. May be called under a latch. */
uint64_t pm_refreshes_open(const struct pm_node *node);
/* Under the latch of a replica: sends the collected update, if there is any, to the owner; not while a refresh is unanswered.
 * Needs traits.versions. */
void pm_send_delta(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot);
/* Needs traits.versions. Outside any latch: every other node gets a ROUND message in this transition, be it empty. */
void pm_round_to_all(struct pm_ctx *ctx);

/* Intents, for hooks that want to act on them later; see core/intent.c. All outside any latch. */
/* In `hint`: keeps an intent of this worker until it is taken or activated. When more than PM_INTENTS_MAX keys of
 * the worker would wait the intent is dropped and its keys are counted: it is a hint. */
void pm_intent_keep(struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start, pm_clock end);
/* Takes what this worker declared with start <= until, by rising start; `take` gets the keys of one intent, or of a part of it. */
typedef void (*pm_intent_fn)(struct pm_ctx *ctx, void *arg, const pm_key *keys, size_t n, pm_clock start, pm_clock end);
void pm_intents_take(struct pm_ctx *ctx, struct pm_worker *worker, pm_clock until, pm_intent_fn take, void *arg);
/* On one context at a time: makes those active that this worker, whose clock is `now`, declared with start <= until and
 * now < end, and ends those active ones whose end has come. slot->intents is the number of workers of this node that have an
 * active intent for the key. `began` is called, under the slot's latch, when the first of them has begun. */
void pm_intents_activate(struct pm_ctx *ctx, struct pm_worker *worker, pm_clock now, pm_clock until, pm_visit_fn began,
                         void *arg);
/* Outside any latch: has the main copies of these keys move here; those that are here or arriving already stay as they
 * are. Accesses wait in order while a key arrives. Needs traits.relocates; not for keys with a replica here. */
void pm_localize_keys(struct pm_ctx *ctx, const pm_key *keys, size_t n);
/* For hooks that get no slot: the slot of a key, latched (made absent if there is none), until closed. One at a time; verbs
 * that say "outside any latch" not in between. */
struct pm_slot *pm_slot_open(struct pm_ctx *ctx, pm_key key);
void pm_slot_close(struct pm_ctx *ctx, struct pm_slot *slot);
/* Under the latch of a slot that has a value: the policy's own traits.key_bytes for it. */
void *pm_key_private(struct pm_ctx *ctx, const struct pm_slot *slot);
/* Outside any latch: looks again at everything that waits: queued operations, deferred requests, workers held back by the
 * clock hook, in the order in which they came. */
void pm_kick(struct pm_ctx *ctx);
/* Asks for the communicator's round hook at this time or earlier. */
void pm_tick_at(struct pm_ctx *ctx, int64_t at_ns);
/* Outside any latch: takes part in the next collective exchange of the kind that traits.exchange names if there is anything to
 * exchange here; does nothing while one is under way. Core joins an exchange that another node has begun by itself. */
void pm_exchange(struct pm_ctx *ctx);
/* Outside any latch: visits the main copies that have changed since the last visit and that other nodes have ever asked to
 * refresh, each under its latch. Needs traits.track_changes and pushes_values. */
void pm_visit_changed(struct pm_ctx *ctx, pm_visit_fn visit, void *arg);
/* In pm_visit_changed: sends the value to a node (not to self) as if it had asked for it, with a stamp. A value with a lower
 * stamp than that of the replica there is ignored. Only to nodes that have asked for a refresh of this key once. */
void pm_push_value(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_node_id to, uint64_t stamp);
/* Outside any latch: tells a node (not self) a number, behind all values answered or pushed to it so far by any context.
 * Needs traits.pushes_values. */
void pm_announce(struct pm_ctx *ctx, pm_node_id to, uint64_t number);
/* Sends a private message of `bytes` to a node (not to self). */
void pm_send_private(struct pm_ctx *ctx, pm_node_id to, uint16_t sub, uint64_t number, const void *blob, uint32_t bytes);
/* Under the latch of an owned slot: carries out what merge kept: `pushes` pushes whose sum is `update`, through the
 * workload's update function if it has one. */
void pm_apply(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, const float *update, uint64_t pushes);
/* In filter_out: n entries of this push of this node's worker are left out of it. They need no answer, and are not counted
 * as pushed. */
void pm_unsent(struct pm_ctx *ctx, const struct pm_message *m, uint32_t n);
/* Accounts for a filter's work on a message of this kind (ACCESS or REPLY): its bytes before and after. */
void pm_filtered(struct pm_ctx *ctx, enum pm_filter filter, uint8_t kind, uint64_t before, uint64_t after);
/* Modelled memory that the policy took (or gave back) besides slots and values. */
void pm_memory_taken(struct pm_node *node, int64_t bytes);
/* Staleness of reads: a generation is a question for fresh values, asked of whomever. pm_fresh_begin begins one: it notes the time
 * and the clocks of this node's workers; generations are numbered from 1, 0 is the start of the run. pm_fresh_read: this worker
 * reads a replica whose value was asked for in this generation; its age is recorded in time and in the worker's own clocks.
 * Both from any context, with traits.replicates; a generation that is too old to be remembered counts as the oldest that is. */
uint32_t pm_fresh_begin(struct pm_ctx *ctx);
void pm_fresh_read(struct pm_ctx *ctx, struct pm_worker *worker, uint32_t generation);
/* A recorded duration or age. */
void pm_record(struct pm_ctx *ctx, uint32_t quantity, int64_t value);

#endif
