/* deit tokens: how alike the class and the distillation token are, layer by layer. */
#include "cli/internal.h"
#include "eval/eval.h"
#include "repro/repro.h"

#include <string.h>

static struct {
    const char *data, *split, *labels;
    int64_t images, max_bad;
    int fit;
    bool json;
} similarity_given;
static const char *const similarity_fits[] = {"none", "pad", "resize", NULL}; // in image_fit's order

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
           report->sha256, similarity_given.data);
}

static base_status similarity_print_json(const similarity_report *report, const model_net *net) {
    const eval_tokens *r = &report->result;
    json_t *layers = json_array();
    for (int i = 0; i < r->layers - 1; i++) json_array_append_new(layers, json_real(r->cosine[i]));
    return cli_print_json(
        json_pack("{s:o, s:s, s:o, s:s, s:o, s:o*, s:I, s:I, s:f, s:o, s:f, s:f}", "conditions",
                  repro_conditions(net->options.precision == NN_BF16 ? "bf16" : "f32", net->options.threads), "model",
                  report->config.name, "weights", base_json_text(report->path), "weights_sha256", report->sha256,
                  "data", base_json_text(similarity_given.data), "split", base_json_text(similarity_given.split),
                  "images", (json_int_t)r->images, "bad", (json_int_t)r->bad, "learned", r->learned, "layers", layers,
                  "last", r->cosine[r->layers - 2], "norm", r->cosine[r->layers - 1]));
}

static base_status similarity_measure(similarity_report *report, model_weights *weights, data_set *set) {
    model_options options;
    model_net *net;
    const eval_options how = {
        .batch = cli_batch(0), .max_bad = similarity_given.max_bad, .fit = (image_fit)similarity_given.fit};
    BASE_TRY(cli_options(&options));
    if (!options.batch) options.batch = cli_batch(96);
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
    if (!similarity_given.data) return base_fail_as(BASE_USAGE, "tokens: expected --data PATH");
    const data_options where = {
        .path = similarity_given.data, .labels = similarity_given.labels, .split = similarity_given.split};
    similarity_report report = {.path = NULL};
    data_set *set = NULL;
    model_weights *weights = NULL;
    BASE_TRY(cli_network(NULL, &report.config));
    BASE_TRY(data_open(&set, &where, cli_context()));
    base_status status = cli_weights_path(&report.config, &report.path);
    if (!status) status = cli_weights_open(&weights, &report.config, report.path);
    if (!status) status = base_sha256_file(report.path, report.sha256);
    if (!status) status = similarity_measure(&report, weights, set);
    model_weights_close(weights);
    base_free(report.path);
    data_close(set);
    return status;
}

DEIT_INTERNAL const cli_command *cli_tokens(void) {
    static const cli_flag flags[] = {
        {"data", CLI_FILE, &similarity_given.data, .help = "a data set, as in eval", .word = "PATH"},
        {"split", CLI_TEXT, &similarity_given.split, .help = "the part to take; without it val, where there is one",
         .word = "NAME"},
        {"labels", CLI_FILE, &similarity_given.labels, .help = "of files without class folders, as in eval"},
        {"images", CLI_INT, &similarity_given.images, .help = "so many, spread over the set; without it all", .min = 1,
         .max = 1e9},
        {"max-bad", CLI_INT, &similarity_given.max_bad, .help = "files that may be unreadable (default 0)", .min = 0,
         .max = 1e9},
        {"fit", CLI_CHOICE, &similarity_given.fit,
         .help = "to 32 pixels and less, where pictures are not resized otherwise", .choices = similarity_fits},
        {"json", CLI_YES, &similarity_given.json, .help = "print JSON"},
        {0},
    };
    static const cli_command command = {
        .name = "tokens",
        .summary = "cosine of the class and the distillation token, layer by layer",
        .arguments = "",
        .about = "  deit tokens --model deit_base_distilled_patch16_224 --data imagenet/val --images 1000",
        .groups = CLI_NETWORK | CLI_WEIGHTS | CLI_RUNNING,
        .flags = flags,
        .run = similarity_run};
    return &command;
}
