/* What the files of repro share. */
#ifndef DEIT_REPRO_INTERNAL_H
#define DEIT_REPRO_INTERNAL_H

#include "repro/repro.h"

#include <time.h>

/* table.c: a file that travels in the program, by its name in the tree; NULL if absent. */
DEIT_INTERNAL const char *repro_embedded(const char *name);

/* ---- command.c: commands with names in them ---------------------------------------------------------------------- */

enum { REPRO_MAX_WORDS = 96, REPRO_MAX_NAMES = 128 };
typedef struct {
    const char *name, *value; /* value NULL: unknown */
    const char *example;      /* what stands for it in a command that is only shown; NULL: nothing */
    const char *key;          /* what stands for it in a job's key; NULL: it does not change the outcome */
    const char *why;          /* why it is unknown */
} repro_name;
/* What a command lacked: the first name without a value that it needs, and the last that left out a part in [] and says
 * why; of a key, the first name that has one and no value: what it stands for is not here. */
typedef struct {
    const repro_name *needs, *too, *left_out, *absent; /* too: another that is needed, for another reason */
} repro_lacks;

/* "deit eval --model {model} [--real {real}]" with the names filled in: words, ended by NULL, from the arena. A part in
 * [] is left out where one of its names is unknown. A value that is all of a word may be several words. fill: to run
 * it, to show it (examples stand for what is unknown), for its record (from the start, what only goes on from where it
 * stopped is left out), or for its key. lacks (may be NULL) tells what was not known;
 * without it an unknown name outside [] is an error. */
typedef enum { REPRO_FILL_RUN, REPRO_FILL_SHOW, REPRO_FILL_RECORD, REPRO_FILL_KEY } repro_fill;
DEIT_INTERNAL base_status repro_command_fill(const char *text, const repro_name *names, int n, repro_fill fill,
                                             base_arena *arena, const char *words[REPRO_MAX_WORDS], repro_lacks *lacks);
/* The words as a line for a shell, quoted where needed; the first is the program, as it was called, or in keys and
 * records (NULL) ./deit. NULL when memory ends. */
DEIT_INTERNAL const char *repro_command_line(const char *const *words, const char *program, base_arena *arena);
DEIT_INTERNAL const char *repro_command_word(const char *word, base_arena *arena);

/* ---- job.c: child processes, and the cells an interrupted run keeps ---------------------------------------------- */

/* How far a run is, for its progress. */
typedef struct {
    const base_context *context;
    const char *what, *cell; /* the tables; what is being made */
    double done, total;      /* cells */
} repro_progress;

/* Runs this program with the words after words[0]; its standard output goes into *output (the caller's reference), as
 * JSON or as a text. Lines of its standard error show as notes of the progress; if the child fails, the last message
 * among them is this one's. keep: a file that stays open in the child; -1: none. */
DEIT_INTERNAL base_status repro_child(const char *const *words, bool json, int keep, json_t **output,
                                      const repro_progress *progress);

/* The folder where finished cells of one kind of run are kept: same tables, same program, same machine. */
typedef struct {
    char *folder; /* NULL: there is nowhere to keep them */
} repro_cells;
DEIT_INTERNAL base_status repro_cells_open(repro_cells *cells, const char *name);
DEIT_INTERNAL void repro_cells_close(repro_cells *cells);
/* A kept cell, or NULL; *age: seconds since it was kept. */
DEIT_INTERNAL json_t *repro_cells_load(const repro_cells *cells, const char *key, double *age);
DEIT_INTERNAL base_status repro_cells_keep(const repro_cells *cells, const char *key, json_t *cell);
DEIT_INTERNAL void repro_cells_forget(const repro_cells *cells, const char *key);

/* ---- Cells ------------------------------------------------------------------------------------------------------- */

/* A command for a row and a seed, to run once however many cells it serves. */
enum { REPRO_OWNER = 128 };
typedef enum { REPRO_JOB_PENDING, REPRO_JOB_DONE, REPRO_JOB_FAILED, REPRO_JOB_NOT_RUN } repro_job_state;
typedef struct repro_job repro_job;
struct repro_job {
    repro_job *next;
    const repro_table *table;
    const repro_row *row;
    const repro_result *result; /* NULL: a training that others need */
    const repro_command *command;
    int seed, n_needs;
    repro_job *needs[REPRO_MAX_NEEDS]; /* trainings that it mentions, by the columns that name them */
    int need_column[REPRO_MAX_NEEDS];
    bool need_read[REPRO_MAX_NEEDS]; /* their weights ({desk}), not only what their row says ({desk.network}) */
    const char *key;                 /* the command by what it makes; the same key, the same outcome */
    char id[17];                     /* the key's hash: names its files */
    bool trains, used;               /* takes long; serves a cell */
    const char *folder, *weights;    /* of a training: where it runs, the file that it makes; NULL: makes none */
    bool shipped, ready, checked;    /* the weights are the repository's; are there; are those of the record */
    bool said;                       /* dry run: printed already */
    const char *wants;               /* dry run: what it reads and is not here; NULL: nothing */
    const char *absent; /* it is recorded, and what it reads is not here: which that is; NULL: it is here */
    const void *listed; /* the list of trainings that it was put on last */
    bool looked;        /* for its record, and what was wrong with that was said */
    repro_job_state state;
    bool reused, kept; /* from the results folder; its record stands there */
    char sha256[65];
    json_t *record;               /* DONE: with "output" */
    const char *why, *no_weights; /* of its state; of a training: why its weights cannot be had */
    const char *others;           /* of a training: that the weights there are not its record's */
};

/* What a job serves: the cells of a row that a command makes. */
typedef struct repro_use repro_use;
struct repro_use {
    repro_use *next;
    const repro_table *table;
    repro_result *result;
    const repro_command *command;
    repro_job *job;
    const char *left_out; /* why a part of the command was left out; NULL: none was */
};

/* A file or folder whose key is known. */
struct repro_file {
    repro_file *next;
    const char *path, *key;
    bool fashion; /* the key is of Fashion-MNIST's files */
};

enum { REPRO_TODO_SETS = 3 + REPRO_TRANSFERS };

/* A run as it goes on. */
typedef struct {
    repro_book *book;
    repro_progress progress;
    repro_cells cells;
    repro_places places;
    repro_job *jobs, **last_job; /* in the order they run */
    repro_use *uses, **last_use;
    int n_jobs;              /* that serve cells */
    int nested, made;        /* trainings that a job which is planned now needs, one by the other; of its row */
    repro_table *trainings;  /* repro/trainings, where a table needs it */
    char owner[REPRO_OWNER]; /* of a lock that was met */
    bool lacks_data[REPRO_TODO_SETS]; /* data sets that a command wants and that are not here; todo.c names them */
    bool lacks_training;              /* a cell needs one, and none was asked for */
    bool dry;                         /* commands are printed, those too that lack data or weights */
    bool unkept;                      /* the results folder cannot be written */
    struct timespec begun;            /* when this run did */
    base_text keys;                   /* keys of the cells used so far, each with its NUL */
    int samples;                      /* of speed, a network: the most that a table asks for */
    double budget;                    /* seconds for all speeds: the most that a table asks for */
    double used;                      /* seconds that the cells took, kept ones too */
    double earlier;                   /* of these the kept ones */
    double oldest;                    /* age of the oldest kept cell, seconds */
} repro_state;

/* A run of tables, up to where it is planned; after failure there is nothing to end. */
DEIT_INTERNAL base_status repro_begin(repro_state *state, repro_table *const *tables, int n,
                                      const repro_options *options, const base_context *context);
DEIT_INTERNAL void repro_end(repro_state *state); /* the book stays */

/* A cell: kept from an interrupted run, or made by a child. *seconds: what it took. */
DEIT_INTERNAL base_status repro_cell_run(repro_state *state, const char *key, const char *const *words, json_t **output,
                                         double *seconds);
/* The table's command for a column; NULL if it has none. */
DEIT_INTERNAL const repro_command *repro_command_for(const repro_table *table, repro_scale scale, int column);

/* measure.c: how many cells there will be, and the speeds. Failed jobs are counted in the book and their reason stands
 * in the rows; an error is returned only where the run cannot go on. */
DEIT_INTERNAL int repro_speed_cells(const repro_state *state);
DEIT_INTERNAL base_status repro_speed(repro_state *state);
DEIT_INTERNAL int repro_speed_batch(double gflop); /* images of a sample */
/* The command for so many samples that take so many seconds at least. */
DEIT_INTERNAL base_status repro_speed_words(const repro_state *state, const repro_net *net, int samples, double least,
                                            const char *words[REPRO_MAX_WORDS]);

/* key.c: what a file or folder is, by name, size and some of its bytes; its path if it is not there. NULL: a folder is
 * too deep, memory ended, or the context says stop. */
DEIT_INTERNAL const char *repro_file_key(base_arena *arena, const char *path, const base_context *context);
/* The same of a folder with Fashion-MNIST's four files: "fashion-mnist" if they are those, by their CRC-32, or if it is
 * not here or Debian's. NULL: memory ended. */
DEIT_INTERNAL const char *repro_fashion_key(base_arena *arena, const char *path);

/* plan.c: the jobs of all other cells. */
DEIT_INTERNAL base_status repro_plan(repro_state *state);
DEIT_INTERNAL void repro_plan_free(repro_state *state);
DEIT_INTERNAL bool repro_is_speed(const repro_table *table, const repro_command *command);
DEIT_INTERNAL base_status repro_job_words(const repro_state *state, const repro_job *job, repro_fill fill,
                                          const char *words[REPRO_MAX_WORDS], repro_lacks *lacks);
DEIT_INTERNAL const char *repro_job_line(const repro_state *state, const repro_job *job); /* to be read */
/* Seconds of a job that computes nothing or whose command says how long (bench); NAN: another. */
DEIT_INTERNAL double repro_job_seconds(const repro_state *state, const repro_job *job);
/* cost.c: the share of the peak that a network reaches, about. */
DEIT_INTERNAL double repro_share(const model_config *config, bool trains);
/* The FLOP that the peak would do while eval or train runs, evaluations after each epoch too; NAN: another command, or
 * data of unknown size. */
DEIT_INTERNAL double repro_job_work(const repro_state *state, const repro_job *job);
/* What the folder of a job holds of a run of deit train: finished, so that going on with it evaluates and no more;
 * open, perhaps not begun; or the job is another command. */
typedef enum { REPRO_RUN_OTHER, REPRO_RUN_OPEN, REPRO_RUN_FINISHED } repro_run_state;
DEIT_INTERNAL repro_run_state repro_job_run(const repro_state *state, const repro_job *job);
/* Says why the cells of a command that are shown have no value, where nothing was said yet. run: one of several runs
 * that was to give them one. */
DEIT_INTERNAL void repro_reason(const repro_table *table, repro_result *r, const repro_command *command,
                                const char *why, bool failed, bool run);

/* record.c: the results folder (NULL: none). A lock: *fd -1 and the owner's name where another process has it. */
/* NULL: there is none, or it is damaged, which a warning says; context NULL: nothing says that. */
DEIT_INTERNAL json_t *repro_record_load(const char *folder, const repro_job *job, const base_context *context);
/* Fills places->recorded, of sets that are not here, from the keys of the folder's records (NULL: no folder). */
DEIT_INTERNAL base_status repro_record_sets(const char *folder, repro_places *places, base_arena *arena);
/* The output is the record's afterwards. */
DEIT_INTERNAL json_t *repro_record_make(const repro_job *job, const char *command, json_t *output, double seconds,
                                        const char *precision);
/* Whether a record was written at that time or later. */
DEIT_INTERNAL bool repro_record_since(const char *folder, const repro_job *job, struct timespec begun);
DEIT_INTERNAL base_status repro_record_save(const char *folder, const repro_job *job, const json_t *record);
DEIT_INTERNAL base_status repro_record_lock(const char *folder, const repro_job *job, int *fd, char owner[REPRO_OWNER]);
DEIT_INTERNAL void repro_record_unlock(const char *folder, const repro_job *job, int fd);

/* work.c: runs the jobs and fills the cells. */
DEIT_INTERNAL base_status repro_work(repro_state *state);
/* Whether a job's outcome is there: its record, or where they are wanted the weights. */
DEIT_INTERNAL bool repro_job_there(const repro_state *state, repro_job *job, bool weights);

/* Whether a cell waits for the job, which is not recorded and will be. */
DEIT_INTERNAL bool repro_job_unrecorded(const repro_state *state, repro_job *job);

/* todo.c: adds the commands that would make what is missing. */
DEIT_INTERNAL base_status repro_add_todos(repro_state *state);
DEIT_INTERNAL base_status repro_add_todo(repro_book *book, const char *label, const char *command);

/* conditions.c: "AMD EPYC (avx2)" and "35d85ff", or "35d85ff-dirty": what a value was made on, and by which commit. */
enum { REPRO_MADE = 96 };
DEIT_INTERNAL void repro_conditions_say(const json_t *conditions, char machine[REPRO_MADE], char build[REPRO_MADE]);

/* ---- Showing ----------------------------------------------------------------------------------------------------- */

/* grid.c: a report as a grid of texts. A group's title spans the columns up to the next one. */
enum { REPRO_GRID_COLUMNS = 96, REPRO_GRID_TEXT = 64 };
typedef struct {
    const char *group; /* NULL: the one before goes on; "": none stands there */
    const char *name;
    bool left; /* stands left: text */
} repro_grid_column;
typedef struct {
    int n_columns, n;
    repro_grid_column columns[REPRO_GRID_COLUMNS];
    char (*cell)[REPRO_GRID_COLUMNS][REPRO_GRID_TEXT]; /* [n] */
    char over[REPRO_GRID_TEXT];                        /* a group's title */
} repro_grid;
DEIT_INTERNAL base_status repro_grid_make(repro_grid *grid, const repro_report *report);
DEIT_INTERNAL void repro_grid_free(repro_grid *grid);
/* Whether a column has published values, and measured ones of a scale or a command that would make them. */
DEIT_INTERNAL bool repro_has_published(const repro_table *table, int column);
/* Whether a measured value is of weights that were trained otherwise than the paper's, or of a file that the manifest
 * does not know by that name. */
#define REPRO_OTHERWISE "weights trained otherwise than the row's, or another file than the manifest's"
DEIT_INTERNAL bool repro_otherwise(const repro_report *report, const repro_result *r, int column);
/* legend.c: how many images the set has that a column is measured on; 0: another set. */
DEIT_INTERNAL int64_t repro_whole(const repro_table *table, int column);
DEIT_INTERNAL bool repro_has_measured(const repro_report *report, repro_scale scale, int column);
DEIT_INTERNAL bool repro_note_shown(const repro_report *report, const repro_note *note);
/* claim.c: half the 95% interval of a cell's mean, by the deviation that the column's cells share, of fractions (how
 * often two networks differ, cosines: what is near 0 or 1 varies less) by its own; NAN: one value. */
DEIT_INTERNAL double repro_interval(const repro_report *report, repro_scale scale, int column, const repro_cell *cell);
/* render.c: why a cell, or some of its runs, have no value. */
enum { REPRO_LACK = 512 };
DEIT_INTERNAL const char *repro_lack(const repro_cell *cell, char text[REPRO_LACK]);
/* A value as it is shown in a column, "-" where there is none. */
DEIT_INTERNAL const char *repro_value(char text[REPRO_GRID_TEXT], repro_kind kind, double value);

/* "45 s", "12 min", "3.4 h", "9 days", "12 years" */
DEIT_INTERNAL const char *repro_time(char text[32], double seconds);

/* page.c: one text in three dresses. */
typedef enum { REPRO_AS_TEXT, REPRO_AS_MARKDOWN, REPRO_AS_HTML } repro_dress;
typedef struct {
    base_text *out;
    repro_dress dress;
    int level; /* of the last title */
    bool open; /* a list of items is not closed yet */
} repro_page;
DEIT_INTERNAL void repro_page_begin(repro_page *page, const char *title);
DEIT_INTERNAL void repro_page_end(repro_page *page);
DEIT_INTERNAL void repro_page_gap(repro_page *page); /* an empty line; ends a list */
/* level 1: of the whole; 2: of a table. */
DEIT_INTERNAL void repro_page_title(repro_page *page, int level, const char *id, const char *title);
DEIT_INTERNAL void repro_page_heading(repro_page *page, const char *text); /* a level below the title */
/* A line of a list, with what stands at its front; wide: columns that this takes in text. */
DEIT_INTERNAL void repro_page_item(repro_page *page, int wide, const char *label, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* title: what it is a table of, for who does not see it. */
DEIT_INTERNAL void repro_page_grid(repro_page *page, const repro_grid *grid, const char *title);
/* Commands, NULL ones left out. */
DEIT_INTERNAL void repro_page_commands(repro_page *page, const char *const *commands, int n);
/* Lines that are folded away until asked for; not in text. */
DEIT_INTERNAL void repro_page_details(repro_page *page, const char *title);
DEIT_INTERNAL void repro_page_lines(repro_page *page, const char *const *lines, int n);
DEIT_INTERNAL void repro_page_details_end(repro_page *page);

/* legend.c: a line of a report's list each, or more. wide: what stands before it takes so many columns. */
enum { REPRO_CONDITION_WIDTH = 10 };
DEIT_INTERNAL void repro_legend_conditions(const repro_book *book, repro_page *page);
DEIT_INTERNAL void repro_legend_images(const repro_report *report, repro_page *page);
/* How long trainings took. */
DEIT_INTERNAL void repro_legend_time(const repro_trained *trained, int n, int wide, repro_page *page);
DEIT_INTERNAL void repro_legend_notes(const repro_report *report, const char *label, int wide, repro_page *page);
/* Whether the table's notes are about all small networks and stand at the head of several tables. */
DEIT_INTERNAL bool repro_notes_at_head(const repro_report *report);
/* All that stands below a table. */
DEIT_INTERNAL void repro_legend(const repro_report *report, repro_page *page);

/* plot.c: a plot as a <figure> of a page: a panel for what is published and one for each scale that has points. */
DEIT_INTERNAL void repro_plot_page(const repro_report *report, const repro_plot *plot, base_text *out);
DEIT_INTERNAL const char *repro_plot_style(void); /* CSS that its classes need */

#endif
