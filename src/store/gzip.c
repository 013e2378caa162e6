/* gzip: a single file, compressed or not, as a whole. */
#include "store/internal.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

static base_status gzip_read(gzFile file, const char *path, size_t limit, base_text *text) {
    char piece[1 << 16];
    for (int error, n; (n = gzread(file, piece, sizeof piece)) != 0;) {
        if (n < 0) return base_fail("%s: damaged: %s; download it again", path, gzerror(file, &error));
        if ((size_t)n > limit - text->size)
            return base_fail("%s: holds more than the %zu bytes such a file may have", path, limit);
        base_text_add(text, piece, (size_t)n);
        if (text->failed) return BASE_ERROR;
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status store_read_gzip(const char *path, size_t limit, uint8_t **data, size_t *size) {
    base_text text = {0};
    *data = NULL, *size = 0;
    if (base_path_is_folder(path)) return base_fail("%s: is a folder, a file was expected", path);
    gzFile file = gzopen(path, "rb");
    if (!file) return base_fail("%s: cannot open: %s", path, strerror(errno));
    base_status status = gzip_read(file, path, limit, &text);
    bool whole = gzclose_r(file) == Z_OK; /* a cut file ends like a whole one, but for this */
    if (!status && !whole) status = base_fail("%s: cut short; download it again", path);
    if (status)
        base_text_free(&text);
    else
        *data = (uint8_t *)text.data, *size = text.size;
    return status;
}
