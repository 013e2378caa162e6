/* plan: which jobs make the cells of a run's tables, once each however many cells they serve, and what came out of
 * them. Speeds are measure.c's. */
#include "repro/internal.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names in commands ------------------------------------------------------------------------------------------- */

static const char *plan_in(const repro_state *state, const char *name) {
    const char *data = state->book->options.data;
    const char *folder = data && base_path_is_folder(data) ? data : "$DEIT_DATA";
    return base_arena_printf(&state->book->arena, "%s/%s", folder, name);
}

/* The places of data and weights, and the row's own cells: names[REPRO_MAX_NAMES]; how many. */
static int plan_names(const repro_state *state, const repro_report *report, const repro_result *r, repro_name *names) {
    const repro_book *book = state->book;
    const repro_places *at = &state->places;
    const char *model_image = repro_row_text(report->table, r->row, "image");
    bool f32 = !strcmp(book->options.precision, "f32"), here = r->weights_path && base_path_exists(r->weights_path);
    for (int i = 0; r->known && model_image && i < model_count(); i++) /* its own size needs no flag */
        if (!strcmp(model_at(i)->name, r->model) && model_at(i)->image == r->image) model_image = NULL;
    int n = 0;
    names[n++] = (repro_name){"image", model_image, NULL, NULL};
    names[n++] = (repro_name){"precision", f32 ? NULL : book->options.precision, NULL, NULL};
    names[n++] = (repro_name){"weights", here ? r->weights_path : NULL, r->weights_path,
                              r->weights ? "the weights are not here" : "no public weights"};
    names[n++] = (repro_name){"imagenet", at->imagenet, plan_in(state, "val"), "ImageNet is not here"};
    names[n++] = (repro_name){"labels", at->labels, NULL, "the labels are not here"};
    names[n++] = (repro_name){"real", at->real, plan_in(state, "real.json"), "real.json is not here"};
    names[n++] = (repro_name){"imagenetv2", at->imagenetv2, plan_in(state, "imagenetv2-matched-frequency.tar.gz"),
                              "ImageNetV2 is not here"};
    for (int c = 0; c < report->table->n_columns; c++) {
        const char *text = r->row->text[c];
        bool known = strcmp(text, "-") != 0 && (c != repro_column_find(report->table, "model") || r->known);
        names[n++] = (repro_name){report->table->columns[c].name, known ? text : NULL, NULL, "not at this scale"};
    }
    return n;
}

DEIT_INTERNAL base_status repro_plan_words(const repro_state *state, const repro_report *report, const repro_result *r,
                                           const repro_command *command, bool show, const char *words[REPRO_MAX_WORDS],
                                           repro_lacks *lacks) {
    repro_name *names = base_arena_alloc(&state->book->arena, REPRO_MAX_NAMES * sizeof *names);
    if (!names) return BASE_ERROR;
    int n = plan_names(state, report, r, names);
    return repro_command_fill(command->text, names, n, show, &state->book->arena, words, lacks);
}

/* ---- Jobs and what they serve ------------------------------------------------------------------------------------ */

DEIT_INTERNAL bool repro_is_speed(const repro_table *table, const repro_command *command) {
    for (int k = 0; k < command->n; k++)
        if (table->columns[command->column[k]].kind == REPRO_SPEED) return true;
    return false;
}

static repro_job *plan_job(repro_state *state, const char *const *words, const char *label) {
    base_arena *arena = &state->book->arena;
    const char *line = repro_command_line(words, arena);
    if (!line) return NULL;
    for (repro_job *job = state->jobs; job; job = job->next)
        if (!strcmp(job->line, line)) return job;
    repro_job *job = base_arena_alloc(arena, sizeof *job);
    int n = 0;
    while (words[n]) n++;
    const char **copy = base_arena_alloc(arena, (size_t)(n + 1) * sizeof *copy);
    if (!job || !copy) return NULL;
    memcpy(copy, words, (size_t)n * sizeof *copy);
    *job = (repro_job){.words = copy, .line = line, .label = label};
    *state->last_job = job, state->last_job = &job->next;
    state->n_jobs++;
    return job;
}

static base_status plan_use(repro_state *state, repro_result *r, const repro_command *command, repro_job *job,
                            const char *left_out) {
    repro_use *use = base_arena_alloc(&state->book->arena, sizeof *use);
    if (!use || !job) return BASE_ERROR;
    *use = (repro_use){.result = r, .command = command, .job = job, .left_out = left_out};
    *state->last_use = use, state->last_use = &use->next;
    return BASE_OK;
}

static void plan_reason(repro_result *r, const repro_command *command, const char *why, bool failed) {
    for (int k = 0; k < command->n; k++) {
        repro_cell *cell = &r->cell[command->scale][command->column[k]];
        if (isnan(cell->value) && !cell->why) cell->why = why, cell->failed = failed;
    }
}

static base_status plan_cell(repro_state *state, const repro_report *report, repro_result *r,
                             const repro_command *command) {
    const char *words[REPRO_MAX_WORDS];
    repro_lacks lacks;
    if (repro_is_speed(report->table, command)) return BASE_OK;
    BASE_TRY(repro_plan_words(state, report, r, command, false, words, &lacks));
    if (lacks.needs) {
        plan_reason(r, command, lacks.needs->why, false);
        return BASE_OK;
    }
    return plan_use(state, r, command, plan_job(state, words, r->row->text[0]),
                    lacks.left_out ? lacks.left_out->why : NULL);
}

DEIT_INTERNAL base_status repro_plan(repro_state *state) {
    state->last_job = &state->jobs, state->last_use = &state->uses;
    for (int b = 0; b < state->book->n; b++) {
        repro_report *report = state->book->report[b];
        for (int i = 0; i < report->n; i++)
            for (int k = 0; k < report->table->n_commands; k++)
                BASE_TRY(plan_cell(state, report, &report->rows[i], &report->table->commands[k]));
    }
    return BASE_OK;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

static base_status plan_run_job(repro_state *state, repro_job *job) {
    double seconds;
    base_progress(state->progress.context, state->progress.what, state->progress.done, state->progress.total, "cells",
                  job->label);
    base_status status = repro_cell_run(state, job->line, job->words, &job->output, &seconds);
    if (status == BASE_CANCELLED || !status) return status;
    state->book->failed++;
    job->why = base_arena_printf(&state->book->arena, "%s", base_message());
    return job->why ? BASE_OK : BASE_ERROR;
}

/* "rows.0.ms" in a JSON value; NULL: not there. */
static const json_t *plan_find(const json_t *json, const char *key) {
    while (json && *key) {
        char word[64];
        size_t size = strcspn(key, ".");
        snprintf(word, sizeof word, "%.*s", (int)size, key);
        json = isdigit((unsigned char)*word) ? json_array_get(json, (size_t)atoi(word)) : json_object_get(json, word);
        key += size + (key[size] == '.');
    }
    return json;
}

/* The k-th column that the job's output gives. */
static base_status plan_take(repro_state *state, const repro_use *use, int k) {
    base_arena *arena = &state->book->arena;
    const char *key = use->command->key[k];
    const json_t *output = use->job->output, *number = plan_find(output, key);
    repro_cell *cell = &use->result->cell[use->command->scale][use->command->column[k]];
    if (!json_is_number(number)) {
        if (isnan(cell->value) && !cell->why)
            cell->why =
                use->left_out ? use->left_out : base_arena_printf(arena, "deit %s gave no %s", use->job->words[1], key);
        return BASE_OK;
    }
    double *values = base_arena_alloc(arena, (size_t)(cell->n + 1) * sizeof *values), sum = 0;
    if (!values) return BASE_ERROR;
    if (cell->n) memcpy(values, cell->values, (size_t)cell->n * sizeof *values);
    values[cell->n++] = json_number_value(number);
    for (int i = 0; i < cell->n; i++) sum += values[i];
    cell->values = values, cell->value = sum / cell->n, cell->why = NULL;
    char name[64];
    snprintf(name, sizeof name, "%.48s_images", key);
    const json_t *images = json_object_get(output, name);
    cell->images = json_integer_value(images ? images : json_object_get(output, "images"));
    return BASE_OK;
}

static base_status plan_deliver(repro_state *state, const repro_use *use) {
    if (!use->job->output) {
        plan_reason(use->result, use->command, use->job->why, true);
        return BASE_OK;
    }
    const char *sha256 = json_string_value(json_object_get(use->job->output, "weights_sha256"));
    if (sha256 && use->command->scale == REPRO_PAPER)
        use->result->weights_sha256 = base_arena_printf(&state->book->arena, "%s", sha256);
    for (int k = 0; k < use->command->n; k++) BASE_TRY(plan_take(state, use, k));
    return BASE_OK;
}

DEIT_INTERNAL base_status repro_jobs_run(repro_state *state) {
    base_status status = BASE_OK;
    for (repro_job *job = state->jobs; job && !status; job = job->next) status = plan_run_job(state, job);
    for (const repro_use *use = state->uses; use && !status; use = use->next) status = plan_deliver(state, use);
    return status;
}

DEIT_INTERNAL void repro_jobs_free(repro_state *state) {
    for (repro_job *job = state->jobs; job; job = job->next) json_decref(job->output);
}
