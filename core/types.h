/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Words of the parameter manager as integer types. Constants only: safe from anywhere. */
#ifndef PM_CORE_TYPES_H
#define PM_CORE_TYPES_H

#include <stdint.h>

typedef uint64_t pm_key;     /* names one parameter value, in [0, K) */
typedef uint32_t pm_node_id; /* member of the cluster, in [0, N) */
typedef int64_t pm_ticket;   /* names one worker's asynchronous operation; negative values are error codes */
typedef int64_t pm_clock;    /* how often a worker has advanced its clock */

#define PM_KEY_NONE       UINT64_MAX
#define PM_NODE_NONE      UINT32_MAX
#define PM_CLOCK_INFINITE INT64_MAX /* of workers that wait or have finished */
#define PM_CLOCK_NOW      (-1)      /* start and end of a hint that holds at once */
#define PM_TIME_NEVER     INT64_MAX /* a date, in nanoseconds, that does not come */

#endif
