/* The gradients of convolutions. 1x1: products (op_linear.c); depthwise: loops of our own (op_depthwise_gradient.c);
 * the rest: oneDNN's backward, channels last, weights packed as it asks. */
#include "nn/internal.h"

typedef struct {
    dnnl_memory_desc_t x, y, any, gradient, plain; /* any, gradient: weights and theirs, as oneDNN likes */
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t forward, primitive;
} conv_gradient_descs;

static void conv_gradient_forget(conv_gradient_descs *d) {
    dnnl_memory_desc_t all[] = {d->x, d->y, d->any, d->gradient, d->plain};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) dnnl_memory_desc_destroy(all[i]);
    if (d->attr) dnnl_primitive_attr_destroy(d->attr);
    if (d->forward) dnnl_primitive_desc_destroy(d->forward);
    if (d->primitive) dnnl_primitive_desc_destroy(d->primitive);
}

/* x: the convolution's input (or its gradient), y: its value's gradient; weights: whether theirs is asked for. */
static dnnl_status_t conv_gradient_describe(conv_gradient_descs *d, const nn_node *node, const nn_node *x,
                                            const nn_node *y, bool weights) {
    int64_t kernel = node->attr[NN_CONV_KERNEL], stride = node->attr[NN_CONV_STRIDE],
            groups = node->attr[NN_CONV_GROUPS], out = y->dim[3], in = x->dim[3];
    dnnl_dims_t strides = {stride, stride}, dilation = {0, 0}, before, after;
    for (int axis = 0; axis < 2; axis++)
        nn_conv_out(x->dim[1 + axis], kernel, stride, node->attr[NN_CONV_SAME], &before[axis], &after[axis]);
    dnnl_status_t status = nn_conv_map(&d->x, x);
    if (!status) status = nn_conv_map(&d->y, y);
    if (!status) status = nn_conv_weights(&d->plain, groups, out, in, kernel, false, dnnl_f32);
    if (!status) status = nn_conv_weights(&d->any, groups, out, in, kernel, true, nn_dnnl_type(y->dtype));
    if (!status) status = nn_conv_weights(&d->gradient, groups, out, in, kernel, true, dnnl_f32);
    if (!status) status = dnnl_primitive_attr_create(&d->attr);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user);
    if (!status)
        status = dnnl_convolution_forward_primitive_desc_create(&d->forward, nn_engine(), dnnl_forward_training,
                                                                dnnl_convolution_direct, d->x, d->any, NULL, d->y,
                                                                strides, dilation, before, after, NULL);
    if (!status && weights)
        status = dnnl_convolution_backward_weights_primitive_desc_create(
            &d->primitive, nn_engine(), dnnl_convolution_direct, d->x, d->gradient, NULL, d->y, strides, dilation,
            before, after, d->forward, d->attr);
    else if (!status)
        status = dnnl_convolution_backward_data_primitive_desc_create(
            &d->primitive, nn_engine(), dnnl_convolution_direct, d->x, d->any, d->y, strides, dilation, before, after,
            d->forward, d->attr);
    return status;
}

/* As much as the forward: the map's gradient, its last input, times the weights of an output. */
static double conv_gradient_flops(const nn_graph *graph, const nn_node *node) {
    const nn_param *weight = &graph->params[node->param[NN_CONV_WEIGHT]];
    int64_t an_output = weight->count / weight->dim[0];
    return 2.0 * (double)nn_node_count(&graph->nodes[node->input[node->n_inputs - 1]]) * (double)an_output;
}

/* ---- Of the input: dy [B, OH, OW, out] -> dx [B, H, W, in] ------------------------------------------------------- */

typedef struct {
    nn_kernel *kernel;
    nn_chain *chain; /* instead: stride 1 in f32 */
} conv_gradient_input;

static base_status conv_gradient_input_args(nn_plan *plan, int i, nn_kernel *kernel, const conv_gradient_descs *d) {
    const nn_node *node = &plan->graph->nodes[i];
    const_dnnl_memory_desc_t mds[NN_MAX_ARGS],
        weights = dnnl_primitive_desc_query_md(d->primitive, dnnl_query_weights_md, 0);
    nn_pack *pack = nn_pack_new(plan, node->param[NN_CONV_WEIGHT], 0, d->plain, weights);
    if (!pack) return BASE_ERROR;
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_DIFF_DST, nn_arg_value(node->input[0], 0), d->y));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_WEIGHTS, (nn_arg){.place = NN_AT_PACK, .pack = pack}, weights));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_DIFF_SRC, nn_arg_value(i, 0), d->x));
    return nn_kernel_contexts(kernel, mds, d->primitive);
}

static base_status conv_gradient_input_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    const nn_node *dy = &plan->graph->nodes[node->input[0]];
    conv_gradient_input *setup = nn_setup_alloc(plan, i, sizeof *setup);
    if (!setup) return BASE_ERROR;
    if (node->attr[NN_CONV_STRIDE] == 1 && nn_chain_suits(plan, dy, node, node->attr[NN_CONV_GROUPS]))
        return nn_chain_new(&setup->chain, plan, i, true);
    nn_kernel *kernel = setup->kernel = nn_kernel_new(plan);
    if (!kernel) return BASE_ERROR;
    conv_gradient_descs d = {0};
    dnnl_status_t dnnl = conv_gradient_describe(&d, node, node, dy, false);
    if (!dnnl) dnnl = dnnl_primitive_create(&kernel->primitive, d.primitive);
    base_status status =
        dnnl ? nn_onednn_fail(dnnl, "convolution's gradient") : conv_gradient_input_args(plan, i, kernel, &d);
    conv_gradient_forget(&d);
    return status;
}

static void conv_gradient_input_run(nn_worker *worker, int i) {
    const conv_gradient_input *setup = worker->plan->setup[i];
    if (setup->chain)
        nn_chain_run(setup->chain, worker);
    else
        nn_kernel_run(setup->kernel, worker, 0, NULL);
}
static const nn_op conv_gradient_input_op = {.name = "convolution gradient",
                                             .reads_16bit = 1,
                                             .types = NN_TYPES_PRODUCT,
                                             .makes_16bit = true,
                                             .flops = conv_gradient_flops,
                                             .setup = conv_gradient_input_setup,
                                             .run = conv_gradient_input_run};

/* ---- Of the weights: x, dy -> the parameters' gradients ---------------------------------------------------------- */

typedef struct {
    nn_kernel *kernel, *add; /* into scratch, in oneDNN's layout; from there added to the parameter's */
} conv_gradient_setup;

static base_status conv_gradient_weight_args(nn_plan *plan, int i, nn_kernel *kernel, const conv_gradient_descs *d) {
    const nn_node *node = &plan->graph->nodes[i];
    const_dnnl_memory_desc_t mds[NN_MAX_ARGS],
        weights = dnnl_primitive_desc_query_md(d->primitive, dnnl_query_diff_weights_md, 0);
    nn_want_whole(plan, dnnl_memory_desc_get_size(weights));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_SRC, nn_arg_value(node->input[0], 0), d->x));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_DIFF_DST, nn_arg_value(node->input[1], 0), d->y));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_DIFF_WEIGHTS, nn_arg_caller(0), weights));
    return nn_kernel_contexts(kernel, mds, d->primitive);
}

static dnnl_status_t conv_gradient_add_describe(conv_gradient_descs *sum, const conv_gradient_descs *d,
                                                const_dnnl_memory_desc_t weights) {
    dnnl_post_ops_t post = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&sum->attr);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(sum->attr, dnnl_scratchpad_mode_user);
    if (!status) status = dnnl_post_ops_create(&post);
    if (!status) status = nn_append_post(post, true, NN_NO_ACTIVATION);
    if (!status) status = dnnl_primitive_attr_set_post_ops(sum->attr, post);
    if (!status)
        status =
            dnnl_reorder_primitive_desc_create(&sum->primitive, weights, nn_engine(), d->plain, nn_engine(), sum->attr);
    if (post) dnnl_post_ops_destroy(post);
    return status;
}

static base_status conv_gradient_add(nn_plan *plan, int i, nn_kernel **out, const conv_gradient_descs *d) {
    const_dnnl_memory_desc_t mds[NN_MAX_ARGS],
        weights = dnnl_primitive_desc_query_md(d->primitive, dnnl_query_diff_weights_md, 0);
    nn_kernel *kernel = *out = nn_kernel_new(plan);
    if (!kernel) return BASE_ERROR;
    conv_gradient_descs sum = {0};
    dnnl_status_t dnnl = conv_gradient_add_describe(&sum, d, weights);
    if (!dnnl) dnnl = dnnl_primitive_create(&kernel->primitive, sum.primitive);
    base_status status = dnnl ? nn_onednn_fail(dnnl, "adding to a gradient") : BASE_OK;
    if (!status) status = nn_kernel_arg(kernel, mds, DNNL_ARG_FROM, nn_arg_caller(0), weights);
    nn_arg to = nn_arg_gradient(plan->graph->nodes[i].param[NN_CONV_WEIGHT]);
    if (!status) status = nn_kernel_arg(kernel, mds, DNNL_ARG_TO, to, d->plain);
    if (!status) status = nn_kernel_contexts(kernel, mds, sum.primitive);
    conv_gradient_forget(&sum);
    return status;
}

static base_status conv_gradient_weight_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i], *nodes = plan->graph->nodes;
    conv_gradient_setup *setup = nn_setup_alloc(plan, i, sizeof *setup);
    if (!setup || !(setup->kernel = nn_kernel_new(plan))) return BASE_ERROR;
    if (node->n_params > NN_CONV_BIAS) nn_want_column_sums(plan, node->param[NN_CONV_BIAS]);
    conv_gradient_descs d = {0};
    dnnl_status_t dnnl = conv_gradient_describe(&d, node, &nodes[node->input[0]], &nodes[node->input[1]], true);
    if (!dnnl) dnnl = dnnl_primitive_create(&setup->kernel->primitive, d.primitive);
    base_status status = dnnl ? nn_onednn_fail(dnnl, "convolution's weight gradient")
                              : conv_gradient_weight_args(plan, i, setup->kernel, &d);
    if (!status) status = conv_gradient_add(plan, i, &setup->add, &d);
    conv_gradient_forget(&d);
    return status;
}

static void conv_gradient_weight_run(nn_worker *worker, int i) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i];
    const conv_gradient_setup *setup = worker->plan->setup[i];
    void *packed[1] = {nn_whole_at(worker)};
    if (nn_wants_gradient(graph, node->param[NN_CONV_WEIGHT])) {
        nn_kernel_run(setup->kernel, worker, 0, packed);
        nn_kernel_run(setup->add, worker, 0, packed);
    }
    if (node->n_params > NN_CONV_BIAS && nn_wants_gradient(graph, node->param[NN_CONV_BIAS]))
        nn_add_column_sums(worker, node->input[1], node->param[NN_CONV_BIAS]);
}
static const nn_op conv_gradient_weight_op = {.name = "convolution weight gradient",
                                              .keeps_parameters = true,
                                              .reads_16bit = 3,
                                              .types = NN_TYPES_PRODUCT,
                                              .flops = conv_gradient_flops,
                                              .setup = conv_gradient_weight_setup,
                                              .run = conv_gradient_weight_run};

DEIT_INTERNAL void nn_conv_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], x = graph->nodes[forward.input[0]];
    nn_value both[2] = {forward.input[0], dy};
    if (nn_conv_is_pointwise(&forward)) {
        nn_product_backward(graph, i, dy, gradient);
    } else if (nn_conv_is_depthwise(graph, &forward)) {
        nn_depthwise_backward(graph, i, dy, gradient);
    } else {
        nn_add_like(graph, &conv_gradient_weight_op, i, 2, both, 1, (int64_t[]){1});
        gradient[0] = nn_add_like(graph, &conv_gradient_input_op, i, 1, &dy, x.ndim, x.dim);
    }
}
