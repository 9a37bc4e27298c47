/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One experiment in this process: recorded as running, run, recorded as ended. */
#define _GNU_SOURCE /* sigabbrev_np */
#include "cli/execute.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/pool.h"

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int cli_exit_code(int code)
{
    switch (code) {
    case PM_OK:
        return 0;
    case PM_E_OPTION:
        return 2;
    case PM_E_FILE:
    case PM_E_ABI:
        return 3;
    case PM_E_PEER:
        return 5;
    case PM_E_PROGRESS:
        return 6;
    case PM_E_INTERRUPTED:
        return 128 + (cli_interrupted() != 0 ? cli_interrupted() : SIGINT);
    default:
        return 1;
    }
}

int cli_complain(int code, const char *text)
{
    fprintf(stderr, "pmlab: %s\n", text[0] != '\0' ? text : pm_strerror(code));
    return cli_exit_code(code);
}

struct watch {
    struct results_recorder *recorder;
    const struct cli_sink *sink;
    double started_s;
};

static void on_record(void *arg, const struct pm_record *record)
{
    struct watch *watch = arg;
    results_record(watch->recorder, record);
    if (record->kind != PM_RECORD_PROGRESS || record->u.progress.total == 0)
        return;
    double spent = now_s() - watch->started_s;
    double done = (double)record->u.progress.done;
    watch->sink->show(watch->sink->arg, done / (double)record->u.progress.total,
                      spent > 0 ? done / spent : 0);
}

static int end_run(struct watch *watch, int code, double wall_s, struct pm_error *err)
{
    enum results_status status = code == PM_OK              ? RESULTS_FINISHED
                                 : code == PM_E_INTERRUPTED ? RESULTS_INTERRUPTED
                                                            : RESULTS_FAILED;
    char reason[PM_ERROR_TEXT_SIZE];
    if (code == PM_E_INTERRUPTED && cli_interrupted() != 0)
        snprintf(reason, sizeof reason, "interrupted by SIG%s", sigabbrev_np(cli_interrupted()));
    else
        snprintf(reason, sizeof reason, "%s", err->text[0] != '\0' ? err->text : pm_strerror(code));
    struct pm_error write_error = {0};
    int written =
        results_finish(watch->recorder, status, code == PM_OK ? NULL : reason, wall_s, &write_error);
    if (code == PM_OK && written != PM_OK)
        *err = write_error;
    else if (code != PM_OK)
        pm_error_set(err, code, "%s", reason);
    return code != PM_OK ? code : written;
}

int cli_execute_into(const struct cli_experiment *e, const struct cli_sink *sink, struct cli_outcome *outcome)
{
    struct pm_error err = {0};
    struct results_run row = cli_experiment_row(e);
    struct watch watch = {.sink = sink};
    *outcome = (struct cli_outcome){0};
    int code = results_begin(cli_text(e->args, "db"), &row, &watch.recorder, &err);
    if (code == PM_OK) {
        outcome->run_id = results_run_id(watch.recorder);
        struct pm_job job = e->job;
        job.report = on_record;
        job.report_arg = &watch;
        job.interrupted = cli_interrupted;
        watch.started_s = now_s();
        code = e->backend->run(&job, &e->backend_values, &err);
        code = end_run(&watch, code, now_s() - watch.started_s, &err);
    }
    outcome->code = code;
    snprintf(outcome->text, sizeof outcome->text, "%s", err.text);
    return code;
}
