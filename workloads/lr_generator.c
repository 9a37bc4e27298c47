/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Generated examples. Features, true weights and labels come from streams of their own. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/distribution.h"
#include "core/rng.h"
#include "workloads/lr.h"

enum { DRAWS_PER_FEATURE_MAX = 1000 };

struct generator {
    const struct lr_recipe *recipe;
    struct pm_distribution popularity;
    struct pm_rng features, labels;
    uint64_t *stamps; /* per feature: number of the last row that has it, from 1 */
    uint64_t row;
    uint32_t *drawn; /* features of the present row */
    float *weights;  /* the truth */
    struct pm_error *err;
};

static int compare_features(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Draws n features that have not got this row's stamp yet. */
static int draw_distinct(struct generator *g, struct pm_rng *rng, uint32_t *drawn, uint32_t n)
{
    uint64_t left = (uint64_t)n * DRAWS_PER_FEATURE_MAX;
    g->row++;
    for (uint32_t i = 0; i < n;) {
        if (left-- == 0)
            return pm_error_set(g->err, PM_E_OPTION,
                                "drawing finds too few different features: only %" PRIu32 " of %" PRIu32
                                " at skew %g among %" PRIu64 "; take fewer or less skew",
                                i, n, g->recipe->skew, g->recipe->features);
        drawn[i] = (uint32_t)pm_distribution_draw(&g->popularity, rng);
        if (g->stamps[drawn[i]] != g->row)
            g->stamps[drawn[i++]] = g->row;
    }
    return PM_OK;
}

static int draw_truth(struct generator *g)
{
    uint32_t n = g->recipe->truth;
    struct pm_rng rng;
    pm_rng_init(&rng, "lr.truth", g->recipe->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    uint32_t *chosen = malloc(((uint64_t)n + 1) * sizeof *chosen);
    if (chosen == NULL)
        return pm_error_set(g->err, PM_E_MEMORY, "truth of generated examples: out of memory");
    int rc = draw_distinct(g, &rng, chosen, n);
    for (uint32_t i = 0; i < n && rc == PM_OK; i++)
        g->weights[chosen[i]] = (float)pm_rng_normal(&rng);
    free(chosen);
    return rc;
}

static int draw_row(struct generator *g, struct examples *list)
{
    const struct lr_recipe *c = g->recipe;
    int rc = draw_distinct(g, &g->features, g->drawn, c->nonzeros);
    if (rc != PM_OK)
        return rc;
    qsort(g->drawn, c->nonzeros, sizeof *g->drawn, compare_features);
    rc = examples_add_row(list, 1);
    for (uint32_t i = 0; i < c->nonzeros && rc == PM_OK; i++)
        rc = examples_add(list, g->drawn[i], 1);
    return rc == PM_OK ? rc : pm_error_set(g->err, rc, "generated examples: out of memory");
}

static int fill(struct generator *g, uint64_t n, struct examples *list)
{
    list->n_features = g->recipe->features;
    for (uint64_t i = 0; i < n; i++) {
        int rc = draw_row(g, list);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

static double margin_of(const struct generator *g, const struct examples *list, uint64_t row)
{
    double margin = 0;
    for (uint64_t i = list->starts[row]; i < list->starts[row + 1]; i++)
        margin += (double)g->weights[list->features[i]];
    return margin;
}

/* Margins count from `middle`. */
static void draw_labels(struct generator *g, struct examples *list, double middle)
{
    for (uint64_t row = 0; row < list->n_rows; row++) {
        bool positive = pm_rng_real(&g->labels) < 1 / (1 + exp(middle - margin_of(g, list, row)));
        bool turned = pm_rng_real(&g->labels) < g->recipe->noise;
        list->labels[row] = positive != turned ? 1 : -1;
    }
}

static void label_all(struct generator *g, struct examples *train, struct examples *test)
{
    double sum = 0;
    for (uint64_t row = 0; row < train->n_rows; row++)
        sum += margin_of(g, train, row);
    draw_labels(g, train, sum / (double)train->n_rows);
    draw_labels(g, test, sum / (double)train->n_rows);
}

static int prepare(struct generator *g)
{
    const struct lr_recipe *c = g->recipe;
    if (c->nonzeros > c->features || c->truth > c->features)
        return pm_error_set(g->err, PM_E_OPTION, "%s=%" PRIu32 " is more than features=%" PRIu64,
                            c->nonzeros > c->features ? "nonzeros" : "truth",
                            c->nonzeros > c->features ? c->nonzeros : c->truth, c->features);
    int rc = pm_distribution_zipf(&g->popularity, 0, c->features, c->skew, g->err);
    if (rc != PM_OK)
        return rc;
    pm_distribution_scatter(&g->popularity, pm_hash_bytes("lr.scatter", 10, c->seed));
    pm_rng_init(&g->features, "lr.features", c->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    pm_rng_init(&g->labels, "lr.labels", c->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    g->stamps = calloc(c->features, sizeof *g->stamps);
    g->weights = calloc(c->features, sizeof *g->weights);
    g->drawn = malloc(c->nonzeros * sizeof *g->drawn);
    if (g->stamps == NULL || g->weights == NULL || g->drawn == NULL)
        return pm_error_set(g->err, PM_E_MEMORY, "generated examples of %" PRIu64 " features: out of memory", c->features);
    return draw_truth(g);
}

int lr_generate(const struct lr_recipe *recipe, struct examples *train, struct examples *test, struct pm_error *err)
{
    struct generator g = {.recipe = recipe, .err = err};
    int rc = prepare(&g);
    if (rc == PM_OK)
        rc = fill(&g, recipe->train_rows, train);
    if (rc == PM_OK)
        rc = fill(&g, recipe->test_rows, test);
    if (rc == PM_OK)
        label_all(&g, train, test);
    free(g.stamps);
    free(g.weights);
    free(g.drawn);
    if (rc != PM_OK) {
        examples_free(train);
        examples_free(test);
    }
    return rc;
}
