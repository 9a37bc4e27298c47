/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One log of updates per worker (core/log.c), by hand: who ships what and when, what an installed value contains, memory, and
 * the order in which others hear of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/log.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_stale;

enum { LENGTH = 3, KEYS = 64, MANY = 1000, TIMES = 3 };

/* Workers per node: two. Keys used are node 1's, replicas of them node 0's. */
static struct hand *cluster_of(const struct pm_policy *policy, const char *options, uint64_t keys, bool no_values)
{
    return hand_new(&(struct hand_config){.policy = policy,
                                          .options = options,
                                          .nodes = 3,
                                          .workers = 2,
                                          .keys = keys,
                                          .length = LENGTH,
                                          .dense = true,
                                          .no_values = no_values});
}

static struct hand *cluster(const char *options)
{
    return cluster_of(&pm_policy_stale, options, KEYS, false);
}

static void end_clock(struct hand *h, pm_node_id node, uint32_t worker)
{
    assert_int_equal(pm_advance_clock(hand_worker(h, node, worker)), PM_OK);
}

static void assert_main_copy(struct hand *h, pm_key key, float added)
{
    hand_assert_added(h, pm_node_owned_value(hand_node(h, 1), key), key, added);
}

static void assert_replica(struct hand *h, pm_key key, float added)
{
    const struct pm_slot *slot = pm_slots_find(&hand_node(h, 0)->slots, key);
    assert_int_equal(slot->state, PM_SLOT_REPLICA);
    assert_true(slot->flags & PM_SLOT_READY);
    hand_assert_added(h, slot->value, key, added);
}

static uint64_t memory(struct hand *h)
{
    return pm_node_memory_bytes(hand_node(h, 0));
}

/* A worker's clock ships what it has pushed itself; the last one's lets the node's minimum rise, which others hear behind it. */
static void each_ships_its_own(void **state)
{
    (void)state;
    struct hand *h = cluster("staleness=1");
    pm_key key = hand_key(h, 1, 0), other = hand_key(h, 2, 0);
    hand_push(h, 0, 0, key, 1);
    hand_push(h, 0, 1, key, 2);
    hand_push(h, 0, 1, key, 4);
    hand_push(h, 0, 1, other, 8);
    assert_string_equal(hand_sent(h), "");
    end_clock(h, 0, 1);
    assert_string_equal(hand_sent(h), "0>1 round 1, 0>2 round 1");
    hand_pass_all(h);
    assert_main_copy(h, key, 2 + 4);
    hand_assert_added(h, pm_node_owned_value(hand_node(h, 2), other), other, 8);
    end_clock(h, 0, 0);
    assert_string_equal(hand_sent(h), "0>1 round 1, 0>1 clock 0, 0>2 clock 0");
    hand_pass_all(h);
    assert_main_copy(h, key, 1 + 2 + 4);
    end_clock(h, 0, 0);
    assert_string_equal(hand_sent(h), ""); /* nothing twice */
    hand_free(h);
}

/* What one has read of a neighbour's update is heard of before it: no causal order between nodes. */
static void effect_before_cause(void **state)
{
    struct hand *h = cluster(*state);
    pm_key key = hand_key(h, 1, 0);
    float seen[LENGTH];
    hand_pull(h, 0, 0, key, seen);
    hand_pass_all(h);
    hand_push(h, 0, 0, key, 1);
    hand_pull(h, 0, 1, key, seen);
    hand_assert_added(h, seen, key, 1);
    hand_push(h, 0, 1, key, 2);
    end_clock(h, 0, 1);
    hand_pass_all(h);
    assert_false(hand_done(h, 2, 0, hand_pull(h, 2, 0, key, seen)));
    hand_pass_all(h);
    hand_assert_added(h, seen, key, 2);
    end_clock(h, 0, 0);
    hand_pass_all(h);
    assert_main_copy(h, key, 1 + 2);
    hand_free(h);
}

/* An answer lacks what was shipped since the question and what the logs of all workers hold. */
static void answers_lack_all_logs(void **state)
{
    (void)state;
    struct hand *h = cluster("staleness=1");
    pm_key key = hand_key(h, 1, 0);
    float seen[LENGTH];
    hand_push(h, 0, 0, key, 1);
    hand_push(h, 0, 1, key, 2);
    pm_ticket ticket = hand_pull(h, 0, 1, key, seen);
    hand_pass(h, 0, 1);
    assert_main_copy(h, key, 0); /* the question takes no updates along */
    assert_string_equal(hand_sent(h), "0>1 round 1, 1>0 answer 1");
    end_clock(h, 0, 0);
    hand_push(h, 0, 0, key, 4);
    hand_pass(h, 1, 0);
    assert_true(hand_done(h, 0, 1, ticket));
    hand_assert_added(h, seen, key, 1 + 2 + 4);
    end_clock(h, 0, 1);
    end_clock(h, 0, 0);
    hand_pass_all(h);
    assert_replica(h, key, 1 + 2 + 4);
    assert_main_copy(h, key, 1 + 2 + 4);
    hand_free(h);
}

/* The same of values that an owner pushes when the minimum has risen. */
static void pushed_values_lack_all_logs(void **state)
{
    (void)state;
    struct hand *h = cluster("staleness=1,sync=server");
    pm_key key = hand_key(h, 1, 0);
    float seen[LENGTH];
    hand_pull(h, 0, 0, key, seen);
    hand_pass_all(h);
    hand_push(h, 0, 0, key, 1);
    hand_push(h, 0, 1, key, 2);
    hand_push(h, 1, 0, key, 16);
    for (pm_node_id node = 0; node < 3; node++)
        for (uint32_t worker = 0; worker < 2; worker++)
            end_clock(h, node, worker);
    hand_push(h, 0, 0, key, 4);
    hand_push(h, 0, 1, key, 8);
    hand_pass_all(h);
    assert_main_copy(h, key, 1 + 2 + 16);
    assert_replica(h, key, 1 + 2 + 16 + 4 + 8);
    end_clock(h, 0, 1);
    hand_pass_all(h);
    assert_main_copy(h, key, 1 + 2 + 16 + 8);
    assert_replica(h, key, 1 + 2 + 16 + 4 + 8);
    end_clock(h, 0, 0);
    hand_pass_all(h);
    assert_main_copy(h, key, 1 + 2 + 16 + 4 + 8);
    hand_free(h);
}

/* A replica has no delta; a key in a log costs memory from its first push until it is shipped. */
static void memory_of_logs(void **state)
{
    struct hand *h = cluster_of(&pm_policy_stale, "", KEYS, *state != NULL);
    pm_key key = hand_key(h, 1, 0);
    uint64_t before = memory(h);
    hand_push(h, 0, 0, key, 1);
    uint64_t one = memory(h);
    hand_push(h, 0, 0, key, 1);
    assert_int_equal(memory(h), one);
    hand_push(h, 0, 1, key, 1);
    uint64_t two = memory(h), entry = two - one, replica = one - before - entry;
    assert_true(entry >= sizeof(pm_key) + LENGTH * sizeof(float));
    assert_int_equal(replica, pm_slot_model_bytes(&hand_node(h, 0)->slots, LENGTH, true));
    assert_true(replica < sizeof(struct pm_slot) + hand_node(h, 0)->slots.private_bytes + 2 * LENGTH * sizeof(float) + 8);
    end_clock(h, 0, 0);
    assert_int_equal(memory(h), one);
    end_clock(h, 0, 1);
    assert_int_equal(memory(h), before + replica);
    hand_pass_all(h);
    hand_free(h);
}

/* What a drain sends: everything, whoever's it is. */
static void all_logs_at_once(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key first = hand_key(h, 1, 0), second = hand_key(h, 1, 1);
    struct pm_ctx *ctx = pm_node_communicator(hand_node(h, 0));
    hand_push(h, 0, 0, first, 1);
    hand_push(h, 0, 1, first, 2);
    hand_push(h, 0, 1, second, 4);
    for (int wave = 0; wave < 2; wave++) {
        pm_policy_stale.drain(ctx, hand_node(h, 0)->policy_state);
        pm_ctx_deliver(ctx);
        assert_string_equal(hand_sent(h), wave ? "" : "0>1 round 3");
    }
    hand_pass_all(h);
    assert_main_copy(h, first, 1 + 2);
    assert_main_copy(h, second, 4);
    hand_free(h);
}

/* ---- pushes while a log is shipped ---- */

static struct {
    struct hand *h;
    pm_key key, shipped; /* pushed, when that is being shipped */
    float amount;
} meanwhile;

static pm_node_id push_meanwhile(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, uint32_t hop)
{
    (void)state, (void)slot, (void)hop;
    float amount = key == meanwhile.shipped ? meanwhile.amount : 0;
    if (amount > 0) {
        meanwhile.amount = 0;
        hand_push(meanwhile.h, 0, 0, meanwhile.key, amount);
    }
    return pm_home(ctx->node, key);
}

/* The same worker's, of a key whose entry was shipped just before, and of one that had none. */
static void pushed_meanwhile(void **state)
{
    (void)state;
    struct pm_policy policy = pm_policy_stale;
    policy.route = push_meanwhile;
    for (uint32_t other = 0; other < 3; other += 2) {
        struct hand *h = cluster_of(&policy, "", KEYS, false);
        pm_key key = hand_key(h, 1, other), keys[2] = {hand_key(h, 1, 0), hand_key(h, 1, 1)};
        meanwhile.h = h;
        meanwhile.key = key;
        meanwhile.shipped = keys[1];
        hand_push(h, 0, 0, keys[0], 1);
        hand_push(h, 0, 0, keys[1], 2);
        meanwhile.amount = 4;
        end_clock(h, 0, 0);
        hand_pass_all(h);
        assert_main_copy(h, keys[0], 1);
        assert_main_copy(h, keys[1], 2);
        end_clock(h, 0, 0);
        hand_pass_all(h);
        assert_main_copy(h, key, other ? 4 : 1 + 4);
        uint64_t before = memory(h);
        end_clock(h, 0, 0);
        assert_int_equal(memory(h), before);
        hand_free(h);
    }
}

/* ---- many keys ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const uint64_t allocations;
#else
/* The allocator's entry points, so that calls can be counted. */
static uint64_t allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);

void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
    allocations++;
    return __libc_calloc(n, bytes);
}

void *realloc(void *block, size_t bytes)
{
    allocations++;
    return __libc_realloc(block, bytes);
}
#endif

/* Arrays grow as they must, once: later clocks push without allocating. */
static void many_keys(void **state)
{
    struct hand *h = cluster_of(&pm_policy_stale, "", MANY, *state != NULL);
    for (int clock = 0; clock < TIMES; clock++) {
        uint64_t before = allocations;
        for (uint32_t i = 0; i < 2 * MANY; i++) {
            pm_key key = (i * 7) % MANY;
            if (pm_home(hand_node(h, 0), key) != 0)
                hand_push(h, 0, i % 3 == 0, key, 1);
        }
        assert_true(clock == 0 || allocations == before);
        end_clock(h, 0, 0);
        end_clock(h, 0, 1);
        hand_pass_all(h);
    }
    for (pm_key key = 0; key < MANY && *state == NULL; key++)
        if (pm_home(hand_node(h, 0), key) == 1)
            assert_main_copy(h, key, 2 * TIMES);
    hand_free(h);
}

int main(int argc, char **argv)
{
    static char client[] = "staleness=1", server[] = "staleness=1,sync=server", without[] = "without values";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_ships_its_own),
        {"effect_before_cause_client", effect_before_cause, NULL, NULL, client},
        {"effect_before_cause_server", effect_before_cause, NULL, NULL, server},
        cmocka_unit_test(answers_lack_all_logs),
        cmocka_unit_test(pushed_values_lack_all_logs),
        cmocka_unit_test(memory_of_logs),
        {"memory_of_logs_without_values", memory_of_logs, NULL, NULL, without},
        cmocka_unit_test(all_logs_at_once),
        cmocka_unit_test(pushed_meanwhile),
        cmocka_unit_test(many_keys),
        {"many_keys_without_values", many_keys, NULL, NULL, without},
    };
    return repeat_main(argc, argv, "logs", tests, sizeof tests / sizeof *tests);
}
