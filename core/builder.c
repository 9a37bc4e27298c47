/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of entries in the making: verbs append to them under a slot's latch, deliver turns them into messages. */
#include "core/builder.h"

enum { PER_ANSWER_BYTES = sizeof(pm_key) + 16 }; /* at most, without the value */

static int grow_keys(struct pm_builder *b)
{
    if (b->n_keys < b->keys_capacity)
        return PM_OK;
    uint32_t capacity = b->keys_capacity ? 2 * b->keys_capacity : 64;
    pm_key *keys = realloc(b->keys, capacity * sizeof *keys);
    if (keys)
        b->keys = keys;
    struct pm_entry_meta *meta = realloc(b->meta, capacity * sizeof *meta);
    if (meta)
        b->meta = meta;
    if (!keys || !meta)
        return PM_E_MEMORY;
    b->keys_capacity = capacity;
    return PM_OK;
}

static int grow_floats(struct pm_builder *b, uint32_t more)
{
    size_t capacity = b->floats_capacity;
    int rc = pm_grow(&b->floats, &capacity, (size_t)b->n_floats + more, sizeof *b->floats);
    b->floats_capacity = (uint32_t)capacity;
    return rc;
}

/* An unused builder at the end of the list, with the arrays of earlier use. */
static struct pm_builder *append(struct pm_scratch *s)
{
    if (s->n_builders == s->builders_capacity) {
        size_t capacity = s->builders_capacity;
        size_t before = capacity;
        PM_ASSERT(pm_grow(&s->builders, &capacity, capacity + 1, sizeof *s->builders) == PM_OK, "out of memory");
        memset(s->builders + before, 0, (capacity - before) * sizeof *s->builders);
        s->builders_capacity = (uint32_t)capacity;
    }
    return &s->builders[s->n_builders++];
}

/* Flags of the message that such an entry goes into. */
static uint8_t flags_of(const struct pm_node *node, uint8_t kind, bool located)
{
    bool versions = kind == PM_MSG_ROUND && node->traits.versions;
    return (uint8_t)((versions ? PM_FLAG_VERSIONS : 0) | (located ? PM_FLAG_LOCATED : 0));
}

static bool of_operation(uint8_t kind)
{
    return kind == PM_MSG_ACCESS || kind == PM_MSG_REPLY;
}

/* Bytes of the message with one more entry; of a request, or of its answer if that will be longer. */
static uint64_t bytes_with(const struct pm_node *node, const struct pm_builder *b, uint32_t floats)
{
    const bool filtered = of_operation(b->kind) && node->traits.filter_bytes;
    struct pm_wire w = {.kind = b->kind, .flags = flags_of(node, b->kind, b->located)};
    if (of_operation(b->kind))
        w.flags |= PM_FLAG_INDEXED;
    uint64_t per_key = (uint64_t)pm_key_bytes(&w) + pm_meta_bytes(&w) + filtered;
    uint64_t n_floats = (uint64_t)b->n_floats + b->n_pulled + floats;
    return PM_WIRE_BYTES + (filtered ? node->traits.filter_bytes : 0) + per_key * (b->n_keys + 1ull) + 4 * n_floats;
}

static bool same_operation(const struct pm_op_name *a, const struct pm_op_name *b)
{
    return a->request == b->request && a->worker == b->worker && a->op == b->op && a->model == b->model;
}

/* Entries' metadata, in the arrays of the message's kind. */
static void write_meta(struct pm_message *m, const struct pm_builder *b)
{
    const uint8_t kind = m->wire.kind, flags = m->wire.flags;
    const bool notice = kind == PM_MSG_OWNER, located = flags & PM_FLAG_LOCATED;
    if ((kind == PM_MSG_ROUND && (flags & PM_FLAG_VERSIONS)) || kind == PM_MSG_ANSWER || kind == PM_MSG_TRANSFER ||
        kind == PM_MSG_GRANT) {
        uint64_t *versions = pm_message_meta(m);
        for (uint32_t i = 0; i < b->n_keys; i++)
            versions[i] = b->meta[i].version;
    }
    if (kind == PM_MSG_ROUND || kind == PM_MSG_GRANT) {
        uint32_t *entry_flags = pm_entry_flags(m);
        for (uint32_t i = 0; i < b->n_keys; i++)
            entry_flags[i] = b->meta[i].flags;
    }
    if (notice || (located && kind == PM_MSG_ROUND)) {
        pm_node_id *owners = pm_entry_owners(m);
        for (uint32_t i = 0; i < b->n_keys; i++)
            owners[i] = b->meta[i].owner;
    }
    if (notice || located || kind == PM_MSG_GRANT) {
        uint32_t *counters = pm_entry_counters(m);
        for (uint32_t i = 0; i < b->n_keys; i++)
            counters[i] = b->meta[i].counter;
    }
}

static int by_number(const void *a, const void *b)
{
    const struct pm_entry_at *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

/* The entries in the order of their operation. */
static const struct pm_entry_at *sort(struct pm_ctx *ctx, const struct pm_builder *b)
{
    struct pm_scratch *s = ctx->scratch;
    PM_ASSERT(pm_grow(&s->sorted, &s->sorted_capacity, b->n_keys, sizeof *s->sorted) == PM_OK, "out of memory");
    uint32_t floats = 0;
    for (uint32_t i = 0; i < b->n_keys; i++) {
        s->sorted[i] = (struct pm_entry_at){.number = b->meta[i].flags, .place = i, .floats = floats};
        floats += b->n_floats ? pm_stored(ctx->node, b->keys[i]) : 0;
    }
    if (!b->rising)
        qsort(s->sorted, b->n_keys, sizeof *s->sorted, by_number);
    return s->sorted;
}

/* ACCESS or REPLY: entries one by one, unless their numbers are consecutive. */
static struct pm_message *of_entries(struct pm_ctx *ctx, const struct pm_builder *b)
{
    const struct pm_node *node = ctx->node;
    const struct pm_entry_at *sorted = sort(ctx, b);
    const uint32_t first = sorted[0].number, last = sorted[b->n_keys - 1].number;
    struct pm_shape shape = {.n_keys = b->n_keys,
                             .n_floats = b->n_floats,
                             .indexed = last - first != b->n_keys - 1,
                             .with_values = node->config.with_values};
    struct pm_message *m = pm_message_new(b->kind, &shape);
    PM_ASSERT(m, "out of memory for a message of %u keys", b->n_keys);
    pm_key *keys = b->kind == PM_MSG_ACCESS ? pm_message_keys(m) : NULL;
    uint32_t *numbers = shape.indexed ? pm_message_meta(m) : NULL;
    float *values = pm_message_values(m);
    for (uint32_t i = 0; i < b->n_keys; i++) {
        const pm_key key = b->keys[sorted[i].place];
        const uint32_t stored = b->n_floats ? pm_stored(node, key) : 0;
        if (keys)
            keys[i] = key;
        if (numbers)
            numbers[i] = sorted[i].number;
        if (stored)
            pm_copy(values, b->floats + sorted[i].floats, stored);
        values += stored;
    }
    m->wire.flags |= b->name.model ? PM_FLAG_MODEL : 0;
    m->wire.op = b->name.op;
    m->wire.origin = b->kind == PM_MSG_ACCESS ? node->config.id : b->to;
    m->wire.request = b->name.request;
    m->wire.worker = b->name.worker;
    m->wire.number = b->need;
    m->wire.first = shape.indexed ? 0 : first;
    return m;
}

static struct pm_message *of_keys(struct pm_ctx *ctx, const struct pm_builder *b)
{
    const struct pm_node *node = ctx->node;
    uint8_t flags = flags_of(node, b->kind, b->located);
    struct pm_shape shape = {.n_keys = b->n_keys,
                             .n_floats = b->n_floats,
                             .versions = flags & PM_FLAG_VERSIONS,
                             .located = flags & PM_FLAG_LOCATED,
                             .with_values = node->config.with_values};
    struct pm_message *m = pm_message_new(b->kind, &shape);
    PM_ASSERT(m, "out of memory for a message of %u keys", b->n_keys);
    memcpy(pm_message_keys(m), b->keys, b->n_keys * sizeof *b->keys);
    write_meta(m, b);
    m->wire.origin = node->config.id;
    if (b->kind == PM_MSG_RELOCATE || shape.versions) {
        m->wire.origin = (pm_node_id)b->need;
        m->wire.hop = (uint8_t)(b->need >> 32);
    } else if (b->kind == PM_MSG_ROUND) {
        m->wire.number = b->need;
    }
    if (shape.with_values && b->n_floats)
        memcpy(pm_message_values(m), b->floats, b->n_floats * sizeof *b->floats);
    m->wire.first = b->sequence;
    m->wire.request = b->turn;
    m->wire.updates = b->updates;
    return m;
}

static struct pm_message *assemble(struct pm_ctx *ctx, const struct pm_builder *b)
{
    return of_operation(b->kind) ? of_entries(ctx, b) : of_keys(ctx, b);
}

static bool suits(const struct pm_node *node, const struct pm_builder *b, const struct pm_entry_place *place)
{
    uint64_t bytes = bytes_with(node, b, place->floats);
    uint64_t back = PM_WIRE_BYTES + PER_ANSWER_BYTES * (b->n_keys + 1ull) + 4ull * b->n_back + 4ull * place->back;
    if (place->back && back > bytes)
        bytes = back;
    if (b->need != place->need || b->located != place->located || bytes > node->config.max_message ||
        (of_operation(b->kind) && !node->traits.group))
        return false;
    return place->kind != PM_MSG_ROUND || node->traits.versions ||
           ((int32_t)(b->sequence - place->not_before) >= 0 && !(place->after_refresh && b->has_refresh));
}

/* What has no more room becomes a message, which keeps its place; the arrays, still in the cache, are the next one's. */
static void close_builder(struct pm_ctx *ctx, struct pm_builder *b)
{
    b->open = false;
    b->message = assemble(ctx, b);
}

static void swap_arrays(struct pm_builder *a, struct pm_builder *b)
{
    struct pm_builder old = *a;
    a->keys = b->keys, a->meta = b->meta, a->floats = b->floats;
    a->keys_capacity = b->keys_capacity, a->floats_capacity = b->floats_capacity;
    b->keys = old.keys, b->meta = old.meta, b->floats = old.floats;
    b->keys_capacity = old.keys_capacity, b->floats_capacity = old.floats_capacity;
}

/* closed: the place of the one that it follows, or UINT32_MAX. */
static struct pm_builder *begin(struct pm_ctx *ctx, const struct pm_entry_place *place, uint32_t closed)
{
    struct pm_node *node = ctx->node;
    struct pm_builder *b = append(ctx->scratch);
    if (closed != UINT32_MAX)
        swap_arrays(b, &ctx->scratch->builders[closed]);
    b->message = NULL;
    b->to = place->to;
    b->kind = (uint8_t)place->kind;
    b->open = true;
    b->has_refresh = false;
    b->located = place->located;
    b->uncharged = ctx->uncharged;
    b->rising = true;
    b->need = place->need;
    b->name = place->name;
    b->updates = b->n_keys = b->n_floats = b->n_back = b->n_pulled = 0;
    if (place->kind == PM_MSG_ROUND && !node->traits.versions)
        b->sequence = __atomic_add_fetch(&node->rounds.sequence_out[place->to], 1, __ATOMIC_SEQ_CST);
    else
        b->sequence = place->kind == PM_MSG_ANSWER ? (uint32_t)place->need : 0;
    b->turn = 0;
    if (place->kind == PM_MSG_ANSWER && node->traits.pushes_values)
        b->turn = __atomic_add_fetch(&node->rounds.answers_out[place->to], 1, __ATOMIC_SEQ_CST);
    return b;
}

/* The number of the open message of such entries, of which there is one at most; UINT32_MAX: none. */
static uint32_t find_open(const struct pm_ctx *ctx, const struct pm_entry_place *place)
{
    const struct pm_scratch *s = ctx->scratch;
    for (uint32_t i = s->n_builders; i-- > 0;) {
        const struct pm_builder *b = &s->builders[i];
        if (b->open && b->to == place->to && b->kind == place->kind && b->uncharged == ctx->uncharged &&
            same_operation(&b->name, &place->name))
            return i;
    }
    return UINT32_MAX;
}

bool pm_builder_has_room(const struct pm_ctx *ctx, const struct pm_entry_place *place)
{
    uint32_t i = find_open(ctx, place);
    return i != UINT32_MAX && suits(ctx->node, &ctx->scratch->builders[i], place);
}

struct pm_builder *pm_builder_for(struct pm_ctx *ctx, const struct pm_entry_place *place)
{
    uint32_t i = find_open(ctx, place);
    struct pm_builder *b = i == UINT32_MAX ? NULL : &ctx->scratch->builders[i];
    if (b && suits(ctx->node, b, place)) {
        b->n_back += place->back;
        return b;
    }
    if (b)
        close_builder(ctx, b);
    b = begin(ctx, place, i);
    b->n_back = place->back;
    return b;
}

float *pm_builder_add(struct pm_ctx *ctx, struct pm_builder *b, pm_key key, const struct pm_entry_meta *meta, const float *values,
                      bool has_values)
{
    struct pm_node *node = ctx->node;
    uint32_t stored = has_values ? pm_stored(node, key) : 0;
    PM_ASSERT(grow_keys(b) == PM_OK && grow_floats(b, stored) == PM_OK, "out of memory");
    if (of_operation(b->kind) && b->n_keys)
        b->rising &= meta->flags > b->meta[b->n_keys - 1].flags;
    b->keys[b->n_keys] = key;
    b->meta[b->n_keys++] = *meta;
    float *at = stored ? b->floats + b->n_floats : NULL;
    if (values)
        pm_copy(at, values, stored);
    b->n_floats += has_values ? pm_length(node, key) : 0;
    return at;
}

void pm_rounds_flush(struct pm_ctx *ctx)
{
    struct pm_scratch *s = ctx->scratch;
    const bool before = ctx->uncharged;
    for (uint32_t i = 0; i < s->n_builders; i++) {
        const struct pm_builder *b = &s->builders[i];
        ctx->uncharged = b->uncharged;
        pm_emit(ctx, b->message ? b->message : assemble(ctx, b), b->to);
    }
    ctx->uncharged = before;
    s->n_builders = 0;
}
