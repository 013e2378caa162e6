/* deit positions: how long position embeddings are, as learned and at another resolution. */
#include "cli/internal.h"
#include "eval/eval.h"
#include "repro/repro.h"

static struct { bool json; } positions_given;

static base_status positions_print(const model_config *config, const char *path, const eval_positions *r) {
    char sha256[65];
    BASE_TRY(base_sha256_file(path, NULL, sha256));
    if (positions_given.json)
        return cli_print_json(json_pack("{s:s, s:o, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:f}", "model", config->name,
                                        "weights", base_json_text(path), "weights_sha256", sha256, "from", r->from,
                                        "to", r->to, "norm", r->before, "bicubic", r->bicubic, "bilinear", r->bilinear,
                                        "bicubic_ratio", r->bicubic / r->before, "bilinear_ratio",
                                        r->bilinear / r->before));
    printf("%-18s %8s %8s\n", "", "norm", "ratio");
    printf("%-18s %8.4f\n", "as learned", r->before);
    printf("%-18s %8.4f %8.4f\n%-18s %8.4f %8.4f\n", "bicubic", r->bicubic, r->bicubic / r->before, "bilinear",
           r->bilinear, r->bilinear / r->before);
    printf("\nmean l2 norm of position vectors, %d x %d made %d x %d\n", r->from, r->from, r->to, r->to);
    printf("model     %s\nweights   %s\n          sha256 %s\n", config->name, path, sha256);
    return BASE_OK;
}

static base_status positions_run(int n, char **arguments) {
    (void)n, (void)arguments;
    model_config config;
    model_weights *weights = NULL;
    eval_positions result;
    char *path = NULL;
    BASE_TRY(cli_network(NULL, &config));
    if (!config.patch)
        return base_fail_as(BASE_USAGE, "positions: %s is no transformer and has no positions", config.name);
    base_status status = cli_weights_path(&config, &path);
    if (!status) status = cli_weights_open(&weights, &config, path);
    if (!status) status = eval_position_norms(&result, weights, config.image / config.patch, config.dim);
    if (!status) status = positions_print(&config, path, &result);
    model_weights_close(weights);
    base_free(path);
    return status;
}

DEIT_INTERNAL const cli_command *cli_positions(void) {
    static const cli_flag flags[] = {{"json", CLI_YES, &positions_given.json, .help = "print JSON"}, {0}};
    static const cli_command command = {
        .name = "positions",
        .summary = "length of position embeddings, as learned and interpolated to --image",
        .arguments = "",
        .about = "  deit positions --model deit_base_patch16_224 --image 384\n"
                 "  deit eval --model deit_base_patch16_224 --image 384 --positions bilinear ...    what that does to "
                 "accuracy",
        .groups = CLI_NETWORK | CLI_WEIGHTS,
        .flags = flags,
        .run = positions_run};
    return &command;
}
