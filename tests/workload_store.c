/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Workloads over one array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "core/spec.h"
#include "tests/workload_store.h"

struct store_worker {
    void *ws;
    struct pm_batch *batches; /* a ring of ahead + 1 */
    uint32_t ring, filled, head;
    uint64_t left; /* batches not yet taken from the workload */
    uint64_t barriers;
    struct pm_rng sample_rng;
    struct pm_step step;
    float *pulled;
    pm_key *samples;
};

int store_open(struct store *s, const struct pm_workload *workload, const char *specification,
               const struct pm_task *task, struct pm_error *err)
{
    memset(s, 0, sizeof *s);
    struct pm_spec spec;
    int rc = pm_spec_parse(specification, &spec, err);
    if (rc != PM_OK)
        return rc;
    rc = pm_spec_apply(&spec, workload->options, workload->presets, &s->options, err);
    pm_spec_free(&spec);
    if (rc != PM_OK)
        return rc;
    s->workload = workload;
    s->task = *task;
    s->ranks = task->nodes * task->workers;
    s->state = calloc(1, workload->state_bytes);
    rc = workload->open(s->state, &s->options, task, &s->model, err);
    if (rc != PM_OK) {
        free(s->state);
        pm_values_free(&s->options);
        return rc;
    }
    if (task->with_values) {
        s->values = calloc(s->model.layout.n_floats, sizeof *s->values);
        if (workload->initial != NULL)
            workload->initial(s->state, 0, s->model.layout.n_keys, s->values);
    }
    s->workers = calloc(s->ranks, sizeof *s->workers);
    for (uint32_t r = 0; r < s->ranks; r++) {
        s->workers[r].ws = calloc(1, workload->worker_bytes);
        assert_int_equal(workload->begin(s->state, s->workers[r].ws, r), PM_OK);
        pm_rng_init(&s->workers[r].sample_rng, "store.sample", task->seed, r, 0);
    }
    return PM_OK;
}

static void free_ring(struct store_worker *w)
{
    for (uint32_t i = 0; i < w->ring; i++) {
        free(w->batches[i].keys);
        free(w->batches[i].localize);
        free(w->batches[i].pushes);
        free(w->batches[i].item);
    }
    free(w->batches);
}

void store_close(struct store *s)
{
    for (uint32_t r = 0; r < s->ranks; r++) {
        if (s->workload->end != NULL)
            s->workload->end(s->state, s->workers[r].ws);
        free(s->workers[r].ws);
    }
    free(s->workers);
    if (s->workload->close != NULL)
        s->workload->close(s->state);
    free(s->state);
    free(s->values);
    pm_values_free(&s->options);
}

void *store_worker_state(struct store *s, uint32_t rank)
{
    return s->workers[rank].ws;
}

/* Takes batches from the workload until `ahead` are ready behind the current one. */
static void load(struct store *s, struct store_worker *w)
{
    while (w->left > 0 && w->filled < w->ring) {
        struct pm_batch *b = &w->batches[(w->head + w->filled) % w->ring];
        assert_int_equal(s->workload->next(s->state, w->ws, b), PM_OK);
        w->filled++;
        w->left--;
    }
}

/* Copies values one after another; returns the floats. */
static size_t gather(const struct store *s, const pm_key *keys, uint32_t n, float *out)
{
    const struct pm_layout *layout = &s->model.layout;
    size_t floats = 0;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(keys[i] < layout->n_keys);
        uint32_t length = pm_layout_length(layout, keys[i]);
        if (s->values != NULL)
            memcpy(out + floats, s->values + pm_layout_offset(layout, keys[i]), length * sizeof *out);
        floats += length;
    }
    return floats;
}

static void compute(struct store *s, uint32_t rank)
{
    struct store_worker *w = &s->workers[rank];
    const struct pm_batch *b = &w->batches[w->head];
    uint32_t n = b->n_keys + b->n_samples;
    size_t floats = (size_t)n * s->model.layout.length_max;
    w->samples = malloc((b->n_samples + 1) * sizeof *w->samples);
    for (uint32_t i = 0; i < b->n_samples; i++)
        w->samples[i] = pm_distribution_draw(s->model.distributions[b->distribution], &w->sample_rng);
    w->step = (struct pm_step){.batch = b, .samples = w->samples};
    uint32_t n_push = n + b->n_pushes;
    w->step.push_keys = malloc((n_push + 1) * sizeof *w->step.push_keys);
    if (s->values != NULL) {
        w->pulled = malloc((floats + 1) * sizeof *w->pulled);
        w->step.updates = malloc(((size_t)n_push * s->model.layout.length_max + 1) * sizeof *w->step.updates);
        w->step.values = w->pulled;
        w->step.sample_values = w->pulled + gather(s, b->keys, b->n_keys, w->pulled);
        gather(s, w->samples, b->n_samples, w->pulled + (w->step.sample_values - w->step.values));
    }
    if (s->visit != NULL)
        s->visit(s->visit_arg, rank, b);
    s->workload->compute(s->state, w->ws, &w->step);
    assert_true(w->step.n_push <= n_push);
    s->loss += w->step.loss;
}

static void push(struct store *s, struct store_worker *w)
{
    const struct pm_layout *layout = &s->model.layout;
    const float *update = w->step.updates;
    for (uint32_t i = 0; i < w->step.n_push && s->values != NULL; i++) {
        pm_key key = w->step.push_keys[i];
        float *value = s->values + pm_layout_offset(layout, key);
        uint32_t length = pm_layout_length(layout, key);
        if (s->workload->apply != NULL)
            s->workload->apply(s->state, key, length, value, update);
        for (uint32_t k = 0; k < length && s->workload->apply == NULL; k++)
            value[k] += update[k];
        update += length;
    }
    free(w->samples);
    free(w->pulled);
    free(w->step.push_keys);
    free(w->step.updates);
    w->samples = NULL;
    w->pulled = NULL;
    w->head = (w->head + 1) % w->ring;
    w->filled--;
}

/* May this worker compute its next batch? Not while others have passed fewer barriers than it would have. */
static bool held_by_barrier(const struct store *s, const struct store_worker *w)
{
    if (!w->batches[w->head].barrier_before)
        return false;
    for (uint32_t r = 0; r < s->ranks; r++) {
        const struct store_worker *other = &s->workers[r];
        bool at_barrier = other->filled > 0 && other->batches[other->head].barrier_before;
        if (other->barriers < w->barriers || (other->barriers == w->barriers && !at_barrier))
            return true;
    }
    return false;
}

static bool take_turns(struct store *s)
{
    bool *turn = calloc(s->ranks, sizeof *turn), any = false;
    for (uint32_t r = 0; r < s->ranks; r++) {
        load(s, &s->workers[r]);
        turn[r] = s->workers[r].filled > 0;
    }
    for (uint32_t r = 0; r < s->ranks; r++)
        turn[r] = turn[r] && !held_by_barrier(s, &s->workers[r]);
    for (uint32_t r = 0; r < s->ranks; r++) {
        if (turn[r]) {
            s->workers[r].barriers += s->workers[r].batches[s->workers[r].head].barrier_before;
            compute(s, r);
        }
    }
    for (uint32_t r = 0; r < s->ranks; r++) {
        if (turn[r])
            push(s, &s->workers[r]);
        any = any || turn[r];
    }
    free(turn);
    return any;
}

void store_epoch(struct store *s, uint32_t epoch, uint32_t ahead)
{
    s->loss = 0;
    for (uint32_t r = 0; r < s->ranks; r++) {
        struct store_worker *w = &s->workers[r];
        w->ring = ahead + 1;
        w->head = w->filled = 0;
        w->barriers = 0;
        w->batches = calloc(w->ring, sizeof *w->batches);
        for (uint32_t i = 0; i < w->ring; i++)
            w->batches[i].item = calloc(1, s->workload->batch_bytes + 1);
        w->left = s->workload->epoch_begin(s->state, w->ws, epoch);
    }
    while (take_turns(s))
        continue;
    for (uint32_t r = 0; r < s->ranks; r++) {
        struct store_worker *w = &s->workers[r];
        assert_true(w->left == 0 && w->filled == 0);
        assert_true(w->barriers == s->workers[0].barriers);
        free_ring(w);
        if (s->workload->epoch_end != NULL)
            s->workload->epoch_end(s->state, w->ws, epoch, s->loss);
    }
    s->barriers = s->workers[0].barriers;
}

const char *store_file(int slot, const char *name, const char *text, size_t length)
{
    static char paths[4][512];
    const char *folder = getenv("TMPDIR");
    snprintf(paths[slot], sizeof paths[slot], "%s/pmlab-test-%ld-%s", folder != NULL ? folder : "/tmp",
             (long)getpid(), name);
    FILE *file = fopen(paths[slot], "w");
    assert_non_null(file);
    assert_true(fwrite(text, 1, length, file) == length);
    assert_int_equal(fclose(file), 0);
    return paths[slot];
}
