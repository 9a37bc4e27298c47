/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Consistency of histories: textbook histories, good and bad, for each level; random small ones against a search through all
 * orders; the shortest part that violates a level. PM_SEED and HISTORIES steer the random ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/history.h"
#include "core/rng.h"
#include "tests/repeat.h"

enum { WORKERS = 4, RANDOM_OPS = 7, HISTORIES = 30000 };

/* ---- histories as text: "+xa" pushes update a to key x, "?x{ab}" reads it; "+xa,yb" several keys at once; "| " advances the
 * clock ---- */

static const char *read_part(const char *at, struct history_op *op)
{
    uint64_t set = 0;
    op->keys[op->n_parts] = (uint8_t)(*at++ - 'x');
    bool many = *at == '{';
    for (at += many; isalpha((unsigned char)*at); at += 1) {
        set |= UINT64_C(1) << (*at - 'a');
        if (!many) {
            at++;
            break;
        }
    }
    op->sets[op->n_parts++] = set;
    return at + (many && *at == '}');
}

static void read_worker(const char *text, uint8_t worker, struct history *h)
{
    uint32_t clock = 0;
    for (const char *at = text; *at;) {
        for (; *at == '|'; at += 2)
            clock++;
        struct history_op *op = &h->ops[h->n_ops++];
        *op = (struct history_op){.kind = *at == '+' ? HISTORY_PUSH : HISTORY_PULL, .worker = worker, .clock = clock};
        assert_true(*at == '+' || *at == '?');
        do
            at = read_part(at + 1, op);
        while (*at == ',');
        at += *at == ' ';
    }
}

/* Main copies as they should be. */
static void settle(struct history *h)
{
    for (uint32_t i = 0; i < h->n_ops; i++)
        for (uint32_t p = 0; p < h->ops[i].n_parts && h->ops[i].kind == HISTORY_PUSH; p++)
            h->final[h->ops[i].keys[p]] |= h->ops[i].sets[p];
}

static struct history history_of(const char *const workers[WORKERS])
{
    struct history h = {.n_keys = HISTORY_KEYS, .ranks = WORKERS, .workers_per_node = 1};
    for (uint8_t w = 0; w < WORKERS && workers[w]; w++)
        read_worker(workers[w], w, &h);
    settle(&h);
    return h;
}

/* Levels that are violated, as bits. */
enum {
    NONE = 0,
    CLOCKED = 1 << HISTORY_CLOCKED,
    PRAM = 1 << HISTORY_PRAM,
    CAUSAL = 1 << HISTORY_CAUSAL,
    SEQUENTIAL = 1 << HISTORY_SEQUENTIAL,
    SERIAL = 1 << HISTORY_SERIALIZABLE,
};

static unsigned violated(const struct history *h)
{
    unsigned levels = 0;
    for (enum history_level level = 0; level < HISTORY_LEVELS; level++)
        levels |= history_violates(h, level) ? 1u << level : 0;
    return levels;
}

static const struct {
    const char *name;
    const char *workers[WORKERS];
    unsigned violated;
} known[] = {
    {"nothing", {""}, NONE},
    {"alone", {"?x{} +xa ?x{a} +xb ?x{ab}"}, NONE},
    {"sees itself", {"+xa ?x{a}", "?x{} ?x{a}"}, NONE},
    {"does not read its own push", {"+xa ?x{}"}, PRAM | CAUSAL | SEQUENTIAL},
    {"reads its own push before it", {"?x{a} +xa"}, PRAM | CAUSAL | SEQUENTIAL},
    {"reads go back", {"+xa", "?x{a} ?x{}"}, PRAM | CAUSAL | SEQUENTIAL},
    {"one worker's pushes overtake", {"+xa +xb", "?x{b}"}, PRAM | CAUSAL | SEQUENTIAL},
    {"overtaking that nobody sees", {"+xa +xb", "?x{ab}"}, NONE},
    {"passed on and not seen", {"+xa", "?x{a} +xb", "?x{b}"}, CAUSAL | SEQUENTIAL | SERIAL},
    {"passed on over two", {"+xa", "?x{a} +xb", "?x{ab} +xc", "?x{bc}"}, CAUSAL | SEQUENTIAL | SERIAL},
    {"not passed on", {"+xa", "+xb ?x{ab}", "?x{b}"}, NONE},
    {"independent pushes in two orders", {"+xa", "+xb", "?x{a} ?x{ab}", "?x{b} ?x{ab}"}, SEQUENTIAL | SERIAL},
    {"store buffering", {"+xa ?x{a}", "+xb ?x{b}"}, SEQUENTIAL | SERIAL},
    {"store buffering, one sees both", {"+xa ?x{a}", "+xb ?x{ab}"}, NONE},
    {"keys apart: store buffering", {"+xa ?y{}", "+yb ?x{}"}, NONE},
    {"keys apart: message passing", {"+xa +yb", "?y{b} ?x{}"}, NONE},
    {"two keys torn", {"+xa,yb", "?x{a},y{}"}, SERIAL},
    {"two keys whole", {"+xa,yb", "?x{a},y{b} +zc", "?x{},y{},z{c}"}, NONE},
    {"two keys in two orders", {"+xa", "+yb", "?x{a},y{}", "?x{},y{b}"}, SERIAL},
    {"a circle of transactions", {"+xa ?y{},z{c}", "+yb ?z{},x{a}", "+zc ?x{},y{b}"}, SERIAL},
    {"own push missed, a clock later", {"+xa | ?x{}"}, CLOCKED | PRAM | CAUSAL | SEQUENTIAL},
    {"a clock's pushes overtake", {"+xa | +xb", "?x{b}"}, CLOCKED | PRAM | CAUSAL | SEQUENTIAL},
    {"a clock seen in part", {"| +xa +xb", "?x{b}"}, PRAM | CAUSAL | SEQUENTIAL},
    {"what nobody pushed", {"+xa", "?x{z}"}, CLOCKED | PRAM | CAUSAL | SEQUENTIAL | SERIAL},
};

static void known_histories(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct history h = history_of(known[i].workers);
        if (violated(&h) != known[i].violated)
            fail_msg("%s: levels %#x are violated, expected %#x", known[i].name, violated(&h), known[i].violated);
    }
}

static void main_copies(void **state)
{
    (void)state;
    struct history h = history_of((const char *const[WORKERS]){"+xa +xb", "+xc"}), shortest;
    struct history_cycle cycle;
    assert_false(history_violates(&h, HISTORY_EVENTUAL));
    h.final[0] = 5; /* b is lost */
    assert_true(history_shorten(&h, HISTORY_EVENTUAL, &shortest, &cycle));
    assert_int_equal(shortest.n_ops, 1);
    assert_int_equal(shortest.ops[0].sets[0], 2);
    assert_true(history_violates(&shortest, HISTORY_EVENTUAL));
    h.final[0] = 8 + 2; /* a, b, c, and b and c twice: 13 - 3 */
    assert_true(history_shorten(&h, HISTORY_EVENTUAL, &shortest, &cycle));
    assert_true(history_violates(&shortest, HISTORY_EVENTUAL));
    h.final[0] = 7 | HISTORY_FOREIGN; /* copies that differ */
    assert_true(history_violates(&h, HISTORY_EVENTUAL));
    assert_int_equal(violated(&h), 1 << HISTORY_EVENTUAL);
}

static void values_name_sets(void **state)
{
    (void)state;
    float sum[HISTORY_ELEMENTS] = {0}, one[HISTORY_ELEMENTS];
    uint64_t set = 0;
    for (uint32_t u = 0; u < HISTORY_UPDATES; u++) {
        history_encode(u, one);
        assert_true(history_decode(one) == UINT64_C(1) << u);
        for (uint32_t e = 0; e < HISTORY_ELEMENTS && u % 3; e++)
            sum[e] += one[e];
        set |= u % 3 ? UINT64_C(1) << u : 0;
        assert_true(history_decode(sum) == set);
    }
    const float wrong[][HISTORY_ELEMENTS] = {{0.5f, 0}, {-1, 0}, {0, 0x1p24f}, {0, 0.0f / 0.0f}, {1.0f / 0.0f, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_true(history_decode(wrong[i]) == HISTORY_FOREIGN);
}

/* ---- by searching for an order ---- */

/* Operations that must be put in a row so that the reads in `checked` return what was pushed before. */
struct search {
    const struct history *h;
    int key;                      /* -1: all */
    bool by_clock;                /* only operations of different clocks are in program order */
    unsigned there, checked;      /* operations, as bits */
    unsigned before[RANDOM_OPS];  /* operations that must come first */
};

static bool agrees(const struct search *s, const struct history_op *op, const uint64_t state[HISTORY_KEYS])
{
    for (uint32_t p = 0; p < op->n_parts; p++)
        if ((s->key < 0 || op->keys[p] == s->key) && op->sets[p] != state[op->keys[p]])
            return false;
    return true;
}

static bool order_exists(const struct search *s, unsigned placed, const uint64_t state[HISTORY_KEYS])
{
    if (placed == s->there)
        return true;
    for (uint32_t i = 0; i < s->h->n_ops; i++) {
        const struct history_op *op = &s->h->ops[i];
        uint64_t after[HISTORY_KEYS];
        if (!(s->there >> i & 1) || placed >> i & 1 || (s->before[i] & s->there & ~placed))
            continue;
        if (op->kind == HISTORY_PULL && s->checked >> i & 1 && !agrees(s, op, state))
            continue;
        memcpy(after, state, sizeof after);
        for (uint32_t p = 0; p < op->n_parts && op->kind == HISTORY_PUSH; p++)
            after[op->keys[p]] |= op->sets[p];
        if (order_exists(s, placed | 1u << i, after))
            return true;
    }
    return false;
}

static bool accesses(const struct history_op *op, int key)
{
    for (uint32_t p = 0; p < op->n_parts; p++)
        if (key < 0 || op->keys[p] == key)
            return true;
    return false;
}

static void program_order(struct search *s)
{
    for (uint32_t i = 0; i < s->h->n_ops; i++)
        for (uint32_t j = 0; j < i; j++)
            if (s->h->ops[i].worker == s->h->ops[j].worker && (!s->by_clock || s->h->ops[j].clock < s->h->ops[i].clock) &&
                accesses(&s->h->ops[i], s->key) && accesses(&s->h->ops[j], s->key))
                s->before[i] |= 1u << j;
}

/* Program order, what was seen, and all that follows from them. */
static void causal_order(struct search *s)
{
    program_order(s);
    for (uint32_t r = 0; r < s->h->n_ops; r++)
        for (uint32_t w = 0; w < s->h->n_ops; w++) {
            const struct history_op *read = &s->h->ops[r], *push = &s->h->ops[w];
            for (uint32_t p = 0; p < read->n_parts && read->kind == HISTORY_PULL && push->kind == HISTORY_PUSH; p++)
                for (uint32_t q = 0; q < push->n_parts; q++)
                    if (read->keys[p] == s->key && push->keys[q] == s->key && (read->sets[p] & push->sets[q]))
                        s->before[r] |= 1u << w;
        }
    for (uint32_t round = 0; round < s->h->n_ops; round++)
        for (uint32_t i = 0; i < s->h->n_ops; i++)
            for (uint32_t j = 0; j < s->h->n_ops; j++)
                if (s->before[i] >> j & 1)
                    s->before[i] |= s->before[j];
}

static bool searched(const struct history *h, enum history_level level, int key, int reader)
{
    static const uint64_t nothing[HISTORY_KEYS];
    struct search s = {.h = h, .key = key, .by_clock = level == HISTORY_CLOCKED};
    bool per_reader = level <= HISTORY_CAUSAL;
    for (uint32_t i = 0; i < h->n_ops; i++)
        if (accesses(&h->ops[i], key) &&
            (!per_reader || h->ops[i].kind == HISTORY_PUSH || h->ops[i].worker == reader))
            s.there |= 1u << i;
    s.checked = s.there;
    if (level == HISTORY_CAUSAL)
        causal_order(&s);
    else if (level != HISTORY_SERIALIZABLE)
        program_order(&s);
    for (uint32_t i = 0; i < h->n_ops; i++)
        if (s.before[i] >> i & 1)
            return false; /* causes itself */
    return order_exists(&s, 0, nothing);
}

static bool searched_violates(const struct history *h, enum history_level level)
{
    if (level == HISTORY_SERIALIZABLE)
        return !searched(h, level, -1, -1);
    for (int key = 0; key < HISTORY_KEYS; key++)
        for (int reader = 0; reader < WORKERS; reader++)
            if (!searched(h, level, key, reader))
                return true;
    return false;
}

/* Pushes and reads of few workers and keys; what reads see is drawn, mostly near what some order would give. */
static struct history random_history(struct pm_rng *rng)
{
    struct history h = {.n_keys = HISTORY_KEYS, .ranks = WORKERS, .workers_per_node = 1};
    uint64_t all[HISTORY_KEYS] = {0};
    uint32_t n = 2 + (uint32_t)pm_rng_below(rng, RANDOM_OPS - 1), workers = 1 + (uint32_t)pm_rng_below(rng, WORKERS);
    uint64_t keys = 1 + pm_rng_below(rng, 2), updates[HISTORY_KEYS] = {0};
    uint32_t clocks[WORKERS] = {0};
    for (; h.n_ops < n; h.n_ops++) {
        struct history_op *op = &h.ops[h.n_ops];
        *op = (struct history_op){.kind = pm_rng_below(rng, 2) ? HISTORY_PUSH : HISTORY_PULL,
                                  .worker = (uint8_t)pm_rng_below(rng, workers),
                                  .n_parts = (uint8_t)(1 + pm_rng_below(rng, keys))};
        op->clock = clocks[op->worker] += (uint32_t)pm_rng_below(rng, 2);
        op->keys[0] = (uint8_t)pm_rng_below(rng, keys);
        op->keys[1] = (uint8_t)(1 - op->keys[0]);
        for (uint32_t p = 0; p < op->n_parts; p++) {
            uint8_t key = op->keys[p];
            if (op->kind == HISTORY_PUSH) {
                op->sets[p] = UINT64_C(1) << updates[key]++;
                all[key] |= op->sets[p];
            } else {
                op->sets[p] = pm_rng_below(rng, 3) ? all[key] : pm_rng_u64(rng) & 15;
            }
        }
    }
    for (uint32_t i = 0; i < h.n_ops; i++) /* reads from the future only of what will be pushed */
        for (uint32_t p = 0; p < h.ops[i].n_parts && h.ops[i].kind == HISTORY_PULL; p++)
            h.ops[i].sets[p] &= pm_rng_below(rng, 40) ? all[h.ops[i].keys[p]] : UINT64_MAX;
    settle(&h);
    return h;
}

/* The shortest part violates the level and stops doing so without any one of its operations. */
static void check_shortest(const struct history *h, enum history_level level, uint64_t seed)
{
    struct history shortest, less, none;
    struct history_cycle cycle;
    assert_true(history_shorten(h, level, &shortest, &cycle));
    if (!history_violates(&shortest, level) || shortest.n_ops > h->n_ops || (cycle.n > 0 && cycle.n != shortest.n_ops))
        fail_msg("PM_SEED=%llu: the shortest part does not violate the level", (unsigned long long)seed);
    for (uint32_t without = 0; without < shortest.n_ops && cycle.n > 0; without++) {
        less = shortest;
        const struct history_op gone = less.ops[without];
        less.n_ops--;
        memmove(less.ops + without, less.ops + without + 1, (less.n_ops - without) * sizeof *less.ops);
        for (uint32_t i = 0; i < less.n_ops && gone.kind == HISTORY_PUSH; i++)
            for (uint32_t p = 0; p < less.ops[i].n_parts; p++)
                for (uint32_t q = 0; q < gone.n_parts; q++)
                    if (less.ops[i].keys[p] == gone.keys[q])
                        less.ops[i].sets[p] &= ~gone.sets[q];
        if (history_shorten(&less, level, &none, &cycle))
            fail_msg("PM_SEED=%llu: the shortest part can do without operation %u", (unsigned long long)seed, without);
        cycle.n = 1;
    }
}

static void as_searched(void **state)
{
    (void)state;
    uint64_t first = repeat_number("PM_SEED", 0), n = first ? 1 : repeat_number("HISTORIES", HISTORIES) / REPEAT_SHARE;
    uint64_t bad[HISTORY_LEVELS] = {0};
    for (uint64_t seed = first ? first : 1; n > 0; seed++, n--) {
        struct pm_rng rng;
        pm_rng_init(&rng, "history", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
        struct history h = random_history(&rng);
        for (enum history_level level = HISTORY_CLOCKED; level < HISTORY_LEVELS; level++) {
            bool expected = searched_violates(&h, level);
            if (history_violates(&h, level) != expected) {
                repeat_line(history_level_names[level], seed, "", "as_searched");
                fail_msg("%s: %s by search", history_level_names[level], expected ? "violated" : "kept");
            }
            if (expected)
                check_shortest(&h, level, seed);
            bad[level] += expected;
        }
    }
    for (enum history_level level = HISTORY_CLOCKED; level < HISTORY_LEVELS && !first; level++)
        assert_true(bad[level] > HISTORIES / REPEAT_SHARE / 10 && bad[level] < HISTORIES / REPEAT_SHARE * 9 / 10);
}

/* Each per-key level includes the one below it. */
static void levels_include(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct pm_rng rng;
        pm_rng_init(&rng, "history", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
        struct history h = random_history(&rng);
        for (enum history_level level = HISTORY_CLOCKED; level < HISTORY_SEQUENTIAL; level++)
            assert_true(!history_violates(&h, level) || history_violates(&h, level + 1));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_histories), cmocka_unit_test(main_copies),    cmocka_unit_test(values_name_sets),
        cmocka_unit_test(as_searched),     cmocka_unit_test(levels_include),
    };
    return repeat_main(argc, argv, "consistency of histories", tests, sizeof tests / sizeof *tests);
}
