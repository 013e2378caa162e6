/* agreement: how often networks answer differently over a data set. All answer in one pass over it: each picture is
 * decoded once for every way of preparing it, and a distilled network runs once for its heads. */
#include "eval/eval.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    eval_disagreement *result;
    model_net *const *nets;
    int n;
    const data_set *set;
    data_loader *loader[EVAL_MOST_NETS]; /* of the net; NULL: an earlier net's, whose pictures are the same */
    data_batch batch[EVAL_MOST_NETS];
    float *logits; /* [2, batch, classes] */
    int *answers;  /* [classifiers, batch] */
    int64_t size;  /* batch */
} agreement_state;

/* ---- Classifiers ------------------------------------------------------------------------------------------------- */

/* The truth, each network, and of a distilled one its class head, its distillation head, both. */
static void agreement_list(eval_disagreement *result, model_net *const *nets, int n) {
    static const model_head heads[] = {MODEL_HEAD_CLASS, MODEL_HEAD_DIST, MODEL_HEAD_MEAN};
    result->classifiers[result->n++] = (eval_classifier){-1, MODEL_HEAD_MEAN};
    for (int i = 0; i < n; i++)
        for (int h = nets[i]->config.distilled ? 0 : 2; h < 3; h++)
            result->classifiers[result->n++] = (eval_classifier){i, heads[h]};
}

static int agreement_best(const float *logits, int classes) {
    eval_class best;
    eval_top(logits, classes, 1, &best);
    return best.index;
}

/* logits: [2, n, classes] of a distilled network -> the answers of three classifiers; else [n, classes], of one. */
static void agreement_answer(float *logits, int64_t n, int classes, bool distilled, int *answers, int64_t stride) {
    float *dist = logits + n * classes;
    for (int64_t i = 0; i < n; i++, logits += classes, answers++) {
        answers[0] = agreement_best(logits, classes);
        if (!distilled) continue;
        answers[stride] = agreement_best(dist, classes);
        for (int c = 0; c < classes; c++) logits[c] = (logits[c] + *dist++) * 0.5f;
        answers[2 * stride] = agreement_best(logits, classes);
    }
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

static void agreement_count(agreement_state *state, int64_t n) {
    eval_disagreement *r = state->result;
    for (int a = 0; a < r->n; a++)
        for (int b = 0; b < a; b++) {
            const int *of_a = state->answers + a * state->size, *of_b = state->answers + b * state->size;
            int64_t differ = 0;
            for (int64_t i = 0; i < n; i++) differ += of_a[i] != of_b[i];
            r->differ[a][b] += differ, r->differ[b][a] += differ;
        }
    r->images += n;
}

/* The same items in every loader: those that one cannot read no other can. */
static bool agreement_same(const data_batch *a, const data_batch *b) {
    return a->n == b->n && !memcmp(a->items, b->items, (size_t)a->n * sizeof *a->items);
}

/* The next batch through every network; *n: its images, 0 at the end. */
static base_status agreement_batch(agreement_state *state, int64_t *n) {
    int *answers = state->answers;
    for (int i = 0; i < state->n; i++)
        if (state->loader[i]) BASE_TRY(data_loader_next(state->loader[i], &state->batch[i]));
    const data_batch *first = &state->batch[0], *shown = first;
    *n = first->n;
    if (!*n) return BASE_OK;
    memcpy(answers, first->labels, (size_t)*n * sizeof *answers);
    answers += state->size;
    for (int i = 0; i < state->n; i++) {
        model_net *net = state->nets[i];
        const model_config *config = &net->config;
        if (state->loader[i]) shown = &state->batch[i];
        if (!agreement_same(shown, first))
            return base_fail("%s: a picture could be read for one network, but not for %s", data_path(state->set),
                             config->name);
        BASE_TRY(model_net_run(net, *n, shown->images, state->logits));
        agreement_answer(state->logits, *n, config->classes, config->distilled, answers, state->size);
        answers += (config->distilled ? 3 : 1) * state->size;
    }
    agreement_count(state, *n);
    return BASE_OK;
}

static base_status agreement_run(agreement_state *state, const base_context *context) {
    eval_disagreement *r = state->result;
    for (int64_t n;;) {
        BASE_TRY(agreement_batch(state, &n));
        if (!n) break;
        r->bad = data_loader_bad(state->loader[0]);
        base_progress(context, "disagree", (double)(r->images + r->bad), (double)data_count(state->set), "images",
                      NULL);
        if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "stopped");
    }
    return r->images ? BASE_OK : base_fail("%s: none of its files could be read", data_path(state->set));
}

static bool agreement_same_way(const image_transform *a, const image_transform *b) {
    bool same = a->size == b->size && a->crop == b->crop && a->filter == b->filter && a->fit == b->fit;
    for (int c = 0; c < 3; c++) same &= a->mean[c] == b->mean[c] && a->std[c] == b->std[c];
    return same;
}

/* A loader for each way of preparing a picture; networks that share it must follow one another. */
static base_status agreement_open(agreement_state *state, const eval_options *options, const base_context *context) {
    image_transform before = {0};
    for (int i = 0; i < state->n; i++) {
        data_loader_options loading = {.batch = state->size,
                                       .threads = options->loader_threads,
                                       .transform = eval_transform(&state->nets[i]->config),
                                       .max_bad = options->max_bad};
        loading.transform.fit = options->fit;
        if (i && agreement_same_way(&loading.transform, &before)) continue;
        before = loading.transform;
        BASE_TRY(data_loader_open(&state->loader[i], state->set, &loading, i ? NULL : context));
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status eval_disagree(eval_disagreement *result, model_net *const *nets, int n, data_set *set,
                                        const eval_options *options, const base_context *context) {
    *result = (eval_disagreement){0};
    agreement_state state = {
        .result = result, .nets = nets, .n = n, .set = set, .size = options->batch > 0 ? options->batch : EVAL_BATCH};
    if (n < 1 || n > EVAL_MOST_NETS)
        return base_fail_as(BASE_USAGE, "expected 1 to %d networks, found %d", EVAL_MOST_NETS, n);
    for (int i = 0; i < n; i++) BASE_TRY(data_check_classes(set, nets[i]->config.classes, nets[i]->config.name));
    agreement_list(result, nets, n);
    state.logits = base_malloc(2 * (size_t)state.size * (size_t)data_classes(set) * sizeof *state.logits);
    state.answers = base_malloc((size_t)result->n * (size_t)state.size * sizeof *state.answers);
    base_status status = state.logits && state.answers ? agreement_open(&state, options, context) : BASE_ERROR;
    if (!status) status = agreement_run(&state, context);
    for (int i = 0; i < n; i++) data_loader_close(state.loader[i]);
    base_free(state.logits);
    base_free(state.answers);
    return status;
}
