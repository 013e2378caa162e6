/* The folder of a run: the lock of the process that writes it, its options, its log and curves. */
#include "train/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The lock goes with the process, however it ends; the number in the file is for messages. A run that is only read, by
 * one who may not write there, is locked without the number, or, where it has no lock yet, not at all. */
static base_status folder_lock(train_folder *folder, bool resume) {
    char *path = base_path_join(folder->path, "run.lock"), number[32] = "";
    if (!path) return BASE_ERROR;
    folder->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    const int why = errno;
    bool reads = folder->lock < 0 && resume && (why == EACCES || why == EROFS);
    if (reads) folder->lock = open(path, O_RDONLY | O_CLOEXEC);
    base_status status = BASE_OK;
    if (folder->lock < 0) {
        status = reads ? BASE_OK : base_fail("%s: cannot write there: %s", path, strerror(why));
    } else if (flock(folder->lock, LOCK_EX | LOCK_NB)) {
        ssize_t got = read(folder->lock, number, sizeof number - 1);
        number[got > 0 ? got : 0] = 0;
        status = base_fail("%s: a run is going on there (process %s): wait for it, or choose another --output-dir",
                           folder->path, *number ? number : "unknown");
    } else if (!reads) {
        int n = snprintf(number, sizeof number, "%ld", (long)getpid());
        if (ftruncate(folder->lock, 0) || lseek(folder->lock, 0, SEEK_SET))
            status = base_fail("%s: cannot write: %s", path, strerror(errno));
        else
            status = base_write_all(folder->lock, path, number, (size_t)n);
    }
    base_free(path);
    return status;
}

static int folder_is_part(const struct dirent *entry) {
    size_t size = strlen(entry->d_name);
    return size > 5 && !strcmp(entry->d_name + size - 5, ".part");
}

/* Half-written files of a process that was killed. */
static void folder_sweep(const char *path) {
    struct dirent **entries = NULL;
    int files = scandir(path, &entries, folder_is_part, alphasort);
    for (int i = 0; i < files; i++) {
        char *part = base_path_join(path, entries[i]->d_name);
        if (part) unlink(part);
        base_free(part);
        free(entries[i]);
    }
    free(entries);
}

static base_status folder_prepare(train_folder *folder, bool resume) {
    const char *path = folder->path;
    if (!resume) BASE_TRY(base_make_folders(path));
    BASE_TRY(folder_lock(folder, resume));
    if (!resume && base_path_has(path, "args.json"))
        return base_fail("%s: holds a run already: go on with it by --resume %s, or choose another --output-dir", path,
                         path);
    char *inside = base_path_join(path, "checkpoints");
    if (!inside) return BASE_ERROR;
    folder_sweep(path);
    folder_sweep(inside);
    base_free(inside);
    return BASE_OK;
}

DEIT_INTERNAL base_status train_folder_open(train_folder *folder, const char *path, bool resume) {
    *folder = (train_folder){.path = base_strdup(path), .lock = -1};
    base_status status = folder->path ? folder_prepare(folder, resume) : BASE_ERROR;
    if (status) train_folder_close(folder);
    return status;
}

DEIT_INTERNAL void train_folder_close(train_folder *folder) {
    if (folder->path && folder->lock >= 0) close(folder->lock);
    base_free(folder->path);
    *folder = (train_folder){.lock = -1};
}

DEIT_INTERNAL base_status train_folder_args(const train_folder *folder, const train_options *options) {
    json_t *json = train_options_json(options);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL, *path = base_path_join(folder->path, "args.json");
    json_decref(json);
    base_status status = text && path ? base_write_file(path, text, strlen(text)) : base_fail("out of memory");
    free(text);
    base_free(path);
    return status;
}

/* ---- The log ----------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL base_status train_folder_rewind(const train_folder *folder, int64_t epoch) {
    char *path = base_path_join(folder->path, "log.jsonl"), *data;
    size_t size;
    if (!path) return BASE_ERROR;
    if (!base_path_exists(path)) {
        base_free(path);
        return BASE_OK;
    }
    base_text kept = {0};
    base_status status = base_read_file(path, 0, &data, &size);
    for (char *line = data, *end; !status && line < data + size && (end = strchr(line, '\n')); line = end + 1) {
        json_t *json = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (json && json_integer_value(json_object_get(json, "epoch")) < epoch)
            base_text_add(&kept, line, (size_t)(end + 1 - line));
        json_decref(json);
    }
    if (!status) status = kept.failed ? BASE_ERROR : base_write_file(path, kept.data ? kept.data : "", kept.size);
    base_free(data);
    base_free(path);
    base_text_free(&kept);
    return status;
}

static base_status folder_append(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) return base_fail("%s: cannot write: %s", path, strerror(errno));
    off_t before = lseek(file, 0, SEEK_END);
    base_status status = base_write_all(file, path, text, strlen(text));
    if (!status && fsync(file)) status = base_fail("%s: cannot write: %s", path, strerror(errno));
    if (status && ftruncate(file, before)) status = BASE_ERROR; // half a line is no line
    close(file);
    return status;
}

static base_status folder_draw(const train_folder *folder) {
    train_log log;
    base_text page = {0};
    BASE_TRY(train_log_open(&log, folder->path));
    train_log_page(&log, 1, &page);
    char *path = base_path_join(folder->path, "curves.html");
    base_status status = path && !page.failed ? base_write_file(path, page.data, page.size) : BASE_ERROR;
    base_free(path);
    base_text_free(&page);
    train_log_close(&log);
    return status;
}

DEIT_INTERNAL base_status train_folder_log(const train_folder *folder, json_t *line) {
    char *text = line ? json_dumps(line, JSON_REAL_PRECISION(9)) : NULL,
         *path = base_path_join(folder->path, "log.jsonl");
    json_decref(line);
    base_text whole = {0};
    if (text) base_text_printf(&whole, "%s\n", text);
    base_status status = path && whole.data && !whole.failed ? folder_append(path, whole.data)
                                                             : base_fail("out of memory while writing the log");
    if (!status) status = folder_draw(folder);
    free(text);
    base_free(path);
    base_text_free(&whole);
    return status;
}
