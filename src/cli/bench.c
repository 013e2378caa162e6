/* deit bench: images a second of networks. */
#include "cli/bench.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

enum { BENCH_MODELS = 64, BENCH_PRECISIONS = 2, BENCH_BATCH_MOST = 65536 };
typedef enum { BENCH_BOTH, BENCH_THROUGHPUT, BENCH_LATENCY } bench_schedule;
static struct {
    const char *models, *precision, *batch;
    int64_t threads, repeats;
    double seconds;
    int schedule; /* bench_schedule */
    bool json, csv, training;
} bench_given = {.precision = "f32", .repeats = 5, .seconds = 20};

typedef struct {
    model_config config[BENCH_MODELS];
    nn_dtype precision[BENCH_PRECISIONS];
    int n_models, n_precisions;
    int64_t batch; /* 0: chosen by the network */
    bool tune;
    const char *json_file, *csv_file; /* NULL: standard output */
} bench_plan;

/* ---- What was asked for ------------------------------------------------------------------------------------------ */

static base_status bench_add(bench_plan *plan, const char *name) {
    if (plan->n_models == BENCH_MODELS) return base_fail_as(BASE_USAGE, "bench: more than %d models", BENCH_MODELS);
    return cli_network(name, &plan->config[plan->n_models++]);
}

/* Words separated by commas, one call of `add` for each. */
static base_status bench_split(bench_plan *plan, const char *list, base_status (*add)(bench_plan *, const char *)) {
    while (*list) {
        char word[128];
        size_t size = strcspn(list, ",");
        snprintf(word, sizeof word, "%.*s", (int)(size < 127 ? size : 127), list);
        BASE_TRY(add(plan, word));
        list += size + (list[size] == ',');
    }
    return BASE_OK;
}

static base_status bench_add_precision(bench_plan *plan, const char *name) {
    bool bf16 = !strcmp(name, "bf16");
    if (!bf16 && strcmp(name, "f32"))
        return base_fail_as(BASE_USAGE, "--precision: expected f32, bf16 or f32,bf16, found '%s'", name);
    if (bf16 && !nn_has_bf16()) /* said before f32 is measured for minutes */
        return base_fail("bf16: this CPU has no bf16 instructions (oneDNN uses %s here); use f32", nn_isa_name());
    for (int i = 0; i < plan->n_precisions; i++)
        if (plan->precision[i] == (bf16 ? NN_BF16 : NN_F32)) return BASE_OK;
    plan->precision[plan->n_precisions++] = bf16 ? NN_BF16 : NN_F32;
    return BASE_OK;
}

static base_status bench_take_batch(bench_plan *plan) {
    const char *text = bench_given.batch;
    if (!text) return BASE_OK;
    plan->tune = !strcmp(text, "auto");
    if (plan->tune) return BASE_OK;
    char *end;
    plan->batch = strtoll(text, &end, 10);
    if (end == text || *end || plan->batch < 1 || plan->batch > BENCH_BATCH_MOST)
        return base_fail_as(BASE_USAGE, "--batch: expected auto or a whole number from 1 to %d, found '%s'",
                            BENCH_BATCH_MOST, text);
    return BASE_OK;
}

static base_status bench_take_models(bench_plan *plan, int n, char **arguments) {
    for (int i = 0; i < n; i++) {
        if ((bench_given.json || bench_given.csv) && strpbrk(arguments[i], "./"))
            return base_fail_as(BASE_USAGE, "bench: expected a network, found '%s'; a file after --%s ends in .%s",
                                arguments[i], bench_given.json ? "json" : "csv", bench_given.json ? "json" : "csv");
        BASE_TRY(bench_add(plan, arguments[i]));
    }
    if (bench_given.models) BASE_TRY(bench_split(plan, bench_given.models, bench_add));
    if (cli_model_given()) BASE_TRY(bench_add(plan, NULL));
    if (plan->n_models) return BASE_OK;
    return bench_split(plan, "deit_tiny_patch16_224,deit_small_patch16_224,deit_base_patch16_224", bench_add);
}

static base_status bench_ask(bench_plan *plan, int n, char **arguments) {
    if (bench_given.json) plan->json_file = cli_output_take(&n, arguments);
    if (bench_given.csv) plan->csv_file = cli_output_take_as(&n, arguments, ".csv");
    if (bench_given.json && bench_given.csv && !plan->json_file && !plan->csv_file)
        return base_fail_as(BASE_USAGE,
                            "--json and --csv: only one can be printed; write one to a file, as --csv speed.csv");
    BASE_TRY(bench_take_models(plan, n, arguments));
    BASE_TRY(bench_split(plan, bench_given.precision, bench_add_precision));
    BASE_TRY(bench_take_batch(plan));
    BASE_TRY(cli_output_check(plan->json_file));
    return cli_output_check(plan->csv_file);
}

/* ---- Measuring --------------------------------------------------------------------------------------------------- */

/* In throughput as many images as the comparisons of this project use; in latency one. */
static int64_t bench_batch(const bench_plan *plan, const model_config *config) {
    enum { LARGE = 400 };
    if (plan->batch) return plan->batch;
    return bench_given.schedule == BENCH_LATENCY ? 1 : config->image > LARGE ? 16 : 32;
}

static base_status bench_case(const bench_plan *plan, nn_dtype precision, bench_row *row) {
    row->wanted =
        (eval_speed_case){.config = &row->config,
                          .precision = precision,
                          .schedule = bench_given.schedule == BENCH_LATENCY ? MODEL_LATENCY : MODEL_THROUGHPUT,
                          .batch = bench_batch(plan, &row->config),
                          .threads = (int)bench_given.threads,
                          .alone = bench_given.schedule == BENCH_BOTH};
    if (!plan->tune || row->wanted.schedule == MODEL_LATENCY) return BASE_OK;
    return eval_tune(&row->wanted, cli_context());
}

/* All networks in turn, each in its precisions one after the other; rows: [n_precisions, n_models]. */
static base_status bench_measure(const bench_plan *plan, bench_row *rows) {
    int n = plan->n_precisions * plan->n_models;
    eval_speed_case cases[BENCH_PRECISIONS * BENCH_MODELS];
    bench_row *of[BENCH_PRECISIONS * BENCH_MODELS];
    for (int i = 0; i < n; i++) {
        int model = i / plan->n_precisions, precision = i % plan->n_precisions;
        of[i] = &rows[precision * plan->n_models + model];
        of[i]->config = plan->config[model];
        BASE_TRY(bench_case(plan, plan->precision[precision], of[i]));
        cases[i] = of[i]->wanted;
    }
    eval_speed *speeds = base_calloc((size_t)n, sizeof *speeds);
    if (!speeds) return BASE_ERROR;
    base_status status =
        eval_speed_measure(cases, n, (int)bench_given.repeats, bench_given.seconds, speeds, cli_context());
    for (int i = 0; i < n; i++) of[i]->speed = speeds[i];
    base_free(speeds);
    return status;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static base_status bench_write_csv(const char *file, const bench_report *report) {
    base_text text = {0};
    bench_csv(report, &text);
    base_status status =
        text.failed ? base_fail("out of memory while making CSV") : cli_output_write(file, text.data, text.size);
    base_text_free(&text);
    return status;
}

static base_status bench_show(const bench_plan *plan, const bench_report *report) {
    if (bench_given.json) BASE_TRY(cli_output_json(plan->json_file, bench_json(report)));
    if (bench_given.csv) return bench_write_csv(plan->csv_file, report);
    if (!bench_given.json) bench_print_text(report);
    return BASE_OK;
}

/* Of a run that failed or was stopped: the rows that have their samples come first. Their number. */
static int bench_keep_measured(bench_row *rows, int n) {
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (rows[i].speed.images_per_s.n >= bench_given.repeats &&
            (!rows[i].wanted.alone || rows[i].speed.ms_alone.n >= bench_given.repeats)) {
            rows[kept] = rows[i];
            rows[kept].wanted.config = &rows[kept].config;
            kept++;
        }
    return kept;
}

/* Shows what there is, whole or not. */
static base_status bench_end(const bench_plan *plan, bench_report *report, base_status status) {
    int asked = report->n;
    if (!status) return bench_show(plan, report);
    report->n = bench_keep_measured(report->rows, asked);
    if (!report->n) return status;
    base_log(cli_context(), BASE_LOG_WARNING, "not finished: %d of %d rows have their samples and are shown", report->n,
             asked);
    BASE_TRY(bench_show(plan, report));
    return status;
}

static base_status bench_run_training(const bench_plan *plan) {
    enum { BATCH = 64 }; /* the official script's */
    if (plan->tune || bench_given.csv || bench_given.schedule != BENCH_BOTH || plan->n_precisions > 1)
        return base_fail_as(BASE_USAGE, "--training: takes no --batch auto, --schedule or --csv, and one --precision");
    bench_training_case c = {.precision = plan->precision[0],
                             .batch = plan->batch ? plan->batch : BATCH,
                             .threads = (int)bench_given.threads,
                             .steps = (int)bench_given.repeats};
    return bench_training(&c, plan->config, plan->n_models, bench_given.json, plan->json_file);
}

static base_status bench_run(int n, char **arguments) {
    bench_plan *plan = base_calloc(1, sizeof *plan);
    if (!plan) return BASE_ERROR;
    base_status status = bench_ask(plan, n, arguments);
    if (status || bench_given.training) {
        if (!status) status = bench_run_training(plan);
        base_free(plan);
        return status;
    }
    int count = plan->n_models * plan->n_precisions;
    bench_report report = {.n = count,
                           .precision = bench_given.precision,
                           .threads = bench_given.threads,
                           .repeats = bench_given.repeats,
                           .seconds = bench_given.seconds};
    if (!status && !(report.rows = base_calloc((size_t)count, sizeof *report.rows))) status = BASE_ERROR;
    if (!status) status = bench_measure(plan, report.rows);
    cli_progress_end();
    if (report.rows) status = bench_end(plan, &report, status);
    base_free(report.rows);
    base_free(plan);
    return status;
}

DEIT_INTERNAL const cli_command *cli_bench(void) {
    static const char *const schedules[] = {"both", "throughput", "latency", NULL}; /* in bench_schedule's order */
    static const char *const batches[] = {"auto", NULL}, *const precisions[] = {"f32", "bf16", "f32,bf16", NULL};
    static const cli_flag flags[] = {
        {"models", CLI_MODEL, &bench_given.models, .help = "networks, separated by commas", .word = "NAME,..."},
        {"batch", CLI_TEXT, &bench_given.batch,
         .help = "images a pass: 32, above 400 pixels 16; auto: with the best micro-batch", .word = "N|auto",
         .choices = batches},
        {"threads", CLI_INT, &bench_given.threads, .help = "in all; without it every core", .min = 1, .max = 4096},
        {"precision", CLI_TEXT, &bench_given.precision, .help = "f32, bf16 or both", .word = "f32,bf16",
         .choices = precisions},
        {"schedule", CLI_CHOICE, &bench_given.schedule, .help = "images side by side, all threads on one image alone",
         .choices = schedules},
        {"repeats", CLI_INT, &bench_given.repeats, .help = "samples a network, at least", .min = 1,
         .max = EVAL_SPEED_SAMPLES},
        {"seconds", CLI_REAL, &bench_given.seconds, .help = "for more samples, until the medians are known to 3%",
         .min = 0, .max = 86400},
        {"training", CLI_YES, &bench_given.training,
         .help = "steps of training instead, --repeats of them: forward, backward, AdamW; 64 images a step"},
        {"json", CLI_YES, &bench_given.json, .help = "print JSON, or write it to an argument that ends in .json"},
        {"csv", CLI_YES, &bench_given.csv, .help = "print CSV, or write it to an argument that ends in .csv"},
        {0},
    };
    static const cli_command command = {
        .name = "bench",
        .summary = "images a second, and how near to the machine's peak",
        .arguments = "[MODEL...]",
        .about = "  deit bench                                            DeiT-Ti, -S and -B\n"
                 "  deit bench resnet50 deit_base_patch16_224 --precision f32,bf16 --batch auto\n"
                 "  deit bench --model vit --dim 256 --heads 4 --image 128 --schedule latency --json speed.json\n"
                 "  deit bench --training deit_tiny_patch16_224 resnet50 --repeats 3\n\n"
                 "--batch auto tries micro-batches and remembers the best of this machine in the cache folder.",
        .models = true,
        .most = -1,
        .groups = CLI_NETWORK,
        .flags = flags,
        .run = bench_run};
    return &command;
}
