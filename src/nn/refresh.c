/* Weights into a plan: every parameter is read once, folded where batch norm was fused away, and packed in the layouts
 * that the kernels want. */
#include "nn/internal.h"
#include <math.h>
#include <omp.h>
#include <string.h>

enum { REFRESH_GAMMA, REFRESH_BETA, REFRESH_MEAN, REFRESH_VAR, REFRESH_BIAS, REFRESH_VECTORS };
typedef struct {
    nn_plan *plan;
    nn_source source;
    float *values;                  /* room for the largest parameter */
    float *vector[REFRESH_VECTORS]; /* of a fold, room for the widest */
} refresh_job;

/* "model.pth: " before what is wrong with a tensor of it. */
static base_status refresh_damaged(const refresh_job *job, const nn_param *param, int64_t element, double found,
                                   const char *wanted) {
    const char *from = job->source.from;
    return base_fail("%s%stensor %s: element %lld is %g, not a %s; the weights are damaged", from ? from : "",
                     from ? ": " : "", param->name, (long long)element, found, wanted);
}

static base_status refresh_read(const refresh_job *job, int index, float *out) {
    const nn_param *param = &job->plan->graph->params[index];
    BASE_TRY(job->source.read(job->source.user, index, param, out));
    int64_t bad = nn_first_not_finite(out, param->count);
    if (bad < 0) return BASE_OK;
    return refresh_damaged(job, param, bad, (double)out[bad], "finite number");
}

/* To all kernels that use parameter `index` (folded ones too). */
static base_status refresh_use(const refresh_job *job, int index, const float *values) {
    nn_plan *plan = job->plan;
    if (plan->small_offset[index] >= 0)
        memcpy(plan->small + plan->small_offset[index], values,
               (size_t)nn_param_of(plan->graph, index)->count * sizeof(float));
    for (nn_pack *pack = plan->packs->first; pack; pack = pack->next)
        if (pack->param == index) BASE_TRY(nn_pack_fill(pack, values));
    return BASE_OK;
}

/* W' = W s by output channel, b' = beta + (b - mean) s, with s = gamma / sqrt(var + eps). */
static base_status refresh_fold(const refresh_job *job, int f) {
    const nn_graph *graph = job->plan->graph;
    const nn_fold *fold = &graph->folds[f];
    const int from[REFRESH_VECTORS] = {fold->gamma, fold->beta, fold->mean, fold->var, fold->bias};
    const nn_param *weight = &graph->params[fold->weight];
    int64_t channels = weight->dim[0], each = weight->count / channels;
    for (int v = 0; v < REFRESH_VECTORS; v++)
        if (from[v] >= 0) BASE_TRY(refresh_read(job, from[v], job->vector[v]));
    BASE_TRY(refresh_read(job, fold->weight, job->values));
    for (int64_t c = 0; c < channels; c++) {
        double var = (double)job->vector[REFRESH_VAR][c] + (double)fold->eps;
        if (var <= 0)
            return refresh_damaged(job, &graph->params[fold->var], c, (double)job->vector[REFRESH_VAR][c], "variance");
        double scale = (double)job->vector[REFRESH_GAMMA][c] / sqrt(var),
               bias = fold->bias >= 0 ? (double)job->vector[REFRESH_BIAS][c] : 0;
        job->vector[REFRESH_BETA][c] =
            (float)((double)job->vector[REFRESH_BETA][c] + (bias - (double)job->vector[REFRESH_MEAN][c]) * scale);
        for (int64_t j = c * each; j < (c + 1) * each; j++) job->values[j] = (float)((double)job->values[j] * scale);
    }
    BASE_TRY(refresh_use(job, graph->n_params + 2 * f, job->values));
    return refresh_use(job, graph->n_params + 2 * f + 1, job->vector[REFRESH_BETA]);
}

static bool refresh_is_folded(const nn_graph *graph, int index) {
    for (int f = 0; f < graph->n_folds; f++) {
        const nn_fold *fold = &graph->folds[f];
        if (index == fold->weight || index == fold->bias || (index >= fold->gamma && index <= fold->var)) return true;
    }
    return false;
}

/* Each parameter once, those that nobody uses too: damage in them is damage of the file. */
static base_status refresh_all(const refresh_job *job) {
    const nn_graph *graph = job->plan->graph;
    for (int i = 0; i < graph->n_params; i++) {
        if (refresh_is_folded(graph, i)) continue;
        BASE_TRY(refresh_read(job, i, job->values));
        BASE_TRY(refresh_use(job, i, job->values));
    }
    for (int f = 0; f < graph->n_folds; f++) BASE_TRY(refresh_fold(job, f));
    return BASE_OK;
}

DEIT_INTERNAL base_status nn_plan_refresh(nn_plan *plan, nn_source source) {
    const nn_graph *graph = plan->graph;
    int64_t most = 1, widest = 1;
    for (int i = 0; i < graph->n_params; i++) most = graph->params[i].count > most ? graph->params[i].count : most;
    for (int f = 0; f < graph->n_folds; f++) {
        int64_t width = graph->params[graph->folds[f].beta].count;
        widest = width > widest ? width : widest;
    }
    refresh_job job = {plan, source, base_malloc((size_t)(most + REFRESH_VECTORS * widest) * sizeof(float)), {NULL}};
    if (!job.values) return BASE_ERROR;
    for (int v = 0; v < REFRESH_VECTORS; v++) job.vector[v] = job.values + most + v * widest;
    int threads = plan->options.workers * plan->options.threads;
    if (omp_in_parallel()) threads = 1;
    nn_openmp before = nn_openmp_begin(threads < omp_get_thread_limit() ? threads : omp_get_thread_limit());
    base_status status = refresh_all(&job);
    nn_openmp_end(before);
    base_free(job.values);
    return status;
}
