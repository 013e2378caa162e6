/* stream: a tar read from front to back, decompressed on the way by libarchive; by zlib from gzip, whose checksum
 * libarchive does not look at. */
#include "store/internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { STREAM_PIECE = 1 << 20, STREAM_LARGEST = 1 << 30, STREAM_BLOCK = 512 };

struct store_stream {
    struct archive *reader;
    gzFile gzip;    // NULL: libarchive reads the file itself
    uint8_t *piece; // [STREAM_PIECE] of what gzip unfolds
    char *path, *name;
    uint64_t total, end; // bytes of the file; where the present entry ends, decompressed
    base_text data;
    bool taken; // the present entry's data
    base_arena arena;
    char **folders; // those passed, each with '/' at its end, in the arena
    size_t n_folders, room;
};

static base_status stream_fail(const store_stream *s, const char *what) {
    const char *why = archive_error_string(s->reader);
    return base_fail("%s: %s: %s; if it is cut short, download it again", s->path, what, why ? why : "unknown error");
}

static la_ssize_t stream_read_gzip(struct archive *reader, void *user, const void **data) {
    store_stream *s = user;
    int n = gzread(s->gzip, s->piece, STREAM_PIECE), error;
    *data = s->piece;
    if (n < 0) archive_set_error(reader, EIO, "%s", gzerror(s->gzip, &error));
    return n < 0 ? ARCHIVE_FATAL : n;
}

static base_status stream_open_gzip(store_stream *s, bool *gzip) {
    if (!(s->gzip = gzopen(s->path, "rb"))) return base_fail("%s: cannot open: %s", s->path, strerror(errno));
    *gzip = !gzdirect(s->gzip);
    if (*gzip) return (s->piece = base_malloc(STREAM_PIECE)) ? BASE_OK : BASE_ERROR;
    gzclose_r(s->gzip);
    s->gzip = NULL;
    return BASE_OK;
}

/* What gzip holds behind the tar's end mark, and the checksum of all. */
static base_status stream_end_gzip(store_stream *s) {
    int n, error;
    while ((n = gzread(s->gzip, s->piece, STREAM_PIECE)) > 0) {
    }
    bool bad = n < 0 || gzerror(s->gzip, &error) == NULL || error < 0;
    return bad ? base_fail("%s: damaged: %s; download it again", s->path, gzerror(s->gzip, &error)) : BASE_OK;
}

static base_status stream_start(store_stream *s, const char *path) {
    struct stat about;
    if (!(s->path = base_strdup(path))) return BASE_ERROR;
    if (!(s->reader = archive_read_new())) return base_fail("%s: cannot set libarchive up: out of memory", path);
    // The formats one by one: those of "all" bring libraries this program does not carry.
    if (archive_read_support_format_tar(s->reader) != ARCHIVE_OK ||
        archive_read_support_filter_bzip2(s->reader) != ARCHIVE_OK ||
        archive_read_support_filter_xz(s->reader) != ARCHIVE_OK ||
        archive_read_support_filter_zstd(s->reader) != ARCHIVE_OK)
        return stream_fail(s, "cannot set libarchive up");
    if (base_path_is_folder(path)) return base_fail("%s: is a folder, a tar was expected", path);
    bool gzip;
    BASE_TRY(stream_open_gzip(s, &gzip));
    if ((gzip ? archive_read_open(s->reader, s, NULL, stream_read_gzip, NULL)
              : archive_read_open_filename(s->reader, path, STREAM_PIECE)) != ARCHIVE_OK)
        return stream_fail(s, "cannot read it as a tar");
    s->total = stat(path, &about) ? 0 : (uint64_t)about.st_size;
    return BASE_OK;
}

DEIT_INTERNAL base_status store_stream_open(store_stream **out, const char *path) {
    *out = NULL;
    store_stream *s = base_calloc(1, sizeof *s);
    if (!s) return BASE_ERROR;
    base_status status = stream_start(s, path);
    if (status)
        store_stream_close(s);
    else
        *out = s;
    return status;
}

/* A tar ends in a block of zeros, which libarchive has read past if it is there. */
static base_status stream_check_end(store_stream *s) {
    uint64_t end = (s->end + STREAM_BLOCK - 1) / STREAM_BLOCK * STREAM_BLOCK;
    if ((uint64_t)archive_filter_bytes(s->reader, 0) < end + STREAM_BLOCK)
        return base_fail("%s: no end mark: the tar is cut short; download it again", s->path);
    return s->gzip ? stream_end_gzip(s) : BASE_OK;
}

static const char *stream_inside(const char *path) {
    while (path[0] == '.' && path[1] == '/') path += 2 + strspn(path + 2, "/");
    return path;
}

static base_status stream_note_folder(store_stream *s, const char *path) {
    path = path ? stream_inside(path) : "";
    if (!*path || !strcmp(path, ".")) return BASE_OK;
    if (s->n_folders == s->room) {
        size_t room = s->room ? 2 * s->room : 64;
        char **grown = base_realloc(s->folders, room * sizeof *grown);
        if (!grown) return BASE_ERROR;
        s->folders = grown, s->room = room;
    }
    char *name = base_arena_printf(&s->arena, path[strlen(path) - 1] == '/' ? "%s" : "%s/", path);
    if (!name) return BASE_ERROR;
    s->folders[s->n_folders++] = name;
    return BASE_OK;
}

DEIT_INTERNAL const char *const *store_stream_folders(const store_stream *s, size_t *count) {
    *count = s->n_folders;
    return (const char *const *)s->folders;
}

DEIT_INTERNAL base_status store_stream_next(store_stream *s, const char **name) {
    struct archive_entry *entry;
    *name = NULL;
    base_free(s->name);
    s->name = NULL;
    for (;;) {
        int word = archive_read_next_header(s->reader, &entry);
        if (word == ARCHIVE_EOF) return stream_check_end(s);
        if (word != ARCHIVE_OK && word != ARCHIVE_WARN) return stream_fail(s, "cannot read the tar");
        uint64_t size = archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0;
        s->end = (uint64_t)archive_filter_bytes(s->reader, 0) + size;
        const char *target = archive_entry_hardlink(entry);
        if (target && size == 0)
            return base_fail(
                "%s: an entry is a hard link to %s, which cannot be read in sequence; pack the tar again with "
                "--hard-dereference",
                s->path, target);
        if (archive_entry_filetype(entry) == AE_IFLNK)
            return base_fail("%s: an entry is a symbolic link to %s; pack the tar again with --dereference, or without "
                             "the link",
                             s->path, archive_entry_symlink(entry));
        if (archive_entry_sparse_count(entry) > 0)
            return base_fail("%s: an entry is stored as a sparse file: %s; pack the tar again without --sparse",
                             s->path, archive_entry_pathname(entry) ? archive_entry_pathname(entry) : "");
        if (archive_entry_filetype(entry) == AE_IFREG) break;
        if (archive_entry_filetype(entry) == AE_IFDIR) BASE_TRY(stream_note_folder(s, archive_entry_pathname(entry)));
    }
    const char *path = archive_entry_pathname(entry);
    if (!path) path = archive_entry_pathname_utf8(entry);
    if (!path) return base_fail("%s: an entry has no readable name", s->path);
    if (!(s->name = base_strdup(stream_inside(path)))) return BASE_ERROR;
    s->taken = false;
    *name = s->name;
    return BASE_OK;
}

/* The size in the header is a claim: the buffer grows with the data that really comes. */
DEIT_INTERNAL base_status store_stream_data(store_stream *s, const uint8_t **data, size_t *size) {
    *data = NULL, *size = 0;
    if (!s->name || s->taken) return base_fail("%s: no file to read", s->path);
    s->taken = true;
    s->data.size = 0;
    for (;;) {
        const void *piece;
        size_t n;
        la_int64_t offset;
        int word = archive_read_data_block(s->reader, &piece, &n, &offset);
        if (word == ARCHIVE_EOF) break;
        if (word != ARCHIVE_OK && word != ARCHIVE_WARN) return stream_fail(s, s->name);
        if ((uint64_t)offset != s->data.size)
            return base_fail("%s: %s is stored as a sparse file; pack it again", s->path, s->name);
        if (n > STREAM_LARGEST - s->data.size) return base_fail("%s: %s is larger than 1 GiB", s->path, s->name);
        base_text_add(&s->data, piece, n);
        if (s->data.failed) return BASE_ERROR;
    }
    *data = (const uint8_t *)s->data.data, *size = s->data.size;
    return BASE_OK;
}

DEIT_INTERNAL void store_stream_position(const store_stream *s, uint64_t *done, uint64_t *total) {
    *done = s->gzip ? (uint64_t)gzoffset(s->gzip) : (uint64_t)archive_filter_bytes(s->reader, -1);
    *total = s->total;
}

DEIT_INTERNAL void store_stream_close(store_stream *s) {
    if (!s) return;
    if (s->reader) archive_read_free(s->reader);
    if (s->gzip) gzclose_r(s->gzip);
    base_free(s->piece);
    base_free(s->path);
    base_free(s->name);
    base_text_free(&s->data);
    base_free(s->folders);
    base_arena_free(&s->arena);
    base_free(s);
}
