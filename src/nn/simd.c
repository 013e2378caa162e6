/* Loops of our own, written once with GCC's vectors of 16 numbers and compiled for several instruction sets; the
 * machine picks at run time. A narrower machine splits the 16 numbers over more registers. */
#include "nn/internal.h"
#include <math.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

/* The inlined helpers pass vectors by value; no call with them remains for the ABI to matter. (Not popped: GCC warns at
 * the unit's end.) */
#pragma GCC diagnostic ignored "-Wpsabi"

#define SIMD_INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed" /* loops of kernels of any size are not unrolled: nothing to say */
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 16")
#endif
static const int32_t simd_lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* The functions of a set, from the loops before it. */
#define SIMD_TABLE                                                                                                     \
    static void SIMD(layer_norm)(const float *x, const float *gamma, const float *beta, void *y, nn_dtype type,        \
                                 int64_t rows, int64_t cols, float eps) {                                              \
        if (type == NN_F32)                                                                                            \
            SIMD(layer_norm_body)(x, gamma, beta, y, NN_F32, rows, cols, eps);                                         \
        else                                                                                                           \
            SIMD(layer_norm_body)(x, gamma, beta, y, NN_BF16, rows, cols, eps);                                        \
    }                                                                                                                  \
    static void SIMD(softmax)(float *s, int64_t ld, void *p, nn_dtype type, int64_t p_ld, float *lse, float *inverse,  \
                              int64_t rows, int64_t cols, float scale) {                                               \
        if (type == NN_F32)                                                                                            \
            SIMD(softmax_body)(s, ld, p, NN_F32, p_ld, lse, inverse, rows, cols, scale);                               \
        else                                                                                                           \
            SIMD(softmax_body)(s, ld, p, NN_BF16, p_ld, lse, inverse, rows, cols, scale);                              \
    }                                                                                                                  \
    static void SIMD(scale_rows)(const float *x, int64_t x_ld, const float *factor, void *y, nn_dtype type,            \
                                 int64_t y_ld, int64_t rows, int64_t cols) {                                           \
        if (type == NN_F32)                                                                                            \
            SIMD(scale_rows_body)(x, x_ld, factor, y, NN_F32, y_ld, rows, cols);                                       \
        else                                                                                                           \
            SIMD(scale_rows_body)(x, x_ld, factor, y, NN_BF16, y_ld, rows, cols);                                      \
    }                                                                                                                  \
    static const nn_simd_table SIMD(table) = {                                                                         \
        .layer_norm = SIMD(layer_norm),                                                                                \
        .softmax = SIMD(softmax),                                                                                      \
        .scale_rows = SIMD(scale_rows),                                                                                \
        .activate = SIMD(activate),                                                                                    \
        .to_bf16 = SIMD(to_bf16),                                                                                      \
        .from_bf16 = SIMD(from_bf16),                                                                                  \
        .add = SIMD(add),                                                                                              \
        .scale_columns = SIMD(scale_columns),                                                                          \
        .add_columns = SIMD(add_columns),                                                                              \
        .depthwise = SIMD(depthwise),                                                                                  \
        .winograd_in = SIMD(winograd_in),                                                                              \
        .winograd_out = SIMD(winograd_out),                                                                            \
        .sum_columns = SIMD(sum_columns),                                                                              \
        .layer_norm_backward = SIMD(layer_norm_backward),                                                              \
        .activate_backward = SIMD(activate_backward),                                                                  \
        .moments = SIMD(moments),                                                                                      \
        .norm_forward = SIMD(norm_forward),                                                                            \
        .norm_sums = SIMD(norm_sums),                                                                                  \
        .norm_backward = SIMD(norm_backward),                                                                          \
        .dot_columns = SIMD(dot_columns),                                                                              \
        .pool_backward = SIMD(pool_backward),                                                                          \
        .depthwise_weights = SIMD(depthwise_weights),                                                                  \
        .depthwise_inputs = SIMD(depthwise_inputs),                                                                    \
        .softmax_backward = SIMD(softmax_backward),                                                                    \
        .dropout = SIMD(dropout),                                                                                      \
        .chain = SIMD(chain),                                                                                          \
        .chain_width = 2 * SIMD_BITS / 32,                                                                             \
    };

#define SIMD(name) simd_base_##name
#define SIMD_BITS 128
#include "nn/simd_loops.inc"
#include "nn/simd_maps.inc"
#include "nn/simd_train.inc"
SIMD_TABLE
#undef SIMD
#undef SIMD_BITS

#ifdef __x86_64__
#ifdef __clang__
#define SIMD_PRAGMA(text) _Pragma(#text)
#define SIMD_BEGIN(isa) SIMD_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define SIMD_END SIMD_PRAGMA(clang attribute pop)
#define SIMD_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma"
#else
#define SIMD_PRAGMA(text) _Pragma(#text)
#define SIMD_BEGIN(isa) SIMD_PRAGMA(GCC push_options) SIMD_PRAGMA(GCC target(isa))
#define SIMD_END SIMD_PRAGMA(GCC pop_options)
#define SIMD_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,prefer-vector-width=512"
#endif

SIMD_BEGIN("avx2,fma")
#define SIMD(name) simd_avx2_##name
#define SIMD_BITS 256
#include "nn/simd_loops.inc"
#include "nn/simd_maps.inc"
#include "nn/simd_train.inc"
SIMD_TABLE
#undef SIMD
#undef SIMD_BITS
SIMD_END

SIMD_BEGIN(SIMD_AVX512)
#define SIMD(name) simd_avx512_##name
#define SIMD_BITS 512
#include "nn/simd_loops.inc"
#include "nn/simd_maps.inc"
#include "nn/simd_train.inc"
SIMD_TABLE
#undef SIMD
#undef SIMD_BITS
SIMD_END
#undef SIMD_PRAGMA
#undef SIMD_BEGIN
#undef SIMD_END
#undef SIMD_AVX512
#endif
#undef SIMD_TABLE
#undef SIMD_INLINE
#undef SIMD_UNROLL

/* Follows oneDNN's choice, so that ONEDNN_MAX_CPU_ISA limits these loops too. */
DEIT_INTERNAL const nn_simd_table *nn_simd(void) {
#ifdef __x86_64__
    static const nn_simd_table *chosen;
    const nn_simd_table *table = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (table) return table;
    int isa = (int)dnnl_get_effective_cpu_isa();
    if ((isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core)
        table = &simd_avx512_table;
    else if ((isa & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2)
        table = &simd_avx2_table;
    else
        table = &simd_base_table;
    __atomic_store_n(&chosen, table, __ATOMIC_RELEASE);
    return table;
#else
    return &simd_base_table;
#endif
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
