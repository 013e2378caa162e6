/* deit repro: a table of the paper, measured again here. */
#include "repro/repro.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

static struct {
    const char *only, *data, *weights_dir, *baseline;
    int precision;
    bool json, markdown, fresh;
} repro_given;

static base_status repro_show(const repro_report *report, const char *file) {
    base_text text = {0};
    base_status status = BASE_OK;
    if (repro_given.json)
        status = repro_write_json(report, &text);
    else if (repro_given.markdown)
        repro_write_markdown(report, &text);
    else
        repro_write_text(report, &text);
    if (!status && text.failed) status = base_fail("out of memory");
    if (!status) status = cli_output_write(file, text.data, text.size);
    base_text_free(&text);
    return status;
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

static base_status repro_table_run(const repro_table *table, const char *file, const json_t *baseline) {
    repro_report *report;
    const char *data = repro_given.data ? repro_given.data : getenv("DEIT_DATA");
    char *folder = repro_given.weights_dir ? base_strdup(repro_given.weights_dir) : cli_weights_folder();
    repro_options options = {.only = repro_given.only,
                             .precision = repro_given.precision ? "bf16" : "f32",
                             .data = data && *data ? data : NULL,
                             .weights_dir = folder,
                             .weights_named = repro_given.weights_dir,
                             .fresh = repro_given.fresh};
    base_status status = repro_run(&report, table, &options, cli_context());
    cli_progress_end();
    if (!status) {
        status = repro_show(report, file);
        if (!status && baseline) status = repro_hold(report, baseline);
        if (!status && report->failed)
            status = base_fail("%d of %d measurements failed", report->failed, report->cells);
        repro_report_free(report);
    }
    base_free(folder);
    return status;
}

/* What would be found wrong only after minutes of measuring is looked at before. */
static base_status repro_check(const repro_table *table, const char *file, json_t **baseline) {
    *baseline = NULL;
    if (repro_given.precision && !nn_has_bf16())
        return base_fail("--precision bf16: this CPU has no bf16 instructions (oneDNN uses %s here); use f32",
                         nn_isa_name());
    BASE_TRY(cli_output_check(file));
    return repro_given.baseline ? repro_baseline_open(baseline, table, repro_given.baseline) : BASE_OK;
}

static base_status repro_command_run(int n, char **arguments) {
    const char *file = repro_given.json ? cli_output_take(&n, arguments) : NULL;
    if (n != 1) return base_fail_as(BASE_USAGE, "repro: expected one table, such as table5");
    if (repro_given.json && repro_given.markdown)
        return base_fail_as(BASE_USAGE, "repro: --json and --markdown cannot both be printed");
    repro_table *table;
    json_t *baseline;
    BASE_TRY(repro_table_open(&table, arguments[0]));
    base_status status = repro_check(table, file, &baseline);
    if (!status) status = repro_table_run(table, file, baseline);
    json_decref(baseline);
    repro_table_free(table);
    return status;
}

DEIT_INTERNAL const cli_command *cli_repro(void) {
    static const char *const precisions[] = {"f32", "bf16", NULL};
    static const cli_flag flags[] = {
        {"only", CLI_TEXT, &repro_given.only, .help = "rows by label (DeiT-B) or network, separated by commas",
         .word = "ROW"},
        {"data", CLI_FILE, &repro_given.data, .help = "folder of data sets; without it DEIT_DATA", .word = "DIR"},
        {"weights-dir", CLI_FOLDER, &repro_given.weights_dir,
         .help = "folder of weights; without it DEIT_WEIGHTS or ~/.cache/deit/weights"},
        {"precision", CLI_CHOICE, &repro_given.precision, .help = "of the arithmetic; the paper's is f32",
         .choices = precisions},
        {"baseline", CLI_FILE, &repro_given.baseline,
         .help = "compare with what --json printed before; exit 3 outside tolerance"},
        {"fresh", CLI_YES, &repro_given.fresh, .help = "measure anew what an interrupted run has kept"},
        {"json", CLI_YES, &repro_given.json, .help = "print JSON, or write it to an argument that ends in .json"},
        {"markdown", CLI_YES, &repro_given.markdown, .help = "print Markdown"},
        {0},
    };
    static cli_command command = {
        .name = "repro",
        .summary = "a table of the paper, measured here beside what is published",
        .arguments = "table5",
        .about = "  deit repro table5                    speed of every network; no data and no network needed\n"
                 "  deit repro table5 --only DeiT-B      one row\n"
                 "  deit repro table5 --data ~/imagenet  accuracies too, of the weights that are there ('deit weights "
                 "fetch')\n"
                 "\n"
                 "The folder of --data may hold\n"
                 "  imagenet/val/, val/ or imagenet/     class folders; or imagenet-val.tar or .zip of them\n"
                 "  ILSVRC2012_img_val.tar               with val_labels.txt, a synset or class index a line\n"
                 "  real.json                            the ReaL labels\n"
                 "  imagenetv2-matched-frequency.tar.gz  or imagenetv2-matched-frequency-format-val/\n"
                 "or be ImageNet's validation set itself.\n"
                 "\n"
                 "Stopped with Ctrl-C it keeps what is measured; the same command goes on from there.",
        .least = 1,
        .most = 2,
        .flags = flags,
        .run = repro_command_run};
    command.words = repro_table_names();
    return &command;
}
