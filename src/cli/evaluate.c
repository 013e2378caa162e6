/* deit eval: accuracy on a data set. */
#include "cli/internal.h"
#include "repro/repro.h"

#include <string.h>

static struct {
    const char *real;
    double crop;
    bool json;
} evaluate_given;

/* What was measured, beside the result itself. */
typedef struct {
    const model_net *net;
    const char *weights;
    char sha256[65];
    int64_t batch;
    eval_result result;
} evaluate_report;

static void evaluate_print_text(const evaluate_report *report) {
    const eval_result *r = &report->result;
    char conditions[160];
    printf("top-1     %.3f %%\n", r->top1);
    printf("top-5     %.3f %%\n", r->top5);
    if (r->real >= 0) printf("ReaL      %.3f %%  of %lld images\n", r->real, (long long)r->real_images);
    printf("loss      %.4f  (mean of batches of %lld)\n", r->loss, (long long)report->batch);
    printf("images    %lld", (long long)r->images);
    if (r->bad) printf(", and %lld bad files", (long long)r->bad);
    printf("\nimages/s  %.1f  (%s)\n", r->images_per_s, cli_conditions(report->net, conditions));
    printf("model     %s\nweights   %s\n          sha256 %s\n", report->net->config.name, report->weights,
           report->sha256);
    printf("data      %s\n", cli_data_options()->path);
}

static base_status evaluate_print_json(const evaluate_report *report) {
    const eval_result *r = &report->result;
    const model_net *net = report->net;
    bool bf16 = net->options.precision == NN_BF16;
    json_t *json =
        json_pack("{s:o, s:s, s:o, s:s, s:o, s:o*, s:I, s:I, s:f, s:f, s:o, s:I, s:f, s:f}", "conditions",
                  repro_conditions(bf16 ? "bf16" : "f32", net->options.threads), "model", net->config.name, "weights",
                  base_json_text(report->weights), "weights_sha256", report->sha256, "data",
                  base_json_text(cli_data_options()->path), "split", base_json_text(cli_data_options()->split),
                  "images", (json_int_t)r->images, "bad", (json_int_t)r->bad, "top1", r->top1, "top5", r->top5, "loss",
                  base_json_real(r->loss), "loss_batch", (json_int_t)report->batch, "images_per_s", r->images_per_s,
                  "loader_cpu_seconds", r->loader_seconds);
    if (json && r->real >= 0)
        json_object_set_new(json, "real", json_real(r->real)),
            json_object_set_new(json, "real_images", json_integer(r->real_images));
    return cli_print_json(json);
}

static base_status evaluate_run(int count, char **arguments) {
    (void)count, (void)arguments;
    evaluate_report report = {.batch = cli_batch(EVAL_BATCH)};
    data_set *set = NULL;
    model_net *net = NULL;
    char *weights = NULL;
    model_config config;
    BASE_TRY(cli_network(NULL, &config));
    BASE_TRY(cli_check_batch(&config, report.batch, NULL));
    BASE_TRY(cli_data_open(&set, "eval"));
    base_status status = data_check_classes(set, config.classes, config.name);
    if (!status) status = cli_net(&net, &weights, report.batch, false);
    if (!status) status = base_sha256_file(weights, NULL, report.sha256);
    if (!status && cli_given(&evaluate_given.crop)) net->config.crop = evaluate_given.crop;
    eval_options options = cli_eval_options();
    options.real = evaluate_given.real;
    if (!status) status = eval_accuracy(&report.result, net, set, &options, cli_context());
    cli_progress_end();
    report.net = net, report.weights = weights;
    if (!status && evaluate_given.json)
        status = evaluate_print_json(&report);
    else if (!status)
        evaluate_print_text(&report);
    model_net_free(net);
    base_free(weights);
    data_close(set);
    return status;
}

DEIT_INTERNAL const cli_command *cli_eval(void) {
    static const cli_flag flags[] = {
        {"real", CLI_FILE, &evaluate_given.real, .help = "real.json: ReaL accuracy too"},
        {"eval-crop-ratio", CLI_REAL, &evaluate_given.crop,
         .help = "part of the resized side that the centre crop takes, above 32 pixels; without it the network's own",
         .min = 0.1, .max = 1},
        {"json", CLI_YES, &evaluate_given.json, .help = "print JSON"},
        {0},
    };
    static const cli_command command = {
        .name = "eval",
        .summary = "accuracy on a data set",
        .arguments = "",
        .about =
            "  deit eval --model deit_tiny_patch16_224 --data imagenet/val\n"
            "  deit eval --model deit_base_patch16_224 --data ILSVRC2012_img_val.tar --labels val.txt --real real.json",
        .groups = CLI_NETWORK | CLI_WEIGHTS | CLI_RUNNING | CLI_HEAD | CLI_DATA,
        .flags = flags,
        .run = evaluate_run};
    return &command;
}
