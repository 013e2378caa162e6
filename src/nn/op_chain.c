/* Convolutions of training in f32, forward and back to the input, with sums in short chains. A product of f32 numbers
 * summed K deep one after the other is off by about sqrt(K / 2) roundings: 48 where a 3x3 filter meets 512 channels.
 * Here at most CHAIN_DEPTH products are summed in a register, and then added to the total: sqrt(CHAIN_DEPTH / 2 +
 * K / CHAIN_DEPTH / 2), 8 there. It matters in training because a ReLU whose input lies within the error of 0 passes
 * its gradient on or not: against sums in float64 the forward of ResNet-18 loses none of the decisions that PyTorch's
 * float32 loses.
 *
 *   for a block of CHAIN_ROWS output pixels                       on a thread of its own
 *     for CHAIN_COLUMNS channels out                              the block's sums: 96 x 256, in the second-level cache
 *       for each tap of the filter                                a pointer to the input pixel of each of the block's
 *         for CHAIN_DEPTH channels in                             96 x 64 inputs, in the first-level cache
 *           for each panel of two vectors of channels out         64 x 16 weights, read in the order they are packed in
 *             tiles of so many pixels as registers hold sums of   (simd_train.inc)
 *
 * Pixels beyond the map are zeros. A filter of stride 1 goes back to the input as a filter turned round, its channels
 * in and out exchanged. */
#include "nn/internal.h"
#include <string.h>

enum { CHAIN_ROWS = 96, CHAIN_COLUMNS = 256, CHAIN_DEPTH = 64 };

struct nn_chain {
    int x, y;                                           /* nodes: input and value */
    bool sum;                                           /* added to what lies there */
    int64_t groups, in, out, kernel, stride, top, left; /* in, out: channels of a group */
    const nn_pack *pack;                                /* [groups, panels, taps, in, width] */
};
typedef struct {
    const float *image[CHAIN_ROWS]; /* of each pixel: its image, and its window's first row and column */
    int64_t row[CHAIN_ROWS], column[CHAIN_ROWS];
} chain_pixels;

DEIT_INTERNAL bool nn_chain_suits(const nn_plan *plan, const nn_node *x, const nn_node *y, int64_t groups) {
    enum { LANES = 16 };
    return plan->options.params && x->ndim == 4 && x->dtype == NN_F32 && y->dtype == NN_F32 &&
           x->dim[3] / groups >= LANES && y->dim[3] / groups % LANES == 0;
}

static int64_t chain_panels(int64_t out) {
    int64_t width = nn_simd()->chain_width;
    return (out + width - 1) / width;
}

/* values [groups out, in, taps], or turned [groups in, out, taps]; dim: groups, in, out, taps. */
static void chain_fill(const nn_pack *pack, const float *values, bool turned) {
    int64_t in = pack->dim[1], out = pack->dim[2], taps = pack->dim[3], width = nn_simd()->chain_width,
            panels = chain_panels(out);
#pragma omp parallel for schedule(static)
    for (int64_t p = 0; p < pack->dim[0] * panels; p++) {
        int64_t group = p / panels, first = p % panels * width, wide = out - first < width ? out - first : width;
        float *to = (float *)pack->data + p * taps * in * width;
        for (int64_t a = 0; a < (turned ? in : wide); a++) /* in the order of the values */
            for (int64_t b = 0; b < (turned ? wide : in); b++) {
                int64_t k = turned ? a : b, j = turned ? b : a;
                const float *from = turned ? values + ((group * in + k) * out + first + j) * taps
                                           : values + ((group * out + first + j) * in + k) * taps;
                for (int64_t t = 0; t < taps; t++) to[(t * in + k) * width + j] = from[turned ? taps - 1 - t : t];
            }
    }
}
static void chain_fill_forward(const nn_pack *pack, const float *values) {
    chain_fill(pack, values, false);
}
static void chain_fill_turned(const nn_pack *pack, const float *values) {
    chain_fill(pack, values, true);
}

DEIT_INTERNAL base_status nn_chain_new(nn_chain **chain, nn_plan *plan, int i, bool turned) {
    const nn_node *node = &plan->graph->nodes[i], *x = &plan->graph->nodes[node->input[0]];
    nn_chain *c = *chain = base_arena_alloc(&plan->arena, sizeof *c);
    if (!c) return BASE_ERROR;
    int64_t after;
    *c = (nn_chain){.x = node->input[0],
                    .y = i,
                    .sum = node->sum,
                    .groups = node->attr[NN_CONV_GROUPS],
                    .kernel = node->attr[NN_CONV_KERNEL],
                    .stride = node->attr[NN_CONV_STRIDE]};
    c->in = x->dim[3] / c->groups, c->out = node->dim[3] / c->groups;
    nn_conv_out(x->dim[1], c->kernel, c->stride, node->attr[NN_CONV_SAME], &c->top, &after);
    nn_conv_out(x->dim[2], c->kernel, c->stride, node->attr[NN_CONV_SAME], &c->left, &after);
    if (turned) c->top = c->kernel - 1 - c->top, c->left = c->kernel - 1 - c->left;
    nn_want_scratch(plan, (size_t)x->dim[3] * sizeof(float));
    const int64_t dim[4] = {c->groups, c->in, c->out, c->kernel * c->kernel};
    int64_t numbers = c->groups * chain_panels(c->out) * dim[3] * c->in * nn_simd()->chain_width;
    c->pack = nn_pack_own(plan, node->param[0], turned ? chain_fill_turned : chain_fill_forward, dim,
                          (size_t)numbers * sizeof(float));
    return c->pack ? BASE_OK : BASE_ERROR;
}

/* The inputs that pixel r of a block has under a tap; zeros beyond the map. */
static void chain_point(const nn_node *x, const chain_pixels *pixels, int64_t rows, int64_t down, int64_t across,
                        const float *zeros, const float **from) {
    for (int64_t r = 0; r < rows; r++) {
        int64_t row = pixels->row[r] + down, column = pixels->column[r] + across;
        bool inside = row >= 0 && row < x->dim[1] && column >= 0 && column < x->dim[2];
        from[r] = inside ? pixels->image[r] + (row * x->dim[2] + column) * x->dim[3] : zeros;
    }
}

/* Group g, channels first .. last - 1 of it: y's pixels begin .. begin + rows - 1. */
static void chain_columns(const nn_chain *c, const nn_node *x, const chain_pixels *pixels, int64_t rows, int64_t g,
                          int64_t first, int64_t last, const float *zeros, float *y) {
    const nn_simd_table *simd = nn_simd();
    int64_t width = simd->chain_width, taps = c->kernel * c->kernel, panels = chain_panels(c->out);
    int64_t pieces = (c->in + CHAIN_DEPTH - 1) / CHAIN_DEPTH, ld = c->groups * c->out;
    const float *from[CHAIN_ROWS], *weights = c->pack->data;
    for (int64_t t = 0; t < taps; t++) {
        chain_point(x, pixels, rows, t / c->kernel, t % c->kernel, zeros, from);
        for (int64_t piece = 0; piece < pieces; piece++) {
            int64_t k = c->in * piece / pieces, depth = c->in * (piece + 1) / pieces - k;
            for (int64_t n = first; n < last; n += width) {
                const float *b = weights + (((g * panels + n / width) * taps + t) * c->in + k) * width;
                simd->chain(from, rows, g * c->in + k, b, depth, y + g * c->out + n, ld,
                            c->out - n < width ? c->out - n : width, c->sum || t || piece);
            }
        }
    }
}

static void chain_block(const nn_chain *c, nn_worker *worker, int64_t begin, int64_t rows, const float *zeros) {
    const nn_node *x = &worker->plan->graph->nodes[c->x], *y = &worker->plan->graph->nodes[c->y];
    const float *from = nn_value_at(worker, c->x);
    float *to = (float *)nn_value_at(worker, c->y) + begin * y->dim[3];
    chain_pixels pixels;
    for (int64_t r = 0; r < rows; r++) {
        int64_t image = (begin + r) / (y->dim[1] * y->dim[2]), row = (begin + r) / y->dim[2] % y->dim[1];
        pixels.image[r] = from + image * x->dim[1] * x->dim[2] * x->dim[3];
        pixels.row[r] = row * c->stride - c->top, pixels.column[r] = (begin + r) % y->dim[2] * c->stride - c->left;
    }
    for (int64_t g = 0; g < c->groups; g++)
        for (int64_t n = 0; n < c->out; n += CHAIN_COLUMNS)
            chain_columns(c, x, &pixels, rows, g, n, n + CHAIN_COLUMNS < c->out ? n + CHAIN_COLUMNS : c->out, zeros,
                          to);
}

DEIT_INTERNAL void nn_chain_run(const nn_chain *c, nn_worker *worker) {
    const nn_node *x = &worker->plan->graph->nodes[c->x], *y = &worker->plan->graph->nodes[c->y];
    int64_t rows = nn_node_rows(y), blocks = (rows + CHAIN_ROWS - 1) / CHAIN_ROWS;
    int threads = nn_threads(worker);
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        float *zeros = nn_scratch_at(worker, t);
        memset(zeros, 0, (size_t)x->dim[3] * sizeof *zeros);
        for (int64_t b = blocks * t / threads; b < blocks * (t + 1) / threads; b++) {
            int64_t begin = b * CHAIN_ROWS;
            chain_block(c, worker, begin, rows - begin < CHAIN_ROWS ? rows - begin : CHAIN_ROWS, zeros);
        }
    }
}
