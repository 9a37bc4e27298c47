/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backends of the program, for tests. */
#include "tests/backends.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CONTEXTS "sim-cfg=contexts/factory\\:thread"
#else
#define CONTEXTS ""
#endif

extern const struct pm_backend pm_backend_real;

/* The simulator of the build folder that this program lies in: BUILD/tests/PROGRAM, BUILD/pmlab-sim.so. */
static const char *beside_program(char *path)
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
    path[length > 0 ? length : 0] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(path, '/');
        if (slash)
            *slash = '\0';
    }
    memcpy(path + strlen(path), "/pmlab-sim.so", sizeof "/pmlab-sim.so");
    return path;
}

const struct pm_backend *backends_sim(void)
{
    static const struct pm_backend *sim;
    if (sim)
        return sim;
    char beside[PATH_MAX + 32];
    const char *path = getenv("PMLAB_SIM");
    void *library = dlopen(path ? path : beside_program(beside), RTLD_NOW | RTLD_GLOBAL);
    if (library)
        sim = dlsym(library, "pm_backend_sim");
    if (!sim)
        fprintf(stderr, "%s (PMLAB_SIM names the simulator's shared object)\n", dlerror());
    return sim;
}

const char *backends_sim_options(const char *further)
{
    static char text[256];
    snprintf(text, sizeof text, "%s%s%s", CONTEXTS, *CONTEXTS && *further ? "," : "", further);
    return text;
}

const struct pm_backend *backends_real(void)
{
    return &pm_backend_real;
}
