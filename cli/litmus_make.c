/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs from numbers: shapes known to tell consistency levels apart, and random ones, with hints, clocks and pauses
 * scattered among their operations. */
#include "cli/litmus.h"

#include <string.h>

#include "core/rng.h"

enum { REPEATS = 4, PAUSE_BITS = 17 };

/* What is under construction. */
struct maker {
    struct litmus_program *p;
    struct pm_rng rng;
    uint32_t ranks;
    uint32_t n_ops[HISTORY_RANKS];
    uint32_t updates[HISTORY_KEYS]; /* that the keys have been given */
    uint8_t role_of[HISTORY_RANKS]; /* roles of a shape to ranks, at random */
    /* How often, in percent, something stands before an operation. */
    uint32_t localize, intent, clock, pause, wait;
};

static uint32_t draw(struct maker *m, uint32_t n)
{
    return (uint32_t)pm_rng_below(&m->rng, n);
}

static struct litmus_step *step(struct maker *m, uint32_t rank, enum litmus_kind kind, uint32_t amount)
{
    struct litmus_program *p = m->p;
    if (p->n_steps[rank] == LITMUS_STEPS)
        return NULL;
    struct litmus_step *s = &p->steps[rank][p->n_steps[rank]++];
    *s = (struct litmus_step){.kind = (uint8_t)kind, .amount = amount};
    return s;
}

static void hint(struct maker *m, uint32_t rank, enum litmus_kind kind, const uint8_t *keys, uint32_t n)
{
    struct litmus_step *s = step(m, rank, kind, draw(m, 3));
    if (!s)
        return;
    s->n_keys = (uint8_t)n;
    memcpy(s->keys, keys, n);
}

/* What stands before an operation. */
static void scatter(struct maker *m, uint32_t rank, const uint8_t *keys, uint32_t n)
{
    if (draw(m, 100) < m->wait)
        step(m, rank, LITMUS_WAIT, draw(m, 2));
    if (draw(m, 100) < m->clock)
        step(m, rank, LITMUS_CLOCK, 0);
    if (draw(m, 100) < m->pause)
        step(m, rank, LITMUS_PAUSE, 1u << draw(m, PAUSE_BITS));
    if (draw(m, 100) < m->intent)
        hint(m, rank, LITMUS_INTENT, keys, n);
    if (draw(m, 100) < m->localize)
        hint(m, rank, LITMUS_LOCALIZE, keys, n);
}

static void operation(struct maker *m, uint32_t rank, enum litmus_kind kind, const uint8_t *keys, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (kind == LITMUS_PUSH && m->updates[keys[i]] == HISTORY_UPDATES)
            return;
    if (m->n_ops[rank] == LITMUS_OPS)
        return;
    scatter(m, rank, keys, n);
    struct litmus_step *s = step(m, rank, kind, 0);
    if (!s)
        return;
    m->n_ops[rank]++;
    s->n_keys = (uint8_t)n;
    for (uint32_t i = 0; i < n; i++) {
        s->keys[i] = keys[i];
        if (kind == LITMUS_PUSH)
            s->updates[i] = (uint8_t)m->updates[keys[i]]++;
    }
}

static const uint8_t x[] = {0}, y[] = {1}, both[] = {0, 1}, turned[] = {1, 0};

static void push(struct maker *m, uint32_t role)
{
    operation(m, m->role_of[role % m->ranks], LITMUS_PUSH, x, 1);
}

static void pull(struct maker *m, uint32_t role)
{
    operation(m, m->role_of[role % m->ranks], LITMUS_PULL, x, 1);
}

/* ---- shapes; each call is one repetition ---- */

/* A worker reads its own pushes. */
static void own(struct maker *m)
{
    push(m, 0);
    pull(m, 0);
    if (draw(m, 2))
        push(m, 1);
}

/* One pushes, others look on. */
static void stream(struct maker *m)
{
    for (uint32_t i = 2 + draw(m, 2); i > 0; i--)
        push(m, 0);
    for (uint32_t i = 2 + draw(m, 2); i > 0; i--)
        pull(m, 1 + draw(m, 2));
}

/* Each pushes, then looks whether the other has ("store buffering"). */
static void buffers(struct maker *m)
{
    for (uint32_t role = 0; role < 2; role++) {
        push(m, role);
        pull(m, role);
    }
}

/* Independent pushes seen by two readers, in different orders perhaps ("IRIW"). */
static void readers(struct maker *m)
{
    push(m, 0);
    push(m, 1);
    for (uint32_t role = 2; role < 4; role++)
        for (int i = 0; i < 2; i++)
            pull(m, role);
}

/* Who pushes after having seen a push passes it on ("write-to-read causality"). */
static void relay(struct maker *m)
{
    push(m, 0);
    pull(m, 1);
    push(m, 1);
    pull(m, 2);
    pull(m, 2);
}

/* The relay between two neighbours of one node, watched from another. */
static void neighbours(struct maker *m)
{
    const uint32_t w = m->p->workers, first = draw(m, m->ranks) / w * w, second = first + (w > 1);
    uint32_t watcher = (first + w) % m->ranks;
    operation(m, first, LITMUS_PUSH, x, 1);
    operation(m, second, LITMUS_PULL, x, 1);
    operation(m, second, LITMUS_PUSH, x, 1);
    if (draw(m, 2))
        step(m, second, LITMUS_CLOCK, 0);
    for (int i = 0; i < 2; i++)
        operation(m, watcher, LITMUS_PULL, x, 1);
}

/* One node's workers go on accessing a key that others take away: what was sent first may take the longer way. */
static void chase(struct maker *m)
{
    const uint32_t w = m->p->workers, first = draw(m, m->ranks) / w * w, second = first + (w > 1);
    hint(m, (first + w + draw(m, m->ranks)) % m->ranks, LITMUS_LOCALIZE, x, 1);
    operation(m, second, LITMUS_PULL, x, 1);
    for (uint32_t i = 1 + draw(m, 2); i > 0; i--) {
        operation(m, first, LITMUS_PUSH, x, 1);
        operation(m, first, LITMUS_PULL, x, 1);
    }
}

/* Several keys at once, seen in part. */
static void torn(struct maker *m)
{
    operation(m, m->role_of[0], LITMUS_PUSH, both, 2);
    operation(m, m->role_of[1 % m->ranks], LITMUS_PULL, draw(m, 2) ? both : turned, 2);
    if (draw(m, 2))
        operation(m, m->role_of[2 % m->ranks], LITMUS_PUSH, draw(m, 2) ? x : y, 1);
}

static void anything(struct maker *m)
{
    for (uint32_t rank = 0; rank < m->ranks; rank++)
        for (uint32_t i = draw(m, 4); i > 0; i--) {
            uint8_t keys[HISTORY_KEYS] = {0, 1, 2};
            uint8_t first = (uint8_t)(draw(m, 2) ? draw(m, HISTORY_KEYS) : 0);
            keys[0] = first;
            keys[first] = 0;
            uint32_t n = draw(m, 4) ? 1 : 1 + draw(m, HISTORY_KEYS);
            operation(m, rank, draw(m, 2) ? LITMUS_PULL : LITMUS_PUSH, keys, n);
        }
}

static const struct {
    const char *name;
    void (*repeat)(struct maker *m);
} shapes[] = {
    {"own", own},     {"stream", stream},         {"buffers", buffers}, {"readers", readers},
    {"relay", relay}, {"neighbours", neighbours}, {"chase", chase},     {"torn", torn},
    {"anything", anything},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

const char *litmus_shape_name(uint32_t shape)
{
    return shape < SHAPES ? shapes[shape].name : NULL;
}

/* ---- a program ---- */

static uint32_t one_of(struct maker *m, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t which = draw(m, 3);
    return which == 0 ? a : which == 1 ? b : c;
}

static void choose_scatter(struct maker *m, bool asynchronous)
{
    m->localize = one_of(m, 0, 10, 40);
    m->intent = one_of(m, 0, 0, 20);
    m->clock = one_of(m, 0, 20, 60);
    m->pause = one_of(m, 0, 30, 60);
    m->wait = asynchronous ? one_of(m, 0, 10, 30) : 0;
}

/* Makes copies and cached locations before it begins, and has another worker's node take the key. */
static void warm_up(struct maker *m)
{
    for (uint32_t rank = 0; rank < m->ranks; rank++)
        if (draw(m, 2))
            operation(m, rank, LITMUS_PULL, x, 1);
    if (draw(m, 2))
        hint(m, draw(m, m->ranks), LITMUS_LOCALIZE, x, 1);
    for (uint32_t rank = 0; rank < m->ranks; rank++)
        if (litmus_asynchronous(m->p->number) && draw(m, 2))
            step(m, rank, LITMUS_WAIT, 0);
}

static void pad_clocks(struct litmus_program *p, uint32_t ranks)
{
    for (uint32_t rank = 0; rank < ranks; rank++) {
        uint32_t clocks = 0;
        for (uint32_t i = 0; i < p->n_steps[rank]; i++)
            clocks += p->steps[rank][i].kind == LITMUS_CLOCK;
        p->clocks = clocks > p->clocks ? clocks : p->clocks;
    }
}

void litmus_make(uint64_t number, uint32_t nodes, uint32_t workers, struct litmus_program *program)
{
    struct maker m = {.p = program, .ranks = nodes * workers};
    PM_ASSERT(m.ranks > 0 && m.ranks <= HISTORY_RANKS);
    *program = (struct litmus_program){.number = number, .nodes = nodes, .workers = workers};
    pm_rng_init(&m.rng, "litmus", number, nodes, workers);
    for (uint32_t i = 0; i < m.ranks; i++) {
        uint32_t at = draw(&m, i + 1);
        m.role_of[i] = m.role_of[at];
        m.role_of[at] = (uint8_t)i;
    }
    program->shape = draw(&m, SHAPES);
    choose_scatter(&m, litmus_asynchronous(number));
    if (draw(&m, 2))
        warm_up(&m);
    for (uint32_t i = 1 + draw(&m, REPEATS); i > 0; i--)
        shapes[program->shape].repeat(&m);
    pad_clocks(program, m.ranks);
}
