/* Losses, in double inside: soft-target cross entropy, soft distillation, weighted sums of losses. */
#include "nn/internal.h"
#include <math.h>

static const nn_op loss_cross_entropy_op, loss_distillation_op;

/* ---- Cross entropy ----------------------------------------------------------------------------------------------- */

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

/* ---- Distillation: real: tau ------------------------------------------------------------------------------------- */

DEIT_INTERNAL nn_value nn_distillation(nn_graph *graph, nn_value logits, nn_value teacher, double tau) {
    if (logits < 0 || teacher < 0) return -1;
    nn_node a = graph->nodes[logits], b = graph->nodes[teacher];
    if (a.ndim != 2 || b.ndim != 2 || a.dim[0] != b.dim[0] || a.dim[1] != b.dim[1])
        return nn_graph_fail(graph, "distillation: %lld classes, but the teacher has %lld",
                             (long long)a.dim[a.ndim - 1], (long long)b.dim[b.ndim - 1]);
    if (!(tau > 0)) return nn_graph_fail(graph, "distillation: a temperature of %g; expected more than 0", tau);
    nn_value y = nn_add_node(graph, &loss_distillation_op, 2, (nn_value[]){logits, teacher}, 1, (int64_t[]){1});
    if (y >= 0) graph->nodes[y].real = (float)tau;
    return y;
}

/* log sum_k e^(z_k / tau) */
static double loss_tempered_sum(const float *z, int64_t classes, double tau) {
    double top = z[0], sum = 0;
    for (int64_t k = 1; k < classes; k++) top = z[k] > top ? z[k] : top;
    for (int64_t k = 0; k < classes; k++) sum += exp((z[k] - top) / tau);
    return top / tau + log(sum);
}

/* sum_bk q (log q - log p) tau^2 / (B K), with q of the teacher */
static void loss_distillation_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i], *logits = &worker->plan->graph->nodes[node->input[0]];
    const float *z = nn_value_at(worker, node->input[0]), *teacher = nn_value_at(worker, node->input[1]);
    int64_t batch = logits->dim[0], classes = logits->dim[1];
    double tau = (double)node->real, loss = 0;
    for (int64_t b = 0; b < batch; b++, z += classes, teacher += classes) {
        double lse = loss_tempered_sum(z, classes, tau), lse_teacher = loss_tempered_sum(teacher, classes, tau);
        for (int64_t k = 0; k < classes; k++) {
            double log_q = teacher[k] / tau - lse_teacher;
            loss += exp(log_q) * (log_q - (z[k] / tau - lse));
        }
    }
    *(float *)nn_value_at(worker, i) = (float)(loss * tau * tau / (double)(batch * classes));
}

/* dz = dloss (p - q) tau / (B K). inputs: logits, teacher [B, K], dloss [1] */
static void loss_distillation_gradient_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const float *z = nn_value_at(worker, node->input[0]), *teacher = nn_value_at(worker, node->input[1]);
    float *dz = nn_value_at(worker, i);
    int64_t batch = node->dim[0], classes = node->dim[1];
    double tau = (double)node->real;
    double factor = *(const float *)nn_value_at(worker, node->input[2]) * tau / (double)(batch * classes);
    for (int64_t b = 0; b < batch; b++, z += classes, teacher += classes, dz += classes) {
        double lse = loss_tempered_sum(z, classes, tau), lse_teacher = loss_tempered_sum(teacher, classes, tau);
        for (int64_t k = 0; k < classes; k++)
            dz[k] = (float)(factor * (exp(z[k] / tau - lse) - exp(teacher[k] / tau - lse_teacher)));
    }
}
static const nn_op loss_distillation_gradient_op = {.name = "distillation gradient",
                                                    .run = loss_distillation_gradient_run};

static void loss_distillation_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], logits = graph->nodes[forward.input[0]];
    nn_value inputs[3] = {forward.input[0], forward.input[1], dy};
    gradient[0] = nn_add_node(graph, &loss_distillation_gradient_op, 3, inputs, logits.ndim, logits.dim);
    if (gradient[0] >= 0) graph->nodes[gradient[0]].real = forward.real;
}
static const nn_op loss_distillation_op = {
    .name = "distillation", .backward = loss_distillation_backward, .run = loss_distillation_run};

/* ---- Weights: real: the weight ----------------------------------------------------------------------------------- */

static const nn_op loss_times_op;
static nn_value loss_times(nn_graph *graph, nn_value x, float weight) {
    nn_value y = nn_add_node(graph, &loss_times_op, 1, &x, 1, (int64_t[]){1});
    if (y >= 0) graph->nodes[y].real = weight;
    return y;
}
static void loss_times_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    *(float *)nn_value_at(worker, i) = node->real * *(const float *)nn_value_at(worker, node->input[0]);
}
static void loss_times_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    gradient[0] = loss_times(graph, dy, graph->nodes[i].real);
}
static const nn_op loss_times_op = {.name = "weighted loss", .backward = loss_times_backward, .run = loss_times_run};

DEIT_INTERNAL nn_value nn_weighted(nn_graph *graph, nn_value a, double weight_a, nn_value b, double weight_b) {
    a = loss_times(graph, a, (float)weight_a), b = loss_times(graph, b, (float)weight_b);
    return nn_add(graph, a, b);
}
