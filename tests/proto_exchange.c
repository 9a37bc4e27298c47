/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collective exchange (policy `full`), over owner hubs and by all-reduce: rounds take all nodes along, replicas end up bit for
 * bit as the main copy, own updates are visible at once, and nothing is sent when nothing was written. PM_SEED=n runs that
 * schedule alone. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/registry.h"
#include "memnet/memnet.h"
#include "tests/repeat.h"
#include "tests/scenario.h"

enum { SEEDS = 40, KEYS = 24, LENGTH = 3 };

/* Final messages that were sent, of the two halves and of steps, and others. */
struct seen {
    bool allreduce;
    uint64_t collects, spreads, steps[PM_STEPS_MAX], keys, accesses;
};

static void note(void *arg, const struct pm_message *m, pm_node_id from)
{
    struct seen *seen = arg;
    assert_true(m->destination != from || m->wire.kind > PM_MSG_PARTIAL || m->wire.kind < PM_MSG_COLLECT);
    if (m->wire.flags & PM_FLAG_UNCHARGED)
        return;
    seen->collects += m->wire.kind == PM_MSG_COLLECT && m->wire.sub;
    seen->spreads += m->wire.kind == PM_MSG_SPREAD && m->wire.sub;
    bool exchanged = m->wire.kind >= PM_MSG_COLLECT && m->wire.kind <= PM_MSG_PARTIAL;
    seen->keys += exchanged ? m->wire.n_keys : 0;
    if (m->wire.kind == PM_MSG_PARTIAL)
        seen->steps[m->wire.first] += m->wire.sub;
    seen->accesses += m->wire.kind == PM_MSG_ACCESS;
}

static uint64_t installed(const struct pm_node *node)
{
    return node->exchange.round - node->exchange.active;
}

/* Nodes that have installed the results of as many rounds have the same bits in common. */
static int same_common_states(struct memnet *net, struct pm_error *err)
{
    for (pm_node_id i = 1; i < memnet_job(net)->nodes; i++)
        for (pm_key key = 0; key < KEYS; key++) {
            struct pm_node *one = memnet_node(net, i), *other = memnet_node(net, i - 1);
            float initial[LENGTH];
            pm_initial_value(one, key, initial);
            const struct pm_slot *mine = pm_slots_find(&one->slots, key), *theirs = pm_slots_find(&other->slots, key);
            if (installed(one) == installed(other) &&
                memcmp(mine ? pm_slot_common(&one->slots, mine, LENGTH) : initial,
                       theirs ? pm_slot_common(&other->slots, theirs, LENGTH) : initial, sizeof initial) != 0)
                return pm_error_set(err, PM_E_INTERNAL, "nodes %u and %u differ in what is common of key %" PRIu64, i - 1, i, key);
        }
    return PM_OK;
}

static int after_event(void *arg, struct memnet *net, struct pm_error *err)
{
    bool look = ((struct seen *)arg)->allreduce && !memnet_interrupted(net);
    return look ? same_common_states(net, err) : PM_OK;
}

/* All nodes hold the same bits of every key, and took part in the same rounds. */
static int alike(void *arg, struct memnet *net, struct pm_error *err)
{
    (void)arg;
    uint64_t rounds = 0;
    for (pm_node_id i = 0; i < memnet_job(net)->nodes; i++) {
        struct pm_node *node = memnet_node(net, i);
        struct pm_counters c;
        pm_node_counters(node, &c);
        if (i > 0 && c.rounds != rounds)
            return pm_error_set(err, PM_E_INTERNAL, "node %u took part in %" PRIu64 " rounds, not %" PRIu64, i, c.rounds, rounds);
        rounds = c.rounds;
        for (pm_key key = 0; key < KEYS; key++) {
            const struct pm_slot *mine = pm_slots_find(&node->slots, key);
            struct pm_node *owner = memnet_node(net, pm_owner_at_start(node, key));
            const struct pm_slot *main_copy = pm_slots_find(&owner->slots, key);
            float initial[LENGTH];
            pm_initial_value(node, key, initial);
            if (memcmp(mine ? mine->value : initial, main_copy ? main_copy->value : initial, sizeof initial) != 0)
                return pm_error_set(err, PM_E_INTERNAL, "node %u has other bits of key %" PRIu64 " than its owner", i, key);
        }
    }
    return PM_OK;
}

static uint64_t total_rounds(const struct memnet_result *result, uint32_t nodes)
{
    assert_int_equal(result->counters.rounds % nodes, 0);
    return result->counters.rounds / nodes;
}

/* Runs `main` under full on a cluster that the seed chooses. */
static void run(int (*main_of_worker)(struct pm_worker *, void *), const char *test, uint64_t seed, struct seen *seen,
                struct memnet_result *result, uint32_t *nodes)
{
    static const struct testload_shape shape = {.keys = KEYS, .length = LENGTH};
    const struct pm_policy *full = NULL;
    for (size_t i = 0; pm_registry_policies[i]; i++)
        if (strcmp(pm_registry_policies[i]->name, "full") == 0)
            full = pm_registry_policies[i];
    assert_non_null(full);
    static const uint32_t sizes[] = {2, 3, 5, 6, 8};
    struct testjob t;
    struct pm_error err = {0};
    char options[64];
    snprintf(options, sizeof options, "syncs_per_second=%d,exchange=%s", seed % 2 ? 10000 : 0,
             seen->allreduce ? "allreduce" : "hub");
    assert_int_equal(testjob_init(&t, full, options, &shape, &err), PM_OK);
    t.job.nodes = *nodes = sizes[seed % 5];
    t.job.workers = 1 + (uint32_t)(seed / 4 % 2);
    t.job.max_message = seed % 3 ? 0 : 120;
    t.job.main = main_of_worker;
    struct memnet_config config = {
        .seed = seed,
        .mode = (enum memnet_mode)(seed % MEMNET_MODES),
        .latches = seed & 1,
        .dense = seed & 2,
        .postpone_percent = (unsigned)(seed % 3) * 20,
        .max_events = 1000000,
        .sent = note,
        .after_event = after_event,
        .at_end = alike,
        .arg = seen,
    };
    repeat_note(seed, "", test);
    int code = memnet_run(&t.job, &config, result, &err);
    testjob_free(&t);
    if (code != PM_OK) {
        repeat_line(err.text, seed, "", test);
        fail_msg("seed %" PRIu64 " fails", seed);
    }
}

static void each_seed(int (*main_of_worker)(struct pm_worker *, void *), const char *test,
                      void (*check)(const struct seen *, const struct memnet_result *, uint32_t nodes))
{
    uint64_t first = repeat_number("PM_SEED", 1),
             end = getenv("PM_SEED") ? first + 1 : repeat_number("SEEDS", SEEDS / REPEAT_SHARE);
    for (uint64_t seed = first; seed < end; seed++) {
        for (int allreduce = 0; allreduce < 2; allreduce++) {
            struct seen seen = {.allreduce = allreduce};
            struct memnet_result result;
            uint32_t nodes;
            run(main_of_worker, test, seed, &seen, &result, &nodes);
            check(&seen, &result, nodes);
        }
    }
}

/* Fractions whose sum depends on the order of adding: replicas must copy, not add up. */
static int write_fractions(struct pm_worker *w, void *arg)
{
    (void)arg;
    struct pm_rng rng;
    pm_rng_init(&rng, "fractions", 1, PM_RNG_NOBODY, pm_worker_rank(w));
    for (int i = 0; i < 60; i++) {
        pm_key key = pm_rng_below(&rng, KEYS);
        float before[LENGTH], after[LENGTH], update[LENGTH];
        for (int j = 0; j < LENGTH; j++)
            update[j] = (float)pm_rng_real(&rng) / 3 + 1;
        SCENARIO_CHECK(pm_pull(w, &key, 1, before) == PM_DONE);
        SCENARIO_CHECK(pm_push(w, &key, 1, update) == PM_DONE);
        SCENARIO_CHECK(pm_pull(w, &key, 1, after) == PM_DONE);
        for (int j = 0; j < LENGTH; j++)
            SCENARIO_CHECK(after[j] >= before[j] + 0.9f);
        w->ctx.node->config.ops->compute(w->ctx.node->config.ops_self, w, 2000);
        if (i % 20 == 19)
            SCENARIO_OK(pm_drain(w));
    }
    return pm_drain(w);
}

/* So many rounds need these messages. */
static void check_messages(const struct seen *seen, uint64_t rounds, uint32_t nodes)
{
    uint64_t steps = nodes < 4 ? 1 : nodes < 8 ? 2 : 3, inner = UINT64_C(1) << steps, guests = nodes - inner;
    assert_int_equal(seen->accesses, 0);
    assert_int_equal(seen->collects, seen->allreduce ? 0 : rounds * nodes * (nodes - 1));
    assert_int_equal(seen->spreads, seen->collects);
    assert_int_equal(seen->steps[0], seen->allreduce ? rounds * guests : 0);
    assert_int_equal(seen->steps[steps + 1], seen->steps[0]);
    assert_true(seen->steps[steps + 2] <= seen->steps[0]); /* calls */
    for (uint64_t s = 1; s <= steps; s++)
        assert_int_equal(seen->steps[s], seen->allreduce ? rounds * inner : 0);
}

static void check_fractions(const struct seen *seen, const struct memnet_result *result, uint32_t nodes)
{
    uint64_t rounds = total_rounds(result, nodes);
    assert_true(rounds >= 3);
    check_messages(seen, rounds, nodes);
}

static void replicas_converge(void **state)
{
    (void)state;
    each_seed(write_fractions, "replicas_converge", check_fractions);
}

static int only_read(struct pm_worker *w, void *arg)
{
    (void)arg;
    float values[LENGTH];
    for (int i = 0; i < 300; i++) {
        pm_key key = (pm_key)i % KEYS;
        SCENARIO_CHECK(pm_pull(w, &key, 1, values) == PM_DONE);
        w->ctx.node->config.ops->compute(w->ctx.node->config.ops_self, w, 5000);
    }
    SCENARIO_OK(pm_barrier(w));
    return pm_drain(w);
}

static void check_silence(const struct seen *seen, const struct memnet_result *result, uint32_t nodes)
{
    assert_int_equal(total_rounds(result, nodes), 0);
    check_messages(seen, 0, nodes);
}

static void no_round_without_dirty_keys(void **state)
{
    (void)state;
    each_seed(only_read, "no_round_without_dirty_keys", check_silence);
}

/* One push by one worker: one round brings it to all. */
static int write_once(struct pm_worker *w, void *arg)
{
    (void)arg;
    const float ones[LENGTH] = {1, 1, 1};
    pm_key key = 5;
    if (pm_worker_rank(w) == 0)
        SCENARIO_CHECK(pm_push(w, &key, 1, ones) == PM_DONE);
    SCENARIO_OK(pm_drain(w));
    SCENARIO_OK(pm_barrier(w));
    return pm_drain(w);
}

static void check_once(const struct seen *seen, const struct memnet_result *result, uint32_t nodes)
{
    uint64_t rounds = total_rounds(result, nodes);
    assert_int_equal(rounds, 1);
    check_messages(seen, rounds, nodes);
    /* Over hubs the delta goes to the owner, unless that pushed, and the new value to all others. By all-reduce the sum doubles
     * its spread with each step, and comes back to guests. */
    uint64_t steps = nodes < 4 ? 1 : nodes < 8 ? 2 : 3, inner = UINT64_C(1) << steps;
    if (seen->allreduce)
        assert_int_equal(seen->keys, inner - 1 + nodes - inner);
    else
        assert_true(seen->keys == nodes - 1 || seen->keys == nodes);
}

static void one_push_is_one_round(void **state)
{
    (void)state;
    each_seed(write_once, "one_push_is_one_round", check_once);
}

/* The first node has finished, and still takes part: the others see each other's updates. */
static int go_on_alone(struct pm_worker *w, void *arg)
{
    (void)arg;
    const float ones[LENGTH] = {1, 1, 1};
    const struct pm_node *node = w->ctx.node;
    const uint32_t others = (node->config.nodes - 1) * node->config.workers;
    pm_key key = 5;
    float values[LENGTH];
    if (node->config.id == 0)
        return pm_drain(w);
    for (uint32_t i = 1; i <= 5; i++) {
        SCENARIO_CHECK(pm_push(w, &key, 1, ones) == PM_DONE);
        do { /* until all others have pushed as often */
            node->config.ops->compute(node->config.ops_self, w, 20000);
            SCENARIO_CHECK(pm_pull(w, &key, 1, values) == PM_DONE);
        } while (values[0] - testload_initial(key, 0) < (float)(i * others));
    }
    return pm_drain(w);
}

static void check_alone(const struct seen *seen, const struct memnet_result *result, uint32_t nodes)
{
    uint64_t rounds = total_rounds(result, nodes);
    assert_true(nodes == 2 || rounds >= 5);
    check_messages(seen, rounds, nodes);
}

static void finished_nodes_take_part(void **state)
{
    (void)state;
    each_seed(go_on_alone, "finished_nodes_take_part", check_alone);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_converge),
        cmocka_unit_test(no_round_without_dirty_keys),
        cmocka_unit_test(one_push_is_one_round),
        cmocka_unit_test(finished_nodes_take_part),
    };
    return repeat_main(argc, argv, "exchange", tests, sizeof tests / sizeof *tests);
}
