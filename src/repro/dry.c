/* dry: the commands of a run in order, with what they will cost here, to be read or run one by one. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRY_PEAK_SIDE = 2048 };

typedef struct {
    double seconds; /* of all that could be estimated */
    int commands, unknown;
} dry_total;

typedef struct {
    repro_state *state;
    base_text *out;
    double peak; /* FLOP/s */
    dry_total total[REPRO_SCALES];
    int done, trainings;
} dry_run;

/* FLOP/s of a large product on this machine, now. */
static base_status dry_peak(double *peak) {
    nn_peak *product;
    BASE_TRY(nn_peak_new(&product, DRY_PEAK_SIDE, NN_F32, 0));
    *peak = nn_peak_sample(product);
    for (int i = 0; i < 2; i++) *peak = fmax(*peak, nn_peak_sample(product));
    nn_peak_free(product);
    return BASE_OK;
}

static const char *dry_time(char text[48], double seconds) {
    char time[32];
    if (isnan(seconds))
        snprintf(text, 48, "of unknown length");
    else
        snprintf(text, 48, "about %s", repro_time(time, fmax(seconds, 1)));
    return text;
}

/* What the same cell took with another seed, all sessions of a training; NAN: no such record. */
static double dry_sibling(const repro_state *state, const repro_job *job) {
    for (const repro_job *other = state->jobs; other; other = other->next) {
        if (other->row != job->row || other->command != job->command || !state->book->options.results) continue;
        json_t *record = repro_record_load(state->book->options.results, other, NULL);
        const json_t *output = json_object_get(record, "output");
        double seconds = record ? json_number_value(json_object_get(record, "seconds")) : NAN;
        if (record && job->trains) seconds = fmax(seconds, json_number_value(json_object_get(output, "seconds")));
        json_decref(record);
        if (!isnan(seconds)) return seconds;
    }
    return NAN;
}

/* A sibling's time; what the command says; else the job's work at this machine's speed. Of a run that is finished only
 * an evaluation is left. */
static double dry_cost(const dry_run *run, const repro_job *job, bool trained) {
    double seconds = trained ? 1 : dry_sibling(run->state, job);
    if (isnan(seconds)) seconds = repro_job_seconds(run->state, job);
    if (!isnan(seconds)) return seconds;
    return repro_job_work(run->state, job) / run->peak;
}

static void dry_print(dry_run *run, repro_scale scale, const char *what, const char *line, double seconds) {
    char time[48];
    dry_total *total = &run->total[scale];
    base_text_printf(run->out, "# %s: %s\n%s\n", what, dry_time(time, seconds), line);
    total->commands++;
    if (isnan(seconds))
        total->unknown++;
    else
        total->seconds += seconds;
}

/* ---- Speeds ------------------------------------------------------------------------------------------------------ */

static base_status dry_speed(dry_run *run, repro_net *net) {
    const char *words[REPRO_MAX_WORDS];
    base_arena *arena = &run->state->book->arena;
    const double product = 2.0 * DRY_PEAK_SIDE * DRY_PEAK_SIDE * DRY_PEAK_SIDE / run->peak;
    int samples = run->state->samples;
    BASE_TRY(repro_speed_words(run->state, net, samples, 0, words));
    const char *line = repro_command_line(words, run->state->book->options.program, arena),
               *what = base_arena_printf(arena, "%s at %d", net->config.name, net->config.image);
    if (!line || !what) return BASE_ERROR;
    double pass = net->batch * net->gflop * 1e9 / (run->peak * repro_share(&net->config, false));
    dry_print(run, REPRO_PAPER, what, line,
              (samples + 1) * pass + (samples + 2) * product + (double)net->params * 1e-8 + 0.3);
    return BASE_OK;
}

/* ---- Jobs -------------------------------------------------------------------------------------------------------- */

static base_status dry_job(dry_run *run, repro_job *job, bool weights) {
    repro_state *state = run->state;
    if (job->said) return BASE_OK;
    if (repro_job_there(state, job, weights)) {
        run->done += !weights;
        return BASE_OK;
    }
    for (int i = 0; i < job->n_needs; i++)
        if (job->need_read[i]) BASE_TRY(dry_job(run, job->needs[i], true));
    job->said = true;
    bool trained = job->trains && repro_job_run(state, job) == REPRO_RUN_FINISHED;
    const char *line = repro_job_line(state, job), *note = trained ? "its run is finished" : job->wants;
    const char *what = base_arena_printf(&state->book->arena, "%s, %s, seed %d%s%s", job->table->name,
                                         job->row->text[0], job->seed, note ? "; " : "", note ? note : "");
    if (!line || !what) return BASE_ERROR;
    run->trainings += job->trains;
    dry_print(run, job->command->scale, what, line, dry_cost(run, job, trained));
    return BASE_OK;
}

/* Whether one of a row's first columns has no command for this reason. */
static bool dry_lacks(const repro_result *row, repro_scale scale, int columns, const char *why) {
    for (int c = 0; c < columns; c++)
        if (row->cell[scale][c].why && !strcmp(row->cell[scale][c].why, why)) return true;
    return false;
}

/* A line with one reason, and the rows from the first on that it holds for. */
static void dry_reason(dry_run *run, const repro_report *report, repro_scale scale, int first, const char *why) {
    const char *before = "";
    base_text_printf(run->out, "# %s%s: left out, %s: ", report->table->name, scale == REPRO_DESK ? ", desk" : "", why);
    for (int i = first; i < report->n; i++) {
        if (!dry_lacks(&report->rows[i], scale, report->table->n_columns, why)) continue;
        base_text_printf(run->out, "%s%s", before, report->rows[i].row->text[0]);
        before = "; ";
    }
    base_text_printf(run->out, "\n");
}

/* What no command is printed for, and why: each reason once a table and scale, where its first cell stands. */
static void dry_left_out(dry_run *run, const repro_report *report, repro_scale scale) {
    int columns = report->table->n_columns;
    for (int i = 0; i < report->n; i++)
        for (int c = 0; c < columns; c++) {
            const char *why = report->rows[i].cell[scale][c].why;
            bool said = why == NULL;
            for (int k = 0; k <= i && !said; k++) said = dry_lacks(&report->rows[k], scale, k < i ? columns : c, why);
            if (!said) dry_reason(run, report, scale, i, why);
        }
}

static base_status dry_all(dry_run *run) {
    repro_state *state = run->state;
    state->dry = true;
    BASE_TRY(repro_plan(state));
    for (const repro_use *use = state->uses; use; use = use->next) /* what one command cannot make another does */
        for (int k = 0; k < use->command->n; k++)
            use->result->cell[use->command->scale][use->command->column[k]].why = NULL;
    BASE_TRY(dry_peak(&run->peak));
    for (int i = 0; i < state->book->n_nets; i++) BASE_TRY(dry_speed(run, &state->book->nets[i]));
    for (repro_job *job = state->jobs; job; job = job->next)
        if (job->used) BASE_TRY(dry_job(run, job, false));
    for (int b = 0; b < state->book->n; b++)
        for (int scale = 0; scale < REPRO_SCALES; scale++)
            dry_left_out(run, state->book->report[b], (repro_scale)scale);
    return BASE_OK;
}

static void dry_sum(const dry_total *total, base_text *out) {
    char time[48];
    base_text_printf(out, "%d commands", total->commands);
    if (total->commands > total->unknown) base_text_printf(out, ", %s", dry_time(time, total->seconds));
    if (total->unknown) base_text_printf(out, ", %d of unknown length", total->unknown);
}

static void dry_head(const dry_run *run, base_text *out) {
    const dry_total *paper = &run->total[REPRO_PAPER], *desk = &run->total[REPRO_DESK];
    const dry_total all = {paper->seconds + desk->seconds, paper->commands + desk->commands,
                           paper->unknown + desk->unknown};
    base_text_printf(out, "# %s: ", run->state->progress.what);
    dry_sum(&all, out);
    if (all.commands)
        base_text_printf(out, ", by this machine's %.0f GFLOP/s and what others like them took", run->peak * 1e-9);
    if (run->done) base_text_printf(out, "; %d cells are done already", run->done);
    base_text_printf(out, "\n");
    if (run->trainings)
        base_text_printf(out, "# a training that was run by hand, in the folder named here and to its end, is taken up "
                              "and recorded by deit repro without --retrain; other commands it runs itself\n");
    for (int s = 0; s < REPRO_SCALES && paper->commands && desk->commands; s++) {
        base_text_printf(out, "# of these at %s scale: ", repro_scale_name((repro_scale)s));
        dry_sum(&run->total[s], out);
        base_text_printf(out, "\n");
    }
}

DEIT_INTERNAL base_status repro_dry_run(repro_table *const *tables, int n, const repro_options *options,
                                        base_text *out) {
    repro_state state;
    base_text body = {0};
    BASE_TRY(repro_begin(&state, tables, n, options, NULL));
    dry_run run = {.state = &state, .out = &body};
    base_status status = dry_all(&run);
    if (!status) {
        dry_head(&run, out);
        base_text_add(out, body.data ? body.data : "", body.size);
        out->failed |= body.failed;
    }
    base_text_free(&body);
    repro_end(&state);
    repro_book_free(state.book);
    return status;
}
