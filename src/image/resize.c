/* Resizing, bit for bit as Pillow: which coefficients, and the order of passes. The arithmetic is in resize_simd.c. */
#include "image/internal.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#define RESIZE_BITS 22 /* of the coefficients: 8 bits of pixel, 2 of overshoot, 32 in all */

BASE_EXACT static double resize_bilinear(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Pillow's a is -0.5. The order of operations is Pillow's: another would round differently. */
BASE_EXACT static double resize_bicubic(double x) {
    BASE_EXACT_BODY
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

DEIT_INTERNAL void *image_grown(void *buffer, size_t *capacity, size_t bytes) {
    if (buffer && *capacity >= bytes) return buffer;
    base_free(buffer);
    buffer = base_malloc(bytes);
    *capacity = buffer ? bytes : 0;
    return buffer;
}

/* The coefficients of one output pixel: w: [size of the support]; returns how many, *first where they begin. */
BASE_EXACT static int resize_weights(double *w, int *first, int in, int out, int i, image_filter filter) {
    BASE_EXACT_BODY
    double scale = (double)in / out, filterscale = scale < 1.0 ? 1.0 : scale;
    double support = (filter == IMAGE_BICUBIC ? 2.0 : 1.0) * filterscale, inverse = 1.0 / filterscale;
    double centre = (i + 0.5) * scale, sum = 0.0;
    int low = (int)(centre - support + 0.5), high = (int)(centre + support + 0.5);
    if (low < 0) low = 0;
    if (high > in) high = in;
    for (int j = 0; j < high - low; j++) {
        double x = (j + low - centre + 0.5) * inverse;
        w[j] = filter == IMAGE_BICUBIC ? resize_bicubic(x) : resize_bilinear(x);
        sum += w[j];
    }
    if (sum != 0.0)
        for (int j = 0; j < high - low; j++) w[j] /= sum;
    *first = low;
    return high - low;
}

BASE_EXACT static int32_t resize_fixed(double w) {
    BASE_EXACT_BODY
    return w < 0 ? (int32_t)(-0.5 + w * (1 << RESIZE_BITS)) : (int32_t)(0.5 + w * (1 << RESIZE_BITS));
}

static void resize_split(int16_t *low, int16_t *high, int32_t k) {
    *low = (int16_t)(k & 4095);
    *high = (int16_t)((k - (k & 4095)) / 4096);
}

static void resize_pairs(image_axis *a, bool across) {
    for (int i = 0; i < a->count; i++) {
        const int32_t *k = a->k + (size_t)i * a->stride;
        for (int j = 0; j < a->stride; j++) {
            int16_t low, high;
            resize_split(&low, &high, k[j]);
            if (across) {
                int16_t *p = a->pairs + ((size_t)i * a->stride + j / 4 * 4) * 8 + j % 4 / 2 * 8 + j % 2;
                for (int c = 0; c < 4; c++) p[2 * c] = low, p[16 + 2 * c] = high;
            } else {
                int16_t *p = a->pairs + ((size_t)i * a->stride + j / 2 * 2) * 2 + j % 2;
                p[0] = low, p[2] = high;
            }
        }
    }
}

/* Outputs begin .. begin + count - 1 of an axis resized from `in` to `out`. */
static base_status resize_axis(image_axis *a, int in, int out, int begin, int count, image_filter filter, bool across) {
    double scale = (double)in / out;
    double support = (filter == IMAGE_BICUBIC ? 2.0 : 1.0) * (scale < 1.0 ? 1.0 : scale);
    int most = (int)ceil(support) * 2 + 1; /* taps */
    if (most > in) most = in;
    a->count = count, a->taps = most, a->stride = (most + 3) / 4 * 4;
    size_t n = (size_t)count * (size_t)a->stride;
    double *w = base_malloc(((size_t)most + 2) * sizeof *w);
    base_status status = w ? BASE_OK : BASE_ERROR;
    if (!(a->first = image_grown(a->first, &a->capacity[0], (size_t)count * sizeof *a->first))) status = BASE_ERROR;
    if (!(a->k = image_grown(a->k, &a->capacity[1], n * sizeof *a->k))) status = BASE_ERROR;
    if (!(a->pairs = image_grown(a->pairs, &a->capacity[2], n * (across ? 8 : 2) * sizeof *a->pairs)))
        status = BASE_ERROR;
    for (int i = 0; !status && i < count; i++) {
        int32_t *k = a->k + (size_t)i * a->stride;
        int taps = resize_weights(w, &a->first[i], in, out, begin + i, filter);
        for (int j = 0; j < a->stride; j++) k[j] = j < taps ? resize_fixed(w[j]) : 0;
    }
    base_free(w);
    if (!status) resize_pairs(a, across);
    return status;
}

/* Since version 13 (2026) Pillow takes the vertical pass first where it leaves out much more than the horizontal one.
 */
static bool resize_down_first(int in_width, int in_height, int width, int height) {
    return in_height > height && in_height - height > 2 * ((int64_t)in_width - width);
}

DEIT_INTERNAL base_status image_resampler_begin(image_resampler *r, int in_width, const image_region *from, int width,
                                                int height, int left, int top, int box_width, int box_height,
                                                image_filter filter) {
    int part_width = from->right - from->left, part_height = from->bottom - from->top;
    BASE_TRY(resize_axis(&r->across, part_width, width, left, box_width, filter, true));
    BASE_TRY(resize_axis(&r->down, part_height, height, top, box_height, filter, false));
    const image_axis *x = &r->across, *y = &r->down;
    int right = x->first[box_width - 1] + x->taps, bottom = y->first[box_height - 1] + y->taps;
    r->width = box_width, r->height = box_height, r->left = from->left, r->done = 0;
    r->region.left = from->left + x->first[0], r->region.top = from->top + y->first[0];
    r->region.right = from->left + (right < part_width ? right : part_width);
    r->region.bottom = from->top + (bottom < part_height ? bottom : part_height);
    r->part_width = part_width, r->down_first = resize_down_first(part_width, part_height, width, height);
    /* Wide loads and stores run over: a group of taps past the last pixel, 32 bytes of a column kernel. */
    r->stride = (3 * (size_t)(r->down_first ? part_width + x->stride : box_width) + 16 + 63) / 64 * 64;
    r->row_stride = ((size_t)in_width * 3 + 3 * (size_t)x->stride + IMAGE_SLACK + 63) / 64 * 64;
    size_t rows = (size_t)(r->region.bottom - r->region.top) + r->down_first;
    if (!(r->rows = image_grown(r->rows, &r->rows_capacity, rows * r->stride))) return BASE_ERROR;
    size_t held = r->row_capacity;
    if (!(r->row = image_grown(r->row, &r->row_capacity, IMAGE_SINK_ROWS * r->row_stride))) return BASE_ERROR;
    if (r->row_capacity != held) memset(r->row, 0, r->row_capacity);
    return BASE_OK;
}

DEIT_INTERNAL uint8_t *image_resampler_row(image_resampler *r, int i) {
    return r->row + (size_t)i * r->row_stride;
}

DEIT_INTERNAL void image_resampler_take(image_resampler *r, const image_kernels *kernels, int n) {
    int rows = r->region.bottom - r->region.top;
    for (int i = 0; i < n && r->done < rows; i++, r->done++) {
        uint8_t *to = r->rows + (size_t)r->done * r->stride;
        const uint8_t *from = r->row + (size_t)i * r->row_stride + 3 * (size_t)r->left;
        if (r->down_first)
            memcpy(to, from, 3 * (size_t)r->part_width);
        else
            kernels->across(to, from, &r->across);
    }
}

DEIT_INTERNAL void image_resampler_finish(image_resampler *r, const image_kernels *kernels, uint8_t *out) {
    size_t bytes = 3 * (size_t)r->width, part = 3 * (size_t)r->part_width;
    uint8_t *between = r->rows + (size_t)(r->region.bottom - r->region.top) * r->stride;
    for (int y = 0; y < r->height; y++) {
        const uint8_t *rows = r->rows + (size_t)(r->down.first[y] - r->down.first[0]) * r->stride;
        kernels->down(r->down_first ? between : out + (size_t)y * bytes, rows, r->stride, r->down_first ? part : bytes,
                      &r->down, y);
        if (r->down_first) kernels->across(out + (size_t)y * bytes, between, &r->across);
    }
}

DEIT_INTERNAL void image_resampler_free(image_resampler *r) {
    image_axis *axis[] = {&r->across, &r->down};
    for (int i = 0; i < 2; i++) base_free(axis[i]->first), base_free(axis[i]->k), base_free(axis[i]->pairs);
    base_free(r->rows);
    base_free(r->row);
    memset(r, 0, sizeof *r);
}

DEIT_INTERNAL base_status image_resize(image_u8 *out, const image_u8 *in, int width, int height, image_filter filter) {
    image_resampler r = {0};
    const image_kernels *kernels = image_kernels_best();
    base_status status = image_reserve(out, width, height);
    image_region all = {0, 0, in->width, in->height};
    if (!status) status = image_resampler_begin(&r, in->width, &all, width, height, 0, 0, width, height, filter);
    size_t bytes = 3 * (size_t)in->width;
    for (int y = r.region.top; !status && y < r.region.bottom; y++) {
        memcpy(image_resampler_row(&r, 0), in->data + (size_t)y * bytes, bytes);
        image_resampler_take(&r, kernels, 1);
    }
    if (!status) image_resampler_finish(&r, kernels, out->data);
    image_resampler_free(&r);
    return status;
}

#undef RESIZE_BITS
