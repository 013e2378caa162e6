/* Weights of convolutional networks: files as old as torchvision's, heads of other sizes, and what is said of a file
 * of another network. */

static void weights_test_path(char path[64], const char *name) {
    snprintf(path, 64, "/tmp/deit-test-%d-%s", (int)getpid(), name);
}

/* A network's probe values, those of the golden logits. */
typedef struct {
    nn_graph *graph;
    char *statistics;
    probe_network network;
} weights_probe;

static bool weights_probe_open(weights_probe *probe, const model_config *config) {
    char path[512];
    size_t bytes = 0;
    *probe = (weights_probe){0};
    snprintf(path, sizeof path, "%s/forward/%s.bn.bf16", probe_folder(), config->name);
    if (base_read_file(path, 0, &probe->statistics, &bytes)) return false;
    CHECK_OK(model_graph(&probe->graph, config, 1, MODEL_HEAD_MEAN));
    probe->network = (probe_network){probe->graph, (const uint16_t *)(const void *)probe->statistics, bytes / 2};
    return true;
}

/* The file that make_resnet_head.py begins, with the probe's values. */
static void weights_probe_write(weights_probe *probe, const char *path) {
    char *head;
    size_t size;
    CHECK_OK(base_read_file("tests/golden/store/resnet18_2017.head", 0, &head, &size));
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(head, 1, size, file) == size);
    for (int i = 0; i < nn_param_count(probe->graph); i++) {
        const nn_param *param = nn_param_at(probe->graph, i);
        int64_t count = param->count;
        float *values = malloc(sizeof *values * (size_t)count);
        CHECK_OK(probe_read(&probe->network, i, param, values));
        CHECK(fwrite(&count, sizeof count, 1, file) == 1 &&
              fwrite(values, sizeof *values, (size_t)count, file) == (size_t)count);
        free(values);
    }
    CHECK(!fclose(file));
    base_free(head);
}

TEST(golden_weights_of_2017) {
    char path[64], written[64];
    golden_row row;
    model_config config;
    weights_probe probe;
    model_weights *weights;
    CHECK_OK(model_find("resnet18", &config));
    float *golden = golden_logits("forward", config.name, 1000);
    if (!golden || !golden_find(config.name, &row) || !weights_probe_open(&probe, &config)) SKIP("no goldens");
    weights_test_path(path, "2017.pth"), weights_test_path(written, "2017.safetensors");
    weights_probe_write(&probe, path);
    for (int again = 0; again < 2; again++) { /* as it is, and converted */
        model_net *net = NULL;
        CHECK_OK(model_weights_open(&weights, &config, again ? written : path, NULL, NULL));
        CHECK_OK(model_net_new(&net, &config, weights, &(model_options){.batch = 2, .threads = 2}));
        if (!net) break;
        float *x = probe_images(2, config.image), y[2000];
        CHECK_OK(model_net_run(net, 2, x, y));
        double error = golden_error(y, golden, 2, 1000);
        if (!(error <= 4 * row.torch_error + 1e-6 * row.max_logit))
            TEST_FAIL("error %.3g, PyTorch's %.3g", error, row.torch_error);
        if (!again) CHECK_OK(model_weights_write(weights, written, STORE_F32, NULL));
        free(x);
        model_net_free(net);
        model_weights_close(weights);
    }
    remove(path), remove(written);
    nn_graph_free(probe.graph);
    base_free(probe.statistics), base_free(golden);
}

/* The file that make_teacher_file.py describes: pieces of it, and holes. */
static void weights_teacher_write(const char *path) {
    uint8_t *packed;
    size_t size;
    FILE *file = fopen(path, "wb");
    CHECK_OK(store_read_gzip("tests/golden/store/regnety_160_teacher.gz", 1 << 20, &packed, &size));
    if (!file || !packed) return;
    for (size_t at = 8; at + 16 <= size;) {
        size_t piece = store_little(packed + at + 8, 8);
        CHECK(!fseek(file, (long)store_little(packed + at, 8), SEEK_SET));
        CHECK(fwrite(packed + at + 16, 1, piece, file) == piece);
        at += 16 + piece;
    }
    CHECK_EQ_INT(ftell(file), store_little(packed, 8)); /* the zip ends with its directory */
    CHECK(!fclose(file));
    base_free(packed);
}

/* The teacher's file as its authors published it, of its size and with its names: nothing of it is missing, nothing too
 * much, and each tensor is found under its own name. */
TEST(weights_of_the_teacher) {
    char path[64];
    model_config config;
    model_weights *weights = NULL;
    nn_graph *graph;
    store *file;
    weights_test_path(path, "teacher.pth");
    weights_teacher_write(path);
    CHECK_OK(store_open(&file, path));
    CHECK(!strcmp(store_format(file), "torch zip") && !strcmp(store_part(file), "model"));
    CHECK(store_find(file, "s4.b1.downsample.bn.num_batches_tracked") != NULL);
    CHECK_OK(model_find("regnety_160", &config));
    CHECK_OK(model_graph(&graph, &config, 1, MODEL_HEAD_MEAN));
    CHECK_EQ_INT(store_count(file), nn_param_count(graph) + 59); /* batch norms */
    store_close(file);
    CHECK_OK(model_weights_open(&weights, &config, path, NULL, NULL));
    nn_source source = model_weights_source(weights);
    for (int i = 0; weights && i < nn_param_count(graph); i++) {
        const nn_param *param = nn_param_at(graph, i);
        float *values = malloc(sizeof *values * (size_t)param->count),
              named = (float)(base_fnv1a64(param->name, strlen(param->name)) >> 40);
        CHECK_OK(source.read(source.user, i, param, values));
        if (values[0] != named || values[param->count - 1] != 0) TEST_FAIL("%s is not its own", param->name);
        free(values);
    }
    model_weights_close(weights);
    nn_graph_free(graph);
    CHECK_OK(model_find("regnety_120", &config));
    CHECK_FAIL_HAS(model_weights_open(&weights, &config, path, NULL, NULL),
                   "it looks like regnety_160, and differs first at s2.b5.conv1.conv.weight");
    remove(path);
}

/* The initial values of a network, in a file. */
static void weights_initial(const char *model, const char *path, model_config *config) {
    model_weights *weights;
    CHECK_OK(model_find(model, config));
    CHECK_OK(model_weights_open(&weights, config, NULL, NULL, NULL));
    CHECK_OK(model_weights_write(weights, path, STORE_BF16, NULL));
    model_weights_close(weights);
}

TEST(weights_heads_of_other_sizes) {
    static const char *const models[][2] = {{"deit_tiny_distilled_patch16_224", "head_dist.weight"},
                                            {"resnet18", "fc.weight"},
                                            {"regnety_040", "head.fc.weight"},
                                            {"tf_efficientnet_b0", "classifier.weight"}};
    static const int classes[] = {10, 100, 102, 196, 8142, 1010};
    char path[64], wanted[64];
    weights_test_path(path, "heads.safetensors");
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (size_t c = 0; c < sizeof classes / sizeof *classes; c++) {
            model_config config;
            model_weights *weights;
            nn_graph *graph;
            int heads = 0;
            if (!c) weights_initial(models[m][0], path, &config);
            CHECK_OK(model_find(models[m][0], &config));
            config.classes = classes[c];
            snprintf(wanted, sizeof wanted, "%s ([%d, ", models[m][1], classes[c]);
            CHECK_FAIL_HAS(model_weights_open(&weights, &config, path, NULL, NULL), wanted);
            CHECK(!strstr(base_message(), "looks like")); /* it is the same network */
            CHECK_OK(model_weights_open(&weights, &config, path, &(model_weights_options){.loose = true}, NULL));
            CHECK_OK(model_graph(&graph, &config, 1, MODEL_HEAD_MEAN));
            nn_source source = model_weights_source(weights);
            for (int i = 0; i < nn_param_count(graph); i++) {
                const nn_param *param = nn_param_at(graph, i);
                if (param->dim[0] != classes[c] || param->ndim != 2) continue;
                float *values = malloc(sizeof *values * (size_t)param->count),
                      *initial = malloc(sizeof *initial * (size_t)param->count);
                CHECK_OK(source.read(source.user, i, param, values));
                nn_param_init(param, i, 0, initial);
                heads += !memcmp(values, initial, sizeof *values * (size_t)param->count);
                free(values), free(initial);
            }
            CHECK_EQ_INT(heads, config.distilled ? 2 : 1);
            nn_graph_free(graph);
            model_weights_close(weights);
        }
    remove(path);
}

TEST(weights_of_another_network_are_named) {
    static const char *const cases[][3] = {
        {"resnet18", "resnet50",
         "does not fit resnet50: it looks like resnet18, and differs first at layer1.0.conv1.weight;"},
        {"resnet50", "resnet101", "it looks like resnet50, and differs first at layer3.6.conv1.weight;"},
        {"regnety_040", "regnety_080", "it looks like regnety_040, and differs first at s1.b1.conv1.conv.weight;"},
        {"tf_efficientnet_b1", "tf_efficientnet_b0",
         "it looks like tf_efficientnet_b1, and differs first at blocks.0.1.conv_dw.weight; 128 not in this "
         "network: blocks.0.1.conv_dw.weight,"},
        {"tf_efficientnet_b0", "tf_efficientnet_b1",
         "it looks like tf_efficientnet_b0, and differs first at blocks.0.1.conv_dw.weight;"},
        {"deit_tiny_patch16_224", "deit_small_patch16_224",
         "it looks like deit_tiny_patch16_224, and differs first at cls_token;"},
        {"deit_tiny_distilled_patch16_224", "deit_tiny_patch16_224", "it looks like deit_tiny_distilled_patch16_224"},
    };
    char path[64];
    weights_test_path(path, "other.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        model_config config;
        model_weights *weights;
        weights_initial(cases[i][0], path, &config);
        CHECK_OK(model_find(cases[i][1], &config));
        CHECK_FAIL_HAS(model_weights_open(&weights, &config, path, NULL, NULL), cases[i][2]);
    }
    /* A network that is in no registry resembles none. */
    model_config config = model_vit();
    model_weights *weights;
    config.depth = 2;
    CHECK_OK(model_weights_open(&weights, &config, NULL, NULL, NULL));
    CHECK_OK(model_weights_write(weights, path, STORE_BF16, NULL));
    model_weights_close(weights);
    CHECK_OK(model_find("deit_tiny_patch16_224", &config));
    CHECK_FAIL_HAS(model_weights_open(&weights, &config, path, NULL, NULL),
                   "does not fit deit_tiny_patch16_224: differs first at blocks.2.norm1.weight;");
    remove(path);
}

TEST(weights_network_larger_than_memory) {
    model_config config;
    model_net *net = NULL;
    CHECK_OK(model_find("tf_efficientnet_b7", &config));
    size_t held = base_memory_held();
    CHECK_FAIL_HAS(
        model_net_new(&net, &config, NULL, &(model_options){.batch = 20000, .schedule = MODEL_LATENCY, .threads = 1}),
        "a batch of 20000 images in 1 worker needs");
    CHECK_STR_HAS(base_message(), "GB are free; use a smaller batch");
    CHECK(!net);
    CHECK_EQ_INT(base_memory_held(), held);
}
