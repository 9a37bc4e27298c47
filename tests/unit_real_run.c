/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs of the real backend as its caller sees them: records, reasons of failures, and that no process is left
 * behind. time-limit: 120 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/node.h"
#include "core/pm.h"
#include "core/registry.h"
#include "real/backend.h"
#include "real/sleeper.h"
#include "tests/testload.h"

enum { RECORDS_MAX = 4096, SURVIVORS_LIMIT_S = 10 };

struct run {
    struct testjob t;
    struct pm_values options;
    struct pm_error err;
    struct pm_record records[RECORDS_MAX];
    size_t n;
    double took_s;
};

static void keep(void *arg, const struct pm_record *record)
{
    struct run *r = arg;
    assert_true(r->n < RECORDS_MAX);
    r->records[r->n++] = *record;
}

static const struct pm_policy *policy_named(const char *name)
{
    for (size_t i = 0; pm_registry_policies[i]; i++)
        if (strcmp(pm_registry_policies[i]->name, name) == 0)
            return pm_registry_policies[i];
    fail_msg("there is no policy %s", name);
    return NULL;
}

/* Further arguments: names and texts of backend options, then NULL. */
static void prepare(struct run *r, uint32_t nodes, uint32_t workers,
                    int (*main)(struct pm_worker *w, void *arg), ...)
{
    const struct testload_shape shape = {.keys = 64, .length = 4};
    memset(r, 0, sizeof *r);
    if (testjob_init(&r->t, policy_named("classic"), "", &shape, &r->err) != PM_OK ||
        pm_values_init(&r->options, pm_backend_real.options, &r->err) != PM_OK)
        fail_msg("%s", r->err.text);
    va_list args;
    va_start(args, main);
    for (const char *name; (name = va_arg(args, const char *)) != NULL;)
        if (pm_values_set(&r->options, name, va_arg(args, const char *), &r->err) != PM_OK)
            fail_msg("%s", r->err.text);
    va_end(args);
    testjob_cluster(&r->t, nodes, workers);
    r->t.job.main = main;
    r->t.job.main_arg = r;
    r->t.job.report = keep;
    r->t.job.report_arg = r;
}

/* Runs it; whatever happens, no child may be left, neither running nor as a zombie. */
static int perform(struct run *r)
{
    int64_t start_ns = real_clock_ns();
    int rc = pm_backend_real.run(&r->t.job, &r->options, &r->err);
    r->took_s = (double)(real_clock_ns() - start_ns) / 1e9;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    pm_values_free(&r->options);
    testjob_free(&r->t);
    return rc;
}

static void check_failure(struct run *r, int code, const char *what, double limit_s)
{
    int rc = perform(r);
    if (rc != code || r->err.code != code || !strstr(r->err.text, what) || strchr(r->err.text, '\n'))
        fail_msg("code %d (expected %d), '%s' (expected '%s')", rc, code, r->err.text, what);
    if (r->took_s > limit_s)
        fail_msg("it took %.1f s, more than %.1f s", r->took_s, limit_s);
}

static void tell(struct pm_worker *w, uint32_t epoch, double value)
{
    const struct pm_job *job = pm_node_job(w->ctx.node);
    struct pm_record record = {.kind = PM_RECORD_QUALITY, .epoch = epoch};
    record.u.quality.value = value;
    job->report(job->report_arg, &record);
}

/* Pulls and pushes all keys until a call fails. */
static int work_on(struct pm_worker *w)
{
    float values[64 * 4], updates[64 * 4] = {0};
    for (int rc = PM_OK;;) {
        rc = pm_wait(w, pm_pull_range(w, 0, 64, values));
        if (rc == PM_OK)
            rc = pm_wait(w, pm_push_range(w, 0, 64, updates));
        if (rc != PM_OK)
            return rc;
    }
}

static void pause_ms(int64_t ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* ---- Records ---- */

enum { TOLD = 3000 };

static int main_tell(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = pm_barrier(w);
    for (uint32_t i = 0; i < TOLD && pm_worker_rank(w) == 0; i++)
        tell(w, i, (double)i / 2);
    return rc;
}

static void test_records(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 2, main_tell, NULL);
    if (perform(&r) != PM_OK)
        fail_msg("%s", r.err.text);
    assert_int_equal(r.n, TOLD + 1);
    for (uint32_t i = 0; i < TOLD; i++) {
        assert_int_equal(r.records[i].kind, PM_RECORD_QUALITY);
        assert_int_equal(r.records[i].epoch, i);
        assert_true(r.records[i].u.quality.value == (double)i / 2);
    }
    assert_int_equal(r.records[TOLD].kind, PM_RECORD_BACKEND);
    assert_in_range(r.records[TOLD].u.backend.peak_rss_bytes, 1 << 20, (uint64_t)1 << 40);
}

/* ---- Deaths ---- */

static int main_killed(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = pm_barrier(w);
    if (rc == PM_OK && pm_worker_rank(w) == 3) {
        pause_ms(50);
        raise(SIGKILL);
    }
    return rc == PM_OK ? work_on(w) : rc;
}

static void test_killed(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 3, 2, main_killed, NULL);
    check_failure(&r, PM_E_PEER, "ended by signal 9 (Killed)", SURVIVORS_LIMIT_S);
    assert_non_null(strstr(r.err.text, "node 1 (process "));
}

static int main_exits(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = pm_barrier(w);
    if (rc == PM_OK && pm_worker_rank(w) == 1)
        _exit(7);
    return rc == PM_OK ? work_on(w) : rc;
}

static void test_exits(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 1, main_exits, NULL);
    check_failure(&r, PM_E_PEER, "ended with exit status 7", SURVIVORS_LIMIT_S);
}

/* The survivor's workers compute for ever and never come to core. */
static int main_killed_while_others_compute(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = pm_barrier(w);
    if (rc == PM_OK && pm_worker_rank(w) == 1)
        raise(SIGKILL);
    while (rc == PM_OK)
        pause_ms(1);
    return rc;
}

static void test_killed_while_others_compute(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 1, main_killed_while_others_compute, NULL);
    check_failure(&r, PM_E_PEER, "node 1 (process ", SURVIVORS_LIMIT_S);
}

/* What a survivor itself is told: its call returns PM_E_PEER, soon. */
static int main_survivor(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = pm_barrier(w);
    if (rc == PM_OK && pm_worker_rank(w) == 1)
        raise(SIGKILL);
    int64_t start_ns = real_clock_ns();
    rc = rc == PM_OK ? work_on(w) : rc;
    tell(w, 0, rc);
    tell(w, 1, (double)(real_clock_ns() - start_ns) / 1e9);
    return rc;
}

static void test_survivor(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 1, main_survivor, NULL);
    check_failure(&r, PM_E_PEER, "ended by signal 9", SURVIVORS_LIMIT_S);
    assert_int_equal(r.n, 2); /* what was reported before the failure stays */
    assert_true(r.records[0].u.quality.value == PM_E_PEER);
    assert_true(r.records[1].u.quality.value < 3);
}

/* ---- Failures that have a reason of their own ---- */

static int main_fails(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = pm_barrier(w);
    if (rc == PM_OK && pm_worker_rank(w) == 2)
        return PM_E_MEMORY;
    return rc == PM_OK ? work_on(w) : rc;
}

static void test_worker_fails(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 2, main_fails, NULL);
    check_failure(&r, PM_E_MEMORY, "node 1, worker 0: out of memory", SURVIVORS_LIMIT_S);
}

/* Everybody is at a barrier but one, which waits for nothing that will come. */
static int main_stuck(struct pm_worker *w, void *arg)
{
    (void)arg;
    if (pm_worker_rank(w) != 1)
        return pm_barrier(w);
    pause_ms(60000);
    return PM_OK;
}

static void test_watchdog(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 1, main_stuck, "watchdog", "2s", NULL);
    check_failure(&r, PM_E_PROGRESS, "no progress for 2 s: node 0 ", 10);
    assert_non_null(strstr(r.err.text, "; node 1 "));
}

/* One worker computes for longer than the watchdog's limit; the other waits for it all the time. */
static int main_long_batch(struct pm_worker *w, void *arg)
{
    (void)arg;
    int64_t end_ns = real_clock_ns() + (pm_worker_rank(w) == 1 ? 4000000000 : 0);
    while (real_clock_ns() < end_ns)
        ;
    return pm_barrier(w);
}

static void test_long_batch(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 1, main_long_batch, "watchdog", "2s", NULL);
    if (perform(&r) != PM_OK)
        fail_msg("%s", r.err.text);
}

static int main_stopped(struct pm_worker *w, void *arg)
{
    (void)arg;
    if (pm_worker_rank(w) == 1)
        raise(SIGSTOP);
    return pm_barrier(w);
}

static void test_stopped(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 1, main_stopped, "watchdog", "2s", NULL);
    check_failure(&r, PM_E_PROGRESS, "node 1 does not answer", 10);
}

/* ---- Interruption ---- */

static int64_t interrupt_at_ns;

static int interrupted(void)
{
    return real_clock_ns() >= interrupt_at_ns ? SIGINT : 0;
}

static int main_endless(struct pm_worker *w, void *arg)
{
    (void)arg;
    return work_on(w);
}

static void test_interrupted(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 3, 1, main_endless, NULL);
    r.t.job.interrupted = interrupted;
    interrupt_at_ns = real_clock_ns() + 300000000;
    check_failure(&r, PM_E_INTERRUPTED, "interrupted by signal 2", 3);
}

/* When the calling process is killed its children die with it. */
static int main_tell_process(struct pm_worker *w, void *arg)
{
    const struct run *r = arg;
    int pid = getpid(), fd = (int)r->records[0].epoch;
    if (pm_worker_rank(w) == 0 && write(fd, &pid, sizeof pid) != sizeof pid)
        return PM_E_FILE;
    return work_on(w);
}

static void test_parent_killed(void **state)
{
    (void)state;
    static struct run r;
    int pipes[2], child;
    assert_int_equal(pipe(pipes), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        prepare(&r, 2, 1, main_tell_process, NULL);
        r.records[0].epoch = (uint32_t)pipes[1];
        perform(&r);
        _exit(1);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &child, sizeof child), sizeof child);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    /* Both children hold the pipe's other end: its end comes when they are gone. */
    alarm(10);
    char byte;
    assert_int_equal(read(pipes[0], &byte, 1), 0);
    alarm(0);
    close(pipes[0]);
}

/* ---- Start ---- */

static int main_nothing(struct pm_worker *w, void *arg)
{
    (void)w, (void)arg;
    return PM_OK;
}

static void test_port_taken(void **state)
{
    (void)state;
    static struct run r;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char range[32], what[64];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(range, sizeof range, "%u-%u", ntohs(address.sin_port), ntohs(address.sin_port));
    snprintf(what, sizeof what, "port %u on 127.0.0.1 is taken", ntohs(address.sin_port));
    prepare(&r, 1, 1, main_nothing, "port-range", range, NULL);
    check_failure(&r, PM_E_PEER, what, 3);
    close(fd);
    prepare(&r, 2, 1, main_nothing, "port-range", range, NULL);
    check_failure(&r, PM_E_OPTION, "option port-range", 3);
    prepare(&r, 2, 1, main_nothing, "port-range", "http", NULL);
    check_failure(&r, PM_E_OPTION, "option port-range: 'http'", 3);
}

/* A workload that cannot be opened is refused by every node; the reason is that of opening. */
static void test_refused_workload(void **state)
{
    (void)state;
    static struct run r;
    prepare(&r, 2, 1, main_nothing, NULL);
    struct pm_workload refusing = *r.t.job.workload;
    refusing.needs_values = true;
    r.t.job.workload = &refusing;
    r.t.job.with_values = false;
    int rc = perform(&r);
    assert_int_not_equal(rc, PM_OK);
    assert_int_not_equal(rc, PM_E_PEER);
    assert_true(strlen(r.err.text) > 0);
    assert_true(r.took_s < 5);
}

/* Many short runs one after another: starting, roll call and orderly end. */
static int main_push(struct pm_worker *w, void *arg)
{
    (void)arg;
    float updates[64 * 4] = {0};
    pm_push_range(w, 0, 64, updates); /* nobody waits for it: the end of the run must */
    return pm_wait_all(w);
}

static void test_many_runs(void **state)
{
    (void)state;
    static struct run r;
    for (int i = 0; i < 30; i++) {
        prepare(&r, 1 + (uint32_t)i % 5, 2, i % 2 ? main_push : main_nothing, NULL);
        if (perform(&r) != PM_OK)
            fail_msg("run %d: %s", i, r.err.text);
        assert_true(r.took_s < 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),     cmocka_unit_test(test_killed),
        cmocka_unit_test(test_exits),       cmocka_unit_test(test_killed_while_others_compute),
        cmocka_unit_test(test_survivor),    cmocka_unit_test(test_worker_fails),
        cmocka_unit_test(test_watchdog),    cmocka_unit_test(test_long_batch),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_parent_killed),
        cmocka_unit_test(test_port_taken),  cmocka_unit_test(test_refused_workload),
        cmocka_unit_test(test_many_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
