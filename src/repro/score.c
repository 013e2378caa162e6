/* score: the accuracies of a table, where the weights and the data sets are here, and the commands for the rest. */
#include "repro/internal.h"

#include <string.h>
#include <strings.h>

/* The data set that a command needs. */
static const char *score_data(const repro_state *state, const repro_command *command) {
    return command->makes >> REPRO_V2 & 1 ? state->places.imagenetv2 : state->places.imagenet;
}

static bool score_possible(const repro_state *state, const repro_result *r, const repro_command *command) {
    if (command->makes >> REPRO_IMAGES_PER_S & 1) return false;
    return r->known && r->weights && r->weights_path && score_data(state, command) && base_path_exists(r->weights_path);
}

/* Whether an earlier row is measured by the same evaluation. */
static repro_result *score_twin(const repro_report *report, const repro_result *r) {
    for (const repro_result *other = report->rows; other < r; other++)
        if (other->known && other->weights == r->weights && other->row->image == r->row->image &&
            !strcmp(other->row->model, r->row->model))
            return (repro_result *)(uintptr_t)other;
    return NULL;
}

DEIT_INTERNAL int repro_accuracy_cells(const repro_state *state) {
    const repro_report *report = state->report;
    int n = 0;
    for (int i = 0; i < report->n; i++)
        for (int k = 0; k < report->table->n_commands; k++)
            n += score_possible(state, &report->rows[i], &report->table->commands[k]) &&
                 !score_twin(report, &report->rows[i]);
    return n;
}

/* ---- Commands ---------------------------------------------------------------------------------------------------- */

/* The command with what is here, or (example) with the places where it would be looked for. */
static base_status score_words(const repro_state *state, const repro_result *r, const repro_command *command,
                               bool example, const char *words[REPRO_MAX_WORDS]) {
    repro_report *report = state->report;
    repro_places at = state->places;
    model_config config;
    BASE_TRY(model_find(r->row->model, &config));
    const char *folder =
        report->options.data && base_path_is_folder(report->options.data) ? report->options.data : "$DEIT_DATA";
    if (example) {
        if (!at.imagenet) at.imagenet = base_arena_printf(&report->arena, "%s/val", folder);
        if (!at.real) at.real = base_arena_printf(&report->arena, "%s/real.json", folder);
        if (!at.imagenetv2)
            at.imagenetv2 = base_arena_printf(&report->arena, "%s/imagenetv2-matched-frequency.tar.gz", folder);
        if (!at.imagenet || !at.real || !at.imagenetv2) return BASE_ERROR;
    }
    char image[16];
    snprintf(image, sizeof image, "%d", r->row->image);
    bool f32 = !strcmp(report->options.precision, "f32");
    const repro_name names[] = {{"model", r->row->model},
                                {"image", config.image == r->row->image ? NULL : image},
                                {"weights", r->weights_path},
                                {"precision", f32 ? NULL : report->options.precision},
                                {"imagenet", at.imagenet},
                                {"labels", at.labels},
                                {"real", at.real},
                                {"imagenetv2", at.imagenetv2}};
    return repro_command_fill(command->text, names, sizeof names / sizeof *names, &report->arena, words);
}

/* ---- Cells ------------------------------------------------------------------------------------------------------- */

static void score_set(repro_cell *cell, const json_t *output, const char *value, const char *images) {
    const json_t *number = json_object_get(output, value);
    if (!json_is_number(number) || json_number_value(number) < 0) return;
    cell->value = json_number_value(number);
    cell->images = json_integer_value(json_object_get(output, images));
    cell->why = NULL;
}

/* What `deit eval --json` says, into the row. */
static base_status score_take(repro_report *report, repro_result *r, const repro_command *command,
                              const json_t *output) {
    if (!json_is_number(json_object_get(output, "top1"))) return base_fail("deit eval gave no top1");
    const char *sha256 = json_string_value(json_object_get(output, "weights_sha256"));
    if (sha256) r->weights_sha256 = base_arena_printf(&report->arena, "%s", sha256);
    if (command->makes >> REPRO_V2 & 1) {
        score_set(&r->cell[REPRO_V2], output, "top1", "images");
        return BASE_OK;
    }
    score_set(&r->cell[REPRO_IMAGENET], output, "top1", "images");
    score_set(&r->cell[REPRO_REAL], output, "real", "real_images");
    return BASE_OK;
}

static void score_failed(repro_report *report, repro_result *r, const repro_command *command) {
    const char *why = base_arena_printf(&report->arena, "%s", base_message());
    report->failed++;
    for (int c = 0; c < REPRO_COLUMNS; c++)
        if (command->makes >> c & 1) r->cell[c].why = why;
}

static base_status score_cell(repro_state *state, repro_result *r, const repro_command *command) {
    const char *words[REPRO_MAX_WORDS];
    repro_report *report = state->report;
    BASE_TRY(score_words(state, r, command, false, words));
    base_progress(state->progress.context, state->progress.table, state->progress.done, state->progress.total, "cells",
                  r->row->label);
    const char *key = repro_command_line(words, &report->arena);
    if (!key) return BASE_ERROR;
    json_t *output;
    double seconds;
    base_status status = repro_cell_run(state, key, words, &output, &seconds);
    if (!status) status = score_take(report, r, command, output);
    json_decref(output);
    if (status == BASE_CANCELLED) return status;
    if (status) score_failed(report, r, command);
    return BASE_OK;
}

DEIT_INTERNAL base_status repro_accuracy(repro_state *state) {
    repro_report *report = state->report;
    for (int i = 0; i < report->n; i++) {
        repro_result *r = &report->rows[i], *twin = score_twin(report, r);
        for (int k = 0; !twin && k < report->table->n_commands; k++)
            if (score_possible(state, r, &report->table->commands[k]))
                BASE_TRY(score_cell(state, r, &report->table->commands[k]));
        for (int c = REPRO_IMAGENET; twin && c <= REPRO_V2; c++) r->cell[c] = twin->cell[c];
        if (twin) r->weights_sha256 = twin->weights_sha256;
    }
    return BASE_OK;
}

/* ---- What is missing --------------------------------------------------------------------------------------------- */

static void score_why(const repro_state *state, repro_result *r) {
    bool here = r->weights_path && base_path_exists(r->weights_path);
    for (int c = REPRO_IMAGENET; c <= REPRO_V2; c++) {
        repro_cell *cell = &r->cell[c];
        if (cell->value >= 0 || cell->why) continue;
        if (!r->weights)
            cell->why = "no public weights";
        else if (!here)
            cell->why = "the weights are not here";
        else
            cell->why = c == REPRO_V2                               ? "ImageNetV2 is not here"
                        : c == REPRO_REAL && state->places.imagenet ? "real.json is not here"
                                                                    : "ImageNet is not here";
    }
}

/* Whether the row's public weights are not here. */
static bool score_lacks_weights(const repro_result *r) {
    return r->known && r->weights && r->weights_path && !base_path_exists(r->weights_path);
}

/* Whether a command would make something that the paper publishes and that was not measured. */
static bool score_wanted(const repro_result *r, const repro_command *command) {
    for (int c = REPRO_IMAGENET; c <= REPRO_V2; c++)
        if (command->makes >> c & 1 && r->row->published[c] >= 0 && r->cell[c].value < 0) return true;
    return false;
}

static base_status score_todo(repro_state *state, const repro_result *r) {
    repro_report *report = state->report;
    const char *words[REPRO_MAX_WORDS];
    bool fetched = !score_lacks_weights(r);
    for (int k = 0; k < report->table->n_commands; k++) {
        const repro_command *command = &report->table->commands[k];
        if (!score_wanted(r, command)) continue;
        if (!fetched) {
            const char *const fetch[] = {"deit", "weights", "fetch", r->weights->name, NULL};
            BASE_TRY(repro_add_todo(report, r->row->label, repro_command_line(fetch, &report->arena)));
            fetched = true;
        }
        BASE_TRY(score_words(state, r, command, true, words));
        for (int w = 0; words[w]; w++)
            if (!strcmp(words[w], "--json")) words[w] = NULL; /* the last word: people read the text */
        BASE_TRY(repro_add_todo(report, r->row->label, repro_command_line(words, &report->arena)));
    }
    return BASE_OK;
}

/* The commands that make all that is missing. */
static base_status score_commands(repro_state *state) {
    repro_report *report = state->report;
    const repro_options *options = &report->options;
    const char *fetch[REPRO_MAX_ROWS + 8] = {"deit", "weights", "fetch"}, *again[16] = {"deit", "repro"};
    int n = 3, m = 2;
    for (int i = 0; i < report->n; i++) {
        const repro_result *r = &report->rows[i];
        if (score_lacks_weights(r) && !score_twin(report, r)) fetch[n++] = r->weights->name;
    }
    bool lacks = n > 3;
    again[m++] = report->table->name;
    if (options->only) again[m++] = "--only", again[m++] = options->only;
    if (strcmp(options->precision, "f32") != 0) again[m++] = "--precision", again[m++] = options->precision;
    again[m++] = "--data", again[m++] = options->data ? options->data : "$DEIT_DATA";
    if (options->weights_named) {
        fetch[n++] = again[m++] = "--weights-dir";
        fetch[n++] = again[m++] = options->weights_dir;
    }
    if (lacks) report->fetch = repro_command_line(fetch, &report->arena);
    report->again = repro_command_line(again, &report->arena);
    return report->again && (report->fetch || !lacks) ? BASE_OK : BASE_ERROR;
}

DEIT_INTERNAL base_status repro_accuracy_todo(repro_state *state) {
    repro_report *report = state->report;
    int no_weights = 0;
    for (int i = 0; i < report->n; i++) {
        repro_result *r = &report->rows[i];
        score_why(state, r);
        if (!r->known || !r->weights || !r->weights_path) continue;
        no_weights += score_lacks_weights(r);
        BASE_TRY(score_todo(state, r));
    }
    const char *folder = report->options.weights_dir, *data = report->options.data;
    if (no_weights && (folder = repro_command_word(folder, &report->arena)))
        report->weights_note = base_arena_printf(
            &report->arena, "no weights in %s for %d rows (--weights-dir or DEIT_WEIGHTS names another folder)", folder,
            no_weights);
    if (!data)
        report->data_note = "no data sets (--data or DEIT_DATA names their folder; see 'deit repro --help')";
    else if (!state->places.imagenet || !state->places.real || !state->places.imagenetv2)
        report->data_note =
            base_arena_printf(&report->arena, "in %s: %s ImageNet, %s real.json, %s ImageNetV2", data,
                              state->places.imagenet ? "found" : "no", state->places.real ? "found" : "no",
                              state->places.imagenetv2 ? "found" : "no");
    return score_commands(state);
}
