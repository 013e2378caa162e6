/* Downloads: by the program curl, which goes on where it stopped; a file is there whole and checked, or not at all. */
#include "cli/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What came of a run of curl. */
typedef struct {
    int code, http; // its exit code; the server's answer, 0 where there was none
} download_end;

/* curl's three digits. */
static int download_answer(int pipe) {
    char text[16] = "";
    ssize_t n = read(pipe, text, sizeof text - 1);
    return n > 0 ? atoi(text) : 0;
}

static base_status download_wait(pid_t child, int *wait) {
    const struct timespec moment = {.tv_nsec = 20000000};
    bool told = false;
    for (pid_t ended; (ended = waitpid(child, wait, WNOHANG)) != child; nanosleep(&moment, NULL)) {
        if (ended < 0 && errno != EINTR) return base_fail("curl: %s", strerror(errno));
        if (!told && base_cancelled(cli_context())) told = !kill(child, SIGTERM); // its part stays, to go on from
    }
    // From a terminal Ctrl-C reaches curl too, which may have ended before this process heard of it.
    for (int i = 0; WIFSIGNALED(*wait) && i < 50 && !base_cancelled(cli_context()); i++) nanosleep(&moment, NULL);
    return base_cancelled(cli_context()) ? BASE_CANCELLED : BASE_OK;
}

/* Runs curl with its standard output into a pipe. It has the lock too, and holds it should this process be killed. */
static int download_spawn(const char *url, const char *part, int lock, const int out[2], pid_t *child) {
    const char *show = isatty(STDERR_FILENO) ? "--progress-bar" : "--no-progress-meter";
    // A server that sends nothing for a minute is given up; its part stays.
    const char *const words[] = {"curl",
                                 "--fail",
                                 "--location",
                                 "--show-error",
                                 show,
                                 "--connect-timeout",
                                 "60",
                                 "--speed-limit",
                                 "1",
                                 "--speed-time",
                                 "60",
                                 "--continue-at",
                                 "-",
                                 "--output",
                                 part,
                                 "--write-out",
                                 "%{http_code}",
                                 "--",
                                 url,
                                 NULL};
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, lock, lock); // not closed there
    if (!error) error = base_spawn(child, "curl", &actions, words);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static base_status download_curl(const char *url, const char *part, int lock, download_end *end) {
    pid_t child;
    int wait = 0, out[2];
    if (pipe2(out, O_CLOEXEC)) return base_fail("curl: %s", strerror(errno));
    int error = download_spawn(url, part, lock, out, &child);
    close(out[1]);
    base_status status = error == ENOENT
                             ? base_fail("the program curl is not installed: install it, or download %s yourself", url)
                         : error ? base_fail("curl: %s", strerror(error))
                                 : download_wait(child, &wait);
    if (!status) end->http = download_answer(out[0]);
    close(out[0]);
    end->code = WIFEXITED(wait) ? WEXITSTATUS(wait) : 128 + WTERMSIG(wait);
    return status;
}

static base_status download_failed(const char *url, const char *part, const download_end *end) {
    enum { MALFORMED = 3, CANNOT_WRITE = 23 }; // of curl
    struct stat info;
    if (end->http >= 400) return base_fail("%s: the server answered %d; --mirror names another place", url, end->http);
    const char *advice = end->code == MALFORMED                   ? ": it is no URL"
                         : end->code == CANNOT_WRITE              ? ": it cannot write; is the disk full?"
                         : !stat(part, &info) && info.st_size > 0 ? "; run again to go on where it stopped"
                                                                  : "";
    return base_fail("%s: curl failed with exit code %d%s", url, end->code, advice);
}

/* Goes on with a part. Of a server that takes no ranges, or whose file is no longer than the part, all is asked for
 * again, and lies in `anew`: what it answers may be no more than a page, for which the part must not be lost. */
static base_status download_part(const char *url, const char *part, const char *anew, int lock) {
    enum { RANGE = 33, RESUME = 36, NOT_SATISFIABLE = 416 }; // of curl, of HTTP
    download_end end;
    BASE_TRY(download_curl(url, part, lock, &end));
    if (end.code == RANGE || end.code == RESUME || end.http == NOT_SATISFIABLE) {
        base_status status = download_curl(url, anew, lock, &end);
        if (!status && end.code) status = download_failed(url, anew, &end);
        if (status) unlink(anew);
        return status;
    }
    return end.code ? download_failed(url, part, &end) : BASE_OK;
}

static bool download_has_sum(const cli_download *what) {
    return (what->sha256 && *what->sha256) || (what->md5 && *what->md5);
}

/* Whether the file is what its checksum says, or, where none is known, plausible. */
static base_status download_check(const cli_download *what, const char *path) {
    char digest[65];
    bool md5 = what->md5 && *what->md5;
    const char *sum = md5 ? what->md5 : what->sha256 ? what->sha256 : "";
    base_status status =
        md5 ? base_md5_file(path, cli_context(), digest) : base_sha256_file(path, cli_context(), digest);
    cli_progress_end();
    if (status) return status;
    if (strncmp(sum, digest, strlen(sum)) != 0)
        return base_fail("%s: expected %s %s%s, found %s", path, md5 ? "md5" : "sha256", sum,
                         strlen(sum) < strlen(digest) ? "..." : "", digest);
    if (*sum) return BASE_OK;
    if (what->plausible) BASE_TRY(what->plausible(path));
    printf("%s: no checksum known; sha256 %s\n", what->file, digest);
    return BASE_OK;
}

/* A URL under a mirror; its spaces as a URL has them. */
static char *download_url(const char *mirror, const char *file) {
    base_text text = {0};
    for (const char *c = mirror; *c; c++) base_text_printf(&text, *c == ' ' ? "%%20" : "%c", *c);
    char *url = text.failed ? NULL : base_path_join(text.data ? text.data : "", file);
    base_text_free(&text);
    return url;
}

static base_status download_there(const cli_download *what, const char *path) {
    base_status status = download_check(what, path);
    if (status == BASE_ERROR) return base_fail("%s; delete it and fetch it again", base_message());
    if (status) return status;
    printf("%s is there already\n", path);
    return BASE_OK;
}

/* What has come, checked, is there for good under its own name. */
static base_status download_keep(const char *from, const char *path, const char *folder) {
    int file = open(from, O_RDONLY | O_CLOEXEC);
    bool synced = file >= 0 && !fsync(file);
    int error = errno;
    if (file >= 0) close(file);
    if (!synced) return base_fail("%s: %s", from, strerror(error));
    if (rename(from, path)) return base_fail("%s: %s", path, strerror(errno));
    BASE_TRY(base_sync_folder(folder));
    printf("%s\n", path);
    return BASE_OK;
}

/* The file by the network: *from is where it lies, part or anew. One that is not as it should be is deleted. */
static base_status download_get(const cli_download *what, const char *url, const char *part, const char *anew, int lock,
                                const char **from) {
    struct stat info;
    bool begun = !stat(part, &info) && info.st_size > 0;
    unlink(anew); // of a run that was killed
    BASE_TRY(download_part(url, part, anew, lock));
    bool again = base_path_exists(anew);
    *from = again ? anew : part;
    base_status status = download_check(what, *from);
    if (status != BASE_ERROR || unlink(*from)) return status;
    return base_fail("%s; it is deleted: %s", base_message(),
                     again ? "the server did not go on with what an earlier run had left, and sent another file; that "
                             "is kept"
                     : begun ? "what an earlier run had left was its beginning; fetch it again to begin anew"
                             : "fetch it again, or from another place with --mirror");
}

static base_status download_to(const cli_download *what, const char *path, const char *part, int lock,
                               const char *mirror, const char *folder) {
    base_text anew = {0};
    const char *from = part;
    char *url = mirror ? download_url(mirror, what->file) : base_strdup(what->url);
    base_text_printf(&anew, "%s.anew", part);
    if (!url || anew.failed) return base_free(url), base_text_free(&anew), base_fail("out of memory");
    // A part that was complete when the last run stopped need not be asked for.
    base_status status = download_has_sum(what) ? download_check(what, part) : BASE_ERROR;
    if (status == BASE_ERROR) status = download_get(what, url, part, anew.data, lock, &from);
    if (!status) status = download_keep(from, path, folder);
    if (!status && from != part) unlink(part);
    base_free(url);
    base_text_free(&anew);
    return status;
}

/* One process at a time writes a part: it holds its lock. */
static base_status download_alone(const cli_download *what, const char *path, const char *part, const char *mirror,
                                  const char *folder) {
    struct stat info;
    if (base_path_exists(path)) return download_there(what, path);
    int file = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return base_fail("%s: cannot write: %s", part, strerror(errno));
    base_status status;
    if (flock(file, LOCK_EX | LOCK_NB))
        status = errno == EWOULDBLOCK ? base_fail("%s: another process is fetching it: wait for that", part)
                                      : base_fail("%s: cannot lock: %s", part, strerror(errno));
    else if (base_path_exists(path)) // the other has finished since
        status = download_there(what, path);
    else
        status = download_to(what, path, part, file, mirror, folder);
    if (!fstat(file, &info) && info.st_size == 0 && info.st_nlink) unlink(part); // nothing came
    close(file);
    return status;
}

DEIT_INTERNAL base_status cli_fetch(const cli_download *what, const char *folder, const char *mirror) {
    bool there = base_path_exists(folder);
    BASE_TRY(base_make_folders(folder));
    char *path = base_path_join(folder, what->file);
    base_text part = {0};
    if (!path) return BASE_ERROR;
    base_text_printf(&part, "%s.part", path);
    base_status status =
        part.failed ? base_fail("out of memory") : download_alone(what, path, part.data, mirror, folder);
    base_text_free(&part);
    base_free(path);
    if (status && !there) rmdir(folder); /* if nothing came into it */
    return status;
}
