/* deit disagree: how often networks answer differently over a data set. */
#include "cli/internal.h"
#include "repro/repro.h"

#include <stdlib.h>
#include <string.h>

static struct {
    int64_t image;
    bool json;
} disagree_given;

/* One of the networks: "[NAME=]MODEL[:FILE]". */
typedef struct {
    char name[64], model[64];
    char *weights; // base_malloc'd
    char sha256[65];
    model_net *net;
} disagree_net;
typedef struct {
    disagree_net nets[EVAL_MOST_NETS];
    int n;
    data_set *set;
    eval_disagreement result;
} disagree_report;

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

static base_status disagree_parse(disagree_net *net, const char *text) {
    const char *colon = strchr(text, ':'), *end = colon ? colon : text + strlen(text);
    const char *equals = memchr(text, '=', (size_t)(end - text)), *model = equals ? equals + 1 : text;
    size_t name = equals ? (size_t)(equals - text) : (size_t)(end - model), size = (size_t)(end - model);
    if (!name || !size || name >= sizeof net->name || size >= sizeof net->model || (colon && !colon[1]))
        return base_fail_as(BASE_USAGE, "disagree: expected [NAME=]MODEL[:WEIGHTS], found '%s'", text);
    snprintf(net->name, sizeof net->name, "%.*s", (int)name, text);
    snprintf(net->model, sizeof net->model, "%.*s", (int)size, model);
    if (!colon) return BASE_OK;
    return (net->weights = base_strdup(colon + 1)) ? BASE_OK : BASE_ERROR;
}

/* The image size that a file was trained at, where it says so: of those that deit wrote. */
static base_status disagree_image(const char *path, int *image) {
    store *s;
    BASE_TRY(store_open(&s, path));
    const char *text = store_metadata(s, "input_size");
    if (text) *image = atoi(text);
    store_close(s);
    return BASE_OK;
}

/* What the network is: by its name, or of a vit by what its file says. */
static base_status disagree_config(disagree_net *net, int classes, model_config *config) {
    if (strcmp(net->model, "vit") != 0) {
        BASE_TRY(model_find(net->model, config));
        if (net->weights) BASE_TRY(disagree_image(net->weights, &config->image));
    } else if (net->weights)
        BASE_TRY(model_weights_config(net->weights, config));
    else
        return base_fail_as(BASE_USAGE, "disagree: vit: expected vit:WEIGHTS, a file that deit wrote");
    if (disagree_given.image) config->image = (int)disagree_given.image;
    config->classes = classes;
    return config->family->check(config) ? BASE_USAGE : BASE_OK;
}

static base_status disagree_open(disagree_net *net, int classes) {
    model_config config;
    model_options options;
    model_weights *weights;
    BASE_TRY(disagree_config(net, classes, &config));
    BASE_TRY(cli_options(&options));
    options.batch = cli_batch(EVAL_BATCH), options.head = MODEL_HEAD_EACH;
    BASE_TRY(cli_check_batch(&config, options.batch, &options.beside));
    if (!net->weights) BASE_TRY(cli_weights_path(&config, &net->weights));
    BASE_TRY(base_sha256_file(net->weights, NULL, net->sha256));
    BASE_TRY(model_weights_open(&weights, &config, net->weights, NULL, cli_context()));
    base_status status = model_net_new(&net->net, &config, weights, &options);
    model_weights_close(weights);
    return status;
}

/* "truth", "deit", "distilled-class": what a classifier is called. net: NULL for the truth. */
static const char *disagree_name(const disagree_net *net, model_head head, char text[80]) {
    static const char *const heads[] = {"both", "class", "distil"}; // in model_head's order
    if (net && net->net->config.distilled)
        snprintf(text, 80, "%s-%s", net->name, heads[head]);
    else
        snprintf(text, 80, "%s", net ? net->name : "truth");
    return text;
}

static base_status disagree_names(disagree_report *report, int n, char **arguments) {
    for (int i = 0; i < n; i++) {
        BASE_TRY(disagree_parse(&report->nets[i], arguments[i]));
        report->n++;
        for (int k = 0; k < i; k++)
            if (!strcmp(report->nets[i].name, report->nets[k].name))
                return base_fail_as(BASE_USAGE, "disagree: two networks are called '%s': name them, NAME=%s",
                                    report->nets[i].name, arguments[i]);
    }
    return BASE_OK;
}

/* With their heads, and beside the truth, the classifiers' names must differ too. */
static base_status disagree_check_names(const disagree_report *report) {
    char names[1 + 3 * EVAL_MOST_NETS][80] = {"truth"};
    int n = 1;
    for (int i = 0; i < report->n; i++) {
        const disagree_net *net = &report->nets[i];
        for (int k = 0; k < (net->net->config.distilled ? 3 : 1); k++) {
            disagree_name(net, (model_head)k, names[n]);
            for (int j = 0; j < n; j++)
                if (!strcmp(names[j], names[n]))
                    return base_fail_as(BASE_USAGE,
                                        "disagree: two columns would be called '%s': call the networks "
                                        "otherwise, NAME=MODEL",
                                        names[n]);
            n++;
        }
    }
    return BASE_OK;
}

/* ---- The result -------------------------------------------------------------------------------------------------- */

static const char *disagree_classifier(const disagree_report *report, int i, char text[80]) {
    const eval_classifier *c = &report->result.classifiers[i];
    return disagree_name(c->net < 0 ? NULL : &report->nets[c->net], c->head, text);
}

static double disagree_share(const disagree_report *report, int a, int b) {
    return (double)report->result.differ[a][b] / (double)report->result.images;
}

static void disagree_print_text(const disagree_report *report) {
    const eval_disagreement *r = &report->result;
    char name[80];
    int wide = 5;
    for (int i = 0; i < r->n; i++) {
        int size = (int)strlen(disagree_classifier(report, i, name));
        if (size > wide) wide = size;
    }
    printf("%-*s", wide, "");
    for (int i = 0; i < r->n; i++) printf("  %*s", wide, disagree_classifier(report, i, name));
    printf("\n");
    for (int a = 0; a < r->n; a++) {
        printf("%-*s", wide, disagree_classifier(report, a, name));
        for (int b = 0; b < r->n; b++) printf("  %*.4f", wide, disagree_share(report, a, b));
        printf("\n");
    }
    printf("\nshare of the %lld images of %s that the two answer differently\n", (long long)r->images,
           cli_data_options()->path);
    if (r->bad) printf("%lld bad files were left out\n", (long long)r->bad);
    for (int i = 0; i < report->n; i++)
        printf("%-*s  %s, sha256 %s\n", wide, report->nets[i].name, report->nets[i].weights, report->nets[i].sha256);
}

static json_t *disagree_rows(const disagree_report *report) {
    char name[80];
    json_t *rows = json_object();
    for (int a = 0; a < report->result.n; a++) {
        json_t *row = json_object();
        for (int b = 0; b < report->result.n; b++)
            json_object_set_new(row, disagree_classifier(report, b, name), json_real(disagree_share(report, a, b)));
        json_object_set_new(rows, disagree_classifier(report, a, name), row);
    }
    return rows;
}

static base_status disagree_print_json(const disagree_report *report) {
    json_t *nets = json_array();
    const model_options *options = &report->nets[0].net->options;
    for (int i = 0; i < report->n; i++)
        json_array_append_new(nets, json_pack("{s:o, s:s, s:o, s:s}", "name", base_json_text(report->nets[i].name),
                                              "model", report->nets[i].net->config.name, "weights",
                                              base_json_text(report->nets[i].weights), "weights_sha256",
                                              report->nets[i].sha256));
    return cli_print_json(json_pack("{s:o, s:o, s:o*, s:I, s:I, s:o, s:o}", "conditions",
                                    repro_conditions(options->precision == NN_BF16 ? "bf16" : "f32", options->threads),
                                    "data", base_json_text(cli_data_options()->path), "split",
                                    base_json_text(cli_data_options()->split), "images",
                                    (json_int_t)report->result.images, "bad", (json_int_t)report->result.bad,
                                    "networks", nets, "disagreement", disagree_rows(report)));
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

static base_status disagree_measure(disagree_report *report) {
    model_net *nets[EVAL_MOST_NETS];
    const eval_options options = cli_eval_options();
    BASE_TRY(cli_data_open(&report->set, "disagree"));
    for (int i = 0; i < report->n; i++) {
        BASE_TRY(disagree_open(&report->nets[i], data_classes(report->set)));
        nets[i] = report->nets[i].net;
    }
    BASE_TRY(disagree_check_names(report));
    return eval_disagree(&report->result, nets, report->n, report->set, &options, cli_context());
}

static base_status disagree_run(int n, char **arguments) {
    disagree_report report = {0};
    if (n > EVAL_MOST_NETS)
        return base_fail_as(BASE_USAGE, "disagree: expected at most %d networks, found %d", EVAL_MOST_NETS, n);
    base_status status = disagree_names(&report, n, arguments);
    if (!status) status = disagree_measure(&report);
    cli_progress_end();
    if (!status && disagree_given.json)
        status = disagree_print_json(&report);
    else if (!status)
        disagree_print_text(&report);
    for (int i = 0; i < report.n; i++) model_net_free(report.nets[i].net), base_free(report.nets[i].weights);
    data_close(report.set);
    return status;
}

DEIT_INTERNAL const cli_command *cli_disagree(void) {
    static const cli_flag flags[] = {
        {"image", CLI_INT, &disagree_given.image,
         .help = "side of the image for every network; without it each one's own", .min = 1, .max = 8192},
        {"json", CLI_YES, &disagree_given.json, .help = "print JSON"},
        {0},
    };
    static const cli_command command = {
        .name = "disagree",
        .summary = "how often networks answer differently on a data set",
        .arguments = "[NAME=]MODEL[:WEIGHTS]...",
        .about =
            "  deit disagree regnety_160 deit_base_patch16_224 deit_base_distilled_patch16_224 --data imagenet/val\n"
            "  deit disagree teacher=resnet18:t.safetensors student=vit:s.safetensors --data fashion-mnist\n"
            "\n"
            "All answer in one pass over the data; the truth is one of them, each head of a distilled network "
            "another.",
        .models = true,
        .least = 1,
        .most = -1,
        .groups = CLI_RUNNING | CLI_DATA,
        .flags = flags,
        .run = disagree_run};
    return &command;
}
