/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latches: several threads work on the same few values of one node at once. An update that is lost, or a
 * value that is read while it is written, shows in whole numbers; a missing latch shows at once under
 * SAN=thread. OPERATIONS sets how many each thread does. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/node.h"
#include "core/pm.h"
#include "core/registry.h"
#include "tests/repeat.h"
#include "tests/testload.h"

enum { THREADS = 4, KEYS = 3, LENGTH = 96, OPERATIONS = 40000 };

/* ---- a backend of one node without network ---- */

static int64_t now_ns(void *self)
{
    (void)self;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void deliver(void *self, struct pm_ctx *ctx)
{
    (void)self;
    PM_ASSERT(ctx->outbox.n_messages == 0, "one node has nobody to write to");
    ctx->outbox.n_wakes = 0;
}

static int block(void *self, struct pm_worker *worker)
{
    (void)self;
    (void)worker;
    sched_yield();
    return PM_OK;
}

static void compute(void *self, struct pm_worker *worker, double flops)
{
    (void)self;
    (void)worker;
    (void)flops;
}

static void *allocate(void *self, size_t bytes)
{
    (void)self;
    return calloc(1, bytes);
}

static void release(void *self, void *memory, size_t bytes)
{
    (void)self;
    (void)bytes;
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
    .compute = compute,
    .alloc = allocate,
    .release = release,
    .relax = relax,
};

/* ---- threads ---- */

struct thread {
    pthread_t id;
    struct pm_worker *worker;
    uint64_t operations, torn, backwards;
};

/* Pushes ones to all keys, then reads them: every value must be whole, and none may fall. */
static void *work(void *arg)
{
    struct thread *t = arg;
    static const pm_key keys[KEYS] = {0, 1, 2};
    float ones[KEYS * LENGTH], values[KEYS * LENGTH], last[KEYS] = {0};
    for (int i = 0; i < KEYS * LENGTH; i++)
        ones[i] = 1;
    for (uint64_t o = 0; o < t->operations; o++) {
        PM_ASSERT(pm_push(t->worker, keys, KEYS, ones) == PM_DONE);
        PM_ASSERT(pm_pull(t->worker, keys, KEYS, values) == PM_DONE);
        for (uint32_t k = 0; k < KEYS; k++) {
            float first = values[k * LENGTH] - testload_initial(k, 0);
            t->backwards += first < last[k] + 1;
            last[k] = first;
            for (uint32_t j = 1; j < LENGTH; j++)
                t->torn += values[k * LENGTH + j] - testload_initial(k, j) != first;
        }
    }
    return NULL;
}

static void check(struct pm_node *node, const struct thread *threads)
{
    uint64_t pushed = 0, torn = 0, backwards = 0;
    struct pm_error err = {0};
    for (int i = 0; i < THREADS; i++) {
        pushed += threads[i].operations;
        torn += threads[i].torn;
        backwards += threads[i].backwards;
    }
    assert_int_equal(torn, 0);
    assert_int_equal(backwards, 0);
    for (pm_key key = 0; key < KEYS; key++)
        for (uint32_t j = 0; j < LENGTH; j++)
            assert_true(pm_node_owned_value(node, key)[j] == testload_initial(key, j) + (float)pushed);
    if (pm_node_check_accounts(node, &err) != PM_OK)
        fail_msg("%s", err.text);
}

static void threads_on_one_node(void **state)
{
    const struct pm_policy *policy = *state;
    static const struct testload_shape shape = {.keys = KEYS, .length = LENGTH};
    struct pm_error err = {0};
    struct testjob t;
    struct pm_opened opened;
    struct pm_node *node;
    struct thread threads[THREADS];
    assert_int_equal(testjob_init(&t, policy, "", &shape, &err), PM_OK);
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
        threads[i] = (struct thread){.worker = pm_node_worker(node, i),
                                     .operations = repeat_number("OPERATIONS", OPERATIONS)};
        assert_int_equal(pthread_create(&threads[i].id, NULL, work, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    check(node, threads);
    pm_node_destroy(node);
    pm_job_close(&t.job, &opened);
    testjob_free(&t);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[4];
    size_t n = 0;
    for (size_t i = 0; pm_registry_policies[i]; i++) {
        const struct pm_policy *p = pm_registry_policies[i];
        if (strcmp(p->name, "single") == 0 || strcmp(p->name, "classic") == 0 || strcmp(p->name, "full") == 0)
            tests[n++] = (struct CMUnitTest){p->name, threads_on_one_node, NULL, NULL, (void *)p};
    }
    return repeat_main(argc, argv, "threads", tests, n);
}
