/* The two passes of a resize, for each instruction set. Every product and sum is exact in 32 bits (sums may wrap around
 * on the way), so all kernels give the same bytes whatever their order.
 *
 * A 23-bit coefficient times a byte does not fit the fast 16-bit multiply-add; k = low + 4096 * high does, in two: sums
 * of low and of high parts are kept apart and joined at the end. */
#include "image/internal.h"

#include <string.h>

static uint8_t resize_simd_clip(uint32_t sum) {
    int32_t v = (int32_t)sum >> 22;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void resize_simd_across_c(uint8_t *out, const uint8_t *in, const image_axis *a) {
    for (int i = 0; i < a->count; i++) {
        const uint8_t *p = in + 3 * (size_t)a->first[i];
        const int32_t *k = a->k + (size_t)i * a->stride;
        uint32_t sum[3] = {1u << 21, 1u << 21, 1u << 21};
        for (int j = 0; j < a->taps; j++)
            for (int c = 0; c < 3; c++) sum[c] += (uint32_t)p[3 * j + c] * (uint32_t)k[j];
        for (int c = 0; c < 3; c++) out[3 * i + c] = resize_simd_clip(sum[c]);
    }
}

/* Coefficients past the last row are 0, but their rows are not there: taps are counted down to the last that is not. */
static int resize_simd_taps(const image_axis *a, int i) {
    const int32_t *k = a->k + (size_t)i * a->stride;
    int taps = a->taps;
    while (taps > 1 && !k[taps - 1]) taps--;
    return taps;
}

static void resize_simd_down_c(uint8_t *out, const uint8_t *rows, size_t stride, size_t bytes, const image_axis *a,
                               int i) {
    const int32_t *k = a->k + (size_t)i * a->stride;
    int taps = resize_simd_taps(a, i);
    for (size_t x = 0; x < bytes; x += 32) {
        uint32_t sum[32];
        for (int b = 0; b < 32; b++) sum[b] = 1u << 21;
        for (int j = 0; j < taps; j++)
            for (int b = 0; b < 32; b++) sum[b] += (uint32_t)rows[(size_t)j * stride + x + b] * (uint32_t)k[j];
        for (int b = 0; b < 32; b++) out[x + b] = resize_simd_clip(sum[b]);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define RESIZE_SIMD_SSE4 __attribute__((target("sse4.1")))
#define RESIZE_SIMD_AVX2 __attribute__((target("avx2")))

/* Bytes of 4 pixels RGB RGB RGB RGB -> 16-bit (R0 R1 G0 G1 B0 B1 0 0), (R2 R3 G2 G3 B2 B3 0 0). */
#define RESIZE_SIMD_SHUFFLE_01 0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1
#define RESIZE_SIMD_SHUFFLE_23 6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1

RESIZE_SIMD_SSE4 static void resize_simd_store_pixel(uint8_t *out, __m128i low, __m128i high) {
    __m128i sum = _mm_add_epi32(_mm_add_epi32(low, _mm_set1_epi32(1 << 21)), _mm_slli_epi32(high, 12));
    sum = _mm_packs_epi32(_mm_srai_epi32(sum, 22), sum);
    int pixel = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
    memcpy(out, &pixel, 4);
}

RESIZE_SIMD_SSE4 static void resize_simd_across_sse4(uint8_t *out, const uint8_t *in, const image_axis *a) {
    const __m128i shuffle01 = _mm_setr_epi8(RESIZE_SIMD_SHUFFLE_01), shuffle23 = _mm_setr_epi8(RESIZE_SIMD_SHUFFLE_23);
    const __m128i *k = (const __m128i *)a->pairs;
    int groups = a->stride / 4;
    for (int i = 0; i < a->count; i++) {
        const uint8_t *p = in + 3 * (size_t)a->first[i];
        __m128i low = _mm_setzero_si128(), high = low;
        for (int g = 0; g < groups; g++, p += 12, k += 4) {
            __m128i pixels = _mm_loadu_si128((const __m128i *)p);
            __m128i x01 = _mm_shuffle_epi8(pixels, shuffle01), x23 = _mm_shuffle_epi8(pixels, shuffle23);
            low = _mm_add_epi32(low, _mm_add_epi32(_mm_madd_epi16(x01, k[0]), _mm_madd_epi16(x23, k[1])));
            high = _mm_add_epi32(high, _mm_add_epi32(_mm_madd_epi16(x01, k[2]), _mm_madd_epi16(x23, k[3])));
        }
        resize_simd_store_pixel(out + 3 * i, low, high);
    }
}

RESIZE_SIMD_SSE4 static void resize_simd_down_sse4(uint8_t *out, const uint8_t *rows, size_t stride, size_t bytes,
                                                   const image_axis *a, int i) {
    const int32_t *k = (const int32_t *)(a->pairs + (size_t)i * a->stride * 2);
    const __m128i zero = _mm_setzero_si128();
    int taps = resize_simd_taps(a, i);
    for (size_t x = 0; x < bytes; x += 16) {
        const uint8_t *p = rows + x;
        __m128i low[4] = {zero, zero, zero, zero}, high[4] = {zero, zero, zero, zero}, packed[4];
        for (int j = 0; j < taps; j += 2, p += 2 * stride) {
            /* The last row stands in for one that is not there; its coefficient is 0. */
            __m128i row0 = _mm_loadu_si128((const __m128i *)p);
            __m128i row1 = j + 1 < taps ? _mm_loadu_si128((const __m128i *)(p + stride)) : zero;
            __m128i first = _mm_unpacklo_epi8(row0, row1), second = _mm_unpackhi_epi8(row0, row1);
            __m128i v[4] = {_mm_unpacklo_epi8(first, zero), _mm_unpackhi_epi8(first, zero),
                            _mm_unpacklo_epi8(second, zero), _mm_unpackhi_epi8(second, zero)};
            __m128i l = _mm_set1_epi32(k[j]), h = _mm_set1_epi32(k[j + 1]);
            for (int c = 0; c < 4; c++) {
                low[c] = _mm_add_epi32(low[c], _mm_madd_epi16(v[c], l));
                high[c] = _mm_add_epi32(high[c], _mm_madd_epi16(v[c], h));
            }
        }
        for (int c = 0; c < 4; c++) {
            __m128i sum = _mm_add_epi32(_mm_add_epi32(low[c], _mm_set1_epi32(1 << 21)), _mm_slli_epi32(high[c], 12));
            packed[c] = _mm_srai_epi32(sum, 22);
        }
        __m128i b = _mm_packus_epi16(_mm_packs_epi32(packed[0], packed[1]), _mm_packs_epi32(packed[2], packed[3]));
        _mm_storeu_si128((__m128i *)(out + x), b);
    }
}

/* As SSE4.1's, with taps 0 and 1 in the lower half, 2 and 3 in the upper. */
RESIZE_SIMD_AVX2 static void resize_simd_across_avx2(uint8_t *out, const uint8_t *in, const image_axis *a) {
    const __m256i shuffle = _mm256_setr_epi8(RESIZE_SIMD_SHUFFLE_01, RESIZE_SIMD_SHUFFLE_23);
    const __m256i *k = (const __m256i *)a->pairs;
    int groups = a->stride / 4;
    for (int i = 0; i < a->count; i++) {
        const uint8_t *p = in + 3 * (size_t)a->first[i];
        __m256i low = _mm256_setzero_si256(), high = low;
        for (int g = 0; g < groups; g++, p += 12, k += 2) {
            __m256i pixels = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
            pixels = _mm256_shuffle_epi8(pixels, shuffle);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(pixels, k[0]));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(pixels, k[1]));
        }
        __m256i sum = _mm256_add_epi32(low, _mm256_slli_epi32(high, 12));
        resize_simd_store_pixel(out + 3 * i,
                                _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1)),
                                _mm_setzero_si128());
    }
}

RESIZE_SIMD_AVX2 static void resize_simd_down_avx2(uint8_t *out, const uint8_t *rows, size_t stride, size_t bytes,
                                                   const image_axis *a, int i) {
    const int32_t *k = (const int32_t *)(a->pairs + (size_t)i * a->stride * 2);
    const __m256i zero = _mm256_setzero_si256();
    int taps = resize_simd_taps(a, i);
    for (size_t x = 0; x < bytes; x += 32) {
        const uint8_t *p = rows + x;
        __m256i low[4] = {zero, zero, zero, zero}, high[4] = {zero, zero, zero, zero}, packed[4];
        for (int j = 0; j < taps; j += 2, p += 2 * stride) {
            __m256i row0 = _mm256_loadu_si256((const __m256i *)p);
            __m256i row1 = j + 1 < taps ? _mm256_loadu_si256((const __m256i *)(p + stride)) : zero;
            __m256i first = _mm256_unpacklo_epi8(row0, row1), second = _mm256_unpackhi_epi8(row0, row1);
            __m256i v[4] = {_mm256_unpacklo_epi8(first, zero), _mm256_unpackhi_epi8(first, zero),
                            _mm256_unpacklo_epi8(second, zero), _mm256_unpackhi_epi8(second, zero)};
            __m256i l = _mm256_set1_epi32(k[j]), h = _mm256_set1_epi32(k[j + 1]);
            for (int c = 0; c < 4; c++) {
                low[c] = _mm256_add_epi32(low[c], _mm256_madd_epi16(v[c], l));
                high[c] = _mm256_add_epi32(high[c], _mm256_madd_epi16(v[c], h));
            }
        }
        for (int c = 0; c < 4; c++) {
            __m256i sum = _mm256_add_epi32(low[c], _mm256_slli_epi32(high[c], 12));
            packed[c] = _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << 21)), 22);
        }
        /* Unpacking and packing both work within halves, so the bytes come out in order. */
        __m256i b =
            _mm256_packus_epi16(_mm256_packs_epi32(packed[0], packed[1]), _mm256_packs_epi32(packed[2], packed[3]));
        _mm256_storeu_si256((__m256i *)(out + x), b);
    }
}
#endif

DEIT_INTERNAL const image_kernels *image_kernels_at(int i) {
    static const image_kernels kernels[] = {
        {"C", resize_simd_across_c, resize_simd_down_c},
#if defined(__x86_64__)
        {"SSE4.1", resize_simd_across_sse4, resize_simd_down_sse4},
        {"AVX2", resize_simd_across_avx2, resize_simd_down_avx2},
#endif
    };
    int n = 1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.1")) n = __builtin_cpu_supports("avx2") ? 3 : 2;
#endif
    return i < n ? &kernels[i] : NULL;
}

DEIT_INTERNAL const image_kernels *image_kernels_best(void) {
    const image_kernels *best = NULL;
    for (int i = 0; image_kernels_at(i); i++) best = image_kernels_at(i);
    return best;
}

#undef RESIZE_SIMD_SSE4
#undef RESIZE_SIMD_AVX2
#undef RESIZE_SIMD_SHUFFLE_01
#undef RESIZE_SIMD_SHUFFLE_23
