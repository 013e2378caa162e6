/* Batch norm over the channels of maps [B, H, W, C]: with running statistics, where no convolution takes it over; and
 * in training, with the batch's own or, in evaluation mode (fine-tuning), the running ones, and its gradient. */
#include "nn/internal.h"
#include <math.h>
#include <string.h>

enum { BN_WEIGHT, BN_BIAS, BN_MEAN, BN_VAR }; /* params; real: eps */
enum { BN_RUNNING };                          /* attr: trained with the running statistics */
static void bn_fixed_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient);

/* ---- With running statistics ------------------------------------------------------------------------------------- */

static base_status bn_fixed_setup(nn_plan *plan, int i) {
    for (int p = 0; p < 4; p++) nn_want_small(plan, plan->graph->nodes[i].param[p]);
    return BASE_OK;
}

static void bn_fixed_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t channels = node->dim[3];
    const float *weight = nn_small_at(worker, node->param[BN_WEIGHT]),
                *bias = nn_small_at(worker, node->param[BN_BIAS]);
    const float *mean = nn_small_at(worker, node->param[BN_MEAN]), *var = nn_small_at(worker, node->param[BN_VAR]);
    const float *x = nn_value_at(worker, node->input[0]);
    float *y = nn_value_at(worker, i);
    for (int64_t p = begin * channels; p < end * channels; p += channels)
        for (int64_t c = 0; c < channels; c++)
            y[p + c] = (x[p + c] - mean[c]) / sqrtf(var[c] + node->real) * weight[c] + bias[c];
}
static void bn_fixed_run(nn_worker *worker, int i) {
    nn_share(worker, i, nn_node_rows(&worker->plan->graph->nodes[i]), 1, bn_fixed_loop);
}
static const nn_op bn_fixed_op = {.name = "batch norm",
                                  .kind = NN_KIND_NORM,
                                  .backward = bn_fixed_backward,
                                  .setup = bn_fixed_setup,
                                  .run = bn_fixed_run};

/* ---- In training -------------------------------------------------------------------------------------------------
 * y = activation(hat weight + bias + what is added), hat = (x - mean) rstd with the batch's mean and biased variance
 * or the running ones, kept beside the value for the backward. The variance is summed around the mean, in blocks that
 * lie in the cache, so that a map is read once for both. x is f32 in any precision (see precision.c), and so is what is
 * added; in bf16 it is not kept for the backward, but its hat in 16 bits, which loses little: 10 bits of fraction. The
 * activation and the addition are fused here by the passes. */

static base_status bn_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    nn_want_small(plan, node->param[BN_WEIGHT]);
    nn_want_small(plan, node->param[BN_BIAS]);
    nn_want_scratch(plan, (size_t)nn_node_cols(node) * 2 * (sizeof(double) + sizeof(float)));
    return BASE_OK;
}

/* For node i, the norm or its gradient. norm: the node whose statistics they are; x: its input; -1: the hat is kept. */
static nn_norm bn_of(const nn_worker *worker, int i, int norm, int x) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i];
    float *saved = nn_saved_at(worker, norm);
    return (nn_norm){.x = x < 0 ? NULL : nn_value_at(worker, x),
                     .hat = graph->nodes[norm].keeps_hat ? (uint16_t *)(saved + 2 * nn_node_cols(node)) : NULL,
                     .type = node->dtype,
                     .cols = nn_node_cols(node),
                     .mean = saved,
                     .rstd = saved + nn_node_cols(node),
                     .weight = nn_small_at(worker, node->param[BN_WEIGHT]),
                     .bias = nn_small_at(worker, node->param[BN_BIAS])};
}

/* Channel c from the threads' shares of the rows, taken together in order: a mean and a sum of squares around it each.
 */
static void bn_merge(const nn_worker *worker, int64_t rows, int64_t cols, int64_t c, double *mean, double *square) {
    int threads = nn_threads(worker);
    *mean = *square = 0;
    double before = 0;
    for (int t = 0; t < threads; t++) {
        int64_t begin = rows * t / threads, end = rows * (t + 1) / threads;
        double n = (double)(end - begin), delta;
        if (n == 0) continue;
        const double *share = nn_scratch_at(worker, t);
        delta = share[c] - *mean;
        *mean += delta * n / (before + n);
        *square += share[cols + c] + delta * delta * before * n / (before + n);
        before += n;
    }
}

/* Mean and rstd beside the value; the running statistics move, the variance unbiased. */
static void bn_statistics(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const nn_params *params = worker->plan->options.params;
    float *running_mean = params->values + params->params[node->param[BN_MEAN]].offset,
          *running_var = params->values + params->params[node->param[BN_VAR]].offset;
    int64_t rows = nn_node_rows(node), cols = nn_node_cols(node);
    float *mean = nn_saved_at(worker, i), *rstd = mean + cols;
    for (int64_t c = 0; c < cols; c++) {
        double middle, square;
        bn_merge(worker, rows, cols, c, &middle, &square);
        mean[c] = (float)middle, rstd[c] = (float)(1 / sqrt(square / (double)rows + (double)node->real));
        if (node->again) continue;
        running_mean[c] = (float)(0.9 * (double)running_mean[c] + 0.1 * middle);
        running_var[c] = (float)(0.9 * (double)running_var[c] + 0.1 * square / (double)(rows - 1));
    }
}

static void bn_measure(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const float *x = nn_value_at(worker, node->input[0]);
    int64_t rows = nn_node_rows(node), cols = nn_node_cols(node);
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t begin = rows * t / threads, end = rows * (t + 1) / threads;
        double *share = nn_scratch_at(worker, t); /* mean and squares [2, C], then room to work in */
        memset(share, 0, (size_t)(2 * cols) * sizeof *share);
        nn_simd()->moments(x + begin * cols, end - begin, cols, share, share + cols, (float *)(share + 2 * cols));
    }
    bn_statistics(worker, i);
}

static void bn_take_running(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const nn_params *params = worker->plan->options.params;
    const float *running_mean = params->values + params->params[node->param[BN_MEAN]].offset,
                *running_var = params->values + params->params[node->param[BN_VAR]].offset;
    int64_t cols = nn_node_cols(node);
    float *mean = nn_saved_at(worker, i), *rstd = mean + cols;
    for (int64_t c = 0; c < cols; c++)
        mean[c] = running_mean[c], rstd[c] = (float)(1 / sqrt((double)running_var[c] + (double)node->real));
}

static void bn_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const float *add = node->adds ? nn_value_at(worker, node->input[1]) : NULL;
    int64_t rows = nn_node_rows(node);
    nn_norm norm = bn_of(worker, i, i, node->input[0]);
    int threads = nn_threads(worker);
    if (node->attr[BN_RUNNING])
        bn_take_running(worker, i);
    else
        bn_measure(worker, i);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++)
        nn_simd()->norm_forward(node->activation, &norm, add, nn_value_at(worker, i), rows * t / threads,
                                rows * (t + 1) / threads);
}

/* inputs: dy, the norm's value (for what is saved beside it), x where the hat is not kept -> dx; also the gradients of
 * weight and bias.
 * With g = dy through the activation: dweight = sum g hat, dbias = sum g, dx = weight rstd (g - mean(g) - hat mean(g
 * hat)); running statistics do not depend on x: dx = weight rstd g. */
static void bn_gradient_run(nn_worker *worker, int i) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i];
    const void *dy = nn_value_at(worker, node->input[0]);
    int64_t rows = nn_node_rows(node), cols = nn_node_cols(node);
    nn_norm norm = bn_of(worker, i, node->input[1], node->n_inputs > 2 ? node->input[2] : -1);
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        double *sums = nn_scratch_at(worker, t); /* of g and g hat [2, C], then room to work in */
        memset(sums, 0, (size_t)(2 * cols) * sizeof *sums);
        nn_simd()->norm_sums(node->activation, &norm, dy, rows * t / threads, rows * (t + 1) / threads, sums,
                             (float *)(sums + 2 * cols));
    }
    const int param[2] = {node->param[BN_BIAS], node->param[BN_WEIGHT]};
    for (int p = 0; p < 2; p++)
        if (nn_wants_gradient(graph, param[p])) nn_add_shares(worker, param[p], p * cols);
    float *means = (float *)((double *)nn_scratch_at(worker, 0) + 2 * cols);
    for (int64_t c = 0; c < 2 * cols; c++) {
        double sum = 0;
        for (int t = 0; t < threads; t++) sum += ((const double *)nn_scratch_at(worker, t))[c];
        means[c] = node->attr[BN_RUNNING] ? 0 : (float)(sum / (double)rows);
    }
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++)
        nn_simd()->norm_backward(node->activation, &norm, dy, means, nn_value_at(worker, i), rows * t / threads,
                                 rows * (t + 1) / threads);
}
static const nn_op bn_gradient_op = {.name = "batch norm gradient",
                                     .kind = NN_KIND_NORM_GRADIENT,
                                     .keeps_parameters = true,
                                     .saved_input = 1,
                                     .reads_16bit = 1,
                                     .types = NN_TYPES_VALUE,
                                     .makes_16bit = true,
                                     .setup = bn_setup,
                                     .run = bn_gradient_run};

static void bn_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i];
    nn_value inputs[3] = {dy, i, forward.input[0]};
    gradient[0] = nn_add_like(graph, &bn_gradient_op, i, 3, inputs, forward.ndim, forward.dim);
}
static const nn_op bn_op = {.name = "batch norm",
                            .kind = NN_KIND_TRAINING_NORM,
                            .types = NN_TYPES_VALUE,
                            .makes_16bit = true,
                            .backward = bn_backward,
                            .setup = bn_setup,
                            .run = bn_run};

/* A norm of evaluation that is to be differentiated becomes one of training with the running statistics. */
static void bn_fixed_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node *node = &graph->nodes[i];
    node->op = &bn_op, node->saved = 2 * node->dim[3], node->attr[BN_RUNNING] = 1;
    bn_backward(graph, i, dy, gradient);
}

/* ---- The operator ------------------------------------------------------------------------------------------------ */

DEIT_INTERNAL nn_value nn_batch_norm(nn_graph *graph, nn_value x, float eps, const char *name, ...) {
    if (x < 0) return -1;
    char prefix[200];
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(prefix, sizeof prefix, name, arguments);
    va_end(arguments);
    nn_node from = graph->nodes[x];
    if (from.ndim != 4) return nn_graph_fail(graph, "%s: batch norm of a value of %d dimensions", prefix, from.ndim);
    int64_t rows = nn_node_rows(&from);
    if (graph->training && rows < 2)
        return nn_graph_fail(graph, "%s: batch norm of one pixel a channel; training needs a larger batch or image",
                             prefix);
    nn_value y = nn_add_node(graph, graph->training ? &bn_op : &bn_fixed_op, 1, &x, 4, from.dim);
    static const struct {
        const char *name;
        nn_init init;
        bool buffer;
    } made[] = {{"weight", NN_INIT_ONE, false},
                {"bias", NN_INIT_ZERO, false},
                {"running_mean", NN_INIT_ZERO, true},
                {"running_var", NN_INIT_ONE, true}};
    for (int p = 0; p < 4 && y >= 0; p++) {
        int index = nn_add_param(graph, made[p].init, 0, 1, &from.dim[3], "%s.%s", prefix, made[p].name);
        if (index < 0) return -1;
        graph->params[index].buffer = made[p].buffer;
        graph->nodes[y].param[p] = index;
    }
    if (y < 0) return -1;
    graph->nodes[y].n_params = 4, graph->nodes[y].real = eps;
    if (graph->training) graph->nodes[y].saved = 2 * from.dim[3]; /* mean and rstd of the batch */
    return y;
}
