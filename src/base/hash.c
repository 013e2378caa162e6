/* hash: FNV-1a, and SHA-256 by nettle. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

DEIT_INTERNAL uint64_t base_fnv1a64(const void *data, size_t size) {
    const uint8_t *bytes = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

static void hash_hex(struct sha256_ctx *context, char hex[65]) {
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    for (int i = 0; i < SHA256_DIGEST_SIZE; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[64] = 0;
}

DEIT_INTERNAL void base_sha256(const void *data, size_t size, char hex[65]) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, data);
    hash_hex(&context, hex);
}

DEIT_INTERNAL base_status base_sha256_file(const char *path, char hex[65]) {
    enum { CHUNK = 1 << 18 };
    struct sha256_ctx context;
    hex[0] = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return base_fail("%s: cannot open: %s", path, strerror(errno));
    uint8_t *chunk = base_malloc(CHUNK);
    base_status status = chunk ? BASE_OK : BASE_ERROR;
    sha256_init(&context);
    while (!status) {
        ssize_t n = read(file, chunk, CHUNK);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) status = base_fail("%s: cannot read: %s", path, strerror(errno));
        if (n <= 0) break;
        sha256_update(&context, (size_t)n, chunk);
    }
    if (!status) hash_hex(&context, hex);
    base_free(chunk);
    close(file);
    return status;
}
