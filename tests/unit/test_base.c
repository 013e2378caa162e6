/* base: known answers, files that must not be left half written, memory that must be counted. */
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of our own, removed by base_test_folder_end with the files named in it. */
static char base_test_folder[64];
static void base_test_folder_begin(void) {
    strcpy(base_test_folder, "/tmp/deit_test_XXXXXX");
    CHECK(mkdtemp(base_test_folder) != NULL);
}
static const char *base_test_path(const char *name) {
    static char path[4][192];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", base_test_folder, name);
    return path[turn];
}
static int base_test_files(void) {
    char command[192];
    snprintf(command, sizeof command, "ls -A %s | wc -l", base_test_folder);
    FILE *pipe = popen(command, "r");
    int n = -1;
    if (pipe && fscanf(pipe, "%d", &n) != 1) n = -1;
    if (pipe) pclose(pipe);
    return n;
}
static void base_test_folder_end(void) {
    char command[192];
    snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", base_test_folder, base_test_folder);
    CHECK_EQ_INT(system(command), 0);
}

TEST(base_messages) {
    CHECK_EQ_INT(base_fail("row %d", 7), BASE_ERROR);
    CHECK(!strcmp(base_message(), "row 7"));
    CHECK_EQ_INT(base_fail_in(BASE_USAGE, "file %s", "x"), BASE_USAGE);
    CHECK(!strcmp(base_message(), "file x: row 7"));
    base_fail("again: %s", base_message());
    CHECK(!strcmp(base_message(), "again: file x: row 7"));
    base_fail("a\x1b[2J\tb\n");
    CHECK(!strcmp(base_message(), "a?[2J\tb\n"));
    char *wide = malloc(10001);
    memset(wide, 'a', 10000), wide[10000] = 0;
    base_fail("%s", wide);
    CHECK_EQ_INT(strlen(base_message()), 4095);
    CHECK_STR_HAS(base_message(), "...");
    base_fail_in(BASE_ERROR, "%s", wide);
    CHECK(strlen(base_message()) <= 4095);
    free(wide);
}

static void *base_test_thread(void *other) {
    *(bool *)other = base_message()[0] == 0;
    return NULL;
}
TEST(base_messages_belong_to_a_thread) {
    bool empty = false;
    pthread_t thread;
    base_fail("mine");
    CHECK(!pthread_create(&thread, NULL, base_test_thread, &empty) && !pthread_join(thread, NULL));
    CHECK(empty && !strcmp(base_message(), "mine"));
}

TEST(base_memory) {
    size_t held = base_memory_held();
    char *a = base_malloc(100), *b = base_calloc(3, 5), *pages = base_map_pages(5 << 20);
    CHECK((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0 && (uintptr_t)pages % (2 << 20) == 0);
    CHECK(b[14] == 0 && pages[(5 << 20) - 1] == 0);
    memcpy(a, "abc", 4);
    a = base_realloc(a, 10000);
    CHECK(!strcmp(a, "abc"));
    CHECK_EQ_INT(base_memory_held() - held, 10000 + 15 + (5 << 20));
    base_free(a), base_free(b), base_unmap_pages(pages, 5 << 20);
    CHECK_EQ_INT(base_memory_held(), held);
    CHECK(!base_malloc(SIZE_MAX - 10) && !base_calloc(SIZE_MAX / 2, 3) && !base_map_pages(SIZE_MAX - 10));
    CHECK_STR_HAS(base_message(), "out of memory");
}

TEST(base_memory_fails_on_purpose) {
    base_fault_after(2);
    void *first = base_malloc(1), *second = base_malloc(1), *third = base_map_pages(1);
    base_fault_after(0);
    CHECK(first && !second && !third);
    base_free(first);
    base_text text = {0};
    base_fault_after(1);
    base_text_add(&text, "x", 1);
    base_fault_after(0);
    base_text_add(&text, "x", 1);
    CHECK(text.failed);
    base_text_free(&text);
}

TEST(base_arena_and_text) {
    size_t held = base_memory_held();
    base_arena arena = {0};
    for (int i = 1; i < 300; i++) {
        uint8_t *block = base_arena_alloc(&arena, (size_t)i * 37);
        CHECK((uintptr_t)block % 16 == 0 && block[0] == 0 && block[i * 37 - 1] == 0);
        memset(block, 0xff, (size_t)i * 37);
    }
    CHECK(!strcmp(base_arena_printf(&arena, "%d-%s", 5, "x"), "5-x"));
    base_arena_free(&arena);
    base_text text = {0};
    for (int i = 0; i < 1000; i++) base_text_printf(&text, "%d,", i);
    base_text_add(&text, "end", 3);
    CHECK_EQ_INT(text.size, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    CHECK(!text.failed && !strcmp(text.data + text.size - 7, "999,end"));
    base_text_free(&text);
    CHECK_EQ_INT(base_memory_held(), held);
}

TEST(base_files) {
    char *data, *joined;
    size_t size;
    base_mapping mapping;
    base_test_folder_begin();
    CHECK_OK(base_write_file(base_test_path("a"), "hello", 5));
    CHECK_OK(base_write_file(base_test_path("a"), "hello!", 6));
    CHECK_OK(base_read_file(base_test_path("a"), 0, &data, &size));
    CHECK(size == 6 && !strcmp(data, "hello!"));
    base_free(data);
    CHECK_FAIL_HAS(base_read_file(base_test_path("a"), 5, &data, &size), "6 bytes, more than the 5");
    CHECK_OK(base_map_file(&mapping, base_test_path("a")));
    CHECK(mapping.size == 6 && !memcmp(mapping.data, "hello!", 6));
    base_unmap_file(&mapping);
    CHECK_OK(base_write_file(base_test_path("empty"), "", 0));
    CHECK_OK(base_map_file(&mapping, base_test_path("empty")));
    CHECK(!mapping.data && mapping.size == 0);
    base_unmap_file(&mapping);
    CHECK_FAIL_HAS(base_map_file(&mapping, base_test_folder), "is a folder");
    CHECK_FAIL_HAS(base_map_file(&mapping, "/nonexistent"), "/nonexistent: cannot open");
    CHECK_OK(base_make_folders(base_test_path("x/y/z")));
    CHECK(base_path_is_folder(base_test_path("x/y/z")) && base_path_exists(base_test_path("a")));
    CHECK_FAIL_HAS(base_make_folders(base_test_path("a/b")), "cannot make the folder");
    joined = base_path_join("a//", "b");
    CHECK(!strcmp(joined, "a/b"));
    base_free(joined);
    joined = base_path_join("/", "b");
    CHECK(!strcmp(joined, "/b"));
    base_free(joined);
    base_test_folder_end();
}

TEST(base_output_is_whole_or_absent) {
    base_output *output;
    char *data, large[4096] = "";
    size_t size;
    base_test_folder_begin();
    CHECK_OK(base_write_file(base_test_path("old"), "old", 3));
    CHECK_OK(base_output_open(&output, base_test_path("old")));
    CHECK_OK(base_output_write(output, "new", 3));
    CHECK_OK(base_read_file(base_test_path("old"), 0, &data, &size));
    CHECK(!strcmp(data, "old")); // until commit
    base_free(data);
    base_output_abort(output);
    CHECK_EQ_INT(base_test_files(), 1);
    CHECK_OK(base_output_open(&output, base_test_path("new")));
    for (int i = 0; i < 1000; i++) CHECK_OK(base_output_write(output, large, sizeof large));
    CHECK_OK(base_output_commit(output));
    CHECK_OK(base_read_file(base_test_path("new"), 0, &data, &size));
    CHECK_EQ_INT(size, 4096000);
    base_free(data);
    CHECK_EQ_INT(base_test_files(), 2);
    CHECK_OK(symlink("old", base_test_path("link")) ? base_fail("symlink") : BASE_OK);
    CHECK_OK(base_write_file(base_test_path("link"), "through", 7));
    struct stat about;
    CHECK(!lstat(base_test_path("link"), &about) && S_ISLNK(about.st_mode));
    CHECK(!stat(base_test_path("old"), &about) && about.st_size == 7);
    base_test_folder_end();
}

TEST(base_output_failures) {
    size_t held = base_memory_held();
    char large[4096] = "";
    base_output *output;
    CHECK_FAIL_HAS(base_write_file("/dev/full", "x", 1), "/dev/full: cannot write: No space left");
    CHECK_OK(base_output_open(&output, "/dev/full"));
    base_status status = BASE_OK;
    for (int i = 0; i < 1000 && !status; i++) status = base_output_write(output, large, sizeof large);
    CHECK(status);
    CHECK_FAIL_HAS(base_output_write(output, "x", 1), "No space left");
    CHECK_FAIL_HAS(base_output_commit(output), "No space left");
    CHECK_FAIL_HAS(base_write_file("/nonexistent/x", "x", 1), "/nonexistent/x: cannot write there: No such file");
    CHECK_FAIL_HAS(base_write_file("/proc/deit_test", "x", 1), "/proc/deit_test: cannot write there"); // nor may root
    CHECK_FAIL_HAS(base_write_file("/tmp", "x", 1), "is a folder");
    CHECK_EQ_INT(base_memory_held(), held);
    if (geteuid() == 0) return; // root may write anywhere
    base_test_folder_begin();
    CHECK(!chmod(base_test_folder, 0500));
    CHECK_FAIL_HAS(base_write_file(base_test_path("x"), "x", 1), "cannot write there: Permission denied");
    base_test_folder_end();
}

TEST(base_hashes) {
    char hex[65];
    test_sha256("abc", 3, hex);
    CHECK(!strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    base_test_folder_begin();
    CHECK_OK(base_write_file(base_test_path("abc"), "abc", 3));
    CHECK_OK(base_sha256_file(base_test_path("abc"), NULL, hex));
    CHECK(!strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CHECK_FAIL_HAS(base_sha256_file(base_test_path("none"), NULL, hex), "cannot open");
    CHECK_FAIL_HAS(base_sha256_file(base_test_folder, NULL, hex), "cannot read");
    base_test_folder_end();
    CHECK(base_fnv1a64("", 0) == 0xcbf29ce484222325u && base_fnv1a64("foobar", 6) == 0x85944171f73967e8u);
}

/* Philox4x32-10's known answers (Random123, kat_vectors). */
TEST(base_random_known) {
    uint64_t out[2], pi[2] = {0x85a308d3243f6a88u, 0x0370734413198a2eu};
    random_philox(0, (uint64_t[2]){0, 0}, out);
    CHECK(out[0] == 0xe169c58d6627e8d5u && out[1] == 0x9b00dbd8bc57ac4cu);
    random_philox(UINT64_MAX, (uint64_t[2]){UINT64_MAX, UINT64_MAX}, out);
    CHECK(out[0] == 0x41c83b0e408f276du && out[1] == 0x6d5451fda20bc7c6u);
    random_philox(0x299f31d0a4093822u, pi, out);
    CHECK(out[0] == 0x94fdccebd16cfe09u && out[1] == 0x24126ea15001e420u);
    CHECK(base_splitmix64(0, 1) == 0xe220a8397b1dcdafu);
}

TEST(base_random_streams) {
    base_random a = base_random_stream(1, 2, 3, 4), b = base_random_stream(1, 2, 3, 5),
                c = base_random_stream(1, 2, 4, 4), d = a;
    CHECK(base_random_u64(&a) != base_random_u64(&b) && base_random_u64(&c) != base_random_u64(&b));
    CHECK(base_random_u64(&a) != base_random_u64(&d)); // one step apart
    base_random_normal(&a), base_random_normal(&a);
    double sum = 0, squares = 0, uniform = 0;
    int counts[7] = {0};
    for (int i = 0; i < 100000; i++) {
        double x = base_random_normal(&a), u = base_random_uniform(&a);
        sum += x, squares += x * x, uniform += u;
        counts[base_random_below(&b, 7)]++;
        CHECK(u >= 0 && u < 1);
    }
    CHECK(sum > -1000 && sum < 1000 && squares > 98500 && squares < 101500 && uniform > 49600 && uniform < 50400);
    for (int i = 0; i < 7; i++) CHECK(counts[i] > 13800 && counts[i] < 14800);
    CHECK_EQ_INT(base_random_below(&b, 1), 0);
}

TEST(base_machine_known) {
    base_machine machine;
    base_machine_read(&machine);
    CHECK(machine.cpu[0] && machine.cores >= 1 && machine.online >= 1);
    CHECK(machine.memory_total > 1 << 20 && machine.memory_free <= machine.memory_total);
    double before = base_now();
    CHECK(base_now() >= before);
}

TEST(base_spread_and_nearest) {
    double v[] = {5, 3, 1, 4, 2, 6, 9, 8, 7, 10}, one[] = {3}, many[3000];
    base_spread spread = base_spread_of(v, 10);
    CHECK(spread.median == 5.5 && spread.min == 1 && spread.max == 10 && spread.low == 2 && spread.high == 9 &&
          spread.n == 10);
    spread = base_spread_of(one, 1);
    CHECK(spread.median == 3 && spread.low == 3 && spread.high == 3);
    for (int i = 0; i < 3000; i++) many[i] = i;
    spread = base_spread_of(many, 3000);
    CHECK(spread.low > 1440 && spread.low < 1452 && spread.low + spread.high == 2999);
    const char *names[] = {"deit_tiny_patch16_224", "deit_small_patch16_224"};
    CHECK(!strcmp(base_nearest("deit_tniy_patch16_224", names, 2), names[0]));
    CHECK(!base_nearest("resnet", names, 2));
    CHECK(!base_nearest("x", names, 0));
}

static int base_test_lines;
static void base_test_log(void *user, base_log_level level, const char *line) {
    base_test_lines += level == BASE_LOG_WARNING && !strcmp(line, "n 3") && user == &base_test_lines;
}
TEST(base_context_calls) {
    int stop = 0;
    base_context context = {.log = base_test_log, .user = &base_test_lines, .cancel = &stop};
    base_log(&context, BASE_LOG_WARNING, "n %d", 3);
    base_log(NULL, BASE_LOG_WARNING, "n %d", 3);
    base_progress(&context, "x", 1, 2, "images", NULL);
    CHECK_EQ_INT(base_test_lines, 1);
    CHECK(!base_cancelled(&context) && !base_cancelled(NULL));
    stop = 1;
    CHECK(base_cancelled(&context));
}
