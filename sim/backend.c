/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backend's table: its options, and what they say. The only symbol that the shared object exports. */
#include "sim/sim.h"

#include <string.h>

static const struct pm_option options[] = {
    {"platform", PM_OPT_TEXT, "star",
     "cluster: star, fattree, torus or dragonfly of equal nodes, or a SimGrid XML file, whose first hosts by "
     "name are used",
     NULL, 0, 0},
    {"bandwidth", PM_OPT_RATE, "10Gbps",
     "of each node's link (of every link of other topologies) and direction", NULL, 1, 1e15},
    {"latency", PM_OPT_DURATION, "20us", "one way between two nodes (of other topologies, the nearest two)",
     NULL, 0, 3600},
    {"speed", PM_OPT_FLOPS, "1Gf", "effective speed of each core", NULL, 1, 1e18},
    {"speeds", PM_OPT_TEXT, "", "of the first nodes, where they differ from `speed`: A,B,...", NULL, 0, 0},
    {"slow-share", PM_OPT_REAL, "0", "share of steps whose computation takes longer, drawn by each worker", NULL, 0, 1},
    {"slow-factor", PM_OPT_REAL, "4", "how many times as long a slow step takes on average", NULL, 1, 1e6},
    {"cores", PM_OPT_COUNT, NULL, "of each node; default: one per worker and one for the communicator", NULL,
     1, 65536},
    {"memory", PM_OPT_BYTES, "128GiB", "of each node; a run whose modelled memory is larger fails", NULL, 1,
     0},
    {"network", PM_OPT_ENUM, "flow",
     "flow: SimGrid's fluid model; queue: constant time per message, links serve in turn", "flow|queue", 0,
     0},
    {"cost", PM_OPT_PATH, NULL,
     "file with the cost model of parameter management, or none; default: built-in constants", NULL, 0, 0},
    {"charge-cap", PM_OPT_DURATION, "10us", "processor time that a worker may owe before it is simulated",
     NULL, 0, 3600},
    {"sim-cfg", PM_OPT_TEXT, NULL, "settings for SimGrid, NAME:VALUE, several joined by blanks", NULL, 0, 0},
    {NULL, 0, NULL, NULL, NULL, 0, 0},
};

/* What a platform file says itself. */
static int refuse_beside_file(const struct pm_values *values, struct pm_error *err)
{
    static const char *const names[] = {"bandwidth", "latency", "speed", "speeds", "cores"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (pm_values_is_given(values, names[i]))
            return pm_error_set(err, PM_E_OPTION, "option %s: the platform file '%s' says that itself",
                                names[i], pm_values_text(values, "platform"));
    return PM_OK;
}

static int read_cost(const struct pm_values *values, struct sim_cost *cost, struct pm_error *err)
{
    const char *path = pm_values_text(values, "cost");
    if (path != NULL && strcmp(path, "none") != 0)
        return sim_cost_read(path, cost, err);
    *cost = (struct sim_cost){0};
    if (path == NULL)
        sim_cost_default(cost);
    return PM_OK;
}

static int read_settings(const struct pm_job *job, const struct pm_values *values, struct sim_settings *s,
                         struct pm_error *err)
{
    const char *cfg = pm_values_text(values, "sim-cfg");
    *s = (struct sim_settings){
        .platform = pm_values_text(values, "platform"),
        .bandwidth_bytes_per_s = pm_values_real(values, "bandwidth"),
        .latency_ns = pm_values_ns(values, "latency"),
        .speed_flops_per_s = pm_values_real(values, "speed"),
        .cores =
            pm_values_is_set(values, "cores") ? (uint32_t)pm_values_count(values, "cores") : job->workers + 1,
        .memory_bytes = pm_values_bytes(values, "memory"),
        .network = pm_values_enum(values, "network") == 1 ? SIM_QUEUE : SIM_FLOW,
        .slow_share = pm_values_real(values, "slow-share"),
        .slow_factor = pm_values_real(values, "slow-factor"),
        .charge_cap_ns = (double)pm_values_ns(values, "charge-cap"),
        .sim_cfg = cfg != NULL && cfg[strspn(cfg, " ")] != '\0' ? cfg : NULL,
    };
    s->from_file = !sim_platform_is_topology(s->platform);
    int rc = s->from_file ? refuse_beside_file(values, err) : PM_OK;
    if (rc == PM_OK)
        rc = sim_speeds_read(pm_values_text(values, "speeds"), job->nodes, s, err);
    if (rc == PM_OK)
        rc = sim_platform_check(s, err);
    if (rc == PM_OK)
        rc = read_cost(values, &s->cost, err);
    return rc;
}

static int run(const struct pm_job *job, const struct pm_values *values, struct pm_error *err)
{
    struct sim_settings settings;
    int rc = read_settings(job, values, &settings, err);
    return rc == PM_OK ? sim_child_run(job, &settings, err) : rc;
}

__attribute__((visibility("default"))) const struct pm_backend pm_backend_sim = {
    .abi = PM_BACKEND_ABI,
    .name = "sim",
    .summary = "a cluster simulated by SimGrid, on this machine",
    .options = options,
    .run = run,
};
