/* Convolution over feature maps [B, H, W, C]. Four kinds, each with the kernel that suits it:
 *   pointwise   1x1: a matrix product over pixels, which runs at the GEMM peak where oneDNN's 1x1 kernels do not
 *   depthwise   a filter a channel: loops of our own (op_depthwise.c)
 *   3x3         of stride 1, many channels in and out: Winograd's algorithm (op_winograd.c)
 *   the rest    oneDNN's convolution, channels last in and out, weights in the layout it asks for
 * Bias, folded batch norm, residual sum and activation ride along. */
#include "nn/internal.h"
#include <string.h>

/* A tile of pixels, input and output together, in bytes: it is scaled before its product and activated behind it while
 * it lies in the second-level cache; half of 512 KB leaves room for the weights. At least so many pixels, though: each
 * tile reads all weights, 16 MB at 2016 x 2016, where tiles of 13 pixels ran at 60% of the GEMM peak. */
enum { CONV_TILE = 256 << 10, CONV_TILE_LEAST = 256 };
static const nn_op conv_op;

DEIT_INTERNAL int nn_conv_bias(const nn_node *node) {
    return node->n_params > 1 ? node->param[NN_CONV_BIAS] : -1;
}

/* ---- The graph --------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL int64_t nn_conv_out(int64_t size, int64_t kernel, int64_t stride, bool same, int64_t *before,
                                  int64_t *after) {
    if (!same) {
        *before = *after = kernel / 2;
        return (size + 2 * (kernel / 2) - kernel) / stride + 1;
    }
    int64_t out = (size + stride - 1) / stride, all = (out - 1) * stride + kernel - size;
    if (all < 0) all = 0;
    *before = all / 2, *after = all - all / 2;
    return out;
}

DEIT_INTERNAL nn_value nn_conv(nn_graph *graph, nn_value x, int64_t out, nn_window w, const char *name, ...) {
    if (x < 0) return -1;
    char prefix[200];
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(prefix, sizeof prefix, name, arguments);
    va_end(arguments);
    if (!w.groups) w.groups = 1;
    nn_node from = graph->nodes[x];
    int64_t channels = nn_node_cols(&from), dim[4] = {from.dim[0], out}, before, after;
    if ((from.ndim != 4 && !(from.ndim == 2 && w.kernel == 1)) || channels % w.groups || out % w.groups)
        return nn_graph_fail(graph, "%s: a convolution of %lld channels to %lld in %d groups", prefix,
                             (long long)channels, (long long)out, w.groups);
    if (w.kernel == 1 && w.stride > 1) x = nn_subsample(graph, x, w.stride), w.stride = 1;
    if (x < 0) return -1;
    from = graph->nodes[x];
    if (from.ndim == 4) {
        dim[1] = nn_conv_out(from.dim[1], w.kernel, w.stride, w.same, &before, &after);
        dim[2] = nn_conv_out(from.dim[2], w.kernel, w.stride, w.same, &before, &after);
        dim[3] = out;
    }
    nn_value y = nn_add_node(graph, &conv_op, 1, &x, from.ndim, dim);
    if (y < 0) return -1;
    int64_t fan_out = out / w.groups * w.kernel * w.kernel;
    int weight = nn_add_param(graph, NN_INIT_HE, fan_out, 4, (int64_t[]){out, channels / w.groups, w.kernel, w.kernel},
                              "%s.weight", prefix);
    int bias = w.bias ? nn_add_param(graph, NN_INIT_ZERO, 0, 1, &out, "%s.bias", prefix) : -1;
    nn_node *node = &graph->nodes[y];
    node->n_params = w.bias ? 2 : 1, node->param[NN_CONV_WEIGHT] = weight, node->param[NN_CONV_BIAS] = bias;
    node->attr[NN_CONV_KERNEL] = w.kernel, node->attr[NN_CONV_STRIDE] = w.stride, node->attr[NN_CONV_GROUPS] = w.groups;
    node->attr[NN_CONV_SAME] = w.same;
    return y;
}

DEIT_INTERNAL bool nn_conv_is_pointwise(const nn_node *node) {
    return node->attr[NN_CONV_KERNEL] == 1 && node->attr[NN_CONV_GROUPS] == 1;
}
static double conv_flops(const nn_graph *graph, const nn_node *node) {
    const nn_node *x = &graph->nodes[node->input[0]];
    int64_t channels = node->expands ? 1 : nn_node_cols(x) / node->attr[NN_CONV_GROUPS];
    double flops = 2.0 * (double)nn_node_count(node) *
                   (double)(channels * node->attr[NN_CONV_KERNEL] * node->attr[NN_CONV_KERNEL]);
    return flops + (node->expands ? 2.0 * (double)nn_node_count(x) * (double)nn_node_cols(node) : 0);
}

typedef struct {
    nn_kernel *kernel[2];     /* [0] for all of it, or for a tile; [1] for the last tile */
    int64_t rows, tiles;      /* of a tiled product: pixels a tile, tiles of the batch */
    nn_activation activation; /* by loops of our own, of each tile or of the whole value */
    nn_depthwise_conv *depthwise;
    nn_winograd *winograd;
    nn_chain *chain; /* training in f32 */
} conv_setup;

/* ---- Pointwise --------------------------------------------------------------------------------------------------- */

static nn_matmul conv_product(const nn_plan *plan, const nn_node *node, int64_t rows) {
    const nn_node *x = &plan->graph->nodes[node->input[0]];
    int64_t k = nn_node_cols(x), n = nn_node_cols(node);
    return (nn_matmul){.m = rows,
                       .n = n,
                       .k = k,
                       .lda = k,
                       .ldb = k,
                       .ldc = n,
                       .b_transposed = true,
                       .a = nn_dnnl_type(x->dtype),
                       .b = nn_dnnl_type(x->dtype),
                       .c = nn_dnnl_type(node->dtype),
                       .bias_param = nn_conv_bias(node),
                       .pack_param = node->param[NN_CONV_WEIGHT],
                       .sum = node->sum,
                       .activation = node->activation};
}

/* oneDNN's SiLU is slow before AVX-512: 112 x 112 x 96 from 16 channels ran at 30% of the GEMM peak with it on a Zen 3,
 * and at 80% without. */
static bool conv_activates(const nn_node *node) {
    return node->activation == NN_SILU && node->dtype == NN_F32 && node->ndim == 4;
}

static base_status conv_setup_pointwise(nn_plan *plan, int i, conv_setup *setup) {
    const nn_node *node = &plan->graph->nodes[i], *x = &plan->graph->nodes[node->input[0]];
    nn_matmul m = conv_product(plan, node, nn_node_rows(node));
    if (!node->gated && !conv_activates(node)) {
        nn_arg a = nn_arg_value(node->input[0], 0), c = nn_arg_value(i, 0);
        return nn_matmul_new(&setup->kernel[0], plan, &m, &a, NULL, &c, NULL);
    }
    if (conv_activates(node)) setup->activation = m.activation, m.activation = NN_NO_ACTIVATION;
    int64_t pixels = nn_node_rows(node), threads = plan->options.threads;
    int64_t in = m.k * (int64_t)nn_type_size(x->dtype), out = m.n * (int64_t)nn_type_size(node->dtype);
    int64_t most = CONV_TILE / (in + out) > CONV_TILE_LEAST ? CONV_TILE / (in + out) : CONV_TILE_LEAST;
    setup->tiles = ((pixels + most - 1) / most + threads - 1) / threads * threads;
    setup->rows = (pixels + setup->tiles - 1) / setup->tiles;
    setup->tiles = (pixels + setup->rows - 1) / setup->rows;
    if (node->gated) nn_want_scratch(plan, (size_t)(setup->rows * in));
    nn_arg a = nn_arg_caller(0), c = nn_arg_caller(1);
    m.per_thread = true, m.m = setup->rows;
    BASE_TRY(nn_matmul_new(&setup->kernel[0], plan, &m, &a, NULL, &c, NULL));
    m.m = pixels - setup->rows * (setup->tiles - 1);
    if (m.m != setup->rows) return nn_matmul_new(&setup->kernel[1], plan, &m, &a, NULL, &c, NULL);
    setup->kernel[1] = setup->kernel[0];
    return BASE_OK;
}

/* rows of x from `begin` on, each times its image's gate. */
static void conv_gate(nn_worker *worker, const nn_node *node, uint8_t *from, uint8_t *scaled, int64_t begin,
                      int64_t rows) {
    const nn_node *x = &worker->plan->graph->nodes[node->input[0]];
    const float *gates = nn_value_at(worker, node->input[1]);
    int64_t pixels = node->dim[1] * node->dim[2], channels = nn_node_cols(x);
    size_t row = (size_t)channels * nn_type_size(x->dtype);
    for (int64_t at = begin, end = begin + rows, n; at < end; at += n) {
        n = pixels - at % pixels < end - at ? pixels - at % pixels : end - at; /* what is left of the image */
        size_t offset = (size_t)(at - begin) * row;
        nn_simd()->scale_columns(from + offset, gates + at / pixels * channels, scaled + offset, x->dtype, n, channels);
    }
}

/* One tile: rows of x times their images' gates into scratch, where there are any; the product; the activation. */
static void conv_tile(nn_worker *worker, int i, int thread, int64_t tile) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i], *x = &graph->nodes[node->input[0]];
    const conv_setup *setup = worker->plan->setup[i];
    int64_t channels = nn_node_cols(x), out = nn_node_cols(node), begin = tile * setup->rows;
    bool last = tile == setup->tiles - 1;
    int64_t rows = last ? nn_node_rows(node) - begin : setup->rows;
    uint8_t *from =
        (uint8_t *)nn_value_at(worker, node->input[0]) + (size_t)(begin * channels) * nn_type_size(x->dtype);
    uint8_t *to = (uint8_t *)nn_value_at(worker, i) + (size_t)(begin * out) * nn_type_size(node->dtype);
    if (node->gated) {
        uint8_t *scaled = nn_scratch_at(worker, thread);
        conv_gate(worker, node, from, scaled, begin, rows);
        from = scaled;
    }
    nn_kernel_run(setup->kernel[last], worker, thread, (void *[]){from, to});
    if (setup->activation) nn_simd()->activate(setup->activation, to, NN_F32, to, NN_F32, rows * out);
}

static void conv_run_tiled(nn_worker *worker, int i) {
    const conv_setup *setup = worker->plan->setup[i];
    int64_t jobs = setup->tiles;
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++)
        for (int64_t job = jobs * t / threads; job < jobs * (t + 1) / threads; job++) conv_tile(worker, i, t, job);
}

/* ---- The rest: oneDNN's ------------------------------------------------------------------------------------------ */

typedef struct {
    dnnl_memory_desc_t x, plain, any, bias, y;
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    dnnl_primitive_desc_t primitive;
} conv_descs;

DEIT_INTERNAL dnnl_status_t nn_conv_weights(dnnl_memory_desc_t *md, int64_t groups, int64_t out, int64_t in,
                                            int64_t kernel, bool any, dnnl_data_type_t type) {
    dnnl_dims_t dims = {groups, out / groups, in / groups, kernel, kernel};
    bool flat = groups == 1;
    dnnl_format_tag_t tag = any ? dnnl_format_tag_any : flat ? dnnl_oihw : dnnl_goihw;
    return dnnl_memory_desc_create_with_tag(md, flat ? 4 : 5, dims + flat, type, tag);
}

DEIT_INTERNAL dnnl_status_t nn_conv_map(dnnl_memory_desc_t *md, const nn_node *node) {
    dnnl_dims_t dims = {node->dim[0], node->dim[3], node->dim[1], node->dim[2]};
    return dnnl_memory_desc_create_with_tag(md, 4, dims, nn_dnnl_type(node->dtype), dnnl_nhwc);
}

static dnnl_status_t conv_describe(conv_descs *d, const nn_node *x, const nn_node *node) {
    int64_t kernel = node->attr[NN_CONV_KERNEL], stride = node->attr[NN_CONV_STRIDE], out = node->dim[3];
    dnnl_dims_t strides = {stride, stride}, dilation = {0, 0}, before, after, bias_dims = {out};
    for (int axis = 0; axis < 2; axis++)
        nn_conv_out(x->dim[1 + axis], kernel, stride, node->attr[NN_CONV_SAME], &before[axis], &after[axis]);
    dnnl_status_t status = nn_conv_map(&d->x, x);
    if (!status) status = nn_conv_map(&d->y, node);
    if (!status)
        status = nn_conv_weights(&d->plain, node->attr[NN_CONV_GROUPS], out, x->dim[3], kernel, false, dnnl_f32);
    if (!status)
        status =
            nn_conv_weights(&d->any, node->attr[NN_CONV_GROUPS], out, x->dim[3], kernel, true, nn_dnnl_type(x->dtype));
    if (!status && nn_conv_bias(node) >= 0)
        status = dnnl_memory_desc_create_with_tag(&d->bias, 1, bias_dims, dnnl_f32, dnnl_a);
    if (!status) status = dnnl_primitive_attr_create(&d->attr);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user);
    if (!status) status = dnnl_post_ops_create(&d->post);
    if (!status) status = nn_append_post(d->post, node->sum, node->activation);
    if (!status) status = dnnl_primitive_attr_set_post_ops(d->attr, d->post);
    if (!status)
        status = dnnl_convolution_forward_primitive_desc_create(&d->primitive, nn_engine(), dnnl_forward_inference,
                                                                dnnl_convolution_direct, d->x, d->any, d->bias, d->y,
                                                                strides, dilation, before, after, d->attr);
    return status;
}

static void conv_forget(conv_descs *d) {
    dnnl_memory_desc_t all[] = {d->x, d->plain, d->any, d->bias, d->y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) dnnl_memory_desc_destroy(all[i]);
    if (d->post) dnnl_post_ops_destroy(d->post);
    if (d->attr) dnnl_primitive_attr_destroy(d->attr);
    if (d->primitive) dnnl_primitive_desc_destroy(d->primitive);
}

static base_status conv_args(nn_plan *plan, int i, nn_kernel *kernel, const conv_descs *d) {
    const nn_node *node = &plan->graph->nodes[i];
    const_dnnl_memory_desc_t mds[NN_MAX_ARGS],
        weights = dnnl_primitive_desc_query_md(d->primitive, dnnl_query_weights_md, 0);
    nn_pack *pack = nn_pack_new(plan, node->param[NN_CONV_WEIGHT], 0, d->plain, weights);
    if (!pack) return BASE_ERROR;
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_SRC, nn_arg_value(node->input[0], 0), d->x));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_WEIGHTS, (nn_arg){.place = NN_AT_PACK, .pack = pack}, weights));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_DST, nn_arg_value(i, 0), d->y));
    if (d->bias) {
        nn_want_small(plan, nn_conv_bias(node));
        BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_BIAS, (nn_arg){.place = NN_AT_SMALL, .index = nn_conv_bias(node)},
                               d->bias));
    }
    return nn_kernel_contexts(kernel, mds, d->primitive);
}

static base_status conv_setup_full(nn_plan *plan, int i, conv_setup *setup) {
    const nn_node *node = &plan->graph->nodes[i];
    nn_kernel *kernel = setup->kernel[0] = nn_kernel_new(plan);
    if (!kernel) return BASE_ERROR;
    conv_descs d = {0};
    nn_node bare = *node;
    if (conv_activates(node)) setup->activation = node->activation, bare.activation = NN_NO_ACTIVATION;
    dnnl_status_t dnnl = conv_describe(&d, &plan->graph->nodes[node->input[0]], &bare);
    if (!dnnl) dnnl = dnnl_primitive_create(&kernel->primitive, d.primitive);
    base_status status = dnnl ? nn_onednn_fail(dnnl, "convolution") : conv_args(plan, i, kernel, &d);
    conv_forget(&d);
    return status;
}

/* ---- The operator ------------------------------------------------------------------------------------------------ */

static base_status conv_setup_new(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i], *x = &plan->graph->nodes[node->input[0]];
    conv_setup *setup = nn_setup_alloc(plan, i, sizeof *setup);
    if (!setup) return BASE_ERROR;
    bool plain = nn_conv_bias(node) < 0 && !node->activation && !node->sum && !node->gated &&
                 !nn_conv_is_depthwise(plan->graph, node);
    if (plain && nn_chain_suits(plan, x, node, node->attr[NN_CONV_GROUPS]))
        return nn_chain_new(&setup->chain, plan, i, false);
    if (nn_conv_is_pointwise(node)) return conv_setup_pointwise(plan, i, setup);
    if (nn_conv_is_depthwise(plan->graph, node)) return nn_depthwise_conv_new(&setup->depthwise, plan, i);
    bool small = node->attr[NN_CONV_KERNEL] == 3 && node->attr[NN_CONV_STRIDE] == 1;
    if (small && nn_winograd_suits(plan, node, node->attr[NN_CONV_GROUPS]))
        return nn_winograd_new(&setup->winograd, plan, i, node->param[NN_CONV_WEIGHT], nn_conv_bias(node),
                               node->attr[NN_CONV_GROUPS]);
    return conv_setup_full(plan, i, setup);
}

static void conv_run(nn_worker *worker, int i) {
    const conv_setup *setup = worker->plan->setup[i];
    if (setup->depthwise)
        nn_depthwise_conv_run(setup->depthwise, worker);
    else if (setup->tiles)
        conv_run_tiled(worker, i);
    else if (setup->winograd)
        nn_winograd_run(setup->winograd, worker);
    else if (setup->chain)
        nn_chain_run(setup->chain, worker);
    else {
        nn_kernel_run(setup->kernel[0], worker, 0, NULL);
        if (setup->activation) nn_activate_value(worker, i);
    }
}

static const nn_op conv_op = {.name = "convolution",
                              .kind = NN_KIND_CONV,
                              .sums = true,
                              .reads_16bit = 1,
                              .types = NN_TYPES_PRODUCT,
                              .makes_16bit = true,
                              .sums_16bit = true,
                              .flops = conv_flops,
                              .backward = nn_conv_backward,
                              .setup = conv_setup_new,
                              .run = conv_run};
