/* deit profile: the bytes and the kernel of a step. */

/* A step and what it must say: 4 bytes a number of f32, each value and weight once; kernel: what oneDNN's name of it
 * holds, "": none, a loop of our own. */
typedef struct {
    const char *op, *param;
    double bytes;
    const char *kernel;
} test_step;

static void test_profile(const char *name, int image, nn_dtype precision, const test_step *expected, int n) {
    model_config config;
    model_options options = {.precision = precision, .schedule = MODEL_LATENCY, .batch = 2, .threads = 1};
    model_net *net;
    eval_profile profile;
    CHECK_OK(model_find(name, &config));
    config.image = image;
    CHECK_OK(model_net_new(&net, &config, NULL, &options));
    if (!net) return;
    CHECK_OK(eval_profile_measure(&profile, net, 1, NULL));
    for (int i = 0; i < n; i++) {
        const nn_step *step = NULL;
        for (int k = 0; k < profile.n && !step; k++)
            if (!strcmp(profile.steps[k].op, expected[i].op) && !strcmp(profile.steps[k].param, expected[i].param))
                step = &profile.steps[k];
        if (!step)
            TEST_FAIL("%s: no step %s %s", name, expected[i].op, expected[i].param);
        else if (step->bytes != expected[i].bytes)
            TEST_FAIL("%s, %s %s: %.0f bytes, not %.0f", name, step->op, step->param, step->bytes, expected[i].bytes);
        else if (*expected[i].kernel ? !strstr(step->kernel, expected[i].kernel) : *step->kernel)
            TEST_FAIL("%s, %s %s: kernel '%s', not '%s'", name, step->op, step->param, step->kernel,
                      expected[i].kernel);
    }
    eval_profile_free(&profile);
    model_net_free(net);
}

/* What the names of matrix products and of convolutions hold: oneDNN's brgemm from AVX2 on. */
static const char *test_profile_kernel(bool convolution) {
#ifdef __x86_64__
    bool brgemm = ((int)dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx2) == dnnl_cpu_isa_avx2;
    return brgemm ? convolution ? "brg_conv" : "brg" : convolution ? "jit:" : "gemm:jit";
#else
    return convolution ? "" : ":";
#endif
}

TEST(profile_of_a_transformer) {
    enum { T = 2 * 17, D = 192 }; /* two images of 16 patches and a class token */
    const char *product = test_profile_kernel(false);
    const test_step f32[] = {
        {"tokens", "cls_token", 4. * (2 * 3 * 64 * 64 + 3 * 16 * 16 * D + D + D + 17 * D + T * D), product},
        {"layer norm", "blocks.0.norm1.weight", 4. * (2 * T * D + 2 * D), ""},
        {"linear", "blocks.0.attn.qkv.weight", 4. * (T * D + 3 * D * D + 3 * D + T * 3 * D), product},
        {"attention", "", 4. * (T * 3 * D + T * D), ":"},
        {"linear", "blocks.0.attn.proj.weight", 4. * (T * D + D * D + D + 2 * T * D), product}, /* + the residual */
        {"linear", "blocks.0.mlp.fc1.weight", 4. * (T * D + 4 * D * D + 4 * D + T * 4 * D), product},
        {"layer norm", "norm.weight", 4. * (2 * 2 * D + 2 * D), ""}, /* of the class token alone */
        {"linear", "head.weight", 4. * (2 * D + 1000 * D + 1000 + 2 * 1000), product}};
    test_profile("deit_tiny_patch16_224", 64, NN_F32, f32, sizeof f32 / sizeof *f32);
    if (!nn_has_bf16()) return;
    const test_step bf16[] = {
        {"layer norm", "blocks.0.norm1.weight", 4. * T * D + 2. * T * D + 4. * 2 * D, ""}, /* the residual is f32 */
        {"linear", "blocks.0.attn.qkv.weight", 2. * (T * D + 3 * D * D + T * 3 * D) + 4. * 3 * D, "bf16"},
        {"linear", "blocks.0.attn.proj.weight", 2. * (T * D + D * D) + 4. * (D + 2 * T * D), "bf16"}};
    test_profile("deit_tiny_patch16_224", 64, NN_BF16, bf16, sizeof bf16 / sizeof *bf16);
}

TEST(profile_of_convolutions) {
    const char *product = test_profile_kernel(false), *convolution = test_profile_kernel(true);
    enum { A = 2 * 32 * 32, B = 2 * 16 * 16 }; /* pixels of two images */
    bool winograd = !strncmp(convolution, "brg", 3);
    const test_step resnet[] = {
        {"convolution", "conv1.weight", 4. * (A * 3 + 9 * 3 * 16 + 16 + A * 16), convolution},
        {"convolution", "layer1.0.conv2.weight", 4. * (A * 16 + 9 * 16 * 16 + 16 + 2 * A * 16), convolution},
        {"convolution", "layer2.0.conv1.weight", 4. * (A * 16 + 9 * 16 * 32 + 32 + B * 32), convolution},
        {"convolution", "layer2.0.conv2.weight", 4. * (B * 32 + 9 * 32 * 32 + 32 + B * 32),
         winograd ? "winograd, brgemm" : convolution}, /* the weights as they are, not as Winograd's are packed */
        {"convolution", "layer2.0.downsample.0.weight", 4. * (B * 16 + 16 * 32 + 32 + 2 * B * 32), product},
        {"global pooling", "", 4. * (2 * 8 * 8 * 64 + 2 * 64), ""}};
    test_profile("resnet8", 32, NN_F32, resnet, sizeof resnet / sizeof *resnet);
    const test_step efficientnet[] = {
        {"convolution", "blocks.0.0.conv_dw.weight", 4. * (A * 32 + 9 * 32 + 32 + A * 32 + 0), ""},
        {"convolution", "blocks.0.0.conv_pw.weight", 4. * (A * 32 + 2 * 32 + 32 * 16 + 16 + A * 16), product},
        /* With the 1 x 1 convolution before it, whose value is never written. */
        {"convolution", "blocks.1.0.conv_dw.weight", 4. * (A * 16 + 16 * 96 + 96 + 9 * 96 + 96 + B * 96), product}};
    test_profile("tf_efficientnet_b0", 64, NN_F32, efficientnet, sizeof efficientnet / sizeof *efficientnet);
}
