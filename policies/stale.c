/* SPDX-License-Identifier: GPL-3.0-or-later */
/* stale: bounded staleness. A worker at clock c reads values that contain every update that any worker made before clock
 * c - staleness, and all updates of its own node. Nodes keep replicas of what they use. An update is in the node's replica at
 * once, and in its worker's log, which is shipped when that worker ends a clock: a neighbour who has read it may be heard of
 * before it is.
 *
 *   sync=client   stale synchronous parallel (SSP, Ho et al., NIPS 2013): a replica that is too old is asked for again, one
 *                 round trip per key and clock.
 *   sync=server   eager SSP (SSPPush, ESSP, Dai et al., AAAI 2015): the first read subscribes the node; when the minimum
 *                 clock rises, owners push the values that have changed and then the clock, so that nobody asks again.
 *
 * What a value contains is said by a stamp: every update made before a clock, known in an era (core/clock.c). */
#include <stdlib.h>
#include <string.h>

#include "core/policy.h"

enum { NODES_PER_WORD = 64 };

/* Of another node, as owner; sync=server. */
struct owner {
    uint64_t stamp; /* of all its values here; atomic */
    int64_t at_ns;  /* when that was heard; atomic */
};

struct stale {
    pm_clock staleness;
    bool server;
    uint32_t nodes;
    uint64_t announced;   /* the newest stamp that was announced from here; atomic */
    struct owner *owners; /* per node */
};

static const struct pm_option options_table[] = {
    {.name = "staleness",
     .type = PM_OPT_COUNT,
     .def = "1",
     .help = "clocks that a read may lag behind; 1T is as good as no bound",
     .min = 0,
     .max = 1e12},
    {.name = "sync",
     .type = PM_OPT_ENUM,
     .def = "client",
     .choices = "client|server",
     .help = "client: nodes ask for values that are too old (SSP); server: owners push new values (SSPPush)"},
    {.name = "clock",
     .type = PM_OPT_TEXT,
     .def = "batch",
     .help = "what a clock is: batch, subepoch (an epoch, where it has none), or a number of batches"},
    {0},
};

/* traits.clock_every from the option's text; 0 when it is none. */
static uint32_t clock_every(const char *text)
{
    static const struct pm_option number = {.name = "clock", .type = PM_OPT_COUNT, .min = 1, .max = 1e9};
    struct pm_value value;
    struct pm_error ignored;
    if (strcmp(text, "batch") == 0)
        return 1;
    if (strcmp(text, "subepoch") == 0)
        return PM_CLOCK_SUB_EPOCHS;
    return pm_option_parse(&number, text, &value, &ignored) == PM_OK ? (uint32_t)value.whole : 0;
}

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    struct stale *s = state;
    const char *clock = pm_values_text(options, "clock");
    s->staleness = (pm_clock)pm_values_count(options, "staleness");
    s->server = pm_values_enum(options, "sync") == 1;
    s->nodes = node ? pm_node_count(node) : 1;
    s->owners = calloc(s->nodes, sizeof *s->owners);
    if (!s->owners)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for policy stale");
    traits->clock_every = clock_every(clock);
    if (traits->clock_every == 0)
        return pm_error_set(err, PM_E_OPTION, "option clock: '%s' is neither batch, subepoch nor a number of batches from 1 to 1G",
                            clock);
    traits->group = true;
    traits->shared_memory = true;
    traits->replicates = traits->worker_logs = true;
    traits->gate_owned = traits->gate_replicas = traits->gate_absent = true;
    traits->min_clock = true;
    traits->track_changes = traits->pushes_values = s->server;
    /* a replica's: when its value came; a main copy's, sync=server: a bit for each node that has subscribed */
    traits->key_bytes = sizeof(uint64_t) * ((s->nodes + NODES_PER_WORD - 1) / NODES_PER_WORD);
    traits->promise_sync = traits->promise_async = PM_PRAM;
    return PM_OK;
}

static void fini(struct pm_node *node, void *state)
{
    (void)node;
    free(((struct stale *)state)->owners);
}

/* ---- stamps ---- */

static uint64_t stamp_of(uint32_t era, pm_clock clock)
{
    return (uint64_t)era << 32 | (clock > UINT32_MAX ? UINT32_MAX : (uint64_t)clock);
}

static uint32_t era_of(uint64_t stamp)
{
    return (uint32_t)(stamp >> 32);
}

static pm_clock clock_of(uint64_t stamp)
{
    return (uint32_t)stamp == UINT32_MAX ? PM_CLOCK_INFINITE : (pm_clock)(uint32_t)stamp;
}

/* The clock before which every update is contained, now and for good. */
static pm_clock worth(const struct pm_node *node, uint64_t stamp)
{
    return pm_clock_worth(node, era_of(stamp), clock_of(stamp));
}

/* What main copies here contain now. */
static uint64_t known(const struct pm_node *node)
{
    uint32_t era = pm_clock_era(node); /* before the minimum */
    return stamp_of(era, pm_min_clock(node));
}

/* ---- reads ---- */

/* A cached value that contains every update before clock `has`, and came at this time, is read at this clock. */
static void record(struct pm_ctx *ctx, pm_clock clock, pm_clock has, int64_t since_ns)
{
    int64_t now_ns = pm_transition_ns(ctx); /* another context may have taken in a newer one since */
    pm_record(ctx, PM_Q_STALENESS_CLOCKS, clock > has ? clock - has : 0);
    pm_record(ctx, PM_Q_STALENESS_TIME, now_ns > since_ns ? now_ns - since_ns : 0);
}

static int64_t came_ns(struct pm_ctx *ctx, const struct pm_slot *slot)
{
    return *(int64_t *)pm_key_private(ctx, slot);
}

/* May a worker at this clock, who needs every update before clock `least`, read the replica? Otherwise something comes. */
static enum pm_verdict read_asking(struct pm_ctx *ctx, pm_key key, struct pm_slot *slot, pm_clock clock, pm_clock least)
{
    const struct pm_node *node = pm_ctx_node(ctx);
    bool ready = slot->flags & PM_SLOT_READY;
    pm_clock has = ready ? worth(node, slot->version) : -1;
    if (has >= least) {
        record(ctx, clock, has, came_ns(ctx, slot));
        return PM_USE;
    }
    /* Asking before the minimum allows it could leave the owner waiting for a worker of this node, which would then wait
     * for the same answer. A value from a later era means that the news of it is on its way here. */
    uint64_t now = known(node);
    bool later = ready && (int32_t)(era_of(slot->version) - era_of(now)) > 0;
    if (clock_of(now) >= least && !later)
        pm_refresh(ctx, key, slot, stamp_of(era_of(now), least));
    return PM_WAIT;
}

/* The same where owners push: what they have announced holds for all their values here. */
static enum pm_verdict read_pushed(struct pm_ctx *ctx, const struct stale *s, pm_key key, struct pm_slot *slot, pm_clock clock,
                                   pm_clock least)
{
    const struct pm_node *node = pm_ctx_node(ctx);
    if (!(slot->flags & PM_SLOT_READY)) {
        pm_refresh(ctx, key, slot, 0);
        return PM_WAIT;
    }
    const struct owner *owner = &s->owners[pm_home(node, key)];
    pm_clock has = worth(node, __atomic_load_n(&owner->stamp, __ATOMIC_ACQUIRE));
    if (has < least)
        return PM_WAIT;
    int64_t came = came_ns(ctx, slot), heard = __atomic_load_n(&owner->at_ns, __ATOMIC_RELAXED);
    record(ctx, clock, has, came > heard ? came : heard);
    return PM_USE;
}

static enum pm_verdict usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key, struct pm_slot *slot,
                              enum pm_op_kind op)
{
    const struct stale *s = state;
    if (op == PM_OP_PUSH) {
        pm_replicate(ctx, key, slot);
        return PM_USE;
    }
    pm_clock clock = pm_policy_clock(worker), least = clock > s->staleness ? clock - s->staleness : 0;
    if (slot->state == PM_SLOT_OWNED)
        return pm_min_clock(pm_ctx_node(ctx)) >= least ? PM_USE : PM_WAIT;
    return s->server ? read_pushed(ctx, s, key, slot, clock, least) : read_asking(ctx, key, slot, clock, least);
}

static void installed(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, uint64_t stamp)
{
    (void)state, (void)key, (void)stamp;
    *(int64_t *)pm_key_private(ctx, slot) = pm_transition_ns(ctx);
}

/* ---- owners ---- */

static enum pm_serve serve(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, pm_node_id from,
                           uint64_t need, uint64_t *stamp)
{
    const struct stale *s = state;
    (void)key, (void)from;
    if (s->server) {
        *stamp = slot->version;
        return PM_SERVE_VALUE;
    }
    /* The asker knew that the minimum allows it: the news of that is on its way here, unless an era has begun since. Then the
     * asker gets what there is, and decides anew. */
    uint64_t now = known(pm_ctx_node(ctx));
    int32_t ahead = (int32_t)(era_of(now) - era_of(need));
    bool suffices = clock_of(need) == 0 || (ahead >= 0 && clock_of(now) >= clock_of(need));
    if (!suffices && ahead <= 0)
        return PM_SERVE_LATER;
    *stamp = now;
    return PM_SERVE_VALUE;
}

/* sync=server: the refresh of a key, which comes once, subscribes the node. */
static void interest(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot, pm_node_id from, bool on)
{
    const struct stale *s = state;
    (void)key, (void)on;
    uint64_t *subscribed = pm_key_private(ctx, slot);
    if (s->server)
        subscribed[from / NODES_PER_WORD] |= UINT64_C(1) << from % NODES_PER_WORD;
}

static void push_to_subscribers(struct pm_ctx *ctx, void *state, pm_key key, struct pm_slot *slot)
{
    const struct stale *s = state;
    const uint64_t *subscribed = pm_key_private(ctx, slot);
    for (uint32_t word = 0; word * NODES_PER_WORD < s->nodes; word++)
        for (uint64_t rest = subscribed[word]; rest; rest &= rest - 1) {
            pm_node_id to = word * NODES_PER_WORD + (uint32_t)__builtin_ctzll(rest);
            pm_push_value(ctx, key, slot, to, slot->version);
        }
}

/* sync=server: the minimum has risen. All values that have changed go out, and behind them the clock, to every node, also
 * when nothing has changed: who reads there may wait for it. */
static void push_all(struct pm_ctx *ctx, struct stale *s)
{
    const struct pm_node *node = pm_ctx_node(ctx);
    uint64_t now = known(node), before = __atomic_load_n(&s->announced, __ATOMIC_SEQ_CST);
    do {
        if (now <= before || worth(node, before) >= clock_of(now))
            return; /* another context was faster, or a new era has begun: what was announced says it already */
    } while (!__atomic_compare_exchange_n(&s->announced, &before, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    pm_visit_changed(ctx, push_to_subscribers, s);
    for (uint32_t i = 1; i < s->nodes; i++)
        pm_announce(ctx, (pm_node_self(node) + i) % s->nodes, now);
}

static void announced(struct pm_ctx *ctx, void *state, pm_node_id from, uint64_t number)
{
    struct stale *s = state;
    struct owner *owner = &s->owners[from];
    if (number <= owner->stamp)
        return;
    __atomic_store_n(&owner->at_ns, pm_transition_ns(ctx), __ATOMIC_RELAXED);
    __atomic_store_n(&owner->stamp, number, __ATOMIC_RELEASE);
    pm_kick(ctx);
}

/* ---- clocks ---- */

static void min_clock(struct pm_ctx *ctx, void *state, pm_clock c)
{
    struct stale *s = state;
    (void)c;
    if (s->server && s->nodes > 1)
        push_all(ctx, s);
    pm_kick(ctx);
}

static void advance(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_clock c)
{
    (void)state, (void)c;
    pm_send_log(ctx, worker);
}

static void drain(struct pm_ctx *ctx, void *state)
{
    (void)state;
    pm_send_deltas(ctx);
}

const struct pm_policy pm_policy_stale = {
    .abi = PM_POLICY_ABI,
    .name = "stale",
    .summary = "replicas on first use, reads at most `staleness` clocks behind (SSP; with sync=server: SSPPush)",
    .options = options_table,
    .node_bytes = sizeof(struct stale),
    .init = init,
    .fini = fini,
    .usable = usable,
    .serve = serve,
    .interest = interest,
    .installed = installed,
    .announced = announced,
    .advance = advance,
    .min_clock = min_clock,
    .drain = drain,
};
