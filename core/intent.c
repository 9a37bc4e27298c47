/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Intents that are kept until they matter.
 *
 * Each worker has a calendar of what it declared, by the clock at which it begins: declared in that order, as loaders do, it is
 * a queue in chunks that are used again; what comes out of order goes into a heap. The worker adds, whoever acts on intents
 * takes, under a latch that belongs to this worker alone. What was acted on is merged per key: a table says until when the
 * worker wants each key, and a second calendar, by ends, one entry per key, says when to look. Per node there is only a count in
 * the key's slot: how many workers have an active intent. Table and second calendar are touched by whoever acts on intents, one
 * at a time. */
#include <stdlib.h>

#include "core/events.h"
#include "core/scratch.h"

enum { CHUNK_WORDS = 1022, HEADER_WORDS = 3, FIRST_PLACES = 64, AHEAD = 12 };
enum { TOGETHER = CHUNK_WORDS + 64 }; /* keys of several entries that are acted on at a time */

struct chunk {
    struct chunk *next;
    uint32_t begin, end;         /* words that are used */
    uint64_t words[CHUNK_WORDS]; /* entries: when, other, n, n keys */
};

/* A key that was declared with an earlier clock than what is in the queue. */
struct late {
    pm_clock when, other;
    pm_key key;
};

/* Entries by a clock. */
struct calendar {
    struct chunk *first, *last, *spare;
    pm_clock last_when; /* of the queue's newest entry */
    struct late *late;  /* a heap, earliest first */
    size_t n_late, late_capacity;
    uint64_t n_keys, bytes; /* atomic: keys in it; memory that it has taken */
};

struct active {
    pm_key key; /* PM_KEY_NONE: a free place */
    pm_clock end;
};

struct pm_intents {
    struct pm_latch latch; /* of `declared` */
    struct calendar declared, ends;
    struct active *table; /* open addressing */
    uint32_t n, mask;     /* n: atomic */
};

/* ---- calendars ---- */

static void add_bytes(struct calendar *c, size_t bytes)
{
    __atomic_store_n(&c->bytes, c->bytes + bytes, __ATOMIC_RELAXED);
}

static struct chunk *next_chunk(struct calendar *c)
{
    struct chunk *chunk = c->spare;
    if (chunk) {
        c->spare = chunk->next;
    } else {
        chunk = malloc(sizeof *chunk);
        PM_ASSERT(chunk, "out of memory for intents");
        add_bytes(c, sizeof *chunk);
    }
    chunk->next = NULL;
    chunk->begin = chunk->end = 0;
    if (c->last)
        c->last->next = chunk;
    else
        c->first = chunk;
    c->last = chunk;
    return chunk;
}

/* Appends an entry, in parts where it does not fit a chunk. */
static void append(struct calendar *c, pm_clock when, pm_clock other, const pm_key *keys, size_t n)
{
    c->last_when = when;
    while (n > 0) {
        struct chunk *chunk = c->last;
        if (!chunk || CHUNK_WORDS - chunk->end <= HEADER_WORDS)
            chunk = next_chunk(c);
        size_t room = CHUNK_WORDS - chunk->end - HEADER_WORDS, part = n < room ? n : room;
        uint64_t *words = chunk->words + chunk->end;
        words[0] = (uint64_t)when;
        words[1] = (uint64_t)other;
        words[2] = part;
        memcpy(words + HEADER_WORDS, keys, part * sizeof *keys);
        chunk->end += (uint32_t)(HEADER_WORDS + part);
        keys += part;
        n -= part;
    }
}

static void sift_up(struct late *heap, size_t at, struct late entry)
{
    for (; at > 0 && heap[(at - 1) / 2].when > entry.when; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
}

static void add_late(struct calendar *c, pm_clock when, pm_clock other, const pm_key *keys, size_t n)
{
    size_t before = c->late_capacity;
    PM_ASSERT(pm_grow(&c->late, &c->late_capacity, c->n_late + n, sizeof *c->late) == PM_OK, "out of memory for intents");
    add_bytes(c, (c->late_capacity - before) * sizeof *c->late);
    for (size_t i = 0; i < n; i++)
        sift_up(c->late, c->n_late++, (struct late){.when = when, .other = other, .key = keys[i]});
}

static void add(struct calendar *c, pm_clock when, pm_clock other, const pm_key *keys, size_t n)
{
    if (c->first && when < c->last_when)
        add_late(c, when, other, keys, n);
    else
        append(c, when, other, keys, n);
    __atomic_store_n(&c->n_keys, c->n_keys + n, __ATOMIC_RELAXED);
}

static struct late take_late(struct calendar *c)
{
    struct late top = c->late[0], last = c->late[--c->n_late];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < c->n_late; at = child) {
        if (child + 1 < c->n_late && c->late[child + 1].when < c->late[child].when)
            child++;
        if (c->late[child].when >= last.when)
            break;
        c->late[at] = c->late[child];
    }
    c->late[at] = last;
    return top;
}

/* The queue's first entry goes. */
static void shift(struct calendar *c, size_t n)
{
    struct chunk *chunk = c->first;
    chunk->begin += (uint32_t)(HEADER_WORDS + n);
    if (chunk->begin < chunk->end)
        return;
    c->first = chunk->next;
    if (!c->first)
        c->last = NULL;
    chunk->next = c->spare;
    c->spare = chunk;
}

/* Takes the earliest entry if its clock is no later than `until`: its keys go to `keys`, which has room for CHUNK_WORDS. Returns
 * their number, 0 when there is none. */
static size_t take(struct calendar *c, pm_clock until, pm_key *keys, pm_clock *when, pm_clock *other)
{
    const uint64_t *words = c->first ? c->first->words + c->first->begin : NULL;
    bool queue = words && (!c->n_late || (pm_clock)words[0] <= c->late[0].when);
    if (!queue && !c->n_late)
        return 0;
    if ((queue ? (pm_clock)words[0] : c->late[0].when) > until)
        return 0;
    size_t n = 1;
    if (queue) {
        n = words[2];
        *when = (pm_clock)words[0];
        *other = (pm_clock)words[1];
        memcpy(keys, words + HEADER_WORDS, n * sizeof *keys);
        shift(c, n);
    } else {
        struct late l = take_late(c);
        *when = l.when;
        *other = l.other;
        *keys = l.key;
    }
    __atomic_store_n(&c->n_keys, c->n_keys - n, __ATOMIC_RELAXED);
    return n;
}

static void free_chunks(struct chunk *chunk)
{
    for (struct chunk *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
}

static void fini(struct calendar *c)
{
    free_chunks(c->first);
    free_chunks(c->spare);
    free(c->late);
}

/* ---- the table of active intents ---- */

static inline __attribute__((always_inline)) void prefetch_place(const struct pm_intents *t, pm_key key)
{
    __builtin_prefetch(&t->table[(uint32_t)pm_hash64(key) & t->mask], 1);
}

static struct active *place_of(const struct pm_intents *t, pm_key key)
{
    uint32_t at = (uint32_t)pm_hash64(key) & t->mask;
    while (t->table[at].key != PM_KEY_NONE && t->table[at].key != key)
        at = (at + 1) & t->mask;
    return &t->table[at];
}

static struct active *empty_table(uint32_t places)
{
    struct active *table = malloc(places * sizeof *table);
    for (uint32_t i = 0; table && i < places; i++)
        table[i].key = PM_KEY_NONE;
    return table;
}

static void grow(struct pm_intents *t)
{
    struct active *old = t->table;
    uint32_t places = t->mask + 1;
    t->table = empty_table(2 * places);
    PM_ASSERT(t->table, "out of memory for %u active intents", t->n);
    t->mask = 2 * places - 1;
    for (uint32_t i = 0; i < places; i++)
        if (old[i].key != PM_KEY_NONE)
            *place_of(t, old[i].key) = old[i];
    free(old);
}

/* Wants the key until `end` at least; true when it was not wanted. */
static bool want(struct pm_intents *t, pm_key key, pm_clock end)
{
    struct active *a = place_of(t, key);
    if (a->key == key) {
        a->end = end > a->end ? end : a->end;
        return false;
    }
    *a = (struct active){.key = key, .end = end};
    __atomic_store_n(&t->n, t->n + 1, __ATOMIC_RELAXED);
    if (2 * t->n > t->mask)
        grow(t);
    return true;
}

/* Frees a place and moves those behind it up, so that every key is still found from its own place on. */
static void clear(struct pm_intents *t, struct active *a)
{
    uint32_t hole = (uint32_t)(a - t->table);
    for (uint32_t at = (hole + 1) & t->mask; t->table[at].key != PM_KEY_NONE; at = (at + 1) & t->mask) {
        uint32_t own = (uint32_t)pm_hash64(t->table[at].key) & t->mask;
        if (((at - own) & t->mask) < ((at - hole) & t->mask))
            continue; /* its own place is behind the hole */
        t->table[hole] = t->table[at];
        hole = at;
    }
    t->table[hole].key = PM_KEY_NONE;
    __atomic_store_n(&t->n, t->n - 1, __ATOMIC_RELAXED);
}

/* ---- workers and policies ---- */

struct pm_intents *pm_intents_new(void)
{
    struct pm_intents *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->table = empty_table(FIRST_PLACES);
    t->mask = FIRST_PLACES - 1;
    if (!t->table) {
        free(t);
        return NULL;
    }
    return t;
}

void pm_intents_free(struct pm_intents *t)
{
    if (!t)
        return;
    fini(&t->declared);
    fini(&t->ends);
    free(t->table);
    free(t);
}

uint64_t pm_intents_bytes(const struct pm_intents *t)
{
    return __atomic_load_n(&t->declared.bytes, __ATOMIC_RELAXED) + __atomic_load_n(&t->ends.bytes, __ATOMIC_RELAXED) +
           __atomic_load_n(&t->n, __ATOMIC_RELAXED) * 2 * sizeof *t->table;
}

void pm_intent_keep(struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start, pm_clock end)
{
    struct pm_intents *t = worker->intents;
    pm_lock(worker->ctx.node, &t->latch);
    bool room = n <= worker->ctx.node->config.intents_max - t->declared.n_keys;
    if (room)
        add(&t->declared, start, end, keys, n);
    pm_unlock(worker->ctx.node, &t->latch);
    if (!room)
        pm_count(&worker->ctx.counters.intents_dropped, n);
}

/* Room for the keys of entries. */
static pm_key *buffer(struct pm_ctx *ctx)
{
    struct pm_scratch *s = ctx->scratch;
    PM_ASSERT(pm_grow(&s->intents, &s->intents_capacity, TOGETHER, sizeof *s->intents) == PM_OK, "out of memory");
    return s->intents;
}

static pm_clock *buffer_of_ends(struct pm_ctx *ctx)
{
    struct pm_scratch *s = ctx->scratch;
    PM_ASSERT(pm_grow(&s->intent_ends, &s->intent_ends_capacity, TOGETHER, sizeof *s->intent_ends) == PM_OK, "out of memory");
    return s->intent_ends;
}

static size_t take_declared(struct pm_worker *worker, pm_clock until, pm_key *keys, pm_clock *start, pm_clock *end)
{
    struct pm_intents *t = worker->intents;
    if (__atomic_load_n(&t->declared.n_keys, __ATOMIC_RELAXED) == 0)
        return 0;
    pm_lock(worker->ctx.node, &t->latch);
    size_t n = take(&t->declared, until, keys, start, end);
    pm_unlock(worker->ctx.node, &t->latch);
    return n;
}

void pm_intents_take(struct pm_ctx *ctx, struct pm_worker *worker, pm_clock until, pm_intent_fn fn, void *arg)
{
    pm_key *keys = buffer(ctx);
    pm_clock start, end;
    for (size_t n; (n = take_declared(worker, until, keys, &start, &end)) > 0;)
        fn(ctx, arg, keys, n, start, end);
}

/* What will be touched of a later key comes into the cache. Inlined, because the compiler drops calls of what only prefetches. */
static inline __attribute__((always_inline)) void fetch_ahead(struct pm_ctx *ctx, const struct pm_intents *t, const pm_key *keys,
                                                              size_t n, size_t i)
{
    if (i >= n)
        return;
    prefetch_place(t, keys[i]);
    pm_slots_prefetch(&ctx->node->slots, keys[i]);
}

/* Takes entries while there is room for whatever is next, and says for each key until when it is wanted; those that are over
 * already are gone. 0: there is none. */
static size_t take_wanted(struct pm_worker *worker, pm_clock now, pm_clock until, pm_key *keys, pm_clock *ends)
{
    struct pm_intents *t = worker->intents;
    if (__atomic_load_n(&t->declared.n_keys, __ATOMIC_RELAXED) == 0)
        return 0;
    pm_clock start, end;
    size_t n = 0;
    pm_lock(worker->ctx.node, &t->latch);
    for (size_t got; n + CHUNK_WORDS <= TOGETHER && (got = take(&t->declared, until, keys + n, &start, &end)) > 0;)
        for (size_t i = 0; i < got && end > now; i++)
            ends[n++] = end;
    pm_unlock(worker->ctx.node, &t->latch);
    return n;
}

/* Keys that are wanted until the same clock are one entry of the second calendar. */
static void note_ends(struct pm_intents *t, const pm_key *keys, const pm_clock *ends, size_t n)
{
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && ends[next] == ends[i];)
            next++;
        add(&t->ends, ends[i], 0, keys + i, next - i);
    }
}

static size_t take_ended(struct pm_intents *t, pm_clock now, pm_key *keys)
{
    pm_clock end, other;
    size_t n = 0;
    for (size_t got; n + CHUNK_WORDS <= TOGETHER && (got = take(&t->ends, now, keys + n, &end, &other)) > 0;)
        n += got;
    return n;
}

/* Those that were not wanted move to the front, with their ends. Returns their number. */
static size_t begin(struct pm_ctx *ctx, struct pm_intents *t, pm_key *keys, pm_clock *ends, size_t n, pm_visit_fn began, void *arg)
{
    size_t fresh = 0;
    for (size_t i = 0; i < n; i++) {
        fetch_ahead(ctx, t, keys, n, i + AHEAD);
        if (!want(t, keys[i], ends[i]))
            continue;
        keys[fresh] = keys[i];
        ends[fresh++] = ends[i];
        struct pm_slot *slot = pm_slot_open(ctx, keys[i]);
        if (slot->intents++ == 0) {
            pm_event(ctx, keys[i], PM_EVENT_INTENT);
            began(ctx, arg, keys[i], slot);
        }
        pm_slot_close(ctx, slot);
    }
    return fresh;
}

static void finish(struct pm_ctx *ctx, struct pm_intents *t, const pm_key *keys, size_t n, pm_clock now)
{
    for (size_t i = 0; i < n; i++) {
        fetch_ahead(ctx, t, keys, n, i + AHEAD);
        struct active *a = place_of(t, keys[i]);
        PM_ASSERT(a->key == keys[i], "an intent ends that had not begun");
        if (a->end > now) {
            add(&t->ends, a->end, 0, &keys[i], 1); /* wanted for longer meanwhile */
            continue;
        }
        clear(t, a);
        struct pm_slot *slot = pm_slot_open(ctx, keys[i]);
        PM_ASSERT(slot->intents > 0, "an intent ends that had not begun");
        if (--slot->intents == 0)
            pm_event(ctx, keys[i], PM_EVENT_EXPIRED);
        pm_slot_close(ctx, slot);
    }
}

void pm_intents_activate(struct pm_ctx *ctx, struct pm_worker *worker, pm_clock now, pm_clock until, pm_visit_fn began,
                         void *arg)
{
    struct pm_intents *t = worker->intents;
    pm_key *keys = buffer(ctx);
    pm_clock *ends = buffer_of_ends(ctx);
    for (size_t n; (n = take_wanted(worker, now, until, keys, ends)) > 0;) {
        note_ends(t, keys, ends, begin(ctx, t, keys, ends, n, began, arg));
    }
    for (size_t n; (n = take_ended(t, now, keys)) > 0;)
        finish(ctx, t, keys, n, now);
}
