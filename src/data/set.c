/* Data sets: opening, reading a file, and ReaL's labels. */
#include "data/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

DEIT_INTERNAL base_status data_open(data_set **out, const data_options *options, const base_context *context) {
    *out = NULL;
    data_set *set = base_calloc(1, sizeof *set);
    if (!set) return BASE_ERROR;
    base_status status = (set->path = base_strdup(options->path)) ? BASE_OK : BASE_ERROR;
    if (!status && !base_path_exists(set->path)) status = base_fail("%s: no such file or folder", set->path);
    if (!status) status = data_list(set, context);
    if (!status) status = data_assign(set, options);
    if (status) data_close(set);
    else *out = set;
    return status;
}

DEIT_INTERNAL void data_close(data_set *set) {
    if (!set) return;
    store_archive_close(set->archive);
    base_arena_free(&set->arena);
    base_free(set->items);
    base_free(set->path);
    base_free(set);
}

DEIT_INTERNAL int64_t data_count(const data_set *set) { return set->count; }
DEIT_INTERNAL int data_classes(const data_set *set) { return set->classes; }
DEIT_INTERNAL const char *data_path(const data_set *set) { return set->path; }
DEIT_INTERNAL const char *data_name(const data_set *set, int64_t item) { return set->items[item].name; }
DEIT_INTERNAL int data_label(const data_set *set, int64_t item) { return set->items[item].label; }

DEIT_INTERNAL int data_validation_index(const data_set *set, int64_t item) {
    const char *name = set->items[item].name, *slash = strrchr(name, '/');
    int number;
    return sscanf(slash ? slash + 1 : name, "ILSVRC2012_val_%8d", &number) == 1 && number >= 1 ? number - 1 : -1;
}

DEIT_INTERNAL base_status data_check_classes(const data_set *set, int classes) {
    if (set->classes == classes) return BASE_OK;
    return base_fail("%s has %d classes, the network %d; give the data the network was trained for, or a network with --classes %d", set->path, set->classes,
                     classes, set->classes);
}

static base_status set_room(uint8_t **buffer, size_t *capacity, size_t size) {
    if (size <= *capacity) return BASE_OK;
    size_t wanted = size + size / 2;
    uint8_t *grown = base_realloc(*buffer, wanted);
    if (!grown) return BASE_ERROR;
    *buffer = grown, *capacity = wanted;
    return BASE_OK;
}

static base_status set_read_file(const char *path, uint8_t **buffer, size_t *capacity, size_t *size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (file < 0 || fstat(file, &info)) {
        base_status status = base_fail("%s: %s", path, strerror(errno));
        if (file >= 0) close(file);
        return status;
    }
    base_status status = info.st_size > 1 << 30 ? base_fail("%s: larger than 1 GiB, not an image", path) : set_room(buffer, capacity, (size_t)info.st_size);
    *size = 0;
    while (!status && *size < (size_t)info.st_size) {
        ssize_t got = read(file, *buffer + *size, (size_t)info.st_size - *size);
        if (got < 0 && errno != EINTR) status = base_fail("%s: %s", path, strerror(errno));
        if (got == 0) break;
        if (got > 0) *size += (size_t)got;
    }
    close(file);
    return status;
}

DEIT_INTERNAL base_status data_read(const data_set *set, int64_t item, uint8_t **buffer, size_t *capacity, size_t *size) {
    if (set->kind == DATA_ARCHIVE) {
        const store_entry *entry = set->items[item].entry;
        if (entry->size > 1 << 30) return base_fail("%s: larger than 1 GiB, not an image", entry->name);
        *size = (size_t)entry->size;
        BASE_TRY(set_room(buffer, capacity, *size));
        return store_archive_read(set->archive, entry, *buffer);
    }
    char *path = base_path_join(set->path, set->items[item].name);
    if (!path) return BASE_ERROR;
    base_status status = set_read_file(path, buffer, capacity, size);
    base_free(path);
    return status;
}

/* ---- ReaL ------------------------------------------------------------------------------------------------------------- */

static base_status set_real_fill(data_real *real, const json_t *root, const char *path) {
    size_t labels = 0, at = 0, files = json_array_size(root);
    for (size_t i = 0; i < files; i++) {
        if (!json_is_array(json_array_get(root, i))) return base_fail("%s: entry %zu is not a list of labels", path, i);
        labels += json_array_size(json_array_get(root, i));
    }
    real->count = (int)files;
    real->begin = base_malloc((files + 1) * sizeof *real->begin);
    real->label = base_malloc((labels + 1) * sizeof *real->label);
    if (!real->begin || !real->label) return BASE_ERROR;
    for (size_t i = 0; i < files; i++) {
        const json_t *list = json_array_get(root, i);
        real->begin[i] = (int)at;
        for (size_t j = 0; j < json_array_size(list); j++) {
            const json_t *label = json_array_get(list, j);
            if (!json_is_integer(label) || json_integer_value(label) < 0 || json_integer_value(label) >= DATA_IMAGENET_CLASSES)
                return base_fail("%s: entry %zu holds something other than class indices 0 to 999", path, i);
            real->label[at++] = (int)json_integer_value(label);
        }
    }
    real->begin[files] = (int)at;
    return BASE_OK;
}

DEIT_INTERNAL base_status data_real_open(data_real *real, const char *path) {
    *real = (data_real){0};
    char *text;
    size_t size;
    BASE_TRY(base_read_file(path, 64 << 20, &text, &size));
    json_error_t error;
    json_t *root = json_loadb(text, size, 0, &error);
    base_free(text);
    if (!root) return base_fail("%s: not JSON (line %d: %s); expected ReaL's real.json", path, error.line, error.text);
    base_status status = json_is_array(root) && json_array_size(root) <= 1 << 24 ? set_real_fill(real, root, path)
                                                                                : base_fail("%s: expected a list of label lists, one a validation file", path);
    json_decref(root);
    if (status) data_real_close(real);
    return status;
}

DEIT_INTERNAL void data_real_close(data_real *real) {
    base_free(real->begin);
    base_free(real->label);
    *real = (data_real){0};
}

DEIT_INTERNAL bool data_real_has(const data_real *real, int file, int label) {
    for (int i = real->begin[file]; i < real->begin[file + 1]; i++)
        if (real->label[i] == label) return true;
    return false;
}
