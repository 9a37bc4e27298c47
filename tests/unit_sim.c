/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated backend's own promises: what time things take, in which order they come, and that a run
 * repeats. */
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/internal.h"
#include "core/pm.h"
#include "core/rng.h"
#include "tests/repeat.h"
#include "tests/simtest.h"

extern const struct pm_policy pm_policy_kv;

enum { MANY = 512, LENGTH_MAX = 64 };

/* The first n keys that node `owner` owns. */
static void keys_of(const struct pm_worker *w, pm_node_id owner, pm_key *keys, size_t n)
{
    pm_key key = 0;
    for (size_t i = 0; i < n; key++)
        if (pm_home(w->ctx.node, key) == owner)
            keys[i++] = key;
}

static bool is_first(const struct pm_worker *w)
{
    return pm_worker_rank(w) == 0;
}

/* ---- closed forms ---- */

static int one_pull(struct pm_worker *w, void *arg)
{
    size_t n = *(const size_t *)arg;
    static float out[MANY * LENGTH_MAX];
    pm_key keys[MANY];
    if (!is_first(w))
        return PM_OK;
    keys_of(w, 1, keys, n);
    int64_t before = pm_now_ns(&w->ctx);
    int rc = pm_wait(w, pm_pull(w, keys, n, out));
    simtest_tell(w, 1, pm_now_ns(&w->ctx) - before);
    return rc;
}

struct link {
    const char *bandwidth, *latency;
    double bytes_per_ns, latency_ns;
};
static const struct link links[] = {
    {"10Gbps", "20us", 1.25, 20000}, {"100Gbps", "1us", 12.5, 1000}, {"1Mbps", "0ns", 0.000125, 0}};

static double pull_bytes(size_t n, uint32_t length)
{
    return PM_WIRE_BYTES + 8.0 * (double)n + PM_WIRE_BYTES + 4.0 * (double)n * length;
}

static void pull_takes_its_closed_form(void **state)
{
    static const char *const networks[] = {"flow", "queue"};
    static const size_t counts[] = {1, 10, MANY};
    (void)state;
    for (size_t i = 0; i < 2 * 3 * 3; i++) {
        const struct link *link = &links[i / 2 % 3];
        size_t n = counts[i / 6];
        uint32_t length = i % 2 ? LENGTH_MAX : 4;
        struct simtest s;
        simtest_init(&s, 4 * MANY, length, one_pull, "cost", "none", "network", networks[i % 2], "bandwidth",
                     link->bandwidth, "latency", link->latency, NULL);
        s.t.job.main_arg = &n;
        int rc = simtest_run(&s);
        if (rc != PM_OK)
            fail_msg("%s", s.err.text);
        double expected = 2 * link->latency_ns + pull_bytes(n, length) / link->bytes_per_ns;
        if (fabs((double)simtest_told(&s, 1) - expected) > 2)
            fail_msg("%s, %s, %s: a pull of %zu keys takes %lld ns, not %.2f", networks[i % 2],
                     link->bandwidth, link->latency, n, (long long)simtest_told(&s, 1), expected);
        simtest_free(&s);
    }
}

static const char *file_with(const char *name, const char *text)
{
    static char path[1024];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "/tmp", name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* The worker sends; the owner receives, serves and sends; the origin's communicator receives, and wakes the
 * worker. */
static void charges_add_to_a_pull(void **state)
{
    (void)state;
    struct simtest s;
    size_t n = 1;
    const char *cost =
        file_with("cost.txt", "# a cost model\nlocal 0 0 0\nsend 1000 0 0\nreceive 200 0 0\n\n"
                              "serve 30 5 0 # once at each side\nintent 0 0 0\nscan 0 0 0\nwake 7 0 0\n");
    simtest_init(&s, 64, 4, one_pull, "cost", cost, NULL);
    s.t.job.main_arg = &n;
    assert_int_equal(simtest_run(&s), PM_OK);
    int64_t network = llround(40000 + pull_bytes(1, 4) / 1.25), extra = simtest_told(&s, 1) - network;
    simtest_free(&s);
    /* One or two servings: storing the answer at the origin may be charged, too. */
    int64_t sure = 2 * 1000 + 2 * 200 + 7 + 35;
    if (llabs(extra - sure) > 2 && llabs(extra - sure - 35) > 2)
        fail_msg("the charges of a pull are %lld ns", (long long)extra);
}

/* ---- computation ---- */

static int compute_much(struct pm_worker *w, void *arg)
{
    const struct pm_backend_ops *ops = w->ctx.node->config.ops;
    (void)arg;
    int64_t before = pm_now_ns(&w->ctx);
    ops->compute(w->ctx.node->config.ops_self, w, 3e6);
    int64_t took = pm_now_ns(&w->ctx) - before;
    w->compute_ns += took;
    if (is_first(w))
        simtest_tell(w, 1, took);
    return PM_OK;
}

static void computation_takes_flops_over_speed(void **state)
{
    (void)state;
    static const struct {
        const char *cores;
        int64_t ns; /* of three workers that compute at once */
    } rows[] = {{"4", 1500000}, {"3", 1500000}, {"1", 4500000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct simtest s;
        simtest_init(&s, 64, 4, compute_much, "speed", "2Gf", "cores", rows[i].cores, NULL);
        s.t.job.nodes = 1;
        s.t.job.workers = 3;
        if (simtest_run(&s) != PM_OK)
            fail_msg("%s", s.err.text);
        assert_in_range(simtest_told(&s, 1), rows[i].ns - 2, rows[i].ns + 2);
        simtest_free(&s);
    }
}

/* Every first worker of a node tells how long 1 Mflop took. */
static int compute_everywhere(struct pm_worker *w, void *arg)
{
    const struct pm_node_config *c = &w->ctx.node->config;
    (void)arg;
    int64_t before = pm_now_ns(&w->ctx);
    c->ops->compute(c->ops_self, w, 1e6);
    int64_t took = pm_now_ns(&w->ctx) - before;
    w->compute_ns += took;
    if (w->index == 0)
        simtest_tell(w, 1 + c->id, took);
    return PM_OK;
}

static void check_speeds(struct simtest *s, const double *gigaflops)
{
    s->t.job.nodes = 3;
    if (simtest_run(s) != PM_OK)
        fail_msg("%s", s->err.text);
    for (uint32_t i = 0; i < 3; i++) {
        int64_t expected = llround(1e6 / gigaflops[i]), found = simtest_told(s, 1 + i);
        if (llabs(found - expected) > 2)
            fail_msg("node %u took %lld ns, expected %lld", i, (long long)found, (long long)expected);
    }
    simtest_free(s);
}

#define HOST(id, speed, cores) "<host id=\"" id "\" speed=\"" speed "\" core=\"" cores "\"/>"
#define THREE_HOSTS(cores)                                                                                     \
    "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"                  \
    "<platform version=\"4.1\"><zone id=\"z\" routing=\"Full\">\n" HOST("a", "1Gf", cores)                    \
    HOST("b", "250Mf", cores) HOST("c", "4Gf", cores) "<link id=\"l\" bandwidth=\"1GBps\" latency=\"5us\"/>\n"  \
    "<route src=\"a\" dst=\"b\"><link_ctn id=\"l\"/></route><route src=\"a\" dst=\"c\"><link_ctn id=\"l\"/>\n"    \
    "</route><route src=\"b\" dst=\"c\"><link_ctn id=\"l\"/></route></zone></platform>\n"

/* From the platform or from the list; one core for worker and communicator makes it an execution instead of a sleep. */
static void nodes_have_their_own_speeds(void **state)
{
    static const double of_file[] = {1, 0.25, 4}, of_list[] = {0.5, 2, 1};
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        struct simtest s;
        simtest_init(&s, 64, 4, compute_everywhere, "platform",
                     file_with("speeds.xml", shared ? THREE_HOSTS("1") : THREE_HOSTS("3")), NULL);
        s.t.job.workers = 1;
        check_speeds(&s, of_file);
        simtest_init(&s, 64, 4, compute_everywhere, "speeds", "500Mf,2Gf", "cores", shared ? "1" : "3", NULL);
        s.t.job.workers = 1;
        check_speeds(&s, of_list);
    }
}

enum { SLOW_STEPS = 4000, SLOW_RANKS = 4 };

/* Each worker tells how many of its steps were slow and their mean factor in thousandths. */
static int compute_slowly(struct pm_worker *w, void *arg)
{
    const struct pm_node_config *c = &w->ctx.node->config;
    int64_t slow = 0, excess = 0;
    (void)arg;
    for (int i = 0; i < SLOW_STEPS; i++) {
        int64_t before = pm_now_ns(&w->ctx);
        c->ops->compute(c->ops_self, w, 1e6);
        int64_t took = pm_now_ns(&w->ctx) - before;
        w->compute_ns += took;
        slow += took > 1000001;
        excess += took - 1000000;
    }
    simtest_tell(w, 2 * w->rank, slow);
    simtest_tell(w, 2 * w->rank + 1, slow > 0 ? 1000 + excess / 1000 / slow : 0);
    return PM_OK;
}

static void run_slowly(struct simtest *s, const char *share, uint64_t seed)
{
    simtest_init(s, 64, 4, compute_slowly, "slow-share", share, "slow-factor", "5", NULL);
    s->t.job.nodes = s->t.job.workers = 2;
    s->t.job.seed = seed;
    if (simtest_run(s) != PM_OK)
        fail_msg("%s", s->err.text);
}

/* A tenth of the steps, five times as long: within five standard deviations (19 steps; 4 / sqrt(400) = 0.2). */
static void slow_steps_are_drawn_by_each_worker(void **state)
{
    static struct simtest s, again, other;
    (void)state;
    run_slowly(&s, "0.1", 1);
    run_slowly(&again, "0.1", 1);
    run_slowly(&other, "0.1", 2);
    uint32_t equal = 0, kept = 0;
    for (uint32_t r = 0; r < SLOW_RANKS; r++) {
        int64_t slow = simtest_told(&s, 2 * r), factor = simtest_told(&s, 2 * r + 1);
        assert_in_range(slow, SLOW_STEPS / 10 - 95, SLOW_STEPS / 10 + 95);
        assert_in_range(factor, 4000, 6000);
        assert_int_equal(simtest_told(&again, 2 * r), slow);
        assert_int_equal(simtest_told(&again, 2 * r + 1), factor);
        equal += r > 0 && simtest_told(&s, 1) == factor;
        kept += simtest_told(&other, 2 * r + 1) == factor;
    }
    assert_int_equal(equal, 0); /* workers draw differently ... */
    assert_int_equal(kept, 0);  /* ... and so do seeds */
    simtest_free(&s);
    simtest_free(&again);
    simtest_free(&other);
    run_slowly(&s, "0", 1);
    for (uint32_t r = 0; r < SLOW_RANKS; r++)
        assert_int_equal(simtest_told(&s, 2 * r), 0);
    simtest_free(&s);
    run_slowly(&s, "1", 1);
    for (uint32_t r = 0; r < SLOW_RANKS; r++)
        assert_in_range(simtest_told(&s, 2 * r), SLOW_STEPS - 10, SLOW_STEPS);
    simtest_free(&s);
}

/* ---- order ---- */

/* A long message of pushes and, right behind it, a short one that pulls one of its keys. */
static int push_then_pull(struct pm_worker *w, void *arg)
{
    static float updates[MANY * LENGTH_MAX];
    pm_key keys[MANY];
    float before[LENGTH_MAX], after[LENGTH_MAX];
    (void)arg;
    if (is_first(w)) {
        keys_of(w, 1, keys, MANY);
        for (size_t i = 0; i < MANY * LENGTH_MAX; i++)
            updates[i] = 1;
        int rc = pm_wait(w, pm_pull(w, &keys[MANY - 1], 1, before));
        pm_ticket push = pm_push(w, keys, MANY, updates);
        pm_ticket pull = pm_pull(w, &keys[MANY - 1], 1, after);
        if (rc != PM_OK || push < 0 || pull < 0 || pm_wait(w, pull) != PM_OK || pm_wait(w, push) != PM_OK)
            return PM_E_ARGUMENT;
        simtest_tell(w, 1, (int64_t)after[0] - (int64_t)before[0]);
    }
    return PM_OK;
}

static void messages_of_a_pair_keep_their_order(void **state)
{
    static const char *const networks[] = {"flow", "queue"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct simtest s;
        simtest_init(&s, 4 * MANY, LENGTH_MAX, push_then_pull, "network", networks[i], NULL);
        if (simtest_run(&s) != PM_OK)
            fail_msg("%s", s.err.text);
        assert_int_equal(simtest_told(&s, 1), 1);
        simtest_free(&s);
    }
}

/* ---- repetition ---- */

static int busy(struct pm_worker *w, void *arg)
{
    struct pm_rng rng;
    float values[4 * 8], updates[4 * 8] = {1};
    pm_key keys[8];
    (void)arg;
    pm_rng_init(&rng, "busy", 7, w->ctx.node->config.id, w->index);
    for (int step = 0; step < 200; step++) {
        for (int i = 0; i < 8; i++)
            keys[i] = pm_rng_below(&rng, 1000);
        int rc = pm_wait(w, pm_pull(w, keys, 8, values));
        if (rc == PM_OK)
            rc = (int)(pm_push(w, keys, 8, updates) < 0);
        if (rc == PM_OK)
            rc = pm_advance_clock(w);
        if (rc != PM_OK)
            return PM_E_INTERNAL;
        if (is_first(w) && step % 10 == 0)
            simtest_tell(w, (uint32_t)step, pm_now_ns(&w->ctx));
    }
    return pm_drain(w);
}

enum { AT_ONCE = 40000 };

/* A message per key, all under way at a time. */
static int ask_for_many(struct pm_worker *w, void *arg)
{
    static pm_key keys[AT_ONCE];
    static float values[AT_ONCE];
    (void)arg;
    if (!is_first(w))
        return PM_OK;
    keys_of(w, 1, keys, AT_ONCE);
    return pm_wait(w, pm_pull(w, keys, AT_ONCE, values));
}

/* More messages than a process may have pairs of memory maps (65530 / 2 by default): each has a stack of its own. */
static void many_messages_are_under_way(void **state)
{
    (void)state;
    struct simtest s;
    simtest_init(&s, 2 * AT_ONCE + 10000, 1, ask_for_many, NULL);
    s.t.job.policy = &pm_policy_kv;
    if (simtest_run(&s) != PM_OK)
        fail_msg("%s", s.err.text);
    simtest_free(&s);
}

/* Without what is known to differ: the memory that the process took. */
static void run_busy(struct simtest *s, const char *network, const char *platform)
{
    simtest_init(s, 1000, 4, busy, "network", network, "platform", platform, NULL);
    s->t.job.nodes = 6;
    s->t.job.workers = 3;
    if (simtest_run(s) != PM_OK)
        fail_msg("%s", s->err.text);
    assert_int_equal(s->records[s->n - 1].kind, PM_RECORD_BACKEND);
    assert_true(s->records[s->n - 1].u.backend.events > 1000);
    s->records[s->n - 1].u.backend.peak_rss_bytes = 0;
}

static void run_repeats_bit_for_bit(void **state)
{
    static const char *const networks[] = {"flow", "queue"}, *const platforms[] = {"star", "fattree", "torus",
                                                                                   "dragonfly"};
    (void)state;
    for (int i = 0; i < 8; i++) {
        static struct simtest first, again;
        run_busy(&first, networks[i % 2], platforms[i / 2]);
        mallopt(M_PERTURB, 0xa5);
        void *hole = malloc(123457); /* other addresses */
        run_busy(&again, networks[i % 2], platforms[i / 2]);
        free(hole);
        mallopt(M_PERTURB, 0);
        assert_int_equal(first.n, again.n);
        assert_true(first.n > 20);
        assert_memory_equal(first.records, again.records, first.n * sizeof first.records[0]);
        simtest_free(&first);
        simtest_free(&again);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pull_takes_its_closed_form),
        cmocka_unit_test(charges_add_to_a_pull),
        cmocka_unit_test(computation_takes_flops_over_speed),
        cmocka_unit_test(nodes_have_their_own_speeds),
        cmocka_unit_test(slow_steps_are_drawn_by_each_worker),
        cmocka_unit_test(messages_of_a_pair_keep_their_order),
        cmocka_unit_test(many_messages_are_under_way),
        cmocka_unit_test(run_repeats_bit_for_bit),
    };
    return repeat_main(argc, argv, "the simulated backend", tests, sizeof tests / sizeof *tests);
}
