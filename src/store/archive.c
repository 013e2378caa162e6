/* archive: an index of the files in a tar or zip, and random reads of them by pread. libarchive reads the tar's
 * headers; the data between them is skipped, so that indexing costs one small read an entry. */
#include "store/internal.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { ARCHIVE_BLOCK = 512 };

struct store_archive {
    int file;
    char *path;
    bool zip;
    uint64_t begin, end; // of the archive in the file: of the whole file, or of the entry it is
    base_arena arena;    // names
    store_entry *entries;
    size_t count, capacity;
    store_entry **sorted; // [count] by name
    const char **folders; // [folder_count]
    size_t folder_count, folder_capacity;
};

/* ---- Reading at a place ------------------------------------------------------------------------------------------ */

static base_status archive_pread(const store_archive *a, uint64_t offset, void *buffer, size_t size, const char *name) {
    for (uint8_t *to = buffer; size;) {
        ssize_t n = pread(a->file, to, size < (1u << 30) ? size : (1u << 30), (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return base_fail("%s: %s: cannot read: %s", a->path, name, strerror(errno));
        if (n == 0)
            return base_fail("%s: %s: the archive ends before it does: it is cut short; download it again", a->path,
                             name);
        to += n, offset += (uint64_t)n, size -= (size_t)n;
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status store_archive_sniff(const char *path, store_archive_kind *kind) {
    static const struct {
        const char *magic;
        size_t at, size;
        store_archive_kind kind;
    } known[] = {
        {"PK\3\4", 0, 4, STORE_ARCHIVE_RANDOM},
        {"PK\5\6", 0, 4, STORE_ARCHIVE_RANDOM},
        {"ustar", 257, 5, STORE_ARCHIVE_RANDOM},
        {"\x1f\x8b", 0, 2, STORE_ARCHIVE_STREAM},
        {"BZh", 0, 3, STORE_ARCHIVE_STREAM},
        {"\xfd"
         "7zXZ",
         0, 5, STORE_ARCHIVE_STREAM},
        {"\x28\xb5\x2f\xfd", 0, 4, STORE_ARCHIVE_STREAM},
    };
    uint8_t first[ARCHIVE_BLOCK] = {0};
    *kind = STORE_ARCHIVE_NONE;
    FILE *file = fopen(path, "rbe");
    if (!file) return base_fail("%s: cannot open: %s", path, strerror(errno));
    size_t n = fread(first, 1, sizeof first, file);
    bool bad = ferror(file);
    fclose(file);
    if (bad) return base_fail("%s: cannot read: is it a folder?", path);
    for (size_t i = 0; i < sizeof known / sizeof *known && !*kind; i++)
        if (n >= known[i].at + known[i].size && !memcmp(first + known[i].at, known[i].magic, known[i].size))
            *kind = known[i].kind;
    return BASE_OK;
}

/* ---- The index --------------------------------------------------------------------------------------------------- */

static const char *archive_plain_name(const char *name) {
    while (name[0] == '.' && name[1] == '/') name += 2 + strspn(name + 2, "/");
    return name;
}

static base_status archive_add(store_archive *a, const store_entry *entry, const char *name) {
    if (a->count == a->capacity) {
        size_t capacity = a->capacity * 2 + 64;
        store_entry *larger = base_realloc(a->entries, capacity * sizeof *larger);
        if (!larger) return BASE_ERROR;
        a->entries = larger, a->capacity = capacity;
    }
    store_entry *fresh = &a->entries[a->count];
    *fresh = *entry;
    if (!(fresh->name = base_arena_printf(&a->arena, "%s", archive_plain_name(name)))) return BASE_ERROR;
    a->count++;
    return BASE_OK;
}

/* Kept with one '/' at its end. */
static base_status archive_add_folder(store_archive *a, const char *name) {
    name = archive_plain_name(name);
    size_t n = strlen(name);
    while (n && name[n - 1] == '/') n--;
    if (!n || !strcmp(name, ".")) return BASE_OK;
    if (a->folder_count == a->folder_capacity) {
        size_t capacity = a->folder_capacity * 2 + 64;
        const char **larger = base_realloc(a->folders, capacity * sizeof *larger);
        if (!larger) return BASE_ERROR;
        a->folders = larger, a->folder_capacity = capacity;
    }
    const char **fresh = &a->folders[a->folder_count];
    if (!(*fresh = base_arena_printf(&a->arena, "%.*s/", (int)n, name))) return BASE_ERROR;
    a->folder_count++;
    return BASE_OK;
}

static int archive_compare(const void *x, const void *y) {
    return strcmp((*(store_entry *const *)x)->name, (*(store_entry *const *)y)->name);
}

static base_status archive_sort(store_archive *a) {
    if (!(a->sorted = base_malloc((a->count + 1) * sizeof *a->sorted))) return BASE_ERROR;
    for (size_t i = 0; i < a->count; i++) a->sorted[i] = &a->entries[i];
    qsort(a->sorted, a->count, sizeof *a->sorted, archive_compare);
    return BASE_OK;
}

/* libarchive's view of the file: small reads, and skips that cost nothing. */
typedef struct {
    const store_archive *archive;
    uint64_t at;
    uint8_t buffer[8 * ARCHIVE_BLOCK];
} archive_window;

static la_ssize_t archive_window_read(struct archive *reader, void *user, const void **data) {
    archive_window *w = user;
    uint64_t left = w->archive->end - w->at;
    size_t size = left < sizeof w->buffer ? left : sizeof w->buffer;
    *data = w->buffer;
    if (size && archive_pread(w->archive, w->at, w->buffer, size, "index")) {
        archive_set_error(reader, EIO, "%s", base_message());
        return -1;
    }
    w->at += size;
    return (la_ssize_t)size;
}

static la_int64_t archive_window_skip(struct archive *reader, void *user, la_int64_t request) {
    archive_window *w = user;
    uint64_t left = w->archive->end - w->at, skip = (uint64_t)request < left ? (uint64_t)request : left;
    (void)reader;
    w->at += skip;
    return (la_int64_t)skip;
}

/* Hard and symbolic links to files of the archive, resolved together once all names are known. */
typedef struct archive_link {
    size_t entry;
    const char *target; // the name of an entry
    struct archive_link *next;
} archive_link;

/* The name a symbolic link stands for: its text seen from its own folder. NULL if that lies outside the archive. */
static const char *archive_followed(base_arena *arena, const char *link, const char *text) {
    const char *slash = strrchr(link, '/');
    char *name = base_arena_printf(arena, "%.*s/%s", slash ? (int)(slash - link) : 0, link, text), *end = name;
    if (!name || *text == '/') return NULL;
    for (const char *part = name, *next; *part; part = next) { // end: of the name so far, which each part lengthens
        size_t n = strcspn(part, "/");
        next = part + n + strspn(part + n, "/");
        if (n == 0 || (n == 1 && *part == '.')) continue;
        if (n == 2 && !memcmp(part, "..", 2)) {
            if (end == name) return NULL;
            while (end > name && *--end != '/') {
            }
            continue;
        }
        if (end > name) *end++ = '/';
        memmove(end, part, n);
        end += n;
    }
    *end = 0;
    return name;
}

static base_status archive_note_link(store_archive *a, archive_link **links, const char *target) {
    archive_link *link = base_arena_alloc(&a->arena, sizeof *link);
    if (!link) return BASE_ERROR;
    *link = (archive_link){a->count, base_arena_printf(&a->arena, "%s", archive_plain_name(target)), *links};
    *links = link;
    return link->target ? BASE_OK : BASE_ERROR;
}

/* A link may lead to another: rounds, until one resolves nothing more. */
static base_status archive_resolve(store_archive *a, const archive_link *links) {
    const archive_link *left = NULL;
    for (bool any = links != NULL; any;) {
        any = false, left = NULL;
        for (const archive_link *link = links; link; link = link->next) {
            store_entry *entry = &a->entries[link->entry];
            const store_entry *target = store_archive_find(a, link->target);
            if (entry->offset > 0) continue;
            left = link;
            if (!target || target->offset == 0) continue;
            entry->size = target->size, entry->packed = target->packed, entry->offset = target->offset;
            any = true;
        }
    }
    if (!left) return BASE_OK;
    return base_fail("%s: %s is a link to %s, which is no file of the archive; pack it again with --dereference",
                     a->path, a->entries[left->entry].name, left->target);
}

/* Adds the entry whose header libarchive has just read. */
static base_status archive_add_tar(store_archive *a, struct archive *reader, struct archive_entry *entry,
                                   archive_link **links, uint64_t *end) {
    const char *name = archive_entry_pathname(entry), *target = archive_entry_hardlink(entry);
    uint64_t size = archive_entry_size_is_set(entry) ? (uint64_t)archive_entry_size(entry) : 0;
    uint64_t offset = a->begin + (uint64_t)archive_filter_bytes(reader, 0);
    if (!name) name = archive_entry_pathname_utf8(entry);
    if (!name) return base_fail("%s: the entry at byte %llu has no readable name", a->path, (unsigned long long)offset);
    if (size > 0) target = NULL; // pax may give a link its own data
    *end = offset + size;
    if (archive_entry_filetype(entry) == AE_IFDIR) return archive_add_folder(a, name);
    if (archive_entry_filetype(entry) == AE_IFLNK) {
        const char *text = archive_entry_symlink(entry);
        if (!text || !(target = archive_followed(&a->arena, archive_plain_name(name), text)))
            return base_fail("%s: %s is a link to %s, outside the archive; pack it again with --dereference", a->path,
                             name, text ? text : "nothing readable");
    }
    if (archive_entry_filetype(entry) != AE_IFREG && !target) return BASE_OK;
    if (archive_entry_sparse_count(entry) > 0)
        return base_fail("%s: %s is stored as a sparse file; pack it again without --sparse", a->path, name);
    if (size > a->end - (offset < a->end ? offset : a->end))
        return base_fail("%s: %s ends after the archive does: it is cut short; download it again", a->path, name);
    if (target) BASE_TRY(archive_note_link(a, links, target));
    return archive_add(a, &(store_entry){.size = size, .offset = target ? 0 : offset, .packed = size}, name);
}

/* A tar ends in blocks of zeros: without them it was cut short between two entries. */
static base_status archive_check_end(const store_archive *a, uint64_t end) {
    uint8_t block[ARCHIVE_BLOCK], any = 0;
    end = a->begin + (end - a->begin + ARCHIVE_BLOCK - 1) / ARCHIVE_BLOCK * ARCHIVE_BLOCK;
    if (end > a->end || a->end - end < ARCHIVE_BLOCK)
        return base_fail("%s: no end mark: the tar is cut short; download it again", a->path);
    BASE_TRY(archive_pread(a, end, block, sizeof block, "index"));
    for (int i = 0; i < ARCHIVE_BLOCK; i++) any |= block[i];
    return any ? base_fail("%s: damaged after byte %llu; download it again", a->path, (unsigned long long)end)
               : BASE_OK;
}

static base_status archive_scan(store_archive *a, struct archive *reader, archive_window *window, archive_link **links,
                                const base_context *context) {
    uint64_t end = a->begin;
    for (size_t i = 1;; i++) {
        struct archive_entry *entry;
        int word = archive_read_next_header(reader, &entry);
        if (word == ARCHIVE_EOF) return archive_check_end(a, end);
        if (word != ARCHIVE_OK && word != ARCHIVE_WARN) // a warning: a name that is not UTF-8
            return base_fail("%s: cannot read the tar after byte %llu: %s; if it is cut short, download it again",
                             a->path, (unsigned long long)end, archive_error_string(reader));
        BASE_TRY(archive_add_tar(a, reader, entry, links, &end));
        if (i % 1024 == 0) {
            base_progress(context, "index", (double)(window->at - a->begin), (double)(a->end - a->begin), "bytes",
                          NULL);
            if (base_cancelled(context)) return base_fail_as(BASE_CANCELLED, "%s: stopped while indexing", a->path);
        }
    }
}

static base_status archive_index_tar(store_archive *a, const base_context *context) {
    archive_window *window = base_malloc(sizeof *window);
    if (!window) return BASE_ERROR;
    window->archive = a, window->at = a->begin;
    struct archive *reader = archive_read_new();
    archive_link *links = NULL;
    base_status status = BASE_OK;
    if (!reader || archive_read_support_format_tar(reader) != ARCHIVE_OK ||
        archive_read_set_read_callback(reader, archive_window_read) != ARCHIVE_OK ||
        archive_read_set_skip_callback(reader, archive_window_skip) != ARCHIVE_OK ||
        archive_read_set_callback_data(reader, window) != ARCHIVE_OK)
        status = base_fail("%s: cannot set libarchive up: out of memory", a->path);
    else if (archive_read_open1(reader) != ARCHIVE_OK)
        status = base_fail("%s: %s; a tar or zip is expected", a->path, archive_error_string(reader));
    if (!status) status = archive_scan(a, reader, window, &links, context);
    if (reader) archive_read_free(reader);
    base_free(window);
    if (!status) status = archive_sort(a);
    return status ? status : archive_resolve(a, links);
}

static base_status archive_index_zip(store_archive *a) {
    base_mapping mapping;
    store_zip_entry *entries = NULL;
    size_t count = 0;
    BASE_TRY(base_map_file(&mapping, a->path));
    base_status status = store_zip_directory(mapping.data, mapping.size, a->path, &a->arena, &entries, &count);
    for (size_t i = 0; i < count && !status; i++) {
        const store_zip_entry *e = &entries[i];
        size_t n = strlen(e->name);
        if (n == 0) continue;
        if (e->name[n - 1] == '/')
            status = archive_add_folder(a, e->name);
        else if (e->encrypted || (e->method != 0 && e->method != 8))
            status = base_fail("%s: %s is %s; pack it again, stored or deflated", a->path, e->name,
                               e->encrypted ? "encrypted" : "compressed in a rare way");
        else
            status = archive_add(a,
                                 &(store_entry){.size = e->size,
                                                .offset = e->header,
                                                .packed = e->packed,
                                                .crc = e->crc,
                                                .deflated = e->method == 8},
                                 e->name);
    }
    base_free(entries);
    base_unmap_file(&mapping);
    return status ? status : archive_sort(a);
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static base_status archive_open_file(store_archive *a, const char *path) {
    struct stat about;
    if (!(a->path = base_strdup(path))) return BASE_ERROR;
    a->file = open(path, O_RDONLY | O_CLOEXEC);
    if (a->file < 0 || fstat(a->file, &about)) return base_fail("%s: cannot open: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode)) return base_fail("%s: is not a regular file", path);
    if (about.st_size == 0) return base_fail("%s: the file is empty; download it again", path);
    a->end = (uint64_t)about.st_size;
    return BASE_OK;
}

DEIT_INTERNAL base_status store_archive_open(store_archive **out, const char *path, const base_context *context) {
    uint8_t magic[4] = {0};
    *out = NULL;
    store_archive *a = base_calloc(1, sizeof *a);
    if (!a) return BASE_ERROR;
    a->file = -1;
    base_status status = archive_open_file(a, path);
    if (!status && a->end >= sizeof magic) status = archive_pread(a, 0, magic, sizeof magic, "index");
    if (!status) {
        a->zip = !memcmp(magic, "PK\3\4", 4) || !memcmp(magic, "PK\5\6", 4);
        status = a->zip ? archive_index_zip(a) : archive_index_tar(a, context);
    }
    if (status)
        store_archive_close(a);
    else
        *out = a;
    return status;
}

DEIT_INTERNAL base_status store_archive_open_inside(store_archive **out, const store_archive *outer,
                                                    const store_entry *entry) {
    *out = NULL;
    if (outer->zip)
        return base_fail("%s: %s: an archive in a zip cannot be read in place; unpack it", outer->path, entry->name);
    store_archive *a = base_calloc(1, sizeof *a);
    if (!a) return BASE_ERROR;
    base_status status = BASE_OK;
    size_t size = strlen(outer->path) + strlen(entry->name) + 2;
    a->begin = entry->offset, a->end = entry->offset + entry->size;
    a->file = fcntl(outer->file, F_DUPFD_CLOEXEC, 0);
    a->path = base_malloc(size);
    if (!a->path)
        status = BASE_ERROR;
    else
        snprintf(a->path, size, "%s/%s", outer->path, entry->name);
    if (!status && a->file < 0) status = base_fail("%s: cannot open: %s", a->path, strerror(errno));
    if (!status) status = archive_index_tar(a, NULL);
    if (status)
        store_archive_close(a);
    else
        *out = a;
    return status;
}

DEIT_INTERNAL void store_archive_close(store_archive *a) {
    if (!a) return;
    if (a->file >= 0) close(a->file);
    base_free(a->path);
    base_free(a->entries);
    base_free(a->sorted);
    base_free(a->folders);
    base_arena_free(&a->arena);
    base_free(a);
}

DEIT_INTERNAL size_t store_archive_count(const store_archive *a) {
    return a->count;
}
DEIT_INTERNAL const store_entry *store_archive_at(const store_archive *a, size_t i) {
    return &a->entries[i];
}

DEIT_INTERNAL const char *const *store_archive_folders(const store_archive *a, size_t *count) {
    *count = a->folder_count;
    return a->folders;
}

DEIT_INTERNAL const store_entry *store_archive_find(const store_archive *a, const char *name) {
    store_entry key = {.name = name}, *wanted = &key;
    store_entry **found = a->count ? bsearch(&wanted, a->sorted, a->count, sizeof *a->sorted, archive_compare) : NULL;
    return found ? *found : NULL;
}

/* ---- Reading an entry -------------------------------------------------------------------------------------------- */

static base_status archive_inflate(const store_archive *a, const store_entry *entry, uint64_t begin, void *buffer) {
    void *packed = base_malloc(entry->packed);
    if (!packed) return BASE_ERROR;
    base_status status = archive_pread(a, begin, packed, entry->packed, entry->name);
    if (!status) status = store_inflate(packed, entry->packed, 0, buffer, entry->size, a->path, entry->name);
    base_free(packed);
    return status;
}

static uint32_t archive_crc(const uint8_t *data, size_t size) {
    uLong crc = crc32(0, NULL, 0);
    for (size_t n; size; data += n, size -= n) {
        n = size < (1u << 30) ? size : (1u << 30);
        crc = crc32(crc, data, (uInt)n);
    }
    return (uint32_t)crc;
}

DEIT_INTERNAL base_status store_archive_read(const store_archive *a, const store_entry *entry, void *buffer) {
    if (!a->zip) return archive_pread(a, entry->offset, buffer, entry->size, entry->name);
    uint8_t local[STORE_ZIP_LOCAL];
    uint64_t begin;
    store_zip_entry header = {.name = entry->name, .header = entry->offset, .packed = entry->packed};
    BASE_TRY(archive_pread(a, entry->offset, local, sizeof local, entry->name));
    BASE_TRY(store_zip_begin(local, a->end, a->path, &header, &begin));
    if (entry->deflated)
        BASE_TRY(archive_inflate(a, entry, begin, buffer));
    else
        BASE_TRY(archive_pread(a, begin, buffer, entry->size, entry->name));
    if (archive_crc(buffer, entry->size) != entry->crc)
        return base_fail("%s: %s: its checksum is wrong: the archive is damaged; download it again", a->path,
                         entry->name);
    return BASE_OK;
}
