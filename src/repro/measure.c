/* measure: the speed of every network of a table within a budget of time.
 *
 * Networks are measured one after another, from the smallest to the largest, in two rounds, so that each row has
 * samples from two moments: what disturbs the machine for half a minute then spoils no row alone. A sample is a small
 * batch. */
#include "repro/internal.h"

#include <math.h>
#include <string.h>

enum { MEASURE_ROUNDS = 2, MEASURE_SAMPLES = 400 };
static const double measure_least_gflop = 5;  /* a sample is one image, or as many as make this much work */
static const double measure_cell_seconds = 1; /* a cell of a small network takes more samples, up to this */
static const double measure_peak_gflop = 2.0 * 2048 * 2048 * 2048 * 1e-9;

/* One network at one image size. */
typedef struct {
    repro_result *first; /* the row it was met in */
    int batch, n;        /* n: samples so far */
    double rate[MEASURE_SAMPLES], percent[MEASURE_SAMPLES], peak[MEASURE_SAMPLES];
    const char *why; /* the job failed */
} measure_net;

/* What the finished cells tell of the time that others will take; all 0 before the first. */
typedef struct {
    double gflop, seconds;          /* of a pass of each, in all */
    double per_peak, per_parameter; /* seconds: of the peak's product, to set a network up */
} measure_pace;

static bool measure_same(const repro_result *a, const repro_result *b) {
    return a->known && b->known && a->row->image == b->row->image && !strcmp(a->row->model, b->row->model);
}

/* Rows that are the first of their network; sorted by work. */
static int measure_nets(const repro_state *state, repro_result *first[REPRO_MAX_ROWS]) {
    repro_report *report = state->report;
    int n = 0;
    for (int i = 0; i < report->n; i++) {
        bool seen = !report->rows[i].known;
        for (int j = 0; j < i && !seen; j++) seen = measure_same(&report->rows[i], &report->rows[j]);
        if (seen) continue;
        int at = n++;
        for (; at > 0 && first[at - 1]->gflop > report->rows[i].gflop; at--) first[at] = first[at - 1];
        first[at] = &report->rows[i];
    }
    return n;
}

DEIT_INTERNAL int repro_speed_cells(const repro_state *state) {
    repro_result *first[REPRO_MAX_ROWS];
    return MEASURE_ROUNDS * measure_nets(state, first);
}

/* The smallest power of two that makes a sample long enough. */
static int measure_batch(double gflop) {
    int batch = 1;
    while (batch < 64 && batch * gflop < measure_least_gflop) batch *= 2;
    return batch;
}

/* ---- The budget -------------------------------------------------------------------------------------------------- */

/* Samples that a network lacks, shared out over the rounds that are left; each takes one at least. */
static int measure_lacks(const repro_state *state, const measure_net *net, int round) {
    int rounds = MEASURE_ROUNDS - round, lacks = state->report->table->samples - net->n;
    return lacks > rounds ? (lacks + rounds - 1) / rounds : 1;
}

/* Seconds that a cell takes, about: it sets the network up and warms up; then each sample is a pass and a product.
 * least: seconds that its samples take at least. */
static double measure_cost(const measure_pace *pace, const measure_net *net, int samples, double least) {
    double per_gflop = pace->gflop > 0 ? pace->seconds / pace->gflop : 0;
    double pass = net->n ? net->batch / net->rate[net->n - 1] : net->batch * net->first->gflop * per_gflop;
    return 0.3 + (double)net->first->params * pace->per_parameter + pass + 2 * pace->per_peak +
           fmax(samples * (pass + pace->per_peak), least);
}

/* Seconds of all cells that remain - nets[i ..] of this round, and all nets in the rounds after it - with at most so
 * many samples each. */
static double measure_rest(const repro_state *state, const measure_pace *pace, const measure_net *nets, int n,
                           int round, int i, int samples) {
    double cost = 0;
    for (int r = round; r < MEASURE_ROUNDS; r++)
        for (int k = r == round ? i : 0; k < n; k++) {
            int lacks = measure_lacks(state, &nets[k], k < i ? r : round);
            bool all = samples >= lacks;
            cost += measure_cost(pace, &nets[k], all ? lacks : samples, all ? measure_cell_seconds : 0);
        }
    return cost;
}

/* The most samples for nets[i] with which all that remains still fits the budget. 0: not even one fits, and the
 * network has samples already. *least: seconds that its samples shall take at least. */
static int measure_repeats(const repro_state *state, const measure_pace *pace, const measure_net *nets, int n,
                           int round, int i, double *least) {
    double left = state->report->table->budget - state->used;
    int lacks = measure_lacks(state, &nets[i], round);
    for (int samples = lacks; samples > 0; samples--) {
        *least = samples == lacks ? measure_cell_seconds : 0;
        if (measure_rest(state, pace, nets, n, round, i, samples) <= left) return samples;
    }
    *least = 0;
    return nets[i].n && measure_cost(pace, &nets[i], 1, 0) > left ? 0 : 1;
}

static void measure_learn(measure_pace *pace, const measure_net *net, int samples, double seconds) {
    double rate = net->rate[net->n - 1], peak = net->peak[net->n - 1];
    double pass = net->batch / rate, product = measure_peak_gflop / peak;
    double setup = (seconds - (samples + 1) * pass - (samples + 2) * product) / (double)net->first->params;
    pace->gflop += net->batch * net->first->gflop;
    pace->seconds += pass;
    pace->per_peak = fmax(pace->per_peak, product);
    if (net->first->params > 50000000)
        pace->per_parameter = fmax(pace->per_parameter, setup); /* of small ones it is noise */
}

/* ---- Cells ------------------------------------------------------------------------------------------------------- */

/* Takes the samples of a bench row over; false if it has none. */
static bool measure_take(measure_net *net, const json_t *output) {
    const json_t *row = json_array_get(json_object_get(output, "rows"), 0);
    const json_t *rate = json_object_get(row, "samples"), *percent = json_object_get(row, "samples_percent_of_peak"),
                 *peak = json_object_get(row, "samples_peak_gflops");
    size_t count = json_array_size(rate);
    if (!count || json_array_size(percent) != count || json_array_size(peak) != count) return false;
    for (size_t i = 0; i < count && net->n < MEASURE_SAMPLES; i++, net->n++) {
        net->rate[net->n] = json_number_value(json_array_get(rate, i));
        net->percent[net->n] = json_number_value(json_array_get(percent, i));
        net->peak[net->n] = json_number_value(json_array_get(peak, i));
    }
    repro_result *r = net->first;
    r->batch = net->batch;
    r->workers = (int)json_integer_value(json_object_get(row, "workers"));
    r->threads_per_worker = (int)json_integer_value(json_object_get(row, "threads_per_worker"));
    r->micro_batch = (int)json_integer_value(json_object_get(row, "micro_batch"));
    r->memory = json_number_value(json_object_get(row, "memory_bytes"));
    return net->rate[net->n - 1] > 0 && net->peak[net->n - 1] > 0;
}

static base_status measure_words(const repro_state *state, const measure_net *net, int samples, double least,
                                 const char *words[REPRO_MAX_WORDS]) {
    repro_report *report = state->report;
    const repro_row *row = net->first->row;
    char image[16], batch[16], repeats[16], seconds[16];
    model_config config;
    BASE_TRY(model_find(row->model, &config));
    snprintf(image, sizeof image, "%d", row->image);
    snprintf(batch, sizeof batch, "%d", net->batch);
    snprintf(repeats, sizeof repeats, "%d", samples);
    snprintf(seconds, sizeof seconds, "%g", least);
    const repro_name names[] = {{"model", row->model}, {"image", config.image == row->image ? NULL : image},
                                {"batch", batch},      {"repeats", repeats},
                                {"seconds", seconds},  {"precision", report->options.precision}};
    const char *command = repro_command_for(report->table, REPRO_IMAGES_PER_S);
    if (!command) return base_fail("repro/%s: no command makes images_per_s", report->table->name);
    return repro_command_fill(command, names, sizeof names / sizeof *names, &report->arena, words);
}

static base_status measure_cell(repro_state *state, measure_pace *pace, measure_net *net, int round, int samples,
                                double least) {
    const char *words[REPRO_MAX_WORDS];
    repro_report *report = state->report;
    BASE_TRY(measure_words(state, net, samples, least, words));
    base_progress(state->progress.context, state->progress.table, state->progress.done, state->progress.total, "cells",
                  net->first->row->label);
    char key[256];
    snprintf(key, sizeof key, "speed %s %d %d %s round %d", net->first->row->model, net->first->row->image, net->batch,
             report->options.precision, round);
    json_t *output;
    double seconds;
    int before = net->n;
    base_status status = repro_cell_run(state, key, words, &output, &seconds);
    if (!status && !measure_take(net, output)) status = base_fail("deit bench gave no samples");
    json_decref(output);
    if (status == BASE_CANCELLED) return status;
    if (status) {
        report->failed++;
        net->why = base_arena_printf(&report->arena, "%s", base_message());
        return repro_add_todo(report, net->first->row->label, repro_command_line(words, &report->arena));
    }
    measure_learn(pace, net, net->n - before, seconds);
    return BASE_OK;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* Gives what was measured to every row of the network. */
static void measure_fill(repro_report *report, measure_net *net) {
    repro_result *first = net->first;
    repro_cell *cell = &first->cell[REPRO_IMAGES_PER_S];
    cell->why = net->why;
    if (net->n) {
        first->images_per_s = base_spread_of(net->rate, net->n);
        first->percent_of_peak = base_spread_of(net->percent, net->n);
        first->peak_gflops = base_spread_of(net->peak, net->n).median;
        first->fewer = net->n < report->table->samples;
        cell->value = first->images_per_s.median;
    }
    for (int i = 0; i < report->n; i++) {
        repro_result *r = &report->rows[i];
        if (r == first || !measure_same(r, first)) continue;
        r->cell[REPRO_IMAGES_PER_S] = *cell;
        r->images_per_s = first->images_per_s, r->percent_of_peak = first->percent_of_peak,
        r->peak_gflops = first->peak_gflops;
        r->batch = first->batch, r->workers = first->workers, r->threads_per_worker = first->threads_per_worker;
        r->micro_batch = first->micro_batch, r->memory = first->memory, r->fewer = first->fewer;
    }
}

DEIT_INTERNAL base_status repro_speed(repro_state *state) {
    repro_result *first[REPRO_MAX_ROWS];
    int n = measure_nets(state, first);
    measure_net *nets = base_calloc((size_t)n + 1, sizeof *nets);
    if (!nets) return BASE_ERROR;
    for (int i = 0; i < n; i++) nets[i].first = first[i], nets[i].batch = measure_batch(first[i]->gflop);
    measure_pace pace = {0};
    base_status status = BASE_OK;
    for (int round = 0; round < MEASURE_ROUNDS && !status; round++)
        for (int i = 0; i < n && !status; i++) {
            double least = 0;
            int samples = nets[i].why ? 0 : measure_repeats(state, &pace, nets, n, round, i, &least);
            if (samples) status = measure_cell(state, &pace, &nets[i], round, samples, least);
        }
    for (int i = 0; i < n && !status; i++) measure_fill(state->report, &nets[i]);
    base_free(nets);
    return status;
}
