/* Optimizers on the flat parameter store, gradient clipping, and the moving average of weights. */
#include "train/internal.h"

#include <math.h>
#include <string.h>

/* Numbers that one thread takes at a time: sums are made of the same parts whatever the number of threads. */
enum { OPTIMIZER_CHUNK = 1 << 14 };

DEIT_INTERNAL train_step_options train_adamw_defaults(void) {
    return (train_step_options){.lr = 5e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.05};
}

DEIT_INTERNAL bool train_decays(const nn_param *param) {
    return param->ndim >= 2 && strcmp(param->name, "pos_embed") && strcmp(param->name, "cls_token");
}

static bool optimizer_leaves(const nn_param *param) {
    return param->buffer || param->frozen;
}

DEIT_INTERNAL base_status train_optimizer_new(train_optimizer **out, train_rule rule, nn_params *params, int threads) {
    *out = NULL;
    train_optimizer *optimizer = base_calloc(1, sizeof *optimizer);
    if (!optimizer) return BASE_ERROR;
    optimizer->rule = rule, optimizer->params = params, optimizer->threads = threads > 0 ? threads : 1;
    optimizer->first = base_calloc((size_t)params->size + 1, sizeof(float));
    if (rule == TRAIN_ADAMW) optimizer->second = base_calloc((size_t)params->size + 1, sizeof(float));
    if (!optimizer->first || (rule == TRAIN_ADAMW && !optimizer->second)) {
        train_optimizer_free(optimizer);
        return BASE_ERROR;
    }
    *out = optimizer;
    return BASE_OK;
}

DEIT_INTERNAL void train_optimizer_free(train_optimizer *optimizer) {
    if (!optimizer) return;
    base_free(optimizer->first);
    base_free(optimizer->second);
    base_free(optimizer);
}

/* ---- A step ------------------------------------------------------------------------------------------------------ */

/* What a step is for one parameter: constants in f32, as PyTorch has them. */
typedef struct {
    float scale; // of the gradient
    float keep;  // AdamW: 1 - lr x decay; SGD: the decay added to the gradient
    float rate, beta1, beta2, share1, share2, inverse_root, eps; // SGD: beta1 is the momentum
    bool begin;                                                  // SGD's first step: momentum is the gradient
} optimizer_constants;

/* PyTorch's order of operations: decay, moments, then the step with bias corrections. */
static void optimizer_adamw(const optimizer_constants *c, int64_t n, float *value, const float *gradient, float *m,
                            float *v) {
    for (int64_t j = 0; j < n; j++) {
        float g = c->scale * gradient[j];
        m[j] = c->beta1 * m[j] + c->share1 * g;
        v[j] = c->beta2 * v[j] + c->share2 * g * g;
        value[j] = c->keep * value[j] - c->rate * m[j] / (sqrtf(v[j]) * c->inverse_root + c->eps);
    }
}

/* PyTorch's SGD with nesterov: the decay is part of the gradient; no dampening. */
static void optimizer_sgd(const optimizer_constants *c, int64_t n, float *value, const float *gradient,
                          float *momentum) {
    for (int64_t j = 0; j < n; j++) {
        float g = c->scale * gradient[j] + c->keep * value[j];
        momentum[j] = c->begin ? g : c->beta1 * momentum[j] + g;
        value[j] -= c->rate * (g + c->beta1 * momentum[j]);
    }
}

static optimizer_constants optimizer_constants_of(const train_optimizer *optimizer, const train_step_options *o,
                                                  double scale) {
    optimizer_constants c = {.scale = (float)scale, .begin = optimizer->steps == 1};
    if (optimizer->rule == TRAIN_SGD) {
        c.rate = (float)o->lr, c.beta1 = (float)o->momentum;
        return c;
    }
    double t = (double)optimizer->steps;
    c.rate = (float)(o->lr / (1 - pow(o->beta1, t)));
    c.inverse_root = (float)(1 / sqrt(1 - pow(o->beta2, t)));
    c.beta1 = (float)o->beta1, c.beta2 = (float)o->beta2, c.eps = (float)o->eps;
    c.share1 = (float)(1 - o->beta1), c.share2 = (float)(1 - o->beta2);
    return c;
}

DEIT_INTERNAL void train_optimizer_step(train_optimizer *optimizer, const train_step_options *o, double scale) {
    const nn_params *params = optimizer->params;
    optimizer->steps++;
    optimizer_constants c = optimizer_constants_of(optimizer, o, scale);
    for (int i = 0; i < params->count; i++) {
        const nn_param *param = &params->params[i];
        if (optimizer_leaves(param)) continue;
        double decay = train_decays(param) ? o->weight_decay : 0;
        c.keep = (float)(optimizer->rule == TRAIN_SGD ? decay : 1 - o->lr * decay);
#pragma omp parallel for num_threads(optimizer->threads) if (param->count > OPTIMIZER_CHUNK)
        for (int64_t begin = 0; begin < param->count; begin += OPTIMIZER_CHUNK) {
            int64_t at = param->offset + begin,
                    n = param->count - begin < OPTIMIZER_CHUNK ? param->count - begin : OPTIMIZER_CHUNK;
            if (optimizer->rule == TRAIN_SGD)
                optimizer_sgd(&c, n, params->values + at, params->gradients + at, optimizer->first + at);
            else
                optimizer_adamw(&c, n, params->values + at, params->gradients + at, optimizer->first + at,
                                optimizer->second + at);
        }
    }
}

/* ---- Gradients --------------------------------------------------------------------------------------------------- */

static double optimizer_squares(const float *x, int64_t n, int threads) {
    (void)threads; // where a compiler knows no OpenMP
    double sum = 0;
    for (int64_t done = 0; done < n;) { // chunks of a round side by side, their sums added in order
        enum { ROUND = 64 };
        double part[ROUND] = {0};
#pragma omp parallel for num_threads(threads) if (n > OPTIMIZER_CHUNK)
        for (int k = 0; k < ROUND; k++) {
            int64_t begin = done + (int64_t)k * OPTIMIZER_CHUNK, end = begin + OPTIMIZER_CHUNK;
            for (int64_t j = begin; j < end && j < n; j++) part[k] += (double)x[j] * (double)x[j];
        }
        for (int k = 0; k < ROUND; k++) sum += part[k];
        done += (int64_t)ROUND * OPTIMIZER_CHUNK;
    }
    return sum;
}

DEIT_INTERNAL double train_gradient_norm(const train_optimizer *optimizer) {
    const nn_params *params = optimizer->params;
    double sum = 0;
    for (int i = 0; i < params->count; i++)
        if (!optimizer_leaves(&params->params[i]))
            sum += optimizer_squares(params->gradients + params->params[i].offset, params->params[i].count,
                                     optimizer->threads);
    return sqrt(sum);
}

DEIT_INTERNAL double train_clip(double norm, double most) {
    double scale = most / (norm + 1e-6);
    return most > 0 && scale < 1 ? scale : 1;
}

/* ---- The moving average ------------------------------------------------------------------------------------------ */

DEIT_INTERNAL void train_ema_update(float *average, const nn_params *params, double decay, int threads) {
    (void)threads;
    float keep = (float)decay, share = (float)(1 - decay);
#pragma omp parallel for num_threads(threads)
    for (int64_t j = 0; j < params->size; j++) average[j] = keep * average[j] + share * params->values[j];
}
