/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What it costs to record the age of replicas when they are read: pulls at one of two nodes under policy `full`, nanoseconds per
 * key, with and without recording.
 *
 *   bench_replica [REPETITIONS]      (9)
 *
 * Both take turns in every repetition; figures are medians of the thread's processor time. Exit 0: it prints, it does not judge. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/internal.h"
#include "core/pm.h"
#include "core/registry.h"
#include "real/ops.h"
#include "tests/measure.h"

enum { KEYS = 1000000, DRAWS = 1 << 20, REPETITIONS_MAX = 99, BATCH_MAX = 100, LENGTH_MAX = 128 };
static const uint32_t batches[] = {1, 10, 100}, lengths[] = {4, 128};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- a node without a cluster ---- */

static int64_t ops_now_ns(void *self)
{
    (void)self;
    return clock_ns(CLOCK_MONOTONIC);
}

static void ops_deliver(void *self, struct pm_ctx *ctx)
{
    (void)self;
    PM_ASSERT(!ctx->outbox.first && !ctx->outbox.n_wakes, "a local access sent something");
}

static int ops_block(void *self, struct pm_worker *worker)
{
    (void)self, (void)worker;
    PM_ASSERT(false, "a local access blocked");
}

static const struct pm_workload zeros = {.abi = PM_WORKLOAD_ABI, .name = "zeros"};

static struct pm_node *open_node(struct pm_model *model, struct pm_values *options, uint32_t length)
{
    static struct pm_backend_ops ops;
    ops = real_ops; /* alloc, release and relax look at nothing of a running node */
    ops.now_ns = ops_now_ns;
    ops.deliver = ops_deliver;
    ops.block = ops_block;
    struct pm_error err = {0};
    struct pm_node_config config = {.nodes = 2, .workers = 1, .model = model, .with_values = true, .dense = true};
    config.workload = &zeros;
    config.ops = &ops;
    config.policy_options = options;
    for (uint32_t i = 0; pm_registry_policies[i]; i++)
        if (strcmp(pm_registry_policies[i]->name, "full") == 0)
            config.policy = pm_registry_policies[i];
    PM_ASSERT(config.policy, "there is no policy `full`");
    int rc = pm_values_init(options, config.policy->options, &err);
    *model = (struct pm_model){0};
    if (rc == PM_OK)
        rc = pm_layout_add(&model->layout, KEYS, length, &err);
    struct pm_node *node = NULL;
    if (rc >= 0)
        rc = pm_node_create(&config, &node, &err);
    PM_ASSERT(rc == PM_OK, "%s", err.text);
    return node;
}

/* ---- what is measured ---- */

/* Nanoseconds per key, once. */
static double measure(struct pm_node *node, const pm_key *keys, uint32_t batch, bool record)
{
    static _Alignas(64) float buffer[BATCH_MAX * LENGTH_MAX];
    struct pm_worker *w = pm_node_worker(node, 0);
    node->traits.exchange = record ? PM_EXCHANGE_HUB : PM_EXCHANGE_NONE;
    int64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t i = 0; i + batch <= DRAWS; i += batch) {
        pm_ticket ticket = pm_pull(w, keys + i, batch, buffer);
        PM_ASSERT(ticket == PM_DONE, "code %d", (int)ticket);
    }
    return (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / (DRAWS / batch * batch);
}

static void print_row(struct pm_node *node, const pm_key *keys, uint32_t length, uint32_t batch, uint32_t repetitions)
{
    static double with[REPETITIONS_MAX], without[REPETITIONS_MAX];
    for (uint32_t i = 0; i < repetitions; i++) {
        without[i] = measure(node, keys, batch, false);
        with[i] = measure(node, keys, batch, true);
    }
    double recorded = measure_quantile(with, repetitions, 0.5), plain = measure_quantile(without, repetitions, 0.5);
    printf("%6u %5u | %7.1f %7.1f | %5.2f\n", length, batch, plain, recorded, recorded / plain);
}

int main(int argc, char **argv)
{
    long asked = argc > 1 ? strtol(argv[1], NULL, 10) : 9;
    uint32_t repetitions = asked < 1 ? 1 : asked > REPETITIONS_MAX ? REPETITIONS_MAX : (uint32_t)asked;
    static pm_key keys[DRAWS];
    struct pm_rng rng;
    pm_rng_init(&rng, "replicas", 1, 0, 0);
    for (uint32_t i = 0; i < DRAWS; i++)
        keys[i] = pm_rng_below(&rng, KEYS);
    printf("Pulls of %d keys, half of them replicas: ns per key, medians of %u.\n"
           "length batch |   plain with age | ratio\n",
           KEYS, repetitions);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        struct pm_model model;
        struct pm_values options;
        struct pm_node *node = open_node(&model, &options, lengths[l]);
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++)
            print_row(node, keys, lengths[l], batches[b], repetitions);
        pm_node_destroy(node);
        pm_values_free(&options);
    }
    return 0;
}
