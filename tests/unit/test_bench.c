/* deit bench: the JSON that others read. */

TEST(bench_json_has_what_it_promises) {
    bench_row *row = base_calloc(1, sizeof *row);
    CHECK(row != NULL);
    if (!row) return;
    CHECK_OK(model_find("deit_base_patch16_224", &row->config));
    row->wanted = (eval_speed_case){&row->config, NN_F32, MODEL_THROUGHPUT, 32, 2};
    eval_speed *s = &row->speed;
    for (int i = 0; i < 3; i++) s->sample[i] = 10 + i, s->sample_percent[i] = 80 + i, s->sample_peak[i] = 400;
    s->images_per_s.n = 3, s->gflop_per_image = 35.1, s->workers = 2, s->threads = 1, s->batch = 32, s->micro_batch = 4;
    eval_speed_summarise(s);
    json_t *o = bench_json(row, 1), *conditions = json_object_get(o, "conditions"), *rows = json_object_get(o, "rows");
    CHECK_EQ_INT(json_object_size(o), 2);
    CHECK(json_is_string(json_object_get(conditions, "cpu")) && json_is_string(json_object_get(conditions, "isa")));
    CHECK_EQ_INT(json_array_size(rows), 1);
    const char *model = "", *precision = "", *schedule = "";
    int batch = 0, threads = 0;
    double median = 0, min = 0, max = 0, gflop = 0, peak = 0, percent = 0;
    json_error_t error = {.text = ""};
    int bad = json_unpack_ex(json_array_get(rows, 0), &error, 0,
                             "{s:s, s:s, s:i, s:i, s:s, s:{s:F, s:F, s:F}, s:F, s:F, s:F}", "model", &model,
                             "precision", &precision, "batch", &batch, "threads", &threads, "schedule", &schedule,
                             "images_per_s", "median", &median, "min", &min, "max", &max, "gflop_per_image", &gflop,
                             "peak_gflops", &peak, "percent_of_peak", &percent);
    if (bad) TEST_FAIL("%s", error.text);
    CHECK(!strcmp(model, "deit_base_patch16_224") && !strcmp(precision, "f32") && !strcmp(schedule, "throughput"));
    CHECK(batch == 32 && threads == 2);
    CHECK(median == 11 && min == 10 && max == 12 && gflop == 35.1 && peak == 400 && percent == 81);
    json_decref(o);
    base_free(row);
}
