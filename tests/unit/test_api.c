/* deit.h: models and training as a host program sees them. */

static const deit_options api_small = {
    .image = 48, .classes = 10, .vit = {.patch = 16, .dim = 32, .depth = 2, .heads = 2}, .seed = 3, .threads = 1};

static void api_pixels(uint8_t *rgb, int n) {
    for (int i = 0; i < n; i++) rgb[i] = (uint8_t)(base_splitmix64(1, (uint64_t)i) >> 56);
}

TEST(api_versions) {
    CHECK(strlen(deit_version()) > 0);
    CHECK(strlen(deit_build()) > 0);
    CHECK_STR_HAS(deit_onednn(), "3.");
    CHECK(strlen(deit_isa()) > 0);
    CHECK_STR_HAS(deit_model_name(0), "deit_");
    CHECK(!deit_model_name(-1) && !deit_model_name(10000));
    CHECK_STR_HAS(deit_imagenet_name(0), "tench");
    CHECK(!deit_imagenet_name(1000) && !deit_imagenet_name(-1));
}

TEST(api_describes) {
    deit_model *model = deit_open("deit_tiny_distilled_patch16_224", NULL, NULL);
    CHECK(model != NULL);
    if (!model) return;
    deit_info info;
    deit_describe(model, &info);
    CHECK_STR_HAS(info.name, "deit_tiny_distilled");
    CHECK_EQ_INT(info.classes, 1000);
    CHECK_EQ_INT(info.image, 224);
    CHECK_EQ_INT(info.parameters, 5910800);
    CHECK(info.bicubic && info.crop == 0.875);
    CHECK(fabsf(info.mean[0] - 0.485f) < 1e-6f && fabsf(info.std[2] - 0.225f) < 1e-6f);
    deit_close(model);
}

TEST(api_pixels_one_by_one_and_together) {
    enum { N = 5, SIDE = 60 };
    static uint8_t rgb[N][SIDE * SIDE * 3];
    deit_image images[N];
    deit_class best[N][3], alone[3];
    deit_options options = api_small;
    options.batch = 2;
    deit_model *model = deit_open("vit", NULL, &options);
    CHECK(model != NULL);
    if (!model) return;
    for (int i = 0; i < N; i++) {
        api_pixels(rgb[i], (int)sizeof rgb[i]);
        memset(rgb[i], 40 * i, sizeof rgb[i] / 2);
        images[i] = (deit_image){rgb[i], sizeof rgb[i], SIDE, SIDE};
    }
    CHECK_EQ_INT(deit_classify(model, N, images, 3, &best[0][0]), DEIT_OK);
    for (int i = 0; i < N; i++) {
        CHECK_EQ_INT(deit_classify(model, 1, &images[i], 3, alone), DEIT_OK);
        CHECK_EQ_INT(alone[0].index, best[i][0].index);
        CHECK(fabsf(alone[0].probability - best[i][0].probability) < 1e-6f);
        CHECK(best[i][0].probability >= best[i][1].probability && best[i][1].probability >= best[i][2].probability);
    }
    float logits[N * 10];
    CHECK_EQ_INT(deit_logits(model, N, images, logits), DEIT_OK);
    for (int k = 0; k < 10; k++) CHECK(logits[4 * 10 + k] <= logits[4 * 10 + best[4][0].index]);
    deit_close(model);
}

TEST(api_gives_features) {
    deit_options options = api_small;
    deit_info info;
    options.features = 1;
    deit_model *model = deit_open("vit", NULL, &options);
    CHECK(model != NULL);
    if (!model) return;
    deit_describe(model, &info);
    CHECK_EQ_INT(info.width, api_small.vit.dim);
    CHECK_EQ_INT(info.classes, 10);
    float *input = base_calloc(3 * (size_t)info.image * (size_t)info.image, sizeof *input);
    float *features = base_calloc((size_t)info.width + 1, sizeof *features);
    features[info.width] = 7;
    CHECK_EQ_INT(deit_forward(model, 1, input, features), DEIT_OK);
    double sum = 0;
    for (int i = 0; i < info.width; i++) sum += (double)features[i];
    CHECK(fabs(sum) < 1e-3 && features[0] != 0 && features[info.width] == 7); /* a layer norm's output */
    deit_class best;
    CHECK_EQ_INT(deit_classify(model, 1, &(deit_image){input, 3, 1, 1}, 1, &best), DEIT_USAGE);
    CHECK_STR_HAS(deit_error(), "opened for features");
    base_free(input), base_free(features);
    deit_close(model);
}

static void api_count_line(void *user, int level, const char *line) {
    *(int *)user += level == 1 && strstr(line, "head") != NULL;
}
TEST(api_trainer_says_what_it_left_out) {
    const char *path = "/tmp/deit_test_api_loose.safetensors";
    int lines = 0;
    deit_train_options options = {.batch = 1, .threads = 1, .image = 32, .classes = 10, .vit = api_small.vit};
    deit_trainer *trainer = deit_trainer_open("vit", NULL, &options);
    CHECK(trainer != NULL);
    CHECK_EQ_INT(deit_trainer_save(trainer, path), DEIT_OK);
    deit_trainer_close(trainer);
    options.classes = 7;
    CHECK(!deit_trainer_open("vit", path, &options));
    CHECK_STR_HAS(deit_error(), "loose = 1 in the options");
    options.loose = 1, options.log = api_count_line, options.user = &lines;
    trainer = deit_trainer_open("vit", path, &options);
    CHECK(trainer != NULL && lines > 0);
    deit_trainer_close(trainer);
    remove(path);
}

TEST(api_says_what_is_wrong) {
    CHECK(!deit_open("deit_tny_patch16_224", NULL, NULL));
    CHECK_STR_HAS(deit_error(), "did you mean 'deit_tiny_patch16_224'");
    CHECK(!deit_open(NULL, NULL, NULL));
    CHECK(!deit_open("deit_tiny_patch16_224", "/nonexistent", NULL));
    CHECK_STR_HAS(deit_error(), "/nonexistent");
    CHECK(!deit_open_memory("deit_tiny_patch16_224", "nothing", 7, NULL));
    CHECK(!deit_open_memory("deit_tiny_patch16_224", NULL, 0, NULL));
    deit_options wrong = {.head = 7};
    CHECK(!deit_open("deit_tiny_patch16_224", NULL, &wrong));
    CHECK_STR_HAS(deit_error(), "head");
    wrong = (deit_options){.vit.dim = 33};
    deit_speed speed;
    CHECK(!deit_open("resnet18", NULL, &wrong));
    CHECK_STR_HAS(deit_error(),
                  "vit.dim: expected 0, found 33: it describes the network \"vit\"; resnet18 is defined by its name");
    CHECK_EQ_INT(deit_bench("resnet18", &wrong, 0, &speed), DEIT_USAGE);
    CHECK(!deit_trainer_open("resnet18", NULL, &(deit_train_options){.batch = 1, .vit.distilled = 1}));
    CHECK_STR_HAS(deit_error(), "vit.distilled: expected 0, found 1");
    wrong = (deit_options){.part = "model_ema"};
    CHECK(!deit_open("resnet18", NULL, &wrong));
    CHECK_STR_HAS(deit_error(), "part = model_ema: initial values have no parts; give a file, or leave it out");

    deit_model *model = deit_open("vit", NULL, &api_small);
    CHECK(model != NULL);
    if (!model) return;
    deit_class best[20];
    deit_image images[2] = {{"not an image", 12, 0, 0}, {NULL, 0, 1000, 1000}};
    CHECK_EQ_INT(deit_classify(model, 1, images, 1, best), DEIT_FAILED);
    CHECK_STR_HAS(deit_error(), "image 0");
    CHECK_EQ_INT(deit_classify(model, 1, images + 1, 1, best), DEIT_USAGE);
    CHECK_STR_HAS(deit_error(), "1000 x 1000 pixels take 3000000 bytes");
    CHECK_EQ_INT(deit_classify(model, 1, images, 11, best), DEIT_USAGE);
    deit_close(model);
}

/* Of bytes in memory as of a file: not another part of it. */
TEST(api_takes_a_part_from_memory) {
    char *data;
    size_t size;
    deit_options options = {.image = 2, .classes = 2, .vit = {.patch = 2, .dim = 2, .depth = 1, .heads = 1}};
    options.loose = 1, options.threads = 1;
    CHECK_OK(base_read_file("tests/golden/store/calls_head.pth", 0, &data, &size));
    options.part = "model";
    deit_model *model = deit_open_memory("vit", data, size, &options);
    CHECK(model != NULL);
    deit_close(model);
    options.part = "model_ema";
    CHECK(!deit_open_memory("vit", data, size, &options));
    CHECK_STR_HAS(deit_error(), "no dict under \"model_ema\"; there are: model");
    base_free(data);
}

/* After what went well there is nothing to say. */
TEST(api_is_silent_of_success) {
    float input[3 * 48 * 48] = {0}, logits[10];
    CHECK(!deit_open("none", NULL, NULL));
    deit_model *model = deit_open("vit", NULL, &api_small);
    CHECK(model != NULL);
    if (!model) return;
    CHECK_EQ_INT(deit_forward(model, 1, input, logits), DEIT_OK);
    CHECK(!strstr(deit_error(), "node"));
    deit_close(model);
}

TEST(api_refuses_numbers_out_of_range) {
    deit_options options = api_small;
    deit_speed speed;
    options.threads = 100000;
    CHECK(!deit_open("vit", NULL, &options));
    CHECK_STR_HAS(deit_error(), "threads: expected 0 (every core) to 4096, found 100000");
    options.threads = 1;
    CHECK_EQ_INT(deit_bench("vit", &options, NAN, &speed), DEIT_USAGE);
    CHECK_EQ_INT(deit_bench("vit", &options, -1, &speed), DEIT_USAGE);
    const deit_train_options good = {.batch = 2, .image = 48, .classes = 10, .threads = 1, .vit = api_small.vit};
    deit_train_options wrong[] = {good, good, good, good, good};
    wrong[0].threads = -3, wrong[1].beta1 = 1.5, wrong[2].eps = NAN, wrong[3].lr = -1, wrong[4].beta2 = 1;
    for (int i = 0; i < 5; i++) CHECK(!deit_trainer_open("vit", NULL, &wrong[i]));
    deit_trainer *trainer = deit_trainer_open("vit", NULL, &good);
    CHECK(trainer != NULL);
    deit_trainer_close(trainer);
}

/* Pictures of another size than a network of 32 pixels takes are resized. */
TEST(api_resizes_for_small_networks) {
    deit_options options = api_small;
    options.image = 32;
    static uint8_t rgb[60 * 40 * 3];
    deit_class best[1];
    deit_model *model = deit_open("vit", NULL, &options);
    CHECK(model != NULL);
    if (!model) return;
    CHECK_EQ_INT(deit_classify(model, 1, &(deit_image){rgb, sizeof rgb, 60, 40}, 1, best), DEIT_OK);
    deit_close(model);
}

/* A forked process has none of the threads that its parent had: refused, where it would wait for ever. */
TEST(api_after_a_fork) {
    float input[3 * 48 * 48] = {0}, logits[10];
    deit_options options = api_small;
    deit_model *one = deit_open("vit", NULL, &options);
    options.threads = 2;
    deit_model *two = deit_open("vit", NULL, &options);
    CHECK(one && two);
    if (!one || !two) return;
    CHECK_EQ_INT(deit_forward(two, 1, input, logits), DEIT_OK);
    pid_t child = fork();
    if (!child) {
        alarm(20);
        bool right = deit_forward(one, 1, input, logits) == DEIT_OK && deit_forward(two, 1, input, logits) != DEIT_OK &&
                     strstr(deit_error(), "forked after threads had begun") && !deit_open("vit", NULL, &options);
        deit_close(one), deit_close(two);
        _exit(right ? 0 : 1);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_EQ_INT(deit_forward(two, 1, input, logits), DEIT_OK);
    deit_close(one), deit_close(two);
}

TEST(api_stops) {
    static const volatile int stop = 1;
    deit_options options = api_small;
    options.cancel = &stop;
    deit_model *model = deit_open("vit", NULL, &options);
    CHECK(model != NULL);
    if (!model) return;
    float *input = calloc(3 * 48 * 48, sizeof *input), logits[10];
    CHECK_EQ_INT(deit_forward(model, 1, input, logits), DEIT_CANCELLED);
    free(input);
    deit_close(model);
    CHECK(!deit_open("nosuch", NULL, &options));
    deit_speed speed;
    CHECK_EQ_INT(deit_bench("vit", &options, 0, &speed), DEIT_CANCELLED);
    CHECK_STR_HAS(deit_error(), "stopped"); /* not what failed before */
}

TEST(api_trains_and_saves) {
    enum { BATCH = 4, SIDE = 32 };
    char path[] = "/tmp/deit-api-XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0);
    close(file);
    deit_train_options options = {.batch = BATCH,
                                  .threads = 1,
                                  .image = SIDE,
                                  .classes = 4,
                                  .seed = 1,
                                  .lr = 1e-3,
                                  .vit = {.patch = 8, .dim = 32, .depth = 1, .heads = 2}};
    static float images[BATCH * 3 * SIDE * SIDE], targets[BATCH * 4];
    for (int i = 0; i < BATCH * 3 * SIDE * SIDE; i++)
        images[i] = (float)(base_splitmix64(2, (uint64_t)i) >> 40) / (1 << 23) - 1;
    for (int i = 0; i < BATCH; i++) targets[i * 4 + i] = 1;
    deit_trainer *trainer = deit_trainer_open("vit", NULL, &options);
    CHECK(trainer != NULL);
    if (!trainer) return;
    float first = 0, last = 0;
    for (int i = 0; i < 3; i++) {
        static const double wrong[] = {NAN, -1e-3, INFINITY};
        CHECK_EQ_INT(deit_trainer_step(trainer, images, targets, wrong[i], &first), DEIT_USAGE);
        CHECK_STR_HAS(deit_error(), "lr: expected a number above 0 and below 1e6");
    }
    for (int step = 0; step < 40; step++)
        CHECK_EQ_INT(deit_trainer_step(trainer, images, targets, 0, step ? &last : &first), DEIT_OK);
    CHECK(fabsf(first - logf(4)) < 0.2f);
    CHECK(last < 0.5f * first);
    CHECK_EQ_INT(deit_trainer_save(trainer, path), DEIT_OK);
    const nn_params *params = trainer->net->params;
    params->values[params->params[1].offset + 2] = NAN;
    CHECK_EQ_INT(deit_trainer_save(trainer, path), DEIT_FAILED);
    CHECK_STR_HAS(deit_error(), "not written: tensor pos_embed: element 2 is nan");
    deit_trainer_close(trainer);

    deit_options reading = {.image = SIDE, .classes = 4, .vit = options.vit, .threads = 1};
    deit_model *model = deit_open("vit", path, &reading);
    CHECK(model != NULL);
    float logits[BATCH * 4];
    if (model) CHECK_EQ_INT(deit_forward(model, BATCH, images, logits), DEIT_OK);
    for (int i = 0; i < BATCH && model; i++) {
        eval_class best;
        eval_top(logits + 4 * i, 4, 1, &best);
        CHECK_EQ_INT(best.index, i);
    }
    deit_close(model);
    unlink(path);
    options.batch = 0;
    CHECK(!deit_trainer_open("vit", NULL, &options));
    CHECK_STR_HAS(deit_error(), "batch");
}

TEST(api_memory_runs_out) {
    size_t before = base_memory_held();
    for (long n = 1; n < 400; n += 7) {
        base_fault_after(n);
        deit_model *model = deit_open("vit", NULL, &api_small);
        base_fault_after(0);
        if (!model) CHECK(strlen(deit_error()) > 0);
        deit_close(model);
    }
    CHECK_EQ_INT(base_memory_held(), before);
}

/* There a network of two threads would get one, and oneDNN compute half of each product. */
TEST(api_inside_a_parallel_region) {
    deit_options options = api_small;
    options.threads = 2, options.schedule = DEIT_LATENCY;
    deit_model *model = deit_open("vit", NULL, &options);
    int sides = 3 * options.image * options.image, failed = 0, inside = 0;
    float *image = calloc((size_t)sides, sizeof *image), logits[10];
    if (model && omp_get_thread_limit() > 1) {
#pragma omp parallel num_threads(2)
#pragma omp single
        {
            inside = omp_in_parallel();
            failed = deit_forward(model, 1, image, logits) != DEIT_OK &&
                     strstr(deit_error(), "inside an OpenMP parallel region");
        }
        CHECK(!inside || failed);
        CHECK_EQ_INT(deit_forward(model, 1, image, logits), DEIT_OK);
    }
    deit_close(model);
    free(image);
}
