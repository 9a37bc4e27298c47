/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scenarios: pull, push and set. */
#include "tests/scenario.h"

enum { MANY_OPERATIONS = 120 };

/* Keys that this worker alone writes are those of its rank, modulo the number of workers. */
static pm_key own_key(const struct pm_worker *w, uint64_t i)
{
    uint64_t own = scenario_keys(w) / scenario_ranks(w);
    return (i % own) * scenario_ranks(w) + pm_worker_rank(w);
}

static int pull_now(struct pm_worker *w, const pm_key *keys, size_t n, float *out)
{
    pm_ticket ticket = pm_pull(w, keys, n, out);
    return ticket < 0 ? (int)ticket : pm_wait(w, ticket);
}

static int push_now(struct pm_worker *w, const pm_key *keys, size_t n, const float *updates)
{
    pm_ticket ticket = pm_push(w, keys, n, updates);
    return ticket < 0 ? (int)ticket : pm_wait(w, ticket);
}

/* May a worker count on reading what it has just pushed? */
static bool reads_own_writes(const struct pm_worker *w)
{
    return scenario_traits(w)->promise_sync >= PM_PRAM;
}

static int initial_values(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key keys[7];
    float values[7 * 16];
    for (pm_key first = 0; first < scenario_keys(w); first += 5) {
        for (size_t i = 0; i < 7; i++)
            keys[i] = (first + i * 11) % scenario_keys(w);
        SCENARIO_OK(pull_now(w, keys, 7, values));
        int code = scenario_check_values(w, keys, 7, values, scenario_nothing, NULL);
        if (code != PM_OK)
            return code;
    }
    return scenario_check_model(w, scenario_nothing, NULL);
}

static float pushed_rounds(const struct pm_worker *w, pm_key key, void *arg)
{
    pm_key last = scenario_keys(w) / scenario_ranks(w) * scenario_ranks(w);
    return key < last ? *(float *)arg : 0;
}

static int read_own_writes(struct pm_worker *w, void *arg)
{
    (void)arg;
    uint64_t own = scenario_keys(w) / scenario_ranks(w);
    float update[16], value[16], added = 0;
    for (int round = 1; round <= 4; round++) {
        added += (float)round;
        for (int j = 0; j < 16; j++)
            update[j] = (float)round;
        for (uint64_t i = 0; i < own; i++) {
            pm_key key = own_key(w, i);
            SCENARIO_OK(push_now(w, &key, 1, update));
            SCENARIO_OK(pull_now(w, &key, 1, value));
            for (uint32_t j = 0; j < pm_length(w->ctx.node, key) && reads_own_writes(w); j++)
                SCENARIO_VALUE(key, j, value[j], testload_initial(key, j) + added);
        }
    }
    return scenario_check_model(w, pushed_rounds, &added);
}

/* Everyone adds ones to the same key: what a worker reads never falls below its own pushes nor rises above
 * all. */
static int shared_counter(struct pm_worker *w, void *arg)
{
    (void)arg;
    enum { PUSHES = 30 };
    pm_key key = scenario_keys(w) / 2;
    float one[16], value[16];
    for (int j = 0; j < 16; j++)
        one[j] = 1;
    for (int i = 1; i <= PUSHES; i++) {
        SCENARIO_OK(push_now(w, &key, 1, one));
        SCENARIO_OK(pull_now(w, &key, 1, value));
        float seen = value[0] - testload_initial(key, 0);
        SCENARIO_CHECK(seen >= (reads_own_writes(w) ? (float)i : 0) && seen <= (float)(PUSHES * scenario_ranks(w)));
    }
    SCENARIO_OK(pm_drain(w));
    SCENARIO_OK(pm_read_model(w, &key, 1, value));
    for (uint32_t j = 0; j < pm_length(w->ctx.node, key); j++)
        SCENARIO_VALUE(key, j, value[j], testload_initial(key, j) + (float)(PUSHES * scenario_ranks(w)));
    return PM_OK;
}

static int duplicates(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key k = own_key(w, 0), j = own_key(w, 1);
    pm_key keys[4] = {k, k, j, k};
    uint32_t length = pm_length(w->ctx.node, k);
    float updates[4 * 16], values[4 * 16];
    for (uint32_t i = 0; i < 4; i++)
        for (uint32_t e = 0; e < length; e++)
            updates[i * length + e] = (float)(1u << i);
    SCENARIO_OK(push_now(w, keys, 4, updates));
    SCENARIO_OK(pull_now(w, keys, 4, values));
    for (uint32_t i = 0; i < 4 && reads_own_writes(w); i++)
        for (uint32_t e = 0; e < length; e++)
            SCENARIO_VALUE(keys[i], e, values[i * length + e],
                           testload_initial(keys[i], e) + (i == 2 ? 4.0f : 11.0f));
    if (!scenario_traits(w)->replicates) {
        pm_ticket ticket = pm_set(w, keys, 4, updates);
        SCENARIO_OK(ticket);
        SCENARIO_OK(pm_wait(w, ticket));
        SCENARIO_OK(pull_now(w, keys, 4, values));
        for (uint32_t e = 0; e < length; e++)
            SCENARIO_VALUE(k, e, values[e], 8.0f);
    }
    return PM_OK;
}

static int set_or_refuse(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key mine = own_key(w, 3), theirs;
    float value[16];
    for (int j = 0; j < 16; j++)
        value[j] = (float)(100 + pm_worker_rank(w) * 16 + (uint32_t)j);
    pm_ticket ticket = pm_set(w, &mine, 1, value);
    if (scenario_traits(w)->replicates) {
        SCENARIO_CHECK(ticket == PM_E_REFUSED);
        return scenario_check_model(w, scenario_nothing, NULL);
    }
    SCENARIO_OK(ticket);
    SCENARIO_OK(pm_wait(w, ticket));
    SCENARIO_OK(pm_barrier(w));
    for (uint32_t rank = 0; rank < scenario_ranks(w); rank++) {
        theirs = mine - pm_worker_rank(w) + rank;
        SCENARIO_OK(pull_now(w, &theirs, 1, value));
        for (uint32_t j = 0; j < pm_length(w->ctx.node, theirs); j++)
            SCENARIO_VALUE(theirs, j, value[j], (float)(100 + rank * 16 + j));
    }
    return PM_OK;
}

static float all_ranks(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)key;
    (void)arg;
    uint32_t n = scenario_ranks(w);
    return (float)(n * (n + 1) / 2);
}

static int ranges(struct pm_worker *w, void *arg)
{
    (void)arg;
    uint64_t n = scenario_keys(w), floats = w->ctx.node->layout->n_floats;
    float *values = malloc(floats * sizeof *values);
    SCENARIO_CHECK(values != NULL);
    pm_ticket pulled = pm_pull_range(w, 0, n, values);
    int code = pulled < 0 ? (int)pulled : pm_wait(w, pulled);
    for (pm_key k = 0; code == PM_OK && k < n; k++)
        code = scenario_check_values(w, &k, 1, values + pm_layout_offset(w->ctx.node->layout, k),
                                     scenario_nothing, NULL);
    if (code == PM_OK)
        code = pm_barrier(w);
    for (uint64_t i = 0; i < floats; i++)
        values[i] = (float)(pm_worker_rank(w) + 1);
    pm_ticket pushed = code == PM_OK ? pm_push_range(w, 0, n, values) : code;
    code = pushed < 0 ? (int)pushed : pm_wait(w, pushed);
    free(values);
    SCENARIO_OK(code);
    SCENARIO_CHECK(pm_pull_range(w, 0, n + 1, NULL) == PM_E_KEY);
    SCENARIO_CHECK(pm_push_range(w, n, 1, NULL) == PM_E_KEY);
    SCENARIO_CHECK(pm_push_range(w, UINT64_MAX, 2, NULL) == PM_E_KEY);
    SCENARIO_CHECK(pm_pull_range(w, n, 0, NULL) == PM_DONE);
    return scenario_check_model(w, all_ranks, NULL);
}

/* Keys of both ranges in one operation, in no order. */
static int mixed_lengths(struct pm_worker *w, void *arg)
{
    (void)arg;
    uint64_t n = scenario_keys(w);
    const pm_key keys[] = {n - 1, 0, n - 2, 1, n - 1, n / 2, 2};
    enum { N = sizeof keys / sizeof *keys };
    float values[N * 16];
    SCENARIO_CHECK(pm_length(w->ctx.node, 0) != pm_length(w->ctx.node, n - 1));
    SCENARIO_OK(pull_now(w, keys, N, values));
    int code = scenario_check_values(w, keys, N, values, scenario_nothing, NULL);
    if (code != PM_OK)
        return code;
    SCENARIO_OK(pm_barrier(w));
    return ranges(w, NULL);
}

static int zero_keys(struct pm_worker *w, void *arg)
{
    (void)arg;
    struct pm_counters before = scenario_counters(w);
    SCENARIO_CHECK(pm_pull(w, NULL, 0, NULL) == PM_DONE);
    SCENARIO_CHECK(pm_push(w, NULL, 0, NULL) == PM_DONE);
    SCENARIO_CHECK(pm_set(w, NULL, 0, NULL) == (scenario_traits(w)->replicates ? PM_E_REFUSED : PM_DONE));
    SCENARIO_OK(pm_wait(w, PM_DONE));
    SCENARIO_OK(pm_wait_all(w));
    SCENARIO_OK(pm_intent(w, NULL, 0, 0, 1));
    SCENARIO_OK(pm_localize(w, NULL, 0));
    SCENARIO_OK(pm_read_model(w, NULL, 0, NULL));
    struct pm_counters after = scenario_counters(w);
    SCENARIO_CHECK(before.keys_asked[0] == after.keys_asked[0] &&
                   before.keys_asked[1] == after.keys_asked[1]);
    return scenario_check_model(w, scenario_nothing, NULL);
}

static int keys_out_of_range(struct pm_worker *w, void *arg)
{
    (void)arg;
    uint64_t n = scenario_keys(w);
    const pm_key bad[] = {n, UINT64_MAX, n + 1};
    float values[5 * 16], expected[5 * 16];
    for (int b = 0; b < 3; b++)
        for (size_t at = 0; at < 5; at++) {
            pm_key keys[5] = {1, 2, n - 1, 3, 2};
            keys[at] = bad[b];
            for (int i = 0; i < 5 * 16; i++)
                values[i] = expected[i] = (float)(i + 1);
            SCENARIO_CHECK(pm_pull(w, keys, 5, values) == PM_E_KEY);
            SCENARIO_CHECK(memcmp(values, expected, sizeof values) == 0);
            SCENARIO_CHECK(pm_push(w, keys, 5, values) == PM_E_KEY);
            SCENARIO_CHECK(pm_set(w, keys, 5, values) < 0);
            SCENARIO_CHECK(pm_intent(w, keys, 5, 0, 1) == PM_E_KEY);
            SCENARIO_CHECK(pm_localize(w, keys, 5) == PM_E_KEY);
            SCENARIO_CHECK(pm_read_model(w, keys, 5, values) == PM_E_KEY);
        }
    SCENARIO_OK(pm_wait_all(w));
    struct pm_counters c = scenario_counters(w);
    SCENARIO_CHECK(c.keys_asked[0] == 0 && c.keys_asked[1] == 0 && c.updates_pushed == 0);
    return scenario_check_model(w, scenario_nothing, NULL);
}

static int out_of_order(struct pm_worker *w, pm_ticket *tickets, struct pm_rng *rng)
{
    for (uint32_t i = MANY_OPERATIONS - 1; i > 0; i--) {
        uint32_t other = (uint32_t)pm_rng_below(rng, i + 1);
        pm_ticket t = tickets[i];
        tickets[i] = tickets[other];
        tickets[other] = t;
    }
    for (int i = 0; i < MANY_OPERATIONS / 2; i++) {
        SCENARIO_OK(pm_wait(w, tickets[i]));
        SCENARIO_OK(pm_wait(w, tickets[i]));
    }
    SCENARIO_OK(pm_wait_all(w));
    for (int i = 0; i < MANY_OPERATIONS; i++)
        SCENARIO_OK(pm_wait(w, tickets[i]));
    return PM_OK;
}

static float twice_each(const struct pm_worker *w, pm_key key, void *arg)
{
    (void)arg;
    return key < MANY_OPERATIONS / 2 ? (float)scenario_ranks(w) : 0;
}

/* Pushes and pulls under way at once; odd ones pull what the even one before has pushed to. */
static int many_operations(struct pm_worker *w, void *arg)
{
    (void)arg;
    enum { KEYS = MANY_OPERATIONS / 2 };
    pm_ticket tickets[MANY_OPERATIONS];
    float ones[16], *values = malloc(KEYS * 16 * sizeof *values);
    SCENARIO_CHECK(values != NULL && scenario_keys(w) >= KEYS);
    for (int j = 0; j < 16; j++)
        ones[j] = 1;
    int code = PM_OK;
    for (int i = 0; i < MANY_OPERATIONS && code == PM_OK; i++) {
        pm_key key = (pm_key)(i / 2);
        tickets[i] = i % 2 ? pm_pull(w, &key, 1, values + (i / 2) * 16) : pm_push(w, &key, 1, ones);
        code = tickets[i] < 0 ? (int)tickets[i] : PM_OK;
    }
    struct pm_rng rng;
    pm_rng_init(&rng, "out of order", 1, PM_RNG_NOBODY, pm_worker_rank(w));
    if (code == PM_OK)
        code = out_of_order(w, tickets, &rng);
    float least = scenario_traits(w)->promise_async >= PM_PRAM ? 1 : 0;
    for (int i = 0; i < KEYS && code == PM_OK; i++) {
        float seen = values[i * 16] - testload_initial((pm_key)i, 0);
        if (seen < least || seen > (float)scenario_ranks(w))
            code = scenario_failed(w, __FILE__, __LINE__, "a pulled value within what was pushed", 0);
    }
    free(values);
    return code == PM_OK ? scenario_check_model(w, twice_each, NULL) : code;
}

/* Without values the same calls work, buffers may be missing, and accounts add up. */
static int without_values(struct pm_worker *w, void *arg)
{
    (void)arg;
    pm_key keys[9];
    for (int round = 0; round < 5; round++) {
        for (uint32_t i = 0; i < 9; i++)
            keys[i] = (pm_worker_rank(w) * 3 + i * 7 + (uint32_t)round) % scenario_keys(w);
        SCENARIO_OK(pull_now(w, keys, 9, NULL));
        SCENARIO_OK(push_now(w, keys, 9, NULL));
        SCENARIO_OK(pm_pull_range(w, 0, scenario_keys(w), NULL));
        if (!scenario_traits(w)->replicates)
            SCENARIO_OK(pm_set(w, keys, 3, NULL));
        SCENARIO_OK(pm_wait_all(w));
    }
    SCENARIO_OK(pm_drain(w));
    SCENARIO_OK(pm_read_model(w, keys, 9, NULL));
    SCENARIO_OK(pm_barrier(w));
    struct pm_counters c = scenario_counters(w);
    double sums[2] = {(double)c.updates_pushed, (double)c.updates_applied};
    SCENARIO_OK(pm_reduce(w, sums, 2));
    SCENARIO_CHECK(sums[0] == 45.0 * scenario_ranks(w) * w->ctx.node->config.workers);
    SCENARIO_CHECK(sums[0] == sums[1]);
    return PM_OK;
}

const struct contract_case contract_access[] = {
    {.name = "initial_values", .main = initial_values},
    {.name = "read_own_writes", .main = read_own_writes},
    {.name = "shared_counter", .main = shared_counter},
    {.name = "duplicates", .main = duplicates},
    {.name = "set_or_refuse", .main = set_or_refuse},
    {.name = "ranges", .main = ranges},
    {.name = "ranges_in_small_messages",
     .main = ranges,
     .shape = {.keys = 64, .length = 40},
     .max_message = 512},
    {.name = "keys_larger_than_a_message",
     .main = ranges,
     .shape = {.keys = 24, .length = 200},
     .max_message = 256},
    {.name = "mixed_lengths",
     .main = mixed_lengths,
     .shape = {.keys = 31, .length = 3, .more_keys = 33, .more_length = 11}},
    {.name = "mixed_lengths_in_small_messages",
     .main = mixed_lengths,
     .shape = {.keys = 31, .length = 3, .more_keys = 33, .more_length = 11},
     .max_message = 200},
    {.name = "zero_keys", .main = zero_keys},
    {.name = "keys_out_of_range", .main = keys_out_of_range},
    {.name = "many_operations", .main = many_operations},
    {.name = "without_values", .main = without_values, .without_values = true},
    {.name = "without_values_in_small_messages",
     .main = without_values,
     .shape = {.keys = 64, .length = 40},
     .max_message = 512,
     .without_values = true},
    {.main = NULL},
};
