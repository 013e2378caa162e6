/* deit predict: the best classes of images. */
#include "cli/internal.h"
#include "eval/eval.h"
#include "repro/repro.h"

#include <string.h>

enum { PREDICT_BATCH = 32, PREDICT_MOST = 1000, PREDICT_FILE_LIMIT = 1 << 30 };

static struct {
    int64_t top;
    int fit;
    bool json;
} predict_given = {.top = 5};
static const char *const predict_fits[] = {"none", "pad", "resize", NULL}; // in image_fit's order

/* A name for a class, where the classes are ImageNet's. */
static const char *predict_name(const model_net *net, int index) {
    return net->config.classes == DATA_IMAGENET_CLASSES ? data_imagenet_name(index) : NULL;
}

/* "-" is standard input, and called so. */
static const char *predict_file(const char *path) {
    return strcmp(path, "-") != 0 ? path : "/dev/stdin";
}

/* out: [3, image, image] */
static base_status predict_load(image_worker *worker, const image_transform *transform, const char *path, float *out) {
    char *data;
    size_t size;
    BASE_TRY(base_read_file(predict_file(path), PREDICT_FILE_LIMIT, &data, &size));
    base_status status = image_eval(worker, transform, data, size, path, out);
    base_free(data);
    return status;
}

static void predict_print_text(const model_net *net, const char *path, const eval_class *best, int k) {
    printf("%s\n", path);
    for (int i = 0; i < k; i++) {
        const char *name = predict_name(net, best[i].index);
        printf("  %5.2f %%  %4d%s%s\n", 100 * (double)best[i].probability, best[i].index, name ? "  " : "",
               name ? name : "");
    }
}

static json_t *predict_json(const model_net *net, const char *path, const eval_class *best, int k) {
    json_t *classes = json_array();
    for (int i = 0; i < k; i++)
        json_array_append_new(
            classes,
            json_pack("{s:i, s:o, s:s*, s:s*}", "index", best[i].index, "probability",
                      base_json_real((double)best[i].probability), "name", predict_name(net, best[i].index), "synset",
                      net->config.classes == DATA_IMAGENET_CLASSES ? data_imagenet_synset(best[i].index) : NULL));
    return json_pack("{s:o, s:o}", "image", base_json_text(path), "classes", classes);
}

typedef struct {
    image_worker *worker;
    float *input, *logits; /* [batch, 3, image, image], [batch, classes] */
    bool *bad;             /* [batch] */
} predict_buffers;

/* Reads n images to the front of the input; returns how many. A bad file is named and passed over. */
static int predict_read(const model_net *net, const predict_buffers *buffers, char **paths, int n) {
    image_transform transform = eval_transform(&net->config);
    transform.fit = (image_fit)predict_given.fit;
    size_t size = 3 * (size_t)net->config.image * (size_t)net->config.image;
    int good = 0;
    for (int i = 0; i < n; i++) {
        buffers->bad[i] = predict_load(buffers->worker, &transform, paths[i], buffers->input + (size_t)good * size);
        if (buffers->bad[i])
            base_log(cli_context(), BASE_LOG_WARNING, "bad file: %s", base_message());
        else
            good++;
    }
    return good;
}

/* The answers of n images in their order, printed or added to rows. */
static void predict_tell(const model_net *net, const predict_buffers *buffers, char **paths, int n, json_t *rows) {
    int k = predict_given.top < net->config.classes ? (int)predict_given.top : net->config.classes;
    const float *logits = buffers->logits;
    for (int i = 0; i < n; i++) {
        eval_class best[PREDICT_MOST];
        if (buffers->bad[i]) {
            if (rows) json_array_append_new(rows, json_pack("{s:o, s:b}", "image", base_json_text(paths[i]), "bad", 1));
            continue;
        }
        eval_top(logits, net->config.classes, k, best);
        logits += net->config.classes;
        if (rows)
            json_array_append_new(rows, predict_json(net, paths[i], best, k));
        else
            predict_print_text(net, paths[i], best, k);
    }
}

/* *bad: files that could not be read. */
static base_status predict_all(model_net *net, char **paths, int n, json_t *rows, int *bad) {
    int step = (int)net->options.batch;
    size_t size = 3 * (size_t)net->config.image * (size_t)net->config.image;
    predict_buffers buffers = {.input = base_malloc((size_t)step * size * sizeof(float)),
                               .logits = base_malloc((size_t)step * (size_t)net->config.classes * sizeof(float)),
                               .bad = base_malloc((size_t)step * sizeof(bool))};
    base_status status =
        buffers.input && buffers.logits && buffers.bad ? image_worker_new(&buffers.worker) : BASE_ERROR;
    for (int done = 0; done < n && !status; done += step) {
        int now = n - done < step ? n - done : step, good = predict_read(net, &buffers, paths + done, now);
        if (good) status = model_net_run(net, good, buffers.input, buffers.logits);
        if (!status) predict_tell(net, &buffers, paths + done, now, rows);
        if (!status && base_cancelled(cli_context())) status = BASE_CANCELLED;
        *bad += now - good;
    }
    image_worker_free(buffers.worker);
    base_free(buffers.input);
    base_free(buffers.logits);
    base_free(buffers.bad);
    return status;
}

static base_status predict_run(int n, char **paths) {
    model_net *net;
    model_config config;
    BASE_TRY(cli_network(NULL, &config));
    // A missing file should not wait for the weights.
    for (int i = 0; i < n; i++)
        if (!base_path_exists(predict_file(paths[i]))) return base_fail("%s: no such file", paths[i]);
    BASE_TRY(cli_net(&net, NULL, n < PREDICT_BATCH ? n : PREDICT_BATCH, false));
    json_t *rows = predict_given.json ? json_array() : NULL;
    int bad = 0;
    base_status status = predict_all(net, paths, n, rows, &bad);
    if (!status && rows) status = cli_print_json(json_pack("{s:s, s:O}", "model", net->config.name, "images", rows));
    if (!status && bad) status = base_fail("%d of %d files could not be read", bad, n);
    json_decref(rows);
    model_net_free(net);
    return status;
}

DEIT_INTERNAL const cli_command *cli_predict(void) {
    static const cli_flag flags[] = {
        {"top", CLI_INT, &predict_given.top, .help = "classes an image", .min = 1, .max = PREDICT_MOST},
        {"fit", CLI_CHOICE, &predict_given.fit,
         .help = "to 32 pixels and less, where pictures are not resized otherwise", .choices = predict_fits},
        {"json", CLI_YES, &predict_given.json, .help = "print JSON"},
        {0},
    };
    static const cli_command command = {
        .name = "predict",
        .summary = "the best classes of images",
        .arguments = "IMAGE...",
        .about = "  IMAGE: a JPEG or PNG file, or - for standard input\n"
                 "  deit predict cat.jpg --model deit_tiny_patch16_224 --weights deit_tiny_patch16_224-a1311bcf.pth",
        .least = 1,
        .most = -1,
        .groups = CLI_NETWORK | CLI_WEIGHTS | CLI_RUNNING | CLI_HEAD,
        .flags = flags,
        .run = predict_run};
    return &command;
}
