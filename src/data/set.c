/* Data sets: opening, reading a file, and ReaL's labels. */
#include "data/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path, or the name of a set that a package of the system's holds. */
static base_status set_find(data_set *set, const char *path) {
    static const char name[] = "fashion-mnist", place[] = DATA_DEBIAN_FASHION;
    bool named = !strcmp(path, name) && !base_path_exists(path);
    if (!(set->path = base_strdup(named ? place : path))) return BASE_ERROR;
    if (base_path_exists(set->path)) return BASE_OK;
    if (named)
        return base_fail("%s: no such file or folder, and Debian's package dataset-fashion-mnist, which would be found "
                         "in %s, is not installed",
                         name, place);
    return base_fail("%s: no such file or folder", path);
}

/* ImageNet as it is downloaded: a folder without folders of the split (val, where none is asked for), but with its tar;
 * of val with its labels. */
static base_status set_imagenet_tars(data_set *set, data_options *options) {
    static const char *const splits[] = {"train", "val", "test", "validation"};
    bool train = false, test = false, there = false;
    for (int i = 0; i < 4; i++) {
        if (options->split ? strcmp(options->split, splits[i]) : !i) continue;
        const char *folder = base_arena_printf(&set->arena, "%s/%s", set->path, splits[i]);
        if (!folder) return BASE_ERROR;
        there |= base_path_is_folder(folder), train |= !i, test |= i > 0;
    }
    if (there || (!train && !test)) return BASE_OK;
    const char *tar = base_arena_printf(&set->arena, "%s/ILSVRC2012_img_%s.tar", set->path, train ? "train" : "val"),
               *other = base_arena_printf(&set->arena, "%s/ILSVRC2012_img_%s.tar", set->path, train ? "val" : "train");
    if (!tar || !other) return BASE_ERROR;
    if (!base_path_exists(tar) && base_path_exists(other))
        return base_fail_as(BASE_USAGE, "%s: of ImageNet only %s is in it, not %s", set->path, base_path_name(other),
                            base_path_name(tar));
    if (!base_path_exists(tar)) return BASE_OK;
    if (test && !options->labels) options->labels = data_labels_beside(set, set->path);
    if (test && !options->labels)
        return base_fail("%s: its pictures carry no labels: put val_labels.txt beside it, a synset or class index a "
                         "line, or the devkit's ILSVRC2012_validation_ground_truth.txt and meta.mat",
                         tar);
    base_free(set->path);
    options->split = NULL;
    return (set->path = base_strdup(tar)) ? BASE_OK : BASE_ERROR;
}

DEIT_INTERNAL base_status data_train_or_test(const data_set *set, const data_options *options, bool *train) {
    static const char *const test[] = {"test", "val", "validation"};
    *train = options->split && !strcmp(options->split, "train");
    bool known = !options->split || *train;
    for (int i = 0; i < 3 && !known; i++) known = !strcmp(options->split, test[i]);
    if (!known) return base_fail_as(BASE_USAGE, "%s: no split '%s'; it has train and test", set->path, options->split);
    if (options->labels) return base_fail_as(BASE_USAGE, "--labels: %s brings its own labels", set->path);
    return BASE_OK;
}

/* "train:0-4[:20000]": a split, a part of its classes, so many pictures of these. */
typedef struct {
    char name[32];
    bool cut;      /* the name is followed by something */
    int low, high; /* classes; high -1: all */
    int64_t keep;  /* 0: all */
} set_part;

static base_status set_parse(const char *split, set_part *part) {
    long long count;
    int end = 0;
    size_t size = strcspn(split, ":[");
    const char *at = split + size;
    *part = (set_part){.high = -1, .cut = *at};
    snprintf(part->name, sizeof part->name, "%.*s", (int)size, split);
    const char *digits = "0123456789"; // sscanf's numbers may have signs and blanks before them
    bool classes = *at == ':' && strspn(at + 1, digits) && at[1 + strspn(at + 1, digits)] == '-' &&
                   strspn(at + 2 + strspn(at + 1, digits), digits);
    classes = classes && strspn(at + 1, digits) <= 9 && strspn(at + 2 + strspn(at + 1, digits), digits) <= 9;
    if (classes && sscanf(at, ":%d-%d%n", &part->low, &part->high, &end) == 2 && end) at += end;
    end = 0;
    if (*at == '[' && sscanf(at, "[:%lld]%n", &count, &end) == 1 && end && count >= 1 && strspn(at + 2, digits))
        part->keep = count, at += end;
    if (size && !*at && (!classes || part->high >= part->low)) return BASE_OK;
    return base_fail_as(BASE_USAGE,
                        "split '%s': expected NAME[:N], N of its pictures, NAME:A-B, its classes A to B, or "
                        "NAME:A-B[:N]",
                        split);
}

/* Keeps a part of the classes, which are then counted from 0. */
static base_status set_keep_classes(data_set *set, const set_part *part, const char *split) {
    int64_t n = 0;
    if (part->high < 0) return BASE_OK;
    if (part->high >= set->classes)
        return base_fail_as(BASE_USAGE, "split '%s': the classes of %s are 0 to %d", split, set->path,
                            set->classes - 1);
    const char **names = base_arena_alloc(&set->arena, (size_t)set->classes * sizeof *names);
    if (!names) return BASE_ERROR;
    for (int c = part->low; c <= part->high; c++) names[c - part->low] = data_class_name(set, c);
    for (int64_t i = 0; i < set->count; i++) {
        data_item *item = &set->items[i];
        if (item->label < part->low || item->label > part->high) continue;
        item->label -= part->low;
        set->items[n++] = *item;
    }
    set->count = n, set->classes = part->high - part->low + 1, set->first_class = part->low;
    set->class_names = names, set->imagenet = false;
    return n ? BASE_OK : base_fail("split '%s': %s has no picture of these classes", split, set->path);
}

/* Keeps the first pictures of a raw set; of others evenly spaced ones of all sorted by class, for the first would be of
 * a few classes, and the same whatever the set is packed in. */
static base_status set_cut(data_set *set, int64_t keep, const char *split) {
    if (!keep) return BASE_OK;
    if (keep > set->count)
        return base_fail_as(BASE_USAGE, "split '%s': %s has %lld pictures", split, set->path, (long long)set->count);
    if (set->kind == DATA_STREAM) data_sort_by_class(set);
    for (int64_t i = 0; i < keep && set->kind != DATA_RAW; i++) set->items[i] = set->items[i * set->count / keep];
    set->count = keep;
    if (set->kind == DATA_STREAM) data_sort(set);
    return BASE_OK;
}

DEIT_INTERNAL base_status data_open(data_set **out, const data_options *given, const base_context *context) {
    *out = NULL;
    data_options sliced = *given, *options = &sliced;
    set_part part = {.high = -1};
    if (given->split) BASE_TRY(set_parse(given->split, &part));
    if (part.cut) options->split = part.name;
    data_set *set = base_calloc(1, sizeof *set);
    if (!set) return BASE_ERROR;
    base_status status = set_find(set, options->path);
    if (!status) status = set_imagenet_tars(set, options);
    bool known = false;
    if (!status) status = data_raw_open(set, options, context, &known);
    if (!status && !known) status = data_annotated_open(set, options, context, &known);
    if (!status && !known) status = data_list(set, context);
    if (!status && !known) status = data_assign(set, options);
    if (!status) status = set_keep_classes(set, &part, given->split);
    if (!status) status = set_cut(set, part.keep, given->split);
    if (status)
        data_close(set);
    else
        *out = set;
    return status;
}

DEIT_INTERNAL void data_close(data_set *set) {
    if (!set) return;
    store_archive_close(set->archive);
    data_release(set);
    base_free(set->raw.bytes);
    base_arena_free(&set->arena);
    base_free(set->items);
    base_free(set->empty);
    base_free(set->path);
    base_free(set);
}

DEIT_INTERNAL const char *data_path(const data_set *set) {
    return set->path;
}
DEIT_INTERNAL int64_t data_count(const data_set *set) {
    return set->count;
}
DEIT_INTERNAL int data_classes(const data_set *set) {
    return set->classes;
}
DEIT_INTERNAL bool data_sequential(const data_set *set) {
    return set->kind == DATA_STREAM;
}
DEIT_INTERNAL const char *data_class_name(const data_set *set, int label) {
    return set->imagenet ? data_imagenet_synset(label) : set->class_names ? set->class_names[label] : NULL;
}
DEIT_INTERNAL int data_label(const data_set *set, int64_t item) {
    return set->items[item].label;
}

DEIT_INTERNAL int data_val_index(const data_set *set, int64_t item) {
    int number;
    return sscanf(base_path_name(set->items[item].name), "ILSVRC2012_val_%8d", &number) == 1 && number >= 1 ? number - 1
                                                                                                            : -1;
}

DEIT_INTERNAL base_status data_check_classes(const data_set *set, int classes, const char *model) {
    if (set->classes == classes) return BASE_OK;
    return base_fail(
        "%s has %d classes, %s %d; give the data the network was trained for, or a network with --classes %d",
        set->path, set->classes, model, classes, set->classes);
}

DEIT_INTERNAL base_status data_check_same(const data_set *train, const data_set *test) {
    if (train->classes != test->classes || train->first_class != test->first_class)
        return base_fail("the training split of %s has the classes %d to %d, the test split of %s %d to %d; training "
                         "and testing need the same classes",
                         train->path, train->first_class, train->first_class + train->classes - 1, test->path,
                         test->first_class, test->first_class + test->classes - 1);
    for (int label = 0; label < train->classes; label++) {
        const char *a = data_class_name(train, label), *b = data_class_name(test, label);
        if (a && b && strcmp(a, b))
            return base_fail("class %d is '%s' in %s, but '%s' in %s; training and testing need the same classes",
                             label, a, train->path, b, test->path);
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status data_room(data_bytes *bytes, size_t size) {
    if (size > bytes->capacity) {
        uint8_t *grown = base_realloc(bytes->data, size + size / 2);
        if (!grown) return BASE_ERROR;
        bytes->data = grown, bytes->capacity = size + size / 2;
    }
    bytes->size = size;
    return BASE_OK;
}

static base_status set_read_open(const char *path, int file, data_bytes *bytes) {
    struct stat info;
    if (fstat(file, &info)) return base_fail("%s: %s", path, strerror(errno));
    if (info.st_size > 1 << 30) return base_fail("%s: larger than 1 GiB, not an image", path);
    BASE_TRY(data_room(bytes, (size_t)info.st_size));
    for (size_t done = 0; done < bytes->size;) {
        ssize_t got = read(file, bytes->data + done, bytes->size - done);
        if (got < 0 && errno != EINTR) return base_fail("%s: %s", path, strerror(errno));
        if (got == 0) bytes->size = done; /* shorter than it was a moment ago */
        if (got > 0) done += (size_t)got;
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status data_read(const data_set *set, int64_t item, data_bytes *bytes) {
    if (set->kind == DATA_HELD) {
        BASE_TRY(data_room(bytes, set->items[item].size));
        memcpy(bytes->data, set->items[item].held, bytes->size);
        return BASE_OK;
    }
    if (set->kind == DATA_RAW) {
        BASE_TRY(data_room(bytes, 3 * (size_t)set->raw.width * (size_t)set->raw.height));
        data_raw_pixels(set, item, bytes->data);
        return BASE_OK;
    }
    if (set->kind == DATA_ARCHIVE) {
        const store_entry *entry = set->items[item].entry;
        if (entry->size > 1 << 30) return base_fail("%s: larger than 1 GiB, not an image", entry->name);
        BASE_TRY(data_room(bytes, (size_t)entry->size));
        return store_archive_read(set->archive, entry, bytes->data);
    }
    char *path = base_path_join(set->path, set->items[item].name);
    if (!path) return BASE_ERROR;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    base_status status = file < 0 ? base_fail("%s: %s", path, strerror(errno)) : set_read_open(path, file, bytes);
    if (file >= 0) close(file);
    base_free(path);
    return status;
}

DEIT_INTERNAL base_status data_read_source(const data_set *set, int64_t item, data_bytes *bytes, image_source *source) {
    const data_item *from = &set->items[item];
    *source = (image_source){.bytes = from->held, .size = from->size, .name = from->name};
    if (set->kind == DATA_HELD) return BASE_OK; /* where it lies */
    BASE_TRY(data_read(set, item, bytes));
    source->bytes = bytes->data, source->size = bytes->size;
    if (set->kind == DATA_RAW) source->width = set->raw.width, source->height = set->raw.height;
    return BASE_OK;
}

/* ---- ReaL -------------------------------------------------------------------------------------------------------- */

struct data_real {
    int count;
    int *begin; /* [count + 1]: labels of file i are label[begin[i]] .. label[begin[i + 1] - 1] */
    int *label;
};

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
            if (!json_is_integer(label) || json_integer_value(label) < 0 ||
                json_integer_value(label) >= DATA_IMAGENET_CLASSES)
                return base_fail("%s: entry %zu holds something other than class indices 0 to 999", path, i);
            real->label[at++] = (int)json_integer_value(label);
        }
    }
    real->begin[files] = (int)at;
    return BASE_OK;
}

static base_status set_real_parse(data_real *real, const char *text, size_t size, const char *path) {
    json_error_t error;
    json_t *root = json_loadb(text, size, 0, &error);
    if (!root) return base_fail("%s: not JSON (line %d: %s); expected ReaL's real.json", path, error.line, error.text);
    base_status status = BASE_OK;
    if (!json_is_array(root) || json_array_size(root) != DATA_IMAGENET_VAL)
        status = base_fail("%s: expected %d label lists, one a validation file, found %zu", path, DATA_IMAGENET_VAL,
                           json_array_size(root));
    else
        status = set_real_fill(real, root, path);
    json_decref(root);
    return status;
}

DEIT_INTERNAL base_status data_real_open(data_real **out, const char *path) {
    *out = NULL;
    data_real *real = base_calloc(1, sizeof *real);
    char *text = NULL;
    size_t size;
    base_status status = real ? base_read_file(path, 64 << 20, &text, &size) : BASE_ERROR;
    if (!status) status = set_real_parse(real, text, size, path);
    base_free(text);
    if (status)
        data_real_close(real);
    else
        *out = real;
    return status;
}

DEIT_INTERNAL void data_real_close(data_real *real) {
    if (!real) return;
    base_free(real->begin);
    base_free(real->label);
    base_free(real);
}

DEIT_INTERNAL int data_real_count(const data_real *real, int val_index) {
    return val_index < 0 || val_index >= real->count ? 0 : real->begin[val_index + 1] - real->begin[val_index];
}

DEIT_INTERNAL bool data_real_right(const data_real *real, int val_index, int label) {
    for (int i = 0; i < data_real_count(real, val_index); i++)
        if (real->label[real->begin[val_index] + i] == label) return true;
    return false;
}
