/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every level is the question whether a graph over operations has a cycle. */
#include "cli/history.h"

#include <string.h>

#include "core/error.h"

const char *const history_level_names[HISTORY_LEVELS] = {"eventual", "PRAM/clock", "PRAM", "causal", "sequential", "serializable"};

enum { WORDS = HISTORY_OPS / 64, ALL_KEYS = -1, ALL_WORKERS = -1 };

/* Operations by number; edges[a] has bit b: a must come before b. */
struct graph {
    uint32_t n;
    uint64_t there[WORDS]; /* operations that take part */
    uint64_t edges[HISTORY_OPS][WORDS];
};

static bool has(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void add(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

uint64_t history_decode(const float values[HISTORY_ELEMENTS])
{
    uint64_t set = 0;
    for (uint32_t e = 0; e < HISTORY_ELEMENTS; e++) {
        if (!(values[e] >= 0 && values[e] < (float)(1 << HISTORY_ELEMENT_UPDATES)))
            return HISTORY_FOREIGN;
        uint32_t whole = (uint32_t)values[e];
        if ((float)whole != values[e])
            return HISTORY_FOREIGN;
        set |= (uint64_t)whole << (e * HISTORY_ELEMENT_UPDATES);
    }
    return set;
}

void history_encode(uint32_t update, float values[HISTORY_ELEMENTS])
{
    PM_ASSERT(update < HISTORY_UPDATES);
    for (uint32_t e = 0; e < HISTORY_ELEMENTS; e++)
        values[e] =
            update / HISTORY_ELEMENT_UPDATES == e ? (float)(UINT64_C(1) << update % HISTORY_ELEMENT_UPDATES) : 0;
}

/* Part of an operation at a key; -1: it does not access it. */
static int part_of(const struct history_op *op, uint32_t key)
{
    for (int p = 0; p < op->n_parts; p++)
        if (op->keys[p] == key)
            return p;
    return -1;
}

/* What one key demands of a push and a read: true, and whether the push must be the first of the two. */
static bool ordered_at(const struct history_op *push, const struct history_op *pull, uint32_t key, bool *push_first)
{
    int at_push = part_of(push, key), at_pull = part_of(pull, key);
    if (at_push < 0 || at_pull < 0)
        return false;
    *push_first = (pull->sets[at_pull] & push->sets[at_push]) != 0;
    return true;
}

/* ---- the graph of a level ---- */

/* What makes the graphs differ. */
struct question {
    int key;                 /* ALL_KEYS: transactions over all of them */
    int reader;              /* whose reads miss pushes; ALL_WORKERS: everybody's */
    bool others_read;        /* reads of other workers take part, with what they saw */
    enum { UNORDERED, BY_CLOCK, BY_PROGRAM } order; /* of a worker's operations */
};

/* The questions of a level, one after the other; false when there are no more. */
static bool question_at(const struct history *h, enum history_level level, uint32_t i, struct question *q)
{
    *q = (struct question){.key = ALL_KEYS, .reader = ALL_WORKERS, .others_read = true};
    if (level == HISTORY_SERIALIZABLE)
        return i == 0;
    q->order = level == HISTORY_CLOCKED ? BY_CLOCK : BY_PROGRAM;
    if (level == HISTORY_SEQUENTIAL) {
        q->key = (int)i;
        return i < h->n_keys;
    }
    q->others_read = level == HISTORY_CAUSAL;
    q->key = (int)(i / h->ranks);
    q->reader = (int)(i % h->ranks);
    return i < h->n_keys * h->ranks;
}

/* Does the order of one worker's operations put a before b? */
static bool ordered(const struct history *h, const struct question *q, uint32_t a, uint32_t b)
{
    if (q->order == UNORDERED || h->ops[a].worker != h->ops[b].worker || a >= b)
        return false;
    return q->order == BY_PROGRAM || h->ops[a].clock < h->ops[b].clock;
}

static bool takes_part(const struct history_op *op, const struct question *q)
{
    if (q->key != ALL_KEYS && part_of(op, (uint32_t)q->key) < 0)
        return false;
    return op->kind == HISTORY_PUSH || q->others_read || q->reader == op->worker;
}

static bool counts_misses(const struct history_op *pull, const struct question *q)
{
    return q->reader == ALL_WORKERS || q->reader == pull->worker;
}

/* Edges between a push and a pull, at one key or at any. */
static void relate(const struct history *h, struct graph *g, const struct question *q, uint32_t push, uint32_t pull)
{
    for (uint32_t key = 0; key < h->n_keys; key++) {
        bool push_first;
        if ((q->key != ALL_KEYS && q->key != (int)key) ||
            !ordered_at(&h->ops[push], &h->ops[pull], key, &push_first))
            continue;
        if (push_first)
            add(g->edges[push], pull);
        else if (counts_misses(&h->ops[pull], q))
            add(g->edges[pull], push);
    }
}

static void build(const struct history *h, const struct question *q, struct graph *g)
{
    memset(g, 0, sizeof *g);
    g->n = h->n_ops;
    for (uint32_t i = 0; i < h->n_ops; i++)
        if (takes_part(&h->ops[i], q))
            add(g->there, i);
    for (uint32_t i = 0; i < h->n_ops; i++)
        for (uint32_t j = i + 1; j < h->n_ops && has(g->there, i); j++) {
            if (!has(g->there, j))
                continue;
            if (ordered(h, q, i, j))
                add(g->edges[i], j);
            if (h->ops[i].kind != h->ops[j].kind)
                relate(h, g, q, h->ops[i].kind == HISTORY_PUSH ? i : j, h->ops[i].kind == HISTORY_PUSH ? j : i);
        }
}

/* Takes away operations that nothing must precede, until none is left or a cycle remains. */
static bool has_cycle(struct graph *g)
{
    for (bool changed = true; changed;) {
        uint64_t preceded[WORDS] = {0}, rest = 0;
        changed = false;
        for (uint32_t i = 0; i < g->n; i++)
            for (uint32_t w = 0; w < WORDS && has(g->there, i); w++)
                preceded[w] |= g->edges[i][w];
        for (uint32_t w = 0; w < WORDS; w++) {
            uint64_t left = g->there[w] & preceded[w];
            changed |= left != g->there[w];
            g->there[w] = left;
            rest |= left;
        }
        if (rest == 0)
            return false;
    }
    return true;
}

/* ---- what no graph is needed for ---- */

/* Updates that are pushed to a key. */
static uint64_t pushed(const struct history *h, uint32_t key)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < h->n_ops; i++) {
        int part = h->ops[i].kind == HISTORY_PUSH ? part_of(&h->ops[i], key) : -1;
        all |= part >= 0 ? h->ops[i].sets[part] : 0;
    }
    return all;
}

/* A read that saw what nobody pushed; n_ops: there is none. */
static uint32_t foreign_read(const struct history *h)
{
    for (uint32_t key = 0; key < h->n_keys; key++) {
        uint64_t all = pushed(h, key);
        for (uint32_t i = 0; i < h->n_ops; i++) {
            int part = h->ops[i].kind == HISTORY_PULL ? part_of(&h->ops[i], key) : -1;
            if (part >= 0 && (h->ops[i].sets[part] & ~all) != 0)
                return i;
        }
    }
    return h->n_ops;
}

/* A key whose main copy is not the sum of all pushes after the drain; n_keys: none. */
static uint32_t wrong_key(const struct history *h)
{
    uint32_t key = 0;
    while (key < h->n_keys && h->final[key] == pushed(h, key))
        key++;
    return key;
}

bool history_violates(const struct history *h, enum history_level level)
{
    struct question q;
    struct graph g;
    if (level == HISTORY_EVENTUAL)
        return wrong_key(h) < h->n_keys;
    if (foreign_read(h) < h->n_ops)
        return true;
    for (uint32_t i = 0; question_at(h, level, i, &q); i++) {
        build(h, &q, &g);
        if (has_cycle(&g))
            return true;
    }
    return false;
}

/* ---- the shortest cycle ---- */

/* Shortest way from `start` back to itself along the edges; false when there is none shorter than `limit`. */
static bool way_back(const struct graph *g, uint32_t start, uint32_t limit, uint16_t *way, uint32_t *length)
{
    uint16_t queue[HISTORY_OPS], from[HISTORY_OPS], distance[HISTORY_OPS] = {0};
    uint32_t head = 0, tail = 0;
    queue[tail++] = (uint16_t)start;
    while (head < tail) {
        uint32_t at = queue[head++];
        if (distance[at] + 1u >= limit)
            return false;
        if (has(g->edges[at], start)) {
            *length = distance[at] + 1u;
            for (uint32_t i = *length; i-- > 0; at = from[at])
                way[i] = (uint16_t)at;
            return true;
        }
        for (uint32_t next = 0; next < g->n; next++)
            if (next != start && distance[next] == 0 && has(g->edges[at], next)) {
                distance[next] = (uint16_t)(distance[at] + 1);
                from[next] = (uint16_t)at;
                queue[tail++] = (uint16_t)next;
            }
    }
    return false;
}

static void explain(const struct history *h, const struct question *q, uint16_t a, uint16_t b, uint8_t *key, uint8_t *reason)
{
    const struct history_op *first = &h->ops[a], *second = &h->ops[b];
    if (ordered(h, q, a, b)) {
        *key = (uint8_t)q->key;
        *reason = HISTORY_PROGRAM;
        return;
    }
    bool pushes = first->kind == HISTORY_PUSH, push_first;
    for (uint32_t k = 0; k < h->n_keys; k++)
        if ((q->key == ALL_KEYS || q->key == (int)k) &&
            ordered_at(pushes ? first : second, pushes ? second : first, k, &push_first) && push_first == pushes) {
            *key = (uint8_t)k;
            *reason = pushes ? HISTORY_SEEN : HISTORY_MISSED;
            return;
        }
    PM_ASSERT(false, "an edge without a reason");
}

static bool shortest_cycle(const struct history *h, enum history_level level, struct history_cycle *cycle)
{
    struct question q;
    struct graph g;
    uint16_t way[HISTORY_OPS];
    uint32_t best = HISTORY_OPS + 1, length;
    for (uint32_t i = 0; question_at(h, level, i, &q); i++) {
        build(h, &q, &g);
        if (!has_cycle(&g))
            continue;
        for (uint32_t start = 0; start < g.n; start++) {
            if (!has(g.there, start) || !way_back(&g, start, best, way, &length))
                continue;
            best = length;
            cycle->n = length;
            for (uint32_t s = 0; s < length; s++) {
                cycle->steps[s].op = way[s];
                explain(h, &q, way[s], way[(s + 1) % length], &cycle->steps[s].key, &cycle->steps[s].reason);
            }
        }
    }
    return best <= HISTORY_OPS;
}

/* ---- a history of some of the operations ---- */

/* Parts of operations that are kept: bit per key. */
struct selection {
    uint8_t keys[HISTORY_OPS];
};

static void keep_part(struct history_op *to, const struct history_op *from, int part, uint64_t seen)
{
    to->keys[to->n_parts] = from->keys[part];
    to->sets[to->n_parts] = from->sets[part] & seen;
    to->n_parts++;
}

/* Copies what is selected; renumber[] says where operations went. */
static void select_parts(const struct history *h, const struct selection *s, struct history *out, uint16_t *renumber)
{
    uint64_t left[HISTORY_KEYS] = {0};
    for (uint32_t i = 0; i < h->n_ops; i++)
        for (int p = 0; p < h->ops[i].n_parts && h->ops[i].kind == HISTORY_PUSH; p++)
            if (s->keys[i] >> h->ops[i].keys[p] & 1)
                left[h->ops[i].keys[p]] |= h->ops[i].sets[p];
    *out = (struct history){.n_keys = h->n_keys, .ranks = h->ranks, .workers_per_node = h->workers_per_node};
    for (uint32_t key = 0; key < h->n_keys; key++) {
        uint64_t all = pushed(h, key);
        out->final[key] = h->final[key] & (left[key] | ~all);
        left[key] |= ~all; /* what nobody pushed stays seen */
    }
    for (uint32_t i = 0; i < h->n_ops; i++) {
        if (s->keys[i] == 0)
            continue;
        const struct history_op *from = &h->ops[i];
        struct history_op *to = &out->ops[out->n_ops];
        *to = (struct history_op){.kind = from->kind,
                                  .worker = from->worker,
                                  .clock = from->clock,
                                  .invoked = from->invoked,
                                  .responded = from->responded};
        for (int p = 0; p < from->n_parts; p++)
            if (s->keys[i] >> from->keys[p] & 1)
                keep_part(to, from, p, left[from->keys[p]]);
        renumber[i] = (uint16_t)out->n_ops++;
    }
}

/* The pushes that the main copy of a key lacks; what it has too much is foreign without them. */
static void select_lost(const struct history *h, uint32_t key, struct selection *s)
{
    for (uint32_t i = 0; i < h->n_ops; i++) {
        int part = h->ops[i].kind == HISTORY_PUSH ? part_of(&h->ops[i], key) : -1;
        if (part >= 0 && !(h->ops[i].sets[part] & h->final[key]))
            s->keys[i] = (uint8_t)(1 << key);
    }
}

static void select_foreign(const struct history *h, uint32_t read, struct selection *s)
{
    for (uint32_t key = 0; key < h->n_keys; key++) {
        int part = part_of(&h->ops[read], key);
        if (part >= 0 && (h->ops[read].sets[part] & ~pushed(h, key)) != 0)
            s->keys[read] = (uint8_t)(1 << key);
    }
}

bool history_shorten(const struct history *h, enum history_level level, struct history *out, struct history_cycle *cycle)
{
    struct selection s = {0};
    uint16_t renumber[HISTORY_OPS];
    cycle->n = 0;
    uint32_t key = wrong_key(h), read = foreign_read(h);
    if (level == HISTORY_EVENTUAL) {
        if (key == h->n_keys)
            return false;
        select_lost(h, key, &s);
    } else if (read < h->n_ops) {
        select_foreign(h, read, &s);
    } else if (!shortest_cycle(h, level, cycle)) {
        return false;
    }
    for (uint32_t i = 0; i < cycle->n; i++) {
        s.keys[cycle->steps[i].op] |= (uint8_t)(1 << cycle->steps[i].key);
        s.keys[cycle->steps[(i + 1) % cycle->n].op] |= (uint8_t)(1 << cycle->steps[i].key);
    }
    select_parts(h, &s, out, renumber);
    for (uint32_t i = 0; i < cycle->n; i++)
        cycle->steps[i].op = renumber[cycle->steps[i].op];
    return true;
}
