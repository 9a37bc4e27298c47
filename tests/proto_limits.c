/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is large: very long values and the longest that there may be, of which every kind of message holds one;
 * as many keys in an operation, operations under way and workers as there may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/node.h"
#include "core/pm.h"
#include "memnet/memnet.h"
#include "tests/repeat.h"
#include "tests/testload.h"

extern const struct pm_policy pm_policy_classic, pm_policy_full, pm_policy_kv;

static int run(struct testjob *t, struct pm_error *err)
{
    const struct memnet_config config = {.seed = 1, .dense = true};
    return memnet_run(&t->job, &config, NULL, err);
}

/* Pulls and pushes all keys, one by one and together. */
static int pull_and_push(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = PM_OK;
    for (pm_key key = 0; key < 4 && rc == PM_OK; key++) {
        pm_ticket pushed = pm_push(w, &key, 1, NULL), pulled = pm_pull(w, &key, 1, NULL);
        rc = pushed < 0 ? (int)pushed : pulled < 0 ? (int)pulled : pm_wait_all(w);
    }
    pm_ticket all = rc == PM_OK ? pm_pull_range(w, 0, 4, NULL) : rc;
    rc = all < 0 ? (int)all : pm_wait(w, all);
    return rc == PM_OK ? pm_drain(w) : rc;
}

static void longest_values(void **state)
{
    const struct pm_policy *policy = *state;
    const struct testload_shape shape = {.keys = 4, .length = PM_LAYOUT_LENGTH_MAX};
    struct testjob t;
    struct pm_error err = {0};
    assert_int_equal(testjob_init(&t, policy, "", &shape, &err), PM_OK);
    testjob_cluster(&t, 2, 2);
    t.job.with_values = false;
    t.job.main = pull_and_push;
    if (run(&t, &err) != PM_OK)
        fail_msg("%s", err.text);
    t.job.max_message = PM_MAX_MESSAGE_MOST + 1u;
    assert_int_equal(run(&t, &err), PM_E_LIMIT);
    testjob_free(&t);
}

/* ---- operations and workers ---- */

static void run_under(const struct pm_policy *policy, uint32_t nodes, uint32_t workers,
                      int (*main)(struct pm_worker *w, void *arg))
{
    const struct testload_shape shape = {.keys = 1 << 12, .length = 4};
    struct testjob t;
    struct pm_error err = {0};
    assert_int_equal(testjob_init(&t, policy, "", &shape, &err), PM_OK);
    testjob_cluster(&t, nodes, workers);
    t.job.with_values = false;
    t.job.main = main;
    if (run(&t, &err) != PM_OK)
        fail_msg("%s", err.text);
    testjob_free(&t);
}

static int most_keys(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key *keys = malloc((PM_OP_KEYS_MAX + 1) * sizeof *keys);
    if (!keys)
        return PM_E_MEMORY;
    for (uint32_t i = 0; i <= PM_OP_KEYS_MAX; i++)
        keys[i] = i % (1 << 12);
    int rc = pm_pull(w, keys, PM_OP_KEYS_MAX + 1, NULL) == PM_E_LIMIT ? PM_OK : PM_E_INTERNAL;
    pm_ticket ticket = rc == PM_OK ? pm_push(w, keys, PM_OP_KEYS_MAX, NULL) : rc;
    free(keys); /* keys are copied */
    rc = ticket < 0 ? (int)ticket : pm_wait(w, ticket);
    return rc == PM_OK ? pm_drain(w) : rc;
}

static void most_keys_of_an_operation(void **state)
{
    run_under(*state, 2, 1, most_keys);
}

/* More than may be under way: the worker waits for the first ones. */
static int many_pulls(struct pm_worker *w, void *arg)
{
    (void)arg;
    int rc = PM_OK;
    for (pm_key i = 0; i < (1 << 16) + 5000 && rc == PM_OK; i++) {
        pm_key key = i % (1 << 12);
        pm_ticket ticket = pm_pull(w, &key, 1, NULL);
        rc = ticket < 0 ? (int)ticket : PM_OK;
    }
    return rc == PM_OK ? pm_drain(w) : rc;
}

static void more_operations_than_may_be_open(void **state)
{
    run_under(*state, 1, 1, many_pulls); /* kv: each is a message */
}

static int meet(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key key = pm_worker_rank(w);
    double ones = 1;
    pm_ticket ticket = pm_push(w, &key, 1, NULL);
    int rc = ticket < 0 ? (int)ticket : pm_drain(w);
    if (rc == PM_OK)
        rc = pm_reduce(w, &ones, 1);
    return rc == PM_OK && ones != PM_WAKES_MAX ? PM_E_INTERNAL : rc;
}

static void most_workers_of_a_node(void **state)
{
    run_under(*state, 1, PM_WAKES_MAX, meet);
}

/* ---- the digest of values of a whole model ---- */

struct digest {
    uint64_t floats, longest;
};
static struct digest last;

static void *start_digest(void)
{
    return calloc(1, sizeof(struct digest));
}

static void feed_digest(void *digest, const float *values, uint64_t n)
{
    struct digest *d = digest;
    d->floats += n;
    d->longest = n > d->longest ? n : d->longest;
    assert_true(values[0] == (float)(int)values[0]);
}

static uint64_t finish_digest(void *digest)
{
    last = *(struct digest *)digest;
    free(digest);
    return last.floats;
}

/* Takes the memory of some values, however many keys there are. */
static void digest_of_long_values(void **state)
{
    enum { LENGTH = 4 << 20 };
    static const struct pm_digest digest = {start_digest, feed_digest, finish_digest};
    const struct testload_shape shape = {.keys = 3, .length = LENGTH};
    struct testjob t;
    struct pm_error err = {0};
    assert_int_equal(testjob_init(&t, *state, "", &shape, &err), PM_OK);
    t.job.main = pm_train_worker;
    t.job.digest = &digest;
    if (run(&t, &err) != PM_OK)
        fail_msg("%s", err.text);
    assert_int_equal(last.floats, 3ull * LENGTH);
    assert_int_equal(last.longest, LENGTH);
    testjob_free(&t);
}

int main(int argc, char **argv)
{
#define TEST(function, policy) {#function, function, NULL, NULL, (void *)(uintptr_t)&pm_policy_##policy}
    const struct CMUnitTest tests[] = {
        TEST(longest_values, classic),
        TEST(longest_values, full),
        TEST(most_keys_of_an_operation, classic),
        TEST(most_keys_of_an_operation, full),
        TEST(more_operations_than_may_be_open, kv),
        TEST(most_workers_of_a_node, kv),
        TEST(most_workers_of_a_node, full),
        TEST(digest_of_long_values, classic),
    };
    return repeat_main(argc, argv, "limits", tests, sizeof tests / sizeof *tests);
}
