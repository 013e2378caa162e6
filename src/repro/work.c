/* work: runs the jobs of a plan. What is recorded in the results folder is not done again; what another process is
 * doing is waited for; a training is run only if its weights are wanted and not there. */
#include "repro/internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- One job ----------------------------------------------------------------------------------------------------- */

static base_status work_fail(const repro_state *state, repro_job *job, const char *why, bool failed) {
    job->why = base_arena_printf(&state->book->arena, "%s", why);
    job->state = failed ? REPRO_JOB_FAILED : REPRO_JOB_NOT_RUN;
    state->book->failed += failed && job->used;
    return job->why ? BASE_OK : BASE_ERROR;
}

/* Whether the job is done each time. Words, such as a recipe, are at once there, and another version may say others;
 * weights that come with the program take seconds, and are there to show that the numbers hold here and now. */
static bool work_anew(const repro_job *job) {
    const repro_command *command = job->command;
    bool text = command->n > 0, shipped = false;
    for (int k = 0; k < command->n; k++) text &= job->table->columns[command->column[k]].kind == REPRO_TEXT;
    for (int i = 0; i < job->n_needs && !job->trains; i++) shipped |= job->needs[i]->shipped;
    return text || shipped;
}

/* "rows.0.ms" in a JSON value; NULL: not there. */
static const json_t *work_find(const json_t *json, const char *key) {
    while (json && *key) {
        char word[64];
        size_t size = strcspn(key, ".");
        snprintf(word, sizeof word, "%.*s", (int)size, key);
        json = isdigit((unsigned char)*word) ? json_array_get(json, (size_t)atoi(word)) : json_object_get(json, word);
        key += size + (key[size] == '.');
    }
    return json;
}

/* Whether a record has any of the values that its command is run for; those that a row names are not looked at. */
static bool work_gives(const repro_job *job) {
    bool gives = job->command->n == 0;
    for (int k = 0; k < job->command->n; k++)
        gives |= strchr(job->command->key[k], '{') ||
                 work_find(json_object_get(job->record, "output"), job->command->key[k]);
    return gives;
}

/* Takes what the results folder has of the job. */
static bool work_load(const repro_state *state, repro_job *job) {
    const repro_options *options = &state->book->options;
    if (!options->results || work_anew(job)) return false;
    json_decref(job->record);
    job->record = repro_record_load(options->results, job, job->looked ? NULL : state->progress.context);
    job->looked = true;
    if (!job->record || !work_gives(job)) return false;
    job->state = REPRO_JOB_DONE, job->reused = job->kept = true;
    return true;
}

static bool work_recorded(const repro_state *state, repro_job *job) {
    const repro_options *options = &state->book->options;
    if (job->state == REPRO_JOB_DONE) return true;
    /* A training is made again only where it may be run, and nothing of which the data are not here. */
    bool again = options->fresh && (options->retrain || !job->trains) && !job->absent;
    /* Another process that makes all anew beside this one may have made it meanwhile. */
    if (again && (!options->results || !repro_record_since(options->results, job, state->begun))) return false;
    return work_load(state, job);
}

/* What was measured is shown even where the results folder takes nothing: read-only, or full. */
static void work_unkept(repro_state *state) {
    base_log(state->progress.context, BASE_LOG_WARNING, "%s; results are shown and not kept", base_message());
    state->unkept = true;
}

/* Removes a folder's files, but for the lock of a run that somebody is at. */
static base_status work_empty(const char *folder) {
    DIR *run = opendir(folder);
    if (!run) return errno == ENOENT ? BASE_OK : base_fail("%s: %s", folder, strerror(errno));
    base_status status = BASE_OK;
    for (const struct dirent *entry; !status && (entry = readdir(run));) {
        struct stat info;
        if (fstatat(dirfd(run), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) || S_ISDIR(info.st_mode) ||
            !strcmp(entry->d_name, "run.lock"))
            continue;
        if (unlinkat(dirfd(run), entry->d_name, 0))
            status = base_fail("%s/%s: cannot remove it: %s", folder, entry->d_name, strerror(errno));
    }
    closedir(run);
    return status;
}

/* Holds the lock of the run in a folder, if there is one: -1. Somebody may be at it, by hand. */
static base_status work_hold(const char *folder, int *lock) {
    char *path = base_path_join(folder, "run.lock");
    if (!path) return BASE_ERROR;
    base_status status = BASE_OK;
    *lock = open(path, O_RDWR | O_CLOEXEC);
    if (*lock < 0 && errno != ENOENT) status = base_fail("%s: %s", path, strerror(errno));
    if (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB))
        status =
            errno == EWOULDBLOCK
                ? base_fail("%s: a run is going on there, which --fresh would delete: wait for it, or stop it", folder)
                : base_fail("%s: cannot lock: %s", path, strerror(errno));
    base_free(path);
    return status;
}

/* Where a training is asked for anew its folder must not hold the old run, which it would go on with. */
static base_status work_forget(const char *folder) {
    int lock = -1;
    char *checkpoints = base_path_join(folder, "checkpoints");
    base_status status = checkpoints ? work_hold(folder, &lock) : BASE_ERROR;
    if (!status) status = work_empty(checkpoints);
    if (!status) status = work_empty(folder);
    if (lock >= 0) close(lock);
    base_free(checkpoints);
    return status;
}

static base_status work_place(const repro_state *state, const repro_job *job) {
    if (!job->folder) return BASE_OK;
    if (state->book->options.fresh) BASE_TRY(work_forget(job->folder));
    return base_make_folders(job->folder);
}

/* What the command computes in: f32 where it does not say. */
static const char *work_precision(const char *const *words) {
    for (int i = 0; words[i]; i++)
        if (!strcmp(words[i], "--precision") && words[i + 1]) return words[i + 1];
    return "f32";
}

/* Runs the command and records what came out. The lock's file goes to the child too: as long as one of us lives, nobody
 * else begins. */
static base_status work_child(repro_state *state, repro_job *job, int lock) {
    const repro_book *book = state->book;
    const char *words[REPRO_MAX_WORDS];
    json_t *output = NULL;
    BASE_TRY(repro_job_words(state, job, REPRO_FILL_RECORD, words, NULL));
    const char *line = repro_command_line(words, NULL, &state->book->arena);
    if (!line) return BASE_ERROR;
    if (work_place(state, job)) return work_fail(state, job, base_message(), true);
    BASE_TRY(repro_job_words(state, job, REPRO_FILL_RUN, words, NULL));
    double start = base_now();
    base_status status = repro_child(words, job->command->n > 0, lock, &output, &state->progress);
    if (status == BASE_CANCELLED) return status;
    if (!status && job->weights) status = base_sha256_file(job->weights, NULL, job->sha256);
    if (status) {
        json_decref(output);
        return work_fail(state, job, base_message(), true);
    }
    json_decref(job->record);
    job->record = repro_record_make(job, line, output, base_now() - start, work_precision(words));
    if (!job->record) return base_fail("out of memory");
    job->state = REPRO_JOB_DONE;
    if (state->unkept || work_anew(job)) return BASE_OK;
    if (repro_record_save(book->options.results, job, job->record))
        work_unkept(state);
    else
        job->kept = book->options.results != NULL;
    return BASE_OK;
}

/* Whether the weights that lie there are those that the record is of: others would be taken for its seed's. Of a run
 * that is not at its end they are a checkpoint. */
static bool work_made_them(const repro_state *state, repro_job *job) {
    const char *made = json_string_value(json_object_get(job->record, "weights_sha256"));
    char found[65];
    if (job->checked || !made) return true;
    if (base_sha256_file(job->weights, NULL, found))
        job->no_weights = base_arena_printf(&state->book->arena, "%s", base_message());
    else if (!strcmp(made, found))
        job->checked = true;
    else if (repro_job_run(state, job) != REPRO_RUN_OPEN)
        job->others = base_arena_printf(&state->book->arena,
                                        "%s: expected the weights that the training left, sha256 %.12s, found %.12s; "
                                        "remove the folder to train them again",
                                        job->weights, made, found);
    return job->checked;
}

DEIT_INTERNAL bool repro_job_unrecorded(const repro_state *state, repro_job *job) {
    return job->used && !work_anew(job) && !repro_job_there(state, job, false);
}

DEIT_INTERNAL bool repro_job_there(const repro_state *state, repro_job *job, bool weights) {
    bool recorded = work_recorded(state, job), there = job->weights && base_path_exists(job->weights);
    job->ready = there && (job->shipped || (recorded && (!weights || work_made_them(state, job))));
    return weights ? job->ready : recorded;
}

/* Takes the lock and runs it, unless somebody else has meanwhile, or is at it: then it stays as it is. */
static base_status work_locked(repro_state *state, repro_job *job, bool weights) {
    int lock = -1;
    char owner[REPRO_OWNER];
    const char *folder = state->unkept || work_anew(job) ? NULL : state->book->options.results;
    if (repro_record_lock(folder, job, &lock, owner)) {
        if (job->trains)
            return base_fail("%s; what is trained needs a results folder that can be written (--results)",
                             base_message());
        work_unkept(state);
        folder = NULL;
    }
    if (folder && lock < 0) {
        memcpy(state->owner, owner, sizeof owner);
        return BASE_OK;
    }
    base_status status = BASE_OK;
    if (job->others) work_load(state, job); // they may be of another process, and the record too
    job->others = NULL;
    bool there = repro_job_there(state, job, weights);
    if (!there && job->others)
        job->no_weights = job->others;
    else if (!there)
        status = work_child(state, job, lock);
    repro_record_unlock(folder, job, lock);
    return status;
}

/* A training that nobody asked for. */
static base_status work_not_run(const repro_state *state, repro_job *job) {
    job->no_weights = "not run: it needs training (--retrain; --dry-run says how long that takes)";
    return job->state == REPRO_JOB_DONE ? BASE_OK : work_fail(state, job, job->no_weights, false);
}

static base_status work_job(repro_state *state, repro_job *job, bool weights);

/* The weights of every training that the job reads. Where one cannot be had the job says so; where it may not be had
 * anew, what is recorded of the job stays good. */
static base_status work_needs(repro_state *state, repro_job *job, bool *ready) {
    *ready = true;
    for (int i = 0; i < job->n_needs; i++) {
        repro_job *need = job->needs[i];
        if (!job->need_read[i]) continue;
        BASE_TRY(work_job(state, need, true));
        bool failed = need->state == REPRO_JOB_FAILED;
        if (!need->ready && (failed || need->no_weights)) {
            const char *why = failed ? base_arena_printf(&state->book->arena, "training %s, seed %d, failed: %s",
                                                         need->row->text[0], need->seed, need->why)
                                     : need->no_weights;
            *ready = false;
            if (!failed && work_load(state, job)) return BASE_OK;
            return why ? work_fail(state, job, why, failed) : BASE_ERROR;
        }
        *ready &= need->ready;
    }
    return BASE_OK;
}

/* Brings a job to an end, or leaves it pending while another process is at it. weights: its record is not enough. */
static base_status work_job(repro_state *state, repro_job *job, bool weights) {
    const repro_options *options = &state->book->options;
    if (job->state == REPRO_JOB_FAILED || repro_job_there(state, job, weights) || job->no_weights) return BASE_OK;
    if (job->trains && !options->retrain && job->others) {
        job->no_weights = job->others;
        return BASE_OK;
    }
    if (job->trains && !options->retrain && (options->fresh || repro_job_run(state, job) != REPRO_RUN_FINISHED))
        return work_not_run(state, job);
    bool ready;
    BASE_TRY(work_needs(state, job, &ready));
    if (!ready) return BASE_OK;
    char cell[128];
    snprintf(cell, sizeof cell, "%.100s, seed %d", job->row->text[0], job->seed);
    state->progress.cell = cell;
    base_progress(state->progress.context, state->progress.what, state->progress.done, state->progress.total, "cells",
                  cell);
    base_status status = work_locked(state, job, weights);
    state->progress.cell = NULL;
    if (status) return status;
    repro_job_there(state, job, weights);
    return BASE_OK;
}

/* ---- All jobs ---------------------------------------------------------------------------------------------------- */

/* One turn over what is pending; *pending: how many are left, for others are at them. */
static base_status work_turn(repro_state *state, int *pending) {
    *pending = 0;
    for (repro_job *job = state->jobs; job; job = job->next) {
        if (!job->used || job->state != REPRO_JOB_PENDING) continue;
        if (base_cancelled(state->progress.context)) return BASE_CANCELLED;
        BASE_TRY(work_job(state, job, false));
        if (job->state == REPRO_JOB_PENDING)
            ++*pending;
        else
            state->progress.done++;
    }
    return BASE_OK;
}

static base_status work_all(repro_state *state) {
    int pending;
    bool said = false;
    for (;;) {
        BASE_TRY(work_turn(state, &pending));
        if (!pending) return BASE_OK;
        if (!said)
            base_log(state->progress.context, BASE_LOG_INFO, "waiting for %d cell%s that %s is making", pending,
                     pending == 1 ? "" : "s", *state->owner ? state->owner : "another process");
        said = true;
        nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    }
}

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* The training that a network's weights began with: its own, or that of the network which it was tuned from. */
static const repro_job *work_origin(const repro_job *job) {
    for (int i = 0; i < job->n_needs; i++)
        if (!strcmp(job->table->columns[job->need_column[i]].name, "start")) return work_origin(job->needs[i]);
    return job;
}

/* Adds a value to those of the cell. */
static base_status work_add(repro_state *state, const repro_job *job, repro_cell *cell, double value) {
    base_arena *arena = &state->book->arena;
    double *values = base_arena_alloc(arena, (size_t)(cell->n + 1) * sizeof *values), sum = 0;
    repro_origin *origins = base_arena_alloc(arena, (size_t)(cell->n + 1) * sizeof *origins);
    if (!values || !origins) return BASE_ERROR;
    for (int i = 0; i < cell->n; i++) values[i] = cell->values[i], origins[i] = cell->origins[i];
    const char *command = json_string_value(json_object_get(job->record, "command"));
    command = base_arena_printf(arena, "%s", command ? command : job->key);
    values[cell->n] = value;
    origins[cell->n++] = (repro_origin){.seed = job->seed,
                                        .command = command,
                                        .id = job->id,
                                        .conditions = json_object_get(job->record, "conditions"),
                                        .kept = job->kept,
                                        .reused = job->reused,
                                        .drawn = job->trains || job->n_needs > 0,
                                        .seconds = json_number_value(json_object_get(job->record, "seconds"))};
    for (int i = 0; i < cell->n; i++) sum += values[i];
    cell->values = values, cell->origins = origins, cell->value = sum / cell->n;
    if (!cell->lost) cell->why = NULL;
    const char **trained = origins[cell->n - 1].trained;
    if (job->trains) trained[0] = work_origin(job)->id;
    for (int i = 0; i < job->n_needs && !job->trains; i++) trained[i] = work_origin(job->needs[i])->id;
    json_incref((json_t *)(uintptr_t)origins[cell->n - 1].conditions);
    return command ? BASE_OK : BASE_ERROR;
}

/* Where the row's value stands: "disagreement.{key}.convnet" with the row's cells filled in; NULL: the row has no such
 * cell. */
static const char *work_key(const repro_use *use, const char *key, char text[128]) {
    const char *brace = strchr(key, '{'), *end = brace ? strchr(brace, '}') : NULL;
    char column[64];
    if (!end) return key;
    snprintf(column, sizeof column, "%.*s", (int)(end - brace - 1), brace + 1);
    const char *cell = repro_row_text(use->table, use->result->row, column);
    if (!cell) return NULL;
    snprintf(text, 128, "%.*s%s%s", (int)(brace - key), key, cell, end + 1);
    return text;
}

/* A column of text: what stands there, as a person would write it. */
static base_status work_take_text(const repro_state *state, repro_cell *cell, const json_t *value) {
    const char *word = json_is_string(value)                           ? json_string_value(value)
                       : json_is_boolean(value)                        ? (json_is_true(value) ? "yes" : "no")
                       : json_is_null(value) || !json_is_number(value) ? "none"
                                                                       : NULL;
    cell->text = word ? base_arena_printf(&state->book->arena, "%s", word)
                      : base_arena_printf(&state->book->arena, "%.10g", json_number_value(value));
    cell->value = 0;
    return cell->text ? BASE_OK : BASE_ERROR;
}

/* Of a key "....median": half the range of the samples, which stands beside it; 0: another key. */
static double work_half_range(const json_t *output, const char *key) {
    char beside[128];
    size_t size = strlen(key), end = strlen(".median");
    if (size < end || strcmp(key + size - end, ".median") != 0) return 0;
    snprintf(beside, sizeof beside, "%.*s", (int)(size - end), key);
    const json_t *samples = work_find(output, beside);
    return 0.5 *
           (json_number_value(json_object_get(samples, "max")) - json_number_value(json_object_get(samples, "min")));
}

/* The k-th column that the job's output gives. */
static base_status work_take(repro_state *state, const repro_use *use, int k) {
    char text[128];
    const char *key = work_key(use, use->command->key[k], text);
    if (!key) return BASE_OK;
    const json_t *output = json_object_get(use->job->record, "output"), *number = work_find(output, key);
    repro_cell *cell = &use->result->cell[use->command->scale][use->command->column[k]];
    cell->kept = use->job->absent;
    if (number && use->table->columns[use->command->column[k]].kind == REPRO_TEXT) {
        BASE_TRY(work_take_text(state, cell, number));
        return work_add(state, use->job, cell, 0);
    }
    if (!json_is_number(number)) {
        const char *why =
            use->left_out ? use->left_out : base_arena_printf(&state->book->arena, "the command gave no %s", key);
        /* what ran counts more than another command that could not */
        if (!cell->why || (use->left_out && !cell->failed)) cell->why = why;
        cell->lost += !use->left_out;
        return BASE_OK;
    }
    BASE_TRY(work_add(state, use->job, cell, json_number_value(number)));
    cell->half_range = work_half_range(output, key);
    char name[64];
    snprintf(name, sizeof name, "%.48s_images", key);
    const json_t *images = json_object_get(output, name);
    cell->images = json_integer_value(images ? images : json_object_get(output, "images"));
    const char *sha256 = json_string_value(json_object_get(output, "weights_sha256"));
    if (sha256) cell->sha256 = base_arena_printf(&state->book->arena, "%s", sha256);
    return BASE_OK;
}

static base_status work_deliver(repro_state *state, const repro_use *use) {
    if (use->job->state != REPRO_JOB_DONE) {
        repro_reason(use->table, use->result, use->command, use->job->why, use->job->state == REPRO_JOB_FAILED, true);
        return BASE_OK;
    }
    const json_t *output = json_object_get(use->job->record, "output");
    const char *sha256 = json_string_value(json_object_get(output, "weights_sha256"));
    if (sha256 && use->command->scale == REPRO_PAPER)
        use->result->weights_sha256 = base_arena_printf(&state->book->arena, "%s", sha256);
    for (int k = 0; k < use->command->n; k++) BASE_TRY(work_take(state, use, k));
    return BASE_OK;
}

/* ---- What was trained for it ------------------------------------------------------------------------------------- */

typedef struct {
    repro_trained *run;
    int n;
} work_list;

/* Puts the trainings that a job reads, and itself if it is one, on a list, each once; those without a record (weights
 * that came with the program) are left out. */
static base_status work_list_job(const repro_state *state, repro_job *job, work_list *list, const void *mark) {
    if (job->listed == mark) return BASE_OK;
    job->listed = mark;
    for (int i = 0; i < job->n_needs; i++) BASE_TRY(work_list_job(state, job->needs[i], list, mark));
    if (!job->trains || !work_recorded(state, job)) return BASE_OK;
    base_arena *arena = &state->book->arena;
    const json_t *output = json_object_get(job->record, "output"), *cpu = json_object_get(output, "cpu_seconds");
    const json_t *conditions = json_object_get(job->record, "conditions"), *args = json_object_get(output, "args");
    json_int_t threads = json_integer_value(json_object_get(args, "threads")); /* 0: one a core */
    repro_trained *run = &list->run[list->n++];
    double cpu_seconds = json_is_number(cpu) ? json_number_value(cpu) : NAN;
    *run = (repro_trained){.row = job->row->text[0],
                           .id = job->id,
                           .seed = job->seed,
                           .threads = (int)json_integer_value(threads > 0 ? json_object_get(args, "threads")
                                                                          : json_object_get(conditions, "threads")),
                           .seconds = fmax(json_number_value(json_object_get(job->record, "seconds")),
                                           json_number_value(json_object_get(output, "seconds"))),
                           .cpu_seconds = cpu_seconds};
    /* Of a run that went on after a stop the record's clock knows the last part alone; one thread's processor is a
     * clock, too. */
    if (run->threads == 1) run->seconds = fmax(run->seconds, cpu_seconds);
    const char *command = json_string_value(json_object_get(job->record, "command"));
    run->row = base_arena_printf(arena, "%s", run->row); /* what it was read from goes before the book does */
    run->command = base_arena_printf(arena, "%s", command ? command : job->key);
    char machine[REPRO_MADE], build[REPRO_MADE];
    repro_conditions_say(conditions, machine, build);
    run->machine = base_arena_printf(arena, "%s", machine), run->build = base_arena_printf(arena, "%s", build);
    return run->row && run->command && run->machine && run->build ? BASE_OK : BASE_ERROR;
}

static base_status work_list_all(repro_state *state) {
    repro_book *book = state->book;
    int jobs = 0;
    for (const repro_job *job = state->jobs; job; job = job->next) jobs++;
    for (int b = 0; b <= book->n && jobs; b++) { /* the last one: all reports */
        repro_report *report = b < book->n ? book->report[b] : NULL;
        work_list list = {base_arena_alloc(&book->arena, (size_t)jobs * sizeof *list.run), 0};
        if (!list.run) return BASE_ERROR;
        for (const repro_use *use = state->uses; use; use = use->next)
            if ((!report || use->table == report->table) && use->job->state == REPRO_JOB_DONE)
                BASE_TRY(work_list_job(state, use->job, &list, list.run));
        if (report)
            report->trained = list.run, report->n_trained = list.n;
        else
            book->trained = list.run, book->n_trained = list.n;
    }
    return BASE_OK;
}

DEIT_INTERNAL base_status repro_work(repro_state *state) {
    int reused = 0;
    base_status status = work_all(state);
    for (const repro_use *use = state->uses; use && !status; use = use->next) status = work_deliver(state, use);
    for (const repro_job *job = state->jobs; job; job = job->next) {
        bool counts = job->used && job->state != REPRO_JOB_NOT_RUN && job->state != REPRO_JOB_PENDING;
        state->book->cells += counts;
        reused += counts && job->reused;
    }
    state->book->reused += reused;
    if (reused)
        base_log(state->progress.context, BASE_LOG_INFO, "%d %s found in %s; --fresh%s makes them anew", reused,
                 reused == 1 ? "cell was" : "cells were", state->book->options.results,
                 state->book->options.fresh && !state->book->options.retrain ? " --retrain" : "");
    return status ? status : work_list_all(state);
}
