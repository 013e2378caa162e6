/* Operators on feature maps [B, H, W, C] that multiply nothing by weights, and their gradients: layout, subsampling,
 * pooling, scaling by channel. */
#include "nn/internal.h"
#include <string.h>

/* ---- Channels last: [B, C, H, W] f32 -> [B, H, W, C] ------------------------------------------------------------- */

static void maps_last_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t height = node->dim[1], width = node->dim[2], channels = node->dim[3];
    bool half = node->dtype == NN_BF16;
    float row[half ? width * channels : 1];
    for (int64_t r = begin; r < end; r++) { /* row r % height of image r / height */
        const float *x =
            (const float *)nn_value_at(worker, node->input[0]) + (r / height * channels * height + r % height) * width;
        float *y = half ? row : (float *)nn_value_at(worker, i) + r * width * channels;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t j = 0; j < width; j++) y[j * channels + c] = x[c * height * width + j];
        if (half) nn_simd()->to_bf16(row, (uint16_t *)nn_value_at(worker, i) + r * width * channels, width * channels);
    }
}
static void maps_last_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    nn_share(worker, i, node->dim[0] * node->dim[1], 1, maps_last_loop);
}

static void maps_first_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t channels = node->dim[1], pixels = node->dim[2] * node->dim[3];
    const float *dy = nn_value_at(worker, node->input[0]);
    float *dx = nn_value_at(worker, i);
    for (int64_t r = begin; r < end; r++) /* channel r % channels of image r / channels */
        for (int64_t p = 0; p < pixels; p++)
            dx[r * pixels + p] = dy[(r / channels * pixels + p) * channels + r % channels];
}
static void maps_first_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    nn_share(worker, i, node->dim[0] * node->dim[1], 1, maps_first_loop);
}
static const nn_op maps_first_op = {.name = "channels last gradient", .run = maps_first_run};

static void maps_last_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node x = graph->nodes[graph->nodes[i].input[0]];
    gradient[0] = nn_add_like(graph, &maps_first_op, i, 1, &dy, x.ndim, x.dim);
}
static const nn_op maps_last_op = {
    .name = "channels last", .makes_16bit = true, .backward = maps_last_backward, .run = maps_last_run};

DEIT_INTERNAL nn_value nn_channels_last(nn_graph *graph, nn_value x) {
    if (x < 0) return -1;
    nn_node from = graph->nodes[x];
    if (from.ndim != 4) return nn_graph_fail(graph, "channels last: a value of %d dimensions", from.ndim);
    return nn_add_node(graph, &maps_last_op, 1, &x, 4, (int64_t[]){from.dim[0], from.dim[2], from.dim[3], from.dim[1]});
}

/* ---- Subsampling: every attr[0]-th pixel of every attr[0]-th row ------------------------------------------------- */

static void maps_subsample_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i], *x = &worker->plan->graph->nodes[node->input[0]];
    int64_t stride = node->attr[0], height = node->dim[1], width = node->dim[2];
    size_t pixel = (size_t)node->dim[3] * nn_type_size(node->dtype);
    uint8_t *to = (uint8_t *)nn_value_at(worker, i) + (size_t)(begin * width) * pixel;
    for (int64_t r = begin; r < end; r++) {
        const uint8_t *from = (const uint8_t *)nn_value_at(worker, node->input[0]) +
                              (size_t)((r / height * x->dim[1] + r % height * stride) * x->dim[2]) * pixel;
        for (int64_t j = 0; j < width; j++, to += pixel) memcpy(to, from + (size_t)(j * stride) * pixel, pixel);
    }
}
static void maps_subsample_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    nn_share(worker, i, node->dim[0] * node->dim[1], 1, maps_subsample_loop);
}

/* dx: dy at every attr[0]-th pixel, 0 elsewhere. */
static void maps_spread_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i], *y = &worker->plan->graph->nodes[node->input[0]];
    int64_t stride = node->attr[0], height = node->dim[1], width = node->dim[2], channels = node->dim[3];
    size_t pixel = (size_t)channels * nn_type_size(node->dtype), row = (size_t)width * pixel;
    uint8_t *to = (uint8_t *)nn_value_at(worker, i) + (size_t)begin * row;
    memset(to, 0, (size_t)(end - begin) * row);
    for (int64_t r = begin; r < end; r++, to += row) {
        if (r % height % stride) continue;
        const uint8_t *from = (const uint8_t *)nn_value_at(worker, node->input[0]) +
                              (size_t)((r / height * y->dim[1] + r % height / stride) * y->dim[2]) * pixel;
        for (int64_t j = 0; j < y->dim[2]; j++)
            memcpy(to + (size_t)(j * stride) * pixel, from + (size_t)j * pixel, pixel);
    }
}
static void maps_spread_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    nn_share(worker, i, node->dim[0] * node->dim[1], 1, maps_spread_loop);
}
static const nn_op maps_spread_op = {.name = "subsample gradient",
                                     .reads_16bit = 1,
                                     .types = NN_TYPES_VALUE,
                                     .makes_16bit = true,
                                     .run = maps_spread_run};

static void maps_subsample_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node x = graph->nodes[graph->nodes[i].input[0]];
    gradient[0] = nn_add_like(graph, &maps_spread_op, i, 1, &dy, x.ndim, x.dim);
}
static const nn_op maps_subsample_op = {.name = "subsample",
                                        .keeps_type = true,
                                        .reads_16bit = 1,
                                        .types = NN_TYPES_VALUE,
                                        .makes_16bit = true,
                                        .backward = maps_subsample_backward,
                                        .run = maps_subsample_run};

DEIT_INTERNAL nn_value nn_subsample(nn_graph *graph, nn_value x, int64_t stride) {
    nn_node from = graph->nodes[x];
    if (from.ndim != 4) return nn_graph_fail(graph, "a stride over a value of %d dimensions", from.ndim);
    int64_t dim[4] = {from.dim[0], (from.dim[1] + stride - 1) / stride, (from.dim[2] + stride - 1) / stride,
                      from.dim[3]};
    nn_value y = nn_add_node(graph, &maps_subsample_op, 1, &x, 4, dim);
    if (y >= 0) graph->nodes[y].attr[0] = stride;
    return y;
}

/* ---- Pooling by oneDNN: attr: kind, kernel, stride --------------------------------------------------------------- */

typedef struct {
    dnnl_memory_desc_t x, y;
    dnnl_primitive_attr_t attr;
    dnnl_primitive_desc_t primitive;
} maps_descs;

static dnnl_status_t maps_describe(maps_descs *d, const nn_node *x, const nn_node *node) {
    int64_t kernel = node->attr[1], stride = node->attr[2];
    dnnl_dims_t from = {x->dim[0], x->dim[3], x->dim[1], x->dim[2]},
                to = {node->dim[0], node->dim[3], node->dim[1], node->dim[2]};
    dnnl_dims_t strides = {stride, stride}, window = {kernel, kernel}, dilation = {0, 0},
                before = {kernel / 2, kernel / 2}, after;
    for (int axis = 0; axis < 2; axis++)
        after[axis] = (node->dim[1 + axis] - 1) * stride + kernel - x->dim[1 + axis] - kernel / 2;
    dnnl_alg_kind_t kind = node->attr[0] == NN_POOL_MAX ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
    dnnl_status_t status = dnnl_memory_desc_create_with_tag(&d->x, 4, from, nn_dnnl_type(x->dtype), dnnl_nhwc);
    if (!status) status = dnnl_memory_desc_create_with_tag(&d->y, 4, to, nn_dnnl_type(node->dtype), dnnl_nhwc);
    if (!status) status = dnnl_primitive_attr_create(&d->attr);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user);
    if (!status)
        status =
            dnnl_pooling_forward_primitive_desc_create(&d->primitive, nn_engine(), dnnl_forward_inference, kind, d->x,
                                                       d->y, strides, window, dilation, before, after, d->attr);
    return status;
}

static base_status maps_pool_args(nn_plan *plan, int i, nn_kernel *kernel, const maps_descs *d) {
    const_dnnl_memory_desc_t mds[NN_MAX_ARGS];
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_SRC, nn_arg_value(plan->graph->nodes[i].input[0], 0), d->x));
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_DST, nn_arg_value(i, 0), d->y));
    return nn_kernel_contexts(kernel, mds, d->primitive);
}

static base_status maps_pool_setup(nn_plan *plan, int i) {
    const nn_node *node = &plan->graph->nodes[i];
    nn_kernel **kernel = nn_setup_alloc(plan, i, sizeof *kernel);
    if (!kernel || !(*kernel = nn_kernel_new(plan))) return BASE_ERROR;
    maps_descs d = {0};
    dnnl_status_t dnnl = maps_describe(&d, &plan->graph->nodes[node->input[0]], node);
    if (!dnnl) dnnl = dnnl_primitive_create(&(*kernel)->primitive, d.primitive);
    base_status status = dnnl ? nn_onednn_fail(dnnl, "pooling") : maps_pool_args(plan, i, *kernel, &d);
    if (d.x) dnnl_memory_desc_destroy(d.x);
    if (d.y) dnnl_memory_desc_destroy(d.y);
    if (d.attr) dnnl_primitive_attr_destroy(d.attr);
    if (d.primitive) dnnl_primitive_desc_destroy(d.primitive);
    return status;
}

static void maps_pool_run(nn_worker *worker, int i) {
    nn_kernel_run(*(nn_kernel **)worker->plan->setup[i], worker, 0, NULL);
}

/* inputs: x, y, dy -> dx, an image at a time. */
static void maps_pool_gradient_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i], *to = &worker->plan->graph->nodes[node->input[1]];
    int64_t kernel = node->attr[1], stride = node->attr[2], height = node->dim[1], width = node->dim[2],
            channels = node->dim[3], item = height * width * channels;
    nn_dtype type = worker->plan->graph->nodes[node->input[0]].dtype;
    size_t size = nn_type_size(type);
    const uint8_t *x = nn_value_at(worker, node->input[0]), *y = nn_value_at(worker, node->input[1]),
                  *dy = nn_value_at(worker, node->input[2]);
    float *dx = nn_value_at(worker, i);
    memset(dx + begin * item, 0, (size_t)((end - begin) * item) * sizeof(float));
    for (int64_t p = begin * to->dim[1] * to->dim[2]; p < end * to->dim[1] * to->dim[2]; p++) {
        int64_t image = p / to->dim[1] / to->dim[2], row = p / to->dim[2] % to->dim[1] * stride - kernel / 2,
                col = p % to->dim[2] * stride - kernel / 2;
        int64_t top = row < 0 ? 0 : row, left = col < 0 ? 0 : col,
                high = (row + kernel < height ? row + kernel : height) - top,
                wide = (col + kernel < width ? col + kernel : width) - left;
        int64_t at = image * item + (top * width + left) * channels;
        size_t pixel = (size_t)(p * channels) * size;
        nn_simd()->pool_backward(node->attr[0] == NN_POOL_MAX, x + (size_t)at * size, y + pixel, dy + pixel, type,
                                 dx + at, high, wide, width * channels, channels);
    }
}
static void maps_pool_gradient_run(nn_worker *worker, int i) {
    nn_share(worker, i, worker->plan->graph->nodes[i].dim[0], 1, maps_pool_gradient_loop);
}
/* Where windows overlap its numbers are sums: f32. */
static const nn_op maps_pool_gradient_op = {
    .name = "pooling gradient", .reads_16bit = 7, .types = NN_TYPES_FIRST, .run = maps_pool_gradient_run};

static void maps_pool_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], x = graph->nodes[forward.input[0]];
    nn_value inputs[3] = {forward.input[0], i, dy};
    gradient[0] = nn_add_like(graph, &maps_pool_gradient_op, i, 3, inputs, x.ndim, x.dim);
}
static const nn_op maps_pool_op = {.name = "pooling",
                                   .backward = maps_pool_backward,
                                   .keeps_type = true,
                                   .reads_16bit = 1,
                                   .types = NN_TYPES_VALUE,
                                   .makes_16bit = true,
                                   .setup = maps_pool_setup,
                                   .run = maps_pool_run};

DEIT_INTERNAL nn_value nn_pool(nn_graph *graph, nn_value x, nn_pooling pooling, int kernel, int stride) {
    if (x < 0) return -1;
    nn_node from = graph->nodes[x];
    if (from.ndim != 4 || kernel < 1 || stride < 1)
        return nn_graph_fail(graph, "pooling: kernel %d, stride %d", kernel, stride);
    int64_t dim[4] = {from.dim[0], (from.dim[1] + kernel / 2 * 2 - kernel) / stride + 1,
                      (from.dim[2] + kernel / 2 * 2 - kernel) / stride + 1, from.dim[3]};
    nn_value y = nn_add_node(graph, &maps_pool_op, 1, &x, 4, dim);
    if (y < 0) return -1;
    graph->nodes[y].attr[0] = pooling, graph->nodes[y].attr[1] = kernel, graph->nodes[y].attr[2] = stride;
    return y;
}

/* ---- Global pooling: [B, H, W, C] -> [B, C]. A depthwise convolution before it leaves the sums beside its value -- */

static void maps_global_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[i], *x = &graph->nodes[node->input[0]];
    int64_t pixels = x->dim[1] * x->dim[2], channels = x->dim[3];
    for (int64_t b = begin; b < end; b++) {
        float *y = (float *)nn_value_at(worker, i) + b * channels;
        if (x->saved && x->op->kind == NN_KIND_CONV) {
            memcpy(y, nn_saved_at(worker, node->input[0]) + b * channels, (size_t)channels * sizeof(float));
        } else {
            memset(y, 0, (size_t)channels * sizeof(float));
            const uint8_t *map = (const uint8_t *)nn_value_at(worker, node->input[0]) +
                                 (size_t)(b * pixels * channels) * nn_type_size(x->dtype);
            nn_simd()->add_columns(map, x->dtype, y, pixels, channels);
        }
        for (int64_t c = 0; c < channels; c++) y[c] /= (float)pixels;
    }
}
static void maps_global_run(nn_worker *worker, int i) {
    nn_share(worker, i, worker->plan->graph->nodes[i].dim[0], 1, maps_global_loop);
}

/* dx: an equal share of dy [B, C] at each pixel. */
static void maps_global_gradient_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t pixels = node->dim[1] * node->dim[2], channels = node->dim[3];
    size_t pixel = (size_t)channels * nn_type_size(node->dtype);
    float share = 1 / (float)pixels, first[channels];
    for (int64_t b = begin; b < end; b++) {
        const float *dy = (const float *)nn_value_at(worker, node->input[0]) + b * channels;
        uint8_t *dx = (uint8_t *)nn_value_at(worker, i) + (size_t)(b * pixels) * pixel;
        for (int64_t c = 0; c < channels; c++) first[c] = dy[c] * share;
        if (node->dtype == NN_BF16)
            nn_simd()->to_bf16(first, (uint16_t *)dx, channels);
        else
            memcpy(dx, first, pixel);
        for (int64_t p = 1; p < pixels; p++) memcpy(dx + (size_t)p * pixel, dx, pixel);
    }
}
static void maps_global_gradient_run(nn_worker *worker, int i) {
    nn_share(worker, i, worker->plan->graph->nodes[i].dim[0], 1, maps_global_gradient_loop);
}
static const nn_op maps_global_gradient_op = {
    .name = "global pooling gradient", .makes_16bit = true, .run = maps_global_gradient_run};

static void maps_global_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node x = graph->nodes[graph->nodes[i].input[0]];
    gradient[0] = nn_add_like(graph, &maps_global_gradient_op, i, 1, &dy, x.ndim, x.dim);
}
static const nn_op maps_global_op = {.name = "global pooling",
                                     .kind = NN_KIND_POOL,
                                     .reads_16bit = 1,
                                     .backward = maps_global_backward,
                                     .run = maps_global_run};

DEIT_INTERNAL nn_value nn_global_pool(nn_graph *graph, nn_value x) {
    if (x < 0) return -1;
    nn_node from = graph->nodes[x];
    if (from.ndim != 4) return nn_graph_fail(graph, "global pooling: a value of %d dimensions", from.ndim);
    return nn_add_node(graph, &maps_global_op, 1, &x, 2, (int64_t[]){from.dim[0], from.dim[3]});
}

/* ---- Scaling by channel, where no product takes it over ---------------------------------------------------------- */

static void maps_scale_loop(nn_worker *worker, int i, int64_t begin, int64_t end) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    int64_t height = node->dim[1], width = node->dim[2], channels = node->dim[3];
    size_t row = (size_t)(width * channels) * nn_type_size(node->dtype);
    for (int64_t r = begin; r < end; r++)
        nn_simd()->scale_columns((const uint8_t *)nn_value_at(worker, node->input[0]) + (size_t)r * row,
                                 (const float *)nn_value_at(worker, node->input[1]) + r / height * channels,
                                 (uint8_t *)nn_value_at(worker, i) + (size_t)r * row, node->dtype, width, channels);
}
static void maps_scale_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i];
    nn_share(worker, i, node->dim[0] * node->dim[1], 1, maps_scale_loop);
}

/* Of the factor: x, dy [B, H, W, C] -> [B, C], the products summed over pixels. */
static base_status maps_factor_setup(nn_plan *plan, int i) {
    nn_want_scratch(plan, (size_t)plan->graph->nodes[i].dim[1] * sizeof(float));
    return BASE_OK;
}
static void maps_factor_run(nn_worker *worker, int i) {
    const nn_node *node = &worker->plan->graph->nodes[i], *x = &worker->plan->graph->nodes[node->input[0]];
    int64_t images = node->dim[0], channels = node->dim[1], pixels = x->dim[1] * x->dim[2];
    const uint8_t *map = nn_value_at(worker, node->input[0]), *dy = nn_value_at(worker, node->input[1]);
    size_t image = (size_t)(pixels * channels) * nn_type_size(x->dtype);
    float *factor = nn_value_at(worker, i);
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++)
        for (int64_t b = images * t / threads; b < images * (t + 1) / threads; b++)
            nn_simd()->dot_columns(map + (size_t)b * image, dy + (size_t)b * image, x->dtype, factor + b * channels,
                                   pixels, channels, nn_scratch_at(worker, t));
}
static const nn_op maps_factor_op = {.name = "scale's factor gradient",
                                     .reads_16bit = 3,
                                     .types = NN_TYPES_FIRST,
                                     .setup = maps_factor_setup,
                                     .run = maps_factor_run};

static const nn_op maps_scale_op;
static void maps_scale_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient) {
    nn_node forward = graph->nodes[i], factor = graph->nodes[forward.input[1]];
    nn_value scaled[2] = {dy, forward.input[1]}, both[2] = {forward.input[0], dy};
    gradient[0] = nn_add_like(graph, &maps_scale_op, i, 2, scaled, forward.ndim, forward.dim);
    gradient[1] = nn_add_like(graph, &maps_factor_op, i, 2, both, factor.ndim, factor.dim);
}
static const nn_op maps_scale_op = {.name = "scale",
                                    .backward = maps_scale_backward,
                                    .kind = NN_KIND_SCALE,
                                    .keeps_type = true,
                                    .reads_16bit = 1,
                                    .types = NN_TYPES_VALUE,
                                    .makes_16bit = true,
                                    .run = maps_scale_run};

DEIT_INTERNAL nn_value nn_scale(nn_graph *graph, nn_value x, nn_value factor) {
    if (x < 0 || factor < 0) return -1;
    nn_node from = graph->nodes[x], by = graph->nodes[factor];
    if (from.ndim != 4 || by.ndim != 2 || from.dim[0] != by.dim[0] || from.dim[3] != by.dim[1])
        return nn_graph_fail(graph, "scale: a map and factors that do not fit");
    return nn_add_node(graph, &maps_scale_op, 2, (nn_value[]){x, factor}, 4, from.dim);
}
