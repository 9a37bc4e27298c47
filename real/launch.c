/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forking of the nodes' processes. */
#include "real/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/types.h"
#include "real/children.h"
#include "real/sleeper.h"

/* What the children have in common. */
struct start {
    struct real_children *children;
    uint64_t job_number;
    int64_t origin_ns;
    pid_t parent;
};

/* Signals are the calling process's business: it ends its children. A signal sent to one of them alone still
 * ends that. */
static void reset_signals(void)
{
    const int reset[] = {SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGALRM, SIGUSR1, SIGUSR2};
    sigset_t none;
    for (size_t i = 0; i < sizeof reset / sizeof *reset; i++)
        signal(reset[i], SIG_DFL);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_child(const struct start *s, uint32_t rank, int fd)
{
    const struct real_children *c = s->children;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent)
        _exit(1);
    reset_signals();
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0 && null != STDIN_FILENO) {
        dup2(null, STDIN_FILENO);
        close(null);
    }
    for (uint32_t i = 0; i < c->n; i++) {
        if (i != rank)
            close(c->listeners[i]);
        if (c->child[i].fd >= 0)
            close(c->child[i].fd);
    }
    const struct real_node_config config = {
        .job = c->job,
        .settings = c->settings,
        .rendezvous = {.rank = rank,
                       .nodes = c->n,
                       .job = s->job_number,
                       .listener = c->listeners[rank],
                       .addresses = c->addresses,
                       .timeout_ns = c->settings->join_timeout_ns,
                       .socket_buffer_bytes = c->settings->socket_buffer_bytes},
        .origin_ns = s->origin_ns,
        .parent_fd = fd,
    };
    real_node_run(&config);
    _exit(0);
}

static int start_child(const struct start *s, uint32_t rank, struct pm_error *err)
{
    struct real_child *child = &s->children->child[rank];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return pm_error_set(err, PM_E_LIMIT, "cannot start node %u: %s", rank, strerror(errno));
    child->fd = pair[0];
    pid_t process = fork();
    if (process == 0)
        run_child(s, rank, pair[1]);
    int why = errno;
    close(pair[1]);
    if (process < 0)
        return pm_error_set(err, PM_E_LIMIT, "cannot start node %u: %s", rank, strerror(why));
    child->process = process;
    child->number = (int)process;
    return PM_OK;
}

static void report_memory(const struct real_children *c)
{
    struct pm_record record = {.kind = PM_RECORD_BACKEND, .epoch = c->job->epochs ? c->job->epochs - 1 : 0};
    for (uint32_t i = 0; i < c->n; i++)
        record.u.backend.peak_rss_bytes += c->child[i].peak_rss_bytes;
    if (c->job->report)
        c->job->report(c->job->report_arg, &record);
}

static int start_all(const struct start *s, struct pm_error *err)
{
    struct real_children *c = s->children;
    int rc = real_listen(&c->settings->ports, c->n, c->addresses, c->listeners, err);
    if (rc != PM_OK)
        return rc;
    for (uint32_t i = 0; i < c->n && rc == PM_OK; i++)
        rc = start_child(s, i, err);
    for (uint32_t i = 0; i < c->n; i++)
        close(c->listeners[i]);
    return rc;
}

int real_launch(const struct pm_job *job, const struct real_settings *settings, struct pm_error *err)
{
    struct real_children c = {.job = job,
                              .settings = settings,
                              .n = job->nodes,
                              .reason = REAL_REASON_NONE,
                              .kill_at_ns = PM_TIME_NEVER};
    struct start s = {.children = &c, .origin_ns = real_clock_ns(), .parent = getpid()};
    int rc = PM_OK;
    c.child = calloc(c.n, sizeof *c.child);
    c.addresses = calloc(c.n, sizeof *c.addresses);
    c.listeners = calloc(c.n, sizeof *c.listeners);
    if (!c.child || !c.addresses || !c.listeners)
        rc = pm_error_set(err, PM_E_MEMORY, "out of memory for %u nodes", c.n);
    for (uint32_t i = 0; c.child && i < c.n; i++)
        c.child[i].fd = -1;
    if (rc == PM_OK && getrandom(&s.job_number, sizeof s.job_number, 0) != (ssize_t)sizeof s.job_number)
        rc = pm_error_set(err, PM_E_LIMIT, "cannot draw a random job number: %s", strerror(errno));
    if (rc == PM_OK)
        rc = start_all(&s, err);
    if (rc == PM_OK)
        rc = real_children_watch(&c, err);
    if (c.child)
        real_children_kill(&c);
    if (rc == PM_OK)
        report_memory(&c);
    free(c.child);
    free(c.addresses);
    free(c.listeners);
    return rc;
}
