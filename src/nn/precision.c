/* Precision: which values are stored as bf16, and where one is converted. Products, and what stands between them, take
 * bf16; norms' and softmax's inside, a transformer's residual stream and its gradient, vectors [B, C], losses and
 * parameters' gradients stay f32. So does in training what batch norm reads and what is added to it, a convolutional
 * network's residual stream: rounded there, and once more behind it, half of ResNet-50's gradients would fall below a
 * cosine of 0.99 with f32's. Neither is kept for the backward, but for a sum before SiLU: of the first the norm's hat
 * is, in 16 bits, of the second what the convolutions read. */
#include "nn/internal.h"
#include <string.h>

/* Products of vectors are small; their result is a loss's or a gate's. */
static bool precision_of_vectors(const nn_graph *graph, const nn_node *node) {
    return node->op->types == NN_TYPES_PRODUCT && graph->nodes[node->input[0]].ndim < 3;
}

/* A convolutional network's residual stream in training. */
static bool precision_is_stream(const nn_graph *graph, const nn_node *node) {
    return graph->has_backward && !node->gradient && node->op->kind == NN_KIND_ADD && node->ndim == 4;
}

/* Whether node k can read input j as bf16. */
static bool precision_reads_16bit(const nn_graph *graph, const nn_node *node, int j) {
    if (nn_reads_saved(node, j)) return true;
    if (precision_is_stream(graph, node)) return false;
    if (node->sum && j == node->n_inputs - 1) return node->op->sums_16bit;
    return (node->op->reads_16bit >> j & 1) && !(j == 1 && node->gated) && !precision_of_vectors(graph, node);
}

/* bf16 where whoever makes it can and everyone who reads it does. What keeps the type of a bf16 value (the largest of
 * several, every other pixel, a scaled map) stays so, and who wants f32 has it converted. */
static bool precision_is_16bit(const nn_graph *graph, int i) {
    const nn_node *node = &graph->nodes[i];
    if (!node->op->makes_16bit || precision_of_vectors(graph, node) || precision_is_stream(graph, node)) return false;
    if (node->sum && (!node->op->sums_16bit || graph->nodes[node->alias].dtype != NN_BF16)) return false;
    for (int k = 0; k < graph->n_outputs; k++)
        if (graph->outputs[k] == i) return false;
    if (node->op->keeps_type) return graph->nodes[node->input[0]].dtype == NN_BF16;
    for (int k = i + 1; k < graph->n_nodes; k++)
        for (int j = 0; j < graph->nodes[k].n_inputs; j++)
            if (graph->nodes[k].input[j] == i && !precision_reads_16bit(graph, &graph->nodes[k], j)) return false;
    return true;
}

/* ---- Conversions ------------------------------------------------------------------------------------------------- */

static void precision_convert_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    const void *x = nn_value_at(worker, node->input[0]);
    void *y = nn_value_at(worker, i);
    if (node->dtype == NN_BF16)
        nn_simd()->to_bf16((const float *)x + begin, (uint16_t *)y + begin, end - begin);
    else
        nn_simd()->from_bf16((const uint16_t *)x + begin, (float *)y + begin, end - begin);
}
static void precision_convert_run(nn_worker *worker, int i) {
    nn_share(worker, i, nn_node_count(&worker->plan->graph->nodes[i]), NN_VECTOR, precision_convert_loop);
}
static const nn_op precision_convert_op = {.name = "conversion", .run = precision_convert_run};

/* What input j of a node must be stored as; `as_it_is`: its type now. */
static nn_dtype precision_wanted(const nn_graph *graph, const nn_node *node, int j, nn_dtype as_it_is) {
    bool summed = node->sum && j == node->n_inputs - 1;
    if (summed || nn_reads_saved(node, j)) return as_it_is;
    if (!(node->op->reads_16bit >> j & 1) || precision_is_stream(graph, node)) return NN_F32;
    switch (node->op->types) {
    case NN_TYPES_VALUE: return node->dtype;
    case NN_TYPES_FIRST: return graph->nodes[node->input[0]].dtype;
    case NN_TYPES_PRODUCT: return precision_of_vectors(graph, node) ? NN_F32 : NN_BF16;
    default: return as_it_is;
    }
}

/* Puts a conversion before the first node that wants a value in its other type; later ones read that too. */
static base_status precision_convert(nn_graph *graph) {
    int n = graph->n_nodes;
    int *made = base_arena_alloc(&graph->arena, (size_t)n * sizeof *made),           /* the node in the new graph */
        *converted = base_arena_alloc(&graph->arena, (size_t)n * sizeof *converted); /* its conversion; -1: none */
    nn_node *old = base_arena_alloc(&graph->arena, (size_t)n * sizeof *old);
    if (!made || !converted || !old) return BASE_ERROR;
    memcpy(old, graph->nodes, (size_t)n * sizeof *old);
    graph->n_nodes = 0;
    for (int i = 0; i < n; i++) {
        nn_node node = old[i];
        converted[i] = -1;
        for (int j = 0; j < node.n_inputs; j++) node.input[j] = made[node.input[j]];
        for (int j = 0; j < node.n_inputs; j++) {
            const nn_node x = graph->nodes[node.input[j]];
            nn_dtype wanted = precision_wanted(graph, &node, j, x.dtype);
            if (x.dtype == wanted) continue;
            int *to = &converted[old[i].input[j]];
            if (*to < 0) *to = nn_add_node(graph, &precision_convert_op, 1, &node.input[j], x.ndim, x.dim);
            if (*to < 0) return nn_graph_status(graph);
            graph->nodes[*to].dtype = wanted;
            node.input[j] = *to;
        }
        made[i] = nn_add_node(graph, node.op, node.n_inputs, node.input, node.ndim, node.dim);
        if (made[i] < 0) return nn_graph_status(graph);
        if (node.sum) node.alias = node.input[node.n_inputs - 1];
        graph->nodes[made[i]] = node;
    }
    for (int i = 0; i < graph->n_inputs; i++) graph->inputs[i] = made[graph->inputs[i]];
    for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i] = made[graph->outputs[i]];
    return BASE_OK;
}

/* A norm's gradient reads the hat, and x ends with the norm. Before the recompute pass: a copy of a norm must make the
 * same numbers as the norm. */
DEIT_INTERNAL void nn_pass_keep_hats(nn_graph *graph) {
    for (int i = 0; i < graph->n_nodes; i++) {
        nn_node *gradient = &graph->nodes[i];
        if (gradient->op->kind != NN_KIND_NORM_GRADIENT) continue;
        nn_node *norm = &graph->nodes[gradient->input[gradient->op->saved_input]];
        if (!norm->keeps_hat) norm->saved += (nn_node_count(norm) + 1) / 2;
        norm->keeps_hat = true, gradient->n_inputs = 2;
    }
}

DEIT_INTERNAL base_status nn_pass_precision(nn_graph *graph, nn_dtype precision) {
    if (precision != NN_BF16) return BASE_OK;
    for (int i = 0; i < graph->n_nodes; i++) graph->nodes[i].dtype = precision_is_16bit(graph, i) ? NN_BF16 : NN_F32;
    /* What shares storage or keeps a type shares the type: where a later one is f32, the earlier one becomes it. An
     * activation of a map that makes f32 reads f32, or what was asked for would be lost before it. */
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        nn_node *node = &graph->nodes[i];
        bool keeps = node->op->keeps_type || (node->op->kind == NN_KIND_ACTIVATION && node->ndim == 4);
        int other = node->sum ? node->alias : keeps ? node->input[0] : i;
        if (node->dtype == NN_F32) graph->nodes[other].dtype = NN_F32;
    }
    return precision_convert(graph);
}
