/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pmlab consistency: which consistency each policy keeps, measured by litmus programs, against what it promises. */
#include "cli/consistency.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/execute.h"
#include "core/nearest.h"
#include "core/node.h"
#include "core/registry.h"

enum { CHUNK = 512, SIM_ONE_IN = 10, REAL_ONE_IN = 40, SCHEDULES_PER_SEED = 500000 };

/* The policies whose consistency is known, with the options that it depends on; those of this program that are not
 * here are measured with their defaults. may_hide: nothing is said about the levels above the promise. */
static const struct {
    const char *policy, *options;
    bool may_hide;
} known[] = {
    {"single", "", false},
    {"kv", "", false},
    {"classic", "fast_local=0", false},
    {"classic", "fast_local=1", false},
    {"lapse", "location_cache=0", false},
    {"lapse", "location_cache=1", false},
    {"nups", "syncs_per_second=10000", false},
    {"stale", "sync=client", false},
    {"stale", "sync=server", false},
    {"full", "syncs_per_second=10000", false},
    {"full", "exchange=allreduce,syncs_per_second=10000", false},
    {"bounded", "delay=0", true},
    {"bounded", "delay=4", true},
};
enum { KNOWN = sizeof known / sizeof *known, ROWS_MAX = 256 };

struct consistency {
    const struct cli_args *args;
    struct consistency_row rows[ROWS_MAX];
    size_t n_rows;
    bool whole_table; /* no policy was named */
    bool on[CONSISTENCY_BACKENDS];
    struct consistency_unit *units;
    size_t n_units;
};

/* ---- what is measured ---- */

static int add_row(struct consistency *c, const struct pm_spec *spec, bool may_hide, struct pm_error *err)
{
    if (c->n_rows == ROWS_MAX)
        return pm_error_set(err, PM_E_LIMIT, "more than %d policies", ROWS_MAX);
    struct consistency_row *row = &c->rows[c->n_rows];
    int code = cli_policy_of(c->args, spec, &row->policy, err);
    if (code != PM_OK)
        return code;
    c->n_rows++;
    row->may_hide = may_hide;
    size_t length = pm_spec_format(spec, NULL, 0) + 1;
    row->label = malloc(length);
    if (row->label == NULL)
        return pm_error_set(err, PM_E_MEMORY, "consistency: out of memory");
    pm_spec_format(spec, row->label, length);
    return cli_policy_traits(&row->policy, &row->traits, err);
}

static int add_text(struct consistency *c, const char *policy, const char *options, bool may_hide, struct pm_error *err)
{
    char text[256];
    struct pm_spec spec;
    snprintf(text, sizeof text, "%s%s%s", policy, options[0] ? ":" : "", options);
    int code = pm_spec_parse(text, &spec, err);
    if (code == PM_OK)
        code = add_row(c, &spec, may_hide, err);
    if (code == PM_OK)
        pm_spec_free(&spec);
    return code;
}

static bool is_here(const char *name)
{
    const struct pm_policy *policy;
    return cli_find_policy(name, &policy, NULL) == PM_OK;
}

static int add_table(struct consistency *c, struct pm_error *err)
{
    int code = PM_OK;
    for (size_t i = 0; i < KNOWN && code == PM_OK; i++)
        if (is_here(known[i].policy))
            code = add_text(c, known[i].policy, known[i].options, known[i].may_hide, err);
    for (const struct pm_policy *const *p = pm_registry_policies; *p != NULL && code == PM_OK; p++) {
        bool is_known = false;
        for (size_t i = 0; i < KNOWN; i++)
            is_known |= strcmp(known[i].policy, (*p)->name) == 0;
        if (!is_known)
            code = add_text(c, (*p)->name, "", true, err);
    }
    return code;
}

static int add_rows(struct consistency *c, struct pm_error *err)
{
    c->whole_table = !cli_given(c->args, "policy");
    if (c->whole_table)
        return add_table(c, err);
    struct pm_spec *specs;
    size_t n;
    int code = pm_spec_list_parse(cli_text(c->args, "policy"), &specs, &n, err);
    if (code != PM_OK)
        return code;
    for (size_t i = 0; i < n && code == PM_OK; i++)
        code = add_row(c, &specs[i], true, err);
    pm_spec_list_free(specs, n);
    return code;
}

static int choose_backends(struct consistency *c, struct pm_error *err)
{
    char text[128];
    snprintf(text, sizeof text, "%s", cli_text(c->args, "backends"));
    for (char *rest = text, *name; (name = strsep(&rest, ",")) != NULL;) {
        int found = -1;
        for (int b = 0; b < CONSISTENCY_BACKENDS; b++)
            found = strcmp(name, consistency_backend_names[b]) == 0 ? b : found;
        if (found < 0)
            return pm_error_set(err, PM_E_OPTION, "option \"backends\": unknown \"%.40s\"; nearest is \"%s\" (allowed: memnet, "
                                "sim, real)", name, pm_nearest(name, consistency_backend_names, CONSISTENCY_BACKENDS));
        c->on[found] = true;
    }
    const struct pm_backend *backend;
    return c->on[ON_SIM] ? cli_find_backend("sim", &backend, err) : PM_OK;
}

/* ---- one schedule again ---- */

static int replay_round(const struct consistency_row *row, enum consistency_backend backend, const struct litmus_round *round)
{
    struct history h, shortest;
    struct history_cycle cycle;
    int status = 0, mode = (int)(round->program.number % CONSISTENCY_MODES);
    litmus_history(round, &h);
    printf("%s, %s, schedule %" PRIu64 ", shape %s\n", row->label, consistency_mode_names[mode], round->program.number,
           litmus_shape_name(round->program.shape));
    consistency_describe(row, backend, round->program.number, stdout);
    consistency_print_history(&h, stdout);
    for (enum history_level level = 0; level < HISTORY_LEVELS; level++) {
        bool promised = consistency_promised(row, mode, level);
        const char *of = promised ? " (promised)" : "";
        if (!history_shorten(&h, level, &shortest, &cycle)) {
            printf("%s%s: not violated\n", history_level_names[level], of);
            continue;
        }
        printf("%s%s: violated\n", history_level_names[level], of);
        consistency_print_finding(&shortest, &cycle, stdout);
        status = promised ? 1 : status;
    }
    return status;
}

static int replay(struct consistency *c)
{
    struct pm_error err = {0};
    uint64_t number = cli_count(c->args, "replay");
    enum consistency_backend backend = 0;
    size_t backends = 0;
    for (int b = 0; b < CONSISTENCY_BACKENDS; b++)
        if (c->on[b] && backends++ == 0)
            backend = (enum consistency_backend)b;
    if (!cli_given(c->args, "backends"))
        backends = 1;
    if (c->whole_table || c->n_rows != 1 || backends != 1)
        return cli_complain(PM_E_OPTION, "option \"replay\": needs one --policy, and one of the backends");
    struct litmus_board *board = litmus_board_new(consistency_rounds(backend));
    if (board == NULL)
        return cli_complain(PM_E_MEMORY, "consistency: out of memory");
    int status;
    int code = consistency_run_job(&c->rows[0], backend, number, board, &err);
    if (code == PM_OK)
        status = replay_round(&c->rows[0], backend,
                              &board->rounds[(number - consistency_job_of(backend, number)) / 2]);
    else
        status = cli_complain(code, err.text);
    litmus_board_free(board, consistency_rounds(backend));
    return status;
}

/* ---- many schedules ---- */

static uint64_t share_of(const struct consistency *c, enum consistency_backend backend)
{
    uint64_t n = cli_count(c->args, "schedules"), rounds = consistency_rounds(backend);
    n /= backend == ON_SIM ? SIM_ONE_IN : backend == ON_REAL ? REAL_ONE_IN : 1;
    n = n > 0 ? n : 1;
    return (n + rounds - 1) / rounds * rounds;
}

static void add_units(struct consistency *c, struct consistency_unit *units, uint32_t row, enum consistency_backend backend)
{
    uint64_t n = share_of(c, backend), first = cli_count(c->args, "seed") * 2 * SCHEDULES_PER_SEED;
    for (uint64_t i = 0; i < n; i += CHUNK) {
        if (units != NULL)
            units[c->n_units] = (struct consistency_unit){
                .row = row, .backend = backend, .first = first + 2 * i, .n = n - i < CHUNK ? n - i : CHUNK};
        c->n_units++;
    }
}

/* Counts units, or fills them in. The slow ones first: they end alone otherwise. */
static void list_units(struct consistency *c, struct consistency_unit *units)
{
    c->n_units = 0;
    for (int b = CONSISTENCY_BACKENDS - 1; b >= 0; b--)
        for (uint32_t row = 0; row < c->n_rows && c->on[b]; row++)
            add_units(c, units, row, (enum consistency_backend)b);
}

static void gather(const struct consistency *c, struct consistency_result *results)
{
    for (size_t i = 0; i < c->n_units; i++) {
        const struct consistency_unit *unit = &c->units[i];
        struct consistency_result *r = &results[unit->row];
        for (int mode = 0; mode < CONSISTENCY_MODES; mode++) {
            r->schedules[mode] += unit->schedules[mode];
            for (enum history_level level = 0; level < HISTORY_LEVELS; level++)
                consistency_merge(&r->findings[mode][level], &unit->findings[mode][level]);
        }
    }
}

/* One line per promise that was broken, and in the whole table per weakness that did not show; their number. */
static size_t complain(const struct consistency *c, const struct consistency_result *results)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_rows; i++)
        for (int mode = 0; mode < CONSISTENCY_MODES; mode++)
            for (enum history_level level = 0; level < HISTORY_LEVELS; level++) {
                bool promised = consistency_promised(&c->rows[i], mode, level);
                bool found = results[i].findings[mode][level].times > 0;
                bool wrong = found ? promised : !promised && c->whole_table && !c->rows[i].may_hide;
                if (!wrong)
                    continue;
                fprintf(stderr, "pmlab: %s, %s: %s is %s\n", c->rows[i].label, consistency_mode_names[mode],
                        history_level_names[level], found ? "promised and violated" : "not promised, and no violation was found");
                n++;
            }
    return n;
}

static int measure(struct consistency *c, struct consistency_result *results)
{
    struct pm_error err = {0};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned jobs = cli_given(c->args, "jobs") || cores < 1 ? (unsigned)cli_count(c->args, "jobs") : (unsigned)cores;
    int code = consistency_run_units(c->rows, c->units, c->n_units, jobs, cli_flag(c->args, "quiet"), &err);
    if (code != PM_OK)
        return cli_complain(code, err.text);
    gather(c, results);
    if (cli_flag(c->args, "json"))
        consistency_print_json(c->rows, results, c->n_rows, stdout);
    else if (!cli_flag(c->args, "quiet"))
        consistency_print(c->rows, results, c->n_rows, stdout);
    fflush(stdout);
    return complain(c, results) > 0 ? 1 : 0;
}

static int check_size(const struct consistency *c, struct pm_error *err)
{
    if (cli_count(c->args, "schedules") > SCHEDULES_PER_SEED)
        return pm_error_set(err, PM_E_OPTION, "option \"schedules\": at most %d", SCHEDULES_PER_SEED);
    if (cli_count(c->args, "seed") > UINT64_MAX / (4 * SCHEDULES_PER_SEED))
        return pm_error_set(err, PM_E_OPTION, "option \"seed\": at most %" PRIu64 " here",
                            UINT64_MAX / (4 * SCHEDULES_PER_SEED));
    return PM_OK;
}

static int consistency(struct consistency *c)
{
    struct pm_error err = {0};
    int code = check_size(c, &err);
    if (code == PM_OK)
        code = choose_backends(c, &err);
    if (code == PM_OK)
        code = add_rows(c, &err);
    if (code != PM_OK)
        return cli_complain(code, err.text);
    if (cli_given(c->args, "replay"))
        return replay(c);
    list_units(c, NULL);
    size_t bytes = c->n_units * sizeof *c->units;
    struct consistency_result *results = calloc(c->n_rows, sizeof *results);
    c->units = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 1;
    if (results == NULL || c->units == MAP_FAILED) {
        status = cli_complain(PM_E_MEMORY, "consistency: out of memory");
    } else {
        list_units(c, c->units);
        status = measure(c, results);
    }
    if (c->units != MAP_FAILED)
        munmap(c->units, bytes);
    free(results);
    return status;
}

int cli_consistency(const struct cli_args *args)
{
    struct consistency *c = calloc(1, sizeof *c);
    if (c == NULL)
        return cli_complain(PM_E_MEMORY, "consistency: out of memory");
    c->args = args;
    int status = consistency(c);
    for (size_t i = 0; i < c->n_rows; i++) {
        cli_module_spec_free(&c->rows[i].policy);
        free(c->rows[i].label);
    }
    free(c);
    return status;
}
