/* network: the flags that commands share - which network, which weights, how to run, on which data - and what they
 * give. */
#include "cli/internal.h"
#include "repro/manifest.h"

#include <stdlib.h>
#include <string.h>

static struct {
    const char *model, *weights, *part;
    int64_t image, patch, dim, depth, heads, classes, seed, threads, batch;
    bool distilled;
    int strict, positions, precision, schedule, head;
} network_given;
static struct {
    data_options where;
    int64_t max_bad;
    int fit;
} network_data;

static const char *const network_yes_no[] = {"yes", "no", NULL};
static const char *const network_positions[] = {"bicubic", "bilinear", NULL};
static const char *const network_precisions[] = {"f32", "bf16", NULL};
static const char *const network_schedules[] = {"throughput", "latency", NULL};
static const char *const network_heads[] = {"mean", "class", "dist", NULL}; // in model_head's order
static const char *const network_fits[] = {"none", "pad", "resize", NULL};  // in image_fit's order

DEIT_INTERNAL const cli_flag *cli_group_flags(unsigned group) {
    static const cli_flag network[] = {
        {"model", CLI_MODEL, &network_given.model,
         .help = "a network by timm's name, or vit for one described by the flags below"},
        {"image", CLI_INT, &network_given.image, .help = "side of the square image; the position grid is interpolated",
         .min = 1, .max = 8192},
        {"image-size", CLI_INT, &network_given.image, .help = "the same as --image", .min = 1, .max = 8192},
        {"input-size", CLI_INT, &network_given.image, .help = "the same, as deit train calls it", .min = 1,
         .max = 8192},
        {"classes", CLI_INT, &network_given.classes, .help = "number of classes", .min = 1, .max = 1000000},
        {"patch", CLI_INT, &network_given.patch, .help = "vit: side of a patch", .min = 1, .max = 1024},
        {"dim", CLI_INT, &network_given.dim, .help = "vit: width of a token", .min = 1, .max = 65536},
        {"depth", CLI_INT, &network_given.depth, .help = "vit: number of blocks", .min = 1, .max = 1000},
        {"heads", CLI_INT, &network_given.heads, .help = "vit: attention heads", .min = 1, .max = 1024},
        {"distilled", CLI_YES, &network_given.distilled, .help = "vit: with a distillation token and its head"},
        {0},
    };
    static const cli_flag weights[] = {
        {"weights", CLI_FILE, &network_given.weights,
         .help = "safetensors, .pth or .npz; without it the model's file in the weights folder"},
        {"weights-part", CLI_TEXT, &network_given.part, .help = "key of the state dict in a .pth file (model_ema)",
         .word = "KEY"},
        {"strict", CLI_CHOICE, &network_given.strict, .help = "no: leave out heads of another shape, and say so",
         .choices = network_yes_no},
        {"positions", CLI_CHOICE, &network_given.positions,
         .help = "how a position grid of another size is interpolated", .choices = network_positions},
        {"seed", CLI_INT, &network_given.seed, .help = "for values that no file gives", .min = 0, .max = 9e15},
        {0},
    };
    static const cli_flag running[] = {
        {"precision", CLI_CHOICE, &network_given.precision, .help = "of the arithmetic", .choices = network_precisions},
        {"threads", CLI_INT, &network_given.threads, .help = "in all; without it every core", .min = 1, .max = 4096},
        {"schedule", CLI_CHOICE, &network_given.schedule, .help = "images side by side, or all threads on one",
         .choices = network_schedules},
        {"batch", CLI_INT, &network_given.batch, .help = "images at a time", .min = 1, .max = 2147483647},
        {0},
    };
    static const cli_flag head[] = {
        {"head", CLI_CHOICE, &network_given.head, .help = "of a distilled network: its heads' mean, or one",
         .choices = network_heads},
        {0},
    };
    static const cli_flag data[] = {
        {"data", CLI_FILE, &network_data.where.path,
         .help = "a folder of class folders, the same as .tar, .zip, .tar.gz or .tar.zst, a flat tar with --labels, "
                 "CIFAR's or MNIST's files, fashion-mnist",
         .word = "PATH"},
        {"split", CLI_TEXT, &network_data.where.split, .help = "the part to take; without it val, where there is one",
         .word = "NAME"},
        {"labels", CLI_FILE, &network_data.where.labels,
         .help = "a synset, class index or devkit number (meta.mat beside) a line, for files without class folders"},
        {"max-bad", CLI_INT, &network_data.max_bad, .help = "files that may be unreadable (default 0)", .min = 0,
         .max = 1e9},
        {"fit", CLI_CHOICE, &network_data.fit,
         .help = "to 32 pixels and less, where pictures are not resized otherwise", .choices = network_fits},
        {0},
    };
    switch (group) {
    case CLI_NETWORK: return network;
    case CLI_WEIGHTS: return weights;
    case CLI_RUNNING: return running;
    case CLI_HEAD: return head;
    default: return data;
    }
}

/* ---- The network ------------------------------------------------------------------------------------------------- */

/* Flags that describe a vit, given for a network that has a name of its own. */
static base_status network_named(const model_config *config) {
    const struct {
        const char *flag;
        const void *value;
    } own[] = {{"patch", &network_given.patch},
               {"dim", &network_given.dim},
               {"depth", &network_given.depth},
               {"heads", &network_given.heads},
               {"distilled", &network_given.distilled}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (cli_given(own[i].value))
            return base_fail_as(BASE_USAGE, "--%s describes --model vit; %s is defined by its name", own[i].flag,
                                config->name);
    return BASE_OK;
}

DEIT_INTERNAL const char *cli_model_given(void) {
    return network_given.model;
}

static void network_set(int *member, const int64_t *value) {
    if (cli_given(value)) *member = (int)*value;
}

DEIT_INTERNAL base_status cli_network(const char *model, model_config *config) {
    if (!model) model = network_given.model;
    if (!model)
        return base_fail_as(
            BASE_USAGE,
            "expected --model NAME, such as --model deit_base_patch16_224; 'deit weights list' shows the names");
    if (!strcmp(model, "vit")) {
        *config = model_vit();
        network_set(&config->patch, &network_given.patch);
        network_set(&config->dim, &network_given.dim);
        network_set(&config->depth, &network_given.depth);
        network_set(&config->heads, &network_given.heads);
        if (network_given.distilled) config->distilled = true;
    } else {
        BASE_TRY(model_find(model, config));
        BASE_TRY(network_named(config));
    }
    network_set(&config->image, &network_given.image);
    network_set(&config->classes, &network_given.classes);
    base_status status = config->family->check(config);
    return status ? base_fail_as(BASE_USAGE, "%s", base_message()) : BASE_OK;
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

/* What the environment names, or a folder of the cache. */
static char *network_folder(const char *variable, const char *name) {
    const char *folder = getenv(variable);
    if (folder && *folder) return base_strdup(folder);
    char *cache = base_cache_folder();
    if (!cache) {
        base_fail("no folder for %s: set %s", name, variable);
        return NULL;
    }
    char *path = base_path_join(cache, name);
    base_free(cache);
    return path;
}

DEIT_INTERNAL char *cli_weights_folder(void) {
    return network_folder("DEIT_WEIGHTS", "weights");
}

DEIT_INTERNAL char *cli_data_folder(void) {
    return network_folder("DEIT_DATA", "data");
}

DEIT_INTERNAL base_status cli_weights_path(const model_config *config, char **path) {
    *path = NULL;
    if (network_given.weights) return (*path = base_strdup(network_given.weights)) ? BASE_OK : BASE_ERROR;
    const repro_weights *row = repro_weights_find(config->name);
    if (!row) return base_fail_as(BASE_USAGE, "expected --weights FILE");
    char *folder = cli_weights_folder();
    if (!folder) return BASE_ERROR;
    *path = base_path_join(folder, row->file);
    base_free(folder);
    if (!*path) return BASE_ERROR;
    if (base_path_exists(*path)) return BASE_OK;
    base_fail_as(BASE_USAGE, "expected --weights FILE (there is no %s; 'deit weights fetch %s' gets it)", *path,
                 row->name);
    base_free(*path);
    *path = NULL;
    return BASE_USAGE;
}

DEIT_INTERNAL base_status cli_weights_open(model_weights **weights, const model_config *config, const char *path) {
    model_weights_options options = {.bilinear = network_given.positions == 1,
                                     .loose = network_given.strict == 1,
                                     .loosen = "--strict no",
                                     .seed = (uint64_t)network_given.seed,
                                     .part = network_given.part,
                                     .parts = "--weights-part"};
    return model_weights_open(weights, config, path, &options, cli_context());
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL base_status cli_options(model_options *options) {
    *options = (model_options){.precision = network_given.precision ? NN_BF16 : NN_F32,
                               .schedule = network_given.schedule ? MODEL_LATENCY : MODEL_THROUGHPUT,
                               .batch = network_given.batch,
                               .threads = (int)network_given.threads,
                               .head = (model_head)network_given.head,
                               .cancel = cli_context()->cancel};
    return BASE_OK;
}

DEIT_INTERNAL void cli_network_json(const model_config *config, json_t *object) {
    json_object_set_new(object, "image", json_integer(config->image));
    json_object_set_new(object, "classes", json_integer(config->classes));
    if (!config->patch) return;
    json_object_set_new(object, "patch", json_integer(config->patch));
    json_object_set_new(object, "dim", json_integer(config->dim));
    json_object_set_new(object, "depth", json_integer(config->depth));
    json_object_set_new(object, "heads", json_integer(config->heads));
    json_object_set_new(object, "distilled", json_boolean(config->distilled));
}

DEIT_INTERNAL int64_t cli_batch(int64_t otherwise) {
    return network_given.batch ? network_given.batch : otherwise;
}

DEIT_INTERNAL base_status cli_check_batch(const model_config *config, int64_t images, size_t *needed) {
    base_machine machine;
    base_machine_read(&machine);
    double bytes = (double)images * 4.0 * (3.0 * config->image * config->image + config->classes);
    if (needed) *needed = (size_t)bytes;
    if (bytes <= (double)machine.memory_free) return BASE_OK;
    return base_fail(
        "a batch of %lld images of %d x %d takes %.1f GB, and %.1f GB of memory are free: use a smaller --batch",
        (long long)images, config->image, config->image, bytes * 1e-9, (double)machine.memory_free * 1e-9);
}

DEIT_INTERNAL base_status cli_net(model_net **net, char **path, int64_t batch, bool features) {
    *net = NULL;
    model_config config;
    model_options options;
    model_weights *weights = NULL;
    char *file = NULL;
    BASE_TRY(cli_network(NULL, &config));
    BASE_TRY(cli_options(&options));
    if (!options.batch) options.batch = batch;
    options.features = features;
    BASE_TRY(cli_check_batch(&config, options.batch, &options.beside));
    BASE_TRY(cli_weights_path(&config, &file));
    base_status status = cli_weights_open(&weights, &config, file);
    if (!status) status = model_net_new(net, &config, weights, &options);
    model_weights_close(weights);
    if (status || !path)
        base_free(file);
    else
        *path = file;
    return status;
}

/* ---- Data -------------------------------------------------------------------------------------------------------- */

DEIT_INTERNAL const data_options *cli_data_options(void) {
    return &network_data.where;
}

DEIT_INTERNAL base_status cli_data_open(data_set **set, const char *command) {
    *set = NULL;
    if (!network_data.where.path) return base_fail_as(BASE_USAGE, "%s: expected --data PATH", command);
    BASE_TRY(cli_data_find(&network_data.where, NULL, false));
    return data_open(set, &network_data.where, cli_context());
}

DEIT_INTERNAL eval_options cli_eval_options(void) {
    return (eval_options){.batch = cli_batch(0), .max_bad = network_data.max_bad, .fit = (image_fit)network_data.fit};
}

DEIT_INTERNAL char *cli_conditions(const model_net *net, char text[160]) {
    snprintf(text, 160, "%s, %s, batch %lld, %d x %d threads", nn_isa_name(),
             net->options.precision == NN_BF16 ? "bf16" : "f32", (long long)net->options.batch, net->workers,
             net->threads);
    return text;
}
