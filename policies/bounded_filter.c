/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filters of outgoing messages: requests get a time for their range of keys, small updates are held back, lists of keys
 * that the receiver knows become their hash, bodies are compressed. */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "policies/bounded.h"

enum { PACKED_LEAST = 64 }; /* shorter bodies are not worth compressing */

/* What becomes of a request. */
struct plan {
    struct pm_message *m;
    const struct pm_node *node;
    uint16_t form;
    uint64_t *sent; /* a bit per key: has an entry; NULL: all have */
    uint32_t n_sent, n_floats;
    uint64_t hash, time;
    pm_key first, last;
};

/* Appends to what is being written. */
static unsigned char *put(unsigned char *at, const void *from, size_t n)
{
    memcpy(at, from, n);
    return at + n;
}
static unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    return put(at, &value, sizeof value);
}

static uint32_t words_of(uint32_t n)
{
    return (n + 63) / 64;
}
static bool is_sent(const struct plan *p, uint32_t i)
{
    return !p->sent || (p->sent[i / 64] >> (i % 64) & 1);
}

/* Holds back small updates; what remains is marked. False when nothing remains. */
static bool hold_back(struct bounded_held *held, struct pm_ctx *ctx, struct plan *p)
{
    struct pm_message *m = p->m;
    const pm_key *keys = pm_message_keys(m);
    float *values = pm_message_values(m);
    uint32_t n = m->wire.n_keys;
    p->sent = calloc(words_of(n), sizeof *p->sent);
    PM_ASSERT(p->sent, "out of memory for the filter of a request");
    p->n_sent = p->n_floats = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = pm_key_floats(p->node, keys[i]);
        if (bounded_held_pass(held, keys[i], length, values)) {
            p->sent[i / 64] |= UINT64_C(1) << (i % 64);
            p->n_sent++;
            p->n_floats += length;
        }
        values += length;
    }
    if (p->n_sent < n) {
        pm_unsent(ctx, m, n - p->n_sent);
        p->form |= BOUNDED_PARTIAL;
    }
    uint64_t bits = p->n_sent < n ? 8 + 8ull * words_of(n) : 0;
    uint64_t after = PM_WIRE_BYTES + 8ull * p->n_sent + 4ull * p->n_floats + bits;
    pm_filtered(ctx, PM_FILTER_THRESHOLD, PM_MSG_ACCESS, m->wire.length_bytes, p->n_sent ? after : 0);
    return p->n_sent > 0;
}

/* How the keys are written, and what their range is. */
static void choose_keys(const struct bounded *b, struct bounded_way *way, struct plan *p)
{
    const pm_key *keys = pm_message_keys(p->m);
    uint32_t n = p->m->wire.n_keys;
    bool range = true;
    p->first = p->last = keys[0];
    for (uint32_t i = 1; i < n; i++) {
        range = range && keys[i] == keys[0] + i;
        p->first = keys[i] < p->first ? keys[i] : p->first;
        p->last = keys[i] > p->last ? keys[i] : p->last;
    }
    if (b->stamps)
        p->form |= BOUNDED_STAMPED;
    p->time = ++way->time;
    if (!b->keys || n < 2)
        return;
    p->form |= range                                              ? BOUNDED_RANGE
               : bounded_lists_use(&way->lists, keys, n, &p->hash) ? BOUNDED_KNOWN
                                                                  : BOUNDED_LISTED;
}

static size_t keys_bytes(const struct plan *p)
{
    if (p->form & (BOUNDED_KNOWN | BOUNDED_RANGE))
        return 8;
    return 8 * (size_t)((p->form & BOUNDED_LISTED) ? p->m->wire.n_keys : p->n_sent);
}

static unsigned char *put_keys(unsigned char *at, const struct plan *p)
{
    const pm_key *keys = pm_message_keys(p->m);
    uint32_t n = p->m->wire.n_keys;
    if (p->form & BOUNDED_KNOWN)
        return put_u64(at, p->hash);
    if (p->form & BOUNDED_RANGE)
        return put_u64(at, keys[0]);
    for (uint32_t i = 0; i < n; i++)
        if ((p->form & BOUNDED_LISTED) || is_sent(p, i))
            at = put_u64(at, keys[i]);
    return at;
}

static void put_values(unsigned char *at, const struct plan *p)
{
    const pm_key *keys = pm_message_keys(p->m);
    const float *values = pm_message_values(p->m);
    for (uint32_t i = 0; i < p->m->wire.n_keys && p->n_floats; i++) {
        uint32_t length = pm_key_floats(p->node, keys[i]);
        if (is_sent(p, i))
            at = put(at, values, length * sizeof *values);
        values += length;
    }
}

/* The message with a header like another one's, and this body. */
static struct pm_message *message_like(const struct pm_message *like, uint64_t body_bytes, uint64_t unstored_bytes)
{
    uint32_t stored = (uint32_t)(PM_WIRE_BYTES + body_bytes - unstored_bytes);
    struct pm_message *m = pm_message_raw(stored);
    PM_ASSERT(m, "out of memory for a message of %u bytes", stored);
    m->wire = like->wire;
    m->wire.length_bytes = (uint32_t)(PM_WIRE_BYTES + body_bytes);
    m->wire.flags |= PM_FLAG_FILTERED;
    return m;
}

static struct pm_message *write_request(const struct plan *p)
{
    uint32_t n = p->m->wire.n_keys;
    size_t head = (p->form & BOUNDED_STAMPED) ? 24 : 0;
    size_t bits = (p->form & BOUNDED_PARTIAL) ? 8 + 8 * (size_t)words_of(n) : 0;
    size_t floats = 4 * (size_t)p->n_floats;
    bool stored = pm_has_values(p->node);
    struct pm_message *m = message_like(p->m, head + bits + keys_bytes(p) + floats, stored ? 0 : floats);
    m->wire.sub = p->form;
    m->wire.n_keys = p->n_sent;
    m->wire.n_floats = p->n_floats;
    unsigned char *at = (unsigned char *)&m->wire + PM_WIRE_BYTES;
    if (p->form & BOUNDED_STAMPED) {
        at = put_u64(at, p->time);
        at = put_u64(at, p->first);
        at = put_u64(at, p->last);
    }
    if (p->form & BOUNDED_PARTIAL) {
        at = put_u64(at, n);
        at = put(at, p->sent, words_of(n) * sizeof *p->sent);
    }
    at = put_keys(at, p);
    if (stored)
        put_values(at, p);
    return m;
}

struct pm_message *bounded_pack(struct pm_ctx *ctx, struct pm_message *m)
{
    uint32_t n = m->wire.length_bytes - PM_WIRE_BYTES;
    if (n < PACKED_LEAST)
        return m;
    int bound = LZ4_compressBound((int)n);
    void *state = malloc((size_t)LZ4_sizeofState());
    char *packed = malloc((size_t)bound);
    PM_ASSERT(state && packed, "out of memory for compressing %u bytes", n);
    const char *body = (const char *)&m->wire + PM_WIRE_BYTES;
    int got = LZ4_compress_fast_extState(state, body, packed, (int)n, bound, 1);
    struct pm_message *result = m;
    if (got > 0 && (uint32_t)got + sizeof n < n) {
        result = message_like(m, (uint32_t)got + sizeof n, 0);
        result->wire.sub |= BOUNDED_PACKED;
        put(put((unsigned char *)&result->wire + PM_WIRE_BYTES, &n, sizeof n), packed, (size_t)got);
    }
    pm_filtered(ctx, PM_FILTER_COMPRESS, m->wire.kind, m->wire.length_bytes, result->wire.length_bytes);
    free(state);
    free(packed);
    if (result != m)
        pm_message_free(m);
    return result;
}

static struct pm_message *filter_request(struct bounded *b, struct pm_ctx *ctx, pm_node_id to, struct pm_message *m)
{
    struct plan p = {.m = m, .node = pm_ctx_node(ctx), .n_sent = m->wire.n_keys, .n_floats = m->wire.n_floats};
    struct bounded_held *held = m->wire.op == PM_OP_PUSH && b->held ? &b->held[m->wire.worker] : NULL;
    struct pm_message *filtered = NULL;
    if (!held || hold_back(held, ctx, &p)) {
        choose_keys(b, &b->out[(size_t)m->wire.worker * b->nodes + to], &p);
        if (b->keys)
            pm_filtered(ctx, PM_FILTER_KEYS, PM_MSG_ACCESS, PM_WIRE_BYTES + 8ull * p.n_sent + 4ull * p.n_floats,
                        PM_WIRE_BYTES + keys_bytes(&p) + 4ull * p.n_floats);
        filtered = p.form ? write_request(&p) : m;
    }
    free(p.sent);
    if (filtered != m)
        pm_message_free(m);
    return filtered;
}

struct pm_message *bounded_filter_out(struct pm_ctx *ctx, void *state, pm_node_id to, struct pm_message *m)
{
    struct bounded *b = state;
    if (m->wire.kind == PM_MSG_ACCESS && !(m->wire.flags & PM_FLAG_INDEXED))
        m = filter_request(b, ctx, to, m);
    return m && b->compress ? bounded_pack(ctx, m) : m;
}
