/* nn: a graph of operators, transformed, planned once and run many times with oneDNN. The only layer that includes
 * dnnl.h.
 *
 *   nn_graph *g = nn_graph_new(8);                          a graph for batches of 8
 *   nn_value x = nn_input(g, 3, (int64_t[]){3, 224, 224});        images [8, 3, 224, 224]
 *   x = nn_linear(g, ...);                                  operators: each returns the value it makes
 *   nn_output(g, x);
 *   nn_plan_new(&plan, g, &options); nn_plan_refresh(plan, source); nn_run(plan, n, inputs, outputs);
 *
 * Building never needs a check between the lines: the first error stays in the graph and nn_plan_new returns it. */
#ifndef DEIT_NN_H
#define DEIT_NN_H

#include "base/base.h"

typedef enum { NN_F32, NN_BF16 } nn_dtype;

/* ---- Graph ------------------------------------------------------------------------------------------------------- */

typedef struct nn_graph nn_graph;
typedef int nn_value; /* the index of a node; a node makes one value. Negative: an error was recorded */

/* A graph whose values carry `batch` images. NULL when memory ends. */
DEIT_INTERNAL nn_graph *nn_graph_new(int64_t batch);
DEIT_INTERNAL void nn_graph_free(nn_graph *graph);
DEIT_INTERNAL base_status nn_graph_status(const nn_graph *graph);
/* Makes it a graph for training; call right after nn_graph_new. Batch norm then takes the batch's statistics and moves
 * the running ones (momentum 0.1, unbiased variance, as PyTorch) in the parameter store of the plan, each run; dropout
 * and drop path drop. Without it, batch norm uses the running statistics and those two are the identity. */
DEIT_INTERNAL void nn_graph_trains(nn_graph *graph);
/* What is added from here to the next call is a block: nn_plan_options.recompute computes it again in the backward. */
DEIT_INTERNAL void nn_block(nn_graph *graph);
/* ndim of a value and its dims, the batch first. dim: [4]. */
DEIT_INTERNAL int nn_shape(const nn_graph *graph, nn_value x, int64_t dim[4]);

/* The first operand of the operation that made a value: of a linear layer's, what it is a layer of. */
DEIT_INTERNAL nn_value nn_operand(const nn_graph *graph, nn_value x);

/* An input [batch, dim...], f32. nn_run takes inputs in the order of these calls, outputs in the order of nn_output's.
 */
DEIT_INTERNAL nn_value nn_input(nn_graph *graph, int ndim, const int64_t *dim);
DEIT_INTERNAL void nn_output(nn_graph *graph, nn_value x);
DEIT_INTERNAL nn_value nn_output_at(const nn_graph *graph, int index);

/* Image to tokens: x [B, C, H, W] -> [B, extra + H/patch * W/patch, dim]. Parameters: cls_token [1, 1, dim], dist_token
 * (if extra is 2), pos_embed [1, T, dim], patch_embed.proj.weight [dim, C, patch, patch], patch_embed.proj.bias [dim].
 */
DEIT_INTERNAL nn_value nn_tokens(nn_graph *graph, nn_value x, int64_t patch, int64_t dim, int extra);
/* y = x W^T + b on the last axis; parameters name.weight [out, in], name.bias [out]. */
DEIT_INTERNAL nn_value nn_linear(nn_graph *graph, nn_value x, int64_t out, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
/* Over the last axis; parameters name.weight, name.bias [dim]. */
DEIT_INTERNAL nn_value nn_layer_norm(nn_graph *graph, nn_value x, float eps, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
typedef enum { NN_NO_ACTIVATION, NN_GELU, NN_RELU, NN_SILU, NN_SIGMOID } nn_activation;    /* GELU exact: x Phi(x) */
DEIT_INTERNAL nn_value nn_activate(nn_graph *graph, nn_value x, nn_activation activation); /* number by number */
DEIT_INTERNAL nn_value nn_add(nn_graph *graph, nn_value a, nn_value b);                    /* of one shape */
/* Multi-head self-attention: qkv [B, T, 3 D] (q, k, v, each split into heads) -> [B, T, D]; scale (D / heads)^-0.5. */
DEIT_INTERNAL nn_value nn_attention(nn_graph *graph, nn_value qkv, int64_t heads);
DEIT_INTERNAL nn_value nn_select_token(nn_graph *graph, nn_value x, int64_t token); /* [B, T, D] -> [B, D] */
DEIT_INTERNAL nn_value nn_average(nn_graph *graph, nn_value a, nn_value b);         /* (a + b) / 2 */

/* Convolutional networks. Feature maps are channels last, [B, H, W, C]: a pixel is a row, so a 1x1 convolution is a
 * linear layer and what works by channel reads contiguous numbers. */
DEIT_INTERNAL nn_value nn_channels_last(nn_graph *graph, nn_value x); /* [B, C, H, W] -> [B, H, W, C] */
/* Padding: kernel / 2 all round, or TensorFlow's SAME: to ceil(size / stride) outputs, the odd row and column at the
 * end. */
typedef struct {
    int kernel, stride;
    int groups; /* 0: 1 */
    bool same, bias;
} nn_window;
/* [B, H, W, C] -> [B, H', W', out], H' = floor((H - 1) / stride) + 1 for odd kernels, or ceil(H / stride), the same.
 * Parameters name.weight [out, C / groups, kernel, kernel], with bias name.bias [out]. x may be a vector [B, C] if the
 * kernel is 1: -> [B, out]. Fails where groups do not divide C and out. */
DEIT_INTERNAL nn_value nn_conv(nn_graph *graph, nn_value x, int64_t out, nn_window window, const char *name, ...)
    __attribute__((format(printf, 5, 6)));
/* y = (x - running_mean) / sqrt(running_var + eps) weight + bias for each channel; parameters name.weight, name.bias,
 * and buffers name.running_mean, name.running_var [C]. */
DEIT_INTERNAL nn_value nn_batch_norm(nn_graph *graph, nn_value x, float eps, const char *name, ...)
    __attribute__((format(printf, 4, 5)));
typedef enum { NN_POOL_MAX, NN_POOL_AVERAGE } nn_pooling;
/* Windows of kernel x kernel, padding kernel / 2 that never counts: neither for the maximum nor for the average. To
 * floor((H - 1) / stride) + 1 rows for odd kernels. */
DEIT_INTERNAL nn_value nn_pool(nn_graph *graph, nn_value x, nn_pooling pooling, int kernel, int stride);
DEIT_INTERNAL nn_value nn_global_pool(nn_graph *graph, nn_value x); /* mean over pixels: [B, H, W, C] -> [B, C] */
DEIT_INTERNAL nn_value nn_scale(nn_graph *graph, nn_value x, nn_value factor); /* x [B, H, W, C] times factor [B, C] */

/* Each number is zero with probability p, otherwise multiplied by 1 / (1 - p). Which ones follows from nn_plan_step's
 * seed and step, the operator's place in the graph and the image's in the batch; not from threads. */
DEIT_INTERNAL nn_value nn_dropout(nn_graph *graph, nn_value x, double p);
/* The same for whole images, x [B, ...]: stochastic depth, where x is a residual branch. */
DEIT_INTERNAL nn_value nn_drop_path(nn_graph *graph, nn_value x, double p);

/* Losses: one number, [1]. Targets and the teacher's logits are data: no gradient goes there. */

/* Mean over the batch of -sum_k target log softmax(logits); logits, targets: [B, K]. A label is a target of one 1;
 * smoothing and mixing make soft ones. */
DEIT_INTERNAL nn_value nn_cross_entropy(nn_graph *graph, nn_value logits, nn_value targets);
/* Soft distillation as the authors' script: KL(softmax(teacher / tau) || softmax(logits / tau)) summed over the batch,
 * times tau^2 / (B K); logits, teacher: [B, K]. */
DEIT_INTERNAL nn_value nn_distillation(nn_graph *graph, nn_value logits, nn_value teacher, double tau);
/* weight_a a + weight_b b. */
DEIT_INTERNAL nn_value nn_weighted(nn_graph *graph, nn_value a, double weight_a, nn_value b, double weight_b);

/* How a parameter starts, as timm's (the class token as in the paper's days): zeros, ones, truncated normal 0.02
 * (transformers), normal 0.01, uniform in +-1 / sqrt(fan) (PyTorch's default), normal with sqrt(2 / fan)
 * (convolutions). */
typedef enum { NN_INIT_ZERO, NN_INIT_ONE, NN_INIT_TRUNCATED, NN_INIT_NORMAL, NN_INIT_UNIFORM_FAN, NN_INIT_HE } nn_init;
typedef struct {
    const char *name; /* timm's state_dict name; lives as long as the graph or parameter store it came from */
    int ndim;
    int64_t dim[4];
    int64_t count;  /* elements */
    int64_t offset; /* of the first element in the flat arrays; a multiple of 16 */
    nn_init init;
    int64_t fan; /* for NN_INIT_UNIFORM_FAN, NN_INIT_HE */
    bool buffer; /* a statistic that the network keeps: no parameter to count or to train */
    bool frozen; /* by nn_graph_freeze */
} nn_param;
/* The weight and bias of the layer that made x start otherwise than the layer has it; returns x. fan: for
 * NN_INIT_UNIFORM_FAN. */
DEIT_INTERNAL nn_value nn_start(nn_graph *graph, nn_value x, nn_init weight, nn_init bias, int64_t fan);
/* Freezes every parameter so far for which `frozen` says so; call before nn_backward, which then leaves out what only
 * they would need. Their gradients stay 0; optimizers must leave alone what nn_param.frozen or .buffer marks. */
DEIT_INTERNAL void nn_graph_freeze(nn_graph *graph, bool (*frozen)(void *user, const nn_param *param), void *user);
/* Adds the nodes that compute d loss / d parameter for every parameter that leads to the loss. Call once, before
 * nn_plan_new; its plan runs with nn_plan_options.params. */
DEIT_INTERNAL void nn_backward(nn_graph *graph, nn_value loss);

/* Floating-point operations for one batch: 2 a multiply-add of every matrix product and convolution in the graph as it
 * was built. */
DEIT_INTERNAL double nn_graph_flops(const nn_graph *graph);

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL int nn_param_count(const nn_graph *graph);
DEIT_INTERNAL const nn_param *nn_param_at(const nn_graph *graph, int index);

/* Master weights in f32, flat: `values`, and `gradients` where asked for (both [size], params[i] at its offset, gaps
 * are zero). */
typedef struct {
    nn_param *params;
    int count;
    int64_t size; /* elements of each flat array */
    float *values, *gradients;
    base_arena names;
} nn_params;
DEIT_INTERNAL base_status nn_params_new(nn_params **params, const nn_graph *graph, bool with_gradients);
DEIT_INTERNAL void nn_params_free(nn_params *params);
/* Initial values of a parameter by its rule; they depend only on seed and the parameter's index. */
DEIT_INTERNAL void nn_param_init(const nn_param *param, int index, uint64_t seed, float *out);
DEIT_INTERNAL int64_t nn_first_not_finite(const float *x, int64_t count); /* index of the first infinity or NaN; -1 */

/* Where a plan takes weights from: read fills out[count] with parameter `index` (the graph's order). */
typedef struct {
    base_status (*read)(void *user, int index, const nn_param *param, float *out);
    void *user;
    const char *from; /* the file, for messages; or NULL */
} nn_source;
DEIT_INTERNAL nn_source nn_params_source(nn_params *params);
DEIT_INTERNAL nn_source nn_noise_source(void); /* small random numbers, cheap to make: for measuring speed */

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

typedef struct nn_plan nn_plan;
/* Memory for the values of plans that run in turn, as much as the largest of them needs. Freed behind its plans. */
typedef struct nn_room nn_room;
DEIT_INTERNAL nn_room *nn_room_new(void);
DEIT_INTERNAL void nn_room_free(nn_room *room);
typedef struct {
    nn_dtype precision; /* NN_BF16: bf16 products with f32 accumulation; norms, softmax and losses in f32; a
                           transformer's residual stream too, and in training a convolutional network's */
    int workers,
        threads;       /* G workers of T OpenMP threads each. A worker runs whole batches of the graph's size; 0: 1 */
    nn_plan *share;    /* a plan of the same network whose packed weights serve where formats agree; or NULL */
    nn_room *room;     /* shared with plans that never run at the same time; NULL: its own */
    size_t beside;     /* bytes that the caller will need beside the plan: it is refused if memory cannot hold both */
    nn_params *params; /* training: where the gradients of nn_backward's graph go and batch norm's running statistics
                          are kept; otherwise NULL */
    const volatile int *cancel; /* non-zero: a run stops before its next operator, with BASE_CANCELLED; may be NULL */
    bool recompute; /* training: of each nn_block keep only what it begins with, and compute the rest again in the
                       backward: less memory, about a third more time, the same bits */
} nn_plan_options;

/* Runs the passes over the graph (fuse, precision, arena), makes the primitives and allocates what running needs. Takes
 * the graph over: it is freed with the plan, or now if this fails. Memory is computed first and compared with what the
 * machine has. */
DEIT_INTERNAL base_status nn_plan_new(nn_plan **plan, nn_graph *graph, const nn_plan_options *options);
DEIT_INTERNAL void nn_plan_free(nn_plan *plan);
DEIT_INTERNAL const nn_graph *nn_plan_graph(const nn_plan *plan);
/* Reads every parameter and packs it in the layout the kernels want. Names the parameter that is not finite. */
DEIT_INTERNAL base_status nn_plan_refresh(nn_plan *plan, nn_source source);
/* Bytes of packed weights (those of a shared plan not counted), and of all workers' arenas and scratch together. */
DEIT_INTERNAL void nn_plan_memory(const nn_plan *plan, size_t *weights, size_t *activations);
/* inputs[i]: [n, ...] f32 -> outputs[i]: [n, ...] f32, any n; workers share the n images, a graph batch at a time.
 * BASE_CANCELLED: the outputs are not whole.
 * Creates no primitive and allocates nothing. With a loss in the graph n must be the graph's batch. One run at a time a
 * plan. */
DEIT_INTERNAL base_status nn_run(nn_plan *plan, int64_t n, const float *const *inputs, float *const *outputs);

/* What dropout and drop path of the next run draw from: a run's seed, and the number of the run (with gradient
 * accumulation: of the micro-batch). 0, 0 if never called. */
DEIT_INTERNAL void nn_plan_step(nn_plan *plan, uint64_t seed, uint64_t step);
/* Whether the next runs add to the gradients in the parameter store (true) or begin at zero (false, as a plan starts).
 */
DEIT_INTERNAL void nn_plan_accumulate(nn_plan *plan, bool accumulate);

/* ---- Where the time goes ----------------------------------------------------------------------------------------- */

/* A step of a plan: one operator with what was fused into it. */
typedef struct {
    const char *op, *param; /* "convolution"; the name of its first parameter, or "" */
    const char *kernel;     /* oneDNN's name of the implementation it runs, or "" */
    int ndim;
    int64_t dim[4];      /* of its value */
    double flops, bytes; /* for a graph batch: products; values and weights read and written, each once */
    double seconds;      /* all workers' time in it since nn_profile_start, over the graph batches they ran */
} nn_step;
/* Between start and stop nn_run keeps each step's time (its inputs must come in whole graph batches a worker). */
DEIT_INTERNAL base_status nn_profile_start(nn_plan *plan);
DEIT_INTERNAL void nn_profile_stop(nn_plan *plan);
DEIT_INTERNAL int nn_step_count(const nn_plan *plan);
DEIT_INTERNAL void nn_step_at(const nn_plan *plan, int index, nn_step *step);
/* Runs as nn_run does, on a plan of one worker, and finds the first step whose value is not finite; -1: none. */
DEIT_INTERNAL base_status nn_first_bad(nn_plan *plan, int64_t n, const float *const *inputs, float *const *outputs,
                                       int *step);

/* ---- oneDNN and its ISA ------------------------------------------------------------------------------------------ */

DEIT_INTERNAL const char *nn_isa_name(void);       /* what oneDNN will use here, e.g. "avx512_core_amx" */
DEIT_INTERNAL const char *nn_onednn_version(void); /* "3.7.2" */
/* bf16 in hardware (avx512_core_bf16, avx2_vnni_2 or better); oneDNN would emulate it elsewhere, slowly. */
DEIT_INTERNAL bool nn_has_bf16(void);

/* The GEMM peak: one oneDNN product of size^3 in a precision, timed again and again beside other work.
 * threads 0: every core, or as many as OMP_THREAD_LIMIT allows. */
typedef struct nn_peak nn_peak;
DEIT_INTERNAL base_status nn_peak_new(nn_peak **peak, int64_t size, nn_dtype precision, int threads);
DEIT_INTERNAL double nn_peak_sample(nn_peak *peak); /* FLOP/s of one product */
DEIT_INTERNAL void nn_peak_free(nn_peak *peak);

#endif
