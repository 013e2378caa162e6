/* Logs of runs: read, and compared as text. */
#include "train/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static json_t *journal_json(const char *folder, const char *name) {
    char *path = base_path_join(folder, name), *data;
    size_t size;
    json_t *json = NULL;
    if (path && base_path_exists(path) && !base_read_file(path, 1 << 20, &data, &size)) {
        json = json_loadb(data, size, 0, NULL);
        base_free(data);
    }
    base_free(path);
    return json;
}

/* A line that is not whole (a process was killed while it wrote) is left out. */
static base_status journal_lines(train_log *log, const char *path) {
    char *data;
    size_t size;
    BASE_TRY(base_read_file(path, 0, &data, &size));
    log->epochs = json_array();
    for (char *line = data, *end; log->epochs && line < data + size; line = end + 1) {
        if (!(end = strchr(line, '\n'))) end = data + size;
        json_t *json = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (json_is_number(json_object_get(json, "epoch")))
            json_array_append_new(log->epochs, json);
        else
            json_decref(json);
    }
    base_free(data);
    if (!log->epochs) return base_fail("%s: out of memory", path);
    if (!json_array_size(log->epochs)) return base_fail("%s: no epoch is finished yet", path);
    return BASE_OK;
}

/* Whether it is the folder of a run that has not finished an epoch. */
static bool journal_begun(const char *folder) {
    char *log = base_path_join(folder, "log.jsonl"), *args = base_path_join(folder, "args.json");
    struct stat info;
    bool lines = log && !stat(log, &info) && info.st_size > 0;
    bool begun = log && args && !lines && base_path_exists(args);
    base_free(log), base_free(args);
    return begun;
}

DEIT_INTERNAL base_status train_log_open(train_log *log, const char *folder) {
    *log = (train_log){.name = folder};
    bool inside = base_path_is_folder(folder);
    char *path = inside ? base_path_join(folder, "log.jsonl") : base_strdup(folder);
    if (!path) return BASE_ERROR;
    base_status status = base_path_exists(path) || !inside ? journal_lines(log, path)
                         : journal_begun(folder) ? base_fail("%s: no epoch of this run is finished yet", folder)
                                                 : base_fail("%s: no log.jsonl: expected the folder of a run", folder);
    char *end = path + strlen(path) - strlen("log.jsonl"); // the file itself was named: its run's options lie beside it
    if (!status && inside)
        log->args = journal_json(folder, "args.json");
    else if (!status && !strcmp(base_path_name(path), "log.jsonl"))
        *end = 0, log->args = journal_json(*path ? path : ".", "args.json");
    if (status) train_log_close(log);
    base_free(path);
    return status;
}

DEIT_INTERNAL void train_log_close(train_log *log) {
    json_decref(log->args);
    json_decref(log->epochs);
    *log = (train_log){0};
}

DEIT_INTERNAL double train_log_number(const json_t *line, const char *key) {
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A number of a line in so many columns, "-" where the line has none. */
static void journal_number(base_text *text, const json_t *line, const char *key, int width, int digits) {
    double value = train_log_number(line, key);
    if (isnan(value))
        base_text_printf(text, "  %*s", width, "-");
    else
        base_text_printf(text, "  %*.*f", width, digits, value);
}

DEIT_INTERNAL bool train_log_averaged(const train_log *logs, int n) {
    const json_t *line;
    size_t k;
    for (int i = 0; i < n; i++)
        json_array_foreach(logs[i].epochs, k, line) if (json_object_get(line, "test_ema_acc1")) return true;
    return false;
}

DEIT_INTERNAL const json_t *train_log_best(const train_log *log) {
    const json_t *best = json_array_get(log->epochs, 0), *line;
    size_t i;
    json_array_foreach(log->epochs, i, line) {
        double here = train_log_number(line, "test_acc1"), most = train_log_number(best, "test_acc1");
        if (here > most || (isnan(most) && !isnan(here))) best = line;
    }
    return best;
}

/* ---- Options that differ ----------------------------------------------------------------------------------------- */

/* Where a run lies is no difference; of a log without options nothing is known. */
static bool journal_differs(const train_log *logs, int n, const char *key) {
    const json_t *first = NULL;
    if (!strcmp(key, "output_dir")) return false;
    for (int i = 0; i < n; i++) {
        if (first && logs[i].args && !json_equal(json_object_get(logs[i].args, key), json_object_get(first, key)))
            return true;
        if (!first) first = logs[i].args;
    }
    return false;
}

static void journal_value(base_text *text, const char *key, const json_t *value) {
    char *dump = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    base_text_printf(text, "%s=%s", key, json_is_string(value) ? json_string_value(value) : dump ? dump : "?");
    free(dump);
}

DEIT_INTERNAL void train_log_differences(const train_log *logs, int n, int i, base_text *text) {
    const char *key;
    json_t *value;
    bool first = true;
    json_object_foreach(logs[i].args, key, value) {
        if (!journal_differs(logs, n, key)) continue;
        if (!first) base_text_printf(text, " ");
        journal_value(text, key, value);
        first = false;
    }
}

/* Of a single run, its epochs. */
static void journal_epochs(const train_log *log, base_text *text) {
    const json_t *line;
    size_t i;
    bool average = train_log_averaged(log, 1);
    base_text_printf(text, "\n epoch        lr  train loss  test loss  top-1  top-5%s\n", average ? "  average" : "");
    json_array_foreach(log->epochs, i, line) {
        double rate = train_log_number(line, "train_lr");
        base_text_printf(text, isnan(rate) ? "%6.0f         -" : "%6.0f  %8.3g", train_log_number(line, "epoch") + 1,
                         rate);
        journal_number(text, line, "train_loss", 10, 4);
        journal_number(text, line, "test_loss", 9, 4);
        journal_number(text, line, "test_acc1", 5, 2);
        journal_number(text, line, "test_acc5", 5, 2);
        if (average) journal_number(text, line, "test_ema_acc1", 7, 2);
        base_text_printf(text, "\n");
    }
}

DEIT_INTERNAL void train_log_text(const train_log *logs, int n, base_text *text) {
    char time[32];
    int width = 3;
    for (int i = 0; i < n; i++) width = (int)strlen(logs[i].name) > width ? (int)strlen(logs[i].name) : width;
    bool average = train_log_averaged(logs, n);
    base_text_printf(text,
                     "%-*s  epochs  best top-1 (epoch)  top-1  top-5%s  test loss  train loss  images/s      time\n",
                     width, "run", average ? "  average" : "");
    for (int i = 0; i < n; i++) {
        const json_t *best = train_log_best(&logs[i]),
                     *last = json_array_get(logs[i].epochs, json_array_size(logs[i].epochs) - 1);
        base_text_printf(text, "%-*s  %6.0f", width, logs[i].name, train_log_number(last, "epoch") + 1);
        journal_number(text, best, "test_acc1", 10, 2);
        base_text_printf(text, " %7.0f", train_log_number(best, "epoch") + 1);
        journal_number(text, last, "test_acc1", 5, 2);
        journal_number(text, last, "test_acc5", 5, 2);
        if (average) journal_number(text, last, "test_ema_acc1", 7, 2);
        journal_number(text, last, "test_loss", 9, 4);
        journal_number(text, last, "train_loss", 10, 4);
        journal_number(text, last, "images_per_s", 8, 0);
        double seconds = train_log_number(last, "seconds");
        base_text_printf(text, "  %8s\n", isnan(seconds) ? "-" : train_time_text(seconds, time));
        base_text differences = {0};
        if (n > 1) train_log_differences(logs, n, i, &differences);
        if (differences.size) base_text_printf(text, "%-*s  %s\n", width, "", differences.data);
        base_text_free(&differences);
    }
    if (n == 1) journal_epochs(logs, text);
}
