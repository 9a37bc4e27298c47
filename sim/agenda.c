/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The agenda: one actor that sleeps until the earliest of many dates. Dates at the same time keep the order
 * in which they were made. */
#include "sim/sim.h"

#include <stdlib.h>

#include <simgrid/engine.h>

static bool before(const struct sim_date *a, const struct sim_date *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void heap_push(struct sim *sim, const struct sim_date *date)
{
    struct sim_agenda *a = &sim->agenda;
    if (a->n == a->capacity) {
        size_t capacity = a->capacity ? 2 * a->capacity : 256;
        struct sim_date *heap = realloc(a->heap, capacity * sizeof *heap);
        if (heap == NULL)
            sim_fail(sim, PM_E_MEMORY, "out of memory for %zu dates of the simulation", capacity);
        a->heap = heap;
        a->capacity = capacity;
    }
    size_t i = a->n++;
    for (; i > 0 && before(date, &a->heap[(i - 1) / 2]); i = (i - 1) / 2)
        a->heap[i] = a->heap[(i - 1) / 2];
    a->heap[i] = *date;
}

static struct sim_date heap_pop(struct sim_agenda *a)
{
    struct sim_date first = a->heap[0], last = a->heap[--a->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= a->n)
            break;
        if (child + 1 < a->n && before(&a->heap[child + 1], &a->heap[child]))
            child++;
        if (!before(&a->heap[child], &last))
            break;
        a->heap[i] = a->heap[child];
        i = child;
    }
    a->heap[i] = last;
    return first;
}

static void fire(const struct sim_date *date)
{
    date->node->sim->events++;
    switch (date->kind) {
    case SIM_DATE_TICK:
        sim_tick_date(date->node, sim_now_ns());
        break;
    case SIM_DATE_HEAD:
        sim_queue_head(date->node, date->message, date->at_ns);
        break;
    case SIM_DATE_ARRIVAL:
        sim_arrive(date->node, date->message);
        break;
    }
}

/* Waits for the first date, or for an earlier one to come up. A wait of less than SimGrid's precision would
 * take a whole nanosecond (0 for ever): what is due within half of one is due. */
static void agenda_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    struct sim *sim = sg_actor_self_get_data();
    struct sim_agenda *a = &sim->agenda;
    while (!sim->stopping) {
        double wait_ns = a->n > 0 ? a->heap[0].at_ns - simgrid_get_clock() * 1e9 : 0;
        if (a->n > 0 && wait_ns < 0.5) {
            struct sim_date date = heap_pop(a);
            fire(&date);
            continue;
        }
        a->waiting = true;
        if (a->n == 0)
            sg_sem_acquire(a->wake);
        else
            sg_sem_acquire_timeout(a->wake, (wait_ns > 1 ? wait_ns : 1) * 1e-9);
        a->waiting = false;
    }
}

static void agenda_wake(struct sim_agenda *a)
{
    if (!a->waiting)
        return;
    a->waiting = false;
    sg_sem_release(a->wake);
}

void sim_agenda_start(struct sim *sim)
{
    sim->agenda.wake = sg_sem_init(0);
    sg_actor_t actor = sg_actor_init("agenda", sim->nodes[0].host);
    sg_actor_set_data(actor, sim);
    sg_actor_start(actor, agenda_main, 0, NULL);
}

void sim_agenda_add(struct sim *sim, const struct sim_date *date)
{
    struct sim_agenda *a = &sim->agenda;
    struct sim_date ordered = *date;
    ordered.order = a->order++;
    bool first = a->n == 0 || ordered.at_ns < a->heap[0].at_ns;
    heap_push(sim, &ordered);
    if (first)
        agenda_wake(a);
}

void sim_agenda_stop(struct sim *sim)
{
    agenda_wake(&sim->agenda);
}
