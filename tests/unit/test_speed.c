/* eval: measuring throughput. */
#include <malloc.h>
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
    CHECK_EQ_INT(speed[1].ms_alone.n, 3); /* latency is an image alone */
    CHECK(fabs(speed[1].sample_alone[2] * speed[1].sample[2] - 1000) < 1e-6);
    CHECK_EQ_INT(speed[0].batch, 4);
    CHECK_EQ_INT(speed[1].workers, 1); /* latency: all threads on one pass */
    base_free(speed);
}

/* ---- Turns, groups and the end of sampling ----------------------------------------------------------------------- */

/* What the progress tells: "w" and a network's letter when it warms up, the letter alone when it is sampled. */
typedef struct {
    char said[256];
    eval_speed *results; /* NULL: nothing to write over */
    int rounds;          /* so many of both networks were sampled before all samples are made equal */
    int fail_at_warm_up; /* memory ends for the so many-th, and is there again when sampling begins */
} test_speed_turns;

static void test_speed_told(void *user, const char *what, double done, double total, const char *unit,
                            const char *note) {
    test_speed_turns *turns = user;
    size_t at = strlen(turns->said);
    bool warm = strstr(note, "warm-up") != NULL;
    (void)what, (void)done, (void)total, (void)unit;
    if (at + 3 < sizeof turns->said) snprintf(turns->said + at, 3, "%s%c", warm ? "w" : "", note[strlen(note) - 1]);
    if (warm && turns->fail_at_warm_up && !--turns->fail_at_warm_up) base_fault_after(1);
    if (!warm) base_fault_after(0);
    for (int i = 0; !warm && turns->results && i < 2; i++)
        for (int k = 0; k < turns->results[i].images_per_s.n; k++)
            turns->results[i].sample[k] = turns->results[1].images_per_s.n < turns->rounds && i && k % 2 ? 200 : 100;
}

/* Two networks whose names end in A and B, with a peak of small products; `memory`: that of a group, 0: the usual. */
static base_status test_speed_two(test_speed_turns *turns, int samples, double seconds, double memory,
                                  eval_speed *results) {
    model_config a = test_speed_tiny(), b = test_speed_tiny();
    a.name = "A", b.name = "B", b.depth = 2;
    const eval_speed_case cases[] = {test_speed_case(&a, 2, 1), test_speed_case(&b, 2, 1)};
    base_context context = {.progress = test_speed_told, .user = turns};
    speed_bench bench = {.context = &context, .samples = samples, .seconds = seconds};
    size_t held = base_memory_held();
    memset(results, 0, 2 * sizeof *results);
    base_status status = speed_open(&bench, cases, 2);
    nn_peak_free(bench.peak[NN_F32]);
    CHECK_OK(nn_peak_new(&bench.peak[NN_F32], 64, NN_F32, 1));
    if (memory > 0) bench.memory = memory;
    if (!status) status = speed_groups(&bench, cases, 2, results);
    speed_end(&bench);
    base_fault_after(0);
    CHECK_EQ_INT(base_memory_held(), held);
    return status;
}

TEST(speed_networks_take_turns) {
    test_speed_turns turns = {.said = ""};
    eval_speed *results = base_calloc(2, sizeof *results);
    CHECK_OK(test_speed_two(&turns, 3, 0, 0, results));
    if (strcmp(turns.said, "wAwBABABAB")) TEST_FAIL("the turns were %s", turns.said);
    base_free(results);
}

/* A group ends with the network that fills its memory, and before one that memory cannot hold beside the others. */
TEST(speed_groups_of_what_memory_holds) {
    eval_speed *results = base_calloc(2, sizeof *results);
    test_speed_turns turns = {.said = ""};
    CHECK_OK(test_speed_two(&turns, 3, 0, 1, results));
    if (strcmp(turns.said, "wAAAAwBBBB")) TEST_FAIL("with little memory the turns were %s", turns.said);
    CHECK(results[0].images_per_s.n == 3 && results[1].images_per_s.n == 3);
    turns = (test_speed_turns){.fail_at_warm_up = 2};
    CHECK_OK(test_speed_two(&turns, 3, 0, 0, results));
    if (strcmp(turns.said, "wAwBAAAwBBBB")) TEST_FAIL("where B did not fit the turns were %s", turns.said);
    CHECK(results[0].images_per_s.n == 3 && results[1].images_per_s.n == 3);
    turns = (test_speed_turns){.fail_at_warm_up = 1}; /* what does not fit alone fails */
    CHECK_FAIL_HAS(test_speed_two(&turns, 3, 0, 0, results), "memory");
    CHECK(!strcmp(turns.said, "wA"));
    base_free(results);
}

/* The samples of the first are 100 images/s from the beginning, those of the second 100 and 200 until there are 20:
 * both go on until both are steady, and then stop, with 1000 seconds left. The newest sample of each is what was
 * measured: an interval of more than ten leaves it out. */
TEST(speed_stops_when_all_are_steady) {
    eval_speed *results = base_calloc(2, sizeof *results);
    test_speed_turns turns = {.results = results, .rounds = 20};
    CHECK_OK(test_speed_two(&turns, 1, 1000, 0, results));
    CHECK(results[0].steady && results[1].steady);
    CHECK_EQ_INT(results[0].images_per_s.n, 21);
    CHECK_EQ_INT(results[1].images_per_s.n, 21);
    base_free(results);
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

/* The kernel's highest resident memory begins anew. False: it cannot. */
static bool test_speed_forget_most_memory(void) {
    malloc_trim(0);
    FILE *file = fopen("/proc/self/clear_refs", "w");
    bool done = file && fputs("5", file) >= 0;
    return file && !fclose(file) && done;
}

/* What a row says of its memory, and by how much measuring it raised the kernel's highest resident memory. */
static double test_speed_grown(const model_config *config, double *said) {
    eval_speed_case one = test_speed_case(config, 4, 2);
    one.schedule = MODEL_THROUGHPUT, one.alone = true;
    eval_speed *s = base_calloc(1, sizeof *s);
    if (!test_speed_forget_most_memory()) return 0;
    double before = test_speed_most_memory();
    CHECK_OK(eval_speed_measure(&one, 1, 1, 0, s, NULL));
    *said = (double)s->memory;
    base_free(s);
    return test_speed_most_memory() - before;
}

/* A quarter is allowed: what packing took and freed may stay with the C library, up to 20 MB here. The peak's matrices
 * and oneDNN's code, which no row counts, are taken out by a network of next to nothing. */
TEST(speed_memory_is_what_a_row_holds) {
    static const char *const names[] = {"resnet18", "deit_small_patch16_224"};
#ifdef __SANITIZE_ADDRESS__
    SKIP("AddressSanitizer's notes count as memory");
#endif
    if (!test_speed_forget_most_memory()) SKIP("/proc/self/clear_refs cannot be written");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        model_config tiny = test_speed_tiny(), config;
        CHECK_OK(model_find(names[i], &config));
        double said, little, held = test_speed_grown(&config, &said), beside = test_speed_grown(&tiny, &little);
        if (!(fabs((held - beside) / (said - little) - 1) < 0.25))
            TEST_FAIL("%s: %.1f MB are said, %.1f MB were held", names[i], said * 1e-6,
                      (held - beside + little) * 1e-6);
        if (getenv("DEIT_TEST_VERBOSE"))
            printf("  %s: %.1f MB said, %.1f MB held\n", names[i], said * 1e-6, (held - beside + little) * 1e-6);
    }
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
