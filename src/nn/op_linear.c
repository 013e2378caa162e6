/* Linear: y = x W^T + b. A matrix product of all rows at once; activation and residual sum ride along as
 * post-operations. */
#include "nn/internal.h"
#include <string.h>

enum { LINEAR_WEIGHT, LINEAR_BIAS };
static const nn_op linear_op;

DEIT_INTERNAL nn_value nn_linear(nn_graph *graph, nn_value x, int64_t out, const char *name, ...) {
    if (x < 0) return -1;
    char prefix[200];
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(prefix, sizeof prefix, name, arguments);
    va_end(arguments);
    nn_node from = graph->nodes[x];
    int64_t in = nn_node_cols(&from), dim[4];
    memcpy(dim, from.dim, sizeof dim);
    dim[from.ndim - 1] = out;
    nn_value y = nn_add_node(graph, &linear_op, 1, &x, from.ndim, dim);
    if (y < 0) return -1;
    int weight = nn_add_param(graph, NN_INIT_TRUNCATED, 0, 2, (int64_t[]){out, in}, "%s.weight", prefix);
    int bias = nn_add_param(graph, NN_INIT_ZERO, 0, 1, &out, "%s.bias", prefix);
    graph->nodes[y].n_params = 2, graph->nodes[y].param[LINEAR_WEIGHT] = weight,
    graph->nodes[y].param[LINEAR_BIAS] = bias;
    return y;
}

static double linear_flops(const nn_graph *graph, const nn_node *node) {
    return 2.0 * (double)nn_node_count(node) * (double)nn_node_cols(&graph->nodes[node->input[0]]);
}

/* Whether GELU is a loop of our own behind the product: in f32 it costs less than oneDNN's within it (AVX2: 30 cycles a
 * vector; AVX-512 on Zen 4: 28, fc1 of DeiT-Ti took 4% longer, of DeiT-B 2%); bf16 would be rounded before it. */
static bool linear_gelu_apart(const nn_node *node) {
    return node->activation == NN_GELU && node->dtype == NN_F32;
}

/* x: [M, K], W: [N, K] -> y: [M, N] */
static base_status linear_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i], *x = &plan->graph->nodes[node->input[0]];
    nn_kernel **kernel = nn_setup_alloc(plan, i, sizeof *kernel);
    if (!kernel) return BASE_ERROR;
    int64_t k = nn_node_cols(x), n = nn_node_cols(node);
    nn_matmul m = {.m = nn_node_rows(node),
                   .n = n,
                   .k = k,
                   .lda = k,
                   .ldb = k,
                   .ldc = n,
                   .b_transposed = true,
                   .a = nn_dnnl_type(x->dtype),
                   .b = nn_dnnl_type(x->dtype),
                   .c = nn_dnnl_type(node->dtype),
                   .bias_param = node->param[LINEAR_BIAS],
                   .pack_param = node->param[LINEAR_WEIGHT],
                   .sum = node->sum,
                   .activation = linear_gelu_apart(node) ? NN_NO_ACTIVATION : node->activation};
    nn_arg a = nn_arg_value(node->input[0], 0), c = nn_arg_value(i, 0);
    return nn_matmul_new(kernel, plan, &m, &a, NULL, &c, NULL);
}

static void linear_run(nn_worker *worker, int i) {
    nn_kernel_run(*(nn_kernel **)worker->plan->setup[i], worker, 0, NULL);
    if (linear_gelu_apart(&worker->plan->graph->nodes[i])) nn_activate_value(worker, i);
}

/* ---- Gradients; of 1x1 convolutions too, which may have no bias -------------------------------------------------- */

typedef struct {
    nn_kernel *kernel;
    nn_chain *chain; /* instead: of maps, in f32 */
} linear_input_gradient;

/* dx = dy W. inputs: dy [M, N]; W: [N, K] -> dx: [M, K] */
static base_status linear_input_gradient_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i], *dy = &plan->graph->nodes[node->input[0]];
    linear_input_gradient *setup = nn_setup_alloc(plan, i, sizeof *setup);
    if (!setup) return BASE_ERROR;
    if (nn_chain_suits(plan, dy, node, 1)) return nn_chain_new(&setup->chain, plan, i, true);
    int64_t k = nn_node_cols(node), n = nn_node_cols(dy);
    nn_matmul m = {.m = nn_node_rows(node),
                   .n = k,
                   .k = n,
                   .lda = n,
                   .ldb = k,
                   .ldc = k,
                   .a = nn_dnnl_type(dy->dtype),
                   .b = nn_dnnl_type(dy->dtype),
                   .c = nn_dnnl_type(node->dtype),
                   .bias_param = -1,
                   .pack_param = node->param[LINEAR_WEIGHT],
                   .sum = node->sum};
    nn_arg a = nn_arg_value(node->input[0], 0), c = nn_arg_value(i, 0);
    return nn_matmul_new(&setup->kernel, plan, &m, &a, NULL, &c, NULL);
}

static void linear_input_gradient_run(nn_worker *worker, int i) {
    const linear_input_gradient *setup = worker->plan->setup[i];
    if (setup->chain)
        nn_chain_run(setup->chain, worker);
    else
        nn_kernel_run(setup->kernel, worker, 0, NULL);
}

DEIT_INTERNAL void nn_want_column_sums(nn_plan *plan, int param) {
    nn_want_scratch(plan, (size_t)plan->graph->params[param].count * sizeof(double));
}

/* Each thread sums its share of the rows; the shares are added in order. */
DEIT_INTERNAL void nn_add_column_sums(nn_worker *worker, int node, int param) {
    const nn_node *from = &worker->plan->graph->nodes[node];
    int64_t cols = worker->plan->graph->params[param].count, rows = nn_node_count(from) / cols;
    const uint8_t *x = nn_value_at(worker, node);
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t begin = rows * t / threads, end = rows * (t + 1) / threads;
        double *sums = nn_scratch_at(worker, t);
        memset(sums, 0, (size_t)cols * sizeof *sums);
        nn_simd()->sum_columns(x + (size_t)(begin * cols) * nn_type_size(from->dtype), from->dtype, sums, end - begin,
                               cols);
    }
    nn_add_shares(worker, param, 0);
}

/* dW += dy^T x, db += the columns of dy summed. inputs: x [M, K], dy [M, N] -> gradients of W [N, K], b [N] */
static base_status linear_weight_gradient_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i], *x = &plan->graph->nodes[node->input[0]],
                  *dy = &plan->graph->nodes[node->input[1]];
    nn_kernel **kernel = nn_setup_alloc(plan, i, sizeof *kernel);
    if (!kernel) return BASE_ERROR;
    if (node->n_params > LINEAR_BIAS) nn_want_column_sums(plan, node->param[LINEAR_BIAS]);
    if (!nn_wants_gradient(plan->graph, node->param[LINEAR_WEIGHT])) return BASE_OK;
    int64_t k = nn_node_cols(x), n = nn_node_cols(dy);
    nn_matmul m = {.m = n,
                   .n = k,
                   .k = nn_node_rows(x),
                   .lda = n,
                   .ldb = k,
                   .ldc = k,
                   .a_transposed = true,
                   .a = nn_dnnl_type(dy->dtype),
                   .b = nn_dnnl_type(x->dtype),
                   .c = dnnl_f32,
                   .bias_param = -1,
                   .pack_param = -1,
                   .sum = true};
    nn_arg a = nn_arg_value(node->input[1], 0), b = nn_arg_value(node->input[0], 0),
           c = nn_arg_gradient(node->param[LINEAR_WEIGHT]);
    return nn_matmul_new(kernel, plan, &m, &a, &b, &c, NULL);
}

static void linear_weight_gradient_run(nn_worker *worker, int i) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i];
    if (nn_wants_gradient(graph, node->param[LINEAR_WEIGHT])) linear_run(worker, i);
    if (node->n_params > LINEAR_BIAS && nn_wants_gradient(graph, node->param[LINEAR_BIAS]))
        nn_add_column_sums(worker, node->input[1], node->param[LINEAR_BIAS]);
}

static double linear_weight_flops(const nn_graph *graph, const nn_node *node) {
    return 2.0 * (double)nn_node_count(&graph->nodes[node->input[0]]) *
           (double)nn_node_cols(&graph->nodes[node->input[1]]);
}
static const nn_op linear_input_gradient_op = {.name = "linear gradient",
                                               .sums = true,
                                               .reads_16bit = 1,
                                               .types = NN_TYPES_PRODUCT,
                                               .makes_16bit = true,
                                               .sums_16bit = true,
                                               .flops = linear_flops,
                                               .setup = linear_input_gradient_setup,
                                               .run = linear_input_gradient_run};
static const nn_op linear_weight_gradient_op = {.name = "linear weight gradient",
                                                .keeps_parameters = true,
                                                .reads_16bit = 3,
                                                .types = NN_TYPES_PRODUCT,
                                                .flops = linear_weight_flops,
                                                .setup = linear_weight_gradient_setup,
                                                .run = linear_weight_gradient_run};

DEIT_INTERNAL void nn_product_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], x = graph->nodes[forward.input[0]];
    nn_value both[2] = {forward.input[0], dy};
    bool wanted = false;
    for (int p = 0; p < forward.n_params; p++) wanted |= nn_wants_gradient(graph, forward.param[p]);
    if (wanted) nn_add_like(graph, &linear_weight_gradient_op, i, 2, both, 1, (int64_t[]){1});
    gradient[0] = nn_add_like(graph, &linear_input_gradient_op, i, 1, &dy, x.ndim, x.dim);
}

static const nn_op linear_op = {.name = "linear",
                                .kind = NN_KIND_LINEAR,
                                .sums = true,
                                .rowwise = true,
                                .reads_16bit = 1,
                                .types = NN_TYPES_PRODUCT,
                                .makes_16bit = true,
                                .flops = linear_flops,
                                .backward = nn_product_backward,
                                .setup = linear_setup,
                                .run = linear_run};
