/* terminal: log lines and progress on stderr, JSON on stdout, Ctrl-C. */
#include "cli/internal.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t terminal_cancel; /* the signal that asked to stop; 0: none did */

/* The first Ctrl-C asks the work to stop at the next good moment; one that comes a second or more after it ends the
 * program. What comes before that is the same wish: a terminal and some job schedulers signal every process of a group,
 * and `deit repro` passes what it heard on to the training that it runs. A thread of its own takes the signals, and all
 * others, which begin with this mask, block them: in the middle of a product oneDNN's kernels let the stack pointer
 * point into memory from malloc, and a handler's frame there would overwrite what lies below. */
static void *terminal_watch(void *both) {
    int number;
    sigwait(both, &number);
    terminal_cancel = number;
    static const char said[] = "\ndeit: stopping at the next good moment; at once if asked again\n";
    if (isatty(STDERR_FILENO)) write(STDERR_FILENO, said, sizeof said - 1);
    const struct timespec second = {.tv_sec = 1}, none = {0};
    nanosleep(&second, NULL);
    while (sigtimedwait(both, NULL, &none) > 0) {
    }
    pthread_sigmask(SIG_UNBLOCK, both, NULL);
    for (;;) pause();
    return NULL;
}

DEIT_INTERNAL void cli_signals(void) {
    static sigset_t both;
    pthread_t thread;
    sigemptyset(&both);
    sigaddset(&both, SIGINT), sigaddset(&both, SIGTERM);
    signal(SIGINT, SIG_DFL), signal(SIGTERM, SIG_DFL); // not ignored, as a shell does for what it starts with &
    pthread_sigmask(SIG_BLOCK, &both, NULL);
    if (pthread_create(&thread, NULL, terminal_watch, &both)) pthread_sigmask(SIG_UNBLOCK, &both, NULL);
}

DEIT_INTERNAL void cli_end_stopped(void) {
    int number = terminal_cancel ? terminal_cancel : SIGINT;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    fprintf(stderr, "deit: stopped\n");
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    raise(number);
}

/* The phase that progress was last told of. */
static struct {
    char what[64];
    double begun, shown; // seconds; shown: when last printed
    bool line;           // an unfinished line stands on the terminal
} terminal_phase;

static void terminal_clear(void) {
    if (!terminal_phase.line) return;
    fputs("\r\033[K", stderr);
    terminal_phase.line = false;
}

DEIT_INTERNAL void cli_progress_end(void) {
    terminal_clear();
    terminal_phase.what[0] = 0;
}

static void terminal_log(void *user, base_log_level level, const char *line) {
    (void)user;
    terminal_clear();
    fprintf(stderr, "deit: %s%s\n", level == BASE_LOG_WARNING ? "warning: " : "", line);
}

static void terminal_time(double seconds, char text[32]) {
    int s = (int)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%d:%02d", s / 60, s % 60);
}

/* "eval: 1200/50000 images, 61.2/s, 13:17 left, top-1 81.2" */
static void terminal_format(char *text, size_t size, const char *what, double done, double total, const char *unit,
                            const char *note, double elapsed) {
    char left[32] = "";
    size_t at = 0;
    double rate = elapsed > 0 ? done / elapsed : 0;
    bool bytes = !strcmp(unit, "bytes");
    double scale = bytes ? 1e-6 : 1;
    if (bytes) unit = "MB";
    at += (size_t)snprintf(text, size, "%s: %.0f", what, done * scale);
    if (total > 0 && at < size) at += (size_t)snprintf(text + at, size - at, "/%.0f", total * scale);
    if (at < size) at += (size_t)snprintf(text + at, size - at, " %s", unit);
    if (rate > 0 && elapsed > 0.5 && at < size) at += (size_t)snprintf(text + at, size - at, ", %.3g/s", rate * scale);
    if (rate > 0 && elapsed > 0.5 && total > done && at < size) {
        terminal_time((total - done) / rate, left);
        at += (size_t)snprintf(text + at, size - at, ", %s left", left);
    }
    if (note && *note && at < size) snprintf(text + at, size - at, ", %s", note);
}

/* On a terminal one line that is rewritten, at most ten times a second; elsewhere a line every ten seconds, and at the
 * end of what took two. */
static void terminal_progress(void *user, const char *what, double done, double total, const char *unit,
                              const char *note) {
    (void)user;
    double now = base_now();
    bool terminal = isatty(STDERR_FILENO);
    if (strncmp(what, terminal_phase.what, sizeof terminal_phase.what - 1)) {
        snprintf(terminal_phase.what, sizeof terminal_phase.what, "%s", what);
        terminal_phase.begun = terminal_phase.shown = now;
    }
    bool end = total > 0 && done >= total;
    double elapsed = now - terminal_phase.begun, quiet = now - terminal_phase.shown;
    if (terminal ? !end && quiet < 0.1 : end ? elapsed < 2 : quiet < 10) return;
    char text[256];
    terminal_format(text, sizeof text, what, done, total, unit, note, elapsed);
    terminal_phase.shown = now;
    terminal_clear();
    if (!terminal) {
        fprintf(stderr, "%s\n", text);
    } else if (!end) {
        fputs(text, stderr);
        terminal_phase.line = true;
    }
    if (end) terminal_phase.what[0] = 0;
}

DEIT_INTERNAL const base_context *cli_context(void) {
    static const base_context context = {
        .log = terminal_log, .progress = terminal_progress, .cancel = &terminal_cancel};
    return &context;
}

DEIT_INTERNAL base_status cli_print_json(json_t *json) {
    if (!json) return base_fail("out of memory while making JSON");
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)); // main sees whether stdout took it
    printf("\n");
    json_decref(json);
    return BASE_OK;
}
