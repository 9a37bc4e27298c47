/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Threads on one node with overlapping batches of every size, shorter and longer than what is fetched ahead,
 * keys twice in a batch, in near stores (values beside their slots) and dense ones: every value read is
 * whole, and at the end the sums are exact. SEED repeats; SAN=thread sees what luck hides. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/node.h"
#include "core/pm.h"
#include "core/registry.h"
#include "tests/repeat.h"
#include "tests/testload.h"

enum { THREADS = 3, KEYS_MAX = 64, BATCH_MAX = 80, LENGTH_MAX = 40, OPERATIONS = 3000 };

/* ---- a backend of one node ---- */

static int64_t now_ns(void *self)
{
    (void)self;
    return 0;
}

static void deliver(void *self, struct pm_ctx *ctx)
{
    (void)self;
    PM_ASSERT(ctx->outbox.n_messages == 0, "one node has nobody to write to");
}

static int block(void *self, struct pm_worker *worker)
{
    (void)self, (void)worker;
    PM_ASSERT(false, "everything is here");
}

static void *allocate(void *self, size_t bytes)
{
    (void)self;
    return calloc(1, bytes);
}

static void release(void *self, void *memory, size_t bytes)
{
    (void)self, (void)bytes;
    free(memory);
}

static void relax(void *self)
{
    (void)self;
    sched_yield();
}

static const struct pm_backend_ops ops = {
    .now_ns = now_ns,
    .deliver = deliver,
    .block = block,
    .alloc = allocate,
    .release = release,
    .relax = relax,
};

/* ---- threads ---- */

struct thread {
    pthread_t id;
    struct pm_worker *worker;
    const struct pm_layout *layout;
    uint64_t seed, pushes[KEYS_MAX], torn;
};

/* Values of a batch as they were read: all elements of a value have been raised by the same. */
static void look(struct thread *t, const pm_key *keys, uint32_t n, const float *values)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = pm_layout_length(t->layout, keys[i]);
        for (uint32_t j = 1; j < length; j++)
            t->torn += values[j] - testload_initial(keys[i], j) != values[0] - testload_initial(keys[i], 0);
        values += length;
    }
}

static void *work(void *arg)
{
    struct thread *t = arg;
    float values[BATCH_MAX * LENGTH_MAX], ones[BATCH_MAX * LENGTH_MAX];
    pm_key keys[BATCH_MAX];
    struct pm_rng rng;
    pm_rng_init(&rng, "threads", t->seed, 0, pm_worker_rank(t->worker));
    for (int i = 0; i < BATCH_MAX * LENGTH_MAX; i++)
        ones[i] = 1;
    for (uint64_t o = 0; o < OPERATIONS; o++) {
        uint32_t n = 1 + (uint32_t)pm_rng_below(&rng, BATCH_MAX);
        for (uint32_t i = 0; i < n; i++)
            keys[i] = pm_rng_below(&rng, t->layout->n_keys);
        PM_ASSERT(pm_pull(t->worker, keys, n, values) == PM_DONE);
        look(t, keys, n, values);
        PM_ASSERT(pm_push(t->worker, keys, n, ones) == PM_DONE);
        for (uint32_t i = 0; i < n; i++)
            t->pushes[keys[i]]++;
    }
    return NULL;
}

static void check(struct pm_node *node, const struct thread *threads, const struct pm_layout *layout)
{
    struct pm_error err = {0};
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(threads[i].torn, 0);
    for (pm_key key = 0; key < layout->n_keys; key++) {
        uint64_t pushes = 0;
        for (int i = 0; i < THREADS; i++)
            pushes += threads[i].pushes[key];
        for (uint32_t j = 0; j < pm_layout_length(layout, key); j++)
            assert_true(pm_node_owned_value(node, key)[j] == testload_initial(key, j) + (float)pushes);
    }
    if (pm_node_check_accounts(node, &err) != PM_OK)
        fail_msg("%s", err.text);
}

static void run(const struct testload_shape *shape)
{
    uint64_t seed = repeat_number("SEED", 1);
    struct pm_error err = {0};
    struct testjob t;
    struct pm_opened opened;
    struct pm_node *node;
    struct thread threads[THREADS];
    const struct pm_policy *policy = pm_registry_policies[0];
    for (size_t i = 0; pm_registry_policies[i]; i++)
        if (pm_registry_policies[i]->owner) /* one that runs on one node only: its owner is always here */
            policy = pm_registry_policies[i];
    assert_int_equal(testjob_init(&t, policy, "", shape, &err), PM_OK);
    testjob_cluster(&t, 1, THREADS);
    assert_int_equal(pm_job_open(&t.job, &opened, &err), PM_OK);
    struct pm_node_config config = {
        .nodes = 1,
        .workers = THREADS,
        .policy = policy,
        .policy_options = &t.policy_options,
        .model = &opened.model,
        .workload = t.job.workload,
        .workload_state = opened.state,
        .census = opened.census,
        .with_values = true,
        .dense = true,
        .ops = &ops,
        .job = &t.job,
    };
    assert_int_equal(pm_node_create(&config, &node, &err), PM_OK);
    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){
            .worker = pm_node_worker(node, i), .layout = &opened.model.layout, .seed = seed};
        assert_int_equal(pthread_create(&threads[i].id, NULL, work, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    check(node, threads, &opened.model.layout);
    pm_node_destroy(node);
    pm_job_close(&t.job, &opened);
    testjob_free(&t);
}

static void short_values(void **state)
{
    (void)state;
    run(&(struct testload_shape){.keys = KEYS_MAX, .length = 4});
}

static void odd_values(void **state)
{
    (void)state;
    run(&(struct testload_shape){.keys = KEYS_MAX, .length = 7});
}

static void long_values(void **state)
{
    (void)state;
    run(&(struct testload_shape){.keys = 5, .length = LENGTH_MAX});
}

static void mixed_values(void **state)
{
    (void)state;
    run(&(struct testload_shape){.keys = 20, .length = 3, .more_keys = 7, .more_length = LENGTH_MAX});
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_values),
        cmocka_unit_test(odd_values),
        cmocka_unit_test(long_values),
        cmocka_unit_test(mixed_values),
    };
    return repeat_main(argc, argv, "threads", tests, sizeof tests / sizeof *tests);
}
