/* train: optimizers on the parameter store. (A first part: recipes, schedules and the loop stand on it.) */
#ifndef DEIT_TRAIN_H
#define DEIT_TRAIN_H

#include "nn/nn.h"

/* AdamW as PyTorch's: decoupled weight decay, bias-corrected moments. RECIPE: no decay on tensors of one dimension,
 * pos_embed and cls_token; dist_token is decayed, as in the authors' code. */
typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
} train_adamw_options;
DEIT_INTERNAL train_adamw_options train_adamw_defaults(void); /* lr 5e-4, 0.9, 0.999, 1e-8, 0.05 */

typedef struct {
    nn_params *params;
    float *first, *second; /* moments, [params->size] */
    int64_t steps;
} train_adamw;
/* The parameters must outlive it. */
DEIT_INTERNAL base_status train_adamw_new(train_adamw **adamw, nn_params *params);
DEIT_INTERNAL void train_adamw_free(train_adamw *adamw);
/* One step from params->gradients; options may change from step to step (schedules). */
DEIT_INTERNAL void train_adamw_step(train_adamw *adamw, const train_adamw_options *options);
DEIT_INTERNAL bool train_decays(const nn_param *param);

#endif
