/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding policies, workloads and backends: the registry of this program, or a shared object. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/specs.h"
#include "core/nearest.h"
#include "core/registry.h"
#include "real/backend.h"

#ifndef CLI_LIBDIR
#define CLI_LIBDIR "/usr/local/lib"
#endif

bool cli_name_is_file(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') != NULL || (length > 3 && strcmp(name + length - 3, ".so") == 0);
}

/* dlerror's text without the path, with which it begins. */
static const char *loader_said(const char *path)
{
    const char *text = dlerror();
    if (text == NULL)
        return "cannot be loaded";
    size_t length = strlen(path);
    return strncmp(text, path, length) == 0 && strncmp(text + length, ": ", 2) == 0 ? text + length + 2
                                                                                    : text;
}

/* Loads a shared object for good and finds its symbol. */
static int load(const char *name, const char *symbol, const void **out, struct pm_error *err)
{
    char path[PM_OPTION_TEXT_MAX + 3];
    snprintf(path, sizeof path, "%s%s", strchr(name, '/') == NULL ? "./" : "", name);
    if (access(path, R_OK) != 0)
        return pm_error_set(err, PM_E_FILE, "%s: %m", name);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return pm_error_set(err, PM_E_FILE, "%s: %s", name, loader_said(path));
    *out = dlsym(library, symbol);
    if (*out == NULL) {
        dlclose(library);
        return pm_error_set(err, PM_E_FILE, "%s: has no symbol %s", name, symbol);
    }
    return PM_OK;
}

static int wrong_abi(const char *name, unsigned found, int wanted, struct pm_error *err)
{
    return pm_error_set(err, PM_E_ABI, "%s: built for interface version %u, this program has %d", name, found,
                        wanted);
}

static int lacks(const char *name, const char *slot, struct pm_error *err)
{
    return pm_error_set(err, PM_E_FILE, "%s: its table has no %s, which is mandatory", name, slot);
}

static int check_policy(const char *name, const struct pm_policy *p, struct pm_error *err)
{
    if (p->abi != PM_POLICY_ABI)
        return wrong_abi(name, p->abi, PM_POLICY_ABI, err);
    if (p->name == NULL || p->summary == NULL)
        return lacks(name, "name or summary", err);
    return p->init != NULL ? PM_OK : lacks(name, "init", err);
}

static int check_workload(const char *name, const struct pm_workload *w, struct pm_error *err)
{
    if (w->abi != PM_WORKLOAD_ABI)
        return wrong_abi(name, w->abi, PM_WORKLOAD_ABI, err);
    if (w->name == NULL || w->summary == NULL)
        return lacks(name, "name or summary", err);
    if (w->open == NULL || w->begin == NULL)
        return lacks(name, "open or begin", err);
    return w->epoch_begin != NULL && w->next != NULL && w->compute != NULL && w->flops != NULL
               ? PM_OK
               : lacks(name, "epoch_begin, next, compute or flops", err);
}

static int unknown(const char *kind, const char *name, const char *const *names, size_t n,
                   struct pm_error *err)
{
    const char *nearest = pm_nearest(name, names, n);
    if (nearest == NULL)
        return pm_error_set(err, PM_E_OPTION, "unknown %s \"%.80s\"", kind, name);
    return pm_error_set(err, PM_E_OPTION, "unknown %s \"%.80s\"; nearest is \"%s\" (pmlab list lists all)",
                        kind, name, nearest);
}

int cli_find_policy(const char *name, const struct pm_policy **out, struct pm_error *err)
{
    if (cli_name_is_file(name)) {
        const void *symbol;
        int rc = load(name, "pm_policy_export", &symbol, err);
        *out = rc == PM_OK ? symbol : NULL;
        return rc == PM_OK ? check_policy(name, *out, err) : rc;
    }
    const char *names[256];
    size_t n = 0;
    for (const struct pm_policy *const *p = pm_registry_policies; *p != NULL && n < 256; p++) {
        if (strcmp((*p)->name, name) == 0) {
            *out = *p;
            return check_policy(name, *p, err);
        }
        names[n++] = (*p)->name;
    }
    return unknown("policy", name, names, n, err);
}

int cli_find_workload(const char *name, const struct pm_workload **out, struct pm_error *err)
{
    if (cli_name_is_file(name)) {
        const void *symbol;
        int rc = load(name, "pm_workload_export", &symbol, err);
        *out = rc == PM_OK ? symbol : NULL;
        return rc == PM_OK ? check_workload(name, *out, err) : rc;
    }
    const char *names[256];
    size_t n = 0;
    for (const struct pm_workload *const *w = pm_registry_workloads; *w != NULL && n < 256; w++) {
        if (strcmp((*w)->name, name) == 0) {
            *out = *w;
            return check_workload(name, *w, err);
        }
        names[n++] = (*w)->name;
    }
    return unknown("workload", name, names, n, err);
}

/* The simulator lies beside the program that was built, or in the folder of the libraries of the one
 * installed. */
static int find_simulator(char *path, size_t size, struct pm_error *err)
{
    char program[2048];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(program, '/');
    if (slash != NULL)
        *slash = '\0';
    snprintf(path, size, "%s/pmlab-sim.so", program);
    if (access(path, R_OK) == 0)
        return PM_OK;
    snprintf(path, size, "%s/../lib/pmlab/pmlab-sim.so", program);
    if (access(path, R_OK) == 0)
        return PM_OK;
    snprintf(path, size, "%s/pmlab/pmlab-sim.so", CLI_LIBDIR);
    if (access(path, R_OK) == 0)
        return PM_OK;
    return pm_error_set(err, PM_E_FILE, "backend sim: pmlab-sim.so is neither in %s nor in %s/pmlab", program,
                        CLI_LIBDIR);
}

static int load_simulator(const struct pm_backend **out, struct pm_error *err)
{
    static const struct pm_backend *loaded;
    if (loaded == NULL) {
        char path[2200];
        int rc = find_simulator(path, sizeof path, err);
        if (rc != PM_OK)
            return rc;
        void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        if (library == NULL)
            return pm_error_set(err, PM_E_FILE, "%s: %s", path, loader_said(path));
        const struct pm_backend *backend = dlsym(library, "pm_backend_sim");
        if (backend == NULL)
            return pm_error_set(err, PM_E_FILE, "%s: has no symbol pm_backend_sim", path);
        if (backend->abi != PM_BACKEND_ABI)
            return wrong_abi(path, backend->abi, PM_BACKEND_ABI, err);
        loaded = backend;
    }
    *out = loaded;
    return PM_OK;
}

int cli_find_backend(const char *name, const struct pm_backend **out, struct pm_error *err)
{
    if (strcmp(name, "sim") == 0)
        return load_simulator(out, err);
    *out = &pm_backend_real;
    return PM_OK;
}
