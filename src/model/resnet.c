/* ResNet as timm and torchvision have it (v1.5: the stride stands at the 3x3 convolution), and the small ones for
 * pictures of 32 pixels (arXiv 1512.03385, 4.2; their shortcuts as in the large ones). */
#include "model/internal.h"

typedef struct {
    int depth[4]; /* blocks of each stage; the small ones have three */
    bool bottleneck, small;
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
    y = nn_start(g, y, NN_INIT_ZERO, NN_INIT_ZERO, 0); /* training begins with the shortcuts alone */
    return nn_activate(g, nn_add(g, shortcut, nn_drop_path(g, y, path)), relu);
}

/* [B, S, S, 3] -> [B, S / 4, S / 4, 64]; of the small ones [B, S, S, 16] */
static nn_value resnet_stem(const model_config *config, nn_graph *g, nn_value x) {
    const resnet_shape *shape = config->shape;
    if (shape->small) return resnet_conv(g, x, 16, 3, 1, model_relu(config), "", "conv1", "bn1");
    x = resnet_conv(g, x, 64, 7, 2, model_relu(config), "", "conv1", "bn1");
    return nn_pool(g, x, NN_POOL_MAX, 3, 2);
}

/* x: [B, 3, S, S] -> stem, S / 4 -> four stages, S / 32 -> mean over pixels -> fc; small: S -> three stages, S / 4 */
static int resnet_build(const model_config *config, nn_graph *g, nn_value x, nn_value logits[MODEL_MAX_HEADS]) {
    const resnet_shape *shape = config->shape;
    int blocks = shape->depth[0] + shape->depth[1] + shape->depth[2] + shape->depth[3], done = 0;
    x = resnet_stem(config, g, nn_channels_last(g, x));
    for (int stage = 0; stage < 4; stage++)
        for (int block = 0; block < shape->depth[stage]; block++) {
            char name[32];
            double path = model_drop_path(config, done++, blocks);
            snprintf(name, sizeof name, "layer%d.%d.", stage + 1, block);
            nn_block(g);
            x = resnet_block(config, g, x, (shape->small ? 16 : 64) << stage, stage && !block ? 2 : 1, path, name);
        }
    nn_block(g);
    x = nn_dropout(g, nn_global_pool(g, x), config->drop); /* [B, C] */
    int64_t dim[4] = {0};
    nn_shape(g, x, dim);
    x = nn_linear(g, x, config->classes, "fc");
    logits[0] = nn_start(g, x, NN_INIT_UNIFORM_FAN, NN_INIT_UNIFORM_FAN, dim[1]);
    return 1;
}

static base_status resnet_check(const model_config *config) {
    const resnet_shape *shape = config->shape;
    return model_check_sizes(config, shape->small ? 4 : 32);
}
static const model_family resnet_family = {"resnet", resnet_build, resnet_check, {"fc"}};

#define RESNET_OF(text, size, labels, ...)                                                                             \
    {                                                                                                                  \
        .name = (text), .family = &resnet_family, .shape = &(const resnet_shape){__VA_ARGS__}, .image = (size),        \
        .classes = (labels), .crop = 0.875, .interpolation = MODEL_BILINEAR, MODEL_IMAGENET_NORM                       \
    }
#define RESNET(text, blocks, wide) RESNET_OF(text, 224, 1000, blocks, wide, false)
#define RESNET_SMALL(text, blocks) RESNET_OF(text, 32, 10, {blocks, blocks, blocks}, false, true)
#define RESNET_DEPTH(a, b, c, d)                                                                                       \
    { a, b, c, d }
static const model_config resnet_configs[] = {
    RESNET_SMALL("resnet8", 1),
    RESNET_SMALL("resnet14", 2),
    RESNET_SMALL("resnet20", 3),
    RESNET("resnet18", RESNET_DEPTH(2, 2, 2, 2), false),
    RESNET("resnet50", RESNET_DEPTH(3, 4, 6, 3), true),
    RESNET("resnet101", RESNET_DEPTH(3, 4, 23, 3), true),
    RESNET("resnet152", RESNET_DEPTH(3, 8, 36, 3), true),
};
#undef RESNET_OF
#undef RESNET
#undef RESNET_SMALL
#undef RESNET_DEPTH
DEIT_INTERNAL const model_config *model_resnet_configs(int *count) {
    *count = (int)(sizeof resnet_configs / sizeof *resnet_configs);
    return resnet_configs;
}
