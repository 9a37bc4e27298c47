/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The real backend's table. */
#ifndef PM_REAL_BACKEND_H
#define PM_REAL_BACKEND_H

#include "core/backend.h"

extern const struct pm_backend pm_backend_real;

#endif
