/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One batch of training: scores of the triples and of their negatives, gradients, AdaGrad.
 *
 * update=batch: all triples of the batch are scored on the values as pulled; each parameter takes one step by the sum of its
 * gradients, a negative one for each time that it was drawn. update=score: one step per scored triple, in order, on the values as
 * the steps before have left them. A negative that makes the very triple it was drawn for is left out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/pm.h"
#include "workloads/kge.h"

int kge_trainer_init(const struct kge_state *s, struct kge_worker *w)
{
    uint32_t group = s->shared ? s->batch : 1;
    size_t vectors = (size_t)group * s->dims, scores = (size_t)group * s->negatives;
    float *scratch = malloc((4 * vectors + 2 * scores + s->batch + (size_t)s->length * (s->rows + 3)) * sizeof *scratch);
    if (scratch == NULL)
        return PM_E_MEMORY;
    if (kge_slots_init(&w->slots, s->batch) != PM_OK) {
        free(scratch);
        return PM_E_MEMORY;
    }
    w->tails = scratch;
    w->heads = w->tails + vectors;
    w->tail_sums = w->heads + vectors;
    w->head_sums = w->tail_sums + vectors;
    w->tail_scores = w->head_sums + vectors;
    w->head_scores = w->tail_scores + scores;
    w->positives = w->head_scores + scores;
    w->copies = w->positives + s->batch;
    return PM_OK;
}

void kge_trainer_free(struct kge_worker *w)
{
    free(w->tails);
    kge_slots_free(&w->slots);
}

/* Some triples of a batch, and the negatives that they share; [0]: for the object, [1]: for the subject. */
struct group {
    uint32_t first, n; /* triples */
    const pm_key *negatives[2];
    const float *candidates[2]; /* their values */
    float *updates[2];
};

struct vectors {
    const float *s, *r, *o;
    float *d_s, *d_r, *d_o; /* gradients */
};

/* Values and gradients of one triple's parameters. */
static struct vectors vectors_of(const struct kge_state *s, const struct kge_worker *w, const struct pm_step *step, uint32_t i)
{
    const struct triple *slots = &w->slots.slots[i];
    size_t at[3] = {w->slots.list[slots->s].first, w->slots.list[slots->r].first, w->slots.list[slots->o].first};
    for (int k = 0; k < 3; k++)
        at[k] *= s->length;
    return (struct vectors){step->values + at[0],  step->values + at[1],  step->values + at[2],
                            step->updates + at[0], step->updates + at[1], step->updates + at[2]};
}

static float dot(const struct kge_state *s, const float *a, const float *b)
{
    float out;
    s->kernel->scores((struct kge_rows){a, 0, 1}, (struct kge_rows){b, 0, 1}, s->dims, &out, 1);
    return out;
}

static void leave_out(float *scores, const pm_key *negatives, uint32_t n, pm_key target)
{
    for (uint32_t j = 0; j < n; j++)
        if (negatives[j] == target)
            scores[j] = -INFINITY;
}

/* The loss of one triple whose own score is given; scores become their derivatives. */
static double lose(const struct kge_state *s, float positive, float *tail_scores, float *head_scores, float *derivative)
{
    const struct kge_kernel *k = s->kernel;
    *derivative = 0;
    if (s->loss == KGE_SOFTMAX)
        return k->softmax(tail_scores, s->negatives, positive, derivative) +
               k->softmax(head_scores, s->negatives, positive, derivative);
    float negated = -positive;
    double loss = k->logistic(&negated, 1);
    *derivative = -negated;
    return loss + k->logistic(tail_scores, s->negatives) + k->logistic(head_scores, s->negatives);
}

/* Scores and loss; leaves derivatives in their places. */
static double score_group(const struct kge_state *s, struct kge_worker *w, const struct pm_step *step, const struct group *g)
{
    const uint32_t dims = s->dims, n = s->negatives;
    memset(w->tails, 0, (size_t)g->n * dims * sizeof *w->tails);
    memset(w->heads, 0, (size_t)g->n * dims * sizeof *w->heads);
    for (uint32_t i = 0; i < g->n; i++) {
        struct vectors v = vectors_of(s, w, step, g->first + i);
        s->form->tail(v.s, v.r, s->length, dims, w->tails + (size_t)i * dims);
        s->form->head(v.r, s->length, v.o, dims, w->heads + (size_t)i * dims);
    }
    s->kernel->scores((struct kge_rows){w->tails, dims, g->n}, (struct kge_rows){g->candidates[0], s->length, n}, dims,
                      w->tail_scores, n);
    s->kernel->scores((struct kge_rows){w->heads, dims, g->n}, (struct kge_rows){g->candidates[1], s->length, n}, dims,
                      w->head_scores, n);
    double loss = 0;
    for (uint32_t i = 0; i < g->n; i++) {
        const struct triple *t = &w->slots.triples[g->first + i];
        float *tail_scores = w->tail_scores + (size_t)i * n, *head_scores = w->head_scores + (size_t)i * n;
        leave_out(tail_scores, g->negatives[0], n, t->o);
        leave_out(head_scores, g->negatives[1], n, t->s);
        float positive = dot(s, w->tails + (size_t)i * dims, vectors_of(s, w, step, g->first + i).o);
        loss += lose(s, positive, tail_scores, head_scores, &w->positives[i]);
    }
    return loss;
}

/* Gradients of the triples' own parameters, added to what others have left there. */
static void differentiate_triples(const struct kge_state *s, struct kge_worker *w, const struct pm_step *step,
                                  const struct group *g)
{
    const uint32_t dims = s->dims;
    for (uint32_t i = 0; i < g->n; i++) {
        struct vectors v = vectors_of(s, w, step, g->first + i);
        float *tail_sum = w->tail_sums + (size_t)i * dims, *head_sum = w->head_sums + (size_t)i * dims;
        s->kernel->add(w->positives[i], v.o, dims, tail_sum);
        s->form->head(v.r, s->length, tail_sum, dims, v.d_s);
        s->form->relation(v.s, tail_sum, dims, v.d_r, s->length);
        s->form->relation(head_sum, v.o, dims, v.d_r, s->length);
        s->form->tail(head_sum, v.r, s->length, dims, v.d_o);
        s->kernel->add(w->positives[i], w->tails + (size_t)i * dims, dims, v.d_o);
    }
}

static double train_group(const struct kge_state *s, struct kge_worker *w, const struct pm_step *step, const struct group *g)
{
    const uint32_t dims = s->dims, n = s->negatives;
    double loss = score_group(s, w, step, g);
    float *const scores[2] = {w->tail_scores, w->head_scores}, *const vectors[2] = {w->tails, w->heads};
    float *const weighted[2] = {w->tail_sums, w->head_sums};
    for (int side = 0; side < 2; side++) {
        s->kernel->combine(scores[side], n, 1, g->n, (struct kge_rows){g->candidates[side], s->length, n}, dims, weighted[side],
                           dims);
        s->kernel->combine(scores[side], 1, n, n, (struct kge_rows){vectors[side], dims, g->n}, dims, g->updates[side], s->length);
    }
    differentiate_triples(s, w, step, g);
    return loss;
}

/* Turns the gradients of the triples' parameters, with those of the penalty, into updates. */
static void step_slots(const struct kge_state *s, const struct kge_worker *w, const struct pm_step *step)
{
    for (uint32_t i = 0; i < w->slots.n; i++) {
        const struct kge_slot *slot = &w->slots.list[i];
        float weight = (slot->relation ? s->lambda_relation : s->lambda_entity) * (float)slot->count;
        for (uint32_t row = 0; row < (slot->relation ? s->rows : 1); row++) {
            const float *value = step->values + (size_t)(slot->first + row) * s->length;
            float *update = step->updates + (size_t)(slot->first + row) * s->length;
            if (weight > 0)
                s->kernel->penalty(s->norm, s->model == KGE_COMPLEX, weight, value, s->dims, update);
            s->kernel->adagrad(value, update, s->dims, s->rate);
        }
    }
}

static double train_batch(const struct kge_state *s, struct kge_worker *w, const struct pm_step *step)
{
    const uint32_t n = s->negatives, length = s->length;
    const uint32_t groups = s->shared ? 1 : w->slots.n_triples, size = s->shared ? w->slots.n_triples : 1;
    float *of_samples = step->updates + (size_t)w->slots.n_keys * length;
    double loss = 0;
    for (uint32_t i = 0; i < w->slots.n_keys; i++)
        memset(step->updates + (size_t)i * length, 0, s->dims * sizeof(float));
    for (uint32_t i = 0; i < groups; i++) {
        struct group g = {.first = i, .n = size};
        for (int side = 0; side < 2; side++) {
            size_t first = (size_t)(2 * i + (uint32_t)side) * n;
            g.negatives[side] = step->samples + first;
            g.candidates[side] = step->sample_values + first * length;
            g.updates[side] = of_samples + first * length;
        }
        loss += train_group(s, w, step, &g);
    }
    step_slots(s, w, step);
    for (uint32_t i = 0; i < step->batch->n_samples; i++)
        s->kernel->adagrad(step->sample_values + (size_t)i * length, of_samples + (size_t)i * length, s->dims, s->rate);
    return loss;
}

/* ---- update=score ---- */

/* One scored triple: values as they are now, and the places of their updates. */
struct scored {
    float *s, *r, *o;
    float *us, *ur, *uo;
};

static void apply(const struct kge_state *s, float *value, float *update, uint32_t rows, float weight)
{
    for (uint32_t row = 0; row < rows; row++, value += s->length, update += s->length) {
        if (weight > 0)
            s->kernel->penalty(s->norm, s->model == KGE_COMPLEX, weight, value, s->dims, update);
        s->kernel->adagrad(value, update, s->dims, s->rate);
    }
}

/* One step, after which the values are the new ones; `given`: the triple is one of those to learn. */
static double step_once(const struct kge_state *s, struct kge_worker *w, const struct scored *x, bool given, bool left_out)
{
    const uint32_t dims = s->dims;
    const size_t bytes = dims * sizeof(float);
    memset(w->tails, 0, bytes);
    memset(w->heads, 0, bytes);
    memset(w->tail_sums, 0, bytes);
    memset(x->us, 0, bytes);
    memset(x->uo, 0, bytes);
    for (uint32_t row = 0; row < s->rows; row++)
        memset(x->ur + (size_t)row * s->length, 0, bytes);
    s->form->tail(x->s, x->r, s->length, dims, w->tails);
    float score = left_out ? -INFINITY : dot(s, w->tails, x->o), sign = given ? -1 : 1;
    score *= sign;
    double loss = s->kernel->logistic(&score, 1);
    float derivative = sign * score;
    s->form->head(x->r, s->length, x->o, dims, w->heads);
    s->kernel->add(derivative, w->heads, dims, x->us);
    s->kernel->add(derivative, w->tails, dims, x->uo);
    s->kernel->add(derivative, x->s, dims, w->tail_sums);
    s->form->relation(w->tail_sums, x->o, dims, x->ur, s->length);
    apply(s, x->s, x->us, 1, given ? s->lambda_entity : 0);
    apply(s, x->r, x->ur, s->rows, given ? s->lambda_relation : 0);
    apply(s, x->o, x->uo, 1, given ? s->lambda_entity : 0);
    s->kernel->add(1, x->us, s->length, x->s);
    s->kernel->add(1, x->ur, s->length * s->rows, x->r);
    s->kernel->add(1, x->uo, s->length, x->o);
    return loss;
}

/* A negative: one side of the triple is another entity, of which a copy is made. */
static double step_negative(const struct kge_state *s, struct kge_worker *w, const struct pm_step *step, struct scored own,
                            uint32_t j, bool tail)
{
    const size_t length = s->length, n = s->negatives;
    const struct triple *t = &w->slots.triples[0];
    size_t sample = tail ? j : n + j, place = 2 + s->rows + sample * (1 + s->rows);
    float *copy = w->copies + (2 + s->rows) * length;
    float *update = step->updates + (step->batch->n_keys + sample) * length, *first = step->updates + place * length;
    memcpy(copy, step->sample_values + sample * length, length * sizeof *copy);
    struct scored x = {.s = tail ? own.s : copy,
                       .r = own.r,
                       .o = tail ? copy : own.o,
                       .us = tail ? first : update,
                       .ur = tail ? first + length : first,
                       .uo = tail ? update : first + s->rows * length};
    return step_once(s, w, &x, false, step->samples[sample] == (tail ? t->o : t->s));
}

static double train_stepwise(const struct kge_state *s, struct kge_worker *w, const struct pm_step *step)
{
    const size_t length = s->length;
    bool loop = w->slots.triples[0].s == w->slots.triples[0].o;
    struct scored x = {.s = w->copies,
                       .r = w->copies + length,
                       .o = loop ? w->copies : w->copies + (1 + s->rows) * length,
                       .us = step->updates,
                       .ur = step->updates + length,
                       .uo = step->updates + (1 + s->rows) * length};
    memcpy(w->copies, step->values, (2 + s->rows) * length * sizeof *w->copies);
    double loss = step_once(s, w, &x, true, false);
    for (uint32_t j = 0; j < s->negatives; j++) {
        loss += step_negative(s, w, step, x, j, true);
        loss += step_negative(s, w, step, x, j, false);
    }
    return loss;
}

/* The mean over all scores of an epoch with the logistic loss, over all triples and sides with softmax. */
static double losses_of_epoch(const struct kge_state *s)
{
    double n = (double)graph_size(&s->graph, GRAPH_TRAIN);
    return s->loss == KGE_LOGISTIC ? n * (1 + 2 * (double)s->negatives) : 2 * n;
}

void kge_compute(const void *state, void *ws, struct pm_step *step)
{
    const struct kge_state *s = state;
    struct kge_worker *w = ws;
    const struct pm_batch *batch = step->batch;
    step->n_push = batch->n_keys + batch->n_samples;
    step->loss = 0;
    memcpy(step->push_keys, batch->keys, batch->n_keys * sizeof *step->push_keys);
    memcpy(step->push_keys + batch->n_keys, step->samples, batch->n_samples * sizeof *step->push_keys);
    if (!s->task.with_values)
        return;
    kge_slots_fill(s, w, batch->item, &w->slots);
    step->loss = (s->stepwise ? train_stepwise(s, w, step) : train_batch(s, w, step)) / losses_of_epoch(s);
}

/* Per element: 2 each for the product of a candidate with a vector and for the two gradients that come of it; 5 for a form of
 * ComplEx, 2 for one of DistMult, 2 dims for one of RESCAL - a triple takes six of them, with update=score each scored triple
 * three, the product and three scaled sums; for each update 9, those of AdaGrad: square, its sum, product with the rate, root and
 * quotient, and the sums at the owner. And 20 for the loss of one score. */
double kge_flops(const void *state, const struct pm_batch *batch)
{
    static const double forms[KGE_MODELS] = {[KGE_COMPLEX] = 5, [KGE_DISTMULT] = 2};
    const struct kge_state *s = state;
    const struct kge_item *item = batch->item;
    double dims = s->dims, form = s->model == KGE_RESCAL ? 2 * dims : forms[s->model];
    double scored = item->n_triples * (1 + 2.0 * s->negatives);
    double per_score = s->stepwise ? 3 * form + 8 : 6, per_triple = s->stepwise ? 0 : 6 * form;
    return dims * (scored * per_score + item->n_triples * per_triple + 9.0 * (batch->n_keys + batch->n_samples)) + 20 * scored;
}
