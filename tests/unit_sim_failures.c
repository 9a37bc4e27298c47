/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How simulated runs fail: with the right code and one line that names what was wrong, whatever kills the
 * child, and without leaving a process or a file descriptor behind. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/internal.h"
#include "core/pm.h"
#include "tests/damage.h"
#include "tests/repeat.h"
#include "tests/simtest.h"

static int nothing(struct pm_worker *w, void *arg)
{
    (void)w, (void)arg;
    return PM_OK;
}

static unsigned open_files(void)
{
    unsigned n = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n;
}

/* Runs s and checks the code and that the line contains these words; nothing is left behind. */
static void expect(struct simtest *s, int code, const char *words)
{
    unsigned files = open_files();
    int found = simtest_run(s);
    if (found != code || (code != PM_OK && strstr(s->err.text, words) == NULL))
        fail_msg("expected %d '%s', found %d '%s'", code, words, found, s->err.text);
    assert_null(strchr(s->err.text, '\n'));
    assert_int_equal(open_files(), files);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    simtest_free(s);
}

static void expect_option(const char *name, const char *value, int code, const char *words)
{
    struct simtest s;
    simtest_init(&s, 64, 4, nothing, name, value, NULL);
    expect(&s, code, words);
}

static const char *file_with(const char *text)
{
    static char path[1024];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/given.xml", folder != NULL ? folder : "/tmp");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* ---- platform files ---- */

#define HEAD "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
#define TWO_HOSTS(routing)                                                                                   \
    HEAD "<platform version=\"4.1\"><zone id=\"z\" routing=\"" routing                                       \
         "\">\n<host id=\"left\" speed=\"1Gf\" core=\"2\"/><host id=\"right\" speed=\"1Gf\" core=\"2\"/>\n"
#define TAIL "</zone></platform>\n"
#define ROUTE                                                                                                \
    "<link id=\"l\" bandwidth=\"1GBps\" latency=\"5us\"/>\n"                                                 \
    "<route src=\"left\" dst=\"right\"><link_ctn id=\"l\"/></route>\n"

static void platform_files(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *words;
    } rows[] = {
        {TWO_HOSTS("Full") ROUTE TAIL, PM_OK, ""},
        {"", PM_E_FILE, "given.xml': it is empty"},
        {"ratings\n1 2 3\n", PM_E_FILE, "given.xml:1: "},
        {HEAD "<platform version=\"4.1\">\n<zone id=", PM_E_FILE, "given.xml:4: "},
        {HEAD "<html/>\n", PM_E_FILE, "given.xml:3: "},
        {TWO_HOSTS("Full") TAIL, PM_E_FILE, "no route from host 'right' to host 'left'"},
        {TWO_HOSTS("Floyd") TAIL, PM_E_FILE, "no route from host 'right' to host 'left'"},
        {TWO_HOSTS("None") TAIL, PM_E_FILE, "no route from host 'right' to host 'left'"},
        {TWO_HOSTS("Full") "<host id=\"third\" speed=\"much\"/>" TAIL, PM_E_FILE, "given.xml:5: "},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_option("platform", file_with(rows[i].text), rows[i].code, rows[i].words);
}

static int read_damaged(void *arg, uint8_t *bytes, size_t n, struct pm_error *err)
{
    (void)arg;
    struct simtest s;
    const char *path = file_with("");
    damage_write(path, bytes, n);
    simtest_init(&s, 64, 4, nothing, "platform", path, NULL);
    int rc = simtest_run(&s);
    *err = s.err;
    simtest_free(&s);
    return rc == PM_E_OPTION ? PM_OK : rc; /* too few hosts are no matter of the file */
}

/* SimGrid's reader, in a process for each: used, or refused in a line. */
static void damaged_platforms_are_used_or_refused(void **state)
{
    (void)state;
    static const char text[] = TWO_HOSTS("Full") ROUTE TAIL;
    static const struct damage_input good = {text, sizeof text - 1};
    static const struct damage damage = {"damaged_platforms_are_used_or_refused", &good, 1, "0123456789\"\"<>/= \nsf", NULL,
                                         read_damaged, NULL};
    damage_run(&damage, 20);
}

static void platforms_that_are_no_files(void **state)
{
    (void)state;
    expect_option("platform", "no/such.xml", PM_E_FILE, "'no/such.xml': No such file");
    expect_option("platform", "/", PM_E_FILE, "not a regular file");
    expect_option("platform", "fatree", PM_E_OPTION, "did you mean 'fattree'?");
    struct simtest s;
    simtest_init(&s, 64, 4, nothing, "platform", file_with(TWO_HOSTS("Full") ROUTE TAIL), NULL);
    s.t.job.nodes = 3;
    expect(&s, PM_E_OPTION, "option nodes: 3 nodes do not fit");
    simtest_init(&s, 64, 4, nothing, "platform", file_with(TWO_HOSTS("Full") ROUTE TAIL), "latency", "1us",
                 NULL);
    expect(&s, PM_E_OPTION, "option latency: the platform file");
}

/* ---- settings and cost models ---- */

static void settings_of_simgrid(void **state)
{
    (void)state;
    expect_option("sim-cfg", "network/model:LV08  network/crosstraffic:1", PM_OK, "");
    expect_option("sim-cfg", "network/model:wrong", PM_E_OPTION, "Model 'wrong' is invalid");
    expect_option("sim-cfg", "no/such:1", PM_E_OPTION, "--sim-cfg 'no/such:1'");
    expect_option("sim-cfg", "network/TCP-gamma:much", PM_E_OPTION, "--sim-cfg 'network/TCP-gamma:much'");
    expect_option("sim-cfg", "help", PM_E_OPTION, "NAME:VALUE");
    expect_option("sim-cfg", "contexts/nthreads:4", PM_E_OPTION, "one thread");
}

static void speeds_and_slow_steps(void **state)
{
    (void)state;
    expect_option("speeds", "1Gf,fast", PM_E_OPTION, "option \"speeds\": \"fast\"");
    expect_option("speeds", "1Gf,,1Gf", PM_E_OPTION, "option \"speeds\": \"\"");
    expect_option("speeds", "1Gf,2Gf,3Gf", PM_E_OPTION, "3 speeds for 2 nodes");
    expect_option("speeds", "1Gf,2Gf", PM_OK, "");
    struct simtest s;
    simtest_init(&s, 64, 4, nothing, "speeds", "1Gf,2Gf,3Gf", NULL);
    s.t.job.nodes = 1; /* the baseline of a comparison */
    expect(&s, PM_OK, "");
    simtest_init(&s, 64, 4, nothing, "platform", file_with(TWO_HOSTS("Full") ROUTE TAIL), "speeds", "1Gf", NULL);
    expect(&s, PM_E_OPTION, "option speeds: the platform file");
}

#define COST_REST "send 1 1 1\nreceive 1 1 1\nserve 1 1 1\nintent 1 1 1\nscan 1 1 1\nwake 1 1 1\n"

static void cost_models(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *words;
    } rows[] = {
        {"local 1 2.5 3e-1 # fine\n" COST_REST, PM_OK, ""},
        {"", PM_E_FILE, "the file ends and has no line `local`"},
        {COST_REST, PM_E_FILE, "the file ends and has no line `local`"},
        {"# one\nlokal 1 2 3\n", PM_E_FILE, "given.xml:2: unknown kind"},
        {"local 1 2\n", PM_E_FILE, "given.xml:1: three numbers"},
        {"local 1 2 3 4\n", PM_E_FILE, "given.xml:1: more than three"},
        {"local 1 2 3\nlocal 1 2 3\n", PM_E_FILE, "given.xml:2: this kind has been given"},
        {"local 1 -2 3\n", PM_E_FILE, "given.xml:1: not a number"},
        {"local 1 nan 3\n", PM_E_FILE, "given.xml:1: not a number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_option("cost", file_with(rows[i].text), rows[i].code, rows[i].words);
    expect_option("cost", "none", PM_OK, "");
    expect_option("cost", "no/such", PM_E_FILE, "cost model 'no/such': No such file");
    expect_option("memory", "64B", PM_E_LIMIT, "--memory 64B");
}

/* ---- in mid-run ---- */

static int assertion_fails(struct pm_worker *w, void *arg)
{
    (void)arg;
    simtest_tell(w, 1, 5);
    PM_ASSERT(w == NULL, "planted");
    return PM_OK;
}

static int crashes(struct pm_worker *w, void *arg)
{
    (void)w, (void)arg;
    raise(SIGKILL);
    return PM_OK;
}

static int fails(struct pm_worker *w, void *arg)
{
    (void)arg;
    if (pm_worker_rank(w) == 1)
        fprintf(stderr, "what the worker wrote\n");
    return pm_worker_rank(w) == 1 ? PM_E_KEY : PM_OK;
}

static int waits_for_ever(struct pm_worker *w, void *arg)
{
    (void)arg;
    return pm_worker_rank(w) == 0 ? pm_barrier(w) : PM_OK;
}

static int works_for_ever(struct pm_worker *w, void *arg)
{
    (void)arg;
    for (int64_t before = 0; before < PM_TIME_NEVER;) {
        before = pm_now_ns(&w->ctx);
        w->ctx.node->config.ops->compute(w->ctx.node->config.ops_self, w, 1e6);
        w->compute_ns += pm_now_ns(&w->ctx) - before;
    }
    return PM_OK;
}

static void deaths(void **state)
{
    (void)state;
    struct simtest s;
    simtest_init(&s, 64, 4, assertion_fails, NULL);
    assert_int_equal(simtest_run(&s), PM_E_INTERNAL);
    assert_int_equal(simtest_told(&s, 1), 5); /* what was reported before stays */
    expect(&s, PM_E_INTERNAL, "assertion failed: w == NULL; planted");
    simtest_init(&s, 64, 4, crashes, NULL);
    expect(&s, PM_E_INTERNAL, "signal 9");
    simtest_init(&s, 64, 4, fails, NULL);
    expect(&s, PM_E_KEY, "worker 0 of node 1: key out of range: what the worker wrote");
}

static int64_t tick_every_100_ms(struct pm_ctx *ctx, void *state, int64_t now_ns)
{
    (void)ctx, (void)state;
    return now_ns + 100000000;
}

static void no_progress(void **state)
{
    (void)state;
    struct simtest s;
    simtest_init(&s, 64, 4, waits_for_ever, NULL);
    expect(&s, PM_E_PROGRESS, "nothing can happen any more; node 0 worker 0");
    /* Periodic work must not hide it. */
    struct pm_policy restless = simtest_policy;
    restless.round = tick_every_100_ms;
    simtest_init(&s, 64, 4, waits_for_ever, NULL);
    s.t.job.policy = &restless;
    expect(&s, PM_E_PROGRESS, "but periodic work: node 0 worker 0");
}

static int polls;
static int interrupt_soon(void)
{
    return ++polls > 3 ? 15 : 0;
}

static void interruption(void **state)
{
    (void)state;
    struct simtest s;
    simtest_init(&s, 64, 4, works_for_ever, NULL);
    s.t.job.interrupted = interrupt_soon;
    expect(&s, PM_E_INTERRUPTED, "signal 15");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(platform_files),
        cmocka_unit_test(platforms_that_are_no_files),
        cmocka_unit_test(damaged_platforms_are_used_or_refused),
        cmocka_unit_test(settings_of_simgrid),
        cmocka_unit_test(speeds_and_slow_steps),
        cmocka_unit_test(cost_models),
        cmocka_unit_test(deaths),
        cmocka_unit_test(no_progress),
        cmocka_unit_test(interruption),
    };
    return repeat_main(argc, argv, "failures of the simulated backend", tests, sizeof tests / sizeof *tests);
}
