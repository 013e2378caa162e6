/* The passes: each takes the graph a step from what was written towards what runs. In order: dead, narrow, fuse,
 * precision, arena. */
#include "nn/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- Dead nodes: what neither an output nor a gradient needs -------------------------------------------------------
 */

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
        live[i] |= node->op->kind == NN_KIND_GRADIENT || node->op->kind == NN_KIND_INPUT;
        for (int j = 0; live[i] && j < node->n_inputs; j++) live[node->input[j]] = true;
    }
    passes_keep(graph, live, renumbered);
}

/* ---- Narrow: rows that nobody reads are not computed (inference) ---------------------------------------------------
 */

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

/* ---- Fuse ---------------------------------------------------------------------------------------------------------
 */

/* How often a value is read behind node `after`. */
static int passes_uses(const nn_graph *graph, int value, int after) {
    int uses = 0;
    for (int i = 0; i < graph->n_outputs; i++) uses += graph->outputs[i] == value;
    for (int i = after + 1; i < graph->n_nodes; i++)
        for (int j = 0; j < graph->nodes[i].n_inputs; j++) uses += graph->nodes[i].input[j] == value;
    return uses;
}

/* Replaces node i by value v everywhere behind it. */
static void passes_replace(nn_graph *graph, int i, int v) {
    for (int k = i + 1; k < graph->n_nodes; k++)
        for (int j = 0; j < graph->nodes[k].n_inputs; j++)
            if (graph->nodes[k].input[j] == i) graph->nodes[k].input[j] = v;
    for (int j = 0; j < graph->n_outputs; j++)
        if (graph->outputs[j] == i) graph->outputs[j] = v;
}

/* linear -> gelu, and linear -> add in place. Both destroy what they fuse over: the value before the activation, and
 * the other operand of the sum. So they are legal only where this is the last use: in training the backward's use
 * forbids by itself what it must. */
static bool passes_fuse_one(nn_graph *graph, int i) {
    nn_node *node = &graph->nodes[i];
    if (node->op->kind == NN_KIND_GELU) {
        nn_node *linear = &graph->nodes[node->input[0]];
        if (linear->op->kind != NN_KIND_LINEAR || linear->gelu || linear->sum ||
            passes_uses(graph, node->input[0], node->input[0]) > 1)
            return false;
        linear->gelu = true;
        passes_replace(graph, i, node->input[0]);
        return true;
    }
    if (node->op->kind != NN_KIND_ADD) return false;
    for (int side = 0; side < 2; side++) {
        int l = node->input[side], r = node->input[1 - side];
        nn_node *linear = &graph->nodes[l];
        if (l == r || linear->op->kind != NN_KIND_LINEAR || linear->gelu || linear->sum || linear->n_inputs != 1)
            continue;
        if (passes_uses(graph, l, l) > 1 || passes_uses(graph, r, l) > 1 || r > l ||
            graph->nodes[r].op->kind == NN_KIND_INPUT)
            continue;
        linear->input[linear->n_inputs++] = r;
        linear->sum = true, linear->alias = r;
        passes_replace(graph, i, l);
        return true;
    }
    return false;
}

DEIT_INTERNAL void nn_pass_fuse(nn_graph *graph) {
    for (int i = 0; i < graph->n_nodes; i++) passes_fuse_one(graph, i);
    nn_pass_dead(graph);
    for (int i = 0; i < graph->n_nodes; i++) /* pass_dead renumbered the inputs, not the aliases */
        if (graph->nodes[i].sum) graph->nodes[i].alias = graph->nodes[i].input[graph->nodes[i].n_inputs - 1];
}

/* ---- Precision: which values are stored as bf16 --------------------------------------------------------------------
 */

/* bf16 where whoever makes it can and everyone who reads it does; the residual stream, the logits and what losses read
 * stay f32. */
DEIT_INTERNAL void nn_pass_precision(nn_graph *graph, nn_dtype precision) {
    if (precision != NN_BF16) return;
    for (int i = 0; i < graph->n_nodes; i++) {
        nn_node *node = &graph->nodes[i];
        bool small = node->op->makes_16bit && !node->sum;
        for (int k = 0; k < graph->n_outputs; k++) small &= graph->outputs[k] != i;
        for (int k = i + 1; small && k < graph->n_nodes; k++)
            for (int j = 0; j < graph->nodes[k].n_inputs; j++)
                if (graph->nodes[k].input[j] == i)
                    small &=
                        graph->nodes[k].op->reads_16bit && !(graph->nodes[k].sum && j == graph->nodes[k].n_inputs - 1);
        node->dtype = small ? NN_BF16 : NN_F32;
    }
}

/* ---- Arena: values that are not alive together share storage -------------------------------------------------------
 */

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
    for (int i = 0; i < steps; i++) graph->nodes[i].last_use = i;
    for (int i = 0; i < steps; i++) {
        for (int j = 0; j < graph->nodes[i].n_inputs; j++) {
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
                (passes_block){i, i, node->last_use, ((size_t)node->saved * sizeof(float) + 63) / 64 * 64, 0, true};
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
