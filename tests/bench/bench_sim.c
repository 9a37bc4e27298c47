/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a simulated message costs in processor time: remote pulls of one key each through the whole path
 * (pm_pull, courier, communicator, answer) beside actors that do nothing but the same transfers with SimGrid.
 * Both clusters must end at the same simulated time, or they did not do the same. The time of a run is that
 * of n pulls less that of none; the least of several rounds that take turns. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/host.h>

#include <cmocka.h>

#include "core/internal.h"
#include "core/pm.h"
#include "core/rng.h"
#include "tests/simtest.h"

enum { NODES_MAX = 64, LENGTH = 2, ROUNDS = 5, REQUEST_BYTES = 48 + 8, REPLY_BYTES = 48 + 4 * LENGTH };

static struct {
    uint32_t nodes, workers;
    uint64_t pulls; /* of each worker */
} shape;

/* Processor time of the children so far: other work on the machine disturbs it less than it does the clock.
 */
static double children_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static uint32_t next_node(struct pm_rng *rng, uint32_t self)
{
    return (self + 1 + (uint32_t)pm_rng_below(rng, shape.nodes - 1)) % shape.nodes;
}

/* ---- ours ---- */

static int pull_much(struct pm_worker *w, void *arg)
{
    pm_key keys[NODES_MAX];
    float out[LENGTH];
    struct pm_rng rng;
    uint32_t self = w->ctx.node->config.id;
    (void)arg;
    for (uint32_t node = 0; node < shape.nodes; node++)
        for (keys[node] = 0; pm_home(w->ctx.node, keys[node]) != node;)
            keys[node]++;
    pm_rng_init(&rng, "bench", 1, self, w->index);
    for (uint64_t i = 0; i < shape.pulls; i++)
        if (pm_wait(w, pm_pull(w, &keys[next_node(&rng, self)], 1, out)) != PM_OK)
            return PM_E_INTERNAL;
    if (w->index == 0)
        simtest_tell(w, 1, pm_now_ns(&w->ctx));
    return PM_OK;
}

/* Seconds of processor time; *end_ns is the simulated end. */
static double run_ours(const char *network, int64_t *end_ns)
{
    struct simtest *s = malloc(sizeof *s);
    simtest_init(s, 100000, LENGTH, pull_much, "cost", "none", "network", network, NULL);
    s->t.job.nodes = shape.nodes;
    s->t.job.workers = shape.workers;
    double start = children_s();
    if (simtest_run(s) != PM_OK) {
        fprintf(stderr, "%s\n", s->err.text);
        exit(1);
    }
    double took = children_s() - start;
    *end_ns = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->records[i].kind == PM_RECORD_PROGRESS && s->records[i].u.progress.now_ns > *end_ns)
            *end_ns = s->records[i].u.progress.now_ns;
    simtest_free(s);
    free(s);
    return took;
}

/* ---- SimGrid alone, in a child, because it can be initialised once per process ---- */

/* Its functions, out of what the backend has loaded. */
static struct {
    __typeof__(&simgrid_init) init;
    __typeof__(&simgrid_load_platform) load_platform;
    __typeof__(&simgrid_run) run;
    __typeof__(&simgrid_get_clock) get_clock;
    __typeof__(&sg_host_by_name) host_by_name;
    __typeof__(&sg_host_sendto) host_sendto;
    __typeof__(&sg_actor_init) actor_init;
    __typeof__(&sg_actor_set_data) actor_set_data;
    __typeof__(&sg_actor_self_get_data) actor_self_get_data;
    __typeof__(&sg_actor_start_) actor_start;
} simgrid;

static void load_simgrid(void)
{
    const char *const names[] = {"simgrid_init",      "simgrid_load_platform", "simgrid_run",
                                 "simgrid_get_clock", "sg_host_by_name",       "sg_host_sendto",
                                 "sg_actor_init",     "sg_actor_set_data",     "sg_actor_self_get_data",
                                 "sg_actor_start_"};
    void **slots = (void **)&simgrid;
    void *library = dlopen("libsimgrid.so.3.32", RTLD_NOW);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (library == NULL || (slots[i] = dlsym(library, names[i])) == NULL) {
            fprintf(stderr, "%s\n", dlerror());
            exit(1);
        }
}

static sg_host_t hosts[NODES_MAX];

static void transfer_much(int argc, char **argv)
{
    (void)argc, (void)argv;
    uintptr_t rank = (uintptr_t)simgrid.actor_self_get_data();
    uint32_t self = (uint32_t)rank / shape.workers;
    struct pm_rng rng;
    pm_rng_init(&rng, "bench", 1, self, rank % shape.workers);
    for (uint64_t i = 0; i < shape.pulls; i++) {
        uint32_t to = next_node(&rng, self);
        simgrid.host_sendto(hosts[self], hosts[to], REQUEST_BYTES);
        simgrid.host_sendto(hosts[to], hosts[self], REPLY_BYTES);
    }
}

static _Noreturn void bare_child(int64_t *end_ns)
{
    char *argv[] = {"bench",
                    "--log=root.thresh:error",
                    "--cfg=network/model:CM02",
                    "--cfg=network/crosstraffic:0",
                    "--cfg=network/TCP-gamma:0",
                    "--cfg=contexts/stack-size:256",
                    NULL};
    char path[64], name[32];
    int argc = 6, fd = memfd_create("platform", 0);
    dprintf(
        fd,
        "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
        "<platform version=\"4.1\"><cluster id=\"c\" prefix=\"n\" suffix=\"\" radical=\"0-%u\" speed=\"1Gf\" "
        "bw=\"1250000000Bps\" lat=\"0.00001s\"/></platform>\n",
        shape.nodes - 1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    simgrid.init(&argc, argv);
    simgrid.load_platform(path);
    for (uint32_t i = 0; i < shape.nodes; i++) {
        snprintf(name, sizeof name, "n%u", i);
        hosts[i] = simgrid.host_by_name(name);
    }
    for (uintptr_t rank = 0; rank < shape.nodes * shape.workers; rank++) {
        sg_actor_t actor = simgrid.actor_init("a", hosts[rank / shape.workers]);
        simgrid.actor_set_data(actor, (void *)rank);
        simgrid.actor_start(actor, transfer_much, 0, NULL);
    }
    simgrid.run();
    *end_ns = llround(simgrid.get_clock() * 1e9);
    _exit(0);
}

static double run_bare(int64_t *end_ns)
{
    int64_t *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = 1;
    fflush(stdout);
    double start = children_s();
    pid_t pid = fork();
    if (pid == 0)
        bare_child(shared);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "SimGrid alone failed\n");
        exit(1);
    }
    double took = children_s() - start;
    *end_ns = *shared;
    munmap(shared, sizeof *shared);
    return took;
}

/* ---- comparison ---- */

static double per_message_us(double many_s, double none_s, uint64_t pulls)
{
    return (many_s - none_s) * 1e6 / (2.0 * shape.nodes * shape.workers * (double)pulls);
}

static void least(double *smallest, double value)
{
    if (value < *smallest)
        *smallest = value;
}

static double compare(uint32_t nodes, uint32_t workers, uint64_t pulls)
{
    enum { OURS, QUEUE, BARE, KINDS };
    double many[KINDS] = {INFINITY, INFINITY, INFINITY}, none[KINDS] = {INFINITY, INFINITY, INFINITY};
    int64_t end_ns[KINDS] = {0};
    shape.nodes = nodes;
    shape.workers = workers;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t ignored;
        shape.pulls = 0;
        least(&none[OURS], run_ours("flow", &ignored));
        least(&none[QUEUE], run_ours("queue", &ignored));
        least(&none[BARE], run_bare(&ignored));
        shape.pulls = pulls;
        least(&many[OURS], run_ours("flow", &end_ns[OURS]));
        least(&many[QUEUE], run_ours("queue", &end_ns[QUEUE]));
        least(&many[BARE], run_bare(&end_ns[BARE]));
    }
    /* Messages of a pair stay in order here; alone, of flows that end at once any may be handled first. */
    double apart = fabs((double)(end_ns[OURS] - end_ns[BARE])) / (double)end_ns[BARE];
    if (apart > 0.01) {
        fprintf(stderr, "not the same transfers: %lld and %lld ns\n", (long long)end_ns[OURS],
                (long long)end_ns[BARE]);
        exit(1);
    }
    double ours = per_message_us(many[OURS], none[OURS], pulls),
           bare = per_message_us(many[BARE], none[BARE], pulls);
    printf("%2u x %u   flow %6.2f us   SimGrid alone %6.2f us   ratio %.2f   queue %6.2f us\n", nodes,
           workers, ours, bare, ours / bare, per_message_us(many[QUEUE], none[QUEUE], pulls));
    return ours / bare;
}

int main(void)
{
    printf("processor time per simulated message (remote pulls of one key of %d floats, --cost none)\n",
           LENGTH);
    simtest_backend();
    load_simgrid();
    compare(2, 1, 20000);
    double ratio = compare(8, 8, 1000);
    compare(64, 4, 200);
    printf("sim_message_ratio %.3f at 8 x 8, limit 1.3: %s\n", ratio, ratio <= 1.3 ? "met" : "missed");
    return 0;
}
