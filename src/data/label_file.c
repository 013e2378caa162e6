/* A label file: the classes of pictures that lie without class folders, as ImageNet's validation files do. */
#include "data/internal.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *path;
    int64_t line, listed, paired; /* where we are; lines with a label, and with a file and its label */
    int *list;                    /* [listed] */
    bool synsets, numbers;        /* whether there are any */
    int least, most;              /* of the numbers */
} label_file;

static int label_file_by_name(const void *a, const void *b) {
    return strcmp(base_path_name(((const data_item *)a)->key), base_path_name(((const data_item *)b)->key));
}

/* ---- Lines ------------------------------------------------------------------------------------------------------- */

static base_status label_file_word(label_file *f, const char *word, int *label) {
    char *end;
    *label = data_imagenet_find(word);
    f->synsets |= *label >= 0;
    if (*label >= 0) return BASE_OK;
    long number = strtol(word, &end, 10);
    if (word[0] < '0' || word[0] > '9' || *end || number > 9999999)
        return base_fail("%s: line %lld: '%s' is neither a synset of ImageNet nor a class index", f->path,
                         (long long)f->line, word);
    *label = (int)number, f->numbers = true;
    f->least = *label < f->least ? *label : f->least;
    f->most = *label > f->most ? *label : f->most;
    return BASE_OK;
}

/* The item that a line names: by its whole path, or, where no other file is called so, by its last part. The items are
 * in the order of their last parts. */
static data_item *label_file_find(const data_set *set, const char *name) {
    const data_item key = {.key = base_path_name(name)};
    data_item *found = bsearch(&key, set->items, (size_t)set->count, sizeof key, label_file_by_name), *end;
    if (!found) return NULL;
    while (found > set->items && !label_file_by_name(found - 1, &key)) found--;
    data_item *ending = NULL;
    int endings = 0;
    for (end = found; end < set->items + set->count && !label_file_by_name(end, &key); end++) {
        size_t whole = strlen(end->key), size = strlen(name);
        if (!strcmp(end->key, name)) return end;
        if (size < whole && end->key[whole - size - 1] == '/' && !strcmp(end->key + whole - size, name))
            ending = end, endings++;
    }
    return endings == 1 ? ending : end - found == 1 ? found : NULL;
}

/* "label", or "file label". */
static base_status label_file_line(data_set *set, label_file *f, char *line) {
    char *rest, *first = strtok_r(line, " \t,\r", &rest), *second = first ? strtok_r(NULL, " \t,\r", &rest) : NULL;
    int label;
    if (!first) return BASE_OK;
    BASE_TRY(label_file_word(f, second ? second : first, &label));
    if (!second) {
        f->list[f->listed++] = label;
        return BASE_OK;
    }
    data_item *item = label_file_find(set, first);
    if (!item)
        return base_fail("%s: line %lld: no file '%s' in %s, or several of that name", f->path, (long long)f->line,
                         first, set->path);
    if (item->label >= 0 && item->label != label)
        return base_fail("%s: line %lld: '%s' has the label %d already, and now %d", f->path, (long long)f->line, first,
                         item->label, label);
    item->label = label;
    f->paired++;
    return BASE_OK;
}

static base_status label_file_lines(data_set *set, label_file *f, char *text) {
    int64_t lines = 1;
    for (const char *at = text; (at = strchr(at, '\n')); at++) lines++;
    if (!(f->list = base_malloc((size_t)lines * sizeof *f->list))) return BASE_ERROR;
    text += strncmp(text, "\xef\xbb\xbf", 3) ? 0 : 3; // the mark that some editors begin UTF-8 with
    for (char *next, *line = text; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        f->line++;
        BASE_TRY(label_file_line(set, f, line));
    }
    return BASE_OK;
}

/* ---- To the items ------------------------------------------------------------------------------------------------ */

/* The list has a line for every file, or for every file of ImageNet's validation set, of which some are here. */
static base_status label_file_deal(data_set *set, const label_file *f) {
    bool numbered = f->listed == DATA_IMAGENET_VAL && f->listed != set->count;
    if (f->listed != set->count && !numbered)
        return base_fail("%s: %lld labels for the %lld images of %s", f->path, (long long)f->listed,
                         (long long)set->count, set->path);
    for (int64_t i = 1; i < set->count && !numbered; i++)
        if (!label_file_by_name(&set->items[i - 1], &set->items[i]))
            return base_fail("%s: a label a line, in the order of the file names, but %s and %s have one name; write "
                             "lines of a file and its label",
                             f->path, set->items[i - 1].name, set->items[i].name);
    for (int64_t i = 0; i < set->count; i++) {
        int64_t line = numbered ? data_val_index(set, i) : i;
        if (line < 0 || line >= f->listed)
            return base_fail("%s: no label for %s among the %lld", f->path, set->items[i].name, (long long)f->listed);
        set->items[i].label = f->list[line];
    }
    return BASE_OK;
}

/* The devkit's ILSVRC2012_validation_ground_truth.txt has a numbering of its own, 1 to 1000, which its meta.mat, beside
 * it, explains. Class indices begin with 0, so that a list of them is not taken for it. */
static base_status label_file_devkit(data_set *set, const label_file *f) {
    int index[DATA_IMAGENET_CLASSES + 1];
    bool there;
    if (!f->numbers || f->synsets || f->least < 1) return BASE_OK;
    BASE_TRY(data_read_devkit(f->path, index, &there));
    if (!there && (f->most == DATA_IMAGENET_CLASSES || strstr(base_path_name(f->path), "ground_truth")))
        return base_fail("%s: this is the devkit's own numbering, which is not the order of synsets; put its meta.mat "
                         "beside it, or give a list with a synset a line",
                         f->path);
    for (int64_t i = 0; i < set->count && there; i++) {
        int number = set->items[i].label;
        if (number > DATA_IMAGENET_CLASSES || index[number] < 0)
            return base_fail("%s: number %d, of %s, is not among those of the meta.mat beside it", f->path, number,
                             set->items[i].name);
        set->items[i].label = index[number];
    }
    set->imagenet |= there;
    return BASE_OK;
}

static base_status label_file_give(data_set *set, const label_file *f) {
    if (f->synsets && f->most >= DATA_IMAGENET_CLASSES)
        return base_fail("%s: class index %d beside synsets of ImageNet: expected 0 to %d", f->path, f->most,
                         DATA_IMAGENET_CLASSES - 1);
    if (f->listed && f->paired) return base_fail("%s: some lines name their file, others do not", f->path);
    if (!f->paired) BASE_TRY(label_file_deal(set, f));
    for (int64_t i = 0; i < set->count; i++)
        if (set->items[i].label < 0) return base_fail("%s: no label for %s", f->path, set->items[i].name);
    set->imagenet = f->synsets || (f->most < DATA_IMAGENET_CLASSES && data_val_index(set, 0) >= 0);
    BASE_TRY(label_file_devkit(set, f));
    set->classes = set->imagenet ? DATA_IMAGENET_CLASSES : f->most + 1;
    return BASE_OK;
}

DEIT_INTERNAL const char *data_labels_beside(data_set *set, const char *folder) {
    static const char *const names[] = {"val_labels.txt", "ILSVRC2012_validation_ground_truth.txt",
                                        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = base_arena_printf(&set->arena, "%s/%s", folder, names[i]);
        if (path && base_path_exists(path)) return path;
    }
    return NULL;
}

DEIT_INTERNAL base_status data_read_label_file(data_set *set, const char *path) {
    label_file f = {.path = path, .least = 1 << 30, .most = -1};
    char *text;
    size_t size;
    BASE_TRY(base_read_file(path, 64 << 20, &text, &size));
    qsort(set->items, (size_t)set->count, sizeof *set->items, label_file_by_name);
    base_status status = label_file_lines(set, &f, text);
    if (!status) status = label_file_give(set, &f);
    base_free(f.list);
    base_free(text);
    return status;
}
