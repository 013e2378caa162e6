/* convert: element types, and tensors of any type and stride copied to plain arrays. */
#include "store/internal.h"

#include <string.h>

static const struct {
    const char *name;
    size_t size;
} convert_dtypes[STORE_DTYPES] = {
    [STORE_F32] = {"F32", 4}, [STORE_F16] = {"F16", 2},   [STORE_BF16] = {"BF16", 2}, [STORE_F64] = {"F64", 8},
    [STORE_I64] = {"I64", 8}, [STORE_I32] = {"I32", 4},   [STORE_I16] = {"I16", 2},   [STORE_I8] = {"I8", 1},
    [STORE_U8] = {"U8", 1},   [STORE_BOOL] = {"BOOL", 1},
};

DEIT_INTERNAL size_t store_dtype_size(store_dtype dtype) {
    return convert_dtypes[dtype].size;
}
DEIT_INTERNAL const char *store_dtype_name(store_dtype dtype) {
    return convert_dtypes[dtype].name;
}

DEIT_INTERNAL uint16_t store_f32_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40); // quiet NaN
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

DEIT_INTERNAL float store_bf16_to_f32(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, 4);
    return value;
}

DEIT_INTERNAL uint16_t store_f32_to_f16(float value) {
    uint32_t bits, sign;
    memcpy(&bits, &value, 4);
    sign = bits >> 16 & 0x8000, bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (uint16_t)(sign | 0x7e00 | (bits >> 13 & 0x3ff));
    if (bits >= 0x47800000u) return (uint16_t)(sign | 0x7c00); // 65536 and more; 65520 rounds there by itself below
    uint32_t exponent = bits >> 23, shift = 13, base = (exponent - 112) << 10, mantissa = bits & 0x7fffff;
    if (exponent < 113) { // below 2^-14: a subnormal, in units of 2^-24
        shift = 126 - exponent, base = 0, mantissa |= 0x800000;
        if (shift > 24) return (uint16_t)sign;
    }
    uint32_t half = 1u << (shift - 1), rest = mantissa & ((1u << shift) - 1), kept = base + (mantissa >> shift);
    if (rest > half || (rest == half && (kept & 1))) kept++; // may carry into the exponent, as it should
    return (uint16_t)(sign | kept);
}

DEIT_INTERNAL float store_f16_to_f32(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = bits >> 10 & 31, mantissa = bits & 0x3ff, wide;
    float value;
    if (exponent == 0) {
        value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    wide = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | mantissa << 13;
    memcpy(&value, &wide, 4);
    return value;
}

DEIT_INTERNAL base_status store_tensor_measure(store_tensor *t, bool strided) {
    size_t count = 1, room = SIZE_MAX / 16;
    bool empty = false;
    for (int i = 0; i < t->ndim; i++) {
        if (t->dim[i] < 0) return base_fail("a dimension of %lld", (long long)t->dim[i]);
        if (t->dim[i] == 0) empty = true;
    }
    for (int i = 0; i < t->ndim && !empty; i++) {
        if ((uint64_t)t->dim[i] > room / count) return base_fail("a shape of more elements than memory can hold");
        count *= (size_t)t->dim[i];
    }
    t->count = empty ? 0 : count;
    t->bytes = t->count * store_dtype_size(t->dtype);
    t->contiguous = true;
    int64_t step = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (!strided || t->dim[i] <= 1)
            t->stride[i] = step; // the stride of one element says nothing, and may be anything
        if (t->dim[i] > 1 && t->stride[i] != step) t->contiguous = false;
        if (!empty) step *= t->dim[i];
    }
    if (empty) t->contiguous = true;
    return BASE_OK;
}

DEIT_INTERNAL store_tensor store_tensor_of(const char *name, store_dtype dtype, int ndim, const int64_t *dim,
                                           const void *data) {
    store_tensor t = {.name = name, .dtype = dtype, .ndim = ndim, .data = data, .file = "memory"};
    for (int i = 0; i < ndim; i++) t.dim[i] = dim[i];
    if (store_tensor_measure(&t, false)) t.count = t.bytes = 0;
    return t;
}

DEIT_INTERNAL char *store_shape_text(const store_tensor *tensor, char text[192]) {
    int at = snprintf(text, 192, "[");
    for (int i = 0; i < tensor->ndim; i++)
        at += snprintf(text + at, (size_t)(192 - at), "%s%lld", i ? ", " : "", (long long)tensor->dim[i]);
    snprintf(text + at, (size_t)(192 - at), "]");
    return text;
}

/* ---- Copying ----------------------------------------------------------------------------------------------------- */

/* Goes over a tensor in C order as runs of `n` elements `stride` apart, so that only the innermost loop is hot. */
typedef struct {
    int outer;                                 // dimensions left outside of a run
    int64_t n, stride;                         // the run
    int64_t at[STORE_MAX_DIMS], element, runs; // where we are
} convert_walk;

static convert_walk convert_walk_start(const store_tensor *t) {
    convert_walk w = {.outer = t->ndim, .n = 1, .stride = 1};
    if (t->count == 0) return w;
    if (t->ndim > 0) {
        w.outer--;
        w.n = t->dim[w.outer], w.stride = t->stride[w.outer];
        while (w.outer > 0 && (w.n == 1 || t->stride[w.outer - 1] == w.n * w.stride)) { // two dimensions that are one
            w.outer--;
            if (w.n == 1) w.stride = t->stride[w.outer];
            w.n *= t->dim[w.outer];
        }
    }
    w.runs = (int64_t)t->count / w.n;
    return w;
}

static void convert_walk_next(convert_walk *w, const store_tensor *t) {
    for (int i = w->outer - 1; i >= 0; i--) {
        w->element += t->stride[i];
        if (++w->at[i] < t->dim[i]) return;
        w->element -= t->stride[i] * t->dim[i];
        w->at[i] = 0;
    }
}

static void convert_copy_run(const uint8_t *from, int64_t stride, int64_t n, size_t size, uint8_t *to) {
    if (stride == 1) {
        memcpy(to, from, (size_t)n * size);
        return;
    }
    int64_t step = stride * (int64_t)size;
    switch (size) { // a constant size makes memcpy a plain move
    case 1:
        for (int64_t i = 0; i < n; i++) to[i] = from[i * step];
        break;
    case 2:
        for (int64_t i = 0; i < n; i++) memcpy(to + 2 * i, from + i * step, 2);
        break;
    case 4:
        for (int64_t i = 0; i < n; i++) memcpy(to + 4 * i, from + i * step, 4);
        break;
    default:
        for (int64_t i = 0; i < n; i++) memcpy(to + 8 * i, from + i * step, 8);
        break;
    }
}

#define CONVERT_LOOP(type, expression)                                                                                 \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        type x;                                                                                                        \
        memcpy(&x, from + i * stride * (int64_t)sizeof x, sizeof x);                                                   \
        to[i] = (expression);                                                                                          \
    }                                                                                                                  \
    break

static void convert_f32_run(store_dtype dtype, const uint8_t *from, int64_t stride, int64_t n, float *to) {
    switch (dtype) {
    case STORE_F32: convert_copy_run(from, stride, n, 4, (uint8_t *)to); break;
    case STORE_F16: CONVERT_LOOP(uint16_t, store_f16_to_f32(x));
    case STORE_BF16: CONVERT_LOOP(uint16_t, store_bf16_to_f32(x));
    case STORE_F64: CONVERT_LOOP(double, (float)x);
    case STORE_I64: CONVERT_LOOP(int64_t, (float)x);
    case STORE_I32: CONVERT_LOOP(int32_t, (float)x);
    case STORE_I16: CONVERT_LOOP(int16_t, (float)x);
    case STORE_I8: CONVERT_LOOP(int8_t, (float)x);
    case STORE_U8: CONVERT_LOOP(uint8_t, (float)x);
    case STORE_BOOL: CONVERT_LOOP(uint8_t, x ? 1.0f : 0.0f);
    default: break;
    }
}
#undef CONVERT_LOOP

/* The first element in memory; *unpacked is to be freed. */
static base_status convert_data(const store_tensor *t, const uint8_t **data, void **unpacked) {
    *data = t->data, *unpacked = NULL;
    if (!t->packed || t->count == 0) return BASE_OK;
    if (!(*unpacked = base_malloc(t->bytes))) return BASE_ERROR;
    *data = *unpacked;
    base_status status = store_inflate(t->packed, t->packed_size, t->skip, *unpacked, t->bytes, t->file, t->name);
    if (status) base_free(*unpacked);
    return status;
}

DEIT_INTERNAL base_status store_read_raw(const store_tensor *t, void *out) {
    const uint8_t *data;
    void *unpacked;
    BASE_TRY(convert_data(t, &data, &unpacked));
    size_t size = store_dtype_size(t->dtype);
    convert_walk w = convert_walk_start(t);
    for (uint8_t *to = out; w.runs > 0; w.runs--, to += (size_t)w.n * size) {
        convert_copy_run(data + w.element * (int64_t)size, w.stride, w.n, size, to);
        convert_walk_next(&w, t);
    }
    base_free(unpacked);
    return BASE_OK;
}

DEIT_INTERNAL base_status store_read_f32(const store_tensor *t, float *out) {
    const uint8_t *data;
    void *unpacked;
    BASE_TRY(convert_data(t, &data, &unpacked));
    int64_t size = (int64_t)store_dtype_size(t->dtype);
    convert_walk w = convert_walk_start(t);
    for (float *to = out; w.runs > 0; w.runs--, to += w.n) {
        convert_f32_run(t->dtype, data + w.element * size, w.stride, w.n, to);
        convert_walk_next(&w, t);
    }
    base_free(unpacked);
    return BASE_OK;
}

DEIT_INTERNAL const float *store_f32(const store_tensor *t) {
    bool ready = t->dtype == STORE_F32 && t->contiguous && !t->packed && (uintptr_t)t->data % sizeof(float) == 0;
    return ready ? t->data : NULL;
}
