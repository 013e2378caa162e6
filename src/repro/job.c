/* job: runs this program as a child and reads its JSON; keeps finished cells for a run that goes on later. */
#include "repro/internal.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- Children ---------------------------------------------------------------------------------------------------- */

typedef struct {
    pid_t pid;
    int fd[2]; /* its standard output and standard error */
    base_text out;
    char line[512]; /* the present line of standard error */
    size_t at;
    char last[512]; /* the last whole one that is no progress */
} job_child;

static base_status job_start(job_child *child, const char *const *words, int keep) {
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC)) return base_fail("pipe: %s", strerror(errno));
    if (pipe2(err, O_CLOEXEC)) {
        int error = errno;
        close(out[0]), close(out[1]);
        return base_fail("pipe: %s", strerror(error));
    }
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (!error) {
        error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        if (!error) error = posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        if (!error) error = posix_spawn_file_actions_adddup2(&actions, err[1], 2);
        if (!error && keep >= 0) error = posix_spawn_file_actions_adddup2(&actions, keep, keep); /* not closed there */
        if (!error) error = base_spawn(&child->pid, "/proc/self/exe", &actions, words);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(out[1]), close(err[1]);
    child->fd[0] = out[0], child->fd[1] = err[0];
    if (!error) return BASE_OK;
    close(out[0]), close(err[0]);
    return base_fail("could not start deit %s: %s", words[1], strerror(error));
}

/* What is being made, and how far the child is with it. */
static void job_note(const repro_progress *progress, const char *line) {
    char note[640];
    snprintf(note, sizeof note, "%.100s%s%s", progress->cell ? progress->cell : "", progress->cell ? ": " : "", line);
    base_progress(progress->context, progress->what, progress->done, progress->total, "cells", note);
}

/* Lines of standard error: "deit: ..." are messages, the others progress. */
static void job_error(job_child *child, const char *data, size_t size, const repro_progress *progress) {
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n') {
            if (child->at < sizeof child->line - 1) child->line[child->at++] = data[i];
            continue;
        }
        child->line[child->at] = 0, child->at = 0;
        if (!strncmp(child->line, "deit: ", 6))
            memcpy(child->last, child->line + 6, sizeof child->last - 6);
        else
            job_note(progress, child->line);
    }
}

static void job_close(job_child *child) {
    for (int i = 0; i < 2; i++)
        if (child->fd[i] >= 0) close(child->fd[i]), child->fd[i] = -1;
}

/* Reads what there is, waiting a tenth of a second at most; false when both ends are closed. */
static bool job_read(job_child *child, const repro_progress *progress) {
    char data[16384];
    struct pollfd poll_fd[2] = {{child->fd[0], POLLIN, 0}, {child->fd[1], POLLIN, 0}};
    if (poll(poll_fd, 2, 100) < 0) return errno == EINTR;
    for (int i = 0; i < 2; i++) {
        if (child->fd[i] < 0 || !poll_fd[i].revents) continue;
        ssize_t n = read(child->fd[i], data, sizeof data);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            close(child->fd[i]), child->fd[i] = -1;
        else if (i == 0)
            base_text_add(&child->out, data, (size_t)n);
        else
            job_error(child, data, (size_t)n, progress);
    }
    return child->fd[0] >= 0 || child->fd[1] >= 0;
}

static base_status job_outcome(job_child *child, int wait, const char *what, bool json, json_t **output) {
    if (WIFSIGNALED(wait) && WTERMSIG(wait) == SIGKILL)
        return base_fail("%s: the process was killed, perhaps because memory ended", what);
    if (WIFSIGNALED(wait)) return base_fail("%s: the process ended by signal %d", what, WTERMSIG(wait));
    if (WEXITSTATUS(wait)) return base_fail("%s", *child->last ? child->last : "the process failed without a message");
    if (child->out.failed) return base_fail("%s: out of memory", what);
    if (!json) {
        *output = json_stringn(child->out.data ? child->out.data : "", child->out.size);
        return *output ? BASE_OK : base_fail("%s: its output is not UTF-8", what);
    }
    json_error_t error;
    *output = json_loadb(child->out.data ? child->out.data : "", child->out.size, 0, &error);
    return *output ? BASE_OK : base_fail("%s: its output is not JSON: %s", what, error.text);
}

DEIT_INTERNAL base_status repro_child(const char *const *words, bool json, int keep, json_t **output,
                                      const repro_progress *progress) {
    *output = NULL;
    job_child child = {0};
    BASE_TRY(job_start(&child, words, keep));
    bool stopped = false;
    while (job_read(&child, progress))
        if (!stopped && base_cancelled(progress->context)) {
            stopped = true;
            kill(child.pid, SIGTERM);
        }
    if (child.fd[0] >= 0 || child.fd[1] >= 0) kill(child.pid, SIGTERM); /* poll failed */
    job_close(&child);
    int wait = 0;
    while (waitpid(child.pid, &wait, 0) < 0 && errno == EINTR) {
    }
    base_status status =
        base_cancelled(progress->context) ? BASE_CANCELLED : job_outcome(&child, wait, words[1], json, output);
    base_text_free(&child.out);
    return status;
}

/* ---- Kept cells -------------------------------------------------------------------------------------------------- */

/* What must be the same for a measurement to stand for another: the program, the machine, the tables. */
static uint64_t job_identity(const char *name) {
    base_machine machine;
    base_machine_read(&machine);
    struct stat program = {0};
    if (stat("/proc/self/exe", &program)) program.st_size = 0;
    base_text text = {0};
    base_text_printf(&text, "%s|%s|%lld|%lld.%ld|%s|%s|%d|%.2f", name, DEIT_COMMIT, (long long)program.st_size,
                     (long long)program.st_mtim.tv_sec, program.st_mtim.tv_nsec, machine.cpu, nn_isa_name(),
                     machine.cores, machine.quota);
    uint64_t hash = text.data ? base_fnv1a64(text.data, text.size) : 0;
    base_text_free(&text);
    return hash;
}

DEIT_INTERNAL base_status repro_cells_open(repro_cells *cells, const char *name) {
    cells->folder = NULL;
    char *cache = base_cache_folder();
    if (!cache) return BASE_OK;
    base_text text = {0};
    base_text_printf(&text, "%s/results/%s-%016llx", cache, name, (unsigned long long)job_identity(name));
    base_free(cache);
    if (text.failed) return base_fail("out of memory");
    cells->folder = text.data;
    return BASE_OK;
}

DEIT_INTERNAL void repro_cells_close(repro_cells *cells) {
    if (cells->folder) rmdir(cells->folder); /* if nothing is left in it */
    base_free(cells->folder);
    cells->folder = NULL;
}

static char *job_cell_path(const repro_cells *cells, const char *key) {
    char name[32];
    snprintf(name, sizeof name, "%016llx.json", (unsigned long long)base_fnv1a64(key, strlen(key)));
    return base_path_join(cells->folder, name);
}

DEIT_INTERNAL json_t *repro_cells_load(const repro_cells *cells, const char *key, double *age) {
    char *path = cells->folder ? job_cell_path(cells, key) : NULL;
    struct stat info;
    json_t *cell = NULL;
    if (path && !stat(path, &info)) {
        *age = difftime(time(NULL), info.st_mtime);
        cell = json_load_file(path, 0, NULL);
    }
    base_free(path);
    const char *found = json_string_value(json_object_get(cell, "key"));
    if (found && !strcmp(found, key)) return cell;
    json_decref(cell);
    return NULL;
}

DEIT_INTERNAL base_status repro_cells_keep(const repro_cells *cells, const char *key, json_t *cell) {
    if (!cells->folder) return BASE_OK;
    BASE_TRY(base_make_folders(cells->folder));
    char *path = job_cell_path(cells, key);
    bool named = path && !json_object_set_new(cell, "key", json_string(key));
    char *text = named ? json_dumps(cell, JSON_COMPACT) : NULL;
    base_status status = text ? base_write_file(path, text, strlen(text)) : base_fail("out of memory");
    free(text);
    base_free(path);
    return status;
}

DEIT_INTERNAL void repro_cells_forget(const repro_cells *cells, const char *key) {
    char *path = cells->folder ? job_cell_path(cells, key) : NULL;
    if (path) unlink(path);
    base_free(path);
}
