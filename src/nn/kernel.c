/* oneDNN behind a few calls: the engine, matrix products, packed weights, the GEMM peak. */
#include "nn/internal.h"
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static dnnl_engine_t kernel_engine;
static char kernel_version[32];
static pthread_once_t kernel_once = PTHREAD_ONCE_INIT;

/* A forked process has none of its parent's threads, but libgomp waits for those that it had. */
static atomic_bool kernel_threaded, kernel_forked;
static void kernel_fork(void) {
    kernel_forked = kernel_threaded;
}

static void kernel_start(void) {
    const dnnl_version_t *version = dnnl_version();
    snprintf(kernel_version, sizeof kernel_version, "%d.%d.%d", version->major, version->minor, version->patch);
    pthread_atfork(NULL, NULL, kernel_fork);
    if (dnnl_engine_create(&kernel_engine, dnnl_cpu, 0)) kernel_engine = NULL;
}
DEIT_INTERNAL dnnl_engine_t nn_engine(void) {
    pthread_once(&kernel_once, kernel_start);
    return kernel_engine;
}

DEIT_INTERNAL nn_openmp nn_openmp_begin(int threads) {
    nn_openmp before = {omp_get_max_threads(), omp_get_dynamic()};
    omp_set_dynamic(0);
    omp_set_num_threads(threads);
    if (threads > 1) kernel_threaded = true;
    return before;
}

DEIT_INTERNAL void nn_openmp_end(nn_openmp before) {
    omp_set_num_threads(before.threads);
    omp_set_dynamic(before.dynamic);
}

DEIT_INTERNAL void nn_threads_begin(void) {
    kernel_threaded = true;
}
DEIT_INTERNAL bool nn_forked(void) {
    return kernel_forked;
}

DEIT_INTERNAL base_status nn_openmp_check(int threads, const char *what) {
    if (threads > omp_get_thread_limit())
        return base_fail("%s: %d threads, but OMP_THREAD_LIMIT allows %d: take fewer, or unset it", what, threads,
                         omp_get_thread_limit());
    if (threads > 1 && omp_in_parallel())
        return base_fail("%s: %d threads cannot be had inside an OpenMP parallel region: call it outside, or open the "
                         "network with one thread",
                         what, threads);
    return BASE_OK;
}

DEIT_INTERNAL base_status nn_onednn_fail(dnnl_status_t status, const char *what) {
    const char *why = status == dnnl_out_of_memory   ? "out of memory"
                      : status == dnnl_unimplemented ? "not implemented on this CPU"
                                                     : "invalid arguments";
    return base_fail("oneDNN: %s: %s (status %d)", what, why, (int)status);
}

DEIT_INTERNAL dnnl_data_type_t nn_dnnl_type(nn_dtype type) {
    return type == NN_BF16 ? dnnl_bf16 : dnnl_f32;
}

DEIT_INTERNAL nn_arg nn_arg_value(int node, size_t offset) {
    return (nn_arg){.place = NN_AT_VALUE, .index = node, .offset = offset};
}
DEIT_INTERNAL nn_arg nn_arg_caller(int which) {
    return (nn_arg){.place = NN_AT_CALLER, .index = which};
}
DEIT_INTERNAL nn_arg nn_arg_gradient(int param) {
    return (nn_arg){.place = NN_AT_GRADIENT, .index = param};
}

DEIT_INTERNAL void nn_kernel_free(nn_kernel *kernel) {
    if (!kernel) return;
    if (kernel->primitive) dnnl_primitive_destroy(kernel->primitive);
#ifdef __x86_64__
    if (kernel->block) dnnl_brgemm_destroy(kernel->block);
#endif
    for (int i = 0; kernel->exec && i < kernel->contexts * kernel->n_args; i++)
        if (kernel->exec[i].memory) dnnl_memory_destroy(kernel->exec[i].memory);
    base_free(kernel->exec);
    base_free(kernel);
}

DEIT_INTERNAL nn_pack *nn_pack_new(nn_plan *plan, int param, int64_t offset, const_dnnl_memory_desc_t plain,
                                   const_dnnl_memory_desc_t packed) {
    nn_pack_set *set = plan->packs;
    for (nn_pack *pack = set->first; pack; pack = pack->next)
        if (pack->param == param && pack->offset == offset && !pack->fill &&
            dnnl_memory_desc_equal(pack->plain, plain) && dnnl_memory_desc_equal(pack->packed, packed))
            return pack;
    nn_pack *pack = base_arena_alloc(&set->arena, sizeof *pack);
    if (!pack) return NULL;
    pack->param = param, pack->offset = offset, pack->bytes = dnnl_memory_desc_get_size(packed);
    if (dnnl_memory_desc_clone(&pack->plain, plain) || dnnl_memory_desc_clone(&pack->packed, packed)) return NULL;
    pack->next = set->first, set->first = pack;
    return pack;
}

DEIT_INTERNAL nn_pack *nn_pack_own(nn_plan *plan, int param, void (*fill)(const nn_pack *pack, const float *values),
                                   const int64_t *dim, size_t bytes) {
    nn_pack_set *set = plan->packs;
    for (nn_pack *pack = set->first; pack; pack = pack->next)
        if (pack->param == param && pack->fill == fill && !memcmp(pack->dim, dim, sizeof pack->dim)) return pack;
    nn_pack *pack = base_arena_alloc(&set->arena, sizeof *pack);
    if (!pack) return NULL;
    *pack = (nn_pack){.param = param, .fill = fill, .bytes = bytes, .next = set->first};
    memcpy(pack->dim, dim, sizeof pack->dim);
    return set->first = pack;
}

/* Fills the layout from the plain parameter; uses the calling thread's OpenMP threads. */
DEIT_INTERNAL base_status nn_pack_fill(nn_pack *pack, const float *values) {
    if (pack->fill) {
        pack->fill(pack, values);
        return BASE_OK;
    }
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_memory_t from = NULL, to = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t status =
        dnnl_reorder_primitive_desc_create(&description, pack->plain, nn_engine(), pack->packed, nn_engine(), NULL);
    if (!status) status = dnnl_primitive_create(&reorder, description);
    if (!status) status = dnnl_memory_create(&from, pack->plain, nn_engine(), (void *)(values + pack->offset));
    if (!status) status = dnnl_memory_create(&to, pack->packed, nn_engine(), pack->data);
    if (!status) status = dnnl_stream_create(&stream, nn_engine(), dnnl_stream_default_flags);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    if (!status) status = dnnl_primitive_execute(reorder, stream, 2, args);
    if (!status) status = dnnl_stream_wait(stream);
    if (stream) dnnl_stream_destroy(stream);
    if (to) dnnl_memory_destroy(to);
    if (from) dnnl_memory_destroy(from);
    if (reorder) dnnl_primitive_destroy(reorder);
    if (description) dnnl_primitive_desc_destroy(description);
    return status ? nn_onednn_fail(status, "packing a weight") : BASE_OK;
}

DEIT_INTERNAL base_status nn_kernel_arg(nn_kernel *kernel, const_dnnl_memory_desc_t *mds, int dnnl_arg, nn_arg arg,
                                        const_dnnl_memory_desc_t md) {
    if (kernel->n_args == NN_MAX_ARGS) return base_fail("oneDNN: a kernel of more than %d arguments", NN_MAX_ARGS);
    arg.dnnl_arg = dnnl_arg;
    mds[kernel->n_args] = md;
    kernel->args[kernel->n_args++] = arg;
    return BASE_OK;
}

DEIT_INTERNAL base_status nn_kernel_contexts(nn_kernel *kernel, const_dnnl_memory_desc_t *mds,
                                             const_dnnl_primitive_desc_t primitive) {
    const_dnnl_memory_desc_t scratch = dnnl_primitive_desc_query_md(primitive, dnnl_query_scratchpad_md, 0);
    kernel->scratch = dnnl_memory_desc_get_size(scratch);
    if (kernel->scratch)
        BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_SCRATCHPAD, (nn_arg){.place = NN_AT_SCRATCH}, scratch));
    kernel->exec = base_calloc((size_t)(kernel->contexts * kernel->n_args), sizeof *kernel->exec);
    if (!kernel->exec) return BASE_ERROR;
    for (int i = 0; i < kernel->contexts * kernel->n_args; i++) {
        kernel->exec[i].arg = kernel->args[i % kernel->n_args].dnnl_arg;
        dnnl_status_t status =
            dnnl_memory_create(&kernel->exec[i].memory, mds[i % kernel->n_args], nn_engine(), DNNL_MEMORY_NONE);
        if (status) return nn_onednn_fail(status, "memory object");
    }
    return BASE_OK;
}

typedef struct {
    dnnl_memory_desc_t a, b, c, bias, d, plain; /* plain: the f32 parameter that B is packed from */
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t post;
    dnnl_primitive_desc_t primitive;
} kernel_descs;

static dnnl_status_t kernel_matrix(dnnl_memory_desc_t *md, int64_t rows, int64_t cols, int64_t ld, bool transposed,
                                   dnnl_data_type_t type) {
    dnnl_dims_t dims = {rows, cols}, strides = {transposed ? 1 : ld, transposed ? ld : 1};
    return dnnl_memory_desc_create_with_strides(md, 2, dims, type, strides);
}

DEIT_INTERNAL dnnl_status_t nn_append_post(dnnl_post_ops_t post, bool sum, nn_activation activation) {
    static const dnnl_alg_kind_t algorithm[] = {[NN_GELU] = dnnl_eltwise_gelu_erf,
                                                [NN_RELU] = dnnl_eltwise_relu,
                                                [NN_SILU] = dnnl_eltwise_swish,
                                                [NN_SIGMOID] = dnnl_eltwise_logistic};
    dnnl_status_t status = dnnl_success;
    if (sum) status = dnnl_post_ops_append_sum(post, 1, 0, dnnl_data_type_undef);
    if (!status && activation)
        status = dnnl_post_ops_append_eltwise(post, algorithm[activation], activation == NN_SILU, 0);
    return status;
}

static dnnl_status_t kernel_attributes(kernel_descs *d, const nn_matmul *m) {
    dnnl_status_t status = dnnl_primitive_attr_create(&d->attr);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(d->attr, dnnl_scratchpad_mode_user);
    if (!status) status = dnnl_post_ops_create(&d->post);
    if (!status && m->add) status = dnnl_post_ops_append_binary(d->post, dnnl_binary_add, d->d);
    if (!status) status = nn_append_post(d->post, m->sum, m->activation);
    if (!status) status = dnnl_primitive_attr_set_post_ops(d->attr, d->post);
    return status;
}

static dnnl_status_t kernel_describe_matmul(kernel_descs *d, const nn_matmul *m) {
    dnnl_status_t status = kernel_matrix(&d->a, m->m, m->k, m->lda, m->a_transposed, m->a);
    dnnl_dims_t b_dims = {m->k, m->n}, bias_dims = {1, m->n};
    if (!status) status = kernel_matrix(&d->plain, m->k, m->n, m->ldb, m->b_transposed, dnnl_f32);
    if (!status && m->pack_param >= 0)
        status = dnnl_memory_desc_create_with_tag(&d->b, 2, b_dims, m->b, dnnl_format_tag_any);
    else if (!status)
        status = kernel_matrix(&d->b, m->k, m->n, m->ldb, m->b_transposed, m->b);
    if (!status) status = kernel_matrix(&d->c, m->m, m->n, m->ldc, false, m->c);
    if (!status && m->bias_param >= 0)
        status = dnnl_memory_desc_create_with_tag(&d->bias, 2, bias_dims, dnnl_f32, dnnl_ab);
    if (!status && m->add) status = kernel_matrix(&d->d, m->m, m->n, m->n, false, dnnl_f32);
    if (!status) status = kernel_attributes(d, m);
    if (!status)
        status = dnnl_matmul_primitive_desc_create(&d->primitive, nn_engine(), d->a, d->b, d->bias, d->c, d->attr);
    return status;
}

/* The same product as a 1x1 convolution over M pixels, channels last. */
static dnnl_status_t kernel_describe_convolution(kernel_descs *d, const nn_matmul *m) {
    dnnl_dims_t a = {1, m->k, m->m, 1}, b = {m->n, m->k, 1, 1}, c = {1, m->n, m->m, 1}, bias = {m->n};
    dnnl_dims_t strides = {1, 1}, none = {0, 0};
    dnnl_dims_t stored = {m->b_transposed ? m->ldb : 1, m->b_transposed ? 1 : m->ldb, 1, 1};
    dnnl_status_t status = dnnl_memory_desc_create_with_tag(&d->a, 4, a, m->a, dnnl_nhwc);
    if (!status) status = dnnl_memory_desc_create_with_strides(&d->plain, 4, b, dnnl_f32, stored);
    if (!status) status = dnnl_memory_desc_create_with_tag(&d->b, 4, b, m->b, dnnl_format_tag_any);
    if (!status) status = dnnl_memory_desc_create_with_tag(&d->c, 4, c, m->c, dnnl_nhwc);
    if (!status && m->bias_param >= 0) status = dnnl_memory_desc_create_with_tag(&d->bias, 1, bias, dnnl_f32, dnnl_a);
    if (!status && m->add) status = dnnl_memory_desc_create_with_tag(&d->d, 4, c, dnnl_f32, dnnl_nhwc);
    if (!status) status = kernel_attributes(d, m);
    if (!status)
        status = dnnl_convolution_forward_primitive_desc_create(&d->primitive, nn_engine(), dnnl_forward_inference,
                                                                dnnl_convolution_direct, d->a, d->b, d->bias, d->c,
                                                                strides, none, none, none, d->attr);
    return status;
}

static bool kernel_is(const kernel_descs *d, const char *implementation) {
    const char *name = "";
    return d->primitive && !dnnl_primitive_desc_query(d->primitive, dnnl_query_impl_info_str, 0, (void *)&name) &&
           !strncmp(name, implementation, strlen(implementation));
}

static void kernel_forget(kernel_descs *d) {
    dnnl_memory_desc_t all[] = {d->a, d->b, d->c, d->bias, d->d, d->plain};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) dnnl_memory_desc_destroy(all[i]);
    if (d->post) dnnl_post_ops_destroy(d->post);
    if (d->attr) dnnl_primitive_attr_destroy(d->attr);
    if (d->primitive) dnnl_primitive_desc_destroy(d->primitive);
}

/* Before AVX-512, oneDNN's matmul is a GEMM that packs B anew in each call: at 197 rows half its time where N is 3072.
 * Its 1x1 convolution keeps weights packed there (its kernel is then called brgconv): 1.0 to 2.0 times as fast on a
 * Zen 3. But beyond a depth of 2048 its blocking breaks down for some numbers of rows: at K 3072, N 768 it ran at about
 * 30% of the GEMM peak with 193, 289 or 577 rows (the matmul: 92, 89, 107%), though at 96 to 105% with 197, 394 or 576;
 * at K 4096, N 1024 at 28% with 145 (the matmul: 52%). With AVX-512 the matmul keeps weights packed too, and is the
 * faster one. */
enum { KERNEL_DEEPEST = 2048 };
static dnnl_status_t kernel_describe(kernel_descs *d, const nn_matmul *m) {
    dnnl_status_t status = kernel_describe_matmul(d, m);
    /* oneDNN 3.7.2's brg_matmul writes a single column densely, over its neighbours, whatever C's rows are apart. */
    while (!status && m->n == 1 && m->ldc > 1 && kernel_is(d, "brg_matmul"))
        status = dnnl_primitive_desc_next_impl(d->primitive);
    bool fits = m->pack_param >= 0 && m->k <= KERNEL_DEEPEST && m->ldb == (m->b_transposed ? m->k : m->n) &&
                !m->a_transposed && m->lda == m->k && m->ldc == m->n;
    if (status || !fits || !kernel_is(d, "gemm")) return status;
    kernel_descs other = {0};
    if (!kernel_describe_convolution(&other, m) && kernel_is(&other, "brgconv")) {
        kernel_descs matmul = *d;
        *d = other, other = matmul;
    }
    kernel_forget(&other);
    return dnnl_success;
}

/* With AVX-512 oneDNN's matmul takes rows in blocks of 32 to 256: the number that fills the last block best, however
 * small it is. Each block reads B from the second-level cache anew, and small ones show. Of 577 rows (24 x 24 patches
 * and a token) blocks have 34: at N 4096, K 1024 they ran at 99 GFLOP/s on a core where 576 rows ran at 108, and so did
 * 386 and 191, each in blocks of its own; 518 rows (blocks of 74) at 100, 346 and 172 of them at 107; 634 (127) at 105,
 * 108. */
enum { KERNEL_ROWS = 256, KERNEL_ROWS_FEWEST = 32, KERNEL_ROWS_SMALL = 128 };
static int64_t kernel_block_rows(int64_t m) {
    int64_t best = KERNEL_ROWS, least = m;
    for (int64_t rows = KERNEL_ROWS; rows >= KERNEL_ROWS_FEWEST && least; rows--) {
        int64_t excess = (rows - m % rows) % rows;
        if (excess < least) least = excess, best = rows;
    }
    return best;
}

/* How many rows make the first part of a product, so that the second is one block and the first some of that size; all
 * of them, where one part is as good. A transposed (weight gradients) and D beside C (patches) stay whole: their rows
 * are widths of layers, and patches, which divide well. */
static int64_t kernel_first_part(const kernel_descs *d, const nn_matmul *m) {
    bool blocks = kernel_is(d, "brg_matmul:avx512_core") && !kernel_is(d, "brg_matmul:avx512_core_amx");
    if (!blocks || m->a_transposed || m->add || m->m <= KERNEL_ROWS || kernel_block_rows(m->m) >= KERNEL_ROWS_SMALL)
        return m->m;
    int64_t parts = (m->m + KERNEL_ROWS - 1) / KERNEL_ROWS, rows = (m->m + parts - 1) / parts;
    return (m->m - 1) / rows * rows;
}

static base_status kernel_matmul_args(nn_kernel *kernel, nn_plan *plan, const nn_matmul *m, const kernel_descs *d,
                                      const nn_arg *a, const nn_arg *b, const nn_arg *c, const nn_arg *add) {
    const_dnnl_memory_desc_t mds[NN_MAX_ARGS];
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_SRC, *a, d->a));
    const_dnnl_memory_desc_t weights = dnnl_primitive_desc_query_md(d->primitive, dnnl_query_weights_md, 0);
    if (m->pack_param >= 0) {
        nn_pack *pack = nn_pack_new(plan, m->pack_param, m->column * m->k, d->plain, weights);
        if (!pack) return BASE_ERROR;
        BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_WEIGHTS, (nn_arg){.place = NN_AT_PACK, .pack = pack}, weights));
    } else {
        BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_WEIGHTS, *b, weights));
    }
    BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_DST, *c, d->c));
    if (m->bias_param >= 0) {
        nn_want_small(plan, m->bias_param);
        nn_arg bias = {.place = NN_AT_SMALL, .index = m->bias_param, .offset = (size_t)m->column * sizeof(float)};
        BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_BIAS, bias, d->bias));
    }
    if (m->add) BASE_TRY(nn_kernel_arg(kernel, mds, DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, *add, d->d));
    return nn_kernel_contexts(kernel, mds, d->primitive);
}

DEIT_INTERNAL nn_kernel *nn_kernel_new(nn_plan *plan) {
    nn_kernel *kernel = base_calloc(1, sizeof *kernel);
    if (!kernel) return NULL;
    kernel->node = plan->setting_up;
    kernel->next = plan->kernels, plan->kernels = kernel;
    kernel->contexts = plan->options.workers * plan->options.threads;
    return kernel;
}

DEIT_INTERNAL base_status nn_matmul_new(nn_kernel **out, nn_plan *plan, const nn_matmul *m, const nn_arg *a,
                                        const nn_arg *b, const nn_arg *c, const nn_arg *d) {
    nn_kernel *kernel = *out = nn_kernel_new(plan);
    if (!kernel) return BASE_ERROR;
    kernel->per_thread = m->per_thread;
    nn_openmp before = nn_openmp_begin(m->per_thread ? 1 : omp_get_max_threads()); /* oneDNN captures it here */
    kernel_descs descs = {0};
    dnnl_status_t dnnl = kernel_describe(&descs, m);
    int64_t first = dnnl ? m->m : kernel_first_part(&descs, m);
    nn_matmul part = *m;
    if (first < m->m) {
        part.m = first;
        kernel_forget(&descs);
        descs = (kernel_descs){0};
        dnnl = kernel_describe(&descs, &part);
    }
    if (!dnnl) dnnl = dnnl_primitive_create(&kernel->primitive, descs.primitive);
    nn_openmp_end(before);
    base_status status =
        dnnl ? nn_onednn_fail(dnnl, "matrix product") : kernel_matmul_args(kernel, plan, &part, &descs, a, b, c, d);
    kernel_forget(&descs);
    if (status || first == m->m) return status;
    nn_arg rest_a = *a, rest_c = *c;
    rest_a.offset += (size_t)(first * m->lda) * dnnl_data_type_size(m->a);
    rest_c.offset += (size_t)(first * m->ldc) * dnnl_data_type_size(m->c);
    part.m = m->m - first;
    return nn_matmul_new(&kernel->rest, plan, &part, &rest_a, b, &rest_c, d);
}

#ifdef __x86_64__
DEIT_INTERNAL base_status nn_block_new(nn_kernel **out, nn_plan *plan, nn_dtype type, int64_t m, int64_t n, int64_t k,
                                       int64_t lda, int64_t ldb, int64_t ldc) {
    nn_kernel *kernel = *out = nn_kernel_new(plan);
    if (!kernel) return BASE_ERROR;
    dnnl_data_type_t ab = nn_dnnl_type(type);
    dnnl_status_t status = dnnl_brgemm_create(&kernel->block, m, n, k, 1, lda, ldb, ldc, ab, ab, dnnl_f32);
    if (!status) status = dnnl_brgemm_finalize(kernel->block);
    if (!status) status = dnnl_brgemm_generate(kernel->block);
    return status ? nn_onednn_fail(status, "microkernel") : BASE_OK;
}

DEIT_INTERNAL void nn_block_run(const nn_kernel *kernel, const void *a, const void *b, float *c) {
    static const dnnl_dim_t begin[2] = {0, 0};
    dnnl_brgemm_execute(kernel->block, a, b, begin, c, NULL);
}
#endif

/* ---- The peak ---------------------------------------------------------------------------------------------------- */

struct nn_peak {
    int64_t size;
    int threads;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[4];
    void *data[4];
    size_t bytes[4];
};

DEIT_INTERNAL void nn_peak_free(nn_peak *peak) {
    if (!peak) return;
    for (int i = 0; i < 4; i++) {
        if (peak->args[i].memory) dnnl_memory_destroy(peak->args[i].memory);
        if (peak->data[i]) base_unmap_pages(peak->data[i], peak->bytes[i]);
    }
    if (peak->primitive) dnnl_primitive_destroy(peak->primitive);
    if (peak->stream) dnnl_stream_destroy(peak->stream);
    base_free(peak);
}

DEIT_INTERNAL base_status nn_peak_new(nn_peak **out, int64_t size, nn_dtype precision, int threads) {
    *out = NULL;
    if (threads < 1) {
        base_machine machine;
        base_machine_read(&machine);
        threads = machine.cores < omp_get_thread_limit() ? machine.cores : omp_get_thread_limit();
    }
    BASE_TRY(nn_openmp_check(threads, "peak product"));
    nn_peak *peak = base_calloc(1, sizeof *peak);
    if (!peak) return BASE_ERROR;
    peak->size = size, peak->threads = threads;
    dnnl_data_type_t type = nn_dnnl_type(precision);
    nn_matmul m = {.m = size,
                   .n = size,
                   .k = size,
                   .lda = size,
                   .ldb = size,
                   .ldc = size,
                   .a = type,
                   .b = type,
                   .c = type,
                   .bias_param = -1,
                   .pack_param = 0 /* B in the layout that oneDNN likes best */};
    nn_openmp before = nn_openmp_begin(threads);
    kernel_descs descs = {0};
    dnnl_status_t dnnl = kernel_describe_matmul(&descs, &m);
    if (!dnnl) dnnl = dnnl_primitive_create(&peak->primitive, descs.primitive);
    if (!dnnl) dnnl = dnnl_stream_create(&peak->stream, nn_engine(), dnnl_stream_default_flags);
    nn_openmp_end(before);
    base_status status = dnnl ? nn_onednn_fail(dnnl, "peak product") : BASE_OK;
    const int arg[4] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST, DNNL_ARG_SCRATCHPAD};
    for (int i = 0; i < 4 && !status; i++) {
        const_dnnl_memory_desc_t md = i == 0   ? descs.a
                                      : i == 1 ? dnnl_primitive_desc_query_md(descs.primitive, dnnl_query_weights_md, 0)
                                      : i == 2
                                          ? descs.c
                                          : dnnl_primitive_desc_query_md(descs.primitive, dnnl_query_scratchpad_md, 0);
        peak->bytes[i] = dnnl_memory_desc_get_size(md) + 64;
        peak->data[i] = base_map_pages(peak->bytes[i]);
        peak->args[i].arg = arg[i];
        if (peak->data[i])
            memset(peak->data[i], 0x3c, peak->bytes[i]); /* 0.0115 in f32 and bf16: zeros would draw less power */
        if (!peak->data[i])
            status = BASE_ERROR;
        else if ((dnnl = dnnl_memory_create(&peak->args[i].memory, md, nn_engine(), peak->data[i])))
            status = nn_onednn_fail(dnnl, "peak memory");
    }
    kernel_forget(&descs);
    if (status)
        nn_peak_free(peak);
    else
        *out = peak;
    return status;
}

DEIT_INTERNAL double nn_peak_sample(nn_peak *peak) {
    nn_openmp before = nn_openmp_begin(peak->threads);
    double start = base_now();
    dnnl_primitive_execute(peak->primitive, peak->stream, 4, peak->args);
    dnnl_stream_wait(peak->stream);
    double seconds = base_now() - start;
    nn_openmp_end(before);
    return 2.0 * (double)peak->size * (double)peak->size * (double)peak->size / seconds;
}

DEIT_INTERNAL const char *nn_isa_name(void) {
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41: return "sse41";
    case dnnl_cpu_isa_avx: return "avx";
    case dnnl_cpu_isa_avx2: return "avx2";
    case dnnl_cpu_isa_avx2_vnni: return "avx2_vnni";
    case dnnl_cpu_isa_avx2_vnni_2: return "avx2_vnni_2";
    case dnnl_cpu_isa_avx512_core: return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni: return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16: return "avx512_core_bf16";
    case dnnl_cpu_isa_avx10_1_512: return "avx10_1_512 (avx512_core_fp16)";
    case dnnl_cpu_isa_avx10_1_512_amx: return "avx10_1_512_amx (avx512_core_amx)";
    case dnnl_cpu_isa_avx10_1_512_amx_fp16: return "avx10_1_512_amx_fp16 (avx512_core_amx_fp16)";
    default: return "default";
    }
}

DEIT_INTERNAL bool nn_has_bf16(void) {
    int isa = (int)dnnl_get_effective_cpu_isa();
    int avx512 = dnnl_cpu_isa_avx512_core_bf16, avx2 = dnnl_cpu_isa_avx2_vnni_2; /* the values are sets of bits */
    return (isa & avx512) == avx512 || (isa & avx2) == avx2;
}

DEIT_INTERNAL const char *nn_onednn_version(void) {
    pthread_once(&kernel_once, kernel_start);
    return kernel_version;
}
