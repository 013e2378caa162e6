/* The graph: nodes, parameters, shapes; and the one operator that computes nothing, the input. */
#include "nn/internal.h"
#include <string.h>

DEIT_INTERNAL nn_graph *nn_graph_new(int64_t batch) {
    nn_graph *graph = base_calloc(1, sizeof *graph);
    if (graph) graph->batch = batch;
    return graph;
}

DEIT_INTERNAL void nn_graph_free(nn_graph *graph) {
    if (!graph) return;
    base_arena_free(&graph->arena);
    base_free(graph->nodes);
    base_free(graph->params);
    base_free(graph->folds);
    base_free(graph);
}

DEIT_INTERNAL base_status nn_graph_status(const nn_graph *graph) {
    return graph->status ? base_fail_as(graph->status, "%s", graph->message ? graph->message : "out of memory")
                         : BASE_OK;
}

DEIT_INTERNAL void nn_graph_trains(nn_graph *graph) {
    graph->training = true;
}
DEIT_INTERNAL void nn_block(nn_graph *graph) {
    graph->n_blocks++;
}

/* Only the first error counts: those after it follow from it. */
DEIT_INTERNAL nn_value nn_graph_fail(nn_graph *graph, const char *format, ...) {
    if (graph->status) return -1;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    graph->status = BASE_ERROR;
    graph->message = base_arena_printf(&graph->arena, "%s", text);
    return -1;
}

DEIT_INTERNAL int64_t nn_node_cols(const nn_node *node) {
    return node->dim[node->ndim - 1];
}
DEIT_INTERNAL int64_t nn_node_count(const nn_node *node) {
    int64_t count = 1;
    for (int i = 0; i < node->ndim; i++) count *= node->dim[i];
    return count;
}
DEIT_INTERNAL int64_t nn_node_rows(const nn_node *node) {
    return nn_node_count(node) / nn_node_cols(node);
}

DEIT_INTERNAL int nn_shape(const nn_graph *graph, nn_value x, int64_t dim[4]) {
    if (x < 0) return 0;
    memcpy(dim, graph->nodes[x].dim, sizeof graph->nodes[x].dim);
    return graph->nodes[x].ndim;
}

DEIT_INTERNAL nn_value nn_operand(const nn_graph *graph, nn_value x) {
    return x < 0 ? x : graph->nodes[x].input[0];
}

/* Makes room for one more element of an array that doubles. */
static bool graph_grow(void **array, int count, int *capacity, size_t size) {
    if (count < *capacity) return true;
    int wanted = *capacity ? 2 * *capacity : 64;
    void *grown = base_realloc(*array, (size_t)wanted * size);
    if (!grown) return false;
    *array = grown, *capacity = wanted;
    return true;
}

DEIT_INTERNAL nn_value nn_add_node(nn_graph *graph, const nn_op *op, int n_inputs, const nn_value *input, int ndim,
                                   const int64_t *dim) {
    if (graph->status) return -1;
    for (int i = 0; i < n_inputs; i++)
        if (input[i] < 0) return -1;
    for (int i = 0; i < ndim; i++)
        if (dim[i] <= 0)
            return nn_graph_fail(graph, "%s: dimension %d of its value is %lld", op->name, i, (long long)dim[i]);
    if (!graph_grow((void **)&graph->nodes, graph->n_nodes, &graph->node_capacity, sizeof *graph->nodes))
        return nn_graph_fail(graph, "out of memory");
    nn_node *node = &graph->nodes[graph->n_nodes];
    memset(node, 0, sizeof *node);
    node->op = op, node->n_inputs = n_inputs, node->ndim = ndim, node->alias = -1, node->block = graph->n_blocks;
    node->gradient = graph->has_backward;
    for (int i = 0; i < n_inputs; i++) node->input[i] = input[i];
    for (int i = 0; i < ndim; i++) node->dim[i] = dim[i];
    return graph->n_nodes++;
}

DEIT_INTERNAL nn_value nn_add_like(nn_graph *graph, const nn_op *op, int forward, int n_inputs, const nn_value *input,
                                   int ndim, const int64_t *dim) {
    nn_value y = nn_add_node(graph, op, n_inputs, input, ndim, dim);
    if (y < 0) return -1;
    const nn_node *like = &graph->nodes[forward];
    nn_node *node = &graph->nodes[y];
    node->n_params = like->n_params, node->real = like->real, node->block = like->block;
    memcpy(node->param, like->param, sizeof node->param);
    memcpy(node->attr, like->attr, sizeof node->attr);
    return y;
}

DEIT_INTERNAL int nn_add_param(nn_graph *graph, nn_init init, int64_t fan, int ndim, const int64_t *dim,
                               const char *format, ...) {
    if (graph->status) return -1;
    char name[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    if (!graph_grow((void **)&graph->params, graph->n_params, &graph->param_capacity, sizeof *graph->params))
        return nn_graph_fail(graph, "out of memory");
    nn_param *param = &graph->params[graph->n_params];
    *param = (nn_param){.ndim = ndim, .count = 1, .init = init, .fan = fan};
    param->name = base_arena_printf(&graph->arena, "%s", name);
    if (!param->name) return nn_graph_fail(graph, "out of memory");
    for (int i = 0; i < ndim; i++) param->dim[i] = dim[i], param->count *= dim[i];
    if (graph->n_params) param->offset = (param[-1].offset + param[-1].count + 15) / 16 * 16;
    return graph->n_params++;
}

DEIT_INTERNAL int nn_param_count(const nn_graph *graph) {
    return graph->n_params;
}
DEIT_INTERNAL const nn_param *nn_param_at(const nn_graph *graph, int index) {
    return &graph->params[index];
}

DEIT_INTERNAL const nn_param *nn_param_of(const nn_graph *graph, int index) {
    if (index < graph->n_params) return &graph->params[index];
    const nn_fold *fold = &graph->folds[(index - graph->n_params) / 2];
    return &graph->params[(index - graph->n_params) % 2 ? fold->beta : fold->weight];
}

DEIT_INTERNAL int nn_add_fold(nn_graph *graph, nn_fold fold) {
    if (!graph_grow((void **)&graph->folds, graph->n_folds, &graph->fold_capacity, sizeof fold)) return -1;
    graph->folds[graph->n_folds] = fold;
    return graph->n_folds++;
}

DEIT_INTERNAL nn_value nn_start(nn_graph *graph, nn_value x, nn_init weight, nn_init bias, int64_t fan) {
    if (x < 0) return -1;
    const int *param = graph->nodes[x].param;
    graph->params[param[0]].init = weight, graph->params[param[0]].fan = fan;
    graph->params[param[1]].init = bias, graph->params[param[1]].fan = fan;
    return x;
}

DEIT_INTERNAL void nn_graph_freeze(nn_graph *graph, bool (*frozen)(void *user, const nn_param *param), void *user) {
    for (int i = 0; i < graph->n_params; i++) graph->params[i].frozen |= frozen(user, &graph->params[i]);
}
DEIT_INTERNAL bool nn_wants_gradient(const nn_graph *graph, int param) {
    return !graph->params[param].frozen && !graph->params[param].buffer;
}

DEIT_INTERNAL double nn_graph_flops(const nn_graph *graph) {
    if (graph->flops) return graph->flops;
    double flops = 0;
    for (int i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].op->flops) flops += graph->nodes[i].op->flops(graph, &graph->nodes[i]);
    return flops;
}

static const nn_op graph_input_op = {.name = "input", .kind = NN_KIND_INPUT};

DEIT_INTERNAL nn_value nn_input(nn_graph *graph, int ndim, const int64_t *dim) {
    int64_t full[4] = {graph->batch};
    if (ndim > 3 || graph->n_inputs == NN_MAX_OUTPUTS)
        return nn_graph_fail(graph, "an input of %d dimensions, or the %dth", ndim + 1, NN_MAX_OUTPUTS + 1);
    memcpy(full + 1, dim, (size_t)ndim * sizeof *dim);
    nn_value x = nn_add_node(graph, &graph_input_op, 0, NULL, ndim + 1, full);
    if (x >= 0) graph->inputs[graph->n_inputs++] = x;
    return x;
}

DEIT_INTERNAL void nn_output(nn_graph *graph, nn_value x) {
    if (x < 0) return;
    if (graph->n_outputs == NN_MAX_OUTPUTS)
        nn_graph_fail(graph, "more than %d outputs", NN_MAX_OUTPUTS);
    else
        graph->outputs[graph->n_outputs++] = x;
}

DEIT_INTERNAL nn_value nn_output_at(const nn_graph *graph, int index) {
    return index < graph->n_outputs ? graph->outputs[index] : -1;
}
