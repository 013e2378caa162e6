/* Where a plan's time goes: the seconds of each step, and what it had to compute and move. And where its numbers go
 * bad. */
#include "nn/internal.h"
#include <string.h>

DEIT_INTERNAL base_status nn_profile_start(nn_plan *plan) {
    for (int w = 0; w < plan->options.workers; w++) {
        nn_worker *worker = &plan->workers[w];
        size_t bytes = (size_t)plan->graph->n_nodes * sizeof(double);
        if (!worker->clock && !(worker->clock = base_arena_alloc(&plan->arena, bytes))) return BASE_ERROR;
        worker->seconds = memset(worker->clock, 0, bytes);
    }
    return BASE_OK;
}

DEIT_INTERNAL void nn_profile_stop(nn_plan *plan) {
    for (int w = 0; w < plan->options.workers; w++) plan->workers[w].seconds = NULL;
}

DEIT_INTERNAL int nn_step_count(const nn_plan *plan) {
    return plan->graph->n_nodes;
}

/* Matrices are stored as what they multiply; vectors, and a depthwise convolution's taps, as f32. */
static double profile_param(const nn_graph *graph, const nn_node *node, int p, bool taps) {
    if (node->param[p] < 0) return 0;
    const nn_param *param = nn_param_of(graph, node->param[p]);
    bool plain = taps || param->ndim == 1 || !node->n_inputs;
    return (double)param->count * (plain ? 4 : (double)nn_type_size(graph->nodes[node->input[0]].dtype));
}

static double profile_bytes(const nn_graph *graph, const nn_node *node) {
    bool depthwise = node->op->kind == NN_KIND_CONV && nn_conv_is_depthwise(graph, node);
    double bytes = (double)nn_node_count(node) * (double)nn_type_size(node->dtype);
    for (int j = 0; j < node->n_inputs; j++) {
        const nn_node *x = &graph->nodes[node->input[j]];
        bool sums = nn_reads_saved(node, j) || (node->op->kind == NN_KIND_POOL && x->saved); /* a convolution's */
        bytes += sums ? 4 * (double)x->saved : (double)nn_node_count(x) * (double)nn_type_size(x->dtype);
    }
    for (int p = 0; p < node->n_params; p++) bytes += profile_param(graph, node, p, depthwise);
    if (node->expands)
        bytes += profile_param(graph, node, NN_CONV_INNER_WEIGHT, false) +
                 profile_param(graph, node, NN_CONV_INNER_BIAS, false);
    return bytes;
}

static const char *profile_kernel(const nn_plan *plan, int index) {
    const char *name = "";
    for (const nn_kernel *kernel = plan->kernels; kernel; kernel = kernel->next) {
        if (kernel->node != index) continue;
        if (!kernel->primitive) return "winograd, brgemm";
        const_dnnl_primitive_desc_t description = NULL;
        if (dnnl_primitive_get_primitive_desc(kernel->primitive, &description)) continue;
        dnnl_primitive_desc_query(description, dnnl_query_impl_info_str, 0, &name);
    }
    return name;
}

DEIT_INTERNAL void nn_step_at(const nn_plan *plan, int index, nn_step *step) {
    const nn_graph *graph = plan->graph;
    const nn_node *node = &graph->nodes[index];
    *step = (nn_step){.op = node->op->name,
                      .param = node->n_params ? nn_param_of(graph, node->param[0])->name : "",
                      .kernel = profile_kernel(plan, index),
                      .ndim = node->ndim,
                      .flops = node->op->flops ? node->op->flops(graph, node) : 0,
                      .bytes = profile_bytes(graph, node)};
    memcpy(step->dim, node->dim, sizeof step->dim);
    for (int w = 0; w < plan->options.workers; w++)
        if (plan->workers[w].seconds) step->seconds += plan->workers[w].seconds[index];
}

/* ---- Numbers that are not finite --------------------------------------------------------------------------------- */

DEIT_INTERNAL void nn_watch(nn_worker *worker, int node) {
    nn_plan *plan = worker->plan;
    const nn_node *n = &plan->graph->nodes[node];
    if (plan->first_bad >= 0 || (n->op->keeps_parameters && n->ndim == 1)) return; /* the latter makes no value */
    bool bad = false;
    if (n->dtype == NN_BF16) {
        const uint16_t *x = nn_value_at(worker, node);
        for (int64_t i = 0; i < nn_node_count(n) && !bad; i++) bad = (x[i] & 0x7f80) == 0x7f80;
    } else {
        bad = nn_first_not_finite(nn_value_at(worker, node), nn_node_count(n)) >= 0;
    }
    if (bad) plan->first_bad = node;
}

DEIT_INTERNAL base_status nn_first_bad(nn_plan *plan, int64_t n, const float *const *inputs, float *const *outputs,
                                       int *step) {
    plan->watched = true, plan->first_bad = -1;
    base_status status = nn_run(plan, n, inputs, outputs);
    plan->watched = false;
    *step = plan->first_bad;
    return status;
}
