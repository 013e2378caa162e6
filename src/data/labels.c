/* From names to classes: which split, which leading folders mean nothing, and what index a class folder has. */
#include "data/internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Leading folders and splits ---------------------------------------------------------------------------------- */

static size_t labels_first(const char *key) { /* length of the first folder; 0: a bare file */
    const char *slash = strchr(key, '/');
    return slash ? (size_t)(slash - key) : 0;
}

/* Folders of splits, in the order in which they are taken where none is named; in any case ("Train"). */
static const char *const labels_splits[] = {"val", "validation", "valid", "test", "train", "training"};
enum { LABELS_SPLITS = sizeof labels_splits / sizeof *labels_splits, LABELS_TRAIN = 4 };

/* Which of them the first folder is; -1. */
static int labels_split(const char *key) {
    size_t size = labels_first(key);
    for (int k = 0; k < LABELS_SPLITS; k++)
        if (strlen(labels_splits[k]) == size && !strncasecmp(key, labels_splits[k], size)) return k;
    return -1;
}

/* Whether a split is what is asked for: "val" also stands for the others that are not for training. */
static bool labels_split_is(int k, const char *split) {
    if (!split || !strcasecmp(split, labels_splits[k])) return true;
    return !strcasecmp(split, "val") ? k < LABELS_TRAIN : !strcasecmp(split, "train") && k >= LABELS_TRAIN;
}

/* ImageNet's index of the first folder; -1. */
static int labels_synset(const char *key) {
    char synset[16];
    size_t size = labels_first(key);
    if (!size || size >= sizeof synset) return -1;
    memcpy(synset, key, size), synset[size] = 0;
    return data_imagenet_find(synset);
}

/* True if every item is in the same first folder, with another folder inside; a synset is a class even if it is alone.
 */
static bool labels_common(const data_set *set) {
    const char *key = set->items[0].key;
    size_t size = labels_first(key);
    if (!size || labels_synset(key) >= 0) return false;
    for (int64_t i = 0; i < set->count; i++)
        if (strncmp(set->items[i].key, key, size + 1) || !labels_first(set->items[i].key + size + 1)) return false;
    return true;
}

static void labels_strip(data_set *set) {
    size_t size = labels_first(set->items[0].key) + 1;
    for (int64_t i = 0; i < set->count; i++) set->items[i].key += size;
}

/* Where the first folders are splits, keeps the one asked for, or the first there is. What lies beside them does not
 * matter where they hold class folders, and the one asked for, or one to train on and one to test on, are there. */
static base_status labels_choose_split(data_set *set, const data_options *options) {
    const char *split = options->split;
    bool all = true, there[LABELS_SPLITS] = {false}, flat[LABELS_SPLITS] = {false};
    int chosen = -1, train = -1;
    for (int64_t i = 0; i < set->count; i++) {
        const char *key = set->items[i].key;
        int k = labels_split(key);
        all &= k >= 0;
        if (k >= 0) there[k] = true, flat[k] |= !labels_first(key + labels_first(key) + 1);
    }
    for (int k = LABELS_SPLITS - 1; k >= 0; k--) {
        if (!there[k] || (flat[k] && !all)) continue;
        train = k >= LABELS_TRAIN ? k : train;
        chosen = labels_split_is(k, split) ? k : chosen;
    }
    if (!all && !split && (train < 0 || chosen >= LABELS_TRAIN)) chosen = -1;
    if (chosen < 0)
        return split && (all || !options->whole) ? base_fail_as(BASE_USAGE, "%s: no images in a folder '%s'%s",
                                                                set->path, split, all ? "" : " of class folders")
                                                 : BASE_OK;
    int64_t n = 0;
    for (int64_t i = 0; i < set->count; i++)
        if (labels_split(set->items[i].key) == chosen) set->items[n++] = set->items[i];
    set->count = n;
    labels_strip(set);
    return BASE_OK;
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

static int labels_by_class(const void *a, const void *b) {
    const data_item *x = *(const data_item *const *)a, *y = *(const data_item *const *)b;
    size_t m = labels_first(x->key), n = labels_first(y->key);
    int order = memcmp(x->key, y->key, m < n ? m : n);
    return order ? order : (m > n) - (m < n);
}

static bool labels_number(const char *key, size_t size, int *number) {
    *number = 0;
    if (!size || size > 7) return false;
    for (size_t i = 0; i < size; i++) {
        if (key[i] < '0' || key[i] > '9') return false;
        *number = *number * 10 + (key[i] - '0');
    }
    return true;
}

static base_status labels_name_classes(data_set *set) {
    set->class_names = base_arena_alloc(&set->arena, (size_t)set->classes * sizeof *set->class_names);
    if (!set->class_names) return BASE_ERROR;
    for (int64_t i = 0; i < set->count; i++) {
        const char *key = set->items[i].key, **name = &set->class_names[set->items[i].label];
        if (!*name && !(*name = base_arena_printf(&set->arena, "%.*s", (int)labels_first(key), key))) return BASE_ERROR;
    }
    return BASE_OK;
}

static base_status labels_from_folders(data_set *set) {
    bool synsets = true, numbers = true, zero = false;
    int number, most = 0;
    const data_item **order = base_malloc((size_t)set->count * sizeof *order);
    if (!order) return BASE_ERROR;
    for (int64_t i = 0; i < set->count; i++) {
        const char *key = set->items[i].key;
        synsets &= labels_synset(key) >= 0;
        numbers &= labels_number(key, labels_first(key), &number);
        most = number > most ? number : most, zero |= number == 0;
        order[i] = &set->items[i];
    }
    numbers &= zero;
    qsort(order, (size_t)set->count, sizeof *order, labels_by_class);
    int rank = -1;
    for (int64_t i = 0; i < set->count; i++) {
        if (!i || labels_by_class(&order[i - 1], &order[i])) rank++;
        data_item *item = &set->items[order[i] - set->items];
        if (synsets)
            item->label = labels_synset(item->key);
        else if (numbers)
            labels_number(item->key, labels_first(item->key), &item->label);
        else
            item->label = rank;
    }
    set->classes = synsets ? DATA_IMAGENET_CLASSES : numbers ? most + 1 : rank + 1;
    set->imagenet = synsets;
    base_free(order);
    return labels_name_classes(set);
}

static int labels_by_label(const void *a, const void *b) {
    const data_item *x = a, *y = b;
    return x->label != y->label ? (x->label > y->label) - (x->label < y->label) : strcmp(x->key, y->key);
}
static int labels_by_rank(const void *a, const void *b) {
    const data_item *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

DEIT_INTERNAL void data_sort_by_class(data_set *set) {
    qsort(set->items, (size_t)set->count, sizeof *set->items, labels_by_label);
}

DEIT_INTERNAL void data_sort(data_set *set) {
    qsort(set->items, (size_t)set->count, sizeof *set->items,
          set->kind == DATA_STREAM ? labels_by_rank : labels_by_label);
}

/* Whether a class's folder, of which the path is of a folder inside, has images elsewhere. */
static bool labels_has_others(const data_set *set, const char *inside) {
    size_t size = labels_first(inside);
    for (int64_t i = 0; size && i < set->count; i++)
        if (labels_first(set->items[i].key) == size && !strncmp(set->items[i].key, inside, size)) return true;
    return false;
}

/* A class folder without images, beside the others. */
static base_status labels_check_empty(const data_set *set) {
    size_t leading = (size_t)(set->items[0].key - set->items[0].name);
    const char *first = NULL;
    int n = 0;
    for (int i = 0; i < set->n_empty; i++) {
        const char *empty = set->empty[i];
        if (strncmp(empty, set->items[0].name, leading) || labels_has_others(set, empty + leading)) continue;
        if (!n++) first = empty;
    }
    if (!n) return BASE_OK;
    return base_fail("%s: class folder '%s' holds no images%s; remove it or fill it", set->path, first,
                     n > 1 ? " (nor do others)" : "");
}

DEIT_INTERNAL base_status data_assign(data_set *set, const data_options *options) {
    if (!set->count) return base_fail("%s: no images (.jpg, .jpeg, .png) found", set->path);
    while (labels_common(set) && labels_split(set->items[0].key) < 0) labels_strip(set);
    BASE_TRY(labels_choose_split(set, options));
    while (labels_common(set)) labels_strip(set);
    int64_t folders = 0; /* so many items have a class folder before one that has none */
    while (folders < set->count && labels_first(set->items[folders].key)) folders++;
    /* ImageNet's validation pictures as they are unpacked, in one folder: their labels are in it, or in the one above
     */
    const char *labels = options->labels;
    if (!labels && folders < set->count && set->kind == DATA_FOLDER && data_val_index(set, 0) >= 0) {
        const char *above = base_arena_printf(&set->arena, "%s/..", set->path);
        labels = data_labels_beside(set, set->path);
        if (!labels && above) labels = data_labels_beside(set, above);
    }
    if (!labels) BASE_TRY(labels_check_empty(set));
    if (labels) {
        BASE_TRY(data_read_label_file(set, labels));
    } else if (folders < set->count) {
        return base_fail("%s: images without class folders, such as %s; name a file with their labels (--labels: a "
                         "synset or class index a line, in the order of the sorted file names), or take them out",
                         set->path, set->items[folders].name);
    } else {
        BASE_TRY(labels_from_folders(set));
    }
    data_sort(set);
    return BASE_OK;
}
