/* repro: the table's text, commands, budget, comparison and rendering. */

/* What the paper prints in Table 5; negative: not published. */
static const struct {
    const char *network, *params;
    int image;
    double published[REPRO_COLUMNS];
} test_repro_rows[] = {
    {"ResNet-18", "12M", 224, {4458.4, 69.8, 77.3, 57.1}},
    {"ResNet-50", "25M", 224, {1226.1, 76.2, 82.5, 63.3}},
    {"ResNet-101", "45M", 224, {753.6, 77.4, 83.7, 65.7}},
    {"ResNet-152", "60M", 224, {526.4, 78.3, 84.1, 67.0}},
    {"RegNetY-4GF *", "21M", 224, {1156.7, 80.0, 86.4, 69.4}},
    {"RegNetY-8GF *", "39M", 224, {591.6, 81.7, 87.4, 70.8}},
    {"RegNetY-16GF *", "84M", 224, {334.7, 82.9, 88.1, 72.4}},
    {"EfficientNet-B0", "5M", 224, {2694.3, 77.1, 83.5, 64.3}},
    {"EfficientNet-B1", "8M", 240, {1662.5, 79.1, 84.9, 66.9}},
    {"EfficientNet-B2", "9M", 260, {1255.7, 80.1, 85.9, 68.8}},
    {"EfficientNet-B3", "12M", 300, {732.1, 81.6, 86.8, 70.6}},
    {"EfficientNet-B4", "19M", 380, {349.4, 82.9, 88.0, 72.3}},
    {"EfficientNet-B5", "30M", 456, {169.1, 83.6, 88.3, 73.6}},
    {"EfficientNet-B6", "43M", 528, {96.9, 84.0, 88.8, 73.9}},
    {"EfficientNet-B7", "66M", 600, {55.1, 84.3, -1, -1}},
    {"EfficientNet-B5 RA", "30M", 456, {96.9, 83.7, -1, -1}},
    {"EfficientNet-B7 RA", "66M", 600, {55.1, 84.7, -1, -1}},
    {"KDforAA-B8", "87M", 800, {25.2, 85.8, -1, -1}},
    {"ViT-B/16", "86M", 384, {85.9, 77.9, 83.6, -1}},
    {"ViT-L/16", "307M", 384, {27.3, 76.5, 82.2, -1}},
    {"DeiT-Ti", "5M", 224, {2536.5, 72.2, 80.1, 60.4}},
    {"DeiT-S", "22M", 224, {940.4, 79.8, 85.7, 68.5}},
    {"DeiT-B", "86M", 224, {292.3, 81.8, 86.7, 71.5}},
    {"DeiT-B↑384", "86M", 384, {85.9, 83.1, 87.7, 72.4}},
    {"DeiT-Ti⚗", "6M", 224, {2529.5, 74.5, 82.1, 62.9}},
    {"DeiT-S⚗", "22M", 224, {936.2, 81.2, 86.8, 70.0}},
    {"DeiT-B⚗", "87M", 224, {290.9, 83.4, 88.3, 73.2}},
    {"DeiT-Ti⚗ / 1000 epochs", "6M", 224, {2529.5, 76.6, 83.9, 65.4}},
    {"DeiT-S⚗ / 1000 epochs", "22M", 224, {936.2, 82.6, 87.8, 71.7}},
    {"DeiT-B⚗ / 1000 epochs", "87M", 224, {290.9, 84.2, 88.7, 73.9}},
    {"DeiT-B⚗↑384", "87M", 384, {85.8, 84.5, 89.0, 74.8}},
    {"DeiT-B⚗↑384 / 1000 epochs", "87M", 384, {85.8, 85.2, 89.3, 75.2}},
};
enum { TEST_REPRO_ROWS = sizeof test_repro_rows / sizeof *test_repro_rows };

TEST(repro_table5_is_the_paper_s) {
    repro_table *table;
    CHECK_OK(repro_table_open(&table, "table5"));
    if (!table) return;
    CHECK_EQ_INT(TEST_REPRO_ROWS, 32);
    CHECK_EQ_INT(table->n, TEST_REPRO_ROWS);
    for (int i = 0; i < table->n && i < TEST_REPRO_ROWS; i++) {
        const repro_row *row = &table->rows[i];
        CHECK(!strcmp(row->label, test_repro_rows[i].network));
        CHECK(!strcmp(row->params, test_repro_rows[i].params));
        CHECK_EQ_INT(row->image, test_repro_rows[i].image);
        for (int c = 0; c < REPRO_COLUMNS; c++) CHECK(row->published[c] == test_repro_rows[i].published[c]);
    }
    CHECK(!strcmp(table->rows[table->relative].label, "DeiT-B"));
    repro_table_free(table);
}

/* The networks of this version have the sizes that the paper rounds, and every claim holds of the published values. */
TEST(repro_table5_agrees_with_the_networks) {
    repro_table *table;
    CHECK_OK(repro_table_open(&table, "table5"));
    if (!table) return;
    for (int i = 0; i < table->n; i++)
        for (int m = 0; m < model_count(); m++) {
            model_config config = *model_at(m);
            int64_t parameters;
            double gflop;
            if (strcmp(config.name, table->rows[i].model)) continue;
            config.image = table->rows[i].image;
            CHECK_OK(model_size(&config, &parameters, &gflop));
            /* ViT-L's 307M is the paper's own rounding: the network has 304.7M. */
            double rounding = strcmp(table->rows[i].label, "ViT-L/16") ? 1.01 : 2.5;
            CHECK(fabs((double)parameters * 1e-6 - atof(table->rows[i].params)) < rounding);
        }
    for (int i = 0; i < table->n_claims; i++)
        for (int t = 1; t < table->claims[i].n; t++) {
            const repro_claim *claim = &table->claims[i];
            CHECK(table->rows[claim->term[t - 1]].published[claim->column] >
                  table->rows[claim->term[t]].published[claim->column]);
        }
    repro_table_free(table);
}

TEST(repro_manifest_names_rows_of_table5) {
    repro_table *table;
    CHECK_OK(repro_table_open(&table, "table5"));
    if (!table) return;
    for (int i = 0; i < table->n; i++) {
        bool same;
        const repro_weights *weights = repro_weights_for_row(table->rows[i].label, &same);
        if (!weights) {
            TEST_FAIL("no weights for %s", table->rows[i].label);
            continue;
        }
        CHECK(!strcmp(weights->architecture, table->rows[i].model));
        if (!same) CHECK(*weights->note); /* why it is another training's */
        if (strstr(table->rows[i].label, "1000 epochs") && table->rows[i].image == 224) CHECK(!same);
    }
    repro_table_free(table);
}

TEST(repro_published_throughput) {
    CHECK(repro_published("deit_base_patch16_224", 224) == 292.3);
    CHECK(repro_published("deit_base_patch16_224", 320) == 134.13);
    CHECK(repro_published("tf_efficientnet_b5", 456) == 169.1);
    CHECK(repro_published("deit_base_patch16_224", 225) < 0);
    CHECK(repro_published("deit_base", 224) < 0);
}

#define TEST_REPRO_HEAD                                                                                                \
    "title T\nsource S\nrelative A\nsamples 5\nbudget 9\ntolerance speed 10\ntolerance accuracy 0.1\n"                 \
    "| network | model | params | image | images/s | ImageNet | ReaL | V2 |\n|---|---|---|---|---|---|---|---|\n"
#define TEST_REPRO_ROW "| A | deit_tiny_patch16_224 | 5M | 224 | 100 | 70 | - | - |\n"

TEST(repro_table_says_which_line_is_wrong) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "t", TEST_REPRO_HEAD TEST_REPRO_ROW));
    if (table) CHECK(table->n == 1 && table->rows[0].published[REPRO_REAL] < 0 && table->budget == 9);
    repro_table_free(table);
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", TEST_REPRO_HEAD "| A | m | 5M | 224 | 100 |\n"),
                   "repro/t:10: expected 8 columns, found 5");
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", TEST_REPRO_HEAD "| A | m | 5M | 0 | 100 | 1 | 1 | 1 |\n"),
                   "the image's side, found '0'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", TEST_REPRO_HEAD "| A | m | 5M | 224 | fast | 1 | 1 | 1 |\n"),
                   "a number or -, found 'fast'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", "colour red\n"), "repro/t:1: 'colour' means nothing here");
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", "command speed: deit\n"), "no column 'speed'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", TEST_REPRO_HEAD), "'relative' names no row");
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", TEST_REPRO_HEAD TEST_REPRO_ROW "claim imagenet: A > B\n"),
                   "no row 'B'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "t", ""), "'relative' names no row");
}

TEST(repro_table_survives_the_end_of_memory) {
    for (int n = 1; n < 12; n++) {
        repro_table *table = NULL;
        size_t held = base_memory_held();
        base_fault_after(n);
        base_status status = repro_table_parse(&table, "t", TEST_REPRO_HEAD TEST_REPRO_ROW);
        base_fault_after(0);
        CHECK(status ? !table : table != NULL);
        repro_table_free(table);
        CHECK_EQ_INT(base_memory_held(), held);
    }
}

TEST(repro_unknown_table) {
    repro_table *table;
    CHECK_EQ_INT(repro_table_open(&table, "tabel5"), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "did you mean 'table5'?");
}

TEST(repro_rows_are_chosen_by_label_or_network) {
    repro_table *table;
    bool wanted[REPRO_MAX_ROWS];
    CHECK_OK(repro_table_open(&table, "table5"));
    if (!table) return;
    CHECK_OK(report_select(table, "deit-ti,deit_base_distilled_patch16_224", wanted));
    int n = 0;
    for (int i = 0; i < table->n; i++) n += wanted[i];
    CHECK_EQ_INT(n, 3);
    CHECK(wanted[20] && wanted[26] && wanted[29]);
    CHECK_EQ_INT(report_select(table, "DeiT-X", wanted), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "table5 has no row 'DeiT-X'; did you mean 'DeiT-S'?");
    CHECK_EQ_INT(report_select(table, "something else altogether", wanted), BASE_USAGE);
    CHECK_STR_HAS(base_message(), "rows are called as in the paper");
    repro_table_free(table);
}

TEST(repro_commands_are_filled) {
    base_arena arena = {0};
    const char *words[REPRO_MAX_WORDS];
    const repro_name names[] = {{"model", "m"}, {"data", "/a b/it's"}, {"real", NULL}, {"labels", "l.txt"}};
    const char *text = "deit eval --model {model} --data {data}/val [--real {real}] [--labels {labels}] --json";
    CHECK_OK(repro_command_fill(text, names, 4, &arena, words));
    CHECK(!strcmp(words[5], "/a b/it's/val") && !strcmp(words[6], "--labels") && !strcmp(words[8], "--json") &&
          !words[9]);
    const char *line = repro_command_line(words, &arena);
    CHECK_STR_HAS(line, "./deit eval --model m --data '/a b/it'\\''s/val' --labels l.txt --json");
    CHECK_FAIL_HAS(repro_command_fill("deit eval --real {real}", names, 4, &arena, words), "no value for '{real}'");
    CHECK_FAIL_HAS(repro_command_fill("deit eval {what}", names, 4, &arena, words), "unknown name '{what}'");
    base_arena_free(&arena);
}

/* ---- The budget -------------------------------------------------------------------------------------------------- */

TEST(repro_slow_machine_takes_fewer_samples) {
    repro_table table = {.samples = 5, .budget = 180};
    repro_report report = {.table = &table};
    repro_state state = {.report = &report};
    repro_result small = {.gflop = 2.5, .params = 5000000}, large = {.gflop = 400, .params = 300000000};
    measure_net *nets = base_calloc(2, sizeof *nets);
    CHECK(nets != NULL);
    if (!nets) return;
    nets[0].first = &small, nets[0].batch = 2, nets[1].first = &large, nets[1].batch = 1;
    measure_pace unknown = {0}, fast = {300, 1, 0.06, 1e-8}, slow = {18, 1, 1.0, 1e-8}, hopeless = {1, 1, 10, 1e-8};
    double least = -1;
    CHECK_EQ_INT(measure_repeats(&state, &unknown, nets, 2, 0, 0, &least), 3);
    CHECK_EQ_INT(measure_repeats(&state, &fast, nets, 2, 0, 0, &least), 3);
    CHECK(least == measure_cell_seconds);
    CHECK_EQ_INT(measure_repeats(&state, &slow, nets, 2, 0, 0, &least), 2);
    CHECK(least == 0);
    CHECK_EQ_INT(measure_repeats(&state, &hopeless, nets, 2, 0, 1, &least),
                 1); /* each row gets one, whatever it takes */
    nets[1].n = 1, nets[1].rate[0] = 1 / 400.0;
    CHECK_EQ_INT(measure_repeats(&state, &hopeless, nets, 2, 1, 1, &least), 0); /* and no more where the time is up */
    nets[1].rate[0] = 1;
    CHECK_EQ_INT(measure_repeats(&state, &fast, nets, 2, 1, 1, &least), 4); /* what the first round left out */
    base_free(nets);
}

TEST(repro_samples_are_small_batches) {
    CHECK_EQ_INT(measure_batch(35.1), 1);
    CHECK_EQ_INT(measure_batch(5.0), 1);
    CHECK_EQ_INT(measure_batch(2.51), 2);
    CHECK_EQ_INT(measure_batch(0.8), 8);
}

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

/* A table with a network that no version will know. */
#define TEST_REPRO_TABLE                                                                                               \
    "title T\nsource S\nrelative DeiT-B\nsamples 5\nbudget 180\ntolerance speed 10\ntolerance accuracy 0.1\n"          \
    "command imagenet: deit eval --model {model} --weights {weights} --data {imagenet} --json\n"                       \
    "| network | model | params | image | images/s | ImageNet | ReaL | V2 |\n|---|---|---|---|---|---|---|---|\n"      \
    "| Made-Up | no_such_network | 12M | 224 | 4458.4 | 69.8 | 77.3 | 57.1 |\n"                                        \
    "| DeiT-B | deit_base_patch16_224 | 86M | 224 | 292.3 | 81.8 | 86.7 | 71.5 |\n"                                    \
    "| DeiT-B⚗ / 1000 epochs | deit_base_distilled_patch16_224 | 87M | 224 | 290.9 | 84.2 | 88.7 | 73.9 |\n"

/* A report with a row whose network is missing, a measured row, and a row with an accuracy. */
static repro_report *test_repro_report(const repro_table *table) {
    repro_report *report = base_calloc(1, sizeof *report);
    if (!report) return NULL;
    report->table = table, report->options.precision = "f32", report->options.weights_dir = "/none";
    report->conditions = repro_conditions("f32", 2);
    for (int i = 0; i < table->n; i++) CHECK_OK(report_row(report, &table->rows[i]));
    repro_result *r = &report->rows[1];
    r->cell[REPRO_IMAGES_PER_S] = (repro_cell){10.5, NULL, 0};
    r->images_per_s = (base_spread){10.5, 10, 11, 10, 11, 6}, r->percent_of_peak = (base_spread){90, 85, 95, 85, 95, 6};
    r->peak_gflops = 400, r->batch = 1, r->workers = 1, r->threads_per_worker = 2;
    r = &report->rows[2];
    r->cell[REPRO_IMAGENET] = (repro_cell){83.37, NULL, 50000};
    repro_state state = {.report = report};
    CHECK_OK(repro_accuracy_todo(&state));
    return report;
}

TEST(repro_report_as_text) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "t", TEST_REPRO_TABLE));
    if (!table) return;
    repro_report *report = test_repro_report(table);
    CHECK(report != NULL);
    if (!report) return;
    base_text text = {0}, markdown = {0};
    repro_write_text(report, &text);
    const char *rows = text.data ? strstr(text.data, "\nMade-Up") : NULL;
    CHECK(rows && strstr(text.data, "Machine ") < rows && strstr(text.data, "Software ") < rows);
    CHECK_STR_HAS(text.data, "Made-Up                  12M      -    224  4458.4 later");
    CHECK_STR_HAS(text.data, "DeiT-B                   86M 86.57M    224   292.3  10.5 4.8   1.00  1.00    90   81.8");
    CHECK_STR_HAS(text.data, "83.37~"); /* weights of 300 epochs beside a row of 1000 */
    CHECK_STR_HAS(text.data, "later  the network comes with a later version");
    CHECK_STR_HAS(text.data, "rows marked 'later': 1");
    CHECK_STR_HAS(text.data, "  ./deit weights fetch deit_base_patch16_224 deit_base_distilled_patch16_224\n"
                             "  ./deit repro t --data $DEIT_DATA\n");
    repro_write_markdown(report, &markdown);
    CHECK_STR_HAS(markdown.data, "| DeiT-B | 86M | 86.57M | 224 | 292.3 | 10.5 |");
    CHECK_STR_HAS(markdown.data, "| 83.37\\~ |");
    CHECK_STR_HAS(markdown.data, "```sh\n./deit weights fetch ");
    base_text_free(&text), base_text_free(&markdown);
    repro_report_free(report);
    repro_table_free(table);
}

TEST(repro_report_as_json) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "t", TEST_REPRO_TABLE));
    if (!table) return;
    repro_report *report = test_repro_report(table);
    base_text json = {0};
    CHECK(report != NULL);
    if (!report) return;
    CHECK_OK(repro_write_json(report, &json));
    json_t *o = json_loads(json.data ? json.data : "", 0, NULL), *rows = json_object_get(o, "rows");
    CHECK(json_is_object(json_object_get(o, "conditions")));
    CHECK_EQ_INT(json_array_size(rows), 3);
    json_t *row = json_array_get(rows, 1), *measured = json_object_get(row, "measured");
    CHECK(!strcmp(json_string_value(json_object_get(row, "network")), "DeiT-B"));
    CHECK(!strcmp(json_string_value(json_object_get(row, "model")), "deit_base_patch16_224"));
    CHECK_EQ_INT(json_integer_value(json_object_get(row, "image")), 224);
    CHECK_EQ_INT(json_integer_value(json_object_get(row, "params")), 86567656);
    CHECK(json_number_value(json_object_get(measured, "images_per_s")) == 10.5);
    CHECK(json_is_null(json_object_get(measured, "imagenet")));
    CHECK(json_is_null(json_object_get(measured, "real")));
    CHECK(json_is_null(json_object_get(measured, "v2")));
    CHECK(json_number_value(json_object_get(json_object_get(row, "published"), "v2")) == 71.5);
    measured = json_object_get(json_array_get(rows, 2), "measured");
    CHECK(json_is_null(json_object_get(measured, "images_per_s")));
    CHECK(json_number_value(json_object_get(measured, "imagenet")) == 83.37);
    row = json_array_get(rows, 0);
    CHECK(json_is_null(json_object_get(row, "params")));
    CHECK(json_number_value(json_object_get(json_object_get(row, "published"), "images_per_s")) == 4458.4);
    CHECK_STR_HAS(json_string_value(json_object_get(json_object_get(row, "not_measured"), "images_per_s")),
                  "not in this version");
    json_decref(o);
    base_text_free(&json);
    repro_report_free(report);
    repro_table_free(table);
}

/* Compares the report with itself after `change` was applied to row 1's measured object of the baseline. */
static base_status test_repro_compare(const repro_table *table, const char *key, double value, base_text *out) {
    repro_report *report = test_repro_report(table);
    json_t *now = repro_report_json(report), *before = json_deep_copy(now);
    if (key)
        json_object_set_new(json_object_get(json_array_get(json_object_get(before, "rows"), 1), "measured"), key,
                            json_real(value));
    base_status status = repro_compare(table, now, before, "base.json", out);
    json_decref(before), json_decref(now);
    repro_report_free(report);
    return status;
}

TEST(repro_baseline) {
    repro_table *table;
    base_text out = {0};
    CHECK_OK(repro_table_parse(&table, "t", TEST_REPRO_TABLE));
    if (!table) return;
    CHECK_OK(test_repro_compare(table, NULL, 0, &out));
    CHECK_STR_HAS(out.data, "2 values compared, 0 moved");
    CHECK_OK(test_repro_compare(table, "images_per_s", 11, &out)); /* within 10% */
    CHECK_EQ_INT(test_repro_compare(table, "images_per_s", 21, &out), BASE_TOLERANCE);
    CHECK_STR_HAS(out.data, "-50.0% (tolerance 10%)");
    CHECK_OK(test_repro_compare(table, "v2", 71.5, &out)); /* measured then, not now: said, no failure */
    CHECK_STR_HAS(out.data, "1 of the baseline were not measured now");
    base_text_free(&out);
    json_t *nothing = json_object();
    CHECK_FAIL_HAS(repro_compare(table, nothing, nothing, "b.json", &out), "b.json: has no measured value in common");
    json_decref(nothing);
    base_text_free(&out);
    repro_table_free(table);
}

static base_status test_repro_open(const repro_table *table, const char *text) {
    char path[64];
    json_t *baseline;
    snprintf(path, sizeof path, "/tmp/deit-test-baseline-%d.json", (int)getpid());
    CHECK_OK(base_write_file(path, text, strlen(text)));
    base_status status = repro_baseline_open(&baseline, table, path);
    CHECK(status ? !baseline : baseline != NULL);
    json_decref(baseline);
    unlink(path);
    return status;
}

TEST(repro_baseline_files) {
    repro_table table = {.name = "t"};
    json_t *baseline;
    CHECK_OK(test_repro_open(&table, "{\"table\": \"t\", \"rows\": []}"));
    CHECK_FAIL_HAS(test_repro_open(&table, "{\"table\": \"u\", \"rows\": []}"), "found u");
    CHECK_FAIL_HAS(test_repro_open(&table, "[]"), "found other JSON");
    CHECK_FAIL_HAS(test_repro_open(&table, "{"), "expected what 'deit repro t --json' printed, found ");
    CHECK_FAIL_HAS(repro_baseline_open(&baseline, &table, "/nonexistent.json"), "/nonexistent.json");
}

TEST(repro_cells_are_kept_and_forgotten) {
    char folder[64];
    snprintf(folder, sizeof folder, "/tmp/deit-test-cells-%d", (int)getpid());
    repro_cells cells = {.folder = base_strdup(folder)};
    double age = -1;
    json_t *cell = json_pack("{s:i}", "seconds", 3);
    CHECK(repro_cells_load(&cells, "a cell", &age) == NULL);
    CHECK_OK(repro_cells_keep(&cells, "a cell", cell));
    json_decref(cell);
    cell = repro_cells_load(&cells, "a cell", &age);
    CHECK_EQ_INT(json_integer_value(json_object_get(cell, "seconds")), 3);
    CHECK(age >= -2 && age < 60);
    json_decref(cell);
    CHECK(repro_cells_load(&cells, "another cell", &age) == NULL);
    repro_cells_forget(&cells, "a cell");
    CHECK(repro_cells_load(&cells, "a cell", &age) == NULL);
    repro_cells_close(&cells);
    CHECK(!base_path_exists(folder));
}
