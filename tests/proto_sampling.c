/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Schemes of sampling, on the in-memory network, under policies that move keys: what each scheme draws is tested against
 * the conformity level that it claims, by chi-square tests whose results follow from the seeds; and what it does about keys
 * that are elsewhere. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gsl/gsl_cdf.h>

#include "core/internal.h"
#include "memnet/memnet.h"
#include "tests/repeat.h"
#include "tests/scenario.h"

extern const struct pm_policy pm_policy_lapse, pm_policy_nups;

enum { KEYS = 160, AHEAD_MAX = 8, HINTS_MAX = 4096 };

/* A hint as the policy heard it. */
struct heard {
    pm_clock at, start, end;
    size_t n;
};

/* One run: worker 0 of node 0 draws, the others stand by. */
struct draws {
    struct pm_sampling sampling;
    uint32_t nodes, distribution, per_sample, ahead;
    bool mute;       /* the policy does nothing about hints: keys stay where they are */
    bool weighted;   /* TESTLOAD_UNIFORM is replaced: only keys divisible by 3 can be drawn */
    bool away;       /* likewise: only keys whose homes are other nodes can */
    const char *frequent; /* or NULL: options of nups, which is the policy then */
    const pm_key *brought; /* keys that move here before anything is drawn */
    uint32_t n_brought;
    uint32_t total;  /* samples, whole pulls */
    pm_key *keys;
    bool home[KEYS]; /* owned by node 0 at the start */
    bool everywhere[KEYS]; /* replicated at all nodes */
    double share[KEYS];
    struct pm_counters counters;
    struct heard heard[HINTS_MAX];
    uint32_t n_heard;
};

static struct draws *running;

/* ---- the policy and the model ------------------------------------------------------------------------ */

static const struct pm_policy *base(void)
{
    return running->frequent ? &pm_policy_nups : &pm_policy_lapse;
}

static int init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits, struct pm_error *err)
{
    int code = base()->init(node, state, options, traits, err);
    traits->sampling = running->sampling;
    return code;
}

static void hint(struct pm_ctx *ctx, void *state, struct pm_worker *worker, const pm_key *keys, size_t n, pm_clock start,
                 pm_clock end)
{
    if (start != PM_CLOCK_NOW && running->n_heard < HINTS_MAX)
        running->heard[running->n_heard++] =
            (struct heard){.at = pm_worker_clock(worker), .start = start, .end = end, .n = n};
    if (!running->mute || start == PM_CLOCK_NOW)
        base()->hint(ctx, state, worker, keys, n, start, end);
}

static struct pm_distribution some;

static int open_some(void *state, const struct pm_values *values, const struct pm_task *task, struct pm_model *model,
                       struct pm_error *err)
{
    int code = testload.open(state, values, task, model, err);
    if (code == PM_OK && (running->weighted || running->away))
        model->distributions[TESTLOAD_UNIFORM] = &some;
    return code;
}

/* ---- running ----------------------------------------------------------------------------------------- */

static int bring(struct pm_worker *w, const struct draws *d)
{
    SCENARIO_OK(pm_localize(w, d->brought, d->n_brought));
    SCENARIO_OK(pm_pull(w, d->brought, d->n_brought, NULL));
    SCENARIO_OK(pm_wait_all(w));
    return PM_OK;
}

static int draw_all(struct pm_worker *w, struct draws *d)
{
    int64_t ring[AHEAD_MAX + 1];
    uint32_t steps = d->total / d->per_sample, prepared = 0;
    if (d->n_brought && bring(w, d) != PM_OK)
        return PM_E_INTERNAL;
    struct pm_counters before = w->ctx.counters;
    for (uint32_t step = 0; step < steps; step++) {
        for (; prepared < steps && prepared <= step + d->ahead; prepared++) {
            ring[prepared % (d->ahead + 1)] =
                pm_prepare_sample(w, d->distribution, d->per_sample, prepared, prepared + 1);
            SCENARIO_OK(ring[prepared % (d->ahead + 1)]);
        }
        SCENARIO_OK(pm_pull_sample(w, ring[step % (d->ahead + 1)], d->per_sample, d->keys + step * d->per_sample, NULL));
        SCENARIO_OK(pm_wait_all(w));
        SCENARIO_OK(pm_advance_clock(w));
    }
    pm_counters_subtract(&d->counters, &w->ctx.counters, &before);
    for (pm_key key = 0; key < KEYS; key++) {
        d->home[key] = pm_owner_at_start(w->ctx.node, key) == 0;
        d->everywhere[key] = pm_is_frequent(w->ctx.node, key);
        d->share[key] = pm_distribution_probability(w->ctx.node->config.model->distributions[d->distribution], key);
    }
    return PM_OK;
}

static int work(struct pm_worker *w, void *arg)
{
    int code = pm_worker_rank(w) == 0 ? draw_all(w, arg) : PM_OK;
    return code == PM_OK ? pm_drain(w) : code;
}

static void run(struct draws *d)
{
    static const struct testload_shape shape = {.keys = KEYS, .length = 1};
    struct pm_workload workload = testload;
    struct pm_error err = {0};
    struct testjob t;
    double weights[KEYS];
    for (pm_key key = 0; key < KEYS; key++)
        weights[key] = d->away ? pm_home_of(key, d->nodes) != 0 : key % 3 == 0;
    assert_int_equal(pm_distribution_weights(&some, 0, KEYS, weights, &err), PM_OK);
    running = d;
    struct pm_policy policy = *base();
    d->n_heard = 0;
    d->keys = realloc(d->keys, d->total * sizeof *d->keys);
    assert_non_null(d->keys);
    policy.init = init;
    policy.hint = hint;
    workload.open = open_some;
    assert_int_equal(testjob_init(&t, &policy, d->frequent ? d->frequent : "", &shape, &err), PM_OK);
    testjob_cluster(&t, d->nodes, 1);
    t.job.workload = &workload;
    t.job.with_values = false;
    t.job.main = work;
    t.job.main_arg = d;
    const struct memnet_config config = {.seed = 1, .mode = MEMNET_RANDOM};
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(d->counters.sample_reads, d->total);
    testjob_free(&t);
    pm_distribution_free(&some);
}

static void done(struct draws *d)
{
    free(d->keys);
    *d = (struct draws){0};
}

/* How likely counts that differ at least so much from the shares are. */
static double likelihood(const double *counts, const double *shares, uint32_t n)
{
    double chi = 0, total = 0;
    uint32_t cells = 0;
    for (uint32_t i = 0; i < n; i++)
        total += counts[i];
    for (uint32_t i = 0; i < n; i++) {
        double expected = total * shares[i];
        if (expected == 0)
            assert_true(counts[i] == 0);
        if (expected == 0)
            continue;
        assert_true(expected >= 4);
        chi += (counts[i] - expected) * (counts[i] - expected) / expected;
        cells++;
    }
    return gsl_cdf_chisq_Q(chi, cells - 1);
}

static void assert_follows(const double *counts, const double *shares, uint32_t n)
{
    double p = likelihood(counts, shares, n);
    if (p < 1e-3 || p > 1 - 1e-3)
        fail_msg("counts follow the shares with a likelihood of %g", p);
}

/* ---- conform ----------------------------------------------------------------------------------------- */

static void conforms(enum pm_sampling_scheme scheme)
{
    for (uint32_t distribution = 0; distribution < 2; distribution++) {
        struct draws d = {.sampling = {.scheme = scheme},
                          .nodes = 3,
                          .distribution = distribution,
                          .per_sample = 10,
                          .ahead = 4,
                          .total = 20000};
        double counts[KEYS] = {0}, pairs[256] = {0}, even[256];
        run(&d);
        for (uint32_t i = 0; i < d.total; i++)
            counts[d.keys[i]]++;
        assert_follows(counts, d.share, KEYS);
        for (uint32_t i = 0; i < d.total && distribution == TESTLOAD_UNIFORM; i += 2) /* successive draws are independent */
            pairs[d.keys[i] * 16 / KEYS * 16 + d.keys[i + 1] * 16 / KEYS]++;
        for (int i = 0; i < 256; i++)
            even[i] = 1.0 / 256;
        if (distribution == TESTLOAD_UNIFORM)
            assert_follows(pairs, even, 256);
        done(&d);
    }
}

static void independent_conforms(void **state)
{
    (void)state;
    conforms(PM_SAMPLING_INDEPENDENT);
}

static void prelocalize_conforms(void **state)
{
    (void)state;
    conforms(PM_SAMPLING_PRELOCALIZE);
}

/* Keys that are elsewhere are asked for, or have moved here when their turn comes; the draws are the same. */
static void prelocalize_moves_keys_before(void **state)
{
    (void)state;
    struct draws away = {.sampling = {.scheme = PM_SAMPLING_INDEPENDENT}, .nodes = 3, .per_sample = 5, .ahead = 4, .total = 500};
    struct draws here = {.sampling = {.scheme = PM_SAMPLING_PRELOCALIZE}, .nodes = 3, .per_sample = 5, .ahead = 4, .total = 500};
    run(&away);
    run(&here);
    assert_true(away.counters.sample_remote > 250 && away.n_heard == 0);
    assert_int_equal(here.counters.sample_remote, 0);
    assert_memory_equal(here.keys, away.keys, 500 * sizeof *here.keys);
    assert_int_equal(here.n_heard, 100); /* each sample with its own clocks, as early as it is announced */
    for (uint32_t i = 0; i < here.n_heard; i++) {
        assert_true(here.heard[i].start == i && here.heard[i].end == i + 1 && here.heard[i].n == 5);
        assert_int_equal(here.heard[i].at, i > 4 ? i - 4 : 0);
    }
    done(&away);
    done(&here);
}

/* ---- groups that are used again ---------------------------------------------------------------------- */

enum { GROUP = 10, USES = 4, SPAN = GROUP * USES };

static int by_key(const void *a, const void *b)
{
    pm_key x = *(const pm_key *)a, y = *(const pm_key *)b;
    return (x > y) - (x < y);
}

/* Every pass through a group has the same samples. */
static void check_passes(const struct draws *d)
{
    for (uint32_t at = 0; at < d->total; at += SPAN) {
        pm_key first[GROUP], pass[GROUP];
        for (uint32_t use = 0; use < USES; use++) {
            memcpy(pass, d->keys + at + use * GROUP, sizeof pass);
            qsort(pass, GROUP, sizeof *pass, by_key);
            if (use == 0)
                memcpy(first, pass, sizeof pass);
            assert_memory_equal(first, pass, sizeof pass);
        }
    }
}

/* One draw of each group has the distribution, whichever it is. */
static void check_groups(const struct draws *d, bool first_place)
{
    struct pm_rng rng;
    double counts[KEYS] = {0};
    pm_rng_init(&rng, "place", 1, 0, 0);
    for (uint32_t at = 0; at < d->total; at += SPAN) {
        uint32_t place = first_place ? 0 : (uint32_t)pm_rng_below(&rng, SPAN);
        counts[d->keys[at + place]]++;
    }
    assert_follows(counts, d->share, KEYS);
}

static struct draws groups(enum pm_sampling_scheme scheme, uint32_t distribution, uint32_t per_sample, uint32_t n_groups)
{
    return (struct draws){.sampling = {.scheme = scheme, .group = GROUP, .reuse = USES},
                          .nodes = 3,
                          .distribution = distribution,
                          .per_sample = per_sample,
                          .ahead = 4,
                          .total = n_groups * SPAN};
}

/* Bounded: each place of a group's use has the distribution; all dependence is within a group. */
static void reuse_is_bounded(void **state)
{
    (void)state;
    for (uint32_t distribution = 0; distribution < 2; distribution++) {
        struct draws d = groups(PM_SAMPLING_REUSE, distribution, 8, 4000);
        d.mute = true; /* most keys are elsewhere: that must not matter */
        run(&d);
        check_passes(&d);
        check_groups(&d, true);
        check_groups(&d, false);
        done(&d);
    }
}

/* Where the first sample of one pass is in the next one: anywhere. */
static void passes_have_fresh_order(void **state)
{
    (void)state;
    struct draws d = groups(PM_SAMPLING_REUSE, TESTLOAD_UNIFORM, 8, 2000);
    double places[GROUP] = {0}, even[GROUP];
    run(&d);
    for (uint32_t at = 0; at < d.total; at += SPAN)
        for (uint32_t use = 0; use + 1 < USES; use++) {
            const pm_key *pass = d.keys + at + use * GROUP;
            uint32_t place = 0, same = 0;
            for (uint32_t i = 0; i < GROUP; i++)
                same += pass[i] == pass[0];
            while (pass[GROUP + place] != pass[0])
                place++;
            places[place] += same == 1;
        }
    for (int i = 0; i < GROUP; i++)
        even[i] = 1.0 / GROUP;
    assert_follows(places, even, GROUP);
    done(&d);
}

/* A group is told of a pass before it is used, for as long as it will be, and has moved here by then. */
static void groups_move_ahead(void **state)
{
    (void)state;
    struct draws d = groups(PM_SAMPLING_REUSE, TESTLOAD_UNIFORM, 2, 20);
    run(&d);
    assert_int_equal(d.counters.sample_remote, 0);
    assert_int_equal(d.n_heard, 21); /* and one for what would come next */
    for (uint32_t i = 0; i < d.n_heard; i++) {
        pm_clock first_use = i * SPAN / 2, told = d.heard[i].start;
        assert_int_equal(d.heard[i].n, GROUP);
        assert_true(i == 0 ? told == 0 : told <= first_use - GROUP / 2 && told >= first_use - GROUP / 2 - 1);
        assert_int_equal(d.heard[i].end, told + (SPAN + GROUP) / 2);
        assert_int_equal(d.heard[i].at, told > 4 ? told - 4 : 0);
    }
    done(&d);
}

/* ---- postponing -------------------------------------------------------------------------------------- */

/* The rule again, on one pass: what it does to the order that it would have without. */
static uint32_t postpone(const struct draws *d, const pm_key *order, pm_key *out)
{
    pm_key queue[2 * GROUP];
    uint32_t head = 0, tail = GROUP, n = 0, postponed = 0;
    memcpy(queue, order, GROUP * sizeof *queue);
    while (head < tail) {
        pm_key key = queue[head++];
        if (head <= GROUP && head < tail && !d->home[key]) {
            queue[tail++] = key;
            key = queue[head++];
            postponed++;
        }
        out[n++] = key;
    }
    assert_int_equal(n, GROUP);
    return postponed;
}

/* Several samples at once are the same as one after the other: pulls of 1, of 8, and across passes, of 16. */
static void postpone_moves_absent_samples(void **state)
{
    (void)state;
    static const uint32_t per_sample[] = {1, 8, 16};
    for (int i = 0; i < 3; i++) {
        struct draws plain = groups(PM_SAMPLING_REUSE, TESTLOAD_UNIFORM, per_sample[i], 60);
        struct draws d = groups(PM_SAMPLING_POSTPONE, TESTLOAD_UNIFORM, per_sample[i], 60);
        uint32_t postponed = 0, away = 0;
        plain.mute = d.mute = true;
        run(&plain);
        run(&d);
        check_passes(&d);
        for (uint32_t at = 0; at < d.total; at += GROUP) {
            pm_key expected[GROUP];
            postponed += postpone(&d, plain.keys + at, expected);
            assert_memory_equal(d.keys + at, expected, sizeof expected);
        }
        for (uint32_t at = 0; at < d.total; at++)
            away += !d.home[d.keys[at]];
        assert_int_equal(d.counters.sample_postponed, postponed);
        /* of a key twice in one pull one waits for the other */
        assert_int_equal(d.counters.sample_remote + d.counters.sample_queued, away);
        assert_int_equal(plain.counters.sample_postponed, 0);
        done(&plain);
        done(&d);
    }
}

/* Long-term: whole passes have the distribution, but the first place of a pass has more of what is here. */
static void postpone_is_long_term(void **state)
{
    (void)state;
    struct draws d = groups(PM_SAMPLING_POSTPONE, TESTLOAD_UNIFORM, 8, 2000);
    double counts[KEYS] = {0}, early[KEYS] = {0};
    struct pm_rng rng;
    d.mute = true;
    run(&d);
    check_passes(&d);
    pm_rng_init(&rng, "place", 1, 0, 0);
    for (uint32_t at = 0; at < d.total; at += SPAN) {
        pm_key pass[GROUP];
        memcpy(pass, d.keys + at, sizeof pass);
        counts[pass[pm_rng_below(&rng, GROUP)]]++;
        early[pass[0]]++;
    }
    assert_follows(counts, d.share, KEYS);
    assert_true(likelihood(early, d.share, KEYS) < 1e-9);
    done(&d);
}

/* ---- local ------------------------------------------------------------------------------------------- */

static struct draws local(uint32_t nodes, uint64_t tries, uint32_t total)
{
    return (struct draws){
        .sampling = {.scheme = PM_SAMPLING_LOCAL, .tries = tries}, .nodes = nodes, .per_sample = 10, .total = total};
}

/* What taking the next local key makes of the shares. */
static void shift_shares(const struct draws *d, double *shares)
{
    memset(shares, 0, KEYS * sizeof *shares);
    for (pm_key key = 0; key < KEYS; key++) {
        pm_key to = key;
        while (!d->home[to] || d->share[to] <= 0)
            to = (to + 1) % KEYS;
        shares[to] += d->share[key];
    }
}

/* What drawing until one is here makes of them; those that all nodes have count for what one of three takes. */
static void restrict_shares(const struct draws *d, double *shares)
{
    double all = 0;
    for (pm_key key = 0; key < KEYS; key++)
        all += shares[key] = d->everywhere[key] ? d->share[key] / 3 : d->home[key] ? d->share[key] : 0;
    for (pm_key key = 0; key < KEYS; key++)
        shares[key] /= all;
}

static void count_keys(const struct draws *d, double *counts)
{
    memset(counts, 0, KEYS * sizeof *counts);
    for (uint32_t i = 0; i < d->total; i++)
        counts[d->keys[i]]++;
}

/* Not conform: all keys are here, none with weight 0; with one try keys behind gaps are drawn in place of those that are elsewhere,
 * with many each in proportion to its share. */
static void local_takes_what_is_here(uint64_t tries, void (*change)(const struct draws *d, double *shares))
{
    for (uint32_t round = 0; round < 3; round++) {
        struct draws d = local(3, tries, 20000);
        double counts[KEYS], shares[KEYS];
        uint64_t shifted = 0;
        d.distribution = round == 1 ? TESTLOAD_ZIPF : TESTLOAD_UNIFORM;
        d.weighted = round == 2;
        run(&d);
        change(&d, shares);
        count_keys(&d, counts);
        assert_follows(counts, shares, KEYS);
        for (pm_key key = 0; key < KEYS; key++)
            shifted += counts[key] > 0 && !d.home[key];
        assert_int_equal(shifted, 0);
        assert_true(likelihood(counts, d.share, KEYS) < 1e-9);
        assert_int_equal(d.counters.sample_remote + d.counters.sample_queued, 0);
        assert_true(d.counters.sample_shifted > d.total / 2);
        done(&d);
    }
}

static void local_takes_the_next(void **state)
{
    (void)state;
    local_takes_what_is_here(1, shift_shares);
}

static void local_draws_again(void **state)
{
    (void)state;
    local_takes_what_is_here(64, restrict_shares);
}

/* Of keys that every node has each node takes its part. */
static void local_shares_replicated_keys(void **state)
{
    (void)state;
    struct draws d = local(3, 64, 20000);
    double counts[KEYS], shares[KEYS];
    d.frequent = "replicate=40";
    run(&d);
    count_keys(&d, counts);
    restrict_shares(&d, shares);
    assert_follows(counts, shares, KEYS);
    assert_int_equal(d.counters.sample_remote + d.counters.sample_queued, 0);
    done(&d);
}

/* Where every key is here the draws are those that independent sampling makes. */
static void local_conforms_when_all_is_here(void **state)
{
    (void)state;
    struct draws d = local(1, 10, 2000), other = local(1, 10, 2000);
    other.sampling = (struct pm_sampling){.scheme = PM_SAMPLING_INDEPENDENT};
    run(&d);
    run(&other);
    assert_memory_equal(d.keys, other.keys, 2000 * sizeof *d.keys);
    assert_int_equal(d.counters.sample_shifted, 0);
    done(&d);
    done(&other);
}

/* Keys that moved here are drawn from then on. */
static void local_knows_what_moved(void **state)
{
    (void)state;
    struct draws d = local(3, 10, 2000);
    pm_key all[KEYS];
    double counts[KEYS];
    for (pm_key key = 0; key < KEYS; key++)
        all[key] = key;
    d.brought = all;
    d.n_brought = KEYS;
    run(&d);
    count_keys(&d, counts);
    assert_follows(counts, d.share, KEYS);
    assert_int_equal(d.counters.sample_shifted + d.counters.sample_remote, 0);
    done(&d);
}

/* Where no key is here, the one that was drawn is asked for. */
static void local_gives_up(void **state)
{
    (void)state;
    struct draws d = local(3, 4, 2000);
    double counts[KEYS];
    d.away = true;
    run(&d);
    count_keys(&d, counts);
    assert_follows(counts, d.share, KEYS);
    assert_int_equal(d.counters.sample_remote + d.counters.sample_queued, d.total);
    assert_int_equal(d.counters.sample_shifted, 0);
    done(&d);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(independent_conforms),
        cmocka_unit_test(prelocalize_conforms),
        cmocka_unit_test(prelocalize_moves_keys_before),
        cmocka_unit_test(reuse_is_bounded),
        cmocka_unit_test(passes_have_fresh_order),
        cmocka_unit_test(groups_move_ahead),
        cmocka_unit_test(postpone_moves_absent_samples),
        cmocka_unit_test(postpone_is_long_term),
        cmocka_unit_test(local_takes_the_next),
        cmocka_unit_test(local_draws_again),
        cmocka_unit_test(local_shares_replicated_keys),
        cmocka_unit_test(local_conforms_when_all_is_here),
        cmocka_unit_test(local_knows_what_moved),
        cmocka_unit_test(local_gives_up),
    };
    return repeat_main(argc, argv, "sampling", tests, sizeof tests / sizeof *tests);
}
