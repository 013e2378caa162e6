/* From names to classes: which split, which leading folders mean nothing, and what index a class folder has. */
#include "data/internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- Leading folders and splits ------------------------------------------------------------------------------------ */

static size_t labels_first(const char *key) { /* length of the first folder; 0: a bare file */
    const char *slash = strchr(key, '/');
    return slash ? (size_t)(slash - key) : 0;
}
static bool labels_first_is(const char *key, const char *name) {
    size_t size = labels_first(key);
    return size && strlen(name) == size && !memcmp(key, name, size);
}

static bool labels_is_split(const char *key) {
    static const char *const splits[] = {"train", "val", "valid", "validation", "test"};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (labels_first_is(key, splits[i])) return true;
    return false;
}

/* True if every item is in the same first folder, with another folder inside; a synset is a class even if it is alone. */
static bool labels_common(const data_set *set) {
    const char *key = set->items[0].key;
    size_t size = labels_first(key);
    if (!size || data_imagenet_index(key, size) >= 0) return false;
    for (int64_t i = 0; i < set->count; i++)
        if (strncmp(set->items[i].key, key, size + 1) || !labels_first(set->items[i].key + size + 1)) return false;
    return true;
}

static void labels_strip(data_set *set) {
    size_t size = labels_first(set->items[0].key) + 1;
    for (int64_t i = 0; i < set->count; i++) set->items[i].key += size;
}

/* Where the first folders are splits, keeps the one asked for. */
static base_status labels_choose_split(data_set *set, const char *split) {
    bool any = false, wanted = false, other = false;
    for (int64_t i = 0; i < set->count; i++) {
        bool is = labels_is_split(set->items[i].key);
        any |= is, other |= !is;
        wanted |= labels_first_is(set->items[i].key, split ? split : "val");
    }
    if (!any || other) return split ? base_fail_as(BASE_USAGE, "%s: no folder '%s'", set->path, split) : BASE_OK;
    if (!wanted && split) return base_fail_as(BASE_USAGE, "%s: no images in a folder '%s'", set->path, split);
    const char *name = wanted ? (split ? split : "val") : "test";
    int64_t n = 0;
    for (int64_t i = 0; i < set->count; i++)
        if (labels_first_is(set->items[i].key, name)) set->items[n++] = set->items[i];
    if (!n) return base_fail_as(BASE_USAGE, "%s: no images in a folder 'val' or 'test'; name the split", set->path);
    set->count = n;
    labels_strip(set);
    return BASE_OK;
}

/* ---- Classes ----------------------------------------------------------------------------------------------------------- */

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

static base_status labels_from_folders(data_set *set) {
    bool synsets = true, numbers = true;
    int number, most = 0;
    const data_item **order = base_malloc((size_t)set->count * sizeof *order);
    if (!order) return BASE_ERROR;
    for (int64_t i = 0; i < set->count; i++) {
        const char *key = set->items[i].key;
        synsets &= data_imagenet_index(key, labels_first(key)) >= 0;
        numbers &= labels_number(key, labels_first(key), &number);
        most = number > most ? number : most;
        order[i] = &set->items[i];
    }
    qsort(order, (size_t)set->count, sizeof *order, labels_by_class);
    int rank = -1;
    for (int64_t i = 0; i < set->count; i++) {
        if (!i || labels_by_class(&order[i - 1], &order[i])) rank++;
        data_item *item = &set->items[order[i] - set->items];
        if (synsets) item->label = data_imagenet_index(item->key, labels_first(item->key));
        else if (numbers) labels_number(item->key, labels_first(item->key), &item->label);
        else item->label = rank;
    }
    set->classes = synsets ? DATA_IMAGENET_CLASSES : numbers ? most + 1 : rank + 1;
    base_free(order);
    return BASE_OK;
}

/* ---- A label file -------------------------------------------------------------------------------------------------------- */

static int labels_by_key(const void *a, const void *b) { return strcmp(((const data_item *)a)->key, ((const data_item *)b)->key); }

/* One label a line, for the files in sorted order. */
static base_status labels_from_file(data_set *set, const char *path) {
    char *text, *next;
    size_t size;
    BASE_TRY(base_read_file(path, 64 << 20, &text, &size));
    qsort(set->items, (size_t)set->count, sizeof *set->items, labels_by_key);
    int64_t line = 0;
    int least = 1 << 30, most = -1;
    base_status status = BASE_OK;
    for (char *word = strtok_r(text, " \t\r\n", &next); word && !status; word = strtok_r(NULL, " \t\r\n", &next), line++) {
        int label = data_imagenet_index(word, strlen(word));
        if (label < 0 && !labels_number(word, strlen(word), &label))
            status = base_fail("%s: entry %lld, '%s', is neither a synset of ImageNet nor a class index", path, (long long)line + 1, word);
        if (line < set->count) set->items[line].label = label;
        least = label < least ? label : least, most = label > most ? label : most;
    }
    base_free(text);
    if (status) return status;
    if (line != set->count) return base_fail("%s: %lld labels for the %lld images of %s", path, (long long)line, (long long)set->count, set->path);
    if (least >= 1 && most == DATA_IMAGENET_CLASSES)
        return base_fail("%s: numbers 1 to 1000 are the devkit's own numbering, which is not the order of synsets; give a list with a synset a line", path);
    set->classes = most < DATA_IMAGENET_CLASSES && most >= 100 ? DATA_IMAGENET_CLASSES : most + 1;
    return BASE_OK;
}

static int labels_by_label(const void *a, const void *b) {
    const data_item *x = a, *y = b;
    return x->label != y->label ? (x->label > y->label) - (x->label < y->label) : strcmp(x->key, y->key);
}
static int labels_by_rank(const void *a, const void *b) {
    const data_item *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

DEIT_INTERNAL base_status data_assign(data_set *set, const data_options *options) {
    if (!set->count) return base_fail("%s: no images (.jpg, .jpeg, .png) found", set->path);
    while (labels_common(set) && !labels_is_split(set->items[0].key)) labels_strip(set);
    BASE_TRY(labels_choose_split(set, options->split));
    while (labels_common(set)) labels_strip(set);
    bool flat = false;
    for (int64_t i = 0; i < set->count; i++) flat |= !labels_first(set->items[i].key);
    if (set->n_empty && !options->labels)
        return base_fail("%s: class folder '%s' holds no images%s; remove it or fill it", set->path, set->empty[0], set->n_empty > 1 ? " (nor do others)" : "");
    if (options->labels) {
        BASE_TRY(labels_from_file(set, options->labels));
    } else if (flat) {
        return base_fail("%s: images without class folders, such as %s; name a file with their labels (--labels: a synset or class index a line, in the order of "
                         "the sorted file names)", set->path, set->items[0].name);
    } else {
        BASE_TRY(labels_from_folders(set));
    }
    qsort(set->items, (size_t)set->count, sizeof *set->items, set->kind == DATA_STREAM ? labels_by_rank : labels_by_label);
    return BASE_OK;
}
