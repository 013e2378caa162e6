/* torch: checkpoints of torch.save, in the zip of today (torch/serialization.py, _save) and the older stream of pickles
 * (_legacy_save). */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- What torch's functions and persistent ids stand for --------------------------------------------------------- */

static store_value *torch_inert(base_arena *arena, const store_value *cause, bool misused) {
    store_value *value = store_value_new(arena, STORE_VALUE_INERT);
    if (!value) return NULL;
    if (cause->kind == STORE_VALUE_GLOBAL || cause->kind == STORE_VALUE_INERT) value->u.global = cause->u.global;
    value->u.global.misused |= misused;
    return value;
}

/* The i-th item of a list or tuple; NULL past its end. */
static const store_value *torch_item(const store_value *items, size_t i) {
    const store_cell *cell = items->u.items.first;
    while (cell && i--) cell = cell->next;
    return cell ? cell->value : NULL;
}

/* Whole numbers >= 0 of a tuple into out; -1 if they are not, or too many. */
static int torch_numbers(const store_value *tuple, int64_t out[STORE_MAX_DIMS]) {
    int n = 0;
    if (!tuple || (tuple->kind != STORE_VALUE_TUPLE && tuple->kind != STORE_VALUE_LIST)) return -1;
    for (const store_cell *cell = tuple->u.items.first; cell; cell = cell->next) {
        if (n == STORE_MAX_DIMS || cell->value->kind != STORE_VALUE_INT || cell->value->u.integer < 0) return -1;
        out[n++] = cell->value->u.integer;
    }
    return n;
}

static const struct {
    const char *storage, *dtype;
} torch_types[STORE_DTYPES] = {
    [STORE_F32] = {"FloatStorage", "float32"},      [STORE_F16] = {"HalfStorage", "float16"},
    [STORE_BF16] = {"BFloat16Storage", "bfloat16"}, [STORE_F64] = {"DoubleStorage", "float64"},
    [STORE_I64] = {"LongStorage", "int64"},         [STORE_I32] = {"IntStorage", "int32"},
    [STORE_I16] = {"ShortStorage", "int16"},        [STORE_I8] = {"CharStorage", "int8"},
    [STORE_U8] = {"ByteStorage", "uint8"},          [STORE_BOOL] = {"BoolStorage", "bool"},
};

enum { TORCH_UNTYPED = -1, TORCH_FOREIGN = -2 };
/* A storage's element type and size. Foreign: no tensor of it is read, but in the older stream it takes its place. */
static int torch_storage_type(store_text name, size_t *size) {
    static const struct {
        const char *storage;
        int type;
        size_t size;
    } others[] = {{"UntypedStorage", TORCH_UNTYPED, 1},        {"ComplexFloatStorage", TORCH_FOREIGN, 8},
                  {"ComplexDoubleStorage", TORCH_FOREIGN, 16}, {"QInt8Storage", TORCH_FOREIGN, 1},
                  {"QUInt8Storage", TORCH_FOREIGN, 1},         {"QInt32Storage", TORCH_FOREIGN, 4}};
    for (int i = 0; i < STORE_DTYPES; i++)
        if (store_text_is(name, torch_types[i].storage)) return *size = store_dtype_size((store_dtype)i), i;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (store_text_is(name, others[i].storage)) return *size = others[i].size, others[i].type;
    return TORCH_FOREIGN;
}

/* Where the last element ends, in bytes from the first; false where that cannot be. */
static bool torch_extent(const store_tensor *t, uint64_t *bytes) {
    uint64_t last = 0, step;
    for (int i = 0; i < t->ndim && t->count; i++)
        if (__builtin_mul_overflow((uint64_t)t->dim[i] - 1, (uint64_t)t->stride[i], &step) ||
            __builtin_add_overflow(last, step, &last))
            return false;
    return t->count == 0 ? (*bytes = 0, true) : !__builtin_mul_overflow(last + 1, store_dtype_size(t->dtype), bytes);
}

/* (storage, offset, size, stride, ...): NULL where the arguments are not that. A tensor may not have more elements than
 * its storage (an expanded one has), lest a small file ask for much memory. */
static store_tensor *torch_view(base_arena *arena, const store_value *arguments, int dtype, uint64_t *offset) {
    const store_value *storage = torch_item(arguments, 0), *start = torch_item(arguments, 1);
    if (!storage || storage->kind != STORE_VALUE_STORAGE || !start || start->kind != STORE_VALUE_INT) return NULL;
    if (start->u.integer < 0 || dtype < 0) return NULL;
    store_tensor t = {.dtype = (store_dtype)dtype};
    t.ndim = torch_numbers(torch_item(arguments, 2), t.dim);
    if (t.ndim < 0 || torch_numbers(torch_item(arguments, 3), t.stride) != t.ndim || store_tensor_measure(&t, true))
        return NULL;
    uint64_t extent, end;
    if (!torch_extent(&t, &extent) ||
        __builtin_mul_overflow((uint64_t)start->u.integer, store_dtype_size(t.dtype), offset) ||
        __builtin_add_overflow(*offset, extent, &end) || __builtin_add_overflow(end, storage->u.storage->offset, &end))
        return NULL;
    if (t.count && (end > storage->u.storage->bytes || t.bytes > storage->u.storage->bytes)) return NULL;
    store_tensor *view = base_arena_alloc(arena, sizeof *view);
    return view ? memcpy(view, &t, sizeof t) : NULL;
}

static store_value *torch_rebuild(base_arena *arena, const store_value *function, const store_value *arguments,
                                  bool typed) {
    const store_value *storage = torch_item(arguments, 0), *type = typed ? torch_item(arguments, 6) : NULL;
    if (!storage) return torch_inert(arena, function, true);
    if (storage->kind == STORE_VALUE_INERT) return torch_inert(arena, storage, false);
    int dtype = storage->kind == STORE_VALUE_STORAGE ? storage->u.storage->dtype : -1;
    for (int i = 0; i < STORE_DTYPES && type; i++)
        if (store_global_is(type, "torch", torch_types[i].dtype)) dtype = i;
    if (type && type->kind == STORE_VALUE_GLOBAL && dtype < 0) { /* float8, or a wide type without a sign */
        store_value *foreign = torch_inert(arena, type, false);
        if (foreign) foreign->u.global.element = true;
        return foreign;
    }
    /* What is said behind the backward hooks, such as that the sign is turned, changes the values. */
    const store_value *more = torch_item(arguments, typed ? 7 : 6);
    if (more && !(more->kind == STORE_VALUE_DICT && more->u.items.count == 0) && more->kind != STORE_VALUE_NONE)
        return torch_inert(arena, function, true);
    store_value *value = store_value_new(arena, STORE_VALUE_TENSOR);
    if (!value) return NULL;
    value->u.tensor.view = torch_view(arena, arguments, dtype, &value->u.tensor.offset);
    if (!value->u.tensor.view) return torch_inert(arena, function, true);
    value->u.tensor.storage = storage->u.storage;
    return value;
}

DEIT_INTERNAL store_value *store_torch_call(base_arena *arena, const store_value *function,
                                            const store_value *arguments) {
    static const char module[] = "torch._utils";
    if (arguments->kind != STORE_VALUE_TUPLE) return torch_inert(arena, function, false);
    if (store_global_is(function, module, "_rebuild_tensor_v2") || store_global_is(function, module, "_rebuild_tensor"))
        return torch_rebuild(arena, function, arguments, false);
    if (store_global_is(function, module, "_rebuild_tensor_v3")) return torch_rebuild(arena, function, arguments, true);
    if (store_global_is(function, "torch._tensor",
                        "_rebuild_from_type_v2")) { // (function, class, arguments, attributes)
        const store_value *inner = torch_item(arguments, 0), *class = torch_item(arguments, 1);
        const store_value *given = torch_item(arguments, 2);
        bool plain = class && (store_global_is(class, "torch", "Tensor") ||
                               store_global_is(class, "torch.nn.parameter", "Parameter") ||
                               store_global_is(class, "torch.nn.parameter", "Buffer"));
        bool called = inner && inner->kind == STORE_VALUE_GLOBAL && given &&
                      !store_global_is(inner, "torch._tensor", "_rebuild_from_type_v2");
        return plain && called ? store_torch_call(arena, inner, given) : torch_inert(arena, function, false);
    }
    if (store_global_is(function, module, "_rebuild_parameter") ||
        store_global_is(function, module, "_rebuild_parameter_with_state") ||
        store_global_is(function, "torch.nn.parameter", "Parameter")) { // the class itself: files of 2017
        const store_value *data = torch_item(arguments, 0);
        bool known = data && (data->kind == STORE_VALUE_TENSOR || data->kind == STORE_VALUE_INERT);
        return known ? (store_value *)data : torch_inert(arena, function, true);
    }
    return torch_inert(arena, function, false);
}

/* ('storage', class, key, location, count[, (view key, offset, count)]); ('module', class, source file, source) stands
 * for the class. */
DEIT_INTERNAL store_value *store_torch_persistent(base_arena *arena, const store_value *id, store_storage **storages) {
    static const store_value nothing = {.kind = STORE_VALUE_NONE};
    if (id->kind != STORE_VALUE_TUPLE) return torch_inert(arena, &nothing, true);
    const store_value *what = torch_item(id, 0), *class = torch_item(id, 1), *key = torch_item(id, 2);
    const store_value *count = torch_item(id, 4), *view = torch_item(id, 5), *from = NULL;
    if (!class) return torch_inert(arena, &nothing, true);
    if (what->kind != STORE_VALUE_TEXT || !store_text_is(what->u.text, "storage") || class->kind != STORE_VALUE_GLOBAL)
        return class->kind == STORE_VALUE_GLOBAL ? (store_value *)class : torch_inert(arena, class, true);
    size_t size = 0;
    int dtype = torch_storage_type(class->u.global.name, &size);
    if (!size) return torch_inert(arena, class, false);
    if (view && view->kind == STORE_VALUE_TUPLE) from = torch_item(view, 1);
    if (!key || key->kind != STORE_VALUE_TEXT || !count || count->kind != STORE_VALUE_INT ||
        (from && from->kind != STORE_VALUE_INT))
        return torch_inert(arena, class, true);
    int64_t n = count->u.integer, skip = from ? from->u.integer : 0;
    store_value *value = store_value_new(arena, STORE_VALUE_STORAGE);
    store_storage *storage = base_arena_alloc(arena, sizeof *storage);
    if (!value || !storage) return NULL;
    if (n < 0 || skip < 0 || n > INT64_MAX / 16 || skip > n) return torch_inert(arena, class, true);
    *storage = (store_storage){key->u.text, dtype, size, (uint64_t)n * size, (uint64_t)skip * size, NULL, *storages};
    *storages = storage;
    if (dtype == TORCH_FOREIGN) return torch_inert(arena, class, false);
    value->u.storage = storage;
    return value;
}

/* ---- From the unpickled dict to named tensors -------------------------------------------------------------------- */

/* Finds where a storage lies, and sets storage->data; *entry: its entry of the zip, which may be deflated. */
typedef struct torch_source torch_source;
struct torch_source {
    store *s;
    base_status (*find)(torch_source *source, store_storage *storage, store_zip_entry **entry);
    store_zip_entry *entries; // the zip's, by name
    size_t count;
    const char *prefix; // of the zip's names, with its '/'
};

static void torch_reason(const store_value *value, char reason[512]) {
    store_text module = value->u.global.module, name = value->u.global.name;
    int a = module.size > 100 ? 100 : (int)module.size, b = name.size > 100 ? 100 : (int)name.size;
    if (value->u.global.element)
        snprintf(reason, 512, "its type is %.*s.%.*s; F32, F16, BF16 or F64 expected", a, a ? module.data : "", b,
                 b ? name.data : "");
    else if (value->u.global.misused)
        snprintf(reason, 512, "its pickle gives %.*s.%.*s what it does not take; save it again as a plain tensor", a,
                 a ? module.data : "", b, b ? name.data : "");
    else
        snprintf(reason, 512,
                 "it depends on %.*s.%.*s, and nothing in a pickle is ever called; load it in Python, if you trust it, "
                 "and save "
                 "model.state_dict()",
                 a, a ? module.data : "", b, b ? name.data : "");
}

static base_status torch_add_tensor(torch_source *source, const char *name, const store_value *value) {
    store_storage *storage = value->u.tensor.storage;
    store_tensor t = *value->u.tensor.view;
    store_zip_entry *entry = NULL;
    if (t.count == 0) return store_add(source->s, &t, name);
    if (source->find(source, storage, &entry)) return base_fail_in(BASE_ERROR, "%s: tensor %s", source->s->file, name);
    uint64_t offset = value->u.tensor.offset + storage->offset;
    if (entry && entry->method == 8) {
        if (!t.contiguous)
            return store_add_blocked(source->s, name, "it is both strided and compressed; save it again");
        t.packed = storage->data, t.packed_size = entry->packed, t.skip = offset;
    } else {
        t.data = storage->data + offset;
    }
    return store_add(source->s, &t, name);
}

/* A dict in the memo may stand in many places: only the first counts, so that time stays linear and cycles end. */
static base_status torch_flatten(torch_source *source, store_value *dict, char *path, size_t length, int depth) {
    enum { DEEPEST = 32 };
    if (depth > DEEPEST) return base_fail("%s: dicts in dicts more than %d deep", source->s->file, DEEPEST);
    dict->visited = true;
    for (store_cell *cell = dict->u.items.first; cell; cell = cell->next) {
        char reason[512], *at = path + length;
        size_t left = STORE_LONGEST_NAME - length;
        int n = -1;
        if (cell->key->kind == STORE_VALUE_INT) n = snprintf(at, left, "%lld", (long long)cell->key->u.integer);
        if (cell->key->kind == STORE_VALUE_TEXT && cell->key->u.text.size < left &&
            !memchr(cell->key->u.text.data, 0, cell->key->u.text.size))
            n = snprintf(at, left, "%.*s", (int)cell->key->u.text.size, cell->key->u.text.data);
        if (n < 0 || (size_t)n + 1 >= left) continue;
        if (cell->value->kind == STORE_VALUE_TENSOR) {
            BASE_TRY(torch_add_tensor(source, path, cell->value));
        } else if (cell->value->kind == STORE_VALUE_INERT) {
            torch_reason(cell->value, reason);
            BASE_TRY(store_add_blocked(source->s, path, reason));
        } else if (cell->value->kind == STORE_VALUE_DICT && !cell->value->visited) {
            strcpy(at + n, ".");
            BASE_TRY(torch_flatten(source, cell->value, path, length + (size_t)n + 1, depth + 1));
        }
    }
    return BASE_OK;
}

/* The dict under `key`, the last if there are several, as in Python. */
static store_value *torch_under(const store_value *dict, const char *key) {
    store_value *found = NULL;
    for (const store_cell *cell = dict->u.items.first; cell; cell = cell->next)
        if (cell->key->kind == STORE_VALUE_TEXT && store_text_is(cell->key->u.text, key) &&
            cell->value->kind == STORE_VALUE_DICT)
            found = cell->value;
    return found;
}

static base_status torch_no_part(const store *s, const store_value *root, const char *part) {
    base_text keys = {0};
    int n = 0;
    for (const store_cell *cell = root->u.items.first; cell && n < 12; cell = cell->next)
        if (cell->value->kind == STORE_VALUE_DICT && cell->key->kind == STORE_VALUE_TEXT && cell->key->u.text.size < 60)
            base_text_printf(&keys, "%s%.*s", n++ ? ", " : "", (int)cell->key->u.text.size, cell->key->u.text.data);
    base_status status =
        base_fail("%s: no dict under \"%s\"; there are: %s", s->file, part, n && keys.data ? keys.data : "none");
    base_text_free(&keys);
    return status;
}

/* Whether a dict may be one of weights: a tensor is in it, or a dict that may hold one. */
static bool torch_holds(const store_value *dict) {
    for (const store_cell *cell = dict->u.items.first; cell; cell = cell->next)
        if (cell->value->kind == STORE_VALUE_TENSOR || cell->value->kind == STORE_VALUE_INERT ||
            (cell->value->kind == STORE_VALUE_DICT && cell->value->u.items.count))
            return true;
    return false;
}

/* The dict in which scripts put weights, and its key; NULL: there is none. */
static store_value *torch_wrapped(const store_value *dict, const char **part) {
    static const char *const parts[] = {"model", "state_dict", "model_ema"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        store_value *found = torch_under(dict, parts[i]);
        if (found && torch_holds(found)) return *part = parts[i], found;
    }
    return NULL;
}

static base_status torch_add_wrappers(store *s, const store_value *root) {
    for (const store_cell *cell = root->u.items.first; cell && s->wrappers < STORE_WRAPPERS; cell = cell->next) {
        const store_text key = cell->key->u.text;
        if (cell->value->kind != STORE_VALUE_DICT || cell->key->kind != STORE_VALUE_TEXT || key.size > 60) continue;
        const char *name = base_arena_printf(&s->arena, "%.*s", (int)key.size, key.data);
        if (!name) return BASE_ERROR;
        s->wrapper[s->wrappers++] = name;
    }
    return BASE_OK;
}

static base_status torch_add_root(torch_source *source, store_value *root, const char *part) {
    enum { DEEPEST = 4 };
    char path[STORE_LONGEST_NAME + 1] = "", reason[512];
    store *s = source->s;
    if (root->kind == STORE_VALUE_INERT) {
        torch_reason(root, reason);
        return base_fail("%s: a dict of tensors is expected, but %s", s->file, reason);
    }
    if (root->kind != STORE_VALUE_DICT)
        return base_fail("%s: a dict of tensors is expected; save model.state_dict()", s->file);
    store_value *dict = part ? torch_under(root, part) : NULL;
    if (part && !dict) return torch_no_part(s, root, part);
    if (!dict) dict = torch_wrapped(root, &part);
    if (!dict) BASE_TRY(torch_add_wrappers(s, root));
    const char *again;
    store_value *inner = dict ? torch_wrapped(dict, &again) : NULL;
    for (int i = 0; inner && i < DEEPEST; i++) dict = inner, inner = torch_wrapped(dict, &again);
    if (!(s->part = base_arena_printf(&s->arena, "%s", part ? part : ""))) return BASE_ERROR;
    BASE_TRY(torch_flatten(source, dict ? dict : root, path, 0, 0));
    if (s->count == 0 && s->blocked)
        return base_fail("%s: no tensors: %s: %s", s->file, s->blocked->name, s->blocked->reason);
    if (s->count == 0) return base_fail("%s: no tensors in it%s%s", s->file, part ? " under " : "", part ? part : "");
    return BASE_OK;
}

/* ---- The zip ----------------------------------------------------------------------------------------------------- */

static int torch_compare_entries(const void *a, const void *b) {
    return strcmp(((const store_zip_entry *)a)->name, ((const store_zip_entry *)b)->name);
}

static store_zip_entry *torch_entry(const torch_source *source, const char *name) {
    store_zip_entry key = {.name = name};
    return bsearch(&key, source->entries, source->count, sizeof key, torch_compare_entries);
}

static base_status torch_find_in_zip(torch_source *source, store_storage *storage, store_zip_entry **entry) {
    char name[STORE_LONGEST_NAME * 2];
    int n = storage->key.size > 200 ? 200 : (int)storage->key.size;
    snprintf(name, sizeof name, "%.1024sdata/%.*s", source->prefix, n, storage->key.data);
    store *s = source->s;
    *entry = torch_entry(source, name);
    if (!*entry) return base_fail("its data, %s, is not in the zip; the file is damaged", name);
    if ((*entry)->method != 0 && (*entry)->method != 8)
        return base_fail("its data, %s, is compressed by zip's method %d; stored or deflated expected", name,
                         (*entry)->method);
    if ((*entry)->size < storage->bytes)
        return base_fail("its data, %s, has %llu bytes, %llu expected; the file is damaged", name,
                         (unsigned long long)(*entry)->size, (unsigned long long)storage->bytes);
    return store_zip_data(s->data, s->size, s->file, *entry, &storage->data);
}

/* The bytes of a small entry, inflated into the arena if need be. */
static base_status torch_zip_bytes(store *s, const store_zip_entry *entry, const uint8_t **bytes) {
    BASE_TRY(store_zip_data(s->data, s->size, s->file, entry, bytes));
    if (entry->method == 0) return BASE_OK;
    if (entry->method != 8) return base_fail("%s: %s is neither stored nor deflated", s->file, entry->name);
    enum { TIMES = 16, MORE = 1 << 20 }; // torch stores pickles as they are; what some repacker deflated is no bomb
    if (entry->size > TIMES * s->size + MORE)
        return base_fail("%s: %s: %llu bytes unfolded from a file of %zu: more than any checkpoint's", s->file,
                         entry->name, (unsigned long long)entry->size, s->size);
    uint8_t *unpacked = base_arena_alloc(&s->arena, entry->size + 1);
    if (!unpacked) return BASE_ERROR;
    BASE_TRY(store_inflate(*bytes, entry->packed, 0, unpacked, entry->size, s->file, entry->name));
    *bytes = unpacked;
    return BASE_OK;
}

/* Sets the prefix: the archive's name, which is whatever torch.save's file was called. */
static base_status torch_find_pickle(torch_source *source, store_zip_entry **pickle) {
    static const char last[] = "data.pkl";
    store *s = source->s;
    char name[STORE_LONGEST_NAME * 2];
    const uint8_t *order;
    *pickle = NULL;
    for (size_t i = 0; i < source->count && !*pickle; i++) {
        const char *at = source->entries[i].name, *slash = strchr(at, '/');
        if (!strcmp(slash ? slash + 1 : at, last)) *pickle = &source->entries[i];
    }
    if (!*pickle) return base_fail("%s: a zip without data.pkl: neither torch's nor numpy's", s->file);
    source->prefix =
        base_arena_printf(&s->arena, "%.*s", (int)(strlen((*pickle)->name) - strlen(last)), (*pickle)->name);
    if (!source->prefix) return BASE_ERROR;
    snprintf(name, sizeof name, "%.1024sconstants.pkl", source->prefix);
    if (torch_entry(source, name))
        return base_fail("%s: a TorchScript program, not weights; in Python, save model.state_dict()", s->file);
    snprintf(name, sizeof name, "%.1024sbyteorder", source->prefix);
    store_zip_entry *entry = torch_entry(source, name);
    if (entry) {
        BASE_TRY(torch_zip_bytes(s, entry, &order));
        if (entry->size != 6 || memcmp(order, "little", 6))
            return base_fail("%s: saved on a big-endian machine; load and save it again on a little-endian one",
                             s->file);
    }
    return BASE_OK;
}

static base_status torch_read_zip(torch_source *source, const char *part) {
    store *s = source->s;
    store_zip_entry *pickle;
    const uint8_t *data;
    store_value *root;
    store_storage *storages = NULL;
    size_t used;
    qsort(source->entries, source->count, sizeof *source->entries, torch_compare_entries);
    BASE_TRY(torch_find_pickle(source, &pickle));
    BASE_TRY(torch_zip_bytes(s, pickle, &data));
    BASE_TRY(store_unpickle(&s->arena, data, pickle->size, s->file, &root, &used, &storages));
    return torch_add_root(source, root, part);
}

DEIT_INTERNAL base_status store_read_torch_zip(store *s, const char *part) {
    torch_source source = {.s = s, .find = torch_find_in_zip};
    BASE_TRY(store_zip_directory(s->data, s->size, s->file, &s->arena, &source.entries, &source.count));
    base_status status = torch_read_zip(&source, part);
    base_free(source.entries);
    return status;
}

/* ---- The older stream: magic, version, system, dict, keys (five pickles), then each key's count and data --------- */

DEIT_INTERNAL bool store_is_torch_stream(const uint8_t *data, size_t size) {
    static const uint8_t magic[] = {0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
    size_t skip = size > 2 && data[2] == 0x95 ? 11 : 2; // protocol 4 frames it
    return size >= skip + sizeof magic && data[0] == 0x80 && !memcmp(data + skip, magic, sizeof magic);
}

static int torch_compare_text(store_text a, store_text b) {
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int torch_compare_storages(const void *a, const void *b) {
    return torch_compare_text((*(store_storage *const *)a)->key, (*(store_storage *const *)b)->key);
}

static base_status torch_find_in_stream(torch_source *source, store_storage *storage, store_zip_entry **entry) {
    (void)source;
    *entry = NULL;
    return storage->data ? BASE_OK : base_fail("its data is not in the file; the file is damaged");
}

/* Gives all storages of `key` (there is one for each tensor that shares it) their place at `at`; *size: bytes there. */
static base_status torch_place(const store *s, store_storage **sorted, size_t n, store_text key, size_t at,
                               size_t *size) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (torch_compare_text(sorted[middle]->key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    int shown = key.size > 40 ? 40 : (int)key.size;
    if (low == n || torch_compare_text(sorted[low]->key, key))
        return base_fail("%s: storage %.*s belongs to no tensor; the file is damaged", s->file, shown, key.data);
    if (s->size - at < 8)
        return base_fail("%s: ends before storage %.*s: it is cut short; download it again", s->file, shown, key.data);
    uint64_t count = store_little(s->data + at, 8), left = s->size - at - 8;
    uint64_t width = sorted[low]->width;
    if (count > left / width)
        return base_fail("%s: storage %.*s of %llu elements does not fit the file: it is cut short; download it again",
                         s->file, shown, key.data, (unsigned long long)count);
    *size = 8 + count * width;
    for (; low < n && !torch_compare_text(sorted[low]->key, key) && !sorted[low]->data; low++) {
        if (sorted[low]->bytes > count * width)
            return base_fail("%s: storage %.*s has %llu bytes, %llu expected; the file is damaged", s->file, shown,
                             key.data, (unsigned long long)(count * width), (unsigned long long)sorted[low]->bytes);
        sorted[low]->data = s->data + at + 8;
    }
    return BASE_OK;
}

static base_status torch_place_all(const store *s, store_storage *storages, const store_value *keys, size_t at) {
    size_t n = 0, size = 0;
    for (store_storage *each = storages; each; each = each->next) n++;
    store_storage **sorted = base_malloc((n + 1) * sizeof *sorted);
    if (!sorted) return BASE_ERROR;
    n = 0;
    for (store_storage *each = storages; each; each = each->next) sorted[n++] = each;
    qsort(sorted, n, sizeof *sorted, torch_compare_storages);
    base_status status = BASE_OK;
    for (const store_cell *cell = keys->u.items.first; cell && !status; cell = cell->next, at += size) {
        if (cell->value->kind != STORE_VALUE_TEXT)
            status = base_fail("%s: a storage's key that is no text; the file is damaged", s->file);
        else
            status = torch_place(s, sorted, n, cell->value->u.text, at, &size);
    }
    base_free(sorted);
    return status;
}

DEIT_INTERNAL base_status store_read_torch_stream(store *s, const char *part) {
    enum { MAGIC, VERSION, SYSTEM, ROOT, KEYS, PICKLES };
    store_value *value[PICKLES];
    store_storage *storages = NULL;
    size_t at = 0, used;
    for (int i = 0; i < PICKLES; i++, at += used)
        BASE_TRY(store_unpickle(&s->arena, s->data + at, s->size - at, s->file, &value[i], &used, &storages));
    if (value[VERSION]->kind != STORE_VALUE_INT || value[VERSION]->u.integer != 1001)
        return base_fail("%s: an unknown version of torch's older format, 1001 expected", s->file);
    for (const store_cell *cell = value[SYSTEM]->kind == STORE_VALUE_DICT ? value[SYSTEM]->u.items.first : NULL; cell;
         cell = cell->next)
        if (cell->key->kind == STORE_VALUE_TEXT && store_text_is(cell->key->u.text, "little_endian") &&
            cell->value->kind == STORE_VALUE_INT && !cell->value->u.integer)
            return base_fail("%s: saved on a big-endian machine; load and save it again on a little-endian one",
                             s->file);
    if (value[KEYS]->kind != STORE_VALUE_LIST)
        return base_fail("%s: no list of storages; the file is damaged", s->file);
    BASE_TRY(torch_place_all(s, storages, value[KEYS], at));
    torch_source source = {.s = s, .find = torch_find_in_stream};
    return torch_add_root(&source, value[ROOT], part);
}
