/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Starts the nodes' processes on this machine and looks after them: records, deaths, interruption, lack of
 * progress. */
#ifndef PM_REAL_LAUNCH_H
#define PM_REAL_LAUNCH_H

#include "core/job.h"
#include "real/node.h"

/* Runs the job in job->nodes direct children of this process, which must not have threads (children are
 * forked). When it returns all children have ended and are reaped. PM_OK or the most telling failure. */
int real_launch(const struct pm_job *job, const struct real_settings *settings, struct pm_error *err);

#endif
