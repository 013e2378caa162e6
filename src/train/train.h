/* train: everything between a data set and trained weights - the table of options and recipes, optimizers and
 * schedules, distillation, checkpoints, the loop over epochs, and the logs it leaves.
 *
 *   train_options o; train_options_init(&o); train_recipe(&o, "deit");        what to do
 *   train_run(&o, NULL, &result, &context);                                   all of it, in the folder o.output_dir
 *
 * or step by step, on batches of one's own: train_net_new, train_net_gradients, train_optimizer_step. */
#ifndef DEIT_TRAIN_H
#define DEIT_TRAIN_H

#include "data/data.h"
#include "model/model.h"

#include <jansson.h>

/* ---- Options ----------------------------------------------------------------------------------------------------- */

/* Every option of training by the official script's name ('-' and '_' are the same), with its default. */
typedef struct {
    base_arena texts; /* what the pointers point to */
    const char *model;
    int64_t input_size, patch, dim, depth, heads; /* input_size 0: the network's own */
    int distilled, train_mode;                    /* switches: 0 no, 1 yes, -1 auto */
    double drop, drop_path;
    const char *finetune, *freeze;

    const char *data_path, *train_split, *test_split;
    int64_t num_workers, max_bad;
    int fit; /* image_fit */
    double eval_crop_ratio;

    int64_t batch_size, accumulate, epochs, cooldown_epochs, seed;
    int opt, sched, unscale_lr, model_ema;
    double opt_eps, opt_betas[2], clip_grad, momentum, weight_decay;
    double lr, warmup_lr, min_lr, decay_epochs, decay_rate, warmup_epochs, model_ema_decay;

    const char *aa;
    int augment, three_augment, simple_crop, train_interpolation, repeated_aug, remode, mixup_mode;
    int64_t recount;
    double color_jitter, smoothing, reprob, mixup, cutmix, cutmix_minmax[2], mixup_prob, mixup_switch_prob;

    int distillation_type; /* train_distillation */
    double distillation_alpha, distillation_tau;
    const char *teacher_model, *teacher_path;
    int64_t teacher_resolution;

    const char *output_dir;
    int64_t val_interval, start_epoch, save_steps, threads;
    int eval, precision, recompute, head;
} train_options;

typedef enum {
    TRAIN_SWITCH, /* int: --name, --no-name */
    TRAIN_CHOICE, /* int: index in choices */
    TRAIN_INT,    /* int64_t in least..most */
    TRAIN_REAL,   /* double in least..most */
    TRAIN_PAIR,   /* double[2]: "0.9,0.999"; both -1: none */
    TRAIN_TEXT,   /* const char *, and what it stands for: */
    TRAIN_FILE,
    TRAIN_FOLDER,
    TRAIN_MODEL
} train_kind;
typedef struct {
    const char *name; /* without "--" */
    train_kind kind;
    size_t offset;       /* in train_options */
    const char *preset;  /* the default as text */
    const char *help;    /* one line, no full stop */
    const char *section; /* begins a group of this title; NULL: belongs to the group before it */
    double least, most;
    const char *const *choices; /* ended by NULL */
    bool alias;                 /* another name for the option before it */
    bool may_change;            /* also in a run that goes on: it says where and how, not what is trained */
} train_option;
enum { TRAIN_MOST_OPTIONS = 96 };
DEIT_INTERNAL const train_option *train_option_at(int index); /* NULL past the end */
DEIT_INTERNAL const train_option *train_option_find(const char *name);

/* Sets every option to its default. To be freed with train_options_free, also after a failure. */
DEIT_INTERNAL base_status train_options_init(train_options *options);
DEIT_INTERNAL void train_options_free(train_options *options);
/* From text ("yes", "no", "auto" for switches); BASE_USAGE says what was expected. */
DEIT_INTERNAL base_status train_options_set(train_options *options, const train_option *option, const char *text);
DEIT_INTERNAL const char *train_option_text(const train_options *options, const train_option *option, char text[80]);
/* The flags that differ from the defaults, as they would be typed. */
DEIT_INTERNAL void train_options_print(const train_options *options, base_text *text);
/* args.json: all of them, with the official script's keys. NULL: memory ended. */
DEIT_INTERNAL json_t *train_options_json(const train_options *options);
DEIT_INTERNAL base_status train_options_read(train_options *options, const char *path);
/* Whether a run begun with some options can go on with others: BASE_USAGE names the first that may not change. run: its
 * folder, for the message. */
DEIT_INTERNAL base_status train_options_goes_on(const train_options *begun, const train_options *options,
                                                const char *run);

/* Sets what a recipe says: one of train_recipe_at's, or a file of flags ('#' begins a comment). */
DEIT_INTERNAL base_status train_recipe(train_options *options, const char *recipe);
DEIT_INTERNAL const char *train_recipe_at(int index, const char **what); /* NULL past the end */

/* ---- Optimizers -------------------------------------------------------------------------------------------------- */

typedef enum { TRAIN_ADAMW, TRAIN_SGD } train_rule;
/* AdamW as PyTorch's: decoupled weight decay, bias-corrected moments. SGD as PyTorch's with nesterov: decay added to
 * the gradient, no dampening. RECIPE: no decay on tensors of one dimension, pos_embed and cls_token; dist_token is
 * decayed, as in the authors' code. */
typedef struct {
    double lr, weight_decay;
    double beta1, beta2, eps; /* AdamW */
    double momentum;          /* SGD */
} train_step_options;
DEIT_INTERNAL train_step_options train_adamw_defaults(void); /* lr 5e-4, 0.9, 0.999, 1e-8, 0.05 */
DEIT_INTERNAL bool train_decays(const nn_param *param);

typedef struct {
    train_rule rule;
    nn_params *params;
    float *first, *second; /* moments, [params->size]; SGD: momentum, NULL */
    int64_t steps;
    int threads;
} train_optimizer;
/* The parameters must outlive it. What it computes does not depend on threads. */
DEIT_INTERNAL base_status train_optimizer_new(train_optimizer **optimizer, train_rule rule, nn_params *params,
                                              int threads);
DEIT_INTERNAL void train_optimizer_free(train_optimizer *optimizer);
/* One step from `scale` times params->gradients; options may change from step to step (schedules). Buffers and frozen
 * parameters stay. */
DEIT_INTERNAL void train_optimizer_step(train_optimizer *optimizer, const train_step_options *options, double scale);
/* The l2 norm of all gradients; and the factor that cuts it to `most` (0: none) as PyTorch's clip_grad_norm_. */
DEIT_INTERNAL double train_gradient_norm(const train_optimizer *optimizer);
DEIT_INTERNAL double train_clip(double norm, double most);

/* average = decay average + (1 - decay) values, buffers too, as timm's ModelEma. average: [params->size] */
DEIT_INTERNAL void train_ema_update(float *average, const nn_params *params, double decay, int threads);

/* timm's CosineLRScheduler and StepLRScheduler, in epochs. */
typedef struct {
    bool step;
    double base, warmup_lr, min_lr, warmup_epochs, epochs, decay_epochs, decay_rate;
} train_schedule;
DEIT_INTERNAL train_schedule train_schedule_of(const train_options *options); /* base: scaled by the images a step */
DEIT_INTERNAL double train_schedule_at(const train_schedule *schedule, double t);
/* The rate during an epoch. The official script steps the scheduler after each epoch with that epoch's number: epochs 0
 * and 1 both run at the rate of t = 0. */
DEIT_INTERNAL double train_schedule_epoch(const train_schedule *schedule, int64_t epoch);

/* ---- A network to be trained ------------------------------------------------------------------------------------- */

typedef enum { TRAIN_DISTIL_NONE, TRAIN_DISTIL_SOFT, TRAIN_DISTIL_HARD } train_distillation;
typedef struct {
    int64_t batch;
    int threads; /* 0: every core */
    nn_dtype precision;
    bool evaluation; /* as in evaluation mode: no dropping, batch norm's running statistics */
    bool mean;       /* without distillation: train the mean of a distilled network's heads, not the class head alone */
    bool recompute;
    const char *freeze; /* patterns of parameters to leave alone, separated by commas; NULL or "": none */
    train_distillation distillation;
    double alpha, tau;
} train_net_options;

typedef struct {
    model_config config;
    train_net_options options;
    nn_params *params;
    nn_plan *plan;
    float *logits;   /* [batch, classes]: the class head's of the last batch */
    float *distil;   /* [batch, classes]: what the teacher's logits become */
    double gflop;    /* of an image, forward */
    int64_t trained; /* parameters that are trained, elements */
} train_net;
/* weights: what it begins from (model_weights_open with a NULL path: initial values). */
DEIT_INTERNAL base_status train_net_new(train_net **net, const model_config *config, model_weights *weights,
                                        const train_net_options *options);
DEIT_INTERNAL void train_net_free(train_net *net);
/* The loss of a batch and its gradients, which are added to those there are if `add`. images [batch, 3, S, S], targets
 * [batch, classes], teacher: its logits [batch, classes], NULL without distillation. seed, pass: what dropout draws
 * from.
 */
DEIT_INTERNAL base_status train_net_gradients(train_net *net, const float *images, const float *targets,
                                              const float *teacher, bool add, uint64_t seed, uint64_t pass,
                                              float *loss);
/* Runs the last batch again and names the first value that is not finite, in the order of computing: "value of linear
 * blocks.3.mlp.fc1.weight"; "" if there is none. */
DEIT_INTERNAL base_status train_net_first_bad(train_net *net, const float *images, const float *targets,
                                              char text[160]);
/* The first parameter whose value (or gradient) is not finite; NULL: none. */
DEIT_INTERNAL const char *train_net_bad(const train_net *net, bool gradient);

/* A network with weights that answers what the student sees: in its own resolution and normalisation. */
typedef struct train_teacher_net train_teacher_net;
DEIT_INTERNAL base_status train_teacher_new(train_teacher_net **teacher, const model_config *config, const char *path,
                                            const model_config *student, const model_options *options,
                                            const base_context *context);
DEIT_INTERNAL void train_teacher_free(train_teacher_net *teacher);           /* NULL allowed */
DEIT_INTERNAL size_t train_teacher_memory(const train_teacher_net *teacher); /* bytes of weights and activations */
/* images: [n, 3, S, S] normalised for the student, n at most options->batch -> logits [n, classes]. */
DEIT_INTERNAL base_status train_teacher_run(train_teacher_net *teacher, int64_t n, const float *images, float *logits);

/* ---- Speed ------------------------------------------------------------------------------------------------------- */

enum { TRAIN_SPEED_STEPS = 1000 };
typedef struct {
    base_spread images_per_s;
    base_spread percent_of_peak; /* 3 x the forward's products over the GEMM peak just before and after a step */
    double peak_gflops, gflop_per_image; /* of the forward */
    int threads, steps;
    size_t memory; /* bytes: weights, gradients, moments, packed weights, activations and scratch, images and targets */
} train_speed;
/* Times steps of forward, backward and AdamW on one batch of random images, after one to warm up. */
DEIT_INTERNAL base_status train_speed_measure(const model_config *config, const train_net_options *options, int steps,
                                              train_speed *speed, const base_context *context);

/* ---- Runs -------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t epochs, steps;                  /* done in all, those before a resumption too */
    double test_acc1, test_acc5, test_loss; /* of the last epoch; -1: not evaluated */
    double best_acc1;
    int64_t best_epoch;
    double ema_acc1;     /* negative: no average was kept */
    double images_per_s; /* of training steps */
    double seconds;      /* of training */
    double cpu_seconds;  /* of processors, for all that was done */
} train_result;

/* Trains by the options, in the folder options->output_dir (""; nothing is kept). resume: continue the run that lies in
 * output_dir from its newest intact checkpoint; the options must be that run's.
 *
 * The folder holds args.json, log.jsonl (a line an epoch), curves.html, last.safetensors, best.safetensors,
 * last_ema.safetensors, and checkpoints/: of the last two checkpoints the weights, the average, the optimizer's state,
 * and a .json with the step and the checksums of the three. While a run goes on, the folder is locked.
 *
 * When context->cancel is set, the step is finished, a checkpoint written, and BASE_CANCELLED returned. */
DEIT_INTERNAL base_status train_run(const train_options *options, bool resume, train_result *result,
                                    const base_context *context);
/* Whether a folder holds a run with these options that has all their epochs behind it, its last checkpoint whole. */
DEIT_INTERNAL bool train_finished(const train_options *options, const char *folder);
/* The network that options name, for so many classes. */
DEIT_INTERNAL base_status train_network(const train_options *options, int classes, model_config *config);

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

/* Where a run stands; everything random follows from it and the seed. */
typedef struct {
    int64_t epoch, pass; /* passes of this epoch that are behind us */
    int64_t step;        /* optimizer steps of the run */
    double loss_sum;     /* over this epoch's passes */
    int64_t right, seen; /* images of this epoch's passes */
    double best_acc1;
    int64_t best_epoch;            /* -1: none yet */
    double seconds, epoch_seconds; /* of training, all sessions; this epoch's */
    double cpu_seconds;            /* of processors, all that the sessions did */
    int64_t images, tests;         /* of the data sets; 0: not known */
} train_state;

/* Writes checkpoint number state->step in folder/checkpoints, whole or not at all, and removes all but it and the one
 * before. ema may be NULL. */
DEIT_INTERNAL base_status train_checkpoint_save(const char *folder, const train_net *net,
                                                const train_optimizer *optimizer, const float *ema,
                                                const train_state *state);
/* Whether a checkpoint was ever finished, intact or not. */
DEIT_INTERNAL bool train_checkpoint_any(const char *folder);
/* Reads the newest checkpoint that is intact; says through the context which ones are not. Where none was ever written
 * it changes nothing. Fails if all are damaged, or if it is another network's. */
DEIT_INTERNAL base_status train_checkpoint_load(const char *folder, train_net *net, train_optimizer *optimizer,
                                                float *ema, train_state *state, const base_context *context);
/* Makes folder/name.safetensors the weights (or the average) of checkpoint `step`. */
DEIT_INTERNAL base_status train_checkpoint_link(const char *folder, int64_t step, bool ema, const char *name);
/* Weights by timm's names, with metadata that says what network they are. values: as nn_params.values. */
DEIT_INTERNAL base_status train_weights_write(const char *path, const model_config *config, const nn_params *params,
                                              const float *values);

/* ---- Logs -------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name; /* the run's folder */
    json_t *args;     /* args.json, or NULL */
    json_t *epochs;   /* array: the lines of log.jsonl */
} train_log;
/* folder, or the log.jsonl itself. */
DEIT_INTERNAL base_status train_log_open(train_log *log, const char *folder);
DEIT_INTERNAL void train_log_close(train_log *log);
/* Text: a run a line, with what differs between their options. */
DEIT_INTERNAL void train_log_text(const train_log *logs, int n, base_text *text);
/* One self-contained page of curves. */
DEIT_INTERNAL void train_log_page(const train_log *logs, int n, base_text *text);

#endif
