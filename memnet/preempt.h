/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Preemption on the in-memory network: a policy whose hooks let other agents run before and after they
 * decide, also under latches, as threads may be interrupted anywhere. Runs need memnet_config.preempt. One
 * thread. */
#ifndef PM_PREEMPT_H
#define PM_PREEMPT_H

#include "core/policy.h"

/* Makes *out behave as `inner`, interrupted. One inner policy at a time. */
void preempt_policy(const struct pm_policy *inner, struct pm_policy *out);
/* After preempt_policy: also between the keys of an operation where the policy has no usable hook, so that core would not ask
 * before it serves owned keys. It asks now, and always gets PM_USE. */
void preempt_accesses(struct pm_policy *out);

#endif
