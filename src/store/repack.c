/* repack: a compressed tar written anew without compression, so that it can be read at random. */
#include "store/internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>

typedef struct {
    struct archive *writer;
    base_output *output;
    base_status status; /* of the output: its message stands */
} repack;

static la_ssize_t repack_write(struct archive *writer, void *user, const void *data, size_t size) {
    repack *r = user;
    if (!r->status) r->status = base_output_write(r->output, data, size);
    if (!r->status) return (la_ssize_t)size;
    archive_set_error(writer, EIO, "the output failed");
    return -1;
}

static base_status repack_fail(const repack *r, const char *name) {
    if (r->status) return r->status;
    const char *why = archive_error_string(r->writer);
    return base_fail("%s: cannot be packed: %s", name, why ? why : "unknown error");
}

/* data NULL: a folder. */
static base_status repack_entry(repack *r, const char *name, const uint8_t *data, size_t size) {
    struct archive_entry *entry = archive_entry_new();
    if (!entry) return base_fail("%s: cannot be packed: out of memory", name);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, data ? AE_IFREG : AE_IFDIR);
    archive_entry_set_perm(entry, data ? 0644 : 0755);
    archive_entry_set_size(entry, (la_int64_t)size);
    base_status status = BASE_OK;
    if (archive_write_header(r->writer, entry) != ARCHIVE_OK ||
        (size && archive_write_data(r->writer, data, size) != (la_ssize_t)size))
        status = repack_fail(r, name);
    archive_entry_free(entry);
    return status;
}

static base_status repack_all(repack *r, store_stream *stream, const char *from, const base_context *context) {
    const uint8_t *data;
    const char *name;
    size_t size;
    for (;;) {
        uint64_t done, total;
        BASE_TRY(store_stream_next(stream, &name));
        if (!name) break;
        BASE_TRY(store_stream_data(stream, &data, &size));
        BASE_TRY(repack_entry(r, name, data ? data : (const uint8_t *)"", size));
        store_stream_position(stream, &done, &total);
        base_progress(context, "pack", (double)done, (double)total, "bytes", NULL);
        if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "stopped while packing %s", from);
    }
    // folders too: one of a class without pictures would be missed
    size_t n;
    const char *const *folders = store_stream_folders(stream, &n);
    for (size_t i = 0; i < n; i++) BASE_TRY(repack_entry(r, folders[i], NULL, 0));
    return archive_write_close(r->writer) == ARCHIVE_OK ? BASE_OK : repack_fail(r, from);
}

static base_status repack_open(repack *r, const char *to) {
    if (!(r->writer = archive_write_new())) return base_fail("%s: cannot set libarchive up: out of memory", to);
    // GNU's format holds long names and large files, and names as they are, whatever they are written in.
    if (archive_write_set_format_gnutar(r->writer) != ARCHIVE_OK ||
        archive_write_open(r->writer, r, NULL, repack_write, NULL) != ARCHIVE_OK)
        return repack_fail(r, to);
    return BASE_OK;
}

DEIT_INTERNAL base_status store_repack(const char *from, const char *to, const base_context *context) {
    repack r = {0};
    store_stream *stream;
    store_archive_kind kind;
    BASE_TRY(store_archive_sniff(from, &kind));
    if (kind != STORE_ARCHIVE_STREAM)
        return base_fail_as(BASE_USAGE, "%s: not a compressed tar; %s", from,
                            kind == STORE_ARCHIVE_RANDOM ? "it can be used as it is"
                                                         : "expected a .tar.gz or the like");
    BASE_TRY(store_stream_open(&stream, from));
    base_status status = base_output_open(&r.output, to);
    if (!status) status = repack_open(&r, to);
    if (!status) status = repack_all(&r, stream, from, context);
    if (r.writer) archive_write_free(r.writer);
    store_stream_close(stream);
    if (!status) return base_output_commit(r.output);
    base_output_abort(r.output);
    return status;
}
