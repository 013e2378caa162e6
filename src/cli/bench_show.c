/* bench_show: what deit bench measured, as text, JSON and CSV. */
#include "cli/bench.h"
#include "repro/repro.h"

#include <math.h>
#include <string.h>

static const char *bench_precision_name(const bench_row *row) {
    return row->wanted.precision == NN_BF16 ? "bf16" : "f32";
}

static const char *bench_schedule_name(const bench_row *row) {
    return row->wanted.schedule == MODEL_LATENCY ? "latency" : "throughput";
}

static int bench_threads(const bench_row *row) {
    return row->speed.workers * row->speed.threads;
}

/* How many times as fast as DeiT-B, measured in the same precision; 0 without a row of DeiT-B. */
static double bench_relative(const bench_report *report, const bench_row *row) {
    for (int i = 0; i < report->n; i++) {
        const bench_row *base = &report->rows[i];
        if (base->wanted.precision == row->wanted.precision && !strcmp(base->config.name, "deit_base_patch16_224") &&
            base->config.image == 224)
            return row->speed.images_per_s.median / base->speed.images_per_s.median;
    }
    return 0;
}

/* The paper's images/s, and how many times as fast as its DeiT-B that is; 0 where it publishes none. */
static double bench_published(const bench_row *row, double *relative) {
    double paper = repro_published(row->config.name, row->config.image);
    *relative = paper > 0 ? paper / repro_published("deit_base_patch16_224", 224) : 0;
    return paper > 0 ? paper : 0;
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

enum { BENCH_CELL = 32 };

/* "383.2", "55.1", "7.42"; "-" for what is not known. */
static const char *bench_rate(char text[BENCH_CELL], double rate) {
    snprintf(text, BENCH_CELL, rate <= 0 ? "-" : rate < 10 ? "%.2f" : rate < 1000 ? "%.1f" : "%.0f", rate);
    return text;
}

static const char *bench_times(char text[BENCH_CELL], double times) {
    snprintf(text, BENCH_CELL, times > 0 ? "%.2f" : "-", times);
    return text;
}

/* Half the 95% interval, in percent of the median. */
static double bench_spread(const base_spread *spread) {
    return spread->n ? 50 * (spread->high - spread->low) / spread->median : 0;
}

static void bench_print_row(const bench_report *report, const bench_row *row) {
    const eval_speed *s = &row->speed;
    char name[64], batch[BENCH_CELL], rate[BENCH_CELL], alone[BENCH_CELL],
        alone_spread[BENCH_CELL] = "", published[BENCH_CELL], here[BENCH_CELL], there[BENCH_CELL];
    double relative, paper = bench_published(row, &relative);
    model_config usual;
    bool known = !model_find(row->config.name, &usual) && usual.image == row->config.image;
    snprintf(name, sizeof name, known ? "%s" : "%s @%d", row->config.name, row->config.image);
    snprintf(batch, sizeof batch, "%lld/%lld", (long long)s->batch, (long long)s->micro_batch);
    if (s->ms_alone.n) snprintf(alone_spread, sizeof alone_spread, "%.1f%%", bench_spread(&s->ms_alone));
    printf("%-32s %-4s %6s %8s %6.1f%% %8s %7s %7.1f %5.1f %7.0f %8s %6s %6s\n", name, bench_precision_name(row), batch,
           bench_rate(rate, s->images_per_s.median), bench_spread(&s->images_per_s),
           bench_rate(alone, s->ms_alone.median), alone_spread, s->gflop_per_image, s->percent_of_peak.median,
           (double)s->memory * 1e-6, bench_rate(published, paper), bench_times(here, bench_relative(report, row)),
           bench_times(there, relative));
}

/* Says which medians are not known well, and why. */
static void bench_print_doubt(const bench_report *report) {
    int few = 0, noisy = 0, whole = 0;
    for (int i = 0; i < report->n; i++) {
        const eval_speed *s = &report->rows[i].speed;
        few += !s->steady && s->images_per_s.n < 6;
        noisy += !s->steady && s->images_per_s.n >= 6;
        whole += !s->steady && s->images_per_s.n == EVAL_SPEED_SAMPLES;
    }
    if (noisy)
        printf("\nNoisy     %d of %d rows: their medians' 95%% intervals are wider than 3%% (± 1.5%%). End other work "
               "on this\n          machine%s.\n",
               noisy, report->n,
               whole < noisy ? ", or give more --seconds" : "; more samples than these are not taken");
    if (few)
        printf("\nFew       %d of %d rows have under 6 samples, so ± is half the range: more --repeats or --seconds "
               "give 95%% "
               "intervals.\n",
               few, report->n);
}

/* "5", or "5 to 14" */
static const char *bench_range(char text[BENCH_CELL], double low, double high) {
    if (round(low) == round(high))
        snprintf(text, BENCH_CELL, "%.0f", low);
    else
        snprintf(text, BENCH_CELL, "%.0f to %.0f", low, high);
    return text;
}

/* The GEMM peak in a precision, over its rows. */
static void bench_print_peak(const bench_report *report, nn_dtype precision) {
    double low = INFINITY, high = 0;
    char range[BENCH_CELL];
    for (int i = 0; i < report->n; i++) {
        if (report->rows[i].wanted.precision != precision) continue;
        low = fmin(low, report->rows[i].speed.peak_gflops), high = fmax(high, report->rows[i].speed.peak_gflops);
    }
    if (high > 0)
        printf("GEMM peak %s GFLOP/s in %s: 2048 x 2048 products before and after each sample\n",
               bench_range(range, low, high), precision == NN_BF16 ? "bf16" : "f32");
}

/* "throughput: 2 threads as 2 x 1, not pinned, weights of noise"; "or 1 x 2" where rows differ. */
static void bench_print_threads(const bench_report *report) {
    const bench_row *rows = report->rows;
    printf("Measured  %s: %d threads as ", bench_schedule_name(rows), bench_threads(rows));
    for (int i = 0; i < report->n; i++) {
        bool said = false;
        for (int k = 0; k < i; k++) said |= rows[k].speed.workers == rows[i].speed.workers;
        if (!said) printf("%s%d x %d", i ? " or " : "", rows[i].speed.workers, rows[i].speed.threads);
    }
    printf(", not pinned, weights of noise\n");
}

static void bench_print_conditions(const bench_report *report) {
    base_machine machine;
    base_machine_read(&machine);
    json_t *conditions = repro_conditions(report->precision, (int)report->threads);
    const char *date = json_string_value(json_object_get(conditions, "date")),
               *deit = json_string_value(json_object_get(conditions, "deit"));
    char range[BENCH_CELL];
    double fewest = INFINITY, most = 0;
    bool convolutional = false, transformer = false; // over the peak
    for (int i = 0; i < report->n; i++) {
        const eval_speed *s = &report->rows[i].speed;
        fewest = fmin(fewest, s->images_per_s.n), most = fmax(most, s->images_per_s.n);
        bool over = s->percent_of_peak.median > 100, patches = report->rows[i].config.patch > 0;
        convolutional |= over && !patches, transformer |= over && patches;
    }
    printf("\nMachine   %s, %d cores; oneDNN %s uses %s\n", machine.cpu, machine.cores, nn_onednn_version(),
           nn_isa_name());
    bench_print_peak(report, NN_F32);
    bench_print_peak(report, NN_BF16);
    bench_print_threads(report);
    printf(
        "          %s samples, networks in turn, after a warm-up; medians; ±: half the 95%% interval of the median\n",
        bench_range(range, fewest, most));
    printf("          batch: images a pass / images a worker takes at a time; alone: one image, all threads on it\n");
    if (convolutional || transformer)
        printf("          over 100%% of the peak: %s\n", repro_over_peak(convolutional, transformer));
    printf("Software  deit %s, %s\n", deit ? deit : "", date ? date : "");
    printf("Paper     one V100 16 GB, float32, large batch\n");
    json_decref(conditions);
}

DEIT_INTERNAL void bench_print_text(const bench_report *report) {
    printf("%-32s %-4s %6s %16s %16s %7s %5s %7s %8s %13s\n", "", "", "", "images/s", "ms alone", "GFLOP", "% of",
           "memory", "images/s", "over DeiT-B");
    printf("%-32s %-4s %6s %8s %8s %8s %8s %7s %5s %7s %8s %6s %6s\n", "network", "", "batch", "median", "±", "median",
           "±", "/image", "peak", "MB", "paper", "here", "paper");
    for (int i = 0; i < report->n; i++) bench_print_row(report, &report->rows[i]);
    bench_print_doubt(report);
    bench_print_conditions(report);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* low, high: the 95% interval of the median; null where nothing was measured. */
static json_t *bench_spread_json(const base_spread *spread) {
    if (!spread->n) return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:i}", "median", spread->median, "min", spread->min, "max", spread->max,
                     "low", spread->low, "high", spread->high, "samples", spread->n);
}

static json_t *bench_known(double value) {
    return value > 0 ? json_real(value) : json_null();
}

static json_t *bench_row_json(const bench_report *report, const bench_row *row) {
    const eval_speed *s = &row->speed;
    int n = s->images_per_s.n;
    double relative, paper = bench_published(row, &relative);
    json_t *o = json_pack(
        "{s:s, s:s, s:I, s:i, s:s, s:o, s:o, s:b, s:f, s:f, s:f, s:o, s:i, s:i, s:I, s:I, s:o, s:o, "
        "s:o, s:o, s:o, "
        "s:o, s:o}",
        "model", row->config.name, "precision", bench_precision_name(row), "batch", (json_int_t)s->batch, "threads",
        bench_threads(row), "schedule", bench_schedule_name(row), "images_per_s", bench_spread_json(&s->images_per_s),
        "ms_alone", bench_spread_json(&s->ms_alone), "steady", s->steady, "gflop_per_image", s->gflop_per_image,
        "peak_gflops", s->peak_gflops, "percent_of_peak", s->percent_of_peak.median, "percent_of_peak_spread",
        bench_spread_json(&s->percent_of_peak), "workers", s->workers, "threads_per_worker", s->threads, "micro_batch",
        (json_int_t)s->micro_batch, "memory_bytes", (json_int_t)s->memory, "published_images_per_s", bench_known(paper),
        "published_relative_to_deit_base", bench_known(relative), "relative_to_deit_base",
        bench_known(bench_relative(report, row)), "samples", base_json_reals(s->sample, n), "samples_percent_of_peak",
        base_json_reals(s->sample_percent, n), "samples_peak_gflops", base_json_reals(s->sample_peak, n),
        "samples_ms_alone", base_json_reals(s->sample_alone, s->ms_alone.n));
    cli_network_json(&row->config, o);
    return o;
}

DEIT_INTERNAL json_t *bench_json(const bench_report *report) {
    json_t *conditions = repro_conditions(report->precision, (int)report->threads), *array = json_array();
    json_object_set_new(conditions, "repeats", json_integer(report->repeats));
    json_object_set_new(conditions, "seconds", json_real(report->seconds));
    json_object_set_new(conditions, "weights", json_string("noise"));
    json_object_set_new(conditions, "peak",
                        json_string("2048 x 2048 x 2048 matrix products before and after each sample"));
    for (int i = 0; i < report->n; i++) json_array_append_new(array, bench_row_json(report, &report->rows[i]));
    return json_pack("{s:o, s:o}", "conditions", conditions, "rows", array);
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

static void bench_csv_spread(base_text *text, const base_spread *s) {
    if (s->n)
        base_text_printf(text, "%.6g,%.6g,%.6g,%d,", s->median, s->low, s->high, s->n);
    else
        base_text_printf(text, ",,,0,");
}

static void bench_csv_known(base_text *text, double value) {
    if (value > 0) base_text_printf(text, "%.6g", value);
    base_text_printf(text, ",");
}

static void bench_csv_row(const bench_report *report, const bench_row *row, base_text *text) {
    const eval_speed *s = &row->speed;
    double relative, paper = bench_published(row, &relative);
    const model_config *c = &row->config;
    base_text_printf(text, "%s,%d,%d,", c->name, c->image, c->classes);
    if (c->patch)
        base_text_printf(text, "%d,%d,%d,%d,%s,", c->patch, c->dim, c->depth, c->heads, c->distilled ? "yes" : "no");
    else
        base_text_printf(text, ",,,,,");
    base_text_printf(text, "%s,%s,%lld,%lld,%d,%d,", bench_precision_name(row), bench_schedule_name(row),
                     (long long)s->batch, (long long)s->micro_batch, s->workers, s->threads);
    bench_csv_spread(text, &s->images_per_s);
    bench_csv_spread(text, &s->ms_alone);
    base_text_printf(text, "%s,%.6g,%.6g,%.6g,%lld,", s->steady ? "yes" : "no", s->gflop_per_image,
                     s->percent_of_peak.median, s->peak_gflops, (long long)s->memory);
    bench_csv_known(text, paper);
    bench_csv_known(text, bench_relative(report, row));
    bench_csv_known(text, relative);
}

DEIT_INTERNAL void bench_csv(const bench_report *report, base_text *text) {
    json_t *conditions = repro_conditions(report->precision, (int)report->threads);
    base_text_printf(text, "model,image,classes,patch,dim,depth,heads,distilled,precision,schedule,batch,micro_batch,"
                           "workers,threads_per_worker,"
                           "images_per_s,images_per_s_low,images_per_s_high,images_per_s_samples,"
                           "ms_alone,ms_alone_low,ms_alone_high,ms_alone_samples,steady,gflop_per_image,"
                           "percent_of_peak,peak_gflops,memory_bytes,published_images_per_s,relative_to_deit_base,"
                           "published_relative_to_deit_base");
    const char *const names[] = {"cpu", "isa", "onednn", "deit", "date"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) base_text_printf(text, ",%s", names[k]);
    base_text_printf(text, "\n");
    for (int i = 0; i < report->n; i++) {
        bench_csv_row(report, &report->rows[i], text);
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            const char *value = json_string_value(json_object_get(conditions, names[k]));
            base_text_printf(text, "%s\"%s\"", k ? "," : "", value ? value : "");
        }
        base_text_printf(text, "\n");
    }
    json_decref(conditions);
}
