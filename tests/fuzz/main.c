/* The parsers under smoke fuzzing; see fuzz.h. It includes the table of contents, as the unit tests do. */
#include "../../src/deit.c"
#include "fuzz.h"

/* Opens a container and reads what it offers (not what it claims to be huge). */
static base_status fuzz_store(const uint8_t *data, size_t size) {
    store *s = NULL;
    base_status status = store_open_memory(&s, data, size, "fuzz");
    if (status) return status;
    for (size_t i = 0; i < store_count(s); i++) {
        const store_tensor *tensor = store_at(s, i);
        char shape[192];
        store_shape_text(tensor, shape);
        if (tensor->count > 1 << 22) continue;
        float *out = base_malloc(4 * tensor->count + 1);
        if (!out) break;
        base_status read = store_read_f32(tensor, out);
        base_free(out);
        if (read && !*base_message()) status = read;
    }
    store_close(s);
    return status;
}

int main(int argc, char **argv) {
    static const fuzz_target targets[] = {
        {"store", fuzz_store, "tests/fuzz/seeds/store", ""},
    };
    return fuzz_main(targets, (int)(sizeof targets / sizeof *targets), argc, argv);
}
