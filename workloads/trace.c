/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trace: replays recorded accesses (docs/trace.md). What was pulled is pulled, what was pushed to is raised by one on each
 * element, with the same barriers, hints and amounts of computation; there is no model.
 *
 * Recorded samples are known keys, and so are replayed as direct accesses, behind the batch's own: every key is accessed as
 * often as it was. With samples=drawn they are sampling accesses again, from the frequencies of the recorded ones. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/workload.h"
#include "workloads/counters.h"
#include "workloads/keymap.h"
#include "workloads/trace_replay.h"

enum { FLOPS_PER_FLOAT = 20, WEIGHTS_MAX = 1 << 27 };

struct trace_state {
    struct pm_task task;
    struct trace_file file;
    struct pm_layout layout;
    uint64_t ranks;
    double flops; /* per batch; negative: as recorded */
    bool drawn, push;
    struct pm_distribution distributions[TRACE_DISTRIBUTIONS_MAX];
    uint32_t n_distributions;
    uint32_t place[TRACE_DISTRIBUTIONS_MAX]; /* of a recorded distribution in the model's */
};

struct trace_item {
    double flops;
};

struct trace_worker {
    struct trace_replay loader;
    struct trace_replay trainer; /* the same batches, when they are computed */
    struct counters counters;
};

static const struct pm_option options[] = {
    {.name = "file", .type = PM_OPT_PATH, .help = "trace, as pmlab trace record and import make it"},
    {.name = "length",
     .type = PM_OPT_COUNT,
     .help = "floats per key (as recorded)",
     .min = 1,
     .max = 0x1p24},
    {.name = "flops",
     .type = PM_OPT_REAL,
     .help = "floating-point operations per batch (as recorded, else 20 per float of its keys)",
     .min = 0,
     .max = TRACE_FLOPS_MAX},
    {.name = "samples",
     .type = PM_OPT_ENUM,
     .def = "direct",
     .help = "recorded samples: the same keys, or drawn anew by their frequencies",
     .choices = "direct|drawn"},
    {.name = "push", .type = PM_OPT_BOOL, .def = "1", .help = "push to the keys that were pushed to"},
    {.name = NULL},
};

/* ---- what opening finds out ---- */

/* Numbers of occurrences of keys. */
struct tally {
    struct keymap map;
    uint64_t *counts; /* by number in the map */
    uint64_t capacity;
};

struct survey {
    struct trace_state *s;
    struct tally pushed; /* in the epochs that are replayed */
    struct tally sampled[TRACE_DISTRIBUTIONS_MAX];
};

static int tally_add(struct tally *t, const struct trace_list *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        uint64_t number = keymap_add(&t->map, list->keys[i]);
        if (number == KEYMAP_NONE)
            return PM_E_MEMORY;
        if (number >= t->capacity) {
            uint64_t capacity = 2 * t->capacity + 64;
            uint64_t *more = realloc(t->counts, capacity * sizeof *more);
            if (more == NULL)
                return PM_E_MEMORY;
            memset(more + t->capacity, 0, (capacity - t->capacity) * sizeof *more);
            t->counts = more;
            t->capacity = capacity;
        }
        t->counts[number]++;
    }
    return PM_OK;
}

static void tally_free(struct tally *t)
{
    keymap_free(&t->map);
    free(t->counts);
}

static int see_batch(void *arg, uint32_t rank, uint32_t epoch, const struct trace_batch *batch)
{
    (void)rank;
    struct survey *survey = arg;
    const struct trace_state *s = survey->s;
    int rc = s->drawn ? tally_add(&survey->sampled[batch->distribution], &batch->samples) : PM_OK;
    if (rc == PM_OK && s->push && s->task.with_values && epoch < s->task.epochs)
        rc = tally_add(&survey->pushed, &batch->pushed);
    return rc;
}

/* Sums must stay where floats hold them exactly, or they would say nothing about lost updates. */
static int check_exact(const struct trace_state *s, const struct survey *survey, struct pm_error *err)
{
    uint64_t hottest = 0, times = (s->task.epochs + s->file.epochs - 1) / s->file.epochs;
    for (uint64_t i = 0; i < survey->pushed.map.n; i++)
        hottest = survey->pushed.counts[i] > hottest ? survey->pushed.counts[i] : hottest;
    if (hottest * times < COUNTERS_EXACT)
        return PM_OK;
    return pm_error_set(err, PM_E_OPTION,
                        "%s: up to %" PRIu64 " updates of one key: sums are exact below %d (allowed: fewer epochs, push=0, or "
                        "--values none)",
                        s->file.path, hottest * times, COUNTERS_EXACT);
}

static int make_distribution(struct trace_state *s, uint32_t recorded, const struct tally *t, struct pm_error *err)
{
    pm_key least = UINT64_MAX, greatest = 0;
    for (uint64_t i = 0; i < t->map.n; i++) {
        least = t->map.keys[i] < least ? t->map.keys[i] : least;
        greatest = t->map.keys[i] > greatest ? t->map.keys[i] : greatest;
    }
    uint64_t n = greatest - least + 1;
    if (n > WEIGHTS_MAX)
        return pm_error_set(err, PM_E_LIMIT, "%s: samples over %" PRIu64 " keys (allowed with samples=drawn: at most %d)",
                            s->file.path, n, WEIGHTS_MAX);
    double *weights = calloc(n, sizeof *weights);
    if (weights == NULL)
        return pm_error_set(err, PM_E_MEMORY, "%s: out of memory", s->file.path);
    for (uint64_t i = 0; i < t->map.n; i++)
        weights[t->map.keys[i] - least] = (double)t->counts[i];
    s->place[recorded] = s->n_distributions;
    int rc = pm_distribution_weights(&s->distributions[s->n_distributions], least, n, weights, err);
    s->n_distributions += rc == PM_OK;
    free(weights);
    return rc;
}

static int set_layout(struct trace_state *s, const struct pm_values *o, struct pm_layout *layout, struct pm_error *err)
{
    uint32_t length = (uint32_t)pm_values_count(o, "length");
    for (uint32_t i = 0; i < s->file.layout.n_ranges; i++) {
        const struct pm_layout_range *range = &s->file.layout.ranges[i];
        int rc = pm_layout_add(layout, range->end - range->first, length > 0 ? length : range->length, err);
        if (rc < 0)
            return rc;
    }
    s->layout = *layout;
    return PM_OK;
}

static int prepare(struct trace_state *s, const struct pm_values *o, const struct survey *survey, struct pm_model *model,
                   struct pm_error *err)
{
    int rc = set_layout(s, o, &model->layout, err);
    if (rc == PM_OK)
        rc = check_exact(s, survey, err);
    for (uint32_t i = 0; i < TRACE_DISTRIBUTIONS_MAX && rc == PM_OK; i++)
        if (survey->sampled[i].map.n > 0)
            rc = make_distribution(s, i, &survey->sampled[i], err);
    for (uint32_t i = 0; i < s->n_distributions; i++)
        model->distributions[i] = &s->distributions[i];
    model->n_distributions = s->n_distributions;
    for (uint32_t e = 0; e < s->file.epochs; e++)
        model->sub_epochs |= s->file.by_epoch[e].n_barriers > 0;
    return rc;
}

static void trace_workload_close(void *state)
{
    struct trace_state *s = state;
    for (uint32_t i = 0; i < s->n_distributions; i++)
        pm_distribution_free(&s->distributions[i]);
    trace_close(&s->file);
}

static int trace_workload_open(void *state, const struct pm_values *o, const struct pm_task *task, struct pm_model *model,
                               struct pm_error *err)
{
    struct trace_state *s = state;
    struct survey survey = {.s = s};
    if (!pm_values_is_set(o, "file"))
        return pm_error_set(err, PM_E_OPTION, "workload trace: which trace? (trace:file=FILE; pmlab trace record makes one)");
    s->task = *task;
    s->ranks = (uint64_t)task->nodes * task->workers;
    s->flops = pm_values_is_set(o, "flops") ? pm_values_real(o, "flops") : TRACE_FLOPS_UNKNOWN;
    s->drawn = pm_values_enum(o, "samples") == 1;
    s->push = pm_values_bool(o, "push");
    int rc = trace_open(pm_values_text(o, "file"), &s->file, see_batch, &survey, err);
    if (rc == PM_OK) {
        rc = prepare(s, o, &survey, model, err);
        if (rc != PM_OK)
            trace_workload_close(s);
    } else if (rc == PM_E_MEMORY) {
        pm_error_set(err, rc, "%s: out of memory", pm_values_text(o, "file"));
    }
    tally_free(&survey.pushed);
    for (uint32_t i = 0; i < TRACE_DISTRIBUTIONS_MAX; i++)
        tally_free(&survey.sampled[i]);
    return rc;
}

/* ---- how often ---- */

/* How often a recorded epoch is replayed. */
static uint64_t times_of(const struct trace_state *s, uint32_t epoch)
{
    return epoch < s->task.epochs ? (s->task.epochs - epoch - 1) / s->file.epochs + 1 : 0;
}

/* `times` more for each key of the list that is among those asked about. */
static void count(const struct trace_list *list, uint64_t times, pm_key first, uint64_t n, double *out)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->keys[i] >= first && list->keys[i] - first < n)
            out[list->keys[i] - first] += (double)times;
}

/* Accesses of the whole replay; samples that are drawn anew count as often as they are expected to be. Reads the file again,
 * so that a policy that does not ask costs no memory. It was read to its end a moment ago: what cannot be read now has been
 * changed meanwhile, is counted no further, and stops the replay, too. */
static void trace_frequency(const void *state, pm_key first, uint64_t n, double *out)
{
    const struct trace_state *s = state;
    struct trace_cursor c = {0};
    uint64_t drawn[TRACE_DISTRIBUTIONS_MAX] = {0};
    for (uint64_t i = 0; i < n; i++)
        out[i] = 0;
    for (uint64_t i = 0; i < s->file.n_blocks; i = c.end) {
        const struct trace_block_head *h = &s->file.blocks[i].head;
        uint64_t times = times_of(s, h->epoch);
        trace_seek(&c, &s->file, h->rank, h->epoch);
        while (times > 0 && trace_next(&c, NULL) == 1) {
            count(&c.batch.keys, times, first, n, out);
            if (s->drawn)
                drawn[s->place[c.batch.distribution]] += times * c.batch.samples.n;
            else
                count(&c.batch.samples, times, first, n, out);
        }
    }
    trace_cursor_free(&c);
    for (uint32_t d = 0; d < s->n_distributions; d++)
        for (uint64_t i = 0; i < n; i++)
            out[i] += (double)drawn[d] * pm_distribution_probability(&s->distributions[d], first + i);
}

/* ---- replay ---- */

static void trace_end(const void *state, void *ws)
{
    (void)state;
    struct trace_worker *w = ws;
    trace_replay_free(&w->loader);
    trace_replay_free(&w->trainer);
    counters_end(&w->counters);
}

static int trace_begin(const void *state, void *ws, uint32_t rank)
{
    const struct trace_state *s = state;
    struct trace_worker *w = ws;
    int rc = trace_replay_begin(&w->loader, &s->file, rank, (uint32_t)s->ranks);
    if (rc == PM_OK)
        rc = trace_replay_begin(&w->trainer, &s->file, rank, (uint32_t)s->ranks);
    if (rc == PM_OK)
        rc = counters_begin(&w->counters, &s->layout, rank, s->ranks, s->task.with_values);
    if (rc != PM_OK)
        trace_end(state, ws);
    return rc;
}

static uint64_t trace_epoch_begin(const void *state, void *ws, uint32_t epoch)
{
    (void)state;
    struct trace_worker *w = ws;
    trace_replay_epoch(&w->trainer, epoch);
    return trace_replay_epoch(&w->loader, epoch);
}

static double flops_of(const struct trace_state *s, const struct trace_batch *b)
{
    if (s->flops >= 0)
        return s->flops;
    if (b->flops >= 0)
        return b->flops;
    uint64_t floats = 0;
    for (uint32_t i = 0; i < b->keys.n; i++)
        floats += pm_layout_length(&s->layout, b->keys.keys[i]);
    return (double)FLOPS_PER_FLOAT * (double)floats;
}

static int copy(pm_key *to, const struct trace_list *from)
{
    if (to == NULL && from->n > 0)
        return PM_E_MEMORY;
    if (from->n > 0)
        memcpy(to, from->keys, from->n * sizeof *to);
    return PM_OK;
}

static int fill(const struct trace_state *s, const struct trace_batch *from, struct pm_batch *batch)
{
    bool direct = !s->drawn && from->samples.n > 0;
    pm_key *keys = pm_batch_keys(batch, from->keys.n + (direct ? from->samples.n : 0));
    int rc = copy(keys, &from->keys);
    if (rc == PM_OK && direct)
        rc = keys != NULL ? copy(keys + from->keys.n, &from->samples) : PM_E_MEMORY;
    if (rc == PM_OK)
        rc = copy(pm_batch_localize(batch, from->localize.n), &from->localize);
    if (rc == PM_OK)
        rc = copy(pm_batch_pushes(batch, s->push ? from->announced.n : 0), s->push ? &from->announced : &(struct trace_list){0});
    batch->n_samples = s->drawn ? from->samples.n : 0;
    batch->distribution = s->drawn ? s->place[from->distribution] : 0;
    return rc;
}

static int trace_next_batch(const void *state, void *ws, struct pm_batch *batch)
{
    const struct trace_state *s = state;
    struct trace_worker *w = ws;
    struct trace_item *item = batch->item;
    const struct trace_batch *from;
    int rc = trace_replay_next(&w->loader, &from, &batch->barrier_before);
    batch->n_keys = batch->n_samples = batch->n_localize = batch->n_pushes = 0;
    item->flops = 0;
    if (rc != PM_OK || from == NULL)
        return rc;
    item->flops = flops_of(s, from);
    return fill(s, from, batch);
}

/* Recorded samples that were drawn anew are pushed to in place of those recorded. */
static pm_key pushed_key(const struct trace_state *s, const struct trace_batch *from, const struct pm_step *step, uint32_t i)
{
    uint32_t at = from->pushed_at[i];
    bool sample = s->drawn && at != TRACE_NOWHERE && at >= from->keys.n && at - from->keys.n < from->samples.n;
    return sample ? step->samples[at - from->keys.n] : from->pushed.keys[i];
}

static void trace_compute(const void *state, void *ws, struct pm_step *step)
{
    const struct trace_state *s = state;
    struct trace_worker *w = ws;
    const struct trace_batch *from;
    bool barrier;
    step->n_push = 0;
    step->loss = 0;
    /* what the loader could read and the trainer cannot: the file has changed meanwhile, and nothing is pushed */
    if (trace_replay_next(&w->trainer, &from, &barrier) != PM_OK || from == NULL || !s->push)
        return;
    float *update = step->updates;
    for (uint32_t i = 0; i < from->pushed.n; i++) {
        pm_key key = pushed_key(s, from, step, i);
        uint32_t length = pm_layout_length(&s->layout, key);
        step->push_keys[step->n_push++] = key;
        w->counters.pushed += length;
        for (uint32_t k = 0; k < length && update != NULL; k++)
            *update++ = 1;
    }
}

static double trace_flops(const void *state, const struct pm_batch *batch)
{
    (void)state;
    return ((const struct trace_item *)batch->item)->flops;
}

static int trace_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out)
{
    (void)state;
    struct trace_worker *w = ws;
    return counters_evaluate(&w->counters, worker, "fewer epochs, or push=0,", out);
}

const struct pm_workload pm_workload_trace = {
    .abi = PM_WORKLOAD_ABI,
    .name = "trace",
    .summary = "replay of recorded or imported accesses; checks that no update is lost",
    .options = options,
    .state_bytes = sizeof(struct trace_state),
    .worker_bytes = sizeof(struct trace_worker),
    .batch_bytes = sizeof(struct trace_item),
    .default_ahead = 1000,
    .pulls_ahead = true,
    .open = trace_workload_open,
    .close = trace_workload_close,
    .begin = trace_begin,
    .end = trace_end,
    .epoch_begin = trace_epoch_begin,
    .next = trace_next_batch,
    .compute = trace_compute,
    .flops = trace_flops,
    .evaluate = trace_evaluate,
    .frequency = trace_frequency,
};
