/* repro: the table's text, commands, budget, comparison and rendering. */

enum { TEST_REPRO_SPEED = 4, TEST_REPRO_IMAGENET, TEST_REPRO_REAL, TEST_REPRO_V2 };
#define TEST_REPRO_COLUMNS                                                                                             \
    "column network label network\ncolumn model attribute\ncolumn params params params\ncolumn image text image\n"     \
    "column images_per_s speed images/s\ncolumn imagenet accuracy ImageNet\ncolumn real accuracy ReaL\n"               \
    "column v2 accuracy V2\n"
#define TEST_REPRO_HEADING                                                                                             \
    "| network | model | params | image | images_per_s | imagenet | real | v2 |\n|---|---|---|---|---|---|---|---|\n"
#define TEST_REPRO_HEAD                                                                                                \
    "title T\nsource S\nrelative A\nsamples 5\nbudget 9\ntolerance speed 10\ntolerance accuracy "                      \
    "0.1\n" TEST_REPRO_COLUMNS TEST_REPRO_HEADING
#define TEST_REPRO_ROW "| A | deit_tiny_patch16_224 | 5M | 224 | 100 | 70 | - | - |\n"

TEST(repro_table_says_which_line_is_wrong) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW));
    if (table) CHECK(table->n == 1 && isnan(table->rows[0].published[TEST_REPRO_REAL]) && table->budget == 9);
    repro_table_free(table);
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD "| A | m | 5M | 224 | 100 |\n"),
                   "repro/t:18: expected 8 columns, found 5");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD "| A | m | 5M | 0 | 100 | 1 | 1 | 1 |\n"),
                   "the image's side, found '0'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD "| A | m | 5M | 224 | fast | 1 | 1 | 1 |\n"),
                   "a number or -, found 'fast'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "colour red\n"), "repro/t:1: 'colour' means nothing here");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "command speed: deit\n"), "no column 'speed'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "column a speed A\n"),
                   "the first column, and only that, is the label");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "column a label A\ncolumn b colour B\n"),
                   "'colour' is no kind");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "column a label A\n| b |\n"),
                   "expected the column 'a', found 'b'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "title x\nsource y\n| \n| \n| \n"),
                   "repro/t:3: a row, and no 'column' before it");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD), "'relative' names no row");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW "claim speed: A > A\n"),
                   "claim 'speed: A > A': no column 'speed'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW "claim imagenet: A\n"),
                   "at least two rows");
    CHECK_FAIL_HAS(
        repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW "claim imagenet: A >= real @ A\n"),
        ">= goes with 'within X'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW "claim imagenet: A > A\n"),
                   "repro/t:19: claim 'imagenet: A > A': 'A' is compared with itself");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW "plot x network y real\n"),
                   "plot 'x network y real': column 'network' has no numbers");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW "plot x imagenet\n"),
                   "plot 'x imagenet': expected x COLUMN and y COLUMN");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW "claim imagenet: A > B\n"),
                   "no row 'B'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "my/t", "seeds 999999999\n"), "my/t:1: expected 1 to 100 seeds");
    CHECK_FAIL_HAS(
        repro_table_parse(&table, "my/t", "column a label A\ncolumn seeds attribute\n| a | seeds |\n| x | 0 |\n"),
        "my/t:4: expected 1 to 100 seeds, found '0'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "my/t", "note desk \n"), "my/t:1: expected 'note [desk] TEXT'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", ""), "repro/t: it lacks a line 'title ...'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "title T\n"), "repro/t: it lacks a line 'source ...'");
    CHECK_FAIL_HAS(repro_table_parse(&table, "repro/t", "title T\nsource S\ncolumn a label A\n"),
                   "repro/t: it lacks rows");
}

TEST(repro_table_survives_the_end_of_memory) {
    for (int n = 1; n < 16; n++) {
        repro_table *table = NULL;
        size_t held = base_memory_held();
        base_fault_after(n);
        base_status status = repro_table_parse(&table, "repro/t", TEST_REPRO_HEAD TEST_REPRO_ROW);
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

TEST(repro_labels_may_have_commas) {
    repro_table *table;
    bool wanted[REPRO_MAX_ROWS];
    CHECK_OK(
        repro_table_parse(&table, "repro/t", "title T\nsource S\ncolumn a label A\n| a |\n| b, c |\n| b |\n| c |\n"));
    if (!table) return;
    CHECK_OK(report_select(table, "b, c,b", wanted));
    CHECK(wanted[0] && wanted[1] && !wanted[2]);
    repro_table_free(table);
}

TEST(repro_commands_are_filled) {
    base_arena arena = {0};
    const char *words[REPRO_MAX_WORDS];
    repro_lacks lacks;
    const repro_name names[] = {{.name = "model", .value = "m"},
                                {.name = "data", .value = "/a b/it's"},
                                {.name = "real", .example = "$HERE/real.json", .why = "real.json is not here"},
                                {.name = "labels", .value = "l.txt", .key = "3 labels"},
                                {.name = "flags", .value = "--lr 0.1 --opt sgd"}};
    const char *text = "deit eval --model {model} --data {data}/val [--real {real}] [--labels {labels}] {flags} --json";
    CHECK_OK(repro_command_fill(text, names, 5, REPRO_FILL_RUN, &arena, words, &lacks));
    CHECK(!strcmp(words[5], "/a b/it's/val") && !strcmp(words[6], "--labels"));
    CHECK(!lacks.needs && lacks.left_out == &names[2]);
    CHECK_STR_HAS(repro_command_line(words, NULL, &arena),
                  "./deit eval --model m --data '/a b/it'\\''s/val' --labels l.txt --lr 0.1 --opt sgd --json");
    CHECK_OK(repro_command_fill("deit eval --real {real}", names, 5, REPRO_FILL_SHOW, &arena, words, &lacks));
    CHECK_STR_HAS(repro_command_line(words, NULL, &arena), "--real '$HERE/real.json'");
    CHECK_OK(repro_command_fill("deit eval --real {real}", names, 5, REPRO_FILL_RUN, &arena, words, &lacks));
    CHECK(lacks.needs == &names[2]);
    CHECK_OK(repro_command_fill("deit eval [--data {data}] --labels {labels} train[:9]", names, 5, REPRO_FILL_KEY,
                                &arena, words, &lacks));
    CHECK_STR_HAS(repro_command_line(words, NULL, &arena), "./deit eval --labels '3 labels' 'train[:9]'");
    CHECK(!lacks.absent);
    const repro_name gone = {.name = "set", .key = "set:9:0a", .why = "the set is not here"};
    CHECK_OK(repro_command_fill("deit eval --data {set}", &gone, 1, REPRO_FILL_KEY, &arena, words, &lacks));
    CHECK(!strcmp(words[3], "set:9:0a") && !lacks.needs && lacks.absent == &gone);
    CHECK_OK(repro_command_fill("deit eval --data {set}", &gone, 1, REPRO_FILL_RUN, &arena, words, &lacks));
    CHECK(lacks.needs == &gone);
    CHECK_OK(repro_command_fill("deit eval {real.path}", names, 5, REPRO_FILL_RUN, &arena, words, &lacks));
    CHECK(lacks.needs == &names[2]);
    CHECK_FAIL_HAS(repro_command_fill("deit eval {model.path}", names, 5, REPRO_FILL_RUN, &arena, words, NULL),
                   "unknown name '{model.path}'");
    CHECK_FAIL_HAS(repro_command_fill("deit eval --real {real}", names, 5, REPRO_FILL_RUN, &arena, words, NULL),
                   "no value for '{real}'");
    CHECK_FAIL_HAS(repro_command_fill("deit eval {what}", names, 5, REPRO_FILL_RUN, &arena, words, NULL),
                   "unknown name '{what}'");
    base_arena_free(&arena);
}

/* ---- The budget -------------------------------------------------------------------------------------------------- */

/* What goes on after a stop is recorded as it would be run from the start. */
TEST(repro_records_do_not_resume) {
    const repro_name names[] = {{"resume", "runs/a", NULL, NULL, NULL}, {"folder", "runs/a", NULL, "run", NULL}};
    const char *words[REPRO_MAX_WORDS], *text = "deit train [--resume {resume}] --output-dir {folder}";
    base_arena arena = {0};
    CHECK_OK(repro_command_fill(text, names, 2, REPRO_FILL_RUN, &arena, words, NULL));
    CHECK(!strcmp(repro_command_line(words, NULL, &arena), "./deit train --resume runs/a --output-dir runs/a"));
    CHECK_OK(repro_command_fill(text, names, 2, REPRO_FILL_RECORD, &arena, words, NULL));
    CHECK(!strcmp(repro_command_line(words, NULL, &arena), "./deit train --output-dir runs/a"));
    base_arena_free(&arena);
}

TEST(repro_commands_with_several_names_in_a_word) {
    const repro_name names[] = {{"net.arch", "vit", NULL, "vit", NULL},
                                {"net", "w.st", NULL, "net-0#1", NULL},
                                {"none", NULL, "FILE", NULL, "not here"}};
    const char *words[REPRO_MAX_WORDS];
    base_arena arena = {0};
    repro_lacks lacks;
    CHECK_OK(repro_command_fill("deit x a={net.arch}:{net} [b:{none}:{net}]", names, 3, REPRO_FILL_RUN, &arena, words,
                                &lacks));
    CHECK(!strcmp(words[2], "a=vit:w.st") && !words[3] && lacks.left_out == &names[2]);
    CHECK_OK(repro_command_fill("deit x a={net.arch}:{net}", names, 3, REPRO_FILL_KEY, &arena, words, NULL));
    CHECK(!strcmp(words[2], "a=vit:net-0#1"));
    CHECK_OK(repro_command_fill("b:{none}:{net}", names, 3, REPRO_FILL_SHOW, &arena, words, &lacks));
    CHECK(!strcmp(words[0], "b:FILE:w.st"));
    CHECK_FAIL_HAS(repro_command_fill("b:{net}:{nett}", names, 3, REPRO_FILL_RUN, &arena, words, NULL), "'{nett}'");
    base_arena_free(&arena);
}

TEST(repro_slow_machine_takes_fewer_samples) {
    repro_state state = {.samples = 5, .budget = 180};
    repro_net *small = base_calloc(1, sizeof *small), *large = base_calloc(1, sizeof *large), *nets[] = {small, large};
    CHECK(small && large);
    if (!small || !large) return;
    small->gflop = 2.5, small->params = 5000000, small->batch = 2;
    large->gflop = 400, large->params = 300000000, large->batch = 1;
    measure_pace unknown = {0}, fast = {300, 1, 0.06, 1e-8}, slow = {18, 1, 1.0, 1e-8}, hopeless = {1, 1, 10, 1e-8};
    double least = -1;
    CHECK_EQ_INT(measure_repeats(&state, &unknown, nets, 2, 0, 0, &least), 3);
    CHECK_EQ_INT(measure_repeats(&state, &fast, nets, 2, 0, 0, &least), 3);
    CHECK(least == measure_cell_seconds);
    CHECK_EQ_INT(measure_repeats(&state, &slow, nets, 2, 0, 0, &least), 2);
    CHECK(least == 0);
    CHECK_EQ_INT(measure_repeats(&state, &hopeless, nets, 2, 0, 1, &least),
                 1); /* each row gets one, whatever it takes */
    large->n = 1, large->rate[0] = 1 / 400.0;
    CHECK_EQ_INT(measure_repeats(&state, &hopeless, nets, 2, 1, 1, &least), 0); /* and no more where the time is up */
    large->rate[0] = 1;
    CHECK_EQ_INT(measure_repeats(&state, &fast, nets, 2, 1, 1, &least), 4); /* what the first round left out */
    base_free(small), base_free(large);
}

TEST(repro_samples_are_small_batches) {
    CHECK_EQ_INT(repro_speed_batch(35.1), 1);
    CHECK_EQ_INT(repro_speed_batch(5.0), 1);
    CHECK_EQ_INT(repro_speed_batch(2.51), 2);
    CHECK_EQ_INT(repro_speed_batch(0.8), 8);
}

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

/* A table with a network that no version will know. */
#define TEST_REPRO_TABLE                                                                                               \
    "title T\nsource S\nrelative DeiT-B\nsamples 5\nbudget 180\ntolerance speed 10\ntolerance accuracy "               \
    "0.1\n" TEST_REPRO_COLUMNS "command images_per_s: deit bench {model} --json\n"                                     \
    "command imagenet=top1: deit eval --model {model} --weights {weights} --data {imagenet} "                          \
    "--json\n" TEST_REPRO_HEADING "| Made-Up | no_such_network | 12M | 224 | 4458.4 | 69.8 | 77.3 | 57.1 |\n"          \
    "| DeiT-B | deit_base_patch16_224 | 86M | 224 | 292.3 | 81.8 | 86.7 | 71.5 |\n"                                    \
    "| DeiT-B⚗ / 1000 epochs | deit_base_distilled_patch16_224 | 87M | 224 | 290.9 | 84.2 | 88.7 | 73.9 |\n"

/* Six samples of a speed around the one given. */
static void test_repro_speed(repro_net *net, double rate) {
    for (net->n = 0; net->n < 6; net->n++) {
        net->rate[net->n] = rate * (1 + 0.02 * (net->n - 2.5)), net->percent[net->n] = 90, net->peak[net->n] = 400;
    }
    net->batch = 1, net->workers = 1, net->threads_per_worker = 2;
    net->rounds = 2, net->end[0] = 3, net->end[1] = 6;
    net->command[0] = net->command[1] = "./deit bench";
    measure_finish(&(repro_state){.samples = 5}, net);
}

static void test_repro_accuracy(repro_result *r, repro_scale scale, int column, const double *values, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += values[i];
    r->cell[scale][column] = (repro_cell){.value = sum / n, .n = n, .values = values, .images = 50000};
}

/* A book of one table in which nothing is measured yet. */
static repro_book *test_repro_book(repro_table *table) {
    repro_book *book = base_calloc(1, sizeof *book);
    if (!book) return NULL;
    repro_state state = {.book = book};
    const repro_options options = {.weights_dir = "/none", .scale = REPRO_DESK};
    CHECK_OK(report_prepare(&state, &table, 1, &options));
    return book;
}

/* A row whose network is missing, a measured row, and a row with an accuracy. */
static repro_book *test_repro_measured(repro_table *table) {
    static const double accuracy[] = {83.37};
    repro_book *book = test_repro_book(table);
    if (!book) return NULL;
    CHECK_EQ_INT(book->n_nets, 2);
    test_repro_speed(&book->nets[0], 10.5);
    measure_fill(book->report[0]);
    test_repro_accuracy(&book->report[0]->rows[2], REPRO_PAPER, TEST_REPRO_IMAGENET, accuracy, 1);
    repro_state state = {.book = book};
    CHECK_OK(repro_plan(&state));
    CHECK_OK(repro_add_todos(&state));
    return book;
}

TEST(repro_report_as_text) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    if (!table) return;
    repro_book *report = test_repro_measured(table);
    CHECK(report != NULL);
    if (!report) return;
    base_text text = {0}, markdown = {0};
    repro_write_text(report, &text);
    const char *rows = text.data ? strstr(text.data, "\nMade-Up") : NULL;
    CHECK(rows && strstr(text.data, "Machine ") < rows && strstr(text.data, "Software ") < rows);
    CHECK_STR_HAS(text.data, "Made-Up                  12M      -    224  4458.4    - ");
    CHECK_STR_HAS(text.data, "DeiT-B                   86M 86.57M    224   292.3 10.5 5.0   1.00  1.00    90   81.8");
    CHECK_STR_HAS(text.data, "83.37~"); /* weights of 300 epochs beside a row of 1000 */
    CHECK_STR_HAS(text.data, "images/s of Made-Up: the network is not in this version");
    CHECK_STR_HAS(text.data, "ImageNet of DeiT-B: the weights are not here");
    CHECK_STR_HAS(text.data, "  ./deit weights fetch deit_base_patch16_224 deit_base_distilled_patch16_224\n"
                             "  ./deit repro t\n");
    repro_write_markdown(report, &markdown);
    CHECK_STR_HAS(markdown.data, "| DeiT-B | 86M | 86.57M | 224 | 292.3 | 10.5 |");
    CHECK_STR_HAS(markdown.data, "| 83.37\\~ |");
    CHECK_STR_HAS(markdown.data, "```sh\n./deit weights fetch ");
    base_text_free(&text), base_text_free(&markdown);
    repro_book_free(report);
    repro_table_free(table);
}

/* What is of the run stands once, however many tables there are. */
TEST(repro_what_is_of_the_run_stands_once) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    repro_book *book = table ? test_repro_measured(table) : NULL;
    CHECK(book != NULL);
    if (!book) return;
    for (int tables = 1; tables <= 2; tables++) {
        base_text text = {0};
        book->n = tables, book->report[tables - 1] = book->report[0];
        CHECK_OK(repro_write_json(book, &text));
        json_t *o = text.data ? json_loads(text.data, 0, NULL) : NULL;
        json_t *inside = json_object_get(o, "tables"), *todo = json_object_get(o, "commands_for_the_rest");
        CHECK_EQ_INT(json_array_size(inside), tables == 1 ? 0 : 2);
        CHECK_EQ_INT(json_array_size(todo), book->n_todo);
        CHECK(book->n_todo > 0 && json_object_get(o, "conditions") && json_object_get(o, "seconds"));
        json_t *report = tables == 1 ? o : json_array_get(inside, 1);
        CHECK_EQ_INT(json_array_size(json_object_get(report, "rows")), table->n);
        static const char *const once[] = {"commands_for_the_rest", "conditions", "cells", "seconds"};
        for (int k = 0; k < 4; k++) CHECK((json_object_get(report, once[k]) != NULL) == (tables == 1));
        json_decref(o);
        base_text_free(&text);
    }
    book->n = 1;
    repro_book_free(book);
    repro_table_free(table);
}

/* A network with fewer samples than the table asks for is marked, and the mark explained; others are not. */
TEST(repro_fewer_samples_are_said) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    if (!table) return;
    repro_book *report = test_repro_measured(table);
    CHECK(report != NULL);
    if (!report) return;
    for (int asked = 6; asked <= 7; asked++) { /* six were taken */
        base_text text = {0}, markdown = {0};
        table->samples = asked;
        measure_finish(&(repro_state){.samples = asked}, &report->nets[0]);
        repro_write_text(report, &text), repro_write_markdown(report, &markdown);
        if (asked == 6) {
            CHECK(!strchr(text.data, '!') && !strchr(markdown.data, '!'));
        } else {
            CHECK_STR_HAS(text.data, " 10.5 5.0!   1.00  1.00    90 ");
            CHECK_STR_HAS(text.data, "\n!      fewer than 7 samples, to end within 3 minutes: this machine is slow for "
                                     "the network\n");
            CHECK_STR_HAS(markdown.data, "| 10.5 | 5.0! | 1.00 | 1.00 | 90 |");
            CHECK_STR_HAS(markdown.data, "fewer than 7 samples, to end within 3 minutes");
        }
        base_text_free(&text), base_text_free(&markdown);
    }
    repro_book_free(report);
    repro_table_free(table);
}

/* What can be fetched at once is named where a command wants it and it is not here, with its folder where that was
 * named; no command has a name that the shell may not know. */
TEST(repro_todo_names_sets_to_fetch) {
    static const char real[] = "imagenet=top1 real: deit eval --weights {weights} --data {imagenet} [--real {real}]";
    char text[2048];
    snprintf(text, sizeof text, "%s", TEST_REPRO_TABLE);
    char *line = strstr(text, "imagenet=top1: deit eval"), *end = line ? strchr(line, '\n') : NULL;
    CHECK(end != NULL);
    if (!end) return;
    char rest[2048];
    snprintf(rest, sizeof rest, "%s", end);
    snprintf(line, sizeof text - (size_t)(line - text), "%s%s", real, rest);
    for (int named = 0; named < 3; named++) {
        repro_table *table;
        CHECK_OK(repro_table_parse(&table, "repro/t", text));
        repro_book *book = table ? test_repro_book(table) : NULL;
        if (!book) return;
        repro_state state = {.book = book, .places = {.folder = named ? "my sets" : NULL}};
        if (named == 2) state.places.real = "my sets/real.json";
        book->options.data_named = named, book->options.data = named ? "my sets" : NULL;
        book->options.data_folder = "store";
        CHECK_OK(repro_plan(&state));
        CHECK_OK(repro_add_todos(&state));
        CHECK(!book->fetch_data == (named == 2));
        if (named < 2)
            CHECK(!strcmp(book->fetch_data,
                          named ? "./deit data fetch real --data-dir 'my sets'" : "./deit data fetch real"));
        CHECK(!strcmp(book->again, named ? "./deit repro t --data 'my sets'" : "./deit repro t"));
        int fetched = 0, evaluated = 0;
        for (int i = 0; i < book->n_todo; i++) {
            const char *command = book->todo[i].command;
            CHECK(!strchr(command, '$'));
            fetched += strstr(command, "data fetch") != NULL;
            if (!strstr(command, "eval")) continue;
            CHECK(fetched || named == 2); /* before it is read */
            evaluated++;
            CHECK_STR_HAS(command, named ? "--data 'my sets/imagenet/val'" : "--data store/imagenet/val");
        }
        CHECK(fetched == (named < 2) && evaluated == 2);
        repro_book_free(book), repro_table_free(table);
    }
}

/* Remarks stand below the table in every dress, those of small networks only where their values do. */
TEST(repro_notes) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", "note of <all>\nnote desk of small ones\n" TEST_REPRO_TABLE));
    if (!table) return;
    for (int desk = 0; desk < 2; desk++) {
        base_text text = {0}, markdown = {0}, html = {0}, json = {0};
        repro_book *report = test_repro_measured(table);
        report->options.scale = desk ? REPRO_DESK : REPRO_PAPER;
        repro_write_text(report, &text), repro_write_markdown(report, &markdown), repro_write_html(report, &html);
        CHECK_OK(repro_write_json(report, &json));
        CHECK_STR_HAS(text.data, "\nnote   of <all>\n");
        CHECK_STR_HAS(markdown.data, "- **note** of &lt;all>\n");
        CHECK_STR_HAS(html.data, "<dt>note</dt><dd>of &lt;all&gt;</dd>");
        CHECK_STR_HAS(json.data, desk ? "\"of <all>\",\n  \"of small ones\"" : "\"of <all>\"\n");
        CHECK(desk == (strstr(text.data, "\nnote   of small ones\n") != NULL));
        base_text_free(&text), base_text_free(&markdown), base_text_free(&html), base_text_free(&json);
        repro_book_free(report);
    }
    repro_table_free(table);
}

TEST(repro_report_as_json) {
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    if (!table) return;
    repro_book *report = test_repro_measured(table);
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
    CHECK_EQ_INT(json_array_size(json_object_get(measured, "samples_images_per_s")), 6);
    CHECK(json_number_value(json_array_get(json_object_get(measured, "samples_images_per_s"), 5)) == 10.5 * 1.05);
    CHECK(json_number_value(json_array_get(json_object_get(measured, "samples_peak_gflops"), 5)) == 400);
    CHECK(json_is_null(json_object_get(measured, "imagenet")));
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
    repro_book_free(report);
    repro_table_free(table);
}

TEST(repro_cost_of_what_a_command_says) {
    const char *const train[] = {"deit",
                                 "train",
                                 "--recipe",
                                 "deit",
                                 "--model",
                                 "deit_tiny_patch16_224",
                                 "--epochs",
                                 "7",
                                 "--no-repeated-aug",
                                 "--distillation-type",
                                 "hard",
                                 "--data-path",
                                 "x",
                                 "--json",
                                 NULL};
    const char *const eval[] = {
        "deit",    "eval", "--model", "vit", "--input-size", "28", "--patch", "4", "--dim", "64", "--depth", "4",
        "--heads", "2",    "--image", "56",  "--classes",    "10", "--data",  "y", NULL};
    cost_words said = {0};
    cost_pass pass;
    CHECK_OK(cost_read(&said, train));
    CHECK(said.options.epochs == 7 && !said.options.repeated_aug && !strcmp(said.options.data_path, "x"));
    CHECK_OK(cost_network(&said, false, 1000, &pass));
    CHECK(fabs(pass.gflop - 2.5) < 0.05);                                           /* RECIPE: 1.3 G multiply-adds */
    CHECK(pass.training < 3 * pass.gflop / 0.8 && pass.forward < pass.gflop / 0.9); /* as fast as RESULTS says */
    CHECK_OK(cost_network(&said, true, 1000, &pass));
    CHECK(fabs(pass.gflop - 31.9) < 0.5); /* RegNetY-16GF */
    train_options_free(&said.options);
    said = (cost_words){0};
    CHECK_OK(cost_read(&said, eval));
    CHECK_OK(cost_network(&said, false, 10, &pass));
    /* 197 tokens: 4 blocks of 12 dim^2 products and two of tokens^2 dim each; the patches */
    CHECK(fabs(pass.gflop - (4 * (197 * 12. * 64 * 64 + 2 * 197. * 197 * 64) + 196 * 48. * 64) * 2e-9) < 1e-5);
    CHECK_OK(cost_network(&said, true, 10, &pass));
    CHECK(pass.gflop == 0); /* no distillation, no teacher */
    train_options_free(&said.options);
    CHECK(cost_part(60000, 10, "train") == 60000 && cost_part(60000, 10, "train:0-4") == 30000);
    CHECK(cost_part(60000, 10, "train:0-4[:5000]") == 5000 && cost_part(10000, 10, NULL) == 10000);
    const repro_data_file *file; /* what unpacking takes is of pictures that are packed */
    for (int i = 0; (file = repro_data_file_at(i)); i++) {
        if (!strcmp(file->name, "imagenet")) CHECK(cost_picture(file, true) > cost_picture(file, false));
        CHECK((cost_picture(file, false) > 0) == !strstr("fashion-mnist cifar10 cifar100", file->name));
    }
}

/* Every family has a share of its own, and networks of small pictures a lower one. */
TEST(repro_shares_of_the_peak) {
    for (int i = 0; i < model_count(); i++) {
        model_config config = *model_at(i);
        double forward = repro_share(&config, false), training = repro_share(&config, true);
        bool efficient = strstr(config.name, "efficientnet") != NULL;
        if (config.image > 32) CHECK(efficient ? forward == 0.65 && training < 0.4 : forward >= 0.95 && training > 0.7);
        config.image = 28;
        CHECK(repro_share(&config, false) == 0.6 && repro_share(&config, true) == 0.3);
    }
}

/* Compares the report with itself after row 1's measured object of the baseline got another value, and other samples:
 * shares of the peak from `least` to `most`. */
static base_status test_repro_compare(repro_table *table, const char *key, double value, double least, double most,
                                      base_text *out) {
    repro_book *report = test_repro_measured(table);
    json_t *now = repro_report_json(report->report[0]), *before = json_deep_copy(now);
    json_t *measured = json_object_get(json_array_get(json_object_get(before, "rows"), 1), "measured");
    json_object_set_new(measured, "percent_of_peak_min", json_real(least));
    json_object_set_new(measured, "percent_of_peak_max", json_real(most));
    if (key) json_object_set_new(measured, key, json_real(value));
    base_status status = repro_compare(table, now, before, "base.json", out);
    json_decref(before), json_decref(now);
    repro_book_free(report);
    return status;
}

TEST(repro_baseline) {
    repro_table *table;
    base_text out = {0};
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    if (!table) return;
    CHECK_OK(test_repro_compare(table, NULL, 0, 90, 90, &out));
    CHECK_STR_HAS(out.data, "2 values compared, 0 moved");
    CHECK_OK(test_repro_compare(table, "percent_of_peak", 85, 85, 85, &out));   /* of 90: within 10% */
    CHECK_OK(test_repro_compare(table, "images_per_s", 21, 90, 90, &out));      /* a slower clock is no regression */
    CHECK_OK(test_repro_compare(table, "percent_of_peak", 180, 90, 190, &out)); /* what is measured now was among it */
    CHECK_OK(test_repro_compare(table, "percent_of_peak", 45, 40, 90, &out));
    CHECK_EQ_INT(test_repro_compare(table, "percent_of_peak", 180, 91, 190, &out), BASE_TOLERANCE);
    CHECK_STR_HAS(out.data, "-50.0% (tolerance 10%)");
    CHECK_EQ_INT(test_repro_compare(table, "percent_of_peak", 45, 40, 89, &out), BASE_TOLERANCE);
    CHECK_STR_HAS(out.data, "+100.0% (tolerance 10%)");
    CHECK_EQ_INT(test_repro_compare(table, "imagenet", 71.5, 90, 90, &out), BASE_TOLERANCE); /* then, not now */
    CHECK_STR_HAS(out.data, "0 moved further than the tolerance; 1 of the baseline were not measured now");
    base_text_free(&out);
    json_t *nothing = json_object();
    CHECK_FAIL_HAS(repro_compare(table, nothing, nothing, "b.json", &out), "b.json: has no measured value in common");
    json_decref(nothing);
    base_text_free(&out);
    repro_table_free(table);
}

/* Of small networks no image may differ. */
TEST(repro_baseline_of_small_networks) {
    static const char row[] = "{\"rows\": [{\"network\": \"DeiT-B\", \"desk\": {\"imagenet\": {\"mean\": 90, "
                              "\"values\": [%s], \"images\": 10000}}}]}";
    static const struct {
        const char *values, *said;
        base_status status;
    } cases[] = {{"90.12, 89.9", "2 values compared, 0 moved", BASE_OK},
                 {"90.120000001, 89.9", "2 values compared, 0 moved", BASE_OK},
                 {"90.12, 89.91", "imagenet, seed 1", BASE_TOLERANCE},
                 {"90.12", "1 of the baseline were not measured now", BASE_TOLERANCE}};
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    if (!table) return;
    for (int i = 0; i < 4; i++) {
        char text[256];
        base_text out = {0};
        snprintf(text, sizeof text, row, "90.12, 89.9");
        json_t *before = json_loads(text, 0, NULL);
        snprintf(text, sizeof text, row, cases[i].values);
        json_t *now = json_loads(text, 0, NULL);
        CHECK_EQ_INT(repro_compare(table, now, before, "b.json", &out), cases[i].status);
        CHECK_STR_HAS(out.data, cases[i].said);
        base_text_free(&out);
        json_decref(before), json_decref(now);
    }
    repro_table_free(table);
}

/* Shares of the peak of another processor, or of fewer of its cores, are no regression; accuracies are compared all the
 * same. */
TEST(repro_baseline_of_another_processor) {
    static const char row[] =
        "{\"conditions\": {\"isa\": \"%s\", \"cpu\": \"%s\", \"threads\": %d}, \"rows\": "
        "[{\"network\": \"DeiT-B\", \"measured\": {\"percent_of_peak\": %d, \"imagenet\": 81.8}}]}";
    static const struct {
        const char *isa, *cpu;
        int threads;
        const char *said;
    } cases[] = {
        {"avx2", "A", 2, "2 values compared, 1 moved"},
        {"avx512_core", "A", 2, "speeds are not compared: they are of another isa\n1 values compared, 0 moved"},
        {"avx2", "B", 2, "speeds are not compared: they are of another cpu\n1 values compared, 0 moved"},
        {"avx2", "A", 1, "speeds are not compared: they are of another number of threads\n1 values compared, 0 moved"}};
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    for (int i = 0; table && i < 4; i++) {
        char text[256];
        base_text out = {0};
        snprintf(text, sizeof text, row, "avx2", "A", 2, 90);
        json_t *before = json_loads(text, 0, NULL);
        snprintf(text, sizeof text, row, cases[i].isa, cases[i].cpu, cases[i].threads, 50);
        json_t *now = json_loads(text, 0, NULL);
        CHECK_EQ_INT(repro_compare(table, now, before, "b.json", &out), i ? BASE_OK : BASE_TOLERANCE);
        CHECK_STR_HAS(out.data, cases[i].said);
        base_text_free(&out);
        json_decref(before), json_decref(now);
    }
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

TEST(repro_baseline_of_accuracies) {
    repro_table *table;
    base_text out = {0};
    CHECK_OK(repro_table_parse(&table, "repro/t", TEST_REPRO_TABLE));
    repro_book *report = test_repro_measured(table);
    json_t *now = repro_report_json(report->report[0]), *before = json_deep_copy(now);
    json_t *measured = json_object_get(json_array_get(json_object_get(before, "rows"), 2), "measured");
    json_object_set_new(measured, "imagenet", json_real(83.37 + 0.05));
    CHECK_OK(repro_compare(table, now, before, "b", &out));
    json_object_set_new(measured, "imagenet", json_real(83.37 + 0.2));
    CHECK_EQ_INT(repro_compare(table, now, before, "b", &out), BASE_TOLERANCE);
    CHECK_STR_HAS(out.data, "-0.20 points (tolerance 0.1)");
    json_decref(before), json_decref(now);
    base_text_free(&out);
    repro_book_free(report);
    repro_table_free(table);
}
