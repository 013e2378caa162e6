/* deit bench: the JSON and the CSV that others read. */

/* DeiT-B as if measured: 10, 11, 12 images/s; an image alone in 101 ms. Freed by the caller; NULL when memory ends. */
static bench_row *test_bench_row(void) {
    bench_row *row = base_calloc(1, sizeof *row);
    if (!row || model_find("deit_base_patch16_224", &row->config)) return row;
    row->wanted = (eval_speed_case){
        .config = &row->config, .precision = NN_F32, .schedule = MODEL_THROUGHPUT, .batch = 32, .threads = 2};
    eval_speed *s = &row->speed;
    for (int i = 0; i < 3; i++)
        s->sample[i] = 10 + i, s->sample_percent[i] = 80 + i, s->sample_peak[i] = 400, s->sample_alone[i] = 100 + i;
    s->images_per_s.n = s->ms_alone.n = 3, s->gflop_per_image = 35.1;
    s->workers = 2, s->threads = 1, s->batch = 32, s->micro_batch = 4;
    eval_speed_summarise(s);
    return row;
}

TEST(bench_json_has_what_it_promises) {
    bench_row *row = test_bench_row();
    CHECK(row != NULL);
    if (!row) return;
    const bench_report report = {.rows = row, .n = 1, .precision = "f32", .repeats = 3};
    json_t *o = bench_json(&report), *conditions = json_object_get(o, "conditions"), *rows = json_object_get(o, "rows");
    CHECK_EQ_INT(json_object_size(o), 2);
    CHECK(json_is_string(json_object_get(conditions, "cpu")) && json_is_string(json_object_get(conditions, "isa")));
    CHECK_EQ_INT(json_array_size(rows), 1);
    const char *model = "", *precision = "", *schedule = "";
    int batch = 0, threads = 0;
    double median = 0, min = 0, max = 0, alone = 0, gflop = 0, peak = 0, percent = 0, here = 0, paper = 0, there = 0;
    json_error_t error = {.text = ""};
    int bad = json_unpack_ex(json_array_get(rows, 0), &error, 0,
                             "{s:s, s:s, s:i, s:i, s:s, s:{s:F, s:F, s:F}, s:{s:F}, s:F, s:F, s:F, s:F, s:F, s:F}",
                             "model", &model, "precision", &precision, "batch", &batch, "threads", &threads, "schedule",
                             &schedule, "images_per_s", "median", &median, "min", &min, "max", &max, "ms_alone",
                             "median", &alone, "gflop_per_image", &gflop, "peak_gflops", &peak, "percent_of_peak",
                             &percent, "relative_to_deit_base", &here, "published_images_per_s", &paper,
                             "published_relative_to_deit_base", &there);
    if (bad) TEST_FAIL("%s", error.text);
    CHECK(!strcmp(model, "deit_base_patch16_224") && !strcmp(precision, "f32") && !strcmp(schedule, "throughput"));
    CHECK(batch == 32 && threads == 2);
    CHECK(median == 11 && min == 10 && max == 12 && gflop == 35.1 && peak == 400 && percent == 81);
    CHECK(alone == 101 && here == 1 && paper == 292.3 && there == 1);
    json_decref(o);
    base_free(row);
}

/* The i-th cell of a line of CSV (from 0) without its quotes; "" past the end. */
static const char *test_bench_cell(const char *line, int i, char cell[256]) {
    bool quoted = false;
    size_t n = 0;
    for (; *line && *line != '\n'; line++) {
        if (*line == '"')
            quoted = !quoted;
        else if (*line == ',' && !quoted)
            i--;
        else if (i == 0 && n < 255)
            cell[n++] = *line;
    }
    cell[n] = 0;
    return cell;
}

TEST(bench_csv_has_a_line_of_names_and_a_line_a_row) {
    bench_row *row = test_bench_row();
    CHECK(row != NULL);
    if (!row) return;
    const bench_report report = {.rows = row, .n = 1, .precision = "f32", .repeats = 3};
    base_text text = {0};
    bench_csv(&report, &text);
    CHECK(!text.failed);
    const char *line = strchr(text.data, '\n') + 1;
    static const char *const expected[][2] = {{"model", "deit_base_patch16_224"},
                                              {"image", "224"},
                                              {"precision", "f32"},
                                              {"schedule", "throughput"},
                                              {"batch", "32"},
                                              {"micro_batch", "4"},
                                              {"images_per_s", "11"},
                                              {"images_per_s_low", "10"},
                                              {"images_per_s_samples", "3"},
                                              {"ms_alone", "101"},
                                              {"ms_alone_high", "102"},
                                              {"steady", "no"},
                                              {"percent_of_peak", "81"},
                                              {"relative_to_deit_base", "1"},
                                              {"published_images_per_s", "292.3"}};
    int columns = 0, found = 0;
    for (char name[256]; *test_bench_cell(text.data, columns, name); columns++)
        for (size_t k = 0; k < sizeof expected / sizeof *expected; k++) {
            char cell[256];
            if (strcmp(name, expected[k][0]) != 0) continue;
            found++;
            if (strcmp(test_bench_cell(line, columns, cell), expected[k][1]) != 0)
                TEST_FAIL("%s is %s, not %s", name, cell, expected[k][1]);
        }
    CHECK_EQ_INT(found, sizeof expected / sizeof *expected);
    char date[256];
    CHECK(strlen(test_bench_cell(line, columns - 1, date)) == strlen("2026-11-25T14:00:00Z"));
    CHECK_EQ_INT(strchr(line, '\n')[1], 0);
    base_text_free(&text);
    base_free(row);
}

/* What deit bench prints of rows with n samples each: images/s of 100 +- `wide` percent, and as many of an image alone
 * with +- `alone` percent, 0: none. malloc'd. */
typedef struct {
    int n;
    double wide, alone;
} test_bench_samples;
static char *test_bench_text(const test_bench_samples *given, int rows) {
    char *text = NULL;
    size_t size = 0;
    bench_report report = {.rows = base_calloc((size_t)rows, sizeof *report.rows), .n = rows, .precision = "f32"};
    FILE *own = stdout, *kept = open_memstream(&text, &size);
    CHECK(report.rows && kept);
    if (!report.rows || !kept) return NULL;
    for (int i = 0; i < rows; i++) {
        bench_row *row = &report.rows[i];
        CHECK_OK(model_find("deit_tiny_patch16_224", &row->config));
        row->wanted = (eval_speed_case){.config = &row->config, .precision = NN_F32, .schedule = MODEL_THROUGHPUT};
        for (int k = 0; k < given[i].n; k++) {
            double swing = 2 * (k % 2) - 1;
            row->speed.sample[k] = 100 + given[i].wide * swing;
            row->speed.sample_alone[k] = 10 + given[i].alone * swing / 10;
            row->speed.sample_percent[k] = 80, row->speed.sample_peak[k] = 400;
        }
        row->speed.images_per_s.n = given[i].n, row->speed.ms_alone.n = given[i].alone > 0 ? given[i].n : 0;
        eval_speed_summarise(&row->speed);
    }
    stdout = kept;
    bench_print_text(&report);
    stdout = own;
    fclose(kept);
    base_free(report.rows);
    return text;
}

TEST(bench_says_which_rows_are_noisy) {
    static const test_bench_samples quiet[] = {{6, 1.4, 0}, {20, 1.4, 1.4}}, noisy[] = {{20, 1.4, 1.4}, {6, 1.6, 0}},
                                    alone[] = {{20, 1.4, 1.6}, {6, 9, 9}, {8, 0, 0}}, few[] = {{5, 0, 0}, {3, 9, 9}},
                                    both[] = {{5, 9, 0}, {6, 9, 0}, {20, 0, 1.4}};
    static const struct {
        const test_bench_samples *rows;
        int n, noisy, few;
    } cases[] = {{quiet, 2, 0, 0}, {noisy, 2, 1, 0}, {alone, 3, 2, 0}, {few, 2, 0, 2}, {both, 3, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[2][64], *text = test_bench_text(cases[i].rows, cases[i].n);
        snprintf(line[0], sizeof line[0], "\nNoisy     %d of %d rows: ", cases[i].noisy, cases[i].n);
        snprintf(line[1], sizeof line[1], "\nFew       %d of %d rows have under 6 samples", cases[i].few, cases[i].n);
        CHECK_STR_HAS(text, cases[i].noisy ? line[0] : "\nMachine");
        CHECK_STR_HAS(text, cases[i].few ? line[1] : "\nMachine");
        CHECK(text && !strstr(text, "Noisy") == !cases[i].noisy && !strstr(text, "Few") == !cases[i].few);
        free(text);
    }
}
