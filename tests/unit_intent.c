/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Core's calendar of intents against a list that is looked through for everything. PM_SEED=n runs that sequence alone, RUNS
 * sets how many there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/blocks.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_classic;

enum { WORKERS = 2, KEYS = 64, RUNS = 4000, STEPS = 60, LIST_MAX = 1 << 17, LONG_MOST = 4000 };

/* One key of an intent. */
struct entry {
    pm_key key;
    pm_clock start, end;
};

struct list {
    size_t n;
    struct entry *entries; /* LIST_MAX */
};

/* What should be there. */
struct model {
    struct list declared[WORKERS];
    pm_clock ends[WORKERS][KEYS]; /* of the active ones; 0: none */
    pm_clock now[WORKERS], newest[WORKERS];
};

struct run {
    struct hand *hand;
    struct model model;
    struct pm_rng rng;
    struct list taken;
    pm_key *keys; /* LONG_MOST */
    size_t began[KEYS], longest_part;
};

static struct hand *cluster(uint64_t intents_max)
{
    return hand_new(&(struct hand_config){.policy = &pm_policy_classic,
                                          .options = "",
                                          .nodes = 1,
                                          .workers = WORKERS,
                                          .keys = KEYS,
                                          .length = 1,
                                          .intents_max = intents_max});
}

static void put(struct list *l, pm_key key, pm_clock start, pm_clock end)
{
    assert_true(l->n < LIST_MAX);
    l->entries[l->n++] = (struct entry){.key = key, .start = start, .end = end};
}

/* Moves what starts by `until` to the other list. */
static void move_due(struct list *from, pm_clock until, struct list *to)
{
    size_t kept = 0;
    for (size_t i = 0; i < from->n; i++) {
        struct entry e = from->entries[i];
        if (e.start <= until)
            put(to, e.key, e.start, e.end);
        else
            from->entries[kept++] = e;
    }
    from->n = kept;
}

static int by_all(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

/* ---- what a step does, and should have done ---- */

static void declare(struct run *r, uint32_t w)
{
    struct model *m = &r->model;
    bool is_long = pm_rng_below(&r->rng, 40) == 0, late = pm_rng_below(&r->rng, 3) == 0;
    size_t n = is_long ? 1 + pm_rng_below(&r->rng, LONG_MOST) : 1 + pm_rng_below(&r->rng, 6);
    pm_clock start = late ? (pm_clock)pm_rng_below(&r->rng, 100) : m->newest[w] + (pm_clock)pm_rng_below(&r->rng, 3);
    pm_clock end = start + 1 + (pm_clock)pm_rng_below(&r->rng, pm_rng_below(&r->rng, 2) ? 3 : 30);
    m->newest[w] = start > m->newest[w] ? start : m->newest[w];
    for (size_t i = 0; i < n; i++) {
        r->keys[i] = pm_rng_below(&r->rng, KEYS);
        put(&m->declared[w], r->keys[i], start, end);
    }
    pm_intent_keep(hand_worker(r->hand, 0, w), r->keys, n, start, end);
}

static void note_taken(struct pm_ctx *ctx, void *arg, const pm_key *keys, size_t n, pm_clock start, pm_clock end)
{
    struct run *r = arg;
    (void)ctx;
    assert_true(n > 0 && (r->taken.n == 0 || r->taken.entries[r->taken.n - 1].start <= start));
    for (size_t i = 0; i < n; i++)
        put(&r->taken, keys[i], start, end);
    r->longest_part = n > r->longest_part ? n : r->longest_part;
}

static pm_clock some_clock(struct run *r, uint32_t w)
{
    return r->model.now[w] + (pm_clock)pm_rng_below(&r->rng, pm_rng_below(&r->rng, 4) ? 4 : 60);
}

static void take(struct run *r, uint32_t w, struct list *expected)
{
    pm_clock until = some_clock(r, w);
    expected->n = r->taken.n = 0;
    move_due(&r->model.declared[w], until, expected);
    struct pm_worker *worker = hand_worker(r->hand, 0, w);
    pm_intents_take(&worker->ctx, worker, until, note_taken, r);
    assert_int_equal(r->taken.n, expected->n);
    qsort(expected->entries, expected->n, sizeof *expected->entries, by_all);
    qsort(r->taken.entries, r->taken.n, sizeof *r->taken.entries, by_all);
    for (size_t i = 0; i < expected->n; i++)
        assert_int_equal(by_all(&expected->entries[i], &r->taken.entries[i]), 0);
}

static void note_began(struct pm_ctx *ctx, void *arg, pm_key key, struct pm_slot *slot)
{
    struct run *r = arg;
    (void)ctx;
    assert_int_equal(slot->intents, 1);
    r->began[key]++;
}

static uint32_t wanted_by(const struct model *m, pm_key key)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < WORKERS; w++)
        n += m->ends[w][key] != 0;
    return n;
}

static void activate(struct run *r, uint32_t w, struct list *due)
{
    struct model *m = &r->model;
    size_t began[KEYS] = {0};
    pm_clock until = some_clock(r, w), now = m->now[w];
    due->n = 0;
    move_due(&m->declared[w], until, due);
    for (size_t i = 0; i < due->n; i++) {
        struct entry e = due->entries[i];
        pm_clock *end = &m->ends[w][e.key];
        if (e.end <= now)
            continue;
        began[e.key] += wanted_by(m, e.key) == 0;
        *end = e.end > *end ? e.end : *end;
    }
    for (pm_key key = 0; key < KEYS; key++)
        if (m->ends[w][key] <= now)
            m->ends[w][key] = 0;
    memset(r->began, 0, sizeof r->began);
    struct pm_worker *worker = hand_worker(r->hand, 0, w);
    pm_intents_activate(&worker->ctx, worker, now, until, note_began, r);
    for (pm_key key = 0; key < KEYS; key++) {
        const struct pm_slot *slot = hand_slot(r->hand, 0, key);
        assert_int_equal(slot ? slot->intents : 0, wanted_by(m, key));
        assert_int_equal(r->began[key], began[key]);
    }
}

/* ---- random sequences ---- */

static struct list new_list(void)
{
    struct list l = {.entries = malloc(LIST_MAX * sizeof *l.entries)};
    assert_non_null(l.entries);
    return l;
}

static void sequence(struct run *r, struct list *due)
{
    for (int step = 0; step < STEPS; step++) {
        uint32_t w = (uint32_t)pm_rng_below(&r->rng, WORKERS);
        uint64_t what = pm_rng_below(&r->rng, 8);
        if (what < 4)
            declare(r, w);
        else if (what == 4)
            take(r, w, due);
        else if (what < 7)
            activate(r, w, due);
        else
            r->model.now[w] += (pm_clock)pm_rng_below(&r->rng, 5);
    }
    for (uint32_t w = 0; w < WORKERS; w++) { /* nothing stays behind */
        r->model.now[w] = 1000;
        activate(r, w, due);
        take(r, w, due);
        for (pm_key key = 0; key < KEYS; key++)
            assert_int_equal(r->model.ends[w][key], 0);
    }
}

static void as_a_list_does(void **state)
{
    (void)state;
    uint64_t first = repeat_number("PM_SEED", 1), runs = getenv("PM_SEED") ? 1 : repeat_number("RUNS", RUNS / REPEAT_SHARE);
    struct run r = {.taken = new_list(), .keys = malloc(LONG_MOST * sizeof *r.keys)};
    struct list due = new_list();
    assert_non_null(r.keys);
    for (uint32_t w = 0; w < WORKERS; w++)
        r.model.declared[w] = new_list();
    for (uint64_t seed = first; seed < first + runs; seed++) {
        repeat_note(seed, "", "as_a_list_does");
        for (uint32_t w = 0; w < WORKERS; w++) {
            r.model.declared[w].n = 0;
            r.model.now[w] = r.model.newest[w] = 0;
        }
        pm_rng_init(&r.rng, "intents", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
        r.hand = cluster(0);
        sequence(&r, &due);
        hand_free(r.hand);
    }
    assert_true(getenv("PM_SEED") || r.longest_part > 900); /* lists of several chunks were among them */
    for (uint32_t w = 0; w < WORKERS; w++)
        free(r.model.declared[w].entries);
    free(r.taken.entries);
    free(due.entries);
    free(r.keys);
}

/* ---- memory ---- */

static void ignore(struct pm_ctx *ctx, void *arg, const pm_key *keys, size_t n, pm_clock start, pm_clock end)
{
    (void)ctx, (void)keys, (void)start, (void)end;
    *(size_t *)arg += n;
}

static uint64_t dropped(struct hand *h)
{
    struct pm_counters c;
    pm_node_counters(hand_node(h, 0), &c);
    return c.intents_dropped;
}

/* An intent has room wholly or not at all; what is taken makes room. Each worker has its own. */
static void too_many_are_dropped(void **state)
{
    (void)state;
    pm_key keys[101];
    size_t taken = 0;
    for (size_t i = 0; i < 101; i++)
        keys[i] = i % KEYS;
    struct hand *h = cluster(100);
    struct pm_worker *w = hand_worker(h, 0, 0);
    pm_intent_keep(w, keys, 101, 1, 2);
    assert_int_equal(dropped(h), 101);
    pm_intent_keep(w, keys, 60, 5, 9);
    pm_intent_keep(w, keys, 41, 1, 2);
    assert_int_equal(dropped(h), 142);
    pm_intent_keep(w, keys, 40, 1, 2);
    pm_intent_keep(w, keys, 1, 1, 2);
    assert_int_equal(dropped(h), 143);
    pm_intent_keep(hand_worker(h, 0, 1), keys, 100, 1, 2);
    assert_int_equal(dropped(h), 143);
    pm_intents_take(&w->ctx, w, 4, ignore, &taken);
    assert_int_equal(taken, 40);
    pm_intent_keep(w, keys, 40, 1, 2);
    assert_int_equal(dropped(h), 143);
    pm_intent_keep(w, keys, 1, 1, 2);
    assert_int_equal(dropped(h), 144);
    pm_intents_take(&w->ctx, w, 9, ignore, &taken);
    assert_int_equal(taken, 140);
    hand_free(h);
}

static void look_away(struct pm_ctx *ctx, void *arg, pm_key key, struct pm_slot *slot)
{
    (void)ctx, (void)arg, (void)key, (void)slot;
}

/* As a loader does it, and one that jumps: so many batches ahead are declared, of some keys each. */
static void go_on(struct hand *h, pm_clock from, pm_clock to, bool activates)
{
    enum { AHEAD = 50, PER_BATCH = 40 };
    struct pm_worker *w = hand_worker(h, 0, 0);
    pm_key keys[PER_BATCH];
    size_t taken = 0;
    for (pm_clock c = from; c < to; c++) {
        pm_clock start = c + AHEAD - (c % 7 == 0 ? 9 : 0);
        for (int i = 0; i < PER_BATCH; i++)
            keys[i] = (pm_key)(c * 13 + i * 7) % KEYS;
        pm_intent_keep(w, keys, PER_BATCH, start, start + 3);
        if (activates)
            pm_intents_activate(&w->ctx, w, c, c + 2, look_away, NULL);
        else
            pm_intents_take(&w->ctx, w, c + 2, ignore, &taken);
    }
}

/* After the first windows memory is used again, and there is no more of it. */
static void nothing_is_allocated_later(void **state)
{
    (void)state;
    for (int activates = 0; activates < 2; activates++) {
        struct hand *h = cluster(0);
        const struct pm_intents *intents = hand_worker(h, 0, 0)->intents;
        go_on(h, 0, 300, activates);
        int64_t blocks = blocks_taken;
        uint64_t bytes = pm_intents_bytes(intents);
        go_on(h, 300, 20000, activates);
        assert_int_equal(blocks_taken, blocks);
        if (!activates)
            assert_int_equal(pm_intents_bytes(intents), bytes);
        assert_true(bytes > 50 * 40 * sizeof(pm_key) && pm_intents_bytes(intents) < 200000);
        hand_free(h);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_list_does),
        cmocka_unit_test(too_many_are_dropped),
        cmocka_unit_test(nothing_is_allocated_later),
    };
    return repeat_main(argc, argv, "intents", tests, sizeof tests / sizeof *tests);
}
