/* EfficientNet as timm's tf_efficientnet: inverted bottlenecks with squeeze-excitation, SiLU, TensorFlow's SAME
 * padding, batch norm eps 1e-3. B1 to B8 are B0 scaled in width, depth and image size. */
#include "model/internal.h"
#include <math.h>

typedef struct {
    double width, depth; /* multipliers */
} efficientnet_shape;

/* B0's stages: 3x3 or 5x5 depthwise, stride of the first block, expansion, channels, blocks. */
static const struct {
    int kernel, stride, expansion, channels, blocks;
} efficientnet_stages[] = {{3, 1, 1, 16, 1},  {3, 2, 6, 24, 2},  {5, 2, 6, 40, 2}, {3, 2, 6, 80, 3},
                           {5, 1, 6, 112, 3}, {5, 2, 6, 192, 4}, {3, 1, 6, 320, 1}};

/* Channels times the multiplier to a multiple of 8, never more than 10% down. */
static int64_t efficientnet_width(const efficientnet_shape *shape, int channels) {
    double wanted = channels * shape->width;
    int64_t rounded = (int64_t)(wanted + 4) / 8 * 8;
    return (double)rounded < 0.9 * wanted ? rounded + 8 : rounded;
}

static nn_value efficientnet_conv(nn_graph *g, nn_value x, int64_t out, int kernel, int stride, int64_t groups,
                                  nn_activation activation, const char *prefix, const char *conv, const char *norm) {
    nn_window window = {.kernel = kernel, .stride = stride, .groups = (int)groups, .same = true};
    return model_conv_norm(g, x, out, window, 1e-3f, activation, prefix, conv, norm);
}

/* x: [B, H, W, C] -> [B, H / stride, W / stride, out]. Without expansion the names count from one lower. */
static nn_value efficientnet_block(nn_graph *g, nn_value x, int64_t out, int kernel, int stride, int expansion,
                                   double path, const char *name) {
    int64_t dim[4] = {0};
    nn_shape(g, x, dim);
    int64_t in = dim[3], wide = in * expansion;
    bool expands = expansion > 1;
    nn_value y = x;
    if (expands) y = efficientnet_conv(g, y, wide, 1, 1, 1, NN_SILU, name, "conv_pw", "bn1");
    y = efficientnet_conv(g, y, wide, kernel, stride, wide, NN_SILU, name, "conv_dw", expands ? "bn2" : "bn1");
    y = model_squeeze(g, y, in / 4, NN_SILU, name, "se.conv_reduce", "se.conv_expand");
    y = efficientnet_conv(g, y, out, 1, 1, 1, NN_NO_ACTIVATION, name, expands ? "conv_pwl" : "conv_pw",
                          expands ? "bn3" : "bn2");
    return stride == 1 && in == out ? nn_add(g, x, nn_drop_path(g, y, path)) : y;
}

static int efficientnet_depth(const efficientnet_shape *shape, int stage) {
    return (int)ceil(efficientnet_stages[stage].blocks * shape->depth);
}

/* x: [B, 3, S, S] -> stem, S / 2 -> seven stages, S / 32 -> conv_head -> mean over pixels -> classifier */
static int efficientnet_build(const model_config *config, nn_graph *g, nn_value x, nn_value logits[MODEL_MAX_HEADS]) {
    const efficientnet_shape *shape = config->shape;
    const int stages = (int)(sizeof efficientnet_stages / sizeof *efficientnet_stages);
    int blocks = 0, done = 0;
    for (int s = 0; s < stages; s++) blocks += efficientnet_depth(shape, s);
    x = nn_channels_last(g, x);
    x = efficientnet_conv(g, x, efficientnet_width(shape, 32), 3, 2, 1, NN_SILU, "", "conv_stem", "bn1");
    for (int s = 0; s < stages; s++) {
        int64_t out = efficientnet_width(shape, efficientnet_stages[s].channels);
        for (int block = 0; block < efficientnet_depth(shape, s); block++) {
            char name[32];
            double path = config->drop_path * done++ / blocks; /* timm's rule here never reaches the full rate */
            nn_block(g);
            snprintf(name, sizeof name, "blocks.%d.%d.", s, block);
            x = efficientnet_block(g, x, out, efficientnet_stages[s].kernel, block ? 1 : efficientnet_stages[s].stride,
                                   efficientnet_stages[s].expansion, path, name);
        }
    }
    nn_block(g);
    x = efficientnet_conv(g, x, efficientnet_width(shape, 1280), 1, 1, 1, NN_SILU, "", "conv_head", "bn2");
    x = nn_linear(g, nn_dropout(g, nn_global_pool(g, x), config->drop), config->classes, "classifier");
    logits[0] = nn_start(g, x, NN_INIT_UNIFORM_FAN, NN_INIT_ZERO, config->classes);
    return 1;
}

static const model_family efficientnet_family = {
    "efficientnet", efficientnet_build, model_check_convnet, {"classifier"}};

#define EFFICIENTNET(text, size, part, wide, deep)                                                                     \
    {                                                                                                                  \
        .name = (text), .family = &efficientnet_family, .shape = &(const efficientnet_shape){wide, deep},              \
        .image = (size), .classes = 1000, .crop = (part), .interpolation = MODEL_BICUBIC, MODEL_IMAGENET_NORM          \
    }
static const model_config efficientnet_configs[] = {
    EFFICIENTNET("tf_efficientnet_b0", 224, 0.875, 1.0, 1.0), EFFICIENTNET("tf_efficientnet_b1", 240, 0.882, 1.0, 1.1),
    EFFICIENTNET("tf_efficientnet_b2", 260, 0.890, 1.1, 1.2), EFFICIENTNET("tf_efficientnet_b3", 300, 0.904, 1.2, 1.4),
    EFFICIENTNET("tf_efficientnet_b4", 380, 0.922, 1.4, 1.8), EFFICIENTNET("tf_efficientnet_b5", 456, 0.934, 1.6, 2.2),
    EFFICIENTNET("tf_efficientnet_b6", 528, 0.942, 1.8, 2.6), EFFICIENTNET("tf_efficientnet_b7", 600, 0.949, 2.0, 3.1),
    EFFICIENTNET("tf_efficientnet_b8", 672, 0.954, 2.2, 3.6),
};
#undef EFFICIENTNET
DEIT_INTERNAL const model_config *model_efficientnet_configs(int *count) {
    *count = (int)(sizeof efficientnet_configs / sizeof *efficientnet_configs);
    return efficientnet_configs;
}
