/* RegNetY as timm's: bottlenecks of one width with grouped 3x3 convolutions and squeeze-excitation. */
#include "model/internal.h"
#include <math.h>

typedef struct {
    int width[4], depth[4], group; /* group: channels in one group of a 3x3 convolution */
} regnet_shape;

static nn_value regnet_conv(nn_graph *g, nn_value x, int64_t out, nn_window window, nn_activation activation,
                            const char *prefix, const char *name) {
    char conv[32], norm[32];
    snprintf(conv, sizeof conv, "%s.conv", name), snprintf(norm, sizeof norm, "%s.bn", name);
    return model_conv_norm(g, x, out, window, 1e-5f, activation, prefix, conv, norm);
}

/* x: [B, H, W, C] -> [B, H / stride, W / stride, width] */
static nn_value regnet_block(const model_config *config, nn_graph *g, nn_value x, int width, int stride, double path,
                             const char *name) {
    const regnet_shape *shape = config->shape;
    const nn_activation relu = model_relu(config);
    const nn_window pointwise = {.kernel = 1, .stride = 1};
    int64_t dim[4] = {0};
    nn_shape(g, x, dim);
    nn_value shortcut = x, y = regnet_conv(g, x, width, pointwise, relu, name, "conv1");
    nn_window grouped = {.kernel = 3, .stride = stride, .groups = width / shape->group};
    y = regnet_conv(g, y, width, grouped, relu, name, "conv2");
    y = model_squeeze(g, y, lrint((double)dim[3] * 0.25), relu, name, "se.fc1", "se.fc2");
    y = regnet_conv(g, y, width, pointwise, NN_NO_ACTIVATION, name, "conv3");
    y = nn_start(g, y, NN_INIT_ZERO, NN_INIT_ZERO, 0); /* training begins with the shortcuts alone */
    if (dim[3] != width || stride > 1)
        shortcut =
            regnet_conv(g, x, width, (nn_window){.kernel = 1, .stride = stride}, NN_NO_ACTIVATION, name, "downsample");
    return nn_activate(g, nn_add(g, shortcut, nn_drop_path(g, y, path)), relu);
}

/* x: [B, 3, S, S] -> stem, S / 2 -> four stages, S / 32 -> mean over pixels -> fc */
static int regnet_build(const model_config *config, nn_graph *g, nn_value x, nn_value logits[MODEL_MAX_HEADS]) {
    const regnet_shape *shape = config->shape;
    int blocks = shape->depth[0] + shape->depth[1] + shape->depth[2] + shape->depth[3], done = 0;
    x = regnet_conv(g, nn_channels_last(g, x), 32, (nn_window){.kernel = 3, .stride = 2}, model_relu(config), "",
                    "stem");
    for (int stage = 0; stage < 4; stage++)
        for (int block = 0; block < shape->depth[stage]; block++) {
            char name[32];
            snprintf(name, sizeof name, "s%d.b%d.", stage + 1, block + 1);
            double path = model_drop_path(config, done++, blocks);
            nn_block(g);
            x = regnet_block(config, g, x, shape->width[stage], block ? 1 : 2, path, name);
        }
    nn_block(g);
    x = nn_linear(g, nn_dropout(g, nn_global_pool(g, x), config->drop), config->classes, "head.fc");
    logits[0] = nn_start(g, x, NN_INIT_NORMAL, NN_INIT_ZERO, 0);
    return 1;
}

static const model_family regnet_family = {"regnet", regnet_build, model_check_convnet, {"head.fc"}};

/* DeiT's authors trained these with their own recipe, so they are evaluated as DeiT is. */
#define REGNET(text, i)                                                                                                \
    {                                                                                                                  \
        .name = (text), .family = &regnet_family, .shape = &regnet_shapes[i], .image = 224, .classes = 1000,           \
        .crop = 0.875, .interpolation = MODEL_BICUBIC, MODEL_IMAGENET_NORM                                             \
    }
static const regnet_shape regnet_shapes[] = {
    {{128, 192, 512, 1088}, {2, 6, 12, 2}, 64},
    {{168, 448, 896, 2016}, {2, 4, 10, 1}, 56},
    {{224, 448, 896, 2240}, {2, 5, 11, 1}, 112},
    {{224, 448, 1232, 3024}, {2, 4, 11, 1}, 112},
};
static const model_config regnet_configs[] = {REGNET("regnety_040", 0), REGNET("regnety_080", 1),
                                              REGNET("regnety_120", 2), REGNET("regnety_160", 3)};
#undef REGNET
DEIT_INTERNAL const model_config *model_regnet_configs(int *count) {
    *count = (int)(sizeof regnet_configs / sizeof *regnet_configs);
    return regnet_configs;
}
