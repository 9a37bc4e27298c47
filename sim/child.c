/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forked child of a run, seen from its parent: started, listened to, and always reaped. */
#define _GNU_SOURCE /* pipe2 */
#include "sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_MS = 50 };

struct watch {
    pid_t pid;
    int records, errors; /* read ends; -1 once at their end */
    int signal;          /* that interrupted the run, or 0 */
    struct sim_box *box;
    struct sim_frames frames;
    struct sim_last_words words;
};

/* What a child must not leave behind or do. Signals that end the command reach the child, too (it is of the
 * same process group): the parent deals with them, and a parent that dies takes the child along. */
static void settle_child(pid_t parent, int errors)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    /* 1 and not 0: with 0 the kernel would still start a crash handler that core files are piped to. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){1, 1});
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    dup2(errors, STDERR_FILENO);
    dup2(errors, STDOUT_FILENO);
}

static int start(struct watch *w, const struct pm_job *job, const struct sim_settings *settings,
                 struct pm_error *err)
{
    int records[2], errors[2];
    if (pipe2(records, O_CLOEXEC) != 0)
        return pm_error_set(err, PM_E_LIMIT, "no pipe to the simulation: %s", strerror(errno));
    if (pipe2(errors, O_CLOEXEC) != 0) {
        int code = pm_error_set(err, PM_E_LIMIT, "no pipe to the simulation: %s", strerror(errno));
        close(records[0]);
        close(records[1]);
        return code;
    }
    fflush(stdout); /* or the child might say it again */
    pid_t parent = getpid();
    w->pid = fork();
    if (w->pid == 0) {
        settle_child(parent, errors[1]);
        sim_simulate(job, settings, w->box, records[1]);
    }
    int reason = errno;
    close(records[1]);
    close(errors[1]);
    w->records = records[0];
    w->errors = errors[0];
    if (w->pid > 0)
        return PM_OK;
    close(records[0]);
    close(errors[0]);
    return pm_error_set(err, PM_E_LIMIT, "no process for the simulation: %s", strerror(reason));
}

static void close_end(int *fd)
{
    close(*fd);
    *fd = -1;
}

/* Until both pipes have ended or the run is interrupted. */
static void listen_to(struct watch *w, const struct pm_job *job)
{
    while (w->records >= 0 || w->errors >= 0) {
        struct pollfd fds[2] = {{.fd = w->records, .events = POLLIN}, {.fd = w->errors, .events = POLLIN}};
        int ready = poll(fds, 2, POLL_MS);
        w->signal = job->interrupted != NULL ? job->interrupted() : 0;
        if (w->signal != 0)
            return;
        if (ready <= 0)
            continue;
        if (fds[1].revents != 0 && !sim_last_words_read(&w->words, w->errors))
            close_end(&w->errors);
        if (fds[0].revents != 0 && !sim_frames_read(&w->frames, w->records, job)) {
            close_end(&w->records);
            if (w->frames.malformed)
                return;
        }
    }
}

static int finish(struct watch *w, const struct sim_settings *settings, struct pm_error *err)
{
    if (w->records >= 0)
        close_end(&w->records);
    if (w->errors >= 0)
        close_end(&w->errors);
    if (w->signal != 0 || w->frames.malformed)
        kill(w->pid, SIGKILL);
    int status = 0;
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (w->signal != 0)
        return pm_error_set(err, PM_E_INTERRUPTED, "interrupted by signal %d", w->signal);
    if (!w->frames.ended)
        return sim_death_explain(settings, w->box, status, &w->words, err);
    if (w->frames.code == PM_OK)
        return PM_OK;
    /* A worker's code says little; what it wrote says more. */
    char sentence[PM_ERROR_TEXT_SIZE];
    sim_last_words_sentence(&w->words, false, sentence, sizeof sentence);
    return pm_error_set(err, w->frames.code, "%s%s%s", w->frames.text, sentence[0] != '\0' ? ": " : "",
                        sentence);
}

int sim_child_run(const struct pm_job *job, const struct sim_settings *settings, struct pm_error *err)
{
    struct watch *w = calloc(1, sizeof *w);
    void *box = mmap(NULL, sizeof(struct sim_box), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w == NULL || box == MAP_FAILED) {
        free(w);
        return pm_error_set(err, PM_E_MEMORY, "no memory to start a simulation");
    }
    w->box = box;
    int rc = start(w, job, settings, err);
    if (rc == PM_OK) {
        listen_to(w, job);
        rc = finish(w, settings, err);
    }
    munmap(box, sizeof(struct sim_box));
    free(w);
    return rc;
}
