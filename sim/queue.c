/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The `queue` network: constant time per message. A node's outgoing link sends one message after another, the
 * route delays each by its latency, the receiver's incoming link takes them in one after another in the order
 * in which their first bytes come. On an idle network a message takes latency + bytes / bandwidth, as on
 * `flow`. Dates are fractions of nanoseconds.  */
#include "sim/sim.h"

#include <math.h>

#include <simgrid/engine.h>

static struct sim_pair *look_up(struct sim_node *from, struct sim_node *to)
{
    struct sim_pair *pair = sim_pair(from, to);
    if (pair->byte_ns <= 0) {
        double bandwidth = sg_host_get_route_bandwidth(from->host, to->host);
        pair->latency_ns = sg_host_get_route_latency(from->host, to->host) * 1e9;
        if (!(bandwidth > 0) || !isfinite(pair->latency_ns))
            sim_fail(from->sim, PM_E_FILE,
                     "platform '%s': the route from host '%s' to host '%s' has no bandwidth",
                     from->sim->settings->platform, sg_host_get_name(from->host), sg_host_get_name(to->host));
        pair->byte_ns = 1e9 / bandwidth;
    }
    return pair;
}

void sim_queue_send(struct sim_node *from, struct sim_node *to, struct pm_message *m)
{
    const struct sim_pair *pair = look_up(from, to);
    double start_ns = fmax(simgrid_get_clock() * 1e9, from->out_free_ns);
    from->out_free_ns = start_ns + m->wire.length_bytes * pair->byte_ns;
    sim_agenda_add(from->sim, &(struct sim_date){.at_ns = start_ns + pair->latency_ns,
                                                 .kind = SIM_DATE_HEAD,
                                                 .node = to,
                                                 .message = m});
}

void sim_queue_head(struct sim_node *to, struct pm_message *m, double at_ns)
{
    const struct sim_pair *pair = look_up(&to->sim->nodes[m->wire.source], to);
    to->in_free_ns = fmax(at_ns, to->in_free_ns) + m->wire.length_bytes * pair->byte_ns;
    sim_agenda_add(to->sim, &(struct sim_date){
                                .at_ns = to->in_free_ns, .kind = SIM_DATE_ARRIVAL, .node = to, .message = m});
}
