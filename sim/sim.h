/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated backend's own header: a cluster inside SimGrid, in a forked child.
 *
 * Agents. Every worker is an actor. There is no actor per communicator: couriers, a pool of actors that grows
 * on demand, carry one message each (a SimGrid transfer), append it to the destination's inbox, and then, if
 * nobody serves that inbox, play the node's communicator until the inbox is empty. One more actor, the
 * agenda, sleeps until the next date of which somebody must be told (a tick, or an arrival on the `queue`
 * network).
 *
 * Who may touch what: SimGrid runs one actor at a time and changes actors only inside its own calls (sleep,
 * execute, transfer, acquire, release, create), so plain data needs no protection but is only consistent
 * between such calls. Whoever has set node->serving is the communicator: it alone uses the communicator's
 * context, across its sleeps too. Nothing here depends on addresses, on the wall clock or on the machine's
 * load.                                                  */
#ifndef PM_SIM_SIM_H
#define PM_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <simgrid/actor.h>
#include <simgrid/host.h>
#include <simgrid/semaphore.h>

#include "core/backend.h"
#include "core/job.h"
#include "core/node.h"
#include "core/rng.h"

/* The shared object exports pm_backend_sim and nothing else. */
#pragma GCC visibility push(hidden)

enum {
    SIM_COURIERS_MAX = 100000, /* messages under way at once on the flow network */
    SIM_QUIET_TICKS = 100000,  /* the watchdog wants to have seen more ticks than these ... */
    SIM_DETAIL_SIZE = 400,
};
#define SIM_QUIET_NS                                                                                         \
    INT64_C(60000000000) /* ... and this much simulated time in which no worker could go on */

/* ---- cost model (cost.c) ---- */
struct sim_cost {
    struct {
        double event_ns, key_ns, byte_ns;
    } of[PM_CHARGES];
};
/* The built-in constants; see cost.c. */
void sim_cost_default(struct sim_cost *cost);
/* Reads a file of lines `kind events_ns keys_ns bytes_ns`. PM_OK or PM_E_FILE with file and line. */
int sim_cost_read(const char *path, struct sim_cost *cost, struct pm_error *err);
/* The same from a file that is open and stays so; its path is for messages. */
int sim_cost_read_from(FILE *file, const char *path, struct sim_cost *cost, struct pm_error *err);
/* What the charges cost, in nanoseconds; sets them to zero. */
double sim_cost_take(const struct sim_cost *cost, struct pm_charge charges[PM_CHARGES]);

/* ---- settings (backend.c) ---- */
enum sim_network { SIM_FLOW, SIM_QUEUE };

struct sim_settings {
    const char *platform; /* name of a topology, or path of a file */
    bool from_file;
    double bandwidth_bytes_per_s, speed_flops_per_s;
    int64_t latency_ns;
    uint32_t cores;
    uint64_t memory_bytes;
    enum sim_network network;
    struct sim_cost cost;
    double charge_cap_ns;
    double speeds[PM_NODES_MAX]; /* of the first n_speeds nodes, flop/s; the others have the platform's */
    uint32_t n_speeds;
    double slow_share, slow_factor; /* of steps; mean factor by which such a step takes longer */
    const char *sim_cfg; /* items joined by blanks; NULL: none */
};

/* ---- speed (speed.c) ---- */
/* Reads a list of speeds, separated by commas, of the first nodes. PM_OK, PM_E_OPTION, PM_E_LIMIT. */
int sim_speeds_read(const char *text, uint32_t nodes, struct sim_settings *settings, struct pm_error *err);

/* ---- platform (platform.c) ---- */
/* What can be said of platform and settings before SimGrid sees them. PM_OK, PM_E_FILE, PM_E_OPTION. */
int sim_platform_check(const struct sim_settings *settings, struct pm_error *err);
/* star, fattree, torus, dragonfly; anything else is a file. */
bool sim_platform_is_topology(const char *name);

/* ---- the way between parent and child (child.c, frame.c, death.c) ---- */
enum sim_phase { SIM_PHASE_SETUP, SIM_PHASE_CONFIG, SIM_PHASE_PLATFORM, SIM_PHASE_ROUTE, SIM_PHASE_RUN };

/* A page that both processes see: what the child is doing, for the case that it dies of it. */
struct sim_box {
    enum sim_phase phase;
    char detail[SIM_DETAIL_SIZE]; /* SIM_PHASE_ROUTE: between whom */
};

/* Child: writes one record, or the end of the run, to the pipe; the process ends when nobody reads. */
void sim_frame_record(int fd, const struct pm_record *record);
void sim_frame_end(int fd, int code, const char *text);

/* Parent: collects bytes and takes frames apart. */
struct sim_frames {
    size_t n;
    bool ended, malformed;
    int code; /* once ended */
    char text[PM_ERROR_TEXT_SIZE];
    char buffer[2 * sizeof(struct pm_record) + 64];
};
/* Reads once from fd and reports the whole frames. False at the end of the stream. */
bool sim_frames_read(struct sim_frames *frames, int fd, const struct pm_job *job);

/* The last of what the child said on its standard error. */
struct sim_last_words {
    size_t n;
    char text[16384];
};
bool sim_last_words_read(struct sim_last_words *words, int fd);
/* The sentence that matters, without SimGrid's prefixes; "" if there is none. When the child did not die, the
 * first line that neither SimGrid nor a sanitizer wrote. */
void sim_last_words_sentence(const struct sim_last_words *words, bool died, char *sentence, size_t size);
/* Turns the death of a child that did not say how it ended (waitpid's status) into a code and one line. */
int sim_death_explain(const struct sim_settings *settings, const struct sim_box *box, int status,
                      const struct sim_last_words *words, struct pm_error *err);

/* Runs the job in a forked child. */
int sim_child_run(const struct pm_job *job, const struct sim_settings *settings, struct pm_error *err);

/* ---- the simulation, in the child ---- */
struct sim;
struct sim_node;

/* A context's part here: ctx->backend points to one. */
struct sim_agent {
    struct sim_node *node;
    double pending_ns; /* charged and not slept yet */
    bool background;   /* what it sends now was caused by a tick */
};

/* From one node to another. A message under way is linked by `next` in order of sending; its sent_bytes are 0
 * until it has arrived, and its `spare` is 1 when a tick has caused it. */
struct sim_pair {
    struct pm_message *first, *last; /* flow network: under way, or arrived before an earlier one */
    double latency_ns, byte_ns;      /* queue network: of the route; byte_ns is 0 until looked up */
};

struct sim_node {
    struct sim *sim;
    uint32_t id;
    sg_host_t host;
    double speed_flops_per_s;  /* of a worker's computation */
    double host_flops_per_s;   /* as SimGrid knows it */
    bool shares_cores; /* computation is a SimGrid execution, not a sleep */
    struct pm_node *node;
    struct pm_ctx *communicator;
    struct sim_agent agent; /* the communicator's */
    struct pm_message *inbox_first, *inbox_last;
    struct sim_courier *server;
    struct pm_message *carry; /* for whoever is serving, when it has ended */
    bool serving, server_called, tick_due;
    int64_t tick_at_ns;
    uint64_t inbox_bytes; /* modelled */
    struct sim_pair *pairs;         /* by destination; NULL until the node sends */
    double out_free_ns, in_free_ns; /* queue network: when its links have served all so far */
};

struct sim_worker {
    struct sim_agent agent; /* first: ctx->backend of a worker points here, too */
    struct pm_worker *worker;
    sg_sem_t wake;
    bool waiting, token;
    pm_clock clock_seen;
    struct pm_rng slowdown; /* which steps are slow, and how slow */
    int64_t started_ns, ended_ns;
    int64_t overhead_ns;   /* parameter management on this worker's processor */
    int64_t evaluation_ns; /* waits that core does not count */
    int64_t misplaced_compute_ns,
        misplaced_wait_ns; /* overhead that core has counted as the other; see settle() */
};

struct sim_courier {
    struct sim_courier *next; /* idle */
    struct sim *sim;
    struct sim_node *from, *to; /* to == NULL: no job; from == NULL: serve only */
    struct pm_message *message;
    sg_sem_t wake;
    bool waiting;
    bool resting; /* still serving, but idle already: see sim_rest_early */
};

enum sim_date_kind { SIM_DATE_TICK, SIM_DATE_HEAD, SIM_DATE_ARRIVAL };
struct sim_date {
    double at_ns;
    uint64_t order;
    enum sim_date_kind kind;
    struct sim_node *node;
    struct pm_message *message;
};
struct sim_agenda {
    struct sim_date *heap;
    size_t n, capacity;
    uint64_t order;
    sg_sem_t wake;
    bool waiting;
};

struct sim {
    const struct sim_settings *settings;
    struct pm_job job; /* a copy that reports into the pipe */
    int fd;
    struct sim_box *box;
    struct pm_opened opened;
    uint32_t n_nodes;
    struct sim_node *nodes;
    struct sim_worker *workers; /* by rank */
    struct sim_agenda agenda;
    struct sim_courier *idle;
    uint32_t n_couriers;
    uint32_t n_serving;     /* communicators at work, which may be about to send */
    uint32_t live, blocked; /* workers that have not ended; of these, those that wait */
    uint64_t under_way;     /* messages sent and not handled */
    uint64_t foreground;    /* of these, those that no tick has caused */
    int64_t quiet_since_ns; /* since when no worker can go on and no foreground message is under way */
    uint64_t quiet_ticks;
    bool stopping;
    double events;
};

/* The child's whole life after the fork; does not return. */
_Noreturn void sim_simulate(const struct pm_job *job, const struct sim_settings *settings,
                            struct sim_box *box, int fd);
/* Ends the child with a reason. */
_Noreturn void sim_fail(struct sim *sim, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What a message takes of its receiver's modelled memory until it is handled; evaluation takes nothing. */
static inline uint32_t sim_inbox_bytes(const struct pm_message *m)
{
    return m->wire.flags & PM_FLAG_UNCHARGED ? 0 : m->wire.length_bytes;
}
/* Ends the child if the node models more memory than its host has. */
void sim_check_memory(struct sim_node *node);
/* Zeroed memory; ends the child when there is none. */
void *sim_new(struct sim *sim, size_t n, size_t size);

/* platform.c: initialises SimGrid, loads the platform and gives every node its host. */
void sim_platform_load(struct sim *sim);

/* What waits where: text for a report on a cluster that makes no progress. */
void sim_describe_waits(const struct sim *sim, char *text, size_t size);

/* time.c */
int64_t sim_now_ns(void);
/* Lets `ns` (at least 1) pass for work on the node's processor. */
void sim_pass(struct sim_node *node, double ns);

/* speed.c: the factor by which the worker's next computation takes longer, from the worker's own stream. */
void sim_slowdown_begin(struct sim_worker *w);
double sim_slowdown(struct sim_worker *w);

/* actors.c */
extern const struct pm_backend_ops sim_ops;
void sim_worker_start(struct sim *sim, uint32_t rank);
int sim_worker_check_accounts(const struct sim_worker *w, struct pm_error *err);
/* Lets the pending time of the calling agent pass; false if there is none worth a sleep. */
bool sim_spend(struct pm_ctx *ctx);
/* All workers have ended and nothing is under way: lets couriers and agenda return. */
void sim_stop_if_done(struct sim *sim);

/* courier.c */
/* What `from` knows of its way to `to`. */
struct sim_pair *sim_pair(struct sim_node *from, const struct sim_node *to);
/* Hands a message of `from` to the network. */
void sim_send(struct sim_node *from, struct pm_message *m, bool background);
/* The same for the last message of what the communicator delivers: when it has nothing else to do, whoever
 * plays it carries the message, which saves waking another courier. */
void sim_send_last(struct sim_node *from, struct pm_message *m);
void sim_inbox_add(struct sim_node *node, struct pm_message *m);
/* Appends to the inbox and sees to it that somebody serves it. */
void sim_arrive(struct sim_node *node, struct pm_message *m);
/* Sees to it that somebody serves the node. */
void sim_call_server(struct sim_node *node);
/* The server of a node with nothing left to do counts as idle before it wakes a worker: the worker runs
 * first, and what it sends finds a courier that need not be woken. The server ends when it runs again; if
 * there is work after all, another takes over. */
void sim_rest_early(struct sim_node *node);
void sim_couriers_stop(struct sim *sim);

/* communicator.c */
/* Plays the node's communicator until there is nothing to do, unless somebody does already. Returns a message
 * that the calling courier is to carry next, or NULL. */
struct pm_message *sim_serve(struct sim_node *node, struct sim_courier *server);
/* Asks for a tick at that time or earlier. */
void sim_tick_at(struct sim_node *node, int64_t at_ns);
/* The date of a tick has come. */
void sim_tick_date(struct sim_node *node, int64_t now_ns);

/* agenda.c */
void sim_agenda_start(struct sim *sim);
void sim_agenda_add(struct sim *sim, const struct sim_date *date);
void sim_agenda_stop(struct sim *sim);

/* queue.c */
/* Begins the constant-time delivery of a message. */
void sim_queue_send(struct sim_node *from, struct sim_node *to, struct pm_message *m);
/* Its first byte reached the destination's link at that time. */
void sim_queue_head(struct sim_node *to, struct pm_message *m, double at_ns);

#pragma GCC visibility pop

#endif
