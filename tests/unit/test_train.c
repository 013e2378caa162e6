/* Training: gradients and optimizer steps of small networks against PyTorch's (tests/golden/train; make_train_golden.py
 * of the reference). */

enum { TRAIN_BATCH = 4, TRAIN_CLASSES = 10 };

typedef struct {
    nn_params *params;
    nn_plan *plan;
    float *images, targets[TRAIN_BATCH * TRAIN_CLASSES];
} train_case;

static model_config train_vit_config(void) {
    model_config config = model_vit();
    config.image = 32, config.patch = 4, config.dim = 64, config.depth = 3, config.heads = 2,
    config.classes = TRAIN_CLASSES;
    return config;
}

static void train_case_free(train_case *c) {
    nn_plan_free(c->plan);
    nn_params_free(c->params);
    free(c->images);
}

/* Labels (7 i + 3) mod 10, smoothing 0.1, mixed with the reversed batch at 0.7. */
static void train_targets(float *targets) {
    double hot[TRAIN_BATCH][TRAIN_CLASSES];
    for (int i = 0; i < TRAIN_BATCH; i++)
        for (int k = 0; k < TRAIN_CLASSES; k++) hot[i][k] = k == (7 * i + 3) % TRAIN_CLASSES ? 0.9 + 0.01 : 0.01;
    for (int i = 0; i < TRAIN_BATCH; i++)
        for (int k = 0; k < TRAIN_CLASSES; k++)
            targets[i * TRAIN_CLASSES + k] = (float)(0.7 * hot[i][k] + 0.3 * hot[TRAIN_BATCH - 1 - i][k]);
}

static base_status train_case_new(train_case *c, int threads) {
    memset(c, 0, sizeof *c);
    model_config config = train_vit_config();
    nn_graph *g = nn_graph_new(TRAIN_BATCH);
    nn_value logits[MODEL_MAX_HEADS], x = nn_input(g, 3, (int64_t[]){3, config.image, config.image}),
                                      t = nn_input(g, 1, (int64_t[]){TRAIN_CLASSES});
    config.family->build(&config, g, x, logits);
    nn_value loss = nn_cross_entropy(g, logits[0], t);
    nn_output(g, loss);
    nn_backward(g, loss);
    base_status status = nn_params_new(&c->params, g, true);
    if (status) {
        nn_graph_free(g);
        return status;
    }
    for (int i = 0; i < c->params->count; i++)
        probe_read(NULL, i, &c->params->params[i], c->params->values + c->params->params[i].offset);
    c->images = probe_images(TRAIN_BATCH, config.image);
    train_targets(c->targets);
    nn_plan_options o = {.threads = threads, .params = c->params};
    return nn_plan_new(&c->plan, g, &o);
}

static base_status train_case_loss(train_case *c, float *loss) {
    BASE_TRY(nn_plan_refresh(c->plan, nn_params_source(c->params)));
    const float *inputs[2] = {c->images, c->targets};
    float *outputs[1] = {loss};
    return nn_run(c->plan, TRAIN_BATCH, inputs, outputs);
}

/* Of *.attn.qkv.bias only the query and value thirds count: the key's has an exactly zero gradient. */
static void train_measure(const nn_param *param, const float *v, double *sum, double *l2, double *n) {
    bool thirds = strstr(param->name, "attn.qkv.bias") != NULL;
    *sum = *l2 = *n = 0;
    for (int64_t i = 0; i < param->count; i++) {
        if (thirds && i >= param->count / 3 && i < param->count - param->count / 3) continue;
        *sum += v[i], *l2 += (double)v[i] * v[i], *n += 1;
    }
    *l2 = sqrt(*l2);
}

/* Each tensor's l2 and sum / sqrt(n) within 3 f32 + 1e-6 of the l2 of all together. values: flat, as the parameter
 * store. */
static void train_compare(const char *file, FILE *f, const nn_params *params, const float *values) {
    char line[512], name[256];
    double sum, l2, first, last, f32, all = 0;
    long start = ftell(f);
    int rows = 0;
    for (int pass = 0; pass < 2; pass++, fseek(f, pass == 1 ? start : 0, SEEK_SET))
        while (fgets(line, sizeof line, f)) {
            if (sscanf(line, "%255s %lf %lf %lf %lf %lf", name, &sum, &l2, &first, &last, &f32) != 6) continue;
            if (!pass) {
                all += l2 * l2;
                continue;
            }
            const nn_param *param = NULL;
            for (int i = 0; i < params->count; i++)
                if (!strcmp(params->params[i].name, name)) param = &params->params[i];
            if (!param) {
                TEST_FAIL("%s: no parameter %s", file, name);
                continue;
            }
            double our_sum, our_l2, n, bound = 3 * f32 + 1e-6 * sqrt(all);
            train_measure(param, values + param->offset, &our_sum, &our_l2, &n);
            if (!(fabs(our_l2 - l2) <= bound))
                TEST_FAIL("%s: %s: l2 %.9g, PyTorch %.9g, bound %.3g", file, name, our_l2, l2, bound);
            if (!(fabs(our_sum - sum) / sqrt(n) <= bound))
                TEST_FAIL("%s: %s: sum %.9g, PyTorch %.9g, bound %.3g", file, name, our_sum, sum, bound * sqrt(n));
            rows++;
        }
    CHECK_EQ_INT(rows, params->count);
}

static FILE *train_open(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/train/%s", probe_folder(), name);
    return fopen(path, "r");
}

static void train_gradients(int threads) {
    FILE *f = train_open("loss.tsv"), *grads = train_open("vit.grads.tsv");
    if (!f || !grads) SKIP("no golden/train");
    char line[256];
    double expected = NAN, f32 = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "vit %lf %lf", &expected, &f32) == 2) break;
    train_case c;
    float loss = 0;
    CHECK_OK(train_case_new(&c, threads));
    CHECK_OK(train_case_loss(&c, &loss));
    if (!(fabs(loss - expected) <= 3 * f32 + 1e-6)) TEST_FAIL("loss %.9g, PyTorch %.9g", loss, expected);
    train_compare("vit.grads.tsv", grads, c.params, c.params->gradients);
    fclose(f), fclose(grads);
    train_case_free(&c);
}
TEST(golden_train_vit_gradients) {
    train_gradients(2);
}
TEST(golden_train_vit_gradients_one_thread) {
    train_gradients(1);
}

TEST(golden_train_vit_adamw) {
    FILE *f = train_open("vit.adamw.tsv");
    if (!f) SKIP("no golden/train");
    double loss[5], f32[5];
    CHECK_EQ_INT(fscanf(f, "loss %lf %lf %lf %lf %lf f32 %lf %lf %lf %lf %lf", loss, loss + 1, loss + 2, loss + 3,
                        loss + 4, f32, f32 + 1, f32 + 2, f32 + 3, f32 + 4),
                 10);
    train_case c;
    train_adamw *adamw = NULL;
    train_adamw_options o = train_adamw_defaults();
    o.lr = 1e-3;
    CHECK_OK(train_case_new(&c, 2));
    CHECK_OK(train_adamw_new(&adamw, c.params));
    for (int step = 0; step < 5; step++) {
        float ours = 0;
        CHECK_OK(train_case_loss(&c, &ours));
        if (!(fabs(ours - loss[step]) <= 3 * f32[step] + 1e-6))
            TEST_FAIL("step %d: loss %.9g, PyTorch %.9g", step, ours, loss[step]);
        train_adamw_step(adamw, &o);
    }
    train_compare("vit.adamw.tsv", f, c.params, c.params->values);
    fclose(f);
    train_adamw_free(adamw);
    train_case_free(&c);
}

/* 200 steps on random images: the loss falls, and memory stands still, ours and the process's. */
static long train_resident(void) {
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
    if (f) fclose(f);
    return resident;
}
#ifdef __SANITIZE_ADDRESS__
enum { TRAIN_SLACK = 256 << 8 }; /* pages: it keeps up to 256 MB of what was freed */
#else
enum { TRAIN_SLACK = 64 };
#endif
TEST(train_steady_memory) {
    train_case c;
    train_adamw *adamw = NULL;
    train_adamw_options o = train_adamw_defaults();
    CHECK_OK(train_case_new(&c, 2));
    CHECK_OK(train_adamw_new(&adamw, c.params));
    float first = 0, loss = 0;
    size_t held = 0;
    long resident = 0;
    for (int step = 0; step < 200; step++) {
        if (step == 20) held = base_memory_held(), resident = train_resident();
        CHECK_OK(train_case_loss(&c, &loss));
        train_adamw_step(adamw, &o);
        if (!step) first = loss;
    }
    CHECK(loss < first / 2);
    CHECK_EQ_INT(base_memory_held(), held);
    CHECK(train_resident() <= resident + TRAIN_SLACK);
    train_adamw_free(adamw);
    train_case_free(&c);
}
