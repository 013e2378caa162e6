/* AdamW. */
#include "train/train.h"
#include <math.h>
#include <string.h>

DEIT_INTERNAL train_adamw_options train_adamw_defaults(void) {
    return (train_adamw_options){5e-4, 0.9, 0.999, 1e-8, 0.05};
}

DEIT_INTERNAL bool train_decays(const nn_param *param) {
    return param->ndim >= 2 && strcmp(param->name, "pos_embed") && strcmp(param->name, "cls_token");
}

DEIT_INTERNAL base_status train_adamw_new(train_adamw **out, nn_params *params) {
    *out = NULL;
    train_adamw *adamw = base_calloc(1, sizeof *adamw);
    if (!adamw) return BASE_ERROR;
    adamw->params = params;
    adamw->first = base_calloc((size_t)params->size + 1, sizeof(float));
    adamw->second = base_calloc((size_t)params->size + 1, sizeof(float));
    if (!adamw->first || !adamw->second) {
        train_adamw_free(adamw);
        return BASE_ERROR;
    }
    *out = adamw;
    return BASE_OK;
}

DEIT_INTERNAL void train_adamw_free(train_adamw *adamw) {
    if (!adamw) return;
    base_free(adamw->first);
    base_free(adamw->second);
    base_free(adamw);
}

/* PyTorch's order of operations: decay, moments, then the step with bias corrections. */
DEIT_INTERNAL void train_adamw_step(train_adamw *adamw, const train_adamw_options *o) {
    double t = (double)++adamw->steps, root = sqrt(1 - pow(o->beta2, t));
    float rate = (float)(o->lr / (1 - pow(o->beta1, t))), beta1 = (float)o->beta1, beta2 = (float)o->beta2;
    float first_share = (float)(1 - o->beta1), second_share = (float)(1 - o->beta2), inverse_root = (float)(1 / root),
          eps = (float)o->eps;
    for (int i = 0; i < adamw->params->count; i++) {
        const nn_param *param = &adamw->params->params[i];
        float keep = train_decays(param) ? (float)(1 - o->lr * o->weight_decay) : 1;
        float *value = adamw->params->values + param->offset, *m = adamw->first + param->offset,
              *v = adamw->second + param->offset;
        const float *g = adamw->params->gradients + param->offset;
        for (int64_t j = 0; j < param->count; j++) {
            m[j] = beta1 * m[j] + first_share * g[j];
            v[j] = beta2 * v[j] + second_share * g[j] * g[j];
            value[j] = keep * value[j] - rate * m[j] / (sqrtf(v[j]) * inverse_root + eps);
        }
    }
}
