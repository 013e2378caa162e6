/* vectors: what a transformer's tokens are like - the cosine of the class and the distillation token layer by layer,
 * and the length of position vectors at another resolution. */
#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* a, b: [dim] */
static double vectors_cosine(const float *a, const float *b, int dim) {
    double ab = 0, aa = 0, bb = 0;
    for (int d = 0; d < dim; d++) {
        ab += (double)a[d] * (double)b[d];
        aa += (double)a[d] * (double)a[d], bb += (double)b[d] * (double)b[d];
    }
    return ab / sqrt(aa * bb);
}

/* ---- Class and distillation token -------------------------------------------------------------------------------- */

typedef struct {
    eval_tokens *result;
    model_net *net;
    data_loader *loader;
    float *tokens;                        /* [2 layers, batch, dim] */
    float *outputs[2 * EVAL_MOST_LAYERS]; /* into tokens: of each layer the class token's, the distillation token's */
} vectors_state;

/* The learned tokens themselves. */
static base_status vectors_learned(eval_tokens *result, const model_net *net, model_weights *weights) {
    static const char *const names[] = {"cls_token", "dist_token"};
    const nn_graph *graph = nn_plan_graph(net->plan);
    nn_source source = model_weights_source(weights);
    int dim = net->config.dim;
    float *both = base_malloc(2 * (size_t)dim * sizeof *both);
    base_status status = both ? BASE_OK : BASE_ERROR;
    for (int i = 0; i < nn_param_count(graph); i++)
        for (int k = 0; k < 2 && !status; k++)
            if (!strcmp(nn_param_at(graph, i)->name, names[k]))
                status = source.read(source.user, i, nn_param_at(graph, i), both + k * dim);
    if (!status) result->learned = vectors_cosine(both, both + dim, dim);
    base_free(both);
    return status;
}

static base_status vectors_batch(vectors_state *state, const data_batch *batch) {
    eval_tokens *r = state->result;
    int dim = state->net->config.dim;
    BASE_TRY(nn_run(state->net->plan, batch->n, &batch->images, state->outputs));
    for (int layer = 0; layer < r->layers; layer++)
        for (int64_t i = 0; i < batch->n; i++)
            r->cosine[layer] +=
                vectors_cosine(state->outputs[2 * layer] + i * dim, state->outputs[2 * layer + 1] + i * dim, dim);
    r->images += batch->n;
    return BASE_OK;
}

static base_status vectors_run(vectors_state *state, int64_t images, const base_context *context) {
    eval_tokens *r = state->result;
    data_batch batch;
    for (;;) {
        BASE_TRY(data_loader_next(state->loader, &batch));
        if (!batch.n) break;
        BASE_TRY(vectors_batch(state, &batch));
        r->bad = data_loader_bad(state->loader);
        base_progress(context, "tokens", (double)(r->images + r->bad), (double)images, "images", NULL);
        if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "stopped");
    }
    for (int layer = 0; layer < r->layers; layer++) r->cosine[layer] /= (double)r->images;
    return r->images ? BASE_OK : base_fail("none of the files could be read");
}

/* Images spread over the set: sorted by class, the first ones would be of a few classes. order: [n] */
static void vectors_spread(int64_t *order, int64_t n, int64_t count) {
    for (int64_t i = 0; i < n; i++) order[i] = i * count / n;
}

DEIT_INTERNAL base_status eval_token_similarity(eval_tokens *result, model_net *net, model_weights *weights,
                                                data_set *set, int64_t images, const eval_options *options,
                                                const base_context *context) {
    int dim = net->config.dim;
    int64_t count = data_count(set), batch = options->batch > 0 ? options->batch : EVAL_BATCH;
    if (images < 1 || images > count) images = count;
    *result = (eval_tokens){.layers = net->config.depth + 2};
    if (result->layers > EVAL_MOST_LAYERS)
        return base_fail("%s has %d blocks; up to %d can be shown", net->config.name, net->config.depth,
                         EVAL_MOST_LAYERS - 2);
    if (data_sequential(set) && images < count)
        return base_fail_as(BASE_USAGE, "%s: a compressed tar is read whole: leave --images out", data_path(set));
    BASE_TRY(vectors_learned(result, net, weights));
    vectors_state state = {.result = result, .net = net};
    int64_t *order = base_malloc((size_t)images * sizeof *order);
    state.tokens = base_malloc(2 * (size_t)result->layers * (size_t)(batch * dim) * sizeof *state.tokens);
    base_status status = order && state.tokens ? BASE_OK : BASE_ERROR;
    if (!status) vectors_spread(order, images, count);
    for (int i = 0; i < 2 * result->layers && !status; i++) state.outputs[i] = state.tokens + i * batch * dim;
    data_loader_options loading = {.batch = batch,
                                   .threads = options->loader_threads,
                                   .transform = eval_transform(&net->config),
                                   .max_bad = options->max_bad,
                                   .order = images < count ? order : NULL,
                                   .count = images};
    loading.transform.fit = options->fit;
    if (!status) status = data_loader_open(&state.loader, set, &loading, context);
    if (!status) status = vectors_run(&state, images, context);
    data_loader_close(state.loader);
    base_free(order);
    base_free(state.tokens);
    return status;
}

/* ---- Positions --------------------------------------------------------------------------------------------------- */

/* The mean length of vectors [n, dim]. */
static double vectors_norm(const float *vectors, int64_t n, int dim) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++, vectors += dim) {
        double squares = 0;
        for (int d = 0; d < dim; d++) squares += (double)vectors[d] * (double)vectors[d];
        sum += sqrt(squares);
    }
    return sum / (double)n;
}

DEIT_INTERNAL base_status eval_position_norms(eval_positions *result, const model_weights *weights, int to, int dim) {
    float *grid;
    *result = (eval_positions){.to = to};
    BASE_TRY(model_position_grid(weights, &grid, &result->from));
    int64_t from = result->from;
    float *other = base_malloc((size_t)to * (size_t)to * (size_t)dim * sizeof *other);
    base_status status = other ? BASE_OK : BASE_ERROR;
    if (other) {
        result->before = vectors_norm(grid, from * from, dim);
        model_resize_grid(grid, result->from, other, to, dim, MODEL_BICUBIC);
        result->bicubic = vectors_norm(other, (int64_t)to * to, dim);
        model_resize_grid(grid, result->from, other, to, dim, MODEL_BILINEAR);
        result->bilinear = vectors_norm(other, (int64_t)to * to, dim);
    }
    base_free(grid);
    base_free(other);
    return status;
}
