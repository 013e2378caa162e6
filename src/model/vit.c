/* ViT and DeiT, as timm's VisionTransformer and VisionTransformerDistilled: pre-norm blocks, exact GELU, layer norm eps
 * 1e-6. */
#include "model/internal.h"

static nn_value vit_block(const model_config *config, nn_graph *g, nn_value x, int i) {
    double path = model_drop_path(config, i, config->depth);
    nn_value y = nn_layer_norm(g, x, 1e-6f, "blocks.%d.norm1", i);
    y = nn_linear(g, y, 3 * config->dim, "blocks.%d.attn.qkv", i);
    y = nn_attention(g, y, config->heads);
    y = nn_linear(g, y, config->dim, "blocks.%d.attn.proj", i);
    x = nn_add(g, x, nn_drop_path(g, nn_dropout(g, y, config->drop), path));
    y = nn_layer_norm(g, x, 1e-6f, "blocks.%d.norm2", i);
    y = nn_linear(g, y, 4 * config->dim, "blocks.%d.mlp.fc1", i);
    y = nn_dropout(g, nn_activate(g, y, NN_GELU), config->drop);
    y = nn_linear(g, y, config->dim, "blocks.%d.mlp.fc2", i);
    return nn_add(g, x, nn_drop_path(g, nn_dropout(g, y, config->drop), path));
}

/* The tokens after a layer, of a graph that shows them. */
static void vit_show(nn_graph *g, nn_value x, bool show) {
    if (show) nn_output(g, nn_select_token(g, x, 0)), nn_output(g, nn_select_token(g, x, 1));
}

/* x: [B, 3, S, S] -> tokens [B, 1 (+ 1) + (S / patch)^2, dim] -> blocks -> normed tokens */
static nn_value vit_trunk(const model_config *config, nn_graph *g, nn_value x, bool show) {
    x = nn_tokens(g, x, config->patch, config->dim, config->distilled ? 2 : 1);
    x = nn_dropout(g, x, config->drop);
    vit_show(g, x, show);
    for (int i = 0; i < config->depth; i++) {
        nn_block(g);
        x = vit_block(config, g, x, i);
        vit_show(g, x, show);
    }
    nn_block(g);
    x = nn_layer_norm(g, x, 1e-6f, "norm");
    vit_show(g, x, show);
    return x;
}

/* Heads on the first tokens. */
static int vit_build(const model_config *config, nn_graph *g, nn_value x, nn_value logits[MODEL_MAX_HEADS]) {
    x = vit_trunk(config, g, x, false);
    logits[0] = nn_linear(g, nn_select_token(g, x, 0), config->classes, "head");
    if (!config->distilled) return 1;
    logits[1] = nn_linear(g, nn_select_token(g, x, 1), config->classes, "head_dist");
    return 2;
}

static base_status vit_check(const model_config *c) {
    BASE_TRY(model_check_sizes(c, 1));
    if (c->patch < 1 || c->dim < 1 || c->depth < 1 || c->heads < 1)
        return base_fail_as(BASE_USAGE, "%s: patch, dim, depth and heads must be at least 1", c->name);
    if (c->dim > 1 << 16 || c->depth > 1000)
        return base_fail_as(BASE_USAGE, "%s: dim up to 65536, depth up to 1000", c->name);
    if (c->image % c->patch)
        return base_fail_as(BASE_USAGE, "%s: an image of %d does not divide into patches of %d; choose a multiple",
                            c->name, c->image, c->patch);
    if (c->dim % c->heads)
        return base_fail_as(BASE_USAGE, "%s: a dim of %d does not divide into %d heads", c->name, c->dim, c->heads);
    return BASE_OK;
}

DEIT_INTERNAL base_status model_token_graph(nn_graph **out, const model_config *config, int64_t batch) {
    *out = NULL;
    if (!config->distilled)
        return base_fail_as(BASE_USAGE, "%s has no distillation token to compare the class token with", config->name);
    BASE_TRY(config->family->check(config));
    nn_graph *graph = nn_graph_new(batch);
    if (!graph) return BASE_ERROR;
    vit_trunk(config, graph, nn_input(graph, 3, (int64_t[]){3, config->image, config->image}), true);
    base_status status = nn_graph_status(graph);
    if (status)
        nn_graph_free(graph);
    else
        *out = graph;
    return status;
}

static const model_family vit_family = {"vit", vit_build, vit_check, {"head", "head_dist"}};

#define VIT_HALF_NORM .mean = {0.5f, 0.5f, 0.5f}, .std = {0.5f, 0.5f, 0.5f}
#define VIT(text, size, side, width, blocks, split, distils, part, ...)                                                \
    {                                                                                                                  \
        .name = (text), .family = &vit_family, .image = (size), .classes = 1000, .patch = (side), .dim = (width),      \
        .depth = (blocks), .heads = (split), .distilled = (distils), .crop = (part), .interpolation = MODEL_BICUBIC,   \
        __VA_ARGS__                                                                                                    \
    }
static const model_config vit_configs[] = {
    VIT("deit_tiny_patch16_224", 224, 16, 192, 12, 3, false, 0.875, MODEL_IMAGENET_NORM),
    VIT("deit_small_patch16_224", 224, 16, 384, 12, 6, false, 0.875, MODEL_IMAGENET_NORM),
    VIT("deit_base_patch16_224", 224, 16, 768, 12, 12, false, 0.875, MODEL_IMAGENET_NORM),
    VIT("deit_base_patch16_384", 384, 16, 768, 12, 12, false, 0.875, MODEL_IMAGENET_NORM),
    VIT("deit_tiny_distilled_patch16_224", 224, 16, 192, 12, 3, true, 0.875, MODEL_IMAGENET_NORM),
    VIT("deit_small_distilled_patch16_224", 224, 16, 384, 12, 6, true, 0.875, MODEL_IMAGENET_NORM),
    VIT("deit_base_distilled_patch16_224", 224, 16, 768, 12, 12, true, 0.875, MODEL_IMAGENET_NORM),
    VIT("deit_base_distilled_patch16_384", 384, 16, 768, 12, 12, true, 0.875, MODEL_IMAGENET_NORM),
    VIT("vit_base_patch16_384", 384, 16, 768, 12, 12, false, 1.0, VIT_HALF_NORM),
    VIT("vit_base_patch32_384", 384, 32, 768, 12, 12, false, 1.0, VIT_HALF_NORM),
    VIT("vit_large_patch16_384", 384, 16, 1024, 24, 16, false, 1.0, VIT_HALF_NORM),
    VIT("vit_large_patch32_384", 384, 32, 1024, 24, 16, false, 1.0, VIT_HALF_NORM),
};
DEIT_INTERNAL const model_config *model_vit_configs(int *count) {
    *count = (int)(sizeof vit_configs / sizeof *vit_configs);
    return vit_configs;
}
DEIT_INTERNAL model_config model_vit(void) {
    return (model_config)VIT("vit", 224, 16, 192, 12, 3, false, 0.875, MODEL_IMAGENET_NORM);
}
#undef VIT
#undef VIT_HALF_NORM
