/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scenarios: barrier, reduction, drain, and the accounts that must add up. */
#include "tests/scenario.h"

/* In every phase each worker writes its own key and then reads those of all others: a worker that left the
 * barrier early would be behind, one that was let into the next phase ahead. */
static int barrier_separates(struct pm_worker *w, void *arg)
{
    (void)arg;
    uint32_t ranks = scenario_ranks(w);
    float ones[16], value[16];
    for (int j = 0; j < 16; j++)
        ones[j] = 1;
    for (int phase = 1; phase <= 6; phase++) {
        pm_key mine = pm_worker_rank(w);
        pm_ticket ticket = pm_push(w, &mine, 1, ones);
        SCENARIO_OK(ticket);
        SCENARIO_OK(pm_wait(w, ticket));
        SCENARIO_OK(scenario_traits(w)->replicates ? pm_drain(w) : pm_barrier(w));
        for (pm_key key = 0; key < ranks; key++) {
            if (scenario_traits(w)->replicates) {
                SCENARIO_OK(pm_read_model(w, &key, 1, value));
            } else {
                ticket = pm_pull(w, &key, 1, value);
                SCENARIO_OK(ticket);
                SCENARIO_OK(pm_wait(w, ticket));
            }
            SCENARIO_VALUE(key, 0, value[0], testload_initial(key, 0) + (float)phase);
        }
        SCENARIO_OK(pm_barrier(w));
    }
    return PM_OK;
}

/* What worker `rank` gives in a round: numbers whose sum depends on the order of adding. */
static double part(uint32_t rank, uint32_t i, uint32_t round)
{
    double sign = (rank + i + round) % 2 ? -1 : 1;
    return sign * ldexp(1.0 + 0.1 * (double)(rank * 31 + i * 7 + round), (int)((rank * 17 + i) % 60));
}

static int reduce_in_rank_order(struct pm_worker *w, void *arg)
{
    (void)arg;
    const uint32_t sizes[] = {1, 2, PM_REDUCE_MAX, 7, 1};
    double values[PM_REDUCE_MAX + 1] = {0};
    for (uint32_t round = 0; round < sizeof sizes / sizeof *sizes; round++) {
        for (uint32_t i = 0; i < sizes[round]; i++)
            values[i] = part(pm_worker_rank(w), i, round);
        SCENARIO_OK(pm_reduce(w, values, sizes[round]));
        for (uint32_t i = 0; i < sizes[round]; i++) {
            double sum = part(0, i, round);
            for (uint32_t rank = 1; rank < scenario_ranks(w); rank++)
                sum += part(rank, i, round);
            SCENARIO_CHECK(memcmp(&sum, &values[i], sizeof sum) == 0);
        }
    }
    SCENARIO_CHECK(pm_reduce(w, values, PM_REDUCE_MAX + 1) < 0);
    return PM_OK;
}

enum { EPOCHS = 3, OPERATIONS = 15, KEYS_EACH = 6 };

/* The pushes of one worker in one epoch: a function of rank and epoch, so that everybody knows everybody's.
 */
static void draw_pushes(const struct pm_worker *w, uint32_t rank, uint32_t epoch, pm_key *keys,
                        float *amounts)
{
    struct pm_rng rng;
    pm_rng_init(&rng, "pushes", epoch, PM_RNG_NOBODY, rank);
    for (int i = 0; i < OPERATIONS * KEYS_EACH; i++) {
        /* half of them to a few hot keys */
        keys[i] = pm_rng_below(&rng, pm_rng_below(&rng, 2) ? scenario_keys(w) : 4);
        amounts[i] = (float)pm_rng_below(&rng, 9) - 3;
    }
}

/* Adds everybody's pushes of an epoch to the sum of each key. */
static void add_epoch(const struct pm_worker *w, uint32_t epoch, float *sums)
{
    pm_key keys[OPERATIONS * KEYS_EACH];
    float amounts[OPERATIONS * KEYS_EACH];
    for (uint32_t rank = 0; rank < scenario_ranks(w); rank++) {
        draw_pushes(w, rank, epoch, keys, amounts);
        for (int i = 0; i < OPERATIONS * KEYS_EACH; i++)
            sums[keys[i]] += amounts[i];
    }
}

static float sum_of(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)w;
    return ((const float *)arg)[key];
}

/* One epoch of pushes that nobody waits for, of whole numbers. */
static int push_epoch(struct pm_worker *w, uint32_t epoch, float *updates)
{
    pm_key keys[OPERATIONS * KEYS_EACH];
    float amounts[OPERATIONS * KEYS_EACH];
    draw_pushes(w, pm_worker_rank(w), epoch, keys, amounts);
    for (int o = 0; o < OPERATIONS; o++) {
        float *first = updates;
        for (int i = o * KEYS_EACH; i < (o + 1) * KEYS_EACH; i++)
            for (uint32_t j = 0; j < pm_length(w->ctx.node, keys[i]); j++)
                *updates++ = amounts[i];
        SCENARIO_OK(pm_push(w, keys + o * KEYS_EACH, KEYS_EACH, first));
    }
    return PM_OK;
}

static int drain_sees_every_push(struct pm_worker *w, void *arg)
{
    (void)arg;
    float *updates = malloc(OPERATIONS * KEYS_EACH * 16 * sizeof *updates);
    float *expected = calloc(scenario_keys(w), sizeof *expected);
    int code = updates && expected ? PM_OK : PM_E_MEMORY;
    for (uint32_t epoch = 0; epoch < EPOCHS && code == PM_OK; epoch++) {
        code = push_epoch(w, epoch, updates);
        add_epoch(w, epoch, expected);
        if (code == PM_OK)
            code = scenario_check_model(w, sum_of, expected);
    }
    free(updates);
    free(expected);
    if (code != PM_OK)
        return code;
    struct pm_counters c = scenario_counters(w);
    double sums[3] = {(double)c.updates_pushed, (double)c.updates_applied, (double)c.filters[PM_FILTER_THRESHOLD][0].messages};
    SCENARIO_OK(pm_reduce(w, sums, 3));
    double all = (double)EPOCHS * OPERATIONS * KEYS_EACH * scenario_ranks(w) * w->ctx.node->config.workers;
    SCENARIO_CHECK(sums[2] > 0 ? sums[0] <= all : sums[0] == all); /* what was held back counts once with what follows */
    SCENARIO_CHECK(sums[0] == sums[1]);
    return PM_OK;
}

/* Collectives of all kinds in turn, with nothing to do in between or only for one worker. */
static int collectives_in_turn(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key key = 1;
    float ones[16], pushed = 0;
    for (int j = 0; j < 16; j++)
        ones[j] = 1;
    for (uint32_t i = 0; i < 24; i++) {
        double value = i;
        if (pm_worker_rank(w) == i % scenario_ranks(w) && i % 5 == 0)
            SCENARIO_OK(pm_push(w, &key, 1, ones));
        pushed += i % 5 == 0;
        switch ((i * i + i / 3) % 3) {
        case 0:
            SCENARIO_OK(pm_barrier(w));
            break;
        case 1:
            SCENARIO_OK(pm_drain(w));
            break;
        default:
            SCENARIO_OK(pm_reduce(w, &value, 1));
            SCENARIO_CHECK(value == (double)i * scenario_ranks(w));
        }
    }
    float found[16];
    SCENARIO_OK(pm_drain(w));
    SCENARIO_OK(pm_read_model(w, &key, 1, found));
    SCENARIO_VALUE(key, 0, found[0], testload_initial(key, 0) + pushed);
    return PM_OK;
}

/* Distinct owners, this node left out, of these keys; or (grouped = false) how many of the keys they own. */
static uint64_t expected_requests(const struct pm_worker *w, const pm_key *keys, size_t n)
{
    const struct pm_node *node = w->ctx.node;
    bool seen[64] = {false};
    uint64_t requests = 0;
    for (size_t i = 0; i < n; i++) {
        pm_node_id owner = pm_owner_at_start(node, keys[i]);
        if (owner == node->config.id || (node->traits.group && seen[owner]))
            continue;
        seen[owner] = true;
        requests++;
    }
    return requests;
}

/* Static allocation with remote access, one active worker: one request and one reply per group. */
static int message_counts(struct pm_worker *w, void *arg)
{
    (void)arg;
    struct pm_counters before = scenario_counters(w);
    double sums[3] = {0, 0, 0};
    SCENARIO_OK(pm_barrier(w));
    if (pm_worker_rank(w) == 0) {
        struct pm_rng rng;
        pm_rng_init(&rng, "message counts", 1, PM_RNG_NOBODY, PM_RNG_NOBODY);
        for (int o = 0; o < 40; o++) {
            pm_key keys[8];
            float values[8 * 16] = {0};
            uint32_t n = 1 + (uint32_t)pm_rng_below(&rng, 8);
            for (uint32_t i = 0; i < n; i++)
                keys[i] = pm_rng_below(&rng, scenario_keys(w));
            pm_ticket ticket = o % 2 ? pm_pull(w, keys, n, values) : pm_push(w, keys, n, values);
            SCENARIO_OK(ticket);
            SCENARIO_OK(pm_wait(w, ticket));
            sums[2] += (double)expected_requests(w, keys, n);
        }
    }
    SCENARIO_OK(pm_barrier(w));
    struct pm_counters after = scenario_counters(w);
    if (w->index == 0) {
        sums[0] = (double)(after.kind_count[PM_MSG_ACCESS] - before.kind_count[PM_MSG_ACCESS]);
        sums[1] = (double)(after.kind_count[PM_MSG_REPLY] - before.kind_count[PM_MSG_REPLY]);
    }
    SCENARIO_OK(pm_reduce(w, sums, 3));
    if (scenario_traits(w)->replicates)
        return PM_OK;
    SCENARIO_CHECK(sums[0] == sums[2]);
    SCENARIO_CHECK(sums[1] == sums[2]);
    return PM_OK;
}

static int reads_add_up(struct pm_worker *w, void *arg)
{
    (void)arg;
    enum { N = 9, TIMES = 12 };
    pm_key keys[N];
    float values[N * 16] = {0};
    for (uint32_t t = 0; t < TIMES; t++) {
        for (uint32_t i = 0; i < N; i++)
            keys[i] = (t * 5 + i * 7 + pm_worker_rank(w)) % scenario_keys(w);
        SCENARIO_OK(pm_pull(w, keys, N, values));
        SCENARIO_OK(pm_wait_all(w));
        SCENARIO_OK(pm_push(w, keys, N / 3, values + N));
        SCENARIO_OK(pm_wait_all(w));
    }
    const struct pm_counters *c = &w->ctx.counters;
    uint64_t reads = 0, writes = 0;
    for (int how = 0; how < PM_HOWS; how++) {
        reads += c->reads[how];
        writes += c->writes[how];
    }
    SCENARIO_CHECK(c->keys_asked[0] == N * TIMES && reads == N * TIMES);
    SCENARIO_CHECK(c->keys_asked[1] == N / 3 * TIMES && writes == N / 3 * TIMES);
    SCENARIO_CHECK(c->updates_pushed == N / 3 * TIMES);
    SCENARIO_OK(pm_drain(w));
    return PM_OK;
}

const struct contract_case contract_collective[] = {
    {.name = "barrier_separates", .main = barrier_separates},
    {.name = "reduce_in_rank_order", .main = reduce_in_rank_order},
    {.name = "drain_sees_every_push", .main = drain_sees_every_push},
    {.name = "drain_in_small_messages",
     .main = drain_sees_every_push,
     .shape = {.keys = 20, .length = 3, .more_keys = 60, .more_length = 16},
     .max_message = 150},
    {.name = "collectives_in_turn", .main = collectives_in_turn},
    {.name = "message_counts", .main = message_counts},
    {.name = "reads_add_up", .main = reads_add_up},
    {.main = NULL},
};
