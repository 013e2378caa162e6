/* The gradients of depthwise convolutions, by loops of our own (simd_train.inc). */
#include "nn/internal.h"
#include <string.h>

/* The shapes of a convolution from x to y. */
static nn_depthwise depthwise_shape(const nn_node *node, const nn_node *x, const nn_node *y) {
    int64_t kernel = node->attr[NN_CONV_KERNEL], stride = node->attr[NN_CONV_STRIDE], after;
    nn_depthwise d = {.x_type = x->dtype,
                      .y_type = y->dtype,
                      .height = x->dim[1],
                      .width = x->dim[2],
                      .channels = x->dim[3],
                      .x_ld = x->dim[3],
                      .y_ld = x->dim[3],
                      .out_width = y->dim[2],
                      .kernel = kernel,
                      .stride = stride};
    nn_conv_out(x->dim[1], kernel, stride, node->attr[NN_CONV_SAME], &d.top, &after);
    nn_conv_out(x->dim[2], kernel, stride, node->attr[NN_CONV_SAME], &d.left, &after);
    return d;
}

static size_t depthwise_taps(const nn_graph *graph, const nn_node *node) {
    return (size_t)graph->params[node->param[NN_CONV_WEIGHT]].count;
}

/* ---- Of the input: dy [B, OH, OW, C] -> dx [B, H, W, C] ---------------------------------------------------------- */

static base_status depthwise_input_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    nn_want_small(plan, node->param[NN_CONV_WEIGHT]);
    nn_want_whole(plan, depthwise_taps(plan->graph, node) * sizeof(float));
    return BASE_OK;
}

/* Images begin .. end - 1. With stride 1 it is a convolution too: of dy with the taps turned round. */
static void depthwise_input_images(nn_worker *worker, int i, const float *taps, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i], *y = &worker->plan->graph->nodes[node->input[0]];
    nn_depthwise d = depthwise_shape(node, node, y);
    int64_t in = d.height * d.width * d.channels, out = y->dim[1] * y->dim[2] * d.channels;
    d.taps = taps;
    nn_depthwise turned = d;
    turned.x_type = d.y_type, turned.y_type = d.x_type;
    turned.height = y->dim[1], turned.width = y->dim[2], turned.out_width = d.width;
    turned.top = d.kernel - 1 - d.top, turned.left = d.kernel - 1 - d.left;
    for (int64_t b = begin; b < end; b++) {
        turned.x = (const uint8_t *)nn_value_at(worker, node->input[0]) + (size_t)(b * out) * nn_type_size(d.y_type);
        turned.y = (uint8_t *)nn_value_at(worker, i) + (size_t)(b * in) * nn_type_size(d.x_type);
        if (d.stride == 1)
            nn_simd()->depthwise(&turned, 0, d.height);
        else
            nn_simd()->depthwise_inputs(&d, turned.x, turned.y, y->dim[1], 0, d.height);
    }
}

static void depthwise_input_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t taps = node->attr[NN_CONV_KERNEL] * node->attr[NN_CONV_KERNEL], channels = node->dim[3],
            images = node->dim[0];
    const float *weight = nn_small_at(worker, node->param[NN_CONV_WEIGHT]); /* [C, taps] */
    float *laid = nn_whole_at(worker);                                      /* [taps, C] */
    for (int64_t t = 0; t < taps; t++)
        for (int64_t c = 0; c < channels; c++)
            laid[t * channels + c] = weight[c * taps + (node->attr[NN_CONV_STRIDE] == 1 ? taps - 1 - t : t)];
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++)
        depthwise_input_images(worker, i, laid, images * t / threads, images * (t + 1) / threads);
}
static const nn_op depthwise_input_op = {.name = "convolution gradient",
                                         .reads_16bit = 1,
                                         .makes_16bit = true,
                                         .setup = depthwise_input_setup,
                                         .run = depthwise_input_run};

/* ---- Of the taps: x, dy -> the parameters' gradients ------------------------------------------------------------- */

static base_status depthwise_weight_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    if (node->n_params > NN_CONV_BIAS) nn_want_column_sums(plan, node->param[NN_CONV_BIAS]);
    nn_want_scratch(plan, depthwise_taps(plan->graph, node) * (sizeof(double) + sizeof(float)));
    return BASE_OK;
}

/* A thread's images into its scratch: sums [taps, C] in double, after each image from sums in f32. */
static void depthwise_weight_images(nn_worker *worker, int i, int thread, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i], *x = &worker->plan->graph->nodes[node->input[0]],
                  *y = &worker->plan->graph->nodes[node->input[1]];
    nn_depthwise d = depthwise_shape(node, x, y);
    size_t taps = depthwise_taps(worker->plan->graph, node);
    double *sums = nn_scratch_at(worker, thread);
    float *part = (float *)(sums + taps);
    memset(sums, 0, taps * sizeof *sums);
    for (int64_t b = begin; b < end; b++) {
        d.x = (const uint8_t *)nn_value_at(worker, node->input[0]) +
              (size_t)(b * d.height * d.width * d.channels) * nn_type_size(d.x_type);
        const uint8_t *dy = (const uint8_t *)nn_value_at(worker, node->input[1]) +
                            (size_t)(b * y->dim[1] * y->dim[2] * d.channels) * nn_type_size(d.y_type);
        memset(part, 0, taps * sizeof *part);
        nn_simd()->depthwise_weights(&d, dy, part, 0, y->dim[1]);
        for (size_t j = 0; j < taps; j++) sums[j] += (double)part[j];
    }
}

static void depthwise_weight_run(nn_worker *worker, int i) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i], *x = &graph->nodes[node->input[0]];
    int64_t images = x->dim[0], channels = x->dim[3], taps = node->attr[NN_CONV_KERNEL] * node->attr[NN_CONV_KERNEL];
    int threads = nn_threads(worker);
    if (nn_wants_gradient(graph, node->param[NN_CONV_WEIGHT])) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
        for (int t = 0; t < threads; t++)
            depthwise_weight_images(worker, i, t, images * t / threads, images * (t + 1) / threads);
        float *out = nn_gradient_at(worker, node->param[NN_CONV_WEIGHT]); /* [C, taps] */
        for (int64_t j = 0; j < taps * channels; j++) {
            double sum = 0;
            for (int t = 0; t < threads; t++) sum += ((const double *)nn_scratch_at(worker, t))[j];
            out[j % channels * taps + j / channels] += (float)sum;
        }
    }
    if (node->n_params > NN_CONV_BIAS && nn_wants_gradient(graph, node->param[NN_CONV_BIAS]))
        nn_add_column_sums(worker, node->input[1], node->param[NN_CONV_BIAS]);
}
static const nn_op depthwise_weight_op = {.name = "convolution weight gradient",
                                          .keeps_parameters = true,
                                          .reads_16bit = 3,
                                          .setup = depthwise_weight_setup,
                                          .run = depthwise_weight_run};

DEIT_INTERNAL void nn_depthwise_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], x = graph->nodes[forward.input[0]];
    nn_value both[2] = {forward.input[0], dy};
    nn_add_like(graph, &depthwise_weight_op, i, 2, both, 1, (int64_t[]){1});
    gradient[0] = nn_add_like(graph, &depthwise_input_op, i, 1, &dy, x.ndim, x.dim);
}
