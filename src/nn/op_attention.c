/* Multi-head self-attention: softmax(Q K^T / sqrt(d)) V for every image and head.
 *
 * The unit of work is a tile: one image, one head, up to attention_rows queries against all T keys. Its scores [rows,
 * T] are made, normalised and used while they are in a core's second-level cache (at most ATTENTION_TILE bytes of
 * them), so the T x T matrix of a batch never exists. Q, K and V are read where the qkv product left them, with
 * strides: nothing is transposed or copied by us. Threads of a worker share tiles. */
#include "nn/internal.h"
#include <math.h>
#include <string.h>

enum { ATTENTION_TILE = 640 << 10 }; /* bytes of f32 scores: all of 197 x 197 (155 KB); 577 tokens take three tiles */

/* attr[0]: heads. */
typedef struct {
    int64_t tokens, queries, heads, dim, size; /* size: of a head */
    int64_t rows, tiles;                       /* of a tile; tiles a head */
    int64_t scores_ld, p_ld;                   /* row strides of the scores and of what the softmax makes of them */
    size_t scores_bytes, p_bytes,
        mix_bytes; /* of a tile's scratch: scores; their exponentials in bf16; P V in f32 before it becomes bf16 */
    nn_dtype type; /* of q, k, v and the softmax's result */
    nn_kernel *scores[2], *mix[2]; /* for a whole tile, for the last of a head */
    /* the backward's products, whole heads */
    nn_kernel *g_scores, *g_probabilities, *g_v, *g_q, *g_k;
} attention_setup;

static const nn_op attention_op;

DEIT_INTERNAL nn_value nn_attention(nn_graph *graph, nn_value qkv, int64_t heads) {
    if (qkv < 0) return -1;
    nn_node from = graph->nodes[qkv];
    if (from.ndim != 3 || heads < 1 || from.dim[2] % (3 * heads))
        return nn_graph_fail(graph, "attention: a width of %lld does not divide into %lld heads",
                             (long long)from.dim[2] / 3, (long long)heads);
    nn_value y = nn_add_node(graph, &attention_op, 1, &qkv, 3, (int64_t[]){from.dim[0], from.dim[1], from.dim[2] / 3});
    if (y >= 0) graph->nodes[y].attr[0] = heads;
    return y;
}

static double attention_flops(const nn_graph *graph, const nn_node *node) {
    const nn_node *qkv = &graph->nodes[node->input[0]];
    return 4.0 * (double)nn_node_count(node) * (double)qkv->dim[1];
}

static void attention_shape(const nn_plan *plan, int i, const nn_node *qkv, attention_setup *s) {
    const nn_node *node = &plan->graph->nodes[i];
    s->tokens = qkv->dim[1], s->queries = node->dim[1], s->heads = node->attr[0], s->dim = qkv->dim[2] / 3,
    s->size = s->dim / s->heads;
    s->scores_ld = (s->tokens + 15) / 16 * 16;
    s->type = qkv->dtype;
}

/* S [m, T] = Q [m, d] K^T; O [m, d] = P [m, T] V. Row strides: q, k, v 3 D; o D, or d in scratch. */
static base_status attention_tile_kernels(nn_plan *plan, const attention_setup *s, int64_t m, nn_kernel **scores,
                                          nn_kernel **mix) {
    dnnl_data_type_t type = nn_dnnl_type(s->type);
    nn_arg q = nn_arg_caller(0), k = nn_arg_caller(1), v = nn_arg_caller(2), sc = nn_arg_caller(3),
           p = nn_arg_caller(4), o = nn_arg_caller(5);
    nn_matmul first = {.m = m,
                       .n = s->tokens,
                       .k = s->size,
                       .lda = 3 * s->dim,
                       .ldb = 3 * s->dim,
                       .ldc = s->scores_ld,
                       .b_transposed = true,
                       .a = type,
                       .b = type,
                       .c = dnnl_f32,
                       .bias_param = -1,
                       .pack_param = -1,
                       .per_thread = true};
    nn_matmul second = {.m = m,
                        .n = s->size,
                        .k = s->tokens,
                        .lda = s->p_ld,
                        .ldb = 3 * s->dim,
                        .ldc = s->mix_bytes ? s->size : s->dim,
                        .a = type,
                        .b = type,
                        .c = dnnl_f32,
                        .bias_param = -1,
                        .pack_param = -1,
                        .per_thread = true};
    BASE_TRY(nn_matmul_new(scores, plan, &first, &q, &k, &sc, NULL));
    return nn_matmul_new(mix, plan, &second, &p, &v, &o, NULL);
}

static base_status attention_setup_new(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    attention_setup *s = nn_setup_alloc(plan, i, sizeof *s);
    if (!s) return BASE_ERROR;
    attention_shape(plan, i, &plan->graph->nodes[node->input[0]], s);
    int64_t most = ATTENTION_TILE / (s->scores_ld * (int64_t)sizeof(float));
    s->tiles = most < 1 ? s->queries : (s->queries + most - 1) / most;
    s->rows = (s->queries + s->tiles - 1) / s->tiles;
    s->tiles = (s->queries + s->rows - 1) / s->rows;
    /* oneDNN reads a dense bf16 P of 197 columns in 4.8 us, a padded one in 8.2; scores it writes faster in aligned
     * rows (5.0 against 7.1) */
    s->p_ld = s->type == NN_BF16 ? s->tokens : s->scores_ld;
    s->scores_bytes = (size_t)(s->rows * s->scores_ld) * sizeof(float);
    s->p_bytes = s->type == NN_BF16 ? ((size_t)(s->rows * s->p_ld + 16) * sizeof(uint16_t) + 63) / 64 * 64 : 0;
    s->mix_bytes = node->dtype == NN_BF16 ? (size_t)(s->rows * s->size) * sizeof(float) : 0;
    nn_want_scratch(plan, s->scores_bytes + s->p_bytes + s->mix_bytes + (size_t)s->rows * sizeof(float));
    BASE_TRY(attention_tile_kernels(plan, s, s->rows, &s->scores[0], &s->mix[0]));
    int64_t tail = s->queries - s->rows * (s->tiles - 1);
    if (tail == s->rows) {
        s->scores[1] = s->scores[0], s->mix[1] = s->mix[0];
        return BASE_OK;
    }
    return attention_tile_kernels(plan, s, tail, &s->scores[1], &s->mix[1]);
}

static void attention_tile(nn_worker *worker, int i, int thread, int64_t job) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const attention_setup *s = worker->plan->setup[i];
    int64_t tile = job % s->tiles, head = job / s->tiles % s->heads, image = job / s->tiles / s->heads;
    bool last = tile == s->tiles - 1;
    int64_t rows = last ? s->queries - s->rows * tile : s->rows;
    size_t in = nn_type_size(s->type), out = nn_type_size(node->dtype);
    uint8_t *k = (uint8_t *)nn_value_at(worker, node->input[0]) +
                 (size_t)(image * s->tokens * 3 * s->dim + s->dim + head * s->size) * in;
    uint8_t *q = k - (size_t)s->dim * in + (size_t)(tile * s->rows * 3 * s->dim) * in, *v = k + (size_t)s->dim * in;
    uint8_t *o = (uint8_t *)nn_value_at(worker, i) +
                 (size_t)((image * s->queries + tile * s->rows) * s->dim + head * s->size) * out;
    uint8_t *scratch = nn_scratch_at(worker, thread);
    float *scores = (float *)scratch,
          *mix = s->mix_bytes ? (float *)(scratch + s->scores_bytes + s->p_bytes) : (float *)o;
    float *inverse = (float *)(scratch + s->scores_bytes + s->p_bytes + s->mix_bytes);
    void *p = s->p_bytes ? scratch + s->scores_bytes : scratch;
    void *pointers[6] = {q, k, v, scores, p, mix};
    float *lse = node->saved ? nn_saved_at(worker, i) + (image * s->heads + head) * s->tokens + tile * s->rows : NULL;
    nn_kernel_run(s->scores[last], worker, thread, pointers);
    nn_simd()->softmax(scores, s->scores_ld, p, s->type, s->p_ld, lse, inverse, rows, s->tokens,
                       1 / sqrtf((float)s->size));
    nn_kernel_run(s->mix[last], worker, thread, pointers);
    nn_simd()->scale_rows(mix, s->mix_bytes ? s->size : s->dim, inverse, o, node->dtype, s->dim, rows, s->size);
}

static void attention_run(nn_worker *worker, int i) {
    const attention_setup *s = worker->plan->setup[i];
    int64_t jobs = worker->plan->graph->nodes[i].dim[0] * s->heads * s->tiles;
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++)
        for (int64_t job = jobs * t / threads; job < jobs * (t + 1) / threads; job++) attention_tile(worker, i, t, job);
}

/* ---- Gradient ------------------------------------------------------------------------------------------------------
 * inputs: qkv [B, T, 3 D], o [B, T, D] (the forward's value, with its log-sum-exp), do [B, T, D] -> dqkv [B, T, 3 D].
 * For each head: P = exp(scale Q K^T - lse); dV = P^T dO; dP = dO V^T; dS = scale P (dP - rowsum(dO O)); dQ = dS K; dK
 * = dS^T Q. */
static size_t attention_narrow(const attention_setup *s) { /* bytes a score in a narrower copy */
    return s->type == NN_BF16 ? sizeof(uint16_t) : 0;
}
static uint8_t *attention_at(const nn_worker *worker, const attention_setup *s, int node, int64_t number) {
    return (uint8_t *)nn_value_at(worker, node) + (size_t)number * nn_type_size(s->type);
}

static base_status attention_gradient_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    attention_setup *s = nn_setup_alloc(plan, i, sizeof *s);
    if (!s) return BASE_ERROR;
    attention_shape(plan, i, &plan->graph->nodes[node->input[0]], s);
    int64_t T = s->tokens, d = s->size, wide = 3 * s->dim, ld = s->scores_ld;
    dnnl_data_type_t type = nn_dnnl_type(s->type);
    nn_want_scratch(plan, (size_t)(T * ld) * 2 * (sizeof(float) + attention_narrow(s)));
    nn_arg c[9];
    for (int j = 0; j < 9; j++) c[j] = nn_arg_caller(j); /* q k v, do, scores, dP, dq/dk/dv, P, dS */
    nn_matmul m = {.a = type, .b = type, .c = dnnl_f32, .bias_param = -1, .pack_param = -1, .per_thread = true};
    m.m = T, m.n = T, m.k = d, m.lda = wide, m.ldb = wide, m.ldc = ld, m.b_transposed = true;
    BASE_TRY(nn_matmul_new(&s->g_scores, plan, &m, &c[0], &c[1], &c[4], NULL));
    m.lda = s->dim;
    BASE_TRY(nn_matmul_new(&s->g_probabilities, plan, &m, &c[3], &c[2], &c[5], NULL));
    m.m = T, m.n = d, m.k = T, m.lda = ld, m.ldc = wide, m.b_transposed = false, m.a_transposed = true, m.ldb = s->dim;
    m.c = type;
    BASE_TRY(nn_matmul_new(&s->g_v, plan, &m, &c[7], &c[3], &c[6], NULL));
    m.ldb = wide;
    BASE_TRY(nn_matmul_new(&s->g_k, plan, &m, &c[8], &c[0], &c[6], NULL));
    m.a_transposed = false;
    return nn_matmul_new(&s->g_q, plan, &m, &c[8], &c[1], &c[6], NULL);
}

static void attention_gradient_head(nn_worker *worker, int i, int thread, int64_t job) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const attention_setup *s = worker->plan->setup[i];
    int64_t head = job % s->heads, image = job / s->heads, wide = image * s->tokens * 3 * s->dim + head * s->size;
    int64_t narrow = image * s->tokens * s->dim + head * s->size;
    size_t step = (size_t)s->dim * nn_type_size(s->type);
    uint8_t *q = attention_at(worker, s, node->input[0], wide), *dq = attention_at(worker, s, i, wide);
    uint8_t *o = attention_at(worker, s, node->input[1], narrow),
            *d_o = attention_at(worker, s, node->input[2], narrow);
    int64_t count = s->tokens * s->scores_ld;
    float *p = nn_scratch_at(worker, thread), *dp = p + count;
    uint16_t *half = (uint16_t *)(dp + count); /* P and dS in bf16, where products take that */
    const float *lse = nn_saved_at(worker, node->input[1]) + job * s->tokens;
    void *pointers[9] = {q, q + step, q + 2 * step, d_o, p, dp, dq, p, dp};
    nn_kernel_run(s->g_scores, worker, thread, pointers);
    nn_kernel_run(s->g_probabilities, worker, thread, pointers);
    nn_simd()->softmax_backward(p, dp, s->scores_ld, lse, o, d_o, s->type, s->dim, s->size, s->tokens, s->tokens,
                                1 / sqrtf((float)s->size));
    if (s->type == NN_BF16) {
        nn_simd()->to_bf16(p, half, count);
        nn_simd()->to_bf16(dp, half + count, count);
        pointers[7] = half, pointers[8] = half + count;
    }
    nn_kernel_run(s->g_q, worker, thread, pointers);
    pointers[6] = dq + step;
    nn_kernel_run(s->g_k, worker, thread, pointers);
    pointers[6] = dq + 2 * step;
    nn_kernel_run(s->g_v, worker, thread, pointers);
}

static void attention_gradient_run(nn_worker *worker, int i) {
    const attention_setup *s = worker->plan->setup[i];
    int64_t jobs = worker->plan->graph->nodes[i].dim[0] * s->heads;
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++)
        for (int64_t job = jobs * t / threads; job < jobs * (t + 1) / threads; job++)
            attention_gradient_head(worker, i, t, job);
}
/* Five products where the forward has two. */
static double attention_gradient_flops(const nn_graph *graph, const nn_node *node) {
    return 2.5 * attention_flops(graph, &graph->nodes[node->input[1]]);
}
static const nn_op attention_gradient_op = {.name = "attention gradient",
                                            .reads_16bit = 7,
                                            .types = NN_TYPES_VALUE,
                                            .makes_16bit = true,
                                            .flops = attention_gradient_flops,
                                            .setup = attention_gradient_setup,
                                            .run = attention_gradient_run};

static void attention_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], qkv = graph->nodes[forward.input[0]];
    graph->nodes[i].saved = forward.dim[0] * forward.attr[0] * forward.dim[1]; /* log-sum-exp [B, heads, T] */
    nn_value inputs[3] = {forward.input[0], i, dy};
    gradient[0] = nn_add_like(graph, &attention_gradient_op, i, 3, inputs, qkv.ndim, qkv.dim);
}

static const nn_op attention_op = {.name = "attention",
                                   .kind = NN_KIND_ATTENTION,
                                   .reads_16bit = 1,
                                   .makes_16bit = true,
                                   .flops = attention_flops,
                                   .backward = attention_backward,
                                   .setup = attention_setup_new,
                                   .run = attention_run};
