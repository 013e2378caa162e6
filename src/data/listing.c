/* What files a set has: a walk through a folder, an archive's index, or one pass through a compressed archive. */
#include "data/internal.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

DEIT_INTERNAL bool data_is_image(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *base = base_path_name(name), *dot = strrchr(base, '.');
    if (!dot || base[0] == '.') return false; /* "._x.jpg" is what some archivers leave beside x.jpg */
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot, endings[i])) return true;
    return false;
}

DEIT_INTERNAL bool data_is_tar(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot && !strcasecmp(dot, ".tar");
}

static base_status listing_add(data_set *set, const char *name, const store_entry *entry, int64_t rank) {
    if (set->count == set->capacity) {
        int64_t wanted = set->capacity ? 2 * set->capacity : 1024;
        data_item *grown = base_realloc(set->items, (size_t)wanted * sizeof *grown);
        if (!grown) return BASE_ERROR;
        set->items = grown, set->capacity = wanted;
    }
    char *copy = base_arena_printf(&set->arena, "%s", name);
    if (!copy) return BASE_ERROR;
    /* tar -P leaves names that begin with / */
    set->items[set->count++] =
        (data_item){.name = copy, .key = copy + strspn(copy, "/"), .entry = entry, .rank = rank, .label = -1};
    return BASE_OK;
}

static int listing_by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}
static int listing_not_hidden(const struct dirent *entry) {
    return entry->d_name[0] != '.' && strcmp(entry->d_name, "__MACOSX") != 0; /* what Macs put beside everything */
}

static base_status listing_note_empty(data_set *set, const char *name) {
    if (!(set->n_empty & (set->n_empty - 1))) { // 0 or a power of two: the list is full
        const char **grown = base_realloc(set->empty, (size_t)(set->n_empty ? 2 * set->n_empty : 1) * sizeof *grown);
        if (!grown) return BASE_ERROR;
        set->empty = grown;
    }
    return (set->empty[set->n_empty++] = base_arena_printf(&set->arena, "%s", name)) ? BASE_OK : BASE_ERROR;
}

/* inside: path below the set's folder, "" for itself. A folder with neither files nor folders that hold images is noted
 * as empty. */
static base_status listing_walk(data_set *set, const char *inside, int depth, const base_context *context) {
    enum { LISTING_DEPTH = 16 };
    char *path = *inside ? base_path_join(set->path, inside) : base_strdup(set->path);
    if (!path) return BASE_ERROR;
    struct dirent **names = NULL;
    int n = depth > LISTING_DEPTH ? 0 : scandir(path, &names, listing_not_hidden, listing_by_name);
    base_status status = n < 0 ? base_fail("%s: %s", path, strerror(errno)) : BASE_OK;
    if (depth > LISTING_DEPTH)
        status = base_fail("%s: more than %d folders deep: is there a link in a circle?", path, LISTING_DEPTH);
    int64_t before = set->count;
    int folders = 0;
    for (int i = 0; i < n; i++) {
        char *below = *inside ? base_path_join(inside, names[i]->d_name) : base_strdup(names[i]->d_name);
        char *full = below ? base_path_join(set->path, below) : NULL;
        struct stat info;
        if (!full)
            status = BASE_ERROR;
        else if (!status) {
            if (stat(full, &info)) info.st_mode = S_IFREG; /* a link to nothing: reading it says so */
            if (S_ISDIR(info.st_mode))
                folders++, status = listing_walk(set, below, depth + 1, context);
            else if (S_ISREG(info.st_mode) && data_is_image(below))
                status = listing_add(set, below, NULL, 0);
        }
        if (!status && base_cancelled(context))
            status = base_fail_as(BASE_CANCELLED, "stopped while listing %s", set->path);
        base_free(full), base_free(below), free(names[i]);
    }
    free(names);
    base_free(path);
    if (!status && *inside && !folders && set->count == before) status = listing_note_empty(set, inside);
    return status;
}

/* Whether a part of a path is hidden, ".x", or what Macs put beside everything. */
static bool listing_hidden(const char *path) {
    for (size_t n; *path; path += n, path += *path == '/') {
        n = strcspn(path, "/");
        bool dots = strspn(path, ".") == n; /* ".", ".." */
        if ((*path == '.' && !dots) || (n == 8 && !memcmp(path, "__MACOSX", 8))) return true;
    }
    return false;
}

/* The leading folders that all items are in: so long are their names. */
static size_t listing_leading(const data_set *set) {
    const char *first = set->count ? set->items[0].name : "", *end = strrchr(first, '/');
    size_t size = end ? (size_t)(end + 1 - first) : 0;
    for (int64_t i = 1; i < set->count; i++)
        while (size && strncmp(first, set->items[i].name, size) != 0)
            for (size--; size && first[size - 1] != '/';) size--;
    return size;
}

static int listing_by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Notes which of an archive's folders are empty. Sorted among the images, a folder stands right before what it holds.
 */
static base_status listing_archive_folders(data_set *set, const char *const *folders, size_t count) {
    size_t n = (size_t)set->count + count;
    const char **names = base_malloc((n + 1) * sizeof *names);
    if (!names) return BASE_ERROR;
    for (size_t i = 0; i < n; i++) names[i] = i < count ? folders[i] : set->items[i - count].name;
    qsort(names, n, sizeof *names, listing_by_text);
    names[n] = "";
    base_status status = BASE_OK;
    size_t leading = listing_leading(set);
    for (size_t i = 0; i < n && !status; i++) {
        size_t size = strlen(names[i]), common = set->count ? leading : 0;
        if (common && strncmp(names[i], set->items[0].name, common)) common = 0;
        if (names[i][size - 1] == '/' && !listing_hidden(names[i] + common) && strncmp(names[i], names[i + 1], size))
            status = listing_note_empty(set, names[i]);
    }
    base_free(names);
    return status;
}

/* What lies in hidden folders does not count, as in a folder that is walked; so below what all have in common. */
static void listing_drop_hidden(data_set *set) {
    size_t leading = listing_leading(set);
    int64_t kept = 0;
    for (int64_t i = 0; i < set->count; i++)
        if (!listing_hidden(set->items[i].name + leading)) set->items[kept++] = set->items[i];
    set->count = kept;
}

static int listing_by_key(const void *a, const void *b) {
    const data_item *x = *(data_item *const *)a, *y = *(data_item *const *)b;
    int order = strcmp(x->key, y->key);
    return order ? order : (x > y) - (x < y);
}
/* A file that an archive holds twice (tar --append, --update) counts once, as the last: so it is when unpacked. */
static base_status listing_keep_last(data_set *set, const base_context *context) {
    bool ascending = true;
    for (int64_t i = 1; i < set->count && ascending; i++)
        ascending = strcmp(set->items[i - 1].key, set->items[i].key) < 0;
    if (ascending) return BASE_OK;
    data_item **order = base_malloc((size_t)set->count * sizeof *order);
    if (!order) return BASE_ERROR;
    for (int64_t i = 0; i < set->count; i++) order[i] = &set->items[i];
    qsort(order, (size_t)set->count, sizeof *order, listing_by_key);
    for (int64_t i = 1; i < set->count; i++)
        if (!strcmp(order[i - 1]->key, order[i]->key)) order[i - 1]->name = NULL;
    base_free(order);
    int64_t kept = 0;
    for (int64_t i = 0; i < set->count; i++)
        if (set->items[i].name) set->items[kept++] = set->items[i];
    if (kept < set->count)
        base_log(context, BASE_LOG_WARNING,
                 "%s: pictures that stand in it more than once: %lld; the last of each counts", set->path,
                 (long long)(set->count - kept));
    set->count = kept;
    return BASE_OK;
}

/* What an archive lists, as it would be unpacked and walked; folders: the names of its folders. */
static base_status listing_clean(data_set *set, const char *const *folders, size_t count, const base_context *context) {
    listing_drop_hidden(set);
    BASE_TRY(listing_keep_last(set, context));
    return listing_archive_folders(set, folders, count);
}

static base_status listing_stream(data_set *set, const base_context *context) {
    store_stream *stream;
    BASE_TRY(store_stream_open(&stream, set->path));
    base_log(context, BASE_LOG_INFO, "%s: listing a compressed archive; a .tar or .zip opens at once", set->path);
    base_status status = BASE_OK;
    for (int64_t rank = 0; !status; rank++) {
        const char *name;
        uint64_t done, total;
        status = store_stream_next(stream, &name);
        if (status || !name) break;
        if (data_is_image(name)) status = listing_add(set, name, NULL, rank);
        store_stream_position(stream, &done, &total);
        if (rank % 256 == 0) base_progress(context, "list", (double)done, (double)total, "bytes", NULL);
        if (!status && base_cancelled(context))
            status = base_fail_as(BASE_CANCELLED, "stopped while listing %s", set->path);
    }
    size_t folders;
    const char *const *names = store_stream_folders(stream, &folders);
    if (!status) status = listing_clean(set, names, folders, context);
    store_stream_close(stream);
    return status;
}

/* A tar of tars (ILSVRC2012_img_train.tar): the class folder of a picture is called as the inner tar. Its entries are
 * read through the outer one: they lie in the same file. */
static base_status listing_inner(data_set *set, const store_entry *tar, const base_context *context) {
    store_archive *inner;
    char *folder = base_arena_printf(&set->arena, "%.*s/", (int)(strlen(tar->name) - 4), tar->name);
    if (!folder) return BASE_ERROR;
    BASE_TRY(store_archive_open_inside(&inner, set->archive, tar));
    base_status status = BASE_OK;
    int64_t before = set->count;
    for (size_t i = 0; i < store_archive_count(inner) && !status; i++) {
        const store_entry *entry = store_archive_at(inner, i);
        if (!data_is_image(entry->name)) continue;
        store_entry *copy = base_arena_alloc(&set->arena, sizeof *copy);
        char *name = base_arena_printf(&set->arena, "%s%s", folder, entry->name);
        if (!copy || !name) {
            status = BASE_ERROR;
            break;
        }
        *copy = *entry, copy->name = name;
        status = listing_add(set, name, copy, 0);
    }
    store_archive_close(inner);
    if (!status && set->count == before) status = listing_note_empty(set, folder);
    if (!status && base_cancelled(context))
        status = base_fail_as(BASE_CANCELLED, "stopped while listing %s", set->path);
    return status;
}

static base_status listing_tar_of_tars(data_set *set, const base_context *context) {
    size_t n = store_archive_count(set->archive);
    for (size_t i = 0; i < n; i++) {
        const store_entry *entry = store_archive_at(set->archive, i);
        if (!data_is_tar(entry->name)) continue;
        BASE_TRY(listing_inner(set, entry, context));
        base_progress(context, "index", (double)i, (double)n, "archives", NULL);
    }
    return BASE_OK;
}

static base_status listing_archive(data_set *set, const base_context *context) {
    BASE_TRY(store_archive_open(&set->archive, set->path, context));
    for (size_t i = 0; i < store_archive_count(set->archive); i++) {
        const store_entry *entry = store_archive_at(set->archive, i);
        if (data_is_image(entry->name)) BASE_TRY(listing_add(set, entry->name, entry, (int64_t)i));
    }
    if (!set->count) BASE_TRY(listing_tar_of_tars(set, context));
    size_t folders;
    const char *const *names = store_archive_folders(set->archive, &folders);
    return listing_clean(set, names, folders, context);
}

DEIT_INTERNAL base_status data_list(data_set *set, const base_context *context) {
    if (base_path_is_folder(set->path)) {
        set->kind = DATA_FOLDER;
        return listing_walk(set, "", 0, context);
    }
    store_archive_kind kind;
    BASE_TRY(store_archive_sniff(set->path, &kind));
    if (kind == STORE_ARCHIVE_NONE)
        return base_fail(
            "%s: neither a folder nor a tar or zip archive; give a folder of class folders, or an archive of one",
            set->path);
    set->kind = kind == STORE_ARCHIVE_RANDOM ? DATA_ARCHIVE : DATA_STREAM;
    return set->kind == DATA_STREAM ? listing_stream(set, context) : listing_archive(set, context);
}
