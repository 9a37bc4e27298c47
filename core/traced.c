/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which keys are traced, and their ranks. Where the workload says how often its keys are accessed this costs 24 bytes per key of
 * the model and a sort while it is decided. */
#include "core/traced.h"

#include <stdlib.h>

#include "core/rng.h"

struct expectation {
    double accesses;
    pm_key key;
};

static int most_first(const void *a, const void *b)
{
    const struct expectation *x = a, *y = b;
    if (x->accesses != y->accesses)
        return x->accesses < y->accesses ? 1 : -1;
    return (x->key > y->key) - (x->key < y->key);
}

static int by_key(const void *a, const void *b)
{
    const struct pm_traced_key *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* All keys, most accessed first; *out is NULL where the workload does not say. PM_OK or PM_E_MEMORY. */
static int expect(const struct pm_workload *workload, const void *state, uint64_t n_keys, struct expectation **out)
{
    *out = NULL;
    if (!workload->frequency)
        return PM_OK;
    double *accesses = malloc(n_keys * sizeof *accesses);
    struct expectation *all = malloc(n_keys * sizeof *all);
    if (accesses && all) {
        workload->frequency(state, 0, n_keys, accesses);
        for (pm_key key = 0; key < n_keys; key++)
            all[key] = (struct expectation){.accesses = accesses[key], .key = key};
        qsort(all, n_keys, sizeof *all, most_first);
        *out = all;
    } else {
        free(all);
    }
    free(accesses);
    return *out ? PM_OK : PM_E_MEMORY;
}

/* So many different keys: of each of the last n numbers either one at or below it that is not taken yet, or itself. */
static int choose_random(struct pm_traced *t, uint64_t n_keys, uint64_t seed)
{
    struct pm_rng rng;
    uint64_t places = 2;
    while (places < 4 * t->n)
        places *= 2;
    pm_key *taken = malloc(places * sizeof *taken);
    if (!taken)
        return PM_E_MEMORY;
    for (uint64_t i = 0; i < places; i++)
        taken[i] = PM_KEY_NONE;
    pm_rng_init(&rng, "traced", seed, 0, 0);
    for (uint64_t i = 0; i < t->n; i++) {
        pm_key last = n_keys - t->n + i, key = pm_rng_below(&rng, last + 1);
        uint64_t at = pm_hash64(key) % places;
        while (taken[at] != PM_KEY_NONE && taken[at] != key)
            at = (at + 1) % places;
        if (taken[at] == key) {
            key = last;
            for (at = pm_hash64(key) % places; taken[at] != PM_KEY_NONE;)
                at = (at + 1) % places;
        }
        taken[at] = t->keys[i].key = key;
    }
    free(taken);
    return PM_OK;
}

static int choose_list(const struct pm_traced_rule *rule, uint64_t n_keys, struct pm_traced *t, struct pm_error *err)
{
    for (uint64_t i = 0; i < rule->n; i++) {
        if (rule->keys[i] >= n_keys)
            return pm_error_set(err, PM_E_REFUSED, "traced keys: the workload has no key %llu (allowed: 0 to %llu)",
                                (unsigned long long)rule->keys[i], (unsigned long long)n_keys - 1);
        t->keys[i].key = rule->keys[i];
    }
    qsort(t->keys, t->n, sizeof *t->keys, by_key);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < t->n; i++)
        if (i == 0 || t->keys[i].key != t->keys[i - 1].key)
            t->keys[kept++] = t->keys[i];
    t->n = kept;
    return PM_OK;
}

static int choose(const struct pm_job *job, uint64_t n_keys, const struct expectation *all, struct pm_traced *t,
                  struct pm_error *err)
{
    if (job->traced.choice == PM_TRACED_LIST)
        return choose_list(&job->traced, n_keys, t, err);
    if (job->traced.choice == PM_TRACED_RANDOM)
        return choose_random(t, n_keys, job->seed) == PM_OK ? PM_OK : pm_error_set(err, PM_E_MEMORY, "out of memory");
    if (!all)
        return pm_error_set(err, PM_E_REFUSED,
                            "workload %s does not say how often its keys are accessed, so that the most frequent ones cannot be "
                            "traced (allowed: a list of keys, random-N)",
                            job->workload->name);
    for (uint64_t i = 0; i < t->n; i++)
        t->keys[i].key = all[i].key;
    return PM_OK;
}

const struct pm_traced_key *pm_traced_at(const struct pm_traced *traced, pm_key key)
{
    const struct pm_traced_key wanted = {.key = key};
    return bsearch(&wanted, traced->keys, traced->n, sizeof *traced->keys, by_key);
}

static void rank(struct pm_traced *t, const struct expectation *all, uint64_t n_keys)
{
    for (uint64_t i = 0; all && i < n_keys; i++) {
        struct pm_traced_key *at = (struct pm_traced_key *)pm_traced_at(t, all[i].key);
        if (at)
            at->rank = i + 1;
    }
}

int pm_traced_find(const struct pm_job *job, const void *state, const struct pm_model *model, struct pm_traced **out,
                   struct pm_error *err)
{
    const uint64_t n_keys = model->layout.n_keys;
    const bool list = job->traced.choice == PM_TRACED_LIST;
    struct expectation *all = NULL;
    *out = NULL;
    if (job->traced.choice == PM_TRACED_NONE)
        return PM_OK;
    uint64_t n = list || job->traced.n < n_keys ? job->traced.n : n_keys;
    struct pm_traced *t = calloc(1, sizeof *t + n * sizeof *t->keys);
    int rc = t ? expect(job->workload, state, n_keys, &all) : PM_E_MEMORY;
    if (rc != PM_OK)
        pm_error_set(err, rc, "out of memory for the expected accesses of %llu keys", (unsigned long long)n_keys);
    if (rc == PM_OK) {
        t->n = n;
        rc = choose(job, n_keys, all, t, err);
    }
    if (rc == PM_OK) {
        qsort(t->keys, t->n, sizeof *t->keys, by_key);
        rank(t, all, n_keys);
        *out = t;
    } else {
        free(t);
    }
    free(all);
    return rc;
}
