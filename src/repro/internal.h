/* What the files of repro share. */
#ifndef DEIT_REPRO_INTERNAL_H
#define DEIT_REPRO_INTERNAL_H

#include "repro/repro.h"

/* table.c: a file that travels in the program, by its name in the tree; NULL if absent. */
DEIT_INTERNAL const char *repro_embedded(const char *name);

/* ---- command.c: commands with names in them ---------------------------------------------------------------------- */

enum { REPRO_MAX_WORDS = 32, REPRO_MAX_NAMES = 12 };
typedef struct {
    const char *name, *value; /* value NULL: unknown */
} repro_name;

/* "deit eval --model {model} [--real {real}]" with the names filled in: words, ended by NULL, from the arena. A part in
 * [] is left out where one of its names is unknown; elsewhere an unknown name is an error. */
DEIT_INTERNAL base_status repro_command_fill(const char *text, const repro_name *names, int n, base_arena *arena,
                                             const char *words[REPRO_MAX_WORDS]);
/* The words as a line for a shell, "./deit ..." first; quoted where needed. NULL when memory ends. */
DEIT_INTERNAL const char *repro_command_line(const char *const *words, base_arena *arena);
DEIT_INTERNAL const char *repro_command_word(const char *word, base_arena *arena);

/* ---- job.c: child processes, and the cells an interrupted run keeps ---------------------------------------------- */

/* How far a run is, for its progress. */
typedef struct {
    const base_context *context;
    const char *table;
    double done, total; /* cells */
} repro_progress;

/* Runs this program with the words after words[0]; its standard output is parsed as JSON into *output (the caller's
 * reference). Lines of its standard error show as notes of the progress; if the child fails, the last message among
 * them is this one's. */
DEIT_INTERNAL base_status repro_child(const char *const *words, json_t **output, const repro_progress *progress);

/* The folder where finished cells of one kind of run are kept: same table, same program, same machine. */
typedef struct {
    char *folder; /* NULL: there is nowhere to keep them */
} repro_cells;
DEIT_INTERNAL base_status repro_cells_open(repro_cells *cells, const repro_table *table);
DEIT_INTERNAL void repro_cells_close(repro_cells *cells);
/* A kept cell, or NULL; *age: seconds since it was kept. */
DEIT_INTERNAL json_t *repro_cells_load(const repro_cells *cells, const char *key, double *age);
DEIT_INTERNAL base_status repro_cells_keep(const repro_cells *cells, const char *key, json_t *cell);
DEIT_INTERNAL void repro_cells_forget(const repro_cells *cells, const char *key);

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* A run as it goes on. */
typedef struct {
    repro_report *report;
    repro_progress progress;
    repro_cells cells;
    repro_places places;
    base_text keys; /* keys of the cells used so far, each with its NUL: forgotten when the run is complete */
    double used;    /* seconds that the cells took, kept ones too */
    double oldest;  /* age of the oldest kept cell, seconds */
} repro_state;

/* A cell: kept from an interrupted run, or made by a child. *seconds: what it took. */
DEIT_INTERNAL base_status repro_cell_run(repro_state *state, const char *key, const char *const *words, json_t **output,
                                         double *seconds);
/* The table's command for a column; NULL if it has none. */
DEIT_INTERNAL const char *repro_command_for(const repro_table *table, repro_column column);

/* measure.c and score.c: how many cells there will be, and the cells. Failed jobs are counted in the report and their
 * reason stands in the rows; an error is returned only where the run cannot go on. */
DEIT_INTERNAL int repro_speed_cells(const repro_state *state);
DEIT_INTERNAL base_status repro_speed(repro_state *state);
DEIT_INTERNAL int repro_accuracy_cells(const repro_state *state);
DEIT_INTERNAL base_status repro_accuracy(repro_state *state);
/* Adds the commands that would make what is missing. */
DEIT_INTERNAL base_status repro_accuracy_todo(repro_state *state);
DEIT_INTERNAL base_status repro_add_todo(repro_report *report, const char *label, const char *command);

#endif
