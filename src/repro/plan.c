/* plan: which jobs make the cells of a run's tables, once each however many cells they serve. Speeds are measure.c's,
 * running is work.c's. A job is a command of a table for a row and a seed; its key is that command with what does not
 * change the outcome left out and with trainings and files by what they are, so a key stands for a result anywhere. */
#include "repro/internal.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names in commands ------------------------------------------------------------------------------------------- */

typedef struct {
    const repro_state *state;
    base_arena *arena;
    repro_name *names;
    int n;
    base_status status; /* of all that was added */
} plan_list;

/* Its key is its value, until the caller says another. */
static repro_name *plan_name(plan_list *list, const char *name, const char *value, const char *example,
                             const char *why) {
    if (!name) list->status = BASE_ERROR, name = "";
    if (list->n == REPRO_MAX_NAMES) {
        list->status = base_fail("more than %d names for a command: too many columns of trainings", REPRO_MAX_NAMES);
        list->n--;
    }
    repro_name *new = &list->names[list->n++];
    *new = (repro_name){.name = name, .value = value, .example = example, .key = value, .why = why};
    return new;
}

/* What a file or folder is. Made once in a run: a folder may hold a million names. */
static const char *plan_key(plan_list *list, const char *path, bool fashion) {
    repro_file **files = &list->state->book->files;
    for (const repro_file *file = *files; file; file = file->next)
        if (file->fashion == fashion && !strcmp(file->path, path)) return file->key;
    repro_file *file = base_arena_alloc(list->arena, sizeof *file);
    const char *key = !file     ? NULL
                      : fashion ? repro_fashion_key(list->arena, path)
                                : repro_file_key(list->arena, path, list->state->progress.context);
    if (!key) {
        list->status = BASE_ERROR;
        return NULL;
    }
    *file = (repro_file){*files, path, key, fashion};
    *files = file;
    return key;
}

static repro_name *plan_file(plan_list *list, const char *name, const char *path, const char *example,
                             const char *why) {
    repro_name *new = plan_name(list, name, path, example, why);
    if (path) new->key = plan_key(list, path, false);
    return new;
}

/* Where a set that is not here would lie. */
static const char *plan_in(const repro_state *state, const char *name) {
    const char *folder = state->places.folder ? state->places.folder : state->book->options.data_folder;
    return base_arena_printf(&state->book->arena, "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
}

static void plan_places(plan_list *list, const repro_state *state) {
    const repro_places *at = &state->places;
    plan_file(list, "imagenet", at->imagenet, plan_in(state, "imagenet/val"), "ImageNet is not here");
    plan_file(list, "labels", at->labels, NULL, "the labels are not here");
    plan_file(list, "real", at->real, plan_in(state, "real.json"), "real.json is not here");
    plan_file(list, "imagenetv2", at->imagenetv2, plan_in(state, "imagenetv2-matched-frequency.tar.gz"),
              "ImageNetV2 is not here");
    plan_file(list, "train", at->train, plan_in(state, "imagenet"), "ImageNet's training set is not here");
    for (int i = 0; i < REPRO_TRANSFERS; i++) {
        const repro_set *set = repro_set_at(i);
        repro_name *new = plan_file(list, set->name, at->transfer[i], plan_in(state, set->found[0]), set->why);
        if (!at->transfer[i]) new->key = at->recorded[i]; /* for what was recorded elsewhere */
    }
    plan_name(list, "fashion", at->fashion, "fashion-mnist",
              "Fashion-MNIST is not here (Debian's package dataset-fashion-mnist, or fashion-mnist/ in --data)")
        ->key = plan_key(list, at->fashion ? at->fashion : "fashion-mnist", true);
}

/* The weights of the paper's row, and its image size where that is not the network's own. */
static void plan_network(plan_list *list, const repro_state *state, const repro_job *job) {
    const repro_result *r = job->result;
    const char *image = repro_row_text(job->table, job->row, "image"), *precision = state->book->options.precision;
    if (!r) return;
    for (int i = 0; r->known && image && i < model_count(); i++)
        if (!strcmp(model_at(i)->name, r->model) && model_at(i)->image == r->image) image = NULL;
    plan_name(list, "image", image, NULL, NULL);
    plan_name(list, "precision", strcmp(precision, "f32") ? precision : NULL, NULL, NULL);
    plan_file(list, "weights", r->weights_path && base_path_exists(r->weights_path) ? r->weights_path : NULL,
              r->weights_path, r->weights ? "the weights are not here" : "no public weights");
}

/* Where a run of a training stands, and what names it has there. */
static void plan_run_names(plan_list *list, const repro_job *job) {
    base_arena *arena = list->arena;
    const char *args = job->folder ? base_arena_printf(arena, "%s/args.json", job->folder) : NULL;
    bool begun = args && base_path_exists(args);
    plan_name(list, "seed", base_arena_printf(arena, "%d", job->seed), NULL, NULL);
    plan_name(list, "folder", job->folder, "run", NULL)->key = "run";
    plan_name(list, "resume", begun ? job->folder : NULL, NULL, NULL)->key = NULL; /* going on gives the same */
}

/* {student}: the weights that a training made; {student.network}: what its row says. */
static void plan_training_names(plan_list *list, const char *column, const repro_job *training, bool trains) {
    plan_name(list, column, training->weights, NULL, NULL)->key =
        base_arena_printf(list->arena, "%s-%d#%s%s", training->row->text[0], training->seed, training->id,
                          trains ? "" : training->sha256);
    for (int c = 1; c < training->table->n_columns; c++) {
        const char *text = training->row->text[c];
        plan_name(list, base_arena_printf(list->arena, "%s.%s", column, training->table->columns[c].name),
                  strcmp(text, "-") ? text : NULL, NULL, "not at this scale");
    }
}

/* A file of the manifest, in the weights folder. */
static void plan_weights_name(plan_list *list, const repro_state *state, const char *column, const char *text) {
    const repro_weights *weights = repro_weights_find(text);
    const char *folder = state->book->options.weights_dir,
               *path = weights && folder ? base_arena_printf(list->arena, "%s/%s", folder, weights->file) : NULL;
    plan_file(list, column, path && base_path_exists(path) ? path : NULL, path,
              weights ? "the weights are not here" : "no public weights");
}

/* A cell of the row. "{fashion}" in it is what that name is. */
static void plan_cell_name(plan_list *list, const char *column, const char *text) {
    const char *end = *text == '{' ? strchr(text, '}') : NULL;
    for (int i = 0; end && i < list->n; i++) {
        repro_name other = list->names[i];
        if (strlen(other.name) != (size_t)(end - text - 1) || memcmp(other.name, text + 1, (size_t)(end - text - 1)))
            continue;
        other.name = column;
        *plan_name(list, column, NULL, NULL, NULL) = other;
        return;
    }
    plan_name(list, column, text, NULL, NULL);
}

/* Whether a training of the row's own can stand behind the column: its accuracy, or what no column shows. */
static bool plan_own(const repro_column *column) {
    return column->kind == REPRO_ACCURACY || column->kind == REPRO_ATTRIBUTE;
}

/* {made.b}: the weights of the row's own training for column b. */
static void plan_made_names(plan_list *list, const repro_job *job) {
    for (int c = 0; c < job->table->n_columns; c++) {
        const repro_job *made = NULL;
        for (int i = 0; i < job->n_needs; i++)
            if (job->need_column[i] == c) made = job->needs[i];
        if (!plan_own(&job->table->columns[c])) continue;
        const char *name = base_arena_printf(list->arena, "made.%s", job->table->columns[c].name);
        repro_name *new = plan_name(list, name, made ? made->weights : NULL, NULL, "it is not trained here");
        if (made) new->key = base_arena_printf(list->arena, "made-%d#%s", made->seed, made->id);
    }
}

static base_status plan_names(const repro_state *state, const repro_job *job, plan_list *list) {
    base_arena *arena = &state->book->arena;
    *list = (plan_list){state, arena, base_arena_alloc(arena, REPRO_MAX_NAMES * sizeof(repro_name)), 0, BASE_OK};
    if (!list->names) return BASE_ERROR;
    plan_run_names(list, job);
    plan_made_names(list, job);
    plan_network(list, state, job);
    plan_places(list, state);
    for (int c = 0; c < job->table->n_columns; c++) {
        const repro_column *column = &job->table->columns[c];
        const repro_job *training = NULL;
        for (int i = 0; i < job->n_needs && column->kind == REPRO_TRAINING; i++)
            if (job->need_column[i] == c) training = job->needs[i];
        const char *text = job->row->text[c];
        bool known = strcmp(text, "-") != 0;
        if (!strcmp(column->name, "model") && job->result) known &= job->result->known;
        if (training && known)
            plan_training_names(list, column->name, training, job->trains);
        else if (!known)
            plan_name(list, column->name, NULL, NULL,
                      column->kind == REPRO_WEIGHTS ? "no public weights" : "not at this scale");
        else if (column->kind == REPRO_WEIGHTS)
            plan_weights_name(list, state, column->name, text);
        else
            plan_cell_name(list, column->name, text);
    }
    return list->status;
}

DEIT_INTERNAL base_status repro_job_words(const repro_state *state, const repro_job *job, repro_fill fill,
                                          const char *words[REPRO_MAX_WORDS], repro_lacks *lacks) {
    plan_list list;
    BASE_TRY(plan_names(state, job, &list));
    return repro_command_fill(job->command->text, list.names, list.n, fill, &state->book->arena, words, lacks);
}

DEIT_INTERNAL const char *repro_job_line(const repro_state *state, const repro_job *job) {
    const char *words[REPRO_MAX_WORDS];
    repro_lacks lacks;
    if (repro_job_words(state, job, REPRO_FILL_SHOW, words, &lacks)) return NULL;
    return repro_command_line(words, state->book->options.program, &state->book->arena);
}

/* ---- Trainings --------------------------------------------------------------------------------------------------- */

static bool plan_reads(const char *text, const char *name) {
    char brace[64];
    snprintf(brace, sizeof brace, "{%.60s}", name);
    return strstr(text, brace) != NULL;
}
static bool plan_mentions(const char *text, const char *name) {
    char dot[64];
    snprintf(dot, sizeof dot, "{%.60s.", name);
    return plan_reads(text, name) || strstr(text, dot);
}

/* Weights that the repository ships for a training: NAME-SEED.safetensors in weights/, here or beside the program. */
static const char *plan_shipped(const repro_state *state, const repro_job *job) {
    if (state->book->options.retrain || !state->book->options.shipped) return NULL;
    const char *path = base_arena_printf(&state->book->arena, "%s/%s-%d.safetensors", state->book->options.shipped,
                                         job->row->text[0], job->seed);
    return path && base_path_exists(path) ? path : NULL;
}

/* A label as a folder's name. */
static const char *plan_folder_name(base_arena *arena, const char *label) {
    char *name = base_arena_printf(arena, "%s", label);
    for (char *at = name; at && *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *at)) *at = '_';
    return name;
}

/* Where the run stands, or stood when another table's row of another name ran it; else a folder of the row's name. */
static const char *plan_run_folder(const repro_state *state, const repro_job *job) {
    base_arena *arena = &state->book->arena;
    const char *results = state->book->options.results, *name = plan_folder_name(arena, job->row->text[0]);
    const char *runs = base_arena_printf(arena, "%s/runs", results ? results : "."),
               *end = base_arena_printf(arena, "-%d-%.8s", job->seed, job->id);
    if (!name || !runs || !end) return NULL;
    const char *own = base_arena_printf(arena, "%s/%s%s", runs, name, end), *folder = own;
    DIR *entries = own && !base_path_exists(own) ? opendir(runs) : NULL;
    for (const struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t size = strlen(entry->d_name), ending = strlen(end);
        if (size > ending && !strcmp(entry->d_name + size - ending, end))
            folder = base_arena_printf(arena, "%s/%s", runs, entry->d_name);
    }
    if (entries) closedir(entries);
    return folder;
}

static base_status plan_place_training(const repro_state *state, repro_job *job) {
    base_arena *arena = &state->book->arena;
    job->folder = plan_run_folder(state, job);
    const char *makes = repro_row_text(job->table, job->row, "makes");
    if (!makes) makes = job->table->makes;
    if (!makes && job->table == state->trainings) makes = "last.safetensors"; /* what deit train leaves */
    if (!job->folder || !makes) return job->folder ? BASE_OK : BASE_ERROR;
    job->weights = plan_shipped(state, job);
    job->shipped = job->weights;
    if (job->shipped) BASE_TRY(base_sha256_file(job->weights, NULL, job->sha256));
    if (!job->weights) job->weights = base_arena_printf(arena, "%s/%s", job->folder, makes);
    return job->weights ? BASE_OK : BASE_ERROR;
}

static base_status plan_job(repro_state *state, const repro_job *like, repro_job **out, repro_lacks *lacks);

/* The job of the row of repro/trainings that is called so; a file of one's own has its trainings beside it. */
static base_status plan_training(repro_state *state, const char *folder, const char *name, int seed, repro_job **out,
                                 repro_lacks *lacks) {
    const char *path = folder ? base_arena_printf(&state->book->arena, "%s/trainings", folder) : "trainings";
    if (!path) return BASE_ERROR;
    if (!state->trainings) BASE_TRY(repro_table_open(&state->trainings, path));
    const repro_table *table = state->trainings;
    path = folder ? path : "repro/trainings";
    if (state->nested > table->n) return base_fail("%s: row '%s' needs itself, by other rows", path, name);
    for (int i = 0; i < table->n; i++) {
        if (strcmp(table->rows[i].text[0], name) != 0) continue;
        if (!table->n_commands) break;
        const repro_job like = {.table = table, .row = &table->rows[i], .command = &table->commands[0], .seed = seed};
        state->nested++;
        base_status status = plan_job(state, &like, out, lacks);
        state->nested--;
        return status;
    }
    return base_fail("%s has no row '%s' with a command", path, name);
}

static bool plan_makes(const repro_command *command, int column) {
    for (int i = 0; i < command->n; i++)
        if (command->column[i] == column) return true;
    return false;
}

static base_status plan_add_need(repro_job *job, int column, bool read, repro_job ***need) {
    if (job->n_needs == REPRO_MAX_NEEDS) return base_fail("a command needs more than %d trainings", job->n_needs);
    job->need_column[job->n_needs] = column, job->need_read[job->n_needs] = read;
    *need = &job->needs[job->n_needs++];
    return BASE_OK;
}

/* The row's own training for a column, whose weights the command reads as {made.column}: the first of the table's that
 * can be planned for the row. */
static base_status plan_made(repro_state *state, repro_job *job, int column, repro_lacks *lacks) {
    char name[80];
    repro_job *made = NULL;
    bool any = false;
    snprintf(name, sizeof name, "{made.%.60s}", job->table->columns[column].name);
    if (!strstr(job->command->text, name)) return BASE_OK;
    for (int k = 0; k < job->table->n_commands && !made; k++) {
        repro_job like = {.table = job->table, .row = job->row, .result = job->result, .seed = job->seed};
        like.command = &job->table->commands[k];
        repro_lacks missing;
        if (!plan_makes(like.command, column) || like.command->scale != job->command->scale ||
            !plan_reads(like.command->text, "folder") || strstr(like.command->text, name))
            continue;
        if (state->made > job->table->n_commands)
            return base_fail("%s/%s: %s needs itself, by other commands",
                             job->table->folder ? job->table->folder : "repro", job->table->name, name);
        state->made++;
        base_status status = plan_job(state, &like, &made, &missing);
        state->made--;
        if (status) return status;
        if (!made && !any) *lacks = missing;
        any = true;
    }
    if (!any)
        return base_fail(
            "%s/%s has no training for %s: a command of the same scale that makes column '%s' and has {folder}",
            job->table->folder ? job->table->folder : "repro", job->table->name, name,
            job->table->columns[column].name);
    repro_job **need;
    BASE_TRY(plan_add_need(job, column, true, &need));
    *need = made;
    if (!made) return BASE_OK;
    *lacks = (repro_lacks){0};
    const char *file = repro_row_text(job->table, job->row, "makes");
    made->weights = base_arena_printf(&state->book->arena, "%s/%s", made->folder, file ? file : "last.safetensors");
    return made->weights ? BASE_OK : BASE_ERROR;
}

/* The trainings that a job reads. Where one cannot be run here, lacks says what it wants. */
static base_status plan_needs(repro_state *state, repro_job *job, repro_lacks *lacks) {
    for (int c = 0; c < job->table->n_columns && !lacks->needs; c++) {
        const repro_column *column = &job->table->columns[c];
        const char *name = job->row->text[c];
        repro_job **need;
        if (plan_own(column)) BASE_TRY(plan_made(state, job, c, lacks));
        if (column->kind != REPRO_TRAINING || !strcmp(name, "-") || !plan_mentions(job->command->text, column->name))
            continue;
        BASE_TRY(plan_add_need(job, c, plan_reads(job->command->text, column->name), &need));
        BASE_TRY(plan_training(state, job->table->folder, name, job->seed, need, lacks));
    }
    return BASE_OK;
}

/* ---- Jobs and what they serve ------------------------------------------------------------------------------------ */

DEIT_INTERNAL bool repro_is_speed(const repro_table *table, const repro_command *command) {
    for (int k = 0; k < command->n; k++)
        if (command->scale == REPRO_PAPER && table->columns[command->column[k]].kind == REPRO_SPEED) return true;
    return false;
}

/* What the key says of the job: its record's name, and where a training runs. */
static base_status plan_name_job(const repro_state *state, repro_job *job) {
    snprintf(job->id, sizeof job->id, "%016llx",
             (unsigned long long)base_splitmix64(base_fnv1a64(job->key, strlen(job->key)), 0));
    return job->trains ? plan_place_training(state, job) : BASE_OK;
}

/* A job whose data are not here, with its key's words: its record does as well. Where there is none it needs them. */
static base_status plan_absent(const repro_state *state, repro_job *job, const char *const *words, repro_lacks *lacks) {
    repro_job recorded = *job;
    recorded.key = repro_command_line(words, NULL, &state->book->arena);
    if (!recorded.key) return BASE_ERROR;
    BASE_TRY(plan_name_job(state, &recorded));
    recorded.absent = lacks->absent->why;
    if (repro_job_there(state, &recorded, false))
        job->absent = lacks->absent->why;
    else
        lacks->needs = lacks->absent;
    json_decref(recorded.record);
    return BASE_OK;
}

/* The job like this one: found by its key, or added behind those it needs. *out NULL: lacks says what it wants. */
static base_status plan_job(repro_state *state, const repro_job *like, repro_job **out, repro_lacks *lacks) {
    base_arena *arena = &state->book->arena;
    const char *words[REPRO_MAX_WORDS];
    repro_job *job = base_arena_alloc(arena, sizeof *job);
    *out = NULL;
    if (!job) return BASE_ERROR;
    *job = *like, *lacks = (repro_lacks){0};
    job->trains |= job->table->makes || plan_mentions(job->command->text, "folder");
    BASE_TRY(plan_needs(state, job, lacks));
    if (!lacks->needs) BASE_TRY(repro_job_words(state, job, REPRO_FILL_KEY, words, lacks));
    if (!lacks->needs && lacks->absent) BASE_TRY(plan_absent(state, job, words, lacks));
    bool needs = true;
    for (int i = 0; i < job->n_needs; i++) needs &= job->needs[i] != NULL;
    if (lacks->needs && state->dry && needs) { // a command to be run where what it reads is
        job->wants =
            lacks->too ? base_arena_printf(arena, "%s; %s", lacks->needs->why, lacks->too->why) : lacks->needs->why;
        BASE_TRY(repro_job_words(state, job, REPRO_FILL_SHOW, words, lacks));
    }
    if (lacks->needs) return BASE_OK;
    job->key = repro_command_line(words, NULL, arena);
    if (!job->key) return BASE_ERROR;
    for (*out = state->jobs; *out; *out = (*out)->next)
        if (!strcmp((*out)->key, job->key)) return BASE_OK;
    BASE_TRY(plan_name_job(state, job));
    *state->last_job = job, state->last_job = &job->next;
    *out = job;
    return BASE_OK;
}

static base_status plan_use(repro_state *state, const repro_table *table, repro_result *r, const repro_command *command,
                            repro_job *job, const char *left_out) {
    repro_use *use = base_arena_alloc(&state->book->arena, sizeof *use);
    if (!use || !job) return BASE_ERROR;
    *use = (repro_use){.table = table, .result = r, .command = command, .job = job, .left_out = left_out};
    *state->last_use = use, state->last_use = &use->next;
    state->n_jobs += !job->used;
    job->used = true;
    return BASE_OK;
}

DEIT_INTERNAL void repro_reason(const repro_table *table, repro_result *r, const repro_command *command,
                                const char *why, bool failed, bool run) {
    for (int k = 0; k < command->n; k++) {
        repro_cell *cell = &r->cell[command->scale][command->column[k]];
        if (table->columns[command->column[k]].kind == REPRO_ATTRIBUTE) continue;
        bool first = !cell->why || (failed && !cell->failed);
        if (first && (failed || isnan(cell->value) || run)) cell->why = why, cell->failed = failed;
        cell->lost += run;
    }
}

/* Whether the command's outcome depends on a seed, so that it is run with several. */
static bool plan_seeded(const repro_table *table, const repro_command *command) {
    for (int c = 0; c < table->n_columns; c++)
        if (table->columns[c].kind == REPRO_TRAINING && plan_mentions(command->text, table->columns[c].name))
            return true;
    return plan_mentions(command->text, "seed");
}

/* Whether small networks were asked for, and the command trains the paper's, or reads what such a training makes. What
 * is recorded already is shown. */
static bool plan_too_large(const repro_state *state, repro_job *job) {
    const repro_options *options = &state->book->options;
    bool trains = job->trains;
    if (job->command->scale == REPRO_DESK || options->scale != REPRO_DESK || !options->scale_named) return false;
    for (int i = 0; i < job->n_needs; i++) trains |= job->needs[i]->command->scale == REPRO_PAPER;
    return trains && !repro_job_there(state, job, false);
}

/* Whether the command evaluates a public file that is only the nearest to the row's, where a training of the row's own
 * is to be run or was: then that one counts. */
static base_status plan_replaced(repro_state *state, const repro_table *table, repro_result *r,
                                 const repro_command *command, bool *replaced) {
    *replaced = false;
    if (!r->weights || r->same || !plan_reads(command->text, "weights")) return BASE_OK;
    for (int k = 0; k < table->n_commands; k++) {
        const repro_job like = {.table = table, .row = r->row, .result = r, .command = &table->commands[k]};
        bool own = plan_reads(like.command->text, "folder") || strstr(like.command->text, "{made.");
        if (!own || like.command->scale != command->scale || !plan_makes(like.command, command->column[0])) continue;
        repro_job *job;
        repro_lacks lacks;
        BASE_TRY(plan_job(state, &like, &job, &lacks));
        if (job && !plan_too_large(state, job))
            *replaced |= state->book->options.retrain || repro_job_there(state, job, false);
    }
    return BASE_OK;
}

static base_status plan_cell(repro_state *state, const repro_report *report, repro_result *r,
                             const repro_command *command) {
    const repro_table *table = report->table;
    int wanted = r->row->seeds ? r->row->seeds : table->seeds;
    int seeds = wanted && plan_seeded(table, command) ? wanted : 1;
    if (repro_is_speed(table, command)) return BASE_OK;
    if (command->scale == REPRO_DESK && state->book->options.scale == REPRO_PAPER) return BASE_OK;
    bool replaced;
    BASE_TRY(plan_replaced(state, table, r, command, &replaced));
    if (replaced) return BASE_OK;
    const repro_job *before = NULL;
    for (int seed = 0; seed < seeds; seed++) {
        const repro_job like = {.table = table, .row = r->row, .result = r, .command = command, .seed = seed};
        repro_job *job;
        repro_lacks lacks;
        BASE_TRY(plan_job(state, &like, &job, &lacks));
        if (job && job == before) break; // what it wants of a training is the same whatever the seed
        before = job;
        if (!job)
            repro_reason(table, r, command, lacks.needs->why, false, false);
        else if (plan_too_large(state, job))
            repro_reason(table, r, command, "it trains a network of the paper (--scale paper)", false, false);
        else
            BASE_TRY(plan_use(state, table, r, command, job, lacks.left_out ? lacks.left_out->why : NULL));
    }
    return BASE_OK;
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

DEIT_INTERNAL void repro_plan_free(repro_state *state) {
    for (repro_job *job = state->jobs; job; job = job->next) json_decref(job->record);
    repro_table_free(state->trainings);
}
