/* What is computed of answers, tokens and positions, against PyTorch on the same weights and pictures
 * (tests/golden/extra/make_analysis_golden.py says which). Uses test_weights.c's and test_data.c's helpers. */

enum { ANALYSES_PICTURES = 64, ANALYSES_SIDE = 28 };

static model_config analyses_config(bool distilled) {
    model_config config = model_vit();
    config.image = ANALYSES_SIDE, config.patch = 4, config.classes = 10, config.distilled = distilled;
    config.dim = distilled ? 96 : 64, config.depth = distilled ? 6 : 3, config.heads = distilled ? 3 : 2;
    return config;
}

/* The pictures as idx files of a test split. */
static data_set *analyses_pictures(void) {
    enum { PIXELS = ANALYSES_PICTURES * ANALYSES_SIDE * ANALYSES_SIDE };
    uint8_t *images = malloc(16 + PIXELS), labels[8 + ANALYSES_PICTURES] = "\0\0\10\1\0\0\0\100";
    float *u = malloc(sizeof(float) * PIXELS);
    data_set *set = NULL;
    memcpy(images, "\0\0\10\3\0\0\0\100\0\0\0\34\0\0\0\34", 16);
    probe_fill("pictures", u, PIXELS, 128, 128);
    for (int i = 0; i < PIXELS; i++) images[16 + i] = (uint8_t)u[i];
    for (int i = 0; i < ANALYSES_PICTURES; i++) labels[8 + i] = (uint8_t)(i % 10);
    data_test_make("m/t10k-images-idx3-ubyte", images, 16 + PIXELS);
    data_test_make("m/t10k-labels-idx1-ubyte", labels, sizeof labels);
    CHECK_OK(data_test_open(&set, "m", NULL, NULL));
    free(images), free(u);
    return set;
}

static model_weights *analyses_weights(const model_config *config, const char *name) {
    model_weights *weights = NULL;
    weights_test_write(config, base_test_path(name));
    CHECK_OK(model_weights_open(&weights, config, base_test_path(name), NULL, NULL));
    return weights;
}

/* The golden's value of "kind \t a \t b". */
static double analyses_golden(const char *kind, const char *a, const char *b) {
    char path[512], line[256], key[128];
    snprintf(path, sizeof path, "%s/extra/analysis.tsv", probe_folder());
    snprintf(key, sizeof key, "%s\t%s\t%s\t", kind, a, b);
    FILE *file = fopen(path, "r");
    double value = NAN;
    while (file && isnan(value) && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key))) value = atof(line + strlen(key));
    if (file) fclose(file);
    if (isnan(value)) TEST_FAIL("%s has no %s %s %s", path, kind, a, b);
    return value;
}

static void analyses_check(const char *kind, const char *a, const char *b, double value, double tolerance) {
    double golden = analyses_golden(kind, a, b);
    if (!(fabs(value - golden) <= tolerance)) TEST_FAIL("%s %s %s: %.9g, PyTorch has %.9g", kind, a, b, value, golden);
}

static bool analyses_there(void) {
    char path[512];
    snprintf(path, sizeof path, "%s/extra/analysis.tsv", probe_folder());
    return base_path_exists(path);
}

TEST(golden_analysis_disagreement) {
    static const char *const names[] = {"truth", "plain", "token-class", "token-distil", "token-both"};
    if (!analyses_there()) SKIP("no golden/extra");
    base_test_folder_begin();
    data_set *set = analyses_pictures();
    model_net *nets[2] = {NULL};
    for (int i = 0; i < 2; i++) {
        model_config config = analyses_config(i);
        model_weights *weights = analyses_weights(&config, "w.safetensors");
        model_options options = {.head = MODEL_HEAD_EACH, .batch = 24};
        if (weights) CHECK_OK(model_net_new(&nets[i], &config, weights, &options));
        model_weights_close(weights);
    }
    const eval_options options = {.batch = 24}; /* 64 are no whole number of them */
    eval_disagreement result = {0};
    if (nets[0] && nets[1]) CHECK_OK(eval_disagree(&result, nets, 2, set, &options, NULL));
    CHECK(result.n == 5 && result.images == ANALYSES_PICTURES);
    for (int a = 0; a < result.n; a++)
        for (int b = 0; b < result.n; b++)
            analyses_check("disagree", names[a], names[b], (double)result.differ[a][b] / ANALYSES_PICTURES, 0);
    model_net_free(nets[0]), model_net_free(nets[1]);
    data_close(set);
    base_test_folder_end();
}

TEST(golden_analysis_token_cosines) {
    if (!analyses_there()) SKIP("no golden/extra");
    base_test_folder_begin();
    data_set *set = analyses_pictures();
    model_config config = analyses_config(true);
    model_weights *weights = analyses_weights(&config, "w.safetensors");
    model_net *net = NULL;
    const model_options run = {.batch = 24};
    const eval_options options = {.batch = 24};
    eval_tokens result = {0};
    if (weights) CHECK_OK(model_token_net_new(&net, &config, weights, &run));
    if (net) CHECK_OK(eval_token_similarity(&result, net, weights, set, 0, &options, NULL));
    CHECK(result.layers == 8 && result.images == ANALYSES_PICTURES);
    analyses_check("cosine", "learned", "-", result.learned, 1e-6);
    for (int i = 0; i < result.layers; i++) {
        char layer[16];
        snprintf(layer, sizeof layer, "%d", i);
        analyses_check("cosine", i < 7 ? layer : "norm", "-", result.cosine[i], 1e-5);
    }
    /* Of a part of the pictures the mean is another one. */
    double all = result.cosine[6];
    if (net) CHECK_OK(eval_token_similarity(&result, net, weights, set, 10, &options, NULL));
    CHECK(result.images == 10 && result.cosine[6] != all);
    model_net_free(net);
    config = analyses_config(false);
    CHECK_FAIL_HAS(model_token_net_new(&net, &config, NULL, &run), "vit has no distillation token");
    model_weights_close(weights);
    data_close(set);
    base_test_folder_end();
}

TEST(golden_analysis_position_norms) {
    if (!analyses_there()) SKIP("no golden/extra");
    base_test_folder_begin();
    model_config config = analyses_config(true);
    weights_test_write(&config, base_test_path("w.safetensors"));
    for (int side = 5; side <= 12; side += side == 9 ? 3 : 4) {
        char text[16];
        model_weights *weights = NULL;
        eval_positions result = {0};
        snprintf(text, sizeof text, "%d", side);
        config.image = 4 * side;
        CHECK_OK(model_weights_open(&weights, &config, base_test_path("w.safetensors"), NULL, NULL));
        if (weights) CHECK_OK(eval_position_norms(&result, weights, side, config.dim));
        CHECK(result.from == 7 && result.to == side);
        analyses_check("norm", "learned", "7", result.before, 1e-6);
        analyses_check("norm", "bicubic", text, result.bicubic, 1e-6);
        analyses_check("norm", "bilinear", text, result.bilinear, 1e-6);
        model_weights_close(weights);
    }
    base_test_folder_end();
}
