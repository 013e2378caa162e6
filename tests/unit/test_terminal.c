/* What the command line says of long work: the line itself, and when it is written. */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static const char *terminal_test_text(const char *what, double done, double total, const char *unit, const char *note,
                                      double elapsed) {
    static char text[256];
    terminal_format(text, sizeof text, what, done, total, unit, note, elapsed);
    return text;
}
#define CHECK_LINE(expected, ...)                                                                                      \
    do {                                                                                                               \
        const char *test_line = terminal_test_text(__VA_ARGS__);                                                       \
        if (strcmp(test_line, expected)) TEST_FAIL("\"%s\", expected \"%s\"", test_line, expected);                    \
    } while (0)

TEST(terminal_lines_have_rate_and_time_left) {
    CHECK_LINE("eval: 1200/50000 images, 60/s, 13:33 left, top-1 81.2", "eval", 1200, 50000, "images", "top-1 81.2",
               20);
    CHECK_LINE("train: 1/3601 steps, 1/s, 1:00:00 left", "train", 1, 3601, "steps", NULL, 1);
    CHECK_LINE("fetch: 50/200 MB, 12.5/s, 0:12 left", "fetch", 50e6, 200e6, "bytes", "", 4);
    CHECK_LINE("index: 30 files, 3/s", "index", 30, 0, "files", NULL, 10);         /* of how many is not known */
    CHECK_LINE("eval: 5/9 images, a note", "eval", 5, 9, "images", "a note", 0.5); /* too early for a rate */
    CHECK_LINE("eval: 0/9 images", "eval", 0, 9, "images", NULL, 10);
    CHECK_LINE("eval: 9/9 images, 0.9/s", "eval", 9, 9, "images", NULL, 10);
    char text[16], whole[64];
    terminal_format(whole, sizeof whole, "eval", 1200, 50000, "images", "top-1 81.2", 20);
    for (size_t size = 1; size <= sizeof text; size++) { /* what does not fit is cut off */
        memset(text, '#', sizeof text);
        terminal_format(text, size, "eval", 1200, 50000, "images", "top-1 81.2", 20);
        CHECK(strlen(text) == size - 1 && !strncmp(text, whole, size - 1));
        for (size_t i = size; i < sizeof text; i++) CHECK(text[i] == '#');
    }
}
#undef CHECK_LINE

/* Progress goes to standard error. Until terminal_test_end that is `to`, and its return value is what it was. */
static int terminal_test_begin(int to) {
    int was = dup(STDERR_FILENO);
    cli_progress_end();
    dup2(to, STDERR_FILENO);
    return was;
}
static void terminal_test_end(int was) {
    cli_progress_end();
    dup2(was, STDERR_FILENO);
    close(was);
}

/* As if the phase had begun, and last been shown, so many seconds ago. */
static void terminal_test_wait(double begun, double shown) {
    terminal_phase.begun = base_now() - begun, terminal_phase.shown = base_now() - shown;
}

static void terminal_test_tell(const char *what, double done, double total) {
    cli_context()->progress(NULL, what, done, total, "images", NULL);
}

/* The numbers are such that a second between two lines of a test does not show. A file: whole lines, one in ten
 * seconds, and one at the end of what took two. */
TEST(terminal_progress_in_a_file) {
    char text[1024] = "";
    FILE *file = tmpfile();
    CHECK(file != NULL);
    if (!file) return;
    int was = terminal_test_begin(fileno(file));
    terminal_test_tell("a", 0, 10000);
    terminal_test_wait(9, 9);
    terminal_test_tell("a", 10, 10000); /* nothing within ten seconds */
    terminal_test_wait(4000, 10.5);
    terminal_test_tell("a", 8000, 10000);
    terminal_test_tell("a", 8001, 10000); /* nor just after a line */
    terminal_test_wait(4000, 1);
    terminal_test_tell("a", 10000, 10000); /* the end */
    terminal_test_tell("b", 0, 100);
    terminal_test_wait(1.5, 1.5);
    terminal_test_tell("b", 100, 100); /* too short to be told of */
    terminal_test_tell("c", 0, 0);
    terminal_test_wait(3000, 30);
    terminal_test_tell("c", 6000, 0); /* no end is known */
    terminal_test_end(was);
    CHECK(pread(fileno(file), text, sizeof text - 1, 0) > 0);
    fclose(file);
    static const char expected[] =
        "a: 8000/10000 images, 2/s, 16:40 left\na: 10000/10000 images, 2.5/s\nc: 6000 images, 2/s\n";
    if (strcmp(text, expected)) TEST_FAIL("in a file stands\n%s", text);
}

/* A terminal: one line, rewritten at most ten times a second; what is logged stands above it, and in the end it is
 * gone. */
TEST(terminal_progress_on_a_terminal) {
    char text[1024] = "", name[64];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), slave = -1;
    if (master < 0 || grantpt(master) || unlockpt(master) || ptsname_r(master, name, sizeof name) ||
        (slave = open(name, O_RDWR | O_NOCTTY)) < 0)
        SKIP("no pseudo terminals here");
    int was = terminal_test_begin(slave);
    terminal_test_tell("a", 0, 10000);
    terminal_test_wait(10, 0);
    terminal_test_tell("a", 10, 10000); /* nothing within a tenth of a second */
    terminal_test_wait(4000, 0.15);
    terminal_test_tell("a", 8000, 10000);
    terminal_test_wait(4500, 0.15);
    terminal_test_tell("a", 9000, 10000);
    cli_context()->log(NULL, BASE_LOG_WARNING, "a bad picture");
    terminal_test_wait(4750, 0.15);
    terminal_test_tell("a", 9500, 10000);
    terminal_test_tell("a", 10000, 10000);
    CHECK(!terminal_phase.line && !terminal_phase.what[0]);
    terminal_test_end(was);
    static const char expected[] = "a: 8000/10000 images, 2/s, 16:40 left\r\033[K"
                                   "a: 9000/10000 images, 2/s, 8:20 left\r\033[K"
                                   "deit: warning: a bad picture\r\n"
                                   "a: 9500/10000 images, 2/s, 4:10 left\r\033[K";
    /* What was written comes through in pieces, the last a moment later. */
    struct pollfd ready = {.fd = master, .events = POLLIN};
    for (size_t at = 0; at < sizeof expected - 1 && poll(&ready, 1, 2000) > 0;) {
        ssize_t n = read(master, text + at, sizeof text - 1 - at);
        if (n <= 0) break;
        at += (size_t)n;
    }
    close(slave), close(master);
    if (strcmp(text, expected)) TEST_FAIL("on the terminal stands\n%s", text);
}
