/* eval: measuring throughput. */

static model_config test_speed_tiny(void) {
    model_config config = model_vit();
    config.image = 32, config.dim = 32, config.heads = 2, config.depth = 1, config.classes = 10;
    return config;
}

TEST(speed_samples_and_spreads) {
    model_config a = test_speed_tiny(), b = test_speed_tiny();
    b.depth = 2;
    const eval_speed_case cases[] = {{&a, NN_F32, MODEL_THROUGHPUT, 4, 2}, {&b, NN_F32, MODEL_LATENCY, 1, 2}};
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
        CHECK(fabs(s->ms_per_image * s->images_per_s.median - 1000) < 1e-6);
        CHECK_EQ_INT(s->workers * s->threads, 2);
    }
    CHECK_EQ_INT(speed[0].batch, 4);
    CHECK_EQ_INT(speed[1].workers, 1); /* latency: all threads on one pass */
    base_free(speed);
}

TEST(speed_goes_on_while_there_is_time) {
    model_config a = test_speed_tiny();
    const eval_speed_case one = {&a, NN_F32, MODEL_LATENCY, 1, 1};
    eval_speed *speed = base_calloc(1, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    double start = base_now();
    CHECK_OK(eval_speed_measure(&one, 1, 1, 3, speed, NULL));
    CHECK(speed->images_per_s.n > 1);
    CHECK(base_now() - start < 60);
    base_free(speed);
}

TEST(speed_refuses) {
    model_config a = test_speed_tiny();
    eval_speed *speed = base_calloc(2, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    const eval_speed_case none = {&a, NN_F32, MODEL_LATENCY, 0, 1},
                          huge = {&a, NN_F32, MODEL_LATENCY, (int64_t)1 << 30, 1};
    CHECK_FAIL_HAS(eval_speed_measure(&none, 1, 1, 0, speed, NULL), "batch 0");
    CHECK_FAIL_HAS(eval_speed_measure(&huge, 1, 1, 0, speed, NULL), "use a smaller batch");
    const eval_speed_case mixed[] = {{&a, NN_F32, MODEL_LATENCY, 1, 1}, {&a, NN_F32, MODEL_LATENCY, 1, 2}};
    CHECK_FAIL_HAS(eval_speed_measure(mixed, 2, 1, 0, speed, NULL), "one number of threads");
    const eval_speed_case bf16 = {&a, NN_BF16, MODEL_LATENCY, 1, 1};
    if (!nn_has_bf16()) CHECK_FAIL_HAS(eval_speed_measure(&bf16, 1, 1, 0, speed, NULL), "bf16");
    base_free(speed);
}

TEST(speed_can_be_stopped) {
    model_config a = test_speed_tiny();
    const eval_speed_case one = {&a, NN_F32, MODEL_LATENCY, 1, 1};
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
    const eval_speed_case one = {&a, NN_F32, MODEL_LATENCY, 1, 1};
    eval_speed *speed = base_calloc(1, sizeof *speed);
    CHECK(speed != NULL);
    if (!speed) return;
    size_t held = base_memory_held();
    for (int n = 1; n <= 64; n *= 2) {
        base_fault_after(n);
        base_status status = eval_speed_measure(&one, 1, 1, 0, speed, NULL);
        base_fault_after(0);
        CHECK(status == BASE_ERROR || n > 8);
        CHECK_EQ_INT(base_memory_held(), held);
    }
    base_free(speed);
}
