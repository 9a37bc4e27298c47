/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Several experiments: one after the other in this process, or some at a time in forked ones, which report
 * over a pipe. No process has the database open while another one is forked. */
#define _GNU_SOURCE /* sigabbrev_np */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/pool.h"
#include "cli/progress.h"

/* ---- in this process ---- */

struct sequence {
    struct cli_progress progress;
    const char *label;
    size_t done, n;
};

static void show_in_sequence(void *arg, double share, double per_s)
{
    struct sequence *s = arg;
    cli_progress_show(&s->progress, s->label, ((double)s->done + share) / (double)s->n, per_s);
}

static void not_started(struct cli_outcome *outcome)
{
    *outcome = (struct cli_outcome){.code = PM_E_INTERRUPTED};
    snprintf(outcome->text, sizeof outcome->text, "interrupted by SIG%s", sigabbrev_np(cli_interrupted()));
}

static void run_in_sequence(const struct cli_experiment *experiments, size_t n, struct cli_outcome *outcomes)
{
    struct sequence s = {.n = n};
    struct cli_sink sink = {show_in_sequence, &s};
    cli_progress_begin(&s.progress, cli_flag(experiments[0].args, "quiet"));
    for (; s.done < n; s.done++) {
        s.label = experiments[s.done].label;
        if (s.done > 0 && cli_interrupted() != 0)
            not_started(&outcomes[s.done]);
        else
            cli_execute_into(&experiments[s.done], &sink, &outcomes[s.done]);
    }
    cli_progress_end(&s.progress);
}

/* ---- in processes of their own ---- */

/* Written whole by a child: shorter than PIPE_BUF. */
struct message {
    uint32_t index;
    uint32_t ended; /* 0: progress */
    double share, per_s;
    struct cli_outcome outcome;
};
_Static_assert(sizeof(struct message) <= 4096, "messages of children must not be torn");

struct child {
    pid_t pid; /* 0: not running */
    double share, per_s;
    bool ended;
};

struct pool {
    const struct cli_experiment *experiments;
    struct cli_outcome *outcomes;
    struct child *children;
    size_t n, started, running;
    int pipe[2];
    bool told; /* the children were asked to end */
    struct cli_progress progress;
};

struct child_sink {
    int fd;
    uint32_t index;
};

static void send_message(int fd, const struct message *m)
{
    ssize_t n;
    do
        n = write(fd, m, sizeof *m);
    while (n < 0 && errno == EINTR);
}

static void show_to_parent(void *arg, double share, double per_s)
{
    struct child_sink *to = arg;
    struct message m = {.index = to->index, .share = share, .per_s = per_s};
    send_message(to->fd, &m);
}

static _Noreturn void be_child(struct pool *pool, size_t index, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    close(pool->pipe[0]);
    struct child_sink to = {pool->pipe[1], (uint32_t)index};
    struct cli_sink sink = {show_to_parent, &to};
    struct message m = {.index = (uint32_t)index, .ended = 1};
    cli_execute_into(&pool->experiments[index], &sink, &m.outcome);
    send_message(pool->pipe[1], &m);
    _exit(0);
}

static void start_next(struct pool *pool)
{
    size_t index = pool->started++;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        be_child(pool, index, parent);
    if (pid < 0) {
        pool->children[index].ended = true;
        pool->outcomes[index].code = PM_E_LIMIT;
        snprintf(pool->outcomes[index].text, PM_ERROR_TEXT_SIZE, "cannot start a process: %s",
                 strerror(errno));
        return;
    }
    pool->children[index].pid = pid;
    pool->running++;
}

static void take_message(struct pool *pool, const struct message *m)
{
    struct child *child = &pool->children[m->index];
    child->share = m->ended ? 1 : m->share;
    child->per_s = m->ended ? 0 : m->per_s;
    child->ended |= m->ended != 0;
    if (m->ended)
        pool->outcomes[m->index] = m->outcome;
}

static void read_messages(struct pool *pool, int timeout_ms)
{
    struct pollfd ready = {.fd = pool->pipe[0], .events = POLLIN};
    struct message m;
    while (poll(&ready, 1, timeout_ms) == 1 && read(pool->pipe[0], &m, sizeof m) == (ssize_t)sizeof m) {
        take_message(pool, &m);
        timeout_ms = 0;
    }
}

/* Collects children that are gone; one that did not say how it ended has died. */
static void reap(struct pool *pool)
{
    for (size_t i = 0; i < pool->started; i++) {
        struct child *child = &pool->children[i];
        int status;
        if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) != child->pid)
            continue;
        child->pid = 0;
        pool->running--;
        read_messages(pool, 0);
        if (child->ended)
            continue;
        child->ended = true;
        pool->outcomes[i].code = PM_E_INTERNAL;
        if (WIFSIGNALED(status))
            snprintf(pool->outcomes[i].text, PM_ERROR_TEXT_SIZE, "the process of this run died of SIG%s",
                     sigabbrev_np(WTERMSIG(status)));
        else
            snprintf(pool->outcomes[i].text, PM_ERROR_TEXT_SIZE,
                     "the process of this run ended with status %d", WEXITSTATUS(status));
    }
}

static void show_pool(struct pool *pool)
{
    double share = 0, per_s = 0;
    char label[64];
    for (size_t i = 0; i < pool->started; i++) {
        share += pool->children[i].share;
        per_s += pool->children[i].per_s;
    }
    snprintf(label, sizeof label, "%zu of %zu runs", pool->started - pool->running, pool->n);
    cli_progress_show(&pool->progress, label, share / (double)pool->n, per_s);
}

/* A signal at this process alone reaches the runs as SIGTERM: a second SIGINT would kill them. */
static void pass_on_interruption(struct pool *pool)
{
    if (cli_interrupted() == 0 || pool->told)
        return;
    pool->told = true;
    for (size_t i = 0; i < pool->started; i++)
        if (pool->children[i].pid != 0)
            kill(pool->children[i].pid, SIGTERM);
    for (; pool->started < pool->n; pool->started++)
        not_started(&pool->outcomes[pool->started]);
}

static void run_in_pool(struct pool *pool, unsigned jobs)
{
    cli_progress_begin(&pool->progress, cli_flag(pool->experiments[0].args, "quiet"));
    while (pool->started < pool->n || pool->running > 0) {
        while (pool->started < pool->n && pool->running < jobs && cli_interrupted() == 0)
            start_next(pool);
        pass_on_interruption(pool);
        read_messages(pool, 50);
        reap(pool);
        show_pool(pool);
    }
    cli_progress_end(&pool->progress);
}

static int run_in_processes(const struct cli_experiment *experiments, size_t n, unsigned jobs,
                            struct cli_outcome *outcomes)
{
    struct pool pool = {.experiments = experiments, .outcomes = outcomes, .n = n};
    pool.children = calloc(n, sizeof *pool.children);
    if (pool.children == NULL || pipe(pool.pipe) != 0) {
        free(pool.children);
        return PM_E_MEMORY;
    }
    fflush(NULL);
    run_in_pool(&pool, jobs);
    close(pool.pipe[0]);
    close(pool.pipe[1]);
    free(pool.children);
    return PM_OK;
}

int cli_execute_all(const struct cli_experiment *experiments, size_t n, unsigned jobs,
                    struct cli_outcome *outcomes)
{
    memset(outcomes, 0, n * sizeof *outcomes);
    bool apart = jobs > 1 && n > 1 && strcmp(experiments[0].backend->name, "sim") == 0;
    if (!apart)
        run_in_sequence(experiments, n, outcomes);
    else if (run_in_processes(experiments, n, jobs, outcomes) != PM_OK)
        return PM_E_MEMORY;
    for (size_t i = 0; i < n; i++)
        if (outcomes[i].code != PM_OK)
            return outcomes[i].code;
    return PM_OK;
}
