/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The store of results, fed with made-up records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "results/hash.h"
#include "results/query.h"
#include "results/recorder.h"
#include "tests/damage.h"
#include "tests/repeat.h"

static char folder[256], path[300];

static int make_folder(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/results.XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/x.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char file[320];
    const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        unlink(file);
    }
    return rmdir(folder);
}

static struct results_run some_run(const char *policy, uint32_t nodes)
{
    static const struct results_option options[] = {{"seed", "1", true}, {"epochs", "2", false}};
    return (struct results_run){.backend = "sim",
                                .policy = policy,
                                .policy_options = "",
                                .workload = "w",
                                .workload_options = "a=1",
                                .nodes = nodes,
                                .workers = 2,
                                .values_mode = "full",
                                .network = "flow",
                                .platform = "star",
                                .seed = 1,
                                .run_number = 1,
                                .version = "0",
                                .command_line = "pmlab \xff run",
                                .config_hash = 0xabc + nodes,
                                .experiment_hash = 0xdef,
                                .deterministic = true,
                                .options = options,
                                .n_options = 2};
}

static struct results_recorder *begin(const char *policy, uint32_t nodes)
{
    struct pm_error err = {0};
    struct results_recorder *recorder;
    struct results_run run = some_run(policy, nodes);
    assert_int_equal(results_begin(path, &run, &recorder, &err), PM_OK);
    return recorder;
}

static void record_epoch(struct results_recorder *r, uint32_t epoch, int64_t epoch_ns, double quality)
{
    struct pm_record record = {.kind = PM_RECORD_EPOCH, .epoch = epoch};
    record.u.epoch.epoch_ns = epoch_ns;
    record.u.epoch.share = 1;
    record.u.epoch.drain_ns = 1;
    record.u.epoch.elapsed_ns = (epoch + 1) * epoch_ns;
    record.u.epoch.steps = 10;
    record.u.epoch.loss = 0.5;
    record.u.epoch.has_quality = true;
    snprintf(record.u.epoch.metric, sizeof record.u.epoch.metric, "rmse");
    record.u.epoch.quality = quality;
    results_record(r, &record);
    record = (struct pm_record){.kind = PM_RECORD_QUALITY, .epoch = epoch};
    record.u.quality.at_ns = (epoch + 1) * epoch_ns;
    snprintf(record.u.quality.metric, sizeof record.u.quality.metric, "rmse");
    record.u.quality.value = quality;
    results_record(r, &record);
}

static void record_node(struct results_recorder *r, uint32_t epoch, uint32_t node)
{
    struct pm_record record = {.kind = PM_RECORD_NODE, .epoch = epoch};
    record.u.node.node = node;
    struct pm_counters *c = &record.u.node.counters;
    c->reads[PM_HOW_LOCAL] = 1;
    c->reads[PM_HOW_REPLICA] = 2;
    c->reads[PM_HOW_REMOTE] = 3;
    c->reads[PM_HOW_QUEUED] = 4;
    c->writes[PM_HOW_LOCAL] = 10;
    c->bytes_sent = 100;
    c->rounds = 7;
    c->compute_ns = 1500000000;
    c->kind_count[PM_MSG_ACCESS] = 5;
    c->kind_bytes[PM_MSG_ACCESS] = 60;
    c->kind_count[PM_MSG_REPLY] = 2;
    c->kind_bytes[PM_MSG_REPLY] = 40;
    c->filters[PM_FILTER_KEYS][0] = (struct pm_filter_counts){.messages = 3, .bytes_before = 90, .bytes_after = 60};
    c->filters[PM_FILTER_COMPRESS][1] = (struct pm_filter_counts){.messages = 2, .bytes_before = 50, .bytes_after = 40};
    record.u.node.memory_bytes = 4096;
    results_record(r, &record);
    record = (struct pm_record){.kind = PM_RECORD_WORKER, .epoch = epoch};
    record.u.worker.node = node;
    record.u.worker.worker = 3;
    record.u.worker.compute_ns = 1500000000;
    record.u.worker.wait_ns = 250000000;
    record.u.worker.overhead_ns = 125000000;
    results_record(r, &record);
}

static void record_rest(struct results_recorder *r)
{
    struct pm_record record = {.kind = PM_RECORD_LATENCY};
    record.u.latency.quantity = PM_Q_PULL;
    pm_histogram_record_n(&record.u.latency.histogram, 1000, 3);
    pm_histogram_record(&record.u.latency.histogram, 5);
    results_record(r, &record);
    record = (struct pm_record){.kind = PM_RECORD_DIGEST};
    record.u.digest.values = 0x1234;
    results_record(r, &record);
    record = (struct pm_record){.kind = PM_RECORD_BACKEND};
    record.u.backend.peak_rss_bytes = 777;
    results_record(r, &record);
}

/* A whole run of two epochs on two nodes (one under `single`); its number. */
static int64_t whole_run(const char *policy, uint32_t nodes, int64_t epoch_ns)
{
    struct results_recorder *r = begin(policy, nodes);
    int64_t id = results_run_id(r);
    for (uint32_t epoch = 0; epoch < 2; epoch++) {
        for (uint32_t node = 0; node < nodes; node++)
            record_node(r, epoch, node);
        record_epoch(r, epoch, epoch_ns, epoch == 0 ? 1.0 : 0.5);
    }
    record_rest(r);
    struct pm_error err = {0};
    assert_int_equal(results_finish(r, RESULTS_FINISHED, NULL, 1.5, &err), PM_OK);
    return id;
}

/* The only cell of a query; "" for NULL. */
static const char *ask(const char *sql)
{
    static char answer[512];
    struct pm_error err = {0};
    struct results_db db;
    struct results_table t;
    assert_int_equal(results_open(path, RESULTS_READ, &db, &err), PM_OK);
    int rc = results_select(&db, &t, &err, sql, "");
    if (rc != PM_OK)
        fail_msg("%s: %s", sql, err.text);
    assert_int_equal(t.rows, 1);
    assert_int_equal(t.columns, 1);
    const char *cell = results_cell(&t, 0, 0);
    snprintf(answer, sizeof answer, "%s", cell != NULL ? cell : "");
    results_table_free(&t);
    results_close(&db);
    return answer;
}

static void rows_of_a_run(void **state)
{
    (void)state;
    assert_int_equal(whole_run("kv", 2, 2000000000), 1);
    assert_string_equal(
        ask("SELECT status || ' ' || wall_s || ' ' || values_digest || ' ' || peak_rss_bytes FROM run"),
        "finished 1.5 0000000000001234 777");
    assert_string_equal(ask("SELECT command_line FROM run"), "pmlab ? run");
    assert_string_equal(ask("SELECT group_concat(name || value || is_default) FROM option"),
                        "epochs20,seed11");
    assert_string_equal(ask("SELECT group_concat(epoch_s || ' ' || elapsed_s || ' ' || quality) FROM epoch"),
                        "2.0 2.0 1.0,2.0 4.0 0.5");
    assert_string_equal(
        ask("SELECT worker || ' ' || compute_s || ' ' || wait_s || ' ' || overhead_s FROM worker_epoch"
            " WHERE node = 1 AND epoch = 1"),
        "3 1.5 0.25 0.125");
    assert_string_equal(
        ask("SELECT local_reads || replica_reads || remote_reads || queued_reads || local_writes"
            " || bytes_sent || rounds || compute_s || memory_bytes FROM node_epoch"
            " WHERE node = 1 AND epoch = 1"),
        "12341010071.54096");
    assert_string_equal(
        ask("SELECT group_concat(kind || count || bytes) FROM message WHERE node = 0 AND epoch = 0"),
        "access560,reply240");
    assert_string_equal(ask("SELECT group_concat(filter || filtered_kind || filtered_messages || ' ' || bytes_before || ' ' ||"
                            " bytes_after) FROM filter WHERE node = 1 AND epoch = 1"),
                        "compressreply2 50 40,keysaccess3 90 60");
    assert_string_equal(
        ask("SELECT sum(occurrences) || ' ' || min(lower_bound) || ' ' || max(unit) FROM latency"),
        "4 5.0e-09 s");
    assert_string_equal(ask("SELECT group_concat(at_s || metric || value) FROM quality"),
                        "2.0rmse1.0,4.0rmse0.5");
    assert_string_equal(ask("SELECT count(*) FROM pragma_foreign_key_check"), "0");
}

static void digest_is_of_the_rows(void **state)
{
    (void)state;
    whole_run("kv", 2, 2000000000);
    whole_run("classic", 2, 2000000000);
    whole_run("classic", 2, 2000000001);
    assert_string_equal(ask("SELECT group_concat(digest = (SELECT digest FROM run WHERE run_id = 1)) FROM"
                            " (SELECT digest FROM run ORDER BY run_id)"),
                        "1,1,0");
    struct results_recorder *r = begin("kv", 2);
    assert_int_equal(results_finish(r, RESULTS_FAILED, "why", 0, NULL), PM_OK);
    assert_string_equal(ask("SELECT ifnull(digest, 'none') || reason FROM run WHERE run_id = 4"), "nonewhy");
}

static void views(void **state)
{
    (void)state;
    whole_run("single", 1, 4000000000);
    whole_run("kv", 2, 1000000000);
    assert_string_equal(ask("SELECT speedup FROM v_speedup WHERE policy = 'kv'"), "4.0");
    assert_string_equal(ask("SELECT speedup FROM v_speedup WHERE policy = 'single'"), "1.0");
    assert_string_equal(
        ask("SELECT local_read_share || ' ' || local_write_share || ' ' || local_share FROM v_locality"
            " WHERE policy = 'kv' AND epoch = 0"),
        "0.3 1.0 0.65");
    assert_string_equal(ask("SELECT bytes_per_node FROM v_traffic WHERE policy = 'kv' AND epoch = 1"
                            " AND kind = 'access'"),
                        "60.0");
    assert_string_equal(ask("SELECT count(*) || sum(is_primary) FROM v_quality_over_time"), "44");
    /* Goal: the least rmse of `single`, 0.5, over 0.9; reached after the second epoch. */
    assert_string_equal(ask("SELECT round(goal, 3) || ' ' || reached_s || ' ' || effective_speedup FROM"
                            " v_effective_speedup WHERE policy = 'kv'"),
                        "0.556 2.0 4.0");
}

/* One whole epoch of 2 s, and one of 4 s (3 to 6) of which a quarter was run. */
static void extrapolated_epochs(void **state)
{
    (void)state;
    struct results_recorder *r = begin("kv", 2);
    record_epoch(r, 0, 2000000000, 1);
    struct pm_record record = {.kind = PM_RECORD_EPOCH, .epoch = 1};
    record.u.epoch.epoch_ns = 4000000000;
    record.u.epoch.share = 0.25;
    record.u.epoch.ci_low_ns = 3000000000;
    record.u.epoch.ci_high_ns = 6000000000;
    results_record(r, &record);
    assert_int_equal(results_finish(r, RESULTS_FINISHED, NULL, 1, NULL), PM_OK);
    assert_string_equal(ask("SELECT group_concat(share || ifnull(ci_low_s, '-') || ifnull(ci_high_s, '-')) FROM epoch"),
                        "1.0--,0.253.06.0");
    struct pm_error err = {0};
    struct results_db db;
    struct results_table t;
    assert_int_equal(results_open(path, RESULTS_READ, &db, &err), PM_OK);
    assert_int_equal(results_summary(&db, 1, &t, &err), PM_OK);
    const char *const expected[][2] = {{"epoch_s", "3.0"}, {"epochs_run", "1.25"}, {"epoch_low_s", "2.5"},
                                       {"epoch_high_s", "4.0"}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        for (size_t column = 0; column < t.columns; column++)
            if (strcmp(t.names[column], expected[i][0]) == 0)
                assert_string_equal(results_cell(&t, 0, column), expected[i][1]);
    results_table_free(&t);
    assert_int_equal(results_compare(&db, "[1]", &t, &err), PM_OK);
    assert_string_equal(t.names[8], "extrapolated");
    assert_string_equal(results_cell(&t, 0, 8), "1");
    results_table_free(&t);
    results_close(&db);
}

static void many_records_are_written_in_between(void **state)
{
    (void)state;
    struct results_recorder *r = begin("kv", 1);
    for (uint32_t epoch = 0; epoch < 2100; epoch++) /* two records each */
        record_node(r, epoch, 0);
    assert_string_equal(ask("SELECT status || (SELECT count(*) BETWEEN 1 AND 2099 FROM node_epoch) FROM run"),
                        "running1");
    assert_int_equal(results_finish(r, RESULTS_INTERRUPTED, "stopped", 0, NULL), PM_OK);
    assert_string_equal(ask("SELECT status || (SELECT count(*) FROM node_epoch) FROM run"),
                        "interrupted2100");
}

static void refused_records_fail_the_run(void **state)
{
    (void)state;
    struct pm_error err = {0};
    struct results_recorder *r = begin("kv", 1);
    record_node(r, 0, 0);
    record_node(r, 0, 0);
    assert_int_equal(results_finish(r, RESULTS_FINISHED, NULL, 0, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "UNIQUE"));
    assert_string_equal(
        ask("SELECT status || (reason LIKE '%UNIQUE%') || (SELECT count(*) FROM node_epoch) FROM run"),
        "failed10");
}

static void process_that_is_gone(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct results_recorder *recorder;
        struct results_run run = some_run("kv", 2);
        _exit(results_begin(path, &run, &recorder, NULL) == PM_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct results_recorder *r = begin("kv", 2); /* marks the other one; its own process is alive */
    char expected[64];
    snprintf(expected, sizeof expected, "interruptedprocess %d is gone", (int)child);
    assert_string_equal(ask("SELECT status || reason FROM run WHERE run_id = 1"), expected);
    assert_string_equal(ask("SELECT status FROM run WHERE run_id = 2"), "running");
    assert_int_equal(results_finish(r, RESULTS_FINISHED, NULL, 0, NULL), PM_OK);
}

static void json_and_comparison(void **state)
{
    (void)state;
    whole_run("single", 1, 4000000000);
    whole_run("kv", 2, 1000000000);
    struct pm_error err = {0};
    struct results_db db;
    struct results_table t;
    char *json;
    assert_int_equal(results_open(path, RESULTS_READ, &db, &err), PM_OK);
    assert_int_equal(results_compare(&db, "[2,1]", &t, &err), PM_OK);
    assert_int_equal(t.rows, 2);
    assert_string_equal(results_cell(&t, 0, 0), "kv");
    assert_string_equal(results_cell(&t, 0, 3), "4.0");
    results_table_free(&t);
    assert_int_equal(results_json_run(&db, 2, &json, &err), PM_OK);
    assert_non_null(strstr(json, "\"speedup\":4.0"));
    assert_non_null(strstr(json, "\"worker_time\":{\"compute_s\":6.0,\"wait_s\":1.0,\"overhead_s\":0.5}"));
    free(json);
    assert_int_equal(results_json_run(&db, 3, &json, &err), PM_E_OPTION);
    assert_int_equal(results_summary(&db, 3, &t, &err), PM_E_OPTION);
    results_close(&db);
}

/* Changes the database behind the store's back. */
static void change(const char *sql)
{
    sqlite3 *sqlite;
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    if (sqlite3_exec(sqlite, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(sqlite));
    sqlite3_close(sqlite);
}

static int open_again(enum results_mode mode, struct pm_error *err)
{
    struct results_db db;
    int rc = results_open(path, mode, &db, err);
    if (rc == PM_OK)
        results_close(&db);
    return rc;
}

#define COUNT_OF(type, name) "SELECT count(*) FROM sqlite_schema WHERE type = '" type "' AND name = '" name "'"

/* Whatever is missing comes back, for readers as for writers; what somebody added stays. */
static void earlier_layouts(void **state)
{
    (void)state;
    const enum results_mode modes[] = {RESULTS_READ, RESULTS_WRITE};
    struct pm_error err = {0};
    whole_run("kv", 2, 2000000000);
    for (int i = 0; i < 2; i++) {
        change("DROP VIEW v_speedup; DROP VIEW v_traffic; CREATE VIEW v_traffic AS SELECT 1 AS old;"
               "DROP VIEW v_effective_speedup; ALTER TABLE epoch DROP COLUMN flops; ALTER TABLE epoch DROP COLUMN share;"
               "ALTER TABLE node_epoch DROP COLUMN deltas_clipped; DROP TABLE worker_epoch; DROP INDEX run_by_config;"
               "DROP TABLE validation; CREATE TABLE validation(simulated_run_id INTEGER PRIMARY KEY) STRICT;"
               "CREATE TABLE IF NOT EXISTS mine(a); INSERT INTO mine VALUES(7);"
               "CREATE VIEW IF NOT EXISTS v_mine AS SELECT a FROM mine; PRAGMA user_version = 1;");
        assert_int_equal(open_again(modes[i], &err), PM_OK);
        assert_string_equal(ask("SELECT group_concat(ifnull(flops, '-') || share || epoch_s) FROM epoch"), "-1.02.0,-1.02.0");
        assert_string_equal(ask("SELECT sum(deltas_clipped) || count(*) FROM node_epoch"), "04");
        assert_string_equal(ask("SELECT epoch_s FROM v_speedup"), "2.0");
        assert_string_equal(ask("SELECT count(*) FROM v_traffic"), "4");
        assert_string_equal(ask("SELECT count(*) FROM worker_epoch"), "0");
        assert_string_equal(ask(COUNT_OF("index", "run_by_config")), "1");
        assert_string_equal(ask("SELECT count(*) FROM pragma_table_info('validation')"), "5");
    }
    assert_string_equal(ask("SELECT sum(a) FROM v_mine"), "14");
    whole_run("classic", 2, 2000000000);
    assert_string_equal(ask("SELECT count(*) FROM node_epoch WHERE run_id = 2"), "4");
    assert_string_equal(ask("SELECT sum(speedup IS NULL) || count(*) FROM v_speedup"), "22");
    assert_string_equal(ask("SELECT count(DISTINCT digest) FROM run"), "1"); /* made by this layout and in that one */
}

/* A layout that cannot be brought up to date, and a file with something else under one of our names: as they were. */
static void layouts_that_are_refused(void **state)
{
    (void)state;
    struct pm_error err = {0};
    whole_run("kv", 2, 2000000000);
    change("ALTER TABLE node_epoch DROP COLUMN deltas_clipped; DROP TABLE validation;"
           "CREATE TABLE validation(simulated_run_id INTEGER PRIMARY KEY) STRICT; INSERT INTO validation VALUES(1);"
           "PRAGMA user_version = 1;");
    for (enum results_mode mode = RESULTS_READ; mode <= RESULTS_WRITE; mode++) {
        assert_int_equal(open_again(mode, &err), PM_E_FILE);
        assert_non_null(strstr(err.text, "table validation has rows of an earlier layout without measured_run_id, left as it is"));
    }
    change("ALTER TABLE node_epoch ADD COLUMN deltas_clipped INTEGER NOT NULL DEFAULT 0;" /* was not added, either */
           "DROP TABLE validation; DROP VIEW v_traffic; CREATE TABLE v_traffic(a);");
    assert_int_equal(open_again(RESULTS_WRITE, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "v_traffic"));
    change("DROP TABLE v_traffic");
    assert_int_equal(open_again(RESULTS_WRITE, &err), PM_OK);
    change("PRAGMA user_version = 99");
    assert_int_equal(open_again(RESULTS_WRITE, &err), PM_E_FILE);
    change("PRAGMA user_version = 1; PRAGMA application_id = 5");
    assert_int_equal(open_again(RESULTS_READ, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, "not made by pmlab, left as it is"));
}

static void queries_without_a_statement(void **state)
{
    (void)state;
    static const char *const queries[] = {"", " \n", "-- nothing\n"};
    struct results_db db;
    struct results_table t;
    struct pm_error err = {0};
    assert_int_equal(results_open(path, RESULTS_WRITE, &db, &err), PM_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(results_select(&db, &t, &err, queries[i], ""), PM_E_FILE);
        assert_non_null(strstr(err.text, "x.db: a query that is empty, or only comments"));
    }
    results_close(&db);
}

static void hashes(void **state)
{
    (void)state;
    const float values[] = {1, 2, 3};
    void *whole = results_values_digest.start(), *parts = results_values_digest.start();
    results_values_digest.feed(whole, values, 3);
    results_values_digest.feed(parts, values, 1);
    results_values_digest.feed(parts, values + 1, 2);
    assert_true(results_values_digest.finish(whole) == results_values_digest.finish(parts));

    struct results_hash *a = results_hash_new(), *b = results_hash_new();
    results_hash_add(a, "ab", "c");
    results_hash_add(b, "a", "bc");
    assert_true(results_hash_finish(a) != results_hash_finish(b));

    struct pm_error err = {0};
    uint64_t hash;
    assert_int_equal(results_hash_file("/nonexistent", &hash, &err), PM_E_FILE);
    assert_string_equal(err.text, "/nonexistent: No such file or directory");
    assert_int_equal(results_hash_file("/", &hash, &err), PM_E_FILE);
    assert_string_equal(err.text, "/: is a folder");
    assert_int_equal(results_hash_file("/dev/null", &hash, &err), PM_E_FILE); /* nor a pipe, which could be read once */
    assert_string_equal(err.text, "/dev/null: not a regular file");
}

/* ---- damage ---- */

/* All that is asked of a database about its runs; only a run that is not there any more is no matter of the file. */
static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    (void)arg;
    struct results_db db;
    struct results_table t;
    char *json = NULL;
    damage_write(path, bytes, n);
    int rc = results_open(path, RESULTS_READ, &db, err);
    if (rc != PM_OK)
        return rc;
    rc = results_list_runs(&db, &t, err);
    if (rc == PM_OK) {
        results_table_free(&t);
        rc = results_summary(&db, 1, &t, err);
    }
    if (rc == PM_OK) {
        results_table_free(&t);
        rc = results_json_run(&db, 1, &json, err);
    }
    free(json);
    results_close(&db);
    return rc == PM_E_OPTION ? PM_OK : rc;
}

/* Read, or refused in a line. */
static void damaged_databases_are_read_or_refused(void **state)
{
    (void)state;
    whole_run("classic", 2, 2000000000);
    change("PRAGMA journal_mode = DELETE");
    FILE *file = fopen(path, "r");
    static uint8_t bytes[1 << 19];
    assert_non_null(file);
    const struct damage_input good = {bytes, fread(bytes, 1, sizeof bytes, file)};
    assert_true(good.n < sizeof bytes && fclose(file) == 0);
    const struct damage damage = {"damaged_databases_are_read_or_refused", &good, 1, "\x01\x05\x0d\x7f\xff(),", NULL,
                                  read_damaged, NULL};
    damage_run(&damage, 100);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(rows_of_a_run),
        TEST(digest_is_of_the_rows),
        TEST(views),
        TEST(extrapolated_epochs),
        TEST(many_records_are_written_in_between),
        TEST(refused_records_fail_the_run),
        TEST(process_that_is_gone),
        TEST(json_and_comparison),
        TEST(earlier_layouts),
        TEST(layouts_that_are_refused),
        TEST(hashes),
        TEST(queries_without_a_statement),
        TEST(damaged_databases_are_read_or_refused),
    };
    return repeat_main(argc, argv, "unit_results", tests, sizeof tests / sizeof tests[0]);
}
