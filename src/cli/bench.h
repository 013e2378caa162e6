/* What deit bench measured, for the file that shows it. */
#ifndef DEIT_CLI_BENCH_H
#define DEIT_CLI_BENCH_H

#include "cli/cli.h"
#include "eval/eval.h"

/* A measured row: case and outcome. */
typedef struct {
    model_config config;
    eval_speed_case wanted;
    eval_speed speed;
} bench_row;

/* All rows and what they share. */
typedef struct {
    bench_row *rows; /* precision by precision, each with all networks */
    int n;
    const char *precision; /* as given */
    int64_t threads;       /* as given; 0: every core */
    int64_t repeats;
    double seconds;
} bench_report;

DEIT_INTERNAL void bench_print_text(const bench_report *report);
/* {"conditions": {...}, "rows": [...]}; NULL when memory ends. */
DEIT_INTERNAL json_t *bench_json(const bench_report *report);
/* A line of names, and a line a row with the conditions in its last columns. */
DEIT_INTERNAL void bench_csv(const bench_report *report, base_text *text);

/* Steps of training, each network after the other; printed as a table, or as JSON to the file (NULL: standard output).
 */
typedef struct {
    nn_dtype precision;
    int64_t batch;
    int threads, steps; /* threads 0: every core */
} bench_training_case;
DEIT_INTERNAL base_status bench_training(const bench_training_case *c, const model_config *configs, int n, bool json,
                                         const char *file);

#endif
