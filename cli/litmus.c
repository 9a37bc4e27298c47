/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running litmus programs: what each worker does, and the model. */
#include "cli/litmus.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/internal.h"
#include "core/pm.h"

enum { SLOTS = 32, GAP_MAX = 1024, COLD_MAX = 1 << 20, NO_OP = -1 };

struct litmus_board *litmus_board_new(uint32_t n_rounds)
{
    size_t bytes = sizeof(struct litmus_board) + n_rounds * sizeof(struct litmus_round);
    struct litmus_board *board = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return NULL;
    board->n_rounds = n_rounds;
    return board;
}

void litmus_board_free(struct litmus_board *board, uint32_t n_rounds)
{
    if (board)
        munmap(board, sizeof *board + n_rounds * sizeof(struct litmus_round));
}

/* ---- one worker in one round ---- */

struct runner {
    struct litmus_board *board;
    struct pm_worker *w;
    const struct litmus_program *program;
    struct litmus_log *log;
    uint32_t stride;               /* keys between two keys of an operation, itself included */
    size_t op_floats;              /* of the longest operation */
    pm_key *keys;                  /* of an operation, with the gaps */
    float *floats;                 /* of all operations: they stay valid until the tickets are complete */
    pm_ticket tickets[LITMUS_OPS]; /* NO_OP: complete and recorded */
};

/* Every round has keys of its own for as long as the model lasts; a program's keys lie apart. */
static pm_key model_key(const struct litmus_program *p, uint32_t key)
{
    return key * SLOTS + (p->number / 2 + 13 * key) % SLOTS;
}

static uint64_t next_order(struct runner *r)
{
    return __atomic_add_fetch(&r->board->order, 1, __ATOMIC_SEQ_CST);
}

/* The operation is complete: what it saw. */
static void record(struct runner *r, uint32_t index)
{
    struct history_op *op = &r->log->ops[index];
    const float *values = r->floats + index * r->op_floats;
    for (uint32_t i = 0; i < op->n_parts && op->kind == HISTORY_PULL; i++)
        op->sets[i] = history_decode(values + (size_t)i * r->stride * HISTORY_ELEMENTS);
    op->responded = next_order(r);
    r->tickets[index] = NO_OP;
}

static int wait_for(struct runner *r, uint32_t index)
{
    if (r->tickets[index] == NO_OP)
        return PM_OK;
    int code = pm_wait(r->w, r->tickets[index]);
    if (code == PM_OK)
        record(r, index);
    return code;
}

static int wait_all(struct runner *r)
{
    int code = PM_OK;
    for (uint32_t i = 0; i < r->log->n_ops && code == PM_OK; i++)
        code = wait_for(r, i);
    return code;
}

/* Keys of a step, with gaps between them; returns their number. */
static size_t lay_out(struct runner *r, const struct litmus_step *s)
{
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_keys; i++) {
        r->keys[n++] = model_key(r->program, s->keys[i]);
        for (uint32_t g = 0; g + 1 < r->stride && i + 1 < s->n_keys; g++)
            r->keys[n++] = HISTORY_KEYS * SLOTS + g;
    }
    return n;
}

static int begin(struct runner *r, const struct litmus_step *s)
{
    uint32_t index = r->log->n_ops++;
    struct history_op *op = &r->log->ops[index];
    float *values = r->floats + index * r->op_floats;
    *op = (struct history_op){.kind = s->kind == LITMUS_PUSH ? HISTORY_PUSH : HISTORY_PULL,
                              .worker = (uint8_t)pm_worker_rank(r->w),
                              .clock = (uint32_t)pm_worker_clock(r->w),
                              .n_parts = s->n_keys};
    memcpy(op->keys, s->keys, s->n_keys);
    for (uint32_t i = 0; i < s->n_keys && s->kind == LITMUS_PUSH; i++) {
        op->sets[i] = UINT64_C(1) << s->updates[i];
        history_encode(s->updates[i], values + (size_t)i * r->stride * HISTORY_ELEMENTS);
    }
    size_t n = lay_out(r, s);
    op->invoked = next_order(r);
    pm_ticket ticket =
        s->kind == LITMUS_PUSH ? pm_push(r->w, r->keys, n, values) : pm_pull(r->w, r->keys, n, values);
    if (ticket < 0)
        return (int)ticket;
    r->tickets[index] = ticket;
    if (ticket == PM_DONE)
        record(r, index);
    return litmus_asynchronous(r->program->number) ? PM_OK : wait_for(r, index);
}

static int give_hint(struct runner *r, const struct litmus_step *s)
{
    pm_key keys[HISTORY_KEYS];
    pm_clock from = pm_worker_clock(r->w) + s->amount;
    for (uint32_t i = 0; i < s->n_keys; i++)
        keys[i] = model_key(r->program, s->keys[i]);
    if (s->kind == LITMUS_LOCALIZE)
        return pm_localize(r->w, keys, s->n_keys);
    return pm_intent(r->w, keys, s->n_keys, from, from + 2);
}

static void pause_for(struct runner *r, uint32_t ns)
{
    const struct pm_node_config *config = &r->w->ctx.node->config;
    int64_t before = config->ops->now_ns(config->ops_self);
    if (r->board->sleeps)
        nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    else
        config->ops->compute(config->ops_self, r->w, ns);
    r->w->compute_ns += config->ops->now_ns(config->ops_self) - before;
}

static int take_step(struct runner *r, const struct litmus_step *s)
{
    switch ((enum litmus_kind)s->kind) {
    case LITMUS_PULL:
    case LITMUS_PUSH:
        return begin(r, s);
    case LITMUS_WAIT:
        return s->amount && r->log->n_ops ? wait_for(r, r->log->n_ops - 1) : wait_all(r);
    case LITMUS_LOCALIZE:
    case LITMUS_INTENT:
        return give_hint(r, s);
    case LITMUS_CLOCK:
        return pm_advance_clock(r->w);
    case LITMUS_PAUSE:
        pause_for(r, s->amount);
        return PM_OK;
    }
    return PM_E_INTERNAL;
}

/* The main copies, once nobody pushes any more; nobody goes on before all have read them. */
static int read_final(struct runner *r)
{
    pm_key keys[HISTORY_KEYS];
    float values[HISTORY_KEYS * HISTORY_ELEMENTS];
    for (uint32_t key = 0; key < HISTORY_KEYS; key++)
        keys[key] = model_key(r->program, key);
    int code = pm_drain(r->w);
    if (code == PM_OK)
        code = pm_read_model(r->w, keys, HISTORY_KEYS, values);
    for (uint32_t key = 0; key < HISTORY_KEYS && code == PM_OK; key++)
        r->log->final[key] = history_decode(values + (size_t)key * HISTORY_ELEMENTS);
    return code == PM_OK ? pm_barrier(r->w) : code;
}

static int run_round(struct runner *r, pm_clock clocks)
{
    uint32_t rank = pm_worker_rank(r->w);
    int code = PM_OK;
    for (uint32_t i = 0; i < LITMUS_OPS; i++)
        r->tickets[i] = NO_OP;
    memset(r->floats, 0, LITMUS_OPS * r->op_floats * sizeof *r->floats);
    for (uint32_t i = 0; i < r->program->n_steps[rank] && code == PM_OK; i++)
        code = take_step(r, &r->program->steps[rank][i]);
    if (code == PM_OK)
        code = wait_all(r);
    /* Between rounds all clocks are equal, or a bound on staleness would turn them into a sequence. */
    while (code == PM_OK && r->board->n_rounds > 1 && pm_worker_clock(r->w) < clocks)
        code = pm_advance_clock(r->w);
    if (code == PM_OK)
        code = read_final(r);
    r->log->complete = code == PM_OK;
    return code;
}

int litmus_main(struct pm_worker *worker, void *arg)
{
    struct litmus_board *board = arg;
    struct runner r = {.board = board, .w = worker, .stride = board->gap + 1};
    size_t n_keys = (size_t)HISTORY_KEYS * r.stride;
    pm_clock clocks = 0;
    int code = PM_OK;
    r.op_floats = n_keys * HISTORY_ELEMENTS;
    r.keys = calloc(n_keys, sizeof *r.keys);
    r.floats = calloc(LITMUS_OPS * r.op_floats, sizeof *r.floats);
    if (!r.keys || !r.floats)
        code = PM_E_MEMORY;
    for (uint32_t i = 0; i < board->n_rounds && code == PM_OK; i++) {
        r.program = &board->rounds[i].program;
        r.log = &board->rounds[i].logs[pm_worker_rank(worker)];
        clocks += r.program->clocks;
        code = run_round(&r, clocks);
    }
    free(r.keys);
    free(r.floats);
    return code;
}

void litmus_history(const struct litmus_round *round, struct history *h)
{
    const struct litmus_program *p = &round->program;
    *h = (struct history){.n_keys = HISTORY_KEYS, .ranks = p->nodes * p->workers, .workers_per_node = p->workers};
    for (uint32_t rank = 0; rank < h->ranks; rank++) {
        const struct litmus_log *log = &round->logs[rank];
        PM_ASSERT(log->complete);
        memcpy(h->ops + h->n_ops, log->ops, log->n_ops * sizeof *log->ops);
        h->n_ops += log->n_ops;
        for (uint32_t key = 0; key < HISTORY_KEYS; key++) {
            uint64_t before = h->final[key];
            h->final[key] = rank == 0 || before == log->final[key] ? log->final[key] : HISTORY_FOREIGN;
        }
    }
}

/* ---- the model ---- */

static const struct pm_option options[] = {
    {.name = "gap", .type = PM_OPT_COUNT, .def = "0", .help = "keys to stand between others", .max = GAP_MAX},
    {.name = "cold", .type = PM_OPT_COUNT, .def = "0", .help = "keys that nobody accesses", .max = COLD_MAX},
    {0},
};

static int open_model(void *state, const struct pm_values *values, const struct pm_task *task, struct pm_model *model,
                      struct pm_error *err)
{
    (void)state, (void)task;
    uint64_t others = pm_values_count(values, "gap") + pm_values_count(values, "cold");
    int code = pm_layout_add(&model->layout, HISTORY_KEYS * SLOTS + others, HISTORY_ELEMENTS, err);
    return code < 0 ? code : PM_OK;
}

/* Half of the keys are accessed much more than the mean, if there are enough that are not: every program has keys of both
 * kinds, and each of its keys is of either kind in half of the programs. */
static void frequency(const void *state, pm_key first, uint64_t n, double *out)
{
    (void)state;
    for (uint64_t i = 0; i < n; i++)
        out[i] = first + i < HISTORY_KEYS * SLOTS && (first + i) % 2;
}

static void close_model(void *state)
{
    (void)state;
}

static int begin_worker(const void *state, void *ws, uint32_t rank)
{
    (void)state, (void)ws, (void)rank;
    return PM_OK;
}

static void end_worker(const void *state, void *ws)
{
    (void)state, (void)ws;
}

static uint64_t no_batches(const void *state, void *ws, uint32_t epoch)
{
    (void)state, (void)ws, (void)epoch;
    return 0;
}

static int no_batch(const void *state, void *ws, struct pm_batch *batch)
{
    (void)state, (void)ws, (void)batch;
    return PM_E_INTERNAL;
}

static void no_compute(const void *state, void *ws, struct pm_step *s)
{
    (void)state, (void)ws;
    s->n_push = 0;
}

static double no_flops(const void *state, const struct pm_batch *batch)
{
    (void)state, (void)batch;
    return 0;
}

const struct pm_workload litmus_workload = {
    .abi = PM_WORKLOAD_ABI,
    .name = "litmus",
    .summary = "the model of litmus programs",
    .options = options,
    .state_bytes = 1,
    .worker_bytes = 1,
    .batch_bytes = 1,
    .needs_values = true,
    .open = open_model,
    .close = close_model,
    .begin = begin_worker,
    .end = end_worker,
    .epoch_begin = no_batches,
    .next = no_batch,
    .compute = no_compute,
    .flops = no_flops,
    .frequency = frequency,
};
