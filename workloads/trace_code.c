/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workloads/trace_code.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    HAS_BARRIER = 1,
    HAS_FLOPS = 2, /* else as the batch before */
    HAS_SAMPLES = 4,
    HAS_LOCALIZE = 8,
    HAS_ANNOUNCED = 16,
    PUSHED_SHIFT = 5, /* two bits: */
    PUSHED_NONE = 0,
    PUSHED_ALL = 1,  /* keys, samples, announced, in this order */
    PUSHED_MASK = 2, /* those of them whose bits are set, in this order */
    PUSHED_LIST = 3,
    WIDTH_DELTAS = 255, /* in place of a width: differences */
    VARINT_BYTES_MAX = 10,
};

/* ---- growing ---- */

static void add_bytes(struct trace_bytes *to, const void *bytes, size_t n)
{
    if (to->n + n > to->capacity) {
        size_t capacity = 2 * (to->n + n) + 64;
        uint8_t *data = realloc(to->data, capacity);
        if (data == NULL) {
            to->failed = true;
            return;
        }
        to->data = data;
        to->capacity = capacity;
    }
    memcpy(to->data + to->n, bytes, n);
    to->n += n;
}

static bool has_room(struct trace_list *list, uint32_t n)
{
    if (n <= list->capacity)
        return true;
    pm_key *room = realloc(list->room, (size_t)n * sizeof *room);
    if (room == NULL)
        return false;
    list->room = room;
    list->capacity = n;
    return true;
}

void trace_batch_free(struct trace_batch *b)
{
    free(b->keys.room);
    free(b->samples.room);
    free(b->localize.room);
    free(b->announced.room);
    free(b->pushed.room);
    free(b->pushed_at);
    *b = (struct trace_batch){0};
}

/* The keys that a batch knows before it is computed, by their place. */
static uint32_t candidates_of(const struct trace_batch *b)
{
    return b->keys.n + b->samples.n + b->announced.n;
}

static pm_key candidate(const struct trace_batch *b, uint32_t i)
{
    if (i < b->keys.n)
        return b->keys.keys[i];
    i -= b->keys.n;
    return i < b->samples.n ? b->samples.keys[i] : b->announced.keys[i - b->samples.n];
}

/* ---- encoding ---- */

static uint64_t zigzag(pm_key key, pm_key before)
{
    uint64_t difference = key - before;
    return difference << 1 ^ (0 - (difference >> 63));
}

static size_t varint_size(uint64_t value)
{
    size_t n = 1;
    for (; value >= 128; value >>= 7)
        n++;
    return n;
}

static void put_varint(struct trace_bytes *to, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t n = 0;
    for (; value >= 128; value >>= 7)
        bytes[n++] = (uint8_t)(value | 128);
    bytes[n++] = (uint8_t)value;
    add_bytes(to, bytes, n);
}

static void put_packed(struct trace_bytes *to, const struct trace_list *list, unsigned width)
{
    unsigned __int128 bits = 0;
    unsigned n_bits = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        bits |= (unsigned __int128)list->keys[i] << n_bits;
        for (n_bits += width; n_bits >= 8; n_bits -= 8, bits >>= 8)
            add_bytes(to, &(uint8_t){(uint8_t)bits}, 1);
    }
    if (n_bits > 0)
        add_bytes(to, &(uint8_t){(uint8_t)bits}, 1);
}

/* Length, then either all keys with as many bits as the greatest needs, or differences: what is shorter. */
static void put_list(struct trace_bytes *to, struct trace_context *context, const struct trace_list *list)
{
    put_varint(to, list->n);
    if (list->n == 0)
        return;
    uint64_t all = 1;
    size_t differences = 0;
    for (uint32_t i = 0; i < list->n; i++) {
        all |= list->keys[i];
        differences += varint_size(zigzag(list->keys[i], i > 0 ? list->keys[i - 1] : context->key));
    }
    unsigned width = 64 - (unsigned)__builtin_clzll(all);
    bool packed = ((size_t)list->n * width + 7) / 8 < differences;
    add_bytes(to, &(uint8_t){packed ? (uint8_t)width : WIDTH_DELTAS}, 1);
    if (packed)
        put_packed(to, list, width);
    for (uint32_t i = 0; i < list->n && !packed; i++)
        put_varint(to, zigzag(list->keys[i], i > 0 ? list->keys[i - 1] : context->key));
    context->key = list->keys[list->n - 1];
}

/* A bit for each candidate, set for those that make up the pushed keys; false when these are no such choice. Frees
 * nothing: *mask is the caller's. */
static bool make_mask(const struct trace_batch *b, uint8_t *mask)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < candidates_of(b) && found < b->pushed.n; i++)
        if (candidate(b, i) == b->pushed.keys[found]) {
            mask[i / 8] |= (uint8_t)(1 << i % 8);
            found++;
        }
    return found == b->pushed.n;
}

/* Puts the pushed keys and returns how, for the flags. */
static unsigned put_pushed(struct trace_bytes *to, struct trace_context *context, const struct trace_batch *b)
{
    if (b->pushed.n == 0)
        return PUSHED_NONE;
    size_t bytes = ((size_t)candidates_of(b) + 7) / 8;
    uint8_t *mask = calloc(1, bytes + 1);
    if (mask == NULL) {
        to->failed = true;
        return PUSHED_NONE;
    }
    unsigned how = !make_mask(b, mask) ? PUSHED_LIST : b->pushed.n == candidates_of(b) ? PUSHED_ALL : PUSHED_MASK;
    if (how == PUSHED_MASK)
        add_bytes(to, mask, bytes);
    if (how == PUSHED_LIST)
        put_list(to, context, &b->pushed);
    free(mask);
    return how;
}

static int check(const struct trace_batch *b, struct pm_error *err)
{
    const struct trace_list *const lists[] = {&b->keys, &b->samples, &b->localize, &b->announced, &b->pushed};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i]->n > TRACE_LIST_MAX)
            return pm_error_set(err, PM_E_LIMIT, "a batch with a list of %u keys (allowed: at most %d)", lists[i]->n,
                                TRACE_LIST_MAX);
    if ((uint64_t)b->keys.n + b->samples.n + b->announced.n > TRACE_LIST_MAX)
        return pm_error_set(err, PM_E_LIMIT, "a batch of %" PRIu64 " keys (allowed: at most %d)",
                            (uint64_t)b->keys.n + b->samples.n + b->announced.n, TRACE_LIST_MAX);
    if (b->flops != TRACE_FLOPS_UNKNOWN && !(b->flops >= 0 && b->flops <= TRACE_FLOPS_MAX))
        return pm_error_set(err, PM_E_LIMIT, "a batch of %g operations (allowed: 0 to %g)", b->flops, TRACE_FLOPS_MAX);
    if (b->samples.n > 0 && b->distribution >= TRACE_DISTRIBUTIONS_MAX)
        return pm_error_set(err, PM_E_LIMIT, "samples from distribution %u (allowed: below %d)", b->distribution,
                            TRACE_DISTRIBUTIONS_MAX);
    return PM_OK;
}

int trace_encode(struct trace_bytes *to, struct trace_context *context, const struct trace_batch *b, struct pm_error *err)
{
    int rc = check(b, err);
    if (rc != PM_OK)
        return rc;
    PM_ASSERT(b->flops != TRACE_FLOPS_UNKNOWN || context->flops == TRACE_FLOPS_UNKNOWN,
              "operations are known of all batches of a block or of none");
    size_t flags_at = to->n;
    bool flops = b->flops != context->flops;
    unsigned flags = (b->barrier_before ? HAS_BARRIER : 0) | (flops ? HAS_FLOPS : 0) | (b->samples.n ? HAS_SAMPLES : 0) |
                     (b->localize.n ? HAS_LOCALIZE : 0) | (b->announced.n ? HAS_ANNOUNCED : 0);
    add_bytes(to, &(uint8_t){0}, 1);
    if (flops) {
        add_bytes(to, &b->flops, sizeof b->flops);
        context->flops = b->flops;
    }
    put_list(to, context, &b->keys);
    if (b->samples.n > 0) {
        put_varint(to, b->distribution);
        put_list(to, context, &b->samples);
    }
    if (b->localize.n > 0)
        put_list(to, context, &b->localize);
    if (b->announced.n > 0)
        put_list(to, context, &b->announced);
    flags |= put_pushed(to, context, b) << PUSHED_SHIFT;
    if (to->failed)
        return pm_error_set(err, PM_E_MEMORY, "trace: out of memory");
    to->data[flags_at] = (uint8_t)flags;
    return PM_OK;
}

/* ---- decoding ---- */

struct reader {
    const uint8_t *at, *end;
    uint64_t n_keys;
    const char *wrong; /* NULL while nothing is */
    bool memory;
};

static bool fail(struct reader *r, const char *wrong)
{
    if (r->wrong == NULL)
        r->wrong = wrong;
    return false;
}

static bool out_of_memory(struct reader *r)
{
    r->memory = true;
    return fail(r, "out of memory");
}

static bool get_byte(struct reader *r, uint8_t *value)
{
    if (r->at == r->end)
        return fail(r, "the block ends within a batch");
    *value = *r->at++;
    return true;
}

static bool get_varint(struct reader *r, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte;
        if (!get_byte(r, &byte))
            return false;
        if (shift == 63 && byte > 1)
            break;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return fail(r, "a number beyond 64 bits");
}

static bool get_packed(struct reader *r, pm_key *keys, uint32_t n, unsigned width)
{
    if (width < 1 || width > 64)
        return fail(r, "a width of keys that is not 1 to 64 bits");
    if (((size_t)n * width + 7) / 8 > (size_t)(r->end - r->at))
        return fail(r, "the block ends within a list of keys");
    unsigned __int128 bits = 0;
    unsigned n_bits = 0;
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    for (uint32_t i = 0; i < n; i++) {
        for (; n_bits < width; n_bits += 8)
            bits |= (unsigned __int128)*r->at++ << n_bits;
        keys[i] = (uint64_t)bits & mask;
        bits >>= width;
        n_bits -= width;
    }
    return true;
}

static bool get_differences(struct reader *r, pm_key *keys, uint32_t n, pm_key before)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t value;
        if (!get_varint(r, &value))
            return false;
        before += value >> 1 ^ (0 - (value & 1));
        keys[i] = before;
    }
    return true;
}

static bool get_list(struct reader *r, struct trace_context *context, struct trace_list *list)
{
    uint64_t n;
    uint8_t width;
    if (!get_varint(r, &n))
        return false;
    if (n == 0)
        return true;
    if (!get_byte(r, &width))
        return false;
    /* no key takes less than a bit, and no difference less than a byte: memory is asked for what can be there */
    if (n > TRACE_LIST_MAX || n > 8 * (size_t)(r->end - r->at))
        return fail(r, "a list of more keys than the block can hold");
    if (!has_room(list, (uint32_t)n))
        return out_of_memory(r);
    if (width == WIDTH_DELTAS ? !get_differences(r, list->room, (uint32_t)n, context->key)
                              : !get_packed(r, list->room, (uint32_t)n, width))
        return false;
    for (uint64_t i = 0; i < n; i++)
        if (list->room[i] >= r->n_keys)
            return fail(r, "a key beyond those of the trace");
    list->keys = list->room;
    list->n = (uint32_t)n;
    context->key = list->room[n - 1];
    return true;
}

static bool get_flops(struct reader *r, double *flops)
{
    if ((size_t)(r->end - r->at) < sizeof *flops)
        return fail(r, "the block ends within a batch");
    memcpy(flops, r->at, sizeof *flops);
    if (!(*flops >= 0 && *flops <= TRACE_FLOPS_MAX))
        return fail(r, "operations of a batch that are no number from 0 to 1e18");
    r->at += sizeof *flops;
    return true;
}

static bool room_for_places(struct trace_batch *b, uint32_t n)
{
    if (n <= b->pushed_at_capacity)
        return true;
    uint32_t *places = realloc(b->pushed_at, (size_t)n * sizeof *places);
    if (places == NULL)
        return false;
    b->pushed_at = places;
    b->pushed_at_capacity = n;
    return true;
}

static bool get_chosen(struct reader *r, struct trace_batch *b, bool all)
{
    uint32_t n = candidates_of(b);
    const uint8_t *mask = r->at;
    if (!all && ((size_t)n + 7) / 8 > (size_t)(r->end - r->at))
        return fail(r, "the block ends within the marks of pushed keys");
    if (!has_room(&b->pushed, n) || !room_for_places(b, n))
        return out_of_memory(r);
    for (uint32_t i = 0; i < n; i++)
        if (all || (mask[i / 8] >> i % 8 & 1)) {
            b->pushed_at[b->pushed.n] = i;
            b->pushed.room[b->pushed.n++] = candidate(b, i);
        }
    b->pushed.keys = b->pushed.room;
    r->at += all ? 0 : ((size_t)n + 7) / 8;
    return true;
}

static bool get_pushed(struct reader *r, struct trace_context *context, struct trace_batch *b, unsigned how)
{
    if ((uint64_t)b->keys.n + b->samples.n + b->announced.n > TRACE_LIST_MAX)
        return fail(r, "a batch of more than 2^22 keys");
    if (how == PUSHED_NONE)
        return true;
    if (how != PUSHED_LIST)
        return get_chosen(r, b, how == PUSHED_ALL);
    if (!get_list(r, context, &b->pushed))
        return false;
    if (b->pushed.n > candidates_of(b))
        return fail(r, "more pushed keys than the batch has");
    if (!room_for_places(b, b->pushed.n))
        return out_of_memory(r);
    for (uint32_t i = 0; i < b->pushed.n; i++)
        b->pushed_at[i] = TRACE_NOWHERE;
    return true;
}

static bool get_samples(struct reader *r, struct trace_context *context, struct trace_batch *b)
{
    uint64_t distribution;
    if (!get_varint(r, &distribution))
        return false;
    if (distribution >= TRACE_DISTRIBUTIONS_MAX)
        return fail(r, "samples from a distribution that is not 0 to 7");
    b->distribution = (uint32_t)distribution;
    return get_list(r, context, &b->samples);
}

static bool get_batch(struct reader *r, struct trace_context *context, struct trace_batch *b)
{
    uint8_t flags;
    if (!get_byte(r, &flags))
        return false;
    if (flags >> 7)
        return fail(r, "an unknown kind of batch");
    if ((flags & HAS_FLOPS) && !get_flops(r, &context->flops))
        return false;
    b->barrier_before = flags & HAS_BARRIER;
    b->flops = context->flops;
    return get_list(r, context, &b->keys) && (!(flags & HAS_SAMPLES) || get_samples(r, context, b)) &&
           (!(flags & HAS_LOCALIZE) || get_list(r, context, &b->localize)) &&
           (!(flags & HAS_ANNOUNCED) || get_list(r, context, &b->announced)) &&
           get_pushed(r, context, b, flags >> PUSHED_SHIFT & 3);
}

int trace_decode(const uint8_t **at, const uint8_t *end, uint64_t n_keys, struct trace_context *context,
                 struct trace_batch *b, const char **wrong)
{
    struct reader r = {.at = *at, .end = end, .n_keys = n_keys};
    b->keys.n = b->samples.n = b->localize.n = b->announced.n = b->pushed.n = 0;
    bool good = get_batch(&r, context, b);
    *at = r.at;
    *wrong = r.wrong;
    return good ? PM_OK : r.memory ? PM_E_MEMORY : PM_E_FILE;
}
