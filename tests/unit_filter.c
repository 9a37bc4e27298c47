/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of policy bounded on their own: lists of keys at both ends, times of ranges against one time per key, updates that
 * are held back against their sums, compressed bodies and damaged ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/internal.h"
#include "core/rng.h"
#include "policies/bounded.h"
#include "tests/repeat.h"

enum { KEYS = 40, ROUNDS = 4000, LIST_MAX = 12 };

static struct pm_rng rng_of(const char *what)
{
    struct pm_rng rng;
    pm_rng_init(&rng, what, repeat_number("PM_SEED", 1), PM_RNG_NOBODY, PM_RNG_NOBODY);
    return rng;
}

/* ---- lists of keys ---- */

/* Both ends agree about every list, and the receiver's is the one that was meant. */
static void ends_agree(void **state)
{
    (void)state;
    struct pm_rng rng = rng_of("lists");
    uint32_t known = 0, unknown = 0;
    for (uint32_t capacity = 1; capacity <= 5; capacity++) {
        struct bounded_lists out = {.capacity = capacity}, in = {.capacity = capacity};
        for (int round = 0; round < ROUNDS; round++) {
            pm_key keys[LIST_MAX];
            uint32_t n = 1 + (uint32_t)pm_rng_below(&rng, LIST_MAX);
            uint64_t which = pm_rng_below(&rng, 7), hash, there;
            for (uint32_t i = 0; i < n; i++)
                keys[i] = pm_hash64_pair(which, i) % KEYS;
            n = 1 + (uint32_t)(which + pm_rng_below(&rng, 2)) % LIST_MAX;
            if (bounded_lists_use(&out, keys, n, &hash)) {
                const struct bounded_list *list = bounded_lists_find(&in, hash, true);
                assert_non_null(list);
                assert_int_equal(list->n, n);
                assert_memory_equal(list->keys, keys, n * sizeof *keys);
                known++;
            } else {
                assert_null(bounded_lists_find(&in, hash, false));
                assert_false(bounded_lists_use(&in, keys, n, &there));
                assert_int_equal(there, hash);
                unknown++;
            }
        }
        bounded_lists_fini(&out);
        bounded_lists_fini(&in);
    }
    assert_true(known > ROUNDS / 2 && unknown > ROUNDS / 2);
}

/* The one used longest ago goes first, and long lists make room for themselves. */
static void oldest_goes(void **state)
{
    (void)state;
    struct bounded_lists l = {.capacity = 2};
    const pm_key a[] = {1, 5}, b[] = {2, 6}, c[] = {3, 7};
    uint64_t of_a, of_b, of_c;
    assert_false(bounded_lists_use(&l, a, 2, &of_a));
    assert_false(bounded_lists_use(&l, b, 2, &of_b));
    assert_true(bounded_lists_use(&l, a, 2, &of_a));
    assert_false(bounded_lists_use(&l, c, 2, &of_c));
    assert_non_null(bounded_lists_find(&l, of_a, false));
    assert_null(bounded_lists_find(&l, of_b, false));
    uint32_t n = BOUNDED_LISTED_KEYS_MAX / 4;
    pm_key *many = calloc(n + 1, sizeof *many);
    assert_non_null(many);
    uint64_t hash;
    assert_false(bounded_lists_use(&l, many, n + 1, &hash)); /* too long, at both ends */
    assert_false(bounded_lists_use(&l, many, n + 1, &hash));
    assert_non_null(bounded_lists_find(&l, of_a, false));
    l.capacity = 2;
    for (uint32_t i = 0; i < 9; i++, many[0]++)
        assert_false(bounded_lists_use(&l, many, n, &hash));
    assert_true(l.n_keys <= BOUNDED_LISTED_KEYS_MAX);
    assert_null(bounded_lists_find(&l, of_a, false));
    free(many);
    bounded_lists_fini(&l);
}

/* Two lists of one hash are two lists. */
static void same_hash(void **state)
{
    (void)state;
    struct bounded_lists l = {.capacity = 4};
    const pm_key a[] = {1, 5, 9}, b[] = {2, 6, 7};
    uint64_t of_a, of_b;
    assert_false(bounded_lists_use(&l, a, 3, &of_a));
    assert_true(bounded_lists_use(&l, a, 3, &of_a));
    for (uint32_t i = 0; i < l.capacity; i++)
        if (l.lists[i].keys)
            l.lists[i].hash = bounded_list_hash(b, 3);
    assert_false(bounded_lists_use(&l, b, 3, &of_b));
    assert_memory_equal(bounded_lists_find(&l, of_b, false)->keys, b, sizeof b);
    bounded_lists_fini(&l);
}

/* ---- times of ranges ---- */

static void ranges(void **state)
{
    (void)state;
    struct pm_rng rng = rng_of("ranges");
    for (int world = 0; world < 40; world++) {
        struct bounded_ranges r = {0};
        uint64_t times[KEYS] = {0};
        for (uint64_t time = 1; time < 120; time++) {
            pm_key first = pm_rng_below(&rng, KEYS), last = first + pm_rng_below(&rng, KEYS - first);
            uint32_t before = r.n;
            uint64_t least = UINT64_MAX;
            for (pm_key key = first; key <= last; key++)
                least = times[key] < least ? times[key] : least;
            assert_int_equal(bounded_ranges_least(&r, first, last), least);
            bounded_ranges_set(&r, first, last, time / 2); /* sometimes the time of a neighbour */
            assert_true(r.n <= (before ? before : 1) + 2); /* a range becomes at most three */
            for (pm_key key = first; key <= last; key++)
                times[key] = time / 2;
            for (pm_key key = 0; key < KEYS; key++)
                assert_int_equal(bounded_ranges_least(&r, key, key), times[key]);
            for (uint32_t i = 1; i < r.n; i++)
                assert_true(r.ranges[i - 1].first < r.ranges[i].first);
        }
        bounded_ranges_fini(&r);
    }
}

/* ---- updates that are held back ---- */

struct totals {
    float sent[KEYS], pushed[KEYS];
    uint32_t flushed;
};

static void add_flushed(void *arg, const pm_key *keys, size_t n, const float *updates)
{
    struct totals *t = arg;
    for (size_t i = 0; i < n; i++, t->flushed++)
        t->sent[keys[i]] += updates[i];
}

static void held_back(void **state)
{
    (void)state;
    struct pm_rng rng = rng_of("held");
    struct bounded_held h = {.threshold = 5};
    struct pm_model model = {0};
    assert_true(pm_layout_add(&model.layout, KEYS, 1, NULL) >= 0);
    struct pm_node node = {.layout = &model.layout, .config.with_values = true};
    struct totals t = {.flushed = 0};
    uint32_t passed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        pm_key key = pm_rng_below(&rng, KEYS);
        float amount = (float)pm_rng_below(&rng, 7) - 3, update = amount, waiting = t.pushed[key] - t.sent[key];
        t.pushed[key] += amount;
        bool pass = bounded_held_pass(&h, key, 1, &update);
        float whole = waiting + amount;
        assert_int_equal(pass, whole > 5 || whole < -5);
        if (pass) {
            assert_memory_equal(&update, &whole, sizeof whole);
            t.sent[key] += update;
            passed++;
        }
        if (pm_rng_below(&rng, 500))
            continue;
        bounded_held_flush(&h, &node, add_flushed, &t);
        for (pm_key k = 0; k < KEYS; k++)
            assert_memory_equal(&t.sent[k], &t.pushed[k], sizeof t.sent[k]);
    }
    assert_true(passed > 0 && t.flushed > 0);
    float nothing = NAN;
    assert_true(bounded_held_pass(&h, 0, 1, &nothing)); /* what is no number is not small */
    bounded_held_fini(&h);
}

/* ---- compression ---- */

/* A reply whose floats are mostly zero. */
static struct pm_message *reply(struct pm_rng *rng, uint32_t n_floats)
{
    struct pm_shape shape = {.n_keys = 1, .n_floats = n_floats, .with_values = true};
    struct pm_message *m = pm_message_new(PM_MSG_REPLY, &shape);
    assert_non_null(m);
    float *values = pm_message_values(m);
    for (uint32_t i = 0; i < n_floats; i++)
        values[i] = pm_rng_below(rng, 8) ? 0 : (float)pm_rng_u64(rng);
    return m;
}

static void compression(void **state)
{
    (void)state;
    struct pm_rng rng = rng_of("compression");
    struct pm_node node = {0};
    struct pm_ctx ctx = {.node = &node};
    for (int round = 0; round < 200; round++) {
        uint32_t n_floats = 20 + (uint32_t)pm_rng_below(&rng, 400), n_out = 0;
        struct pm_message *m = reply(&rng, n_floats), *copy = reply(&rng, n_floats);
        memcpy(&copy->wire, &m->wire, m->stored_bytes);
        m = bounded_pack(&ctx, m);
        assert_int_equal(m->wire.sub, BOUNDED_PACKED);
        assert_true(m->wire.length_bytes < copy->wire.length_bytes && m->stored_bytes == m->wire.length_bytes);
        const unsigned char *body = (unsigned char *)&m->wire + PM_WIRE_BYTES;
        uint32_t n = m->stored_bytes - PM_WIRE_BYTES;
        unsigned char *out = bounded_unpack(body, n, &n_out);
        assert_non_null(out);
        assert_int_equal(n_out, 4 * n_floats);
        assert_memory_equal(out, pm_message_values(copy), n_out);
        free(out);
        /* cut anywhere, it is refused */
        unsigned char *damaged = malloc(n);
        assert_non_null(damaged);
        for (uint32_t cut = 0; cut < n; cut++) {
            memcpy(damaged, body, cut);
            assert_null(bounded_unpack(damaged, cut, &n_out));
        }
        /* changed anywhere, it is refused or has the length that it says */
        memcpy(damaged, body, n);
        damaged[pm_rng_below(&rng, n)] ^= (unsigned char)(1u << pm_rng_below(&rng, 8));
        uint32_t said;
        memcpy(&said, damaged, sizeof said);
        out = bounded_unpack(damaged, n, &n_out);
        assert_true(!out || n_out == said);
        free(out);
        free(damaged);
        pm_message_free(m);
        pm_message_free(copy);
    }
    const struct pm_filter_counts *c = &ctx.counters.filters[PM_FILTER_COMPRESS][1];
    assert_true(c->messages == 200 && c->bytes_after < c->bytes_before / 2);
    /* what would become longer stays as it is */
    struct pm_message *m = reply(&rng, 30);
    for (uint32_t i = 0; i < 30; i++)
        pm_message_values(m)[i] = (float)pm_rng_u64(&rng);
    assert_ptr_equal(bounded_pack(&ctx, m), m);
    pm_message_free(m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_agree), cmocka_unit_test(oldest_goes), cmocka_unit_test(same_hash),
        cmocka_unit_test(ranges),     cmocka_unit_test(held_back),   cmocka_unit_test(compression),
    };
    return repeat_main(argc, argv, "filters", tests, sizeof tests / sizeof *tests);
}
