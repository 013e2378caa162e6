/* image: augmentation operators against Pillow's bytes (golden/images/ops.tsv, golden/extra/augment), parts of
 * pictures, windows, pictures that must fit. Uses test_image.c's helpers. */

typedef struct {
    char name[32], argument[32], resampling[16], rest[80];
} image_ops_row;

/* The operator of a name and its argument for a 97 x 61 picture; relative translations are in widths and heights. */
static image_change image_ops_change(const image_ops_row *row) {
    image_change change = {.op = IMAGE_OPS, .argument = atof(row->argument), .fill = {124, 116, 104}};
    change.filter = strcmp(row->resampling, "bicubic") ? IMAGE_BILINEAR : IMAGE_BICUBIC;
    for (int op = 0; op < IMAGE_OPS; op++)
        if (!strcmp(row->name, test_op_names[op])) change.op = (image_op)op;
    if (!strcmp(row->name, "TranslateXRel")) change.op = IMAGE_TRANSLATE_X, change.argument *= 97;
    if (!strcmp(row->name, "TranslateYRel")) change.op = IMAGE_TRANSLATE_Y, change.argument *= 61;
    if (change.op == IMAGE_OPS) TEST_FAIL("no operator %s", row->name);
    return change;
}

/* A copy of the operators' input, changed. */
static bool image_ops_apply(image_worker *worker, image_u8 *image, const image_ops_row *row) {
    char *input = NULL;
    size_t size = 0;
    image_change change = image_ops_change(row);
    CHECK_OK(image_test_read("op_input.rgb", &input, &size));
    bool there = input && size == 97 * 61 * 3 && change.op < IMAGE_OPS;
    if (there) {
        CHECK_OK(image_reserve(image, 97, 61));
        memcpy(image->data, input, size);
        CHECK_OK(image_apply(worker, image, &change));
        CHECK(image->width == 97 && image->height == 61);
    }
    base_free(input);
    return there;
}

static char *image_ops_next(char **rest) {
    char *field = *rest, *end = field + strcspn(field, "\t\n");
    *rest = *end ? end + 1 : end;
    *end = 0;
    return field;
}

TEST(golden_image_ops) {
    char *table = NULL, *save = NULL;
    size_t size;
    int cases = 0;
    image_worker *worker;
    image_u8 image = {0};
    if (!image_test_there()) SKIP("no pictures in DEIT_GOLDEN");
    CHECK_OK(image_test_read("ops.tsv", &table, &size));
    CHECK_OK(image_worker_new(&worker));
    for (char *line = table ? strtok_r(table, "\n", &save) : NULL; line && (line = strtok_r(NULL, "\n", &save));
         cases++) {
        char *file = image_ops_next(&line), *want = NULL;
        image_ops_row row = {0};
        snprintf(row.name, sizeof row.name, "%s", image_ops_next(&line));
        snprintf(row.argument, sizeof row.argument, "%s", image_ops_next(&line));
        snprintf(row.resampling, sizeof row.resampling, "%s", image_ops_next(&line));
        CHECK_OK(image_test_read(file, &want, &size));
        if (want && image_ops_apply(worker, &image, &row) && (size != 97 * 61 * 3 || memcmp(want, image.data, size)))
            TEST_FAIL("%s differs from Pillow's", file);
        base_free(want);
    }
    CHECK(cases >= 81);
    image_free(&image);
    image_worker_free(worker);
    base_free(table);
}

TEST(image_ops_of_every_kind) {
    char line[256], hex[65];
    int rows = 0;
    image_worker *worker;
    image_u8 image = {0};
    FILE *table = fopen("tests/golden/extra/augment/ops.tsv", "r");
    CHECK_OK(image_worker_new(&worker));
    CHECK(table && fgets(line, sizeof line, table));
    for (image_ops_row row; table && fgets(line, sizeof line, table); rows++) {
        CHECK_EQ_INT(sscanf(line, "%31s %31s %15s %79s", row.name, row.argument, row.resampling, row.rest), 4);
        if (!image_ops_apply(worker, &image, &row)) break;
        test_sha256(image.data, 97 * 61 * 3, hex);
        if (strcmp(hex, row.rest)) TEST_FAIL("%s %s %s differs from Pillow's", row.name, row.argument, row.resampling);
    }
    CHECK(rows >= 145);
    if (table) fclose(table);
    image_free(&image);
    image_worker_free(worker);
}

/* The fast way and the plain one, on many matrices; pictures as small as a pixel. */
TEST(image_affine_kernels_agree) {
    static const int sizes[][2] = {{1, 1}, {2, 7}, {33, 20}, {97, 61}};
    image_worker *worker;
    image_u8 image = {0}, plain = {0};
    const uint8_t fill[3] = {1, 2, 3};
    CHECK_OK(image_worker_new(&worker));
    for (uint64_t i = 0; i < 400; i++) {
        base_random random = base_random_stream(5, 0, i, 0);
        const int *size = sizes[i % 4];
        double m[6] = {1, 0, 0, 0, 1, 0};
        if (i % 3 == 0) image_rotation(m, 360 * base_random_uniform(&random), size[0], size[1]);
        if (i % 3 == 1) m[i % 2 ? 1 : 3] = base_random_uniform(&random) - 0.5;
        if (i % 3 == 2) m[i % 2 ? 2 : 5] = 20 * base_random_normal(&random);
        CHECK_OK(image_reserve(&image, size[0], size[1]));
        CHECK_OK(image_reserve(&plain, size[0], size[1]));
        for (int k = 0; k < 3 * size[0] * size[1]; k++) image.data[k] = (uint8_t)base_random_u64(&random);
        CHECK_OK(ops_pad(&worker->spare, &image));
        image_filter filter = i % 8 < 4 ? IMAGE_BICUBIC : IMAGE_BILINEAR;
        image_affine(&image, &worker->spare, m, filter, fill);
        image_affine_plain(&plain, &worker->spare, m, filter, fill);
        if (memcmp(image.data, plain.data, 3ul * size[0] * size[1])) TEST_FAIL("case %d differs", (int)i);
    }
    image_free(&image), image_free(&plain);
    image_worker_free(worker);
}

/* ---- Parts of pictures ------------------------------------------------------------------------------------------- */

static void image_ops_choose(void *user, int width, int height, image_box *box) {
    (void)width, (void)height;
    *box = *(const image_box *)user;
}

TEST(image_crops_are_cut_then_resized) {
    char line[256], name[64], resampling[16], sha256[65], hex[65];
    int rows = 0;
    image_worker *worker;
    image_u8 whole = {0}, *out;
    FILE *table = fopen("tests/golden/extra/augment/crops.tsv", "r");
    CHECK_OK(image_worker_new(&worker));
    CHECK(table && fgets(line, sizeof line, table));
    for (image_box box; table && fgets(line, sizeof line, table); rows++) {
        char *data;
        size_t size;
        CHECK_EQ_INT(sscanf(line, "%63s %d %d %d %d %d %d %15s %64s", name, &box.left, &box.top, &box.width,
                            &box.height, &box.to_width, &box.to_height, resampling, sha256),
                     9);
        box.filter = strcmp(resampling, "bicubic") ? IMAGE_BILINEAR : IMAGE_BICUBIC;
        image_test_input(name, &data, &size);
        CHECK_OK(image_decode(&whole, data, size, name));
        for (int k = 0; image_kernels_at(k / 2); k++) { /* each kernel, from the file and from pixels */
            image_source source = {.bytes = data, .size = size, .name = name};
            worker->kernels = image_kernels_at(k / 2);
            if (k % 2) source.bytes = whole.data, source.width = whole.width, source.height = whole.height;
            CHECK_OK(image_crop(worker, &source, image_ops_choose, &box, &out));
            test_sha256(out->data, 3ul * out->width * out->height, hex);
            if (strcmp(hex, sha256)) TEST_FAIL("%s differs from Pillow's", line);
        }
        base_free(data);
    }
    CHECK(rows >= 112);
    if (table) fclose(table);
    image_free(&whole);
    image_worker_free(worker);
}

TEST(image_windows) {
    uint8_t pixels[2 * 3 * 3]; /* 3 x 2: red 1 2 3 / 4 5 6 */
    image_u8 in = {pixels, 3, 2, 0}, out = {0};
    static const uint8_t black[4][5] = {{0, 0, 0, 0, 0}, {0, 1, 2, 3, 0}, {0, 4, 5, 6, 0}, {0, 0, 0, 0, 0}};
    static const uint8_t mirrored[4][5] = {{5, 4, 5, 6, 5}, {2, 1, 2, 3, 2}, {5, 4, 5, 6, 5}, {2, 1, 2, 3, 2}};
    for (int i = 0; i < 18; i++) pixels[i] = (uint8_t)(i / 3 + 1);
    for (int m = 0; m < 2; m++) {
        CHECK_OK(image_window(&out, &in, -1, -1, 5, 4, m));
        for (int i = 0; i < 60; i++) CHECK_EQ_INT(out.data[i], (m ? mirrored : black)[i / 15][i / 3 % 5]);
    }
    CHECK_OK(image_window(&out, &in, 1, 1, 2, 1, true));
    CHECK(out.data[0] == 5 && out.data[3] == 6);
    image_u8 one = {pixels, 1, 1, 0};
    CHECK_OK(image_window(&out, &one, -4, -4, 9, 9, true));
    for (int i = 0; i < 243; i++) CHECK_EQ_INT(out.data[i], 1);
    image_free(&out);
}

/* Where pictures are not resized they must fit, or are made to. */
TEST(image_that_must_fit) {
    uint8_t pixels[5 * 4 * 3];
    static float out[3 * 8 * 8];
    image_worker *worker;
    image_transform t = {8, 0, IMAGE_BICUBIC, {0}, {1, 1, 1}, IMAGE_FIT_NONE};
    memset(pixels, 255, sizeof pixels);
    CHECK_OK(image_worker_new(&worker));
    CHECK_FAIL_HAS(image_eval_pixels(worker, &t, pixels, 5, 4, "p", out), "5 x 4 pixels; at this input size it is not "
                                                                          "resized and must be 8 x 8 (--fit pad");
    t.fit = IMAGE_FIT_PAD; /* one column before, two behind; two rows each */
    CHECK_OK(image_eval_pixels(worker, &t, pixels, 5, 4, "p", out));
    for (int i = 0; i < 64; i++) CHECK(out[i] == (i / 8 >= 2 && i / 8 < 6 && i % 8 >= 1 && i % 8 < 6));
    t.size = 3; /* from row round(0.5), the even one, and column 1 */
    pixels[3] = 0;
    CHECK_OK(image_eval_pixels(worker, &t, pixels, 5, 4, "p", out));
    for (int i = 0; i < 9; i++) CHECK(out[i] == (i > 0));
    t.size = 8, t.fit = IMAGE_FIT_RESIZE, pixels[3] = 255;
    CHECK_OK(image_eval_pixels(worker, &t, pixels, 5, 4, "p", out));
    for (int i = 0; i < 192; i++) CHECK(out[i] == 1);
    image_worker_free(worker);
}

TEST(image_ops_memory_that_ends) {
    image_worker *worker;
    image_u8 image = {0};
    image_change changes[] = {{.op = IMAGE_SHARPNESS, .argument = 0.5},
                              {.op = IMAGE_BLUR, .argument = 1},
                              {.op = IMAGE_ROTATE, .argument = 10}};
    CHECK_OK(image_reserve(&image, 40, 30));
    memset(image.data, 7, 3600);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(image_worker_new(&worker));
        base_fault_after(1);
        CHECK(image_apply(worker, &image, &changes[i]) == BASE_ERROR);
        base_fault_after(0);
        CHECK_OK(image_apply(worker, &image, &changes[i]));
        image_worker_free(worker);
    }
    image_free(&image);
}
