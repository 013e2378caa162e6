/* record: the results folder. A finished job leaves <id>.json there: its command, seed, versions, conditions, what it
 * printed. A job that runs holds <id>.lock; the lock is the system's (flock), so it goes with the processes that hold
 * it however they end, and a file that a dead one left behind hinders nobody. Any number of processes may share a
 * folder.
 */
#include "repro/internal.h"
#include "version.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char *record_path(const char *folder, const repro_job *job, const char *end) {
    char name[32];
    snprintf(name, sizeof name, "%s.%s", job->id, end);
    return base_path_join(folder, name);
}

DEIT_INTERNAL json_t *repro_record_load(const char *folder, const repro_job *job, const base_context *context) {
    char *path = folder ? record_path(folder, job, "json") : NULL;
    json_error_t error = {.line = -1};
    json_t *record = path && base_path_exists(path) ? json_load_file(path, 0, &error) : NULL;
    const char *key = json_string_value(json_object_get(record, "key"));
    bool good = key && json_object_get(record, "output");
    if (!good && context && (record || *error.text))
        base_log(context, BASE_LOG_WARNING, "%s:%d: %s: it does not count; restore it, or delete it", path,
                 record ? 1 : error.line, record ? "expected a record with 'key' and 'output'" : error.text);
    base_free(path);
    if (good && !strcmp(key, job->key)) return record;
    json_decref(record);
    return NULL;
}

/* A copy of a set as keys call it: "cifar10.tar:92692480:fd25c2c90994b2b5". */
typedef struct {
    int set, records;
    const char *key;
} record_copy;
enum { RECORD_COPIES = 64 };

/* Counts the copies of sets that a key names. */
static base_status record_key_sets(const char *key, record_copy *copies, int *n, base_arena *arena) {
    for (size_t size; key && *key; key += size + (key[size] == ' ')) {
        size = strcspn(key, " ");
        size_t name = strcspn(key, ":");
        int set = name < size ? repro_place_called(key, name) : -1, i = 0;
        if (set < 0) continue;
        while (i < *n && (strlen(copies[i].key) != size || memcmp(copies[i].key, key, size) != 0)) i++;
        if (i == RECORD_COPIES) continue;
        if (i == *n) {
            copies[i] = (record_copy){.set = set, .key = base_arena_printf(arena, "%.*s", (int)size, key)};
            if (!copies[i].key) return BASE_ERROR;
            ++*n;
        }
        copies[i].records++;
    }
    return BASE_OK;
}

/* Of several copies of a set that of most records: these are cells of one table, and not a mixture. */
static void record_most(const record_copy *copies, int n, repro_places *places) {
    int most[REPRO_TRANSFERS] = {0};
    for (int i = 0; i < n; i++) {
        if (copies[i].records <= most[copies[i].set]) continue;
        most[copies[i].set] = copies[i].records;
        places->recorded[copies[i].set] = copies[i].key;
    }
}

DEIT_INTERNAL base_status repro_record_sets(const char *folder, repro_places *places, base_arena *arena) {
    struct dirent **entries = NULL;
    record_copy copies[RECORD_COPIES];
    int n_copies = 0, n = folder ? scandir(folder, &entries, NULL, alphasort) : 0;
    base_status status = BASE_OK;
    for (int i = 0; i < n; i++) {
        size_t size = strlen(entries[i]->d_name);
        bool is = !status && size > 5 && !strcmp(entries[i]->d_name + size - 5, ".json");
        char *path = is ? base_path_join(folder, entries[i]->d_name) : NULL;
        json_t *record = path ? json_load_file(path, 0, NULL) : NULL;
        if (record)
            status = record_key_sets(json_string_value(json_object_get(record, "key")), copies, &n_copies, arena);
        json_decref(record);
        base_free(path);
        free(entries[i]);
    }
    free(entries);
    record_most(copies, n_copies, places);
    return status;
}

DEIT_INTERNAL bool repro_record_since(const char *folder, const repro_job *job, struct timespec begun) {
    struct stat info;
    char *path = record_path(folder, job, "json");
    bool since =
        path && !stat(path, &info) &&
        difftime(info.st_mtim.tv_sec, begun.tv_sec) + 1e-9 * (double)(info.st_mtim.tv_nsec - begun.tv_nsec) >= 0;
    base_free(path);
    return since;
}

DEIT_INTERNAL json_t *repro_record_make(const repro_job *job, const char *command, json_t *output, double seconds,
                                        const char *precision) {
    return json_pack("{s:s, s:s, s:o, s:s, s:i, s:f, s:o, s:s*, s:s*, s:o}", "table", job->table->name, "row",
                     job->row->text[0], "command", base_json_text(command), "key", job->key, "seed", job->seed,
                     "seconds", seconds, "conditions", repro_conditions(precision, 0), "weights", job->weights,
                     "weights_sha256", *job->sha256 ? job->sha256 : NULL, "output", output);
}

DEIT_INTERNAL base_status repro_record_save(const char *folder, const repro_job *job, const json_t *record) {
    if (!folder) return BASE_OK;
    char *path = record_path(folder, job, "json"), *text = json_dumps(record, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
    base_text all = {0};
    base_text_printf(&all, "%s\n", text ? text : "");
    base_status status = path && text && !all.failed
                             ? base_write_file(path, all.data, all.size)
                             : base_fail("the record of '%s': out of memory", job->row->text[0]);
    base_text_free(&all);
    free(text);
    base_free(path);
    return status;
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

/* Who holds a lock, from what it wrote there: between its lock and its name a moment may pass. */
static void record_owner(int fd, char owner[REPRO_OWNER]) {
    *owner = 0;
    for (int i = 0; i < 25 && !*owner; i++) {
        if (i) nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        ssize_t n = pread(fd, owner, REPRO_OWNER - 1, 0);
        owner[n > 0 ? n : 0] = 0;
        owner[strcspn(owner, "\n")] = 0;
    }
}

/* Whether the path still is the file: its holder may have removed it between our open and our lock. */
static bool record_same(const char *path, int fd) {
    struct stat a, b;
    return !stat(path, &a) && !fstat(fd, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static base_status record_try(const char *path, int *fd, char owner[REPRO_OWNER]) {
    char host[64] = "", text[REPRO_OWNER];
    for (;;) {
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (file < 0) return base_fail("%s: %s", path, strerror(errno));
        if (flock(file, LOCK_EX | LOCK_NB)) {
            bool busy = errno == EWOULDBLOCK;
            base_status status = busy ? BASE_OK : base_fail("%s: cannot lock: %s", path, strerror(errno));
            if (busy) record_owner(file, owner);
            close(file);
            return status;
        }
        if (!record_same(path, file)) {
            close(file);
            continue;
        }
        gethostname(host, sizeof host - 1);
        int n = snprintf(text, sizeof text, "process %ld on %s\n", (long)getpid(), host);
        base_status status = ftruncate(file, 0) || lseek(file, 0, SEEK_SET)
                                 ? base_fail("%s: %s", path, strerror(errno))
                                 : base_write_all(file, path, text, (size_t)n);
        if (status) {
            close(file);
            return status;
        }
        *fd = file;
        return BASE_OK;
    }
}

DEIT_INTERNAL base_status repro_record_lock(const char *folder, const repro_job *job, int *fd,
                                            char owner[REPRO_OWNER]) {
    *fd = -1, *owner = 0;
    if (!folder) return BASE_OK;
    BASE_TRY(base_make_folders(folder));
    char *path = record_path(folder, job, "lock");
    base_status status = path ? record_try(path, fd, owner) : BASE_ERROR;
    base_free(path);
    return status;
}

DEIT_INTERNAL void repro_record_unlock(const char *folder, const repro_job *job, int fd) {
    char *path = folder && fd >= 0 ? record_path(folder, job, "lock") : NULL;
    if (path) unlink(path);
    if (fd >= 0) close(fd);
    base_free(path);
}
