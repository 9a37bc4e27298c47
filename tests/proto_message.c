/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The encoding of messages: lengths, parts, and the checks of everything that is received. The second half
 * mutates messages of running clusters and gives them to nodes: each is taken, or refused with PM_E_MESSAGE
 * and nothing changed. PM_SEED=n runs that cluster alone, RUNS sets how many there are. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/internal.h"
#include "core/registry.h"
#include "tests/contract.h"
#include "memnet/state.h"
#include "tests/repeat.h"
#include "tests/scenario.h"

extern const struct pm_policy pm_policy_bounded;

enum { RUNS = 12000, MUTATIONS = 40 };

/* ---- the encoding ---- */

static struct pm_message *example(uint8_t kind, bool indexed, bool with_values)
{
    bool keys = kind <= PM_MSG_PARTIAL;
    struct pm_shape shape = {.n_keys = keys ? 5 : 0,
                             .n_floats = keys ? 15 : 0,
                             .blob_bytes = kind >= PM_MSG_BARRIER ? 24 : 0,
                             .indexed = indexed,
                             .with_values = with_values};
    struct pm_message *m = pm_message_new(kind, &shape);
    assert_non_null(m);
    return m;
}

static bool may_be_indexed(uint8_t kind)
{
    return kind == PM_MSG_ACCESS || kind == PM_MSG_REPLY;
}

/* The length that is charged is where the last part ends. */
static void lengths(void **state)
{
    (void)state;
    for (uint8_t kind = 0; kind < PM_MSG_KINDS; kind++)
        for (int variant = 0; variant < 4; variant++) {
            bool indexed = variant & 1, with_values = variant & 2;
            if (indexed && !may_be_indexed(kind))
                continue;
            struct pm_message *m = example(kind, indexed, with_values);
            char *start = (char *)&m->wire;
            size_t stored = with_values ? 4u * m->wire.n_floats : 0;
            size_t end = (size_t)((char *)pm_message_values(m) - start) + stored;
            if (kind >= PM_MSG_BARRIER)
                end += 24;
            assert_int_equal(m->stored_bytes, end);
            assert_int_equal(m->wire.length_bytes, end + (with_values ? 0 : 4u * m->wire.n_floats));
            assert_int_equal((uintptr_t)pm_message_keys(m) % 8, 0);
            assert_int_equal((uintptr_t)pm_message_values(m) % 4, 0);
            assert_int_equal(pm_message_check(m, m->stored_bytes, with_values), PM_OK);
            pm_message_free(m);
        }
}

/* Every part written to its end and read back from a copy of the bytes. */
static void parts(void **state)
{
    (void)state;
    struct pm_message *m = example(PM_MSG_ACCESS, true, true);
    for (uint32_t i = 0; i < 5; i++) {
        pm_message_keys(m)[i] = UINT64_C(0x1122334455667700) + i;
        ((uint32_t *)pm_message_meta(m))[i] = 1000 + i;
    }
    for (uint32_t i = 0; i < 15; i++)
        pm_message_values(m)[i] = (float)i / 3;
    struct pm_message *copy = pm_message_raw(m->wire.length_bytes);
    assert_non_null(copy);
    memcpy(&copy->wire, &m->wire, m->wire.length_bytes);
    pm_message_free(m);
    assert_int_equal(pm_message_check(copy, copy->stored_bytes, true), PM_OK);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(pm_message_keys(copy)[i], UINT64_C(0x1122334455667700) + i);
        assert_int_equal(((uint32_t *)pm_message_meta(copy))[i], 1000 + i);
    }
    for (uint32_t i = 0; i < 15; i++)
        assert_true(pm_message_values(copy)[i] == (float)i / 3);
    pm_message_free(copy);
}

static int check_with(struct pm_wire wire, uint32_t received, bool with_values)
{
    struct pm_message m = {.wire = wire};
    return pm_message_check(&m, received, with_values);
}

/* Each field that the header alone decides, one step off. */
static void header_fields(void **state)
{
    (void)state;
    for (uint8_t kind = 0; kind < PM_MSG_KINDS; kind++) {
        struct pm_message *m = example(kind, false, true);
        struct pm_wire good = m->wire, bad;
        uint32_t length = m->stored_bytes;
        pm_message_free(m);
        assert_int_equal(check_with(good, length, true), PM_OK);
        assert_int_equal(check_with(good, length - 1, true), PM_E_MESSAGE);
        assert_int_equal(check_with(good, length + 1, true), PM_E_MESSAGE);
        assert_int_equal(check_with(good, 0, true), PM_E_MESSAGE);
        assert_int_equal(check_with(good, PM_WIRE_BYTES - 1, true), PM_E_MESSAGE);
        if (good.n_floats)
            assert_int_equal(check_with(good, length, false), PM_E_MESSAGE);
        for (unsigned flag = 0; flag < 8; flag++) {
            bad = good;
            bad.flags = (uint8_t)(1u << flag);
            bool known = flag == 0 || (may_be_indexed(kind) && flag < 4);
            if (!known)
                assert_int_equal(check_with(bad, length, true), PM_E_MESSAGE);
        }
        for (int off = -1; off <= 1; off += 2) {
            bad = good;
            bad.n_floats += (uint32_t)off;
            assert_int_equal(check_with(bad, length, true), PM_E_MESSAGE);
            bad = good;
            bad.n_keys += (uint32_t)off;
            /* the keys of a reply are in its origin's memory: the node checks their number */
            if (kind != PM_MSG_REPLY)
                assert_int_equal(check_with(bad, length, true), PM_E_MESSAGE);
            bad = good;
            bad.length_bytes += (uint32_t)off;
            assert_int_equal(check_with(bad, length, true), PM_E_MESSAGE);
        }
        bad = good;
        bad.kind = (uint8_t)(PM_MSG_KINDS + kind);
        assert_int_equal(check_with(bad, length, true), PM_E_MESSAGE);
        bad = good;
        bad.n_keys = bad.n_floats = UINT32_MAX;
        assert_int_equal(check_with(bad, length, true), PM_E_MESSAGE);
        bad.length_bytes = length = PM_MESSAGE_BYTES_MAX + 1;
        assert_int_equal(check_with(bad, length, true), PM_E_MESSAGE);
    }
}

static void limits(void **state)
{
    (void)state;
    struct pm_shape huge = {.n_floats = PM_MESSAGE_BYTES_MAX / 4, .with_values = false};
    assert_null(pm_message_new(PM_MSG_REPLY, &huge));
    huge.n_floats = UINT32_MAX;
    huge.n_keys = UINT32_MAX;
    assert_null(pm_message_new(PM_MSG_ACCESS, &huge));
    assert_null(pm_message_raw(PM_WIRE_BYTES - 1));
    assert_null(pm_message_raw(PM_MESSAGE_BYTES_MAX + 1));
    for (uint8_t kind = 0; kind < PM_MSG_KINDS; kind++)
        for (uint8_t other = 0; other < kind; other++)
            assert_string_not_equal(pm_message_kind_name(kind), pm_message_kind_name(other));
}

/* Random bytes never pass for a message by accident of a read beyond them: only the header is looked at. */
static void random_headers(void **state)
{
    (void)state;
    uint64_t seed = repeat_number("PM_SEED", 1), rounds = repeat_number("ROUNDS", 300000), accepted = 0;
    repeat_note(seed, "", "random_headers");
    struct pm_rng rng;
    pm_rng_init(&rng, "random headers", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
    for (uint64_t i = 0; i < rounds; i++) {
        struct pm_wire wire;
        for (size_t b = 0; b < sizeof wire; b += 8) {
            uint64_t random = pm_rng_u64(&rng) & (pm_rng_u64(&rng) | pm_rng_u64(&rng));
            memcpy((char *)&wire + b, &random, 8);
        }
        wire.kind %= PM_MSG_KINDS + 1;
        wire.n_keys %= 4;
        wire.n_floats %= 4;
        wire.flags &= 7;
        wire.length_bytes = PM_WIRE_BYTES + wire.length_bytes % 64;
        bool with_values = pm_rng_below(&rng, 2);
        uint32_t received = wire.length_bytes - (with_values ? 0 : 4 * wire.n_floats);
        int code = check_with(wire, received, with_values);
        assert_true(code == PM_OK || code == PM_E_MESSAGE);
        accepted += code == PM_OK;
        if (code != PM_OK)
            continue;
        uint64_t body = PM_WIRE_BYTES + 4ull * wire.n_floats + (uint64_t)wire.n_keys * (pm_key_bytes(&wire) + pm_meta_bytes(&wire));
        assert_true(body <= wire.length_bytes);
        assert_int_equal(pm_body_bytes(&wire), body);
    }
    assert_true(accepted > rounds / 3000);
}

/* ---- mutated messages in running clusters ---- */

struct fuzz {
    struct pm_rng rng;
    uint64_t at_event, refused, taken;
    uint64_t *of_grants; /* refused by the kind that they were of, where owners grant */
    uint8_t wanted;      /* only messages of this kind; PM_MSG_KINDS: of any */
    const struct contract_policy *policy;
};

static uint64_t hash_slots(struct pm_node *node, uint64_t hash)
{
    for (pm_key key = 0; key < node->layout->n_keys; key++) {
        const struct pm_slot *slot = pm_slots_find(&node->slots, key);
        if (!slot)
            continue;
        uint32_t floats = slot->value ? pm_length(node, key) : 0;
        if (slot->state == PM_SLOT_REPLICA)
            floats += 2 + (node->traits.worker_logs ? 0 : floats); /* what was collected for it is in logs, or behind it */
        hash = pm_hash_bytes(&slot->state, offsetof(struct pm_slot, value) - offsetof(struct pm_slot, state), hash);
        hash = pm_hash_bytes(slot->value, floats * sizeof(float), hash);
    }
    return hash;
}

/* Of all that a message could change. */
static uint64_t hash_node(struct pm_node *node)
{
    struct pm_counters counters;
    pm_node_counters(node, &counters);
    uint64_t hash = pm_hash_bytes(&counters, sizeof counters, 1);
    hash = hash_slots(node, hash);
    hash = pm_hash_bytes(&node->queue.order, sizeof node->queue - offsetof(struct pm_queue, order), hash);
    hash = pm_hash_bytes(&node->exchange, sizeof node->exchange, hash);
    hash = pm_hash_bytes(&node->collective, sizeof node->collective, hash);
    hash = pm_hash_bytes(&node->clocks, sizeof node->clocks, hash);
    hash = pm_hash_bytes(node->rounds.sequence_in, node->config.nodes * sizeof(uint32_t), hash);
    hash = pm_hash_bytes(node->rounds.sequence_out, node->config.nodes * sizeof(uint32_t), hash);
    hash = pm_hash64_pair(hash, node->rounds.asked - node->rounds.answered);
    hash = pm_hash64_pair(hash, node->rounds.generation ^ (uint64_t)node->rounds.answered_generation << 32);
    hash = pm_hash_bytes(node->policy_state, node->policy->node_bytes, hash);
    hash = pm_hash64_pair(hash, node->communicator.outbox.n_messages);
    hash = pm_hash64_pair(hash, node->communicator.outbox.n_wakes);
    for (uint32_t w = 0; w < node->config.workers; w++)
        hash = pm_hash64_pair(hash, node->workers[w].requests->outstanding);
    return hash;
}

static struct pm_message *copy_of(const struct pm_message *m)
{
    struct pm_message *copy = pm_message_raw(m->stored_bytes);
    assert_non_null(copy);
    memcpy(&copy->wire, &m->wire, m->stored_bytes);
    copy->destination = m->destination;
    return copy;
}

/* A number near a border that a check may have got wrong. */
static uint64_t nasty(struct pm_rng *rng)
{
    const uint64_t numbers[] = {0, 1, 2, 3, 63, 64, 255, 256, 65535, 65536, UINT32_MAX, UINT32_MAX - 1, INT64_MAX, UINT64_MAX};
    return numbers[pm_rng_below(rng, sizeof numbers / sizeof *numbers)] + pm_rng_below(rng, 2);
}

static void mutate(struct pm_rng *rng, struct pm_message *m)
{
    static const struct {
        uint8_t at, bytes;
    } fields[] = {{4, 1},  {5, 1},  {6, 1},  {7, 1},  {8, 4},  {12, 4}, {16, 4},
                  {20, 4}, {24, 4}, {28, 2}, {30, 2}, {32, 8}, {40, 4}, {44, 4}};
    char *bytes = (char *)m + offsetof(struct pm_message, wire);
    uint32_t value_bytes = (m->wire.flags & PM_FLAG_FILTERED) ? 0 : 4 * m->wire.n_floats;
    for (uint64_t times = 1 + pm_rng_below(rng, 2); times > 0; times--) {
        uint64_t number = pm_rng_below(rng, 2) ? nasty(rng) : pm_rng_u64(rng);
        uint64_t what = pm_rng_below(rng, 5), meta_words = (uint64_t)m->wire.n_keys * pm_meta_bytes(&m->wire) / 4;
        size_t meta = PM_WIRE_BYTES + (size_t)pm_key_bytes(&m->wire) * m->wire.n_keys;
        size_t f = pm_rng_below(rng, sizeof fields / sizeof *fields);
        if (what == 0) /* not in the values: any are good */
            bytes[pm_rng_below(rng, m->stored_bytes - value_bytes)] ^= (char)(1u << pm_rng_below(rng, 8));
        else if (what == 1 && m->wire.n_keys && m->stored_bytes >= PM_WIRE_BYTES + 8)
            memcpy(bytes + PM_WIRE_BYTES + 4 * pm_rng_below(rng, (m->stored_bytes - PM_WIRE_BYTES - 4) / 4), &number, 8);
        else if (what == 2 && meta_words && meta + 4 * meta_words <= m->stored_bytes) /* versions, flags, owners, counters */
            memcpy(bytes + meta + 4 * pm_rng_below(rng, meta_words), &number, 4);
        else
            memcpy(bytes + fields[f].at, &number, fields[f].bytes);
    }
}

/* Does it carry a key that is out of range? */
static bool names_no_key(const struct pm_node *node, struct pm_message *m)
{
    bool sealed = m->wire.flags & PM_FLAG_FILTERED; /* the keys are somewhere in it */
    for (uint32_t i = 0; i < m->wire.n_keys && pm_key_bytes(&m->wire) != 0 && !sealed; i++)
        if (pm_message_keys(m)[i] >= node->layout->n_keys)
            return true;
    return false;
}

/* What a backend does with what it has read, then all that a refusal promises. */
static int receive(struct fuzz *fuzz, struct memnet *net, struct pm_message *m)
{
    struct pm_node *node = memnet_node(net, m->destination);
    if (m->wire.source >= memnet_job(net)->nodes || pm_message_check(m, m->stored_bytes, true) != PM_OK ||
        m->wire.kind >= PM_MSG_HELLO) {
        pm_message_free(m);
        fuzz->refused++;
        return PM_E_MESSAGE;
    }
    uint64_t before = hash_node(node);
    bool outside = names_no_key(node, m);
    struct pm_error err = {0};
    int code = pm_node_receive(&node->communicator, m, &err);
    if (code == PM_OK) {
        if (outside)
            fail_msg("a message with a key out of range was taken");
        fuzz->taken++;
        return PM_OK;
    }
    fuzz->refused++;
    if (code != PM_E_MESSAGE || err.code != PM_E_MESSAGE || !err.text[0])
        fail_msg("refused with code %d, text '%s'", code, err.text);
    if (hash_node(node) != before)
        fail_msg("a refused message changed the node, policy %s:%s: %s", fuzz->policy->policy->name, fuzz->policy->options,
                 err.text);
    return PM_E_MESSAGE;
}

static struct pm_message *pick(struct fuzz *fuzz, struct memnet *net)
{
    const struct pm_message *found = NULL;
    uint64_t seen = 0;
    for (uint32_t c = 0; c < net->n_channels; c++)
        for (const struct pm_message *m = net->channels[c].first; m; m = m->next)
            if ((fuzz->wanted == PM_MSG_KINDS || m->wire.kind == fuzz->wanted) &&
                net->agents[memnet_communicator(net, m->destination)].state == AGENT_IDLE &&
                pm_rng_below(&fuzz->rng, ++seen) == 0)
                found = m;
    return found ? copy_of(found) : NULL;
}

/* From its event on: mutated copies of messages in flight, until one is taken, which ends the run. */
static int inject(void *arg, struct memnet *net, struct pm_error *err)
{
    struct fuzz *fuzz = arg;
    if (memnet_events(net) < fuzz->at_event)
        return PM_OK;
    for (int i = 0; i < MUTATIONS; i++) {
        struct pm_message *m = pick(fuzz, net);
        if (!m)
            return PM_OK;
        uint8_t kind = m->wire.kind;
        mutate(&fuzz->rng, m);
        pm_node_id to = m->destination;
        if (receive(fuzz, net, m) != PM_OK) {
            fuzz->of_grants[kind] += memnet_node(net, to)->traits.grants;
            continue;
        }
        struct pm_outbox *outbox = &memnet_node(net, to)->communicator.outbox;
        for (struct pm_message *out = outbox->first, *next; out; out = next) {
            next = out->next;
            pm_message_free(out);
        }
        *outbox = (struct pm_outbox){.tick_at_ns = PM_TIME_NEVER};
        return pm_error_set(err, PM_E_INTERRUPTED, "a mutated message was taken");
    }
    return PM_OK;
}

/* Does it count messages or pushes? Those that a filter holds back are none. */
static bool counts_pushes(const struct contract_case *c)
{
    return strcmp(c->name, "message_counts") == 0 || strcmp(c->name, "reads_add_up") == 0;
}

/* Grants and what belongs to them are rare: every other run waits for one kind of them. */
static const uint8_t granting[] = {PM_MSG_ACCESS, PM_MSG_REPLY, PM_MSG_ROUND, PM_MSG_ANSWER, PM_MSG_GRANT, PM_MSG_OWNER};

static int fuzz_run(struct fuzz *fuzz, uint64_t seed, struct pm_error *err)
{
    static const struct testload_shape shape = {.keys = 64, .length = 4};
    const struct contract_case *c = NULL;
    size_t n = 0;
    while (contract_case_at(n))
        n++;
    do
        c = contract_case_at(pm_rng_below(&fuzz->rng, n));
    while (c->without_values || (strstr(fuzz->policy->options, "threshold") && counts_pushes(c)));
    struct testjob t;
    assert_int_equal(testjob_init(&t, fuzz->policy->policy, fuzz->policy->options, c->shape.keys ? &c->shape : &shape, err), PM_OK);
    testjob_cluster(&t, 3, 2);
    t.job.max_message = c->max_message;
    t.job.main = c->main;
    t.job.main_arg = (void *)c;
    bool seeks = fuzz->policy->policy->grant && pm_rng_below(&fuzz->rng, 2);
    fuzz->wanted = seeks ? granting[pm_rng_below(&fuzz->rng, sizeof granting)] : PM_MSG_KINDS;
    struct memnet_config config = {.seed = seed, .after_event = inject, .arg = fuzz, .postpone_percent = 10, .latches = true};
    fuzz->at_event = pm_rng_below(&fuzz->rng, 1u << (4 + pm_rng_below(&fuzz->rng, 6)));
    int code = memnet_run(&t.job, &config, NULL, err);
    testjob_free(&t);
    return code;
}

static void mutated_messages(void **state)
{
    (void)state;
    uint64_t first = repeat_number("PM_SEED", 1), runs = getenv("PM_SEED") ? 1 : repeat_number("RUNS", RUNS / REPEAT_SHARE);
    uint64_t refused = 0, taken = 0, of_grants[PM_MSG_KINDS] = {0};
    struct contract_policy policy;
    static const struct contract_policy filtered = {&pm_policy_bounded, "delay=1,compress=1,threshold=2,lists=3"};
    size_t n_policies = 0;
    while (contract_policy_at(n_policies, &policy))
        n_policies++;
    scenario_quiet = true; /* who reads what a mutated message wrote may say so */
    for (uint64_t seed = first; seed < first + runs; seed++) {
        struct fuzz fuzz = {.policy = &policy, .of_grants = of_grants};
        struct pm_error err = {0};
        if (!contract_policy_at(seed % (n_policies + 1), &policy))
            policy = filtered;
        pm_rng_init(&fuzz.rng, "mutations", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
        repeat_note(seed, "", "mutated_messages");
        int code = fuzz_run(&fuzz, seed, &err);
        refused += fuzz.refused;
        taken += fuzz.taken;
        if (code != PM_OK && code != PM_E_INTERRUPTED) {
            repeat_line(err.text, seed, "", "mutated_messages");
            fail_msg("a cluster that refused all mutated messages fails");
        }
    }
    scenario_quiet = false;
    printf("%" PRIu64 " mutated messages refused, %" PRIu64 " taken\n", refused, taken);
    assert_true(getenv("PM_SEED") || refused > runs);
    for (size_t i = 0; i < sizeof granting; i++) {
        printf("%" PRIu64 " of kind %s refused where owners grant\n", of_grants[granting[i]], pm_message_kind_name(granting[i]));
        assert_true(runs < RUNS || of_grants[granting[i]] > 0);
    }
}

/* ---- answers that come a second time ---- */

enum { KEPT = 64, AGAIN_RUNS = 60, AGAIN_ONE_IN = 12 };

struct replay {
    struct pm_rng rng;
    struct pm_message *kept[KEPT];
    uint64_t n, refused;
    bool in_flight;
    const struct pm_message *sought;
};

static void keep_reply(void *arg, const struct pm_message *m, pm_node_id from)
{
    struct replay *replay = arg;
    (void)from;
    if (m->wire.kind != PM_MSG_REPLY)
        return;
    struct pm_message **place = &replay->kept[replay->n++ % KEPT];
    pm_message_free(*place);
    *place = copy_of(m);
}

static void seek(void *arg, struct pm_message *m)
{
    struct replay *replay = arg;
    const struct pm_message *s = replay->sought;
    replay->in_flight |= m->wire.kind == PM_MSG_REPLY && m->destination == s->destination && m->wire.source == s->wire.source &&
                         m->wire.worker == s->wire.worker && m->wire.request == s->wire.request && m->wire.first == s->wire.first;
}

/* After some events: gives a node an answer once more that it has handled. */
static int answer_again(void *arg, struct memnet *net, struct pm_error *err)
{
    struct replay *replay = arg;
    if (pm_rng_below(&replay->rng, AGAIN_ONE_IN) != 0)
        return PM_OK;
    replay->sought = replay->kept[pm_rng_below(&replay->rng, KEPT)];
    replay->in_flight = false;
    if (!replay->sought)
        return PM_OK;
    memnet_visit_in_flight(net, seek, replay);
    if (replay->in_flight)
        return PM_OK;
    struct pm_node *node = memnet_node(net, replay->sought->destination);
    struct pm_message *again = copy_of(replay->sought);
    uint64_t before = hash_node(node);
    int code = pm_node_receive(&node->communicator, again, err);
    if (code != PM_E_MESSAGE || hash_node(node) != before)
        return pm_error_set(err, PM_E_INTERNAL, "an answer was taken twice");
    *err = (struct pm_error){0};
    replay->refused++;
    return PM_OK;
}

static void answers_that_come_again(void **state)
{
    (void)state;
    uint64_t first = repeat_number("PM_SEED", 1), refused = 0;
    uint64_t runs = getenv("PM_SEED") ? 1 : repeat_number("AGAIN_RUNS", AGAIN_RUNS / REPEAT_SHARE);
    static const struct testload_shape shape = {.keys = 64, .length = 4};
    struct contract_policy policy;
    for (size_t i = 0; contract_policy_at(i, &policy); i++)
        for (uint64_t seed = first; seed < first + runs; seed++) {
            struct replay replay = {.n = 0};
            struct pm_error err = {0};
            struct testjob t;
            pm_rng_init(&replay.rng, "again", seed, PM_RNG_NOBODY, PM_RNG_NOBODY);
            assert_int_equal(testjob_init(&t, policy.policy, policy.options, &shape, &err), PM_OK);
            testjob_cluster(&t, 3, 2);
            const struct contract_case *c = &contract_collective[2];
            t.job.main = c->main;
            t.job.main_arg = (void *)c;
            struct memnet_config config = {.seed = seed, .sent = keep_reply, .after_event = answer_again, .arg = &replay};
            repeat_note(seed, "", "answers_that_come_again");
            int code = memnet_run(&t.job, &config, NULL, &err);
            for (int k = 0; k < KEPT; k++)
                pm_message_free(replay.kept[k]);
            testjob_free(&t);
            refused += replay.refused;
            if (code != PM_OK) {
                repeat_line(err.text, seed, "", "answers_that_come_again");
                fail_msg("%s:%s", policy.policy->name, policy.options);
            }
        }
    printf("%" PRIu64 " answers refused that came again\n", refused);
    assert_true(refused > runs);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths),
        cmocka_unit_test(parts),
        cmocka_unit_test(header_fields),
        cmocka_unit_test(limits),
        cmocka_unit_test(random_headers),
        cmocka_unit_test(mutated_messages),
        cmocka_unit_test(answers_that_come_again),
    };
    return repeat_main(argc, argv, "messages", tests, sizeof tests / sizeof *tests);
}
