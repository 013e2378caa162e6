/* data: layouts of sets, labels, the loader. Sets are made of a few pictures by the tests; archives through libarchive.
 * Uses test_base.c's folder helpers. */
#include <archive.h>
#include <archive_entry.h>

#define DATA_TEST_PICTURES "tests/golden/images/inputs/"

static void data_test_make(const char *name, const void *content, size_t size) {
    char folder[256];
    const char *path = base_test_path(name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    CHECK_OK(base_make_folders(folder));
    CHECK_OK(base_write_file(path, content, size));
}

/* Puts a picture of the golden images, or what stands for one, under a name in the test's folder. */
static void data_test_put(const char *name, const char *picture) {
    char path[256], *data;
    size_t size;
    snprintf(path, sizeof path, DATA_TEST_PICTURES "%s", picture);
    CHECK_OK(base_read_file(path, 0, &data, &size));
    data_test_make(name, data, size);
    base_free(data);
}

static void data_test_entry(struct archive *archive, const char *folder, const char *name) {
    char path[256], *data = NULL;
    size_t size = 0;
    struct archive_entry *entry = archive_entry_new();
    bool file = name[strlen(name) - 1] != '/';
    snprintf(path, sizeof path, "%s/%s", base_test_path(folder), name);
    if (file) CHECK_OK(base_read_file(path, 0, &data, &size));
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, file ? AE_IFREG : AE_IFDIR);
    archive_entry_set_perm(entry, file ? 0644 : 0755);
    archive_entry_set_size(entry, (la_int64_t)size);
    CHECK_EQ_INT(archive_write_header(archive, entry), ARCHIVE_OK);
    if (size) CHECK_EQ_INT(archive_write_data(archive, data, size), size);
    archive_entry_free(entry);
    base_free(data);
}

/* Packs files of a folder of the test's, by the archive's ending; names that end in '/' are folders. */
static void data_test_pack(const char *to, const char *folder, const char *const *names, int n) {
    struct archive *archive = archive_write_new();
    if (strstr(to, ".zip")) {
        archive_write_set_format_zip(archive);
        if (strstr(to, "stored")) archive_write_zip_set_compression_store(archive);
    } else {
        archive_write_set_format_ustar(archive);
    }
    if (strstr(to, ".gz")) archive_write_add_filter_gzip(archive);
    if (strstr(to, ".zst")) archive_write_add_filter_zstd(archive);
    CHECK_EQ_INT(archive_write_open_filename(archive, base_test_path(to)), ARCHIVE_OK);
    for (int i = 0; i < n; i++) data_test_entry(archive, folder, names[i]);
    CHECK_EQ_INT(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

static base_status data_test_open(data_set **set, const char *name, const char *split, const char *labels) {
    return data_open(set, &(data_options){.path = base_test_path(name), .split = split, .labels = labels}, NULL);
}

/* Opens and closes. */
static base_status data_test_try(const char *name, const char *split, const char *labels) {
    data_set *set;
    base_status status = data_test_open(&set, name, split, labels);
    data_close(set);
    return status;
}

/* The set's items as "label name" lines. */
static void data_test_describe(const data_set *set, char text[4096]) {
    size_t at = 0;
    text[0] = 0;
    for (int64_t i = 0; i < data_count(set) && at < 4000; i++)
        at += (size_t)snprintf(text + at, 4096 - at, "%d %s\n", data_label(set, i), set->items[i].name);
}

static void data_test_holds(const char *name, const char *split, const char *labels, int classes,
                            const char *expected) {
    data_set *set;
    char text[4096];
    CHECK_OK(data_test_open(&set, name, split, labels));
    if (!set) return;
    data_test_describe(set, text);
    if (strcmp(text, expected)) TEST_FAIL("%s: found\n%sexpected\n%s", name, text, expected);
    CHECK_EQ_INT(data_classes(set), classes);
    data_close(set);
}

/* ---- Layouts ----------------------------------------------------------------------------------------------------- */

static const char *const data_test_names[] = {
    "set/",           "set/ant/",          "set/ant/1.jpg", "set/ant/2.PNG",   "set/bee/",
    "set/bee/3.Jpeg", "set/bee/notes.txt", "set/wasp/",     "set/wasp/a/4.jpg"};
enum { DATA_TEST_NAMES = sizeof data_test_names / sizeof *data_test_names };
static void data_test_small(void) {
    data_test_put("top/set/ant/1.jpg", "plain_420.jpg"), data_test_put("top/set/ant/2.PNG", "grey.png");
    data_test_put("top/set/bee/3.Jpeg", "png_named.JPEG"), data_test_put("top/set/wasp/a/4.jpg", "cmyk.jpg");
    data_test_make("top/set/bee/notes.txt", "x", 1);
}

TEST(data_folder_tar_zip_and_compressed_tar_are_one) {
    static const char *const kinds[] = {"x.tar", "x.zip", "stored.zip", "x.tar.gz", "x.tar.zst"};
    base_test_folder_begin();
    data_test_small();
    const char *expected = "0 set/ant/1.jpg\n0 set/ant/2.PNG\n1 set/bee/3.Jpeg\n2 set/wasp/a/4.jpg\n";
    data_test_holds("top", NULL, NULL, 3, expected);
    data_bytes there = {0}, here = {0};
    data_set *folder, *set;
    CHECK_OK(data_test_open(&folder, "top", NULL, NULL));
    for (int k = 0; k < 5; k++) {
        data_test_pack(kinds[k], "top", data_test_names, DATA_TEST_NAMES);
        data_test_holds(kinds[k], NULL, NULL, 3, expected);
        CHECK_OK(data_test_open(&set, kinds[k], NULL, NULL));
        CHECK(data_sequential(set) == (k >= 3) && !set->imagenet && !strcmp(data_class_name(set, 2), "wasp"));
        for (int64_t i = 0; i < 4 && k < 3; i++) {
            CHECK_OK(data_read(folder, i, &there));
            CHECK_OK(data_read(set, i, &here));
            CHECK(here.size == there.size && !memcmp(here.data, there.data, here.size));
        }
        data_close(set);
    }
    data_close(folder);
    base_free(there.data), base_free(here.data);
    base_test_folder_end();
}

TEST(data_numeric_folders_are_class_indices) {
    static const char *const folders[] = {"0", "1", "2", "10", "9", "100"};
    base_test_folder_begin();
    for (int i = 0; i < 6; i++) {
        char name[64];
        snprintf(name, sizeof name, "v2/imagenetv2-matched-frequency-format-val/%s/x.jpeg", folders[i]);
        data_test_put(name, "tiny.jpg");
        snprintf(name, sizeof name, "from_one/%s/x.jpeg", i ? folders[i] : "3");
        data_test_put(name, "tiny.jpg");
    }
#define V2(n) n " imagenetv2-matched-frequency-format-val/" n "/x.jpeg\n"
    data_test_holds("v2", NULL, NULL, 101, V2("0") V2("1") V2("2") V2("9") V2("10") V2("100"));
    data_test_holds("v2/imagenetv2-matched-frequency-format-val", NULL, NULL, 101,
                    "0 0/x.jpeg\n1 1/x.jpeg\n2 2/x.jpeg\n9 9/x.jpeg\n10 10/x.jpeg\n100 100/x.jpeg\n");
#undef V2
    // Without a folder 0 they are names like others.
    data_test_holds("from_one", NULL, NULL, 6,
                    "0 1/x.jpeg\n1 10/x.jpeg\n2 100/x.jpeg\n3 2/x.jpeg\n4 3/x.jpeg\n5 9/x.jpeg\n");
    base_test_folder_end();
}

TEST(data_synset_folders_and_splits) {
    data_set *set;
    base_test_folder_begin();
    data_test_put("in/val/n01443537/ILSVRC2012_val_00000262.JPEG", "tiny.jpg");
    data_test_put("in/val/n15075141/b.JPEG", "tiny.jpg");
    data_test_put("in/train/n01440764/c.JPEG", "tiny.jpg");
    CHECK_OK(base_make_folders(base_test_path("in/train/n01484850")));
    data_test_holds("in", NULL, NULL, 1000, "1 val/n01443537/ILSVRC2012_val_00000262.JPEG\n999 val/n15075141/b.JPEG\n");
    CHECK_FAIL_HAS(data_test_try("in", "train", NULL), "class folder 'train/n01484850' holds no images");
    for (int i = 0; i < 20; i++) {
        char name[64];
        snprintf(name, sizeof name, "in/train/%d", i);
        CHECK_OK(base_make_folders(base_test_path(name)));
    }
    CHECK_OK(data_test_try("in", "val", NULL));
    CHECK_OK(base_make_folders(base_test_path("in/val/x"))); /* however many others are empty */
    CHECK_FAIL_HAS(data_test_try("in", "val", NULL), "class folder 'val/x' holds no images");
    CHECK_EQ_INT(rmdir(base_test_path("in/val/x")), 0);
    CHECK_EQ_INT(data_test_try("in", "test", NULL), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "no images in a folder 'test'");
    CHECK_OK(data_test_open(&set, "in", NULL, NULL));
    CHECK(set->imagenet && !strcmp(data_class_name(set, 999), "n15075141"));
    CHECK_EQ_INT(data_val_index(set, 0), 261);
    CHECK_EQ_INT(data_val_index(set, 1), -1);
    CHECK_OK(data_check_classes(set, 1000, "m"));
    CHECK_FAIL_HAS(data_check_classes(set, 10, "m"), "has 1000 classes, m 10");
    data_close(set);
    base_test_folder_end();
}

TEST(data_what_lies_beside_splits) {
    base_test_folder_begin();
    data_test_put("in/Train/a/1.jpg", "tiny.jpg"), data_test_put("in/Train/b/2.jpg", "tiny.jpg");
    data_test_holds("in", "train", NULL, 2, "0 Train/a/1.jpg\n1 Train/b/2.jpg\n");
    data_test_put("in/samples/x.jpg", "tiny.jpg"), data_test_put("in/overview.png", "grey.png");
    data_test_holds("in", "train", NULL, 2, "0 Train/a/1.jpg\n1 Train/b/2.jpg\n");
    CHECK_FAIL_HAS(data_test_try("in", NULL, NULL), "images without class folders, such as overview.png");
    CHECK_EQ_INT(data_test_try("in", "val", NULL), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "no images in a folder 'val' of class folders");
    data_test_put("in/valid/a/3.jpg", "tiny.jpg");
    static const char *const none_val_valid[] = {NULL, "val", "valid"};
    for (int i = 0; i < 3; i++) data_test_holds("in", none_val_valid[i], NULL, 1, "0 valid/a/3.jpg\n");
    data_test_put("in/validation/a/4.jpg", "tiny.jpg"); /* which goes before */
    data_test_holds("in", "val", NULL, 1, "0 validation/a/4.jpg\n");
    /* Classes that are called as splits are classes. */
    data_test_put("traffic/bus/1.jpg", "tiny.jpg"), data_test_put("traffic/train/2.jpg", "tiny.jpg");
    data_test_put("traffic/test/3.jpg", "tiny.jpg");
    data_test_holds("traffic", NULL, NULL, 3, "0 bus/1.jpg\n1 test/3.jpg\n2 train/2.jpg\n");
    CHECK_EQ_INT(data_test_try("traffic", "train", NULL), BASE_USAGE);
    CHECK_EQ_INT(data_test_try("in", ":0-1", NULL), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "split ':0-1': expected NAME");
    base_test_folder_end();
}

TEST(data_folders_in_a_circle) {
    base_test_folder_begin();
    data_test_put("in/a/1.jpg", "tiny.jpg");
    CHECK_EQ_INT(symlink("..", base_test_path("in/a/up")), 0);
    CHECK_FAIL_HAS(data_test_try("in", NULL, NULL), "more than 16 folders deep: is there a link in a circle?");
    base_test_folder_end();
}

TEST(data_a_part_of_class_folders_has_every_class) {
    base_test_folder_begin();
    char packed[9][64];
    const char *names[9];
    for (int i = 0; i < 9; i++) {
        char name[64];
        snprintf(name, sizeof name, "in/train/%c/%d.jpg", "abc"[i / 3], i);
        data_test_put(name, "tiny.jpg");
        snprintf(packed[i], sizeof packed[i], "train/%c/%d.jpg", "abc"[i % 3], i % 3 * 3 + i / 3);
        names[i] = packed[i];
    }
    data_test_holds("in", "train[:3]", NULL, 3, "0 train/a/0.jpg\n1 train/b/3.jpg\n2 train/c/6.jpg\n");
    data_test_holds("in", "train:1-2[:4]", NULL, 2,
                    "0 train/b/3.jpg\n0 train/b/4.jpg\n1 train/c/6.jpg\n1 train/c/7.jpg\n");
    data_test_holds("in", "train:2-2[:3]", NULL, 1, "0 train/c/6.jpg\n0 train/c/7.jpg\n0 train/c/8.jpg\n");
    CHECK_FAIL_HAS(data_test_try("in", "train[:10]", NULL), "split 'train[:10]': ");
    CHECK_STR_HAS(base_message(), "in has 9 pictures");
    /* Packed as a, b, c, a, b, c, ...: the same pictures, in the archive's order. */
    data_test_pack("dealt.tar.gz", "in", names, 9);
    data_test_holds("dealt.tar.gz", "train[:3]", NULL, 3, "0 train/a/0.jpg\n1 train/b/3.jpg\n2 train/c/6.jpg\n");
    data_test_holds("dealt.tar.gz", "train:1-2[:4]", NULL, 2,
                    "0 train/b/3.jpg\n1 train/c/6.jpg\n0 train/b/4.jpg\n1 train/c/7.jpg\n");
    base_test_folder_end();
}

TEST(data_empty_class_folders) {
    static const char *const hole[] = {"set/ant/1.jpg", "set/ant/2.PNG", "set/moth/", "set/bee/3.Jpeg"};
    static const char *const kinds[] = {"hole.tar", "hole.zip", "hole.tar.gz"};
    base_test_folder_begin();
    data_test_small();
    for (int k = 0; k < 3; k++) {
        data_test_pack(kinds[k], "top", hole, 4);
        CHECK_FAIL_HAS(data_test_try(kinds[k], NULL, NULL), "class folder 'set/moth/' holds no images");
    }
    CHECK_OK(base_make_folders(base_test_path("top/set/moth")));
    CHECK_FAIL_HAS(data_test_try("top", NULL, NULL), "class folder 'set/moth' holds no images");
    CHECK_EQ_INT(rmdir(base_test_path("top/set/moth")), 0);
    CHECK_OK(base_make_folders(base_test_path("top/set/ant/later"))); /* no class */
    CHECK_OK(data_test_try("top", NULL, NULL));
    CHECK_OK(base_make_folders(base_test_path("nothing")));
    CHECK_FAIL_HAS(data_test_try("nothing", NULL, NULL), "no images (.jpg, .jpeg, .png) found");
    CHECK_FAIL_HAS(data_test_try("absent", NULL, NULL), "absent: no such file or folder");
    CHECK_FAIL_HAS(data_test_try("top/set/ant/1.jpg", NULL, NULL), "neither a folder nor a tar or zip archive");
    base_test_folder_end();
}

/* ---- Label files ------------------------------------------------------------------------------------------------- */

static const char *const data_test_flat[] = {"ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000010.JPEG",
                                             "ILSVRC2012_val_00049999.JPEG"};
static const char *data_test_labels(const char *name, const char *text) {
    static char path[8][192]; // base_test_path's are used again sooner
    static int turn;
    turn = (turn + 1) % 8;
    data_test_make(name, text, strlen(text));
    snprintf(path[turn], sizeof path[turn], "%s", base_test_path(name));
    return path[turn];
}

TEST(data_flat_tar_with_labels) {
    static const char expected[] =
        "0 ILSVRC2012_val_00000010.JPEG\n1 ILSVRC2012_val_00000002.JPEG\n999 ILSVRC2012_val_00049999.JPEG\n";
    base_test_folder_begin();
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "flat/%s", data_test_flat[i]);
        data_test_put(name, "tiny.jpg");
    }
    data_test_pack("flat.tar", "flat", (const char *[]){data_test_flat[1], data_test_flat[0], data_test_flat[2]}, 3);
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL, NULL), "--labels");
    const char *good[] = {data_test_labels("synsets.txt", "n01443537\nn01440764\r\n\nn15075141"),
                          data_test_labels("indices.txt", "\xef\xbb\xbf"
                                                          "1\n0\n999\n"),
                          data_test_labels("pairs.csv", "ILSVRC2012_val_00049999.JPEG,n15075141\n"
                                                        "val/ILSVRC2012_val_00000010.JPEG,0\n"
                                                        "ILSVRC2012_val_00000002.JPEG,n01443537\n")};
    for (int i = 0; i < 3; i++) data_test_holds("flat.tar", NULL, good[i], 1000, expected);
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL, data_test_labels("few", "1\n0\n")), "2 labels for the 3 images");
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL, data_test_labels("word", "1\ndog\n3\n")),
                   "line 2: 'dog' is neither");
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL, data_test_labels("both", "n01440764\n9000000\n0\n")),
                   "class index 9000000 beside synsets of ImageNet: expected 0 to 999");
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL, data_test_labels("other", "x.JPEG 1\n")),
                   "line 1: no file 'x.JPEG'");
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL, data_test_labels("part", "ILSVRC2012_val_00000002.JPEG 1\n")),
                   "no label for ILSVRC2012_val_00000010.JPEG");
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL, data_test_labels("both", "ILSVRC2012_val_00000002.JPEG 1\n0\n1\n")),
                   "some lines name their file, others do not");
    CHECK_FAIL_HAS(data_test_try("flat.tar", NULL,
                                 data_test_labels("twice", "ILSVRC2012_val_00000002.JPEG 1\n"
                                                           "ILSVRC2012_val_00000002.JPEG 2\n")),
                   "line 2: 'ILSVRC2012_val_00000002.JPEG' has the label 1 already, and now 2");
    data_test_put("same/x/1.jpg", "tiny.jpg"), data_test_put("same/y/1.jpg", "tiny.jpg");
    data_test_holds("same", NULL, data_test_labels("paths", "y/1.jpg 1\nx/1.jpg 0\n"), 2, "0 x/1.jpg\n1 y/1.jpg\n");
    CHECK_FAIL_HAS(data_test_try("same", NULL, data_test_labels("bare", "1.jpg 1\n")), "or several of that name");
    CHECK_FAIL_HAS(data_test_try("same", NULL, data_test_labels("dealt", "0\n1\n")),
                   "x/1.jpg and y/1.jpg have one name");
    data_test_put("deep/z/1.jpg", "tiny.jpg"), data_test_put("deep/b/z/1.jpg", "tiny.jpg");
    data_test_put("deep/1.jpg", "tiny.jpg");
    data_test_holds("deep", NULL, data_test_labels("deeper", "z/1.jpg 0\nb/z/1.jpg 1\n1.jpg 2\n"), 3,
                    "0 z/1.jpg\n1 b/z/1.jpg\n2 1.jpg\n");
    base_test_folder_end();
}

/* Numbers 1, 2, 3 of tests/golden/mat/meta.mat are classes 1, 0, 999. */
TEST(data_devkit_numbering) {
    char *meta, lines[3 * 50000 + 1];
    size_t size;
    base_test_folder_begin();
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "flat/%s", data_test_flat[i]);
        data_test_put(name, "tiny.jpg");
    }
    const char *truth = data_test_labels("devkit/data/ILSVRC2012_validation_ground_truth.txt", "2\n3\n1\n");
    CHECK_FAIL_HAS(data_test_try("flat", NULL, truth), "put its meta.mat beside it");
    CHECK_FAIL_HAS(data_test_try("flat", NULL, data_test_labels("plain.txt", "2\n1000\n1\n")),
                   "the devkit's own numbering");
    CHECK_OK(base_read_file("tests/golden/mat/meta.mat", 0, &meta, &size));
    data_test_make("devkit/data/meta.mat", meta, size);
    data_test_holds(
        "flat", NULL, truth, 1000,
        "0 ILSVRC2012_val_00000002.JPEG\n1 ILSVRC2012_val_00049999.JPEG\n999 ILSVRC2012_val_00000010.JPEG\n");
    CHECK_FAIL_HAS(data_test_try("flat", NULL, data_test_labels("devkit/data/five.txt", "2\n5\n1\n")),
                   "number 5, of ILSVRC2012_val_00000010.JPEG, is not among those of the meta.mat");
    // A list that begins with 0 is of class indices, whatever lies beside it.
    data_test_holds("flat", NULL, data_test_labels("devkit/data/indices.txt", "0\n5\n1\n"), 1000,
                    "0 ILSVRC2012_val_00000002.JPEG\n1 ILSVRC2012_val_00049999.JPEG\n5 ILSVRC2012_val_00000010.JPEG\n");
    for (int i = 0; i < 50000; i++) memcpy(lines + 2 * i, i == 9 ? "1\n" : i == 49998 ? "3\n" : "2\n", 2);
    lines[100000] = 0;
    data_test_holds(
        "flat", NULL, data_test_labels("devkit/data/all.txt", lines), 1000,
        "0 ILSVRC2012_val_00000002.JPEG\n1 ILSVRC2012_val_00000010.JPEG\n999 ILSVRC2012_val_00049999.JPEG\n");
    data_test_make("devkit/data/meta.mat", meta, size / 2);
    CHECK_FAIL_HAS(data_test_try("flat", NULL, truth), "meta.mat: damaged MATLAB file");
    base_free(meta);
    CHECK_OK(base_read_file("tests/golden/mat/kinds.mat", 0, &meta, &size));
    data_test_make("devkit/data/meta.mat", meta, size);
    CHECK_FAIL_HAS(data_test_try("flat", NULL, truth), "no array 'synsets'");
    base_free(meta);
    base_test_folder_end();
}

TEST(data_real_must_be_whole) {
    data_real *real;
    base_test_folder_begin();
    CHECK_FAIL_HAS(data_real_open(&real, data_test_labels("r", "[[1], []]")), "expected 50000 label lists");
    CHECK_FAIL_HAS(data_real_open(&real, data_test_labels("r", "{\"a\": 1}")), "expected 50000 label lists");
    CHECK_FAIL_HAS(data_real_open(&real, data_test_labels("r", "[[1], [")), "not JSON");
    base_test_folder_end();
}

/* ---- The loader -------------------------------------------------------------------------------------------------- */

static int data_test_warned;
static void data_test_log(void *user, base_log_level level, const char *line) {
    (void)user;
    data_test_warned += level == BASE_LOG_WARNING && strstr(line, "bad file: ") != NULL;
}
static const base_context data_test_context = {.log = data_test_log};

/* Loads a set and gives a digest of all batches; *n: images. */
static base_status data_test_load(const char *name, int threads, int64_t batch, int64_t max_bad, int64_t *n,
                                  uint64_t *digest) {
    data_set *set;
    data_loader *loader = NULL;
    data_loader_options options = {.batch = batch,
                                   .threads = threads,
                                   .transform = {32, 0.875, IMAGE_BICUBIC, {0}, {1, 1, 1}, IMAGE_FIT_NONE},
                                   .max_bad = max_bad};
    *n = 0, *digest = 0;
    BASE_TRY(data_test_open(&set, name, NULL, NULL));
    base_status status = data_loader_open(&loader, set, &options, &data_test_context);
    for (data_batch b; !status && !(status = data_loader_next(loader, &b)) && b.n;) {
        *n += b.n;
        *digest = *digest * 31 + base_fnv1a64(b.images, (size_t)b.n * 3 * 32 * 32 * sizeof(float));
        *digest = *digest * 31 + base_fnv1a64(b.labels, (size_t)b.n * sizeof *b.labels);
        *digest = *digest * 31 + base_fnv1a64(b.items, (size_t)b.n * sizeof *b.items);
    }
    data_loader_close(loader);
    data_close(set);
    return status;
}

TEST(data_loader_gives_the_same_whatever_the_threads) {
    static const char *const kinds[] = {"top", "x.tar", "x.tar.zst"};
    int64_t n;
    uint64_t first = 0, digest;
    base_test_folder_begin();
    data_test_small();
    size_t held = base_memory_held();
    for (int k = 0; k < 3; k++) {
        if (k) data_test_pack(kinds[k], "top", data_test_names, DATA_TEST_NAMES);
        for (int threads = 1; threads < 6; threads += 2) {
            CHECK_OK(data_test_load(kinds[k], threads, 3, 0, &n, &digest));
            CHECK_EQ_INT(n, 4);
            if (!k && threads == 1) first = digest;
            CHECK(digest == first);
        }
    }
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

TEST(data_loader_counts_bad_files) {
    int64_t n;
    uint64_t digest;
    char *whole;
    size_t size;
    base_test_folder_begin();
    data_test_small();
    CHECK_OK(base_read_file(DATA_TEST_PICTURES "large.jpg", 0, &whole, &size));
    data_test_make("top/set/ant/0.jpg", "", 0);
    data_test_make("top/set/bee/half.jpg", whole, size / 2);
    data_test_make("top/set/wasp/text.jpg", "not a picture", 13);
    data_test_make("top/set/wasp/unended.jpg", whole, size - 2);
    data_test_warned = 0;
    CHECK_OK(data_test_load("top", 2, 3, 3, &n, &digest));
    CHECK_EQ_INT(n, 5);
    CHECK_EQ_INT(data_test_warned, 3);
    CHECK_FAIL_HAS(data_test_load("top", 2, 3, 2, &n, &digest),
                   "3 bad files, 2 allowed (--max-bad); the last: set/wasp/text.jpg");
    CHECK_FAIL_HAS(data_test_load("top", 2, 1, 0, &n, &digest),
                   "1 bad file, 0 allowed (--max-bad); the last: set/ant/0.jpg");
    base_free(whole);
    base_test_folder_end();
}

TEST(data_loader_refuses_what_memory_cannot_hold) {
    data_set *set;
    data_loader *loader;
    base_test_folder_begin();
    data_test_small();
    CHECK_OK(data_test_open(&set, "top", NULL, NULL));
    size_t held = base_memory_held();
    static int64_t order[1 << 20];
    data_loader_options options = {.batch = 1 << 20,
                                   .transform = {1 << 13, 1, IMAGE_BICUBIC, {0}, {1, 1, 1}, IMAGE_FIT_NONE},
                                   .order = order,
                                   .count = 1 << 20};
    CHECK_FAIL_HAS(data_loader_open(&loader, set, &options, NULL), "memory are free: use a smaller --batch");
    CHECK_EQ_INT(base_memory_held(), held);
    data_close(set);
    base_test_folder_end();
}
#undef DATA_TEST_PICTURES

/* "n01440764 tench\n" and so on: the sum of the lines that the list of ImageNet's classes has. */
TEST(data_imagenet_classes_are_the_list) {
    uint64_t h = base_fnv1a64(NULL, 0);
    for (int i = 0; i < DATA_IMAGENET_CLASSES; i++) {
        char line[256];
        int n = snprintf(line, sizeof line, "%s %s\n", data_imagenet_synset(i), data_imagenet_name(i));
        for (int k = 0; k < n; k++) h = (h ^ (uint8_t)line[k]) * 0x100000001b3U; /* FNV-1a goes on */
        CHECK_EQ_INT(data_imagenet_find(data_imagenet_synset(i)), i);
    }
    CHECK(h == 0x3ab643bcdeeeccf4U);
}
