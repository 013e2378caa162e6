/* deit: DeiT and Vision Transformers on CPUs, to drop into other programs.
 *
 *   deit_model *model = deit_open("deit_tiny_patch16_224", "deit_tiny_patch16_224-a1311bcf.pth", NULL);
 *   deit_image image = {.data = jpeg, .size = jpeg_size};
 *   deit_class best[5];
 *   if (!model || deit_classify(model, 1, &image, 5, best)) fprintf(stderr, "%s\n", deit_error());
 *   deit_close(model);
 *
 * Build: cc -c -std=gnu11 -O2 -fopenmp deit.c (as C), link with -fopenmp -ldnnl -larchive -ljansson -lpng -ljpeg
 * -lnettle -llzma -lzstd -lbz2 -lz -lstdc++ -lm -lpthread, where the libraries are static; this header serves C and
 * C++.
 *
 * Nothing here prints, exits, aborts or catches signals. A program that handles signals itself must not let a handler
 * run on the stack of a thread that computes (oneDNN's kernels put it to other uses): block them in the threads that
 * call this and take them in another, or give the handlers a stack of their own (SA_ONSTACK). Handles of more than one
 * thread refuse to run inside an OpenMP parallel region, and in a process forked after one of them was made: they would
 * not get their threads there. What can fail returns a deit_status (or NULL), and deit_error() says why. A handle
 * serves one thread at a time; different handles serve different threads at once. Structs of options are all zero for
 * the defaults, so `deit_options options = {0};` stays right when members are added at their end. */
#ifndef DEIT_H
#define DEIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    DEIT_OK = 0,
    DEIT_FAILED = 1,    /* the work could not be done */
    DEIT_USAGE = 2,     /* the caller's words are wrong: an unknown model, a number out of range */
    DEIT_CANCELLED = 4, /* the cancel flag was set */
} deit_status;

/* Why this thread's last call failed: names what was expected, what was found and what to do; "" if none has. Valid
 * until this thread's next call. Any thread. */
const char *deit_error(void);
/* The commit this was made from. Static text. Any thread. */
const char *deit_version(void);
/* The compiler and its flags; oneDNN's version; the instruction set that oneDNN uses on this processor. Static text.
 * Any thread. */
const char *deit_build(void);
const char *deit_onednn(void);
const char *deit_isa(void);

/* ---- Models ------------------------------------------------------------------------------------------------------ */

/* The names deit_open knows besides "vit", in a fixed order: NULL past the last. Static text. Any thread. */
const char *deit_model_name(int index);

enum { DEIT_F32 = 0, DEIT_BF16 = 1 };                                 /* precision */
enum { DEIT_THROUGHPUT = 0, DEIT_LATENCY = 1 };                       /* schedule */
enum { DEIT_HEAD_MEAN = 0, DEIT_HEAD_CLASS = 1, DEIT_HEAD_DIST = 2 }; /* head of a distilled network */

/* A ViT or DeiT that has no name of its own: for deit_open("vit", ...), all 0 for other names. 0: 16, 192, 12, 3,
 * without distillation. */
typedef struct {
    int patch, dim, depth, heads, distilled;
} deit_vit;

typedef struct {
    int threads;      /* in all, 4096 at most; 0: every core */
    int precision;    /* DEIT_F32; DEIT_BF16 needs a processor with bf16 instructions */
    int schedule;     /* DEIT_THROUGHPUT: images side by side; DEIT_LATENCY: all threads on one */
    int batch;        /* images that calls will give at a time, as a hint; 0: 32 for throughput, 1 for latency */
    int head;         /* DEIT_HEAD_MEAN is how the paper evaluates */
    int image;        /* side of the square input, where it differs from the model's own; positions are interpolated */
    int classes;      /* where it differs from 1000 */
    int loose;        /* 1: heads of another shape keep initial values, and `log` says so; 0: that is an error */
    uint64_t seed;    /* for initial values */
    const char *part; /* key of the state dict in a .pth file ("model_ema"); NULL: the usual ones, or no file */
    /* Called from the thread that called, while it calls. level: 0 information, 1 warning. May be NULL. */
    void (*log)(void *user, int level, const char *line);
    void *user;
    const volatile int
        *cancel; /* non-zero stops a long call with DEIT_CANCELLED. May be NULL; must outlive the handle */
    deit_vit vit;
    int features; /* 1: in place of logits what the heads are layers of, [n][deit_info.width]: the pooled last map of a
                   * convolutional network, the normed token (by `head`: class, distillation, mean) of a transformer */
} deit_options;

typedef struct deit_model deit_model;

/* Loads a network by timm's name with weights from a file (safetensors, .pth, Google's .npz), or with initial values
 * where weights is NULL. Copies what it needs of the options (NULL: all defaults). Returns a handle to be freed with
 * deit_close, or NULL. */
deit_model *deit_open(const char *name, const char *weights, const deit_options *options);
/* The same with the file's bytes in memory, which may be freed afterwards. */
deit_model *deit_open_memory(const char *name, const void *weights, size_t size, const deit_options *options);
/* Frees the handle; NULL is allowed. */
void deit_close(deit_model *model);

/* What a model is and what it expects of an image. */
typedef struct {
    const char *name;      /* lives as long as the handle */
    int classes, image;    /* image: side of its square input */
    float mean[3], std[3]; /* of R, G, B: input = (pixel / 255 - mean) / std */
    double crop;           /* the centre crop's part of the resized shorter side */
    int bicubic;           /* resized bicubically (as Pillow does); 0: bilinearly */
    int64_t parameters;
    double gflop;         /* an image; 2 a multiply-add */
    int workers, threads; /* the schedule: workers of so many threads each */
    int width;            /* numbers an image that deit_logits and deit_forward give: the classes, or the features */
} deit_info;
/* Fills *info. Any thread. */
void deit_describe(const deit_model *model, deit_info *info);

/* An image: `size` encoded bytes (JPEG or PNG) if width is 0; else width x height RGB pixels, 8 bits a channel, R
 * first, rows without gaps (size: at least 3 * width * height). Alpha channels, EXIF rotation and colour profiles play
 * no part, as in the models' training. */
typedef struct {
    const void *data;
    size_t size;
    int width, height;
} deit_image;

typedef struct {
    int index;         /* of the class */
    float probability; /* softmax of the logits */
} deit_class;

/* Resizes, crops (networks of 32 pixels and less: resizes alone), normalises and classifies n images. best: [n][k], the
 * k best classes of each image, best first; k: 1 to 64, and at most the classes. Fails as a whole at the first image
 * that cannot be decoded, with its number in deit_error(). DEIT_USAGE of a handle that gives features. */
deit_status deit_classify(deit_model *model, size_t n, const deit_image *images, int k, deit_class *best);
/* The same up to the logits (or features): [n][width]. */
deit_status deit_logits(deit_model *model, size_t n, const deit_image *images, float *logits);
/* input: [n][3][image][image], already normalised -> logits (or features): [n][width]. */
deit_status deit_forward(deit_model *model, size_t n, const float *input, float *logits);
/* ImageNet's name for a class index, "tench" for 0; NULL outside 0 .. 999. Static text. Any thread. */
const char *deit_imagenet_name(int index);

/* ---- Training ---------------------------------------------------------------------------------------------------- */

typedef struct deit_trainer deit_trainer;
typedef struct {
    int batch;                 /* images a step; at least 1 */
    int threads;               /* as in deit_options */
    int image, classes, loose; /* as in deit_options */
    uint64_t seed;
    /* AdamW; 0 takes the recipe's: 5e-4, 0.9, 0.999, 1e-8, 0.05 (a negative weight_decay: none). lr and weight_decay
     * below 1e6, the others below 1. */
    double lr, beta1, beta2, eps, weight_decay;
    deit_vit vit;
    void (*log)(void *user, int level, const char *line); /* as in deit_options; while deit_trainer_open runs */
    void *user;
} deit_train_options;

/* A network to be trained from weights of a file, or from initial values where weights is NULL. To be freed with
 * deit_trainer_close. NULL on failure. Distilled networks train the mean of their heads. */
deit_trainer *deit_trainer_open(const char *name, const char *weights, const deit_train_options *options);
void deit_trainer_close(deit_trainer *trainer); /* NULL allowed */
/* One step of AdamW on images [batch][3][image][image], normalised, and targets [batch][classes], each row a
 * distribution (all but one zero for plain labels). lr: of this step; 0 takes the options'; what is not in
 * [0, 1e6) is DEIT_USAGE, and nothing is changed. *loss (may be NULL): the mean cross entropy before the step. */
deit_status deit_trainer_step(deit_trainer *trainer, const float *images, const float *targets, double lr, float *loss);
/* Writes the weights as safetensors with timm's names: whole or not at all, and not where a number is not finite.
 * deit_open reads them. */
deit_status deit_trainer_save(deit_trainer *trainer, const char *path);

/* ---- Speed ------------------------------------------------------------------------------------------------------- */

typedef struct {
    double images_per_s, min, max; /* median and extremes of the samples */
    int samples;
    double percent_of_peak; /* of the speed of large matrix products, measured in between */
    double peak_gflops;
    int workers, threads, batch;
} deit_speed;
/* Measures a network (with initial values) for about `seconds`, at least 5 samples. options: threads, precision,
 * schedule, batch, image, classes, vit, log, cancel and user count. */
deit_status deit_bench(const char *name, const deit_options *options, double seconds, deit_speed *speed);

#ifdef __cplusplus
}
#endif
#endif
