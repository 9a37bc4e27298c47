/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records are kept in memory and written in one transaction when enough of them or enough time have passed.
 */
#include "results/recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "results/db.h"
#include "results/hash.h"
#include "results/process.h"
#include "results/rows.h"

enum { KEPT_MAX = 2048, FLUSH_S = 2 };

struct results_recorder {
    char *path;
    int64_t run_id;
    bool deterministic;
    struct pm_record *kept;
    size_t n_kept;
    int64_t flushed_s; /* when the last records were written */
    bool has_values_digest;
    uint64_t values_digest;
    uint64_t peak_rss_bytes;
    double events;
    struct pm_error error; /* the first of a record */
};

static int64_t monotonic_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void utc_now(char text[32])
{
    time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void recorder_free(struct results_recorder *r)
{
    free(r->path);
    free(r->kept);
    free(r);
}

/* Runs one function in a transaction of its own. */
static int in_transaction(struct results_recorder *r,
                          int (*write)(struct results_db *, void *, struct pm_error *), void *arg,
                          struct pm_error *err)
{
    struct results_db db;
    int rc = results_open(r->path, RESULTS_WRITE, &db, err);
    if (rc != PM_OK)
        return rc;
    rc = results_exec(&db, "BEGIN IMMEDIATE", err);
    if (rc == PM_OK) {
        rc = write(&db, arg, err);
        if (rc == PM_OK)
            rc = results_exec(&db, "COMMIT", err);
        if (rc != PM_OK)
            sqlite3_exec(db.sqlite, "ROLLBACK", NULL, NULL, NULL);
    }
    results_close(&db);
    return rc;
}

/* A run before it has a recorder's number. */
struct beginning {
    const struct results_run *run;
    int64_t run_id;
};

static int insert_run(struct results_db *db, void *arg, struct pm_error *err)
{
    struct beginning *beginning = arg;
    const struct results_run *run = beginning->run;
    char started[32], host[256], config[17], experiment[17];
    utc_now(started);
    results_host(host, sizeof host);
    results_hash_text(run->config_hash, config);
    results_hash_text(run->experiment_hash, experiment);
    int rc = results_run_statement(
        db, err,
        "INSERT INTO run(status, name, started_at, backend, policy, policy_options, workload, "
        "workload_options, nodes,"
        " workers, values_mode, network, platform, seed, run_number, version, host, pid, process_start, "
        "command_line,"
        " config_hash, experiment_hash)"
        " VALUES('running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "sssssssiisssiissiisss", run->name, started, run->backend, run->policy, run->policy_options,
        run->workload, run->workload_options, (int64_t)run->nodes, (int64_t)run->workers, run->values_mode,
        run->network, run->platform, (int64_t)run->seed, (int64_t)run->run_number, run->version, host,
        (int64_t)getpid(), results_process_start(getpid()), run->command_line, config, experiment);
    int64_t run_id = beginning->run_id = sqlite3_last_insert_rowid(db->sqlite);
    for (uint32_t i = 0; i < run->n_options && rc == PM_OK; i++)
        rc = results_run_statement(db, err, "INSERT INTO option(run_id, name, value, is_default) VALUES(?, ?, ?, ?)", "issi",
                                   run_id, run->options[i].name, run->options[i].value,
                                   (int64_t)run->options[i].is_default);
    return rc;
}

int results_begin(const char *path, const struct results_run *run, struct results_recorder **recorder,
                  struct pm_error *err)
{
    struct results_recorder *r = calloc(1, sizeof *r);
    if (r == NULL || (r->path = strdup(path)) == NULL ||
        (r->kept = calloc(KEPT_MAX, sizeof *r->kept)) == NULL) {
        if (r != NULL)
            recorder_free(r);
        return pm_error_set(err, PM_E_MEMORY, "database %s: out of memory", path);
    }
    r->deterministic = run->deterministic;
    r->flushed_s = monotonic_s();
    struct beginning beginning = {run, 0};
    int rc = in_transaction(r, insert_run, &beginning, err);
    r->run_id = beginning.run_id;
    if (rc != PM_OK)
        recorder_free(r);
    else
        *recorder = r;
    return rc;
}

int64_t results_run_id(const struct results_recorder *recorder)
{
    return recorder->run_id;
}

static int insert_kept(struct results_db *db, void *arg, struct pm_error *err)
{
    const struct results_recorder *r = arg;
    int rc = PM_OK;
    for (size_t i = 0; i < r->n_kept && rc == PM_OK; i++)
        rc = results_insert(db, r->run_id, &r->kept[i], err);
    return rc;
}

/* What cannot be written now is tried again later; it is an error only when there is no more room to keep it.
 */
static void flush(struct results_recorder *r)
{
    struct pm_error error = {0};
    if (in_transaction(r, insert_kept, r, &error) == PM_OK)
        r->n_kept = 0;
    else if (r->n_kept == KEPT_MAX)
        r->error = error;
    r->flushed_s = monotonic_s();
}

void results_record(struct results_recorder *r, const struct pm_record *record)
{
    switch (record->kind) {
    case PM_RECORD_PROGRESS:
        return;
    case PM_RECORD_DIGEST:
        r->has_values_digest = true;
        r->values_digest = record->u.digest.values;
        return;
    case PM_RECORD_BACKEND:
        r->peak_rss_bytes = record->u.backend.peak_rss_bytes;
        r->events = record->u.backend.events;
        return;
    default:
        if (r->error.code != PM_OK)
            return;
        r->kept[r->n_kept++] = *record;
        if (r->n_kept == KEPT_MAX || monotonic_s() - r->flushed_s >= FLUSH_S)
            flush(r);
    }
}

/* How a run ended. */
struct ending {
    struct results_recorder *recorder;
    enum results_status status;
    const char *reason;
    double wall_s;
};

static int write_end(struct results_db *db, void *arg, struct pm_error *err)
{
    static const char *const names[] = {"finished", "failed", "interrupted"};
    const struct ending *end = arg;
    struct results_recorder *r = end->recorder;
    char finished[32], digest[17], values[17];
    int rc = insert_kept(db, r, err);
    bool has_digest = r->deterministic && end->status == RESULTS_FINISHED;
    if (rc == PM_OK && has_digest) {
        uint64_t hash;
        rc = results_hash_rows(db, r->run_id, &hash, err);
        results_hash_text(hash, digest);
    }
    if (rc != PM_OK)
        return rc;
    utc_now(finished);
    results_hash_text(r->values_digest, values);
    return results_run_statement(
        db, err,
        "UPDATE run SET status = ?, reason = ?, finished_at = ?, wall_s = ?, digest = ?, values_digest = ?,"
        " peak_rss_bytes = nullif(?, 0), simulator_events = nullif(?, 0) WHERE run_id = ?",
        "sssdssiii", names[end->status], end->reason, finished, end->wall_s, has_digest ? digest : NULL,
        r->has_values_digest ? values : NULL, (int64_t)r->peak_rss_bytes, (int64_t)r->events, r->run_id);
}

int results_finish(struct results_recorder *r, enum results_status status, const char *reason, double wall_s,
                   struct pm_error *err)
{
    struct pm_error error = r->error;
    struct ending end = {r, status, reason, wall_s};
    if (error.code == PM_OK)
        in_transaction(r, write_end, &end, &error);
    if (error.code != PM_OK) { /* without the rows that were refused, but with why */
        r->n_kept = 0;
        end = (struct ending){r, RESULTS_FAILED, error.text, wall_s};
        in_transaction(r, write_end, &end, NULL);
        pm_error_set(err, error.code, "%s", error.text);
    }
    recorder_free(r);
    return error.code;
}
