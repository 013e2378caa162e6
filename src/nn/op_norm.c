/* Layer norm over the last axis, and its gradient. Statistics are not kept: the backward computes them again from x,
 * which it needs anyway. */
#include "nn/internal.h"
#include <string.h>

static const nn_op norm_op;
/* real: eps. params: weight, bias. */

DEIT_INTERNAL nn_value nn_layer_norm(nn_graph *graph, nn_value x, float eps, const char *name, ...) {
    if (x < 0) return -1;
    char prefix[200];
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(prefix, sizeof prefix, name, arguments);
    va_end(arguments);
    nn_node from = graph->nodes[x];
    int64_t dim = nn_node_cols(&from);
    nn_value y = nn_add_node(graph, &norm_op, 1, &x, from.ndim, from.dim);
    if (y < 0) return -1;
    int weight = nn_add_param(graph, NN_INIT_ONE, 0, 1, &dim, "%s.weight", prefix),
        bias = nn_add_param(graph, NN_INIT_ZERO, 0, 1, &dim, "%s.bias", prefix);
    nn_node *node = &graph->nodes[y];
    node->n_params = 2, node->param[0] = weight, node->param[1] = bias, node->real = eps;
    return y;
}

static base_status norm_setup(nn_plan *plan, int i) {
    nn_want_small(plan, plan->graph->nodes[i].param[0]);
    nn_want_small(plan, plan->graph->nodes[i].param[1]);
    return BASE_OK;
}

/* Rows begin to end - 1 of thread `thread` of `threads`. */
static void norm_share(int64_t rows, int threads, int thread, int64_t *begin, int64_t *end) {
    *begin = rows * thread / threads, *end = rows * (thread + 1) / threads;
}

static void norm_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const float *x = nn_value_at(worker, node->input[0]), *gamma = nn_small_at(worker, node->param[0]),
                *beta = nn_small_at(worker, node->param[1]);
    uint8_t *y = nn_value_at(worker, i);
    int64_t rows = nn_node_rows(node), cols = nn_node_cols(node);
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t begin, end;
        norm_share(rows, threads, t, &begin, &end);
        nn_simd()->layer_norm(x + begin * cols, gamma, beta, y + (size_t)(begin * cols) * nn_type_size(node->dtype),
                              node->dtype, end - begin, cols, node->real);
    }
}

/* inputs: x, dy [M, D], with `sum` another gradient of x -> dx, all of them added; also the gradients of weight and
 * bias, in double, in a fixed order. */
static base_status norm_gradient_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    nn_want_small(plan, node->param[0]);
    nn_want_scratch(plan, (size_t)nn_node_cols(node) * 2 * (sizeof(double) + sizeof(float)));
    return BASE_OK;
}

static void norm_gradient_run(nn_worker *worker, int i) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i];
    nn_dtype type = graph->nodes[node->input[1]].dtype;
    const uint8_t *dy = nn_value_at(worker, node->input[1]);
    const float *x = nn_value_at(worker, node->input[0]), *add = node->sum ? nn_value_at(worker, node->input[2]) : NULL,
                *gamma = nn_small_at(worker, node->param[0]);
    float *dx = nn_value_at(worker, i);
    int64_t rows = nn_node_rows(node), cols = nn_node_cols(node);
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t begin, end;
        norm_share(rows, threads, t, &begin, &end);
        int64_t at = begin * cols;
        double *sums = nn_scratch_at(worker, t); /* [2, D]: this thread's share of dgamma, dbeta */
        memset(sums, 0, (size_t)cols * 2 * sizeof(double));
        nn_simd()->layer_norm_backward(x + at, dy + (size_t)at * nn_type_size(type), type, gamma, add ? add + at : NULL,
                                       dx + at, sums, (float *)(sums + 2 * cols), end - begin, cols, node->real);
    }
    for (int p = 0; p < 2; p++)
        if (nn_wants_gradient(graph, node->param[p])) nn_add_shares(worker, node->param[p], p * cols);
}

static const nn_op norm_gradient_op = {.name = "layer norm gradient",
                                       .keeps_parameters = true,
                                       .sums = true,
                                       .reads_16bit = 2,
                                       .setup = norm_gradient_setup,
                                       .run = norm_gradient_run};

static void norm_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i];
    nn_value both[2] = {forward.input[0], dy};
    gradient[0] = nn_add_like(graph, &norm_gradient_op, i, 2, both, forward.ndim, forward.dim);
}

static const nn_op norm_op = {.name = "layer norm",
                              .rowwise = true,
                              .makes_16bit = true,
                              .backward = norm_backward,
                              .setup = norm_setup,
                              .run = norm_run};
