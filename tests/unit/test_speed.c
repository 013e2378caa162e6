/* eval: measuring throughput. */
#include <sys/resource.h>

static model_config test_speed_tiny(void) {
    model_config config = model_vit();
    config.image = 32, config.dim = 32, config.heads = 2, config.depth = 1, config.classes = 10;
    return config;
}

static eval_speed_case test_speed_case(const model_config *config, int64_t batch, int threads) {
    return (eval_speed_case){
        .config = config, .precision = NN_F32, .schedule = MODEL_LATENCY, .batch = batch, .threads = threads};
}

TEST(speed_samples_and_spreads) {
    model_config a = test_speed_tiny(), b = test_speed_tiny();
    b.depth = 2;
    const eval_speed_case cases[] = {
        {.config = &a, .precision = NN_F32, .schedule = MODEL_THROUGHPUT, .batch = 4, .threads = 2, .alone = true},
        {.config = &b, .precision = NN_F32, .schedule = MODEL_LATENCY, .batch = 1, .threads = 2}};
    eval_speed *speed = base_calloc(2, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    size_t held = base_memory_held();
    CHECK_OK(eval_speed_measure(cases, 2, 3, 0, speed, NULL));
    CHECK_EQ_INT(base_memory_held(), held);
    for (int i = 0; i < 2; i++) {
        const eval_speed *s = &speed[i];
        CHECK_EQ_INT(s->images_per_s.n, 3);
        CHECK(s->images_per_s.min > 0 && s->images_per_s.min <= s->images_per_s.median &&
              s->images_per_s.median <= s->images_per_s.max);
        CHECK(s->peak_gflops > 0 && s->percent_of_peak.median > 0 && s->memory > 0 && s->gflop_per_image > 0);
        CHECK_EQ_INT(s->workers * s->threads, 2);
        CHECK(!s->steady); /* three samples have no interval */
    }
    CHECK_EQ_INT(speed[0].ms_alone.n, 3);
    CHECK(speed[0].ms_alone.min > 0 && speed[0].ms_alone.median < 1000);
    CHECK_EQ_INT(speed[1].ms_alone.n, 0);
    CHECK_EQ_INT(speed[0].batch, 4);
    CHECK_EQ_INT(speed[1].workers, 1); /* latency: all threads on one pass */
    base_free(speed);
}

TEST(speed_goes_on_while_there_is_time) {
    model_config a = test_speed_tiny();
    const eval_speed_case one = test_speed_case(&a, 1, 1);
    eval_speed *speed = base_calloc(1, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    double start = base_now();
    CHECK_OK(eval_speed_measure(&one, 1, 1, 10, speed, NULL));
    CHECK(speed->images_per_s.n > 1);
    CHECK(base_now() - start < 60);
    base_free(speed);
}

TEST(speed_refuses) {
    model_config a = test_speed_tiny();
    eval_speed *speed = base_calloc(2, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    const eval_speed_case none = test_speed_case(&a, 0, 1), huge = test_speed_case(&a, (int64_t)1 << 30, 1);
    CHECK_FAIL_HAS(eval_speed_measure(&none, 1, 1, 0, speed, NULL), "batch 0");
    CHECK_FAIL_HAS(eval_speed_measure(&huge, 1, 1, 0, speed, NULL), "use a smaller batch");
    const eval_speed_case mixed[] = {test_speed_case(&a, 1, 1), test_speed_case(&a, 1, 2)};
    CHECK_FAIL_HAS(eval_speed_measure(mixed, 2, 1, 0, speed, NULL), "one number of threads");
    eval_speed_case bf16 = test_speed_case(&a, 1, 1);
    bf16.precision = NN_BF16;
    if (!nn_has_bf16()) CHECK_FAIL_HAS(eval_speed_measure(&bf16, 1, 1, 0, speed, NULL), "bf16");
    base_free(speed);
}

TEST(speed_can_be_stopped) {
    model_config a = test_speed_tiny();
    const eval_speed_case one = test_speed_case(&a, 1, 1);
    eval_speed *speed = base_calloc(1, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    volatile int cancel = 1;
    base_context context = {.cancel = &cancel};
    CHECK_EQ_INT(eval_speed_measure(&one, 1, 1, 0, speed, &context), BASE_CANCELLED);
    base_free(speed);
}

TEST(speed_survives_the_end_of_memory) {
    model_config a = test_speed_tiny();
    eval_speed_case two[] = {test_speed_case(&a, 1, 1), test_speed_case(&a, 2, 1)};
    two[0].alone = two[1].alone = true;
    eval_speed *speed = base_calloc(2, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    size_t held = base_memory_held();
    int failed = 0;
    for (int n = 1; n <= 512; n += n / 8 + 1) {
        base_fault_after(n);
        base_status status = eval_speed_measure(two, 2, 1, 0, speed, NULL);
        base_fault_after(0);
        CHECK(status == BASE_ERROR || (status == BASE_OK && n > 8));
        failed += status != BASE_OK;
        CHECK_EQ_INT(base_memory_held(), held);
    }
    CHECK(failed > 8);
    base_free(speed);
}

TEST(speed_is_steady_when_the_interval_is_narrow) {
    eval_speed *s = base_calloc(1, sizeof *s);
    CHECK(s != NULL);
    if (!s) return;
    for (int i = 0; i < 20; i++) s->sample[i] = 100 + 0.1 * (i % 3), s->sample_alone[i] = 10 + 0.001 * (i % 5);
    s->images_per_s.n = 5;
    eval_speed_summarise(s);
    CHECK(!s->steady); /* narrow, but five samples hold the median with 93.75% only */
    s->images_per_s.n = 20;
    eval_speed_summarise(s);
    CHECK(s->steady);
    s->sample[3] = 200; /* one that was disturbed moves no median */
    eval_speed_summarise(s);
    CHECK(s->steady);
    for (int i = 0; i < 20; i++) s->sample[i] = 100 + i;
    eval_speed_summarise(s);
    CHECK(!s->steady);
    for (int i = 0; i < 20; i++) s->sample[i] = 100, s->sample_alone[i] = 10 + i;
    s->ms_alone.n = 20;
    eval_speed_summarise(s);
    CHECK(!s->steady); /* the image alone counts too */
    base_free(s);
}

/* ---- Tuning ------------------------------------------------------------------------------------------------------ */

/* Points the cache at a folder of the test's own; the old value is put back by test_tune_end. */
static struct { char folder[64], file[128], *cache; } test_tune;

static void test_tune_begin(void) {
    const char *cache = getenv("XDG_CACHE_HOME");
    test_tune.cache = cache ? base_strdup(cache) : NULL;
    snprintf(test_tune.folder, sizeof test_tune.folder, "/tmp/deit-tune-XXXXXX");
    CHECK(mkdtemp(test_tune.folder) != NULL);
    snprintf(test_tune.file, sizeof test_tune.file, "%s/deit/micro_batch.tsv", test_tune.folder);
    setenv("XDG_CACHE_HOME", test_tune.folder, 1);
}

static void test_tune_end(void) {
    char folder[80];
    remove(test_tune.file);
    snprintf(folder, sizeof folder, "%s/deit", test_tune.folder);
    remove(folder);
    CHECK(remove(test_tune.folder) == 0);
    if (test_tune.cache)
        setenv("XDG_CACHE_HOME", test_tune.cache, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    base_free(test_tune.cache);
}

static void test_tune_count(void *user, base_log_level level, const char *line) {
    (void)level;
    *(int *)user += strstr(line, "looking for the best micro-batch") != NULL;
}

/* The case's micro-batch; *searched counts the searches. */
static int64_t test_tune_run(int image, int *searched) {
    model_config a = test_speed_tiny();
    a.image = image;
    eval_speed_case wanted = test_speed_case(&a, 8, 2);
    wanted.schedule = MODEL_THROUGHPUT;
    base_context context = {.log = test_tune_count, .user = searched};
    CHECK_OK(eval_tune(&wanted, &context));
    return wanted.micro_batch;
}

TEST(tune_searches_once_and_remembers) {
    test_tune_begin();
    int searched = 0;
    size_t held = base_memory_held();
    int64_t found = test_tune_run(32, &searched);
    CHECK(found == 1 || found == 2 || found == 4);
    CHECK_EQ_INT(test_tune_run(32, &searched), found);
    CHECK_EQ_INT(searched, 1);
    test_tune_run(48, &searched); /* another image size is another case */
    CHECK_EQ_INT(searched, 2);
    CHECK_EQ_INT(test_tune_run(32, &searched), found); /* and leaves the first where it was */
    CHECK_EQ_INT(searched, 2);
    CHECK_EQ_INT(base_memory_held(), held);
    test_tune_end();
}

TEST(tune_takes_what_the_cache_says_if_it_makes_sense) {
    test_tune_begin();
    int searched = 0;
    test_tune_run(32, &searched);
    char *text, *edited;
    size_t size;
    CHECK_OK(base_read_file(test_tune.file, 0, &text, &size));
    size_t key = (size_t)(strrchr(text, '\t') + 1 - text);
    static const struct {
        const char *value;
        int64_t micro_batch; /* 0: searched anew */
    } cases[] = {{"3\n", 3}, {"0\n", 0}, {"-1\n", 0}, {"x\n", 0}, {"3x\n", 0}, {"3", 0}, {"99999999999\n", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK((edited = base_malloc(key + 32)) != NULL);
        memcpy(edited, text, key);
        snprintf(edited + key, 32, "%s", cases[i].value);
        CHECK_OK(base_write_file(test_tune.file, edited, strlen(edited)));
        base_free(edited);
        int before = searched;
        int64_t found = test_tune_run(32, &searched);
        if (cases[i].micro_batch) CHECK_EQ_INT(found, cases[i].micro_batch);
        CHECK_EQ_INT(searched - before, cases[i].micro_batch == 0);
    }
    /* The lines of another version go. */
    CHECK_OK(base_write_file(test_tune.file, "old 1\tcpu\t4\n", 12));
    test_tune_run(32, &searched);
    base_free(text);
    CHECK_OK(base_read_file(test_tune.file, 0, &text, &size));
    CHECK(!strstr(text, "old 1"));
    base_free(text);
    test_tune_end();
}

static double test_speed_most_memory(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

/* Memory that holds the images, and the network, but not both: no page of the images is touched. */
TEST(speed_refuses_images_beside_the_network) {
    model_config a = test_speed_tiny();
    a.patch = 4, a.dim = 24;
    model_options options = {.schedule = MODEL_LATENCY, .batch = 64, .threads = 1};
    model_net *net;
    CHECK_OK(model_net_new(&net, &a, NULL, &options));
    if (!net) return;
    size_t packed, activations;
    nn_plan_memory(net->plan, &packed, &activations);
    model_net_free(net);
    base_machine machine;
    base_machine_read(&machine);
    double image = 3 * 32 * 32 * sizeof(float), plan = (double)activations / 64;
    double batch = 1.2 * (double)machine.memory_free / (image + plan);
    CHECK(image < plan && plan < 3 * image); /* so each fits alone: 30 to 60%, and 60 to 90% of the memory */
    eval_speed speed;
    eval_speed_case one = test_speed_case(&a, (int64_t)batch, 1);
    double before = test_speed_most_memory();
    CHECK_FAIL_HAS(eval_speed_measure(&one, 1, 1, 0, &speed, NULL), "of memory, ");
    CHECK_FAIL_HAS(eval_tune(&one, NULL), "of memory, ");
    double share = (test_speed_most_memory() - before) / (batch * image);
    if (!(share < 0.2)) TEST_FAIL("%.2f of the images' memory was touched", share); /* AddressSanitizer's notes: 1/8 */
}

TEST(speed_percent_of_peak_is_of_its_sample) {
    model_config a = test_speed_tiny();
    const eval_speed_case one = test_speed_case(&a, 4, 1);
    eval_speed *s = base_calloc(1, sizeof *s);
    CHECK_OK(eval_speed_measure(&one, 1, 1, 0, s, NULL));
    double want = 100 * s->sample[0] * s->gflop_per_image / s->sample_peak[0];
    CHECK(fabs(s->sample_percent[0] - want) < 1e-9 * want);
    base_free(s);
}

TEST(speed_key_of_a_micro_batch) {
    model_config a = test_speed_tiny(), b = a;
    b.depth = 2;
    base_machine machine;
    base_machine_read(&machine);
    eval_speed_case c[5] = {test_speed_case(&a, 8, 2), test_speed_case(&b, 8, 2), test_speed_case(&a, 16, 2),
                            test_speed_case(&a, 8, 1), test_speed_case(&a, 8, 2)};
    c[4].precision = NN_BF16;
    char first[512], other[512];
    tune_key(&c[0], first);
    CHECK_STR_HAS(first, machine.cpu);
    for (int i = 1; i < 5; i++) {
        tune_key(&c[i], other);
        if (!strcmp(first, other)) TEST_FAIL("case %d", i);
    }
}
