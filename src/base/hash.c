/* hash: FNV-1a, and SHA-256 and MD5 by nettle. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/md5.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha2.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

DEIT_INTERNAL uint64_t base_fnv1a64(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

typedef union {
    struct sha256_ctx sha256;
    struct md5_ctx md5;
} hash_context;

/* hex: [2 digest bytes + 1] */
static void hash_hex(const struct nettle_hash *kind, hash_context *context, char *hex) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    kind->digest(context, kind->digest_size, digest);
    for (unsigned i = 0; i < kind->digest_size; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[2 * kind->digest_size] = 0;
}

static base_status hash_file(const struct nettle_hash *kind, const char *path, const base_context *watcher, char *hex) {
    enum { CHUNK = 1 << 18, LARGE = 1 << 26 }; // of a large file the progress is worth showing
    hash_context context;
    struct stat info;
    double done = 0;
    hex[0] = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return base_fail("%s: cannot open: %s", path, strerror(errno));
    bool large = !fstat(file, &info) && info.st_size >= LARGE;
    uint8_t *chunk = base_malloc(CHUNK);
    base_status status = chunk ? BASE_OK : BASE_ERROR;
    kind->init(&context);
    while (!status) {
        ssize_t n = read(file, chunk, CHUNK);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = base_fail("%s: cannot read: %s", path, strerror(errno));
        if (n <= 0) break;
        kind->update(&context, (size_t)n, chunk);
        done += (double)n;
        if (large) base_progress(watcher, "checksum", done, (double)info.st_size, "bytes", NULL);
        if (base_cancelled(watcher)) status = base_fail_as(BASE_CANCELLED, "stopped while reading %s", path);
    }
    if (!status) hash_hex(kind, &context, hex);
    base_free(chunk);
    close(file);
    return status;
}

DEIT_INTERNAL base_status base_sha256_file(const char *path, const base_context *context, char hex[65]) {
    return hash_file(&nettle_sha256, path, context, hex);
}

DEIT_INTERNAL base_status base_md5_file(const char *path, const base_context *context, char hex[33]) {
    return hash_file(&nettle_md5, path, context, hex);
}
