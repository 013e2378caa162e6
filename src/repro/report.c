/* report: a run of a table - which rows, which cells, what came out. */
#include "repro/internal.h"

#include <math.h>
#include <string.h>

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static bool report_is(const char *word, size_t size, const char *name) {
    return strlen(name) == size && !strncasecmp(word, name, size);
}

static base_status report_unknown_row(const repro_table *table, const char *word) {
    const char *names[2 * REPRO_MAX_ROWS];
    int n = 0;
    for (int i = 0; i < table->n; i++) names[n++] = table->rows[i].label, names[n++] = table->rows[i].model;
    const char *near = base_nearest(word, names, n);
    if (near) return base_fail_as(BASE_USAGE, "%s has no row '%s'; did you mean '%s'?", table->name, word, near);
    return base_fail_as(BASE_USAGE, "%s has no row '%s'; rows are called as in the paper (%s) or by their network (%s)",
                        table->name, word, table->rows[table->relative].label, table->rows[table->relative].model);
}

/* Marks the rows that `only` names: labels or networks' names, separated by commas. */
static base_status report_select(const repro_table *table, const char *only, bool wanted[REPRO_MAX_ROWS]) {
    for (int i = 0; i < table->n; i++) wanted[i] = !only;
    while (only && *only) {
        size_t size = strcspn(only, ",");
        bool found = false;
        for (int i = 0; i < table->n; i++)
            if (report_is(only, size, table->rows[i].label) || report_is(only, size, table->rows[i].model))
                wanted[i] = found = true;
        char word[128];
        snprintf(word, sizeof word, "%.*s", (int)size, only);
        if (!found) return report_unknown_row(table, word);
        only += size + (only[size] == ',');
    }
    return BASE_OK;
}

static base_status report_row(repro_report *report, const repro_row *row) {
    repro_result *r = &report->rows[report->n++];
    *r = (repro_result){.row = row};
    model_config config;
    for (int i = 0; !r->known && i < model_count(); i++) {
        config = *model_at(i);
        r->known = !strcmp(config.name, row->model);
    }
    for (int c = 0; c < REPRO_COLUMNS; c++)
        r->cell[c] = (repro_cell){-1, r->known ? NULL : "the network is not in this version", 0};
    if (r->known) {
        config.image = row->image;
        BASE_TRY(model_size(&config, &r->params, &r->gflop));
    }
    r->weights = repro_weights_for_row(row->label, &r->same);
    if (!r->weights || !report->options.weights_dir) return BASE_OK;
    const char *path = base_arena_printf(&report->arena, "%s/%s", report->options.weights_dir, r->weights->file);
    if (!path) return BASE_ERROR;
    r->weights_path = path;
    return BASE_OK;
}

/* ---- Cells ------------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL const char *repro_command_for(const repro_table *table, repro_column column) {
    for (int i = 0; i < table->n_commands; i++)
        if (table->commands[i].makes >> column & 1) return table->commands[i].text;
    return NULL;
}

DEIT_INTERNAL base_status repro_add_todo(repro_report *report, const char *label, const char *command) {
    if (!label || !command) return BASE_ERROR;
    for (int i = 0; i < report->n_todo; i++)
        if (!strcmp(report->todo[i].command, command)) return BASE_OK;
    if (report->n_todo < (int)(sizeof report->todo / sizeof *report->todo))
        report->todo[report->n_todo++] = (repro_todo){label, command};
    return BASE_OK;
}

static json_t *report_kept_cell(repro_state *state, const char *key, double *seconds) {
    double age = 0;
    json_t *cell = state->report->options.fresh ? NULL : repro_cells_load(&state->cells, key, &age);
    if (!cell) return NULL;
    json_t *output = json_incref(json_object_get(cell, "output"));
    *seconds = json_number_value(json_object_get(cell, "seconds"));
    json_decref(cell);
    state->report->reused++;
    if (age > state->oldest) state->oldest = age;
    return output;
}

DEIT_INTERNAL base_status repro_cell_run(repro_state *state, const char *key, const char *const *words, json_t **output,
                                         double *seconds) {
    base_text_add(&state->keys, key, strlen(key) + 1);
    if (state->keys.failed) return base_fail("out of memory");
    state->report->cells++;
    base_status status = BASE_OK;
    *output = report_kept_cell(state, key, seconds);
    if (!*output) {
        double start = base_now();
        status = repro_child(words, output, &state->progress);
        *seconds = base_now() - start;
        if (!status) {
            json_t *cell = json_pack("{s:O, s:f}", "output", *output, "seconds", *seconds);
            base_status kept = cell ? repro_cells_keep(&state->cells, key, cell) : base_fail("out of memory");
            json_decref(cell);
            if (kept)
                base_log(state->progress.context, BASE_LOG_WARNING, "an interrupted run could not go on from here: %s",
                         base_message());
        }
    }
    state->progress.done++;
    state->used += *seconds;
    return status;
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

/* What the user should know before waiting. */
static void report_announce(const repro_state *state, int speed, int accuracy) {
    const repro_report *report = state->report;
    double largest = 0;
    for (int i = 0; i < report->n; i++) largest = fmax(largest, (double)report->rows[i].params);
    if (speed)
        base_log(state->progress.context, BASE_LOG_INFO,
                 "%s: %d measurements of speed, at most about %.0f minutes, %.1f GB of memory; Ctrl-C stops, the next "
                 "run goes on from there",
                 report->table->name, speed, report->table->budget / 60, largest * 6e-9 + 0.2);
    if (accuracy)
        base_log(state->progress.context, BASE_LOG_INFO,
                 "%s: %d evaluations of accuracy, as long as the data sets and the networks need", report->table->name,
                 accuracy);
}

static void report_forget(repro_state *state) {
    for (size_t at = 0; at < state->keys.size; at += strlen(state->keys.data + at) + 1)
        repro_cells_forget(&state->cells, state->keys.data + at);
}

static base_status report_measure(repro_state *state) {
    repro_report *report = state->report;
    int speed = repro_speed_cells(state), accuracy = repro_accuracy_cells(state);
    state->progress.total = speed + accuracy;
    report_announce(state, speed, accuracy);
    base_status status = repro_speed(state);
    if (!status) status = repro_accuracy(state);
    if (!status) status = repro_accuracy_todo(state);
    if (report->reused)
        base_log(state->progress.context, BASE_LOG_INFO,
                 "%d of %d measurements were taken over from an interrupted run (the oldest of %.0f minutes ago); "
                 "--fresh measures all anew",
                 report->reused, report->cells, ceil(state->oldest / 60));
    if (!status && !report->failed)
        report_forget(state);
    else if (report->cells && state->cells.folder)
        base_log(state->progress.context, BASE_LOG_INFO,
                 "finished measurements are kept in %s: the same command goes on from there", state->cells.folder);
    return status;
}

static base_status report_prepare(repro_report *report, const repro_options *options) {
    const repro_table *table = report->table;
    bool wanted[REPRO_MAX_ROWS];
    report->options = *options;
    if (!report->options.precision) report->options.precision = "f32";
    BASE_TRY(report_select(table, options->only, wanted));
    for (int i = 0; i < table->n; i++)
        if (wanted[i]) BASE_TRY(report_row(report, &table->rows[i]));
    report->conditions = repro_conditions(report->options.precision, 0);
    return report->conditions ? BASE_OK : base_fail("out of memory");
}

DEIT_INTERNAL base_status repro_run(repro_report **out, const repro_table *table, const repro_options *options,
                                    const base_context *context) {
    *out = NULL;
    repro_report *report = base_calloc(1, sizeof *report);
    if (!report) return BASE_ERROR;
    report->table = table;
    repro_state state = {.report = report, .progress = {.context = context, .table = table->name}};
    double start = base_now();
    base_status status = report_prepare(report, options);
    if (!status) status = repro_locate(&state.places, options->data, &report->arena);
    if (!status) status = repro_cells_open(&state.cells, table);
    if (!status) status = report_measure(&state);
    report->seconds = base_now() - start;
    repro_cells_close(&state.cells);
    base_text_free(&state.keys);
    if (status)
        repro_report_free(report);
    else
        *out = report;
    return status;
}

DEIT_INTERNAL void repro_report_free(repro_report *report) {
    if (!report) return;
    json_decref(report->conditions);
    base_arena_free(&report->arena);
    base_free(report);
}

DEIT_INTERNAL double repro_relative(const repro_report *report, const repro_result *result, bool published) {
    const repro_row *base = &report->table->rows[report->table->relative];
    double ours = published ? result->row->published[REPRO_IMAGES_PER_S] : result->cell[REPRO_IMAGES_PER_S].value;
    double theirs = published ? base->published[REPRO_IMAGES_PER_S] : -1;
    for (int i = 0; !published && i < report->n; i++)
        if (report->rows[i].row == base) theirs = report->rows[i].cell[REPRO_IMAGES_PER_S].value;
    return ours > 0 && theirs > 0 ? ours / theirs : -1;
}
