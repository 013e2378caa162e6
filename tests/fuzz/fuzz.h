/* Smoke fuzzing: good files, broken in many ways, go through every parser of files that come from elsewhere. Whatever
 * they hold, a parser may not crash, hang, keep memory, or fail without a message. Cases are numbered, so that each can
 * be run again. */
#ifndef DEIT_FUZZ_H
#define DEIT_FUZZ_H

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A parser under test. run: whatever the bytes are, calls the parser, uses what it returned, frees it; its status is
 * returned. */
typedef struct {
    const char *name;
    base_status (*run)(const uint8_t *data, size_t size);
    const char *seeds; /* the folder of its good files */
    const char *match; /* what their names must hold; "" for all */
} fuzz_target;

static char fuzz_case[512]; /* what runs now, for the signal handler */

static void fuzz_signal(int number) {
    static const char crash[] = "FAIL (crash or hang) ";
    ssize_t ignored = write(1, crash, sizeof crash - 1);
    ignored += write(1, fuzz_case, strlen(fuzz_case));
    ignored += write(1, "\n", 1);
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

/* One change: a bit, a byte, a number, a cut, a block moved or repeated, a run of one byte. Returns the new size, at
 * most 2 * size + 8. */
static size_t fuzz_change(base_random *random, uint8_t *data, size_t size) {
    static const uint64_t extremes[] = {0,      1,          0x7f,       0x80,       0xff,      0x7fff,
                                        0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_MAX};
    if (size < 16) return size;
    size_t at = base_random_below(random, size - 8);
    /* Headers decide most: half of the changes go to the first kilobyte or the last. */
    if (size > 2048 && base_random_below(random, 2))
        at = base_random_below(random, 1024) + (base_random_below(random, 2) ? size - 1032 : 0);
    size_t length = 1 + base_random_below(random, size - at < 64 ? size - at : 64);
    switch (base_random_below(random, 8)) {
    case 0: data[at] ^= (uint8_t)(1 << base_random_below(random, 8)); break;
    case 1: data[at] = (uint8_t)base_random_u64(random); break;
    case 2: {
        uint64_t value = extremes[base_random_below(random, sizeof extremes / sizeof *extremes)];
        memcpy(data + at, &value, (size_t)1 << base_random_below(random, 4));
        break;
    }
    case 3: return at;
    case 4: memset(data + at, (int)base_random_below(random, 256), length); break;
    case 5: memmove(data + at, data + base_random_below(random, size - length), length); break;
    case 6: memmove(data + at, data + at + length, size - at - length); return size - length;
    default: memmove(data + at + length, data + at, size - at); return size + length;
    }
    return size;
}

static int fuzz_by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Runs cases first .. last - 1 of one seed (case 0: unchanged), stopping at `until`; returns how many failed. */
static int fuzz_seed(const fuzz_target *target, const char *path, long first, long last, double until, long *cases) {
    char *seed;
    size_t size;
    int bad = 0;
    if (base_read_file(path, 0, &seed, &size)) return printf("FAIL %s: %s\n", target->name, base_message()), 1;
    uint8_t *data = malloc(2 * size + 8 * 72);
    for (long i = first; data && i < last && base_now() < until; i++, ++*cases) {
        base_random random = base_random_stream(1, 0, (uint64_t)i, 0xf);
        size_t now = size;
        memcpy(data, seed, size);
        for (uint64_t n = i ? 1 + base_random_below(&random, 4) : 0; n; n--) now = fuzz_change(&random, data, now);
        snprintf(fuzz_case, sizeof fuzz_case, "%s %s %ld", target->name, path, i);
        uint8_t *exact =
            malloc(now ? now : 1); /* its own block, so that a sanitizer sees the first byte read past it */
        if (!exact) break;
        memcpy(exact, data, now);
        size_t held = base_memory_held();
        alarm(20);
        base_status status = target->run(exact, now);
        alarm(0);
        free(exact);
        const char *wrong = base_memory_held() != held   ? "memory was kept"
                            : status && !*base_message() ? "failed without a message"
                            : status && i == 0           ? base_message()
                                                         : NULL;
        if (wrong) bad++, printf("FAIL %s: %s\n", fuzz_case, wrong);
    }
    free(data);
    base_free(seed);
    return bad;
}

/* Every seed of a target in turn, each for its share of the time. */
static int fuzz_run(const fuzz_target *target, double seconds, long *cases, int *seeds) {
    char *names[1000];
    int n = 0, bad = 0;
    DIR *folder = opendir(target->seeds);
    for (struct dirent *entry; folder && n < 1000 && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && strstr(entry->d_name, target->match))
            names[n++] = base_path_join(target->seeds, entry->d_name);
    if (folder) closedir(folder);
    qsort(names, (size_t)n, sizeof *names, fuzz_by_name);
    for (int i = 0; i < n; i++) {
        bad += fuzz_seed(target, names[i], 0, 1L << 40, base_now() + seconds / n, cases);
        base_free(names[i]);
    }
    *seeds = n;
    return bad;
}

/* Usage: fuzz [TARGET SEED CASE]. DEIT_FUZZ_SECONDS: time a target (default 2). */
static int fuzz_main(const fuzz_target *targets, int n, int argc, char **argv) {
    const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], fuzz_signal);
    double seconds = getenv("DEIT_FUZZ_SECONDS") ? atof(getenv("DEIT_FUZZ_SECONDS")) : 2;
    int passed = 0, failed = 0, skipped = 0;
    for (int i = 0; i < n; i++) {
        long cases = 0;
        int seeds = 1, bad;
        if (argc > 1 && strcmp(argv[1], targets[i].name)) continue;
        if (argc > 3)
            bad = fuzz_seed(&targets[i], argv[2], atol(argv[3]), atol(argv[3]) + 1, base_now() + 60, &cases);
        else
            bad = fuzz_run(&targets[i], seconds, &cases, &seeds);
        if (bad)
            failed++;
        else if (!seeds)
            skipped++, printf("skip fuzz_%s: no seeds in %s\n", targets[i].name, targets[i].seeds);
        else
            passed++, printf("ok   fuzz_%s: %ld cases of %d seeds\n", targets[i].name, cases, seeds);
        fflush(stdout);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}

#endif
