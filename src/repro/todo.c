/* todo: what was not measured, and the commands that would measure it. */
#include "repro/internal.h"

#include <math.h>
#include <string.h>

/* Whether the row's public weights are not here. */
static bool todo_lacks_weights(const repro_result *r) {
    return r->known && r->weights && r->weights_path && !base_path_exists(r->weights_path);
}

static bool todo_named(const char *const *words, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (!strcmp(words[i], name)) return true;
    return false;
}

/* Adds the names of the public weights that a row wants and that are not here: its network's, and those in columns. */
static void todo_fetch(const repro_book *book, const repro_table *table, const repro_result *r, const char **names,
                       int *n) {
    if (todo_lacks_weights(r) && *n < REPRO_MAX_TODO && !todo_named(names, *n, r->weights->name))
        names[(*n)++] = r->weights->name;
    for (int c = 0; c < table->n_columns; c++) {
        const repro_weights *weights =
            table->columns[c].kind == REPRO_WEIGHTS ? repro_weights_find(r->row->text[c]) : NULL;
        char *path =
            weights && book->options.weights_dir ? base_path_join(book->options.weights_dir, weights->file) : NULL;
        if (path && !base_path_exists(path) && *n < REPRO_MAX_TODO && !todo_named(names, *n, weights->name))
            names[(*n)++] = weights->name;
        base_free(path);
    }
}

/* Whether the paper publishes the cell: of a column in which it publishes nothing, every row is meant. */
static bool todo_published(const repro_table *table, const repro_row *row, int column) {
    bool any = false;
    for (int i = 0; i < table->n; i++) any |= !isnan(table->rows[i].published[column]);
    return !any || !isnan(row->published[column]);
}

/* Whether a command would make something that the paper publishes and that was not measured. */
static bool todo_wanted(const repro_table *table, const repro_result *r, const repro_command *command) {
    for (int k = 0; k < command->n; k++) {
        int c = command->column[k];
        if (todo_published(table, r->row, c) && isnan(r->cell[command->scale][c].value)) return true;
    }
    return false;
}

/* What `deit data fetch` has files of. name: what commands call it. */
static const char *todo_set(int i, const char **name) {
    static const char *const others[][2] = {
        {"real", "real"}, {"imagenetv2", "imagenetv2"}, {"fashion-mnist", "fashion"}};
    const int n = sizeof others / sizeof *others;
    *name = i < n ? others[i][1] : repro_set_at(i - n)->name;
    return i < n ? others[i][0] : repro_set_at(i - n)->set;
}

/* "deit data fetch NAME...", of the sets that `wanted` says, to where data are looked for. */
static const char *todo_fetch_data(const repro_state *state, const bool wanted[REPRO_TODO_SETS]) {
    const char *words[REPRO_TODO_SETS + 6] = {"deit", "data", "fetch"};
    const char *name;
    int n = 3;
    for (int i = 0; i < REPRO_TODO_SETS; i++)
        if (wanted[i]) words[n++] = todo_set(i, &name);
    if (state->book->options.data_named) words[n++] = "--data-dir", words[n++] = state->places.folder;
    return repro_command_line(words, state->book->options.program, &state->book->arena);
}

/* Whether a row's command reads a set, {inat18}, or by a cell that says so. */
static bool todo_reads(const repro_table *table, const repro_row *row, const repro_command *command, const char *set) {
    char name[80], column[80];
    snprintf(name, sizeof name, "{%.70s}", set);
    bool reads = strstr(command->text, name) != NULL;
    for (int c = 1; c < table->n_columns; c++) {
        snprintf(column, sizeof column, "{%.70s}", table->columns[c].name);
        reads |= !strcmp(row->text[c], name) && strstr(command->text, column);
    }
    return reads;
}

/* Notes, and adds a command for, each of these sets that a command reads and that is not here. */
static base_status todo_lacks_data(repro_state *state, const repro_table *table, const repro_row *row,
                                   const repro_command *command) {
    for (int i = 0; i < REPRO_TODO_SETS; i++) {
        bool one[REPRO_TODO_SETS] = {false};
        const char *name, *set = todo_set(i, &name);
        if (state->lacks_data[i] || repro_place(&state->places, set) || !todo_reads(table, row, command, name))
            continue;
        state->lacks_data[i] = one[i] = true;
        BASE_TRY(repro_add_todo(state->book, row->text[0], todo_fetch_data(state, one)));
    }
    return BASE_OK;
}

/* Whether a command trains one of the paper's networks and could here: ImageNet must be here for that, for it cannot be
 * fetched. */
static bool todo_trains(const repro_state *state, const repro_table *table, const repro_row *row,
                        const repro_command *command) {
    const repro_options *options = &state->book->options;
    bool small = options->scale_named && options->scale == REPRO_DESK;
    return !small && (state->places.train || !todo_reads(table, row, command, "train"));
}

/* Whether the row has the trainings that a command of small networks reads. */
static bool todo_has_trainings(const repro_table *table, const repro_row *row, const char *text) {
    for (int c = 0; c < table->n_columns; c++) {
        char name[80];
        snprintf(name, sizeof name, "{%.70s}", table->columns[c].name);
        if (table->columns[c].kind == REPRO_TRAINING && !strcmp(row->text[c], "-") && strstr(text, name)) return false;
    }
    return true;
}

/* A command that trains, or reads what such a training makes, is not printed, for --dry-run does that: the data that it
 * reads are told, and that it needs --retrain. */
static base_status todo_command(repro_state *state, const repro_report *report, const repro_result *r,
                                const repro_command *command, const char *fetch, bool *fetched) {
    const char *words[REPRO_MAX_WORDS], *label = r->row->text[0];
    const repro_job job = {.table = report->table, .row = r->row, .result = r, .command = command};
    bool trains = strstr(command->text, "{folder}");
    repro_lacks lacks;
    if (command->scale == REPRO_DESK)
        return todo_has_trainings(report->table, r->row, command->text)
                   ? todo_lacks_data(state, report->table, r->row, command)
                   : BASE_OK;
    BASE_TRY(repro_job_words(state, &job, REPRO_FILL_SHOW, words, &lacks));
    if (lacks.needs || (trains && !todo_trains(state, report->table, r->row, command))) return BASE_OK;
    state->lacks_training |= trains;
    if (trains) return todo_lacks_data(state, report->table, r->row, command);
    if (!*fetched) BASE_TRY(repro_add_todo(state->book, label, fetch));
    *fetched = true;
    BASE_TRY(todo_lacks_data(state, report->table, r->row, command));
    for (int w = 0; words[w]; w++)
        if (!strcmp(words[w], "--json")) words[w] = NULL; /* the last word: people read the text */
    return repro_add_todo(state->book, label,
                          repro_command_line(words, state->book->options.program, &state->book->arena));
}

static base_status todo_row(repro_state *state, const repro_report *report, const repro_result *r) {
    repro_book *book = state->book;
    const char *fetch[REPRO_MAX_TODO + 8] = {"deit", "weights", "fetch"};
    int n = 3;
    todo_fetch(book, report->table, r, fetch, &n);
    bool fetched = n == 3;
    const char *line = repro_command_line(fetch, book->options.program, &book->arena);
    for (int k = 0; k < report->table->n_commands; k++) {
        const repro_command *command = &report->table->commands[k];
        if (repro_is_speed(report->table, command) ||
            (command->scale == REPRO_DESK && book->options.scale == REPRO_PAPER) ||
            !todo_wanted(report->table, r, command))
            continue;
        BASE_TRY(todo_command(state, report, r, command, line, &fetched));
    }
    return BASE_OK;
}

/* The commands that make all that is missing: the weights', the data sets', and this run's again. */
static base_status todo_commands(const repro_state *state) {
    repro_book *book = state->book;
    const repro_options *options = &book->options;
    const char *fetch[REPRO_MAX_TODO + 8] = {"deit", "weights", "fetch"}, *again[20] = {"deit", "repro"};
    int n = 3, m = 2;
    for (int b = 0; b < book->n; b++)
        for (int i = 0; i < book->report[b]->n; i++)
            todo_fetch(book, book->report[b]->table, &book->report[b]->rows[i], fetch, &n);
    bool lacks = n > 3;
    const repro_table *table = book->report[0]->table;
    again[m++] = book->n > 1     ? "all"
                 : table->folder ? base_arena_printf(&book->arena, "%s/%s", table->folder, table->name)
                                 : table->name;
    if (options->only) again[m++] = "--only", again[m++] = options->only;
    if (strcmp(options->precision, "f32") != 0) again[m++] = "--precision", again[m++] = options->precision;
    if (options->scale_named) again[m++] = "--scale", again[m++] = repro_scale_name((repro_scale)options->scale);
    if (options->retrain || state->lacks_training) again[m++] = "--retrain";
    if (options->data_named) again[m++] = "--data", again[m++] = options->data;
    if (options->results_named) again[m++] = "--results", again[m++] = options->results;
    if (options->weights_named) {
        fetch[n++] = again[m++] = "--weights-dir";
        fetch[n++] = again[m++] = options->weights_dir;
    }
    if (lacks) book->fetch = repro_command_line(fetch, book->options.program, &book->arena);
    book->again = repro_command_line(again, book->options.program, &book->arena);
    bool data = false;
    for (int i = 0; i < REPRO_TODO_SETS; i++) data |= state->lacks_data[i];
    if (data) book->fetch_data = todo_fetch_data(state, state->lacks_data);
    return book->again && (book->fetch || !lacks) && (book->fetch_data || !data) ? BASE_OK : BASE_ERROR;
}

static base_status todo_notes(const repro_state *state, int no_weights) {
    repro_book *book = state->book;
    const char *folder = book->options.weights_dir, *data = book->options.data,
               *get = state->places.imagenet ? "" : "; 'deit data fetch imagenet' says where that is from";
    if (no_weights && (folder = repro_command_word(folder, &book->arena)))
        book->weights_note = base_arena_printf(
            &book->arena, "no weights in %s for %d row%s (--weights-dir or DEIT_WEIGHTS names another folder)", folder,
            no_weights, no_weights == 1 ? "" : "s");
    if (data)
        book->data_note =
            base_arena_printf(&book->arena, "in %s: %s ImageNet, %s real.json, %s ImageNetV2%s", data,
                              state->places.imagenet ? "found" : "no", state->places.real ? "found" : "no",
                              state->places.imagenetv2 ? "found" : "no", get);
    else
        book->data_note = base_arena_printf(
            &book->arena, "no data sets (--data or DEIT_DATA names their folder; see 'deit repro --help')%s", get);
    return book->data_note ? BASE_OK : BASE_ERROR;
}

/* Tables without accuracies of the paper's networks need neither weights nor ImageNet. */
DEIT_INTERNAL base_status repro_add_todos(repro_state *state) {
    int no_weights = 0;
    bool any = false;
    for (int b = 0; b < state->book->n; b++) {
        const repro_report *report = state->book->report[b];
        bool accuracy = false;
        for (int k = 0; k < report->table->n_commands; k++)
            accuracy |= report->table->commands[k].scale == REPRO_PAPER &&
                        !repro_is_speed(report->table, &report->table->commands[k]);
        for (int i = 0; i < report->n; i++) {
            no_weights += accuracy && todo_lacks_weights(&report->rows[i]);
            BASE_TRY(todo_row(state, report, &report->rows[i]));
        }
        any |= accuracy;
    }
    for (const repro_job *job = state->jobs; job; job = job->next)
        state->lacks_training |= job->used && job->state == REPRO_JOB_NOT_RUN;
    if (!state->book->n_todo && !state->lacks_training) return BASE_OK;
    if (any) BASE_TRY(todo_notes(state, no_weights));
    return todo_commands(state);
}
