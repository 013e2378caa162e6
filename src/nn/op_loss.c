/* Losses: soft-target cross entropy, mean over the batch, in double inside. */
#include "nn/internal.h"
#include <math.h>

static const nn_op loss_cross_entropy_op;

DEIT_INTERNAL nn_value nn_cross_entropy(nn_graph *graph, nn_value logits, nn_value targets) {
    if (logits < 0 || targets < 0) return -1;
    nn_node a = graph->nodes[logits], b = graph->nodes[targets];
    if (a.ndim != 2 || b.ndim != 2 || a.dim[0] != b.dim[0] || a.dim[1] != b.dim[1])
        return nn_graph_fail(graph, "cross entropy: logits and targets must both be [batch, classes]");
    return nn_add_node(graph, &loss_cross_entropy_op, 2, (nn_value[]){logits, targets}, 1, (int64_t[]){1});
}

static double loss_log_sum_exp(const float *z, int64_t classes) {
    double top = z[0], sum = 0;
    for (int64_t k = 1; k < classes; k++) top = z[k] > top ? z[k] : top;
    for (int64_t k = 0; k < classes; k++) sum += exp(z[k] - top);
    return top + log(sum);
}

static void loss_cross_entropy_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i], *logits = &worker->plan->graph->nodes[node->input[0]];
    const float *z = nn_value_at(worker, node->input[0]), *target = nn_value_at(worker, node->input[1]);
    int64_t batch = logits->dim[0], classes = logits->dim[1];
    double loss = 0;
    for (int64_t b = 0; b < batch; b++, z += classes, target += classes) {
        double lse = loss_log_sum_exp(z, classes);
        for (int64_t k = 0; k < classes; k++) loss += target[k] * (lse - z[k]);
    }
    *(float *)nn_value_at(worker, i) = (float)(loss / (double)batch);
}

/* dz = dloss (softmax(z) sum(target) - target) / B. inputs: logits, targets [B, K], dloss [1] */
static void loss_cross_entropy_gradient_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const float *z = nn_value_at(worker, node->input[0]), *target = nn_value_at(worker, node->input[1]);
    double dloss = *(const float *)nn_value_at(worker, node->input[2]);
    float *dz = nn_value_at(worker, i);
    int64_t batch = node->dim[0], classes = node->dim[1];
    for (int64_t b = 0; b < batch; b++, z += classes, target += classes, dz += classes) {
        double lse = loss_log_sum_exp(z, classes), sum = 0;
        for (int64_t k = 0; k < classes; k++) sum += target[k];
        for (int64_t k = 0; k < classes; k++)
            dz[k] = (float)(dloss * (exp(z[k] - lse) * sum - target[k]) / (double)batch);
    }
}
static const nn_op loss_cross_entropy_gradient_op = {.name = "cross entropy gradient",
                                                     .run = loss_cross_entropy_gradient_run};

static void loss_cross_entropy_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], logits = graph->nodes[forward.input[0]];
    nn_value inputs[3] = {forward.input[0], forward.input[1], dy};
    gradient[0] = nn_add_node(graph, &loss_cross_entropy_gradient_op, 3, inputs, logits.ndim, logits.dim);
    gradient[1] = -1; /* targets are data */
}

static const nn_op loss_cross_entropy_op = {
    .name = "cross entropy", .backward = loss_cross_entropy_backward, .run = loss_cross_entropy_run};
