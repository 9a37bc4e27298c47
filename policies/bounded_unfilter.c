/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filtered messages turned back. What comes may be anything: every length is checked before it is believed, and nothing is
 * changed before the whole message has been. */
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#include "policies/bounded.h"

/* A request that is being read. */
struct reading {
    const unsigned char *at;
    uint64_t left;
    uint64_t time, first, last;
    uint32_t n;           /* keys, of which n_keys have an entry */
    const unsigned char *sent; /* their bits; NULL: all have */
    const unsigned char *keys; /* listed or plain; NULL: a range or a known list */
    const pm_key *known;
    uint64_t hash, range_first;
};

static uint64_t u64_at(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The next n bytes, or NULL. */
static const unsigned char *take(struct reading *r, uint64_t n)
{
    if (n > r->left)
        return NULL;
    const unsigned char *at = r->at;
    r->at += n;
    r->left -= n;
    return at;
}

static bool take_u64(struct reading *r, uint64_t *value)
{
    const unsigned char *at = take(r, sizeof *value);
    if (at)
        *value = u64_at(at);
    return at != NULL;
}

unsigned char *bounded_unpack(const unsigned char *packed, uint32_t n, uint32_t *n_out)
{
    uint32_t length;
    if (n < sizeof length || n > PM_MESSAGE_BYTES_MAX)
        return NULL;
    memcpy(&length, packed, sizeof length);
    n -= (uint32_t)sizeof length;
    if (length == 0 || length > PM_MESSAGE_BYTES_MAX - PM_WIRE_BYTES || length > 255ull * n)
        return NULL;
    unsigned char *out = malloc(length);
    PM_ASSERT(out, "out of memory for %u decompressed bytes", length);
    int got = LZ4_decompress_safe((const char *)packed + sizeof length, (char *)out, (int)n, (int)length);
    if (got != (int)length) {
        free(out);
        return NULL;
    }
    *n_out = length;
    return out;
}

static bool bit(const unsigned char *bits, uint32_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static pm_key key_at(const struct reading *r, uint32_t i)
{
    return r->known ? r->known[i] : r->keys ? u64_at(r->keys + 8ull * i) : r->range_first + i;
}

/* The bits of a partial request: as many as it has entries. */
static bool read_bits(struct reading *r, uint32_t n_keys)
{
    uint64_t n;
    if (!take_u64(r, &n) || n < n_keys || n > PM_MESSAGE_BYTES_MAX / 8)
        return false;
    r->n = (uint32_t)n;
    r->sent = take(r, (n + 63) / 64 * 8);
    if (!r->sent)
        return false;
    uint64_t set = 0;
    for (uint32_t i = 0; i < (n + 63) / 64 * 64; i++) {
        if (i >= n && bit(r->sent, i))
            return false;
        set += bit(r->sent, i);
    }
    return set == n_keys;
}

/* Where the keys are. */
static bool read_keys(struct reading *r, struct bounded_lists *lists, const struct pm_wire *w)
{
    if (w->sub & BOUNDED_KNOWN) {
        const struct bounded_list *list = take_u64(r, &r->hash) ? bounded_lists_find(lists, r->hash, false) : NULL;
        r->known = list && list->n == r->n ? list->keys : NULL;
        return r->known != NULL;
    }
    if (w->sub & BOUNDED_RANGE)
        return take_u64(r, &r->range_first);
    r->keys = take(r, 8ull * ((w->sub & BOUNDED_LISTED) ? r->n : w->n_keys));
    return r->keys != NULL;
}

/* Does every key exist, and lie in the range that the message claims? Keys that are neither listed nor known are those of
 * the entries alone. */
static bool check_keys(const struct reading *r, const struct pm_node *node, const struct pm_wire *w)
{
    bool all = w->sub & (BOUNDED_LISTED | BOUNDED_KNOWN | BOUNDED_RANGE);
    if ((w->sub & BOUNDED_RANGE) && r->range_first > UINT64_MAX - r->n)
        return false;
    for (uint32_t i = 0; i < (all ? r->n : w->n_keys); i++) {
        pm_key key = key_at(r, i);
        if (key >= pm_key_count(node) || ((w->sub & BOUNDED_STAMPED) && (key < r->first || key > r->last)))
            return false;
    }
    return true;
}

/* Only forms that these options make. */
static bool form_is_known(const struct bounded *b, const struct pm_wire *w)
{
    unsigned form = w->sub & ~(unsigned)BOUNDED_PACKED;
    unsigned of_keys = form & (BOUNDED_KNOWN | BOUNDED_RANGE | BOUNDED_LISTED);
    if (((w->sub & BOUNDED_PACKED) && !b->compress) || w->sub == 0)
        return false;
    if (w->kind == PM_MSG_REPLY)
        return form == 0;
    bool one = (of_keys & (of_keys - 1)) == 0;
    return one && (!of_keys || b->keys) && (!(form & BOUNDED_PARTIAL) || b->held) &&
           !(form & BOUNDED_STAMPED) == !b->stamps && !(form & ~(of_keys | BOUNDED_PARTIAL | BOUNDED_STAMPED));
}

static struct pm_message *rebuild_request(const struct reading *r, const struct pm_node *node, const struct pm_wire *w)
{
    struct pm_shape shape = {.n_keys = w->n_keys,
                             .n_floats = w->n_floats,
                             .indexed = r->sent != NULL,
                             .with_values = pm_has_values(node)};
    struct pm_message *m = pm_message_new(PM_MSG_ACCESS, &shape);
    PM_ASSERT(m, "out of memory for a request of %u keys", w->n_keys);
    uint32_t length = m->wire.length_bytes;
    m->wire = *w;
    m->wire.length_bytes = length;
    m->wire.flags = (uint8_t)((w->flags & ~PM_FLAG_FILTERED) | (shape.indexed ? PM_FLAG_INDEXED : 0));
    m->wire.sub = 0;
    pm_key *keys = pm_message_keys(m);
    uint32_t *numbers = pm_message_meta(m), entry = 0;
    bool all = w->sub & (BOUNDED_LISTED | BOUNDED_KNOWN | BOUNDED_RANGE);
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->sent && !bit(r->sent, i))
            continue;
        keys[entry] = key_at(r, all ? i : entry);
        if (r->sent)
            numbers[entry] = w->first + i;
        entry++;
    }
    if (shape.with_values)
        memcpy(pm_message_values(m), r->at, r->left);
    return m;
}

/* Keeps what the sender knows to be kept. */
static void learn(const struct reading *r, struct bounded_way *way, const struct pm_wire *w)
{
    if (w->sub & BOUNDED_STAMPED)
        bounded_ranges_set(&way->ranges, r->first, r->last, r->time);
    if (w->sub & BOUNDED_KNOWN)
        bounded_lists_find(&way->lists, r->hash, true);
    if (!(w->sub & BOUNDED_LISTED))
        return;
    pm_key *keys = malloc((size_t)r->n * sizeof *keys);
    uint64_t hash;
    PM_ASSERT(keys, "out of memory for a list of %u keys", r->n);
    memcpy(keys, r->keys, (size_t)r->n * sizeof *keys);
    bounded_lists_use(&way->lists, keys, r->n, &hash);
    free(keys);
}

static int malformed(struct pm_error *err, const struct pm_wire *w, const char *what)
{
    return pm_error_set(err, PM_E_MESSAGE, "%s message from node %u: %s of a filtered body is out of bounds",
                        pm_message_kind_name(w->kind), w->source, what);
}

/* A request whose body is plain: *result, or NULL when it has come before. */
static int read_request(struct bounded *b, const struct pm_node *node, const struct pm_wire *w, struct reading *r,
                        struct pm_message **result, struct pm_error *err)
{
    bool own = w->origin == w->source && w->hop == 0 && w->worker < b->workers && !(w->flags & PM_FLAG_INDEXED);
    if (!own || w->op >= PM_OP_KINDS || w->n_keys == 0 || (w->op == PM_OP_PULL && w->n_floats))
        return malformed(err, w, "header");
    struct bounded_way *way = &b->in[(size_t)w->source * b->workers + w->worker];
    r->n = w->n_keys;
    if (w->sub & BOUNDED_STAMPED) {
        if (!take_u64(r, &r->time) || !take_u64(r, &r->first) || !take_u64(r, &r->last) || r->time == 0 ||
            r->first > r->last || r->last >= pm_key_count(node))
            return malformed(err, w, "time");
        if (bounded_ranges_least(&way->ranges, r->first, r->last) >= r->time) {
            __atomic_fetch_add(&b->twice, 1, __ATOMIC_RELAXED);
            *result = NULL;
            return PM_OK;
        }
    }
    if ((w->sub & BOUNDED_PARTIAL) && (w->op != PM_OP_PUSH || !read_bits(r, w->n_keys)))
        return malformed(err, w, "bits");
    if (!read_keys(r, &way->lists, w) || !check_keys(r, node, w))
        return malformed(err, w, "keys");
    if (r->left != (pm_has_values(node) ? 4ull * w->n_floats : 0))
        return malformed(err, w, "length");
    *result = rebuild_request(r, node, w);
    learn(r, way, w);
    return PM_OK;
}

/* A reply whose body is plain. */
static int read_reply(const struct pm_wire *w, const struct reading *r, struct pm_message **result, struct pm_error *err)
{
    struct pm_wire plain = *w;
    plain.flags = (uint8_t)(w->flags & ~PM_FLAG_FILTERED);
    plain.sub = 0;
    if (pm_body_bytes(&plain) != PM_WIRE_BYTES + r->left)
        return malformed(err, w, "length");
    plain.length_bytes = (uint32_t)(PM_WIRE_BYTES + r->left);
    struct pm_message *m = pm_message_raw(plain.length_bytes);
    PM_ASSERT(m, "out of memory for a reply of %u bytes", plain.length_bytes);
    m->wire = plain;
    memcpy((unsigned char *)&m->wire + PM_WIRE_BYTES, r->at, r->left);
    *result = m;
    return PM_OK;
}

int bounded_filter_in(struct pm_ctx *ctx, void *state, struct pm_message **m, struct pm_error *err)
{
    struct bounded *b = state;
    const struct pm_wire *w = &(*m)->wire;
    if (!form_is_known(b, w))
        return malformed(err, w, "sub");
    const unsigned char *body = (const unsigned char *)w + PM_WIRE_BYTES;
    uint32_t n = (*m)->stored_bytes - PM_WIRE_BYTES;
    unsigned char *unpacked = NULL;
    if (w->sub & BOUNDED_PACKED) {
        unpacked = bounded_unpack(body, n, &n);
        if (!unpacked)
            return malformed(err, w, "compression");
        body = unpacked;
    }
    struct reading r = {.at = body, .left = n};
    struct pm_message *result = NULL;
    int rc = w->kind == PM_MSG_REPLY ? read_reply(w, &r, &result, err)
                                     : read_request(b, pm_ctx_node(ctx), w, &r, &result, err);
    free(unpacked);
    if (rc == PM_OK) {
        pm_message_free(*m);
        *m = result;
    }
    return rc;
}
