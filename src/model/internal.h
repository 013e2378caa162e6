/* What the files of model share. */
#ifndef DEIT_MODEL_INTERNAL_H
#define DEIT_MODEL_INTERNAL_H

#include "model/model.h"

/* Each family's registered networks. */
DEIT_INTERNAL const model_config *model_vit_configs(int *count);

/* flax.c: Google's npz files. True if the store holds one; read: timm's parameter `param` into out (count known to
 * fit), or an error. */
DEIT_INTERNAL bool model_is_flax(const store *s);
/* The shape that timm's parameter would have from this file: its ndim, 0 if absent. */
DEIT_INTERNAL int model_flax_shape(const store *s, const char *param, int64_t dim[4]);
DEIT_INTERNAL base_status model_flax_read(const store *s, const char *param, float *out, int64_t count);
/* True if a tensor of the file belongs to some parameter of a network with these. */
DEIT_INTERNAL bool model_flax_knows(const char *key, const nn_param *params, int count);

#endif
