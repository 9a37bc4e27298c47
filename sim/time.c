/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Simulated time: SimGrid's seconds as integer nanoseconds, and processor time on a node. */
#include "sim/sim.h"

#include <math.h>

#include <simgrid/engine.h>
#include <simgrid/exec.h>

int64_t sim_now_ns(void)
{
    return llround(simgrid_get_clock() * 1e9);
}

void sim_pass(struct sim_node *node, double ns)
{
    if (!node->shares_cores) {
        sg_actor_sleep_for(ns * 1e-9);
        return;
    }
    /* The actor may be a courier, which belongs to no host: the execution goes to the node's. */
    sg_exec_t exec = sg_actor_exec_init(ns * 1e-9 * node->host_flops_per_s);
    sg_exec_set_host(exec, node->host);
    sg_exec_start(exec);
    sg_exec_wait(exec);
}
