/* Downloads: by the program curl, which goes on where it stopped; a file is there whole and checked, or not at all. */
#include "cli/internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DOWNLOAD_CURL_RANGE = 33, DOWNLOAD_CURL_RESUME = 36 }; // curl's exit codes where it cannot go on with a part

/* Runs curl; *code: its exit code. */
static base_status download_curl(const char *url, const char *part, int *code) {
    const char *show = isatty(STDERR_FILENO) ? "--progress-bar" : "--no-progress-meter";
    const char *const words[] = {"curl", "--fail",   "--location", "--show-error", show, "--continue-at",
                                 "-",    "--output", part,         "--",           url,  NULL};
    pid_t child;
    int wait = 0, error = base_spawn(&child, "curl", NULL, words);
    if (error == ENOENT)
        return base_fail("the program curl is not installed: install it, or download %s yourself", url);
    if (error) return base_fail("curl: %s", strerror(error));
    const struct timespec moment = {.tv_nsec = 50000000};
    for (pid_t ended; (ended = waitpid(child, &wait, WNOHANG)) != child; nanosleep(&moment, NULL)) {
        if (ended < 0 && errno != EINTR) return base_fail("curl: %s", strerror(errno));
        if (base_cancelled(cli_context())) kill(child, SIGTERM); // its part stays, to go on from
    }
    if (base_cancelled(cli_context())) return BASE_CANCELLED;
    *code = WIFEXITED(wait) ? WEXITSTATUS(wait) : 128 + WTERMSIG(wait);
    return BASE_OK;
}

static base_status download_part(const char *url, const char *part) {
    int code;
    BASE_TRY(download_curl(url, part, &code));
    if (code == DOWNLOAD_CURL_RANGE || code == DOWNLOAD_CURL_RESUME) {
        unlink(part);
        BASE_TRY(download_curl(url, part, &code));
    }
    return code ? base_fail("%s: curl failed with exit code %d; run again to go on where it stopped", url, code)
                : BASE_OK;
}

static bool download_has_sum(const cli_download *what) {
    return (what->sha256 && *what->sha256) || (what->md5 && *what->md5);
}

/* Whether the file is what its checksum says, or, where none is known, plausible. */
static base_status download_check(const cli_download *what, const char *path) {
    char digest[65];
    bool md5 = what->md5 && *what->md5;
    const char *sum = md5 ? what->md5 : what->sha256 ? what->sha256 : "";
    BASE_TRY(md5 ? base_md5_file(path, digest) : base_sha256_file(path, digest));
    if (strncmp(sum, digest, strlen(sum)) != 0)
        return base_fail("%s: expected %s %s%s, found %s", what->file, md5 ? "md5" : "sha256", sum,
                         strlen(sum) < strlen(digest) ? "..." : "", digest);
    if (*sum) return BASE_OK;
    if (what->plausible) BASE_TRY(what->plausible(path));
    printf("%s: no checksum known; sha256 %s\n", what->file, digest);
    return BASE_OK;
}

static base_status download_to(const cli_download *what, const char *path, const char *part, const char *mirror) {
    if (base_path_exists(path)) {
        BASE_TRY(download_check(what, path));
        printf("%s is there already\n", path);
        return BASE_OK;
    }
    char *url = mirror ? base_path_join(mirror, what->file) : base_strdup(what->url);
    if (!url) return BASE_ERROR;
    // A part that was complete when the last run stopped would make the server refuse to go on after its end.
    bool whole = base_path_exists(part) && download_has_sum(what) && !download_check(what, part);
    base_status status = whole ? BASE_OK : download_part(url, part);
    base_free(url);
    if (status) return status;
    status = download_check(what, part);
    if (status) {
        unlink(part);
        return status;
    }
    if (rename(part, path)) return base_fail("%s: %s", path, strerror(errno));
    printf("%s\n", path);
    return BASE_OK;
}

DEIT_INTERNAL base_status cli_fetch(const cli_download *what, const char *folder, const char *mirror) {
    bool there = base_path_exists(folder);
    BASE_TRY(base_make_folders(folder));
    char *path = base_path_join(folder, what->file);
    base_text part = {0};
    if (!path) return BASE_ERROR;
    base_text_printf(&part, "%s.part", path);
    base_status status = part.failed ? base_fail("out of memory") : download_to(what, path, part.data, mirror);
    base_text_free(&part);
    base_free(path);
    if (status && !there) rmdir(folder); /* if nothing came into it */
    return status;
}
