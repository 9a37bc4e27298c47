/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Schedules: jobs made from numbers, on each backend, and the check of what they recorded. */
#include "cli/consistency.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/execute.h"
#include "core/rng.h"
#include "memnet/memnet.h"
#include "memnet/preempt.h"

enum { SIM_ROUNDS = 16, REAL_ROUNDS = 32, NUMBERS_PER_SEED = 1000000, EVENTS_MAX = 1000000, GAP = 400, OPTIONS_MAX = 320 };
/* So that some keys are accessed more than 100 times the mean. */
enum { COLD_KEYS = 6000 };

const char *const consistency_backend_names[CONSISTENCY_BACKENDS] = {"memnet", "sim", "real"};
const char *const consistency_mode_names[CONSISTENCY_MODES] = {"sync", "async"};

uint32_t consistency_rounds(enum consistency_backend backend)
{
    return backend == ON_MEMNET ? 1 : backend == ON_SIM ? SIM_ROUNDS : REAL_ROUNDS;
}

uint64_t consistency_job_of(enum consistency_backend backend, uint64_t number)
{
    uint64_t within = number % NUMBERS_PER_SEED, per_job = 2 * consistency_rounds(backend);
    return number - within + within / per_job * per_job + number % 2;
}

/* ---- what a number makes of a job ---- */

struct setting {
    uint32_t nodes, workers;
    struct memnet_config memnet;
    char options[OPTIONS_MAX]; /* of the other backends */
    uint32_t gap;
};

static void choose_cluster(struct setting *s, const struct consistency_row *row, enum consistency_backend backend,
                           struct pm_rng *rng)
{
    static const struct {
        uint32_t nodes, workers;
    } clusters[] = {{2, 1}, {2, 2}, {3, 1}, {3, 2}, {4, 1}, {4, 2}, {3, 1}, {2, 2}};
    uint64_t which = pm_rng_below(rng, backend == ON_REAL ? 4 : sizeof clusters / sizeof *clusters);
    s->nodes = clusters[which].nodes;
    s->workers = clusters[which].workers;
    if (row->traits.max_nodes && s->nodes > row->traits.max_nodes) {
        s->workers = s->nodes * s->workers < HISTORY_RANKS / 2 ? s->nodes * s->workers : HISTORY_RANKS / 2;
        s->nodes = row->traits.max_nodes;
    }
}

static void choose_memnet(struct memnet_config *c, struct pm_rng *rng)
{
    static const unsigned postpone[] = {0, 10, 30, 60};
    c->seed = pm_rng_u64(rng);
    c->mode = (enum memnet_mode)pm_rng_below(rng, MEMNET_MODES);
    c->postpone_percent = postpone[pm_rng_below(rng, sizeof postpone / sizeof *postpone)];
    c->dense = pm_rng_below(rng, 2);
    c->latches = pm_rng_below(rng, 2);
    if (pm_rng_below(rng, 4) == 0)
        c->preempt = c->dense = c->latches = true;
    c->max_events = EVENTS_MAX;
}

/* Uniform over the orders of magnitude from low to high. */
static double magnitude(struct pm_rng *rng, double low, double high)
{
    double at = low;
    for (double room = high / low; room > 2 && pm_rng_below(rng, 8) != 0; room /= 2)
        at *= 2;
    return at * (1 + pm_rng_real(rng));
}

static void choose_sim(struct setting *s, struct pm_rng *rng)
{
    static const char *const platforms[] = {"star", "fattree", "torus", "dragonfly"};
    snprintf(s->options, sizeof s->options,
             "platform=%s,latency=%.0fns,bandwidth=%.0fMbps,speed=1Gf,network=%s%s",
             platforms[pm_rng_below(rng, 4)], magnitude(rng, 200, 200e3), magnitude(rng, 100, 100e3),
             pm_rng_below(rng, 2) ? "flow" : "queue", pm_rng_below(rng, 2) ? "" : ",cost=none");
}

static void choose(const struct consistency_row *row, enum consistency_backend backend, uint64_t number, struct setting *s)
{
    struct pm_rng rng;
    *s = (struct setting){0};
    pm_rng_init(&rng, "consistency", number, backend, PM_RNG_NOBODY);
    choose_cluster(s, row, backend, &rng);
    choose_memnet(&s->memnet, &rng);
    if (backend == ON_SIM)
        choose_sim(s, &rng);
    if (backend == ON_REAL)
        snprintf(s->options, sizeof s->options, "spin=%s,watchdog=30s", pm_rng_below(&rng, 2) ? "0s" : "20us");
    s->gap = backend == ON_REAL && pm_rng_below(&rng, 2) ? GAP : 0;
}

void consistency_describe(const struct consistency_row *row, enum consistency_backend backend, uint64_t number, FILE *out)
{
    struct setting s;
    choose(row, backend, consistency_job_of(backend, number), &s);
    fprintf(out, "%u nodes x %u workers on %s: ", s.nodes, s.workers, consistency_backend_names[backend]);
    if (backend == ON_MEMNET)
        fprintf(out, "mode %s, %u %% of the pauses in deliver, %s slots%s%s\n", memnet_mode_names[s.memnet.mode],
                s.memnet.postpone_percent, s.memnet.dense ? "dense" : "sparse", s.memnet.latches ? ", latches" : "",
                s.memnet.preempt ? ", preempted" : "");
    else
        fprintf(out, "%s\n", s.options);
}

/* ---- running ---- */

static void report_nothing(void *arg, const struct pm_record *record)
{
    (void)arg, (void)record;
}

static int run_memnet(struct pm_job *job, const struct memnet_config *config, struct pm_error *err)
{
    struct pm_policy preempted;
    if (config->preempt) {
        preempt_policy(job->policy, &preempted);
        preempt_accesses(&preempted);
        job->policy = &preempted;
    }
    return memnet_run(job, config, NULL, err);
}

static int run_backend(const struct pm_job *job, enum consistency_backend which, const char *options, struct pm_error *err)
{
    const struct pm_backend *backend;
    struct pm_values values;
    struct pm_spec spec;
    char text[OPTIONS_MAX + 16];
    int code = cli_find_backend(consistency_backend_names[which], &backend, err);
    if (code != PM_OK)
        return code;
    snprintf(text, sizeof text, "%s:%s", backend->name, options);
    code = pm_spec_parse(text, &spec, err);
    if (code != PM_OK)
        return code;
    code = pm_spec_apply(&spec, backend->options, NULL, &values, err);
    pm_spec_free(&spec);
    if (code != PM_OK)
        return code;
    code = backend->run(job, &values, err);
    pm_values_free(&values);
    return code;
}

static void make_rounds(struct litmus_board *board, uint64_t first, const struct setting *s)
{
    for (uint32_t i = 0; i < board->n_rounds; i++) {
        memset(&board->rounds[i], 0, sizeof board->rounds[i]);
        litmus_make(first + 2 * i, s->nodes, s->workers, &board->rounds[i].program);
    }
}

static int check_complete(const struct litmus_board *board, const struct setting *s, struct pm_error *err)
{
    for (uint32_t i = 0; i < board->n_rounds; i++)
        for (uint32_t rank = 0; rank < s->nodes * s->workers; rank++)
            if (!board->rounds[i].logs[rank].complete)
                return pm_error_set(err, PM_E_INTERNAL, "worker %u did not come to the end of its program", rank);
    return PM_OK;
}

int consistency_run_job(const struct consistency_row *row, enum consistency_backend backend, uint64_t number,
                        struct litmus_board *board, struct pm_error *err)
{
    struct setting s;
    struct pm_values workload_options;
    uint64_t first = consistency_job_of(backend, number);
    char gap[16], cold[16];
    choose(row, backend, first, &s);
    board->order = 0;
    board->n_rounds = consistency_rounds(backend);
    board->gap = s.gap;
    board->sleeps = backend == ON_REAL;
    make_rounds(board, first, &s);
    int code = pm_values_init(&workload_options, litmus_workload.options, err);
    if (code != PM_OK)
        return code;
    snprintf(gap, sizeof gap, "%u", s.gap);
    snprintf(cold, sizeof cold, "%d", row->traits.frequent.on ? COLD_KEYS : 0);
    code = pm_values_set(&workload_options, "gap", gap, err);
    if (code == PM_OK)
        code = pm_values_set(&workload_options, "cold", cold, err);
    struct pm_job job = {
        .policy = row->policy.policy,
        .policy_options = &row->policy.values,
        .workload = &litmus_workload,
        .workload_options = &workload_options,
        .nodes = s.nodes,
        .workers = s.workers,
        .epochs = 1,
        .epoch_fraction = 1,
        .seed = first,
        .with_values = true,
        .evaluate = PM_EVALUATE_END,
        .ahead = -1,
        .main = litmus_main,
        .main_arg = board,
        .report = report_nothing,
        .interrupted = cli_interrupted,
    };
    if (code == PM_OK)
        code = backend == ON_MEMNET ? run_memnet(&job, &s.memnet, err) : run_backend(&job, backend, s.options, err);
    pm_values_free(&workload_options);
    return code == PM_OK ? check_complete(board, &s, err) : code;
}

/* ---- checking ---- */

/* Of equally short ones that on the backend that repeats best. */
void consistency_merge(struct consistency_finding *to, const struct consistency_finding *from)
{
    uint64_t times = to->times + from->times;
    bool shorter = from->shortest.n_ops < to->shortest.n_ops, equal = from->shortest.n_ops == to->shortest.n_ops;
    if (from->times && (!to->times || shorter || (equal && from->backend < to->backend)))
        *to = *from;
    to->times = times;
}

static void check_round(const struct litmus_round *round, struct consistency_unit *unit, struct consistency_finding *scratch)
{
    struct history h;
    int mode = (int)(round->program.number % CONSISTENCY_MODES);
    litmus_history(round, &h);
    unit->schedules[mode]++;
    for (enum history_level level = 0; level < HISTORY_LEVELS; level++) {
        if (!history_violates(&h, level))
            continue;
        *scratch = (struct consistency_finding){.times = 1, .number = round->program.number, .backend = unit->backend};
        bool found = history_shorten(&h, level, &scratch->shortest, &scratch->cycle);
        PM_ASSERT(found, "a violation that is none");
        consistency_merge(&unit->findings[mode][level], scratch);
    }
}

void consistency_run_unit(const struct consistency_row *row, struct consistency_unit *unit)
{
    struct pm_error err = {0};
    uint32_t rounds = consistency_rounds(unit->backend);
    struct litmus_board *board = litmus_board_new(rounds);
    struct consistency_finding *scratch = malloc(sizeof *scratch);
    int code = board && scratch ? PM_OK : pm_error_set(&err, PM_E_MEMORY, "consistency: out of memory");
    for (uint64_t i = 0; i < unit->n && code == PM_OK; i += rounds)
        for (uint64_t mode = 0; mode < CONSISTENCY_MODES && code == PM_OK; mode++) {
            uint64_t number = unit->first + 2 * i + mode;
            __atomic_store_n(&unit->at, number, __ATOMIC_RELAXED);
            code = consistency_run_job(row, unit->backend, number, board, &err);
            for (uint32_t r = 0; r < rounds && code == PM_OK; r++)
                check_round(&board->rounds[r], unit, scratch);
            __atomic_add_fetch(&unit->done, rounds, __ATOMIC_RELAXED);
            if (code == PM_OK && cli_interrupted())
                code = PM_E_INTERRUPTED;
        }
    litmus_board_free(board, rounds);
    free(scratch);
    unit->code = code;
    snprintf(unit->text, sizeof unit->text, "%s", err.text);
    unit->ended = true;
}
