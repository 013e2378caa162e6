/* cli: the command line. One file a subcommand: parse, call one layer, print. The only place with signals and
 * terminals.
 *
 * A subcommand is a cli_command: a static table that drives parsing, help, shell completion and the check of the man
 * page. Its file has
 *
 *   // before parsing the values are the defaults
 *   static struct { int64_t top; bool json; } predict_given = {.top = 5};
 *   static const cli_flag predict_flags[] = {
 *       {"top", CLI_INT, &predict_given.top, .help = "classes an image", .min = 1, .max = 1000},
 *       {"json", CLI_YES, &predict_given.json, .help = "JSON"},
 *       {0},
 *   };
 *   static base_status predict_run(int n, char **arguments) {...}                 arguments: what is not a flag
 *   DEIT_INTERNAL const cli_command *cli_predict(void) {
 *       static const cli_command command = {.name = "predict", .run = predict_run, .flags = predict_flags, ...};
 *       return &command;
 *   }
 *
 * and a line in main.c's list. run prints results on stdout (main checks that they could be written), and returns a
 * status whose message main prints as "deit: ..." with the exit code: 0, 1 failed, 2 usage, 3 tolerance. */
#ifndef DEIT_CLI_H
#define DEIT_CLI_H

#include "eval/eval.h"

#include <jansson.h>

/* ---- Flags ------------------------------------------------------------------------------------------------------- */

typedef enum {
    CLI_YES,    /* bool: set to true by the flag alone */
    CLI_TEXT,   /* const char * */
    CLI_PAIR,   /* const char *: "X,Y", also given as two words */
    CLI_FILE,   /* const char *; completed by the shell as a file */
    CLI_FOLDER, /* const char *; as a folder */
    CLI_MODEL,  /* const char *; completed with the models' names */
    CLI_INT,    /* int64_t in min..max */
    CLI_REAL,   /* double in min..max */
    CLI_CHOICE, /* int: the index in choices */
    CLI_SWITCH, /* int: 1 by --name, 0 by --no-name */
} cli_kind;

typedef struct {
    const char *name; /* without "--"; NULL ends a table */
    cli_kind kind;
    void *value;                /* where it goes; holds the default before parsing */
    const char *help;           /* one line, no full stop */
    const char *word;           /* stands for the value in the help ("FILE", "URL"); NULL: chosen by kind */
    double min, max;            /* both 0: any number that fits */
    const char *const *choices; /* ended by NULL; of a CLI_TEXT: what the shell offers among other words */
    const char *section;        /* begins a group of this title in the help */
} cli_flag;

/* Groups of flags that commands share; what they gave is had by the functions below. */
enum {
    CLI_NETWORK = 1, /* --model, --image, --positions, and what describes one: --patch --dim --depth ... --distilled */
    CLI_WEIGHTS = 2, /* --weights --weights-part --strict --seed */
    CLI_RUNNING = 4, /* --precision --threads --schedule --batch */
    CLI_HEAD = 8,    /* --head */
    CLI_DATA = 16,   /* --data --split --labels --max-bad --fit */
    CLI_GROUPS = 5,  /* so many */
};

typedef struct {
    const char *name;
    const char *summary;      /* one line */
    const char *arguments;    /* "IMAGE..." for the usage line; "" for none */
    const char *about;        /* more paragraphs for the help: examples, output; may be NULL */
    const char *const *words; /* what the first argument may be, for did-you-mean and completion; NULL: anything */
    bool files;               /* the first argument may be a path, with a '/', instead of one of the words */
    bool models;              /* the arguments are names of networks, for completion */
    int least, most;          /* how many arguments; most -1: any number */
    unsigned groups;          /* CLI_NETWORK | ... */
    const cli_flag *flags;    /* its own; NULL: none */
    const char *(*foreign)(const char *name); /* what to say of a flag that others' programs have; NULL: nothing */
    base_status (*run)(int n, char **arguments);
} cli_command;

/* The commands in the order of the help; ended by NULL. */
DEIT_INTERNAL const cli_command *const *cli_commands(void);
DEIT_INTERNAL const cli_command *cli_predict(void);
DEIT_INTERNAL const cli_command *cli_data(void);
DEIT_INTERNAL const cli_command *cli_eval(void);
DEIT_INTERNAL const cli_command *cli_disagree(void);
DEIT_INTERNAL const cli_command *cli_tokens(void);
DEIT_INTERNAL const cli_command *cli_positions(void);
DEIT_INTERNAL const cli_command *cli_train(void);
DEIT_INTERNAL const cli_command *cli_log(void);
DEIT_INTERNAL const cli_command *cli_bench(void);
DEIT_INTERNAL const cli_command *cli_profile(void);
DEIT_INTERNAL const cli_command *cli_repro(void);
DEIT_INTERNAL const cli_command *cli_forward(void);
DEIT_INTERNAL const cli_command *cli_weights(void);
DEIT_INTERNAL const cli_command *cli_doctor(void);
DEIT_INTERNAL const cli_command *cli_completion(void);

/* Parses argv[0 .. argc-1] (after the command's name) by the command's table: flags go to their values, the other
 * arguments to the front of argv, *n of them. --flag value, --flag=value; "--" ends flags. *help: -h or --help was
 * among them. Fails with BASE_USAGE. */
DEIT_INTERNAL base_status cli_parse(const cli_command *command, int argc, char **argv, int *n, bool *help);
DEIT_INTERNAL void cli_print_help(const cli_command *command);
/* The i-th flag of a command with those of its groups; NULL past the end. */
DEIT_INTERNAL const cli_flag *cli_flag_at(const cli_command *command, int i);
/* What stands for a flag's value in help and completion: "N", "FILE", "f32|bf16"; "" where it takes none. */
DEIT_INTERNAL const char *cli_flag_word(const cli_flag *flag, char text[128]);
DEIT_INTERNAL bool cli_flag_takes_value(const cli_flag *flag);
/* Whether the flag was on the command line; value: the same pointer as in the table. */
DEIT_INTERNAL bool cli_given(const void *value);

/* ---- What the shared flags gave ---------------------------------------------------------------------------------- */

/* CLI_NETWORK. model: a name in place of --model (bench takes names as arguments), or NULL. */
DEIT_INTERNAL base_status cli_network(const char *model, model_config *config);
/* Adds what defines the network to an object: image, classes, and of transformers patch, dim, depth, heads, distilled.
 */
DEIT_INTERNAL void cli_network_json(const model_config *config, json_t *object);
/* What --model says; NULL: it was not given. */
DEIT_INTERNAL const char *cli_model_given(void);
/* CLI_WEIGHTS: the file of --weights, else the manifest's file of that network in the weights folder; a usage error if
 * there is none. */
DEIT_INTERNAL base_status cli_weights_path(const model_config *config, char **path);
DEIT_INTERNAL base_status cli_weights_open(model_weights **weights, const model_config *config, const char *path);
/* CLI_RUNNING, CLI_HEAD. */
DEIT_INTERNAL base_status cli_options(model_options *options);
/* --batch, or `otherwise` where it was not given. */
DEIT_INTERNAL int64_t cli_batch(int64_t otherwise);
/* Whether `images` images of the network's size and their logits fit memory; says how much they take and what is free.
 * *needed: their bytes, for model_options.beside; may be NULL. */
DEIT_INTERNAL base_status cli_check_batch(const model_config *config, int64_t images, size_t *needed);
/* All of it: config, weights, net. *path (base_malloc'd; path may be NULL): the weights file. batch: images that will
 * be given at a time where --batch does not say, at most 32. features: in place of logits. */
DEIT_INTERNAL base_status cli_net(model_net **net, char **path, int64_t batch, bool features);

/* CLI_DATA: where the set is; the set, opened, a usage error of the command without --data; how to evaluate on it. */
DEIT_INTERNAL const data_options *cli_data_options(void);
DEIT_INTERNAL base_status cli_data_open(data_set **set, const char *command);
DEIT_INTERNAL eval_options cli_eval_options(void);

/* --weights-dir's default: $DEIT_WEIGHTS or the cache folder's weights; base_malloc'd. */
DEIT_INTERNAL char *cli_weights_folder(void);
/* The same of data sets: $DEIT_DATA or the cache folder's data. */
DEIT_INTERNAL char *cli_data_folder(void);

/* ---- The terminal ------------------------------------------------------------------------------------------------ */

/* Log lines and progress on stderr; cancelled by Ctrl-C (a second one ends the program at once). */
DEIT_INTERNAL const base_context *cli_context(void);
/* Ends the line of progress, if one stands on the terminal; before printing results. */
DEIT_INTERNAL void cli_progress_end(void);
/* The program as it was called, for commands that are printed; NULL: unknown. */
DEIT_INTERNAL const char *cli_program(void);
/* Prints a JSON value, indented, and lets it go. NULL: making it failed for lack of memory. */
DEIT_INTERNAL base_status cli_print_json(json_t *json);
/* "avx512_core_bf16, bf16, batch 32, 2x1 threads": a run's conditions for a line of text. */
DEIT_INTERNAL char *cli_conditions(const model_net *net, char text[160]);

#endif
