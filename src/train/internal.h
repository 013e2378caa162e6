/* What the files of train share. */
#ifndef DEIT_TRAIN_INTERNAL_H
#define DEIT_TRAIN_INTERNAL_H

#include "eval/eval.h"
#include "train/train.h"

/* folder.c: the folder of a run, locked while it is open. */
typedef struct {
    char *path;
    int lock; /* file; -1: none */
} train_folder;
/* A new run wants a folder without one; resume: one with checkpoints. Removes what a killed process left half written.
 */
DEIT_INTERNAL base_status train_folder_open(train_folder *folder, const char *path, bool resume);
DEIT_INTERNAL void train_folder_close(train_folder *folder);
DEIT_INTERNAL base_status train_folder_args(const train_folder *folder, const train_options *options);
/* Drops the log's lines of epochs from `epoch` on: they will be written again. */
DEIT_INTERNAL base_status train_folder_rewind(const train_folder *folder, int64_t epoch);
/* Adds a line to the log, on the disk when it returns, and draws the curves anew; lets the JSON go. */
DEIT_INTERNAL base_status train_folder_log(const train_folder *folder, json_t *line);

/* journal.c: a number of a log's line (NAN where it has none); whether any run keeps an average of the weights; the
 * line of the best top-1; the options in which run i differs from the others. */
DEIT_INTERNAL double train_log_number(const json_t *line, const char *key);
DEIT_INTERNAL bool train_log_averaged(const train_log *logs, int n);
DEIT_INTERNAL const json_t *train_log_best(const train_log *log);
DEIT_INTERNAL void train_log_differences(const train_log *logs, int n, int i, base_text *text);

/* setup.c: what a run works with. */
typedef struct {
    const train_options *options;
    const base_context *context;
    base_context steady; /* the same, not to be cancelled: a step once begun is finished */
    train_folder folder; /* path NULL: nothing is kept */
    data_set *train, *test;
    data_loader *loader;
    data_batch batch; /* of the last pass */
    model_config config;
    train_net *net;
    train_optimizer *optimizer;
    float *ema;        /* NULL: no average is kept */
    float *statistics; /* batch norm's before this step, where a step takes several passes; NULL: there are none */
    train_teacher_net *teacher;
    float *teacher_logits; /* [batch, classes] */
    model_net *eval;
    train_schedule schedule;
    train_state state;
    double cpu_before;                 /* of sessions before this one, less what this process had spent already */
    int64_t passes;                    /* of an epoch: those of whole steps */
    double pass_seconds, test_seconds; /* of a pass; of an evaluation: first estimated, then measured */
    size_t data_bytes;                 /* that the data sets hold */
} train_session;
/* Opens all of it but the loader; resume: at the state of the newest checkpoint. */
DEIT_INTERNAL base_status train_session_open(train_session *s, bool resume);
DEIT_INTERNAL void train_session_close(train_session *s);
/* The loader, at the session's state. */
DEIT_INTERNAL base_status train_session_load(train_session *s);
/* Says what the run will do, what memory it takes, and about how long. */
DEIT_INTERNAL base_status train_session_say(train_session *s);
/* Whether an epoch, counted from 0, ends with an evaluation. */
DEIT_INTERNAL bool train_evaluates(const train_options *options, int64_t epoch);
/* Seconds to the end of the run, by what a pass and an evaluation take. */
DEIT_INTERNAL double train_session_left(const train_session *s);
/* "3:20:05", or "12 days" */
DEIT_INTERNAL char *train_time_text(double seconds, char text[32]);

#endif
