/* base: what every layer stands on - status and messages, memory, files, hashes, random numbers, log and progress,
 * time, the machine. */
#ifndef DEIT_BASE_H
#define DEIT_BASE_H

/* sched_getaffinity, O_CLOEXEC, madvise and the like: must come before the first system header, so base.h is included
 * first. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#ifdef __FAST_MATH__
#error "deit needs IEEE arithmetic: compile without -ffast-math"
#endif

/* Marks what a layer's header offers to higher layers. In the amalgamation (DEIT_AMALGAMATION) all of it is local to
 * the one unit. */
#ifdef DEIT_AMALGAMATION
#define DEIT_INTERNAL static __attribute__((unused))
#else
#define DEIT_INTERNAL
#endif

/* For functions whose results must be the same bits everywhere. GCC and Clang would contract a * b + c to one rounding
 * where the target has it; BASE_EXACT stands before such a function, BASE_EXACT_BODY first in its body. */
#if defined(__clang__)
#define BASE_EXACT
#define BASE_EXACT_BODY _Pragma("STDC FP_CONTRACT OFF")
#else
#define BASE_EXACT __attribute__((optimize("fp-contract=off")))
#define BASE_EXACT_BODY
#endif

/* ---- Status and messages ----------------------------------------------------------------------------------------- */

typedef enum {
    BASE_OK = 0,
    BASE_ERROR = 1,     /* the work could not be done: base_message() says why */
    BASE_USAGE = 2,     /* the caller's words are wrong: an unknown model, flag or row */
    BASE_TOLERANCE = 3, /* a measured number fell outside its tolerance */
    BASE_CANCELLED = 4, /* the cancel flag was set */
} base_status;

/* Records a message for this thread (printf rules, at most 4 KiB) and is BASE_ERROR, or `status` with base_fail_as.
 * Macros, so that the compiler sees that the outcome is never BASE_OK, and does not warn of variables it thinks unset.
 */
#define base_fail(...) base_fail_as(BASE_ERROR, __VA_ARGS__)
#define base_fail_as(status, ...)                                                                                      \
    __extension__({                                                                                                    \
        base_fail_record(__VA_ARGS__);                                                                                 \
        (base_status)(status);                                                                                         \
    })
DEIT_INTERNAL void base_fail_record(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Puts "text: " before this thread's message, for a caller that knows the file or the step; returns `status` unchanged.
 */
DEIT_INTERNAL base_status base_fail_in(base_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* This thread's last message; "" if none. Valid until the thread's next failure. */
DEIT_INTERNAL const char *base_message(void);
/* Runs an expression that returns base_status; returns from the calling function with it unless it is BASE_OK. */
#define BASE_TRY(expression)                                                                                           \
    do {                                                                                                               \
        base_status base_try_ = (expression);                                                                          \
        if (base_try_) return base_try_;                                                                               \
    } while (0)

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* Like malloc, calloc, realloc, strdup, but: aligned to 64 bytes, counted, and able to fail on purpose. On failure they
 * return NULL and have recorded a message that names the size: `if (!p) return BASE_ERROR;`. Free with base_free (NULL
 * allowed). */
DEIT_INTERNAL void *base_malloc(size_t bytes);
DEIT_INTERNAL void *base_calloc(size_t count, size_t bytes);
DEIT_INTERNAL void *base_realloc(void *old, size_t bytes);
DEIT_INTERNAL char *base_strdup(const char *text);
DEIT_INTERNAL void base_free(void *memory);
/* Large buffers: mapped straight from the system, zeroed, on huge pages where there are some. base_unmap_pages frees
 * them. */
DEIT_INTERNAL void *base_map_pages(size_t bytes);
DEIT_INTERNAL void base_unmap_pages(void *memory, size_t bytes);
/* Makes the n-th allocation from now on (1: the next) and all after it fail; 0 switches that off. For tests. */
DEIT_INTERNAL void base_fault_after(long n);
/* Bytes now held by base_malloc and base_map_pages together; for tests of leaks and of steady memory. */
DEIT_INTERNAL size_t base_memory_held(void);

/* An arena: many small allocations that are freed together. Zero-initialise to begin; allocations are zeroed, aligned
 * to 16. */
typedef struct base_arena {
    struct base_arena_block *block;
} base_arena;
DEIT_INTERNAL void *base_arena_alloc(base_arena *arena, size_t bytes);
DEIT_INTERNAL char *base_arena_printf(base_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
DEIT_INTERNAL void base_arena_free(base_arena *arena);

/* A text that grows. Zero-initialise to begin. If memory ends, `failed` stays set and the text is cut: check it once at
 * the end. */
typedef struct {
    char *data; /* NUL-terminated once anything was added; NULL before */
    size_t size, capacity;
    bool failed;
} base_text;
DEIT_INTERNAL void base_text_add(base_text *text, const char *data, size_t size);
DEIT_INTERNAL void base_text_printf(base_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
DEIT_INTERNAL void base_text_vprintf(base_text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
DEIT_INTERNAL void base_text_free(base_text *text);
/* The first `size` bytes of a text (SIZE_MAX: all of it), as HTML and in its attributes. */
DEIT_INTERNAL void base_text_html(base_text *text, const char *raw, size_t size);
/* Columns that a UTF-8 text takes on a terminal, its signs being one wide each. */
DEIT_INTERNAL int base_text_width(const char *text);
/* A word as a shell takes it: in single quotes where that is needed. */
DEIT_INTERNAL void base_text_shell(base_text *text, const char *word);
/* Text that may not be UTF-8, as names of files, for JSON: bytes that are none become U+FFFD. The caller's reference;
 * NULL when memory ends, or for NULL. */
DEIT_INTERNAL json_t *base_json_text(const char *text);
/* null for a number that is not finite, which JSON has no way to write. */
DEIT_INTERNAL json_t *base_json_real(double value);
DEIT_INTERNAL json_t *base_json_reals(const double *values, int n); /* [n] */

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* Reads a whole file. *data is base_malloc'd with a NUL after its end. limit: more bytes than that is an error (0:
 * none). */
DEIT_INTERNAL base_status base_read_file(const char *path, size_t limit, char **data, size_t *size);

/* A file mapped read-only. A zero-byte file gives data = NULL, size = 0. */
typedef struct {
    const uint8_t *data;
    size_t size;
} base_mapping;
DEIT_INTERNAL base_status base_map_file(base_mapping *mapping, const char *path);
DEIT_INTERNAL void base_unmap_file(base_mapping *mapping);
/* Gives the pages under `size` bytes of a mapping back: they no longer count as this process's memory, stay in the
 * system's cache, and come back when touched. */
DEIT_INTERNAL void base_forget_pages(const base_mapping *mapping, const void *at, size_t size);

/* An output written beside its final name and renamed when complete, so that a full disk or a stop never leaves half a
 * file. A path that exists and is not a regular file (/dev/full, a pipe) is written in place; "-" is standard output.
 * After open, exactly one of commit (flush, fsync, rename) or abort (remove) must follow: after a failed write abort,
 * after a failed commit nothing more. */
typedef struct base_output base_output;
DEIT_INTERNAL base_status base_output_open(base_output **output, const char *path);
DEIT_INTERNAL base_status base_output_write(base_output *output, const void *data, size_t size);
DEIT_INTERNAL base_status base_output_commit(base_output *output); /* frees output, whatever it returns */
DEIT_INTERNAL void base_output_abort(base_output *output);         /* frees output; NULL allowed */
/* All of it to a descriptor; path: for the message. */
DEIT_INTERNAL base_status base_write_all(int file, const char *path, const void *data, size_t size);
/* All of it at once. */
DEIT_INTERNAL base_status base_write_file(const char *path, const void *data, size_t size);

/* Joins with one '/'; base_malloc'd. */
DEIT_INTERNAL char *base_path_join(const char *folder, const char *name);
/* What stands behind the last '/': "c" of "a/b/c". */
DEIT_INTERNAL const char *base_path_name(const char *path);
/* Whether two paths lead to one file (or folder) that exists. */
DEIT_INTERNAL bool base_path_same(const char *a, const char *b);
/* Whether a folder holds something of that name. */
DEIT_INTERNAL bool base_path_has(const char *folder, const char *name);
DEIT_INTERNAL bool base_path_exists(const char *path);
DEIT_INTERNAL bool base_path_is_folder(const char *path);
/* mkdir -p. */
DEIT_INTERNAL base_status base_make_folders(const char *path);
/* Puts the names in a folder on the disk: after it, what was renamed there stays so through a loss of power. */
DEIT_INTERNAL base_status base_sync_folder(const char *path);
/* Folder for things worth keeping between runs: $XDG_CACHE_HOME/deit or ~/.cache/deit (not created); base_malloc'd,
 * NULL without a home. */
DEIT_INTERNAL char *base_cache_folder(void);

/* ---- Random numbers: a function of a key and a counter, no state to lose ----------------------------------------- */

/* A stream of numbers that depends only on these four. Purposes are small constants, one a use, so that streams never
 * meet. */
typedef struct {
    uint64_t key[2], counter;
} base_random;
DEIT_INTERNAL base_random base_random_stream(uint64_t seed, uint64_t epoch, uint64_t sample, uint32_t purpose);
DEIT_INTERNAL uint64_t base_random_u64(base_random *random);
DEIT_INTERNAL double base_random_uniform(base_random *random);                     /* [0, 1), 53 bits */
DEIT_INTERNAL double base_random_normal(base_random *random);                      /* N(0, 1) */
DEIT_INTERNAL void base_random_normals(base_random *random, float *out, size_t n); /* faster, many */
DEIT_INTERNAL uint64_t base_random_below(base_random *random, uint64_t n);         /* 0 .. n - 1, unbiased */
/* splitmix64's finaliser of h + i * 0x9E3779B97F4A7C15. */
DEIT_INTERNAL uint64_t base_splitmix64(uint64_t h, uint64_t i);

/* ---- Processes --------------------------------------------------------------------------------------------------- */

/* Starts words[0..], NULL at the end, as posix_spawnp does, with no signal blocked. Returns 0 or an errno. */
DEIT_INTERNAL int base_spawn(pid_t *child, const char *program, const posix_spawn_file_actions_t *actions,
                             const char *const *words);

/* ---- Log, progress, cancelling ----------------------------------------------------------------------------------- */

typedef enum { BASE_LOG_INFO, BASE_LOG_WARNING } base_log_level;
/* Where a long call sends its lines and its progress, and how it is stopped. Any member may be NULL. A NULL
 * base_context * is allowed everywhere. Calls come from one thread at a time. */
typedef struct {
    void (*log)(void *user, base_log_level level, const char *line);
    /* what: a short name of the phase; done of total (total 0: unknown), in `unit`s ("images"); note: more to show, or
     * NULL. */
    void (*progress)(void *user, const char *what, double done, double total, const char *unit, const char *note);
    void *user;
    const volatile int *cancel; /* non-zero: stop soon, return BASE_CANCELLED */
} base_context;
DEIT_INTERNAL void base_log(const base_context *context, base_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
DEIT_INTERNAL void base_progress(const base_context *context, const char *what, double done, double total,
                                 const char *unit, const char *note);
DEIT_INTERNAL bool base_cancelled(const base_context *context);

/* ---- Hashes ------------------------------------------------------------------------------------------------------ */

DEIT_INTERNAL uint64_t base_fnv1a64(const void *data, size_t size);
/* Of a file: SHA-256 as 64 lower-case hex digits and NUL; MD5, of downloads whose authors state no better, as 32. Large
 * files show their progress, and can be stopped (BASE_CANCELLED). */
DEIT_INTERNAL base_status base_sha256_file(const char *path, const base_context *context, char hex[65]);
DEIT_INTERNAL base_status base_md5_file(const char *path, const base_context *context, char hex[33]);

/* ---- Time and the machine ---------------------------------------------------------------------------------------- */

DEIT_INTERNAL double base_now(void);     /* seconds, monotonic */
DEIT_INTERNAL double base_cpu_now(void); /* seconds that processors spent on this process */

typedef struct {
    char cpu[128];         /* the processor's name as the system gives it */
    unsigned signature;    /* family, model and stepping as CPUID packs them; 0 where there is no CPUID */
    int cores;             /* processors this process may run on: affinity, then the cgroup's quota rounded up */
    int online;            /* processors online in the machine */
    double quota;          /* the cgroup's CPU quota in processors; 0: none */
    uint64_t memory_total; /* bytes in the machine */
    uint64_t memory_limit; /* bytes the cgroup allows; 0: none */
    uint64_t memory_free;  /* bytes to plan with: 15 of 16 of MemAvailable and of what the cgroup has left */
    size_t l1d, l2, l3;    /* bytes of cache a core sees; 0 where unknown */
} base_machine;
DEIT_INTERNAL void base_machine_read(base_machine *machine);

/* ---- Numbers and names ------------------------------------------------------------------------------------------- */

/* Median, minimum, maximum and the 95% interval of the median (order statistics); sorts v in place. n >= 1. */
typedef struct {
    double median, min, max, low, high;
    int n;
} base_spread;
DEIT_INTERNAL base_spread base_spread_of(double *v, int n);

/* 1, 2 or 5 times a power of ten, so that about `parts` of it fill the range: between the lines of a chart. */
DEIT_INTERNAL double base_nice_step(double range, int parts);

/* The nearest of n names to `word` by edit distance, for "did you mean"; NULL if none is near (distance > 2 and > a
 * third of its length). */
DEIT_INTERNAL const char *base_nearest(const char *word, const char *const *names, int n);

#endif
