/* Gradients of each operator against finite differences; dropout, accumulation, freezing, recomputing, and that a step
 * gives the same bits again. */

enum { GRADIENTS_BATCH = 4, GRADIENTS_SIDE = 9, GRADIENTS_CLASSES = 5 };
typedef nn_value (*gradients_part)(nn_graph *g, nn_value x);
typedef struct {
    nn_params *params;
    nn_plan *plan;
    float images[GRADIENTS_BATCH * 3 * GRADIENTS_SIDE * GRADIENTS_SIDE];
    float targets[GRADIENTS_BATCH * GRADIENTS_CLASSES], teacher[GRADIENTS_BATCH * GRADIENTS_CLASSES];
} gradients_case;

static void gradients_fill(gradients_case *c) {
    probe_fill("images", c->images, (int64_t)(sizeof c->images / sizeof *c->images), 1, 0);
    probe_fill("teacher", c->teacher, GRADIENTS_BATCH * GRADIENTS_CLASSES, 2, 0);
    probe_fill("targets", c->targets, GRADIENTS_BATCH * GRADIENTS_CLASSES, 0.5, 0.5);
    for (int i = 0; i < c->params->count; i++) {
        const nn_param *param = &c->params->params[i];
        const char *leaf = strrchr(param->name, '.') ? strrchr(param->name, '.') : param->name;
        bool weight = param->ndim > 1, one = !strcmp(leaf, ".running_var") || (!weight && !strcmp(leaf, ".weight"));
        double scale = weight ? sqrt(3.0 / (double)(param->count / param->dim[0])) : 0.3;
        probe_fill(param->name, c->params->values + param->offset, param->count, scale, one);
    }
}

/* The graph's loss, its backward where asked, and a plan. */
static void gradients_make(gradients_case *c, nn_graph *g, nn_value loss, bool backward, nn_plan_options o) {
    nn_output(g, loss);
    if (backward) nn_backward(g, loss);
    CHECK_OK(nn_params_new(&c->params, g, true));
    gradients_fill(c);
    o.params = c->params;
    CHECK_OK(nn_plan_new(&c->plan, g, &o));
}

/* image -> 3x3 convolution to 16 channels -> the part -> mean over pixels -> linear -> cross entropy. */
static void gradients_map_case(gradients_case *c, gradients_part part, bool trains, bool backward, int threads) {
    nn_graph *g = nn_graph_new(GRADIENTS_BATCH);
    if (trains) nn_graph_trains(g);
    nn_value x = nn_input(g, 3, (int64_t[]){3, GRADIENTS_SIDE, GRADIENTS_SIDE});
    nn_value targets = nn_input(g, 1, (int64_t[]){GRADIENTS_CLASSES});
    nn_input(g, 1, (int64_t[]){GRADIENTS_CLASSES});
    x = nn_conv(g, nn_channels_last(g, x), 16, (nn_window){.kernel = 3, .stride = 1, .bias = true}, "first");
    x = nn_linear(g, nn_global_pool(g, part(g, x)), GRADIENTS_CLASSES, "head");
    gradients_make(c, g, nn_cross_entropy(g, x, targets), backward, (nn_plan_options){.threads = threads});
}

static void gradients_free(gradients_case *c) {
    nn_plan_free(c->plan);
    nn_params_free(c->params);
    *c = (gradients_case){.plan = NULL};
}

static double gradients_loss(gradients_case *c) {
    float loss = NAN;
    CHECK_OK(nn_plan_refresh(c->plan, nn_params_source(c->params)));
    CHECK_OK(nn_run(c->plan, GRADIENTS_BATCH, (const float *const[]){c->images, c->targets, c->teacher},
                    (float *const[]){&loss}));
    return (double)loss;
}

/* The loss's slope along a direction of one parameter, of length 1. */
static double gradients_slope(gradients_case *c, float *value, const double *direction, int64_t count, double h) {
    double loss[2];
    for (int side = 0; side < 2; side++) {
        float *kept = malloc((size_t)count * sizeof *kept);
        memcpy(kept, value, (size_t)count * sizeof *kept);
        for (int64_t j = 0; j < count; j++) value[j] = (float)((double)value[j] + (side ? h : -h) * direction[j]);
        loss[side] = gradients_loss(c);
        memcpy(value, kept, (size_t)count * sizeof *kept);
        free(kept);
    }
    return (loss[1] - loss[0]) / (2 * h);
}

/* Each parameter's gradient along itself and along a random direction; the loss is good to 2e-7. */
static void gradients_check(const char *what, gradients_case *c, double h, double relative) {
    if (!c->plan) return;
    gradients_loss(c);
    float *gradients = malloc((size_t)c->params->size * sizeof *gradients);
    memcpy(gradients, c->params->gradients, (size_t)c->params->size * sizeof *gradients);
    for (int i = 0; i < c->params->count; i++) {
        const nn_param *param = &c->params->params[i];
        if (param->buffer) continue;
        const float *g = gradients + param->offset;
        float *along = malloc((size_t)param->count * sizeof *along);
        double *direction = malloc((size_t)param->count * sizeof *direction), size = 0;
        probe_fill(param->name, along, param->count, 1, 0.1);
        for (int64_t j = 0; j < param->count; j++) size += (double)g[j] * (double)g[j];
        size = sqrt(size);
        for (int way = 0; way < 2; way++) {
            double length = 0, expected = 0;
            for (int64_t j = 0; j < param->count; j++)
                direction[j] = (double)(way || size < 1e-6 ? along[j] : g[j]), length += direction[j] * direction[j];
            for (int64_t j = 0; j < param->count; j++)
                direction[j] /= sqrt(length), expected += direction[j] * (double)g[j];
            double slope = gradients_slope(c, c->params->values + param->offset, direction, param->count, h);
            if (!(fabs(slope - expected) <= relative * size + 4e-7 / h))
                TEST_FAIL("%s: %s: slope %.7g, gradient %.7g (of %.3g)", what, param->name, slope, expected, size);
        }
        free(along), free(direction);
    }
    free(gradients);
}

/* ---- Parts ------------------------------------------------------------------------------------------------------- */

static nn_value gradients_conv(nn_graph *g, nn_value x, int64_t out, nn_window window) {
    x = nn_conv(g, x, out, window, "conv");
    return nn_activate(g, nn_batch_norm(g, x, 1e-3f, "bn"), NN_SILU);
}
#define GRADIENTS_CONV(id, out, ...)                                                                                   \
    static nn_value gradients_##id(nn_graph *g, nn_value x) {                                                          \
        return gradients_conv(g, x, out, (nn_window){__VA_ARGS__});                                                    \
    }
GRADIENTS_CONV(pointwise, 20, .kernel = 1, .stride = 1)
GRADIENTS_CONV(strided, 24, .kernel = 1, .stride = 2)
GRADIENTS_CONV(three, 12, .kernel = 3, .stride = 2)
GRADIENTS_CONV(three_same, 12, .kernel = 3, .stride = 2, .same = true)
GRADIENTS_CONV(seven, 8, .kernel = 7, .stride = 2)
GRADIENTS_CONV(grouped, 32, .kernel = 3, .stride = 1, .groups = 2)
GRADIENTS_CONV(grouped_strided, 32, .kernel = 3, .stride = 2, .groups = 2)
GRADIENTS_CONV(depthwise, 16, .kernel = 3, .stride = 1, .groups = 16)
GRADIENTS_CONV(depthwise_five, 16, .kernel = 5, .stride = 1, .groups = 16, .same = true)
GRADIENTS_CONV(depthwise_strided, 16, .kernel = 3, .stride = 2, .groups = 16, .same = true)
GRADIENTS_CONV(depthwise_seven, 16, .kernel = 7, .stride = 2, .groups = 16)
#undef GRADIENTS_CONV

/* Depthwise with a bias, in more channels than whole vectors hold. */
static nn_value gradients_depthwise_bias(nn_graph *g, nn_value x) {
    x = nn_conv(g, x, 20, (nn_window){.kernel = 1, .stride = 1}, "widen");
    x = nn_conv(g, x, 20, (nn_window){.kernel = 5, .stride = 2, .groups = 20, .same = true, .bias = true}, "conv");
    return nn_activate(g, x, NN_SIGMOID);
}
/* On a map of 2 x 2 no window lies inside. */
static nn_value gradients_depthwise_tiny(nn_graph *g, nn_value x) {
    for (int i = 0; i < 3; i++) x = nn_pool(g, x, NN_POOL_AVERAGE, 3, 2);
    return gradients_conv(g, x, 16, (nn_window){.kernel = 3, .stride = 2, .groups = 16, .same = true});
}
static nn_value gradients_activations(nn_graph *g, nn_value x) {
    return nn_add(g, nn_activate(g, x, NN_GELU), nn_add(g, nn_activate(g, x, NN_SILU), nn_activate(g, x, NN_SIGMOID)));
}
/* batch norm with an addition and without an activation; twice read. */
static nn_value gradients_norm_add(nn_graph *g, nn_value x) {
    nn_value y = nn_batch_norm(g, nn_conv(g, x, 16, (nn_window){.kernel = 1, .stride = 1}, "conv"), 1e-5f, "bn");
    y = nn_add(g, x, y);
    return nn_add(g, y, nn_activate(g, y, NN_SILU));
}
static nn_value gradients_relu(nn_graph *g, nn_value x) {
    nn_value y = nn_activate(g, nn_batch_norm(g, x, 1e-5f, "bn"), NN_RELU);
    y = nn_batch_norm(g, nn_conv(g, y, 16, (nn_window){.kernel = 1, .stride = 1}, "conv"), 1e-5f, "bn2");
    return nn_activate(g, nn_add(g, x, y), NN_RELU);
}
static nn_value gradients_squeeze(nn_graph *g, nn_value x) {
    const nn_window vector = {.kernel = 1, .stride = 1, .bias = true};
    nn_value s = nn_activate(g, nn_conv(g, nn_global_pool(g, x), 6, vector, "reduce"), NN_SILU);
    return nn_scale(g, x, nn_activate(g, nn_conv(g, s, 16, vector, "expand"), NN_SIGMOID));
}
static nn_value gradients_gated(nn_graph *g, nn_value x) {
    return gradients_conv(g, gradients_squeeze(g, x), 32, (nn_window){.kernel = 1, .stride = 1});
}
static nn_value gradients_max(nn_graph *g, nn_value x) {
    return nn_pool(g, x, NN_POOL_MAX, 3, 2);
}
static nn_value gradients_mean(nn_graph *g, nn_value x) {
    return nn_activate(g, nn_pool(g, x, NN_POOL_AVERAGE, 3, 2), NN_SILU);
}
/* The layout's change read as a map of other channels. */
static nn_value gradients_layout(nn_graph *g, nn_value x) {
    x = nn_conv(g, nn_channels_last(g, x), 8, (nn_window){.kernel = 1, .stride = 1}, "conv");
    return nn_activate(g, x, NN_SILU);
}

static const struct {
    const char *name;
    gradients_part part;
    double h, relative; /* where there are kinks, a smaller step and a wider bound */
} gradients_parts[] = {
    {"pointwise", gradients_pointwise, 0.02, 2e-3},
    {"strided", gradients_strided, 0.02, 2e-3},
    {"3x3", gradients_three, 0.02, 2e-3},
    {"3x3 same", gradients_three_same, 0.02, 2e-3},
    {"7x7", gradients_seven, 0.02, 2e-3},
    {"grouped", gradients_grouped, 0.02, 2e-3},
    {"grouped strided", gradients_grouped_strided, 0.02, 2e-3},
    {"depthwise", gradients_depthwise, 0.02, 2e-3},
    {"depthwise 5x5", gradients_depthwise_five, 0.02, 2e-3},
    {"depthwise strided", gradients_depthwise_strided, 0.02, 2e-3},
    {"depthwise tiny", gradients_depthwise_tiny, 0.02, 2e-3},
    {"depthwise 7x7", gradients_depthwise_seven, 0.02, 2e-3},
    {"depthwise bias", gradients_depthwise_bias, 0.02, 2e-3},
    {"activations", gradients_activations, 0.02, 2e-3},
    {"norm and add", gradients_norm_add, 0.02, 2e-3},
    {"relu", gradients_relu, 0.01, 1e-2},
    {"squeeze", gradients_squeeze, 0.02, 2e-3},
    {"gated", gradients_gated, 0.02, 2e-3},
    {"max", gradients_max, 0.01, 1e-2},
    {"average", gradients_mean, 0.02, 2e-3},
    {"layout", gradients_layout, 0.02, 2e-3},
};

TEST(gradients_of_maps) {
    for (size_t i = 0; i < sizeof gradients_parts / sizeof *gradients_parts; i++) {
        gradients_case c = {.plan = NULL};
        gradients_map_case(&c, gradients_parts[i].part, true, true, 1 + (int)(i % 2));
        gradients_check(gradients_parts[i].name, &c, gradients_parts[i].h, gradients_parts[i].relative);
        gradients_free(&c);
    }
}

/* Without a backward a plan of training fuses more, and the loss is the same. */
TEST(gradients_leave_the_loss) {
    for (size_t i = 0; i < sizeof gradients_parts / sizeof *gradients_parts; i++) {
        double loss[2] = {NAN, NAN};
        for (int backward = 0; backward < 2; backward++) {
            gradients_case c = {.plan = NULL};
            gradients_map_case(&c, gradients_parts[i].part, true, backward, 2);
            if (c.plan) loss[backward] = gradients_loss(&c);
            gradients_free(&c);
        }
        if (!(fabs(loss[0] - loss[1]) <= 1e-5 * loss[1]))
            TEST_FAIL("%s: loss %.7g, with its backward %.7g", gradients_parts[i].name, loss[0], loss[1]);
    }
}

/* As in fine-tuning: batch norm's running statistics are constants, and stay what they are. */
TEST(gradients_with_running_statistics) {
    for (size_t i = 0; i < sizeof gradients_parts / sizeof *gradients_parts; i++) {
        gradients_case c = {.plan = NULL};
        if (!strchr("3ngr", gradients_parts[i].name[0])) continue; /* what has batch norm in it, each way */
        gradients_map_case(&c, gradients_parts[i].part, false, true, 1 + (int)(i % 2));
        gradients_check(gradients_parts[i].name, &c, gradients_parts[i].h, gradients_parts[i].relative);
        for (int p = 0, norms = 0; c.plan && p < c.params->count; p++) {
            const nn_param *param = &c.params->params[p];
            float was[64];
            norms += param->buffer;
            if (p == c.params->count - 1) CHECK(norms >= 2);
            if (!param->buffer) continue;
            probe_fill(param->name, was, param->count, 0.3, strstr(param->name, "running_var") != NULL);
            CHECK(!memcmp(was, c.params->values + param->offset, (size_t)param->count * sizeof *was));
        }
        gradients_free(&c);
    }
}

/* ---- Transformers ------------------------------------------------------------------------------------------------ */

typedef struct {
    int heads; /* 0: 2 */
    double drop, drop_path;
    bool (*frozen)(void *user, const nn_param *param);
    nn_plan_options options;
} gradients_how;

/* A small distilled DeiT with every loss and both ways to drop. */
static void gradients_vit_case(gradients_case *c, gradients_how how) {
    model_config config = model_vit();
    config.image = GRADIENTS_SIDE, config.patch = 3, config.dim = 24, config.depth = 3,
    config.heads = how.heads ? how.heads : 2, config.classes = GRADIENTS_CLASSES, config.distilled = true,
    config.drop = how.drop, config.drop_path = how.drop_path;
    nn_graph *g = nn_graph_new(GRADIENTS_BATCH);
    nn_graph_trains(g);
    nn_value logits[MODEL_MAX_HEADS], x = nn_input(g, 3, (int64_t[]){3, config.image, config.image});
    nn_value targets = nn_input(g, 1, (int64_t[]){GRADIENTS_CLASSES}),
             teacher = nn_input(g, 1, (int64_t[]){GRADIENTS_CLASSES});
    config.family->build(&config, g, x, logits);
    nn_value loss = nn_weighted(g, nn_cross_entropy(g, nn_average(g, logits[0], logits[1]), targets), 0.7,
                                nn_distillation(g, logits[1], teacher, 2), 30);
    if (how.frozen) nn_graph_freeze(g, how.frozen, NULL);
    gradients_make(c, g, loss, true, how.options);
    if (c->plan) nn_plan_step(c->plan, 5, 17);
}

TEST(gradients_of_transformers) {
    for (int threads = 1; threads <= 2; threads++) {
        gradients_case c = {.plan = NULL};
        gradients_vit_case(&c, (gradients_how){.drop = 0.1, .drop_path = 0.3, .options = {.threads = threads}});
        gradients_check("vit", &c, 0.01, 3e-3);
        gradients_free(&c);
    }
}

/* Heads of a single channel: products with one column, whose rows lie apart. */
TEST(gradients_of_heads_of_one_channel) {
    gradients_case c = {.plan = NULL};
    gradients_vit_case(&c, (gradients_how){.heads = 24, .options = {.threads = 1}});
    gradients_check("vit", &c, 0.01, 3e-3);
    gradients_free(&c);
}

/* ---- What is kept, left out and added ---------------------------------------------------------------------------- */

static float *gradients_of(gradients_case *c, double *loss) {
    *loss = gradients_loss(c);
    float *copy = malloc((size_t)c->params->size * sizeof *copy);
    memcpy(copy, c->params->gradients, (size_t)c->params->size * sizeof *copy);
    return copy;
}

TEST(gradients_repeat_to_the_bit) {
    const gradients_how how = {.drop = 0.1, .drop_path = 0.3, .options = {.threads = 2}};
    gradients_case a = {.plan = NULL}, b = {.plan = NULL};
    gradients_vit_case(&a, how), gradients_vit_case(&b, how);
    double loss[3];
    float *first = gradients_of(&a, &loss[0]), *second = gradients_of(&b, &loss[1]);
    CHECK(loss[0] == loss[1] && !memcmp(first, second, (size_t)a.params->size * sizeof *first));
    nn_plan_step(b.plan, 5, 18); /* another step drops others */
    loss[2] = gradients_loss(&b);
    CHECK(loss[2] != loss[1]);
    free(first), free(second);
    gradients_free(&a), gradients_free(&b);
}

TEST(gradients_accumulate) {
    gradients_case c = {.plan = NULL};
    gradients_vit_case(&c, (gradients_how){.options = {.threads = 2}});
    double loss;
    float *once = gradients_of(&c, &loss);
    nn_plan_accumulate(c.plan, true);
    gradients_loss(&c), gradients_loss(&c);
    double most = 0, worst = 0;
    for (int64_t j = 0; j < c.params->size; j++) {
        most = fmax(most, fabs((double)once[j]));
        worst = fmax(worst, fabs((double)c.params->gradients[j] - 3 * (double)once[j]));
    }
    CHECK(worst <= 1e-5 * most);
    nn_plan_accumulate(c.plan, false);
    gradients_loss(&c);
    CHECK(!memcmp(once, c.params->gradients, (size_t)c.params->size * sizeof *once));
    free(once);
    gradients_free(&c);
}

static bool gradients_frozen(void *user, const nn_param *param) {
    (void)user;
    return !strncmp(param->name, "blocks.0.", 9) || !strcmp(param->name, "blocks.1.norm1.weight") ||
           !strcmp(param->name, "blocks.2.mlp.fc1.bias") || !strcmp(param->name, "pos_embed");
}
TEST(gradients_of_frozen_parameters) {
    gradients_case all = {.plan = NULL}, some = {.plan = NULL};
    gradients_vit_case(&all, (gradients_how){.options = {.threads = 2}});
    gradients_vit_case(&some, (gradients_how){.frozen = gradients_frozen, .options = {.threads = 2}});
    double loss[2];
    float *expected = gradients_of(&all, &loss[0]), *found = gradients_of(&some, &loss[1]);
    CHECK(loss[0] == loss[1]);
    for (int i = 0; i < all.params->count; i++) {
        const nn_param *param = &some.params->params[i];
        bool frozen = gradients_frozen(NULL, param);
        CHECK(param->frozen == frozen);
        for (int64_t j = param->offset; j < param->offset + param->count; j++)
            if (found[j] != (frozen ? 0 : expected[j])) {
                TEST_FAIL("%s: %g, with nothing frozen %g", param->name, (double)found[j], (double)expected[j]);
                break;
            }
    }
    free(expected), free(found);
    gradients_free(&all), gradients_free(&some);
}

/* The same bits from less memory. */
TEST(gradients_recomputed) {
    gradients_how how = {.drop = 0.1, .drop_path = 0.3, .options = {.threads = 2}};
    gradients_case kept = {.plan = NULL}, again = {.plan = NULL};
    gradients_vit_case(&kept, how);
    how.options.recompute = true;
    gradients_vit_case(&again, how);
    double loss[2];
    size_t weights, memory[2];
    float *expected = gradients_of(&kept, &loss[0]), *found = gradients_of(&again, &loss[1]);
    CHECK(loss[0] == loss[1] && !memcmp(expected, found, (size_t)kept.params->size * sizeof *found));
    nn_plan_memory(kept.plan, &weights, &memory[0]);
    nn_plan_memory(again.plan, &weights, &memory[1]);
    CHECK(memory[1] < memory[0]);
    free(expected), free(found);
    gradients_free(&kept), gradients_free(&again);
}

/* Statistics move once a run, though the norms of a block run twice. */
static void gradients_recomputed_convnets(nn_dtype precision, double drop_path) {
    static const char *const names[] = {"resnet18", "tf_efficientnet_b0"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        size_t memory[2], weights;
        nn_params *params[2] = {NULL, NULL};
        for (int recompute = 0; recompute < 2; recompute++) {
            model_config config;
            CHECK_OK(model_find(names[n], &config));
            config.image = 64, config.classes = GRADIENTS_CLASSES, config.drop_path = drop_path;
            nn_graph *g = nn_graph_new(GRADIENTS_BATCH);
            nn_graph_trains(g);
            nn_value logits[MODEL_MAX_HEADS], x = nn_input(g, 3, (int64_t[]){3, config.image, config.image});
            nn_value targets = nn_input(g, 1, (int64_t[]){GRADIENTS_CLASSES});
            config.family->build(&config, g, x, logits);
            nn_value loss = nn_cross_entropy(g, logits[0], targets);
            nn_output(g, loss);
            nn_backward(g, loss);
            nn_plan *plan = NULL;
            CHECK_OK(nn_params_new(&params[recompute], g, true));
            for (int i = 0; i < params[recompute]->count; i++) {
                const nn_param *param = &params[recompute]->params[i];
                nn_param_init(param, i, 3, params[recompute]->values + param->offset);
                if (param->init == NN_INIT_ZERO && !param->buffer) /* a block that starts at zero would show nothing */
                    for (int64_t j = 0; j < param->count; j++) params[recompute]->values[param->offset + j] = 0.5f;
            }
            nn_plan_options o = {
                .precision = precision, .threads = 2, .params = params[recompute], .recompute = recompute};
            CHECK_OK(nn_plan_new(&plan, g, &o));
            if (!plan) return;
            nn_plan_memory(plan, &weights, &memory[recompute]);
            float *images = probe_images(GRADIENTS_BATCH, config.image), value;
            float target[GRADIENTS_BATCH * GRADIENTS_CLASSES] = {1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1};
            CHECK_OK(nn_plan_refresh(plan, nn_params_source(params[recompute])));
            CHECK_OK(nn_run(plan, GRADIENTS_BATCH, (const float *const[]){images, target}, (float *const[]){&value}));
            free(images);
            nn_plan_free(plan);
        }
        size_t bytes = (size_t)params[0]->size * sizeof(float);
        CHECK(!memcmp(params[0]->gradients, params[1]->gradients, bytes));
        CHECK(!memcmp(params[0]->values, params[1]->values, bytes));
        CHECK(memory[1] < memory[0]);
        nn_params_free(params[0]), nn_params_free(params[1]);
    }
}
TEST(gradients_recomputed_convnets) {
    gradients_recomputed_convnets(NN_F32, 0.2);
}
TEST(gradients_recomputed_convnets_bf16) {
    if (!nn_has_bf16()) SKIP("this processor has no bf16 instructions");
    gradients_recomputed_convnets(NN_BF16, 0.2);
    gradients_recomputed_convnets(NN_BF16, 0);
}

/* ---- Dropping ---------------------------------------------------------------------------------------------------- */

enum { GRADIENTS_MANY = 1000, GRADIENTS_WIDE = 50 };
static void gradients_drop(bool path, int threads, float *y) {
    nn_graph *g = nn_graph_new(GRADIENTS_MANY);
    nn_graph_trains(g);
    nn_value x = nn_input(g, 1, (int64_t[]){GRADIENTS_WIDE});
    nn_output(g, path ? nn_drop_path(g, x, 0.2) : nn_dropout(g, x, 0.2));
    nn_params *params = NULL;
    nn_plan *plan = NULL;
    CHECK_OK(nn_params_new(&params, g, false));
    CHECK_OK(nn_plan_new(&plan, g, &(nn_plan_options){.threads = threads, .params = params}));
    if (!plan) return;
    float *ones = malloc(sizeof(float) * GRADIENTS_MANY * GRADIENTS_WIDE);
    for (int i = 0; i < GRADIENTS_MANY * GRADIENTS_WIDE; i++) ones[i] = 1;
    nn_plan_step(plan, 1, 2);
    CHECK_OK(nn_run(plan, GRADIENTS_MANY, (const float *const[]){ones}, (float *const[]){y}));
    free(ones);
    nn_plan_free(plan);
    nn_params_free(params);
}

/* A fifth is dropped, to five standard deviations; the rest is 1 / 0.8; threads change nothing. */
TEST(gradients_dropping) {
    static float y[2][GRADIENTS_MANY * GRADIENTS_WIDE];
    for (int path = 0; path < 2; path++) {
        gradients_drop(path, 1, y[0]), gradients_drop(path, 2, y[1]);
        CHECK(!memcmp(y[0], y[1], sizeof y[0]));
        int dropped = 0, step = path ? GRADIENTS_WIDE : 1, n = GRADIENTS_MANY * GRADIENTS_WIDE / step;
        for (int i = 0; i < n; i++) {
            dropped += y[0][i * step] == 0;
            for (int j = 0; j < step; j++) CHECK(y[0][i * step + j] == y[0][i * step]);
            CHECK(y[0][i * step] == 0 || fabs((double)y[0][i * step] - 1.25) < 1e-6);
        }
        CHECK(fabs(dropped - 0.2 * n) < 5 * sqrt(0.16 * n));
    }
    nn_graph *g = nn_graph_new(1);
    nn_value x = nn_input(g, 1, (int64_t[]){4});
    CHECK_EQ_INT(nn_dropout(g, x, 0.5), x); /* nothing to drop outside of training */
    nn_drop_path(g, x, 1);
    CHECK_FAIL_HAS(nn_graph_status(g), "drop path: a probability of 1");
    nn_graph_free(g);
}

/* The stream's numbers in order, 32 bits each, however many are wanted: the same as drawn one by one. As in PyTorch,
 * what is dropped is a product by zero. */
TEST(gradients_dropout_draws_the_stream) {
    float x[80], y[80];
    for (int count = 0; count <= 79; count++) {
        base_random random = base_random_stream(7, 1, (uint64_t)count, 2);
        for (int i = 0; i < 80; i++) x[i] = y[i] = (float)(i + 1);
        nn_simd()->dropout(random.key, (uint32_t)(0.3 * 4294967296.0), 1.25f, y, y, count);
        uint64_t bits = 0;
        for (int i = 0; i < 80; i++) {
            bits = i % 2 ? bits >> 32 : base_random_u64(&random);
            bool dropped = (double)(bits & 0xffffffffu) < 0.3 * 4294967296.0;
            CHECK(y[i] == (i >= count ? x[i] : dropped ? 0 : x[i] * 1.25f));
        }
    }
    x[3] = INFINITY, x[40] = NAN;
    nn_simd()->dropout((uint64_t[2]){0}, UINT32_MAX, 1, x, y, 80); /* all but certain: every one */
    for (int i = 0; i < 80; i++) CHECK(i == 3 || i == 40 ? isnan(y[i]) : y[i] == 0);
}

/* ---- What training refuses --------------------------------------------------------------------------------------- */

TEST(gradients_refuse) {
    nn_graph *g = nn_graph_new(1);
    nn_graph_trains(g);
    nn_value x = nn_input(g, 3, (int64_t[]){1, 1, 4});
    nn_batch_norm(g, x, 1e-5f, "lonely");
    CHECK_FAIL_HAS(nn_graph_status(g), "lonely: batch norm of one pixel a channel");
    nn_graph_free(g);
    g = nn_graph_new(2);
    x = nn_linear(g, nn_input(g, 1, (int64_t[]){3}), 3, "head");
    nn_distillation(g, x, nn_input(g, 1, (int64_t[]){4}), 1);
    CHECK_FAIL_HAS(nn_graph_status(g), "3 classes, but the teacher has 4");
    nn_graph_free(g);
}
