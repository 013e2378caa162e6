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
