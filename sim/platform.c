/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The simulated cluster: topologies made from options, or a SimGrid file, and which host is which node. */
#define _GNU_SOURCE /* memfd_create, asprintf */
#include "sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <simgrid/engine.h>

#include "core/nearest.h"

enum { ROUTES_ALL_NODES = 64, CFG_ITEMS_MAX = 64, TOPOLOGY_SIZE = 128, STACK_BYTES = 256 * 1024 };

#define SETTING_DEFAULTS                                                                                     \
    "--log=root.thresh:error", "--cfg=network/model:CM02", "--cfg=network/crosstraffic:0",                   \
        "--cfg=network/TCP-gamma:0", "--cfg=contexts/stack-size:256", "--cfg=contexts/guard-size:0"

/* ---- topologies ---- */

/* Writes the attributes of a <cluster> with at least n hosts, and returns their number. */
typedef uint32_t topology_function(uint32_t n, char *text, size_t size);

static uint32_t star(uint32_t n, char *text, size_t size)
{
    snprintf(text, size, "%s", "");
    return n;
}

/* Two levels of switches with as many links up as down. */
static uint32_t fattree(uint32_t n, char *text, size_t size)
{
    uint32_t leaf = (uint32_t)ceil(sqrt(n)), leaves = (n + leaf - 1) / leaf;
    snprintf(text, size, "topology=\"FAT_TREE\" topo_parameters=\"2;%u,%u;1,%u;1,1\"", leaf, leaves, leaf);
    return leaf * leaves;
}

/* Up to three dimensions, as equal as possible; SimGrid wants two hosts at least, and no second dimension of
 * one. */
static uint32_t torus(uint32_t n, char *text, size_t size)
{
    uint32_t x = n < 2 ? 2 : (uint32_t)ceil(cbrt(n) - 1e-9);
    uint32_t y = (uint32_t)ceil(sqrt((double)n / x) - 1e-9), z = (n + x * y - 1) / (x * y);
    char dimensions[48];
    int length = snprintf(dimensions, sizeof dimensions, "%u", x);
    if (y > 1)
        length += snprintf(dimensions + length, sizeof dimensions - (size_t)length, ",%u", y);
    if (z > 1)
        snprintf(dimensions + length, sizeof dimensions - (size_t)length, ",%u", z);
    snprintf(text, size, "topology=\"TORUS\" topo_parameters=\"%s\"", dimensions);
    return x * y * z;
}

/* Groups of k chassis of k routers of k hosts each; SimGrid's routing wants no more groups than routers in a
 * chassis. */
static uint32_t dragonfly(uint32_t n, char *text, size_t size)
{
    uint32_t k = 2;
    while (k * k * k * k < n)
        k++;
    uint32_t groups = (n + k * k * k - 1) / (k * k * k);
    snprintf(text, size, "topology=\"DRAGONFLY\" topo_parameters=\"%u,1;%u,1;%u,1;%u\"", groups, k, k, k);
    return groups * k * k * k;
}

static const struct topology {
    const char *name;
    topology_function *make;
    uint32_t links; /* between two hosts that are as near as can be */
} topologies[] = {
    {"star", star, 2}, {"fattree", fattree, 2}, {"torus", torus, 1}, {"dragonfly", dragonfly, 2}};
enum { TOPOLOGIES = sizeof topologies / sizeof topologies[0] };

static const struct topology *find_topology(const char *name)
{
    for (int i = 0; i < TOPOLOGIES; i++)
        if (strcmp(topologies[i].name, name) == 0)
            return &topologies[i];
    return NULL;
}

bool sim_platform_is_topology(const char *name)
{
    return find_topology(name) != NULL;
}

/* ---- checks in the parent ---- */

static int check_file(const char *path, struct pm_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool like_a_path = strpbrk(path, "/.") != NULL;
    if (fd < 0 && (errno != ENOENT || like_a_path))
        return pm_error_set(err, PM_E_FILE, "platform file '%s': %s", path, strerror(errno));
    if (fd < 0) {
        const char *names[TOPOLOGIES];
        for (int i = 0; i < TOPOLOGIES; i++)
            names[i] = topologies[i].name;
        const char *nearest = pm_nearest(path, names, TOPOLOGIES);
        return pm_error_set(err, PM_E_OPTION,
                            "option platform: '%s' is neither a file nor one of star, fattree, "
                            "torus, dragonfly%s%s%s",
                            path, nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                            nearest != NULL ? "'?" : "");
    }
    struct stat st;
    char byte;
    int rc = PM_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        rc = pm_error_set(err, PM_E_FILE, "platform file '%s': not a regular file", path);
    else if (read(fd, &byte, 1) != 1)
        rc = pm_error_set(err, PM_E_FILE, "platform file '%s': it is empty", path);
    close(fd);
    return rc;
}

/* Items that would take the simulation out of our hands. */
static int check_cfg(const char *items, struct pm_error *err)
{
    unsigned n = 0;
    for (const char *at = items + strspn(items, " "); *at != '\0'; at += strspn(at, " ")) {
        int length = (int)strcspn(at, " ");
        if (memchr(at, ':', (size_t)length) == NULL)
            return pm_error_set(err, PM_E_OPTION, "--sim-cfg '%.*s': an item is NAME:VALUE", length, at);
        if (strncmp(at, "contexts/nthreads:", 18) == 0)
            return pm_error_set(err, PM_E_OPTION, "--sim-cfg '%.*s': a simulation runs on one thread", length,
                                at);
        if (++n > CFG_ITEMS_MAX)
            return pm_error_set(err, PM_E_LIMIT, "--sim-cfg: more than %d items", CFG_ITEMS_MAX);
        at += length;
    }
    return PM_OK;
}

int sim_platform_check(const struct sim_settings *settings, struct pm_error *err)
{
    if (settings->sim_cfg != NULL) {
        int rc = check_cfg(settings->sim_cfg, err);
        if (rc != PM_OK)
            return rc;
    }
    return settings->from_file ? check_file(settings->platform, err) : PM_OK;
}

/* ---- in the child ---- */

/* simgrid_init replaces the handler of SIGINT; the parent deals with it. */
static void start_simgrid(struct sim *sim)
{
    char *items = NULL, *rest = NULL, *argv[CFG_ITEMS_MAX + 16] = {(char[]){"pmlab"}};
    static const char *const defaults[] = {SETTING_DEFAULTS};
    int argc = 1;
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
        argv[argc++] = strdup(defaults[i]);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    argv[argc++] = strdup("--cfg=contexts/factory:thread");
#endif
    /* No guard pages: each stack with one is two memory maps, of which a process may have 65530, and every message under way
     * has a stack. Stacks without come from calloc, which must map each of them anew: out of its heap it would clear, and so
     * touch, all of it. */
    mallopt(M_MMAP_THRESHOLD, STACK_BYTES);
    if (sim->settings->sim_cfg != NULL)
        items = strdup(sim->settings->sim_cfg);
    for (char *item = items ? strtok_r(items, " ", &rest) : NULL; item != NULL;
         item = strtok_r(NULL, " ", &rest))
        if (asprintf(&argv[argc], "--cfg=%s", item) > 0)
            argc++;
    free(items);
    sim->box->phase = SIM_PHASE_CONFIG;
    int simgrid_argc = argc;
    simgrid_init(&simgrid_argc, argv);
    signal(SIGINT, SIG_IGN);
}

/* Loads the generated platform from memory. */
static void load_topology(struct sim *sim)
{
    const struct sim_settings *s = sim->settings;
    const struct topology *topology = find_topology(s->platform);
    char attributes[TOPOLOGY_SIZE], path[64];
    uint32_t hosts = topology->make(sim->n_nodes, attributes, sizeof attributes);
    int fd = memfd_create("platform", MFD_CLOEXEC);
    if (fd < 0)
        sim_fail(sim, PM_E_LIMIT, "no memory file for the platform: %s", strerror(errno));
    dprintf(
        fd,
        "<?xml version='1.0'?>\n<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
        "<platform version=\"4.1\">\n<cluster id=\"cluster\" prefix=\"node\" suffix=\"\" radical=\"0-%u\" "
        "speed=\"%.17gf\" core=\"%u\" bw=\"%.17gBps\" lat=\"%.17gs\" %s/>\n</platform>\n",
        hosts - 1, s->speed_flops_per_s, s->cores, s->bandwidth_bytes_per_s,
        (double)s->latency_ns * 1e-9 / topology->links, attributes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    simgrid_load_platform(path);
    close(fd);
    for (uint32_t i = 0; i < sim->n_nodes; i++) {
        char name[32];
        snprintf(name, sizeof name, "node%u", i);
        sim->nodes[i].host = sg_host_by_name(name);
    }
}

/* Is there anything in the file that can change a host's speed in mid-run? Files that it includes count as
 * such. */
static bool has_speed_profiles(const char *path)
{
    static const char *const marks[] = {"speed_file", "availability_file", "\"SPEED\"", "'SPEED'",
                                        "<include"};
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (file != NULL && !found && getline(&line, &size, file) >= 0)
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
            found = found || strstr(line, marks[i]) != NULL;
    free(line);
    if (file != NULL)
        fclose(file);
    return found;
}

/* The first hosts of the file by name are the nodes. */
static void load_file(struct sim *sim)
{
    const char *path = sim->settings->platform;
    simgrid_load_platform(path);
    size_t hosts = sg_host_count();
    if (hosts < sim->n_nodes)
        sim_fail(sim, PM_E_OPTION,
                 "option nodes: %u nodes do not fit on platform file '%s', which has %zu host%s",
                 sim->n_nodes, path, hosts, hosts == 1 ? "" : "s");
    sg_host_t *list = sg_host_list();
    bool profiles = has_speed_profiles(path);
    for (uint32_t i = 0; i < sim->n_nodes; i++) {
        sim->nodes[i].host = list[i];
        sim->nodes[i].shares_cores = profiles;
    }
    free(list);
}

static void probe(struct sim *sim, uint32_t from, uint32_t to)
{
    sg_host_t a = sim->nodes[from].host, b = sim->nodes[to].host;
    snprintf(sim->box->detail, sizeof sim->box->detail, "from host '%s' to host '%s'", sg_host_get_name(a),
             sg_host_get_name(b));
    (void)sg_host_get_route_latency(a, b);
    (void)sg_host_get_route_latency(b, a);
}

/* SimGrid crashes when it is asked for a route that is not there: better now, while the parent knows why. All
 * pairs of a small cluster; of a large one each node with its neighbour and with node 0. */
static void probe_routes(struct sim *sim)
{
    sim->box->phase = SIM_PHASE_ROUTE;
    uint32_t n = sim->n_nodes;
    for (uint32_t i = 1; i < n; i++) {
        for (uint32_t j = 0; j < i && n <= ROUTES_ALL_NODES; j++)
            probe(sim, i, j);
        if (n > ROUTES_ALL_NODES) {
            probe(sim, 0, i);
            probe(sim, i - 1, i);
        }
    }
}

void sim_platform_load(struct sim *sim)
{
    start_simgrid(sim);
    sim->box->phase = SIM_PHASE_PLATFORM;
    if (sim->settings->from_file)
        load_file(sim);
    else
        load_topology(sim);
    probe_routes(sim);
    sim->box->phase = SIM_PHASE_RUN;
    for (uint32_t i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = &sim->nodes[i];
        node->host_flops_per_s = sg_host_get_speed(node->host);
        node->speed_flops_per_s = i < sim->settings->n_speeds ? sim->settings->speeds[i] : node->host_flops_per_s;
        if (sim->job.workers + 1 > (uint32_t)sg_host_core_count(node->host))
            node->shares_cores = true;
    }
}
