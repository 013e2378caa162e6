/* mat: MATLAB's level-5 files ("MAT-File Format", The MathWorks), in which ImageNet's devkit, Flowers and Cars keep
 * their labels. Read whole into arrays of numbers, texts, cells and structs; what else there is stands as an array
 * without content. */
#include "store/internal.h"

#include <string.h>
#include <zlib.h>

enum { MAT_HEADER = 128, MAT_DEEPEST = 16, MAT_LARGEST = 64 << 20 /* bytes of a file, and of what it unfolds to */ };
enum { MAT_SINGLE = 7, MAT_DOUBLE = 9, MAT_MATRIX = 14, MAT_COMPRESSED = 15, MAT_UTF8 = 16 }; // types of elements
enum { MAT_CELLS = 1, MAT_STRUCTS = 2, MAT_CHARS = 4, MAT_FIRST_NUMBERS = 6, MAT_LAST_NUMBERS = 15 }; // classes

struct store_mat {
    base_arena arena;
    const char *file;
    store_mat_array *first; // variables
    size_t unfolded;        // bytes inflated so far
};

/* An element: its type and its bytes. */
typedef struct {
    int type;
    const uint8_t *data;
    size_t size;
} mat_element;

/* What is left to read. */
typedef struct {
    const uint8_t *at, *end;
} mat_bytes;

static base_status mat_damaged(const store_mat *m, const char *what) {
    return base_fail("%s: damaged MATLAB file: %s; download it again", m->file, what);
}

/* A tag of type and size, or of both and up to 4 bytes of data in 8; elements are padded to 8 bytes, but not compressed
 * ones. */
static base_status mat_next(const store_mat *m, mat_bytes *bytes, mat_element *element) {
    size_t left = (size_t)(bytes->end - bytes->at);
    if (left < 8) return mat_damaged(m, "it ends in the middle");
    uint32_t tag = (uint32_t)store_little(bytes->at, 4);
    if (tag >> 16) {
        *element = (mat_element){(int)(tag & 0xffff), bytes->at + 4, tag >> 16};
        if (element->size > 4) return mat_damaged(m, "a small element of more than 4 bytes");
        bytes->at += 8;
        return BASE_OK;
    }
    *element = (mat_element){(int)tag, bytes->at + 8, (size_t)store_little(bytes->at + 4, 4)};
    if (element->size > left - 8) return mat_damaged(m, "it ends in the middle");
    size_t padded = element->type == MAT_COMPRESSED ? element->size : (element->size + 7) / 8 * 8;
    bytes->at += 8 + (padded < left - 8 ? padded : left - 8);
    return BASE_OK;
}

/* Bytes of a number of an element's type; 0 if it holds none. */
static size_t mat_width(int type) {
    static const uint8_t width[] = {0, 1, 1, 2, 2, 4, 4, 4, 0, 8, 0, 0, 8, 8, 0, 0, 1, 2, 4};
    return type >= 0 && type < (int)sizeof width ? width[type] : 0;
}

static double mat_number(int type, const uint8_t *at) {
    uint64_t bits = store_little(at, (int)mat_width(type));
    uint32_t narrow = (uint32_t)bits;
    float single;
    double value;
    switch (type) {
    case 1: return (int8_t)bits;
    case 3: return (int16_t)bits;
    case 5: return (int32_t)bits;
    case 12: return (double)(int64_t)bits;
    case MAT_SINGLE: memcpy(&single, &narrow, sizeof single); return (double)single;
    case MAT_DOUBLE: memcpy(&value, &bits, sizeof value); return value;
    default: return (double)bits;
    }
}

/* ---- The kinds of arrays ----------------------------------------------------------------------------------------- */

static base_status mat_numbers(store_mat *m, mat_bytes *bytes, store_mat_array *array) {
    mat_element data;
    BASE_TRY(mat_next(m, bytes, &data));
    size_t width = mat_width(data.type);
    if (!width || data.size / width != array->count) return mat_damaged(m, "an array of another size than it says");
    double *numbers = base_arena_alloc(&m->arena, array->count * sizeof *numbers + 1);
    if (!numbers) return BASE_ERROR;
    for (size_t i = 0; i < array->count; i++) numbers[i] = mat_number(data.type, data.data + i * width);
    array->numbers = numbers;
    return BASE_OK;
}

/* Characters of 1 or 2 bytes; those beyond ASCII become UTF-8, unless they are that already. */
static base_status mat_text(store_mat *m, mat_bytes *bytes, store_mat_array *array) {
    mat_element data;
    BASE_TRY(mat_next(m, bytes, &data));
    size_t width = mat_width(data.type);
    if (width != 1 && width != 2) return mat_damaged(m, "a text that is none");
    char *text = base_arena_alloc(&m->arena, data.size / width * 3 + 1), *to = text;
    if (!text) return BASE_ERROR;
    for (size_t i = 0; i + width <= data.size; i += width) {
        unsigned c = (unsigned)store_little(data.data + i, (int)width);
        if (c < 0x80 || data.type == MAT_UTF8) {
            *to++ = (char)c;
        } else if (c < 0x800) {
            *to++ = (char)(0xc0 | c >> 6), *to++ = (char)(0x80 | (c & 0x3f));
        } else {
            *to++ = (char)(0xe0 | c >> 12), *to++ = (char)(0x80 | (c >> 6 & 0x3f)), *to++ = (char)(0x80 | (c & 0x3f));
        }
    }
    array->text = text;
    return BASE_OK;
}

static base_status mat_array(store_mat *m, mat_element element, int depth, store_mat_array *array);

/* array->count * array->fields arrays, one after the other. Each takes a tag at least, so memory stays within a
 * multiple of the bytes. */
static base_status mat_items(store_mat *m, mat_bytes *bytes, int depth, store_mat_array *array) {
    size_t n;
    if (__builtin_mul_overflow(array->count, array->fields, &n) || n > (size_t)(bytes->end - bytes->at) / 8)
        return mat_damaged(m, "more items than bytes");
    if (!(array->items = base_arena_alloc(&m->arena, n * sizeof *array->items + 1))) return BASE_ERROR;
    for (size_t i = 0; i < n; i++) {
        mat_element item;
        BASE_TRY(mat_next(m, bytes, &item));
        if (item.type != MAT_MATRIX) return mat_damaged(m, "an item that is no array");
        BASE_TRY(mat_array(m, item, depth + 1, &array->items[i]));
    }
    return BASE_OK;
}

/* The names stand in a table of rows of equal length. */
static base_status mat_structs(store_mat *m, mat_bytes *bytes, int depth, store_mat_array *array) {
    mat_element length, names;
    BASE_TRY(mat_next(m, bytes, &length));
    BASE_TRY(mat_next(m, bytes, &names));
    size_t row = length.size == 4 ? (size_t)store_little(length.data, 4) : 0;
    if (row < 1 || row > 64) return mat_damaged(m, "a struct without names");
    array->fields = names.size / row;
    array->field_names = base_arena_alloc(&m->arena, array->fields * sizeof *array->field_names + 1);
    if (!array->field_names) return BASE_ERROR;
    for (size_t i = 0; i < array->fields; i++) {
        array->field_names[i] = base_arena_printf(&m->arena, "%.*s", (int)row, (const char *)names.data + i * row);
        if (!array->field_names[i]) return BASE_ERROR;
    }
    return mat_items(m, bytes, depth, array);
}

/* An array: flags, dimensions, name, content. No bytes at all: an empty one. */
static base_status mat_array(store_mat *m, mat_element element, int depth, store_mat_array *array) {
    mat_bytes bytes = {element.data, element.data + element.size};
    mat_element flags, shape, name;
    *array = (store_mat_array){.name = "", .kind = STORE_MAT_OTHER, .count = 0};
    if (depth > MAT_DEEPEST) return mat_damaged(m, "arrays in arrays too deep");
    if (!element.size) return BASE_OK;
    BASE_TRY(mat_next(m, &bytes, &flags));
    BASE_TRY(mat_next(m, &bytes, &shape));
    BASE_TRY(mat_next(m, &bytes, &name));
    if (flags.size < 4 || shape.size % 4) return mat_damaged(m, "an array without flags or shape");
    if (!(array->name = base_arena_printf(&m->arena, "%.*s", (int)(name.size < 1000 ? name.size : 1000),
                                          (const char *)name.data)))
        return BASE_ERROR;
    array->count = 1;
    for (size_t i = 0; i < shape.size; i += 4)
        if (__builtin_mul_overflow(array->count, (size_t)store_little(shape.data + i, 4), &array->count))
            return mat_damaged(m, "an array of more elements than memory can hold");
    int class = flags.data[0];
    array->kind = class == MAT_CELLS                                        ? STORE_MAT_CELL
                  : class == MAT_STRUCTS                                    ? STORE_MAT_STRUCT
                  : class == MAT_CHARS                                      ? STORE_MAT_TEXT
                  : class >= MAT_FIRST_NUMBERS && class <= MAT_LAST_NUMBERS ? STORE_MAT_NUMBERS
                                                                            : STORE_MAT_OTHER;
    switch (array->kind) {
    case STORE_MAT_NUMBERS: return mat_numbers(m, &bytes, array);
    case STORE_MAT_TEXT: return mat_text(m, &bytes, array);
    case STORE_MAT_CELL: array->fields = 1; return mat_items(m, &bytes, depth, array);
    case STORE_MAT_STRUCT: return mat_structs(m, &bytes, depth, array);
    case STORE_MAT_OTHER: break;
    }
    return BASE_OK;
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

/* Inflates a compressed element, which does not say how large it was; *out is to be freed. */
static base_status mat_inflate(store_mat *m, mat_element element, uint8_t **out, size_t *size) {
    size_t capacity = 0;
    int word = Z_OK;
    base_status status = BASE_OK;
    z_stream z = {.next_in = (Bytef *)element.data, .avail_in = (uInt)element.size};
    *out = NULL, *size = 0;
    if (inflateInit(&z) != Z_OK) return base_fail("%s: cannot inflate: out of memory", m->file);
    while (!status && word == Z_OK) {
        uint8_t *larger = base_realloc(*out, capacity = capacity * 2 + 4096);
        if (larger) {
            *out = larger;
            z.next_out = larger + *size, z.avail_out = (uInt)(capacity - *size);
            word = inflate(&z, Z_NO_FLUSH);
            *size = capacity - z.avail_out;
        }
        if (!larger)
            status = BASE_ERROR;
        else if (m->unfolded + *size > MAT_LARGEST)
            status = base_fail("%s: unfolds to more than %d bytes, which no list of labels does", m->file, MAT_LARGEST);
        else if (word != Z_STREAM_END && (word != Z_OK || z.avail_out))
            status = mat_damaged(m, "compressed data that cannot be read");
    }
    inflateEnd(&z);
    m->unfolded += *size;
    return status;
}

static base_status mat_variable(store_mat *m, mat_element element) {
    store_mat_array *array = base_arena_alloc(&m->arena, sizeof *array);
    if (!array) return BASE_ERROR;
    BASE_TRY(mat_array(m, element, 0, array));
    array->next = m->first, m->first = array;
    return BASE_OK;
}

static base_status mat_variables(store_mat *m, mat_bytes bytes) {
    mat_element element;
    while (bytes.at < bytes.end) {
        BASE_TRY(mat_next(m, &bytes, &element));
        if (element.type == MAT_COMPRESSED) {
            uint8_t *data;
            size_t size;
            base_status status = mat_inflate(m, element, &data, &size);
            mat_bytes inside = {data, data + size};
            if (!status) status = mat_next(m, &inside, &element);
            if (!status && element.type == MAT_MATRIX) status = mat_variable(m, element);
            base_free(data);
            if (status) return status;
        } else if (element.type == MAT_MATRIX) {
            BASE_TRY(mat_variable(m, element));
        }
    }
    return BASE_OK;
}

static base_status mat_read(store_mat *m, const uint8_t *data, size_t size) {
    if (size < MAT_HEADER || memcmp(data + 126, "IM", 2)) {
        if (size > 8 && !memcmp(data, "\x89HDF\r\n\x1a\n", 8))
            return base_fail("%s: a MATLAB file of version 7.3; level 5 expected: save it with -v7", m->file);
        return base_fail("%s: not a MATLAB file of level 5", m->file);
    }
    return mat_variables(m, (mat_bytes){data + MAT_HEADER, data + size});
}

DEIT_INTERNAL base_status store_mat_open_memory(store_mat **out, const void *data, size_t size, const char *name) {
    *out = NULL;
    store_mat *m = base_calloc(1, sizeof *m);
    if (!m) return BASE_ERROR;
    m->file = base_arena_printf(&m->arena, "%s", name);
    base_status status = m->file ? mat_read(m, data, size) : BASE_ERROR;
    if (status)
        store_mat_close(m);
    else
        *out = m;
    return status;
}

DEIT_INTERNAL base_status store_mat_open(store_mat **out, const char *path) {
    char *data;
    size_t size;
    *out = NULL;
    BASE_TRY(base_read_file(path, MAT_LARGEST, &data, &size));
    base_status status = store_mat_open_memory(out, data, size, path);
    base_free(data);
    return status;
}

DEIT_INTERNAL void store_mat_close(store_mat *m) {
    if (!m) return;
    base_arena_free(&m->arena);
    base_free(m);
}

DEIT_INTERNAL const store_mat_array *store_mat_find(const store_mat *m, const char *name) {
    for (const store_mat_array *array = m->first; array; array = array->next)
        if (!strcmp(array->name, name)) return array;
    return NULL;
}

DEIT_INTERNAL const store_mat_array *store_mat_field(const store_mat_array *array, size_t i, const char *name) {
    for (size_t f = 0; array->kind == STORE_MAT_STRUCT && i < array->count && f < array->fields; f++)
        if (!strcmp(array->field_names[f], name)) return &array->items[i * array->fields + f];
    return NULL;
}
