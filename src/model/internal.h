/* What the files of model share. */
#ifndef DEIT_MODEL_INTERNAL_H
#define DEIT_MODEL_INTERNAL_H

#include "model/model.h"

/* Members of a model_config: ImageNet's mean and standard deviation. */
#define MODEL_IMAGENET_NORM .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}

/* Each family's registered networks, at the end of its file. */
DEIT_INTERNAL const model_config *model_vit_configs(int *count);
DEIT_INTERNAL const model_config *model_resnet_configs(int *count);
DEIT_INTERNAL const model_config *model_regnet_configs(int *count);
DEIT_INTERNAL const model_config *model_efficientnet_configs(int *count);

/* registry.c: drop path of block `block` of `blocks`: 0 at the first, config->drop_path at the last, linear between. */
DEIT_INTERNAL double model_drop_path(const model_config *config, int block, int blocks);

/* convnet.c: parts of convolutional networks; a parameter's name is the prefix and the part's. */
DEIT_INTERNAL nn_value model_conv_norm(nn_graph *graph, nn_value x, int64_t out, nn_window window, float eps,
                                       nn_activation activation, const char *prefix, const char *conv,
                                       const char *norm);
/* Squeeze-excitation. */
DEIT_INTERNAL nn_value model_squeeze(nn_graph *graph, nn_value x, int64_t reduced, nn_activation activation,
                                     const char *prefix, const char *reduce, const char *expand);
/* What stands where timm's network has a ReLU. */
DEIT_INTERNAL nn_activation model_relu(const model_config *config);
/* Of classes, and of images between `smallest` and what can be; 32 for all but small ones. */
DEIT_INTERNAL base_status model_check_sizes(const model_config *config, int smallest);
DEIT_INTERNAL base_status model_check_convnet(const model_config *config);

/* flax.c: Google's npz files. True if the store holds one; read: timm's parameter `param` into out (count known to
 * fit), or an error. */
DEIT_INTERNAL bool model_is_flax(const store *s);
/* The shape that timm's parameter would have from this file: its ndim, 0 if absent. */
DEIT_INTERNAL int model_flax_shape(const store *s, const char *param, int64_t dim[4]);
DEIT_INTERNAL base_status model_flax_read(const store *s, const char *param, float *out, int64_t count);
/* Why that parameter's part of the file is not read; NULL: it is, or there is none. */
DEIT_INTERNAL const char *model_flax_unreadable(const store *s, const char *param);
/* The number of attention heads that the file's shapes tell; 0: they don't. */
DEIT_INTERNAL int model_flax_heads(const store *s);
/* True if a tensor of the file belongs to some parameter of a network with these. */
DEIT_INTERNAL bool model_flax_knows(const char *key, const nn_param *params, int count);

#endif
