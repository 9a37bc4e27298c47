/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Link prediction: for each triple the rank of its object among all entities as objects, and of its subject among all as subjects;
 * candidates that make another known triple are left out (the filtered setting of A. Bordes et al., "Translating embeddings for
 * modeling multi-relational data", NIPS 2013). Among equal scores the rank is the mean one; a score that is no number ranks
 * behind all that are. Each worker ranks an equal share of the triples. */
#include <stdlib.h>
#include <string.h>

#include "core/pm.h"
#include "workloads/kge.h"

enum {
    QUERY_FLOATS = 1 << 22, /* about as many in the vectors of the queries that go through the entities together */
    ENTITIES = 512,         /* of which values are read at once */
    QUERIES = 64,           /* of which scores are made at once */
    SUMS = 5,
};

/* One side of one triple. */
struct query {
    float target_score;
    uint32_t target;
    const uint32_t *known; /* ascending; the target is among them */
    uint32_t n_known, next_known;
    uint64_t greater, equal;
};

struct ranking {
    const struct kge_state *s;
    struct pm_worker *worker;
    struct query *queries;
    float *vectors; /* one per query */
    float *values;  /* of entities, or of one triple */
    float *scores;
    uint64_t n;
};

static int ranking_init(struct ranking *x, uint64_t triples)
{
    const struct kge_state *s = x->s;
    uint64_t entities = s->rows + 2 > ENTITIES ? s->rows + 2 : ENTITIES;
    x->queries = malloc(2 * triples * sizeof *x->queries);
    x->vectors = malloc(2 * triples * s->dims * sizeof *x->vectors);
    x->values = malloc(entities * s->length * sizeof *x->values);
    x->scores = malloc((size_t)QUERIES * ENTITIES * sizeof *x->scores);
    return x->queries != NULL && x->vectors != NULL && x->values != NULL && x->scores != NULL ? PM_OK : PM_E_MEMORY;
}

static void ranking_free(struct ranking *x)
{
    free(x->queries);
    free(x->vectors);
    free(x->values);
    free(x->scores);
}

static void add_query(struct ranking *x, struct triple t, bool tails)
{
    const struct kge_state *s = x->s;
    struct query *q = &x->queries[x->n];
    float *vector = x->vectors + x->n++ * s->dims;
    const float *subject = x->values, *object = subject + s->length, *relation = object + s->length;
    *q = (struct query){.target = tails ? t.o : t.s};
    memset(vector, 0, s->dims * sizeof *vector);
    if (tails)
        s->form->tail(subject, relation, s->length, s->dims, vector);
    else
        s->form->head(relation, s->length, object, s->dims, vector);
    s->kernel->scores((struct kge_rows){vector, 0, 1}, (struct kge_rows){tails ? object : subject, 0, 1}, s->dims, &q->target_score,
                      1);
    q->known = kge_filter_find(tails ? &s->tails : &s->heads, t, tails, &q->n_known);
}

/* Both queries of each of n triples. */
static int ask(struct ranking *x, const struct triple *triples, uint64_t n)
{
    const struct kge_state *s = x->s;
    pm_key *keys = malloc((2 + (size_t)s->rows) * sizeof *keys);
    int rc = keys != NULL ? PM_OK : PM_E_MEMORY;
    x->n = 0;
    for (uint64_t i = 0; i < n && rc == PM_OK; i++) {
        keys[0] = triples[i].s;
        keys[1] = triples[i].o;
        for (uint32_t row = 0; row < s->rows; row++)
            keys[2 + row] = kge_relation_key(s, triples[i].r) + row;
        rc = pm_read_model(x->worker, keys, 2 + s->rows, x->values);
        if (rc == PM_OK) {
            add_query(x, triples[i], true);
            add_query(x, triples[i], false);
        }
    }
    free(keys);
    return rc;
}

/* Scores of the entities [first, first + n): those that count, target and known ones taken out again. */
static void count_scores(struct query *q, const float *scores, uint32_t first, uint32_t n, const struct kge_kernel *kernel)
{
    kernel->count(scores, n, q->target_score, &q->greater, &q->equal);
    for (; q->next_known < q->n_known && q->known[q->next_known] < first + n; q->next_known++) {
        float score = scores[q->known[q->next_known] - first];
        q->greater -= !(score <= q->target_score);
        q->equal -= score == q->target_score;
    }
}

static int compare_with_all(struct ranking *x)
{
    const struct kge_state *s = x->s;
    pm_key keys[ENTITIES];
    for (uint64_t first = 0; first < s->graph.n_entities; first += ENTITIES) {
        uint64_t left = s->graph.n_entities - first;
        uint32_t n = left < ENTITIES ? (uint32_t)left : ENTITIES;
        for (uint32_t i = 0; i < n; i++)
            keys[i] = first + i;
        int rc = pm_read_model(x->worker, keys, n, x->values);
        if (rc != PM_OK)
            return rc;
        for (uint64_t q = 0; q < x->n; q += QUERIES) {
            uint32_t queries = x->n - q < QUERIES ? (uint32_t)(x->n - q) : QUERIES;
            s->kernel->scores((struct kge_rows){x->vectors + q * s->dims, s->dims, queries},
                              (struct kge_rows){x->values, s->length, n}, s->dims, x->scores, ENTITIES);
            for (uint32_t i = 0; i < queries; i++)
                count_scores(&x->queries[q + i], x->scores + (size_t)i * ENTITIES, (uint32_t)first, n, s->kernel);
        }
    }
    return PM_OK;
}

static void add_ranks(const struct ranking *x, double sums[SUMS])
{
    for (uint64_t i = 0; i < x->n; i++) {
        double rank = 1 + (double)x->queries[i].greater + (double)x->queries[i].equal / 2;
        sums[0] += 1 / rank;
        sums[1] += rank <= 1;
        sums[2] += rank <= 3;
        sums[3] += rank <= 10;
        sums[4] += rank;
    }
}

static int rank_share(const struct kge_state *s, const struct kge_worker *w, struct pm_worker *worker, double sums[SUMS])
{
    const struct triple *triples = s->graph.triples + graph_begin(&s->graph, s->measured);
    uint64_t n = graph_size(&s->graph, s->measured);
    uint64_t at = (uint64_t)((unsigned __int128)n * w->rank / s->ranks);
    uint64_t end = (uint64_t)((unsigned __int128)n * (w->rank + 1) / s->ranks);
    uint64_t most = QUERY_FLOATS / (2 * (uint64_t)s->dims);
    most = most < QUERIES ? QUERIES : most < end - at ? most : end - at;
    struct ranking x = {.s = s, .worker = worker};
    int rc = ranking_init(&x, most + 1);
    for (; at < end && rc == PM_OK; at += most) {
        rc = ask(&x, triples + at, end - at < most ? end - at : most);
        if (rc == PM_OK)
            rc = compare_with_all(&x);
        if (rc == PM_OK)
            add_ranks(&x, sums);
    }
    ranking_free(&x);
    return rc;
}

int kge_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    static const char *const names[SUMS] = {"mrr", "hits_at_1", "hits_at_3", "hits_at_10", "mean_rank"};
    const struct kge_state *s = state;
    const struct kge_worker *w = ws;
    double sums[SUMS] = {0};
    int rc = w->rank == 0 ? kge_write(s, w, worker) : PM_OK;
    if (rc == PM_OK)
        rc = rank_share(s, w, worker, sums);
    if (rc == PM_OK)
        rc = pm_reduce(worker, sums, SUMS);
    if (rc != PM_OK)
        return rc;
    out->n_metrics = SUMS;
    for (int i = 0; i < SUMS; i++) {
        out->metrics[i].name = names[i];
        out->metrics[i].value = sums[i] / (2 * (double)graph_size(&s->graph, s->measured));
    }
    return PM_OK;
}
