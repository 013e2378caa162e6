/* Loops of our own, written once with GCC's vectors of 16 numbers and compiled for several instruction sets; the machine picks at run time.
 * A narrower machine splits the 16 numbers over more registers. */
#include "nn/internal.h"
#include <math.h>
#include <string.h>

/* The inlined helpers pass vectors by value; no call with them remains for the ABI to matter. (Not popped: GCC warns at the unit's end.) */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float simd_f32 __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t simd_i32 __attribute__((vector_size(64)));
typedef uint32_t simd_u32 __attribute__((vector_size(64)));
typedef uint16_t simd_u16 __attribute__((vector_size(32), aligned(2), may_alias));
#define SIMD_INLINE static inline __attribute__((always_inline))

SIMD_INLINE simd_f32 simd_all(float x) { return x - (simd_f32){0}; }
SIMD_INLINE simd_f32 simd_pick(simd_i32 mask, simd_f32 a, simd_f32 b) { return (simd_f32)(((simd_i32)a & mask) | ((simd_i32)b & ~mask)); }
/* Halves folded onto each other: lanes i and i ^ 8, 4, 2, 1. */
#define SIMD_FOLD(x, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) __builtin_shufflevector(x, x, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
#define SIMD_FOLDS(x, join)                                                                  \
    x = join(x, SIMD_FOLD(x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));         \
    x = join(x, SIMD_FOLD(x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));         \
    x = join(x, SIMD_FOLD(x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));         \
    x = join(x, SIMD_FOLD(x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
SIMD_INLINE simd_f32 simd_plus(simd_f32 a, simd_f32 b) { return a + b; }
SIMD_INLINE simd_f32 simd_larger(simd_f32 a, simd_f32 b) { return simd_pick(a > b, a, b); }
SIMD_INLINE float simd_sum(simd_f32 x) {
    SIMD_FOLDS(x, simd_plus)
    return x[0];
}
SIMD_INLINE float simd_max(simd_f32 x) {
    SIMD_FOLDS(x, simd_larger)
    return x[0];
}
#undef SIMD_FOLDS
#undef SIMD_FOLD

/* 2^x for x in [-126, 0] (below, 2^-126): x = n + f, |f| <= 1/2, and 2^f by its Taylor polynomial, relative error 1e-8 before rounding. */
SIMD_INLINE simd_f32 simd_exp2(simd_f32 x) {
    x = simd_larger(x, simd_all(-126.0f));
    simd_f32 shifted = x + 12582912.0f, f = x - (shifted - 12582912.0f); /* 1.5 * 2^23: the sum rounds to a whole number */
    simd_f32 p = 1.525273380e-5f * f + 1.540353039e-4f;
    p = p * f + 1.333355815e-3f;
    p = p * f + 9.618129108e-3f;
    p = p * f + 5.550410866e-2f;
    p = p * f + 2.402265070e-1f;
    p = p * f + 6.931471806e-1f;
    p = p * f + 1.0f;
    return (simd_f32)((simd_i32)p + (((simd_i32)shifted - 0x4b400000) << 23));
}

/* e^x to about one unit in the last place for x in [-87, 88]; 0 ... FLT_MIN below. x = n ln 2 + r, |r| <= ln 2 / 2. */
SIMD_INLINE simd_f32 simd_exp(simd_f32 x) {
    x = simd_pick(x < -87.0f, simd_all(-87.0f), x);
    x = simd_pick(x > 88.0f, simd_all(88.0f), x);
    simd_f32 shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: the sum rounds to a whole number */
    simd_f32 n = shifted - 12582912.0f;
    simd_f32 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    simd_f32 p = 1.9875691500e-4f + (simd_f32){0};
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    return (simd_f32)((simd_i32)p + (((simd_i32)shifted - 0x4b400000) << 23));
}

/* The normal distribution function Phi(x) = erfc(-x / sqrt 2) / 2. With z = |x| / sqrt 2: below 1 erf(z) is z times a polynomial in z^2, above,
 * erfc(z) is e^(-z^2) times one in t = 1 / (1 + z / 2); both fitted at Chebyshev points, relative error below 2e-9 before rounding. */
SIMD_INLINE simd_f32 simd_phi(simd_f32 x, simd_f32 gauss) { /* gauss: e^(-x^2 / 2) */
    simd_f32 z = simd_pick(x < 0.0f, -x, x) * 0.70710678f, u = z * z, t = 1.0f / (1.0f + 0.5f * z);
    simd_f32 small = 7.882497116623881e-05f + (simd_f32){0};
    small = small * u - 0.0008018854994239941f;
    small = small * u + 0.0051893119427883746f;
    small = small * u - 0.026854328796083987f;
    small = small * u + 0.11283597463487416f;
    small = small * u - 0.37612626903580265f;
    small = (small * u + 1.128379165881503f) * z;
    simd_f32 large = 0.1192590459030549f + (simd_f32){0};
    large = large * t - 0.47088178131545144f;
    large = large * t + 0.5627731052035518f;
    large = large * t - 0.1031726284608325f;
    large = large * t + 0.34756502436070913f;
    large = large * t + 0.25976581234435625f;
    large = large * t + 0.2848982123259771f;
    large = (large * t - 0.00015306479188959f) * gauss;
    simd_f32 complement = simd_pick(z < 1.0f, 1.0f - small, large); /* erfc(z) */
    return 0.5f * simd_pick(x < 0.0f, complement, 2.0f - complement);
}
SIMD_INLINE simd_f32 simd_gauss(simd_f32 x) { return simd_exp(-0.5f * x * x); }

/* Round to nearest, ties to even; a NaN stays one. */
SIMD_INLINE simd_u16 simd_bf16(simd_f32 x) {
    simd_u32 bits = (simd_u32)x, rounded = bits + 0x7fff + ((bits >> 16) & 1);
    simd_u32 nan = (simd_u32)(x != x);
    rounded = (rounded & ~nan) | ((bits | 0x400000) & nan);
    return __builtin_convertvector(rounded >> 16, simd_u16);
}
SIMD_INLINE void simd_store(void *y, nn_dtype type, int64_t at, simd_f32 x) {
    if (type == NN_F32) *(simd_f32 *)((float *)y + at) = x;
    else *(simd_u16 *)((uint16_t *)y + at) = simd_bf16(x);
}
/* For numbers in [0, 1]: half away from zero, three operations instead of nine. */
SIMD_INLINE void simd_store_probability(void *y, nn_dtype type, int64_t at, simd_f32 x) {
    if (type == NN_F32) *(simd_f32 *)((float *)y + at) = x;
    else *(simd_u16 *)((uint16_t *)y + at) = __builtin_convertvector(((simd_u32)x + 0x8000) >> 16, simd_u16);
}
/* `n` numbers (1 to 15) at the end of a row, through a vector. */
SIMD_INLINE simd_f32 simd_load_tail(const float *x, int64_t n, float fill) {
    float part[16];
    for (int i = 0; i < 16; i++) part[i] = i < n ? x[i] : fill;
    simd_f32 v;
    memcpy(&v, part, sizeof v);
    return v;
}
SIMD_INLINE void simd_store_tail(void *y, nn_dtype type, int64_t at, simd_f32 x, int64_t n) {
    if (type == NN_F32) {
        memcpy((float *)y + at, &x, (size_t)n * sizeof(float));
    } else {
        simd_u16 half = simd_bf16(x);
        memcpy((uint16_t *)y + at, &half, (size_t)n * sizeof(uint16_t));
    }
}

SIMD_INLINE void simd_layer_norm_body(const float *x, const float *gamma, const float *beta, void *y, nn_dtype type, int64_t rows, int64_t cols, float eps) {
    int64_t whole = cols / 16 * 16, tail = cols - whole;
    for (int64_t r = 0; r < rows; r++, x += cols) {
        simd_f32 sum = {0}, square = {0};
        for (int64_t d = 0; d < whole; d += 16) sum += *(const simd_f32 *)(x + d);
        if (tail) sum += simd_load_tail(x + whole, tail, 0);
        float mean = simd_sum(sum) / (float)cols;
        for (int64_t d = 0; d < whole; d += 16) {
            simd_f32 v = *(const simd_f32 *)(x + d) - mean;
            square += v * v;
        }
        if (tail) {
            simd_f32 v = simd_load_tail(x + whole, tail, mean) - mean;
            square += v * v;
        }
        float rstd = 1 / sqrtf(simd_sum(square) / (float)cols + eps);
        for (int64_t d = 0; d < whole; d += 16)
            simd_store(y, type, r * cols + d, (*(const simd_f32 *)(x + d) - mean) * rstd * *(const simd_f32 *)(gamma + d) + *(const simd_f32 *)(beta + d));
        if (tail) {
            simd_f32 v = (simd_load_tail(x + whole, tail, 0) - mean) * rstd;
            v = v * simd_load_tail(gamma + whole, tail, 0) + simd_load_tail(beta + whole, tail, 0);
            simd_store_tail(y, type, r * cols + whole, v, tail);
        }
    }
}

/* Two walks over a row that stays in the first-level cache: the maximum; the exponentials, as 2^(s scale log2 e - maximum), and their sum. Dividing
 * by the sum is left for the product's result, which is shorter. A row's last vector may write up to 15 numbers past its end: the next row
 * overwrites them. */
SIMD_INLINE void simd_softmax_body(float *s, int64_t ld, void *p, nn_dtype type, int64_t p_ld, float *lse, float *inverse, int64_t rows, int64_t cols,
                                   float scale) {
    int64_t padded = (cols + 15) / 16 * 16, whole = cols / 16 * 16;
    float scale2 = scale * 1.44269504f;
    for (int64_t r = 0; r < rows; r++, s += ld) {
        for (int64_t j = cols; j < padded; j++) s[j] = -INFINITY;
        simd_f32 top = *(simd_f32 *)s, sum = {0};
        for (int64_t j = 16; j < padded; j += 16) top = simd_larger(*(simd_f32 *)(s + j), top);
        float most = simd_max(top) * scale2;
        for (int64_t j = 0; j < whole; j += 16) {
            simd_f32 e = simd_exp2(*(simd_f32 *)(s + j) * scale2 - most);
            simd_store_probability(p, type, r * p_ld + j, e);
            sum += e;
        }
        if (whole < padded) {
            simd_f32 v = *(simd_f32 *)(s + whole), e = simd_pick(v == -INFINITY, simd_all(0), simd_exp2(v * scale2 - most));
            simd_store_probability(p, type, r * p_ld + whole, e);
            sum += e;
        }
        float total = simd_sum(sum);
        inverse[r] = 1 / total;
        if (lse) lse[r] = most * 0.693147181f + logf(total);
    }
}

/* y = x times a factor of its own for each row. */
SIMD_INLINE void simd_scale_rows_body(const float *x, int64_t x_ld, const float *factor, void *y, nn_dtype type, int64_t y_ld, int64_t rows, int64_t cols) {
    int64_t whole = cols / 16 * 16;
    for (int64_t r = 0; r < rows; r++, x += x_ld) {
        for (int64_t j = 0; j < whole; j += 16) simd_store(y, type, r * y_ld + j, *(const simd_f32 *)(x + j) * factor[r]);
        if (cols > whole) simd_store_tail(y, type, r * y_ld + whole, simd_load_tail(x + whole, cols - whole, 0) * factor[r], cols - whole);
    }
}

SIMD_INLINE void simd_gelu_body(const float *x, void *y, nn_dtype type, int64_t count) {
    int64_t whole = count / 16 * 16;
    for (int64_t i = 0; i < whole; i += 16) {
        simd_f32 v = *(const simd_f32 *)(x + i);
        simd_store(y, type, i, v * simd_phi(v, simd_gauss(v)));
    }
    if (count > whole) {
        simd_f32 v = simd_load_tail(x + whole, count - whole, 0);
        simd_store_tail(y, type, whole, v * simd_phi(v, simd_gauss(v)), count - whole);
    }
}

/* d gelu / dx = Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi) */
SIMD_INLINE simd_f32 simd_gelu_slope(simd_f32 x) {
    simd_f32 gauss = simd_gauss(x);
    return simd_phi(x, gauss) + x * gauss * 0.39894228f;
}
SIMD_INLINE void simd_gelu_backward_body(const float *x, const float *dy, float *dx, int64_t count) {
    int64_t whole = count / 16 * 16;
    for (int64_t i = 0; i < whole; i += 16) *(simd_f32 *)(dx + i) = *(const simd_f32 *)(dy + i) * simd_gelu_slope(*(const simd_f32 *)(x + i));
    if (count > whole) {
        simd_f32 v = simd_load_tail(x + whole, count - whole, 0), g = simd_load_tail(dy + whole, count - whole, 0);
        simd_store_tail(dx, NN_F32, whole, g * simd_gelu_slope(v), count - whole);
    }
}

SIMD_INLINE void simd_to_bf16_body(const float *x, uint16_t *y, int64_t count) {
    int64_t whole = count / 16 * 16;
    for (int64_t i = 0; i < whole; i += 16) *(simd_u16 *)(y + i) = simd_bf16(*(const simd_f32 *)(x + i));
    if (count > whole) simd_store_tail(y, NN_BF16, whole, simd_load_tail(x + whole, count - whole, 0), count - whole);
}

/* One set of functions for an instruction set. */
#define SIMD_SET(isa, attribute)                                                                                                          \
    attribute static void simd_layer_norm_##isa(const float *x, const float *gamma, const float *beta, void *y, nn_dtype type, int64_t rows, \
                                                int64_t cols, float eps) {                                                                \
        if (type == NN_F32) simd_layer_norm_body(x, gamma, beta, y, NN_F32, rows, cols, eps);                                             \
        else simd_layer_norm_body(x, gamma, beta, y, NN_BF16, rows, cols, eps);                                                           \
    }                                                                                                                                     \
    attribute static void simd_softmax_##isa(float *s, int64_t ld, void *p, nn_dtype type, int64_t p_ld, float *lse, float *inverse,      \
                                             int64_t rows, int64_t cols, float scale) {                                                   \
        if (type == NN_F32) simd_softmax_body(s, ld, p, NN_F32, p_ld, lse, inverse, rows, cols, scale);                                   \
        else simd_softmax_body(s, ld, p, NN_BF16, p_ld, lse, inverse, rows, cols, scale);                                                 \
    }                                                                                                                                     \
    attribute static void simd_scale_rows_##isa(const float *x, int64_t x_ld, const float *factor, void *y, nn_dtype type, int64_t y_ld,  \
                                                int64_t rows, int64_t cols) {                                                             \
        if (type == NN_F32) simd_scale_rows_body(x, x_ld, factor, y, NN_F32, y_ld, rows, cols);                                           \
        else simd_scale_rows_body(x, x_ld, factor, y, NN_BF16, y_ld, rows, cols);                                                         \
    }                                                                                                                                     \
    attribute static void simd_gelu_##isa(const float *x, void *y, nn_dtype type, int64_t count) {                                        \
        if (type == NN_F32) simd_gelu_body(x, y, NN_F32, count);                                                                          \
        else simd_gelu_body(x, y, NN_BF16, count);                                                                                        \
    }                                                                                                                                     \
    attribute static void simd_gelu_backward_##isa(const float *x, const float *dy, float *dx, int64_t count) {                           \
        simd_gelu_backward_body(x, dy, dx, count);                                                                                        \
    }                                                                                                                                     \
    attribute static void simd_to_bf16_##isa(const float *x, uint16_t *y, int64_t count) { simd_to_bf16_body(x, y, count); }              \
    static const nn_simd_table simd_table_##isa = {simd_layer_norm_##isa, simd_softmax_##isa, simd_scale_rows_##isa, simd_gelu_##isa, simd_gelu_backward_##isa,  \
                                                   simd_to_bf16_##isa};

SIMD_SET(base, )
#ifdef __x86_64__
SIMD_SET(avx2, __attribute__((target("avx2,fma"))))
SIMD_SET(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512"))))
#endif
#undef SIMD_SET
#undef SIMD_INLINE

/* Follows oneDNN's choice, so that ONEDNN_MAX_CPU_ISA limits these loops too. */
DEIT_INTERNAL const nn_simd_table *nn_simd(void) {
#ifdef __x86_64__
    static const nn_simd_table *chosen;
    const nn_simd_table *table = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (table) return table;
    int isa = (int)dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core) table = &simd_table_avx512;
    else if ((isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2) table = &simd_table_avx2;
    else table = &simd_table_base;
    __atomic_store_n(&chosen, table, __ATOMIC_RELEASE);
    return table;
#else
    return &simd_table_base;
#endif
}

/* The columns of x [rows, cols] summed into out [cols], in double, blocks of columns that fit registers; in a fixed order. */
DEIT_INTERNAL void nn_sum_rows(const float *x, float *out, int64_t rows, int64_t cols) {
    for (int64_t c = 0; c < cols; c += 16) {
        double sum[16] = {0};
        int64_t width = cols - c < 16 ? cols - c : 16;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < width; j++) sum[j] += x[r * cols + c + j];
        for (int64_t j = 0; j < width; j++) out[c + j] = (float)sum[j];
    }
}

DEIT_INTERNAL int64_t nn_first_not_finite(const float *x, int64_t count) {
    for (int64_t i = 0; i < count; i += 1024) { /* a block at a time, without a branch a number */
        int64_t end = i + 1024 < count ? i + 1024 : count;
        uint32_t bad = 0;
        for (int64_t j = i; j < end; j++) {
            uint32_t bits;
            memcpy(&bits, x + j, sizeof bits);
            bad |= (bits & 0x7f800000) == 0x7f800000;
        }
        for (int64_t j = i; bad && j < end; j++)
            if (!isfinite(x[j])) return j;
    }
    return -1;
}
