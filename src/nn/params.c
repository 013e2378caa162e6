/* The parameter store: f32 master weights and gradients in flat arrays. */
#include "nn/internal.h"
#include <math.h>
#include <string.h>

DEIT_INTERNAL base_status nn_params_new(nn_params **out, const nn_graph *graph, bool with_gradients) {
    *out = NULL;
    BASE_TRY(nn_graph_status(graph));
    nn_params *params = base_calloc(1, sizeof *params);
    if (!params) return BASE_ERROR;
    params->count = graph->n_params;
    if (params->count) {
        const nn_param *last = &graph->params[params->count - 1];
        params->size = (last->offset + last->count + 15) / 16 * 16;
    }
    params->params = base_calloc((size_t)params->count + 1, sizeof *params->params);
    params->values = base_calloc((size_t)params->size + 1, sizeof(float));
    if (with_gradients) params->gradients = base_calloc((size_t)params->size + 1, sizeof(float));
    bool failed = !params->params || !params->values || (with_gradients && !params->gradients);
    for (int i = 0; i < params->count && !failed; i++) {
        params->params[i] = graph->params[i];
        params->params[i].name = base_arena_printf(&params->names, "%s", graph->params[i].name);
        failed |= !params->params[i].name;
    }
    if (failed) {
        nn_params_free(params);
        return BASE_ERROR;
    }
    *out = params;
    return BASE_OK;
}

DEIT_INTERNAL void nn_params_free(nn_params *params) {
    if (!params) return;
    base_arena_free(&params->names);
    base_free(params->params);
    base_free(params->values);
    base_free(params->gradients);
    base_free(params);
}

/* Purpose of the random stream that initial weights come from. */
enum { PARAMS_RANDOM_INIT = 1 };

static float params_truncated_normal(base_random *random) {
    for (;;) { /* timm's trunc_normal_ cuts at +-2 absolute, a hundred standard deviations: only to be exact */
        double x = 0.02 * base_random_normal(random);
        if (fabs(x) <= 2) return (float)x;
    }
}

DEIT_INTERNAL void nn_param_init(const nn_param *param, int index, uint64_t seed, float *out) {
    base_random random = base_random_stream(seed, 0, (uint64_t)index, PARAMS_RANDOM_INIT);
    double bound = param->fan > 0 ? 1 / sqrt((double)param->fan) : 0;
    for (int64_t j = 0; j < param->count; j++) switch (param->init) {
        case NN_INIT_ZERO: out[j] = 0; break;
        case NN_INIT_ONE: out[j] = 1; break;
        case NN_INIT_TRUNCATED: out[j] = params_truncated_normal(&random); break;
        case NN_INIT_NORMAL: out[j] = (float)(0.01 * base_random_normal(&random)); break;
        case NN_INIT_UNIFORM_FAN: out[j] = (float)(bound * (2 * base_random_uniform(&random) - 1)); break;
        case NN_INIT_HE: out[j] = (float)(bound * sqrt(2) * base_random_normal(&random)); break;
        }
}

static base_status params_read(void *user, int index, const nn_param *param, float *out) {
    const nn_params *params = user;
    memcpy(out, params->values + params->params[index].offset, (size_t)param->count * sizeof(float));
    return BASE_OK;
}

DEIT_INTERNAL nn_source nn_params_source(nn_params *params) {
    return (nn_source){params_read, params, NULL};
}

/* Ones where a parameter starts so (a variance must be one), elsewhere uniform with the standard deviation of initial
 * weights, a few operations a number: what is timed does not depend on them. */
static base_status params_noise(void *user, int index, const nn_param *param, float *out) {
    (void)user;
    if (param->init == NN_INIT_ONE) {
        nn_param_init(param, index, 0, out);
        return BASE_OK;
    }
    for (int64_t i = 0; i < param->count; i++) {
        uint32_t z = ((uint32_t)index * 0x9E3779B9u + (uint32_t)i) * 0x85EBCA6Bu;
        z = (z ^ (z >> 15)) * 0x2C1B3C6Du;
        out[i] = (float)(int32_t)(z ^ (z >> 13)) * (0.0346f / 2147483648.0f);
    }
    return BASE_OK;
}

DEIT_INTERNAL nn_source nn_noise_source(void) {
    return (nn_source){params_noise, NULL, NULL};
}
