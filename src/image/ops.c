/* The augmentation operators, byte for byte Pillow's: tables of values, blends with a degenerate picture, geometry. */
#include "image/internal.h"

#include <string.h>

static size_t ops_pixels(const image_u8 *image) {
    return (size_t)image->width * (size_t)image->height;
}

/* ITU-R 601-2, in 16 bits after the point. */
static uint8_t ops_grey(const uint8_t *p) {
    return (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000) >> 16);
}

/* ---- Tables of values -------------------------------------------------------------------------------------------- */

static void ops_map(image_u8 *image, uint8_t table[3][256]) {
    uint8_t *p = image->data;
    for (size_t i = 0; i < ops_pixels(image); i++, p += 3)
        p[0] = table[0][p[0]], p[1] = table[1][p[1]], p[2] = table[2][p[2]];
}

static void ops_histogram(const image_u8 *image, uint32_t count[3][256]) {
    const uint8_t *p = image->data;
    memset(count, 0, 3 * sizeof *count);
    for (size_t i = 0; i < ops_pixels(image); i++, p += 3) count[0][p[0]]++, count[1][p[1]]++, count[2][p[2]]++;
}

BASE_EXACT static void ops_contrast_table(uint8_t table[256], const uint32_t count[256]) {
    BASE_EXACT_BODY
    int low = 0, high = 255;
    while (low < 255 && !count[low]) low++;
    while (high > 0 && !count[high]) high--;
    double scale = high > low ? 255.0 / (high - low) : 1, offset = high > low ? -low * scale : 0;
    for (int v = 0; v < 256; v++) {
        int to = (int)(v * scale + offset);
        table[v] = (uint8_t)(to < 0 ? 0 : to > 255 ? 255 : to);
    }
}

static void ops_equalize_table(uint8_t table[256], const uint32_t count[256]) {
    uint64_t sum = 0, last = 0;
    int values = 0;
    for (int v = 0; v < 256; v++) {
        sum += count[v];
        if (count[v]) last = count[v], values++;
    }
    uint64_t step = values > 1 ? (sum - last) / 255 : 0, n = step / 2;
    for (int v = 0; v < 256; v++) {
        uint64_t to = step ? n / step : (uint64_t)v;
        table[v] = (uint8_t)(to > 255 ? 255 : to);
        n += count[v];
    }
}

/* What becomes of a value, where that does not depend on the picture. */
static uint8_t ops_value(image_op op, int argument, int v) {
    if (op == IMAGE_POSTERIZE) return (uint8_t)(argument < 1 ? 0 : argument > 7 ? v : v & ~((1 << (8 - argument)) - 1));
    if (op == IMAGE_SOLARIZE) return (uint8_t)(v < argument ? v : 255 - v);
    if (op == IMAGE_SOLARIZE_ADD) return (uint8_t)(v >= 128 ? v : v + argument > 255 ? 255 : v + argument);
    return (uint8_t)(255 - v);
}

static void ops_tabulate(image_u8 *image, image_op op, int argument) {
    uint8_t table[3][256];
    uint32_t count[3][256];
    if (op <= IMAGE_EQUALIZE) ops_histogram(image, count);
    for (int c = 0; c < 3; c++)
        if (op == IMAGE_AUTO_CONTRAST)
            ops_contrast_table(table[c], count[c]);
        else if (op == IMAGE_EQUALIZE)
            ops_equalize_table(table[c], count[c]);
        else
            for (int v = 0; v < 256; v++) table[c][v] = ops_value(op, argument, v);
    ops_map(image, table);
}

/* ---- Blends with a degenerate picture ---------------------------------------------------------------------------- */

/* Pillow's Image.blend. */
BASE_EXACT static uint8_t ops_blend(int degenerate, int value, float factor) {
    BASE_EXACT_BODY
    float blended = (float)degenerate + factor * (float)(value - degenerate);
    return (uint8_t)(blended <= 0 ? 0 : blended >= 255 ? 255 : blended);
}

/* Degenerate: one colour. */
static void ops_blend_flat(image_u8 *image, int degenerate, float factor) {
    uint8_t table[3][256];
    for (int v = 0; v < 256; v++) table[0][v] = ops_blend(degenerate, v, factor);
    memcpy(table[1], table[0], 256), memcpy(table[2], table[0], 256);
    ops_map(image, table);
}

/* The mean grey, rounded. */
static int ops_mean(const image_u8 *image) {
    uint64_t sum = 0;
    for (size_t i = 0; i < ops_pixels(image); i++) sum += ops_grey(image->data + 3 * i);
    return (int)((double)sum / (double)ops_pixels(image) + 0.5);
}

static void ops_color(image_u8 *image, float factor) {
    uint8_t *p = image->data;
    for (size_t i = 0; i < ops_pixels(image); i++, p += 3) {
        int grey = ops_grey(p);
        for (int c = 0; c < 3; c++) p[c] = ops_blend(grey, p[c], factor);
    }
}

static base_status ops_sharpness(image_worker *w, image_u8 *image, float factor) {
    BASE_TRY(image_reserve(&w->spare, image->width, image->height));
    image_smooth(&w->spare, image);
    for (size_t i = 0; i < 3 * ops_pixels(image); i++)
        image->data[i] = ops_blend(w->spare.data[i], image->data[i], factor);
    return BASE_OK;
}

/* ---- Geometry ---------------------------------------------------------------------------------------------------- */

/* out: the picture with its edge repeated twice around it. */
static base_status ops_pad(image_u8 *out, const image_u8 *in) {
    size_t bytes = 3 * (size_t)in->width;
    BASE_TRY(image_reserve(out, in->width + 4, in->height + 4));
    for (int y = 0; y < out->height; y++) {
        int from = y < 2 ? 0 : y - 2 < in->height ? y - 2 : in->height - 1;
        const uint8_t *source = in->data + (size_t)from * bytes;
        uint8_t *row = out->data + (size_t)y * (bytes + 12);
        memcpy(row + 6, source, bytes);
        for (int i = 0; i < 2; i++)
            memcpy(row + 3 * i, source, 3), memcpy(row + 6 + bytes + 3 * i, source + bytes - 3, 3);
    }
    return BASE_OK;
}

static base_status ops_geometry(image_worker *w, image_u8 *image, const image_change *change) {
    double m[6] = {1, 0, 0, 0, 1, 0};
    switch (change->op) {
    case IMAGE_ROTATE: image_rotation(m, change->argument, image->width, image->height); break;
    case IMAGE_SHEAR_X: m[1] = change->argument; break;
    case IMAGE_SHEAR_Y: m[3] = change->argument; break;
    case IMAGE_TRANSLATE_X: m[2] = change->argument; break;
    default: m[5] = change->argument; break;
    }
    BASE_TRY(ops_pad(&w->spare, image));
    image_affine(image, &w->spare, m, change->filter, change->fill);
    return BASE_OK;
}

static void ops_flip_x(image_u8 *image) {
    for (int y = 0; y < image->height; y++) {
        uint8_t *p = image->data + (size_t)y * 3 * (size_t)image->width, *q = p + 3 * ((size_t)image->width - 1);
        for (uint8_t pixel[3]; p < q; p += 3, q -= 3) memcpy(pixel, p, 3), memcpy(p, q, 3), memcpy(q, pixel, 3);
    }
}

static void ops_flip_y(image_u8 *image) {
    size_t bytes = 3 * (size_t)image->width;
    for (int y = 0; y < image->height / 2; y++) {
        uint8_t *p = image->data + (size_t)y * bytes, *q = image->data + (size_t)(image->height - 1 - y) * bytes;
        for (size_t i = 0; i < bytes; i++) {
            uint8_t value = p[i];
            p[i] = q[i], q[i] = value;
        }
    }
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL base_status image_apply(image_worker *worker, image_u8 *image, const image_change *change) {
    float factor = (float)change->argument;
    switch (change->op) {
    case IMAGE_AUTO_CONTRAST:
    case IMAGE_EQUALIZE:
    case IMAGE_INVERT:
    case IMAGE_POSTERIZE:
    case IMAGE_SOLARIZE:
    case IMAGE_SOLARIZE_ADD: ops_tabulate(image, change->op, (int)change->argument); break;
    case IMAGE_COLOR: ops_color(image, factor); break;
    case IMAGE_GREY: ops_color(image, 0); break;
    case IMAGE_CONTRAST: ops_blend_flat(image, ops_mean(image), factor); break;
    case IMAGE_BRIGHTNESS: ops_blend_flat(image, 0, factor); break;
    case IMAGE_SHARPNESS: return ops_sharpness(worker, image, factor);
    case IMAGE_BLUR: return image_blur(image, change->argument);
    case IMAGE_FLIP_X: ops_flip_x(image); break;
    case IMAGE_FLIP_Y: ops_flip_y(image); break;
    default: return ops_geometry(worker, image, change);
    }
    return BASE_OK;
}
