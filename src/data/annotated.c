/* Sets whose labels lie beside the pictures in files of their own: Flowers-102, Stanford Cars, iNaturalist 2018 and
 * 2019, as they are downloaded. A table of the split's pictures and labels is read first; then the pictures are found
 * in their folder, or in the archive that it came in. */
#include "data/internal.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { ANNOTATED_FLOWERS = 102, ANNOTATED_CARS = 196, ANNOTATED_JSON = 1 << 30 };

typedef struct {
    const char *name; /* of the picture, from the set's folder on; in the set's arena */
    int label;
} annotated_row;

typedef struct {
    data_set *set;
    const char *root;
    bool train;
    annotated_row *rows;
    int64_t count, capacity;
    const char *folder;      /* of the pictures */
    const char *archives[3]; /* or what it may have come in */
} annotated;

/* Whether a name stays in the set's folder: annotations are downloaded, and their names are opened. */
static bool annotated_inside(const char *name) {
    if (*name == '/') return false;
    for (; *name; name += strcspn(name, "/"), name += *name == '/')
        if (strcspn(name, "/") == 2 && !strncmp(name, "..", 2)) return false;
    return true;
}

static base_status annotated_add(annotated *a, const char *file, int64_t row, double label, int least,
                                 const char *name) {
    if (!(label >= least && label < least + a->set->classes) || label != (int)label)
        return base_fail("%s/%s: picture %lld has label %g; expected %d to %d", a->root, file, (long long)row, label,
                         least, least + a->set->classes - 1);
    if (!annotated_inside(name))
        return base_fail("%s/%s: picture %lld is '%s'; expected a name below the set's folder, without '..': fetch the "
                         "annotations again",
                         a->root, file, (long long)row, name);
    if (a->count == a->capacity) {
        int64_t wanted = a->capacity ? 2 * a->capacity : 1024;
        annotated_row *grown = base_realloc(a->rows, (size_t)wanted * sizeof *grown);
        if (!grown) return BASE_ERROR;
        a->rows = grown, a->capacity = wanted;
    }
    char *copy = base_arena_printf(&a->set->arena, "%s", name);
    if (!copy) return BASE_ERROR;
    a->rows[a->count++] = (annotated_row){copy, (int)label - least};
    return BASE_OK;
}

static base_status annotated_mat(const annotated *a, const char *name, store_mat **mat) {
    char *path = base_path_join(a->root, name);
    base_status status = path ? store_mat_open(mat, path) : BASE_ERROR;
    base_free(path);
    return status;
}

static base_status annotated_numbers(const annotated *a, const store_mat *mat, const char *file, const char *name,
                                     const store_mat_array **array) {
    *array = store_mat_find(mat, name);
    if (*array && (*array)->kind == STORE_MAT_NUMBERS) return BASE_OK;
    return base_fail("%s/%s: no numbers named '%s' in it", a->root, file, name);
}

/* ---- Flowers-102: the paper trains on the training and the validation pictures --------------------------------- */

static base_status annotated_flowers_part(annotated *a, const store_mat *ids, const store_mat_array *labels,
                                          const char *part) {
    const store_mat_array *numbers;
    BASE_TRY(annotated_numbers(a, ids, "setid.mat", part, &numbers));
    for (size_t i = 0; i < numbers->count; i++) {
        double id = numbers->numbers[i];
        char name[64];
        if (!(id >= 1 && id <= (double)labels->count) || id != (int)id)
            return base_fail("%s/setid.mat: '%s' names picture %g, of %zu", a->root, part, id, labels->count);
        snprintf(name, sizeof name, "jpg/image_%05d.jpg", (int)id);
        BASE_TRY(annotated_add(a, "imagelabels.mat", (int)id, labels->numbers[(int)id - 1], 1, name));
    }
    return BASE_OK;
}

static base_status annotated_flowers_rows(annotated *a, const store_mat *ids, const store_mat *mat) {
    const store_mat_array *labels;
    a->set->classes = ANNOTATED_FLOWERS;
    BASE_TRY(annotated_numbers(a, mat, "imagelabels.mat", "labels", &labels));
    BASE_TRY(annotated_flowers_part(a, ids, labels, a->train ? "trnid" : "tstid"));
    return a->train ? annotated_flowers_part(a, ids, labels, "valid") : BASE_OK;
}

static base_status annotated_flowers(annotated *a) {
    store_mat *ids = NULL, *mat = NULL;
    a->folder = "jpg", a->archives[0] = "102flowers.tar", a->archives[1] = "102flowers.tgz";
    base_status status = annotated_mat(a, "setid.mat", &ids);
    if (!status) status = annotated_mat(a, "imagelabels.mat", &mat);
    if (!status) status = annotated_flowers_rows(a, ids, mat);
    store_mat_close(ids);
    store_mat_close(mat);
    return status;
}

/* ---- Stanford Cars ----------------------------------------------------------------------------------------------- */

/* The devkit unpacks to a folder. */
static const char *annotated_cars_file(const char *root, bool train) {
    static const char *const names[2][2] = {{"cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat"},
                                            {"cars_train_annos.mat", "devkit/cars_train_annos.mat"}};
    for (int i = 0; i < 2; i++)
        if (base_path_has(root, names[train][i])) return names[train][i];
    return NULL;
}

static base_status annotated_cars_rows(annotated *a, const char *file, const store_mat *mat) {
    const store_mat_array *rows = store_mat_find(mat, "annotations");
    a->set->classes = ANNOTATED_CARS;
    if (!rows || rows->kind != STORE_MAT_STRUCT) return base_fail("%s/%s: no 'annotations' in it", a->root, file);
    for (size_t i = 0; i < rows->count; i++) {
        const store_mat_array *name = store_mat_field(rows, i, "fname"), *label = store_mat_field(rows, i, "class");
        char path[320];
        if (!name || !name->text || !label || label->kind != STORE_MAT_NUMBERS || label->count != 1)
            return base_fail("%s/%s: annotation %zu lacks 'fname' or 'class'", a->root, file, i + 1);
        snprintf(path, sizeof path, "%s/%.255s", a->folder, name->text);
        BASE_TRY(annotated_add(a, file, (int64_t)i + 1, label->numbers[0], 1, path));
    }
    return BASE_OK;
}

static base_status annotated_cars(annotated *a) {
    const char *file = annotated_cars_file(a->root, a->train);
    store_mat *mat = NULL;
    a->folder = a->train ? "cars_train" : "cars_test";
    a->archives[0] = a->train ? "cars_train.tar" : "cars_test.tar";
    a->archives[1] = a->train ? "cars_train.tgz" : "cars_test.tgz";
    if (!file)
        return base_fail("%s: no %s in it", a->root,
                         a->train ? "cars_train_annos.mat" : "cars_test_annos_withlabels.mat");
    base_status status = annotated_mat(a, file, &mat);
    if (!status) status = annotated_cars_rows(a, file, mat);
    store_mat_close(mat);
    return status;
}

/* ---- iNaturalist ------------------------------------------------------------------------------------------------- */

typedef struct {
    json_int_t id;
    const char *name;
} annotated_image;

static int annotated_by_id(const void *a, const void *b) {
    const annotated_image *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static base_status annotated_inat_rows(annotated *a, const char *file, const json_t *root) {
    const json_t *images = json_object_get(root, "images"), *labels = json_object_get(root, "annotations");
    const json_t *categories = json_object_get(root, "categories");
    size_t n = json_array_size(images);
    if (!n || !json_array_size(labels) || !json_array_size(categories))
        return base_fail("%s/%s: expected lists named images, annotations and categories", a->root, file);
    annotated_image *sorted = base_malloc(n * sizeof *sorted);
    base_status status = sorted ? BASE_OK : BASE_ERROR;
    a->set->classes = (int)json_array_size(categories);
    for (size_t i = 0; i < n && !status; i++) {
        const json_t *image = json_array_get(images, i), *id = json_object_get(image, "id");
        sorted[i] = (annotated_image){json_integer_value(id), json_string_value(json_object_get(image, "file_name"))};
        if (!json_is_integer(id) || !sorted[i].name)
            status = base_fail("%s/%s: image %zu lacks 'id' or 'file_name'", a->root, file, i);
    }
    if (!status) qsort(sorted, n, sizeof *sorted, annotated_by_id);
    for (size_t i = 0; i < json_array_size(labels) && !status; i++) {
        const json_t *row = json_array_get(labels, i), *label = json_object_get(row, "category_id");
        annotated_image key = {.id = json_integer_value(json_object_get(row, "image_id"))};
        const annotated_image *image = bsearch(&key, sorted, n, sizeof key, annotated_by_id);
        if (!image || !json_is_integer(label))
            status = base_fail("%s/%s: annotation %zu is of no image, or lacks 'category_id'", a->root, file, i);
        else
            status = annotated_add(a, file, (int64_t)image->id, (double)json_integer_value(label), 0, image->name);
    }
    base_free(sorted);
    return status;
}

static base_status annotated_inat(annotated *a, const char *year) {
    char file[32], *path, *text = NULL;
    size_t size = 0;
    json_error_t error;
    bool is2018 = !strcmp(year, "2018");
    snprintf(file, sizeof file, "%s%s.json", a->train ? "train" : "val", year);
    a->folder = is2018 ? "train_val2018" : "train_val2019";
    a->archives[0] = is2018 ? "train_val2018.tar" : "train_val2019.tar";
    a->archives[1] = is2018 ? "train_val2018.tar.gz" : "train_val2019.tar.gz";
    if (!(path = base_path_join(a->root, file))) return BASE_ERROR;
    base_status status = base_read_file(path, ANNOTATED_JSON, &text, &size);
    base_free(path);
    json_t *root = status ? NULL : json_loadb(text, size, 0, &error);
    if (!status && !root) status = base_fail("%s/%s: not JSON (line %d: %s)", a->root, file, error.line, error.text);
    base_free(text);
    if (root) status = annotated_inat_rows(a, file, root);
    json_decref(root);
    return status;
}

/* ---- Finding the pictures ---------------------------------------------------------------------------------------- */

static int annotated_by_name(const void *a, const void *b) {
    return strcmp(((const annotated_row *)a)->name, ((const annotated_row *)b)->name);
}

/* Files in the folder: they need not be listed. */
static base_status annotated_from_folder(annotated *a) {
    data_set *set = a->set;
    set->kind = DATA_FOLDER;
    if (!(set->items = base_malloc((size_t)a->count * sizeof *set->items))) return BASE_ERROR;
    for (int64_t i = 0; i < a->count; i++)
        set->items[i] = (data_item){.name = a->rows[i].name, .key = a->rows[i].name, .label = a->rows[i].label};
    set->count = set->capacity = a->count;
    return BASE_OK;
}

/* The archive's pictures that are in the table; all of the table must be there. */
static base_status annotated_from_archive(annotated *a, const char *path, const base_context *context) {
    data_set *set = a->set;
    int64_t n = 0;
    base_free(set->path);
    if (!(set->path = base_strdup(path))) return BASE_ERROR;
    BASE_TRY(data_list(set, context));
    qsort(a->rows, (size_t)a->count, sizeof *a->rows, annotated_by_name);
    for (int64_t i = 0; i < set->count; i++) {
        annotated_row key = {.name = set->items[i].name};
        const annotated_row *row = bsearch(&key, a->rows, (size_t)a->count, sizeof key, annotated_by_name);
        if (!row) continue;
        set->items[n] = set->items[i];
        set->items[n++].label = row->label;
    }
    set->count = n;
    return n == a->count ? BASE_OK
                         : base_fail("%s: %lld of the %lld pictures that have labels in %s are in it; is it whole?",
                                     path, (long long)n, (long long)a->count, a->root);
}

static base_status annotated_find(annotated *a, const base_context *context) {
    base_status status = BASE_OK;
    if (!a->count) return base_fail("%s: no pictures in this split", a->root);
    if (base_path_has(a->root, a->folder)) {
        status = annotated_from_folder(a);
    } else {
        const char *found = NULL;
        for (int i = 0; i < 2 && !found; i++)
            if (base_path_has(a->root, a->archives[i])) found = a->archives[i];
        if (!found)
            return base_fail("%s: neither a folder '%s' nor %s or %s in it", a->root, a->folder, a->archives[0],
                             a->archives[1]);
        char *path = base_path_join(a->root, found);
        status = path ? annotated_from_archive(a, path, context) : BASE_ERROR;
        base_free(path);
    }
    if (!status) data_sort(a->set);
    return status;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

typedef enum {
    ANNOTATED_NONE,
    ANNOTATED_IS_FLOWERS,
    ANNOTATED_IS_CARS,
    ANNOTATED_IS_2018,
    ANNOTATED_IS_2019
} annotated_kind;

static annotated_kind annotated_sniff(const char *root) {
    if (!base_path_is_folder(root)) return ANNOTATED_NONE;
    if (base_path_has(root, "imagelabels.mat") && base_path_has(root, "setid.mat")) return ANNOTATED_IS_FLOWERS;
    if (annotated_cars_file(root, true) || annotated_cars_file(root, false)) return ANNOTATED_IS_CARS;
    if (base_path_has(root, "train2018.json") || base_path_has(root, "val2018.json")) return ANNOTATED_IS_2018;
    if (base_path_has(root, "train2019.json") || base_path_has(root, "val2019.json")) return ANNOTATED_IS_2019;
    return ANNOTATED_NONE;
}

DEIT_INTERNAL base_status data_annotated_open(data_set *set, const data_options *options, const base_context *context,
                                              bool *is_annotated) {
    annotated_kind kind = annotated_sniff(set->path);
    *is_annotated = kind != ANNOTATED_NONE;
    if (kind == ANNOTATED_NONE) return BASE_OK;
    annotated a = {.set = set, .root = options->path};
    BASE_TRY(data_train_or_test(set, options, &a.train));
    base_status status = kind == ANNOTATED_IS_FLOWERS ? annotated_flowers(&a)
                         : kind == ANNOTATED_IS_CARS  ? annotated_cars(&a)
                                                      : annotated_inat(&a, kind == ANNOTATED_IS_2018 ? "2018" : "2019");
    if (!status) status = annotated_find(&a, context);
    base_free(a.rows);
    return status;
}
