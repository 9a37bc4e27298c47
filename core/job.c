/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening a job's workload and checking that workload, policy and options fit together. */
#include "core/job.h"

#include <stdlib.h>

#include "core/internal.h"
#include "core/traced.h"

/* What the policy says of itself under these options. */
int pm_policy_traits(const struct pm_policy *policy, const struct pm_values *options, struct pm_traits *traits,
                     struct pm_error *err)
{
    *traits = (struct pm_traits){0};
    void *state = calloc(1, policy->node_bytes + 1);
    if (!state)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for policy %s", policy->name);
    int rc = policy->init(NULL, state, options, traits, err);
    if (policy->fini)
        policy->fini(NULL, state);
    free(state);
    return rc;
}

static int check_fit(const struct pm_job *job, struct pm_traits *traits, struct pm_error *err)
{
    int rc = pm_policy_traits(job->policy, job->policy_options, traits, err);
    if (rc != PM_OK)
        return rc;
    if (traits->replicates && job->workload->apply)
        return pm_error_set(err, PM_E_REFUSED, "workload %s has an update function at the owner, policy %s replicates keys",
                            job->workload->name, job->policy->name);
    if (!job->with_values && traits->needs_values)
        return pm_error_set(err, PM_E_REFUSED, "policy %s: %s; --values none is not possible with it", job->policy->name,
                            traits->needs_values);
    if (!job->with_values && job->workload->needs_values)
        return pm_error_set(err, PM_E_REFUSED, "workload %s needs values; --values none is not possible",
                            job->workload->name);
    return PM_OK;
}

/* Modelled bytes of the keys that each node owns and of its replicas of frequent keys, for policies that place keys at their
 * homes. */
static int take_census(const struct pm_job *job, const struct pm_traits *traits, struct pm_opened *o, struct pm_error *err)
{
    if (job->policy->owner || job->policy->replicated)
        return PM_OK;
    o->census = calloc(job->nodes, sizeof *o->census);
    if (!o->census)
        return pm_error_set(err, PM_E_MEMORY, "out of memory");
    struct pm_slots shape = {.private_bytes = (uint32_t)(traits->key_bytes + 7) & ~7u};
    for (pm_key key = 0; key < o->model.layout.n_keys; key++) {
        pm_node_id home = traits->ranges ? pm_range_home(key, job->nodes, o->model.layout.n_keys) : pm_home_of(key, job->nodes);
        uint32_t length = pm_layout_length(&o->model.layout, key);
        o->census[home] += pm_slot_model_bytes(&shape, length, false);
        for (pm_node_id i = 0; pm_frequent_has(o->frequent, key) && i < job->nodes; i++)
            o->census[i] += i == home ? 0 : pm_slot_model_bytes(&shape, length, true);
    }
    return PM_OK;
}

int pm_job_open(const struct pm_job *job, struct pm_opened *o, struct pm_error *err)
{
    *o = (struct pm_opened){0};
    struct pm_traits traits;
    int rc = check_fit(job, &traits, err);
    if (rc != PM_OK)
        return rc;
    o->state = calloc(1, job->workload->state_bytes + 1);
    if (!o->state)
        return pm_error_set(err, PM_E_MEMORY, "out of memory for workload %s", job->workload->name);
    struct pm_task task = {.nodes = job->nodes,
                           .workers = job->workers,
                           .epochs = job->epochs,
                           .seed = job->seed,
                           .with_values = job->with_values,
                           .aggregates = traits.aggregates,
                           .delay = traits.delay};
    rc = job->workload->open(o->state, job->workload_options, &task, &o->model, err);
    if (rc != PM_OK) {
        free(o->state);
        o->state = NULL;
        return rc;
    }
    if (o->model.layout.n_keys == 0)
        rc = pm_error_set(err, PM_E_ARGUMENT, "workload %s has no keys", job->workload->name);
    if (rc == PM_OK)
        rc = pm_frequent_find(job->workload, o->state, &o->model, &traits.frequent, &o->frequent, err);
    o->model.frequent = o->frequent;
    if (rc == PM_OK)
        rc = take_census(job, &traits, o, err);
    if (rc == PM_OK)
        rc = pm_traced_find(job, o->state, &o->model, &o->traced, err);
    if (rc != PM_OK)
        pm_job_close(job, o);
    return rc;
}

void pm_job_close(const struct pm_job *job, struct pm_opened *o)
{
    if (o->state && job->workload->close)
        job->workload->close(o->state);
    free(o->state);
    free(o->census);
    free(o->frequent);
    free(o->traced);
    *o = (struct pm_opened){0};
}
