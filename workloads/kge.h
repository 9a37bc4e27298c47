/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Knowledge graph embeddings: the state that its files share.
 *
 * struct kge_state is filled by kge_open and read-only afterwards. struct kge_worker is one worker's alone; the loader's part
 * (kge_stream.c) and the trainer's part (kge_train.c) of it do not touch each other, because the loader runs ahead.
 *
 * Keys: entities [0, n_entities), then the rows of the relations, `rows` keys each: 1, with RESCAL `dims`. All values are `dims`
 * floats of the embedding and as many sums of squares of AdaGrad behind them. */
#ifndef PM_WORKLOADS_KGE_H
#define PM_WORKLOADS_KGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/permutation.h"
#include "core/workload.h"
#include "workloads/graph.h"
#include "workloads/kge_kernel.h"

enum { KGE_PATH_MAX = 4096, KGE_SUFFIX_MAX = 40 };

enum kge_loss { KGE_LOGISTIC, KGE_SOFTMAX };

/* What a stored model begins with; then follow the values of all keys, as they are in memory. */
struct kge_header {
    char magic[8];
    uint32_t model, dims, epochs, zero;      /* epochs: trained so far */
    uint64_t n_entities, n_relations, graph; /* graph: hash of the training triples */
};

/* Known objects of pairs (subject, relation) and known subjects of pairs (relation, object). */
struct kge_filter {
    uint64_t n;
    uint64_t *pairs;  /* sorted; see kge_filter.c */
    uint64_t *starts; /* of each pair's list; and one more, which ends the last */
    uint32_t *known;
};

struct kge_state {
    struct pm_task task;
    uint32_t ranks;
    enum kge_model model;
    enum kge_loss loss;
    enum kge_norm norm;
    uint32_t dims, rows, length; /* length = 2 dims: numbers of a value */
    uint32_t number_floats;      /* floats that each counts in the layout; 1 with values */
    uint32_t negatives;          /* per triple and side */
    uint32_t batch;              /* most triples of one batch */
    bool shared;                 /* the triples of a batch share their negatives */
    bool stepwise;               /* a step per scored triple, which has its own pulls and pushes */
    bool by_relation;            /* triples are divided over the nodes by their relations */
    float rate, lambda_entity, lambda_relation;
    float accumulator, init;
    uint64_t init_seed, order_seed;
    const struct kge_kernel *kernel;
    const struct kge_form *form;

    struct graph graph;
    enum graph_part measured; /* part on which the model is evaluated */
    struct kge_filter tails, heads;
    uint32_t *by_relations;      /* training triples in the order of their relations; NULL unless by_relation */
    uint32_t *relation_nodes;    /* node that has most of a relation's triples; likewise */
    struct pm_permutation order; /* else: training triples as they are dealt out */
    struct pm_distribution negative;

    char *export_folder, *checkpoint; /* NULL: none */
    uint32_t epochs_before;
    float *resumed; /* values of all keys; NULL: none */
};

/* The parameters that some triples touch, each once. A relation is one slot of s->rows keys. */
struct kge_slot {
    pm_key key;     /* the first */
    uint32_t first; /* place of its first key among the keys of all slots */
    uint32_t count; /* how often the triples name it */
    bool relation;
};

struct kge_slots {
    uint32_t n, n_keys, n_triples;
    struct kge_slot *list;
    uint32_t *places, mask; /* open addressing: slot + 1, 0 = free; all free between two fillings */
    struct triple *triples;
    struct triple *slots; /* of each triple's subject, relation and object: places in `list` */
};

/* What a batch carries: which triples of the worker's epoch, and the first of them, because finding one takes about as long as
 * scoring it. */
struct kge_item {
    uint64_t first;
    uint32_t n_triples;
    struct triple triple;
};

struct kge_worker {
    uint32_t rank;
    struct pm_permutation order; /* of the worker's triples; constant in an epoch */
    uint64_t n_triples;          /* of an epoch */
    struct {                     /* the loader's */
        uint64_t next, place;    /* triple, and where the graph has it */
        bool hints;              /* the first batch of the run is still to come */
        struct kge_slots slots;
    } stream;
    uint32_t epochs;        /* trained in this run */
    struct kge_slots slots; /* the trainer's */
    /* Scratch of the trainer. Per triple of a group: vectors that candidates are multiplied with; sums of candidates, weighted by
     * the gradients of their scores; scores of candidates. tails: candidates stand for the object; heads: for the subject. */
    float *tails, *heads, *tail_sums, *head_sums, *tail_scores, *head_scores;
    float *positives; /* per triple: derivative of the loss by its own score */
    float *copies;    /* update=score: values of subject, relation, object and a negative */
};

/* kge_slots.c. Room for `triples` triples at a time; PM_E_MEMORY, with nothing to free. */
int kge_slots_init(struct kge_slots *slots, uint32_t triples);
void kge_slots_free(struct kge_slots *slots);
/* Takes the triples of one batch. */
void kge_slots_fill(const struct kge_state *s, const struct kge_worker *w, const struct kge_item *item, struct kge_slots *slots);
void kge_slots_keys(const struct kge_state *s, const struct kge_slots *slots, pm_key *keys);

static inline pm_key kge_relation_key(const struct kge_state *s, uint32_t relation)
{
    return s->graph.n_entities + (uint64_t)relation * s->rows;
}

/* kge_options.c: what the options say, and the recipe, for the generator. PM_E_OPTION, PM_E_MEMORY. */
extern const struct pm_option kge_options[];
extern const struct pm_preset kge_presets[];
int kge_take_options(struct kge_state *s, const struct pm_values *o, struct graph_recipe *recipe, struct pm_error *err);

/* kge_stream.c: division of the triples over the workers, and the loader. */
int kge_divide(struct kge_state *s, struct pm_error *err);
struct triple kge_triple_at(const struct kge_state *s, const struct kge_worker *w, uint64_t i);
uint64_t kge_epoch_begin(const void *state, void *ws, uint32_t epoch);
int kge_next(const void *state, void *ws, struct pm_batch *batch);

/* kge_train.c: the trainer. */
int kge_trainer_init(const struct kge_state *s, struct kge_worker *w);
void kge_trainer_free(struct kge_worker *w);
void kge_compute(const void *state, void *ws, struct pm_step *step);
double kge_flops(const void *state, const struct pm_batch *batch);

/* kge_filter.c. tails: objects of (s, r); else subjects of (r, o). PM_E_MEMORY. */
int kge_filter_fill(struct kge_filter *f, const struct graph *g, enum graph_part part, bool tails);
void kge_filter_free(struct kge_filter *f);
/* Known candidates, ascending and each once. */
const uint32_t *kge_filter_find(const struct kge_filter *f, struct triple t, bool tails, uint32_t *n);

/* kge_evaluate.c */
int kge_evaluate(const void *state, void *ws, struct pm_worker *worker, struct pm_evaluation *out);

/* kge_store.c: the model in files. kge_resume reads s->resumed and s->epochs_before; PM_E_FILE, also when it is another model's,
 * PM_E_MEMORY. kge_resume_from does so from a file that is open and stays so; its path is for messages.
 * kge_header: what a checkpoint begins with. kge_write is called by one worker: the checkpoint and the export, as far as asked
 * for. */
struct kge_header kge_header(const struct kge_state *s, uint32_t epochs);
int kge_resume(struct kge_state *s, const char *path, struct pm_error *err);
int kge_resume_from(struct kge_state *s, FILE *file, const char *path, struct pm_error *err);
int kge_prepare_export(const struct kge_state *s, struct pm_error *err);
int kge_write(const struct kge_state *s, const struct kge_worker *w, struct pm_worker *worker);

#endif
