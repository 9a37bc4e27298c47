/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policy stale on the in-memory network, both forms of synchronisation. tests/bounds.h says what must hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/internal.h"
#include "memnet/memnet.h"
#include "tests/bounds.h"
#include "tests/hand.h"
#include "tests/repeat.h"
#include "tests/testload.h"

extern const struct pm_policy pm_policy_stale;

#define CLIENT .policy = &pm_policy_stale, .options = "sync=client"
#define SERVER .policy = &pm_policy_stale, .asks_once = true, .options = "sync=server"

static struct bounds cases[] = {
    {.name = "client_0", CLIENT, .staleness = 0},
    {.name = "client_1", CLIENT, .staleness = 1},
    {.name = "client_3", CLIENT, .staleness = 3},
    {.name = "client_unbounded", CLIENT, .staleness = BOUNDS_UNBOUNDED},
    {.name = "client_in_step_0", CLIENT, .staleness = 0, .in_step = true},
    {.name = "client_in_step_1", CLIENT, .staleness = 1, .in_step = true},
    {.name = "client_of_3_batches", CLIENT ",clock=3", .staleness = 1},
    {.name = "client_of_sub_epochs", CLIENT ",clock=subepoch", .staleness = 1},
    {.name = "client_preempted_0", CLIENT, .staleness = 0, .preempt = true},
    {.name = "client_preempted_1", CLIENT, .staleness = 1, .preempt = true},
    {.name = "client_preempted_3", CLIENT ",clock=2", .staleness = 3, .preempt = true},
    {.name = "client_preempted_in_step_0", CLIENT, .staleness = 0, .preempt = true, .in_step = true},
    {.name = "server_0", SERVER, .staleness = 0},
    {.name = "server_1", SERVER, .staleness = 1},
    {.name = "server_3", SERVER, .staleness = 3},
    {.name = "server_unbounded", SERVER, .staleness = BOUNDS_UNBOUNDED},
    {.name = "server_in_step_0", SERVER, .staleness = 0, .in_step = true},
    {.name = "server_in_step_1", SERVER, .staleness = 1, .in_step = true},
    {.name = "server_of_3_batches", SERVER ",clock=3", .staleness = 1},
    {.name = "server_of_sub_epochs", SERVER ",clock=subepoch", .staleness = 1},
    {.name = "server_preempted_0", SERVER, .staleness = 0, .preempt = true},
    {.name = "server_preempted_1", SERVER, .staleness = 1, .preempt = true},
    {.name = "server_preempted_3", SERVER ",clock=2", .staleness = 3, .preempt = true},
    {.name = "server_preempted_in_step_0", SERVER, .staleness = 0, .preempt = true, .in_step = true},
};
enum { CASES = sizeof cases / sizeof *cases };

/* ---- messages ---------------------------------------- */

enum { OWNED_BY_1_TRIES = 64 };

struct counts {
    pm_key key;                                  /* of node 1 */
    uint32_t refreshes, values, announcements;   /* that were sent */
    uint32_t refreshes_until[4], values_until[4]; /* sent before the end of each phase */
};

static void count(void *arg, const struct pm_message *message, pm_node_id from)
{
    struct counts *c = arg;
    struct pm_message *m = (struct pm_message *)(uintptr_t)message; /* only read */
    const uint32_t *flags = pm_message_meta(m);
    (void)from;
    for (uint32_t i = 0; m->wire.kind == PM_MSG_ROUND && i < m->wire.n_keys; i++)
        c->refreshes += (flags[i] & PM_ROUND_REFRESH) != 0;
    if (m->wire.kind == PM_MSG_ANSWER)
        c->values += m->wire.n_keys;
    if (m->wire.kind == PM_MSG_ANSWER && m->wire.n_keys == 0)
        c->announcements++;
}

/* Everybody ends a clock; everything that follows has arrived when it returns. */
static int step(struct pm_worker *w, struct counts *c, int phase)
{
    int code = pm_advance_clock(w);
    if (code == PM_OK)
        code = pm_drain(w);
    if (code == PM_OK && pm_worker_rank(w) == 0) {
        c->refreshes_until[phase] = c->refreshes;
        c->values_until[phase] = c->values;
    }
    return code == PM_OK ? pm_barrier(w) : code;
}

static int pull(struct pm_worker *w, pm_key key)
{
    float value;
    pm_ticket ticket = pm_pull(w, &key, 1, &value);
    return ticket < 0 ? (int)ticket : pm_wait(w, ticket);
}

/* Worker 0 reads a key of node 1 twice; in the second clock both change it; in the third it is read again; the fourth
 * changes nothing and reads it again. */
static int messages_main(struct pm_worker *w, void *arg)
{
    struct counts *c = arg;
    bool reads = pm_worker_rank(w) == 0;
    float one = 1;
    int code = reads ? pull(w, c->key) : PM_OK;
    if (code == PM_OK && reads)
        code = pull(w, c->key);
    if (code == PM_OK)
        code = step(w, c, 0);
    if (code == PM_OK && pm_push(w, &c->key, 1, &one) != PM_DONE)
        code = PM_E_INTERNAL;
    if (code == PM_OK)
        code = step(w, c, 1);
    for (int phase = 2; phase < 4 && code == PM_OK; phase++) {
        code = reads ? pull(w, c->key) : PM_OK;
        if (code == PM_OK)
            code = step(w, c, phase);
    }
    return code;
}

static void count_messages(struct counts *c, const char *options, uint64_t seed)
{
    struct testjob t;
    struct testload_shape shape = {.keys = OWNED_BY_1_TRIES, .length = 1};
    struct pm_error err = {0};
    struct memnet_config config = {.seed = seed, .sent = count, .arg = c};
    *c = (struct counts){.key = 0};
    while (pm_home_of(c->key, 2) != 1)
        c->key++;
    assert_int_equal(testjob_init(&t, &pm_policy_stale, options, &shape, &err), PM_OK);
    testjob_cluster(&t, 2, 1);
    t.job.main = messages_main;
    t.job.main_arg = c;
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("seed %u: %s", (unsigned)seed, err.text);
    testjob_free(&t);
}

/* Two messages for each clock in which the key is read. */
static void messages_client(void **state)
{
    (void)state;
    struct counts c;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        count_messages(&c, "sync=client,staleness=0", seed);
        const uint32_t expected[4] = {1, 1, 2, 3};
        assert_memory_equal(c.refreshes_until, expected, sizeof expected);
        assert_memory_equal(c.values_until, expected, sizeof expected);
        assert_int_equal(c.announcements, 0);
    }
}

/* Two for the first access; then a value for each clock in which the key has changed, and the clock in any case. */
static void messages_server(void **state)
{
    (void)state;
    struct counts c;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        count_messages(&c, "sync=server,staleness=0", seed);
        const uint32_t refreshes[4] = {1, 1, 1, 1}, values[4] = {1, 2, 2, 2};
        assert_memory_equal(c.refreshes_until, refreshes, sizeof refreshes);
        assert_memory_equal(c.values_until, values, sizeof values);
        assert_true(c.announcements >= 2 * 4);
    }
}

/* Contexts of an owner put messages together at the same time: a value of the main copy's earlier version may come last. */
static void older_values_are_ignored(void **state)
{
    (void)state;
    struct hand *h = hand_new(&(struct hand_config){
        .policy = &pm_policy_stale, .options = "sync=server", .nodes = 2, .workers = 1, .keys = 16, .length = 1});
    pm_key key = hand_key(h, 1, 0);
    float seen;
    hand_push(h, 1, 0, key, 1);
    hand_pull(h, 0, 0, key, &seen);
    hand_pass_all(h);
    hand_assert_added(h, &seen, key, 1);
    struct pm_ctx *owner = pm_node_communicator(hand_node(h, 1));
    uint64_t version = pm_slots_find(&hand_node(h, 1)->slots, key)->version;
    hand_push(h, 1, 0, key, 2);
    for (uint64_t stamp = version - 1; stamp <= version + 1; stamp++) {
        struct pm_slot *slot = pm_slot_open(owner, key);
        pm_push_value(owner, key, slot, 0, stamp);
        pm_slot_close(owner, slot);
        pm_ctx_deliver(owner);
        hand_pass_all(h);
        hand_assert_added(h, pm_slots_find(&hand_node(h, 0)->slots, key)->value, key, stamp < version ? 1 : 1 + 2);
    }
    hand_free(h);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[CASES + 3];
    size_t n = 0;
    for (; n < CASES; n++)
        tests[n] = (struct CMUnitTest){cases[n].name, bounds_programs, NULL, NULL, &cases[n]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(messages_client);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(messages_server);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(older_values_are_ignored);
    return repeat_main(argc, argv, "bounded staleness", tests, n);
}
