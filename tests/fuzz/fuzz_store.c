/* store's parsers under fuzzing: containers of tensors, tars and zips. Part of main.c; for a fuzzer guided by coverage,
 * alone: clang -g -O1 -fsanitize=fuzzer,address,undefined -DDEIT_LIBFUZZER -Isrc ... tests/fuzz/fuzz_store.c */
#ifdef DEIT_LIBFUZZER
#include "../../src/deit.c"
#endif

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Opens a container and reads what it offers (not what it claims to be huge). Opening may not take memory beyond a
 * multiple of the size. */
static base_status fuzz_store(const uint8_t *data, size_t size) {
    store *s = NULL;
    size_t held = base_memory_held();
    base_status status = store_open_memory(&s, data, size, "fuzz", NULL);
    if (status) return status;
    if (base_memory_held() - held > 400 * size + (1 << 20)) abort();
    for (size_t i = 0; i < store_count(s); i++) {
        const store_tensor *tensor = store_at(s, i);
        char shape[192];
        store_shape_text(tensor, shape);
        if (store_find(s, tensor->name) != tensor) abort();
        if (tensor->count > 1 << 22) continue;
        float *out = base_malloc(4 * tensor->count + 1);
        uint8_t *raw = base_malloc(tensor->bytes + 1);
        if (out && raw && (store_read_f32(tensor, out) || store_read_raw(tensor, raw)) && !*base_message()) abort();
        base_free(out);
        base_free(raw);
    }
    store_close(s);
    return BASE_OK;
}

/* A file without a name that holds the bytes. */
static int fuzz_file(const uint8_t *data, size_t size, char path[64]) {
    int file = memfd_create("fuzz", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    snprintf(path, 64, "/proc/self/fd/%d", file);
    return file;
}

static base_status fuzz_archive(const uint8_t *data, size_t size) {
    char path[64];
    store_archive *archive;
    int file = fuzz_file(data, size, path);
    base_status status = store_archive_open(&archive, path, NULL);
    for (size_t i = 0; !status && i < store_archive_count(archive); i++) {
        const store_entry *entry = store_archive_at(archive, i);
        store_archive *inner;
        uint8_t *out = entry->size < 1 << 22 ? base_malloc(entry->size) : NULL;
        if (out && store_archive_read(archive, entry, out) && !*base_message()) abort();
        base_free(out);
        if (!store_archive_open_inside(&inner, archive, entry)) store_archive_close(inner);
    }
    if (!status) store_archive_close(archive);
    close(file);
    return status;
}

static base_status fuzz_stream(const uint8_t *data, size_t size) {
    char path[64];
    store_stream *stream;
    const char *name;
    const uint8_t *content;
    size_t length;
    int file = fuzz_file(data, size, path);
    base_status status = store_stream_open(&stream, path);
    if (!status) {
        while (!(status = store_stream_next(stream, &name)) && name)
            if ((status = store_stream_data(stream, &content, &length))) break;
        store_stream_close(stream);
    }
    close(file);
    return status;
}

static void fuzz_mat_visit(const store_mat_array *array) {
    if (array->kind == STORE_MAT_NUMBERS)
        for (size_t i = 0; i < array->count; i++) (void)*(const volatile double *)&array->numbers[i];
    if (array->kind == STORE_MAT_TEXT && strlen(array->text) > SIZE_MAX / 2) abort();
    for (size_t i = 0; array->items && i < array->count * array->fields; i++) fuzz_mat_visit(&array->items[i]);
}

/* Opening may not take memory beyond a multiple of the size, but for what is compressed. */
static base_status fuzz_mat(const uint8_t *data, size_t size) {
    store_mat *mat;
    base_status status = store_mat_open_memory(&mat, data, size, "fuzz");
    for (const store_mat_array *array = status ? NULL : mat->first; array; array = array->next) fuzz_mat_visit(array);
    store_mat_close(mat);
    return status;
}

#ifdef DEIT_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t held = base_memory_held();
    base_status (*const run[])(const uint8_t *, size_t) = {fuzz_store, fuzz_archive, fuzz_stream, fuzz_mat};
    int which =
        size > 128 && !memcmp(data + 126, "IM", 2)                                                                  ? 3
        : size > 4 && (!memcmp(data, "\x1f\x8b", 2) || !memcmp(data, "BZh", 3) || !memcmp(data + 1, "\xb5\x2f", 2)) ? 2
        : size > 262 && !memcmp(data + 257, "ustar", 5)                                                             ? 1
                                                                                                                    : 0;
    run[which](data, size);
    if (base_memory_held() != held) abort();
    return 0;
}
#endif
