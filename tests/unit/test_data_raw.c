/* data: CIFAR's and MNIST's own formats, compressed tars held in memory or packed anew, sets that do not go together.
 * Files are made by the tests in the formats' layout. Uses test_data.c's helpers. */

/* Records of CIFAR: label bytes, then planes whose pixel p of channel c of record i is (seed + 7 i + 50 c + p) % 256.
 */
static void raw_test_cifar(const char *name, int labels, int records, int seed) {
    size_t record = (size_t)labels + 3072;
    uint8_t *bytes = malloc(record * (size_t)records);
    for (int i = 0; i < records; i++) {
        uint8_t *at = bytes + (size_t)i * record;
        at[0] = (uint8_t)(labels == 2 ? 19 : (seed + i) % 10);
        if (labels == 2) at[1] = (uint8_t)((seed + i) % 100);
        for (int k = 0; k < 3072; k++) at[labels + k] = (uint8_t)(seed + 7 * i + 50 * (k / 1024) + k % 1024);
    }
    data_test_make(name, bytes, record * (size_t)records);
    free(bytes);
}

static const char *const raw_test_cifar10[] = {"batches.meta.txt", "data_batch_1.bin", "data_batch_2.bin",
                                               "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
                                               "readme.html",      "test_batch.bin"};
static void raw_test_make_cifar10(const char *folder) {
    char name[128];
    static const char classes[] = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, raw_test_cifar10[i]);
        if (strstr(name, ".bin"))
            raw_test_cifar(name, 1, i == 7 ? 4 : 3, 10 * i);
        else
            data_test_make(name, classes, sizeof classes - 1);
    }
}

/* Test split: records of seed 70; train: 3 of 10, 3 of 20, ... */
static void raw_test_check_cifar10(const char *path) {
    data_set *set;
    data_bytes bytes = {0};
    CHECK_OK(data_test_open(&set, path, NULL, NULL));
    if (!set) return;
    CHECK(data_count(set) == 4 && data_classes(set) == 10 && !strcmp(data_class_name(set, 3), "cat"));
    for (int i = 0; i < 4; i++) {
        CHECK_EQ_INT(data_label(set, i), i);
        CHECK_OK(data_read(set, i, &bytes));
        CHECK_EQ_INT(bytes.size, 3072);
        for (int k = 0; k < 3072; k++)
            if (bytes.data[k] != (uint8_t)(70 + 7 * i + 50 * (k % 3) + k / 3)) TEST_FAIL("%d: byte %d", i, k), k = 3072;
    }
    CHECK(!strcmp(set->items[3].name, "test_batch.bin:3"));
    data_close(set);
    CHECK_OK(data_test_open(&set, path, "train", NULL));
    if (set)
        CHECK(data_count(set) == 15 && data_label(set, 14) == 2 && !strcmp(set->items[14].name, "data_batch_5.bin:2") &&
              !strcmp(set->items[0].name, "data_batch_1.bin:0") && !strcmp(set->items[5].name, "data_batch_2.bin:2"));
    CHECK_OK(set ? data_read(set, 14, &bytes) : BASE_ERROR);
    CHECK_EQ_INT(bytes.data[2], (50 + 7 * 2 + 100) % 256);
    data_close(set);
    base_free(bytes.data);
}

TEST(data_cifar10_folder_and_archives) {
    char names[8][64];
    const char *pointers[8];
    size_t held = base_memory_held();
    base_test_folder_begin();
    raw_test_make_cifar10("c/cifar-10-batches-bin");
    for (int i = 0; i < 8; i++) {
        snprintf(names[i], sizeof names[i], "cifar-10-batches-bin/%s", raw_test_cifar10[i]);
        pointers[i] = names[i];
    }
    data_test_pack("cifar-10-binary.tar.gz", "c", pointers, 8);
    data_test_pack("cifar.tar", "c", pointers + 1, 7);
    raw_test_check_cifar10("c/cifar-10-batches-bin");
    raw_test_check_cifar10("c");
    raw_test_check_cifar10("cifar-10-binary.tar.gz");
    static const int order[8] = {6, 3, 7, 5, 1, 0, 4, 2}; /* readme.html first */
    const char *shuffled[8];
    for (int i = 0; i < 8; i++) shuffled[i] = names[order[i]];
    data_test_pack("shuffled.tar.gz", "c", shuffled, 8);
    raw_test_check_cifar10("shuffled.tar.gz");
    CHECK_OK(data_test_try("c", "val", NULL));
    CHECK_EQ_INT(data_test_try("c", "other", NULL), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "no split 'other'; it has train and test");
    CHECK_FAIL_HAS(data_test_try("c", NULL, "labels"), "brings its own labels");
    data_test_pack("few.tar.gz", "c", pointers, 4);
    CHECK_FAIL_HAS(data_test_try("few.tar.gz", "train", NULL), "no data_batch_4.bin in it");
    CHECK_FAIL_HAS(data_test_try("few.tar.gz", NULL, NULL), "no test_batch.bin in it");
    data_set *set; /* names of classes are not needed */
    CHECK_OK(data_test_open(&set, "cifar.tar", "train", NULL));
    if (set) CHECK(data_count(set) == 15 && !data_class_name(set, 3));
    data_close(set);
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

TEST(data_cifar100) {
    data_set *set;
    base_test_folder_begin();
    raw_test_cifar("c/train.bin", 2, 5, 95);
    raw_test_cifar("c/test.bin", 2, 2, 3);
    data_test_make("c/fine_label_names.txt", "apple\naquarium_fish", 19);
    CHECK_OK(data_test_open(&set, "c", "train", NULL));
    if (set)
        CHECK(data_count(set) == 5 && data_classes(set) == 100 && data_label(set, 0) == 95 && data_label(set, 4) == 99);
    if (set) CHECK(!strcmp(data_class_name(set, 1), "aquarium_fish") && !data_class_name(set, 2));
    data_close(set);
    CHECK_OK(data_test_open(&set, "c", NULL, NULL));
    if (set) CHECK(data_count(set) == 2 && data_label(set, 1) == 4);
    data_close(set);
    base_test_folder_end();
}

TEST(data_cifar_bad_records) {
    uint8_t record[3073] = {10};
    base_test_folder_begin();
    raw_test_make_cifar10("c");
    data_test_make("c/test_batch.bin", record, sizeof record);
    CHECK_FAIL_HAS(data_test_try("c", NULL, NULL), "test_batch.bin: record 0 has label 10; labels are 0 to 9");
    data_test_make("c/test_batch.bin", record, 3000);
    CHECK_FAIL_HAS(data_test_try("c", NULL, NULL), "3000 bytes are no whole number of records of 3073");
    data_test_make("c/test_batch.bin", record, 0);
    CHECK_FAIL_HAS(data_test_try("c", NULL, NULL), "0 bytes are no whole number");
    base_test_folder_end();
}

/* ---- idx --------------------------------------------------------------------------------------------------------- */

static void raw_test_put(const char *name, const uint8_t *bytes, size_t size) {
    data_test_make(name, bytes, size);
    if (!strstr(name, ".gz")) return;
    gzFile file = gzopen(base_test_path(name), "wb");
    CHECK(file && gzwrite(file, bytes, (unsigned)size) == (int)size && gzclose(file) == Z_OK);
}

/* n pictures of 3 x 2 (width x height); pixel p of picture i is 10 i + p; label i. */
static void raw_test_idx(const char *split, const char *ending, int n, int labels) {
    uint8_t images[1024] = {0, 0, 8, 3, 0, 0, 0, (uint8_t)n, 0, 0, 0, 2, 0, 0, 0, 3};
    uint8_t label[64] = {0, 0, 8, 1, 0, 0, 0, (uint8_t)labels};
    char name[128];
    for (int i = 0; i < 6 * n; i++) images[16 + i] = (uint8_t)(10 * (i / 6) + i % 6);
    for (int i = 0; i < labels; i++) label[8 + i] = (uint8_t)i;
    snprintf(name, sizeof name, "m/%s-images-idx3-ubyte%s", split, ending);
    raw_test_put(name, images, 16 + 6 * (size_t)n);
    snprintf(name, sizeof name, "m/%s-labels-idx1-ubyte%s", split, ending);
    raw_test_put(name, label, 8 + (size_t)labels);
}

TEST(data_idx_plain_and_gzipped) {
    data_bytes bytes = {0};
    data_set *set;
    base_test_folder_begin();
    raw_test_idx("train", ".gz", 5, 5);
    raw_test_idx("t10k", "", 3, 3);
    CHECK_OK(data_test_open(&set, "m", "train", NULL));
    if (set) CHECK(data_count(set) == 5 && data_classes(set) == 10 && data_label(set, 4) == 4);
    CHECK_OK(set ? data_read(set, 4, &bytes) : BASE_ERROR);
    CHECK_EQ_INT(bytes.size, 18);
    for (int i = 0; i < 18; i++) CHECK_EQ_INT(bytes.data[i], 40 + i / 3); /* grey made RGB */
    data_close(set);
    CHECK_OK(data_test_open(&set, "m", "test", NULL));
    if (set) CHECK_EQ_INT(data_count(set), 3);
    /* Through the loader, made to fit. */
    data_loader *loader;
    data_batch batch;
    data_loader_options options = {.batch = 3, .transform = {4, 0, IMAGE_BICUBIC, {0}, {1, 1, 1}, IMAGE_FIT_PAD}};
    CHECK_OK(data_loader_open(&loader, set, &options, NULL));
    CHECK_OK(data_loader_next(loader, &batch));
    CHECK(batch.n == 3 && batch.labels[2] == 2);
    CHECK(batch.images[0] == 0 && batch.images[4] == 0 && batch.images[5] == 1 / 255.f &&
          batch.images[8 + 2] == 5 / 255.f);
    data_loader_close(loader);
    options.transform.fit = IMAGE_FIT_NONE;
    CHECK_OK(data_loader_open(&loader, set, &options, NULL));
    CHECK_FAIL_HAS(data_loader_next(loader, &batch), "t10k-images-idx3-ubyte:0: the picture is 3 x 2 pixels");
    data_loader_close(loader);
    data_close(set);
    base_free(bytes.data);
    base_test_folder_end();
}

TEST(data_first_pictures_of_a_split) {
    data_set *set;
    base_test_folder_begin();
    raw_test_idx("train", "", 5, 5);
    raw_test_idx("t10k", "", 3, 3);
    CHECK_OK(data_test_open(&set, "m", "train[:2]", NULL));
    if (set) CHECK(data_count(set) == 2 && data_label(set, 1) == 1);
    data_close(set);
    CHECK_FAIL_HAS(data_test_try("m", "train[:6]", NULL), "has 5 pictures");
    CHECK_FAIL_HAS(data_test_try("m", "train[:0]", NULL), "expected NAME[:N]");
    CHECK_FAIL_HAS(data_test_try("m", "train[2:]", NULL), "expected NAME[:N]");
    CHECK_EQ_INT(data_test_try("m", "dev[:2]", NULL), BASE_USAGE);
    base_test_folder_end();
}

/* A part of the classes, counted from 0; of it the first pictures. */
TEST(data_classes_of_a_split) {
    data_set *set;
    base_test_folder_begin();
    raw_test_idx("train", "", 9, 9);
    raw_test_idx("t10k", "", 3, 3);
    CHECK_OK(data_test_open(&set, "m", "train:1-3", NULL));
    if (set) CHECK(data_classes(set) == 3 && data_count(set) == 3);
    for (int i = 0; set && i < data_count(set); i++) CHECK_EQ_INT(data_label(set, i), i);
    data_bytes bytes = {0};
    CHECK_OK(set ? data_read(set, 0, &bytes) : BASE_ERROR);
    CHECK_EQ_INT(bytes.data[0], 10); /* the second picture of the file */
    base_free(bytes.data);
    data_close(set);
    CHECK_OK(data_test_open(&set, "m", "train:1-3[:2]", NULL));
    if (set) CHECK(data_classes(set) == 3 && data_count(set) == 2);
    data_close(set);
    CHECK_FAIL_HAS(data_test_try("m", "train:1-10", NULL), "the classes of");
    CHECK_FAIL_HAS(data_test_try("m", "train:3-1", NULL), "expected NAME[:N]");
    base_test_folder_end();
}

/* Of ImageNet's classes the names stay: those of the part. */
TEST(data_classes_of_imagenet) {
    data_set *set;
    base_test_folder_begin();
    data_test_put("in/train/n01440764/a.JPEG", "grey.jpg");
    data_test_put("in/train/n01443537/b.JPEG", "grey.jpg");
    CHECK_OK(data_test_open(&set, "in", "train:1-2", NULL));
    if (set)
        CHECK(data_count(set) == 1 && data_classes(set) == 2 && data_label(set, 0) == 0 && !set->imagenet &&
              !strcmp(data_class_name(set, 0), "n01443537"));
    data_close(set);
    base_test_folder_end();
}

TEST(data_idx_bad_files) {
    base_test_folder_begin();
    raw_test_idx("train", "", 5, 5);
    CHECK_FAIL_HAS(data_test_try("m", NULL, NULL), "no t10k-images-idx3-ubyte in it, nor t10k-images-idx3-ubyte.gz");
    raw_test_idx("t10k", "", 5, 4);
    CHECK_FAIL_HAS(data_test_try("m", NULL, NULL), "5 pictures, but 4 labels");
    raw_test_idx("t10k", "", 12, 12);
    CHECK_FAIL_HAS(data_test_try("m", NULL, NULL), "record 10 has label 10; labels are 0 to 9");
    data_test_make("m/t10k-labels-idx1-ubyte", "\0\0\10\3\0\0\0\5", 8);
    CHECK_FAIL_HAS(data_test_try("m", NULL, NULL), "not an idx file of labels");
    data_test_make("m/t10k-images-idx3-ubyte", "", 0);
    CHECK_FAIL_HAS(data_test_try("m", NULL, NULL), "not an idx file of pictures");
    raw_test_idx("t10k", "", 5, 5);
    data_test_make("m/t10k-images-idx3-ubyte", "\0\0\10\3\0\0\0\5\0\0\0\2\0\0\0\3 short", 22);
    CHECK_FAIL_HAS(data_test_try("m", NULL, NULL), "take other sizes than 22 and 13 bytes");
    raw_test_idx("train", ".gz", 9, 9);
    CHECK_OK(remove(base_test_path("m/train-images-idx3-ubyte")) ? BASE_ERROR : BASE_OK);
    char *whole;
    size_t size;
    CHECK_OK(base_read_file(base_test_path("m/train-images-idx3-ubyte.gz"), 0, &whole, &size));
    data_test_make("m/train-images-idx3-ubyte.gz", whole, size - 9);
    CHECK_FAIL_HAS(data_test_try("m", "train", NULL), "cut short; download it again");
    whole[size - 6] ^= 1; /* its checksum */
    data_test_make("m/train-images-idx3-ubyte.gz", whole, size);
    CHECK_FAIL_HAS(data_test_try("m", "train", NULL), "damaged");
    base_free(whole);
    base_test_folder_end();
}

TEST(data_named_by_debian) {
    base_status status = data_open(&(data_set *){NULL}, &(data_options){.path = "fashion-mnist", .split = "x"}, NULL);
    bool there = base_path_exists("/usr/share/datasets/fashion-mnist");
    CHECK_EQ_INT(status, there ? BASE_USAGE : BASE_ERROR);
    CHECK_STR_HAS(base_message(), there ? "/usr/share/datasets/fashion-mnist: no split 'x'" : "dataset-fashion-mnist");
}

/* ---- Compressed tars --------------------------------------------------------------------------------------------- */

TEST(data_compressed_tar_held_or_packed) {
    data_set *set;
    data_bytes there = {0}, here = {0};
    char text[4096], folder_text[4096];
    size_t held = base_memory_held();
    base_test_folder_begin();
    data_test_small();
    /* Not in the order of their names. */
    static const char *const names[] = {"set/wasp/a/4.jpg", "set/bee/3.Jpeg", "set/ant/2.PNG", "set/bee/notes.txt",
                                        "set/ant/1.jpg"};
    data_test_pack("x.tar.gz", "top", names, 5);
    CHECK_OK(store_repack(base_test_path("x.tar.gz"), base_test_path("packed.tar"), NULL));
    CHECK_OK(data_test_open(&set, "top", NULL, NULL));
    data_test_describe(set, folder_text);
    static const char *const forms[] = {"x.tar.gz", "packed.tar"};
    for (int k = 0; k < 2; k++) {
        data_set *other;
        CHECK_OK(data_test_open(&other, forms[k], NULL, NULL));
        CHECK_EQ_INT(data_sequential(other), k == 0);
        if (!k) {
            store_stream *stream;
            CHECK_OK(store_stream_open(&stream, base_test_path("x.tar.gz")));
            CHECK_FAIL_HAS(hold_all(other, stream, 1000, NULL), "deit data pack '");
            store_stream_close(stream);
            data_release(other);
        }
        CHECK_OK(data_hold(other, NULL));
        CHECK(!data_sequential(other));
        data_test_describe(other, text);
        CHECK_STR_HAS(text, folder_text);
        for (int64_t i = 0; i < 4; i++) {
            CHECK_OK(data_read(set, i, &there));
            CHECK_OK(data_read(other, i, &here));
            CHECK(here.size == there.size && !memcmp(here.data, there.data, here.size));
        }
        data_close(other);
    }
    data_close(set);
    CHECK_EQ_INT(store_repack(base_test_path("packed.tar"), base_test_path("y.tar"), NULL), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "it can be used as it is");
    CHECK(!base_path_exists(base_test_path("y.tar")));
    CHECK_FAIL_HAS(store_repack(base_test_path("x.tar.gz"), "/dev/full", NULL), "/dev/full: cannot write");
    base_free(there.data), base_free(here.data);
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

/* As ILSVRC2012_img_train.tar: a tar of a tar a synset, each of pictures alone. */
TEST(data_tar_of_tars) {
    data_set *set;
    data_bytes bytes = {0};
    char *want;
    size_t size;
    base_test_folder_begin();
    data_test_put("p/n01443537_2.JPEG", "grey.jpg"), data_test_put("p/n01443537_10.JPEG", "tiny.jpg");
    data_test_put("p/n15075141_1.JPEG", "plain_420.jpg");
    CHECK_OK(base_make_folders(base_test_path("t")));
    data_test_pack("t/n01443537.tar", "p", (const char *[]){"n01443537_2.JPEG", "n01443537_10.JPEG"}, 2);
    data_test_pack("t/n15075141.tar", "p", (const char *[]){"n15075141_1.JPEG"}, 1);
    data_test_pack("train.tar", "t", (const char *[]){"n15075141.tar", "n01443537.tar"}, 2);
    data_test_holds("train.tar", NULL, NULL, 1000,
                    "1 n01443537/n01443537_10.JPEG\n1 n01443537/n01443537_2.JPEG\n999 n15075141/n15075141_1.JPEG\n");
    CHECK_OK(data_test_open(&set, "train.tar", NULL, NULL));
    CHECK_OK(set ? data_read(set, 2, &bytes) : BASE_ERROR);
    CHECK_OK(base_read_file(base_test_path("p/n15075141_1.JPEG"), 0, &want, &size));
    CHECK(bytes.size == size && !memcmp(bytes.data, want, size));
    data_close(set);
    base_free(bytes.data), base_free(want);
    /* both tars in a folder, as they are downloaded */
    CHECK_OK(base_make_folders(base_test_path("i")));
    data_test_pack("i/ILSVRC2012_img_train.tar", "t", (const char *[]){"n15075141.tar", "n01443537.tar"}, 2);
    data_test_put("v/ILSVRC2012_val_00000001.JPEG", "grey.jpg"),
        data_test_put("v/ILSVRC2012_val_00000002.JPEG", "tiny.jpg");
    data_test_pack("i/ILSVRC2012_img_val.tar", "v",
                   (const char *[]){"ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG"}, 2);
    data_test_holds("i", "train", NULL, 1000,
                    "1 n01443537/n01443537_10.JPEG\n1 n01443537/n01443537_2.JPEG\n999 n15075141/n15075141_1.JPEG\n");
    CHECK_FAIL_HAS(data_test_try("i", "val", NULL), "put val_labels.txt beside it");
    data_test_make("i/val_labels.txt", "n15075141\nn01443537\n", 20);
    const char *const none_is_val[] = {"val", NULL};
    for (int i = 0; i < 2; i++)
        data_test_holds("i", none_is_val[i], NULL, 1000,
                        "1 ILSVRC2012_val_00000002.JPEG\n999 ILSVRC2012_val_00000001.JPEG\n");
    data_test_put("i/validation/n01443537/9.jpg", "tiny.jpg"); /* which goes before */
    data_test_holds("i", NULL, NULL, 1000, "1 validation/n01443537/9.jpg\n");
    /* packed with its folder */
    data_test_pack("o.tar", ".", (const char *[]){"t/", "t/n15075141.tar", "t/n01443537.tar"}, 3);
    data_test_holds("o.tar", NULL, NULL, 1000,
                    "1 t/n01443537/n01443537_10.JPEG\n1 t/n01443537/n01443537_2.JPEG\n"
                    "999 t/n15075141/n15075141_1.JPEG\n");
    data_test_pack("t/n01440764.tar", "p", NULL, 0);
    data_test_pack("hole.tar", "t", (const char *[]){"n15075141.tar", "n01440764.tar"}, 2);
    CHECK_FAIL_HAS(data_test_try("hole.tar", NULL, NULL), "class folder 'n01440764/' holds no images");
    data_test_make("t/n01443537.tar", "not a tar", 9);
    data_test_pack("bad.tar", "t", (const char *[]){"n01443537.tar"}, 1);
    CHECK_FAIL_HAS(data_test_try("bad.tar", NULL, NULL), "bad.tar/n01443537.tar");
    base_test_folder_end();
}

TEST(data_sets_that_do_not_go_together) {
    data_set *train, *test;
    base_test_folder_begin();
    data_test_put("d/train/ant/1.jpg", "tiny.jpg"), data_test_put("d/train/bee/2.jpg", "tiny.jpg");
    data_test_put("d/test/ant/1.jpg", "tiny.jpg"), data_test_put("d/test/wasp/2.jpg", "tiny.jpg");
    data_test_put("few/val/ant/1.jpg", "tiny.jpg"), data_test_put("few/train/ant/1.jpg", "tiny.jpg");
    CHECK_OK(data_test_open(&train, "d", "train", NULL));
    CHECK_OK(data_test_open(&test, "d", "val", NULL)); /* stands for test */
    CHECK(!strcmp(test->items[0].name, "test/ant/1.jpg"));
    CHECK_FAIL_HAS(data_check_same(train, test), "class 1 is 'bee' in ");
    CHECK_OK(data_check_same(train, train));
    data_close(test);
    CHECK_OK(data_test_open(&test, "few", "val", NULL));
    CHECK_FAIL_HAS(data_check_same(train, test), "training and testing need the same classes");
    data_close(test), data_close(train);
    CHECK_OK(base_make_folders(base_test_path("empty/train"))); /* an empty split */
    data_test_put("empty/val/ant/1.jpg", "tiny.jpg");
    CHECK_FAIL_HAS(data_test_try("empty", "train", NULL), "no images in a folder 'train'");
    base_test_folder_end();
}
