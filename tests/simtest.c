/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/simtest.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node.h"

const struct pm_backend *simtest_backend(void)
{
    static const struct pm_backend *backend;
    const char *build = getenv("PMLAB_BUILD");
    char path[1024];
    if (backend != NULL)
        return backend;
    snprintf(path, sizeof path, "%s/pmlab-sim.so", build != NULL ? build : "build");
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    backend = handle != NULL ? dlsym(handle, "pm_backend_sim") : NULL;
    if (backend == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return backend;
}

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                struct pm_error *err)
{
    (void)node, (void)state, (void)options, (void)err;
    traits->group = true;
    traits->shared_memory = true;
    return PM_OK;
}

const struct pm_policy simtest_policy = {
    .abi = PM_POLICY_ABI, .name = "simtest", .summary = "static allocation for tests", .init = init};

static void report(void *arg, const struct pm_record *record)
{
    struct simtest *s = arg;
    assert_true(s->n < SIMTEST_RECORDS_MAX);
    s->records[s->n++] = *record;
}

void simtest_init(struct simtest *s, uint64_t keys, uint32_t length,
                  int (*main)(struct pm_worker *w, void *arg), ...)
{
    const struct testload_shape shape = {.keys = keys, .length = length};
    memset(s, 0, sizeof *s);
    if (testjob_init(&s->t, &simtest_policy, "", &shape, &s->err) != PM_OK ||
        pm_values_init(&s->options, simtest_backend()->options, &s->err) != PM_OK)
        fail_msg("%s", s->err.text);
    va_list args;
    va_start(args, main);
    for (const char *name; (name = va_arg(args, const char *)) != NULL;)
        if (pm_values_set(&s->options, name, va_arg(args, const char *), &s->err) != PM_OK)
            fail_msg("%s", s->err.text);
    va_end(args);
    s->t.job.main = main;
    s->t.job.report = report;
    s->t.job.report_arg = s;
}

int simtest_run(struct simtest *s)
{
    return simtest_backend()->run(&s->t.job, &s->options, &s->err);
}

void simtest_free(struct simtest *s)
{
    pm_values_free(&s->options);
    testjob_free(&s->t);
}

void simtest_tell(struct pm_worker *w, uint32_t what, int64_t number)
{
    const struct pm_job *job = pm_node_job(w->ctx.node);
    struct pm_record record = {.kind = PM_RECORD_PROGRESS, .epoch = what};
    record.u.progress.now_ns = number;
    job->report(job->report_arg, &record);
}

int64_t simtest_told(const struct simtest *s, uint32_t what)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->records[i].kind == PM_RECORD_PROGRESS && s->records[i].epoch == what)
            return s->records[i].u.progress.now_ns;
    fail_msg("nothing was told of %u", what);
    return 0;
}
