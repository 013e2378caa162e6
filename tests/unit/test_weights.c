/* Weights for networks: PyTorch's own logits with interpolated position grids, single heads, networks described by
 * flags and Google's npz (tests/golden/extra, from make_extra_golden.py); what does not fit is named. Uses
 * test_model.c's probe weights and test_base.c's folder. */

typedef struct {
    char name[96], model[96], head[16];
    int size, image, patch, dim, depth, heads, classes, distilled;
    double parameters, max_logit, torch_error, difference, margin;
} weights_case;

static bool weights_case_read(FILE *table, weights_case *c) {
    char line[512];
    while (fgets(line, sizeof line, table))
        if (sscanf(line, "%95s %d %lf %lf %lf %lf %lf %95s %15s %d %d %d %d %d %d %d", c->name, &c->size,
                   &c->parameters, &c->max_logit, &c->torch_error, &c->difference, &c->margin, c->model, c->head,
                   &c->image, &c->patch, &c->dim, &c->depth, &c->heads, &c->classes, &c->distilled) == 16)
            return true;
    return false;
}

/* The network that the weights are of, at the size they belong to. */
static model_config weights_case_config(const weights_case *c) {
    model_config config = model_vit();
    if (strcmp(c->model, "vit")) CHECK_OK(model_find(c->model, &config));
    config.image = c->image, config.patch = c->patch, config.dim = c->dim, config.depth = c->depth;
    config.heads = c->heads, config.classes = c->classes, config.distilled = c->distilled;
    return config;
}

/* Probe weights in a file. */
static void weights_test_write(const model_config *config, const char *path) {
    nn_graph *graph;
    nn_params *params;
    CHECK_OK(model_graph(&graph, config, 1, MODEL_HEAD_MEAN));
    CHECK_OK(nn_params_new(&params, graph, false));
    store_tensor *tensors = calloc((size_t)params->count, sizeof *tensors);
    for (int i = 0; i < params->count; i++) {
        const nn_param *param = &params->params[i];
        probe_read(NULL, i, param, params->values + param->offset);
        tensors[i] = store_tensor_of(param->name, STORE_F32, param->ndim, param->dim, params->values + param->offset);
    }
    CHECK_OK(store_write_safetensors(path, tensors, NULL, (size_t)params->count, NULL));
    free(tensors);
    nn_params_free(params);
    nn_graph_free(graph);
}

/* Logits of the two probe images with the weights of a file, against PyTorch's. */
static void weights_case_run(const weights_case *c, const char *path, nn_dtype precision) {
    model_config config = weights_case_config(c);
    model_weights *weights = NULL;
    model_net *net = NULL;
    config.image = c->size;
    model_options o = {.precision = precision,
                       .batch = 2,
                       .head = !strcmp(c->head, "class")  ? MODEL_HEAD_CLASS
                               : !strcmp(c->head, "dist") ? MODEL_HEAD_DIST
                                                          : MODEL_HEAD_MEAN};
    float *golden = golden_logits("extra", c->name, c->classes), *x = probe_images(2, c->size),
          *y = malloc(sizeof(float) * 2 * (size_t)c->classes);
    CHECK_OK(model_weights_open(&weights, &config, path, NULL, NULL));
    if (weights) CHECK_OK(model_net_new(&net, &config, weights, &o));
    if (net) CHECK_OK(model_net_run(net, 2, x, y));
    double error = net && golden ? golden_error(y, golden, 2, c->classes) : INFINITY,
           bound = 2 * c->torch_error + 1e-6 * c->max_logit;
    if (precision == NN_BF16) bound = 0.05 * c->difference;
    if (!(error <= bound)) TEST_FAIL("%s: error %.3g, at most %.3g allowed", c->name, error, bound);
    model_net_free(net);
    model_weights_close(weights);
    base_free(golden);
    free(x), free(y);
}

static void weights_cases(nn_dtype precision) {
    char path[512];
    weights_case c;
    int cases = 0;
    snprintf(path, sizeof path, "%s/extra/golden.tsv", probe_folder());
    FILE *table = fopen(path, "r");
    if (!table) SKIP("no golden/extra");
    base_test_folder_begin();
    while (weights_case_read(table, &c)) {
        model_config config = weights_case_config(&c);
        weights_test_write(&config, base_test_path("w.safetensors"));
        weights_case_run(&c, base_test_path("w.safetensors"), precision);
        snprintf(path, sizeof path, "%s/extra/vit_tiny_flax.npz", probe_folder());
        if (!strcmp(c.name, "vit_32_4_64_3_2")) weights_case_run(&c, path, precision);
        cases++;
    }
    CHECK(cases >= 10);
    fclose(table);
    base_test_folder_end();
}
TEST(golden_extra_transformers) {
    weights_cases(NN_F32);
}
TEST(golden_extra_transformers_bf16) {
    if (!nn_has_bf16()) SKIP("this processor has no bf16 instructions");
    weights_cases(NN_BF16);
}

/* ---- What does not fit ------------------------------------------------------------------------------------------- */

static model_config weights_test_config(int depth, int classes, bool distilled) {
    model_config config = model_vit();
    config.image = 32, config.patch = 4, config.dim = 64, config.heads = 2;
    config.depth = depth, config.classes = classes, config.distilled = distilled;
    return config;
}

static char weights_test_said[1024];
static void weights_test_log(void *user, base_log_level level, const char *line) {
    (void)user, (void)level;
    snprintf(weights_test_said, sizeof weights_test_said, "%s", line);
}

static base_status weights_test_open(const char *path, model_config config, bool loose) {
    model_weights *weights;
    base_context context = {.log = weights_test_log};
    base_status status =
        model_weights_open(&weights, &config, path, &(model_weights_options){.loose = loose}, &context);
    model_weights_close(weights);
    return status;
}

TEST(weights_that_do_not_fit_are_listed) {
    static const char flax[] = "tests/golden/extra/vit_tiny_flax.npz";
    base_test_folder_begin();
    const char *path = base_test_path("w.safetensors");
    model_config config = weights_test_config(3, 10, true);
    weights_test_write(&config, path);
    CHECK_OK(weights_test_open(path, config, false));
    CHECK_FAIL_HAS(weights_test_open(path, weights_test_config(4, 10, true), false),
                   "12 missing: blocks.3.norm1.weight,");
    CHECK_FAIL_HAS(weights_test_open(path, weights_test_config(2, 10, true), false),
                   ": differs first at blocks.2.norm1.weight; 12 not in this network: blocks.2.");
    CHECK_FAIL_HAS(weights_test_open(path, weights_test_config(3, 7, true), false),
                   "4 of another shape or type: head.weight ([7, 64] expected, [10, 64] found), head.bias");
    CHECK_FAIL_HAS(weights_test_open(path, weights_test_config(3, 10, false), false),
                   "3 not in this network: dist_token, head_dist.");
    CHECK_FAIL_HAS(weights_test_open(flax, weights_test_config(4, 10, false), false),
                   "12 missing: blocks.3.norm1.weight,");
    CHECK_FAIL_HAS(weights_test_open(flax, weights_test_config(2, 10, false), false),
                   "16 not in this network: Transformer/encoderblock_2/");
    CHECK_FAIL_HAS(weights_test_open(flax, weights_test_config(3, 10, true), false), "missing: dist_token, head_dist.");
    base_test_folder_end();
}

TEST(weights_loose_leaves_heads_out_and_says_so) {
    base_test_folder_begin();
    const char *path = base_test_path("w.safetensors");
    model_config config = weights_test_config(3, 10, true);
    weights_test_write(&config, path);
    weights_test_said[0] = 0;
    CHECK_OK(weights_test_open(path, weights_test_config(3, 7, true), true));
    CHECK_STR_HAS(weights_test_said, "skipped 4: head.weight ([10, 64] in the file, [7, 64] here: initial values)");
    CHECK_OK(weights_test_open(path, weights_test_config(3, 10, false), true));
    CHECK_STR_HAS(weights_test_said, "skipped 3: dist_token (not in this network)");
    CHECK_FAIL_HAS(weights_test_open(path, weights_test_config(4, 10, true), true), "12 missing");
    CHECK(!strstr(base_message(), "--strict")); /* it is in force */
    CHECK_OK(weights_test_open("tests/golden/extra/vit_tiny_flax.npz", weights_test_config(3, 10, true), true));
    CHECK_STR_HAS(weights_test_said, "dist_token (not in the file: initial values)");
    base_test_folder_end();
}

/* Blocks that only the file has make it another network's, loose or not; what being loose would not help against is not
 * answered with that advice. */
TEST(weights_loose_takes_no_other_depth) {
    static const model_weights_options strict = {.loosen = "--strict no"};
    static const char advice[] = "--strict no to leave heads of another shape out";
    const struct {
        model_config config;
        bool advised;
    } cases[] = {
        {weights_test_config(3, 7, true), true},   {weights_test_config(3, 10, false), true},
        {weights_test_config(2, 10, true), false}, {weights_test_config(4, 7, true), false},
        {weights_test_config(2, 7, false), false},
    };
    base_test_folder_begin();
    const char *path = base_test_path("w.safetensors");
    model_config config = weights_test_config(3, 10, true);
    weights_test_write(&config, path);
    weights_test_said[0] = 0;
    CHECK_FAIL_HAS(weights_test_open(path, weights_test_config(2, 10, true), true),
                   "12 not in this network: blocks.2.");
    CHECK_FAIL_HAS(weights_test_open(path, weights_test_config(2, 7, false), true),
                   "12 not in this network: blocks.2.");
    CHECK(!weights_test_said[0]);
    CHECK_FAIL_HAS(weights_test_open("tests/golden/extra/vit_tiny_flax.npz", weights_test_config(2, 10, false), true),
                   "16 not in this network: Transformer/encoderblock_2/");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_weights *weights;
        CHECK_FAIL_HAS(model_weights_open(&weights, &cases[i].config, path, &strict, NULL), "does not fit vit");
        CHECK(cases[i].advised == !!strstr(base_message(), advice));
        CHECK(cases[i].advised == !weights_test_open(path, cases[i].config, true));
    }
    base_test_folder_end();
}

/* Weights under a key that is not looked for: the message says how to ask for it, but not for what is no dict, and not
 * for a dict of the network's own. */
TEST(weights_under_another_key) {
    static const struct {
        const char *root, *advice;
    } cases[] = {
        {"{state_dict_ema:{cls_token:T}}", "there are weights under state_dict_ema: try --weights-part state_dict_ema"},
        {"{optimizer:{state:{x:T}},model_state_dict:{module.norm.bias:T}}", "try --weights-part model_state_dict"},
        {"{net:{conv1.weight:T}}", "try --weights-part net"},
        {"{blocks:{0.x:T}}", NULL},
        {"{net.cls_token:T}", NULL},
        {"{one:{x:T},other:{x:T}}", NULL},
    };
    model_config config = weights_test_config(1, 10, false);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        model_weights_options how = {.parts = i % 2 ? NULL : "--weights-part"};
        base_text file = store_test_torch(cases[i / 2].root);
        model_weights *weights;
        CHECK_FAIL_HAS(model_weights_open_memory(&weights, &config, file.data, file.size, &how, NULL), "does not fit");
        if (!cases[i / 2].advice)
            CHECK(!strstr(base_message(), "--weights-part"));
        else
            CHECK_STR_HAS(base_message(), i % 2 ? "deit weights convert with --weights-part" : cases[i / 2].advice);
        base_text_free(&file);
    }
}

/* A tensor that stands for a call is missing, and the message says why; one that nobody wants does not matter. */
TEST(weights_that_a_call_would_make) {
    static const char file[] = "tests/golden/store/calls_head.pth";
    model_config config = model_vit();
    config.image = config.patch = config.dim = 2, config.depth = config.heads = 1, config.classes = 2;
    CHECK_FAIL_HAS(weights_test_open(file, config, false), "1 missing: head.bias (it depends on posix.system");
    CHECK(!base_path_exists("/tmp/deit_was_here"));
    CHECK_OK(weights_test_open(file, config, true)); // head.bias starts anew
    CHECK_STR_HAS(weights_test_said, "head.bias (not in the file: initial values)");
}

/* A tensor that is not finite is named. */
TEST(weights_not_finite_are_named) {
    base_test_folder_begin();
    const char *path = base_test_path("w.safetensors");
    model_config config = weights_test_config(1, 10, false);
    weights_test_write(&config, path);
    char *data;
    size_t size, header;
    CHECK_OK(base_read_file(path, 0, &data, &size));
    header = 8 + (size_t)store_little((const uint8_t *)data, 8);
    char *at = strstr(data + 8, "\"blocks.0.attn.qkv.bias\"");
    long begin = -1;
    if (at && (at = strstr(at, "\"data_offsets\":["))) begin = atol(at + 16);
    CHECK(begin >= 0);
    static const uint32_t bad[] = {0x7fc00000, 0x7f800000};
    for (int i = 0; i < 2 && begin >= 0; i++) {
        model_weights *weights;
        model_net *net;
        memcpy(data + header + begin + 4 * 17, &bad[i], 4);
        CHECK_OK(base_write_file(path, data, size));
        CHECK_OK(model_weights_open(&weights, &config, path, NULL, NULL));
        CHECK_FAIL_HAS(model_net_new(&net, &config, weights, &(model_options){0}),
                       i ? "w.safetensors: tensor blocks.0.attn.qkv.bias: element 17 is inf"
                         : "w.safetensors: tensor blocks.0.attn.qkv.bias: element 17 is nan");
        model_weights_close(weights);
    }
    base_free(data);
    base_test_folder_end();
}

/* The number of heads changes no shape: a file that says it must say the network's. */
TEST(weights_of_other_heads) {
    model_config config = model_vit();
    model_weights *w;
    base_test_folder_begin();
    config.image = 32, config.patch = 16, config.dim = 48, config.depth = 1, config.heads = 6, config.classes = 10;
    CHECK_OK(model_weights_open(&w, &config, NULL, NULL, NULL));
    CHECK_OK(model_weights_write(w, base_test_path("six.safetensors"), STORE_F32, NULL));
    model_weights_close(w);
    CHECK_OK(model_weights_open(&w, &config, base_test_path("six.safetensors"), NULL, NULL));
    model_weights_close(w);
    config.heads = 3;
    CHECK_FAIL_HAS(model_weights_open(&w, &config, base_test_path("six.safetensors"), NULL, NULL),
                   "it says that it has 6 attention heads, 3 expected; check --model or --heads");
    base_test_folder_end();
}
