/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backends of the program, for tests. */
#ifndef PM_TESTS_BACKENDS_H
#define PM_TESTS_BACKENDS_H

#include "core/backend.h"

/* The simulator of this build, loaded when first asked for; NULL with a line on standard error. */
const struct pm_backend *backends_sim(void);
/* Options that it needs in this build (sanitizers cannot follow its own kind of contexts), then `further`.
 * The text is valid until the next call. */
const char *backends_sim_options(const char *further);
const struct pm_backend *backends_real(void);

#endif
