/* What the files of nn share. A graph is an array of nodes in the order they run; node i makes value i. */
#ifndef DEIT_NN_INTERNAL_H
#define DEIT_NN_INTERNAL_H

#include "nn/nn.h"
#include <dnnl.h>
#ifdef __x86_64__
#include <oneapi/dnnl/dnnl_ukernel.h>
#endif

enum { NN_MAX_INPUTS = 4, NN_MAX_PARAMS = 5, NN_MAX_OUTPUTS = 64, NN_MAX_ARGS = 8 };

typedef struct nn_op nn_op;
typedef struct {
    const nn_op *op;
    int n_inputs, input[NN_MAX_INPUTS];
    int n_params, param[NN_MAX_PARAMS];
    int ndim;
    int64_t dim[4];
    int64_t attr[4];          /* the operator's own: heads, token, patch, kernel, ... */
    float real;               /* the operator's own: eps */
    nn_dtype dtype;           /* of the stored value */
    bool sum;                 /* fused: the last input is added, in place: the value takes its storage over */
    bool adds;                /* fused into a batch norm in training: input 1 is added before the activation */
    bool keeps_hat;           /* batch norm in training: its hat lies beside the value, so that nobody reads x again */
    bool gated;               /* fused: the rows of input 0 are multiplied by those of input 1 first */
    bool expands;             /* fused: a depthwise convolution makes its own input from input 0 by a 1x1 convolution */
    nn_activation inner;      /* of that convolution */
    nn_activation activation; /* fused: comes last */
    int64_t saved;            /* f32 numbers kept beside the value */
    /* Set by the arena pass. */
    int alias;                          /* the value whose storage this one takes over; -1: its own */
    int last_use, last_saved;           /* index of the last node that reads it, or what is saved beside it */
    size_t bytes, offset, saved_offset; /* in a worker's arena */
    int block;                          /* number of nn_block calls before it */
    bool gradient;                      /* nn_backward added it */
    bool again;                         /* a copy of a node that already ran, by the recompute pass */
} nn_node;

/* Batch norm folded into the convolution before it: weight times gamma / sqrt(var + eps) by output channel, and the
 * bias to match. Fold f makes the parameters n_params + 2 f (weight) and n_params + 2 f + 1 (bias), computed when
 * weights are packed. */
typedef struct {
    int weight, bias; /* of the convolution; bias -1: none */
    int gamma, beta, mean, var;
    float eps;
} nn_fold;

struct nn_graph {
    base_arena arena;
    base_status status;
    char *message; /* of the first error */
    int64_t batch;
    int n_nodes, node_capacity;
    nn_node *nodes;
    int n_params, param_capacity;
    nn_param *params;
    int n_folds, fold_capacity;
    nn_fold *folds;
    int n_inputs, inputs[NN_MAX_OUTPUTS], n_outputs, outputs[NN_MAX_OUTPUTS];
    bool training;     /* nn_graph_trains was called */
    bool has_backward; /* nn_backward was called: from then on nodes are of the backward */
    int n_blocks;      /* nn_block calls so far */
    int n_drops;       /* dropout and drop path operators so far: each draws from a stream of its own */
    double flops;      /* of the graph as it was built, before the passes */
};

/* What a pass needs to know an operator by. */
typedef enum {
    NN_KIND_OTHER,
    NN_KIND_INPUT,
    NN_KIND_LINEAR,
    NN_KIND_CONV,
    NN_KIND_NORM,          /* batch norm */
    NN_KIND_TRAINING_NORM, /* which has a gradient */
    NN_KIND_NORM_GRADIENT, /* of that */
    NN_KIND_ACTIVATION,
    NN_KIND_ACTIVATION_GRADIENT,
    NN_KIND_ADD,
    NN_KIND_SCALE,
    NN_KIND_POOL, /* global */
    NN_KIND_ATTENTION,
    NN_KIND_SELECT
} nn_kind;
/* Of the inputs that an operator may read as bf16, which type it wants each in; precision.c converts where it is
 * another.
 */
typedef enum {
    NN_TYPES_ANY,    /* as it comes */
    NN_TYPES_VALUE,  /* that of its value */
    NN_TYPES_FIRST,  /* that of input 0 */
    NN_TYPES_PRODUCT /* bf16; of vectors [B, C] f32 */
} nn_types;
typedef struct nn_worker nn_worker;
/* An operator. flops may be NULL (none); backward may be NULL (inputs need no gradient); setup makes what run needs. */
struct nn_op {
    const char *name;
    nn_kind kind;
    bool keeps_parameters; /* it adds to gradients of parameters, so it is never dead */
    int saved_input;       /* of this input only what is saved beside the value is read; 0: of none */
    bool sums;             /* it can add another value, in whose storage its own then lies (nn_node.sum) */
    bool rowwise;          /* row i of the value depends on row i of the inputs alone: [.., D] -> [.., E] */
    unsigned reads_16bit;  /* bit j: input j may be bf16 where the plan's precision is bf16 */
    nn_types types;        /* of those inputs */
    bool makes_16bit;      /* its value may be stored as bf16 */
    bool sums_16bit;       /* also where it adds another value (which then is bf16 too) */
    bool keeps_type;       /* its value is stored as that of input 0 */
    double (*flops)(const nn_graph *graph, const nn_node *node);
    /* Adds the nodes of the gradient; dy is the gradient of the node's value; gradient[i] is set to that of input i. */
    void (*backward)(nn_graph *graph, int node, nn_value dy, nn_value *gradient);
    base_status (*setup)(nn_plan *plan, int node);
    void (*run)(nn_worker *worker, int node);
};

/* graph.c */
DEIT_INTERNAL nn_value nn_add_node(nn_graph *graph, const nn_op *op, int n_inputs, const nn_value *input, int ndim,
                                   const int64_t *dim);
/* A node of a backward: with the parameters, attributes and block of node `forward`. */
DEIT_INTERNAL nn_value nn_add_like(nn_graph *graph, const nn_op *op, int forward, int n_inputs, const nn_value *input,
                                   int ndim, const int64_t *dim);
DEIT_INTERNAL int nn_add_param(nn_graph *graph, nn_init init, int64_t fan, int ndim, const int64_t *dim,
                               const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The parameter of an index, folded ones too: those have the name and size of what they come from. */
DEIT_INTERNAL const nn_param *nn_param_of(const nn_graph *graph, int index);
DEIT_INTERNAL int nn_add_fold(nn_graph *graph, nn_fold fold); /* its index; -1: memory ended */
DEIT_INTERNAL nn_value nn_graph_fail(nn_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether a backward must compute the gradient of a parameter. */
DEIT_INTERNAL bool nn_wants_gradient(const nn_graph *graph, int param);
DEIT_INTERNAL int64_t nn_node_rows(const nn_node *node);  /* product of all dims but the last */
DEIT_INTERNAL int64_t nn_node_cols(const nn_node *node);  /* the last dim */
DEIT_INTERNAL int64_t nn_node_count(const nn_node *node); /* elements */

/* op_tokens.c: the first `tokens` tokens of x [B, T, D]. */
DEIT_INTERNAL nn_value nn_take_tokens(nn_graph *graph, nn_value x, int64_t tokens);

/* op_linear.c: gradient of parameter `param` += the columns of value `node`, a row of it for each element of the
 * parameter; nn_want_column_sums in setup. */
DEIT_INTERNAL void nn_want_column_sums(nn_plan *plan, int param);
DEIT_INTERNAL void nn_add_column_sums(nn_worker *worker, int node, int param);

/* op_eltwise.c: the activation that was fused with an f32 value, in place. */
DEIT_INTERNAL void nn_activate_value(nn_worker *worker, int node);

/* op_maps.c: every stride-th pixel of x [B, H, W, C]. */
DEIT_INTERNAL nn_value nn_subsample(nn_graph *graph, nn_value x, int64_t stride);

/* A convolution's attr and param; inner: of the 1x1 convolution that it took over. */
enum { NN_CONV_KERNEL, NN_CONV_STRIDE, NN_CONV_GROUPS, NN_CONV_SAME };
enum { NN_CONV_WEIGHT, NN_CONV_BIAS, NN_CONV_INNER_WEIGHT, NN_CONV_INNER_BIAS };
DEIT_INTERNAL int nn_conv_bias(const nn_node *node); /* -1: none */
/* op_conv.c: outputs along an axis of `size`, and the padding before and after. */
DEIT_INTERNAL int64_t nn_conv_out(int64_t size, int64_t kernel, int64_t stride, bool same, int64_t *before,
                                  int64_t *after);
/* oneDNN's layouts: of a map; of weights [out, in / groups, k, k] with a dimension for the groups where there are any,
 * plain or whichever the kernel likes (any). */
DEIT_INTERNAL dnnl_status_t nn_conv_map(dnnl_memory_desc_t *md, const nn_node *node);
DEIT_INTERNAL dnnl_status_t nn_conv_weights(dnnl_memory_desc_t *md, int64_t groups, int64_t out, int64_t in,
                                            int64_t kernel, bool any, dnnl_data_type_t type);
/* op_conv_gradient.c, op_depthwise_gradient.c: the backward of any convolution, of a depthwise one; op_linear.c: of a
 * product, linear layer or 1x1 convolution. */
DEIT_INTERNAL void nn_conv_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient);
DEIT_INTERNAL void nn_depthwise_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient);
DEIT_INTERNAL void nn_product_backward(nn_graph *graph, int i, nn_value dy, nn_value *gradient);
/* Kernel 1, one group: a linear layer over pixels (whatever its stride was: nn_conv subsamples first). */
DEIT_INTERNAL bool nn_conv_is_pointwise(const nn_node *node);

/* op_depthwise.c: a filter a channel, in as many channels as loops of our own want. It can leave the sums of each
 * channel's pixels, [B, C], beside its value. */
typedef struct nn_depthwise_conv nn_depthwise_conv;
DEIT_INTERNAL bool nn_conv_is_depthwise(const nn_graph *graph, const nn_node *node);
/* Lets it take over the 1x1 convolution that makes its input, if that is what input 0 is. */
DEIT_INTERNAL bool nn_conv_expand(const nn_graph *graph, nn_node *node);
DEIT_INTERNAL base_status nn_depthwise_conv_new(nn_depthwise_conv **out, nn_plan *plan, int node);
DEIT_INTERNAL void nn_depthwise_conv_run(const nn_depthwise_conv *conv, nn_worker *worker);

/* op_winograd.c: 3x3 convolutions of stride 1 with 2.25 times fewer multiplications. */
typedef struct nn_winograd nn_winograd;
DEIT_INTERNAL bool nn_winograd_suits(const nn_plan *plan, const nn_node *node, int64_t groups);
/* The parameters of weight and bias (-1: none). */
DEIT_INTERNAL base_status nn_winograd_new(nn_winograd **out, nn_plan *plan, int node, int weight, int bias,
                                          int64_t groups);
DEIT_INTERNAL void nn_winograd_run(const nn_winograd *winograd, nn_worker *worker);

/* Whether a node reads of its input j only what is saved beside the value. */
DEIT_INTERNAL bool nn_reads_saved(const nn_node *node, int j);
/* op_chain.c: convolutions of training whose sums keep more digits; x -> y, or turned: back to the input, stride 1. */
typedef struct nn_chain nn_chain;
DEIT_INTERNAL bool nn_chain_suits(const nn_plan *plan, const nn_node *x, const nn_node *y, int64_t groups);
DEIT_INTERNAL base_status nn_chain_new(nn_chain **chain, nn_plan *plan, int node, bool turned);
DEIT_INTERNAL void nn_chain_run(const nn_chain *chain, nn_worker *worker);

/* passes.c, precision.c (keep_hats: in bf16), recompute.c: in this order. */
DEIT_INTERNAL void nn_pass_dead(nn_graph *graph);
DEIT_INTERNAL base_status nn_pass_narrow(nn_graph *graph);
DEIT_INTERNAL void nn_pass_fuse(nn_graph *graph);
DEIT_INTERNAL void nn_pass_keep_hats(nn_graph *graph);
DEIT_INTERNAL base_status nn_pass_recompute(nn_graph *graph);
DEIT_INTERNAL base_status nn_pass_precision(nn_graph *graph, nn_dtype precision);
DEIT_INTERNAL base_status nn_pass_arena(nn_graph *graph, size_t *bytes);

/* ---- Plans ------------------------------------------------------------------------------------------------------- */

/* A packed copy of a parameter in the layout one kernel asked for; plans of one network share it. */
typedef struct nn_pack {
    int param;
    int64_t offset;                   /* of the first of its values that is packed */
    dnnl_memory_desc_t plain, packed; /* plain: the f32 parameter as the kernel sees it (strides may transpose it) */
    /* A layout of our own instead of these: makes `data` from the parameter's values. */
    void (*fill)(const struct nn_pack *pack, const float *values);
    int64_t dim[4]; /* what `fill` needs to know */
    void *data;
    size_t bytes;
    struct nn_pack *next;
} nn_pack;
/* The packs of a network and their lifetime: one set for all plans that share it. */
typedef struct {
    int references; /* plans that use it */
    nn_pack *first;
    base_arena arena;
} nn_pack_set;

/* Where an argument of a kernel lies when it runs. */
typedef enum { NN_AT_VALUE, NN_AT_SMALL, NN_AT_PACK, NN_AT_GRADIENT, NN_AT_SCRATCH, NN_AT_CALLER } nn_place;
typedef struct {
    int dnnl_arg;
    nn_place place;
    int index;     /* NN_AT_VALUE: node; NN_AT_SMALL, NN_AT_GRADIENT: parameter; NN_AT_CALLER: which of nn_kernel_run's
                      pointers */
    size_t offset; /* bytes from there */
    const nn_pack *pack; /* NN_AT_PACK */
} nn_arg;
/* A oneDNN primitive with its arguments: one set of memory objects a worker and a thread, so that none is shared. */
typedef struct nn_kernel {
    dnnl_primitive_t primitive;
#ifdef __x86_64__
    dnnl_brgemm_t block; /* a product of matrices in cache, instead of a primitive: see nn_block_new */
#endif
    int n_args, contexts;
    nn_arg args[NN_MAX_ARGS];
    dnnl_exec_arg_t *exec; /* [contexts, n_args] */
    size_t scratch;
    bool per_thread;        /* its scratch is a thread's own; otherwise the worker's */
    int node;               /* whose setup made it */
    struct nn_kernel *rest; /* of a product in two parts: that of the other rows, which runs after it */
    struct nn_kernel *next; /* the plan's list, for freeing */
} nn_kernel;

struct nn_worker {
    nn_plan *plan;
    int index;
    uint8_t *arena; /* values; for each thread scratch of the operators and of oneDNN; both again for the worker */
    void **value;   /* [n_nodes]: where each value lies in this run */
    dnnl_stream_t *stream; /* [threads] */
    double *seconds;       /* [n_nodes] of each step, while they are measured; otherwise NULL */
    double *clock;         /* the room for them, once they were measured */
    int failed;            /* the first dnnl_status_t of this run that was none of success */
};

struct nn_room {
    int workers;
    size_t bytes;    /* of each */
    uint8_t **pages; /* [workers] */
};

struct nn_plan {
    nn_graph *graph;
    nn_plan_options options;
    nn_room *room; /* the caller's, or its own */
    base_arena arena;
    void **setup; /* [n_nodes]: what an operator's setup made */
    nn_kernel *kernels;
    int setting_up; /* the node whose setup runs */
    nn_pack_set *packs;
    float *small;          /* the parameters that are used as they are (biases, norms, tokens), [small_size] */
    int64_t *small_offset; /* [n_params], -1: not used as it is */
    int64_t small_size;
    size_t value_bytes, arena_bytes;      /* of a worker: its values; and with all scratch */
    size_t scratch_bytes, kernel_scratch; /* of a thread: the operators' own, then oneDNN's */
    size_t whole_bytes, whole_kernel;     /* of a worker, where threads work together: likewise */
    nn_worker *workers;
    struct nn_team *team;
    uint64_t seed, step; /* of nn_plan_step */
    bool watched;        /* nn_first_bad looks for the first value that is not finite: */
    int first_bad;       /* its node; -1: none so far */
    bool accumulate;
};

/* kernel.c: oneDNN behind a few calls. */
DEIT_INTERNAL dnnl_engine_t nn_engine(void); /* one CPU engine a process; NULL if oneDNN failed */
/* OpenMP's settings of this thread while oneDNN's primitives are made or run: exactly so many threads, for a primitive
 * that gets fewer than it was made for computes a part of its result. */
typedef struct {
    int threads, dynamic;
} nn_openmp;
DEIT_INTERNAL nn_openmp nn_openmp_begin(int threads);
DEIT_INTERNAL void nn_openmp_end(nn_openmp before);
/* Whether this thread can have so many threads; `what` wants them. */
DEIT_INTERNAL base_status nn_openmp_check(int threads, const char *what);
/* Threads of our own begin. */
DEIT_INTERNAL void nn_threads_begin(void);
/* Whether this process was forked from one whose threads had begun: it has none of them. */
DEIT_INTERNAL bool nn_forked(void);
DEIT_INTERNAL base_status nn_onednn_fail(dnnl_status_t status, const char *what);
/* A matrix product C[m, n] = A[m, k] B[k, n] (+ what attr says); leading strides in elements; transposed: stored as [k,
 * m] or [n, k]. b_any: let oneDNN choose B's layout; `b_packed` then receives it. Threads: of the plan, or 1 with
 * per_thread. */
typedef struct {
    int64_t m, n, k;
    int64_t lda, ldb, ldc;
    bool a_transposed, b_transposed;
    dnnl_data_type_t a, b, c;
    int bias_param; /* parameter used as bias [n], -1: none */
    int pack_param; /* parameter packed as B (b_transposed tells how it is stored), -1: B comes from an argument */
    int64_t column; /* where pack_param, transposed, and bias_param have more than n columns: the first used */
    bool sum;       /* post-operation: C += before */
    nn_activation activation; /* the last post-operation */
    bool
        add; /* post-operation: + D[m, n], f32, argument DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, ldc as C */
    bool per_thread; /* made for one thread, run by each thread of the worker on its own pointers */
} nn_matmul;
/* Sets kernel->args for bias, B if packed, and scratch; the caller adds the others with nn_kernel_arg in the order A,
 * (B), C, (D). */
DEIT_INTERNAL base_status nn_matmul_new(nn_kernel **kernel, nn_plan *plan, const nn_matmul *matmul, const nn_arg *a,
                                        const nn_arg *b, const nn_arg *c, const nn_arg *d);
/* Kernels of other primitives, piece by piece: the plan frees what nn_kernel_new makes (NULL: memory ended); each
 * argument with the layout that the primitive expects there, kept in mds until nn_kernel_contexts adds what the
 * primitive wants for scratch and makes the memory objects, whose pointers are set at each run. */
DEIT_INTERNAL nn_kernel *nn_kernel_new(nn_plan *plan);
DEIT_INTERNAL base_status nn_kernel_arg(nn_kernel *kernel, const_dnnl_memory_desc_t *mds, int dnnl_arg, nn_arg arg,
                                        const_dnnl_memory_desc_t md);
DEIT_INTERNAL base_status nn_kernel_contexts(nn_kernel *kernel, const_dnnl_memory_desc_t *mds,
                                             const_dnnl_primitive_desc_t primitive);
DEIT_INTERNAL dnnl_status_t nn_append_post(dnnl_post_ops_t post, bool sum, nn_activation activation);
/* The pack of a parameter in a layout: an existing one, or a new one without data (nn_plan_new allocates all new ones
 * together). NULL: memory ended. */
DEIT_INTERNAL nn_pack *nn_pack_new(nn_plan *plan, int param, int64_t offset, const_dnnl_memory_desc_t plain,
                                   const_dnnl_memory_desc_t packed);
/* The same with a layout of our own: `bytes`, made by `fill` from dim[4]. */
DEIT_INTERNAL nn_pack *nn_pack_own(nn_plan *plan, int param, void (*fill)(const nn_pack *pack, const float *values),
                                   const int64_t *dim, size_t bytes);
#ifdef __x86_64__
/* C[m, n] = A[m, k] B[k, n], C f32, A and B of `type`, row-major with leading strides, on the calling thread: oneDNN's
 * microkernel, for operands that lie in the caches. Of bf16 B is [k / 2, n, 2]. nn_block_run may be called by any
 * thread. */
DEIT_INTERNAL base_status nn_block_new(nn_kernel **kernel, nn_plan *plan, nn_dtype type, int64_t m, int64_t n,
                                       int64_t k, int64_t lda, int64_t ldb, int64_t ldc);
DEIT_INTERNAL void nn_block_run(const nn_kernel *kernel, const void *a, const void *b, float *c);
#endif
DEIT_INTERNAL void nn_kernel_run(const nn_kernel *kernel, nn_worker *worker, int thread, void *const *pointers);
DEIT_INTERNAL void nn_kernel_free(nn_kernel *kernel);
DEIT_INTERNAL base_status nn_pack_fill(nn_pack *pack, const float *values);
DEIT_INTERNAL nn_arg nn_arg_value(int node, size_t offset);
DEIT_INTERNAL nn_arg nn_arg_caller(int which);
DEIT_INTERNAL nn_arg nn_arg_gradient(int param);
DEIT_INTERNAL dnnl_data_type_t nn_dnnl_type(nn_dtype type);

/* plan.c */
DEIT_INTERNAL void *nn_value_at(const nn_worker *worker, int node);
DEIT_INTERNAL float *nn_saved_at(const nn_worker *worker, int node);
DEIT_INTERNAL const float *nn_small_at(const nn_worker *worker, int param);
DEIT_INTERNAL float *nn_gradient_at(const nn_worker *worker, int param);
DEIT_INTERNAL void *nn_scratch_at(const nn_worker *worker, int thread);
/* Gradient of a parameter += what every thread left in its scratch for it: doubles, from the at-th on. */
DEIT_INTERNAL void nn_add_shares(nn_worker *worker, int param, int64_t at);
DEIT_INTERNAL void nn_want_small(nn_plan *plan, int param);      /* in setup: param will be read with nn_small_at */
DEIT_INTERNAL void nn_want_scratch(nn_plan *plan, size_t bytes); /* in setup: bytes of scratch a thread */
DEIT_INTERNAL void *nn_whole_at(const nn_worker *worker);
DEIT_INTERNAL void nn_want_whole(nn_plan *plan, size_t bytes); /* in setup: bytes of scratch for all threads together */
DEIT_INTERNAL void *nn_setup_alloc(nn_plan *plan, int node, size_t bytes); /* zeroed, freed with the plan */
DEIT_INTERNAL int nn_threads(const nn_worker *worker);
enum { NN_VECTOR = 16 }; /* numbers of a 64-byte vector */
/* Runs a loop over 0 .. count - 1 (rows, numbers) of value i in equal shares of whole units, a share a thread. */
typedef void (*nn_loop)(nn_worker *worker, int i, int64_t begin, int64_t end);
DEIT_INTERNAL void nn_share(nn_worker *worker, int i, int64_t count, int64_t unit, nn_loop loop);
DEIT_INTERNAL size_t nn_type_size(nn_dtype type);

/* A depthwise convolution of one image: x [height, width, C] -> y [.., out_width, C]. */
typedef struct {
    const void *x;
    void *y;
    nn_dtype x_type, y_type;
    const float *taps, *bias;                                              /* [kernel kernel, C]; [C] or NULL */
    float *sums;                                                           /* [C] += the sums of y's pixels; or NULL */
    int64_t height, width, channels, out_width, kernel, stride, top, left; /* top, left: padding */
    int64_t x_ld, y_ld; /* C of x; of y and taps, where these hold more channels than there are to make */
    int64_t first;      /* the map's row at which x begins, where it holds only some of them */
    nn_activation activation;
} nn_depthwise;

/* A batch norm over rows of cols: value = hat weight + bias, hat = (x - mean) rstd. */
typedef struct {
    const float *x;
    uint16_t *hat; /* where it is kept: the forward leaves it there and goes on with what is kept, the gradient reads it
                      instead of x; NULL: it is not */
    nn_dtype type; /* of y, dy, dx */
    int64_t cols;
    const float *mean, *rstd, *weight, *bias; /* [cols] */
} nn_norm;

/* simd.c: loops of our own, picked at run time for the machine. Rows are contiguous unless a stride (in elements) is
 * given. */
typedef struct {
    /* y = (x - mean) rstd gamma + beta over each row of cols; y f32 or bf16. */
    void (*layer_norm)(const float *x, const float *gamma, const float *beta, void *y, nn_dtype y_type, int64_t rows,
                       int64_t cols, float eps);
    /* p = e^(scale s - the row's maximum), s: [rows, ld], cols of it used, ld a multiple of 16; p: f32 (it may be s) or
     * bf16 with row stride p_ld, 15 numbers of room after the last row. inverse: [rows] 1 / sum of the row of p. lse
     * (or NULL): [rows] log-sum-exp of scale s. */
    void (*softmax)(float *s, int64_t ld, void *p, nn_dtype p_type, int64_t p_ld, float *lse, float *inverse,
                    int64_t rows, int64_t cols, float scale);
    /* y [r] = x[r] factor[r] over rows of cols; y f32 (it may be x) or bf16. */
    void (*scale_rows)(const float *x, int64_t x_ld, const float *factor, void *y, nn_dtype y_type, int64_t y_ld,
                       int64_t rows, int64_t cols);
    /* y = activation of x, count numbers; y may be x. */
    void (*activate)(nn_activation activation, const void *x, nn_dtype x_type, void *y, nn_dtype y_type, int64_t count);
    void (*to_bf16)(const float *x, uint16_t *y, int64_t count);
    void (*from_bf16)(const uint16_t *x, float *y, int64_t count);
    /* y = a + b, count numbers; y may be a or b of its type. */
    void (*add)(const void *a, nn_dtype a_type, const void *b, nn_dtype b_type, void *y, nn_dtype y_type,
                int64_t count);
    /* y = x times factor [cols], over rows of cols; x and y of one type (y may be x). */
    void (*scale_columns)(const void *x, const float *factor, void *y, nn_dtype type, int64_t rows, int64_t cols);
    /* sums [cols] += the columns of x [rows, cols]. */
    void (*add_columns)(const void *x, nn_dtype x_type, float *sums, int64_t rows, int64_t cols);
    /* Output rows begin .. end - 1 of one image; at least 16 channels. */
    void (*depthwise)(const nn_depthwise *d, int64_t begin, int64_t end);
    /* A tile of op_winograd.c: 4 x 4 pixels of so many channels -> 16 transformed rows of that type, `plane` apart. */
    void (*winograd_in)(const void *const pixel[16], void *v, nn_dtype type, int64_t plane, int64_t channels);
    /* 16 rows of products -> 2 x 2 pixels (NULL: outside), with bias (or NULL), added to what is there if `sum`. */
    void (*winograd_out)(const float *m, int64_t plane, const float *bias, bool sum, nn_activation activation,
                         void *const pixel[4], nn_dtype type, int64_t channels);
    /* The loops of training (simd_train.inc). sums [cols] += the columns of x [rows, cols]. */
    void (*sum_columns)(const void *x, nn_dtype type, double *sums, int64_t rows, int64_t cols);
    /* Layer norm over rows of cols: dx = the gradient of x, + add where it is not NULL (dx may be add, or dy); sums:
     * [2, cols] += those of weight and bias. part: [2, cols], room to work in. */
    void (*layer_norm_backward)(const float *x, const void *dy, nn_dtype dy_type, const float *gamma, const float *add,
                                float *dx, double *sums, float *part, int64_t rows, int64_t cols, float eps);
    /* dx = dy times the activation's derivative at x (ReLU: x may be its value); dx may be dy; all of one type. */
    void (*activate_backward)(nn_activation activation, const void *x, const void *dy, void *dx, nn_dtype type,
                              int64_t count);
    /* mean and square [cols], zeros before: of the columns of x [rows, cols], and the sums of squares around them.
     * part: [2, cols], room to work in. */
    void (*moments)(const float *x, int64_t rows, int64_t cols, double *mean, double *square, float *part);
    /* Batch norm, rows begin .. end - 1: y = activation of (n + add where it is not NULL). */
    void (*norm_forward)(nn_activation activation, const nn_norm *n, const float *add, void *y, int64_t begin,
                         int64_t end);
    /* Through the activation: sums [2, cols] += sum g, sum g hat; part as above. */
    void (*norm_sums)(nn_activation activation, const nn_norm *n, const void *dy, int64_t begin, int64_t end,
                      double *sums, float *part);
    /* dx = weight rstd (g - means[0] - hat means[1]), means: [2, cols] of g and g hat; dx may be dy. */
    void (*norm_backward)(nn_activation activation, const nn_norm *n, const void *dy, const float *means, void *dx,
                          int64_t begin, int64_t end);
    /* sums [cols] = the columns of x y summed, x, y: [rows, cols]; part: [cols], room to work in. */
    void (*dot_columns)(const void *x, const void *y, nn_dtype type, float *sums, int64_t rows, int64_t cols,
                        float *part);
    /* One output pixel (y, dy: [cols]) of a pooling with a window of high x wide pixels, rows of it `stride` numbers
     * apart: dx += dy at the first of the largest (max), or a share of it at all. */
    void (*pool_backward)(bool max, const void *x, const void *y, const void *dy, nn_dtype type, float *dx,
                          int64_t high, int64_t wide, int64_t stride, int64_t cols);
    /* part [kernel kernel, C] += the gradients of the taps from output rows begin .. end - 1; x and shapes as d has
     * them, dy of type y_type. */
    void (*depthwise_weights)(const nn_depthwise *d, const void *dy, float *part, int64_t begin, int64_t end);
    /* Rows begin .. end - 1 of dx (x_type) from dy [out_height, out_width, C] (y_type); shapes as d has them. */
    void (*depthwise_inputs)(const nn_depthwise *d, const void *dy, void *dx, int64_t out_height, int64_t begin,
                             int64_t end);
    /* From scores s and dp [rows, ld], cols of it used, ld a multiple of 16, to p = e^(scale s - lse) and
     * ds = scale p (dp - o . d_o), in place; o, d_o: [rows, size] of one type with row stride o_ld. */
    void (*softmax_backward)(float *s, float *dp, int64_t ld, const float *lse, const void *o, const void *d_o,
                             nn_dtype type, int64_t o_ld, int64_t size, int64_t rows, int64_t cols, float scale);
    /* y [count] = scale x, or 0 x where the stream of this key says so (base/random.c): in `limit` of 2^32 cases.
     * y may be x. */
    void (*dropout)(const uint64_t key[2], uint32_t limit, float scale, const float *x, float *y, int64_t count);
    /* c [rows, cols] = (+= if add) a b: of row r the numbers a[r][at .. at + depth - 1]; b: [depth, chain_width]; cols:
     * chain_width or half of it. */
    void (*chain)(const float *const *a, int64_t rows, int64_t at, const float *b, int64_t depth, float *c, int64_t ld,
                  int64_t cols, bool add);
    int64_t chain_width;
} nn_simd_table;
DEIT_INTERNAL const nn_simd_table *nn_simd(void);
DEIT_INTERNAL void nn_watch(nn_worker *worker, int node); /* profile.c: whether the value just made is finite */

#endif
