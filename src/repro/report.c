/* report: a run of tables - which rows, which cells, what came out. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static bool report_is(const char *word, size_t size, const char *name) {
    return name && strlen(name) == size && !strncasecmp(word, name, size);
}

static base_status report_unknown_row(const repro_table *table, const char *word) {
    const char *names[2 * REPRO_MAX_ROWS], *model = NULL;
    int n = 0, example = table->relative < 0 ? 0 : table->relative;
    for (int i = 0; i < table->n; i++) {
        names[n++] = table->rows[i].text[0];
        model = repro_row_text(table, &table->rows[i], "model");
        if (model) names[n++] = model;
    }
    const char *near = base_nearest(word, names, n);
    if (near) return base_fail_as(BASE_USAGE, "%s has no row '%s'; did you mean '%s'?", table->name, word, near);
    model = repro_row_text(table, &table->rows[example], "model");
    return base_fail_as(BASE_USAGE, "%s has no row '%s'; rows are called as in the paper (%s)%s%s%s", table->name, word,
                        table->rows[example].text[0], model ? " or by their network (" : "", model ? model : "",
                        model ? ")" : "");
}

/* Marks the rows that `only` names: labels or networks' names, separated by commas. Labels may have commas. */
static base_status report_select(const repro_table *table, const char *only, bool wanted[REPRO_MAX_ROWS]) {
    for (int i = 0; i < table->n; i++) wanted[i] = !only;
    while (only && *only) {
        size_t size = 0;
        bool found = false;
        for (int i = 0; i < table->n; i++) { /* the longest label that stands here */
            size_t length = strlen(table->rows[i].text[0]);
            bool ends = strlen(only) >= length && (!only[length] || only[length] == ',');
            if (length > size && ends && report_is(only, length, table->rows[i].text[0])) size = length;
        }
        if (!size) size = strcspn(only, ",");
        for (int i = 0; i < table->n; i++)
            if (report_is(only, size, table->rows[i].text[0]) ||
                report_is(only, size, repro_row_text(table, &table->rows[i], "model")))
                wanted[i] = found = true;
        char word[128];
        snprintf(word, sizeof word, "%.*s", (int)size, only);
        if (!found) return report_unknown_row(table, word);
        only += size + (only[size] == ',');
    }
    return BASE_OK;
}

/* The speed of the row's network, in the book's list. */
static const repro_net *report_net(repro_book *book, const model_config *config, int64_t params, double gflop) {
    for (int i = 0; i < book->n_nets; i++)
        if (book->nets[i].config.image == config->image && !strcmp(book->nets[i].config.name, config->name))
            return &book->nets[i];
    repro_net *net = &book->nets[book->n_nets++];
    net->config = *config, net->params = params, net->gflop = gflop, net->batch = repro_speed_batch(gflop);
    return net;
}

static bool report_has_kind(const repro_table *table, repro_kind kind) {
    for (int c = 0; c < table->n_columns; c++)
        if (table->columns[c].kind == kind) return true;
    return false;
}

/* The network of the row, if it has one and this version knows it. */
static base_status report_network(repro_book *book, const repro_table *table, repro_result *r) {
    const model_config *found = NULL;
    r->model = repro_row_text(table, r->row, "model");
    for (int i = 0; r->model && !found && i < model_count(); i++)
        if (!strcmp(model_at(i)->name, r->model)) found = model_at(i);
    if (!found) return BASE_OK;
    model_config config = *found;
    r->known = true;
    const char *image = repro_row_text(table, r->row, "image");
    r->image = config.image = image ? atoi(image) : config.image;
    BASE_TRY(model_size(&config, &r->params, &r->gflop));
    if (report_has_kind(table, REPRO_SPEED)) r->net = report_net(book, &config, r->params, r->gflop);
    return BASE_OK;
}

/* The public weights that the row of Table 5 has, of the same label or the one under "weights". */
static base_status report_weights(repro_book *book, const repro_table *table, repro_result *r) {
    const char *row = r->row->text[0];
    if (repro_column_find(table, "weights") >= 0) row = repro_row_text(table, r->row, "weights");
    r->weights = row && r->model ? repro_weights_for_row(row, &r->same) : NULL;
    if (!r->weights || !book->options.weights_dir) return BASE_OK;
    r->weights_path = base_arena_printf(&book->arena, "%s/%s", book->options.weights_dir, r->weights->file);
    return r->weights_path ? BASE_OK : BASE_ERROR;
}

static base_status report_row(repro_report *report, repro_book *book, const repro_row *row) {
    const repro_table *table = report->table;
    repro_result *r = &report->rows[report->n++];
    *r = (repro_result){.row = row};
    BASE_TRY(report_network(book, table, r));
    BASE_TRY(report_weights(book, table, r));
    for (int s = 0; s < REPRO_SCALES; s++)
        for (int c = 0; c < table->n_columns; c++) {
            repro_cell *cell = &r->cell[s][c];
            *cell = (repro_cell){.value = NAN};
            if (repro_has_measured(report, (repro_scale)s, c) && r->model && !r->known)
                cell->why = "the network is not in this version";
        }
    return BASE_OK;
}

/* ---- Cells ------------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL const repro_command *repro_command_for(const repro_table *table, repro_scale scale, int column) {
    for (int i = 0; i < table->n_commands; i++)
        for (int k = 0; k < table->commands[i].n; k++)
            if (table->commands[i].scale == scale && table->commands[i].column[k] == column) return &table->commands[i];
    return NULL;
}

DEIT_INTERNAL base_status repro_add_todo(repro_book *book, const char *label, const char *command) {
    if (!label || !command) return BASE_ERROR;
    for (int i = 0; i < book->n_todo; i++)
        if (!strcmp(book->todo[i].command, command)) return BASE_OK;
    if (book->n_todo < REPRO_MAX_TODO) book->todo[book->n_todo++] = (repro_todo){label, command};
    return BASE_OK;
}

static json_t *report_kept_cell(repro_state *state, const char *key, double *seconds) {
    double age = 0;
    json_t *cell = state->book->options.fresh ? NULL : repro_cells_load(&state->cells, key, &age);
    if (!cell) return NULL;
    json_t *output = json_incref(json_object_get(cell, "output"));
    *seconds = json_number_value(json_object_get(cell, "seconds"));
    state->earlier += *seconds;
    json_decref(cell);
    state->book->reused++;
    if (age > state->oldest) state->oldest = age;
    return output;
}

DEIT_INTERNAL base_status repro_cell_run(repro_state *state, const char *key, const char *const *words, json_t **output,
                                         double *seconds) {
    base_text_add(&state->keys, key, strlen(key) + 1);
    if (state->keys.failed) return base_fail("out of memory");
    state->book->cells++;
    base_status status = BASE_OK;
    *output = report_kept_cell(state, key, seconds);
    if (!*output) {
        double start = base_now();
        status = repro_child(words, true, -1, output, &state->progress);
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
static void report_announce(const repro_state *state, int speed) {
    const repro_book *book = state->book;
    double largest = 0;
    int others = 0;
    for (repro_job *job = state->jobs; job; job = job->next) others += repro_job_unrecorded(state, job);
    for (int i = 0; i < book->n_nets; i++) largest = fmax(largest, (double)book->nets[i].params);
    if (speed)
        base_log(state->progress.context, BASE_LOG_INFO,
                 "%s: %d measurement%s of speed, at most about %.0f minutes, %.1f GB of memory; Ctrl-C stops, the next "
                 "run goes on from there",
                 state->progress.what, speed, speed == 1 ? "" : "s", state->budget / 60, largest * 6e-9 + 0.2);
    if (others)
        base_log(state->progress.context, BASE_LOG_INFO,
                 "%s: %d other cell%s not recorded yet; --dry-run says how long they take", state->progress.what,
                 others, others == 1 ? " is" : "s are");
}

static void report_say_kept(const char *folder, const base_context *context) {
    base_log(context, BASE_LOG_INFO, "finished measurements are kept in %s: the same command goes on from there",
             folder);
}

static base_status report_measure(repro_state *state) {
    repro_book *book = state->book;
    BASE_TRY(repro_plan(state));
    int speed = repro_speed_cells(state);
    state->progress.total = speed + state->n_jobs;
    report_announce(state, speed);
    base_status status = repro_speed(state);
    if (book->reused)
        base_log(state->progress.context, BASE_LOG_INFO,
                 "%d of %d measurements were taken over from an interrupted run (the oldest of %.0f minutes ago); "
                 "--fresh measures all anew",
                 book->reused, book->cells, ceil(state->oldest / 60));
    if (!status) status = repro_work(state);
    if (!status) status = repro_add_todos(state);
    if (!status && !book->failed) {
        book->keys = state->keys, book->kept = state->cells.folder;
        state->keys = (base_text){0}, state->cells.folder = NULL;
    } else if (book->n_nets && state->cells.folder) {
        report_say_kept(state->cells.folder, state->progress.context);
    }
    return status;
}

DEIT_INTERNAL void repro_book_done(repro_book *book, bool shown, const base_context *context) {
    repro_cells cells = {book->kept};
    if (!shown && book->n_nets && book->kept) report_say_kept(book->kept, context);
    for (size_t at = 0; shown && at < book->keys.size; at += strlen(book->keys.data + at) + 1)
        repro_cells_forget(&cells, book->keys.data + at);
    repro_cells_close(&cells);
    book->kept = NULL;
}

static base_status report_add(repro_book *book, const repro_table *table) {
    bool wanted[REPRO_MAX_ROWS];
    BASE_TRY(report_select(table, book->options.only, wanted));
    repro_report *report = base_calloc(1, sizeof *report);
    if (!report) return BASE_ERROR;
    book->report[book->n++] = report;
    report->book = book, report->table = table;
    for (int i = 0; i < table->n; i++)
        if (wanted[i]) BASE_TRY(report_row(report, book, &table->rows[i]));
    return BASE_OK;
}

static base_status report_prepare(repro_state *state, repro_table *const *tables, int n, const repro_options *options) {
    repro_book *book = state->book;
    int rows = 0;
    book->options = *options;
    if (!book->options.precision) book->options.precision = "f32";
    if (book->options.scale < 0) book->options.scale = state->places.imagenet ? REPRO_PAPER : REPRO_DESK;
    for (int i = 0; i < n; i++) rows += tables[i]->n;
    book->nets = base_calloc((size_t)rows, sizeof *book->nets);
    if (!book->nets) return BASE_ERROR;
    for (int i = 0; i < n; i++) {
        BASE_TRY(report_add(book, tables[i]));
        state->samples = tables[i]->samples > state->samples ? tables[i]->samples : state->samples;
        state->budget = fmax(state->budget, tables[i]->budget);
    }
    book->conditions = repro_conditions(book->options.precision, 0);
    return book->conditions ? BASE_OK : base_fail("out of memory");
}

DEIT_INTERNAL base_status repro_begin(repro_state *state, repro_table *const *tables, int n,
                                      const repro_options *options, const base_context *context) {
    *state = (repro_state){.book = base_calloc(1, sizeof *state->book),
                           .progress = {.context = context, .what = n == 1 ? tables[0]->name : "all"}};
    if (!state->book) return BASE_ERROR;
    clock_gettime(CLOCK_REALTIME, &state->begun);
    base_status status = repro_locate(&state->places, options->data, &state->book->arena);
    if (!status) status = repro_record_sets(options->results, &state->places, &state->book->arena);
    if (!status) status = report_prepare(state, tables, n, options);
    if (!status) status = repro_cells_open(&state->cells, state->progress.what);
    if (!status) return BASE_OK;
    repro_end(state);
    repro_book_free(state->book);
    return status;
}

DEIT_INTERNAL void repro_end(repro_state *state) {
    repro_plan_free(state);
    repro_cells_close(&state->cells);
    base_text_free(&state->keys);
}

DEIT_INTERNAL base_status repro_run(repro_book **out, repro_table *const *tables, int n, const repro_options *options,
                                    const base_context *context) {
    repro_state state;
    double start = base_now();
    *out = NULL;
    BASE_TRY(repro_begin(&state, tables, n, options, context));
    base_status status = report_measure(&state);
    state.book->seconds = state.earlier + base_now() - start;
    repro_end(&state);
    if (status)
        repro_book_free(state.book);
    else
        *out = state.book;
    return status;
}

static void report_free(repro_report *report) {
    for (int i = 0; i < report->n; i++)
        for (int s = 0; s < REPRO_SCALES; s++)
            for (int c = 0; c < report->table->n_columns; c++) {
                const repro_cell *cell = &report->rows[i].cell[s][c];
                for (int k = 0; k < cell->n && cell->origins; k++)
                    json_decref((json_t *)(uintptr_t)cell->origins[k].conditions);
            }
    base_free(report);
}

DEIT_INTERNAL void repro_book_free(repro_book *book) {
    if (!book) return;
    for (int i = 0; i < book->n; i++) report_free(book->report[i]);
    base_free(book->nets);
    json_decref(book->conditions);
    base_free(book->kept);
    base_text_free(&book->keys);
    base_arena_free(&book->arena);
    base_free(book);
}

static int report_speed_column(const repro_table *table) {
    for (int c = 0; c < table->n_columns; c++)
        if (table->columns[c].kind == REPRO_SPEED) return c;
    return -1;
}

DEIT_INTERNAL double repro_relative(const repro_report *report, const repro_result *result, bool published) {
    const repro_table *table = report->table;
    int speed = report_speed_column(table);
    if (speed < 0 || table->relative < 0) return NAN;
    const repro_row *base = &table->rows[table->relative];
    double ours = published ? result->row->published[speed] : result->cell[REPRO_PAPER][speed].value;
    double theirs = published ? base->published[speed] : NAN;
    for (int i = 0; !published && i < report->n; i++)
        if (report->rows[i].row == base) theirs = report->rows[i].cell[REPRO_PAPER][speed].value;
    return ours / theirs;
}
