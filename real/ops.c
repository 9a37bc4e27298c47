/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What core asks of this backend while it runs. */
#include "real/ops.h"

#include <sched.h>
#include <sys/mman.h>

enum { HUGE_BYTES = 2 << 20, PAGE_BYTES = 4096 };

int64_t real_node_now_ns(const struct real_node *n)
{
    return real_clock_ns() - n->config->origin_ns;
}

static int64_t ops_now_ns(void *self)
{
    return real_node_now_ns(self);
}

static void ask_tick(struct real_node *n, const struct real_agent *agent, int64_t at_ns)
{
    int64_t asked_ns = __atomic_load_n(&n->asked_tick_ns, __ATOMIC_RELAXED);
    while (at_ns < asked_ns)
        if (__atomic_compare_exchange_n(&n->asked_tick_ns, &asked_ns, at_ns, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            if (!agent->communicator)
                real_wake(&n->transport.communicator->sleeper);
            return;
        }
}

static void ops_deliver(void *self, struct pm_ctx *ctx)
{
    struct real_node *n = self;
    struct real_agent *agent = ctx->backend;
    struct pm_outbox *o = &ctx->outbox;
    bool over = real_transport_send(&n->transport, o->first);
    o->first = o->last = NULL;
    o->n_messages = 0;
    for (uint32_t i = 0; i < o->n_wakes; i++)
        real_wake(&n->transport.agents[o->wakes[i]].sleeper);
    o->n_wakes = 0;
    if (o->tick_at_ns != PM_TIME_NEVER) {
        ask_tick(n, agent, o->tick_at_ns);
        o->tick_at_ns = PM_TIME_NEVER;
    }
    if (over && ctx->worker && !__atomic_load_n(&agent->receiving, __ATOMIC_RELAXED))
        real_transport_wait_credit(&n->transport);
}

/* Returns with the token: what this worker receives itself may be what wakes it. */
static int ops_block(void *self, struct pm_worker *worker)
{
    struct real_node *n = self;
    __atomic_fetch_add(&n->blocked, 1u, __ATOMIC_RELAXED);
    int failed = real_transport_failed(&n->transport);
    while (!failed && !real_transport_receive(&n->transport, worker->backend, PM_TIME_NEVER))
        failed = real_transport_failed(&n->transport);
    __atomic_fetch_sub(&n->blocked, 1u, __ATOMIC_RELAXED);
    failed = real_transport_failed(&n->transport);
    if (failed) /* the caller may free what an answer is being copied to */
        real_transport_wait_quiet(&n->transport, worker->backend);
    return failed;
}

/* The workload has computed already. */
static void ops_compute(void *self, struct pm_worker *worker, double flops)
{
    (void)self, (void)worker, (void)flops;
}

static size_t pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* Large memory starts at a multiple of a huge page, so that all of it can be huge pages. */
static void *ops_alloc(void *self, size_t bytes)
{
    (void)self;
    size_t size = pages(bytes), slack = size >= HUGE_BYTES ? HUGE_BYTES : 0;
    if (size == 0 || size < bytes || size + slack < size)
        return NULL;
    char *memory = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (slack == 0)
        return memory;
    size_t before = (HUGE_BYTES - (uintptr_t)memory % HUGE_BYTES) % HUGE_BYTES;
    if (before > 0)
        munmap(memory, before);
    if (slack > before)
        munmap(memory + before + size, slack - before);
    madvise(memory + before, size, MADV_HUGEPAGE);
    return memory + before;
}

static void ops_release(void *self, void *memory, size_t bytes)
{
    (void)self;
    if (memory)
        munmap(memory, pages(bytes));
}

static void ops_relax(void *self)
{
    (void)self;
    sched_yield();
}

const struct pm_backend_ops real_ops = {
    .now_ns = ops_now_ns,
    .deliver = ops_deliver,
    .block = ops_block,
    .compute = ops_compute,
    .alloc = ops_alloc,
    .release = ops_release,
    .relax = ops_relax,
};

int real_handle(void *node, struct pm_ctx *ctx, struct pm_message *m, struct pm_error *err)
{
    (void)node;
    return pm_node_receive(ctx, m, err);
}

void real_deliver_handled(void *node, struct pm_ctx *ctx)
{
    (void)node;
    pm_ctx_deliver(ctx);
}
