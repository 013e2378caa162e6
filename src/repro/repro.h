/* repro: the paper's tables and figures, derived again on this machine. repro/NAME (plain text, inside the program)
 * holds a table's rows, its published values and the commands that make its cells; each cell is a job, run as a child
 * process of this very program, whose JSON is read. */
#ifndef DEIT_REPRO_H
#define DEIT_REPRO_H

#include "model/model.h"
#include "repro/manifest.h"

#include <jansson.h>

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

typedef enum { REPRO_IMAGES_PER_S, REPRO_IMAGENET, REPRO_REAL, REPRO_V2, REPRO_COLUMNS } repro_column;
enum { REPRO_MAX_ROWS = 64, REPRO_MAX_COMMANDS = 8, REPRO_MAX_CLAIMS = 32, REPRO_MAX_TERMS = 8 };

typedef struct {
    const char *label, *model; /* as printed in the paper; the network's name, in this version or a later one */
    const char *params;        /* as published: "86M" */
    int image;
    double published[REPRO_COLUMNS]; /* negative: not published */
} repro_row;

typedef struct {
    unsigned makes; /* columns, as bits: 1 << REPRO_IMAGES_PER_S */
    const char *text;
} repro_command;

/* rows[term[0]] > rows[term[1]] > ... in a column. */
typedef struct {
    repro_column column;
    int n, term[REPRO_MAX_TERMS];
    const char *text;
} repro_claim;

typedef struct {
    const char *name, *title, *source;
    int relative;                               /* the row that speeds are divided by */
    int samples;                                /* a row gets at least so many, unless that takes more than */
    double budget;                              /* seconds in all */
    double speed_tolerance, accuracy_tolerance; /* percent of the share of the peak; points */
    int n, n_commands, n_claims;
    repro_row rows[REPRO_MAX_ROWS];
    repro_command commands[REPRO_MAX_COMMANDS];
    repro_claim claims[REPRO_MAX_CLAIMS];
    base_arena arena;
} repro_table;

/* The table of that name (BASE_USAGE if there is none), or one from text; name is for messages. */
DEIT_INTERNAL base_status repro_table_open(repro_table **table, const char *name);
DEIT_INTERNAL base_status repro_table_parse(repro_table **table, const char *name, const char *text);
DEIT_INTERNAL void repro_table_free(repro_table *table);
/* The names of all tables, ended by NULL. */
DEIT_INTERNAL const char *const *repro_table_names(void);
/* "images_per_s", "imagenet", "real", "v2". */
DEIT_INTERNAL const char *repro_column_name(repro_column column);

/* Images/s that the paper publishes for a network at an image size (bench/published.tsv); negative: none. */
DEIT_INTERNAL double repro_published(const char *model, int image);

/* ---- Data sets --------------------------------------------------------------------------------------------------- */

/* Paths of what was found in a folder of data sets (locate.c says under which names), from the arena; NULL: not there.
 */
typedef struct {
    const char *imagenet, *labels, *real, *imagenetv2;
} repro_places;
DEIT_INTERNAL base_status repro_locate(repro_places *places, const char *data, base_arena *arena);

/* ---- Measuring --------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *only;      /* rows: labels or networks' names, separated by commas; NULL: all */
    const char *precision; /* "f32" or "bf16" */
    const char
        *data; /* folder of data sets (locate.c says how they are called there), or ImageNet's itself; NULL: none */
    const char *weights_dir; /* folder of the manifest's files */
    bool weights_named;      /* weights_dir is not where they are looked for anyway */
    bool fresh;              /* forget what an interrupted run kept */
} repro_options;

/* One measured value of a row. */
typedef struct {
    double value;    /* negative: not measured */
    const char *why; /* why not; NULL where it was */
    int64_t images;  /* accuracy: counted over */
} repro_cell;

typedef struct {
    const repro_row *row;
    bool known; /* the network is in this version: params, gflop */
    int64_t params;
    double gflop;
    repro_cell cell[REPRO_COLUMNS];
    /* speed */
    base_spread images_per_s, percent_of_peak;
    double peak_gflops;
    int batch, workers, threads_per_worker, micro_batch;
    double memory; /* bytes */
    bool fewer;    /* fewer samples than the table asks for */
    /* accuracy */
    const repro_weights *weights;              /* NULL: no public file */
    bool same;                                 /* trained as the row was */
    const char *weights_path, *weights_sha256; /* of the file that was measured; NULL: none */
} repro_result;

/* A command that would make what was not measured. */
typedef struct {
    const char *label, *command;
} repro_todo;

typedef struct {
    const repro_table *table;
    repro_options options;
    json_t *conditions;
    const char *data_note, *weights_note; /* where data and weights were looked for, and that they were not there */
    const char *fetch, *again;            /* commands that make all that is missing: weights, and this run again */
    int n, n_todo;
    repro_result rows[REPRO_MAX_ROWS];
    repro_todo todo[4 * REPRO_MAX_ROWS];
    int cells, reused, failed; /* jobs in all; taken over from an interrupted run; that could not be done */
    double seconds;
    base_arena arena;
} repro_report;

/* Runs what can be run. The table must outlive the report. Where jobs fail the rest is done and report->failed says how
 * many; their reasons stand in the cells. BASE_CANCELLED keeps the finished cells for the next run. */
DEIT_INTERNAL base_status repro_run(repro_report **report, const repro_table *table, const repro_options *options,
                                    const base_context *context);
DEIT_INTERNAL void repro_report_free(repro_report *report);
/* Speed of a row over that of the table's relative row; negative where unknown. */
DEIT_INTERNAL double repro_relative(const repro_report *report, const repro_result *result, bool published);

/* ---- Showing ----------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL void repro_write_text(const repro_report *report, base_text *out);
DEIT_INTERNAL void repro_write_markdown(const repro_report *report, base_text *out);
DEIT_INTERNAL base_status repro_write_json(const repro_report *report, base_text *out);

/* An earlier report of the table, from a file that --json wrote; the caller's reference. */
DEIT_INTERNAL base_status repro_baseline_open(json_t **baseline, const repro_table *table, const char *path);
/* Holds a report (as JSON) against it: accuracies, and speed relative to the GEMM peak. Writes what was compared and
 * what moved; BASE_TOLERANCE if something moved further than the table allows. path: the baseline's, for messages. */
DEIT_INTERNAL base_status repro_compare(const repro_table *table, const json_t *now, const json_t *baseline,
                                        const char *path, base_text *out);
/* The report as the JSON that repro_write_json writes; the caller's reference. NULL when memory ends. */
DEIT_INTERNAL json_t *repro_report_json(const repro_report *report);

/* What stands beside every measurement: version, date, CPU, ISA, cores, memory, threads, precision. The caller's
 * reference; NULL when memory ends. */
DEIT_INTERNAL json_t *repro_conditions(const char *precision, int threads);

#endif
