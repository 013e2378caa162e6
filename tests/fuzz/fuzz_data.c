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
