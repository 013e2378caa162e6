/* Rotation, shear and translation, bit for bit as Pillow samples them: in double precision, its order of operations.
 *
 * Pillow repeats the edge where a sample's neighbours lie outside; here a picture with two more pixels on every side
 * does that, so that no pixel is a special case. A row of four pixels gives the cubic's coefficients as exact integers;
 * only the polynomial itself rounds. Where the position has no fraction (shear and translation leave one axis alone)
 * the polynomial is its constant term, exactly, and is not computed. */
#include "image/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AFFINE_BORDER = 2 };

/* One pixel: at: the input's pixel (floor(x - 0.5) - 1, floor(y - 0.5) - 1); dx, dy: fractions. */
typedef void (*affine_sample)(uint8_t *out, const uint8_t *at, size_t stride, double dx, double dy);

/* ---- Plain C ----------------------------------------------------------------------------------------------------- */

BASE_EXACT static double affine_cubic(double v1, double v2, double v3, double v4, double d) {
    BASE_EXACT_BODY
    double p1 = v2, p2 = -v1 + v3, p3 = 2 * (v1 - v2) + v3 - v4, p4 = -v1 + v2 - v3 + v4;
    return p1 + d * (p2 + d * (p3 + d * p4));
}

BASE_EXACT static void affine_bicubic_c(uint8_t *out, const uint8_t *at, size_t stride, double dx, double dy) {
    for (int c = 0; c < 3; c++) {
        double v[4];
        for (int j = 0; j < 4; j++) {
            const uint8_t *p = at + (size_t)j * stride + c;
            v[j] = affine_cubic(p[0], p[3], p[6], p[9], dx);
        }
        double value = affine_cubic(v[0], v[1], v[2], v[3], dy);
        out[c] = (uint8_t)(value <= 0 ? 0 : value >= 255 ? 255 : value);
    }
}

BASE_EXACT static void affine_bilinear_c(uint8_t *out, const uint8_t *at, size_t stride, double dx, double dy) {
    BASE_EXACT_BODY
    for (int c = 0; c < 3; c++) {
        const uint8_t *p = at + stride + 3 + c, *q = p + stride;
        double above = p[0] + (p[3] - p[0]) * dx, below = q[0] + (q[3] - q[0]) * dx;
        out[c] = (uint8_t)(above + (below - above) * dy);
    }
}

/* ---- AVX2: the channels of a pixel are the lanes ----------------------------------------------------------------- */

#if defined(__x86_64__)
#include <immintrin.h>
#define AFFINE_AVX2 __attribute__((target("avx2")))

AFFINE_AVX2 static __m128i affine_pixel(const uint8_t *p) {
    int bytes;
    memcpy(&bytes, p, 4);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
}

AFFINE_AVX2 static void affine_store(uint8_t *out, __m256d value) {
    value = _mm256_min_pd(_mm256_max_pd(value, _mm256_setzero_pd()), _mm256_set1_pd(255));
    __m128i v = _mm256_cvttpd_epi32(value);
    v = _mm_packus_epi16(_mm_packs_epi32(v, v), v);
    int bytes = _mm_cvtsi128_si32(v);
    memcpy(out, &bytes, 3);
}

/* The cubic through four pixels of a row. */
AFFINE_AVX2 static __m256d affine_row(const uint8_t *p, __m256d d) {
    __m128i v1 = affine_pixel(p), v2 = affine_pixel(p + 3), v3 = affine_pixel(p + 6), v4 = affine_pixel(p + 9);
    __m128i p2 = _mm_sub_epi32(v3, v1), p12 = _mm_sub_epi32(v1, v2), p34 = _mm_sub_epi32(v3, v4);
    __m128i p3 = _mm_add_epi32(_mm_add_epi32(p12, p12), p34),
            p4 = _mm_sub_epi32(_mm_setzero_si128(), _mm_add_epi32(p12, p34));
    __m256d value = _mm256_add_pd(_mm256_cvtepi32_pd(p3), _mm256_mul_pd(d, _mm256_cvtepi32_pd(p4)));
    value = _mm256_add_pd(_mm256_cvtepi32_pd(p2), _mm256_mul_pd(d, value));
    return _mm256_add_pd(_mm256_cvtepi32_pd(v2), _mm256_mul_pd(d, value));
}

AFFINE_AVX2 static __m256d affine_column(__m256d v1, __m256d v2, __m256d v3, __m256d v4, __m256d d) {
    __m256d p2 = _mm256_sub_pd(v3, v1), twice = _mm256_sub_pd(v1, v2);
    __m256d p3 = _mm256_sub_pd(_mm256_add_pd(_mm256_add_pd(twice, twice), v3), v4);
    __m256d p4 = _mm256_add_pd(_mm256_sub_pd(_mm256_sub_pd(v2, v1), v3), v4);
    __m256d value = _mm256_add_pd(p3, _mm256_mul_pd(d, p4));
    value = _mm256_add_pd(p2, _mm256_mul_pd(d, value));
    return _mm256_add_pd(v2, _mm256_mul_pd(d, value));
}

AFFINE_AVX2 static void affine_bicubic_avx2(uint8_t *out, const uint8_t *at, size_t stride, double dx, double dy) {
    __m256d x = _mm256_set1_pd(dx), y = _mm256_set1_pd(dy), v[4];
    if (dy == 0) {
        affine_store(out, affine_row(at + stride, x));
        return;
    }
    for (int j = 0; j < 4; j++, at += stride)
        v[j] = dx == 0 ? _mm256_cvtepi32_pd(affine_pixel(at + 3)) : affine_row(at, x);
    affine_store(out, affine_column(v[0], v[1], v[2], v[3], y));
}

AFFINE_AVX2 static void affine_bilinear_avx2(uint8_t *out, const uint8_t *at, size_t stride, double dx, double dy) {
    __m256d x = _mm256_set1_pd(dx), v[2];
    at += stride + 3;
    for (int j = 0; j < 2; j++, at += stride) {
        __m128i p = affine_pixel(at), q = affine_pixel(at + 3);
        v[j] = _mm256_add_pd(_mm256_cvtepi32_pd(p), _mm256_mul_pd(_mm256_cvtepi32_pd(_mm_sub_epi32(q, p)), x));
    }
    affine_store(out, _mm256_add_pd(v[0], _mm256_mul_pd(_mm256_sub_pd(v[1], v[0]), _mm256_set1_pd(dy))));
}
#undef AFFINE_AVX2
#endif

/* ---- The whole picture ------------------------------------------------------------------------------------------- */

BASE_EXACT static void affine_run(image_u8 *out, const image_u8 *padded, const double m[6], const uint8_t fill[3],
                                  affine_sample sample) {
    BASE_EXACT_BODY
    int width = padded->width - 2 * AFFINE_BORDER, height = padded->height - 2 * AFFINE_BORDER;
    size_t stride = 3 * (size_t)padded->width;
    for (int y = 0; y < out->height; y++) {
        uint8_t *pixel = out->data + (size_t)y * 3 * (size_t)out->width;
        double row = y + 0.5;
        for (int x = 0; x < out->width; x++, pixel += 3) {
            double column = x + 0.5;
            double from_x = m[0] * column + m[1] * row + m[2], from_y = m[3] * column + m[4] * row + m[5];
            if (!(from_x >= 0 && from_x < width && from_y >= 0 && from_y < height)) {
                memcpy(pixel, fill, 3);
                continue;
            }
            from_x -= 0.5, from_y -= 0.5;
            int left = from_x < 0 ? -1 : (int)from_x, top = from_y < 0 ? -1 : (int)from_y; /* floor: not under -0.5 */
            const uint8_t *at =
                padded->data + (size_t)(top - 1 + AFFINE_BORDER) * stride + 3 * (size_t)(left - 1 + AFFINE_BORDER);
            sample(pixel, at, stride, from_x - left, from_y - top);
        }
    }
}

DEIT_INTERNAL void image_affine_plain(image_u8 *out, const image_u8 *padded, const double m[6], image_filter filter,
                                      const uint8_t fill[3]) {
    affine_run(out, padded, m, fill, filter == IMAGE_BICUBIC ? affine_bicubic_c : affine_bilinear_c);
}

DEIT_INTERNAL void image_affine(image_u8 *out, const image_u8 *padded, const double m[6], image_filter filter,
                                const uint8_t fill[3]) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        affine_run(out, padded, m, fill, filter == IMAGE_BICUBIC ? affine_bicubic_avx2 : affine_bilinear_avx2);
        return;
    }
#endif
    image_affine_plain(out, padded, m, filter, fill);
}

/* ---- The matrix of a rotation ------------------------------------------------------------------------------------ */

/* Python's round(v, 15). */
static double affine_round15(double v) {
    char text[32];
    snprintf(text, sizeof text, "%.15f", v);
    return strtod(text, NULL);
}

BASE_EXACT DEIT_INTERNAL void image_rotation(double m[6], double degrees, int width, int height) {
    BASE_EXACT_BODY
    double angle = fmod(degrees, 360.0), x = width / 2.0, y = height / 2.0;
    if (angle < 0) angle += 360.0;
    angle = -(angle * (3.141592653589793 / 180.0));
    m[0] = affine_round15(cos(angle)), m[1] = affine_round15(sin(angle)), m[2] = 0;
    m[3] = affine_round15(-sin(angle)), m[4] = m[0], m[5] = 0;
    m[2] = (m[0] * -x + m[1] * -y + m[2]) + x;
    m[5] = (m[3] * -x + m[4] * -y + 0.0) + y;
}
