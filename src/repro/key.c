/* key: what a data set or another file is, wherever it lies and whenever it was fetched, for the keys of jobs. */
#include "data/data.h"
#include "repro/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static uint64_t key_of_ends(const char *path, int64_t size);

/* A file of a folder: its name, and of annotations, which say what the set is, what they hold. */
static uint64_t key_of_entry(const char *folder, const char *name) {
    static const char *const tells[] = {".json", ".mat", ".txt", ".csv"};
    uint64_t key = base_fnv1a64(name, strlen(name));
    const char *end = strrchr(name, '.');
    bool says = false;
    for (size_t i = 0; end && i < sizeof tells / sizeof *tells; i++) says |= !strcmp(end, tells[i]);
    char *path = says ? base_path_join(folder, name) : NULL;
    struct stat info;
    if (path && !stat(path, &info) && S_ISREG(info.st_mode))
        key ^= base_splitmix64((uint64_t)info.st_size, key_of_ends(path, info.st_size));
    base_free(path);
    return key;
}

static int key_not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* The names of all that a folder holds. */
static base_status key_of_folder(const char *path, int depth, uint64_t *key, const base_context *context) {
    enum { KEY_DEPTH = 16 };
    struct dirent **entries = NULL;
    base_status status = BASE_OK;
    *key = 0;
    if (depth > KEY_DEPTH)
        return base_fail("%s: more than %d folders deep: is there a link in a circle?", path, KEY_DEPTH);
    int n = scandir(path, &entries, key_not_hidden, alphasort);
    for (int i = 0; i < n; i++) {
        const struct dirent *entry = entries[i];
        struct stat inside;
        uint64_t one = key_of_entry(path, entry->d_name), below;
        char *name = status || entry->d_type == DT_REG ? NULL : base_path_join(path, entry->d_name);
        if (name && !stat(name, &inside) && S_ISDIR(inside.st_mode)) {
            status = key_of_folder(name, depth + 1, &below, context);
            one ^= base_splitmix64(below, 1);
        }
        *key += base_splitmix64(one, 0);
        if (!status && base_cancelled(context))
            status = base_fail_as(BASE_CANCELLED, "stopped while looking at %s", path);
        base_free(name);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* A file's first and last bytes: enough to tell another one of its name and size, at once even of 150 GB. */
static uint64_t key_of_ends(const char *path, int64_t size) {
    enum { PIECE = 64 << 10 };
    uint64_t key = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    char *piece = base_malloc(PIECE);
    for (int end = 0; end < 2 && piece && file >= 0; end++) {
        ssize_t n = pread(file, piece, PIECE, end && size > PIECE ? size - PIECE : 0);
        if (n > 0) key = base_splitmix64(base_fnv1a64(piece, (size_t)n), key);
    }
    if (file >= 0) close(file);
    base_free(piece);
    return key;
}

DEIT_INTERNAL const char *repro_file_key(base_arena *arena, const char *path, const base_context *context) {
    struct stat info;
    uint64_t key;
    if (stat(path, &info)) return path;
    const char *slash = strrchr(path, '/');
    bool folder = S_ISDIR(info.st_mode);
    if (!folder)
        key = key_of_ends(path, info.st_size);
    else if (key_of_folder(path, 0, &key, context))
        return NULL;
    return base_arena_printf(arena, "%s:%lld:%016llx", slash ? slash + 1 : path, folder ? 0LL : (long long)info.st_size,
                             (unsigned long long)key);
}

/* CRC-32 of a file's content; of a packed one it stands before the last four bytes. */
static uint32_t key_crc(const char *path) {
    enum { PIECE = 64 << 10 };
    size_t size = strlen(path);
    bool packed = size > 3 && !strcmp(path + size - 3, ".gz");
    int file = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *piece = base_malloc(PIECE), end[4] = {0};
    uLong crc = crc32(0, NULL, 0);
    if (file >= 0 && packed && lseek(file, -8, SEEK_END) >= 0 && read(file, end, 4) == 4)
        crc = end[0] | (uLong)end[1] << 8 | (uLong)end[2] << 16 | (uLong)end[3] << 24;
    ssize_t n;
    while (file >= 0 && !packed && piece && (n = read(file, piece, PIECE)) > 0) crc = crc32(crc, piece, (uInt)n);
    if (file >= 0) close(file);
    base_free(piece);
    return (uint32_t)crc;
}

DEIT_INTERNAL const char *repro_fashion_key(base_arena *arena, const char *path) {
    static const struct {
        const char *file;
        uint32_t crc;
    } parts[] = {{"t10k-images-idx3-ubyte", 0x678fe0b1},
                 {"t10k-labels-idx1-ubyte", 0x80142c1f},
                 {"train-images-idx3-ubyte", 0xb4f29f28},
                 {"train-labels-idx1-ubyte", 0x741a4657}};
    static const char name[] = "fashion-mnist";
    uint64_t others = 0;
    bool same = true;
    if (!strcmp(path, name) && !base_path_exists(path)) return name; /* Debian's: a folder goes before it */
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *file = base_arena_printf(arena, "%s/%s", path, parts[i].file);
        if (file && !base_path_exists(file)) file = base_arena_printf(arena, "%s.gz", file);
        uint32_t crc = file ? key_crc(file) : 0;
        same &= crc == parts[i].crc;
        others = base_splitmix64(others ^ crc, i);
    }
    return same ? name : base_arena_printf(arena, "%s:%016llx", name, (unsigned long long)others);
}
