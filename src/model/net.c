/* A network ready to run: the schedule is chosen, the plan made, the weights packed. */
#include "model/internal.h"

enum {
    NET_LAST_STRIDE = 32, /* a convolutional network's last map has so many fewer pixels a side than its image */
    NET_ROWS = 96,        /* of the smallest matrix products, about */
};

/* Throughput: a worker a core, each with images of its own, so that no core waits for another within a pass. A
 * micro-batch is the fewest images that give the smallest matrix products enough rows (about 100: one image at 224 in a
 * transformer, two with the 7 x 7 map of a convolutional network; on Zen 3 ResNet-50 ran at 90, 99 and 98% of the GEMM
 * peak with one, two and four, before Winograd's algorithm); more would only push activations out of the cache. Weights
 * then stream from the shared cache once a micro-batch. Latency: all threads on one pass. */
static void net_schedule(model_net *net) {
    model_options *o = &net->options;
    base_machine machine;
    base_machine_read(&machine);
    if (o->threads < 1) o->threads = machine.cores;
    if (o->batch < 1) o->batch = o->schedule == MODEL_THROUGHPUT ? 32 : 1;
    if (o->schedule == MODEL_LATENCY) {
        net->workers = 1, net->threads = o->threads, net->micro_batch = o->batch;
        return;
    }
    int cell = net->config.patch ? net->config.patch : NET_LAST_STRIDE;
    int64_t side = (net->config.image + cell - 1) / cell, rows = side * side, wanted = (NET_ROWS + rows - 1) / rows;
    net->workers = o->batch < o->threads ? (int)o->batch : o->threads;
    net->threads = o->threads / net->workers;
    int64_t share = (o->batch + net->workers - 1) / net->workers;
    if (o->micro_batch) wanted = o->micro_batch;
    net->micro_batch = wanted < share ? wanted : share;
}

/* tokens: the graph that shows the tokens. */
static base_status net_graph(nn_graph **graph, const model_net *net, bool tokens) {
    if (tokens) return model_token_graph(graph, &net->config, net->micro_batch);
    if (net->options.features) return model_feature_graph(graph, &net->config, net->micro_batch, net->options.head);
    return model_graph(graph, &net->config, net->micro_batch, net->options.head);
}

static base_status net_new(model_net **out, const model_config *config, model_weights *weights,
                           const model_options *options, bool tokens) {
    *out = NULL;
    model_net *net = base_calloc(1, sizeof *net);
    if (!net) return BASE_ERROR;
    net->config = *config, net->options = *options;
    net_schedule(net);
    nn_graph *graph = NULL;
    base_status status = net_graph(&graph, net, tokens);
    if (!status) {
        int64_t dim[4];
        nn_shape(graph, nn_output_at(graph, 0), dim);
        net->width = (int)dim[1];
        net->gflop = nn_graph_flops(graph) * 1e-9 / (double)net->micro_batch;
        nn_plan_options plan = {.precision = options->precision,
                                .workers = net->workers,
                                .threads = net->threads,
                                .share = options->share,
                                .room = options->room,
                                .beside = options->beside,
                                .cancel = options->cancel};
        status = nn_plan_new(&net->plan, graph, &plan);
    }
    if (!status) status = nn_plan_refresh(net->plan, weights ? model_weights_source(weights) : nn_noise_source());
    if (status)
        model_net_free(net);
    else
        *out = net;
    return status;
}

DEIT_INTERNAL base_status model_net_new(model_net **net, const model_config *config, model_weights *weights,
                                        const model_options *options) {
    return net_new(net, config, weights, options, false);
}

DEIT_INTERNAL base_status model_token_net_new(model_net **net, const model_config *config, model_weights *weights,
                                              const model_options *options) {
    return net_new(net, config, weights, options, true);
}

DEIT_INTERNAL void model_net_free(model_net *net) {
    if (!net) return;
    nn_plan_free(net->plan);
    base_free(net);
}

DEIT_INTERNAL base_status model_net_run(model_net *net, int64_t n, const float *images, float *logits) {
    float *const heads[MODEL_MAX_HEADS] = {logits, logits + n * net->width};
    return nn_run(net->plan, n, &images, heads);
}
