/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that reach their owner by detours: one that is asked of a wrong node is split there, each part goes on, and
 * several owners answer parts of it straight to the origin, while other keys of it are put off. Random programs, and the
 * numbers of messages counted by hand. PM_SEED=n runs that seed alone, PM_STEPS sets the steps of each worker, SEEDS how
 * many seeds. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/internal.h"
#include "tests/program.h"
#include "tests/repeat.h"

enum { SEEDS = 60, STEPS = 250, ROUND_NS = 20000 };

/* ---- the policy --------------------------------------------------------------------------------------- */

/* Keys stay with their home, but are looked for elsewhere first. `late`: owners put off the reads of every other key until
 * a round kicks, then those of the others; `park`: so do wrong nodes with all requests, and `wait`: so do the askers. */
struct detour {
    bool late, park, wait;
    uint64_t rounds; /* atomic */
};

static const struct pm_option detour_options[] = {
    {.name = "group", .type = PM_OPT_BOOL, .def = "1", .help = "keys of one destination share a message"},
    {.name = "shared", .type = PM_OPT_BOOL, .def = "1", .help = "shared memory"},
    {.name = "late", .type = PM_OPT_BOOL, .def = "0", .help = "owners put reads off"},
    {.name = "park", .type = PM_OPT_BOOL, .def = "0", .help = "wrong nodes put requests off"},
    {.name = "wait", .type = PM_OPT_BOOL, .def = "0", .help = "askers put accesses off"},
    {.name = NULL},
};

static int detour_init(struct pm_node *node, void *state, const struct pm_values *options, struct pm_traits *traits,
                       struct pm_error *err)
{
    struct detour *d = state;
    (void)node, (void)err;
    d->late = pm_values_bool(options, "late");
    d->park = pm_values_bool(options, "park");
    d->wait = pm_values_bool(options, "wait");
    traits->group = pm_values_bool(options, "group");
    traits->shared_memory = pm_values_bool(options, "shared");
    traits->gate_absent = d->wait;
    traits->promise_sync = PM_SEQUENTIAL; /* a key's requests of one worker all take the same way ... */
    traits->promise_async = d->park || d->wait || d->late ? PM_EVENTUAL : PM_SEQUENTIAL; /* ... but not if some rest */
    return PM_OK;
}

/* The node that a request goes to after so many hops, sent by `self`. */
static pm_node_id next_stop(pm_key key, pm_node_id self, uint32_t nodes, uint32_t hop)
{
    if (hop == 0)
        return (pm_node_id)(pm_hash64(key) % nodes); /* may be the asker itself, or the owner */
    return hop == 1 ? (self + 1) % nodes : pm_home_of(key, nodes);
}

static bool is_put_off(const struct detour *d, pm_key key)
{
    return (key ^ __atomic_load_n(&d->rounds, __ATOMIC_SEQ_CST)) & 1;
}

static pm_node_id detour_route(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, uint32_t hop)
{
    const struct detour *d = state;
    const struct pm_node *node = pm_ctx_node(ctx);
    assert_true(!slot || slot->state == PM_SLOT_ABSENT);
    assert_int_not_equal(pm_home(node, key), pm_node_self(node));
    assert_true(hop <= 2);
    if (d->park && hop == 1 && is_put_off(d, key))
        return pm_node_self(node);
    return next_stop(key, pm_node_self(node), pm_node_count(node), hop);
}

static enum pm_serve detour_serve(struct pm_ctx *ctx, void *state, pm_key key, const struct pm_slot *slot, pm_node_id from,
                                  uint64_t need, uint64_t *stamp)
{
    const struct detour *d = state;
    (void)need, (void)stamp;
    assert_int_equal(slot->state, PM_SLOT_OWNED);
    assert_true(from < pm_node_count(pm_ctx_node(ctx)));
    return d->late && is_put_off(d, key) ? PM_SERVE_LATER : PM_SERVE_VALUE;
}

static enum pm_verdict detour_usable(struct pm_ctx *ctx, void *state, struct pm_worker *worker, pm_key key,
                                     struct pm_slot *slot, enum pm_op_kind op)
{
    (void)ctx, (void)worker, (void)slot, (void)op;
    return is_put_off(state, key) ? PM_WAIT : PM_ASK;
}

static int64_t detour_round(struct pm_ctx *ctx, void *state, int64_t now_ns)
{
    struct detour *d = state;
    if (!d->late && !d->park && !d->wait)
        return PM_TIME_NEVER;
    __atomic_fetch_add(&d->rounds, 1, __ATOMIC_SEQ_CST);
    pm_kick(ctx);
    return now_ns + ROUND_NS;
}

static const struct pm_policy detour = {
    .abi = PM_POLICY_ABI,
    .name = "detour",
    .options = detour_options,
    .node_bytes = sizeof(struct detour),
    .init = detour_init,
    .route = detour_route,
    .serve = detour_serve,
    .usable = detour_usable,
    .round = detour_round,
};

static const struct contract_policy policies[] = {
    {&detour, ""},
    {&detour, "group=0"},
    {&detour, "shared=0"},
    {&detour, "group=0,shared=0"},
    {&detour, "late=1"},
    {&detour, "late=1,group=0,shared=0"},
    {&detour, "park=1"},
    {&detour, "park=1,shared=0"},
    {&detour, "wait=1"},
    {&detour, "late=1,park=1,wait=1"},
    {&detour, "late=1,park=1,wait=1,group=0"},
};
enum { POLICIES = sizeof policies / sizeof *policies };

/* ---- random programs ---------------------------------------------------------------------------------- */

/* What a sort of policy must have caused, or the programs prove nothing. */
struct seen {
    uint64_t accesses, forwarded, parts, partial_replies;
};

static void note(void *arg, const struct pm_message *m, pm_node_id from)
{
    struct seen *seen = arg;
    (void)from;
    bool access = m->wire.kind == PM_MSG_ACCESS, indexed = m->wire.flags & PM_FLAG_INDEXED;
    seen->accesses += access;
    seen->forwarded += access && m->wire.hop > 0;
    seen->parts += access && indexed;
    seen->partial_replies += m->wire.kind == PM_MSG_REPLY && indexed;
    PM_ASSERT(!access || m->wire.hop <= 2, "a request has been forwarded %u times", m->wire.hop);
}

static void programs(void **state)
{
    const struct contract_policy *policy = *state;
    uint64_t first = repeat_number("PM_SEED", 1);
    uint64_t last = getenv("PM_SEED") ? first : repeat_number("SEEDS", SEEDS / REPEAT_SHARE);
    struct seen seen = {0};
    for (uint64_t seed = first; seed <= last; seed++) {
        char further[64];
        struct pm_error err = {0};
        struct program p = {.seed = seed,
                            .policy = policy,
                            .steps = repeat_number("PM_STEPS", STEPS),
                            .no_values = seed % 4 == 0,
                            .sent = note,
                            .sent_arg = &seen};
        snprintf(further, sizeof further, "PM_STEPS=%" PRIu64, p.steps);
        repeat_note(seed, further, policy->options);
        if (program_run(&p, NULL, &err) != PM_OK) {
            repeat_line(err.text, seed, further, *policy->options ? policy->options : "plain");
            fail_msg("seed %" PRIu64 " fails", seed);
        }
    }
    assert_true(getenv("PM_SEED") || (seen.forwarded > 0 && seen.forwarded < seen.accesses && seen.parts > 0 &&
                                      seen.partial_replies > 0));
    printf("%" PRIu64 " requests, %" PRIu64 " forwarded, %" PRIu64 " of them parts; %" PRIu64 " partial replies\n",
           seen.accesses, seen.forwarded, seen.parts, seen.partial_replies);
}

/* ---- messages counted --------------------------------------------------------------------------------- */

enum { COUNT_NODES = 5, COUNT_KEYS = 60 };

struct count {
    uint64_t accesses, replies;
};
struct counting {
    struct count expected, found;
    bool group, shared;
    pm_key keys[COUNT_KEYS];
    uint32_t n;
};

/* A request for these keys is at `at` after `hop` hops. */
static void follow(struct count *c, pm_node_id at, uint32_t hop, const pm_key *keys, uint32_t n)
{
    uint32_t owned = 0;
    c->accesses++;
    for (uint32_t i = 0; i < n; i++)
        owned += pm_home_of(keys[i], COUNT_NODES) == at;
    c->replies += owned > 0;
    for (pm_node_id to = 0; to < COUNT_NODES; to++) {
        pm_key part[COUNT_KEYS];
        uint32_t m = 0;
        for (uint32_t i = 0; i < n; i++)
            if (pm_home_of(keys[i], COUNT_NODES) != at && next_stop(keys[i], at, COUNT_NODES, hop + 1) == to)
                part[m++] = keys[i];
        if (m)
            follow(c, to, hop + 1, part, m);
    }
}

/* What one operation on all keys must send. */
static void expect(struct counting *c, pm_node_id self)
{
    for (pm_node_id to = 0; to < COUNT_NODES; to++) {
        pm_key part[COUNT_KEYS];
        uint32_t m = 0;
        for (uint32_t i = 0; i < c->n; i++) {
            bool here = pm_home_of(c->keys[i], COUNT_NODES) == self;
            if (here && c->shared)
                continue;
            if ((here ? self : next_stop(c->keys[i], self, COUNT_NODES, 0)) == to)
                part[m++] = c->keys[i];
        }
        if (c->group && m)
            follow(&c->expected, to, 0, part, m);
        for (uint32_t i = 0; i < m && !c->group; i++)
            follow(&c->expected, to, 0, &part[i], 1);
    }
}

static void count(void *arg, const struct pm_message *m, pm_node_id from)
{
    struct counting *c = arg;
    (void)from;
    c->found.accesses += m->wire.kind == PM_MSG_ACCESS;
    c->found.replies += m->wire.kind == PM_MSG_REPLY;
}

static int read_and_add(struct pm_worker *w, void *arg)
{
    struct counting *c = arg;
    float values[COUNT_KEYS * 2], ones[COUNT_KEYS * 2];
    for (uint32_t i = 0; i < 2 * c->n; i++)
        ones[i] = 1;
    pm_ticket ticket = pm_push(w, c->keys, c->n, ones);
    int code = ticket < 0 ? (int)ticket : pm_wait(w, ticket);
    if (code == PM_OK)
        code = pm_barrier(w);
    ticket = code == PM_OK ? pm_pull(w, c->keys, c->n, values) : code;
    code = ticket < 0 ? (int)ticket : pm_wait(w, ticket);
    for (uint32_t i = 0; i < 2 * c->n && code == PM_OK; i++)
        if (values[i] != testload_initial(c->keys[i / 2], i % 2) + COUNT_NODES)
            code = pm_worker_fail(w, PM_E_INTERNAL, "key %u of the operation has a wrong value", i / 2);
    return code;
}

static void run_counted(struct counting *c)
{
    char options[64];
    struct testjob t;
    struct pm_error err = {0};
    const struct testload_shape shape = {.keys = COUNT_KEYS, .length = 2};
    const struct memnet_config config = {.seed = 1, .sent = count, .arg = c};
    snprintf(options, sizeof options, "group=%d,shared=%d", c->group, c->shared);
    assert_int_equal(testjob_init(&t, &detour, options, &shape, &err), PM_OK);
    testjob_cluster(&t, COUNT_NODES, 1);
    t.job.main = read_and_add;
    t.job.main_arg = c;
    if (memnet_run(&t.job, &config, NULL, &err) != PM_OK)
        fail_msg("%s: %s", options, err.text);
    testjob_free(&t);
}

static void message_counts(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct counting c = {.group = kind & 1, .shared = kind & 2, .n = COUNT_KEYS};
        for (uint32_t i = 0; i < c.n; i++)
            c.keys[i] = (i * 7) % COUNT_KEYS;
        for (pm_node_id self = 0; self < COUNT_NODES; self++) {
            expect(&c, self);
            expect(&c, self);
        }
        run_counted(&c);
        assert_int_equal(c.found.accesses, c.expected.accesses);
        assert_int_equal(c.found.replies, c.expected.replies);
    }
}

/* One key at a time, by where it is asked for first: the owner, its neighbour before it, any other. */
static void three_messages_instead_of_two(void **state)
{
    (void)state;
    uint32_t tried[4] = {0};
    for (pm_key key = 0; key < COUNT_KEYS; key++) {
        struct counting c = {.group = true, .shared = true, .n = 1, .keys = {key}};
        pm_node_id owner = pm_home_of(key, COUNT_NODES), first = next_stop(key, 0, COUNT_NODES, 0);
        uint32_t hops = first == owner ? 1 : (first + 1) % COUNT_NODES == owner ? 2 : 3;
        run_counted(&c);
        assert_int_equal(c.found.replies, 2 * (COUNT_NODES - 1));
        assert_int_equal(c.found.accesses, 2 * (COUNT_NODES - 1) * hops);
        tried[hops]++;
    }
    assert_true(tried[1] && tried[2] && tried[3]);
}

int main(int argc, char **argv)
{
    struct CMUnitTest tests[POLICIES + 2];
    size_t n = 0;
    for (; n < POLICIES; n++)
        tests[n] = (struct CMUnitTest){*policies[n].options ? policies[n].options : "plain", programs, NULL, NULL,
                                       (void *)&policies[n]};
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(message_counts);
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(three_messages_instead_of_two);
    return repeat_main(argc, argv, "forwarding", tests, n);
}
