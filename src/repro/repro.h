/* repro: the paper's tables and figures, derived again on this machine. repro/NAME (plain text, inside the program;
 * repro/README.md describes the format) holds a table's rows, its published values, the commands that make its cells
 * and what the paper concludes from it; each cell is a job, run as a child process of this very program, whose JSON is
 * read. */
#ifndef DEIT_REPRO_H
#define DEIT_REPRO_H

#include "model/model.h"
#include "repro/manifest.h"

#include <jansson.h>

/* ---- Tables ------------------------------------------------------------------------------------------------------ */

enum {
    REPRO_MAX_ROWS = 64,
    REPRO_MAX_COLUMNS = 24,
    REPRO_MAX_COMMANDS = 16,
    REPRO_MAX_MAKES = 8, /* columns that one command makes */
    REPRO_MAX_CLAIMS = 32,
    REPRO_MAX_TERMS = 8,
    REPRO_MAX_PLOTS = 4,
    REPRO_MAX_NOTES = 8,
    REPRO_MAX_TABLES = 32,
    REPRO_MAX_TODO = 256,
    REPRO_MAX_SEEDS = 100,
};

typedef enum {
    REPRO_LABEL,     /* the first column: the row's name */
    REPRO_ATTRIBUTE, /* not shown; for commands */
    REPRO_TRAINING,  /* not shown; a row of repro/trainings, whose weights commands read */
    REPRO_WEIGHTS,   /* not shown; a file of the manifest */
    REPRO_TEXT,      /* shown as it stands */
    REPRO_PARAMS,    /* "86M"; counted from {model} */
    REPRO_SPEED,     /* images/s of {model} at {image}, measured with all networks of a run in turn */
    REPRO_ACCURACY,  /* percent */
    REPRO_FRACTION,  /* three decimals */
    REPRO_NUMBER,    /* as many digits as needed */
} repro_kind;

/* Where a value comes from: the paper's own networks and data, or small ones of the same kind. */
typedef enum { REPRO_PAPER, REPRO_DESK, REPRO_SCALES } repro_scale;
DEIT_INTERNAL const char *repro_scale_name(repro_scale scale); /* "paper", "desk" */

typedef struct {
    const char *name;  /* in commands and claims */
    const char *title; /* over the column */
    repro_kind kind;
} repro_column;

typedef struct {
    const char *text[REPRO_MAX_COLUMNS]; /* the cells as they stand; [0]: the label */
    double published[REPRO_MAX_COLUMNS]; /* numbers among them; NAN: not published, or no number */
    int seeds;                           /* the column of that name; 0: the table's */
} repro_row;

typedef struct {
    repro_scale scale;
    int n, column[REPRO_MAX_MAKES];   /* what it makes */
    const char *key[REPRO_MAX_MAKES]; /* where its JSON has that: "top1", "rows.0.ms" */
    const char *text;
} repro_command;

/* term[0] > term[1] > ...: each is a cell. */
typedef struct {
    int row, column;
} repro_term;
typedef struct {
    repro_scale scale;
    int n;
    repro_term term[REPRO_MAX_TERMS];
    double within;     /* NAN: greater; otherwise at least as great, less so much */
    const char *text;  /* "A > B" */
    const char *words; /* what that means; NULL: the text says it */
} repro_claim;

/* A remark that stands below the table; of REPRO_DESK only where small networks' values do. */
typedef struct {
    repro_scale scale;
    const char *text;
} repro_note;

/* A plot: a point a row; rows of the same series are joined. */
typedef struct {
    int x, y, series, names; /* columns; series -1: none; names -1: the label */
    bool log;                /* of x */
} repro_plot;

typedef struct {
    const char *name, *title, *source;
    const char *unmeasured; /* why nothing of it is measured; NULL: something is */
    const char *folder;     /* of a file of one's own, where its trainings are too; NULL: it came with the program */
    const char *makes;      /* trainings: the file that a command leaves in {folder}; NULL: none */
    int relative;           /* the row that speeds are divided by; -1: none */
    int samples;            /* a network gets at least so many, unless all take more than the budget */
    double budget;          /* seconds for the samples of all networks */
    double speed_tolerance, accuracy_tolerance; /* percent of the share of the peak; points */
    int seeds;                                  /* runs of a cell whose command has {seed} */
    int n, n_columns, n_commands, n_claims, n_plots, n_notes;
    repro_column columns[REPRO_MAX_COLUMNS];
    repro_row rows[REPRO_MAX_ROWS];
    repro_command commands[REPRO_MAX_COMMANDS];
    repro_claim claims[REPRO_MAX_CLAIMS];
    repro_plot plots[REPRO_MAX_PLOTS];
    repro_note notes[REPRO_MAX_NOTES];
    base_arena arena;
} repro_table;

/* The table of that name (BASE_USAGE if there is none), or one from the text of FOLDER/NAME: a path for messages. */
DEIT_INTERNAL base_status repro_table_open(repro_table **table, const char *name);
DEIT_INTERNAL base_status repro_table_parse(repro_table **table, const char *path, const char *text);
DEIT_INTERNAL void repro_table_free(repro_table *table);
/* The names of all tables in the paper's order, ended by NULL. */
DEIT_INTERNAL const char *const *repro_table_names(void);
/* A column by name; -1 if there is none. */
DEIT_INTERNAL int repro_column_find(const repro_table *table, const char *name);
/* What a row says in a column of that name; NULL: no such column, or "-". */
DEIT_INTERNAL const char *repro_row_text(const repro_table *table, const repro_row *row, const char *name);

/* Images/s that the paper publishes for a network at an image size (bench/published.tsv); negative: none. */
DEIT_INTERNAL double repro_published(const char *model, int image);

/* ---- Data sets --------------------------------------------------------------------------------------------------- */

/* The sets of Table 7. Cars stand last: their authors' files are gone, and a fetch that fails ends there. */
enum { REPRO_CIFAR10, REPRO_CIFAR100, REPRO_FLOWERS, REPRO_INAT18, REPRO_INAT19, REPRO_CARS, REPRO_TRANSFERS };
enum { REPRO_SET_PARTS = 3, REPRO_SET_WAYS = 3, REPRO_SET_NAMES = 5 };
typedef struct {
    const char *set;                        /* as data/manifest.tsv calls it */
    const char *name;                       /* as commands call it: {inat18} */
    const char *why;                        /* why it has no value there */
    const char *found[REPRO_SET_NAMES + 1]; /* the names that it is found under, first what is downloaded; then NULL */
    /* what a set of several files needs for its test pictures, which a download brings last: each part as it is
     * downloaded first, then as the user may have repacked or unpacked it */
    const char *parts[REPRO_SET_PARTS][REPRO_SET_WAYS];
} repro_set;
DEIT_INTERNAL const repro_set *repro_set_at(int transfer);
/* Paths of what was found in a folder of data sets (locate.c says under which names), from the arena; NULL: not there.
 */
typedef struct {
    const char *folder; /* where they were looked for; NULL: nowhere */
    const char *imagenet, *labels, *real, *imagenetv2;
    const char *train;   /* ImageNet's folder with train/ in it */
    const char *fashion; /* a path, or "fashion-mnist" */
    const char *transfer[REPRO_TRANSFERS];
    const char *lacks[REPRO_TRANSFERS];    /* of a set that is there in part: the path of a file that is missing */
    const char *recorded[REPRO_TRANSFERS]; /* of a set that is not here: what records call it in their keys */
} repro_places;
DEIT_INTERNAL base_status repro_locate(repro_places *places, const char *data, base_arena *arena);
/* Which of Table 7's sets a file or folder of that name is; -1: none of them. */
DEIT_INTERNAL int repro_place_called(const char *name, size_t size);
/* Where the set of that name (data/manifest.tsv) was found; NULL: it is not here. */
DEIT_INTERNAL const char *repro_place(const repro_places *places, const char *name);
/* Of a set of several files in `folder`, what stands there for one that is downloaded: the same repacked as a tar, or
 * unpacked; NULL: nothing. */
DEIT_INTERNAL const char *repro_place_instead(const char *name, const char *folder, const char *file,
                                              base_arena *arena);
/* Of a set that is there in part, a file that is missing; NULL: of others. */
DEIT_INTERNAL const char *repro_place_lacks(const repro_places *places, const char *name);

/* ---- Measuring --------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *program;     /* as it was called, for commands that are printed; NULL: ./deit */
    const char *only;        /* rows: labels or networks' names, separated by commas; NULL: all */
    const char *precision;   /* "f32" or "bf16"; NULL: f32 */
    const char *data;        /* folder of data sets (locate.c says how they are called there), or ImageNet's itself */
    const char *data_folder; /* data, or where what is fetched would lie; NULL: nowhere */
    bool data_named;         /* it is not where data sets are looked for anyway */
    const char *weights_dir; /* folder of the manifest's files */
    bool weights_named;      /* weights_dir is not where they are looked for anyway */
    bool fresh;              /* make anew what an interrupted run kept, and finished cells */
    int scale;               /* repro_scale; negative: desk, or paper where ImageNet is */
    bool scale_named;        /* the user gave it */
    bool retrain;            /* run what trains, too */
    const char *results;     /* folder of finished cells; NULL: nowhere */
    bool results_named;      /* it is not where they are kept anyway */
    const char *shipped;     /* folder of weights that the repository ships; NULL: none */
} repro_options;

enum { REPRO_SPEED_SAMPLES = 400, REPRO_ROUNDS = 2 };
/* The speed of one network at one image size. */
typedef struct {
    model_config config;
    int64_t params;
    double gflop;
    int batch, workers, threads_per_worker, micro_batch;
    double memory; /* bytes */
    int n;         /* samples so far */
    double rate[REPRO_SPEED_SAMPLES], percent[REPRO_SPEED_SAMPLES], peak[REPRO_SPEED_SAMPLES];
    const char *why;                   /* not measured: the reason */
    int rounds;                        /* that gave samples; each is a process of its own */
    const char *command[REPRO_ROUNDS]; /* a round */
    int end[REPRO_ROUNDS];             /* samples until its end */
    /* once all is measured */
    base_spread images_per_s, percent_of_peak;
    double peak_gflops;
    double round[REPRO_ROUNDS]; /* medians, images/s */
    bool fewer;                 /* fewer samples than the table asks for */
} repro_net;

/* Where a value comes from. */
enum { REPRO_MAX_NEEDS = 4 }; /* trainings whose weights a command reads */
typedef struct {
    int seed;
    const char *command, *id;             /* as a shell would read it; its record's name */
    const char *trained[REPRO_MAX_NEEDS]; /* records of the trainings that began its networks, NULL behind the last */
    const json_t *conditions;             /* it was made under; the cell's reference */
    bool kept, reused;                    /* the record stands in the results folder; was found there */
    bool drawn; /* the command trains, or reads what was trained here: another seed, another value */
    double seconds;
} repro_origin;

/* One measured value of a row. */
typedef struct {
    double value;                /* the mean of its runs; NAN: not measured */
    const char *text;            /* of a column of text: what was found, and value and values are 0 */
    const char *why;             /* why not; NULL where it was, whole, and where nothing is to be measured */
    bool failed;                 /* it was tried */
    int lost;                    /* runs that failed or gave no number, beside n that did; why, failed: the first's */
    int n;                       /* runs (speed: samples) */
    const double *values;        /* [n] */
    const repro_origin *origins; /* [n]; NULL: of speeds */
    int64_t images;              /* accuracy: counted over */
    double half_range;           /* of the samples that a recorded median is of; 0: it is none */
    const char *sha256;          /* of the weights that the value is of; NULL: the command does not say */
    const char *kept;            /* a record whose data are not here: which these are; NULL: another */
} repro_cell;

typedef struct {
    const repro_row *row;
    const char *model; /* the network's name; NULL: the row has none */
    bool known;        /* it is in this version: params, gflop */
    int image;
    int64_t params;
    double gflop;
    const repro_net *net; /* its speed; NULL: not asked for */
    repro_cell cell[REPRO_SCALES][REPRO_MAX_COLUMNS];
    const repro_weights *weights;              /* NULL: no public file */
    bool same;                                 /* trained as the row was */
    const char *weights_path, *weights_sha256; /* of the file that was measured; NULL: none */
} repro_result;

/* A command that would make what was not measured. */
typedef struct {
    const char *label, *command;
} repro_todo;

/* A training behind values: a row of repro/trainings and a seed. */
typedef struct {
    const char *row, *command, *id; /* the command as a shell would read it; its record's name */
    int seed, threads;              /* threads: 0 where that was not recorded */
    double seconds, cpu_seconds;    /* what it took; of processors: NAN where that was not recorded */
    const char *machine, *build;    /* that it was made on, and by */
} repro_trained;

typedef struct repro_book repro_book;
/* What came out of one table. */
typedef struct {
    const repro_book *book;
    const repro_table *table;
    int n;
    repro_result rows[REPRO_MAX_ROWS];
    const repro_trained *trained; /* [n_trained]: each once, those that others read before them */
    int n_trained;
} repro_report;

typedef struct repro_file repro_file;

/* What came out of a run: a report a table. */
struct repro_book {
    repro_options options;
    json_t *conditions;
    int n;
    repro_report *report[REPRO_MAX_TABLES];
    repro_net *nets; /* [n_nets]: every network whose speed is in a report, once */
    int n_nets;
    const char *data_note, *weights_note; /* where data and weights were looked for, and that they were not there */
    /* commands that make all that is missing: weights, data sets, and this run again; NULL: not needed */
    const char *fetch, *fetch_data, *again;
    int n_todo;
    repro_todo todo[REPRO_MAX_TODO];
    const repro_trained *trained; /* [n_trained]: of all reports, each once */
    int n_trained;
    int cells, reused, failed; /* jobs in all; taken over from an interrupted run; that could not be done */
    double seconds;            /* of this run, and of an interrupted one that it goes on from */
    char *kept;                /* folder of the cells that an interrupted run would go on from; NULL: there is none */
    base_text keys;            /* of those of this run, each with its NUL */
    repro_file *files;         /* what commands read, and its key in records */
    base_arena arena;
};

/* Runs what can be run of n tables, which must outlive the book. Where jobs fail the rest is done and book->failed says
 * how many; their reasons stand in the cells. BASE_CANCELLED keeps the finished cells for the next run. */
DEIT_INTERNAL base_status repro_run(repro_book **book, repro_table *const *tables, int n, const repro_options *options,
                                    const base_context *context);
/* After the book was shown: what an interrupted run would go on from goes. Where it could not be shown it stays, and
 * the log says where. */
DEIT_INTERNAL void repro_book_done(repro_book *book, bool shown, const base_context *context);
DEIT_INTERNAL void repro_book_free(repro_book *book);
/* Prints the commands that repro_run would run, in order, with what they cost here. */
DEIT_INTERNAL base_status repro_dry_run(repro_table *const *tables, int n, const repro_options *options,
                                        base_text *out);
/* Speed of a row over that of the table's relative row; NAN where unknown. */
DEIT_INTERNAL double repro_relative(const repro_report *report, const repro_result *result, bool published);

/* A statement of the paper held against what is measured. */
typedef enum { REPRO_UNKNOWN, REPRO_HOLDS, REPRO_FAILS, REPRO_UNDECIDED } repro_verdict;
DEIT_INTERNAL const char *repro_verdict_name(repro_verdict verdict);
typedef struct {
    repro_verdict verdict;
    repro_term greater, less; /* the pair of neighbours in the statement that decides */
    double difference;        /* of that pair; speeds: percent, accuracies: points */
    double low, high;         /* its 95% interval; NAN: a single value each, so there is none */
    int n_greater, n_less;    /* values behind it; of pairs each */
    bool paired;              /* of networks in common: the interval is of the differences seed by seed */
    bool rounds;              /* of speeds: n_greater and n_less are rounds of samples */
    bool left_out, otherwise; /* REPRO_UNKNOWN: of a row that was not asked for; not of the paper's weights or set */
    const char *missing;      /* REPRO_UNKNOWN: why a cell was not measured, or is not the paper's */
} repro_judgement;
DEIT_INTERNAL repro_judgement repro_judge(const repro_report *report, const repro_claim *claim);

/* ---- Showing ----------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL void repro_write_text(const repro_book *book, base_text *out);
DEIT_INTERNAL void repro_write_markdown(const repro_book *book, base_text *out);
/* A page that needs nothing beside it. */
DEIT_INTERNAL void repro_write_html(const repro_book *book, base_text *out);
/* The plots of a table that has some, as an SVG file. */
DEIT_INTERNAL void repro_write_svg(const repro_report *report, base_text *out);
/* Several tables stand in "tables"; what is of the run (conditions, commands for the rest) stands beside it, once. */
DEIT_INTERNAL base_status repro_write_json(const repro_book *book, base_text *out);
/* A report as JSON, with what is of its run; the caller's reference. NULL when memory ends. */
DEIT_INTERNAL json_t *repro_report_json(const repro_report *report);

/* An earlier report of the table, from a file that --json wrote; the caller's reference. */
DEIT_INTERNAL base_status repro_baseline_open(json_t **baseline, const repro_table *table, const char *path);
/* Holds a report (as JSON) against it: accuracies and fractions, those of small networks to the image, other numbers,
 * and speed relative to the GEMM peak. Writes what was compared and what moved; BASE_TOLERANCE if something moved
 * further than the table allows, or what is no speed was not measured now. path: the baseline's, for messages. */
DEIT_INTERNAL base_status repro_compare(const repro_table *table, const json_t *now, const json_t *baseline,
                                        const char *path, base_text *out);

/* Why networks do more than the peak, of either kind or both; "" where none does. */
DEIT_INTERNAL const char *repro_over_peak(bool convolutional, bool transformer);

/* What stands beside every measurement: version, date, CPU, ISA, cores, memory, threads, precision. The caller's
 * reference; NULL when memory ends. */
DEIT_INTERNAL json_t *repro_conditions(const char *precision, int threads);

#endif
