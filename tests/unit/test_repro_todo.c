/* repro: the commands that would measure the rest, and what stands below a table of which nothing is measured. */

#define TEST_TODO_TABLE                                                                                                \
    "title T\nsource S\nseeds 1\n"                                                                                     \
    "column row label row\ncolumn model attribute\ncolumn data attribute\ncolumn recipe attribute\n"                   \
    "column count number count\ncolumn top1 accuracy top1\ncolumn tuned accuracy tuned\n"                              \
    "command count: deit data count {data} --json\n"                                                                   \
    "command top1: deit eval --weights {weights} --data {imagenet} --json\n"                                           \
    "command tuned: deit train --recipe {recipe} --data-path {cifar10} --output-dir {folder} --json\n"                 \
    "| row | model | data | recipe | count | top1 | tuned |\n|---|---|---|---|---|---|---|\n"                          \
    "| DeiT-B | deit_base_patch16_224 | {cifar100} | %s | 1 | 2 | 3 |\n| b | - | {train} | - | 1 | - | - |\n"

static repro_book *test_todo_book(repro_table **table, const char *recipe, const repro_options *options,
                                  const repro_places *places, repro_job_state job) {
    char text[1024];
    snprintf(text, sizeof text, TEST_TODO_TABLE, recipe);
    CHECK_OK(repro_table_parse(table, "repro/t", text));
    repro_book *book = *table ? test_repro_book(*table) : NULL;
    if (!book) return NULL;
    repro_state state = {.book = book, .places = *places};
    repro_job one = {.used = true, .state = job};
    book->options.results = options->results, book->options.results_named = options->results_named;
    book->options.scale_named = options->scale_named;
    state.jobs = &one;
    CHECK_OK(repro_add_todos(&state));
    return book;
}

/* Sets that a missing cell reads, by its command or a cell of its row; trainings for what nobody asked to train; the
 * folder of finished cells where it was given. */
TEST(repro_commands_for_the_rest) {
    static const struct {
        const char *recipe;
        repro_options options;
        repro_places places;
        repro_job_state job;
        const char *fetch, *again;
    } cases[] = {
        {"x", {0}, {0}, REPRO_JOB_DONE, "./deit data fetch cifar10 cifar100", "./deit repro t --retrain"},
        {"x",
         {0},
         {.transfer = {[REPRO_CIFAR10] = "c"}},
         REPRO_JOB_DONE,
         "./deit data fetch cifar100",
         "./deit repro t --retrain"},
        {"x", {.scale_named = true}, {0}, REPRO_JOB_DONE, "./deit data fetch cifar100", "./deit repro t --scale desk"},
        {"-", {0}, {0}, REPRO_JOB_DONE, "./deit data fetch cifar100", "./deit repro t"},
        {"-", {0}, {0}, REPRO_JOB_NOT_RUN, "./deit data fetch cifar100", "./deit repro t --retrain"},
        {"-",
         {.results = "my r", .results_named = true},
         {.transfer = {[REPRO_CIFAR100] = "c"}},
         REPRO_JOB_DONE,
         NULL,
         "./deit repro t --results 'my r'"},
        {"-", {.results = "my r"}, {.transfer = {[REPRO_CIFAR100] = "c"}}, REPRO_JOB_DONE, NULL, "./deit repro t"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        repro_table *table;
        repro_book *book = test_todo_book(&table, cases[i].recipe, &cases[i].options, &cases[i].places, cases[i].job);
        if (!book) return;
        const char *fetch = book->fetch_data ? book->fetch_data : "", *want = cases[i].fetch ? cases[i].fetch : "";
        if (strcmp(fetch, want)) TEST_FAIL("case %zu: %s, expected %s", i, fetch, want);
        if (!book->again || strcmp(book->again, cases[i].again))
            TEST_FAIL("case %zu: %s, expected %s", i, book->again ? book->again : "", cases[i].again);
        CHECK_STR_HAS(book->weights_note, " for 1 row (");
        repro_book_free(book), repro_table_free(table);
    }
}

/* Where nothing but trainings is wanted, that is said too. */
TEST(repro_the_command_that_trains_the_rest) {
    repro_table *table;
    base_text text = {0};
    CHECK_OK(repro_table_parse(&table, "repro/t",
                               "title T\nsource S\ncolumn a label A\ncolumn small accuracy S\n"
                               "command desk small=top1: deit eval --json\n| a | small |\n| x | - |\n"));
    repro_book *book = table ? test_repro_book(table) : NULL;
    if (!book) return;
    repro_job job = {.used = true, .state = REPRO_JOB_NOT_RUN};
    repro_state state = {.book = book, .jobs = &job};
    CHECK_OK(repro_add_todos(&state));
    repro_write_text(book, &text);
    CHECK_STR_HAS(text.data, "\nThe command that measures the rest\n  ./deit repro t --retrain\n");
    base_text_free(&text);
    repro_book_free(book), repro_table_free(table);
}

/* The sets that are proposed are those that the manifest has files of. */
TEST(repro_sets_to_fetch_are_the_manifest_s) {
    const repro_data_file *file;
    const char *name;
    for (int i = 0; i < REPRO_TODO_SETS; i++) {
        bool any = false;
        for (int k = 0; (file = repro_data_file_at(k)); k++)
            any |= *file->file && !strcmp(file->name, todo_set(i, &name));
        if (!any) TEST_FAIL("%s cannot be fetched", todo_set(i, &name));
    }
    for (int k = 0; (file = repro_data_file_at(k)); k++) {
        bool any = !*file->file;
        for (int i = 0; i < REPRO_TODO_SETS; i++) any |= !strcmp(file->name, todo_set(i, &name));
        if (!any) TEST_FAIL("%s is never proposed", file->name);
    }
}

/* "here" is explained where something stands under it. */
TEST(repro_legend_of_nothing_measured) {
    for (int measured = 0; measured < 2; measured++) {
        repro_table *table;
        base_text text = {0};
        CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
        repro_book *book = !table ? NULL : measured ? test_repro_measured(table) : test_repro_book(table);
        if (!book) return;
        repro_write_text(book, &text);
        CHECK(!strstr(text.data, " on this machine") == !measured);
        CHECK_STR_HAS(text.data,
                      measured ? "\nhere   parameters counted, the rest measured" : "\nhere   parameters counted\n");
        base_text_free(&text);
        repro_book_free(book), repro_table_free(table);
    }
}
