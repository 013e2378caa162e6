/* deit bench: images a second of networks. */
#include "cli/output.h"
#include "eval/eval.h"
#include "repro/repro.h"

#include <stdlib.h>
#include <string.h>

enum { BENCH_MODELS = 64, BENCH_PRECISIONS = 2 };
static struct {
    const char *precision;
    int64_t batch, threads, repeats;
    double seconds;
    int schedule;
    bool json;
} bench_given = {.precision = "f32", .repeats = 5, .seconds = 20};

/* A measured row: case and outcome. */
typedef struct {
    model_config config;
    eval_speed_case wanted;
    eval_speed speed;
} bench_row;

typedef struct {
    model_config config[BENCH_MODELS];
    nn_dtype precision[BENCH_PRECISIONS];
    int n_models, n_precisions;
    const char *file; /* for the JSON; NULL: standard output */
} bench_plan;

static const char *bench_precision_name(nn_dtype precision) {
    return precision == NN_BF16 ? "bf16" : "f32";
}

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
    for (int i = 0; i < plan->n_precisions; i++)
        if (plan->precision[i] == (bf16 ? NN_BF16 : NN_F32)) return BASE_OK;
    plan->precision[plan->n_precisions++] = bf16 ? NN_BF16 : NN_F32;
    return BASE_OK;
}

/* Whether --model, one of the flags that commands share, was given. */
static bool bench_model_given(void) {
    const cli_flag *flag;
    for (int i = 0; (flag = cli_flag_at(cli_bench(), i)); i++)
        if (!strcmp(flag->name, "model")) return cli_given(flag->value);
    return false;
}

static base_status bench_ask(bench_plan *plan, int n, char **arguments) {
    if (bench_given.json) plan->file = cli_output_take(&n, arguments);
    for (int i = 0; i < n; i++) BASE_TRY(bench_add(plan, arguments[i]));
    if (bench_model_given()) BASE_TRY(bench_add(plan, NULL));
    if (!plan->n_models)
        BASE_TRY(bench_split(plan, "deit_tiny_patch16_224,deit_small_patch16_224,deit_base_patch16_224", bench_add));
    return bench_split(plan, bench_given.precision, bench_add_precision);
}

/* ---- Measuring --------------------------------------------------------------------------------------------------- */

/* All networks in one precision; rows: [n_models]. */
static base_status bench_measure(const bench_plan *plan, nn_dtype precision, bench_row *rows) {
    eval_speed_case cases[BENCH_MODELS];
    model_schedule schedule = bench_given.schedule ? MODEL_LATENCY : MODEL_THROUGHPUT;
    int n = plan->n_models;
    for (int i = 0; i < n; i++) {
        rows[i].config = plan->config[i];
        int64_t batch = bench_given.batch ? bench_given.batch : schedule == MODEL_LATENCY ? 1 : 32;
        cases[i] = rows[i].wanted =
            (eval_speed_case){&rows[i].config, precision, schedule, batch, (int)bench_given.threads};
    }
    eval_speed *speeds = base_calloc((size_t)n, sizeof *speeds);
    if (!speeds) return BASE_ERROR;
    double seconds = bench_given.seconds / plan->n_precisions;
    base_status status = eval_speed_measure(cases, n, (int)bench_given.repeats, seconds, speeds, cli_context());
    for (int i = 0; i < n; i++) rows[i].speed = speeds[i];
    base_free(speeds);
    return status;
}

/* ---- Showing ----------------------------------------------------------------------------------------------------- */

/* The row of DeiT-B in the same precision, for relative speeds. */
static const bench_row *bench_base(const bench_row *rows, int n, nn_dtype precision) {
    for (int i = 0; i < n; i++)
        if (rows[i].wanted.precision == precision && !strcmp(rows[i].config.name, "deit_base_patch16_224") &&
            rows[i].config.image == 224)
            return &rows[i];
    return NULL;
}

static int bench_threads(const bench_row *row) {
    return row->speed.workers * row->speed.threads;
}

/* "383.2", "55.1", "7.42" */
static void bench_rate(char text[32], double rate) {
    snprintf(text, 32, rate < 10 ? "%.2f" : rate < 1000 ? "%.1f" : "%.0f", rate);
}

static void bench_print_row(const bench_row *row, const bench_row *base) {
    const eval_speed *s = &row->speed;
    char rate[32], spread[32], published[32] = "-", relative[32] = "-", relative_published[32] = "-", name[64];
    double paper = repro_published(row->config.name, row->config.image),
           paper_base = repro_published("deit_base_patch16_224", 224);
    bench_rate(rate, s->images_per_s.median);
    snprintf(spread, sizeof spread, "%.1f%%",
             50 * (s->images_per_s.max - s->images_per_s.min) / s->images_per_s.median);
    if (paper > 0)
        bench_rate(published, paper),
            snprintf(relative_published, sizeof relative_published, "%.2f", paper / paper_base);
    if (base) snprintf(relative, sizeof relative, "%.2f", s->images_per_s.median / base->speed.images_per_s.median);
    snprintf(name, sizeof name, row->config.image == 224 || strstr(row->config.name, "384") ? "%s" : "%s @%d",
             row->config.name, row->config.image);
    printf("%-32s %-4s %8s %7s %8.2f %7.1f %5.1f %7.0f %8s %7s %7s\n", name,
           bench_precision_name(row->wanted.precision), rate, spread, s->ms_per_image, s->gflop_per_image,
           s->percent_of_peak.median, (double)s->memory * 1e-6, published, relative, relative_published);
}

static void bench_print_text(const bench_plan *plan, const bench_row *rows, int n) {
    base_machine machine;
    base_machine_read(&machine);
    json_t *conditions = repro_conditions(bench_given.precision, (int)bench_given.threads);
    const char *date = json_string_value(json_object_get(conditions, "date")),
               *deit = json_string_value(json_object_get(conditions, "deit"));
    printf("%-32s %-4s %16s %8s %7s %5s %7s %8s %15s\n", "", "", "images/s", "ms an", "GFLOP", "% of", "memory",
           "images/s", "over DeiT-B");
    printf("%-32s %-4s %8s %8s %8s %7s %5s %7s %8s %7s %7s\n", "network", "", "median", "±", "image", "/image", "peak",
           "MB", "paper", "here", "paper");
    for (int i = 0; i < n; i++) bench_print_row(&rows[i], bench_base(rows, n, rows[i].wanted.precision));
    printf("\nMachine   %s, %d cores; oneDNN %s uses %s\n", machine.cpu, machine.cores, nn_onednn_version(),
           nn_isa_name());
    for (int k = 0; k < plan->n_precisions; k++) {
        const eval_speed *s = &rows[k * plan->n_models].speed;
        printf("GEMM peak %.0f GFLOP/s in %s: 2048 x 2048 products between the passes\n", s->peak_gflops,
               bench_precision_name(plan->precision[k]));
    }
    const bench_row *row = &rows[0];
    printf("Measured  %s: batch %lld as micro-batches of %lld, %d threads as %d x %d, not pinned, weights of noise\n",
           bench_given.schedule ? "latency" : "throughput", (long long)row->speed.batch,
           (long long)row->speed.micro_batch, bench_threads(row), row->speed.workers, row->speed.threads);
    printf("          %d samples, networks in turn, after a warm-up; the median; ±: half the range of the samples\n",
           row->speed.images_per_s.n);
    printf("Software  deit %s, %s\n", deit ? deit : "", date ? date : "");
    printf("Paper     one V100 16 GB, float32, large batch\n");
    json_decref(conditions);
}

static json_t *bench_numbers(const double *values, int n) {
    json_t *array = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(array, json_real(values[i]));
    return array;
}

static json_t *bench_spread(const base_spread *spread) {
    return json_pack("{s:f, s:f, s:f, s:i}", "median", spread->median, "min", spread->min, "max", spread->max,
                     "samples", spread->n);
}

static json_t *bench_row_json(const bench_row *row, const bench_row *base) {
    const eval_speed *s = &row->speed;
    int n = s->images_per_s.n;
    json_t *o = json_pack("{s:s, s:i, s:s, s:I, s:i, s:s, s:o, s:f, s:f, s:f, s:o}", "model", row->config.name, "image",
                          row->config.image, "precision", bench_precision_name(row->wanted.precision), "batch",
                          (json_int_t)s->batch, "threads", bench_threads(row), "schedule",
                          row->wanted.schedule == MODEL_LATENCY ? "latency" : "throughput", "images_per_s",
                          bench_spread(&s->images_per_s), "gflop_per_image", s->gflop_per_image, "peak_gflops",
                          s->peak_gflops, "percent_of_peak", s->percent_of_peak.median, "percent_of_peak_spread",
                          bench_spread(&s->percent_of_peak));
    if (!o) return NULL;
    double paper = repro_published(row->config.name, row->config.image),
           paper_base = repro_published("deit_base_patch16_224", 224);
    json_object_set_new(o, "workers", json_integer(s->workers));
    json_object_set_new(o, "threads_per_worker", json_integer(s->threads));
    json_object_set_new(o, "micro_batch", json_integer(s->micro_batch));
    json_object_set_new(o, "ms_per_image", json_real(s->ms_per_image));
    json_object_set_new(o, "memory_bytes", json_integer((json_int_t)s->memory));
    json_object_set_new(o, "published_images_per_s", paper > 0 ? json_real(paper) : json_null());
    json_object_set_new(o, "published_relative_to_deit_base", paper > 0 ? json_real(paper / paper_base) : json_null());
    json_object_set_new(o, "relative_to_deit_base",
                        base ? json_real(s->images_per_s.median / base->speed.images_per_s.median) : json_null());
    json_object_set_new(o, "samples", bench_numbers(s->sample, n));
    json_object_set_new(o, "samples_percent_of_peak", bench_numbers(s->sample_percent, n));
    json_object_set_new(o, "samples_peak_gflops", bench_numbers(s->sample_peak, n));
    return o;
}

static json_t *bench_json(const bench_row *rows, int n) {
    json_t *conditions = repro_conditions(bench_given.precision, (int)bench_given.threads), *array = json_array();
    json_object_set_new(conditions, "repeats", json_integer(bench_given.repeats));
    json_object_set_new(conditions, "seconds", json_real(bench_given.seconds));
    json_object_set_new(conditions, "schedule", json_string(bench_given.schedule ? "latency" : "throughput"));
    json_object_set_new(conditions, "weights", json_string("noise"));
    json_object_set_new(conditions, "peak",
                        json_string("2048 x 2048 x 2048 matrix products before and after each sample"));
    for (int i = 0; i < n; i++)
        json_array_append_new(array, bench_row_json(&rows[i], bench_base(rows, n, rows[i].wanted.precision)));
    return json_pack("{s:o, s:o}", "conditions", conditions, "rows", array);
}

static base_status bench_run(int n, char **arguments) {
    bench_plan *plan = base_calloc(1, sizeof *plan);
    if (!plan) return BASE_ERROR;
    base_status status = bench_ask(plan, n, arguments);
    if (!status) status = cli_output_check(plan->file);
    int count = plan->n_models * plan->n_precisions;
    bench_row *rows = status ? NULL : base_calloc((size_t)count, sizeof *rows);
    if (!status && !rows) status = BASE_ERROR;
    for (int k = 0; k < plan->n_precisions && !status; k++)
        status = bench_measure(plan, plan->precision[k], rows + k * plan->n_models);
    cli_progress_end();
    if (!status && bench_given.json)
        status = cli_output_json(plan->file, bench_json(rows, count));
    else if (!status)
        bench_print_text(plan, rows, count);
    base_free(rows);
    base_free(plan);
    return status;
}

DEIT_INTERNAL const cli_command *cli_bench(void) {
    static const char *const schedules[] = {"throughput", "latency", NULL};
    static const cli_flag flags[] = {
        {"batch", CLI_INT, &bench_given.batch, .help = "images a pass (default 32; 1 for latency)", .min = 1,
         .max = 65536},
        {"threads", CLI_INT, &bench_given.threads, .help = "in all; without it every core", .min = 1, .max = 4096},
        {"precision", CLI_TEXT, &bench_given.precision, .help = "f32, bf16 or both", .word = "f32,bf16"},
        {"schedule", CLI_CHOICE, &bench_given.schedule, .help = "images side by side, or all threads on one",
         .choices = schedules},
        {"repeats", CLI_INT, &bench_given.repeats, .help = "samples a network, at least", .min = 1,
         .max = EVAL_SPEED_SAMPLES},
        {"seconds", CLI_REAL, &bench_given.seconds, .help = "more samples while they end within so many seconds in all",
         .min = 0, .max = 86400},
        {"json", CLI_YES, &bench_given.json, .help = "print JSON, or write it to an argument that ends in .json"},
        {0},
    };
    static const cli_command command = {
        .name = "bench",
        .summary = "images a second, and how near to the machine's peak",
        .arguments = "[MODEL...]",
        .about = "  deit bench                                            DeiT-Ti, -S and -B\n"
                 "  deit bench deit_small_patch16_224 deit_base_patch16_224 --precision f32,bf16\n"
                 "  deit bench --model vit --dim 256 --heads 4 --image 128 --schedule latency --json speed.json",
        .models = true,
        .most = -1,
        .groups = CLI_NETWORK,
        .flags = flags,
        .run = bench_run};
    return &command;
}
