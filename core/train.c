/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Training: each worker reads batches ahead, announces them, pulls, computes, pushes and advances its clock. */
#include "core/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/scratch.h"

/* ---- loader ---- */

static int plan_one(struct pm_trainer *t)
{
    struct pm_planned *p = &t->ring[t->planned % t->ring_size];
    struct pm_batch *b = &p->batch;
    b->n_keys = b->n_samples = b->n_localize = b->n_pushes = 0;
    b->barrier_before = false;
    int rc = t->workload->next(t->state, t->ws, b);
    if (rc != PM_OK)
        return rc;
    pm_clock start = pm_worker_clock(t->worker) + (pm_clock)(t->planned - t->computed);
    p->sample = -1;
    if (b->n_samples) {
        p->sample = pm_prepare_sample(t->worker, b->distribution, b->n_samples, start, start + 1);
        if (p->sample < 0)
            return (int)p->sample;
    }
    t->planned++;
    rc = pm_intent(t->worker, b->keys, b->n_keys, start, start + 1);
    return rc == PM_OK ? pm_intent(t->worker, b->pushes, b->n_pushes, start, start + 1) : rc;
}

static int plan_ahead(struct pm_trainer *t)
{
    while (t->planned < t->n_batches && t->planned - t->computed < t->ring_size) {
        int rc = plan_one(t);
        if (rc != PM_OK)
            return rc;
    }
    return PM_OK;
}

/* ---- one step ---- */

static uint64_t floats_of(const struct pm_trainer *t, const pm_key *keys, uint32_t n)
{
    uint64_t floats = 0;
    for (uint32_t i = 0; i < n; i++)
        floats += pm_stored(t->node, keys[i]);
    return floats;
}

static struct pm_flight *flight_of(const struct pm_trainer *t, uint64_t number)
{
    return &t->flights[number % t->n_flights];
}

static int begin_pull(struct pm_trainer *t, const struct pm_batch *b)
{
    struct pm_flight *f = flight_of(t, t->pulled);
    int rc = pm_grow(&f->values, &f->values_capacity, floats_of(t, b->keys, b->n_keys), sizeof(float));
    if (rc != PM_OK)
        return rc;
    pm_ticket ticket = pm_pull_ahead(t->worker, (uint32_t)(t->pulled - t->computed), b->keys, b->n_keys, f->values);
    if (ticket < 0)
        return (int)ticket;
    f->pulled = ticket;
    t->pulled++;
    return PM_OK;
}

/* Begins the pulls of the batch that is due and of those after it that may be under way, but none from behind a barrier or
 * before its keys were localized; waits for the first. */
static int pull_batches(struct pm_trainer *t)
{
    while (t->pulled < t->planned && t->pulled - t->computed < t->n_flights) {
        const struct pm_batch *b = &t->ring[t->pulled % t->ring_size].batch;
        if (t->pulled > t->computed && (b->barrier_before || b->n_localize > 0))
            break;
        int rc = begin_pull(t, b);
        if (rc != PM_OK)
            return rc;
    }
    return pm_wait(t->worker, flight_of(t, t->computed)->pulled);
}

static int pull_sample(struct pm_trainer *t, const struct pm_planned *p)
{
    uint32_t n = p->batch.n_samples;
    if (n == 0)
        return PM_OK;
    uint64_t most = t->node->config.with_values ? (uint64_t)n * t->node->layout->length_max : 0;
    int rc = pm_grow(&t->samples, &t->samples_capacity, n, sizeof *t->samples);
    if (rc == PM_OK)
        rc = pm_grow(&t->sample_values, &t->sample_values_capacity, most, sizeof(float));
    if (rc != PM_OK)
        return rc;
    pm_ticket ticket = pm_pull_sample(t->worker, p->sample, n, t->samples, t->sample_values);
    return ticket < 0 ? (int)ticket : pm_wait(t->worker, ticket);
}

/* An earlier push may still read the update buffers: it is waited for before they are used again. */
static int room_for_updates(struct pm_trainer *t, struct pm_flight *f, const struct pm_batch *b)
{
    int rc = pm_wait(t->worker, f->pushed);
    if (rc != PM_OK)
        return rc;
    uint32_t n = b->n_keys + b->n_samples + b->n_pushes;
    uint64_t most = t->node->config.with_values ? (uint64_t)n * t->node->layout->length_max : 0;
    rc = pm_grow(&t->push_keys, &t->push_capacity, n, sizeof *t->push_keys);
    if (rc == PM_OK)
        rc = pm_grow(&f->updates, &f->updates_capacity, most, sizeof(float));
    if (rc != PM_OK || !t->node->traits.skips_negligible || !t->node->config.with_values)
        return rc;
    rc = pm_grow(&t->negligible, &t->negligible_capacity, n, sizeof *t->negligible);
    if (rc == PM_OK && n > 0)
        memset(t->negligible, 0, n);
    return rc;
}

static void compute(struct pm_trainer *t, struct pm_step *step)
{
    const struct pm_node_config *c = &t->node->config;
    struct pm_worker *w = t->worker;
    int64_t before = c->ops->now_ns(c->ops_self);
    t->workload->compute(t->state, t->ws, step);
    double flops = t->workload->flops(t->state, step->batch);
    c->ops->compute(c->ops_self, w, flops);
    int64_t took = c->ops->now_ns(c->ops_self) - before;
    w->compute_ns += took;
    pm_count(&w->ctx.counters.compute_ns, (uint64_t)took);
    pm_count(&w->ctx.counters.steps, 1);
    t->loss += step->loss;
    t->flops += flops;
    t->steps++;
}

/* Closes the gaps that negligible updates leave. */
static void leave_out(struct pm_trainer *t, struct pm_step *step)
{
    uint32_t kept = 0;
    const float *from = step->updates;
    float *to = step->updates;
    uint64_t before = 0, after = 0; /* what goes to other nodes */
    for (uint32_t i = 0; i < step->n_push; i++) {
        uint32_t length = pm_stored(t->node, step->push_keys[i]);
        bool here = pm_owner_at_start(t->node, step->push_keys[i]) == t->node->config.id;
        uint32_t bytes = here ? 0 : (uint32_t)sizeof(pm_key) + 4 * length;
        before += bytes;
        after += step->negligible[i] ? 0 : bytes;
        if (!step->negligible[i]) {
            memmove(to, from, length * sizeof *to);
            to += length;
            step->push_keys[kept++] = step->push_keys[i];
        }
        from += length;
    }
    step->n_push = kept;
    pm_filtered(&t->worker->ctx, PM_FILTER_KKT, PM_MSG_ACCESS, before, after);
}

static int push_updates(struct pm_trainer *t, struct pm_step *step)
{
    if (step->negligible)
        leave_out(t, step);
    pm_ticket ticket = pm_push(t->worker, step->push_keys, step->n_push, step->updates);
    if (ticket < 0)
        return (int)ticket;
    flight_of(t, t->computed)->pushed = ticket;
    return PM_OK;
}

static int64_t now(const struct pm_trainer *t)
{
    const struct pm_node_config *c = &t->node->config;
    return c->ops->now_ns(c->ops_self);
}

static bool time_is_up(const struct pm_trainer *t)
{
    int64_t budget = t->job->time_budget_ns;
    return budget > 0 && t->trained_ns + now(t) - t->began_ns >= budget;
}

/* Everything before is at its owner, at all workers; they also agree here whether to go on. */
static int sub_epoch(struct pm_trainer *t)
{
    int rc = pm_wait_all(t->worker);
    double late = time_is_up(t);
    if (rc == PM_OK)
        rc = pm_end_sub_epoch(t->worker);
    if (rc == PM_OK)
        rc = pm_reduce(t->worker, &late, 1);
    t->out_of_time = late > 0;
    return rc;
}

static int do_step(struct pm_trainer *t)
{
    const struct pm_planned *p = &t->ring[t->computed % t->ring_size];
    struct pm_flight *f = flight_of(t, t->computed);
    int rc = p->batch.barrier_before ? sub_epoch(t) : PM_OK;
    if (rc != PM_OK || t->out_of_time)
        return rc;
    /* blocks move when the batch is due, not when it is planned: others still compute on them until then */
    rc = pm_localize(t->worker, p->batch.localize, p->batch.n_localize);
    if (rc == PM_OK)
        rc = pull_batches(t);
    if (rc == PM_OK)
        rc = pull_sample(t, p);
    if (rc == PM_OK)
        rc = room_for_updates(t, f, &p->batch);
    if (rc != PM_OK)
        return rc;
    bool values = t->node->config.with_values;
    struct pm_step step = {.batch = &p->batch,
                           .values = values ? f->values : NULL,
                           .samples = t->samples,
                           .sample_values = values ? t->sample_values : NULL,
                           .push_keys = t->push_keys,
                           .updates = values ? f->updates : NULL,
                           .negligible = values && t->node->traits.skips_negligible ? t->negligible : NULL};
    compute(t, &step);
    rc = push_updates(t, &step);
    t->computed++;
    if (rc == PM_OK)
        rc = pm_advance_clock(t->worker);
    if (pm_pace_batch(&t->pace))
        pm_pace_segment(&t->pace, now(t));
    return rc;
}

/* ---- one epoch ---- */

static int run_batches(struct pm_trainer *t)
{
    while (t->computed < t->n_batches) {
        int rc = plan_ahead(t);
        if (rc == PM_OK)
            rc = do_step(t);
        if (rc != PM_OK || t->out_of_time)
            return rc;
        pm_report_progress(t);
        /* with sub-epochs nobody stops alone */
        if (!t->node->config.model->sub_epochs && time_is_up(t)) {
            t->out_of_time = true;
            return PM_OK;
        }
    }
    return PM_OK;
}

/* The number of batches of the whole epoch. */
static uint64_t begin_epoch(struct pm_trainer *t, uint32_t epoch)
{
    uint64_t all = t->workload->epoch_begin(t->state, t->ws, epoch);
    /* 0.07 x 100 is a little more than 7, and not meant to be 8 */
    t->n_batches = (uint64_t)ceil((double)all * t->job->epoch_fraction * (1 - 1e-12));
    t->planned = t->pulled = t->computed = t->steps = 0;
    t->loss = t->flops = 0;
    if (epoch == 0)
        t->steps_all = t->n_batches * t->job->epochs;
    return all;
}

/* Ends the pause that the last epoch's drain began. */
static void resume_rounds(struct pm_trainer *t)
{
    if (t->worker->index != 0)
        return;
    __atomic_store_n(&t->node->paused, 0, __ATOMIC_RELEASE);
    pm_ask_tick(&t->worker->ctx, now(t));
}

static int train_epoch(struct pm_trainer *t, uint32_t epoch)
{
    uint64_t all = begin_epoch(t, epoch);
    pm_report_snapshot(t); /* nobody sends anything that counts before all have passed the next barrier */
    t->worker->ctx.uncharged = true;
    int rc = pm_barrier(t->worker);
    t->worker->ctx.uncharged = false;
    t->entered_ns = now(t);
    if (rc != PM_OK)
        return rc;
    resume_rounds(t);
    rc = pm_barrier(t->worker);
    t->began_ns = now(t);
    pm_pace_begin(&t->pace, all, t->began_ns);
    if (rc == PM_OK)
        rc = run_batches(t);
    t->drain_ns = now(t);
    pm_pace_end(&t->pace, t->drain_ns);
    if (rc == PM_OK)
        rc = pm_end_sub_epoch(t->worker);
    if (rc == PM_OK)
        rc = pm_drain(t->worker);
    t->ended_ns = now(t);
    pm_count(&t->worker->ctx.counters.trained_ns, (uint64_t)(t->ended_ns - t->entered_ns));
    for (uint64_t i = 0; i < t->n_flights; i++)
        t->flights[i].pulled = t->flights[i].pushed = PM_DONE;
    t->steps_before += t->computed;
    return rc;
}

static bool is_evaluated(const struct pm_job *job, uint32_t epoch, bool last)
{
    if (!job->with_values || !job->workload->evaluate)
        return false;
    if (last || job->evaluate == PM_EVALUATE_EVERY)
        return true;
    return job->evaluate == PM_EVALUATE_N && (epoch + 1) % job->evaluate_n == 0;
}

static void add_projection(struct pm_trainer *t)
{
    struct pm_projections *p = &t->node->projections;
    pm_lock(t->node, &p->latch);
    pm_projection_worker(&p->sum, &t->pace);
    pm_unlock(t->node, &p->latch);
}

/* Sums that all workers need: loss, steps, work, whether somebody ran out of time. */
static int agree(struct pm_trainer *t)
{
    double sums[4] = {t->loss, (double)t->steps, t->out_of_time, t->flops};
    int rc = pm_reduce(t->worker, sums, 4);
    t->loss = sums[0];
    t->steps = (uint64_t)sums[1];
    t->out_of_time = sums[2] > 0;
    t->flops = sums[3];
    return rc;
}

static int finish_epoch(struct pm_trainer *t, uint32_t epoch)
{
    t->worker->ctx.uncharged = true;
    add_projection(t);
    int rc = agree(t);
    if (rc != PM_OK)
        return rc;
    if (t->workload->epoch_end)
        t->workload->epoch_end(t->state, t->ws, epoch, t->loss);
    bool evaluated = is_evaluated(t->job, epoch, t->out_of_time || epoch + 1 == t->job->epochs);
    int64_t before = now(t);
    t->evaluation = (struct pm_evaluation){0};
    if (evaluated)
        rc = t->workload->evaluate(t->state, t->ws, t->worker, &t->evaluation);
    t->eval_ns = now(t) - before;
    if (rc == PM_OK)
        rc = pm_report_epoch(t, epoch, evaluated);
    t->trained_ns += t->ended_ns - t->began_ns;
    t->worker->ctx.uncharged = false;
    return rc;
}

static int make_loader(struct pm_trainer *t)
{
    uint64_t ahead = (uint64_t)(t->job->ahead >= 0 ? t->job->ahead : (int64_t)t->workload->default_ahead);
    uint64_t pulls = t->workload->pulls_ahead ? t->node->traits.pull_ahead : 0;
    bool early = t->node->policy->hint || t->node->policy->prepare_sample;
    t->n_flights = (pulls < ahead ? pulls : ahead) + 1;
    t->ring_size = early ? ahead + 1 : t->n_flights;
    t->ring = calloc(t->ring_size, sizeof *t->ring);
    t->flights = calloc(t->n_flights, sizeof *t->flights);
    if (!t->ring || !t->flights)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < t->ring_size; i++) {
        t->ring[i].batch.item = calloc(1, t->workload->batch_bytes + 1);
        if (!t->ring[i].batch.item)
            return PM_E_MEMORY;
    }
    return PM_OK;
}

static void free_trainer(struct pm_trainer *t)
{
    for (uint64_t i = 0; t->ring && i < t->ring_size; i++) {
        free(t->ring[i].batch.keys);
        free(t->ring[i].batch.localize);
        free(t->ring[i].batch.pushes);
        free(t->ring[i].batch.item);
    }
    for (uint64_t i = 0; t->flights && i < t->n_flights; i++) {
        free(t->flights[i].values);
        free(t->flights[i].updates);
    }
    free(t->ring);
    free(t->flights);
    free(t->sample_values);
    free(t->samples);
    free(t->push_keys);
    free(t->negligible);
    free(t->times_before);
    free(t->events_reported);
    free(t->ws);
}

static int train(struct pm_trainer *t)
{
    int rc = make_loader(t);
    if (rc == PM_OK)
        rc = pm_report_begin(t);
    for (uint32_t epoch = 0; rc == PM_OK && epoch < t->job->epochs && !t->out_of_time; epoch++) {
        rc = train_epoch(t, epoch);
        if (rc == PM_OK)
            rc = finish_epoch(t, epoch);
    }
    return rc == PM_OK ? pm_report_end(t) : rc;
}

int pm_train_worker(struct pm_worker *worker, void *arg)
{
    (void)arg;
    struct pm_node *node = worker->ctx.node;
    struct pm_trainer t = {.worker = worker,
                           .node = node,
                           .job = node->config.job,
                           .workload = node->config.workload,
                           .state = node->config.workload_state};
    t.ws = calloc(1, t.workload->worker_bytes + 1);
    int rc = t.ws ? t.workload->begin(t.state, t.ws, worker->rank) : PM_E_MEMORY;
    if (rc == PM_OK) {
        rc = train(&t);
        if (t.workload->end)
            t.workload->end(t.state, t.ws);
    }
    free_trainer(&t);
    return rc;
}
