/* file: whole files in and out, mappings, outputs that appear only when complete, paths. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BUFFER = 1 << 18 };

static base_status file_open(const char *path, int *file, struct stat *about) {
    *file = open(path, O_RDONLY | O_CLOEXEC);
    if (*file < 0) return base_fail("%s: cannot open: %s", path, strerror(errno));
    if (fstat(*file, about)) {
        int error = errno;
        close(*file);
        return base_fail("%s: cannot read: %s", path, strerror(error));
    }
    if (S_ISDIR(about->st_mode)) {
        close(*file);
        return base_fail("%s: is a folder, a file was expected", path);
    }
    return BASE_OK;
}

/* Reads until the buffer is full or the file ends; *got says how much. */
static base_status file_fill(int file, const char *path, char *buffer, size_t size, size_t *got) {
    *got = 0;
    while (*got < size) {
        size_t want = size - *got;
        ssize_t n = read(file, buffer + *got, want < (1u << 30) ? want : (1u << 30));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return base_fail("%s: cannot read: %s", path, strerror(errno));
        if (n == 0) break;
        *got += (size_t)n;
    }
    return BASE_OK;
}

/* Pipes do not tell their size, and /proc says 0: so the buffer grows until the end is seen. */
static base_status file_read_all(int file, const char *path, size_t expected, size_t limit, char **data, size_t *size) {
    size_t capacity = expected + 2, used = 0;
    char *buffer = base_malloc(capacity);
    if (!buffer) return BASE_ERROR;
    for (;;) {
        size_t got;
        base_status status = file_fill(file, path, buffer + used, capacity - 1 - used, &got);
        used += got;
        if (!status && limit && used > limit)
            status = base_fail("%s: more than the %zu bytes such a file may have", path, limit);
        if (status) {
            base_free(buffer);
            return status;
        }
        if (used < capacity - 1) break;
        char *larger = base_realloc(buffer, capacity = capacity * 2 + 4096);
        if (!larger) {
            base_free(buffer);
            return BASE_ERROR;
        }
        buffer = larger;
    }
    buffer[used] = 0;
    *data = buffer, *size = used;
    return BASE_OK;
}

DEIT_INTERNAL base_status base_read_file(const char *path, size_t limit, char **data, size_t *size) {
    int file;
    struct stat about;
    *data = NULL, *size = 0;
    BASE_TRY(file_open(path, &file, &about));
    size_t expected = S_ISREG(about.st_mode) ? (size_t)about.st_size : 0;
    base_status status = BASE_OK;
    if (limit && expected > limit)
        status = base_fail("%s: %zu bytes, more than the %zu such a file may have", path, expected, limit);
    else
        status = file_read_all(file, path, expected, limit, data, size);
    close(file);
    return status;
}

DEIT_INTERNAL base_status base_map_file(base_mapping *mapping, const char *path) {
    int file;
    struct stat about;
    *mapping = (base_mapping){0};
    BASE_TRY(file_open(path, &file, &about));
    base_status status = BASE_OK;
    if (!S_ISREG(about.st_mode)) {
        status = base_fail("%s: is not a regular file, so it cannot be mapped; copy it to a file first", path);
    } else if (about.st_size > 0) {
        void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED)
            status = base_fail("%s: cannot map %lld bytes: %s", path, (long long)about.st_size, strerror(errno));
        else
            mapping->data = data, mapping->size = (size_t)about.st_size;
    }
    close(file);
    return status;
}

DEIT_INTERNAL void base_unmap_file(base_mapping *mapping) {
    if (mapping->data) munmap((void *)mapping->data, mapping->size);
    *mapping = (base_mapping){0};
}

DEIT_INTERNAL void base_forget_pages(const base_mapping *mapping, const void *at, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), begin = (size_t)((const uint8_t *)at - mapping->data);
    size_t first = begin / page * page;
    madvise((uint8_t *)mapping->data + first, begin + size - first, MADV_DONTNEED);
}

/* ---- Outputs ----------------------------------------------------------------------------------------------------- */

struct base_output {
    int file;
    char *path;   // as the caller named it, for messages
    char *final;  // what to rename to (links resolved); NULL when written in place
    char *beside; // the file being written; NULL when written in place
    size_t used;
    bool failed;
    char buffer[FILE_BUFFER];
};

/* Makes "path.<pid>-<n>.part", a name nobody else uses. */
static base_status file_open_beside(base_output *output, mode_t mode) {
    size_t size = strlen(output->final) + 48;
    output->beside = base_malloc(size);
    if (!output->beside) return BASE_ERROR;
    for (unsigned n = 0; n < 1000; n++) {
        snprintf(output->beside, size, "%s.%ld-%u.part", output->final, (long)getpid(), n);
        output->file = open(output->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (output->file >= 0) return BASE_OK;
        if (errno != EEXIST) break;
    }
    int error = errno;
    base_free(output->beside);
    output->beside = NULL;
    return base_fail("%s: cannot write there: %s", output->path, strerror(error));
}

static base_status file_open_output(base_output *output, const char *path) {
    struct stat about;
    if (!(output->path = base_strdup(path))) return BASE_ERROR;
    if (!strcmp(path, "-")) {
        fflush(stdout);
        output->file = dup(STDOUT_FILENO);
        return output->file < 0 ? base_fail("standard output: %s", strerror(errno)) : BASE_OK;
    }
    bool exists = !stat(path, &about);
    if (exists && S_ISDIR(about.st_mode)) return base_fail("%s: is a folder, a file name was expected", path);
    if (exists && !S_ISREG(about.st_mode)) {
        output->file = open(path, O_WRONLY | O_CLOEXEC);
        return output->file < 0 ? base_fail("%s: cannot write: %s", path, strerror(errno)) : BASE_OK;
    }
    char resolved[PATH_MAX]; // a link stays a link: its target is what is replaced
    if (!(output->final = base_strdup(exists && realpath(path, resolved) ? resolved : path))) return BASE_ERROR;
    if (exists && access(path, W_OK)) return base_fail("%s: cannot write: %s", path, strerror(errno));
    return file_open_beside(output, exists ? about.st_mode & 0777 : 0666);
}

static void file_free_output(base_output *output) {
    if (output->file >= 0) close(output->file);
    base_free(output->path);
    base_free(output->final);
    base_free(output->beside);
    base_free(output);
}

DEIT_INTERNAL base_status base_output_open(base_output **output, const char *path) {
    *output = NULL;
    base_output *fresh = base_malloc(sizeof *fresh);
    if (!fresh) return BASE_ERROR;
    memset(fresh, 0, offsetof(base_output, buffer));
    fresh->file = -1;
    base_status status = file_open_output(fresh, path);
    if (status)
        file_free_output(fresh);
    else
        *output = fresh;
    return status;
}

DEIT_INTERNAL base_status base_write_all(int file, const char *path, const void *data, size_t size) {
    for (const char *at = data; size;) {
        ssize_t n = write(file, at, size < (1u << 30) ? size : (1u << 30));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return base_fail("%s: cannot write: %s", path, strerror(errno));
        at += n, size -= (size_t)n;
    }
    return BASE_OK;
}

static base_status file_write(base_output *output, const void *data, size_t size) {
    base_status status = base_write_all(output->file, output->path, data, size);
    if (status) output->failed = true;
    return status;
}

static base_status file_flush(base_output *output) {
    size_t used = output->used;
    output->used = 0;
    return file_write(output, output->buffer, used);
}

DEIT_INTERNAL base_status base_output_write(base_output *output, const void *data, size_t size) {
    if (output->failed) return BASE_ERROR; // the message stands
    if (size > FILE_BUFFER - output->used) BASE_TRY(file_flush(output));
    if (size > FILE_BUFFER) return file_write(output, data, size);
    if (size) memcpy(output->buffer + output->used, data, size);
    output->used += size;
    return BASE_OK;
}

DEIT_INTERNAL base_status base_output_commit(base_output *output) {
    base_status status = output->failed ? BASE_ERROR : file_flush(output);
    if (!status && output->beside && fsync(output->file))
        status = base_fail("%s: cannot write: %s", output->path, strerror(errno));
    if (close(output->file) && !status) status = base_fail("%s: cannot write: %s", output->path, strerror(errno));
    output->file = -1;
    if (!status && output->beside && rename(output->beside, output->final))
        status = base_fail("%s: cannot put in place: %s", output->path, strerror(errno));
    if (status && output->beside) unlink(output->beside);
    file_free_output(output);
    return status;
}

DEIT_INTERNAL void base_output_abort(base_output *output) {
    if (!output) return;
    if (output->beside) unlink(output->beside);
    file_free_output(output);
}

DEIT_INTERNAL base_status base_write_file(const char *path, const void *data, size_t size) {
    base_output *output;
    BASE_TRY(base_output_open(&output, path));
    base_status status = base_output_write(output, data, size);
    if (status) {
        base_output_abort(output);
        return status;
    }
    return base_output_commit(output);
}

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL char *base_path_join(const char *folder, const char *name) {
    size_t a = strlen(folder), b = strlen(name);
    while (a > 1 && folder[a - 1] == '/') a--;
    bool slash = a > 0 && folder[a - 1] != '/';
    char *path = base_malloc(a + b + 2);
    if (!path) return NULL;
    memcpy(path, folder, a);
    if (slash) path[a] = '/';
    memcpy(path + a + slash, name, b + 1);
    return path;
}

DEIT_INTERNAL bool base_path_exists(const char *path) {
    return access(path, F_OK) == 0;
}

DEIT_INTERNAL const char *base_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

DEIT_INTERNAL bool base_path_same(const char *a, const char *b) {
    struct stat one, other;
    return !stat(a, &one) && !stat(b, &other) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

DEIT_INTERNAL bool base_path_has(const char *folder, const char *name) {
    char *path = base_path_join(folder, name);
    bool has = path && base_path_exists(path);
    base_free(path);
    return has;
}

DEIT_INTERNAL bool base_path_is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

DEIT_INTERNAL base_status base_make_folders(const char *path) {
    char *part = base_strdup(path);
    if (!part) return BASE_ERROR;
    base_status status = BASE_OK;
    for (size_t i = 1, n = strlen(part); i <= n && !status; i++) {
        if (i < n && part[i] != '/') continue;
        char kept = part[i];
        part[i] = 0;
        int why = mkdir(part, 0777) ? errno : 0;
        if (why && !base_path_is_folder(part))
            status = base_fail("%s: cannot make the folder: %s", part, strerror(why));
        part[i] = kept;
    }
    base_free(part);
    return status;
}

DEIT_INTERNAL base_status base_sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return base_fail("%s: cannot open: %s", path, strerror(errno));
    // Some network file systems know no fsync of folders (EINVAL): they have no names in waiting either.
    base_status status =
        fsync(folder) && errno != EINVAL ? base_fail("%s: cannot write: %s", path, strerror(errno)) : BASE_OK;
    close(folder);
    return status;
}

DEIT_INTERNAL char *base_cache_folder(void) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') return base_path_join(cache, "deit");
    if (home && home[0]) return base_path_join(home, ".cache/deit");
    base_fail("neither XDG_CACHE_HOME nor HOME is set: there is no cache folder; set one of them");
    return NULL;
}
