/* data: Flowers-102, Stanford Cars and iNaturalist, in the layout of the originals with a few pictures each: MATLAB
 * files of level 5 and JSON are written here. Uses test_data.c's helpers. */

/* ---- A writer of MATLAB's level 5, uncompressed ------------------------------------------------------------------ */

typedef struct {
    uint8_t bytes[16384];
    size_t size;
} annotated_test_mat;

static void annotated_test_element(annotated_test_mat *m, uint32_t type, const void *data, size_t size) {
    uint32_t head[2] = {type, (uint32_t)size};
    memcpy(m->bytes + m->size, head, 8), m->size += 8;
    memcpy(m->bytes + m->size, data, size), m->size += (size + 7) / 8 * 8;
}

/* Begins an array; returns where its size stands. */
static size_t annotated_test_begin(annotated_test_mat *m, uint32_t class, int32_t columns, const char *name) {
    size_t at = m->size;
    annotated_test_element(m, 14, "", 0);
    annotated_test_element(m, 6, (uint32_t[2]){class, 0}, 8);
    annotated_test_element(m, 5, (int32_t[2]){1, columns}, 8);
    annotated_test_element(m, 1, name, strlen(name));
    return at;
}
static void annotated_test_end(annotated_test_mat *m, size_t at) {
    uint32_t size = (uint32_t)(m->size - at - 8);
    memcpy(m->bytes + at + 4, &size, 4);
}

static void annotated_test_numbers(annotated_test_mat *m, const char *name, const double *values, int n) {
    size_t at = annotated_test_begin(m, 6, n, name);
    annotated_test_element(m, 9, values, 8 * (size_t)n);
    annotated_test_end(m, at);
}
static void annotated_test_text(annotated_test_mat *m, const char *text) {
    size_t at = annotated_test_begin(m, 4, (int32_t)strlen(text), "");
    annotated_test_element(m, 16, text, strlen(text));
    annotated_test_end(m, at);
}

static annotated_test_mat annotated_test_new(void) {
    annotated_test_mat m = {.size = 128};
    memcpy(m.bytes, "MATLAB 5.0 MAT-file", 19);
    memset(m.bytes + 19, ' ', 97);
    memcpy(m.bytes + 124, "\0\1IM", 4);
    return m;
}

/* annotations(1, n) with fields fname and class. */
static void annotated_test_cars(const char *file, const char *const *names, const double *classes, int n) {
    annotated_test_mat m = annotated_test_new();
    size_t at = annotated_test_begin(&m, 2, n, "annotations");
    char fields[2][8] = {"fname", "class"};
    annotated_test_element(&m, 5, (int32_t[1]){8}, 4);
    annotated_test_element(&m, 1, fields, 16);
    for (int i = 0; i < n; i++) annotated_test_text(&m, names[i]), annotated_test_numbers(&m, "", &classes[i], 1);
    annotated_test_end(&m, at);
    data_test_make(file, m.bytes, m.size);
}

/* ---- Flowers-102 ------------------------------------------------------------------------------------------------- */

static void annotated_test_flowers(const double *labels, double last) {
    annotated_test_mat m = annotated_test_new();
    annotated_test_numbers(&m, "labels", labels, 5);
    data_test_make("f/imagelabels.mat", m.bytes, m.size);
    m = annotated_test_new();
    annotated_test_numbers(&m, "trnid", (double[]){4}, 1);
    annotated_test_numbers(&m, "valid", (double[]){1}, 1);
    annotated_test_numbers(&m, "tstid", (double[]){5, last}, 2);
    data_test_make("f/setid.mat", m.bytes, m.size);
}

TEST(data_flowers) {
    char names[5][32];
    const char *pointers[5];
    size_t held = base_memory_held();
    base_test_folder_begin();
    for (int i = 0; i < 5; i++) {
        char name[192];
        snprintf(names[i], sizeof names[i], "jpg/image_%05d.jpg", i + 1);
        snprintf(name, sizeof name, "f/jpg/image_%05d.jpg", i + 1);
        data_test_put(name, "tiny.jpg"), pointers[i] = names[i];
    }
    annotated_test_flowers((double[]){102, 7, 7, 1, 30}, 2);
    const char *train = "0 jpg/image_00004.jpg\n101 jpg/image_00001.jpg\n";
    data_test_holds("f", "train", NULL, 102, train);
    data_test_holds("f", NULL, NULL, 102, "6 jpg/image_00002.jpg\n29 jpg/image_00005.jpg\n");
    data_test_pack("f/102flowers.tgz.gz", "f", pointers, 5); /* .gz: the helper compresses by the name */
    CHECK(!rename(base_test_path("f/102flowers.tgz.gz"), base_test_path("f/102flowers.tgz")));
    CHECK(!rename(base_test_path("f/jpg"), base_test_path("f/other")));
    data_set *set;
    data_bytes bytes = {0};
    char text[4096];
    CHECK_OK(data_test_open(&set, "f", "train", NULL));
    CHECK(set && data_sequential(set));
    CHECK_OK(data_hold(set, NULL));
    data_test_describe(set, text);
    CHECK(!strcmp(text, train));
    CHECK_OK(data_read(set, 1, &bytes));
    data_close(set);
    base_free(bytes.data);
    data_test_pack("f/102flowers.tgz.gz", "f/other", (const char *[]){"image_00001.jpg"}, 1);
    CHECK(!rename(base_test_path("f/102flowers.tgz.gz"), base_test_path("f/102flowers.tgz")));
    CHECK_FAIL_HAS(data_test_try("f", "train", NULL), "102flowers.tgz: 0 of the 2 pictures that have labels");
    CHECK(!remove(base_test_path("f/102flowers.tgz")));
    CHECK_FAIL_HAS(data_test_try("f", "train", NULL), "neither a folder 'jpg' nor 102flowers.tar or 102flowers.tgz");
    annotated_test_flowers((double[]){103, 7, 7, 1, 30}, 2);
    CHECK_FAIL_HAS(data_test_try("f", "train", NULL), "imagelabels.mat: picture 1 has label 103; expected 1 to 102");
    annotated_test_flowers((double[]){102, 7, 7, 1, 30}, 6);
    CHECK_FAIL_HAS(data_test_try("f", "test", NULL), "setid.mat: 'tstid' names picture 6, of 5");
    data_test_make("f/setid.mat", "x", 1);
    CHECK_FAIL_HAS(data_test_try("f", "test", NULL), "setid.mat");
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

/* ---- Stanford Cars ----------------------------------------------------------------------------------------------- */

TEST(data_cars) {
    base_test_folder_begin();
    static const char *const names[] = {"00001.jpg", "00002.jpg"};
    for (int i = 0; i < 2; i++) {
        char name[64];
        snprintf(name, sizeof name, "c/cars_train/%s", names[i]), data_test_put(name, "tiny.jpg");
        snprintf(name, sizeof name, "p/cars_test/%s", names[i]), data_test_put(name, "tiny.jpg");
    }
    annotated_test_cars("c/devkit/cars_train_annos.mat", names, (double[]){196, 14}, 2);
    annotated_test_cars("c/cars_test_annos_withlabels.mat", names, (double[]){1, 2}, 1);
    data_test_pack("c/cars_test.tar", "p", (const char *[]){"cars_test/00002.jpg", "cars_test/00001.jpg"}, 2);
    data_test_holds("c", "train", NULL, 196, "13 cars_train/00002.jpg\n195 cars_train/00001.jpg\n");
    data_test_holds("c", "test", NULL, 196, "0 cars_test/00001.jpg\n");
    annotated_test_cars("c/cars_test_annos_withlabels.mat", names, (double[]){1, 197}, 2);
    CHECK_FAIL_HAS(data_test_try("c", NULL, NULL), "picture 2 has label 197; expected 1 to 196");
    annotated_test_cars("c/cars_test_annos_withlabels.mat", (const char *[]){"../../a.jpg"}, (double[]){1}, 1);
    CHECK_FAIL_HAS(data_test_try("c", NULL, NULL),
                   "cars_test_annos_withlabels.mat: picture 1 is 'cars_test/../../a.jpg'; expected a name below");
    CHECK(!remove(base_test_path("c/cars_test_annos_withlabels.mat")));
    CHECK_FAIL_HAS(data_test_try("c", NULL, NULL), "no cars_test_annos_withlabels.mat in it");
    base_test_folder_end();
}

/* ---- iNaturalist ------------------------------------------------------------------------------------------------- */

TEST(data_inaturalist) {
    static const char train[] =
        "{\"images\": [{\"id\": 7, \"file_name\": \"train_val2018/Aves/2/b.jpg\"}, {\"id\": 3, \"file_name\": "
        "\"train_val2018/Aves/0/a.jpg\"}], \"annotations\": [{\"id\": 1, \"image_id\": 3, \"category_id\": 0}, "
        "{\"id\": 2, "
        "\"image_id\": 7, \"category_id\": 2}], \"categories\": [{\"id\": 0}, {\"id\": 1}, {\"id\": 2}]}";
    static const char val[] =
        "{\"images\": [{\"id\": 9, \"file_name\": \"train_val2018/Aves/1/c.jpg\"}], \"annotations\": "
        "[{\"image_id\": 9, \"category_id\": %d}], \"categories\": [{}, {}, {}]}";
    static const char *const names[] = {"train_val2018/Aves/0/a.jpg", "train_val2018/Aves/2/b.jpg",
                                        "train_val2018/Aves/1/c.jpg"};
    char text[512];
    size_t held = base_memory_held();
    base_test_folder_begin();
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "i/%s", names[i]), data_test_put(name, "tiny.jpg");
    }
    data_test_make("i/train2018.json", train, sizeof train - 1);
    int size = snprintf(text, sizeof text, val, 1);
    data_test_make("i/val2018.json", text, (size_t)size);
    for (int k = 0; k < 2; k++) { /* the folder, then the archive */
        if (k) data_test_pack("i/train_val2018.tar.gz", "i", names, 3);
        if (k) CHECK(!rename(base_test_path("i/train_val2018"), base_test_path("i/gone")));
        data_test_holds("i", "train", NULL, 3, "0 train_val2018/Aves/0/a.jpg\n2 train_val2018/Aves/2/b.jpg\n");
        data_test_holds("i", NULL, NULL, 3, "1 train_val2018/Aves/1/c.jpg\n");
    }
    size = snprintf(text, sizeof text, val, 3);
    data_test_make("i/val2018.json", text, (size_t)size);
    CHECK_FAIL_HAS(data_test_try("i", "val", NULL), "val2018.json: picture 9 has label 3; expected 0 to 2");
    data_test_make("i/val2018.json", text, (size_t)size / 2);
    CHECK_FAIL_HAS(data_test_try("i", "val", NULL), "val2018.json: not JSON");
    data_test_make("i/val2018.json", "{}", 2);
    CHECK_FAIL_HAS(data_test_try("i", "val", NULL), "expected lists named images");
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

/* What annotations name is opened: none of it may be outside of the set. */
TEST(data_inaturalist_names_stay_in_the_set) {
    static const char format[] = "{\"images\": [{\"id\": 9, \"file_name\": \"%s\"}], \"annotations\": "
                                 "[{\"image_id\": 9, \"category_id\": 0}], \"categories\": [{}]}";
    static const char *const outside[] = {"../outside.jpg", "train_val2019/../../outside.jpg", "train_val2019/..",
                                          "/etc/passwd"};
    static const char *const inside[] = {"train_val2019/a..b/..c.jpg", "train_val2019/.../a.jpg"};
    char text[512], expected[128];
    base_test_folder_begin();
    data_test_put("outside.jpg", "tiny.jpg");
    data_test_put("i/train_val2019/a.jpg", "tiny.jpg");
    for (int i = 0; i < 4; i++) {
        data_test_make("i/val2019.json", text, (size_t)snprintf(text, sizeof text, format, outside[i]));
        snprintf(expected, sizeof expected, "i/val2019.json: picture 9 is '%s'; expected a name below", outside[i]);
        CHECK_FAIL_HAS(data_test_try("i", "val", NULL), expected);
    }
    for (int i = 0; i < 2; i++) {
        data_test_make("i/val2019.json", text, (size_t)snprintf(text, sizeof text, format, inside[i]));
        CHECK_OK(data_test_try("i", "val", NULL));
    }
    base_test_folder_end();
}
