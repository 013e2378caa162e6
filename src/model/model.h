/* model: the networks by timm's names, what they expect of an image, and the weights that others have trained. */
#ifndef DEIT_MODEL_H
#define DEIT_MODEL_H

#include "nn/nn.h"
#include "store/store.h"

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

typedef enum { MODEL_BILINEAR, MODEL_BICUBIC } model_interpolation;
typedef enum {
    MODEL_HEAD_MEAN,
    MODEL_HEAD_CLASS,
    MODEL_HEAD_DIST,
    MODEL_HEAD_EACH /* both, side by side */
} model_head;       /* a distilled network's answer; MEAN is how the paper evaluates */
enum { MODEL_MAX_HEADS = 2 };

typedef struct model_family model_family;
/* Everything that defines a network: copy a registered one and change what must differ (image, classes). */
typedef struct {
    const char *name; /* timm's, or "vit" for one described by flags */
    const model_family *family;
    int image; /* side of the square input, pixels */
    int classes;
    int patch, dim, depth, heads; /* transformers */
    bool distilled;               /* a distillation token and a second head */
    double drop, drop_path;       /* training: dropout; drop path of the last block, rising from 0 at the first */
    const void *shape;            /* the other families: what its file needs to know */
    nn_activation activation;     /* ResNet, RegNet: instead of ReLU; NN_NO_ACTIVATION: ReLU */
    /* preprocessing */
    double crop; /* fraction of the resized shorter side that the crop takes: DeiT 0.875 */
    model_interpolation interpolation;
    float mean[3], std[3];
} model_config;

/* A family of networks: one file each. */
struct model_family {
    const char *name;
    /* x: [B, 3, image, image] -> logits of each head [B, classes]; returns the number of heads. For training: the
     * graph must have been told (nn_graph_trains), and the losses come behind it. */
    int (*build)(const model_config *config, nn_graph *graph, nn_value x, nn_value logits[MODEL_MAX_HEADS]);
    /* Says what is wrong with the configuration, or BASE_OK. */
    base_status (*check)(const model_config *config);
    /* The layers that give the logits, which another number of classes replaces: "fc" for fc.weight and fc.bias. */
    const char *heads[MODEL_MAX_HEADS];
};
/* A ViT or DeiT to be described: image 224, patch 16, dim 192, depth 12, heads 3, 1000 classes, DeiT's preprocessing.
 */
DEIT_INTERNAL model_config model_vit(void);

/* The registry. model_find fails (BASE_USAGE) on an unknown name with the nearest known one. */
DEIT_INTERNAL int model_count(void);
DEIT_INTERNAL const model_config *model_at(int index);
DEIT_INTERNAL base_status model_find(const char *name, model_config *config);

/* The graph of a network for batches of `batch`: image -> logits of the chosen head, or of each. */
DEIT_INTERNAL base_status model_graph(nn_graph **graph, const model_config *config, int64_t batch, model_head head);
/* image -> features, what the heads are layers of, [B, D]: the pooled last map of a convolutional network, the normed
 * class or distillation token of a transformer, or the mean of both (timm's forward_head with pre_logits). */
DEIT_INTERNAL base_status model_feature_graph(nn_graph **graph, const model_config *config, int64_t batch,
                                              model_head head);
/* The graph of a distilled network that shows its tokens: outputs are the class and the distillation token [B, dim]
 * with their positions added, after each block, and after the last norm: 2 (depth + 2). It has all parameters but the
 * heads'. */
DEIT_INTERNAL base_status model_token_graph(nn_graph **graph, const model_config *config, int64_t batch);
/* Parameters (elements), and GFLOP an image (2 a multiply-add); computed from the graph. */
DEIT_INTERNAL base_status model_size(const model_config *config, int64_t *parameters, double *gflop);

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

typedef struct model_weights model_weights;
typedef struct {
    bool bilinear;      /* a position grid of another size is interpolated so; otherwise bicubic */
    bool loose;         /* heads (and a distillation token) of another shape, or that only the file or the network has,
                         * are left out, and said; otherwise they are an error, as all else is */
    const char *loosen; /* how the user may ask for that, for the message: "--strict no"; NULL: in no way */
    uint64_t seed;      /* for what is left at its initial values */
    const char *part;   /* key in a torch checkpoint ("model_ema"); NULL: the usual ones */
    const char *parts;  /* how the user asks for one, for the message: "--weights-part"; NULL: by converting the file */
} model_weights_options;

/* Opens weights for a network: safetensors, torch .pth, or npz with Google's ViT names. Position grids of another size
 * are interpolated (bicubic, as the authors' code, if not told otherwise). All missing, extra and mis-shaped tensors
 * are named in one message, the first of them and the registered network that the file does fit before all. path NULL:
 * initial values from seed.
 */
DEIT_INTERNAL base_status model_weights_open(model_weights **weights, const model_config *config, const char *path,
                                             const model_weights_options *options, const base_context *context);
/* The same from a buffer that must stay until model_weights_close. */
DEIT_INTERNAL base_status model_weights_open_memory(model_weights **weights, const model_config *config,
                                                    const void *data, size_t size, const model_weights_options *options,
                                                    const base_context *context);
DEIT_INTERNAL nn_source model_weights_source(model_weights *weights);
DEIT_INTERNAL void model_weights_close(model_weights *weights);
/* What a safetensors file says of the network that its weights are for: pairs of key and value, ended by NULL. */
typedef struct {
    char number[6][16];
    const char *pairs[20];
} model_metadata;
DEIT_INTERNAL const char *const *model_describe(const model_config *config, model_metadata *metadata);
/* The vit that such a file is of, by its metadata. */
DEIT_INTERNAL base_status model_weights_config(const char *path, model_config *config);
/* Writes them all as safetensors with timm's names; as: STORE_F32, STORE_F16 or STORE_BF16. Numbers that are not
 * finite, or would not be in that type, are an error. */
DEIT_INTERNAL base_status model_weights_write(model_weights *weights, const char *path, store_dtype as,
                                              const base_context *context);

/* The position grid of side `from` to side `to`: bicubic with a = -0.75, or bilinear; edges clamped, not antialiased
 * (torch's interpolate). in: [from, from, dim] -> out: [to, to, dim]. */
DEIT_INTERNAL void model_resize_grid(const float *in, int from, float *out, int to, int dim, model_interpolation how);
/* The positions of a transformer's weights as the file has them, without those of the class and distillation token:
 * *grid [*side, *side, dim], base_malloc'd. */
DEIT_INTERNAL base_status model_position_grid(const model_weights *weights, float **grid, int *side);

/* ---- A network ready to run -------------------------------------------------------------------------------------- */

typedef enum { MODEL_THROUGHPUT, MODEL_LATENCY } model_schedule;
typedef struct {
    nn_dtype precision;
    model_schedule schedule;
    int64_t batch;       /* images that will be given at a time, as a hint: 0 takes 32 in throughput, 1 in latency */
    int64_t micro_batch; /* images a worker takes at a time in throughput; 0: chosen by the cost model */
    int threads;         /* in all; 0: every core */
    model_head head;
    bool features;              /* in place of logits */
    nn_plan *share;             /* see nn_plan_options */
    nn_room *room;              /* likewise */
    size_t beside;              /* likewise */
    const volatile int *cancel; /* likewise */
} model_options;

typedef struct {
    model_config config;
    model_options options; /* batch and threads filled in */
    nn_plan *plan;
    int workers, threads; /* G x T */
    int64_t micro_batch;  /* images a worker takes at a time */
    double gflop;         /* an image */
    int width;            /* numbers that a head gives an image: the classes, or the features */
} model_net;

/* Plans the network and packs the weights; weights NULL: noise, for measuring speed. */
DEIT_INTERNAL base_status model_net_new(model_net **net, const model_config *config, model_weights *weights,
                                        const model_options *options);
/* The same of model_token_graph; its plan is run by nn_run, with all its outputs. */
DEIT_INTERNAL base_status model_token_net_new(model_net **net, const model_config *config, model_weights *weights,
                                              const model_options *options);
DEIT_INTERNAL void model_net_free(model_net *net);
/* images: [n, 3, image, image], normalised -> logits: [n, width]; of MODEL_HEAD_EACH and a distilled network
 * [2, n, width], the class head's first. Any n. One call at a time a net. */
DEIT_INTERNAL base_status model_net_run(model_net *net, int64_t n, const float *images, float *logits);

#endif
