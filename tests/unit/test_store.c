/* store: what Python's libraries wrote must be read to the bit, what we write must be read back, and no file may do
 * harm. The files come from tests/golden/store/make_store_golden.py. Uses test_base.c's folder helpers. */
#include <math.h>

#define STORE_TEST_FOLDER "tests/golden/store/"

/* Opens a golden file and reads all tensors. */
static base_status store_test_read_all(const char *path, size_t *n) {
    store *s;
    BASE_TRY(store_open(&s, path));
    base_status status = BASE_OK;
    *n = store_count(s);
    for (size_t i = 0; i < *n && !status; i++) {
        const store_tensor *t = store_at(s, i);
        float *values = base_malloc(t->count * sizeof *values);
        status = values ? store_read_f32(t, values) : BASE_ERROR;
        base_free(values);
    }
    store_close(s);
    return status;
}

/* One row of values.tsv against what we read. */
static void store_test_row(const char *file, const char *name, const char *dtype, const char *shape,
                           const char *sha256) {
    char path[256], found[192], hex[65];
    store *s = NULL;
    const store_tensor *t = NULL;
    snprintf(path, sizeof path, STORE_TEST_FOLDER "%s", file);
    CHECK_OK(store_open(&s, path));
    if (!s) return;
    CHECK_OK(store_want(s, name, &t));
    if (t) {
        float *values = malloc(t->count * sizeof *values + 1);
        uint8_t *raw = malloc(t->bytes + 1);
        CHECK_OK(store_read_f32(t, values));
        CHECK_OK(store_read_raw(t, raw));
        test_sha256(values, t->count * sizeof *values, hex);
        if (strcmp(hex, sha256) || strcmp(store_shape_text(t, found), shape) ||
            strcmp(store_dtype_name(t->dtype), dtype))
            TEST_FAIL("%s %s: %s %s, expected %s %s, or other values", file, name, store_dtype_name(t->dtype), found,
                      dtype, shape);
        if (t->dtype == STORE_F32) CHECK(!memcmp(raw, values, t->bytes));
        if (store_f32(t)) CHECK(!memcmp(store_f32(t), values, t->bytes));
        free(values);
        free(raw);
    }
    store_close(s);
}

TEST(store_golden_values) {
    char line[512], *field[5];
    int rows = 0;
    size_t held = base_memory_held();
    FILE *table = fopen(STORE_TEST_FOLDER "values.tsv", "r");
    CHECK(table != NULL);
    while (table && fgets(line, sizeof line, table)) {
        char *rest = line;
        for (int i = 0; i < 5; i++) field[i] = strsep(&rest, "\t\n");
        store_test_row(field[0], field[1], field[2], field[3], field[4]);
        rows++;
    }
    if (table) fclose(table);
    CHECK(rows > 100);
    CHECK_EQ_INT(base_memory_held(), held);
}

TEST(store_wrappers) {
    store *s;
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "official.pth"));
    CHECK(!strcmp(store_part(s), "model") && !strcmp(store_format(s), "torch zip") && store_count(s) == 9);
    float plain[12], ema[12];
    CHECK_OK(store_read_f32(store_find(s, "0.weight"), plain));
    store_close(s);
    CHECK_OK(store_open_part(&s, STORE_TEST_FOLDER "official_stream.pth", "model_ema"));
    CHECK(!strcmp(store_part(s), "model_ema") && !strcmp(store_format(s), "torch stream"));
    CHECK_OK(store_read_f32(store_find(s, "0.weight"), ema));
    for (int i = 0; i < 12; i++) CHECK(ema[i] == 2 * plain[i]);
    store_close(s);
    char *data;
    size_t size;
    CHECK_OK(base_read_file(STORE_TEST_FOLDER "official_stream.pth", 0, &data, &size));
    CHECK_OK(store_open_memory(&s, data, size, "x", "model_ema"));
    CHECK_OK(store_read_f32(store_find(s, "0.weight"), ema));
    for (int i = 0; i < 12; i++) CHECK(ema[i] == 2 * plain[i]);
    store_close(s);
    CHECK_FAIL_HAS(store_open_memory(&s, data, size, "x", "teacher"), "x: no dict under \"teacher\"");
    base_free(data);
    CHECK_FAIL_HAS(store_open_part(&s, STORE_TEST_FOLDER "kinds.safetensors", "model"),
                   "kinds.safetensors: no part \"model\": it is safetensors, and only torch's files have parts");
    CHECK_FAIL_HAS(store_open_part(&s, STORE_TEST_FOLDER "official.pth", "teacher"),
                   "no dict under \"teacher\"; there are: model");
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "parallel.pth")); // "module." stripped
    CHECK(!strcmp(store_part(s), "state_dict") && store_find(s, "0.weight"));
    store_close(s);
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "kinds.safetensors"));
    const char *key, *value;
    CHECK(!strcmp(store_metadata(s, "format"), "pt") && !store_metadata(s, "none") && !store_part(s));
    CHECK(store_metadata_at(s, 1, &key, &value) && !store_metadata_at(s, 2, &key, &value));
    store_close(s);
}

/* Adds the pickle of one value: {key:value,key:value} a dict, T a tensor of one number, F one of float8, C what a call
 * would give, I a number. Returns what follows it. */
static const char *store_test_value(base_text *out, const char *at) {
#define TENSOR(rebuild, storage, more)                                                                                 \
    "ctorch._utils\n" rebuild "\n((X\7\0\0\0storagectorch\n" storage "\nX\1\0\0\0"                                     \
    "0X\3\0\0\0cpuK\1tQK\0K\1\x85K\1\x85\x89}" more "tR"
    static const char tensor[] = TENSOR("_rebuild_tensor_v2", "FloatStorage", ""),
                      float8[] = TENSOR("_rebuild_tensor_v3", "UntypedStorage", "ctorch\nfloat8_e4m3fn\n");
#undef TENSOR
    if (*at == '{') {
        base_text_add(out, "}", 1);
        for (at++; *at != '}'; at += *at == ',') {
            size_t size = strcspn(at, ":");
            base_text_add(out, (char[]){'X', (char)size, 0, 0, 0}, 5);
            base_text_add(out, at, size);
            at = store_test_value(out, at + size + 1);
            base_text_add(out, "s", 1);
        }
    }
    if (*at == 'T') base_text_add(out, tensor, sizeof tensor - 1);
    if (*at == 'F') base_text_add(out, float8, sizeof float8 - 1);
    if (*at == 'C') base_text_add(out, "cposix\nsystem\n)R", 16);
    if (*at == 'I') base_text_add(out, "K\1", 2);
    return at + 1;
}

/* A file of torch's older format that holds such a value. */
static base_text store_test_torch(const char *root) {
    static const char before[] = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}.\x80\2",
                      after[] = ".\x80\2]X\1\0\0\0"
                                "0a.",
                      data[8 + 16 * 4] = {16};
    base_text file = {0};
    base_text_add(&file, before, sizeof before - 1);
    store_test_value(&file, root);
    base_text_add(&file, after, sizeof after - 1);
    base_text_add(&file, data, sizeof data);
    return file;
}

static base_status store_test_open_torch(store **s, base_text *file, const char *root) {
    *file = store_test_torch(root);
    return store_open_memory(s, file->data, file->size, "x", NULL);
}

/* Dicts around the weights, as scripts put them. */
TEST(store_wrappers_in_wrappers) {
    static const struct {
        const char *root, *part, *name;
    } cases[] = {
        {"{model:{},state_dict:{a:T}}", "state_dict", "a"},
        {"{model:{name:I},state_dict:{},model_ema:{a:T}}", "model_ema", "a"},
        {"{model:{state_dict:{a:T},epoch:I}}", "model", "a"},
        {"{state_dict:{model:{model:{a:T}}}}", "state_dict", "a"},
        {"{model:{},a:T}", "", "a"},
        {"{ema:{a:T},epoch:I}", "", "ema.a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        store *s;
        base_text file;
        CHECK_OK(store_test_open_torch(&s, &file, cases[i].root));
        if (s) CHECK(!strcmp(store_part(s), cases[i].part) && store_count(s) == 1 && store_find(s, cases[i].name));
        if (s && i == 5) CHECK(!strcmp(store_wrapper_at(s, 0), "ema") && !store_wrapper_at(s, 1));
        store_close(s);
        base_text_free(&file);
    }
}

TEST(store_unreadable_in_order) {
    store *s;
    base_text file;
    const char *name, *reason;
    CHECK_OK(store_test_open_torch(&s, &file, "{d:T,c:C,b:C}"));
    for (size_t i = 0; s && i < 2; i++) {
        CHECK(store_blocked_at(s, i, &name, &reason) && *name == "cb"[i]);
        CHECK_STR_HAS(reason, "it depends on posix.system");
    }
    store_close(s);
    base_text_free(&file);
    CHECK_FAIL_HAS(store_test_open_torch(&s, &file, "{a:F,b:C}"),
                   "x: no tensors: a: its type is torch.float8_e4m3fn; F32, F16, BF16 or F64 expected");
    base_text_free(&file);
}

/* Nothing that a pickle asks for is called: the file it would make is not there. */
TEST(store_pickle_calls_nothing) {
    store *s;
    const store_tensor *t;
    remove("/tmp/deit_was_here");
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "calls_tensor.pth"));
    CHECK(store_count(s) == 1 && !store_find(s, "bias"));
    CHECK_OK(store_want(s, "weight", &t));
    CHECK_FAIL_HAS(store_want(s, "bias", &t), "calls_tensor.pth: tensor bias: it depends on posix.system");
    CHECK_FAIL_HAS(store_want(s, "nothing", &t), "no tensor nothing among its 1 (the first is weight)");
    store_close(s);
    CHECK_FAIL_HAS(store_open(&s, STORE_TEST_FOLDER "calls_model.pth"), "depends on posix.system");
    CHECK_FAIL_HAS(store_open(&s, STORE_TEST_FOLDER "calls_root.pth"), "depends on __builtin__.exec");
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "calls_beside.pth"));
    store_close(s);
    CHECK_FAIL_HAS(store_open(&s, STORE_TEST_FOLDER "module.pth"), "depends on torch.nn.modules.container.Sequential");
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "complex.pth"));
    CHECK_FAIL_HAS(store_want(s, "complex", &t), "depends on torch.ComplexFloatStorage");
    store_close(s);
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "complex_stream.pth")); /* whose tensor stands before the other's data */
    CHECK_FAIL_HAS(store_want(s, "complex", &t), "depends on torch.ComplexFloatStorage");
    CHECK_OK(store_want(s, "plain", &t));
    float plain[3];
    CHECK_OK(store_read_f32(t, plain));
    CHECK(plain[0] == 1 && plain[1] == 2 && plain[2] == 3);
    const char *name, *reason;
    CHECK(store_blocked_at(s, 0, &name, &reason) && !strcmp(name, "complex") &&
          !store_blocked_at(s, 1, &name, &reason));
    store_close(s);
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "held.pth"));
    CHECK_FAIL_HAS(store_want(s, "turned", &t), "tensor turned: ");
    store_close(s);
    CHECK(!base_path_exists("/tmp/deit_was_here"));
}

TEST(store_npz_absent_keys) {
    store *s;
    const store_tensor *t;
    CHECK_OK(store_open(&s, STORE_TEST_FOLDER "plain.npz"));
    CHECK_FAIL_HAS(store_want(s, "head/kernel", &t), "plain.npz: no tensor head/kernel among its 5");
    CHECK_FAIL_HAS(store_want(s, "words", &t), "its numpy type is <U4");
    store_close(s);
    CHECK_FAIL_HAS(store_open(&s, STORE_TEST_FOLDER "big_endian.npy"), "its numpy type is >f4");
}

/* ---- Damaged safetensors ----------------------------------------------------------------------------------------- */

/* Opens a safetensors made of this header and `size` zero bytes of data. */
static base_status store_test_header(const char *header, size_t size) {
    static uint8_t file[4096];
    store *s;
    uint64_t length = strlen(header);
    memset(file, 0, sizeof file);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    base_status status = store_open_memory(&s, file, 8 + length + size, "x.safetensors", NULL);
    if (!status) store_close(s);
    return status;
}

TEST(store_safetensors_bad_headers) {
#define ONE "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
    CHECK_OK(store_test_header(ONE "}", 8));
    CHECK_OK(store_test_header("{}", 0));
    CHECK_FAIL_HAS(store_test_header(ONE "}", 7),
                   "x.safetensors: tensor a ends at byte 8 of the data, but the file holds 7: it is cut short");
    CHECK_FAIL_HAS(store_test_header(ONE "}", 9), "1 bytes after the last tensor");
    CHECK_FAIL_HAS(store_test_header(ONE, 8), "not valid JSON");
    CHECK_FAIL_HAS(store_test_header(ONE ",\"a\":{}}", 8), "duplicate object key");
    CHECK_FAIL_HAS(store_test_header(ONE ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8),
                   "tensors a and b overlap");
    CHECK_FAIL_HAS(store_test_header(ONE ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16),
                   "4 bytes between a and b");
    CHECK_FAIL_HAS(store_test_header("{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8),
                   "tensor a: unknown dtype \"F33\"");
    CHECK_FAIL_HAS(store_test_header("{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8),
                   "tensor a: [2] of F16 takes 4 bytes, its offsets give it 8");
    CHECK_FAIL_HAS(store_test_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8),
                   "not a whole number");
    CHECK_FAIL_HAS(
        store_test_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8),
        "more elements than memory can hold");
    CHECK_FAIL_HAS(store_test_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8),
                   "from byte 8 to 0");
    CHECK_FAIL_HAS(store_test_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8), "no \"data_offsets\"");
    CHECK_FAIL_HAS(store_test_header("{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8), "no \"dtype\"");
    CHECK_FAIL_HAS(
        store_test_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8),
        "9 dimensions");
    CHECK_FAIL_HAS(store_test_header("{\"__metadata__\":{\"a\":1}}", 0), "not a string");
#undef ONE
    store *s;
    const store_tensor *t;
    static const char foreign[] =
        "\x3a\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    CHECK_OK(store_open_memory(&s, foreign, 8 + 0x3a + 1, "x", NULL));
    CHECK_FAIL_HAS(store_want(s, "a", &t), "its type is F8_E4M3");
    store_close(s);
    uint8_t large[16] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, '{'};
    CHECK_FAIL_HAS(store_open_memory(&s, large, 16, "x", NULL), "a header of 4294967295 bytes, at most");
    large[3] = large[2] = 0;
    CHECK_FAIL_HAS(store_open_memory(&s, large, 16, "x", NULL),
                   "a header of 65535 bytes in a file of 16: it is cut short");
    CHECK_FAIL_HAS(store_open_memory(&s, large, 0, "x", NULL), "the file is empty");
    CHECK_FAIL_HAS(store_open_memory(&s, "not weights at all", 18, "x", NULL), "neither safetensors, torch");
}

/* ---- Every format, cut and flipped ------------------------------------------------------------------------------- */

static const char *const store_test_files[] = {
    "official.pth", "official_stream.pth", "protocol4_stream.pth",
    "views.pth",    "views_stream.pth",    "kinds_deflated.pth",
    "nested.pth",   "calls_tensor.pth",    "kinds.safetensors",
    "plain.npz",    "deflated.npz",        "f32.npy",
    "module.pth",   "parallel.pth",        "protocol4.pth",
    "kinds.pth",    "fortran_f64.npy",     "kinds_stream.pth",
    "held.pth",     "complex_stream.pth",
};
enum { STORE_TEST_FILES = sizeof store_test_files / sizeof *store_test_files };

/* Opens `size` bytes from a block of exactly that size, so that the sanitizers see a read past its end; reads what
 * opens. */
static base_status store_test_bytes(const char *data, size_t size) {
    store *s;
    char *exact = malloc(size + !size);
    memcpy(exact, data, size);
    base_status status = store_open_memory(&s, exact, size, "x", NULL);
    for (size_t i = 0; !status && i < store_count(s); i++) {
        const store_tensor *t = store_at(s, i);
        if (t->count > 1 << 20) continue;
        float *values = malloc(t->count * sizeof *values + 1);
        if (store_read_f32(t, values)) CHECK(base_message()[0]);
        free(values);
    }
    if (!status) store_close(s);
    free(exact);
    return status;
}

TEST(store_cut_short_everywhere) {
    size_t held = base_memory_held();
    for (int f = 0; f < STORE_TEST_FILES; f++) {
        char path[256], *data;
        size_t size;
        snprintf(path, sizeof path, STORE_TEST_FOLDER "%s", store_test_files[f]);
        CHECK_OK(base_read_file(path, 0, &data, &size));
        for (size_t n = 0; n < size; n++)
            if (!store_test_bytes(data, n)) TEST_FAIL("%s opens when cut to %zu of %zu bytes", path, n, size);
        base_free(data);
    }
    CHECK_EQ_INT(base_memory_held(), held);
}

TEST(store_bits_flipped_everywhere) {
    size_t held = base_memory_held();
    for (int f = 0; f < STORE_TEST_FILES; f++) {
        char path[256], *data;
        size_t size;
        snprintf(path, sizeof path, STORE_TEST_FOLDER "%s", store_test_files[f]);
        CHECK_OK(base_read_file(path, 0, &data, &size));
        for (size_t n = 0; n < size; n++) {
            char bit = (char)(1 << (n * 5 % 8));
            data[n] ^= bit;
            store_test_bytes(data, size);
            data[n] ^= bit;
        }
        base_free(data);
    }
    CHECK_EQ_INT(base_memory_held(), held);
    char *data;
    size_t size;
    CHECK_OK(base_read_file(STORE_TEST_FOLDER "kinds.safetensors", 0, &data, &size));
    data[8 + 5] ^= 0x10; // in the header's JSON
    CHECK(store_test_bytes(data, size) == BASE_ERROR);
    base_free(data);
}

/* Every allocation fails in turn: an error with its reason, and nothing kept. */
TEST(store_checksums) {
    static const char *const files[] = {"plain.npz", "deflated.npz", "kinds_deflated.pth", "official.pth"};
    base_test_folder_begin();
    for (int f = 0; f < 4; f++) {
        char path[256], *data;
        size_t size, wrong = 0, flips = 0;
        snprintf(path, sizeof path, STORE_TEST_FOLDER "%s", files[f]);
        CHECK_OK(store_check_sums(path));
        CHECK_OK(base_read_file(path, 0, &data, &size));
        for (size_t at = 40; at < size / 2; at += size / 16, flips++) { /* among the members, before the directory */
            data[at] ^= 4;
            CHECK_OK(base_write_file(base_test_path("flipped"), data, size));
            wrong += store_check_sums(base_test_path("flipped")) != BASE_OK;
            data[at] ^= 4;
        }
        if (2 * wrong < flips)
            TEST_FAIL("%s: of %zu turned bits %zu are noticed", path, flips, wrong); /* half may be padding */
        base_free(data);
    }
    CHECK_OK(store_check_sums(STORE_TEST_FOLDER "kinds.safetensors"));
    base_test_folder_end();
}

TEST(store_names_of_compiled_models) {
    store *s;
    const float one = 1;
    base_test_folder_begin();
    store_tensor tensor = store_tensor_of("_orig_mod.head.bias", STORE_F32, 1, (int64_t[]){1}, &one);
    CHECK_OK(store_write_safetensors(base_test_path("compiled"), &tensor, NULL, 1, NULL));
    CHECK_OK(store_open(&s, base_test_path("compiled")));
    CHECK(store_find(s, "head.bias") != NULL);
    store_close(s);
    base_test_folder_end();
}

TEST(store_out_of_memory) {
    size_t held = base_memory_held(), n;
    for (int f = 0; f < STORE_TEST_FILES; f++) {
        char path[256];
        base_status status = BASE_ERROR;
        int tries = 0;
        snprintf(path, sizeof path, STORE_TEST_FOLDER "%s", store_test_files[f]);
        if (store_test_read_all(path, &n)) continue; // fails by itself
        for (int after = 1; status && after < 1000; after++, tries++) {
            base_fault_after(after);
            status = store_test_read_all(path, &n);
            base_fault_after(0);
            if (status) CHECK_STR_HAS(base_message(), "out of memory");
            CHECK_EQ_INT(base_memory_held(), held);
        }
        CHECK(!status && tries > 2);
    }
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

TEST(store_conversions) {
    for (uint32_t i = 0; i < 65536; i++) { // there and back is the same, NaN stays NaN
        float half = store_f16_to_f32((uint16_t)i), brain = store_bf16_to_f32((uint16_t)i);
        uint16_t half_back = store_f32_to_f16(half), brain_back = store_f32_to_bf16(brain);
        CHECK(half_back == i || (isnan(half) && (half_back & 0x7fff) > 0x7c00));
        CHECK(brain_back == i || (isnan(brain) && (brain_back & 0x7fff) > 0x7f80));
        if (i % 0x8000 >= 0x7bff) continue;
        float next = store_f16_to_f32((uint16_t)(i + 1)),
              middle = (half + next) / 2; // exact in f32: a tie goes to even
        CHECK_EQ_INT(store_f32_to_f16(middle), i + (i & 1));
        CHECK_EQ_INT(store_f32_to_f16(nextafterf(middle, half)), i);
        CHECK_EQ_INT(store_f32_to_f16(nextafterf(middle, next)), i + 1);
    }
    CHECK_EQ_INT(store_f32_to_f16(65519.99f), 0x7bff);
    CHECK_EQ_INT(store_f32_to_f16(65520), 0x7c00);
    CHECK_EQ_INT(store_f32_to_f16(-1e10f), 0xfc00);
    CHECK_EQ_INT(store_f32_to_f16(1e-10f), 0);
    CHECK_EQ_INT(store_f32_to_f16(0x1p-25f), 0); // half of the smallest: a tie
    CHECK_EQ_INT(store_f32_to_f16(0x1.000002p-25f), 1);
    CHECK_EQ_INT(store_f32_to_bf16(1.00390625f), 0x3f80); // ties
    CHECK_EQ_INT(store_f32_to_bf16(1.01171875f), 0x3f82);
    CHECK_EQ_INT(store_f32_to_bf16(3.4e38f), 0x7f80);
    CHECK_EQ_INT(store_f32_to_bf16(NAN) & 0x7fff, 0x7fc0);
}

TEST(store_write_safetensors_back) {
    static const float a[6] = {1, -2, 0.1f, 1e-6f, 65504, 3}, b[3] = {1, 2, 3};
    static const int64_t c[1] = {-5};
    store_tensor tensors[] = {store_tensor_of("half", STORE_F32, 1, (int64_t[]){3}, b),
                              store_tensor_of("w\"\\\xc3\xbc", STORE_F32, 2, (int64_t[]){2, 3}, a),
                              store_tensor_of("n", STORE_I64, 0, NULL, c),
                              store_tensor_of("brain", STORE_F32, 2, (int64_t[]){3, 2}, a),
                              store_tensor_of("empty", STORE_F32, 2, (int64_t[]){0, 7}, NULL)};
    static const store_dtype as[] = {STORE_F16, STORE_F32, STORE_I64, STORE_BF16, STORE_F32};
    const char *metadata[] = {"format", "pt", "sha", "x", NULL};
    store *s;
    size_t held = base_memory_held();
    base_test_folder_begin();
    const char *path = base_test_path("out.safetensors");
    CHECK_OK(store_write_safetensors(path, tensors, as, 5, metadata));
    CHECK_OK(store_open(&s, path));
    CHECK(store_count(s) == 5 && !strcmp(store_metadata(s, "sha"), "x"));
    float values[6];
    CHECK_OK(store_read_f32(store_find(s, "w\"\\\xc3\xbc"), values));
    CHECK(!memcmp(values, a, sizeof a) && store_f32(store_find(s, "w\"\\\xc3\xbc")));
    CHECK_OK(store_read_f32(store_find(s, "half"), values));
    CHECK(!memcmp(values, b, sizeof b) && store_find(s, "half")->dtype == STORE_F16);
    CHECK_OK(store_read_f32(store_find(s, "brain"), values));
    for (int i = 0; i < 6; i++) CHECK(values[i] == store_bf16_to_f32(store_f32_to_bf16(a[i])));
    CHECK(*(const int64_t *)store_find(s, "n")->data == -5 && store_find(s, "n")->ndim == 0);
    store_close(s);
    CHECK_FAIL_HAS(store_write_safetensors(path, tensors, (store_dtype[]){STORE_I32}, 1, NULL),
                   "cannot write F32 as I32");
    CHECK_FAIL_HAS(store_write_safetensors(path, (store_tensor[]){tensors[0], tensors[0]}, NULL, 2, NULL),
                   "two tensors to write");
    CHECK_FAIL_HAS(store_write_safetensors("/dev/full", tensors, NULL, 5, NULL),
                   "/dev/full: cannot write: No space left");
    CHECK_FAIL_HAS(store_write_safetensors("/nonexistent/x", tensors, NULL, 5, NULL),
                   "/nonexistent/x: cannot write there");
    static const float large[2] = {NAN, -65520}, larger[2] = {INFINITY, 3.4e38f};
    store_tensor wide = store_tensor_of("wide", STORE_F32, 1, (int64_t[]){2}, large);
    CHECK_FAIL_HAS(store_write_safetensors(base_test_path("other"), &wide, (store_dtype[]){STORE_F16}, 1, NULL),
                   "other: tensor wide: element 1 is -65520, beyond F16's largest number, 65504: choose bf16 or f32");
    wide.data = larger;
    CHECK_FAIL_HAS(store_write_safetensors(base_test_path("other"), &wide, (store_dtype[]){STORE_BF16}, 1, NULL),
                   "element 1 is 3.4e+38, beyond BF16's largest number, 3.39e38: choose f32");
    tensors[0].name = "\xff";
    CHECK_FAIL_HAS(store_write_safetensors(path, tensors, NULL, 5, NULL), "not UTF-8");
    CHECK_EQ_INT(base_test_files(), 1); // the good one, untouched
    tensors[0].name = "half";
    base_status status = BASE_ERROR;
    for (int after = 1; status && after < 100; after++) {
        base_fault_after(after);
        status = store_write_safetensors(base_test_path("other"), tensors, as, 5, metadata);
        base_fault_after(0);
        if (status) CHECK_STR_HAS(base_message(), "out of memory");
        CHECK_EQ_INT(base_memory_held(), held);
        CHECK_EQ_INT(base_test_files(), status ? 1 : 2);
    }
    CHECK(!status);
    base_test_folder_end();
}

/* From a strided, a half and a deflated source: what `deit weights convert` does. */
TEST(store_write_from_another_store) {
    static const char *const files[] = {"views.pth", "kinds_stream.pth", "deflated.npz"};
    base_test_folder_begin();
    for (int f = 0; f < 3; f++) {
        char path[256];
        store *from, *back;
        snprintf(path, sizeof path, STORE_TEST_FOLDER "%s", files[f]);
        CHECK_OK(store_open(&from, path));
        CHECK_OK(store_write_safetensors(base_test_path("copy"), store_at(from, 0), NULL, store_count(from), NULL));
        CHECK_OK(store_open(&back, base_test_path("copy")));
        CHECK_EQ_INT(store_count(back), store_count(from));
        for (size_t i = 0; i < store_count(from); i++) {
            const store_tensor *x = store_at(from, i), *y = store_find(back, x->name);
            uint8_t *p = malloc(x->bytes + 1), *q = malloc(x->bytes + 1);
            CHECK_OK(store_read_raw(x, p));
            CHECK(y && y->dtype == x->dtype && y->bytes == x->bytes && !store_read_raw(y, q) &&
                  !memcmp(p, q, x->bytes));
            CHECK(y && (uintptr_t)y->data % store_dtype_size(y->dtype) == 0);
            free(p);
            free(q);
        }
        store_close(from);
        store_close(back);
    }
    base_test_folder_end();
}

/* Byte for byte what numpy.save wrote. */
TEST(store_write_npy_like_numpy) {
    char *ours, *theirs;
    size_t our_size, their_size;
    float values[24];
    for (int i = 0; i < 24; i++) values[i] = (float)i;
    base_test_folder_begin();
    CHECK_OK(store_write_npy(base_test_path("x.npy"), values, 3, (int64_t[]){2, 3, 4}));
    CHECK_OK(base_read_file(base_test_path("x.npy"), 0, &ours, &our_size));
    CHECK_OK(base_read_file(STORE_TEST_FOLDER "f32.npy", 0, &theirs, &their_size));
    CHECK(our_size == their_size && !memcmp(ours, theirs, our_size));
    base_free(ours), base_free(theirs);
    for (int ndim = 0; ndim < 3; ndim++) {
        store *s;
        CHECK_OK(store_write_npy(base_test_path("y.npy"), values, ndim, (int64_t[]){5, 2}));
        CHECK_OK(store_open(&s, base_test_path("y.npy")));
        CHECK_EQ_INT(store_at(s, 0)->ndim, ndim);
        CHECK_EQ_INT(store_at(s, 0)->count, ndim == 0 ? 1 : ndim == 1 ? 5 : 10);
        store_close(s);
    }
    CHECK_FAIL_HAS(store_write_npy("/dev/full", values, 1, (int64_t[]){24}), "No space left");
    base_test_folder_end();
}
