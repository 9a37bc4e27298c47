/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A worker's operations: what is here is served here, the rest becomes requests, one per destination and
 * max_message. */
#include <stdlib.h>

#include "core/builder.h"

/* How many keys ahead of the access slots and values are fetched into the cache. A value is fetched when
 * its slot has arrived; of long values fewer are under way, as a core's misses are few. */
enum { AHEAD_SLOT = 28, AHEAD_VALUE = 16, AHEAD_BYTES = 1024, LINE_BYTES = 64 };

struct access {
    struct pm_worker *worker;
    struct pm_ctx *ctx;
    enum pm_op_kind kind;
    bool model;      /* reads main copies only */
    bool ordered;    /* keeps behind unanswered operations of the worker on the same key */
    bool repeats;    /* ordered: keys were missed more than once */
    const pm_key *keys;
    uint32_t n;
    float *out;
    const float *in;
    uint64_t number; /* what the policy needs to know of it */
    uint32_t n_misses;
    uint64_t n_applied; /* pushes carried out in main copies here */
    uint64_t how[PM_HOWS];
};

pm_node_id pm_next_hop(struct pm_ctx *ctx, pm_key key, const struct pm_slot *slot, uint32_t hop)
{
    const struct pm_policy *p = ctx->node->policy;
    return p->route ? p->route(ctx, ctx->node->policy_state, key, slot, hop)
                    : pm_directory_hop(ctx->node, key, slot, hop);
}

enum pm_verdict pm_judge(struct pm_ctx *ctx, struct pm_worker *w, pm_key key, struct pm_slot *slot,
                         enum pm_op_kind kind, uint64_t number)
{
    const struct pm_node *node = ctx->node;
    const struct pm_traits *t = &node->traits;
    if (slot->state == PM_SLOT_ARRIVING)
        return PM_WAIT;
    bool gated = slot->state == PM_SLOT_OWNED     ? t->gate_owned
                 : slot->state == PM_SLOT_REPLICA ? t->gate_replicas
                                                  : t->gate_absent;
    ctx->asked = number;
    if (gated)
        return node->policy->usable(ctx, node->policy_state, w, key, slot, kind);
    if (slot->state == PM_SLOT_OWNED)
        return PM_USE;
    return slot->state == PM_SLOT_REPLICA && (slot->flags & PM_SLOT_READY) ? PM_USE : PM_ASK;
}

uint64_t pm_asked_number(const struct pm_ctx *ctx)
{
    return ctx->asked;
}

/* Under the latch: serves the key if the verdict allows; returns the verdict. */
static enum pm_verdict try_slot(struct access *a, pm_key key, struct pm_slot *slot, uint32_t place)
{
    enum pm_verdict v;
    if (slot->state == PM_SLOT_OWNED && (a->model || !a->ctx->node->traits.gate_owned))
        v = PM_USE;
    else
        v = a->model && slot->state != PM_SLOT_ARRIVING ? PM_ASK
                                                        : pm_judge(a->ctx, a->worker, key, slot, a->kind, a->number);
    if (v != PM_USE)
        return v;
    a->how[slot->state == PM_SLOT_OWNED ? PM_HOW_LOCAL : PM_HOW_REPLICA]++;
    struct pm_access access = {.kind = a->kind, .worker = a->worker, .number = a->number};
    access.out = a->out ? a->out + place : NULL;
    access.in = a->in ? a->in + place : NULL;
    a->n_applied += pm_serve_local(a->ctx, key, slot, &access);
    return PM_USE;
}

/* A read of a key of which a sparse store has nothing, at its initial value: served without making a slot. */
static bool read_initial(struct access *a, pm_key key, uint32_t place)
{
    struct pm_node *node = a->ctx->node;
    bool owned = pm_owner_at_start(node, key) == node->config.id;
    const struct pm_traits *t = &node->traits;
    if (a->kind != PM_OP_PULL || (owned ? t->gate_owned && !a->model : t->gate_replicas || a->model))
        return false;
    if (!owned && !pm_replicated_at(node, key, node->config.id))
        return false;
    a->how[owned ? PM_HOW_LOCAL : PM_HOW_REPLICA]++;
    if (!owned)
        pm_fresh_exchanged(a->ctx, a->worker);
    if (a->out)
        pm_initial_value(node, key, a->out + place);
    return true;
}

/* Notes a key that is not served yet. The scratch has room. */
static void miss(struct access *a, pm_key key, uint32_t place)
{
    struct pm_miss *misses = a->ctx->scratch->misses;
    const uint32_t number = a->n_misses++;
    const uint32_t earlier = a->ordered ? pm_order_hold(a->worker, key, number) : PM_NO_MISS;
    misses[number] = (struct pm_miss){.key = key, .place = place, .to = PM_NODE_NONE, .later = PM_NO_MISS};
    if (earlier != PM_NO_MISS) {
        misses[earlier].later = number;
        a->repeats = true;
    }
}

/* Serves what a sparse store has here and notes the rest. */
static int serve_sparse(struct access *a)
{
    struct pm_node *node = a->ctx->node;
    uint32_t place = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        pm_key key = a->keys[i];
        if (a->ordered && pm_order_pending(a->worker, key)) {
            miss(a, key, place);
            place += pm_length(node, key);
            continue;
        }
        struct pm_slot *slot = pm_slots_find(&node->slots, key);
        if (!slot && !read_initial(a, key, place)) {
            int rc = pm_slot_make(node, key, &slot);
            if (rc != PM_OK)
                return rc;
            if (!slot)
                miss(a, key, place);
        }
        if (slot) {
            pm_slot_lock(&node->slots, slot);
            if (try_slot(a, key, slot, place) != PM_USE)
                miss(a, key, place);
            pm_slot_unlock(&node->slots, slot);
        }
        place += pm_length(node, key);
    }
    return PM_OK;
}

/* Fetches a value into the cache; its slot should be there already. */
static inline void fetch_value(const struct pm_slot *slot, uint32_t bytes)
{
    const char *value = (const char *)__atomic_load_n(&slot->value, __ATOMIC_RELAXED);
    for (uint32_t at = 0; at < bytes; at += LINE_BYTES)
        __builtin_prefetch(value + at, 1);
}

/* Bytes of values to be fetched apart from their slots: none when all lie beside them. */
static inline uint32_t bytes_to_fetch(const struct pm_node *node)
{
    bool near = pm_slots_room(&node->slots) && !node->traits.replicates;
    return near || !node->config.with_values ? 0 : 4 * node->layout->length_max;
}

static inline uint32_t keys_ahead(uint32_t bytes)
{
    return bytes <= AHEAD_BYTES / AHEAD_VALUE ? AHEAD_VALUE : AHEAD_BYTES / bytes + 1;
}

/* Keys that were served without a question. */
static inline void count_direct(struct access *a, enum pm_op_kind kind, uint32_t n)
{
    a->how[PM_HOW_LOCAL] += n;
    a->n_applied += kind == PM_OP_PUSH ? n : 0;
}

/* Serves what a dense store has here, where every key has a slot, and notes the rest. Inlined once per
 * kind: this loop is what a local access costs. */
static inline __attribute__((always_inline)) void serve_dense(struct access *a, enum pm_op_kind kind)
{
    struct pm_node *node = a->ctx->node;
    struct pm_slots *slots = &node->slots;
    const pm_key *keys = a->keys;
    const uint32_t n = a->n, uniform = node->layout->length_uniform;
    const uint32_t bytes = bytes_to_fetch(node), ahead = bytes ? keys_ahead(bytes) : 0;
    const bool direct = a->model || !node->traits.gate_owned, stored = node->config.with_values;
    const bool adds = kind == PM_OP_PUSH && !node->config.workload->apply && !node->traits.track_changes &&
                      node->traits.exchange == PM_EXCHANGE_NONE;
    bool pending = a->ordered && __atomic_load_n(&a->worker->order->n, __ATOMIC_ACQUIRE);
    uint32_t place = 0, n_local = 0;
    for (uint32_t i = 0; i < n && i < ahead; i++)
        fetch_value(pm_dense_slot(slots, keys[i]), bytes);
    for (uint32_t i = 0; i < n; i++) {
        pm_key key = keys[i];
        struct pm_slot *slot = pm_dense_slot(slots, key);
        uint32_t length = uniform ? uniform : pm_length(node, key);
        if (i + AHEAD_SLOT < n)
            pm_slots_prefetch(slots, keys[i + AHEAD_SLOT]);
        if (ahead && i + ahead < n)
            fetch_value(pm_dense_slot(slots, keys[i + ahead]), bytes);
        if (__builtin_expect(pending, 0) && pm_order_pending(a->worker, key)) {
            miss(a, key, place);
            place += length;
            continue;
        }
        pm_slot_lock(slots, slot);
        if (__builtin_expect(direct && slot->state == PM_SLOT_OWNED, 1)) {
            n_local++;
            if (kind == PM_OP_PULL && stored)
                pm_copy(a->out + place, slot->value, length);
            else if (adds && stored)
                slot->version++, pm_add(slot->value, a->in + place, length);
            else if (kind != PM_OP_PULL)
                pm_apply_owned(a->ctx, key, slot, a->in ? a->in + place : NULL, kind);
        } else if (try_slot(a, key, slot, place) != PM_USE) {
            miss(a, key, place);
            pending = a->ordered;
        }
        pm_slot_unlock(slots, slot);
        place += length;
    }
    count_direct(a, kind, n_local);
}

/* Serves what is here and notes the rest. */
static int serve_here(struct access *a)
{
    if (!a->ctx->node->slots.dense)
        return serve_sparse(a);
    if (a->kind == PM_OP_PULL)
        serve_dense(a, PM_OP_PULL);
    else if (a->kind == PM_OP_PUSH)
        serve_dense(a, PM_OP_PUSH);
    else
        serve_dense(a, PM_OP_SET);
    return PM_OK;
}

/* Without shared memory every key goes through a communicator, even of this node. */
static void miss_all(struct access *a)
{
    uint32_t place = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        miss(a, a->keys[i], place);
        place += pm_length(a->ctx->node, a->keys[i]);
    }
}

/* One ACCESS message for `count` entries, whose values (of pushes) are at in + place. */
static struct pm_message *request(struct pm_ctx *ctx, enum pm_op_kind kind, const struct pm_entry *entries,
                                  uint32_t count, const float *in)
{
    const struct pm_node *node = ctx->node;
    struct pm_shape shape = {.n_keys = count, .with_values = node->config.with_values};
    if (kind != PM_OP_PULL)
        for (uint32_t i = 0; i < count; i++)
            shape.n_floats += pm_length(node, entries[i].key);
    struct pm_message *m = pm_message_new(PM_MSG_ACCESS, &shape);
    if (!m)
        return NULL;
    pm_key *keys = pm_message_keys(m);
    float *values = pm_message_values(m);
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = entries[i].key;
        if (shape.n_floats == 0)
            continue;
        uint32_t length = pm_stored(node, entries[i].key);
        pm_copy(values, in + entries[i].place, length);
        values += length;
    }
    m->wire.op = (uint8_t)kind;
    m->wire.origin = node->config.id;
    return m;
}

static void name_request(struct pm_message *m, const struct pm_entry_ref *ref, uint64_t need)
{
    m->wire.request = pm_op_request(ref);
    m->wire.worker = (uint16_t)ref->worker;
    m->wire.first = ref->entry;
    m->wire.number = need;
}

/* How many entries from the first fit a message: both the request and its reply stay below max_message. */
static uint32_t fitting(const struct pm_node *node, const struct pm_entry *entries, uint32_t n)
{
    uint64_t room = node->traits.filter_bytes, bytes = PM_WIRE_BYTES + room;
    uint32_t i = 0;
    for (; i < n; i++) {
        bytes += sizeof(pm_key) + 4ull * pm_length(node, entries[i].key) + (room > 0);
        if (i && bytes > node->config.max_message)
            break;
        if (!node->traits.group)
            return 1;
    }
    return i;
}

/* An asked entry for which its message has no room, while it has one of the same key: it stays behind that, since the key may
 * have moved when a second message comes. */
static void stay_behind(struct access *a, struct pm_op *op, const struct pm_entry_ref *ref)
{
    struct pm_entry *e = &op->entries[ref->entry];
    struct pm_waiter waiter = {.key = e->key, .ref = *ref, .kind = (uint8_t)a->kind, .number = a->number};
    waiter.in = a->in ? a->in + e->place : NULL;
    waiter.out = a->out ? a->out + e->place : NULL;
    e->key = PM_KEY_NONE;
    pm_order_fall_behind(a->worker, &waiter);
    a->how[PM_HOW_REMOTE]--;
    a->how[PM_HOW_QUEUED]++;
}

static int send_entries(struct access *a, struct pm_op *op, struct pm_entry_ref ref, uint32_t first,
                        uint32_t n, pm_node_id to)
{
    uint64_t need = a->model ? 0 : a->number;
    for (uint32_t done = 0; done < n;) {
        uint32_t count = fitting(a->ctx->node, &op->entries[first + done], n - done);
        struct pm_message *m = request(a->ctx, a->kind, &op->entries[first + done], count, a->in);
        if (!m)
            return PM_E_MEMORY;
        ref.entry = first + done;
        name_request(m, &ref, need);
        if (a->model)
            m->wire.flags |= PM_FLAG_MODEL;
        pm_emit(a->ctx, m, to);
        done += count;
        const pm_key last = op->entries[first + done - 1].key;
        for (; a->ordered && done < n && op->entries[first + done].key == last; done++) {
            ref.entry = first + done;
            stay_behind(a, op, &ref);
        }
    }
    return PM_OK;
}

/* An entry that will wait here: the next of the first ones, behind which those are that are asked for. */
static struct pm_waiter next_waiter(struct access *a, struct pm_op *op, struct pm_entry_ref ref, uint32_t *n_waiting,
                                    const struct pm_miss *missed)
{
    ref.entry = (*n_waiting)++;
    op->entries[ref.entry].place = missed->place;
    struct pm_waiter waiter = {.key = missed->key, .ref = ref, .kind = (uint8_t)a->kind, .number = a->number};
    waiter.in = a->in ? a->in + missed->place : NULL;
    waiter.out = a->out ? a->out + missed->place : NULL;
    return waiter;
}

/* Where a key that is not served at once is asked for. Without shared memory this node's communicator is asked for what is
 * here. `slot` may be NULL: as at the start. */
static pm_node_id first_stop(struct access *a, pm_key key, const struct pm_slot *slot)
{
    const struct pm_node *node = a->ctx->node;
    if (a->model)
        return pm_directory_hop(node, key, slot, 1);
    bool here = slot ? slot->state == PM_SLOT_OWNED || slot->state == PM_SLOT_ARRIVING
                     : pm_owner_at_start(node, key) == node->config.id;
    return here && !node->traits.shared_memory ? node->config.id : pm_next_hop(a->ctx, key, slot, 0);
}

/* Puts an entry behind the worker's unanswered operation on its key; false when there is none by now. */
static bool wait_behind(struct access *a, struct pm_op *op, struct pm_entry_ref ref, uint32_t *n_waiting,
                        const struct pm_miss *missed)
{
    uint32_t before = *n_waiting;
    struct pm_waiter waiter = next_waiter(a, op, ref, n_waiting, missed);
    if (pm_order_enter(a->worker, &waiter)) {
        *n_waiting = before;
        return false;
    }
    a->how[PM_HOW_QUEUED]++;
    return true;
}

/* Settles one missed key under its latch: served after all, queued here (entries from the end), or to be asked for, which
 * leaves its destination in the miss. *in_order: later operations need not wait for this one, the slot keeps the order. */
static int settle_miss(struct access *a, struct pm_miss *m, struct pm_op *op, struct pm_entry_ref ref, uint32_t *n_waiting,
                       enum pm_verdict *verdict, bool *in_order)
{
    struct pm_node *node = a->ctx->node;
    bool shared = node->traits.shared_memory || a->model;
    struct pm_slot *slot = shared || node->policy->route || node->traits.relocates ? pm_slots_find(&node->slots, m->key) : NULL;
    int rc = PM_OK;
    if (slot)
        pm_slot_lock(&node->slots, slot);
    enum pm_verdict v = slot && shared ? try_slot(a, m->key, slot, m->place) : PM_ASK;
    *in_order = v == PM_USE || (v == PM_WAIT && slot->state == PM_SLOT_ARRIVING);
    if (v == PM_ASK) {
        m->to = first_stop(a, m->key, slot);
        a->how[PM_HOW_REMOTE]++;
    } else if (v == PM_WAIT) {
        struct pm_waiter waiter = next_waiter(a, op, ref, n_waiting, m);
        a->how[PM_HOW_QUEUED]++;
        rc = pm_queue_add(a->ctx, slot, &waiter);
    }
    if (slot)
        pm_slot_unlock(&node->slots, slot);
    *verdict = v;
    return rc;
}

/* The misses from the i-th on will not be settled. */
static void leave(struct access *a, uint32_t i)
{
    for (; a->ordered && i < a->n_misses; i++)
        pm_order_leave(a->worker, a->ctx->scratch->misses[i].key);
}

/* Settles every missed key, in order. An occurrence of a key that another node is asked for goes along with the one before. */
static int settle_misses(struct access *a, struct pm_op *op, struct pm_entry_ref ref, uint32_t *n_served, uint32_t *n_waiting)
{
    uint64_t kicks = pm_kicks(a->ctx->node);
    for (uint32_t i = 0; i < a->n_misses; i++) {
        struct pm_miss *m = &a->ctx->scratch->misses[i];
        enum pm_verdict v;
        bool in_order;
        if (a->ordered && i && m[-1].key == m->key && m[-1].to != PM_NODE_NONE) {
            pm_order_join(a->worker, m->key);
            m->to = m[-1].to;
            a->how[PM_HOW_REMOTE]++;
            continue;
        }
        if (a->ordered && wait_behind(a, op, ref, n_waiting, m))
            continue;
        int rc = settle_miss(a, m, op, ref, n_waiting, &v, &in_order);
        if (rc != PM_OK) {
            leave(a, i + 1);
            return rc;
        }
        *n_served += v == PM_USE;
        if (v == PM_WAIT && pm_kicks(a->ctx->node) != kicks)
            pm_queue_retry(a->ctx, m->key); /* a kick came between the question and the queueing */
        if (a->ordered && in_order)
            pm_order_done(a->ctx, a->worker, m->key);
    }
    return PM_OK;
}

/* Sorts the misses to be asked for by destination, keeping their order, and sends them: entries from `at` on. */
static int ask(struct access *a, struct pm_op *op, const struct pm_entry_ref *ref, uint32_t at)
{
    struct pm_scratch *s = a->ctx->scratch;
    if (pm_group_reserve(s, a->n_misses) != PM_OK)
        return PM_E_MEMORY;
    for (uint32_t i = 0; i < a->n_misses; i++)
        if (s->misses[i].to != PM_NODE_NONE)
            pm_group_add(s, i, s->misses[i].to);
    int rc = PM_OK;
    for (uint32_t t = 0; t < s->n_touched && rc == PM_OK; t++) {
        uint32_t first = at;
        for (uint32_t i = s->head[s->touched[t]]; i != UINT32_MAX; i = s->next[i])
            op->entries[at++] = (struct pm_entry){.key = s->misses[i].key, .place = s->misses[i].place};
        rc = send_entries(a, op, *ref, first, at - first, s->touched[t]);
    }
    pm_group_clear(s);
    return rc;
}

static pm_ticket finish_elsewhere(struct access *a)
{
    struct pm_entry_ref ref;
    int rc = a->repeats ? pm_misses_gather(a->ctx->scratch, a->n_misses) : PM_OK;
    struct pm_op *op = rc == PM_OK ? pm_op_open(a->worker, a->n_misses, a->kind, &ref, &rc) : NULL;
    if (!op) {
        leave(a, 0);
        return rc;
    }
    op->model = a->model;
    op->out = a->out;
    op->in = a->in;
    uint32_t n_served = 0, n_waiting = 0;
    rc = settle_misses(a, op, ref, &n_served, &n_waiting);
    if (rc == PM_OK)
        rc = ask(a, op, &ref, n_waiting);
    pm_ticket ticket = pm_op_ticket(&ref);
    if (n_served)
        pm_op_settle(a->ctx, &ref, n_served);
    return rc == PM_OK ? ticket : rc;
}

static void count_access(struct access *a, uint64_t floats)
{
    struct pm_counters *c = &a->ctx->counters;
    if (a->ctx->uncharged)
        return;
    bool read = a->kind == PM_OP_PULL;
    for (int h = 0; h < PM_HOWS; h++)
        if (a->how[h])
            pm_count(read ? &c->reads[h] : &c->writes[h], a->how[h]);
    pm_count(&c->keys_asked[!read], a->n);
    uint64_t here = a->how[PM_HOW_LOCAL] + a->how[PM_HOW_REPLICA];
    if (a->kind == PM_OP_PUSH) {
        pm_count(&c->updates_pushed, a->n);
        pm_count(&c->updates_applied, a->n_applied);
    }
    pm_charge(a->ctx, PM_CHARGE_LOCAL, 1, a->n, here == a->n ? floats : here * (floats / a->n));
}

/* The first slots are on their way to the cache while the operation is checked; no key is too wrong for
 * that. */
static inline void fetch_first_slots(const struct pm_node *node, const pm_key *keys, size_t n)
{
    for (size_t i = 0; i < n && i < AHEAD_SLOT; i++)
        pm_slots_prefetch(&node->slots, keys[i]);
}

/* Keys in range, and not more floats than a place can count; nothing is changed before. */
static int check(const struct pm_node *node, const pm_key *keys, size_t n, uint64_t *floats)
{
    if (n > PM_OP_KEYS_MAX)
        return PM_E_LIMIT;
    uint64_t n_keys = node->layout->n_keys;
    *floats = (uint64_t)n * node->layout->length_uniform;
    pm_key most = 0;
    for (size_t i = 0; i < n; i++)
        most = keys[i] > most ? keys[i] : most;
    if (most >= n_keys)
        return PM_E_KEY;
    if (!node->layout->length_uniform)
        for (size_t i = 0; i < n; i++)
            *floats += pm_length(node, keys[i]);
    return *floats > UINT32_MAX ? PM_E_LIMIT : PM_OK;
}

static pm_ticket operate(struct pm_worker *w, enum pm_op_kind kind, const pm_key *keys, size_t n, float *out,
                         const float *in, bool model, uint32_t ahead)
{
    struct pm_node *node = w->ctx.node;
    uint64_t floats;
    fetch_first_slots(node, keys, n);
    int rc = check(node, keys, n, &floats);
    if (rc != PM_OK || n == 0)
        return rc;
    struct access a = {.worker = w, .ctx = &w->ctx, .kind = kind, .model = model, .keys = keys};
    a.n = (uint32_t)n;
    a.ordered = node->ordered && !model;
    a.number = node->policy->need ? node->policy->need(&w->ctx, node->policy_state, w, ahead) : 0;
    if (node->config.with_values) {
        a.out = out;
        a.in = in;
    }
    struct pm_scratch *s = w->ctx.scratch;
    if (n > s->misses_capacity && pm_grow(&s->misses, &s->misses_capacity, n, sizeof *s->misses) != PM_OK)
        return PM_E_MEMORY;
    if (node->traits.shared_memory || model)
        rc = serve_here(&a);
    else
        miss_all(&a);
    pm_ticket ticket = rc != PM_OK ? rc : PM_DONE;
    if (rc != PM_OK)
        leave(&a, 0);
    else if (a.n_misses)
        ticket = finish_elsewhere(&a);
    count_access(&a, floats);
    pm_ctx_deliver(&w->ctx);
    return ticket;
}

pm_ticket pm_pull(struct pm_worker *w, const pm_key *keys, size_t n, float *out)
{
    return operate(w, PM_OP_PULL, keys, n, out, NULL, false, 0);
}

pm_ticket pm_pull_ahead(struct pm_worker *w, uint32_t ahead, const pm_key *keys, size_t n, float *out)
{
    if (ahead > w->ctx.node->traits.pull_ahead)
        return PM_E_REFUSED;
    return operate(w, PM_OP_PULL, keys, n, out, NULL, false, ahead);
}

pm_ticket pm_push(struct pm_worker *w, const pm_key *keys, size_t n, const float *updates)
{
    return operate(w, PM_OP_PUSH, keys, n, NULL, updates, false, 0);
}

pm_ticket pm_set(struct pm_worker *w, const pm_key *keys, size_t n, const float *values)
{
    if (w->ctx.node->traits.replicates)
        return PM_E_REFUSED;
    return operate(w, PM_OP_SET, keys, n, NULL, values, false, 0);
}

int pm_read_model(struct pm_worker *w, const pm_key *keys, size_t n, float *out)
{
    bool before = w->ctx.uncharged;
    w->ctx.uncharged = true;
    pm_ticket ticket = operate(w, PM_OP_PULL, keys, n, out, NULL, true, 0);
    int rc = ticket < 0 ? (int)ticket : pm_wait(w, ticket);
    w->ctx.uncharged = before;
    return rc;
}
