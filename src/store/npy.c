/* npy: numpy's arrays (numpy.lib.format, versions 1 to 3), alone or in a zip (npz). */
#include "store/internal.h"

#include <string.h>

enum { NPY_HEADER = 65536 + 12 };

/* A cursor in the header's text, which is a Python dict literal. */
typedef struct {
    const char *at, *end;
} npy_text;

static void npy_space(npy_text *text) {
    while (text->at < text->end && strchr(" \t\r\n", *text->at)) text->at++;
}

static bool npy_accept(npy_text *text, char c) {
    npy_space(text);
    if (text->at >= text->end || *text->at != c) return false;
    text->at++;
    return true;
}

static bool npy_quoted(npy_text *text, store_text *word) {
    npy_space(text);
    if (text->at >= text->end || (*text->at != '\'' && *text->at != '"')) return false;
    char quote = *text->at++;
    word->data = text->at;
    while (text->at < text->end && *text->at != quote) text->at++;
    word->size = (size_t)(text->at - word->data);
    return npy_accept(text, quote);
}

static bool npy_word(npy_text *text, const char *word) {
    npy_space(text);
    size_t n = strlen(word);
    if ((size_t)(text->end - text->at) < n || memcmp(text->at, word, n)) return false;
    text->at += n;
    return true;
}

/* "(3, 4)", "(3,)", "()"; Python 2 wrote "(3L, 4L)". */
static bool npy_shape(npy_text *text, store_tensor *t) {
    if (!npy_accept(text, '(')) return false;
    while (!npy_accept(text, ')')) {
        int64_t dim = 0;
        int digits = 0;
        npy_space(text);
        for (; text->at < text->end && *text->at >= '0' && *text->at <= '9' && digits < 18; digits++)
            dim = dim * 10 + (*text->at++ - '0');
        if (!digits || t->ndim == STORE_MAX_DIMS) return false;
        t->dim[t->ndim++] = dim;
        npy_accept(text, 'L');
        if (!npy_accept(text, ',') && (text->at >= text->end || *text->at != ')')) return false;
    }
    return true;
}

/* "<f4" and the like; -1 for others. */
static int npy_dtype(store_text descr) {
    static const struct {
        const char *code;
        store_dtype dtype;
    } known[] = {{"f4", STORE_F32}, {"f2", STORE_F16}, {"f8", STORE_F64}, {"i8", STORE_I64}, {"i4", STORE_I32},
                 {"i2", STORE_I16}, {"i1", STORE_I8},  {"u1", STORE_U8},  {"b1", STORE_BOOL}};
    if (descr.size != 3 || !strchr("<|=>", descr.data[0])) return -1;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!memcmp(known[i].code, descr.data + 1, 2))
            return descr.data[0] == '>' && descr.data[2] != '1' ? -1 : (int)known[i].dtype;
    return -1;
}

/* Reads the dict; *known: its type is one of ours; fortran: the first dimension runs fastest. */
static bool npy_dict(npy_text text, store_tensor *t, bool *fortran, bool *known, store_text *descr) {
    bool has_descr = false, has_order = false, has_shape = false;
    store_text key;
    if (!npy_accept(&text, '{')) return false;
    while (!npy_accept(&text, '}')) {
        if (!npy_quoted(&text, &key) || !npy_accept(&text, ':')) return false;
        if (store_text_is(key, "descr")) {
            const char *start = text.at;
            if (npy_quoted(&text, descr)) {
                int dtype = npy_dtype(*descr);
                if ((*known = dtype >= 0)) t->dtype = (store_dtype)dtype;
            } else { // a list: fields of records, which no weights have
                *descr = (store_text){start, (size_t)(text.end - start)};
                *known = false;
                return true;
            }
            has_descr = true;
        } else if (store_text_is(key, "fortran_order")) {
            *fortran = npy_word(&text, "True");
            has_order = *fortran || npy_word(&text, "False");
        } else if (store_text_is(key, "shape")) {
            t->ndim = 0;
            has_shape = npy_shape(&text, t);
        } else {
            return false;
        }
        npy_accept(&text, ',');
    }
    return has_descr && has_order && has_shape;
}

/* Reads the header of an array of `size` bytes, of which `have` lie at data. *skip: the header's length. reason: why
 * the array cannot be used, "" if it can. */
static base_status npy_header(const uint8_t *data, size_t have, size_t size, const char *file, const char *name,
                              store_tensor *t, size_t *skip, char reason[192]) {
    reason[0] = 0;
    if (have < 12 || memcmp(data, "\x93NUMPY", 6))
        return base_fail("%s: %s: not an npy array, or cut short; download it again", file, name);
    int wide = data[6] == 1 ? 2 : 4;
    if (data[6] < 1 || data[6] > 3) return base_fail("%s: %s: npy version %d, expected 1 to 3", file, name, data[6]);
    size_t length = store_little(data + 8, wide), begin = 8 + (size_t)wide;
    if (length > have - begin)
        return base_fail("%s: %s: a header of %zu bytes where %zu are left: damaged or cut short; download it again",
                         file, name, length, have - begin);
    *skip = begin + length;
    npy_text text = {(const char *)data + begin, (const char *)data + begin + length};
    bool fortran = false, known = false;
    store_text descr = {"", 0};
    if (!npy_dict(text, t, &fortran, &known, &descr)) return base_fail("%s: %s: damaged npy header", file, name);
    if (!known) {
        snprintf(reason, 192, "its numpy type is %.*s; little-endian floats expected",
                 descr.size > 60 ? 60 : (int)descr.size, descr.data);
        return BASE_OK;
    }
    if (store_tensor_measure(t, false)) return base_fail_in(BASE_ERROR, "%s: %s", file, name);
    if (fortran && t->count) {
        int64_t step = 1;
        for (int i = 0; i < t->ndim; i++) t->stride[i] = step, step *= t->dim[i];
        BASE_TRY(store_tensor_measure(t, true));
    }
    if (t->bytes > size - *skip)
        return base_fail("%s: %s: %zu bytes of data expected, %zu found: it is cut short; download it again", file,
                         name, t->bytes, size - *skip);
    return BASE_OK;
}

DEIT_INTERNAL base_status store_read_npy(store *s) {
    store_tensor t = {0};
    size_t skip;
    char reason[192];
    BASE_TRY(npy_header(s->data, s->size, s->size, s->file, "array", &t, &skip, reason));
    if (reason[0]) return base_fail("%s: %s", s->file, reason);
    t.data = t.count ? s->data + skip : NULL;
    return store_add(s, &t, "array");
}

/* A member: "name.npy" becomes the tensor "name". */
static base_status npy_member(store *s, const store_zip_entry *entry, const char *name) {
    store_tensor t = {0};
    size_t skip;
    char reason[192];
    const uint8_t *packed;
    BASE_TRY(store_zip_data(s->data, s->size, s->file, entry, &packed));
    if (entry->method != 0 && entry->method != 8) {
        snprintf(reason, sizeof reason, "it is compressed by zip's method %d; stored or deflated expected",
                 entry->method);
        return store_add_blocked(s, name, reason);
    }
    if (entry->method == 0) {
        BASE_TRY(npy_header(packed, entry->size, entry->size, s->file, name, &t, &skip, reason));
        t.data = t.count ? packed + skip : NULL;
    } else {
        size_t have = entry->size < NPY_HEADER ? entry->size : NPY_HEADER;
        uint8_t *header = base_malloc(have + 1);
        if (!header) return BASE_ERROR;
        base_status status = store_inflate(packed, entry->packed, 0, header, have, s->file, name);
        if (!status) status = npy_header(header, have, entry->size, s->file, name, &t, &skip, reason);
        base_free(header);
        if (status) return status;
        t.packed = packed, t.packed_size = entry->packed, t.skip = skip;
    }
    if (reason[0]) return store_add_blocked(s, name, reason);
    if (t.bytes != entry->size - skip)
        return base_fail("%s: %s: %zu bytes of data expected, %llu found; the file is damaged", s->file, name, t.bytes,
                         (unsigned long long)(entry->size - skip));
    return store_add(s, &t, name);
}

DEIT_INTERNAL base_status store_read_npz(store *s) {
    store_zip_entry *entries;
    size_t count;
    BASE_TRY(store_zip_directory(s->data, s->size, s->file, &s->arena, &entries, &count));
    base_status status = BASE_OK;
    for (size_t i = 0; i < count && !status; i++) {
        char name[STORE_LONGEST_NAME + 1];
        size_t n = strlen(entries[i].name);
        if (n < 4 || n > STORE_LONGEST_NAME || strcmp(entries[i].name + n - 4, ".npy")) continue;
        memcpy(name, entries[i].name, n - 4);
        name[n - 4] = 0;
        status = npy_member(s, &entries[i], name);
    }
    base_free(entries);
    return status;
}

DEIT_INTERNAL base_status store_write_npy(const char *path, const float *data, int ndim, const int64_t *dim) {
    base_text header = {0};
    base_output *output;
    store_tensor t = store_tensor_of("array", STORE_F32, ndim, dim, data);
    base_text_printf(&header, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < ndim; i++)
        base_text_printf(&header, i == 0 ? "%lld," : i == 1 ? " %lld" : ", %lld", (long long)dim[i]);
    base_text_printf(&header, "), }");
    size_t padding = (64 - (10 + header.size + 1) % 64) % 64; // the data begins at a multiple of 64
    base_text_printf(&header, "%*s\n", (int)padding, "");
    base_status status = header.failed ? BASE_ERROR : base_output_open(&output, path);
    if (!status) {
        uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)header.size, (uint8_t)(header.size >> 8)};
        status = base_output_write(output, magic, sizeof magic);
        if (!status) status = base_output_write(output, header.data, header.size);
        if (!status) status = base_output_write(output, data, t.bytes);
        if (status)
            base_output_abort(output);
        else
            status = base_output_commit(output);
    }
    base_text_free(&header);
    return status;
}
