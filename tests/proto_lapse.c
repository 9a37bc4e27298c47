/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lapse: when hints are acted on, message by message; and random programs in which every worker adds to an element of its
 * own, so that each value tells which of its operations it contains: asynchronous operations of one worker on one key take
 * effect in their order, whatever moves. PM_SEED=n runs that seed alone, SEEDS sets how many. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/pm.h"
#include "memnet/memnet.h"
#include "memnet/preempt.h"
#include "tests/hand.h"
#include "tests/repeat.h"

extern const struct pm_policy pm_policy_lapse;

/* ---- hints ------------------------------------------------------------------------------------------- */

enum { LENGTH = 2 };

static struct hand *cluster(const char *options)
{
    return hand_new(&(struct hand_config){
        .policy = &pm_policy_lapse, .options = options, .nodes = 3, .workers = 2, .keys = 64, .length = LENGTH});
}

static void intend(struct hand *h, uint32_t worker, pm_key key, pm_clock start, pm_clock end)
{
    assert_int_equal(pm_intent(hand_worker(h, 0, worker), &key, 1, start, end), PM_OK);
}

static void advance(struct hand *h, uint32_t worker)
{
    assert_int_equal(pm_advance_clock(hand_worker(h, 0, worker)), PM_OK);
}

static void finish(struct hand *h)
{
    hand_pass_all(h);
    hand_free(h);
}

/* A key is asked for one clock before the batch that needs it. */
static void intents_are_acted_on_ahead(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    pm_key soon = hand_key(h, 1, 0), later = hand_key(h, 1, 1), last = hand_key(h, 2, 0);
    intend(h, 0, soon, 1, 2);
    assert_string_equal(hand_sent(h), "0>1 relocate 1");
    intend(h, 0, later, 3, 4);
    intend(h, 0, last, 3, 4);
    advance(h, 0);
    assert_string_equal(hand_sent(h), "");
    advance(h, 1); /* another worker's clock is another one */
    advance(h, 1);
    advance(h, 1);
    assert_string_equal(hand_sent(h), "");
    advance(h, 0);
    assert_string_equal(hand_sent(h), "0>1 relocate 1, 0>2 relocate 1");
    advance(h, 0);
    assert_string_equal(hand_sent(h), "");
    finish(h);
}

static void ahead_by_more_or_not_at_all(void **state)
{
    (void)state;
    struct hand *h = cluster("ahead=3");
    intend(h, 0, hand_key(h, 1, 0), 3, 4);
    assert_string_equal(hand_sent(h), "0>1 relocate 1");
    intend(h, 0, hand_key(h, 1, 1), 4, 5);
    assert_string_equal(hand_sent(h), "");
    advance(h, 0);
    assert_string_equal(hand_sent(h), "0>1 relocate 1");
    finish(h);
    h = cluster("ahead=0");
    intend(h, 0, hand_key(h, 1, 0), 1, 2);
    assert_string_equal(hand_sent(h), "");
    advance(h, 0);
    assert_string_equal(hand_sent(h), "0>1 relocate 1");
    finish(h);
}

/* Localize does not wait, whatever the option says. */
static void localize_acts_at_once(void **state)
{
    (void)state;
    struct hand *h = cluster("ahead=0");
    hand_localize(h, 0, hand_key(h, 1, 0));
    assert_string_equal(hand_sent(h), "0>1 relocate 1");
    finish(h);
}

/* What several intents want at the same clock leaves in one message, a key once. */
static void one_message_per_clock(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    for (uint32_t i = 0; i < 12; i++) /* starts in no order, far more intents than one */
        intend(h, 0, hand_key(h, 1, i), 5 - i % 3, 9);
    intend(h, 0, hand_key(h, 1, 0), 5, 6);
    hand_sent(h);
    advance(h, 0);
    assert_string_equal(hand_sent(h), "");
    advance(h, 0); /* clock 2: those of 3 */
    assert_string_equal(hand_sent(h), "0>1 relocate 4");
    advance(h, 0);
    assert_string_equal(hand_sent(h), "0>1 relocate 4");
    advance(h, 0);
    assert_string_equal(hand_sent(h), "0>1 relocate 4");
    advance(h, 0);
    assert_string_equal(hand_sent(h), "");
    finish(h);
}

/* The worker is past the end of it, or it never begins. */
static void expired_intents_do_nothing(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    advance(h, 0);
    advance(h, 0);
    intend(h, 0, hand_key(h, 1, 0), 0, 2);
    intend(h, 0, hand_key(h, 1, 1), 2, 2);
    intend(h, 0, hand_key(h, 1, 2), 3, 3);
    intend(h, 0, hand_key(h, 2, 0), 9, 9);
    for (int i = 0; i < 10; i++)
        advance(h, 0);
    assert_string_equal(hand_sent(h), "");
    intend(h, 0, hand_key(h, 1, 3), 3, 13); /* has begun */
    assert_string_equal(hand_sent(h), "0>1 relocate 1");
    finish(h);
}

/* Latency hiding: what was hinted in time is local when it is used. */
static void hinted_keys_are_local(void **state)
{
    (void)state;
    struct hand *h = cluster("");
    struct pm_worker *w = hand_worker(h, 0, 0);
    for (uint32_t batch = 0; batch < 10; batch++)
        intend(h, 0, hand_key(h, 1 + batch % 2, batch / 2), batch + 1, batch + 2);
    for (uint32_t batch = 0; batch < 10; batch++) {
        float out[LENGTH];
        hand_pass_all(h);
        advance(h, 0);
        assert_int_equal(hand_pull(h, 0, 0, hand_key(h, 1 + batch % 2, batch / 2), out), PM_DONE);
        assert_int_equal(hand_push(h, 0, 0, hand_key(h, 1 + batch % 2, batch / 2), 1), PM_DONE);
    }
    assert_int_equal(w->ctx.counters.reads[PM_HOW_LOCAL], 10);
    assert_int_equal(w->ctx.counters.keys_asked[0], 10);
    finish(h);
}

/* ---- random order ------------------------------------------------------------------------------------ */

enum { SEEDS = 200, KEYS = 5, RANKS_MAX = 8, OPEN_MAX = 16, STEPS = 300 };

struct sort {
    const char *options;
    bool waits; /* for each operation, before the next */
};

static const struct sort sorts[] = {
    {"", false}, {"fast_local=0", false}, {"location_cache=1", true}, {"location_cache=1,fast_local=0", true}};

struct order_world {
    const struct sort *sort;
    uint64_t seed;
    uint32_t pushed[KEYS][RANKS_MAX]; /* begun, per worker */
};

struct order_op {
    pm_ticket ticket;
    pm_key key;
    bool pull;
    uint32_t own;              /* of a pull: own pushes before it */
    uint32_t least[RANKS_MAX]; /* of a pull: what an earlier one has seen */
    float values[RANKS_MAX];
};

struct order_worker {
    struct order_world *world;
    struct pm_worker *w;
    uint32_t rank, first, n_open;
    struct order_op ops[OPEN_MAX]; /* a ring: [first, first + n_open) are open, in their order */
};

static int wrong(struct order_worker *o, const struct order_op *op, uint32_t of, float found, uint32_t expected)
{
    return pm_worker_fail(o->w, PM_E_INTERNAL, "worker %u: a pull of key %" PRIu64 " has %g pushes of worker %u, not %u",
                          o->rank, op->key, (double)found, of, expected);
}

/* Own pushes: exactly those before it. Those of others: no fewer than earlier pulls have seen. */
static int check_order(struct order_worker *o, const struct order_op *op)
{
    for (uint32_t of = 0; of < RANKS_MAX; of++) {
        float found = op->values[of] - testload_initial(op->key, of);
        if (of == o->rank && found != (float)op->own)
            return wrong(o, op, of, found, op->own);
        if (found < (float)op->least[of] || found > (float)o->world->pushed[op->key][of])
            return wrong(o, op, of, found, op->least[of]);
        for (uint32_t i = 0; i < o->n_open; i++) { /* all that are left came later */
            struct order_op *later = &o->ops[(o->first + i) % OPEN_MAX];
            if (later->pull && later->key == op->key && later->least[of] < (uint32_t)found)
                later->least[of] = (uint32_t)found;
        }
    }
    return PM_OK;
}

static int finish_first(struct order_worker *o)
{
    struct order_op *op = &o->ops[o->first];
    int code = pm_wait(o->w, op->ticket);
    o->first = (o->first + 1) % OPEN_MAX;
    o->n_open--;
    return code == PM_OK && op->pull ? check_order(o, op) : code;
}

static int finish_some(struct order_worker *o, uint32_t left)
{
    int code = PM_OK;
    while (o->n_open > left && code == PM_OK)
        code = finish_first(o);
    return code;
}

static int begin(struct order_worker *o, pm_key key, bool pull)
{
    struct order_op *op = &o->ops[(o->first + o->n_open) % OPEN_MAX];
    *op = (struct order_op){.key = key, .pull = pull};
    if (pull) {
        op->own = o->world->pushed[key][o->rank];
        op->ticket = pm_pull(o->w, &key, 1, op->values);
    } else {
        op->values[o->rank] = 1;
        o->world->pushed[key][o->rank]++;
        op->ticket = pm_push(o->w, &key, 1, op->values);
    }
    if (op->ticket < 0)
        return (int)op->ticket;
    o->n_open++;
    return finish_some(o, o->world->sort->waits ? 0 : OPEN_MAX - 1);
}

static int order_step(struct order_worker *o, struct pm_rng *rng)
{
    pm_key keys[2] = {pm_rng_below(rng, KEYS), pm_rng_below(rng, KEYS)};
    uint64_t dice = pm_rng_below(rng, 100);
    if (dice < 40)
        return begin(o, keys[0], true);
    if (dice < 75)
        return begin(o, keys[0], false);
    if (dice < 85)
        return pm_localize(o->w, keys, 2);
    if (dice < 90)
        return pm_intent(o->w, keys, 2, pm_worker_clock(o->w) + 2, pm_worker_clock(o->w) + 3);
    if (dice < 95)
        return pm_advance_clock(o->w);
    return finish_some(o, (uint32_t)pm_rng_below(rng, OPEN_MAX));
}

static int order_main(struct pm_worker *w, void *arg)
{
    struct order_worker *o = calloc(1, sizeof *o);
    struct pm_rng rng;
    if (!o)
        return PM_E_MEMORY;
    o->world = arg;
    o->w = w;
    o->rank = pm_worker_rank(w);
    pm_rng_init(&rng, "order", o->world->seed, PM_RNG_NOBODY, o->rank);
    int code = PM_OK;
    for (int i = 0; i < STEPS && code == PM_OK; i++)
        code = order_step(o, &rng);
    if (code == PM_OK)
        code = finish_some(o, 0);
    free(o);
    return code == PM_OK ? pm_drain(w) : code;
}

/* One program; PM_OK or its error. */
static int run_order(const struct sort *sort, uint64_t seed, struct memnet_result *result, struct pm_error *err)
{
    struct order_world world = {.sort = sort, .seed = seed};
    const struct testload_shape shape = {.keys = KEYS, .length = RANKS_MAX};
    struct pm_policy preempted;
    struct testjob t;
    uint64_t bits = pm_hash64(seed);
    const struct memnet_config config = {
        .seed = seed,
        .mode = (enum memnet_mode)(bits % MEMNET_MODES),
        .latches = true,
        .dense = bits >> 8 & 1,
        .preempt = (bits >> 8 & 3) == 3,
        .postpone_percent = (unsigned)(bits >> 16 & 3) * 15,
        .max_events = 1000000,
    };
    int code = testjob_init(&t, &pm_policy_lapse, sort->options, &shape, err);
    if (code != PM_OK)
        return code;
    testjob_cluster(&t, 2 + (uint32_t)(bits >> 24) % 3, 1 + (uint32_t)(bits >> 32) % 2);
    if (config.preempt) {
        preempt_policy(&pm_policy_lapse, &preempted);
        t.job.policy = &preempted;
    }
    t.job.seed = seed;
    t.job.main = order_main;
    t.job.main_arg = &world;
    code = memnet_run(&t.job, &config, result, err);
    testjob_free(&t);
    return code;
}

static void operations_keep_their_order(void **state)
{
    const struct sort *sort = *state;
    const char *test = *sort->options ? sort->options : "asynchronous";
    uint64_t first = repeat_number("PM_SEED", 1), events = 0;
    uint64_t last = getenv("PM_SEED") ? first : repeat_number("SEEDS", SEEDS / REPEAT_SHARE);
    for (uint64_t seed = first; seed <= last; seed++) {
        struct memnet_result result;
        struct pm_error err = {0};
        repeat_note(seed, "", test);
        int code = run_order(sort, seed, &result, &err);
        events += result.events;
        if (code == PM_OK)
            continue;
        repeat_line(err.text, seed, "", test);
        fail_msg("seed %" PRIu64 " fails after %" PRIu64 " events in all: %s", seed, events, err.text);
    }
    printf("%" PRIu64 " events\n", events);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intents_are_acted_on_ahead),
        cmocka_unit_test(ahead_by_more_or_not_at_all),
        cmocka_unit_test(localize_acts_at_once),
        cmocka_unit_test(one_message_per_clock),
        cmocka_unit_test(expired_intents_do_nothing),
        cmocka_unit_test(hinted_keys_are_local),
        {"asynchronous", operations_keep_their_order, NULL, NULL, (void *)&sorts[0]},
        {"fast_local=0", operations_keep_their_order, NULL, NULL, (void *)&sorts[1]},
        {"location_cache=1", operations_keep_their_order, NULL, NULL, (void *)&sorts[2]},
        {"location_cache=1,fast_local=0", operations_keep_their_order, NULL, NULL, (void *)&sorts[3]},
    };
    return repeat_main(argc, argv, "lapse", tests, sizeof tests / sizeof *tests);
}
