/* deit bench --training: images a second of whole training steps. */
#include "cli/bench.h"
#include "cli/output.h"
#include "repro/repro.h"
#include "train/train.h"

#include <string.h>

static json_t *bench_training_row(const bench_training_case *c, const model_config *config, const train_speed *s) {
    return json_pack("{s:s, s:i, s:s, s:I, s:i, s:{s:f, s:f, s:f, s:i}, s:f, s:f, s:f, s:I}", "model", config->name,
                     "image", config->image, "precision", c->precision == NN_BF16 ? "bf16" : "f32", "batch",
                     (json_int_t)c->batch, "threads", s->threads, "images_per_s", "median", s->images_per_s.median,
                     "min", s->images_per_s.min, "max", s->images_per_s.max, "samples", s->images_per_s.n,
                     "gflop_per_image", 3 * s->gflop_per_image, "peak_gflops", s->peak_gflops, "percent_of_peak",
                     s->percent_of_peak.median, "memory_bytes", (json_int_t)s->memory);
}

static void bench_training_print(const bench_training_case *c, const model_config *config, const train_speed *s) {
    printf("%-32s %-4s %5lld %8.2f %6.1f%% %7.1f %5.1f %7.0f\n", config->name, c->precision == NN_BF16 ? "bf16" : "f32",
           (long long)c->batch, s->images_per_s.median,
           50 * (s->images_per_s.max - s->images_per_s.min) / s->images_per_s.median, 3 * s->gflop_per_image,
           s->percent_of_peak.median, (double)s->memory * 1e-6);
}

static base_status bench_training_one(const bench_training_case *c, const model_config *config, json_t *rows) {
    train_speed speed;
    train_net_options options = {.batch = c->batch, .threads = c->threads, .precision = c->precision};
    BASE_TRY(train_speed_measure(config, &options, c->steps, &speed, cli_context()));
    cli_progress_end();
    if (rows) return json_array_append_new(rows, bench_training_row(c, config, &speed)) ? BASE_ERROR : BASE_OK;
    bench_training_print(c, config, &speed);
    return BASE_OK;
}

DEIT_INTERNAL base_status bench_training(const bench_training_case *c, const model_config *configs, int n, bool json,
                                         const char *file) {
    json_t *rows = json ? json_array() : NULL;
    base_status status = json && !rows ? BASE_ERROR : BASE_OK;
    if (!json)
        printf("%-32s %-4s %5s %8s %7s %7s %5s %7s\n", "network, training", "", "batch", "images/s", "±", "GFLOP",
               "% of", "memory"),
            printf("%-32s %-4s %5s %8s %7s %7s %5s %7s\n", "", "", "", "median", "", "/image", "peak", "MB");
    for (int i = 0; i < n && !status; i++) status = bench_training_one(c, &configs[i], rows);
    if (status || !json) {
        json_decref(rows);
        if (!status)
            printf("\n%d steps of forward, backward and AdamW each, after one to warm up; ±: half the range; GFLOP: 3 "
                   "times the forward's\n",
                   c->steps);
        return status;
    }
    const char *precision = c->precision == NN_BF16 ? "bf16" : "f32";
    return cli_output_json(
        file, json_pack("{s:o, s:o}", "conditions", repro_conditions(precision, c->threads), "rows", rows));
}
