/* Operators that work number by number: activations, sum, average. */
#include "nn/internal.h"

/* ---- Activations: attr[0] says which ----------------------------------------------------------------------------- */

static void *eltwise_at(const nn_worker *worker, int node, int64_t begin) {
    return (uint8_t *)nn_value_at(worker, node) + (size_t)begin * nn_type_size(worker->plan->graph->nodes[node].dtype);
}
/* A loop over all numbers of value i. */
static void eltwise_share(nn_worker *worker, int i, nn_loop loop) {
    nn_share(worker, i, nn_node_count(&worker->plan->graph->nodes[i]), NN_VECTOR, loop);
}

static void eltwise_activate_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    nn_dtype type = worker->plan->graph->nodes[node->input[0]].dtype;
    nn_simd()->activate((nn_activation)node->attr[0], eltwise_at(worker, node->input[0], begin), type,
                        eltwise_at(worker, i, begin), node->dtype, end - begin);
}
static void eltwise_activate_run(nn_worker *worker, int i) {
    eltwise_share(worker, i, eltwise_activate_loop);
}

static void eltwise_fused_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    float *y = (float *)nn_value_at(worker, i) + begin;
    nn_simd()->activate(worker->plan->graph->nodes[i].activation, y, NN_F32, y, NN_F32, end - begin);
}
DEIT_INTERNAL void nn_activate_value(nn_worker *worker, int i) {
    eltwise_share(worker, i, eltwise_fused_loop);
}

/* inputs: x (of ReLU the value y, so that x need not be kept), dy. */
static void eltwise_gradient_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    nn_simd()->activate_backward((nn_activation)node->attr[0], eltwise_at(worker, node->input[0], begin),
                                 eltwise_at(worker, node->input[1], begin), eltwise_at(worker, i, begin), node->dtype,
                                 end - begin);
}
static void eltwise_gradient_run(nn_worker *worker, int i) {
    eltwise_share(worker, i, eltwise_gradient_loop);
}
static const nn_op eltwise_gradient_op = {.name = "activation gradient",
                                          .kind = NN_KIND_ACTIVATION_GRADIENT,
                                          .reads_16bit = 3,
                                          .types = NN_TYPES_VALUE,
                                          .makes_16bit = true,
                                          .run = eltwise_gradient_run};

static void eltwise_activate_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i];
    nn_value both[2] = {forward.attr[0] == NN_RELU ? i : forward.input[0], dy};
    gradient[0] = nn_add_like(graph, &eltwise_gradient_op, i, 2, both, forward.ndim, forward.dim);
}
static const nn_op eltwise_activate_op = {.name = "activation",
                                          .kind = NN_KIND_ACTIVATION,
                                          .rowwise = true,
                                          .reads_16bit = 1,
                                          .makes_16bit = true,
                                          .backward = eltwise_activate_backward,
                                          .run = eltwise_activate_run};

DEIT_INTERNAL nn_value nn_activate(nn_graph *graph, nn_value x, nn_activation activation) {
    if (x < 0) return -1;
    nn_node from = graph->nodes[x];
    nn_value y = nn_add_node(graph, &eltwise_activate_op, 1, &x, from.ndim, from.dim);
    if (y >= 0) graph->nodes[y].attr[0] = activation;
    return y;
}

/* ---- Sum and average --------------------------------------------------------------------------------------------- */

static nn_value eltwise_pair(nn_graph *graph, const nn_op *op, nn_value a, nn_value b) {
    if (a < 0 || b < 0) return -1;
    nn_node from = graph->nodes[a];
    if (nn_node_count(&from) != nn_node_count(&graph->nodes[b]))
        return nn_graph_fail(graph, "%s of values of different sizes", op->name);
    return nn_add_node(graph, op, 2, (nn_value[]){a, b}, from.ndim, from.dim);
}

static void eltwise_add_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const nn_node *nodes = worker->plan->graph->nodes;
    nn_simd()->add(eltwise_at(worker, node->input[0], begin), nodes[node->input[0]].dtype,
                   eltwise_at(worker, node->input[1], begin), nodes[node->input[1]].dtype, eltwise_at(worker, i, begin),
                   node->dtype, end - begin);
}
static void eltwise_add_run(nn_worker *worker, int i) {
    eltwise_share(worker, i, eltwise_add_loop);
}
static void eltwise_add_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    (void)graph, (void)i;
    gradient[0] = gradient[1] = dy;
}
static const nn_op eltwise_add_op = {.name = "add",
                                     .kind = NN_KIND_ADD,
                                     .rowwise = true,
                                     .reads_16bit = 3,
                                     .makes_16bit = true,
                                     .backward = eltwise_add_backward,
                                     .run = eltwise_add_run};

DEIT_INTERNAL nn_value nn_add(nn_graph *graph, nn_value a, nn_value b) {
    return eltwise_pair(graph, &eltwise_add_op, a, b);
}

static void eltwise_average_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const float *a = nn_value_at(worker, node->input[0]), *b = nn_value_at(worker, node->input[1]);
    float *y = nn_value_at(worker, i);
    for (int64_t j = begin; j < end; j++) y[j] = (a[j] + b[j]) / 2;
}
static void eltwise_average_run(nn_worker *worker, int i) {
    eltwise_share(worker, i, eltwise_average_loop);
}
static void eltwise_half_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const float *dy = nn_value_at(worker, worker->plan->graph->nodes[i].input[0]);
    float *dx = nn_value_at(worker, i);
    for (int64_t j = begin; j < end; j++) dx[j] = dy[j] / 2;
}
static void eltwise_half_run(nn_worker *worker, int i) {
    eltwise_share(worker, i, eltwise_half_loop);
}
static const nn_op eltwise_half_op = {.name = "average gradient", .run = eltwise_half_run};
static void eltwise_average_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i];
    gradient[0] = gradient[1] = nn_add_node(graph, &eltwise_half_op, 1, &dy, forward.ndim, forward.dim);
}
static const nn_op eltwise_average_op = {
    .name = "average", .rowwise = true, .backward = eltwise_average_backward, .run = eltwise_average_run};

DEIT_INTERNAL nn_value nn_average(nn_graph *graph, nn_value a, nn_value b) {
    return eltwise_pair(graph, &eltwise_average_op, a, b);
}
