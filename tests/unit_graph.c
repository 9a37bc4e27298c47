/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Knowledge graphs: reading files, good and hostile, holding out, and the generator. PM_SEED gives the seed of random files, ROUNDS
 * how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "tests/damage.h"
#include "tests/repeat.h"
#include "tests/workload_store.h"
#include "workloads/graph.h"

/* ---- Files ---- */

static int read_texts(const char *const texts[GRAPH_PARTS], size_t first_length, struct graph *g, struct pm_error *err)
{
    static const char *const names[GRAPH_PARTS] = {"train", "valid", "test"};
    const char *paths[GRAPH_PARTS] = {NULL};
    for (int part = 0; part < GRAPH_PARTS; part++)
        if (texts[part] != NULL)
            paths[part] = store_file(part, names[part], texts[part], part == 0 ? first_length : strlen(texts[part]));
    int rc = graph_read(paths, g, err);
    for (int part = 0; part < GRAPH_PARTS; part++)
        if (paths[part] != NULL)
            unlink(paths[part]);
    return rc;
}

static int read_text(const char *text, size_t length, struct graph *g, struct pm_error *err)
{
    const char *texts[GRAPH_PARTS] = {text};
    return read_texts(texts, length, g, err);
}

static void expect_triple(const struct graph *g, uint64_t i, uint32_t s, uint32_t r, uint32_t o)
{
    assert_true(i < g->n);
    assert_true(g->triples[i].s == s && g->triples[i].r == r && g->triples[i].o == o);
}

/* Each text holds (a, likes, b c), (b c, is, a). */
static void lines_end_with_or_without_carriage_returns(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a\tlikes\tb c\nb c\tis\ta\n",
        "a\tlikes\tb c\r\nb c\tis\ta\r\n",
        "a\tlikes\tb c\nb c\tis\ta",
        "\na\tlikes\tb c\n\n \nb c\tis\ta\n\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct graph g = {0};
        struct pm_error err = {0};
        if (read_text(texts[i], strlen(texts[i]), &g, &err) != PM_OK)
            fail_msg("%zu: %s", i, err.text);
        assert_true(g.n == 2 && g.n_entities == 2 && g.n_relations == 2);
        expect_triple(&g, 0, 0, 0, 1);
        expect_triple(&g, 1, 1, 1, 0);
        assert_string_equal(names_text(&g.entities, 1), "b c");
        assert_string_equal(names_text(&g.relations, 0), "likes");
        graph_free(&g);
    }
}

static void entities_may_occur_in_any_part(void **state)
{
    (void)state;
    const char *const texts[GRAPH_PARTS] = {"a\tr\tb\r\nb\tr\ta\r\n", "a\tr\tc\r\n", "d\tq\ta\r\nd\tr\td\r\n"};
    struct graph g = {0};
    assert_int_equal(read_texts(texts, strlen(texts[0]), &g, NULL), PM_OK);
    assert_true(g.n_entities == 4 && g.n_relations == 2 && g.n == 5);
    assert_true(graph_size(&g, GRAPH_TRAIN) == 2 && graph_size(&g, GRAPH_VALID) == 1 && graph_size(&g, GRAPH_TEST) == 2);
    expect_triple(&g, graph_begin(&g, GRAPH_VALID), 0, 0, 2);
    expect_triple(&g, graph_begin(&g, GRAPH_TEST), 3, 1, 0);
    graph_free(&g);
}

static void many_names_are_told_apart(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct names names = {0};
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            int length = snprintf(text, sizeof text, "%d", i);
            assert_int_equal(names_number(&names, text, (size_t)length), i);
        }
    assert_int_equal(names.n, N);
    assert_int_equal(names_number(&names, "123456", 3), 123);
    assert_string_equal(names_text(&names, 19999), "19999");
    names_free(&names);
}

static void bad_files_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where, *words;
    } cases[] = {
        {"", ":1: ", "holds no triple"},
        {"\n \n", ":3: ", "holds no triple"},
        {"a\tr\tb\na r b\n", ":2: ", "'a r b' is not 'subject TAB relation TAB object'"},
        {"a\tr\n", ":1: ", "is not 'subject"},
        {"a\tr\tb\nb\tr\n", ":2: ", "is not 'subject"},
        {"a\tr\tb\tc\n", ":1: ", "is not 'subject"},
        {"a\tr\tb\t\n", ":1: ", "is not 'subject"},
        {"\tr\tb\n", ":1: ", "is not 'subject"},
        {"a\t\tb\n", ":1: ", "is not 'subject"},
        {"a\tr\t\n", ":1: ", "is not 'subject"},
        {"\x7f"
         "ELF\x02\x01\x01",
         ":1: ", "is not 'subject"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct graph g = {0};
        struct pm_error err = {0};
        assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &g, &err), PM_E_FILE);
        if (strstr(err.text, "-train:") == NULL || strstr(err.text, cases[i].where) == NULL ||
            strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\" or \"%s\"", i, err.text, cases[i].where, cases[i].words);
        assert_true(g.triples == NULL && g.n == 0 && g.entities.text == NULL);
    }
    const char *const texts[GRAPH_PARTS] = {"a\tr\tb\n", NULL, "a\tr\tb\nx\n"};
    struct graph g = {0};
    struct pm_error err = {0};
    assert_int_equal(read_texts(texts, strlen(texts[0]), &g, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "-test:2: "));
}

static void zero_bytes_and_endless_lines_are_refused(void **state)
{
    (void)state;
    struct graph g = {0};
    struct pm_error err = {0};
    static const char zero[] = "a\tr\tb\na\tr\0\tb\n";
    assert_int_equal(read_text(zero, sizeof zero - 1, &g, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":2: holds a zero byte or is longer"));
    size_t length = 1 << 20;
    char *endless = malloc(length);
    memset(endless, '1', length);
    assert_int_equal(read_text(endless, length, &g, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":1: holds a zero byte or is longer"));
    free(endless);
}

static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    (void)arg;
    struct graph g = {0};
    FILE *const files[GRAPH_PARTS] = {damage_file(bytes, n)};
    static const char *const paths[GRAPH_PARTS] = {DAMAGE_PATH};
    int rc = graph_read_from(files, paths, &g, err);
    fclose(files[0]);
    for (uint64_t i = 0; i < g.n; i++)
        assert_true(g.triples[i].s < g.n_entities && g.triples[i].o < g.n_entities && g.triples[i].r < g.n_relations);
    graph_free(&g);
    return rc;
}

/* Read as triples of known entities, or refused with the line. */
static void damaged_files_are_read_or_refused(void **state)
{
    (void)state;
    static const char text[] = "a\tlikes\tb c\r\nb c\tis\ta\r\nx\tis\ty\nlong name of an entity\tlikes\ta\n";
    static const struct damage_input good = {text, sizeof text - 1};
    static const struct damage damage = {"damaged_files_are_read_or_refused", &good, 1, "\t\t\t\n\n\rab \xff\x80",
                                         DAMAGE_PATH ":", read_damaged, NULL};
    damage_run(&damage, 30000);
}

/* ---- Holding out ---- */

static void held_out_triples_are_moved(void **state)
{
    (void)state;
    for (uint64_t n = 3; n < 3000; n = n * 3) {
        struct graph g = {.n_entities = n, .n_relations = 1, .n = n, .ends = {n, n, n}};
        assert_int_equal(graph_reserve(&g, n), PM_OK);
        for (uint32_t i = 0; i < n; i++)
            g.triples[i] = (struct triple){.s = i, .o = (i * 7 + 1) % (uint32_t)n};
        assert_int_equal(graph_hold_out(&g, 0.05, 3, NULL), PM_OK);
        bool *seen = calloc(n, sizeof *seen);
        for (uint64_t i = 0; i < n; i++) {
            assert_true(g.triples[i].s < n && !seen[g.triples[i].s]);
            assert_int_equal(g.triples[i].o, (g.triples[i].s * 7 + 1) % n);
            seen[g.triples[i].s] = true;
        }
        free(seen);
        assert_int_equal(g.ends[GRAPH_TEST], n);
        for (int part = 0; part < GRAPH_PARTS; part++)
            assert_true(graph_size(&g, part) > 0);
        if (n > 1000)
            assert_true(fabs((double)graph_size(&g, GRAPH_TEST) / (double)n - 0.05) < 0.02);
        graph_free(&g);
    }
    struct graph few = {.n = 2};
    struct pm_error err = {0};
    assert_int_equal(graph_hold_out(&few, 0.5, 1, &err), PM_E_OPTION);
    assert_non_null(strstr(err.text, "2 triples are too few"));
}

/* ---- Generator ---- */

static const struct graph_recipe recipe = {.entities = 5000,
                                           .relations = 50,
                                           .sizes = {100000, 1000, 2000},
                                           .subject_skew = 0.6,
                                           .relation_skew = 1,
                                           .skew = 0.8,
                                           .clusters = 40,
                                           .noise = 0.1,
                                           .seed = 4};

static int compare_triples(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct triple));
}

static void generated_triples_are_distinct_and_repeatable(void **state)
{
    (void)state;
    struct graph g = {0}, again = {0};
    assert_int_equal(graph_generate(&recipe, &g, NULL), PM_OK);
    assert_int_equal(graph_generate(&recipe, &again, NULL), PM_OK);
    assert_true(g.n == 103000 && graph_size(&g, GRAPH_TEST) == 2000 && g.n_entities == 5000 && g.n_relations == 50);
    assert_memory_equal(g.triples, again.triples, g.n * sizeof *g.triples);
    qsort(g.triples, g.n, sizeof *g.triples, compare_triples);
    for (uint64_t i = 0; i < g.n; i++) {
        assert_true(g.triples[i].s < 5000 && g.triples[i].o < 5000 && g.triples[i].r < 50);
        assert_true(i == 0 || compare_triples(&g.triples[i - 1], &g.triples[i]) != 0);
    }
    graph_free(&g);
    graph_free(&again);
}

static int compare_counts(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x > y ? -1 : x < y;
}

/* Share of the occurrences that the `hot` most frequent of n numbers have. */
static double hot_share(uint32_t *counts, uint32_t n, uint32_t hot)
{
    uint64_t sum = 0, of_hot = 0;
    qsort(counts, n, sizeof *counts, compare_counts);
    for (uint32_t i = 0; i < n; i++) {
        sum += counts[i];
        of_hot += i < hot ? counts[i] : 0;
    }
    return (double)of_hot / (double)sum;
}

static double zipf_share(double skew, uint32_t n, uint32_t hot)
{
    double sum = 0, of_hot = 0;
    for (uint32_t i = 1; i <= n; i++) {
        sum += pow(i, -skew);
        of_hot += i <= hot ? pow(i, -skew) : 0;
    }
    return of_hot / sum;
}

static void popularities_have_the_skews_asked_for(void **state)
{
    (void)state;
    struct graph g = {0};
    assert_int_equal(graph_generate(&recipe, &g, NULL), PM_OK);
    uint32_t *counts[3];
    for (int k = 0; k < 3; k++)
        counts[k] = calloc(5000, sizeof *counts[k]);
    for (uint64_t i = 0; i < g.n; i++) {
        counts[0][g.triples[i].s]++;
        counts[1][g.triples[i].r]++;
        counts[2][g.triples[i].o]++;
    }
    double found[3] = {hot_share(counts[0], 5000, 500), hot_share(counts[1], 50, 5), hot_share(counts[2], 5000, 500)};
    double expected[3] = {zipf_share(0.6, 5000, 500), zipf_share(1, 50, 5), zipf_share(0.8, 5000, 500)};
    for (int k = 0; k < 3; k++) {
        print_message("hottest 10 %%: %.3f of the occurrences, Zipf %.3f\n", found[k], expected[k]);
        assert_true(fabs(found[k] - expected[k]) < 0.05); /* repeated triples are drawn again */
        free(counts[k]);
    }
    graph_free(&g);
}

/* Without noise, the objects of one subject and relation are in one cluster: few of them, out of 5000. */
static void relations_lead_to_one_cluster(void **state)
{
    (void)state;
    struct graph_recipe exact = recipe;
    exact.noise = 0;
    struct graph g = {0};
    assert_int_equal(graph_generate(&exact, &g, NULL), PM_OK);
    uint8_t *reached = calloc(5000, 1);
    uint32_t subject = g.triples[0].s, relation = g.triples[0].r, n = 0;
    for (uint64_t i = 0; i < g.n; i++)
        if (g.triples[i].s == subject && g.triples[i].r == relation)
            reached[g.triples[i].o] = 1;
    for (uint32_t i = 0; i < 5000; i++)
        n += reached[i];
    assert_true(n >= 1 && n <= 5000 / 40);
    /* and subjects that reach one of these objects by this relation reach only objects of this cluster */
    uint8_t *cluster = calloc(5000, 1), *same = calloc(5000, 1);
    for (uint64_t i = 0; i < g.n; i++)
        same[g.triples[i].s] |= g.triples[i].r == relation && reached[g.triples[i].o];
    for (uint64_t i = 0; i < g.n; i++)
        cluster[g.triples[i].o] |= g.triples[i].r == relation && same[g.triples[i].s];
    n = 0;
    for (uint32_t i = 0; i < 5000; i++)
        n += cluster[i];
    assert_true(n >= 1 && n <= 5000 / 40);
    free(reached);
    free(cluster);
    free(same);
    graph_free(&g);
}

static void impossible_recipes_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct graph_recipe recipe;
        const char *words;
    } cases[] = {
        {{.entities = 1, .relations = 1, .sizes = {1}, .clusters = 1}, "1 entities"},
        {{.entities = 2, .relations = 0, .sizes = {1}, .clusters = 1}, "0 relations"},
        {{.entities = 2, .relations = 1, .sizes = {4, 1, 1}, .clusters = 1}, "6 triples in all do not fit"},
        {{.entities = 5, .relations = 1, .sizes = {4}, .clusters = 6}, "6 clusters of 5 entities"},
        {{.entities = 10, .relations = 2, .sizes = {150}, .clusters = 10}, "too few different triples"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct graph g = {0};
        struct pm_error err = {0};
        assert_int_equal(graph_generate(&cases[i].recipe, &g, &err), PM_E_OPTION);
        if (strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\"", i, err.text, cases[i].words);
        assert_null(g.triples);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_or_without_carriage_returns),
        cmocka_unit_test(entities_may_occur_in_any_part),
        cmocka_unit_test(many_names_are_told_apart),
        cmocka_unit_test(bad_files_are_refused_with_their_line),
        cmocka_unit_test(zero_bytes_and_endless_lines_are_refused),
        cmocka_unit_test(damaged_files_are_read_or_refused),
        cmocka_unit_test(held_out_triples_are_moved),
        cmocka_unit_test(generated_triples_are_distinct_and_repeatable),
        cmocka_unit_test(popularities_have_the_skews_asked_for),
        cmocka_unit_test(relations_lead_to_one_cluster),
        cmocka_unit_test(impossible_recipes_are_refused),
    };
    return repeat_main(argc, argv, "graph", tests, sizeof tests / sizeof tests[0]);
}
