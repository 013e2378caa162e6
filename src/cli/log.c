/* deit log: compares the logs of training runs. */
#include "cli/internal.h"
#include "cli/output.h"
#include "train/train.h"

#include <string.h>

static struct { const char *html; } log_given;

static base_status log_show(const train_log *logs, int n) {
    base_text text = {0};
    if (log_given.html)
        train_log_page(logs, n, &text);
    else
        train_log_text(logs, n, &text);
    bool file = log_given.html && strcmp(log_given.html, "-");
    base_status status =
        text.failed ? BASE_ERROR : cli_output_write(file ? log_given.html : NULL, text.data, text.size);
    base_text_free(&text);
    return status;
}

static base_status log_run(int n, char **arguments) {
    train_log *logs = base_calloc((size_t)n, sizeof *logs);
    if (!logs) return BASE_ERROR;
    base_status status = BASE_OK;
    int opened = 0, missing = 0;
    for (int i = 0; i < n && !status; i++) {
        // of many folders some are no runs, or have only begun
        if (!(status = train_log_open(&logs[opened], arguments[i])))
            opened++;
        else if (status == BASE_ERROR && (opened || i < n - 1)) {
            base_log(cli_context(), BASE_LOG_WARNING, "left out: %s", base_message()), status = BASE_OK;
            missing += !base_path_exists(arguments[i]);
        }
    }
    if (!status) status = log_show(logs, opened);
    if (!status && missing) status = base_fail("%d of %d runs are not there", missing, n);
    for (int i = 0; i < opened; i++) train_log_close(&logs[i]);
    base_free(logs);
    return status;
}

DEIT_INTERNAL const cli_command *cli_log(void) {
    static const cli_flag flags[] = {
        {"html", CLI_FILE, &log_given.html, .help = "write a page with curves instead; - for standard output"}, {0}};
    static const cli_command command = {.name = "log",
                                        .summary = "compare the logs of training runs",
                                        .arguments = "RUN...",
                                        .about = "  deit log runs/vit runs/deit\n  deit log runs/* --html curves.html",
                                        .least = 1,
                                        .most = -1,
                                        .flags = flags,
                                        .run = log_run};
    return &command;
}
