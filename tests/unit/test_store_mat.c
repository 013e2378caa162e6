/* store's MATLAB files: what SciPy wrote (tests/golden/mat/make_mat_golden.py) is read, damage of every kind does no
 * harm. */

static const store_mat_array *mat_test_find(const store_mat *mat, const char *name, store_mat_kind kind, size_t count) {
    const store_mat_array *array = store_mat_find(mat, name);
    if (!array || array->kind != kind || array->count != count)
        TEST_FAIL("%s: absent, or of kind %d and %zu elements", name, array ? (int)array->kind : -1,
                  array ? array->count : 0);
    return array && array->kind == kind && array->count == count ? array : NULL;
}

static void mat_test_synsets(const char *path) {
    static const char *const synsets[] = {"n01443537", "n01440764", "n15075141", "n01484850", "n00001740"};
    store_mat *mat;
    CHECK_OK(store_mat_open(&mat, path));
    const store_mat_array *array = mat ? mat_test_find(mat, "synsets", STORE_MAT_STRUCT, 5) : NULL;
    for (size_t i = 0; array && i < 5; i++) {
        const store_mat_array *number = store_mat_field(array, i, "ILSVRC2012_ID"),
                              *synset = store_mat_field(array, i, "WNID");
        CHECK(number && number->count == 1 && (int)number->numbers[0] == (i < 4 ? (int)i + 1 : 1001));
        CHECK(synset && synset->kind == STORE_MAT_TEXT && !strcmp(synset->text, synsets[i]));
        CHECK(!store_mat_field(array, i, "WNIDs"));
    }
    CHECK(!array ||
          (!store_mat_field(array, 5, "WNID") && !store_mat_field(store_mat_field(array, 0, "WNID"), 0, "x")));
    CHECK(!mat || !store_mat_find(mat, "synset"));
    store_mat_close(mat);
}

TEST(mat_devkit) {
    size_t held = base_memory_held();
    mat_test_synsets("tests/golden/mat/meta.mat");
    mat_test_synsets("tests/golden/mat/meta_plain.mat");
    CHECK_EQ_INT(base_memory_held(), held);
}

TEST(mat_kinds) {
    static const char *const types[] = {"int8",   "uint8", "int16",  "uint16",  "int32",
                                        "uint32", "int64", "uint64", "float32", "float64"};
    static const double values[] = {0, 3, 1, 4, 2, 100}; // columns run first
    store_mat *mat;
    const store_mat_array *a, *b;
    CHECK_OK(store_mat_open(&mat, "tests/golden/mat/kinds.mat"));
    if (!mat) return;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((a = mat_test_find(mat, types[i], STORE_MAT_NUMBERS, 6))) CHECK(!memcmp(a->numbers, values, sizeof values));
    if ((a = mat_test_find(mat, "negative", STORE_MAT_NUMBERS, 3)))
        CHECK(a->numbers[0] == -1 && a->numbers[1] == -300 && a->numbers[2] == -70000);
    a = store_mat_find(mat, "text");
    CHECK(a && a->kind == STORE_MAT_TEXT &&
          !strcmp(a->text, "Gr\xc3\xbc\xc3\x9f"
                           "e \xe2\x98\x83"));
    if ((a = mat_test_find(mat, "cell", STORE_MAT_CELL, 4)))
        CHECK(!strcmp(a->items[0].text, "one") && a->items[1].count == 3 && a->items[2].numbers[0] == 2);
    if ((a = mat_test_find(mat, "nested", STORE_MAT_STRUCT, 1))) {
        b = store_mat_field(a, 0, "inner");
        CHECK(b && !strcmp(store_mat_field(b, 0, "deep")->text, "here") && store_mat_field(a, 0, "n")->numbers[0] == 7);
    }
    if ((a = mat_test_find(mat, "complex", STORE_MAT_NUMBERS, 1))) CHECK(a->numbers[0] == 1);
    if ((a = mat_test_find(mat, "yes", STORE_MAT_NUMBERS, 2))) CHECK(a->numbers[0] == 1 && a->numbers[1] == 0);
    mat_test_find(mat, "empty", STORE_MAT_NUMBERS, 0);
    CHECK(store_mat_find(mat, "sparse")->kind == STORE_MAT_OTHER);
    store_mat_close(mat);
}

/* From a block of exactly that size, so that the sanitizers see a read past its end. */
static base_status mat_test_bytes(const char *data, size_t size) {
    store_mat *mat;
    char *exact = malloc(size + !size);
    memcpy(exact, data, size);
    base_status status = store_mat_open_memory(&mat, exact, size, "x.mat");
    free(exact);
    store_mat_close(mat);
    return status;
}

TEST(mat_damage) {
    static const char *const files[] = {"meta.mat", "meta_plain.mat", "kinds.mat"};
    size_t held = base_memory_held();
    for (int f = 0; f < 3; f++) {
        char path[128], *data;
        size_t size;
        snprintf(path, sizeof path, "tests/golden/mat/%s", files[f]);
        CHECK_OK(base_read_file(path, 0, &data, &size));
        for (size_t n = 0; n < size && f < 2; n++) // both hold one variable: any cut is in it, but one right before it
            if (n != 128 && !mat_test_bytes(data, n)) TEST_FAIL("%s opens when cut to %zu of %zu bytes", path, n, size);
        for (size_t n = 0; n < size * 8; n++) {
            data[n / 8] ^= (char)(1 << n % 8);
            if (mat_test_bytes(data, size)) CHECK(base_message()[0]);
            data[n / 8] ^= (char)(1 << n % 8);
        }
        base_status status = BASE_ERROR;
        for (int after = 1; status && after < 10000; after++) {
            base_fault_after(after);
            status = mat_test_bytes(data, size);
            base_fault_after(0);
            if (status) CHECK_STR_HAS(base_message(), "out of memory");
        }
        CHECK(!status);
        base_free(data);
    }
    CHECK_EQ_INT(base_memory_held(), held);
    CHECK_FAIL_HAS(mat_test_bytes("", 0), "x.mat: not a MATLAB file of level 5");
    CHECK_FAIL_HAS(mat_test_bytes("\x89HDF\r\n\x1a\n........", 16), "x.mat: a MATLAB file of version 7.3");
}

/* A small file that unfolds to much is refused before it has. */
TEST(mat_bomb) {
    enum { FAT = 80 << 20 };
    uLongf size = compressBound(FAT);
    char *zeros = calloc(FAT, 1), *file = calloc(1, 136 + size);
    CHECK(zeros && file && compress((Bytef *)file + 136, &size, (const Bytef *)zeros, FAT) == Z_OK);
    memcpy(file + 126, "IM", 2);
    uint32_t tag[2] = {15, (uint32_t)size};
    memcpy(file + 128, tag, sizeof tag);
    CHECK_FAIL_HAS(mat_test_bytes(file, 136 + size), "unfolds to more than");
    free(zeros);
    free(file);
}
