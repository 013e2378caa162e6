/* Dropout and drop path (stochastic depth). What is dropped is a function of (seed, step, operator, image), so it is
 * not kept: the backward, and a block that is computed again, draw it again. */
#include "nn/internal.h"
#include <string.h>

enum { DROP_SITE };       /* attr: the operator's number in the graph; real: p */
enum { DROP_RANDOM = 2 }; /* purpose of the random stream; 1 is that of initial weights */
static const nn_op drop_numbers_op, drop_images_op;

static nn_value drop_add(nn_graph *graph, const nn_op *op, nn_value x, double p) {
    if (x < 0) return -1;
    if (!(p >= 0 && p < 1))
        return nn_graph_fail(graph, "%s: a probability of %g; expected 0 to less than 1", op->name, p);
    if (!graph->training || p == 0) return x;
    nn_node from = graph->nodes[x];
    nn_value y = nn_add_node(graph, op, 1, &x, from.ndim, from.dim);
    if (y >= 0) graph->nodes[y].attr[DROP_SITE] = graph->n_drops++, graph->nodes[y].real = (float)p;
    return y;
}
DEIT_INTERNAL nn_value nn_dropout(nn_graph *graph, nn_value x, double p) {
    return drop_add(graph, &drop_numbers_op, x, p);
}
DEIT_INTERNAL nn_value nn_drop_path(nn_graph *graph, nn_value x, double p) {
    return drop_add(graph, &drop_images_op, x, p);
}

/* The gradient is dropped as the value was. */
static void drop_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i];
    gradient[0] = nn_add_node(graph, forward.op, 1, &dy, forward.ndim, forward.dim);
    if (gradient[0] < 0) return;
    graph->nodes[gradient[0]].attr[DROP_SITE] = forward.attr[DROP_SITE];
    graph->nodes[gradient[0]].real = forward.real;
}

static base_random drop_stream(const nn_worker *worker, const nn_node *node, int64_t image) {
    uint64_t sample = (uint64_t)node->attr[DROP_SITE] << 32 | (uint64_t)image;
    return base_random_stream(worker->plan->seed, worker->plan->step, sample, DROP_RANDOM);
}

/* x, y: [count], the numbers of one image; 32 random bits a number. */
static void drop_numbers(base_random random, double p, const float *x, float *y, int64_t count) {
    nn_simd()->dropout(random.key, (uint32_t)(p * 4294967296.0), (float)(1 / (1 - p)), x, y, count);
}
static void drop_image(base_random random, double p, const float *x, float *y, int64_t count) {
    float scale = base_random_uniform(&random) < p ? 0 : (float)(1 / (1 - p));
    if (scale == 0)
        memset(y, 0, (size_t)count * sizeof(float));
    else
        nn_simd()->scale_rows(x, count, &scale, y, NN_F32, count, 1, count);
}

static void drop_run(nn_worker *worker, int i, void (*drop)(base_random, double, const float *, float *, int64_t)) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t images = node->dim[0], item = nn_node_count(node) / images;
    const float *x = nn_value_at(worker, node->input[0]);
    float *y = nn_value_at(worker, i);
#pragma omp parallel for num_threads(nn_threads(worker)) if (nn_threads(worker) > 1) schedule(static)
    for (int64_t b = 0; b < images; b++)
        drop(drop_stream(worker, node, b), (double)node->real, x + b * item, y + b * item, item);
}
static void drop_numbers_run(nn_worker *worker, int i) {
    drop_run(worker, i, drop_numbers);
}
static void drop_images_run(nn_worker *worker, int i) {
    drop_run(worker, i, drop_image);
}

static const nn_op drop_numbers_op = {.name = "dropout", .backward = drop_backward, .run = drop_numbers_run};
static const nn_op drop_images_op = {.name = "drop path", .backward = drop_backward, .run = drop_images_run};
