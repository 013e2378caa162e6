/* measure: the speed of every network of a table within a budget of time.
 *
 * Networks are measured one after another, from the smallest to the largest, in two rounds, so that each row has
 * samples from two moments: what disturbs the machine for half a minute then spoils no row alone. A sample is a small
 * batch. */
#include "repro/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double measure_least_gflop = 5;  /* a sample is one image, or as many as make this much work */
static const double measure_cell_seconds = 1; /* a cell of a small network takes more samples, up to this */
static const double measure_peak_gflop = 2.0 * 2048 * 2048 * 2048 * 1e-9;

/* What the finished cells tell of the time that others will take; all 0 before the first. */
typedef struct {
    double gflop, seconds;          /* of a pass of each, in all */
    double per_peak, per_parameter; /* seconds: of the peak's product, to set a network up */
} measure_pace;

static int measure_order(const void *a, const void *b) {
    double x = (*(repro_net *const *)a)->gflop, y = (*(repro_net *const *)b)->gflop;
    return (x > y) - (x < y);
}

DEIT_INTERNAL int repro_speed_cells(const repro_state *state) {
    return REPRO_ROUNDS * state->book->n_nets;
}

/* The smallest power of two that makes a sample long enough. */
DEIT_INTERNAL int repro_speed_batch(double gflop) {
    int batch = 1;
    while (batch < 64 && batch * gflop < measure_least_gflop) batch *= 2;
    return batch;
}

/* ---- The budget -------------------------------------------------------------------------------------------------- */

/* Samples that a network lacks, shared out over the rounds that are left; each takes one at least. */
static int measure_lacks(const repro_state *state, const repro_net *net, int round) {
    int rounds = REPRO_ROUNDS - round, lacks = state->samples - net->n;
    return lacks > rounds ? (lacks + rounds - 1) / rounds : 1;
}

/* Seconds that a cell takes, about: it sets the network up and warms up; then each sample is a pass and a product.
 * least: seconds that its samples take at least. */
static double measure_cost(const measure_pace *pace, const repro_net *net, int samples, double least) {
    double per_gflop = pace->gflop > 0 ? pace->seconds / pace->gflop : 0;
    double pass = net->n ? net->batch / net->rate[net->n - 1] : net->batch * net->gflop * per_gflop;
    return 0.3 + (double)net->params * pace->per_parameter + pass + 2 * pace->per_peak +
           fmax(samples * (pass + pace->per_peak), least);
}

/* Seconds of all cells that remain - nets[i ..] of this round, and all nets in the rounds after it - with at most so
 * many samples each. */
static double measure_rest(const repro_state *state, const measure_pace *pace, repro_net *const *nets, int n, int round,
                           int i, int samples) {
    double cost = 0;
    for (int r = round; r < REPRO_ROUNDS; r++)
        for (int k = r == round ? i : 0; k < n; k++) {
            int lacks = measure_lacks(state, nets[k], k < i ? r : round);
            bool all = samples >= lacks;
            cost += measure_cost(pace, nets[k], all ? lacks : samples, all ? measure_cell_seconds : 0);
        }
    return cost;
}

/* The most samples for nets[i] with which all that remains still fits the budget. 0: not even one fits, and the
 * network has samples already. *least: seconds that its samples shall take at least. */
static int measure_repeats(const repro_state *state, const measure_pace *pace, repro_net *const *nets, int n, int round,
                           int i, double *least) {
    double left = state->budget - state->used;
    int lacks = measure_lacks(state, nets[i], round);
    for (int samples = lacks; samples > 0; samples--) {
        *least = samples == lacks ? measure_cell_seconds : 0;
        if (measure_rest(state, pace, nets, n, round, i, samples) <= left) return samples;
    }
    *least = 0;
    return nets[i]->n && measure_cost(pace, nets[i], 1, 0) > left ? 0 : 1;
}

static void measure_learn(measure_pace *pace, const repro_net *net, int samples, double seconds) {
    double rate = net->rate[net->n - 1], peak = net->peak[net->n - 1];
    double pass = net->batch / rate, product = measure_peak_gflop / peak;
    double setup = (seconds - (samples + 1) * pass - (samples + 2) * product) / (double)net->params;
    pace->gflop += net->batch * net->gflop;
    pace->seconds += pass;
    pace->per_peak = fmax(pace->per_peak, product);
    if (net->params > 50000000) pace->per_parameter = fmax(pace->per_parameter, setup); /* of small ones it is noise */
}

/* ---- Cells ------------------------------------------------------------------------------------------------------- */

/* Takes the samples of a bench row over; false if it has none. */
static bool measure_take(repro_net *net, const json_t *output) {
    const json_t *row = json_array_get(json_object_get(output, "rows"), 0);
    const json_t *rate = json_object_get(row, "samples"), *percent = json_object_get(row, "samples_percent_of_peak"),
                 *peak = json_object_get(row, "samples_peak_gflops");
    size_t count = json_array_size(rate);
    if (!count || json_array_size(percent) != count || json_array_size(peak) != count) return false;
    for (size_t i = 0; i < count && net->n < REPRO_SPEED_SAMPLES; i++, net->n++) {
        net->rate[net->n] = json_number_value(json_array_get(rate, i));
        net->percent[net->n] = json_number_value(json_array_get(percent, i));
        net->peak[net->n] = json_number_value(json_array_get(peak, i));
    }
    net->workers = (int)json_integer_value(json_object_get(row, "workers"));
    net->threads_per_worker = (int)json_integer_value(json_object_get(row, "threads_per_worker"));
    net->micro_batch = (int)json_integer_value(json_object_get(row, "micro_batch"));
    net->memory = json_number_value(json_object_get(row, "memory_bytes"));
    return net->rate[net->n - 1] > 0 && net->peak[net->n - 1] > 0;
}

/* The command of the first table that has one; tables' commands for speed are the same. */
static const char *measure_command(const repro_book *book) {
    for (int i = 0; i < book->n; i++) {
        const repro_table *table = book->report[i]->table;
        for (int c = 0; c < table->n_columns; c++) {
            const repro_command *command = repro_command_for(table, REPRO_PAPER, c);
            if (table->columns[c].kind == REPRO_SPEED && command) return command->text;
        }
    }
    return NULL;
}

DEIT_INTERNAL base_status repro_speed_words(const repro_state *state, const repro_net *net, int samples, double least,
                                            const char *words[REPRO_MAX_WORDS]) {
    repro_book *book = state->book;
    char image[16], batch[16], repeats[16], seconds[16];
    model_config config;
    BASE_TRY(model_find(net->config.name, &config));
    snprintf(image, sizeof image, "%d", net->config.image);
    snprintf(batch, sizeof batch, "%d", net->batch);
    snprintf(repeats, sizeof repeats, "%d", samples);
    snprintf(seconds, sizeof seconds, "%g", least);
    const repro_name names[] = {{.name = "model", .value = net->config.name},
                                {.name = "image", .value = config.image == net->config.image ? NULL : image},
                                {.name = "batch", .value = batch},
                                {.name = "precision", .value = book->options.precision},
                                {.name = "repeats", .value = repeats},
                                {.name = "seconds", .value = seconds}};
    const char *command = measure_command(book);
    if (!command) return base_fail("no command makes images/s");
    return repro_command_fill(command, names, sizeof names / sizeof *names, REPRO_FILL_RUN, &book->arena, words, NULL);
}

static base_status measure_cell(repro_state *state, measure_pace *pace, repro_net *net, int round, int samples,
                                double least) {
    const char *words[REPRO_MAX_WORDS];
    repro_book *book = state->book;
    BASE_TRY(repro_speed_words(state, net, samples, least, words));
    state->progress.cell = net->config.name;
    base_progress(state->progress.context, state->progress.what, state->progress.done, state->progress.total, "cells",
                  net->config.name);
    char key[256];
    const char *made_by = measure_command(book); // of a file of one's own it may have changed
    snprintf(key, sizeof key, "speed %s %d %d %s round %d %016llx", net->config.name, net->config.image, net->batch,
             book->options.precision, round, (unsigned long long)base_fnv1a64(made_by, strlen(made_by)));
    json_t *output = NULL;
    double seconds = 0;
    int before = net->n;
    base_status status = repro_cell_run(state, key, words, &output, &seconds);
    if (!status && !measure_take(net, output)) net->n = before, status = base_fail("deit bench gave no samples");
    json_decref(output);
    if (status == BASE_CANCELLED) return status;
    if (status) {
        book->failed++;
        net->why = base_arena_printf(&book->arena, "%s", base_message());
        return repro_add_todo(book, net->config.name, repro_command_line(words, book->options.program, &book->arena));
    }
    measure_learn(pace, net, net->n - before, seconds);
    const char *command = repro_command_line(words, book->options.program, &book->arena);
    if (!command) return BASE_ERROR;
    net->end[net->rounds] = net->n, net->command[net->rounds++] = command;
    return BASE_OK;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* base_spread_of sorts, and the samples stand in the order they came. */
static base_spread measure_spread(const double *values, int n) {
    double sorted[REPRO_SPEED_SAMPLES];
    memcpy(sorted, values, (size_t)n * sizeof *values);
    return base_spread_of(sorted, n);
}

static void measure_finish(const repro_state *state, repro_net *net) {
    if (!net->n) return;
    net->images_per_s = measure_spread(net->rate, net->n);
    net->percent_of_peak = measure_spread(net->percent, net->n);
    net->peak_gflops = measure_spread(net->peak, net->n).median;
    for (int k = 0, begin = 0; k < net->rounds; begin = net->end[k++])
        net->round[k] = measure_spread(net->rate + begin, net->end[k] - begin).median;
    net->fewer = net->n < state->samples;
}

/* Gives what was measured to every row of a network. */
static void measure_fill(repro_report *report) {
    for (int i = 0; i < report->n; i++)
        for (int c = 0; c < report->table->n_columns; c++) {
            repro_result *r = &report->rows[i];
            repro_cell *cell = &r->cell[REPRO_PAPER][c];
            if (report->table->columns[c].kind != REPRO_SPEED || !r->net) continue;
            cell->why = r->net->why, cell->failed = r->net->why;
            if (!r->net->n) continue;
            cell->lost = r->net->why != NULL;
            cell->value = r->net->images_per_s.median, cell->values = r->net->rate, cell->n = r->net->n;
        }
}

DEIT_INTERNAL base_status repro_speed(repro_state *state) {
    repro_book *book = state->book;
    int n = book->n_nets;
    repro_net **nets = base_calloc((size_t)n + 1, sizeof *nets);
    if (!nets) return BASE_ERROR;
    for (int i = 0; i < n; i++) nets[i] = &book->nets[i];
    qsort(nets, (size_t)n, sizeof *nets, measure_order);
    measure_pace pace = {0};
    base_status status = BASE_OK;
    for (int round = 0; round < REPRO_ROUNDS && !status; round++)
        for (int i = 0; i < n && !status; i++) {
            double least = 0;
            int samples = nets[i]->why ? 0 : measure_repeats(state, &pace, nets, n, round, i, &least);
            if (samples) status = measure_cell(state, &pace, nets[i], round, samples, least);
        }
    for (int i = 0; i < n; i++) measure_finish(state, nets[i]);
    for (int i = 0; i < book->n; i++) measure_fill(book->report[i]);
    base_free(nets);
    return status;
}
