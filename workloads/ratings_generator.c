/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Generated ratings. The cells, the two factor matrices and the noise come from streams of their own, so that
 * the cells are the same whatever the rank. */
#include "workloads/ratings.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/distribution.h"
#include "core/rng.h"

enum { DRAWS_PER_CELL_MAX = 200, DRAWS_SPARE = 1000000 };

#define NOISE_DEVIATION 0.1

/* Cells drawn so far: open addressing over a power of two of places; a place holds the cell's number + 1, 0 =
 * free. */
struct cell_set {
    uint64_t *places;
    uint64_t mask;
};

static int cell_set_init(struct cell_set *set, uint64_t n)
{
    uint64_t places = 1024;
    while (places < n + n / 2)
        places *= 2;
    set->places = calloc(places, sizeof *set->places);
    set->mask = places - 1;
    return set->places != NULL ? PM_OK : PM_E_MEMORY;
}

/* True when the cell is new; it then belongs to the set. */
static bool cell_set_add(struct cell_set *set, uint64_t cell)
{
    uint64_t at = pm_hash64(cell) & set->mask;
    while (set->places[at] != 0) {
        if (set->places[at] == cell + 1)
            return false;
        at = (at + 1) & set->mask;
    }
    set->places[at] = cell + 1;
    return true;
}

struct generator {
    const struct ratings_recipe *recipe;
    struct pm_distribution rows, columns;
    struct cell_set drawn;
    struct pm_rng cells, noise;
    uint64_t draws_left;
    float *row_factors, *column_factors; /* NULL: no values */
    struct pm_error *err;
};

static uint64_t stream_seed(const struct ratings_recipe *recipe, const char *name)
{
    struct pm_rng rng;
    pm_rng_init(&rng, name, recipe->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    return pm_rng_u64(&rng);
}

static int check_recipe(const struct ratings_recipe *c, struct pm_error *err)
{
    if (c->rows == 0 || c->columns == 0 || c->rows > RATINGS_SIDE_MAX || c->columns > RATINGS_SIDE_MAX)
        return pm_error_set(err, PM_E_OPTION,
                            "a matrix of %" PRIu64 " x %" PRIu64 " (allowed: 1 to %" PRIu64
                            " rows and columns)",
                            c->rows, c->columns, RATINGS_SIDE_MAX);
    if (c->train_cells == 0)
        return pm_error_set(err, PM_E_OPTION, "0 cells to train on (allowed: at least 1)");
    uint64_t places = c->rows * c->columns;
    if (c->train_cells > places || c->test_cells > places - c->train_cells)
        return pm_error_set(err, PM_E_OPTION,
                            "%" PRIu64 " + %" PRIu64
                            " cells to train and to test on do not fit into a matrix of %" PRIu64
                            " x %" PRIu64,
                            c->train_cells, c->test_cells, c->rows, c->columns);
    return PM_OK;
}

static float *draw_factors(const struct ratings_recipe *recipe, const char *name, uint64_t n)
{
    struct pm_rng rng;
    pm_rng_init(&rng, name, recipe->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    float *factors = malloc(n * recipe->rank * sizeof *factors);
    if (factors == NULL)
        return NULL;
    double deviation = 1 / sqrt(sqrt(recipe->rank));
    for (uint64_t i = 0; i < n * recipe->rank; i++)
        factors[i] = (float)(deviation * pm_rng_normal(&rng));
    return factors;
}

static float value_of(struct generator *g, uint32_t row, uint32_t column)
{
    uint32_t rank = g->recipe->rank;
    const float *u = g->row_factors + (uint64_t)row * rank, *v = g->column_factors + (uint64_t)column * rank;
    double sum = 0;
    for (uint32_t i = 0; i < rank; i++)
        sum += (double)u[i] * (double)v[i];
    return (float)(sum + NOISE_DEVIATION * pm_rng_normal(&g->noise));
}

static int fill(struct generator *g, uint64_t n, struct ratings *list)
{
    list->rows = g->recipe->rows;
    list->columns = g->recipe->columns;
    if (ratings_reserve(list, n) != PM_OK)
        return pm_error_set(g->err, PM_E_MEMORY, "%" PRIu64 " generated cells: out of memory", n);
    while (list->n < n) {
        if (g->draws_left-- == 0)
            return pm_error_set(g->err, PM_E_OPTION,
                                "drawing finds too few different cells: only %" PRIu64 " of %" PRIu64
                                " at skew %g in a matrix of %" PRIu64 " x %" PRIu64
                                "; take fewer cells or less skew",
                                list->n, n, g->recipe->skew, list->rows, list->columns);
        uint64_t row = pm_distribution_draw(&g->rows, &g->cells);
        uint64_t column = pm_distribution_draw(&g->columns, &g->cells);
        if (cell_set_add(&g->drawn, row * g->recipe->columns + column))
            list->cells[list->n++] = (struct rating){.row = (uint32_t)row, .column = (uint32_t)column};
    }
    if (g->recipe->rank > 0)
        for (uint64_t i = 0; i < n; i++)
            list->cells[i].value = value_of(g, list->cells[i].row, list->cells[i].column);
    return PM_OK;
}

static int prepare(struct generator *g)
{
    const struct ratings_recipe *c = g->recipe;
    int rc = pm_distribution_zipf(&g->rows, 0, c->rows, c->skew, g->err);
    if (rc == PM_OK)
        rc = pm_distribution_zipf(&g->columns, 0, c->columns, c->skew, g->err);
    if (rc != PM_OK)
        return rc;
    pm_distribution_scatter(&g->rows, stream_seed(c, "ratings.scatter.rows"));
    pm_distribution_scatter(&g->columns, stream_seed(c, "ratings.scatter.columns"));
    pm_rng_init(&g->cells, "ratings.cells", c->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    pm_rng_init(&g->noise, "ratings.noise", c->seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    uint64_t n = c->train_cells + c->test_cells;
    g->draws_left =
        n > UINT64_MAX / (2 * DRAWS_PER_CELL_MAX) ? UINT64_MAX : n * DRAWS_PER_CELL_MAX + DRAWS_SPARE;
    if (cell_set_init(&g->drawn, n) != PM_OK)
        return pm_error_set(g->err, PM_E_MEMORY, "%" PRIu64 " generated cells: out of memory", n);
    if (c->rank == 0)
        return PM_OK;
    g->row_factors = draw_factors(c, "ratings.factors.rows", c->rows);
    g->column_factors = draw_factors(c, "ratings.factors.columns", c->columns);
    if (g->row_factors == NULL || g->column_factors == NULL)
        return pm_error_set(g->err, PM_E_MEMORY,
                            "factors of generated ratings, (%" PRIu64 " + %" PRIu64 ") x %" PRIu32
                            " numbers: out of memory",
                            c->rows, c->columns, c->rank);
    return PM_OK;
}

int ratings_generate(const struct ratings_recipe *recipe, struct ratings *train, struct ratings *test,
                     struct pm_error *err)
{
    struct generator g = {.recipe = recipe, .err = err};
    int rc = check_recipe(recipe, err);
    if (rc == PM_OK)
        rc = prepare(&g);
    if (rc == PM_OK)
        rc = fill(&g, recipe->train_cells, train);
    if (rc == PM_OK)
        rc = fill(&g, recipe->test_cells, test);
    free(g.drawn.places);
    free(g.row_factors);
    free(g.column_factors);
    if (rc != PM_OK) {
        ratings_free(train);
        ratings_free(test);
    }
    return rc;
}
