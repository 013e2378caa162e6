/* Sets whose pictures are not files: CIFAR's binary version, MNIST's idx files. */
#include "data/internal.h"
#include <stdlib.h>
#include <string.h>

enum { RAW_LIMIT = 1 << 30, RAW_SIDE = 4096 };

/* ---- Records in memory ------------------------------------------------------------------------------------------- */

/* Adds bytes behind those that are there; *begin: where they are. */
static base_status raw_append(data_set *set, const void *bytes, size_t size, size_t *held, size_t *begin) {
    uint8_t *grown = base_realloc(set->raw.bytes, *held + size);
    if (!grown) return BASE_ERROR;
    memcpy(grown + *held, bytes, size);
    set->raw.bytes = grown, *begin = *held, *held += size;
    return BASE_OK;
}

static base_status raw_add(data_set *set, const char *file, int64_t record, int label, size_t pixels) {
    char *name = base_arena_printf(&set->arena, "%s:%lld", file, (long long)record);
    if (!name) return BASE_ERROR;
    if (label >= set->classes)
        return base_fail("%s: %s: record %lld has label %d; labels are 0 to %d", set->path, file, (long long)record,
                         label, set->classes - 1);
    set->items[set->count++] = (data_item){.name = name, .key = name, .label = label, .rank = (int64_t)pixels};
    return BASE_OK;
}

static base_status raw_room(data_set *set, int64_t more) {
    if (set->count + more <= set->capacity) return BASE_OK;
    data_item *grown = base_realloc(set->items, (size_t)(set->count + more) * sizeof *grown);
    if (!grown) return BASE_ERROR;
    set->items = grown, set->capacity = set->count + more;
    return BASE_OK;
}

/* Records of one label (ten classes), or of a coarse and a fine one (a hundred), and 3072 bytes. */
DEIT_INTERNAL base_status data_raw_cifar(data_set *set, const char *file, const uint8_t *bytes, size_t size,
                                         size_t *held) {
    size_t labels = set->classes == 10 ? 1 : 2, record = labels + 3072, begin;
    if (!size || size % record)
        return base_fail("%s: %s: %zu bytes are no whole number of records of %zu; download it again", set->path, file,
                         size, record);
    BASE_TRY(raw_room(set, (int64_t)(size / record)));
    BASE_TRY(raw_append(set, bytes, size, held, &begin));
    for (size_t i = 0; i < size / record; i++) {
        size_t pixels = begin + i * record + labels;
        BASE_TRY(raw_add(set, file, (int64_t)i, set->raw.bytes[pixels - 1], pixels));
    }
    return BASE_OK;
}

static uint32_t raw_big(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Takes images over: they become the set's, whatever is returned. */
DEIT_INTERNAL base_status data_raw_idx(data_set *set, const char *file, uint8_t *images, size_t images_size,
                                       const uint8_t *labels, size_t labels_size) {
    set->raw.bytes = images;
    if (images_size < 16 || raw_big(images) != 0x803)
        return base_fail("%s: %s: not an idx file of pictures (00 00 08 03 at its beginning)", set->path, file);
    if (labels_size < 8 || raw_big(labels) != 0x801)
        return base_fail("%s: the labels of %s: not an idx file of labels (00 00 08 01 at its beginning)", set->path,
                         file);
    uint64_t n = raw_big(images + 4), height = raw_big(images + 8), width = raw_big(images + 12);
    if (raw_big(labels + 4) != n)
        return base_fail("%s: %s: %llu pictures, but %u labels", set->path, file, (unsigned long long)n,
                         raw_big(labels + 4));
    if (!n || !width || !height || width > RAW_SIDE || height > RAW_SIDE || images_size - 16 != n * width * height ||
        labels_size - 8 != n)
        return base_fail("%s: %s: %llu pictures of %llu x %llu and their labels take other sizes than %zu and %zu "
                         "bytes; download it again",
                         set->path, file, (unsigned long long)n, (unsigned long long)width, (unsigned long long)height,
                         images_size, labels_size);
    set->raw.width = (int)width, set->raw.height = (int)height, set->raw.channels = 1;
    BASE_TRY(raw_room(set, (int64_t)n));
    for (uint64_t i = 0; i < n; i++) BASE_TRY(raw_add(set, file, (int64_t)i, labels[8 + i], 16 + i * width * height));
    return BASE_OK;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

typedef enum { RAW_NONE, RAW_CIFAR10, RAW_CIFAR100, RAW_IDX, RAW_PYTHON } raw_kind;

enum { RAW_CIFAR_FILES = 5 }; /* at most, of a split */
static const char *const raw_cifar10[2][RAW_CIFAR_FILES + 1] = {
    {"test_batch.bin"},
    {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"}};
static const char *const raw_cifar100[2][RAW_CIFAR_FILES + 1] = {{"test.bin"}, {"train.bin"}};

/* By the name of a file that only such a set has. */
static raw_kind raw_kind_of(const char *name) {
    if (!strncmp(name, "data_batch_", 11) || !strncmp(name, "test_batch", 10))
        return strstr(name, ".bin") ? RAW_CIFAR10 : RAW_PYTHON;
    if (!strcmp(name, "batches.meta.txt")) return RAW_CIFAR10;
    if (!strcmp(name, "train.bin") || !strcmp(name, "test.bin") || !strcmp(name, "fine_label_names.txt") ||
        !strcmp(name, "coarse_label_names.txt"))
        return RAW_CIFAR100;
    return RAW_NONE;
}

/* In an archive, one of the first files tells: before a picture, or a tar that may be large. */
static base_status raw_sniff_archive(const char *path, raw_kind *kind) {
    store_archive_kind archive;
    store_stream *stream;
    const char *name;
    *kind = RAW_NONE;
    BASE_TRY(store_archive_sniff(path, &archive));
    if (archive == STORE_ARCHIVE_NONE || store_stream_open(&stream, path)) return BASE_OK; /* others will say why */
    for (int i = 0; i < 8 && *kind == RAW_NONE && !store_stream_next(stream, &name) && name; i++) {
        if (data_is_image(name) || data_is_tar(name)) break;
        *kind = strstr(name, "cifar-100-python/") ? RAW_PYTHON : raw_kind_of(base_path_name(name));
    }
    store_stream_close(stream);
    return BASE_OK;
}

static raw_kind raw_sniff_folder(const char *path) {
    static const char *const marks[] = {"data_batch_1.bin", "test_batch.bin", "train.bin",
                                        "test.bin",         "data_batch_1",   "test_batch"};
    static const char *const idx[] = {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte",
                                      "t10k-images-idx3-ubyte.gz"};
    for (int i = 0; i < 4; i++)
        if (base_path_has(path, idx[i])) return RAW_IDX;
    for (int i = 0; i < 6; i++)
        if (base_path_has(path, marks[i])) return raw_kind_of(marks[i]);
    return !strcmp(base_path_name(path), "cifar-100-python") ? RAW_PYTHON : RAW_NONE;
}

/* ---- CIFAR ------------------------------------------------------------------------------------------------------- */

typedef struct {
    data_set *set;
    const char *const *wanted;                          /* ended by NULL */
    unsigned had;                                       /* bit i: wanted[i] */
    int64_t first[RAW_CIFAR_FILES], n[RAW_CIFAR_FILES]; /* of the set's items, wanted[i]'s */
    size_t held;
    char *names; /* the file of class names; base_malloc'd; NULL */
} raw_cifar;

static const char *raw_names_file(const data_set *set) {
    return set->classes == 10 ? "batches.meta.txt" : "fine_label_names.txt";
}

/* A file of the set, perhaps one that is wanted. */
static base_status raw_cifar_take(raw_cifar *c, const char *name, const uint8_t *bytes, size_t size) {
    if (!strcmp(name, raw_names_file(c->set)) && !c->names) {
        if (!(c->names = base_malloc(size + 1))) return BASE_ERROR;
        memcpy(c->names, bytes, size), c->names[size] = 0;
    }
    for (int i = 0; c->wanted[i]; i++) {
        if (strcmp(name, c->wanted[i]) || c->had & 1u << i) continue;
        c->had |= 1u << i;
        c->first[i] = c->set->count;
        BASE_TRY(data_raw_cifar(c->set, c->wanted[i], bytes, size, &c->held));
        c->n[i] = c->set->count - c->first[i];
        return BASE_OK;
    }
    return BASE_OK;
}

static bool raw_cifar_wants(const raw_cifar *c, const char *name) {
    bool wants = !strcmp(name, raw_names_file(c->set));
    for (int i = 0; c->wanted[i]; i++) wants |= !strcmp(name, c->wanted[i]);
    return wants;
}

static base_status raw_cifar_archive(raw_cifar *c, const base_context *context) {
    store_stream *stream;
    const char *name;
    const uint8_t *bytes;
    size_t size;
    base_status status;
    BASE_TRY(store_stream_open(&stream, c->set->path));
    while (!(status = store_stream_next(stream, &name)) && name) {
        uint64_t done, total;
        if (!raw_cifar_wants(c, base_path_name(name))) continue;
        status = store_stream_data(stream, &bytes, &size);
        if (!status) status = raw_cifar_take(c, base_path_name(name), bytes, size);
        if (!status && base_cancelled(context))
            status = base_fail_as(BASE_CANCELLED, "stopped while reading %s", c->set->path);
        if (status) break;
        store_stream_position(stream, &done, &total);
        base_progress(context, "read", (double)done, (double)total, "bytes", NULL);
    }
    store_stream_close(stream);
    return status;
}

/* The pictures in the order of the wanted files, whatever order the archive has them in. */
static base_status raw_cifar_order(raw_cifar *c) {
    data_set *set = c->set;
    data_item *ordered = base_malloc((size_t)set->capacity * sizeof *ordered), *next = ordered;
    if (!ordered) return BASE_ERROR;
    for (int i = 0; c->wanted[i]; next += c->n[i++])
        memcpy(next, set->items + c->first[i], (size_t)c->n[i] * sizeof *next);
    base_free(set->items);
    set->items = ordered;
    return BASE_OK;
}

static base_status raw_cifar_file(raw_cifar *c, const char *folder, const char *name) {
    char *path = base_path_join(folder, name), *bytes;
    size_t size;
    if (!path) return BASE_ERROR;
    base_status status = BASE_OK;
    if (base_path_exists(path)) {
        status = base_read_file(path, RAW_LIMIT, &bytes, &size);
        if (!status) status = raw_cifar_take(c, name, (uint8_t *)bytes, size);
        base_free(bytes);
    }
    base_free(path);
    return status;
}

/* A class a line; lines may be missing. */
static base_status raw_name_classes(data_set *set, char *names) {
    char *rest = NULL, *line = names ? strtok_r(names, "\r\n", &rest) : NULL;
    if (!line) return BASE_OK;
    if (!(set->class_names = base_arena_alloc(&set->arena, (size_t)set->classes * sizeof *set->class_names)))
        return BASE_ERROR;
    for (int i = 0; line && i < set->classes; i++, line = strtok_r(NULL, "\r\n", &rest))
        if (!(set->class_names[i] = base_arena_printf(&set->arena, "%s", line))) return BASE_ERROR;
    return BASE_OK;
}

/* folder: NULL, an archive. */
static base_status raw_open_cifar(data_set *set, const char *folder, bool train, const base_context *context) {
    raw_cifar c = {.set = set, .wanted = set->classes == 10 ? raw_cifar10[train] : raw_cifar100[train]};
    set->raw.width = set->raw.height = 32, set->raw.channels = 3;
    base_status status = folder ? raw_cifar_file(&c, folder, raw_names_file(set)) : raw_cifar_archive(&c, context);
    for (int i = 0; folder && c.wanted[i] && !status; i++) status = raw_cifar_file(&c, folder, c.wanted[i]);
    for (int i = 0; c.wanted[i] && !status; i++)
        if (!(c.had & 1u << i)) status = base_fail("%s: no %s in it; is it whole?", set->path, c.wanted[i]);
    if (!status) status = raw_cifar_order(&c);
    if (!status) status = raw_name_classes(set, c.names);
    base_free(c.names);
    return status;
}

/* ---- idx --------------------------------------------------------------------------------------------------------- */

static base_status raw_read_idx(const char *folder, const char *name, uint8_t **bytes, size_t *size) {
    char *plain = base_path_join(folder, name), zipped[256];
    snprintf(zipped, sizeof zipped, "%s.gz", name);
    char *gz = base_path_join(folder, zipped);
    base_status status = plain && gz ? BASE_OK : BASE_ERROR;
    if (!status && !base_path_exists(plain) && !base_path_exists(gz))
        status = base_fail("%s: no %s in it, nor %s", folder, name, zipped);
    if (!status) status = store_read_gzip(base_path_exists(plain) ? plain : gz, RAW_LIMIT, bytes, size);
    base_free(plain), base_free(gz);
    return status;
}

static base_status raw_open_idx(data_set *set, const char *folder, bool train) {
    const char *images_name = train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";
    uint8_t *images = NULL, *labels = NULL;
    size_t images_size = 0, labels_size = 0;
    base_status status = raw_read_idx(folder, images_name, &images, &images_size);
    if (!status)
        status =
            raw_read_idx(folder, train ? "train-labels-idx1-ubyte" : "t10k-labels-idx1-ubyte", &labels, &labels_size);
    if (status)
        base_free(images);
    else
        status = data_raw_idx(set, images_name, images, images_size, labels, labels_size);
    base_free(labels);
    return status;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* The folder itself, or the one that CIFAR's archives unpack to; base_malloc'd. */
static char *raw_folder(const char *path) {
    static const char *const inside[] = {"cifar-10-batches-bin", "cifar-100-binary"};
    for (int i = 0; i < 2; i++)
        if (raw_sniff_folder(path) == RAW_NONE && base_path_has(path, inside[i]))
            return base_path_join(path, inside[i]);
    return base_strdup(path);
}

DEIT_INTERNAL base_status data_raw_open(data_set *set, const data_options *options, const base_context *context,
                                        bool *is_raw) {
    raw_kind kind;
    bool train;
    char *folder = NULL;
    *is_raw = false;
    if (base_path_is_folder(set->path)) {
        if (!(folder = raw_folder(set->path))) return BASE_ERROR;
        kind = raw_sniff_folder(folder);
    } else {
        BASE_TRY(raw_sniff_archive(set->path, &kind));
    }
    base_status status = BASE_OK;
    if (kind == RAW_PYTHON) {
        status =
            base_fail("%s: it is CIFAR's version for Python; what is read here is the one called binary", set->path);
    } else if (kind != RAW_NONE) {
        *is_raw = true, set->kind = DATA_RAW, set->classes = kind == RAW_CIFAR100 ? 100 : 10;
        status = data_train_or_test(set, options, &train);
        if (!status)
            status = kind == RAW_IDX ? raw_open_idx(set, folder, train) : raw_open_cifar(set, folder, train, context);
    }
    base_free(folder);
    return status;
}

/* ---- Pixels ------------------------------------------------------------------------------------------------------ */

/* rgb: [height, width, 3] */
DEIT_INTERNAL void data_raw_pixels(const data_set *set, int64_t item, uint8_t *rgb) {
    size_t plane = (size_t)set->raw.width * (size_t)set->raw.height;
    const uint8_t *from = set->raw.bytes + set->items[item].rank;
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = from[set->raw.channels == 3 ? c * plane + i : i];
}
