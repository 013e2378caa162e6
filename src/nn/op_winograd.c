/* 3x3 convolutions of stride 1 by Winograd's algorithm F(2 x 2, 3 x 3) (Lavin and Gray 2015, arXiv:1509.09308): a tile
 * of 2 x 2 outputs needs 16 products a pair of channels instead of 36.
 *
 *   V = B^T d B       of each tile's 4 x 4 inputs d, a channel at a time
 *   M_s = V_s U_s     for each of the 16 positions s: a matrix product, tiles by channels in, times channels in by out
 *   y = A^T M A       with bias, residual sum and activation
 *
 * U = G g G^T is made when weights are packed. Sums stay in f32 and the transforms of V and y are sums and differences,
 * so little rounding is added: ResNets' and RegNets' logits stay within 19 to 35% of the golden tests' bound. In bf16 V
 * is rounded once more; the logits' errors grow by a fifth at most, and stay those of PyTorch's autocast
 * (bench/RESULTS.md). */
#include "nn/internal.h"
#include <string.h>

/* Tiles whose V and M are in the caches together. V and M take 64 bytes a tile and channel, so 48 tiles of 64 channels
 * in and out are 393 KB; with more channels they leave a second-level cache of 512 KB, but fewer tiles would mean that
 * U, 16 times channels in times out, comes from the third-level cache more often. */
enum { WINOGRAD_TILES = 48, WINOGRAD_WIDEST = 128 };

struct nn_winograd {
    int node, bias;
    int64_t groups, in, out; /* channels of a group */
    int64_t width;           /* columns of a product: a block of U */
    int64_t down, across;    /* tiles of an image */
    int64_t chunks, rows;    /* rows: tiles of a chunk */
    nn_dtype type;           /* of x, V and U; M is f32 */
    nn_kernel *product[2];   /* [1]: of the last chunk */
    const nn_pack *pack;     /* U: [16, groups, out / width, in, width]; bf16: [.., in / 2, width, 2] */
};

static int64_t winograd_width(int64_t out) {
    return out <= WINOGRAD_WIDEST ? out : out % 64 ? 0 : 64;
}

/* A microkernel, whole vectors of channels (16, or 8 where overlapping ones do no harm), and enough tiles a thread that
 * reading U (1.8 times the weights) pays. Not with AMX, whose products leave the transforms no time. */
DEIT_INTERNAL bool nn_winograd_suits(const nn_plan *plan, const nn_node *node, int64_t groups) {
    enum { LEAST_CHANNELS = 32, LEAST_TILES = 16 };
#ifdef __x86_64__
    const nn_node *x = &plan->graph->nodes[node->input[0]];
    int64_t in = x->dim[3] / groups, out = node->dim[3] / groups;
    int64_t tiles = node->dim[0] * ((node->dim[1] + 1) / 2) * ((node->dim[2] + 1) / 2);
    int isa = (int)dnnl_get_effective_cpu_isa();
    bool f32 = x->dtype == NN_F32 && node->dtype == NN_F32 && (isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2;
    bool bf16 = x->dtype == NN_BF16 && isa == dnnl_cpu_isa_avx512_core_bf16;
    return (f32 || bf16) && !plan->options.params && in >= LEAST_CHANNELS && out >= LEAST_CHANNELS && in % 8 == 0 &&
           node->dim[3] % (node->sum ? 16 : 8) == 0 && winograd_width(out) &&
           tiles >= LEAST_TILES * plan->options.threads;
#else
    (void)plan, (void)node, (void)groups;
    return false;
#endif
}

/* U of one pair of channels: g [3, 3] -> u [16]. In double: this is done once. */
static void winograd_weight(const float *g, float u[16]) {
    double t[4][3];
    for (int j = 0; j < 3; j++) {
        double a = (double)g[j], b = (double)g[3 + j], c = (double)g[6 + j];
        t[0][j] = a, t[1][j] = (a + b + c) / 2, t[2][j] = (a - b + c) / 2, t[3][j] = c;
    }
    for (int i = 0; i < 4; i++) {
        u[4 * i] = (float)t[i][0], u[4 * i + 1] = (float)((t[i][0] + t[i][1] + t[i][2]) / 2);
        u[4 * i + 2] = (float)((t[i][0] - t[i][1] + t[i][2]) / 2), u[4 * i + 3] = (float)t[i][2];
    }
}

/* values: [groups * out, in, 3, 3]; dim: groups, in, out, width. */
static void winograd_pack(const nn_pack *pack, const float *values, nn_dtype type) {
    int64_t groups = pack->dim[0], in = pack->dim[1], out = pack->dim[2], width = pack->dim[3];
    int64_t plane = groups * in * out;
#pragma omp parallel for schedule(static)
    for (int64_t k = 0; k < groups * out; k++) {
        int64_t block = k / width, column = k % width; /* blocks do not straddle groups */
        for (int64_t c = 0; c < in; c++) {
            float u[16];
            uint16_t half[16];
            winograd_weight(values + (k * in + c) * 9, u);
            if (type == NN_BF16) nn_simd()->to_bf16(u, half, 16);
            int64_t at = type == NN_F32 ? (block * in + c) * width + column
                                        : (block * in + c / 2 * 2) * width + column * 2 + c % 2;
            for (int s = 0; s < 16; s++, at += plane)
                if (type == NN_F32)
                    ((float *)pack->data)[at] = u[s];
                else
                    ((uint16_t *)pack->data)[at] = half[s];
        }
    }
}
static void winograd_pack_f32(const nn_pack *pack, const float *values) {
    winograd_pack(pack, values, NN_F32);
}
static void winograd_pack_bf16(const nn_pack *pack, const float *values) {
    winograd_pack(pack, values, NN_BF16);
}

/* Numbers of a plane of V or M, a cache line or two longer than its rows: planes a power of two apart would share cache
 * sets. */
static int64_t winograd_plane(int64_t rows, int64_t channels) {
    return rows * channels + 32;
}

DEIT_INTERNAL base_status nn_winograd_new(nn_winograd **winograd, nn_plan *plan, int i, int weight, int bias,
                                          int64_t groups) {
    const nn_node *node = &plan->graph->nodes[i], *x = &plan->graph->nodes[node->input[0]];
    nn_winograd *w = *winograd = base_arena_alloc(&plan->arena, sizeof *w);
    if (!w) return BASE_ERROR;
    *w = (nn_winograd){
        .node = i, .bias = bias, .groups = groups, .in = x->dim[3] / groups, .out = node->dim[3] / groups};
    w->width = winograd_width(w->out), w->type = x->dtype;
    w->down = (node->dim[1] + 1) / 2, w->across = (node->dim[2] + 1) / 2;
    int64_t tiles = node->dim[0] * w->down * w->across, threads = plan->options.threads;
    w->chunks = (tiles + WINOGRAD_TILES - 1) / WINOGRAD_TILES;
    w->chunks = (w->chunks + threads - 1) / threads * threads;
    w->rows = (tiles + w->chunks - 1) / w->chunks, w->chunks = (tiles + w->rows - 1) / w->rows;
    size_t size = nn_type_size(w->type);
    nn_want_scratch(plan, 16 * (size_t)winograd_plane(w->rows, x->dim[3]) * size +
                              16 * (size_t)winograd_plane(w->rows, node->dim[3]) * sizeof(float) +
                              (size_t)x->dim[3] * size);
    if (bias >= 0) nn_want_small(plan, bias);
    const int64_t dim[4] = {groups, w->in, w->out, w->width};
    w->pack = nn_pack_own(plan, weight, w->type == NN_F32 ? winograd_pack_f32 : winograd_pack_bf16, dim,
                          (size_t)(16 * groups * w->in * w->out) * size);
    if (!w->pack) return BASE_ERROR;
#ifdef __x86_64__
    BASE_TRY(nn_block_new(&w->product[0], plan, w->type, w->rows, w->width, w->in, w->in, w->width, node->dim[3]));
    int64_t last = tiles - w->rows * (w->chunks - 1);
    if (last != w->rows)
        return nn_block_new(&w->product[1], plan, w->type, last, w->width, w->in, w->in, w->width, node->dim[3]);
#endif
    w->product[1] = w->product[0];
    return BASE_OK;
}

/* The pixels of a tile of x or y [B, H, W, C]: side x side of them from (row, column); `outside` for those beyond the
 * map. */
static void winograd_pixels(const nn_node *map, uint8_t *values, int64_t image, int64_t row, int64_t column, int side,
                            void *outside, void **pixel) {
    int64_t bytes = map->dim[3] * (int64_t)nn_type_size(map->dtype);
    for (int p = 0; p < side * side; p++) {
        int64_t r = row + p / side, c = column + p % side;
        bool inside = r >= 0 && r < map->dim[1] && c >= 0 && c < map->dim[2];
        pixel[p] = inside ? values + ((image * map->dim[1] + r) * map->dim[2] + c) * bytes : outside;
    }
}

/* V of one tile: rows of `in` channels, a group after the other. */
static void winograd_in(const nn_winograd *w, int64_t rows, int64_t row, void *const pixel[16], uint8_t *v) {
    int64_t plane = winograd_plane(rows, w->groups * w->in), bytes = w->in * (int64_t)nn_type_size(w->type);
    for (int64_t g = 0; g < w->groups; g++) {
        const void *from[16];
        for (int p = 0; p < 16; p++) from[p] = (const uint8_t *)pixel[p] + g * bytes;
        nn_simd()->winograd_in(from, v + (g * rows + row) * bytes, w->type, plane, w->in);
    }
}

#ifdef __x86_64__
static void winograd_products(const nn_winograd *w, bool last, int64_t rows, const uint8_t *v, float *m) {
    int64_t channels = w->groups * w->out, blocks = w->out / w->width, size = (int64_t)nn_type_size(w->type);
    int64_t v_plane = winograd_plane(rows, w->groups * w->in), m_plane = winograd_plane(rows, channels);
    const uint8_t *u = w->pack->data;
    for (int s = 0; s < 16; s++)
        for (int64_t g = 0; g < w->groups; g++)
            for (int64_t b = 0; b < blocks; b++, u += w->in * w->width * size)
                nn_block_run(w->product[last], v + (s * v_plane + g * rows * w->in) * size, u,
                             m + s * m_plane + (g * blocks + b) * w->width);
}
#endif

static void winograd_chunk(const nn_winograd *w, nn_worker *worker, int64_t chunk, uint8_t *scratch) {
    const nn_graph *graph = worker->plan->graph;
    const nn_node *node = &graph->nodes[w->node], *x = &graph->nodes[node->input[0]];
    int64_t an_image = w->down * w->across, begin = chunk * w->rows, end = begin + w->rows;
    if (end > node->dim[0] * an_image) end = node->dim[0] * an_image;
    int64_t rows = end - begin;
    size_t size = nn_type_size(w->type);
    uint8_t *zero = scratch, *v = zero + (size_t)x->dim[3] * size;
    float *m = (float *)(v + 16 * (size_t)winograd_plane(rows, x->dim[3]) * size);
    uint8_t *from = nn_value_at(worker, node->input[0]), *to = nn_value_at(worker, w->node);
    void *pixel[16];
    for (int64_t t = begin; t < end; t++) {
        int64_t tile = t % an_image, row = tile / w->across * 2, column = tile % w->across * 2;
        winograd_pixels(x, from, t / an_image, row - 1, column - 1, 4, zero, pixel);
        winograd_in(w, rows, t - begin, pixel, v);
    }
#ifdef __x86_64__
    winograd_products(w, chunk == w->chunks - 1, rows, v, m);
#endif
    const float *bias = w->bias >= 0 ? nn_small_at(worker, w->bias) : NULL;
    for (int64_t t = begin; t < end; t++) {
        int64_t tile = t % an_image, row = tile / w->across * 2, column = tile % w->across * 2;
        winograd_pixels(node, to, t / an_image, row, column, 2, NULL, pixel);
        nn_simd()->winograd_out(m + (t - begin) * node->dim[3], winograd_plane(rows, node->dim[3]), bias, node->sum,
                                node->activation, pixel, node->dtype, node->dim[3]);
    }
}

DEIT_INTERNAL void nn_winograd_run(const nn_winograd *w, nn_worker *worker) {
    int threads = nn_threads(worker);
    int64_t channels = worker->plan->graph->nodes[worker->plan->graph->nodes[w->node].input[0]].dim[3];
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int t = 0; t < threads; t++) {
        uint8_t *scratch = nn_scratch_at(worker, t);
        memset(scratch, 0, (size_t)channels * nn_type_size(w->type)); /* the pixels beyond the map */
        for (int64_t chunk = w->chunks * t / threads; chunk < w->chunks * (t + 1) / threads; chunk++)
            winograd_chunk(w, worker, chunk, scratch);
    }
}
