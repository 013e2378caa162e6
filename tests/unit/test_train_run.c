/* What a run is made of: options and recipes, schedules, optimizers, averages (against timm's and PyTorch's figures:
 * tests/golden/train_extra), checkpoints. */

/* ---- Options ----------------------------------------------------------------------------------------------------- */

TEST(train_options_are_the_official_defaults) {
    train_options o;
    CHECK_OK(train_options_init(&o));
    CHECK(o.batch_size == 64 && o.epochs == 300 && o.lr == 5e-4 && o.weight_decay == 0.05 && o.opt == TRAIN_ADAMW);
    CHECK(o.opt_betas[0] == 0.9 && o.opt_betas[1] == 0.999 && o.opt_eps == 1e-8 && o.cutmix_minmax[0] < 0);
    CHECK(o.mixup == 0.8 && o.cutmix == 1 && o.reprob == 0.25 && o.repeated_aug == 1 && o.model_ema == 1);
    CHECK(!strcmp(o.aa, "rand-m9-mstd0.5-inc1") && o.train_mode == -1 && o.distillation_tau == 1);
    static const char *const official[][2] = {{"model-ema-decay", "0.99996"},
                                              {"min-lr", "1e-5"},
                                              {"warmup-lr", "1e-6"},
                                              {"warmup-epochs", "5"},
                                              {"decay-epochs", "30"},
                                              {"decay-rate", "0.1"},
                                              {"momentum", "0.9"},
                                              {"color-jitter", "0.4"},
                                              {"smoothing", "0.1"},
                                              {"remode", "pixel"},
                                              {"recount", "1"},
                                              {"mixup-prob", "1.0"},
                                              {"mixup-switch-prob", "0.5"},
                                              {"mixup-mode", "batch"},
                                              {"drop", "0"},
                                              {"drop-path", "0.1"},
                                              {"distillation-alpha", "0.5"},
                                              {"distillation-tau", "1.0"},
                                              {"distillation-type", "none"},
                                              {"sched", "cosine"},
                                              {"train-interpolation", "bicubic"},
                                              {"eval-crop-ratio", "0.875"},
                                              {"teacher-model", "regnety_160"},
                                              {"clip-grad", "0"}};
    for (size_t i = 0; i < sizeof official / sizeof *official; i++) {
        const train_option *option = train_option_find(official[i][0]);
        char is[80], room[80];
        snprintf(is, sizeof is, "%s", train_option_text(&o, option, room));
        train_options other;
        CHECK_OK(train_options_init(&other));
        CHECK_OK(train_options_set(&other, option, official[i][1]));
        if (strcmp(is, train_option_text(&other, option, room)))
            TEST_FAIL("--%s is %s, %s expected", official[i][0], is, official[i][1]);
        train_options_free(&other);
    }
    base_text text = {0};
    train_options_print(&o, &text);
    CHECK_EQ_INT(text.size, 0);
    base_text_free(&text);
    train_options_free(&o);
}

TEST(train_options_from_text_and_json) {
    train_options o, back;
    CHECK_OK(train_options_init(&o));
    CHECK(train_option_find("output_dir") == train_option_find("output-dir") && train_option_find("num_workers"));
    CHECK(!train_option_find("lrr") && !train_option_find("output") && !train_option_find("output-dirs"));
    CHECK_OK(train_options_set(&o, train_option_find("opt-betas"), "0.8 0.95"));
    CHECK_OK(train_options_set(&o, train_option_find("cutmix-minmax"), "0.2,0.8"));
    CHECK_OK(train_options_set(&o, train_option_find("lr"), "0.1"));
    CHECK_OK(train_options_set(&o, train_option_find("seed"), "8999999999999999"));
    CHECK_OK(train_options_set(&o, train_option_find("freeze"), "blocks.0.*,pos_embed"));
    CHECK_OK(train_options_set(&o, train_option_find("model-ema"), "no"));
    CHECK_FAIL_HAS(train_options_set(&o, train_option_find("lr"), "fast"), "--lr: expected a number");
    CHECK_FAIL_HAS(train_options_set(&o, train_option_find("epochs"), "0"), "--epochs: expected a whole number from 1");
    CHECK_FAIL_HAS(train_options_set(&o, train_option_find("epochs"), "1.5"), "found '1.5'");
    CHECK_FAIL_HAS(train_options_set(&o, train_option_find("opt"), "lamb"), "expected adamw|sgd, found 'lamb'");
    CHECK_FAIL_HAS(train_options_set(&o, train_option_find("opt-betas"), "0.9"), "expected two numbers");
    base_text text = {0}, again = {0};
    train_options_print(&o, &text);
    CHECK_STR_HAS(text.data, "--freeze 'blocks.0.*,pos_embed'");
    CHECK_STR_HAS(text.data, "--opt-betas 0.8,0.95");
    CHECK_STR_HAS(text.data, "--no-model-ema");
    json_t *json = train_options_json(&o);
    CHECK_EQ_INT(json_dump_file(json, "/tmp/deit_test_args.json", 0), 0);
    json_decref(json);
    CHECK_OK(train_options_init(&back));
    CHECK_OK(train_options_read(&back, "/tmp/deit_test_args.json"));
    train_options_print(&back, &again);
    CHECK(text.data && again.data && !strcmp(text.data, again.data) && back.seed == o.seed);
    CHECK_OK(base_write_file("/tmp/deit_test_args.json", "[]", 2));
    CHECK_FAIL_HAS(train_options_read(&back, "/tmp/deit_test_args.json"),
                   "a JSON object of options, found something else");
    remove("/tmp/deit_test_args.json");
    base_text_free(&text), base_text_free(&again);
    train_options_free(&o), train_options_free(&back);
}

static void train_recipe_file(const char *text) {
    CHECK_OK(base_write_file("/tmp/deit_test_recipe", text, strlen(text)));
}

TEST(train_recipes_expand) {
    train_options o;
    const char *what, *name;
    for (int i = 0; (name = train_recipe_at(i, &what)); i++) {
        CHECK_OK(train_options_init(&o));
        CHECK_OK(train_recipe(&o, name));
        train_options_free(&o);
    }
    CHECK_OK(train_options_init(&o));
    CHECK_OK(train_recipe(&o, "vit"));
    CHECK(o.batch_size * o.accumulate == 4096 && o.unscale_lr == 1 && o.repeated_aug == 0 && o.warmup_epochs == 3.4);
    CHECK(train_schedule_of(&o).base == 0.003);
    CHECK_OK(train_recipe(&o, "deit"));
    CHECK(o.batch_size * o.accumulate == 1024 && o.repeated_aug == 1);
    train_recipe_file("# mine\n--lr=0.25 --no-repeated-aug \\\n --aa 'none' # end\n");
    CHECK_OK(train_recipe(&o, "/tmp/deit_test_recipe"));
    CHECK(o.lr == 0.25 && !o.repeated_aug && !strcmp(o.aa, "none"));
    train_recipe_file("--batchsize 4");
    CHECK_FAIL_HAS(train_recipe(&o, "/tmp/deit_test_recipe"), "no option --batchsize; did you mean --batch-size?");
    train_recipe_file("--lr");
    CHECK_FAIL_HAS(train_recipe(&o, "/tmp/deit_test_recipe"), "--lr: expected a value after it");
    train_recipe_file("--model-ema=no");
    CHECK_FAIL_HAS(train_recipe(&o, "/tmp/deit_test_recipe"), "--model-ema: expected no value, found 'no'");
    train_recipe_file("--output-dir 'runs/x\n--lr 7\n");
    CHECK_FAIL_HAS(train_recipe(&o, "/tmp/deit_test_recipe"), "expected a closing quote on the line of 'runs/x");
    train_recipe_file("--output-dir \"a 'b' c\" --opt-betas 0.8 0.95");
    CHECK_OK(train_recipe(&o, "/tmp/deit_test_recipe"));
    CHECK(!strcmp(o.output_dir, "a 'b' c") && o.opt_betas[0] == 0.8 && o.opt_betas[1] == 0.95);
    base_text flags = {0};
    train_options_print(&o, &flags);
    CHECK_STR_HAS(flags.data, "--output-dir 'a '\\''b'\\'' c'");
    base_text_free(&flags);
    CHECK_FAIL_HAS(train_recipe(&o, "diet"), "expected deit, deit-finetune");
    remove("/tmp/deit_test_recipe");
    train_options_free(&o);
}

/* ---- Schedules --------------------------------------------------------------------------------------------------- */

TEST(golden_train_schedules_are_timms) {
    FILE *file = fopen("tests/golden/train_extra/schedule.tsv", "r");
    CHECK(file != NULL);
    char name[32];
    int cases = 0;
    for (double v[9]; file && fscanf(file, "%31s", name) == 1; cases++) {
        for (int i = 0; i < 9; i++) CHECK_EQ_INT(fscanf(file, "%lf", &v[i]), 1);
        train_schedule s = {v[0] != 0, v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
        for (int epoch = 0; epoch < (int)v[8]; epoch++) {
            double expected = 0, found = train_schedule_epoch(&s, epoch);
            CHECK_EQ_INT(fscanf(file, "%lf", &expected), 1);
            if (fabs(found - expected) > 1e-9 * expected)
                TEST_FAIL("%s, epoch %d: %.10e, timm has %.10e", name, epoch, found, expected);
        }
    }
    CHECK_EQ_INT(cases, 4);
    if (file) fclose(file);
}

/* ---- Optimizers -------------------------------------------------------------------------------------------------- */

enum { STEPS_TENSORS = 5, STEPS = 5 };
typedef struct {
    nn_param list[STEPS_TENSORS];
    float values[160], gradients[160], ema[160];
    double norms[STEPS];
    nn_params params;
} steps_case;

/* u of the name and, for gradients, "@step"; times scale. */
static void steps_fill(const nn_param *param, int step, double scale, float *out) {
    char name[64];
    snprintf(name, sizeof name, step < 0 ? "%s" : "%s@%d", param->name, step);
    uint64_t h = base_fnv1a64(name, strlen(name));
    for (int64_t i = 0; i < param->count; i++)
        out[i] = (float)(((double)(base_splitmix64(h, (uint64_t)i + 1) >> 40) / 8388608.0 - 1.0) * scale);
}

static void steps_run(steps_case *c, train_rule rule, double clip, int threads) {
    static const nn_param list[STEPS_TENSORS] = {{.name = "cls_token", .ndim = 3, .dim = {1, 1, 8}, .count = 8},
                                                 {.name = "dist_token", .ndim = 3, .dim = {1, 1, 8}, .count = 8},
                                                 {.name = "pos_embed", .ndim = 3, .dim = {1, 3, 8}, .count = 24},
                                                 {.name = "fc.weight", .ndim = 2, .dim = {6, 8}, .count = 48},
                                                 {.name = "fc.bias", .ndim = 1, .dim = {6}, .count = 6}};
    memset(c, 0, sizeof *c);
    memcpy(c->list, list, sizeof list);
    c->params = (nn_params){.params = c->list, .count = STEPS_TENSORS, .values = c->values, .gradients = c->gradients};
    for (int i = 0; i < STEPS_TENSORS; i++) {
        c->list[i].offset = c->params.size;
        c->params.size += (c->list[i].count + 15) / 16 * 16;
        steps_fill(&c->list[i], -1, 0.5, c->values + c->list[i].offset);
    }
    memcpy(c->ema, c->values, sizeof c->values);
    train_optimizer *optimizer;
    train_step_options o = train_adamw_defaults();
    o.lr = rule == TRAIN_SGD ? 0.1 : 1e-2, o.momentum = 0.9;
    CHECK_OK(train_optimizer_new(&optimizer, rule, &c->params, threads));
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < STEPS_TENSORS; i++) steps_fill(&c->list[i], step, 0.3, c->gradients + c->list[i].offset);
        c->norms[step] = train_gradient_norm(optimizer);
        train_optimizer_step(optimizer, &o, train_clip(c->norms[step], clip));
        train_ema_update(c->ema, &c->params, 0.9, threads);
    }
    train_optimizer_free(optimizer);
}

/* One line: numbers of a tensor ("fc.bias", "ema.fc.bias"), or the norms. */
static void steps_check(const steps_case *c, const char *which, const char *name, double torch_error, FILE *file) {
    bool average = !strncmp(name, "ema.", 4), norms = !strcmp(name, "norm");
    const nn_param *param = NULL;
    for (int i = 0; i < STEPS_TENSORS; i++)
        if (!strcmp(c->list[i].name, name + (average ? 4 : 0))) param = &c->list[i];
    CHECK(norms || param);
    if (!norms && !param) return;
    const float *values = norms ? NULL : (average ? c->ema : c->values) + param->offset;
    for (int64_t i = 0, n = norms ? STEPS : param->count; i < n; i++) {
        double expected = 0, found = norms ? c->norms[i] : (double)values[i];
        CHECK_EQ_INT(fscanf(file, "%lf", &expected), 1);
        if (fabs(found - expected) > 3 * torch_error + 1e-7)
            TEST_FAIL("%s, %s[%lld]: %.9g, PyTorch has %.9g", which, name, (long long)i, found, expected);
    }
}

TEST(golden_train_optimizers_are_pytorchs) {
    static const char *const names[] = {"adamw", "adamw_clip", "sgd", "sgd_clip"};
    static steps_case cases[4];
    for (int k = 0; k < 4; k++) steps_run(&cases[k], k < 2 ? TRAIN_ADAMW : TRAIN_SGD, k % 2 ? 1 : 0, 1 + k % 2);
    FILE *file = fopen("tests/golden/train_extra/optimizer.tsv", "r");
    CHECK(file != NULL);
    char which[32], name[32];
    int lines = 0;
    for (double error; file && fscanf(file, "%31s %31s %lf", which, name, &error) == 3; lines++)
        for (int k = 0; k < 4; k++)
            if (!strcmp(which, names[k])) steps_check(&cases[k], which, name, error, file);
    CHECK_EQ_INT(lines, 44);
    if (file) fclose(file);
}

TEST(train_optimizer_leaves_frozen_and_buffers_and_does_not_depend_on_threads) {
    enum { N = 100000 };
    float *values[2], *gradients = malloc(N * sizeof(float));
    double norm[2];
    for (int j = 0; j < N; j++) gradients[j] = sinf((float)j);
    for (int k = 0; k < 2; k++) {
        nn_param list[3] = {{.name = "a", .ndim = 2, .dim = {N - 64, 1}, .count = N - 64, .offset = 0},
                            {.name = "b", .ndim = 2, .dim = {32, 1}, .count = 32, .offset = N - 64, .frozen = true},
                            {.name = "c", .ndim = 1, .dim = {32}, .count = 32, .offset = N - 32, .buffer = true}};
        values[k] = malloc(N * sizeof(float));
        for (int j = 0; j < N; j++) values[k][j] = cosf((float)j);
        nn_params params = {.params = list, .count = 3, .size = N, .values = values[k], .gradients = gradients};
        train_optimizer *optimizer;
        train_step_options o = train_adamw_defaults();
        CHECK_OK(train_optimizer_new(&optimizer, TRAIN_ADAMW, &params, k ? 3 : 1));
        norm[k] = train_gradient_norm(optimizer);
        for (int step = 0; step < 3; step++) train_optimizer_step(optimizer, &o, 0.5);
        train_optimizer_free(optimizer);
    }
    CHECK(!memcmp(values[0], values[1], N * sizeof(float)) && norm[0] == norm[1]);
    CHECK(values[0][0] != 1 && values[0][N - 64] == cosf(N - 64) && values[0][N - 1] == cosf(N - 1));
    free(values[0]), free(values[1]), free(gradients);
}

/* ---- A network to be trained ------------------------------------------------------------------------------------- */

enum { NET_BATCH = 4, NET_CLASSES = 5, NET_SIDE = 8 };
static model_config net_test_config(bool distilled) {
    model_config config = model_vit();
    config.image = NET_SIDE, config.patch = 4, config.dim = 16, config.depth = 2, config.heads = 2;
    config.classes = NET_CLASSES, config.distilled = distilled;
    return config;
}

static train_net *net_test_new(const model_config *config, const train_net_options *options) {
    model_weights *weights = NULL;
    train_net *net = NULL;
    model_weights_options how = {.seed = 3};
    CHECK_OK(model_weights_open(&weights, config, NULL, &how, NULL));
    CHECK_OK(train_net_new(&net, config, weights, options));
    model_weights_close(weights);
    return net;
}

/* Labels i mod 5, a little smoothed. */
static void net_test_targets(float *targets, int batch) {
    for (int i = 0; i < batch * NET_CLASSES; i++)
        targets[i] = i % NET_CLASSES == i / NET_CLASSES % NET_CLASSES ? 0.92f : 0.02f;
}

static void net_test_steps(train_net *net, const float *teacher, int steps) {
    train_optimizer *optimizer;
    train_step_options o = train_adamw_defaults();
    float *images = probe_images(net->options.batch > 0 ? (int)net->options.batch : 1, NET_SIDE), loss,
          targets[2 * NET_BATCH * NET_CLASSES];
    net_test_targets(targets, (int)net->options.batch);
    CHECK_OK(train_optimizer_new(&optimizer, TRAIN_ADAMW, net->params, 1));
    for (int i = 0; i < steps; i++) {
        CHECK_OK(train_net_gradients(net, images, targets, teacher, false, 1, (uint64_t)i, &loss));
        train_optimizer_step(optimizer, &o, 1);
    }
    train_optimizer_free(optimizer);
    free(images);
}

static bool net_test_moved(const train_net *net, const train_net *from, const char *name) {
    for (int i = 0; i < net->params->count; i++) {
        const nn_param *param = &net->params->params[i];
        if (!strcmp(param->name, name))
            return memcmp(net->params->values + param->offset, from->params->values + param->offset,
                          (size_t)param->count * sizeof(float)) != 0;
    }
    TEST_FAIL("no parameter %s", name);
    return false;
}

TEST(train_passes_add_up_to_a_batch) {
    model_config config = net_test_config(false);
    train_net_options half = {.batch = NET_BATCH, .threads = 1}, full = {.batch = 2 * NET_BATCH, .threads = 1};
    train_net *a = net_test_new(&config, &half), *b = net_test_new(&config, &full);
    float *images = probe_images(2 * NET_BATCH, NET_SIDE), targets[2 * NET_BATCH * NET_CLASSES], loss[3];
    net_test_targets(targets, 2 * NET_BATCH);
    CHECK_OK(train_net_gradients(a, images, targets, NULL, false, 0, 0, &loss[0]));
    CHECK_OK(train_net_gradients(a, images + NET_BATCH * 3 * NET_SIDE * NET_SIDE, targets + NET_BATCH * NET_CLASSES,
                                 NULL, true, 0, 1, &loss[1]));
    CHECK_OK(train_net_gradients(b, images, targets, NULL, false, 0, 0, &loss[2]));
    CHECK(fabsf((loss[0] + loss[1]) / 2 - loss[2]) < 1e-6f);
    double worst = 0, most = 0;
    for (int64_t j = 0; j < a->params->size; j++) {
        worst = fmax(worst, fabs(0.5 * (double)a->params->gradients[j] - (double)b->params->gradients[j]));
        most = fmax(most, fabs((double)b->params->gradients[j]));
    }
    CHECK(worst < 1e-5 * most && most > 0);
    train_net_free(a), train_net_free(b);
    free(images);
}

TEST(train_freezes_what_matches) {
    model_config config = net_test_config(true);
    train_net_options o = {.batch = NET_BATCH, .threads = 1, .mean = true},
                      frozen = {.batch = NET_BATCH, .threads = 1, .mean = true, .freeze = "blocks.0.*,pos_embed"},
                      plain = {.batch = NET_BATCH, .threads = 1};
    train_net *begin = net_test_new(&config, &o), *all = net_test_new(&config, &o),
              *some = net_test_new(&config, &frozen), *one = net_test_new(&config, &plain);
    net_test_steps(all, NULL, 2), net_test_steps(some, NULL, 2), net_test_steps(one, NULL, 2);
    CHECK(net_test_moved(all, begin, "blocks.0.mlp.fc1.weight") && net_test_moved(all, begin, "pos_embed"));
    CHECK(!net_test_moved(some, begin, "blocks.0.mlp.fc1.weight") && !net_test_moved(some, begin, "pos_embed"));
    CHECK(net_test_moved(some, begin, "blocks.1.mlp.fc1.weight") && net_test_moved(some, begin, "head_dist.weight"));
    CHECK(some->trained < all->trained);
    // Without distillation the class head alone is trained, and the other is not even decayed.
    CHECK(net_test_moved(one, begin, "head.weight") && !net_test_moved(one, begin, "head_dist.weight"));
    train_net_free(begin), train_net_free(all), train_net_free(some), train_net_free(one);
    model_weights *weights;
    CHECK_OK(model_weights_open(&weights, &config, NULL, NULL, NULL));
    frozen.freeze = "head.*,block.0.*";
    CHECK_FAIL_HAS(train_net_new(&some, &config, weights, &frozen), "no parameter of vit matches 'block.0.*'");
    frozen.freeze = "*";
    CHECK_FAIL_HAS(train_net_new(&some, &config, weights, &frozen), "no parameter is left to train");
    model_weights_close(weights);
}

/* One token: both losses act on the class head (the paper's Table 3). */
TEST(train_distils_into_one_token) {
    model_config config = net_test_config(false);
    train_net_options hard = {.batch = NET_BATCH, .threads = 1, .distillation = TRAIN_DISTIL_HARD, .alpha = 0.3},
                      soft = {
                          .batch = NET_BATCH, .threads = 1, .distillation = TRAIN_DISTIL_SOFT, .alpha = 0.3, .tau = 2};
    train_net *nets[2] = {net_test_new(&config, &hard), net_test_new(&config, &soft)};
    float *images = probe_images(NET_BATCH, NET_SIDE), targets[NET_BATCH * NET_CLASSES],
          teacher[NET_BATCH * NET_CLASSES], loss;
    net_test_targets(targets, NET_BATCH);
    for (int i = 0; i < NET_BATCH * NET_CLASSES; i++) teacher[i] = (float)((i * 7) % 11) * 0.3f;
    for (int k = 0; k < 2; k++) {
        CHECK_OK(train_net_gradients(nets[k], images, targets, teacher, false, 0, 0, &loss));
        double expected = 0, tau = k ? 2 : 1;
        for (int b = 0; b < NET_BATCH; b++) {
            const float *z = nets[k]->logits + b * NET_CLASSES, *t = teacher + b * NET_CLASSES;
            double sum = 0, cold = 0, guide = 0;
            int best = 0;
            for (int c = 0; c < NET_CLASSES; c++) {
                sum += exp((double)z[c]), cold += exp((double)z[c] / tau), guide += exp((double)t[c] / tau);
                best = t[c] > t[best] ? c : best;
            }
            for (int c = 0; c < NET_CLASSES; c++) {
                double log_t = (double)t[c] / tau - log(guide), log_z = (double)z[c] / tau - log(cold);
                expected += 0.7 * (double)targets[b * NET_CLASSES + c] * (log(sum) - (double)z[c]) / NET_BATCH;
                if (k)
                    expected += 0.3 * exp(log_t) * (log_t - log_z) * tau * tau / (NET_BATCH * NET_CLASSES);
                else if (c == best)
                    expected += 0.3 * (log(sum) - (double)z[c]) / NET_BATCH;
            }
        }
        CHECK(fabs((double)loss - expected) < 1e-5);
        train_net_free(nets[k]);
    }
    free(images);
}

/* The teacher sees the same picture, by its own normalisation, at its own size. */
TEST(train_teacher_has_its_own_normalisation_and_size) {
    model_config student = net_test_config(false), own = student;
    for (int c = 0; c < 3; c++) own.mean[c] = own.std[c] = 0.5f;
    train_net_options o = {.batch = 1, .threads = 1};
    train_net *net = net_test_new(&own, &o);
    CHECK_OK(train_weights_write("/tmp/deit_test_teacher.safetensors", &own, net->params, net->params->values));
    model_config described;
    CHECK_OK(model_weights_config("/tmp/deit_test_teacher.safetensors", &described));
    CHECK(described.dim == 16 && described.depth == 2 && described.classes == NET_CLASSES && !described.distilled);
    enum { PIXELS = 3 * NET_SIDE * NET_SIDE };
    float pixels[2 * PIXELS], student_sees[2 * PIXELS], teacher_sees[2 * PIXELS], direct[2 * NET_CLASSES],
        through[2 * NET_CLASSES];
    for (int i = 0; i < 2 * PIXELS; i++) {
        int c = i / (NET_SIDE * NET_SIDE) % 3;
        pixels[i] = (float)((i * 37) % 256) / 255;
        student_sees[i] = (pixels[i] - student.mean[c]) / student.std[c];
        teacher_sees[i] = (pixels[i] - 0.5f) / 0.5f;
    }
    model_options run = {.batch = 2, .threads = 1};
    train_teacher_net *teacher;
    CHECK_OK(train_teacher_new(&teacher, &own, "/tmp/deit_test_teacher.safetensors", &student, &run, NULL));
    CHECK_OK(train_teacher_run(teacher, 2, student_sees, through));
    CHECK_OK(model_net_run(teacher->net, 2, teacher_sees, direct));
    for (int i = 0; i < 2 * NET_CLASSES; i++) CHECK(fabsf(direct[i] - through[i]) < 1e-5f);
    train_teacher_free(teacher);
    // A picture of one colour stays so at twice the size.
    for (int i = 0; i < 2 * PIXELS; i++) student_sees[i] = 0.25f;
    own.image = 2 * NET_SIDE;
    CHECK_OK(train_teacher_new(&teacher, &own, "/tmp/deit_test_teacher.safetensors", &student, &run, NULL));
    CHECK_OK(train_teacher_run(teacher, 2, student_sees, through));
    for (int c = 0; c < 3; c++) {
        float expected = (0.25f * student.std[c] + student.mean[c] - 0.5f) / 0.5f;
        for (int i = 0; i < 4 * NET_SIDE * NET_SIDE; i++)
            CHECK(fabsf(teacher->images[c * 4 * NET_SIDE * NET_SIDE + i] - expected) < 1e-5f);
    }
    train_teacher_free(teacher);
    own.classes = NET_CLASSES + 1;
    CHECK_FAIL_HAS(train_teacher_new(&teacher, &own, "/tmp/deit_test_teacher.safetensors", &student, &run, NULL),
                   "the teacher, for 6 classes: ");
    CHECK_STR_HAS(base_message(), "head.weight ([6, 16] expected, [5, 16] found)");
    remove("/tmp/deit_test_teacher.safetensors");
    train_net_free(net);
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

static void checkpoint_test_log(void *user, base_log_level level, const char *line) {
    if (level == BASE_LOG_WARNING) snprintf(user, 512, "%s", line);
}

static void checkpoint_test_damage(const char *path) {
    FILE *file = fopen(path, "r+");
    CHECK(file && !fseek(file, -5, SEEK_END));
    int c = fgetc(file);
    CHECK(!fseek(file, -5, SEEK_END) && fputc(c ^ 1, file) != EOF && !fclose(file));
}

TEST(train_checkpoints_survive_damage_and_full_disks) {
    char folder[] = "/tmp/deit_test_run_XXXXXX", warning[512] = "", command[256];
    int here = open(".", O_RDONLY | O_DIRECTORY);
    const base_context context = {.log = checkpoint_test_log, .user = warning};
    CHECK(mkdtemp(folder) && !chdir(folder));
    model_config config = net_test_config(false);
    train_net_options o = {.batch = NET_BATCH, .threads = 1};
    train_net *net = net_test_new(&config, &o);
    size_t bytes = (size_t)net->params->size * sizeof(float);
    float *kept[2] = {malloc(bytes), malloc(bytes)}, *ema = calloc(1, bytes);
    train_optimizer *optimizer;
    CHECK_OK(train_optimizer_new(&optimizer, TRAIN_ADAMW, net->params, 1));
    train_state state = {.epoch = 1, .pass = 7, .step = 10, .loss_sum = 1.0 / 3, .best_epoch = -1}, back;
    for (int k = 0; k < 3; k++, state.step += 10) { // the first of three is removed
        net_test_steps(net, NULL, 1);
        for (int64_t j = 0; j < net->params->size; j++)
            optimizer->first[j] = (float)(k + 1), optimizer->second[j] = 0.1f, ema[j] = net->params->values[j] / 3;
        optimizer->steps = state.step;
        if (k) memcpy(kept[k - 1], net->params->values, bytes);
        CHECK_OK(train_checkpoint_save(".", net, optimizer, ema, &state));
    }
    CHECK(!base_path_exists("checkpoints/00000010.json") && base_path_exists("checkpoints/00000020.safetensors"));
    for (int k = 1; k >= 0; k--) {
        memset(net->params->values, 0, bytes), memset(ema, 0, bytes), memset(optimizer->first, 0, bytes);
        CHECK_OK(train_checkpoint_load(".", net, optimizer, ema, &back, &context));
        CHECK(!memcmp(net->params->values, kept[k], bytes) && optimizer->first[0] == (float)(k + 2));
        CHECK(ema[0] == kept[k][0] / 3 && optimizer->steps == back.step && back.step == (k ? 30 : 20));
        CHECK(back.epoch == 1 && back.pass == 7 && back.loss_sum == 1.0 / 3 && back.best_epoch == -1);
        if (k) {
            CHECK(!*warning);
            checkpoint_test_damage("checkpoints/00000030.optimizer.safetensors");
        }
    }
    CHECK_STR_HAS(warning, "the checkpoint of step 30 is not whole");
    // A file of the average: checked like the others. (Damaged twice, the optimizer's is whole again.)
    checkpoint_test_damage("checkpoints/00000030.optimizer.safetensors");
    CHECK_OK(train_checkpoint_load(".", net, optimizer, ema, &back, NULL));
    CHECK_EQ_INT(back.step, 30);
    checkpoint_test_damage("checkpoints/00000030.ema.safetensors");
    *warning = 0;
    CHECK_OK(train_checkpoint_load(".", net, optimizer, ema, &back, &context));
    CHECK_EQ_INT(back.step, 20);
    CHECK_STR_HAS(warning, "00000030.ema.safetensors");
    // A disk that is full while the next one is written: the old ones stay, nothing half-written does.
    CHECK(!symlink("/dev/full", "checkpoints/00000040.ema.safetensors"));
    CHECK_FAIL_HAS(train_checkpoint_save(".", net, optimizer, ema, &state), "checkpoint of step 40");
    CHECK_STR_HAS(base_message(), "No space left");
    CHECK(!base_path_exists("checkpoints/00000040.safetensors") && base_path_exists("checkpoints/00000020.json"));
    CHECK_OK(train_checkpoint_load(".", net, optimizer, ema, &back, NULL));
    CHECK_EQ_INT(back.step, 20);
    // The same step once more, as behind an evaluation that was stopped: what was there stays, too.
    struct rlimit limit, tight = {.rlim_cur = 512};
    void (*was)(int) = signal(SIGXFSZ, SIG_IGN);
    CHECK(!getrlimit(RLIMIT_FSIZE, &limit));
    tight.rlim_max = limit.rlim_max, state = back;
    CHECK(!setrlimit(RLIMIT_FSIZE, &tight));
    CHECK_FAIL_HAS(train_checkpoint_save(".", net, optimizer, ema, &state), "checkpoint of step 20");
    CHECK(!setrlimit(RLIMIT_FSIZE, &limit) && signal(SIGXFSZ, was) != SIG_ERR);
    CHECK_OK(train_checkpoint_load(".", net, optimizer, ema, &back, NULL));
    CHECK_EQ_INT(back.step, 20);
    // Another network's; another optimizer's; all damaged; none.
    config.dim = 32;
    train_net *other = net_test_new(&config, &o);
    CHECK_FAIL_HAS(train_checkpoint_load(".", other, optimizer, NULL, &back, NULL), "its checkpoint is of vit");
    optimizer->rule = TRAIN_SGD;
    CHECK_FAIL_HAS(train_checkpoint_load(".", net, optimizer, NULL, &back, NULL), "--opt adamw");
    optimizer->rule = TRAIN_ADAMW;
    checkpoint_test_damage("checkpoints/00000020.safetensors");
    CHECK_FAIL_HAS(train_checkpoint_load(".", net, optimizer, ema, &back, NULL), "none of its 2 checkpoints is whole");
    CHECK(!fchdir(here) && !close(here));
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(!system(command));
    train_net_free(net), train_net_free(other);
    train_optimizer_free(optimizer);
    free(kept[0]), free(kept[1]), free(ema);
}

/* ---- Whole runs -------------------------------------------------------------------------------------------------- */

/* MNIST's format: n pictures of 8 x 8, class i mod 10. */
static void run_test_set(const char *folder, const char *split, int n) {
    static uint8_t file[16 + 200 * 64];
    char name[256];
    memcpy(file, (uint8_t[]){0, 0, 8, 3, 0, 0, 0, (uint8_t)n, 0, 0, 0, 8, 0, 0, 0, 8}, 16);
    for (int i = 0; i < n * 64; i++) file[16 + i] = (uint8_t)(base_splitmix64(7, (uint64_t)i) >> 56);
    snprintf(name, sizeof name, "%s/%s-images-idx3-ubyte", folder, split);
    CHECK_OK(base_write_file(name, file, 16 + (size_t)n * 64));
    file[3] = 1;
    for (int i = 0; i < n; i++) file[8 + i] = (uint8_t)(i % 10);
    snprintf(name, sizeof name, "%s/%s-labels-idx1-ubyte", folder, split);
    CHECK_OK(base_write_file(name, file, 8 + (size_t)n));
}

static void run_test_options(train_options *o, const char *output) {
    static const char *const set[][2] = {{"model", "vit"},    {"input-size", "8"}, {"patch", "4"},      {"dim", "16"},
                                         {"depth", "2"},      {"heads", "2"},      {"batch-size", "8"}, {"epochs", "2"},
                                         {"accumulate", "2"}, {"threads", "1"},    {"drop", "0.1"}};
    CHECK_OK(train_options_init(o));
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        CHECK_OK(train_options_set(o, train_option_find(set[i][0]), set[i][1]));
    CHECK_OK(train_options_set(o, train_option_find("data-path"), base_test_folder));
    CHECK_OK(train_options_set(o, train_option_find("output-dir"), output));
}

/* Asks the run to stop when so many images of an epoch are done. */
typedef struct {
    volatile int cancel;
    double stop_at;
} run_test_stop;
static void run_test_progress(void *user, const char *what, double done, double total, const char *unit,
                              const char *note) {
    run_test_stop *stop = user;
    (void)total, (void)unit, (void)note;
    if (!strncmp(what, "epoch 2", 7) && done >= stop->stop_at) stop->cancel = 1;
}

TEST(train_run_stops_goes_on_and_leaves_no_memory) {
    base_test_folder_begin();
    run_test_set(base_test_folder, "train", 200), run_test_set(base_test_folder, "t10k", 30);
    char whole[192], parts[192], file[2][256], *data[2];
    size_t held = base_memory_held(), size[2];
    snprintf(whole, sizeof whole, "%s/whole", base_test_folder);
    snprintf(parts, sizeof parts, "%s/parts", base_test_folder);
    train_options o;
    train_result result, stopped;
    run_test_options(&o, whole);
    CHECK_OK(train_run(&o, false, &result, NULL));
    CHECK(result.epochs == 2 && result.steps == 24 && result.ema_acc1 >= 0 && result.best_epoch >= 0);
    CHECK_FAIL_HAS(train_run(&o, false, &stopped, NULL), "holds a run already");
    train_options_free(&o);
    run_test_stop stop = {0, 40};
    const base_context context = {.progress = run_test_progress, .user = &stop, .cancel = &stop.cancel};
    run_test_options(&o, parts);
    CHECK_EQ_INT(train_run(&o, false, &stopped, &context), BASE_CANCELLED);
    CHECK_OK(train_run(&o, true, &stopped, NULL));
    CHECK(stopped.steps == 24 && stopped.test_loss == result.test_loss && stopped.best_acc1 == result.best_acc1);
    train_options_free(&o);
    for (int k = 0; k < 2; k++) {
        snprintf(file[k], sizeof file[k], "%s/last_ema.safetensors", k ? parts : whole);
        CHECK_OK(base_read_file(file[k], 0, &data[k], &size[k]));
    }
    CHECK(size[0] == size[1] && !memcmp(data[0], data[1], size[0]));
    base_free(data[0]), base_free(data[1]);
    CHECK_EQ_INT(base_memory_held(), held);
    base_test_folder_end();
}

/* The note of the last step of each epoch, and what was wrong with any. */
typedef struct {
    char note[2][128], wrong[256];
    int notes[2], bare;
} run_test_notes;
static void run_test_note(void *user, const char *what, double done, double total, const char *unit, const char *note) {
    run_test_notes *n = user;
    int epoch = 0;
    double v[3];
    if (sscanf(what, "epoch %d/2", &epoch) != 1) return; // of an evaluation
    char left[32] = "";
    int end = 0, batches = (int)done / 8;
    bool known = epoch == 1 || epoch == 2;
    n->bare += !note;
    if (!note && done == 0) return;
    if (!known || !note || strcmp(unit, "images") || total != 192 || batches * 8 != done ||
        sscanf(note, "loss %lf, acc %lf, lr %lf, %31s left in all%n", &v[0], &v[1], &v[2], left, &end) != 4 ||
        end != (int)strlen(note) || !strchr(left, ':')) {
        snprintf(n->wrong, sizeof n->wrong, "%s: %g of %g %s: %s", what, done, total, unit, note ? note : "");
        return;
    }
    n->notes[epoch - 1]++;
    snprintf(n->note[epoch - 1], sizeof n->note[epoch - 1], "%s", note);
}

/* Progress has loss, accuracy and learning rate, which at an epoch's end are those of its line in the log; the terminal
 * adds images/s and the time left of the epoch. */
TEST(train_progress_says_how_it_goes) {
    base_test_folder_begin();
    run_test_set(base_test_folder, "train", 200), run_test_set(base_test_folder, "t10k", 30);
    char output[192], text[256];
    snprintf(output, sizeof output, "%s/run", base_test_folder);
    run_test_notes notes = {0};
    const base_context context = {.progress = run_test_note, .user = &notes};
    train_options o;
    train_result result;
    train_log log;
    run_test_options(&o, output);
    CHECK_OK(train_run(&o, false, &result, &context));
    if (*notes.wrong) TEST_FAIL("progress: %s", notes.wrong);
    CHECK_OK(train_log_open(&log, output));
    for (int k = 0; k < 2; k++) {
        const json_t *line = json_array_get(log.epochs, (size_t)k);
        CHECK_EQ_INT(notes.notes[k], 12); // steps
        snprintf(text, sizeof text, "loss %.4f, acc %.2f, lr %.3g, ", train_log_number(line, "train_loss"),
                 train_log_number(line, "train_acc1"), train_log_number(line, "train_lr"));
        CHECK_STR_HAS(notes.note[k], text);
    }
    CHECK_EQ_INT(notes.bare, 2); // before the first step of each
    terminal_format(text, sizeof text, "epoch 1/2", 96, 192, "images", "loss 1.5, acc 30", 4);
    CHECK(!strcmp(text, "epoch 1/2: 96/192 images, 24/s, 0:04 left, loss 1.5, acc 30"));
    train_log_close(&log);
    train_options_free(&o);
    base_test_folder_end();
}

/* What is left of a run, before it and in the middle of an epoch, by given speeds. */
TEST(train_time_left) {
    train_options o;
    CHECK_OK(train_options_init(&o));
    o.epochs = 10, o.cooldown_epochs = 2;
    float average = 0;
    train_session s = {.options = &o, .passes = 20, .pass_seconds = 0.5, .test_seconds = 3};
    CHECK(train_session_left(&s) == 12 * (20 * 0.5 + 3));
    s.ema = &average;
    CHECK(train_session_left(&s) == 12 * (20 * 0.5 + 2 * 3));
    s.state.epoch = 3, s.state.pass = 5;
    CHECK(train_session_left(&s) == (9 * 20 - 5) * 0.5 + 9 * 2 * 3);
    train_options_free(&o);
}

TEST(train_run_memory_runs_out) {
    base_test_folder_begin();
    run_test_set(base_test_folder, "train", 40), run_test_set(base_test_folder, "t10k", 10);
    char output[192], command[256];
    size_t held = base_memory_held();
    snprintf(output, sizeof output, "%s/run", base_test_folder);
    snprintf(command, sizeof command, "rm -rf %s", output);
    bool failed = true;
    int failures = 0;
    for (long n = 1; failed && n < 20000; n += 1 + n / 12) {
        train_options o;
        train_result result;
        run_test_options(&o, output);
        o.epochs = 1;
        base_fault_after(n);
        failed = train_run(&o, false, &result, NULL) != BASE_OK;
        base_fault_after(0);
        failures += failed;
        CHECK(!failed || strlen(base_message()) > 0);
        train_options_free(&o);
        CHECK_EQ_INT(system(command), 0);
        CHECK_EQ_INT(base_memory_held(), held);
    }
    CHECK(!failed && failures > 30);
    base_test_folder_end();
}

/* ---- Options reach what they are of --------------------------------------------------------------------------------
 */

TEST(train_schedule_of_options) {
    train_options o;
    CHECK_OK(train_options_init(&o));
    o.accumulate = 16, o.min_lr = 2e-5, o.decay_rate = 0.3;
    train_schedule s = train_schedule_of(&o);
    CHECK(s.base == 1e-3 && s.min_lr == 2e-5 && s.decay_rate == 0.3 && s.warmup_lr == o.warmup_lr);
    train_options_free(&o);
}

TEST(train_options_reach_the_network) {
    train_options o;
    model_config config;
    CHECK_OK(train_options_init(&o));
    o.eval_crop_ratio = 0.75, o.drop = 0.25, o.drop_path = 0.5, o.input_size = 384;
    CHECK_OK(train_network(&o, 7, &config));
    CHECK(config.crop == 0.75 && config.drop == 0.25 && config.drop_path == 0.5);
    CHECK(config.image == 384 && config.classes == 7);
    train_options_free(&o);
}

TEST(train_options_reach_the_augmentation) {
    train_options o;
    CHECK_OK(train_options_init(&o));
    o.mixup = 0.3, o.cutmix = 0.4, o.reprob = 0.6, o.smoothing = 0.2, o.mixup_mode = 2, o.color_jitter = 0.1;
    train_session s = {.options = &o};
    data_augment a = setup_training(&s).augment;
    CHECK(a.mixup == 0.3 && a.cutmix == 0.4 && a.reprob == 0.6 && a.smoothing == 0.2);
    CHECK(a.mixup_mode == DATA_MIX_ELEM && a.repeated_aug && a.color_jitter == 0.1 && a.aa && !strcmp(a.aa, o.aa));
    train_options_free(&o);
}

TEST(train_best_epoch_is_kept) {
    train_options o;
    train_result result;
    CHECK_OK(train_options_init(&o));
    train_net net = {0};
    train_session s = {.options = &o, .net = &net};
    s.state = (train_state){.epoch = 3, .pass = 1, .best_acc1 = 90, .best_epoch = 1, .seen = 1};
    loop_run r = {.s = &s, .result = &result};
    eval_result test = {.top1 = 80};
    CHECK_OK(loop_finish_epoch(&r, &test, NULL));
    CHECK(result.best_epoch == 1 && result.best_acc1 == 90);
    train_options_free(&o);
}

/* A convolutional network's running statistics: fine-tuning leaves them, as the authors' script does; training moves
 * them. */
TEST(train_fine_tuning_leaves_running_statistics) {
    base_test_folder_begin();
    run_test_set(base_test_folder, "train", 40), run_test_set(base_test_folder, "t10k", 10);
    static const char *const set[][2] = {{"model", "resnet20"}, {"model-ema", "no"}, {"epochs", "1"}, {"drop", "0"}};
    char output[3][192], file[3][600];
    for (int k = 0; k < 3; k++) { // from nothing; fine-tuned; fine-tuned with the batch's statistics
        train_options o;
        train_result result;
        snprintf(output[k], sizeof output[k], "%s/run%d", base_test_folder, k);
        snprintf(file[k], sizeof file[k], "%s/last.safetensors", output[k]);
        run_test_options(&o, output[k]);
        for (size_t i = 0; i < sizeof set / sizeof *set; i++)
            CHECK_OK(train_options_set(&o, train_option_find(set[i][0]), set[i][1]));
        static const char *const vit[] = {"patch", "dim", "depth", "heads"};
        for (int i = 0; i < 4; i++) {
            const train_option *option = train_option_find(vit[i]);
            CHECK_OK(train_options_set(&o, option, option->preset));
        }
        if (k) CHECK_OK(train_options_set(&o, train_option_find("finetune"), file[0]));
        if (k == 2) CHECK_OK(train_options_set(&o, train_option_find("train-mode"), "yes"));
        CHECK_OK(train_run(&o, false, &result, NULL));
        train_options_free(&o);
    }
    static const char *const names[] = {"bn1.running_mean", "bn1.running_var", "bn1.weight"};
    for (int i = 0; i < 3; i++) {
        float values[3][16];
        for (int k = 0; k < 3; k++) {
            store *s;
            const store_tensor *tensor;
            bool there = !store_open(&s, file[k]) && !store_want(s, names[i], &tensor);
            CHECK(there);
            if (!there) return;
            CHECK_EQ_INT(tensor->count, 16);
            CHECK_OK(store_read_f32(tensor, values[k]));
            store_close(s);
        }
        bool moved = memcmp(values[0], values[1], sizeof *values) != 0;
        CHECK(moved == (i == 2)); // what is trained moves, the statistics do not
        CHECK(memcmp(values[0], values[2], sizeof *values));
    }
    base_test_folder_end();
}

/* 16 images at once, or twice 8: the same step of SGD but for rounding. */
TEST(train_accumulated_steps_are_whole_ones) {
    base_test_folder_begin();
    run_test_set(base_test_folder, "train", 48), run_test_set(base_test_folder, "t10k", 10);
    float *values[2];
    int64_t count = 0;
    for (int k = 0; k < 2; k++) {
        static const char *const set[][2] = {{"opt", "sgd"},        {"drop", "0"},         {"drop-path", "0"},
                                             {"augment", "no"},     {"mixup", "0"},        {"cutmix", "0"},
                                             {"model-ema", "no"},   {"epochs", "1"},       {"lr", "0.1"},
                                             {"unscale-lr", "yes"}, {"repeated-aug", "no"}};
        char output[192], file[256];
        train_options o;
        train_result result;
        snprintf(output, sizeof output, "%s/run%d", base_test_folder, k);
        snprintf(file, sizeof file, "%s/last.safetensors", output);
        run_test_options(&o, output);
        for (size_t i = 0; i < sizeof set / sizeof *set; i++)
            CHECK_OK(train_options_set(&o, train_option_find(set[i][0]), set[i][1]));
        o.warmup_epochs = 0, o.batch_size = k ? 8 : 16, o.accumulate = k ? 2 : 1;
        CHECK_OK(train_run(&o, false, &result, NULL));
        CHECK_EQ_INT(result.steps, 3);
        train_options_free(&o);
        store *s;
        CHECK_OK(store_open(&s, file));
        const store_tensor *tensor = store_find(s, "blocks.1.mlp.fc1.weight");
        CHECK(tensor != NULL);
        count = (int64_t)tensor->count;
        values[k] = malloc((size_t)count * sizeof(float));
        CHECK_OK(store_read_f32(tensor, values[k]));
        store_close(s);
    }
    for (int64_t i = 0; i < count; i++)
        if (!(fabsf(values[0][i] - values[1][i]) <= 1e-5f)) {
            TEST_FAIL("number %lld: %g at once, %g in two", (long long)i, (double)values[0][i], (double)values[1][i]);
            break;
        }
    free(values[0]), free(values[1]);
    base_test_folder_end();
}

TEST(train_drop_path_rises_by_block) {
    model_config c = {.drop_path = 0.1};
    CHECK(model_drop_path(&c, 0, 12) == 0 && model_drop_path(&c, 11, 12) == 0.1);
    CHECK(fabs(model_drop_path(&c, 5, 12) - 0.1 * 5 / 11) < 1e-12);
}

TEST(train_dropout_differs_by_step_and_seed) {
    model_config config = net_test_config(false);
    config.drop = 0.5;
    train_net_options o = {.batch = NET_BATCH, .threads = 1};
    train_net *net = net_test_new(&config, &o);
    float *images = probe_images(NET_BATCH, NET_SIDE), targets[NET_BATCH * NET_CLASSES], l[4];
    net_test_targets(targets, NET_BATCH);
    for (int k = 0; k < 4; k++)
        CHECK_OK(train_net_gradients(net, images, targets, NULL, false, k == 2 ? 8 : 7, k == 1 ? 6 : 5, &l[k]));
    CHECK(l[0] == l[3] && l[0] != l[1] && l[0] != l[2]);
    train_net_free(net);
    free(images);
}

TEST(train_teacher_resizes_bicubically) {
    model_config student = net_test_config(false), own = student;
    train_net_options o = {.batch = 1, .threads = 1};
    train_net *net = net_test_new(&own, &o);
    CHECK_OK(train_weights_write("/tmp/deit_test_bicubic_teacher.safetensors", &own, net->params, net->params->values));
    enum { PIXELS = 3 * NET_SIDE * NET_SIDE };
    float sees[PIXELS], logits[NET_CLASSES], want[4 * NET_SIDE * NET_SIDE];
    for (int i = 0; i < PIXELS; i++) sees[i] = (float)((i * 37) % 256) / 255;
    own.image = 2 * NET_SIDE;
    model_options run = {.batch = 1, .threads = 1};
    train_teacher_net *teacher;
    CHECK_OK(train_teacher_new(&teacher, &own, "/tmp/deit_test_bicubic_teacher.safetensors", &student, &run, NULL));
    CHECK_OK(train_teacher_run(teacher, 1, sees, logits));
    model_resize_grid(sees, NET_SIDE, want, 2 * NET_SIDE, 1, MODEL_BICUBIC);
    for (int i = 0; i < 4 * NET_SIDE * NET_SIDE; i++) CHECK(fabsf(teacher->images[i] - want[i]) < 1e-6f);
    train_teacher_free(teacher), train_net_free(net);
    remove("/tmp/deit_test_bicubic_teacher.safetensors");
}

TEST(train_stop_saves_the_step) {
    base_test_folder_begin();
    run_test_set(base_test_folder, "train", 200), run_test_set(base_test_folder, "t10k", 30);
    char parts[192], file[256];
    snprintf(parts, sizeof parts, "%s/parts", base_test_folder);
    snprintf(file, sizeof file, "%s/checkpoints/00000015.json", parts);
    train_options o;
    train_result stopped;
    run_test_stop stop = {0, 40};
    const base_context context = {.progress = run_test_progress, .user = &stop, .cancel = &stop.cancel};
    run_test_options(&o, parts);
    CHECK_EQ_INT(train_run(&o, false, &stopped, &context), BASE_CANCELLED);
    CHECK(base_path_exists(file));
    train_options_free(&o);
    base_test_folder_end();
}

/* Each flag changes the weights that a short run ends with. */
static uint64_t run_test_weights(const char *flag, const char *value, const char *flag2, const char *value2,
                                 const char *which) {
    char output[192], file[256], *data, command[256];
    size_t size;
    train_options o;
    train_result result;
    snprintf(output, sizeof output, "%s/run", base_test_folder), snprintf(command, sizeof command, "rm -rf %s", output);
    CHECK_EQ_INT(system(command), 0);
    run_test_options(&o, output);
    CHECK_OK(train_options_set(&o, train_option_find("epochs"), "1"));
    if (flag2) CHECK_OK(train_options_set(&o, train_option_find(flag2), value2));
    if (flag) CHECK_OK(train_options_set(&o, train_option_find(flag), value));
    CHECK_OK(train_run(&o, false, &result, NULL));
    snprintf(file, sizeof file, "%s/%s.safetensors", output, which);
    CHECK_OK(base_read_file(file, 0, &data, &size));
    uint64_t h = base_fnv1a64(data, size);
    base_free(data);
    train_options_free(&o);
    return h;
}

TEST(train_each_flag_changes_the_weights) {
    base_test_folder_begin();
    run_test_set(base_test_folder, "train", 200), run_test_set(base_test_folder, "t10k", 30);
    uint64_t plain = run_test_weights(NULL, NULL, NULL, NULL, "last"),
             sgd = run_test_weights("opt", "sgd", NULL, NULL, "last");
    static const char *const flags[][2] = {{"clip-grad", "0.01"},  {"weight-decay", "1"}, {"opt-betas", "0.8,0.999"},
                                           {"reprob", "1"},        {"mixup", "0.2"},      {"smoothing", "0.3"},
                                           {"repeated-aug", "no"}, {"aa", "none"},        {"seed", "1"}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (run_test_weights(flags[i][0], flags[i][1], NULL, NULL, "last") == plain)
            TEST_FAIL("--%s changes nothing", flags[i][0]);
    CHECK(run_test_weights("momentum", "0.5", "opt", "sgd", "last") != sgd);
    CHECK(run_test_weights("model-ema-decay", "0", NULL, NULL, "last_ema") == plain);
    CHECK(run_test_weights("model-ema-decay", "1", NULL, NULL, "last_ema") ==
          run_test_weights("model-ema-decay", "1", "lr", "0.1", "last_ema")); // the initial weights
    base_test_folder_end();
}
