/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clipping of the updates that a node has collected for a key, when an exchange sends them: a Euclidean norm of more than
 * traits.clip times the mean norm is brought down to that.
 *
 * The mean is that of the norms, before clipping, of all keys' collected updates that this node has sent: plain over the first
 * CLIP_WINDOW, then exponential, each norm with weight 1 / CLIP_WINDOW. A norm is compared with the mean of those before it. What
 * is not finite is left alone and does not count. */
#include <math.h>

#include "core/internal.h"

enum { CLIP_WINDOW = 1000 };

void pm_clip(struct pm_ctx *ctx, float *delta, uint32_t n)
{
    struct pm_clip *c = &ctx->node->exchange.clip;
    if (ctx->node->traits.clip == 0)
        return;
    double squares = 0;
    for (uint32_t i = 0; i < n; i++)
        squares += (double)delta[i] * (double)delta[i];
    double norm = sqrt(squares), most = ctx->node->traits.clip * c->mean;
    if (!isfinite(norm))
        return;
    if (c->mean > 0 && norm > most) {
        float scale = (float)(most / norm);
        for (uint32_t i = 0; i < n; i++)
            delta[i] *= scale;
        pm_count(&ctx->counters.deltas_clipped, 1);
    }
    if (c->n < CLIP_WINDOW)
        c->n++;
    c->mean += (norm - c->mean) / (double)c->n;
}
