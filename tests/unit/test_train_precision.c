/* bf16 where no processor needs to have it: loops of our own against the same loops in f32, and which values of a graph
 * become bf16. */

enum { PRECISION_COUNT = 16 * 37 + 5, PRECISION_COLS = 37, PRECISION_ROWS = PRECISION_COUNT / PRECISION_COLS };

/* Numbers that bf16 has: x in f32 and in bf16. */
static void precision_fill(const char *name, float *x, uint16_t *half, int64_t n) {
    probe_fill(name, x, n, 2, 0);
    for (int64_t i = 0; i < n; i++) half[i] = store_f32_to_bf16(x[i]), x[i] = store_bf16_to_f32(half[i]);
}
/* `half` is `x` rounded, but where it lay at the middle within f32's own rounding. */
static void precision_same(const char *what, const float *x, const uint16_t *half, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float found = store_bf16_to_f32(half[i]);
        if (half[i] != store_f32_to_bf16(x[i]) && !(fabsf(found - x[i]) <= 0.00196f * fabsf(x[i]))) {
            TEST_FAIL("%s: number %lld is %g in f32, %g in bf16", what, (long long)i, (double)x[i], (double)found);
            return;
        }
    }
}
static void precision_near(const char *what, const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-5f * (1 + fabsf(a[i])))) {
            TEST_FAIL("%s: number %lld is %g from f32, %g from bf16", what, (long long)i, (double)a[i], (double)b[i]);
            return;
        }
}

static struct {
    float x[PRECISION_COUNT], dy[PRECISION_COUNT], y[PRECISION_COUNT], other[PRECISION_COUNT];
    uint16_t x16[PRECISION_COUNT + 16], dy16[PRECISION_COUNT + 16], y16[PRECISION_COUNT + 16];
    float part[2 * PRECISION_COLS], part16[2 * PRECISION_COLS], weight[PRECISION_COLS], bias[PRECISION_COLS];
    double sums[2 * PRECISION_COLS], sums16[2 * PRECISION_COLS];
} precision;

/* The loops for AVX-512 round to bf16 by an instruction that some of its processors lack. */
static bool precision_has_loops(void) {
    int isa = (int)dnnl_get_effective_cpu_isa(), avx512 = dnnl_cpu_isa_avx512_core;
    return (isa & avx512) != avx512 || nn_has_bf16();
}
#define PRECISION_NEEDS_LOOPS                                                                                          \
    if (!precision_has_loops()) SKIP("AVX-512 without bf16 instructions")

static const nn_simd_table *precision_begin(void) {
    memset(&precision, 0, sizeof precision);
    precision_fill("x", precision.x, precision.x16, PRECISION_COUNT);
    precision_fill("dy", precision.dy, precision.dy16, PRECISION_COUNT);
    probe_fill("weight", precision.weight, PRECISION_COLS, 1, 1);
    probe_fill("bias", precision.bias, PRECISION_COLS, 1, 0);
    return nn_simd();
}
static void precision_same_sums(const char *what) {
    float a[2 * PRECISION_COLS], b[2 * PRECISION_COLS];
    for (int i = 0; i < 2 * PRECISION_COLS; i++) a[i] = (float)precision.sums[i], b[i] = (float)precision.sums16[i];
    precision_near(what, a, b, 2 * PRECISION_COLS);
}

TEST(precision_loops_by_number) {
    PRECISION_NEEDS_LOOPS;
    const nn_simd_table *simd = precision_begin();
    for (int kind = NN_GELU; kind <= NN_SIGMOID; kind++) {
        simd->activate((nn_activation)kind, precision.x, NN_F32, precision.y, NN_F32, PRECISION_COUNT);
        simd->activate((nn_activation)kind, precision.x16, NN_BF16, precision.y16, NN_BF16, PRECISION_COUNT);
        precision_same("activation", precision.y, precision.y16, PRECISION_COUNT);
        simd->activate((nn_activation)kind, precision.x16, NN_BF16, precision.other, NN_F32, PRECISION_COUNT);
        precision_near("activation to f32", precision.y, precision.other, PRECISION_COUNT);
        simd->activate_backward((nn_activation)kind, precision.x, precision.dy, precision.y, NN_F32, PRECISION_COUNT);
        simd->activate_backward((nn_activation)kind, precision.x16, precision.dy16, precision.y16, NN_BF16,
                                PRECISION_COUNT);
        precision_same("its gradient", precision.y, precision.y16, PRECISION_COUNT);
    }
    simd->add(precision.x, NN_F32, precision.dy, NN_F32, precision.y, NN_F32, PRECISION_COUNT);
    simd->add(precision.x, NN_F32, precision.dy16, NN_BF16, precision.other, NN_F32, PRECISION_COUNT);
    precision_near("sum", precision.y, precision.other, PRECISION_COUNT);
    simd->add(precision.x16, NN_BF16, precision.dy16, NN_BF16, precision.y16, NN_BF16, PRECISION_COUNT);
    precision_same("sum", precision.y, precision.y16, PRECISION_COUNT);
    simd->from_bf16(precision.x16, precision.other, PRECISION_COUNT);
    CHECK(!memcmp(precision.x, precision.other, sizeof precision.x));
}

TEST(precision_loops_of_norms) {
    PRECISION_NEEDS_LOOPS;
    const nn_simd_table *simd = precision_begin();
    float mean[PRECISION_COLS], rstd[PRECISION_COLS], means[2 * PRECISION_COLS];
    simd->layer_norm_backward(precision.x, precision.dy, NN_F32, precision.weight, precision.other, precision.y,
                              precision.sums, precision.part, PRECISION_ROWS, PRECISION_COLS, 1e-6f);
    float *dx = calloc(PRECISION_COUNT, sizeof *dx);
    simd->layer_norm_backward(precision.x, precision.dy16, NN_BF16, precision.weight, precision.other, dx,
                              precision.sums16, precision.part, PRECISION_ROWS, PRECISION_COLS, 1e-6f);
    precision_near("layer norm's gradient", precision.y, dx, PRECISION_ROWS * PRECISION_COLS);
    precision_same_sums("layer norm's parameters");
    free(dx);
    probe_fill("mean", mean, PRECISION_COLS, 0.1, 0);
    probe_fill("rstd", rstd, PRECISION_COLS, 0.1, 1);
    probe_fill("means", means, 2 * PRECISION_COLS, 0.1, 0);
    nn_norm norm = {precision.x, NULL, NN_F32, PRECISION_COLS, mean, rstd, precision.weight, precision.bias},
            half = norm;
    half.type = NN_BF16; /* of all but x */
    for (int kind = NN_NO_ACTIVATION; kind <= NN_SILU; kind++) {
        memset(precision.sums, 0, sizeof precision.sums), memset(precision.sums16, 0, sizeof precision.sums16);
        simd->norm_forward((nn_activation)kind, &norm, precision.dy, precision.y, 0, PRECISION_ROWS);
        simd->norm_forward((nn_activation)kind, &half, precision.dy, precision.y16, 0, PRECISION_ROWS);
        precision_same("batch norm", precision.y, precision.y16, PRECISION_ROWS * PRECISION_COLS);
        simd->norm_sums((nn_activation)kind, &norm, precision.dy, 0, PRECISION_ROWS, precision.sums, precision.part);
        simd->norm_sums((nn_activation)kind, &half, precision.dy16, 0, PRECISION_ROWS, precision.sums16,
                        precision.part16);
        precision_same_sums("batch norm's parameters");
        simd->norm_backward((nn_activation)kind, &norm, precision.dy, means, precision.y, 0, PRECISION_ROWS);
        simd->norm_backward((nn_activation)kind, &half, precision.dy16, means, precision.y16, 0, PRECISION_ROWS);
        precision_same("batch norm's gradient", precision.y, precision.y16, PRECISION_ROWS * PRECISION_COLS);
    }
}

/* A hat that is kept: to 2^-11 of itself between its smallest and its largest, whose signs stay; the gradient reads it
 * in place of x; not a number stays none in the value. */
TEST(precision_loops_of_kept_hats) {
    PRECISION_NEEDS_LOOPS;
    const nn_simd_table *simd = precision_begin();
    static uint16_t hat[PRECISION_COUNT];
    float one[PRECISION_COLS], zero[PRECISION_COLS] = {0}, means[2 * PRECISION_COLS];
    for (int c = 0; c < PRECISION_COLS; c++) one[c] = 1;
    probe_fill("means", means, 2 * PRECISION_COLS, 0.1, 0);
    static const float ends[] = {1e-30f, -1e-30f, 0, -70000, 3e38f, 65504, 0x1p-15f, -1.0009765625f};
    static const float kept[] = {0x1p-15f, -0x1p-15f, 0x1p-15f, -65504, 65504, 65504, 0x1p-15f, -1.0009765625f};
    memcpy(precision.x, ends, sizeof ends);
    nn_norm norm = {precision.x, hat, NN_F32, PRECISION_COLS, zero, one, one, zero};
    simd->norm_forward(NN_NO_ACTIVATION, &norm, NULL, precision.y, 0, PRECISION_ROWS);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) CHECK(precision.y[i] == kept[i]);
    for (int i = (int)(sizeof ends / sizeof *ends); i < PRECISION_ROWS * PRECISION_COLS; i++)
        if (!(fabsf(precision.y[i] - precision.x[i]) <= fmaxf(0x1p-15f, fabsf(precision.x[i]) * 0x1p-11f)))
            TEST_FAIL("the hat of %g is kept as %g", (double)precision.x[i], (double)precision.y[i]);
    nn_norm plain = norm;
    memcpy(precision.other, precision.y, sizeof precision.other);
    plain.x = precision.other, plain.hat = NULL, norm.x = NULL;
    for (int kind = NN_NO_ACTIVATION; kind <= NN_SILU; kind++) {
        float dx[2][PRECISION_COLS * 4];
        memset(precision.sums, 0, sizeof precision.sums), memset(precision.sums16, 0, sizeof precision.sums16);
        simd->norm_sums((nn_activation)kind, &norm, precision.dy, 0, PRECISION_ROWS, precision.sums, precision.part);
        simd->norm_sums((nn_activation)kind, &plain, precision.dy, 0, PRECISION_ROWS, precision.sums16,
                        precision.part16);
        CHECK(!memcmp(precision.sums, precision.sums16, sizeof precision.sums));
        simd->norm_backward((nn_activation)kind, &norm, precision.dy, means, dx[0], 0, 4);
        simd->norm_backward((nn_activation)kind, &plain, precision.dy, means, dx[1], 0, 4);
        CHECK(!memcmp(dx[0], dx[1], sizeof *dx));
    }
    norm.x = precision.x, precision.x[3] = NAN, precision.x[4] = INFINITY;
    simd->norm_forward(NN_NO_ACTIVATION, &norm, NULL, precision.y, 0, 1);
    CHECK(isnan(precision.y[3]) && isnan(precision.y[4]) && isfinite(precision.y[5]));
}

TEST(precision_loops_of_maps) {
    enum { SIDE = 5, CHANNELS = 21, OUT = 3 };
    PRECISION_NEEDS_LOOPS;
    const nn_simd_table *simd = precision_begin();
    simd->dot_columns(precision.x, precision.dy, NN_F32, precision.weight, PRECISION_ROWS, PRECISION_COLS,
                      precision.part);
    simd->dot_columns(precision.x16, precision.dy16, NN_BF16, precision.bias, PRECISION_ROWS, PRECISION_COLS,
                      precision.part);
    precision_near("products by column", precision.weight, precision.bias, PRECISION_COLS);
    /* a window of 2 x 2 in rows of SIDE; its value is one of its numbers */
    for (int max = 0; max < 2; max++) {
        memset(precision.y, 0, sizeof precision.y), memset(precision.other, 0, sizeof precision.other);
        simd->pool_backward(max, precision.x, precision.x, precision.dy, NN_F32, precision.y, 2, 2, SIDE * CHANNELS,
                            CHANNELS);
        simd->pool_backward(max, precision.x16, precision.x16, precision.dy16, NN_BF16, precision.other, 2, 2,
                            SIDE * CHANNELS, CHANNELS);
        CHECK(!memcmp(precision.y, precision.other, sizeof precision.y) && precision.y[0] != 0);
    }
    float taps[9 * CHANNELS], part[2][9 * CHANNELS] = {{0}};
    probe_fill("taps", taps, 9 * CHANNELS, 1, 0);
    nn_depthwise d = {.x = precision.x,
                      .taps = taps,
                      .height = SIDE,
                      .width = SIDE,
                      .channels = CHANNELS,
                      .out_width = OUT,
                      .kernel = 3,
                      .stride = 2,
                      .top = 1,
                      .left = 1};
    nn_depthwise half = d;
    half.x = precision.x16, half.x_type = half.y_type = NN_BF16;
    simd->depthwise_weights(&d, precision.dy, part[0], 0, OUT);
    simd->depthwise_weights(&half, precision.dy16, part[1], 0, OUT);
    precision_near("taps' gradients", part[0], part[1], 9 * CHANNELS);
    simd->depthwise_inputs(&d, precision.dy, precision.y, OUT, 0, SIDE);
    simd->depthwise_inputs(&half, precision.dy16, precision.y16, OUT, 0, SIDE);
    precision_same("a depthwise convolution's gradient", precision.y, precision.y16, SIDE * SIDE * CHANNELS);
}

TEST(precision_loops_of_attention) {
    enum { ROWS = 3, COLS = 19, LD = 32, SIZE = 21 };
    PRECISION_NEEDS_LOOPS;
    const nn_simd_table *simd = precision_begin();
    float s[2][ROWS * LD], dp[2][ROWS * LD], lse[ROWS] = {3, 4, 5};
    for (int half = 0; half < 2; half++) {
        probe_fill("scores", s[half], ROWS * LD, 1, 0);
        probe_fill("dp", dp[half], ROWS * LD, 1, 0);
        simd->softmax_backward(s[half], dp[half], LD, lse, half ? (void *)precision.x16 : (void *)precision.x,
                               half ? (void *)precision.dy16 : (void *)precision.dy, half ? NN_BF16 : NN_F32, SIZE + 4,
                               SIZE, ROWS, COLS, 0.3f);
    }
    CHECK(!memcmp(s[0], s[1], sizeof s[0]));
    for (int r = 0; r < ROWS; r++) precision_near("softmax's gradient", dp[0] + r * LD, dp[1] + r * LD, COLS);
}

/* ---- Which values become bf16 ------------------------------------------------------------------------------------ */

/* The type of the value that the node with a parameter of this name, or the next of such an operator, makes; -1: none.
 */
static int precision_type(const nn_graph *g, const char *op, const char *param) {
    for (int i = 0; i < g->n_nodes; i++) {
        const nn_node *node = &g->nodes[i];
        if (strcmp(node->op->name, op)) continue;
        if (!*param || (node->n_params && !strcmp(g->params[node->param[0]].name, param))) return (int)node->dtype;
    }
    return -1;
}
static int precision_count(const nn_graph *g, const char *op) {
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++) n += !strcmp(g->nodes[i].op->name, op);
    return n;
}
/* A network's graph for training behind the passes. */
static nn_graph *precision_graph_of(const model_config *config) {
    nn_graph *g = nn_graph_new(2);
    nn_graph_trains(g);
    nn_value logits[MODEL_MAX_HEADS], x = nn_input(g, 3, (int64_t[]){3, config->image, config->image});
    nn_value targets = nn_input(g, 1, (int64_t[]){TRAIN_CLASSES});
    config->family->build(config, g, x, logits);
    nn_value loss = nn_cross_entropy(g, logits[0], targets);
    nn_output(g, loss);
    nn_backward(g, loss);
    CHECK_OK(nn_graph_status(g));
    nn_pass_dead(g);
    nn_pass_fuse(g);
    nn_pass_keep_hats(g);
    CHECK_OK(nn_pass_precision(g, NN_BF16));
    return g;
}
static nn_graph *precision_graph(const char *name, const char *kind, nn_activation activation, double drop_path) {
    model_config config;
    train_golden golden = {name, kind, strcmp(kind, "vit") ? 96 : 32, 2, activation, 1, 1};
    CHECK_OK(train_config(&golden, &config));
    config.drop_path = drop_path;
    return precision_graph_of(&config);
}
/* Every product of maps or tokens has operands of one type. */
static void precision_check_products(const nn_graph *g) {
    for (int i = 0; i < g->n_nodes; i++) {
        const nn_node *node = &g->nodes[i];
        if (node->op->types != NN_TYPES_PRODUCT) continue;
        const nn_node *x = &g->nodes[node->input[0]];
        CHECK_EQ_INT(x->dtype, x->ndim < 3 ? NN_F32 : NN_BF16);
        if (node->op->reads_16bit & 2) CHECK_EQ_INT(g->nodes[node->input[1]].dtype, x->dtype);
        if (node->sum) CHECK_EQ_INT(g->nodes[node->alias].dtype, node->dtype);
    }
}

TEST(precision_of_a_transformer) {
    nn_graph *g = precision_graph("vit", "vit", NN_SILU, 0);
    precision_check_products(g);
    CHECK_EQ_INT(precision_type(g, "tokens", ""), NN_F32);
    CHECK_EQ_INT(precision_type(g, "layer norm", "blocks.0.norm1.weight"), NN_BF16);
    CHECK_EQ_INT(precision_type(g, "linear", "blocks.0.attn.qkv.weight"), NN_BF16);
    CHECK_EQ_INT(precision_type(g, "attention gradient", ""), NN_BF16);
    CHECK_EQ_INT(precision_type(g, "activation gradient", ""), NN_BF16);
    CHECK_EQ_INT(precision_type(g, "add", ""), NN_F32);
    CHECK_EQ_INT(precision_type(g, "layer norm gradient", "blocks.1.norm1.weight"), NN_F32);
    CHECK_EQ_INT(precision_type(g, "linear", "head.weight"), NN_F32);
    CHECK_EQ_INT(precision_count(g, "conversion"), 2 * 3); /* of the stream's gradient, for each branch */
    nn_graph_free(g);
}

/* Batch norm reads it, or an activation whose value batch norm adds. */
static bool precision_feeds_norm(const nn_graph *g, int i) {
    for (int k = i + 1; k < g->n_nodes; k++) {
        const nn_node *node = &g->nodes[k];
        for (int j = 0; j < node->n_inputs; j++) {
            if (node->input[j] != i) continue;
            if (node->op->kind == NN_KIND_TRAINING_NORM) return true;
            if (node->op->kind == NN_KIND_ACTIVATION && precision_feeds_norm(g, k)) return true;
        }
    }
    return false;
}

/* Maps of all sizes and their gradients are bf16, what batch norm reads and the residual stream f32; the backward reads
 * none of these. Conversions: of each value that is added, for the convolutions; of a sum before SiLU, for its
 * gradient; of the gradient of ResNet's max pooling. */
TEST(precision_of_convnets) {
    static const char *const models[] = {"resnet50", "regnety_040", "tf_efficientnet_b0"};
    static const int added[] = {3 + 4 + 6 + 3 - 4, 2 + 6 + 12 + 2 - 4, 9}; /* blocks behind which one adds */
    for (int i = 0; i < 3; i++) {
        nn_graph *g = precision_graph("convnet", models[i], NN_SILU, 0);
        precision_check_products(g);
        for (int k = 0; k < g->n_nodes; k++) {
            const nn_node *node = &g->nodes[k];
            if (node->ndim != 4 || node->op->kind == NN_KIND_INPUT || !strcmp(node->op->name, "pooling gradient"))
                continue;
            if (node->dtype != (precision_feeds_norm(g, k) ? NN_F32 : NN_BF16))
                TEST_FAIL("%s: a map of %s is %s", models[i], node->op->name, node->dtype ? "bf16" : "f32");
        }
        for (int k = 0; k < g->n_nodes; k++) {
            const nn_node *node = &g->nodes[k];
            if (node->op->kind == NN_KIND_NORM_GRADIENT) CHECK_EQ_INT(node->n_inputs, 2);
            if (node->op->kind == NN_KIND_TRAINING_NORM) CHECK(node->keeps_hat);
        }
        CHECK_EQ_INT(precision_count(g, "conversion"), added[i] * (i == 2 ? 1 : 2) + (i == 0));
        nn_graph_free(g);
    }
}

/* With drop path the sum stands apart from the norm: it, what it adds and the activation behind it are f32 all the
 * same. A map that max pooling reads stays bf16 with the pooled one, though that is added. */
TEST(precision_of_the_residual_stream) {
    static const char *const models[] = {"resnet18", "resnet50", "regnety_040", "tf_efficientnet_b0"};
    for (int i = 0; i < 4; i++) {
        nn_graph *g = precision_graph("convnet", models[i], NN_NO_ACTIVATION, 0.1);
        precision_check_products(g);
        int sums = 0;
        for (int k = 0; k < g->n_nodes; k++) {
            const nn_node *node = &g->nodes[k];
            if (strcmp(node->op->name, "add") != 0 || node->ndim != 4 || node->gradient) continue;
            sums++;
            CHECK_EQ_INT(node->dtype, NN_F32);
            for (int j = 0; j < 2; j++) CHECK_EQ_INT(g->nodes[node->input[j]].dtype, NN_F32);
        }
        CHECK(sums >= 7); /* a block that is never dropped is fused */
        for (int k = 0; k < g->n_nodes && i < 2; k++)
            if (!strcmp(g->nodes[k].op->name, "pooling"))
                CHECK(g->nodes[k].dtype == NN_BF16 && g->nodes[g->nodes[k].input[0]].dtype == NN_BF16);
        nn_graph_free(g);
    }
}

/* Dropout reads f32: the map before GELU is not kept in f32 for that. */
TEST(precision_with_dropout) {
    model_config config = model_vit();
    config.image = 32, config.patch = 8, config.dim = 32, config.depth = 2, config.heads = 2,
    config.classes = TRAIN_CLASSES;
    config.drop = 0.1;
    nn_graph *g = precision_graph_of(&config);
    CHECK_EQ_INT(precision_type(g, "linear", "blocks.0.mlp.fc1.weight"), NN_BF16);
    nn_graph_free(g);
}
