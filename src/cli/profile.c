/* deit profile: where the time of a pass goes, step by step. */
#include "cli/cli.h"
#include "eval/eval.h"
#include "repro/repro.h"

#include <string.h>

enum { PROFILE_KINDS = 32 };
static struct {
    int64_t repeats;
    bool json;
} profile_given = {.repeats = 9};

/* Steps of one operator together. */
typedef struct {
    const char *op;
    int n;
    double seconds, flops, bytes;
} profile_kind;

static const char *profile_shape(const nn_step *step, char text[64]) {
    int at = 0;
    text[0] = 0;
    for (int i = 0; i < step->ndim && at < 48; i++)
        at += snprintf(text + at, 64 - (size_t)at, i ? "x%lld" : "%lld", (long long)step->dim[i]);
    return text;
}

/* "1.234  5.6  98.7  61  34.5  12.3": ms, % of the time, GFLOP/s, % of the peak, MB, GB/s */
static void profile_numbers(double seconds, double flops, double bytes, const eval_profile *profile) {
    printf("%9.3f %5.1f", seconds * 1e3, 100 * seconds / profile->seconds);
    if (flops > 0 && seconds > 0)
        printf(" %8.1f %5.0f", flops / seconds * 1e-9, 100 * flops / seconds * 1e-9 / profile->peak_gflops);
    else
        printf(" %8s %5s", "-", "-");
    printf(" %8.2f %7.1f", bytes * 1e-6, seconds > 0 ? bytes / seconds * 1e-9 : 0);
}

static int profile_sum(const eval_profile *profile, profile_kind kinds[PROFILE_KINDS]) {
    int n = 0;
    for (int i = 0; i < profile->n; i++) {
        const nn_step *step = &profile->steps[i];
        int k = 0;
        while (k < n && strcmp(kinds[k].op, step->op) != 0) k++;
        if (k == PROFILE_KINDS) continue;
        if (k == n) kinds[n++] = (profile_kind){.op = step->op};
        kinds[k].n++, kinds[k].seconds += step->seconds, kinds[k].flops += step->flops, kinds[k].bytes += step->bytes;
    }
    return n;
}

static void profile_print(const model_net *net, const eval_profile *profile) {
    char text[160], shape[64];
    printf("%s: %s\n", net->config.name, cli_conditions(net, text));
    printf("%.1f images/s; a pass of %lld image%s on one worker takes %.2f ms; GEMM peak of a worker %.1f GFLOP/s\n\n",
           profile->images_per_s, (long long)net->micro_batch, net->micro_batch == 1 ? "" : "s", profile->seconds * 1e3,
           profile->peak_gflops);
    const char *head = "       ms     %  GFLOP/s %peak       MB    GB/s";
    printf("%-17s %-36s %-17s%s  kernel\n", "step", "first parameter", "value", head);
    for (int i = 0; i < profile->n; i++) {
        const nn_step *step = &profile->steps[i];
        if (step->seconds <= 0) continue;
        printf("%-17.17s %-36.36s %-17s", step->op, step->param, profile_shape(step, shape));
        profile_numbers(step->seconds, step->flops, step->bytes, profile);
        printf("  %s\n", step->kernel);
    }
    profile_kind kinds[PROFILE_KINDS];
    int n = profile_sum(profile, kinds);
    printf("\n%-17s %-54s%s\n", "operator", "steps", head);
    for (int k = 0; k < n; k++) {
        if (kinds[k].seconds <= 0) continue;
        printf("%-17.17s %-54d", kinds[k].op, kinds[k].n);
        profile_numbers(kinds[k].seconds, kinds[k].flops, kinds[k].bytes, profile);
        printf("\n");
    }
}

static base_status profile_json(const model_net *net, const eval_profile *profile) {
    json_t *rows = json_array();
    for (int i = 0; i < profile->n; i++) {
        const nn_step *step = &profile->steps[i];
        json_t *dims = json_array();
        for (int d = 0; d < step->ndim; d++) json_array_append_new(dims, json_integer(step->dim[d]));
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:o, s:f, s:f, s:f}", "op", step->op, "param",
                                              step->param, "kernel", step->kernel, "value", dims, "seconds",
                                              step->seconds, "flops", step->flops, "bytes", step->bytes));
    }
    const char *precision = net->options.precision == NN_BF16 ? "bf16" : "f32";
    json_t *o =
        json_pack("{s:o, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:f, s:f, s:o}", "conditions",
                  repro_conditions(precision, net->workers * net->threads), "model", net->config.name, "isa",
                  nn_isa_name(), "precision", precision, "workers", net->workers, "threads_per_worker", net->threads,
                  "batch", (json_int_t)net->options.batch, "micro_batch", (json_int_t)net->micro_batch, "images_per_s",
                  profile->images_per_s, "worker_peak_gflops", profile->peak_gflops, "steps", rows);
    cli_network_json(&net->config, o);
    return cli_print_json(o);
}

static base_status profile_run_command(int n, char **arguments) {
    model_config config;
    model_options options;
    model_net *net;
    eval_profile profile;
    if (n && cli_model_given())
        return base_fail_as(BASE_USAGE, "profile: expected one network, found %s and --model %s; leave one out",
                            arguments[0], cli_model_given());
    BASE_TRY(cli_network(n ? arguments[0] : NULL, &config));
    BASE_TRY(cli_options(&options));
    if (!options.batch) options.batch = options.schedule == MODEL_LATENCY ? 1 : 8;
    BASE_TRY(cli_check_batch(&config, options.batch, &options.beside));
    BASE_TRY(model_net_new(&net, &config, NULL, &options));
    base_status status = eval_profile_measure(&profile, net, (int)profile_given.repeats, cli_context());
    if (!status) {
        if (profile_given.json)
            status = profile_json(net, &profile);
        else
            profile_print(net, &profile);
        eval_profile_free(&profile);
    }
    model_net_free(net);
    return status;
}

DEIT_INTERNAL const cli_command *cli_profile(void) {
    static const cli_flag flags[] = {
        {"repeats", CLI_INT, &profile_given.repeats, .help = "passes, of which each step's median time counts",
         .min = 1, .max = 1000},
        {"json", CLI_YES, &profile_given.json, .help = "print JSON"},
        {0},
    };
    static const cli_command command = {.name = "profile",
                                        .summary = "where the time of a pass goes, operator by operator",
                                        .arguments = "[MODEL]",
                                        .about = "  deit profile deit_base_patch16_224\n"
                                                 "  deit profile resnet50 --schedule latency --threads 1\n\n"
                                                 "Times are of one pass on one worker, with all workers running. MB: "
                                                 "values and weights that a step reads and\n"
                                                 "writes, each once. Weights are random.",
                                        .most = 1,
                                        .models = true,
                                        .groups = CLI_NETWORK | CLI_RUNNING,
                                        .flags = flags,
                                        .run = profile_run_command};
    return &command;
}
