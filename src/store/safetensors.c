/* safetensors: 8 bytes of header length, a JSON header, and the data (huggingface/safetensors, README "Format"). */
#include "store/internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int safetensors_dtype(const char *name) {
    for (int i = 0; i < STORE_DTYPES; i++)
        if (!strcmp(name, store_dtype_name((store_dtype)i))) return i;
    return -1;
}

/* The types of the format that have no use here; a tensor of theirs is an error only if it is wanted. */
static bool safetensors_foreign(const char *name) {
    static const char *const foreign[] = {"U16",     "U32",     "U64",     "F8_E4M3", "F8_E5M2",
                                          "F8_E8M0", "F6_E2M3", "F6_E3M2", "F4",      "C64"};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (!strcmp(name, foreign[i])) return true;
    return false;
}

static base_status safetensors_shape(const store *s, const char *name, json_t *shape, store_tensor *t) {
    size_t n = json_array_size(shape);
    if (!json_is_array(shape)) return base_fail("%s: tensor %s: no \"shape\" list in the header", s->file, name);
    if (n > STORE_MAX_DIMS)
        return base_fail("%s: tensor %s: %zu dimensions, at most %d expected", s->file, name, n, STORE_MAX_DIMS);
    t->ndim = (int)n;
    for (size_t i = 0; i < n; i++) {
        json_t *dim = json_array_get(shape, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return base_fail("%s: tensor %s: a dimension that is not a whole number", s->file, name);
        t->dim[i] = json_integer_value(dim);
    }
    return BASE_OK;
}

/* Reads "data_offsets" and sets *begin and *end, bytes in the data of `size` bytes. */
static base_status safetensors_offsets(const store *s, const char *name, json_t *offsets, size_t size, size_t *begin,
                                       size_t *end) {
    json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return base_fail("%s: tensor %s: no \"data_offsets\" pair in the header", s->file, name);
    json_int_t from = json_integer_value(first), to = json_integer_value(second);
    if (from < 0 || to < from)
        return base_fail("%s: tensor %s: its data runs from byte %lld to %lld; the file is damaged", s->file, name,
                         (long long)from, (long long)to);
    if ((uint64_t)to > size)
        return base_fail(
            "%s: tensor %s ends at byte %lld of the data, but the file holds %zu: it is cut short; download "
            "it again",
            s->file, name, (long long)to, size);
    *begin = (size_t)from, *end = (size_t)to;
    return BASE_OK;
}

typedef struct {
    size_t begin, end;
    const char *name; // in the JSON
} safetensors_extent;

static int safetensors_compare(const void *a, const void *b) {
    const safetensors_extent *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static base_status safetensors_one(store *s, const char *name, json_t *value, const uint8_t *data, size_t size,
                                   safetensors_extent *extent) {
    store_tensor t = {0};
    char shape[192], reason[256];
    if (strlen(name) > STORE_LONGEST_NAME) return base_fail("%s: a tensor's name of more than 1024 letters", s->file);
    const char *type = json_string_value(json_object_get(value, "dtype"));
    if (!type) return base_fail("%s: tensor %s: no \"dtype\" in the header", s->file, name);
    BASE_TRY(safetensors_offsets(s, name, json_object_get(value, "data_offsets"), size, &extent->begin, &extent->end));
    extent->name = name;
    int dtype = safetensors_dtype(type);
    if (dtype < 0 && safetensors_foreign(type)) {
        snprintf(reason, sizeof reason, "its type is %s; F32, F16, BF16 or F64 expected", type);
        return store_add_blocked(s, name, reason);
    }
    if (dtype < 0)
        return base_fail("%s: tensor %s: unknown dtype \"%.40s\"; F32, F16, BF16 or F64 expected; the file is damaged",
                         s->file, name, type);
    t.dtype = (store_dtype)dtype;
    BASE_TRY(safetensors_shape(s, name, json_object_get(value, "shape"), &t));
    if (store_tensor_measure(&t, false)) return base_fail_in(BASE_ERROR, "%s: tensor %s", s->file, name);
    if (t.bytes != extent->end - extent->begin)
        return base_fail("%s: tensor %s: %s of %s takes %zu bytes, its offsets give it %zu; the file is damaged",
                         s->file, name, store_shape_text(&t, shape), type, t.bytes, extent->end - extent->begin);
    t.data = t.count ? data + extent->begin : NULL;
    return store_add(s, &t, name);
}

static base_status safetensors_metadata(store *s, json_t *values) {
    const char *key;
    json_t *value;
    if (!json_is_object(values)) return base_fail("%s: __metadata__ is not an object of strings", s->file);
    json_object_foreach(values, key, value) {
        if (!json_is_string(value)) return base_fail("%s: __metadata__ \"%.100s\" is not a string", s->file, key);
        store_pair *pair = base_arena_alloc(&s->arena, sizeof *pair);
        if (!pair) return BASE_ERROR;
        pair->key = base_arena_printf(&s->arena, "%s", key);
        pair->value = base_arena_printf(&s->arena, "%s", json_string_value(value));
        if (!pair->key || !pair->value) return BASE_ERROR;
        if (s->metadata_last)
            s->metadata_last->next = pair;
        else
            s->metadata = pair;
        s->metadata_last = pair;
    }
    return BASE_OK;
}

/* The data must be covered without gap or overlap, as the format demands. */
static base_status safetensors_cover(const store *s, safetensors_extent *extents, size_t n, size_t size) {
    size_t covered = 0;
    const char *before = "the header";
    qsort(extents, n, sizeof *extents, safetensors_compare);
    for (size_t i = 0; i < n; i++) {
        if (extents[i].begin < covered)
            return base_fail("%s: tensors %s and %s overlap; the file is damaged", s->file, before, extents[i].name);
        if (extents[i].begin > covered)
            return base_fail("%s: %zu bytes between %s and %s belong to no tensor; the file is damaged", s->file,
                             extents[i].begin - covered, before, extents[i].name);
        covered = extents[i].end, before = extents[i].name;
    }
    if (covered != size)
        return base_fail("%s: %zu bytes after the last tensor; the file is damaged", s->file, size - covered);
    return BASE_OK;
}

static base_status safetensors_header(store *s, json_t *header, const uint8_t *data, size_t size) {
    const char *name;
    json_t *value;
    size_t n = 0;
    if (!json_is_object(header)) return base_fail("%s: the header is not a JSON object", s->file);
    safetensors_extent *extents = base_malloc((json_object_size(header) + 1) * sizeof *extents);
    base_status status = extents ? BASE_OK : BASE_ERROR;
    json_object_foreach(header, name, value) {
        if (status) break;
        if (!strcmp(name, "__metadata__"))
            status = safetensors_metadata(s, value);
        else
            status = safetensors_one(s, name, value, data, size, &extents[n++]);
    }
    if (!status) status = safetensors_cover(s, extents, n, size);
    base_free(extents);
    return status;
}

DEIT_INTERNAL base_status store_read_safetensors(store *s) {
    if (s->size < 10)
        return base_fail("%s: %zu bytes are too few for any file of weights; download it again", s->file, s->size);
    uint64_t length = store_little(s->data, 8);
    if (s->data[8] != '{')
        return base_fail("%s: neither safetensors, torch (.pth), npz nor npy; expected a file of weights", s->file);
    if (length > STORE_HEADER_LIMIT)
        return base_fail("%s: a header of %llu bytes, at most %d allowed; the file is damaged", s->file,
                         (unsigned long long)length, STORE_HEADER_LIMIT);
    if (length > s->size - 8)
        return base_fail("%s: a header of %llu bytes in a file of %zu: it is cut short; download it again", s->file,
                         (unsigned long long)length, s->size);
    json_error_t error;
    json_t *header = json_loadb((const char *)s->data + 8, length, JSON_REJECT_DUPLICATES, &error);
    if (!header)
        return base_fail("%s: the header is not valid JSON: %s at byte %d; the file is damaged", s->file, error.text,
                         error.position);
    base_status status = safetensors_header(s, header, s->data + 8 + length, s->size - 8 - length);
    json_decref(header);
    return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const store_tensor *tensor;
    store_dtype as;
    size_t place; // in the caller's order
} safetensors_item;

/* Wide types first, so that every tensor is aligned to its own element. */
static int safetensors_order(const void *a, const void *b) {
    const safetensors_item *x = a, *y = b;
    size_t p = store_dtype_size(x->as), q = store_dtype_size(y->as);
    if (p != q) return p > q ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static json_t *safetensors_describe(const safetensors_item *item, size_t *offset) {
    const store_tensor *t = item->tensor;
    size_t end = *offset + t->count * store_dtype_size(item->as);
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++) json_array_append_new(shape, json_integer(t->dim[i]));
    json_t *value = json_pack("{s:s, s:o, s:[I, I]}", "dtype", store_dtype_name(item->as), "shape", shape,
                              "data_offsets", (json_int_t)*offset, (json_int_t)end);
    *offset = end;
    return value;
}

static int safetensors_dump(const char *data, size_t size, void *text) {
    base_text_add(text, data, size);
    return ((base_text *)text)->failed ? -1 : 0;
}

/* The header's JSON. */
static base_status safetensors_compose(const char *path, const safetensors_item *items, size_t n,
                                       const char *const *metadata, base_text *text) {
    json_t *header = json_object();
    size_t offset = 0;
    bool good = header != NULL;
    if (metadata && metadata[0]) {
        json_t *pairs = json_object();
        for (size_t i = 0; metadata[i]; i += 2)
            good &= !json_object_set_new(pairs, metadata[i], json_string(metadata[i + 1]));
        good &= !json_object_set_new(header, "__metadata__", pairs);
    }
    for (size_t i = 0; i < n && good; i++) {
        const char *name = items[i].tensor->name;
        if (json_object_get(header, name)) {
            json_decref(header);
            return base_fail("%s: two tensors to write are named %s", path, name);
        }
        good &= !json_object_set_new(header, name, safetensors_describe(&items[i], &offset));
    }
    good = good && !json_dump_callback(header, safetensors_dump, text, JSON_COMPACT) && !text->failed;
    json_decref(header);
    if (text->failed) return BASE_ERROR;
    return good ? BASE_OK : base_fail("%s: cannot make the header: a name is not UTF-8", path);
}

/* To half the width in place, from the front. */
static base_status safetensors_narrow(const char *path, const safetensors_item *item, void *buffer) {
    bool half = item->as == STORE_F16;
    const float *from = buffer;
    uint16_t *to = buffer, infinity = half ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < item->tensor->count; i++) {
        float x = from[i];
        uint16_t y = half ? store_f32_to_f16(x) : store_f32_to_bf16(x);
        if ((y & 0x7fff) == infinity && isfinite(x))
            return base_fail("%s: tensor %s: element %zu is %g, beyond %s's largest number, %s: choose %s", path,
                             item->tensor->name, i, (double)x, store_dtype_name(item->as), half ? "65504" : "3.39e38",
                             half ? "bf16 or f32" : "f32");
        memcpy(to + i, &y, sizeof y);
    }
    return BASE_OK;
}

static base_status safetensors_put(const char *path, base_output *output, const safetensors_item *item) {
    const store_tensor *t = item->tensor;
    size_t size = t->count * store_dtype_size(item->as);
    if (t->count == 0) return BASE_OK;
    if (item->as == t->dtype && t->contiguous && !t->packed) return base_output_write(output, t->data, size);
    if (item->as != t->dtype && item->as != STORE_F32 && item->as != STORE_F16 && item->as != STORE_BF16)
        return base_fail("tensor %s: cannot write %s as %s", t->name, store_dtype_name(t->dtype),
                         store_dtype_name(item->as));
    size_t wide = item->as == t->dtype ? size : t->count * sizeof(float);
    void *buffer = base_malloc(wide);
    if (!buffer) return BASE_ERROR;
    base_status status = item->as == t->dtype ? store_read_raw(t, buffer) : store_read_f32(t, buffer);
    if (!status && item->as != t->dtype && item->as != STORE_F32) status = safetensors_narrow(path, item, buffer);
    if (!status) status = base_output_write(output, buffer, size);
    base_free(buffer);
    return status;
}

static base_status safetensors_write(const char *path, const base_text *header, const safetensors_item *items,
                                     size_t n) {
    base_output *output;
    uint8_t length[8];
    size_t padding = (8 - header->size % 8) % 8;
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)(header->size + padding) >> (8 * i));
    BASE_TRY(base_output_open(&output, path));
    base_status status = base_output_write(output, length, 8);
    if (!status) status = base_output_write(output, header->data, header->size);
    if (!status) status = base_output_write(output, "        ", padding);
    for (size_t i = 0; i < n && !status; i++) status = safetensors_put(path, output, &items[i]);
    if (!status) return base_output_commit(output);
    base_output_abort(output);
    return status;
}

DEIT_INTERNAL base_status store_write_safetensors(const char *path, const store_tensor *tensors, const store_dtype *as,
                                                  size_t n, const char *const *metadata) {
    safetensors_item *items = base_malloc((n + 1) * sizeof *items);
    if (!items) return BASE_ERROR;
    for (size_t i = 0; i < n; i++) items[i] = (safetensors_item){&tensors[i], as ? as[i] : tensors[i].dtype, i};
    qsort(items, n, sizeof *items, safetensors_order);
    base_text header = {0};
    base_status status = safetensors_compose(path, items, n, metadata, &header);
    if (!status) status = safetensors_write(path, &header, items, n);
    base_text_free(&header);
    base_free(items);
    return status;
}
