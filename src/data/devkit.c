/* The numbering of ImageNet's devkit: meta.mat says which synset has which number. */
#include "data/internal.h"
#include <string.h>

/* The folder of `path` with meta.mat in it; base_malloc'd. */
static char *devkit_beside(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = base_strdup(slash ? path : ".");
    if (folder && slash) folder[slash - path + (slash == path)] = 0;
    char *meta = folder ? base_path_join(folder, "meta.mat") : NULL;
    base_free(folder);
    return meta;
}

/* synsets: a struct array; its elements above 1000 are those that have others below them. */
static base_status devkit_index(const store_mat_array *synsets, const char *meta,
                                int index[DATA_IMAGENET_CLASSES + 1]) {
    for (size_t i = 0; synsets && i < synsets->count; i++) {
        const store_mat_array *number = store_mat_field(synsets, i, "ILSVRC2012_ID");
        const store_mat_array *synset = store_mat_field(synsets, i, "WNID");
        if (!number || number->kind != STORE_MAT_NUMBERS || !number->count || !synset || !synset->text)
            return base_fail(
                "%s: no ILSVRC2012_ID and WNID in element %zu of 'synsets'; the devkit's meta.mat is expected", meta,
                i);
        double n = number->numbers[0];
        if (!(n >= 1 && n <= DATA_IMAGENET_CLASSES)) continue;
        index[(int)n] = data_imagenet_find(synset->text);
        if (index[(int)n] < 0)
            return base_fail("%s: number %d is %.40s, which is none of ImageNet's 1000 synsets", meta, (int)n,
                             synset->text);
    }
    return synsets ? BASE_OK : base_fail("%s: no array 'synsets'; the devkit's meta.mat is expected", meta);
}

DEIT_INTERNAL base_status data_read_devkit(const char *labels, int index[DATA_IMAGENET_CLASSES + 1], bool *there) {
    char *meta = devkit_beside(labels);
    store_mat *mat = NULL;
    if (!meta) return BASE_ERROR;
    for (int n = 0; n <= DATA_IMAGENET_CLASSES; n++) index[n] = -1;
    *there = base_path_exists(meta);
    base_status status = *there ? store_mat_open(&mat, meta) : BASE_OK;
    if (mat) status = devkit_index(store_mat_find(mat, "synsets"), meta, index);
    store_mat_close(mat);
    base_free(meta);
    return status;
}
