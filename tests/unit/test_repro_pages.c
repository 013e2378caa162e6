/* repro: claims, web pages and plots. */

/* Two rows with accuracies of three seeds each, apart by `gap` points; a third without. */
#define TEST_PAGES_TABLE                                                                                               \
    "title A title\nsource S\nsamples 5\nbudget 180\ntolerance speed 10\ncolumn network label network\n"               \
    "column family attribute\ncolumn model attribute\ncolumn images_per_s speed images/s\n"                            \
    "column top1 accuracy top-1\ncommand desk top1: deit eval --json\ncommand images_per_s: deit bench {model} "       \
    "--json\nplot x images_per_s log y top1 series family\n"                                                           \
    "claim desk top1: A > B\nclaim desk top1 within 0.5: B >= A -- about as good\nclaim desk top1: A > C\n"            \
    "claim desk top1: A > B > C\nclaim images_per_s: A > B\n"                                                          \
    "| network | family | model | images_per_s | top1 |\n|---|---|---|---|---|\n"                                      \
    "| A | one | deit_tiny_patch16_224 | 200 | 80 |\n| B | <two> & | deit_small_patch16_224 | 100 | 70 |\n"            \
    "| C | one | deit_base_patch16_224 | 50 | 60.5 |\n"

static repro_book *test_pages_book(repro_table **table, double gap) {
    static double a[3], b[3];
    CHECK_OK(repro_table_parse(table, "repro/t", TEST_PAGES_TABLE));
    repro_book *book = *table ? test_repro_book(*table) : NULL;
    if (!book) return NULL;
    for (int i = 0; i < 3; i++) a[i] = 80 + 0.1 * (i - 1), b[i] = 80 - gap + 0.1 * (i - 1);
    test_repro_accuracy(&book->report[0]->rows[0], REPRO_DESK, 4, a, 3);
    test_repro_accuracy(&book->report[0]->rows[1], REPRO_DESK, 4, b, 3);
    book->report[0]->rows[2].cell[REPRO_DESK][4].why = "not run";
    return book;
}

static repro_judgement test_pages_judge(double gap, int claim) {
    repro_table *table;
    repro_judgement j = {0};
    repro_book *book = test_pages_book(&table, gap);
    if (book) j = repro_judge(book->report[0], &table->claims[claim]);
    repro_book_free(book), repro_table_free(table);
    return j;
}

/* The deviation of each cell is 0.1, pooled over 4 degrees of freedom: t = 2.776, so +-2.776 x 0.1 x sqrt(2 / 3). */
TEST(repro_claims_have_intervals) {
    const double half = 2.776 * 0.1 * sqrt(2.0 / 3);
    repro_judgement j = test_pages_judge(1, 0);
    CHECK_EQ_INT(j.verdict, REPRO_HOLDS);
    CHECK(fabs(j.difference - 1) < 1e-9 && fabs(j.low - (1 - half)) < 1e-9 && fabs(j.high - (1 + half)) < 1e-9);
    CHECK(j.n_greater == 3 && j.n_less == 3);
    CHECK_EQ_INT(test_pages_judge(0.2, 0).verdict, REPRO_UNDECIDED);
    CHECK_EQ_INT(test_pages_judge(-0.2, 0).verdict, REPRO_UNDECIDED);
    CHECK_EQ_INT(test_pages_judge(-1, 0).verdict, REPRO_FAILS);
    /* B >= A within half a point */
    CHECK_EQ_INT(test_pages_judge(0.2, 1).verdict, REPRO_HOLDS);
    CHECK_EQ_INT(test_pages_judge(0.5, 1).verdict, REPRO_UNDECIDED);
    CHECK_EQ_INT(test_pages_judge(1, 1).verdict, REPRO_FAILS);
    /* a cell that is not measured says why; a pair that fails decides all the same */
    j = test_pages_judge(1, 2);
    CHECK_EQ_INT(j.verdict, REPRO_UNKNOWN);
    CHECK_STR_HAS(j.missing, "not run");
    CHECK_EQ_INT(test_pages_judge(1, 3).verdict, REPRO_UNKNOWN);
    CHECK_EQ_INT(test_pages_judge(-1, 3).verdict, REPRO_FAILS);
    CHECK_EQ_INT(test_pages_judge(1, 4).verdict, REPRO_UNKNOWN);
}

/* Of a value that was read from a network: training 0 to 5, by one of the seeds. */
static repro_origin test_pages_origin(int seed, int training) {
    static const char *const names[] = {"0", "1", "2", "3", "4", "5"};
    return (repro_origin){.seed = seed, .id = "r", .command = "./deit eval", .trained = {names[training]}};
}

/* One training a cell is one draw: however far apart, another seed might turn them round. */
TEST(repro_claims_of_one_seed_are_undecided) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 30);
    if (!book) return;
    for (int i = 0; i < 2; i++) book->report[0]->rows[i].cell[REPRO_DESK][4].n = 1;
    repro_judgement j = repro_judge(book->report[0], &table->claims[0]);
    CHECK_EQ_INT(j.verdict, REPRO_UNDECIDED);
    CHECK(fabs(j.difference - 30) < 1e-9 && isnan(j.low) && isnan(j.high));
    test_repro_speed(&book->nets[0], 210), test_repro_speed(&book->nets[1], 105);
    book->nets[0].n = book->nets[1].n = book->nets[0].rounds = book->nets[1].rounds = 1;
    measure_fill(book->report[0]);
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[4]).verdict, REPRO_UNDECIDED);
    repro_book_free(book), repro_table_free(table);
}

/* Two heads of the same networks: seeds 0 to 2 apart by 0.2, 0.3 and 0.25 points whatever the networks, so t = 4.303
 * with two degrees of freedom, and a deviation of 0.05. */
TEST(repro_claims_of_the_same_networks_are_paired) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    static const double a[3] = {80, 83, 77}, b[3] = {79.8, 82.7, 76.75};
    repro_origin of[2][3] = {{{0}}};
    for (int k = 0; k < 6; k++) of[k / 3][k % 3] = test_pages_origin(k % 3, k % 3);
    repro_result *rows = book->report[0]->rows;
    test_repro_accuracy(&rows[0], REPRO_DESK, 4, a, 3), test_repro_accuracy(&rows[1], REPRO_DESK, 4, b, 3);
    rows[0].cell[REPRO_DESK][4].origins = of[0], rows[1].cell[REPRO_DESK][4].origins = of[1];
    for (int i = 0; i < 3; i++) of[1][i].trained[1] = of[1][i].trained[0], of[1][i].trained[0] = "teacher";
    repro_judgement j = repro_judge(book->report[0], &table->claims[0]);
    const double half = 4.303 * 0.05 / sqrt(3);
    CHECK(j.paired && j.verdict == REPRO_HOLDS);
    CHECK(fabs(j.low - (0.25 - half)) < 1e-9 && fabs(j.high - (0.25 + half)) < 1e-9);
    base_text text = {0};
    repro_write_markdown(book, &text);
    CHECK_STR_HAS(text.data, "95% from +0.13 to +0.37; 3 pairs");
    base_text_free(&text);
    of[1][2].trained[1] = "another"; /* one training is not in both: no pairs */
    j = repro_judge(book->report[0], &table->claims[0]);
    CHECK(!j.paired && j.verdict == REPRO_UNDECIDED);
    of[1][2].trained[1] = "2", of[1][2].seed = 3;
    CHECK(!repro_judge(book->report[0], &table->claims[0]).paired);
    rows[1].cell[REPRO_DESK][4].n = 2; /* a seed that failed: the other two are pairs all the same */
    j = repro_judge(book->report[0], &table->claims[0]);
    CHECK(j.paired && j.n_greater == 2 && fabs(j.difference - 0.25) < 1e-9);
    for (int i = 0; i < 2; i++) rows[i].cell[REPRO_DESK][4].origins = NULL;
    repro_book_free(book), repro_table_free(table);
}

/* A matrix of disagreements holds each pair twice: its values count once, and the interval is as wide as without. */
TEST(repro_claims_count_a_pair_once) {
    static double twin[3];
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    const double half = 2.776 * 0.1 * sqrt(2.0 / 3);
    repro_result *rows = book->report[0]->rows;
    memcpy(twin, rows[1].cell[REPRO_DESK][4].values, sizeof twin);
    test_repro_accuracy(&rows[2], REPRO_DESK, 4, twin, 3);
    repro_judgement j = repro_judge(book->report[0], &table->claims[0]);
    CHECK(fabs(j.high - j.low - 2 * half) < 1e-9);
    twin[0] += 0.01; /* another cell now, so six degrees of freedom */
    j = repro_judge(book->report[0], &table->claims[0]);
    CHECK(fabs(j.high - j.low - 2 * half) > 1e-3);
    repro_book_free(book), repro_table_free(table);
}

/* Between a column of deviation 0.1 and one of `deviation`, four degrees of freedom each; t: of Welch and
 * Satterthwaite's. */
static void test_pages_between_columns(double deviation, double t) {
    static const char text[] = "title T\nsource S\nseeds 3\ncolumn network label network\ncolumn calm accuracy c\n"
                               "column wild accuracy w\ncommand desk calm wild: deit eval --json\n"
                               "claim desk calm: A > wild @ A\nclaim desk calm: A > B\n"
                               "| network | calm | wild |\n|---|---|---|\n| A | 90 | 80 |\n| B | 80 | 70 |\n";
    static double calm[2][3], wild[2][3];
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", text));
    repro_book *book = table ? test_repro_book(table) : NULL;
    if (!book) return;
    for (int i = 0; i < 6; i++) {
        calm[i / 3][i % 3] = 90 - 10 * (i / 3) + 0.1 * (i % 3 - 1);
        wild[i / 3][i % 3] = 80 - 10 * (i / 3) + deviation * (i % 3 - 1);
    }
    for (int i = 0; i < 2; i++) {
        test_repro_accuracy(&book->report[0]->rows[i], REPRO_DESK, 1, calm[i], 3);
        test_repro_accuracy(&book->report[0]->rows[i], REPRO_DESK, 2, wild[i], 3);
    }
    repro_judgement between = repro_judge(book->report[0], &table->claims[0]),
                    within = repro_judge(book->report[0], &table->claims[1]);
    CHECK(fabs(between.high - between.low - 2 * t * sqrt(0.01 / 3 + deviation * deviation / 3)) < 1e-9);
    CHECK(fabs(within.high - within.low - 2 * 2.776 * 0.1 * sqrt(2.0 / 3)) < 1e-9);
    repro_book_free(book), repro_table_free(table);
}

TEST(repro_claims_between_columns) {
    test_pages_between_columns(1, 2.776);   /* 4.08 degrees */
    test_pages_between_columns(0.2, 2.571); /* 5.88: rounded down */
}

TEST(repro_quantiles_of_t) {
    CHECK(claim_t(1) == 12.706 && claim_t(10) == 2.228);
    CHECK(fabs(claim_t(12) - 2.1788) < 2e-4);
    CHECK(fabs(claim_t(30) - 2.0423) < 1e-4);
    CHECK(fabs(claim_t(1000) - 1.9623) < 1e-4);
}

/* Of two rows of the same networks (heads of theirs) only one counts in the degrees of freedom; both do in the
 * variance. A third cell, of others: 2 + 2 degrees, t = 2.776. */
TEST(repro_claims_count_networks_once) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    static const double heads[2][3] = {{80, 80.1, 79.9}, {78.8, 79, 79.2}}, other[3] = {60, 60.3, 59.7};
    repro_origin of[2][3] = {{{0}}};
    for (int k = 0; k < 6; k++) of[k / 3][k % 3] = test_pages_origin(k % 3, k);
    repro_result *rows = book->report[0]->rows;
    for (int i = 0; i < 3; i++) test_repro_accuracy(&rows[i], REPRO_DESK, 4, i < 2 ? heads[i] : other, 3);
    rows[0].cell[REPRO_DESK][4].origins = of[0], rows[1].cell[REPRO_DESK][4].origins = of[0];
    rows[2].cell[REPRO_DESK][4].origins = of[1];
    const repro_judgement j = repro_judge(book->report[0], &table->claims[2]);
    double variance = (0.02 + 0.08 + 0.18) / 6;
    CHECK(!j.paired && fabs(j.high - j.low - 2 * 2.776 * sqrt(variance * 2 / 3)) < 1e-9);
    for (int i = 0; i < 3; i++) rows[i].cell[REPRO_DESK][4].origins = NULL;
    repro_book_free(book), repro_table_free(table);
}

/* Where one command makes all cells of a seed, as of Table 4, the first is of nothing but zeros: it is not pooled, and
 * the others still vary. */
TEST(repro_claims_count_no_cell_without_variance) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    static const double zeros[3] = {0, 0, 0}, values[3] = {80, 80.1, 79.9};
    repro_origin of[3] = {{0}};
    for (int k = 0; k < 3; k++) of[k] = test_pages_origin(k, k);
    repro_result *rows = book->report[0]->rows;
    test_repro_accuracy(&rows[0], REPRO_DESK, 4, zeros, 3), test_repro_accuracy(&rows[1], REPRO_DESK, 4, values, 3);
    for (int i = 0; i < 2; i++) rows[i].cell[REPRO_DESK][4].origins = of;
    double half = repro_interval(book->report[0], REPRO_DESK, 4, &rows[1].cell[REPRO_DESK][4]);
    CHECK(fabs(half - 4.303 * 0.1 / sqrt(3)) < 1e-9);
    for (int i = 0; i < 2; i++) rows[i].cell[REPRO_DESK][4].origins = NULL;
    repro_book_free(book), repro_table_free(table);
}

/* The paper's networks: a public file that was trained otherwise says nothing of the paper's, and one training is one
 * draw; two given files have an accuracy each. */
TEST(repro_claims_are_of_the_papers_networks) {
    static const char text[] =
        "title T\nsource S\ncolumn network label network\ncolumn model attribute\n"
        "column top1 accuracy top-1\ncommand top1: deit eval --model {model} --data {imagenet} --json\n"
        "claim top1: A > B -- A is better\n| network | model | top1 |\n|---|---|---|\n"
        "| A | deit_tiny_patch16_224 | 80 |\n| B | deit_small_patch16_224 | 70 |\n";
    static const double a = 80.5, b = 80;
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", text));
    repro_book *book = table ? test_repro_book(table) : NULL;
    if (!book) return;
    repro_result *rows = book->report[0]->rows;
    repro_origin of[] = {{.command = "./deit eval", .id = "a"}, {.command = "./deit eval", .id = "b"}};
    for (int i = 0; i < 2; i++) {
        test_repro_accuracy(&rows[i], REPRO_PAPER, 2, i ? &b : &a, 1);
        rows[i].cell[REPRO_PAPER][2].origins = &of[i], rows[i].weights = NULL;
    }
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[0]).verdict, REPRO_HOLDS);
    of[1].drawn = true;
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[0]).verdict, REPRO_UNDECIDED);
    of[1].drawn = false;
    rows[0].weights = repro_weights_find("deit_tiny_patch16_224"), rows[0].same = false;
    const repro_judgement j = repro_judge(book->report[0], &table->claims[0]);
    CHECK(j.verdict == REPRO_UNKNOWN && j.otherwise);
    base_text page = {0};
    repro_write_markdown(book, &page);
    CHECK_STR_HAS(page.data, "A is better: A > B (weights trained otherwise than the row's");
    base_text_free(&page);
    of[0].drawn = true; /* the row's own training, which stands for the nearest file */
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[0]).verdict, REPRO_UNDECIDED);
    of[0].drawn = false;
    /* the file of that name is another one, or not all pictures were looked at */
    rows[0].same = true;
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[0]).verdict, REPRO_HOLDS);
    rows[0].cell[REPRO_PAPER][2].sha256 = "00000000000000000000000000000000000000000000000000000000000000000";
    CHECK(repro_judge(book->report[0], &table->claims[0]).otherwise);
    rows[0].cell[REPRO_PAPER][2].sha256 = NULL, rows[0].cell[REPRO_PAPER][2].images = 50000;
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[0]).verdict, REPRO_HOLDS);
    rows[0].cell[REPRO_PAPER][2].images = 100;
    const repro_judgement part = repro_judge(book->report[0], &table->claims[0]);
    CHECK(part.verdict == REPRO_UNKNOWN && part.otherwise);
    CHECK_STR_HAS(part.missing, "a part of the pictures");
    for (int i = 0; i < 2; i++) rows[i].cell[REPRO_PAPER][2].origins = NULL;
    repro_book_free(book), repro_table_free(table);
}

/* Parameters are counted: no interval, and no seeds. */
TEST(repro_claims_of_parameters) {
    static const char text[] =
        "title T\nsource S\ncolumn network label network\ncolumn model attribute\ncolumn params params params\n"
        "claim params: A > B -- A is larger\nclaim params: B > A\n| network | model | params |\n|---|---|---|\n"
        "| A | deit_small_patch16_224 | 22M |\n| B | deit_tiny_patch16_224 | 6M |\n";
    repro_table *table;
    CHECK_OK(repro_table_parse(&table, "repro/t", text));
    repro_book *book = table ? test_repro_book(table) : NULL;
    if (!book) return;
    repro_result *rows = book->report[0]->rows;
    rows[1].known = false; /* no such network in this version */
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[0]).verdict, REPRO_UNKNOWN);
    for (int i = 0; i < 2; i++) rows[i].known = true, rows[i].params = i ? 5717416 : 22050664;
    CHECK_EQ_INT(repro_judge(book->report[0], &table->claims[1]).verdict, REPRO_FAILS);
    base_text page = {0};
    repro_write_markdown(book, &page);
    CHECK_STR_HAS(page.data, "- **holds** params: A is larger: A > B (+16.33M, counted)\n");
    base_text_free(&page);
    repro_book_free(book), repro_table_free(table);
}

/* An end of the interval that is not zero is not shown as zero: whether the claim holds hangs on it. */
TEST(repro_claims_show_what_decides) {
    const repro_judgement clear = {.low = -0.2, .high = 5.32}, near = {.low = -0.0021, .high = 5.32},
                          none = {.low = NAN, .high = NAN};
    CHECK_EQ_INT(render_digits(&clear, NAN, 2), 2);
    CHECK_EQ_INT(render_digits(&near, NAN, 2), 3);
    CHECK_EQ_INT(render_digits(&none, NAN, 2), 2);
    CHECK_EQ_INT(render_digits(&clear, 0.201, 2), 3); /* -0.2, held against -0.201 */
}

/* Ratios of speeds: 105 over 10.5 is +900%, however large the numbers. A round is a draw: medians of 0.97 and 1.03 of
 * one network, 1.03 and 0.97 of the other. That both were slower in one of them would be no part of the variance. */
TEST(repro_claims_on_speeds_are_ratios) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    test_repro_speed(&book->nets[0], 105), test_repro_speed(&book->nets[1], 10.5);
    measure_fill(book->report[0]);
    repro_judgement j = repro_judge(book->report[0], &table->claims[4]);
    CHECK(j.rounds && fabs(j.low - 900) < 1e-6 && fabs(j.high - 900) < 1e-6);
    book->nets[1].round[0] = 10.5 * 1.03, book->nets[1].round[1] = 10.5 * 0.97;
    j = repro_judge(book->report[0], &table->claims[4]);
    CHECK_EQ_INT(j.verdict, REPRO_HOLDS);
    const double half = 12.706 * fabs(log(0.97 / 1.03)); /* one degree of freedom, two rounds each */
    CHECK(j.rounds && j.n_greater == 2 && j.n_less == 2 && fabs(j.difference - 900) < 1e-6);
    CHECK(fabs(j.low - 100 * (10 * exp(-half) - 1)) < 1e-6 && fabs(j.high - 100 * (10 * exp(half) - 1)) < 1e-6);
    repro_book_free(book), repro_table_free(table);
}

/* ---- Pages ------------------------------------------------------------------------------------------------------- */

/* Every tag that is opened is closed, in order. */
static void test_pages_nested(const char *text) {
    static const char *const empty[] = {"meta", "path", "!DOCTYPE", NULL};
    char stack[64][16], name[16];
    int depth = 0;
    for (const char *at = text; (at = strchr(at, '<')); at++) {
        bool close = at[1] == '/';
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at + 1 + close, " >/\n"), at + 1 + close);
        bool alone = false;
        for (int i = 0; empty[i]; i++) alone |= !strcmp(name, empty[i]);
        if (alone) continue;
        if (!close && depth < 63) {
            snprintf(stack[depth++], sizeof *stack, "%s", name);
        } else if (!depth || strcmp(stack[--depth], name) != 0) {
            TEST_FAIL("</%s> closes nothing", name);
            return;
        }
    }
    CHECK_EQ_INT(depth, 0);
}

/* Commands are to be pasted: a line may end between words only, and a fence decodes no entities. */
TEST(repro_commands_on_a_page) {
    const char *const commands[] = {"./deit repro table3 --scale desk --retrain --results 'R&D <1>/results of a long "
                                    "name, with some spaces in it, and "
                                    "then more of them' --only 'DeiT, hard distillation'"};
    repro_page page = {.dress = REPRO_AS_MARKDOWN};
    base_text out = {0};
    page.out = &out;
    repro_page_commands(&page, commands, 1);
    CHECK_STR_HAS(out.data,
                  "--results \\\n    'R&D <1>/results of a long name, with some spaces in it, and then more of "
                  "them' --only \\\n    'DeiT, hard distillation'\n");
    base_text_free(&out);
    CHECK_EQ_INT((int)page_word("'it'\\''s one word' two"), 18);
    CHECK_EQ_INT((int)page_word("one two"), 3);
}

/* Convolutions that multiply less often are no reason for a transformer. */
TEST(repro_why_over_the_peak) {
    legend_marks marks = {0};
    repro_net net = {.percent_of_peak = {.median = 101}};
    net.config.patch = 16;
    legend_over(&marks, &net);
    CHECK(marks.spread && !marks.winograd);
    CHECK(!strstr(repro_over_peak(marks.winograd, marks.spread), "Winograd"));
    net.config.patch = 0, net.percent_of_peak.median = 99;
    legend_over(&marks, &net);
    CHECK(!marks.winograd);
    net.percent_of_peak.median = 102;
    legend_over(&marks, &net);
    CHECK_STR_HAS(repro_over_peak(marks.winograd, marks.spread), "counted; transformers within the spread");
    CHECK_STR_HAS(repro_over_peak(true, false), "Winograd");
}

TEST(repro_web_page) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    test_repro_speed(&book->nets[0], 10.5);
    measure_fill(book->report[0]);
    base_text page = {0};
    repro_write_html(book, &page);
    if (page.data) test_pages_nested(page.data);
    CHECK_STR_HAS(page.data, "<!DOCTYPE html>");
    CHECK_STR_HAS(page.data, "<meta name=\"viewport\"");
    CHECK_STR_HAS(page.data, "role=\"region\" aria-label=\"A title\"");
    CHECK_STR_HAS(page.data, "prefers-color-scheme:dark");
    CHECK_STR_HAS(page.data, "<th scope=\"row\" class=\"left\">A</th>");
    CHECK_STR_HAS(page.data, "<td>79.00</td>");
    CHECK_STR_HAS(page.data, "<dt class=\"good\">holds</dt>");
    CHECK_STR_HAS(page.data, "A &gt; B");
    CHECK_STR_HAS(page.data, "top-1, desk of C: not run");
    CHECK_STR_HAS(page.data, "&lt;two&gt; &amp;");
    CHECK(page.data && !strstr(page.data, "<script") && !strstr(page.data, "http") && !strstr(page.data, "url("));
    base_text_free(&page);
    repro_book_free(book), repro_table_free(table);
}

/* Several tables: their conditions once, how many claims hold, and a way to each. */
TEST(repro_pages_of_several_tables) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    base_text page = {0}, text = {0};
    book->report[1] = book->report[0], book->n = 2;
    repro_write_html(book, &page), repro_write_text(book, &text);
    book->n = 1;
    test_pages_nested(page.data ? page.data : "");
    CHECK_STR_HAS(page.data, "<a href=\"#t\">t</a>");
    CHECK_STR_HAS(text.data, "Claims    2 hold, 2 do not hold, 0 are undecided, 6 not measured");
    CHECK_STR_HAS(text.data, "of these 4 one in twenty may be wrong by chance");
    const char *machine = text.data ? strstr(text.data, "Machine ") : NULL;
    CHECK(machine && !strstr(machine + 1, "Machine "));
    base_text_free(&page), base_text_free(&text);
    repro_book_free(book), repro_table_free(table);
}

/* What is read first: claims by table and scale, what was trained, what does not hold. */
TEST(repro_summary_of_several_tables) {
    static const repro_trained trained[] = {{"small", "./deit train --seed 0", "00aa", 0, 1, 120, 200, "m", "b"},
                                            {"large", "./deit train --seed 0", "00bb", 0, 1, 300, 500, "m", "b"},
                                            {"small", "./deit train --seed 1", "00cc", 1, 1, 180, 200, "m", "b"}};
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    base_text text = {0}, markdown = {0};
    book->report[0]->trained = trained, book->report[0]->n_trained = 3;
    book->trained = trained, book->n_trained = 3;
    book->report[1] = book->report[0], book->n = 2;
    repro_write_text(book, &text), repro_write_markdown(book, &markdown);
    book->n = 1;
    CHECK_STR_HAS(text.data,
                  "Time      3 trainings on 1 thread each, 10 min in all, about 5 min by two processes on two "
                  "cores; 15 min of processors, the longest 8 min\n");
    CHECK_STR_HAS(text.data,
                  "\nclaims                   hold do not undecided not measured  hold do not undecided not "
                  "measured  runs   took\n"
                  "t                           -      -         -            1     1      1         -          "
                  "  2     3 10 min\n");
    CHECK_STR_HAS(text.data,
                  "\nall, each training once     -      -         -            2     2      2         -          "
                  "  4     3 10 min\n");
    CHECK_STR_HAS(text.data,
                  "\nWhat does not hold\nt                       desk, top-1: about as good: B >= A, but for 0.5 "
                  "points (-1.00 points, 95% from ");
    CHECK_STR_HAS(markdown.data, "# Training data-efficient");
    CHECK_STR_HAS(markdown.data, "\n## A title\n");
    CHECK_STR_HAS(markdown.data, "# training small; seed 0: 2 min on 1 thread, 00aa.json; seed 1: 3 min on 1 thread, "
                                 "00cc.json\n./deit train --seed 0\n"
                                 "# training large; seed 0: 5 min on 1 thread, 00bb.json\n");
    base_text_free(&text), base_text_free(&markdown);
    repro_book_free(book), repro_table_free(table);
}

/* A value of the paper's networks that was recorded before is not told as one of this machine. */
TEST(repro_legend_of_recorded_values) {
    static const double value = 80;
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    repro_result *row = &book->report[0]->rows[0];
    test_repro_accuracy(row, REPRO_PAPER, 4, &value, 1);
    repro_origin of = {.id = "r", .command = "./deit eval"};
    of.conditions =
        json_pack("{s:s, s:s, s:s, s:s}", "cpu", "A", "isa", "avx2", "deit", "0123456789ab", "date", "2026-01-02T");
    row->cell[REPRO_PAPER][4].origins = &of;
    for (int reused = 0; reused < 2; reused++) {
        base_text text = {0};
        of.reused = reused;
        repro_write_text(book, &text);
        CHECK((text.data && strstr(text.data, "measured on this machine")) == !reused);
        if (reused)
            CHECK_STR_HAS(text.data, "; 1 value of the results folder, made on 2026-01-02 on A (avx2) by deit 0123456");
        base_text_free(&text);
    }
    json_decref((json_t *)(uintptr_t)of.conditions);
    row->cell[REPRO_PAPER][4].origins = NULL;
    repro_book_free(book), repro_table_free(table);
}

/* A record's precision is its command's, whatever the run was asked for. */
TEST(repro_precision_of_a_command) {
    static const char *const plain[] = {"deit", "train", "--json", NULL}, *const said[] = {"deit",        "eval",
                                                                                           "--precision", "bf16",
                                                                                           "--json",      NULL};
    CHECK(!strcmp(work_precision(plain), "f32") && !strcmp(work_precision(said), "bf16"));
}

/* The machines and versions behind values, and behind the trainings that they need, each once; and whether this one is
 * among them. */
TEST(repro_legend_of_small_networks) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    const char *running = json_string_value(json_object_get(book->conditions, "deit"));
    repro_trained trained[] = {{.row = "small", .command = "c", .id = "i", .machine = "A (sse41)", .build = "0123456"},
                               {.row = "small", .command = "c", .id = "j", .machine = "A (avx2)", .build = "1111111"}};
    repro_origin of[3] = {{0}};
    repro_cell *cell = &book->report[0]->rows[0].cell[REPRO_DESK][4];
    for (int k = 0; k < 3; k++) {
        of[k].id = "r", of[k].command = "./deit eval", of[k].seed = k;
        of[k].conditions = json_pack("{s:s, s:s, s:s, s:s}", "cpu", "A", "isa", k ? "avx2" : "avx512_core", "deit",
                                     k ? "0123456789ab" : "9c1908d4fe09-dirty", "date", "2026-01-02T03:04:05Z");
    }
    cell->origins = of, cell->half_range = 0.5;
    book->report[0]->trained = trained, book->report[0]->n_trained = 2;
    base_text text = {0};
    repro_write_text(book, &text);
    CHECK_STR_HAS(text.data, " made on 2026-01-02 on A (avx512_core), A (avx2), A (sse41) by deit 9c1908d-dirty, "
                             "0123456, 1111111, none by this one, 0 of them taken from the results folder");
    CHECK_STR_HAS(text.data, "; of speeds half the range of the samples\n");
    CHECK_STR_HAS(
        text.data,
        "time   2 trainings, 0 s in all; 0 s of processors, the longest 0 s"); /* on how many threads is not known */
    base_text_free(&text);
    json_object_set_new((json_t *)(uintptr_t)of[2].conditions, "deit", json_string(running));
    book->report[0]->n_trained = 1, trained[0].threads = 1;
    cell->kept = "CIFAR-10 is not here";
    repro_write_text(book, &text);
    CHECK(text.data && !strstr(text.data, "none by this one"));
    CHECK_STR_HAS(text.data, "\nkept   top-1: of the results folder alone, as CIFAR-10 is not here\n");
    CHECK_STR_HAS(text.data, "\ntime   1 training, 0 s in all; 0 s of processors, the longest 0 s");
    base_text_free(&text);
    repro_book_free(book), repro_table_free(table);
}

/* A median that was recorded has the range of its samples beside it. */
TEST(repro_recorded_medians_have_a_range) {
    json_t *output = json_pack("{s:[{s:{s:f, s:f, s:f}}]}", "rows", "speed", "median", 10., "min", 8., "max", 11.);
    CHECK(work_half_range(output, "rows.0.speed.median") == 1.5);
    CHECK(work_half_range(output, "rows.0.speed.max") == 0 && work_half_range(output, "median") == 0);
    json_decref(output);
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    repro_grid grid;
    table->seeds = 3;
    book->report[0]->rows[0].cell[REPRO_DESK][4].half_range = 1.5;
    CHECK_OK(repro_grid_make(&grid, book->report[0]));
    CHECK(!strcmp(grid.columns[grid.n_columns - 1].name, "±") && !strcmp(grid.cell[0][grid.n_columns - 1], "1.50"));
    CHECK(!strcmp(grid.cell[1][grid.n_columns - 1], "0.16")); /* the interval of a mean */
    repro_grid_free(&grid);
    base_text json = {0};
    CHECK_OK(repro_write_json(book, &json));
    CHECK_STR_HAS(json.data, "\"half_range\": 1.5");
    base_text_free(&json);
    repro_book_free(book), repro_table_free(table);
}

/* What the trainings say of small networks stands once: at the head of several tables, below a table alone. */
TEST(repro_notes_of_trainings_at_the_head) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    base_text one = {0}, both = {0};
    table->makes = "w", table->n_notes = 1, table->notes[0] = (repro_note){REPRO_DESK, "of small ones"};
    repro_write_text(book, &one);
    book->report[1] = book->report[0], book->n = 2;
    table->makes = NULL;
    repro_table other = *table;
    repro_report *second = base_calloc(1, sizeof *second);
    if (!second) return;
    *second = *book->report[0], second->table = &other, other.makes = "w", other.name = "u";
    other.notes[0].text = "of trainings";
    book->report[1] = second;
    repro_write_text(book, &both);
    book->n = 1;
    CHECK_STR_HAS(one.data, "\nnote   of small ones\n");
    CHECK(one.data && !strstr(one.data, "Desk "));
    const char *head = both.data ? strstr(both.data, "\nDesk      of trainings\n") : NULL;
    CHECK(head && head < strstr(both.data, "Claims "));
    CHECK_STR_HAS(both.data, "\nnote   of small ones\n");
    CHECK(both.data && !strstr(both.data, "note   of trainings"));
    base_text_free(&one), base_text_free(&both);
    base_free(second);
    repro_book_free(book), repro_table_free(table);
}

TEST(repro_times) {
    char text[32];
    CHECK(!strcmp(repro_time(text, 45.4), "45 s") && !strcmp(repro_time(text, 600), "10 min"));
    CHECK(!strcmp(repro_time(text, 9000), "2.5 h") && !strcmp(repro_time(text, 864000), "10 days"));
    CHECK(!strcmp(repro_time(text, 3.2e8), "10 years"));
}

TEST(repro_tables_stand_in_order) {
    const char *const *names = repro_table_names();
    int n = 0;
    while (names[n]) n++;
    CHECK(n == 15 && !strcmp(names[0], "table1") && !strcmp(names[1], "table2") && !strcmp(names[9], "table10") &&
          !strcmp(names[10], "figure1") && !strcmp(names[14], "trainings"));
}

static int test_pages_count(const char *text, const char *what) {
    int n = 0;
    for (const char *at = text; at && (at = strstr(at, what)); at++) n++;
    return n;
}

TEST(repro_plot_file) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    base_text svg = {0};
    repro_write_svg(book->report[0], &svg);
    CHECK_EQ_INT(test_pages_count(svg.data, "<g "), 1); /* nothing has both speed and accuracy at desk scale */
    CHECK_STR_HAS(svg.data, "As published");
    base_text_free(&svg);
    static const double speed[] = {1000};
    test_repro_accuracy(&book->report[0]->rows[0], REPRO_DESK, 3, speed, 1);
    test_repro_speed(&book->nets[0], 10.5), test_repro_speed(&book->nets[2], 3);
    measure_fill(book->report[0]);
    repro_write_svg(book->report[0], &svg);
    test_pages_nested(svg.data ? svg.data : "");
    CHECK_EQ_INT(test_pages_count(svg.data, "<g "), 3);
    CHECK_STR_HAS(svg.data, "Measured here (top-1 as published)");
    CHECK_STR_HAS(svg.data, "images/s (logarithmic)");
    CHECK_STR_HAS(svg.data, ">top-1, %</text>");
    CHECK_EQ_INT(test_pages_count(svg.data, ">A</text>"), 3);
    CHECK_EQ_INT(test_pages_count(svg.data, ">C</text>"), 2);
    base_text_free(&svg);
    /* a series looks alike in all panels, though the last one lacks the first: C is of A's */
    const char *names[] = {"one", "<two> &"};
    plot_panel panels[1 + REPRO_SCALES];
    book->report[0]->rows[0].cell[REPRO_DESK][4].value = NAN;
    test_repro_accuracy(&book->report[0]->rows[1], REPRO_DESK, 3, speed, 1);
    CHECK_EQ_INT(plot_panels(book->report[0], &table->plots[0], panels), 3);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < panels[i].n; k++)
            CHECK(!strcmp(panels[i].series[panels[i].point[k].series], names[*panels[i].point[k].name == 'B']) &&
                  panels[i].point[k].series == (*panels[i].point[k].name == 'B'));
    repro_book_free(book), repro_table_free(table);
}

/* Names in the panel, none over another, each near its point. */
TEST(repro_names_in_a_plot_do_not_meet) {
    static plot_panel panel;
    static const repro_plot plot = {.series = -1, .names = -1};
    plot_box placed[REPRO_MAX_ROWS];
    base_text out = {0};
    panel = (plot_panel){.plot = &plot, .n = 12};
    for (int i = 0; i < panel.n; i++)
        panel.point[i] = (plot_point){.x = 100 + 8 * (i % 4), .y = 50 + i / 4, .name = "EfficientNet"};
    plot_place(&panel);
    for (int i = 0; i < panel.n; i++) plot_name(&panel, &panel.point[i], placed, i, &out);
    for (int i = 0; i < panel.n; i++) {
        CHECK(placed[i].x >= 0 && placed[i].x + placed[i].width <= PLOT_WIDTH);
        for (int k = 0; k < i; k++) CHECK(plot_overlap(&placed[i], &placed[k]) < 1);
    }
    base_text_free(&out);
}

TEST(repro_interval_of_a_mean) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    double half = repro_interval(book->report[0], REPRO_DESK, 4, &book->report[0]->rows[0].cell[REPRO_DESK][4]);
    CHECK(fabs(half - 2.776 * 0.1 / sqrt(3)) < 1e-9);
    repro_book_free(book), repro_table_free(table);
}

/* Cosines near 1 vary less than others of their table. */
TEST(repro_interval_of_a_fraction_is_its_own) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    if (!book) return;
    static const double near[3] = {0.98, 0.99, 0.97}, far[3] = {0.3, 0.5, 0.1};
    repro_result *rows = book->report[0]->rows;
    table->columns[4].kind = REPRO_FRACTION;
    test_repro_accuracy(&rows[0], REPRO_DESK, 4, near, 3), test_repro_accuracy(&rows[1], REPRO_DESK, 4, far, 3);
    for (int i = 0; i < 2; i++) {
        double half = repro_interval(book->report[0], REPRO_DESK, 4, &rows[i].cell[REPRO_DESK][4]);
        CHECK(fabs(half - 4.303 * (i ? 0.2 : 0.01) / sqrt(3)) < 1e-9);
    }
    repro_book_free(book), repro_table_free(table);
}

TEST(repro_relative_speed) {
    repro_table *table;
    repro_book *book = test_pages_book(&table, 1);
    test_repro_speed(&book->nets[0], 105), test_repro_speed(&book->nets[1], 10.5);
    measure_fill(book->report[0]);
    table->relative = 1;
    CHECK(fabs(repro_relative(book->report[0], &book->report[0]->rows[0], false) - 10) < 1e-6);
    CHECK(repro_relative(book->report[0], &book->report[0]->rows[0], true) == 2);
    repro_book_free(book), repro_table_free(table);
}
