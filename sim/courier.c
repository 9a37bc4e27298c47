/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Couriers: actors that carry one message each over SimGrid's network and then play the receiver's
 * communicator if nobody else does. Idle ones are used again, the last one first. */
#include "sim/sim.h"

#include <stdlib.h>

struct sim_pair *sim_pair(struct sim_node *from, const struct sim_node *to)
{
    if (from->pairs == NULL)
        from->pairs = sim_new(from->sim, from->sim->n_nodes, sizeof *from->pairs);
    return &from->pairs[to->id];
}

/* ---- the pool ---- */

/* The courier's message has crossed the network: it and those that only waited for it go into the inbox. */
static void hand_over(struct sim_courier *c)
{
    struct sim_pair *pair = sim_pair(c->from, c->to);
    c->message->sent_bytes = c->message->wire.length_bytes;
    while (pair->first != NULL && pair->first->sent_bytes > 0) {
        struct pm_message *m = pair->first;
        pair->first = m->next;
        sim_inbox_add(c->to, m);
    }
}

static void rest(struct sim_courier *c)
{
    c->to = NULL;
    c->next = c->sim->idle;
    c->sim->idle = c;
}

void sim_rest_early(struct sim_node *node)
{
    if (node->inbox_first != NULL || node->tick_due || node->agent.pending_ns >= 1)
        return;
    node->server->resting = true;
    rest(node->server);
}

static void courier_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    struct sim_courier *c = sg_actor_self_get_data();
    struct sim *sim = c->sim;
    for (;;) {
        while (c->to == NULL && !sim->stopping) {
            c->waiting = true;
            sg_sem_acquire(c->wake);
        }
        if (c->to == NULL)
            return;
        if (c->from != NULL) {
            sg_host_sendto(c->from->host, c->to->host, c->message->wire.length_bytes);
            sim->events++;
            hand_over(c);
        }
        struct sim_node *node = c->to;
        struct pm_message *next = sim_serve(node, c);
        if (c->resting) {
            c->resting = false;
            continue;
        }
        if (next != NULL) {
            c->from = node;
            c->to = &sim->nodes[next->destination];
            c->message = next;
            continue;
        }
        rest(c);
    }
}

static struct sim_courier *new_courier(struct sim *sim)
{
    if (sim->n_couriers == SIM_COURIERS_MAX)
        sim_fail(sim, PM_E_LIMIT,
                 "more than %d messages under way at once; --network queue has no such limit",
                 SIM_COURIERS_MAX);
    sim->n_couriers++;
    struct sim_courier *c = sim_new(sim, 1, sizeof *c);
    c->sim = sim;
    c->wake = sg_sem_init(0);
    return c;
}

static void assign(struct sim *sim, struct sim_node *from, struct sim_node *to, struct pm_message *m)
{
    struct sim_courier *c = sim->idle;
    bool made = c == NULL;
    if (made)
        c = new_courier(sim);
    else
        sim->idle = c->next;
    c->from = from;
    c->to = to;
    c->message = m;
    if (made) {
        sg_actor_t actor = sg_actor_init("courier", to->host);
        sg_actor_set_data(actor, c);
        sg_actor_start(actor, courier_main, 0, NULL);
    } else if (c->waiting) {
        c->waiting = false;
        sg_sem_release(c->wake);
    }
}

void sim_couriers_stop(struct sim *sim)
{
    while (sim->idle != NULL) {
        struct sim_courier *c = sim->idle;
        sim->idle = c->next;
        if (c->waiting) {
            c->waiting = false;
            sg_sem_release(c->wake);
        }
    }
}

/* ---- sending and arriving ---- */

void sim_inbox_add(struct sim_node *node, struct pm_message *m)
{
    m->next = NULL;
    if (node->inbox_first == NULL)
        node->inbox_first = m;
    else
        node->inbox_last->next = m;
    node->inbox_last = m;
    node->inbox_bytes += sim_inbox_bytes(m);
    sim_check_memory(node);
}

void sim_call_server(struct sim_node *node)
{
    if (node->serving || node->server_called)
        return;
    node->server_called = true;
    assign(node->sim, NULL, node, NULL);
}

void sim_arrive(struct sim_node *node, struct pm_message *m)
{
    sim_inbox_add(node, m);
    sim_call_server(node);
}

/* Counts a message; true when it still has to cross SimGrid's network. */
static bool begin(struct sim_node *from, struct sim_node *to, struct pm_message *m, bool background)
{
    struct sim *sim = from->sim;
    m->next = NULL;
    m->spare = background;
    m->sent_bytes = 0;
    sim->under_way++;
    sim->foreground += !background;
    if (to == from || (m->wire.flags & PM_FLAG_UNCHARGED)) {
        sim_arrive(to, m);
        return false;
    }
    if (sim->settings->network == SIM_QUEUE) {
        sim_queue_send(from, to, m);
        return false;
    }
    struct sim_pair *pair = sim_pair(from, to);
    if (pair->first == NULL)
        pair->first = m;
    else
        pair->last->next = m;
    pair->last = m;
    return true;
}

void sim_send(struct sim_node *from, struct pm_message *m, bool background)
{
    struct sim_node *to = &from->sim->nodes[m->destination];
    if (begin(from, to, m, background))
        assign(from->sim, from, to, m);
}

void sim_send_last(struct sim_node *from, struct pm_message *m)
{
    struct sim_node *to = &from->sim->nodes[m->destination];
    if (!begin(from, to, m, from->agent.background))
        return;
    if (from->inbox_first == NULL && !from->tick_due && from->agent.pending_ns < 1)
        from->carry = m;
    else
        assign(from->sim, from, to, m);
}
