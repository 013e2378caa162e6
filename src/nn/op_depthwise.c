/* Depthwise convolutions: a filter a channel, by loops of our own (simd_maps.inc); alone, or together with the 1x1
 * convolution that makes their input (the expansion of EfficientNet's blocks). Bias, activation and the sums that
 * global pooling wants ride along. */
#include "nn/internal.h"
#include <string.h>

struct nn_depthwise_conv {
    int node;
    int64_t top, left;   /* padding */
    const nn_pack *taps; /* [kernel kernel, C] */
    /* Jobs for threads are parts of so many channels, of each image, in so many shares of its rows. */
    int64_t parts, part, shares;
    /* With an expansion before it: blocks of so many rows of the map, the buffer's rows, and each part's products: for
     * a block, for the last. */
    int64_t block, buffer;
    nn_kernel *(*expand)[2];
};

/* ---- The graph --------------------------------------------------------------------------------------------------- */

/* A filter a channel, in at least a vector of channels: what simd_maps.inc can do. */
DEIT_INTERNAL bool nn_conv_is_depthwise(const nn_graph *graph, const nn_node *node) {
    int64_t groups = node->attr[NN_CONV_GROUPS];
    bool wide = node->expands || groups == nn_node_cols(&graph->nodes[node->input[0]]);
    return groups >= 16 && groups == nn_node_cols(node) && wide && !node->sum;
}
DEIT_INTERNAL bool nn_conv_expand(const nn_graph *graph, nn_node *node) {
    const nn_node *inner = &graph->nodes[node->input[0]];
    if (!nn_conv_is_depthwise(graph, node) || !nn_conv_is_pointwise(inner) || inner->gated || inner->sum) return false;
    node->param[NN_CONV_INNER_WEIGHT] = inner->param[NN_CONV_WEIGHT],
    node->param[NN_CONV_INNER_BIAS] = nn_conv_bias(inner);
    node->expands = true, node->inner = inner->activation, node->input[0] = inner->input[0];
    return true;
}

/* ---- Setup ------------------------------------------------------------------------------------------------------- */

static base_status depthwise_lay_taps(nn_plan *plan, nn_depthwise_conv *c) {
    const nn_node *node = &plan->graph->nodes[c->node];
    int64_t channels = nn_node_cols(node), taps = node->attr[NN_CONV_KERNEL] * node->attr[NN_CONV_KERNEL];
    dnnl_dims_t dims = {taps, channels}, plain_strides = {1, taps}, strides = {channels, 1};
    dnnl_memory_desc_t plain = NULL, packed = NULL;
    dnnl_status_t status = dnnl_memory_desc_create_with_strides(&plain, 2, dims, dnnl_f32, plain_strides);
    if (!status) status = dnnl_memory_desc_create_with_strides(&packed, 2, dims, dnnl_f32, strides);
    if (!status) c->taps = nn_pack_new(plan, node->param[NN_CONV_WEIGHT], 0, plain, packed);
    if (packed) dnnl_memory_desc_destroy(packed);
    if (plain) dnnl_memory_desc_destroy(plain);
    if (status) return nn_onednn_fail(status, "depthwise weight layout");
    if (nn_conv_bias(node) >= 0) nn_want_small(plan, nn_conv_bias(node));
    return c->taps ? BASE_OK : BASE_ERROR;
}

/* The expanded map is six times the block's input and is read once, by the depthwise convolution: so it exists only as
 * a buffer in the second-level cache. A map of few pixels goes through it whole, some channels at a time, so that each
 * weight of the expansion is read once. Of a larger one the buffer holds rows. They are made in blocks, as many as one
 * step of a band of outputs moves on; the buffer holds a band's window and a few blocks more, so that what is still
 * needed is seldom moved to its front. Threads share out the channels where these suffice and rows are few: if they
 * shared rows, each would make those between them for itself (EfficientNet-B3's last maps of 10 x 10: 1.6 times the
 * work). */
enum {
    DEPTHWISE_BUFFER = 256 << 10,
    DEPTHWISE_PART = 64,
    DEPTHWISE_ROWS = 32
}; /* bytes; least channels of a part, rows of a share */

static bool depthwise_map_is_small(const nn_node *x) {
    return x->dim[1] * x->dim[2] * DEPTHWISE_PART * (int64_t)sizeof(float) <= DEPTHWISE_BUFFER;
}

static void depthwise_split(const nn_plan *plan, nn_depthwise_conv *c) {
    const nn_node *node = &plan->graph->nodes[c->node], *x = &plan->graph->nodes[node->input[0]];
    int64_t channels = nn_node_cols(node), map = x->dim[1] * x->dim[2] * channels * (int64_t)sizeof(float);
    int64_t threads = plan->options.threads,
            parts = depthwise_map_is_small(x) ? (map + DEPTHWISE_BUFFER - 1) / DEPTHWISE_BUFFER : 1;
    if (node->dim[0] * parts % threads && node->dim[1] < DEPTHWISE_ROWS * threads)
        parts = (parts + threads - 1) / threads * threads;
    if (!node->expands || channels / parts < DEPTHWISE_PART) parts = 1;
    c->part = parts > 1 ? (channels / parts + 15) / 16 * 16 : channels;
    /* the loops make 16 channels or more */
    while (channels % c->part && channels % c->part < 16) c->part += 16;
    c->parts = (channels + c->part - 1) / c->part;
    c->shares = node->dim[0] * c->parts % threads ? threads : 1;
}

static int64_t depthwise_part_channels(const nn_depthwise_conv *c, const nn_node *node, int64_t part) {
    int64_t left = nn_node_cols(node) - part * c->part;
    return left < c->part ? left : c->part;
}

static base_status depthwise_setup_expansion(nn_plan *plan, nn_depthwise_conv *c) {
    enum { BLOCK = 48 << 10 }; /* bytes */
    const nn_node *node = &plan->graph->nodes[c->node], *x = &plan->graph->nodes[node->input[0]];
    int64_t height = x->dim[1], width = x->dim[2], row = width * c->part * (int64_t)sizeof(float);
    int64_t stride = node->attr[NN_CONV_STRIDE], kernel = node->attr[NN_CONV_KERNEL];
    c->block = (BLOCK / row / stride > 1 ? BLOCK / row / stride : 1) * stride;
    if (c->block > height || (depthwise_map_is_small(x) && c->shares == 1)) c->block = height;
    int64_t least = kernel + 2 * c->block;
    c->buffer = DEPTHWISE_BUFFER / row > least ? DEPTHWISE_BUFFER / row : least;
    if (c->buffer > height) c->buffer = height;
    nn_want_scratch(plan, (size_t)(c->buffer * row) + (size_t)node->saved * sizeof(float));
    c->expand = base_arena_alloc(&plan->arena, (size_t)c->parts * sizeof *c->expand);
    if (!c->expand) return BASE_ERROR;
    for (int64_t part = 0; part < c->parts; part++) {
        nn_kernel **expand = c->expand[part];
        nn_matmul m = {.m = c->block * width,
                       .n = depthwise_part_channels(c, node, part),
                       .k = nn_node_cols(x),
                       .lda = nn_node_cols(x),
                       .ldb = nn_node_cols(x),
                       .b_transposed = true,
                       .a = nn_dnnl_type(x->dtype),
                       .b = nn_dnnl_type(x->dtype),
                       .c = dnnl_f32,
                       .bias_param = node->param[NN_CONV_INNER_BIAS],
                       .pack_param = node->param[NN_CONV_INNER_WEIGHT],
                       .column = part * c->part,
                       .per_thread = true};
        m.ldc = m.n;
        nn_arg from = nn_arg_caller(0), to = nn_arg_caller(1);
        BASE_TRY(nn_matmul_new(&expand[0], plan, &m, &from, NULL, &to, NULL));
        expand[1] = expand[0];
        m.m = height % c->block * width;
        if (m.m) BASE_TRY(nn_matmul_new(&expand[1], plan, &m, &from, NULL, &to, NULL));
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status nn_depthwise_conv_new(nn_depthwise_conv **out, nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i], *x = &plan->graph->nodes[node->input[0]];
    int64_t kernel = node->attr[NN_CONV_KERNEL], stride = node->attr[NN_CONV_STRIDE], after;
    nn_depthwise_conv *c = *out = base_arena_alloc(&plan->arena, sizeof *c);
    if (!c) return BASE_ERROR;
    c->node = i;
    nn_conv_out(x->dim[1], kernel, stride, node->attr[NN_CONV_SAME], &c->top, &after);
    nn_conv_out(x->dim[2], kernel, stride, node->attr[NN_CONV_SAME], &c->left, &after);
    nn_want_scratch(plan, (size_t)node->saved * sizeof(float));
    BASE_TRY(depthwise_lay_taps(plan, c));
    depthwise_split(plan, c);
    return node->expands ? depthwise_setup_expansion(plan, c) : BASE_OK;
}

/* ---- A pass ------------------------------------------------------------------------------------------------------ */

/* One part of one image. sums: the image's, or NULL. */
static nn_depthwise depthwise_of_part(const nn_depthwise_conv *c, const nn_worker *worker, int64_t b, int64_t part,
                                      float *sums) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[c->node], *x = &graph->nodes[node->input[0]];
    size_t in = (size_t)(nn_node_count(x) / x->dim[0]) * nn_type_size(x->dtype);
    size_t out = (size_t)(nn_node_count(node) / node->dim[0]) * nn_type_size(node->dtype);
    int64_t from = part * c->part, channels = depthwise_part_channels(c, node, part);
    return (nn_depthwise){.x = (const uint8_t *)nn_value_at(worker, node->input[0]) + (size_t)b * in,
                          .y = (uint8_t *)nn_value_at(worker, c->node) + (size_t)b * out +
                               (size_t)from * nn_type_size(node->dtype),
                          .x_type = x->dtype,
                          .y_type = node->dtype,
                          .taps = (const float *)c->taps->data + from,
                          .bias = nn_conv_bias(node) < 0 ? NULL : nn_small_at(worker, nn_conv_bias(node)) + from,
                          .sums = sums ? sums + from : NULL,
                          .height = x->dim[1],
                          .width = x->dim[2],
                          .channels = channels,
                          .x_ld = channels,
                          .y_ld = node->dim[3],
                          .out_width = node->dim[2],
                          .kernel = node->attr[NN_CONV_KERNEL],
                          .stride = node->attr[NN_CONV_STRIDE],
                          .top = c->top,
                          .left = c->left,
                          .activation = node->activation};
}

/* Makes rows from .. to - 1 of the expanded map's part (whole blocks) at `rows`. image: the block's input. */
static void depthwise_expand_block(const nn_depthwise_conv *c, nn_worker *worker, int thread, const uint8_t *image,
                                   int64_t part, int64_t from, int64_t to, float *rows) {
    const nn_node *node = &worker->plan->graph->nodes[c->node], *x = &worker->plan->graph->nodes[node->input[0]];
    const uint8_t *at = image + (size_t)(from * x->dim[2] * x->dim[3]) * nn_type_size(x->dtype);
    nn_kernel *kernel = c->expand[part][to - from < c->block];
    nn_kernel_run(kernel, worker, thread, (void *[]){(void *)(uintptr_t)at, rows});
    int64_t count = (to - from) * x->dim[2] * depthwise_part_channels(c, node, part);
    if (node->inner) nn_simd()->activate(node->inner, rows, NN_F32, rows, NN_F32, count);
}

/* Output rows begin .. end - 1 of the image's part, a band at a time. */
static void depthwise_expanded_rows(const nn_depthwise_conv *c, nn_worker *worker, int thread, int64_t part,
                                    nn_depthwise d, int64_t begin, int64_t end) {
    const uint8_t *image = d.x;
    int64_t row = d.width * d.channels, band = c->block / d.stride > 0 ? c->block / d.stride : 1;
    float *buffer = nn_scratch_at(worker, thread);
    int64_t first = -1, made = 0; /* the buffer holds rows first .. made - 1 */
    d.x = buffer, d.x_type = NN_F32;
    for (int64_t r = begin; r < end; r += band) {
        int64_t last = r + band < end ? r + band : end, low = r * d.stride - d.top,
                high = (last - 1) * d.stride - d.top + d.kernel;
        low = low > 0 ? low / c->block * c->block : 0, high = high < d.height ? high : d.height;
        if (first < 0) first = made = low;
        while (made < high) {
            int64_t next = made + c->block < d.height ? made + c->block : d.height;
            if (next - first > c->buffer) {
                int64_t keep = r * d.stride - d.top > first ? r * d.stride - d.top : first;
                memmove(buffer, buffer + (keep - first) * row, (size_t)((made - keep) * row) * sizeof(float));
                first = keep;
            }
            depthwise_expand_block(c, worker, thread, image, part, made, next, buffer + (made - first) * row);
            made = next;
        }
        d.first = first;
        nn_simd()->depthwise(&d, r, last);
    }
}

/* A part's images follow each other, so that its weights stay in the caches. Each thread has sums of its own, added in
 * order. */
DEIT_INTERNAL void nn_depthwise_conv_run(const nn_depthwise_conv *c, nn_worker *worker) {
    const nn_node *node = &worker->plan->graph->nodes[c->node];
    int64_t rows = node->dim[1], images = node->dim[0], shares = c->shares, jobs = c->parts * images * shares;
    size_t before =
        node->expands ? (size_t)(c->buffer * worker->plan->graph->nodes[node->input[0]].dim[2] * c->part) : 0;
    float *sums = node->saved ? nn_saved_at(worker, c->node) : NULL;
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        float *own = sums ? (float *)nn_scratch_at(worker, t) + before : NULL;
        if (sums) memset(own, 0, (size_t)node->saved * sizeof(float));
        for (int64_t job = jobs * t / threads; job < jobs * (t + 1) / threads; job++) {
            int64_t share = job % shares, b = job / shares % images, part = job / shares / images;
            nn_depthwise d = depthwise_of_part(c, worker, b, part, own ? own + b * node->dim[3] : NULL);
            int64_t begin = rows * share / shares, end = rows * (share + 1) / shares;
            if (node->expands)
                depthwise_expanded_rows(c, worker, t, part, d, begin, end);
            else
                nn_simd()->depthwise(&d, begin, end);
        }
    }
    for (int64_t j = 0; sums && j < node->saved; j++) {
        sums[j] = 0;
        for (int t = 0; t < threads; t++) sums[j] += ((const float *)nn_scratch_at(worker, t))[before + (size_t)j];
    }
}
