/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts that become traces: good ones and bad ones. PM_SEED gives the seed of random texts, ROUNDS how many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/damage.h"
#include "tests/repeat.h"
#include "tests/tracemaker.h"
#include "tests/workload_store.h"
#include "workloads/trace_text.h"

struct imported {
    struct trace_text_found found;
    struct trace_totals totals;
    struct trace_file file;
};

/* Imports and opens the trace; to be closed after success. */
static int import(const char *text, size_t length, const char *columns, uint64_t header, uint32_t batch, struct imported *in,
                  struct pm_error *err)
{
    struct trace_text t = {.header = header, .batch = batch, .unit_ns = 1000};
    struct trace_output output;
    const char *path = store_file(0, "accesses", text, length), *trace = tracemaker_path(0);
    assert_int_equal(trace_text_columns(&t, columns, err), PM_OK);
    assert_int_equal(trace_output_begin(&output, trace, err), PM_OK);
    int rc = trace_text_import(&t, path, &output, &in->found, &in->totals, err);
    if (rc == PM_OK)
        assert_int_equal(trace_open(trace, &in->file, NULL, NULL, err), PM_OK);
    assert_true((access(trace, F_OK) == 0) == (rc == PM_OK));
    unlink(trace);
    return rc;
}

static void good(const char *text, const char *columns, uint64_t header, uint32_t batch, struct imported *in)
{
    struct pm_error err = {0};
    if (import(text, strlen(text), columns, header, batch, in, &err) != PM_OK)
        fail_msg("\"%s\" as %s: %s", text, columns, err.text);
}

/* Keys of a node, in order. */
static uint32_t keys_of(struct imported *in, uint32_t node, pm_key *keys, uint32_t room)
{
    struct trace_cursor c = {0};
    uint32_t n = 0;
    trace_seek(&c, &in->file, node, 0);
    while (trace_next(&c, NULL) == 1) {
        assert_true(tracemaker_same_list(&c.batch.keys, &c.batch.pushed) && c.batch.samples.n == 0);
        for (uint32_t i = 0; i < c.batch.keys.n && n < room; i++)
            keys[n++] = c.batch.keys.keys[i];
    }
    trace_cursor_free(&c);
    return n;
}

/* Each text has accesses 7, 2^64 - 1, 7, 0, which are keys 0, 1, 0, 2. */
static void spellings_of_the_same_accesses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *columns;
        uint64_t header;
    } cases[] = {
        {"7\n18446744073709551615\n7\n0\n", "key", 0},
        {"7\n18446744073709551615\n7\n0", "key", 0},
        {"# c\r\n\r\n  007\r\n0xffffFFFFffffFFFF \r\n\t# d\r\n0x7\r\n0\r\n", "key", 0},
        {"key\nx\n7\n18446744073709551615\n7\n0\n", "key", 2},
        {"a,7\n,18446744073709551615\n b , 7\n-;0\n", "-,key", 0},
        {"7\tx\n18446744073709551615\t\n7 ;y\n0\t\xc3\xa4\n", "key,-", 0},
        {"7 1\n18446744073709551615 1\n7 1\n0 1\n", "key,count", 0},
        {"1.5 9 7\n1.5 9 18446744073709551615\n1.6 9 7\n2 9 0\n", "time,node,key", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct imported in;
        pm_key keys[8];
        good(cases[i].text, cases[i].columns, cases[i].header, 3, &in);
        assert_true(in.found.lines == 4 && in.found.keys == 3 && in.found.nodes == 1 && in.totals.accesses == 4 &&
                    in.totals.batches == 2);
        assert_int_equal(keys_of(&in, 0, keys, 8), 4);
        assert_true(keys[0] == 0 && keys[1] == 1 && keys[2] == 0 && keys[3] == 2);
        assert_true(in.file.layout.n_keys == 3 && in.file.layout.length_uniform == TRACE_TEXT_LENGTH);
        trace_close(&in.file);
    }
}

static void ranges_are_all_their_keys(void **state)
{
    (void)state;
    struct imported in;
    pm_key keys[16];
    good("10,3\n12,2\n18446744073709551614,2\n", "key,count", 0, 100, &in);
    assert_true(in.found.lines == 3 && in.found.keys == 6 && in.totals.accesses == 7 && in.totals.batches == 1);
    assert_int_equal(keys_of(&in, 0, keys, 16), 7);
    static const pm_key expected[] = {0, 1, 2, 2, 3, 4, 5};
    assert_memory_equal(keys, expected, sizeof expected);
    trace_close(&in.file);
}

/* Nodes are in ascending order of their numbers, keys in the order of the file. */
static void nodes_are_sorted(void **state)
{
    (void)state;
    static const char text[] = "9 a1\n3 a2\n9 a2\n18446744073709551615 1\n3 a1\n3 a2\n";
    static const pm_key expected[3][3] = {{1, 0, 1}, {0, 1}, {2}};
    static const uint32_t lengths[3] = {3, 2, 1};
    struct imported in;
    char hex[sizeof text + 16];
    size_t n = 0;
    for (const char *c = text; *c != '\0'; c++) /* a1 stands for 0xa1 */
        n += (size_t)snprintf(hex + n, sizeof hex - n, *c == 'a' ? "0x%c" : "%c", *c);
    good(hex, "node,key", 0, 2, &in);
    assert_true(in.file.nodes == 3 && in.file.workers == 1 && in.found.nodes == 3 && in.totals.batches == 4);
    for (uint32_t node = 0; node < 3; node++) {
        pm_key keys[8];
        assert_int_equal(keys_of(&in, node, keys, 8), lengths[node]);
        assert_memory_equal(keys, expected[node], lengths[node] * sizeof *keys);
    }
    trace_close(&in.file);
}

/* In microseconds: a batch computes until the node's next batch begins, the last one until its own last access. */
static void times_become_computation(void **state)
{
    (void)state;
    struct imported in;
    struct trace_cursor c = {0};
    static const double expected[] = {2500, 7499, 0};
    good("0.5,0,1\n1,1,5\n1.25,0,2\n3.0,0,3\n4,0,4\n10.4999999,0,5\n", "time,node,key", 0, 2, &in);
    trace_seek(&c, &in.file, 0, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(trace_next(&c, NULL), 1);
        assert_true(c.batch.flops == expected[i]);
    }
    assert_int_equal(trace_next(&c, NULL), 0);
    trace_close(&in.file);
    good("1\n2\n", "key", 0, 2, &in);
    trace_seek(&c, &in.file, 0, 0);
    assert_true(trace_next(&c, NULL) == 1 && c.batch.flops == TRACE_FLOPS_UNKNOWN);
    trace_cursor_free(&c);
    trace_close(&in.file);
}

static void bad_lines_are_refused_with_their_number(void **state)
{
    (void)state;
    static const struct {
        const char *text, *columns, *where, *words;
    } cases[] = {
        {"", "key", ":1: ", "the file holds no access"},
        {"# nothing\n\n", "key", ":3: ", "the file holds no access"},
        {"1\nx\n", "key", ":2: ", "'x' is not 'key': key has to be a whole number below 2^64"},
        {"1\n-1\n", "key", ":2: ", "'-1' is not 'key'"},
        {"1.5\n", "key", ":1: ", "'1.5' is not 'key'"},
        {"1e3\n", "key", ":1: ", "'1e3' is not 'key'"},
        {"0x\n", "key", ":1: ", "'0x' is not 'key'"},
        {"0xg\n", "key", ":1: ", "is not 'key'"},
        {"18446744073709551616\n", "key", ":1: ", "is not 'key'"},
        {"0x10000000000000000\n", "key", ":1: ", "is not 'key'"},
        {"99999999999999999999999999\n", "key", ":1: ", "is not 'key'"},
        {"1 2\n", "key", ":1: ", "'1 2' has more fields than 'key' (separated by blanks, or one TAB, comma or semicolon)"},
        {"1,\n", "key", ":1: ", "has more fields"},
        {"1\n", "node,key", ":1: ", "'1' is not 'node key': key has to be"},
        {"1,,2\n", "node,key,-", ":1: ", "key has to be"},
        {",2\n", "node,key", ":1: ", "node has to be a whole number below 2^64"},
        {"1 0\n", "key,count", ":1: ", "count has to be a whole number from 1 to 1048576"},
        {"1 1048577\n", "key,count", ":1: ", "count has to be"},
        {"18446744073709551615 2\n", "key,count", ":1: ", "a range of 2 keys from 18446744073709551615 ends beyond 2^64"},
        {"1 x\n", "key,time", ":1: ", "time has to be a number of time units below 2^63 ns"},
        {"1 9223372036854776\n", "key,time", ":1: ", "time has to be"},
        {"1 99999999999999999999\n", "key,time", ":1: ", "time has to be"},
        {"1 -1\n", "key,time", ":1: ", "time has to be"},
        {"1 .5\n", "key,time", ":1: ", "time has to be"},
        {"1 2\n1 1.5\n", "key,time", ":2: ", "time goes back by 500 ns (allowed: times of a node in ascending order)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct imported in;
        struct pm_error err = {0};
        assert_int_equal(import(cases[i].text, strlen(cases[i].text), cases[i].columns, 0, 10, &in, &err), PM_E_FILE);
        if (strstr(err.text, cases[i].where) == NULL || strstr(err.text, cases[i].words) == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\" or \"%s\"", i, err.text, cases[i].where, cases[i].words);
    }
    struct imported in;
    struct pm_error err = {0};
    static const char zero[] = "1\n2\0\n";
    assert_int_equal(import(zero, sizeof zero - 1, "key", 0, 1, &in, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":2: holds a zero byte or is longer than 65536 bytes: not a text file of accesses"));
}

static void too_many_nodes_are_refused(void **state)
{
    (void)state;
    struct imported in;
    struct pm_error err = {0};
    char *text = malloc(16 * 5000);
    size_t n = 0;
    for (int i = 0; i < 4096; i++)
        n += (size_t)snprintf(text + n, 16, "%d 1\n", 2 * i);
    assert_int_equal(import(text, n, "node,key", 0, 1, &in, &err), PM_OK);
    assert_int_equal(in.file.nodes, 4096);
    trace_close(&in.file);
    n += (size_t)snprintf(text + n, 16, "1 1\n");
    assert_int_equal(import(text, n, "node,key", 0, 1, &in, &err), PM_E_FILE);
    assert_non_null(strstr(err.text, ":4097: more than 4096 different nodes"));
    free(text);
}

static void columns_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "x", "key,", ",key", "key,key", "-", "node", "count,time", "Key", "key node"};
    struct trace_text t;
    struct pm_error err = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(trace_text_columns(&t, bad[i], &err), PM_E_OPTION);
        assert_non_null(strstr(err.text, "columns \""));
    }
    assert_int_equal(trace_text_columns(&t, "-,-,time,key,node,count", &err), PM_OK);
    assert_true(t.n_columns == 6 && t.columns[0] == TRACE_SKIP && t.columns[3] == TRACE_KEY && t.columns[5] == TRACE_COUNT);
}

/* What is read is not put together to a trace here: that takes several files for each. */
static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    static const char *const columns[] = {"key", "key,count", "node,key", "time,key", "time,node,key,count", "-,key"};
    static uint32_t turn;
    struct trace_text t = {.header = turn % 8 / 7, .batch = 1 + turn % 3, .unit_ns = 1000};
    struct trace_text_found found;
    assert_int_equal(trace_text_columns(&t, columns[turn++ % 6], NULL), PM_OK);
    FILE *file = damage_file(bytes, n);
    int rc = trace_text_read_from(&t, file, DAMAGE_PATH, *(const int *)arg, &found, err);
    fclose(file);
    assert_true(rc != PM_OK || (found.lines > 0 && found.keys > 0 && found.nodes > 0));
    return rc;
}

/* Read as accesses, or refused with the line. */
static void damaged_texts_are_read_or_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"7\n8\n7\n", "7,3\n8;2\n7\t4\n", "# accesses\n5 9\n6 0xa\n5 9\n",
                                        "0.5,9\n1.25,10\n", "1 2 3 4\n2 2 4 5\n3 1 4 1\n", "x 5\ny 6\n"};
    struct damage_input good[6];
    for (size_t i = 0; i < 6; i++)
        good[i] = (struct damage_input){texts[i], strlen(texts[i])};
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct damage damage = {"damaged_texts_are_read_or_refused", good, 6, "0123456789 1 2 3 \t\n\n\n\r,;.-x#a",
                                  DAMAGE_PATH ":", read_damaged, &fd};
    damage_run(&damage, 30000);
    close(fd);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings_of_the_same_accesses),
        cmocka_unit_test(ranges_are_all_their_keys),
        cmocka_unit_test(nodes_are_sorted),
        cmocka_unit_test(times_become_computation),
        cmocka_unit_test(bad_lines_are_refused_with_their_number),
        cmocka_unit_test(too_many_nodes_are_refused),
        cmocka_unit_test(columns_are_checked),
        cmocka_unit_test(damaged_texts_are_read_or_refused),
    };
    return repeat_main(argc, argv, "unit_trace_text", tests, sizeof tests / sizeof tests[0]);
}
