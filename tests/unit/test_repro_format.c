/* repro: files that are not tables as repro/README.md describes them are errors that name the line. */

#define TEST_FORMAT_HEAD                                                                                               \
    "title T\nsource S\ncolumn a label A\ncolumn b accuracy B\ncolumn c attribute\ncolumn d training\n"
#define TEST_FORMAT_ROWS "| a | b | c | d |\n|---|:--:|--|-|\n| x | 1 | - | - |\n"

static base_status test_format(const char *text) {
    repro_table *table;
    base_status status = repro_table_parse(&table, "my/t", text);
    repro_table_free(table);
    return status;
}

/* Only the line below the heading may be dashes: a label may begin with one. */
TEST(repro_rows_have_labels_of_their_own) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "my/t", TEST_FORMAT_HEAD TEST_FORMAT_ROWS "| -O2 | 2 | - | - |\n"));
    if (table) CHECK(table->n == 2 && !strcmp(table->rows[1].text[0], "-O2") && table->rows[1].published[1] == 2);
    repro_table_free(table);
    CHECK_FAIL_HAS(test_format(TEST_FORMAT_HEAD TEST_FORMAT_ROWS "| y | 1 | - | - |\n| x | 2 | - | - |\n"),
                   "my/t:11: row 1 is called 'x' too");
    CHECK_FAIL_HAS(test_format(TEST_FORMAT_HEAD TEST_FORMAT_ROWS "| - | 2 | - | - |\n"),
                   "my/t:10: expected the row's label, found '-'");
}

/* Names that no value will ever be known for, and what is not closed. */
TEST(repro_names_in_commands_are_known) {
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"command b: deit eval {nosuch}\n", "my/t:10: unknown name '{nosuch}': expected a column, or a name of"},
        {"command b: deit eval [--real {real}] {imagenet\n", "my/t:10: '{imagenet' is not closed: expected }"},
        {"command b: deit eval {imagenet --top {b}\n", "my/t:10: '{imagenet' is not closed"},
        {"command b: deit eval [--real {real} --json\n", "my/t:10: '[--real' is not closed: expected ]"},
        {"command b={nosuch}.top1: deit eval\n", "my/t:10: unknown name '{nosuch}'"},
        {"command b: deit eval {b.network}\n", "my/t:10: unknown name '{b.network}'"},
        {"command b: deit eval {made.e}\n", "my/t:10: unknown name '{made.e}'"},
        {"| y | 1 | {nosuch} | - |\n", "my/t:10: unknown name '{nosuch}'"},
        {"| y | 1 | {imagenet | - |\n", "my/t:10: '{imagenet' is not closed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", TEST_FORMAT_HEAD TEST_FORMAT_ROWS, cases[i].line);
        CHECK_FAIL_HAS(test_format(text), cases[i].said);
    }
    CHECK_OK(test_format(TEST_FORMAT_HEAD TEST_FORMAT_ROWS
                         "| y | 1 | {fashion} | - |\n"
                         "command b={c}.top1: deit eval {a} {d} {d.network} {made.b} [{d.fit}] [--seed {seed}] {c}\n"));
}

/* Lines in the wrong order, and numbers that are none. */
TEST(repro_lines_say_what_they_expected) {
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"column e accuracy E\n", "my/t:10: column 'e' stands below the rows' heading: expected it above"},
        {"samples ten\n", "my/t:10: samples: expected a number, 0 or above, found 'ten'"},
        {"samples 5x\n", "my/t:10: samples: expected a number, 0 or above, found '5x'"},
        {"samples 1.5\n", "my/t:10: samples: expected a whole number, found '1.5'"},
        {"budget 12s\n", "my/t:10: budget: expected a number, 0 or above, found '12s'"},
        {"budget -1\n", "my/t:10: budget: expected a number, 0 or above, found '-1'"},
        {"tolerance accuracy 0.1 points\n",
         "my/t:10: tolerance accuracy: expected a number, 0 or above, found '0.1 points'"},
        {"tolerance speed nan\n", "my/t:10: tolerance speed: expected a number, 0 or above, found 'nan'"},
        {"tolerance size 1\n", "my/t:10: expected 'tolerance speed|accuracy NUMBER'"},
        {"claim b witin 0.5: x >= x\n", "expected 'within X' or nothing before the colon, found 'witin 0.5'"},
        {"claim b within 0.5 points: x >= x\n", "found 'within 0.5 points'"},
        {"claim b within: x >= x\n", "found 'within'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s", TEST_FORMAT_HEAD TEST_FORMAT_ROWS, cases[i].line);
        CHECK_FAIL_HAS(test_format(text), cases[i].said);
    }
    CHECK_FAIL_HAS(test_format("title T\ncolumn a label A\ncolumn b accuracy B\ncolumn b number B\n"),
                   "my/t:4: there is a column 'b' already");
    CHECK_OK(
        test_format(TEST_FORMAT_HEAD TEST_FORMAT_ROWS
                    "| y | 2 | - | - |\nsamples 5\nbudget 0.5\ntolerance accuracy 0\nclaim b within 0.5: x >= y\n"));
}

/* What is no text cannot be printed as it stands. */
TEST(repro_tables_are_text) {
    static const char odd[] = "title T\xff\n" TEST_FORMAT_HEAD TEST_FORMAT_ROWS, cut[] = "title T\0\n";
    repro_table *table;
    base_test_folder_begin();
    const char *path = base_test_path("t");
    CHECK_OK(base_write_file(path, odd, sizeof odd - 1));
    CHECK_FAIL_HAS(repro_table_open(&table, path), "/t: expected a text in UTF-8, found other bytes");
    CHECK_OK(base_write_file(path, cut, sizeof cut - 1));
    CHECK_FAIL_HAS(repro_table_open(&table, path), "/t: expected a text in UTF-8, found other bytes");
    base_test_folder_end();
}

/* What only the trainings beside a table tell to be no name is said with its command. */
TEST(repro_unknown_name_is_said_with_its_command) {
    static const repro_name names[] = {{.name = "d", .value = "w"}};
    const char *words[REPRO_MAX_WORDS];
    base_arena arena = {0};
    CHECK_FAIL_HAS(repro_command_fill("deit eval {d.what}", names, 1, REPRO_FILL_RUN, &arena, words, NULL),
                   "'deit eval {d.what}': a command has the unknown name '{d.what}'");
    base_arena_free(&arena);
}

/* What refers to rows and columns, and what there may be only so many of, names its line as well. */
TEST(repro_errors_name_the_line) {
    CHECK_FAIL_HAS(test_format(TEST_FORMAT_HEAD TEST_FORMAT_ROWS "claim b: x > y\n"),
                   "my/t:10: claim 'b: x > y': no row");
    CHECK_FAIL_HAS(test_format(TEST_FORMAT_HEAD TEST_FORMAT_ROWS "plot x b\n"),
                   "my/t:10: plot 'x b': expected x COLUMN");
    CHECK_FAIL_HAS(test_format("relative y\n" TEST_FORMAT_HEAD TEST_FORMAT_ROWS), "my/t:1: 'relative' names no row");
    CHECK_FAIL_HAS(test_format("plot x b\nplot x b\nplot x b\nplot x b\nplot x b\n"), "my/t:5: more than 4 plots");
}
