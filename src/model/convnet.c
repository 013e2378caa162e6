/* What the convolutional families are made of. */
#include "model/internal.h"

DEIT_INTERNAL nn_value model_conv_norm(nn_graph *g, nn_value x, int64_t out, nn_window window, float eps,
                                       nn_activation activation, const char *prefix, const char *conv,
                                       const char *norm) {
    x = nn_conv(g, x, out, window, "%s%s", prefix, conv);
    x = nn_batch_norm(g, x, eps, "%s%s", prefix, norm);
    return activation ? nn_activate(g, x, activation) : x;
}

/* x: [B, H, W, C] -> x times sigmoid(expand(activation(reduce(mean over pixels)))) */
DEIT_INTERNAL nn_value model_squeeze(nn_graph *g, nn_value x, int64_t reduced, nn_activation activation,
                                     const char *prefix, const char *reduce, const char *expand) {
    const nn_window vector = {.kernel = 1, .stride = 1, .bias = true};
    int64_t dim[4] = {0};
    nn_shape(g, x, dim);
    nn_value s = nn_activate(g, nn_conv(g, nn_global_pool(g, x), reduced, vector, "%s%s", prefix, reduce), activation);
    s = nn_activate(g, nn_conv(g, s, dim[3], vector, "%s%s", prefix, expand), NN_SIGMOID);
    return nn_scale(g, x, s);
}

DEIT_INTERNAL nn_activation model_relu(const model_config *config) {
    return config->activation ? config->activation : NN_RELU;
}

DEIT_INTERNAL base_status model_check_sizes(const model_config *c, int smallest) {
    enum { LARGEST = 1 << 13 };
    if (c->image < smallest || c->image > LARGEST)
        return base_fail_as(BASE_USAGE, "%s: an image of %d; expected %d to %d pixels", c->name, c->image, smallest,
                            LARGEST);
    if (c->classes < 1 || c->classes > 1 << 24)
        return base_fail_as(BASE_USAGE, "%s: %d classes; expected 1 to 16777216", c->name, c->classes);
    return BASE_OK;
}

DEIT_INTERNAL base_status model_check_convnet(const model_config *config) {
    return model_check_sizes(config, 32); /* five halvings must leave a pixel */
}
