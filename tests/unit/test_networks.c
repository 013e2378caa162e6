/* Convolutional networks: each operator against a plain loop in double, in every way the passes may run it;
 * EfficientNet-B8 at both its sizes. (test_model.c holds the other networks against their goldens.) */

/* ---- Operators --------------------------------------------------------------------------------------------------- */

enum { NETWORKS_BATCH = 3, NETWORKS_AFTER = 8 };
typedef struct {
    int height, width, in, out, kernel, stride, groups;
    bool same, bias, norm, scale, sum, expand;
    bool inside; /* between 1x1 convolutions, the second to NETWORKS_AFTER channels: in bf16 its values are stored so */
    nn_activation activation;
    nn_dtype precision;
} networks_case;

static double networks_act(double x, nn_activation activation) {
    switch (activation) {
    case NN_RELU: return x > 0 ? x : 0;
    case NN_SILU: return x / (1 + exp(-x));
    case NN_SIGMOID: return 1 / (1 + exp(-x));
    case NN_GELU: return x * 0.5 * erfc(-x / sqrt(2));
    default: return x;
    }
}

/* Parameters as the graph names them, filled by probe_fill. */
static base_status networks_read(void *user, int index, const nn_param *param, float *out) {
    (void)user, (void)index;
    probe_fill(param->name, out, param->count, 0.5, strstr(param->name, "var") ? 1 : 0);
    return BASE_OK;
}
static double *networks_param(const char *name, int64_t count) {
    float *values = malloc(sizeof(float) * (size_t)count);
    double *wide = malloc(sizeof(double) * (size_t)count);
    probe_fill(name, values, count, 0.5, strstr(name, "var") ? 1 : 0);
    for (int64_t i = 0; i < count; i++) wide[i] = (double)values[i];
    free(values);
    return wide;
}

/* x: [H, W, C] -> y: [OH, OW, out], with PyTorch's meaning of everything. */
static void networks_conv(const double *x, int H, int W, int C, int out, int k, int s, int groups, bool same,
                          const double *w, double *y, int *OH, int *OW) {
    *OH = same ? (H + s - 1) / s : (H + 2 * (k / 2) - k) / s + 1,
    *OW = same ? (W + s - 1) / s : (W + 2 * (k / 2) - k) / s + 1;
    int down = same ? (*OH - 1) * s + k - H : 2 * (k / 2), across = same ? (*OW - 1) * s + k - W : 2 * (k / 2);
    int top = down > 0 ? down / 2 : 0, left = across > 0 ? across / 2 : 0, in = C / groups, each = out / groups;
    for (int i = 0; i < *OH; i++)
        for (int j = 0; j < *OW; j++)
            for (int o = 0; o < out; o++) {
                double sum = 0;
                for (int a = 0; a < k; a++)
                    for (int b = 0; b < k; b++) {
                        int r = i * s + a - top, c = j * s + b - left;
                        if (r < 0 || r >= H || c < 0 || c >= W) continue;
                        for (int q = 0; q < in; q++)
                            sum += x[(r * W + c) * C + o / each * in + q] * w[((o * in + q) * k + a) * k + b];
                    }
                y[(i * *OW + j) * out + o] = sum;
            }
}

/* x: [pixels, in] -> [pixels, out] in place: a 1x1 convolution. */
static void networks_mix(double *x, int pixels, int in, int out, const char *name) {
    int height, width;
    double *w = networks_param(name, (int64_t)in * out), *y = malloc(sizeof *y * (size_t)(pixels * out));
    networks_conv(x, pixels, 1, in, out, 1, 1, 1, false, w, y, &height, &width);
    memcpy(x, y, sizeof *y * (size_t)(pixels * out));
    free(w), free(y);
}

static void networks_norm(double *y, int pixels, int channels, const char *prefix) {
    const char *leaf[4] = {"weight", "bias", "running_mean", "running_var"};
    double *v[4];
    for (int p = 0; p < 4; p++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", prefix, leaf[p]);
        v[p] = networks_param(name, channels);
    }
    for (int i = 0; i < pixels * channels; i++) {
        int c = i % channels;
        y[i] = (y[i] - v[2][c]) / sqrt(v[3][c] + 1e-3) * v[0][c] + v[1][c];
    }
    for (int p = 0; p < 4; p++) free(v[p]);
}

/* One image through the case: image [C0, H, W] as the graph sees it. Returns the outputs' number. */
static int networks_reference(const networks_case *t, const float *image, double *y) {
    int H = t->height, W = t->width, C = t->in, wide = t->expand ? t->groups : t->in, OH, OW;
    double *x = calloc((size_t)(H * W * wide), sizeof *x), *first = calloc((size_t)(H * W * C), sizeof *first);
    for (int c = 0; c < C; c++)
        for (int p = 0; p < H * W; p++) first[p * C + c] = image[c * H * W + p];
    if (t->inside) networks_mix(first, H * W, C, C, "before.weight");
    if (t->expand) {
        double *w = networks_param("expand.weight", (int64_t)wide * C);
        networks_conv(first, H, W, C, wide, 1, 1, 1, false, w, x, &OH, &OW);
        networks_norm(x, H * W, wide, "expand_bn");
        for (int i = 0; i < H * W * wide; i++) x[i] = networks_act(x[i], t->activation);
        free(w);
    } else {
        memcpy(x, first, sizeof *x * (size_t)(H * W * C));
    }
    if (t->scale) {
        double *mean = calloc((size_t)wide, sizeof *mean);
        for (int i = 0; i < H * W * wide; i++) mean[i % wide] += x[i] / (H * W);
        for (int i = 0; i < H * W * wide; i++) x[i] *= networks_act(mean[i % wide], NN_SIGMOID);
        free(mean);
    }
    double *w = networks_param("conv.weight", (int64_t)t->out * (wide / t->groups) * t->kernel * t->kernel);
    networks_conv(x, H, W, wide, t->out, t->kernel, t->stride, t->groups, t->same, w, y, &OH, &OW);
    int n = OH * OW * t->out;
    double *bias = networks_param("conv.bias", t->out);
    for (int i = 0; t->bias && i < n; i++) y[i] += bias[i % t->out];
    if (t->norm) networks_norm(y, OH * OW, t->out, "bn");
    for (int i = 0; t->sum && i < n; i++) y[i] += x[i];
    for (int i = 0; i < n; i++) y[i] = networks_act(y[i], t->activation);
    free(bias), free(w), free(x), free(first);
    if (!t->inside) return n;
    networks_mix(y, OH * OW, t->out, NETWORKS_AFTER, "after.weight");
    return OH * OW * NETWORKS_AFTER;
}

static nn_plan *networks_plan(const networks_case *t, int workers, int threads, int64_t *outputs) {
    nn_graph *g = nn_graph_new(NETWORKS_BATCH);
    nn_value x = nn_channels_last(g, nn_input(g, 3, (int64_t[]){t->in, t->height, t->width})), y;
    const nn_window pointwise = {.kernel = 1, .stride = 1};
    if (t->inside) x = nn_conv(g, x, t->in, pointwise, "before");
    if (t->expand) {
        x = nn_conv(g, x, t->groups, pointwise, "expand");
        x = nn_activate(g, nn_batch_norm(g, x, 1e-3f, "expand_bn"), t->activation);
    }
    if (t->scale) x = nn_scale(g, x, nn_activate(g, nn_global_pool(g, x), NN_SIGMOID));
    nn_window window = {
        .kernel = t->kernel, .stride = t->stride, .groups = t->groups, .same = t->same, .bias = t->bias};
    y = nn_conv(g, x, t->out, window, "conv");
    if (t->norm) y = nn_batch_norm(g, y, 1e-3f, "bn");
    if (t->sum) y = nn_add(g, x, y);
    if (t->activation) y = nn_activate(g, y, t->activation);
    if (t->inside) y = nn_conv(g, y, NETWORKS_AFTER, pointwise, "after");
    nn_output(g, y);
    int64_t dim[4] = {0};
    nn_shape(g, y, dim);
    *outputs = dim[1] * dim[2] * dim[3];
    nn_plan *plan = NULL;
    nn_plan_options options = {.workers = workers, .threads = threads, .precision = t->precision};
    if (nn_plan_new(&plan, g, &options))
        TEST_FAIL("%s", base_message());
    else if (nn_plan_refresh(plan, (nn_source){networks_read, NULL, NULL}))
        TEST_FAIL("%s", base_message());
    return plan;
}

static void networks_check(const networks_case *t) {
    enum { IMAGES = 2 * NETWORKS_BATCH + 1 };
    int item = t->in * t->height * t->width;
    float *images = malloc(sizeof(float) * (size_t)(IMAGES * item));
    probe_fill("images", images, (int64_t)IMAGES * item, 1, 0);
    double *expected = malloc(sizeof(double) * (size_t)(t->height * t->width * (t->out + NETWORKS_AFTER)));
    for (int threads = 1; threads <= 3; threads++) {
        int64_t n;
        nn_plan *plan = networks_plan(t, threads == 1 ? 2 : 1, threads, &n);
        if (!plan) break;
        float *y = malloc(sizeof(float) * (size_t)(IMAGES * n));
        CHECK_OK(nn_run(plan, IMAGES, (const float *const[]){images}, (float *const[]){y}));
        double worst = 0, most = 0;
        for (int i = 0; i < IMAGES; i++) {
            CHECK_EQ_INT(networks_reference(t, images + (size_t)i * (size_t)item, expected), n);
            for (int64_t j = 0; j < n; j++)
                worst = fmax(worst, fabs((double)y[i * n + j] - expected[j])), most = fmax(most, fabs(expected[j]));
        }
        if (!(worst <= (t->precision == NN_BF16 ? 0x1p-7 : 2e-6) * (1 + most)))
            TEST_FAIL("%s%dx%d %d -> %d, kernel %d stride %d groups %d%s%s%s%s%s, T %d: error %.3g of %.3g",
                      t->precision == NN_BF16 ? "bf16 " : "", t->height, t->width, t->in, t->out, t->kernel, t->stride,
                      t->groups, t->same ? " same" : "", t->norm ? " norm" : "", t->scale ? " scale" : "",
                      t->sum ? " sum" : "", t->expand ? " expand" : "", threads, worst, most);
        free(y);
        nn_plan_free(plan);
    }
    free(images), free(expected);
}

static void networks_checks(const networks_case *cases, size_t n, nn_dtype precision) {
    for (size_t i = 0; i < n; i++) {
        networks_case t = cases[i];
        t.precision = precision, t.inside = precision == NN_BF16;
        networks_check(&t);
    }
}

/* A test in f32 and, where the processor has it, in bf16. */
#define NETWORKS_TEST(name)                                                                                            \
    TEST(name) {                                                                                                       \
        name(NN_F32);                                                                                                  \
    }                                                                                                                  \
    TEST(name##_bf16) {                                                                                                \
        if (!nn_has_bf16()) SKIP("this processor has no bf16 instructions");                                           \
        name(NN_BF16);                                                                                                 \
    }

static void networks_convolutions(nn_dtype precision) {
    static const networks_case cases[] = {
        {9, 7, 5, 6, 3, 1, 1, .bias = true},
        {9, 7, 5, 6, 1, 1, 1, .bias = true, .activation = NN_GELU},
        {8, 8, 16, 16, 1, 2, 1, .norm = true, .activation = NN_RELU},
        {9, 11, 16, 24, 1, 2, 1, .bias = true, .norm = true},
        {12, 12, 3, 16, 7, 2, 1, .norm = true, .activation = NN_RELU},
        {11, 10, 3, 16, 3, 2, 1, .same = true, .norm = true, .activation = NN_SILU},
        {10, 10, 24, 24, 5, 2, 1, .same = true, .bias = true},
        {7, 7, 32, 32, 3, 1, 4, .norm = true, .activation = NN_RELU},
        {8, 9, 56, 112, 3, 2, 2, .norm = true, .activation = NN_SILU},
        {9, 9, 12, 12, 3, 1, 1, .norm = true, .sum = true, .activation = NN_RELU},
        {6, 5, 20, 20, 1, 1, 1, .norm = true, .sum = true, .activation = NN_RELU},
        {6, 5, 20, 20, 1, 1, 1, .norm = true, .sum = true},
    };
    networks_checks(cases, sizeof cases / sizeof *cases, precision);
}
NETWORKS_TEST(networks_convolutions)

static void networks_depthwise(nn_dtype precision) {
    static const int kernels[] = {3, 5, 7}, sizes[] = {1, 2, 4, 7, 13, 26}, channels[] = {4, 16, 24, 40, 48};
    for (size_t k = 0; k < 3; k++)
        for (size_t s = 0; s < 6; s++)
            for (size_t c = 0; c < 5; c++)
                for (int stride = 1; stride <= 2; stride++) {
                    networks_case t = {sizes[s],
                                       sizes[5 - s] < 13 ? 17 : 9,
                                       channels[c],
                                       channels[c],
                                       kernels[k],
                                       stride,
                                       channels[c],
                                       .same = (s + c) % 2,
                                       .bias = c % 2,
                                       .norm = true,
                                       .activation = c % 3 ? NN_SILU : NN_RELU};
                    networks_checks(&t, 1, precision);
                }
}
NETWORKS_TEST(networks_depthwise)

/* A squeezed map before a 1x1 convolution, and before another, which cannot take the scaling over. */
static void networks_scaling(nn_dtype precision) {
    static const networks_case cases[] = {
        {14, 13, 40, 24, 1, 1, 1, .norm = true, .scale = true},
        {33, 31, 96, 16, 1, 1, 1, .norm = true, .scale = true, .activation = NN_SILU},
        {9, 9, 16, 8, 3, 1, 1, .norm = true, .scale = true},
        {5, 5, 7, 9, 1, 1, 1, .bias = true, .scale = true},
        /* three images of 130 pixels in two tiles */
        {13, 10, 320, 20, 1, 1, 1, .norm = true, .scale = true},
    };
    networks_checks(cases, sizeof cases / sizeof *cases, precision);
}
NETWORKS_TEST(networks_scaling)

/* An expansion that the depthwise convolution makes for itself: small maps whole, large ones a buffer at a time. */
static void networks_expansions(nn_dtype precision) {
    static const networks_case cases[] = {
        {7, 7, 8, 48, 5, 1, 48, .same = true, .norm = true, .expand = true, .activation = NN_SILU},
        {14, 9, 8, 96, 3, 2, 96, .same = true, .norm = true, .expand = true, .activation = NN_SILU},
        {75, 80, 8, 96, 3, 1, 96, .same = true, .norm = true, .expand = true, .activation = NN_SILU},
        {76, 81, 16, 96, 5, 2, 96, .same = true, .norm = true, .expand = true, .activation = NN_SILU},
        {61, 120, 4, 144, 5, 1, 144, .norm = true, .expand = true, .activation = NN_RELU},
        {120, 130, 3, 144, 3, 2, 144, .norm = true, .expand = true, .activation = NN_SILU},
        /* in parts of some channels */
        {19, 20, 8, 328, 5, 1, 328, .same = true, .norm = true, .expand = true, .activation = NN_SILU},
        {31, 31, 4, 324, 3, 1, 324, .same = true, .norm = true, .expand = true, .activation = NN_RELU},
        {11, 10, 8, 744, 3, 2, 744, .norm = true, .expand = true, .activation = NN_RELU},
    };
    networks_checks(cases, sizeof cases / sizeof *cases, precision);
}
NETWORKS_TEST(networks_expansions)
#undef NETWORKS_TEST

/* 3x3 of stride 1 with many channels: Winograd's algorithm. Odd maps, groups, chunks of tiles, blocks of channels. */
static void networks_winograd(nn_dtype precision) {
    const networks_case cases[] = {
        {9, 11, 32, 32, 3, 1, 1, .norm = true, .activation = NN_RELU},
        {8, 8, 40, 48, 3, 1, 1, .bias = true},
        {14, 13, 64, 64, 3, 1, 1, .norm = true, .sum = true, .activation = NN_RELU},
        {10, 9, 112, 112, 3, 1, 2, .norm = true, .activation = NN_SILU},
        {8, 9, 48, 192, 3, 1, 1, .same = true, .norm = true},
        {27, 25, 32, 64, 3, 1, 1, .norm = true, .activation = NN_RELU},
        {13, 12, 120, 120, 3, 1, 3, .norm = true, .activation = NN_RELU}, /* half a line of channels is left over */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        networks_case t = cases[i];
        t.precision = precision;
        networks_check(&t);
        int64_t n;
        nn_plan *plan = networks_plan(&t, 1, 1, &n);
        bool found = false;
        for (int k = 0; plan && k < nn_step_count(plan); k++) {
            nn_step step;
            nn_step_at(plan, k, &step);
            found |= strstr(step.kernel, "winograd") != NULL;
        }
        if (!found && strcmp(nn_isa_name(), "sse41")) TEST_FAIL("case %zu runs without Winograd's algorithm", i);
        nn_plan_free(plan);
    }
}
TEST(networks_winograd) {
    networks_winograd(NN_F32);
}
TEST(networks_winograd_bf16) {
    if (strcmp(nn_isa_name(), "avx512_core_bf16")) SKIP("this processor is none with bf16 in AVX-512 and without AMX");
    networks_winograd(NN_BF16);
}

TEST(networks_pooling) {
    enum { SIDE = 9, CHANNELS = 6 };
    for (int kernel = 2; kernel <= 3; kernel++)
        for (int kind = NN_POOL_MAX; kind <= NN_POOL_AVERAGE; kind++) {
            nn_graph *g = nn_graph_new(1);
            nn_value y = nn_pool(g, nn_channels_last(g, nn_input(g, 3, (int64_t[]){CHANNELS, SIDE, SIDE})),
                                 (nn_pooling)kind, kernel, 2);
            nn_output(g, y);
            int64_t dim[4] = {0};
            nn_shape(g, y, dim);
            nn_plan *plan;
            CHECK_OK(nn_plan_new(&plan, g, &(nn_plan_options){0}));
            if (!plan) return;
            float image[CHANNELS * SIDE * SIDE], out[CHANNELS * SIDE * SIDE];
            probe_fill("pooled", image, CHANNELS * SIDE * SIDE, 1, -2); /* all negative: padding must not win */
            CHECK_OK(nn_run(plan, 1, (const float *const[]){image}, (float *const[]){out}));
            for (int i = 0; i < dim[1]; i++)
                for (int j = 0; j < dim[2]; j++)
                    for (int c = 0; c < CHANNELS; c++) {
                        double most = -1e30, sum = 0;
                        int counted = 0;
                        for (int r = i * 2 - kernel / 2; r < i * 2 - kernel / 2 + kernel; r++)
                            for (int q = j * 2 - kernel / 2; q < j * 2 - kernel / 2 + kernel; q++)
                                if (r >= 0 && r < SIDE && q >= 0 && q < SIDE) {
                                    double v = image[(c * SIDE + r) * SIDE + q];
                                    most = fmax(most, v), sum += v, counted++;
                                }
                        double expected = kind == NN_POOL_MAX ? most : sum / counted;
                        if (!(fabs(out[(i * dim[2] + j) * CHANNELS + c] - expected) < 1e-6))
                            TEST_FAIL("pool %d kernel %d at %d,%d,%d", kind, kernel, i, j, c);
                    }
            nn_plan_free(plan);
        }
}

/* y = gelu(q(x + p(x))), x: [rows, K], p: K -> K, q: K -> N, for numbers of rows that a product takes in one part
 * and, with AVX-512 (kernel_first_part), in two. */
static void networks_rows(int rows, bool two_parts, nn_dtype precision, int threads) {
    enum { K = 24, N = 40 };
    nn_graph *g = nn_graph_new(1);
    nn_value x = nn_input(g, 2, (int64_t[]){rows, K});
    nn_output(g, nn_activate(g, nn_linear(g, nn_add(g, x, nn_linear(g, x, K, "p")), N, "q"), NN_GELU));
    nn_plan *plan = NULL;
    CHECK_OK(nn_plan_new(&plan, g, &(nn_plan_options){.precision = precision, .threads = threads}));
    if (!plan) return;
    CHECK_OK(nn_plan_refresh(plan, (nn_source){networks_read, NULL, NULL}));
    float *in = malloc(sizeof(float) * (size_t)rows * K), *out = malloc(sizeof(float) * (size_t)rows * N);
    probe_fill("rows", in, (int64_t)rows * K, 1, 0);
    CHECK_OK(nn_run(plan, 1, (const float *const[]){in}, (float *const[]){out}));
    double *p = networks_param("p.weight", K * K), *pb = networks_param("p.bias", K),
           *q = networks_param("q.weight", N * K), *qb = networks_param("q.bias", N), worst = 0, most = 0;
    for (int r = 0; r < rows; r++) {
        double h[K];
        for (int i = 0; i < K; i++) {
            h[i] = (double)in[r * K + i] + pb[i];
            for (int k = 0; k < K; k++) h[i] += (double)in[r * K + k] * p[i * K + k];
        }
        for (int i = 0; i < N; i++) {
            double y = qb[i];
            for (int k = 0; k < K; k++) y += h[k] * q[i * K + k];
            y = networks_act(y, NN_GELU);
            worst = fmax(worst, fabs((double)out[r * N + i] - y)), most = fmax(most, fabs(y));
        }
    }
    if (!(worst <= (precision == NN_BF16 ? 0x1p-7 : 2e-6) * (1 + most)))
        TEST_FAIL("%s%d rows, %d threads: error %.3g of %.3g", precision == NN_BF16 ? "bf16 " : "", rows, threads,
                  worst, most);
    bool brgemm = false, parts = false;
    for (const nn_kernel *kernel = plan->kernels; kernel; kernel = kernel->next) parts |= kernel->rest != NULL;
    nn_step step;
    for (int i = 0; i < g->n_nodes; i++) {
        nn_step_at(plan, i, &step);
        brgemm |= strstr(step.kernel, "brg_matmul:avx512_core") && !strstr(step.kernel, "amx");
    }
    if (brgemm) CHECK_EQ_INT(parts, two_parts);
    free(in), free(out), free(p), free(pb), free(q), free(qb);
    nn_plan_free(plan);
}
TEST(networks_products_in_two_parts) {
    static const int one[] = {256, 576, 2 * 577}, two[] = {518, 577, 578};
    for (int i = 0; i < 3; i++)
        for (int threads = 1; threads <= 3; threads++) {
            networks_rows(one[i], false, NN_F32, threads);
            networks_rows(two[i], true, NN_F32, threads);
        }
    if (!nn_has_bf16()) return;
    networks_rows(577, true, NN_BF16, 1);
    networks_rows(578, true, NN_BF16, 2);
}

/* Plans that run in turn share an arena: a larger one moves it, and the smaller one answers as before. */
TEST(networks_share_a_room) {
    enum { CHANNELS = 8 };
    static const int side[] = {9, 40, 12};
    nn_room *room = nn_room_new();
    nn_plan *plan[3] = {NULL};
    float *image = malloc(sizeof(float) * CHANNELS * 40 * 40), before[CHANNELS], after[CHANNELS];
    probe_fill("images", image, CHANNELS * 40 * 40, 1, 0);
    size_t arena = 0, activations[3], weights;
    for (int i = 0; i < 3; i++) {
        nn_graph *g = nn_graph_new(1);
        nn_value x = nn_channels_last(g, nn_input(g, 3, (int64_t[]){CHANNELS, side[i], side[i]}));
        for (int k = 0; k < 3; k++)
            x = nn_conv(g, x, CHANNELS, (nn_window){.kernel = 3, .stride = 1, .groups = 1}, "c%d", k);
        nn_output(g, nn_global_pool(g, x));
        CHECK_OK(nn_plan_new(&plan[i], g, &(nn_plan_options){.room = room}));
        if (!plan[i]) return;
        CHECK_OK(nn_plan_refresh(plan[i], (nn_source){networks_read, NULL, NULL}));
        nn_plan_memory(plan[i], &weights, &activations[i]);
        if (activations[i] > arena) arena = activations[i];
        if (!i) CHECK_OK(nn_run(plan[0], 1, (const float *const[]){image}, (float *const[]){before}));
    }
    CHECK(activations[0] < activations[2] && activations[2] < activations[1]);
    CHECK(room->workers == 1 && room->bytes == arena + 64);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(nn_run(plan[1], 1, (const float *const[]){image}, (float *const[]){after}));
        CHECK(memcmp(before, after, sizeof after) != 0);
        CHECK_OK(nn_run(plan[0], 1, (const float *const[]){image}, (float *const[]){after}));
        CHECK(!memcmp(before, after, sizeof after));
    }
    for (int i = 0; i < 3; i++) nn_plan_free(plan[i]);
    nn_room_free(room);
    free(image);
}

/* A long pass is left at its next operator: the flag goes up while the first of many is running. */
static void *networks_raise(void *flag) {
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    *(volatile int *)flag = 1;
    return NULL;
}
TEST(networks_stop_within_a_pass) {
    enum { SIDE = 96, CHANNELS = 64, STEPS = 40 };
    volatile int cancel = 0;
    nn_graph *g = nn_graph_new(1);
    nn_value x = nn_channels_last(g, nn_input(g, 3, (int64_t[]){CHANNELS, SIDE, SIDE}));
    for (int i = 0; i < STEPS; i++)
        x = nn_conv(g, x, CHANNELS, (nn_window){.kernel = 5, .stride = 1, .groups = 1}, "c%d", i);
    nn_output(g, nn_global_pool(g, x));
    nn_plan *plan;
    CHECK_OK(nn_plan_new(&plan, g, &(nn_plan_options){.cancel = &cancel}));
    if (!plan) return;
    CHECK_OK(nn_plan_refresh(plan, nn_noise_source()));
    float *image = calloc((size_t)CHANNELS * SIDE * SIDE, sizeof *image), out[CHANNELS];
    double start = base_now();
    CHECK_OK(nn_run(plan, 1, (const float *const[]){image}, (float *const[]){out}));
    double whole = base_now() - start;
    pthread_t thread;
    CHECK(!pthread_create(&thread, NULL, networks_raise, (void *)(uintptr_t)&cancel));
    start = base_now();
    CHECK_EQ_INT(nn_run(plan, 1, (const float *const[]){image}, (float *const[]){out}), BASE_CANCELLED);
    CHECK(base_now() - start < 0.7 * whole);
    pthread_join(thread, NULL);
    free(image);
    nn_plan_free(plan);
}

TEST(networks_refuse) {
    nn_graph *g = nn_graph_new(1);
    nn_value x = nn_channels_last(g, nn_input(g, 3, (int64_t[]){6, 8, 8}));
    nn_conv(g, x, 8, (nn_window){.kernel = 3, .stride = 1, .groups = 4}, "odd");
    CHECK_FAIL_HAS(nn_graph_status(g), "odd: a convolution of 6 channels to 8 in 4 groups");
    nn_graph_free(g);
    model_config config;
    nn_graph *graph;
    CHECK_OK(model_find("resnet50", &config));
    config.image = 20;
    CHECK_FAIL_HAS(model_graph(&graph, &config, 1, MODEL_HEAD_MEAN),
                   "resnet50: an image of 20; expected 32 to 8192 pixels");
    config.image = 224, config.classes = 0;
    CHECK_FAIL_HAS(model_graph(&graph, &config, 1, MODEL_HEAD_MEAN), "0 classes");
    config.classes = 10;
    CHECK_FAIL_HAS(model_graph(&graph, &config, 1, MODEL_HEAD_DIST), "no distillation head");
}

/* out: [n, width], of a network with initial values. */
static void networks_forward(const model_config *config, bool features, model_head head, int n, const float *x,
                             float *out, int *width) {
    model_weights *weights;
    model_net *net;
    model_options options = {.threads = 1, .batch = n, .head = head, .features = features};
    CHECK_OK(model_weights_open(&weights, config, NULL, &(model_weights_options){.seed = 5}, NULL));
    CHECK_OK(model_net_new(&net, config, weights, &options));
    CHECK_OK(model_net_run(net, n, x, out));
    *width = net->width;
    model_net_free(net);
    model_weights_close(weights);
}

/* A parameter with its initial values. */
static void networks_initial(const model_config *config, const char *name, float *out) {
    model_weights *weights;
    nn_graph *graph;
    CHECK_OK(model_weights_open(&weights, config, NULL, &(model_weights_options){.seed = 5}, NULL));
    CHECK_OK(model_graph(&graph, config, 1, MODEL_HEAD_EACH));
    nn_source source = model_weights_source(weights);
    for (int i = 0; i < nn_param_count(graph); i++)
        if (!strcmp(nn_param_at(graph, i)->name, name))
            CHECK_OK(source.read(source.user, i, nn_param_at(graph, i), out));
    nn_graph_free(graph);
    model_weights_close(weights);
}

TEST(networks_features_are_what_the_heads_are_layers_of) {
    enum { N = 2, SIDE = 64, CLASSES = 3, MOST = 2048 };
    static const struct {
        const char *name, *layer;
        model_head head;
        int width;
    } cases[] = {{"resnet18", "fc", MODEL_HEAD_MEAN, 512},
                 {"tf_efficientnet_b0", "classifier", MODEL_HEAD_MEAN, 1280},
                 {"deit_tiny_patch16_224", "head", MODEL_HEAD_MEAN, 192},
                 {"deit_tiny_distilled_patch16_224", "head", MODEL_HEAD_CLASS, 192},
                 {"deit_tiny_distilled_patch16_224", "head_dist", MODEL_HEAD_DIST, 192}};
    static float x[N * 3 * SIDE * SIDE], features[N * MOST], logits[N * CLASSES], weight[CLASSES * MOST], bias[CLASSES];
    probe_fill("x", x, N * 3 * SIDE * SIDE, 1, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_config config;
        char name[64];
        int width;
        CHECK_OK(model_find(cases[i].name, &config));
        config.image = SIDE, config.classes = CLASSES;
        networks_forward(&config, false, cases[i].head, N, x, logits, &width);
        CHECK_EQ_INT(width, CLASSES);
        networks_forward(&config, true, cases[i].head, N, x, features, &width);
        CHECK_EQ_INT(width, cases[i].width);
        snprintf(name, sizeof name, "%s.weight", cases[i].layer);
        networks_initial(&config, name, weight);
        snprintf(name, sizeof name, "%s.bias", cases[i].layer);
        networks_initial(&config, name, bias);
        for (int k = 0; k < N * CLASSES; k++) {
            double sum = (double)bias[k % CLASSES];
            for (int j = 0; j < width; j++)
                sum += (double)features[k / CLASSES * width + j] * (double)weight[k % CLASSES * width + j];
            if (!(fabs(sum - (double)logits[k]) < 1e-5 * (1 + fabs(sum))))
                TEST_FAIL("%s: features give logit %d as %.9g, the network as %.9g", cases[i].name, k, sum,
                          (double)logits[k]);
        }
    }
    static float mean[N * 192], dist[N * 192];
    model_config config;
    int width;
    CHECK_OK(model_find("deit_tiny_distilled_patch16_224", &config));
    config.image = SIDE;
    networks_forward(&config, true, MODEL_HEAD_CLASS, N, x, features, &width);
    networks_forward(&config, true, MODEL_HEAD_DIST, N, x, dist, &width);
    networks_forward(&config, true, MODEL_HEAD_MEAN, N, x, mean, &width);
    for (int k = 0; k < N * 192; k++) CHECK(fabsf(mean[k] - (features[k] + dist[k]) / 2) < 1e-6f);
}

static base_status networks_bad_variance(void *user, int index, const nn_param *param, float *out) {
    BASE_TRY(networks_read(user, index, param, out));
    if (!strcmp(param->name, "bn.running_var")) out[3] = -1;
    return BASE_OK;
}
TEST(networks_name_a_bad_variance) {
    const networks_case t = {6, 6, 8, 8, 3, 1, 1, .norm = true};
    int64_t n;
    nn_plan *plan = networks_plan(&t, 1, 1, &n);
    if (!plan) return;
    CHECK_FAIL_HAS(nn_plan_refresh(plan, (nn_source){networks_bad_variance, NULL, NULL}),
                   "bn.running_var: element 3 is -1");
    nn_plan_free(plan);
}

TEST(networks_steady_memory) {
    model_config config;
    CHECK_OK(model_find("tf_efficientnet_b0", &config));
    config.image = 64, config.classes = 10;
    model_net *net;
    CHECK_OK(model_net_new(&net, &config, NULL, &(model_options){.batch = 2, .threads = 2}));
    if (!net) return;
    float *images = calloc(2 * 3 * 64 * 64, sizeof *images), logits[20];
    CHECK_OK(model_net_run(net, 2, images, logits));
    size_t held = base_memory_held();
    for (int i = 0; i < 5; i++) CHECK_OK(model_net_run(net, 2, images, logits));
    CHECK_EQ_INT(base_memory_held(), held);
    free(images);
    model_net_free(net);
}

/* ---- EfficientNet-B8 at two sizes, and small ResNets ------------------------------------------------------------- */

static void networks_extra(const char *model, int size) {
    char path[512], name[64], line[512], *statistics;
    size_t bytes;
    golden_row row = {.size = 0};
    model_config config;
    CHECK_OK(model_find(model, &config));
    config.image = size;
    snprintf(name, sizeof name, "%s_at_%d", model, size);
    float *golden = golden_logits("extra", name, config.classes);
    snprintf(path, sizeof path, "%s/extra/convnets.tsv", probe_folder());
    FILE *file = fopen(path, "r");
    if (!golden || !file) SKIP("no goldens of it");
    while (strcmp(row.name, name) && fgets(line, sizeof line, file))
        sscanf(line, "%95s %d %lf %lf %lf %lf %lf", row.name, &row.size, &row.parameters, &row.max_logit,
               &row.torch_error, &row.difference, &row.margin);
    fclose(file);
    CHECK_EQ_INT(row.size, size);
    snprintf(path, sizeof path, "%s/extra/%s.bn.bf16", probe_folder(), model);
    CHECK_OK(base_read_file(path, 0, &statistics, &bytes));
    model_net *net;
    CHECK_OK(model_net_new(&net, &config, NULL, &(model_options){.batch = 2, .threads = 2}));
    if (net) {
        probe_network network = {nn_plan_graph(net->plan), (const uint16_t *)(const void *)statistics, bytes / 2};
        CHECK_OK(nn_plan_refresh(net->plan, (nn_source){probe_read, &network, NULL}));
        float *x = probe_images(2, size), y[2000];
        CHECK_OK(model_net_run(net, 2, x, y));
        double error = golden_error(y, golden, 2, config.classes);
        if (!(error <= 4 * row.torch_error + 1e-6 * row.max_logit))
            TEST_FAIL("%s: error %.3g, PyTorch's %.3g", name, error, row.torch_error);
        free(x);
    }
    model_net_free(net);
    base_free(golden);
    base_free(statistics);
}
TEST(golden_extra_efficientnet_b8_672) {
    model_config config;
    CHECK_OK(model_find("tf_efficientnet_b8", &config));
    CHECK_EQ_INT(config.image, 672);
    networks_extra("tf_efficientnet_b8", 672);
}
TEST(golden_extra_efficientnet_b8_800) {
    networks_extra("tf_efficientnet_b8", 800);
}
TEST(golden_extra_resnet8) {
    networks_extra("resnet8", 32);
    networks_extra("resnet8", 28);
}
TEST(golden_extra_resnet14) {
    networks_extra("resnet14", 32);
}
TEST(golden_extra_resnet20) {
    networks_extra("resnet20", 32);
}

/* As PyTorch's: what is not a number is not hidden. */
TEST(networks_relu_keeps_nan) {
    float x[20], y[20];
    for (int i = 0; i < 20; i++) x[i] = (float)(i - 10);
    x[3] = x[18] = (float)NAN;
    nn_simd()->activate(NN_RELU, x, NN_F32, y, NN_F32, 20);
    for (int i = 0; i < 20; i++) CHECK(i == 3 || i == 18 ? isnan(y[i]) : y[i] == (i > 10 ? (float)(i - 10) : 0));
}
