/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A node's communicator: a role that whichever courier comes by plays until there is nothing left to do. It
 * sleeps what its work costs before it sends or wakes, and before it stops. Also here: ticks, and the
 * watchdog that tells a cluster whose periodic work goes on for ever from one that gets somewhere. */
#include "sim/sim.h"

/* ---- ticks ---- */

void sim_tick_at(struct sim_node *node, int64_t at_ns)
{
    if (at_ns >= node->tick_at_ns)
        return;
    node->tick_at_ns = at_ns;
    sim_agenda_add(node->sim,
                   &(struct sim_date){.at_ns = (double)at_ns, .kind = SIM_DATE_TICK, .node = node});
}

static _Noreturn void report_no_progress(struct sim *sim, int64_t now_ns)
{
    char waits[PM_ERROR_TEXT_SIZE];
    sim_describe_waits(sim, waits, sizeof waits);
    sim_fail(sim, PM_E_PROGRESS, "no progress from %.6f s to %.6f s but periodic work: %s",
             (double)sim->quiet_since_ns * 1e-9, (double)now_ns * 1e-9, waits);
}

/* Whatever could make a worker go on ends the quiet: a message that descends from a worker's, or a worker
 * that does not wait. */
static void watch(struct sim *sim, int64_t now_ns)
{
    if (sim->foreground > 0 || sim->blocked < sim->live) {
        sim->quiet_since_ns = PM_TIME_NEVER;
        return;
    }
    if (sim->quiet_since_ns == PM_TIME_NEVER) {
        sim->quiet_since_ns = now_ns;
        sim->quiet_ticks = 0;
    }
    if (++sim->quiet_ticks > SIM_QUIET_TICKS && now_ns - sim->quiet_since_ns > SIM_QUIET_NS)
        report_no_progress(sim, now_ns);
}

void sim_tick_date(struct sim_node *node, int64_t now_ns)
{
    struct sim *sim = node->sim;
    /* Dates that an earlier one has overtaken stay in the agenda and mean nothing. */
    if (node->tick_at_ns > now_ns || sim->live == 0)
        return;
    node->tick_at_ns = PM_TIME_NEVER;
    watch(sim, now_ns);
    node->tick_due = true;
    sim_call_server(node);
}

static void tick(struct sim_node *node)
{
    node->tick_due = false;
    node->agent.background = true;
    int64_t now_ns = sim_now_ns(), next_ns = pm_node_tick(node->communicator, now_ns);
    pm_ctx_deliver(node->communicator);
    sim_check_memory(node);
    /* A tick that asks for the present again would stop time. */
    sim_tick_at(node, next_ns > now_ns ? next_ns : now_ns + 1);
}

/* ---- messages ---- */

static void handle(struct sim_node *node)
{
    struct sim *sim = node->sim;
    struct pm_message *m = node->inbox_first;
    struct pm_error err = {0};
    bool background = m->spare != 0;
    node->inbox_first = m->next;
    node->inbox_bytes -= sim_inbox_bytes(m);
    m->next = NULL;
    node->agent.background = background;
    int rc = pm_message_check(m, m->stored_bytes, sim->job.with_values);
    if (rc == PM_OK)
        rc = pm_node_receive(node->communicator, m, &err);
    if (rc != PM_OK)
        sim_fail(sim, rc, "node %u refused a message: %s", node->id,
                 err.text[0] ? err.text : pm_strerror(rc));
    pm_ctx_deliver(node->communicator);
    sim->under_way--;
    sim->foreground -= !background;
    sim_check_memory(node);
}

static bool has_work(const struct sim_node *node)
{
    return node->inbox_first != NULL || (node->tick_due && node->sim->live > 0);
}

struct pm_message *sim_serve(struct sim_node *node, struct sim_courier *server)
{
    node->server_called = false;
    if (node->serving)
        return NULL;
    node->serving = true;
    node->server = server;
    node->sim->n_serving++;
    while (!server->resting) {
        if (node->tick_due && node->sim->live > 0)
            tick(node);
        else if (node->inbox_first != NULL)
            handle(node);
        else if (!sim_spend(node->communicator))
            break;
    }
    node->serving = false;
    node->sim->n_serving--;
    struct pm_message *carry = node->carry;
    node->carry = NULL;
    if (server->resting && has_work(node))
        sim_call_server(node);
    sim_stop_if_done(node->sim);
    return carry;
}
