/* store: opening a container by its content, and finding tensors in it by name. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

DEIT_INTERNAL base_status store_add(store *s, const store_tensor *tensor, const char *name) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity * 2 + 16;
        store_tensor *larger = base_realloc(s->tensors, capacity * sizeof *larger);
        if (!larger) return BASE_ERROR;
        s->tensors = larger, s->capacity = capacity;
    }
    store_tensor *fresh = &s->tensors[s->count];
    *fresh = *tensor;
    fresh->file = s->file;
    if (!(fresh->name = base_arena_printf(&s->arena, "%s", name))) return BASE_ERROR;
    s->count++;
    return BASE_OK;
}

DEIT_INTERNAL base_status store_add_blocked(store *s, const char *name, const char *reason) {
    store_blocked *blocked = base_arena_alloc(&s->arena, sizeof *blocked);
    if (!blocked) return BASE_ERROR;
    blocked->name = base_arena_printf(&s->arena, "%s", name);
    blocked->reason = base_arena_printf(&s->arena, "%s", reason);
    if (!blocked->name || !blocked->reason) return BASE_ERROR;
    blocked->next = NULL;
    if (s->blocked_last)
        s->blocked_last->next = blocked;
    else
        s->blocked = blocked;
    s->blocked_last = blocked;
    return BASE_OK;
}

static int store_compare(const void *a, const void *b) {
    return strcmp((*(store_tensor *const *)a)->name, (*(store_tensor *const *)b)->name);
}

/* Names of a model trained under DistributedDataParallel all begin with "module.", of one that torch.compile made with
 * "_orig_mod."; the network's own do not. */
static void store_strip(store *s, const char *prefix) {
    size_t n = strlen(prefix);
    for (size_t i = 0; i < s->count; i++)
        if (strncmp(s->tensors[i].name, prefix, n)) return;
    for (size_t i = 0; i < s->count; i++) s->tensors[i].name += n;
    for (store_blocked *b = s->blocked; b; b = b->next)
        if (!strncmp(b->name, prefix, n)) b->name += n;
}

static base_status store_finish(store *s) {
    store_strip(s, "module.");
    store_strip(s, "_orig_mod.");
    store_strip(s, "module.");
    if (!(s->sorted = base_malloc((s->count + 1) * sizeof *s->sorted))) return BASE_ERROR;
    for (size_t i = 0; i < s->count; i++) s->sorted[i] = &s->tensors[i];
    qsort(s->sorted, s->count, sizeof *s->sorted, store_compare);
    for (size_t i = 1; i < s->count; i++)
        if (!store_compare(&s->sorted[i - 1], &s->sorted[i]))
            return base_fail("%s: two tensors are named %s; the file is damaged", s->file, s->sorted[i]->name);
    return BASE_OK;
}

DEIT_INTERNAL bool store_begins(const void *data, size_t size) {
    static const char *const magic[] = {"PK\3\4", "PK\5\6", "\x93NUMPY"};
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if (size >= strlen(magic[i]) && !memcmp(data, magic[i], strlen(magic[i]))) return true;
    return store_is_torch_stream(data, size) || (size > 8 && ((const char *)data)[8] == '{');
}

static base_status store_read(store *s, const char *part) {
    const uint8_t *d = s->data;
    if (s->size == 0) return base_fail("%s: the file is empty; download it again", s->file);
    if (s->size >= 4 && !memcmp(d, "PK\3\4", 4)) {
        // torch and numpy both use zip; only numpy's members are named *.npy.
        static const char last[] = ".npy";
        size_t name = s->size > 30 ? (size_t)store_little(d + 26, 2) : 0;
        bool npz = name >= 4 && s->size >= 30 + name && !memcmp(d + 30 + name - 4, last, 4);
        s->format = npz ? "npz" : "torch zip";
        return npz ? store_read_npz(s) : store_read_torch_zip(s, part);
    }
    if (s->size >= 4 && !memcmp(d, "PK\5\6", 4)) return base_fail("%s: an empty zip; no tensors in it", s->file);
    if (s->size >= 6 && !memcmp(d, "\x93NUMPY", 6)) {
        s->format = "npy";
        return store_read_npy(s);
    }
    if (store_is_torch_stream(d, s->size)) {
        s->format = "torch stream";
        return store_read_torch_stream(s, part);
    }
    s->format = "safetensors"; // has no magic number: its reader says what else the file may be
    return store_read_safetensors(s);
}

/* Takes the mapping over, if there is one. */
static base_status store_open_data(store **out, base_mapping *mapping, const void *data, size_t size, const char *file,
                                   const char *part) {
    store *s = base_calloc(1, sizeof *s);
    if (!s) {
        if (mapping) base_unmap_file(mapping);
        return BASE_ERROR;
    }
    if (mapping) s->mapping = *mapping;
    s->data = data, s->size = size;
    s->file = base_arena_printf(&s->arena, "%s", file);
    base_status status = s->file ? store_read(s, part) : BASE_ERROR;
    if (!status && part && !s->part)
        status = base_fail("%s: no part \"%s\": it is %s, and only torch's files have parts; ask for none", s->file,
                           part, s->format);
    if (!status) status = store_finish(s);
    if (status) {
        store_close(s);
        return status;
    }
    *out = s;
    return BASE_OK;
}

DEIT_INTERNAL base_status store_open_part(store **out, const char *path, const char *part) {
    base_mapping mapping;
    *out = NULL;
    BASE_TRY(base_map_file(&mapping, path));
    return store_open_data(out, &mapping, mapping.data, mapping.size, path, part);
}

DEIT_INTERNAL base_status store_open(store **out, const char *path) {
    return store_open_part(out, path, NULL);
}

DEIT_INTERNAL base_status store_open_memory(store **out, const void *data, size_t size, const char *name,
                                            const char *part) {
    *out = NULL;
    return store_open_data(out, NULL, data, size, name, part);
}

DEIT_INTERNAL void store_close(store *s) {
    if (!s) return;
    base_unmap_file(&s->mapping);
    base_free(s->tensors);
    base_free(s->sorted);
    base_arena_free(&s->arena);
    base_free(s);
}

DEIT_INTERNAL const char *store_format(const store *s) {
    return s->format;
}
DEIT_INTERNAL const char *store_file(const store *s) {
    return s->file;
}
DEIT_INTERNAL const char *store_part(const store *s) {
    return s->part;
}
DEIT_INTERNAL const char *store_wrapper_at(const store *s, size_t i) {
    return i < s->wrappers ? s->wrapper[i] : NULL;
}
DEIT_INTERNAL size_t store_count(const store *s) {
    return s->count;
}
DEIT_INTERNAL const store_tensor *store_at(const store *s, size_t i) {
    return &s->tensors[i];
}

DEIT_INTERNAL const store_tensor *store_find(const store *s, const char *name) {
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, s->sorted[middle]->name);
        if (order == 0) return s->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

DEIT_INTERNAL const char *store_unreadable(const store *s, const char *name) {
    for (const store_blocked *b = s->blocked; b; b = b->next)
        if (!strcmp(b->name, name)) return b->reason;
    return NULL;
}

DEIT_INTERNAL base_status store_want(const store *s, const char *name, const store_tensor **tensor) {
    *tensor = store_find(s, name);
    if (*tensor) return BASE_OK;
    const char *reason = store_unreadable(s, name);
    if (reason) return base_fail("%s: tensor %s: %s", s->file, name, reason);
    if (s->count == 0) return base_fail("%s: no tensor %s: the file holds none", s->file, name);
    return base_fail("%s: no tensor %s among its %zu (the first is %s); are these weights of another network?", s->file,
                     name, s->count, s->tensors[0].name);
}

DEIT_INTERNAL void store_forget(const store *s, const store_tensor *t) {
    if (!s->mapping.data || !t->count) return;
    if (t->packed)
        base_forget_pages(&s->mapping, t->packed, t->packed_size);
    else if (t->contiguous)
        base_forget_pages(&s->mapping, t->data, t->bytes);
}

DEIT_INTERNAL const char *store_metadata(const store *s, const char *key) {
    for (const store_pair *p = s->metadata; p; p = p->next)
        if (!strcmp(p->key, key)) return p->value;
    return NULL;
}

DEIT_INTERNAL bool store_blocked_at(const store *s, size_t i, const char **name, const char **reason) {
    const store_blocked *blocked = s->blocked;
    for (; blocked && i; i--) blocked = blocked->next;
    if (!blocked) return false;
    *name = blocked->name, *reason = blocked->reason;
    return true;
}

DEIT_INTERNAL bool store_metadata_at(const store *s, size_t i, const char **key, const char **value) {
    const store_pair *p = s->metadata;
    while (p && i--) p = p->next;
    if (!p) return false;
    *key = p->key, *value = p->value;
    return true;
}
