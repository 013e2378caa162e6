/* A small test harness: TEST defines and registers; CHECK* record failures and go on; SKIP says why and leaves the
 * test. */
#ifndef DEIT_TEST_H
#define DEIT_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_entry {
    const char *name;
    void (*run)(void);
    struct test_entry *next;
} test_entry;
static test_entry *test_first, **test_last = &test_first;
static int test_bad; /* failed checks of the test now running */
static const char *test_skip;

#define TEST(id)                                                                                                       \
    static void test_run_##id(void);                                                                                   \
    static test_entry test_entry_##id = {#id, test_run_##id, NULL};                                                    \
    __attribute__((constructor)) static void test_register_##id(void) {                                                \
        *test_last = &test_entry_##id;                                                                                 \
        test_last = &test_entry_##id.next;                                                                             \
    }                                                                                                                  \
    static void test_run_##id(void)

#define TEST_FAIL(...)                                                                                                 \
    (test_bad++, fprintf(stderr, "%s:%d: ", __FILE__, __LINE__), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) TEST_FAIL("not true: %s", #condition);                                                       \
    } while (0)
#define CHECK_EQ_INT(a, b)                                                                                             \
    do {                                                                                                               \
        long long test_a = (long long)(a), test_b = (long long)(b);                                                    \
        if (test_a != test_b) TEST_FAIL("%s is %lld, %s is %lld", #a, test_a, #b, test_b);                             \
    } while (0)
#define CHECK_STR_HAS(haystack, needle)                                                                                \
    do {                                                                                                               \
        const char *test_h = (haystack), *test_n = (needle);                                                           \
        if (!test_h || !strstr(test_h, test_n)) TEST_FAIL("\"%s\" not in \"%s\"", test_n, test_h ? test_h : "(null)"); \
    } while (0)
#define CHECK_OK(expression)                                                                                           \
    do {                                                                                                               \
        if (expression) TEST_FAIL("%s failed: %s", #expression, base_message());                                       \
    } while (0)
#define CHECK_FAIL_HAS(expression, part)                                                                               \
    do {                                                                                                               \
        if (!(expression))                                                                                             \
            TEST_FAIL("%s did not fail", #expression);                                                                 \
        else                                                                                                           \
            CHECK_STR_HAS(base_message(), part);                                                                       \
    } while (0)
#define SKIP(why)                                                                                                      \
    do {                                                                                                               \
        test_skip = (why);                                                                                             \
        return;                                                                                                        \
    } while (0)

/* Runs every test whose name holds one of the filters (all without filters); prints a line a test. */
static int test_main(int argc, char **argv) {
    int passed = 0, failed = 0, skipped = 0;
    for (test_entry *t = test_first; t; t = t->next) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; i++) wanted |= strstr(t->name, argv[i]) != NULL;
        if (!wanted) continue;
        test_bad = 0, test_skip = NULL;
        t->run();
        if (test_bad)
            failed++, printf("FAIL %s\n", t->name);
        else if (test_skip)
            skipped++, printf("skip %s: %s\n", t->name, test_skip);
        else
            passed++, printf("ok   %s\n", t->name);
        fflush(stdout);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}

/* SHA-256 as 64 lower-case hex digits and NUL. */
static void test_sha256(const void *data, size_t size, char hex[65]) {
    hash_context context;
    nettle_sha256.init(&context);
    nettle_sha256.update(&context, size, data);
    hash_hex(&nettle_sha256, &context, hex);
}

/* timm's names of the augmentation operators. */
static const char *const test_op_names[IMAGE_OPS] = {
    "AutoContrast", "Equalize",   "Invert",       "Posterize",      "Solarize",    "SolarizeAdd", "Color",
    "Contrast",     "Brightness", "Sharpness",    "Rotate",         "ShearX",      "ShearY",      "TranslateX",
    "TranslateY",   "Grayscale",  "GaussianBlur", "HorizontalFlip", "VerticalFlip"};

#endif
