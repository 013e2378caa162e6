/* Recompute: memory for time. Of each block only what the next ones read is kept; before the first node of the backward
 * that wants something from inside a block, the block's nodes that lead there are run again, from copies. They run the
 * same kernels on the same numbers, so nothing changes but the storage: what is inside a block lives twice, shortly.
 * What stands before the first block, and the last one, whose backward comes at once, are left alone. */
#include "nn/internal.h"
#include <string.h>

typedef struct {
    nn_graph *graph;
    const nn_node *old;
    int n;
    bool *inside, *wanted; /* [n]: read by its own block only; needed again by the backward */
    int *made, *copy;      /* [n]: the node in the new graph; its copy */
    bool *copied;          /* [blocks + 1] */
} recompute_job;

/* Values that only their own block (and the backward) reads. */
static void recompute_find_inside(recompute_job *job) {
    for (int i = 0; i < job->n; i++) {
        const nn_node *node = &job->old[i];
        job->inside[i] =
            !node->gradient && node->op->kind != NN_KIND_INPUT && node->block > 0 && node->block < job->graph->n_blocks;
        for (int j = 0; j < node->n_inputs && !node->gradient; j++)
            if (job->old[node->input[j]].block != node->block) job->inside[node->input[j]] = false;
    }
    for (int k = 0; k < job->graph->n_outputs; k++) job->inside[job->graph->outputs[k]] = false;
}

/* What the backward reads of them, and what that is made of. */
static void recompute_find_wanted(recompute_job *job) {
    for (int i = job->n - 1; i >= 0; i--) {
        const nn_node *node = &job->old[i];
        for (int j = 0; j < node->n_inputs && (node->gradient || job->wanted[i]); j++)
            job->wanted[node->input[j]] |= job->inside[node->input[j]];
    }
}

/* Adds old node i; of its inputs the copies, where `copies` says so and there are some. -1: memory ended. */
static int recompute_add(recompute_job *job, int i, bool copies) {
    nn_node node = job->old[i];
    for (int j = 0; j < node.n_inputs; j++) {
        int x = node.input[j];
        node.input[j] = copies && job->wanted[x] ? job->copy[x] : job->made[x];
    }
    int made = nn_add_node(job->graph, node.op, node.n_inputs, node.input, node.ndim, node.dim);
    if (made < 0) return -1;
    if (node.sum) node.alias = node.input[node.n_inputs - 1];
    job->graph->nodes[made] = node;
    return made;
}

static bool recompute_copy_block(recompute_job *job, int block) {
    if (job->copied[block]) return true;
    job->copied[block] = true;
    for (int i = 0; i < job->n; i++) {
        if (!job->wanted[i] || job->old[i].block != block) continue;
        if ((job->copy[i] = recompute_add(job, i, true)) < 0) return false;
        job->graph->nodes[job->copy[i]].again = true;
    }
    return true;
}

static base_status recompute_rebuild(recompute_job *job) {
    nn_graph *graph = job->graph;
    graph->n_nodes = 0;
    for (int i = 0; i < job->n; i++) {
        const nn_node *node = &job->old[i];
        for (int j = 0; j < node->n_inputs && node->gradient; j++)
            if (job->wanted[node->input[j]] && !recompute_copy_block(job, job->old[node->input[j]].block))
                return nn_graph_status(graph);
        if ((job->made[i] = recompute_add(job, i, node->gradient)) < 0) return nn_graph_status(graph);
    }
    for (int i = 0; i < graph->n_inputs; i++) graph->inputs[i] = job->made[graph->inputs[i]];
    for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i] = job->made[graph->outputs[i]];
    return BASE_OK;
}

DEIT_INTERNAL base_status nn_pass_recompute(nn_graph *graph) {
    size_t n = (size_t)graph->n_nodes;
    nn_node *old = base_arena_alloc(&graph->arena, n * sizeof *old);
    recompute_job job = {.graph = graph,
                         .old = old,
                         .n = graph->n_nodes,
                         .inside = base_arena_alloc(&graph->arena, n),
                         .wanted = base_arena_alloc(&graph->arena, n),
                         .made = base_arena_alloc(&graph->arena, n * sizeof(int)),
                         .copy = base_arena_alloc(&graph->arena, n * sizeof(int)),
                         .copied = base_arena_alloc(&graph->arena, (size_t)graph->n_blocks + 1)};
    if (!old || !job.inside || !job.wanted || !job.made || !job.copy || !job.copied) return BASE_ERROR;
    memcpy(old, graph->nodes, n * sizeof *old);
    recompute_find_inside(&job);
    recompute_find_wanted(&job);
    return recompute_rebuild(&job);
}
