/* The table of data sets' files, and what is taken out of archives. */

TEST(repro_datasets_are_whole) {
    const repro_data_file *row, *before = NULL;
    int sets = 0;
    for (int i = 0; (row = repro_data_file_at(i)); i++, before = row) {
        bool first = !before || strcmp(before->name, row->name);
        sets += first;
        CHECK(!first || catalogue_find(row->name) == row); /* a set's lines follow one another */
        CHECK(!strcmp(row->name, "imagenet") ? !*row->file && *row->note : *row->file && *row->url);
        CHECK(strlen(row->md5) == 32 || (!*row->md5 && (!*row->sha256 || strlen(row->sha256) == 64)));
        const char *slash = strrchr(row->url, '/');
        if (slash) CHECK(!strcmp(slash + 1, row->file));
    }
    CHECK_EQ_INT(sets, 10);
    CHECK(!repro_data_file_at(-1) && !repro_data_file_at(1000));
}

/* Their sizes are Table 6's; iNaturalist 2019's are those of its files. */
TEST(repro_datasets_are_table6) {
    static const struct {
        const char *label, *name;
    } sets[] = {{"ImageNet", "imagenet"},  {"iNaturalist 2018", "inat2018"}, {"Flowers-102", "flowers102"},
                {"Stanford Cars", "cars"}, {"CIFAR-100", "cifar100"},        {"CIFAR-10", "cifar10"}};
    repro_table *table;
    CHECK_OK(repro_table_open(&table, "table6"));
    for (size_t i = 0; table && i < sizeof sets / sizeof *sets; i++) {
        int at = table_find(table, sets[i].label, strlen(sets[i].label));
        const repro_data_file *file = catalogue_find(sets[i].name);
        CHECK(at >= 0 && file);
        if (at < 0 || !file) continue;
        const repro_row *row = &table->rows[at];
        CHECK(!strcmp(repro_row_text(table, row, "train"), file->train) &&
              !strcmp(repro_row_text(table, row, "test"), file->test) &&
              !strcmp(repro_row_text(table, row, "classes"), file->classes));
    }
    repro_table_free(table);
}

/* A record's key: pictures count by their names, annotations, which say what the set is, by what they hold. */
TEST(repro_datasets_key_has_the_annotations) {
    base_arena arena = {0};
    base_test_folder_begin();
    CHECK_OK(base_write_file(base_test_path("a.jpg"), "1", 1));
    CHECK_OK(base_write_file(base_test_path("val2019.json"), "{\"images\": [1]}", 15));
    const char *key = repro_file_key(&arena, base_test_folder, NULL);
    CHECK_OK(base_write_file(base_test_path("a.jpg"), "22", 2));
    const char *same = repro_file_key(&arena, base_test_folder, NULL);
    CHECK_OK(base_write_file(base_test_path("val2019.json"), "{\"images\": [2]}", 15));
    const char *other = repro_file_key(&arena, base_test_folder, NULL);
    CHECK(key && same && other && !strcmp(key, same) && strcmp(key, other) != 0);
    base_test_folder_end();
    base_arena_free(&arena);
}

/* An archive of annotations as it is downloaded: the file in it comes to stand beside it. */
TEST(repro_datasets_annotations_are_taken_out) {
    char command[512], *text = NULL;
    size_t size;
    base_test_folder_begin();
    snprintf(command, sizeof command, "cd %s && mkdir d && echo '{\"a\": 1}' >d/train2018.json && tar czf a.tar.gz d",
             base_test_folder);
    CHECK_EQ_INT(system(command), 0);
    CHECK_OK(catalogue_take(base_test_path("a.tar.gz"), base_test_folder, "train2018.json"));
    CHECK_OK(base_read_file(base_test_path("train2018.json"), 100, &text, &size));
    if (text) CHECK(!strcmp(text, "{\"a\": 1}\n"));
    CHECK_OK(catalogue_take("/nonexistent", base_test_folder, "train2018.json")); /* it is there already */
    CHECK_FAIL_HAS(catalogue_take(base_test_path("a.tar.gz"), base_test_folder, "val2018.json"),
                   "no val2018.json in it");
    base_free(text);
    base_test_folder_end();
}

/* What records say of a set stands for it where it is not here. */
TEST(repro_sets_of_records) {
    repro_places places = {0};
    base_arena arena = {0};
    static const char record[] = "{\"key\": \"./deit eval --weights w:1:2 --data cifar10.tar:9:0a --json\"}";
    CHECK_EQ_INT(repro_place_called("cifar10.zip", 11), 0);
    CHECK_EQ_INT(repro_place_called("inat2019", 8), REPRO_INAT19);
    CHECK_EQ_INT(repro_place_called("cifar10.tar", 7), 0); /* the folder's name */
    CHECK_EQ_INT(repro_place_called("cifar10.tar", 8), -1);
    base_test_folder_begin();
    CHECK_OK(base_write_file(base_test_path("a.json"), "[", 1));
    CHECK_OK(base_write_file(base_test_path("b.txt"), record, sizeof record - 1));
    CHECK_OK(repro_record_sets(base_test_folder, &places, &arena));
    CHECK(!places.recorded[0]);
    CHECK_OK(base_write_file(base_test_path("c.json"), record, sizeof record - 1));
    CHECK_OK(repro_record_sets(base_test_folder, &places, &arena));
    CHECK(places.recorded[0] && !strcmp(places.recorded[0], "cifar10.tar:9:0a"));
    for (int i = 1; i < REPRO_TRANSFERS; i++) CHECK(!places.recorded[i]);
    static const char other[] = "{\"key\": \"./deit eval --data cifar10.tar:8:0b --json\"}"; /* another copy, of more */
    CHECK_OK(base_write_file(base_test_path("d.json"), other, sizeof other - 1));
    CHECK_OK(base_write_file(base_test_path("e.json"), other, sizeof other - 1));
    CHECK_OK(repro_record_sets(base_test_folder, &places, &arena));
    CHECK(places.recorded[0] && !strcmp(places.recorded[0], "cifar10.tar:8:0b"));
    CHECK_OK(repro_record_sets(NULL, &places, &arena));
    base_test_folder_end();
    base_arena_free(&arena);
}

/* A download that has not come to its end is no data set, and hides none that is there. */
TEST(repro_datasets_begun_are_not_found) {
    static const char *const files[] = {"train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte",
                                        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"};
    char command[512];
    repro_places places, none;
    base_arena arena = {0};
    base_test_folder_begin();
    CHECK_OK(repro_locate(&none, NULL, &arena));
    snprintf(command, sizeof command, "cd %s && mkdir fashion-mnist flowers-102 inat2018 && touch flowers-102/a.part",
             base_test_folder);
    CHECK_EQ_INT(system(command), 0);
    for (int i = 0; i <= 4; i++) {
        CHECK_OK(repro_locate(&places, base_test_folder, &arena));
        if (i < 4)
            CHECK(places.fashion == none.fashion && !places.transfer[REPRO_FLOWERS] && !places.transfer[REPRO_INAT18]);
        snprintf(command, sizeof command, "cd %s && touch fashion-mnist/%s", base_test_folder, files[i & 3]);
        CHECK_EQ_INT(system(command), 0);
    }
    CHECK(places.fashion && strstr(places.fashion, base_test_folder));
    snprintf(command, sizeof command,
             "cd %s/flowers-102 && mv a.part 102flowers.tgz && touch imagelabels.mat setid.mat", base_test_folder);
    CHECK_EQ_INT(system(command), 0);
    CHECK_OK(repro_locate(&places, base_test_folder, &arena));
    CHECK(places.transfer[REPRO_FLOWERS] && places.folder && !strcmp(places.folder, base_test_folder) && !none.folder);
    base_test_folder_end();
    base_arena_free(&arena);
}

/* Runs commands in a fresh folder of data sets, and looks for them there; the arena is emptied before. */
static repro_places datasets_after(const char *commands, base_arena *arena) {
    char command[512];
    repro_places places = {0};
    base_arena_free(arena);
    *arena = (base_arena){0};
    snprintf(command, sizeof command, "cd %s && rm -rf d && mkdir d && cd d && %s", base_test_folder, commands);
    CHECK_EQ_INT(system(command), 0);
    CHECK_OK(repro_locate(&places, base_test_path("d"), arena));
    return places;
}

/* Some of a set's files are not the set; what is missing is named as it is downloaded. */
TEST(repro_datasets_in_part_are_not_found) {
    static const struct {
        const char *commands, *name, *lacks;
    } cases[] = {
        {"mkdir stanford-cars && touch stanford-cars/cars_train.tgz", "cars", "d/stanford-cars/cars_test.tgz"},
        {"mkdir stanford-cars && touch stanford-cars/cars_train.tgz stanford-cars/cars_test.tgz "
         "stanford-cars/cars_train_annos.mat",
         "cars", "d/stanford-cars/cars_test_annos_withlabels.mat"},
        {"mkdir -p stanford-cars/cars_train stanford-cars/devkit", "cars", "d/stanford-cars/cars_test.tgz"},
        {"mkdir flowers-102 && touch flowers-102/x", "flowers102", "d/flowers-102/102flowers.tgz"},
        {"mkdir -p flowers-102/jpg && touch flowers-102/imagelabels.mat", "flowers102", "d/flowers-102/setid.mat"},
        {"mkdir inat2018 && touch inat2018/x", "inat2018", "d/inat2018/train_val2018.tar.gz"},
        {"mkdir inat2019 && touch inat2019/train_val2019.tar.gz inat2019/train2019.json", "inat2019",
         "d/inat2019/val2019.json"},
        {"true", "cars", NULL},
        {"mkdir cifar10 && touch cifar10/x.part", "cifar10", NULL},
    };
    base_arena arena = {0};
    base_test_folder_begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        repro_places places = datasets_after(cases[i].commands, &arena);
        const char *lacks = repro_place_lacks(&places, cases[i].name);
        CHECK(!repro_place(&places, cases[i].name));
        CHECK(cases[i].lacks ? lacks && strstr(lacks, cases[i].lacks) : !lacks);
    }
    base_test_folder_end();
    base_arena_free(&arena);
}

/* Of whatever the user unpacked, repacked or arranged. */
TEST(repro_datasets_of_the_user_are_found) {
    static const struct {
        const char *commands, *name;
    } cases[] = {
        {"mkdir -p stanford-cars/devkit stanford-cars/cars_test && touch "
         "stanford-cars/devkit/cars_test_annos_withlabels.mat",
         "cars"},
        {"mkdir -p stanford-cars/train/audi stanford-cars/test/audi", "cars"},
        {"mkdir -p flowers-102/jpg && touch flowers-102/imagelabels.mat flowers-102/setid.mat", "flowers102"},
        {"mkdir -p flowers-102/daisy && touch flowers-102/daisy/1.jpg", "flowers102"},
        {"mkdir inat2018 && touch inat2018/val2018.json inat2018/train_val2018.tar", "inat2018"},
        {"mkdir -p elsewhere/0 && ln -s elsewhere inat2019 && touch inat2019/README", "inat2019"},
    };
    base_arena arena = {0};
    base_test_folder_begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        repro_places places = datasets_after(cases[i].commands, &arena);
        CHECK(repro_place(&places, cases[i].name) && !repro_place_lacks(&places, cases[i].name));
    }
    base_test_folder_end();
    base_arena_free(&arena);
}

/* Pictures to train on are no validation set. */
TEST(repro_datasets_imagenet_is_not_its_training_set) {
    static const struct {
        const char *commands, *imagenet, *train; // the ends of paths; NULL: not found
    } cases[] = {
        {"mkdir -p imagenet/train/n01440764", NULL, "d/imagenet"},
        {"mkdir -p imagenet/train/n01440764 imagenet/val", NULL, "d/imagenet"},
        {"mkdir -p imagenet/train/n01440764 && touch imagenet-val.tar", "d/imagenet-val.tar", "d/imagenet"},
        {"mkdir -p imagenet/train/n01440764 imagenet/val/n01440764", "d/imagenet/val", "d/imagenet"},
        {"mkdir -p imagenet/train/n01440764 && touch imagenet/ILSVRC2012_img_val.tar", "d/imagenet", "d/imagenet"},
        {"mkdir -p imagenet/n01440764", "d/imagenet", NULL},
        {"mkdir -p imagenet/n01440764 && touch imagenet/n01440764/n01440764_18.JPEG", NULL, NULL},
        {"mkdir -p imagenet/n01440764 && touch imagenet/n01440764/ILSVRC2012_val_00000293.JPEG", "d/imagenet", NULL},
    };
    base_arena arena = {0};
    base_test_folder_begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        repro_places places = datasets_after(cases[i].commands, &arena);
        const char *found[] = {places.imagenet, places.train}, *expected[] = {cases[i].imagenet, cases[i].train};
        for (int k = 0; k < 2; k++) {
            size_t size = expected[k] ? strlen(expected[k]) : 0, all = found[k] ? strlen(found[k]) : 0;
            CHECK(!found[k] == !expected[k] && (!size || (all > size && !strcmp(found[k] + all - size, expected[k]))));
        }
    }
    /* a folder of synsets itself: what lies beside that of the training pictures is found */
    datasets_after("mkdir -p train/n01440764 val/n01440764 && touch train/n01440764/n01440764_18.JPEG val/n01440764/a",
                   &arena);
    for (int k = 0; k < 2; k++) {
        repro_places places;
        CHECK_OK(repro_locate(&places, base_test_path(k ? "d/val" : "d/train"), &arena));
        CHECK(places.imagenet && strstr(places.imagenet, "/val"));
        CHECK(places.train != NULL);
    }
    base_test_folder_end();
    base_arena_free(&arena);
}

/* Links in a circle do not make a folder of all names there are. */
TEST(repro_datasets_key_of_a_circle) {
    base_arena arena = {0};
    char command[256];
    base_test_folder_begin();
    snprintf(command, sizeof command, "cd %s && mkdir set && touch set/1.jpg && ln -s . set/a && ln -s . set/b",
             base_test_folder);
    CHECK_EQ_INT(system(command), 0);
    CHECK(!repro_file_key(&arena, base_test_path("set"), NULL));
    CHECK_STR_HAS(base_message(), "more than 16 folders deep: is there a link in a circle?");
    base_test_folder_end();
    base_arena_free(&arena);
}

/* Four files of Fashion-MNIST's names have its key only if they are its files: records of it are not for others. */
TEST(repro_datasets_key_of_other_fashion) {
    static const char *const others[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz",
                                         "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"};
    base_arena arena = {0};
    char command[512];
    CHECK(!strcmp(repro_fashion_key(&arena, "fashion-mnist"), "fashion-mnist"));
    base_test_folder_begin();
    for (int i = 0; i < 4; i++) CHECK_OK(base_write_file(base_test_path(others[i]), "0123456789", 10));
    const char *key = repro_fashion_key(&arena, base_test_folder);
    CHECK(key && !strncmp(key, "fashion-mnist:", 14));
    CHECK_OK(base_write_file(base_test_path(others[0]), "1123456789", 10));
    const char *other = repro_fashion_key(&arena, base_test_folder);
    CHECK(key && other && strcmp(key, other) != 0);
    if (!base_path_is_folder(DATA_DEBIAN_FASHION)) {
        base_test_folder_end();
        base_arena_free(&arena);
        SKIP("Debian's package dataset-fashion-mnist is not here");
    }
    snprintf(command, sizeof command, "cd %s && rm * && cp %s/* . && gunzip t10k*", base_test_folder,
             DATA_DEBIAN_FASHION);
    CHECK_EQ_INT(system(command), 0);
    CHECK(!strcmp(repro_fashion_key(&arena, base_test_folder), "fashion-mnist"));
    base_test_folder_end();
    base_arena_free(&arena);
}
