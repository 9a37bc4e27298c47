/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making and unmaking a node, handling what arrives, and its accounts. */
#include "core/node.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/events.h"
#include "core/internal.h"
#include "core/local.h"
#include "core/location.h"
#include "core/log.h"
#include "core/scratch.h"
#include "core/versions.h"

pm_node_id pm_home(const struct pm_node *node, pm_key key)
{
    uint32_t nodes = node->config.nodes;
    return node->traits.ranges ? pm_range_home(key, nodes, node->layout->n_keys) : pm_home_of(key, nodes);
}

pm_node_id pm_owner_at_start(const struct pm_node *node, pm_key key)
{
    const struct pm_policy *p = node->policy;
    return p->owner ? p->owner(node, node->policy_state, key) : pm_home(node, key);
}

bool pm_replicated_at(const struct pm_node *node, pm_key key, pm_node_id at)
{
    const struct pm_policy *p = node->policy;
    if (pm_frequent_has(node->config.model->frequent, key))
        return true;
    return p->replicated && p->replicated(node, node->policy_state, key, at);
}

void pm_initial_value(const struct pm_node *node, pm_key key, float *out)
{
    if (!node->config.with_values)
        return;
    if (node->config.workload->initial)
        node->config.workload->initial(node->config.workload_state, key, 1, out);
    else
        pm_vector_zero(out, pm_length(node, key));
}

/* What a key that is here from the start has besides its value. */
static unsigned block_at_start(const struct pm_node *node, pm_key key, bool owned)
{
    return (owned ? PM_BLOCK_MAIN : PM_BLOCK_REPLICA) | (pm_exchange_shared(node, key) ? PM_BLOCK_SHARED : 0u);
}

/* Gives an absent slot what placement says the key is at the start. */
static int place(struct pm_node *node, pm_key key, struct pm_slot *slot, bool owned)
{
    int rc = pm_slot_attach(&node->slots, key, slot, block_at_start(node, key, owned));
    if (rc != PM_OK)
        return rc;
    pm_initial_value(node, key, slot->value);
    if (slot->shared)
        pm_copy(pm_slot_common(&node->slots, slot, pm_length(node, key)), slot->value, pm_stored(node, key));
    if (!owned)
        slot->flags |= PM_SLOT_READY;
    return PM_OK;
}

int pm_slot_make(struct pm_node *node, pm_key key, struct pm_slot **slot)
{
    bool owned = pm_owner_at_start(node, key) == node->config.id;
    bool replica = !owned && pm_replicated_at(node, key, node->config.id);
    *slot = NULL;
    if (!owned && !replica && !node->traits.gate_absent)
        return PM_OK;
    struct pm_slot *made = pm_slots_get(&node->slots, key);
    if (!made)
        return PM_E_MEMORY;
    *slot = made;
    return owned || replica ? place(node, key, made, owned) : PM_OK;
}

/* Dense stores hold everything from the start. */
static int place_all(struct pm_node *node)
{
    for (pm_key key = 0; key < node->layout->n_keys; key++) {
        bool owned = pm_owner_at_start(node, key) == node->config.id;
        if (!owned && !pm_replicated_at(node, key, node->config.id))
            continue;
        int rc = place(node, key, pm_slots_get(&node->slots, key), owned);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

/* Modelled memory at the start: what the node owns and, if any, its replicas. */
static uint64_t memory_at_start(const struct pm_node *node)
{
    const struct pm_node_config *c = &node->config;
    if (c->census && !node->policy->owner && !node->policy->replicated)
        return c->census[c->id];
    uint64_t bytes = 0;
    for (pm_key key = 0; key < node->layout->n_keys; key++) {
        bool owned = pm_owner_at_start(node, key) == c->id;
        if (owned || pm_replicated_at(node, key, c->id))
            bytes += pm_slot_model_bytes(&node->slots, pm_length(node, key), block_at_start(node, key, owned));
    }
    return bytes;
}

static int init_ctx(struct pm_ctx *ctx, struct pm_node *node, struct pm_worker *worker)
{
    ctx->node = node;
    ctx->worker = worker;
    ctx->outbox.tick_at_ns = PM_TIME_NEVER;
    ctx->scratch = pm_scratch_new(node->config.nodes);
    return ctx->scratch ? PM_OK : PM_E_MEMORY;
}

static void fini_ctx(struct pm_ctx *ctx)
{
    for (struct pm_message *m = ctx->outbox.first, *next; m; m = next) {
        next = m->next;
        pm_message_free(m);
    }
    for (int q = 0; q < PM_QUANTITIES; q++)
        free(ctx->histograms[q]);
    pm_scratch_free(ctx->scratch);
}

static int init_workers(struct pm_node *node)
{
    const struct pm_node_config *c = &node->config;
    node->workers = calloc(c->workers, sizeof *node->workers);
    if (!node->workers)
        return PM_E_MEMORY;
    for (uint32_t i = 0; i < c->workers; i++) {
        struct pm_worker *w = &node->workers[i];
        w->index = i;
        w->rank = c->id * c->workers + i;
        w->requests = pm_requests_new();
        w->samples = pm_samples_new();
        w->order = pm_order_new();
        w->intents = pm_intents_new();
        w->log = node->traits.worker_logs ? pm_log_new(node->layout->length_max) : NULL;
        pm_rng_init(&w->sample_rng, "sample", c->seed, c->id, i);
        pm_rng_init(&w->order_rng, "sample.order", c->seed, c->id, i);
        bool all = w->requests && w->samples && w->order && w->intents && (w->log || !node->traits.worker_logs);
        if (!all || init_ctx(&w->ctx, node, w) != PM_OK)
            return PM_E_MEMORY;
    }
    return init_ctx(&node->communicator, node, NULL);
}

static int init_policy(struct pm_node *node, struct pm_error *err)
{
    const struct pm_node_config *c = &node->config;
    node->policy_state = calloc(1, node->policy->node_bytes + 1);
    if (!node->policy_state)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for policy %s", node->policy->name);
    int rc = node->policy->init(node, node->policy_state, c->policy_options, &node->traits, err);
    if (rc != PM_OK)
        return rc;
    const struct pm_traits *t = &node->traits;
    node->ordered = t->promise_async >= PM_PRAM && (t->relocates || (t->replicates && node->policy->usable));
    PM_ASSERT(!t->relocates || t->key_bytes == 0 || t->grants, "private bytes of keys do not travel with them");
    PM_ASSERT(!t->versions || (t->replicates && !t->pushes_values && !t->min_clock), "versions are for replicas, without clocks");
    PM_ASSERT(!t->grants || (t->versions && t->relocates), "owners grant ownership to replicas that ask");
    PM_ASSERT(!t->location_cache || t->grants || t->location_cache_keys, "a cache of no locations");
    PM_ASSERT(!(t->gate_owned || t->gate_replicas || t->gate_absent) || node->policy->usable, "usable is missing");
    PM_ASSERT(!node->policy->merge || t->gate_owned, "merge needs gate_owned");
    PM_ASSERT(!t->worker_logs || (t->replicates && !t->relocates && !t->versions && !node->policy->replicated),
              "logs of workers are for replicas that are made on use");
    PM_ASSERT(t->exchange != PM_EXCHANGE_HUB || t->track_changes, "exchange over hubs needs track_changes");
    PM_ASSERT(t->exchange == PM_EXCHANGE_NONE || t->replicates, "what is exchanged is replicated");
    PM_ASSERT(t->clip == 0 || t->needs_values, "clipping needs values");
    PM_ASSERT(!t->frequent.on || t->replicates, "frequent keys cannot be replicated");
    PM_ASSERT(!node->policy->sample || t->sampling.scheme == PM_SAMPLING_INDEPENDENT, "two ways of sampling");
    if (t->max_nodes && c->nodes > t->max_nodes)
        return pm_error_set(err, PM_E_ARGUMENT, "policy %s runs on at most %u nodes, not %u", node->policy->name,
                            t->max_nodes, c->nodes);
    return PM_OK;
}

/* How slots are stored: near their values where a third of the keys or more are here from the start, which is worth
 * the room that the other keys' slots waste. */
static enum pm_store choose_store(const struct pm_node *node)
{
    if (!node->config.dense)
        return PM_STORE_SPARSE;
    uint64_t here = 0;
    for (pm_key key = 0; key < node->layout->n_keys; key++)
        here += pm_owner_at_start(node, key) == node->config.id;
    return here >= node->layout->n_keys / 3 ? PM_STORE_NEAR : PM_STORE_DENSE;
}

static int init_slots(struct pm_node *node)
{
    const struct pm_node_config *c = &node->config;
    struct pm_memory memory = {.self = c->ops_self, .alloc = c->ops->alloc, .release = c->ops->release};
    int rc = pm_slots_init(&node->slots, node->layout, choose_store(node), c->with_values, (uint32_t)node->traits.key_bytes,
                           &memory, c->ops->relax, c->ops_self);
    node->slots.no_deltas = node->traits.worker_logs;
    node->slots.lazy = node->traits.versions;
    if (rc == PM_OK && c->dense)
        rc = place_all(node);
    if (rc == PM_OK)
        node->base_bytes = memory_at_start(node);
    return rc;
}

static int init_parts(struct pm_node *node)
{
    int rc = init_workers(node);
    if (rc == PM_OK && node->traits.relocates)
        rc = pm_arrivals_init(&node->arrivals);
    if (rc == PM_OK)
        rc = pm_rounds_init(node);
    if (rc == PM_OK)
        rc = pm_clocks_init(node);
    if (rc == PM_OK)
        rc = pm_collective_init(node);
    if (rc == PM_OK)
        rc = pm_gather_init(node);
    if (rc == PM_OK)
        rc = pm_exchange_init(node);
    if (rc == PM_OK)
        rc = pm_generations_init(node);
    if (rc == PM_OK)
        rc = pm_local_init(node);
    if (rc == PM_OK)
        rc = pm_events_init(node);
    return rc == PM_OK ? init_slots(node) : rc;
}

int pm_node_create(const struct pm_node_config *config, struct pm_node **out, struct pm_error *err)
{
    *out = NULL;
    if (config->workers == 0 || config->workers > PM_WAKES_MAX)
        return pm_error_set(err, PM_E_LIMIT, "%u workers per node: 1 to %d are allowed", config->workers,
                            PM_WAKES_MAX);
    if (config->nodes == 0 || config->nodes > PM_NODES_MAX)
        return pm_error_set(err, PM_E_LIMIT, "%u nodes: 1 to %d are allowed", config->nodes, PM_NODES_MAX);
    if (config->max_message > PM_MAX_MESSAGE_MOST)
        return pm_error_set(err, PM_E_LIMIT, "messages of up to %u bytes: at most %d are allowed", config->max_message,
                            PM_MAX_MESSAGE_MOST);
    struct pm_node *node = calloc(1, sizeof *node);
    if (!node)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for a node");
    node->config = *config;
    node->asked_round_ns = PM_TIME_NEVER;
    node->pauses_after_drain = config->job && config->job->main == pm_train_worker;
    if (node->config.max_message == 0)
        node->config.max_message = PM_MAX_MESSAGE_DEFAULT;
    if (node->config.intents_max == 0)
        node->config.intents_max = PM_INTENTS_MAX;
    node->layout = &config->model->layout;
    node->policy = config->policy;
    int rc = init_policy(node, err);
    if (rc == PM_OK) {
        rc = init_parts(node);
        if (rc != PM_OK)
            pm_error_set(err, rc, "out of memory for node %u", config->id);
    }
    if (rc != PM_OK) {
        pm_node_destroy(node);
        return rc;
    }
    *out = node;
    return PM_OK;
}

void pm_node_destroy(struct pm_node *node)
{
    if (!node)
        return;
    if (node->policy_state && node->policy->fini)
        node->policy->fini(node, node->policy_state);
    free(node->policy_state);
    for (uint32_t i = 0; node->workers && i < node->config.workers; i++) {
        pm_requests_free(node->workers[i].requests);
        pm_samples_free(node->workers[i].samples);
        pm_order_free(node->workers[i].order);
        pm_intents_free(node->workers[i].intents);
        pm_log_free(node->workers[i].log);
        fini_ctx(&node->workers[i].ctx);
    }
    free(node->workers);
    fini_ctx(&node->communicator);
    free(node->dirty.keys);
    free(node->changed.keys);
    free(node->replicas.keys);
    pm_events_fini(node);
    pm_queue_fini(&node->queue);
    pm_arrivals_fini(&node->arrivals);
    pm_locations_fini(&node->locations);
    pm_rounds_fini(node);
    pm_clocks_fini(node);
    pm_collective_fini(node);
    pm_gather_fini(node);
    pm_exchange_fini(node);
    pm_generations_fini(node);
    pm_local_fini(node);
    pm_slots_fini(&node->slots);
    free(node);
}

/* ---- what arrives ---- */

static int handle_private(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    struct pm_node *node = ctx->node;
    if (!node->policy->message)
        return pm_bad(err, m, "kind");
    int rc = node->policy->message(ctx, node->policy_state, m);
    if (rc != PM_OK)
        return pm_bad(err, m, "private");
    pm_message_free(m);
    return PM_OK;
}

static int dispatch(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    const bool of_replicas = m->wire.kind >= PM_MSG_ROUND && m->wire.kind <= PM_MSG_PARTIAL;
    const bool versions = ctx->node->traits.versions;
    if (of_replicas && !ctx->node->traits.replicates)
        return pm_bad(err, m, "kind");
    switch (m->wire.kind) {
    case PM_MSG_ACCESS:
        return pm_handle_access(ctx, m, err);
    case PM_MSG_REPLY:
        return pm_handle_reply(ctx, m, err);
    case PM_MSG_ROUND:
        return versions ? pm_handle_versioned_round(ctx, m, err) : pm_handle_round(ctx, m, err);
    case PM_MSG_ANSWER:
        return versions ? pm_handle_versioned_answer(ctx, m, err) : pm_handle_answer(ctx, m, err);
    case PM_MSG_COLLECT:
        return pm_handle_collect(ctx, m, err);
    case PM_MSG_SPREAD:
        return pm_handle_spread(ctx, m, err);
    case PM_MSG_PARTIAL:
        return pm_handle_partial(ctx, m, err);
    case PM_MSG_RELOCATE:
        return pm_handle_relocate(ctx, m, err);
    case PM_MSG_TRANSFER:
        return pm_handle_transfer(ctx, m, err);
    case PM_MSG_GRANT:
        return pm_handle_grant(ctx, m, err);
    case PM_MSG_OWNER:
        return pm_handle_owner(ctx, m, err);
    case PM_MSG_CLOCK:
        return pm_handle_clock(ctx, m, err);
    case PM_MSG_BARRIER:
    case PM_MSG_WAVE:
    case PM_MSG_RELEASE:
        return pm_handle_collective(ctx, m, err);
    case PM_MSG_STATS:
        return pm_handle_stats(ctx, m, err);
    case PM_MSG_PRIVATE:
        return handle_private(ctx, m, err);
    default:
        return pm_bad(err, m, "kind");
    }
}

/* Counted before it is handled, so that whoever it lets go on finds it in the counters; taken back if it is refused. */
static void count_received(struct pm_ctx *ctx, const struct pm_message *m, uint64_t bytes, bool take_back)
{
    struct pm_counters *c = &ctx->counters;
    if (ctx->uncharged || m->wire.source == ctx->node->config.id)
        return;
    pm_count(&c->messages_received, take_back ? -1ull : 1);
    pm_count(&c->bytes_received, take_back ? -bytes : bytes);
}

int pm_node_receive(struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    if (m->wire.source >= ctx->node->config.nodes) {
        int rc = pm_bad(err, m, "source");
        pm_message_free(m);
        return rc;
    }
    uint32_t bytes = m->wire.length_bytes;
    if (m->wire.flags & PM_FLAG_FILTERED) {
        int rc = pm_filter_in(ctx, &m, err);
        if (rc != PM_OK || !m)
            return rc;
    }
    bool control = pm_message_is_control(m->wire.kind);
    bool before = ctx->uncharged;
    ctx->uncharged = m->wire.flags & PM_FLAG_UNCHARGED;
    pm_charge(ctx, PM_CHARGE_RECEIVE, 1, 0, (bytes + 3) / 4);
    count_received(ctx, m, bytes, false);
    int rc = dispatch(ctx, m, err);
    if (rc != PM_OK) {
        count_received(ctx, m, bytes, true);
        pm_message_free(m);
    } else if (ctx->scratch->n_builders)
        pm_rounds_flush(ctx); /* what it caused is counted as sent before it counts as received */
    if (rc == PM_OK && !ctx->uncharged && !control)
        pm_count(&ctx->counters.balance_received, 1);
    ctx->uncharged = before;
    return rc;
}

/* Under round_latch. */
static int64_t tick(struct pm_ctx *ctx, int64_t now_ns)
{
    struct pm_node *node = ctx->node;
    if (__atomic_load_n(&node->paused, __ATOMIC_ACQUIRE))
        return PM_TIME_NEVER; /* whoever ends the pause asks for a tick */
    int64_t asked_ns = __atomic_exchange_n(&node->asked_round_ns, PM_TIME_NEVER, __ATOMIC_SEQ_CST);
    if (asked_ns > now_ns)
        pm_ask_round(node, asked_ns);
    if (now_ns >= node->next_round_ns || now_ns >= asked_ns)
        node->next_round_ns = node->policy->round(ctx, node->policy_state, now_ns);
    pm_rounds_flush(ctx); /* a drain that begins now counts it */
    asked_ns = __atomic_load_n(&node->asked_round_ns, __ATOMIC_SEQ_CST);
    return asked_ns < node->next_round_ns ? asked_ns : node->next_round_ns;
}

int64_t pm_node_tick(struct pm_ctx *ctx, int64_t now_ns)
{
    struct pm_node *node = ctx->node;
    if (!node->policy->round)
        return PM_TIME_NEVER;
    pm_lock(node, &node->round_latch);
    int64_t next_ns = tick(ctx, now_ns);
    pm_unlock(node, &node->round_latch);
    return next_ns;
}

/* ---- questions ---- */

struct pm_worker *pm_node_worker(struct pm_node *node, uint32_t index)
{
    PM_ASSERT(index < node->config.workers);
    return &node->workers[index];
}

struct pm_ctx *pm_node_communicator(struct pm_node *node)
{
    return &node->communicator;
}

const struct pm_job *pm_node_job(const struct pm_node *node)
{
    return node->config.job;
}

pm_node_id pm_node_self(const struct pm_node *node)
{
    return node->config.id;
}

uint32_t pm_node_count(const struct pm_node *node)
{
    return node->config.nodes;
}

uint32_t pm_node_workers(const struct pm_node *node)
{
    return node->config.workers;
}

bool pm_is_frequent(const struct pm_node *node, pm_key key)
{
    return pm_frequent_has(node->config.model->frequent, key);
}

uint64_t pm_frequent_count(const struct pm_node *node)
{
    return node->config.model->frequent ? node->config.model->frequent->n : 0;
}

struct pm_node *pm_ctx_node(struct pm_ctx *ctx)
{
    return ctx->node;
}

bool pm_draining(const struct pm_node *node)
{
    return __atomic_load_n(&node->collective.draining, __ATOMIC_ACQUIRE);
}

uint32_t pm_worker_index(const struct pm_worker *worker)
{
    return worker->index;
}

uint32_t pm_worker_rank(const struct pm_worker *worker)
{
    return worker->rank;
}

pm_clock pm_worker_clock(const struct pm_worker *worker)
{
    return __atomic_load_n(&worker->clock, __ATOMIC_ACQUIRE);
}

pm_clock pm_policy_clock(const struct pm_worker *worker)
{
    return __atomic_load_n(&worker->policy_clock, __ATOMIC_ACQUIRE);
}

int pm_worker_fail(struct pm_worker *worker, int code, const char *fmt, ...)
{
    char text[PM_ERROR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return pm_error_set(&worker->error, code, "%s", text);
}

const char *pm_worker_reason(const struct pm_worker *worker, int code)
{
    return worker->error.code == code ? worker->error.text : pm_strerror(code);
}
