/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workloads/trace_recorder.h"

#include <stdlib.h>
#include <unistd.h>

/* Set before a run, constant in it. */
static const struct pm_workload *inner;
static const struct trace_output *output;
static struct pm_workload recorder;

struct recorder_state {
    int fd;
    struct pm_layout layout;
    _Alignas(max_align_t) char inner[];
};

struct recorder_worker {
    struct trace_stream stream;
    uint32_t epoch;
    bool failed;        /* the stream has a gap: it will not be ended */
    pm_key *kept;       /* pushed keys without those whose update is left out */
    uint32_t capacity;
    _Alignas(max_align_t) char inner[];
};

static int recorder_open(void *state, const struct pm_values *options, const struct pm_task *task, struct pm_model *model,
                         struct pm_error *err)
{
    struct recorder_state *s = state;
    int rc = inner->open(s->inner, options, task, model, err);
    if (rc != PM_OK)
        return rc;
    s->layout = model->layout;
    s->fd = trace_output_open(output);
    if (s->fd >= 0)
        return PM_OK;
    if (inner->close != NULL)
        inner->close(s->inner);
    return pm_error_set(err, PM_E_FILE, "%s: cannot be written: %m", output->path);
}

static void recorder_close(void *state)
{
    struct recorder_state *s = state;
    close(s->fd);
    if (inner->close != NULL)
        inner->close(s->inner);
}

static void recorder_initial(const void *state, pm_key first, uint64_t n, float *values)
{
    inner->initial(((const struct recorder_state *)state)->inner, first, n, values);
}

static void recorder_apply(const void *state, pm_key key, uint32_t length, float *value, const float *update)
{
    inner->apply(((const struct recorder_state *)state)->inner, key, length, value, update);
}

static void recorder_frequency(const void *state, pm_key first, uint64_t n, double *out)
{
    inner->frequency(((const struct recorder_state *)state)->inner, first, n, out);
}

static int recorder_begin(const void *state, void *ws, uint32_t rank)
{
    const struct recorder_state *s = state;
    struct recorder_worker *w = ws;
    trace_stream_begin(&w->stream, s->fd, rank);
    w->failed = rank == 0 && trace_output_layout(s->fd, &s->layout, NULL) != PM_OK;
    return inner->begin(s->inner, w->inner, rank);
}

static void recorder_end(const void *state, void *ws)
{
    const struct recorder_state *s = state;
    struct recorder_worker *w = ws;
    if (!w->failed)
        trace_stream_end(&w->stream, NULL); /* what fails here is missed when the output is finished */
    trace_stream_free(&w->stream);
    free(w->kept);
    if (inner->end != NULL)
        inner->end(s->inner, w->inner);
}

static uint64_t recorder_epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    const struct recorder_state *s = state;
    struct recorder_worker *w = ws;
    w->epoch = epoch;
    return inner->epoch_begin(s->inner, w->inner, epoch);
}

static int recorder_next(const void *state, void *ws, struct pm_batch *batch)
{
    return inner->next(((const struct recorder_state *)state)->inner, ((struct recorder_worker *)ws)->inner, batch);
}

/* The keys whose updates will be sent. */
static struct trace_list pushed_by(struct recorder_worker *w, const struct pm_step *step)
{
    struct trace_list list = {.keys = step->push_keys, .n = step->n_push};
    if (step->negligible == NULL)
        return list;
    if (list.n > w->capacity) {
        free(w->kept);
        w->kept = malloc((size_t)list.n * sizeof *w->kept);
        w->capacity = w->kept != NULL ? list.n : 0;
        w->failed |= w->kept == NULL;
    }
    list.n = 0;
    for (uint32_t i = 0; i < step->n_push && !w->failed; i++)
        if (!step->negligible[i])
            w->kept[list.n++] = step->push_keys[i];
    list.keys = w->kept;
    return list;
}

static void recorder_compute(const void *state, void *ws, struct pm_step *step)
{
    const struct recorder_state *s = state;
    struct recorder_worker *w = ws;
    const struct pm_batch *b = step->batch;
    inner->compute(s->inner, w->inner, step);
    struct trace_batch batch = {.barrier_before = b->barrier_before,
                                .flops = inner->flops(s->inner, b),
                                .distribution = b->distribution,
                                .keys = {.keys = b->keys, .n = b->n_keys},
                                .samples = {.keys = step->samples, .n = b->n_samples},
                                .localize = {.keys = b->localize, .n = b->n_localize},
                                .announced = {.keys = b->pushes, .n = b->n_pushes},
                                .pushed = pushed_by(w, step)};
    if (!w->failed && trace_stream_add(&w->stream, w->epoch, &batch, NULL) != PM_OK)
        w->failed = true;
}

static double recorder_flops(const void *state, const struct pm_batch *batch)
{
    return inner->flops(((const struct recorder_state *)state)->inner, batch);
}

static void recorder_epoch_end(const void *state, void *ws, uint32_t epoch, double loss)
{
    inner->epoch_end(((const struct recorder_state *)state)->inner, ((struct recorder_worker *)ws)->inner, epoch, loss);
}

static int recorder_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    return inner->evaluate(((const struct recorder_state *)state)->inner, ((struct recorder_worker *)ws)->inner, worker, out);
}

const struct pm_workload *trace_recorder(const struct pm_workload *workload, const struct trace_output *to)
{
    inner = workload;
    output = to;
    recorder = *workload;
    recorder.state_bytes += sizeof(struct recorder_state);
    recorder.worker_bytes += sizeof(struct recorder_worker);
    recorder.open = recorder_open;
    recorder.close = recorder_close;
    recorder.initial = workload->initial != NULL ? recorder_initial : NULL;
    recorder.apply = workload->apply != NULL ? recorder_apply : NULL;
    recorder.frequency = workload->frequency != NULL ? recorder_frequency : NULL;
    recorder.begin = recorder_begin;
    recorder.end = recorder_end;
    recorder.epoch_begin = recorder_epoch_begin;
    recorder.next = recorder_next;
    recorder.compute = recorder_compute;
    recorder.flops = recorder_flops;
    recorder.epoch_end = workload->epoch_end != NULL ? recorder_epoch_end : NULL;
    recorder.evaluate = workload->evaluate != NULL ? recorder_evaluate : NULL;
    return &recorder;
}
