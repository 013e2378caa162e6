/* Reverse-mode differentiation as a transformation: for every node between a parameter and the loss, its operator adds
 * the nodes that compute the gradients of its inputs. Where a value is read more than once, the gradients that come
 * back are added. */
#include "nn/internal.h"

static void autodiff_one_run(nn_worker *worker, int i) {
    *(float *)nn_value_at(worker, i) = 1;
}
static const nn_op autodiff_one_op = {.name = "loss gradient", .run = autodiff_one_run};

DEIT_INTERNAL void nn_backward(nn_graph *graph, nn_value loss) {
    if (graph->status || loss < 0) return;
    if (graph->nodes[loss].ndim != 1 || graph->has_backward) {
        nn_graph_fail(graph,
                      graph->has_backward ? "nn_backward was called twice" : "nn_backward: the loss is not one number");
        return;
    }
    graph->flops = nn_graph_flops(graph);
    int n = loss + 1;
    /* leads[i]: a parameter that is trained acts on value i, so its gradient is wanted */
    bool *leads = base_arena_alloc(&graph->arena, (size_t)n);
    nn_value *gradient = base_arena_alloc(&graph->arena, (size_t)n * sizeof *gradient);
    if (!leads || !gradient) {
        nn_graph_fail(graph, "out of memory");
        return;
    }
    for (int i = 0; i < n; i++) {
        gradient[i] = -1;
        leads[i] = false;
        for (int p = 0; p < graph->nodes[i].n_params; p++)
            leads[i] |= nn_wants_gradient(graph, graph->nodes[i].param[p]);
        for (int j = 0; j < graph->nodes[i].n_inputs; j++) leads[i] |= leads[graph->nodes[i].input[j]];
    }
    graph->has_backward = true;
    gradient[loss] = nn_add_node(graph, &autodiff_one_op, 0, NULL, 1, (int64_t[]){1});
    for (int i = loss; i >= 0 && !graph->status; i--) {
        if (!leads[i] || gradient[i] < 0) continue;
        nn_node node = graph->nodes[i];
        nn_value back[NN_MAX_INPUTS] = {-1, -1, -1, -1};
        if (!node.op->backward)
            nn_graph_fail(graph, "%s has no backward", node.op->name);
        else
            node.op->backward(graph, i, gradient[i], back);
        for (int j = 0; j < node.n_inputs && !graph->status; j++) {
            int x = node.input[j];
            if (!leads[x] || back[j] < 0) continue;
            gradient[x] = gradient[x] < 0 ? back[j] : nn_add(graph, gradient[x], back[j]);
        }
    }
}
