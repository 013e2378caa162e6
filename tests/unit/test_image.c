/* image: goldens from Pillow, every kernel against the plain one, the verdict on cut files, bad input, failing memory.
 *   tests/golden/images   pictures (inputs/NAME) and their crops (NAME.SIZE.rgb), resizes, operators
 *   DEIT_GOLDEN           another folder of the same shape; it may hold photos/NAME.SIZE.rgb too, crops of pictures
 * that lie elsewhere: DEIT_GOLDEN_INPUTS    the folder of the photos' pictures */
#include <dirent.h>
#include <math.h>

static const char *image_test_golden(void) {
    return getenv("DEIT_GOLDEN") ? getenv("DEIT_GOLDEN") : "tests/golden";
}

static base_status image_test_read(const char *file, char **data, size_t *size) {
    char path[1024];
    snprintf(path, sizeof path, "%s/images/%s", image_test_golden(), file);
    return base_read_file(path, 0, data, size);
}

/* Another set of goldens may lack pictures. */
static bool image_test_there(void) {
    char *table = NULL;
    size_t size;
    bool there = !getenv("DEIT_GOLDEN") || !image_test_read("resize.tsv", &table, &size);
    base_free(table);
    return there;
}

static const char *const image_test_inputs[] = {
    "cmyk.jpg",        "exif_rotated.jpg", "grey.jpg",      "grey.png",       "large.jpg",
    "odd_sizes.jpg",   "palette.png",      "plain_420.jpg", "png_named.JPEG", "portrait_444.jpg",
    "progressive.jpg", "rgb.png",          "tiny.jpg",      "wide_422.jpg"};
enum { IMAGE_TEST_INPUTS = sizeof image_test_inputs / sizeof *image_test_inputs };

static image_transform image_test_transform(int size) {
    return (image_transform){size,          0.875, IMAGE_BICUBIC, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f},
                             IMAGE_FIT_NONE};
}

static void image_test_input(const char *name, char **data, size_t *size) {
    char file[256];
    snprintf(file, sizeof file, "inputs/%s", name);
    *data = NULL;
    CHECK_OK(image_test_read(file, data, size));
}

static int image_test_is_crop(const struct dirent *entry) {
    size_t n = strlen(entry->d_name);
    return n > 4 && !strcmp(entry->d_name + n - 4, ".rgb") && strncmp(entry->d_name, "op_", 3) != 0 &&
           strncmp(entry->d_name, "resize_", 7) != 0;
}

/* Holds every FOLDER/NAME.SIZE.rgb against the evaluation crop of INPUTS/NAME, with every kernel; returns how many. */
static int image_test_crops(const char *folder, const char *inputs) {
    struct dirent **crops = NULL;
    image_worker *worker;
    CHECK_OK(image_worker_new(&worker));
    int n = scandir(folder, &crops, image_test_is_crop, alphasort), seen = 0;
    for (int i = 0; i < n; i++) {
        char path[1024], name[256] = "", *data = NULL, *want = NULL;
        size_t bytes, want_bytes;
        image_u8 *crop;
        int size = 0;
        snprintf(path, sizeof path, "%s/%s", folder, crops[i]->d_name);
        CHECK_OK(base_read_file(path, 0, &want, &want_bytes));
        snprintf(name, sizeof name, "%.*s", (int)strlen(crops[i]->d_name) - 4, crops[i]->d_name);
        char *dot = strrchr(name, '.');
        if (dot) size = atoi(dot + 1), *dot = 0;
        if (size < 1) TEST_FAIL("%s: expected NAME.SIZE.rgb", path);
        snprintf(path, sizeof path, "%s/%s", inputs, name);
        CHECK_OK(base_read_file(path, 0, &data, &bytes));
        image_transform transform = image_test_transform(size);
        for (int k = 0; size > 0 && data && want && image_kernels_at(k); k++) {
            worker->kernels = image_kernels_at(k);
            base_status status = image_eval_source(worker, &transform,
                                                   &(image_source){.bytes = data, .size = bytes, .name = name}, &crop);
            CHECK_OK(status);
            if (status || want_bytes != 3ul * size * size || memcmp(want, crop->data, want_bytes))
                TEST_FAIL("%s at %d differs from Pillow's with %s kernels", name, size, worker->kernels->name);
            else if (getenv("DEIT_TEST_VERBOSE"))
                printf("  %s at %d, %s kernels\n", name, size, worker->kernels->name);
        }
        seen++;
        base_free(data), base_free(want), free(crops[i]);
    }
    free(crops);
    image_worker_free(worker);
    return seen;
}

TEST(golden_image_eval) {
    if (!image_test_there()) SKIP("no pictures in DEIT_GOLDEN");
    char folder[512], inputs[512];
    snprintf(folder, sizeof folder, "%s/images", image_test_golden());
    snprintf(inputs, sizeof inputs, "%s/images/inputs", image_test_golden());
    int seen = image_test_crops(folder, inputs);
    if (seen < (getenv("DEIT_GOLDEN") ? 1 : 2 * IMAGE_TEST_INPUTS)) TEST_FAIL("only %d crops in %s", seen, folder);
}

TEST(golden_image_photos) {
    char folder[512];
    snprintf(folder, sizeof folder, "%s/photos", image_test_golden());
    const char *inputs = getenv("DEIT_GOLDEN_INPUTS");
    if (!inputs && !base_path_exists(folder)) SKIP("no photos in the golden set");
    if (!inputs) SKIP("where the photos' pictures lie is not given: DEIT_GOLDEN_INPUTS");
    if (!image_test_crops(folder, inputs)) TEST_FAIL("no crops in %s", folder);
}

/* Kinds of files that the pictures above do not cover, whole; tests/golden/extra/make_pictures_golden.py. */
TEST(image_pictures_of_every_kind) {
    char line[256], name[64], sha256[65], path[128], *data, hex[65];
    int width, height, rows = 0;
    size_t size;
    image_u8 image = {0};
    FILE *table = fopen("tests/golden/extra/pictures.tsv", "r");
    CHECK(table != NULL);
    while (table && fgets(line, sizeof line, table)) {
        CHECK_EQ_INT(sscanf(line, "%63s %d %d %64s", name, &width, &height, sha256), 4);
        snprintf(path, sizeof path, "tests/golden/extra/pictures/%s", name);
        CHECK_OK(base_read_file(path, 0, &data, &size));
        CHECK_OK(image_decode(&image, data, size, name));
        test_sha256(image.data, 3ul * image.width * image.height, hex);
        if (image.width != width || image.height != height || strcmp(hex, sha256))
            TEST_FAIL("%s: %d x %d pixels, not Pillow's", name, image.width, image.height);
        base_free(data);
        rows++;
    }
    CHECK(rows >= 33);
    if (table) fclose(table);
    image_free(&image);
}

TEST(golden_image_resize) {
    char *table, *input, *save;
    size_t size, input_size;
    int cases = 0;
    if (!image_test_there()) SKIP("no pictures in DEIT_GOLDEN");
    table = input = NULL;
    CHECK_OK(image_test_read("resize.tsv", &table, &size));
    CHECK_OK(image_test_read("op_input.rgb", &input, &input_size));
    image_u8 in = {(uint8_t *)input, 97, 61, input_size}, out = {0};
    if (!table || !input || input_size != 97 * 61 * 3)
        TEST_FAIL("golden/images is incomplete");
    else
        for (char *line = strtok_r(table, "\n", &save); (line = strtok_r(NULL, "\n", &save)); cases++) {
            char file[128], filter[16], *want = NULL;
            int width, height;
            CHECK_EQ_INT(sscanf(line, "%127s %15s %d %d", file, filter, &width, &height), 4);
            CHECK_OK(image_test_read(file, &want, &size));
            image_filter f = strcmp(filter, "bilinear") ? IMAGE_BICUBIC : IMAGE_BILINEAR;
            CHECK_OK(image_resize(&out, &in, width, height, f));
            CHECK_EQ_INT(size, 3 * width * height);
            if (want && memcmp(want, out.data, size)) TEST_FAIL("%s differs", file);
            base_free(want);
        }
    CHECK(cases >= 12);
    image_free(&out);
    base_free(table), base_free(input);
}

/* Leaving out rows and columns must not show: the crop of the whole resized picture is what evaluation gives. */
TEST(image_eval_is_resize_then_crop) {
    image_worker *worker;
    image_u8 whole = {0}, resized = {0};
    CHECK_OK(image_worker_new(&worker));
    for (int i = 0; i < IMAGE_TEST_INPUTS; i++)
        for (int size = 33; size < 500; size += 117)
            for (int c = 0; c < 2; c++) {
                char *data;
                size_t bytes;
                image_u8 *crop;
                int to[2], at[2];
                image_transform t = image_test_transform(size);
                t.crop = c ? 0.942 : 0.3, t.filter = c ? IMAGE_BILINEAR : IMAGE_BICUBIC;
                image_test_input(image_test_inputs[i], &data, &bytes);
                CHECK_OK(image_decode(&whole, data, bytes, "test"));
                crop_eval_size(&t, whole.width, whole.height, to, at);
                CHECK_OK(image_resize(&resized, &whole, to[0], to[1], t.filter));
                CHECK_OK(image_eval_source(worker, &t, &(image_source){.bytes = data, .size = bytes, .name = "test"},
                                           &crop));
                for (int y = 0; y < size; y++)
                    if (memcmp(crop->data + 3ul * y * size, resized.data + 3 * ((size_t)(at[1] + y) * to[0] + at[0]),
                               3ul * size)) {
                        TEST_FAIL("%s at %d: row %d differs", image_test_inputs[i], size, y);
                        break;
                    }
                base_free(data);
            }
    image_free(&whole), image_free(&resized);
    image_worker_free(worker);
}

TEST(image_normalise_rounds_as_torchvision) {
    char *data;
    size_t bytes;
    image_u8 *crop;
    image_worker *worker;
    image_transform t = image_test_transform(160);
    static float out[3 * 160 * 160], same[3 * 160 * 160];
    image_test_input("rgb.png", &data, &bytes);
    CHECK_OK(image_worker_new(&worker));
    CHECK_OK(image_eval(worker, &t, data, bytes, "rgb.png", out));
    CHECK_OK(image_eval_source(worker, &t, &(image_source){.bytes = data, .size = bytes, .name = "rgb.png"}, &crop));
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 160 * 160; i++) {
            volatile float v = (float)crop->data[3 * i + c] / 255.0f;
            v = v - t.mean[c];
            v = v / t.std[c];
            if (out[c * 160 * 160 + i] != v) TEST_FAIL("channel %d, pixel %d", c, i), c = 3, i = 1 << 20;
        }
    image_u8 whole = {0};
    CHECK_OK(image_decode(&whole, data, bytes, "rgb.png"));
    CHECK_OK(image_eval_pixels(worker, &t, whole.data, whole.width, whole.height, "pixels", same));
    CHECK(!memcmp(out, same, sizeof out));
    t.crop = 0;
    CHECK_FAIL_HAS(image_eval(worker, &t, data, bytes, "rgb.png", out), "must be 160 x 160");
    image_free(&whole);
    image_worker_free(worker);
    base_free(data);
}

/* Pillow refuses every cut up to 3 bytes before the end. It also refuses most files that lack nothing but the end
 * marker; those are taken here. */
TEST(image_cut_files) {
    static const char *const names[] = {"plain_420.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "tiny.jpg"};
    image_u8 out = {0}, whole = {0};
    char *arithmetic;
    size_t length;
    CHECK_OK(base_read_file("tests/golden/extra/pictures/arithmetic.jpg", 0, &arithmetic, &length));
    for (size_t cut = 1; cut < length; cut += 7)
        CHECK_FAIL_HAS(image_decode(&out, arithmetic, cut, "arithmetic.jpg"), "arithmetic.jpg: ");
    base_free(arithmetic);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        char *data;
        size_t size;
        image_test_input(names[n], &data, &size);
        CHECK_OK(image_decode(&whole, data, size, names[n]));
        for (size_t i = 1; i < 36; i++) {
            size_t cut = i < 16 ? size * i / 16 : size - (i - 13);
            if (!image_decode(&out, data, cut, names[n]))
                TEST_FAIL("%s cut to %zu of %zu was taken", names[n], cut, size);
        }
        for (size_t cut = size - 2; cut < size; cut++) {
            CHECK_OK(image_decode(&out, data, cut, names[n]));
            CHECK(!memcmp(out.data, whole.data, 3ul * whole.width * whole.height));
        }
        base_free(data);
    }
    static const char *const pngs[] = {"rgb.png", "palette.png", "grey.png"};
    for (int n = 0; n < 3; n++) {
        char *data;
        size_t size;
        image_test_input(pngs[n], &data, &size);
        for (size_t i = 1; i < 16; i++) CHECK_FAIL_HAS(image_decode(&out, data, size * i / 16, pngs[n]), pngs[n]);
        base_free(data);
    }
    image_free(&out), image_free(&whole);
}

/* What follows the picture's data, where the end marker should be, plays no role. */
TEST(image_padded_jpegs) {
    static const char *const names[] = {"plain_420.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"};
    image_u8 out = {0}, whole = {0};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        char *data;
        size_t size;
        image_test_input(names[n], &data, &size);
        CHECK_OK(image_decode(&whole, data, size, names[n]));
        char *padded = malloc(size + 512);
        for (int what = 0; what < 2; what++) {
            memcpy(padded, data, size - 2);
            memset(padded + size - 2, what * 'x', 512);
            CHECK_OK(image_decode(&out, padded, size + 510, names[n]));
            CHECK(out.width == whole.width && out.height == whole.height);
            CHECK(!memcmp(out.data, whole.data, 3ul * whole.width * whole.height));
        }
        free(padded);
        base_free(data);
    }
    image_free(&out), image_free(&whole);
}

/* Progressive files whose last scans are missing, but which end well: libjpeg smooths them over several blocks, so that
 * a part must still be a part of the whole. */
TEST(image_progressive_parts) {
    char *data;
    size_t size;
    image_u8 whole = {0};
    image_worker *worker;
    image_transform t = image_test_transform(40);
    static float part[3 * 40 * 40], same[3 * 40 * 40];
    t.crop = 0.5;
    CHECK_OK(image_worker_new(&worker));
    image_test_input("progressive.jpg", &data, &size);
    int scans = 0;
    for (size_t at = 2; at + 1 < size; at++) {
        if ((uint8_t)data[at] != 0xff || (uint8_t)data[at + 1] != 0xda) continue;
        if (++scans < 2) continue;
        char next[2] = {data[at], data[at + 1]};
        data[at] = (char)0xff, data[at + 1] = (char)0xd9;
        CHECK_OK(image_decode(&whole, data, at + 2, "progressive.jpg"));
        CHECK_OK(image_eval(worker, &t, data, at + 2, "progressive.jpg", part));
        CHECK_OK(image_eval_pixels(worker, &t, whole.data, whole.width, whole.height, "pixels", same));
        if (memcmp(part, same, sizeof part)) TEST_FAIL("%d scans", scans - 1);
        memcpy(data + at, next, 2);
    }
    CHECK(scans > 4);
    image_free(&whole);
    image_worker_free(worker);
    base_free(data);
}

/* Pillow takes a PNG that stops where its pixels are complete; tests/golden/extra/make_pictures_golden.py. */
TEST(image_cut_pngs) {
    char line[256], name[64], cuts[64], path[128], *data;
    int rows = 0;
    size_t size;
    image_u8 whole = {0}, image = {0};
    FILE *table = fopen("tests/golden/extra/cuts.tsv", "r");
    CHECK(table != NULL);
    for (; table && fgets(line, sizeof line, table); rows++) {
        CHECK_EQ_INT(sscanf(line, "%63s %63s", name, cuts), 2);
        snprintf(path, sizeof path, "tests/golden/extra/%s", name);
        CHECK_OK(base_read_file(path, 0, &data, &size));
        CHECK_OK(image_decode(&whole, data, size, name));
        for (size_t cut = 0; cuts[cut]; cut++) {
            base_status status = image_decode(&image, data, size - cut, name);
            bool same = !status && image.width == whole.width && image.height == whole.height &&
                        !memcmp(image.data, whole.data, 3ul * whole.width * whole.height);
            if ((cuts[cut] == '=') != same)
                TEST_FAIL("%s without its last %zu bytes: %s, Pillow says %c", name, cut, status ? "refused" : "taken",
                          cuts[cut]);
        }
        base_free(data);
    }
    CHECK(rows >= 24);
    if (table) fclose(table);
    image_free(&whole), image_free(&image);
}

/* apart: each component in a scan of its own. */
static uint8_t *image_test_jpeg(int width, int height, bool apart, unsigned long *size) {
    static const jpeg_scan_info scans[3] = {
        {1, {0}, 0, DCTSIZE2 - 1, 0, 0}, {1, {1}, 0, DCTSIZE2 - 1, 0, 0}, {1, {2}, 0, DCTSIZE2 - 1, 0, 0}};
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    uint8_t *row = calloc((size_t)width, 3);
    for (int x = 0; x < 3 * width; x++) row[x] = (uint8_t)(x * 7);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &out, size);
    jpeg.image_width = (JDIMENSION)width, jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = 3, jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    if (apart) jpeg.scan_info = scans, jpeg.num_scans = 3;
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) jpeg_write_scanlines(&jpeg, &row, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
    return out;
}

TEST(image_extreme_sizes) {
    static const int sizes[][2] = {{1, 1}, {65500, 1}, {65500, 3}, {1, 3000}, {2, 2}, {17, 9}};
    image_worker *worker;
    image_transform t = image_test_transform(224);
    static float out[3 * 224 * 224];
    CHECK_OK(image_worker_new(&worker));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned long size = 0;
        uint8_t *data = image_test_jpeg(sizes[i][0], sizes[i][1], false, &size);
        image_u8 whole = {0};
        CHECK_OK(image_decode(&whole, data, size, "test"));
        CHECK_EQ_INT(whole.width, sizes[i][0]);
        CHECK_EQ_INT(whole.height, sizes[i][1]);
        CHECK_OK(image_eval(worker, &t, data, size, "test", out));
        image_free(&whole);
        free(data);
    }
    enum { LONG = 3000000 };
    uint8_t *pixels = calloc(LONG, 3);
    t.size = 800;
    CHECK_FAIL_HAS(image_eval_pixels(worker, &t, pixels, LONG, 1, "long", out), "3000000 x 1 is too long for");
    CHECK_FAIL_HAS(image_eval_pixels(worker, &t, pixels, 1, LONG, "long", out), "1 x 3000000 is too long for");
    free(pixels);
    image_worker_free(worker);
}

/* Without end marker a file is whole if every component has its scan to the end. */
TEST(image_scans_apart) {
    unsigned long size = 0;
    image_u8 whole = {0}, out = {0};
    uint8_t *data = image_test_jpeg(70, 50, true, &size);
    CHECK_OK(image_decode(&whole, data, size, "test"));
    CHECK_OK(image_decode(&out, data, size - 2, "test"));
    CHECK(!memcmp(out.data, whole.data, 3ul * 70 * 50));
    for (unsigned long cut = 1; cut + 4 < size; cut += 3)
        if (!image_decode(&out, data, cut, "test")) TEST_FAIL("cut to %lu of %lu was taken", cut, size);
    free(data);
    image_free(&out), image_free(&whole);
}

TEST(image_bad_input) {
    image_u8 out = {0};
    CHECK_FAIL_HAS(image_decode(&out, "", 0, "zero.jpg"), "zero.jpg: the file is empty");
    CHECK_FAIL_HAS(image_decode(&out, "not a picture at all", 20, "n.jpg"), "n.jpg: not a picture");
    CHECK_FAIL_HAS(image_decode(&out, "GIF89a..........", 16, "g.jpg"), "a GIF");
    CHECK_FAIL_HAS(image_decode(&out, "\xff\xd8\xff", 3, "s.jpg"), "s.jpg: broken JPEG");
    CHECK_FAIL_HAS(image_decode(&out, "\x89PNG\r\n\x1a\n", 8, "s.png"), "s.png: broken PNG");
    unsigned long size = 0;
    uint8_t *data = image_test_jpeg(16, 16, false, &size);
    for (unsigned long i = 0; i + 9 < size; i++)
        if (data[i] == 0xff && data[i + 1] == 0xc0) data[i + 5] = data[i + 7] = 0xff; /* 65,296 x 65,296 */
    CHECK_FAIL_HAS(image_decode(&out, data, size, "bomb.jpg"), "decompression bomb");
    CHECK(out.capacity < 1 << 20);
    free(data);
    image_free(&out);
}

TEST(image_memory_that_ends) {
    static const char *const names[] = {"cmyk.jpg", "progressive.jpg", "palette.png"};
    image_transform t = image_test_transform(160);
    static float out[3 * 160 * 160];
    for (int n = 0; n < 3; n++) {
        char *data;
        size_t size;
        image_test_input(names[n], &data, &size);
        size_t held = base_memory_held();
        base_status status = BASE_ERROR;
        for (long fault = 1; status && fault < 100; fault++) {
            image_worker *worker = NULL;
            base_fault_after(fault);
            status = image_worker_new(&worker);
            if (!status) status = image_eval(worker, &t, data, size, names[n], out);
            base_fault_after(0);
            image_worker_free(worker);
            CHECK_EQ_INT(base_memory_held(), held);
        }
        CHECK_OK(status);
        base_free(data);
    }
}
