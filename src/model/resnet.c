/* ResNet as timm and torchvision have it (v1.5: the stride stands at the 3x3 convolution). */
#include "model/internal.h"

typedef struct {
    int depth[4]; /* blocks of each stage */
    bool bottleneck;
} resnet_shape;

static nn_value resnet_conv(nn_graph *g, nn_value x, int64_t out, int kernel, int stride, nn_activation activation,
                            const char *prefix, const char *conv, const char *norm) {
    return model_conv_norm(g, x, out, (nn_window){.kernel = kernel, .stride = stride}, 1e-5f, activation, prefix, conv,
                           norm);
}

/* x: [B, H, W, C] -> [B, H / stride, W / stride, width; with bottlenecks 4 width] */
static nn_value resnet_block(const model_config *config, nn_graph *g, nn_value x, int64_t width, int stride,
                             double path, const char *name) {
    const resnet_shape *shape = config->shape;
    const nn_activation relu = model_relu(config);
    int64_t out = shape->bottleneck ? 4 * width : width, dim[4] = {0};
    nn_shape(g, x, dim);
    nn_value y, shortcut = x;
    if (shape->bottleneck) {
        y = resnet_conv(g, x, width, 1, 1, relu, name, "conv1", "bn1");
        y = resnet_conv(g, y, width, 3, stride, relu, name, "conv2", "bn2");
        y = resnet_conv(g, y, out, 1, 1, NN_NO_ACTIVATION, name, "conv3", "bn3");
    } else {
        y = resnet_conv(g, x, width, 3, stride, relu, name, "conv1", "bn1");
        y = resnet_conv(g, y, out, 3, 1, NN_NO_ACTIVATION, name, "conv2", "bn2");
    }
    if (dim[3] != out || stride > 1)
        shortcut = resnet_conv(g, x, out, 1, stride, NN_NO_ACTIVATION, name, "downsample.0", "downsample.1");
    return nn_activate(g, nn_add(g, shortcut, nn_drop_path(g, y, path)), relu);
}

/* x: [B, 3, S, S] -> stem, S / 4 -> four stages, S / 32 -> mean over pixels -> fc */
static int resnet_build(const model_config *config, nn_graph *g, nn_value x, nn_value logits[MODEL_MAX_HEADS]) {
    const resnet_shape *shape = config->shape;
    int blocks = shape->depth[0] + shape->depth[1] + shape->depth[2] + shape->depth[3], done = 0;
    x = resnet_conv(g, nn_channels_last(g, x), 64, 7, 2, model_relu(config), "", "conv1", "bn1");
    x = nn_pool(g, x, NN_POOL_MAX, 3, 2);
    for (int stage = 0; stage < 4; stage++)
        for (int block = 0; block < shape->depth[stage]; block++) {
            char name[32];
            double path = model_drop_path(config, done++, blocks);
            snprintf(name, sizeof name, "layer%d.%d.", stage + 1, block);
            nn_block(g);
            x = resnet_block(config, g, x, 64 << stage, stage && !block ? 2 : 1, path, name);
        }
    nn_block(g);
    logits[0] = nn_linear(g, nn_dropout(g, nn_global_pool(g, x), config->drop), config->classes, "fc");
    return 1;
}

static const model_family resnet_family = {"resnet", resnet_build, model_check_convnet, {"fc"}};

#define RESNET(text, blocks, wide)                                                                                     \
    {                                                                                                                  \
        .name = (text), .family = &resnet_family, .shape = &(const resnet_shape){blocks, wide}, .image = 224,          \
        .classes = 1000, .crop = 0.875, .interpolation = MODEL_BILINEAR, MODEL_IMAGENET_NORM                           \
    }
#define RESNET_DEPTH(a, b, c, d)                                                                                       \
    { a, b, c, d }
static const model_config resnet_configs[] = {
    RESNET("resnet18", RESNET_DEPTH(2, 2, 2, 2), false),
    RESNET("resnet50", RESNET_DEPTH(3, 4, 6, 3), true),
    RESNET("resnet101", RESNET_DEPTH(3, 4, 23, 3), true),
    RESNET("resnet152", RESNET_DEPTH(3, 8, 36, 3), true),
};
#undef RESNET
#undef RESNET_DEPTH
DEIT_INTERNAL const model_config *model_resnet_configs(int *count) {
    *count = (int)(sizeof resnet_configs / sizeof *resnet_configs);
    return resnet_configs;
}
