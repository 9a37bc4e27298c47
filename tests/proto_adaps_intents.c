/* SPDX-License-Identifier: GPL-3.0-or-later */
/* adaps under random intents: what each round makes of them. PM_SEED=n runs that seed alone, SEEDS sets how many. */
#include "tests/adaps_cluster.h"

#include "policies/adaps_pace.h"
#include "tests/repeat.h"

enum { KEYS = 24, WORKERS = 2, DECLARED_MAX = 4000, STEPS = 300 };

struct declared {
    pm_node_id node;
    uint32_t worker;
    pm_key key;
    pm_clock start, end;
    bool seen; /* by a round that acted on it */
};

struct model {
    struct declared declared[DECLARED_MAX];
    uint32_t n;
    struct adaps_pace paces[NODES][WORKERS];
    struct pm_poisson quantiles;
};

/* What a round that begins now may act on, and whether a worker of the node wants the key by what the round reads. */
static void look(struct hand *h, struct model *m, pm_node_id node)
{
    for (uint32_t w = 0; w < WORKERS; w++) {
        pm_clock now = pm_worker_clock(hand_worker(h, node, w));
        pm_clock until = now + adaps_window(&m->quantiles, adaps_pace_round(&m->paces[node][w], now, 0.1));
        for (uint32_t i = 0; i < m->n; i++)
            if (m->declared[i].node == node && m->declared[i].worker == w)
                m->declared[i].seen |= m->declared[i].start <= until;
    }
}

static bool is_wanted(struct hand *h, const struct model *m, pm_node_id node, pm_key key)
{
    for (uint32_t i = 0; i < m->n; i++) {
        const struct declared *d = &m->declared[i];
        if (d->node == node && d->key == key && d->seen && pm_worker_clock(hand_worker(h, node, d->worker)) < d->end)
            return true;
    }
    return false;
}

static void declare(struct hand *h, struct model *m, struct pm_rng *rng, pm_node_id node, uint32_t worker)
{
    pm_clock start = pm_worker_clock(hand_worker(h, node, worker)) + (pm_clock)pm_rng_below(rng, 80);
    pm_clock end = start + 1 + (pm_clock)pm_rng_below(rng, 20);
    pm_key keys[3];
    for (int i = 0; i < 3; i++) {
        keys[i] = pm_rng_below(rng, KEYS);
        assert_true(m->n < DECLARED_MAX);
        m->declared[m->n++] = (struct declared){.node = node, .worker = worker, .key = keys[i], .start = start, .end = end};
    }
    assert_int_equal(pm_intent(hand_worker(h, node, worker), keys, 3, start, end), PM_OK);
}

/* After a round that is answered a node has, as main copy or replica, what an intent is active for as of the clocks that the
 * round read, and replicas of nothing else. */
static void replicas_follow_intents(void **state)
{
    (void)state;
    const uint64_t first = repeat_number("PM_SEED", 1), last = getenv("PM_SEED") ? first : repeat_number("SEEDS", 60);
    for (uint64_t seed = first; seed <= last; seed++) {
        struct hand *h = cluster("");
        struct pm_rng rng;
        struct model *m = calloc(1, sizeof *m);
        assert_non_null(m);
        pm_poisson_init(&m->quantiles, 0.9999);
        pm_rng_init(&rng, "intents", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
        for (int step = 0; step < STEPS; step++) {
            pm_node_id node = (pm_node_id)pm_rng_below(&rng, NODES);
            uint32_t worker = (uint32_t)pm_rng_below(&rng, WORKERS), dice = (uint32_t)pm_rng_below(&rng, 10);
            if (dice < 4) {
                declare(h, m, &rng, node, worker);
            } else if (dice < 7) {
                for (uint64_t n = 1 + pm_rng_below(&rng, 12); n > 0; n--)
                    assert_int_equal(pm_advance_clock(hand_worker(h, node, worker)), PM_OK);
            } else {
                look(h, m, node);
                whole_round(h, node);
                hand_sent(h);
                for (pm_key key = 0; key < KEYS; key++) {
                    bool wanted = is_wanted(h, m, node, key), replica = is_replica(h, node, key);
                    bool here = replica || hand_owner(h, key) == node;
                    if (wanted ? !here : replica)
                        fail_msg("PM_SEED=%llu, step %d: node %u, key %llu: wanted %d, here %d", (unsigned long long)seed, step,
                                 node, (unsigned long long)key, wanted, here);
                }
            }
        }
        pm_poisson_free(&m->quantiles);
        free(m);
        finish(h);
    }
}

/* One key declared over and over is one entry of what is active, however far its end is. */
static void active_intents_are_bounded(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key key = hand_key(h, 0, 0);
    uint64_t bytes = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20000; i++)
            intend(h, 0, key, round, 1000000000 + i);
        advance(h, 0, 1);
        whole_round(h, 0);
        uint64_t now = pm_intents_bytes(hand_worker(h, 0, 0)->intents);
        assert_true(round == 0 || now == bytes);
        bytes = now;
    }
    finish(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicas_follow_intents),
        cmocka_unit_test(active_intents_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
