/* data's own formats under fuzzing. Part of main.c. */

/* Reads every picture that the parser let in. */
static base_status fuzz_data_done(data_set *set, base_status status) {
    uint8_t *pixels = base_malloc(3 * (size_t)set->raw.width * (size_t)set->raw.height + 1);
    if (!pixels) abort();
    for (int64_t i = 0; !status && i < set->count; i++) {
        if (data_label(set, i) < 0 || data_label(set, i) >= set->classes) abort();
        data_raw_pixels(set, i, pixels);
    }
    base_free(pixels);
    data_close(set);
    return status;
}

static data_set *fuzz_data_set(int classes, int side, int channels) {
    data_set *set = base_calloc(1, sizeof *set);
    if (!set || !(set->path = base_strdup("fuzz"))) abort();
    set->kind = DATA_RAW, set->classes = classes;
    set->raw.width = set->raw.height = side, set->raw.channels = channels;
    return set;
}

static base_status fuzz_cifar10(const uint8_t *data, size_t size) {
    size_t held = 0;
    data_set *set = fuzz_data_set(10, 32, 3);
    return fuzz_data_done(set, data_raw_cifar(set, "fuzz.bin", data, size, &held));
}

static base_status fuzz_cifar100(const uint8_t *data, size_t size) {
    size_t held = 0;
    data_set *set = fuzz_data_set(100, 32, 3);
    return fuzz_data_done(set, data_raw_cifar(set, "fuzz.bin", data, size, &held));
}

/* The last 13 bytes are the file of labels. */
static base_status fuzz_idx(const uint8_t *data, size_t size) {
    size_t labels = size < 13 ? size : 13;
    data_set *set = fuzz_data_set(10, 0, 1);
    uint8_t *images = base_malloc(size - labels + 1), *own = malloc(labels + 1);
    if (!images || !own) abort();
    memcpy(images, data, size - labels), memcpy(own, data + size - labels, labels);
    base_status status = data_raw_idx(set, "fuzz", images, size - labels, own, labels);
    free(own);
    return fuzz_data_done(set, status);
}

/* Labels of three files of ImageNet's validation set. */
static base_status fuzz_labels(const uint8_t *data, size_t size) {
    static const char *const names[] = {"ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG", "val_3.JPEG"};
    char path[64];
    int file = fuzz_file(data, size, path);
    data_set *set = fuzz_data_set(0, 0, 0);
    if (!(set->items = base_calloc(3, sizeof *set->items))) abort();
    set->count = set->capacity = 3;
    for (int i = 0; i < 3; i++) set->items[i] = (data_item){.name = names[i], .key = names[i], .label = -1};
    base_status status = data_read_label_file(set, path);
    for (int i = 0; i < 3 && !status; i++)
        if (data_label(set, i) < 0 || data_label(set, i) >= set->classes) abort();
    data_close(set);
    close(file);
    return status;
}

static annotated fuzz_annotated(void) {
    return (annotated){.set = fuzz_data_set(0, 0, 0), .root = "fuzz", .train = true, .folder = "folder"};
}

/* Makes items of the rows that the parser let in. */
static base_status fuzz_annotated_done(annotated *a, base_status status) {
    if (!status && a->count) {
        if (annotated_from_folder(a)) abort();
        data_sort(a->set);
    }
    for (int64_t i = 0; i < a->set->count; i++)
        if (data_label(a->set, i) < 0 || data_label(a->set, i) >= a->set->classes || !a->set->items[i].name) abort();
    base_free(a->rows);
    data_close(a->set);
    return status;
}

static base_status fuzz_inat(const uint8_t *data, size_t size) {
    json_t *root = json_loadb((const char *)data, size, 0, NULL);
    if (!root) return base_fail("not JSON");
    annotated a = fuzz_annotated();
    base_status status = fuzz_annotated_done(&a, annotated_inat_rows(&a, "train2018.json", root));
    json_decref(root);
    return status;
}

/* Of Flowers one file holds the numbers of the split and the labels. */
static base_status fuzz_annotations(const uint8_t *data, size_t size, bool cars) {
    store_mat *mat;
    BASE_TRY(store_mat_open_memory(&mat, data, size, "fuzz"));
    annotated a = fuzz_annotated();
    base_status status = fuzz_annotated_done(&a, cars ? annotated_cars_rows(&a, "cars_train_annos.mat", mat)
                                                      : annotated_flowers_rows(&a, mat, mat));
    store_mat_close(mat);
    return status;
}
static base_status fuzz_flowers(const uint8_t *data, size_t size) {
    return fuzz_annotations(data, size, false);
}
static base_status fuzz_cars(const uint8_t *data, size_t size) {
    return fuzz_annotations(data, size, true);
}

/* The numbering of ImageNet's devkit. */
static base_status fuzz_devkit(const uint8_t *data, size_t size) {
    store_mat *mat;
    int index[DATA_IMAGENET_CLASSES + 1] = {0};
    BASE_TRY(store_mat_open_memory(&mat, data, size, "fuzz"));
    base_status status = devkit_index(store_mat_find(mat, "synsets"), "fuzz", index);
    for (int n = 0; !status && n <= DATA_IMAGENET_CLASSES; n++)
        if (index[n] < 0 || index[n] >= DATA_IMAGENET_CLASSES) abort();
    store_mat_close(mat);
    return status;
}

/* ReaL's lists; how many there must be is checked before. */
static base_status fuzz_real(const uint8_t *data, size_t size) {
    json_t *root = json_loadb((const char *)data, size, 0, NULL);
    if (!root) return base_fail("not JSON");
    data_real *real = base_calloc(1, sizeof *real);
    if (!real) abort();
    base_status status = set_real_fill(real, root, "fuzz");
    for (int i = 0; i < real->count && !status; i++) (void)data_real_right(real, i, 5);
    data_real_close(real);
    json_decref(root);
    return status;
}
