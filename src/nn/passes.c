/* The passes: each takes the graph a step from what was written towards what runs. In order: dead, narrow, fuse,
 * keep_hats, recompute (recompute.c), precision (precision.c), arena. */
#include "nn/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- Dead nodes: what neither an output nor a gradient needs ----------------------------------------------------- */

/* Keeps the nodes marked in `live`, in order, and renumbers. */
static void passes_keep(nn_graph *graph, const bool *live, int *renumbered) {
    int n = 0;
    for (int i = 0; i < graph->n_nodes; i++) {
        renumbered[i] = live[i] ? n : -1;
        if (!live[i]) continue;
        nn_node *node = &graph->nodes[n++];
        *node = graph->nodes[i];
        for (int j = 0; j < node->n_inputs; j++) node->input[j] = renumbered[node->input[j]];
    }
    graph->n_nodes = n;
    for (int i = 0; i < graph->n_inputs; i++) graph->inputs[i] = renumbered[graph->inputs[i]];
    for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i] = renumbered[graph->outputs[i]];
}

DEIT_INTERNAL void nn_pass_dead(nn_graph *graph) {
    bool *live = base_arena_alloc(&graph->arena, (size_t)graph->n_nodes);
    int *renumbered = base_arena_alloc(&graph->arena, (size_t)graph->n_nodes * sizeof(int));
    if (!live || !renumbered) return; /* running dead nodes is only slower */
    for (int i = 0; i < graph->n_outputs; i++) live[graph->outputs[i]] = true;
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        nn_node *node = &graph->nodes[i];
        live[i] |= node->op->keeps_parameters || node->op->kind == NN_KIND_INPUT;
        for (int j = 0; live[i] && j < node->n_inputs; j++) live[node->input[j]] = true;
    }
    passes_keep(graph, live, renumbered);
}

/* ---- Narrow: rows that nobody reads are not computed (inference) ------------------------------------------------- */

/* A classifier reads one or two leading tokens of the last block. want[i]: how many leading tokens of value i are read.
 * Walking from the end, an operator that works row by row passes its want on; attention needs all keys and values, so
 * the want ends there as its number of queries. Where a narrowed operator meets a full value, a select of the leading
 * tokens is put between. */
static void passes_wants(const nn_graph *graph, int64_t *want) {
    for (int i = 0; i < graph->n_outputs; i++) want[graph->outputs[i]] = INT64_MAX;
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const nn_node *node = &graph->nodes[i];
        for (int j = 0; j < node->n_inputs; j++) {
            int64_t wanted = INT64_MAX;
            if (node->op->kind == NN_KIND_SELECT && node->ndim == 2)
                wanted = node->attr[0] + 1;
            else if (node->op->rowwise && node->ndim == 3)
                wanted = want[i];
            if (wanted > want[node->input[j]]) want[node->input[j]] = wanted;
        }
    }
}

DEIT_INTERNAL base_status nn_pass_narrow(nn_graph *graph) {
    int n = graph->n_nodes, added = 0;
    int64_t *want = base_arena_alloc(&graph->arena, (size_t)n * sizeof *want);
    int *renumbered = base_arena_alloc(&graph->arena, (size_t)n * sizeof *renumbered);
    nn_node *old = base_arena_alloc(&graph->arena, (size_t)n * sizeof *old);
    if (!want || !renumbered || !old) return BASE_ERROR;
    passes_wants(graph, want);
    memcpy(old, graph->nodes, (size_t)n * sizeof *old);
    graph->n_nodes = 0;
    for (int i = 0; i < n; i++) {
        nn_node node = old[i];
        bool narrows =
            node.ndim == 3 && (node.op->rowwise || node.op->kind == NN_KIND_ATTENTION) && want[i] < node.dim[1];
        for (int j = 0; j < node.n_inputs; j++) node.input[j] = renumbered[node.input[j]];
        if (narrows) node.dim[1] = want[i];
        for (int j = 0; narrows && node.op->rowwise && j < node.n_inputs; j++) {
            if (graph->nodes[node.input[j]].dim[1] == want[i]) continue;
            node.input[j] = nn_take_tokens(graph, node.input[j], want[i]);
            if (node.input[j] < 0) return nn_graph_status(graph);
            added++;
        }
        int made = nn_add_node(graph, node.op, node.n_inputs, node.input, node.ndim, node.dim);
        if (made < 0) return nn_graph_status(graph);
        graph->nodes[made] = node;
        renumbered[i] = made;
    }
    for (int i = 0; i < graph->n_inputs; i++) graph->inputs[i] = renumbered[graph->inputs[i]];
    for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i] = renumbered[graph->outputs[i]];
    return BASE_OK;
}

/* ---- Fuse -------------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL bool nn_reads_saved(const nn_node *node, int j) {
    return j > 0 && j == node->op->saved_input;
}

/* How often a value is read behind node `after`. */
static int passes_uses(const nn_graph *graph, int value, int after) {
    int uses = 0;
    for (int i = 0; i < graph->n_outputs; i++) uses += graph->outputs[i] == value;
    for (int i = after + 1; i < graph->n_nodes; i++)
        for (int j = 0; j < graph->nodes[i].n_inputs; j++)
            uses += graph->nodes[i].input[j] == value && !nn_reads_saved(&graph->nodes[i], j);
    return uses;
}

/* Replaces node i by value v everywhere behind it; i, now dead, reads nothing more. */
static void passes_replace(nn_graph *graph, int i, int v) {
    for (int k = i + 1; k < graph->n_nodes; k++)
        for (int j = 0; j < graph->nodes[k].n_inputs; j++)
            if (graph->nodes[k].input[j] == i) graph->nodes[k].input[j] = v;
    for (int j = 0; j < graph->n_outputs; j++)
        if (graph->outputs[j] == i) graph->outputs[j] = v;
    graph->nodes[i].n_inputs = 0;
}

/* Most of it destroys what it fuses over: the value before the activation, the other operand of the sum. So a fusion is
 * legal only where this is the last use: in training the backward's use forbids by itself what it must. */
static bool passes_only_use(const nn_graph *graph, int value) {
    return passes_uses(graph, value, value) == 1;
}
static bool passes_is_product(const nn_node *node) {
    return node->op->kind == NN_KIND_LINEAR || node->op->kind == NN_KIND_CONV;
}

/* product -> activation; batch norm in training -> activation: its gradient goes through the activation again. */
static bool passes_fuse_activation(nn_graph *graph, int i) {
    nn_node *from = &graph->nodes[graph->nodes[i].input[0]];
    bool takes = passes_is_product(from) || from->op->kind == NN_KIND_TRAINING_NORM;
    if (!takes || from->activation || !passes_only_use(graph, graph->nodes[i].input[0])) return false;
    from->activation = (nn_activation)graph->nodes[i].attr[0];
    passes_replace(graph, i, graph->nodes[i].input[0]);
    return true;
}

/* batch norm in training -> add: the other operand is read before the activation. */
static bool passes_fuse_norm_add(nn_graph *graph, int i) {
    nn_node *node = &graph->nodes[i];
    for (int side = 1; side >= 0; side--) {
        int l = node->input[side], r = node->input[1 - side];
        nn_node *norm = &graph->nodes[l];
        if (r >= l || norm->op->kind != NN_KIND_TRAINING_NORM || norm->activation || norm->adds) continue;
        if (!passes_only_use(graph, l)) continue;
        norm->input[norm->n_inputs++] = r, norm->adds = true;
        passes_replace(graph, i, l);
        return true;
    }
    return false;
}

/* gradient of an activation -> gradient of the batch norm before it, which can find the activation's input again. */
static void passes_fuse_gradient(nn_graph *graph, int i) {
    nn_node *norm = &graph->nodes[i];
    if (norm->op->kind != NN_KIND_NORM_GRADIENT) return;
    int dead = norm->input[0];
    const nn_node *slope = &graph->nodes[dead];
    if (slope->op->kind != NN_KIND_ACTIVATION_GRADIENT || !passes_only_use(graph, dead)) return;
    int value = slope->input[0]; /* the norm's, or of ReLU the activation's */
    if (value != norm->input[1] &&
        (graph->nodes[value].op->kind != NN_KIND_ACTIVATION || graph->nodes[value].input[0] != norm->input[1]))
        return;
    norm->activation = (nn_activation)slope->attr[0], norm->input[0] = slope->input[1];
    graph->nodes[dead].n_inputs = 0;
}

/* product, or a gradient that can -> add, in place of the other operand. */
static bool passes_fuse_add(nn_graph *graph, int i) {
    nn_node *node = &graph->nodes[i];
    for (int side = 1; side >= 0; side--) {
        int l = node->input[side], r = node->input[1 - side];
        nn_node *product = &graph->nodes[l];
        if (l == r || r > l || !product->op->sums || product->activation || product->sum) continue;
        if (graph->has_backward && passes_is_product(product)) continue; /* a block computed again may need r again */
        if (!passes_only_use(graph, l) || passes_uses(graph, r, l) > 1) continue;
        if (graph->nodes[r].op->kind == NN_KIND_INPUT || product->input[0] == r) continue; /* it still reads r */
        product->input[product->n_inputs++] = r;
        product->sum = true, product->alias = r;
        passes_replace(graph, i, l);
        return true;
    }
    return false;
}

/* convolution -> batch norm: weights and bias take it in. Never in training, where the statistics are the batch's. */
static bool passes_fuse_norm(nn_graph *graph, int i) {
    const nn_node *norm = &graph->nodes[i];
    nn_node *conv = &graph->nodes[norm->input[0]];
    if (graph->has_backward || conv->op->kind != NN_KIND_CONV || conv->activation || conv->sum) return false;
    if (!passes_only_use(graph, norm->input[0])) return false;
    nn_fold fold = {conv->param[NN_CONV_WEIGHT],
                    nn_conv_bias(conv),
                    norm->param[0],
                    norm->param[1],
                    norm->param[2],
                    norm->param[3],
                    norm->real};
    int index = nn_add_fold(graph, fold);
    if (index < 0) return false;
    conv->n_params = 2, conv->param[NN_CONV_WEIGHT] = graph->n_params + 2 * index;
    conv->param[NN_CONV_BIAS] = conv->param[NN_CONV_WEIGHT] + 1;
    passes_replace(graph, i, norm->input[0]);
    return true;
}

/* scale -> 1x1 convolution: it multiplies the rows that it is about to read, a tile at a time, so that the scaled map
 * is never written. */
static bool passes_fuse_scale(nn_graph *graph, int i) {
    nn_node *conv = &graph->nodes[i];
    const nn_node *scale = &graph->nodes[conv->input[0]];
    if (graph->has_backward || scale->op->kind != NN_KIND_SCALE || conv->gated || conv->sum ||
        !nn_conv_is_pointwise(conv))
        return false;
    if (!passes_only_use(graph, conv->input[0])) return false;
    int dead = conv->input[0];
    conv->input[0] = scale->input[0], conv->input[1] = scale->input[1], conv->n_inputs = 2, conv->gated = true;
    graph->nodes[dead].n_inputs = 0;
    return true;
}

static bool passes_fuse_one(nn_graph *graph, int i) {
    switch (graph->nodes[i].op->kind) {
    case NN_KIND_ACTIVATION: return passes_fuse_activation(graph, i);
    case NN_KIND_ADD: return passes_fuse_norm_add(graph, i) || passes_fuse_add(graph, i);
    case NN_KIND_NORM: return passes_fuse_norm(graph, i);
    case NN_KIND_CONV: return passes_fuse_scale(graph, i);
    default: return false;
    }
}

/* 1x1 convolution -> depthwise convolution: the map between them never exists as a whole. */
static void passes_fuse_expand(nn_graph *graph, int i) {
    nn_node *node = &graph->nodes[i];
    int dead = node->op->kind == NN_KIND_CONV && node->n_inputs ? node->input[0] : -1;
    if (dead < 0 || graph->nodes[dead].op->kind != NN_KIND_CONV || !passes_only_use(graph, dead)) return;
    if (nn_conv_expand(graph, node)) graph->nodes[dead].n_inputs = 0;
}

/* A depthwise convolution whose value is pooled keeps the sums that the pooling needs: the map is not read for them. */
static void passes_fuse_pool(nn_graph *graph, int i) {
    const nn_node *node = &graph->nodes[i];
    if (node->op->kind != NN_KIND_POOL || !node->n_inputs) return;
    nn_node *conv = &graph->nodes[node->input[0]];
    if (conv->op->kind == NN_KIND_CONV && nn_conv_is_depthwise(graph, conv)) conv->saved = conv->dim[0] * conv->dim[3];
}

DEIT_INTERNAL void nn_pass_fuse(nn_graph *graph) {
    for (int i = 0; i < graph->n_nodes && graph->has_backward; i++) passes_fuse_gradient(graph, i);
    for (int i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i].n_inputs) passes_fuse_one(graph, i);
    for (int i = 0; i < graph->n_nodes && !graph->has_backward; i++)
        passes_fuse_expand(graph, i), passes_fuse_pool(graph, i);
    nn_pass_dead(graph);
    for (int i = 0; i < graph->n_nodes; i++) /* pass_dead renumbered the inputs, not the aliases */
        if (graph->nodes[i].sum) graph->nodes[i].alias = graph->nodes[i].input[graph->nodes[i].n_inputs - 1];
}

/* ---- Arena: values that are not alive together share storage ----------------------------------------------------- */

typedef struct {
    int node, first, last; /* steps at which it is written and last read, both included */
    size_t bytes, offset;
    bool saved; /* the node's saved numbers, not its value */
} passes_block;

static int passes_root(const nn_graph *graph, int i) {
    while (graph->nodes[i].alias >= 0) i = graph->nodes[i].alias;
    return i;
}

static int passes_by_size(const void *a, const void *b) {
    const passes_block *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? x->first - y->first : x->node - y->node;
}

/* The lowest offset at which the block meets none of the `n` placed before it that live when it lives. */
static size_t passes_place(const passes_block *placed, int n, const passes_block *block) {
    size_t offset = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++) {
            const passes_block *other = &placed[i];
            bool together = other->first <= block->last && block->first <= other->last;
            if (!together || offset + block->bytes <= other->offset || other->offset + other->bytes <= offset) continue;
            offset = other->offset + other->bytes, moved = true;
        }
    }
    return offset;
}

/* Fills `blocks` (room for two a node); inputs too, for a batch that must be padded. */
static int passes_blocks(nn_graph *graph, passes_block *blocks) {
    int n = 0, steps = graph->n_nodes;
    for (int i = 0; i < steps; i++) graph->nodes[i].last_use = graph->nodes[i].last_saved = i;
    for (int i = 0; i < steps; i++) {
        for (int j = 0; j < graph->nodes[i].n_inputs; j++) {
            graph->nodes[graph->nodes[i].input[j]].last_saved = i;
            if (nn_reads_saved(&graph->nodes[i], j)) continue;
            nn_node *root = &graph->nodes[passes_root(graph, graph->nodes[i].input[j])];
            if (root->last_use < i) root->last_use = i;
            graph->nodes[graph->nodes[i].input[j]].last_use = i;
        }
        nn_node *root = &graph->nodes[passes_root(graph, i)];
        if (root->last_use < i) root->last_use = i;
    }
    for (int k = 0; k < graph->n_outputs; k++) graph->nodes[passes_root(graph, graph->outputs[k])].last_use = steps;
    for (int i = 0; i < steps; i++) {
        nn_node *node = &graph->nodes[i];
        node->bytes = ((size_t)nn_node_count(node) * nn_type_size(node->dtype) + 63) / 64 * 64;
        int first = node->op->kind == NN_KIND_INPUT ? 0 : i;
        if (node->alias < 0)
            blocks[n++] = (passes_block){.node = i, .first = first, .last = node->last_use, .bytes = node->bytes};
        if (node->saved)
            blocks[n++] =
                (passes_block){i, i, node->last_saved, ((size_t)node->saved * sizeof(float) + 63) / 64 * 64, 0, true};
    }
    return n;
}

DEIT_INTERNAL base_status nn_pass_arena(nn_graph *graph, size_t *bytes) {
    passes_block *blocks = base_calloc((size_t)graph->n_nodes * 2 + 1, sizeof *blocks);
    if (!blocks) return BASE_ERROR;
    int n = passes_blocks(graph, blocks);
    qsort(blocks, (size_t)n, sizeof *blocks, passes_by_size);
    *bytes = 0;
    for (int i = 0; i < n; i++) {
        passes_block *block = &blocks[i];
        block->offset = passes_place(blocks, i, block);
        if (block->offset + block->bytes > *bytes) *bytes = block->offset + block->bytes;
        if (block->saved)
            graph->nodes[block->node].saved_offset = block->offset;
        else
            graph->nodes[block->node].offset = block->offset;
    }
    for (int i = 0; i < graph->n_nodes; i++) graph->nodes[i].offset = graph->nodes[passes_root(graph, i)].offset;
    base_free(blocks);
    return BASE_OK;
}
