/* repro --baseline: what a file must hold, and what of it is held against a later run. */

#define TEST_BASELINE_TABLE                                                                                            \
    "title T\nsource S\ntolerance accuracy 0.1\nseeds 2\n"                                                             \
    "column row label row\ncolumn top1 accuracy top1\ncolumn part fraction part\ncolumn count number count\n"          \
    "column rate number rate\n"                                                                                        \
    "command top1: deit eval --json\ncommand part: deit positions --json\ncommand count: deit data count --json\n"     \
    "command rate: deit bench --json\n"                                                                                \
    "command desk part: deit tokens --json\ncommand desk rate: deit bench --json\n"                                    \
    "| row | top1 | part | count | rate |\n|---|---|---|---|---|\n| A | - | - | - | - |\n| B | - | - | - | - |\n"

static json_t *test_baseline_report(const char *row, const char *measured, const char *desk) {
    char text[512];
    snprintf(text, sizeof text, "{\"table\": \"t\", \"rows\": [{\"row\": \"%s\", \"measured\": {%s}, \"desk\": {%s}}]}",
             row, measured, desk);
    return json_loads(text, 0, NULL);
}

/* Holds what is measured of row A now against a file's row. */
static base_status test_baseline_against(const char *tolerance, json_t *before, const char *measured, const char *desk,
                                         base_text *out) {
    repro_table *table;
    char text[1024];
    snprintf(text, sizeof text, "%s%s", TEST_BASELINE_TABLE, tolerance);
    CHECK_OK(repro_table_parse(&table, "repro/t", text));
    json_t *now = test_baseline_report("A", measured, desk);
    base_status status = table ? repro_compare(table, now, before, "b.json", out) : BASE_ERROR;
    json_decref(now), json_decref(before);
    repro_table_free(table);
    return status;
}

/* Fractions move by a hundredth of the accuracy's tolerance, numbers not at all, but for those of a clock. */
TEST(repro_baseline_of_fractions_and_numbers) {
    static const struct {
        const char *tolerance, *before, *now, *said;
    } cases[] = {
        {"", "\"part\": 0.5", "\"part\": 0.5009", "1 values compared, 0 moved"},
        {"", "\"part\": 0.5", "\"part\": 0.5011", "+0.0011 (tolerance 0.001)"},
        {"tolerance accuracy 0\n", "\"part\": 0.5", "\"part\": 0.5004", "1 values compared, 0 moved"},
        {"tolerance accuracy 0\n", "\"part\": 0.5", "\"part\": 0.5006", "+0.0006 (tolerance 0.0005)"},
        {"", "\"count\": 265213", "\"count\": 265213.0", "1 values compared, 0 moved"},
        {"", "\"count\": 265213", "\"count\": 265214", "    265213     265214  +1 (no difference is let pass)"},
        {"", "\"count\": 0.3333333333", "\"count\": 0.33333333333333331", "1 values compared, 0 moved"},
        {"", "\"top1\": 81.8, \"rate\": 100", "\"top1\": 81.8, \"rate\": 7", "1 values compared, 0 moved"},
        {"", "\"part\": 0.5", "\"part\": null", " -  not measured now"},
        {"", "\"count\": 7", "", " -  not measured now"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        base_text out = {0};
        json_t *before = test_baseline_report("A", cases[i].before, "");
        base_status status = test_baseline_against(cases[i].tolerance, before, cases[i].now, "", &out);
        CHECK_EQ_INT(status, strstr(cases[i].said, " 0 moved") ? BASE_OK : BASE_TOLERANCE);
        CHECK_STR_HAS(out.data, cases[i].said);
        base_text_free(&out);
    }
}

/* Of small networks no image may differ; what counts no images is the same as it is shown. */
TEST(repro_baseline_of_small_networks_fractions) {
    static const struct {
        const char *now, *said;
    } cases[] = {
        {"\"part\": {\"values\": [0.17, 0.18], \"images\": 10000}", "2 values compared, 0 moved"},
        {"\"part\": {\"values\": [0.17, 0.1801], \"images\": 10000}", "part, seed 1"},
        {"\"part\": {\"values\": [0.17, 0.1804]}", "2 values compared, 0 moved"},
        {"\"part\": {\"values\": [0.17, 0.1806]}", "+0.0006 (tolerance 0.0005)"},
        /* a mean over images is no share of them */
        {"\"part\": {\"values\": [0.1704, 0.1804], \"images\": 1007}", "2 values compared, 0 moved"},
        {"\"part\": {\"values\": [0.17]}", "; 1 of the baseline were not measured now"},
        /* a seed that failed has no value: the next one's is not its */
        {"\"part\": {\"values\": [0.18], \"seeds\": [1]}", "1 values compared, 0 moved"},
        {"\"part\": {\"values\": [0.18], \"seeds\": [1]}", "part, seed 0"},
        {"\"part\": {\"values\": [0.19, 0.17], \"seeds\": [1, 0]}", "part, seed 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        base_text out = {0};
        json_t *before =
            test_baseline_report("A", "", "\"part\": {\"values\": [0.17, 0.18]}, \"rate\": {\"values\": [9]}");
        base_status status = test_baseline_against("", before, "", cases[i].now, &out);
        CHECK_EQ_INT(status, strstr(cases[i].said, "2 values compared, 0 moved") ? BASE_OK : BASE_TOLERANCE);
        CHECK_STR_HAS(out.data, cases[i].said);
        base_text_free(&out);
    }
}

/* A row or a column that the table has lost cannot be measured any more; one that --only leaves out can. */
TEST(repro_baseline_of_what_the_table_has_lost) {
    static const struct {
        const char *row, *measured, *desk, *said;
    } cases[] = {
        {"gone", "\"top1\": 81.8", "", "the table has no such row\n0 values compared"},
        {"gone", "\"part\": 0.5", "\"part\": {\"values\": [0.17, 0.18]}", "; 3 of the baseline were not measured now"},
        {"A", "\"old\": 81.8, \"old_images\": 50000", "", "the table has no such column\n0 values compared"},
        {"A", "", "\"old\": {\"values\": [81.8]}", "the table has no such column\n0 values compared"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        base_text out = {0};
        json_t *before = test_baseline_report(cases[i].row, cases[i].measured, cases[i].desk);
        CHECK_EQ_INT(test_baseline_against("", before, "\"top1\": 81.8", "", &out), BASE_TOLERANCE);
        CHECK_STR_HAS(out.data, cases[i].said);
        base_text_free(&out);
    }
    base_text out = {0};
    json_t *both = test_baseline_report("A", "\"top1\": 81.8", "");
    json_array_append_new(json_object_get(both, "rows"),
                          json_loads("{\"row\": \"B\", \"measured\": {\"top1\": 7}}", 0, NULL));
    CHECK_OK(test_baseline_against("", both, "\"top1\": 81.8", "", &out));
    CHECK_STR_HAS(out.data, "1 values compared, 0 moved further than the tolerance\n");
    base_text_free(&out);
    json_t *fewer = test_baseline_report("A", "\"top1\": 81.8", "");
    CHECK_OK(test_baseline_against("", fewer, "\"top1\": 81.8", "\"part\": {\"values\": [0.17, 0.18]}", &out));
    CHECK_STR_HAS(out.data,
                  "1 values compared, 0 moved further than the tolerance; of 2 measured now it has no value\n");
    base_text_free(&out);
}

/* What is not as --json writes it would pass as not measured: the file, the row and the key are named. */
TEST(repro_baseline_that_is_malformed) {
    static const struct {
        const char *rows, *said;
    } cases[] = {
        {"7", ": row '1', row: expected a row's name, found 7; 'deit repro t --json' writes such a file"},
        {"{\"row\": 7}", ": row '1', row: expected a row's name, found 7"},
        {"{\"row\": \"A\"}", ": row 'A', measured: expected an object, found nothing"},
        {"{\"row\": \"A\", \"measured\": {\"top1\": \"81.8\"}}",
         ": row 'A', measured.top1: expected a number or null, found \"81.8\""},
        {"{\"row\": \"A\", \"measured\": {\"percent_of_peak\": []}}",
         ": row 'A', measured.percent_of_peak: expected a number or null, found []"},
        {"{\"row\": \"A\", \"measured\": {}, \"desk\": 7}", ": row 'A', desk: expected an object, found 7"},
        {"{\"row\": \"A\", \"measured\": {}, \"desk\": {\"part\": 7}}",
         ": row 'A', desk.part: expected an object with numbers in 'values', found 7"},
        {"{\"row\": \"A\", \"measured\": {}, \"desk\": {\"part\": {\"values\": [1, null]}}}", ": row 'A', desk.part: "},
        {"{\"row\": \"A\", \"measured\": {}, \"desk\": {\"part\": {\"values\": [1, 2], \"seeds\": [0]}}}",
         ": row 'A', desk.part: expected a seed in 'seeds' for each of 'values'"},
        {"{\"row\": \"A\", \"measured\": {}}, {\"row\": \"A\", \"measured\": {}}",
         ": row 'A', row: expected a name that no row before has, found \"A\""},
    };
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_BASELINE_TABLE));
    for (size_t i = 0; table && i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"table\": \"t\", \"rows\": [%s]}", cases[i].rows);
        CHECK_FAIL_HAS(test_repro_open(table, text), cases[i].said);
    }
    if (table)
        CHECK_OK(
            test_repro_open(table, "{\"table\": \"t\", \"rows\": [{\"row\": \"A\", \"measured\": {\"top1\": null}}]}"));
    repro_table_free(table);
}
