/* store's archives: file i of a golden archive is i * 100 bytes of value i, in folder a or b. Uses test_base.c's folder
 * helpers. */

/* Checks the entries of one archive; deep: what stands between folder and number. */
static void archive_test_entries(const store_archive *archive, const char *deep, bool link) {
    CHECK_EQ_INT(store_archive_count(archive), link ? 7 : 6);
    for (int i = 0; i < 7; i++) {
        char name[300];
        uint8_t data[600];
        int value = i == 6 ? 3 : i, wrong = 0;
        if (i == 6 && !link) break;
        snprintf(name, sizeof name, "%c/%s%d.bin", "ab"[i % 2], deep, i);
        const store_entry *entry = store_archive_find(archive, i == 6 ? "link.bin" : name);
        if (!entry || (int)entry->size != value * 100) {
            TEST_FAIL("%s: absent or of another size", name);
            continue;
        }
        CHECK_OK(store_archive_read(archive, entry, data));
        for (int j = 0; j < value * 100; j++) wrong += data[j] != value;
        CHECK_EQ_INT(wrong, 0);
    }
    CHECK(!store_archive_find(archive, "a") && !store_archive_find(archive, "c.bin"));
}

#define ARCHIVE_TEST_DEEP                                                                                              \
    "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"                                                     \
    "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllll/"

TEST(archive_random) {
    static const struct {
        const char *file, *deep;
        bool link;
    } cases[] = {{"ustar.tar", "", true},
                 {"gnu.tar", ARCHIVE_TEST_DEEP, true},
                 {"pax.tar", ARCHIVE_TEST_DEEP "\xc3\xbc", true},
                 {"files.zip", "", false}};
    size_t held = base_memory_held();
    for (int i = 0; i < 4; i++) {
        char path[256];
        store_archive *archive;
        store_archive_kind kind;
        snprintf(path, sizeof path, "tests/golden/store/%s", cases[i].file);
        CHECK_OK(store_archive_sniff(path, &kind));
        CHECK_EQ_INT(kind, STORE_ARCHIVE_RANDOM);
        CHECK_OK(store_archive_open(&archive, path, NULL));
        if (archive) archive_test_entries(archive, cases[i].deep, cases[i].link);
        store_archive_close(archive);
    }
    CHECK_EQ_INT(base_memory_held(), held);
}

TEST(archive_nested) {
    store_archive *outer, *inner[2];
    CHECK_OK(store_archive_open(&outer, "tests/golden/store/nested.tar", NULL));
    CHECK_OK(store_archive_open_inside(&inner[0], outer, store_archive_find(outer, "ustar.tar")));
    CHECK_OK(store_archive_open_inside(&inner[1], outer, store_archive_find(outer, "pax.tar")));
    store_archive_close(outer);
    archive_test_entries(inner[0], "", true);
    archive_test_entries(inner[1], ARCHIVE_TEST_DEEP "\xc3\xbc", true);
    store_archive_close(inner[0]);
    store_archive_close(inner[1]);
}

/* Reads a whole stream; *files: how many. */
static base_status archive_test_stream(const char *path, int *files) {
    store_stream *stream;
    const char *name;
    const uint8_t *data;
    size_t size;
    *files = 0;
    BASE_TRY(store_stream_open(&stream, path));
    base_status status;
    while (!(status = store_stream_next(stream, &name)) && name) {
        int i = *files, wrong = 0;
        if ((*files)++ == 4) continue; // a file may be passed over
        if ((status = store_stream_data(stream, &data, &size))) break;
        CHECK(name[0] == "ab"[i % 2] && (int)size == i * 100);
        for (size_t j = 0; j < size; j++) wrong += data[j] != i;
        CHECK_EQ_INT(wrong, 0);
        CHECK_FAIL_HAS(store_stream_data(stream, &data, &size), "no file to read");
    }
    uint64_t done, total;
    store_stream_position(stream, &done, &total);
    if (!status) CHECK(done <= total && done > 0);
    store_stream_close(stream);
    return status;
}

TEST(archive_streams) {
    static const char *const files[] = {"plain.tar.gz", "plain.tar.bz2", "plain.tar.xz", "plain.tar.zst"};
    size_t held = base_memory_held();
    base_test_folder_begin();
    for (int f = 0; f < 4; f++) {
        char path[256], *data;
        size_t size;
        int n, opened = 0;
        store_archive_kind kind;
        snprintf(path, sizeof path, "tests/golden/store/%s", files[f]);
        CHECK_OK(store_archive_sniff(path, &kind));
        CHECK_EQ_INT(kind, STORE_ARCHIVE_STREAM);
        CHECK_OK(archive_test_stream(path, &n));
        CHECK_EQ_INT(n, 6);
        CHECK_OK(base_read_file(path, 0, &data, &size));
        const char *cut = base_test_path("cut");
        // A cut that takes only the checksum at the very end leaves all data whole.
        for (size_t left = 0; left + 16 < size; left += 3) {
            CHECK_OK(base_write_file(cut, data, left));
            if (!archive_test_stream(cut, &n)) opened++;
        }
        if (opened) TEST_FAIL("%s: %d cuts went unnoticed", path, opened);
        base_free(data);
    }
    int n;
    CHECK_FAIL_HAS(archive_test_stream("tests/golden/store/ustar.tar", &n), "hard link to ./b/3.bin");
    CHECK_FAIL_HAS(archive_test_stream("/nonexistent.tar.gz", &n), "/nonexistent.tar.gz");
    CHECK_FAIL_HAS(archive_test_stream("/tmp", &n), "is a folder");
    base_test_folder_end();
    CHECK_EQ_INT(base_memory_held(), held);
}

/* Opens an archive, reads every entry and closes it. */
static base_status archive_test_all(const char *path) {
    store_archive *archive;
    BASE_TRY(store_archive_open(&archive, path, NULL));
    base_status status = BASE_OK;
    for (size_t i = 0; i < store_archive_count(archive) && !status; i++) {
        const store_entry *entry = store_archive_at(archive, i);
        uint8_t *data = entry->size < 1 << 20 ? base_malloc(entry->size) : NULL;
        status = data ? store_archive_read(archive, entry, data) : BASE_ERROR;
        base_free(data);
    }
    store_archive_close(archive);
    return status;
}

TEST(archive_cut_short_everywhere) {
    static const char *const files[] = {"ustar.tar", "gnu.tar", "files.zip"};
    size_t held = base_memory_held();
    base_test_folder_begin();
    for (int f = 0; f < 3; f++) {
        char path[256], *data;
        size_t size, end, step = f == 2 ? 1 : 64;
        snprintf(path, sizeof path, "tests/golden/store/%s", files[f]);
        CHECK_OK(base_read_file(path, 0, &data, &size));
        for (end = size; f < 2 && end > 0 && !data[end - 1]; end--) {
        } // a tar is padded with zeros
        end = f < 2 ? (end + 511) / 512 * 512 + 512 : size;
        const char *cut = base_test_path("cut");
        for (size_t left = 0; left < end; left += step) {
            CHECK_OK(base_write_file(cut, data, left));
            if (!archive_test_all(cut)) TEST_FAIL("%s opens when cut to %zu of %zu bytes", path, left, size);
        }
        CHECK_OK(base_write_file(cut, data, end));
        CHECK_OK(archive_test_all(cut));
        base_free(data);
    }
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

TEST(archive_messages) {
    store_archive *archive;
    char *data;
    size_t size;
    base_test_folder_begin();
    const char *path = base_test_path("x");
    CHECK_OK(base_read_file("tests/golden/store/ustar.tar", 0, &data, &size));
    CHECK_OK(base_write_file(path, data, 3072)); // between two entries
    CHECK_FAIL_HAS(store_archive_open(&archive, path, NULL), "no end mark: the tar is cut short");
    CHECK_OK(base_write_file(path, data, 3072 + 512 + 10)); // in the data of file 1
    CHECK_FAIL_HAS(store_archive_open(&archive, path, NULL), "cut short; download it again");
    data[2048 + 20] ^= 1; // a header whose checksum is then wrong
    CHECK_OK(base_write_file(path, data, size));
    CHECK_FAIL_HAS(store_archive_open(&archive, path, NULL), "cannot read the tar after byte");
    base_free(data);
    CHECK_OK(base_read_file("tests/golden/store/files.zip", 0, &data, &size));
    CHECK_OK(base_write_file(path, data, size - 30));
    CHECK_FAIL_HAS(store_archive_open(&archive, path, NULL),
                   "the directory at the end of the zip is missing: the file is cut short");
    char *at = memmem(data, size, "\1\1\1\1\1\1\1\1", 8);
    if (at) at[3] ^= 4; // in the data of file 1
    CHECK_OK(base_write_file(path, data, size));
    CHECK_FAIL_HAS(archive_test_all(path), "b/1.bin: its checksum is wrong");
    base_free(data);
    CHECK_OK(base_write_file(path, "", 0));
    CHECK_FAIL_HAS(store_archive_open(&archive, path, NULL), "the file is empty");
    CHECK_FAIL_HAS(store_archive_open(&archive, "Makefile", NULL), "a tar or zip is expected");
    CHECK_FAIL_HAS(store_archive_open(&archive, "/tmp", NULL), "is not a regular file");
    base_test_folder_end();
}

TEST(archive_out_of_memory) {
    static const char *const files[] = {"pax.tar", "files.zip"};
    size_t held = base_memory_held();
    int n;
    for (int f = 0; f < 3; f++) {
        char path[256];
        base_status status = BASE_ERROR;
        snprintf(path, sizeof path, "tests/golden/store/%s", f == 2 ? "plain.tar.gz" : files[f]);
        for (int after = 1; status && after < 1000; after++) {
            base_fault_after(after);
            status = f == 2 ? archive_test_stream(path, &n) : archive_test_all(path);
            base_fault_after(0);
            if (status) CHECK_STR_HAS(base_message(), "out of memory");
            CHECK_EQ_INT(base_memory_held(), held);
        }
        CHECK(!status);
    }
}
