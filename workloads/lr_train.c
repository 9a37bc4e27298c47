/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gradients at the workers, proximal steps at the owners.
 *
 * With n examples (x_i, y_i), y_i = -1 or 1, workers and owners minimise over w
 *     1/n sum_i log(1 + exp(-y_i <w, x_i>)) + l1 |w|_1 + l2/2 |w|_2^2
 * (the bias is in neither norm) by delayed block proximal gradient (M. Li, D. Andersen, A. Smola, K. Yu, "Communication
 * efficient distributed machine learning with the parameter server", NIPS 2014). */
#include <math.h>

#include "workloads/lr.h"

/* lr_worker.left_out of a column: how many more visits its update is left out, or that its new value is waited for. */
enum { ASKED = UINT8_MAX };

double lr_loss(double agreement)
{
    return agreement > 0 ? log1p(exp(-agreement)) : log1p(exp(agreement)) - agreement;
}

/* ---- the worker ---- */

/* Late gradients can move a zero weight only when they pass l1: the further the last one was from that, the longer the
 * feature is left alone. All workers see the same value and decide the same. */
static uint8_t visits_to_leave_out(const struct lr_state *s, pm_key key, const float *value)
{
    bool penalised = s->l1 > 0 && !(s->bias && key == s->n_keys - 1);
    if (value[0] != 0 || !penalised)
        return 0;
    double distance = 1 - fabs((double)value[1]) / s->l1;
    return distance > 0 ? (uint8_t)(s->recheck * distance) : 0;
}

/* Takes in the new weights of a block: margins change by as much as the weights have. */
static void learn(const struct lr_state *s, struct lr_worker *w, uint32_t block, const float *values)
{
    const struct lr_matrix *m = &s->train;
    if (block == LR_NOTHING)
        return;
    uint64_t own = lr_bucket(m, w->rank, 0), end = lr_bucket(m, w->rank, block + 1);
    for (uint64_t c = lr_bucket(m, w->rank, block); c < end; c++, values += LR_VALUE_LENGTH) {
        double change = (double)values[0] - (double)w->known[c - own];
        w->known[c - own] = values[0];
        if (w->left_out[c - own] == ASKED)
            w->left_out[c - own] = visits_to_leave_out(s, m->columns[c].feature, values);
        for (uint64_t i = m->columns[c].first; change != 0 && i < m->columns[c + 1].first; i++) {
            w->margins[m->rows[i]] += change * (double)lr_entry(m, i);
            w->fresh[m->rows[i]] = 0;
        }
    }
}

/* Slope and curvature of a row's loss at its margin. The bound is the curvature of the parabola that touches the loss at
 * this margin and lies above it everywhere (T. Jaakkola, M. Jordan, "Bayesian parameter estimation via variational
 * methods", Statistics and Computing 10, 2000): steps measured by it cannot overshoot, however far they lead. */
static void refresh(const struct lr_state *s, struct lr_worker *w, uint32_t row)
{
    double margin = w->margins[row], away = fabs(margin);
    int label = lr_label(&s->train, w->rank, row);
    double wrong = 1 / (1 + exp(label * margin));
    w->slopes[row] = (float)(-label * wrong);
    if (s->bound)
        w->curvatures[row] = (float)(away < 1e-3 ? 0.25 : tanh(away / 2) / (2 * away));
    else
        w->curvatures[row] = (float)(wrong * (1 - wrong));
    w->fresh[row] = 1;
}

/* Adds a block's absolute values to each row's reach (sign = 1), or takes them away again (-1). */
static void add_reach(const struct lr_matrix *m, struct lr_worker *w, uint32_t block, int sign)
{
    if (block == LR_NOTHING)
        return;
    uint64_t end = m->columns[lr_bucket(m, w->rank, block + 1)].first;
    for (uint64_t i = m->columns[lr_bucket(m, w->rank, block)].first; i < end; i++)
        w->reach[m->rows[i]] += sign * fabs((double)lr_entry(m, i));
}

/* Gradient and curvature of one weight over this worker's rows. With s->bound all weights of this block and of those whose
 * new weights are not here yet may move at once: of a row in which their absolute values sum up to r each takes its share
 * r |x| of the curvature (which is x^2 when it is alone). */
static void differentiate(const struct lr_state *s, struct lr_worker *w, uint64_t column, float *update)
{
    const struct lr_matrix *m = &s->train;
    double gradient = 0, curvature = 0;
    for (uint64_t i = m->columns[column].first; i < m->columns[column + 1].first; i++) {
        uint32_t row = m->rows[i];
        double x = (double)lr_entry(m, i);
        if (!w->fresh[row])
            refresh(s, w, row);
        gradient += (double)w->slopes[row] * x;
        curvature += (double)w->curvatures[row] * fabs(x) * (s->bound ? w->reach[row] : fabs(x));
    }
    update[0] = (float)(gradient / (double)m->n_rows);
    update[1] = (float)(curvature / (double)m->n_rows);
}

static void mark(struct lr_worker *w, uint64_t own_column, uint8_t *negligible)
{
    uint8_t *left = &w->left_out[own_column];
    *negligible = *left > 0 && *left < ASKED;
    *left = *negligible ? (uint8_t)(*left - 1) : ASKED;
}

static void work(const struct lr_state *s, struct lr_worker *w, uint32_t block, struct pm_step *step)
{
    const struct lr_matrix *m = &s->train;
    uint64_t own = lr_bucket(m, w->rank, 0), first = lr_bucket(m, w->rank, block);
    if (s->bound)
        add_reach(m, w, block, 1);
    for (uint32_t i = 0; i < step->n_push; i++) {
        differentiate(s, w, first + i, step->updates + (uint64_t)i * LR_VALUE_LENGTH);
        if (step->negligible != NULL)
            mark(w, first + i - own, &step->negligible[i]);
    }
}

/* Over an epoch each row's loss is added once, at the margin that it then has. */
static double part_of_loss(const struct lr_state *s, const struct lr_worker *w, uint64_t visit)
{
    uint64_t visits = (uint64_t)s->blocks * s->passes;
    uint64_t first = w->n_rows * visit / visits, end = w->n_rows * (visit + 1) / visits;
    double sum = 0;
    for (uint64_t row = first; row < end; row++)
        sum += lr_loss(lr_label(&s->train, w->rank, row) * w->margins[row]);
    return sum / (double)s->train.n_rows;
}

void lr_compute(const void *state, void *ws, struct pm_step *step)
{
    const struct lr_state *s = state;
    struct lr_worker *w = ws;
    const struct pm_batch *batch = step->batch;
    const struct lr_item *item = batch->item;
    step->n_push = batch->n_pushes;
    step->loss = 0;
    for (uint32_t i = 0; i < step->n_push; i++)
        step->push_keys[i] = batch->pushes[i];
    if (!s->task.with_values)
        return;
    learn(s, w, item->learnt, step->values);
    if (s->bound)
        add_reach(&s->train, w, item->learnt, -1);
    work(s, w, item->worked, step);
    step->loss = part_of_loss(s, w, item->visit);
}

/* ---- the owner ---- */

static double shrink(double x, double by)
{
    return x > by ? x - by : x < -by ? x + by : 0;
}

/* The value is (w, c): of a weight that is not zero c is the curvature by which its step was measured, of a zero weight
 * the gradient that has not moved it, negative.
 *
 * The update is (gradient, curvature), summed over all workers or one worker's part. The whole sum (g, u) makes the step
 *     w := argmin_v  g v + l1 |v| + u / (2 rate) (v - w)^2.
 * In terms of the pull y = w u / rate - g: the new w is y shrunk by l1, times rate / u, and exactly zero when |y| <= l1. A
 * zero weight keeps y, of one that is not zero y follows from w and u. Now a part of the sum, one of `holders` that come
 * one after another, replaces that share of the pull and of the curvature: when all have come the step is that of their
 * sum, and a zero weight is moved by what all workers pull at it, not by one that pulls harder than l1 / holders. */
void lr_apply(const void *state, pm_key key, uint32_t length, float *value, const float *update)
{
    (void)length;
    const struct lr_state *s = state;
    bool penalised = !(s->bias && key == s->n_keys - 1);
    double l1 = penalised ? s->l1 : 0, l2 = penalised ? s->l2 : 0;
    double share = s->task.aggregates || s->holders[key] < 2 ? 1 : 1.0 / s->holders[key];
    double weight = (double)value[0], gradient = (double)update[0] + share * l2 * weight;
    double part = (double)update[1] + share * l2, curvature, pull;
    if (weight != 0) {
        curvature = (1 - share) * (double)value[1] + part;
        pull = weight * curvature / s->rate + (1 - share) * (weight > 0 ? l1 : -l1);
    } else {
        curvature = part / share;
        pull = (1 - share) * (double)value[1];
    }
    pull -= gradient;
    double moved = curvature > 0 ? shrink(pull, l1) * s->rate / curvature : weight;
    if (s->trust > 0 && fabs(moved - weight) > share * s->trust)
        moved = weight + (moved > weight ? share * s->trust : -share * s->trust);
    value[0] = (float)moved;
    value[1] = value[0] != 0 ? (float)curvature : (float)pull;
}
