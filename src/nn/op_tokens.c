/* Tokens: an image cut into patches, projected, with class and distillation tokens before them and positions added; and
 * taking tokens out again. Parameters of nn_tokens in order: cls_token, pos_embed, (dist_token),
 * patch_embed.proj.weight, .bias. */
#include "nn/internal.h"
#include <string.h>

enum { TOKENS_CLASS, TOKENS_POSITIONS, TOKENS_WEIGHT, TOKENS_BIAS, TOKENS_DISTILLATION };
/* attr[0]: patch, attr[1]: extra tokens. */
typedef struct {
    nn_kernel *project; /* a patch matrix [P, C patch patch] -> tokens [P, D], positions added */
    nn_kernel *weight_gradient;
    nn_dtype patch_type;
    size_t patch_bytes; /* of a patch matrix, in scratch */
} tokens_setup;

static const nn_op tokens_op;

DEIT_INTERNAL nn_value nn_tokens(nn_graph *graph, nn_value x, int64_t patch, int64_t dim, int extra) {
    if (x < 0) return -1;
    const nn_node *image = &graph->nodes[x];
    int64_t channels = image->dim[1], rows = image->dim[2], cols = image->dim[3];
    if (image->ndim != 4 || patch < 1 || rows % patch || cols % patch)
        return nn_graph_fail(graph,
                             "patches of %lld pixels do not tile an image of %lld x %lld; choose a multiple of %lld",
                             (long long)patch, (long long)cols, (long long)rows, (long long)patch);
    int64_t tokens = extra + rows / patch * (cols / patch);
    nn_value y = nn_add_node(graph, &tokens_op, 1, &x, 3, (int64_t[]){graph->batch, tokens, dim});
    if (y < 0) return -1;
    int class_token = nn_add_param(graph, NN_INIT_TRUNCATED, 0, 3, (int64_t[]){1, 1, dim}, "cls_token");
    int positions = nn_add_param(graph, NN_INIT_TRUNCATED, 0, 3, (int64_t[]){1, tokens, dim}, "pos_embed");
    int distillation =
        extra > 1 ? nn_add_param(graph, NN_INIT_TRUNCATED, 0, 3, (int64_t[]){1, 1, dim}, "dist_token") : -1;
    int64_t fan_in = channels * patch * patch;
    int weight = nn_add_param(graph, NN_INIT_UNIFORM_FAN, fan_in, 4, (int64_t[]){dim, channels, patch, patch},
                              "patch_embed.proj.weight");
    int bias = nn_add_param(graph, NN_INIT_UNIFORM_FAN, fan_in, 1, &dim, "patch_embed.proj.bias");
    nn_node *node = &graph->nodes[y];
    node->attr[0] = patch, node->attr[1] = extra;
    node->n_params = extra > 1 ? 5 : 4;
    node->param[TOKENS_CLASS] = class_token, node->param[TOKENS_POSITIONS] = positions,
    node->param[TOKENS_WEIGHT] = weight;
    node->param[TOKENS_BIAS] = bias, node->param[TOKENS_DISTILLATION] = distillation;
    return y;
}

static double tokens_flops(const nn_graph *graph, const nn_node *node) {
    const nn_node *image = &graph->nodes[node->input[0]];
    return 2.0 * (double)nn_node_count(image) * (double)node->dim[2];
}

/* Patch (i, j) of x: [C, H, W] -> y: [C, patch, patch], from its number `at` on. */
static void tokens_patch(const float *x, int64_t channels, int64_t rows, int64_t cols, int64_t patch, int64_t i,
                         int64_t j, void *y, int64_t at, nn_dtype type) {
    for (int64_t c = 0; c < channels; c++)
        for (int64_t r = 0; r < patch; r++, at += patch) {
            const float *from = x + (c * rows + i * patch + r) * cols + j * patch;
            if (type == NN_F32)
                memcpy((float *)y + at, from, (size_t)patch * sizeof(float));
            else
                nn_simd()->to_bf16(from, (uint16_t *)y + at, patch);
        }
}

/* All patches of one image: y: [P, C patch patch]. */
static void tokens_patches(const float *x, const nn_node *image, int64_t patch, void *y, nn_dtype type) {
    int64_t channels = image->dim[1], rows = image->dim[2], cols = image->dim[3], size = channels * patch * patch;
    int64_t down = rows / patch, across = cols / patch;
    for (int64_t p = 0; p < down * across; p++)
        tokens_patch(x, channels, rows, cols, patch, p / across, p % across, y, p * size, type);
}

static base_status tokens_setup_new(nn_plan *plan, int i) {
    nn_node *node = &plan->graph->nodes[i];
    const nn_node *image = &plan->graph->nodes[node->input[0]];
    tokens_setup *setup = nn_setup_alloc(plan, i, sizeof *setup);
    if (!setup) return BASE_ERROR;
    int64_t extra = node->attr[1], patches = node->dim[1] - extra, dim = node->dim[2],
            size = image->dim[1] * node->attr[0] * node->attr[0];
    setup->patch_type = plan->options.precision;
    setup->patch_bytes = ((size_t)(patches * size) * nn_type_size(setup->patch_type) + 63) / 64 * 64;
    nn_want_small(plan, node->param[TOKENS_CLASS]);
    nn_want_small(plan, node->param[TOKENS_POSITIONS]);
    if (extra > 1) nn_want_small(plan, node->param[TOKENS_DISTILLATION]);
    nn_want_whole(plan, setup->patch_bytes);
    nn_matmul m = {.m = patches,
                   .n = dim,
                   .k = size,
                   .lda = size,
                   .ldb = size,
                   .ldc = dim,
                   .b_transposed = true,
                   .a = nn_dnnl_type(setup->patch_type),
                   .b = nn_dnnl_type(setup->patch_type),
                   .c = nn_dnnl_type(node->dtype),
                   .bias_param = node->param[TOKENS_BIAS],
                   .pack_param = node->param[TOKENS_WEIGHT],
                   .add = true};
    nn_arg a = nn_arg_caller(0), c = nn_arg_caller(1), d = nn_arg_caller(2);
    return nn_matmul_new(&setup->project, plan, &m, &a, NULL, &c, &d);
}

static void tokens_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i], *image = &worker->plan->graph->nodes[node->input[0]];
    const tokens_setup *setup = worker->plan->setup[i];
    int64_t extra = node->attr[1], dim = node->dim[2], pixels = nn_node_count(image) / node->dim[0];
    const float *positions = nn_small_at(worker, node->param[TOKENS_POSITIONS]);
    uint8_t *patches = nn_whole_at(worker);
    for (int64_t b = 0; b < node->dim[0]; b++) {
        float *y = (float *)nn_value_at(worker, i) + b * node->dim[1] * dim;
        tokens_patches((const float *)nn_value_at(worker, node->input[0]) + b * pixels, image, node->attr[0], patches,
                       setup->patch_type);
        for (int64_t t = 0; t < extra; t++) {
            const float *token = nn_small_at(worker, node->param[t ? TOKENS_DISTILLATION : TOKENS_CLASS]);
            for (int64_t d = 0; d < dim; d++) y[t * dim + d] = token[d] + positions[t * dim + d];
        }
        nn_kernel_run(setup->project, worker, 0,
                      (void *[]){patches, y + extra * dim, (void *)(uintptr_t)(positions + extra * dim)});
    }
}

/* ---- Gradient: the image needs none ------------------------------------------------------------------------------ */

/* inputs: x [B, C, H, W], dy [B, T, D]; params as in the forward node; adds to their gradients. */
static base_status tokens_gradient_setup(nn_plan *plan, int i) {
    nn_node *node = &plan->graph->nodes[i];
    const nn_node *image = &plan->graph->nodes[node->input[0]], *dy = &plan->graph->nodes[node->input[1]];
    tokens_setup *setup = nn_setup_alloc(plan, i, sizeof *setup);
    if (!setup) return BASE_ERROR;
    int64_t patches = dy->dim[1] - node->attr[1], dim = dy->dim[2],
            size = image->dim[1] * node->attr[0] * node->attr[0];
    setup->patch_type = plan->options.precision;
    setup->patch_bytes = ((size_t)(patches * size) * nn_type_size(setup->patch_type) + 63) / 64 * 64;
    nn_want_whole(plan, setup->patch_bytes + (setup->patch_type == NN_BF16 ? (size_t)(patches * dim) * 2 : 0));
    nn_want_whole(plan, (size_t)(dy->dim[1] * dim) * sizeof(float));
    /* dW [D, size] += dy^T [D, P] patches [P, size], an image at a time */
    nn_matmul m = {.m = dim,
                   .n = size,
                   .k = patches,
                   .lda = dim,
                   .ldb = size,
                   .ldc = size,
                   .a_transposed = true,
                   .a = nn_dnnl_type(setup->patch_type),
                   .b = nn_dnnl_type(setup->patch_type),
                   .c = dnnl_f32,
                   .bias_param = -1,
                   .pack_param = -1,
                   .sum = true};
    nn_arg a = nn_arg_caller(0), b = nn_arg_caller(1), c = nn_arg_gradient(node->param[TOKENS_WEIGHT]);
    return nn_matmul_new(&setup->weight_gradient, plan, &m, &a, &b, &c, NULL);
}

/* sums [T, D]: dy [B, T, D] over the images. */
static void tokens_sum_images(nn_worker *worker, int dy, float *sums) {
    const nn_node *node = &worker->plan->graph->nodes[dy];
    int64_t images = node->dim[0], count = node->dim[1] * node->dim[2];
    const float *g = nn_value_at(worker, dy);
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t begin = count * t / threads, end = count * (t + 1) / threads;
        memcpy(sums + begin, g + begin, (size_t)(end - begin) * sizeof(float));
        for (int64_t b = 1; b < images; b++)
            for (int64_t j = begin; j < end; j++) sums[j] += g[b * count + j];
    }
}

/* The gradient of a parameter += the sum of the rows of x: [rows, count]. */
static void tokens_add(nn_worker *worker, int param, const float *x, int64_t rows) {
    if (!nn_wants_gradient(worker->plan->graph, param)) return;
    float *out = nn_gradient_at(worker, param);
    int64_t count = worker->plan->graph->params[param].count;
    for (int64_t j = 0; j < count; j++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += x[r * count + j];
        out[j] += (float)sum;
    }
}

/* A token's gradient is that of its position; the bias's that of all patch positions together. */
static void tokens_gradient_run(nn_worker *worker, int i) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i], *image = &graph->nodes[node->input[0]], *dy = &graph->nodes[node->input[1]];
    const tokens_setup *setup = worker->plan->setup[i];
    int64_t extra = node->attr[1], tokens = dy->dim[1], dim = dy->dim[2], pixels = nn_node_count(image) / image->dim[0];
    uint8_t *patches = nn_whole_at(worker);
    float *sums = nn_whole_at(worker);
    uint16_t *half =
        (uint16_t *)(patches + setup->patch_bytes); /* an image's dy in bf16, where the product takes that */
    tokens_sum_images(worker, node->input[1], sums);
    tokens_add(worker, node->param[TOKENS_POSITIONS], sums, 1);
    tokens_add(worker, node->param[TOKENS_CLASS], sums, 1);
    if (extra > 1) tokens_add(worker, node->param[TOKENS_DISTILLATION], sums + dim, 1);
    tokens_add(worker, node->param[TOKENS_BIAS], sums + extra * dim, tokens - extra);
    if (!nn_wants_gradient(graph, node->param[TOKENS_WEIGHT])) return;
    for (int64_t b = 0; b < image->dim[0]; b++) {
        const float *g = (const float *)nn_value_at(worker, node->input[1]) + (b * tokens + extra) * dim;
        bool narrow = setup->patch_type == NN_BF16;
        if (narrow) nn_simd()->to_bf16(g, half, (tokens - extra) * dim);
        tokens_patches((const float *)nn_value_at(worker, node->input[0]) + b * pixels, image, node->attr[0], patches,
                       setup->patch_type);
        nn_kernel_run(setup->weight_gradient, worker, 0,
                      (void *[]){narrow ? (void *)half : (void *)(uintptr_t)g, patches});
    }
}

static const nn_op tokens_gradient_op = {
    .name = "tokens gradient", .keeps_parameters = true, .setup = tokens_gradient_setup, .run = tokens_gradient_run};

static void tokens_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i];
    nn_value x[2] = {forward.input[0], dy};
    gradient[0] = -1;
    nn_add_like(graph, &tokens_gradient_op, i, 2, x, 1, (int64_t[]){1});
}

static const nn_op tokens_op = {
    .name = "tokens", .flops = tokens_flops, .backward = tokens_backward, .setup = tokens_setup_new, .run = tokens_run};

/* ---- Taking tokens out: [B, T, D] -> [B, D] of token attr[0], or [B, n, D] of the first n ------------------------ */

static void tokens_select_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i], *x = &worker->plan->graph->nodes[node->input[0]];
    size_t size = nn_type_size(node->dtype), row = (size_t)(nn_node_count(node) / node->dim[0]) * size,
           stride = (size_t)(x->dim[1] * x->dim[2]) * size;
    const uint8_t *from =
        (const uint8_t *)nn_value_at(worker, node->input[0]) + (size_t)(node->attr[0] * x->dim[2]) * size;
    uint8_t *to = nn_value_at(worker, i);
    for (int64_t b = 0; b < node->dim[0]; b++) memcpy(to + (size_t)b * row, from + (size_t)b * stride, row);
}

static void tokens_spread_run(nn_worker *worker, int i) { /* the gradient of select: dy at the token, 0 elsewhere */
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t stride = node->dim[1] * node->dim[2];
    const float *dy = nn_value_at(worker, node->input[0]);
    float *dx = nn_value_at(worker, i);
    memset(dx, 0, (size_t)nn_node_count(node) * sizeof(float));
    for (int64_t b = 0; b < node->dim[0]; b++)
        memcpy(dx + b * stride + node->attr[0] * node->dim[2], dy + b * node->dim[2],
               (size_t)node->dim[2] * sizeof(float));
}

static const nn_op tokens_spread_op = {.name = "select gradient", .run = tokens_spread_run};

static void tokens_select_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], x = graph->nodes[forward.input[0]];
    gradient[0] = nn_add_node(graph, &tokens_spread_op, 1, &dy, 3, x.dim);
    if (gradient[0] >= 0) graph->nodes[gradient[0]].attr[0] = forward.attr[0];
}

static const nn_op tokens_select_op = {
    .name = "select", .kind = NN_KIND_SELECT, .backward = tokens_select_backward, .run = tokens_select_run};

DEIT_INTERNAL nn_value nn_select_token(nn_graph *graph, nn_value x, int64_t token) {
    if (x < 0) return -1;
    nn_node from = graph->nodes[x];
    if (from.ndim != 3 || token < 0 || token >= from.dim[1])
        return nn_graph_fail(graph, "select: no token %lld", (long long)token);
    nn_value y = nn_add_node(graph, &tokens_select_op, 1, &x, 2, (int64_t[]){from.dim[0], from.dim[2]});
    if (y >= 0) graph->nodes[y].attr[0] = token;
    return y;
}

DEIT_INTERNAL nn_value nn_take_tokens(nn_graph *graph, nn_value x, int64_t tokens) {
    nn_node from = graph->nodes[x];
    return nn_add_node(graph, &tokens_select_op, 1, &x, 3, (int64_t[]){from.dim[0], tokens, from.dim[2]});
}
