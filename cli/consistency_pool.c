/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units in processes of their own: one that dies takes no other along, and its schedule is known. */
#define _GNU_SOURCE /* sigabbrev_np */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/consistency.h"
#include "cli/execute.h"
#include "cli/progress.h"

enum { POLL_NS = 20 * 1000 * 1000 };

struct pool {
    const struct consistency_row *rows;
    struct consistency_unit *units;
    pid_t *pids; /* 0: not running */
    size_t n, started, running;
    bool told; /* to end */
    bool failed;
};

static _Noreturn void be_child(const struct pool *pool, struct consistency_unit *unit, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    consistency_run_unit(&pool->rows[unit->row], unit);
    _exit(0);
}

static int start_next(struct pool *pool, struct pm_error *err)
{
    struct consistency_unit *unit = &pool->units[pool->started];
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        be_child(pool, unit, parent);
    if (pid < 0)
        return pm_error_set(err, PM_E_LIMIT, "cannot start a process: %s", strerror(errno));
    pool->pids[pool->started++] = pid;
    pool->running++;
    return PM_OK;
}

/* Collects processes that are gone; one that did not say how it ended has died. */
static void reap(struct pool *pool)
{
    for (size_t i = 0; i < pool->started; i++) {
        struct consistency_unit *unit = &pool->units[i];
        int status;
        if (pool->pids[i] == 0 || waitpid(pool->pids[i], &status, WNOHANG) != pool->pids[i])
            continue;
        pool->pids[i] = 0;
        pool->running--;
        if (!unit->ended) {
            unit->code = PM_E_INTERNAL;
            if (WIFSIGNALED(status))
                snprintf(unit->text, sizeof unit->text, "died of SIG%s", sigabbrev_np(WTERMSIG(status)));
            else
                snprintf(unit->text, sizeof unit->text, "ended with status %d", WEXITSTATUS(status));
        }
        pool->failed |= unit->code != PM_OK;
    }
}

/* After a failure or an interruption the others end, too. */
static void tell(struct pool *pool)
{
    if (pool->told)
        return;
    pool->told = true;
    for (size_t i = 0; i < pool->started; i++)
        if (pool->pids[i] != 0)
            kill(pool->pids[i], SIGTERM);
}

static void show(const struct pool *pool, struct cli_progress *progress, uint64_t total, double started_s)
{
    struct timespec now;
    uint64_t done = 0;
    const char *label = "consistency";
    for (size_t i = 0; i < pool->started; i++) {
        done += __atomic_load_n(&pool->units[i].done, __ATOMIC_RELAXED);
        if (pool->pids[i] != 0)
            label = pool->rows[pool->units[i].row].label;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    double spent = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - started_s;
    cli_progress_show(progress, label, (double)done / (double)total, spent > 0 ? (double)done / spent : 0);
}

static int run(struct pool *pool, unsigned jobs, struct cli_progress *progress, struct pm_error *err)
{
    struct timespec start;
    uint64_t total = 0;
    int code = PM_OK;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (size_t i = 0; i < pool->n; i++)
        total += CONSISTENCY_MODES * pool->units[i].n;
    for (;;) {
        bool ending = code != PM_OK || pool->failed || cli_interrupted();
        while (!ending && code == PM_OK && pool->started < pool->n && pool->running < jobs)
            code = start_next(pool, err);
        if (ending)
            tell(pool);
        if (pool->running == 0)
            break;
        nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
        reap(pool);
        show(pool, progress, total, (double)start.tv_sec + (double)start.tv_nsec / 1e9);
    }
    return code;
}

/* The first failure that is no consequence of another. */
static int first_failure(const struct pool *pool, struct pm_error *err)
{
    for (size_t i = 0; i < pool->started; i++) {
        const struct consistency_unit *unit = &pool->units[i];
        if (unit->code == PM_OK || unit->code == PM_E_INTERRUPTED)
            continue;
        return pm_error_set(err, unit->code, "%s: %.240s; repeat: pmlab consistency --policy %s --backends %s --replay %" PRIu64,
                            pool->rows[unit->row].label, unit->text[0] ? unit->text : pm_strerror(unit->code),
                            pool->rows[unit->row].label, consistency_backend_names[unit->backend], unit->at);
    }
    if (cli_interrupted())
        return pm_error_set(err, PM_E_INTERRUPTED, "consistency: interrupted by SIG%s", sigabbrev_np(cli_interrupted()));
    return PM_OK;
}

int consistency_run_units(const struct consistency_row *rows, struct consistency_unit *units, size_t n, unsigned jobs,
                          bool quiet, struct pm_error *err)
{
    struct pool pool = {.rows = rows, .units = units, .n = n};
    struct cli_progress progress;
    pool.pids = calloc(n, sizeof *pool.pids);
    if (!pool.pids)
        return pm_error_set(err, PM_E_MEMORY, "consistency: out of memory");
    fflush(NULL);
    cli_progress_begin(&progress, quiet);
    progress.unit = "schedules";
    int code = run(&pool, jobs, &progress, err);
    cli_progress_end(&progress);
    if (code == PM_OK)
        code = first_failure(&pool, err);
    free(pool.pids);
    return code;
}
