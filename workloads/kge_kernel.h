/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The inner loops of knowledge graph embeddings, in versions for several instruction sets.
 *
 * All three models score a triple by a form that is linear in the embeddings of subject, relation and object. So each has two
 * vectors that a candidate entity's embedding is multiplied with: `tail` of (s, r), score = <tail, o>, and `head` of (r, o),
 * score = <head, s>. Both are gradients of the score, too; the third one is `relation` of (s, o). By linearity the same functions
 * give the gradients of sums of scores. Embeddings are `dims` floats; ComplEx has dims / 2 complex numbers, all real parts before
 * all imaginary ones. A relation of RESCAL is `dims` rows of as many floats, `stride` apart. Kernels touch nothing but their
 * arguments: any thread may run them. */
#ifndef PM_WORKLOADS_KGE_KERNEL_H
#define PM_WORKLOADS_KGE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kge_model { KGE_COMPLEX, KGE_RESCAL, KGE_DISTMULT, KGE_MODELS };
enum kge_norm { KGE_L2, KGE_N3 };

/* Each adds to out. */
struct kge_form {
    void (*tail)(const float *s, const float *r, size_t stride, uint32_t dims, float *out);
    void (*head)(const float *r, size_t stride, const float *o, uint32_t dims, float *out);
    void (*relation)(const float *s, const float *o, uint32_t dims, float *out, size_t stride);
};

/* Rows of a matrix, `stride` floats apart. */
struct kge_rows {
    const float *first;
    size_t stride;
    uint32_t n;
};

struct kge_kernel {
    const char *name;
    bool (*runs_here)(void);
    struct kge_form forms[KGE_MODELS];
    /* out[a * out_stride + b] = <a-th row, b-th row>; the bits do not depend on which other rows there are. */
    void (*scores)(struct kge_rows a, struct kge_rows b, uint32_t dims, float *out, size_t out_stride);
    /* a-th row of out = sum over b of weights[a * a_stride + b * b_stride] * b-th row. */
    void (*combine)(const float *weights, size_t a_stride, size_t b_stride, uint32_t n, struct kge_rows b, uint32_t dims,
                    float *out, size_t out_stride);
    /* out += weight * x */
    void (*add)(float weight, const float *x, uint32_t dims, float *out);
    /* AdaGrad: update holds a gradient; it becomes the step, within 5e-7 of it relatively, and, behind it, the squares that are
     * added to those behind value. */
    void (*adagrad)(const float *value, float *update, uint32_t dims, float rate);
    /* Adds to gradient that of weight / 2 * |x|^2 (L2) or of weight * |x|^3 (N3), |.|^3 summed over the elements' absolute
     * values, of complex numbers when there are `complex` ones. */
    void (*penalty)(enum kge_norm norm, bool complex, float weight, const float *x, uint32_t dims, float *gradient);
    /* Scores of triples that are held to be false become the derivatives of log(1 + e^score), whose sum is returned. */
    double (*logistic)(float *scores, uint32_t n);
    /* Scores become the derivatives of log(e^positive + sum of e^score) - positive, which is returned; so does *positive,
     * to be added to. */
    double (*softmax)(float *scores, uint32_t n, float positive, float *positive_gradient);
    /* How many scores are not less than or equal to target - greater, or no numbers - and how many are equal. */
    void (*count)(const float *scores, uint32_t n, float target, uint64_t *greater, uint64_t *equal);
};

/* Fastest first; the last one, baseline, runs everywhere and gives the same bits everywhere. Ends with NULL. */
extern const struct kge_kernel *const kge_kernels[];
extern const struct kge_kernel kge_kernel_baseline;

/* The first kernel that runs on this processor, or the baseline. */
const struct kge_kernel *kge_kernel_choose(bool baseline);

#endif
