/* deit repro: a table of the paper, measured again here. */
#include "repro/repro.h"
#include "cli/output.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *only, *data, *weights_dir, *baseline, *html, *svg, *results;
    int precision, scale;
    bool json, markdown, fresh, retrain, dry_run;
} repro_given;

/* ---- What is asked for ------------------------------------------------------------------------------------------- */

typedef struct {
    repro_table *table[REPRO_MAX_TABLES];
    int n;
} repro_tables;

static void repro_tables_free(repro_tables *tables) {
    for (int i = 0; i < tables->n; i++) repro_table_free(tables->table[i]);
}

/* One table, or all of them. */
static base_status repro_tables_open(repro_tables *tables, const char *name) {
    const char *const one[] = {name, NULL}, *const *names = strcmp(name, "all") ? one : repro_table_names();
    *tables = (repro_tables){0};
    do {
        base_status status = repro_table_open(&tables->table[tables->n], *names);
        if (status) {
            repro_tables_free(tables);
            return status;
        }
        tables->n++;
    } while (*++names);
    return BASE_OK;
}

/* ---- What came out ----------------------------------------------------------------------------------------------- */

static base_status repro_write_to(const char *file, base_text *text, base_status status) {
    if (!status && text->failed) status = base_fail("out of memory");
    if (!status) status = cli_output_write(file, text->data ? text->data : "", text->size);
    base_text_free(text);
    return status;
}

static base_status repro_show(const repro_book *book, const char *file) {
    base_text text = {0};
    base_status status = BASE_OK;
    if (repro_given.html) {
        repro_write_html(book, &text);
        BASE_TRY(repro_write_to(repro_given.html, &text, BASE_OK));
    }
    if (repro_given.svg) {
        repro_write_svg(book->report[0], &text);
        BASE_TRY(repro_write_to(repro_given.svg, &text, BASE_OK));
    }
    if (repro_given.json) {
        status = repro_write_json(book, &text);
        status = repro_write_to(file, &text, status);
        if (status || !repro_given.markdown) return status;
    }
    if (repro_given.markdown)
        repro_write_markdown(book, &text);
    else
        repro_write_text(book, &text);
    return repro_write_to(NULL, &text, BASE_OK);
}

/* The comparison stands below a table, but beside JSON and Markdown, which others read. */
static base_status repro_hold(const repro_report *report, const json_t *baseline) {
    base_text text = {0};
    json_t *now = repro_report_json(report);
    base_status status =
        now ? repro_compare(report->table, now, baseline, repro_given.baseline, &text) : base_fail("out of memory");
    json_decref(now);
    if (text.data) fwrite(text.data, 1, text.size, repro_given.json || repro_given.markdown ? stderr : stdout);
    base_text_free(&text);
    return status;
}

/* --data, DEIT_DATA, or where fetched data lie. */
static char *repro_data_folder(bool *named) {
    const char *name = repro_given.data ? repro_given.data : getenv("DEIT_DATA");
    *named = name && *name;
    return *named ? base_strdup(name) : cli_data_folder();
}

/* --results, DEIT_RESULTS, the source tree's own, or the cache. */
static char *repro_results_folder(bool *named) {
    static const char tree[] = "repro/results";
    const char *given = repro_given.results ? repro_given.results : getenv("DEIT_RESULTS");
    *named = given && *given;
    if (*named) return base_strdup(given);
    if (base_path_is_folder(tree)) return base_strdup(tree);
    char *cache = base_cache_folder(), *folder = cache ? base_path_join(cache, "results/cells") : NULL;
    base_free(cache);
    return folder;
}

/* Where the weights lie that come with the program: weights/ here, beside the program, or where it is installed. */
static char *repro_shipped_folder(void) {
    static const char *const beside[] = {"weights", "../share/deit/weights"};
    char program[PATH_MAX], *slash;
    if (base_path_is_folder("weights")) return base_strdup("weights");
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size > 0 ? size : 0] = 0;
    if (!(slash = strrchr(program, '/'))) return NULL;
    *slash = 0;
    for (int i = 0; i < 2; i++) {
        char *folder = base_path_join(program, beside[i]);
        if (folder && base_path_is_folder(folder)) return folder;
        base_free(folder);
    }
    return NULL;
}

static base_status repro_measure_and_show(const repro_tables *tables, const repro_options *options, const char *file,
                                          const json_t *baseline) {
    repro_book *book;
    base_text commands = {0};
    if (repro_given.dry_run)
        return repro_write_to(NULL, &commands, repro_dry_run(tables->table, tables->n, options, &commands));
    base_status status = repro_run(&book, tables->table, tables->n, options, cli_context());
    cli_progress_end();
    if (!status) {
        status = repro_show(book, file);
        repro_book_done(book, !status, cli_context());
        if (!status && baseline) status = repro_hold(book->report[0], baseline);
        if (!status && book->failed) status = base_fail("%d of %d measurements failed", book->failed, book->cells);
        repro_book_free(book);
    }
    return status;
}

static base_status repro_tables_run(const repro_tables *tables, const char *file, const json_t *baseline) {
    bool named, results_named;
    char *data = repro_data_folder(&named);
    char *folder = repro_given.weights_dir ? base_strdup(repro_given.weights_dir) : cli_weights_folder();
    char *results = repro_results_folder(&results_named), *shipped = repro_shipped_folder();
    repro_options options = {.program = cli_program(),
                             .only = repro_given.only,
                             .precision = repro_given.precision ? "bf16" : "f32",
                             .data = named || (data && base_path_exists(data)) ? data : NULL,
                             .data_folder = data,
                             .data_named = named,
                             .weights_dir = folder,
                             .weights_named = repro_given.weights_dir,
                             .fresh = repro_given.fresh,
                             .scale = repro_given.scale - 1, /* auto first */
                             .scale_named = repro_given.scale > 0,
                             .retrain = repro_given.retrain,
                             .results = results,
                             .results_named = results_named,
                             .shipped = shipped};
    base_status status = results && base_path_exists(results) && !base_path_is_folder(results)
                             ? base_fail_as(BASE_USAGE, "--results: expected a folder, found the file %s", results)
                             : repro_measure_and_show(tables, &options, file, baseline);
    base_free(data), base_free(folder), base_free(results), base_free(shipped);
    return status;
}

/* What would be found wrong only after minutes of measuring is looked at before. */
static base_status repro_check(const repro_tables *tables, const char *file, json_t **baseline) {
    const repro_table *first = tables->table[0];
    *baseline = NULL;
    if (repro_given.precision && !nn_has_bf16())
        return base_fail("--precision bf16: this CPU has no bf16 instructions (oneDNN uses %s here); use f32",
                         nn_isa_name());
    if (tables->n > 1 && (repro_given.baseline || repro_given.svg || repro_given.only))
        return base_fail_as(BASE_USAGE, "repro all: --%s goes with one table",
                            repro_given.baseline ? "baseline"
                            : repro_given.svg    ? "svg"
                                                 : "only");
    if (repro_given.svg && !first->n_plots)
        return base_fail_as(BASE_USAGE,
                            "--svg: %s has no plot; figure1, distillation-by-epochs and token-similarity have",
                            first->name);
    BASE_TRY(cli_output_check(file));
    BASE_TRY(cli_output_check(repro_given.html));
    BASE_TRY(cli_output_check(repro_given.svg));
    return repro_given.baseline ? repro_baseline_open(baseline, first, repro_given.baseline) : BASE_OK;
}

static base_status repro_command_run(int n, char **arguments) {
    const char *file = repro_given.json ? cli_output_take(&n, arguments) : NULL;
    if (n > 1)
        return base_fail_as(BASE_USAGE, "repro: expected one table, or all, found '%s' and '%s'%s", arguments[0],
                            arguments[1], repro_given.json ? "; a file after --json ends in .json" : "");
    if (n < 1) return base_fail_as(BASE_USAGE, "repro: expected one table, such as table5, or all");
    if (repro_given.dry_run &&
        (repro_given.json || repro_given.markdown || repro_given.html || repro_given.svg || repro_given.baseline))
        return base_fail_as(BASE_USAGE, "repro: --dry-run prints commands only: leave out --%s",
                            repro_given.json       ? "json"
                            : repro_given.markdown ? "markdown"
                            : repro_given.html     ? "html"
                            : repro_given.svg      ? "svg"
                                                   : "baseline");
    if (repro_given.json && repro_given.markdown && !file)
        return base_fail_as(BASE_USAGE,
                            "repro: --json and --markdown cannot both be printed; --json report.json writes "
                            "the one to a file");
    repro_tables tables;
    json_t *baseline;
    BASE_TRY(repro_tables_open(&tables, arguments[0]));
    base_status status = repro_check(&tables, file, &baseline);
    if (!status) status = repro_tables_run(&tables, file, baseline);
    json_decref(baseline);
    repro_tables_free(&tables);
    return status;
}

/* The tables' names and "all". */
static const char *const *repro_words(void) {
    static const char *words[REPRO_MAX_TABLES + 2];
    const char *const *names = repro_table_names();
    int n = 0;
    for (; names[n]; n++) words[n] = names[n];
    words[n] = "all";
    return words;
}

DEIT_INTERNAL const cli_command *cli_repro(void) {
    static const char *const precisions[] = {"f32", "bf16", NULL}, *const scales[] = {"auto", "paper", "desk", NULL};
    static const cli_flag flags[] = {
        {"only", CLI_TEXT, &repro_given.only, .help = "rows by label (DeiT-B) or network, separated by commas",
         .word = "ROW"},
        {"data", CLI_FILE, &repro_given.data, .help = "folder of data sets; without it DEIT_DATA or ~/.cache/deit/data",
         .word = "DIR"},
        {"weights-dir", CLI_FOLDER, &repro_given.weights_dir,
         .help = "folder of weights; without it DEIT_WEIGHTS or ~/.cache/deit/weights"},
        {"precision", CLI_CHOICE, &repro_given.precision, .help = "of the arithmetic; the paper's is f32",
         .choices = precisions},
        {"baseline", CLI_FILE, &repro_given.baseline,
         .help = "compare with what --json printed before; exit 3 outside tolerance"},
        {"fresh", CLI_YES, &repro_given.fresh,
         .help = "make anew what an interrupted run has kept, and finished cells"},
        {"scale", CLI_CHOICE, &repro_given.scale,
         .help = "accuracies: as desk where ImageNet is not here, else as paper; of the paper's networks; of small "
                 "ones too, without training the paper's",
         .choices = scales},
        {"retrain", CLI_YES, &repro_given.retrain, .help = "train what cells need, too"},
        {"dry-run", CLI_YES, &repro_given.dry_run, .help = "print the commands in order, and what they will cost"},
        {"results", CLI_FOLDER, &repro_given.results,
         .help = "where finished cells are kept; without it DEIT_RESULTS, repro/results if that is here, or the cache"},
        {"html", CLI_FILE, &repro_given.html, .help = "write a web page too"},
        {"svg", CLI_FILE, &repro_given.svg, .help = "write the table's plot too"},
        {"json", CLI_YES, &repro_given.json, .help = "print JSON, or write it to an argument that ends in .json"},
        {"markdown", CLI_YES, &repro_given.markdown, .help = "print Markdown"},
        {0},
    };
    static cli_command command = {
        .name = "repro",
        .summary = "a table of the paper, measured here beside what is published",
        .arguments = "TABLE|all",
        .about =
            "  deit repro table5                    speed of every network; no data and no network needed\n"
            "  deit repro table5 --only DeiT-B      one row\n"
            "  deit repro figure1 --html f1.html    throughput against accuracy, as a web page\n"
            "  deit repro all --html report.html    every table and figure on one page\n"
            "  deit repro table3 --retrain          trains the small networks it needs, on Fashion-MNIST\n"
            "  deit repro table3 --dry-run          the commands for that, and how long they take\n"
            "  deit repro table5 --data ~/imagenet  accuracies too, of the weights that are there ('deit weights "
            "fetch')\n"
            "\n"
            "TABLE: table1 to table10, figure1, distillation-by-epochs, token-similarity, position-norm, trainings,\n"
            "or a file of your own (./mine).\n"
            "\n"
            "The folder of --data may hold\n"
            "  imagenet/val/, val/ or imagenet/     class folders; or imagenet-val.tar or .zip of them\n"
            "  ILSVRC2012_img_val.tar               or its pictures in val/: with val_labels.txt, a synset or class "
            "index\n"
            "                                       a line, or with the devkit\n"
            "  real.json                            the ReaL labels\n"
            "  imagenetv2-matched-frequency.tar.gz  or imagenetv2-matched-frequency-format-val/\n"
            "  imagenet/train/, train/              to train the paper's networks (--retrain);\n"
            "                                       or ILSVRC2012_img_train.tar beside that of val\n"
            "  fashion-mnist/, cifar-10-binary.tar.gz, cifar-100-binary.tar.gz\n"
            "  cifar10/, cifar100/                  as pictures: train/ and test/ with class folders; or .tar or .zip\n"
            "  flowers-102/, stanford-cars/, inat2018/, inat2019/    as they are downloaded ('deit data fetch')\n"
            "or be ImageNet's validation set itself.\n"
            "\n"
            "Small networks again, on two cores: two processes that share a folder, one core each:\n"
            "  for core in 0 1; do taskset -c $core ./deit repro all --scale desk --retrain --results again & done; "
            "wait\n"
            "\n"
            "Stopped with Ctrl-C it keeps what is measured; the same command goes on from there.",
        .files = true,
        .least = 1,
        .most = 2,
        .flags = flags,
        .run = repro_command_run};
    command.words = repro_words();
    return &command;
}
