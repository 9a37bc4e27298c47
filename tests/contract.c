/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running scenarios: every case, every policy, any backend. */
#include "tests/contract.h"

#include <stdio.h>
#include <string.h>

#include "core/registry.h"
#include "core/spec.h"

/* Settings besides the defaults, of policies that the tree has. */
static const struct {
    const char *policy, *options;
} variants[] = {
    {"adaps", "techniques=relocation,sampling=prelocalize"},
    {"adaps", "techniques=replication,rounds_per_second=100000"},
    {"adaps", "timing=0,location_cache=0,sampling=postpone,group=20"},
    {"adaps", "rounds_per_second=10000,quantile=0.5,empty_rounds=1"},
    {"classic", "fast_local=0"},
    {"bounded", "delay=1"},
    {"bounded", "delay=inf,placement=hash,keys=0,range_clocks=0"},
    {"classic", "placement=range"},
    {"full", "syncs_per_second=0"},
    {"full", "syncs_per_second=100000"},
    {"full", "exchange=allreduce"},
    {"full", "exchange=allreduce,syncs_per_second=0"},
    {"full", "exchange=allreduce,syncs_per_second=100000"},
    {"lapse", "location_cache=1"},
    {"lapse", "fast_local=0"},
    {"lapse", "location_cache=1,location_cache_keys=3,fast_local=0,ahead=3,placement=range"},
    {"nups", "replicate=16,syncs_per_second=10000"},
    {"nups", "replicate=16,syncs_per_second=0,sampling=local"},
    {"nups", "replicate=5,sampling=postpone,group=20,placement=range"},
    {"nups", "replicate=16,sampling=prelocalize,location_cache=1,location_cache_keys=5"},
    {"nups", "replicate=16,exchange=allreduce"},
    {"nups", "sampling=independent"},
    {"stale", "staleness=0"},
    {"stale", "sync=server"},
    {"stale", "sync=server,staleness=0,clock=3"},
};

const struct contract_case *contract_case_at(size_t i)
{
    const struct contract_case *const tables[] = {contract_access, contract_collective, contract_hints};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct contract_case *c = tables[t]; c->main; c++)
            if (i-- == 0)
                return c;
    return NULL;
}

bool contract_policy_at(size_t i, struct contract_policy *out)
{
    for (size_t p = 0; pm_registry_policies[p]; p++)
        if (i-- == 0) {
            *out = (struct contract_policy){pm_registry_policies[p], ""};
            return true;
        }
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++)
        for (size_t p = 0; pm_registry_policies[p]; p++)
            if (strcmp(pm_registry_policies[p]->name, variants[v].policy) == 0 && i-- == 0) {
                *out = (struct contract_policy){pm_registry_policies[p], variants[v].options};
                return true;
            }
    return false;
}

static int backend_values(struct pm_values *values, const struct pm_backend *backend, const char *text,
                          struct pm_error *err)
{
    char spec_text[512];
    struct pm_spec spec;
    snprintf(spec_text, sizeof spec_text, "%s%s%s", backend->name, *text ? ":" : "", text);
    int code = pm_spec_parse(spec_text, &spec, err);
    if (code != PM_OK)
        return code;
    code = pm_spec_apply(&spec, backend->options, NULL, values, err);
    pm_spec_free(&spec);
    return code;
}

int contract_run(const struct pm_backend *backend, const char *backend_options, const struct contract_case *c,
                 const struct contract_policy *policy, struct contract_cluster cluster, uint64_t seed,
                 struct pm_error *err)
{
    static const struct testload_shape usual = {.keys = 64, .length = 4};
    struct testjob t;
    struct pm_values options;
    int code = testjob_init(&t, policy->policy, policy->options, c->shape.keys ? &c->shape : &usual, err);
    if (code != PM_OK)
        return code;
    testjob_cluster(&t, cluster.nodes, cluster.workers);
    t.job.seed = seed;
    t.job.max_message = c->max_message;
    t.job.with_values = !c->without_values;
    t.job.main = c->main;
    t.job.main_arg = (void *)c;
    code = backend_values(&options, backend, backend_options, err);
    if (code == PM_OK) {
        code = backend->run(&t.job, &options, err);
        pm_values_free(&options);
    }
    if (code != PM_OK)
        pm_error_wrap(err, code, "%s under %s%s%s, %u x %u", c->name, policy->policy->name,
                      *policy->options ? ":" : "", policy->options, t.job.nodes, t.job.workers);
    testjob_free(&t);
    return code;
}
