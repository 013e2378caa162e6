/* deit tokens: how alike the class and the distillation token are, layer by layer. */
#include "cli/internal.h"
#include "repro/repro.h"

#include <string.h>

static struct {
    int64_t images;
    bool json;
} similarity_given;

typedef struct {
    model_config config;
    char *path; // of the weights; base_malloc'd
    char sha256[65];
    eval_tokens result;
} similarity_report;

static void similarity_print_text(const similarity_report *report) {
    const eval_tokens *r = &report->result;
    printf("%-18s %8s\n%-18s %8.4f\n%-18s %8.4f\n", "", "cosine", "learned", r->learned, "with positions",
           r->cosine[0]);
    for (int i = 1; i < r->layers - 1; i++) printf("after block %-6d %8.4f\n", i, r->cosine[i]);
    printf("%-18s %8.4f\n", "after the norm", r->cosine[r->layers - 1]);
    printf("\nof the class and the distillation token; the mean of %lld images\n", (long long)r->images);
    printf("model     %s\nweights   %s\n          sha256 %s\ndata      %s\n", report->config.name, report->path,
           report->sha256, cli_data_options()->path);
}

static base_status similarity_print_json(const similarity_report *report, const model_net *net) {
    const eval_tokens *r = &report->result;
    json_t *layers = json_array();
    for (int i = 0; i < r->layers - 1; i++) json_array_append_new(layers, json_real(r->cosine[i]));
    return cli_print_json(
        json_pack("{s:o, s:s, s:o, s:s, s:o, s:o*, s:I, s:I, s:f, s:o, s:f, s:f}", "conditions",
                  repro_conditions(net->options.precision == NN_BF16 ? "bf16" : "f32", net->options.threads), "model",
                  report->config.name, "weights", base_json_text(report->path), "weights_sha256", report->sha256,
                  "data", base_json_text(cli_data_options()->path), "split", base_json_text(cli_data_options()->split),
                  "images", (json_int_t)r->images, "bad", (json_int_t)r->bad, "learned", r->learned, "layers", layers,
                  "last", r->cosine[r->layers - 2], "norm", r->cosine[r->layers - 1]));
}

static base_status similarity_measure(similarity_report *report, model_weights *weights, data_set *set) {
    model_options options;
    model_net *net;
    const eval_options how = cli_eval_options();
    BASE_TRY(cli_options(&options));
    if (!options.batch) options.batch = EVAL_BATCH;
    BASE_TRY(model_token_net_new(&net, &report->config, weights, &options));
    base_status status =
        eval_token_similarity(&report->result, net, weights, set, similarity_given.images, &how, cli_context());
    cli_progress_end();
    if (!status && similarity_given.json)
        status = similarity_print_json(report, net);
    else if (!status)
        similarity_print_text(report);
    model_net_free(net);
    return status;
}

static base_status similarity_run(int n, char **arguments) {
    (void)n, (void)arguments;
    similarity_report report = {.path = NULL};
    data_set *set = NULL;
    model_weights *weights = NULL;
    BASE_TRY(cli_network(NULL, &report.config));
    BASE_TRY(cli_data_open(&set, "tokens"));
    base_status status = cli_weights_path(&report.config, &report.path);
    if (!status) status = cli_weights_open(&weights, &report.config, report.path);
    if (!status) status = base_sha256_file(report.path, NULL, report.sha256);
    if (!status) status = similarity_measure(&report, weights, set);
    model_weights_close(weights);
    base_free(report.path);
    data_close(set);
    return status;
}

DEIT_INTERNAL const cli_command *cli_tokens(void) {
    static const cli_flag flags[] = {
        {"images", CLI_INT, &similarity_given.images, .help = "so many, spread over the set; without it all", .min = 1,
         .max = 1e9},
        {"json", CLI_YES, &similarity_given.json, .help = "print JSON"},
        {0},
    };
    static const cli_command command = {
        .name = "tokens",
        .summary = "cosine of the class and the distillation token, layer by layer",
        .arguments = "",
        .about = "  deit tokens --model deit_base_distilled_patch16_224 --data imagenet/val --images 1000",
        .groups = CLI_NETWORK | CLI_WEIGHTS | CLI_RUNNING | CLI_DATA,
        .flags = flags,
        .run = similarity_run};
    return &command;
}
